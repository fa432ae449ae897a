"""Turn one data set into shards, a block of cells at a time; ``python -m`` runs it as a process of its own."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader._atomic import atomic_path
from scdataloader.count_evidence import CountEvidence
from scdataloader.expression.counts_choice import CountsChoice
from scdataloader.expression.take import take_counts
from scdataloader.flags import measured
from scdataloader.genes.id_check import check_gene_ids
from scdataloader.sources import Matrix, open_source
from scdataloader.store.files import LARGEST_COUNT, UNIT, ShardEntry, ShardWriter

logger = logging.getLogger(__name__)

#: Values of a block in memory, about 300 MB with their temporary copies.
CONVERTED_VALUES = 8_000_000


def convert(
    data: Path | anndata.AnnData,
    folder: Path,
    *,
    name: str,
    key: str,
    shard_bytes: int,
    kept: Sequence[ShardEntry] = (),
    tell: Callable[[str], object] | None = None,
    choice: CountsChoice | None = None,
) -> list[ShardEntry]:
    """Write the shards of one data set that are not there yet.

    Parameters
    ----------
    data
        Preprocessed cells: whole-number counts in ``X``.
    folder
        Folder of the store.
    name, key
        Name and key of the data set; see `scdataloader.store.files.ShardEntry`.
    shard_bytes
        A shard ends before it would become larger.
    kept
        Its shards that an earlier, broken-off build finished.
    tell
        Called with each warning; by default it is logged.
    choice
        Raw counts that are meant; None: X, as preprocessed files have them.

    Raises
    ------
    ValueError
        When the data cannot be stored; the message says what to do.
    OSError
        When the disk is full: what was finished stays.
    """
    with open_source(data, genome=None if choice is None else choice.genome) as given:
        source = given if choice is None else take_counts(given, choice).of(given)
        if "X" not in source.matrices:
            raise ValueError(f"{name}: X is empty: put the raw counts in X")
        matrix = source.matrices["X"]
        if matrix.shape[0] == 0:
            raise ValueError(f"{name} has no cells: leave it out")
        check_gene_ids(matrix.var, name)
        genes = write_genes(matrix.var, folder / "genes", name)
        shards = list(kept)
        evidence = CountEvidence()
        rows = encoded(matrix, sum(entry.n_cells for entry in shards), name, evidence)
        try:
            waiting = next(rows, None)
            while waiting is not None:
                first = sum(entry.n_cells for entry in shards)
                with ShardWriter(folder / "shards", f"{key}-{len(shards):05d}") as writer:
                    waiting = _fill(writer, waiting, rows, shard_bytes)
                    facts = {"dataset": name, "key": key, "first_cell": first, "genes": genes, "last": waiting is None}
                    shards.append(writer.finish(source.obs.iloc[first : first + writer.n_cells], **facts))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise OSError(
                    error.errno,
                    f"the disk of {folder} is full while {name} is stored: what was finished is kept, free some space "
                    "and build again",
                ) from error
            raise
    for warning in evidence.warnings():
        (tell or logger.warning)(f"{name}: X may not hold raw counts: {warning}")
    return shards


_Block = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _fill(writer: ShardWriter, block: _Block, rest: Iterator[_Block], shard_bytes: int) -> _Block | None:
    """Write blocks until the shard is full; return what is left of the last one, None when all cells are written."""
    waiting: _Block | None = block
    while waiting is not None:
        records, sizes, n_genes, total = waiting
        room = shard_bytes // UNIT - writer.n_units
        fit = int(np.searchsorted(np.cumsum(sizes), room, side="right"))
        if writer.n_cells == 0:
            fit = max(fit, 1)
        if fit == 0:
            return waiting
        cut = int(sizes[:fit].sum())
        writer.write(records[:cut], sizes[:fit], n_genes[:fit], total[:fit])
        if fit < len(sizes):
            return records[cut:], sizes[fit:], n_genes[fit:], total[fit:]
        waiting = next(rest, None)
    return None


def encoded(matrix: Matrix, begin: int, name: str, evidence: CountEvidence | None = None) -> Iterator[_Block]:
    """Yield (records, units, expressed genes, summed counts) of blocks of cells, from cell `begin` on.

    Each block is shown to `evidence`, too.
    """
    from scdataloader.store.records import encode, encode_sizes

    while begin < matrix.shape[0]:
        if matrix.row_ends is None:
            end = begin + max(1, CONVERTED_VALUES // max(1, matrix.shape[1]))
        else:
            before = int(matrix.row_ends[begin - 1]) if begin else 0
            end = int(np.searchsorted(matrix.row_ends, before + CONVERTED_VALUES, side="right"))
        end = min(matrix.shape[0], max(end, begin + 1))
        rows = _sorted(matrix.rows(begin, end))
        counts = whole_counts(rows.data, name)
        if evidence is not None:
            evidence.add(rows)
        ends = rows.indptr.astype(np.int64)
        sizes = encode_sizes(rows.indices, counts, ends)
        running = np.concatenate([[0], np.cumsum(counts)])
        yield encode(rows.indices, counts, ends, sizes), sizes, np.diff(ends), running[ends[1:]] - running[ends[:-1]]
        begin = end


def _sorted(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    rows = sparse.csr_matrix(rows, copy=True)  # the source's own arrays stay as they are
    rows.sum_duplicates()
    rows.eliminate_zeros()
    return rows


def whole_counts(values: np.ndarray, name: str) -> np.ndarray:
    """Return counts as int64.

    Raises
    ------
    ValueError
        When they are not whole numbers from 0 to 2^32 - 1.
    """
    with np.errstate(invalid="ignore"):
        wrong = values[~((values >= 0) & (values <= LARGEST_COUNT) & (values == np.floor(values)))]
    if len(wrong):
        examples = ", ".join(f"{value:.6g}" for value in wrong[np.argsort(np.isnan(wrong), kind="stable")][:3])
        raise ValueError(
            f"{name}: {len(wrong):,} of {len(values):,} values are no counts ({examples}): a store holds whole numbers "
            f"from 0 to {LARGEST_COUNT}; put raw counts in X, for instance with scdataloader.Preprocessor"
        )
    return values.astype(np.int64)


def checked_genes(var: pd.DataFrame, name: str) -> tuple[str, pd.DataFrame]:
    """Return a data set's gene table, its index text, and that table's hash; see ``FORMAT.md``.

    Raises
    ------
    ValueError
        When a gene id occurs twice.
    """
    ids = [str(gene) for gene in var.index.tolist()]
    if len(set(ids)) < len(ids):
        raise ValueError(f"{name}: gene ids occur more than once: make them unique first")
    table = var.set_axis(pd.Index(ids, name="gene_id", dtype=object))
    table.columns = [str(column) for column in table.columns]
    lines = (f"{gene}\n" if known else f"{gene}\t0\n" for gene, known in zip(ids, measured(table), strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16], table


def write_genes(var: pd.DataFrame, folder: Path, name: str) -> str:
    """Write the gene table unless there is one of the same genes, and return its hash."""
    label, table = checked_genes(var, name)
    path = folder / f"{label}.parquet"
    if not path.exists():
        with atomic_path(path) as temporary:
            table.to_parquet(temporary, compression="zstd")
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
    return label


def main() -> None:
    """Read a task from standard input, as JSON, and answer in the last line of the output."""
    task: dict[str, Any] = json.load(sys.stdin)
    kept = [ShardEntry.from_json(entry) for entry in task.pop("kept")]
    data, folder = Path(task.pop("data")), Path(task.pop("folder"))
    choice = task.pop("choice")
    task["choice"] = None if choice is None else CountsChoice(**choice)
    answer: dict[str, Any]
    told: list[str] = []
    try:
        shards = convert(data, folder, kept=kept, tell=told.append, **task)
        answer = {"shards": [asdict(entry) for entry in shards], "told": told}
    except ValueError as error:
        answer = {"refused": str(error)}
    except OSError as error:
        answer = {"system": [error.errno, str(error)]}
    sys.stdout.write(f"\n{json.dumps(answer)}\n")


if __name__ == "__main__":
    main()
