"""Batches from a store: the same whatever threads, workers or interruptions there are."""

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from scdataloader import CellDataset, GeneVocabulary, LabelSpace, StoreLoader
from scdataloader.collate import Collator
from scdataloader.sampling import Share, UniformSampler
from scdataloader.store import CellStore

GENES = [f"g{i}" for i in range(21, 50)]
TYPES = ("CL:0000084", "CL:0000236", "CL:0000576", "unknown")


class Uniform:
    """Draws with replacement; any part of the sequence at once."""

    def __init__(self, n_cells, n_draws, seed=0):
        self._n_cells, self._n_draws, self._seed, self._epoch = n_cells, n_draws, seed, 0

    def __len__(self):
        return self._n_draws

    def set_epoch(self, epoch):
        self._epoch = epoch

    def indices(self, begin, end):
        rng = np.random.default_rng([self._seed, self._epoch])
        return rng.integers(0, self._n_cells, self._n_draws)[begin:end]


@pytest.fixture(scope="module")
def vocabulary():
    n = 60
    return GeneVocabulary(
        tuple(f"g{i}" for i in range(n)), tuple(f"G{i}" for i in range(n)), ("NCBITaxon:9606",) * n, np.zeros(n, int)
    )


@pytest.fixture(scope="module")
def data():
    out = []
    for seed, genes in ((0, range(50)), (1, range(70, 20, -1))):
        rng = np.random.default_rng(seed)
        obs = pd.DataFrame(
            {"cell_type_ontology_term_id": rng.choice(TYPES, 45)}, index=[f"{seed}{i}" for i in range(45)]
        )
        obs["total_counts"] = rng.integers(1000, 2000, 45).astype(float)
        counts = sparse.csr_matrix(rng.poisson(0.5, (45, 50)))
        out.append((f"set{seed}", anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in genes]))))
    return out


@pytest.fixture(scope="module")
def space(data):
    return LabelSpace.from_obs([adata.obs for _, adata in data], ["cell_type"])


@pytest.fixture(scope="module")
def store(data, tmp_path_factory):
    return CellStore.build(data, tmp_path_factory.mktemp("store") / "s", shard_bytes=1500)


@pytest.fixture
def make(store, vocabulary, space):
    def build(sampler=None, **options):
        sampler = Uniform(len(store), 106) if sampler is None else sampler
        settings = {"context": 25, "seed": 3} | options
        names = ("context", "choice", "genes", "missing", "seed", "min_context")
        collator = Collator(vocabulary=vocabulary, **{name: settings.pop(name) for name in names if name in settings})
        cells = CellDataset(store, vocabulary, space, collator=collator)
        return StoreLoader(cells, sampler, **{"batch_size": 8, **settings})

    return build


def same(first, second):
    assert len(first) == len(second) > 0
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert torch.equal(one[name], other[name])


def test_a_batch_holds_what_the_cells_hold(make, store, data, vocabulary, space):
    batches = list(make())
    assert len(batches) == len(make()) == 14
    assert [len(batch["counts"]) for batch in batches] == [8] * 13 + [2]
    rows = Uniform(len(store), 106).indices(0, 106)
    joined = {name: torch.cat([batch[name] for batch in batches]).numpy() for name in batches[0]}
    assert {name: str(values.dtype) for name, values in joined.items()} == {
        "genes": "int64",
        "counts": "float32",
        "total_counts": "float32",
        "labels": "int64",
        "dataset": "int64",
    }
    assert np.array_equal(joined["dataset"], rows // 45)
    dense = [adata.to_df().reindex(columns=vocabulary.ids) for _, adata in data]
    for i, row in enumerate(rows):
        _, adata = data[row // 45]
        cell = dense[row // 45].iloc[row % 45].to_numpy()
        assert np.array_equal(cell[joined["genes"][i]], joined["counts"][i])  # not NaN: all of them measured
        assert joined["total_counts"][i] == adata.obs["total_counts"].iloc[row % 45]
        assert np.array_equal(joined["labels"][i], space.encode(adata.obs.iloc[[row % 45]])[0])


@pytest.mark.parametrize("choice", ["random_expressed", "most_expressed", "all"])
def test_threads_and_prefetch_change_nothing(make, choice):
    context = None if choice == "all" else 25
    plain = list(make(choice=choice, context=context, threads=0))
    same(plain, list(make(choice=choice, context=context, threads=3, prefetch=5)))
    same(plain, list(make(choice=choice, context=context, threads=1, prefetch=1, read_ahead=3)))
    same(plain, list(make(choice=choice, context=context, threads=0, read_ahead=40)))


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_nothing(make, workers):
    same(list(make()), list(DataLoader(make(), batch_size=None, num_workers=workers)))


def test_epochs_differ_and_reach_workers_that_persist(make):
    loader = make()
    workers = DataLoader(loader, batch_size=None, num_workers=2, persistent_workers=True)
    first = list(workers)
    same(first, list(loader))
    loader.set_epoch(1)
    second = list(workers)
    same(second, list(loader))
    assert not torch.equal(first[0]["dataset"], second[0]["dataset"])
    loader.set_epoch(0)
    same(first, list(workers))


def test_a_cell_shows_other_genes_when_drawn_again_but_the_same_most_expressed(make):
    class Same:
        def __len__(self):
            return 16

        def indices(self, begin, end):
            return np.full(end - begin, 7)

    genes = next(iter(make(Same(), context=5)))["genes"]
    assert len({tuple(sorted(row)) for row in genes.tolist()}) > 1
    genes = next(iter(make(Same(), context=5, choice="most_expressed")))["genes"]
    assert len({tuple(row) for row in genes.tolist()}) == 1


def test_ranks_draw_as_one(make, store):
    sampler = UniformSampler(len(store), n_draws=96, seed=1)
    whole = list(make(sampler))
    shares = [list(make(Share(sampler, 8, rank=rank, world_size=2))) for rank in (0, 1)]
    same(whole[::2], shares[0])
    same(whole[1::2], shares[1])


def test_ranks_have_batches_of_one_length(make, store):
    sampler = UniformSampler(len(store), n_draws=100, seed=1)  # the last round is a part of one
    loaders = [make(Share(sampler, 8, rank=rank, world_size=2), min_context=2) for rank in (0, 1)]
    first, second = (list(loader) for loader in loaders)
    lengths = [batch["genes"].shape[1] for batch in first]
    assert lengths == [batch["genes"].shape[1] for batch in second]
    assert len(set(lengths)) > 3
    # as one process that takes the cells of both at a time
    whole = list(make(sampler, batch_size=16, min_context=2))
    same(whole, [{name: torch.cat([a[name], b[name]]) for name in a} for a, b in zip(first, second, strict=True)])
    loaders[1].set_epoch(1)
    assert [batch["genes"].shape[1] for batch in loaders[1]] != lengths
    # those that go on with the third round have its lengths
    rest = make(Share(sampler, 8, rank=1, world_size=2, start=4), min_context=2)
    assert [batch["genes"].shape[1] for batch in rest] == lengths[2:]


def test_a_fixed_panel_keeps_its_order(make, data):
    panel = ["g59", "g3", "g30", "g22"]
    batch = next(iter(make(choice="given", genes=panel, context=None, missing="mask")))
    assert batch["genes"].tolist() == [[59, 3, 30, 22]] * 8
    rows = Uniform(90, 106).indices(0, 8)
    dense = [adata.to_df().reindex(columns=panel, fill_value=0).to_numpy() for _, adata in data]
    assert np.array_equal(batch["counts"].numpy(), [dense[row // 45][row % 45] for row in rows])
    measured = [[gene in set(data[row // 45][1].var_names) for gene in panel] for row in rows]
    assert batch["mask"].tolist() == measured
    few = next(iter(make(genes=[f"g{i}" for i in range(45, 15, -1)], context=20)))
    assert few["genes"].min() >= 16
    assert few["genes"].max() <= 45
    assert torch.equal(few["genes"].sort().values, few["genes"].unique_consecutive(dim=1).sort().values)


def test_resume_in_the_middle_of_an_epoch(make):
    for options in ({"threads": 0}, {"threads": 2, "prefetch": 6}):
        loader = make(**options)
        loader.set_epoch(2)
        whole = list(loader)
        batches = iter(loader)
        for _ in range(5):
            next(batches)
        state = loader.state_dict()
        same(whole[5:], list(batches))
        again = make(**options)
        again.load_state_dict(state)
        assert again.epoch == 2
        same(whole[5:], list(again))
        same(whole, list(again))  # only once
        # with workers: they share what is left
        resumed = make(**options)
        resumed.load_state_dict(state)
        same(whole[5:], list(DataLoader(resumed, batch_size=None, num_workers=2)))
    end = make()
    whole = list(end)
    again = make()
    again.load_state_dict(end.state_dict())
    same(whole, list(again))  # an epoch that has ended leaves none of it


@pytest.mark.parametrize("workers", [0, 2, 3])
def test_stateful_data_loader(make, workers):
    whole = list(make())
    for stop in (1, 6, 13):
        loader = StatefulDataLoader(make(), batch_size=None, num_workers=workers)
        batches = iter(loader)
        same(whole[:stop], [next(batches) for _ in range(stop)])
        state = loader.state_dict()
        again = StatefulDataLoader(make(), batch_size=None, num_workers=workers)
        again.load_state_dict(state)
        same(whole[stop:], list(again))
        same(whole, list(again))


def test_a_state_of_other_workers_is_refused(make):
    loader = make()
    loader.load_state_dict({**loader.state_dict(), "step": 2, "workers": 3})
    with pytest.raises(ValueError, match="saved with 3 workers, it can be continued with as many, not 1"):
        next(iter(loader))


def test_a_state_of_another_run_is_refused(make, store):
    state = make().state_dict()
    for options in ({"seed": 4}, {"batch_size": 9}, {"context": 24}, {"choice": "most_expressed"}, {"genes": GENES}):
        with pytest.raises(ValueError, match="has changed, so the run cannot be continued"):
            make(**options).load_state_dict(state)
    make(threads=0, prefetch=9, read_ahead=2).load_state_dict(state)
    whole = UniformSampler(len(store), n_draws=96, seed=1)
    shares = [make(Share(whole, 8, rank=rank, world_size=world)) for rank, world in ((0, 2), (1, 2), (1, 3))]
    shares[1].load_state_dict(shares[0].state_dict())  # saved by one rank for all
    for other in (shares[2], make(whole), make(Share(UniformSampler(len(store), n_draws=96, seed=2), 8, world_size=2))):
        with pytest.raises(ValueError, match="has changed"):
            other.load_state_dict(shares[0].state_dict())


def test_leaving_early_ends_the_threads(make):
    import threading

    before = threading.active_count()
    for _ in make(threads=2):
        break
    for thread in threading.enumerate():
        if thread.name.startswith("scdataloader"):
            thread.join(10)
    assert threading.active_count() == before


def test_an_error_in_a_thread_is_raised(make):
    class Beyond:
        def __len__(self):
            return 30

        def indices(self, begin, end):
            return np.arange(begin, end) + 80

    with pytest.raises(IndexError, match="there is no cell 90: the store holds 90"):
        list(make(Beyond(), threads=2))


def test_arguments_are_checked_at_once(make, vocabulary):
    for options, message in (
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"threads": -1}, "threads=-1 must be at least 0"),
        ({"prefetch": 0}, "prefetch=0 must be at least 1"),
        ({"read_ahead": -1}, "read_ahead=-1"),
        ({"choice": "best"}, "choice='best'"),
        ({"context": 61}, "set0: 50 of its 50 genes are in the vocabulary, fewer than the context of 61"),
        ({"context": None}, "needs a context"),
        ({"context": 45}, "set1: 39 of its 50 genes are in the vocabulary, fewer than the context of 45"),
        ({"genes": ["g1", "x"]}, r"1 of the 2 given genes are not in the vocabulary, such as \['x'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            make(**options)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_on_a_gpu(make):
    plain = list(make())
    moved = list(make(pin_memory=True, device="cuda", threads=2))
    assert all(tensor.is_cuda for tensor in moved[0].values())
    same(plain, [{name: tensor.cpu() for name, tensor in batch.items()} for batch in moved])
