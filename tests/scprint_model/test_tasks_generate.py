"""Counts from embeddings, and embeddings mixed from several cells."""

import dataclasses

import anndata
import numpy as np
import pytest
import torch

from scprint_model.tasks import encode, generate, mix
from scprint_model.tasks.generate import find_genes


@pytest.fixture(scope="module")
def few(retina):
    return retina[:8].copy()


@pytest.fixture(scope="module")
def encoded(small_model, few):
    return encode(small_model, few, context=40, classes=())


@pytest.fixture(scope="module")
def genes(small_model):
    return [small_model.vocabulary.ids[i] for i in (900, 3, 77, 4000, 12)]


def test_generation_equals_the_network(small_model, encoded, genes):
    totals = np.arange(1, 9) * 100.0
    found = generate(small_model, encoded, genes=genes, total_counts=totals, batch_size=3)
    index = torch.tensor([900, 3, 77, 4000, 12]).expand(8, -1)
    with torch.inference_mode():
        output = small_model.generate(
            index, torch.from_numpy(encoded.embeddings), torch.from_numpy(totals.astype(np.float32))
        )
    np.testing.assert_allclose(found.X, output.mean * torch.sigmoid(-output.zero_logits), rtol=1e-5)
    np.testing.assert_allclose(output.mean.sum(dim=1), totals, rtol=1e-5)
    assert found.var_names.tolist() == genes
    assert found.var["symbol"].tolist() == [small_model.vocabulary.symbols[i] for i in (900, 3, 77, 4000, 12)]
    by_symbol = generate(small_model, encoded, genes=found.var["symbol"].tolist(), total_counts=totals)
    np.testing.assert_allclose(by_symbol.X, found.X, rtol=1e-5)


def test_a_mixture_takes_a_token_of_others(small_model, encoded, genes):
    others = dataclasses.replace(encoded, embeddings=encoded.embeddings[4:], empty=encoded.empty[4:])
    mixed = mix(encoded, {"cell_type": others})
    place = encoded.token_names.index("cell_type")
    np.testing.assert_allclose(mixed.embeddings[:, place], np.tile(others.embeddings[:, place].mean(axis=0), (8, 1)))
    kept = [i for i in range(len(encoded.token_names)) if i != place]
    np.testing.assert_array_equal(mixed.embeddings[:, kept], encoded.embeddings[:, kept])
    own = mix(encoded, {"cell_type": encoded.embeddings[:, place], "depth": encoded.embeddings[:, 1]})
    np.testing.assert_array_equal(own.embeddings, encoded.embeddings)
    one, two = (generate(small_model, cells, genes=genes, total_counts=50).X for cells in (encoded, mixed))
    assert not np.allclose(one, two)


def test_a_file_holds_the_same_draws(small_model, encoded, genes, tmp_path):
    options = {"genes": genes, "total_counts": 200, "sample": True, "seed": 3, "names": list("abcdefgh")}
    memory = generate(small_model, encoded, **options)
    generate(small_model, encoded, out=tmp_path / "out.h5ad", **options)
    whole = anndata.read_h5ad(tmp_path / "out.h5ad")
    np.testing.assert_array_equal(whole.X, memory.X)
    assert whole.obs_names.tolist() == list("abcdefgh")


def test_unusable_input(small_model, encoded, genes):
    vocabulary = small_model.vocabulary
    with pytest.raises(ValueError, match=r"1 of 2 genes are not known to the model, such as \['nothing'\]"):
        generate(small_model, encoded, genes=[genes[0], "nothing"], total_counts=1)
    with pytest.raises(ValueError, match="1 of the 2 genes are named twice"):
        find_genes(vocabulary, [vocabulary.ids[5], vocabulary.symbols[5]])
    twice = next(s for s in vocabulary.symbols if vocabulary.symbols.count(s) > 1)
    with pytest.raises(ValueError, match="name the gene by its id"):
        find_genes(vocabulary, [twice])
    with pytest.raises(ValueError, match="one for each of the 8 cells; it has the shape"):
        generate(small_model, encoded, genes=genes, total_counts=np.ones(3))
    with pytest.raises(ValueError, match="there is no token 'tissue': the cells have"):
        mix(encoded, {"tissue": encoded})
    with pytest.raises(ValueError, match=r"'cell_type' has the shape \(3,\)"):
        mix(encoded, {"cell_type": np.zeros(3)})
