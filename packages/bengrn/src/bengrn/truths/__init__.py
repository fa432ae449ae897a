"""The ground truths that come with the package, by name."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from bengrn.truths.ground_truth import GroundTruth
from bengrn.truths.omnipath import load_omnipath

__all__ = ["GroundTruth", "list_truths", "load_truth"]

_LOADERS: dict[tuple[str, str], Callable[..., GroundTruth]] = {("omnipath", "human"): load_omnipath}


def load_truth(name: str, organism: str = "human", **options: object) -> GroundTruth:
    """Load a ground truth by name.

    Parameters
    ----------
    name
        One of :func:`list_truths`.
    organism
        "human" for now.
    **options
        Options of that truth: "omnipath" takes ``complexes=True``
        (see :func:`bengrn.truths.omnipath.load_omnipath`).

    Raises
    ------
    ValueError
        If there is no such truth for that organism.
    TypeError
        If the truth has no such option.
    """
    loader = _LOADERS.get((name, organism))
    if loader is None:
        known = ", ".join(f"{truth} ({kind})" for truth, kind in sorted(_LOADERS))
        raise ValueError(f"no ground truth {name!r} for {organism!r}; there are: {known}")
    return loader(**options)


def list_truths() -> pd.DataFrame:
    """List the ground truths: name, organism, size, genes known, citation, licence, version."""
    rows = []
    for (name, organism), loader in sorted(_LOADERS.items(), key=lambda item: item[0]):
        truth = loader()
        rows.append(
            {
                "name": name,
                "organism": organism,
                "edges": len(truth),
                "genes": len(truth.genes) if truth.genes is not None else None,
                "directed": truth.directed,
                "citation": truth.citation,
                "licence": truth.licence,
                "version": truth.version,
            }
        )
    return pd.DataFrame(rows)
