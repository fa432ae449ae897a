"""Deep methods: DeepSEM, RegDiffusion, and networks from the weights of scGPT and Geneformer."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import numpy as np


def need(*packages: str) -> list[ModuleType]:
    """Import packages of the extra ``bengrn[deep]``.

    Raises
    ------
    ImportError
        If one is not installed, with the way out.
    """
    found = []
    for package in packages:
        try:
            found.append(import_module(package))
        except ImportError as error:
            raise ImportError(f"this method needs {package}: pip install bengrn[deep]") from error
    return found


def device_of(device: str) -> str:
    """Return the device to compute on: the first GPU where `device` is "auto" and there is one, else as it is given.

    Raises
    ------
    ValueError
        If PyTorch has no such device here.
    """
    (torch,) = need("torch")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device={device!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return device


def checked_share(least_known: float) -> float:
    """Return the least share of genes that a model has to know.

    Raises
    ------
    ValueError
        If it is not a share.
    """
    if not 0 <= least_known <= 1:
        raise ValueError(f"least_known is a share between 0 and 1, not {least_known:g}")
    return least_known


def seed_of(rng: np.random.Generator | int | None) -> int:
    """Return the seed that a generator or seed stands for; that of 0 for None."""
    return int(np.random.default_rng(0 if rng is None else rng).integers(2**31))
