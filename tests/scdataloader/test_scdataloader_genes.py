"""Gene tables, locations and the vocabulary."""

import numpy as np
import pandas as pd
import pytest

from scdataloader.genes import GeneVocabulary, gene_table, location_index, organism_id


def test_organism_names_and_ids_mean_the_same():
    assert {organism_id(x) for x in ("human", "Homo sapiens", "NCBITaxon:9606", " HUMAN ")} == {"NCBITaxon:9606"}
    assert organism_id("mouse") == "NCBITaxon:10090"


def test_unknown_organism_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown organism 'zebrafish'.*human \(NCBITaxon:9606\), mouse"):
        organism_id("zebrafish")


def test_locations_by_hand():
    # chromosome 2 comes before 10, X after the numbers; a gap of exactly 10,000 starts a new location
    chromosomes = np.array(["10", "2", "2", "2", "X", "2", "scaffold"])
    starts = np.array([5, 9_999, 100, 19_999, 7, 19_998, 1])
    # in order: 2:100 -> 1, 2:9,999 (+9,899) -> 1, 2:19,998 (+9,999) -> 1, 2:19,999 -> 1, 10:5 -> 2, X:7 -> 3, last 4
    assert location_index(chromosomes, starts).tolist() == [2, 1, 1, 1, 3, 1, 4]
    assert location_index(np.array(["1", "1"]), np.array([1, 10_001])).tolist() == [1, 2]


def test_packaged_tables_hold_known_facts():
    human, mouse = gene_table("human"), gene_table("mouse")
    tp53 = human.loc["ENSG00000141510"]
    assert (tp53["symbol"], tp53["biotype"], tp53["chromosome"]) == ("TP53", "protein_coding", "17")
    assert tp53["start"] == 7_661_779  # Ensembl, GRCh38
    assert mouse.loc["ENSMUSG00000059552", "symbol"] == "Trp53"
    assert human.index.is_monotonic_increasing
    assert human.index.is_unique


def test_tables_agree_with_an_independent_one(shared):
    other = pd.read_csv(shared / "data/genes/genes_human.tsv.gz", sep="\t", low_memory=False, index_col=0)
    both = gene_table("human").join(other[["start_position", "pos", "chromosome_name"]], how="inner")
    same = both[both["start"] == both["start_position"]]
    assert len(same) > 0.85 * len(both)  # the other is of an older release: coordinates of some genes moved
    for _, chromosome in same[same["chromosome"].isin(["1", "7", "X"])].groupby("chromosome", observed=True):
        assert chromosome["location"].corr(chromosome["pos"], method="spearman") > 0.9999


def test_vocabulary_indexes_shares_rows_and_round_trips(tmp_path):
    vocabulary = GeneVocabulary.for_organisms(["human", "mouse"])
    ids = ["ENSG00000141510", "nothing", "ENSMUSG00000059552"]
    index = vocabulary.index(ids)
    assert index[1] == -1
    assert [vocabulary.ids[i] for i in index[[0, 2]]] == [ids[0], ids[2]]
    rho = vocabulary.index(["ENSG00000163914", "ENSMUSG00000030324"])  # RHO and Rho
    rows = vocabulary.shared_rows
    assert rows[rho[0]] == rows[rho[1]]
    assert rows[index[0]] != rows[rho[0]]
    assert set(rows) == set(range(rows.max() + 1))
    vocabulary.save(tmp_path / "v.parquet")
    assert GeneVocabulary.load(tmp_path / "v.parquet") == vocabulary


def test_vocabulary_refuses_duplicates_and_ragged_input():
    with pytest.raises(ValueError, match=r"1 gene ids occur more than once, such as \['a'\]"):
        GeneVocabulary(("a", "a"), ("x", "y"), ("t", "t"), np.array([1, 2]))
    with pytest.raises(ValueError, match="differ in length"):
        GeneVocabulary(("a", "b"), ("x",), ("t", "t"), np.array([1, 2]))
