"""The command ``scprint``: subcommands are in modules of `scprint_model.commands`, imported when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from scprint_model._command_line import Command, Program

if TYPE_CHECKING:
    from scprint_model.commands.options import TaskCommand


def _command(name: str, module: str, summary: str, *examples: str) -> Command:
    """Return a command whose function is imported when its options are asked for."""

    def found() -> TaskCommand:
        command: TaskCommand = import_module(f"scprint_model.commands.{module}").COMMANDS[name]
        return command

    return Command(
        summary, examples, options=lambda parser: found().add_options(parser), run=lambda args: found()(args)
    )


def _fit(words: Sequence[str], **head: Any) -> int:
    from scprint_model.commands.fit import fit

    return fit(words, **head)


_COMMANDS = {
    "demo": _command(
        "demo",
        "demo",
        "Do the main job on real cells: clean, embed, annotate, denoise, infer a network, score it.",
        "demo",
        "demo --data retina",
        "demo --data cells.h5ad --out results",
    ),
    "fit": Command(
        "Pre-train a model, with Lightning's options.",
        (
            "fit --config small --data.files cells.h5ad",
            "fit --config medium --data.store atlas.store --trainer.devices 4",
        ),
        options=None,
        run=_fit,
    ),
    "finetune": _command(
        "finetune",
        "training",
        "Adapt a trained model to labels, genes, organisms or batches of one's own.",
        "finetune --model bundled --data cells.h5ad --labels my_type --out adapter",
    ),
    "gene-embeddings": _command(
        "gene-embeddings",
        "training",
        "Write a table of gene embeddings: of proteins (ESM2), or of a trained model.",
        "gene-embeddings human.parquet --organism human",
        "gene-embeddings genes.parquet --model bundled",
    ),
    "embed": _command(
        "embed",
        "file_tasks",
        "Embed the cells of a file.",
        "embed cells.h5ad embedded.h5ad",
        "embed cells.h5ad embedded.h5ad --token cell_type --device cuda",
    ),
    "annotate": _command(
        "annotate",
        "file_tasks",
        "Predict labels of the cells of a file.",
        "annotate cells.h5ad annotated.h5ad --classes cell_type,tissue",
        "annotate cells.h5ad annotated.h5ad --report scores.json",
    ),
    "denoise": _command(
        "denoise",
        "file_tasks",
        "Predict the counts of a deeper sequencing.",
        "denoise cells.h5ad deeper.h5ad --n-genes 2000 --depth-multiplier 3",
    ),
    "generate": _command(
        "generate",
        "file_tasks",
        "Predict the counts of cells from their embeddings, in which facets of other cells may be mixed.",
        "generate cells.h5ad made.h5ad --genes genes.txt --cells cell_type=fibroblast",
    ),
    "impute": _command(
        "impute",
        "file_tasks",
        "Predict the counts of genes that the data did not measure.",
        "impute panel.h5ad more.h5ad --genes genes.txt",
    ),
    "invariance": _command(
        "invariance",
        "measure",
        "Measure how many labels and neighbours a model keeps when cells are thinned or genes are missing.",
        "invariance cells.h5ad invariance.csv --n-cells 1000",
    ),
    "perturb": _command(
        "perturb",
        "file_tasks",
        "Silence genes, or change their counts, and compare what the model expects of the others.",
        "perturb cells.h5ad changed.csv --genes ENSG00000163914",
        "perturb cells.h5ad changed.csv --genes ENSG00000163914 --fold 3 --cells donor=d1",
    ),
    "network": _command(
        "network",
        "network",
        "Infer gene networks from what a model has learned.",
        "network cells.h5ad networks.h5ad --groupby cell_type --n-genes 2000 --edges 10000",
        "network cells.h5ad rods.h5ad --groupby cell_type --group rods --truth edges.csv",
    ),
    "inspect": _command(
        "inspect",
        "models",
        "Show what made a file, or what a checkpoint holds.",
        "inspect embedded.h5ad",
        "inspect bundled",
        "inspect model.ckpt --json",
    ),
    "convert": _command(
        "convert",
        "models",
        "Turn a published checkpoint into a model folder.",
        "convert model.ckpt folder --dtype bfloat16",
    ),
}

main = Program("scprint", "A transformer for single cells: embed, annotate, denoise, infer gene networks.", _COMMANDS)


if __name__ == "__main__":
    raise SystemExit(main())
