"""The formats by name, their dictionaries read from files: for configuration files and command lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from scdataloader.collate.geneformer import GeneformerFormat
from scdataloader.collate.scgpt import ScGPTFormat
from scdataloader.collate.scprint import ScPrintFormat
from scdataloader.genes.vocabulary import GeneVocabulary

#: The formats that `named_format` knows.
FormatName = Literal["scprint", "scgpt", "geneformer"]


def named_format(
    name: FormatName,
    vocabulary: GeneVocabulary,
    *,
    positions: bool = False,
    profile: bool = False,
    n_bins: int = 51,
    tokens: Path | str | None = None,
    medians: Path | str | None = None,
    special_tokens: bool = False,
) -> ScPrintFormat | ScGPTFormat | GeneformerFormat:
    """Make a format.

    Parameters
    ----------
    name
        ``"scprint"``, ``"scgpt"`` or ``"geneformer"``.
    vocabulary
        The genes that batches are made of.
    positions
        For scprint: add ``positions`` to the batches.
    profile
        For scprint: add all expressed genes of the cells to the batches; see `ScPrintFormat`.
    n_bins
        For scgpt: see `ScGPTFormat`.
    tokens
        For scgpt and geneformer: JSON file of the model's own tokens, by gene symbol or by Ensembl id; geneformer needs
        one.
    medians
        For geneformer, which needs one: JSON file of the genes' medians, by Ensembl id.
    special_tokens
        For geneformer: see `GeneformerFormat.from_tokens`.

    Raises
    ------
    ValueError
        For an unknown name, or a file that the format needs or does not take.
    """
    taken = {"scprint": set[str](), "scgpt": {"tokens"}, "geneformer": {"tokens", "medians"}}
    if name not in taken:
        raise ValueError(f"format={name!r} is not one of {list(taken)}")
    given = {what for what, path in (("tokens", tokens), ("medians", medians)) if path is not None}
    if extra := sorted(given - taken[name]):
        raise ValueError(f"format={name!r} takes no {extra}: leave them out")
    if name == "scprint":
        return ScPrintFormat(locations=vocabulary.locations if positions else None, profile=profile)
    if name == "scgpt":
        own = None if tokens is None else {key: int(token) for key, token in _read(tokens).items()}
        return ScGPTFormat.from_tokens(vocabulary, own, n_bins=n_bins)
    if tokens is None or medians is None:
        raise ValueError(
            "format='geneformer' needs the files tokens and medians: see collate.gene_medians for the latter"
        )
    ids = {key: int(token) for key, token in _read(tokens).items()}
    return GeneformerFormat.from_tokens(vocabulary, ids, _read(medians), special_tokens=special_tokens)


def _read(path: Path | str) -> dict[str, float]:
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no JSON object of names and numbers")
    return content
