"""scVI, and scANVI from it: ``scvi_peer.py FOLDER SEED EPOCHS``; writes ``scVI.npy`` and ``scANVI.npy``.

Sizes are those of the integration benchmark of Luecken et al. 2022: two layers, 30 dimensions, negative binomial.
"""

import json
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
import anndata  # noqa: E402
import numpy as np  # noqa: E402
import scvi  # noqa: E402
import torch  # noqa: E402
from tables import column  # noqa: E402

folder, seed, epochs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
scvi.settings.seed = seed
adata = anndata.read_h5ad(folder / "counts.h5ad")
adata.obs["batch"], adata.obs["label"] = column(folder, "batch"), column(folder, "label")
settings = {"accelerator": "cpu", "enable_progress_bar": False, "logger": None, "enable_checkpointing": False}
scvi.model.SCVI.setup_anndata(adata, batch_key="batch")
model = scvi.model.SCVI(adata, n_layers=2, n_latent=30, gene_likelihood="nb")
model.train(max_epochs=epochs, **settings)
np.save(folder / "scVI.npy", model.get_latent_representation())
told = {"scVI": ""}
try:
    labelled = scvi.model.SCANVI.from_scvi_model(model, unlabeled_category="not labelled", labels_key="label")
    labelled.train(max_epochs=max(10, epochs // 10), n_samples_per_label=100, **settings)
    np.save(folder / "scANVI.npy", labelled.get_latent_representation())
    told["scANVI"] = ""
except Exception as error:  # what scVI has done stands
    told["scANVI"] = f"{type(error).__name__}: {error}"[:400]
print(json.dumps(told))
