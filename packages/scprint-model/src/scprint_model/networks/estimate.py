"""The time and memory that networks will take, without making them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from anndata import AnnData

from scprint_model.model import ScPrint
from scprint_model.networks.infer import infer
from scprint_model.networks.work import WorkEstimate


class _EstimatedError(Exception):
    """Stops `infer` once its work is estimated."""


def estimate(model: ScPrint, adata: AnnData, **options: Any) -> WorkEstimate:
    """Estimate what networks will take, without making them.

    Parameters
    ----------
    model, adata
        Model and cells, as for `scprint_model.infer`.
    **options
        Options of `scprint_model.infer`.

    Returns
    -------
    WorkEstimate
        From one batch and one block of edges, which are timed.

    Raises
    ------
    ValueError
        For all that `scprint_model.infer` refuses before the model begins.
    """
    found: list[WorkEstimate] = []

    def stop(work: WorkEstimate) -> None:
        found.append(work)
        raise _EstimatedError

    with suppress(_EstimatedError):
        infer(model, adata, before=stop, **options)
    return found[0]
