"""Gene choice, sampling, fingerprints and batches of real cells."""

import anndata
import numpy as np
import pytest
import torch
from scipy import sparse, stats

from scdataloader import (
    CellDataset,
    GeneVocabulary,
    LabelSpace,
    Preprocessor,
    WeightedSampler,
    datasets,
)
from scdataloader.collate import Collator, ScGPTFormat, most_expressed, random_expressed
from scdataloader.collate.cells import keep_batch
from scdataloader.fingerprint import cell_fingerprints
from scdataloader.sampling import group_weights


def loader(cells, sampler, **options):
    return torch.utils.data.DataLoader(cells, sampler=sampler, collate_fn=keep_batch, **options)


def row(cells, cell):
    """The expressed genes of a cell, rising, and their counts."""
    ends, genes, counts = cells.store.gather_csr(np.array([cell]), cells.store.gene_map(cells.vocabulary))
    assert ends.tolist() == [0, len(genes)]
    order = np.argsort(genes)
    return genes[order].tolist(), counts[order].tolist()


@pytest.fixture(scope="module")
def retina():
    return Preprocessor()(datasets.retina_1k()[:200].copy())[0]


@pytest.fixture(scope="module")
def cells(retina):
    space = LabelSpace.from_obs([retina.obs], ["cell_type"])
    return CellDataset([("retina", retina)], GeneVocabulary.for_organisms(["human"]), space, context=64)


def test_random_expressed_takes_expressed_first():
    rng = np.random.default_rng(0)
    expressed, measured = np.array([3, 5, 8]), np.arange(10)
    chosen = random_expressed(expressed, measured, 6, rng)
    assert set(chosen[:3]) == {3, 5, 8}
    assert len(set(chosen)) == 6
    assert set(random_expressed(expressed, measured, 2, rng)) < {3, 5, 8}
    with pytest.raises(ValueError, match="context of 11 genes was asked for, but only 10"):
        random_expressed(expressed, measured, 11, rng)


def test_random_expressed_is_uniform():
    rng = np.random.default_rng(1)
    drawn = np.concatenate([random_expressed(np.arange(8), np.arange(20), 3, rng) for _ in range(4000)])
    assert stats.chisquare(np.bincount(drawn, minlength=8)).pvalue > 1e-3


def test_most_expressed_by_falling_count_with_fair_ties():
    expressed, counts = np.array([4, 6, 7, 9]), np.array([1, 5, 1, 9])
    rng = np.random.default_rng(2)
    draws = [most_expressed(expressed, counts, np.arange(12), 3, rng) for _ in range(600)]
    assert {tuple(d[:2]) for d in draws} == {(9, 6)}
    third = np.array([d[2] for d in draws])
    assert set(third) == {4, 7}
    assert 0.4 < (third == 4).mean() < 0.6  # a stable sort would always give 4
    filled = most_expressed(expressed, counts, np.arange(12), 7, rng)
    assert set(filled[:4]) == set(expressed)
    assert not set(filled[4:]) & set(expressed)


def test_group_weights_by_hand():
    # s·n/(n+s): 50·50/100 = 25 and 50·150/200 = 37.5
    assert group_weights(np.array([50, 150]), 50).tolist() == [0.4, 0.6]
    assert group_weights(np.array([1, 999]), 1e9) == pytest.approx([0.001, 0.999], rel=1e-5)
    assert group_weights(np.array([1, 999]), 1e-9) == pytest.approx([0.5, 0.5], rel=1e-5)
    with pytest.raises(ValueError, match="scale=0 must be positive"):
        group_weights(np.array([1]), 0)


def test_sampler_draws_groups_by_weight_and_cells_evenly():
    labels = np.repeat([[0, 1], [0, 2], [5, 1]], [20, 300, 5], axis=0)
    labels = labels[np.random.default_rng(0).permutation(len(labels))]
    sampler = WeightedSampler(labels, scale=50, n_draws=40_000, seed=3)
    drawn = np.array(list(sampler))
    for group in np.unique(labels, axis=0):
        inside = np.flatnonzero((labels == group).all(axis=1))
        observed = np.bincount(drawn, minlength=len(labels))[inside]
        assert stats.chisquare(observed).pvalue > 1e-3
    sizes = np.array([20, 300, 5])
    expected = group_weights(sizes, 50) * len(drawn)
    observed = [np.isin(drawn, np.flatnonzero((labels == g).all(axis=1))).sum() for g in ([0, 1], [0, 2], [5, 1])]
    assert stats.chisquare(observed, expected).pvalue > 1e-3
    assert list(sampler) == drawn.tolist()
    sampler.set_epoch(1)
    assert list(sampler) != drawn.tolist()
    with pytest.raises(ValueError, match="no cells"):
        WeightedSampler(np.empty((0, 1)), n_draws=1)


def test_batches_hold_the_true_counts(retina, cells):
    batch = cells[7]
    genes = batch["genes"][0].numpy()
    assert len(set(genes)) == 64
    names = [cells.vocabulary.ids[g] for g in genes]
    assert batch["counts"][0].tolist() == retina[7, names].X.toarray()[0].tolist()
    assert (batch["counts"] > 0).all()  # the cell expresses far more than 64 genes
    assert batch["total_counts"].item() == retina.obs["total_counts"].iloc[7]
    assert cells.label_space.classes["cell_type"].decode(batch["labels"][0].tolist()) == [
        retina.obs["cell_type_ontology_term_id"].iloc[7]
    ]


def test_a_batch_depends_on_its_indices_and_the_seed_only(retina, cells):
    again = next(iter(loader(cells, [4, 9, 2], batch_size=3, num_workers=1)))
    here = cells.__getitems__([4, 9, 2])
    for key, value in here.items():
        assert torch.equal(value, again[key]), key
    other = CellDataset([("retina", retina)], cells.vocabulary, cells.label_space, context=64, seed=1)
    assert not torch.equal(other.__getitems__([4, 9, 2])["genes"], here["genes"])


def test_a_panel_smaller_than_the_context_is_named(retina, cells):
    known = retina[:, cells.vocabulary.index(retina.var_names) >= 0][:, :30].copy()
    message = "panel: 30 of its 30 genes are in the vocabulary, fewer than the context of 64"
    with pytest.raises(ValueError, match=message):
        CellDataset([("panel", known)], cells.vocabulary, cells.label_space, context=64)
    with pytest.raises(ValueError, match="choice='alphabetical' is not one of"):
        CellDataset([("r", retina)], cells.vocabulary, cells.label_space, context=64, choice="alphabetical")


def test_the_order_of_genes_and_stored_zeros_change_nothing(retina, cells):
    order = np.random.default_rng(0).permutation(retina.n_vars)
    shuffled = retina[:, order].copy()
    shuffled.X = shuffled.X.tocsr()
    empty = shuffled.X[3].indices[0]
    shuffled.X[3, empty] = 0  # stays stored
    whole = Collator(vocabulary=cells.vocabulary, choice="all")
    plain = cells.with_collator(whole)
    other = CellDataset([("r", shuffled)], cells.vocabulary, cells.label_space, collator=whole)
    for key, value in plain.__getitems__([5, 60]).items():
        assert torch.equal(other.__getitems__([5, 60])[key], value), key
    assert row(other, 5) == row(cells, 5)
    assert len(row(other, 3)[0]) == len(row(cells, 3)[0]) - 1
    assert min(row(other, 3)[1]) > 0
    assert (np.delete(other.fingerprints, 3) == np.delete(cells.fingerprints, 3)).all()


def test_rows_are_the_cells(retina, cells):
    genes, counts = row(cells, 11)
    index = cells.vocabulary.index(retina.var_names.tolist())
    dense = retina.X[11].toarray()[0]
    shown = (index >= 0) & (dense > 0)
    assert genes == sorted(index[shown].tolist())
    assert counts == dense[shown][np.argsort(index[shown])].tolist()
    assert cells.total_counts[11] == retina.obs["total_counts"].iloc[11]
    with pytest.raises(IndexError, match="there is no cell 200: the 200 cells"):
        cells.__getitems__([3, 200])
    with pytest.raises(IndexError, match="there is no cell -1"):
        _ = cells[-1]


def test_genes_that_were_only_added_are_not_padded_with(retina, cells):
    some = retina[:20].copy()
    known = np.flatnonzero(cells.vocabulary.index(some.var_names) >= 0)
    some.var["measured"] = False
    some.var.iloc[known[:70], some.var.columns.get_loc("measured")] = True
    few = CellDataset([("r", some)], cells.vocabulary, cells.label_space, context=64)
    measured = set(some.var_names[known[:70]])
    drawn = few.__getitems__(list(range(20)))["genes"].unique().tolist()
    assert {few.vocabulary.ids[g] for g in drawn} <= measured
    with pytest.raises(ValueError, match=r"r: 70 of its .* fewer than the context of 71"):
        CellDataset([("r", some)], cells.vocabulary, cells.label_space, context=71)


def test_each_data_set_has_its_own_variable_genes(retina, cells):
    collator = Collator(vocabulary=cells.vocabulary, context=30, choice="most_variable")
    halves = [("a", retina[:100].copy()), ("b", retina[100:].copy())]
    both = CellDataset(halves, cells.vocabulary, cells.label_space, collator=collator)
    batch = both.__getitems__([0, 50, 150])
    first, second, third = (genes.tolist() for genes in batch["genes"])
    assert first == second
    assert set(first) != set(third)
    known = halves[0][1][:, [both.vocabulary.ids[g] for g in first]]
    assert batch["counts"][1].tolist() == known.X[50].toarray()[0].tolist()
    logged = np.log1p(known.X.toarray() / known.obs["total_counts"].to_numpy()[:, None] * 1e4)
    assert (np.diff(logged.var(axis=0)) <= 1e-6).all()


def test_another_collator_for_the_same_cells(retina, cells):
    form = ScGPTFormat.from_tokens(cells.vocabulary)
    collator = Collator(vocabulary=cells.vocabulary, context=40, variable_context=True, format=form)
    other = cells.with_collator(collator)
    batch = next(iter(loader(other, range(10), batch_size=8)))
    assert batch["genes"].shape == (8, 40)
    assert batch["genes"][:, 0].unique().tolist() == [1]
    assert batch["values"].max() <= 50
    assert cells.__getitems__([0])["genes"].shape == (1, 64)  # as it was
    assert (other.fingerprints == cells.fingerprints).all()
    with pytest.raises(ValueError, match="context, choice and seed are the collator's"):
        CellDataset([("r", retina)], cells.vocabulary, cells.label_space, context=3, collator=collator)
    mouse = Collator(vocabulary=GeneVocabulary.for_organisms(["mouse"]), context=3)
    with pytest.raises(ValueError, match="the collator was made for another vocabulary"):
        cells.with_collator(mouse)
    with pytest.raises(ValueError, match="there are no data sets"):
        CellDataset([], cells.vocabulary, cells.label_space, context=3)


def test_plain_pytorch(cells):
    sampler = WeightedSampler(cells.labels, n_draws=50, seed=1)
    batches = list(torch.utils.data.DataLoader(cells, batch_size=20, sampler=sampler, collate_fn=lambda batch: batch))
    assert [len(batch["genes"]) for batch in batches] == [20, 20, 10]
    labels = torch.cat([batch["labels"] for batch in batches])
    assert labels.tolist() == cells.labels[list(sampler)].tolist()


def test_fingerprints_know_a_cell_in_any_order():
    rng = np.random.default_rng(0)
    counts = sparse.csr_matrix(rng.poisson(0.5, (30, 40)))
    index = rng.permutation(100)[:40]
    index[:5] = -1
    prints = cell_fingerprints(counts, index)
    assert len(set(prints)) == 30
    order = rng.permutation(40)
    assert (cell_fingerprints(counts[:, order], index[order]) == prints).all()
    changed = counts.tolil()
    changed[3, 10] += 1
    changed[4, 0] += 1  # a gene outside the vocabulary
    different = cell_fingerprints(sparse.csr_matrix(changed), index) != prints
    assert np.flatnonzero(different).tolist() == [3]
    padded = counts.copy()
    padded.data[:5] = 0
    stored, dropped = padded.copy(), padded.copy()
    dropped.eliminate_zeros()
    assert (cell_fingerprints(stored, index) == cell_fingerprints(dropped, index)).all()


def test_total_counts_without_preprocessing():
    from scdataloader.counts import csr_counts, total_counts

    plain = anndata.AnnData(np.array([[1.0, 2.0], [0.0, 4.0]]))
    assert total_counts(plain).tolist() == [3, 4]
    plain.obs["total_counts"] = [30, 40]
    assert total_counts(plain).tolist() == [30, 40]
    with pytest.raises(ValueError, match="X is empty"):
        csr_counts(anndata.AnnData(obs=plain.obs))
