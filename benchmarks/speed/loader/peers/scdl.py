"""bionemo-scdl's memory-mapped data set, with a collation that writes straight to the dense batch."""

import shutil
from pathlib import Path

import numpy as np
import torch
from bionemo.scdl.io.single_cell_collection import SingleCellCollection
from bionemo.scdl.io.single_cell_memmap_dataset import SingleCellMemMapDataset
from measure import BATCH, EPOCH, Panel, cell_weights, epochs, main


def prepare(folder, files):
    parts = folder / "parts"
    parts.mkdir(parents=True)
    collection = SingleCellCollection(str(parts / "collection"))
    for name in files:
        collection.load_h5ad(name, use_X_not_raw=True)
    collection.flatten(str(folder / "whole"), destroy_on_copy=True)
    shutil.rmtree(parts)


class Cells(torch.utils.data.Dataset):
    """Makes a whole batch at once: DataLoader hands all its indices to ``__getitems__``."""

    def __init__(self, job):
        self.data = SingleCellMemMapDataset(str(Path(job["folder"]) / "whole"))
        self.panel = Panel(job)

    def __len__(self):
        return len(self.data)

    def __getitems__(self, cells):
        place = self.panel.place
        batch = np.zeros((len(cells), self.panel.width + 1), np.float32)
        for row, cell in zip(batch, cells, strict=True):
            (counts, genes), _, _ = self.data.get_row(cell)
            row[place[genes]] = counts
        return torch.from_numpy(batch[:, :-1])


def open_loader(job, run):
    cells = Cells(job)
    torch.manual_seed(run.get("seed", 0))
    if run["order"] == "sequential":
        sampler = torch.utils.data.SequentialSampler(cells)
    elif run["order"] == "uniform":
        sampler = torch.utils.data.RandomSampler(cells)
    else:
        weights = torch.from_numpy(cell_weights(job["files"]))
        sampler = torch.utils.data.WeightedRandomSampler(weights, EPOCH, replacement=True)
    workers = job["workers"]
    loader = torch.utils.data.DataLoader(
        cells, BATCH, sampler=sampler, collate_fn=lambda batch: batch, drop_last=True, num_workers=workers,
        persistent_workers=workers > 0,
    )  # fmt: skip
    return epochs(lambda: iter(loader))


if __name__ == "__main__":
    main(prepare, open_loader)
