"""From blocks of attention rows to a network: turned so that rows are regulators, without self edges."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from scprint_model.networks.attention import as_numpy

#: What a network remembers of how attention became edges.
TURNED = "rows attend and are targets, columns are regulators: transposed once, here rows are regulators"


def assemble(
    blocks: Iterable[tuple[slice, Tensor]],
    n_genes: int,
    *,
    n_planes: int = 0,
    regulators: np.ndarray | None = None,
    top_k: int | None = None,
) -> Any:
    """Build the network, row = regulator, column = target.

    Parameters
    ----------
    blocks
        (Rows, values) as `scprint_model.networks.attention.attention_rows` gives them; row = target.
    n_genes
        Their number of columns.
    n_planes
        Heads that are kept apart; 0: values have no axis of heads.
    regulators
        bool, shape (n_genes,): which genes may have outgoing edges; None: all.
    top_k
        Keep so many regulators of each target, those with the largest absolute values; None: all.

    Returns
    -------
    numpy.ndarray or scipy.sparse.csr_matrix
        float32, shape (n_genes, n_genes), or (n_genes, n_genes, n_planes); CSR for `top_k`.
    """
    if top_k is not None:
        return _sparse(blocks, n_genes, regulators, top_k)
    shape = (n_genes, n_genes, n_planes) if n_planes else (n_genes, n_genes)
    network = np.empty(shape, dtype=np.float32)
    for rows, values in blocks:
        block = as_numpy(values)
        if regulators is not None:
            block[:, ~regulators] = 0
        block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = 0
        network[:, rows] = block.swapaxes(0, 1)
    return network


def _sparse(
    blocks: Iterable[tuple[slice, Tensor]], n_genes: int, regulators: np.ndarray | None, top_k: int
) -> sparse.csr_matrix:
    n_allowed = n_genes if regulators is None else int(regulators.sum())
    k = min(top_k, n_allowed)
    places, weights = [], []
    for rows, values in blocks:
        size = values.abs()
        if regulators is not None:
            size[:, torch.from_numpy(~regulators).to(size.device)] = -1
        size[torch.arange(len(size)), torch.arange(rows.start, rows.stop)] = -1
        strongest = torch.topk(size, k, dim=1)
        weight = values.gather(1, strongest.indices)
        weight[strongest.values < 0] = 0
        places.append(strongest.indices.cpu().numpy().astype(np.int32))
        weights.append(as_numpy(weight))
    by_target = sparse.csc_matrix(
        (np.concatenate(weights).ravel(), np.concatenate(places).ravel(), np.arange(n_genes + 1) * k),
        shape=(n_genes, n_genes),
    )
    network = sparse.csr_matrix(by_target)
    network.eliminate_zeros()
    network.sort_indices()
    return network
