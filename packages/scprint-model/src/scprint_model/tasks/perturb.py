"""Counts and networks that the model expects of cells in which some genes are silent, or louder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy import sparse

from grnndata import tl
from scdataloader.counts import csr_counts, obs_table, total_counts
from scdataloader.expression import with_counts
from scprint_model._provenance import Step, step, steps_of
from scprint_model._wording import listed
from scprint_model.checkpoints.identity import identity
from scprint_model.genes import match_genes
from scprint_model.model import ScPrint
from scprint_model.named_genes import NOT_IN_DATA, genes_of_data
from scprint_model.networks import infer
from scprint_model.networks.choose import CellContents
from scprint_model.outputs import ScPrintOutput
from scprint_model.parts import batches, parts
from scprint_model.tables import tables
from scprint_model.tasks.encode import NOT_RECORDED
from scprint_model.tasks.predicted import CountDistribution


@dataclass(frozen=True)
class Perturbation:
    """Differences between cells as they are and with changed genes.

    Attributes
    ----------
    profile
        A row for each other gene, largest change against its error first: mean expected counts ``before`` and
        ``after``, their ``difference``, its ``standard_error`` over the cells, and ``log2_fold_change``.
    edges
        The edges that changed most: ``source, target, before, after, difference``; None where no network was asked for.
    steps
        What made them: records as `embed` writes them to ``uns["provenance_steps"]``.
    """

    profile: pd.DataFrame
    edges: pd.DataFrame | None
    steps: tuple[Step, ...] = ()


def perturb(
    model: ScPrint,
    adata: AnnData,
    *,
    genes: Sequence[str],
    layer: str | None = None,
    counts: str = "X",
    round: bool = False,  # noqa: A002 (the option's name)
    to: float | None = None,
    fold: float | None = None,
    n_genes: int = 300,
    panel: Sequence[str] | None = None,
    n_edges: int = 1000,
    batch_size: int = 16,
    seed: int = 0,
) -> Perturbation:
    """Silence genes of cells, or change their counts, and compare what the model then expects of the others.

    These are associations that the model has learned from cells as they are. Whether they say what a real knock-out or
    over-expression does has not been shown for this model: use them to rank hypotheses.

    Parameters
    ----------
    model
        See `ScPrint.from_pretrained`.
    adata
        Cells of one kind, as for `scprint_model.tasks.encode`; not changed.
    genes
        Names of the genes to change: ids, symbols or aliases, as `scprint_model.named_genes.genes_of_data` takes them.
    layer
        Layer that holds the raw counts.
    counts
        Place of the raw counts: X, raw, a layer, or auto for the first of X, raw and the layers that holds whole
        numbers.
    round
        Whether to round fractional counts, as RSEM, salmon, alevin, STARsolo-EM and CellBender give them. Normalised
        values are refused.
    to
        Count of these genes in every cell; 0, the default, is a knock-out.
    fold
        Factor of their counts, rounded, in place of `to`: 3 for over-expression. Cells without them stay as they are.
    n_genes
        Number of most variable genes that the model sees beside the changed ones.
    panel
        Names of genes in place of the most variable ones, named alike.
    n_edges
        Number of edges that changed most, those of the changed genes among them, between two networks (`infer`, its
        defaults) over the same genes; 0: no network.
    batch_size
        Number of cells at a time. It changes nothing but speed and memory.
    seed
        Seed for `infer`.

    Returns
    -------
    Perturbation

    Raises
    ------
    ValueError
        When a gene is not in the data or not known to the model, both `to` and `fold` are given, there are fewer than 2
        cells, or nothing would change.

    Notes
    -----
    Both times the model sees the same genes of a cell. The total count that it is told changes by what the counts
    change; the means of the other genes are made to add up to the same, what was counted of them, so that a gene does
    not seem to rise because another was taken away.
    """
    adata = with_counts(adata, layer=layer, counts=counts, round=round)
    made = step(perturb, locals(), model=identity(model), inputs=[adata], skip=NOT_RECORDED)
    steps = (*steps_of(adata.uns), made)
    if to is not None and fold is not None:
        raise ValueError(f"to={to} and fold={fold} both set the counts: give one of them")
    value = 0.0 if to is None and fold is None else to
    for name, number in (("to", value), ("fold", fold), ("n_genes", n_genes), ("n_edges", n_edges)):
        if number is not None and not (np.isfinite(number) and number >= 0):
            raise ValueError(f"{name}={number} must be a number that is not negative")
    if adata.n_obs < 2:
        raise ValueError(f"a difference has an error from 2 cells on, here are {adata.n_obs}")
    before, changed = _panel(model, adata, genes, n_genes, panel)
    after = _changed(before, changed, value, fold)
    others = ~changed
    means = [_expected(model, data, others, before, batch_size) for data in (before, after)]
    difference = means[1] - means[0]
    profile = pd.DataFrame(
        {
            "before": means[0].mean(axis=0),
            "after": means[1].mean(axis=0),
            "difference": difference.mean(axis=0),
            "standard_error": difference.std(axis=0, ddof=1) / np.sqrt(len(difference)),
            "log2_fold_change": np.log2(means[1].mean(axis=0) / means[0].mean(axis=0)),
        },
        index=pd.Index(before.var["name"].array[others]),
    )
    size = profile["difference"].abs() / profile["standard_error"].replace(0, np.inf)
    profile = profile.loc[size.sort_values(ascending=False, kind="stable").index]
    if not n_edges:
        return Perturbation(profile, None, steps)
    ids = before.var_names.tolist()
    networks = [np.asarray(infer(model, data, genes=ids, seed=seed).grn) for data in (before, after)]
    return Perturbation(profile, _edges(networks, before.var["name"].tolist(), n_edges), steps)


def _panel(
    model: ScPrint, adata: AnnData, genes: Sequence[str], n_genes: int, panel: Sequence[str] | None
) -> tuple[AnnData, np.ndarray]:
    """Return counts of the genes that the model will see, with the cells' totals, and which of them change.

    The genes are called as in the model, which knows them whatever else the data have; ``var["name"]`` as in the data.
    """
    vocabulary, _ = tables(model)
    known = match_genes(vocabulary, adata)
    names = adata.var_names[known.columns]
    if not len(genes):
        raise ValueError("genes names no gene to change")
    changed = np.zeros(len(names), dtype=bool)
    changed[genes_of_data(vocabulary, adata, known, genes).all_found(NOT_IN_DATA)] = True
    blocks = [(known.counts(part), total_counts(part)) for _, part in parts(adata)]
    counts = sparse.vstack([block for block, _ in blocks], format="csr")
    obs = obs_table(adata).assign(total_counts=np.concatenate([totals for _, totals in blocks]))
    ids = pd.Index([vocabulary.ids[i] for i in known.index[known.columns]])
    data = AnnData(counts, obs=obs, var=pd.DataFrame({"name": names.array}, index=ids))
    if panel is None:
        # in an order that hangs neither on the file's cells nor on its genes
        ordered = data[CellContents.read(adata, known).rank.argsort(), np.argsort(known.index[known.columns])]
        chosen = np.asarray(ids.isin(tl.most_variable_genes(ordered, n_genes)))
    else:
        chosen = np.zeros(len(names), dtype=bool)
        chosen[genes_of_data(vocabulary, adata, known, panel, what="genes of the panel").all_found(NOT_IN_DATA)] = True
    return data[:, chosen | changed].copy(), changed[chosen | changed]


def _changed(data: AnnData, changed: np.ndarray, to: float | None, fold: float | None) -> AnnData:
    """Return the cells with other counts of some genes, whole numbers, and totals that fit."""
    counts = csr_counts(data).astype(np.float64)
    if to is None:
        new = counts @ sparse.diags_array(np.where(changed, fold or 0.0, 1.0))
    else:
        new = counts @ sparse.diags_array(np.where(changed, 0.0, 1.0))
        new = new + sparse.csr_matrix(np.ones((len(counts.indptr) - 1, 1))) @ sparse.csr_matrix(changed[None] * to)
    new = sparse.csr_matrix(new)
    new.data = np.rint(new.data)
    shift = np.asarray((new - counts).sum(axis=1)).ravel()
    if not abs(new - counts).sum():
        names = data.var["name"][changed].tolist()
        what = f"the count {to}" if to is not None else f"as good as {fold} times their counts"
        raise ValueError(f"[{listed(names)}] have {what} in every cell already: nothing would change")
    totals = np.maximum(data.obs["total_counts"].to_numpy(np.float64) + shift, 1)
    return AnnData(new, obs=obs_table(data).assign(total_counts=totals), var=cast("pd.DataFrame", data.var))


def _expected(model: ScPrint, data: AnnData, others: np.ndarray, observed: AnnData, batch_size: int) -> np.ndarray:
    """Return expected counts of the other genes, float64, whose means add up to what was observed of these."""
    vocabulary, _ = tables(model)
    shared = match_genes(vocabulary, data)
    index = torch.from_numpy(shared.index)
    device = next(model.parameters()).device
    counts, was = csr_counts(data), csr_counts(observed)
    totals = data.obs["total_counts"].to_numpy(np.float32, copy=True)
    blocks = []
    for places in batches(data.n_obs, batch_size):
        rows = slice(places.start, places.stop)
        given = torch.from_numpy(counts[rows].toarray().astype(np.float32)).to(device)
        genes, total = index.to(device).expand(len(given), -1), torch.from_numpy(totals[rows]).to(device)
        with torch.inference_mode():
            output: ScPrintOutput = model(genes, given, total, expected_total=torch.ones_like(total), classes=())
        found = CountDistribution.of(output)
        shares = found.mean[:, others]
        scale = was[rows].toarray()[:, others].sum(axis=1) / shares.sum(axis=1)
        blocks.append((1 - found.extra_zero[:, others]) * shares * scale[:, None])
    return np.concatenate(blocks)


def _edges(networks: list[np.ndarray], names: list[str], n_edges: int) -> pd.DataFrame:
    """Return the edges whose weights differ most between two dense networks, row = regulator."""
    difference = networks[1] - networks[0]
    size = np.abs(difference).ravel()
    n = min(n_edges, int((size > 0).sum()))
    top = np.argpartition(-size, n - 1)[:n] if n else np.empty(0, dtype=np.int64)
    top = top[np.argsort(-size[top], kind="stable")]
    source, target = np.unravel_index(top, difference.shape)
    weights = {name: network[source, target] for name, network in zip(("before", "after"), networks, strict=True)}
    labels = np.array(names, dtype=object)
    table = pd.DataFrame({"source": labels[source], "target": labels[target], **weights})
    return table.assign(difference=table["after"] - table["before"])
