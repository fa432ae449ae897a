"""Find the matrix of a data set that holds its raw counts, and take them of the cells and genes that are wanted."""

from scdataloader.expression.counts_choice import CountsChoice
from scdataloader.expression.read import read_expression
from scdataloader.expression.take import TakenCounts, take_counts, way_out, with_counts

__all__ = ["CountsChoice", "TakenCounts", "read_expression", "take_counts", "way_out", "with_counts"]
