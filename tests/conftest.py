"""What every test folder may use."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says something of the machine's load only.
settings.register_profile("no deadlines", deadline=None)
settings.load_profile("no deadlines")

# What a user has fetched must not change what a test sees; before anything is imported, for child processes too.
os.environ["SCDATALOADER_CACHE"] = tempfile.mkdtemp(prefix="scdataloader-tests-")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the reference data and fixtures, beside the checkout; the test is skipped where it is absent."""
    candidates = [os.environ.get("SCPRINT_SHARED", ""), str(Path(__file__).parents[2] / "shared")]
    for candidate in candidates:
        if candidate and (Path(candidate) / "design").is_dir():
            return Path(candidate)
    pytest.skip("the reference folder ../shared is not on this machine (set SCPRINT_SHARED to point to it)")
