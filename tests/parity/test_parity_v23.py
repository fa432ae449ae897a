"""The same for the layout with a cell transformer, shared key heads, a metacell token and depth at the decoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from scprint_model.model import CellEncoding, ScPrint, ScPrintOutput

Arrays = dict[str, np.ndarray]


@pytest.fixture
def batch(tiny_v23_forward: Arrays) -> dict[str, Tensor]:
    published = {"genes": "gene_pos", "counts": "expression", "total_counts": "depth", "metacell": "metacell"}
    return {name: torch.from_numpy(tiny_v23_forward[f"in_{key}"]) for name, key in published.items()}


def assert_counts_match(output: ScPrintOutput, arrays: Arrays, prefix: str) -> None:
    np.testing.assert_allclose(output.mean, arrays[f"{prefix}_mean"], rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(output.dispersion, arrays[f"{prefix}_disp"], rtol=2e-5)
    np.testing.assert_allclose(output.zero_logits, arrays[f"{prefix}_zero_logits"], atol=1e-5)


def assert_cells_match(output: CellEncoding, arrays: Arrays) -> None:
    np.testing.assert_allclose(output.cell_embeddings, arrays["out_cell_embs"], atol=1e-5)
    np.testing.assert_allclose(output.cell_embedding, arrays["out_cell_emb"], atol=1e-5)
    assert len(output.class_logits) == 6
    for name, logits in output.class_logits.items():
        np.testing.assert_allclose(logits, arrays[f"out_cls_output_{name}"], atol=1e-5)


@torch.no_grad()
def test_forward(tiny_v23: ScPrint, batch: dict[str, Tensor], tiny_v23_forward: Arrays) -> None:
    output = tiny_v23(**batch)
    assert output.token_names[:3] == ("metacell", "base", "cell_type_ontology_term_id")
    assert_counts_match(output, tiny_v23_forward, "out")
    assert_cells_match(output, tiny_v23_forward)
    assert_cells_match(tiny_v23.encode(**batch), tiny_v23_forward)


@torch.no_grad()
def test_generate(tiny_v23: ScPrint, batch: dict[str, Tensor], tiny_v23_forward: Arrays) -> None:
    cells = torch.from_numpy(tiny_v23_forward["out_cell_embs"])
    sums = batch["counts"].sum(dim=1)
    output = tiny_v23.generate(batch["genes"], cells, batch["total_counts"], expected_total=sums)
    assert_counts_match(output, tiny_v23_forward, "gen")
    # Its cell tokens are passed through.
    assert_cells_match(output, tiny_v23_forward)


@torch.no_grad()
def test_queries_and_keys(tiny_v23: ScPrint, batch: dict[str, Tensor], tiny_v23_forward: Arrays) -> None:
    output = tiny_v23.encode(**batch, capture_qk=True)
    assert tiny_v23.captured_tokens == ()
    assert output.queries_keys is not None
    assert len(output.queries_keys) == 3
    for layer, (queries, keys) in enumerate(output.queries_keys):
        published = tiny_v23_forward[f"qkv_block{layer}"]
        np.testing.assert_allclose(queries, published[:, :, 0], atol=1e-5)
        np.testing.assert_allclose(keys, published[:, :, 1], atol=1e-5)


@torch.no_grad()
def test_gene_tokens_do_not_see_the_cell_tokens(tiny_v23: ScPrint, batch: dict[str, Tensor]) -> None:
    """In the published encoding pass the genes' cross-attention blocks are left out."""
    told = tiny_v23(**batch)
    other = tiny_v23(**{**batch, "metacell": 1 - batch["metacell"]})
    torch.testing.assert_close(other.mean, told.mean, rtol=0, atol=0)
    assert not torch.allclose(other.cell_embeddings, told.cell_embeddings, atol=0.1)
