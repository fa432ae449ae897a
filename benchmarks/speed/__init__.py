"""Speed: side by side, medians."""
