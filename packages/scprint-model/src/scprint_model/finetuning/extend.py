"""A network for a longer vocabulary and a larger label space, which gives what the old one gave for what both know."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from scdataloader import GeneVocabulary, LabelSpace
from scprint_model.layers.class_head import AllTokensHead
from scprint_model.layers.position_encoder import sinusoid
from scprint_model.model import ScPrint

logger = logging.getLogger(__name__)

#: Genes in both the model and the protein table from which the map between the two is fitted, per dimension.
GENES_PER_DIMENSION = 4
#: Of the spread of the model's rows: how far rows of genes of which nothing is known lie from their mean.
NOISE = 0.1


def extend_vocabulary(
    known: GeneVocabulary, genes: GeneVocabulary | Path | str | None, organisms: Sequence[str]
) -> GeneVocabulary:
    """Return a vocabulary with the genes of `known` first, in their order, and then those that it has not.

    Parameters
    ----------
    known
        The model's.
    genes
        Further genes: a vocabulary, or a file of one.
    organisms
        Organisms whose protein-coding genes are added; see `GeneVocabulary.for_organisms`.
    """
    parts = [known]
    if genes is not None:
        parts.append(genes if isinstance(genes, GeneVocabulary) else GeneVocabulary.load(genes))
    if organisms:
        parts.append(GeneVocabulary.for_organisms(list(organisms)))
    rows: dict[str, tuple[str, str, int]] = {}
    for part in parts:
        for gene, symbol, organism, location in zip(
            part.ids, part.symbols, part.organisms, part.locations.tolist(), strict=True
        ):
            rows.setdefault(gene, (symbol, organism, location))
    if len(rows) == len(known):
        return known
    symbols, taxa, locations = zip(*rows.values(), strict=True)
    return GeneVocabulary(tuple(rows), symbols, taxa, np.array(locations, dtype=np.int32))


@torch.no_grad()
def new_rows(
    model: ScPrint, vocabulary: GeneVocabulary, *, embeddings: Path | str | None = None, seed: int = 0
) -> Tensor:
    """Return what the gene table holds for the genes of `vocabulary` behind the model's own; (n_new, d) float32.

    In this order, the first that there is:

    1. The gene's protein embedding, brought to the model's width and by a linear map (ridge regression over the model's
       own genes in the table) to where the model has its genes. With few such genes: scaled to the model's spread.
    2. The row of a gene of the model with the same symbol, upper or lower case: mostly an ortholog.
    3. The mean of all rows, plus normal noise of a tenth of their spread, drawn from the gene's id and `seed`.

    Parameters
    ----------
    model
        With its own vocabulary, the first genes of `vocabulary`.
    vocabulary
        See `extend_vocabulary`.
    embeddings
        Table of ``scprint gene-embeddings``; see `scprint_model.gene_embeddings.load_table`.
    seed
        Seed for the noise.
    """
    n_old, d = model.config.n_genes, model.config.d_model
    old_gd = model.gene_encoder(torch.arange(n_old, device=model.gene_encoder.table.weight.device)).float().cpu()
    ids, symbols = vocabulary.ids[n_old:], vocabulary.symbols[n_old:]
    mean, spread = old_gd.mean(dim=0), old_gd.std(dim=0, correction=0)
    by_symbol = {symbol.upper(): i for i, symbol in reversed(list(enumerate(vocabulary.symbols[:n_old]))) if symbol}
    rows, orthologs = torch.empty(len(ids), d), 0
    for i, (gene, symbol) in enumerate(zip(ids, symbols, strict=True)):
        twin = by_symbol.get(symbol.upper()) if symbol else None
        if twin is not None:
            rows[i] = old_gd[twin]
            orthologs += 1
        else:
            words = np.frombuffer(gene.encode(), dtype=np.uint8).tolist()
            noise = np.random.default_rng([seed, *words]).standard_normal(d)
            rows[i] = mean + NOISE * spread * torch.from_numpy(noise).float()
    n_proteins = 0
    if embeddings is not None:
        from scprint_model.gene_embeddings import load_table

        table_gd, found = load_table(embeddings, vocabulary, d)
        mapped = _to_model(table_gd.float(), found, old_gd)
        own = found[n_old:]
        rows[own] = mapped[n_old:][own]
        n_proteins = int(own.sum())
    logger.info(
        "%d new genes: %d from proteins; of all, %d have the symbol of a known gene", len(ids), n_proteins, orthologs
    )
    return rows


def _to_model(table_gd: Tensor, found: Tensor, old_gd: Tensor) -> Tensor:
    """Bring protein embeddings to where the model has its genes; both in float64, all rows of the table."""
    x, y = table_gd.double(), old_gd.double()
    shared = found[: len(y)].nonzero().squeeze(1)
    d = x.shape[1]
    if len(shared) < GENES_PER_DIMENSION * d:
        scale = y.std(dim=0, correction=0).mean() / x[found].std(dim=0, correction=0).mean().clamp(min=1e-12)
        return ((x - x[found].mean(dim=0)) * scale + y.mean(dim=0)).float()
    x_mean, y_mean = x[shared].mean(dim=0), y[shared].mean(dim=0)
    a, b = x[shared] - x_mean, y[shared] - y_mean
    gram = a.T @ a
    ridge = 1e-6 * gram.diagonal().mean() * torch.eye(d, dtype=gram.dtype)
    return ((x - x_mean) @ torch.linalg.solve(gram + ridge, a.T @ b) + y_mean).float()


#: Weights with a row for each row of the gene table, beside it.
FEATURE_ROWS = {"gene_encoder.features", "profile_encoder.weight", "profile_encoder.mean"}


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
        Model to extend, not changed.
    vocabulary
        The model's genes first, then new ones.
    labels
        The model's classes first, each with its leaves first; see `scprint_model.finetuning.labels.extend_space`.
    rows
        (n_new, d) of the gene table for new genes.
    tokens
        New class to the token (``"base"`` or an old class) whose placeholder it starts from; by default ``"base"``.
    seed
        Seed for the first weights of new heads.

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
        for key in FEATURE_ROWS & weights.keys():  # of new genes, no features are known
            weights[key] = torch.cat((weights[key], weights[key].new_zeros(n_new, *weights[key].shape[1:])))
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
            kept = weights[key]
            if kept.ndim == 2 and kept.shape[1] < value.shape[1]:  # a map of all tokens does not see the new ones
                kept = torch.cat((kept, kept.new_zeros(len(kept), value.shape[1] - kept.shape[1])), dim=1)
            weights[key] = torch.cat((kept, value[len(kept) :]))
    made.load_state_dict(weights, strict=True)
    made.vocabulary, made.label_space = vocabulary, labels
    made.context, made.card = model.context, dict(model.card)
    made.attention_backend = model.attention_backend
    made.gradient_checkpointing = model.gradient_checkpointing
    return made.eval()


def use_all_tokens(model: ScPrint, names: Sequence[str]) -> None:
    """Give classes a head that is one linear map of all cell tokens, in place, with weights of zero.

    A class whose head is such a map already keeps it.
    """
    d, n_tokens, old = model.config.d_model, len(model.token_names), model.config.all_token_classes
    for name in names:
        if name not in old:
            with torch.random.fork_rng(devices=[]):  # its first weights are drawn, and replaced
                head = AllTokensHead(n_tokens, d, model.config.class_sizes[name])
            nn.init.zeros_(head.out.weight)
            nn.init.zeros_(head.out.bias)
            model.class_heads[name] = head.to(model.class_tokens.weight.device)
    every = {*old, *names}
    model.config = replace(model.config, all_token_classes=tuple(n for n in model.config.class_sizes if n in every))


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
