"""The examples of the package's page and of its docstrings give what they say."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "packages/bengrn/README.md"


def test_readme_examples():
    result = doctest.testfile(str(README), module_relative=False)
    assert result.attempted >= 8
    assert result.failed == 0


@pytest.mark.parametrize("name", ["bengrn.metrics.ranking", "bengrn.scoring", "bengrn.truths.ground_truth"])
def test_docstring_examples(name):
    result = doctest.testmod(import_module(name))
    assert result.attempted >= 1
    assert result.failed == 0
