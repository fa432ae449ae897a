"""Which genes come into a batch."""

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse, stats

from scdataloader import CellDataset, LabelSpace
from scdataloader.collate import (
    NO_GENE,
    Collator,
    ScPrintFormat,
    all_measured,
    given_genes,
    most_expressed,
    most_variable,
    random_expressed,
    variance_ranking,
)
from scdataloader.collate.gene_choice import LogMoments
from scdataloader.genes import GeneVocabulary

IDS = tuple(f"ENSG{i:011d}" for i in range(12))
MEASURED = np.array([0, 1, 3, 4, 5, 7, 8, 9, 11, -1])  # 2, 6 and 10 are not; the last is unknown


@pytest.fixture
def vocabulary():
    return GeneVocabulary(IDS, tuple(f"G{i}" for i in range(12)), ("NCBITaxon:9606",) * 12, np.arange(12) // 2 + 1)


SPACE = LabelSpace.from_obs([pd.DataFrame({"batch": ["p", "q"], "donor": ["x", "y"]})], ["batch", "donor"])


def source(rows, measured=MEASURED):
    """A data set over some genes of the vocabulary; each row is a pair of genes and their counts."""
    ids = [IDS[i] if i >= 0 else "unknown" for i in measured]
    counts = np.zeros((len(rows), len(ids)))
    for i, (genes, values) in enumerate(rows):
        counts[i, [list(measured).index(gene) for gene in genes]] = list(values)
    obs = pd.DataFrame({"batch": ["q"] * len(rows), "total_counts": [100.0] * len(rows)})
    obs.index = [f"c{i}" for i in range(len(rows))]
    return anndata.AnnData(sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=ids))


def dataset(collator, *sources):
    """Cells of data sets, each a list of rows or made by `source`; the first is called "data"."""
    named = [
        (f"data{i}" if i else "data", s if isinstance(s, anndata.AnnData) else source(s)) for i, s in enumerate(sources)
    ]
    return CellDataset(named, collator.vocabulary, SPACE, collator=collator)


def batch_of(collator, *sources):
    """All cells of some data sets in one batch."""
    cells = dataset(collator, *sources)
    return cells.__getitems__(range(len(cells)))


def expressed_and_measured():
    sizes = st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))
    return st.tuples(sizes, st.integers(0, 2**32 - 1))


@given(expressed_and_measured())
def test_fixed_contexts_are_measured_unique_and_expressed_first(case):
    (n_measured, n_expressed, size), seed = case
    rng = np.random.default_rng(seed)
    measured = np.sort(rng.permutation(100)[:n_measured])
    expressed = np.sort(rng.permutation(measured)[:n_expressed])
    counts = rng.integers(1, 4, n_expressed)
    for chosen in (
        random_expressed(expressed, measured, size, rng),
        most_expressed(expressed, counts, measured, size, rng),
    ):
        assert len(chosen) == len(set(chosen)) == size
        assert set(chosen) <= set(measured)
        assert np.isin(chosen, expressed).sum() == min(size, n_expressed)
        assert np.isin(chosen[: min(size, n_expressed)], expressed).all()


def test_variable_genes_of_cells_without_any_count_are_all_alike():
    moments = LogMoments(4)
    moments.add(sparse.csr_matrix((3, 4), dtype=np.int64), np.zeros(3))
    assert sorted(moments.ranking(np.random.default_rng(0)).tolist()) == [0, 1, 2, 3]
    moments.add(sparse.csr_matrix(np.array([[0, 5, 0, 0]])), np.array([5]))
    assert moments.ranking(np.random.default_rng(0))[0] == 1


def test_cells_without_counts_get_unexpressed_genes():
    rng = np.random.default_rng(0)
    nothing, measured = np.array([], dtype=np.int64), np.arange(10)
    for draw in (
        lambda: random_expressed(nothing, measured, 4, rng),
        lambda: most_expressed(nothing, nothing, measured, 4, rng),
    ):
        drawn = np.concatenate([draw() for _ in range(1500)])
        assert len(drawn) == 6000
        assert stats.chisquare(np.bincount(drawn, minlength=10)).pvalue > 1e-3


def test_variance_ranking_by_hand():
    # depth 10,000 in each cell: the logarithm is of 1 + count
    counts = np.array([[0, 3, 1, 0, 7], [0, 3, 0, 0, 0], [0, 3, 1, 0, 0], [0, 3, 0, 0, 7]])
    totals = np.full(4, 1e4)
    expected = np.log1p(counts).var(axis=0)
    assert np.argsort(-expected)[:2].tolist() == [4, 2]
    draws = [variance_ranking(sparse.csr_matrix(counts), totals, np.random.default_rng(s)) for s in range(60)]
    assert {tuple(d[:2]) for d in draws} == {(4, 2)}
    assert {int(d[2]) for d in draws} == {0, 1, 3}  # no variance, constant or absent: ties at random


def test_variance_ranking_agrees_with_dense_numbers():
    rng = np.random.default_rng(1)
    counts = rng.poisson(rng.gamma(1, 1, 30), (50, 30))
    totals = counts.sum(axis=1) * rng.uniform(1, 3, 50)
    logged = np.log1p(counts / totals[:, None] * 1e4)
    ranking = variance_ranking(sparse.csr_matrix(counts), totals, rng)
    assert ranking.tolist() == np.argsort(-logged.var(axis=0)).tolist()


def test_lists_keep_their_order():
    assert most_variable(np.array([7, 2, 5, 1]), np.array([1, 2, 5]), 2).tolist() == [2, 5]
    with pytest.raises(ValueError, match="context of 3 genes was asked for, but only 2 of the 4 ranked genes"):
        most_variable(np.array([7, 2, 5, 1]), np.array([1, 2]), 3)
    genes, present = given_genes(np.array([9, 2, 4]), np.array([1, 4, 9]))
    assert genes.tolist() == [9, 2, 4]
    assert present.tolist() == [True, False, True]
    assert all_measured(np.array([4, 1, 9])).tolist() == [1, 4, 9]


def test_counts_follow_the_genes(vocabulary):
    collate = Collator(vocabulary=vocabulary, context=4, choice="most_expressed")
    other = source([([0, 3], [1, 1])])
    batch = batch_of(collate, other, [([1, 4, 5, 9, 11], [2, 9, 3, 1, 7])])
    batch = {name: values[1:] for name, values in batch.items()}
    assert batch["genes"].tolist() == [[4, 11, 5, 1]]
    assert batch["counts"].tolist() == [[9, 7, 3, 2]]
    assert batch["total_counts"].tolist() == [100]
    assert batch["labels"].tolist() == [[1, -1]]
    assert batch["dataset"].tolist() == [1]
    assert {key: value.dtype for key, value in batch.items()} == {
        "genes": torch.int64,
        "counts": torch.float32,
        "total_counts": torch.float32,
        "labels": torch.int64,
        "dataset": torch.int64,
    }


def test_padding_is_with_measured_genes_only(vocabulary):
    collate = Collator(vocabulary=vocabulary, context=9)
    batch = batch_of(collate, [([3, 8], [2, 5])] * 4)
    for genes, counts in zip(batch["genes"].tolist(), batch["counts"].tolist(), strict=True):
        assert sorted(genes) == [0, 1, 3, 4, 5, 7, 8, 9, 11]
        assert set(genes[:2]) == {3, 8}
        assert dict(zip(genes, counts, strict=True)) == dict.fromkeys(genes, 0) | {3: 2, 8: 5}


def test_most_variable_gives_all_cells_the_same_genes(vocabulary):
    collate = Collator(
        vocabulary=vocabulary, context=3, choice="most_variable", genes=[IDS[i] for i in (2, 8, 0, 5, 1)]
    )
    batch = batch_of(collate, [([0, 5], [4, 6]), ([8], [1])])
    assert batch["genes"].tolist() == [[8, 0, 5]] * 2  # 2 was not measured
    assert batch["counts"].tolist() == [[0, 4, 6], [1, 0, 0]]
    ranked = Collator(vocabulary=vocabulary, context=2, choice="most_variable", genes=[IDS[6], IDS[9], IDS[3], IDS[0]])
    assert batch_of(ranked, [([3], [2])])["genes"].tolist() == [[9, 3]]
    own = Collator(vocabulary=vocabulary, context=3, choice="most_variable")
    with pytest.raises(ValueError, match="data: the most variable genes need a ranking"):
        own.panel("data", MEASURED)
    with pytest.raises(ValueError, match="data: a context of 3 genes was asked for, but only 1 of the 2 ranked"):
        own.panel("data", MEASURED, ranking=np.array([2, 8]))


def test_each_data_set_has_its_own_most_variable_genes(vocabulary):
    collate = Collator(vocabulary=vocabulary, context=2, choice="most_variable")
    first = source([([0, 3], [9, 5]), ([3], [5]), ([3, 4], [5, 2]), ([3], [5])])  # 3 is the same everywhere
    second = source([([7, 8], [1, 8]), ([7], [1]), ([7, 5], [1, 3])], measured=np.array([5, 7, 8]))
    batch = batch_of(collate, first, second)
    assert batch["genes"].tolist() == [[0, 4]] * 4 + [[8, 5]] * 3
    assert batch["counts"].tolist() == [[9, 0], [0, 0], [0, 2], [0, 0], [8, 0], [0, 0], [0, 3]]


def test_given_genes_come_in_their_own_order(vocabulary):
    collate = Collator(vocabulary=vocabulary, choice="given", genes=[IDS[9], IDS[0], IDS[4]])
    batch = batch_of(collate, [([4, 9], [6, 2])])
    assert batch["genes"].tolist() == [[9, 0, 4]]
    assert batch["counts"].tolist() == [[2, 0, 6]]
    assert "mask" not in batch


def test_given_genes_that_were_not_measured(vocabulary):
    wanted = [IDS[10], IDS[4], IDS[2], IDS[0]]
    strict = Collator(vocabulary=vocabulary, choice="given", genes=wanted)
    with pytest.raises(ValueError, match=rf"data: 2 of the 4 given genes were not measured, such as \['{IDS[10]}', "):
        batch_of(strict, [([4], [6])])
    collate = Collator(vocabulary=vocabulary, choice="given", genes=wanted, missing="mask")
    batch = batch_of(collate, [([4], [6])])
    assert batch["genes"].tolist() == [[10, 4, 2, 0]]
    assert batch["mask"].tolist() == [[False, True, False, True]]
    assert batch["counts"].tolist() == [[0, 6, 0, 0]]
    both = batch_of(collate, [([4], [6])], source([([2], [1])], measured=np.arange(12)))
    assert both["mask"].all(dim=1).tolist() == [False, True]
    with pytest.raises(ValueError, match=r"1 of the 2 given genes are not in the vocabulary, such as \['Rho'\]"):
        Collator(vocabulary=vocabulary, choice="given", genes=["Rho", IDS[0]])
    with pytest.raises(ValueError, match="1 gene is given more than once"):
        Collator(vocabulary=vocabulary, choice="given", genes=[IDS[0], IDS[1], IDS[0]])


def test_all_measured_genes_of_different_data_sets(vocabulary):
    collate = Collator(vocabulary=vocabulary, choice="all")
    batch = batch_of(collate, [([3], [2])], source([([6], [5])], measured=np.array([-1, 6, 2])))
    assert batch["genes"].tolist() == [[0, 1, 3, 4, 5, 7, 8, 9, 11], [2, 6] + [NO_GENE] * 7]
    assert batch["mask"].sum(dim=1).tolist() == [9, 2]
    assert batch["counts"].sum(dim=1).tolist() == [2, 5]
    capped = Collator(vocabulary=vocabulary, choice="all", context=8)
    with pytest.raises(ValueError, match="data: 9 of its 10 genes are in the vocabulary, more than the context of 8"):
        capped.panel("data", MEASURED)


@pytest.mark.parametrize("choice", ["random_expressed", "most_expressed"])
def test_variable_contexts_are_as_wide_as_the_longest_cell(vocabulary, choice):
    collate = Collator(vocabulary=vocabulary, context=4, choice=choice, variable_context=True)
    rows = [([3, 8], [2, 5]), ([], []), ([0, 1, 9], [1, 1, 1])]
    batch = batch_of(collate, rows)
    assert batch["genes"].shape == (3, 3)
    assert batch["mask"].tolist() == [[True, True, False], [False] * 3, [True] * 3]
    assert (batch["counts"] > 0).equal(batch["mask"])
    assert batch["genes"][~batch["mask"]].unique().tolist() == [NO_GENE]
    assert set(batch["genes"][2].tolist()) == {0, 1, 9}
    full = ([0, 1, 3, 4, 5, 7], [9, 8, 1, 7, 6, 1])
    chosen = batch_of(collate, [full, *rows])["genes"][0].tolist()
    assert len(set(chosen)) == 4
    assert choice == "random_expressed" or chosen == [0, 1, 4, 5]
    assert batch_of(collate, [rows[1]])["genes"].tolist() == [[NO_GENE]]  # never without a column


def test_variable_context_clips_to_what_was_measured(vocabulary):
    ranking = [IDS[i] for i in range(11, -1, -1)]
    collate = Collator(vocabulary=vocabulary, context=50, choice="most_variable", genes=ranking, variable_context=True)
    assert batch_of(collate, [([3], [1])])["genes"].tolist() == [[11, 9, 8, 7, 5, 4, 3, 1, 0]]
    fixed = Collator(vocabulary=vocabulary, context=10)
    with pytest.raises(ValueError, match=r"data: 9 of its 10 genes .* fewer than the context of 10: use a smaller"):
        fixed.panel("data", MEASURED)


def test_random_context_lengths(vocabulary):
    collate = Collator(vocabulary=vocabulary, context=7, min_context=3, seed=5)
    cells = dataset(collate, [([0, 1, 3, 4, 5, 7, 8], range(1, 8))] * 301)
    widths = []
    for i in range(300):
        batch = cells.__getitems__([i, i + 1])
        assert torch.equal(batch["genes"], cells.__getitems__([i, i + 1])["genes"])
        assert "mask" not in batch
        widths.append(batch["genes"].shape[1])
    assert stats.chisquare(np.bincount(widths)[3:]).pvalue > 1e-3
    assert (min(widths), max(widths)) == (3, 7)


def test_chance_is_the_cells_own_or_the_batchs(vocabulary):
    def draw(choice, indices, seed=0):
        collate = Collator(vocabulary=vocabulary, context=3, choice=choice, seed=seed)
        cells = [(MEASURED[:9], np.full(9, 1 + i)) for i in range(40)]
        return dataset(collate, cells).__getitems__(indices)["genes"].tolist()

    # ties of the most expressed genes: the same whatever is beside the cell
    assert draw("most_expressed", [4, 7])[1] == draw("most_expressed", [7])[0]
    assert len({tuple(draw("most_expressed", [i])[0]) for i in range(40)}) > 20
    # random genes: others in another batch
    assert draw("random_expressed", [4, 7]) == draw("random_expressed", [4, 7])
    assert len({tuple(draw("random_expressed", [7, i])[0]) for i in range(40)}) > 20
    assert draw("random_expressed", [4, 7], seed=1) != draw("random_expressed", [4, 7])


def test_the_first_random_genes_are_a_random_choice_too(vocabulary):
    collate = Collator(vocabulary=vocabulary, context=6)
    cells = dataset(collate, [(MEASURED[:9], np.arange(1, 10))] * 3000)
    batch = cells.__getitems__(range(3000))
    first = np.bincount(batch["genes"][:, :2].flatten().numpy(), minlength=12)[MEASURED[:9]]
    assert stats.chisquare(first).pvalue > 1e-3
    counts = dict(zip(MEASURED[:9].tolist(), range(1, 10), strict=True))
    assert [[counts[g] for g in row] for row in batch["genes"].tolist()] == batch["counts"].tolist()
    plain = Collator(vocabulary=vocabulary, context=6, shuffle=False)
    genes = dataset(plain, [(MEASURED[:9], np.arange(1, 10))] * 50).__getitems__(range(50))["genes"]
    assert (genes.diff(dim=1) > 0).all()


def test_expressed_genes_are_chosen_among_given_ones(vocabulary):
    among = [IDS[i] for i in (8, 1, 4, 10)]
    for choice in ("random_expressed", "most_expressed"):
        collate = Collator(vocabulary=vocabulary, context=3, choice=choice, genes=among)
        batch = batch_of(collate, [([0, 1, 4], [9, 2, 3])] * 20)
        assert {tuple(sorted(row)) for row in batch["genes"].tolist()} == {(1, 4, 8)}
        assert {tuple(sorted(row)) for row in batch["counts"].tolist()} == {(0, 2, 3)}
    with pytest.raises(ValueError, match="3 of its 10 genes are in the vocabulary and are among the given ones, fewer"):
        batch_of(Collator(vocabulary=vocabulary, context=4, genes=among), [([0], [1])])


def test_positions_are_those_of_the_vocabulary(vocabulary):
    form = ScPrintFormat(locations=vocabulary.locations)
    collate = Collator(vocabulary=vocabulary, context=9, choice="most_expressed", variable_context=True, format=form)
    batch = batch_of(collate, [([1, 4, 11], [3, 2, 1]), ([8], [1])])
    assert batch["positions"].tolist() == [[1, 3, 6], [5, 0, 0]]
    assert batch["positions"].dtype == torch.int64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"choice": "alphabetical", "context": 3}, "choice='alphabetical' is not one of"),
        ({}, "choice='random_expressed' needs a context"),
        ({"context": 0}, "context=0 is too small: it has to hold 1 at least"),
        ({"choice": "given"}, "choice='given' needs genes"),
        (
            {"choice": "all", "genes": [IDS[0]]},
            "genes are for the choices 'given', 'most_variable', 'random_expressed' and 'most_expressed', not 'all'",
        ),
        ({"context": 3, "missing": "mask"}, "missing='mask' goes with choice='given', not with 'random_expressed'"),
        ({"context": 3, "missing": "zero"}, "missing='zero' is neither 'error' nor 'mask'"),
        ({"choice": "all", "variable_context": True}, "choice='all' takes all of its genes: leave out variable"),
        ({"choice": "all", "min_context": 2}, "choice='all' takes all of its genes: leave out min_context"),
        ({"context": 3, "min_context": 4}, "min_context=4 must lie between 1 and the context of 3"),
    ],
)
def test_options_that_make_no_sense(vocabulary, options, message):
    with pytest.raises(ValueError, match=message):
        Collator(vocabulary=vocabulary, **options)


def test_rows_that_make_no_sense(vocabulary):
    collate = Collator(vocabulary=vocabulary, context=3)
    cells = dataset(collate, [([1, 3], [1, 1])] * 2)
    with pytest.raises(ValueError, match="at least one cell"):
        cells.__getitems__([])
    with pytest.raises(IndexError, match="there is no cell 2: the 2 cells have the indices from 0"):
        cells.__getitems__([0, 2])
    with pytest.raises(ValueError, match=rf"data: 1 gene occurs more than once, such as \['{IDS[3]}'\]"):
        collate.panel("data", np.array([1, 3, 2, 3, 4]))
    with pytest.raises(ValueError, match="data: 0 of its 2 genes are in the vocabulary: nothing to choose from"):
        Collator(vocabulary=vocabulary, choice="all").panel("data", np.array([-1, -1]))
