"""Networks that are not read from attention: how a prediction answers to counts, and how alike genes' embeddings are.

Shape suffixes: b cell, s gene, r regulator, k direction. Rows of blocks are targets, columns regulators.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from scprint_model.model import ScPrint

Source = Literal["attention", "gene_embedding", "jacobian"]

#: Entries of the attention matrices of all directions that are computed together: 64 MB in float32.
CHUNK_ENTRIES = 2**24

#: What the weights of each source are, as a network remembers it.
MEANINGS: Mapping[Source, str] = {
    "gene_embedding": "cosine of the embeddings of two genes; no cell was looked at, so it is the same for all cells",
    "jacobian": "change of the target's predicted log mean for one more count of the regulator, mean over cells",
}
#: Method that a network says it is of.
METHODS: Mapping[str, str] = {
    "attention": "scPRINT",
    "jacobian": "scPRINT, derivatives of predictions",
    "gene_embedding": "scPRINT, embeddings of genes",
}
#: Defaults of options that only attention has a use for, or at least a look at cells.
_OF_ATTENTION: Mapping[str, Any] = {
    "attention": "mean_qk",
    "heads": "mean",
    "layers": None,
    "normalize": "softmax",
    "draws": 1,
    "context": None,
}
_OF_CELLS: Mapping[str, Any] = {"groupby": None, "stability": 0, "permutations": 0}


def check_source(source: str, given: Mapping[str, Any]) -> None:
    """Raise ValueError where an option is set that says nothing about this source.

    Parameters
    ----------
    source
        Name of the source.
    given
        Options of `scprint_model.networks.infer` by name, those of attention and of cells among them.
    """
    if source not in get_args(Source):
        raise ValueError(f"source={source!r} is not one of {get_args(Source)}")
    if source == "attention":
        return
    why = "is of attention"
    wrong = [name for name, usual in _OF_ATTENTION.items() if not _same(given[name], usual)]
    if not wrong and source == "gene_embedding":
        why = "compares cells, which it does not look at"
        wrong = [name for name, usual in _OF_CELLS.items() if given[name] != usual]
    if wrong:
        raise ValueError(f"source={source!r} has no use for {wrong[0]}={given[wrong[0]]!r}, which {why}: leave it out")


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what PyTorch says of its own rules when it first loads them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.script", category=FutureWarning)
        yield


def _same(value: Any, usual: Any) -> bool:
    return value is usual or (isinstance(value, (str, int)) and value == usual)


class MeanJacobian:
    """Sum over cells of how the predicted log mean of every gene changes with a regulator's count.

    Parameters
    ----------
    n_genes
        Number of genes, all of which every cell shows.
    regulators
        Whether each gene may be a regulator, bool, shape (n_genes,); None: all.

    Notes
    -----
    The derivative ∂ log μ_target / ∂ count_regulator, in forward mode. The cell's total count and the sum of the
    predicted means stay as they are, so that it is the share of a gene that changes.
    """

    def __init__(self, n_genes: int, regulators: np.ndarray | None = None) -> None:
        self.n_cells = 0
        self.n_genes = n_genes
        self.regulators = np.arange(n_genes) if regulators is None else np.flatnonzero(regulators)
        self._sums = np.zeros((len(self.regulators), n_genes))

    def add(self, model: ScPrint, genes_bs: Tensor, counts_bs: Tensor, totals_b: Tensor) -> None:
        """Add a batch of cells, some directions at a time."""
        self.n_cells += len(counts_bs)
        n_tokens = genes_bs.shape[1] + len(model.captured_tokens)
        step = max(1, CHUNK_ENTRIES // (len(genes_bs) * model.config.n_heads * n_tokens**2))
        # derivatives need tensors of the usual kind
        with _quiet(), torch.inference_mode(False), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            genes, counts, totals = genes_bs.clone(), counts_bs.clone(), totals_b.clone()

            def log_means(given: Tensor) -> Tensor:
                means = model(genes, given, totals, expected_total=torch.ones_like(totals), classes=()).mean
                return means.clamp(min=torch.finfo(means.dtype).tiny).log()

            def change(direction_s: Tensor) -> Tensor:
                return torch.func.jvp(log_means, (counts,), (direction_s.expand_as(counts),))[1].sum(dim=0)

            for start in range(0, len(self.regulators), step):
                at = torch.from_numpy(self.regulators[start : start + step])
                directions_ks = torch.nn.functional.one_hot(at, self.n_genes).to(counts)
                self._sums[start : start + step] += torch.func.vmap(change)(directions_ks).double().cpu().numpy()

    def merge(self, other: MeanJacobian) -> None:
        """Add what another part of the cells gave."""
        self._sums += other._sums
        self.n_cells += other.n_cells

    def rows(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield all edges as one block of rows: (their places, values)."""
        values = torch.zeros(self.n_genes, self.n_genes)
        values[:, torch.from_numpy(self.regulators)] = torch.from_numpy(self._sums.T / self.n_cells).float()
        yield slice(0, self.n_genes), values


class GeneCosines:
    """Cosines of the vectors by which a model knows its genes, before it has seen any cell.

    Parameters
    ----------
    model
        Model with the vectors.
    genes
        Vocabulary index of each gene, shape (n_genes,).
    """

    def __init__(self, model: ScPrint, genes: np.ndarray) -> None:
        self.n_cells = 0
        device = next(model.parameters()).device
        vectors = model.gene_encoder(torch.from_numpy(genes)[None].to(device))[0].float()
        self._vectors = torch.nn.functional.normalize(vectors, dim=-1)

    def rows(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield cosines in blocks of rows: (their places, values)."""
        step = max(1, CHUNK_ENTRIES // len(self._vectors))
        for start in range(0, len(self._vectors), step):
            rows = slice(start, min(start + step, len(self._vectors)))
            yield rows, self._vectors[rows] @ self._vectors.T
