"""When a Triton kernel runs, and when its plain-torch twin does."""

from __future__ import annotations

import os
from importlib.util import find_spec

from torch import Tensor

#: Set to 1 to run the Triton kernels on CUDA tensors wherever a caller leaves the choice open.
VARIABLE = "SCPRINT_MODEL_TRITON"


def runs_triton(tensor: Tensor, use_triton: bool | None) -> bool:
    """Return whether a kernel runs on `tensor`: as asked, or for None where the variable says so and it is on CUDA.

    Raises
    ------
    ValueError
        When Triton is asked for and is not installed, or the tensor is not on CUDA and Triton does not interpret.
    """
    if use_triton is None:
        return tensor.is_cuda and os.environ.get(VARIABLE) == "1" and find_spec("triton") is not None
    if use_triton and find_spec("triton") is None:
        raise ValueError("use_triton=True, but triton is not installed: pip install triton, or use_triton=False")
    if use_triton and not tensor.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        raise ValueError(
            f"use_triton=True, but the tensors are on {tensor.device}: move them to CUDA, or set TRITON_INTERPRET=1 "
            "before triton is imported (slow, for tests)"
        )
    return bool(use_triton)
