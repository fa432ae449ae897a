"""Cells of SERGIO: trajectories of each cell type, and the moments at which they are looked at."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bengrn._wording import listed
from bengrn.simulate.regulation import Regulation

#: Relaxation times before cells are taken from a steady state.
_SETTLING = 5.0
#: Normal numbers that are drawn at a time.
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Kinetics:
    """Numbers of the chemical Langevin equations.

    Attributes
    ----------
    noise, noise_spliced
        Amplitude of the noise of production and decay: of RNA, and of spliced RNA.
    splice_ratio
        Level of spliced over unspliced RNA in the steady state; None where RNA is not told apart.
    dt
        Length of a time step.
    spacing
        Number of steps for each cell of a steady state.
    duration
        Time over which cells of a differentiating type are spread.
    n_trajectories
        Number of trajectories of a differentiating type; None for one of each cell.
    """

    noise: float
    noise_spliced: float
    splice_ratio: float | None
    dt: float
    spacing: int
    duration: float
    n_trajectories: int | None


@dataclass(frozen=True, eq=False)
class TypeOfCells:
    """One cell type to simulate.

    Attributes
    ----------
    n
        Number of cells.
    basal
        Production of master regulators, (genes,).
    levels
        Levels to begin with, (genes,): those expected of the type, or of its parent.
    parent
        Production of master regulators in the type it comes from, (genes,); None for a steady state.
    migration
        Share of the way to its own production that is gone in a step.
    """

    n: int
    basal: NDArray[np.float64]
    levels: NDArray[np.float64]
    parent: NDArray[np.float64] | None = None
    migration: float = 1.0


def simulate_types(
    given: Regulation,
    types: list[TypeOfCells],
    kinetics: Kinetics,
    silent: NDArray[np.bool_],
    seeds: list[np.random.SeedSequence],
    threads: int,
) -> list[tuple[NDArray[np.float32], NDArray[np.float64]]]:
    """Simulate cell types on threads; the result is the same with any number.

    Parameters
    ----------
    given
        Regulation of the genes.
    types
        The cell types.
    kinetics
        Numbers of the equations.
    silent
        Whether a gene is knocked out, (genes,).
    seeds
        Seed for each type.
    threads
        Number of threads.

    Returns
    -------
    list of tuple
        Of each type the levels, (1 or 2, cells, genes), the second of spliced RNA, and the time of each cell since its
        type began to differentiate, (cells,), NaN in a steady state.

    Raises
    ------
    FloatingPointError
        If levels grow beyond all bounds; the gene is named.
    """

    def one(at: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        rng = np.random.default_rng(seeds[at])
        simulated = _steady if types[at].parent is None else _differentiating
        return simulated(given, types[at], kinetics, silent, rng)

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(one, range(len(types))))
    for levels, _ in found:
        bad = ~np.isfinite(levels).all(axis=(0, 1))
        if bad.any():
            names = [given.genes[place] for place in np.flatnonzero(bad)]
            raise FloatingPointError(
                f"the level of {names[0]} grows beyond all bounds: lower the rates or strengths behind it, or dt "
                f"({len(names)} such genes: {listed(names)})"
            )
    return found


def _steady(
    given: Regulation, cells: TypeOfCells, kinetics: Kinetics, silent: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return cells at moments drawn from one long trajectory in the steady state."""
    path = _Path(given, cells, kinetics, silent)
    path.go(_settling(given, kinetics), rng, cells.basal, 1.0)
    moments = np.sort(rng.choice(cells.n * kinetics.spacing, cells.n, replace=False))
    levels = path.go(int(moments[-1]) + 1 if cells.n else 0, rng, cells.basal, 1.0, moments)
    return levels, np.full(cells.n, np.nan)


def _differentiating(
    given: Regulation, cells: TypeOfCells, kinetics: Kinetics, silent: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return cells at moments drawn from trajectories that begin in the steady state of the parent."""
    n_steps = max(1, round(kinetics.duration / kinetics.dt))
    n_trajectories = cells.n if kinetics.n_trajectories is None else min(kinetics.n_trajectories, cells.n)
    moments = rng.integers(0, n_steps, cells.n)
    which = np.arange(cells.n) % max(1, n_trajectories)
    levels = np.empty((1 if kinetics.splice_ratio is None else 2, cells.n, len(given.genes)), dtype=np.float32)
    parent = _Path(given, cells, kinetics, silent)
    parent.go(_settling(given, kinetics), rng, parent.basal.copy(), 1.0)
    for trajectory in range(n_trajectories):
        at = np.flatnonzero(which == trajectory)
        at = at[np.argsort(moments[at], kind="stable")]
        path = parent.copy()
        seen, back = np.unique(moments[at], return_inverse=True)
        levels[:, at] = path.go(int(seen[-1]) + 1, rng, cells.basal, cells.migration, seen)[:, back]
        parent.go(int(_settling(given, kinetics) / _SETTLING), rng, parent.basal.copy(), 1.0)
    return levels, moments.astype(np.float64) * kinetics.dt


def _settling(given: Regulation, kinetics: Kinetics) -> int:
    slowest = given.decay / max(1.0, kinetics.splice_ratio or 1.0)
    return int(np.ceil(_SETTLING / slowest / kinetics.dt))


class _Path:
    """One trajectory, from the levels that are expected."""

    def __init__(self, given: Regulation, cells: TypeOfCells, kinetics: Kinetics, silent: NDArray[np.bool_]) -> None:
        self.given, self.silent, self.kinetics = given, silent, kinetics
        self.basal = (cells.basal if cells.parent is None else cells.parent).copy()
        ratio = kinetics.splice_ratio
        self.first = np.where(silent, 0.0, cells.levels)
        self.second = self.first * ratio if ratio is not None else np.zeros(0)
        decay = given.decay
        second = 0.0 if ratio is None else decay / ratio
        self.rates = np.array([decay, kinetics.noise, second, kinetics.noise_spliced])

    def copy(self) -> _Path:
        """Return a trajectory that goes on from here by itself."""
        path = copy(self)
        path.first, path.second, path.basal = self.first.copy(), self.second.copy(), self.basal.copy()
        return path

    def go(
        self,
        n_steps: int,
        rng: np.random.Generator,
        goal: NDArray[np.float64],
        migration: float,
        moments: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float32]:
        """Take steps, and return the levels at the moments, which rise."""
        from bengrn.simulate.langevin import advance

        given = self.given
        kept = np.full(n_steps, -1)
        if moments is not None:
            kept[moments] = np.arange(len(moments))
        n_kinds, n = (2 if len(self.second) else 1), len(given.genes)
        out = np.empty((n_kinds, 0 if moments is None else len(moments), n), dtype=np.float32)
        block = max(1, _BLOCK // (n_kinds * n))
        for begin in range(0, n_steps, block):
            part = kept[begin : begin + block]
            normals = rng.standard_normal((len(part), n_kinds, n))
            advance(
                *(self.first, self.second, self.basal, goal, migration),
                *(given.start, given.source, given.strength, given.hill, given.half, self.silent),
                *(self.rates, self.kinetics.dt, normals, part, out),
            )
        return out
