"""Scoring a network now and then in a training."""

import lightning
import pytest
from lightning.pytorch.callbacks import Callback

from scdataloader import CellDataModule
from scdataloader.options import Drawing, Holdout
from scprint_model import infer
from scprint_model.training import network_score
from scprint_model.training.module import PretrainingModule
from scprint_model.training.network_score import ScoreNetwork


class Logged(Callback):
    def __init__(self):
        self.metrics = []

    def on_validation_end(self, trainer, _):
        if not trainer.sanity_checking:
            self.metrics.append({k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("network/")})


@pytest.mark.slow
def test_network_is_scored_every_second_epoch_and_the_share_of_time_is_told(retina, tmp_path):
    path = tmp_path / "retina.h5ad"
    retina.write_h5ad(path)
    data = CellDataModule([str(path)], classes=["cell_type"], organisms=["human"], context=48, batch_size=32,
                          drawing=Drawing(cells_per_epoch=64), holdout=Holdout(val_fraction=0.1))  # fmt: skip
    module = PretrainingModule(d_model=16, n_layers=1, n_heads=2, warmup_steps=1)
    score, logged = ScoreNetwork(every_n_epochs=2, file=str(path), n_cells=20, n_genes=200), Logged()
    lightning.Trainer(
        max_epochs=4, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[score, logged],
    ).fit(module, data)  # fmt: skip
    first, second, third, last = logged.metrics
    assert first == {}
    assert second.keys() == last.keys() >= {"network/ap_all", "network/epr_all", "network/time_share"}
    assert 0 < last["network/time_share"] < 1
    assert third == {} or third == second  # Lightning keeps a metric until it is logged anew
    # the final weights are those of the last validation
    from bengrn.scorer import score_against_omnipath

    table = score_against_omnipath(infer(module.network.eval(), score._cells, n_cells=20, n_genes=200))
    ours = table[(table["orientation"] == "as stored") & (table["universe"] == "all")].iloc[0]
    assert last["network/ap_all"] == pytest.approx(ours["ap"], rel=1e-4)


def test_what_is_missing_is_told_before_the_training(monkeypatch):
    with pytest.raises(ImportError, match=r"no scorer of networks is called 'other': there are \['bengrn'\]"):
        ScoreNetwork(scorer="other").setup(None, None, "fit")
    monkeypatch.setattr(network_score, "entry_points", lambda **_: [])
    with pytest.raises(ImportError, match="no scorer of networks is installed: pip install bengrn"):
        ScoreNetwork().setup(None, None, "fit")
    with pytest.raises(ValueError, match="every_n_epochs=0"):
        ScoreNetwork(every_n_epochs=0)
