"""Data sets of CELLxGENE by id, from a local server that looks like its bucket."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from scdataloader import _download as download_module
from scdataloader.sources.census import download_dataset, resolve_release

ID = "8e47ed12-c658-4252-b126-381df8d52a3d"
SMALL = b"\x89HDF small file"
BIG = np.random.default_rng(0).bytes(9 << 20)
RELEASES = {
    "stable": "V2",
    "V2": "2025-01-30",
    "latest": "2025-11-08",
    "2025-01-30": {"release_date": None, "h5ads": {"uri": "s3://bucket/cell-census/2025-01-30/h5ads/"}},
    "2025-11-08": {"release_date": None, "h5ads": {"uri": "s3://bucket/cell-census/2025-11-08/h5ads/"}},
    "circle": "round",
    "round": "circle",
}


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).digest()


def multipart(content, part):
    parts = [content[i : i + part] for i in range(0, len(content), part)]
    return f"{md5(b''.join(map(md5, parts))).hex()}-{len(parts)}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        content, etag = self.server.files.get(self.path, (None, None))
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        if etag is not None:
            self.send_header("ETag", f'"{etag}"')
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download_module.time, "sleep", lambda _: None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = []
    server.files = {"/release.json": (json.dumps(RELEASES).encode(), None)}
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def get(server, folder, dataset=ID, **options):
    root = f"http://127.0.0.1:{server.server_port}"
    urls = {"base_url": f"{root}/cell-census", "releases_url": f"{root}/release.json", "discover_url": f"{root}/v1"}
    return download_dataset(dataset, cache=folder, **(urls | options))


def place(server, content, etag, release="2025-01-30"):
    server.files[f"/cell-census/{release}/h5ads/{ID}.h5ad"] = (content, etag)


@pytest.mark.parametrize(
    ("content", "etag"),
    [
        (SMALL, md5(SMALL).hex()),
        (b"", md5(b"").hex()),
        (SMALL, multipart(SMALL, 8 << 20)),  # one part is not the same as none
        (BIG, multipart(BIG, 8 << 20)),
        (BIG, multipart(BIG, 5 << 20)),  # two parts as well: the size must be guessed
        (BIG, "0123-of-another-kind"),
        (BIG, None),
    ],
    ids=["md5", "empty", "one part", "parts of 8", "parts of 5", "other kind", "none"],
)
def test_a_data_set_is_fetched_and_checked_once(server, tmp_path, content, etag):
    place(server, content, etag)
    path = get(server, tmp_path)
    assert path == tmp_path / "2025-01-30" / f"{ID}.h5ad"
    assert path.read_bytes() == content
    n_before = len(server.asked)
    get(server, tmp_path, release="2025-01-30")
    assert len(server.asked) == n_before


@pytest.mark.parametrize("etag", ["0" * 32, "0" * 32 + "-2", multipart(BIG[:-1] + b"?", 8 << 20)])
def test_a_file_without_its_checksum_is_not_kept(server, tmp_path, etag):
    place(server, BIG, etag)
    with pytest.raises(ValueError, match=f"{ID}.h5ad sends does not have the checksum {etag} that its server tells"):
        get(server, tmp_path)
    assert not list(tmp_path.rglob("*.h5ad*"))


def test_parts_of_no_usual_size_are_told(server, tmp_path, caplog):
    place(server, SMALL, "0" * 32 + "-7")
    assert get(server, tmp_path).read_bytes() == SMALL
    assert "only its size was checked" in caplog.text


def test_a_copy_that_was_damaged_is_fetched_again(server, tmp_path):
    place(server, SMALL, None)
    path = get(server, tmp_path)
    path.write_bytes(b"half")
    assert get(server, tmp_path).read_bytes() == SMALL


def test_releases_are_kept_apart(server, tmp_path):
    place(server, SMALL, None)
    place(server, SMALL + b"!", None, release="2025-11-08")
    assert get(server, tmp_path).read_bytes() == SMALL
    assert get(server, tmp_path, release="latest").read_bytes() == SMALL + b"!"


def test_an_id_that_is_none_is_refused_before_anything_is_asked(server, tmp_path):
    for wrong in ("retina", ID[:-1], ID + "/../x", ""):
        with pytest.raises(ValueError, match="is no data set id of CELLxGENE: they look like"):
            get(server, tmp_path, wrong)
    assert server.asked == []


def test_an_unknown_data_set_is_told(server, tmp_path):
    with pytest.raises(ValueError, match=rf"census release 2025-01-30 has no data set {ID}.*release='discover'"):
        get(server, tmp_path)
    with pytest.raises(ValueError, match=rf"Discover has no data set {ID}"):
        get(server, tmp_path, release="discover")


def test_an_unknown_release_lists_those_there_are(server, tmp_path):
    for name in ("newest", "circle"):
        with pytest.raises(
            ValueError, match=rf"no census release '{name}': there are stable, V2.*2025-01-30, 2025-11-08"
        ):
            get(server, tmp_path, release=name)


def test_the_list_of_releases_outlives_its_server(server, tmp_path, caplog):
    url = f"http://127.0.0.1:{server.server_port}/release.json"
    assert resolve_release("stable", cache=tmp_path, releases_url=url) == "2025-01-30"
    gone = f"http://127.0.0.1:{server.server_port}/gone.json"
    assert resolve_release("latest", cache=tmp_path, releases_url=gone) == "2025-11-08"
    assert "of an earlier use serves" in caplog.text
    with pytest.raises(ConnectionError, match="give the date of a release"):
        resolve_release("stable", cache=tmp_path / "empty", releases_url=gone)


@pytest.mark.parametrize("text", [b"<html>login</html>", b"[1, 2]"])
def test_a_page_instead_of_the_list_is_told_and_not_kept(server, tmp_path, text):
    server.files["/release.json"] = (text, None)
    with pytest.raises(ValueError, match="does not send a list of census releases"):
        get(server, tmp_path)
    assert not list(tmp_path.iterdir())


def test_discover_gives_the_newest_version(server, tmp_path):
    root = f"http://127.0.0.1:{server.server_port}"

    def version(name, size):
        rds = {"filetype": "RDS", "url": f"{root}/files/{name}.rds", "filesize": 1}
        return {"assets": [rds, {"filetype": "H5AD", "url": f"{root}/files/{name}.h5ad", "filesize": size}]}

    listing = f"/v1/datasets/{ID}/versions"
    server.files[listing] = (json.dumps([version("new", len(SMALL)), version("old", 3)]).encode(), None)
    server.files["/files/new.h5ad"] = (SMALL, md5(SMALL).hex())
    path = get(server, tmp_path, release="discover")
    assert path.name == f"{ID}.new.h5ad"
    assert path.read_bytes() == SMALL
    server.files[listing] = (json.dumps([version("newer", 99)]).encode(), None)
    server.files["/files/newer.h5ad"] = (SMALL, None)
    with pytest.raises(ValueError, match="bytes, 99 were expected"):
        get(server, tmp_path, release="discover")
    server.files[listing] = (b"[]", None)
    with pytest.raises(ValueError, match="names no h5ad file"):
        get(server, tmp_path, release="discover")
