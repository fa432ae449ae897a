"""What the tests of the benchmarks share."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from benchmarks.peer import NOT_RUN


@pytest.fixture(autouse=True)
def nothing_told() -> Generator[None]:
    """What did not run is kept for a process, as each suite has its own; here tests share one, in any order."""
    before = dict(NOT_RUN)
    NOT_RUN.clear()
    yield
    NOT_RUN.clear()
    NOT_RUN.update(before)
