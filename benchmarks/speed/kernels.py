"""Times of the kernels' plain-torch paths on the CPU, one thread, beside the obvious way to write them."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import torch

from benchmarks.timing import medians
from scprint_model.kernels.mean_attention import accumulate_mean_attention
from scprint_model.losses.counts import zinb_loss

CELLS, GENES, HEADS, WIDTH = 16, 1000, 4, 32


def kernel_times() -> pd.DataFrame:
    """Return median seconds of the loss with its gradient, and of mean attention beside whole maps."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    counts = torch.poisson(torch.rand(CELLS, GENES) * 4)
    given = [torch.rand(CELLS, GENES).add_(0.1).requires_grad_() for _ in range(3)]
    q, k = (torch.randn(CELLS, GENES, HEADS, WIDTH) for _ in range(2))
    out, square = torch.zeros(GENES, GENES), torch.zeros(GENES, GENES)

    def whole_maps() -> torch.Tensor:
        logits = torch.einsum("bnhk,bmhk->bhnm", q, k) * WIDTH**-0.5
        return torch.softmax(logits, dim=-1).mean(dim=1).sum(dim=0)

    functions: dict[str, Callable[[], object]] = {
        "ZINB loss and gradient": lambda: torch.autograd.grad(zinb_loss(counts, *given), given),
        "mean attention": lambda: accumulate_mean_attention(q, k, out=out),
        "mean attention and squares": lambda: accumulate_mean_attention(q, k, out=out, square=square),
        "mean attention, whole maps in memory": whole_maps,
    }
    work = f"{CELLS} cells x {GENES} genes, {HEADS} heads of {WIDTH}"
    times = medians(functions, repeats=5)
    return pd.DataFrame([{"work": f"{name}, {work}", "seconds": took} for name, took in times.items()])
