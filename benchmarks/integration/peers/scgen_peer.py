"""scGen's removal of batches, which is told the labels: ``scgen_peer.py FOLDER SEED EPOCHS``; writes ``scGen.npy``."""

import contextlib
import json
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
import anndata  # noqa: E402
import numpy as np  # noqa: E402
import scgen  # noqa: E402
import scvi  # noqa: E402
import torch  # noqa: E402
from scipy import sparse  # noqa: E402
from tables import column  # noqa: E402

folder, seed, epochs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
scvi.settings.seed = seed
adata = anndata.AnnData(sparse.load_npz(folder / "log.npz").toarray().astype(np.float32))
adata.obs["batch"], adata.obs["label"] = column(folder, "batch"), column(folder, "label")
for name in ("batch", "label"):
    adata.obs[name] = adata.obs[name].astype("category")
scgen.SCGEN.setup_anndata(adata, batch_key="batch", labels_key="label")
model = scgen.SCGEN(adata, n_hidden=200, n_latent=30)
with contextlib.redirect_stdout(sys.stderr):
    model.train(max_epochs=epochs, use_gpu=False, logger=False, enable_checkpointing=False)
    made = model.batch_removal()
np.save(folder / "scGen.npy", made[adata.obs_names].obsm["corrected_latent"])
print(json.dumps({"scGen": ""}))
