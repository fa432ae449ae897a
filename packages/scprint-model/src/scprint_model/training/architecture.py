"""The fields of a network's config that a training gives, looked at before any data are read."""

from __future__ import annotations

from typing import Any

from scprint_model.config import ModelConfig


def add_architecture(known: dict[str, Any], more: dict[str, Any]) -> None:
    """Merge other fields in, and let `ModelConfig` look at all of them before any data are read."""
    twice = sorted(known.keys() & more.keys())
    if twice:
        raise ValueError(f"model.architecture has {twice}, which are options of their own: set model.{twice[0]}")
    fixed = sorted({"n_genes", "class_sizes"} & more.keys())
    if fixed:
        raise ValueError(f"model.architecture has {fixed}, which the data decide: leave them out")
    known |= more
    # those of the data are not known yet
    named = [*more.get("bottleneck_sizes", {}), *(name for name in more.get("profile_tokens", ()) if name != "base")]
    classes = dict.fromkeys(named, 1)
    ModelConfig.from_dict({"n_genes": 1, "class_sizes": classes, **known})
