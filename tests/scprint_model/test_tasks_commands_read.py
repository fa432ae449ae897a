"""``scprint embed`` and ``scprint annotate``, from file to file."""

import hashlib
import json

import anndata
import numpy as np
import pandas as pd
import pytest

from scdataloader import datasets
from scprint_model import ScPrint, cli
from scprint_model._provenance import KEY, steps_of
from scprint_model.tasks import annotate, calibration, embed


@pytest.fixture(scope="module")
def cells():
    return datasets.retina_1k()[:30].copy()


@pytest.fixture(scope="module")
def folder(small_model, tmp_path_factory):
    """A model's folder: the command loads it itself."""
    path = tmp_path_factory.mktemp("model") / "small"
    small_model.save_pretrained(path)
    return path


@pytest.fixture
def file(cells, tmp_path):
    path = tmp_path / "in.h5ad"
    cells.write_h5ad(path)
    return path


@pytest.fixture
def run(file, folder, capsys):
    """Run a command on the file; returns the status and what was said, and checks that the input is as it was."""

    def call(command, output, *options, model=folder):
        before = hashlib.sha256(file.read_bytes()).hexdigest()
        status = cli.main([command, str(file), str(output), "--model", str(model), "--context", "60", *options])
        assert hashlib.sha256(file.read_bytes()).hexdigest() == before
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


def test_embed_writes_what_the_function_gives(run, cells, folder, tmp_path):
    out = tmp_path / "out.h5ad"
    status, said, _ = run("embed", out)
    assert status == 0
    assert said == f"{out}: 30 cells, obsm['X_scprint'] 16 wide\n"
    got = anndata.read_h5ad(out)
    expected = embed(ScPrint.from_pretrained(folder), cells.copy(), context=60)
    np.testing.assert_array_equal(got.obsm["X_scprint"], expected)
    assert (got.X != cells.X).nnz == 0
    pd.testing.assert_frame_equal(got.obs, cells.obs)


def test_embed_logits_and_tokens(run, cells, folder, tmp_path):
    model = ScPrint.from_pretrained(folder)
    assert run("embed", tmp_path / "logits.h5ad", "--logits", "cell_type", "--key", "X_logits", "--seed", "2")[0] == 0
    got = anndata.read_h5ad(tmp_path / "logits.h5ad").obsm["X_logits"]
    np.testing.assert_array_equal(got, embed(model, cells.copy(), logits="cell_type", context=60, seed=2))
    assert run("embed", tmp_path / "all.h5ad", "--token", "all")[0] == 0
    got = anndata.read_h5ad(tmp_path / "all.h5ad").obsm
    assert set(got) == {"X_scprint_base", "X_scprint_depth", "X_scprint_cell_type"}
    expected = embed(model, cells.copy(), token="all", context=60)
    np.testing.assert_array_equal(got["X_scprint_cell_type"], expected[:, 2])
    assert run("embed", tmp_path / "drawn.h5ad", "--draws", "2")[0] == 0
    got, data = anndata.read_h5ad(tmp_path / "drawn.h5ad"), cells.copy()
    np.testing.assert_array_equal(got.obsm["X_scprint"], embed(model, data, context=60, draws=2))
    np.testing.assert_array_equal(got.obs["X_scprint_spread"], data.obs["X_scprint_spread"])


def test_annotate_writes_labels_and_says_how_right_they_are(run, cells, folder, tmp_path):
    out, report = tmp_path / "out.h5ad", tmp_path / "report.json"
    options = ["--top_k", "2", "--vote", "cell_type", "--coarsen", '{"cell_type": ["glial cell", "sensory neuron"]}']
    options += ["--probabilities", "--abstain", "0.5", "--report", str(report)]
    status, said, error = run("annotate", out, *options)
    assert status == 0, error
    model, data = ScPrint.from_pretrained(folder), cells.copy()
    predicted = annotate(
        model,
        data,
        top_k=2,
        probabilities=True,
        coarsen={"cell_type": ["glial cell", "sensory neuron"]},
        abstain=0.5,
        vote="cell_type",
        context=60,
    )
    got = anndata.read_h5ad(out)
    assert got.obs[predicted.columns].astype(str).equals(predicted.astype(str))
    pd.testing.assert_frame_equal(got.obs[cells.obs.columns], cells.obs)
    np.testing.assert_array_equal(got.obsm["predicted_cell_type"], data.obsm["predicted_cell_type"])
    labels = model.label_space.classes["cell_type"].leaves
    assert got.uns["predicted_cell_type"]["ontology_term_ids"].tolist() == list(labels)
    scores = calibration(data, labels=model.label_space)
    assert set(scores) == {"cell_type", "cell_type_vote", "cell_type_coarse", "cell_type_coarse_vote"}
    content = json.loads(report.read_text())
    assert content.pop(KEY) == steps_of(got.uns)
    assert content == json.loads(json.dumps({name: one.as_dict() for name, one in scores.items()}))
    lines = said.splitlines()
    assert lines[0] == f"{out}: 30 cells, {len(predicted.columns)} columns predicted_... in obs"
    for name, one in scores.items():
        assert f"{name}: {one}\n" in said  # with its intervals, on lines of their own
    assert lines[-1] == f"{report}: these scores"
    # what was written is scored as it was in memory
    again = calibration(got, labels=model.label_space)
    assert {name: one.as_dict() for name, one in again.items()} == {name: one.as_dict() for name, one in scores.items()}


def test_without_truth_there_is_no_report(run, cells, file, tmp_path):
    bare = cells.copy()
    bare.obs = bare.obs[["donor_id"]]
    bare.write_h5ad(file)
    status, said, _ = run("annotate", tmp_path / "out.h5ad", "--classes", "cell_type")
    assert status == 0
    assert said == f"{tmp_path / 'out.h5ad'}: 30 cells, 3 columns predicted_... in obs\n"
    status, _, error = run("annotate", tmp_path / "other.h5ad", "--report", str(tmp_path / "report.json"))
    assert status == 2
    assert f"obs of {file} has no true labels of ['cell_type'], only ['donor_id']" in error
    assert not (tmp_path / "other.h5ad").exists()


@pytest.mark.parametrize("command", ["embed", "annotate"])
def test_bad_files_end_with_a_message(run, file, tmp_path, command):
    status, _, error = run(command, file)
    assert (status, error) == (2, f"scprint: {file} is the input, which is not overwritten: choose another output\n")
    status, _, error = run(command, file / "out.h5ad")
    assert status == 2
    assert "in.h5ad is no folder" in error
    file.write_text("no h5ad")
    status, _, error = run(command, tmp_path / "out.h5ad")
    assert status == 2
    assert "is no h5ad file" in error
    assert not (tmp_path / "out.h5ad").exists()


def test_bad_options_end_with_a_message(run, tmp_path):
    out = tmp_path / "out.h5ad"
    for options, message in (
        (("embed", out, "--token", "age"), "token='age' is not one of 'mean', 'all', 'base', 'depth', 'cell_type'"),
        (("embed", out, "--logits", "age"), "classes ['age'] are not of the model, which has ['cell_type']"),
        (("annotate", out, "--classes", "cell_type,age"), "classes ['age'] are not of the model"),
        (("annotate", out, "--vote", "leiden"), "vote='leiden': obs has no such column"),
        (("annotate", out, "--report", str(tmp_path / "in.h5ad" / "r.json")), "in.h5ad is no folder"),
    ):
        status, _, error = run(*options)
        assert status == 2
        assert message in error
    assert not out.exists()
