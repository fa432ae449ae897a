"""Predicted labels."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.special import expit

from scdataloader.counts import obs_table
from scdataloader.expression import with_counts
from scdataloader.labels import SUFFIX
from scprint_model._provenance import in_uns, step, steps_of
from scprint_model.checkpoints.identity import identity
from scprint_model.model import ScPrint
from scprint_model.tables import tables
from scprint_model.tasks.coarsen import Choices, coarse_labels, leaf_labels
from scprint_model.tasks.encode import NOT_RECORDED, EncodedCells, Settings, class_names, in_context, stream
from scprint_model.tasks.trusted import Abstain, Trusted

#: What stands where no label is given.
UNKNOWN = "unknown"


def annotate(
    model: ScPrint,
    adata: AnnData,
    *,
    classes: Sequence[str] | None = None,
    top_k: int = 1,
    probabilities: bool = False,
    coarsen: Mapping[str, Sequence[str]] | None = None,
    abstain: Abstain = "model",
    sets: float | None = None,
    vote: str | None = None,
    layer: str | None = None,
    counts: str = "X",
    round: bool = False,  # noqa: A002 (the option's name)
    context: int | None = None,
    batch_size: int = 32,
    seed: int = 0,
    draws: int = 1,
    encoded: EncodedCells | None = None,
) -> pd.DataFrame:
    """Predict classes of every cell, and write them to ``adata.obs``; ``uns["provenance_steps"]`` says what made them.

    For each class (cell type, tissue, ...) three columns: ``predicted_<class>`` (name),
    ``predicted_<class>_ontology_term_id`` and ``predicted_<class>_confidence`` (the sigmoid of its logit, 0 to 1).
    Predictions are always leaf labels of the model's label space: a type that it never saw gets the nearest it knows,
    or ``"unknown"`` where the model abstains. A cell without any count of a gene that the model knows is ``"unknown"``,
    with confidence 0.

    Models that know when they are to be trusted (`scprint_model.checkpoints.label_confidence.LabelConfidence`) give
    ``predicted_<class>_outlier``, too: the cell's distance from the nearest label, where 1 is the longest at which they
    answer; NaN for cells without counts. Models of older versions and published checkpoints know nothing of it.

    The cells are read a part at a time, in memory or from a file, and nothing but what is asked for is kept of them.

    Parameters
    ----------
    model, adata, encoded
        Model, cells and what is known of them; see `scprint_model.tasks.embed`.
    classes
        Classes to predict. None: all of the model.
    top_k
        Number of best labels to give each cell: columns ``predicted_<class>_2``, ``..._2_ontology_term_id``,
        ``..._2_confidence`` and so on, as far as the class has labels.
    probabilities
        Whether to give every label's sigmoid, too: float32 in ``obsm["predicted_<class>"]``, shape (n_cells, n_labels),
        zeros for cells without counts; ``uns["predicted_<class>"]`` has the columns' ``ontology_term_ids`` and
        ``names``. They do not add up to 1: the model was trained to say of each label whether it fits.
    coarsen
        Coarser labels by class, as {"cell_type": ["T cell", "B cell"]} (ids or names of terms, none of them under
        another): three more columns ``predicted_<class>_coarse...``, of these or of ``"other"`` the one with the
        highest log-sum-exp of the logits of the leaves under it. `top_k`, `probabilities`, `abstain` and `vote` do with
        it as with the class.
    abstain
        Confidence below which best labels become ``"unknown"``; the confidence stays. ``"model"``: the model's own
        rule, by which cells are unknown that are too far from all labels or whose confidence is too low; none for
        models that know nothing of it. A vote is held to it by its own confidence and the mean distance of its cells.
        None: never.
    sets
        Probability with which a set of labels is to hold the true one, or one below it in the ontology, such as 0.9:
        columns ``predicted_<class>_set`` (names, best first, with `` || `` between them), ``..._set_ontology_term_id``
        and ``..._set_size``. Coarser labels and votes have none.
    vote
        Column of ``obs``, such as clusters: three more columns ``predicted_<class>_vote...`` with the label whose mean
        probability over the cells of the cluster is highest, and that mean as its confidence. Cells without counts have
        no say; cells without a cluster keep their own label.
    layer
        Layer that holds the raw counts.
    counts
        Place of the raw counts: X, raw, a layer, or auto for the first of X, raw and the layers that holds whole
        numbers.
    round
        Whether to round fractional counts, as RSEM, salmon, alevin, STARsolo-EM and CellBender give them. Normalised
        values are refused.
    context
        Number of most expressed genes that the model sees of a cell. None: as many as it saw in training.
    batch_size
        Number of cells at a time. It changes nothing but speed and memory.
    seed
        Seed for the choice between genes with equal counts.
    draws
        Number of contexts of each cell, with the seeds from `seed` on: labels and confidences are of the mean logits,
        and ``predicted_<class>_spread`` is the standard deviation between contexts of the best label's sigmoid.

    Returns
    -------
    pandas.DataFrame
        The new columns.

    Raises
    ------
    ValueError
        When the model has no such class, ``obs`` no such column, or an ontology no such term; with `sets`, when the
        model knows nothing of it.
    """
    cells = with_counts(adata, layer=layer, counts=counts, round=round)
    made = step(annotate, locals(), model=identity(model), inputs=[cells], skip=NOT_RECORDED)
    record = in_uns([*steps_of(cells.uns), in_context(made, model, encoded)])
    _, space = tables(model)
    heads = class_names(model, classes)
    if top_k < 1:
        raise ValueError(f"top_k={top_k} must be at least 1")
    if not (abstain is None or abstain == "model" or 0 <= abstain <= 1):
        raise ValueError(f"abstain={abstain} is compared with confidences, which lie between 0 and 1")
    if sets is not None and (unknowing := [name for name in heads if name not in model.confidence]):
        raise ValueError(
            f"sets={sets}: this model does not know how right it is about {unknowing} on data sets that it never saw, "
            f"but about {list(model.confidence)}; classes= chooses among them"
        )
    clusters = None if vote is None else _clusters(obs_table(adata), vote)
    wanted = [(name, name.removesuffix(SUFFIX), leaf_labels(space.classes[name])) for name in heads]
    for asked, labels in (coarsen or {}).items():
        (name,) = class_names(model, [asked])
        if name not in heads:
            raise ValueError(f"coarsen has {asked!r}, which is not among classes={list(heads)}")
        wanted.append((name, f"{name.removesuffix(SUFFIX)}_coarse", coarse_labels(space.classes[name], labels, name)))
    trusted = {
        name: Trusted(
            model.confidence.get(name),
            leaf_labels(space.classes[name]),
            name.removesuffix(SUFFIX),
            adata.n_obs,
            abstain=abstain,
            coverage=sets,
        )
        for name in heads
    }
    found = [
        _Found(*one, adata.n_obs, top_k, clusters, keep=probabilities, several=draws > 1, trusted=trusted[one[0]])
        for one in wanted
    ]
    settings: Settings = {"context": context, "batch_size": batch_size, "seed": seed, "draws": draws}
    done = 0
    for batch in stream(model, cells, **settings, classes=heads, description="annotating cells", encoded=encoded):
        rows = np.arange(done, done + len(batch.empty))[~batch.empty]
        for one in found:
            drawn = [drawing.class_logits[one.head][~batch.empty] for drawing in batch.drawn]
            one.add(rows, batch.class_logits[one.head][~batch.empty], drawn)
        for name, its in trusted.items():
            embeddings = batch.embeddings[~batch.empty]
            its.add(rows, batch.class_logits[name][~batch.empty], embeddings, batch.token_names)
        done += len(batch.empty)
    columns: dict[str, object] = {}
    for one in found:
        columns |= one.columns()
        if one.probabilities is not None:
            adata.obsm[f"predicted_{one.stem}"] = one.probabilities
            adata.uns[f"predicted_{one.stem}"] = {
                "ontology_term_ids": np.array(one.labels.ids, dtype=object),
                "names": np.array(one.labels.names, dtype=object),
            }
    predicted = pd.DataFrame(columns, index=adata.obs_names)
    adata.obs[predicted.columns] = predicted
    adata.uns.update(record)
    return predicted


class _Found:
    """Gathers what is kept of one class, or of its coarser labels, while the cells go by.

    Best codes and confidences (n_cells, k), the clusters' sums (n_clusters, n_labels) and numbers of cells, and with
    `keep` all probabilities (n_cells, n_labels).
    """

    def __init__(
        self,
        head: str,
        stem: str,
        labels: Choices,
        n_cells: int,
        top_k: int,
        clusters: np.ndarray | None,
        *,
        keep: bool,
        several: bool,
        trusted: Trusted,
    ) -> None:
        self.head, self.stem, self.labels, self.clusters = head, stem, labels, clusters
        self.trusted = trusted
        n_labels = len(labels.ids)
        self.codes = np.full((n_cells, min(top_k, n_labels)), -1, dtype=np.int32)
        self.confidence = np.zeros(self.codes.shape, dtype=np.float32)
        self.probabilities = np.zeros((n_cells, n_labels), dtype=np.float32) if keep else None
        self.spread = np.zeros(n_cells, dtype=np.float32) if several else None
        n_clusters = 0 if clusters is None else int(clusters.max(initial=-1)) + 1
        self.sums, self.n = np.zeros((n_clusters, n_labels)), np.zeros(n_clusters, dtype=np.int64)

    def add(self, rows: np.ndarray, leaf_logits: np.ndarray, drawn: Sequence[np.ndarray]) -> None:
        logits = self.labels.logits(leaf_logits)
        # by logits: sigmoids of large ones are equal
        best = np.argsort(-logits, axis=1, kind="stable")[:, : self.codes.shape[1]]
        self.codes[rows] = best
        self.confidence[rows] = expit(np.take_along_axis(logits, best, axis=1))
        if self.spread is not None:
            of_best = [expit(np.take_along_axis(self.labels.logits(one), best[:, :1], axis=1)[:, 0]) for one in drawn]
            self.spread[rows] = np.std(of_best, axis=0, ddof=1)
        if self.probabilities is not None:
            self.probabilities[rows] = expit(logits)
        if self.clusters is not None:
            inside = self.clusters[rows] >= 0
            np.add.at(self.sums, self.clusters[rows][inside], expit(logits[inside]))
            self.n += np.bincount(self.clusters[rows][inside], minlength=len(self.n))

    def columns(self) -> dict[str, object]:
        first = self.confidence[:, 0]
        made = self._three("", np.where(self.trusted.declined(first), -1, self.codes[:, 0]), first)
        if self.labels.leaves is None:
            made |= self.trusted.columns()
        if self.spread is not None:
            made[f"predicted_{self.stem}_spread"] = self.spread
        for rank in range(1, self.codes.shape[1]):
            made |= self._three(f"_{rank + 1}", self.codes[:, rank], self.confidence[:, rank])
        if self.clusters is not None:
            codes, confidence = self._vote(self.clusters)
            declined = self.trusted.declined(confidence, self.clusters)
            made |= self._three("_vote", np.where(declined, -1, codes), confidence)
        return made

    def _vote(self, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = self.sums / np.maximum(self.n, 1)[:, None]
        best = np.where(self.n > 0, mean.argmax(axis=1), -1)
        voted = clusters >= 0
        codes, confidence = self.codes[:, 0].copy(), self.confidence[:, 0].copy()
        codes[voted], confidence[voted] = best[clusters[voted]], mean.max(axis=1)[clusters[voted]]
        return codes, confidence

    def _three(self, end: str, codes: np.ndarray, confidence: np.ndarray) -> dict[str, object]:
        # code -1 takes the last
        ids, names = (np.array([*labels, UNKNOWN], dtype=object) for labels in (self.labels.ids, self.labels.names))
        start = f"predicted_{self.stem}{end}"
        terms = pd.Categorical(ids[codes])
        return {
            start: pd.Categorical(names[codes]),
            # a handful of coarser labels stays known as a whole, with those that no cell got
            f"{start}{SUFFIX}": terms if self.labels.leaves is None else terms.set_categories(list(ids)),
            f"{start}_confidence": confidence,
        }


def _clusters(obs: pd.DataFrame, column: str) -> np.ndarray:
    """Return an integer for each cell's cluster, -1 where it has none."""
    if column not in obs:
        present = [str(name) for name in obs.columns]
        near = difflib.get_close_matches(column, present, n=3, cutoff=0.4) or present
        raise ValueError(f"vote={column!r}: obs has no such column; near ones are {near}")
    return pd.factorize(obs[column])[0]
