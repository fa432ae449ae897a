"""Peptides of an organism from Ensembl's tree of files, here a small one of our own over http."""

import functools
import gzip
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scdataloader.genes import fetch_proteins
from scdataloader.genes.ensembl_server import bsd_sum

ENSEMBL = ">ENSP01.2 pep chromosome:GRCh38:1:1:9:1 gene:ENSG01.4 transcript:ENST01.1\nMKTAYIAK\n>ENSP02.1 pep\nMK\n"
LIST = "ENSG01.4\tENST01.1\n"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def tree(tmp_path):
    """Ensembl's tree with one organism, served over http; gives its folder and address."""
    root = tmp_path / "server"
    human, fly = "release-112/fasta/homo_sapiens/pep", "metazoa/release-59/fasta/drosophila_melanogaster/pep"
    for folder, name, text in [
        (human, "Homo_sapiens.GRCh38.pep.all.fa.gz", ENSEMBL),
        (human, "Homo_sapiens.GRCh38.pep.abinitio.fa.gz", ">G\nMK\n"),
        ("release-112/tsv/homo_sapiens", "Homo_sapiens.GRCh38.112.canonical.tsv.gz", LIST),
        (fly, "Drosophila_melanogaster.BDGP6.46.pep.all.fa.gz", ENSEMBL),
    ]:
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / name).write_bytes(gzip.compress(text.encode()))
    for folder in {path.parent for path in root.rglob("*.gz")}:
        sums = [(*bsd_sum(path), path.name) for path in sorted(folder.glob("*.gz"))]
        (folder / "CHECKSUMS").write_text("".join(f"{a:05d} {b} {name}\n" for a, b, name in sums))
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=root))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield root, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_proteins_are_fetched_once_and_kept(tree, tmp_path):
    root, url = tree
    got = fetch_proteins("human", 112, base_url=url, cache=tmp_path / "cache")
    assert (got.taxon, got.release) == ("NCBITaxon:9606", 112)
    assert got.fasta == tmp_path / "cache/homo_sapiens.112/Homo_sapiens.GRCh38.pep.all.fa.gz"
    assert gzip.decompress(got.fasta.read_bytes()).decode() == ENSEMBL
    assert gzip.decompress(got.canonical.read_bytes()).decode() == LIST
    (root / "release-112").rename(root / "gone")
    assert fetch_proteins("homo_sapiens", 112, base_url=url, cache=tmp_path / "cache") == got


def test_other_divisions_have_their_own_tree_and_may_have_no_list(tree, tmp_path):
    got = fetch_proteins("fruit fly", base_url=tree[1], cache=tmp_path / "cache")
    assert (got.fasta.parent.name, got.canonical, got.release) == ("drosophila_melanogaster.59", None, 59)


def test_a_file_with_another_checksum_is_not_kept(tree, tmp_path):
    root, url = tree
    sums = root / "release-112/fasta/homo_sapiens/pep/CHECKSUMS"
    sums.write_text("00001 1 Homo_sapiens.GRCh38.pep.all.fa.gz\n")
    with pytest.raises(ValueError, match=r"has the checksum .* 1 1 was expected"):
        fetch_proteins("human", 112, base_url=url, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.fa.gz"))


def test_organisms_and_releases_that_are_not_there(tree, tmp_path):
    with pytest.raises(ValueError, match="no proteins of 'mouse' in release 112: there is nothing at"):
        fetch_proteins("mouse", 112, base_url=tree[1], cache=tmp_path / "cache")
