"""From public files to clean counts over known genes, with a report of what each step removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scdataloader._lazy import lazy_names

if TYPE_CHECKING:
    from scdataloader.preprocess.corpus import preprocess_files
    from scdataloader.preprocess.corpus_report import CorpusReport
    from scdataloader.preprocess.pipeline import Preprocessor
    from scdataloader.preprocess.report import Report
    from scdataloader.preprocess.steps import RefusedError

__all__ = ["CorpusReport", "Preprocessor", "RefusedError", "Report", "preprocess_files"]

_HOME = {
    "CorpusReport": "corpus_report",
    "Preprocessor": "pipeline",
    "RefusedError": "steps",
    "Report": "report",
    "preprocess_files": "corpus",
}

# on first use: processes of `preprocess.workers` need none of them
__getattr__, __dir__ = lazy_names(__name__, _HOME)
