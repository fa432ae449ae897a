"""Rows of methods whose weights a user has."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from benchmarks import weights
from benchmarks.grn import leaderboard
from benchmarks.integration import scores
from benchmarks.peer import NOT_RUN


def test_folders_are_given_by_variables_and_what_is_missing_is_told(monkeypatch):
    monkeypatch.setenv("SCPRINT_SCGPT", "/models/scGPT_human")
    monkeypatch.delenv("SCPRINT_GENEFORMER", raising=False)
    monkeypatch.setattr(weights, "NOT_RUN", told := {})
    assert weights.given() == {"scGPT": "/models/scGPT_human"}
    weights.tell_missing(weights.given())
    assert list(told) == ["Geneformer"]
    assert "SCPRINT_GENEFORMER names their folder" in told["Geneformer"]


def test_networks_with_weights_are_asked_for_the_method_in_its_folder(monkeypatch):
    asked = {}

    def benchmark(**told):
        asked.update(told)
        return pd.DataFrame({"status": ["failed"], "label": ["scGPT"], "message": ["no folder"]})

    monkeypatch.setattr(leaderboard, "benchmark", benchmark)
    monkeypatch.setattr(leaderboard, "tell_missing", lambda _: None)
    monkeypatch.setattr(leaderboard, "NOT_RUN", {})
    with pytest.raises(RuntimeError, match="scGPT, failed: no folder"):
        leaderboard.network_scores("quick", weights={"scGPT": "/models/scGPT_human"})
    assert asked["methods"][-1] == {"name": "scgpt", "label": "scGPT", "settings": {"folder": "/models/scGPT_human"}}
    assert asked["methods"][0] == "pearson"


def test_an_embedding_with_weights_is_written_for_the_scores(monkeypatch, tmp_path):
    def embed(adata, method, *, settings, seed):
        assert (method, settings, seed) == ("geneformer", {"folder": "mine"}, 3)
        return np.full((adata.n_obs, 2), 7.0)

    monkeypatch.setattr(scores, "embed", embed)
    scores.write_given(anndata.AnnData(np.ones((4, 3))), tmp_path, "Geneformer", "mine", 3)
    np.testing.assert_array_equal(np.load(tmp_path / "Geneformer.npy"), np.full((4, 2), 7.0))
    assert "Geneformer" not in NOT_RUN
