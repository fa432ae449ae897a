"""Work on a Dask cluster: what fails, dies and is lost; and clusters that cannot be used."""

from __future__ import annotations

import logging
import os

import pytest

from bengrn import _dask
from bengrn._dask import connected, on_cluster

distributed = pytest.importorskip("distributed")


def local(**options):
    return distributed.LocalCluster(dashboard_address=":0", silence_logs=logging.CRITICAL, **options)


@pytest.fixture
def cluster():
    with local(n_workers=1, threads_per_worker=2, processes=False) as found:
        yield found


@pytest.mark.slow
def test_an_item_whose_worker_dies_goes_to_another(tmp_path):
    marker = tmp_path / "died"

    def work(shared, item):
        if item == 3 and not marker.exists():
            marker.touch()
            os._exit(1)
        if item == 4:
            raise ValueError("item 4")
        return shared["base"] + item

    with local(n_workers=2, threads_per_worker=1) as many, connected(many.scheduler_address) as client:
        found = dict(on_cluster(work, [0, 1, 2, 3, 4], client=client, shared={"base": 10}))
    assert marker.exists()
    assert isinstance(found.pop(4), ValueError)
    assert found == {0: 10, 1: 11, 2: 12, 3: 13}


def test_results_and_exceptions_by_place(cluster):
    with connected(cluster.scheduler_address) as client:
        found = dict(on_cluster(int, ["5", "x", "7"], client=client, retries=0))
        assert client.status == "running"
    assert (found[0], found[2]) == (5, 7)
    assert isinstance(found[1], ValueError)


def test_tasks_whose_data_were_lost_are_sent_again(cluster):
    lost = []

    class Losing(distributed.Client):
        def submit(self, *arguments, **options):
            future = super().submit(*arguments, **options)
            if len(lost) < 2:
                lost.append(options["key"])
                future.cancel(force=True)
            return future

    with Losing(cluster.scheduler_address, set_as_default=False) as client:
        assert dict(on_cluster(pow, [1, 2, 3], client=client, shared=2)) == {0: 2, 1: 4, 2: 8}
    assert len(lost) == 2


def test_clusters_that_cannot_be_used(cluster, monkeypatch):
    monkeypatch.setattr(_dask, "_PATIENCE", 1)
    with pytest.raises(ConnectionError, match=r"no Dask scheduler answers at 'tcp://127.0.0.1:9'.*`dask scheduler`"):
        connected("tcp://127.0.0.1:9").__enter__()
    with pytest.raises(ConnectionError, match="no Dask scheduler answers at 'nonsense://a'"):
        connected("nonsense://a").__enter__()
    versions = iter(["3.0.0", "2.9.0"])
    monkeypatch.setattr(_dask, "version", lambda _: next(versions))
    with pytest.raises(RuntimeError, match=r"1 of 1 workers have another bengrn than 3.0.0: .* has bengrn 2.9.0"):
        connected(cluster.scheduler_address).__enter__()
    with (
        local(n_workers=0, processes=False) as empty,
        pytest.raises(ConnectionError, match=r"has no workers: start some, `dask worker inproc"),
    ):
        connected(empty.scheduler_address).__enter__()


def test_without_distributed(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(ImportError, match=r"pip install bengrn\[dask\]"):
        connected("tcp://127.0.0.1:9").__enter__()
