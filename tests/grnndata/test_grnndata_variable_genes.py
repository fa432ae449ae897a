"""The genes that vary most between cells."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from scipy import sparse

from grnndata import tl


def cells(counts, **obs):
    counts = np.asarray(counts)
    names = pd.DataFrame(index=list("abcdefghijklmnop"[: counts.shape[1]]))
    index = [f"cell {i}" for i in range(len(counts))]
    return AnnData(sparse.csr_matrix(counts), obs=pd.DataFrame(obs, index=index), var=names)


def test_by_hand():
    # depth 10 each: b does not vary, c hardly
    data = cells([[0, 4, 2, 1, 3], [0, 4, 1, 0, 5], [0, 4, 1, 5, 0]])
    assert tl.most_variable_genes(data, 2).tolist() == ["d", "e"]
    assert tl.most_variable_genes(data, 9).tolist() == ["b", "c", "d", "e"]  # no cell expresses a
    assert tl.most_variable_genes(data, 0).tolist() == []


def test_are_those_of_the_variance_of_numpy(tmp_path):
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(0.5, 6, size=16), size=(40, 16))
    data = cells(counts)
    variance = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).var(axis=0)
    expected = data.var_names[np.sort(np.argsort(-variance)[:5])].tolist()
    assert tl.most_variable_genes(data, 5).tolist() == expected
    data.X = counts
    assert tl.most_variable_genes(data, 5).tolist() == expected
    data.write_h5ad(tmp_path / "cells.h5ad")
    assert tl.most_variable_genes(read_h5ad(tmp_path / "cells.h5ad", backed="r"), 5).tolist() == expected


def test_equal_variances_rank_in_the_order_of_the_data():
    assert tl.most_variable_genes(cells([[3, 0, 1], [0, 3, 1]]), 1).tolist() == ["a"]


def test_genes_of_the_same_counts_in_other_cells_tie():
    rng = np.random.default_rng(1)
    values = rng.poisson(3, size=200)
    counts = np.column_stack([rng.permutation(values) for _ in range(16)])
    depth = np.full(200, 1000)
    logged = np.log1p(counts / 1000 * 1e4)
    variance = (logged**2).mean(axis=0) - logged.mean(axis=0) ** 2
    assert len(np.unique(variance)) > 1  # rounding tells them apart, by the order in which a processor adds
    assert tl.most_variable_genes(cells(counts, total_counts=depth), 5).tolist() == list("abcde")


def test_total_counts_are_the_depth():
    # by their own sums both genes vary alike; of the depth that is stated, a does not vary at all
    data = cells([[1, 3], [2, 1]], total_counts=[100, 200])
    assert tl.most_variable_genes(data, 1).tolist() == ["b"]
    data = cells([[0, 5, 5, 0, 1], [0, 5, 5, 9, 0], [0, 5, 5, 0, 0]], total_counts=100)
    assert tl.most_variable_genes(data, 2).tolist() == ["d", "e"]
    assert tl.most_variable_genes(data, 9).tolist() == ["b", "c", "d", "e"]


def test_unusable_input():
    with pytest.raises(ValueError, match="X is empty"):
        tl.most_variable_genes(AnnData(obs=pd.DataFrame(index=["x"]), var=pd.DataFrame(index=["a"])), 1)
    with pytest.raises(ValueError, match="at least 0, got -1"):
        tl.most_variable_genes(cells([[1, 2]]), -1)
