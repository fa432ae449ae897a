"""``scprint network``."""

import json

import numpy as np
import pandas as pd
import pytest

import grnndata
from scdataloader import datasets
from scprint_model import ScPrint, infer
from scprint_model.cli import main
from scprint_model.commands import network as command


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("cells") / "in.h5ad"
    datasets.retina_1k()[:60].write_h5ad(path)
    return path


def test_networks_of_groups_with_selected_heads(file, tmp_path, capsys):
    cells = datasets.retina_1k()[:60]
    names = cells.obs["cell_type"].value_counts().index[:2].tolist()
    stack = infer(ScPrint.from_pretrained("bundled"), cells, groupby="cell_type", group=names[0], n_genes=60,
                  heads="all")  # fmt: skip
    strong = stack.networks["layer 1 head 0"].edges(top_k=400)
    strong[["source", "target"]].to_csv(tmp_path / "truth.csv", index=False)
    out = tmp_path / "out.h5ad"
    arguments = [str(file), str(out), "--groupby", "cell_type", "--group", json.dumps(names), "--n_genes", "60"]
    status = main(["network", *arguments, "--truth", str(tmp_path / "truth.csv"), "--edges", "10"])
    said = capsys.readouterr().out
    assert status == 0
    assert "2 networks" in said
    assert "on held-out regulators" in said
    found = grnndata.read_h5ad(out)
    assert list(found.networks) == names
    edges = pd.read_csv(tmp_path / "out.edges.csv")
    assert edges["network"].value_counts().tolist() == [10, 10]
    selected = json.loads((tmp_path / "out.heads.json").read_text())["heads"]
    assert [1, 0] in selected
    # the same heads again, from the file, for one group: a plain network
    one = tmp_path / "one.h5ad"
    (tmp_path / "genes.txt").write_text("\n".join(found.var_names))
    main(["network", str(file), str(one), "--groupby", "cell_type", "--group", names[0], "--genes",
                 str(tmp_path / "genes.txt"), "--heads", str(tmp_path / "out.heads.json")])  # fmt: skip
    again = grnndata.read_h5ad(one)
    assert len(again.networks) == 0
    np.testing.assert_allclose(again[:, found.var_names].grn, found.networks[names[0]].grn, atol=1e-6)


def test_a_network_for_each_of_some_cells_by_the_program(file, tmp_path, capsys):
    names = datasets.retina_1k().obs_names[[3, 1]].tolist()
    out = tmp_path / "cells.h5ad"
    arguments = ["network", str(file), str(out), "--groupby", "obs_names", "--group", json.dumps(names)]
    assert main([*arguments, "--n_genes", "40", "--top-k", "5"]) == 0
    found = grnndata.read_h5ad(out)
    assert list(found.networks) == names
    assert (np.asarray((found.networks[names[0]].grn != 0).sum(axis=0)).ravel() == 5).all()
    capsys.readouterr()
    assert main(["network", str(file), str(out), "--groupby", "cell_type", "--group", "rod cell"]) == 2
    assert "near ones: ['retinal rod cell'" in capsys.readouterr().err


def test_bad_arguments(file, tmp_path):
    with pytest.raises(ValueError, match="is the input, which is not overwritten"):
        command.network(file, file)
    with pytest.raises(ValueError, match=r"genes='nowhere\.txt' is no file with one name a line"):
        command.network(file, tmp_path / "out.h5ad", genes="nowhere.txt")
    with pytest.raises(ValueError, match="truth= selects the heads, and heads='max' names them"):
        command.network(file, tmp_path / "out.h5ad", heads="max", truth=tmp_path / "x.csv")


def test_other_sources_by_the_program(file, tmp_path):
    out = tmp_path / "alike.h5ad"
    assert main(["network", str(file), str(out), "--source", "gene_embedding", "--n-genes", "30"]) == 0
    assert grnndata.read_h5ad(out).uns["grn"]["parameters"]["source"] == "gene_embedding"
    with pytest.raises(ValueError, match="--source jacobian has none"):
        command.network(file, tmp_path / "x.h5ad", truth=file, source="jacobian")
