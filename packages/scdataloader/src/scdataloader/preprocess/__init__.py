"""From a raw AnnData to clean counts over known genes, with a report of what each step removed."""

from scdataloader.preprocess.pipeline import Preprocessor
from scdataloader.preprocess.report import Report

__all__ = ["Preprocessor", "Report"]
