"""Labels as ontology terms: names get an id beside them, and what is not understood is told."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scdataloader._wording import counted
from scdataloader.labels.space import CLASSES, SUFFIX, check_labels, class_scope, corpus_labels, label_column

_SHOWN = 5


def with_terms(obs: pd.DataFrame) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Add a column of ontology terms for each label class that has names only.

    Parameters
    ----------
    obs
        One row a cell.

    Returns
    -------
    tuple
        A table with the added columns ``<class>_ontology_term_id`` (``"unknown"`` for names that are not understood);
        the names of these columns; and a warning for each class with labels that are not understood.
    """
    out, added, warnings = obs, [], []
    for name in CLASSES:
        if label_column(obs.columns, name) is None:
            continue
        if name + SUFFIX not in obs:
            table = corpus_labels([obs], name, class_scope([obs], name))
            terms = dict(zip(table["label"].tolist(), table["standard"].tolist(), strict=True))
            labels = obs[name].astype("category").cat
            # one more entry at the end, which the code -1 of a missing label points to
            found = [terms.get(str(label), "unknown") for label in labels.categories.tolist()] + ["unknown"]
            values = np.array(found, dtype=object)[labels.codes.to_numpy()]
            out = out.assign(**{name + SUFFIX: pd.Categorical(values)})
            added.append(name + SUFFIX)
        wrong = check_labels([obs], [name])
        if len(wrong):
            shown = "; ".join(wrong["problem"].head(_SHOWN).tolist())
            cells = counted(int(wrong["n_cells"].sum()), "cell")
            warnings.append(
                f"{name}: {counted(len(wrong), f'label of {cells} is', f'labels of {cells} are')} not understood and "
                f"counted as unknown: {shown}"
            )
    return out, added, warnings
