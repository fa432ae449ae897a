"""A model with more genes, labels or classes than the one it is made of, all of whose weights it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from scdataloader import GeneVocabulary, LabelSpace
from scprint_model.layers.position_encoder import sinusoid
from scprint_model.model import ScPrint


@torch.no_grad()
def extend(
    model: ScPrint,
    vocabulary: GeneVocabulary,
    labels: LabelSpace,
    *,
    rows: Tensor | None = None,
    tokens: Mapping[str, str] | None = None,
    seed: int = 0,
) -> ScPrint:
    """Return a copy of a model over a larger vocabulary and label space, in evaluation mode, on the CPU.

    Weights of what the model had are the same to the last bit. With new genes only, so is every output for old genes.
    A new class brings a cell token that all others can read, so their outputs move a little.

    Parameters
    ----------
    model
        Not changed.
    vocabulary
        The model's genes first, then new ones.
    labels
        The model's classes first, each with its leaves first; see `scprint_model.finetuning.labels.extend_space`.
    rows
        (n_new, d) of the gene table for new genes.
    tokens
        New class to the token (``"base"`` or an old class) whose placeholder it starts from; by default ``"base"``.
    seed
        Of new heads' first weights.

    Raises
    ------
    ValueError
        When `rows` does not fit.
    """
    old = model.config
    n_new = len(vocabulary) - old.n_genes
    if (0 if rows is None else len(rows)) != n_new:
        raise ValueError(f"{n_new} genes are new, but rows has {None if rows is None else len(rows)}")
    sizes = {name: labels.sizes[name] for name in (*old.class_sizes, *labels.sizes)}
    config = replace(old, n_genes=len(vocabulary), class_sizes=sizes)
    weights = {key: value.detach().cpu() for key, value in model.state_dict().items()}
    gene_rows = weights.get("gene_encoder.rows")
    if n_new and rows is not None:
        table = weights["gene_encoder.table.weight"]
        if gene_rows is not None:
            gene_rows = torch.cat((gene_rows, torch.arange(len(table), len(table) + n_new)))
            weights["gene_encoder.rows"] = gene_rows
        weights["gene_encoder.table.weight"] = torch.cat((table, rows.to(table.dtype)))
    positions = _positions(model, vocabulary, n_new)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = ScPrint(config, gene_positions=positions, gene_rows=gene_rows)
    if positions.ndim == 2:
        weights["position_encoder.table"] = positions
    start = made.state_dict()
    weights["class_tokens.weight"] = _class_tokens(model, config.class_sizes, tokens or {})
    for key, value in start.items():
        if key not in weights:
            weights[key] = value
        elif key.startswith("class_heads.") and weights[key].shape != value.shape:
            weights[key] = torch.cat((weights[key], value[len(weights[key]) :]))
    made.load_state_dict(weights, strict=True)
    made.vocabulary, made.label_space = vocabulary, labels
    made.context, made.card = model.context, dict(model.card)
    made.attention_backend = model.attention_backend
    made.gradient_checkpointing = model.gradient_checkpointing
    return made.eval()


def _positions(model: ScPrint, vocabulary: GeneVocabulary, n_new: int) -> Tensor:
    """Return location indices, or where these would not give the old genes' encodings again, the ready table."""
    old = model.position_encoder.table.detach().cpu()
    locations = torch.tensor(vocabulary.locations)
    table = sinusoid(locations, model.config.d_model)
    given = "position_encoder.table" in model.state_dict()
    if not given and torch.equal(table[: len(old)], old):
        return locations
    return torch.cat((old, table[len(old) :])) if n_new else old


def _class_tokens(model: ScPrint, sizes: Mapping[str, int], tokens: Mapping[str, str]) -> Tensor:
    old = model.class_tokens.weight.detach().cpu()
    at = {name: 1 + i for i, name in enumerate(model.config.class_sizes)} | {"base": 0}
    new = [old[at[tokens.get(name, "base")]] for name in sizes if name not in model.config.class_sizes]
    return torch.cat((old, torch.stack(new))) if new else old
