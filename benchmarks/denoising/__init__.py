"""Counts that were taken away, and how well each method finds them."""
