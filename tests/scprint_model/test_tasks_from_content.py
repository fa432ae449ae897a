"""Every task: what is said of a cell comes from its counts, never from its place, its neighbours or the file's form."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from grnndata import tl
from scdataloader import datasets
from scprint_model import infer, parts
from scprint_model.genes import match_genes
from scprint_model.networks.choose import variable_genes
from scprint_model.tasks import annotate, denoise, embed, encode, generate, impute, perturb
from scprint_model.tasks.files import open_cells

N_CELLS, CONTEXT = 24, 120


def _bundled(request):
    del request
    return datasets.retina_1k()[:N_CELLS].copy()


def _blood(request):
    return anndata.read_h5ad(request.getfixturevalue("shared") / "data/expression/human_pbmc3k.h5ad")[:N_CELLS].copy()


@pytest.fixture(scope="module", params=[_bundled, _blood], ids=["retina", "blood"])
def cells(request):
    """Few cells with many ties, two of them alike; they carry their totals, so that genes may come and go."""
    data = request.param(request)
    counts = sparse.csr_matrix(data.X).astype(np.float32)
    counts = sparse.vstack([counts, counts[[3]]], format="csr")
    obs = pd.DataFrame(
        {"total_counts": np.asarray(counts.sum(axis=1)).ravel(), "half": ["a", "b"] * (N_CELLS // 2) + ["b"]},
        index=[f"cell{i}" for i in range(N_CELLS + 1)],
    )
    obs["organism_ontology_term_id"] = "NCBITaxon:9606"
    return anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=data.var_names))


@pytest.fixture(scope="module")
def names(cells, small_model):
    """Genes that the cells express, by falling count."""
    known = match_genes(small_model.vocabulary, cells)
    totals = np.asarray(cells.X.sum(axis=0)).ravel()[known.columns]
    return cells.var_names[known.columns[np.argsort(-totals, kind="stable")]]


def _embed(model, data, names, batch_size):
    del names
    return pd.DataFrame(embed(model, data, context=CONTEXT, batch_size=batch_size), index=data.obs_names)


def _logits(model, data, names, batch_size):
    del names
    found = encode(model, data, context=CONTEXT, batch_size=batch_size)
    return pd.DataFrame(np.concatenate(list(found.class_logits.values()), axis=1), index=data.obs_names)


def _annotate(model, data, names, batch_size):
    del names
    return annotate(model, data, context=CONTEXT, batch_size=batch_size, top_k=3, vote=None)


def _denoise(model, data, names, batch_size):
    some = names[::40][:30].tolist()
    return _tables(denoise(model, data, genes=some, sample=True, uncertainty=True, batch_size=batch_size))


def _impute(model, data, names, batch_size):
    lacking = data[:, ~data.var_names.isin(names[:10])]
    ids = match_genes(model.vocabulary, data).index[data.var_names.get_indexer(names[:10])]
    wanted = [model.vocabulary.ids[i] for i in ids]
    return _tables(impute(model, lacking, genes=wanted, context=CONTEXT, batch_size=batch_size))


def _generate(model, data, names, batch_size):
    del names
    found = encode(model, data, context=CONTEXT, batch_size=batch_size, classes=())
    wanted = [model.vocabulary.ids[i] for i in range(0, 3000, 100)]
    made = generate(model, found, genes=wanted, total_counts=2000, names=data.obs_names, sample=True, batch_size=4)
    return _tables(made)


def _tables(found):
    """X and layers side by side, one row a cell."""
    layers = {"X": found.X} | {name: found.layers[name] for name in found.layers if name == "standard_deviation"}
    return pd.concat(
        {name: pd.DataFrame(values, index=found.obs_names, columns=found.var_names) for name, values in layers.items()},
        axis=1,
    )


OF_CELLS = {
    "embed": _embed,
    "logits": _logits,
    "annotate": _annotate,
    "denoise": _denoise,
    "impute": _impute,
    "generate": _generate,
}


def _shuffled(data):
    rng = np.random.default_rng(1)
    return data[rng.permutation(data.n_obs)][:, rng.permutation(data.n_vars)].copy()


def _alone(data):
    return data[["cell7"]].copy()


def _dense_integers_with_other_genes(data):
    other = data[::-1].copy()
    rng = np.random.default_rng(2)
    more = pd.DataFrame(index=[f"spike{i}" for i in range(40)])
    joined = sparse.hstack([sparse.csr_matrix(rng.poisson(1, (other.n_obs, 40))), other.X]).toarray().astype(np.int64)
    return anndata.AnnData(joined, obs=other.obs, var=pd.concat([more, other.var]))


def _by_column(data):
    other = data.copy()
    other.X = sparse.csc_matrix(data.X).astype(np.float64)
    return other


FORMS = {
    "as it is": lambda data: data,
    "shuffled": _shuffled,
    "a cell alone": _alone,
    "dense whole numbers": _dense_integers_with_other_genes,
    "by column": _by_column,
}


def _alike(found, expected, tolerance, what):
    """Compare tables by the names of their rows and columns: numbers to a tolerance, words exactly."""
    found = found.loc[expected.index]
    assert set(found.columns) == set(expected.columns), what
    for column in expected.columns:
        a, b = found[column].to_numpy(), expected[column].to_numpy()
        if b.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=f"{what}: {column}")
        else:
            assert a.tolist() == b.tolist(), f"{what}: {column}"


@pytest.mark.slow
@pytest.mark.parametrize("task", OF_CELLS)
def test_a_cell_gets_the_same_wherever_it_lies(small_model, cells, names, task, monkeypatch, tmp_path):
    expected = OF_CELLS[task](small_model, cells, names, 8)
    for form, change in FORMS.items():
        changed = change(cells)
        for batch_size, size in ((1, 4096), (5, 7)) if form == "as it is" else ((8, 4096),):
            monkeypatch.setattr(parts.parts, "__defaults__", (size,))
            found = OF_CELLS[task](small_model, changed, names, batch_size)
            _alike(found, expected.loc[found.index], 1e-5, form)
    twin = expected.loc[[f"cell{N_CELLS}"]].set_axis(["cell3"])
    _alike(twin, expected.loc[["cell3"]], 1e-5, "a cell of equal counts")
    file = tmp_path / "cells.h5ad"
    _shuffled(cells).write_h5ad(file)
    if task != "impute":  # which selects genes of the file
        found = OF_CELLS[task](small_model, open_cells(file), names, 8)
        _alike(found, expected.loc[found.index], 1e-5, "in a file")


NETWORKS = {
    "a draw of genes": {"genes": "expressed", "n_genes": 150, "context": 60},
    "a draw of cells": {"genes": "variable", "n_genes": 50, "n_cells": 7},
    "parts": {"genes": "variable", "n_genes": 50, "stability": 3},
    "shuffled counts": {"genes": "variable", "n_genes": 50, "permutations": 3},
    "mean attention": {"genes": "variable", "n_genes": 50, "attention": "mean_attention"},
    "single cells": {"genes": "expressed", "n_genes": 60, "context": 30, "group": ["cell7"], "groupby": "obs_names"},
}


def _network(model, data, options):
    """Return networks and their numbers by the names of the genes."""
    found = infer(model, data, **({"groupby": "half", "group": "b"} | options))
    kept = found.varp if len(found.networks) == 0 else {name: found.varp[name] for name in found.varp}
    tables = {
        name: pd.DataFrame(np.asarray(value), index=found.var_names, columns=found.var_names)
        .sort_index()
        .sort_index(axis=1)
        for name, value in kept.items()
    }
    return tables, sorted(found.obs_names)


@pytest.mark.slow
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_set_of_cells_gets_the_same_network_wherever_they_lie(small_model, cells, kind, monkeypatch):
    options = NETWORKS[kind]
    expected, used = _network(small_model, cells, options)
    alone = cells[["cell7"]] if kind == "single cells" else cells[cells.obs["half"] == "b"]
    others = {
        "alone": (alone.copy(), {}),
        "in another order": (cells[::-1].copy(), {}),
        "shuffled": (_shuffled(cells), {}),
        "one at a time": (cells, {"batch_size": 1}),
        "dense whole numbers": (_dense_integers_with_other_genes(cells), {}),
    }
    if kind == "single cells":
        del others["alone"]  # genes are chosen over all cells that are asked for: these are the same one
    monkeypatch.setattr(parts.parts, "__defaults__", (7,))
    for form, (data, more) in others.items():
        found, cells_used = _network(small_model, data, options | more)
        assert found.keys() == expected.keys()
        if "cell3" not in used or f"cell{N_CELLS}" not in used:
            twins = {"cell3": f"cell{N_CELLS}"}
            assert sorted(twins.get(c, c) for c in cells_used) == sorted(twins.get(c, c) for c in used), form
        for name, table in expected.items():
            if form == "in another order":
                assert found[name].equals(table), name
            if name.startswith("GRN_p_value"):  # shares of four networks: next to equal weights may change sides
                same = (found[name].to_numpy() == table.to_numpy()) | np.isnan(table.to_numpy())
                assert same.mean() > 0.95, form
                continue
            assert found[name].index.equals(table.index), form
            np.testing.assert_allclose(found[name], table, atol=1e-6, err_msg=f"{form}: {name}")
            top = table.to_numpy().ravel()
            cut = np.sort(top)[-100]
            sure = np.abs(top - cut) > 1e-6
            assert np.array_equal((found[name].to_numpy().ravel() >= cut)[sure], (top >= cut)[sure]), form


@pytest.mark.slow
def test_perturbed_cells_change_the_same_wherever_they_lie(small_model, cells, names):
    options = {"genes": [names[0]], "n_genes": 60, "n_edges": 60}
    expected = perturb(small_model, cells, **options)
    for change in (_shuffled, _dense_integers_with_other_genes):
        found = perturb(small_model, change(cells), **options, batch_size=3)
        _alike(found.profile, expected.profile, 1e-4, "profile")
        a, b = (one.edges.set_index(["source", "target"])["difference"] for one in (found, expected))
        shared = a.index.intersection(b.index)
        assert len(shared) > 55  # edges that changed as much may take each other's place
        np.testing.assert_allclose(a[shared], b[shared], atol=1e-6)


def test_draws_are_the_mean_over_seeds_and_their_spread(small_model, cells):
    each = [encode(small_model, cells, context=CONTEXT, seed=seed) for seed in (3, 4, 5)]
    data = cells.copy()
    for token, place in (("mean", slice(None)), ("base", [0])):
        found = embed(small_model, data, token=token, context=CONTEXT, seed=3, draws=3, key="X")
        of_each = np.array([one.embeddings[:, place].mean(axis=1) for one in each])
        np.testing.assert_allclose(found, of_each.mean(axis=0), atol=1e-5)
        distances = ((of_each - of_each.mean(axis=0)) ** 2).sum(axis=(0, 2))
        np.testing.assert_allclose(data.obs["X_spread"], np.sqrt(distances / 2), rtol=1e-3, atol=1e-6)
    assert data.obs["X_spread"].max() > 0.01
    embed(small_model, data, token="all", context=CONTEXT, seed=3, draws=3)
    np.testing.assert_allclose(data.obs["X_scprint_base_spread"], data.obs["X_spread"], rtol=1e-4)
    labels = annotate(small_model, data, context=CONTEXT, seed=3, draws=3)
    (name,) = small_model.config.class_sizes
    logits = np.array([one.class_logits[name] for one in each])
    best = logits.mean(axis=0).argmax(axis=1)
    shares = 1 / (1 + np.exp(-logits[:, np.arange(len(best)), best]))
    np.testing.assert_allclose(labels["predicted_cell_type_spread"], shares.std(axis=0, ddof=1), atol=1e-5)
    with pytest.raises(ValueError, match="draws=2 must be at least 1, and 1 with encoded="):
        embed(small_model, data, draws=2, encoded=each[0])


def test_variable_genes_are_of_the_same_cells_wherever_they_lie(small_model, cells):
    chosen = []
    for data in (cells, _shuffled(cells), _dense_integers_with_other_genes(cells)):
        known = match_genes(small_model.vocabulary, data)
        chosen.append(set(data.var_names[known.columns[variable_genes(data, known, 60, n_cells=9)]]))
    assert len(chosen[0]) == 60
    assert chosen[0] == chosen[1] == chosen[2]
    everything = match_genes(small_model.vocabulary, cells)
    some = cells[:, everything.columns[variable_genes(cells, everything, 60, n_cells=100)]]
    assert set(some.var_names) == set(tl.most_variable_genes(cells[:, everything.columns], 60))


def test_draws_of_a_network_are_averaged(small_model, cells):
    options = {"genes": "expressed", "n_genes": 100, "context": 50}
    each = [infer(small_model, cells, **options, seed=seed) for seed in (7, 8)]
    found = infer(small_model, cells, **options, seed=7, draws=2)
    seen = [one.var["n_cells_seen"].reindex(found.var_names).fillna(0) for one in each]
    np.testing.assert_array_equal(found.var["n_cells_seen"], sum(seen))
    shown = np.flatnonzero((seen[0] > 0) & (seen[1] > 0))
    names = found.var_names[shown]
    weights = [pd.DataFrame(one.grn, one.var_names, one.var_names).loc[names, names].to_numpy() for one in each]
    spread = found.varp["GRN_spread"][np.ix_(shown, shown)]
    off = ~np.eye(len(shown), dtype=bool)
    np.testing.assert_allclose(spread[off], np.std(weights, axis=0, ddof=1)[off], atol=1e-7)
    assert np.isnan(np.diag(spread)).all()
    between = (found.grn[np.ix_(shown, shown)] - np.mean(weights, axis=0))[off]
    assert np.abs(between).mean() < 0.5 * np.abs(weights[0] - weights[1])[off].mean()
    sparse_one = infer(small_model, cells, **options, seed=7, draws=2, top_k=3)
    assert "GRN_spread" not in sparse_one.varp
    assert (sparse_one.var["n_cells_seen"] == found.var["n_cells_seen"]).all()
    with pytest.raises(ValueError, match="every cell shows all 100: choose a smaller context="):
        infer(small_model, cells, genes="expressed", n_genes=100, draws=2)
    with pytest.raises(ValueError, match="draws=2 must be at least 1, and 1 with stability=2"):
        infer(small_model, cells, **options, draws=2, stability=2)
