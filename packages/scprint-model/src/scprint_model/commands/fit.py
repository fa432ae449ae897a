"""``scprint fit``."""

from __future__ import annotations

import warnings

from lightning.pytorch.cli import LightningCLI

from scdataloader import CellDataModule
from scprint_model.training.module import PretrainingModule


def run(arguments: list[str]) -> int:
    """Train with Lightning's options."""
    # meant for callers who forget sys.argv; here it was cut on purpose
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter is intended")
    LightningCLI(
        PretrainingModule,
        CellDataModule,
        args=["fit", *arguments],
        save_config_callback=None,  # it would write into the working directory where there is no logger
        parser_kwargs={"prog": "scprint"},
    )
    return 0
