"""Our side of the comparison with the published scprint: run by apart.py in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from child import arguments, tell
from scipy import sparse

from scprint_model import ScPrint, infer
from scprint_model.losses.counts import zinb_loss
from scprint_model.model import ScPrintOutput

type Arrays = dict[str, np.ndarray]
#: The published order of the cell tokens is depth, base, classes; ours is base, depth, classes.
ORDER = [1, 0]
#: Gradients that are compared.
COMPARED = {"first": "blocks.0.attention.qkv.weight", "last": "expression_decoder.out.weight"}


def forward(model: ScPrint, inputs: Arrays) -> Callable[[], Arrays]:
    given = tensors(inputs)

    @torch.inference_mode()
    def work() -> Arrays:
        return arrays(model(*given))

    return work


def encode(model: ScPrint, inputs: Arrays) -> Callable[[], Arrays]:
    given = tensors(inputs)

    @torch.inference_mode()
    def work() -> Arrays:
        return dict(model.encode(*given).class_logits)

    return work


def step(model: ScPrint, inputs: Arrays) -> Callable[[], Arrays]:
    given = tensors(inputs)
    optimiser = torch.optim.AdamW(model.parameters())
    model.train()

    def work() -> Arrays:
        zinb(model, given).backward()
        optimiser.step()
        optimiser.zero_grad()
        return {}

    return work


def gradients(model: ScPrint, inputs: Arrays) -> Callable[[], Arrays]:
    def work() -> Arrays:
        value = zinb(model, tensors(inputs))
        value.backward()
        weights = dict(model.named_parameters())
        found = {name: weights[ours].grad.numpy() for name, ours in COMPARED.items()}  # type: ignore[union-attr]
        return found | {"loss": value.detach().numpy()}

    return work


def zinb(model: ScPrint, given: tuple[torch.Tensor, ...]) -> torch.Tensor:
    output = model(*given)
    return zinb_loss(given[1], output.mean, output.dispersion, output.zero_logits)


def network(model: ScPrint, inputs: Arrays) -> Callable[[], Arrays]:
    names = inputs["names"].astype(str)
    obs = pd.DataFrame({"total_counts": inputs["totals"]}, index=[f"c{i}" for i in range(len(inputs["counts"]))])
    cells = AnnData(sparse.csr_matrix(inputs["counts"]), obs=obs, var=pd.DataFrame(index=names))
    options: dict[str, Any] = {"genes": names.tolist()}
    if "context" in inputs:  # the whole genome
        options = {"genes": "all", "context": int(inputs["context"]), "top_k": 100}

    def work() -> Arrays:
        weights = infer(model, cells, **options).varp["GRN"]
        return {} if sparse.issparse(weights) else {"network": np.asarray(weights)}

    return work


def tensors(inputs: Arrays) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    genes, counts, totals = (torch.from_numpy(inputs[name]) for name in ("genes", "counts", "totals"))
    return genes.expand(len(counts), -1), counts, totals


def arrays(output: ScPrintOutput) -> Arrays:
    order = [*ORDER, *range(2, output.cell_embeddings.shape[1])]
    found = {"mean": output.mean, "dispersion": output.dispersion, "zero_logits": output.zero_logits}
    found |= {"cell_embeddings": output.cell_embeddings[:, order]} | output.class_logits
    return {name: value.numpy() for name, value in found.items() if value is not None}


if __name__ == "__main__":
    what, checkpoint, path, out, repeats, warm_up = arguments()
    torch.set_num_threads(1)
    works = {"forward": forward, "encode": encode, "step": step, "gradients": gradients, "network": network}
    with np.load(path) as stored:
        work = works[what](ScPrint.from_pretrained(Path(checkpoint)), dict(stored))
    np.savez(out, **tell(work, repeats, warm_up))
