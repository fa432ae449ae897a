"""Store a network and slice it."""

import sys
from pathlib import Path

from offline import assert_ours, close_network

close_network()
assert_ours(Path(sys.argv[1]), "grnndata")

import pandas as pd

import grnndata
from grnndata.cli import main

edges = pd.DataFrame({"source": ["CRX", "CRX", "NRL"], "target": ["RHO", "NRL", "RHO"], "weight": [0.9, 0.4, 0.8]})
grnndata.from_edges(edges, method="by hand").write_h5ad("network.h5ad")
network = grnndata.read_h5ad("network.h5ad")
assert network[:, ["CRX", "RHO"]].edges().values.tolist() == [["CRX", "RHO", edges["weight"].astype("float32")[0]]]
assert grnndata.tl.hubs(network, 1)["gene"].tolist() == ["CRX"]
assert "TP53" in set(grnndata.transcription_factors("human"))
assert main(["inspect", "network.h5ad"]) == 0
assert main(["convert", "network.h5ad", "network.tsv"]) == 0
assert pd.read_csv("network.tsv", sep="\t").shape == (3, 3)
