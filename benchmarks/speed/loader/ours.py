"""The loader of this repository, measured as the peers are; variant: ``store``, ``h5ad`` (in place) or ``memory``.

Its batches hold what training needs: genes, counts, total counts, the codes of five label classes and the data set.
"""

from pathlib import Path
from typing import Any

import anndata
import numpy as np
from measure import BATCH, EPOCH, SCALE, Batches, class_codes, main

from scdataloader import CellDataset, CellStore, GeneVocabulary, LabelSpace, StoreLoader, open_store
from scdataloader.collate import Collator
from scdataloader.sampling import SequentialSampler, UniformSampler, WeightedSampler

#: Batches of which the disk is told ahead when the corpus is not in memory.
READ_AHEAD = 4


def prepare(folder: Path, files: list[str]) -> None:
    CellStore.build(files, folder / "store", workers=2)


def open_loader(job: dict[str, Any], run: dict[str, Any]) -> Batches:
    """Return batches of counts; as any user would have them, from `StoreLoader`."""
    what: Any = {
        "store": lambda: f"{job['folder']}/store",
        "h5ad": lambda: job["files"],
        "memory": lambda: [anndata.read_h5ad(name) for name in job["files"]],
    }[job["variant"]]()
    store = open_store(what)
    genes = job["genes"]
    vocabulary = GeneVocabulary(tuple(genes), tuple(genes), ("NCBITaxon:9606",) * len(genes), np.arange(len(genes)))
    classes = [name.removesuffix("_ontology_term_id") for name in job["labels"]]
    labels = LabelSpace.from_obs([store.obs(job["labels"])], classes, flat=classes)
    collator = Collator(vocabulary=vocabulary, **genes_of(job, run), seed=run.get("seed", 0))
    loader = StoreLoader(
        CellDataset(store, vocabulary, labels, collator=collator),
        make_sampler(job, run),
        batch_size=BATCH,
        # with one core, a thread more only changes places with the one that takes the batches
        threads=job["workers"] if job["temperature"] == "warm" else max(1, job["workers"]),
        read_ahead=READ_AHEAD if job["temperature"] == "cold" else 0,
    )
    return (batch["counts"] for batch in endless(loader) if len(batch["counts"]) == BATCH)


def make_sampler(job: dict[str, Any], run: dict[str, Any]) -> Any:
    classes = class_codes(job["files"])
    if run["order"] == "sequential":
        return SequentialSampler(len(classes))
    if run["order"] == "uniform":
        return UniformSampler(len(classes), n_draws=EPOCH, seed=run.get("seed", 0))
    return WeightedSampler(classes[:, None], scale=SCALE, n_draws=EPOCH, seed=run.get("seed", 0))


def genes_of(job: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    if run["genes"] == "fixed":
        return {"choice": "given", "genes": [job["genes"][i] for i in job["panel"]]}
    # in the order of the data, as the plain gather gives them
    return {"choice": "random_expressed", "context": run["width"], "shuffle": False}


def endless(loader: StoreLoader) -> Any:
    epoch = 0
    while True:
        loader.set_epoch(epoch)
        yield from loader
        epoch += 1


if __name__ == "__main__":
    main(prepare, open_loader)
