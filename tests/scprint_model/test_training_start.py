"""Training from a trained model's weights: what is kept, what is new, what is refused."""

from __future__ import annotations

import json
import logging

import lightning
import numpy as np
import pytest
import torch

from scdataloader import CellDataModule, GeneVocabulary, datasets
from scdataloader.options import Holdout
from scprint_model import ScPrint
from scprint_model.cli import main
from scprint_model.layers.profile_encoder import Profile
from scprint_model.training.module import PretrainingModule
from scprint_model.training.saving import SavePretrained
from scprint_model.training.start import start_from_model


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "retina.h5ad"
    datasets.retina_1k()[:200].copy().write_h5ad(path)
    module = CellDataModule(
        [str(path)],
        classes=["cell_type"],
        organisms=["human"],
        context=48,
        batch_size=32,
        holdout=Holdout(val_fraction=0.1),
    )
    module.setup("fit")
    return module


@pytest.fixture(scope="module")
def bundled():
    return ScPrint.from_pretrained("bundled")


@pytest.fixture(scope="module", params=["bundled", "plain"])
def trained(request, bundled, small_model):
    """A model with features, profile and heads over all tokens; and one with none of them."""
    return {"bundled": bundled, "plain": small_model}[request.param]


def outputs(model, genes, counts, totals):
    profile = None
    if model.config.profile_tokens:  # the same genes count as measured, however many the model knows
        measured = torch.zeros(1, model.config.n_genes, dtype=torch.bool)
        measured[0, genes[0]] = True
        centre = model.profile_encoder.centre_of(measured, model.gene_encoder)
        profile = Profile.of_context(genes, counts).centred(centre[0])
    with torch.no_grad():
        return model.eval()(genes, counts, totals, profile=profile)


def test_the_models_own_genes_and_labels_give_the_same_outputs(trained):
    again = start_from_model(trained, trained.vocabulary, trained.label_space)
    genes = torch.arange(20, 60)[None].expand(2, -1)
    given = genes, torch.poisson(torch.full((2, 40), 3.0)), torch.full((2,), 900.0)
    before, after = outputs(trained, *given), outputs(again, *given)
    torch.testing.assert_close(after.cell_embeddings, before.cell_embeddings, rtol=0, atol=0)
    for name, logits in before.class_logits.items():
        torch.testing.assert_close(after.class_logits[name], logits, rtol=0, atol=0)


def test_genes_are_matched_by_id_in_whatever_order(trained):
    known = trained.vocabulary
    order = np.random.default_rng(0).permutation(len(known))[:500]
    ids = [known.ids[i] for i in order]
    part = GeneVocabulary(
        tuple(ids),
        tuple(known.symbols[i] for i in order),
        tuple(known.organisms[i] for i in order),
        np.asarray(known.locations)[order],
    )
    model = start_from_model(trained, part, trained.label_space)
    old = torch.tensor(order[:40].copy())[None]
    counts, totals = torch.poisson(torch.full((1, 40), 3.0)), torch.full((1,), 900.0)
    before = outputs(trained, old, counts, totals)
    after = outputs(model, torch.arange(40)[None], counts, totals)
    # a profile's sums are over the rows of all genes, in their order
    rounding = 1e-4 if trained.config.profile_tokens else 0
    torch.testing.assert_close(after.cell_embeddings, before.cell_embeddings, rtol=0, atol=rounding)


def test_new_genes_and_labels_start_fresh_and_old_ones_as_they_are(trained, data, caplog):
    caplog.set_level(logging.INFO)
    known, labels = trained.vocabulary, data.label_space
    torch.manual_seed(0)
    model = start_from_model(trained, data.vocabulary, labels)
    at = {gene: i for i, gene in enumerate(known.ids)}
    table, old = model.gene_encoder(torch.arange(len(data.vocabulary))), trained.gene_encoder(torch.arange(len(known)))
    shared = [(i, at[gene]) for i, gene in enumerate(data.vocabulary.ids) if gene in at]
    assert 1000 < len(shared) <= len(data.vocabulary) <= len(known)
    new, before = map(list, zip(*shared, strict=True))
    torch.testing.assert_close(table[new], old[before], rtol=0, atol=0)
    for name in set(trained.config.all_token_classes):
        assert f"class {name!r}: its head, a linear map of all tokens, is not taken over" in caplog.text
    for name in set(trained.label_space.classes) & set(labels.classes) - set(trained.config.all_token_classes):
        theirs = {term: code for code, term in enumerate(trained.label_space.classes[name].leaves)}
        weights, old_weights = (one.class_heads[name].out.weight for one in (model, trained))
        kept = [(code, theirs[term]) for code, term in enumerate(labels.classes[name].leaves) if term in theirs]
        for code, before_code in kept:
            torch.testing.assert_close(weights[code], old_weights[before_code], rtol=0, atol=0)
    torch.testing.assert_close(model.blocks[0].state_dict(), trained.blocks[0].state_dict(), rtol=0, atol=0)
    assert f"{len(shared)} of {len(data.vocabulary)} genes of the data are the model's" in caplog.text
    gone = set(trained.label_space.classes) - set(labels.classes)
    assert all(f"class {name!r} is left out" in caplog.text for name in gone)


def test_training_starts_below_and_the_saved_model_says_from_what(data, tmp_path):
    losses = {}
    batch = next(iter(data.val_dataloader()))
    for start in (None, "bundled"):
        torch.manual_seed(0)
        sizes = {} if start else {"d_model": 16, "n_layers": 2, "n_heads": 2}
        module = PretrainingModule(start_from=start, dropout=0.0, warmup_steps=2, schedule="constant", **sizes)
        module.build(data)
        terms = module.objective(module.network.eval(), batch, generator=torch.Generator().manual_seed(1))
        losses[start] = float(terms["denoising"].detach())
        module.network.train()
    assert losses["bundled"] < losses[None]
    trainer = lightning.Trainer(
        max_steps=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[SavePretrained(str(tmp_path / "model"))],
    )
    trainer.fit(module, data)
    card = json.loads((tmp_path / "model/card.json").read_text())
    assert card["started_from"]["model"] == "bundled"
    assert card["data_sets"] == ["retina"]
    seen = set(np.load(tmp_path / "model/training_cells.npy").tolist())
    assert seen > set(module.cells_before.tolist())
    assert seen >= set(data.cells.fingerprints[data.train_cells].tolist())
    assert ScPrint.from_pretrained(tmp_path / "model").vocabulary == data.vocabulary


def test_what_contradicts_the_model_is_refused_before_the_data(tmp_path, data, bundled):
    with pytest.raises(ValueError, match=r"brings what model.d_model, model.architecture would set"):
        PretrainingModule(start_from="bundled", d_model=32, architecture={"likelihood": "nb"})
    with pytest.raises(FileNotFoundError, match="there is no"):
        PretrainingModule(start_from=str(tmp_path / "none"))
    other = GeneVocabulary(("FBgn1", "FBgn2"), ("a", "b"), ("NCBITaxon:7227",) * 2, np.array([1, 2]))
    with pytest.raises(ValueError, match="another organism"):
        start_from_model(bundled, other, bundled.label_space)


@pytest.mark.slow
def test_the_command_continues_from_a_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    datasets.retina_1k()[:150].copy().write_h5ad("cells.h5ad")
    (tmp_path / "more.yaml").write_text(
        "seed_everything: 0\n"
        "trainer: {accelerator: cpu, max_steps: 2, logger: false, enable_progress_bar: false, enable_checkpointing: "
        "false, callbacks: [{class_path: scprint_model.training.saving.SavePretrained, init_args: {folder: out}}]}\n"
        "model: {start_from: bundled, warmup_steps: 1, schedule: constant}\n"
        "data: {files: [cells.h5ad], classes: [cell_type], organisms: [human], context: 64, batch_size: 16}\n"
    )
    assert main(["fit", "--config", "more.yaml"]) == 0
    assert ScPrint.from_pretrained("out").config.d_model == ScPrint.from_pretrained("bundled").config.d_model
