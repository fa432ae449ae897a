"""Draw the pictures of ``--plot``: cells on a map, confidence beside accuracy, scores beside rivals, hubs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grnndata import GRNAnnData, atomic_path, pl
from scprint_model._provenance import beside
from scprint_model.demo.figures import draw_cells, tsne_of
from scprint_model.finetuning.scores import AFTER
from scprint_model.tasks.calibration import Calibration

#: Endings of pictures, cells of a map at most, and networks whose hubs are drawn.
_ENDINGS, MAP_CELLS, _NETWORKS = (".png", ".svg", ".pdf"), 5000, 6


def check_picture(path: Path | None) -> None:
    """Raise, before any work, where a picture could not be drawn.

    Raises
    ------
    ValueError
        When its name has no ending of a picture.
    ImportError
        When matplotlib is not installed.
    FileExistsError
        When something else lies where it would be told what made the picture.
    """
    if path is None:
        return
    beside(path)
    if path.suffix.lower() not in _ENDINGS:
        raise ValueError(f"--plot draws {', '.join(_ENDINGS)}, and {path} ends otherwise: name it so")
    if find_spec("matplotlib") is None:
        raise ImportError("--plot needs matplotlib: pip install 'scprint-model[demo]'")


def cells_of_map(n_cells: int) -> np.ndarray:
    """Return the positions of the cells that a map shows: all, or evenly spaced ones."""
    return np.arange(0, n_cells, max(1, -(-n_cells // MAP_CELLS)))


def draw_map(embedding: np.ndarray, panels: Mapping[str, pd.Series], path: Path) -> str:
    """Draw cells on a map, once for each panel's labels.

    Parameters
    ----------
    embedding
        Shape (n_cells, d), 2 cells or more.
    panels
        Title to the label of each cell.
    path
        Picture to write.

    Returns
    -------
    str
        Kind of the map: t-SNE, or the first two principal components where there are fewer than 4 cells.
    """
    kind = "PC" if len(embedding) < 4 else "t-SNE"
    with atomic_path(path) as temporary:
        draw_cells(_coordinates(embedding, kind), dict(panels), temporary, axes=kind)
    return "principal components" if kind == "PC" else kind


def draw_reliability(scores: Mapping[str, Calibration], path: Path) -> None:
    """Draw how often the predictions of each confidence are right, a line a class, larger marks for more cells."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 5.2), layout="constrained")
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1], color="#B5B5B5", linestyle="--", label="confidence is accuracy")
    for name, one in scores.items():
        bins = one.reliability
        (line,) = ax.plot(bins["confidence"], bins["accuracy"], label=f"{name} ({one.n_cells:,} cells)")
        sizes = 20 + 180 * bins["n_cells"] / max(1, bins["n_cells"].sum())
        ax.scatter(bins["confidence"], bins["accuracy"], s=sizes, color=line.get_color())
    ax.set(xlim=(0, 1), ylim=(-0.02, 1.02), xlabel="mean confidence", ylabel="share that is right")
    ax.legend(frameon=False, loc="upper left")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)


def draw_scores(scores: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw the accuracy of each method as a point with its interval, a panel a class.

    Parameters
    ----------
    scores
        Class to its scores; see `scprint_model.finetuning.scores.compare`. Classes without a scored cell are left out.
    path
        Picture to write.
    """
    from matplotlib.figure import Figure

    shown = {name: one for name, one in scores.items() if one["n_cells"]}
    figure = Figure(figsize=(7.5, 0.6 + 2.4 * max(1, len(shown))), layout="constrained")
    for ax, (name, one) in zip(
        figure.subplots(max(1, len(shown)), 1, squeeze=False)[:, 0], shown.items(), strict=False
    ):
        rows = one["held_out"][::-1]
        for y, row in enumerate(rows):
            colour = "#C44E52" if row["method"] == AFTER else "#4C72B0"
            ax.plot([row["accuracy_low"], row["accuracy_high"]], [y, y], color=colour)
            ax.scatter([row["accuracy"]], [y], color=colour, zorder=3)
        ax.set_yticks(range(len(rows)), [row["method"] for row in rows])
        ax.set(xlim=(0, 1), xlabel=f"accuracy on {one['n_cells']:,} held-out cells", title=name)
        ax.text(0, -0.32, one["interval"]["note"], transform=ax.transAxes, fontsize=8, va="top")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)


def draw_hubs(network: GRNAnnData, path: Path) -> None:
    """Draw the strongest hubs as bars; of several networks, those of the first ones, beside each other."""
    from matplotlib.figure import Figure

    networks = dict(network.networks) if len(network.networks) else {"": network}
    shown = list(networks)[:_NETWORKS]
    figure = Figure(figsize=(4.8 * len(shown), 6), layout="constrained")
    for ax, name in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        pl.hubs(networks[name], ax=ax)
        ax.set_title(name)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)


def _coordinates(embedding: np.ndarray, kind: str) -> np.ndarray:
    if kind == "t-SNE":
        return tsne_of(embedding)
    left, sizes, _ = np.linalg.svd(embedding - embedding.mean(axis=0), full_matrices=False)
    return np.asarray(left[:, :2] * sizes[:2])
