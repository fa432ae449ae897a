"""Report what became of every file of a corpus: tables, and a page to read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd

from scdataloader._provenance import beside, write
from scdataloader.preprocess.corpus_folder import work_folder
from scdataloader.preprocess.corpus_quality import COLUMNS as QUALITY
from scdataloader.preprocess.corpus_quality import quality_table, suspicions
from scdataloader.preprocess.file_result import FileResult, read_record, steps_of_files
from scdataloader.preprocess.report import Report


@dataclass(frozen=True)
class CorpusReport:
    """Results of all files of a corpus, in the order they were given.

    Examples
    --------
    >>> CorpusReport([FileResult("a", "in/a.h5ad", "failed", reason="every count is zero")]).ok
    False
    """

    files: list[FileResult]

    @property
    def failed(self) -> list[FileResult]:
        """Files without an output, with the reason."""
        return [file for file in self.files if file.status == "failed"]

    @property
    def ok(self) -> bool:
        """Whether every file has its output."""
        return not self.failed

    def table(self) -> pd.DataFrame:
        """Return one row a file.

        Returns
        -------
        pandas.DataFrame
            ``name, status, suspect, cells_in, cells_out, genes_in, genes_out``, the columns of
            `scdataloader.preprocess.corpus_quality.quality_table`, and ``organism, reason, source, seconds``.
            ``suspect`` says what speaks against a file, ``reason`` why it failed; a number is missing where it is not
            known: a failed file has nothing that came out.
        """
        rows = []
        suspect, quality = suspicions(self.files), quality_table(self.files).to_dict("records")
        for file, doubts, measured in zip(self.files, suspect, quality, strict=True):
            report = file.report or Report(file.source)
            numbers = report.summary
            if file.status == "failed":
                numbers = {key: value for key, value in numbers.items() if key.endswith("_in")}
            row: dict[str, Any] = {"name": file.name, "status": file.status, "organism": report.facts.get("organism")}
            row["suspect"] = "; ".join(doubts)
            rows.append(
                row | numbers | measured | {"reason": file.reason, "source": file.source, "seconds": file.seconds}
            )
        counts = ["cells_in", "cells_out", "genes_in", "genes_out"]
        columns = ["name", "status", "suspect", *counts, *QUALITY, "organism", "reason", "source", "seconds"]
        types = dict.fromkeys(counts, "Int64") | dict.fromkeys(QUALITY, "Float64") | {"seconds": "float64"}
        return pd.DataFrame(rows, columns=columns).astype(types)

    def steps(self) -> pd.DataFrame:
        """Return one row a file and step: the columns of `Report.to_frame` and ``file``, its name."""
        empty = Report("").to_frame().assign(file="")
        tables = [file.report.to_frame().assign(file=file.name) for file in self.files if file.report is not None]
        tables = [table for table in tables if len(table)]
        return pd.concat(tables, ignore_index=True) if tables else empty

    def write(self, out: Path | str) -> None:
        """Write ``report.csv`` (`steps`), ``summary.csv`` (`table`) and ``report.html`` (`page`) into a folder.

        What made them is in the page, and beside each table: ``report.csv.json``, ``summary.csv.json``.

        Raises
        ------
        OSError
            When they cannot be written, or something else lies where the tables' records go; those there before stay.
        """
        from scdataloader.preprocess.corpus_page import page

        out = Path(out)
        with work_folder(out) as work:
            self.steps().to_csv(work / "report.csv", index=False)
            self.table().to_csv(work / "summary.csv", index=False)
            (work / "report.html").write_text(page(self.files), encoding="utf-8", newline="\n")
            records = [beside(out / name) for name in ("report.csv", "summary.csv")]
            for record in records:
                write(work / record.name, steps_of_files(self.files))
            for name in ("report.csv", "summary.csv", "report.html", *(record.name for record in records)):
                (work / name).replace(out / name)

    @classmethod
    def read(cls, out: Path | str) -> Self:
        """Return what the folder of a corpus tells of all runs into it, ordered by name.

        Raises
        ------
        FileNotFoundError
            When the folder does not exist, or holds no corpus.
        """
        out = Path(out)
        files = []
        for path in sorted(out.glob("*.json")):
            record = read_record(path)
            if record is None:
                continue
            result = cls._of_output(record, path.with_suffix(".h5ad"))
            files.append(result)
        if not files:
            raise FileNotFoundError(f"{out} holds no corpus: no file made by preprocess_files is in it")
        return cls(files)

    @staticmethod
    def _of_output(record: dict[str, Any], output: Path) -> FileResult:
        if record["status"] == "done" and not (output.is_file() and output.stat().st_size == record["output"]["size"]):
            record |= {"status": "failed", "reason": f"{output.name} is not there as it was written: run again"}
        return FileResult.from_dict(record)

    def __str__(self) -> str:
        n = {status: sum(file.status == status for file in self.files) for status in ("done", "skipped", "failed")}
        lines = [f"{len(self.files):,} files: {n['done']:,} done, {n['skipped']:,} done before, {n['failed']:,} failed"]
        lines += [f"  {file.name}: {file.reason}" for file in self.failed]
        lines += [
            f"  look at {file.name}: {'; '.join(doubts)}"
            for file, doubts in zip(self.files, suspicions(self.files), strict=True)
            if doubts
        ]
        return "\n".join(lines)
