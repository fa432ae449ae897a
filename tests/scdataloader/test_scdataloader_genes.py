"""Organisms, gene tables, locations and the vocabulary."""

import multiprocessing

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from scdataloader.genes import GeneVocabulary, gene_table, location_index, organism_id, organisms
from scdataloader.genes.tables import list_tables, read_gene_table, register_gene_table


def fish(**changes):
    columns = {
        "gene_id": ["ENSORLG00000000002", "ENSORLG00000000001", "ENSORLG00000000003"],
        "symbol": ["tp53", None, "actb"],
        "biotype": ["protein_coding", "lncRNA", "protein_coding"],
        "chromosome": ["2", "10", "2"],
        "start": [500, 7, 20_000],
    }
    return pd.DataFrame(columns | changes)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SCDATALOADER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_organism_names_and_ids_mean_the_same():
    names = ("human", "Homo sapiens", "NCBITaxon:9606", " HUMAN ", "homo_sapiens", "9606", "NCBITaxon_9606")
    assert {organism_id(x) for x in names} == {"NCBITaxon:9606"}
    assert organism_id("mouse") == "NCBITaxon:10090"
    assert organism_id("Danio rerio") == organism_id("zebrafish") == "NCBITaxon:7955"
    assert organism_id("NCBITaxon:4932") == organism_id("yeast")  # the species, and the strain that Ensembl has


def test_organisms_agree_with_the_taxonomy():
    ontology = pytest.importorskip("scdataloader.labels.ontology")
    both = {organism.taxon: organism for organism in organisms.KNOWN if organism.taxon in ontology._TAXA}
    assert len(both) >= 15
    for taxon, organism in both.items():
        assert organisms.find(ontology._TAXA[taxon][0]) == organism
    names = [organisms.plain_name(name) for o in organisms.KNOWN for name in {o.taxon, o.species, o.name, *o.others}]
    assert len(names) == len(set(names))  # no name means two organisms


def test_unknown_organism_lists_the_known_ones(cache):
    message = r"unknown organism 'unicorn'.*human \(NCBITaxon:9606\), mouse.*genes fetch danio_rerio --release 112"
    with pytest.raises(ValueError, match=message):
        organism_id("unicorn")


def test_an_organism_without_table_says_how_to_get_it(cache):
    with pytest.raises(
        ValueError,
        match=r"zebrafish \(Danio rerio, NCBITaxon:7955\): .*`scdataloader genes fetch danio_rerio --release 112`",
    ):
        gene_table("zebrafish")
    with pytest.raises(
        ValueError, match=r"no gene table of release 58 of fruit fly.*drosophila_melanogaster --release 58`"
    ):
        gene_table("fly", release=58)
    with pytest.raises(ValueError, match=r"no gene table of human .* is registered as 'mine'"):
        gene_table("human", release="mine")


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
    assert tp53["entrez"] == "7157"
    assert "p53" in tp53["aliases"].split("|")
    assert human.loc["ENSG00000168710", ["symbol", "previous"]].tolist() == ["AHCYL1", ""]
    assert "MLL" in human.loc["ENSG00000118058", "previous"].split("|")  # KMT2A
    assert mouse.loc["ENSMUSG00000059552", ["symbol", "entrez"]].tolist() == ["Trp53", "22059"]
    assert human.index.is_monotonic_increasing
    assert human.index.is_unique


def test_no_alias_is_a_symbol():
    for organism in ("human", "mouse"):
        table = gene_table(organism)
        symbols = {symbol.upper() for symbol in table["symbol"].tolist()}
        names = [name for column in ("aliases", "previous") for name in "|".join(table[column].tolist()).split("|")]
        assert len(names) > 50_000
        assert not symbols & {name.upper() for name in names if name}


def test_tables_agree_with_an_independent_one(shared):
    other = pd.read_csv(shared / "data/genes/genes_human.tsv.gz", sep="\t", low_memory=False, index_col=0)
    both = gene_table("human").join(other[["start_position", "pos", "chromosome_name"]], how="inner")
    same = both[both["start"] == both["start_position"]]
    assert len(same) > 0.85 * len(both)  # the other is of an older release: coordinates of some genes moved
    for _, chromosome in same[same["chromosome"].isin(["1", "7", "X"])].groupby("chromosome", observed=True):
        assert chromosome["location"].corr(chromosome["pos"], method="spearman") > 0.9999


def test_locations_are_those_of_an_independent_table(shared):
    other = pd.read_csv(shared / "data/genes/genes_human.tsv.gz", sep="\t", low_memory=False, index_col=0)
    other = other[other["chromosome_name"].astype(str).isin([*map(str, range(1, 23)), "X", "Y"])]
    other = other[other["start_position"].notna()]
    ours = location_index(other["chromosome_name"].astype(str).to_numpy(), other["start_position"].to_numpy(np.int64))
    # the same genes share a location; the numbers themselves may be counted along another order of chromosomes
    frame = pd.DataFrame(
        {"ours": ours, "theirs": other["pos"].to_numpy(), "chromosome": other["chromosome_name"].astype(str).to_numpy()}
    )
    order = frame.assign(start=other["start_position"].to_numpy()).sort_values(["chromosome", "start"])
    steps = order.groupby("chromosome")[["ours", "theirs"]].diff().dropna()
    assert ((steps["ours"] > 0) == (steps["theirs"] > 0)).mean() > 0.99


@pytest.mark.parametrize(("organism", "share"), [("human", 0.99), ("mouse", 0.98)])
def test_entrez_ids_agree_with_an_independent_table(shared, organism, share):
    path = shared / f"data/genes/genes_{organism}.tsv.gz"
    other = pd.read_csv(path, sep="\t", low_memory=False, index_col=0)["entrezgene_id"].dropna().astype(int).astype(str)
    other = other[~other.index.duplicated(keep=False)]
    ours = gene_table(organism)["entrez"]
    both = ours[ours != ""].to_frame("ours").join(other.rename("theirs"), how="inner")
    agree = [
        theirs in ours.split("|") for ours, theirs in zip(both["ours"].tolist(), both["theirs"].tolist(), strict=True)
    ]
    assert len(agree) > 20_000
    assert np.mean(agree) > share


def test_a_table_of_ones_own_is_found_by_its_organism(cache):
    path = register_gene_table(fish(), "Oryzias latipes")
    assert path.is_relative_to(cache)
    table = gene_table("medaka")
    assert table.index.tolist() == ["ENSORLG00000000001", "ENSORLG00000000002", "ENSORLG00000000003"]
    assert table["symbol"].tolist() == ["ENSORLG00000000001", "tp53", "actb"]
    assert table["location"].tolist() == [3, 1, 2]
    assert table["start"].tolist() == [7, 500, 20_000]
    vocabulary = GeneVocabulary.for_organisms(["medaka", "human"])
    assert vocabulary.ids[:2] == ("ENSORLG00000000002", "ENSORLG00000000003")
    assert set(vocabulary.organisms) == {"NCBITaxon:8090", "NCBITaxon:9606"}
    with pytest.raises(ValueError, match=r"no gene of biotype 'tRNA': most are \['protein_coding', 'lncRNA'\]"):
        GeneVocabulary.for_organisms(["medaka"], biotype="tRNA")


def test_a_table_of_an_organism_that_ensembl_lacks(cache):
    register_gene_table(fish(), "NCBITaxon:123456", name="v1")
    assert organism_id("NCBITaxon:123456") == "NCBITaxon:123456"
    assert len(gene_table("NCBITaxon:123456")) == 3
    with pytest.raises(ValueError, match="unknown organism 'Oryzias nova': give its NCBI taxon id"):
        register_gene_table(fish(), "Oryzias nova")
    register_gene_table(fish(), "NCBITaxon:123456", name="v2")
    with pytest.raises(ValueError, match="release='v1' or 'v2'"):
        gene_table("NCBITaxon:123456")
    assert len(gene_table("NCBITaxon:123456", release="v2")) == 3
    assert list_tables()["release"].tolist() == ["packaged", "packaged", "v1", "v2"]


def test_a_registered_table_does_not_stand_in_for_the_packaged_one(cache):
    mine = gene_table("human").iloc[:5]
    register_gene_table(mine, "human", name="mine")
    assert len(gene_table("human")) > 70_000
    assert_frame_equal(gene_table("human", release="mine"), mine, check_categorical=False)


def test_a_table_that_is_registered_again_replaces_the_old_one(cache):
    register_gene_table(fish(), "medaka")
    assert gene_table("medaka").loc["ENSORLG00000000003", "symbol"] == "actb"
    register_gene_table(fish(symbol=["tp53", "x", "actb1"]), "medaka")
    assert gene_table("medaka").loc["ENSORLG00000000003", "symbol"] == "actb1"


@pytest.mark.parametrize("ending", ["parquet", "csv", "tsv.gz"])
def test_tables_are_read_from_files(tmp_path, ending):
    path = tmp_path / f"genes.{ending}"
    frame = fish(aliases=["p53|fp53", None, ""])
    if ending == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, sep="\t" if "tsv" in ending else ",", index=False)
    assert_frame_equal(read_gene_table(path), read_gene_table(frame))
    assert read_gene_table(path).loc["ENSORLG00000000002", "aliases"] == "p53|fp53"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (fish().drop(columns=["biotype", "start"]), r"no column 'biotype', 'start': it has \['gene_id'"),
        (fish(gene_id=["a", "a", "b"]), r"1 gene id occurs more than once.*\['a'\]"),
        (fish(gene_id=["a", None, "b"]), "1 row of the gene table has no gene_id"),
        (fish(gene_id=["ENSORLG00000000002.3", "b", "c"]), r"without version.*ENSORLG00000000002\.3"),
        (fish(start=[1, "x", 2]), r"1 starts .* such as \['x'\]"),
        (fish(start=[1, 2.5, -3]), r"2 starts .* such as \[2\.5, -3"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(table, message, cache):
    with pytest.raises(ValueError, match=message):
        register_gene_table(table, "medaka")
    assert not list(cache.rglob("*.parquet"))


def test_names_of_tables_are_checked(cache):
    for name in ("112", "../x", ""):
        with pytest.raises(ValueError, match="a table cannot be named"):
            register_gene_table(fish(), "medaka", name=name)


@pytest.mark.slow
def test_other_processes_find_a_registered_table(cache):
    register_gene_table(fish(), "medaka")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert len(pool.apply(gene_table, ("Oryzias latipes",))) == 3


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
    with pytest.raises(ValueError, match=r"1 gene id occurs more than once, such as \['a'\]"):
        GeneVocabulary(("a", "a"), ("x", "y"), ("t", "t"), np.array([1, 2]))
    with pytest.raises(ValueError, match="differ in length"):
        GeneVocabulary(("a", "b"), ("x",), ("t", "t"), np.array([1, 2]))
