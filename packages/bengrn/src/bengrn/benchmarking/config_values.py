"""A configuration as it would stand in a YAML file, with paths that hold from anywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from bengrn._provenance import plain
from bengrn.benchmarking.config import Config, DataEntry, MethodEntry
from bengrn.benchmarking.entries import labelled


def values_of(config: Config) -> dict[str, Any]:
    """Return the names and values of a configuration, without those that have their default.

    Read again (:func:`bengrn.benchmarking.as_config.as_config`), they give the same configuration. Of cells, truths and
    methods that Python held as objects only the name stands there.
    """
    values = _told(config)
    forms: dict[str, Callable[[Any], Any]] = {"methods": _method, "datasets": _data, "truths": _told, "networks": _told}
    for name, told in forms.items():
        if name in values:
            values[name] = [told(one) for one in getattr(config, name)]
    limits = {name: values.pop(name) for name in ("time", "memory") if name in values}
    return values | ({"limits": limits} if limits else {})


def _method(entry: MethodEntry) -> Any:
    values = _told(entry)
    values.pop("method", None)
    if "place" in values:
        values["object"] = values.pop("place")
    told = dict(entry.settings) | ({"absolute": True} if entry.absolute else {})
    if entry.label == labelled(entry.name, told):
        values.pop("label", None)
    return values


def _data(entry: DataEntry) -> Any:
    values = _told(entry)
    if "gene_list" in values:
        values["genes"] = values.pop("gene_list")
    if entry.held_out is not None:
        values["held_out"] = {"share": entry.held_out.share} | _told(entry.held_out)
    if entry.truths is not None:
        values["truths"] = [_told(one) for one in entry.truths]
    return values


def _told(entry: Any) -> dict[str, Any]:
    held = ("cells", "loaded", "method")
    values: dict[str, Any] = {}
    for one in fields(entry):
        value = getattr(entry, one.name)
        if one.name in held or value is None or (isinstance(value, Mapping) and not value) or value == one.default:
            continue
        values[one.name] = str(value.absolute()) if isinstance(value, Path) else plain(value)
    return values
