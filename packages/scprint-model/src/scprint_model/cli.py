"""The command ``scprint``: each subcommand is a module of `scprint_model.commands`, imported when it is asked for."""

from __future__ import annotations

import sys
from importlib import import_module

_COMMANDS = {
    "demo": "the main job on real cells: clean, embed, annotate, denoise, infer a network, score it, write a page",
    "fit": "pre-train a model: scprint fit --config FILE (Lightning's options)",
    "finetune": "adapt a trained model to new labels, genes or batches",
    "gene-embeddings": "a table of gene embeddings: of proteins (ESM2), or of a model (--from_model)",
    "embed": "cell embeddings, into a copy of the file",
    "annotate": "cell types and other labels, into a copy of the file; how right they are where the truth is known",
    "denoise": "expected counts at a chosen depth",
    "generate": "counts from cell embeddings, also mixed from those of different cells",
    "impute": "counts of genes that the data did not measure",
    "perturb": "knock genes out, or over-express them, and compare profiles and networks",
    "network": "gene networks from attention, one a group of cells",
    "inspect": "what a checkpoint holds: sizes, genes, organisms, labels, options",
    "convert": "a published checkpoint to a model folder (safetensors)",
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, or 2 when the input cannot be used."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] not in _COMMANDS:
        asked_for_help = arguments[:1] in ([], ["-h"], ["--help"])
        width = max(map(len, _COMMANDS))
        lines = [f"  {name:<{width}} {text}" for name, text in _COMMANDS.items()]
        text = "\n".join(["usage: scprint COMMAND [options]   (scprint COMMAND --help lists them)", *lines]) + "\n"
        if asked_for_help:
            sys.stdout.write(text)
            return 0
        sys.stderr.write(f"scprint: unknown command {arguments[0]!r}\n{text}")
        return 2
    module = import_module(f"scprint_model.commands.{arguments[0].replace('-', '_')}")
    try:
        status: int = module.run(arguments[1:])
    except (ValueError, OSError, ImportError) as error:
        sys.stderr.write(f"scprint: {error}\n")
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
