"""Keep what became of one file of a corpus, and its record beside the output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from scdataloader._provenance import Step, step
from scdataloader.preprocess.report import Report, plain

#: Marks the JSON files that lie beside the outputs.
FORMAT = "scdataloader corpus 1"


@dataclass(frozen=True)
class FileResult:
    """Result of one file of a corpus.

    Attributes
    ----------
    name
        Of its output, without ``.h5ad``.
    source
        Path or address of the input.
    status
        ``"done"``; ``"skipped"``: an earlier run did it; ``"failed"``.
    report
        Its steps; of a failed file those up to the failure, None if there were none.
    reason
        Why it failed.
    error
        Name of the exception, where there was one.
    settings
        Of the preprocessor.
    version
        Of the package that made the output.
    seconds
        Taken, not compared.
    """

    name: str
    source: str
    status: Literal["done", "skipped", "failed"]
    report: Report | None = None
    reason: str = ""
    error: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    version: str = ""
    seconds: float | None = field(default=None, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values that JSON can hold."""
        report = None if self.report is None else self.report.to_dict()
        return {"format": FORMAT} | plain(vars(self) | {"report": report})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the result that `to_dict` gave; further entries are passed over."""
        known = {name: values[name] for name in cls.__dataclass_fields__}
        report = None if values["report"] is None else Report.from_dict(values["report"])
        return cls(**(known | {"report": report}))


def steps_of_files(files: Sequence[FileResult]) -> list[Step]:
    """Return what made files: a step for each settings and version, with all inputs that it was used on."""
    alike: dict[str, list[FileResult]] = {}
    for file in files:
        alike.setdefault(json.dumps([file.settings, file.version], sort_keys=True), []).append(file)
    steps = []
    for some in alike.values():
        settings = dict(some[0].settings)
        made = step(f"scdataloader.{settings.pop('preprocessor', 'Preprocessor')}", settings)
        inputs = [{"file": Path(file.source).name} for file in some]
        steps.append(made | {"version": some[0].version or made["version"], "inputs": inputs})
    return steps


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the record beside an output; None if there is none, or the file is another's."""
    try:
        record = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("format") == FORMAT else None
