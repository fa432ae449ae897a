"""Networks of regulators × genes are scored as the square network with empty rows, and what was guessed is told."""

import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest

import bengrn
import grnndata
from bengrn.cli import main

RNG = np.random.default_rng(0)
GENES = [f"g{i}" for i in range(60)]
REGULATORS = ["g7", "g50", "outside", "g3"]
WEIGHTS = (RNG.normal(size=(4, 60)) * (RNG.random((4, 60)) < 0.6)).astype(np.float32)
TRUE = [(r, f"g{j}") for r in ("g7", "g3", "g11") for j in RNG.choice(60, 9, replace=False)]


@pytest.fixture
def truth():
    return bengrn.GroundTruth.from_edges(pd.DataFrame(TRUE, columns=["source", "target"]), name="t")


def square() -> tuple[np.ndarray, list[str]]:
    names = [*GENES, "outside"]
    matrix = np.zeros((61, 61), np.float32)
    for regulator, row in zip(REGULATORS, WEIGHTS, strict=True):
        matrix[names.index(regulator), :60] = row
    return matrix, names


@pytest.mark.parametrize("regulators", ["truth", "all", ["g7", "g50"]])
@pytest.mark.parametrize("transpose", [False, True])
def test_a_rectangle_scores_as_the_square_with_zeros(truth, regulators, transpose):
    rectangle = (WEIGHTS, REGULATORS, GENES)
    options = {"regulators": regulators, "transpose": transpose}
    given, expected = (bengrn.score(network, truth, **options) for network in (rectangle, square()))
    assert given.to_dict() == expected.to_dict()
    pd.testing.assert_frame_equal(given.per_regulator, expected.per_regulator)
    if not transpose:
        pd.testing.assert_frame_equal(*(bengrn.score_table(one, truth, **options) for one in (rectangle, square())))


def test_scoring_a_rectangle_takes_no_square(tmp_path):
    # 40 × 4,000: the square would take 64 MB.
    genes = [f"g{i}" for i in range(4000)]
    true = [(f"g{i}", f"g{j}") for i in range(30) for j in RNG.choice(4000, 20, replace=False)]
    truth = bengrn.GroundTruth.from_edges(pd.DataFrame(true, columns=["source", "target"]))
    weights = RNG.random((40, 4000), dtype=np.float32)
    bengrn.score((weights[:, :50], genes[:40], genes[:50]), truth)  # imports
    tracemalloc.start()
    bengrn.score_table((weights, genes[:40], genes), truth)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6


def test_a_sparse_network_is_never_spread_out_without_a_word(truth):
    genes = [f"g{i}" for i in range(17_000)]
    network = (WEIGHTS, REGULATORS, GENES)
    known = bengrn.GroundTruth.from_edges(truth.edges, genes=genes)
    wide = grnndata.from_edges(pd.DataFrame({"source": genes, "target": genes[1:] + genes[:1], "weight": 1.0}))
    assert bengrn.score(wide, known, regulators="all").n_pairs == 17_000 * 16_999
    with pytest.raises(ValueError, match=r"17,000 regulators × 17,000 targets take 1\.2 GB for each: .*--no-baselines"):
        bengrn.score_table(wide, known, regulators="all")
    assert len(bengrn.score_table(network, known)) == 6


def test_what_was_guessed_of_a_network_is_a_note_and_in_the_record(tmp_path, capsys, truth):
    network = tmp_path / "links.tsv"
    rows = [(r, g, w) for r, row in zip(REGULATORS, WEIGHTS, strict=True) for g, w in zip(GENES, row, strict=True)]
    pd.DataFrame(rows).to_csv(network, sep="\t", header=False, index=False)
    pd.DataFrame(TRUE, columns=["cause", "effect"]).to_csv(tmp_path / "truth.csv", index=False)
    options = ["--truth", str(tmp_path / "truth.csv"), "--no-baselines", "--json"]
    assert main(["score", str(network), *options, "--truth-columns", "cause,effect"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    printed = json.loads(out)
    assert "there is no header, and by their order column 1 is the source" in printed["notes"]
    assert printed["ap"] == bengrn.score((WEIGHTS, REGULATORS, GENES), truth).ap
    assert main(["score", str(network), *options, "--columns", "0,1,2"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (
        "read from the file of the truth: no known names of columns: the first line 'cause,effect'" in printed["notes"]
    )
    assert "there is no header" not in printed["notes"]
    assert main(["compare", str(network), str(network), *options[:2], "--truth-columns", "cause,effect"]) == 0
    assert "links.tsv (2) was read from its file: there is no header" in capsys.readouterr().out
    assert main(["score", str(network), "--truth", "omnipath-demo", "--truth-columns", "a,b"]) == 2
    assert "'omnipath-demo' is no file" in capsys.readouterr().err


def test_a_matrix_of_factors_and_a_gmt_file_as_network_and_truth(tmp_path, capsys, truth):
    pd.DataFrame(WEIGHTS, index=REGULATORS, columns=GENES).to_csv(tmp_path / "rect.csv")
    by_regulator = pd.DataFrame(TRUE, columns=["r", "g"]).groupby("r")["g"]
    lines = [f"{regulator}(+)\tna\t" + "\t".join(genes) for regulator, genes in by_regulator]
    (tmp_path / "truth.gmt").write_text("\n".join(lines))
    assert main(["score", str(tmp_path / "rect.csv"), "--truth", str(tmp_path / "truth.gmt"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["ap"] == pytest.approx(bengrn.score((WEIGHTS, REGULATORS, GENES), truth).ap)
    edges = grnndata.read_edges(tmp_path / "truth.gmt")
    assert len(edges) == len(set(TRUE))
