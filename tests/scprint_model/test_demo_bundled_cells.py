"""What the demo takes for its cells: bundled sets by name, files by path."""

import logging
from pathlib import Path

import pytest

from scdataloader import datasets
from scprint_model.demo.bundled_cells import BUNDLED, bundled_cells


def test_names_mean_the_bundled_sets(monkeypatch, tmp_path, caplog):
    monkeypatch.chdir(tmp_path)
    assert bundled_cells(None) is BUNDLED["pancreas"]
    assert bundled_cells("retina").load is datasets.retina_1k
    assert caplog.records == []
    Path("retina").mkdir()  # as `scprint demo --data retina --out retina` leaves it
    Path("pancreas").touch()
    with caplog.at_level(logging.WARNING):
        assert bundled_cells(None) is BUNDLED["pancreas"]
        assert caplog.records == []
        assert bundled_cells("retina") is BUNDLED["retina"]
    assert caplog.messages == ["retina is the bundled set; what lies here under that name is ./retina"]
    assert bundled_cells("./retina") is None
    assert bundled_cells(Path("retina")) is None


def test_what_is_neither_is_told_with_the_names(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file lung, and the bundled sets are pancreas and retina"):
        bundled_cells("lung")
    with pytest.raises(FileNotFoundError, match="no file"):
        bundled_cells(tmp_path / "none.h5ad")


@pytest.mark.parametrize("name", list(BUNDLED))
def test_the_type_whose_network_is_shown_is_there(name):
    cells = BUNDLED[name].load()
    assert (cells.obs["cell_type"] == BUNDLED[name].cell_type).sum() > 300
