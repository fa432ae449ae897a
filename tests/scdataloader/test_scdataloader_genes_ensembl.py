"""Gene tables from Ensembl, whose tree of files a local server stands in for, in the real formats."""

import functools
import gzip
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scdataloader import _download as download_module
from scdataloader.genes import GeneVocabulary, gene_table, organism_id
from scdataloader.genes.ensembl import fetch_gene_table, read_gtf
from scdataloader.genes.ensembl_server import bsd_sum
from scdataloader.genes.identifiers import map_identifiers

GTF = """#!genome-build GRCz11
#!genebuild-last-updated 2018-04
4\tensembl_havana\tgene\t15059\t16110\t.\t-\t.\tgene_id "ENSDARG00000000002"; gene_version "10"; gene_name "tp53"; gene_source "ensembl"; gene_biotype "protein_coding";
4\tensembl\ttranscript\t15059\t16110\t.\t-\t.\tgene_id "ENSDARG00000000002"; transcript_id "ENSDART1"; gene_name "tp53"; gene_biotype "protein_coding";
4\tensembl\texon\t15059\t16110\t.\t-\t.\tgene_id "ENSDARG00000000002"; transcript_id "ENSDART1"; exon_number "1";
4\thavana\tgene\t20000\t21000\t.\t+\t.\tgene_id "ENSDARG00000000001"; gene_version "2"; gene_source "havana"; gene_biotype "lincRNA";
MT\tinsdc\tgene\t1\t69\t.\t+\t.\tgene_id "ENSDARG00000000003"; gene_version "1"; gene_name "mt-tf"; gene_biotype "Mt_tRNA";
"""  # noqa: E501 (as the files are)
OLD_GTF = """X\tprotein_coding\texon\t900\t950\t.\t+\t.\t gene_id "ENSG00000000009"; transcript_id "T1"; exon_number "2"; gene_name "OLD"; gene_biotype "protein_coding";
X\tprotein_coding\texon\t700\t750\t.\t+\t.\t gene_id "ENSG00000000009"; transcript_id "T1"; exon_number "1"; gene_name "OLD"; gene_biotype "protein_coding";
X\tlincRNA\texon\t10\t20\t.\t+\t.\t gene_id "ENSG00000000008"; transcript_id "T2"; exon_number "1"; gene_name "R";
"""  # noqa: E501 (as the files are)
ENTREZ = """gene_stable_id\ttranscript_stable_id\tprotein_stable_id\txref\tdb_name\tinfo_type\tsource_identity\txref_identity\tlinkage_type
ENSDARG00000000002\tENSDART1\tENSDARP1\t30590\tEntrezGene\tDEPENDENT\t-\t-\t-
ENSDARG00000000002\tENSDART2\tENSDARP2\t30590\tEntrezGene\tDEPENDENT\t-\t-\t-
ENSDARG00000000001\tENSDART3\t\tloc1\tEntrezGene_trans_name\tDEPENDENT\t-\t-\t-
"""  # noqa: E501 (as the files are)
SQL = """-- MySQL dump
CREATE TABLE `external_synonym` (
  `xref_id` int(10) unsigned NOT NULL,
  `synonym` varchar(100) NOT NULL,
  PRIMARY KEY (`xref_id`,`synonym`),
  KEY `name_index` (`synonym`)
) ENGINE=MyISAM DEFAULT CHARSET=latin1;

CREATE TABLE `gene` (
  `gene_id` int(10) unsigned NOT NULL AUTO_INCREMENT,
  `biotype` varchar(40) NOT NULL,
  `seq_region_start` int(10) unsigned NOT NULL,
  `display_xref_id` int(10) unsigned DEFAULT NULL,
  `description` text,
  `stable_id` varchar(128) DEFAULT NULL,
  PRIMARY KEY (`gene_id`)
) ENGINE=MyISAM AUTO_INCREMENT=4 DEFAULT CHARSET=latin1;

CREATE TABLE `meta` (
  `meta_id` int(11) NOT NULL AUTO_INCREMENT,
  `species_id` int(10) unsigned DEFAULT '1',
  `meta_key` varchar(40) NOT NULL,
  `meta_value` varchar(255) DEFAULT NULL,
  PRIMARY KEY (`meta_id`)
) ENGINE=MyISAM;
"""
# a text with an escaped tab and an escaped line break, and a gene without a symbol
GENE = (
    '1\tprotein_coding\t15059\t501\ttumor\\\tprotein \\\n"p53"\tENSDARG00000000002\n'
    "2\tlincRNA\t20000\t\\N\t\\N\tENSDARG00000000001\n"
    "3\tMt_tRNA\t1\t502\t\\N\tENSDARG00000000003\n"
    "4\tprotein_coding\t1\t503\t\\N\tENSDARG00000999999\n"
)
# drp53 and p53 are names of tp53; TP53 is its symbol; 17 is no name; 503 is of a gene on a patch
SYNONYM = "501\tdrp53\n501\tp53\n501\tTP53\n501\t17\n502\ttrnF\n503\tother\n"
META = "1\t\\N\tschema_version\t112\n2\t1\tspecies.taxonomy_id\t7955\n"


def checksums(folder):
    """As Ensembl writes them, by the command itself."""
    lines = []
    for path in sorted(folder.iterdir()):
        done = subprocess.run(["sum", path], capture_output=True, text=True, check=True)  # noqa: S607
        lines.append(" ".join([*done.stdout.split()[:2], path.name]))
    (folder / "CHECKSUMS").write_text("\n".join(lines) + "\n")


def write_tree(root, species="danio_rerio", release=112, database="danio_rerio_core_112_11"):
    folders = {name: root / name / last for name, last in (("gtf", species), ("tsv", species), ("mysql", database))}
    stem = f"{species.capitalize()}.GRCz11.{release}"
    files = {
        folders["gtf"] / f"{stem}.gtf.gz": GTF,
        folders["gtf"] / f"{stem}.chr.gtf.gz": "not this one",
        folders["gtf"] / f"{stem}.abinitio.gtf.gz": "nor this",
        folders["tsv"] / f"{stem}.entrez.tsv.gz": ENTREZ,
        folders["tsv"] / f"{stem}.uniprot.tsv.gz": "nor this",
        folders["mysql"] / f"{database}.sql.gz": SQL,
        folders["mysql"] / "gene.txt.gz": GENE,
        folders["mysql"] / "external_synonym.txt.gz": SYNONYM,
        folders["mysql"] / "meta.txt.gz": META,
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
    (root / "mysql" / f"{species}_otherfeatures_{release}_11").mkdir()
    (root / "mysql" / f"{species}x_core_{release}_11").mkdir()
    for folder in folders.values():
        checksums(folder)


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        if any(part in self.path for part in self.server.broken):
            self.send_response(200)
            self.send_header("Content-Length", "100000")  # and then no such many bytes
            self.end_headers()
            self.wfile.write(b"begin")
            return
        super().do_GET()


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Root folder and address of a server; `asked` and `broken` are its lists of paths."""
    if shutil.which("sum") is None:
        pytest.skip("the command sum makes the checksums")
    monkeypatch.setattr(download_module.time, "sleep", lambda _: None)
    monkeypatch.setenv("SCDATALOADER_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "pub"
    root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(tmp_path)))
    server.asked, server.broken, server.root = [], [], root
    server.url = f"http://127.0.0.1:{server.server_port}/pub"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def fetch(mirror, species="danio_rerio", release=112, **options):
    return fetch_gene_table(species, release, base_url=mirror.url, **options)


def test_a_table_is_put_together_and_found_again(mirror):
    write_tree(mirror.root / "release-112")
    table = fetch(mirror)
    assert table.index.tolist() == ["ENSDARG00000000001", "ENSDARG00000000002", "ENSDARG00000000003"]
    assert table["symbol"].tolist() == ["ENSDARG00000000001", "tp53", "mt-tf"]
    assert table["biotype"].tolist() == ["lincRNA", "protein_coding", "Mt_tRNA"]
    assert table["chromosome"].tolist() == ["4", "4", "MT"]
    assert table["start"].tolist() == [20_000, 15_059, 1]  # from 1, as the file counts
    assert table["location"].tolist() == [1, 1, 2]
    assert table["entrez"].tolist() == ["", "30590", ""]
    assert table["aliases"].tolist() == ["", "drp53|p53", "trnF"]
    assert gene_table("zebrafish").equals(table)
    assert gene_table("Danio rerio", release=112).equals(table)
    assert map_identifiers(["p53", "ENSDARG00000000003.4"], table).ids == ("ENSDARG00000000002", "ENSDARG00000000003")
    assert GeneVocabulary.for_organisms(["NCBITaxon:7955"]).symbols == ("tp53",)


def test_a_table_that_is_there_is_not_asked_for_again(mirror):
    write_tree(mirror.root / "release-112")
    table = fetch(mirror)
    mirror.asked.clear()
    assert fetch(mirror, "zebrafish").equals(table)
    assert mirror.asked == []


def test_the_newest_release_is_the_default(mirror):
    write_tree(mirror.root / "release-99", release=99, database="danio_rerio_core_99_11")
    write_tree(mirror.root / "release-112")
    text = GTF.replace("15059", "15060")
    path = mirror.root / "release-99/gtf/danio_rerio/Danio_rerio.GRCz11.99.gtf.gz"
    path.write_bytes(gzip.compress(text.encode()))
    (path.parent / "CHECKSUMS").unlink()
    fetch(mirror, release=112)
    fetch(mirror, release=99)  # without CHECKSUMS: the files carry their own
    assert gene_table("zebrafish").loc["ENSDARG00000000002", "start"] == 15_059
    assert gene_table("zebrafish", release=99).loc["ENSDARG00000000002", "start"] == 15_060


def test_other_divisions_lie_elsewhere(mirror):
    release = mirror.root / "metazoa/release-59"
    write_tree(release, "drosophila_melanogaster", 59, "drosophila_melanogaster_core_59_112_10")
    assert len(fetch(mirror, "fruit fly", None)) == 3
    assert len(gene_table("NCBITaxon:7227", release=59)) == 3


def test_an_organism_that_is_not_listed_is_told_by_its_database(mirror):
    write_tree(mirror.root / "release-112", "danio_nova", 112, "danio_nova_core_112_1")
    meta = mirror.root / "release-112/mysql/danio_nova_core_112_1/meta.txt.gz"
    meta.write_bytes(gzip.compress(META.replace("7955", "999999").encode()))
    (meta.parent / "CHECKSUMS").unlink()
    fetch(mirror, "Danio nova")
    assert organism_id("danio_nova") == "NCBITaxon:999999"
    assert len(gene_table("NCBITaxon:999999")) == 3


def test_genes_are_enough(mirror, caplog):
    write_tree(mirror.root / "release-112")
    shutil.rmtree(mirror.root / "release-112/tsv")
    shutil.rmtree(mirror.root / "release-112/mysql")
    table = fetch(mirror)
    assert table["aliases"].tolist() == table["entrez"].tolist() == ["", "", ""]
    assert "no NCBI Gene ids" in caplog.text
    assert "no aliases" in caplog.text
    write_tree(mirror.root / "release-113", "danio_nova", 113, "other_core_113_1")
    with pytest.raises(ValueError, match=r"taxon id of danio_nova is not told at .*: pass taxon="):
        fetch(mirror, "danio_nova", 113)
    assert len(fetch(mirror, "danio_nova", 113, taxon="NCBITaxon:999998")) == 3


def test_a_species_or_release_that_is_not_there(mirror):
    write_tree(mirror.root / "release-112")
    for species, release in (("danio_novo", 112), ("danio_rerio", 900)):
        with pytest.raises(ValueError, match=f"no genes of '{species}' in release {release}: there is nothing at http"):
            fetch(mirror, species, release)
    (mirror.root / "release-112/gtf/danio_rerio/Danio_rerio.GRCz11.112.gtf.gz").unlink()
    with pytest.raises(ValueError, match=r"one file NAME\.112\.gtf\.gz was expected"):
        fetch(mirror)


FILES = ["gtf/danio_rerio/Danio_rerio.GRCz11.112.gtf.gz", "mysql/danio_rerio_core_112_11/gene.txt.gz"]


@pytest.mark.parametrize("name", FILES)
def test_a_wrong_checksum_is_told_and_nothing_kept(mirror, tmp_path, name):
    write_tree(mirror.root / "release-112")
    path = mirror.root / "release-112" / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path.name} sends has the checksum \d+ 1, \d+ 1 was expected: nothing was"):
        fetch(mirror)
    assert not list((tmp_path / "cache").rglob("*.parquet"))


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_cut_on_the_server(mirror, name):
    write_tree(mirror.root / "release-112")
    path = mirror.root / "release-112" / name
    path.write_bytes(path.read_bytes()[:-30])
    (path.parent / "CHECKSUMS").unlink()
    with pytest.raises(ValueError, match=f"{path.name} is damaged or cut off"):
        fetch(mirror)


@pytest.mark.parametrize("name", FILES)
def test_an_interrupted_transfer(mirror, tmp_path, name):
    write_tree(mirror.root / "release-112")
    mirror.broken.append(name)
    with pytest.raises(ConnectionError, match=r"could not be read in 4 tries \(it ended after 5 of 100,000 bytes\)"):
        fetch(mirror)
    assert not list((tmp_path / "cache").rglob("*.parquet"))
    mirror.broken.clear()
    assert len(fetch(mirror)) == 3  # once the server is well


def test_old_files_without_gene_lines(tmp_path):
    path = tmp_path / "old.gtf.gz"
    path.write_bytes(gzip.compress(OLD_GTF.encode()))
    table = read_gtf(path).set_index("gene_id")
    assert table.loc["ENSG00000000009"].tolist() == ["OLD", "protein_coding", "X", 700]
    assert table.loc["ENSG00000000008"].tolist() == ["R", "lincRNA", "X", 10]


def test_a_file_without_genes(tmp_path):
    path = tmp_path / "empty.gtf.gz"
    path.write_bytes(gzip.compress(b"#!genome-build\n"))
    with pytest.raises(ValueError, match=r"empty\.gtf\.gz holds no genes"):
        read_gtf(path)
    path.write_bytes(gzip.compress(b"1\tx\tgene\t1\t2\t.\t+\t.\tID=3\n"))
    with pytest.raises(ValueError, match="has a gene without gene_id"):
        read_gtf(path)


@given(st.binary(max_size=3000))
def test_checksums_are_those_of_a_plain_loop(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes"
    path.write_bytes(content)
    state = 0
    for byte in content:
        state = (state >> 1) + ((state & 1) << 15)
        state = (state + byte) & 0xFFFF
    assert bsd_sum(path) == (state, (len(content) + 1023) // 1024)


def test_a_checksum_of_the_command(tmp_path):
    (tmp_path / "hello").write_bytes(b"hello\n")
    assert bsd_sum(tmp_path / "hello") == (36979, 1)  # printf 'hello\n' | sum
