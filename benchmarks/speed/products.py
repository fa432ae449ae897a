"""Where the time of a network goes, beside the rate at which the processor multiplies matrices.

The reference is the best rate of a float32 product of 1,024 × 1,024 matrices, one thread, in the same process. What the
layers and the attention multiply is counted; what they take is measured.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.speed.apart import CHECKPOINT, FIXTURES

RUNS, SIDE = 5, 1024
ATTENTION = "attention with softmax"
#: Tokens, those of a block of queries, and the width of a head.
TOKENS, QUERIES, WIDTH = 1008, 252, 32
#: Names of PyTorch's operations, by what they are.
KINDS = {
    "aten::addmm": "linear layers",
    "aten::_scaled_dot_product_flash_attention_for_cpu": ATTENTION,
    "aten::gelu": "GELU",
    "aten::copy_": "copies, such as of biases into results",
    "aten::native_layer_norm": "layer norm",
}


def product_times() -> pd.DataFrame:
    """Return CPU milliseconds, billions of operations and the share of the best rate, for each kind of work."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    torch.set_num_threads(1)
    run = _work()
    run()
    whole = min(_cpu_seconds(run) for _ in range(RUNS))
    matrix = torch.randn(SIDE, SIDE)
    best = 2 * SIDE**3 / min(_cpu_seconds(lambda: matrix @ matrix) for _ in range(8 * RUNS)) / 1e9
    seconds, billions = defaultdict(list), defaultdict(float)
    for _ in range(RUNS):
        found: dict[str, float] = defaultdict(float)
        operations: dict[str, float] = defaultdict(float)
        with profile(activities=[ProfilerActivity.CPU], with_flops=True, record_shapes=True) as profiled:
            run()
        for event in profiled.key_averages(group_by_input_shape=True):
            kind = KINDS.get(event.key, "the rest")
            found[kind] += event.self_cpu_time_total / 1e6
            operations[kind] += _operations(event) / 1e9
        for kind, value in found.items():
            seconds[kind].append(value)
        billions = operations
    # profiling takes time itself: kinds share the whole as they share the profiled time
    scale = whole / sum(min(values) for values in seconds.values())
    rows = [_row(kind, scale * min(values), billions[kind], best) for kind, values in seconds.items()]
    rows.sort(key=lambda row: -row["CPU s"])
    at = next(i for i, row in enumerate(rows) if row["work"] == ATTENTION)
    rows.insert(at + 1, _row(f"{ATTENTION}: its parts alone", _floor(billions[ATTENTION]), billions[ATTENTION], best))
    return pd.DataFrame([_row("all", whole, sum(billions.values()), best), *rows])


def _floor(billions: float) -> float:
    """Return the CPU seconds of the same narrow products and exponentials, each alone and in the processor's caches."""
    import torch

    queries, keys, values = (torch.randn(n, WIDTH) for n in (QUERIES, TOKENS, TOKENS))
    keys, scores, read = keys.T.contiguous(), torch.empty(QUERIES, TOKENS), torch.empty(QUERIES, WIDTH)
    parts = (
        lambda: torch.mm(queries, keys, out=scores),
        lambda: scores.clamp_(-3, 3).exp_(),
        lambda: torch.mm(scores, values, out=read),
    )
    each = sum(min(_cpu_seconds(part) for _ in range(8 * RUNS)) for part in parts)
    return each * billions * 1e9 / (4 * QUERIES * TOKENS * WIDTH)


def _work() -> Any:
    from anndata import AnnData
    from scipy import sparse

    from scprint_model import ScPrint, infer

    with np.load(FIXTURES / "timing_inputs.npz") as given:
        names, counts, totals = (given[key] for key in ("given_genes", "expression", "depth"))
    obs = pd.DataFrame({"total_counts": totals}, index=[f"c{i}" for i in range(len(counts))])
    cells = AnnData(sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=names.astype(str)))
    model = ScPrint.from_pretrained(CHECKPOINT)
    return lambda: infer(model, cells, genes=cells.var_names.tolist())


def _cpu_seconds(run: Any) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def _operations(event: Any) -> float:
    """Return multiplications and additions; PyTorch does not count those of attention: two products of all pairs."""
    if KINDS.get(event.key) != ATTENTION:
        return float(event.flops)
    cells, heads, queries, width = event.input_shapes[0]
    return float(event.count * cells * heads * queries * event.input_shapes[1][2] * width * 4)


def _row(kind: str, seconds: float, billions: float, best: float) -> dict[str, Any]:
    rate = billions / seconds if billions else np.nan
    return {
        "work": kind,
        "CPU s": seconds,
        "billion operations": billions,
        "billions a second": rate,
        "best product, billions a second": best,
        "share of the best": rate / best,
    }
