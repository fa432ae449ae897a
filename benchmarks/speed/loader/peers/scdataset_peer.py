"""scDataset over a backed AnnCollection; variant: cells a block."""

import anndata
import numpy as np
import torch
from anndata.experimental import AnnCollection
from measure import BATCH, EPOCH, Panel, cell_weights, epochs, main
from scdataset import BlockShuffling, BlockWeightedSampling, Streaming, scDataset

#: Batches fetched at once.
FETCH = 64


def prepare(folder, files):
    pass


def fetch(collection, cells):
    # HDF5 selects each row once, in rising order; drawn with replacement, a row can come more than once
    different, places = np.unique(cells, return_inverse=True)
    return collection[different].X[places]


def open_loader(job, run):
    panel = Panel(job)
    block = int(job["variant"])
    collection = AnnCollection(
        [anndata.read_h5ad(name, backed="r") for name in job["files"]],
        join_vars="inner",
        label="file",
        harmonize_dtypes=False,
    )
    if run["order"] == "sequential":
        strategy = Streaming()
    elif run["order"] == "uniform":
        strategy = BlockShuffling(block_size=block)
    else:
        weights = cell_weights(job["files"])
        strategy = BlockWeightedSampling(block_size=block, weights=weights, total_size=EPOCH, replace=True)

    def dense(counts):
        return torch.from_numpy(panel.dense(counts))

    data = scDataset(
        collection, strategy, batch_size=BATCH, fetch_factor=FETCH, drop_last=True, fetch_callback=fetch,
        batch_transform=dense, seed=run.get("seed", 0),
    )  # fmt: skip
    workers = job["workers"]
    if workers == 0:
        return epochs(lambda: iter(data))
    loader = torch.utils.data.DataLoader(data, batch_size=None, num_workers=workers, persistent_workers=True)
    return epochs(lambda: iter(loader))


if __name__ == "__main__":
    main(prepare, open_loader)
