"""SERGIO: single cells of a gene network, by chemical Langevin equations (Dibaeinia and Sinha 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bengrn._threads import number_of_threads
from bengrn._wording import listed
from bengrn.simulate import need_numba
from bengrn.simulate.cycles import Cycles, without_cycles
from bengrn.simulate.regulation import drawn_rates, regulation, with_strengths
from bengrn.simulate.sergio_cells import Kinetics, TypeOfCells, simulate_types
from bengrn.simulate.sergio_files import rates_table, read_graph
from bengrn.simulate.signed_edges import Duplicates, signed_edges
from bengrn.simulate.simulated import Simulation, as_anndata, chosen_genes, record_of, true_network
from bengrn.simulate.technical import TechnicalNoise
from bengrn.truths.ground_truth import GroundTruth

CITATION = "Dibaeinia P, Sinha S. SERGIO. Cell Systems 11:252-271 (2020)"
#: As in its paper: technical noise with the numbers of its example.
USUAL_NOISE = TechnicalNoise()


def sergio(
    network: GroundTruth | pd.DataFrame | str | Path,
    *,
    rates: pd.DataFrame | str | Path | None = None,
    n_cells: int = 1000,
    n_types: int = 9,
    differentiation: NDArray | Sequence[Sequence[float]] | str | Path | None = None,
    technical: TechnicalNoise | None = USUAL_NOISE,
    knock_out: Sequence[str] = (),
    hill: float = 2.0,
    decay: float = 0.8,
    noise: float = 1.0,
    noise_spliced: float = 0.07,
    splice_ratio: float = 4.0,
    dt: float = 0.01,
    spacing: int = 15,
    duration: float = 15.0,
    n_trajectories: int | None = None,
    cycles: Cycles = "error",
    duplicates: Duplicates = "error",
    organism: str = "human",
    threads: int | None = None,
    seed: int = 0,
) -> Simulation:
    """Simulate cells of several types whose genes follow a known network, as SERGIO does.

    Production of a gene is the sum over its regulators of ``K h(x)`` (activators) and ``K (1 - h(x))`` (repressors),
    with ``h(x) = x**n / (half**n + x**n)`` and `half` the regulator's expected level averaged over cell types. Master
    regulators, which nothing regulates, are produced at a rate of their own in each cell type. Levels follow
    ``dx = (P - decay x) dt + noise sqrt(P + decay x) dW``.

    Parameters
    ----------
    network
        Network as a truth, as a table with the columns ``source``, ``target`` and optionally ``sign``, ``strength``
        and ``hill``, as the path of such a table, or as the path of SERGIO's own file of interactions. Strengths that
        are not given are drawn between 1 and 5; edges without a sign activate.
    rates
        Production rates of the master regulators, (master regulators, cell types), or the path of a table or of
        SERGIO's own file. Default: drawn from 0.2 to 0.5 (low) or 0.7 to 1 (high), at random.
    n_cells
        Number of cells, spread evenly over the cell types.
    n_types
        Number of cell types, where no rates are given.
    differentiation
        Differentiation graph, (cell types, cell types), or the path of one: entry (i, j) above 0 says that type j
        comes from type i, and is the share of the way to its own rates that master regulators go in a time step.
        Default: every type is in its steady state. With a graph unspliced and spliced RNA are told apart.
    technical
        Technical noise, or None for levels as they are.
    knock_out
        Genes that are not produced. Random numbers stay the same, so that only their descendants change (technical
        noise, which shares out a cell's depth, spreads to all).
    hill
        Hill exponent of the edges that state none.
    decay
        Rate of decay of RNA; of unspliced RNA, its splicing, where a differentiation graph is given.
    noise
        Amplitude of the noise of production and decay.
    noise_spliced
        Amplitude of the noise of splicing and decay of spliced RNA.
    splice_ratio
        Level of spliced RNA over that of unspliced RNA in the steady state.
    dt
        Length of a time step.
    spacing
        Number of time steps of a steady state for each of its cells; more makes cells less alike.
    duration
        Time over which the cells of a type that differentiates are spread.
    n_trajectories
        Number of trajectories of a type that differentiates, over which its cells are spread. Default: each cell has
        its own, so that cells are independent.
    cycles
        "error" to refuse feedback, as SERGIO does; "break" to leave out edges that close cycles; "keep" to simulate it.
    duplicates
        "error", or "first" to keep the first of edges that are there twice.
    organism
        Organism of the truth that is returned.
    threads
        Number of threads; by default all processors, or as many as OMP_NUM_THREADS says. The result is
        the same with any number.
    seed
        Seed for strengths, rates, noise and technical noise. The result follows the names of genes, not their order.

    Returns
    -------
    Simulation
        ``cells``: AnnData with counts (or levels) in X, levels in ``layers["levels"]``, where a graph is given also
        ``unspliced`` and ``spliced``; ``obs["cell_type"]`` and, with a graph, ``obs["parent"]`` and ``obs["time"]``;
        notes on what was taken for granted in ``uns["simulation"]``. ``truth``: the edges that were simulated, with
        sign, strength and hill.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    FloatingPointError
        If a level grows beyond all bounds; the gene is named.
    ImportError
        If numba is not installed.
    ValueError
        If the network has feedback, an edge twice, or no master regulator; if rates are missing or no numbers; or if a
        number makes no sense.

    Examples
    --------
    >>> import bengrn
    >>> import pandas as pd
    >>> edges = pd.DataFrame({"source": ["SOX2", "SOX2"], "target": ["PAX6", "OTX2"], "sign": [1, -1]})
    >>> cells, truth = bengrn.simulate.sergio(edges, n_cells=60, n_types=2)
    >>> cells.shape, len(truth)
    ((60, 3), 2)
    """
    record = record_of(sergio, locals(), {"network": network, "rates": rates, "differentiation": differentiation})
    need_numba()
    positive = {"n_cells": n_cells, "n_types": n_types, "spacing": spacing, "n_trajectories": n_trajectories or 1}
    _check({**positive, "hill": hill, "decay": decay, "splice_ratio": splice_ratio, "dt": dt, "duration": duration})
    for name, value in {"noise": noise, "noise_spliced": noise_spliced}.items():
        if not 0 <= value < np.inf:
            raise ValueError(f"{name} is a number of 0 or more, got {value}")
    if decay * dt >= 1:
        raise ValueError(f"steps of dt={dt} are too long for decay={decay}, which takes all in one: lower dt")
    edges = without_cycles(signed_edges(network, duplicates=duplicates), cycles)
    if not edges.masters:
        raise ValueError(
            f"no master regulator: each of the {len(edges.genes)} genes has a regulator, such as "
            f"{listed(edges.genes, 3, more=False)}, and nothing drives the network; leave out the edges into some genes"
        )
    of_strengths, of_rates, of_types, of_technical = np.random.SeedSequence(seed).spawn(4)
    table = with_strengths(edges, hill, np.random.default_rng(of_strengths))
    if rates is None:
        rates = drawn_rates(edges.masters, n_types, np.random.default_rng(of_rates))
    given, levels = regulation(edges, table, rates_table(rates, edges.masters), decay)
    graph = None if differentiation is None else differentiation_graph(differentiation, given.types)
    types = [
        TypeOfCells(len(part), given.basal[at], levels[at])
        for at, part in enumerate(np.array_split(np.arange(n_cells), len(given.types)))
    ]
    if graph is not None:
        types = [_from_parent(one, at, graph, given.basal, levels) for at, one in enumerate(types)]
    kinetics = Kinetics(
        noise, noise_spliced, None if graph is None else splice_ratio, dt, spacing, duration, n_trajectories
    )
    silent = chosen_genes(knock_out, given.genes, "knock_out")
    found = simulate_types(given, types, kinetics, silent, of_types.spawn(len(types)), number_of_threads(threads))
    kinds = np.concatenate([one for one, _ in found], axis=1)
    obs = _labels([len(time) for _, time in found], given.types)
    layers = {"levels": kinds.sum(axis=0)}
    measured = kinds if technical is None else technical(kinds, np.random.default_rng(of_technical))
    if graph is not None:
        parents = [_parent(graph, at) for at in range(len(types))]
        names = ["" if parent is None else given.types[parent] for parent in parents]
        obs["parent"] = np.repeat(np.array(names, dtype=object), [len(time) for _, time in found])
        obs["time"] = np.concatenate([time for _, time in found])
        layers |= {"unspliced": measured[0], "spliced": measured[1]}
    edge_table = table.reset_index(drop=True)
    truth = true_network(edge_table, given.genes, name="sergio", citation=CITATION, organism=organism, part="")
    cells = as_anndata(given.genes, measured.sum(axis=0), obs, layers, edges.notes, record)
    cells.var["is_master_regulator"] = np.isin(cells.var_names, edges.masters)
    return Simulation(cells, truth)


def differentiation_graph(graph: Any, types: Sequence[str]) -> NDArray[np.float64]:
    """Take a differentiation graph, checked: a tree from each type to those that come from it.

    Parameters
    ----------
    graph
        Array (cell types, cell types), or the path of one.
    types
        Names of the cell types.

    Raises
    ------
    ValueError
        If it has another shape, an entry lies outside 0 to 1, or a type comes from two others or from itself.
    """
    values = read_graph(graph) if isinstance(graph, str | Path) else np.asarray(graph, dtype=float)
    if values.shape != (len(types), len(types)):
        raise ValueError(
            f"the differentiation graph has the shape {values.shape}, and there are {len(types)} cell types: "
            f"{listed(types)}"
        )
    if not np.isfinite(values).all() or (values < 0).any() or (values > 1).any():
        raise ValueError("entries of the differentiation graph are shares of the way that is gone in a step: 0 to 1")
    several = np.flatnonzero((values > 0).sum(axis=0) > 1)
    if len(several):
        raise ValueError(f"cell type {types[several[0]]} comes from more than one type: leave one entry in its column")
    for at in range(len(types)):
        seen, parent = {at}, _parent(values, at)
        while parent is not None:
            if parent in seen:
                raise ValueError(f"cell type {types[at]} comes from itself in the differentiation graph: it is no tree")
            seen.add(parent)
            parent = _parent(values, parent)
    return values


def _from_parent(
    one: TypeOfCells, at: int, graph: NDArray[np.float64], basal: NDArray[np.float64], levels: NDArray[np.float64]
) -> TypeOfCells:
    parent = _parent(graph, at)
    if parent is None:
        return one
    return TypeOfCells(one.n, one.basal, levels[parent], basal[parent], float(graph[parent, at]))


def _parent(graph: NDArray[np.float64], at: int) -> int | None:
    found = np.flatnonzero(graph[:, at] > 0)
    return int(found[0]) if len(found) else None


def _labels(sizes: Sequence[int], types: Sequence[str]) -> pd.DataFrame:
    names = [name for name, n in zip(types, sizes, strict=True) for _ in range(n)]
    cells = [f"{name} cell {at}" for name, n in zip(types, sizes, strict=True) for at in range(n)]
    return pd.DataFrame({"cell_type": pd.Categorical(names, categories=list(types))}, index=cells)


def _check(numbers: dict[str, float]) -> None:
    for name, value in numbers.items():
        if not 0 < value < np.inf:
            raise ValueError(f"{name} is a number above 0, got {value}")
