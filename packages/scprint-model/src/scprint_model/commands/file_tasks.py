"""The tasks as commands: from a file of cells to a file of results.

Options that a command does not name here are those of the task that it calls, with the task's help.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData

from grnndata import atomic_path
from scdataloader.counts import obs_table
from scdataloader.counts import total_counts as counted
from scdataloader.expression import CountsChoice
from scdataloader.labels import SUFFIX, label_column
from scprint_model import tasks
from scprint_model._command_line import with_folder
from scprint_model._provenance import KEY, beside, steps_of
from scprint_model._wording import listed
from scprint_model.cell_features import component_features
from scprint_model.commands.options import Device, TaskCommand, cells_of, check_before, lines, told_beside
from scprint_model.commands.pictures import cells_of_map, check_picture, draw_map, draw_reliability
from scprint_model.genes import match_genes
from scprint_model.model import ScPrint
from scprint_model.networks.choose import variable_genes
from scprint_model.tables import tables
from scprint_model.tasks.calibration import calibration
from scprint_model.tasks.encode import class_names
from scprint_model.tasks.files import read_cells
from scprint_model.tasks.generate import find_genes


def embed(
    input: Path,  # noqa: A002  (the name on the command line)
    out: Path,
    *,
    model: str = "bundled",
    plot: Path | None = None,
    colour: list[str] | None = None,
    device: Device = "cpu",
    choice: CountsChoice = CountsChoice(),  # noqa: B008 (frozen)
    **options: Any,
) -> str:
    """Embed the cells of a file.

    They are read a part at a time; the input is not changed.

    Parameters
    ----------
    input
        File of raw counts: h5ad, zarr, loom, 10x h5, or a 10x matrix folder.
    out
        File to write (h5ad): the input with the embedding in obsm.
    model
        Model to use: bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    plot
        Picture to draw (png, svg or pdf): a t-SNE of up to 5,000 cells.
    colour
        Columns of obs to colour the cells of the picture by; by default predicted_cell_type and cell_type, if they are
        there.
    device
        Device on which the model runs.
    choice
        Raw counts of the input that are meant.
    """
    check_before(device, input, out, plot)
    check_picture(plot)
    opened = read_cells(input, choice)
    adata = opened.cells
    columns = colour or [name for name in ("predicted_cell_type", "cell_type") if name in adata.obs]
    if missing := [name for name in columns if name not in adata.obs]:
        raise ValueError(f"--colour {missing}: obs of {input} has no such columns, only {list(adata.obs.columns)[:20]}")
    network = ScPrint.from_pretrained(model).to(device)
    tasks.embed(network, adata, encoded=None, **options)
    found = {**adata.obsm}
    spread = obs_table(adata)[[f"{name}_spread" for name in found]] if options.get("draws", 1) > 1 else None
    opened.write(with_folder(out), obs=spread, obsm=found, uns={**adata.uns})
    shapes = ", ".join(f"obsm[{name!r}] {value.shape[1]} wide" for name, value in found.items())
    said = f"{out}: {adata.n_obs:,} cells, {shapes}{opened.notes}"
    if plot is not None:
        some = cells_of_map(adata.n_obs)
        panels = {name: adata.obs[name].iloc[some] for name in columns} or {"cells": adata.obs_names[some].to_series()}
        said += f"\n{plot}: {draw_map(np.asarray(next(iter(found.values())))[some], panels, plot)}"
        said += f"; {told_beside(steps_of(adata.uns), plot)}"
    return said


def annotate(
    input: Path,  # noqa: A002
    out: Path,
    *,
    model: str = "bundled",
    classes: list[str] | None = None,
    report: Path | None = None,
    plot: Path | None = None,
    device: Device = "cpu",
    choice: CountsChoice = CountsChoice(),  # noqa: B008 (frozen)
    **options: Any,
) -> str:
    """Predict labels of the cells of a file.

    They are read a part at a time; the input is not changed. Where the file has true labels of a class
    (<class>_ontology_term_id or <class> in obs), it is said how right the predictions are, and what their confidence
    is worth.

    Parameters
    ----------
    input
        File of raw counts: h5ad, zarr, loom, 10x h5, or a 10x matrix folder.
    out
        File to write (h5ad): the input with predicted_<class> columns in obs.
    model
        Model to use: bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    classes
        Classes to predict, such as cell_type or tissue; all by default.
    report
        File to write the scores to, as JSON; needs true labels. Scores stand beside the commonest label and a
        cross-validated logistic regression on principal components of up to 5,000 cells, all with intervals.
    plot
        Picture to draw (png, svg or pdf) of up to 5,000 cells by the first class, predicted and true, as a t-SNE;
        and, where labels are true, beside it as .reliability, how right the predictions of each confidence are.
    device
        Device on which the model runs.
    choice
        Raw counts of the input that are meant.
    """
    check_before(device, input, out, report, plot)
    check_picture(plot)
    network = ScPrint.from_pretrained(model).to(device)
    opened = read_cells(input, choice)
    adata = opened.cells
    truth = obs_table(adata).copy()
    chosen = class_names(network, classes)
    names = [name.removesuffix(SUFFIX) for name in chosen]
    if report is not None and all(label_column(truth.columns, name) is None for name in names):
        raise ValueError(f"--report: obs of {input} has no true labels of {names}, only [{listed(truth.columns)}]")
    predicted = tasks.annotate(network, adata, classes=chosen, encoded=None, **options)
    labelled = any(label_column(truth.columns, name) is not None for name in names)
    rivals: dict[str, Any] = {}
    if labelled and adata.n_obs > 2:
        components, keys = component_features(adata, cells_of_map(adata.n_obs))
        rivals = {"features": {"principal components + regression": components}, "keys": keys}
    scores = calibration(predicted, truth, labels=network.label_space, **rivals)
    opened.write(with_folder(out), obs=predicted, obsm={**adata.obsm}, uns={**adata.uns})
    said = [f"{out}: {adata.n_obs:,} cells, {len(predicted.columns)} columns predicted_... in obs{opened.notes}"]
    for name, one in scores.items():
        said += [f"{name}: {one}"]
        table = one.reliability.to_string(index=False, float_format="{:.3f}".format)
        said += [f"  {line}" for line in table.splitlines() if len(one.reliability)]
    if report is not None:
        with atomic_path(report) as temporary:
            content = {name: one.as_dict() for name, one in scores.items()} | {KEY: steps_of(adata.uns)}
            temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        said.append(f"{report}: these scores")
    if plot is not None:
        some = cells_of_map(adata.n_obs)
        shown = {key: options[key] for key in ("context", "batch_size", "seed") if key in options}
        embedding = tasks.embed(network, adata[some].to_memory(), **shown)
        panels = {f"predicted {names[0]}": predicted[f"predicted_{names[0]}"].iloc[some]}
        true = names[0] if names[0] in truth else label_column(truth.columns, names[0])
        if true is not None:
            panels[f"{true}, as given"] = truth[true].iloc[some]
        steps = steps_of(adata.uns)
        said.append(f"{plot}: {draw_map(embedding, panels, plot)}; {told_beside(steps, plot)}")
        if scores:
            reliability = plot.with_suffix(f".reliability{plot.suffix}")
            draw_reliability(scores, reliability)
            told = told_beside(steps, reliability)
            said.append(f"{reliability}: how right the predictions of each confidence are; {told}")
    return "\n".join(said)


def denoise(
    input: Path,  # noqa: A002
    out: Path,
    *,
    model: str = "bundled",
    genes: str = "variable",
    n_genes: int = 2000,
    device: Device = "cpu",
    choice: CountsChoice = CountsChoice(),  # noqa: B008 (frozen)
    **options: Any,
) -> str:
    """Predict the counts of a deeper sequencing.

    The cells are read a part at a time; the input is not changed.

    Parameters
    ----------
    input
        File of raw counts: h5ad, zarr, loom, 10x h5, or a 10x matrix folder.
    out
        File to write (h5ad): the expected counts in X, the input's in the layer counts.
    model
        Model to use: bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    genes
        Genes to predict: variable, all, or a file with one gene a line.
    n_genes
        Number of variable genes.
    device
        Device on which the model runs.
    choice
        Raw counts of the input that are meant.
    """
    check_before(device, input, out)
    network = ScPrint.from_pretrained(model).to(device)
    opened = read_cells(input, choice)
    adata = opened.cells
    chosen = None
    if genes == "variable":
        known = match_genes(tables(network)[0], adata)
        at = variable_genes(adata, known, n_genes, n_cells=5000)  # enough to rank genes by
        chosen = adata.var_names[known.columns[at]].tolist()
    elif genes != "all":
        chosen = lines(Path(genes), "genes")
    found = tasks.denoise(network, adata, genes=chosen, out=with_folder(out), **options)
    return f"{out}: {found.n_obs:,} cells, {found.n_vars:,} genes{opened.notes}"


def generate(
    input: Path,  # noqa: A002
    out: Path,
    *,
    genes: Path,
    take: dict[str, str] | None = None,
    cells: str | None = None,
    total_counts: float | None = None,
    model: str = "bundled",
    context: int | None = None,
    batch_size: int = 32,
    device: Device = "cpu",
    choice: CountsChoice = CountsChoice(),  # noqa: B008 (frozen)
    seed: int = 0,
    **options: Any,
) -> str:
    """Predict the counts of cells from their embeddings, in which facets of other cells may be mixed.

    Parameters
    ----------
    input
        File of raw counts: h5ad, zarr, loom, 10x h5, or a 10x matrix folder.
    out
        File to write (h5ad): the expected counts in X.
    genes
        File with one gene a line, ids or symbols that the model knows; any, also such as the input does not have.
    take
        Facets to take from other cells of the input, their mean: '{"disease": "disease=influenza"}' is the token
        disease of the cells with the value influenza in the column disease.
    cells
        Cells to generate, as column=value; all by default.
    total_counts
        Sum of a cell's counts over the genes; its own total count in the input by default.
    model
        Model to use: bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    context
        Number of most expressed genes that the model sees of a cell to embed it.
    batch_size
        Number of cells at a time.
    device
        Device on which the model runs.
    choice
        Raw counts of the input that are meant.
    seed
        Seed for the draws.
    """
    check_before(device, input, out)
    names = lines(genes, "genes")
    opened = read_cells(input, choice)
    adata = opened.cells
    chosen = adata if cells is None else cells_of(adata, cells)
    sources = {token: cells_of(adata, where) for token, where in (take or {}).items()}
    network = ScPrint.from_pretrained(model).to(device)
    if network.vocabulary is not None:
        find_genes(network.vocabulary, names)  # before the work

    def embedded(data: AnnData) -> tasks.EncodedCells:
        return tasks.encode(network, data, context=context, batch_size=batch_size, seed=seed, classes=())

    mixed = tasks.mix(embedded(chosen), {token: embedded(source) for token, source in sources.items()})
    found = tasks.generate(
        network,
        mixed,
        genes=names,
        total_counts=np.maximum(counted(chosen), 1) if total_counts is None else total_counts,
        names=chosen.obs_names.tolist(),
        batch_size=batch_size,
        seed=seed,
        out=with_folder(out),
        **options,
    )
    facets = "".join(f", {token} of {source.n_obs:,} cells" for token, source in sources.items())
    return f"{out}: {found.n_obs:,} cells, {found.n_vars:,} genes{facets}{opened.notes}"


def impute(
    input: Path,  # noqa: A002
    out: Path,
    *,
    genes: Path,
    model: str = "bundled",
    device: Device = "cpu",
    choice: CountsChoice = CountsChoice(),  # noqa: B008 (frozen)
    **options: Any,
) -> str:
    """Predict the counts of genes that the data did not measure.

    The input is not changed.

    Parameters
    ----------
    input
        File of raw counts: h5ad, zarr, loom, 10x h5, or a 10x matrix folder.
    out
        File to write (h5ad): the expected counts in X.
    genes
        File with one gene a line, ids or symbols that the model knows.
    model
        Model to use: bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    device
        Device on which the model runs.
    choice
        Raw counts of the input that are meant.
    """
    check_before(device, input, out)
    names = lines(genes, "genes")
    opened = read_cells(input, choice)
    network = ScPrint.from_pretrained(model).to(device)
    found = tasks.impute(network, opened.cells, genes=names, out=with_folder(out), **options)
    return f"{out}: {found.n_obs:,} cells, {found.n_vars:,} genes{opened.notes}"


def perturb(
    input: Path,  # noqa: A002
    out: Path,
    *,
    genes: list[str],
    cells: str | None = None,
    model: str = "bundled",
    device: Device = "cpu",
    choice: CountsChoice = CountsChoice(),  # noqa: B008 (frozen)
    **options: Any,
) -> str:
    """Silence genes, or change their counts, and compare what the model expects of the others.

    Profiles and networks are compared. These are associations that the model has learned, which a real experiment need
    not show.

    Parameters
    ----------
    input
        File of raw counts: h5ad, zarr, loom, 10x h5, or a 10x matrix folder.
    out
        File to write (csv): a row for each other gene. Beside it, as .edges.csv, the edges that changed most.
    genes
        Names of the genes to change, as in the data.
    cells
        Cells to take, as column=value; all by default.
    model
        Model to use: bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    device
        Device on which the model runs.
    choice
        Raw counts of the input that are meant.
    """
    edges_file = out.with_suffix(".edges.csv")
    check_before(device, input, out, edges_file)
    for path in (out, edges_file):
        beside(path)
    opened = read_cells(input, choice)
    adata = opened.cells
    if cells is not None:
        adata = cells_of(adata, cells)
    network = ScPrint.from_pretrained(model).to(device)
    found = tasks.perturb(network, adata, genes=genes, panel=None, **options)
    written = [out]
    with atomic_path(out) as temporary:
        found.profile.to_csv(temporary, index_label="gene")
    if found.edges is not None:
        with atomic_path(edges_file) as temporary:
            found.edges.to_csv(temporary, index=False)
        written.append(edges_file)
    changed = f"{', '.join(genes)} changed in {adata.n_obs:,} cells, {len(found.profile):,} others{opened.notes}"
    return f"{', '.join(map(str, written))}: {changed}; {told_beside(found.steps, *written)}"


COMMANDS = {
    "embed": TaskCommand(embed, tasks.embed, filled=("encoded",), reads_cells=True),
    "annotate": TaskCommand(annotate, tasks.annotate, filled=("encoded",), reads_cells=True),
    "denoise": TaskCommand(denoise, tasks.denoise, reads_cells=True),
    "generate": TaskCommand(generate, tasks.generate, filled=("names",), reads_cells=True),
    "impute": TaskCommand(impute, tasks.impute, reads_cells=True),
    "perturb": TaskCommand(perturb, tasks.perturb, filled=("panel",), reads_cells=True),
}
