"""Models of hub repositories, from a cache that was filled by hand: no test uses the network."""

import copy
import hashlib
import json
import logging
import shutil

import numpy as np
import pytest
import torch

from scdataloader import datasets
from scprint_model import ScPrint, tasks
from scprint_model.checkpoints import describe
from scprint_model.checkpoints import open as opening
from scprint_model.checkpoints.open import is_hub_id

REPO, COMMIT, OTHER = "someone/scPRINT", "a" * 40, "b" * 40


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Offline, with a function to put files into the cache as the hub's client keeps them."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    root = tmp_path / "hub"
    repo = root / f"models--{REPO.replace('/', '--')}"

    def put(path, *, commit=COMMIT, branch="main"):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in ("blobs", "refs", f"snapshots/{commit}"):
            (repo / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, repo / "blobs" / digest)
        link = repo / "snapshots" / commit / path.name
        link.unlink(missing_ok=True)
        link.symlink_to(repo / "blobs" / digest)
        if branch:
            (repo / "refs" / branch).write_text(commit)
        return repo / "blobs" / digest

    put.root = root
    return put


@pytest.fixture
def ours(small_model, tmp_path):
    small_model.save_pretrained(tmp_path / "ours", card={"data_sets": ["GSE1"]})
    return tmp_path / "ours"


def test_a_repository_of_ours(cache, ours, small_model, caplog):
    for file in ours.iterdir():
        blob = cache(file)
        if file.name == "model.safetensors":
            digest = blob.name
    with caplog.at_level(logging.INFO):
        model = ScPrint.from_pretrained(REPO, cache_dir=cache.root)
    assert f"model.safetensors of {REPO} at revision {COMMIT}, SHA-256 {digest}" in caplog.text
    assert model.config == small_model.config
    assert model.card["fetched"] == {"repo": REPO, "revision": COMMIT, "file": "model.safetensors", "sha256": digest}
    assert model.card["data_sets"] == ["GSE1"]
    known = describe(REPO, cache_dir=cache.root)
    assert known["sha256"] == digest
    assert known["weights"] == sum(value.numel() for value in small_model.state_dict().values())


def test_what_is_kept_beside_the_weights_is_asked_for(cache, small_model, tmp_path, monkeypatch, caplog):
    model = copy.copy(small_model)
    tasks.standardise(model, datasets.retina_1k()[:20].copy(), context=40)
    model.save_pretrained(tmp_path / "kept")
    for file in (tmp_path / "kept").iterdir():
        cache(file)
    asked, download = [], opening._download
    monkeypatch.setattr(opening, "_download", lambda *one, **more: asked.append(one[1]) or download(*one, **more))
    with caplog.at_level(logging.INFO):
        opened = ScPrint.from_pretrained(REPO, cache_dir=cache.root)
    assert asked[-3:] == ["card.json", "embedding.npz", "confidence.npz"]
    assert f"{REPO} has no confidence.npz" in caplog.text
    np.testing.assert_array_equal(opened.standardisation.mean, model.standardisation.mean)


def test_a_published_file_at_a_pinned_revision(cache, shared, tmp_path):
    fixtures = shared / "fixtures" / "published_format"
    for name, commit in (("tiny_v1.ckpt", COMMIT), ("tiny_v23.ckpt", OTHER)):
        shutil.copy(fixtures / name, tmp_path / "model.ckpt")
        cache(tmp_path / "model.ckpt", commit=commit)
    newest = ScPrint.from_pretrained(REPO, filename="model.ckpt", cache_dir=cache.root)
    pinned = ScPrint.from_pretrained(REPO, filename="model.ckpt", revision=COMMIT, cache_dir=cache.root)
    assert newest.config.cell_transformer == 6
    assert pinned.config.cell_transformer == 0
    source = pinned.card["source"]
    assert (source["repo"], source["revision"], source["file"]) == (REPO, COMMIT, "model.ckpt")
    assert source["sha256"] == hashlib.sha256((fixtures / "tiny_v1.ckpt").read_bytes()).hexdigest()
    pinned.save_pretrained(tmp_path / "kept")
    assert json.loads((tmp_path / "kept/card.json").read_text())["source"] == source


def test_a_cached_file_that_changed_is_told(cache, shared):
    blob = cache(shared / "fixtures/published_format/tiny_v1.ckpt")
    data = bytearray(blob.read_bytes())
    data[-400] ^= 1
    blob.write_bytes(data)
    with pytest.raises(ValueError, match=rf"is damaged: its SHA-256 is .*, the hub's {blob.name}"):
        ScPrint.from_pretrained(REPO, filename="tiny_v1.ckpt", cache_dir=cache.root)


def test_what_is_not_there_is_told(cache, ours, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json of someone/else is neither here nor .*filename='medium"):
        ScPrint.from_pretrained("someone/else", cache_dir=cache.root)
    with pytest.raises(FileNotFoundError, match=r"x\.ckpt of someone/scPRINT at revision v2 .*check names and network"):
        ScPrint.from_pretrained(REPO, filename="x.ckpt", revision="v2", cache_dir=cache.root, local_files_only=True)
    with pytest.raises(FileNotFoundError, match=r"there is no models/large\.ckpt: give 'bundled', a folder, a file"):
        ScPrint.from_pretrained("models/large.ckpt")
    with pytest.raises(ValueError, match=r"revision='v2' is of hub repositories, and .* is on this machine"):
        ScPrint.from_pretrained(ours, revision="v2")
    with pytest.raises(FileNotFoundError, match=r"has no file x\.ckpt"):
        ScPrint.from_pretrained(ours, filename="x.ckpt")


def test_a_folder_goes_before_a_repository_of_its_name(ours, monkeypatch, small_model):
    monkeypatch.chdir(ours.parent)
    (ours.parent / "someone").mkdir()
    ours.rename(ours.parent / REPO)
    model = ScPrint.from_pretrained(REPO)
    torch.testing.assert_close(model.norm.weight, small_model.norm.weight)
    assert ScPrint.from_pretrained(REPO, filename="model.safetensors").config == small_model.config


@pytest.mark.parametrize("what", ["jkobject/scPRINT", "a/b.c-d"])
def test_names_of_repositories(what):
    assert is_hub_id(what)
    assert not is_hub_id(f"/{what}")
    assert not is_hub_id(f"{what}/more")
    assert not is_hub_id(f"{what}.ckpt")
    assert not is_hub_id("bundled")
