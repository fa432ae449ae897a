"""Minimise a loss over a few tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

#: Number of iterations, at most.
ITERATIONS = 200


def minimise(loss: Callable[[], Tensor], over: Sequence[Tensor], *, iterations: int = ITERATIONS) -> None:
    """Change tensors, in place, to where a smooth loss is least, by L-BFGS with a strong Wolfe line search.

    Parameters
    ----------
    loss
        Function that returns the loss, (), of the tensors as they are.
    over
        Tensors that are changed, which require gradients.
    iterations
        Number of iterations, at most.
    """
    optimizer = torch.optim.LBFGS(list(over), max_iter=iterations, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]
