"""Embeddings: tokens, logits, and cells that stay in their file."""

import logging
from itertools import pairwise

import anndata
import numpy as np
import pytest
import torch
from anndata._core.sparse_dataset import BaseCompressedSparseDataset

from scdataloader import LabelSpace
from scdataloader.labels import LabelClass
from scprint_model import ModelConfig, ScPrint
from scprint_model.parts import parts
from scprint_model.tasks import annotate, embed, encode
from scprint_model.tasks.files import open_cells


@pytest.fixture(scope="module")
def two_classes(small_model):
    """An untrained model of two classes, one named as published checkpoints name it."""
    labels = LabelSpace(
        {
            "cell_type_ontology_term_id": small_model.label_space.classes["cell_type"],
            "sex": LabelClass.from_terms(["PATO:0000383", "PATO:0000384"], ("PATO:0001894",)),
        }
    )
    torch.manual_seed(1)
    config = ModelConfig(
        n_genes=len(small_model.vocabulary), d_model=16, n_layers=1, n_heads=2, class_sizes=labels.sizes, dropout=0.0
    )
    model = ScPrint(config, gene_positions=torch.tensor(small_model.vocabulary.locations)).eval()
    torch.nn.init.normal_(model.gene_encoder.table.weight)
    model.vocabulary, model.label_space = small_model.vocabulary, labels
    return model


@pytest.fixture
def ran(two_classes):
    """Names of the heads that ran, a word a call."""
    calls = []
    hooks = [
        head.register_forward_hook(lambda *_, name=name: calls.append(name))
        for name, head in two_classes.class_heads.items()
    ]
    yield calls
    for hook in hooks:
        hook.remove()


@pytest.fixture
def few(retina):
    return retina[:12].copy()


@pytest.fixture
def small_parts(monkeypatch):
    """Seven cells a part."""
    monkeypatch.setattr(parts, "__defaults__", (7,))


def test_no_head_runs_that_nobody_asked_for(two_classes, few, ran):
    embed(two_classes, few, context=60, batch_size=12)
    embed(two_classes, few, token="sex", context=60, batch_size=12)
    assert ran == []
    embed(two_classes, few, logits="sex", context=60, batch_size=12)
    assert ran == ["sex"]
    annotate(two_classes, few, classes=["cell_type"], context=60, batch_size=12)
    assert ran == ["sex", "cell_type_ontology_term_id"]
    annotate(two_classes, few, context=60, batch_size=12)
    assert ran[2:] == ["cell_type_ontology_term_id", "sex"]


def test_the_network_computes_the_classes_asked_for(two_classes):
    genes = torch.arange(8)[None]
    inputs = genes, torch.ones(1, 8), torch.tensor([8.0])
    with torch.inference_mode():
        every = two_classes(*inputs)
        assert list(every.class_logits) == ["cell_type_ontology_term_id", "sex"]
        for run in (two_classes, two_classes.encode):
            one = run(*inputs, classes=["sex"]).class_logits
            assert list(one) == ["sex"]
            torch.testing.assert_close(one["sex"], every.class_logits["sex"])
            assert run(*inputs, classes=()).class_logits == {}
        generated = two_classes.generate(genes, every.cell_embeddings, inputs[2], classes=())
        assert generated.class_logits == {}
        with pytest.raises(ValueError, match=r"classes \['age'\] are not of the model, which has \['cell_type_onto"):
            two_classes.encode(*inputs, classes=["age"])


def test_logits_are_an_embedding(two_classes, few):
    encoded = encode(two_classes, few, context=60)
    result = embed(two_classes, few, logits="cell_type", key="X_logits", context=60)
    np.testing.assert_array_equal(result, encoded.class_logits["cell_type_ontology_term_id"])
    assert few.obsm["X_logits"] is result
    with pytest.raises(ValueError, match="token='base' and logits='sex' are two embeddings"):
        embed(two_classes, few, token="base", logits="sex")
    with pytest.raises(ValueError, match=r"classes \['age'\] are not of the model, which has \['cell_type', 'sex'\]"):
        embed(two_classes, few, logits="age")


def test_all_tokens_are_entries_of_their_own(two_classes, few):
    encoded = encode(two_classes, few, context=60)
    result = embed(two_classes, few, token="all", key="X", context=60)
    np.testing.assert_array_equal(result, encoded.embeddings)
    assert set(few.obsm) == {"X_base", "X_depth", "X_cell_type", "X_sex"}
    for i, name in enumerate(["base", "depth", "cell_type", "sex"]):
        np.testing.assert_array_equal(few.obsm[f"X_{name}"], encoded.embeddings[:, i])
        np.testing.assert_array_equal(embed(two_classes, few, token=name, encoded=encoded), encoded.embeddings[:, i])


@pytest.mark.parametrize("form", ["csr", "csc", "dense"])
def test_a_file_gives_what_memory_gives_a_part_at_a_time(two_classes, few, tmp_path, monkeypatch, small_parts, form):
    few.X = few.X.toarray() if form == "dense" else few.X.asformat(form)
    few.write_h5ad(tmp_path / "cells.h5ad")
    expected = encode(two_classes, few, context=60, batch_size=3)
    backed = open_cells(tmp_path / "cells.h5ad")
    read = []
    take = BaseCompressedSparseDataset.__getitem__

    def spy(self, index):
        found = take(self, index)
        read.append(found.shape[0])
        return found

    def refuse(self):
        raise AssertionError("the whole matrix was read")

    monkeypatch.setattr(BaseCompressedSparseDataset, "__getitem__", spy)
    monkeypatch.setattr(BaseCompressedSparseDataset, "to_memory", refuse)
    found = encode(two_classes, backed, context=60, batch_size=3)
    np.testing.assert_array_equal(found.embeddings, expected.embeddings)
    for name, logits in expected.class_logits.items():
        np.testing.assert_array_equal(found.class_logits[name], logits)
    # the checksum of the record reads blocks of its own
    assert set(read) - {12} == ({7, 5} if form == "csr" else set())
    mean = embed(two_classes, backed, context=60, batch_size=3)
    np.testing.assert_array_equal(mean, embed(two_classes, few, context=60, batch_size=3))
    in_file = annotate(two_classes, backed, context=60, batch_size=3, top_k=2)
    assert in_file.equals(annotate(two_classes, few, context=60, batch_size=3, top_k=2))


def test_anndatas_own_backed_mode_does_too(two_classes, few, tmp_path, small_parts):
    few.write_h5ad(tmp_path / "cells.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    found = embed(two_classes, backed, context=60, batch_size=3)
    np.testing.assert_array_equal(found, embed(two_classes, few, context=60, batch_size=3))
    assert annotate(two_classes, backed, context=60).equals(annotate(two_classes, few, context=60))
    assert backed.isbacked


def test_a_cell_without_known_counts_changes_no_other(two_classes, few, caplog):
    clean = encode(two_classes, few, context=60)
    assert not clean.empty.any()
    unknown = few.var_names[two_classes.vocabulary.index(few.var_names) < 0][0]
    dense = few.X.toarray()
    dense[[2, 9]] = 0
    dense[9, few.var_names.get_loc(unknown)] = 30  # counts, but of no gene that the model knows
    few.X = dense
    few.obs.loc[few.obs_names[[2, 9]], "total_counts"] = [0, 30]
    seen = ~np.isin(np.arange(12), [2, 9])
    with caplog.at_level(logging.WARNING):
        found = encode(two_classes, few, context=60)
    assert "2 of 12 cells have no count of a gene that the model knows" in caplog.text
    assert np.flatnonzero(found.empty).tolist() == [2, 9]
    assert np.isfinite(found.embeddings).all()
    assert np.isfinite(embed(two_classes, few, context=60)).all()
    np.testing.assert_allclose(found.embeddings[seen], clean.embeddings[seen], atol=1e-5)
    predicted = annotate(two_classes, few, context=60, top_k=2, probabilities=True)
    for column in predicted.filter(regex="^predicted_(cell_type|sex)(_2)?$"):
        assert (predicted[column].astype(str) == "unknown").tolist() == (~seen).tolist()
        assert predicted[f"{column}_ontology_term_id"].astype(str).iloc[2] == "unknown"
        assert (predicted[f"{column}_confidence"] > 0).tolist() == seen.tolist()
    assert (few.obsm["predicted_sex"].sum(axis=1) > 0).tolist() == seen.tolist()


def test_what_was_encoded_must_fit(two_classes, few):
    encoded = encode(two_classes, few, context=60, classes=["sex"])
    assert list(encoded.class_logits) == ["sex"]
    with pytest.raises(ValueError, match="encoded is of 12 cells, but the data have 11"):
        embed(two_classes, few[:11].copy(), encoded=encoded)
    with pytest.raises(ValueError, match=r"encoded has no logits of \['cell_type_ontology_term_id'\]: run encode"):
        annotate(two_classes, few, encoded=encoded)
    assert annotate(two_classes, few, classes="sex", encoded=encoded).shape == (12, 3)


@pytest.mark.parametrize("setting", [{"context": 0}, {"batch_size": 0}, {"context": -5}])
def test_sizes_are_positive(two_classes, few, setting):
    ((name, value),) = setting.items()
    with pytest.raises(ValueError, match=f"{name}={value} must be positive"):
        embed(two_classes, few, **setting)


def test_parts_do_not_change_which_genes_are_shown(two_classes, retina, small_parts, monkeypatch):
    cells = retina[:30].copy()
    found = [encode(two_classes, cells, context=60, batch_size=4, seed=3).embeddings]
    for size in (30, 11):
        monkeypatch.setattr(parts, "__defaults__", (size,))
        found.append(encode(two_classes, cells, context=60, batch_size=5, seed=3).embeddings)
    for one, other in pairwise(found):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_mean_of_some_tokens(two_classes, few, monkeypatch):
    every = embed(two_classes, few, token="all", context=60)
    names = ["base", "depth", "cell_type", "sex"]
    assert [name.removesuffix("_ontology_term_id") for name in two_classes.token_names] == names
    for asked, places in (
        (["sex"], [3]),
        (["cell_type", "base"], [0, 2]),
        (["cell_type_ontology_term_id", "sex"], [2, 3]),
        (names, [0, 1, 2, 3]),
    ):
        found = embed(two_classes, few, token=asked, context=60, key="X")
        np.testing.assert_allclose(found, every[:, places].mean(axis=1), atol=1e-6)
        np.testing.assert_array_equal(few.obsm["X"], found)
    with pytest.raises(ValueError, match="this model's card does not have: name the tokens"):
        embed(two_classes, few, token="published", context=60)
    for kept, places in ((["sex"], [3]), ([], [2, 3])):
        monkeypatch.setattr(two_classes, "card", {"options": {"pred_embedding": kept}})
        found = embed(two_classes, few, token="published", context=60)
        np.testing.assert_allclose(found, every[:, places].mean(axis=1), atol=1e-6)
    for bad, message in (
        (["sex", "age"], "token='age' is not one of 'mean', 'all', 'base', .*'published'"),
        ([], "token=.. must name tokens, each once"),
        (["sex", "sex"], "must name tokens, each once"),
    ):
        with pytest.raises(ValueError, match=message):
            embed(two_classes, few, token=bad, context=60)
