"""Find between which of some values each of very many scores lies.

A bisection costs one jump in memory a halving, for each score. Here a score's bin, of many bins of equal width,
tells the place at once, unless one of the values lies in that bin too: only those few scores are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A table of places of 2 MiB stays in the second cache of today's processors.
_BINS = 1 << 18
# With more values in one bin than this a bisection is the shorter way for the scores that share it.
_MOST_IN_BIN = 12
_SAMPLE = 1 << 12


@dataclass(frozen=True, eq=False)
class Gaps:
    """Values in rising order, and the tables by which scores are placed among them; make it with :meth:`of`.

    Attributes
    ----------
    value
        The distinct values, (B,), rising.
    padded
        The same and a last one that nothing is above.
    """

    value: NDArray[Any]
    padded: NDArray[Any]
    _by_bits: bool
    _start: float
    _scale: float
    # For each bin how many values lie below it; where it holds values itself, minus one minus that number.
    _place: NDArray[np.int64]
    _most: int

    @classmethod
    def of(cls, value: NDArray[Any], scores: NDArray[Any]) -> Gaps:
        """Choose the bins for distinct rising values, and scores such as those to be placed, (n,) with any n."""
        last = np.inf if value.dtype.kind == "f" else np.iinfo(value.dtype).max
        padded = np.append(value, np.array([last], dtype=value.dtype))
        step = max(1, scores.size // _SAMPLE)
        found = [cls._with_bins(value, padded, by_bits=by_bits) for by_bits in (False, True)]
        # Bins by the bits of the numbers are narrow near zero, where some methods have nearly all their scores.
        return min(
            found, key=lambda one: int(np.count_nonzero(one._place.take(one._bin(scores[::step]), mode="clip") < 0))
        )

    @classmethod
    def _with_bins(cls, value: NDArray[Any], padded: NDArray[Any], *, by_bits: bool) -> Gaps:
        axis = _axis(value, by_bits=by_bits)
        axis = axis[np.isfinite(axis)]
        low, high = (float(axis[0]), float(axis[-1])) if axis.size else (0.0, 0.0)
        with np.errstate(over="ignore"):
            width = axis.dtype.type(high) - axis.dtype.type(low)
            scale = axis.dtype.type(_BINS - 4) / width if width > 0 else axis.dtype.type(0)
        # A range beyond the type, or one too narrow for it, has one bin: all scores are compared.
        scale = float(scale) if np.isfinite(scale) else 0.0
        # The lowest value comes into the second bin, so that the scores below it have one of their own.
        start = float(axis.dtype.type(low) - axis.dtype.type(1.5 / scale)) if scale else 0.0
        gaps = cls(value, padded, by_bits, start, scale, np.zeros(0, dtype=np.int64), 0)
        held = np.bincount(np.maximum(gaps._bin(value), 0), minlength=_BINS)
        below = np.cumsum(held) - held
        place = np.where(held > 0, -1 - below, below)
        return cls(value, padded, by_bits, start, scale, place, int(held.max()))

    def _bin(self, scores: NDArray[Any]) -> NDArray[np.int64]:
        # Never falls where scores rise, which is all that the places rest on: rounding does no harm. Below 0 is the
        # first bin, too.
        if not self._scale:
            return np.zeros(scores.size, dtype=np.int64)
        axis = _axis(scores, by_bits=self._by_bits)
        with np.errstate(invalid="ignore", over="ignore"):
            bins = axis - axis.dtype.type(self._start)
            bins *= axis.dtype.type(self._scale)
            return np.fmin(bins, _BINS - 1, out=bins).astype(np.int64)

    def below(self, scores: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Count the values below each score, (n,), and tell at which positions the score equals the next value."""
        place = self._place.take(self._bin(scores), mode="clip")
        shared = np.flatnonzero(place < 0)
        if not shared.size:
            return place, shared
        own = scores[shared]
        if self._most > _MOST_IN_BIN:
            found = np.searchsorted(self.value, own)
        else:
            found = -1 - place[shared]
            for _ in range(self._most):
                found += self.padded.take(found) < own
        place[shared] = found
        tied = self.padded.take(found) == own
        tied &= found < self.value.size
        return place, shared[tied]


def _axis(scores: NDArray[Any], *, by_bits: bool) -> NDArray[Any]:
    # Numbers that rise with the scores, of the float type that bins are computed in; equal for equal scores.
    small = scores.dtype.kind == "f" and scores.dtype.itemsize <= 4
    axis = scores.astype(np.float32 if small else np.float64, copy=False)
    if not by_bits:
        return axis
    whole: Any = np.int32 if small else np.int64
    # Adding 0 makes -0 a 0.
    bits: NDArray[Any] = np.add(axis, 0, dtype=axis.dtype).view(whole)
    # The bits of negative numbers fall as the numbers rise.
    return np.where(bits < 0, ~(bits & np.iinfo(whole).max), bits).astype(axis.dtype)
