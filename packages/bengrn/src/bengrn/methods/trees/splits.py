"""Compiled search for the best split of some cells by some of the genes, drawn at random.

A split of cells with weights w and values y by one gene takes ``(W s - w S)**2 / (W w (W - w))`` off the squared
error, with W and S the sums of w and of w y over all cells, and w and s those over one side. Of two splits with
numerators n and denominators d (without the W that all share) the first is better where ``n1 d2 > n2 d1``: the search
needs no division. Weight and value of a cell stand in one whole number, the value on a grid of at least 2**-28 of
its range up to 100,000 cells: half as many additions, and sums that are exact in any order. The same seed gives the
same trees on every processor and with any number of threads.
"""

# The compiler finds the types.
# mypy: disable-error-code="no-untyped-def, assignment, call-arg"

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros

OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}
#: For functions that make no arrays: counting the users of arrays took a fifth of the time.
RAW: dict[str, Any] = OPTIONS | {"_nrt": False}
#: Cells up to which no gene is searched on after one that parts them as well as any could.
FEW = 12
#: Numbers that a histogram takes: one for each bin.
_SIZE = 256


@numba.njit(forceinline=True, **RAW)
def draw(state, n):
    """Return a whole number below n: the upper 32 of the 64 bits of SplitMix64 (Steele et al. 2014), scaled."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.int64(((z >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))


@numba.njit(forceinline=True, **RAW)
def layout(n):
    """Return how weight and value share 64 bits: the place of the weight, and the largest value on the grid."""
    of_weight = 1
    while (1 << of_weight) <= n:
        of_weight += 1
    shift = 64 - of_weight
    return np.uint64(shift), np.float64(1 << (shift - of_weight)) - 1.0


@numba.njit(**OPTIONS)
def workspace(n_words):
    """Return what a search writes to: histograms, places and values of few cells, members of a node."""
    return (
        np.zeros(4 * _SIZE, dtype=np.uint64),
        np.empty(FEW, dtype=np.uint64),
        np.empty(FEW, dtype=np.uint64),
        np.zeros(n_words, dtype=np.uint64),
    )


@numba.njit(forceinline=True, **RAW)
def _fill_few(values, f, n, few_cells, few_packed, histogram):
    """Add few cells to the histogram of one gene; return a bin not below any, or 0 where all cells share one."""
    any_ = np.uint64(0)
    all_ = np.uint64(255)
    k = np.uint64(0)
    while k < n:
        b = np.uint64(values[f, few_cells[k]])
        any_ |= b
        all_ &= b
        histogram[b] += few_packed[k]
        k += np.uint64(1)
    if any_ == all_:
        histogram[any_] = np.uint64(0)
        return np.uint64(0)
    return any_


@numba.njit(forceinline=True, **RAW)
def _bin_split(histogram, first, top, shift, mask, w_all, s_all):
    """Return the best split by bins, and empty them; the lowest bin is not looked at, the sums of all tell it."""
    best = -1.0  # so that a split that takes nothing away is one
    below = 1.0
    cut = -1
    sum_ = np.uint64(0)
    at = first + top
    while at > first:  # bins without cells change no sum, and so are no better than the bin before
        sum_ += histogram[at]
        histogram[at] = np.uint64(0)
        w = np.float64(np.int64(sum_ >> shift))
        under = w * (w_all - w)
        over = w_all * np.float64(np.int64(sum_ & mask)) - w * s_all
        over *= over
        if over * below > best * under:
            best = over
            below = under
            cut = np.int64(at - first) - 1
        at -= np.uint64(1)
    histogram[first] = np.uint64(0)
    return best, below, cut


@numba.njit(**RAW)
def _fill_one(values, above, f, members, packed, histogram):
    """Add the cells of a node that are above the lowest bin of one gene; return a bin that is not below any."""
    top = np.uint64(0)
    for word in range(members.shape[0]):
        left = above[f, word] & members[word]
        at = np.uint64(word) << np.uint64(6)
        while left != np.uint64(0):
            i = at + np.uint64(trailing_zeros(left))
            left &= left - np.uint64(1)
            b = np.uint64(values[f, i])
            top |= b
            histogram[b] += packed[i]
    return top


@numba.njit(**RAW)
def _fill_four(values, f0, f1, f2, f3, cells, start, end, packed, histogram):
    """Add the cells of a node to the histograms of four genes at once; return for each a bin that is not below any.

    Additions to one histogram wait for each other where cells share a bin, those to four do not.
    """
    top0 = np.uint64(0)
    top1 = np.uint64(0)
    top2 = np.uint64(0)
    top3 = np.uint64(0)
    at = np.uint64(start)
    while at < np.uint64(end):
        i = np.uint64(cells[at])
        at += np.uint64(1)
        value = packed[i]
        b0 = np.uint64(values[f0, i])
        b1 = np.uint64(values[f1, i])
        b2 = np.uint64(values[f2, i])
        b3 = np.uint64(values[f3, i])
        top0 |= b0
        top1 |= b1
        top2 |= b2
        top3 |= b3
        histogram[b0] += value
        histogram[b1 + np.uint64(_SIZE)] += value
        histogram[b2 + np.uint64(2 * _SIZE)] += value
        histogram[b3 + np.uint64(3 * _SIZE)] += value
    return top0, top1, top2, top3


@numba.njit(**RAW)
def best_split(
    values, above, is_sparse, cells, start, end, packed, shift, sum_all, enough, allowed, n_tried, state, space
):
    """Return the gene, highest bin of the lower side and decrease of the squared error, on the grid, of the best split.

    Genes are drawn without replacement until `n_tried` have been tried and one of them tells the cells apart; the gene
    is -1 where none does.

    Parameters
    ----------
    values, above, is_sparse
        Expression in bins, uint8 (genes, cells); its bits, uint64 (genes, words); genes that few cells express, bool.
    cells, start, end
        Places of cells, uint32; the node has those from `start` to before `end`.
    packed
        Weight and weighted value of each cell in one number, uint64, (cells,).
    shift
        Place of the weight in it, see `layout`.
    sum_all
        Sum of these numbers over the node.
    enough
        Decrease at which no other gene can do better.
    allowed
        Genes to draw from, int64; its order changes.
    n_tried
        Number of genes to try.
    state
        State of the generator, uint64, (1,).
    space
        See `workspace`.
    """
    histogram, few, few_packed, members = space
    mask = (np.uint64(1) << shift) - np.uint64(1)
    w_all = np.float64(np.int64(sum_all >> shift))
    s_all = np.float64(np.int64(sum_all & mask))
    n = end - start
    n_allowed = len(allowed)
    is_few = n <= FEW
    by_bits = n > members.shape[0] + FEW
    if by_bits:
        members[:] = np.uint64(0)
        for k in range(start, end):
            i = np.uint64(cells[k])
            members[i >> np.uint64(6)] |= np.uint64(1) << (i & np.uint64(63))
    elif is_few:
        for k in range(n):
            few[k] = np.uint64(cells[start + k])
            few_packed[k] = packed[few[k]]
    best = 0.0
    below = 1.0
    chosen = -1
    cut = -1
    done = 0
    waiting = 0
    last = min(n_tried, n_allowed)
    while done < last or (chosen < 0 and done < n_allowed):
        f = _drawn(state, allowed, done)
        done += 1
        if is_few or (by_bits and is_sparse[f]):
            if is_few:
                top = _fill_few(values, np.uint64(f), np.uint64(n), few, few_packed, histogram)
            else:
                top = _fill_one(values, above, np.uint64(f), members, packed, histogram)
            over, under, at = _bin_split(histogram, np.uint64(0), top, shift, mask, w_all, s_all)
            if at >= 0 and (chosen < 0 or over * below > best * under):
                best, below, chosen, cut = over, under, f, at
                if over >= enough * under:
                    break
            # those that wait stand at the end of the drawn ones
            allowed[done - 1] = allowed[done - 1 - waiting]
            allowed[done - 1 - waiting] = f
        else:
            waiting += 1
        if waiting == 4 or (waiting > 0 and done >= last):
            found = _four_splits(
                *(values, cells, start, end, packed, shift, mask, w_all, s_all, allowed, done - waiting, waiting),
                *(histogram, best, below, chosen, cut),
            )
            best, below, chosen, cut = found
            waiting = 0
    return chosen, cut, best / (below * w_all)


@numba.njit(forceinline=True, **RAW)
def _drawn(state, allowed, done):
    """Draw a gene of those that are not drawn yet, and put it behind those that are."""
    other = done + draw(state, len(allowed) - done)
    f = allowed[other]
    allowed[other] = allowed[done]
    allowed[done] = f
    return f


@numba.njit(**RAW)
def _four_splits(
    values,
    cells,
    start,
    end,
    packed,
    shift,
    mask,
    w_all,
    s_all,
    allowed,
    first,
    waiting,
    histogram,
    best,
    below,
    chosen,
    cut,
):
    """Try up to four genes at once; return the best split of theirs and of the ones before."""
    last = first + waiting - 1
    tops = _fill_four(
        *(values, np.uint64(allowed[first]), np.uint64(allowed[min(first + 1, last)])),
        *(np.uint64(allowed[min(first + 2, last)]), np.uint64(allowed[last]), cells, start, end, packed, histogram),
    )
    for k in range(4):
        over, under, at = _bin_split(histogram, np.uint64(k * _SIZE), tops[k], shift, mask, w_all, s_all)
        if k < waiting and at >= 0 and (chosen < 0 or over * below > best * under):
            best, below, chosen, cut = over, under, allowed[first + k], at
    return best, below, chosen, cut


@numba.njit(forceinline=True, **RAW)
def part(cells, start, end, row, cut):
    """Put the cells up to the cut first; return where the others start."""
    left = start
    right = end - 1
    while left <= right:
        i = cells[left]
        if np.int64(row[i]) <= cut:
            left += 1
        else:
            cells[left] = cells[right]
            cells[right] = i
            right -= 1
    return left
