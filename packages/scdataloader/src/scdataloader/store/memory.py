"""Memory by its address, inside compiled code; and the targets of genes as the kernels take them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


class Targets(NamedTuple):
    """Where the genes of each gene table go; see `scdataloader.store.genemap.GeneMap`."""

    target: np.ndarray
    target_start: np.ndarray
    measured: np.ndarray
    measured_start: np.ndarray
    width: int


class Space(NamedTuple):
    """Arrays that a kernel works in: those of one row, and one mark a target, the last for unwanted genes."""

    genes: np.ndarray
    counts: np.ndarray
    seen: np.ndarray


def _pointer(typing_context: Any, address: Any) -> Any:  # noqa: ARG001 (numba's signature)
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), code


#: ``pointer(address)``: an address as what `numba.carray` takes, inside compiled code.
pointer: Any = intrinsic(_pointer)
