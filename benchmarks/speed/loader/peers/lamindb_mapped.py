"""lamindb's MappedCollection, read by a torch DataLoader."""

import numpy as np
import torch
from lamindb.core import MappedCollection
from measure import BATCH, CLASS, EPOCH, SCALE, epochs, main


def prepare(folder, files):
    pass


def open_loader(job, run):
    panel = np.array(job["panel"])
    workers = job["workers"]
    mapped = MappedCollection(job["files"], obs_keys=[CLASS], join="inner", parallel=workers > 0, dtype="float32")
    torch.manual_seed(run.get("seed", 0))
    if run["order"] == "sequential":
        sampler = torch.utils.data.SequentialSampler(mapped)
    elif run["order"] == "uniform":
        sampler = torch.utils.data.RandomSampler(mapped)
    else:
        weights = mapped.get_label_weights(CLASS, scaler=SCALE)
        sampler = torch.utils.data.WeightedRandomSampler(weights, EPOCH, replacement=True)

    def collate(cells):
        return torch.from_numpy(np.stack([cell["X"][panel] for cell in cells]))

    loader = torch.utils.data.DataLoader(
        mapped, BATCH, sampler=sampler, collate_fn=collate, drop_last=True, num_workers=workers,
        worker_init_fn=mapped.torch_worker_init_fn if workers else None,
        persistent_workers=workers > 0,
    )  # fmt: skip
    return epochs(lambda: iter(loader))


if __name__ == "__main__":
    main(prepare, open_loader)
