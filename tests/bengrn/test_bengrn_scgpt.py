"""scGPT from a folder of weights, beside PyTorch's own layers."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData, read_h5ad
from torch import nn

import bengrn
from bengrn.cli import main
from bengrn.methods.deep.attention import add_attention
from bengrn.methods.deep.scgpt import ScGPT

WIDTH, HEADS, INNER, LAYERS, GENES = 16, 4, 24, 2, 30
SETTINGS = {"embsize": WIDTH, "nheads": HEADS, "d_hid": INNER, "nlayers": LAYERS, "n_bins": 11, "max_seq_len": 20}
SETTINGS |= {"pad_value": -2, "input_style": "binned", "input_emb_style": "continuous"}
SYMBOLS = [f"G{i}" for i in range(GENES)]


def draw(seed=0):
    """Random weights by the names of PyTorch's own layers."""
    torch.manual_seed(seed)
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, INNER, 0.2, batch_first=True)
    encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
    parts = {
        "encoder.embedding": nn.Embedding(GENES + 3, WIDTH),
        "encoder.enc_norm": nn.LayerNorm(WIDTH),
        "value_encoder.linear1": nn.Linear(1, WIDTH),
        "value_encoder.linear2": nn.Linear(WIDTH, WIDTH),
        "value_encoder.norm": nn.LayerNorm(WIDTH),
        "transformer_encoder": encoder,
    }
    for part in parts.values():
        for one in part.parameters():
            nn.init.normal_(one, std=0.8)
    return {
        f"{name}.{inner}": one.detach().clone()
        for name, part in parts.items()
        for inner, one in part.state_dict().items()
    }


def write(folder, tensors, settings=SETTINGS):
    folder.mkdir(exist_ok=True)
    (folder / "args.json").write_text(json.dumps(settings))
    # in no order, and without two of the special tokens, which come after all others
    (folder / "vocab.json").write_text(json.dumps({"<pad>": GENES} | {name: i for i, name in enumerate(SYMBOLS)}))
    torch.save(tensors, folder / "best_model.pt")
    return folder


def cells(n=6, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(2, (n, GENES)).astype(np.float32)
    if not ties:  # no two counts of a cell are equal
        counts = np.where(counts > 0, 1 + np.argsort(rng.random((n, GENES)), axis=1), 0).astype(np.float32)
    return AnnData(counts, var=pd.DataFrame(index=SYMBOLS))


def oracle(tensors, tokens, values):
    """What PyTorch's own encoder makes of tokens and values: the last layer's input and output."""
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, INNER, 0.2, batch_first=True)
    encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False).eval()
    start = "transformer_encoder."
    encoder.load_state_dict({name[len(start) :]: one for name, one in tensors.items() if name.startswith(start)})

    def norm(name, x):
        return nn.functional.layer_norm(x, (WIDTH,), tensors[name + ".weight"], tensors[name + ".bias"])

    def linear(name, x):
        return nn.functional.linear(x, tensors[name + ".weight"], tensors[name + ".bias"])

    with torch.no_grad():
        genes = norm("encoder.enc_norm", tensors["encoder.embedding.weight"][tokens])
        inner = torch.relu(linear("value_encoder.linear1", values[..., None]))
        x = genes + norm("value_encoder.norm", linear("value_encoder.linear2", inner))
        if "bn.weight" in tensors:
            bn = nn.BatchNorm1d(WIDTH, eps=6.1e-5).eval()
            bn.load_state_dict({name[3:]: one for name, one in tensors.items() if name.startswith("bn.")})
            x = bn(x.transpose(1, 2)).transpose(1, 2)
        for one in encoder.layers[:-1]:
            x = one(x)
        return x, encoder.layers[-1](x)


def bins_of(counts):
    """Bins of a cell without equal counts, by their definition; 0 for zeros."""
    values = counts[counts > 0]
    edges = np.quantile(values, np.linspace(0, 1, 10))
    return np.where(counts > 0, (edges[:, None] <= counts).sum(axis=0), 0)


def network_of_oracle(tensors, adata):
    tokens = torch.tensor([GENES + 1, *range(GENES)])[None]
    total = np.zeros((GENES, GENES))
    for row in adata.X:
        values = torch.tensor(np.append(-2, bins_of(row)), dtype=torch.float32)[None]
        x = oracle(tensors, tokens, values)[0][0].double().numpy()
        last = f"transformer_encoder.layers.{LAYERS - 1}.self_attn.in_proj_"
        q, k, _ = np.split(x @ tensors[last + "weight"].double().numpy().T + tensors[last + "bias"].numpy(), 3, axis=1)
        for head in range(HEADS):
            at = slice(4 * head, 4 * head + 4)
            products = np.exp(q[:, at] @ k[:, at].T)  # not divided by the square root of the width
            total += (products / products.sum(axis=1, keepdims=True))[1:, 1:]
    weights = total.T / HEADS / len(adata)  # the gene that is attended to is the regulator
    np.fill_diagonal(weights, 0)
    return weights


@pytest.mark.parametrize("norm", [False, True])
def test_the_network_is_that_of_pytorchs_own_layers(tmp_path, norm):
    tensors = draw()
    if norm:
        names = ["bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"]
        tensors |= {name: torch.rand(WIDTH) + 0.5 for name in names} | {"bn.num_batches_tracked": torch.tensor(7)}
    adata = cells()
    found = ScGPT(write(tmp_path / "model", tensors), device="cpu").infer(adata)
    assert found.varp["GRN"] == pytest.approx(network_of_oracle(tensors, adata), abs=1e-6)
    assert found.varp["GRN"].max() > 3 / GENES


def test_three_layouts_of_weights_are_one_model(tmp_path):
    tensors, adata = draw(), cells(2)
    plain = ScGPT(write(tmp_path / "plain", tensors), device="cpu").infer(adata).varp["GRN"]
    for i, inner in enumerate(("Wqkv.", "_impl.Wqkv.")):
        named = {name.replace("in_proj_", inner): one for name, one in tensors.items()}
        if i:
            named = {f"module.{name.replace('.out_proj', '._impl.out_proj')}": one for name, one in named.items()}
        assert not set(named) & {name for name in tensors if "in_proj" in name}
        other = ScGPT(write(tmp_path / f"other{i}", named), device="cpu").infer(adata).varp["GRN"]
        assert (other == plain).all()
    twice = tensors | {"transformer_encoder.layers.0.self_attn.Wqkv.bias": torch.zeros(3 * WIDTH)}
    with pytest.raises(ValueError, match="are there twice, in different layouts"):
        ScGPT(write(tmp_path / "twice", twice), device="cpu").infer(adata)


def test_embeddings_are_the_last_layers_first_row(tmp_path):
    tensors, adata = draw(), cells(5)
    found = ScGPT(write(tmp_path / "model", tensors), device="cpu").embed(adata)
    for row, vector in zip(adata.X, found, strict=True):
        at = np.flatnonzero(row)
        if len(at) > 19:
            continue
        tokens = torch.tensor([GENES + 1, *at])[None]
        values = torch.tensor(np.append(-2, bins_of(row)[at]), dtype=torch.float32)[None]
        out = oracle(tensors, tokens, values)[1][0, 0].numpy()
        assert vector == pytest.approx(out / np.linalg.norm(out), abs=1e-5)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    full = AnnData(np.arange(1, GENES + 1, dtype=np.float32)[None], var=adata.var)  # more genes than the model takes
    method = ScGPT(write(tmp_path / "model", tensors), device="cpu")
    assert (method.embed(full, seed=1) == method.embed(full, seed=1)).all()
    assert not np.allclose(method.embed(full, seed=1), method.embed(full, seed=2), atol=1e-4)


def test_results_follow_cells_and_genes_and_the_seed(tmp_path):
    method = ScGPT(write(tmp_path / "model", draw()), device="cpu")
    adata = cells(8, ties=True)
    rng = np.random.default_rng(3)
    turned = adata[rng.permutation(8), rng.permutation(GENES)].copy()
    one, other = method.infer(adata, rng=4), method.infer(turned, rng=4)
    assert other[:, SYMBOLS].varp["GRN"] == pytest.approx(one.varp["GRN"], abs=1e-6)
    assert not np.allclose(method.infer(adata, rng=5).varp["GRN"], one.varp["GRN"], atol=1e-5)
    vectors = pd.DataFrame(method.embed(adata, seed=4), index=adata.obs_names)
    assert method.embed(turned, seed=4) == pytest.approx(vectors.loc[turned.obs_names].to_numpy(), abs=1e-5)


def test_regulators_and_genes_that_the_model_does_not_know_are_told(tmp_path, caplog):
    folder = write(tmp_path / "model", draw())
    adata = cells(3)
    adata.var_names = [*SYMBOLS[:20], *[f"other{i}" for i in range(10)]]
    grn = bengrn.get_method("scGPT", folder=str(folder), device="cpu").infer(adata, regulators=["G3", "other1"])
    assert grn.n_vars == 20
    assert grn.regulators.tolist() == ["G3"]
    assert "scgpt knows 20 of 30 genes; the others, such as other0, are left out" in caplog.text
    assert "does not know 1 regulator: 'other1'" in caplog.text
    with pytest.raises(ValueError, match="knows none of the regulators, such as 'other1'"):
        ScGPT(folder, device="cpu").infer(adata, regulators=["other1"])
    with pytest.raises(ValueError, match=r"scgpt knows 20 of 30 genes \(67%; at least 80% are asked for\)"):
        ScGPT(folder, least_known=0.8, device="cpu").infer(adata)
    twice = adata[:, :20].copy()
    twice.var["symbol"] = ["G1", "G1", *SYMBOLS[2:20]]
    grn = ScGPT(folder, device="cpu").infer(twice)
    assert grn.n_vars == 19
    assert "1 of other genes' tokens are added" in caplog.text or "added to those" in caplog.text


def test_cells_that_cannot_be_used(tmp_path):
    method = ScGPT(write(tmp_path / "model", draw()), device="cpu")
    for value, told in {-1.0: "1 values in X are negative", np.nan: "1 values in X are NaN or infinite"}.items():
        adata = cells(2)
        adata.X[0, 0] = value
        with pytest.raises(ValueError, match=told):
            method.infer(adata)
    with pytest.raises(ValueError, match="there is no cell"):
        method.infer(cells(2)[:0])


def test_folders_that_do_not_fit(tmp_path):
    tensors = draw()
    first = "transformer_encoder.layers.0.linear1.weight"
    faults = {
        "1 missing: transformer_encoder.layers.0.linear1.weight": {k: v for k, v in tensors.items() if k != first},
        "1 unknown: gate.weight": tensors | {"gate.weight": torch.zeros(1)},
        r"1 of another shape: transformer_encoder.layers.0.linear1.weight \(2, 2\) instead of \(24, 16\)": tensors
        | {first: torch.zeros(2, 2)},
        "1 not finite": tensors | {first: torch.full((INNER, WIDTH), torch.nan)},
    }
    for told, broken in faults.items():
        with pytest.raises(ValueError, match=told):
            ScGPT(write(tmp_path / "model", broken), device="cpu").infer(cells(1))
    optional = {f"{part}.x.weight": torch.zeros(1) for part in ("decoder", "mvc_decoder", "flag_encoder")}
    assert ScGPT(write(tmp_path / "model", tensors | optional), device="cpu").infer(cells(1)).n_vars == GENES
    for key, value in {"pre_norm": True, "input_emb_style": "category"}.items():
        with pytest.raises(ValueError, match=key):
            ScGPT(write(tmp_path / "model", tensors, SETTINGS | {key: value}), device="cpu").infer(cells(1))
    settings = {key: value for key, value in SETTINGS.items() if key != "nheads"}
    with pytest.raises(ValueError, match="lacks the numbers 'nheads'"):
        ScGPT(write(tmp_path / "model", tensors, settings), device="cpu").infer(cells(1))
    (tmp_path / "model" / "vocab.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no 'vocab\.json'"):
        ScGPT(tmp_path / "model", device="cpu").infer(cells(1))
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        ScGPT(tmp_path / "nowhere", device="cpu").infer(cells(1))


def test_cells_of_a_file_are_embedded(tmp_path, capsys):
    folder = write(tmp_path / "model", draw())
    adata = cells(4)
    adata.layers["rounded"] = adata.X.copy()
    adata.X = np.log1p(adata.X)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    arguments = ["embed", str(tmp_path / "cells.h5ad"), "--set", f"folder={folder}", "--set", "device=cpu"]
    assert main([*arguments, "--layer", "rounded", "-o", str(tmp_path / "out.h5ad")]) == 0
    assert "4 cells × 16 numbers in obsm['X_scgpt']" in capsys.readouterr().out
    found = read_h5ad(tmp_path / "out.h5ad")
    expected = bengrn.embed(cells(4), "scgpt", settings={"folder": str(folder), "device": "cpu"})
    assert found.obsm["X_scgpt"] == pytest.approx(expected, abs=1e-6)
    assert (found.X == adata.X).all()
    assert main(["inspect", str(tmp_path / "out.h5ad")]) == 0
    assert "bengrn embed" in capsys.readouterr().out
    again = [*arguments, "-o", str(tmp_path / "again.h5ad"), "--method", "pearson"]
    assert main(again) != 0
    with pytest.raises(ValueError, match="pearson embeds no cells"):
        bengrn.embed(adata, "pearson")


def test_a_setting_that_is_needed_is_named_with_what_it_is():
    with pytest.raises(TypeError, match=r"scgpt needs a setting: folder \(Folder of the model"):
        bengrn.get_method("scgpt")


class _Harm:
    def __reduce__(self):
        return print, ("harm",)


def test_no_code_of_a_weight_file_is_run(tmp_path, capsys):
    folder = write(tmp_path / "model", draw())
    (folder / "best_model.pt").write_bytes(pickle.dumps({"x": _Harm()}))
    with pytest.raises(ValueError, match=r"best_model\.pt is no file of tensors"):
        ScGPT(folder, device="cpu").infer(cells(1))
    assert "harm" not in capsys.readouterr().out


def test_attention_in_blocks_is_the_naive_one(monkeypatch):
    monkeypatch.setattr("bengrn.methods.deep.attention._BLOCK", 500)  # blocks of three rows
    torch.manual_seed(0)
    query, key = torch.randn(2, 4, 37, 8)
    total = torch.ones(34, 34)
    add_attention(query, key, total, scale=0.5, skip=(1, 2))
    naive = torch.softmax(query @ key.transpose(1, 2) * 0.5, dim=-1).mean(dim=0)[1:-2, 1:-2]
    assert torch.allclose(total, naive + 1, atol=1e-6)
