"""Labels that several methods give to the same cells, each with its confidence."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import anndata
import numpy as np
from scipy import sparse

from benchmarks.peer import run_peer
from scdataloader.counts import log_normalise
from scprint_model import ScPrint, finetune, tasks

PEERS = Path(__file__).parent / "peers"
SCRIPTS = {"XGBoost": ("xgboost", "xgboost_peer.py"), "CellTypist": ("celltypist", "celltypist_peer.py")}
N_COMPONENTS, N_NEIGHBOURS, N_VARIABLE = 50, 15, 2000
#: Labels, and the chance of each to be right.
Said = tuple[np.ndarray, np.ndarray]


def of_scprint(
    model: ScPrint, train: anndata.AnnData, test: anndata.AnnData, *, kinds: tuple[str, ...], seed: int
) -> dict[str, Said]:
    """Return what the model says as it is, fine-tuned in each of several ways, and with neighbours in its embedding."""
    seen = tasks.encode(model, test, classes=("cell_type_ontology_term_id",), seed=seed)
    found = {"scPRINT zero-shot": _annotated(model, test, encoded=seen)}
    for kind in kinds:
        made = finetune(model, {"train": train}, labels="cell_type", train=kind, held_out=0.05, seed=seed)
        found[f"scPRINT fine-tuned {kind}"] = _annotated(made, test)
    known = tasks.embed(model, train, seed=seed)
    found["scPRINT embedding + kNN"] = nearest_labels(
        known, _labels(train), tasks.embed(model, test, encoded=seen, seed=seed)
    )
    return found


def _annotated(model: ScPrint, test: anndata.AnnData, **more: object) -> Said:
    # all methods answer for all cells, so that they are compared on the same ones
    table = tasks.annotate(model, test.copy(), classes=["cell_type"], abstain=None, **more)
    return table["predicted_cell_type"].astype(str).to_numpy(), table["predicted_cell_type_confidence"].to_numpy(float)


def of_simple_methods(train: anndata.AnnData, test: anndata.AnnData, *, seed: int) -> dict[str, Said]:
    """Return what the commonest label, and neighbours and a regression on principal components say."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    labels = _labels(train)
    names, n = np.unique(labels, return_counts=True)
    commonest = np.full(test.n_obs, names[n.argmax()]), np.full(test.n_obs, n.max() / len(labels))
    log = [sparse.csr_matrix(log_normalise(part)).toarray() for part in (train, test)]
    genes = variable_genes(log[0])
    pca = PCA(N_COMPONENTS, svd_solver="arpack", random_state=seed).fit(log[0][:, genes])
    known, asked = (pca.transform(part[:, genes]) for part in log)
    scaler = StandardScaler().fit(known)
    regression = LogisticRegression(max_iter=1000).fit(scaler.transform(known), labels)
    shares = regression.predict_proba(scaler.transform(asked))
    return {
        "commonest label": commonest,
        "PCA + kNN": nearest_labels(known, labels, asked),
        "PCA + logistic regression": (regression.classes_[shares.argmax(axis=1)], shares.max(axis=1)),
    }


def nearest_labels(known: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> Said:
    """Return the commonest label among the nearest known cells, and its share of them."""
    from sklearn.neighbors import KNeighborsClassifier

    found = KNeighborsClassifier(min(N_NEIGHBOURS, len(known))).fit(known, labels)
    shares = found.predict_proba(asked)
    return found.classes_[shares.argmax(axis=1)], shares.max(axis=1)


def of_peers(train: anndata.AnnData, test: anndata.AnnData, *, seed: int) -> dict[str, Said]:
    """Return what published tools say, each trained here in an environment of its own; the failed keep a reason."""
    found = {}
    log = [sparse.csr_matrix(log_normalise(part)) for part in (train, test)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part, values in zip(("train", "test"), log, strict=True):
            sparse.save_npz(folder / f"{part}.npz", values)
        np.save(folder / "variable.npy", variable_genes(log[0].toarray()))
        (folder / "labels.json").write_text(json.dumps(_labels(train).tolist()), encoding="utf-8")
        (folder / "genes.json").write_text(json.dumps(train.var_names.tolist()), encoding="utf-8")
        for method, (environment, script) in SCRIPTS.items():
            said = run_peer(PEERS / script, environment, [str(folder), str(seed)], methods=[method])
            if said is not None:
                found[method] = np.array(said["labels"]), np.array(said["confidence"])
    return found


def variable_genes(log: np.ndarray) -> np.ndarray:
    """Return the places of the genes whose log counts vary most, in their order."""
    return np.sort(np.argsort(-log.var(axis=0), kind="stable")[:N_VARIABLE])


def _labels(adata: anndata.AnnData) -> np.ndarray:
    return adata.obs["cell_type"].astype(str).to_numpy()
