"""Networks from other sources than attention: against finite differences and cosines by hand."""

import copy

import numpy as np
import pytest
import torch

from scprint_model import ScPrintMethod, infer
from scprint_model.genes import shared_genes
from scprint_model.networks import estimate
from scprint_model.networks.source import MeanJacobian


@pytest.fixture(scope="module")
def lively_model(small_model):
    """The small model with weights so large that counts matter."""
    torch.manual_seed(1)
    model = copy.deepcopy(small_model)
    for part in (model.blocks, model.expression_decoder):
        for weight in part.parameters():
            if weight.ndim > 1:
                torch.nn.init.normal_(weight, std=0.3)
    return model


@pytest.fixture(scope="module")
def genes(small_model, retina):
    known = retina[:, shared_genes(small_model.vocabulary, retina)]
    return known.var_names[np.argsort(-np.asarray(known.X.sum(axis=0)).ravel())[1000:1040]].tolist()


def test_derivatives_are_those_of_finite_differences(lively_model, retina, genes):
    cells, regulators = retina[:6], [genes[i] for i in (0, 3, 39)]
    network = infer(lively_model, cells, genes=genes, source="jacobian", regulators=regulators)
    order = network.var_names.tolist()
    index = torch.from_numpy(lively_model.vocabulary.index(order))[None].expand(6, -1)
    counts = torch.from_numpy(cells[:, order].X.toarray()).double()
    totals = torch.from_numpy(cells.obs["total_counts"].to_numpy(np.float64, copy=True))
    model = copy.deepcopy(lively_model).double()
    exact = MeanJacobian(len(order), np.isin(order, regulators))
    exact.add(model, index, counts, totals)
    derivatives = next(exact.rows())[1].numpy().T
    with torch.inference_mode():
        for name in regulators:
            at, h = order.index(name), 2.0**-8  # exact beside counts; their logarithms are float32
            step = torch.nn.functional.one_hot(torch.tensor(at), len(order)) * h
            before, now, once, twice = (
                model(
                    index, (counts + n * step).clamp(min=0), totals, expected_total=torch.ones(6), classes=()
                ).mean.log()
                for n in (-1, 0, 1, 2)
            )
            # no count is below 0: there to one side, of second order
            expressed = counts[:, [at]] > 0
            slope = torch.where(expressed, once - before, 4 * once - 3 * now - twice) / (2 * h)
            expected = slope.mean(dim=0).numpy()
            expected[at] = 0
            assert np.abs(expected).max() > 1e-6  # far above the noise of float32
            size = np.linalg.norm(expected)
            assert np.linalg.norm(np.delete(derivatives[at] - expected, at)) < 1e-3 * size
            assert np.linalg.norm(network.grn[at] - expected) < 1e-2 * size  # in float32
    assert (counts == 0).any()  # also there, where a clamp would have no derivative
    others = [i for i, name in enumerate(order) if name not in regulators]
    assert (network.grn[others] == 0).all()
    assert network.uns["grn"]["method"] == "scPRINT, derivatives of predictions"
    assert "log mean" in network.uns["grn"]["normalisation"]


def test_chunks_and_batches_of_derivatives_change_nothing(lively_model, retina, genes, monkeypatch):
    cells = retina[:5]
    one = infer(lively_model, cells, genes=genes, source="jacobian", batch_size=5, regulators=genes[:7])
    monkeypatch.setattr("scprint_model.networks.source.CHUNK_ENTRIES", 1)
    some = infer(lively_model, cells, genes=genes, source="jacobian", regulators=genes[:7])
    np.testing.assert_allclose(one.grn, some.grn, rtol=1e-3, atol=1e-6)
    strongest = infer(lively_model, cells, genes=genes, source="jacobian", regulators=genes[:7], top_k=2)
    assert (strongest.grn.toarray() != 0).sum(axis=0).max() == 2
    assert strongest.grn.toarray().min() < 0  # by size, and with their signs


def test_parts_of_derivatives_add_up(lively_model, retina, genes):
    index = torch.from_numpy(lively_model.vocabulary.index(genes))[None]
    counts = torch.from_numpy(retina[:4, genes].X.toarray())
    totals = torch.from_numpy(retina.obs["total_counts"].to_numpy(np.float32, copy=True)[:4])
    allowed = np.arange(40) < 2
    whole, first, second = (MeanJacobian(40, allowed) for _ in range(3))
    whole.add(lively_model, index.expand(4, -1), counts, totals)
    first.add(lively_model, index.expand(1, -1), counts[:1], totals[:1])
    second.add(lively_model, index.expand(3, -1), counts[1:], totals[1:])
    first.merge(second)
    np.testing.assert_allclose(next(first.rows())[1], next(whole.rows())[1], rtol=1e-3, atol=1e-6)


def test_gene_embeddings_do_not_look_at_the_cells(lively_model, retina, genes):
    one = infer(lively_model, retina[:5], genes=genes, source="gene_embedding")
    other = infer(lively_model, retina[50:90], genes=genes, source="gene_embedding")
    np.testing.assert_array_equal(one.grn, other.grn)
    vectors = lively_model.gene_encoder.table.weight[lively_model.vocabulary.index(one.var_names.tolist())]
    vectors = vectors.detach().numpy()
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = vectors @ vectors.T
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(one.grn, expected, atol=1e-6)
    assert "no cell was looked at" in one.uns["grn"]["normalisation"]
    assert not {"context", "attention_axes", "heads"} & set(one.uns["grn"]["parameters"])
    assert estimate(lively_model, retina[:9], genes=genes, source="gene_embedding").n_passes == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "weights"}, "'weights' is not one of"),
        ({"source": "jacobian", "heads": "max"}, "no use for heads='max'"),
        ({"source": "jacobian", "context": 10}, "no use for context=10"),
        ({"source": "gene_embedding", "attention": "mean_attention"}, "is of attention"),
        ({"source": "gene_embedding", "groupby": "cell_type"}, "compares cells, which it does not look at"),
    ],
)
def test_options_of_another_source_are_refused(lively_model, retina, genes, options, message):
    with pytest.raises(ValueError, match=message):
        infer(lively_model, retina[:5], genes=genes, **options)


def test_each_source_is_a_method_with_its_own_name():
    assert ScPrintMethod().name == "scPRINT"
    assert ScPrintMethod(source="gene_embedding").name == "scPRINT, embeddings of genes"
    with pytest.raises(ValueError, match="'weights' is not one of"):
        ScPrintMethod(source="weights")
