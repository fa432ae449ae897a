"""How the genes of a cell's context are chosen: one function each."""

from scdataloader.collate.expressed import most_expressed, random_expressed

__all__ = ["most_expressed", "random_expressed"]
