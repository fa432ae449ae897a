"""The frame of the benchmarks: units of work that fail, are kept, have peers, and are compared."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from benchmarks import running, work
from benchmarks.__main__ import main
from benchmarks.compare import changes, told
from benchmarks.compare import main as compare
from benchmarks.environments import python_of, versions_of
from benchmarks.measures import measures
from benchmarks.report import csv_rows, write_report
from benchmarks.sections import failures, peers_of
from benchmarks.suite import Suite
from benchmarks.suites import SUITES
from benchmarks.work import Work, planned
from benchmarks.worker import main as carry_out

TOYS = "tests.benchmarks.toys"
SUITE = Suite(
    name="toy",
    section="denoising",
    title="Toy scores",
    function=f"{TOYS}:scores",
    sizes={"quick": ({}, {"value": 0.7}), "full": ({},)},
    names=("method",),
    method="method",
    higher=("score",),
    ends={"score": ("low", "high")},
    peers={"Peer": "peer"},
)


class Fake:
    """A unit that has been done when it begins."""

    def __init__(self, one: Work, _folder):
        self.work, self.seconds = one, 0.0

    def ended(self):
        return running.DONE

    def end(self):
        pass


@pytest.fixture
def in_this_process(monkeypatch):
    """Let units run here, as the process would, and return the names of those that ran."""
    ran = []

    class Unit(Fake):
        def __init__(self, one: Work, folder):
            super().__init__(one, folder)
            path = one.file(folder).with_name("job.json")
            running.write_json(path, running._job(one))
            ran.append(one.name)
            carry_out(path)

    monkeypatch.setattr(running, "Unit", Unit)
    monkeypatch.setattr("benchmarks.worker.signal.signal", lambda *_: None)
    monkeypatch.setattr("benchmarks.worker._end_with_parent", lambda: None)
    return ran


def test_a_failure_ends_no_other_unit_and_stands_in_the_tables(in_this_process, tmp_path):
    broken = replace(SUITE, name="broken", function=f"{TOYS}:raises", sizes={"quick": ({},)}, peers={"Other": "other"})
    suites = [broken, SUITE]
    works = planned(suites, "quick", 1)
    running.run(works, tmp_path / "work", tell=lambda _: None)
    results = running.collected(works, tmp_path / "work")
    assert [result["status"] for result in results] == ["failed", "ok", "ok"]
    write_report(suites, results, tmp_path / "out", size="quick")
    failed = pd.read_csv(tmp_path / "out/broken.csv")
    assert failed["bench_message"].tolist() == ["ValueError: no cells of type 7"]
    good = pd.read_csv(tmp_path / "out/toy.csv")
    assert len(good) == 4
    for column in ("commit", "versions", "machine", "threads", "seed", "date"):
        assert good[column].notna().all(), column
    assert json.loads(good["versions"][0])["numpy"] == np.__version__
    page = (tmp_path / "out/index.html").read_text()
    assert "no cells of type 7" in page
    assert "Toy scores" in page
    assert peers_of(suites, results)["denoising"]["Other"] == "failed: ValueError: no cells of type 7"


def test_started_again_only_what_is_missing_or_changed_runs(in_this_process, tmp_path):
    works = planned([SUITE], "quick", 1)
    running.run(works[:1], tmp_path, tell=lambda _: None)  # as if killed after the first
    running.run(works, tmp_path, tell=lambda _: None)
    assert in_this_process == ["toy", "toy (value=0.7)"]
    in_this_process.clear()
    running.run(works, tmp_path, tell=lambda _: None)
    assert in_this_process == []
    changed = replace(SUITE, code=("tests/benchmarks/test_frame.py",))
    running.run(planned([changed], "full", 1), tmp_path, tell=lambda _: None)
    assert in_this_process == ["toy"]


def test_a_unit_is_ended_at_its_limit_of_time_and_says_so(tmp_path):
    slow = Work(replace(SUITE, function=f"{TOYS}:sleeps", minutes=0.02), {})
    running.run([slow], tmp_path, tell=lambda _: None)
    (result,) = running.collected([slow], tmp_path)
    assert (result["status"], result["message"]) == ("out of time", "stopped at the limit of 1 s")
    assert result["rows"] == []


def test_units_run_side_by_side_but_for_those_that_measure_time(tmp_path, monkeypatch):
    begun, together = [], []

    class Slow(Fake):
        def __init__(self, one: Work, folder):
            super().__init__(one, folder)
            begun.append(one.suite.name)
            self.left, self.folder = 1 if one.suite.name == "a" else 3, folder

        def ended(self):
            together.append(tuple(sorted(begun)))
            self.left -= 1
            if self.left:
                return None
            begun.remove(self.work.suite.name)
            running.write_json(self.work.file(self.folder), {"status": "ok", "message": ""})
            return running.DONE

    monkeypatch.setattr(running, "Unit", Slow)
    monkeypatch.setattr(running, "_TICK", 0)
    names = ("a", "timed", "b", "c", "timed too")
    works = [Work(replace(SUITE, name=name, alone=name.startswith("timed")), {}) for name in names]
    running.run(works, tmp_path, jobs=2, tell=lambda _: None)
    assert all(work.result(tmp_path) is not None for work in works)
    assert {("a", "b"), ("b", "c"), ("timed",), ("timed too",)} <= set(together)
    assert max(map(len, together)) == 2
    assert not any(len(names) == 2 and any(name.startswith("timed") for name in names) for names in together)
    together.clear()
    running.run([replace(work, repeat=1) for work in works], tmp_path, jobs=1, tell=lambda _: None)
    assert list(dict.fromkeys(together)) == [(name,) for name in names]


def test_the_time_left_is_what_units_took_here_or_in_a_committed_run(in_this_process, tmp_path, monkeypatch):
    last = tmp_path / "seconds.csv"
    monkeypatch.setattr(running, "TOOK", last)
    pd.DataFrame({"name": ["toy", "toy (value=0.7)"], "seconds": [7200.0, 3600.0]}).to_csv(last, index=False)
    works, said = planned([SUITE], "quick", 1), []
    running.run(works[:1], tmp_path / "work", tell=said.append)
    running.run(works, tmp_path / "work", tell=said.append)
    assert [line for line in said if "left" in line] == [
        "0 of 1 done, about 2.0 h left: toy",
        "1 of 2 done, about 60 min left: toy (value=0.7)",
    ]
    results = running.collected(works, tmp_path / "work")
    write_report([SUITE], results, tmp_path / "out", size="quick")
    took = pd.read_csv(tmp_path / "out/seconds.csv").set_index("name")["seconds"].to_dict()
    assert took == {one["name"]: pytest.approx(one["seconds"]) for one in results}
    # what was measured here counts
    assert running._expected(tmp_path / "work") == took


def test_the_time_left_is_shorter_for_units_side_by_side():
    seconds = {"a": 60.0, "b": 90.0, "c": 30.0, "timed": 100.0}
    units = {name: Work(replace(SUITE, name=name, alone=name == "timed"), {}) for name in seconds}
    a_runs = SimpleNamespace(work=units["a"], seconds=20.0)
    waiting = [units[name] for name in ("b", "c", "timed")]
    assert running._left(waiting, [a_runs], seconds, 1) == 100 + 40 + 90 + 30
    assert running._left(waiting, [a_runs], seconds, 2) == 100 + 90  # beside the longest the two others are done
    assert running._left(waiting[1:], [a_runs], seconds, 2) == 100 + 40
    assert running._left([], [SimpleNamespace(work=units["a"], seconds=99.0)], seconds, 2) == 0  # longer than expected


def test_the_command_tells_how_many_run_side_by_side(tmp_path, monkeypatch, capsys):
    found = []
    monkeypatch.setattr("benchmarks.__main__.run", lambda *_, **given: found.append(given["jobs"]))
    monkeypatch.setattr("benchmarks.__main__.write_report", lambda *_, **__: None)
    for options in ([], ["--jobs", "3"]):
        monkeypatch.setattr("sys.argv", ["benchmarks", "denoising", "--out", str(tmp_path), *options])
        main()
    assert found == [2, 3]
    monkeypatch.setattr("sys.argv", ["benchmarks", "--jobs", "0"])
    with pytest.raises(SystemExit):
        main()
    assert "--jobs 0 and --threads 1 must be at least 1" in capsys.readouterr().err


def test_data_that_are_not_there_are_named(in_this_process, tmp_path, monkeypatch):
    monkeypatch.setenv(work.FOLDER, str(tmp_path))
    one = Work(replace(SUITE, data=("lung.h5ad",)), {})
    running.run([one], tmp_path / "work", tell=lambda _: None)
    assert in_this_process == []
    (result,) = running.collected([one], tmp_path / "work")
    assert result["status"] == "not run"
    assert "lung.h5ad" in result["message"]


def _result(rows, **more):
    told = {"suite": "toy", "name": "toy", "status": "ok", "message": "", "not_run": {}, "repeat": 0, "arguments": {}}
    return told | {"rows": rows} | more


def test_a_section_without_a_peer_fails():
    ours, peer = {"method": "ours", "score": 0.5}, {"method": "peer", "score": 0.4}
    assert failures([SUITE], [_result([ours, peer])]) == []
    unscored = failures([SUITE], [_result([ours, peer | {"status": "failed"}])])
    alone = failures([SUITE], [_result([ours])])
    assert unscored == alone
    assert any("no peer ran" in line for line in alone)
    assert any("Peer has no rows, and no reason" in line for line in alone)
    elsewhere = replace(SUITE, name="not in this run")
    assert failures([SUITE, elsewhere], [_result([ours])]) == alone
    two = replace(SUITE, peers={"Peer": "peer", "Third": "third"})
    assert failures([two], [_result([ours, peer])]) == ["Denoising: Third has no rows, and no reason"]
    assert failures([two], [_result([ours, peer], not_run={"third": "no such package"})]) == []


def test_runs_of_the_same_number_become_a_mean_with_the_interval_of_their_spread():
    plain = replace(SUITE, ends={})
    results = [_result([{"method": "ours", "score": value}]) for value in (1.0, 2.0, 3.0)]
    (line,) = measures([plain], results).to_dict("records")
    # Student's t with 2 degrees of freedom at 97.5 %: 4.3027; standard error of 1, 2, 3: 1 / sqrt(3)
    assert (line["value"], line["runs"]) == (2.0, 3)
    assert line["high"] == pytest.approx(2 + 4.302653 / np.sqrt(3))
    (single,) = measures([SUITE], [_result([{"method": "ours", "score": 0.5, "low": 0.4, "high": 0.6}])]).to_dict(
        "records"
    )
    assert (single["low"], single["high"], single["better"]) == (0.4, 0.6, "higher")


def test_comparison_finds_a_planted_change_and_no_noise():
    rng = np.random.default_rng(0)
    n, spread = 200, 0.1
    line = {"section": "s", "suite": "toy", "method": "m", "measure": "score", "better": "higher", "runs": 1}

    def drawn() -> pd.DataFrame:
        values = 0.5 + rng.normal(0, spread, n)
        ends = {"low": values - 1.96 * spread, "high": values + 1.96 * spread}
        return pd.DataFrame({"row": [f"r{i}" for i in range(n)], "value": values} | ends | line)

    base, now = drawn(), drawn()
    beyond = changes(base, now)["verdict"].isin(["better", "worse"])
    assert beyond.sum() <= 20  # 5 % of 200 are expected
    worse = now.copy()
    worse.loc[3, ["value", "low", "high"]] = base.loc[3, ["value", "low", "high"]] - 1.0
    found = changes(base, worse).set_index("row")["verdict"]
    assert found["r3"] == "worse"
    assert "r3" in told(base, worse)
    quicker = changes(base.assign(better="lower"), worse.assign(better="lower")).set_index("row")["verdict"]
    assert quicker["r3"] == "better"
    unknown = changes(base.assign(low=np.nan), worse).set_index("row")["verdict"]
    assert unknown["r3"] == "noise unknown"


def test_every_suite_is_of_a_known_section_and_its_function_and_code_are_there():
    from benchmarks.sections import SECTIONS
    from benchmarks.suite import SIZES

    assert len({suite.name for suite in SUITES}) == len(SUITES)
    for suite in SUITES:
        assert suite.section in {section.key for section in SECTIONS}
        assert set(suite.sizes) <= set(SIZES)
        module = work.ROOT / work.module_file(suite)
        assert f"\ndef {suite.function.partition(':')[2]}(" in module.read_text(), suite.name
        missing = [place for place in suite.code if not (work.ROOT / place).exists()]
        assert missing == [], suite.name
        for name in suite.environments:
            assert versions_of(name), name


def test_an_environment_without_a_lock_is_named():
    with pytest.raises(FileNotFoundError, match=r"environments are .*magic"):
        python_of("nobody")


def test_a_run_that_is_stopped_keeps_what_is_done_and_goes_on(in_this_process, tmp_path, monkeypatch, capsys):
    runs, whole, stopped = tmp_path / "runs", running.Unit, []

    class Interrupted(whole):
        def ended(self):
            if self.work.arguments:
                self.work.file(runs / "work").unlink()
                raise KeyboardInterrupt
            return super().ended()

        def end(self):
            stopped.append(self.work.name)

    monkeypatch.setattr("benchmarks.__main__.SUITES", (SUITE,))
    monkeypatch.setattr("benchmarks.__main__.RUNS", runs)
    monkeypatch.setattr("sys.argv", ["benchmarks", "--size", "quick"])
    monkeypatch.setattr(running, "Unit", Interrupted)
    assert main() == 130
    assert stopped == ["toy (value=0.7)"]
    assert "goes on from here" in capsys.readouterr().err
    assert "not done yet" in (runs / "quick/index.html").read_text()
    monkeypatch.setattr(running, "Unit", whole)
    assert main() == 0
    assert "1 of 2 done" in capsys.readouterr().out
    assert in_this_process == ["toy", "toy (value=0.7)", "toy (value=0.7)"]
    assert len(pd.read_csv(runs / "quick/measures.csv")) == 2
    peerless = replace(SUITE, peers={"Peer": "nobody"})
    monkeypatch.setattr("benchmarks.__main__.SUITES", (peerless,))
    assert main() == 1
    assert "no peer ran" in capsys.readouterr().err


def test_what_failed_runs_again_only_when_asked(in_this_process, tmp_path):
    works = planned([replace(SUITE, function=f"{TOYS}:raises", sizes={"quick": ({},)})], "quick", 1)
    for _ in range(2):
        running.run(works, tmp_path, tell=lambda _: None)
    assert in_this_process == ["toy"]
    running.run(works, tmp_path, retry=True, tell=lambda _: None)
    assert in_this_process == ["toy", "toy"]


def test_a_row_of_a_table_keeps_its_own_seed():
    rows = csv_rows([_result([{"method": "ours", "seed": 3}, {"method": "peer"}], seed=7, commit="abc")])
    assert rows["seed"].tolist() == [3, 7]
    assert rows["commit"].tolist() == ["abc", "abc"]


def test_what_cannot_be_compared_is_told_in_a_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["compare", "no-such-commit"])
    with pytest.raises(SystemExit) as ended:
        compare()
    assert ended.value.code == 2
    assert "no-such-commit is no folder with measures.csv, no file, and no commit that has" in capsys.readouterr().err
