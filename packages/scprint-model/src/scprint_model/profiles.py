"""The whole profiles of cells, for the networks that are told of them: from batches, and beside a panel's centre."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from scdataloader import CellBatch
from scdataloader.collate import ScPrintFormat
from scprint_model.layers.profile_encoder import Profile
from scprint_model.model import ScPrint


def format_of(model: ScPrint) -> ScPrintFormat:
    """Return the format of batches for a model: with profiles, where it is told of them."""
    return ScPrintFormat(profile=bool(model.config.profile_tokens))


@torch.no_grad()
def panel_centre(model: ScPrint, genes: np.ndarray) -> Tensor | None:
    """Return the mean profile over the genes that a data set measures, (F,).

    Parameters
    ----------
    model
        Network; None comes back for one that is not told of profiles.
    genes
        Vocabulary indices of the genes.
    """
    if not model.config.profile_tokens:
        return None
    device = model.profile_encoder.mean.device
    measured = torch.zeros(1, model.config.n_genes, dtype=torch.bool, device=device)
    measured[0, torch.from_numpy(np.asarray(genes, dtype=np.int64)).to(device)] = True
    return model.profile_encoder.centre_of(measured, model.gene_encoder)[0]


def profile_of(batch: CellBatch, centre: Tensor | None, device: torch.device | str = "cpu") -> Profile | None:
    """Return the profiles of a batch of one data set with its `panel_centre`; None where there is none."""
    if centre is None or "profile_genes" not in batch:
        return None
    profile = Profile(
        genes=batch["profile_genes"].to(device),
        counts=batch["profile_counts"].to(device),
        starts=batch["profile_starts"].to(device),
    )
    return profile.centred(centre)
