"""Gene networks from attention, mean of all heads, beside the published GNInfer on the same weights and cells."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.speed.apart import (
    CHECKPOINT,
    FIXTURES,
    LIMIT,
    PEER,
    Measured,
    compare,
    peer_python,
    run_apart,
    side_by_side,
)

MANY_CELLS, MANY_GENES = 1024, 5000
#: The published code takes 3 s for a cell of 5,000 genes: so many are timed, and the rest is added at their difference.
FEW, FEWER = 12, 4
GENOME, GENOME_CELLS, CONTEXT = 20_000, 256, 2200
#: Its default, and what its memory allows.
DEFAULT_BATCH, BATCH, BATCH_OF_MANY = 64, 16, 1

Arrays = dict[str, np.ndarray]


def infer_network_times(rounds: int = 3) -> pd.DataFrame:
    """Return medians over `rounds` processes of either for the small networks; the large ones are made once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [*_small(folder, rounds), *_large(folder), _genome(folder)]
    return pd.DataFrame(lines).replace(np.nan, "")


def _small(folder: Path, rounds: int) -> list[dict[str, object]]:
    with np.load(FIXTURES / "timing_inputs.npz") as given:
        cells = {"names": given["given_genes"], "counts": given["expression"], "totals": given["depth"]}
    lines = []
    for batch in (BATCH, DEFAULT_BATCH):
        inputs = _write(folder, cells, batch)
        found = side_by_side("network", CHECKPOINT, inputs, peer_inputs=inputs, rounds=rounds)
        lines.append(compare(f"100 cells x 1,000 genes; scprint in batches of {batch}", *found))
    return lines


def _large(folder: Path) -> list[dict[str, object]]:
    checkpoint = folder / "large.ckpt"
    widen(checkpoint, MANY_GENES)
    cells = draw_cells(MANY_CELLS, MANY_GENES)
    few = {n: _write(folder, _first(cells, n), BATCH_OF_MANY) for n in (FEWER, FEW)}
    found = {n: side_by_side("network", checkpoint, few[n], peer_inputs=few[n], rounds=1) for n in few}
    lines = [compare(f"{n} cells x {MANY_GENES:,} genes; scprint one by one", *found[n]) for n in few]
    ours, _ = side_by_side("network", checkpoint, _write(folder, cells, BATCH_OF_MANY), peer_inputs=None, rounds=1)
    theirs = extrapolate(found[FEWER][1], found[FEW][1], FEWER, FEW, MANY_CELLS)
    work = f"{MANY_CELLS:,} cells x {MANY_GENES:,} genes; scprint's time from those of {FEWER} and {FEW}"
    lines.append(compare(work, ours, theirs))
    return [*lines, _default_batch(folder, checkpoint, cells)]


def _default_batch(folder: Path, checkpoint: Path, cells: Arrays) -> dict[str, object]:
    """Whether the published code can do many genes as it comes."""
    tried = Measured()
    inputs = _write(folder, _first(cells, DEFAULT_BATCH), DEFAULT_BATCH)
    run_apart([*peer_python(), str(PEER)], "network", checkpoint, inputs, tried)
    work = f"{DEFAULT_BATCH} cells x {MANY_GENES:,} genes; scprint in batches of {DEFAULT_BATCH}, its default"
    if tried.error:
        work += f", fails at {LIMIT / 1e9:.0f} GB: {tried.error}"
    return compare(work, Measured(), tried)


def _genome(folder: Path) -> dict[str, object]:
    checkpoint = folder / "genome.ckpt"
    widen(checkpoint, GENOME)
    inputs = _write(folder, draw_cells(GENOME_CELLS, GENOME) | {"context": np.array(CONTEXT)}, BATCH_OF_MANY)
    found = side_by_side("network", checkpoint, inputs, peer_inputs=None, rounds=1)
    return compare(f"{GENOME_CELLS} cells x {GENOME:,} genes, {CONTEXT:,} at a time, 100 edges a target", *found)


def extrapolate(less: Measured, more: Measured, n_less: int, n_more: int, n: int) -> Measured:
    """Return what `n` cells would take: time grows by as much a cell as between the two, memory as for the more."""
    if less.error or more.error:
        return Measured(error=less.error or more.error)
    at = [
        [a[0] + (b[0] - a[0]) / (n_more - n_less) * (n - n_less)]
        for a, b in ((less.wall, more.wall), (less.cpu, more.cpu))
    ]
    return Measured(wall=at[0], cpu=at[1], before=more.before, peak=more.peak)


def widen(path: Path, n_genes: int) -> None:
    """Write the checkpoint with another number of genes, their embeddings drawn from its own with some noise."""
    checkpoint = torch.load(CHECKPOINT, weights_only=True)
    state, hparams = checkpoint["state_dict"], checkpoint["hyper_parameters"]
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(hparams["genes"]), (n_genes,), generator=generator)
    table = state["gene_encoder.embedding.weight"]
    noise = 0.1 * table.std() * torch.randn(n_genes, table.shape[1], generator=generator)
    state["gene_encoder.embedding.weight"] = table[drawn] + noise
    state["pos_encoder.pe"] = state["pos_encoder.pe"][drawn]
    hparams["genes"], hparams["gene_pos_enc"] = gene_names(n_genes).tolist(), list(range(n_genes))
    torch.save(checkpoint, path)


def draw_cells(n_cells: int, n_genes: int) -> Arrays:
    """Return counts of a negative binomial with log-normal means, a third of them above zero."""
    rng = np.random.default_rng(0)
    means = rng.lognormal(-1, 1.5, n_genes)
    counts = rng.poisson(rng.gamma(2, means / 2, (n_cells, n_genes))).astype(np.float32)
    return {"names": gene_names(n_genes), "counts": counts, "totals": counts.sum(axis=1)}


def gene_names(n_genes: int) -> np.ndarray:
    return np.array([f"ENSG{i:011d}" for i in range(1, n_genes + 1)])


def _first(cells: Arrays, n: int) -> Arrays:
    return cells | {"counts": cells["counts"][:n], "totals": cells["totals"][:n]}


def _write(folder: Path, cells: Arrays, batch_size: int) -> Path:
    path = folder / f"{len(cells['counts'])}_{len(cells['names'])}_{batch_size}.npz"
    np.savez(path, **cells, batch_size=np.array(batch_size))  # type: ignore[arg-type]
    return path
