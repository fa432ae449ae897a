"""Benchmarks: methods × data sets × groups × truths → one table, which reports are made from."""
