"""annbatch over its sharded zarr store, decoded by zarrs; variant: cells a chunk, and chunks read at once.

Its weighted sampler reads chunks of one class: it needs a second store, sorted by class.
"""

import warnings

import numpy as np
import pandas as pd
import torch
import zarr
from annbatch import DatasetCollection, Loader
from annbatch.samplers import RandomSampler, SequentialSampler, WeightedClassSampler
from measure import BATCH, CLASS, EPOCH, SCALE, Panel, epochs, main

zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
warnings.simplefilter("ignore")


def prepare(folder, files):
    rng = np.random.default_rng(0)
    DatasetCollection(str(folder / "shuffled.zarr"), mode="a").add_adatas(files, shuffle=True, rng=rng)
    DatasetCollection(str(folder / "grouped.zarr"), mode="a").add_adatas(files, groupby=CLASS, shuffle=True, rng=rng)


def open_loader(job, run):
    panel = Panel(job)
    chunk, preload = (int(number) for number in job["variant"].split("x"))
    rng = np.random.default_rng(run.get("seed", 0))
    weighted = run["order"] == "weighted"
    name = "grouped.zarr" if weighted else "shuffled.zarr"
    collection = DatasetCollection(f"{job['folder']}/{name}", mode="r")

    def make():
        if run["order"] == "sequential":
            sampler = SequentialSampler(chunk, preload, BATCH, drop_last=True)
        elif run["order"] == "uniform":
            sampler = RandomSampler(chunk, preload, BATCH, drop_last=True, rng=rng)
        else:
            classes = pd.Categorical(collection.obs(columns=[CLASS])[CLASS])
            counts = np.bincount(classes.codes, minlength=len(classes.categories))
            # no chunk may hold two classes: the smallest class bounds it, and what is read at once stays the same
            size = min(chunk, 32, 1 << int(np.log2(counts.min())))
            sampler = WeightedClassSampler(
                size, max(preload, 4096 // size), BATCH, classes=classes, num_samples=EPOCH,
                class_weights=SCALE * counts / (counts + SCALE), drop_last=True, rng=rng,
            )  # fmt: skip
        loader = Loader(batch_sampler=sampler).use_collection(collection)
        return (torch.from_numpy(panel.dense(batch["X"])) for batch in loader)

    return epochs(make)


if __name__ == "__main__":
    main(prepare, open_loader)
