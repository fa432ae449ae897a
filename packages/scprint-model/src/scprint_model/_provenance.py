"""The record of a result: the steps that made it, each with its task, parameters, model and inputs.

The same file stands in all four packages, and a test compares them.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

# The help of the command lines has to come at once: what reads files is imported where it is used.
if TYPE_CHECKING:
    from anndata import AnnData

#: Name of the record: in ``uns``, in JSON, and of the element of a page.
KEY = "provenance_steps"
#: File with the record of a folder, in it.
FOLDER_FILE = "provenance.json"
#: Cells that are read at a time, and entries of a network.
_BLOCK, _ENTRIES = 4096, 1 << 17
_PAGE = re.compile(rf'<script type="application/json" id="{KEY}">(.*?)</script>', re.DOTALL)

type Step = dict[str, Any]


def step(
    task: Callable[..., Any] | str,
    arguments: Mapping[str, Any],
    *,
    inputs: Iterable[Any] = (),
    model: Mapping[str, Any] | None = None,
    skip: Collection[str] = (),
) -> Step:
    """Return the record of one call.

    Parameters
    ----------
    task
        Function that is called, or the name of a command.
    arguments
        Its arguments by name, defaults included: ``locals()`` in its first line.
    inputs
        Inputs: each an AnnData, a file or address, or a dict that tells it.
    model
        Name and checksum of the model.
    skip
        Names of arguments to leave out: the inputs, the model, where the result goes.
    """
    package = __name__.partition(".")[0]
    told: Step = {"task": task if isinstance(task, str) else _public_name(task), "version": version(package)}
    told |= {"package": package.replace("_", "-")}
    if model is not None:
        told["model"] = dict(model)
    told["parameters"] = {name: plain(value) for name, value in arguments.items() if name not in skip}
    return told | {"inputs": [tell(one) for one in inputs]}


def from_files(
    task: str, arguments: Mapping[str, Any], files: Sequence[str | Path], *, skip: Collection[str] = (), **told: Any
) -> list[Step]:
    """Return the record of a command: the steps that made its first file, and its own.

    Parameters
    ----------
    task
        Name of the command, such as ``"grnndata convert"``.
    arguments
        Its options by name, defaults included.
    files
        Files that it reads; those behind the first are told with the steps that made them.
    skip
        Names of options to leave out, which name the files and the output.
    **told
        See `step`.
    """
    first, *others = files
    inputs = [tell(first)]
    for one in others:
        before = read(one)
        inputs.append(tell(one) | ({"steps": before} if before else {}))
    return [*read(first), step(task, arguments, inputs=inputs, skip=skip, **told)]


def tell(what: Any) -> dict[str, Any]:
    """Return name and checksum of an input: of an AnnData's counts and names, or of a file's bytes."""
    if isinstance(what, Mapping):
        return dict(what)
    if not isinstance(what, str | Path):
        return content(what)
    path = Path(what)
    if path.is_file():
        with path.open("rb") as file:
            return {"file": path.name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    if path.is_dir():
        digest = hashlib.sha256()
        for one in sorted(path.rglob("*")):
            if one.is_file():
                digest.update(f"{one.relative_to(path).as_posix()}\0".encode())
                with one.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return {"file": path.name, "sha256_of_files": digest.hexdigest()}
    return {"address": str(what)}


def content(adata: AnnData) -> dict[str, Any]:
    """Return numbers of cells and genes, and a checksum of their names and counts; also of each network.

    It does not depend on how the counts are stored: sparse or dense, of whole numbers or not, in memory or in a file.
    """
    from scipy import sparse

    digest = hashlib.sha256()
    for names in (adata.obs_names, adata.var_names):
        digest.update("".join(f"{name}\n" for name in names).encode() + b"\0")
    for start in range(0, adata.n_obs, _BLOCK):
        stored: Any = adata[start : start + _BLOCK].X
        if stored is None:
            break
        for way in ("to_memory", "compute"):  # of a file, of dask
            stored = getattr(stored, way)() if hasattr(stored, way) else stored
        block = sparse.csr_matrix(stored, dtype="<f8", copy=True)
        block.sum_duplicates()
        block.eliminate_zeros()
        for part, kind in ((block.indptr, "<i8"), (block.indices, "<i4"), (block.data, "<f8")):
            digest.update(part.astype(kind, copy=False).tobytes())
    networks = checksums_of_networks(adata)
    told = {"cells": adata.n_obs, "genes": adata.n_vars, "sha256_of_counts": digest.hexdigest()}
    return told | ({"sha256_of_networks": networks} if networks else {})


def checksums_of_networks(adata: AnnData) -> dict[str, str]:
    """Return a checksum of each network: of which edges it has, and of their weights, however it is stored."""
    return {key: _of_network(adata.varp[key]) for key in adata.varp if key.partition(".")[0] == "GRN"}


def _of_network(network: Any) -> str:
    import numpy as np

    digest = hashlib.sha256()
    rows = 1 + _ENTRIES // max(1, network[:1].size if network.ndim == 3 else network.shape[0])
    for start in range(0, network.shape[0], rows):  # a dense one is never held twice
        part = network[start : start + rows]
        if hasattr(part, "tocsr"):
            part = part.tocsr()
            part.sum_duplicates()
            part.eliminate_zeros()
            there, weights = part.astype(bool).toarray(), part.data
        else:
            there = part != 0
            weights = part[there]
        digest.update(np.packbits(there))
        digest.update(weights.astype("<f4", copy=False))
    return digest.hexdigest()


def plain(value: Any) -> Any:
    """Return a parameter as JSON holds it; of a table of numbers its shape and checksum."""
    if getattr(value, "ndim", 0) > 1 and hasattr(value, "tobytes"):
        return {"shape": list(value.shape), "sha256": hashlib.sha256(value.tobytes()).hexdigest()}
    if hasattr(value, "to_dict"):  # by name
        value = value.to_dict()
    elif hasattr(value, "tolist"):  # of numpy and pandas
        value = value.tolist()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(plain, value), key=str)
    if isinstance(value, Iterable) and not isinstance(value, Iterator):
        return [plain(one) for one in value]
    return f"<{type(value).__name__}>"


def steps_of(uns: Mapping[str, Any]) -> list[Step]:
    """Return the record of an ``uns``, or of a dict from JSON.

    Raises
    ------
    ValueError
        When something else is kept under that name.
    """
    found = uns.get(KEY, [])
    try:
        steps = json.loads(found) if isinstance(found, str) else found
        if all(isinstance(one["task"], str) and isinstance(one["parameters"], dict) for one in steps):
            return list(steps)
    except (TypeError, KeyError, ValueError):
        pass
    raise ValueError(f"{KEY!r} holds something else than the steps that made a file, {found!r:.80}: rename it")


def in_uns(steps: Sequence[Step]) -> dict[str, str]:
    """Return the record as an entry of ``uns``."""
    return {KEY: json.dumps(list(steps))}


def in_page(steps: Sequence[Step]) -> str:
    """Return the record as an element of an HTML page, which shows nothing and runs nothing."""
    text = json.dumps(list(steps)).replace("<", "\\u003c")
    return f'<script type="application/json" id="{KEY}">{text}</script>'


def beside(path: Path | str) -> Path:
    """Return where the record of a file lies that cannot hold one: ``table.csv.json``.

    Raises
    ------
    FileExistsError
        When something else lies there.
    """
    place = Path(f"{path}.json")
    if place.exists() and not _of_json(place):
        raise FileExistsError(f"what makes {path} would be told in {place}, which is something else: move it elsewhere")
    return place


def write(path: Path, steps: Sequence[Step]) -> None:
    """Write the record as a JSON file, whole or not at all."""
    temporary = path.with_name(f".{uuid4().hex[:12]}.{path.name}")
    try:
        temporary.write_text(json.dumps({KEY: list(steps)}, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: Path | str) -> list[Step]:
    """Return the record of a file or folder, an empty list where there is none.

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    ValueError
        When something else has the record's name in it.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if path.is_dir():
        if any((path / name).is_file() for name in (".zgroup", "zarr.json")):
            import zarr

            return stored(zarr.open_group(path, mode="r"))
        return _of_json(path / FOLDER_FILE)
    if path.suffix in (".html", ".htm"):
        held = _PAGE.search(path.read_text(encoding="utf-8"))
        return steps_of({KEY: held[1]}) if held else []
    if path.suffix == ".json" and (found := _of_json(path)):
        return found
    import h5py

    if h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            return stored(file)
    return _of_json(Path(f"{path}.json"))


def stored(root: Any) -> list[Step]:
    """Return the record in the root group of an open h5ad or zarr file."""
    from anndata.io import read_elem

    if "uns" not in root or KEY not in root["uns"]:
        return []
    found: Any = read_elem(root["uns"][KEY])
    return steps_of({KEY: str(found)})


def text(steps: Sequence[Step]) -> str:
    """Return the record for people; long lists are cut."""
    lines = []
    for number, one in enumerate(steps, start=1):
        lines.append(f"{number}. {one['task']} ({one.get('package', '?')} {one.get('version', '?')})")
        if "model" in one:
            lines.append(f"   model: {_pairs(one['model'])}")
        lines += [f"   input: {_pairs(given)}" for given in one.get("inputs", [])]
        lines += [f"   {name}: {_shown(value)}" for name, value in one["parameters"].items()]
    return "\n".join(lines) if steps else "it has no record of what made it"


def _of_json(path: Path) -> list[Step]:
    if not path.is_file():
        return []
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # somebody else's
        return []
    return steps_of(values) if isinstance(values, dict) else []


def _public_name(function: Callable[..., Any]) -> str:
    """Return where a function is found from outside: of the packages around it, the outermost that has its name."""
    name = function.__name__
    parts = function.__module__.split(".")
    homes = [".".join(parts[:n]) for n in range(1, len(parts) + 1)]
    home = next((one for one in homes if getattr(sys.modules[one], name, None) is function), function.__module__)
    return f"{home}.{name}"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_shown(value)}" for name, value in values.items())


def _shown(value: Any) -> str:
    if isinstance(value, list) and all(not isinstance(one, list | dict) for one in value):
        more = f" and {len(value) - 5:,} more" if len(value) > 6 else ""
        return (", ".join(map(str, value[: 5 if more else 6])) + more) or "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    shown = json.dumps(value) if isinstance(value, list | dict) else str(value)
    return shown if len(shown) <= 300 else f"{shown[:300]}…"
