"""The demo's two pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from grnndata import GRNAnnData, pl, tl
from scdataloader.labels import UNKNOWN

#: Paul Tol's "muted" and "bright" colours: told apart with any colour vision as far as twelve can be.
_COLOURS = (
    "#332288", "#88CCEE", "#44AA99", "#117733", "#DDCC77", "#CC6677", "#882255", "#AA4499",
    "#4477AA", "#EE6677", "#228833", "#CCBB44",
)  # fmt: skip
_REST = "#C8C8C8"
#: Number of neighbours that a cell of a t-SNE looks at, in a manner of speaking.
PERPLEXITY = 30


def tsne_of(embedding: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Return the places of cells in a t-SNE, shape (n_cells, 2); `embedding` has shape (n_cells, d), 4 cells or more.

    It begins at the first two principal components, which keeps the large picture and leaves nothing to chance. Cells
    in another order have the same places.

    Notes
    -----
    van der Maaten 2014, "Accelerating t-SNE using tree-based algorithms"; Kobak and Berens 2019, "The art of using
    t-SNE for single-cell transcriptomics".
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    order = content_order(embedding)
    perplexity = min(PERPLEXITY, (len(embedding) - 1) / 3)
    made = np.empty((len(embedding), 2), dtype=np.float32)
    # on a thousand cells, threads wait for each other longer than they work
    with threadpool_limits(1):
        made[order] = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(embedding[order])
    return made


def content_order(embedding: np.ndarray) -> np.ndarray:
    """Return the rows of an embedding sorted by what they hold: an order that does not depend on the file's."""
    return np.lexsort(embedding.T[::-1])


def draw_cells(coordinates: np.ndarray, panels: dict[str, pd.Series], path: Path, *, axes: str = "t-SNE") -> None:
    """Write a picture of the cells for each panel of labels, with the same colours in all; unknown and rare are grey.

    Parameters
    ----------
    coordinates
        Shape (n_cells, 2).
    panels
        Title to the label of each cell.
    path
        Picture to write.
    axes
        Name of the two axes, which numbers follow.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4 * len(panels), 6.6), layout="constrained")
    size = float(np.clip(6000 / len(coordinates), 5, 40))
    colours: dict[str, str] = {}
    for ax, (title, labels) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        values = labels.astype(str).to_numpy()
        counts = pd.Series(values).value_counts()
        n_named = len(counts) if len(counts) <= len(_COLOURS) else len(_COLOURS) - 1
        named = counts.index[:n_named]
        # a label has the colour of the panels before; others take what is left
        free = [colour for colour in _COLOURS if colour not in {colours.get(name) for name in named}]
        for name in named:
            colour = _REST if name in UNKNOWN else colours.get(name) or colours.setdefault(name, free.pop(0))
            at = values == name
            label = f"{name} ({at.sum():,})"
            ax.scatter(*coordinates[at].T, s=size, c=colour, label=label, linewidths=0, alpha=0.85, rasterized=True)
        rest = ~np.isin(values, named)
        if rest.any():
            ax.scatter(
                *coordinates[rest].T,
                s=size,
                c=_REST,
                label=f"{len(counts) - n_named} others ({rest.sum():,})",
                linewidths=0,
            )
        ax.set(title=title, xticks=[], yticks=[], xlabel=f"{axes} 1", ylabel=f"{axes} 2")
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=2, frameon=False, fontsize=9, markerscale=2)
    figure.savefig(path, dpi=130)


def draw_hubs(
    network: GRNAnnData, communities: pd.Series, factors: Iterable[str], path: Path, *, n_hubs: int = 8
) -> None:
    """Write a picture of the strongest edges around the strongest hubs, transcription factors marked.

    Parameters
    ----------
    network
        With ``var["symbol"]``.
    communities
        Community of each gene, for the colours.
    factors
        Transcription factors, which are marked.
    path
        Path of the PNG file.
    n_hubs
        Hubs to start from.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7.5), layout="constrained")
    ax = figure.subplots()
    pl.subnetwork(
        network,
        tl.hubs(network, n_hubs)["gene"].tolist(),
        neighbours=4,
        top_edges=60,
        regulators=factors,
        communities=communities,
        ax=ax,
    )
    figure.savefig(path, dpi=130)
