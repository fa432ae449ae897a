"""Which attention heads a network is made of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from grnndata.atomic import atomic_path
from scprint_model.model import ScPrint
from scprint_model.networks.attention import Combine, Head
from scprint_model.networks.listen import self_attentions


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
    """

    heads: tuple[Head, ...]
    n_layers: int
    n_heads: int
    scores: dict[str, float] = field(default_factory=dict)
    truth: str = ""
    split: str = ""

    def save(self, path: Path | str) -> None:
        """Write a JSON file, for example beside the model's weights; atomic."""
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

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
            return cls(heads=heads, **values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path} is not a saved selection of heads: {error!r}") from error


#: Which heads, and what becomes of them: all, as mean, maximum or one network each; or the mean of some.
type Heads = Literal["mean", "max", "all"] | HeadSelection | Sequence[Head]


def choose_heads(model: ScPrint, heads: Heads, layers: Sequence[int] | None = None) -> tuple[tuple[Head, ...], Combine]:
    """Return the heads that are meant, in order, and how they are combined.

    Parameters
    ----------
    model
        Whose layers with self-attention among genes count.
    heads
        ``"mean"``, ``"max"`` or ``"all"`` of all heads; or a selection, whose mean is taken.
    layers
        Only these, from 0, negative ones from the last; None: all.

    Raises
    ------
    ValueError
        When there is no such head or layer, or the selection was made for a model of another size.
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
