"""anndata's AnnLoader over a backed AnnCollection."""

import anndata
import torch
from anndata.experimental import AnnCollection, AnnLoader
from measure import BATCH, EPOCH, Panel, cell_weights, epochs, main


def prepare(folder, files):
    pass


def open_loader(job, run):
    panel = Panel(job)
    workers = job["workers"]
    collection = AnnCollection(
        [anndata.read_h5ad(name, backed="r") for name in job["files"]],
        join_vars="inner",
        label="file",
        harmonize_dtypes=False,
    )
    torch.manual_seed(run.get("seed", 0))
    if run["order"] == "weighted":
        weights = torch.from_numpy(cell_weights(job["files"]))
        options = {"sampler": torch.utils.data.WeightedRandomSampler(weights, EPOCH, replacement=True)}
    else:
        options = {"shuffle": run["order"] == "uniform"}
    loader = AnnLoader(collection, batch_size=BATCH, use_default_converter=False, num_workers=workers, **options)
    return epochs(lambda: (torch.from_numpy(panel.dense(view.X)) for view in loader))


if __name__ == "__main__":
    main(prepare, open_loader)
