"""Compiled growing of trees that no target decides on, and their gains for many targets at once."""

# The compiler finds the types.
# mypy: disable-error-code="no-untyped-def, assignment, call-arg"

from __future__ import annotations

import numba
import numpy as np

from bengrn.methods.trees.splits import OPTIONS, draw, part

_TRIES = 10


@numba.njit(**OPTIONS)
def grow_at_random(values, n_trees, least, seed):
    """Split cells again and again by a gene drawn at random, at one of its values in the node drawn at random.

    Parameters
    ----------
    values
        Expression in bins, uint8, (genes, cells).
    n_trees
        Number of trees.
    least
        Number of cells on each side of a split at least.
    seed
        Seed, uint64.

    Returns
    -------
    order : numpy.ndarray
        Places of the cells by leaf, uint32, (trees, cells).
    nodes : numpy.ndarray
        First cell, cell behind the lower side, cell behind the node, and gene of each split, int64, (trees, most, 4); a
        split comes before those of its sides.
    n_nodes : numpy.ndarray
        Number of splits, int64, (trees,).
    """
    n_genes, n = values.shape
    most = max(1, n // least)
    order = np.empty((n_trees, n), dtype=np.uint32)
    nodes = np.empty((n_trees, most, 4), dtype=np.int64)
    n_nodes = np.zeros(n_trees, dtype=np.int64)
    state = np.array([seed], dtype=np.uint64)
    waiting = np.empty((n + 1, 2), dtype=np.int64)
    for tree in range(n_trees):
        cells = order[tree]
        for i in range(n):
            cells[i] = i
        waiting[0, 0] = 0
        waiting[0, 1] = n
        depth = 1
        while depth > 0:
            depth -= 1
            start = waiting[depth, 0]
            end = waiting[depth, 1]
            if end - start < 2 * least:
                continue
            for _ in range(_TRIES):
                f = draw(state, n_genes)
                low = np.int64(values[f, cells[start]])
                high = low
                for k in range(start, end):
                    b = np.int64(values[f, cells[k]])
                    low = min(low, b)
                    high = max(high, b)
                if low == high:
                    continue
                # the value of one of the cells, other than the highest
                cut = np.int64(values[f, cells[start + draw(state, end - start)]])
                if cut == high:
                    cut = high - 1
                middle = part(cells, start, end, values[f], cut)
                if middle - start < least or end - middle < least:
                    continue
                at = n_nodes[tree]
                nodes[tree, at, 0] = start
                nodes[tree, at, 1] = middle
                nodes[tree, at, 2] = end
                nodes[tree, at, 3] = f
                n_nodes[tree] = at + 1
                waiting[depth, 0] = start
                waiting[depth, 1] = middle
                waiting[depth + 1, 0] = middle
                waiting[depth + 1, 1] = end
                depth += 2
                break
    return order, nodes, n_nodes


@numba.njit(**OPTIONS)
def add_gains(y, order, nodes, n_nodes, gains):
    """Add to `gains` what the splits by each gene take off the squared error of each target.

    Parameters
    ----------
    y
        Values of some targets, centred, float64, (cells, targets).
    order, nodes, n_nodes
        Trees of `grow_at_random`.
    gains
        Gains, float64, (genes, targets).
    """
    n, n_targets = y.shape
    n_trees = len(nodes)
    sums = np.empty((n + 1, n_targets))
    before = np.empty(n + 1, dtype=np.int64)
    for tree in range(n_trees):
        # Sums of whole leaves only: cells between two bounds of nodes are never parted.
        bound = np.zeros(n + 1, dtype=np.bool_)
        bound[0] = True
        bound[n] = True
        for at in range(n_nodes[tree]):
            bound[nodes[tree, at, 1]] = True
        leaf = 0
        for k in range(n):
            if bound[k]:
                before[k] = leaf
                for t in range(n_targets):
                    sums[leaf + 1, t] = sums[leaf, t] if leaf > 0 else 0.0
                if leaf == 0:
                    for t in range(n_targets):
                        sums[0, t] = 0.0
                leaf += 1
            row = order[tree, k]
            for t in range(n_targets):
                sums[leaf, t] += y[row, t]
        before[n] = leaf
        for at in range(n_nodes[tree]):
            start = nodes[tree, at, 0]
            middle = nodes[tree, at, 1]
            end = nodes[tree, at, 2]
            f = nodes[tree, at, 3]
            a = before[start]
            b = before[middle]
            c = before[end]
            lower = np.float64(middle - start)
            upper = np.float64(end - middle)
            scale = 1.0 / (lower * upper * (lower + upper))
            for t in range(n_targets):
                left = sums[b, t] - sums[a, t]
                right = sums[c, t] - sums[b, t]
                gap = upper * left - lower * right
                gains[f, t] += gap * gap * scale
