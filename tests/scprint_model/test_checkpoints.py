"""Model folders."""

import copy
import json
import os

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from scdataloader import datasets
from scdataloader.fingerprint import cell_fingerprints
from scprint_model import ScPrint
from scprint_model.checkpoints import load_folder, save_folder
from scprint_model.cli import main
from scprint_model.pretrained import bundled_folder


def outputs(model):
    genes = torch.arange(30).reshape(2, 15)
    with torch.inference_mode():
        return model(genes, (genes % 4).float(), torch.tensor([100.0, 50.0]))


def test_a_folder_gives_the_same_model_back(small_model, tmp_path):
    save_folder(small_model, tmp_path / "m", card={"made": "here", "context": 77})
    again = load_folder(tmp_path / "m", ScPrint)
    torch.testing.assert_close(outputs(again).mean, outputs(small_model).mean, rtol=0, atol=0)
    assert again.vocabulary == small_model.vocabulary
    assert again.label_space.sizes == small_model.label_space.sizes
    assert not again.training
    modes = {path.stat().st_mode for path in (tmp_path / "m").iterdir()}
    assert len(modes) == 1  # whoever can read one file can read all
    assert json.loads((tmp_path / "m/card.json").read_text()) == {"made": "here", "context": 77}
    assert again.context == 77
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_half_precision_halves_the_file(small_model, tmp_path):
    save_folder(small_model, tmp_path / "full", card={})
    save_folder(small_model, tmp_path / "half", card={}, dtype=torch.float16)
    full, half = ((tmp_path / name / "model.safetensors").stat().st_size for name in ("full", "half"))
    assert half < 0.55 * full
    again = load_folder(tmp_path / "half", ScPrint)
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    torch.testing.assert_close(outputs(again).mean, outputs(small_model).mean, rtol=2e-2, atol=1e-2)


def test_saving_again_replaces_and_never_overwrites_other_things(small_model, tmp_path):
    save_folder(small_model, tmp_path / "m", card={"try": 1})
    save_folder(small_model, tmp_path / "m", card={"try": 2})
    assert json.loads((tmp_path / "m/card.json").read_text()) == {"try": 2}
    files = {path.name for path in (tmp_path / "m").iterdir()}
    assert len(files) == 6
    (tmp_path / "m/mynotes.txt").write_text("remember")
    (tmp_path / "m/figures").mkdir()
    (tmp_path / "m/figures/one.png").write_text("seen")
    (tmp_path / "m/training_cells.npy").write_text("of the model that was there")
    save_folder(small_model, tmp_path / "m", card={"try": 3})
    assert json.loads((tmp_path / "m/card.json").read_text()) == {"try": 3}
    assert {path.name for path in (tmp_path / "m").iterdir()} == files | {"mynotes.txt", "figures"}
    assert (tmp_path / "m/mynotes.txt").read_text() == "remember"
    assert (tmp_path / "m/figures/one.png").read_text() == "seen"
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="holds no model: choose another folder"):
        save_folder(small_model, tmp_path / "precious", card={})
    assert (tmp_path / "precious/thesis.txt").read_text() == "years of work"


def test_broken_folders_are_named(small_model, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is not a model folder: it lacks model\.safetensors, config\.json"):
        load_folder(tmp_path, ScPrint)
    save_folder(small_model, tmp_path / "m", card={})
    weights = tmp_path / "m/model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        load_folder(tmp_path / "m", ScPrint)
    weights.write_bytes(whole)
    config = json.loads((tmp_path / "m/config.json").read_text())
    (tmp_path / "m/config.json").write_text(json.dumps(config | {"n_layers": 3}))
    with pytest.raises(ValueError, match="do not fit its config"):
        load_folder(tmp_path / "m", ScPrint)
    (tmp_path / "m/config.json").write_text(json.dumps(config | {"n_genes": 5}))
    with pytest.raises(ValueError, match="is inconsistent: the config has 5 genes"):
        load_folder(tmp_path / "m", ScPrint)


def test_one_file_of_a_folder_and_what_it_needs(small_model, tmp_path):
    small_model.save_pretrained(tmp_path / "m", card={"made": "here"})
    again = ScPrint.from_pretrained(tmp_path / "m/model.safetensors")
    torch.testing.assert_close(outputs(again).mean, outputs(small_model).mean, rtol=1e-6, atol=0)
    assert again.card == {"made": "here"}
    again.save_pretrained(tmp_path / "m", card={"again": True})  # over the file that its weights are mapped from
    torch.testing.assert_close(outputs(again).mean, outputs(small_model).mean, rtol=1e-6, atol=0)
    assert json.loads((tmp_path / "m/card.json").read_text()) == {"made": "here", "again": True}
    (tmp_path / "m/genes.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"m is not a model folder: it lacks genes\.parquet"):
        ScPrint.from_pretrained(tmp_path / "m/model.safetensors")


def test_a_loaded_model_can_be_trained(small_model, tmp_path):
    small_model.save_pretrained(tmp_path / "m")
    before = (tmp_path / "m/model.safetensors").read_bytes()
    model = ScPrint.from_pretrained(tmp_path / "m").train()
    genes = torch.arange(30).reshape(2, 15)
    model(genes, (genes % 4).float(), torch.tensor([100.0, 50.0])).mean.std().backward()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    assert not torch.equal(model.norm.weight, small_model.norm.weight)
    assert (tmp_path / "m/model.safetensors").read_bytes() == before


def test_weights_that_are_no_numbers_are_named(small_model, tmp_path):
    model = copy.deepcopy(small_model)
    with torch.no_grad():
        model.norm.bias[3] = torch.nan
    with pytest.raises(ValueError, match=r"the model holds NaN or infinite weights in norm\.bias"):
        save_folder(model, tmp_path / "m", card={})
    assert not (tmp_path / "m").exists()
    with torch.no_grad():
        model.norm.bias[3] = 1e6
    with pytest.raises(ValueError, match=r"norm\.bias has values up to 1e\+06, which torch\.float16 does not hold"):
        save_folder(model, tmp_path / "m", card={}, dtype=torch.float16)
    save_folder(model, tmp_path / "m", card={}, dtype=torch.bfloat16)
    weights = load_file(tmp_path / "m/model.safetensors")
    weights["norm.bias"][3] = -torch.inf
    save_file(weights, tmp_path / "m/model.safetensors")
    with pytest.raises(ValueError, match=r"m holds NaN or infinite weights in norm\.bias"):
        load_folder(tmp_path / "m", ScPrint)


def test_damaged_tables_are_named(small_model, tmp_path):
    save_folder(small_model, tmp_path / "m", card={})
    (tmp_path / "m/genes.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"the tables genes\.parquet and labels\.json in .* cannot be read"):
        load_folder(tmp_path / "m", ScPrint)
    (tmp_path / "m/config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        load_folder(tmp_path / "m", ScPrint)
    (tmp_path / "m/config.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"config\.json is damaged: it holds a list"):
        load_folder(tmp_path / "m", ScPrint)


def test_the_command_line_refuses_with_status_2(tmp_path, capsys):
    torch.save({"state_dict": {}, "x": os.system}, tmp_path / "x.ckpt")
    assert main(["convert", str(tmp_path / "x.ckpt"), str(tmp_path / "out")]) == 2
    assert "is refused: it names posix.system (os.system)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(["inspect", str(tmp_path / "none.ckpt")]) == 2
    assert "there is no" in capsys.readouterr().err


def test_bundled_model_opens_and_is_small():
    model = ScPrint.from_pretrained()
    assert {"NCBITaxon:9606", "NCBITaxon:10090"} == set(model.vocabulary.organisms)
    assert "cell_type" in model.label_space.classes
    assert sum(p.stat().st_size for p in bundled_folder().iterdir()) < 25e6


def test_bundled_model_never_saw_a_benchmark_cell():
    model = ScPrint.from_pretrained()
    seen = np.load(bundled_folder() / "training_cells.npy")
    retina = datasets.retina_1k()
    prints = cell_fingerprints(retina.X, model.vocabulary.index(retina.var_names))
    assert len(np.unique(prints)) == 1000
    assert not np.isin(prints, seen).any()


#: Data sets that are no part of the training, and of those that are, the donors that are kept for tests.
BENCHMARK_ONLY = {
    "retina_1k": (),
    "human_celllines_cellbench": (),
    "human_lung_lca_popv": ("3",),
    "human_pancreas_baron_h1": (),
    "human_pancreas_tumour_moncada_7kgenes": (),
    "human_pbmc_kang_ifnb": (),
}


@pytest.mark.slow
def test_bundled_model_never_saw_any_reference_benchmark(shared):
    from scdataloader import Preprocessor

    model = ScPrint.from_pretrained()
    seen = np.load(bundled_folder() / "training_cells.npy")
    card = json.loads((bundled_folder() / "card.json").read_text())
    assert not {name for name, donors in BENCHMARK_ONLY.items() if not donors} & set(card["data_sets"])

    def share_seen(name, donors=()):
        cells, _ = Preprocessor.preset("inference", min_genes=20)(shared / f"data/expression/{name}.h5ad")
        if donors:
            cells = cells[cells.obs["donor_id"].astype(str).isin(donors)].copy()
        assert cells.n_obs
        return np.isin(cell_fingerprints(cells.X, model.vocabulary.index(cells.var_names)), seen).mean()

    assert share_seen("human_tcells_wu2020") == 1  # it does know what it was trained on
    assert share_seen("human_kidney_immune", ["PapRCC", "RCC1", "RCC2", "RCC3"]) == 0  # held out for validation
    for name, donors in BENCHMARK_ONLY.items():
        assert share_seen(name, donors) == 0, name
