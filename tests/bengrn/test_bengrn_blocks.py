"""Networks whose targets are kept, gone on with, spread over a cluster and told of."""

from __future__ import annotations

import io
import logging
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from bengrn.methods.trees import blocks, targets
from bengrn.methods.trees.blocks import each_block
from bengrn.methods.trees.genie3 import genie3
from bengrn.methods.trees.grnboost2 import grnboost2

BLOCKS = [np.arange(3), np.arange(3, 6), np.arange(6, 8)]


@pytest.fixture
def values() -> np.ndarray:
    """Counts of 40 genes in 60 cells: three blocks of targets."""
    rng = np.random.default_rng(0)
    return rng.poisson(rng.gamma(0.5, 2, (60, 40))).astype(float)


def run(values, seed=0, method=grnboost2, **options):
    return method(values, np.arange(10), np.random.default_rng(seed), n_trees=5, threads=1, **options)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*"))


def test_an_interrupted_network_goes_on_where_it_was(values, tmp_path, monkeypatch):
    whole = run(values)
    real, done = targets.predict_block, []

    def interrupted(shared, block):
        if done:
            raise KeyboardInterrupt
        done.append(block)
        return real(shared, block)

    monkeypatch.setattr(targets, "predict_block", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(values, work=str(tmp_path))
    assert len(files(tmp_path)) == 1
    asked = []
    monkeypatch.setattr(targets, "predict_block", lambda shared, block: asked.append(len(block)) or real(shared, block))
    np.testing.assert_array_equal(run(values, work=str(tmp_path)), whole)
    assert asked == [16, 8]
    # Now all of it is there; a damaged file is made again.
    files(tmp_path)[1].write_bytes(files(tmp_path)[1].read_bytes()[:200])
    np.testing.assert_array_equal(run(values, work=str(tmp_path)), whole)
    assert asked in ([16, 8, 16], [16, 8, 8])
    # Cells and genes in another order are the same network, another seed, value or setting is not.
    cells = np.random.default_rng(1).permutation(60)
    np.testing.assert_array_equal(run(values[cells], work=str(tmp_path)), whole)
    assert len(asked) == 3
    for other, options in [(values, {"seed": 1}), (values + (values == 3), {}), (values, {"learning_rate": 0.02})]:
        run(other, work=str(tmp_path), **options)
    run(values, method=genie3, work=str(tmp_path))
    assert len(asked) == 3 + 4 * 3
    assert len(list(tmp_path.iterdir())) == 5


def test_blocks_of_a_folder_come_first_and_none_is_written_twice(tmp_path):
    def double(shared, block):
        return np.tile(np.float32(2 * block)[:, None], shared)

    made = each_block(double, 4, BLOCKS[:2], width=4, threads=2, folder=tmp_path)
    first = {int(block[0]): found for block, found in made}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.npy", "3.npy"]
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = list(each_block(double, 4, BLOCKS, width=4, threads=2, folder=tmp_path))
    assert [int(block[0]) for block, _ in again] == [0, 3, 6]
    for block, found in again:
        np.testing.assert_array_equal(found, np.tile(2 * block[:, None], 4))
    np.testing.assert_array_equal(first[3], again[1][1])
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in times} == times


def test_what_a_block_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        list(each_block(lambda *_: 1 / 0, None, BLOCKS, width=1, threads=2))


def test_progress_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    clock = iter(range(0, 1000, 55))
    monkeypatch.setattr(blocks.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(sys, "stderr", Terminal())
    even = [np.arange(at, at + 2) for at in (0, 2, 4)]
    list(each_block(lambda _, block: np.zeros((len(block), 1), np.float32), None, even, width=1, threads=1))
    said = sys.stderr.getvalue().replace("\x1b[K", "").split("\r")
    # 55 s a block of 2 targets.
    assert said[1:] == [f"{done} of 6 targets, about {left} s left " for done, left in [(2, 110), (4, 55), (6, 0)]] + [
        ""
    ]


@pytest.mark.slow
def test_a_cluster_of_which_a_worker_dies_makes_the_local_network(values, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    marker, real = tmp_path / "died", targets.predict_block

    def dying(shared, block):
        if 20 in block and not marker.exists():
            marker.touch()
            os._exit(1)
        return real(shared, block)

    monkeypatch.setattr(targets, "predict_block", dying)
    options = {"dashboard_address": ":0", "silence_logs": logging.CRITICAL}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, **options) as cluster:
        spread = run(values, method=genie3, scheduler=cluster.scheduler_address, work=str(tmp_path / "work"))
    assert marker.exists()
    np.testing.assert_array_equal(spread, run(values, method=genie3))
    assert len(files(tmp_path / "work")) == 3
