"""Batches of genes ranked by their value over the gene's median, as Geneformer takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scdataloader.collate.contexts import Contexts
from scdataloader.collate.scgpt import require_tokens
from scdataloader.counts import csr_counts, total_counts
from scdataloader.genes.vocabulary import GeneVocabulary

CLS, EOS, PAD = "<cls>", "<eos>", "<pad>"


def gene_medians(sources: Sequence[AnnData]) -> pd.Series:
    """Return each gene's median, over all cells that express it, of counts per 10,000 counts of the cell.

    Exact: it holds the non-zero values of all sources once more in memory.

    Parameters
    ----------
    sources
        Raw counts over Ensembl ids; depths from ``obs["total_counts"]`` where that is given.

    Returns
    -------
    pandas.Series
        float64, by gene id, sorted; genes that no cell expresses are left out.

    References
    ----------
    Theodoris et al. 2023, Methods, "Rank value encoding of single-cell transcriptomes".
    """
    values: dict[str, list[np.ndarray]] = {}
    for adata in sources:
        scale = 1e4 / np.maximum(total_counts(adata).astype(np.float64), 1)
        by_gene = sparse.csc_matrix(sparse.diags_array(scale) @ csr_counts(adata).astype(np.float64))
        by_gene.eliminate_zeros()
        for i, name in enumerate(adata.var_names.tolist()):
            part = by_gene.data[by_gene.indptr[i] : by_gene.indptr[i + 1]]
            if len(part):
                values.setdefault(name, []).append(part)
    medians = {name: float(np.median(np.concatenate(parts))) for name, parts in sorted(values.items())}
    return pd.Series(medians, dtype=np.float64)


def rank_value(
    genes: np.ndarray, counts: np.ndarray, medians: np.ndarray, size: int, rng: np.random.Generator
) -> np.ndarray:
    """Choose a cell's `size` genes of highest count over median, ties at random; fewer where it expresses fewer.

    The cell's depth, by which Geneformer divides first, is the same for all its genes: it changes no rank.

    Parameters
    ----------
    genes
        Expressed genes, shape (n_expressed,).
    counts
        Their counts, same shape.
    medians
        Median of every gene of the vocabulary, above 0, shape (n_vocabulary,).
    size
        Most genes to choose.
    rng
        Source of randomness for ties.

    Returns
    -------
    numpy.ndarray
        Genes, highest value first.
    """
    value = np.asarray(counts, dtype=np.float64) / medians[genes]
    return genes[np.lexsort((rng.random(len(genes)), -value))[:size]]


@dataclass(frozen=True, eq=False)
class GeneformerFormat:
    """Geneformer's input: tokens of a cell's genes, ranked by count over median; the values themselves are not given.

    Attributes
    ----------
    tokens
        Token of each gene of the vocabulary, -1 where it has none, int64, shape (n_vocabulary,).
    medians
        Of each gene (see `gene_medians`), NaN where unknown, float64, shape (n_vocabulary,).
    pad_token
        Token of ``<pad>``.
    cls_token, eos_token
        Tokens of ``<cls>`` and ``<eos>``, put first and last; None where the model has none (its first version).

    References
    ----------
    Theodoris et al., "Transfer learning enables predictions in network biology", Nature 618, 2023.
    """

    tokens: np.ndarray
    medians: np.ndarray
    pad_token: int
    cls_token: int | None = None
    eos_token: int | None = None

    @classmethod
    def from_tokens(
        cls,
        vocabulary: GeneVocabulary,
        tokens: Mapping[str, int],
        medians: Mapping[str, float] | pd.Series,
        *,
        special_tokens: bool = False,
    ) -> GeneformerFormat:
        """Make the format for a vocabulary.

        Parameters
        ----------
        vocabulary
            The genes that batches are made of.
        tokens
            The model's own: Ensembl id to token, with ``<pad>``.
        medians
            Ensembl id to median: the model's own, or from `gene_medians`. A model must be given those that it was
            trained with.
        special_tokens
            Put ``<cls>`` first and ``<eos>`` last, as the second version does.

        Raises
        ------
        ValueError
            When a special token is missing, a median is not above 0, or no gene has both a token and a median.
        """
        require_tokens(tokens, (PAD, CLS, EOS) if special_tokens else (PAD,))
        ids = np.array([tokens.get(gene, -1) for gene in vocabulary.ids], dtype=np.int64)
        values = np.array([medians.get(gene, np.nan) for gene in vocabulary.ids], dtype=np.float64)
        if (values <= 0).any():
            bad = [vocabulary.ids[i] for i in np.flatnonzero(values <= 0)[:3]]
            raise ValueError(f"{(values <= 0).sum()} medians are not above 0, such as those of {bad}")
        if not ((ids >= 0) & np.isfinite(values)).any():
            raise ValueError(
                f"no gene has a token and a median: the vocabulary's ids look like {list(vocabulary.ids[:2])}, the "
                f"tokens like {list(tokens)[:5]}, the medians like {list(medians.keys())[:2]}"
            )
        cls_token, eos_token = (tokens[CLS], tokens[EOS]) if special_tokens else (None, None)
        return cls(ids, values, tokens[PAD], cls_token, eos_token)

    @cached_property
    def usable(self) -> np.ndarray:
        """The genes of the vocabulary that have a token and a median; bool, shape (n_vocabulary,)."""
        return (self.tokens >= 0) & np.isfinite(self.medians)

    @property
    def n_special(self) -> int:
        """The number of tokens beside the genes."""
        return (self.cls_token is not None) + (self.eos_token is not None)

    def batch(self, contexts: Contexts, *, masked: bool) -> dict[str, Any]:  # noqa: ARG002 (always masked)
        """Return the arrays of a `scdataloader.batch.GeneformerBatch`."""
        n_genes = contexts.mask.sum(axis=1)
        width = contexts.genes.shape[1]
        first = self.cls_token is not None
        tokens = np.full((len(n_genes), max(1, int(n_genes.max()) + self.n_special)), self.pad_token, np.int64)
        kept = tokens.shape[1] - self.n_special
        tokens[:, first : first + min(kept, width)] = self._token[contexts.genes[:, :kept]]
        if self.cls_token is not None:
            tokens[:, 0] = self.cls_token
        if self.eos_token is not None:
            tokens[np.arange(len(tokens)), n_genes + first] = self.eos_token
        length = n_genes + self.n_special
        return {
            "input_ids": tokens,
            "attention_mask": (np.arange(tokens.shape[1]) < length[:, None]).astype(np.int64),
            "length": length.astype(np.int64),
            "total_counts": contexts.total_counts,
            "labels": contexts.labels,
            "dataset": contexts.dataset,
        }

    @cached_property
    def _token(self) -> np.ndarray:
        """Token of each gene, and at the end of no gene; int64."""
        return np.append(self.tokens, self.pad_token).astype(np.int64)
