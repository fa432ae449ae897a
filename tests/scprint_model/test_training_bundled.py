"""The bundled model's corpus, features and configuration, as its scripts and the command make and use them."""

import gzip
import importlib.util
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from scipy import sparse

from scdataloader import CellStore, GeneVocabulary
from scprint_model import ScPrint
from scprint_model.cli import main
from scprint_model.commands.fit import packaged_configs

SCRIPTS = Path(__file__).parents[2] / "packages/scprint-model/scripts"
#: Sequences of two human genes.
PROTEINS = {
    "ENSG00000163914": "MNGTEGPNFYVPFSNATGVVRSPFEYPQYYLAEPWQFSMLAAYMFLLIVLGFPINFLTLYVTVQHKKLRTPLNYILLNLAV",
    "ENSG00000136997": "MPLNVSFTNRNYDLDYDSVQPYFYCDEEENFYQQQQQSELQPPAPSEDIWKKFELLPTPPLSPSRRSGLCSPSYVAVTPF"}  # fmt: skip


def load(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory, retina):
    """Corpus and features as the script makes them, of three data sets that are named as in the configuration."""
    folder = tmp_path_factory.mktemp("bundled")
    parts = {"human_lymph_node_ref": retina[:50], "a": retina[50:160], "b": retina[160:]}
    made = [(name, part.copy()) for name, part in parts.items()]
    for _, part in made:
        part.obs["donor_id"] = "unknown"
    groups = ["human4", "PapRCC", "RCC1", "RCC2", "RCC3", "SmallIntestine_3", "mouse5"]
    made[1][1].obs["donor_id"] = [groups[i] if i < len(groups) else "other" for i in range(110)]
    CellStore.build(made, folder / "runs/bundled/corpus")
    with gzip.open(folder / "proteins.fasta.gz", "wt") as file:
        file.writelines(f">sp|P{i}|X\n{sequence}\n" for i, sequence in enumerate(PROTEINS.values()))
    table = pd.DataFrame({"ensembl_id": list(PROTEINS), "uniprot": [f"P{i}" for i in range(len(PROTEINS))]})
    table.to_csv(folder / "genes.tsv", sep="\t", index=False)
    (folder / "orthologs.csv").write_text("Rho,RHO\n")
    build_features(folder, folder / "runs/bundled/features.parquet")
    return folder


def build_features(folder, out):
    options = {"--proteins": "proteins.fasta.gz", "--genes": "genes.tsv", "--orthologs": "orthologs.csv"}
    words = [word for name, file in options.items() for word in (name, str(folder / file))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["build", str(folder / "runs/bundled/corpus"), str(out), *words, "--columns", "16"])
        load("build_gene_features").main()


@pytest.mark.slow
def test_features_are_the_same_bytes_again_and_those_of_numpy(folder, tmp_path):
    first = folder / "runs/bundled/features.parquet"
    build_features(folder, tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == first.read_bytes()
    table = pd.read_parquet(first).set_index("gene_id")
    values = table.drop(columns="weight").to_numpy()
    expression, words = values[:, :16], values[:, 16:]
    for half in (expression, words):
        length = np.linalg.norm(half, axis=1)
        assert np.allclose(length[length > 0], 1, atol=2e-3)
    with_protein = set(table.index[np.linalg.norm(words, axis=1) > 0])
    mouse = GeneVocabulary.for_organisms(["mouse"])
    rho = mouse.ids[list(mouse.symbols).index("Rho")]
    assert with_protein >= {*PROTEINS, rho}
    np.testing.assert_array_equal(table.loc[rho].to_numpy()[17:], table.loc["ENSG00000163914"].to_numpy()[17:])

    # the axes, without the script's iterations: singular vectors of the centred, weighted values
    store, vocabulary = CellStore.open(folder / "runs/bundled/corpus"), GeneVocabulary.for_organisms(["human", "mouse"])
    ends, columns, counts = store.gather_csr(np.arange(len(store)), store.gene_map(vocabulary))
    x = sparse.csr_matrix((counts, columns, ends), shape=(len(store), len(vocabulary))).toarray().astype(np.float64)
    kept = np.flatnonzero(x.sum(axis=0))
    x = np.log1p(x[:, kept] * (1e4 / store.total_counts(np.arange(len(store))))[:, None])
    of = store.dataset_of(np.arange(len(store)))
    means = np.stack([x[of == number].mean(axis=0) for number in range(3)])
    x = x - means[of]
    measured = np.array([(means > 0)[:, g] @ np.bincount(of) for g in range(len(kept))])
    weight = 1 / np.sqrt(np.sqrt((x**2).sum(axis=0) / measured) + 0.2)
    axes = np.linalg.svd(x * weight, full_matrices=False)[2]
    table = table.reindex([vocabulary.ids[i] for i in kept])
    found = table.iloc[:, 1:17].to_numpy() * (table["weight"].to_numpy() / weight)[:, None]
    span = np.linalg.qr(found)[0]
    for axis in axes[:4]:  # iterations find the first ones best, in some order
        assert np.linalg.norm(span.T @ axis) > 0.98


def small(folder, **trainer):
    """Return the packaged configuration with the sizes of a test."""
    config = yaml.safe_load(Path(packaged_configs(["--config", "bundled"])[1]).read_text())
    config["trainer"] |= {
        "strategy": "auto", "devices": 1, "max_epochs": 2, "enable_progress_bar": False, "enable_model_summary": False,
        "num_sanity_val_steps": 0, **trainer,
    }  # fmt: skip
    for callback in config["trainer"]["callbacks"]:
        if callback["class_path"].endswith("ModelCheckpoint"):
            callback["init_args"]["every_n_train_steps"] = 3
    config["model"] |= {"d_model": 16, "n_layers": 1, "deviation_cells": 20, "warmup_steps": 2}
    config["model"]["architecture"]["profile_features"] = 16
    config["model"]["objective"]["min_context"] = 16
    # the retina's other classes have one label
    config["data"] |= {"context": 96, "batch_size": 16, "classes": ["cell_type"]}
    config["data"]["drawing"] |= {"cells_per_epoch": 64, "run": 8, "weight_classes": ["cell_type"]}
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(config))
    return str(path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*number of training batches")
def test_the_configuration_trains_saves_and_goes_on_to_the_last_bit(folder, retina, monkeypatch):
    from scprint_model import tasks

    monkeypatch.chdir(folder)
    assert main(["fit", "--config", small(folder)]) == 0
    saved = folder / "runs/bundled/model"
    whole = {file.name: file.read_bytes() for file in saved.iterdir()}
    last = folder / "runs/bundled/checkpoints/last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 6  # of 8: what a broken-off training leaves
    for name in whole:
        (saved / name).unlink()
    assert main(["fit", "--config", small(folder), "--ckpt_path", str(last)]) == 0
    for name in ("model.safetensors", "embedding.npz", "training_cells.npy"):
        assert (saved / name).read_bytes() == whole[name], name

    model = ScPrint.from_pretrained(saved)
    assert model.context == 1024
    assert model.card["held_out_cells"] == 50 + 7
    assert model.standardisation.n_cells > 50
    cells = retina[:20].copy()
    table = tasks.annotate(model, cells, classes=["cell_type"])
    assert set(table["predicted_cell_type"]) <= {*retina.obs["cell_type"], "unknown"}
    own = tasks.embed(model, cells)  # its own read-out: the tokens that are told the profile, standardised
    np.testing.assert_array_equal(own, tasks.embed(model, cells, token=["base", "cell_type"], standardise=True))
    assert not np.allclose(own, tasks.embed(model, cells, token="mean", standardise=False), atol=0.1)
    assert own.shape == (20, 16)


@pytest.mark.slow
def test_no_cell_of_test_data_is_trained_on(retina, tmp_path, monkeypatch, caplog):
    script = load("build_corpus")
    monkeypatch.setattr(script, "DATA_SETS", ("lung", "other"))
    monkeypatch.setattr(script, "TEST_DONORS", {"lung": ("3",)})
    monkeypatch.setattr(script, "TEST_SETS", ("kept", "gone"))
    monkeypatch.setattr(script, "SAME_STUDY", ())
    lung, other, kept = retina[:80].copy(), retina[70:200].copy(), retina[190:].copy()
    lung.obs["donor_id"] = ["3"] * 40 + ["1"] * 40
    del other.obs["donor_id"]
    for name, part in (("lung", lung), ("other", other), ("kept", kept)):
        part.write_h5ad(tmp_path / f"{name}.h5ad")
    with caplog.at_level(logging.INFO):
        found = {name: part for name, part, _ in script.data_sets(tmp_path, folds=False, seed=0)}
    assert found["lung"].obs_names.tolist() == retina.obs_names[40:80].tolist()
    assert found["lung"].obs["donor_id"].unique().tolist() == ["1"]
    assert found["other"].obs_names.tolist() == retina.obs_names[70:190].tolist()
    assert set(found["other"].obs["donor_id"]) == {"unknown"}
    assert "other: 10 cells that are test data, too, are left out" in caplog.text
    assert "gone is not in" in caplog.text


def test_one_command_makes_what_is_missing_and_goes_on(tmp_path, monkeypatch):
    script = load("train_bundled")
    monkeypatch.chdir(tmp_path)
    build, fit = script.commands(Path("data"), ["--trainer.max_epochs", "3"])
    assert build[1:] == [str(SCRIPTS / "build_corpus.py"), "data", "runs/bundled"]
    assert fit[1:] == ["-m", "scprint_model.cli", "fit", "--config", "bundled", "--trainer.max_epochs", "3"]
    (tmp_path / "runs/bundled/checkpoints").mkdir(parents=True)
    (tmp_path / "runs/bundled/features.parquet").touch()
    (tmp_path / "runs/bundled/checkpoints/last.ckpt").touch()
    (again,) = script.commands(Path("data"), [])
    assert again[1:] == [*fit[1:6], "--ckpt_path", "runs/bundled/checkpoints/last.ckpt"]
    # what the script looks for is what the configuration names
    config = yaml.safe_load(Path(packaged_configs(["--config", "bundled"])[1]).read_text())
    saved = next(one for one in config["trainer"]["callbacks"] if one["class_path"].endswith("ModelCheckpoint"))
    assert Path(saved["init_args"]["dirpath"]) / "last.ckpt" == script.CHECKPOINT
    assert Path(config["model"]["gene_features"]) == script.RUN / "features.parquet"
    assert Path(config["data"]["store"]) == script.RUN / "corpus"
