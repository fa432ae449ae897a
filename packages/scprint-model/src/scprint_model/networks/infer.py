"""Gene networks of groups of cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from tqdm.auto import tqdm

from grnndata import GRNAnnData
from scdataloader.counts import total_counts
from scdataloader.expression import with_counts
from scprint_model._provenance import in_uns, step, steps_of
from scprint_model.checkpoints.identity import identity, weights_hash
from scprint_model.genes import SharedGenes, match_genes
from scprint_model.model import ScPrint
from scprint_model.named_genes import names_in_data
from scprint_model.networks.annotated import as_grnndata, together
from scprint_model.networks.choose import (
    CellContents,
    Genes,
    NetworkCells,
    cell_groups,
    choose_genes,
    drop_empty_cells,
    single_cells,
    used_cells,
)
from scprint_model.networks.finished import FinishedNetworks, data_hash
from scprint_model.networks.group import infer_group
from scprint_model.networks.heads import Heads, choose_heads
from scprint_model.networks.plan import Attention, NetworkPlan, Step
from scprint_model.networks.regulators import Regulators, find_regulators
from scprint_model.networks.source import Source, check_source
from scprint_model.networks.strata import Null, null_strata, strata_record
from scprint_model.networks.to_network import Normalize
from scprint_model.networks.work import WorkEstimate, estimate_work
from scprint_model.tables import DEFAULT_CONTEXT, tables, tell_context

#: Arguments of `infer` that are no part of what it computes.
_NOT_RECORDED = ("model", "adata", "folder", "max_memory")


@torch.inference_mode()
def infer(
    model: ScPrint,
    adata: AnnData,
    *,
    layer: str | None = None,
    counts: str = "X",
    round: bool = False,  # noqa: A002 (the option's name)
    groupby: str | None = None,
    group: str | Sequence[str] | None = None,
    genes: Genes = "variable",
    n_genes: int = 3000,
    across: bool | None = None,
    context: int | None = None,
    n_cells: int | None = None,
    source: Source = "attention",
    attention: Attention = "mean_qk",
    heads: Heads = "mean",
    layers: Sequence[int] | None = None,
    normalize: Normalize = "softmax",
    regulators: Iterable[str] | None = None,
    keep_regulators: bool = False,
    top_k: int | None = None,
    steps: Sequence[Step] = (),
    stability: int = 0,
    permutations: int = 0,
    null: Null = "depth",
    batch_key: str | Sequence[str] | None = None,
    pooled: bool | None = None,
    draws: int = 1,
    folder: Path | str | None = None,
    max_memory: float | None = None,
    before: Callable[[WorkEstimate], object] | None = None,
    batch_size: int | None = None,
    seed: int = 0,
) -> GRNAnnData:
    """Infer gene networks of groups of cells from what a model has learned.

    A gene that attends is the target, and the gene it attends to its regulator. Cell tokens and self edges are left
    out. No more is kept than sums over the cells.

    Parameters
    ----------
    model
        See `ScPrint.from_pretrained`.
    adata
        Cells with raw counts, as for `scprint_model.tasks.encode`, in memory or in a file, of which the cells used are
        read; not changed.
    layer
        Layer that holds the raw counts.
    counts
        Place of the raw counts: X, raw, a layer, or auto for the first of X, raw and the layers that holds whole
        numbers.
    round
        Whether to round fractional counts, as RSEM, salmon, alevin, STARsolo-EM and CellBender give them. Normalised
        values are refused.
    groupby, group
        Column of obs, and those of its values that are asked for: one network of the cells with that value, or one each
        for several values. `groupby` alone: one network for every value, named so in ``networks``. Neither: one of all
        cells. Groups need 2 cells; ``groupby="obs_names"`` asks for networks of single cells, all or those named by
        `group`.
    genes
        ``"variable"``: the most variable ones; ``"expressed"``: those with the largest mean share of a cell's counts;
        ``"all"`` that the model knows; or a list of names: ids, symbols or aliases, as
        `scprint_model.named_genes.genes_of_data` takes them.
    n_genes
        Number of variable or expressed genes.
    across
        Whether to choose genes over the cells of all groups, or for each network over its own cells. None: over all
        where there are several networks, so that these have the same genes.
    context
        Number of genes that the model sees of a cell at a time. Fewer than the network has: each cell shows a random
        draw of its expressed ones, filled up with others, and a gene's query and key are averaged over the cells that
        showed it; ``var["n_cells_seen"]`` says how many these were, and genes that none showed are left out. None: all
        genes at once, and for ``genes="all"`` as many as the model saw in training. Time goes with its square.
    n_cells
        Largest number of cells of a group, drawn at random; None: all.
    source
        Source of the weights. ``"attention"``: shares of attention, see `attention`. ``"jacobian"``: the change of a
        target's predicted log mean for one more count of the regulator, mean over the cells, with its sign; each
        regulator takes some ten times as long as a pass of the cells, so name `regulators`, and all genes must fit one
        context. ``"gene_embedding"``: the cosine of the two genes' embeddings in the model, which never looks at the
        cells: these choose the genes at most, and the network is of no cell type.
    attention
        Attention that makes the network. ``"mean_qk"``: that of the mean query and the mean key of each gene, as in the
        paper. ``"mean_attention"``: the mean of the attention maps of the cells; slower, and all genes must fit one
        context.
    heads
        ``"mean"`` or ``"max"`` over all heads; ``"all"``: a stack with a plane a head; or the mean of some: a
        `HeadSelection`, or pairs (layer, head), both from 0.
    layers
        Heads of these layers only, from 0, negative ones from the last; None: all.
    normalize
        Scale of the attention. ``"softmax"``: shares of a target's attention; they sum to less than 1, what is missing
        went to the cell tokens and the gene itself. ``"sinkhorn"``: scaled until also each regulator's sum to 1 (self
        edges, dropped then, count), in every head, or for ``"mean_attention"`` in their mean. ``"none"``: scaled
        products, without softmax.
    regulators
        Names of the genes that may have outgoing edges, for example transcription factors, named as `genes`; None: all.
        Those that are not among the genes of the network are told in the log and, with the ones used, in the parameters
        of ``uns["grn"]``.
    keep_regulators
        Whether to add all `regulators` that the model and the data know to the chosen genes.
    top_k
        Number of regulators to keep of each target, those with the largest weights, as a sparse network that is never
        held densely; None: all.
    steps
        Tools of grnndata to apply to each network, in order: ``"apc"``, ``"symmetrise"``, ``"maximum_spanning_tree"``,
        ``"tmfg"``.
    stability
        Number of parts to deal the cells into, to store the standard error of each edge from the networks of the parts,
        after `steps`, in ``varp["GRN_standard_error"]``; 0: not. NaN where no edge is tested, as for `permutations`.
    permutations
        Number of networks to infer from cells in which each gene's counts were dealt anew, apart from other genes', to
        store, in ``varp["GRN_p_value"]``, how probable a weight at least as large is there, all after `steps`; 0: not.
        NaN where no edge is tested: self edges, and genes that are not among `regulators`. It takes as many times
        longer, and all genes must fit one context.
    null
        Quantities that the p-values hold fixed. ``"depth"``: a cell's depth and batch: counts are dealt among cells of
        like depth, and scaled to the depth of the cell that receives them. ``"cells"``: the batch only, as if all cells
        were of one depth. Cells that differ in depth then make most edges significant.
    batch_key
        Column of obs, or several, such as donor and plate: `permutations` deals counts among cells that agree in them.
    pooled
        Whether p-values come of the permutations of all edges, in standard deviations of each, with a fitted tail; or,
        False, are each edge's share of networks in which its weight was at least as large, the observed one included.
        None: pooled from 10 permutations on, but for the `steps` ``"maximum_spanning_tree"`` and ``"tmfg"``.
    draws
        Number of draws of genes of every cell, where `context` is smaller than the network, with the seeds from `seed`
        on: queries and keys are averaged over all, and ``varp["GRN_spread"]`` of a dense network is the standard
        deviation of each weight between the networks of the draws. It takes as many times longer.
    folder
        Folder that keeps each finished network: the same call after an interruption does the others only.
    max_memory
        Memory in GB that may be used; None: what the machine has left.
    before
        Function that is called before the model begins with what the networks will take, as
        `scprint_model.networks.estimate` returns it; what it raises stops the work.
    batch_size
        Number of cells at a time; None: as many as have some 4,000 tokens on the CPU, 65,000 on a GPU. It changes
        nothing but speed and memory.
    seed
        Seed for all draws.

    Returns
    -------
    grnndata.GRNAnnData
        The cells and genes used, raw counts in X, and the network, row = regulator, column = target. Of several groups:
        all their cells and genes, and a named network each; weights are 0 where it had no such gene.

    Raises
    ------
    ValueError
        For a group that is not there, too few cells, genes that the model does not know, no regulator among the genes,
        options that contradict each other, or more memory than there is; all before the model begins.

    Notes
    -----
    scPRINT paper, Methods, "Extracting meta-cell gene networks from attention matrices in scPRINT".
    """
    if regulators is not None and not isinstance(regulators, str):
        regulators = list(regulators)
    adata = with_counts(adata, layer=layer, counts=counts, round=round)
    made = step(infer, locals(), model=identity(model), inputs=[adata], skip=_NOT_RECORDED)
    record = in_uns([*steps_of(adata.uns), made])
    check_source(source, locals())
    vocabulary, _ = tables(model)
    chosen_heads, combine = choose_heads(model, heads, layers)
    plan = NetworkPlan(
        source=source,
        attention=attention,
        heads=chosen_heads,
        combine=combine,
        normalize=normalize,
        top_k=top_k,
        steps=tuple(steps),
        stability=stability,
        permutations=permutations,
        null=null,
        pooled=pooled,
        draws=draws,
        batch_size=batch_size,
    )
    if n_genes < 2 or (context is not None and context < 2):
        raise ValueError(f"n_genes={n_genes} and context={context} must be at least 2")
    groups = cell_groups(adata, groupby, group)
    several = groupby is not None and (group is None or not isinstance(group, str))
    if several and combine == "all":
        raise ValueError("heads='all' keeps a stack of networks, of one group: give group=")
    shared = match_genes(vocabulary, adata)
    contents = CellContents.read(adata, shared)
    groups = drop_empty_cells(groups, contents, n_cells, seed, least=1 if single_cells(adata, groupby) else 2)
    if not isinstance(genes, str):
        genes = names_in_data(vocabulary, adata, shared, genes)
    allowed = find_regulators(vocabulary, adata, shared, regulators, keep=keep_regulators)
    adata, numbers, groups = used_cells(adata, groups)
    known_counts = shared.counts(adata)
    known = _plain(adata, shared, known_counts)
    if isinstance(genes, str) and (genes, context, source) == ("all", None, "attention"):
        context = model.context or DEFAULT_CONTEXT
    every = np.argsort(contents.rank[numbers]) if (several if across is None else across) else None
    index = shared.index[shared.columns]
    at = _genes(known, groups, index, genes, n_genes, every=every, allowed=allowed)
    del known
    n_most = max(map(len, at.values()))
    plan.check({name: len(cells) for name, cells in groups.items()}, n_most, context)
    shown = min(context or n_most, n_most)
    memory = plan.memory(model, n_most, shown, n_networks=len(groups))
    memory.check(max_memory)
    tell_context(model, shown if plan.passes_a_cell else 0)
    strata = null_strata(adata, groups, null, batch_key, permutations=permutations)

    options = plan.describe(model) | {"genes": genes if isinstance(genes, str) else "given", "seed": seed}
    told: dict[str, Any] = {"groupby": groupby or "", "normalize": normalize, "steps": list(steps), "context": context}
    told |= {"cells": {name: len(cells) for name, cells in groups.items()}}
    told["strata"] = {name: str(pd.util.hash_array(found.of_cell).sum()) for name, found in strata.items()}
    finished = None
    if folder is not None:
        finished = FinishedNetworks(
            folder, _description(adata, shared, known_counts, model, at, allowed) | options | told
        )
    del known_counts
    networks = {}
    n_times = plan.passes_a_cell
    n_passes = sum(map(len, groups.values())) * n_times
    if before is not None:
        largest = max(at, key=lambda name: len(at[name]))
        cells = groups[largest]
        inputs = NetworkCells.build(adata, shared, at[largest], cells, contents.keys[numbers[cells]], context, seed)
        before(
            estimate_work(
                model,
                plan,
                inputs,
                n_networks=len(groups),
                n_passes=n_passes,
                memory=memory,
                regulators=_among(allowed, at[largest]),
            )
        )
    with tqdm(total=n_passes, desc="reading networks", unit="cell", disable=None) as bar:
        for name, cells in groups.items():
            network = finished.read(name) if finished else None
            if network is None:
                inputs = NetworkCells.build(
                    adata, shared, at[name], cells, contents.keys[numbers[cells]], context, seed
                )
                found = infer_group(
                    model,
                    inputs,
                    plan,
                    regulators=_among(allowed, at[name]),
                    strata=strata.get(name),
                    seed=seed,
                    advance=bar.update,
                )
                about = options | {"group": name, "groupby": groupby or "", "n_cells": len(cells)}
                about |= strata_record(strata.get(name), batch_key)
                if allowed is not None:
                    about |= allowed.record(at[name][found.n_seen > 0])
                network = as_grnndata(adata, shared, at[name], np.sort(cells), found, plan, told=about, inputs=inputs)
                if finished:
                    finished.write(name, network)
            else:
                bar.update(len(cells) * n_times)
            networks[name] = network
    result = together(adata, shared, networks) if several else next(iter(networks.values()))
    result.uns.update(record)
    return result


def _among(allowed: Regulators | None, at: np.ndarray) -> np.ndarray | None:
    """Return which genes, at these positions, may be regulators, bool; None: all."""
    return None if allowed is None else allowed.among(at)


def _genes(
    known: AnnData,
    groups: dict[str, np.ndarray],
    index: np.ndarray,
    genes: Genes,
    n_genes: int,
    *,
    every: np.ndarray | None,
    allowed: Regulators | None,
) -> dict[str, np.ndarray]:
    """Return the positions of each group's genes, chosen in its cells or, for all groups alike, in `every` cell."""
    if every is not None:
        at = dict.fromkeys(groups, choose_genes(known[every], index, genes, n_genes))
    else:
        at = {name: choose_genes(known[cells], index, genes, n_genes) for name, cells in groups.items()}
    if allowed is not None:
        at = {name: allowed.add(places) for name, places in at.items()}
        allowed.check(at)
    return at


def _plain(adata: AnnData, shared: SharedGenes, counts: Any) -> AnnData:
    """Return the known genes' counts and each cell's total, without anything else that the data hold."""
    obs = pd.DataFrame({"total_counts": total_counts(adata)}, index=adata.obs_names)
    return AnnData(X=counts, obs=obs, var=pd.DataFrame(index=adata.var_names[shared.columns]))


def _description(
    adata: AnnData,
    shared: SharedGenes,
    counts: Any,
    model: ScPrint,
    at: dict[str, np.ndarray],
    allowed: Regulators | None,
) -> dict[str, Any]:
    """Return what networks depend on beside the options, short enough for a file."""
    names = adata.var_names[shared.columns]
    chosen = {name: "\n".join(names[places]) for name, places in at.items()}
    return {
        "data": data_hash(adata, counts),
        "model": weights_hash(model)[:16],
        "genes_of_groups": pd.util.hash_pandas_object(pd.Series(chosen)).astype(str).to_dict(),
        "regulators": [] if allowed is None else list(allowed.named.asked),
    }
