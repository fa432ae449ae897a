"""Score any gene network against real ground truths.

>>> import bengrn
>>> truth = bengrn.load_truth("omnipath-demo")
>>> scores = bengrn.score(network, truth)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bengrn._lazy import lazy_names

if TYPE_CHECKING:
    from bengrn import pl, simulate
    from bengrn.benchmarking.report.leaderboard import report
    from bengrn.benchmarking.report.reading import Results, read_results
    from bengrn.benchmarking.runs import benchmark
    from bengrn.comparison import Comparison, compare
    from bengrn.embedding import embed
    from bengrn.enrichment import enrich
    from bengrn.inference import infer
    from bengrn.prediction import Prediction, hold_out, score_prediction
    from bengrn.registry import describe_method, get_method, list_methods, method_table, parse_settings
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
    "Prediction",
    "Results",
    "Scores",
    "__version__",
    "benchmark",
    "compare",
    "describe_method",
    "describe_truth",
    "embed",
    "enrich",
    "fetch_truths",
    "get_method",
    "hold_out",
    "infer",
    "list_methods",
    "list_truths",
    "load_truth",
    "method_table",
    "parse_settings",
    "pl",
    "read_results",
    "report",
    "score",
    "score_against_omnipath",
    "score_prediction",
    "score_table",
    "simulate",
]

_HOME = {
    "Comparison": "comparison",
    "benchmark": "benchmarking.runs",
    "compare": "comparison",
    "describe_truth": "truths",
    "embed": "embedding",
    "enrich": "enrichment",
    "fetch_truths": "truths",
    "score_table": "table",
    "GroundTruth": "truths.ground_truth",
    "Results": "benchmarking.report.reading",
    "pl": "pl",
    "read_results": "benchmarking.report.reading",
    "report": "benchmarking.report.leaderboard",
    "Scores": "scoring",
    "get_method": "registry",
    "infer": "inference",
    "Prediction": "prediction",
    "hold_out": "prediction",
    "score_prediction": "prediction",
    "list_methods": "registry",
    "describe_method": "registry",
    "method_table": "registry",
    "parse_settings": "registry",
    "list_truths": "truths",
    "load_truth": "truths",
    "score": "scoring",
    "score_against_omnipath": "scorer",
    "simulate": "simulate",
}

# loaded on first use, so that `import bengrn` costs nothing to those who only want an entry point
__getattr__, __dir__ = lazy_names(__name__, _HOME)
