"""Embeddings that mix technical batches."""
