"""lamindb artifacts and collections as sources; preprocessed files as new versions of a collection (extra [lamin])."""

from __future__ import annotations

import difflib
import hashlib
import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scdataloader._atomic import atomic_path
from scdataloader.sources.addresses import unique_names

logger = logging.getLogger(__name__)


def cached_artifacts(what: Any) -> Iterator[tuple[str, Path]]:
    """Yield the uid and the local file of each artifact, copied to lamindb's cache if need be; see `sources_of`."""
    for artifact in _artifacts(what):
        yield str(artifact.uid), Path(artifact.cache())


def artifact_uids(what: Any) -> list[str]:
    """Return the uids of the artifacts that `scdataloader.sources.sources_of` reads; it raises the same."""
    return [str(artifact.uid) for artifact in _artifacts(what)]


def register(paths: Sequence[Path | str], *, collection: str, description: str | None = None) -> Any:
    """Register preprocessed files as artifacts, and as a new version of a collection.

    The new version has the artifacts of the latest one, those of the same key replaced by these, and what is new at its
    end. A second call with the same files changes nothing. Files are copied below the instance's storage, where each
    content has its own folder, so that old versions stay as they were; a cloud storage receives them by upload.

    Parameters
    ----------
    paths
        h5ad files or zarr folders. Their keys are ``<collection>/<name>``; of files with the same name, with the names
        of their folders in front.
    collection
        Key of the collection; it is made if there is none.
    description
        Description of the collection's new version.

    Returns
    -------
    lamindb.Collection
        The new version, or the latest one where there is nothing new; an older one (with a warning) where that held
        exactly the same: lamindb stores it once, and the latest version stays the latest.

    Raises
    ------
    ImportError
        When lamindb is not installed.
    RuntimeError
        When no lamindb instance is connected.
    FileNotFoundError
        When one of the files is missing; nothing is registered then.
    ValueError
        When no file is given.
    """
    ln = _lamindb()
    files = [Path(path) for path in paths]
    if not files:
        raise ValueError(f"there are no files to register in the collection {collection!r}")
    if missing := [str(path) for path in files if not path.exists()]:
        raise FileNotFoundError(f"{len(missing)} of {len(files)} files are missing, such as {missing[0]}")
    names = unique_names([str(path) for path in files])
    new = [_artifact(ln, path, f"{collection}/{name}{path.suffix}") for path, name in zip(files, names, strict=True)]
    latest = ln.Collection.filter(key=collection, is_latest=True).one_or_none()
    before = list(latest.ordered_artifacts) if latest is not None else []
    by_key = {artifact.key: artifact for artifact in [*before, *new]}  # a key keeps its place and gets its last value
    artifacts = list(by_key.values())
    if latest is not None and [a.uid for a in artifacts] == [a.uid for a in before]:
        return latest
    # lamindb would return any older collection of the same artifacts, of whatever key
    version = ln.Collection(artifacts, key=collection, description=description, revises=latest, skip_hash_lookup=True)
    version = version.save()
    if not version.is_latest:  # lamindb's database holds a content once per key
        logger.warning("version %s of %r holds just these, %s stays the latest", version.uid, collection, latest.uid)
    return version


def _lamindb() -> Any:
    try:
        import lamindb as ln
    except ImportError as error:
        raise ImportError("lamindb is not installed: pip install 'scdataloader[lamin]'") from error
    if not ln.setup.settings.is_configured:
        raise RuntimeError(
            "no lamindb instance is connected: run `lamin connect <owner>/<name>`, or make one with "
            "`lamin init --storage ./lamindb --modules bionty`"
        )
    return ln


def _artifacts(what: Any) -> list[Any]:
    ln = _lamindb()
    record = _record(ln, what) if isinstance(what, str) else what
    if isinstance(record, ln.Artifact):
        return [record]
    if isinstance(record, ln.Collection):
        return list(record.ordered_artifacts)
    raise TypeError(f"{type(what).__name__} is neither a lamindb artifact nor a collection, nor the uid or key of one")


def _record(ln: Any, name: str) -> Any:
    for model in (ln.Artifact, ln.Collection):
        for query in ({"uid": name}, {"uid__startswith": name, "is_latest": True}, {"key": name, "is_latest": True}):
            if "uid__startswith" in query and len(name) != model._len_stem_uid:
                continue
            found = list(model.filter(**query))
            if len(found) > 1:
                uids = [record.uid for record in found]
                raise ValueError(f"{name!r} stands for {len(found)} {model.__name__.lower()}s: give a uid of {uids}")
            if found:
                return found[0]
    keys = {record.key for model in (ln.Artifact, ln.Collection) for record in model.filter(key__isnull=False)}
    near = difflib.get_close_matches(name, sorted(keys), n=3)
    hint = f"; there are {near}" if near else ""
    raise FileNotFoundError(f"lamindb has no artifact or collection {name!r}{hint}")


def _artifact(ln: Any, path: Path, key: str) -> Any:
    if ln.settings.storage.type != "local":
        return ln.Artifact.from_anndata(path, key=key).save()
    # lamindb asks its hub about local files outside the storage, which needs a network; those inside it just takes
    stored = Path(str(ln.settings.storage.root)) / "scdataloader" / _digest(path) / path.name
    known = next((a for a in ln.Artifact.filter(key=key) if Path(str(a.path)) == stored), None)
    if known is not None and stored.exists():
        return known
    _copy(path, stored)
    return known or ln.Artifact.from_anndata(stored, key=key).save()


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, of a folder's names and contents; 20 digits of it."""
    total = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        total.update(str(file.relative_to(path)).encode() + b"\0")
        with file.open("rb") as opened:
            total.update(hashlib.file_digest(opened, "sha256").digest())
    return total.hexdigest()[:20]


def _copy(path: Path, target: Path) -> None:
    if path.is_file():
        with atomic_path(target) as temporary:
            shutil.copyfile(path, temporary)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as folder:
        shutil.copytree(path, Path(folder) / target.name)
        if not target.exists():
            (Path(folder) / target.name).replace(target)
