"""lamindb: a real local instance (SQLite, no network, no account), in its own process: no one's settings change."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

if find_spec("lamindb") is None:  # not imported: that takes seconds, and only the other processes need it
    pytest.skip("lamindb is not installed", allow_module_level=True)

_STORY = """
import json, sys
from pathlib import Path
import anndata, numpy as np, pandas as pd
import lamindb_setup
import lamindb as ln
from scdataloader.sources.lamin import artifact_uids, register
from scdataloader.sources import find_sources, open_source, sources_of

def brain(value, n=3):
    obs = pd.DataFrame(index=[f"c{i}" for i in range(n)])
    return anndata.AnnData(np.full((n, 2), value, dtype=np.float32), obs=obs, var=pd.DataFrame(index=["g", "h"]))

def message(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:
        return [type(error).__name__, str(error)]

def keys(collection):
    return [artifact.key for artifact in collection.ordered_artifacts]

def highest(what):
    found = []
    for source in sources_of(what):
        with source:
            found.append(float(source.matrices["X"].rows(0, 3).max()))
    return found

out = Path("out")
out.mkdir()
brain(1).write_h5ad(out / "a.h5ad")
brain(2, 5).write_h5ad(out / "b.h5ad")
brain(3).write_zarr(out / "z.zarr")
story = {"not connected": message(artifact_uids, "x")}
lamindb_setup.init(storage="./storage", modules="bionty")

missing = [out / "a.h5ad", out / "none.h5ad"]
story["before"] = message(lambda: register(missing, collection="brains"))
story["counts before"] = [ln.Artifact.filter().count(), ln.Collection.filter().count()]

first = register([out / "a.h5ad", out / "b.h5ad"], collection="brains", description="the first")
story["first"] = [keys(first), first.description, first.is_latest, first.uid]
story["n_observations"] = [artifact.n_observations for artifact in first.ordered_artifacts]
story["inside"] = all(Path(str(a.path)).is_relative_to(Path("storage").resolve()) for a in first.ordered_artifacts)

again = register([out / "b.h5ad", out / "a.h5ad"], collection="brains")
story["again"] = [again.uid, ln.Artifact.filter().count(), ln.Collection.filter().count()]

brain(7).write_h5ad(out / "a.h5ad")
second = register([out / "a.h5ad", out / "z.zarr"], collection="brains")
story["second"] = [keys(second), second.is_latest, second.uid]
story["highest"] = [highest("brains"), highest(first.uid), highest(second)]

new = second.ordered_artifacts[0]
old = first.ordered_artifacts[0]
story["uids"] = [old.uid, new.uid]
story["by"] = {
    "key": artifact_uids("brains/a.h5ad"), "uid": artifact_uids(old.uid), "stem": artifact_uids(old.uid[:16]),
    "object": artifact_uids(old), "collection": artifact_uids("brains"), "expected": artifact_uids(second),
}
story["found"] = find_sources(["lamin:brains", f"lamin:{new.uid}"])
with open_source(f"lamin:{new.uid}") as source:
    story["source"] = [source.name, source.uri, list(source.matrices["X"].shape)]
story["errors"] = [
    message(open_source, "lamin:brains"), message(artifact_uids, "brians"), message(artifact_uids, 3),
    message(lambda: register([], collection="brains")),
]

other = register([out / "a.h5ad"], collection="same files, other name")
story["other"] = [keys(other), other.key, artifact_uids("brains") == artifact_uids(second)]
brain(1).write_h5ad(out / "a.h5ad")
back = register([out / "a.h5ad"], collection="same files, other name")
brain(7).write_h5ad(out / "a.h5ad")
story["back"] = [register([out / "a.h5ad"], collection="same files, other name").uid, other.uid, back.uid]

twins = []
for folder in ("x", "y"):
    (out / folder).mkdir()
    brain(ord(folder)).write_h5ad(out / folder / "same.h5ad")
    twins.append(out / folder / "same.h5ad")
story["twins"] = keys(register(twins, collection="twins"))
story["mapped"] = len(ln.Collection.get(key="twins").mapped())
print("STORY" + json.dumps(story))
"""


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    for name in ("home", "settings"):
        (folder / name).mkdir(exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("LAMIN")}
    environment = {**kept, "HOME": str(folder / "home"), "LAMIN_SETTINGS_DIR": str(folder / "settings")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("lamin")
    told = run(folder, sys.executable, "-c", _STORY)
    assert told.returncode == 0, told.stdout + told.stderr
    line = next(line for line in told.stdout.splitlines() if line.startswith("STORY"))
    return dict(json.loads(line.removeprefix("STORY")))


@pytest.mark.slow
def test_files_become_artifacts_of_a_collection_inside_the_storage(story: dict[str, Any]) -> None:
    assert story["first"][:3] == [["brains/a.h5ad", "brains/b.h5ad"], "the first", True]
    assert story["n_observations"] == [3, 5]
    assert story["inside"]


def test_the_same_files_again_change_nothing(story: dict[str, Any]) -> None:
    assert story["again"] == [story["first"][3], 2, 1]


def test_new_content_makes_new_versions_and_leaves_the_old(story: dict[str, Any]) -> None:
    keys, is_latest, uid = story["second"]
    assert keys == ["brains/a.h5ad", "brains/b.h5ad", "brains/z.zarr"]
    assert is_latest
    assert uid != story["first"][3]
    assert uid[:16] == story["first"][3][:16]  # the same collection, another version
    assert story["highest"] == [[7, 2, 3], [1, 2], [7, 2, 3]]
    old, new = story["uids"]
    assert old != new
    assert old[:16] == new[:16]


def test_artifacts_and_collections_are_found_by_uid_key_and_object(story: dict[str, Any]) -> None:
    old, new = story["uids"]
    by = story["by"]
    assert by["key"] == by["stem"] == [new]  # the latest version
    assert by["uid"] == by["object"] == [old]
    assert by["collection"] == by["expected"]
    assert len(by["collection"]) == 3


def test_a_lamin_address_is_a_source(story: dict[str, Any]) -> None:
    new = story["uids"][1]
    assert story["found"] == [f"lamin:{uid}" for uid in story["by"]["collection"]]
    assert story["source"] == [new, f"lamin:{new}", [3, 2]]


def test_what_cannot_be_found_or_registered_is_said(story: dict[str, Any]) -> None:
    kind, message = story["before"]
    assert kind == "FileNotFoundError"
    assert "1 of 2 files are missing, such as out/none.h5ad" in message
    assert story["counts before"] == [0, 0]
    collection, unknown, number, nothing = story["errors"]
    assert collection[0] == "ValueError"
    assert "lamin:brains has 3 artifacts" in collection[1]
    assert unknown == ["FileNotFoundError", "lamindb has no artifact or collection 'brians'; there are ['brains']"]
    assert number[0] == "TypeError"
    assert nothing[0] == "ValueError"


def test_the_same_files_in_another_collection_leave_the_first_alone(story: dict[str, Any]) -> None:
    assert story["other"] == [["same files, other name/a.h5ad"], "same files, other name", True]


def test_going_back_to_an_old_content_finds_its_version(story: dict[str, Any]) -> None:
    again, first, second = story["back"]
    assert again == first != second


def test_files_of_the_same_name_get_different_keys_and_lamindb_can_map_them(story: dict[str, Any]) -> None:
    assert story["twins"] == ["twins/x_same.h5ad", "twins/y_same.h5ad"]
    assert story["mapped"] == 6


def test_without_an_instance_the_command_is_named(story: dict[str, Any]) -> None:
    kind, message = story["not connected"]
    assert kind == "RuntimeError"
    assert message.startswith("no lamindb instance is connected: run `lamin connect <owner>/<name>`")


def test_without_lamindb_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from scdataloader.sources.lamin import artifact_uids

    monkeypatch.setitem(sys.modules, "lamindb", None)
    with pytest.raises(ImportError, match=r"pip install 'scdataloader\[lamin\]'"):
        artifact_uids("x")


@pytest.mark.slow
def test_the_page_on_lamindb_runs(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs/how_to/use_lamindb.md"
    code = "\n".join(_as_python(kind, body) for kind, body in _BLOCK.findall(page.read_text("utf-8")))
    told = run(tmp_path, sys.executable, "-c", f"{_INIT}\n{code}")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "2 files: 2 done, 0 done before, 0 failed" in told.stdout


_BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INIT = "import lamindb_setup; lamindb_setup.init(storage='./storage', modules='bionty')"


def _as_python(kind: str, body: str) -> str:
    if kind == "python":
        return body
    arguments = shlex.split(body.splitlines()[0].removeprefix("$ scdataloader "))
    return f"from scdataloader.cli import main\nassert main({arguments!r}) == 0"
