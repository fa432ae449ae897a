"""Train the bundled model: make its corpus and features where they are missing, then train, or go on where it ended.

    python packages/scprint-model/scripts/train_bundled.py ../shared/data

Run from the folder in which `runs/bundled` is to be. Words after the folder go to ``scprint fit --config bundled``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

RUN = Path("runs/bundled")
CHECKPOINT = RUN / "checkpoints/last.ckpt"


def commands(data: Path, words: list[str]) -> Iterator[list[str]]:
    """Yield the commands that are still to be run, the next one when the one before it has ended."""
    script = Path(__file__).with_name("build_corpus.py")
    if not (RUN / "features.parquet").exists():  # what it writes last
        yield [sys.executable, str(script), str(data), str(RUN)]
    resumed = ["--ckpt_path", str(CHECKPOINT)] if CHECKPOINT.exists() else []
    yield [sys.executable, "-m", "scprint_model.cli", "fit", "--config", "bundled", *resumed, *words]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with expression/, protein/ and genes/")
    given, words = parser.parse_known_args()
    for command in commands(given.data, words):
        subprocess.run(command, check=True)  # noqa: S603


if __name__ == "__main__":
    main()
