"""Rows of the table on held-out cells: how well a network's regulators predict cells that it was not inferred from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bengrn.prediction import score_prediction

if TYPE_CHECKING:
    from anndata import AnnData


def prediction_rows(
    weights: Any, cells: AnnData, *, by: str | None, seed: int, is_symmetric: bool
) -> list[dict[str, Any]]:
    """Score how well a network's regulators predict cells that it was not inferred from.

    Parameters
    ----------
    weights
        Weights of the network, (genes, genes); row = regulator.
    cells
        Held-out cells × the same genes.
    by
        Column of obs whose cells stay together in one fold. Where all held-out cells have one value of it, folds are
        drawn from single cells, and the row says so.
    seed
        Seed for folds and random regulators.
    is_symmetric
        Whether the weights are the same in both directions.

    Returns
    -------
    list of dict
        One row. A network has no second one for its other orientation.
    """
    notes = []
    obs: Any = cells.obs
    if by is not None and obs[by].nunique() < 2:
        notes.append(f"the held-out cells are all of {by} {obs[by].iloc[0]}: folds are drawn from single cells")
        by = None
    found = score_prediction((weights, cells.var_names.tolist()), cells, by=by, seed=seed)
    row = {
        "orientation": "symmetric" if is_symmetric else "as stored",
        "status": "ok",
        "message": "; ".join([*notes, *found.notes]),
        "gain": found.gain,
        "gain_low": found.low,
        "gain_high": found.high,
        "n_targets": len(found.targets),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return [row]
