"""Packed records and the kernels that read them, against slow obvious readers."""

import contextlib
import re
from collections import Counter
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

import scdataloader.store
from scdataloader.store import CellStore, GeneMap
from scdataloader.store.genemap import Gathered, empty_gathered
from scdataloader.store.records import encode, encode_sizes

LARGEST = 2**32 - 1


def format_reader():
    """The NumPy reader that the description of the format shows."""
    text = (Path(scdataloader.store.__file__).parent / "FORMAT.md").read_text(encoding="utf-8")
    names = {}
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1), names)  # noqa: S102 (our own page)
    return names["read_record"]


def make(counts, genes, name="d", **obs):
    table = pd.DataFrame(obs, index=[f"{name}{i}" for i in range(len(counts))])
    return anndata.AnnData(sparse.csr_matrix(counts), obs=table, var=pd.DataFrame(index=genes))


def random_counts(rng, n_cells, n_genes, density):
    counts = rng.poisson(1.0, (n_cells, n_genes)) + 1
    counts[rng.random(counts.shape) < 0.05] *= 300
    return np.where(rng.random(counts.shape) < density, counts, 0).astype(np.int64)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two data sets over different genes, in several shards: (store, dense counts, genes of each)."""
    rng = np.random.default_rng(0)
    sets = {
        "a": (random_counts(rng, 40, 900, 0.1), [f"g{i}" for i in range(900)]),
        "b": (random_counts(rng, 25, 300, 0.5), [f"g{i}" for i in range(1000, 700, -1)]),
    }
    sets["a"][0][3] = 0
    inputs = [(name, make(counts, genes, name)) for name, (counts, genes) in sets.items()]
    store = CellStore.build(inputs, tmp_path_factory.mktemp("store") / "s", shard_bytes=4000)
    assert len(store.manifest.shards) > 4
    return store, [sets["a"], sets["b"]]


def oracle(sets, row, wanted):
    """Return the dense counts of the wanted genes of one cell, and which of them its data set measured."""
    counts, genes = sets[0] if row < len(sets[0][0]) else sets[1]
    cell = counts[row if row < len(sets[0][0]) else row - len(sets[0][0])]
    measured = dict(zip(genes, cell.tolist(), strict=True))
    return np.array([measured.get(g, 0) for g in wanted]), np.array([g in measured for g in wanted])


@settings(max_examples=60)
@given(
    st.lists(
        st.dictionaries(
            st.integers(0, 70_000), st.one_of(st.integers(1, 4), st.integers(250, 260), st.integers(1, LARGEST))
        ),
        min_size=1,
        max_size=4,
    )
)
def test_records_hold_every_count_exactly(cells):
    columns = np.array([g for cell in cells for g in sorted(cell)], dtype=np.int32)
    counts = np.array([cell[g] for cell in cells for g in sorted(cell)], dtype=np.int64)
    ends = np.cumsum([0, *(len(cell) for cell in cells)])
    sizes = encode_sizes(columns, counts, ends)
    units = encode(columns, counts, ends, sizes)
    assert len(units) == sizes.sum()
    begin = 0
    read_record = format_reader()
    for cell, size in zip(cells, sizes, strict=True):
        genes, values = read_record(units, begin)
        assert dict(zip(genes.tolist(), values.tolist(), strict=True)) == cell
        begin += int(size)


def test_a_record_by_hand():
    # genes 2 and 600 with counts 7 and 70,000: 600 - 2 = 598 = 255 + 255 + 88; 70,000 = 1 · 65,536 + 4,464
    columns, counts, ends = np.array([2, 600]), np.array([7, 70_000]), np.array([0, 2])
    units = encode(columns, counts, ends, encode_sizes(columns, counts, ends))
    assert units.tolist() == [4, 0, 1, 0, 2 + 7 * 256, 255, 255, 88 + 255 * 256, 4464, 1]


def test_all_wanted_genes_equal_the_oracle(corpus):
    store, sets = corpus
    rng = np.random.default_rng(1)
    wanted = [f"g{i}" for i in rng.permutation(1100)[:500]]  # some that none, some that only one data set has
    genes = store.gene_map(wanted)
    rows = rng.integers(0, len(store), 200)
    out = store.gather(rows, genes)
    assert out.genes is None
    assert out.counts.dtype == np.float32
    expected, measured = zip(*(oracle(sets, row, wanted) for row in rows), strict=True)
    assert np.array_equal(out.counts, np.array(expected))
    assert np.array_equal(store.measured(rows, genes), np.array(measured))
    assert store.gather(rows[:0], genes).counts.shape == (0, 500)


def test_arrays_given_are_filled(corpus):
    store, _ = corpus
    genes = store.gene_map([f"g{i}" for i in range(50)])
    out = empty_gathered(3, genes)
    assert store.gather(np.array([0, 50, 2]), genes, out=out) is out
    assert np.array_equal(out.counts, store.gather(np.array([0, 50, 2]), genes).counts)
    with pytest.raises(ValueError, match="hold 3 cells, but 1 rows"):
        store.gather(np.array([0]), genes, out=out)
    with pytest.raises(ValueError, match="must come from empty_gathered"):
        store.gather(np.array([0]), genes, out=Gathered(None, np.zeros((1, 50), np.float32)))


def test_csr_equals_the_oracle(corpus):
    store, sets = corpus
    wanted = [f"g{i}" for i in range(200, 950)]
    rows = np.array([50, 3, 10, 64, 10])
    ends, columns, counts = store.gather_csr(rows, store.gene_map(wanted))
    dense = sparse.csr_matrix((counts, columns, ends), shape=(5, len(wanted))).toarray()
    assert np.array_equal(dense, np.array([oracle(sets, row, wanted)[0] for row in rows]))


@settings(max_examples=40)
@given(st.data())
def test_expressed_choices_equal_their_definition(corpus, data):
    store, sets = corpus
    choice = data.draw(st.sampled_from(["random_expressed", "most_expressed"]))
    n_wanted = data.draw(st.integers(250, 1000))
    wanted = [f"g{i}" for i in np.random.default_rng(n_wanted).permutation(1001)[:n_wanted]]
    genes = store.gene_map(wanted)
    context = data.draw(st.integers(1, int(genes.n_measured.min())))
    rows = np.array(data.draw(st.lists(st.integers(0, len(store) - 1), min_size=1, max_size=5)))
    out = store.gather(rows, genes, choice=choice, context=context, seed=data.draw(st.integers(0, 2**64 - 1)))
    assert out.genes.shape == out.counts.shape == (len(rows), context)
    for row, chosen, counts in zip(rows, out.genes, out.counts, strict=True):
        cell, measured = oracle(sets, row, wanted)
        assert len(set(chosen.tolist())) == context
        assert measured[chosen].all()  # padding is never a gene that the data set did not measure
        assert np.array_equal(cell[chosen], counts)
        n_expressed = min(context, int((cell > 0).sum()))
        assert (counts[:n_expressed] > 0).all()
        assert not counts[n_expressed:].any()
        if choice == "most_expressed":
            assert counts[:n_expressed].tolist() == sorted(cell[cell > 0].tolist(), reverse=True)[:context]


def test_choices_depend_on_seed_and_position_only(corpus):
    store, _ = corpus
    genes = store.gene_map([f"g{i}" for i in range(1001)])
    rows, positions = np.array([1, 45, 1, 20, 33]), np.array([100, 101, 102, 103, 2**40])
    options = {"choice": "random_expressed", "context": 60, "seed": 5}
    whole = store.gather(rows, genes, positions=positions, **options)
    for i in (4, 0, 2):
        one = store.gather(rows[i : i + 1], genes, positions=positions[i : i + 1], **options)
        assert np.array_equal(one.genes[0], whole.genes[i])
    assert set(whole.genes[0]) != set(whole.genes[2])  # the same cell, drawn again
    other = store.gather(rows, genes, positions=positions, **{**options, "seed": 6})
    assert set(other.genes[0]) != set(whole.genes[0])
    assert np.array_equal(
        store.gather(rows, genes, **options).genes, store.gather(rows, genes, positions=rows, **options).genes
    )


@pytest.fixture(scope="module")
def one_cell(tmp_path_factory):
    """One cell of 12 genes: genes 0 to 5 with the counts 3, 1, 1, 1, 1, 300, the others zero."""
    counts = np.array([[3, 1, 1, 1, 1, 300, 0, 0, 0, 0, 0, 0]])
    store = CellStore.build([("one", make(counts, [f"g{i}" for i in range(12)]))], tmp_path_factory.mktemp("one"))
    return store, store.gene_map([f"g{i}" for i in range(12)])


def _many(one_cell, choice, context):
    store, genes = one_cell
    n = 6000
    return store.gather(np.zeros(n, int), genes, choice=choice, context=context, positions=np.arange(n), seed=1).genes


@pytest.mark.parametrize("context", [2, 5])
def test_random_expressed_genes_are_uniform(one_cell, context):
    chosen = _many(one_cell, "random_expressed", context)
    assert chosen.max() == 5
    subsets = Counter(tuple(sorted(row)) for row in chosen.tolist())
    assert len(subsets) == (15 if context == 2 else 6)
    assert stats.chisquare(list(subsets.values())).pvalue > 1e-3


@pytest.mark.parametrize(("context", "n_subsets"), [(7, 6), (8, 15), (11, 6)])  # drawn until new; by one walk
def test_padding_is_uniform(one_cell, context, n_subsets):
    for choice in ("random_expressed", "most_expressed"):
        chosen = _many(one_cell, choice, context)
        assert (np.sort(chosen[:, :6], axis=1) == np.arange(6)).all()
        subsets = Counter(tuple(sorted(row)) for row in chosen[:, 6:].tolist())
        assert len(subsets) == n_subsets
        assert stats.chisquare(list(subsets.values())).pvalue > 1e-3


def test_padding_excludes_only_the_expressed_genes_of_the_same_cell(tmp_path):
    # gene 255 lies on the way to gene 600, where the record has a pair that only moves on; more rows than marks
    counts = np.zeros((2, 601), dtype=int)
    counts[0, [0, 600]], counts[1, [1, 300]] = 1, 2
    names = [f"g{i}" for i in range(601)]
    store = CellStore.build([("two", make(counts, names))], tmp_path / "s")
    rows = np.arange(8000) % 2
    out = store.gather(
        rows, store.gene_map(names), choice="random_expressed", context=102, positions=np.arange(8000), seed=3
    )
    for cell, expressed in ((0, [0, 600]), (1, [1, 300])):
        chosen = out.genes[rows == cell]
        assert (chosen[:, :2] == expressed).all()
        padding = np.bincount(chosen[:, 2:].ravel(), minlength=601)
        assert padding[expressed].tolist() == [0, 0]
        others = np.delete(
            padding, expressed
        )  # 4,000 x 100 of 599 without replacement: the variance is 5/6 of Poisson's
        assert stats.chi2.sf(((others - others.mean()) ** 2 / (others.mean() * 499 / 599)).sum(), 598) > 1e-3
        assert len(np.unique(chosen[0])) == 102


def test_ties_of_the_most_expressed_are_fair(one_cell):
    chosen = _many(one_cell, "most_expressed", 4)
    assert (chosen[:, :2] == [5, 0]).all()
    pairs = Counter(tuple(row) for row in chosen[:, 2:].tolist())
    assert len(pairs) == 12  # ordered pairs of the four genes of count 1
    assert stats.chisquare(list(pairs.values())).pvalue > 1e-3


def test_ties_among_very_large_counts_are_fair(tmp_path):
    store = CellStore.build([("big", make(np.array([[900, 900, 900, 5000]]), list("abcd")))], tmp_path / "s")
    chosen = _many((store, store.gene_map(list("abcd"))), "most_expressed", 3)
    assert (chosen[:, 0] == 3).all()
    pairs = Counter(tuple(row) for row in chosen[:, 1:].tolist())
    assert len(pairs) == 6
    assert stats.chisquare(list(pairs.values())).pvalue > 1e-3


def test_largest_counts_are_exact(tmp_path):
    counts = np.array([[LARGEST, 0, 254], [255, 256, 65_536]], dtype=np.float64)
    store = CellStore.build([("big", make(counts, ["a", "b", "c"]))], tmp_path / "s")
    ends, columns, values = store.gather_csr(np.arange(2), store.gene_map(["a", "b", "c"]), exact=True)
    assert values.tolist() == [LARGEST, 254, 255, 256, 65_536]
    assert columns.tolist() == [0, 2, 0, 1, 2]
    assert ends.tolist() == [0, 2, 5]


@pytest.mark.parametrize("value", [0.5, -1.0, np.nan, np.inf, 2.0**32])
def test_what_is_no_count_is_refused(tmp_path, value):
    with pytest.raises(ValueError, match="bad: 1 of 2 values are no counts"):
        CellStore.build([("bad", make(np.array([[1.0, value]]), ["a", "b"]))], tmp_path / "s")


def test_wrong_requests_are_refused(corpus):
    store, _ = corpus
    genes = store.gene_map([f"g{i}" for i in range(800)])
    for rows in ([-1], [len(store)]):
        with pytest.raises(IndexError, match=f"no cell {rows[0]}: the store holds 65"):
            store.gather(np.array(rows), genes)
        with pytest.raises(IndexError, match="no cell"):
            store.gather_csr(np.array(rows), genes)
    with pytest.raises(ValueError, match="'b' measures 99 of the wanted genes, fewer than the context of 100"):
        store.gather(np.array([0, 64]), genes, choice="random_expressed", context=100)
    assert store.gather(np.array([0]), genes, choice="random_expressed", context=100).counts.shape == (1, 100)
    with pytest.raises(ValueError, match="choice='best'"):
        store.gather(np.array([0]), genes, choice="best")
    with pytest.raises(ValueError, match="context=801 must lie between 1 and the 800"):
        store.gather(np.array([0]), genes, choice="most_expressed", context=801)
    with pytest.raises(ValueError, match="context=5, but choice='all' gives all 800"):
        store.gather(np.array([0]), genes, context=5)
    with pytest.raises(ValueError, match="listed twice, such as"):
        store.gene_map(["g1", "g1"])
    with pytest.raises(ValueError, match="same target"):
        GeneMap([np.array([0, 0], np.int32)], 3)
    with pytest.raises(ValueError, match="targets up to 3, but width=3"):
        GeneMap([np.array([0, 3], np.int32)], 3)


@settings(max_examples=60)
@given(st.data())
def test_damage_is_noticed_or_harmless(tmp_path_factory, data):
    """Whatever bits flip, no kernel reads or writes outside its arrays: a damaged record is refused or gives counts."""
    folder = tmp_path_factory.mktemp("damage") / "s"
    rng = np.random.default_rng(0)
    genes = [f"g{i}" for i in range(400)]
    CellStore.build([("a", make(random_counts(rng, 6, 400, 0.2), genes))], folder)
    (path,) = (folder / "shards").glob("*.counts")
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=6, unique=True)):
        content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    store = CellStore.open(folder)
    wanted = store.gene_map(genes)
    for choice, context in (("all", None), ("random_expressed", 390), ("most_expressed", 20)):
        out = None
        with contextlib.suppress(ValueError):
            out = store.gather(np.arange(6), wanted, choice=choice, context=context)
        if out is not None:
            assert ((out.counts >= 0) & (out.counts <= LARGEST)).all()
            assert out.genes is None or ((out.genes >= 0) & (out.genes < 400)).all()
    content[2:4] = b"\xff\xff"  # more pairs than there are genes
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"cell 0 in shard {path.name.removesuffix('.counts')} of data set 'a' is dam"):
        CellStore.open(folder).gather(np.arange(6), wanted)
    assert list(CellStore.verify(folder)) == [path.name.removesuffix(".counts")]
