"""Measures of how far a score can be trusted: intervals, p-values and fair comparisons, with regulators as the unit.

The edges of one regulator rise and fall together, and a truth often has only a few regulators. Pairs are
therefore never treated as independent here: regulators are drawn again, or the truth is rewired.
"""

from bengrn.uncertainty.bootstrap import MIN_REGULATORS, Bootstrap, bootstrap
from bengrn.uncertainty.named_metrics import METRICS
from bengrn.uncertainty.paired import (
    PairedComparison,
    RegulatorComparison,
    compare_paired,
    compare_regulators,
    holm,
)
from bengrn.uncertainty.permutation import PermutationTest, degree_preserving_p
from bengrn.uncertainty.rewiring import rewire

__all__ = [
    "METRICS",
    "MIN_REGULATORS",
    "Bootstrap",
    "PairedComparison",
    "PermutationTest",
    "RegulatorComparison",
    "bootstrap",
    "compare_paired",
    "compare_regulators",
    "degree_preserving_p",
    "holm",
    "rewire",
]
