"""Clean a file, build a store of it, and draw a batch."""

import sys
from importlib.util import find_spec
from pathlib import Path

from offline import assert_ours, close_network

close_network()
assert_ours(Path(sys.argv[1]), "scdataloader")

import anndata
import numpy as np

from scdataloader import GeneVocabulary, LabelSpace, Preprocessor, WeightedSampler, datasets, open_store
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

# a weighted batch of numpy arrays: without PyTorch, which only the extra brings
assert find_spec("torch") is None
space = LabelSpace.from_obs([store.obs()], ["cell_type"])
rows = WeightedSampler(store.labels(space), n_draws=64, seed=0).indices(0, 32)
genes = store.gene_map(GeneVocabulary.for_organisms(["human"]))
drawn = store.gather(rows, genes, choice="random_expressed", context=100, positions=np.arange(32), seed=0)
assert drawn.counts.shape == (32, 100)
assert drawn.counts.sum() > 0
