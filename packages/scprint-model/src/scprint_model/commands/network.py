"""``scprint network``: options that are not named here are those of `scprint_model.infer`, with its help."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grnndata
from grnndata import atomic_path
from scdataloader.expression import CountsChoice
from scprint_model._command_line import with_folder
from scprint_model._provenance import beside, steps_of
from scprint_model.commands.options import Device, TaskCommand, check_before, lines, told_beside
from scprint_model.commands.pictures import check_picture, draw_hubs
from scprint_model.model import ScPrint
from scprint_model.networks import HeadSelection, estimate, infer, select_heads
from scprint_model.networks.choose import cell_groups
from scprint_model.networks.heads import Heads, Split
from scprint_model.tasks.files import read_cells

#: Options of `infer` that decide what a truth is compared with.
_FOR_SELECTION = ("n_genes", "context", "n_cells", "attention", "batch_size", "max_memory", "seed")


def network(
    input: Path,  # noqa: A002  (the name on the command line)
    out: Path,
    *,
    model: str = "bundled",
    groupby: str | None = None,
    group: list[str] | None = None,
    genes: str = "variable",
    heads: str = "mean",
    layers: list[int] | None = None,
    regulators: Path | None = None,
    truth: Path | None = None,
    truth_columns: list[str] | None = None,
    split: Split = "regulators",
    edges: int | None = None,
    plot: Path | None = None,
    dry_run: bool = False,
    device: Device = "cpu",
    choice: CountsChoice = CountsChoice(),  # noqa: B008 (frozen)
    **options: Any,
) -> str:
    """Infer gene networks from what a model has learned.

    The input is not changed.

    Parameters
    ----------
    input
        File of raw counts: h5ad, zarr, loom, 10x h5, or a 10x matrix folder.
    out
        File to write (h5ad): the cells and genes used, and the networks, row = regulator, column = target.
    model
        Model to use: bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    groupby
        Column of obs: one network for each of its values; obs_names: one for each cell.
    group
        Values of that column whose cells are taken; all by default.
    genes
        Genes of the network: variable, expressed, all, or a file with one gene a line.
    heads
        Attention heads: mean, max, all (a plane a head), or a file of selected heads.
    layers
        Layers whose heads are used, from 0; all by default.
    regulators
        File with one gene a line: only these have outgoing edges.
    truth
        Table of true edges, as source and target or with the headers of other tools: select the heads that fit it in
        the cells of the largest group, write them beside the output as .heads.json, and use them.
    truth_columns
        Columns of the truth with source and target, by name or by position from 0; recognised by default.
    split
        Pairs to score the selected heads on: those of other regulators than they were selected with, or others.
    edges
        Number of each network's strongest edges to write beside the output, as .edges.csv.
    plot
        Picture to draw of the strongest hubs (png, svg or pdf); of several networks, of the first six.
    dry_run
        Say what the networks will take, without making them.
    device
        Device on which the model runs.
    choice
        Raw counts of the input that are meant.
    """
    heads_file, edges_file = out.with_suffix(".heads.json"), out.with_suffix(".edges.csv")
    check_before(
        device, input, out, heads_file if truth is not None else None, edges_file if edges is not None else None
    )
    check_before(device, input, plot)
    check_picture(plot)
    if plot is not None and heads == "all":
        raise ValueError("--plot draws the hubs of one network a group: --heads all keeps one a head")
    if edges is not None:
        beside(edges_file)
    source = options.get("source", "attention")
    if truth is not None and source != "attention":
        raise ValueError(f"--truth selects heads of attention, and --source {source} has none: leave one of them out")
    if truth is not None and heads != "mean":
        raise ValueError(f"truth= selects the heads, and heads={heads!r} names them: give one of the two")
    listed = genes if genes in ("variable", "expressed", "all") else lines(Path(genes), "genes")
    chosen: Heads = heads if heads in ("mean", "max", "all") else HeadSelection.load(heads)  # type: ignore[assignment]
    allowed = None if regulators is None else lines(regulators, "regulators")
    known = None if truth is None else grnndata.read_pairs(truth, columns=truth_columns)
    opened = read_cells(input, choice)
    adata = opened.cells
    scprint = ScPrint.from_pretrained(model).to(device)
    # one value that was asked for is one network, not a named one of several
    asked = group[0] if group is not None and len(group) == 1 else group
    if dry_run:
        if known is not None:
            raise ValueError("--dry-run says what networks take: leave out --truth, which selects heads with one more")
        options |= {"groupby": groupby, "group": asked, "genes": listed, "heads": chosen, "layers": layers}
        return f"{out}: {estimate(scprint, adata, regulators=allowed, **options)}"
    written = [str(out)]
    if known is not None:
        groups = cell_groups(adata, groupby, asked)
        largest = max(groups, key=lambda name: len(groups[name])) if groupby is not None else None
        same = {name: options[name] for name in _FOR_SELECTION if name in options}
        stack = infer(scprint, adata, groupby=groupby, group=largest, genes=listed, heads="all", layers=layers, **same)
        chosen = select_heads(stack, known, split=split, seed=same.get("seed", 0))
        del stack
        layers = None
        chosen.save(with_folder(heads_file))
        written.append(f"{heads_file} ({len(chosen.heads)} heads, {_scores(chosen)})")
    found = infer(
        scprint,
        adata,
        groupby=groupby,
        group=asked,
        genes=listed,
        heads=chosen,
        layers=layers,
        regulators=allowed,
        **options,
    )
    grnndata.write_h5ad(found, with_folder(out))
    if edges is not None:
        table = found.networks.edges(top_k=edges) if len(found.networks) else found.edges(top_k=edges)
        with atomic_path(edges_file) as temporary:
            table.to_csv(temporary, index=False)
        written.append(f"{edges_file} ({told_beside(steps_of(found.uns), edges_file)})")
    if plot is not None:
        draw_hubs(found, plot)
        written.append(f"{plot} ({told_beside(steps_of(found.uns), plot)})")
    names = list(found.networks)
    many = f"{len(names)} networks ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"
    return (
        f"{many if names else '1 network'} over {found.n_vars:,} genes from {found.n_obs:,} cells: {', '.join(written)}"
        f"{opened.notes}"
    )


def _scores(selection: HeadSelection) -> str:
    scores = selection.scores
    return (
        f"average precision on held-out {selection.split} {scores['held_out_ap']:.4f}, all heads "
        f"{scores['held_out_ap_all_heads']:.4f}, by chance {scores['held_out_prevalence']:.4f}"
    )


COMMANDS = {"network": TaskCommand(network, infer, filled=("before",), reads_cells=True)}
