"""Published files opened as a user opens them give the published numbers, also after they were saved as ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from scdataloader import LabelSpace
from scprint_model.model import ScPrint

Arrays = dict[str, np.ndarray]
CASES = {"tiny_v1": "A_", "tiny_v23": ""}
#: Order of the published outputs' tokens in ours: for family A the fixtures were written with depth before base.
ORDER = {"tiny_v1": [1, 0, 2, 3, 4, 5, 6, 7], "tiny_v23": list(range(8))}
#: Largest difference that storing half precision makes, relative for mean and dispersion, absolute for the rest.
BOUNDS = {torch.bfloat16: 0.06, torch.float16: 0.008}


@pytest.fixture(scope="module", params=list(CASES))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def opened(published: Path, name: str) -> ScPrint:
    return ScPrint.from_pretrained(published / f"{name}.ckpt")


@pytest.fixture(scope="module")
def arrays(published: Path, name: str) -> Arrays:
    return dict(np.load(published / f"{name}_forward.npz"))


def run(model: ScPrint, arrays: Arrays, name: str) -> dict[str, np.ndarray]:
    given = CASES[name] + "in_"
    metacell = torch.from_numpy(arrays["in_metacell"]) if f"{given}metacell" in arrays else None
    inputs = [torch.from_numpy(arrays[given + key]) for key in ("gene_pos", "expression", "depth")]
    with torch.inference_mode():
        output = model(*inputs, metacell=metacell)
    return {
        "mean": output.mean.numpy(),
        "disp": output.dispersion.numpy(),
        "zero_logits": output.zero_logits.numpy(),
        "cell_embs": output.cell_embeddings.numpy(),
        "cell_emb": output.cell_embedding.numpy(),
        **{f"cls_output_{label}": logits.numpy() for label, logits in output.class_logits.items()},
    }


def assert_published(outputs: dict[str, np.ndarray], arrays: Arrays, name: str) -> None:
    assert len(outputs) == 11
    for key, value in outputs.items():
        expected = arrays[f"{CASES[name]}out_{key}"]
        expected = expected[:, ORDER[name]] if key == "cell_embs" else expected
        exact = {"rtol": 2e-5, "atol": 1e-6} if key in ("mean", "disp") else {"rtol": 0, "atol": 1e-5}
        np.testing.assert_allclose(value, expected, **exact, err_msg=key)


def test_the_file_gives_the_published_numbers(opened: ScPrint, arrays: Arrays, name: str) -> None:
    assert_published(run(opened, arrays, name), arrays, name)


def test_saved_and_opened_again_it_gives_them_too(opened: ScPrint, arrays: Arrays, name: str, tmp_path: Path) -> None:
    opened.save_pretrained(tmp_path / "ours")
    for what in (tmp_path / "ours", tmp_path / "ours" / "model.safetensors"):
        assert_published(run(ScPrint.from_pretrained(what), arrays, name), arrays, name)


@pytest.mark.parametrize("dtype", list(BOUNDS))
def test_half_precision_stays_within_bounds(
    opened: ScPrint, arrays: Arrays, name: str, tmp_path: Path, dtype: torch.dtype
) -> None:
    opened.save_pretrained(tmp_path / "ours", dtype=dtype)
    half, full = run(ScPrint.from_pretrained(tmp_path / "ours"), arrays, name), run(opened, arrays, name)
    for key, value in half.items():
        scale = full[key] if key in ("mean", "disp") else 1
        assert np.abs((value - full[key]) / scale).max() < BOUNDS[dtype], key
        assert not np.array_equal(value, full[key])


def test_genes_and_labels_are_the_stored_ones(opened: ScPrint, published: Path, name: str) -> None:
    hparams = torch.load(published / f"{name}.ckpt", weights_only=True)["hyper_parameters"]
    assert opened.vocabulary is not None
    assert list(opened.vocabulary.ids) == hparams["genes"]
    assert opened.vocabulary.locations.tolist() == hparams["gene_pos_enc"]
    assert opened.vocabulary.symbols[:2] == ("THSD7A", "PROM1")
    assert isinstance(opened.label_space, LabelSpace)
    for label, space in opened.label_space.classes.items():
        stored = hparams["label_decoders"][label]
        codes = [code for code in stored if code >= 0]
        assert space.decode(codes) == [stored[code] for code in codes]
        for parent, leaves in hparams["labels_hierarchy"].get(label, {}).items():
            row = space.descendants.toarray()[parent - len(space.leaves)]
            assert np.flatnonzero(row).tolist() == leaves


def test_the_order_of_the_cell_tokens_is_that_of_the_family(opened: ScPrint, name: str) -> None:
    first = {"tiny_v1": ("base", "depth"), "tiny_v23": ("metacell", "base")}[name]
    assert opened.token_names == (*first, *opened.config.class_sizes)
