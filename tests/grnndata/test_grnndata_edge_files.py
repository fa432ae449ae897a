"""Edge tables of other tools: which columns are taken, which separator, and what is refused."""

import gzip
import io
import tarfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import grnndata
from grnndata.edge_files import read_edges, recognise_edges, write_edges

EDGES = [["SOX2", "RHO", 0.5], ["CRX", "SOX2", -2.0], ["SOX2", "CRX", 0.25]]

FILES = {
    "ours.csv": "source,target,weight\nSOX2,RHO,0.5\nCRX,SOX2,-2\nSOX2,CRX,0.25\n",
    "ours.tsv": "source\ttarget\tweight\nSOX2\tRHO\t0.5\nCRX\tSOX2\t-2\nSOX2\tCRX\t0.25\n",
    "spaces.csv": "source, target, weight\nSOX2, RHO, 0.5\nCRX, SOX2, -2\nSOX2, CRX, 0.25\n",
    # GENIE3 as R's write.csv and write.table write it: quoted, with row names, in the second case unnamed ones
    # that make the header a field shorter than the rows.
    "genie3.csv": (
        '"","regulatoryGene","targetGene","weight"\n"1","SOX2","RHO",0.5\n"2","CRX","SOX2",-2\n"3","SOX2","CRX",0.25\n'
    ),
    "genie3.txt": "regulatoryGene\ttargetGene\tweight\n1\tSOX2\tRHO\t0.5\n2\tCRX\tSOX2\t-2\n3\tSOX2\tCRX\t0.25\n",
    "adjacencies.tsv": "TF\ttarget\timportance\nSOX2\tRHO\t0.5\nCRX\tSOX2\t-2\nSOX2\tCRX\t0.25\n",
    "grnboost_pandas_index.csv": ",TF,target,importance\n0,SOX2,RHO,0.5\n1,CRX,SOX2,-2\n2,SOX2,CRX,0.25\n",
    "pyscenic_rho.csv": "TF,target,importance,sign,rho\nSOX2,RHO,0.5,1,.1\nCRX,SOX2,-2,1,.2\nSOX2,CRX,0.25,0,.0\n",
    # BEELINE: tabs although called .csv.
    "rankedEdges.csv": "Gene1\tGene2\tEdgeWeight\nSOX2\tRHO\t0.5\nCRX\tSOX2\t-2\nSOX2\tCRX\t0.25\n",
    "celloracle.csv": (
        ",source,target,coef_mean,coef_abs,p,-logp\n"
        "0,SOX2,RHO,0.5,0.5,1e-9,9\n1,CRX,SOX2,-2,2,1e-8,8\n2,SOX2,CRX,0.25,0.25,0.01,2\n"
    ),
    "dorothea.csv": "tf,confidence,target,mor\nSOX2,A,RHO,0.5\nCRX,B,SOX2,-2\nSOX2,C,CRX,0.25\n",
    "decoupler1.csv": "source,confidence,target,mor\nSOX2,A,RHO,0.5\nCRX,B,SOX2,-2\nSOX2,C,CRX,0.25\n",
    "commas.txt": "Source,TARGET,Weight\nSOX2,RHO,0.5\nCRX,SOX2,-2\nSOX2,CRX,0.25\n",
    "excel.csv": "\ufeffsource,target,weight\r\nSOX2,RHO,0.5\r\nCRX,SOX2,-2\r\nSOX2,CRX,0.25\r\n",
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_files_of_every_tool_say_the_same(name, packed, tmp_path):
    path = tmp_path / (name + ".gz" if packed else name)
    content = FILES[name].encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    edges = read_edges(path)
    assert edges.columns.tolist() == ["source", "target", "weight"]
    assert edges.to_numpy().tolist() == EDGES
    assert edges["weight"].dtype == np.float32


def test_signs_of_beeline_are_weights(tmp_path):
    path = tmp_path / "refNetwork.csv"
    path.write_text("Gene1,Gene2,Type\na,b,+\nb,c,-\n")
    assert read_edges(path).to_numpy().tolist() == [["a", "b", 1.0], ["b", "c", -1.0]]
    path.write_text("Gene1,Gene2,Type\na,b,+\nb,c,?\n")
    with pytest.raises(ValueError, match=r"refNetwork\.csv: 2 weights are not finite numbers, first at rows 0, 1"):
        read_edges(path)


def test_names_given_by_hand(tmp_path):
    path = tmp_path / "string.csv"
    path.write_text("from,to,score,weight\n1,007,900,5\nNA,1,400,6\n")
    by_name = read_edges(path, columns={"source": "from", "target": "to", "weight": "score"})
    assert by_name.to_numpy().tolist() == [["1", "007", 900.0], ["NA", "1", 400.0]]  # names as they are written
    assert read_edges(path, columns={"source": "to", "target": "from"})["weight"].tolist() == [5, 6]
    ones = read_edges(path, columns={"source": "from", "target": "to", "weight": None})
    assert ones["weight"].tolist() == [1, 1]


def test_roles_by_place_are_for_files_without_a_header(tmp_path):
    path = tmp_path / "plain.tsv"
    path.write_text(" 92\t 2\tx\t1.5\n232\t 3\ty\t2\n")
    edges = read_edges(path, columns=("source", "target", None, "weight"))
    assert edges.to_numpy().tolist() == [["92", "2", 1.5], ["232", "3", 2.0]]
    assert read_edges(path, columns=["target", "source", None, None]).to_numpy().tolist() == [
        ["2", "92", 1.0],
        ["3", "232", 1.0],
    ]
    with pytest.raises(ValueError, match="roles of 2 columns by place, but the edge table has 4"):
        read_edges(path, columns=("source", "target"))
    path.write_text("TF\tTarget\na\tb\n")
    with pytest.raises(ValueError, match="the first line is one: \\['TF', 'Target'\\]"):
        read_edges(path, columns=("source", "target"))


def test_separators(tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text("source;target;weight\na;b;1\n")
    with pytest.raises(ValueError, match=r"it has the columns \['source;target;weight'\]"):
        read_edges(path, sep=",")
    assert read_edges(path).to_numpy().tolist() == [["a", "b", 1.0]]
    assert read_edges(path, sep=";").to_numpy().tolist() == [["a", "b", 1.0]]
    # A comma in the name of a column does not make a tab-separated file comma-separated.
    path = tmp_path / "tabs.tsv"
    path.write_text('source\ttarget\tweight\t"p, adjusted"\na\tb\t1\t0.1\n')
    assert read_edges(path).to_numpy().tolist() == [["a", "b", 1.0]]
    table = pd.DataFrame(EDGES, columns=["TF", "target", "importance"])
    table.to_parquet(tmp_path / "t.parquet")
    assert read_edges(tmp_path / "t.parquet").to_numpy().tolist() == EDGES
    with pytest.raises(ValueError, match="a parquet file has no separator"):
        read_edges(tmp_path / "t.parquet", sep=",")


@pytest.mark.parametrize(
    ("names", "columns", "message"),
    [
        (["source", "target", "weight", "coef_mean"], None, r"\(source, target, weight\) or \(source, target, coef_"),
        (["Gene1", "Gene2", "Type", "EdgeWeight"], None, "can be read in several ways"),
        (["TF", "source", "target", "mor"], None, "can be read in several ways"),
        (["source", "target", "weight", "Weight"], None, r"2 columns that may be the weight, \['weight', 'Weight'\]"),
        (["x", "y", "z"], None, r"no column \['source', 'target', 'weight'\] .* columns \['x', 'y', 'z'\].*GENIE3"),
        (["Gene1", "Gene2"], None, r"no column \['weight'\] .*'source': 'Gene1', 'target': 'Gene2', 'weight': None"),
        (["a", "b", "c"], {"from": "a"}, r"does not take \['from'\]"),
        (["a", "b", "c"], {"source": "a", "target": "b"}, r"no column \['weight'\].*pass 'weight': None"),
        (["a", "b", "c"], {"source": "A", "target": "b", "weight": "c"}, r"no column \['A'\]"),
        (["a", "b", "c"], {"source": None, "target": "b", "weight": "c"}, r"no column \[None\]"),
        (["a", "a", "c"], {"source": "a", "target": "a", "weight": "c"}, r"several columns \['a', 'a'\]"),
        (["a", "b", "c"], ("source", "target", "score"), "by place are 'source', 'target', 'weight' or None"),
        (["a", "b", "c"], ("source", "source", "weight"), "'source' and 'target' once"),
        (["a", "b", "c"], ("source", "target", "weight", None), "4 columns by place, but the edge table has 3"),
        (["a", "b", "c"], "source", "by place are"),
    ],
)
def test_tables_that_cannot_be_read_one_way(names, columns, message):
    table = pd.DataFrame([["s", "t", 1.0, 2.0][: len(names)]], columns=names)
    with pytest.raises(ValueError, match=message):
        recognise_edges(table, columns)


def test_tables_in_memory():
    table = pd.DataFrame({"tf": ["a", "b"], "target": ["b", "a"], "mor": ["1.5", "-2"]}, index=[7, 7])
    as_categories = table.astype("category")
    for one in (table, as_categories, table.astype({"mor": float}).astype({"mor": "category"})):
        edges = recognise_edges(one)
        assert edges.to_numpy().tolist() == [["a", "b", 1.5], ["b", "a", -2.0]]
        assert edges.index.tolist() == [0, 1]
    assert recognise_edges(table.iloc[:0]).empty
    assert table.columns.tolist() == ["tf", "target", "mor"]
    with pytest.raises(ValueError, match="1 row has no source, first at row 1"):
        recognise_edges(pd.DataFrame({"tf": ["a", None], "target": ["b", "c"], "mor": [1, 2]}))


@settings(max_examples=30, deadline=None)
@given(
    names=st.permutations(["TF", "target", "importance", "rho", "Unnamed: 0"]),
    upper=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_order_case_and_other_columns_do_not_matter(names, upper, seed):
    rng = np.random.default_rng(seed)
    values = {"TF": ["a", "b"], "target": ["c", "a"], "importance": rng.normal(size=2).astype(np.float32)}
    values |= {"rho": [0.0, 0.1], "Unnamed: 0": [0, 1]}
    table = pd.DataFrame({(name.upper() if upper else name): values[name] for name in names})
    edges = recognise_edges(table)
    assert edges["source"].tolist() == ["a", "b"]
    assert edges["target"].tolist() == ["c", "a"]
    np.testing.assert_array_equal(edges["weight"], values["importance"])


@pytest.mark.parametrize("name", ["e.csv", "e.tsv", "e.txt", "e.csv.gz", "e.tsv.gz", "e.txt.gz", "e.parquet"])
def test_round_trip(name, tmp_path):
    table = pd.DataFrame({"source": ["NA", "b, c"], "target": ['b"', "NAN"], "weight": np.float32([0.1, -2e-9])})
    write_edges(table, tmp_path / name)
    assert read_edges(tmp_path / name).to_dict("list") == table.to_dict("list")
    network = grnndata.from_edges(table)
    write_edges(network, tmp_path / name)
    assert read_edges(tmp_path / name).to_dict("list") == network.edges().to_dict("list")
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.csv"):
        read_edges(tmp_path / "none.csv")
    contents = {
        "empty.csv": (b"", "No columns to parse"),
        "packed.csv.gz": (b"source,target,weight\n", "Not a gzipped file"),
        "cut.csv.gz": (gzip.compress(FILES["ours.csv"].encode())[:-12], "Compressed file ended"),
        "wrong.parquet": (b"source", "Parquet"),
        "network.xlsx": (b"", "cannot tell the kind of edge table"),
        "missing.csv": (b"source,target,weight\na,,1\n", "1 row has no target, first at row 0"),
        "nan.csv": (b"source,target,weight\na,b,NA\n", r"1 weights are not finite numbers, first at row 0 \('NA'\)"),
    }
    for name, (content, message) in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}.*{message}|{message}.*{name}"):
            read_edges(tmp_path / name)


def test_folders_that_are_missing_are_made(tmp_path):
    written = pd.DataFrame(EDGES, columns=["source", "target", "weight"])
    write_edges(written, tmp_path / "not" / "there" / "e.csv")
    assert read_edges(tmp_path / "not" / "there" / "e.csv").to_numpy().tolist() == written.to_numpy().tolist()


def test_published_networks(shared, tmp_path):
    folder = shared / "data" / "networks"
    dorothea = read_edges(folder / "dorothea_human.csv.gz")
    raw = pd.read_csv(folder / "dorothea_human.csv.gz", keep_default_na=False)
    assert dorothea.shape == (454504, 3)
    np.testing.assert_array_equal(dorothea["weight"], raw["mor"].to_numpy(np.float32))
    np.testing.assert_array_equal(dorothea["source"], raw["tf"])

    collectri = read_edges(folder / "collectri_human.csv.gz")
    assert len(collectri) == 43178
    assert set(collectri["weight"]) == {-1, 1}

    trrust = read_edges(
        folder / "trrust_rawdata.human.tsv.gz", columns={"source": "TF", "target": "gene_symbol", "weight": None}
    )
    assert trrust.iloc[0].tolist() == ["AATF", "BAX", 1.0]
    assert len(trrust) == 9396

    dream = read_edges(folder / "DREAM5_GoldStandard_Network3_ecoli.tsv.gz", columns=("source", "target", "weight"))
    assert dream.iloc[0].tolist() == ["92", "2", 1.0]
    assert set(dream["weight"]) == {0, 1}

    with tarfile.open(folder / "beeline_example_GSD.tar.xz") as archive:
        content = archive.extractfile("GSD/GroundTruthNetwork.csv").read()
    path = tmp_path / "refNetwork.csv"
    path.write_bytes(content)
    beeline = read_edges(path)
    assert beeline["weight"].tolist() == [{"+": 1, "-": -1}[s] for s in pd.read_csv(io.BytesIO(content))["Type"]]
    assert beeline.iloc[0].tolist() == ["SOX9", "AMH", 1.0]


@pytest.mark.parametrize("name", ["adj.tsv", "adj.csv.gz", "adj.parquet"])
def test_columns_are_written_by_the_names_of_other_tools(name, tmp_path):
    edges = pd.DataFrame({"source": ["CRX", "NRL"], "target": ["RHO", "SAG"], "weight": np.float32([0.3, 0.1])})
    write_edges(edges, tmp_path / name, columns=["TF", "target", "importance"])
    read = pd.read_parquet if name.endswith("parquet") else pd.read_csv
    options = {} if name.endswith("parquet") else {"sep": "\t" if "tsv" in name else ","}
    assert read(tmp_path / name, **options).columns.tolist() == ["TF", "target", "importance"]
    pd.testing.assert_frame_equal(read_edges(tmp_path / name), edges, check_dtype=False)
    with pytest.raises(ValueError, match=r"columns names source, target and weight, got \['TF', 'target'\]"):
        write_edges(edges, tmp_path / name, columns=["TF", "target"])
