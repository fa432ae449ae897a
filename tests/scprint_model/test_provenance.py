"""What made an output is told in it, and makes it again."""

import hashlib
import json
from importlib import import_module

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from scprint_model import ScPrint, finetune, infer, select_heads, tasks
from scprint_model._provenance import KEY, content, read
from scprint_model.checkpoints.identity import identity, weights_hash
from scprint_model.cli import main
from scprint_model.commands.options import cells_of
from scprint_model.networks import HeadSelection
from scprint_model.tables import DEFAULT_CONTEXT
from scprint_model.tasks.files import open_cells


@pytest.fixture(scope="module")
def folder(small_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "small"
    small_model.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def model(folder):
    return ScPrint.from_pretrained(folder)


@pytest.fixture
def cells(retina):
    return retina[:40].copy()


def again(step, adata):
    """Call what a record names, with the model and the parameters that it tells, and check the input."""
    home, _, name = step["task"].rpartition(".")
    assert content(adata) in step["inputs"]
    model = ScPrint.from_pretrained(step["model"]["name"])
    assert identity(model) == step["model"]
    return getattr(import_module(home), name)(model, adata, **step["parameters"])


def last(adata):
    return json.loads(adata.uns[KEY])[-1]


def test_a_model_is_told_by_its_file(model, folder):
    file = (folder / "model.safetensors").read_bytes()
    assert identity(model) == {"name": str(folder), "sha256": hashlib.sha256(file).hexdigest()}


def test_a_changed_model_is_not_told_as_the_file(folder, small_model):
    changed = ScPrint.from_pretrained(folder)
    weights = identity(small_model)["weights_sha256"]
    with torch.no_grad():
        changed.norm.weight[0] += 1
    told = identity(changed)
    assert told == {"name": "in memory", "made_from": str(folder), "weights_sha256": told["weights_sha256"]}
    assert told["weights_sha256"] != weights
    with torch.no_grad():
        changed.norm.weight[0] -= 1
    assert identity(changed)["sha256"]


def test_embed_is_made_again_from_its_record(model, cells):
    given = cells.copy()
    embedding = tasks.embed(model, cells, token="cell_type", context=50, seed=3)
    step = last(cells)
    assert step["parameters"]["context"] == 50
    assert step["parameters"]["key"] == "X_scprint"
    np.testing.assert_array_equal(again(step, given), embedding)


def test_annotate_is_made_again_from_its_record(model, cells):
    given = cells.copy()
    predicted = tasks.annotate(model, cells, classes=["cell_type"], top_k=2, abstain=0.1, seed=2)
    pd.testing.assert_frame_equal(again(last(cells), given), predicted)


def test_a_context_that_is_left_out_is_told_as_the_number_it_was(model, cells):
    tasks.embed(model, cells)
    assert last(cells)["parameters"]["context"] == DEFAULT_CONTEXT


def test_cells_encoded_before_are_told_with_their_own_context_and_seed(model, cells):
    given = cells.copy()
    encoded = tasks.encode(model, cells, context=60, seed=5)
    embedding = tasks.embed(model, cells, encoded=encoded)
    step = last(cells)
    assert not {"context", "seed", "batch_size"} & set(step["parameters"])
    before = step["inputs"][-1]["encoded"][-1]
    where = {"layer": None, "counts": "X", "round": False}
    assert before["parameters"] == {"context": 60, "batch_size": 32, "seed": 5, "classes": None} | where
    repeated = again(before, given)
    np.testing.assert_array_equal(repeated.embeddings.mean(axis=1), embedding)


@pytest.mark.parametrize("options", [{"group": "retinal rod cell"}, {"group": None}], ids=["one", "several"])
def test_networks_are_made_again_from_their_record(model, cells, options):
    regulators = cells.var_names[:2000].tolist()
    told = {"groupby": "cell_type", "n_genes": 30, "seed": 4, "regulators": iter(regulators), **options}
    network = infer(model, cells, **told)
    step = last(network)
    assert step["parameters"]["regulators"] == regulators
    repeated = again(step, cells)
    assert repeated.var_names.tolist() == network.var_names.tolist()
    assert set(repeated.varp) == set(network.varp)
    for key in network.varp:
        np.testing.assert_array_equal(repeated.varp[key], network.varp[key])


def test_a_second_task_on_the_file_of_a_first_keeps_its_record(cells, folder, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    one, two = tmp_path / "one.h5ad", tmp_path / "two.h5ad"
    assert main(["embed", str(tmp_path / "cells.h5ad"), str(one), "--model", str(folder), "--seed", "6"]) == 0
    assert main(["annotate", str(one), str(two), "--model", str(folder), "--classes", "cell_type"]) == 0
    steps = read(two)
    assert [step["task"].rpartition(".")[2] for step in steps][-4:] == ["open_cells", "embed", "open_cells", "annotate"]
    assert [step["inputs"][0].get("file") for step in steps][-4:] == ["cells.h5ad", None, "one.h5ad", None]
    assert steps[-3]["parameters"]["seed"] == 6
    made = anndata.read_h5ad(two)
    np.testing.assert_array_equal(again(steps[-3], open_cells(tmp_path / "cells.h5ad")), made.obsm["X_scprint"])
    predicted = again(steps[-1], open_cells(one))
    assert predicted["predicted_cell_type"].tolist() == made.obs["predicted_cell_type"].tolist()


def test_the_record_of_a_network_is_in_its_file(cells, folder, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    out = tmp_path / "network.h5ad"
    words = ["network", str(tmp_path / "cells.h5ad"), str(out), "--model", str(folder), "--n-genes", "20"]
    assert main(words) == 0
    repeated = again(read(out)[-1], open_cells(tmp_path / "cells.h5ad"))
    np.testing.assert_array_equal(repeated.grn, anndata.read_h5ad(out).varp["GRN"])


def test_an_input_is_told_by_its_counts_whatever_their_form(cells, tmp_path):
    told = content(cells)
    forms = {"dense": cells.X.toarray(), "columns": sparse.csc_matrix(cells.X), "whole": cells.X.astype(np.int64)}
    for name, counts in forms.items():
        other = anndata.AnnData(counts, obs=cells.obs, var=cells.var)
        assert content(other) == told, name
        other.write_h5ad(tmp_path / f"{name}.h5ad")
        assert content(open_cells(tmp_path / f"{name}.h5ad")) == told, name
    changed = cells.copy()
    changed.X[3, changed.X[3].indices[0]] += 1
    renamed = cells.copy()
    renamed.obs_names = [f"{name}x" for name in cells.obs_names]
    for other in (changed, renamed, cells[::-1]):
        assert content(other)["sha256_of_counts"] != told["sha256_of_counts"]


@pytest.mark.parametrize("options", [{"depth_multiplier": 3.0}, {"target_depth": 5000.0, "sample": True, "seed": 7}])
def test_denoised_counts_are_made_again_from_their_record(model, cells, options):
    genes = cells.var_names[:300:10].tolist()
    found = tasks.denoise(model, cells, genes=genes, uncertainty=True, **options)
    repeated = again(last(found), cells)
    assert last(found)["parameters"]["genes"] == genes
    np.testing.assert_array_equal(repeated.X, found.X)
    np.testing.assert_array_equal(repeated.layers["standard_deviation"], found.layers["standard_deviation"])


@pytest.mark.parametrize("method", ["masked", "embeddings"])
def test_imputed_counts_are_made_again_from_their_record(model, cells, method):
    panel = cells[:, 30:].copy()
    genes = list(cells.var_names[:30].intersection(model.vocabulary.ids, sort=False))
    found = tasks.impute(model, panel, genes=genes, method=method, context=80, seed=2)
    np.testing.assert_array_equal(again(last(found), panel).X, found.X)


def test_generated_counts_are_made_again_from_their_record(model, cells):
    others = cells[cells.obs["cell_type"] == "Mueller cell"].copy()
    mixed = tasks.mix(tasks.encode(model, cells, context=50), {"cell_type": tasks.encode(model, others, seed=3)})
    genes = list(model.vocabulary.ids[:20])
    found = tasks.generate(model, mixed, genes=genes, total_counts=100.0, sample=True, seed=5)
    embedding, facets, step = json.loads(found.uns[KEY])[-3:]
    (name, source) = next(iter(facets["parameters"]["facets"].items()))
    repeated = tasks.mix(again(embedding, cells), {name: again(source["encoded"][-1], others)})
    assert step["model"] == identity(model)
    np.testing.assert_array_equal(tasks.generate(model, repeated, **step["parameters"]).X, found.X)


def test_perturbations_are_made_again_from_their_record(model, cells):
    known = np.flatnonzero(cells.var_names.isin(model.vocabulary.ids))
    gene = cells.var_names[known[np.argmax(np.asarray(cells.X[:, known].sum(axis=0)).ravel())]]
    found = tasks.perturb(model, cells, genes=[gene], fold=3, n_genes=60, n_edges=10)
    repeated = again(found.steps[-1], cells)
    pd.testing.assert_frame_equal(repeated.profile, found.profile)
    pd.testing.assert_frame_equal(repeated.edges, found.edges)


@pytest.fixture
def path(cells, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def test_tables_of_a_perturbation_are_made_again_from_what_lies_beside_them(path, model, folder, tmp_path, capsys):
    out, edges = tmp_path / "changed.csv", tmp_path / "changed.edges.csv"
    gene = next(name for name in ("ENSG00000251562", "ENSG00000198804") if name in model.vocabulary.ids)
    options = ["--cells", "cell_type=retinal rod cell", "--n-genes", "60", "--n-edges", "5", "--fold", "3"]
    assert main(["perturb", str(path), str(out), "--genes", gene, "--model", str(folder), *options]) == 0
    assert capsys.readouterr().out.endswith(f"; what made them: {out}.json, {edges}.json\n")
    assert read(out) == read(edges)
    opened, chosen, step = read(out)[-3:]
    assert (opened["inputs"], chosen["parameters"]) == (
        [{"file": "cells.h5ad"}],
        {"where": "cell_type=retinal rod cell"},
    )
    found = again(step, cells_of(open_cells(path), **chosen["parameters"]))
    assert found.profile.to_csv(index_label="gene") == out.read_text()
    assert found.edges.to_csv(index=False) == edges.read_text()


def test_generated_cells_tell_all_steps_of_the_command(path, model, folder, tmp_path):
    out, genes = tmp_path / "made.h5ad", tmp_path / "genes.txt"
    genes.write_text("\n".join(model.vocabulary.ids[:5]))
    options = ["--cells", "cell_type=retinal rod cell", "--take", '{"cell_type": "cell_type=Mueller cell"}']
    words = ["generate", str(path), str(out), "--genes", str(genes), "--model", str(folder), "--seed", "3", *options]
    assert main(words) == 0
    steps = read(out)[-5:]
    names = [step["task"].rpartition(".")[2] for step in steps]
    assert names == ["open_cells", "cells_of", "encode", "mix", "generate"]
    cells = cells_of(open_cells(path), **steps[1]["parameters"])
    (name, source) = next(iter(steps[3]["parameters"]["facets"].items()))
    others = cells_of(open_cells(path), **source["encoded"][-2]["parameters"])
    mixed = tasks.mix(again(steps[2], cells), {name: again(source["encoded"][-1], others)})
    made = anndata.read_h5ad(out)
    repeated = tasks.generate(model, mixed, total_counts=made.obs["total_counts"].to_numpy(), **steps[4]["parameters"])
    np.testing.assert_array_equal(repeated.X, made.X)


def test_heads_and_edges_of_a_network_say_what_made_them(path, model, folder, tmp_path, capsys):
    cells = anndata.read_h5ad(path)
    genes = list(cells.var_names.intersection(model.vocabulary.ids, sort=False))[:40]
    pd.DataFrame({"source": genes[:20], "target": genes[20:]}).to_csv(tmp_path / "truth.csv", index=False)
    (tmp_path / "genes.txt").write_text("\n".join(genes))
    out, heads, edges = (tmp_path / f"net{end}" for end in (".h5ad", ".heads.json", ".edges.csv"))
    options = ["--genes", str(tmp_path / "genes.txt"), "--truth", str(tmp_path / "truth.csv"), "--edges", "7"]
    assert main(["network", str(path), str(out), "--model", str(folder), *options]) == 0
    selected = read(heads)[-1]
    assert selected["task"] == "scprint_model.select_heads"
    assert selected["inputs"][1]["edges"] == 20
    stack = again(read(heads)[-2], cells)
    assert selected["inputs"][0] == content(stack)
    truth = pd.read_csv(tmp_path / "truth.csv")
    assert select_heads(stack, truth, **selected["parameters"]) == HeadSelection.load(heads)
    step = read(edges)[-1]
    assert read(edges) == read(out)
    assert step["parameters"]["heads"]["steps"][-1] == selected
    step["parameters"]["heads"] = HeadSelection(**step["parameters"]["heads"])
    np.testing.assert_array_equal(again(step, cells).grn, anndata.read_h5ad(out).varp["GRN"])


def test_inspect_shows_what_made_a_file_and_still_what_a_model_holds(path, folder, tmp_path, capsys):
    assert main(["annotate", str(path), str(tmp_path / "a.h5ad"), "--model", str(folder), "--seed", "8"]) == 0
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "a.h5ad")]) == 0
    shown = capsys.readouterr().out.splitlines()
    model = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert f"   model: name {folder}, sha256 {model}" in shown
    assert "   seed: 8" in shown
    assert main(["inspect", str(tmp_path / "a.h5ad"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == read(tmp_path / "a.h5ad")
    assert main(["inspect", str(folder)]) == 0
    assert f"- SHA-256 {model}" in capsys.readouterr().out


def test_scores_of_predictions_say_what_made_them(path, folder, tmp_path):
    words = ["annotate", str(path), str(tmp_path / "a.h5ad"), "--report", str(tmp_path / "scores.json")]
    assert main([*words, "--model", str(folder), "--classes", "cell_type"]) == 0
    assert read(tmp_path / "scores.json") == read(tmp_path / "a.h5ad")


def test_a_fine_tuned_model_is_made_again_from_its_report(folder, cells, tmp_path, capsys):
    common = cells.obs["cell_type"].value_counts()
    cells = cells[cells.obs["cell_type"].isin(common.index[common >= 5])].copy()
    options = {"labels": "cell_type", "train": "heads", "epochs": 1, "context": 50, "seed": 2}
    made = finetune(folder, cells, out=tmp_path / "tuned", save="model", **options)
    (step,) = read(tmp_path / "tuned" / "report.json")
    assert step["model"] == identity(ScPrint.from_pretrained(folder))
    assert step["inputs"] == [content(cells)]
    assert weights_hash(finetune(folder, cells, **step["parameters"])) == weights_hash(made)
    assert identity(made) == {"name": "in memory", "weights_sha256": weights_hash(made)}
    assert main(["inspect", str(tmp_path / "tuned")]) == 0
    assert "what made it\n1. scprint_model.finetune (scprint-model " in capsys.readouterr().out


def test_vectors_of_genes_are_made_again_from_what_lies_beside_them(model, folder, tmp_path):
    out, genes = tmp_path / "vectors.parquet", tmp_path / "genes.txt"
    genes.write_text("\n".join(model.vocabulary.ids[3:6]))
    assert main(["gene-embeddings", str(out), "--model", str(folder), "--genes", str(genes)]) == 0
    (step,) = read(out)
    assert step["model"] == identity(model)
    pd.testing.assert_frame_equal(tasks.gene_embeddings(model, **step["parameters"]), pd.read_parquet(out))
