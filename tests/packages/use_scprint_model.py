"""Infer a small network, embed cells, and draw a batch of tensors to train on."""

import sys
from pathlib import Path

from offline import assert_ours, close_network

close_network()
assert_ours(Path(sys.argv[1]), "scprint-model", "scdataloader", "grnndata")

import numpy as np

from scdataloader import CellDataModule, Preprocessor, datasets
from scprint_model import ScPrint, infer, tasks
from scprint_model.cli import main

cells, _ = Preprocessor()(datasets.retina_1k()[:120])
model = ScPrint.from_pretrained()
network = infer(model, cells, n_genes=50)
assert network.shape == (120, 50)
assert network.n_edges > 2000
assert np.isfinite(tasks.embed(model, cells, context=100)).all()
cells.write_h5ad("cells.h5ad")
assert main(["network", "cells.h5ad", "network.h5ad", "--n-genes", "20"]) == 0
assert Path("network.h5ad").exists()

data = CellDataModule(["cells.h5ad"], classes=["cell_type"], context=100, batch_size=32)
data.setup()
assert next(iter(data.train_dataloader()))["counts"].shape == (32, 100)
