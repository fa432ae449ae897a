"""The words of the demo's page follow from its numbers."""

import subprocess

import numpy as np
import pytest

from scprint_model import run_demo
from scprint_model.demo.claims import abundance_note, claim, standing
from scprint_model.demo.origin import command_of, commit_of


def row(method, low, high):
    return {"method": method, "difference": (low + high) / 2, "difference_low": low, "difference_high": high}


def test_intervals_choose_the_words():
    rows = [{"method": "ours"}, row("a", 0.1, 0.3), row("b", -0.1, 0.2), row("c", -0.4, -0.1), row("d", 0.01, 0.02)]
    assert [standing(one) for one in rows] == [None, "ahead of", "not told apart from", "behind", "ahead of"]
    assert claim(rows, "ours", "accuracy") == "By accuracy, ours is ahead of a and d; not told apart from b; behind c."
    parts = [row("ours, transposed", 0.1, 0.3), row("hubs", 0.1, 0.2)]
    assert claim(parts, "ours", "AP") == "By AP, ours is ahead of “ours, transposed” and hubs."
    assert standing(row("at the edge", 0.0, 0.5)) == "not told apart from"
    assert standing(row("few regulators", np.nan, np.nan)) is None
    assert claim(rows[:1], "ours", "accuracy") == ""


def test_what_is_said_of_abundance_follows_the_correlation():
    expressed = np.arange(50.0)
    for strength, number, words in (
        (expressed**3, 1.0, "mostly a matter of abundance"),
        (-expressed, -1.0, "the rarely counted ones"),
        (np.where(expressed < 31, 31 - expressed, expressed + 1), 0.524, "in part"),
        (np.abs(expressed - 24.5), 0.0, "not explained by abundance"),
    ):
        rho, text = abundance_note(strength.tolist(), expressed.tolist())
        assert rho == pytest.approx(number, abs=1e-3)
        assert words in text
        assert f"{rho:.2f} over 50 genes" in text
    assert abundance_note([1.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0])[0] is None


def test_the_command_has_what_differs_from_the_defaults():
    assert command_of("scprint demo", run_demo, {"seed": 0, "n_genes": 1000}) == "scprint demo"
    given = {"data": "my cells.h5ad", "seed": 3, "round": True, "cell_type": None, "not an option": 1}
    assert command_of("scprint demo", run_demo, given) == "scprint demo --data 'my cells.h5ad' --round true --seed 3"


def test_the_commit_is_that_of_the_code_or_none(tmp_path):
    code = tmp_path / "package"
    code.mkdir()
    (code / "a.py").write_text("")
    assert commit_of(code) is None

    def git(*words):
        name = ["-c", "user.name=x", "-c", "user.email=x@y"]
        options = {"cwd": tmp_path, "check": True, "capture_output": True, "text": True}
        return subprocess.run(["git", *name, *words], **options).stdout  # noqa: S607

    git("init")
    assert commit_of(code) is None  # an installed package in a folder that is under git
    git("add", "package")
    git("commit", "-m", "one")
    head = git("rev-parse", "HEAD").strip()
    assert commit_of(code) == head
    (code / "a.py").write_text("1")
    assert commit_of(code) == f"{head}, changed"
