"""Gene choice, sampling, fingerprints, batches and the data module."""

from types import SimpleNamespace

import anndata
import numpy as np
import pytest
import torch
from scipy import sparse, stats

from scdataloader import (
    CellDataModule,
    CellDataset,
    GeneVocabulary,
    LabelSpace,
    Preprocessor,
    WeightedSampler,
    datasets,
)
from scdataloader.cells import loader
from scdataloader.collate import most_expressed, random_expressed
from scdataloader.fingerprint import cell_fingerprints
from scdataloader.sampling import group_weights


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


@pytest.fixture
def files(tmp_path):
    retina = datasets.retina_1k()
    for i, part in enumerate((slice(0, 150), slice(150, 300))):
        some = retina[part].copy()
        some.obs["assay_ontology_term_id"] = ["EFO:0030059", "EFO:0009899"][i]
        some.write_h5ad(tmp_path / f"part{i}.h5ad")
    return tmp_path


def make_module(files, **options):
    settings = {"classes": ["cell_type", "assay"], "organisms": ["human"], "context": 50, "batch_size": 16}
    module = CellDataModule([str(files / "part*.h5ad")], val_fraction=0.1, **(settings | options))
    module.setup("fit")
    return module


def test_data_module_splits_cells_and_keeps_data_sets_apart(files):
    module = make_module(files)
    assert module.cells.names == ["part0", "part1"]
    assert len(module.val_cells) == 30
    assert not set(module.val_cells) & set(module.train_cells)
    assert len(module.val_cells) + len(module.train_cells) == 300
    assert (make_module(files).val_cells == module.val_cells).all()
    assert (make_module(files, seed=1).val_cells != module.val_cells).any()
    drawn = torch.cat([batch["dataset"] for batch in module.train_dataloader()])
    assert len(drawn) == 270
    first, second = (next(iter(module.val_dataloader()))["genes"] for _ in range(2))
    assert torch.equal(first, second)


def test_data_module_options_reach_the_batches(files):
    module = make_module(files, cells_per_epoch=37, choice="most_expressed", context=40, min_genes=1500)
    batches = list(module.train_dataloader())
    assert sum(len(batch["genes"]) for batch in batches) == 37
    assert batches[0]["genes"].shape == (16, 40)
    assert (batches[0]["counts"].diff(dim=1) <= 0).all()  # by falling count
    assert len(module.cells) < len(make_module(files).cells) == 300
    groups = make_module(files, weight_scale=1e-6, cells_per_epoch=4000)
    drawn = torch.cat([batch["labels"] for batch in groups.train_dataloader()])
    counts = torch.unique(drawn, dim=0, return_counts=True)[1].float()
    assert counts.max() < 2 * counts.min()  # all groups alike, however rare


def test_ranks_share_the_draws(files):
    from scdataloader.datamodule import _Share

    module = make_module(files)
    sampler = WeightedSampler(np.zeros((270, 1)), n_draws=101)
    whole = list(_Share(sampler, module.train_cells, 0, 1))
    shares = [_Share(sampler, module.train_cells, rank, 2) for rank in range(2)]
    parts = [list(share) for share in shares]
    assert [len(p) for p in parts] == [len(s) for s in shares] == [50, 50]
    assert [x for pair in zip(*parts, strict=True) for x in pair] == whole[:100]
    shares[0].set_epoch(1)
    assert list(shares[0]) != parts[0]


def test_sharing_the_data_twice_is_refused(files):
    module = make_module(files)
    connector = SimpleNamespace(use_distributed_sampler=True)
    module.trainer = SimpleNamespace(global_rank=1, world_size=2, current_epoch=0, _accelerator_connector=connector)
    with pytest.raises(ValueError, match="2 processes would share the data twice"):
        module.val_dataloader()
    connector.use_distributed_sampler = False
    assert len(module.val_dataloader().sampler) == 15  # half of the 30


def test_data_module_names_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file matches"):
        CellDataModule([str(tmp_path / "*.h5ad")])
    with pytest.raises(ValueError, match=r"val_fraction=1\.5"):
        CellDataModule([], val_fraction=1.5)
    module = CellDataModule([])
    with pytest.raises(RuntimeError, match="call setup"):
        _ = module.cells


def test_total_counts_without_preprocessing():
    from scdataloader.counts import csr_counts, total_counts

    plain = anndata.AnnData(np.array([[1.0, 2.0], [0.0, 4.0]]))
    assert total_counts(plain).tolist() == [3, 4]
    plain.obs["total_counts"] = [30, 40]
    assert total_counts(plain).tolist() == [30, 40]
    with pytest.raises(ValueError, match="X is empty"):
        csr_counts(anndata.AnnData(obs=plain.obs))
