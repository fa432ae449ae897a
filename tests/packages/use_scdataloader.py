"""Clean a file, build a store of it, and draw a batch; with PyTorch where it is installed, too."""

import sys
from importlib.util import find_spec
from pathlib import Path

from offline import assert_ours, close_network

close_network()
assert_ours(Path(sys.argv[1]), "scdataloader")

import anndata
import numpy as np

from scdataloader import Preprocessor, datasets, open_store
from scdataloader.cli import main

datasets.retina_1k()[:200].write_h5ad("raw.h5ad")
assert main(["check", "raw.h5ad"]) == 0
assert main(["preprocess", "raw.h5ad", "--out", "clean"]) == 0
(clean,) = Path("clean").rglob("*.h5ad")
cells = anndata.read_h5ad(clean)
assert np.array_equal(Preprocessor()(datasets.retina_1k()[:200])[0].X.toarray(), cells.X.toarray())
assert main(["build", str(clean), "--out", "cells.store"]) == 0
assert main(["verify", "cells.store"]) == 0
store = open_store("cells.store")
assert len(store) == cells.n_obs

if find_spec("torch") is not None:
    from scdataloader import CellDataModule

    data = CellDataModule([str(clean)], classes=["cell_type"], context=100, batch_size=32)
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert batch["counts"].shape == (32, 100)
    assert batch["counts"].sum() > 0
