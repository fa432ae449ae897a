"""Networks in the files of other tools: every form as the tool writes it, what is guessed, and what is refused."""

import io
import logging

import numpy as np
import pandas as pd
import pytest

import grnndata
from grnndata import read_edges, read_network, read_pairs

EDGES = {("CRX", "RHO"): 2.5, ("CRX", "NRL"): 0.5, ("NRL", "RHO"): 1.25}
TABLE = pd.DataFrame([(s, t, w) for (s, t), w in EDGES.items()], columns=["source", "target", "weight"])


def pairs(grn) -> dict[tuple[str, str], float]:
    return {(s, t): pytest.approx(w) for s, t, w in grn.edges().itertuples(index=False)}


def as_in(names, **more):
    table = TABLE.set_axis(names, axis=1)
    for name, values in more.items():
        table[name] = values
    return table


@pytest.mark.parametrize(
    ("names", "more"),
    [
        (["TF", "target", "weight"], {}),
        (["TF", "target", "importance"], {}),
        (["regulator", "target", "weight"], {}),
        (["from", "to", "weight"], {}),
        (["TF", "Gene", "Score"], {}),
        # Pando's coef(): a tibble of ten columns, here with one region a pair.
        (
            ["tf", "target", "estimate"],
            {
                "region": "chr3-1-2",
                "term": "t",
                "std_err": 0.1,
                "statistic": 2.5,
                "pval": 0.01,
                "padj": 0.03,
                "corr": 0,
            },
        ),
        # SCENIC+: of its first versions, and of those with a Snakemake workflow
        (["TF", "Gene", "TF2G_importance"], {"Region": "chr3:1-2", "R2G_importance": 0.1, "TF2G_rho": 0.2}),
        (
            ["TF", "Gene", "importance_TF2G"],
            {"Region": "chr3:1-2", "importance_R2G": 0.1, "rho_TF2G": 0.2, "regulation": 1, "triplet_rank": 3},
        ),
        # SCENIC+'s adjacencies of factors and genes
        (["TF", "target", "importance"], {"regulation": 1, "rho": 0.3, "importance_x_rho": 0.1}),
    ],
)
@pytest.mark.parametrize("form", ["csv", "tsv", "semicolon", "blank", "excel", "parquet"])
def test_tables_of_every_tool(names, more, form, tmp_path):
    table = as_in(names, **more)
    path = tmp_path / {"tsv": "t.tsv", "blank": "t.txt", "parquet": "t.parquet"}.get(form, "t.csv")
    if form == "parquet":
        table.to_parquet(path)
    elif form == "excel":  # "CSV UTF-8" where the decimal point is a comma: a byte-order mark, semicolons and CRLF
        table.to_csv(path, sep=";", decimal=",", index=False, encoding="utf-8-sig", lineterminator="\r\n")
    else:
        table.to_csv(path, sep={"csv": ",", "tsv": "\t", "semicolon": ";", "blank": " "}[form], index=False)
    assert pairs(read_network(path)) == EDGES
    assert set(zip(*(read_pairs(path)[side] for side in ("source", "target")), strict=True)) == set(EDGES)


@pytest.mark.parametrize(
    ("content", "order"),
    [
        # arboreto's tutorial: to_csv(sep="\t", header=False, index=False)
        ("CRX\tRHO\t2.5\nCRX\tNRL\t0.5\nNRL\tRHO\t1.25\n", "column 1 is the source, column 2 is the target, column 3"),
        # GENIE3's get_link_list, and write.table(row.names=FALSE, col.names=FALSE) of the R version
        ('"CRX" "RHO" 2.5\n"CRX" "NRL" 0.5\n"NRL" "RHO" 1.25\n', "column 3 is the weight"),
        ("2.5,CRX,RHO\n0.5,CRX,NRL\n1.25,NRL,RHO\n", "column 2 is the source, column 3 is the target, column 1 is"),
        ("0,CRX,RHO,2.5\n1,CRX,NRL,0.5\n2,NRL,RHO,1.25\n", "column 2 is the source, column 3 is the target, column 4"),
        ("CRX;RHO;2,5\r\nCRX;NRL;0,5\r\nNRL;RHO;1,25\r\n", "column 1 is the source"),
        ("\ufeffCRX,RHO,2.5\nCRX,NRL,0.5\nNRL,RHO,1.25\n", "column 1 is the source"),
    ],
)
def test_tables_without_a_header_are_guessed_and_that_is_told(content, order, tmp_path, caplog):
    path = tmp_path / "links.csv"
    path.write_text(content, encoding="utf-8", newline="")
    grn = read_network(path)
    assert pairs(grn) == EDGES
    [note] = [one for one in grn.uns["grn"]["parameters"]["notes"] if "no header" in one]
    assert order in note
    assert note.endswith("(2 sources, 2 targets)")
    assert note in caplog.text
    # What the note says is done as it says.
    other = note.partition("--columns ")[2].split()[0].split(",")
    turned = read_network(path, columns=[int(one) for one in other])
    assert pairs(turned) == {(t, s): w for (s, t), w in EDGES.items()}


def test_genes_called_by_numbers_and_as_missing_values(tmp_path):
    path = tmp_path / "ids.tsv"
    path.write_text("007\t1017\t0.5\n1017\tNA\t2\n")
    assert read_edges(path).to_numpy().tolist() == [["007", "1017", 0.5], ["1017", "NA", 2.0]]
    path.write_text("TF\tGene\tScore\nNA\tNAN\t0.5\nnull\tNA\t2\n")
    assert read_network(path).var_names.tolist() == ["NA", "NAN", "null"]


def test_without_a_header_and_not_clear(tmp_path):
    path = tmp_path / "links.tsv"
    path.write_text("CRX\tRHO\t2.5\t0.01\n")
    with pytest.raises(ValueError, match=r"links\.tsv: there is no header.*which of 4 columns.*\['CRX', 'RHO', '2\.5'"):
        read_edges(path)
    assert read_edges(path, columns=(0, 1, 2)).to_numpy().tolist() == [["CRX", "RHO", 2.5]]
    assert read_edges(path, columns=("0", "1", "3"))["weight"].tolist() == [pytest.approx(0.01)]
    assert read_edges(path, columns=("source", "target", "weight", None))["weight"].tolist() == [2.5]
    assert read_edges(path, columns=(0, 1))["weight"].tolist() == [1]
    with pytest.raises(ValueError, match=r"no column \[7\]"):
        read_edges(path, columns=(0, 1, 7))


@pytest.mark.parametrize("columns", [("cause", "effect", "strength"), {"source": 0, "target": 1, "weight": 2}])
def test_columns_by_name_or_position(columns, tmp_path):
    path = tmp_path / "mine.csv"
    as_in(["cause", "effect", "strength"]).to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"columns \['cause', 'effect', 'strength'\].*--columns from,to,score"):
        read_network(path)
    assert pairs(read_network(path, columns=columns)) == EDGES
    assert read_network(path, columns=("cause", "effect")).edges()["weight"].tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match=r"no column \['Strength'\].*has the columns \['cause', 'effect', 'strength'"):
        read_network(path, columns=("cause", "effect", "Strength"))
    pair = read_pairs(path, columns=columns)
    assert pair[["source", "target"]].to_numpy().tolist() == TABLE[["source", "target"]].to_numpy().tolist()
    grnndata.from_edges(TABLE).write_h5ad(tmp_path / "n.h5ad")
    with pytest.raises(ValueError, match=r"columns= names the columns of an edge table, and .*n\.h5ad is none"):
        read_network(tmp_path / "n.h5ad", columns=columns)


def test_rows_that_cannot_be_used_are_counted(tmp_path):
    path = tmp_path / "some.csv"
    path.write_text("TF,target,importance\nCRX,RHO,2.5\n,RHO,1\nCRX,NRL,\nNRL,RHO,n/a\nNRL,RHO,1.25\n")
    with pytest.raises(ValueError, match=r"1 row has no source, first at row 1: drop these rows.*--missing drop"):
        read_network(path)
    grn = read_network(path, missing="drop")
    assert pairs(grn) == {("CRX", "RHO"): 2.5, ("NRL", "RHO"): 1.25}
    assert grn.uns["grn"]["parameters"]["notes"] == [
        "3 of 5 rows left out: 1 without a name, 2 without a finite number"
    ]
    path.write_text("TF,target,importance\nCRX,RHO,2.5\nCRX,RHO,1\n")
    with pytest.raises(ValueError, match=r"1 pairs are listed more than once: CRX → RHO.*--duplicates sum or max"):
        read_network(path)
    grn = read_network(path, duplicates="sum")
    assert pairs(grn) == {("CRX", "RHO"): 3.5}
    assert grn.uns["grn"]["parameters"]["notes"] == ["1 row repeats a pair and are merged by their sum"]


def test_regions_of_scenic_plus_and_of_pando(tmp_path):
    # SCENIC+ repeats the importance of a factor for a gene for every region between them.
    twice = pd.concat(
        [as_in(["TF", "Gene", "importance_TF2G"], Region=region) for region in ("chr1:1-9", "chr1:20-30")]
    )
    twice.to_csv(tmp_path / "eRegulon_direct.tsv", sep="\t", index=False)
    grn = read_network(tmp_path / "eRegulon_direct.tsv")
    assert pairs(grn) == EDGES
    assert grn.uns["grn"]["parameters"]["notes"] == ["6 rows, one for each region, are 3 edges, each taken once"]
    # Pando has a coefficient a region: what to make of them is for the user to say.
    first, second = (as_in(["tf", "target", "estimate"], region=region) for region in "ab")
    pd.concat([first, second.assign(estimate=-1.0)]).to_csv(tmp_path / "coef.csv", index=False)
    with pytest.raises(ValueError, match="3 pairs are listed more than once"):
        read_network(tmp_path / "coef.csv")
    summed = read_network(tmp_path / "coef.csv", duplicates="sum")
    assert pairs(summed) == {pair: weight - 1 for pair, weight in EDGES.items()}


def reg(*rows) -> str:
    """Write motifs as ``pyscenic ctx -o reg.csv`` writes its data frame: two levels of columns, and of the index."""
    names = ["AUC", "NES", "MotifSimilarityQvalue", "OrthologousIdentity"]
    names += ["Annotation", "Context", "TargetGenes", "RankAtMax"]
    columns = pd.MultiIndex.from_product([["Enrichment"], names])
    index = pd.MultiIndex.from_tuples([row[:2] for row in rows], names=["TF", "MotifID"])
    values = [[0.06, 4.5, 0.0, 1.0, "gene is directly annotated", *row[2:], 3248] for row in rows]
    return pd.DataFrame(values, index=index, columns=columns).to_csv()


# Lists with numbers of numpy 1 and of numpy 2.
MOTIFS = [
    ("CRX", "m1", "frozenset({'db', 'activating', 'weight>75.0%'})", "[('RHO', 2.5), ('5S_rRNA', 1e-05)]"),
    ("CRX", "m2", "frozenset({'activating', 'top50', 'db'})", "[('RHO', 2.5), ('NRL', np.float64(0.5))]"),
    ("NRL", "m3", "frozenset({'repressing', 'top50', 'db'})", """[('RHO', 1.25), ("5'NT", 3)]"""),
    ("NRL", "m4", "frozenset({'activating', 'top50', 'db'})", "[('NR2E3', 4.0), ('RHO', 1.0)]"),
]


@pytest.mark.parametrize("sep", [",", "\t"])
def test_motifs_of_pyscenic(sep, tmp_path):
    path = tmp_path / ("reg.csv" if sep == "," else "reg.tsv")
    text = reg(*MOTIFS)
    assert text.splitlines()[1].startswith(",,AUC,NES,MotifSimilarityQvalue")
    assert text.splitlines()[2] == "TF,MotifID,,,,,,,,"
    if sep == ",":
        path.write_text(text)
    else:
        pd.read_csv(io.StringIO(text), index_col=[0, 1], header=[0, 1]).to_csv(path, sep=sep)
    grn = read_network(path)
    assert pairs(grn) == {
        ("CRX", "RHO"): 2.5,
        ("CRX", "5S_rRNA"): 1e-5,
        ("CRX", "NRL"): 0.5,
        ("NRL", "RHO"): 1.0,  # in a repressing and in an activating module: activating
        ("NRL", "5'NT"): -3,
        ("NRL", "NR2E3"): 4,
    }
    assert grn.uns["grn"]["parameters"]["notes"] == [
        "8 entries of motifs are 6 pairs, each with its largest weight",
        "1 pair is both activating and repressing: activating is kept",
    ]
    assert len(read_pairs(path)) == 6
    path.write_text(reg(("NRL", "m4", "frozenset()", "[('NR2E3', x), ('RHO', 1.0)]")))
    with pytest.raises(ValueError, match="line 4: 1 of 2 entries of TargetGenes are a gene and a number"):
        read_network(path, sep=",")


@pytest.mark.parametrize("join", ["\t", ","])
def test_regulons_in_gmt_files(join, tmp_path):
    path = tmp_path / "regulons.gmt"
    lines = [("CRX(+)", "RHO", "NRL"), ("NRL_(-)", "CRX", "NA"), ("NRL_extended (12g)", "RHO")]
    path.write_text("".join(f"{name}\ttf={name}\t{join.join(genes)}\n" for name, *genes in lines))
    grn = read_network(path)
    assert pairs(grn) == {
        ("CRX", "RHO"): 1,
        ("CRX", "NRL"): 1,
        ("NRL", "CRX"): -1,
        ("NRL", "NA"): -1,
        ("NRL", "RHO"): 1,
    }
    assert "notes" not in grn.uns["grn"]["parameters"]
    path.write_text("HALLMARK_HYPOXIA\tna\tVEGFA\n")
    assert "no name of 1 gene set (HALLMARK_HYPOXIA) is a gene" in read_edges(path).attrs["notes"][0]


@pytest.mark.parametrize("form", ["parquet", "csv", "index.csv"])
def test_base_grns_of_celloracle(form, tmp_path):
    base = pd.DataFrame(
        {
            "peak_id": ["chr1_1_9", "chr1_20_30", "chr2_1_9", "chr2_50_60"],
            "gene_short_name": ["RHO", "RHO", "NRL", "NA"],
            "CRX": [1.0, 0.0, 1.0, 0.0],
            "NRL": [1.0, 1.0, 0.0, 0.0],
            "PAX6": [0.0, 0.0, 0.0, 0.0],
        }
    )
    path = tmp_path / f"base_GRN_dataframe.{form}"
    base.to_parquet(path) if form == "parquet" else base.to_csv(path, index=form == "index.csv")
    grn = read_network(path)
    assert pairs(grn) == {("CRX", "RHO"): 1, ("CRX", "NRL"): 1, ("NRL", "RHO"): 1}
    assert set(grn.var_names) == {"RHO", "NRL", "NA", "CRX", "PAX6"}
    assert "4 peaks of 3 genes" in grn.uns["grn"]["parameters"]["notes"][0]
    assert set(read_pairs(path)["source"]) == {"CRX", "NRL"}


def test_what_is_no_network(tmp_path):
    path = tmp_path / "notes.csv"
    path.write_text("day,what\nMonday,read\n")
    with pytest.raises(ValueError, match=r"columns \['day', 'what'\]"):
        read_network(path)
    path.write_text("")
    with pytest.raises(ValueError, match=r"notes\.csv.*empty"):
        read_network(path)
    path = tmp_path / "image.csv"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\xff")
    with pytest.raises(ValueError, match=r"image\.csv"):
        read_network(path)


def test_a_file_of_pairs_without_known_names_says_what_it_takes_for_an_edge(tmp_path, caplog):
    path = tmp_path / "truth.csv"
    path.write_text("cause,effect\nCRX,RHO\n")
    with caplog.at_level(logging.WARNING):
        table = read_pairs(path)
    assert table.to_numpy().tolist() == [["cause", "effect"], ["CRX", "RHO"]]
    assert "the first line 'cause,effect' counts as an edge" in table.attrs["notes"][0]
    assert "counts as an edge" in caplog.text
    assert read_pairs(path, columns=("cause", "effect")).attrs["notes"] == []
    path.write_text("#TF\tgene\nCRX\tRHO\n")
    assert read_pairs(path).to_numpy().tolist() == [["CRX", "RHO"]]
    np.testing.assert_array_equal(read_pairs(path, columns=["0", "1"])["source"], ["#TF", "CRX"])
