"""Benchmarks for a machine with a GPU; they need torch and Triton only."""
