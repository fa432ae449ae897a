"""The tasks as commands: from a file of cells to a file of results.

Options that a command does not name here are those of the task that it calls, with the task's help.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from anndata import AnnData

from grnndata import atomic_path, tl
from scdataloader.counts import obs_table
from scdataloader.counts import total_counts as counted
from scdataloader.labels import SUFFIX, label_column
from scprint_model import tasks
from scprint_model.commands.options import call, cells_where, lines
from scprint_model.genes import match_genes
from scprint_model.model import ScPrint
from scprint_model.tables import tables
from scprint_model.tasks.calibration import calibration
from scprint_model.tasks.encode import class_names
from scprint_model.tasks.files import check_output, open_cells, write_with
from scprint_model.tasks.generate import find_genes

Device = Literal["cpu", "cuda"]


def run(command: str, words: list[str]) -> str:
    """Run a subcommand on its words, and return what to say of it."""
    functions: dict[str, Callable[..., str]] = {
        "annotate": annotate,
        "denoise": denoise,
        "embed": embed,
        "generate": generate,
        "impute": impute,
        "perturb": perturb,
    }
    text: str = call(functions[command], _one_gene(words) if command == "perturb" else words, command)
    return text


def embed(
    input: Path,  # noqa: A002  (the name on the command line)
    output: Path,
    *,
    model: str = "bundled",
    device: Device = "cpu",
    **options: Any,
) -> str:
    """Embed the cells of a file, which are read a part at a time; the input is not changed.

    Parameters
    ----------
    input
        File of raw counts (h5ad).
    output
        File to write (h5ad): the input with the embedding in obsm.
    model
        Model to use: bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    device
        Device on which the model runs.
    """
    check_output(input, output)
    network = ScPrint.from_pretrained(model).to(device)
    adata = open_cells(input)
    tasks.embed(network, adata, encoded=None, **options)
    found = {**adata.obsm}
    write_with(input, output, obsm=found)
    shapes = ", ".join(f"obsm[{name!r}] {value.shape[1]} wide" for name, value in found.items())
    return f"{output}: {adata.n_obs:,} cells, {shapes}"


def annotate(
    input: Path,  # noqa: A002
    output: Path,
    *,
    model: str = "bundled",
    classes: str | None = None,
    report: Path | None = None,
    device: Device = "cpu",
    **options: Any,
) -> str:
    """Predict labels of the cells of a file, which are read a part at a time; the input is not changed.

    Where the file has true labels of a class (<class>_ontology_term_id or <class> in obs), it is said how right the
    predictions are, and what their confidence is worth.

    Parameters
    ----------
    input
        File of raw counts (h5ad).
    output
        File to write (h5ad): the input with predicted_<class> columns in obs.
    model
        Model to use: bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    classes
        Classes to predict, such as cell_type,tissue; all by default.
    report
        File to write the scores to, as JSON; needs true labels.
    device
        Device on which the model runs.
    """
    check_output(input, output)
    if report is not None and not report.parent.is_dir():
        raise FileNotFoundError(f"cannot write {report}: there is no folder {report.parent.resolve()}")
    network = ScPrint.from_pretrained(model).to(device)
    adata = open_cells(input)
    truth = obs_table(adata).copy()
    chosen = class_names(network, None if classes is None else classes.split(","))
    names = [name.removesuffix(SUFFIX) for name in chosen]
    if report is not None and all(label_column(truth.columns, name) is None for name in names):
        raise ValueError(f"--report: obs of {input} has no true labels of {names}, only {list(truth.columns)}")
    predicted = tasks.annotate(network, adata, classes=chosen, encoded=None, **options)
    scores = calibration(predicted, truth, labels=network.label_space)
    write_with(input, output, obs=predicted, obsm={**adata.obsm}, uns={**adata.uns})
    said = [f"{output}: {adata.n_obs:,} cells, {len(predicted.columns)} columns predicted_... in obs"]
    for name, one in scores.items():
        said += [f"{name}: {one}"]
        table = one.reliability.to_string(index=False, float_format="{:.3f}".format)
        said += [f"  {line}" for line in table.splitlines() if len(one.reliability)]
    if report is not None:
        with atomic_path(report) as temporary:
            content = {name: one.as_dict() for name, one in scores.items()}
            temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        said.append(f"{report}: these scores")
    return "\n".join(said)


def denoise(
    input: Path,  # noqa: A002
    output: Path,
    *,
    model: str = "bundled",
    genes: str = "variable",
    n_genes: int = 2000,
    device: Device = "cpu",
    **options: Any,
) -> str:
    """Predict the counts of a deeper sequencing, a part of the cells at a time; the input is not changed.

    Parameters
    ----------
    input
        File of raw counts (h5ad).
    output
        File to write (h5ad): the expected counts in X, the input's in the layer counts.
    model
        Model to use: bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    genes
        Genes to predict: variable, all, or a file with one gene a line.
    n_genes
        Number of variable genes.
    device
        Device on which the model runs.
    """
    check_output(input, output)
    network = ScPrint.from_pretrained(model).to(device)
    adata = open_cells(input)
    chosen = None
    if genes == "variable":
        known = match_genes(tables(network)[0], adata).columns
        some = adata[:: max(1, adata.n_obs // 5000)]  # enough to rank genes by
        chosen = tl.most_variable_genes(some[:, known].to_memory(), n_genes).tolist()
    elif genes != "all":
        chosen = lines(Path(genes), "genes")
    found = tasks.denoise(network, adata, genes=chosen, out=output, **options)
    return f"{output}: {found.n_obs:,} cells, {found.n_vars:,} genes"


def generate(
    input: Path,  # noqa: A002
    output: Path,
    *,
    genes: Path,
    take: dict[str, str] | None = None,
    cells: str | None = None,
    total_counts: float | None = None,
    model: str = "bundled",
    context: int | None = None,
    batch_size: int = 32,
    device: Device = "cpu",
    seed: int = 0,
    **options: Any,
) -> str:
    """Predict the counts of cells from their embeddings, in which facets of other cells may be mixed.

    Parameters
    ----------
    input
        File of raw counts (h5ad).
    output
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
    seed
        Seed for the draws.
    """
    check_output(input, output)
    names = lines(genes, "genes")
    adata = open_cells(input)
    chosen = adata if cells is None else adata[cells_where(adata, cells)]
    sources = {token: adata[cells_where(adata, where)] for token, where in (take or {}).items()}
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
        out=output,
        **options,
    )
    facets = "".join(f", {token} of {source.n_obs:,} cells" for token, source in sources.items())
    return f"{output}: {found.n_obs:,} cells, {found.n_vars:,} genes{facets}"


def impute(
    input: Path,  # noqa: A002
    output: Path,
    *,
    genes: Path,
    model: str = "bundled",
    device: Device = "cpu",
    **options: Any,
) -> str:
    """Predict the counts of genes that the data did not measure; the input is not changed.

    Parameters
    ----------
    input
        File of raw counts (h5ad).
    output
        File to write (h5ad): the expected counts in X.
    genes
        File with one gene a line, ids or symbols that the model knows.
    model
        Model to use: bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    device
        Device on which the model runs.
    """
    check_output(input, output)
    names = lines(genes, "genes")
    network = ScPrint.from_pretrained(model).to(device)
    found = tasks.impute(network, open_cells(input), genes=names, out=output, **options)
    return f"{output}: {found.n_obs:,} cells, {found.n_vars:,} genes"


def perturb(
    input: Path,  # noqa: A002
    output: Path,
    *,
    genes: list[str],
    cells: str | None = None,
    model: str = "bundled",
    device: Device = "cpu",
    **options: Any,
) -> str:
    """Silence genes, or change their counts, and compare what the model expects of the others: profile and network.

    Associations that the model has learned, which a real experiment need not show.

    Parameters
    ----------
    input
        File of raw counts (h5ad).
    output
        File to write (csv): a row for each other gene. Beside it, as .edges.csv, the edges that changed most.
    genes
        Genes to change, as '["ENSG00000106631"]', or one name.
    cells
        Cells to take, as column=value; all by default.
    model
        Model to use: bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    device
        Device on which the model runs.
    """
    check_output(input, output)
    adata = open_cells(input)
    if cells is not None:
        adata = adata[cells_where(adata, cells)]
    found = tasks.perturb(ScPrint.from_pretrained(model).to(device), adata, genes=genes, panel=None, **options)
    written = [str(output)]
    with atomic_path(output) as temporary:
        found.profile.to_csv(temporary, index_label="gene")
    if found.edges is not None:
        beside = output.with_suffix(".edges.csv")
        with atomic_path(beside) as temporary:
            found.edges.to_csv(temporary, index=False)
        written.append(str(beside))
    return f"{', '.join(written)}: {', '.join(genes)} changed in {adata.n_obs:,} cells, {len(found.profile):,} others"


def _one_gene(words: list[str]) -> list[str]:
    """Return the words with a single name of --genes written as a list."""
    told = list(words)
    for i, word in enumerate(told):
        option, equals, value = word.partition("=")
        if option == "--genes" and equals and not value.startswith("["):
            told[i] = f'--genes=["{value}"]'
        elif i and told[i - 1] == "--genes" and not word.startswith("["):
            told[i] = f'["{word}"]'
    return told
