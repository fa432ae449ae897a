"""Zero-shot tasks on an AnnData of raw counts."""

from scprint_model.tasks.annotate import annotate
from scprint_model.tasks.calibration import Calibration, calibration
from scprint_model.tasks.denoise import denoise
from scprint_model.tasks.embed import embed
from scprint_model.tasks.encode import EncodedCells, encode
from scprint_model.tasks.gene_vectors import gene_embeddings
from scprint_model.tasks.generate import generate, mix
from scprint_model.tasks.impute import impute
from scprint_model.tasks.invariance import invariance
from scprint_model.tasks.perturb import Perturbation, perturb
from scprint_model.tasks.standardise import standardise

__all__ = [
    "Calibration",
    "EncodedCells",
    "Perturbation",
    "annotate",
    "calibration",
    "denoise",
    "embed",
    "encode",
    "gene_embeddings",
    "generate",
    "impute",
    "invariance",
    "mix",
    "perturb",
    "standardise",
]
