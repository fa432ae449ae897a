"""The command ``scprint``: subcommands are in modules of `scprint_model.commands`, imported when they are asked for."""

from __future__ import annotations

import sys
from importlib import import_module

#: Subcommand to the module that runs it, and what it does.
_COMMANDS = {
    "demo": (
        "demo",
        "the main job on real cells: clean, embed, annotate, denoise, infer a network, score it, write a page",
    ),
    "fit": ("training", "pre-train a model: scprint fit --config FILE (Lightning's options)"),
    "finetune": ("training", "adapt a trained model to new labels, genes or batches"),
    "gene-embeddings": ("training", "a table of gene embeddings: of proteins (ESM2), or of a model (--from_model)"),
    "embed": ("file_tasks", "cell embeddings, into a copy of the file"),
    "annotate": (
        "file_tasks",
        "cell types and other labels, into a copy of the file; how right they are where the truth is known",
    ),
    "denoise": ("file_tasks", "expected counts at a chosen depth"),
    "generate": ("file_tasks", "counts from cell embeddings, also mixed from those of different cells"),
    "impute": ("file_tasks", "counts of genes that the data did not measure"),
    "perturb": ("file_tasks", "knock genes out, or over-express them, and compare profiles and networks"),
    "network": ("network", "gene networks from attention, one a group of cells"),
    "inspect": ("models", "what a checkpoint holds: sizes, genes, organisms, labels, options"),
    "convert": ("models", "a published checkpoint to a model folder (safetensors)"),
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns
    -------
    int
        Exit status: 0; 1 where the work broke off, or a data set that was looked for is not there; 2 where the input
        cannot be used.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] not in _COMMANDS:
        asked_for_help = arguments[:1] in ([], ["-h"], ["--help"])
        width = max(map(len, _COMMANDS))
        lines = [f"  {name:<{width}} {text}" for name, (_, text) in _COMMANDS.items()]
        text = "\n".join(["usage: scprint COMMAND [options]   (scprint COMMAND --help lists them)", *lines]) + "\n"
        if asked_for_help:
            sys.stdout.write(text)
            return 0
        sys.stderr.write(f"scprint: unknown command {arguments[0]!r}\n{text}")
        return 2
    command, *words = arguments
    try:
        said: str | int = import_module(f"scprint_model.commands.{_COMMANDS[command][0]}").run(command, words)
    except (FloatingPointError, MemoryError) as error:
        sys.stderr.write(f"scprint: {error}\n")
        return 1
    except (ValueError, OSError, ImportError) as error:
        sys.stderr.write(f"scprint: {error}\n")
        return 2
    if isinstance(said, int):
        return said
    sys.stdout.write(f"{said}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
