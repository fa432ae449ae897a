"""Zero-shot tasks on an AnnData of raw counts: embed, annotate, denoise."""

from scprint_model.tasks.annotate import annotate
from scprint_model.tasks.denoise import denoise
from scprint_model.tasks.embed import embed
from scprint_model.tasks.encode import EncodedCells, encode

__all__ = ["EncodedCells", "annotate", "denoise", "embed", "encode"]
