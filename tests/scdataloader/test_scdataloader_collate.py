"""Which genes come into a batch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse, stats

from scdataloader.collate import (
    NO_GENE,
    CellRow,
    Collator,
    Panel,
    ScPrint,
    all_measured,
    given_genes,
    most_expressed,
    most_variable,
    random_expressed,
    variance_ranking,
)
from scdataloader.genes import GeneVocabulary

IDS = tuple(f"ENSG{i:011d}" for i in range(12))
MEASURED = np.array([0, 1, 3, 4, 5, 7, 8, 9, 11, -1])  # 2, 6 and 10 are not; the last is unknown


@pytest.fixture
def vocabulary():
    return GeneVocabulary(IDS, tuple(f"G{i}" for i in range(12)), ("NCBITaxon:9606",) * 12, np.arange(12) // 2 + 1)


def cell(collate, genes, counts, *, index=0, panel=None, total=100.0):
    panel = panel or collate.panel("data", MEASURED)
    return CellRow(np.array(genes, dtype=np.int64), np.array(counts), total, np.array([1, -1]), 3, index, panel)


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
    batch = collate([cell(collate, [1, 4, 5, 9, 11], [2, 9, 3, 1, 7])])
    assert batch["genes"].tolist() == [[4, 11, 5, 1]]
    assert batch["counts"].tolist() == [[9, 7, 3, 2]]
    assert batch["total_counts"].tolist() == [100]
    assert batch["labels"].tolist() == [[1, -1]]
    assert batch["dataset"].tolist() == [3]
    assert {key: value.dtype for key, value in batch.items()} == {
        "genes": torch.int64,
        "counts": torch.float32,
        "total_counts": torch.float32,
        "labels": torch.int64,
        "dataset": torch.int64,
    }


def test_padding_is_with_measured_genes_only(vocabulary):
    collate = Collator(vocabulary=vocabulary, context=9)
    batch = collate([cell(collate, [3, 8], [2, 5], index=i) for i in range(4)])
    for genes, counts in zip(batch["genes"].tolist(), batch["counts"].tolist(), strict=True):
        assert sorted(genes) == [0, 1, 3, 4, 5, 7, 8, 9, 11]
        assert set(genes[:2]) == {3, 8}
        assert dict(zip(genes, counts, strict=True)) == dict.fromkeys(genes, 0) | {3: 2, 8: 5}


def test_most_variable_gives_all_cells_the_same_genes(vocabulary):
    collate = Collator(vocabulary=vocabulary, context=3, choice="most_variable")
    panel = collate.panel("data", MEASURED, ranking=np.array([2, 8, 0, 5, 1]))
    batch = collate([cell(collate, [0, 5], [4, 6], panel=panel), cell(collate, [8], [1], panel=panel)])
    assert batch["genes"].tolist() == [[8, 0, 5]] * 2  # 2 was not measured
    assert batch["counts"].tolist() == [[0, 4, 6], [1, 0, 0]]
    ranked = Collator(vocabulary=vocabulary, context=2, choice="most_variable", genes=[IDS[6], IDS[9], IDS[3], IDS[0]])
    assert ranked([cell(ranked, [3], [2])])["genes"].tolist() == [[9, 3]]
    with pytest.raises(ValueError, match="data: the most variable genes need a ranking"):
        collate.panel("data", MEASURED)
    with pytest.raises(ValueError, match="data: a context of 3 genes was asked for, but only 1 of the 2 ranked"):
        collate.panel("data", MEASURED, ranking=np.array([2, 8]))


def test_given_genes_come_in_their_own_order(vocabulary):
    collate = Collator(vocabulary=vocabulary, choice="given", genes=[IDS[9], IDS[0], IDS[4]])
    batch = collate([cell(collate, [4, 9], [6, 2])])
    assert batch["genes"].tolist() == [[9, 0, 4]]
    assert batch["counts"].tolist() == [[2, 0, 6]]
    assert "mask" not in batch


def test_given_genes_that_were_not_measured(vocabulary):
    wanted = [IDS[10], IDS[4], IDS[2], IDS[0]]
    strict = Collator(vocabulary=vocabulary, choice="given", genes=wanted)
    with pytest.raises(ValueError, match=rf"data: 2 of the 4 given genes were not measured, such as \['{IDS[10]}', "):
        strict.panel("data", MEASURED)
    collate = Collator(vocabulary=vocabulary, choice="given", genes=wanted, missing="mask")
    batch = collate([cell(collate, [4], [6])])
    assert batch["genes"].tolist() == [[10, 4, 2, 0]]
    assert batch["mask"].tolist() == [[False, True, False, True]]
    assert batch["counts"].tolist() == [[0, 6, 0, 0]]
    complete = collate.panel("other", np.arange(12))
    both = collate([cell(collate, [4], [6]), cell(collate, [2], [1], panel=complete)])
    assert both["mask"].all(dim=1).tolist() == [False, True]
    with pytest.raises(ValueError, match=r"1 of the 2 given genes are not in the vocabulary, such as \['Rho'\]"):
        Collator(vocabulary=vocabulary, choice="given", genes=["Rho", IDS[0]])
    with pytest.raises(ValueError, match="1 genes are given more than once"):
        Collator(vocabulary=vocabulary, choice="given", genes=[IDS[0], IDS[1], IDS[0]])


def test_all_measured_genes_of_different_data_sets(vocabulary):
    collate = Collator(vocabulary=vocabulary, choice="all")
    few = collate.panel("few", np.array([-1, 6, 2]))
    batch = collate([cell(collate, [3], [2]), cell(collate, [6], [5], panel=few)])
    assert batch["genes"].tolist() == [[0, 1, 3, 4, 5, 7, 8, 9, 11], [2, 6] + [NO_GENE] * 7]
    assert batch["mask"].sum(dim=1).tolist() == [9, 2]
    assert batch["counts"].sum(dim=1).tolist() == [2, 5]
    capped = Collator(vocabulary=vocabulary, choice="all", context=8)
    with pytest.raises(ValueError, match="data: 9 of its 10 genes are in the vocabulary, more than the context of 8"):
        capped.panel("data", MEASURED)


@pytest.mark.parametrize("choice", ["random_expressed", "most_expressed"])
def test_variable_contexts_are_as_wide_as_the_longest_cell(vocabulary, choice):
    collate = Collator(vocabulary=vocabulary, context=4, choice=choice, variable_context=True)
    rows = [cell(collate, [3, 8], [2, 5]), cell(collate, [], []), cell(collate, [0, 1, 9], [1, 1, 1])]
    batch = collate(rows)
    assert batch["genes"].shape == (3, 3)
    assert batch["mask"].tolist() == [[True, True, False], [False] * 3, [True] * 3]
    assert (batch["counts"] > 0).equal(batch["mask"])
    assert batch["genes"][~batch["mask"]].unique().tolist() == [NO_GENE]
    assert set(batch["genes"][2].tolist()) == {0, 1, 9}
    full = cell(collate, [0, 1, 3, 4, 5, 7], [9, 8, 1, 7, 6, 1])
    chosen = collate([full, *rows])["genes"][0].tolist()
    assert len(set(chosen)) == 4
    assert choice == "random_expressed" or chosen == [0, 1, 4, 5]
    assert collate([rows[1]])["genes"].tolist() == [[NO_GENE]]  # never without a column


def test_variable_context_clips_to_what_was_measured(vocabulary):
    collate = Collator(vocabulary=vocabulary, context=50, choice="most_variable", variable_context=True)
    panel = collate.panel("data", MEASURED, ranking=np.arange(12)[::-1])
    assert collate([cell(collate, [3], [1], panel=panel)])["genes"].tolist() == [[11, 9, 8, 7, 5, 4, 3, 1, 0]]
    fixed = Collator(vocabulary=vocabulary, context=10)
    with pytest.raises(ValueError, match=r"data: 9 of its 10 genes .* fewer than the context of 10: use a smaller"):
        fixed.panel("data", MEASURED)


def test_random_context_lengths(vocabulary):
    collate = Collator(vocabulary=vocabulary, context=7, min_context=3, seed=5)
    panel = collate.panel("data", MEASURED)
    widths = []
    for i in range(300):
        rows = [cell(collate, [0, 1, 3, 4, 5, 7, 8], range(1, 8), index=j, panel=panel) for j in (i, i + 1)]
        batch = collate(rows)
        assert torch.equal(batch["genes"], collate(rows)["genes"])
        assert "mask" not in batch
        widths.append(batch["genes"].shape[1])
    assert stats.chisquare(np.bincount(widths)[3:]).pvalue > 1e-3
    assert (min(widths), max(widths)) == (3, 7)


def test_chance_is_the_cells_own_or_the_batchs(vocabulary):
    def draw(choice, indices, seed=0):
        collate = Collator(vocabulary=vocabulary, context=3, choice=choice, seed=seed)
        panel = collate.panel("data", MEASURED)
        rows = [cell(collate, MEASURED[:9], np.ones(9), index=i, panel=panel) for i in indices]
        return collate(rows)["genes"].tolist()

    # ties of the most expressed genes: the same whatever is beside the cell
    assert draw("most_expressed", [4, 7])[1] == draw("most_expressed", [7])[0]
    assert len({tuple(draw("most_expressed", [i])[0]) for i in range(40)}) > 20
    # random genes: others in another batch
    assert draw("random_expressed", [4, 7]) == draw("random_expressed", [4, 7])
    assert len({tuple(draw("random_expressed", [7, i])[0]) for i in range(40)}) > 20
    assert draw("random_expressed", [4, 7], seed=1) != draw("random_expressed", [4, 7])


def test_positions_are_those_of_the_vocabulary(vocabulary):
    form = ScPrint(locations=vocabulary.locations)
    collate = Collator(vocabulary=vocabulary, context=9, choice="most_expressed", variable_context=True, format=form)
    batch = collate([cell(collate, [1, 4, 11], [3, 2, 1]), cell(collate, [8], [1])])
    assert batch["positions"].tolist() == [[1, 3, 6], [5, 0, 0]]
    assert batch["positions"].dtype == torch.int64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"choice": "alphabetical", "context": 3}, "choice='alphabetical' is not one of"),
        ({}, "choice='random_expressed' needs a context"),
        ({"context": 0}, "context=0 is too small: it has to hold 1 at least"),
        ({"choice": "given"}, "choice='given' needs genes"),
        ({"choice": "all", "genes": [IDS[0]]}, "genes are for the choices 'given' and 'most_variable', not 'all'"),
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
    with pytest.raises(ValueError, match="the genes of cell 6 do not rise"):
        cell(collate, [3, 1], [1, 1], index=6)
    with pytest.raises(ValueError, match="cell 0 has 2 genes, but 1 counts"):
        cell(collate, [1, 3], [1])
    with pytest.raises(ValueError, match="at least one cell"):
        collate([])
    with pytest.raises(ValueError, match=rf"data: 1 genes occur more than once, such as \['{IDS[3]}'\]"):
        collate.panel("data", np.array([1, 3, 2, 3, 4]))
    with pytest.raises(ValueError, match="data: 0 of its 2 genes are in the vocabulary: nothing to choose from"):
        Collator(vocabulary=vocabulary, choice="all").panel("data", np.array([-1, -1]))


def test_a_panel_may_be_made_by_hand(vocabulary):
    collate = Collator(vocabulary=vocabulary, context=2, choice="most_expressed")
    panel = Panel("mine", np.arange(12))
    assert collate([cell(collate, [2, 6], [1, 3], panel=panel)])["genes"].tolist() == [[6, 2]]
    everything = Collator(vocabulary=vocabulary, choice="all")
    with pytest.raises(ValueError, match=r"mine: its panel was not made for choice='all': use Collator\.panel"):
        everything([cell(everything, [2, 6], [1, 3], panel=panel)])
    with pytest.raises(ValueError, match="data: its panel was not made for choice='most_expressed'"):
        collate([cell(everything, [3], [1])])
