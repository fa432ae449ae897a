"""Batches of binned values, as scGPT takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from scdataloader.collate.contexts import Contexts
from scdataloader.genes.vocabulary import GeneVocabulary

CLS, PAD = "<cls>", "<pad>"


def bin_values(values: np.ndarray, n_bins: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """Give each non-zero value of a cell one of ``n_bins - 1`` bins with about equally many values; bin 0 is of zeros.

    The edges are ``n_bins - 1`` quantiles of the values, from their least to their greatest, as the published models
    were trained: a bin begins at its edge, and the greatest value alone is in the last one. Any rising transformation
    (depth, logarithm) gives nearly the same bins. A value that equals several edges, as the many counts of 1 do, goes
    to one of the bins that begin there at random.

    Parameters
    ----------
    values
        A cell's values above 0, shape (n_expressed,).
    n_bins
        Number of bins including the one of zeros, 51 in scGPT.
    rng
        Source of randomness for ties; None takes the highest bin.

    Returns
    -------
    numpy.ndarray
        int64, 1 to ``n_bins - 1``, shape (n_expressed,).

    References
    ----------
    Cui et al. 2024, Methods, "Expression values" (value binning). The paper writes ``n_bins - 1`` intervals of equal
    share; the quantiles at both ends are those of the published tool.
    """
    if n_bins < 2:
        raise ValueError(f"n_bins={n_bins}: at least 2 are needed, one for zeros and one for the rest")
    if len(values) == 0:
        return np.empty(0, dtype=np.int64)
    edges = np.quantile(values, np.linspace(0, 1, n_bins - 1))
    highest = np.searchsorted(edges, values, side="right")
    if rng is None:
        return highest
    lowest = np.minimum(np.searchsorted(edges, values, side="left") + 1, highest)
    return rng.integers(lowest, highest, endpoint=True)


@dataclass(frozen=True, eq=False)
class ScGPTFormat:
    """scGPT's input: ``<cls>`` first, then gene tokens with binned values, then ``<pad>``.

    Binning takes all expressed genes of the cell that have a token, also those outside its context. In its pre-training
    scGPT saw expressed genes only: that is ``Collator(..., variable_context=True)``.

    Attributes
    ----------
    tokens
        Token of each gene of the vocabulary, -1 where it has none, int64, shape (n_vocabulary,).
    cls_token, pad_token
        Tokens of ``<cls>`` and ``<pad>``.
    n_bins
        See `bin_values`.
    pad_value
        Value of ``<pad>``, and of ``<cls>``, as the published models saw it in their pre-training.

    References
    ----------
    Cui et al., "scGPT: toward building a foundation model for single-cell multi-omics using generative AI",
    Nature Methods 21, 2024.
    """

    tokens: np.ndarray
    cls_token: int
    pad_token: int
    n_bins: int = 51
    pad_value: float = -2
    #: ``<cls>`` takes a place of the context.
    n_special: int = 1

    def __post_init__(self) -> None:
        if self.n_bins < 2:
            raise ValueError(f"n_bins={self.n_bins}: at least 2 are needed, one for zeros and one for the rest")

    @classmethod
    def from_tokens(
        cls, vocabulary: GeneVocabulary, tokens: Mapping[str, int] | None = None, **options: int
    ) -> ScGPTFormat:
        """Make the format for a vocabulary.

        Parameters
        ----------
        vocabulary
            The genes that batches are made of.
        tokens
            A model's own vocabulary: gene symbol to token, with ``<cls>`` and ``<pad>``. Genes it does not hold are
            left out. None: ``<pad>`` is 0, ``<cls>`` 1, and gene i of the vocabulary i + 2.
        options
            ``n_bins``, ``pad_value``.

        Raises
        ------
        ValueError
            When a special token is missing, or no gene has a token.
        """
        if tokens is None:
            return cls(np.arange(len(vocabulary)) + 2, cls_token=1, pad_token=0, **options)
        require_tokens(tokens, (CLS, PAD))
        ids = np.array([tokens.get(symbol, -1) for symbol in vocabulary.symbols], dtype=np.int64)
        if (ids < 0).all():
            raise ValueError(
                f"none of the vocabulary's gene symbols, such as {list(vocabulary.symbols[:3])}, is among the tokens, "
                f"such as {list(tokens)[:5]}"
            )
        return cls(ids, cls_token=tokens[CLS], pad_token=tokens[PAD], **options)

    @cached_property
    def usable(self) -> np.ndarray:
        """The genes of the vocabulary that have a token; bool, shape (n_vocabulary,)."""
        return self.tokens >= 0

    def batch(self, contexts: Contexts, *, masked: bool) -> dict[str, Any]:  # noqa: ARG002 (always has a mask)
        """Return the arrays of a `scdataloader.batch.ScGPTBatch`."""
        from scdataloader.collate.lookups import bin_rows, look_up

        ends, expressed, counts = contexts.expressed()
        bins, found = np.empty(len(counts), np.float32), np.empty(contexts.genes.shape, np.float32)
        bin_rows(ends, expressed, counts, self.n_bins, contexts.seed, contexts.positions, bins)
        look_up(ends, expressed, bins, np.ascontiguousarray(contexts.genes), len(self.tokens), found)
        mask, first = contexts.mask, (len(found), 1)
        return {
            "genes": np.hstack(
                [np.full(first, self.cls_token), np.where(mask, self._token[contexts.genes], self.pad_token)]
            ),
            "values": np.hstack(
                [np.full(first, self.pad_value, np.float32), np.where(mask, found, np.float32(self.pad_value))]
            ),
            "mask": np.hstack([np.ones(first, np.bool_), mask]),
            "total_counts": contexts.total_counts,
            "labels": contexts.labels,
            "dataset": contexts.dataset,
        }

    @cached_property
    def _token(self) -> np.ndarray:
        """Token of each gene, and at the end of no gene; int64."""
        return np.append(self.tokens, self.pad_token).astype(np.int64)


def require_tokens(tokens: Mapping[str, int], special: Sequence[str]) -> None:
    """Raise ValueError where a token dictionary lacks one of the special tokens."""
    missing = [token for token in special if token not in tokens]
    if missing:
        found = [token for token in tokens if token.startswith("<")]
        raise ValueError(f"the tokens lack {missing}; the special ones they have are {found[:5]}: add the missing ones")
