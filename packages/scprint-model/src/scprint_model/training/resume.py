"""A training that continues from a checkpoint: what it belongs to, and random numbers that depend on the step alone."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from scdataloader import GeneVocabulary, LabelSpace
from scprint_model.config import ModelConfig


def identity(config: ModelConfig, vocabulary: GeneVocabulary, labels: LabelSpace) -> dict[str, Any]:
    """Return what goes into a checkpoint: the config, the genes and the labels, as plain values."""
    return {
        "config": config.to_dict(),
        "genes": list(vocabulary.ids),
        "labels": {name: [*space.leaves, *space.parents] for name, space in labels.classes.items()},
    }


def check_identity(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Raise ValueError where a checkpoint is of other genes, labels or sizes than the present model."""
    problems = []
    if theirs["genes"] != ours["genes"]:
        lost = sorted(set(theirs["genes"]) - set(ours["genes"]))
        new = sorted(set(ours["genes"]) - set(theirs["genes"]))
        how = f"{len(lost)} of its genes are missing now{_such(lost)}, {len(new)} are new{_such(new)}"
        problems.append(
            f"the checkpoint has a vocabulary of {len(theirs['genes']):,} genes, the data one of "
            f"{len(ours['genes']):,}: {how if lost or new else 'the same genes in another order'}; pass the "
            "vocabulary it was trained with (data.corpus.vocabulary) or the same data.organisms"
        )
    for name in sorted(theirs["labels"].keys() | ours["labels"].keys()):
        before, now = theirs["labels"].get(name), ours["labels"].get(name)
        if before is None or now is None:
            problems.append(f"class {name!r} is in {'the checkpoint' if now is None else 'the data'} only")
        elif before != now:
            other = sorted(set(before) ^ set(now))
            problems.append(
                f"class {name!r} had {len(before)} labels, the data give {len(now)}"
                f"{_such(other) if other else ', in another order'}; pass the label space it was trained with "
                "(data.corpus.label_space)"
            )
    if list(theirs["labels"]) != list(ours["labels"]) and theirs["labels"].keys() == ours["labels"].keys():
        problems.append(f"the classes come in another order: {list(theirs['labels'])} then {list(ours['labels'])}")
    # sizes that follow from genes and labels were told above
    skip = {"n_genes", "class_sizes"}
    other_fields = {
        key: (theirs["config"].get(key), ours["config"].get(key))
        for key in sorted((theirs["config"].keys() | ours["config"].keys()) - skip)
        if theirs["config"].get(key) != ours["config"].get(key)
    }
    problems += [f"model.{key} was {before!r}, is {now!r}" for key, (before, now) in other_fields.items()]
    if problems:
        raise ValueError("the checkpoint does not fit this training: " + "; ".join(problems))


def _such(values: list[str]) -> str:
    return f", such as {values[:3]}" if values else ""


def seed_step(seed: int, *, epoch: int, batch: int, rank: int) -> None:
    """Seed torch's (on all devices), numpy's and Python's global generators for one training step.

    So dropout, noise and all else drawn in a step depend on nothing that was drawn before it: a training that continues
    from a checkpoint draws what it would have drawn without the break, wherever the break was, and no generator's
    state needs to be kept. Processes draw different numbers.
    """
    for_torch, for_others = _step_seeds(seed, epoch, batch, rank)
    torch.manual_seed(for_torch)
    np.random.seed(for_others)  # noqa: NPY002 (the global one, for whoever uses it)
    random.seed(for_others)


def shared_generator(seed: int, *, epoch: int, batch: int, rank: int) -> torch.Generator | None:
    """Return a generator that gives every process the numbers which process 0 draws first in a step.

    It is on the CPU. Process 0 gets None: it draws them from torch's global generator, as :func:`seed_step` left it.
    """
    if rank == 0:
        return None
    return torch.Generator().manual_seed(_step_seeds(seed, epoch, batch, 0)[0])


def _step_seeds(seed: int, epoch: int, batch: int, rank: int) -> tuple[int, int]:
    words = np.random.SeedSequence([seed, epoch, batch, rank]).generate_state(3, np.uint32)
    return int(words[0]) << 32 | int(words[1]), int(words[2])
