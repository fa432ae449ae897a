"""The scores of scib-metrics: ``scib.py FOLDER N_HALVES SEED KBET NAME ...`` for embeddings ``NAME.npy``.

Prints, for each, its scores of all cells, and of random halves of them: half of the cells of each label. Most of the
time goes into compiling for each number of cells and of dimensions: halves have the same numbers of each label, and
embeddings as many dimensions.
"""

import contextlib
import functools
import json
import os
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

os.environ["XLA_FLAGS"] = (
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)
warnings.filterwarnings("ignore")
import jax  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import scib_metrics.benchmark._core as core  # noqa: E402
from anndata import AnnData  # noqa: E402
from scib_metrics.benchmark import BatchCorrection, Benchmarker, BioConservation  # noqa: E402
from scib_metrics.nearest_neighbors import NeighborsResults  # noqa: E402
from scib_metrics.utils import KMeans  # noqa: E402
from scib_metrics.utils._kmeans import _get_dist_labels  # noqa: E402
from sklearn.neighbors import NearestNeighbors  # noqa: E402

# It collects garbage before each score, which takes most of the time once jax holds hundreds of compiled functions.
core.gc = SimpleNamespace(collect=lambda: 0)


@functools.partial(jax.jit, static_argnums=3)
def k_means(values: jax.Array, key: jax.Array, tolerance: float, n_clusters: int) -> tuple[jax.Array, jax.Array]:
    """Return the centres of its k-means, and their inertia."""
    own = KMeans(n_clusters)
    own.tol = tolerance
    return KMeans._kmeans_full_run.__wrapped__(own, values, key)


def fit(self: KMeans, values: np.ndarray) -> None:
    """Fit its k-means as it does itself, but compiled once for each number of cells and clusters, not for each call."""
    key = jax.random.split(self.seed, 1)[0]
    self.cluster_centroids_, self.inertia_ = map(np.array, k_means(values, key, self.tol, self.n_clusters))
    self.labels_ = np.asarray(_get_dist_labels(values, self.cluster_centroids_)[1])


KMeans._fit = fit

#: Those of Luecken et al. 2022 that need one embedding; ``bras`` stands for their batch silhouette.
BIO = BioConservation(
    isolated_labels=True,
    nmi_ari_cluster_labels_leiden=False,
    nmi_ari_cluster_labels_kmeans=True,
    silhouette_label=True,
    clisi_knn=True,
)
BATCH = {"bras": True, "ilisi_knn": True, "graph_connectivity": True, "pcr_comparison": True}


def nearest(values: np.ndarray, k: int) -> NeighborsResults:
    """Return the nearest cells of each, exactly."""
    if len(values) < k:
        raise ValueError(f"{len(values)} cells, all or a half of them, have no {k} neighbours: draw more cells")
    distances, indices = NearestNeighbors(n_neighbors=k).fit(values).kneighbors(values)
    return NeighborsResults(indices=indices, distances=distances)


def scores(
    cells: pd.DataFrame, embeddings: dict[str, np.ndarray], at: np.ndarray, *, kbet: bool
) -> dict[str, dict[str, float]]:
    """Return the scores of each embedding on some cells; its first is the one before integration."""
    adata = AnnData(np.zeros((len(at), 1), dtype=np.float32), obs=cells.iloc[at].astype("category"))
    for name, values in embeddings.items():
        adata.obsm[name] = values[at]
    batch = BatchCorrection(**BATCH, kbet_per_label=kbet)
    with contextlib.redirect_stdout(sys.stderr):
        benchmark = Benchmarker(
            adata, "batch", "label", list(embeddings), BIO, batch, next(iter(embeddings)), progress_bar=False
        )
        benchmark.prepare(neighbor_computer=nearest)
        benchmark.benchmark()
        table = benchmark.get_results(min_max_scale=False)
    table = table.loc[list(embeddings)].astype(float)
    return {name: {k: float(v) for k, v in row.items() if np.isfinite(v)} for name, row in table.iterrows()}


def main(folder: Path, n_halves: int, seed: int, names: list[str], *, kbet: bool) -> None:
    """Score all cells, then halves."""
    cells = pd.read_csv(folder / "cells.csv", dtype=str, keep_default_na=False)
    embeddings = {name: np.load(folder / f"{name}.npy").astype(np.float32) for name in names}
    # dimensions that are 0 everywhere change no score, and those of one number are compiled once
    widest = max(one.shape[1] for one in embeddings.values())
    embeddings = {name: np.pad(one, ((0, 0), (0, widest - one.shape[1]))) for name, one in embeddings.items()}
    labels, rng = cells["label"].to_numpy(), np.random.default_rng(seed)
    parts = [np.arange(len(cells))]
    for _ in range(n_halves):
        of_labels = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
        parts.append(np.sort(np.concatenate([some[: len(some) // 2] for some in of_labels])))
    found = [scores(cells, embeddings, at, kbet=kbet) for at in parts]
    print(json.dumps({name: [one[name] for one in found] for name in names}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[5:], kbet=sys.argv[4] == "kbet")
