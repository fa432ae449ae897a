"""Plots of benchmarks: ``bengrn.pl``. They need matplotlib, which is imported when a plot is drawn."""

from bengrn.pl.curves import precision_recall
from bengrn.pl.heat_maps import agreement, regulators
from bengrn.pl.intervals import scores, time_against_score

__all__ = ["agreement", "precision_recall", "regulators", "scores", "time_against_score"]
