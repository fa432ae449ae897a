"""``scprint finetune`` and ``gene-embeddings``: adapted models, and what the genes of a model start from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anndata import AnnData

from grnndata import atomic_path
from scdataloader.expression import CountsChoice
from scdataloader.sources import find_sources, unique_names
from scprint_model._command_line import check_output, with_folder
from scprint_model._provenance import KEY, beside, step
from scprint_model.checkpoints.identity import identity
from scprint_model.commands.options import TaskCommand, check_device, lines, options_beside, told_beside
from scprint_model.commands.pictures import check_picture, draw_scores
from scprint_model.finetuning import finetune as adapt
from scprint_model.finetuning.low_rank import ATTENTION
from scprint_model.finetuning.scores import text_of, text_of_neighbours
from scprint_model.gene_embeddings import build_table
from scprint_model.model import ScPrint
from scprint_model.tasks import gene_embeddings as model_vectors
from scprint_model.tasks.files import read_cells


def finetune(
    *,
    model: str,
    data: list[str],
    out: Path,
    labels: Sequence[str] = (),
    genes: Path | None = None,
    organisms: Sequence[str] = (),
    held_out_groups: Sequence[str] = (),
    projections: Sequence[str] = ATTENTION,
    plot: Path | None = None,
    device: str | None = None,
    choice: CountsChoice = CountsChoice(),  # noqa: B008 (frozen)
    **options: Any,
) -> str:
    """Adapt a trained model to labels, genes, organisms or batches of one's own.

    Parameters
    ----------
    model
        Model to adapt: bundled, a model folder, a published .ckpt, or a hub repository.
    data
        Files of raw counts: h5ad, zarr, loom, 10x h5, or 10x matrix folders.
    out
        Folder for the result, which must be new or empty.
    labels
        Columns of obs to learn.
    genes
        File of a vocabulary of genes to add.
    organisms
        Organisms whose protein-coding genes are added.
    held_out_groups
        Groups of --held_out_by to score on; by default as many as --held_out says are drawn.
    projections
        Projections with low-rank parts, among qkv, q, kv, out, fc1, fc2.
    plot
        Picture to draw (png, svg or pdf): the accuracy on held-out cells, before and after, beside simple rivals, with
        intervals.
    device
        Device such as cuda; by default a GPU where there is one.
    choice
        Raw counts of the files that are meant.
    """
    check_output(out, *data, is_folder=True)
    check_device(device)
    check_picture(plot)
    if plot is not None:
        check_output(plot, *data)
        if not labels:
            raise ValueError("--plot draws how right labels are: name columns with --labels")
    made = adapt(
        model,
        list(data) if choice == CountsChoice() else _cells_of(data, choice),
        labels=labels,
        genes=genes,
        organisms=organisms,
        held_out_groups=held_out_groups,
        projections=projections,
        device=device,
        merge=True,
        out=with_folder(out),
        **options,
    )
    said = _summary(made.card["finetuned"], out)
    if plot is not None:
        draw_scores(made.card["finetuned"]["scores"], with_folder(plot))
        said += f"\n{plot}: these scores; {told_beside(made.card[KEY], plot)}"
    return said


def _cells_of(data: list[str], choice: CountsChoice) -> dict[str, AnnData]:
    """Return the cells of files, by name, with the counts that are meant."""
    files = find_sources(data)
    return {name: read_cells(file, choice).cells for name, file in zip(unique_names(files), files, strict=True)}


def _summary(report: dict[str, Any], out: Path) -> str:
    size = sum(file.stat().st_size for file in out.iterdir())
    said = [f"{out}: {size / 1e3:,.0f} kB; on held-out cells, before → after:"]
    for name, after in report["after"].items():
        before = report["before"][name]
        if isinstance(after, dict) and isinstance(before, dict):
            is_new = report["scores"][name].get("is_new", False)
            scores = ", ".join(
                f"{key} {'' if is_new else f'{before[key]:.3f} → '}{after[key]:.3f}" for key in ("accuracy", "macro_f1")
            )
            said.append(f"{name}: {scores} ({after['n_cells']} cells)")
            said += [f"  {line}" for line in text_of(report["scores"][name]).splitlines()]
        else:
            said.append(f"{name}: {before:.3f} → {after:.3f}")
    for name, one in report.get("neighbours", {}).items():
        said += [f"{name}:", *(f"  {line}" for line in text_of_neighbours(one).splitlines())]
    return "\n".join(said)


def gene_embeddings(
    out: Path,
    *,
    model: str | None = None,
    genes: Path | None = None,
    device: str = "auto",
    **options: Any,
) -> str:
    """Write a table of gene embeddings: of proteins (ESM2), or of a trained model.

    Proteins are those of a fasta file or of an organism in Ensembl. A run that is stopped goes on when it is repeated.

    Parameters
    ----------
    out
        Table to write (parquet).
    model
        Trained model whose own gene embeddings are written: bundled, a folder, a checkpoint or a hub repository. No
        proteins are needed then.
    genes
        File of genes: with --model, those to write, one a line, ids or symbols; else a table (csv, tsv) with the
        columns protein and gene_id, which says which genes a protein stands for.
    device
        Device on which the protein model runs: cpu, cuda, cuda:1; auto is a GPU where there is one.
    """
    check_output(out, *([] if genes is None else [genes]))
    check_device(device)
    beside(out)
    if model is None:
        told = {"genes": genes, "device": device, **options}
        build_table(with_folder(out), **told)
        made = step(build_table, told, inputs=[file for file in (options.get("fasta"), genes) if file is not None])
        return f"{out}; {told_beside([made], out)}"
    if others := options_beside(build_table, {"device": device, **options}):
        raise ValueError(f"options of proteins mean nothing with --model: leave out {', '.join(map(_option, others))}")
    network, names = ScPrint.from_pretrained(model), None if genes is None else lines(genes, "genes")
    table = model_vectors(network, names)
    with atomic_path(out) as temporary:
        table.to_parquet(temporary)
    return f"{out}; {told_beside([step(model_vectors, {'genes': names}, model=identity(network))], out)}"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


COMMANDS = {
    "finetune": TaskCommand(finetune, adapt, filled=("merge",), reads_cells=True),
    "gene-embeddings": TaskCommand(gene_embeddings, build_table),
}
