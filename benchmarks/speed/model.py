"""Times of the network at the reference size: width 128, 4 layers, 4 heads."""

from __future__ import annotations

import pandas as pd
import torch

from benchmarks.timing import medians
from scprint_model import ModelConfig, ScPrint
from scprint_model.losses.zinb import zinb_loss
from scprint_model.networks.attention import MeanQueriesKeys

CELLS, GENES = 16, 1000


def model_times() -> pd.DataFrame:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    classes = {"cell_type": 100, "disease": 20, "assay": 10, "ethnicity": 10, "sex": 2, "organism": 2}
    config = ModelConfig(n_genes=1200, d_model=128, n_layers=4, n_heads=4, class_sizes=classes, dropout=0.0)
    model = ScPrint(config, gene_positions=torch.arange(1200))
    genes = torch.stack([torch.randperm(1200)[:GENES] for _ in range(CELLS)])
    counts = torch.poisson(torch.full(genes.shape, 2.0))
    total = counts.sum(dim=1)

    @torch.inference_mode()
    def forward() -> object:
        return model.eval()(genes, counts, total)

    @torch.inference_mode()
    def encode() -> object:
        return model.eval().encode(genes, counts, total)

    @torch.inference_mode()
    def network() -> object:
        means = MeanQueriesKeys()
        same = genes[:1].expand(CELLS, -1)
        means.add(model.eval().encode(same, counts, total, capture_qk=True).queries_keys or ())
        return means.attention()

    def step() -> None:
        output = model.train()(genes, counts, total)
        zinb_loss(counts, output.mean, output.dispersion, output.zero_logits).backward()
        model.zero_grad()

    names = {
        "forward": forward,
        "encode (embeddings and labels only)": encode,
        "forward and backward": step,
        "network from the cells' mean attention": network,
    }
    times = medians(names, repeats=3)  # type: ignore[arg-type]
    work = f"{CELLS} cells x {GENES} genes"
    return pd.DataFrame([{"work": f"{name}, {work}", "seconds": t, "cells/s": CELLS / t} for name, t in times.items()])
