"""Find the genes of a vocabulary that are regulators, by a list of their ids."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from scdataloader import GeneVocabulary


def read_regulators(path: Path | str, vocabulary: GeneVocabulary) -> Tensor:
    """Read which genes of a vocabulary are regulators: (n_genes,) bool.

    Parameters
    ----------
    path
        Text file with an Ensembl id on each line; empty lines and lines from ``#`` on are left out.
    vocabulary
        The model's genes.

    Raises
    ------
    ValueError
        When none of the ids is in the vocabulary.
    """
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    ids = [line.split("#")[0].strip() for line in lines]
    ids = [gene for gene in ids if gene]
    index = torch.from_numpy(vocabulary.index(ids))
    found = index[index >= 0]
    if not len(found):
        raise ValueError(
            f"none of the {len(ids)} ids in {path} is in the vocabulary, such as {ids[:3]}: it needs Ensembl gene ids "
            "without a version, one a line"
        )
    regulators = torch.zeros(len(vocabulary), dtype=torch.bool)
    regulators[found] = True
    return regulators
