"""Counts as the model predicts them: their distribution, and tables of cells × genes filled a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.io import write_elem
from scipy import sparse, stats
from scipy.special import expit

from grnndata import atomic_path
from scdataloader import draw_numbers, hdf5_for_writing
from scprint_model.losses.counts import MIN_DISPERSION
from scprint_model.outputs import ScPrintOutput
from scprint_model.tasks.files import open_cells

#: Layer of the standard deviation of each predicted count.
DEVIATION = "standard_deviation"
#: What draws of a gene in a cell are for: each purpose has its own.
_COUNT, _EXTRA_ZERO = 1, 2
type Values = np.ndarray | sparse.csr_matrix
type Block = Mapping[str, Values]


@dataclass(frozen=True)
class CountDistribution:
    """Zero-inflated negative binomial of each cell's genes, or less of it where the model says less.

    Attributes
    ----------
    mean
        μ of the negative binomial, float64, shape (n_cells, n_genes).
    dispersion
        θ, of the same shape; None where the model predicts a mean alone.
    extra_zero
        p, the probability of an extra zero; 0 where the model knows none.
    """

    mean: np.ndarray
    dispersion: np.ndarray | None
    extra_zero: np.ndarray

    @classmethod
    def of(cls, output: ScPrintOutput) -> CountDistribution:
        """Take it from what a network gave."""
        mean = output.mean.double().cpu().numpy()
        zero = output.zero_logits
        extra = np.zeros_like(mean) if zero is None else expit(zero.double().cpu().numpy())
        if output.dispersion is None:
            return cls(mean, None, extra)
        return cls(mean, output.dispersion.double().clamp(min=MIN_DISPERSION).cpu().numpy(), extra)

    @property
    def expected(self) -> np.ndarray:
        """(1 - p) μ, float32."""
        return ((1 - self.extra_zero) * self.mean).astype(np.float32)

    @property
    def standard_deviation(self) -> np.ndarray:
        """Square root of (1 - p) (μ + μ² / θ) + p (1 - p) μ², float32.

        Raises
        ------
        ValueError
            When the model predicts a mean alone.
        """
        spread = self.mean + self.mean**2 / self._dispersion
        p = self.extra_zero
        return np.sqrt((1 - p) * spread + p * (1 - p) * self.mean**2).astype(np.float32)

    def sample(self, keys: np.ndarray, genes: np.ndarray, seed: int) -> np.ndarray:
        """Draw counts, float32 whole numbers.

        Each is the quantile of its distribution at a random share that depends on the seed, the cell's key and the
        gene, so that next to equal distributions give next to equal counts.

        Parameters
        ----------
        keys, genes
            Keys of the cells, uint64; vocabulary indices of the genes.
        seed
            Seed of the draws.

        Raises
        ------
        ValueError
            When the model predicts a mean alone.
        """
        theta, shape = self._dispersion, self.mean.shape
        uniform = (draw_numbers((seed, _COUNT), keys[:, None], genes) >> np.uint64(11)) * 2.0**-53
        extra = (draw_numbers((seed, _EXTRA_ZERO), keys[:, None], genes) >> np.uint64(11)) * 2.0**-53
        share = theta / (theta + self.mean)
        # most counts are 0, and cheap to tell
        some = (uniform > share**theta) & (extra >= self.extra_zero)
        drawn = np.zeros(shape, dtype=np.float32)
        drawn[some] = stats.nbinom.ppf(uniform[some], theta[some], share[some])
        return drawn

    @property
    def _dispersion(self) -> np.ndarray:
        if self.dispersion is None:
            raise ValueError(
                "the model's likelihood is 'mse': it predicts the expected counts and no distribution, so sample=True "
                "and uncertainty=True are not to be had from it"
            )
        return self.dispersion

    def block(
        self, keys: np.ndarray, genes: np.ndarray, *, sample: bool, uncertainty: bool, seed: int
    ) -> dict[str, Values]:
        """Return X, expected or sampled, and where it is asked for the layer of standard deviations."""
        found: dict[str, Values] = {"X": self.sample(keys, genes, seed) if sample else self.expected}
        return found | ({DEVIATION: self.standard_deviation} if uncertainty else {})


def collect(
    blocks: Iterator[Block], obs: pd.DataFrame, var: pd.DataFrame, *, uns: Mapping[str, Any], out: Path | str | None
) -> AnnData:
    """Put blocks of consecutive cells together.

    Parameters
    ----------
    blocks
        ``"X"`` and layers by name, float32 arrays or CSR, shape (cells of the block, n_genes).
    obs, var, uns
        Tables of the result.
    out
        h5ad file to fill as the blocks come, which appears complete or not at all; None: in memory.

    Returns
    -------
    AnnData
        With `out`: its counts are left in the file, see `scprint_model.tasks.files.open_cells`.
    """
    if out is not None:
        with atomic_path(out) as temporary:
            _write(temporary, blocks, obs, var, uns)
        return open_cells(out)
    whole: dict[str, Any] = {}
    done = 0
    for block in blocks:
        for name, values in block.items():
            if isinstance(values, np.ndarray):
                table = whole.setdefault(name, np.empty((len(obs), len(var)), dtype=values.dtype))
                table[done : done + len(values)] = values
            else:
                whole.setdefault(name, []).append(values)
        done += block["X"].shape[0]
    layers = {name: sparse.vstack(v, format="csr") if isinstance(v, list) else v for name, v in whole.items()}
    return AnnData(X=layers.pop("X"), obs=obs.copy(), var=var.copy(), uns=dict(uns), layers=layers)


def _write(path: Path, blocks: Iterator[Block], obs: pd.DataFrame, var: pd.DataFrame, uns: Mapping[str, Any]) -> None:
    with hdf5_for_writing(path) as file:
        write_elem(file, "/", AnnData(obs=obs, var=var, uns=dict(uns)))
        if "X" in file:
            del file["X"]
        shape, done = (len(obs), len(var)), 0
        with _tables(file, shape) as append:
            for block in blocks:
                for name, values in block.items():
                    append("X" if name == "X" else f"layers/{name}", values, done)
                done += block["X"].shape[0]


@contextmanager
def _tables(file: h5py.File, shape: tuple[int, int]) -> Iterator[Callable[[str, Values, int], None]]:
    """Yield a function that puts values of the cells from a place on under a name; finish the sparse ones behind it.

    The layout is anndata's "On-disk format": array 0.2.0, csr_matrix 0.1.0.
    """
    ends: dict[str, list[np.ndarray]] = {}

    def append(name: str, values: Values, done: int) -> None:
        if isinstance(values, np.ndarray):
            if name not in file:
                chunks = (max(1, min(shape[0], (1 << 18) // shape[1])), shape[1])
                table = file.create_dataset(name, shape, values.dtype, chunks=chunks, compression="lzf")
                table.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
            file[name][done : done + len(values)] = values
            return
        if name not in file:
            group = file.create_group(name)
            group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape})
            for part, dtype in (("data", values.dtype), ("indices", np.int32)):
                group.create_dataset(part, (0,), dtype, maxshape=(None,), chunks=(1 << 16,), compression="lzf")
            ends[name] = [np.zeros(1, dtype=np.int64)]
        begin = int(ends[name][-1][-1])
        for part, array in (("data", values.data), ("indices", values.indices)):
            file[name][part].resize((begin + len(array),))
            file[name][part][begin:] = array
        ends[name].append(begin + values.indptr[1:].astype(np.int64))

    yield append
    for name, parts in ends.items():
        file[name].create_dataset("indptr", data=np.concatenate(parts))
