"""``scprint gene-embeddings``."""

from __future__ import annotations

import sys
from pathlib import Path

from scprint_model.commands.call import call, say
from scprint_model.gene_embeddings import build_table

_FROM_MODEL = "--from_model"


def of_model(out: Path, *, from_model: str, genes: Path | None = None) -> Path:
    """Write the gene embeddings of a model as a table (parquet).

    Parameters
    ----------
    out
        File to write.
    from_model
        bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    genes
        File with one gene a line, ids or symbols; all of the model's by default.
    """
    from grnndata import atomic_path
    from scprint_model.commands.lines import lines
    from scprint_model.model import ScPrint
    from scprint_model.tasks import gene_embeddings

    names = None if genes is None else lines(genes, "genes")
    table = gene_embeddings(ScPrint.from_pretrained(from_model), names)
    with atomic_path(out) as temporary:
        table.to_parquet(temporary)
    return out


def run(arguments: list[str]) -> int:
    """Make the table; returns the exit status, 1 where the memory did not suffice (the same command continues)."""
    has_model = any(word.partition("=")[0] == _FROM_MODEL for word in arguments)
    make = of_model if has_model else build_table
    try:
        return say(call(make, arguments, "gene-embeddings"))
    except MemoryError as error:
        sys.stderr.write(f"scprint: {error}\n")
        return 1
