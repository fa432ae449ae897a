"""``scprint fit``."""

from __future__ import annotations

import sys
import warnings
from importlib.resources import files
from pathlib import Path

from lightning.pytorch.cli import LightningCLI

from scdataloader import CellDataModule
from scprint_model.training.module import PretrainingModule


def run(arguments: list[str]) -> int:
    """Train with Lightning's options; returns the exit status, 1 where the training broke off.

    ``--config`` takes files, and the names of the configurations that come with the package (``small``, ``medium``, …).
    """
    # meant for callers who forget sys.argv; here it was cut on purpose
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter is intended")
    try:
        LightningCLI(
            PretrainingModule,
            CellDataModule,
            args=["fit", *packaged_configs(arguments)],
            save_config_callback=None,  # it would write into the working directory where there is no logger
            trainer_defaults={
                "plugins": {"class_path": "scprint_model.training.saving.AtomicCheckpointIO"},
                "use_distributed_sampler": False,  # the data module gives each process its share
            },
            parser_kwargs={"prog": "scprint"},
        )
    except (FloatingPointError, MemoryError) as error:
        sys.stderr.write(f"scprint: {error}\n")
        return 1
    return 0


def packaged_configs(arguments: list[str]) -> list[str]:
    """Replace the names of packaged configurations by their paths: ``--config small``, also ``configs/small.yaml``.

    A file of that name comes first.
    """
    folder = files("scprint_model") / "configs"
    known = {Path(entry.name).stem: str(entry) for entry in folder.iterdir() if entry.name.endswith(".yaml")}
    out = []
    for i, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        is_value = i > 0 and arguments[i - 1] in ("--config", "-c")
        if option in ("--config", "-c") and equals:
            out.append(f"{option}={_config(value, known)}")
        else:
            out.append(_config(argument, known) if is_value else argument)
    return out


def _config(name: str, known: dict[str, str]) -> str:
    path = Path(name)
    if path.exists() or str(path.parent) not in (".", "configs"):
        return name
    if path.stem in known and path.suffix in ("", ".yaml"):
        return known[path.stem]
    if not path.suffix:
        raise ValueError(f"there is no file {name!r}, and no configuration of that name: there are {sorted(known)}")
    return name
