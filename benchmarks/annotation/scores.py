"""Cell types of held-out batches: our model as it is and fine-tuned, simple methods, and published tools."""

from __future__ import annotations

from collections.abc import Sequence

import anndata
import numpy as np
import pandas as pd

from benchmarks.annotation.labels import SCRIPTS, Said, of_peers, of_scprint, of_simple_methods
from benchmarks.annotation.measures import method_scores
from benchmarks.annotation.splits import BUNDLED, SPLITS, divided
from benchmarks.peer import NOT_RUN
from benchmarks.seen import seen
from scdataloader.labels import ancestors, find_term, roll_up
from scprint_model import ScPrint

#: Coarse labels, the first that lies above a label counts: T cell, NK cell, B lineage, dendritic cell, monocyte,
#: macrophage, granulocyte, mast cell, erythroid lineage, megakaryocyte, endothelial, epithelial, muscle and pericyte,
#: fibroblast and other connective tissue, neuron, glial cell.
COARSE = tuple(
    f"CL:{number:07}"
    for number in (84, 623, 945, 451, 576, 235, 94, 97, 764, 556, 115, 66, 187, 669, 57, 2320, 540, 125)
)
REFERENCE = "scPRINT fine-tuned heads"


def annotation_scores(
    *,
    case: str,
    n_train: int = 500,
    n_test: int = 400,
    train: Sequence[str] = ("heads",),
    peers: bool = True,
    seed: int = 0,
) -> pd.DataFrame:
    """Return a row a method for one division of cells.

    Parameters
    ----------
    case
        Name of one of `splits.SPLITS`, or the bundled retina.
    n_train, n_test
        Number of cells to learn from, and to label, at most.
    train
        Ways of fine-tuning, of which "heads" has to be one.
    peers
        Whether published tools are run beside.
    seed
        Seed for the draws of cells and for all methods.
    """
    model = ScPrint.from_pretrained("bundled")
    known, asked = divided(case, n_train, n_test, seed)
    said = of_simple_methods(known, asked, seed=seed) | of_scprint(model, known, asked, kinds=tuple(train), seed=seed)
    if peers:
        said |= of_peers(known, asked, seed=seed)
    else:
        NOT_RUN.update(dict.fromkeys(SCRIPTS, "left out of the quick run"))
    known_to_it = case != BUNDLED and seen(model, SPLITS[case].test_file)
    return rows_of(case, known, asked, said, seen_in_training="yes" if known_to_it else "no", seed=seed)


def rows_of(
    case: str,
    known: anndata.AnnData,
    asked: anndata.AnnData,
    said: dict[str, Said],
    *,
    seen_in_training: str,
    seed: int,
) -> pd.DataFrame:
    """Score what each method says of the cells."""
    truth = asked.obs["cell_type"].astype(str).to_numpy()
    names, codes = np.unique(np.concatenate([truth, *(labels for labels, _ in said.values())]), return_inverse=True)
    codes = codes.reshape(1 + len(said), len(truth))
    terms = [find_term(name, ("CL",)) for name in names]
    coarse = np.array([term or name for term, name in zip(roll_up(terms, COARSE), names, strict=True)])
    fits = np.array([[_fits(one, other) for other in terms] for one in terms])
    of_method = dict(zip(said, codes[1:], strict=True))
    rows = []
    for method, (_, confidence) in said.items():
        mine = of_method[method]
        right = {"related_accuracy": fits[codes[0], mine], "coarse_accuracy": coarse[codes[0]] == coarse[mine]}
        row = {"case": case, "method": method, "n_train": known.n_obs, "n_cells": asked.n_obs}
        row["n_labels"] = len(np.unique(truth))
        row["seen in training"] = seen_in_training if method.startswith("scPRINT") else "no"
        found = method_scores(codes[0], mine, confidence, right, of_method[REFERENCE] == codes[0], seed=seed)
        rows.append(row | found)
    return pd.DataFrame(rows)


def _fits(given: str, said: str) -> bool:
    """Return whether a label is the given one, or lies above or under it."""
    return given == said or given in ancestors(said) or said in ancestors(given)
