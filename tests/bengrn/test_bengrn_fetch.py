"""Fetching: a real server on this machine that behaves, breaks off, lies and refuses."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bengrn.fetch import Source, content_hash, fetch, locate, open_content

CONTENT = gzip.compress(b"".join(b"TF%d\tGENE%d\n" % (i % 40, i) for i in range(30_000)), mtime=0)
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@dataclass
class Server:
    """What the next requests get, and what the past ones asked for."""

    content: bytes = CONTENT
    statuses: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    etag: str | None = '"one"'
    requests: list[str] = field(default_factory=list)
    asked_ranges: list[str | None] = field(default_factory=list)
    slow: float = 0.0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/edges.tsv.gz"


@pytest.fixture
def server():
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            state.requests.append(self.path)
            asked = self.headers.get("Range")
            state.asked_ranges.append(asked)
            status = state.statuses.pop(0) if state.statuses else 200
            if status != 200:
                self.send_error(status)
                return
            start = 0
            condition = self.headers.get("If-Range")
            if asked and state.ranges and condition in (None, state.etag):
                start = int(asked.removeprefix("bytes=").rstrip("-"))
            body = state.content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(state.content) - 1}/{len(state.content)}")
            if state.etag:
                self.send_header("ETag", state.etag)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            time.sleep(state.slow)
            # Closing early, with bytes still promised.
            self.wfile.write(body[: state.cuts.pop(0)] if state.cuts else body)

        def log_message(self, *args):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = running.server_address[1]
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield state
    running.shutdown()
    running.server_close()


@pytest.fixture(autouse=True)
def no_offline_folder(monkeypatch):
    monkeypatch.delenv("BENGRN_DATA", raising=False)


def source(server: Server, *, pinned: bool = True, **options) -> Source:
    return Source(
        "sub/edges.tsv.gz", server.url, known_hash=DIGEST if pinned else None, page="https://a.page", **options
    )


def quickly(what: Source, cache: Path) -> Path:
    return fetch(what, cache=cache, wait=0.01, timeout=5)


def leftovers(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.name != "edges.tsv.gz")


def test_fetched_once(server, tmp_path):
    path = quickly(source(server), tmp_path)
    assert path == tmp_path / "sub/edges.tsv.gz"
    assert path.read_bytes() == CONTENT
    assert quickly(source(server), tmp_path) == path
    assert len(server.requests) == 1
    assert leftovers(tmp_path) == []
    with open_content(path) as file:
        assert file.readline() == b"TF0\tGENE0\n"


def test_another_body_than_expected_is_not_kept(server, tmp_path):
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(
        ValueError, match=r"has sha256 [0-9a-f]{64}, not .*: nothing was kept.*a\.page and put it, as sub/edges"
    ) as error:
        quickly(source(server), tmp_path)
    assert str(tmp_path) in str(error.value)
    assert list(tmp_path.rglob("*.gz")) == []
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [(404, FileNotFoundError, "there is nothing at {url}"), (403, ConnectionError, "{url} cannot be read")],
)
def test_a_refusal_is_final_and_says_what_to_do(server, tmp_path, status, error, said):
    server.statuses = [status] * 9
    message = rf"{said.format(url=server.url)}: its server answered {status}.*sub/edges.tsv.gz.*BENGRN_DATA"
    with pytest.raises(error, match=message):
        quickly(source(server), tmp_path)
    assert len(server.requests) == 1
    assert leftovers(tmp_path) == []


def test_a_passing_error_is_tried_again(server, tmp_path):
    server.statuses = [503, 429]
    assert quickly(source(server), tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 3


def test_nobody_answers(tmp_path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        what = Source("edges.tsv.gz", f"http://127.0.0.1:{held.getsockname()[1]}/edges", known_hash=DIGEST)
        with pytest.raises(ConnectionError, match=r"in 4 tries .*Connection refused"):
            quickly(what, tmp_path)


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    server.cuts = [20_000, 10_000]
    assert quickly(source(server), tmp_path).read_bytes() == CONTENT
    assert server.asked_ranges == [None, "bytes=20000-", "bytes=30000-"]
    assert leftovers(tmp_path) == []


def test_a_server_without_ranges_starts_anew(server, tmp_path):
    server.ranges, server.cuts = False, [20_000]
    assert quickly(source(server), tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_the_next_call_goes_on_too(server, tmp_path):
    server.cuts = [10_000] * 4
    with pytest.raises(ConnectionError, match="could not be read in 4 tries"):
        quickly(source(server), tmp_path)
    assert leftovers(tmp_path) == ["edges.tsv.gz.part"]
    assert locate(source(server), cache=tmp_path) is None
    assert quickly(source(server), tmp_path).read_bytes() == CONTENT
    assert server.asked_ranges[-1] == "bytes=40000-"
    assert leftovers(tmp_path) == []


def test_old_bytes_that_do_not_fit_are_dropped(server, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/edges.tsv.gz.part").write_bytes(b"x" * 1000)
    assert quickly(source(server), tmp_path).read_bytes() == CONTENT
    assert server.asked_ranges == ["bytes=1000-", None]
    assert leftovers(tmp_path) == []


def test_without_a_hash_nothing_of_another_call_is_used(server, tmp_path):
    server.cuts = [10_000] * 4
    with pytest.raises(ConnectionError):
        quickly(source(server, pinned=False), tmp_path)
    assert leftovers(tmp_path) == []
    server.asked_ranges.clear()
    assert quickly(source(server, pinned=False), tmp_path).read_bytes() == CONTENT
    assert server.asked_ranges == [None]


def test_without_a_hash_a_file_that_changes_meanwhile_is_not_mixed(server, tmp_path):
    server.cuts = [20_000]
    what = source(server, pinned=False)
    # The second request finds another version, with another tag.
    changed = CONTENT[::-1]

    class Changing(list):
        def append(self, item):
            super().append(item)
            if len(self) == 2:
                server.content, server.etag = changed, '"two"'

    server.requests = Changing()
    assert quickly(what, tmp_path).read_bytes() == changed
    assert server.asked_ranges == [None, "bytes=20000-"]


def test_without_a_hash_or_a_tag_a_broken_download_starts_anew(server, tmp_path):
    server.etag, server.cuts = None, [20_000]
    assert quickly(source(server, pinned=False), tmp_path).read_bytes() == CONTENT
    assert server.asked_ranges == [None, None]


@pytest.mark.parametrize("pinned", [True, False])
def test_a_damaged_cache_is_fetched_anew(server, tmp_path, pinned, caplog):
    path = quickly(source(server, pinned=pinned), tmp_path)
    path.write_bytes(CONTENT[:5000])
    assert quickly(source(server, pinned=pinned), tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 2
    assert "is damaged" in caplog.text


def test_a_damaged_cache_without_a_connection_is_an_error(server, tmp_path):
    path = quickly(source(server), tmp_path)
    path.write_bytes(CONTENT[:5000])
    server.statuses = [404]
    with pytest.raises(FileNotFoundError, match=r"there is nothing at .*Get it by hand"):
        quickly(source(server), tmp_path)


def test_the_offline_folder_comes_first(server, tmp_path, monkeypatch):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    (two / "sub").mkdir(parents=True)
    (two / "sub/edges.tsv.gz").write_bytes(CONTENT)
    monkeypatch.setenv("BENGRN_DATA", os.pathsep.join([str(one), str(two)]))
    assert quickly(source(server), tmp_path / "cache") == two / "sub/edges.tsv.gz"
    assert server.requests == []
    assert not (tmp_path / "cache").exists()
    assert locate(source(server)) == (two / "sub/edges.tsv.gz", "offline")


def test_a_copy_in_the_offline_folder_is_checked_by_content(server, tmp_path, monkeypatch):
    text = gzip.decompress(CONTENT)
    what = source(server, copies=(("edges.txt.gz", hashlib.sha256(text).hexdigest()),))
    monkeypatch.setenv("BENGRN_DATA", str(tmp_path))
    (tmp_path / "edges.txt.gz").write_bytes(gzip.compress(text, compresslevel=1))
    assert content_hash(quickly(what, tmp_path / "cache")) == hashlib.sha256(text).hexdigest()
    (tmp_path / "edges.txt.gz").write_bytes(gzip.compress(text[:-9]))
    with pytest.raises(ValueError, match=r"edges.txt.gz in the offline folder is not the expected .*GroundTruth.read"):
        quickly(what, tmp_path / "cache")
    assert server.requests == []


def test_a_file_without_an_address(tmp_path):
    what = Source("gold.tsv", None, page="https://a.page")
    with pytest.raises(FileNotFoundError, match=r"Get it from https://a.page and put it, under this name, into"):
        quickly(what, tmp_path)
    (tmp_path / "gold.tsv").write_text("a\tb\n")
    assert quickly(what, tmp_path) == tmp_path / "gold.tsv"


def test_an_interrupt_leaves_nothing_to_be_read(server, tmp_path, monkeypatch):
    def interrupted(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr("bengrn._download._Progress.end", interrupted)
    with pytest.raises(KeyboardInterrupt):
        quickly(source(server, pinned=False), tmp_path)
    assert list(tmp_path.rglob("*.*")) == []


def test_silent_when_nobody_looks(server, tmp_path, capfd):
    server.slow = 0.6
    quickly(source(server), tmp_path)
    assert capfd.readouterr() == ("", "")


def test_progress_on_a_terminal(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    clock = iter(range(10_000))
    monkeypatch.setattr("bengrn._download.time.monotonic", lambda: next(clock))
    quickly(source(server), tmp_path)
    out, shown = capsys.readouterr()
    assert out == ""
    assert "edges.tsv.gz: 0.1 MB (100%)" in shown


FETCH = """
import hashlib, sys
from pathlib import Path
from bengrn.fetch import Source, fetch
url, digest, cache = sys.argv[1:]
path = fetch(Source("sub/edges.tsv.gz", url, known_hash=digest), cache=Path(cache))
sys.stdout.write(hashlib.sha256(path.read_bytes()).hexdigest())
"""


def test_two_processes_at_once(server, tmp_path):
    # Long enough that the second asks before the first is done.
    server.slow = 2.0
    command = [sys.executable, "-c", FETCH, server.url, DIGEST, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert said == [DIGEST.removeprefix("sha256:")] * 2
    assert len(server.requests) == 2
    assert leftovers(tmp_path) == []


def test_bytes_of_a_killed_process_are_used_those_of_a_living_one_are_not(server, tmp_path):
    folder = tmp_path / "sub"
    folder.mkdir()
    killed, living = folder / "edges.tsv.gz.0000aaaa.part", folder / "edges.tsv.gz.0000bbbb.part"
    killed.write_bytes(CONTENT[:7000])
    living.write_bytes(CONTENT[:9000])
    an_hour_ago = time.time() - 3600
    os.utime(killed, (an_hour_ago, an_hour_ago))
    assert quickly(source(server), tmp_path).read_bytes() == CONTENT
    assert server.asked_ranges == ["bytes=7000-"]
    assert leftovers(tmp_path) == [living.name]
