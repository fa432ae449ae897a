"""What made clean files, stores and what is exported from them is told in them, and makes them again."""

import hashlib
import json

import anndata
import numpy as np
import pandas as pd
import pytest

from scdataloader import CellStore, LabelSpace, Preprocessor, datasets
from scdataloader._provenance import KEY, content, read
from scdataloader.cli import main
from scdataloader.preprocess import preprocess_files


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    path = tmp_path_factory.mktemp("raw") / "retina.h5ad"
    datasets.retina_1k()[:150].copy().write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def clean(raw, tmp_path_factory):
    path = tmp_path_factory.mktemp("clean") / "retina.h5ad"
    Preprocessor(min_cells=10, min_genes=700, duplicates="first").write(raw, path)
    return path


def assert_same(a, b):
    assert a.obs_names.tolist() == b.obs_names.tolist()
    assert a.var_names.tolist() == b.var_names.tolist()
    np.testing.assert_array_equal(a.X.toarray(), b.X.toarray())


def test_a_clean_file_is_made_again_from_its_record(raw, clean, tmp_path):
    (step,) = read(clean)
    assert step["task"] == "scdataloader.Preprocessor"
    assert step["inputs"] == [{"file": "retina.h5ad", "sha256": hashlib.sha256(raw.read_bytes()).hexdigest()}]
    assert (step["parameters"]["min_genes"], step["parameters"]["seed"]) == (700, 0)
    Preprocessor(**step["parameters"]).write(raw, tmp_path / "again.h5ad")
    made = anndata.read_h5ad(clean)
    assert_same(anndata.read_h5ad(tmp_path / "again.h5ad"), made)
    cells = anndata.read_h5ad(raw)
    again, _ = Preprocessor(**step["parameters"])(cells)
    assert_same(again, made)
    (in_memory,) = json.loads(again.uns[KEY])
    assert in_memory["inputs"] == [content(cells)]
    assert KEY not in cells.uns


def test_a_store_and_its_export_are_made_again_from_their_records(clean, tmp_path):
    store = CellStore.build([clean], tmp_path / "store", shard_bytes=40_000)
    (step,) = read(tmp_path / "store")
    assert step["inputs"][0]["file"] == "retina.h5ad"
    assert step["inputs"][0]["steps"] == read(clean)
    again = CellStore.build([clean], tmp_path / "again", **step["parameters"])
    assert again.fingerprint == store.fingerprint
    assert again.info()["shards"] == store.info()["shards"] > 1
    store.export(tmp_path / "some.h5ad", np.array([5, 2, 9]))
    built, exported = read(tmp_path / "some.h5ad")
    assert built == step
    assert exported["inputs"] == [{"folder": "store", "cells": len(store), "fingerprint": store.fingerprint}]
    store.export(tmp_path / "same.zarr", np.array(exported["parameters"]["rows"]), format="zarr")
    assert_same(anndata.read_zarr(tmp_path / "same.zarr"), anndata.read_h5ad(tmp_path / "some.h5ad"))
    assert read(tmp_path / "same.zarr") == [built, exported]


def test_data_sets_that_are_added_add_a_step(clean, tmp_path):
    cells = anndata.read_h5ad(clean)
    CellStore.build([("one", clean)], tmp_path / "store").add([("two", cells[:20].copy())])
    one, two = read(tmp_path / "store")
    assert [one["inputs"][0]["name"], two["inputs"][0]["name"]] == ["one", "two"]
    assert two["inputs"][0]["cells"] == 20


def test_tables_and_page_of_a_corpus_tell_settings_and_inputs(raw, tmp_path):
    settings = Preprocessor(min_cells=10, min_genes=700)
    preprocess_files([raw], tmp_path, settings).write(tmp_path)
    (step,) = read(tmp_path / "report.html")
    assert read(tmp_path / "report.csv") == read(tmp_path / "summary.csv") == [step]
    assert step["inputs"] == [{"file": "retina.h5ad"}]
    assert Preprocessor(**{**step["parameters"], "drop_assays": (), "labels": ()}) == settings
    assert pd.read_csv(tmp_path / "summary.csv")["cells_out"].tolist() == [
        anndata.read_h5ad(tmp_path / "retina.h5ad").n_obs
    ]


def test_label_spaces_are_made_again_from_what_lies_beside_them(clean, tmp_path, capsys):
    out = tmp_path / "labels.json"
    assert main(["labels", str(clean), "--classes", "cell_type,sex", "--out", str(out)]) == 0
    assert capsys.readouterr().out.endswith(f"what made it: {out}.json\n")
    (step,) = read(out)
    assert step["inputs"] == [{"file": "retina.h5ad", "steps": read(clean)}]
    classes = ",".join(step["parameters"]["classes"])
    assert main(["labels", str(clean), "--classes", classes, "--out", str(tmp_path / "again.json")]) == 0
    assert (tmp_path / "again.json").read_bytes() == out.read_bytes()
    assert LabelSpace.load(out).classes.keys() == {"cell_type", "sex"}


def test_lost_names_tell_the_settings(raw, tmp_path):
    out = tmp_path / "lost.csv"
    assert main(["check", str(raw), "--lost", str(out), "--min-cells", "10"]) == 0
    (step,) = read(out)
    assert step["task"] == "scdataloader check"
    settings = Preprocessor(**{**step["parameters"], "drop_assays": (), "labels": ()})
    assert settings == Preprocessor(min_cells=10)


def test_inspect_shows_what_a_store_holds_and_what_made_it(clean, tmp_path, capsys):
    CellStore.build([clean], tmp_path / "store")
    preprocess_files([clean], tmp_path / "corpus", Preprocessor.preset("inference")).write(tmp_path / "corpus")
    assert main(["inspect", str(tmp_path / "store")]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("CellStore(")
    assert "what made it\n1. scdataloader.CellStore.build (scdataloader " in shown
    for name in ("report.html", "report.csv"):
        assert main(["inspect", str(tmp_path / "corpus" / name)]) == 0
        assert capsys.readouterr().out.startswith("1. scdataloader.Preprocessor (scdataloader ")
    assert main(["inspect", str(clean)]) == 0
    assert "   min_genes: 700" in capsys.readouterr().out.splitlines()
