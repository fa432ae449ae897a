"""The one way in: whatever the user gives, as a source."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata

from scdataloader.sources.addresses import parse_address, source_name
from scdataloader.sources.source import Source

if TYPE_CHECKING:
    from scdataloader.sources.text_table import GenesIn


def open_source(
    data: anndata.AnnData | Source | Path | str, *, genes_in: GenesIn | None = None, genome: str | None = None
) -> Source:
    """Return an AnnData, a file or an address as a source of cells.

    Parameters
    ----------
    data
        An AnnData; the path of an h5ad, loom or 10x h5 file, of a zarr or 10x matrix folder, of a csv or tsv table; the
        address of one (``https://…``, ``s3://…``), which is copied to a cache first; ``census:<data set id>`` of
        CELLxGENE; ``lamin:<uid or key>`` of an artifact.
    genes_in
        Place of the genes in text tables; see `scdataloader.sources.text_table.open_table`.
    genome
        Genome whose matrix is read, for 10x files (version 2) that hold one for each genome.

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    ConnectionError
        When a server does not answer.
    ValueError
        When it cannot be read as what its name says.
    """
    if isinstance(data, Source):
        return data
    if isinstance(data, anndata.AnnData):
        from scdataloader.sources.anndata_memory import from_anndata

        return from_anndata(data)
    uri = str(data)
    kind, rest = parse_address(uri)
    if kind == "lamin":
        from scdataloader.sources.lamin import artifact_uids

        uids = artifact_uids(rest)
        if len(uids) != 1:
            raise ValueError(f"{uri} has {len(uids)} artifacts: open each, find_sources([{uri!r}]) lists them")
        return next(sources_of(uids[0]))
    source = _open_path(local_copy(uri), genes_in, genome)
    if kind != "path":
        source.name, source.uri = source_name(uri), uri
    return source


def sources_of(artifact: Any) -> Iterator[Source]:
    """Yield the data of an artifact of lamindb, or of each artifact of a collection in its order, as sources.

    A source's name is its artifact's uid. Files in the cloud are copied to lamindb's cache first.

    Parameters
    ----------
    artifact
        A ``lamindb.Artifact`` or ``lamindb.Collection``; or the uid or key of one. Without the four letters of its
        version, a uid stands for the latest one, and so does a key.

    Raises
    ------
    ImportError
        When lamindb is not installed.
    RuntimeError
        When no lamindb instance is connected.
    FileNotFoundError
        When the artifact or collection does not exist; the message says what has a similar key.
    TypeError
        When it is something else.
    """
    from scdataloader.sources.lamin import cached_artifacts

    for uid, path in cached_artifacts(artifact):
        source = _open_path(path)
        source.name, source.uri = uid, f"lamin:{uid}"
        yield source


def local_copy(uri: str) -> Path:
    """Return the file or folder behind an address, copied to a cache first where it is elsewhere.

    Parameters
    ----------
    uri
        Path or address of one source, as `scdataloader.find_sources` lists them.
    """
    kind, rest = parse_address(uri)
    if kind == "lamin":
        from scdataloader.sources.lamin import cached_artifacts

        return next(cached_artifacts(rest))[1]
    if kind == "census":
        from scdataloader.sources.census import download_dataset

        return download_dataset(rest)
    if kind == "url":
        from scdataloader.sources.remote import fetch

        return fetch(uri)
    return Path(rest).expanduser()


def near_names(path: Path) -> str:
    """Return a hint for a path that is not there: what its folder holds of similar name; may be empty."""
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent} either"
    names = sorted(p.name for p in path.parent.iterdir())
    near = difflib.get_close_matches(path.name, names, n=3) or [n for n in names if Path(n).suffix == path.suffix][:3]
    return f"; that folder holds {near}" if near else ""


def _open_path(path: Path, genes_in: GenesIn | None = None, genome: str | None = None) -> Source:
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}{near_names(path)}")
    from scdataloader.sources.formats import KNOWN, format_of

    found = format_of(path)
    if genes_in is not None and found != "table":
        raise ValueError(f"genes_in={genes_in!r} is for text tables, {path} is none: the file says where its genes are")
    if found == "anndata":
        from scdataloader.sources.anndata_file import open_anndata_file

        return open_anndata_file(path)
    if found in ("tenx_h5", "tenx_mtx"):
        from scdataloader.sources.tenx import open_tenx_h5, open_tenx_mtx

        return open_tenx_h5(path, genome=genome) if found == "tenx_h5" else open_tenx_mtx(path)
    if found == "loom":
        from scdataloader.sources.loom import open_loom

        return open_loom(path)
    if found == "table":
        from scdataloader.sources.text_table import open_table

        return open_table(path, genes_in=genes_in)
    what = "a folder of something else: use find_sources for all below it" if path.is_dir() else "none of them"
    raise ValueError(f"{path} cannot be read: {KNOWN} are known, it is {what}")
