"""``scprint fit``: Lightning's own options and configuration files, under the rules of the other commands."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from scdataloader import CellDataModule
from scprint_model._command_line import check_output
from scprint_model._command_options import Parser
from scprint_model.training.module import PretrainingModule

ABOUT = (
    "--config takes files, and small, medium, large, xlarge, tiny or bundled for those that come with the package; "
    "what is said later counts."
)


class FitParser(Parser, LightningArgumentParser):
    """Lightning's parser, which takes options and shows help as the other commands do."""


class FitCLI(LightningCLI):
    """Lightning's command line with one subcommand."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Return what the trainer is used for."""
        return {"fit": LightningCLI.subcommands()["fit"]}

    @property
    def fit_parser(self) -> FitParser:
        """Return the parser of the options."""
        return cast("FitParser", self._subcommand_parsers["fit"])

    def setup_parser(self, *args: Any, **kwargs: Any) -> None:
        """Make the parsers, whose help is in the words of a user."""
        super().setup_parser(*args, **kwargs)
        self.fit_parser.prog = "scprint fit"
        for group in self.fit_parser._action_groups:
            if "<class" in str(group.title):
                group.title = " or ".join(re.findall(r"(\w+)'>", str(group.title)))

    def parse_arguments(self, parser: Any, args: Any) -> None:
        """Parse words; what cannot be parsed is told in one line."""
        self.config = parser.parsed(["fit", *self.fit_parser.spelled(args)])

    def before_instantiate_classes(self) -> None:
        """Raise, before any work, where the GPU or the folder that is asked for is not there."""
        trainer = self.config.fit.trainer
        if trainer.accelerator in ("gpu", "cuda") and not (torch.cuda.is_available() or torch.mps.is_available()):
            raise ValueError(
                f"there is no GPU that can be used: PyTorch {torch.__version__} finds none; "
                "--trainer.accelerator cpu does without"
            )
        check_output(trainer.default_root_dir or Path.cwd(), is_folder=True)


def fit(words: Sequence[str], **head: Any) -> int:
    """Train with Lightning's options.

    ``--config`` takes files, and the names of the configurations that come with the package (``small``, ``medium``, …).
    """
    # meant for callers who forget sys.argv; here it was cut on purpose
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter is intended")
    try:
        FitCLI(
            PretrainingModule,
            CellDataModule,
            args=packaged_configs(list(words)),
            save_config_callback=None,  # it would write into the working directory where there is no logger
            trainer_defaults={
                "plugins": {"class_path": "scprint_model.training.saving.AtomicCheckpointIO"},
                "use_distributed_sampler": False,  # the data module gives each process its share
            },
            parser_class=FitParser,
            parser_kwargs={"prog": "scprint", "fit": {"description": ABOUT, **head}},
        )
    except MisconfigurationException as error:
        raise ValueError(str(error)) from error
    return 0


def packaged_configs(words: list[str]) -> list[str]:
    """Replace the names of packaged configurations by their paths: ``--config small``, also ``configs/small.yaml``.

    A file of that name comes first.
    """
    folder = files("scprint_model") / "configs"
    known = {Path(entry.name).stem: str(entry) for entry in folder.iterdir() if entry.name.endswith(".yaml")}
    told = []
    for i, word in enumerate(words):
        option, equals, value = word.partition("=")
        is_value = i > 0 and words[i - 1] in ("--config", "-c")
        if option in ("--config", "-c") and equals:
            told.append(f"{option}={_config(value, known)}")
        else:
            told.append(_config(word, known) if is_value else word)
    return told


def _config(name: str, known: dict[str, str]) -> str:
    path = Path(name)
    if path.exists() or str(path.parent) not in (".", "configs"):
        return name
    if path.stem in known and path.suffix in ("", ".yaml"):
        return known[path.stem]
    if not path.suffix:
        raise ValueError(f"there is no file {name!r}, and no configuration of that name: there are {sorted(known)}")
    return name
