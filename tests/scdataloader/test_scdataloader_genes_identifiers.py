"""Names of genes, of all kinds, to Ensembl ids."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scdataloader.genes import gene_table
from scdataloader.genes.identifiers import map_identifiers, merge_columns

#: symbol, biotype, approved, previous, aliases, entrez
TOY = pd.DataFrame(
    [
        ("AAA", "protein_coding", "", "OLDA|OLDA2", "p10|shared", "11"),
        ("BBB", "protein_coding", "", "", "shared|nickb|nickb2", "12|13"),
        ("CCC", "lncRNA", "", "nickb3", "AAA-x", "14"),
        ("DUP", "lncRNA", "", "", "", ""),
        ("DUP", "lncRNA", "", "", "", ""),
        ("COD", "protein_coding", "", "", "", "15"),
        ("COD", "lncRNA", "", "", "", "15"),
        ("LAW", "protein_coding", "", "", "", ""),
        ("LAW", "lncRNA", "LAW", "", "", "200000"),
        ("EEE", "protein_coding", "", "MIX", "", "300000"),
        ("FFF", "protein_coding", "", "", "MIX|EEE-1", "400000"),
    ],
    columns=["symbol", "biotype", "approved", "previous", "aliases", "entrez"],
    index=[f"ENSG{i:011}" for i in range(1, 12)],
)
A, B, C, D1, D2, COD, COD2, LAW1, LAW, E, F = TOY.index


def ids_of(*names, table=TOY):
    return list(map_identifiers(names, table).ids)


def reason_of(name, *others):
    frame = map_identifiers([name, *others], TOY).to_frame()
    assert pd.isna(frame["gene_id"][0])
    return frame["reason"][0]


def test_every_kind_of_name():
    names = [A, B + ".7", "CCC", "eee", "nickb", "OLDA", "what"]
    mapping = map_identifiers(names, TOY)
    # OLDA is a former symbol of AAA, which is there by its id
    assert mapping.ids == (A, B, C, E, None, None, None)
    frame = mapping.to_frame()
    assert frame.columns.tolist() == ["name", "gene_id", "kind", "reason"]
    assert frame["name"].tolist() == names
    assert frame["kind"].tolist() == ["ensembl", "ensembl", "symbol", "symbol", "", "", ""]
    assert frame["reason"].tolist()[4:] == [
        f"alias name of {B}, which is there under its own",
        f"previous name of {A}, which is there under its own",
        "unknown",
    ]
    assert (mapping.n_ensembl, mapping.n_symbol, mapping.n_alias, mapping.n_entrez) == (2, 2, 0, 0)


def test_the_sentence_names_only_what_there_is():
    assert str(map_identifiers([A, "BBB"], TOY)) == "1 Ensembl ids and 1 symbols recognised"
    text = "1 Ensembl ids and 0 symbols recognised, 1 unknown, such as ['x'], 1 aliases"
    assert str(map_identifiers([A, "nickb", "x"], TOY)) == text
    assert str(map_identifiers(["11", "14"], TOY)) == "0 Ensembl ids and 0 symbols recognised, 2 Entrez ids"


def test_versions_and_copies_on_y():
    assert ids_of(A + ".1", A + ".18_PAR_Y", A + "_PAR_Y", A) == [A] * 4
    assert ids_of(A.replace("ENSG0", "ENSGR") + ".2") == [A]  # as GENCODE wrote them up to release 24
    assert ids_of("ENSG00000999999.1", A + ".x", "ENSG00000999999") == [None] * 3  # retired, and no version


def test_symbols_of_several_genes():
    assert ids_of("COD") == [COD]  # the one that makes a protein
    assert ids_of("LAW", "law") == [LAW, LAW]  # the one that the nomenclature means
    assert reason_of("DUP") == "ambiguous symbol"


def test_aliases_are_not_guessed():
    assert ids_of("p10", "P10") == [None, None]  # two names of one gene
    assert ids_of("p10") == ids_of("P10") == [A]
    assert reason_of("shared") == "ambiguous alias"
    assert reason_of("MIX") == "ambiguous alias"  # a former symbol of one, an alias of another


def test_an_alias_does_not_add_to_a_gene_that_is_there():
    assert ids_of("nickb") == [B]
    assert reason_of("nickb", "bbb") == f"alias name of {B}, which is there under its own"
    assert reason_of("nickb", B + ".3") == f"alias name of {B}, which is there under its own"
    assert reason_of("nickb", "nickb2") == f"one of several aliases of {B} that are there"
    assert reason_of("p10", "OLDA") == f"alias of {A}, which is there under a former symbol"
    assert ids_of("OLDA", "OLDA2", "p10") == [A, A, None]  # merged records are one gene
    assert ids_of("nickb", "nickb") == [B, B]  # the same name twice is no rival of itself


def test_repeats_that_scanpy_and_r_made_unique():
    assert ids_of("AAA", "AAA-1", "AAA.2") == [A, A, A]
    assert ids_of("OLDA", "OLDA-1") == [A, A]
    assert ids_of("AAA-1", "BBB") == [None, B]  # AAA is not there
    assert ids_of("AAA", "AAA-b", "DUP", "DUP-1") == [A, None, None, None]
    # an alias that looks like a repeat, beside the gene it would be a repeat of
    assert ids_of("EEE-1") == [F]
    assert reason_of("EEE-1", "EEE") == "ambiguous: a second EEE, or a name of its own"


def test_numbers_are_entrez_ids_only_in_company():
    assert ids_of("200000", "300000", "15", "99") == [LAW, E, COD, None]
    assert map_identifiers(["200000", "99"], TOY).to_frame()["reason"].tolist() == ["", "unknown"]
    assert ids_of("200000", "99", "98") == [None] * 3  # less than half is known
    assert ids_of("11", "AAA") == [None, A]  # half of the names are no numbers
    assert ids_of("12", "14", *["11"]) == [B, C, A]
    assert ids_of("11", "14", "16") == [None] * 3  # low numbers: rows?
    assert ids_of("11", "12", "13", "14") == [None] * 4  # one after the other: rows


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("step", [1, 3, 7])
def test_row_numbers_are_no_entrez_ids(first, step):
    # what is left of 20,000 rows after a filter
    names = [str(i) for i in range(first, 20_000, step)]
    assert map_identifiers(names, gene_table("human")).n_entrez == 0


def test_real_entrez_ids_are_recognised():
    table = gene_table("human")
    known = table[table["entrez"] != ""].sample(2000, random_state=0)
    mapping = map_identifiers(known["entrez"].tolist(), table)
    assert list(mapping.ids) == known.index.tolist()
    assert mapping.n_entrez == 2000
    assert ids_of("7157", "1956", "2597", table=table) == ["ENSG00000141510", "ENSG00000146648", "ENSG00000111640"]


def test_known_names_of_real_genes():
    table = gene_table("human")
    expected = {
        "MLL": "ENSG00000118058",  # KMT2A, renamed in 2013
        "C9orf72": "ENSG00000147894",
        "C9ORF72": "ENSG00000147894",
        "SEPT7": "ENSG00000122545",  # SEPTIN7, renamed since Excel takes it for a date
        "PD-L1": "ENSG00000120217",  # CD274
        "HER2": "ENSG00000141736",  # ERBB2
        "CD99": "ENSG00000002586",  # has a copy on Y with an id of its own
        "MLL2": None,  # the name of two genes at different times
    }
    assert dict(zip(expected, map_identifiers(list(expected), table).ids, strict=True)) == expected
    assert ids_of("p53", "Oct4", table=gene_table("mouse")) == ["ENSMUSG00000059552", "ENSMUSG00000024406"]


def test_a_changed_table_is_not_taken_for_the_old_one():
    table = TOY.copy()
    assert ids_of("NEW", table=table) == [None]
    table.loc[A, "symbol"] = "NEW"
    assert ids_of("NEW", table=table) == [A]


def test_a_table_of_symbols_only():
    table = TOY[["symbol", "biotype"]]
    assert ids_of("AAA", "p10", "LAW", table=table) == [A, None, LAW1]


NAMES = [
    *TOY.index, A + ".5", B + ".2_PAR_Y", "AAA", "aaa", "BBB", "CCC", "DUP", "COD", "LAW", "EEE", "FFF", "OLDA",
    "OLDA2", "p10", "shared", "nickb", "nickb2", "nickb3", "MIX", "AAA-1", "AAA.1", "EEE-1", "11", "14", "200000",
    "300000", "no", "",
]  # fmt: skip


@given(st.lists(st.sampled_from(NAMES), max_size=14), st.randoms(use_true_random=False))
def test_order_does_not_matter(names, random):
    there = dict(zip(names, map_identifiers(names, TOY).ids, strict=True))
    shuffled = list(names)
    random.shuffle(shuffled)
    assert dict(zip(shuffled, map_identifiers(shuffled, TOY).ids, strict=True)) == there


@given(st.lists(st.sampled_from(NAMES), max_size=14))
def test_mapped_ids_map_to_themselves(names):
    mapped = [gene for gene in map_identifiers(names, TOY).ids if gene is not None]
    again = map_identifiers(mapped, TOY)
    assert list(again.ids) == mapped
    assert again.n_ensembl == len(mapped)


@given(st.lists(st.sampled_from(NAMES), max_size=14))
def test_every_name_has_an_id_or_a_reason(names):
    mapping = map_identifiers(names, TOY)
    n_known = mapping.n_ensembl + mapping.n_symbol + mapping.n_alias + mapping.n_entrez
    assert n_known + len(mapping.unknown) + mapping.n_missing == len(names)
    for gene, kind, reason in zip(mapping.ids, mapping.kinds, mapping.reasons, strict=True):
        assert (gene is None) == (kind == "") == (reason != "")


@given(
    st.lists(st.sampled_from([*TOY.index, "AAA", "no"]), max_size=8),
    st.lists(st.integers(0, 99), min_size=8, max_size=8),
)
def test_versions_never_matter(names, versions):
    versioned = [f"{name}.{v}" if name.startswith("ENSG") else name for name, v in zip(names, versions, strict=False)]
    assert map_identifiers(versioned, TOY).ids == map_identifiers(names, TOY).ids


@settings(max_examples=60)
@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=14), st.integers(0, 2**31))
def test_counts_of_mapped_names_are_conserved(names, seed):
    ids = map_identifiers(names, TOY).ids
    counts = np.random.default_rng(seed).poisson(1, (4, len(names)))
    merged, genes = merge_columns(sparse.csr_matrix(counts), ids)
    known = np.array([gene is not None for gene in ids])
    assert merged.sum(axis=1).A1.tolist() == counts[:, known].sum(axis=1).tolist()
    assert len(genes) == len(set(genes)) == len(set(ids) - {None})


def test_symbols_of_a_real_set_agree_with_its_ids(shared):
    import anndata

    var = anndata.read_h5ad(shared / "data/expression/retina_1k.h5ad", backed="r").var
    by_id = map_identifiers(var.index.tolist(), gene_table("human"))
    by_symbol = map_identifiers(var["feature_name"].astype(str).tolist(), gene_table("human"))
    # genes without symbol are named by their id
    pairs = [
        (one, two)
        for one, two, kind in zip(by_id.ids, by_symbol.ids, by_symbol.kinds, strict=True)
        if one is not None and two is not None and kind != "ensembl"
    ]
    assert len(pairs) > 20_000
    assert np.mean([one == two for one, two in pairs]) > 0.999


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("human_kidney_immune", 0.9757, 0.978),
        ("mouse_marrow_hpc_tusi", 0.9057, 0.975),
        ("mouse_pancreas_e15_2kgenes", 0.9412, 0.988),
    ],
)
def test_aliases_recover_genes_of_real_sets(shared, name, before, after):
    import anndata

    names = anndata.read_h5ad(shared / f"data/expression/{name}.h5ad", backed="r").var_names.tolist()
    table = gene_table(name.partition("_")[0])
    known = [1 - len(map_identifiers(names, t).unknown) / len(names) for t in (table[["symbol", "biotype"]], table)]
    assert known[0] == pytest.approx(before, abs=1e-3)
    assert known[1] >= after


def test_a_missing_name_is_no_gene_and_is_counted():
    table = gene_table("human")
    names = ["TP53", None, float("nan"), "nan", "NaN", "NA", "", "<NA>", pd.NA]
    mapping = map_identifiers(names, table)
    assert mapping.ids == ("ENSG00000141510", *[None] * 8)
    assert mapping.n_missing == 8
    assert mapping.unknown == ()
    assert mapping.reasons == ("", *["missing"] * 8)
    assert str(mapping) == "0 Ensembl ids and 1 symbols recognised, 8 without a name"
    # the alias itself, as people mean it
    assert map_identifiers(["Nav1.9", "SCN11A"], table).ids[1] == "ENSG00000168356"


def test_a_gene_whose_symbol_looks_like_a_missing_name_keeps_it():
    flies = pd.DataFrame({"symbol": ["nan", "vas"], "biotype": "protein_coding"}, index=["FBgn0036414", "FBgn0283442"])
    mapping = map_identifiers(["nan", "vas", np.nan], flies)
    assert mapping.ids == ("FBgn0036414", "FBgn0283442", None)
    assert mapping.n_missing == 1
