"""Batches of a sampler's cells over ranks and workers, and runs that continue."""

import itertools
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scdataloader.sampling import (
    Batches,
    BlockSampler,
    Groups,
    SequentialSampler,
    Share,
    ShuffledSampler,
    StratifiedSampler,
    UniformSampler,
    WeightedSampler,
)

LABELS = np.random.default_rng(0).integers(0, 7, (997, 2))
KINDS = {
    "weighted": lambda: WeightedSampler(LABELS, n_draws=1003, seed=3),
    "by cell": lambda: WeightedSampler(LABELS, n_draws=1003, seed=3, cell_weights=1 + np.arange(997.0)),
    "sequential": lambda: SequentialSampler(997),
    "uniform": lambda: UniformSampler(997, n_draws=1003, seed=3),
    "shuffled": lambda: ShuffledSampler(997, seed=3),
    "blocks": lambda: BlockSampler(997, block_size=10, window=4, seed=3),
    "stratified": lambda: StratifiedSampler(LABELS, per_group=12),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def take(iterable, n):
    return list(itertools.islice(iterable, n))


class Numbers(torch.utils.data.Dataset):
    """Each cell's index as its data."""

    def __len__(self):
        return 997

    def __getitem__(self, cell):
        return cell


# ------------------------------------------------------------------------------------------------------------- ranks


@kinds
@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_ranks_make_the_same_sequence_together(kind, world_size):
    single = list(Batches(KINDS[kind](), 10))
    n = len(single) // world_size * world_size  # the rounds in which each rank has a batch
    ranks = [list(Batches(KINDS[kind](), 10, rank=r, world_size=world_size)) for r in range(world_size)]
    assert len({len(batches) for batches in ranks}) == 1
    together = [batch for step in zip(*ranks, strict=True) for batch in step]
    assert together[:n] == single[:n]
    assert list(itertools.chain(*together)) == list(itertools.chain(*single)) == list(KINDS[kind]())


def test_ranks_with_the_same_seed_draw_different_cells():
    first, second = (list(Batches(ShuffledSampler(1000), 50, rank=r, world_size=2)) for r in range(2))
    assert not set(itertools.chain(*first)) & set(itertools.chain(*second))


@given(st.integers(0, 200), st.integers(1, 20), st.integers(1, 6), st.integers(1, 3), st.integers(0, 5), st.booleans())
def test_shares_are_equal_and_complete(n, size, world_size, workers, start, drop_last):
    sampler = UniformSampler(1000, n_draws=n)
    whole = sampler.indices(0, n).tolist()[start * size :]
    ranks = [
        Share(sampler, size, rank=r, world_size=world_size, start=start, drop_last=drop_last) for r in range(world_size)
    ]
    assert len({share.n_batches for share in ranks}) == 1
    batches = [[sampler.indices(*share.span(j)).tolist() for j in range(share.n_batches)] for share in ranks]
    together = [cell for step in zip(*batches, strict=True) for batch in step for cell in batch]
    assert all(0 < len(batch) <= size for rank in batches for batch in rank)
    if drop_last:
        assert together == whole[: len(whole) // (size * world_size) * size * world_size]
    else:
        assert together[: len(whole)] == whole
        repeated = together[len(whole) :]
        assert len(repeated) < world_size
        assert set(repeated) <= set(whole[-1:])
    for share, mine in zip(ranks, batches, strict=True):
        flat = list(itertools.chain(*mine))
        assert len(share) == len(flat)
        begin = len(flat) // 3
        assert share.indices(begin, len(flat)).tolist() == flat[begin:]
        positions = share.positions(begin, len(flat))
        assert [sampler.indices(p, p + 1)[0] for p in positions.tolist()] == flat[begin:]
        lanes = [
            list(
                Batches(
                    sampler,
                    size,
                    rank=share.rank,
                    world_size=world_size,
                    worker=w,
                    workers=workers,
                    drop_last=drop_last,
                )
            )
            for w in range(workers)
        ]
        if start == 0:
            dealt = [batch for step in itertools.zip_longest(*lanes) for batch in step if batch is not None]
            assert dealt == mine


def test_shares_pass_the_epoch_on():
    share = Share(ShuffledSampler(100), 10, rank=1, world_size=2)
    first = share.indices(0, 50).tolist()
    share.set_epoch(2)
    assert share.epoch == share.sampler.epoch == 2
    assert share.indices(0, 50).tolist() != first
    with pytest.raises(ValueError, match="draws 0 to 51 are not among the 50 of this share"):
        share.indices(0, 51)
    with pytest.raises(IndexError, match="no batch 5 of 5"):
        share.span(5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"rank": 2, "world_size": 2}, "rank=2 must lie between 0 and world_size - 1 = 1"),
        ({"rank": -1}, "rank=-1"),
        ({"worker": 1}, "worker=1 must lie between 0 and workers - 1 = 0"),
    ],
)
def test_settings_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        Batches(SequentialSampler(10), **{"batch_size": 2, **arguments})


# ---------------------------------------------------------------------------------------------------------- resuming


@kinds
@pytest.mark.parametrize("done", [0, 1, 37])
def test_batches_continue_in_the_middle_of_an_epoch(kind, done):
    batches = Batches(KINDS[kind](), 10)
    batches.set_epoch(2)
    whole = list(batches)
    iteration = iter(batches)
    assert take(iteration, done) == whole[:done]
    state = batches.state_dict()
    fresh = Batches(KINDS[kind](), 10)
    fresh.load_state_dict(state)
    assert fresh.epoch == 2
    assert fresh.state_dict() == state
    assert len(fresh) == len(whole) - done
    fresh.set_epoch(2)  # as trainers do
    assert list(fresh) == whole[done:]
    assert list(fresh) == whole, "the next iteration is whole again"
    fresh.load_state_dict(state)
    fresh.set_epoch(3)
    batches.set_epoch(3)
    assert list(fresh) == list(batches)


@kinds
def test_samplers_continue_cell_by_cell(kind):
    sampler = KINDS[kind]()
    sampler.set_epoch(1)
    whole = list(sampler)
    take(sampler, 123)
    state = sampler.state_dict()
    assert state["next"] == 123
    fresh = KINDS[kind]()
    fresh.load_state_dict(state)
    assert list(fresh) == whole[123:]
    assert list(fresh) == whole
    fresh.load_state_dict(state)
    fresh.set_epoch(0)
    assert len(list(fresh)) == len(whole), "another epoch begins at its begin"


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 4), st.integers(0, 3))
def test_another_number_of_ranks_continues(before, after, rounds, more):
    sampler = UniformSampler(1000, n_draws=600, seed=1)
    single = list(Batches(sampler, 20))
    states = []
    for r in range(before):
        batches = Batches(sampler, 20, rank=r, world_size=before)
        take(batches, rounds)
        states.append(batches.state_dict())
    assert all(state == states[0] for state in states)
    done = rounds * before
    ranks = []
    for r in range(after):
        batches = Batches(UniformSampler(1000, n_draws=600, seed=1), 20, rank=r, world_size=after)
        batches.load_state_dict(states[0])
        ranks.append(iter(batches))
    # and again after some rounds
    steps = [list(step) for step in itertools.islice(zip(*ranks, strict=True), more)]
    flat = [batch for step in steps for batch in step]
    assert flat == single[done : done + len(flat)] or sum(map(len, flat)) == 600 - 20 * done
    rest = [batch for step in zip(*ranks, strict=True) for batch in step]
    everything = list(itertools.chain(*flat, *rest))
    assert everything[: 600 - 20 * done] == list(itertools.chain(*single[done:]))


def test_workers_continue_each_at_its_place():
    def made(worker):
        return Batches(ShuffledSampler(1000), 10, rank=1, world_size=2, worker=worker, workers=3)

    whole = list(Batches(ShuffledSampler(1000), 10, rank=1, world_size=2))
    states = []
    for worker, done in enumerate([5, 5, 4]):
        batches = made(worker)
        take(batches, done)
        states.append(batches.state_dict())
    rest = []
    for worker, state in enumerate(states):
        batches = made(worker)
        batches.load_state_dict(state)
        rest.append(list(batches))
    dealt = itertools.zip_longest(rest[2], rest[0], rest[1])  # the third is the next in turn
    assert [batch for step in dealt for batch in step if batch is not None] == whole[14:]


def test_a_loader_that_asks_ahead_says_what_was_used():
    batches = Batches(ShuffledSampler(100), 10, world_size=2)
    whole = list(batches)
    take(batches, 4)
    state = batches.state_dict(done=1)
    assert state["next_batch"] == 2
    fresh = Batches(ShuffledSampler(100), 10, world_size=2)
    fresh.load_state_dict(state)
    assert list(fresh) == whole[1:]
    with pytest.raises(ValueError, match="done=5 batches were used, 4 were given"):
        batches.state_dict(done=5)


def test_the_last_batch_and_the_end():
    batches = Batches(SequentialSampler(25), 10)
    iteration = iter(batches)
    assert [len(batch) for batch in take(iteration, 3)] == [10, 10, 5]
    after_all = batches.state_dict()
    assert next(iteration, None) is None
    assert batches.state_dict()["next_batch"] == 0
    batches.load_state_dict(after_all)
    assert list(batches) == []
    assert len(list(batches)) == 3


@pytest.mark.parametrize(
    "other",
    [
        lambda: Batches(WeightedSampler(LABELS[:-1], n_draws=100), 10),
        lambda: Batches(WeightedSampler(LABELS, n_draws=100, scale=51), 10),
        lambda: Batches(WeightedSampler(LABELS[::-1], n_draws=100), 10),
        lambda: Batches(WeightedSampler(LABELS, n_draws=100, cell_weights=np.arange(997)), 10),
        lambda: Batches(WeightedSampler(LABELS, n_draws=101), 10),
        lambda: Batches(UniformSampler(997, n_draws=100), 10),
        lambda: Batches(WeightedSampler(LABELS, n_draws=100), 11),
        lambda: Batches(WeightedSampler(LABELS, n_draws=100), 10, drop_last=True),
        lambda: Batches(WeightedSampler(LABELS, n_draws=100), 10, corpus="another"),
    ],
)
def test_a_state_of_something_else_is_refused_with_both_fingerprints(other):
    ours, theirs = Batches(WeightedSampler(LABELS, n_draws=100), 10), other()
    with pytest.raises(ValueError, match=f"(?s){theirs.fingerprint}.*{ours.fingerprint}.*cannot be continued"):
        ours.load_state_dict(theirs.state_dict())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: SequentialSampler(10), lambda: SequentialSampler(np.arange(10))),
        (lambda: ShuffledSampler(np.arange(10)), lambda: ShuffledSampler(np.arange(10)[::-1])),
        (lambda: BlockSampler(10, window=2), lambda: BlockSampler(10, window=3)),
        (lambda: StratifiedSampler(LABELS, per_group=2), lambda: StratifiedSampler(LABELS, per_group=2, seed=1)),
    ],
)
def test_states_of_samplers_are_refused_too(one, other):
    with pytest.raises(ValueError, match=re.escape(other().fingerprint)):
        one().load_state_dict(other().state_dict())
    again = one()
    again.load_state_dict(one().state_dict())


def test_the_seed_comes_with_the_state():
    first = Batches(UniformSampler(100, seed=8), 10)
    second = Batches(UniformSampler(100, seed=9), 10)
    second.load_state_dict(first.state_dict())
    assert list(second) == list(first)


# ------------------------------------------------------------------------------------------------------ with loaders


@pytest.mark.parametrize("num_workers", [0, 2])
def test_under_a_dataloader(num_workers):
    batches = Batches(WeightedSampler(LABELS, n_draws=205), 10, rank=1, world_size=2)
    loader = torch.utils.data.DataLoader(Numbers(), batch_sampler=batches, num_workers=num_workers)
    assert len(loader) == 11
    for epoch in (0, 1):
        batches.set_epoch(epoch)
        assert [batch.tolist() for batch in loader] == list(batches)
    iteration = iter(loader)
    used = [batch.tolist() for batch in take(iteration, 3)]
    state = batches.state_dict(done=3)
    fresh = Batches(WeightedSampler(LABELS, n_draws=205), 10, rank=1, world_size=2)
    fresh.load_state_dict(state)
    resumed = torch.utils.data.DataLoader(Numbers(), batch_sampler=fresh, num_workers=num_workers)
    assert len(resumed) == 8
    assert used + [batch.tolist() for batch in resumed] == list(batches)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("done", [3, 11])
def test_under_a_stateful_dataloader(num_workers, done):
    torchdata = pytest.importorskip("torchdata.stateful_dataloader", reason="torchdata is not installed")

    def made():
        batches = Batches(WeightedSampler(LABELS, n_draws=205, seed=4), 10, rank=1, world_size=2)
        return batches, torchdata.StatefulDataLoader(Numbers(), batch_sampler=batches, num_workers=num_workers)

    batches, loader = made()
    batches.set_epoch(1)
    whole = list(batches)
    batches.set_epoch(2)
    following = list(batches)
    batches.set_epoch(1)
    iteration = iter(loader)
    assert [batch.tolist() for batch in take(iteration, done)] == whole[:done]
    state = loader.state_dict()
    fresh, resumed = made()
    resumed.load_state_dict(state)
    assert [batch.tolist() for batch in resumed] == whole[done:]
    fresh.set_epoch(2)
    assert [batch.tolist() for batch in resumed] == following


def test_a_sampler_under_a_stateful_dataloader():
    torchdata = pytest.importorskip("torchdata.stateful_dataloader", reason="torchdata is not installed")

    def made():
        sampler = ShuffledSampler(997, seed=4)
        return torchdata.StatefulDataLoader(Numbers(), sampler=sampler, batch_size=20)

    whole = [batch.tolist() for batch in made()]
    loader = made()
    take(loader, 7)
    state = loader.state_dict()
    resumed = made()
    resumed.load_state_dict(state)
    assert [batch.tolist() for batch in resumed] == whole[7:]


def test_mapped_groups_go_to_workers(tmp_path):
    Groups.from_labels(LABELS).save(tmp_path / "groups")
    sampler = WeightedSampler(Groups.open(tmp_path / "groups"), n_draws=60, seed=1)

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            info = torch.utils.data.get_worker_info()
            return iter(Batches(sampler, 10, worker=info.id, workers=info.num_workers))

    loader = torch.utils.data.DataLoader(Stream(), batch_size=None, num_workers=2)
    assert [list(batch) for batch in loader] == list(Batches(sampler, 10))
