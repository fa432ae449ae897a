"""DeepSEM: its loss by hand, its schedule, and a planted network."""

import numpy as np
import pytest
import torch
from anndata import AnnData

import bengrn
from bengrn.methods.deep import regdiffusion as module
from bengrn.methods.deep.deepsem import deepsem, standardised
from bengrn.methods.deep.deepsem_model import first_weights, losses, rates


def planted(seed, n=50, cells=1000):
    """Cells of a linear structural model, and which genes (rows) regulate which."""
    rng = np.random.default_rng(seed)
    rank, A = rng.permutation(n), np.zeros((n, n))
    for target in range(n):
        before = np.flatnonzero(rank < rank[target])
        for regulator in rng.permutation(before)[:2]:
            A[regulator, target] = rng.choice([-1, 1]) * rng.uniform(0.5, 1)
    return rng.normal(size=(cells, n)) @ np.linalg.inv(np.eye(n) - A), A != 0


def early_precision_ratio(weights, truth):
    """Share of true edges among as many first ones as there are true ones, over that of random ones."""
    other = ~np.eye(len(truth), dtype=bool)
    k = truth.sum()
    first = np.argsort(-np.where(other, weights, -1).ravel())[:k]
    return truth.ravel()[first].mean() / (k / other.sum())


@pytest.fixture
def in_double():
    """Let new tensors hold float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_the_loss_of_three_genes_by_hand(in_double):
    weights = first_weights(3, 4, torch.Generator().manual_seed(0))
    weights["A"] = torch.tensor([[9.0, 0.2, -0.1], [0.0, 9.0, 0.3], [0.4, 0.0, 9.0]], dtype=torch.float64)
    for name in weights:
        if name.endswith("bias"):
            weights[name] = weights[name] + 0.1
    rng = np.random.default_rng(1)
    X, noise = rng.normal(size=(2, 5, 3))
    X[:3, 1] = X[2:, 2] = X[0, 0]  # as the zeros of a gene are
    counted = (X > -0.5).astype(float)
    found = losses(weights, *map(torch.as_tensor, (X, counted, noise)))

    w = {name: one.numpy() for name, one in weights.items()}

    def layer(name, x):
        return x @ w[name + ".weight"].T + w[name + ".bias"]

    A = np.array([[0, 0.2, -0.1], [0, 0, 0.3], [0.4, 0, 0]])
    back = np.eye(3) - A.T
    mean, variance = np.zeros((2, 5, 3))
    for c in range(5):
        for g in range(3):
            h = np.tanh(layer("encoder.1", np.tanh(layer("encoder.0", np.array([X[c, g], 1.0])))))
            mean[c, g], variance[c, g] = layer("encoder.mean", h)[0], layer("encoder.variance", h)[0]
    mean, variance = mean @ back, np.exp(variance @ back)
    z = mean + np.sqrt(variance) * noise
    source = z @ np.linalg.inv(back)
    error = np.zeros((5, 3))
    for c in range(5):
        for g in range(3):
            h = np.tanh(layer("decoder.1", np.tanh(layer("decoder.0", np.array([source[c, g]])))))
            error[c, g] = (layer("decoder.2", h)[0] - X[c, g]) ** 2
    prior = [layer(f"prior.{p}.1", np.tanh(layer(f"prior.{p}.0", np.ones(1)))) @ back for p in ("mean", "variance")]

    def log_normal(x, m, v):
        return -0.5 * (np.log(2 * np.pi * v) + (x - m) ** 2 / v)

    divergence = log_normal(z, mean, variance + 1e-8) - log_normal(z, prior[0], np.exp(prior[1]) + 1e-8)
    assert found["reconstruction"].item() == pytest.approx(error[counted > 0].mean(), abs=1e-6)
    assert found["divergence"].item() == pytest.approx(divergence.mean(), abs=1e-6)
    assert found["sparsity"].item() == pytest.approx(1.0 / 9, abs=1e-9)  # 0.2 + 0.1 + 0.3 + 0.4 over 9 entries


def test_numbers_that_stand_several_times_count_as_often_in_the_gradient(in_double):
    weights = first_weights(3, 4, torch.Generator().manual_seed(0))
    rng = np.random.default_rng(2)
    X, noise = map(torch.as_tensor, rng.normal(size=(2, 6, 3)))
    X[:4] = 0.5
    of = weights["encoder.0.weight"].requires_grad_()

    def loss():
        return losses(weights, X, torch.ones_like(X), noise)["reconstruction"]

    torch.autograd.backward(loss())
    with torch.no_grad():
        for i, j in np.ndindex(*of.shape):
            ends = []
            for step in (1e-5, -2e-5):
                of[i, j] += step
                ends.append(float(loss()))
            of[i, j] += 1e-5
            assert float(of.grad[i, j]) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-9)


def test_the_schedule_decays_each_epoch_and_alternates():
    both = np.array([rates(epoch, 1e-4, 2e-5) for epoch in range(7)])
    assert both[:, 0] == pytest.approx([1e-4, 0, 0, 1e-4 * 0.95**3, 0, 0, 1e-4 * 0.95**6])
    assert both[:, 1] == pytest.approx([0, 2e-5, 2e-5, 0, 2e-5, 2e-5, 0])


def test_genes_are_standardised_over_the_cells_that_count(caplog):
    X, counted = standardised(np.array([[0.0, 1, 5], [2, 1, 5], [4, 4, 5]]), "expressed")
    assert counted.tolist() == [[0, 1, 1], [1, 1, 1], [1, 1, 1]]
    assert X[:, 0].tolist() == [-3, -1, 1]  # mean 3 and spread 1 of 2 and 4
    assert X[:, 2].tolist() == [0, 0, 0]
    assert "1 of 3 genes have the same value" in caplog.text
    X, counted = standardised(np.array([[0.0, 1], [2, 1], [4, 4]]), "all")
    assert X.mean(axis=0) == pytest.approx(0, abs=1e-6)
    assert X.std(axis=0) == pytest.approx(1)
    assert counted.all()


def test_the_network_follows_cells_and_genes_and_not_their_places():
    values, _ = planted(0, n=8, cells=40)
    options = {"epochs": 3, "hidden": 4, "device": "cpu"}
    first = deepsem(values, None, np.random.default_rng(5), **options)
    cells, genes = np.random.default_rng(0).permutation(40), np.random.default_rng(1).permutation(8)
    turned = deepsem(values[cells][:, genes], None, np.random.default_rng(5), **options)
    assert turned == pytest.approx(first[np.ix_(genes, genes)], abs=1e-7)
    assert not np.allclose(first, deepsem(values, None, np.random.default_rng(6), **options), atol=1e-7)
    rows = deepsem(values, np.array([1, 4]), np.random.default_rng(5), **options)
    assert (rows == first[[1, 4]]).all()


def test_the_method_is_found_and_refuses_what_makes_no_sense():
    counts = AnnData(np.random.default_rng(0).poisson(3, (30, 6)).astype(np.float32))
    grn = bengrn.get_method("DeepSEM", epochs=3, hidden=4, device="cpu").infer(counts, rng=0)
    assert grn.varp["GRN"].shape == (6, 6)
    assert (grn.varp["GRN"].diagonal() == 0).all()
    for bad, told in {
        "epochs": "epochs is at least 1",
        "rate": "rate is above 0",
        "runs": "runs is at least 1",
    }.items():
        with pytest.raises(ValueError, match=told):
            bengrn.get_method("deepsem", **{bad: 0}).infer(counts, rng=0)
    with pytest.raises(ValueError, match="entries is 'all' or 'expressed'"):
        bengrn.get_method("deepsem", entries="some").infer(counts, rng=0)
    with pytest.raises(ValueError, match="device='abacus' cannot be used here"):
        bengrn.get_method("deepsem", device="abacus").infer(counts, rng=0)


@pytest.mark.slow
def test_a_planted_network_is_found():
    # Fifty genes with strong effects: larger steps than the published ones, which suit a thousand genes, and with 50
    # genes a twentieth of the published weight of the mean absolute coefficient.
    found = []
    for seed in range(5):
        values, truth = planted(seed)
        options = {"rate": 3e-3, "rate_of_matrix": 1e-3, "sparsity": 5.0, "epochs": 60, "hidden": 32, "batch": 128}
        weights = deepsem(values, None, np.random.default_rng(seed), device="cpu", **options)
        found.append([early_precision_ratio(weights, truth), early_precision_ratio(weights, truth.T)])
    as_stored, transposed = np.array(found).T
    assert (as_stored >= 3).all()
    assert as_stored.mean() > transposed.mean()  # a row is a regulator


@pytest.mark.slow
def test_regdiffusion_finds_a_planted_network_and_leaves_other_generators_alone():
    values, truth = planted(0, n=30, cells=400)
    state = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    options = {"steps": 400, "device": "cpu"}
    weights = module.regdiffusion(values, None, np.random.default_rng(0), **options)
    assert (torch.random.get_rng_state() == state[0]).all()
    assert (np.random.get_state()[1] == state[1]).all()  # noqa: NPY002
    assert early_precision_ratio(weights, truth) >= 3
    genes = np.random.default_rng(1).permutation(30)
    turned = module.regdiffusion(values[:, genes], None, np.random.default_rng(0), **options)
    assert turned == pytest.approx(weights[np.ix_(genes, genes)], abs=1e-4)
    # the package's own table of edges names the row's gene as the factor
    import regdiffusion

    grn = regdiffusion.GRN(np.array([[0.0, 2.0], [1.0, 0.0]]), np.array(["A", "B"]), tf_names=np.array(["A", "B"]))
    edges = grn.extract_edgelist(k=-1, workers=1)
    first = edges.loc[edges.iloc[:, 2].abs().idxmax()]
    assert list(first.iloc[:2]) == ["A", "B"]


def test_regdiffusion_needs_genes_that_differ():
    with pytest.raises(ValueError, match="1 of 3 genes differ between cells"):
        module.regdiffusion(np.array([[1.0, 2, 3], [1, 2, 4]]), None, np.random.default_rng(0))
    with pytest.raises(ValueError, match="steps is at least 1"):
        module.regdiffusion(np.eye(3), None, np.random.default_rng(0), steps=0)
