"""Read a store whole: checksums of all files, and on request set damaged shards aside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tqdm.auto import tqdm

from scdataloader.store.lock import build_lock
from scdataloader.store.manifest import FileEntry, Manifest
from scdataloader.store.shard import CELLS, COUNTS, ENTRY, file_entry


def verify(folder: Path, *, quarantine: bool = False) -> Mapping[str, str]:
    """Return what is wrong with each damaged shard, by the shard's name; empty when all is well.

    A damaged gene table damages every shard over it.

    Parameters
    ----------
    folder
        Of the store.
    quarantine
        Move the files of damaged shards to ``quarantine/`` and write a manifest without them.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no manifest or it cannot be read.
    BlockingIOError
        When shards are to be set aside and another process writes the store.
    """
    manifest = Manifest.load(folder)
    problems = _problems(folder, manifest)
    if problems and quarantine:
        with build_lock(folder):
            _set_aside(folder, set(problems))
    return problems


def _problems(folder: Path, manifest: Manifest) -> dict[str, str]:
    tables = {entry.hash: _compare(folder / "genes" / f"{entry.hash}.parquet", entry.file) for entry in manifest.genes}
    found = {}
    for entry in tqdm(manifest.shards, desc="verifying", unit="shard", disable=None):
        faults = [
            _compare(folder / "shards" / (entry.name + COUNTS), entry.counts),
            _compare(folder / "shards" / (entry.name + CELLS), entry.cells),
            tables[entry.genes],
        ]
        text = "; ".join(fault for fault in faults if fault)
        if text:
            found[entry.name] = f"data set {entry.dataset!r}: {text}"
    return found


def _compare(path: Path, expected: FileEntry) -> str:
    if not path.is_file():
        return f"{path.name} is missing"
    size = path.stat().st_size
    if size != expected.bytes:
        return f"{path.name} has {size:,} bytes instead of {expected.bytes:,}"
    if file_entry(path).sha256 != expected.sha256:
        return f"the contents of {path.name} have changed: their checksum is another"
    return ""


def _set_aside(folder: Path, names: set[str]) -> None:
    manifest = Manifest.load(folder)  # another builder may have added shards meanwhile
    aside = folder / "quarantine"
    aside.mkdir(exist_ok=True)
    kept = tuple(entry for entry in manifest.shards if entry.name not in names)
    used = {entry.genes for entry in kept}
    lost = [entry for entry in manifest.genes if entry.hash not in used]
    changed = manifest.next(
        shards=kept,
        genes=tuple(entry for entry in manifest.genes if entry.hash in used),
        quarantined=tuple(sorted({*manifest.quarantined, *names})),
    )
    # the manifest first: no reader shall look for a file that has gone
    changed.save(folder)
    for name in sorted(names):
        for ending in (COUNTS, CELLS, ENTRY):
            path = folder / "shards" / (name + ending)
            if path.exists():
                path.replace(aside / path.name)
    for entry in lost:
        path = folder / "genes" / f"{entry.hash}.parquet"
        if path.exists():
            path.replace(aside / path.name)
