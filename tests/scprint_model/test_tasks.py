"""Embedding, labels, denoising and their bad input."""

import numpy as np
import pytest
import torch

from grnndata import tl
from scdataloader import LabelSpace
from scprint_model import infer
from scprint_model.genes import shared_genes
from scprint_model.tasks import annotate, denoise, embed, encode, generate, impute, perturb


@pytest.fixture
def few(retina):
    return retina[:12].copy()


def test_encoding_equals_the_network_on_the_most_expressed_genes(small_model, few):
    few.X.data = np.random.default_rng(0).permutation(few.X.nnz).astype(np.float32) + 1  # no ties: one possible choice
    encoded = encode(small_model, few, context=50, batch_size=5)
    known = shared_genes(small_model.vocabulary, few)
    counts = torch.from_numpy(few.X[:, known].toarray())
    top = counts.argsort(dim=1, descending=True)[:, :50]
    index = torch.from_numpy(small_model.vocabulary.index(few.var_names[known]))
    total = torch.from_numpy(few.obs["total_counts"].to_numpy(np.float32))
    with torch.inference_mode():
        direct = small_model(index[top], counts.gather(1, top), total)
    np.testing.assert_allclose(encoded.embeddings, direct.cell_embeddings, atol=1e-5)
    np.testing.assert_allclose(encoded.class_logits["cell_type"], direct.class_logits["cell_type"], atol=1e-5)
    assert encoded.token_names == ("base", "depth", "cell_type")


def test_the_training_context_is_the_default(small_model, few, monkeypatch):
    monkeypatch.setattr(small_model, "context", 60)
    default = encode(small_model, few).embeddings
    np.testing.assert_array_equal(default, encode(small_model, few, context=60).embeddings)
    assert not np.allclose(default, encode(small_model, few, context=90).embeddings)


def test_batch_size_and_other_cells_change_nothing(small_model, few):
    one = encode(small_model, few, context=60, batch_size=5)
    other = encode(small_model, few, context=60, batch_size=12)
    np.testing.assert_allclose(one.embeddings, other.embeddings, atol=1e-5)
    again = encode(small_model, few, context=60, seed=1)
    assert not np.allclose(one.embeddings, again.embeddings, atol=1e-4)  # another seed breaks ties another way


def test_embed_writes_tokens_or_their_mean(small_model, few):
    encoded = encode(small_model, few, context=60)
    mean = embed(small_model, few, encoded=encoded)
    np.testing.assert_allclose(few.obsm["X_scprint"], encoded.embeddings.mean(axis=1))
    assert mean.shape == (12, 16)
    token = embed(small_model, few, token="cell_type", key="X_type", encoded=encoded)
    np.testing.assert_array_equal(few.obsm["X_type"], encoded.embeddings[:, 2])
    assert not np.allclose(token, mean)
    with pytest.raises(ValueError, match="token='tissue' is not one of 'mean', 'all', 'base', 'depth', 'cell_type'"):
        embed(small_model, few, token="tissue", encoded=encoded)


def test_annotate_names_the_best_leaf(small_model, few):
    encoded = encode(small_model, few, context=60)
    predicted = annotate(small_model, few, encoded=encoded)
    labels = small_model.label_space.classes["cell_type"]
    best = encoded.class_logits["cell_type"].argmax(axis=1)
    assert few.obs["predicted_cell_type_ontology_term_id"].tolist() == [labels.leaves[i] for i in best]
    assert few.obs["predicted_cell_type"].tolist() == [labels.names[labels.leaves[i]] for i in best]
    top = encoded.class_logits["cell_type"].max(axis=1)
    np.testing.assert_allclose(
        few.obs["predicted_cell_type_confidence"], torch.sigmoid(torch.from_numpy(top)), rtol=1e-6
    )
    assert predicted.columns.tolist() == [c for c in few.obs if c.startswith("predicted_")]


def test_denoise_gives_expected_counts_of_the_chosen_genes(small_model, few):
    genes = tl.most_variable_genes(few[:, shared_genes(small_model.vocabulary, few)], 40).tolist()
    shuffled = genes[::-1]
    result = denoise(small_model, few, genes=shuffled, depth_multiplier=3.0, batch_size=5)
    assert result.var_names.tolist() == genes  # in the order of the data
    assert (result.layers["counts"] != few[:, genes].X).nnz == 0
    index = torch.from_numpy(small_model.vocabulary.index(genes))[None].expand(12, -1)
    with torch.inference_mode():
        output = small_model(
            index,
            torch.from_numpy(few[:, genes].X.toarray()),
            torch.from_numpy(few.obs["total_counts"].to_numpy(np.float32)),
            depth_multiplier=3.0,
        )
    expected = output.mean * torch.sigmoid(-output.zero_logits)
    np.testing.assert_allclose(result.X, expected, rtol=1e-4)
    np.testing.assert_allclose(output.mean.sum(dim=1), 3 * np.asarray(few[:, genes].X.sum(axis=1)).ravel(), rtol=1e-4)
    with pytest.raises(ValueError, match=r"1 of 2 genes are not in the data or not known.*\['nothing'\]"):
        denoise(small_model, few, genes=[genes[0], "nothing"])
    with pytest.raises(ValueError, match="depth_multiplier=0 must be positive"):
        denoise(small_model, few, depth_multiplier=0)


def test_denoise_takes_all_known_genes_by_default(small_model, few):
    known = few.var_names[shared_genes(small_model.vocabulary, few)][:80]
    panel = few[:, known.append(few.var_names[few.var["biotype"] == "lncRNA"][:5])].copy()
    result = denoise(small_model, panel)
    assert set(result.var_names) == set(known)
    assert result.n_obs == 12


@pytest.mark.parametrize("task", [encode, denoise])
def test_unusable_data_are_refused_before_work(small_model, retina, task):
    normalised = retina[:5].copy()
    normalised.X = normalised.X.log1p()
    with pytest.raises(ValueError, match="not raw counts"):
        task(small_model, normalised)
    foreign = retina[:5].copy()
    foreign.var_names = [f"gene {i}" for i in range(foreign.n_vars)]
    foreign.var = foreign.var.drop(columns="symbol")
    with pytest.raises(ValueError, match=r"0 of the data's .* genes are among the model's .*Preprocessor first"):
        task(small_model, foreign)
    with pytest.raises(ValueError, match="0 cells"):
        task(small_model, retina[:0].copy())


def test_a_model_without_tables_says_so(small_model, few):
    from scprint_model import ScPrint

    bare = ScPrint(small_model.config, gene_positions=torch.tensor(small_model.vocabulary.locations))
    with pytest.raises(ValueError, match="no vocabulary or label space"):
        encode(bare, few)
    assert isinstance(small_model.label_space, LabelSpace)


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_has_cells(small_model, few, tmp_path, size):
    some = few.var_names[shared_genes(small_model.vocabulary, few)][:60].tolist()
    new = sorted(set(small_model.vocabulary.ids) - set(few.var_names))[:2]
    encoded = encode(small_model, few, context=60)
    out = {"batch_size": size, "out": tmp_path / "out.h5ad"}
    for work in (
        lambda: encode(small_model, few, batch_size=size),
        lambda: denoise(small_model, few, genes=some, **out),
        lambda: impute(small_model, few, genes=new, **out),
        lambda: generate(small_model, encoded, genes=some, total_counts=100, **out),
        lambda: perturb(small_model, few, genes=some[:1], panel=some, n_edges=0, batch_size=size),
    ):
        with pytest.raises(ValueError, match=f"batch_size={size} must be positive"):
            work()
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_genes_are_not_named_by_names_that_repeat(small_model, few):
    few = few[:, shared_genes(small_model.vocabulary, few)].copy()
    few.var["gene_ids"] = few.var_names
    few.var_names = ["local 0", "local 0", *(f"local {i}" for i in range(1, few.n_vars - 1))]
    for work in (
        lambda: denoise(small_model, few, genes=["local 1"]),
        lambda: perturb(small_model, few, genes=["local 1"]),
        lambda: infer(small_model, few),
        lambda: infer(small_model, few, genes=["local 1", "local 2"]),
    ):
        with pytest.raises(ValueError, match=r"names of genes repeat in the data, such as \['local 0'\]"):
            work()
    few.var_names_make_unique()
    assert denoise(small_model, few, genes=["local 1"]).var_names.tolist() == ["local 1"]
