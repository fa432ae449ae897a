"""Downloads: whole, checked, tried again, and never half a file. The server is local and misbehaves."""

import errno
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scdataloader import _download as module
from scdataloader._download import download, noted_hash
from scdataloader.sources.addresses import read_url

CONTENT = bytes(range(256)) * 9000  # 2.3 MB: several pieces
SHA = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


class Server(ThreadingHTTPServer):
    """Answers with what `answers` says, in turn; the last one stays."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = ["whole"]
        self.content = CONTENT
        self.n_requests = 0
        self.url = f"http://127.0.0.1:{self.server_port}/folder/file.bin"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        answer = server.answers[min(server.n_requests, len(server.answers) - 1)]
        server.n_requests += 1
        if isinstance(answer, int):
            self.send_error(answer)
            return
        if answer == "hang":
            server.released.wait(5)
            return
        self.send_response(200)
        if answer != "no length":
            self.send_header("Content-Length", str(len(server.content)))
        self.send_header("X-Made-By", "test")
        self.end_headers()
        self.wfile.write(server.content[:1_500_000] if answer == "cut" else server.content)


@pytest.fixture
def server():
    server = Server()
    server.released = threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


def get(server, path, **options):
    return download(server.url, path, **{"wait": 0.001, **options})


def test_a_file_is_fetched_once(server, tmp_path):
    path = tmp_path / "new" / "file.bin"
    assert get(server, path) == path
    assert path.read_bytes() == CONTENT
    assert noted_hash(path) == f"sha256:{SHA}"
    get(server, path)
    assert server.n_requests == 1
    assert sorted(p.name for p in path.parent.iterdir()) == ["file.bin", "file.bin.sha256"]


def test_a_file_without_told_length(server, tmp_path):
    server.answers = ["no length"]
    assert get(server, tmp_path / "x", size=len(CONTENT), known_hash=f"sha256:{SHA}").read_bytes() == CONTENT


def test_a_copy_that_was_damaged_since_is_fetched_anew(server, tmp_path, caplog):
    path = get(server, tmp_path / "x")
    path.write_bytes(CONTENT[:-1] + b"?")
    get(server, path)
    assert path.read_bytes() == CONTENT
    assert server.n_requests == 2
    assert f"{path} is damaged" in caplog.text


def test_a_file_that_someone_put_there_serves(server, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"mine")
    assert get(server, path).read_bytes() == b"mine"
    assert server.n_requests == 0
    path.write_bytes(b"changed")
    assert get(server, path).read_bytes() == CONTENT


@pytest.mark.parametrize("first", [500, 503, 429, "cut"])
def test_a_passing_failure_is_tried_again(server, tmp_path, first):
    server.answers = [first, first, "whole"]
    assert get(server, tmp_path / "x").read_bytes() == CONTENT
    assert server.n_requests == 3


@pytest.mark.parametrize(
    ("answer", "error", "message", "n_tries"),
    [
        (404, FileNotFoundError, "there is nothing at {url}", 1),
        (403, ConnectionError, "{url} cannot be read: its server answered 403", 1),
        (500, ConnectionError, "{url} could not be read in 3 tries (its server answered 500)", 3),
        ("cut", ConnectionError, "3 tries (it ended after 1,500,000 of 2,304,000 bytes): check the connection", 3),
        ("hang", ConnectionError, "{url} could not be read in 3 tries", 3),
    ],
)
def test_failures_name_the_address_and_leave_nothing(server, tmp_path, answer, error, message, n_tries):
    server.answers = [answer]
    with pytest.raises(error) as caught:
        get(server, tmp_path / "x", attempts=3, timeout=0.2 if answer == "hang" else 20)
    assert message.format(url=server.url) in str(caught.value)
    assert server.n_requests == n_tries
    assert not list(tmp_path.iterdir())


def test_a_server_that_is_not_there(tmp_path):
    with pytest.raises(ConnectionError, match=r"http://127.0.0.1:9/x could not be read in 2 tries .*refused"):
        download("http://127.0.0.1:9/x", tmp_path / "x", attempts=2, wait=0.001)


def refuse(path, headers):
    assert headers["x-made-by"] == "test"
    raise ValueError("is not to my taste")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"known_hash": "sha256:" + "0" * 64}, f"has sha256 {SHA}, not 0{{64}}"),
        ({"known_hash": "md5:" + "0" * 32}, f"has md5 {MD5}, not 0{{32}}"),
        ({"size": 17}, "has 2,304,000 bytes, 17 were expected"),
        ({"check": refuse}, "is not to my taste"),
    ],
)
def test_what_is_not_expected_is_not_kept(server, tmp_path, options, message):
    path = tmp_path / "x"
    with pytest.raises(ValueError, match=f"what {server.url} sends {message}: nothing was kept"):
        get(server, path, **options)
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_the_damaged_copy_and_its_note_alone(server, tmp_path):
    path = get(server, tmp_path / "x")
    path.write_bytes(b"damaged")
    server.answers = [500]
    with pytest.raises(ConnectionError):
        get(server, path, attempts=1)
    server.answers = ["whole"]
    assert get(server, path).read_bytes() == CONTENT  # and is still known to be damaged


def test_a_full_disk_is_no_failure_of_the_server(server, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module._Transfer, "_save", full)
    with pytest.raises(OSError, match="No space left") as caught:
        get(server, tmp_path / "x")
    assert caught.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


def test_only_http_is_read(tmp_path):
    for url in ("ftp://server/x", "file:///etc/passwd", "x"):
        with pytest.raises(ValueError, match="must begin with https://"):
            download(url, tmp_path / "x")
        with pytest.raises(ValueError, match="must begin with https://"):
            read_url(url)


def test_small_things_are_read_without_a_file(server):
    server.content = b"hello"
    server.answers = [502, "whole"]
    assert read_url(server.url, wait=0.001) == b"hello"
