"""The command line: what it prints and writes, and one clear line for input it cannot use."""

import hashlib
import json
import subprocess
import sys

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest

import grnndata
from grnndata import _provenance as provenance
from grnndata import read_zarr
from grnndata.cli import main
from grnndata.tools import camera, compare, differential_edges, differential_hubs, prerank

GENES = [f"G{i}" for i in range(30)]


def weights(seed=0, n=30):
    rng = np.random.default_rng(seed)
    matrix = np.round(rng.normal(size=(n, n)) * (rng.random((n, n)) < 0.3), 3).astype(np.float32)
    np.fill_diagonal(matrix, 0)
    return matrix


@pytest.fixture
def grn():
    adata = anndata.AnnData(np.ones((4, 30), dtype=np.float32), var=pd.DataFrame(index=GENES))
    return grnndata.GRNAnnData(adata, weights(), method="by hand", parameters={"alpha": 0.5})


@pytest.fixture
def path(grn, tmp_path):
    grn.write_h5ad(tmp_path / "one.h5ad")
    return tmp_path / "one.h5ad"


@pytest.fixture
def several(tmp_path):
    adata = anndata.AnnData(np.ones((4, 30), dtype=np.float32), var=pd.DataFrame(index=GENES))
    grn = grnndata.GRNAnnData(adata, networks={"rod cell": weights(1), "cone": weights(2)})
    grn.write_h5ad(tmp_path / "several.h5ad")
    return tmp_path / "several.h5ad"


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert code == 0, err
    assert err == ""
    return out


def test_inspect(path, grn, several, capsys):
    out = run(capsys, "inspect", path)
    assert out.startswith(
        f"{path}: 30 genes, 4 cells\nnetwork: {grn.n_edges:,} edges (density {grn.density:.3g}), directed"
    )
    assert "method: by hand (alpha=0.5), normalisation none" in out
    listed = out.split("strongest regulators\n")[1].splitlines()[1:]
    assert [line.split()[0] for line in listed] == grnndata.tl.hubs(grn, 10)["gene"].tolist()

    out = run(capsys, "inspect", several)
    assert f"network 'rod cell': {np.count_nonzero(weights(1))} edges, method: unknown" in out
    assert f"network 'cone': {np.count_nonzero(weights(2))} edges" in out
    assert "strongest regulators" not in out


def test_info_shows_the_beginning_of_long_lists(grn, tmp_path, capsys):
    told = {"regulators": GENES, "few": GENES[:2]}
    long = grnndata.GRNAnnData(grn, weights(), method="by hand", parameters=told)
    long.write_h5ad(tmp_path / "long.h5ad")
    out = run(capsys, "inspect", tmp_path / "long.h5ad")
    assert "regulators=[G0, G1, G2, ... 30 in all]" in out
    assert "G5," not in out.split("strongest")[0]
    assert "G1" in out.split("few=")[1]


@pytest.mark.parametrize("name", ["out.h5ad", "out.zarr", "out.csv", "out.tsv.gz", "out.txt", "out.parquet"])
def test_convert_and_back(name, path, grn, capsys, tmp_path):
    out = run(capsys, "convert", path, tmp_path / name)
    beside = "" if name in ("out.h5ad", "out.zarr") else f"; what made it: {tmp_path / name}.json"
    assert out == f"{tmp_path / name}: {grn.n_edges:,} edges{beside}\n"
    run(capsys, "convert", tmp_path / name, tmp_path / "back.h5ad")
    back = grnndata.read_h5ad(tmp_path / "back.h5ad")
    assert back.edges().sort_values(["source", "target"]).to_numpy().tolist() == (
        grn.edges().sort_values(["source", "target"]).to_numpy().tolist()
    )
    if name in ("out.h5ad", "out.zarr"):
        assert back.n_obs == 4
        assert back.uns["grn"]["method"] == "by hand"
    else:
        assert back.uns["grn"]["parameters"] == {"file": name}


def test_convert_cuts(path, grn, capsys, tmp_path):
    run(capsys, "convert", path, tmp_path / "top.csv", "--top-k", 7)
    assert grnndata.read_edges(tmp_path / "top.csv").to_dict("list") == grn.edges(top_k=7).to_dict("list")
    run(capsys, "convert", path, tmp_path / "strong.zarr", "--threshold", 1.5)
    strong = read_zarr(tmp_path / "strong.zarr")
    assert strong.edges().to_dict("list") == grn.edges(threshold=1.5).to_dict("list")
    assert len(strong.uns["grn"]["steps"]) == 1
    run(capsys, "convert", path, tmp_path / "both.csv", "--threshold", 1.5, "--top-k", 3)
    assert grnndata.read_edges(tmp_path / "both.csv").to_dict("list") == grn.edges(top_k=3).to_dict("list")


def test_convert_chooses_a_network(several, capsys, tmp_path):
    run(capsys, "convert", several, tmp_path / "rod.csv", "--network", "rod cell")
    expected = grnndata.from_matrix(weights(1), GENES).edges()
    assert grnndata.read_edges(tmp_path / "rod.csv").to_dict("list") == expected.to_dict("list")
    assert run(capsys, "convert", several, tmp_path / "all.zarr") == f"{tmp_path / 'all.zarr'}: 2 networks\n"
    assert list(read_zarr(tmp_path / "all.zarr").networks) == ["rod cell", "cone"]
    assert main(["convert", str(several), str(tmp_path / "x.csv")]) == 2
    assert "2 networks: choose one with --network, of 'rod cell', 'cone'" in capsys.readouterr().err
    assert main(["hubs", str(several), "--network", "amacrine"]) == 2
    assert "no network 'amacrine': there are 'rod cell', 'cone'" in capsys.readouterr().err


def test_convert_merges_pairs(capsys, tmp_path):
    (tmp_path / "e.csv").write_text("TF,target,importance\na,b,1\na,b,2\n")
    assert main(["convert", str(tmp_path / "e.csv"), str(tmp_path / "e.h5ad")]) == 2
    assert "1 pairs are listed more than once: a → b" in capsys.readouterr().err
    run(capsys, "convert", tmp_path / "e.csv", tmp_path / "e.h5ad", "--duplicates", "sum")
    assert grnndata.read_h5ad(tmp_path / "e.h5ad").edges().to_numpy().tolist() == [["a", "b", 3.0]]


def test_foreign_files(capsys, tmp_path):
    net = pd.DataFrame({"source": ["a", "b"], "target": ["b", "a"], "weight": ["0.5", "-2.0"]})
    anndata.AnnData(uns={"prediction": net, "method_id": "ppcor", "dataset_id": "op"}).write_h5ad(tmp_path / "net.h5ad")
    run(capsys, "convert", tmp_path / "net.h5ad", tmp_path / "net.csv")
    assert grnndata.read_edges(tmp_path / "net.csv").to_numpy().tolist() == [["b", "a", -2.0], ["a", "b", 0.5]]
    assert "method: ppcor (dataset_id=op)" in run(capsys, "inspect", tmp_path / "net.h5ad")

    with h5py.File(tmp_path / "scenic.loom", "w") as file:
        file["matrix"] = np.ones((2, 3))
        file["row_attrs/Gene"] = np.array(["a", "b"], dtype=object)
        file["row_attrs/Regulons"] = np.array([(0,), (1,)], dtype=[("a(+)", "<i8")])
        file["col_attrs/CellID"] = np.array(["x", "y", "z"], dtype=object)
    out = run(capsys, "inspect", tmp_path / "scenic.loom")
    assert "2 genes, 3 cells" in out
    assert "network: 1 edge (density" in out
    assert "method: SCENIC" in out


@pytest.mark.parametrize("direction", ["out", "in"])
def test_hubs(direction, path, grn, several, capsys):
    lines = run(capsys, "hubs", path, "--top-k", 3, "--direction", direction).splitlines()
    expected = grnndata.tl.hubs(grn, 3, direction=direction)
    assert [line.split()[0] for line in lines] == ["gene", *expected["gene"]]
    np.testing.assert_allclose([float(line.split()[1]) for line in lines[1:]], expected["strength"], rtol=1e-3)
    lines = run(capsys, "hubs", several, "--top-k", 1, "--network", "cone").splitlines()
    assert lines[1].split()[0] == GENES[np.abs(weights(2)).sum(axis=1).argmax()]


def test_compare(several, capsys):
    out = run(capsys, "compare", several, several, "--network-a", "rod cell", "--network-b", "cone", "--top-k", 5)
    printed = dict(line.split() for line in out.splitlines())
    a, b = (grnndata.from_matrix(weights(seed), GENES) for seed in (1, 2))
    expected = compare(a, b, top_k=5).to_series()
    assert list(printed) == list(expected.index)
    for key, value in expected.items():
        assert float(printed[key]) == pytest.approx(value, rel=1e-3)
    out = run(capsys, "compare", several, several, "--network-a", "cone", "--network-b", "cone")
    assert "jaccard                            1" in out
    assert main(["compare", str(several), str(several), "--network-a", "cone"]) == 2
    assert "choose one with --network-b" in capsys.readouterr().err


def test_differential(several, path, grn, capsys, tmp_path):
    for seed in (5, 6):
        grnndata.write_edges(grnndata.from_matrix(weights(seed), GENES), tmp_path / f"{seed}.csv")
    options = ["--a", path, tmp_path / "5.csv", "--b", several, tmp_path / "6.csv", "--direction", "in", "--seed", 3]
    chosen = tmp_path / "cone.h5ad"
    run(capsys, "convert", several, chosen, "--network", "cone")
    options[4] = chosen
    out = run(capsys, "differential", *options, "--out", tmp_path / "table.csv").splitlines()
    assert out[0] == f"{tmp_path / 'table.csv'}: 30 rows; what made it: {tmp_path / 'table.csv.json'}"
    assert out[1].startswith(
        "test: replicates: labels of 2 + 2 networks exchanged, in all 6 ways; the smallest p-value"
    )
    five, cone, six = (grnndata.from_matrix(weights(seed), GENES) for seed in (5, 2, 6))
    expected = differential_hubs([grn, five], [cone, six], direction="in")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "table.csv"), expected, check_dtype=False, rtol=1e-4)
    printed = run(capsys, "differential", *options, "--top-k", 4).splitlines()
    assert [line.split()[0] for line in printed[1:-1]] == expected["gene"].head(4).tolist()
    paired = run(capsys, "differential", *options, "--paired", "--of", "edges", "--top-k", 2).splitlines()
    edges = differential_edges([grn, five], [cone, six], paired=True)
    assert [line.split()[:2] for line in paired[1:-1]] == edges[["source", "target"]].head(2).to_numpy().tolist()
    overlap = run(capsys, "differential", *options, "--of", "overlap").splitlines()
    assert overlap[0].split() == ["within", "between", "difference", "p_value", "smallest_p"]


def test_differential_of_files_with_several_networks_and_of_one_a_side(several, path, capsys):
    two = run(capsys, "differential", "--a", several, "--b", several, "--network-b", "cone", "rod cell").splitlines()
    assert two[-1].startswith("test: replicates: labels of 2 + 2 networks exchanged")
    one = run(capsys, "differential", "--a", path, "--b", several, "--network-b", "cone").splitlines()
    assert one[0].split() == ["gene", "strength_a", "strength_b", "difference"]
    assert one[-1].startswith("test: none: 1 network against 1 network show effects")
    words = ["differential", "--a", str(path), str(path), "--b", str(several)]
    assert main([*words, "--network-a", "x", "y", "z"]) == 2
    assert "--network-a takes one name for each of 2 files, got 3" in capsys.readouterr().err
    assert main([*words, "--blocks-a", "x", "y"]) == 2
    assert "blocks take both --blocks-a and --blocks-b" in capsys.readouterr().err


def test_enrich(path, grn, capsys, tmp_path):
    pytest.importorskip("gseapy")
    (tmp_path / "sets.gmt").write_text(
        "low\tna\t" + "\t".join(GENES[:8]) + "\nhigh\tna\t" + "\t".join(GENES[15:25]) + "\n"
    )
    options = ["--gene-sets", tmp_path / "sets.gmt", "--ranking", "in_strength"]
    by_default = run(capsys, "enrich", path, *options).splitlines()
    assert [line.split()[0] for line in by_default[1:-1]] == camera(grn, tmp_path / "sets.gmt", ranking="in_strength")[
        "term"
    ].tolist()
    assert by_default[-1] == (
        "test: camera: genes of a set against the others, correlated as their incoming weights are over all genes"
    )
    options += ["--test", "prerank"]
    run(capsys, "enrich", path, *options, "--out", tmp_path / "table.tsv")
    expected = prerank(grn, tmp_path / "sets.gmt", ranking="in_strength")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "table.tsv", sep="\t"), expected, check_dtype=False)
    printed = run(capsys, "enrich", path, *options).splitlines()
    assert [line.split()[0] for line in printed[1:-1]] == expected["term"].tolist()


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_draw_pictures(suffix, start, path, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    out = tmp_path / f"net.{suffix}"
    run(capsys, "draw", path, out, "--genes", "G1", "G2", "--neighbours", 2, "--top-k", 9)
    assert out.read_bytes().startswith(start)
    assert sorted(p.name for p in tmp_path.iterdir()) == [out.name, f"{out.name}.json", "one.h5ad"]


def test_a_picture_is_that_of_the_library(path, grn, capsys, tmp_path):
    image = pytest.importorskip("matplotlib.image")
    run(capsys, "draw", path, tmp_path / "net.png", "--genes", "G1", "G2", "--neighbours", 2, "--top-k", 9)
    drawn = grnndata.pl.subnetwork(grn, ["G1", "G2"], neighbours=2, top_edges=9)
    drawn.figure.savefig(tmp_path / "same.png")
    np.testing.assert_array_equal(image.imread(tmp_path / "net.png"), image.imread(tmp_path / "same.png"))
    assert main(["draw", str(path), str(tmp_path / "net.png")]) == 2
    assert "choose what to draw" in capsys.readouterr().err
    assert main(["draw", str(path), str(tmp_path / "net.png"), "--genes", "NANOG"]) == 2
    assert "NANOG" in capsys.readouterr().err


def test_draw_a_page(path, capsys, tmp_path):
    out = tmp_path / "net.html"
    run(capsys, "draw", path, out, "--genes", "G1", "G2", "--neighbours", 1)
    text = out.read_text()
    assert "<html" in text
    assert "G1" in text
    run(capsys, "draw", path, out, "--top-k", 5)
    assert all(gene in out.read_text() for gene in read_top_genes(path))


def read_top_genes(path):
    return grnndata.read_h5ad(path).edges(top_k=5)["source"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inspect", "nowhere.h5ad"], "there is no file"),
        (["inspect", "nowhere.csv"], "there is no file"),
        (["inspect", "nowhere.zarr"], "there is no folder"),
        (["inspect", "nowhere.loom"], "there is no file"),
        (["inspect", "network.png"], "cannot tell what network.png is"),
        (["inspect"], "FILE"),
        (["convert", "nowhere.h5ad", "out.xlsx"], "cannot tell what to write to out.xlsx"),
        (["convert", "nowhere.h5ad", "out.csv", "--top-k", "many"], "--top-k"),
        (["hubs", "nowhere.h5ad", "--direction", "up"], "direction"),
        (["differential", "--a", "a.h5ad", "--b", "b.h5ad", "--out", "table.xlsx"], "end it with .csv or .tsv"),
        (["enrich", "a.h5ad"], "--gene-sets"),
        (["draw", "a.h5ad", "net.gif", "--genes", "a"], "end it with .html, .png, .svg, .pdf"),
        (["rate"], "rate"),
    ],
)
def test_bad_input_is_one_line_on_stderr(arguments, message, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("grnndata: ")
    assert message in err


def test_bad_values_reach_stderr(path, tmp_path, capsys):
    for arguments in (["hubs", path, "--top-k", "0"], ["convert", path, tmp_path / "o.csv", "--threshold", "-1"]):
        assert main([str(argument) for argument in arguments]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "o.csv").exists()


@pytest.mark.slow
def test_no_traceback_from_a_process_either(tmp_path):
    table = tmp_path / "strangers.csv"
    table.write_text("x,y,z\na,b,1\n")
    command = [sys.executable, "-m", "grnndata.cli", "inspect", table]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "it has the columns ['x', 'y', 'z'], and recognised are source, target, weight" in done.stderr
    assert done.stderr.count("\n") == 1


def made_again(out, *files):
    """Run the command that the record of an output names, with its options, on these files; return the new output."""
    step = [step for step in provenance.read(out) if step["task"].startswith("grnndata ")][-1]
    assert [one["sha256"] for one in step["inputs"]] == [
        hashlib.sha256(file.read_bytes()).hexdigest() for file in files
    ]
    new = out.with_name(f"again.{out.name}")
    options = [f"--{name}={json.dumps(value)}" for name, value in step["parameters"].items() if value is not None]
    options = [option.replace('"', "") if "[" not in option else option for option in options]
    places = [*map(str, files), str(new)]
    if step["task"] == "grnndata differential":
        places = ["--out", str(new)]  # its record names the files of each side
    if step["task"] == "grnndata enrich":
        places = [str(files[0]), "--out", str(new)]
    if step["task"] == "grnndata enrich":
        places += ["--gene-sets", str(files[1])]
    assert main([step["task"].split()[1], *places, *options]) == 0
    return new


def test_edge_tables_and_networks_are_made_again_from_their_record(path, several, tmp_path, capsys):
    table, network = tmp_path / "edges.csv", tmp_path / "cone.h5ad"
    out = run(capsys, "convert", path, table, "--top-k", 12)
    assert out.endswith(f"what made it: {tmp_path / 'edges.csv.json'}\n")
    assert made_again(table, path).read_bytes() == table.read_bytes()
    run(capsys, "convert", several, network, "--network", "cone", "--threshold", 0.5)
    again = grnndata.read_h5ad(made_again(network, several))
    np.testing.assert_array_equal(again.grn.toarray(), grnndata.read_h5ad(network).grn.toarray())
    run(capsys, "convert", table, tmp_path / "back.h5ad")
    assert [step["parameters"]["top_k"] for step in provenance.read(tmp_path / "back.h5ad")] == [12, None]
    assert "   top_k: 12" in run(capsys, "inspect", tmp_path / "back.h5ad").splitlines()


def test_tables_of_hubs_are_made_again_from_their_record(several, path, tmp_path, capsys):
    out = tmp_path / "table.csv"
    options = ["--direction", "in", "--permutations", 50, "--seed", 3, "--paired"]
    run(capsys, "differential", "--a", path, path, "--b", several, *options, "--out", out)
    assert made_again(out, path, path, several).read_bytes() == out.read_bytes()


def test_enriched_sets_are_made_again_from_their_record(path, tmp_path, capsys):
    pytest.importorskip("gseapy")
    (tmp_path / "sets.gmt").write_text("low\tna\t" + "\t".join(GENES[:16]) + "\n")
    out = tmp_path / "table.tsv"
    run(capsys, "enrich", path, "--gene-sets", tmp_path / "sets.gmt", "--seed", 4, "--test", "prerank", "--out", out)
    assert made_again(out, path, tmp_path / "sets.gmt").read_bytes() == out.read_bytes()


def test_pages_are_made_again_from_their_record(path, tmp_path, capsys):
    out = tmp_path / "net.html"
    run(capsys, "draw", path, out, "--genes", "G1", "G2", "--neighbours", 1)
    assert made_again(out, path).read_text() == out.read_text()
    step = provenance.read(out)[-1]
    assert step["task"] == "grnndata.plotting.network_html"
    assert step["parameters"]["genes"] == ["G1", "G2"]
    grnndata.pl.network_html(grnndata.read_h5ad(path), tmp_path / "api.html", **step["parameters"])
    assert provenance.read(tmp_path / "api.html") == [step]
    capsys.readouterr()
    assert run(capsys, "inspect", out).startswith("1. grnndata draw (grnndata ")


def test_a_file_of_the_users_is_not_replaced_by_a_record(path, tmp_path, capsys):
    (tmp_path / "edges.csv.json").write_text("mine")
    assert main(["convert", str(path), str(tmp_path / "edges.csv")]) == 2
    assert "edges.csv.json, which is something else: move it elsewhere" in capsys.readouterr().err
    assert (tmp_path / "edges.csv.json").read_text() == "mine"
    assert not (tmp_path / "edges.csv").exists()
