"""RegDiffusion: a diffusion model whose denoiser regulates genes by one matrix; run by its authors' own package."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from bengrn.methods.deep import device_of, need
from bengrn.methods.method import Method

logger = logging.getLogger(__name__)


def regdiffusion(
    values: NDArray[np.float64],
    regulators: NDArray[np.int64] | None,
    rng: np.random.Generator,
    *,
    steps: int = 1000,
    batch: int = 128,
    sparsity: float = 0.25,
    device: str = "auto",
) -> NDArray[np.float32]:
    """Train a diffusion model with the package regdiffusion; a weight is the absolute coefficient between two genes.

    Parameters
    ----------
    values
        log(1 + counts per 10,000), (cells, genes).
    regulators
        Places of the regulators, (regulators,); all genes when None. All genes explain each other in any case.
    rng
        Generator of the seed that the package is given.
    steps
        Number of training steps.
    batch
        Number of cells a step.
    sparsity
        Weight of the mean absolute coefficient.
    device
        Device of PyTorch, such as "cpu" or "cuda"; "auto" takes a GPU where there is one.

    Raises
    ------
    ImportError
        If regdiffusion is not installed.
    ValueError
        If a number is below 1, all genes but one are constant, or the device cannot be used.
    """
    need("torch", "regdiffusion")
    import regdiffusion as package

    from bengrn.methods.trees.order import own_order

    for name, number in {"steps": steps, "batch": batch}.items():
        if number < 1:
            raise ValueError(f"{name} is at least 1, got {number}")
    n = values.shape[1]
    # The result belongs to the cells and genes, and not to their places in a file.
    cells, genes, _ = own_order(values)
    varied = genes[np.ptp(values[:, genes], axis=0) > 0]
    if len(varied) < 2:
        raise ValueError(f"{len(varied)} of {n} genes differ between cells: at least two are needed")
    if len(varied) < n:
        logger.warning("%s of %s genes have the same value in all cells: nothing is learnt of them", n - len(varied), n)
    X = values[np.ix_(cells, varied)].astype(np.float32)
    with _own_randomness():
        trainer = package.RegDiffusionTrainer(
            X,
            n_steps=steps,
            batch_size=min(batch, len(X)),
            sparse_loss_coef=sparsity,
            device=device_of(device),
            seed=int(rng.integers(2**31)),
        )
        trainer.train()
    network = np.zeros((n, n), dtype=np.float32)
    network[np.ix_(varied, varied)] = np.abs(np.asarray(trainer.get_adj(), dtype=np.float32))
    return network if regulators is None else network[regulators]


@contextmanager
def _own_randomness() -> Iterator[None]:
    """Let the package seed the generators that all code shares, and give them back as they were."""
    import torch

    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    bar = os.environ.get("TQDM_DISABLE")
    deterministic, benchmark = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    always = torch.are_deterministic_algorithms_enabled()
    os.environ["TQDM_DISABLE"] = "1"  # bengrn tells its own progress
    try:
        with torch.random.fork_rng():
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = deterministic, benchmark
        torch.use_deterministic_algorithms(always)
        if bar is None:
            del os.environ["TQDM_DISABLE"]
        else:
            os.environ["TQDM_DISABLE"] = bar


REGDIFFUSION = Method(
    name="regdiffusion",
    function=regdiffusion,
    reference="Zhu and Slonim, J. Comput. Biol. 31:1087-1103 (2024), doi 10.1089/cmb.2024.0607",
    licence="Apache-2.0",
    takes="log",
    directed=True,
    deterministic=False,
    needs="bengrn[deep]",
    imports=("torch",),
)
