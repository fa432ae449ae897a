"""Data whose genes are named in other ways, are in another order, or are partly unknown."""

import logging

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scdataloader import GeneVocabulary
from scdataloader.genes import gene_table
from scprint_model.genes import match_genes, shared_genes
from scprint_model.networks import infer
from scprint_model.tasks import annotate, denoise, encode


@pytest.fixture(scope="module")
def vocabulary():
    return GeneVocabulary.for_organisms(["human", "mouse"])


def data(names, counts=None, **obs):
    counts = np.arange(1, 1 + 3 * len(names)).reshape(3, -1) % 7 if counts is None else counts
    table = pd.DataFrame(obs, index=list("xyz"))
    return anndata.AnnData(sparse.csr_matrix(counts), obs=table, var=pd.DataFrame(index=pd.Index(names)))


def genes(organism, n=60):
    table = gene_table(organism)
    chosen = table[table["biotype"] == "protein_coding"]
    symbols = chosen["symbol"]
    return chosen[~symbols.duplicated(keep=False)].iloc[100 : 100 + n]


def test_order_and_unknown_genes(vocabulary):
    known = genes("human").index.tolist()[::-1]
    names = [*known[:30], "ENSG99999999999", *known[30:], "spike-in"]
    counts = np.ones((3, 62), dtype=int)
    counts[:, 30] = 20  # 60 of 242 counts
    counts[:, 61] = 160
    found = match_genes(vocabulary, data(names, counts))
    assert len(found) == 60
    assert found.columns.tolist() == [*range(30), *range(31, 61)]
    assert [vocabulary.ids[i] for i in found.index[found.columns]] == known
    assert found.share_of_genes == pytest.approx(60 / 62)
    assert found.share_of_counts == pytest.approx(60 / 240)
    assert found.unknown == ("ENSG99999999999", "spike-in")
    assert str(found) == (
        "60 of 62 genes (97%), with 25% of the counts, are in the model's vocabulary; "
        "not there: 2, such as ['ENSG99999999999', 'spike-in']"
    )


def test_coverage_is_logged(vocabulary, caplog):
    names = genes("human").index.tolist()
    with caplog.at_level(logging.INFO):
        match_genes(vocabulary, data([*names, "x"], np.array([[1] * 60 + [90]] * 3)))
    assert "60 of 61 genes (98%), with 40% of the counts" in caplog.text
    assert "only 40% of the counts are of genes that the model knows" in caplog.text


def test_versions_and_both_organisms(vocabulary):
    ids = [*genes("mouse", 30).index, *genes("human", 30).index]
    versioned = [f"{gene}.{1 + i % 20}" for i, gene in enumerate(ids)]
    found = match_genes(vocabulary, data(versioned))
    assert [vocabulary.ids[i] for i in found.index] == ids
    assert found.share_of_genes == 1


@pytest.mark.parametrize(
    ("organism", "obs"),
    [
        ("human", {}),
        ("mouse", {}),
        ("mouse", {"organism_ontology_term_id": "NCBITaxon:10090"}),
        ("human", {"organism": "Homo sapiens"}),
    ],
)
def test_symbols(vocabulary, organism, obs):
    table = genes(organism)
    found = match_genes(vocabulary, data([*table["symbol"], "no gene"], **obs))
    assert [vocabulary.ids[i] for i in found.index[:-1]] == table.index.tolist()
    assert found.index[-1] == -1


def test_ids_in_another_column_and_former_symbols(vocabulary):
    table = genes("human")
    cells = data([f"row {i}" for i in range(60)])
    cells.var["gene_ids"] = table.index.to_numpy()
    assert match_genes(vocabulary, cells).share_of_genes == 1
    cells = data([*table["symbol"][:-1], "MLL"])  # KMT2A since 2013
    assert vocabulary.symbols[match_genes(vocabulary, cells).index[-1]] == "KMT2A"


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_repeated_genes_are_added_up_and_told(vocabulary, caplog):
    ids = genes("human").index.tolist()
    names = [ids[0], *ids, f"{ids[0]}.7", f"{ids[5]}_PAR_Y"]
    counts = np.ones((3, 63), dtype=np.uint8)
    counts[:, [0, 1, 61]] = [[200, 100, 50]] * 3
    cells = data(names, counts)
    with caplog.at_level(logging.WARNING):
        found = match_genes(vocabulary, cells)
    assert "3 columns are of genes that other columns have too" in caplog.text
    assert found.repeated == (ids[0], f"{ids[0]}.7", f"{ids[5]}_PAR_Y")
    assert found.columns.tolist() == [0, *range(2, 61)]
    chosen = found.select(cells)
    assert chosen.X.toarray()[0].tolist() == [350, 1, 1, 1, 1, 2, *[1] * 54]  # 350 does not fit the data's bytes
    assert chosen.obs["total_counts"].tolist() == [200 + 100 + 50 + 60] * 3
    assert found.select(cells, np.array([5, 0])).X.toarray()[0].tolist() == [2, 350]
    assert found.source(vocabulary, cells).var_names.tolist() == ids
    assert cells.X.toarray()[0, 0] == 200


def test_unmeasured_genes_are_not_used(vocabulary):
    cells = data(genes("human").index.tolist())
    cells.var["measured"] = np.arange(60) < 55
    assert shared_genes(vocabulary, cells).tolist() == list(range(55))
    cells.var["measured"] = ["True"] * 50 + ["False"] * 10  # as a table in text gives them
    assert shared_genes(vocabulary, cells).tolist() == list(range(50))


def test_whole_numbers_that_are_no_raw_counts_are_told(vocabulary, caplog):
    ids = genes("human").index
    counts = np.random.default_rng(0).poisson(3, (25, 60))

    def said(X):
        caplog.clear()
        match_genes(vocabulary, anndata.AnnData(sparse.csr_matrix(X), var=pd.DataFrame(index=ids)))
        return [record.message for record in caplog.records if record.levelno == logging.WARNING]

    with caplog.at_level(logging.WARNING):
        assert said(counts * 3) == [
            f"X may not hold raw counts: every count is a multiple of 3 ({(counts > 0).sum():,} positive counts of 25 "
            "cells): they look multiplied, and may be raw counts once they are divided by 3"
        ]
        assert ["0 or 1" in message for message in said(counts > 0)] == [True]


def test_too_few_genes_stop_with_what_was_seen(vocabulary):
    ids = genes("human").index.tolist()
    counts = np.ones((3, 60), dtype=int)
    counts[:, 20:] = 2
    with pytest.raises(ValueError, match=r"20 of the data's 60 genes are .* with 20% of the counts; 50 are needed"):
        match_genes(vocabulary, data([*ids[:20], *(f"gene {i}" for i in range(40))], counts))
    with pytest.raises(
        ValueError, match=r"0 of the data's 60 genes .*look like \['gene 0', .*run scdataloader\.Prepro"
    ):
        match_genes(vocabulary, data([f"gene {i}" for i in range(60)]))
    with pytest.raises(ValueError, match="mixes organisms"):
        match_genes(vocabulary, data(genes("human")["symbol"], organism=["human", "mouse", "human"]))
    with pytest.raises(ValueError, match="not raw counts"):
        match_genes(vocabulary, data(ids, np.full((3, 60), 0.5)))


def test_symbols_that_fit_two_organisms_are_told():
    ids = [*(f"ENSG{i:011d}" for i in range(60)), *(f"ENSMUSG{i:011d}" for i in range(60))]
    symbols = tuple(f"SAME{i}" for i in range(60)) * 2
    organisms = ("NCBITaxon:9606",) * 60 + ("NCBITaxon:10090",) * 60
    vocabulary = GeneVocabulary(tuple(ids), symbols, organisms, np.zeros(120, dtype=np.int32))
    with pytest.raises(ValueError, match="fit NCBITaxon:9606 as well as NCBITaxon:10090: say which it is"):
        match_genes(vocabulary, data([f"SAME{i}" for i in range(60)]))


def test_genes_of_an_organism_without_a_table():
    ids = tuple(f"ENSXYZG{i:011d}" for i in range(60))
    vocabulary = GeneVocabulary(
        ids, tuple(f"g{i}" for i in range(60)), ("NCBITaxon:1",) * 60, np.zeros(60, dtype=np.int32)
    )
    assert match_genes(vocabulary, data([f"G{i}" for i in range(60)])).index.tolist() == list(range(60))


def test_every_task_gives_the_same_whatever_genes_are_called(small_model, retina):
    by_id = retina[:6, np.flatnonzero(small_model.vocabulary.index(retina.var_names) >= 0)[:400]].copy()
    symbols = by_id.var["symbol"].astype(str).to_numpy()
    by_id = by_id[:, ~pd.Index(symbols).duplicated(keep=False)].copy()
    others = by_id[:, ::-1].copy()
    others.var_names = [f"{gene}.3" for gene in others.var_names]
    named = by_id.copy()
    named.var_names = named.var["symbol"].astype(str)
    first = encode(small_model, by_id)
    for cells in (others, named):
        np.testing.assert_allclose(encode(small_model, cells).embeddings, first.embeddings, atol=1e-5)
        assert annotate(small_model, cells).equals(annotate(small_model, by_id))
    few = np.arange(0, by_id.n_vars, 7)
    pairs = [(by_id.var_names[few].tolist(), by_id), (named.var_names[few].tolist(), named)]
    expected, renamed = (denoise(small_model, cells, genes=genes) for genes, cells in pairs)
    np.testing.assert_allclose(renamed.X, expected.X, rtol=1e-5)
    assert renamed.var_names.tolist() == pairs[1][0]
    expected, renamed = (infer(small_model, cells, genes=genes) for genes, cells in pairs)
    np.testing.assert_allclose(renamed.varp["GRN"], expected.varp["GRN"], atol=1e-7)
    assert renamed.var_names.tolist() == pairs[1][0]
