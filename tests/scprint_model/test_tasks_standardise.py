"""The standardised embedding: by numpy, stored with the model, and what is said where there is none."""

import copy

import numpy as np
import pytest

from scprint_model import ScPrint, tasks
from scprint_model.checkpoints.folder import save_folder
from scprint_model.checkpoints.standardisation import Standardisation


def test_standardised_tokens_are_those_of_numpy_also_after_loading(small_model, retina, tmp_path):
    model, cells = copy.copy(small_model), retina[:20].copy()
    with pytest.raises(ValueError, match=r"needs mean and spread of the model's embedding.*tasks\.standardise"):
        tasks.embed(model, cells, context=50, standardise=True)
    raw = tasks.encode(model, cells, context=50, classes=()).embeddings
    assert tasks.standardise(model, cells, context=50).n_cells == 20
    scaled = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    chosen = [list(model.token_names).index(name) for name in ("base", "cell_type")]
    expected = scaled[:, chosen].mean(axis=1)
    both = ["base", "cell_type"]
    found = tasks.embed(model, cells, token=both, context=50, standardise=True)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    plain = tasks.embed(model, cells, token=both, context=50, standardise=False)
    np.testing.assert_allclose(plain, raw[:, chosen].mean(axis=1), atol=1e-5)
    assert not np.allclose(plain, expected, atol=0.1)
    # a model that carries statistics is read by them, over all tokens where none is told the profile
    np.testing.assert_array_equal(tasks.embed(model, cells, token=both, context=50), found)
    np.testing.assert_allclose(tasks.embed(model, cells, context=50), scaled.mean(axis=1), atol=1e-3)
    assert tasks.embed(model, cells, logits="cell_type", context=50).shape[1] == model.config.class_sizes["cell_type"]

    save_folder(model, tmp_path / "model", card={})
    loaded = ScPrint.from_pretrained(str(tmp_path / "model"))
    again = tasks.embed(loaded, cells, token=both, context=50, standardise=True)
    np.testing.assert_allclose(again, found, atol=1e-4)
    with pytest.raises(ValueError, match="standardise=True is of tokens"):
        tasks.embed(loaded, cells, logits="cell_type", standardise=True)
    # a model without them replaces one that has them
    loaded.standardisation = None
    save_folder(loaded, tmp_path / "model", card={})
    assert ScPrint.from_pretrained(str(tmp_path / "model")).standardisation is None


def test_statistics_of_another_model_are_refused(small_model, tmp_path):
    model = copy.copy(small_model)
    model.standardisation = Standardisation.of(np.random.default_rng(0).normal(size=(9, 2, 4)))
    save_folder(model, tmp_path / "model", card={})
    with pytest.raises(ValueError, match=r"of the shape \(2, 4\), but the model's are \(3, 16\)"):
        ScPrint.from_pretrained(str(tmp_path / "model"))
