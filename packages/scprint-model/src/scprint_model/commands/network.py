"""``scprint network``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from grnndata import atomic_path
from scprint_model.commands.call import call, say
from scprint_model.commands.lines import lines
from scprint_model.networks.heads import Split
from scprint_model.networks.plan import Attention, Step
from scprint_model.networks.to_network import Normalize

if TYPE_CHECKING:
    from scprint_model.networks import HeadSelection


def network(
    input: Path,  # noqa: A002  (the name on the command line)
    output: Path,
    *,
    model: str = "bundled",
    groupby: str | None = None,
    group: list[str] | str | None = None,
    genes: str = "variable",
    n_genes: int = 3000,
    across: bool | None = None,
    context: int | None = None,
    n_cells: int | None = None,
    attention: Attention = "mean_qk",
    heads: str = "mean",
    layers: list[int] | None = None,
    normalize: Normalize = "softmax",
    regulators: Path | None = None,
    sparsify: int | None = None,
    steps: list[Step] | None = None,
    stability: int = 0,
    permutations: int = 0,
    truth: Path | None = None,
    split: Split = "regulators",
    edges: int | None = None,
    folder: Path | None = None,
    max_memory: float | None = None,
    batch_size: int | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    seed: int = 0,
) -> str:
    """Infer gene networks from the attention of a model over cells; the input is not changed.

    Parameters
    ----------
    input
        h5ad file of raw counts.
    output
        h5ad file to write: the cells and genes used, and the networks, row = regulator, column = target.
    model
        Folder, checkpoint or hub repository; see scprint inspect.
    groupby
        Column of obs: one network for each of its values; obs_names: one for each cell.
    group
        Only this value of it, or these: '["a", "b"]'.
    genes
        variable, expressed, all, or a file with one gene a line.
    n_genes
        How many variable or expressed ones.
    across
        Choose genes over all groups together (default for several), or in each group's own cells.
    context
        Genes that the model sees of a cell at a time; fewer than there are: random expressed ones.
    n_cells
        At most so many cells of a group.
    attention
        mean_qk: of the mean query and key, as in the paper; mean_attention: the mean of the cells' maps.
    heads
        mean, max, all (a plane a head), or a file of selected heads.
    layers
        Heads of these layers only, from 0.
    normalize
        softmax, sinkhorn, or none.
    regulators
        File with one gene a line: only these have outgoing edges.
    sparsify
        Keep so many regulators of each target.
    steps
        apc, symmetrise, maximum_spanning_tree, tmfg: done to each network, in order.
    stability
        Measure each edge's standard error with so many parts of the cells.
    permutations
        Measure each edge's p-value with so many networks of shuffled counts.
    truth
        Table of edges (source, target), csv or parquet: select the heads that fit it in the cells of the largest group,
        write them beside the output as .heads.json, and use them.
    split
        Score the selected heads on other regulators than they were selected with, or on other pairs.
    edges
        Also write so many of each network's strongest edges beside the output, as .edges.csv.
    folder
        Keep finished networks here, so that an interrupted run can go on.
    max_memory
        GB that may be used.
    batch_size
        Cells at a time; as many as suit the device by default.
    device
        Where the model runs.
    seed
        Of all draws.
    """
    import grnndata
    from scprint_model.model import ScPrint
    from scprint_model.networks import HeadSelection, infer, select_heads
    from scprint_model.networks.choose import cell_groups
    from scprint_model.networks.heads import Heads
    from scprint_model.tasks.files import check_output, open_cells

    check_output(input, output)
    if truth is not None and heads != "mean":
        raise ValueError(f"truth= selects the heads, and heads={heads!r} names them: give one of the two")
    listed = genes if genes in ("variable", "expressed", "all") else lines(Path(genes), "genes")
    chosen_heads: Heads = heads if heads in ("mean", "max", "all") else HeadSelection.load(heads)  # type: ignore[assignment]
    allowed = None if regulators is None else lines(regulators, "regulators")
    known = None if truth is None else _table(truth)
    adata = open_cells(input)
    network_model = ScPrint.from_pretrained(model).to(device)
    # one value that was asked for is one network, not a named one of several
    which = group[0] if isinstance(group, list) and len(group) == 1 else group
    inputs: dict[str, Any] = {
        "n_genes": n_genes,
        "context": context,
        "n_cells": n_cells,
        "attention": attention,
        "seed": seed,
    }
    inputs |= {"batch_size": batch_size, "max_memory": max_memory}
    written = [str(output)]
    if known is not None:
        groups = cell_groups(adata, groupby, which)
        largest = max(groups, key=lambda name: len(groups[name])) if groupby is not None else None
        stack = infer(
            network_model, adata, groupby=groupby, group=largest, genes=listed, heads="all", layers=layers, **inputs
        )
        chosen_heads = select_heads(stack, known, split=split, seed=seed)
        del stack
        layers = None
        beside = output.with_suffix(".heads.json")
        chosen_heads.save(beside)
        written.append(f"{beside} ({len(chosen_heads.heads)} heads, {_scores(chosen_heads)})")
    found = infer(
        network_model,
        adata,
        groupby=groupby,
        group=which,
        genes=listed,
        across=across,
        heads=chosen_heads,
        layers=layers,
        normalize=normalize,
        regulators=allowed,
        sparsify=sparsify,
        steps=steps or (),
        stability=stability,
        permutations=permutations,
        folder=folder,
        **inputs,
    )
    grnndata.write_h5ad(found, output)
    if edges is not None:
        table = found.networks.edges(top_k=edges) if len(found.networks) else found.edges(top_k=edges)
        beside = output.with_suffix(".edges.csv")
        with atomic_path(beside) as temporary:
            table.to_csv(temporary, index=False)
        written.append(str(beside))
    names = list(found.networks)
    what = (
        f"{len(names)} networks ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})" if names else "1 network"
    )
    return f"{what} over {found.n_vars:,} genes from {found.n_obs:,} cells: {', '.join(written)}"


def run(arguments: list[str]) -> int:
    """Infer, write, and say what was made."""
    return say(call(network, arguments, "network"))


def _table(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, sep=None, engine="python")  # commas or tabs


def _scores(selection: HeadSelection) -> str:
    scores = selection.scores
    return (
        f"average precision on held-out {selection.split} {scores['held_out_ap']:.4f}, all heads "
        f"{scores['held_out_ap_all_heads']:.4f}, by chance {scores['held_out_prevalence']:.4f}"
    )
