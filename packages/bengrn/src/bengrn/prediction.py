"""Score how well the regulators that a network names for each gene predict its expression in cells never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bengrn._wording import counted, listed
from bengrn.methods.expression import expression
from bengrn.network import as_network, is_sparse, namings_of

if TYPE_CHECKING:
    from anndata import AnnData

#: Genes that fewer cells express are neither predicted nor predict.
MIN_CELLS = 10
# Regulators of the nearest mean expression, on both sides together, among which one is drawn.
_NEIGHBOURS = 20


@dataclass(frozen=True, eq=False)
class Prediction:
    """Gain in predicting genes from a network's regulators, over random regulators like them.

    Attributes
    ----------
    gain
        Mean over targets of the gain in R² on held-out cells; 0 or below: the regulators say nothing.
    low, high
        Interval of the mean over targets (Student's t); NaN with fewer than two targets.
    level
        Coverage that the interval aims at.
    targets
        One row a target, named by its gene: ``r2`` of the network's regulators, ``r2_random`` (mean over the draws of
        random ones), ``gain`` (their difference), ``n_regulators``.
    n_cells, n_folds
        Number of cells, and of parts in which they were predicted.
    notes
        What a reader of these numbers should know, one sentence each.
    """

    gain: float
    low: float
    high: float
    level: float
    targets: pd.DataFrame
    n_cells: int
    n_folds: int
    notes: tuple[str, ...] = ()


def score_prediction(
    network: Any,
    cells: AnnData,
    *,
    by: str | None = None,
    top_k: int = 10,
    n_targets: int | None = 1000,
    n_folds: int = 5,
    n_random: int = 10,
    penalty: float = 0.1,
    level: float = 0.95,
    layer: str | None = None,
    seed: int = 0,
) -> Prediction:
    """Score how well a network's regulators predict their targets' expression in cells it was not inferred from.

    Each target is predicted by ridge regression on its regulators of the largest absolute weight. The cells are cut
    into folds; each is predicted by the regression on the others. The same is done with random regulators: as many,
    each of nearly the same mean expression as the one that it stands for, none of them the network's for that
    target. The gain is the difference of the two R², so a network that only names well-expressed genes gains nothing.
    geneRNIB (Nourisa et al. 2025, doi 10.1101/2025.02.25.640181) and GRETA (Badia-i-Mompel et al. 2024, doi
    10.1101/2024.12.20.629764) judge networks by prediction, too, each in a way of its own.

    Parameters
    ----------
    network
        Network in any form that :func:`bengrn.score` takes; row = regulator.
    cells
        Cells × genes with raw counts, or other values, in X. They must be cells that the network was not inferred
        from (:func:`hold_out` chooses some): regulators picked by their correlation in these very cells gain from
        noise alone.
    by
        Column of obs, such as donor or batch, whose cells stay together in one fold. None: cells are dealt at random.
    top_k
        Number of regulators of a target that are used, at most.
    n_targets
        Number of targets, drawn at random where there are more; None: all.
    n_folds
        Number of folds, at least 2; fewer where `by` has fewer values.
    n_random
        Number of draws of random regulators for each target.
    penalty
        Penalty of the ridge, in units of the number of cells, for genes of mean 0 and variance 1.
    level
        Coverage of the interval, above 0 and below 1.
    layer
        Layer to take instead of X.
    seed
        Seed for folds, draws, and the choice among equal weights.

    Returns
    -------
    Prediction
        Mean gain with its interval over targets, and each target's. Targets share regulators and cells, so the
        interval is for these cells.

    Raises
    ------
    ValueError
        If network and cells share no gene, no target can be predicted, `by` is not a column or has one value, or a
        number is out of range.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> factors = rng.normal(size=(300, 40))
    >>> targets = factors[:, :5] + rng.normal(size=(300, 5))
    >>> names = [f"TF{i}" for i in range(40)] + [f"G{i}" for i in range(5)]
    >>> cells = anndata.AnnData(np.hstack([factors, targets]), var=pd.DataFrame(index=names))
    >>> edges = [(f"TF{i}", f"G{j}", 1.0 if i == j else 0.01) for i in range(40) for j in range(5)]
    >>> network = pd.DataFrame(edges, columns=["source", "target", "weight"])
    >>> found = score_prediction(network, cells, top_k=1)
    >>> found.low > 0.3
    True
    """
    _check({"top_k": top_k, "n_random": n_random, "n_folds - 1": n_folds - 1}, penalty, level)
    rng = np.random.default_rng(seed)
    values, kept, told = _values(cells, layer)
    folds = _folds(cells, kept, by, n_folds, rng)
    weights, genes, values = _shared(network, cells, values)
    usable = (values != 0).sum(axis=0) >= MIN_CELLS
    usable &= np.ptp(values, axis=0) > 0
    chosen = _chosen(weights, usable, top_k, rng)
    places = np.flatnonzero([len(one) > 0 for one in chosen])
    if n_targets is not None and places.size > n_targets:
        places = np.sort(rng.choice(places, n_targets, replace=False))
    pool = np.flatnonzero(usable & _is_regulator(weights))
    sets = _with_random(places, chosen, pool, values.mean(axis=0), n_random, rng)
    if not sets:
        raise ValueError(
            f"no gene can be predicted: of {counted(len(genes), 'shared gene')}, {int(usable.sum()):,} are expressed "
            f"in at least {MIN_CELLS} of {counted(len(values), 'cell')}, and {pool.size:,} of these are regulators "
            "with an edge; at least two regulators are needed, one of them no regulator of the target"
        )
    r2 = _explained(values, folds, sets, penalty)
    table = pd.DataFrame(
        {
            "r2": r2[:, 0],
            "r2_random": r2[:, 1:].mean(axis=1),
            "gain": r2[:, 0] - r2[:, 1:].mean(axis=1),
            "n_regulators": [regulators.shape[1] for _, regulators in sets],
        },
        index=pd.Index(genes[[target for target, _ in sets]], name="target"),
    )
    left_out = places.size - len(sets)
    notes = [told] if told else []
    if left_out:
        notes.append(f"{counted(left_out, 'target')} left out: no other regulators are like those of the network")
    low, high = _interval(table["gain"].to_numpy(), level)
    n_used = int(folds.max()) + 1
    return Prediction(float(table["gain"].mean()), low, high, level, table, len(values), n_used, tuple(notes))


def hold_out(cells: AnnData, *, share: float = 0.2, by: str | None = None, seed: int = 0) -> NDArray[np.bool_]:
    """Choose cells that no network is inferred from, to score its predictions with.

    Parameters
    ----------
    cells
        Cells with their table obs.
    share
        Share of the cells to hold out, above 0 and below 1.
    by
        Column of obs, such as donor or batch, whose values are held out whole, in a random order, until the share is
        reached; at least one value is left. None: cells at random.
    seed
        Seed for the choice.

    Returns
    -------
    numpy.ndarray
        Whether each cell is held out, (cells,) bool.

    Raises
    ------
    ValueError
        If the share is out of range, `by` is not a column, or has one value only.
    """
    if not 0 < share < 1:
        raise ValueError(f"share = {share} is not between 0 and 1: 0.2 holds out a fifth of the cells")
    rng = np.random.default_rng(seed)
    held = np.zeros(cells.n_obs, dtype=bool)
    wanted = max(1, round(share * cells.n_obs))
    if by is None:
        held[rng.permutation(cells.n_obs)[:wanted]] = True
        return held
    codes, sizes = _batches(cells, by, np.ones(cells.n_obs, dtype=bool))
    for batch in rng.permutation(sizes.size)[:-1]:
        held |= codes == batch
        if held.sum() >= wanted:
            break
    return held


def _check(counts: dict[str, int], penalty: float, level: float) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} is at least 1, got {value}")
    if not penalty > 0:
        raise ValueError(f"penalty = {penalty} is not above 0: without it few cells fit any regulators")
    if not 0 < level < 1:
        raise ValueError(f"level = {level} is not between 0 and 1: 0.95 gives a 95 % interval")


def _values(cells: AnnData, layer: str | None) -> tuple[NDArray[np.float64], NDArray[np.bool_], str]:
    # Log-normalised values, which cells they are of, and what there is to say of it.
    if layer is not None and layer not in cells.layers:
        raise ValueError(f"there is no layer {layer!r}; there are {listed(filter(None, cells.layers)) or 'none'}")
    X: Any = cells.X if layer is None else cells.layers[layer]
    values, transform = expression(X, "log")
    kept = np.ones(cells.n_obs, dtype=bool)
    if len(values) < cells.n_obs:
        kept = np.asarray(X.sum(axis=1)).ravel() > 0
    return values, kept, "" if transform == "log1p of counts per 10,000" else f"expression: {transform}"


def _batches(cells: AnnData, by: str, kept: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    # Number of each cell's batch, and the cells of each.
    if by not in cells.obs:
        raise ValueError(f"there is no column {by!r} in obs; there are {listed(cells.obs.columns) or 'none'}")
    column = cells.obs[by][kept]
    if column.isna().any():
        raise ValueError(f"{counted(int(column.isna().sum()), 'cell')} of {len(column):,} have no value of obs[{by!r}]")
    codes, found = pd.factorize(column.astype(str), sort=True)
    if len(found) < 2:
        raise ValueError(f"obs[{by!r}] is {listed(found)} for all cells: leave it out to deal out cells at random")
    return codes, np.bincount(codes)


def _folds(
    cells: AnnData, kept: NDArray[np.bool_], by: str | None, n_folds: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    # The fold of each cell; batches go to the smallest fold so far, the largest first.
    n = int(kept.sum())
    if by is None:
        return rng.permutation(np.arange(n) % min(n_folds, n))
    codes, sizes = _batches(cells, by, kept)
    filled = np.zeros(min(n_folds, sizes.size), dtype=np.intp)
    fold_of = np.zeros(sizes.size, dtype=np.intp)
    for batch in np.argsort(-sizes, kind="stable"):
        fold_of[batch] = filled.argmin()
        filled[fold_of[batch]] += sizes[batch]
    return fold_of[codes]


def _shared(network: Any, cells: AnnData, values: NDArray[np.float64]) -> tuple[Any, pd.Index, NDArray[np.float64]]:
    # The part of the network between genes that both have, their names, and their expression.
    net = as_network(network)
    pairs = [
        (ours[~ours.duplicated(keep=False) & (ours != "")], ours, theirs)
        for ours in net.namings.values()
        for theirs in namings_of(cells).values()
    ]
    shared, ours, theirs = max(
        ((names[names.isin(theirs[~theirs.duplicated(keep=False)])], ours, theirs) for names, ours, theirs in pairs),
        key=lambda one: len(one[0]),
    )
    if not len(shared):
        raise ValueError(
            f"the network and the cells share no gene: the network's are {listed(ours[:3])}, ..., the cells' "
            f"{listed(theirs[:3])}, ...; put names of the same kind into var['symbol'] or var_names"
        )
    rows, columns = ours.get_indexer_for(shared), theirs.get_indexer_for(shared)
    matrix = net.matrix[rows][:, rows] if is_sparse(net.matrix) else net.matrix[np.ix_(rows, rows)]
    return matrix, shared, values[:, columns]


def _is_regulator(weights: Any) -> NDArray[np.bool_]:
    return np.asarray(abs(weights).sum(axis=1)).ravel() > 0


def _chosen(weights: Any, usable: NDArray[np.bool_], top_k: int, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    # The regulators of each gene with the largest absolute weights; equal ones in a random order.
    order = rng.permutation(len(usable))
    by_target = abs(weights).tocsc() if is_sparse(weights) else None
    found = []
    for target in range(len(usable)):
        if by_target is None:
            own = np.abs(np.asarray(weights[:, target]))
        else:
            own = np.asarray(by_target[:, [target]].todense()).ravel()
        own = np.where(usable, own, 0.0)
        own[target] = 0.0
        best = order[np.argsort(-own[order], kind="stable")[:top_k]]
        found.append(best[own[best] > 0] if usable[target] else best[:0])
    return found


def _with_random(
    targets: NDArray[np.intp],
    chosen: Sequence[NDArray[np.intp]],
    pool: NDArray[np.intp],
    mean: NDArray[np.float64],
    n_random: int,
    rng: np.random.Generator,
) -> list[tuple[int, NDArray[np.intp]]]:
    """Return each target with its regulators, (1 + draws, regulators): the network's first, then random ones."""
    found = []
    for target in targets.tolist():
        own = chosen[target]
        others = pool[~np.isin(pool, np.append(own, target))]
        if others.size < own.size:
            continue
        others = others[np.argsort(mean[others], kind="stable")]
        draws = np.empty((1 + n_random, own.size), dtype=np.intp)
        draws[0] = own
        for draw in range(1, 1 + n_random):
            left = others
            for place in rng.permutation(own.size):
                middle = int(np.searchsorted(mean[left], mean[own[place]]))
                start = min(max(0, middle - _NEIGHBOURS // 2), max(0, left.size - _NEIGHBOURS))
                taken = start + int(rng.integers(min(_NEIGHBOURS, left.size)))
                draws[draw, place] = left[taken]
                left = np.delete(left, taken)
        found.append((target, draws))
    return found


def _explained(
    values: NDArray[np.float64],
    folds: NDArray[np.intp],
    sets: Sequence[tuple[int, NDArray[np.intp]]],
    penalty: float,
) -> NDArray[np.float64]:
    """Return R² over all folds, (targets, 1 + draws), from sums of products alone: no cell is looked at twice."""
    n_sets = sets[0][1].shape[0]
    left, total = np.zeros((len(sets), n_sets)), np.zeros(len(sets))
    for fold in range(int(folds.max()) + 1):
        train, test = values[folds != fold], values[folds == fold]
        mean, spread = train.mean(axis=0), train.std(axis=0)
        spread[spread == 0] = 1.0
        train, test = (train - mean) / spread, (test - mean) / spread
        fitted, seen = train.T @ train / len(train), test.T @ test
        for number, (target, regulators) in enumerate(sets):
            within = (regulators[:, :, None], regulators[:, None, :])
            ridge = fitted[within] + penalty * np.eye(regulators.shape[1])
            slope = np.linalg.solve(ridge, fitted[regulators, target][:, :, None])[:, :, 0]
            fit = np.einsum("si,sij,sj->s", slope, seen[within], slope)
            left[number] += seen[target, target] - 2 * (slope * seen[regulators, target]).sum(axis=1) + fit
            total[number] += seen[target, target]
    return 1 - left / np.where(total > 0, total, 1.0)[:, None]


def _interval(gains: NDArray[np.float64], level: float) -> tuple[float, float]:
    from scipy.stats import t  # takes a second to import

    if len(gains) < 2:
        return float("nan"), float("nan")
    reach = float(t.ppf((1 + level) / 2, len(gains) - 1) * gains.std(ddof=1) / np.sqrt(len(gains)))
    return float(gains.mean()) - reach, float(gains.mean()) + reach
