"""Genes that the data did not measure."""

import anndata
import numpy as np
import pytest
import torch

from grnndata import tl
from scprint_model.cli import main
from scprint_model.genes import shared_genes
from scprint_model.tasks import impute
from scprint_model.tasks.files import open_cells


@pytest.fixture(scope="module")
def panel(small_model, retina):
    """8 cells with 60 known genes."""
    known = retina[:8, shared_genes(small_model.vocabulary, retina)]
    return known[:, tl.most_variable_genes(known, 60)].copy()


@pytest.fixture(scope="module")
def wanted(small_model, panel):
    return [gene for gene in small_model.vocabulary.ids[100:112] if gene not in panel.var_names][::-1]


@pytest.mark.parametrize("method", ["masked", "embeddings"])
def test_it_equals_the_network_on_the_scale_of_the_data(small_model, panel, wanted, method):
    found = impute(small_model, panel, genes=wanted, method=method, batch_size=3)
    vocabulary = small_model.vocabulary
    genes = torch.from_numpy(vocabulary.index([*panel.var_names, *wanted])).expand(8, -1)
    counts = torch.from_numpy(panel.X.toarray())
    totals = torch.from_numpy(panel.obs["total_counts"].to_numpy(np.float32))
    hidden = torch.cat((counts, torch.zeros(8, len(wanted))), dim=1)
    with torch.inference_mode():
        if method == "masked":
            mask = (torch.arange(genes.shape[1]) >= 60).expand(8, -1)
            output = small_model(genes, hidden, totals, mask=mask)
        else:
            cells = small_model.encode(genes[:, :60], counts, totals).cell_embeddings
            output = small_model.generate(genes, cells, totals)
    scale = counts.sum(dim=1) / output.mean[:, :60].sum(dim=1)
    expected = (output.mean * torch.sigmoid(-output.zero_logits) * scale[:, None])[:, 60:]
    np.testing.assert_allclose(found.X, expected, rtol=2e-4)
    assert found.var_names.tolist() == wanted
    assert found.obs_names.tolist() == panel.obs_names.tolist()


def test_many_genes_are_asked_for_in_pieces(small_model, panel, wanted):
    whole = impute(small_model, panel, genes=wanted[:5], context=5)
    assert impute(small_model, panel, genes=wanted, context=5).shape == (8, len(wanted))
    pieces = impute(small_model, panel, genes=wanted, context=5)  # pieces of 5: the first is the same question
    np.testing.assert_allclose(pieces[:, wanted[:5]].X, whole.X, rtol=1e-5)


def test_from_file_to_file(small_model, panel, wanted, tmp_path, capsys):
    panel.write_h5ad(tmp_path / "panel.h5ad")
    before = (tmp_path / "panel.h5ad").read_bytes()
    memory = impute(small_model, panel, genes=wanted)
    impute(small_model, open_cells(tmp_path / "panel.h5ad"), genes=wanted, out=tmp_path / "out.h5ad")
    np.testing.assert_array_equal(anndata.read_h5ad(tmp_path / "out.h5ad").X, memory.X)
    (tmp_path / "genes.txt").write_text("\n".join(wanted))
    small_model.save_pretrained(tmp_path / "model")
    arguments = ["impute", str(tmp_path / "panel.h5ad"), str(tmp_path / "two.h5ad"), "--model", str(tmp_path / "model")]
    assert main([*arguments, "--genes", str(tmp_path / "genes.txt")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'two.h5ad'}: 8 cells, {len(wanted)} genes\n"
    np.testing.assert_allclose(anndata.read_h5ad(tmp_path / "two.h5ad").X, memory.X, rtol=1e-5)
    assert (tmp_path / "panel.h5ad").read_bytes() == before


def test_unusable_input(small_model, panel, wanted):
    with pytest.raises(ValueError, match=r"1 of 2 genes were measured, such as .* let denoise predict them"):
        impute(small_model, panel, genes=[wanted[0], panel.var_names[3]])
    with pytest.raises(ValueError, match=r"1 of 1 genes are not known to the model"):
        impute(small_model, panel, genes=["nothing"])
    with pytest.raises(ValueError, match="method='guess' is not one of"):
        impute(small_model, panel, genes=wanted, method="guess")
