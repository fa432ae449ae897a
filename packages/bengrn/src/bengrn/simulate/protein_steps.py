"""Compiled steps of BoolODE's equations of RNA and protein."""

# The compiler finds the types.
# mypy: disable-error-code="no-untyped-def, assignment, call-arg"

from __future__ import annotations

import numba
import numpy as np

from bengrn.simulate.langevin import OPTIONS


@numba.njit(**OPTIONS)
def run(rna, protein, start, regulators, offset, tables, numbers, silent, dt, normals, kept, out, work):
    """Take steps of Euler and Maruyama from one state, and write down the levels at one of them.

    Parameters
    ----------
    rna, protein
        Levels, float64, (genes,); they change.
    start, regulators
        Place of the first regulator of each gene, (genes + 1,), and the places of the regulators.
    offset, tables
        Place of the first entry of each gene's table, (genes,), and all tables, float64.
    numbers
        Transcription, decay of RNA, translation, decay of protein, protein of half effect, Hill exponent, noise.
    silent
        Whether a gene is knocked out, (genes,).
    dt
        Length of a step.
    normals
        Standard normal numbers, (steps, 2, genes).
    kept
        The step before which levels are written down.
    out
        RNA and protein at that step, (2, genes).
    work
        Room for the largest table, float64.
    """
    transcription, decay, translation, decay_protein, half, exponent, noise = numbers
    n = len(rna)
    root = noise * np.sqrt(dt)
    on = np.empty(n)
    change = np.empty(n)
    for step in range(len(normals)):
        if step == kept:
            out[0] = rna
            out[1] = protein
        for gene in range(n):
            on[gene] = 1.0 / (1.0 + (half / protein[gene]) ** exponent) if protein[gene] > 0.0 else 0.0
        for gene in range(n):
            size = 1 << (start[gene + 1] - start[gene])
            work[:size] = tables[offset[gene] : offset[gene] + size]
            # one regulator after the other, from the highest bit down: the share of "on" between its two states
            for k in range(start[gene + 1] - 1, start[gene] - 1, -1):
                size >>= 1
                share = on[regulators[k]]
                for entry in range(size):
                    work[entry] += (work[entry + size] - work[entry]) * share
            made = 0.0 if silent[gene] else transcription * work[0]
            change[gene] = (made - decay * rna[gene]) * dt + root * np.sqrt(rna[gene]) * normals[step, 0, gene]
        for gene in range(n):
            moved = (translation * rna[gene] - decay_protein * protein[gene]) * dt
            protein[gene] = max(0.0, protein[gene] + moved + root * np.sqrt(protein[gene]) * normals[step, 1, gene])
            rna[gene] = max(0.0, rna[gene] + change[gene])
