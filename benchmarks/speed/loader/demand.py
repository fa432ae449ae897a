"""How many cells a second a GPU can train on: an estimate from arithmetic, for the paper's three models."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

#: Genes of a cell in pre-training (Kalfon et al. 2025, Methods), and about as many cell tokens as there are classes.
TOKENS = 2200 + 8
#: Passes through the network for each cell and step: denoising, and reconstruction from the embedding (ibid.).
PASSES = 2
#: Assumed share of the peak that training reaches.
UTILISATION = 0.4
#: Dense 16-bit tensor-core peak in operations a second, from NVIDIA's data sheets. The paper trained on A40.
GPUS = {"A40": 149.7e12, "H100": 989e12}


@dataclass(frozen=True)
class Model:
    """Size of a network; parameters are those of the transformer blocks, which the arithmetic goes through."""

    width: int
    layers: int
    parameters: float


#: The sizes of the published checkpoints; with embeddings and heads they have 7, 19 and 78 million parameters.
MODELS = {"small": Model(128, 4, 0.79e6), "medium": Model(256, 8, 6.3e6), "large": Model(512, 16, 50.4e6)}


def operations(model: Model) -> float:
    """Return floating-point operations to train on one cell once.

    6 operations a parameter and token, 2 forward and 4 backward (Kaplan et al. 2020, arXiv:2001.08361, section 2.1),
    and three times the 4·layers·width·tokens² of attention's two products.
    """
    attention = 4 * model.layers * model.width * TOKENS**2
    return PASSES * (6 * model.parameters * TOKENS + 3 * attention)


def demand() -> pd.DataFrame:
    """Return cells/s that one GPU and a node of eight take in training, for each model."""
    return pd.DataFrame(
        [
            {
                "model": name,
                "GPU": gpu,
                "Tflop a cell": operations(model) / 1e12,
                "cells/s, 1 GPU": UTILISATION * peak / operations(model),
                "cells/s, 8 GPUs": 8 * UTILISATION * peak / operations(model),
            }
            for gpu, peak in GPUS.items()
            for name, model in MODELS.items()
        ]
    )
