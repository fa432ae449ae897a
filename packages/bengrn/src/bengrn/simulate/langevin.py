"""Compiled steps of SERGIO's chemical Langevin equations."""

# The compiler finds the types.
# mypy: disable-error-code="no-untyped-def, assignment, call-arg"

from __future__ import annotations

from typing import Any

import numba
import numpy as np

OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}


@numba.njit(**OPTIONS)
def advance(
    first, second, basal, goal, migration, start, source, strength, hill, half, silent, rates, dt, normals, kept, out
):
    """Take steps of Euler and Maruyama, and write down the levels at some of them.

    Parameters
    ----------
    first, second
        Levels of RNA, and of spliced RNA or of no gene at all, float64, (genes,); both change.
    basal, goal
        Production that no regulator brings: now, which changes, and in the end, (genes,).
    migration
        Share of the way from `basal` to `goal` that is gone in a step.
    start, source, strength, hill, half
        Edges, see `bengrn.simulate.regulation.Regulation`.
    silent
        Whether a gene is knocked out, (genes,).
    rates
        Decay of `first`, amplitude of its noise, decay of `second`, amplitude of its noise.
    dt
        Length of a step.
    normals
        Standard normal numbers, (steps, 1 or 2, genes).
    kept
        Row of `out` for the levels before each step; -1 for none, (steps,).
    out
        Levels, (1 or 2, rows, genes).
    """
    decay, noise, decay_second, noise_second = rates[0], rates[1], rates[2], rates[3]
    n = len(first)
    spliced = len(second) > 0
    root = np.sqrt(dt)
    change = np.empty(n)
    for step in range(len(normals)):
        if kept[step] >= 0:
            out[0, kept[step]] = first
            if spliced:
                out[1, kept[step]] = second
        for gene in range(n):
            basal[gene] += migration * (goal[gene] - basal[gene])
            production = basal[gene]
            for edge in range(start[gene], start[gene + 1]):
                x = first[source[edge]]
                on = 0.0
                if x > 0.0:
                    ratio = half[edge] / x
                    on = 1.0 / (1.0 + (ratio * ratio if hill[edge] == 2.0 else ratio ** hill[edge]))
                production += strength[edge] * on if strength[edge] > 0.0 else strength[edge] * (on - 1.0)
            if silent[gene]:
                production = 0.0
            lost = decay * first[gene]
            change[gene] = (production - lost) * dt + noise * root * np.sqrt(production + lost) * normals[step, 0, gene]
        if spliced:
            for gene in range(n):
                made = decay * first[gene]
                lost = decay_second * second[gene]
                jump = noise_second * root * np.sqrt(made + lost) * normals[step, 1, gene]
                second[gene] = max(0.0, second[gene] + (made - lost) * dt + jump)
        for gene in range(n):
            first[gene] = max(0.0, first[gene] + change[gene])
