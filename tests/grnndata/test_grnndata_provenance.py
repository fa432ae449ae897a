"""The record of what made a file: written, found again, shown."""

import json

import anndata
import numpy as np
import pytest

from grnndata import _provenance as provenance

STEPS = [
    {
        "task": "grnndata convert",
        "version": "1.0",
        "package": "grnndata",
        "model": {"name": "</script>", "sha256": "ab"},
        "parameters": {"genes": [f"G{i}" for i in range(9)], "seed": 12345, "top_k": None},
        "inputs": [{"file": "a.csv", "sha256": "cd"}],
    }
]


def test_it_is_found_in_every_kind_of_file(tmp_path):
    adata = anndata.AnnData(np.ones((2, 3), dtype=np.float32), uns=provenance.in_uns(STEPS))
    adata.write_h5ad(tmp_path / "a.h5ad")
    adata.write_zarr(tmp_path / "a.zarr")
    (tmp_path / "page.html").write_text(f"<p>a</p>{provenance.in_page(STEPS)}<script>1</script>")
    (tmp_path / "scores.json").write_text(json.dumps({"ap": 0.5, provenance.KEY: STEPS}))
    (tmp_path / "table.csv").write_text("a\n1\n")
    provenance.write(provenance.beside(tmp_path / "table.csv"), STEPS)
    (tmp_path / "store").mkdir()
    provenance.write(tmp_path / "store" / provenance.FOLDER_FILE, STEPS)
    for name in ("a.h5ad", "a.zarr", "page.html", "scores.json", "table.csv", "table.csv.json", "store"):
        assert provenance.read(tmp_path / name) == STEPS, name
    assert (tmp_path / "page.html").read_text().count("</script>") == 2


def test_files_without_one_have_none(tmp_path):
    anndata.AnnData(np.ones((2, 3), dtype=np.float32)).write_h5ad(tmp_path / "a.h5ad")
    for name, text in {"page.html": "<p>", "list.json": "[1]", "scores.json": "{}", "table.csv": "a\n"}.items():
        (tmp_path / name).write_text(text)
    for name in ("a.h5ad", "page.html", "list.json", "scores.json", "table.csv", ""):
        assert provenance.read(tmp_path / name) == []
    with pytest.raises(FileNotFoundError, match=r"there is no file .*gone\.csv"):
        provenance.read(tmp_path / "gone.csv")
    assert provenance.text([]) == "it has no record of what made it"


@pytest.mark.parametrize("found", ["mine", "[1]", '[{"task": 1}]', {"a": 1}, 3], ids=repr)
def test_what_is_the_users_is_not_taken_for_a_record(found):
    with pytest.raises(ValueError, match="holds something else than the steps"):
        provenance.steps_of({provenance.KEY: found})


def test_a_call_is_told_by_its_public_name_with_all_parameters(tmp_path):
    from grnndata import tl

    (tmp_path / "a.csv").write_text("abc")
    genes = np.array(["B", "A"])
    told = provenance.step(
        tl.top_k,
        {"genes": genes, "k": np.int64(3), "path": tmp_path, "names": iter("ab"), "some": {"b", "a"}, "out": "x"},
        inputs=[tmp_path / "a.csv", "https://example.org/a", {"file": "b"}],
        skip=("out",),
    )
    assert told["task"] in ("grnndata.tl.top_k", "grnndata.tools.top_k")
    assert told["parameters"] == {
        "genes": ["B", "A"],
        "k": 3,
        "path": str(tmp_path),
        "names": "<str_ascii_iterator>",
        "some": ["a", "b"],
    }
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc", FIPS 180-2
    assert told["inputs"] == [{"file": "a.csv", "sha256": sha256}, {"address": "https://example.org/a"}, {"file": "b"}]


def test_people_read_long_lists_cut_and_checksums_whole():
    assert provenance.text(STEPS).splitlines() == [
        "1. grnndata convert (grnndata 1.0)",
        "   model: name </script>, sha256 ab",
        "   input: file a.csv, sha256 cd",
        "   genes: G0, G1, G2, G3, G4 and 4 more",
        "   seed: 12,345",
        "   top_k: None",
    ]
