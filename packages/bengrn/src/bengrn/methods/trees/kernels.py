"""Compiled growing of trees for one target: a random forest, and boosted trees."""

# The compiler finds the types.
# mypy: disable-error-code="no-untyped-def, assignment, call-arg"

from __future__ import annotations

import numba
import numpy as np

from bengrn.methods.trees.splits import FEW, OPTIONS, RAW, best_split, draw, layout, part, workspace

_DEPTH = 3


@numba.njit(**OPTIONS)
def grow_forest(values, above, is_sparse, y, allowed, n_trees, n_tried, seed, given, importance):
    """Add to `importance` what each gene explains of `y` in a random forest of trees that are grown to the end.

    Parameters
    ----------
    values, above, is_sparse
        Expression in bins, see `bengrn.methods.trees.bins.Bins`.
    y
        Values to predict, float64, (cells,).
    allowed
        Places of the genes to predict from, int64; its order changes.
    n_trees, n_tried
        Number of trees, and of genes that are tried at a split.
    seed
        Seed, uint64.
    given
        Places of the cells of each tree's bootstrap sample, int64, (trees, cells); of shape (0, 0) to draw them.
    importance
        Mean over trees of the variance that splits by each gene take away, float64, (genes,).
    """
    n = values.shape[1]
    lowest = np.min(y)
    width = np.max(y) - lowest
    if width <= 0.0:
        return
    shift, largest = layout(n)
    unit = width / largest
    mask = (np.uint64(1) << shift) - np.uint64(1)
    single = np.empty(n, dtype=np.uint64)  # each cell once
    for i in range(n):
        single[i] = (np.uint64(1) << shift) | np.uint64((y[i] - lowest) / unit + 0.5)
    state = np.array([seed], dtype=np.uint64)
    space = workspace(above.shape[1])
    packed = np.empty(n, dtype=np.uint64)
    cells = np.empty(n, dtype=np.uint32)
    by_y = np.argsort(y, kind="mergesort").astype(np.uint32)
    rank = np.empty(n, dtype=np.uint32)
    for k in range(n):
        rank[by_y[k]] = k
    bounds = np.empty((n + 1, 2), dtype=np.int64)
    few = np.empty(FEW, dtype=np.uint32)
    scale = unit * unit / (n * n_trees)
    for tree in range(n_trees):
        if given.shape[0] > 0:
            m = _sample(single, packed, cells, given[tree])
        else:
            m = _sample(single, packed, cells, _draws(state, n))
        _tree(
            values,
            above,
            is_sparse,
            single,
            packed,
            cells,
            m,
            rank,
            by_y,
            shift,
            mask,
            allowed,
            n_tried,
            state,
            space,
            few,
            bounds,
            scale,
            importance,
        )


@numba.njit(**RAW)
def _tree(
    values,
    above,
    is_sparse,
    single,
    packed,
    cells,
    m,
    rank,
    by_y,
    shift,
    mask,
    allowed,
    n_tried,
    state,
    space,
    few,
    bounds,
    scale,
    importance,
):
    """Grow one tree to the end on the first m cells, and add what its splits take away."""
    bounds[0, 0] = 0
    bounds[0, 1] = m
    depth = 1
    while depth > 0:
        depth -= 1
        start = bounds[depth, 0]
        end = bounds[depth, 1]
        sum_all, differ = _node_sum(packed, single, cells, start, end)
        if not differ:
            continue
        enough = np.inf
        if end - start <= FEW:
            enough = _most(cells, start, end, rank, by_y, packed, shift, mask, sum_all, few)
        chosen, cut, decrease = best_split(
            *(values, above, is_sparse, cells, start, end, packed, shift, sum_all, enough, allowed, n_tried),
            *(state, space),
        )
        if chosen < 0:
            continue
        importance[chosen] += decrease * scale
        middle = part(cells, start, end, values[chosen], cut)
        bounds[depth, 0], bounds[depth, 1] = start, middle
        depth += middle - start > 1
        bounds[depth, 0], bounds[depth, 1] = middle, end
        depth += end - middle > 1


@numba.njit(**OPTIONS)
def _draws(state, n):
    """Draw n places with replacement."""
    drawn = np.empty(n, dtype=np.int64)
    for k in range(n):
        drawn[k] = draw(state, n)
    return drawn


@numba.njit(**RAW)
def _sample(single, packed, cells, drawn):
    """Add up each cell as often as it was drawn, list the cells, and return their number."""
    packed[:] = np.uint64(0)
    for i in drawn:
        packed[i] += single[i]
    m = 0
    for i in range(len(packed)):
        if packed[i] > np.uint64(0):
            cells[m] = i
            m += 1
    return m


@numba.njit(forceinline=True, **RAW)
def _node_sum(packed, single, cells, start, end):
    """Return the sum over a node, and whether its values differ."""
    sum_all = np.uint64(0)
    first = single[cells[start]]
    differ = False
    for k in range(start, end):
        i = np.uint64(cells[k])
        sum_all += packed[i]
        differ |= single[i] != first
    return sum_all, differ


@numba.njit(forceinline=True, **RAW)
def _most(cells, start, end, rank, by_y, packed, shift, mask, sum_all, few):
    """Return what the best of all splits of few cells does, that by `y` itself: numerator over denominator."""
    n = end - start
    for k in range(n):
        place = rank[cells[start + k]]
        at = k
        while at > 0 and few[at - 1] > place:
            few[at] = few[at - 1]
            at -= 1
        few[at] = place
    w_all = np.float64(np.int64(sum_all >> shift))
    s_all = np.float64(np.int64(sum_all & mask))
    best = 0.0
    sum_ = np.uint64(0)
    for k in range(n - 1):
        sum_ += packed[by_y[few[k]]]
        w = np.float64(np.int64(sum_ >> shift))
        over = w_all * np.float64(np.int64(sum_ & mask)) - w * s_all
        best = max(best, over * over / (w * (w_all - w)))
    return best * (1.0 - 1e-12)


@numba.njit(**OPTIONS)
def boost(values, above, is_sparse, y, allowed, rate, n_trees, n_tried, n_in, window, across, seed, importance):
    """Predict `y` by boosted trees of depth 3; put into `importance` what splits by each gene take away.

    Parameters
    ----------
    values, above, is_sparse, y, allowed
        Arrays as for `grow_forest`.
    rate
        Share of each tree's prediction that is added.
    n_trees
        Number of trees at most.
    n_tried
        Number of genes that are tried at a split.
    n_in
        Number of cells that a tree is grown on, drawn without replacement.
    window
        Number of rounds whose mean improvement on the cells left out stops the growth where it is below 0.
    across
        Whether the improvement is that from the error of the cells left out of the tree before, which are others.
    seed
        Seed, uint64.
    importance
        Mean over trees of the decrease of the squared error by splits of each gene, float64, (genes,).

    Returns
    -------
    int
        Number of trees.
    """
    n = values.shape[1]
    n_out = n - n_in
    shift, largest = layout(n)
    state = np.array([seed], dtype=np.uint64)
    space = workspace(above.shape[1])
    packed = np.empty(n, dtype=np.uint64)
    left = y - np.mean(y)  # what is not predicted yet
    order = np.arange(n).astype(np.uint32)
    inside = np.empty(n_in, dtype=np.uint32)
    steps = np.empty(n)
    bounds = np.empty((_DEPTH + 2, 5), dtype=np.int64)
    improvement = np.zeros(window)
    grown = 0
    n_split = 0
    error_before = 0.0
    for tree in range(n_trees):
        for k in range(n_out):  # those left out come first
            other = k + draw(state, n - k)
            i = order[other]
            order[other] = order[k]
            order[k] = i
        if tree == 0 or not across:
            error_before = _error(left, order, n_out)
        inside[:] = order[n_out:]
        lowest = np.min(left)
        unit = max((np.max(left) - lowest) / largest, 1e-300)
        for i in range(n):
            packed[i] = (np.uint64(1) << shift) | np.uint64((left[i] - lowest) / unit + 0.5)
        n_split += _grow_small(
            *(values, above, is_sparse, left, packed, shift, inside, order, n_out, rate, unit * unit / n_in, allowed),
            *(n_tried, state, space, steps, bounds, importance),
        )
        grown += 1
        for i in range(n):
            left[i] -= steps[i]
        if n_out > 0:
            error = _error(left, order, n_out)
            improvement[tree % window] = (error_before - error) / n_out
            error_before = error
            if tree + 1 >= window and np.sum(improvement) < 0.0:
                break
    if n_split > 0:
        for f in range(len(importance)):
            importance[f] /= n_split
    return grown


@numba.njit(forceinline=True, **RAW)
def _error(left, order, n_out):
    """Return the squared error of the cells that come first."""
    error = 0.0
    for k in range(n_out):
        error += left[order[k]] ** 2
    return error


@numba.njit(**RAW)
def _grow_small(
    values,
    above,
    is_sparse,
    left,
    packed,
    shift,
    inside,
    order,
    n_out,
    rate,
    scale,
    allowed,
    n_tried,
    state,
    space,
    steps,
    bounds,
    importance,
):
    """Grow one tree, and put what it adds to each cell's prediction into `steps`; return whether it has a split."""
    _put(bounds, 0, 0, len(inside), 0, n_out, 0)
    depth = 1
    is_split = False
    while depth > 0:
        depth -= 1
        start = bounds[depth, 0]
        end = bounds[depth, 1]
        out_start = bounds[depth, 2]
        out_end = bounds[depth, 3]
        level = bounds[depth, 4]
        sum_all, differ = _node_sum(packed, packed, inside, start, end)
        chosen = -1
        cut = -1
        decrease = 0.0
        if level < _DEPTH and differ:
            chosen, cut, decrease = best_split(
                *(values, above, is_sparse, inside, start, end, packed, shift, sum_all, np.inf, allowed, n_tried),
                *(state, space),
            )
        if chosen < 0:  # a leaf, whose mean is taken off all of its cells at the end
            total = 0.0
            for k in range(start, end):
                total += left[inside[k]]
            step = rate * total / (end - start)
            for k in range(start, end):
                steps[inside[k]] = step
            for k in range(out_start, out_end):
                steps[order[k]] = step
            continue
        is_split = True
        importance[chosen] += decrease * scale
        middle = part(inside, start, end, values[chosen], cut)
        out_middle = part(order, out_start, out_end, values[chosen], cut)
        _put(bounds, depth, start, middle, out_start, out_middle, level + 1)
        _put(bounds, depth + 1, middle, end, out_middle, out_end, level + 1)
        depth += 2
    return is_split


@numba.njit(forceinline=True, **RAW)
def _put(bounds, at, start, end, out_start, out_end, level):
    """Remember a node: its cells, its cells that were left out, and its level."""
    bounds[at, 0] = start
    bounds[at, 1] = end
    bounds[at, 2] = out_start
    bounds[at, 3] = out_end
    bounds[at, 4] = level
