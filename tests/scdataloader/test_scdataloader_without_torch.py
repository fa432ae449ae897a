"""What works where PyTorch and Lightning are not installed: cleaning, stores, numpy batches, the command line."""

import subprocess
import sys

import numpy as np
import pytest

from scdataloader import CellDataset, GeneVocabulary, LabelSpace, WeightedSampler, datasets, open_store

BLOCK = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=top)

sys.meta_path.insert(0, NotInstalled())
"""


def run(code, *, missing=("torch", "lightning"), cwd=None):
    script = f"MISSING = {missing!r}\n{BLOCK}\n{code}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_clean_build_and_draw(tmp_path):
    datasets.retina_1k()[:300].write_h5ad(tmp_path / "raw.h5ad")
    run(
        """
import numpy as np
from scdataloader import GeneVocabulary, LabelSpace, WeightedSampler, open_store
from scdataloader.cli import main
from scdataloader.store import CellStore

assert main(["check", "raw.h5ad"]) == 0
assert main(["preprocess", "raw.h5ad", "--out", "clean"]) == 0
assert main(["build", "clean", "--out", "store"]) == 0
assert main(["inspect", "store"]) == 0
assert main(["verify", "store"]) == 0
assert main(["labels", "clean", "--classes", "cell_type"]) == 0

store = open_store("store")
assert isinstance(store, CellStore)
space = LabelSpace.from_obs([store.obs()], ["cell_type"])
sampler = WeightedSampler(store.labels(space), n_draws=1000, seed=3)
from scdataloader import Collator, Corpus, Extras, GeneChoice
from scdataloader.collate import GeneformerFormat, ScGPTFormat, ScPrintFormat
rows = sampler.indices(64, 96)
genes = store.gene_map(GeneVocabulary.for_organisms(["human"]))
drawn = store.gather(rows, genes, choice="random_expressed", context=200, positions=np.arange(64, 96), seed=5)
np.savez("batch.npz", rows=rows, genes=drawn.genes, counts=drawn.counts, labels=store.labels(space, rows))
loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & {"torch", "lightning"}
""",
        cwd=tmp_path,
    )
    store = open_store(tmp_path / "store")
    space = LabelSpace.from_obs([store.obs()], ["cell_type"])
    with np.load(tmp_path / "batch.npz") as batch:
        rows, counts = batch["rows"], batch["counts"]
        np.testing.assert_array_equal(rows, WeightedSampler(store.labels(space), n_draws=1000, seed=3).indices(64, 96))
        # each count is that of the file that was cleaned, found by the gene's id
        vocabulary = GeneVocabulary.for_organisms(["human"])
        raw = datasets.retina_1k().to_df().loc[store.obs().index[rows]]
        raw.columns = [name.partition(".")[0] for name in raw.columns]
        for i in (0, 17, 31):
            ids = [vocabulary.ids[gene] for gene in batch["genes"][i]]
            np.testing.assert_array_equal(raw.iloc[i].reindex(ids, fill_value=0), counts[i])
        # and the cells are those of the batch of tensors
        cells = CellDataset(store, vocabulary, space, context=200)
        np.testing.assert_array_equal(cells.__getitems__(rows)["labels"].numpy(), batch["labels"])


@pytest.mark.slow
def test_what_makes_tensors_names_the_extra():
    lines = [
        "from scdataloader import CellDataModule",
        "from scdataloader import CellDataset",
        "from scdataloader import StoreLoader",
        "from scdataloader.collate import CellDataset",
        "from scdataloader.collate import StoreLoader",
        "from scdataloader import *",
    ]
    code = f"""
for line in {lines!r}:
    try:
        exec(line)
    except ImportError as error:
        print(error)
    else:
        print(line, "went through")
"""
    said = run(code).splitlines()
    assert len(said) == len(lines)
    for line, message in zip(lines, said, strict=True):
        assert message.endswith("pip install 'scdataloader[torch]'"), line


@pytest.mark.slow
def test_only_the_data_module_needs_lightning():
    code = """
from scdataloader import CellDataset, Collator, StoreLoader
try:
    from scdataloader import CellDataModule
except ImportError as error:
    print(error)
"""
    assert run(code, missing=("lightning",)) == "CellDataModule needs Lightning: pip install 'scdataloader[torch]'"


def test_a_broken_torch_is_not_called_a_missing_one(tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("import a_library_that_torch_needs")
    code = "sys.path.insert(0, '.')\nfrom scdataloader._torch import torch"
    script = f"MISSING = ()\n{BLOCK}\n{code}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "No module named 'a_library_that_torch_needs'" in done.stderr
    assert "scdataloader[torch]" not in done.stderr.splitlines()[-1]
