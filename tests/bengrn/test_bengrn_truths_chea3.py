"""ChEA3's libraries: fetched from a server, read from R's format, and the whole files."""

from __future__ import annotations

import bz2
import dataclasses
import functools
import gzip
import http.server
import struct
import threading
from collections import Counter

import pytest

from bengrn.truths import chea3, load_truth, truth_records
from bengrn.truths.r_data import read_named_lists

SETS = {
    "SOX2_KO_MOUSE_GSE1_CREEDSID_GENE_1": ["A", "B", "B"],
    "SOX2_KD_HUMAN_GSE2_CREEDSID_GENE_2": ["B", "C"],
    "GATA4_KO_FMOUSE_GSE5500_CREEDSID_GENE_739": ["D"],
    "PPARG_V290M_DOMNEG_MOUSE_GSE3_CREEDSID_GENE_4": ["A", None],
}


def r_data(sets, *, version=2, name="Perturbations"):
    """An .rda file of a named list of character vectors, byte by byte as R's manual lays it down."""

    def integer(*values):
        return struct.pack(f">{len(values)}i", *values)

    def text(value):
        if value is None:
            return integer(9, -1)
        return integer(9, len(value.encode())) + value.encode()

    def strings(values):
        return integer(16, len(values)) + b"".join(map(text, values))

    head = f"RDX{version}\nX\n".encode() + integer(version, 0x30600, 0x20300)
    if version == 3:
        head += integer(5) + b"UTF-8"
    values = integer(19 | 512, len(sets)) + b"".join(map(strings, sets.values()))
    names = integer(2 | 1024) + integer(1) + text("names") + strings(list(sets)) + integer(254)
    # A second object whose tag is a reference to a symbol that was seen.
    second = integer(2 | 1024) + integer(255 | 2 << 8) + integer(14, 1) + struct.pack(">d", 2.5)
    return head + integer(2 | 1024) + integer(1) + text(name) + values + names + second + integer(254)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_named_lists_of_r(version, pack, tmp_path):
    path = tmp_path / "sets.rda"
    path.write_bytes(pack(r_data(SETS, version=version)))
    expected = {name: [gene for gene in genes if gene] for name, genes in SETS.items()}
    assert read_named_lists(path) == expected


def test_other_files_of_r_are_refused(tmp_path):
    path = tmp_path / "sets.rda"
    for content, message in [
        (b"PK\x03\x04", "is no R data file: it begins with"),
        (r_data(SETS)[:200], "breaks off"),
        (r_data(SETS).replace(struct.pack(">i", 19 | 512), struct.pack(">i", 6)), "object of type 6"),
        (b"RDX2\nX\n" + struct.pack(">11i", 2, 0, 0, 2 | 1024, 1, 9, 0, 13, 1, 7, 254), "no named list"),
    ]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_named_lists(path)


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A server of small copies of both files, and their sources, which lead there."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "Perturbations.rda").write_bytes(bz2.compress(r_data(SETS)))
    (folder / "remap.gmt").write_text("ADNP\t\tNFIC\tPTPRS\nAHR\t\tNFIC\tAHR\n")
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(args)

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    threading.Thread(target=running.serve_forever, daemon=True).start()
    at = f"http://127.0.0.1:{running.server_address[1]}"
    monkeypatch.setattr(chea3, "PERTURBATIONS", dataclasses.replace(chea3.PERTURBATIONS, url=f"{at}/Perturbations.rda"))
    monkeypatch.setattr(chea3, "REMAP", dataclasses.replace(chea3.REMAP, url=f"{at}/remap.gmt"))
    monkeypatch.delenv("BENGRN_DATA", raising=False)
    yield asked
    running.shutdown()
    running.server_close()


def edges(truth):
    return list(map(tuple, truth.edges.to_numpy().tolist()))


def test_they_are_fetched_once_and_checked(served, tmp_path):
    cache = tmp_path / "cache"
    truth = load_truth("chea3-perturbations", cache=cache)
    assert edges(truth) == [
        ("GATA4", "D", 1), ("PPARG", "A", 1), ("SOX2", "A", 1), ("SOX2", "B", 2), ("SOX2", "C", 1),
    ]  # fmt: skip
    assert edges(load_truth("chea3", cache=cache, species="human")) == [("SOX2", "B", 1), ("SOX2", "C", 1)]
    mouse = load_truth("chea3", cache=cache, species="mouse")
    assert edges(mouse) == [("GATA4", "D", 1), ("PPARG", "A", 1), ("SOX2", "A", 1), ("SOX2", "B", 1)]
    assert mouse.part == "the experiments in mouse cells"
    twice = load_truth("chea3", cache=cache, min_experiments=2)
    assert edges(twice) == [("SOX2", "B", 2)]
    assert twice.part == "edges seen in at least 2 experiments"
    assert len(served) == 1
    assert edges(load_truth("remap", cache=cache)) == [
        ("ADNP", "NFIC"), ("ADNP", "PTPRS"), ("AHR", "NFIC"), ("AHR", "AHR"),
    ]  # fmt: skip
    # A copy that was changed on disk is noticed, and fetched anew.
    (cache / chea3.REMAP.name).write_text("ADNP\t\tEVIL\n")
    assert len(load_truth("remap", cache=cache)) == 4
    assert len(served) == 3


def test_what_cannot_be(served, tmp_path):
    with pytest.raises(ValueError, match="species='rat' does not exist; choose from 'both', 'human', 'mouse'"):
        load_truth("chea3", cache=tmp_path, species="rat")
    with pytest.raises(ValueError, match="min_experiments = 0 is below 1"):
        load_truth("chea3", cache=tmp_path, min_experiments=0)
    with pytest.raises(ValueError, match="has no edge"):
        load_truth("chea3", cache=tmp_path, min_experiments=9)
    chea3.PERTURBATIONS = dataclasses.replace(
        chea3.PERTURBATIONS, name="other.rda", url=chea3.REMAP.url.replace("remap.gmt", "missing.rda")
    )
    with pytest.raises(FileNotFoundError, match=r"github.com/MaayanLab/chea3"):
        load_truth("chea3", cache=tmp_path)


def test_the_whole_files(shared, monkeypatch, tmp_path):
    monkeypatch.setenv("BENGRN_DATA", str(shared / "data/networks"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with gzip.open(shared / "data/networks/chea3_Perturbations.gmt.gz", "rt") as file:
        lines = [line.rstrip("\n").split("\t") for line in file]
    for record in truth_records("chea3-perturbations"):
        truth = load_truth(record.name, **record.options)
        found = (len(truth), truth.edges["source"].nunique(), truth.edges["target"].nunique())
        assert found == (record.edges, record.regulators, record.targets)
        # By the experiments of one factor, counted apart.
        species = record.options.get("species", "").upper()
        of_factor = [genes for name, *genes in lines if name.startswith("SOX2_") and f"{species}_GSE" in name]
        expected = Counter(gene for genes in of_factor for gene in genes if gene)
        table = truth.edges[truth.edges["source"] == "SOX2"]
        assert dict(zip(table["target"], table["n_experiments"], strict=True)) == expected
        assert max(expected.values()) > 2
    remap = load_truth("remap")
    (record,) = truth_records("remap")
    assert (len(remap), remap.edges["source"].nunique()) == (record.edges, record.regulators) == (417_534, 297)
    assert remap.edges["target"].nunique() == record.targets
    assert not remap.edges.duplicated().any()
