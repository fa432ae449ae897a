"""The published scdataloader 2.1.3: its Dataset, weighted sampler and Collator, with its cache of categories.

It needs a lamindb instance that holds the files and the genes. Without a network that takes detours: the hub is not
told of the new storage, the genes come from the corpus and not from Ensembl, and the files lie in the storage. With a
torch newer than its own its sampler fails at the start, unless torch's takes an argument again.
"""

import os
import warnings
from pathlib import Path

from measure import BATCH, CLASS, EPOCH, SCALE, epochs, main, read_job

warnings.simplefilter("ignore")
HOME = Path(read_job()["folder"]).resolve()
HOME.mkdir(parents=True, exist_ok=True)
os.environ.update(HOME=str(HOME), LAMIN_SETTINGS_DIR=str(HOME / "settings"))

ORGANISM, ORGANISM_COLUMN = "NCBITaxon:9606", "organism_ontology_term_id"
KEY = "corpus"


def prepare(folder, files):
    (folder / "settings").mkdir(parents=True)
    (folder / "cache").mkdir()
    import lamindb_setup
    import lamindb_setup.core._hub_core as hub

    def not_told(*_args, **_options):
        return "hub-record-not-created"

    hub.init_storage_hub = not_told
    lamindb_setup.init(storage=str(folder / "storage"), modules="bionty")
    import anndata
    import bionty
    import lamindb

    organism = bionty.Organism(name="human", ontology_id=ORGANISM, _skip_validation=True).save()
    artifacts = []
    for name in files:
        data = readable(anndata.read_h5ad(name))
        path = folder / "storage" / "files" / Path(name).name
        path.parent.mkdir(exist_ok=True)
        data.write_h5ad(path)
        artifacts.append(lamindb.Artifact.from_anndata(path, description=path.name).save())
    lamindb.save(
        [
            bionty.Gene(ensembl_gene_id=gene, symbol=gene, organism=organism, _skip_validation=True)
            for gene in data.var_names
        ]
    )
    lamindb.Collection(artifacts, key=KEY).save()


def readable(data):
    """Return the data with an organism, and with strings stored as its version reads them."""
    import anndata
    import pandas as pd

    obs = pd.DataFrame(index=data.obs_names.astype(object))
    for name, column in data.obs.items():
        if isinstance(column.dtype, pd.CategoricalDtype):
            obs[name] = pd.Categorical.from_codes(column.cat.codes, column.cat.categories.astype(object))
    obs[ORGANISM_COLUMN] = pd.Categorical([ORGANISM] * len(obs))
    return anndata.AnnData(data.X, obs=obs, var=pd.DataFrame(index=data.var_names.astype(object)))


def open_loader(job, run):
    import torch

    def takes_anything(_self, *_args, **_options):
        pass

    torch.utils.data.Sampler.__init__ = takes_anything
    from scdataloader import Collator, DataModule

    torch.manual_seed(run.get("seed", 0))
    os.chdir(job["folder"])
    workers, labels = job["workers"], [ORGANISM_COLUMN, *job["labels"]]
    module = DataModule(
        collection_name=KEY, clss_to_weight=[CLASS], weight_scaler=SCALE, n_samples_per_epoch=EPOCH,
        clss_to_predict=labels, how="random expr", max_len=run["width"], organisms=[ORGANISM], assays_to_drop=[],
        validation_split=0.0, test_split=0.0, store_location=str(HOME / "cache"), sampler_workers=1,
        batch_size=BATCH, num_workers=workers, **({"persistent_workers": True} if workers else {}),
    )  # fmt: skip
    module.setup()
    loader = module.train_dataloader()
    if (run["order"], run["genes"]) != ("weighted", "random expressed"):
        collate = loader.collate_fn
        if run["genes"] == "fixed":
            names = job["genes"]
            wanted = [names[i] for i in job["panel"]]
            collate = Collator(
                [ORGANISM], how="some", genelist=wanted, valid_genes=names, class_names=labels,
                org_to_id=module.dataset.encoder[ORGANISM_COLUMN],
            )  # fmt: skip
        samplers = {
            "sequential": torch.utils.data.SequentialSampler(module.dataset),
            "uniform": torch.utils.data.RandomSampler(module.dataset),
            "weighted": loader.sampler,
        }
        loader = torch.utils.data.DataLoader(
            module.dataset, BATCH, sampler=samplers[run["order"]], collate_fn=collate, num_workers=workers,
            worker_init_fn=loader.worker_init_fn, persistent_workers=workers > 0,
        )  # fmt: skip
    return epochs(lambda: (batch["x"] for batch in loader))


if __name__ == "__main__":
    main(prepare, open_loader)
