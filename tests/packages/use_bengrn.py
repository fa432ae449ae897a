"""Score a network, and infer one."""

import sys
from pathlib import Path

from offline import assert_ours, close_network

close_network()
assert_ours(Path(sys.argv[1]), "bengrn", "grnndata")

import anndata
import numpy as np
import pandas as pd

import bengrn
from bengrn.cli import main

truth = bengrn.load_truth("omnipath-demo")
perfect = truth.edges.assign(weight=1.0)
assert bengrn.score(perfect, truth).ap == 1.0
perfect[["source", "target", "weight"]].to_csv("network.csv", index=False)
assert main(["score", "network.csv", "--truth", "omnipath-demo"]) == 0
assert "pearson" in set(bengrn.list_methods())

counts = np.random.default_rng(0).poisson(2.0, size=(60, 30)).astype(np.float32)
counts[:, 1] = counts[:, 0]
genes = pd.DataFrame(index=[f"G{i}" for i in range(30)])
network = bengrn.get_method("pearson").infer(anndata.AnnData(counts, var=genes))
assert set(network.edges(top_k=1)[["source", "target"]].values.ravel()) == {"G0", "G1"}
