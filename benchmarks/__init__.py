"""Measurements beside other tools: `make bench` runs them and writes one page with its tables."""
