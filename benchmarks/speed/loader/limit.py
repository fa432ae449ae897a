"""The least that must be done: one compiled loop over memory-mapped rows of 16-bit genes and counts, and no more.

No labels, no checks, draws made beforehand, the same arrays filled again and again. What a loader could reach at best;
from a cold disk it faults its pages in one by one.
"""

import mmap
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numba
import numpy as np
from measure import BATCH, EPOCH, Batches, cell_weights, main

_DRAWS = EPOCH // BATCH * BATCH


def prepare(folder: Path, files: list[str]) -> None:
    ends = [np.zeros(1, np.int64)]
    with (folder / "genes.u2").open("wb") as genes, (folder / "counts.u2").open("wb") as counts:
        for name in files:
            with h5py.File(name, "r") as file:
                matrix = file["X"]
                matrix["indices"][:].astype(np.uint16).tofile(genes)
                matrix["data"][:].astype(np.uint16).tofile(counts)
                ends.append(matrix["indptr"][1:] + ends[-1][-1])
    np.save(folder / "ends.npy", np.concatenate(ends))


def open_loader(job: dict[str, Any], run: dict[str, Any]) -> Batches:
    folder = Path(job["folder"])
    ends = np.load(folder / "ends.npy")
    genes, counts = (
        mapped(folder / name, at_random=run["order"] != "sequential") for name in ("genes.u2", "counts.u2")
    )
    rows = draw(job, run, len(ends) - 1)
    n_genes, width = len(job["genes"]), run["width"]
    place = np.full(n_genes, width, np.int32)
    place[job["panel"]] = np.arange(width)
    threads = max(1, job["workers"])

    def arrays() -> tuple[np.ndarray, ...]:
        dense = np.empty(BATCH * width + 1, np.float32)
        return dense, dense[:-1].reshape(BATCH, width), np.empty((BATCH, width), np.int64), np.zeros(n_genes, np.int64)

    def fill(number: int, space: tuple[np.ndarray, ...]) -> np.ndarray:
        begin = number * BATCH % len(rows)
        dense, table, chosen, seen = space
        if run["genes"] == "fixed":
            fixed(genes, counts, ends, rows[begin : begin + BATCH], place, dense, width)
        else:
            random_expressed(genes, counts, ends, rows[begin : begin + BATCH], number, chosen, table, seen)
        return table

    def batches() -> Batches:
        spaces = [arrays() for _ in range(2 * threads)]
        number = 0
        if threads == 1:
            while True:
                yield fill(number, spaces[0])
                number += 1
        with ThreadPoolExecutor(threads) as pool:
            waiting = deque()
            while True:
                waiting.append(pool.submit(fill, number, spaces[number % len(spaces)]))
                number += 1
                if len(waiting) == len(spaces) - 1:
                    yield waiting.popleft().result()

    compile_first(genes, counts, width, place, arrays())
    return batches()


def mapped(path: Path, *, at_random: bool) -> np.ndarray:
    """Return a file as an array in mapped memory.

    Read at random, a missing page is read alone. By default the system reads megabytes around it: the cells of a large
    corpus then come far slower, and all of this small one is in memory at once.
    """
    with path.open("rb") as file:
        memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    if at_random:
        memory.madvise(mmap.MADV_RANDOM)
    return np.frombuffer(memory, np.uint16)


def draw(job: dict[str, Any], run: dict[str, Any], n_cells: int) -> np.ndarray:
    rng = np.random.default_rng(run.get("seed", 0))
    if run["order"] == "sequential":
        return np.arange(n_cells // BATCH * BATCH)
    if run["order"] == "uniform":
        return rng.integers(0, n_cells, _DRAWS)
    ends = cell_weights(job["files"]).cumsum()
    return np.searchsorted(ends, rng.random(_DRAWS) * ends[-1], side="right")


def compile_first(genes: Any, counts: Any, width: int, place: np.ndarray, space: tuple[np.ndarray, ...]) -> None:
    none, no_ends = np.empty(0, np.int64), np.zeros(1, np.int64)
    fixed(genes, counts, no_ends, none, place, space[0], width)
    random_expressed(genes, counts, no_ends, none, 0, space[2], space[1], space[3])


@numba.njit(nogil=True, cache=True)
def fixed(genes, counts, ends, rows, place, out, width):
    """Write the counts of the wanted genes; the others go to the entry after the row, which the next row clears."""
    for i in range(len(rows)):
        base = i * width
        out[base : base + width] = 0
        for j in range(ends[rows[i]], ends[rows[i] + 1]):
            out[base + place[genes[j]]] = counts[j]


@numba.njit(nogil=True, cache=True)
def random_expressed(genes, counts, ends, rows, number, out_genes, out_counts, seen):
    """Write a random choice of each row's genes (Knuth's selection sampling), padded by random others."""
    size = out_genes.shape[1]
    n_genes = np.uint64(len(seen))
    state = np.uint64(number * 2 + 1) * np.uint64(0x9E3779B97F4A7C15)
    for i in range(len(rows)):
        begin = ends[rows[i]]
        n = ends[rows[i] + 1] - begin
        mark = number * len(rows) + i + 1
        kept = 0
        for j in range(n):
            if n > size:
                state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
                take = ((state >> np.uint64(32)) * np.uint64(n - j)) >> np.uint64(32) < np.uint64(size - kept)
            else:
                take = True
            if take:
                gene = genes[begin + j]
                out_genes[i, kept] = gene
                out_counts[i, kept] = counts[begin + j]
                seen[gene] = mark
                kept += 1
                if kept == size:
                    break
        while kept < size:
            state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            gene = np.int64(((state >> np.uint64(32)) * n_genes) >> np.uint64(32))
            if seen[gene] != mark:
                seen[gene] = mark
                out_genes[i, kept] = gene
                out_counts[i, kept] = 0
                kept += 1


if __name__ == "__main__":
    main(prepare, open_loader)
