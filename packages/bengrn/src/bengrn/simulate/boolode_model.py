"""BoolODE: cells that follow Boolean rules, as noisy differential equations (Pratapa et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bengrn._threads import number_of_threads
from bengrn._wording import listed
from bengrn.simulate import need_numba
from bengrn.simulate.rules import Rule, implied_edges, rules_of
from bengrn.simulate.simulated import Simulation, as_anndata, chosen_genes, record_of, true_network
from bengrn.simulate.technical import TechnicalNoise
from bengrn.truths.ground_truth import GroundTruth

CITATION = "Pratapa A et al. BEELINE. Nature Methods 17:147-154 (2020)"
#: Transcription, decay of RNA, translation, decay of protein (Pratapa et al. 2020, Methods).
_RATES = (20.0, 10.0, 10.0, 1.0)
#: Levels of RNA and of protein of a gene that is on, and the protein at which it has half its effect.
ON, HALF = (2.0, 20.0), 10.0


def boolode(
    network: Mapping[str, str] | GroundTruth | pd.DataFrame | str | Path,
    *,
    initial: Sequence[str] = (),
    n_cells: int = 1000,
    duration: float = 8.0,
    technical: TechnicalNoise | None = None,
    knock_out: Sequence[str] = (),
    hill: float = 10.0,
    noise: float = 1.0,
    dt: float = 0.01,
    organism: str = "human",
    threads: int | None = None,
    seed: int = 0,
) -> Simulation:
    """Simulate cells whose genes follow Boolean rules, as BoolODE does.

    A rule becomes the share ``f`` of full transcription, a sum over all states of its regulators in which the gene is
    on, weighted by Hill functions of their proteins. RNA x and protein p follow
    ``dx = (20 f - 10 x) dt + noise sqrt(x) dW`` and ``dp = (10 x - p) dt + noise sqrt(p) dW``: a gene that is on has
    about 2 of RNA and 20 of protein. Each cell is one trajectory, looked at once, at a time of its own.

    Parameters
    ----------
    network
        Rules by gene, such as ``{"A": "B and not C"}`` (also ``&``, ``|``, ``!``); the path of a file of rules, a line
        each (``A = B and not C``, or below a header gene and rule); or signed edges as for
        :func:`bengrn.simulate.sergio`: then a gene is on where any activator and no repressor is, and that is noted.
    initial
        Genes that are on at the start; all others are off.
    n_cells
        Number of cells.
    duration
        Time over which cells are spread; proteins change within about 1.
    technical
        Technical noise. Default: none, X holds levels of RNA.
    knock_out
        Genes that are not transcribed. Random numbers stay the same, so that only their descendants change.
    hill
        Hill exponent.
    noise
        Amplitude of the noise.
    dt
        Length of a time step.
    organism
        Organism of the truth that is returned.
    threads
        Number of threads; by default all processors, or as many as OMP_NUM_THREADS says. The result is
        the same with any number.
    seed
        Seed for noise, times and technical noise. The result follows the names of genes, not their order.

    Returns
    -------
    Simulation
        ``cells``: AnnData with RNA in X and ``layers["levels"]``, protein in ``layers["protein"]``; ``obs["time"]`` and
        ``obs["end_state"]``, the genes that are on at the end of the cell's trajectory. ``truth``: the edges that the
        rules imply, with sign 1, -1, or 0 where a regulator acts both ways.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    FloatingPointError
        If a level grows beyond all bounds; the gene is named.
    ImportError
        If numba is not installed.
    ValueError
        If a rule cannot be read, a gene is unknown, a number makes no sense, or nothing would ever be on.

    Examples
    --------
    >>> import bengrn
    >>> rules = {"A": "A and not B", "B": "B and not A", "C": "A or B"}
    >>> cells, truth = bengrn.simulate.boolode(rules, initial=["A", "B"], n_cells=50)
    >>> cells.shape, len(truth)
    ((50, 3), 6)
    """
    record = record_of(boolode, locals(), {"network": network})
    need_numba()
    for name, value in {"n_cells": n_cells, "duration": duration, "hill": hill, "dt": dt}.items():
        if not 0 < value < np.inf:
            raise ValueError(f"{name} is a number above 0, got {value}")
    if not 0 <= noise < np.inf:
        raise ValueError(f"noise is a number of 0 or more, got {noise}")
    if dt * _RATES[1] >= 1:
        raise ValueError(f"steps of dt={dt} are too long for the decay of RNA, {_RATES[1]}: lower dt below 0.1")
    rules, notes = rules_of(network)
    genes = tuple(rules)
    begins_on = chosen_genes(initial, genes, "initial")
    silent = chosen_genes(knock_out, genes, "knock_out")
    if not begins_on.any() and not any(rule.table[0] for rule in rules.values()):
        raise ValueError(
            f"no gene is on at the start, and no rule switches one on while all are off: name some in initial=, of "
            f"{listed(genes)}"
        )
    of_cells, of_technical = np.random.SeedSequence(seed).spawn(2)
    n_steps = max(1, round(duration / dt))
    numbers = (*_RATES, HALF, float(hill), float(noise))
    found = _simulated(
        *(rules, begins_on, silent, numbers, dt, n_steps),
        seeds=of_cells.spawn(n_cells),
        threads=number_of_threads(threads),
    )
    levels, ends, moments = found
    bad = ~np.isfinite(levels).all(axis=(0, 1))
    if bad.any():
        raise FloatingPointError(
            f"the level of {genes[int(np.argmax(bad))]} grows beyond all bounds: lower dt or noise"
        )
    obs = pd.DataFrame(
        {"time": moments * dt, "end_state": pd.Categorical([_state(genes, end) for end in ends])},
        index=[f"cell {at}" for at in range(n_cells)],
    )
    X = levels[0] if technical is None else technical(levels[:1], np.random.default_rng(of_technical))[0]
    cells = as_anndata(genes, X, obs, {"levels": levels[0], "protein": levels[1]}, notes, record)
    cells.uns["simulation"]["rules"] = {gene: rule.text for gene, rule in rules.items()}
    edges = implied_edges(rules)
    truth = true_network(edges, genes, name="boolode", citation=CITATION, organism=organism, part="")
    return Simulation(cells, truth)


def _state(genes: Sequence[str], rna: NDArray[np.float64]) -> str:
    return " ".join(gene for gene, x in zip(genes, rna, strict=True) if x > ON[0] / 2) or "none"


def _simulated(
    rules: Mapping[str, Rule],
    begins_on: NDArray[np.bool_],
    silent: NDArray[np.bool_],
    numbers: tuple[float, ...],
    dt: float,
    n_steps: int,
    *,
    seeds: Sequence[np.random.SeedSequence],
    threads: int,
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.int64]]:
    """Return RNA and protein, (2, cells, genes), RNA at the end, (cells, genes), and the step of each cell."""
    from bengrn.simulate.protein_steps import run

    place = {gene: at for at, gene in enumerate(rules)}
    start = np.cumsum([0, *(len(rule.regulators) for rule in rules.values())])
    regulators = np.array([place[name] for rule in rules.values() for name in rule.regulators], dtype=np.int64)
    sizes = [len(rule.table) for rule in rules.values()]
    offset = np.cumsum([0, *sizes])[:-1]
    tables = np.concatenate([rule.table for rule in rules.values()]).astype(np.float64)
    first = begins_on & ~silent
    out = np.empty((2, len(seeds), len(rules)), dtype=np.float32)
    ends = np.empty((len(seeds), len(rules)))
    moments = np.empty(len(seeds), dtype=np.int64)

    def one(at: int) -> None:
        rng = np.random.default_rng(seeds[at])
        moments[at] = rng.integers(n_steps)
        rna, protein = (np.where(first, level, 0.0) for level in ON)
        normals = rng.standard_normal((n_steps, 2, len(rules)))
        seen = np.empty((2, len(rules)))
        work = np.empty(max(sizes))
        run(
            *(rna, protein, start, regulators, offset, tables, numbers, silent),
            *(dt, normals, moments[at], seen, work),
        )
        out[:, at], ends[at] = seen, rna

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(one, range(len(seeds))):
            pass
    return out, ends, moments
