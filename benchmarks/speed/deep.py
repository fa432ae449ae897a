"""Deep methods at the sizes that people use: time, memory, and what blocks of attention change.

Weights are random, with the names and shapes of the published scGPT: time and memory do not depend on their values.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.speed.measured import measured

CELLS, GENES = 100, 2000
WIDTH, HEADS, LAYERS = 512, 8, 12
THREADS = 2


def deep_times(cells: int = CELLS) -> pd.DataFrame:
    """Return CPU and wall seconds and the peak memory that each piece of work added, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        _write_scgpt(Path(folder))
        work: list[tuple[str, Callable[..., Callable[[], object]], tuple[object, ...]]] = [
            (f"scGPT network, {cells} cells × {GENES:,} genes", _scgpt, (folder, cells)),
            ("the same, cell by cell, heads × genes² of a cell at a time", _naive, (folder, cells)),
            ("RegDiffusion, 500 cells × 1,000 genes", _learnt, ("regdiffusion",)),
            ("DeepSEM, 500 cells × 1,000 genes", _learnt, ("deepsem",)),
        ]
        rows = [{"work": name} | _apart(function, arguments) for name, function, arguments in work]
        ours, naive = (np.load(Path(folder) / f"{name}.npy") for name in ("ours", "naive"))
    table = pd.DataFrame(rows)
    table["largest difference"] = [float(np.abs(ours - naive).max()), *[np.nan] * 3]
    # Held at once, as the plainest code does: not run, it is arithmetic.
    table["MB of cells × heads × genes²"] = [
        cells * HEADS * GENES**2 * 4 / 2**20,
        HEADS * GENES**2 * 4 / 2**20,
        np.nan,
        np.nan,
    ]
    return table


def _apart(function: Callable[..., Callable[[], object]], arguments: tuple[object, ...]) -> dict[str, float]:
    told = measured(function, arguments, threads=THREADS)
    return {"wall s": told["wall s"], "CPU s": told["CPU s"], "MB added": told["added"] / 2**20}


def _cells(n: int, genes: int):
    from anndata import AnnData

    rng = np.random.default_rng(0)
    rates = rng.gamma(0.5, 2.0, genes)
    counts = rng.poisson(rates * rng.lognormal(0, 0.4, (n, 1))).astype(np.float32)
    return AnnData(counts, var=pd.DataFrame(index=[f"G{i}" for i in range(genes)]))


def _write_scgpt(folder: Path) -> None:
    import torch

    from bengrn.methods.deep.scgpt_files import expected_shapes

    settings = {"embsize": WIDTH, "nheads": HEADS, "d_hid": WIDTH, "nlayers": LAYERS, "n_bins": 51}
    settings |= {"max_seq_len": 1200, "pad_value": -2, "input_style": "binned", "input_emb_style": "continuous"}
    torch.manual_seed(0)
    tensors = {
        name: torch.randn(shape) * (shape[-1] ** -0.5 if len(shape) > 1 else 0.2) + (name.endswith("norm.weight"))
        for name, shape in expected_shapes(settings, GENES + 3).items()
    }
    (folder / "args.json").write_text(json.dumps(settings))
    (folder / "vocab.json").write_text(json.dumps({f"G{i}": i for i in range(GENES)}))
    torch.save(tensors, folder / "best_model.pt")


def _scgpt(folder: str, cells: int) -> Callable[[], None]:
    from bengrn.methods.deep.scgpt import ScGPT

    method, adata = ScGPT(folder, device="cpu"), _cells(cells, GENES)
    _ = method._model

    def run() -> None:
        np.save(Path(folder) / "ours.npy", method.infer(adata, rng=0).varp["GRN"])

    return run


def _naive(folder: str, cells: int) -> Callable[[], None]:
    """Attention as it is written: all heads of a cell, softmax, mean, in float64."""
    import torch

    from bengrn.methods.deep.cells import each_cell
    from bengrn.methods.deep.scgpt import ScGPT

    method, adata = ScGPT(folder, device="cpu"), _cells(cells, GENES)
    _ = method._model

    def run() -> None:
        known = method._known(adata)
        total = np.zeros((GENES, GENES))
        tokens = torch.as_tensor(np.append(method._weights.tokens["<cls>"], known.tokens))[None]
        for cell in each_cell(known, adata.var_names.tolist(), int(np.random.default_rng(0).integers(2**31))):
            values = torch.as_tensor(method._shown(cell, GENES))[None]
            query, key = method._model.last_products(method._model.before_last(tokens, values))
            products = query[0].double() @ key[0].double().transpose(1, 2)
            total += torch.softmax(products, dim=-1).mean(dim=0)[1:, 1:].numpy()
        weights = total.T / cells
        np.fill_diagonal(weights, 0)
        np.save(Path(folder) / "naive.npy", weights)

    return run


def _learnt(name: str) -> Callable[[], None]:
    import bengrn

    method, adata = bengrn.get_method(name, device="cpu"), _cells(500, 1000)

    def run() -> None:
        method.infer(adata, rng=0)

    return run
