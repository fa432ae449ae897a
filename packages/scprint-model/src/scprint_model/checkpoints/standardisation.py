"""Mean and spread of a model's cell tokens over cells like those of its training, stored beside its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

#: File of a model folder that holds them; folders of older versions lack it.
EMBEDDING = "embedding.npz"


@dataclass(frozen=True, eq=False)
class Standardisation:
    """Mean and standard deviation of each number of each cell token.

    Attributes
    ----------
    mean, scale
        float32, shape (T, d), in the order of the model's ``token_names``. A number that does not vary has the scale 1.
    n_cells
        Number of cells that they were measured on.
    """

    mean: np.ndarray
    scale: np.ndarray
    n_cells: int

    @classmethod
    def of(cls, embeddings: np.ndarray) -> Standardisation:
        """Measure them on embeddings of cells, shape (n_cells, T, d)."""
        values = embeddings.astype(np.float64)
        scale = values.std(axis=0)
        scale[scale < 1e-6 * max(1e-30, float(np.abs(values).max()))] = 1
        return cls(values.mean(axis=0).astype(np.float32), scale.astype(np.float32), len(values))

    def __call__(self, embeddings: np.ndarray) -> np.ndarray:
        """Return embeddings, shape (n_cells, T, d), of mean 0 and standard deviation 1 over cells like those."""
        return np.asarray((embeddings - self.mean) / self.scale)

    def save(self, path: Path) -> None:
        """Write them as an npz file."""
        with path.open("wb") as file:
            np.savez(file, mean=self.mean, scale=self.scale, n_cells=np.int64(self.n_cells))

    @classmethod
    def load(cls, path: Path, shape: tuple[int, int]) -> Standardisation:
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            When the file is something else, or of a model with other tokens or another width than `shape`, (T, d).
        """
        try:
            with np.load(path) as stored:
                found = cls(stored["mean"], stored["scale"], int(stored["n_cells"]))
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        if not found.mean.shape == found.scale.shape == shape:
            raise ValueError(f"{path} is of tokens of the shape {found.mean.shape}, but the model's are {shape}")
        return found
