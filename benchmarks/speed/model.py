"""The network at the reference size (width 128, 4 layers, 4 heads) beside the published code, on the same weights."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.speed.apart import CHECKPOINT, FIXTURES, compare, side_by_side

CELLS, GENES = 16, 1000


def model_times(rounds: int = 3) -> pd.DataFrame:
    """Return medians over `rounds` processes of either, each with one call before that does not count."""
    lines = []
    with tempfile.TemporaryDirectory() as folder, np.load(FIXTURES / "timing_inputs.npz") as given:
        inputs = Path(folder) / "cells.npz"
        counts, totals = given["expression"][:CELLS, :GENES], given["depth"][:CELLS]
        np.savez(inputs, genes=given["gene_pos"][0, :GENES], counts=counts, totals=totals)
        for name, work, repeats in (
            ("forward", "forward", 3),
            ("encode (embeddings and labels only); scprint: forward", "encode", 3),
            ("training step: forward, backward, AdamW", "step", 2),
        ):
            peer = None if work == "encode" else inputs
            ours, theirs = side_by_side(
                work, CHECKPOINT, inputs, peer_inputs=peer, rounds=rounds, repeats=repeats, warm_up=1
            )
            if work == "forward":
                whole = theirs
            elif work == "encode":
                theirs = whole
                theirs.result = {}
            else:  # dropout is drawn: the results to compare are those without
                mine, others = side_by_side("gradients", CHECKPOINT, inputs, peer_inputs=inputs, rounds=1)
                ours.result, theirs.result = mine.result, others.result
            lines.append(compare(f"{name}, {CELLS} cells x {GENES:,} genes", ours, theirs))
    return pd.DataFrame(lines).replace(np.nan, "")
