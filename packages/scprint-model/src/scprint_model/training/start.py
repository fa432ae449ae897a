"""The network that a training starts from: a trained one's weights, for the genes and labels of other data."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scdataloader import GeneVocabulary, LabelSpace
from scprint_model._wording import listed
from scprint_model.checkpoints.folder import TRAINING_CELLS
from scprint_model.checkpoints.open import locate
from scprint_model.config import ModelConfig
from scprint_model.finetuning.extend import FEATURE_ROWS, extend_vocabulary, new_rows
from scprint_model.layers.position_encoder import sinusoid
from scprint_model.model import ScPrint
from scprint_model.tables import tables

logger = logging.getLogger(__name__)

#: Options of `PretrainingModule` which a trained model settles.
SETTLED = (
    "size",
    "d_model",
    "n_layers",
    "n_heads",
    "n_kv_heads",
    "architecture",
    "shared_rows",
    "gene_embedding_std",
    "gene_embeddings",
    "gene_features",
)


#: Weights that are taken over gene by gene, or token by token.
_BY_GENE = ("gene_encoder.table", "gene_encoder.rows", "position_encoder.", "class_tokens.")


def check_start(start_from: str, options: Mapping[str, Any]) -> None:
    """Raise where the model does not exist, or options contradict it; before any data are read."""
    settled = [name for name in SETTLED if options[name] not in (None, {})]
    if settled:
        raise ValueError(
            f"model.start_from={start_from!r} brings what {', '.join(f'model.{name}' for name in settled)} would set: "
            "leave that out, or train from random weights"
        )
    locate(start_from)


def started(
    start_from: str, vocabulary: GeneVocabulary, labels: LabelSpace, **changes: Any
) -> tuple[ScPrint, np.ndarray]:
    """Open a trained model and begin with its weights; see `start_from_model`.

    Returns
    -------
    model
        Network for the data's genes and labels, whose card says what it started from.
    cells
        Fingerprints of the cells that the model was trained on, uint64; none where it does not tell.
    """
    found = locate(start_from)
    trained = ScPrint.from_pretrained(start_from)
    network = start_from_model(trained, vocabulary, labels, **changes)
    network.card = {"started_from": {"model": start_from, "card": trained.card}}
    told = (found.path if found.path.is_dir() else found.path.parent) / TRAINING_CELLS
    known = found.is_ours and told.exists()
    return network, np.load(told) if known else np.empty(0, dtype=np.uint64)


@torch.no_grad()
def start_from_model(model: ScPrint, vocabulary: GeneVocabulary, labels: LabelSpace, **changes: Any) -> ScPrint:
    """Return a network over other genes and labels that begins with the weights of a trained one.

    Genes are matched by their ids, classes by name, and labels within a class by their terms. What both know has the
    trained weights to the last bit. A new gene starts as `scprint_model.finetuning.extend.new_rows` says, a new class
    or label as in a fresh network. So does the head of a class in `ModelConfig.all_token_classes` where the data's
    classes are not those of the model: it is a linear map of just these tokens. What the trained network alone knows is
    left out. All this is logged.

    Parameters
    ----------
    model
        Trained network, which is not changed.
    vocabulary, labels
        Genes and labels of the data, in the order that their batches use.
    changes
        Fields of `ModelConfig` that take no part in the weights, such as ``dropout``.

    Returns
    -------
    ScPrint
        The network, on the CPU.

    Raises
    ------
    ValueError
        When the model has no gene of the data, or does not know what its own genes and labels are.
    """
    known, known_labels = tables(model)
    old_at = {gene: i for i, gene in enumerate(known.ids)}
    old = torch.tensor([old_at.get(gene, -1) for gene in vocabulary.ids])
    if not (old >= 0).any():
        raise ValueError(
            f"none of the data's {len(vocabulary):,} genes ({listed(vocabulary.ids[:3])}) is among the model's "
            f"{len(known):,} ({listed(known.ids[:3])}): it was trained on another organism"
        )
    config = _config(model.config, vocabulary, labels, changes)
    weights = {key: value.detach().cpu() for key, value in model.state_dict().items()}
    for name in sorted(set(model.config.all_token_classes) - set(config.all_token_classes)):
        logger.info("class %r: its head, a linear map of all tokens, is not taken over", name)
        weights = {key: value for key, value in weights.items() if not key.startswith(f"class_heads.{name}.")}
    positions = _positions(weights, model, vocabulary, old)
    rows = torch.tensor(vocabulary.shared_rows) if "gene_encoder.rows" in weights else None
    made = ScPrint(config, gene_positions=positions, gene_rows=rows)
    start = made.state_dict()
    genes_gd = _gene_table(model, known, vocabulary)
    for key in FEATURE_ROWS & weights.keys():
        values_g = weights[key][model.gene_encoder.rows_of(old.clamp(min=0)).cpu()]
        values_g[old < 0] = 0
        start[key] = values_g if rows is None else _first_of_each(values_g, rows, old)
    start["gene_encoder.table.weight"] = genes_gd if rows is None else _first_of_each(genes_gd, rows, old)
    tokens = {name: 1 + i for i, name in enumerate(model.config.class_sizes)} | {"base": 0}
    for i, name in enumerate(("base", *config.class_sizes)):
        if name in tokens:
            start["class_tokens.weight"][i] = weights["class_tokens.weight"][tokens[name]]
    for key, value in start.items():
        if key.startswith(_BY_GENE) or key in FEATURE_ROWS or key not in weights:
            continue
        if weights[key].shape == value.shape and not _is_head(key):
            start[key] = weights[key]
        elif _is_head(key):
            name = key.split(".")[1]
            at = {term: code for code, term in enumerate(known_labels.classes[name].leaves)}
            for code, term in enumerate(labels.classes[name].leaves):
                if term in at:
                    value[code] = weights[key][at[term]]
    made.load_state_dict(start, strict=True)
    _tell(old, known, known_labels, labels)
    return made


def _config(old: ModelConfig, vocabulary: GeneVocabulary, labels: LabelSpace, changes: dict[str, Any]) -> ModelConfig:
    sizes = dict(labels.sizes)
    bottlenecks = {name: size for name, size in old.bottleneck_sizes.items() if name in sizes}
    return replace(
        old,
        n_genes=len(vocabulary),
        class_sizes=sizes,
        all_token_classes=old.all_token_classes if list(sizes) == list(old.class_sizes) else (),
        bottleneck_sizes=bottlenecks,
        **changes,
    )


def _is_head(key: str) -> bool:
    """Say whether a weight has a row for each label of a class."""
    return key.startswith("class_heads.") and ".out." in key


def _gene_table(model: ScPrint, known: GeneVocabulary, vocabulary: GeneVocabulary) -> Tensor:
    """Return the embedding of each gene of the data, (n_genes, d): the model's, or that of a new gene."""
    longer = extend_vocabulary(known, vocabulary, ())
    at = {gene: i for i, gene in enumerate(longer.ids)}
    device = model.gene_encoder.table.weight.device
    trained = model.gene_encoder.deviations(torch.arange(len(known), device=device)).float().cpu()
    every = torch.cat((trained, new_rows(model, longer))) if len(longer) > len(known) else trained
    return every[[at[gene] for gene in vocabulary.ids]]


def _first_of_each(genes_gd: Tensor, rows: Tensor, old: Tensor) -> Tensor:
    """Return the embedding of each shared row: that of its first gene which the model knows, else of its first gene."""
    order = torch.argsort((old < 0).int(), stable=True).flip(0)  # what comes later is kept: known genes, the first last
    table = torch.empty(int(rows.max()) + 1, *genes_gd.shape[1:])
    for i in order.tolist():
        table[rows[i]] = genes_gd[i]
    return table


def _positions(weights: dict[str, Tensor], model: ScPrint, vocabulary: GeneVocabulary, old: Tensor) -> Tensor:
    """Return location indices, or where the model keeps a table of its own, this table for the data's genes."""
    locations = torch.tensor(vocabulary.locations)
    table = sinusoid(locations, model.config.d_model)
    theirs = model.position_encoder.table.detach().cpu()
    known = old >= 0
    if "position_encoder.table" not in weights and torch.equal(table[known], theirs[old[known]]):
        return locations
    table[known] = theirs[old[known]].to(table.dtype)
    return table


def _tell(old: Tensor, known: GeneVocabulary, known_labels: LabelSpace, labels: LabelSpace) -> None:
    """Log what is new and what is left out."""
    n_known = int((old >= 0).sum())
    logger.info(
        "the training starts from a model's weights: %d of %d genes of the data are the model's, %d are new; %d genes "
        "of the model are not in the data",
        n_known,
        len(old),
        len(old) - n_known,
        len(known) - n_known,
    )
    for name in sorted(known_labels.classes.keys() | labels.classes.keys()):
        before, now = known_labels.classes.get(name), labels.classes.get(name)
        if before is None or now is None:
            logger.info("class %r is %s", name, "new" if before is None else "left out: the data have no such labels")
            continue
        new, gone = (sorted(set(a.leaves) - set(b.leaves)) for a, b in ((now, before), (before, now)))
        if new or gone:
            logger.info("class %r: new labels [%s], left out [%s]", name, listed(new), listed(gone))
