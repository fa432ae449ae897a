"""Differences of networks out of cells: of replicates, and within a sample."""

import logging

import anndata
import numpy as np
import pandas as pd
import pytest

import grnndata
from grnndata.tools import (
    differential_edges,
    differential_edges_of_cells,
    differential_hubs,
    differential_hubs_of_cells,
    differential_overlap,
    differential_overlap_of_cells,
    replicate_networks,
)

N_GENES = 80


class Correlation:
    """|Pearson correlation| of log counts per 10,000, and a note of the cells that it was given."""

    name = "correlation"

    def __init__(self):
        self.seen = []

    def infer(self, adata, *, regulators=None, rng=None):  # noqa: ARG002 (nothing is random here)
        self.seen.append(list(adata.obs_names))
        counts = np.asarray(adata.X, dtype=float)
        counts = counts[counts.sum(axis=1) > 0]
        values = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
        values -= values.mean(axis=0)
        length = np.sqrt((values**2).sum(axis=0))
        values /= np.where(length > 0, length, 1)
        weights = np.abs(values.T @ values).astype(np.float32)
        np.fill_diagonal(weights, 0)
        if regulators is not None:
            weights[~adata.var_names.isin(regulators)] = 0
        return grnndata.from_matrix(weights, list(adata.var_names), method=self.name, directed=regulators is not None)


def simulated(seed, *, n_cells=100, both=False):
    """Cells of eight donors, four in each group (or all in both), which differ in means, depth and co-expression."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(0.5, 1, N_GENES)
    in_program = rng.random((N_GENES, 4)) < 0.3
    loading = rng.normal(0, 0.5, (N_GENES, 4)) * in_program
    parts, obs = [], []
    for donor in range(8):
        own = loading + in_program * rng.normal(0, 0.3, loading.shape)
        shift, depth = rng.normal(0, 0.3, N_GENES), rng.normal(0, 0.3)
        for group in "ab" if both else "a" if donor < 4 else "b":
            rate = np.exp(mean + shift + rng.normal(size=(n_cells, 4)) @ own.T)
            depths = 250 * np.exp(depth + rng.normal(0, 0.5, n_cells))
            parts.append(rng.poisson(rate / rate.sum(axis=1, keepdims=True) * depths[:, None]))
            obs += [(group, f"donor {donor}")] * n_cells
    table = pd.DataFrame(obs, columns=["group", "donor"], index=[f"cell {i}" for i in range(len(obs))])
    var = pd.DataFrame(index=[f"g{i:02d}" for i in range(N_GENES)])
    return anndata.AnnData(np.vstack(parts).astype(np.float32), obs=table, var=var)


def test_every_donor_gives_a_network_of_as_many_cells():
    cells = simulated(0, n_cells=40)
    cells = cells[np.r_[0:25, 40:320]].copy()  # donor 0 has 25 cells, the others 40
    method = Correlation()
    networks = replicate_networks(cells, method, groupby="group", replicate="donor")
    assert [list(part) for part in networks.values()] == [
        [f"donor {i}" for i in range(4)],
        [f"donor {i}" for i in range(4, 8)],
    ]
    assert [len(seen) for seen in method.seen] == [25] * 8
    for donor, seen in enumerate(method.seen):
        assert (cells.obs.loc[seen, "donor"] == f"donor {donor}").all()
        assert len(set(seen)) == 25
    options = {"groupby": "group", "replicate": "donor"}
    table = differential_hubs_of_cells(cells, Correlation(), **options)
    pd.testing.assert_frame_equal(table, differential_hubs(networks["a"], networks["b"]))
    edges = differential_edges_of_cells(cells, Correlation(), top_edges=50, **options)
    pd.testing.assert_frame_equal(edges, differential_edges(networks["a"], networks["b"], top_edges=50))
    overlap = differential_overlap_of_cells(cells, Correlation(), top_k=5, **options)
    pd.testing.assert_series_equal(overlap, differential_overlap(networks["a"], networks["b"], top_k=5))
    assert table.attrs["test"].startswith("replicates: labels of 4 + 4 networks exchanged, in all 70 ways")
    turned = differential_hubs_of_cells(cells, Correlation(), groups=("b", "a"), **options)
    assert turned["difference"].std() == pytest.approx(table["difference"].std(), rel=0.5)  # other cells are drawn
    assert turned.set_index("gene")["difference"].corr(-table.set_index("gene")["difference"]) > 0.5
    again = replicate_networks(cells, Correlation(), **options, seed=1)
    assert (again["a"]["donor 1"].grn != networks["a"]["donor 1"].grn).any()


def test_the_order_of_the_file_changes_nothing():
    cells = simulated(4, n_cells=20)
    moved = cells[np.random.default_rng(0).permutation(cells.n_obs)].copy()
    for options in ({"replicate": "donor", "n_cells": 15}, {"permutations": 5, "n_cells": 60}):
        one, other = (
            differential_hubs_of_cells(adata, Correlation(), groupby="group", **options) for adata in (cells, moved)
        )
        pd.testing.assert_frame_equal(one, other)


def test_small_replicates_and_missing_labels_are_told(caplog):
    cells = simulated(1, n_cells=30)
    few = cells[np.r_[0:5, 30:240]].copy()
    options = {"groupby": "group", "replicate": "donor"}
    with pytest.raises(ValueError, match="donor 'donor 0' has 5 cells in group 'a', and every other would be cut"):
        replicate_networks(few, Correlation(), **options)
    with caplog.at_level(logging.WARNING, logger="grnndata"):
        networks = replicate_networks(few, Correlation(), n_cells=20, **options)
    assert list(networks["a"]) == ["donor 1", "donor 2", "donor 3"]
    assert "1 network left out, with fewer than n_cells=20 cells: 'donor 0 (a)'" in caplog.text
    with pytest.raises(ValueError, match="no 'donor' of 'a', 'b' has n_cells=31 cells"):
        replicate_networks(cells, Correlation(), n_cells=31, **options)
    unknown = cells.copy()
    unknown.obs.loc["cell 3", "donor"] = None
    with pytest.raises(ValueError, match=r"obs\['donor'\] is missing in 1 of 120 cells of a group"):
        replicate_networks(unknown, Correlation(), **options)
    with pytest.raises(KeyError, match="'condition' is no column of obs: 'group', 'donor'"):
        replicate_networks(cells, Correlation(), groupby="condition", replicate="donor")
    with pytest.raises(ValueError, match=r"obs\['donor'\] holds 8 groups .*: name two with groups="):
        replicate_networks(cells, Correlation(), groupby="donor", replicate="group")
    with pytest.raises(ValueError, match=r"groups must be two different ones of obs\['group'\] \('a', 'b'\), got"):
        replicate_networks(cells, Correlation(), groups=("a", "c"), **options)


def test_donors_in_both_groups_are_pairs(caplog):
    cells = simulated(2, n_cells=20, both=True)
    options = {"groupby": "group", "replicate": "donor"}
    networks = replicate_networks(cells, Correlation(), **options)
    table = differential_hubs_of_cells(cells, Correlation(), **options)
    pd.testing.assert_frame_equal(table, differential_hubs(networks["a"], networks["b"], paired=True))
    assert (table["smallest_p"] == 2 / 2**8).all()
    with pytest.raises(ValueError, match="are in both groups, so that their networks are pairs"):
        differential_hubs_of_cells(cells, Correlation(), paired=False, **options)
    part = cells[20:].copy()  # donor 0 is in group b only
    with caplog.at_level(logging.WARNING, logger="grnndata"):
        found = differential_hubs_of_cells(part, Correlation(), **options)
    assert "one group only has them: 'donor 0'" in caplog.text
    assert (found["smallest_p"] == 2 / 2**7).all()
    with pytest.raises(ValueError, match="no 'donor' is in both 'a' and 'b'"):
        differential_hubs_of_cells(simulated(2, n_cells=20), Correlation(), paired=True, **options)


def test_without_replicates_the_test_is_within_the_sample_and_called_so():
    cells = simulated(3, n_cells=25)
    method = Correlation()
    table = differential_hubs_of_cells(cells, method, groupby="group", permutations=19, n_cells=60)
    assert list(table.columns[-3:]) == ["p_within_sample", "q_within_sample", "smallest_p"]
    assert not {"p_value", "q_value", "p_moderated"} & set(table.columns)
    assert table.attrs["test"].startswith("within the sample: labels of 60 + 60 cells exchanged 19 times")
    assert (table["smallest_p"] == 1 / 20).all()
    assert table["p_within_sample"].between(1 / 20, 1).all()
    assert len(method.seen) == 2 * (1 + 19)
    chosen = set(method.seen[0]) | set(method.seen[1])
    assert (cells.obs.loc[method.seen[0], "group"] == "a").all()
    for one, other in zip(method.seen[2::2], method.seen[3::2], strict=True):
        assert len(one) == len(other) == 60
        assert set(one) | set(other) == chosen
    edges = differential_edges_of_cells(cells, Correlation(), groupby="group", permutations=19, top_edges=30)
    # The strongest of all cells together, which no exchange of labels changes.
    strongest = Correlation().infer(cells).edges(top_k=60)
    assert set(map(frozenset, edges[["source", "target"]].to_numpy())) == set(
        map(frozenset, strongest[["source", "target"]].to_numpy())
    )
    assert edges["p_within_sample"].between(1 / 20, 1).all()
    overlap = differential_overlap_of_cells(cells, Correlation(), groupby="group", permutations=19, top_k=5)
    assert list(overlap.index) == ["between", "expected", "p_within_sample", "smallest_p"]
    same = differential_hubs_of_cells(cells, Correlation(), groupby="group", permutations=19, n_cells=60)
    pd.testing.assert_frame_equal(table, same)
    with pytest.raises(ValueError, match="paired=True takes replicates"):
        differential_hubs_of_cells(cells, Correlation(), groupby="group", paired=True)
    with pytest.raises(ValueError, match="within a sample the statistic is 'difference', got 'rank'"):
        differential_hubs_of_cells(cells, Correlation(), groupby="group", statistic="rank")
    with pytest.raises(ValueError, match="a group has 100 cells, fewer than n_cells=101"):
        differential_hubs_of_cells(cells, Correlation(), groupby="group", n_cells=101)
    with pytest.raises(ValueError, match="permutations must be a positive whole number, got 0"):
        differential_hubs_of_cells(cells, Correlation(), groupby="group", permutations=0)
