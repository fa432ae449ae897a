"""All that has to be right on a GPU, in one run: ``python -m benchmarks.gpu.check --out gpu.json --minutes 9``.

It writes JSON after each part, so that a run that is cut off leaves what it found; a part that fails does not stop the
others, and the exit status is 1. ``--rehearse`` runs the same code at tiny sizes on a CPU, the kernels in Triton's
interpreter with ``TRITON_INTERPRET=1``: its times mean nothing, and its goals are not asked for.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.model import CLASSES, batch_of, bf16_drift, matrix_rate, model_rows
from benchmarks.gpu.training import loader_parts, resumed_parts
from scprint_model.attention.attend import attend
from scprint_model.config import ModelConfig
from scprint_model.kernels.mean_attention import accumulate_mean_attention
from scprint_model.kernels.zinb import fused_zinb_loss
from scprint_model.losses.counts import zinb_loss
from scprint_model.model import ScPrint
from scprint_model.training.sharding import shard, whole

#: Largest relative error (norm of the difference over the norm) beside float64, or beside the twin.
BOUNDS = {torch.float32: 2e-4, torch.bfloat16: 2e-2}
#: Largest relative difference of embeddings and gradients of a model in bfloat16 autocast.
MODEL_BOUND = 5e-2
#: Goals: share of the card's measured matrix rate that a training step reaches, by size, and share of time that waits.
GOALS = {"medium": 0.40, "large": 0.50}
MOST_WAIT = 0.02


@dataclass(frozen=True)
class Place:
    """Where it runs: device, whether only tried out, and whether Triton kernels can run."""

    device: str
    tiny: bool

    @property
    def triton(self) -> bool:
        """Whether Triton's kernels run, or are interpreted."""
        return self.device == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"


@dataclass(frozen=True)
class Checked:
    """One comparison: its value (None: left out), the bound that it must keep, and whether larger is better."""

    name: str
    value: float | None
    bound: float | None = None
    at_least: bool = False

    def row(self) -> dict[str, Any]:
        """As JSON; ``ok`` is null where nothing was asked for."""
        ok = None
        if self.bound is not None and self.value is not None:
            ok = self.value >= self.bound if self.at_least else self.value <= self.bound
        value = self.value if self.value is not None and math.isfinite(self.value) else None
        return {"name": self.name, "value": value, "bound": self.bound, "ok": ok}


def off(one: torch.Tensor, other: torch.Tensor) -> float:
    """Relative difference of two tensors."""
    one, other = one.detach().double().cpu(), other.detach().double().cpu()
    return float((one - other).norm() / other.norm().clamp(min=1e-300))


def backends(place: Place) -> list[Checked]:
    """Every attention backend against a float64 loop-free reference: values and gradients, lengths, bias, groups."""
    found = []
    n = 37 if place.tiny else 1031
    for dtype in (torch.float32, torch.bfloat16):
        for backend in ("sdpa", "flash", "flex"):
            for case in ("plain", "lengths", "bias"):
                gradients = not (backend == "flex" and place.device == "cpu")
                try:
                    worst = _backend_error(place, backend, dtype, case, n, gradients=gradients)
                except (ImportError, ValueError) as error:  # not installed, or not for this dtype and option
                    found.append(Checked(f"{backend} {dtype} {case}: left out, {error}", None))
                    continue
                found.append(Checked(f"{backend} {dtype} {case}", worst, BOUNDS[dtype]))
    return found


def _backend_error(place: Place, backend: str, dtype: torch.dtype, case: str, n: int, *, gradients: bool) -> float:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, n, 4, 16, generator=generator)
    k, v = (torch.randn(2, n, 2, 16, generator=generator) for _ in range(2))
    lengths = torch.tensor([n, n // 2]) if case == "lengths" else None
    bias = torch.randn(2, n, n, generator=generator) if case == "bias" else None
    results = []
    for kind, device, used in ((torch.float64, "cpu", "sdpa"), (dtype, place.device, backend)):
        # both begin from the same rounded numbers
        given = [one.to(dtype).to(device, kind).requires_grad_(gradients) for one in (q, k, v)]
        out = attend(
            *given,
            backend=used,  # type: ignore[arg-type]
            key_lengths=None if lengths is None else lengths.to(device),
            query_lengths=None if lengths is None else lengths.to(device),
            bias_bqt=None if bias is None else bias.to(dtype).to(device, kind),
        )
        if lengths is not None:
            out = out * (torch.arange(n, device=device) < lengths.to(device)[:, None])[..., None, None]
        each = [out]
        if gradients:
            each += torch.autograd.grad(out.square().sum(), given)
        results.append(each)
    return max(off(one, exact) for exact, one in zip(*results, strict=True))


def kernels(place: Place) -> list[Checked]:
    """Triton kernels against their twins, the loss in float64, mean attention in float32."""
    if not place.triton:
        return [Checked("Triton kernels: left out, set TRITON_INTERPRET=1", None)]
    shape = (2, 33) if place.tiny else (64, 2200)
    counts = torch.poisson(torch.rand(shape, device=place.device) * 4)
    given = [torch.rand(shape, device=place.device).add_(0.1) for _ in range(3)]
    values: dict[str, list[torch.Tensor]] = {}
    for name, kind, use in (("exact", torch.float64, False), ("kernel", torch.float32, True)):
        parts = [one.to(kind).requires_grad_() for one in given]
        loss = fused_zinb_loss(counts.to(kind), *parts, use_triton=use) if use else zinb_loss(counts.to(kind), *parts)
        values[name] = [loss, *torch.autograd.grad(loss, parts)]
    found = [
        Checked(f"zinb {part}", off(one, exact), BOUNDS[torch.float32])
        for part, one, exact in zip(
            ("loss", "d mean", "d dispersion", "d zeros"), values["kernel"], values["exact"], strict=True
        )
    ]
    n_cells, n, heads, width = (2, 33, 2, 16) if place.tiny else (16, 2200, 8, 64)
    for dtype in (torch.float32, torch.bfloat16):
        q, k = (torch.randn(n_cells, n, heads, width, device=place.device).to(dtype) for _ in range(2))
        maps = []
        for use, kind in ((False, torch.float32), (True, dtype)):
            out = torch.zeros(n, n, device=place.device)
            accumulate_mean_attention(q.to(kind), k.to(kind), out=out, use_triton=use)
            maps.append(out)
        if dtype == torch.bfloat16 and place.device == "cpu":
            # Triton's interpreter gives other numbers for bfloat16 products: nothing to hold the kernel to
            found.append(Checked(f"mean attention {dtype}: left out, Triton interprets", None))
            continue
        found.append(Checked(f"mean attention {dtype}", off(maps[1], maps[0]), BOUNDS[dtype]))
    return found


def a_model(place: Place) -> tuple[ScPrint, tuple[torch.Tensor, ...]]:
    """Return a small model and a batch, the same each time."""
    torch.manual_seed(0)
    vocabulary = 200 if place.tiny else 5000
    config = ModelConfig(n_genes=vocabulary, d_model=64, n_layers=4, n_heads=4, class_sizes=CLASSES, dropout=0.0)
    model = ScPrint(config, gene_positions=torch.arange(vocabulary)).to(place.device)
    return model, batch_of(4, 40 if place.tiny else 1000, vocabulary, place.device)


def _loss_and_gradients(model: Any, batch: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    parameters = [p for p in model.parameters() if p.requires_grad]
    output = model(*batch)
    loss = zinb_loss(batch[1], output.mean, output.dispersion, output.zero_logits)
    loss = loss + sum(logits.float().square().mean() for logits in output.class_logits.values())
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [loss, torch.cat([whole(g).flatten().float() for g in gradients if g is not None])]


def precision_and_compiler(place: Place) -> list[Checked]:
    """bfloat16 autocast beside float32, and compiled passes beside plain ones: embeddings, losses, gradients."""
    model, batch = a_model(place)
    found = [Checked("bf16 embeddings", bf16_drift(model, batch, place.device), MODEL_BOUND)]
    model.train()
    exact = _loss_and_gradients(model, batch)
    with torch.autocast(place.device, dtype=torch.bfloat16):
        rough = _loss_and_gradients(model, batch)
    found += [
        Checked(f"bf16 {n}", off(r, e), MODEL_BOUND)
        for n, r, e in zip(("loss", "gradients"), rough, exact, strict=True)
    ]
    compiled = _loss_and_gradients(torch.compile(model), batch)
    names = ("compiled loss", "compiled gradients")
    return found + [Checked(n, off(c, e), 1e-3) for n, c, e in zip(names, compiled, exact, strict=True)]


def sharded(place: Place) -> list[Checked]:
    """FSDP on one device beside the plain model: loss, gradients, and weights after a step."""
    from torch.distributed.device_mesh import init_device_mesh

    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": os.environ.get("MASTER_PORT", "29511")}
    torch.distributed.init_process_group("nccl" if place.device == "cuda" else "gloo", rank=0, world_size=1)
    try:
        (plain, batch), (parted, _) = a_model(place), a_model(place)
        shard(parted, init_device_mesh(place.device, (1,)))
        values = []
        for model in (plain, parted):
            optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
            output = model(*batch)
            loss = zinb_loss(batch[1], output.mean, output.dispersion, output.zero_logits)
            loss.backward()
            optimizer.step()
            values.append([loss, torch.cat([whole(p).detach().flatten().float() for p in model.parameters()])])
        names = ("FSDP loss", "FSDP weights after a step")
        return [Checked(n, off(o, e), 1e-5) for n, e, o in zip(names, *values, strict=True)]
    finally:
        torch.distributed.destroy_process_group()


def speed(place: Place) -> list[Checked]:
    """Tokens a second and share of the card's matrix rate of training steps, by size."""
    rate = matrix_rate(place.device, 64 if place.tiny else 8192)
    found = [Checked("matrix rate, TFLOP/s", rate / 1e12)]
    for row in model_rows(place.device, tiny=place.tiny, rate=rate, repeats=1 if place.tiny else 10):
        goal = None if place.tiny else GOALS.get(str(row["size"]))
        found.append(
            Checked(f"{row['size']}: share of the matrix rate", float(str(row["share of the matrix rate"])), goal, True)
        )
        names = ("tokens/s", "TFLOP/s", "peak GB", "ms a step")
        found += [Checked(f"{row['size']}: {name}", float(str(row[name]))) for name in names]
    return found


def loader(place: Place) -> list[Checked]:
    """Compare pinned copies of batches with plain ones, and measure the share of the time that a training waits."""
    wait, differing = loader_parts(place.device, tiny=place.tiny)
    return [
        Checked("values that pinned batches change on their way", differing, 0),
        Checked("share of the time that waits for data", wait, None if place.tiny else MOST_WAIT),
    ]


def resume(place: Place) -> list[Checked]:
    """Compare a training that was broken off and resumed with one that was not: weights and optimiser."""
    return [Checked("numbers that differ after a resume", resumed_parts(place.device), 0)]


PARTS: dict[str, Callable[[Place], list[Checked]]] = {
    part.__name__: part for part in (backends, kernels, precision_and_compiler, sharded, loader, resume, speed)
}


def machine(place: Place) -> dict[str, Any]:
    """Say what it ran on."""
    card = torch.cuda.get_device_name() if place.device == "cuda" else platform.processor()
    return {"device": place.device, "card": card, "torch": torch.__version__, "rehearsal": place.tiny}


def main() -> int:
    """Run the parts that the time allows; 1 where one failed or missed its bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--minutes", type=float, default=9.0, help="no part begins after so many")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="parts to run, in order")
    parser.add_argument("--rehearse", action="store_true", help="tiny sizes on a CPU")
    given = parser.parse_args()
    place = Place("cpu" if given.rehearse else "cuda", given.rehearse)
    torch.backends.cuda.matmul.allow_tf32 = False
    began, report = time.monotonic(), {"machine": machine(place), "parts": {}}
    failed = False
    for name in given.parts:
        started = time.monotonic()
        if started - began > 60 * given.minutes:
            report["parts"][name] = {"skipped": "no time was left"}
            failed = True
        else:
            part: dict[str, Any] = {}
            try:
                part["checks"] = [one.row() for one in PARTS[name](place)]
                failed |= any(row["ok"] is False for row in part["checks"])
            except Exception:
                part["error"], failed = traceback.format_exc(), True
            report["parts"][name] = part | {"seconds": round(time.monotonic() - started, 2)}
        temporary = given.out.with_suffix(".tmp")
        temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        temporary.replace(given.out)
        print(
            name,
            "ok"
            if all(r["ok"] is not False for r in report["parts"][name].get("checks", [{"ok": False}]))
            else "FAILED",
        )
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
