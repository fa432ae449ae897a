"""Geneformer from a Hugging Face folder, beside transformers' own attention."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from transformers import BertConfig, BertForMaskedLM

import bengrn
from bengrn.methods.deep.geneformer import Geneformer

IDS = [f"ENSG{i:011d}" for i in range(20)]
LAYERS, HEADS, WIDTH = 3, 2, 16


@pytest.fixture(scope="module", params=["v1", "v2"])
def model(request, tmp_path_factory):
    """A folder with random weights and dictionaries: without and with <cls> and <eos>."""
    folder = tmp_path_factory.mktemp(request.param)
    special = {"<pad>": 0, "<mask>": 1} | ({"<cls>": 2, "<eos>": 3} if request.param == "v2" else {})
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(special) + 19,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=24,
        max_position_embeddings=12,
        hidden_act="relu",
        pad_token_id=0,
        initializer_range=0.7,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    # the last gene has no token, the one before no median
    tokens = special | {gene: np.int16(len(special) + i) for i, gene in enumerate(IDS[:19])}
    rng = np.random.default_rng(0)
    medians = {gene: np.float64(value) for gene, value in zip(IDS, rng.uniform(0.5, 3, 20), strict=True)}
    del medians[IDS[18]]
    (folder / "token_dictionary.pkl").write_bytes(pickle.dumps(tokens, protocol=4))
    (folder / "gene_median_dictionary.pkl").write_bytes(pickle.dumps(medians, protocol=2))
    (folder / "gene_name_id_dict.json").write_text(json.dumps({f"S{i}": gene for i, gene in enumerate(IDS)}))
    return folder, tokens, medians


def cells(n=7, seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.7, (n, 20)) * (1 + np.argsort(rng.random((n, 20)), axis=1))
    counts[:, 0] = 0  # no cell shows the first gene
    return AnnData(counts.astype(np.float32), var=pd.DataFrame(index=IDS))


def ranked(row, medians):
    """Genes of a cell from the highest count over median; 18 have a token and a median."""
    value = {i: row[i] / medians[IDS[i]] for i in range(18) if row[i] > 0}
    return sorted(value, key=value.get, reverse=True)


def oracle(model, adata, layers=range(LAYERS)):
    """Mean attention and hidden states, cell by cell, of transformers' own code."""
    folder, tokens, medians = model
    bert = BertForMaskedLM.from_pretrained(folder, attn_implementation="eager").eval()
    special = "<cls>" in tokens
    every, states = np.full((len(adata), 18, 18), np.nan), []
    for c, row in enumerate(adata.X):
        genes = ranked(row, medians)[: 12 - 2 * special]
        ids = [tokens[IDS[i]] for i in genes]
        ids = [tokens["<cls>"], *ids, tokens["<eos>"]] if special else ids
        with torch.no_grad():
            out = bert(torch.tensor([list(map(int, ids))]), output_attentions=True, output_hidden_states=True)
        mean = torch.stack([out.attentions[i] for i in layers]).mean(dim=(0, 1, 2)).numpy()
        every[c][np.ix_(genes, genes)] = mean[1:-1, 1:-1] if special else mean
        states.append([one[0].numpy() for one in out.hidden_states])
    seen = (~np.isnan(every)).sum(axis=0)
    weights = (np.nansum(every, axis=0) / np.maximum(seen, 1)).T
    np.fill_diagonal(weights, 0)
    return weights, states


def test_the_network_is_that_of_transformers(model, caplog):
    adata = cells()
    grn = Geneformer(str(model[0]), device="cpu").infer(adata)
    assert grn.var_names.tolist() == IDS[:18]
    assert "geneformer knows 18 of 20 genes" in caplog.text
    weights, _ = oracle(model, adata)
    assert grn.varp["GRN"] == pytest.approx(weights, abs=1e-6)
    assert (weights[0] == 0).all()
    assert weights.max() > 0.1
    some = bengrn.get_method("geneformer", folder=str(model[0]), layers=[0, -1], device="cpu").infer(adata)
    assert some.varp["GRN"] == pytest.approx(oracle(model, adata, [0, 2])[0], abs=1e-6)


def test_embeddings_are_rows_of_the_layer_before_the_last(model):
    adata = cells()
    method = Geneformer(str(model[0]), device="cpu")
    _, states = oracle(model, adata)
    special = "<cls>" in model[1]
    for layer, at in ((-1, LAYERS - 1), (0, LAYERS)):
        found = method.embed(adata, layer=layer)
        for vector, one in zip(found, states, strict=True):
            assert vector == pytest.approx(one[at][0] if special else one[at].mean(axis=0), abs=1e-5)
    with pytest.raises(ValueError, match="layer is 0 "):
        method.embed(adata, layer=1)


def test_results_follow_cells_genes_and_names(model):
    adata = cells()
    method = Geneformer(str(model[0]), device="cpu")
    rng = np.random.default_rng(2)
    turned = adata[rng.permutation(7), rng.permutation(20)].copy()
    one, other = method.infer(adata), method.infer(turned)
    assert other[:, IDS[:18]].varp["GRN"] == pytest.approx(one.varp["GRN"], abs=1e-6)
    symbols = adata.copy()
    symbols.var_names = [f"S{i}" for i in range(20)]
    assert method.infer(symbols).varp["GRN"] == pytest.approx(one.varp["GRN"], abs=1e-6)
    versions = adata.copy()
    versions.var_names = [f"{name}.3" for name in IDS]
    assert method.infer(versions).varp["GRN"] == pytest.approx(one.varp["GRN"], abs=1e-6)


def test_cells_without_a_known_gene_are_told_apart(model, caplog):
    adata = cells(3)
    adata.X[1, :18] = 0
    adata.X[1, 19] = 5
    found = Geneformer(str(model[0]), device="cpu").embed(adata)
    assert np.isnan(found).all(axis=1).tolist() == [False, True, False]
    assert "1 cell expresses no gene that geneformer knows" in caplog.text


def test_what_is_no_count_is_refused(model):
    adata = cells(3)
    adata.X = np.log1p(adata.X)
    with pytest.raises(ValueError, match="geneformer takes raw counts"):
        Geneformer(str(model[0]), device="cpu").infer(adata)
    with pytest.raises(ValueError, match="the model has 3 layers, and no 3"):
        Geneformer(str(model[0]), layers=[3], device="cpu").infer(cells(2))
    with pytest.raises(ValueError, match="layers names no layer"):
        Geneformer(str(model[0]), layers=[], device="cpu")
    with pytest.raises(ValueError, match="least_known is a share between 0 and 1, not 2"):
        Geneformer(str(model[0]), least_known=2, device="cpu")


def test_folders_that_do_not_fit(model, tmp_path):
    folder = model[0]
    with pytest.raises(FileNotFoundError, match=r"has no token_dictionary\*"):
        Geneformer(str(folder), dictionaries=str(tmp_path), device="cpu").infer(cells(1))
    (tmp_path / "token_dictionary.json").write_text(json.dumps({"<pad>": 0, IDS[0]: 99}))
    (tmp_path / "gene_median_dictionary.json").write_text(json.dumps(dict.fromkeys(IDS, 1.0)))
    with pytest.raises(ValueError, match="they are of different versions"):
        Geneformer(str(folder), dictionaries=str(tmp_path), least_known=0, device="cpu").infer(cells(1))
    (tmp_path / "token_dictionary_gc30M.json").write_text("{}")
    with pytest.raises(ValueError, match=r"holds 'token_dictionary\.json', 'token_dictionary_gc30M\.json'"):
        Geneformer(str(folder), dictionaries=str(tmp_path), device="cpu").infer(cells(1))
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        Geneformer(str(tmp_path), dictionaries=str(folder), device="cpu").infer(cells(1))


def test_weights_that_are_missing_are_named(model, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = model[0]
    tensors = load_file(folder / "model.safetensors")
    lost = "bert.encoder.layer.1.attention.self.query.weight"
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    save_file(
        {k: v for k, v in tensors.items() if k != lost}, tmp_path / "model.safetensors", metadata={"format": "pt"}
    )
    with pytest.raises(ValueError, match=r"1 missing: '.*layer\.1\.attention\.self\.query\.weight'"):
        Geneformer(str(tmp_path), dictionaries=str(folder), device="cpu").infer(cells(1))
    save_file(tensors | {"bert.gate": torch.zeros(1)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"1 unknown: '.*gate'"):
        Geneformer(str(tmp_path), dictionaries=str(folder), device="cpu").infer(cells(1))
    save_file(tensors | {lost: torch.zeros(2, 2)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"1 of another shape: '.*query\.weight'"):
        Geneformer(str(tmp_path), dictionaries=str(folder), device="cpu").infer(cells(1))


class _Harm:
    def __reduce__(self):
        return print, ("harm",)


def test_no_code_of_a_dictionary_is_run(tmp_path, capsys):
    (tmp_path / "token_dictionary.pkl").write_bytes(pickle.dumps({"<pad>": _Harm()}))
    (tmp_path / "gene_median_dictionary.pkl").write_bytes(pickle.dumps({IDS[0]: 1.0}))
    with pytest.raises(ValueError, match=r"token_dictionary\.pkl is no dictionary of names and numbers: it asks for"):
        Geneformer(str(tmp_path), device="cpu").infer(cells(1))
    assert "harm" not in capsys.readouterr().out
