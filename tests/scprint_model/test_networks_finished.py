"""An interrupted run keeps what it finished."""

import numpy as np
import pytest

from scprint_model.networks import infer


@pytest.fixture
def call(small_model, retina, tmp_path):
    groups = retina.obs["cell_type"].value_counts().index[:3].tolist()

    def run(**options):
        given = {"groupby": "cell_type", "group": groups, "n_genes": 40, "n_cells": 5, "folder": tmp_path / "networks"}
        return infer(small_model, retina, **(given | options))

    return run


def test_finished_groups_are_not_run_again(call, small_model, tmp_path, monkeypatch):
    expected = call(folder=None)
    names = list(expected.networks)
    passes, encode = [], small_model.encode

    def interrupted(*args, **options):
        passes.append(1)
        if len(passes) == 2:
            raise KeyboardInterrupt
        return encode(*args, **options)

    monkeypatch.setattr(small_model, "encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        call()
    assert [path.stem for path in (tmp_path / "networks").glob("*.h5ad")] == names[:1]
    assert not [hook for block in small_model.blocks for hook in block.attention._forward_pre_hooks.values()]
    found = call()
    assert len(passes) == 2 + 2  # the two others
    assert list(found.networks) == names
    for name in names:
        np.testing.assert_allclose(found.networks[name].grn, expected.networks[name].grn, atol=1e-7)
    call()
    assert len(passes) == 4


def test_networks_of_another_run_are_not_mixed_in(call, tmp_path, small_model):
    call()
    for options, differing in (({"seed": 1}, "seed"), ({"heads": "max"}, "heads"), ({"n_genes": 41}, "genes")):
        with pytest.raises(ValueError, match=rf"another run \(.*{differing}"):
            call(**options)
    with pytest.raises(ValueError, match=r"another run \(.*normalize: 'softmax', now 'none'"):
        call(normalize="none")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="in use for something else: choose an empty folder"):
        call(folder=tmp_path / "other")
