"""What the tests of the benchmarks share."""

from __future__ import annotations

import os
from collections.abc import Generator
from unittest.mock import patch

import pytest
from benchmarks.peer import NOT_RUN


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Generator[None]:
    """A suite tells what did not run, and sets variables, in a process of its own; tests share one, in any order."""
    with patch.dict(os.environ), patch.dict(NOT_RUN, clear=True):
        yield
