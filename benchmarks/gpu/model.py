"""The network on a GPU: ``python -m benchmarks.gpu.model --out FOLDER`` (``--tiny --device cpu`` only tries it out).

Training steps of small, medium and large at 2,200 genes, bfloat16 autocast, compiled: tokens/s, model-FLOP utilisation
against the bfloat16 matrix rate measured on the same card, peak memory; the kernels against their twins; bf16 parity.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from scprint_model.config import SIZES, ModelConfig
from scprint_model.kernels.mean_attention import accumulate_mean_attention
from scprint_model.kernels.zinb import fused_zinb_loss
from scprint_model.losses.counts import zinb_loss
from scprint_model.model import ScPrint

GENES, VOCABULARY = 2200, 44_756
CELLS = {"small": 64, "medium": 64, "large": 32}
CLASSES = {"cell_type": 424, "disease": 62, "assay": 26, "ethnicity": 20, "sex": 2, "organism": 2}
#: A released medium model: step 90,000 of 64 cells, each in two passes. The projection takes data to cost nothing.
PAPER_CELLS, PASSES = 90_000 * 64, 2
Rows = list[dict[str, object]]


def seconds(function: Callable[[], object], device: str, repeats: int) -> float:
    """Median seconds of a call, after three that do not count."""
    times = []
    for turn in range(repeats + 3):
        if device == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        function()
        if device == "cuda":
            torch.cuda.synchronize()
        if turn >= 3:
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def matrix_rate(device: str, size: int) -> float:
    """Multiply-adds of a bfloat16 product of random matrices, times 2, a second."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 / seconds(lambda: a @ b, device, 20)


def forward_flops(config: ModelConfig, n_cells: int, n_genes: int) -> float:
    """Operations of the transformer's matrix products in a forward pass: 2 a weight and token, and 4 L d N² a cell."""
    n_tokens, d = n_genes + len(config.token_names), config.d_model
    weights = config.n_layers * d * (2 * d + 2 * config.kv_heads * config.head_dim + 8 * d)
    return n_cells * (2.0 * weights * n_tokens + 4.0 * config.n_layers * d * n_tokens**2)


def batch_of(n_cells: int, n_genes: int, vocabulary: int, device: str) -> tuple[torch.Tensor, ...]:
    """Random genes, counts and totals."""
    genes = torch.stack([torch.randperm(vocabulary)[:n_genes] for _ in range(n_cells)])
    counts = torch.poisson(torch.rand(n_cells, n_genes) * 4) + 1
    return genes.to(device), counts.to(device), counts.sum(dim=1).to(device)


def model_rows(device: str, *, tiny: bool, rate: float, repeats: int) -> Rows:
    """Time and measure a training step of every size."""
    rows: Rows = []
    vocabulary, n_genes = (100, 20) if tiny else (VOCABULARY, GENES)
    for name in ("small",) if tiny else ("small", "medium", "large"):
        torch.manual_seed(0)
        config = ModelConfig(n_genes=vocabulary, class_sizes=CLASSES, **SIZES[name])  # type: ignore[arg-type]
        model = ScPrint(config, gene_positions=torch.arange(vocabulary)).to(device)
        n_cells = 2 if tiny else CELLS[name]
        batch = batch_of(n_cells, n_genes, vocabulary, device)
        drift = bf16_drift(model, batch, device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=device == "cuda")
        run = model.train() if tiny else torch.compile(model.train())
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()

        def step(run=run, batch=batch, optimizer=optimizer) -> None:  # type: ignore[no-untyped-def]
            with torch.autocast(device, dtype=torch.bfloat16):
                out = run(*batch)
                loss = zinb_loss(batch[1], out.mean, out.dispersion, out.zero_logits)
                loss = loss + sum(v.float().square().mean() for v in out.class_logits.values())
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

        took = seconds(step, device, repeats)
        flops = 3 * forward_flops(config, n_cells, n_genes)
        peak = torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else float("nan")
        rows.append(
            {
                "size": name,
                "cells a step": n_cells,
                "ms a step": 1000 * took,
                "tokens/s": n_cells * (n_genes + len(config.token_names)) / took,
                "TFLOP/s": flops / took / 1e12,
                "share of the matrix rate": flops / took / rate,
                "peak GB": peak,
                "bf16 against fp32, relative": drift,
                "hours of the paper's medium run": PASSES * PAPER_CELLS / n_cells * took / 3600
                if name == "medium"
                else "",
            }
        )
        del model, run, optimizer
    return rows


@torch.no_grad()
def bf16_drift(model: ScPrint, batch: tuple[torch.Tensor, ...], device: str) -> float:
    """Norm of the difference of the cell embeddings under bfloat16 autocast over their norm in float32."""
    model.eval()
    few = tuple(t[:4] for t in batch)
    exact = model.encode(*few).cell_embeddings.float()
    with torch.autocast(device, dtype=torch.bfloat16):
        rough = model.encode(*few).cell_embeddings.float()
    return float((rough - exact).norm() / exact.norm())


def kernel_rows(device: str, *, tiny: bool, triton: bool, repeats: int) -> Rows:
    """Time the kernels against their twins, values compared first."""
    n_cells, n_genes, width = (2, 30, 16) if tiny else (64, GENES, 64)
    counts = torch.poisson(torch.rand(n_cells, n_genes, device=device) * 4)
    given = [torch.rand(n_cells, n_genes, device=device).add_(0.1).requires_grad_() for _ in range(3)]
    q, k = (torch.randn(n_cells, n_genes, 8, width, device=device).bfloat16() for _ in range(2))
    rows: Rows = []
    for name, run in (
        ("zinb loss and gradient", lambda use: _zinb(counts, given, use)),
        ("mean attention, 8 heads", lambda use: _mean_attention(q, k, use)),
    ):
        twin = run(False)
        row: dict[str, object] = {"work": f"{name}, {n_cells} cells x {n_genes} genes"}
        row["plain torch (ms)"] = 1000 * seconds(lambda run=run: run(False), device, repeats)  # type: ignore[misc]
        if triton:
            row["relative difference"] = float((run(True) - twin).norm() / twin.norm())
            row["Triton (ms)"] = 1000 * seconds(lambda run=run: run(True), device, repeats)  # type: ignore[misc]
        rows.append(row)
    return rows


def _zinb(counts: torch.Tensor, given: list[torch.Tensor], use_triton: bool) -> torch.Tensor:
    loss = fused_zinb_loss(counts, *given, use_triton=use_triton)
    return torch.stack(torch.autograd.grad(loss, given))


def _mean_attention(q: torch.Tensor, k: torch.Tensor, use_triton: bool) -> torch.Tensor:
    out = torch.zeros(q.shape[1], q.shape[1], device=q.device)
    accumulate_mean_attention(q, k, out=out, use_triton=use_triton)
    return out


def write(rows: Rows, path: Path) -> str:
    """Write rows as CSV and return them in Markdown."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, names)
        table.writeheader()
        table.writerows(rows)
    lines = [names, ["---"] * len(names)]
    lines += [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in (row.get(n, "") for n in names)] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Measure and write ``gpu_model.csv``, ``gpu_kernels.csv`` and ``gpu.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="try it out: sizes that measure nothing")
    parser.add_argument("--repeats", type=int, default=20)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    torch.set_float32_matmul_precision("high")
    rate = matrix_rate(given.device, 64 if given.tiny else 8192)
    on_gpu = given.device == "cuda"
    kernels = kernel_rows(given.device, tiny=given.tiny, triton=on_gpu, repeats=given.repeats)
    tables = [write(kernels, given.out / "gpu_kernels.csv")]
    models = model_rows(given.device, tiny=given.tiny, rate=rate, repeats=given.repeats)
    tables.insert(0, write(models, given.out / "gpu_model.csv"))
    card = torch.cuda.get_device_name() if on_gpu else given.device
    title = f"# The network on {card}: bfloat16, {rate / 1e12:.4g} TFLOP/s in a matrix product"
    text = "\n\n".join([title, *tables]) + f"\n\ntorch {torch.__version__}\n"
    (given.out / "gpu.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
