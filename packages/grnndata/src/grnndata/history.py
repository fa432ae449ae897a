"""The record of what made a network, carried on by whatever makes another one of it, or of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from anndata import AnnData

from ._provenance import Step, checksums_of_networks, in_uns, steps_of


def continued(grn: AnnData, made: Step) -> dict[str, str]:
    """Return the entry of ``uns`` of a network that was made of another one.

    Parameters
    ----------
    grn
        The network before. Where nothing is recorded of it, sizes and a checksum tell it as the input.
    made
        The step that was done to it, with its further inputs; see `grnndata._provenance.step`.
    """
    before = steps_of(grn.uns)
    return in_uns([*before, made | {"inputs": [*([] if before else [_sizes(grn)]), *made["inputs"]]}])


def put_together(objects: Mapping[str, AnnData], made: Step) -> dict[str, str]:
    """Return the entry of ``uns`` of what was made of several objects.

    The steps that all objects have in common come first. The inputs of the step that put them together are the objects,
    each with its name and the further steps that made it.

    Parameters
    ----------
    objects
        The objects by name.
    made
        The step that put them together; see `grnndata._provenance.step`.
    """
    histories = {name: steps_of(one.uns) for name, one in objects.items()}
    shared: list[Step] = []
    for at_this_place in zip(*histories.values(), strict=False):
        if any(one != at_this_place[0] for one in at_this_place):
            break
        shared.append(at_this_place[0])
    inputs = []
    for name, one in objects.items():
        inputs.append({"name": name} | told(one, histories[name][len(shared) :]))
    return in_uns([*shared, made | {"inputs": inputs}])


def told(grn: AnnData, steps: Sequence[Step] | None = None) -> dict[str, Any]:
    """Return a network as an input: its sizes, its checksum, and the steps that made it (by default, all)."""
    steps = steps_of(grn.uns) if steps is None else steps
    return _sizes(grn) | ({"steps": list(steps)} if steps else {})


def _sizes(grn: AnnData) -> dict[str, Any]:
    # without the cells' counts, which no tool changes, and which may be of millions
    return {"cells": grn.n_obs, "genes": grn.n_vars, "sha256_of_networks": checksums_of_networks(grn)}
