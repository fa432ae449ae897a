"""scVI's expected counts, over the genes that are asked for and the 2,000 most variable ones."""

import json
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
import anndata  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import scvi  # noqa: E402
import torch  # noqa: E402
from scipy import sparse  # noqa: E402

folder, seed, epochs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
scvi.settings.seed = seed
counts, at, genes = sparse.load_npz(folder / "counts.npz"), np.load(folder / "cells.npy"), np.load(folder / "genes.npy")
total = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1)
log = (sparse.diags_array(1e4 / total) @ counts).log1p()
variance = np.asarray(log.multiply(log).mean(axis=0)).ravel() - np.asarray(log.mean(axis=0)).ravel() ** 2
used = np.union1d(genes, np.argsort(-variance)[:2000])
names = pd.DataFrame(index=[f"g{i}" for i in used])
adata = anndata.AnnData(sparse.csr_matrix(counts.tocsc()[:, used], dtype=np.float32), var=names)
adata.obs_names = [f"c{i}" for i in range(adata.n_obs)]
scvi.model.SCVI.setup_anndata(adata)
model = scvi.model.SCVI(adata)
model.train(max_epochs=epochs, accelerator="cpu", enable_progress_bar=False, logger=None, enable_checkpointing=False)
found = model.get_normalized_expression(indices=at, gene_list=[f"g{i}" for i in genes], n_samples=10)
np.save(folder / "profiles.npy", found[[f"g{i}" for i in genes]].to_numpy(np.float64))
print(json.dumps(""))
