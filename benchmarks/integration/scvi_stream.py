"""scVI trained from a store, batch by batch, beside the same training on one AnnData in memory.

Both see the same cells and genes, hold out the same cells, and have the same sizes and steps; the order of the cells
and the first weights differ with the seed. Each run is a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

SEEDS = 3
EPOCHS = 1
_GENES = 2000
#: Each set is drawn up to so many cells, with repeats, so that an epoch is long and the data are large.
_CELLS = 5_000


def scvi_losses() -> pd.DataFrame:
    """Return one row a way of reading: loss on held-out cells over seeds, seconds, and memory over the training."""
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder))
        runs = [
            _run(Path(folder), way, seed) for seed in range(SEEDS) for way in ("AnnData in memory", "store, 2 workers")
        ]
    rows = []
    for way, some in pd.DataFrame(runs).groupby("way"):
        row: dict[str, object] = {"read from": way, "runs": len(some)}
        loss = some["loss"]
        row |= {"held-out loss": round(loss.mean(), 2), "standard deviation": round(loss.std(ddof=1), 2)}
        row |= {"seconds": round(some["seconds"].median())}
        row |= {f"{name} (MB)": round(some[name].median()) for name in ("after 50 steps", "at the end")}
        rows.append(row)
    return pd.DataFrame(rows)


def _write(folder: Path) -> None:
    """Write three sets of cells as a store, and as one file; the bundled retina's donors and types, drawn anew."""
    import anndata
    from scipy import sparse

    from scdataloader import CellStore, datasets
    from scdataloader.counts import csr_counts

    retina = datasets.retina_1k()
    counts = csr_counts(retina)
    genes = np.sort(np.asarray(counts.sum(axis=0)).ravel().argsort()[::-1][:_GENES])
    rng = np.random.default_rng(0)
    sets = []
    for name in ("one", "two", "three"):
        rows = rng.integers(0, retina.n_obs, _CELLS)
        drawn = sparse.csr_matrix(counts[rows][:, genes], dtype=np.float32)
        # thinned, so that no two cells are the same, and each set to another depth
        drawn.data = rng.binomial(drawn.data.astype(int), {"one": 0.9, "two": 0.6, "three": 0.3}[name]).astype(
            np.float32
        )
        drawn.eliminate_zeros()
        obs = pd.DataFrame({"cell_type": retina.obs["cell_type"].to_numpy()[rows]}).set_index(
            pd.Index([f"{name}-{i}" for i in range(_CELLS)])
        )
        sets.append((name, anndata.AnnData(drawn, obs=obs, var=pd.DataFrame(index=retina.var_names[genes]))))
    CellStore.build(sets, folder / "store")
    together = anndata.concat(dict(sets), label="dataset")
    together.write_h5ad(folder / "all.h5ad")


def _run(folder: Path, way: str, seed: int) -> dict[str, object]:
    command = [sys.executable, "-W", "ignore", "-m", __name__, str(folder), way, str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{way}: {done.stderr[-1000:]}")
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def _megabytes() -> float:
    """Return the memory of this process and its children that is theirs alone: without files that are mapped."""
    me = os.getpid()
    children = Path(f"/proc/{me}/task/{me}/children").read_text(encoding="utf-8").split()
    statuses = [Path(f"/proc/{process}/status").read_text(encoding="utf-8") for process in (me, *children)]
    return sum(int(status.partition("RssAnon:")[2].split()[0]) for status in statuses) / 1024


def main(folder: Path, way: str, seed: int) -> None:
    """Train once, and print what was measured as JSON."""
    from time import perf_counter

    import anndata
    import scvi
    import torch
    from lightning.pytorch.callbacks import Callback

    from scdataloader import ScviDataModule

    torch.set_num_threads(1)
    scvi.settings.seed = seed
    memory: list[float] = []

    class Watch(Callback):  # type: ignore[misc, unused-ignore]
        def on_train_batch_end(self, trainer: object, *_: object) -> None:
            if trainer.global_step % 50 == 0:  # type: ignore[attr-defined]
                memory.append(_megabytes())

    cells = ScviDataModule(folder / "store", workers=2, seed=seed)
    settings = {"max_epochs": EPOCHS, "accelerator": "cpu", "enable_progress_bar": False, "logger": None}
    settings |= {"callbacks": [Watch()]}
    if way == "AnnData in memory":
        adata = anndata.read_h5ad(folder / "all.h5ad")
        scvi.model.SCVI.setup_anndata(adata, batch_key="dataset")
        model = scvi.model.SCVI(adata)
        begin = perf_counter()

        split = {"external_indexing": [cells.train_idx, cells.val_idx]}
        model.train(datasplitter_kwargs=split, **settings)
    else:
        model = scvi.model.SCVI(registry=cells.registry)
        begin = perf_counter()
        model.train(datamodule=cells, **settings)
    seconds = perf_counter() - begin
    where: dict[str, object] = {"indices": cells.val_idx}
    if way != "AnnData in memory":
        where = {"dataloader": cells.inference_dataloader(cells.val_idx)}
    loss = abs(float(model.get_elbo(return_mean=True, **where)))
    found = {"way": way, "loss": loss, "seconds": seconds, "after 50 steps": memory[0], "at the end": memory[-1]}
    sys.stdout.write(f"\n{json.dumps(found)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
