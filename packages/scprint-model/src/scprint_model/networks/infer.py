"""A gene network for a group of cells."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import numpy as np
import torch
from anndata import AnnData

from grnndata import GRNAnnData
from scdataloader import CellDataset
from scprint_model.genes import most_variable, shared_genes
from scprint_model.model import ScPrint
from scprint_model.networks.attention import MeanQueriesKeys
from scprint_model.tasks.encode import tables, walk


@torch.inference_mode()
def infer(
    model: ScPrint,
    adata: AnnData,
    *,
    groupby: str | None = None,
    group: str | None = None,
    genes: str | Sequence[str] = "variable",
    n_genes: int = 3000,
    n_cells: int | None = None,
    batch_size: int = 16,
    seed: int = 0,
) -> GRNAnnData:
    """Infer one gene network from the model's attention over a group of cells.

    The queries and keys of each gene are averaged over the cells, in every layer and head; the softmax of their
    product, averaged over all heads, is the network. A gene that attends is the target, the gene it attends to its
    regulator.

    Parameters
    ----------
    model
        See `ScPrint.from_pretrained`.
    adata
        As for `scprint_model.tasks.encode`; not changed.
    groupby, group
        Use only the cells with ``obs[groupby] == group``; both or none.
    genes
        ``"variable"``: the `n_genes` most variable ones in these cells; or a list of names.
    n_genes
        See `genes`.
    n_cells
        Use at most so many cells, drawn at random; None: all.
    batch_size
        Cells at a time. It changes nothing but speed and memory.
    seed
        Of that draw.

    Returns
    -------
    grnndata.GRNAnnData
        The cells and genes used, raw counts in X, and the dense network, row = regulator, column = target, no self
        edges. A column sums to less than 1: what is missing went to the cell tokens and the gene itself.

    Raises
    ------
    ValueError
        For a group that is not there, too few cells, or genes that the model does not know.

    Notes
    -----
    scPRINT paper, Methods, "Extracting meta-cell gene networks from attention matrices in scPRINT".
    """
    vocabulary, labels = tables(model)
    cells = _group(adata, groupby, group)
    if n_cells is not None and len(cells) > n_cells:
        cells = np.sort(np.random.default_rng(seed).choice(cells, n_cells, replace=False))
    if len(cells) < 2:
        raise ValueError(f"a network needs at least 2 cells, this group has {len(cells)}")
    known = adata[cells][:, shared_genes(vocabulary, adata)]
    chosen = known[:, _genes(known, genes, n_genes)].copy()

    data = CellDataset([("input", chosen)], vocabulary, labels, context=chosen.n_vars, choice="most_expressed")
    device = next(model.parameters()).device
    rank = torch.from_numpy(vocabulary.index(chosen.var_names)).argsort().argsort()
    means = MeanQueriesKeys()
    for batch in walk(data, batch_size=batch_size, description="reading attention"):
        # all cells have the same genes: put them in one order, so that tokens can be averaged
        at = torch.argsort(batch["genes"], dim=1)[:, rank]
        ordered = batch["genes"].gather(1, at).to(device), batch["counts"].gather(1, at).to(device)
        encoding = model.encode(*ordered, batch["total_counts"].to(device), capture_qk=True)
        means.add(encoding.queries_keys or ())
    n_tokens = len(model.token_names)
    attention = means.attention()[n_tokens:, n_tokens:].cpu().numpy()
    network = np.ascontiguousarray(attention.T)  # attention rows are targets: the one place where they are turned
    np.fill_diagonal(network, 0)
    parameters = {
        "attention": "softmax of mean queries and keys",
        "heads": "mean of all layers and heads",
        "n_cells": len(cells),
        "n_genes": chosen.n_vars,
        "group": "" if group is None else str(group),
    }
    return GRNAnnData(chosen, grn=network, method="scPRINT", parameters=parameters)


def _group(adata: AnnData, groupby: str | None, group: str | None) -> np.ndarray:
    if (groupby is None) != (group is None):
        raise ValueError(f"groupby={groupby!r} and group={group!r} go together: give both or none")
    if groupby is None or group is None:
        return np.arange(adata.n_obs)
    if groupby not in adata.obs:
        raise ValueError(f"obs has no column {groupby!r}; it has {list(adata.obs.columns)}")
    values = adata.obs[groupby].astype(str)
    cells = np.flatnonzero(values == group)
    if not len(cells):
        there = sorted(values.unique())
        near = get_close_matches(group, there, n=3, cutoff=0.4)
        hint = f"near ones: {near}" if near else f"there are {there[:12]}"
        raise ValueError(f"no cell has {groupby} = {group!r}; {hint}")
    return cells


def _genes(adata: AnnData, genes: str | Sequence[str], n_genes: int) -> Sequence[str]:
    if isinstance(genes, str):
        if genes != "variable":
            raise ValueError(f"genes={genes!r} must be 'variable' or a list of gene names")
        return most_variable(adata, n_genes).tolist()
    unknown = [gene for gene in genes if gene not in adata.var_names]
    if unknown:
        raise ValueError(
            f"{len(unknown)} of {len(genes)} genes are not in the data or not known to the model, such as {unknown[:3]}"
        )
    return genes
