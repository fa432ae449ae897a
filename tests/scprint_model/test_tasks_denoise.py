"""Depths, draws, uncertainty and files of denoising; and that it brings real cells nearer to the truth."""

import anndata
import numpy as np
import pytest
import torch
from scipy import stats

from grnndata import tl
from scdataloader import datasets
from scprint_model import ModelConfig, ScPrint
from scprint_model.genes import shared_genes
from scprint_model.metrics import denoising_scores
from scprint_model.noise import downsample
from scprint_model.tasks import denoise
from scprint_model.tasks.files import open_cells
from scprint_model.tasks.predicted import DEVIATION, CountDistribution


@pytest.fixture(scope="module")
def few(retina):
    return retina[:10].copy()


@pytest.fixture(scope="module")
def genes(small_model, few):
    return tl.most_variable_genes(few[:, shared_genes(small_model.vocabulary, few)], 30).tolist()


def direct(model, few, genes, multiplier):
    index = torch.from_numpy(model.vocabulary.index(genes))[None].expand(few.n_obs, -1)
    totals = torch.from_numpy(few.obs["total_counts"].to_numpy(np.float32))
    with torch.inference_mode():
        return model(index, torch.from_numpy(few[:, genes].X.toarray()), totals, depth_multiplier=multiplier(totals))


def test_a_target_depth_is_reached_by_each_cell(small_model, few, genes):
    result = denoise(small_model, few, genes=genes, target_depth=5000, batch_size=3)
    output = direct(small_model, few, genes, lambda totals: 5000 / totals)
    np.testing.assert_allclose(result.X, output.mean * torch.sigmoid(-output.zero_logits), rtol=1e-4)
    share = np.asarray(few[:, genes].X.sum(axis=1)).ravel() / few.obs["total_counts"].to_numpy()
    np.testing.assert_allclose(output.mean.sum(dim=1), 5000 * share, rtol=1e-4)
    assert result.uns["denoised"]["target_depth"] == 5000


def test_draws_follow_the_predicted_distribution(small_model, few, genes):
    # cells that differ in nothing but a gene which is not looked at: each has draws of its own
    counts = few.X[[0] * 3000].tolil()
    counts[:, few.var_names.get_loc(genes[20])] = np.arange(3000)[:, None]
    one = anndata.AnnData(counts.tocsr(), var=few.var)
    one.obs["total_counts"] = few.obs["total_counts"].iloc[0]
    drawn = denoise(small_model, one, genes=genes[:12], sample=True, batch_size=500, seed=4)
    expected = denoise(small_model, one[:2], genes=genes[:12], uncertainty=True)
    mean, deviation = expected.X[0], expected.layers[DEVIATION][0]
    np.testing.assert_array_equal(drawn.X, np.floor(drawn.X))
    np.testing.assert_allclose(drawn.X.mean(axis=0), mean, atol=5 * (deviation / np.sqrt(3000)).max() + 1e-3)
    np.testing.assert_allclose(drawn.X.std(axis=0), deviation, rtol=0.2)
    again = denoise(small_model, one[:20], genes=genes[:12], sample=True, batch_size=7, seed=4)
    np.testing.assert_array_equal(again.X, drawn.X[:20])  # a cell's draw depends on no other cell
    other = denoise(small_model, one[:20], genes=genes[:12], sample=True, seed=5)
    assert (other.X != again.X).any()


def test_the_distribution_equals_scipys():
    found = CountDistribution(np.array([[3.0, 0.5]]), np.array([[2.0, 5.0]]), np.array([[0.25, 0.0]]))
    for place, (mean, theta, extra) in enumerate([(3.0, 2.0, 0.25), (0.5, 5.0, 0.0)]):
        plain = stats.nbinom(theta, theta / (theta + mean))
        x = np.arange(400)
        weights = (1 - extra) * plain.pmf(x)
        weights[0] += extra
        assert found.expected[0, place] == pytest.approx((weights * x).sum(), rel=1e-5)
        variance = (weights * x**2).sum() - (weights * x).sum() ** 2
        assert found.standard_deviation[0, place] == pytest.approx(np.sqrt(variance), rel=1e-5)


def test_a_file_holds_the_same(small_model, few, genes, tmp_path, monkeypatch):
    few.write_h5ad(tmp_path / "cells.h5ad")
    before = (tmp_path / "cells.h5ad").read_bytes()
    memory = denoise(small_model, few, genes=genes, uncertainty=True, batch_size=4)
    result = denoise(
        small_model, open_cells(tmp_path / "cells.h5ad"), genes=genes, uncertainty=True, batch_size=4,
        out=tmp_path / "out.h5ad",
    )  # fmt: skip
    assert result.shape == memory.shape
    whole = anndata.read_h5ad(tmp_path / "out.h5ad")
    np.testing.assert_array_equal(whole.X, memory.X)
    np.testing.assert_array_equal(whole.layers[DEVIATION], memory.layers[DEVIATION])
    np.testing.assert_array_equal(whole.layers["counts"].toarray(), few[:, genes].X.toarray())
    assert whole.var_names.tolist() == genes
    assert whole.obs.equals(memory.obs)
    assert (tmp_path / "cells.h5ad").read_bytes() == before

    kept, block, done = (tmp_path / "out.h5ad").read_bytes(), CountDistribution.block, []

    def fail_in_the_second_batch(self, *args, **kwargs):
        done.append(1)
        if len(done) == 2:
            raise OSError("no space left on device")
        return block(self, *args, **kwargs)

    monkeypatch.setattr(CountDistribution, "block", fail_in_the_second_batch)
    with pytest.raises(OSError, match="no space"):
        denoise(small_model, few, genes=genes, batch_size=4, out=tmp_path / "out.h5ad")
    assert (tmp_path / "out.h5ad").read_bytes() == kept
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells.h5ad", "out.h5ad"]


def test_unusable_options(small_model, few, genes):
    with pytest.raises(ValueError, match=r"depth_multiplier=2 and target_depth=10.* both set the depth"):
        denoise(small_model, few, depth_multiplier=2, target_depth=10)
    with pytest.raises(ValueError, match="target_depth=-1 must be positive"):
        denoise(small_model, few, target_depth=-1)
    labels, vocabulary = small_model.label_space, small_model.vocabulary
    config = ModelConfig(
        n_genes=len(vocabulary), d_model=16, n_layers=1, n_heads=2, class_sizes=labels.sizes, likelihood="mse"
    )
    bare = ScPrint(config, gene_positions=torch.tensor(vocabulary.locations)).eval()
    bare.vocabulary, bare.label_space = vocabulary, labels
    with pytest.raises(ValueError, match="the model's likelihood is 'mse'"):
        denoise(bare, few, genes=genes, sample=True)
    assert (denoise(bare, few, genes=genes).X >= 0).all()


def test_more_genes_than_in_training_are_told(small_model, few, genes, monkeypatch, caplog):
    monkeypatch.setattr(small_model, "context", 20)
    denoise(small_model, few, genes=genes)
    assert "at most 20 genes of a cell in training, here it sees 30" in caplog.text


def test_real_cells_come_nearer_to_their_counts():
    """The paper's measure and noise, on cells that the bundled model was not trained on."""
    model, cells = ScPrint.from_pretrained(), datasets.retina_1k()[::20].copy()
    known = cells[:, shared_genes(model.vocabulary, cells)]
    genes = tl.most_variable_genes(known, 380).tolist()
    full = cells[:, genes].X.toarray()
    poor = cells.copy()
    drawn = downsample(torch.from_numpy(poor.X.data), 0.6, generator=torch.Generator().manual_seed(0))
    poor.X.data = drawn.numpy()
    poor.X.eliminate_zeros()
    found = denoise(model, poor, genes=genes, depth_multiplier=(1 - 0.55 * 0.6) ** -2)
    scores = denoising_scores(full, {"before": poor[:, genes].X.toarray(), "after": found.X})
    assert scores["after"] > scores["before"] + 0.03
