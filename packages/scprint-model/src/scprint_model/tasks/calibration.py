"""Scores of predicted labels where the truth is known, and what their confidence is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scdataloader import LabelSpace
from scdataloader.counts import obs_table
from scdataloader.labels import CLASS_SCOPES, SUFFIX, ancestors, current_term, is_unknown, label_column, standard_label
from scprint_model._wording import listed, percent
from scprint_model.intervals import donors_of, interval_note, mean_interval, share_interval
from scprint_model.tasks.annotate import UNKNOWN
from scprint_model.tasks.calibration_error import bins_of, calibration_error
from scprint_model.tasks.coarsen import OTHER
from scprint_model.tasks.label_rivals import LabelF1, Rivals
from scprint_model.tasks.trusted import BETWEEN

_PREFIX = "predicted_"
_CONFIDENCE = "_confidence"
#: Ends of the columns that `annotate` makes of a class beside its own.
_ENDS = ("", "_coarse", "_vote", "_coarse_vote")
_SET_SCORES = ("size", *(f"{name}{end}" for name in ("held", "accuracy_of_all") for end in ("", "_low", "_high")))


@dataclass(frozen=True, eq=False)
class Calibration:
    """Scores of the predictions of one class.

    Attributes
    ----------
    n_cells
        Cells whose true label is given.
    coverage
        Of these, the share with a prediction other than ``"unknown"``. All that follows is of these.
    accuracy
        Share that is right.
    macro_f1
        Mean F1 of the true labels that occur. A wrong prediction counts against each of them that it is or lies under.
    expected_calibration_error
        Mean distance between confidence and accuracy over the bins of `reliability`, weighted by their cells. It has no
        interval, since few cells alone make it larger and no bootstrap holds near 0: `error_if_calibrated` stands
        beside it.
    error_if_calibrated
        What this error would be if each cell's confidence were its chance to be right: the mean, and the value that is
        not exceeded in 95 % of draws. A larger error says that the confidence is off.
    overconfidence
        Mean confidence less accuracy, and the low and high end of its 95 % interval.
    n_coarse
        Cells whose prediction is right and lies under the true label, which says less.
    n_beyond
        Of all cells with a true label, those whose label none fits that there is to choose from: they cannot be right.
        None where the model's label space is not given.
    reliability
        A row a bin of confidence that has cells: from ``low`` to below ``high``, ``n_cells``, mean ``confidence``,
        ``accuracy``; then what `annotate` would give with ``abstain=low``: ``coverage_above``, ``accuracy_above``; and
        the interval of the accuracy, ``accuracy_low`` and ``accuracy_high``.
    accuracy_interval, macro_f1_interval
        95 % intervals, low and high; see `scprint_model.intervals.score_table`.
    rivals
        A row a simple method, ``"commonest label"`` first: ``n_cells`` that it was asked, its ``accuracy``, and
        ``difference``, the accuracy of the predictions on these cells less its own, each with ``_low`` and ``_high``.
        What is right is the true label itself; coarser predictions have no rivals here.
    interval
        What the intervals are of, in words: other donors, or other cells of the same ones.
    sets
        Where there are sets of labels: the share whose set ``held`` the true one or one that fits it, the mean
        ``size``, and ``accuracy_of_all`` if none were unknown; shares have ``_low`` and ``_high``. Else None.
    """

    n_cells: int
    coverage: float
    accuracy: float
    macro_f1: float
    expected_calibration_error: float
    error_if_calibrated: tuple[float, float]
    overconfidence: tuple[float, float, float]
    n_coarse: int
    n_beyond: int | None
    reliability: pd.DataFrame = field(repr=False)
    accuracy_interval: tuple[float, float]
    macro_f1_interval: tuple[float, float]
    rivals: pd.DataFrame = field(repr=False)
    interval: str
    sets: dict[str, float] | None = None

    def __str__(self) -> str:
        beyond = f"; no label to choose from fits the true one of {_cells(self.n_beyond)}" if self.n_beyond else ""
        coarse = f" ({_cells(self.n_coarse)} under a coarser true label)" if self.n_coarse else ""
        if not self.coverage:
            return f"of {_cells(self.n_cells)} with a true label none got one{beyond}"
        return (
            f"accuracy {self.accuracy:.3f}{coarse}, macro F1 {self.macro_f1:.3f}, expected calibration error "
            f"{self.expected_calibration_error:.3f} over the {percent(self.coverage, 1)} of {_cells(self.n_cells)} "
            f"that got a label{beyond}{self._beside()}"
        )

    def _beside(self) -> str:
        """Return the intervals, and what simple methods reach."""
        lines = [
            f"accuracy {_ends(self.accuracy_interval)}, macro F1 {_ends(self.macro_f1_interval)}; {self.interval}",
            "calibration error if confidences were right: {:.3f} on average, {:.3f} or less in 95% of draws".format(
                *self.error_if_calibrated
            ),
            f"mean confidence less accuracy {self.overconfidence[0]:+.3f} {_ends(self.overconfidence[1:], '+')}",
        ]
        for row in self.rivals.to_dict("records"):
            asked = "" if row["n_cells"] == round(self.n_cells * self.coverage) else f" of {_cells(row['n_cells'])}"
            accuracy, gap = (
                _ends((row[f"{name}_low"], row[f"{name}_high"]), sign)
                for name, sign in (("accuracy", ""), ("difference", "+"))
            )
            lines.append(
                f"{row['method']}: {row['accuracy']:.3f} {accuracy}{asked}; predicted, less this: "
                f"{row['difference']:+.3f} {gap}"
            )
        if self.sets is not None:
            held, of_all = (
                f"{self.sets[name]:.3f} {_ends((self.sets[f'{name}_low'], self.sets[f'{name}_high']))}"
                for name in ("held", "accuracy_of_all")
            )
            lines.append(f"if none were left unknown: accuracy {of_all}")
            lines.append(f"sets of labels: {held} hold the true one, mean size {self.sets['size']:.1f}")
        return "".join(f"\n  {line}" for line in lines)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON has it; what is not a number is None."""
        tables = {name: _records(getattr(self, name)) for name in ("reliability", "rivals")}
        scores = {name: value for name, value in asdict(self).items() if name not in tables}
        for name in ("accuracy", "macro_f1"):
            ends = scores.pop(f"{name}_interval")
            scores |= {f"{name}_{end}": value for end, value in zip(("low", "high"), ends, strict=True)}
        for name, ends in (("error_if_calibrated", ("mean", "high")), ("overconfidence", ("", "low", "high"))):
            scores |= {f"{name}_{end}".rstrip("_"): v for end, v in zip(ends, scores.pop(name), strict=True)}
        return {name: _number(value) for name, value in scores.items() if (name, value) != ("sets", None)} | tables


def calibration(
    predictions: AnnData | pd.DataFrame,
    truth: pd.DataFrame | None = None,
    *,
    labels: LabelSpace | None = None,
    bins: int = 10,
    features: Mapping[str, np.ndarray] | None = None,
    keys: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, Calibration]:
    """Compare predicted labels with true ones.

    Parameters
    ----------
    predictions
        Table that `scprint_model.tasks.annotate` returned, or the data that it wrote to.
    truth
        Table of the same cells: a class is scored where there is a column ``<class>_ontology_term_id`` or ``<class>``,
        of ids or names. None: ``obs`` of the data. Cells whose label is missing, unknown or not understood are left
        out.
    labels
        The model's label space: says in which ontologies labels are looked up, and which classes are free text. None:
        those of `scdataloader.labels.CLASS_SCOPES`.
    bins
        Number of bins of the confidence, equally wide.
    features
        Name to features of the cells, such as principal components, (n_cells, F): what a logistic regression on them
        says of each cell, learned from the others or, where the truth tells of several donors, from the other donors
        (`scprint_model.cross_validation.cross_validated`), stands beside the predictions. Cells with NaN are left out.
    keys
        Key of each cell's counts, (n_cells,), by which the parts of these regressions go; None: its place.
    seed
        Seed for parts and intervals.

    Returns
    -------
    Class, also ``<class>_coarse`` and ``<class>_vote`` where predicted, to its scores; empty without any truth.

    Raises
    ------
    ValueError
        When the cells are not the same, or predictions are lacking.

    Notes
    -----
    A prediction is right where it is the true label, or one lies under the other in the ontology: a true label that is
    coarser asks for no more, and one that is finer than any leaf of the model is told as closely as it can be.
    ``"other"`` is right where the true label is and lies under none of the coarser labels that were to choose from.
    Expected calibration error: Guo et al., On calibration of modern neural networks, ICML 2017, equation 3.

    Examples
    --------
    >>> predicted = pd.DataFrame(
    ...     {"predicted_sex_ontology_term_id": ["PATO:0000383", "PATO:0000384"], "predicted_sex_confidence": [0.9, 0.7]}
    ... )
    >>> print(calibration(predicted, pd.DataFrame({"sex": ["female", "female"]}))["sex"])
    accuracy 0.500, macro F1 0.667, expected calibration error 0.400 over the 100.0% of 2 cells that got a label
      accuracy [0.000, 1.000], macro F1 [0.000, 1.000]; 95% intervals: 2 cells drawn with replacement
      calibration error if confidences were right: 0.300 on average, 0.600 or less in 95% of draws
      mean confidence less accuracy +0.300 [-0.100, +0.700]
      commonest label: 1.000 [0.158, 1.000]; predicted, less this: -0.500 [-1.000, +0.000]
    """
    if bins < 1:
        raise ValueError(f"bins={bins} must be at least 1")
    table = obs_table(predictions) if isinstance(predictions, AnnData) else predictions
    if truth is None:
        if not isinstance(predictions, AnnData):
            raise ValueError("truth is needed where the predictions are a table: pass the obs that has the true labels")
        truth = table
    if not table.index.equals(truth.index):
        raise ValueError(
            f"the {len(table)} cells with predictions are not the {len(truth)} cells of the truth, in order"
        )
    scopes = _scopes(labels)
    stems = [
        name.removeprefix(_PREFIX).removesuffix(SUFFIX)
        for name in map(str, table.columns)
        if name.startswith(_PREFIX) and name.endswith(SUFFIX) and not name.endswith(f"_set{SUFFIX}")
    ]
    if not stems:
        raise ValueError(
            f"there is no column {_PREFIX}<class>{SUFFIX} among [{listed(table.columns)}]: run annotate first"
        )
    rivals = Rivals(features or {}, np.arange(len(table)) if keys is None else keys, *donors_of(truth), seed)
    scores = {}
    for stem in stems:
        column = _truth_of(stem, truth)
        if column is None:
            continue
        name, values = column
        said, confidence = table[f"{_PREFIX}{stem}{SUFFIX}"], table[f"{_PREFIX}{stem}{_CONFIDENCE}"]
        true = _standard(values, scopes.get(name, CLASS_SCOPES.get(name, () if values.name == name else None)))
        if (true != UNKNOWN).any():
            model_labels = _choices(said) if "_coarse" in stem.removeprefix(name) else _leaves(labels, name)
            scores[stem] = _score(said, confidence.to_numpy(np.float64), true, bins, model_labels, rivals)
            if f"{_PREFIX}{stem}_set{SUFFIX}" in table:
                sets = table[f"{_PREFIX}{stem}_set{SUFFIX}"].astype(str).to_numpy()
                scores[stem] = replace(scores[stem], sets=_set_scores(sets, true, rivals))
            if "_coarse" in stem.removeprefix(name):  # a rival of finer labels is asked for more
                scores[stem] = replace(scores[stem], rivals=scores[stem].rivals.iloc[:0])
    return scores


def _number(value: Any) -> Any:
    """Return a value as JSON has it: None for NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): _number(value) for key, value in row.items()} for row in table.to_dict("records")]


def _ends(interval: tuple[float, float], sign: str = "") -> str:
    low, high = interval
    return "[none]" if math.isnan(low) else f"[{low:{sign}.3f}, {high:{sign}.3f}]"


def _cells(n: int) -> str:
    return f"{n:,} cell" if n == 1 else f"{n:,} cells"


def _scopes(labels: LabelSpace | None) -> dict[str, tuple[str, ...] | None]:
    return {} if labels is None else {name.removesuffix(SUFFIX): one.scope for name, one in labels.classes.items()}


def _leaves(labels: LabelSpace | None, name: str) -> tuple[str, ...] | None:
    classes = {} if labels is None else {one.removesuffix(SUFFIX): space for one, space in labels.classes.items()}
    return classes[name].leaves if name in classes else None


def _choices(said: pd.Series[Any]) -> tuple[str, ...] | None:
    """Return the labels of a categorical column, with those that no cell got; None where it is another."""
    if not isinstance(said.dtype, pd.CategoricalDtype):
        return None
    return tuple(str(label) for label in said.cat.categories.tolist() if label != UNKNOWN)


def _truth_of(stem: str, truth: pd.DataFrame) -> tuple[str, pd.Series[Any]] | None:
    """Return the class that the predictions are of, and the column of its true labels."""
    for end in _ENDS:
        name = stem.removesuffix(end)
        column = label_column(truth.columns, name) if stem.endswith(end) else None
        if column is not None:
            return name, truth[column]
    return None


def _standard(values: pd.Series[Any], scope: tuple[str, ...] | None) -> np.ndarray:
    """Return the term of each label, `UNKNOWN` where there is none."""
    known: Mapping[object, str] = {
        label: UNKNOWN if is_unknown(label) else standard_label(str(label), scope, suggest=False)[0]
        for label in values.dropna().unique().tolist()
    }
    return np.array([known.get(label, UNKNOWN) for label in values.tolist()], dtype=object)


def _score(
    said: pd.Series[Any],
    confidence: np.ndarray,
    true: np.ndarray,
    bins: int,
    to_choose_from: tuple[str, ...] | None,
    rivals: Rivals,
) -> Calibration:
    given = true != UNKNOWN
    answered = given & (said.astype(str).to_numpy() != UNKNOWN)
    n_cells = int(given.sum())
    said_codes, said_labels = pd.factorize(said.astype(str).to_numpy()[answered])
    true_codes, true_labels = pd.factorize(true[answered])
    named = [label for label in _choices(said) or () if label != OTHER]
    how = np.array([[_fits(p, t, named) for t in true_labels] for p in said_labels], dtype=np.int64)
    how = how.reshape(len(said_labels), len(true_labels))
    cells = how[said_codes, true_codes]
    f1 = LabelF1(how > 0, said_codes, true_codes)
    own = None if rivals.groups is None else rivals.groups[answered]
    table = _reliability(confidence[answered], cells > 0, bins, n_cells, own, rivals.seed)
    n = int(answered.sum())
    error, if_calibrated = calibration_error(confidence[answered], cells > 0, bins, rivals.seed)
    over = confidence[answered] - (cells > 0)
    return Calibration(
        n_cells=n_cells,
        coverage=n / n_cells,
        accuracy=float((cells > 0).mean()) if n else float("nan"),
        macro_f1=f1.whole if n else float("nan"),
        expected_calibration_error=error,
        error_if_calibrated=if_calibrated,
        overconfidence=mean_interval(over, groups=own, seed=rivals.seed) if n else (float("nan"),) * 3,
        n_coarse=int((cells == 2).sum()),
        n_beyond=None if to_choose_from is None else _n_beyond(true[given], to_choose_from, named),
        reliability=table,
        accuracy_interval=share_interval(cells > 0, groups=own, seed=rivals.seed) if n else (float("nan"),) * 2,
        macro_f1_interval=f1.interval(own, rivals.seed) if n else (float("nan"),) * 2,
        rivals=rivals.beside(true, answered, cells > 0),
        interval=interval_note(n, own, rivals.unit),
    )


def _set_scores(sets: np.ndarray, true: np.ndarray, rivals: Rivals) -> dict[str, float]:
    """Return how many sets hold a label that fits the true one, their mean size, and how often the first one fits."""
    at = (true != UNKNOWN) & (sets != "")
    codes, distinct = pd.factorize(pd.MultiIndex.from_arrays([sets[at], true[at]]))
    fits = [[_fits(said, label, []) > 0 for said in one.split(BETWEEN)] for one, label in distinct]
    if not at.any():
        return dict.fromkeys(_SET_SCORES, float("nan"))
    own = None if rivals.groups is None else rivals.groups[at]
    scores: list[float] = [float(np.mean([len(fits[code]) for code in codes]))]
    for good in ([any(one) for one in fits], [one[0] for one in fits]):
        of_cells = np.array(good, dtype=bool)[codes]
        scores += [float(of_cells.mean()), *share_interval(of_cells, groups=own, seed=rivals.seed)]
    return dict(zip(_SET_SCORES, scores, strict=True))


def _n_beyond(true: np.ndarray, to_choose_from: tuple[str, ...], named: list[str]) -> int:
    codes, labels = pd.factorize(true)
    beyond = np.array([not any(_fits(said, label, named) for said in to_choose_from) for label in labels.tolist()])
    return int(beyond[codes].sum())


def _fits(said: str, true: str, named: list[str]) -> int:
    """Return 0 where a prediction is wrong, 2 where it lies under the true label, else 1; see `calibration`."""
    parts = true.split(",")
    if said == OTHER:
        return int(not any(part == label or label in ancestors(part) for part in parts for label in named))
    said = current_term(said)
    if said in (true, *parts):
        return 1 if said == true else 2
    if any(part in ancestors(said) for part in parts):
        return 2
    return int(any(said in ancestors(part) for part in parts))


def _reliability(
    confidence: np.ndarray, right: np.ndarray, bins: int, n_cells: int, groups: np.ndarray | None, seed: int
) -> pd.DataFrame:
    edges = np.arange(bins + 1) / bins
    at = bins_of(confidence, bins)
    rows = []
    for i in np.unique(at):
        here, above = at == i, at >= i
        low, high = share_interval(right[here], groups=None if groups is None else groups[here], seed=seed)
        rows.append(
            {
                "low": float(edges[i]),
                "high": float(edges[i + 1]),
                "n_cells": int(here.sum()),
                "confidence": float(confidence[here].mean()),
                "accuracy": float(right[here].mean()),
                "coverage_above": float(above.sum() / n_cells),
                "accuracy_above": float(right[above].mean()),
                "accuracy_low": low,
                "accuracy_high": high,
            }
        )
    columns = ["low", "high", "n_cells", "confidence", "accuracy", "coverage_above", "accuracy_above"]
    columns += ["accuracy_low", "accuracy_high"]
    return pd.DataFrame(rows, columns=columns)
