"""``scprint denoise`` and ``scprint generate`` from file to file, with the bundled model."""

import anndata
import numpy as np
import pytest

from scdataloader import datasets
from scprint_model import ScPrint, tasks
from scprint_model.cli import main


@pytest.fixture(scope="module")
def cells():
    return datasets.retina_1k()[:60].copy()


@pytest.fixture
def path(cells, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def test_denoise(path, cells, tmp_path, capsys):
    before = path.read_bytes()
    out = tmp_path / "denoised.h5ad"
    options = ["--n_genes", "60", "--target_depth", "8000", "--uncertainty"]
    assert main(["denoise", str(path), str(out), *options]) == 0
    assert capsys.readouterr().out == f"{out}: 60 cells, 60 genes\n"
    found = anndata.read_h5ad(out)
    options = {"genes": found.var_names.tolist(), "target_depth": 8000, "uncertainty": True}
    memory = tasks.denoise(ScPrint.from_pretrained(), cells, **options)
    np.testing.assert_array_equal(found.X, memory.X)
    np.testing.assert_array_equal(found.layers["standard_deviation"], memory.layers["standard_deviation"])
    assert path.read_bytes() == before


def test_generate_in_another_facet(path, cells, tmp_path, capsys):
    genes = tmp_path / "genes.txt"
    genes.write_text("RHO\nENSG00000075624\nGFAP\n")
    out = tmp_path / "generated.h5ad"
    rods, glia = (np.flatnonzero(cells.obs["cell_type"] == name) for name in ("retinal rod cell", "Mueller cell"))
    arguments = ["generate", str(path), str(out), "--genes", str(genes), "--cells", "cell_type=retinal rod cell"]
    arguments += ["--take", '{"cell_type": "cell_type=Mueller cell"}', "--context", "100", "--total_counts", "50"]
    assert main(arguments) == 0
    assert f"{len(rods)} cells, 3 genes, cell_type of {len(glia)} cells" in capsys.readouterr().out
    found = anndata.read_h5ad(out)
    model = ScPrint.from_pretrained()
    one, two = (tasks.encode(model, cells[at].copy(), context=100, classes=()) for at in (rods, glia))
    expected = tasks.generate(model, tasks.mix(one, {"cell_type": two}), genes=found.var_names, total_counts=50)
    np.testing.assert_allclose(found.X, expected.X, rtol=1e-5)
    assert found.var["symbol"].tolist() == ["RHO", "ACTB", "GFAP"]
    assert found.obs_names.tolist() == cells.obs_names[rods].tolist()


def test_bad_input_is_told_and_loses_nothing(path, tmp_path, capsys):
    genes = tmp_path / "genes.txt"
    genes.write_text("RHO\n")
    out = tmp_path / "out.h5ad"
    for arguments, message in (
        (["denoise", str(path), str(path)], "is the input, which is not overwritten"),
        (["denoise", str(tmp_path / "no.h5ad"), str(out)], "there is no file"),
        (["denoise", str(path), str(out), "--genes", "some"], "is no file with one name a line"),
        (
            ["generate", str(path), str(out), "--genes", str(genes), "--cells", "cell_type=nothing"],
            "no cell has cell_ty",
        ),
        (["generate", str(path), str(out), "--genes", str(genes), "--cells", "nothing"], "must be column=value"),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cells.h5ad", "genes.txt"]
