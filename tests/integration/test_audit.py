"""The check of the dependencies' licences (``make audit``)."""

import importlib.util
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("audit", Path(__file__).parents[2] / ".ci" / "audit.py")
audit = importlib.util.module_from_spec(spec)
spec.loader.exec_module(audit)


@pytest.mark.parametrize(
    ("name", "licence", "refused"),
    [
        ("one", "MIT", False),
        ("one", "Apache Software License; BSD License", False),
        ("one", "Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND (BSD-2-Clause)", False),
        ("one", "BSD 3-Clause License\n\nCopyright (c) 2026, somebody; AGPL is not meant", False),
        ("one", "UNKNOWN", True),
        ("one", "AGPL-3.0", True),
        ("one", "MIT AND GPL-3.0-only", True),
        ("igraph", "GNU General Public License (GPL)", False),
        ("nvidia-cublas", "LicenseRef-NVIDIA-Proprietary", False),
        ("not-nvidia-cublas", "LicenseRef-NVIDIA-Proprietary", True),
    ],
)
def test_licences(name, licence, refused):
    assert audit.refused(name, licence) == refused
