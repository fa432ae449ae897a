"""The whole call and command on real cells with planted labels and batches, and bad input."""

import json

import numpy as np
import pytest
import torch
from scipy import sparse

from scdataloader import GeneVocabulary
from scprint_model import ScPrint, cli
from scprint_model.finetuning import finetune, load_adapter
from scprint_model.metrics import neighbour_agreement
from scprint_model.tasks import encode

QUICK = {"context": 64, "batch_size": 32, "epochs": 2}


def planted(adata, *, n_cells, strength=25, seed=0):
    """Half of the cells, drawn at random, express 60 more genes: in obs "planted", and of the types those with many."""
    adata = adata[:n_cells].copy()
    rng = np.random.default_rng(seed)
    second = rng.integers(0, 2, n_cells) == 1
    counts = sparse.csr_matrix(adata.X).toarray().astype(np.float32)
    program = rng.choice(np.argsort(-counts.mean(axis=0))[:400], 60, replace=False)
    counts[np.ix_(second, program)] += rng.poisson(strength, (int(second.sum()), 60))
    adata.X = sparse.csr_matrix(counts)
    adata.obs = adata.obs.drop(columns="total_counts", errors="ignore")
    adata.obs["planted"] = np.where(second, "two", "one")
    types = adata.obs["cell_type"].astype(str)
    adata.obs["type"] = types.where(types.map(types.value_counts()) > 8, "unknown")
    return adata


@pytest.fixture(scope="module")
def cells(retina):
    return planted(retina, n_cells=160)


@pytest.fixture(scope="module")
def bundled():
    return ScPrint.from_pretrained("bundled")


def weights(model):
    return {key: value.clone() for key, value in model.state_dict().items()}


def differing(one, other):
    return {key for key in one if one[key].shape != other[key].shape or not torch.equal(one[key], other[key])}


@pytest.mark.slow
def test_heads_learn_a_planted_label_and_the_body_stays(bundled, cells, tmp_path):
    before, cells_before = weights(bundled), cells.X.copy()
    made = finetune(bundled, cells, labels="planted", train="heads", out=tmp_path / "made", **QUICK)
    scores = made.card["finetuned"]
    assert scores["before"]["planted"]["accuracy"] < 0.8
    assert scores["after"]["planted"]["accuracy"] > 0.9
    assert scores["after"]["planted"]["macro_f1"] > 0.9
    assert scores["after"]["planted"]["n_cells"] == scores["cells"]["held_out"]
    after = weights(made)
    new = {key for key in after if key.startswith("class_heads.planted.")}
    assert after.keys() - before.keys() == new
    # one row longer, as are the heads that read all tokens, by zeros
    longer = {f"class_heads.{name}.out.weight" for name in bundled.config.all_token_classes}
    assert differing(before, after) == {"class_tokens.weight", *longer}
    for name in longer:
        width = before[name].shape[1]
        assert torch.equal(after[name][:, :width], before[name])
        assert not after[name][:, width:].any()
    assert torch.equal(after["class_tokens.weight"][:-1], before["class_tokens.weight"])
    assert not differing(before, weights(bundled))
    assert (cells_before != cells.X).nnz == 0
    assert made.label_space.classes["planted"].leaves == ("one", "two")
    assert json.loads((tmp_path / "made" / "report.json").read_text())["after"] == scores["after"]
    assert (tmp_path / "made" / "adapter.safetensors").stat().st_size < 400_000
    again = finetune(bundled, cells, labels="planted", train="heads", **QUICK)
    assert not differing(after, weights(again))
    opened = load_adapter(tmp_path / "made", bundled)
    assert not differing(after, weights(opened))


@pytest.mark.slow
def test_lora_trains_what_it_should_and_is_kept_in_a_small_file(bundled, cells, tmp_path):
    base = weights(bundled)
    options = {"labels": ["planted", "cell_type"], "train": "lora", "rank": 4, **QUICK}
    cells = cells[(cells.obs["type"] != "unknown").to_numpy()].copy()
    made = finetune(bundled, cells, out=tmp_path / "made", **options)
    after = weights(made)
    old_head = {key for key in base if key.startswith("class_heads.cell_type.")}
    heads_there = {key for key in after if key.startswith("class_heads.cell_type.")}
    assert heads_there == {"class_heads.cell_type.out.weight", "class_heads.cell_type.out.bias"}  # of all tokens
    others = {f"class_heads.{name}.out.weight" for name in bundled.config.all_token_classes if name != "cell_type"}
    for name in others:  # one token longer, by zeros
        assert torch.equal(after[name][:, : base[name].shape[1]], base[name])
    changed = differing({key: base[key] for key in base.keys() - (old_head - heads_there) - others}, after)
    heads = {f"class_heads.cell_type.{name}" for name, _ in made.class_heads["cell_type"].named_parameters()}
    adapted = {f"blocks.{i}.attention.{name}.weight" for i in range(4) for name in ("qkv", "out")}
    assert heads | {"class_tokens.weight"} <= changed <= heads | adapted | {"class_tokens.weight"}
    row = 1 + list(made.config.class_sizes).index("cell_type")
    moved = (after["class_tokens.weight"][: len(base["class_tokens.weight"])] != base["class_tokens.weight"]).any(dim=1)
    assert moved.nonzero().flatten().tolist() in ([row], [])  # none where the first weights were the best
    assert made.card["finetuned"]["after"]["planted"]["accuracy"] > 0.85
    old = bundled.label_space.classes["cell_type"].leaves
    assert made.label_space.classes["cell_type"].leaves[: len(old)] == old
    assert made.card["finetuned"]["new_labels"]["planted"] == ["one", "two"]
    assert (tmp_path / "made" / "adapter.safetensors").stat().st_size < 400_000
    opened = load_adapter(tmp_path / "made", bundled)
    some = cells[:8].copy()
    one, other = (encode(m, some, context=64).embeddings for m in (made, opened))
    np.testing.assert_allclose(one, other, atol=1e-5)
    apart = finetune(bundled, cells, merge=False, **options)
    np.testing.assert_allclose(encode(apart, some, context=64).embeddings, one, atol=1e-5)


def test_all_weights_are_trained_and_saved_as_a_model(small_model, cells, tmp_path):
    made = finetune(
        small_model,
        cells,
        labels="type",
        train="all",
        denoising=1.0,
        learning_rate=3e-3,
        out=tmp_path / "made",
        **QUICK,
    )
    base, after = weights(small_model), weights(made)
    assert {"norm.weight", "gene_encoder.table.weight", "blocks.0.mlp.fc1.weight"} <= differing(base, after)
    opened = ScPrint.from_pretrained(tmp_path / "made")
    assert not differing(after, weights(opened))
    assert opened.card["finetuned"]["after"] == made.card["finetuned"]["after"]
    loss = made.card["finetuned"]["loss"]["network"]
    assert loss["train"][-1] < loss["train"][0]


@pytest.mark.slow
def test_a_planted_batch_effect_is_taken_away_and_cell_types_stay(bundled, retina):
    cells = planted(retina, n_cells=retina.n_obs)
    options = {"context": 64, "batch_size": 64, "epochs": 8, "patience": 8, "learning_rate": 3e-3, "denoising": 0.1}
    made = finetune(bundled, cells, batch_key="planted", held_out=0.3, seed=3, **options)
    before, after = (made.card["finetuned"][when]["batch_by_neighbours"] for when in ("before", "after"))
    assert before > 0.8
    assert after < before - 0.05  # 0.96 and 0.87: tokens are told the profile, which the adapter does not change
    told = made.card["finetuned"]["neighbours"]["batch"]
    rows = {row["method"]: row for row in told["held_out"]}
    assert (rows["before"]["accuracy"], rows["after"]["accuracy"]) == (pytest.approx(before), pytest.approx(after))
    assert 0.5 <= rows["commonest batch"]["accuracy"] < 0.6
    assert rows["principal components"]["accuracy"] > 0.8
    assert all(row["accuracy_low"] < row["accuracy"] < row["accuracy_high"] for row in told["held_out"])
    gap = next(row for row in told["differences"] if row["method"] == "before")
    assert gap["difference_high"] < 0
    types = torch.tensor(
        cells.obs["type"].where(cells.obs["type"] != "unknown").astype("category").cat.codes.to_numpy()
    )
    one, other = (
        neighbour_agreement(torch.tensor(encode(m, cells, context=64).embeddings).mean(dim=1), types.long())
        for m in (bundled, made)
    )
    assert other > one - 0.05


def test_new_genes_are_learned_and_old_rows_stay(small_model, cells, tmp_path):
    known = set(small_model.vocabulary.ids)
    ids = [gene for gene in cells.var_names if gene not in known][:5]
    ids += [f"NEW{i}" for i in range(5 - len(ids))]
    cells = cells.copy()
    names = cells.var_names.to_numpy().astype(object)
    top = np.argsort(-np.asarray(cells.X.sum(axis=0)).ravel())[:5]
    names[top] = ids
    cells.var_names = names.astype(str)
    added = GeneVocabulary(tuple(ids), tuple("" for _ in ids), ("NCBITaxon:9606",) * 5, np.arange(5, dtype=np.int32))
    added.save(tmp_path / "genes.parquet")
    made = finetune(
        small_model, cells, genes=tmp_path / "genes.parquet", out=tmp_path / "made", held_out_by="planted", **QUICK
    )
    n = len(small_model.vocabulary)
    table, old = made.gene_encoder.table.weight, small_model.gene_encoder.table.weight
    assert made.card["finetuned"]["new_genes"] == 5
    assert torch.equal(table[:n], old)
    opened = load_adapter(tmp_path / "made", small_model)
    assert torch.equal(opened.gene_encoder.table.weight, table)
    start = finetune(small_model, cells, genes=added, labels="type", train="heads", **QUICK)
    assert (start.gene_encoder.table.weight[n:] != table[n:]).any(dim=1).all()


def test_the_command_writes_a_folder_and_says_how_well_it_went(cells, tmp_path, capsys):
    cells[:80].copy().write_h5ad(tmp_path / "cells.h5ad")
    arguments = [
        "finetune",
        "--model",
        "bundled",
        "--data",
        str(tmp_path / "cells.h5ad"),
        "--out",
        str(tmp_path / "made"),
    ]
    arguments += ["--labels", "planted", "--train", "heads", "--context", "64", "--plot", str(tmp_path / "scores.png")]
    arguments += ["--held_out_by", "cell_type", "--held_out_groups", "retinal rod cell"]
    assert cli.main(arguments) == 0
    text = capsys.readouterr().out
    assert "planted: accuracy" in text
    assert f"({(cells.obs['cell_type'][:80] == 'retinal rod cell').sum()} cells)" in text
    assert "embedding + logistic regression" in text
    assert (tmp_path / "scores.png").stat().st_size > 5000
    assert json.loads((tmp_path / "scores.png.json").read_text())
    made = load_adapter(tmp_path / "made")  # the file names its base
    assert "planted" in made.config.class_sizes
    assert cli.main(arguments) == 2
    assert "is in use" in capsys.readouterr().err
    arguments[2] = str(tmp_path / "nothing")
    assert cli.main([*arguments[:6], str(tmp_path / "other"), *arguments[7:]]) == 2
    assert "there is no" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing to learn"),
        ({"labels": "plantd"}, "did you mean 'planted'"),
        ({"labels": "alone"}, r"one cell each of \['only'\]"),
        ({"batch_key": "constant"}, "batch_key='constant' has one value"),
        ({"batch_key": "plantd"}, r"batch_key='plantd'.*near ones are \['planted'"),
        ({"labels": "planted", "train": "heads", "batch_key": "planted"}, "train='heads' leaves the embeddings"),
        ({"train": "heads"}, "needs labels"),
        ({"labels": "planted", "train": "head"}, "is not one of"),
        ({"labels": "planted", "save": "both"}, "is not one of"),
        ({"labels": "planted", "epochs": 0}, "epochs = 0"),
        ({"labels": "planted", "gene_embeddings": "table.parquet"}, "are for new genes"),
        ({"labels": "planted", "held_out_by": "constant"}, "held_out_by has one value"),
        ({"labels": "planted", "held_out_groups": "d1"}, r"\['d1'\] are groups of a column: name it with held_out_by"),
        ({"labels": "planted", "held_out_by": "alone", "held_out_groups": ["d1"]}, r"there is no \['d1'\] among"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(small_model, cells, options, message):
    cells = cells[:40].copy()
    cells.obs["constant"] = "one"
    cells.obs["alone"] = ["only"] + ["others"] * 39
    with pytest.raises(ValueError, match=message):
        finetune(small_model, cells, **options)


def test_cells_of_unknown_genes_and_folders_in_use_are_refused(small_model, cells, tmp_path):
    strange = cells[:40].copy()
    strange.var_names = [f"ENSDARG{i:011d}" for i in range(strange.n_vars)]
    with pytest.raises(ValueError, match="0 of the data's"):
        finetune(small_model, {"fish": strange}, labels="planted")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is in use"):
        finetune(small_model, cells, labels="planted", out=tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no"):
        finetune(tmp_path / "no_model", cells, labels="planted")
