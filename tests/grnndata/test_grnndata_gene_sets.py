"""GMT files, downloads of gene sets and cell-type markers."""

import gzip
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grnndata.gene_sets import (
    PANGLAODB_SHA256,
    cell_type_markers,
    fetch_gene_sets,
    read_gmt,
    write_gmt,
)
from grnndata.resources import transcription_factors

SETS = {"HALLMARK A": ["SOX2", "PAX6"], "B": ["GATA1"]}
GMT = b"HALLMARK A\tna\tSOX2\tPAX6\nB\tna\tGATA1\n"

HEADER = (
    "species\tofficial gene symbol\tcell type\tnicknames\tubiquitousness index\tproduct description\tgene type\t"
    "canonical marker\tgerm layer\torgan\tsensitivity_human\tsensitivity_mouse\tspecificity_human\tspecificity_mouse"
)
ROWS = [
    "Mm Hs\tCTRB1\tAcinar cells\tCTRB\t0.017\tchymotrypsinogen B1\tprotein-coding gene\t1\tEndoderm\tPancreas\t1.0"
    "\t0.957143\t0.000628931\t0.0159201",
    "Mm Hs\tKLK1\tAcinar cells\tKlk6\t0.013\tkallikrein 1\tprotein-coding gene\t1\tEndoderm\tPancreas\t0.833333"
    "\t0.314286\t0.00503145\t0.0128263",
    "Hs\tCTRB2\tAcinar cells\tNA\t0.001\tchymotrypsinogen B2\tprotein-coding gene\t1\tEndoderm\tPancreas\t0.916667"
    "\t0.0\t0.00125786\t0.0",
    "Mm\tGH\tAnterior pituitary gland cells\tNA\t0.005\tgrowth hormone\tprotein coding gene\t1\tEctoderm\tBrain\t0.0"
    "\t1.0\t0.0\t0.00437102",
    "None\tTUSC5\tAdipocytes\tNA\t0.005\tNA\tNA\t1\tMesoderm\tConnective tissue\t0.0\t0.0\t0.0\t0.0",
]
TABLE = "\n".join([HEADER, *ROWS]) + "\n"
TABLE_SHA256 = hashlib.sha256(TABLE.encode()).hexdigest()


@pytest.fixture
def server():
    """An HTTP server on this machine: files by path, and the paths that were asked for."""
    files, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            found = files.get(self.path)
            self.send_response(200 if found is not None else 404)
            found = found or b""
            # A connection that breaks: more is promised than comes.
            promised = len(found) + 1000 if "broken" in self.path else len(found)
            self.send_header("Content-Length", str(promised))
            self.end_headers()
            self.wfile.write(found)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", files, asked
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["sets.gmt", "sets.gmt.gz"])
def test_gmt_files(tmp_path, name):
    path = tmp_path / name
    write_gmt(SETS, path)
    data = path.read_bytes()
    assert (gzip.decompress(data) if name.endswith("gz") else data) == GMT
    assert read_gmt(path) == SETS
    write_gmt(SETS, path, descriptions={"B": "red cells"})
    assert read_gmt(str(path)) == SETS
    assert b"B\tred cells\tGATA1" in (gzip.decompress(path.read_bytes()) if name.endswith("gz") else path.read_bytes())
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_gmt_files_of_others(tmp_path):
    path = tmp_path / "sets.gmt"
    path.write_bytes(b"\xef\xbb\xbfA\thttp://x\tSOX2\t\tPAX6\tSOX2\t\t\r\n\r\nB\t\tGATA1 \r\n")
    assert read_gmt(path) == {"A": ["SOX2", "PAX6"], "B": ["GATA1"]}
    path.write_bytes(b"A\tna\tSOX2\nB\tna\tGATA1\nA\tna\tPAX6\tSOX2")
    assert read_gmt(path, duplicates="merge") == {"A": ["SOX2", "PAX6"], "B": ["GATA1"]}
    with pytest.raises(ValueError, match=r"sets.gmt, line 3: the set 'A' is there already; pass duplicates='merge'"):
        read_gmt(path)


@pytest.mark.parametrize("line", ["B\tna", "B", "\tna\tSOX2", "B\tna\t\t", "B SOX2 PAX6"])
def test_bad_gmt_lines_are_named(tmp_path, line):
    path = tmp_path / "sets.gmt"
    path.write_text(f"A\tna\tSOX2\n{line}\n")
    with pytest.raises(ValueError, match=r"sets.gmt, line 2: a line of a GMT file is .* begins"):
        read_gmt(path)


def test_bad_gmt_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none.gmt"):
        read_gmt(tmp_path / "none.gmt")
    (tmp_path / "empty.gmt").write_text("\n")
    with pytest.raises(ValueError, match=r"empty.gmt holds no gene sets"):
        read_gmt(tmp_path / "empty.gmt")
    (tmp_path / "half.gmt.gz").write_bytes(gzip.compress(GMT * 50)[:-20])
    with pytest.raises(ValueError, match=r"half.gmt.gz is damaged"):
        read_gmt(tmp_path / "half.gmt.gz")
    (tmp_path / "image.gmt").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(ValueError, match=r"image.gmt is damaged, or no text"):
        read_gmt(tmp_path / "image.gmt")
    (tmp_path / "one.gmt").write_bytes(GMT)
    with pytest.raises(ValueError, match="duplicates must be 'error' or 'merge', got 'sum'"):
        read_gmt(tmp_path / "one.gmt", duplicates="sum")


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({"A": []}, "the set 'A' has no genes"),
        ({"A\tB": ["SOX2"]}, "text that a GMT file cannot"),
        ({"A": ["SOX2", "PAX\n6"]}, r"text that a GMT file cannot: 'PAX\\n6'"),
        ({"A": [""]}, "text that a GMT file cannot"),
    ],
)
def test_sets_that_no_gmt_file_can_hold(tmp_path, sets, message):
    path = tmp_path / "sets.gmt"
    path.write_text("old")
    with pytest.raises(ValueError, match=message):
        write_gmt(sets, path)
    assert path.read_text() == "old"
    with pytest.raises(ValueError, match=r"end it with .gmt or .gmt.gz"):
        write_gmt(SETS, tmp_path / "sets.txt")
    with pytest.raises(TypeError, match="the set 'A' must be a list of genes, not the text 'SOX2'"):
        write_gmt({"A": "SOX2"}, path)


text = st.text(st.characters(blacklist_categories=["C", "Z"]), min_size=1)


@given(st.dictionaries(text, st.lists(text, min_size=1, unique=True), min_size=1))
def test_what_is_written_is_read(tmp_path_factory, sets):
    path = tmp_path_factory.mktemp("gmt") / "sets.gmt.gz"
    write_gmt(sets, path)
    assert read_gmt(path) == sets


def sets_in(cache):
    """The files of a cache without the notes of their checksums."""
    return [path for path in cache.iterdir() if path.suffix != ".sha256"]


def test_fetching_once(tmp_path, server, monkeypatch):
    url, files, asked = server
    files["/sets.gmt"], files["/other/sets.gmt"] = GMT, gzip.compress(b"C\tna\tSOX2\n")
    cache = tmp_path / "new" / "cache"
    checksum = hashlib.sha256(GMT).hexdigest()
    assert fetch_gene_sets(f"{url}/sets.gmt", checksum.upper(), cache) == SETS
    assert fetch_gene_sets(f"{url}/sets.gmt", checksum, cache) == SETS
    assert asked == ["/sets.gmt"]
    assert fetch_gene_sets(f"{url}/other/sets.gmt", cache=cache) == {"C": ["SOX2"]}  # the same name, another file
    assert len(sets_in(cache)) == 2
    monkeypatch.setenv("GRNNDATA_CACHE", str(tmp_path / "env"))
    fetch_gene_sets(f"{url}/sets.gmt")
    assert len(sets_in(tmp_path / "env")) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>Sorry</html>", r"line 1: a line of a GMT file"),
        (gzip.compress(GMT * 50)[:-20], "is damaged"),
        (b"", "holds no gene sets"),
    ],
    ids=["page", "half", "empty"],
)
def test_damaged_downloads_are_not_kept(tmp_path, server, content, message):
    url, files, _ = server
    files["/sets.gmt"] = content
    with pytest.raises(ValueError, match=message):
        fetch_gene_sets(f"{url}/sets.gmt", cache=tmp_path)
    assert list(tmp_path.iterdir()) == []
    files["/sets.gmt"] = GMT
    with pytest.raises(ValueError, match=f"has sha256 {hashlib.sha256(GMT).hexdigest()}, not abc"):
        fetch_gene_sets(f"{url}/sets.gmt", "abc", tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert fetch_gene_sets(f"{url}/sets.gmt", cache=tmp_path) == SETS


def test_downloads_that_fail_say_where_to_put_the_file(tmp_path, server, monkeypatch):
    monkeypatch.setattr("grnndata._download.time.sleep", lambda _: None)
    url, files, asked = server
    files["/broken.gmt"] = GMT
    for address, error, said in (
        (f"{url}/broken.gmt", ConnectionError, "could not be read in 4 tries"),
        (f"{url}/missing.gmt", FileNotFoundError, "there is nothing at"),
        ("http://127.0.0.1:9/sets.gmt", ConnectionError, "could not be read in 4 tries"),
    ):
        with pytest.raises(error, match=rf"{said}.* put it at") as failed:
            fetch_gene_sets(address, cache=tmp_path)
        assert sets_in(tmp_path) == []
        place = Path(str(failed.value).rsplit("put it at ", 1)[1])
        place.write_bytes(GMT)
        assert fetch_gene_sets(address, cache=tmp_path) == SETS
        place.unlink()
    assert asked == ["/broken.gmt"] * 4 + ["/missing.gmt"]
    with pytest.raises(ValueError, match="url must begin with http"):
        fetch_gene_sets(str(tmp_path / "sets.gmt"), cache=tmp_path)


def test_a_cached_file_that_changed_is_fetched_anew(tmp_path, server, caplog):
    url, files, asked = server
    files["/sets.gmt"] = GMT
    fetch_gene_sets(f"{url}/sets.gmt", cache=tmp_path)
    (file,) = sets_in(tmp_path)
    file.write_bytes(b"")
    assert fetch_gene_sets(f"{url}/sets.gmt", cache=tmp_path) == SETS
    assert asked == ["/sets.gmt"] * 2
    assert f"{file} is damaged" in caplog.text


def test_a_cached_file_of_ones_own_that_holds_no_sets_is_named(tmp_path, server):
    url, files, _ = server
    files["/sets.gmt"] = GMT
    fetch_gene_sets(f"{url}/sets.gmt", cache=tmp_path)
    (file,) = sets_in(tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"the cached file .*sets.gmt is not as expected: .*delete it"):
        fetch_gene_sets(f"{url}/sets.gmt", cache=tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(TABLE.encode()),
        gzip.compress(TABLE.encode(), compresslevel=1),
        TABLE.encode(),  # a server that decompresses
        gzip.compress(TABLE.replace("\n", "\r\n").encode()),
    ],
    ids=["as is", "compressed otherwise", "not compressed", "other line ends"],
)
def test_markers_of_cell_types(tmp_path, server, data):
    url, files, asked = server
    files["/markers.tsv.gz"] = data
    options = {"url": f"{url}/markers.tsv.gz", "sha256": TABLE_SHA256, "cache": tmp_path}
    assert cell_type_markers(**options) == {"Acinar cells": ["CTRB1", "CTRB2", "KLK1"]}
    assert cell_type_markers("Mus musculus", **options) == {
        "Acinar cells": ["Ctrb1", "Klk1"],
        "Anterior pituitary gland cells": ["Gh"],
    }
    assert cell_type_markers("mouse", organ="Brain", **options) == {"Anterior pituitary gland cells": ["Gh"]}
    assert cell_type_markers(organ="Brain", **options) == {}
    assert asked == ["/markers.tsv.gz"]
    with pytest.raises(
        ValueError, match="no cell types of organ 'brain': there are Brain, Connective tissue, Pancreas"
    ):
        cell_type_markers(organ="brain", **options)
    with pytest.raises(ValueError, match="no cell-type markers for organism 'yeast'"):
        cell_type_markers("yeast", **options)


@pytest.mark.parametrize(
    ("data", "sha256", "message"),
    [
        (gzip.compress(TABLE.encode())[:-9], None, "is damaged"),
        (TABLE.encode(), PANGLAODB_SHA256, f"has sha256 {TABLE_SHA256}, not {PANGLAODB_SHA256}"),
        (GMT, None, "it has no column species, official gene symbol, cell type, organ"),
        (TABLE[:-20].encode(), None, "line 6: 10 fields, but the header has 14"),
    ],
    ids=["half", "checksum", "gmt", "cut"],
)
def test_damaged_markers_are_not_kept(tmp_path, server, data, sha256, message):
    url, files, _ = server
    files["/markers.tsv.gz"] = data
    with pytest.raises(ValueError, match=message):
        cell_type_markers(url=f"{url}/markers.tsv.gz", sha256=sha256, cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_markers_without_a_connection(tmp_path, monkeypatch):
    monkeypatch.setenv("GRNNDATA_CACHE", str(tmp_path))
    with pytest.raises(ConnectionError, match="put it at") as failed:
        cell_type_markers(url="http://127.0.0.1:9/PanglaoDB_markers_27_Mar_2020.tsv.gz")
    assert str(failed.value).endswith(str((tmp_path / "PanglaoDB_markers_27_Mar_2020.tsv.gz").resolve()))


def test_the_whole_table_has_the_checksum_and_gives_the_known_sets(tmp_path, shared):
    folder = shared / "data" / "sets"
    original = folder / "PanglaoDB_markers_27_Mar_2020.tsv.gz"
    (tmp_path / original.name).write_bytes(original.read_bytes())
    for organism in ("human", "mouse"):
        found = cell_type_markers(organism, cache=tmp_path)  # nothing is downloaded: it lies in the cache
        expected = read_gmt(folder / f"panglaodb_{organism}.gmt.gz")
        assert len(found) == 178
        assert {name: set(genes) for name, genes in found.items()} == {n: set(g) for n, g in expected.items()}
    assert "Acinar cells" in cell_type_markers(organ="Pancreas", cache=tmp_path)


def test_collections_of_others_are_read(shared):
    files = sorted((shared / "data" / "sets").glob("*v7.0.symbols.gmt.gz"))
    assert {file.name: len(read_gmt(file)) for file in files} == {
        "c2.cp.v7.0.symbols.gmt.gz": 2199,
        "c3.tft.v7.0.symbols.gmt.gz": 610,
        "c5.mf.v7.0.symbols.gmt.gz": 1645,
        "h.all.v7.0.symbols.gmt.gz": 50,
    }


def test_transcription_factors_of_no_other_organism():
    assert len(transcription_factors("NCBITaxon:10090")) == 1860
    with pytest.raises(ValueError, match="no transcription factors for organism 'yeast'"):
        transcription_factors("yeast")
