"""``scprint gene-embeddings``."""

from __future__ import annotations

import sys

import jsonargparse

from scprint_model.gene_embeddings import build_table


def run(arguments: list[str]) -> int:
    """Make the table; returns the exit status, 1 where the memory did not suffice (the same command continues)."""
    try:
        out = jsonargparse.auto_cli(build_table, args=arguments, prog="scprint gene-embeddings", as_positional=True)
    except MemoryError as error:
        sys.stderr.write(f"scprint: {error}\n")
        return 1
    sys.stdout.write(f"{out}\n")
    return 0
