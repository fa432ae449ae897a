"""Score any gene network against real ground truths.

>>> import bengrn
>>> truth = bengrn.load_truth("omnipath")
>>> scores = bengrn.score(network, truth)  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bengrn.registry import get_method, list_methods
    from bengrn.scorer import score_against_omnipath
    from bengrn.scoring import Scores, score
    from bengrn.truths import list_truths, load_truth
    from bengrn.truths.ground_truth import GroundTruth

__version__ = "0.1.0"

__all__ = [
    "GroundTruth",
    "Scores",
    "__version__",
    "get_method",
    "list_methods",
    "list_truths",
    "load_truth",
    "score",
    "score_against_omnipath",
]

_HOME = {
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
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'bengrn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
