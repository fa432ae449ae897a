"""Building, adding, resuming, faults, checks and exports of a store."""

import errno
import io
import json
import os
import pickle
import platform
import signal
import subprocess
import sys

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scdataloader import LabelSpace, Preprocessor
from scdataloader.store import CellStore
from scdataloader.store import convert as converting
from scdataloader.store.build import build_lock
from scdataloader.store.files import ShardWriter
from scdataloader.store.opening import open_files
from scdataloader.store.store import describe, verify_table

GENES = {"x": [f"g{i}" for i in range(30)], "y": [f"g{i}" for i in range(45, 15, -1)]}
TYPES = ("CL:0000084", "CL:0000236", "CL:0000576", "unknown")


def make(seed, n_cells=40, genes="x"):
    """A data set with labels, some of them missing."""
    rng = np.random.default_rng(seed)
    counts = sparse.csr_matrix(rng.poisson(0.7, (n_cells, 30)).astype(np.float32))
    types = pd.Series(rng.choice(TYPES, n_cells), dtype=object)
    types[rng.random(n_cells) < 0.1] = None
    obs = pd.DataFrame(
        {
            "cell_type_ontology_term_id": pd.Categorical(types),
            "donor": [f"d{i % 3}" for i in range(n_cells)],
            "barcode": [f"{seed}-{i}" for i in range(n_cells)],
            "score": rng.random(n_cells),
            "doublet": rng.random(n_cells) < 0.5,
        },
        index=[f"s{seed}c{i}" for i in range(n_cells)],
    )
    var = pd.DataFrame({"symbol": [gene.upper() for gene in GENES[genes]]}, index=GENES[genes])
    return anndata.AnnData(counts, obs=obs, var=var)


@pytest.fixture
def files(tmp_path):
    paths = []
    for seed, genes in ((0, "x"), (1, "y"), (2, "x")):
        paths.append(tmp_path / f"set{seed}.h5ad")
        make(seed, genes=genes).write_h5ad(paths[-1])
    return paths


def contents(store):
    wanted = store.gene_map([f"g{i}" for i in range(46)])
    return store.gather(np.arange(len(store)), wanted).counts


def expected(seeds):
    wanted = [f"g{i}" for i in range(46)]
    tables = [make(s, genes="xyx"[s]).to_df().reindex(columns=wanted, fill_value=0) for s in seeds]
    return pd.concat(tables).to_numpy()


def test_build_and_open(files, tmp_path):
    built = CellStore.build(files, tmp_path / "s", shard_bytes=1500)
    store = CellStore.open(tmp_path / "s")
    assert len(store.manifest.shards) > 3
    assert all(entry.counts.bytes <= 1500 for entry in store.manifest.shards)
    assert len(store) == len(built) == 120
    assert store.datasets == ["set0", "set1", "set2"]
    assert np.array_equal(store.dataset, np.repeat([0, 1, 2], 40))
    assert np.array_equal(contents(store), expected([0, 1, 2]))
    assert [len(table) for table in store.gene_tables] == [30, 30]  # the first and the third share one
    assert store.gene_tables[1]["symbol"].tolist() == [gene.upper() for gene in GENES["y"]]
    assert np.array_equal(store.n_genes(), (expected([0, 1, 2]) > 0).sum(axis=1))
    assert np.array_equal(store.total_counts(np.array([3, 100])), expected([0, 1, 2]).sum(axis=1)[[3, 100]])
    assert np.array_equal(contents(pickle.loads(pickle.dumps(store))), contents(store))
    info = store.info()
    assert info["cells"] == 120
    assert info["values"] == (expected([0, 1, 2]) > 0).sum()
    assert info["datasets"] == {"set0": 40, "set1": 40, "set2": 40}
    assert info["labels"] == ["cell_type_ontology_term_id"]
    text = describe(store)
    assert f"{info['values']:,} counts in" in text
    assert "\n  set1           40 cells" in text
    assert not list((tmp_path / "s").rglob("*.part"))
    assert not (tmp_path / "s" / "build.lock").exists()


def test_obs_comes_back(files, tmp_path):
    store = CellStore.build(files, tmp_path / "s", shard_bytes=1500)
    obs = store.obs()
    given = pd.concat([make(s, genes="xyx"[s]).obs for s in range(3)])
    assert obs.index.tolist() == given.index.tolist()
    for column in given:
        assert obs[column].astype(object).where(obs[column].notna(), None).tolist() == (
            given[column].astype(object).where(given[column].notna(), None).tolist()
        )
    assert isinstance(obs["donor"].dtype, pd.CategoricalDtype)
    assert store.obs(["score"]).columns.tolist() == ["score"]
    with pytest.raises(KeyError, match=r"no shard has the columns \['age'\]"):
        store.obs(["score", "age"])


def test_columns_that_some_data_sets_lack(tmp_path):
    first, second = make(0), make(1)
    del second.obs["score"], second.obs["donor"]
    obs = CellStore.build([("a", first), ("b", second)], tmp_path / "s").obs(["donor", "score"])
    assert obs["score"].isna().tolist() == [False] * 40 + [True] * 40
    assert obs["donor"].isna().sum() == 40


def test_labels_are_those_of_the_label_space(files, tmp_path):
    tables = [make(s, genes="xyx"[s]).obs for s in range(3)]
    space = LabelSpace.from_obs(tables, ["cell_type"])
    store = CellStore.build(files, tmp_path / "s", shard_bytes=1500)
    assert np.array_equal(store.labels(space), np.concatenate([space.encode(table) for table in tables]))
    rows = np.array([119, 0, 60, 60])
    assert np.array_equal(store.labels(space, rows), store.labels(space)[rows])
    with pytest.raises(IndexError, match="no cell 120"):
        store.labels(space, np.array([120]))


def test_labels_of_other_columns_and_kinds(tmp_path):
    tables = []
    for seed, organism in ((0, "NCBITaxon:9606"), (1, "NCBITaxon:10090")):
        adata = make(seed)
        adata.obs["batch"] = np.arange(40) % 3 + seed
        adata.obs["organism_ontology_term_id"] = organism
        # of the same name in man and mouse, of another term
        adata.obs["development_stage"] = ["fetal stage" if i % 2 else "unknown" for i in range(40)]
        adata.obs["name"] = [f"{seed} {i}" for i in range(40)]
        tables.append(adata)
    classes = ["organism", "batch", "name", "development_stage"]
    space = LabelSpace.from_obs([adata.obs for adata in tables], classes, min_leaves=1)
    store = CellStore.build([("a", tables[0]), ("b", tables[1])], tmp_path / "s", shard_bytes=1500)
    expected_codes = np.concatenate([space.encode(adata.obs) for adata in tables])
    assert (expected_codes.max(axis=0) > 0).all()
    assert np.array_equal(store.labels(space), expected_codes)


def test_total_counts_of_preprocessing_are_kept(tmp_path):
    adata = make(0)
    adata.obs["total_counts"] = np.arange(40) + 1000.5
    store = CellStore.build([("a", adata)], tmp_path / "s")
    assert store.total_counts().tolist() == (np.arange(40) + 1000.5).tolist()


@pytest.mark.parametrize("kind", ["dense", "csc", "uint16", "unsorted"])
def test_any_matrix_is_stored_alike(tmp_path, kind):
    adata = make(0)
    plain = adata.X.toarray()
    if kind == "unsorted":
        adata.X.indices[:2] = adata.X.indices[1::-1]
        adata.X.data[:2] = adata.X.data[1::-1]
        adata.X.has_sorted_indices = False
    else:
        change = {"dense": plain, "csc": adata.X.tocsc(), "uint16": adata.X.astype(np.uint16)}
        adata = anndata.AnnData(change[kind], obs=adata.obs, var=adata.var)
    store = CellStore.build([("a", adata)], tmp_path / "s")
    assert np.array_equal(store.gather(np.arange(40), store.gene_map(GENES["x"])).counts, plain)


def test_blocks_do_not_show(files, tmp_path, monkeypatch):
    CellStore.build(files, tmp_path / "whole", shard_bytes=1500)
    monkeypatch.setattr(converting, "CONVERTED_VALUES", 90)
    CellStore.build(files, tmp_path / "blocks", shard_bytes=1500)
    names = ["manifest.json", *(f"shards/{path.name}" for path in (tmp_path / "whole" / "shards").iterdir())]
    assert len(names) > 9
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "blocks" / name).read_bytes()


@pytest.mark.slow
def test_processes_do_not_show(files, tmp_path):
    bad = make(0)
    bad.X.data[0] = 0.5
    folder = tmp_path / "two"
    with pytest.raises(ValueError, match=r"bad: 1 of \d+ values are no counts \(0.5\)"):
        CellStore.build([files[0], ("bad", bad)], folder, shard_bytes=1500, workers=2)
    # the file was converted by a process, just as this one would
    finished = {path: path.stat().st_mtime_ns for path in (folder / "shards").glob("*.counts")}
    assert len(finished) == 2
    store = CellStore.build(files[:1], folder, shard_bytes=1500)
    assert all(path.stat().st_mtime_ns == time for path, time in finished.items())
    assert np.array_equal(contents(store), expected([0]))
    CellStore.build(files[:1], tmp_path / "one", shard_bytes=1500)
    assert (tmp_path / "one" / "manifest.json").read_bytes() == (folder / "manifest.json").read_bytes()


@pytest.mark.parametrize("workers", [1, 2])
def test_whole_numbers_that_are_no_raw_counts_are_told(tmp_path, caplog, workers):
    good, doubled = make(0, 100), make(1, 100)
    doubled.X = doubled.X * 2
    good.write_h5ad(tmp_path / "good.h5ad")
    doubled.write_h5ad(tmp_path / "doubled.h5ad")
    CellStore.build([tmp_path / "good.h5ad", tmp_path / "doubled.h5ad"], tmp_path / "store", workers=workers)
    said = [record.getMessage() for record in caplog.records]
    n = int((doubled.X.toarray() > 0).sum())
    assert [text for text in said if "raw counts" in text] == [
        f"doubled: X may not hold raw counts: every count is a multiple of 2 ({n:,} positive counts of 100 cells): "
        "they look multiplied, and may be raw counts once they are divided by 2"
    ]


def test_files_that_are_read_in_place_are_looked_at_too(tmp_path, caplog):
    doubled = make(1, 100)
    doubled.X = doubled.X * 2
    doubled.write_h5ad(tmp_path / "doubled.h5ad")
    open_files({"doubled": str(tmp_path / "doubled.h5ad")}, preprocess=False, preprocessor=Preprocessor())
    assert "every count is a multiple of 2" in caplog.text


def test_what_goes_wrong_in_a_process_is_raised_here(files, tmp_path, monkeypatch):
    def run(command, **options):  # what the process would do, without starting one
        assert command[1:] == ["-m", converting.__name__]
        monkeypatch.setattr(sys, "stdin", io.StringIO(options["input"]))
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        converting.main()
        return subprocess.CompletedProcess(command, 0, sys.stdout.getvalue(), "")

    monkeypatch.setattr(subprocess, "run", run)
    bad = make(0)
    bad.X.data[0] = 0.5
    bad.write_h5ad(tmp_path / "bad.h5ad")
    with pytest.raises(ValueError, match=r"bad: 1 of \d+ values are no counts \(0.5\)"):
        CellStore.build([tmp_path / "bad.h5ad"], tmp_path / "s", workers=2)
    monkeypatch.setattr(converting, "ShardWriter", Full)
    with pytest.raises(OSError, match="is full while set0 is stored") as info:
        CellStore.build(files[:1], tmp_path / "s", workers=2)
    assert info.value.errno == errno.ENOSPC
    killed = subprocess.CompletedProcess([], -9, "", "Killed")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: killed)
    with pytest.raises(RuntimeError, match="set0 could not be stored:\nKilled"):
        CellStore.build(files[:1], tmp_path / "s", workers=2)


def test_inputs_that_cannot_be_stored(files, tmp_path):
    for given, message in (
        ([], "no files were given"),
        ([files[0], files[0]], r"several inputs have the name \['set0'\]"),
        ([("a", make(0)[:0].copy())], "a has no cells"),
        ([("a", anndata.AnnData(obs=make(0).obs))], "X is empty"),
    ):
        with pytest.raises(ValueError, match=message):
            CellStore.build(given, tmp_path / "s")
    named = make(0)
    named.obs["_begin"] = 1
    with pytest.raises(ValueError, match=r"columns named \['_begin'\]"):
        CellStore.build([("a", named)], tmp_path / "s")
    twice = make(0)
    twice.var_names = ["g1", *GENES["x"][1:]]
    with pytest.raises(ValueError, match="gene ids occur more than once"):
        CellStore.build([("a", twice)], tmp_path / "s")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        CellStore.build([tmp_path / "absent.h5ad"], tmp_path / "s")
    for options, message in (({"workers": 0}, "workers=0"), ({"shard_bytes": 0}, "shard_bytes=0")):
        with pytest.raises(ValueError, match=message):
            CellStore.build(files, tmp_path / "s", **options)
    with pytest.raises(FileNotFoundError, match="its build did not end"):
        CellStore.open(tmp_path / "s")
    with pytest.raises(FileNotFoundError, match="is it a store"):
        CellStore.open(tmp_path / "nowhere")


def test_a_finished_store_is_not_built_over(files, tmp_path):
    CellStore.build(files[:2], tmp_path / "s")
    before = (tmp_path / "s" / "manifest.json").stat().st_mtime_ns
    assert len(CellStore.build(files[:2], tmp_path / "s")) == 80
    assert (tmp_path / "s" / "manifest.json").stat().st_mtime_ns == before
    with pytest.raises(FileExistsError, match="finished store of 2 data sets, from other inputs"):
        CellStore.build(files, tmp_path / "s")


def test_add_leaves_readers_alone(files, tmp_path):
    old = CellStore.build(files[:2], tmp_path / "s")
    counts = contents(old)
    new = old.add([files[2]])
    assert (len(old), len(new)) == (80, 120)
    assert (old.manifest.version, new.manifest.version) == (1, 2)
    assert np.array_equal(contents(old), counts)
    assert np.array_equal(contents(pickle.loads(pickle.dumps(old))), counts)  # a worker of the old one sees the old one
    assert np.array_equal(contents(CellStore.open(tmp_path / "s")), expected([0, 1, 2]))
    with pytest.raises(ValueError, match=r"holds data sets named \['set2'\]"):
        new.add([files[2]])


class Full(ShardWriter):
    """A disk that is full after some writes."""

    left = 0

    def write(self, *arguments):
        if Full.left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        Full.left -= 1
        super().write(*arguments)


def test_a_full_disk_loses_nothing(files, tmp_path, monkeypatch):
    store = CellStore.build(files[:1], tmp_path / "s", shard_bytes=1500)
    version = (tmp_path / "s" / "manifest.json").read_bytes()
    monkeypatch.setattr(converting, "ShardWriter", Full)
    Full.left = 1
    with pytest.raises(
        OSError, match=r"the disk of .* is full while set1 is stored: what was finished is kept"
    ) as info:
        store.add(files[1:])
    assert info.value.errno == errno.ENOSPC
    assert (tmp_path / "s" / "manifest.json").read_bytes() == version
    assert not list((tmp_path / "s").rglob("*.part"))
    assert np.array_equal(contents(CellStore.open(tmp_path / "s")), expected([0]))
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "s" / "shards").glob("*.counts")}
    assert len(finished) > len(store.manifest.shards)
    monkeypatch.undo()
    assert np.array_equal(contents(store.add(files[1:])), expected([0, 1, 2]))
    assert all(path.stat().st_mtime_ns == time for path, time in finished.items())


KILLED = """
import sys, time
from scdataloader.store import CellStore, convert
class Slow(convert.ShardWriter):
    def write(self, *arguments):
        super().write(*arguments)
        if len(list(self._folder.glob("*.json"))) == 2:
            self._file.flush()
            print("two shards are finished, a third is half written", flush=True)
            time.sleep(60)
convert.ShardWriter = Slow
CellStore.build(sys.argv[2:], sys.argv[1], shard_bytes=1500)
"""


@pytest.mark.slow
def test_a_killed_build_resumes(files, tmp_path):
    folder = tmp_path / "s"
    command = [sys.executable, "-c", KILLED, str(folder), *map(str, files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("two shards")
        # while it lives, no other may build
        with pytest.raises(BlockingIOError, match=f'"pid": {process.pid}.*if it is no longer running, delete'):
            CellStore.build(files, folder, shard_bytes=1500)
        process.send_signal(signal.SIGKILL)
    with pytest.raises(FileNotFoundError, match="its build did not end: run it again"):
        CellStore.open(folder)
    finished = {path: path.stat().st_mtime_ns for path in (folder / "shards").glob("*.counts")}
    assert len(finished) == 2
    assert (folder / "build.lock").exists()
    assert list((folder / "shards").glob(".*.part"))
    store = CellStore.build(files, folder, shard_bytes=1500)
    assert np.array_equal(contents(store), expected([0, 1, 2]))
    assert all(path.stat().st_mtime_ns == time for path, time in finished.items())
    assert not list((folder / "shards").glob(".*.part"))
    assert not (folder / "build.lock").exists()
    CellStore.build(files, tmp_path / "straight", shard_bytes=1500)
    assert (folder / "manifest.json").read_bytes() == (tmp_path / "straight" / "manifest.json").read_bytes()


def test_a_changed_input_is_stored_anew(files, tmp_path, monkeypatch):
    monkeypatch.setattr(converting, "ShardWriter", Full)
    Full.left = 1
    with pytest.raises(OSError, match="full"):
        CellStore.build(files[:1], tmp_path / "s", shard_bytes=1500)
    monkeypatch.undo()
    make(7, n_cells=50).write_h5ad(files[0])
    store = CellStore.build(files[:1], tmp_path / "s", shard_bytes=1500)
    assert np.array_equal(contents(store)[:, :30], make(7, n_cells=50).X.toarray())


def test_the_lock(tmp_path):
    lock = tmp_path / "build.lock"
    with build_lock(tmp_path):
        holder = json.loads(lock.read_text())
        assert holder["pid"] == os.getpid()
        with pytest.raises(BlockingIOError, match="another process builds this store"), build_lock(tmp_path):
            pass
        assert lock.exists()
    assert list(tmp_path.iterdir()) == []
    # of another machine: nobody here can tell whether it lives
    lock.write_text(json.dumps({"host": "elsewhere", "pid": 1, "started": None}))
    with pytest.raises(BlockingIOError, match="elsewhere"), build_lock(tmp_path):
        pass
    with subprocess.Popen([sys.executable, "-c", "pass"]) as ended:
        pass
    for stale in (
        {"host": platform.node(), "pid": ended.pid, "started": "1"},
        {"host": platform.node(), "pid": os.getpid(), "started": "1"},  # the number has become another's
    ):
        lock.write_text(json.dumps(stale))
        with build_lock(tmp_path):
            assert json.loads(lock.read_text()) == holder
        assert list(tmp_path.iterdir()) == []


@pytest.fixture
def store(files, tmp_path):
    return CellStore.build(files, tmp_path / "s", shard_bytes=1500)


def damage(path, kind):
    content = bytearray(path.read_bytes())
    if kind == "truncated":
        path.write_bytes(content[:-2])
    elif kind == "missing":
        path.unlink()
    else:
        content[len(content) // 2] ^= 8
        path.write_bytes(content)


@pytest.mark.parametrize("ending", [".counts", ".cells.arrow"])
@pytest.mark.parametrize("kind", ["truncated", "missing", "flipped"])
def test_damaged_shards_are_named_and_set_aside(store, files, tmp_path, ending, kind):
    assert CellStore.verify(tmp_path / "s") == {}
    entry = store.manifest.shards[2]
    damage(tmp_path / "s" / "shards" / (entry.name + ending), kind)
    said = {"truncated": "bytes instead of", "missing": "is missing", "flipped": "their checksum is another"}[kind]
    problems = CellStore.verify(tmp_path / "s")
    assert list(problems) == [entry.name]
    assert said in problems[entry.name]
    if kind != "flipped":
        with pytest.raises(ValueError, match=f"{entry.name}{ending} of data set '{entry.dataset}' is damaged"):
            CellStore.open(tmp_path / "s")
    table = verify_table(tmp_path / "s", quarantine=True)
    assert table["problem"].tolist() == [problems.get(e.name, "") for e in store.manifest.shards]
    assert table["cells"].sum() == 120
    assert CellStore.verify(tmp_path / "s") == {}
    kept = CellStore.open(tmp_path / "s")
    lost = np.arange(entry.n_cells) + sum(e.n_cells for e in store.manifest.shards[:2])
    assert np.array_equal(contents(kept), np.delete(expected([0, 1, 2]), lost, axis=0))
    assert kept.info()["quarantined"] == [entry.name]
    assert f"set aside as damaged: {entry.name}" in describe(kept)
    assert not list((tmp_path / "s" / "shards").glob(f"{entry.name}*"))
    # the same inputs bring it back
    again = CellStore.build(files, tmp_path / "s", shard_bytes=1500)
    assert np.array_equal(contents(again), expected([0, 1, 2]))
    assert again.info()["quarantined"] == []
    assert CellStore.verify(tmp_path / "s") == {}


def test_a_damaged_gene_table_is_found(store, tmp_path):
    (name,) = {entry.genes for entry in store.manifest.shards if entry.dataset == "set1"}
    damage(tmp_path / "s" / "genes" / f"{name}.parquet", "flipped")
    problems = CellStore.verify(tmp_path / "s", quarantine=True)
    assert set(problems) == {entry.name for entry in store.manifest.shards if entry.dataset == "set1"}
    assert np.array_equal(contents(CellStore.open(tmp_path / "s")), expected([0, 2]))


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "scdataloader cell store", "schema": 1}'])
def test_a_damaged_manifest_is_refused(store, tmp_path, text):
    (tmp_path / "s" / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"manifest\.json is damaged"):
        CellStore.open(tmp_path / "s")


def test_another_schema_is_refused(store, tmp_path):
    path = tmp_path / "s" / "manifest.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(ValueError, match="is of schema 2, this version of scdataloader reads schema 1"):
        CellStore.open(tmp_path / "s")


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_export(store, tmp_path, kind):
    rows = np.array([100, 0, 45, 7])
    store.export(tmp_path / "out", rows, format=kind)
    out = (anndata.read_h5ad if kind == "h5ad" else anndata.read_zarr)(tmp_path / "out")
    assert out.X.dtype == np.uint32
    wanted = [f"g{i}" for i in range(46)]
    assert np.array_equal(out.to_df().reindex(columns=wanted, fill_value=0).to_numpy(), expected([0, 1, 2])[rows])
    assert out.obs["dataset"].tolist() == ["set2", "set0", "set1", "set0"]
    assert out.obs["barcode"].tolist() == ["2-20", "0-0", "1-5", "0-7"]
    assert out.var.loc["g45", "symbol"] == "G45"
    store.export(tmp_path / "part", np.array([41]))
    assert anndata.read_h5ad(tmp_path / "part").var_names.tolist() == GENES["y"]  # what its data set measured
    with pytest.raises(ValueError, match="neither 'h5ad' nor 'zarr'"):
        store.export(tmp_path / "x", format="csv")
    if kind == "zarr":
        with pytest.raises(FileExistsError, match="choose another name"):
            store.export(tmp_path / "out", format="zarr")


def test_read_ahead_changes_nothing(store):
    before = contents(store)
    store.will_need(np.array([5, 119, 5, 0, 60]))
    store.will_need(np.array([], dtype=np.int64))
    assert np.array_equal(contents(store), before)


def test_real_files_come_back_exactly(shared, tmp_path):
    path = shared / "data" / "expression" / "human_lung_lca_popv.h5ad"
    given = anndata.read_h5ad(path)
    assert given.X.max() > 500_000
    store = CellStore.build([path], tmp_path / "s")
    counts = store.gather(np.arange(len(store)), store.gene_map(given.var_names.tolist())).counts
    assert np.array_equal(counts, given.X.toarray())
    assert store.info()["bytes_per_value"] < 2.5
