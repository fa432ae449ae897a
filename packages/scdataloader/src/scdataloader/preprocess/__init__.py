"""From public files to clean counts over known genes, with a report of what each step removed."""

from scdataloader.preprocess.corpus import preprocess_files
from scdataloader.preprocess.corpus_report import CorpusReport
from scdataloader.preprocess.pipeline import Preprocessor
from scdataloader.preprocess.report import Report
from scdataloader.preprocess.steps import RefusedError

__all__ = ["CorpusReport", "Preprocessor", "RefusedError", "Report", "preprocess_files"]
