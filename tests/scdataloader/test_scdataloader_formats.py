"""Batches in the formats of scGPT and Geneformer, each beside an example worked out by hand."""

import json

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scdataloader import CellDataset, LabelSpace
from scdataloader.collate import (
    Collator,
    GeneformerFormat,
    ScGPTFormat,
    ScPrintFormat,
    bin_values,
    gene_medians,
    named_format,
    rank_value,
)
from scdataloader.collate.lookups import bin_rows
from scdataloader.genes import GeneVocabulary

IDS = tuple(f"ENSG{i:011d}" for i in range(8))


@pytest.fixture
def vocabulary():
    return GeneVocabulary(IDS, tuple("ABCDEFGH"), ("NCBITaxon:9606",) * 8, np.arange(8))


def cells_of(collator, rows, measured=range(8)):
    """A data set over some genes of the vocabulary; each row is a pair of genes and their counts."""
    counts = np.zeros((len(rows), len(measured)))
    for i, (genes, values) in enumerate(rows):
        counts[i, [list(measured).index(gene) for gene in genes]] = list(values)
    obs = pd.DataFrame({"total_counts": [50.0] * len(rows)}, index=[f"c{i}" for i in range(len(rows))])
    adata = anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=[IDS[i] for i in measured]))
    return CellDataset([("data", adata)], collator.vocabulary, LabelSpace({}), collator=collator)


def batch_of(collator, rows, measured=range(8)):
    """All cells of a data set in one batch."""
    return cells_of(collator, rows, measured).__getitems__(range(len(rows)))


def test_bins_by_hand():
    # the quantiles 0, 1/3, 2/3 and 1 of 1 2 3 4 10 are 1, 2 1/3, 3 2/3 and 10: each is where a bin begins
    values = np.array([10, 1, 3, 2, 4])
    assert bin_values(values, 5).tolist() == [4, 1, 2, 1, 3]
    # 1 1 1 2: three edges are 1, so a 1 may be in any of three bins
    tied = np.array([1, 2, 1, 1])
    assert bin_values(tied, 5).tolist() == [3, 4, 3, 3]
    draws = np.array([bin_values(tied, 5, np.random.default_rng(s)) for s in range(100)])
    assert [sorted(set(column.tolist())) for column in draws.T] == [[1, 2, 3], [4], [1, 2, 3], [1, 2, 3]]
    assert bin_values(values, 2).tolist() == [1] * 5
    assert bin_values(np.array([]), 51).tolist() == []
    assert bin_values(np.array([7.0]), 51).tolist() == [50]
    with pytest.raises(ValueError, match="n_bins=1: at least 2"):
        bin_values(values, 1)


def test_bins_of_equal_counts_are_spread_evenly():
    # nine of ten edges are 1: these counts fill nine of ten bins evenly
    values = np.repeat([1, 5], [9000, 1000])
    bins = bin_values(values, 11, np.random.default_rng(0))
    share = np.bincount(bins[:9000], minlength=11)[1:] / 1000
    assert np.abs(share[:9] - 1).max() < 0.15
    assert set(bins[9000:].tolist()) == {10}
    assert set(bin_values(values, 11).tolist()) == {9, 10}


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=60, unique=True), st.integers(3, 60))
def test_bins_are_rising_and_equally_full(values, n_bins):
    values = np.array(values)
    bins = bin_values(values, n_bins)
    assert bins.min() >= 1
    assert bins.max() == n_bins - 1  # the greatest value, alone but for rounding
    assert (np.diff(bins[np.argsort(values)]) >= 0).all()
    assert np.bincount(bins).max() <= np.ceil(len(values) / (n_bins - 2)) + 1


@given(st.lists(st.lists(st.integers(1, 40), max_size=60), min_size=1, max_size=4), st.integers(2, 60))
def test_compiled_bins_lie_where_their_definition_says(rows, n_bins):
    counts = np.array([count for row in rows for count in row], dtype=np.float32)
    ends, found = np.cumsum([0, *map(len, rows)]), np.empty(len(counts), np.float32)
    bin_rows(ends, np.arange(len(counts)), counts, n_bins, np.uint64(3), np.arange(len(rows)), found)
    for row, begin, end in zip(rows, ends[:-1], ends[1:], strict=True):
        values = np.array(row)
        draws = np.array([bin_values(values, n_bins, np.random.default_rng(s)) for s in range(20)])
        highest = bin_values(values, n_bins)
        bins = found[begin:end]
        assert (bins <= highest).all()
        if len(values):
            edges = np.quantile(values, np.linspace(0, 1, n_bins - 1))
            lowest = np.minimum((edges[:, None] < values).sum(axis=0) + 1, highest)
            assert (bins >= lowest).all()
            assert (draws.min(axis=0) >= lowest).all()


def test_compiled_bins_of_equal_counts_are_spread_evenly():
    values = np.repeat([1, 5], [9000, 1000]).astype(np.float32)
    bins = np.empty(10_000, np.float32)
    bin_rows(np.array([0, 10_000]), np.arange(10_000), values, 11, np.uint64(0), np.zeros(1, np.int64), bins)
    share = np.bincount(bins[:9000].astype(int), minlength=11)[1:] / 1000
    assert np.abs(share[:9] - 1).max() < 0.15  # no edge lies between the nine
    assert set(bins[9000:].tolist()) == {10}


def test_geneformer_ranks_as_its_definition_says(vocabulary):
    rng = np.random.default_rng(0)
    medians = dict(zip(IDS, rng.uniform(0.5, 3, 8), strict=True))
    form = GeneformerFormat.from_tokens(vocabulary, {"<pad>": 0} | {gene: i + 1 for i, gene in enumerate(IDS)}, medians)
    collate = Collator(vocabulary=vocabulary, context=5, format=form)
    counts = rng.poisson(2, (30, 8))
    ids = batch_of(collate, [(np.flatnonzero(c), c[c > 0]) for c in counts])["input_ids"].numpy()
    for row, cell in zip(ids, counts, strict=True):
        genes = np.flatnonzero(cell)
        expected = rank_value(genes, cell[genes], form.medians, 5, rng) + 1
        assert row[row > 0].tolist() == expected.tolist()  # no two values are equal


def test_scgpt_batch_by_hand(vocabulary):
    tokens = {"<pad>": 90, "<cls>": 91, "A": 10, "B": 11, "C": 12, "D": 13, "F": 15, "Z": 99}
    form = ScGPTFormat.from_tokens(vocabulary, tokens, n_bins=5)
    collate = Collator(vocabulary=vocabulary, context=4, choice="most_expressed", variable_context=True, format=form)
    panel = collate.panel("data", np.arange(8))
    assert panel.measured.tolist() == [0, 1, 2, 3, 5]  # E, G and H have no token
    batch = batch_of(collate, [([0, 1, 3, 4, 5], [8, 2, 9, 99, 1]), ([2], [3]), ([6], [3])])
    # the first cell: D 9, A 8, B 2 of 1 2 8 9, which are the four edges; E, of 99, has no token
    assert batch["genes"].tolist() == [[91, 13, 10, 11], [91, 12, 90, 90], [91, 90, 90, 90]]
    assert batch["values"][0].tolist() == [-2, 4, 3, 2]
    assert batch["values"][1, 1] in (1, 2, 3, 4)  # all quantiles of a single value are itself
    assert batch["values"][1:].flatten()[[0, 2, 3, 4, 5, 6, 7]].tolist() == [-2] * 7
    assert batch["mask"].tolist() == [[True] * 4, [True, True, False, False], [True, False, False, False]]
    assert batch["values"].dtype == torch.float32
    assert batch["total_counts"].tolist() == [50, 50, 50]
    assert set(batch) == {"genes", "values", "mask", "total_counts", "labels", "dataset"}


def test_scgpt_fixed_context_has_zeros_and_no_padding(vocabulary):
    form = ScGPTFormat.from_tokens(vocabulary)
    assert (form.n_bins, form.pad_value) == (51, -2)
    collate = Collator(vocabulary=vocabulary, context=9, format=form)
    batch = batch_of(collate, [([1, 6], [5, 2])])
    assert batch["genes"].shape == (1, 9)
    assert batch["genes"][0, 0] == 1
    assert sorted(batch["genes"][0, 1:].tolist()) == [2, 3, 4, 5, 6, 7, 8, 9]  # gene i is token i + 2
    by_token = dict(zip(batch["genes"][0].tolist(), batch["values"][0].tolist(), strict=True))
    assert 1 <= by_token[6 + 2] <= 49  # the smaller of two values; the larger is in the last bin
    assert by_token[1 + 2] == 50
    assert sum(value == 0 for value in by_token.values()) == 6
    with pytest.raises(ValueError, match=r"and have a token, fewer than the context of 9 \(8 for genes\)"):
        collate.panel("small", np.arange(7))


def test_scgpt_given_genes(vocabulary):
    form = ScGPTFormat.from_tokens(vocabulary, n_bins=3)
    options = {"vocabulary": vocabulary, "choice": "given", "format": form}
    collate = Collator(**options, genes=[IDS[5], IDS[0], IDS[3]], missing="mask")
    batch = batch_of(collate, [([0, 2], [4, 1])], measured=range(4))
    assert batch["genes"].tolist() == [[1, 0, 2, 5]]
    assert batch["values"].tolist() == [[-2, -2, 2, 0]]
    assert batch["mask"].tolist() == [[True, False, True, True]]
    some = ScGPTFormat.from_tokens(vocabulary, {"<pad>": 0, "<cls>": 1, "A": 2})
    with pytest.raises(ValueError, match=rf"1 of the given genes have no token, such as \['{IDS[3]}'\]"):
        Collator(**(options | {"format": some}), genes=[IDS[0], IDS[3]])


def test_tokens_that_do_not_fit(vocabulary):
    with pytest.raises(ValueError, match=r"the tokens lack \['<cls>'\]; the special ones they have are \['<pad>'\]"):
        ScGPTFormat.from_tokens(vocabulary, {"<pad>": 0, "A": 1})
    with pytest.raises(ValueError, match="none of the vocabulary's gene symbols, such as"):
        ScGPTFormat.from_tokens(vocabulary, {"<pad>": 0, "<cls>": 1, "ENSG1": 2})
    with pytest.raises(ValueError, match=r"the tokens lack \['<cls>', '<eos>'\]"):
        GeneformerFormat.from_tokens(vocabulary, {"<pad>": 0, IDS[0]: 2}, {IDS[0]: 1.0}, special_tokens=True)
    with pytest.raises(ValueError, match="no gene has a token and a median"):
        GeneformerFormat.from_tokens(vocabulary, {"<pad>": 0, IDS[0]: 2}, {IDS[1]: 1.0})
    with pytest.raises(ValueError, match=rf"1 medians are not above 0, such as those of \['{IDS[1]}'\]"):
        GeneformerFormat.from_tokens(vocabulary, {"<pad>": 0, IDS[0]: 2}, {IDS[0]: 1.0, IDS[1]: 0.0})


@pytest.mark.parametrize("special", [False, True])
def test_geneformer_batch_by_hand(vocabulary, special):
    tokens = {"<pad>": 0, "<cls>": 2, "<eos>": 3} | {gene: 10 + i for i, gene in enumerate(IDS) if i != 6}
    medians = pd.Series([4, 1, 2, 8, 0.5, 1, 1], index=IDS[:7])
    form = GeneformerFormat.from_tokens(vocabulary, tokens, medians, special_tokens=special)
    collate = Collator(vocabulary=vocabulary, context=4, format=form)
    # counts over medians: 0 12/4 = 3, 1 2/1 = 2, 3 8/8 = 1, 4 4/.5 = 8; 6 has no token, 7 no median
    batch = batch_of(collate, [([0, 1, 3, 4, 6, 7], [12, 2, 8, 4, 99, 99]), ([2], [1]), ([], [])])
    ranked = [14, 10, 11, 13]
    if special:
        assert batch["input_ids"].tolist() == [[2, 14, 10, 3], [2, 12, 3, 0], [2, 3, 0, 0]]
        assert batch["length"].tolist() == [4, 3, 2]
    else:
        assert batch["input_ids"].tolist() == [ranked, [12, 0, 0, 0], [0, 0, 0, 0]]
        assert batch["length"].tolist() == [4, 1, 0]
    assert batch["attention_mask"].tolist() == [[1] * n + [0] * (4 - n) for n in batch["length"].tolist()]
    assert batch["input_ids"].dtype == batch["attention_mask"].dtype == torch.int64
    assert set(batch) == {"input_ids", "attention_mask", "length", "total_counts", "labels", "dataset"}


def test_geneformer_ties_are_broken_at_random_by_cell(vocabulary):
    tokens = {"<pad>": 0} | {gene: i + 1 for i, gene in enumerate(IDS)}
    form = GeneformerFormat.from_tokens(vocabulary, tokens, dict.fromkeys(IDS, 2.0))
    collate = Collator(vocabulary=vocabulary, context=8, format=form)
    cells = cells_of(collate, [(range(8), [1, 1, 1, 1, 1, 1, 1, 5 + i]) for i in range(200)])
    ids = cells.__getitems__(range(200))["input_ids"].numpy()
    assert set(ids[:, 0].tolist()) == {8}
    assert set(ids[:, 1].tolist()) == {1, 2, 3, 4, 5, 6, 7}
    assert cells[7]["input_ids"][0].tolist() == ids[7].tolist()
    with pytest.raises(ValueError, match="Geneformer ranks the genes itself: leave out choice='all'"):
        Collator(vocabulary=vocabulary, choice="all", format=form)


def test_gene_medians_by_hand():
    # per 10,000: cell 0 has depth 100, cell 1 depth 50 (more than X shows), cell 2 depth 10
    first = anndata.AnnData(np.array([[2.0, 0, 98], [1, 0, 4]]), var=pd.DataFrame(index=["b", "a", "c"]))
    first.obs["total_counts"] = [100, 50]
    second = anndata.AnnData(np.array([[4.0, 6]]), var=pd.DataFrame(index=["c", "d"]))
    medians = gene_medians([first, second])
    # b: 200, 200; c: 9800, 800, 4000; d: 6000; a never
    assert medians.to_dict() == {"b": 200.0, "c": 4000.0, "d": 6000.0}


def test_formats_by_name(vocabulary, tmp_path):
    tokens, medians = tmp_path / "tokens.json", tmp_path / "medians.json"
    symbols = tmp_path / "symbols.json"
    tokens.write_text(json.dumps({"<pad>": 0, "<cls>": 1, "<eos>": 2, IDS[3]: 7}))
    medians.write_text(json.dumps({IDS[3]: 1.5}))
    symbols.write_text(json.dumps({"<pad>": 0, "<cls>": 1, "B": 9}))
    assert named_format("scprint", vocabulary).locations is None
    assert isinstance(named_format("scprint", vocabulary, positions=True), ScPrintFormat)
    assert named_format("scprint", vocabulary, positions=True).locations.tolist() == list(range(8))
    scgpt = named_format("scgpt", vocabulary, n_bins=7, tokens=symbols)
    assert (scgpt.n_bins, scgpt.tokens[1], scgpt.usable.sum()) == (7, 9, 1)
    geneformer = named_format("geneformer", vocabulary, tokens=tokens, medians=medians, special_tokens=True)
    assert (geneformer.cls_token, geneformer.n_special, np.flatnonzero(geneformer.usable).tolist()) == (1, 2, [3])
    with pytest.raises(ValueError, match="needs the files tokens and medians"):
        named_format("geneformer", vocabulary, tokens=tokens)
    with pytest.raises(ValueError, match=r"format='scprint' takes no \['tokens'\]"):
        named_format("scprint", vocabulary, tokens=tokens)
    with pytest.raises(ValueError, match="format='bert' is not one of"):
        named_format("bert", vocabulary)
    (tmp_path / "list.json").write_text("[1, 2]")
    with pytest.raises(ValueError, match=r"list\.json holds no JSON object"):
        named_format("scgpt", vocabulary, tokens=tmp_path / "list.json")
