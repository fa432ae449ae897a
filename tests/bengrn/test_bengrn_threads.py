"""How many threads work gets by default."""

from __future__ import annotations

import pytest

from bengrn import _threads
from bengrn._threads import number_of_threads


@pytest.mark.parametrize(
    ("told", "expected"), [(None, 8), ("", 8), ("1", 1), ("3,2", 3), (" 4 ", 4), ("16", 8), ("0", 8), ("all", 8)]
)
def test_threads_are_those_of_the_processors_or_fewer(monkeypatch, told, expected):
    monkeypatch.setattr(_threads, "n_processors", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if told is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert number_of_threads(None) == expected
    assert number_of_threads(12) == 12  # who asks for so many gets them
