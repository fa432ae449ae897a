"""Keys of cells and the numbers drawn from them: from a cell's content, never from its place."""

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse, stats

from scdataloader import CellDataset, CellStore, GeneVocabulary, LabelSpace, cell_keys, draw_numbers
from scdataloader.collate import Collator, GeneformerFormat, ScGPTFormat
from scdataloader.randomness import by_number

VOCABULARY = GeneVocabulary.for_organisms(["human"])
IDS = list(VOCABULARY.ids[:120])


@pytest.fixture(scope="module")
def cells():
    """30 cells with many ties over 120 known genes, two of them alike."""
    rng = np.random.default_rng(3)
    counts = rng.poisson(0.7, (30, 120)).astype(np.float32)
    counts[17] = counts[4]
    return pd.DataFrame(counts, index=[f"cell{i}" for i in range(30)], columns=IDS)


def as_anndata(table, form=sparse.csr_matrix):
    return anndata.AnnData(
        form(table.to_numpy()), obs=pd.DataFrame(index=table.index), var=pd.DataFrame(index=table.columns)
    )


@given(st.data())
def test_keys_are_of_the_pairs_of_gene_and_count(data):
    pairs = data.draw(st.dictionaries(st.integers(0, 50), st.integers(1, 2**31), max_size=12))
    order = data.draw(st.permutations(list(pairs)))
    zeros, unknown = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))
    index = np.array([*order, *range(60, 60 + zeros), *[-1] * unknown], dtype=np.int64)
    values = np.array([*(pairs[gene] for gene in order), *[0] * zeros, *[5] * unknown], dtype=np.float64)
    stored = sparse.csr_matrix((values, np.arange(len(values)), [0, len(values)]), shape=(1, max(len(values), 1)))
    (key,) = cell_keys(stored, np.append(index, -1)[: stored.shape[1]])
    (plain,) = cell_keys(sparse.csr_matrix([[pairs.get(gene, 0) for gene in range(51)]]), np.arange(51))
    assert key == plain
    for gene in pairs:
        changed = {**pairs, gene: pairs[gene] + 1}
        assert cell_keys(sparse.csr_matrix([[changed.get(g, 0) for g in range(51)]]), np.arange(51))[0] != key


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64, np.uint16])
def test_keys_do_not_hang_on_the_type_of_the_numbers(cells, dtype):
    counts = sparse.csr_matrix(cells.to_numpy())
    index = np.arange(120)
    keys = cell_keys(counts, index)
    assert np.array_equal(cell_keys(counts.astype(dtype), index), keys)
    assert len(np.unique(keys)) == 29
    assert keys[17] == keys[4]
    twice = sparse.csr_matrix(
        (np.repeat(counts.data / 2, 2), np.repeat(counts.indices, 2), 2 * counts.indptr), counts.shape
    )
    whole = sparse.csr_matrix(2 * cells.to_numpy())
    assert np.array_equal(cell_keys(sparse.csr_matrix(2 * twice), index), cell_keys(whole, index))


def test_numbers_are_even_and_each_its_own():
    numbers = draw_numbers((1, 2), np.arange(200, dtype=np.uint64)[:, None], np.arange(300))
    assert numbers.shape == (200, 300)
    assert len(np.unique(numbers)) == 60_000
    assert stats.kstest(numbers.ravel() / 2**64, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(numbers[:, :-1].ravel() / 2**64, numbers[:, 1:].ravel() / 2**64)[0, 1]) < 0.02
    assert draw_numbers((1, 2), np.uint64(7), 11) == numbers[7, 11]
    assert draw_numbers((1, 3), np.uint64(7), 11) != numbers[7, 11]


@given(st.lists(st.integers(0, 2**64 - 1), max_size=200))
def test_numbers_are_sorted(numbers):
    numbers = np.array(numbers, dtype=np.uint64)
    assert np.array_equal(numbers[by_number(numbers)], np.sort(numbers))


def contexts(data, collator):
    """Return what each cell shows, by the cell's name."""
    shown = CellDataset(data, VOCABULARY, LabelSpace({}), collator=collator)
    batch = shown.__getitems__(range(len(shown)))
    return pd.DataFrame(
        np.concatenate([value.numpy() for name, value in batch.items() if value.ndim == 2], axis=1),
        index=shown.store.obs().index,
    )


COLLATORS = {
    "most expressed": {"choice": "most_expressed", "context": 40},
    "filled up": {"choice": "most_expressed", "context": 100},
    "scgpt": {
        "choice": "most_expressed",
        "context": 40,
        "variable_context": True,
        "format": ScGPTFormat.from_tokens(VOCABULARY, n_bins=5),
    },
    "geneformer": {
        "context": 40,
        "format": GeneformerFormat.from_tokens(
            VOCABULARY, {"<pad>": 0} | {gene: i + 1 for i, gene in enumerate(IDS)}, dict.fromkeys(IDS, 1.0)
        ),
    },
}


@pytest.mark.parametrize("name", COLLATORS)
def test_a_cell_shows_the_same_wherever_it_lies_and_however_it_is_stored(cells, tmp_path, name):
    collator = Collator(vocabulary=VOCABULARY, **COLLATORS[name], seed=5)
    expected = contexts(as_anndata(cells), collator)
    assert (expected.loc["cell17"] == expected.loc["cell4"]).all()
    rng = np.random.default_rng(0)
    shuffled = cells.iloc[rng.permutation(30), rng.permutation(120)]
    more = shuffled.assign(unknown=9)[["unknown", *shuffled.columns]]
    zeros = cells.iloc[:, :100].assign(**cells.iloc[:, 100:])
    file = tmp_path / "cells.h5ad"
    as_anndata(shuffled, np.asarray).write_h5ad(file)
    forms = {
        "shuffled": as_anndata(shuffled),
        "with unknown genes": as_anndata(more),
        "of whole numbers": as_anndata(shuffled.astype(np.int64)),
        "by column": as_anndata(shuffled, sparse.csc_matrix),
        "of one cell": as_anndata(zeros.loc[["cell4"]]),
        "in a file": file,
        "in a store": CellStore.build([("cells", as_anndata(shuffled))], tmp_path / "store"),
    }
    for form, data in forms.items():
        found = contexts(data, collator)
        width = found.shape[1] if form == "of one cell" and collator.variable_context else expected.shape[1]
        if form == "of one cell" and found.shape[1] < expected.shape[1]:
            continue  # as wide as its longest cell
        pd.testing.assert_frame_equal(found.iloc[:, :width], expected.loc[found.index], obj=form)
    other = contexts(as_anndata(cells), Collator(vocabulary=VOCABULARY, **COLLATORS[name], seed=6))
    assert (other != expected).to_numpy().any()
