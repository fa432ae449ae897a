"""How well an embedding mixes the batches of each type of cells."""

from __future__ import annotations

import numpy as np

from benchmarks.ablation.scores import NEIGHBOURS, neighbours


def mixing(points: np.ndarray, labels: np.ndarray, batches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of cells whose type has several batches, and how often their neighbours are of another one.

    The neighbours are the ten nearest cells of the same type, so that an embedding in which all types lie upon each
    other wins nothing. The share of them that is of another batch is divided by chance: the share of the other cells of
    the type that is of another batch, on average over the cells. 1 is as mixed as cells that were dealt out. Types with
    fewer than twelve cells are left out.

    Parameters
    ----------
    points
        Embedding, (n_cells, d).
    labels, batches
        Type and batch of each cell, (n_cells,).
    """
    cells, shares, chances = [], [], []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        of, sizes = np.unique(batches[own], return_inverse=True, return_counts=True)[1:]
        if len(own) < NEIGHBOURS + 2 or len(sizes) < 2:
            continue
        near = neighbours(points[own])
        cells.append(own)
        shares.append((of[near] != of[:, None]).mean(axis=1))
        chances.append((len(own) - sizes[of]) / (len(own) - 1))
    if not cells:
        return np.empty(0, dtype=np.int64), np.empty(0)
    order = np.argsort(places := np.concatenate(cells))
    return places[order], np.concatenate(shares)[order] / np.concatenate(chances).mean()
