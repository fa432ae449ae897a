"""Sources behind addresses: copied once, whole or not at all, and again when they change."""

from __future__ import annotations

import errno
import http.server
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata
import fsspec
import numpy as np
import pandas as pd
import pytest

from scdataloader._cache import cache_folder
from scdataloader.sources import find_sources, open_source
from scdataloader.sources.remote import fetch


def brain(value: float = 1.0) -> anndata.AnnData:
    values = np.full((3, 2), value, dtype=np.float32)
    return anndata.AnnData(values, obs=pd.DataFrame(index=list("abc")), var=pd.DataFrame(index=["g", "h"]))


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; counts what is asked, and misbehaves where the test says so."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        if self.path.startswith("/refused"):
            return self.send_error(403)
        if self.path.startswith("/broken"):
            return self.send_error(500)
        if self.path.startswith("/short"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"only this")
            self.close_connection = True
            return None
        return super().do_GET()

    def do_HEAD(self) -> None:
        if self.path.startswith("/refused"):
            return self.send_error(403)
        if self.path.startswith("/broken"):
            return self.send_error(500)
        if self.path.startswith("/short"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            return self.end_headers()
        return super().do_HEAD()

    def log_message(self, *_: Any) -> None:
        pass


class Server:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Handler(*a, directory=str(folder)))
        self._server.asked = []  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def downloads(self) -> int:
        return len(self._server.asked)  # type: ignore[attr-defined]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "served")
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCDATALOADER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def store() -> Iterator[Any]:
    """The file system in memory that fsspec calls memory://, with folders as object stores have them."""
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pseudo_dirs.clear()
    yield store
    store.store.clear()
    store.pseudo_dirs.clear()


def contents(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_a_file_behind_an_address_is_a_source_and_is_copied_once(server: Server, cache: Path) -> None:
    brain().write_h5ad(server.folder / "brain.h5ad")
    url = f"{server.url}/brain.h5ad"
    for _ in range(2):
        with open_source(url) as source:
            assert source.name == "brain"
            assert source.uri == url
            np.testing.assert_array_equal(source.matrices["X"].rows(0, 3).toarray(), np.ones((3, 2)))
    assert server.downloads == 1
    copy = fetch(url)
    assert copy.parent == cache
    assert copy.name.endswith("-brain.h5ad")
    assert contents(cache) == {copy.name, f"{copy.name}.json"}


def test_a_file_that_changed_is_copied_again(server: Server) -> None:
    (server.folder / "a.txt").write_text("old")
    assert fetch(f"{server.url}/a.txt").read_text() == "old"
    (server.folder / "a.txt").write_text("newer")
    assert fetch(f"{server.url}/a.txt").read_text() == "newer"
    assert server.downloads == 2


def test_a_copy_that_was_damaged_is_replaced(server: Server) -> None:
    (server.folder / "a.txt").write_text("content")
    copy = fetch(f"{server.url}/a.txt")
    copy.write_text("cont")
    assert fetch(f"{server.url}/a.txt").read_text() == "content"
    copy.with_name(f"{copy.name}.json").write_text("{")
    assert fetch(f"{server.url}/a.txt").read_text() == "content"
    assert server.downloads == 3


def test_addresses_that_end_alike_have_a_copy_each(server: Server) -> None:
    for folder in "xy":
        (server.folder / folder).mkdir()
        (server.folder / folder / "a.txt").write_text(folder)
    copies = [fetch(f"{server.url}/{folder}/a.txt") for folder in "xy"]
    assert [copy.read_text() for copy in copies] == ["x", "y"]


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("none.h5ad", FileNotFoundError, r"there is nothing at http://.*/none\.h5ad$"),
        ("none.zarr", FileNotFoundError, r"cannot be listed over http, offer it as one \.zarr\.zip file"),
        ("refused.h5ad", ConnectionError, r"http://.*/refused\.h5ad cannot be read: its server answered 403"),
        ("broken.h5ad", ConnectionError, r"http://.*/broken\.h5ad cannot be read: its server answered 500"),
        ("short.h5ad", ValueError, r"http://.*/short\.h5ad ended early"),
    ],
)
def test_what_goes_wrong_names_the_address_and_leaves_nothing(
    server: Server, cache: Path, path: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        open_source(f"{server.url}/{path}")
    assert contents(cache) == set()


def test_an_error_page_is_no_data(server: Server) -> None:
    (server.folder / "a.h5ad").write_text("<html>please log in</html>")
    with pytest.raises(ValueError, match=r"a\.h5ad cannot be read as an h5ad file"):
        open_source(f"{server.url}/a.h5ad")


def test_a_server_that_is_gone(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    (server.folder / "a.txt").write_text("content")
    url = f"{server.url}/a.txt"
    copy = fetch(url)
    server._server.shutdown()
    server._server.server_close()
    with caplog.at_level(logging.WARNING):
        assert fetch(url) == copy  # an old copy serves
    assert "does not answer, the copy" in caplog.text
    with pytest.raises(ConnectionError, match=r"http://127.*/b\.txt cannot be read: its server does not answer"):
        fetch(f"{server.url}/b.txt")


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device"), OSError("reset")]
)
@pytest.mark.parametrize("path", ["/a.h5ad", "/z.zarr"])
def test_an_interrupted_copy_leaves_nothing_behind(
    store: Any, cache: Path, monkeypatch: pytest.MonkeyPatch, path: str, error: BaseException
) -> None:
    store.pipe({"/a.h5ad": b"0123456789", "/z.zarr/zarr.json": b"{}", "/z.zarr/obs/zarr.json": b"{}"})

    def get_file(rpath: str, lpath: str, **_: Any) -> None:
        Path(lpath).write_bytes(b"01234")
        raise error

    monkeypatch.setattr(store, "get_file", get_file)
    expected = ConnectionError if str(error) == "reset" else type(error)
    with pytest.raises(expected):
        fetch(f"memory:/{path}")
    assert contents(cache) == set()
    monkeypatch.undo()
    monkeypatch.setenv("SCDATALOADER_CACHE", str(cache))
    assert fetch(f"memory:/{path}").exists()  # and the next try works


def test_a_failed_renewal_keeps_the_copy(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store.pipe("/a.txt", b"old")
    copy = fetch("memory://a.txt")
    store.pipe("/a.txt", b"newer")
    # one byte less than the store says
    monkeypatch.setattr(store, "get_file", lambda _, target, **_options: Path(target).write_bytes(b"new"))
    with pytest.raises(ValueError, match=r"memory://a\.txt ended early: it has 5 bytes, 3 arrived"):
        fetch("memory://a.txt")
    assert copy.read_bytes() == b"old"


def put_folder(store: Any, folder: Path, where: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            store.pipe(f"{where}/{path.relative_to(folder)}", path.read_bytes())


def test_a_zarr_folder_in_a_store_is_copied_and_renewed(store: Any, tmp_path: Path, cache: Path) -> None:
    brain().write_zarr(tmp_path / "brain.zarr")
    put_folder(store, tmp_path / "brain.zarr", "/bucket/brain.zarr")
    with open_source("memory://bucket/brain.zarr") as source:
        assert source.name == "brain"
        np.testing.assert_array_equal(source.matrices["X"].rows(0, 3).toarray(), np.ones((3, 2)))
    copy = fetch("memory://bucket/brain.zarr")
    first = copy.stat().st_ino
    assert fetch("memory://bucket/brain.zarr").stat().st_ino == first  # not copied again
    chunk = next(path for path in (copy / "X" / "c").rglob("*") if path.is_file())
    chunk.unlink()  # a damaged copy is
    assert fetch("memory://bucket/brain.zarr").stat().st_ino != first
    assert chunk.exists()
    brain(5).write_zarr(tmp_path / "other.zarr")
    put_folder(store, tmp_path / "other.zarr", "/bucket/brain.zarr")
    with open_source("memory://bucket/brain.zarr") as source:
        np.testing.assert_array_equal(source.matrices["X"].rows(0, 3).toarray(), np.full((3, 2), 5))
    assert contents(cache) == {copy.name, f"{copy.name}.json"}


def test_a_folder_of_something_else_is_not_copied(store: Any, cache: Path) -> None:
    store.pipe({"/bucket/a.h5ad": b"1", "/bucket/b.h5ad": b"1"})
    with pytest.raises(ValueError, match="memory://bucket is a folder of 2 files and neither zarr nor 10x"):
        fetch("memory://bucket")
    assert contents(cache) == set()


def test_patterns_in_a_store_are_listed(store: Any, tmp_path: Path) -> None:
    brain().write_zarr(tmp_path / "z.zarr")
    put_folder(store, tmp_path / "z.zarr", "/bucket/deep/z.zarr")
    store.pipe({"/bucket/b.h5ad": b"", "/bucket/a.h5ad": b"", "/bucket/deep/notes.txt": b"", "/bucket/t.csv": b""})
    files = ["memory:///bucket/a.h5ad", "memory:///bucket/b.h5ad"]
    assert find_sources("memory://bucket/*.h5ad") == files
    assert find_sources("memory://bucket/") == [*files, "memory:///bucket/deep/z.zarr"]
    assert find_sources("memory://bucket/**/*.zarr") == ["memory:///bucket/deep/z.zarr"]
    assert find_sources("memory://bucket/*.csv") == ["memory:///bucket/t.csv"]
    with pytest.raises(FileNotFoundError, match=r"nothing that can be read matches 'memory://bucket/\*\.loom'"):
        find_sources("memory://bucket/*.loom")


def test_an_unknown_kind_of_address_is_refused() -> None:
    with pytest.raises(ValueError, match=r"gopher://x\.org/a\.h5ad: .*gopher"):
        fetch("gopher://x.org/a.h5ad")


def test_the_cache_is_where_the_platform_has_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("SCDATALOADER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder().name == "scdataloader"
    assert cache_folder() != tmp_path / "cache"
