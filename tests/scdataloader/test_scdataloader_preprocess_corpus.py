"""Many files: in parallel, resumed, each output whole or not at all, whatever goes wrong on the way."""

import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scdataloader import Preprocessor, gene_table
from scdataloader.preprocess.corpus import preprocess_files
from scdataloader.preprocess.corpus_folder import input_fingerprint, remove_leftovers, work_folder
from scdataloader.preprocess.corpus_report import CorpusReport
from scdataloader.preprocess.workers import Died

# In a file of its own: worker processes import it.
STAND_IN = '''
import errno, os, signal, time
from dataclasses import dataclass
from pathlib import Path
from scdataloader import Preprocessor
from scdataloader.preprocess.report import Report

LENIENT = Preprocessor(min_dataset_genes=100, min_genes=50)

class RefusedError(ValueError):
    def __init__(self, message, report):
        super().__init__(message)
        self.report = report

@dataclass(frozen=True)
class Copy:
    """Writes its input twice, or cleans it if it is cells; what an input says makes something happen half way."""
    factor: int = 2
    gate: str = "nowhere"

    def write(self, source, out):
        if Path(source).read_bytes().startswith(b"\\x89HDF"):
            return LENIENT.write(source, out)
        text = Path(source).read_text()
        n = len(text)
        report = Report(str(source))
        report.add("read", (n, 7), (n, 5), "letters")
        with open(out, "w") as handle:
            handle.write(text)
            handle.flush()
            if "killed" in text:
                os.kill(os.getpid(), signal.SIGKILL)
            if "interrupted" in text:
                raise KeyboardInterrupt
            if "refused" in text:
                raise RefusedError("every count is zero", report)
            if "full" in text and not Path(self.gate).exists():
                raise OSError(errno.ENOSPC, "No space left on device", str(out))
            if "bug" in text:
                {}["missing"]
            if "waits" in text:
                Path(self.gate + ".waiting").touch()
                while not Path(self.gate).exists():
                    time.sleep(0.01)
            handle.write(text * (self.factor - 1))
        report.add("double", (n, 5), (n * self.factor, 5), f"times {self.factor}")
        report.facts |= {"organism": "NCBITaxon:9606", "threads": os.environ.get("OMP_NUM_THREADS")}
        return report
'''


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    folder = tmp_path_factory.mktemp("importable")
    (folder / "corpus_stand_in.py").write_text(STAND_IN)
    sys.path.insert(0, str(folder))
    yield import_module("corpus_stand_in")
    sys.path.remove(str(folder))
    del sys.modules["corpus_stand_in"]


@pytest.fixture
def inputs(tmp_path):
    def write(**texts):
        folder = tmp_path / "in"
        folder.mkdir(exist_ok=True)
        for name, text in texts.items():
            (folder / f"{name}.h5ad").write_text(text)
        return [folder / f"{name}.h5ad" for name in texts]

    return write


def left(out):
    """Names of all that is in a folder, hidden or not."""
    return sorted(path.name for path in Path(out).iterdir())


def statuses(report):
    return [file.status for file in report.files]


def test_each_output_lies_beside_its_record(stand_in, inputs, tmp_path):
    files, out = inputs(b="bbb", a="aa"), tmp_path / "out"
    report = preprocess_files(files, out, stand_in.Copy())
    assert report.ok
    assert [file.name for file in report.files] == ["b", "a"]
    assert left(out) == ["a.h5ad", "a.json", "b.h5ad", "b.json"]
    assert (out / "b.h5ad").read_text() == "bbbbbb"
    record = json.loads((out / "b.json").read_text())
    assert record["settings"] == {"preprocessor": "Copy", "factor": 2, "gate": "nowhere"}
    assert record["output"]["sha256"] == sha256(b"bbbbbb").hexdigest()
    assert record["output"]["size"] == 6
    assert record["input"]["size"] == 3
    assert record["report"]["steps"][1]["detail"] == "times 2"
    assert record["version"] == import_module("importlib.metadata").version("scdataloader")


def test_files_done_before_are_not_made_again(stand_in, inputs, tmp_path):
    files, out = inputs(a="aa", b="bbb"), tmp_path / "out"
    first = preprocess_files(files, out, stand_in.Copy())
    before = (out / "a.h5ad").stat()
    again = preprocess_files(files, out, stand_in.Copy())
    assert statuses(again) == ["skipped", "skipped"]
    assert (out / "a.h5ad").stat().st_ino == before.st_ino
    assert again.files[0].report == first.files[0].report
    assert statuses(preprocess_files(files, out, stand_in.Copy(), overwrite=True)) == ["done", "done"]
    assert statuses(preprocess_files(files, out, stand_in.Copy(factor=3))) == ["done", "done"]
    assert (out / "b.h5ad").read_text() == "b" * 9


@pytest.mark.parametrize("change", ["input", "time", "size", "content", "gone", "record", "foreign record"])
def test_what_changed_is_made_anew(stand_in, inputs, tmp_path, change):
    files, out = inputs(a="aa", b="bbb"), tmp_path / "out"
    preprocess_files(files, out, stand_in.Copy())
    output, record = out / "a.h5ad", out / "a.json"
    if change == "input":  # same size, same time
        stat = files[0].stat()
        files[0].write_text("AA")
        os.utime(files[0], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif change == "time":
        os.utime(files[0], ns=(1, 1))
    elif change == "size":
        output.write_text("aaa")
    elif change == "content":
        output.write_text("aaxx")
    elif change == "gone":
        output.unlink()
    elif change == "record":
        record.write_text(record.read_text()[:-20])
    else:
        record.write_text('["not ours"]')
    assert statuses(preprocess_files(files, out, stand_in.Copy())) == ["done", "skipped"]
    assert output.read_text() == files[0].read_text() * 2


def test_a_copied_corpus_is_done(stand_in, inputs, tmp_path):
    files, out = inputs(a="aa"), tmp_path / "out"
    preprocess_files(files, out, stand_in.Copy())
    os.utime(out / "a.h5ad", ns=(1, 1))  # as plain `cp` would leave it
    assert statuses(preprocess_files(files, out, stand_in.Copy())) == ["skipped"]


def test_inputs_are_told_apart(tmp_path):
    big = tmp_path / "big"
    content = np.random.default_rng(0).integers(0, 256, 5 << 20, dtype=np.uint8)
    big.write_bytes(content.tobytes())
    seen = [input_fingerprint(str(big))]
    for position in (0, len(content) - 1):  # either end
        content[position] += 1
        big.write_bytes(content.tobytes())
        os.utime(big, ns=(5, 5))
        seen.append(input_fingerprint(str(big)))
        content[position] -= 1
    assert len({one["ends"] for one in seen}) == 3
    assert {one["size"] for one in seen} == {5 << 20}
    folder = tmp_path / "store.zarr"
    (folder / "X").mkdir(parents=True)
    (folder / "X" / "0").write_text("abc")
    first = input_fingerprint(str(folder))
    assert (first["files"], first["size"]) == (1, 3)
    (folder / "X" / "0").rename(folder / "X" / "1")
    assert input_fingerprint(str(folder))["tree"] != first["tree"]
    assert input_fingerprint("https://example.org/a.h5ad") == {"uri": "https://example.org/a.h5ad"}
    with pytest.raises(FileNotFoundError, match="there is no file"):
        input_fingerprint(str(tmp_path / "none"))


def test_an_input_that_changes_while_it_is_read_is_no_output(inputs, tmp_path):
    files, out = inputs(a="aa"), tmp_path / "out"

    @dataclass(frozen=True)
    class Meddler:
        def write(self, source, out):
            Path(out).write_text("half old, half new")
            Path(source).write_text("changed")

    with pytest.raises(OSError, match="was changed while it was read"):
        preprocess_files(files, out, Meddler())
    assert left(out) == ["a.json"]


def test_nothing_begins_when_the_request_makes_no_sense(stand_in, inputs, tmp_path):
    files, out = inputs(a="aa", b="bbb"), tmp_path / "out"
    other = tmp_path / "other" / "a.h5ad"
    other.parent.mkdir()
    other.write_text("x")
    copy = stand_in.Copy()
    with pytest.raises(ValueError, match="there are no files"):
        preprocess_files([], out, copy)
    with pytest.raises(ValueError, match=r"the same name, such as .*a\.h5ad.*other/a\.h5ad.*names="):
        preprocess_files([*files, other], out, copy)
    with pytest.raises(ValueError, match="the same name"):
        preprocess_files(files, out, copy, names=["one", "ONE"])
    with pytest.raises(ValueError, match="1 names are given for 2 files"):
        preprocess_files(files, out, copy, names=["a"])
    for name in ("../a", "", ".a", "x/y"):
        with pytest.raises(ValueError, match="cannot be names of files"):
            preprocess_files(files, out, copy, names=["b", name])
    with pytest.raises(ValueError, match="workers=0"):
        preprocess_files(files, out, copy, workers=0)
    with pytest.raises(FileNotFoundError, match=r"1 of 3 files do not exist: \['.*none.h5ad'\]"):
        preprocess_files([*files, tmp_path / "none.h5ad"], out, copy)
    with pytest.raises(TypeError, match="no dataclass of settings"):
        preprocess_files(files, out, object())
    assert not out.exists()


def test_inputs_are_never_overwritten(stand_in, inputs, tmp_path):
    files = inputs(a="aa", b="bbb")
    with pytest.raises(ValueError, match=r"a\.h5ad is an input file.*never overwritten"):
        preprocess_files(files, tmp_path / "in", stand_in.Copy())
    with pytest.raises(ValueError, match="is an input file"):  # the output of one would be another
        preprocess_files(files, tmp_path / "in", stand_in.Copy(), names=["new", "a"])
    linked = tmp_path / "linked"
    linked.symlink_to(tmp_path / "in")
    with pytest.raises(ValueError, match="is an input file"):
        preprocess_files(files, linked, stand_in.Copy())
    assert left(tmp_path / "in") == ["a.h5ad", "b.h5ad"]
    assert files[0].read_text() == "aa"
    assert preprocess_files(files, tmp_path / "in", stand_in.Copy(), names=["c", "d"]).ok


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("refused", ValueError, r"in/b\.h5ad: every count is zero"),
        ("full", OSError, "the disk is full: .*b.h5ad was not written; .* MB are free"),
        ("bug", RuntimeError, r"b\.h5ad: KeyError: 'missing'"),
    ],
)
def test_the_first_failure_stops(stand_in, inputs, tmp_path, text, kind, message):
    files, out = inputs(a="aa", b=text, c="ccc"), tmp_path / "out"
    with pytest.raises(kind, match=message) as caught:
        preprocess_files(files, out, stand_in.Copy())
    assert "1 of 3 files are done; run again to go on" in caught.value.__notes__[0]
    assert left(out) == ["a.h5ad", "a.json", "b.json"]
    files[1].write_text("bbb")
    assert statuses(preprocess_files(files, out, stand_in.Copy())) == ["skipped", "done", "done"]


def test_a_disk_that_fills_while_hdf5_writes(tmp_path, inputs, monkeypatch):
    """HDF5 says so in words, and what is raised at closing the file hides it."""
    files, out = inputs(a="aa", b="bb"), tmp_path / "out"
    full = True

    @dataclass(frozen=True)
    class Hdf5:
        def write(self, source, out):
            Path(out).write_text("half")
            try:
                if full:
                    raise OSError("Can't write data (file write failed: errno = 28, error message = 'No space left')")
            finally:
                if full:
                    raise RuntimeError("Can't decrement id ref count")
            Path(out).write_text("whole")
            return import_module("scdataloader.preprocess.report").Report(source)

    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 12_300_000}))
    with pytest.raises(RuntimeError, match=r"the disk is full: .*a\.h5ad was not written; 12\.3 MB are free"):
        preprocess_files(files, out, Hdf5())
    assert left(out) == ["a.json"]
    full = False
    assert statuses(preprocess_files(files, out, Hdf5())) == ["done", "done"]


def test_an_output_that_could_not_be_replaced_stays_and_is_told(stand_in, inputs, tmp_path):
    files, out = inputs(a="aa"), tmp_path / "out"
    preprocess_files(files, out, stand_in.Copy())
    files[0].write_text("refused")
    report = preprocess_files(files, out, stand_in.Copy(), keep_going=True)
    assert report.failed[0].reason == "every count is zero (a.h5ad is still that of an earlier run)"
    assert (out / "a.h5ad").read_text() == "aaaa"
    assert CorpusReport.read(out).failed == report.failed


def cells(n, seed, **obs):
    genes = gene_table("human").index[:400].tolist()
    counts = sparse.csr_matrix(np.random.default_rng(seed).poisson(0.8, (n, len(genes))).astype(np.float32))
    table = pd.DataFrame(obs, index=[f"cell{i}" for i in range(n)])
    return anndata.AnnData(counts, obs=table, var=pd.DataFrame(index=genes))


@pytest.mark.slow
def test_in_processes_the_others_go_on_whatever_becomes_of_one(stand_in, inputs, tmp_path):
    """One run with all that can go wrong, since each process takes seconds to start."""
    out, gate = tmp_path / "out", tmp_path / "gate"
    files = inputs(a="refused", b="bbb", c="full", d="bug", e="killed", f="ffffff")
    files += [tmp_path / f"in/{name}.h5ad" for name in ("few", "cut", "cells", "none")]
    cells(20, 2).write_h5ad(files[6])
    cells(150, 0, is_primary_data=[True] * 120 + [False] * 30).write_h5ad(files[8])
    files[7].write_bytes(files[8].read_bytes()[:5000])
    copy = stand_in.Copy(gate=str(gate))
    report = preprocess_files(files, out, copy, workers=2, keep_going=True)

    assert [file.name for file in report.files] == ["a", "b", "c", "d", "e", "f", "few", "cut", "cells", "none"]
    assert [file.name for file in report.files if file.status == "done"] == ["b", "f", "cells"]
    refused, full, bug, killed, few, broken, none = report.failed
    assert refused.reason == "every count is zero"
    assert refused.report.steps[0].name == "read"
    assert f"the disk is full: {out / 'c.h5ad'} was not written" in full.reason
    assert "MB are free" in full.reason
    assert "KeyError: 'missing' (in corpus_stand_in.py, line" in bug.reason
    assert killed.source == str(files[4])
    assert "killed by signal 9: it takes more memory than there is" in killed.reason
    assert "min_cells" in few.reason
    assert "cut.h5ad" in broken.reason
    assert "there is no file" in none.reason
    assert left(out) == sorted(["b.h5ad", "f.h5ad", "cells.h5ad", *(f"{file.name}.json" for file in report.files)])
    assert CorpusReport.read(out).files == sorted(report.files, key=lambda file: file.name)
    assert report.files[1].report.facts["threads"] == "1"

    expected, _ = stand_in.LENIENT(files[8])
    written = anndata.read_h5ad(out / "cells.h5ad")
    assert (written.X != expected.X).nnz == 0
    assert written.obs_names.equals(expected.obs_names)
    row = report.table().set_index("name").loc["cells"]
    assert row[["cells_in", "cells_out", "organism"]].tolist() == [150, 120, "NCBITaxon:9606"]

    gate.touch()  # room was made
    files[4].write_text("lives")
    again = preprocess_files(files[1:6], out, copy, keep_going=True)
    assert statuses(again) == ["skipped", "done", "failed", "done", "skipped"]
    assert (out / "c.h5ad").read_text() == "fullfull"


def test_a_worker_that_died_stops_the_run(stand_in, inputs, tmp_path, monkeypatch):
    def dies(function, jobs, *, workers, stop):
        yield 1, Died("its worker process was killed by signal 9")
        assert stop()
        yield 0, function(jobs[0])

    monkeypatch.setattr("scdataloader.preprocess.corpus.run_in_processes", dies)
    files, out = inputs(a="aa", b="bb", c="cc"), tmp_path / "out"
    with pytest.raises(RuntimeError, match=r"in/b\.h5ad: its worker process was killed by signal 9") as caught:
        preprocess_files(files, out, stand_in.Copy(), workers=2)
    assert caught.value.__notes__ == ["1 of 3 files are done; run again to go on, keep_going=True to go past failures"]
    assert left(out) == ["a.h5ad", "a.json", "b.json"]


def test_ctrl_c_leaves_no_half_file(stand_in, inputs, tmp_path):
    files, out = inputs(a="aa", b="interrupted", c="cc"), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        preprocess_files(files, out, stand_in.Copy(), keep_going=True)
    assert left(out) == ["a.h5ad", "a.json"]


def run_script(tmp_path, stand_in, body):
    """Start a script that preprocesses, as a user would."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
            import signal, sys
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
            sys.path.insert(0, {str(Path(stand_in.__file__).parent)!r})
            from corpus_stand_in import Copy
            from scdataloader.preprocess.corpus import preprocess_files
            if __name__ == '__main__':
                {body}
        """)
    )
    return subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True
    )


def wait_for(condition, process=None):
    deadline = time.monotonic() + 300
    while not condition():
        assert process is None or process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("how", "workers"), [(signal.SIGKILL, 1), (signal.SIGINT, 2)])
def test_a_run_that_is_killed_leaves_no_half_file_and_goes_on(stand_in, inputs, tmp_path, workers, how):
    files, out, gate = inputs(a="aa", b="waits", c="ccc"), tmp_path / "out", tmp_path / "gate"
    run = run_script(
        tmp_path,
        stand_in,
        f"preprocess_files({[str(f) for f in files]!r}, {str(out)!r}, Copy(gate={str(gate)!r}), workers={workers})",
    )
    # until all that can be done is done: `b` is half written
    finished = {"a.json", "c.json"} if workers == 2 else {"a.json"}
    wait_for(lambda: Path(f"{gate}.waiting").exists() and finished <= set(left(out)), run)
    assert not (out / "b.h5ad").exists()
    assert [path.read_text() for path in out.glob(".work-*/b.h5ad")] == ["waits"]
    os.killpg(run.pid, how)
    _, stderr = run.communicate(timeout=300)
    assert run.returncode == -how, stderr
    assert not (out / "b.h5ad").exists()
    if how == signal.SIGINT:
        assert not list(out.glob(".*"))
    gate.touch()
    report = preprocess_files(files, out, stand_in.Copy(gate=str(gate)))
    assert statuses(report) == ["skipped", "done", "skipped" if workers == 2 else "done"]
    assert left(out) == [f"{name}.{kind}" for name in "abc" for kind in ("h5ad", "json")]
    assert (out / "b.h5ad").read_text() == "waitswaits"


def test_unfinished_work_of_the_living_is_left_alone(tmp_path):
    with work_folder(tmp_path) as work:
        (work / "half").write_text("x")
        assert remove_leftovers(tmp_path) == 0
        assert (work / "half").exists()
    assert left(tmp_path) == []
    dead = tmp_path / ".work-dead"
    dead.mkdir()
    (dead / ".lock").touch()
    (dead / "half").write_text("x")
    (tmp_path / ".work-empty").mkdir()
    (tmp_path / "mine").mkdir()
    assert remove_leftovers(tmp_path) == 1
    assert left(tmp_path) == ["mine"]


def test_two_runs_at_once_leave_whole_files_with_their_own_records(stand_in, inputs, tmp_path):
    files, out = inputs(**{f"f{i:02}": "x" * (i + 1) for i in range(30)}), tmp_path / "out"
    errors = []

    def run(factor):
        try:
            for _ in range(3):
                preprocess_files(files, out, stand_in.Copy(factor=factor), overwrite=True)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(factor,)) for factor in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for i, file in enumerate(files):  # whole
        assert len((out / file.name).read_text()) in {2 * (i + 1), 3 * (i + 1)}
    # whatever the order in which they were put in place, no file is taken for one made with other settings
    assert preprocess_files(files, out, stand_in.Copy(factor=3)).ok
    assert [len((out / file.name).read_text()) for file in files] == [3 * (i + 1) for i in range(30)]
    assert len(left(out)) == 60


def test_a_record_beside_the_output_of_another_run_of_the_same_size_does_not_count(stand_in, inputs, tmp_path):
    files, out = inputs(a="aa"), tmp_path / "out"
    preprocess_files(files, out, stand_in.Copy())
    (tmp_path / "theirs").write_text("bbbb")
    (tmp_path / "theirs").replace(out / "a.h5ad")
    assert statuses(preprocess_files(files, out, stand_in.Copy())) == ["done"]


def test_what_happens_is_logged_and_nothing_is_drawn_without_a_terminal(stand_in, inputs, tmp_path, caplog, capfd):
    files = inputs(a="aa", b="refused")
    with caplog.at_level(logging.INFO, logger="scdataloader"):
        preprocess_files(files, tmp_path / "out", stand_in.Copy(), keep_going=True)
    assert [(r.levelname, r.getMessage().split(str(tmp_path))[1]) for r in caplog.records] == [
        ("INFO", "/in/a.h5ad is done: "),
        ("WARNING", "/in/b.h5ad failed: every count is zero"),
    ]
    assert capfd.readouterr() == ("", "")


def test_on_a_dask_cluster(stand_in, inputs, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    files, out = inputs(a="aa", b="refused", c="ccc", d="bug"), tmp_path / "out"
    monkeypatch.chdir(tmp_path)
    relative = [path.relative_to(tmp_path) for path in files]
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, silence_logs=logging.ERROR
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        report = preprocess_files(relative, out, stand_in.Copy(), client=client, keep_going=True)
        assert statuses(report) == ["done", "failed", "done", "failed"]
        assert (out / "c.h5ad").read_text() == "cccccc"
        with pytest.raises(ValueError, match=r"b\.h5ad: every count is zero"):
            preprocess_files(files[:3], out, stand_in.Copy(), client=client)  # of two failures either may come first
        assert client.status == "running"  # it is the caller's
        files[1].write_text("b")
        again = preprocess_files(files[:3], out, stand_in.Copy(), client=cluster.scheduler_address)
        assert statuses(again) == ["skipped", "done", "skipped"]


def test_without_distributed_a_client_is_refused(stand_in, inputs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"install scdataloader\[dask\]"):
        preprocess_files(inputs(a="aa"), tmp_path / "out", stand_in.Copy(), client="tcp://127.0.0.1:1")


def test_reference_files(shared, tmp_path):
    names = ["human_pbmc3k", "mouse_marrow_paul15", "human_scmark_immune_3kgenes"]
    files = [shared / f"data/expression/{name}.h5ad" for name in names]
    report = preprocess_files(files, tmp_path, Preprocessor(), keep_going=True)
    table = report.table().set_index("name")
    assert table.loc["human_pbmc3k", "status"] == "done"
    written = anndata.read_h5ad(tmp_path / "human_pbmc3k.h5ad", backed="r")
    assert written.shape == tuple(table.loc["human_pbmc3k", ["cells_out", "genes_out"]])
    assert table.loc["human_scmark_immune_3kgenes", "status"] == "failed"  # a panel of 3,000 genes
    assert "min_dataset_genes" in table.loc["human_scmark_immune_3kgenes", "reason"]
