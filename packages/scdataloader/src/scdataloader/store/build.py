"""Build a store, or add to one: every input becomes shards, in parallel; then one new manifest names them all.

A lock file says who builds, one at a time; a dead holder does not keep it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import anndata
import numpy as np
from tqdm.auto import tqdm

from scdataloader._provenance import FOLDER_FILE, Step, read, step, steps_of, tell, write
from scdataloader.counts import csr_counts, obs_table
from scdataloader.expression.counts_choice import CountsChoice
from scdataloader.labels.space import SUFFIX
from scdataloader.store.convert import convert
from scdataloader.store.files import (
    CELLS,
    COUNTS,
    ENTRY,
    NAME,
    SCHEMA,
    UNFINISHED,
    GeneEntry,
    Manifest,
    ShardEntry,
    file_entry,
    is_whole,
)

logger = logging.getLogger(__name__)

_LOCK = "build.lock"


@contextmanager
def build_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a store folder while it is written.

    Raises
    ------
    BlockingIOError
        When another process holds it; the message says which, and how to free it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _LOCK
    mine = folder / f".{_LOCK}-{platform.node()}-{os.getpid()}"
    content = json.dumps({"host": platform.node(), "pid": os.getpid(), "started": _started(os.getpid())})
    mine.write_text(content, encoding="utf-8")
    try:
        _take(path, mine)
    finally:
        mine.unlink(missing_ok=True)
    try:
        yield
    finally:
        if _read(path) == content:
            path.unlink(missing_ok=True)


def _take(path: Path, mine: Path) -> None:
    # a hard link is made or refused in one step, also on network file systems
    for _ in range(10):
        with suppress(FileExistsError):
            os.link(mine, path)
            return
        held = _read(path)
        if held is None:
            continue  # freed meanwhile
        if not _is_stale(held):
            break
        aside = mine.with_name(f"{mine.name}-stale")
        with suppress(FileNotFoundError):
            path.replace(aside)
            if _read(aside) != held:  # another builder had replaced the stale lock by its own: give it back
                with suppress(FileExistsError):
                    os.link(aside, path)
            aside.unlink()
    raise BlockingIOError(
        f"another process builds this store ({_read(path)}): wait for it; if it is no longer running, delete {path}"
    )


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _is_stale(content: str) -> bool:
    try:
        holder: dict[str, Any] = json.loads(content)
        host, pid, started = holder["host"], int(holder["pid"]), holder["started"]
    except (ValueError, KeyError, TypeError):
        return True  # links are made of complete files: this is none of ours
    if host != platform.node():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return started is not None and _started(pid) not in (None, started)


def _started(pid: int) -> str | None:
    """Return when a process started, where the system tells: its number may be another's by now."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return None


#: What may be given as one data set: the path of a file, with or without a name, or an AnnData with its name.
Given = Path | str | tuple[str, "Path | str | anndata.AnnData"]
#: Begins of records are 32-bit numbers of 2-byte units.
_LARGEST_SHARD = 2 * ((1 << 32) - 1)


@dataclass(frozen=True)
class Input:
    """One data set to store; `key` tells it, with the settings, from all others."""

    name: str
    key: str
    data: Path | anndata.AnnData = field(repr=False)


def build(
    files: Sequence[Given],
    folder: Path,
    *,
    workers: int,
    shard_bytes: int,
    add: bool,
    choice: CountsChoice | None = None,
) -> Manifest:
    """Convert the inputs and return the manifest that holds them; see `scdataloader.store.CellStore.build`."""
    if workers < 1:
        raise ValueError(f"workers={workers} must be at least 1")
    if not 1 <= shard_bytes <= _LARGEST_SHARD:
        raise ValueError(f"shard_bytes={shard_bytes} must lie between 1 and {_LARGEST_SHARD}")
    inputs = [_input(given, shard_bytes, choice) for given in files]
    if not inputs:
        raise ValueError("no files were given")
    _check_distinct([one.name for one in inputs], "have the name")
    _check_distinct([one.key for one in inputs], "hold the same data as")
    with build_lock(folder):
        former = Manifest.load(folder) if add or (folder / NAME).exists() else None
        if former is not None and add:
            _refuse_known(inputs, former)
        elif former is not None:
            _check_same(inputs, former, folder)
            if not former.quarantined:
                return former
        for path in (folder / "shards").glob(f".*{UNFINISHED}"):
            path.unlink(missing_ok=True)
        finished = _finished(folder)
        converted = _convert_all(inputs, folder, finished, workers, shard_bytes, choice)
        if former is not None and not add:  # what was quarantined has been written again
            former = replace(former, shards=(), quarantined=())
        manifest = _joined(folder, former, converted, shard_bytes)
        write(folder / FOLDER_FILE, [*(read(folder) if add else ()), _made(inputs, shard_bytes, choice)])
        manifest.save(folder)
    return manifest


def _made(inputs: Sequence[Input], shard_bytes: int, choice: CountsChoice | None) -> Step:
    """Return what makes a store: its inputs with what made them; the manifest has checksums of what they hold."""
    told = []
    for one in inputs:
        if isinstance(one.data, anndata.AnnData):
            before, place = steps_of(one.data.uns), tell(one.data)
        else:
            before, place = read(one.data), {"file": one.data.name}
        told.append({"name": one.name} | place | ({"steps": before} if before else {}))
    options = {"shard_bytes": shard_bytes} | ({} if choice is None else {"choice": choice})
    return step("scdataloader.CellStore.build", options, inputs=told)


def _input(given: Given, shard_bytes: int, choice: CountsChoice | None) -> Input:
    name, data = given if isinstance(given, tuple) else (Path(given).stem, given)
    settings = [name, SCHEMA, shard_bytes, *([] if choice is None else [asdict(choice)])]
    digest = hashlib.sha256(json.dumps(settings).encode())
    if isinstance(data, anndata.AnnData):
        for content in _contents(data):
            digest.update(content)
        return Input(name, digest.hexdigest()[:16], data)
    path = Path(data)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    # contents would take as long to read as to convert
    for part in sorted(path.rglob("*")) if path.is_dir() else [path]:
        facts = part.stat()
        digest.update(json.dumps([part.name, facts.st_size, facts.st_mtime_ns]).encode())
    return Input(name, digest.hexdigest()[:16], path.resolve())


def _contents(adata: anndata.AnnData) -> list[bytes]:
    x = csr_counts(adata)
    arrays = [x.indptr, x.indices, x.data]
    names = [json.dumps(axis.tolist()).encode() for axis in (adata.var_names, adata.obs_names)]
    return [*names, obs_table(adata).to_csv().encode(), *(np.ascontiguousarray(array).tobytes() for array in arrays)]


def _check_distinct(values: Sequence[str], what: str) -> None:
    repeated = sorted({value for value in values if values.count(value) > 1})
    if repeated:
        raise ValueError(f"several inputs {what} {repeated[:5]}: give each data set once, under a name of its own")


def _check_same(inputs: Sequence[Input], former: Manifest, folder: Path) -> None:
    names = [*(shard.name for shard in former.shards), *former.quarantined]
    if {name.rpartition("-")[0] for name in names} != {one.key for one in inputs}:
        raise FileExistsError(
            f"{folder} is a finished store of {len(former.datasets)} data sets, from other inputs or settings: "
            "use CellStore.add() to add data sets, or another folder"
        )


def _refuse_known(inputs: Sequence[Input], former: Manifest) -> None:
    known = {shard.dataset for shard in former.shards} & {one.name for one in inputs}
    if known:
        raise ValueError(f"the store holds data sets named {sorted(known)[:5]} already: shards are never changed")


def _finished(folder: Path) -> dict[str, list[ShardEntry]]:
    """Return the complete shards on the disk by key, in their order, up to the first that is missing."""
    found: dict[str, list[ShardEntry]] = {}
    for path in sorted((folder / "shards").glob(f"*{ENTRY}")):
        entry = ShardEntry.from_json(json.loads(path.read_text(encoding="utf-8")))
        before = found.setdefault(entry.key, [])
        follows = entry.first_cell == sum(one.n_cells for one in before)
        if follows and all(is_whole(folder, entry, ending) for ending in (COUNTS, CELLS)):
            before.append(entry)
    return found


def _convert_all(
    inputs: Sequence[Input],
    folder: Path,
    finished: Mapping[str, list[ShardEntry]],
    workers: int,
    shard_bytes: int,
    choice: CountsChoice | None,
) -> list[ShardEntry]:
    def one(item: Input) -> list[ShardEntry]:
        kept = finished.get(item.key, [])
        if kept and kept[-1].last:
            return kept
        if workers == 1 or isinstance(item.data, anndata.AnnData):
            settings: dict[str, Any] = {"shard_bytes": shard_bytes, "kept": kept, "choice": choice}
            return convert(item.data, folder, name=item.name, key=item.key, **settings)
        return _in_a_process(item, folder, shard_bytes, kept, choice)

    def shown(work: Iterable[list[ShardEntry]]) -> list[ShardEntry]:
        bar = tqdm(work, desc="storing data sets", total=len(inputs), disable=None)
        return [entry for entries in bar for entry in entries]

    if workers == 1:
        return shown(map(one, inputs))
    with ThreadPoolExecutor(workers) as pool:
        try:
            return shown(pool.map(one, inputs))
        finally:
            pool.shutdown(cancel_futures=True)


def _in_a_process(
    item: Input, folder: Path, shard_bytes: int, kept: list[ShardEntry], choice: CountsChoice | None
) -> list[ShardEntry]:
    """Convert in a fresh process. Unlike multiprocessing's, it does not run the caller's script again."""
    task = {
        "data": str(item.data),
        "folder": str(folder),
        "name": item.name,
        "key": item.key,
        "shard_bytes": shard_bytes,
        "kept": [asdict(entry) for entry in kept],
        "choice": None if choice is None else asdict(choice),
    }
    command = [sys.executable, "-m", "scdataloader.store.convert"]
    done = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"{item.name} could not be stored:\n{done.stderr[-2000:]}")
    answer = json.loads(done.stdout.splitlines()[-1])
    if "refused" in answer:
        raise ValueError(answer["refused"])
    if "system" in answer:
        raise OSError(*answer["system"])
    for warning in answer["told"]:
        logger.warning("%s", warning)
    return [ShardEntry.from_json(entry) for entry in answer["shards"]]


def _joined(folder: Path, former: Manifest | None, new: Sequence[ShardEntry], shard_bytes: int) -> Manifest:
    from importlib.metadata import version

    import pyarrow as pa
    import pyarrow.parquet as pq

    shards = (*(former.shards if former else ()), *new)
    known = {entry.hash: entry for entry in former.genes} if former else {}
    labels = set(former.labels) if former else set()
    for entry in new:
        if entry.genes not in known:
            path = folder / "genes" / f"{entry.genes}.parquet"
            known[entry.genes] = GeneEntry(entry.genes, pq.read_metadata(path).num_rows, file_entry(path))
        with pa.memory_map(str(folder / "shards" / f"{entry.name}.cells.arrow")) as file:
            labels.update(name for name in pa.ipc.open_file(file).schema.names if name.endswith(SUFFIX))
    content: dict[str, Any] = {"genes": tuple(known.values()), "shards": shards, "labels": tuple(sorted(labels))}
    if former is not None:
        return former.next(**content)
    settings = {"shard_bytes": shard_bytes, "scdataloader": version("scdataloader")}
    return Manifest(version=1, quarantined=(), settings=settings, **content)
