"""Knock-out and over-expression, against two direct calls of the network."""

import numpy as np
import pandas as pd
import pytest
import torch

from grnndata import tl
from scprint_model import infer
from scprint_model.cli import main
from scprint_model.genes import shared_genes
from scprint_model.tasks import perturb
from scprint_model.tasks.files import open_cells


@pytest.fixture(scope="module")
def rods(retina):
    return retina[retina.obs["cell_type"] == "retinal rod cell"][:6].copy()


@pytest.fixture(scope="module")
def names(small_model, rods):
    """55 genes in the order of the data."""
    return tl.most_variable_genes(rods[:, shared_genes(small_model.vocabulary, rods)], 55).tolist()


@pytest.mark.parametrize("options", [{}, {"to": 4}, {"fold": 3.0}], ids=str)
def test_profiles_equal_two_passes(small_model, rods, names, options):
    gene = names[7]
    found = perturb(small_model, rods, genes=[gene], panel=names, n_edges=0, batch_size=4, **options)
    counts = rods[:, names].X.toarray()
    totals = rods.obs["total_counts"].to_numpy(np.float32)
    changed = counts.copy()
    changed[:, 7] = changed[:, 7] * 3 if "fold" in options else options.get("to", 0)
    others = [i for i in range(55) if i != 7]
    index = torch.from_numpy(small_model.vocabulary.index(names)).expand(6, -1)
    expected = []
    for given, total in ((counts, totals), (changed, totals + (changed - counts).sum(axis=1))):
        with torch.inference_mode():
            output = small_model(index, torch.from_numpy(given), torch.from_numpy(total))
        mean = output.mean[:, others].double()
        mean *= torch.from_numpy(counts[:, others].sum(axis=1))[:, None] / mean.sum(dim=1, keepdim=True)
        expected.append((mean * torch.sigmoid(-output.zero_logits[:, others].double())).numpy())
    difference = expected[1] - expected[0]
    table = found.profile.loc[[names[i] for i in others]]
    np.testing.assert_allclose(table["before"], expected[0].mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(table["difference"], difference.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(table["standard_error"], difference.std(axis=0, ddof=1) / 6**0.5, atol=1e-4)
    np.testing.assert_allclose(
        table["log2_fold_change"], np.log2(expected[1].mean(axis=0) / expected[0].mean(axis=0)), atol=1e-3
    )
    assert found.edges is None
    size = (found.profile["difference"].abs() / found.profile["standard_error"]).to_numpy()
    assert (np.diff(size) <= 0).all()


def test_edges_are_those_of_two_networks(small_model, rods, names):
    found = perturb(small_model, rods, genes=names[:2], panel=names, n_edges=40)
    changed = rods[:, names].copy()
    gone = np.asarray(changed.X[:, :2].sum(axis=1)).ravel()
    changed.obs["total_counts"] = changed.obs["total_counts"] - gone
    changed.X = changed.X.toarray()
    changed.X[:, :2] = 0
    before, after = infer(small_model, rods, genes=names).grn, infer(small_model, changed, genes=names).grn
    difference = pd.DataFrame(after - before, index=names, columns=names)
    for row in found.edges.itertuples():
        assert row.difference == pytest.approx(difference.loc[row.source, row.target], abs=1e-6)
        assert row.difference == pytest.approx(row.after - row.before)
    assert len(found.edges) == 40
    top = np.sort(np.abs(difference.to_numpy()).ravel())[::-1][:40]
    np.testing.assert_allclose(found.edges["difference"].abs(), top, atol=1e-6)


def test_the_command_writes_both_tables(small_model, rods, retina, names, tmp_path, capsys):
    small_model.save_pretrained(tmp_path / "model")
    retina[:60].copy().write_h5ad(tmp_path / "cells.h5ad")
    before = (tmp_path / "cells.h5ad").read_bytes()
    arguments = ["perturb", str(tmp_path / "cells.h5ad"), str(tmp_path / "out.csv"), "--genes", names[0]]
    arguments += ["--model", str(tmp_path / "model"), "--cells", "cell_type=retinal rod cell", "--fold", "2"]
    assert main([*arguments, "--n_genes", "60", "--n_edges", "10"]) == 0
    told = capsys.readouterr().out
    cells = open_cells(tmp_path / "cells.h5ad")
    some = retina[:60][retina.obs["cell_type"][:60] == "retinal rod cell"].copy()
    expected = perturb(small_model, some, genes=[names[0]], fold=2, n_genes=60, n_edges=10)
    table = pd.read_csv(tmp_path / "out.csv", index_col="gene")
    pd.testing.assert_frame_equal(table, expected.profile, check_names=False, rtol=1e-4, atol=1e-6)
    assert len(pd.read_csv(tmp_path / "out.edges.csv")) == 10
    assert f"{names[0]} changed in {some.n_obs} cells, {len(table)} others" in told
    assert (tmp_path / "cells.h5ad").read_bytes() == before
    assert cells.n_obs == 60
    assert main([*arguments[:4], "nothing", *arguments[5:]]) == 2
    assert "1 of 1 genes are not in the data or not known to the model, such as ['nothing']" in capsys.readouterr().err


def test_genes_known_by_a_column_of_ids(small_model, rods, names):
    expected = perturb(small_model, rods, genes=[names[3]], panel=names, n_edges=20)
    renamed = rods.copy()
    renamed.var["gene_ids"] = renamed.var_names
    renamed.var_names = [f"local {i}" for i in range(renamed.n_vars)]
    called = dict(zip(rods.var_names, renamed.var_names, strict=True))
    found = perturb(small_model, renamed, genes=[called[names[3]]], panel=[called[name] for name in names], n_edges=20)
    pd.testing.assert_frame_equal(found.profile, expected.profile.rename(index=called))
    pd.testing.assert_frame_equal(found.edges, expected.edges.replace({"source": called, "target": called}))


def test_unusable_input(small_model, rods, names):
    with pytest.raises(ValueError, match="to=1 and fold=2 both set the counts"):
        perturb(small_model, rods, genes=names[:1], to=1, fold=2)
    with pytest.raises(ValueError, match="fold=-1 must be a number that is not negative"):
        perturb(small_model, rods, genes=names[:1], fold=-1)
    with pytest.raises(ValueError, match="n_edges=-1 must be a number that is not negative"):
        perturb(small_model, rods, genes=names[:1], n_edges=-1)
    with pytest.raises(ValueError, match="n_genes=-2 must be a number that is not negative"):
        perturb(small_model, rods, genes=names[:1], n_genes=-2)
    with pytest.raises(ValueError, match="genes names no gene to change"):
        perturb(small_model, rods, genes=[])
    with pytest.raises(ValueError, match="from 2 cells on, here are 1"):
        perturb(small_model, rods[:1], genes=names[:1])
    silent = rods.copy()
    silent.X = silent.X.toarray()
    silent.X[:, silent.var_names.get_loc(names[3])] = 0
    with pytest.raises(ValueError, match=r"have the count 0\.0 in every cell already: nothing would change"):
        perturb(small_model, silent, genes=[names[3]], panel=names)
    with pytest.raises(ValueError, match=r"as good as 1\.0 times their counts"):
        perturb(small_model, rods, genes=names[:1], panel=names, fold=1.0)
