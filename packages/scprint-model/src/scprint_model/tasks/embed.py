"""Cell embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from anndata import AnnData

from scdataloader.expression import with_counts
from scdataloader.labels import SUFFIX
from scprint_model._provenance import in_uns, step, steps_of
from scprint_model.checkpoints.identity import identity
from scprint_model.checkpoints.standardisation import Standardisation
from scprint_model.model import ScPrint
from scprint_model.tables import tables
from scprint_model.tasks.encode import NOT_RECORDED, EncodedCells, Settings, class_names, in_context, stream


def embed(
    model: ScPrint,
    adata: AnnData,
    *,
    token: Sequence[str] | str | None = None,
    logits: str | None = None,
    standardise: bool | None = None,
    key: str = "X_scprint",
    layer: str | None = None,
    counts: str = "X",
    round: bool = False,  # noqa: A002 (the option's name)
    context: int | None = None,
    batch_size: int = 32,
    seed: int = 0,
    draws: int = 1,
    encoded: EncodedCells | None = None,
) -> np.ndarray:
    """Write each cell's embedding to ``adata.obsm[key]``, and what made it to ``adata.uns["provenance_steps"]``.

    The cells are read a part at a time, in memory or from a file, and nothing but the embedding asked for is kept.

    Parameters
    ----------
    model, adata
        Model and cells; see `scprint_model.tasks.encode`. A cell without any count of a gene that the model knows gets
        what the model makes of such a cell; the log says how many there are.
    token
        Cell token to take: ``"mean"`` of all; the name of one, such as ``"cell_type"`` or ``"base"``, or of several,
        whose mean is taken; ``"published"``: the mean that the authors of a published checkpoint take, of the classes
        that it names in its option ``pred_embedding``; or ``"all"``: one entry ``<key>_<token>`` for each. None: the
        mean of the tokens that are told the cell's whole profile, such as ``base`` and ``cell_type`` of the bundled
        model; of all tokens, where the model has no profile, as published ones.
    logits
        Class whose logits are the embedding, one dimension a leaf label, which removes more of the batch effects;
        `token` is not used then.
    standardise
        Whether to bring each number of a token to mean 0 and standard deviation 1 over the cells that the model's own
        statistics are of, before tokens are averaged, so that none drowns the others. None: where the model carries
        such statistics, as the bundled one does.
    key
        Name in ``obsm``; for ``"all"`` its start.
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
        Number of contexts of each cell, with the seeds from `seed` on: the embedding is the mean over them, and
        ``obs["<entry>_spread"]`` its spread, the root of the summed variances of its numbers between contexts.
    encoded
        Result of `encode` for these cells, if it was run already; `context`, `batch_size` and `seed` are not used then.

    Returns
    -------
    numpy.ndarray
        The same float32 array, shape (n_cells, d), with `logits` (n_cells, n_leaves), with ``"all"`` (n_cells, T, d).

    Raises
    ------
    ValueError
        When the model has no such token or class, or no statistics to standardise by.

    Notes
    -----
    scPRINT paper, Methods, "The bottleneck learning task": the logits of cell type, disease or assay, which have many
    labels, as the embedding, which removes more of the batch effects (its Supplementary Figure S7).
    """
    cells = with_counts(adata, layer=layer, counts=counts, round=round)
    token, standardise = read_out(model, token, standardise, logits)
    told = step(embed, locals(), model=identity(model), inputs=[cells], skip=NOT_RECORDED)
    record = in_uns([*steps_of(cells.uns), in_context(told, model, encoded)])
    tables(model)
    names = [name.removesuffix(SUFFIX) for name in model.token_names]
    if not isinstance(token, str) and len(token) == 1:
        token = token[0]
    each = token == "all"
    if logits is not None:
        if token != "mean":
            raise ValueError(f"token={token!r} and logits={logits!r} are two embeddings: ask for one of them")
        classes = class_names(model, [logits])
        shape: tuple[int, ...] = (model.config.class_sizes[classes[0]],)
    else:
        classes = ()
        shape = (len(names), model.config.d_model) if each else (model.config.d_model,)
    places = _places(model, token, names)
    scaled = _scaling(model, wanted=standardise, logits=logits)
    result = np.empty((adata.n_obs, *shape), dtype=np.float32)
    done = 0
    settings: Settings = {"context": context, "batch_size": batch_size, "seed": seed, "draws": draws}

    def entry(found: EncodedCells) -> np.ndarray:
        if classes:
            return found.class_logits[classes[0]]
        tokens = found.embeddings if scaled is None else scaled(found.embeddings)
        return tokens if each else tokens[:, places].mean(axis=1)

    spread = np.empty(result.shape[:-1], dtype=np.float32)
    for batch in stream(model, cells, **settings, classes=classes, description="embedding cells", encoded=encoded):
        rows = slice(done, done + len(batch.empty))
        result[rows] = entry(batch)
        if batch.drawn:
            spread[rows] = np.sqrt(np.var([entry(one) for one in batch.drawn], axis=0, ddof=1).sum(axis=-1))
        done = rows.stop
    if each:
        made = {f"{key}_{name}": (result[:, i], spread[:, i]) for i, name in enumerate(names)}
    else:
        made = {key: (result, spread)}
    for name, (values, between) in made.items():
        adata.obsm[name] = values
        if draws > 1:
            adata.obs[f"{name}_spread"] = between
    adata.uns.update(record)
    return result


def read_out(
    model: ScPrint, token: Sequence[str] | str | None, standardise: bool | None, logits: str | None = None
) -> tuple[Sequence[str] | str, bool]:
    """Return the tokens that are meant, and whether they are standardised: what is None is the model's own choice."""
    if standardise is None:
        standardise = model.standardisation is not None and logits is None
    if token is None:
        token = list(model.config.profile_tokens) if logits is None and model.config.profile_tokens else "mean"
    return token, standardise


def _scaling(model: ScPrint, *, wanted: bool, logits: str | None) -> Standardisation | None:
    """Return what standardises the tokens; None where that is not wanted."""
    if not wanted:
        return None
    if logits is not None:
        raise ValueError(f"standardise=True is of tokens, and logits={logits!r} are none: leave one of them out")
    if model.standardisation is None:
        raise ValueError(
            "standardise=True needs mean and spread of the model's embedding, which it lacks, as models of older "
            "versions and published checkpoints do: measure them once on cells that stand for all, with "
            "tasks.standardise(model, cells)"
        )
    return model.standardisation


def _places(model: ScPrint, token: Sequence[str] | str, names: list[str]) -> list[int]:
    """Return the places of the tokens that are meant among all, which have these names."""
    if token in ("mean", "all"):
        return list(range(len(names)))
    asked = [token] if isinstance(token, str) else list(token)
    if token == "published":
        options = model.card.get("options", {})
        if "pred_embedding" not in options:
            raise ValueError(
                "token='published' is the mean over the classes that a published checkpoint names in its option "
                "pred_embedding, which this model's card does not have: name the tokens"
            )
        # the authors take an empty list for all classes
        asked = list(options["pred_embedding"] or model.config.class_sizes)
    wanted = [name.removesuffix(SUFFIX) for name in asked]
    if not wanted or len(set(wanted)) < len(wanted):
        raise ValueError(f"token={token!r} must name tokens, each once")
    if unknown := [name for name in wanted if name not in names]:
        there = ", ".join(map(repr, ("mean", "all", *names, "published")))
        raise ValueError(f"token={unknown[0]!r} is not one of {there}")
    return [names.index(name) for name in wanted]
