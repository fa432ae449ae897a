"""Score any gene network against real ground truths.

>>> import bengrn
>>> truth = bengrn.load_truth("omnipath")
>>> scores = bengrn.score(network, truth)  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bengrn.comparison import Comparison, compare
    from bengrn.enrichment import enrich
    from bengrn.files import read_network
    from bengrn.registry import get_method, list_methods
    from bengrn.scorer import score_against_omnipath
    from bengrn.scoring import Scores, score
    from bengrn.table import score_table
    from bengrn.truths import describe_truth, fetch_truths, list_truths, load_truth
    from bengrn.truths.ground_truth import GroundTruth

if TYPE_CHECKING:
    __version__: str

__all__ = [
    "Comparison",
    "GroundTruth",
    "Scores",
    "__version__",
    "compare",
    "describe_truth",
    "enrich",
    "fetch_truths",
    "get_method",
    "list_methods",
    "list_truths",
    "load_truth",
    "read_network",
    "score",
    "score_against_omnipath",
    "score_table",
]

_HOME = {
    "Comparison": "bengrn.comparison",
    "compare": "bengrn.comparison",
    "describe_truth": "bengrn.truths",
    "enrich": "bengrn.enrichment",
    "fetch_truths": "bengrn.truths",
    "read_network": "bengrn.files",
    "score_table": "bengrn.table",
    "GroundTruth": "bengrn.truths.ground_truth",
    "Scores": "bengrn.scoring",
    "get_method": "bengrn.registry",
    "list_methods": "bengrn.registry",
    "list_truths": "bengrn.truths",
    "load_truth": "bengrn.truths",
    "score": "bengrn.scoring",
    "score_against_omnipath": "bengrn.scorer",
}


def __getattr__(name: str) -> object:
    # Loaded on first use, so that `import bengrn` costs nothing to those who only want an entry point.
    if name == "__version__":
        from importlib.metadata import version

        return version("bengrn")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'bengrn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
