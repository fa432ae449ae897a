"""One rule for cache folders and environment variables, and one page that lists them."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/how_to/caches_and_variables.md"
SOURCES = {path.name: path for path in sorted(ROOT.glob("packages/*/src/*")) if path.is_dir()}
#: Files that read the environment; what they read begins with the package's name, or is another program's.
READERS = {
    *(f"{package}/_cache.py" for package in SOURCES),
    "bengrn/_threads.py",
    "bengrn/benchmarking/watched.py",
    "bengrn/fetch.py",
    "bengrn/methods/deep/regdiffusion.py",
    "scprint_model/kernels/choice.py",
    "scdataloader/preprocess/workers.py",
}


@pytest.mark.parametrize("package", SOURCES)
def test_the_cache_of_every_package_follows_one_rule(package, monkeypatch, tmp_path):
    cache_folder = importlib.import_module(f"{package}._cache").cache_folder
    monkeypatch.setenv(f"{package.upper()}_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.setenv(f"{package.upper()}_CACHE", "~/mine")
    assert cache_folder() == Path.home() / "mine"
    monkeypatch.delenv(f"{package.upper()}_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "all"))
    assert cache_folder() == tmp_path / "all" / package


def test_the_page_lists_the_variables_that_are_read():
    prefix = "|".join(package.upper() for package in SOURCES)
    read = {f"{package.upper()}_CACHE" for package in SOURCES}
    readers = set()
    for package, source in SOURCES.items():
        for path in source.rglob("*.py"):
            text = path.read_text()
            read |= set(re.findall(rf"\b(?:{prefix})_[A-Z]+\b", text))
            if re.search(r"\bos\.(environ|getenv)\b", text):
                readers.add(f"{package}/{path.relative_to(source).as_posix()}")
    assert readers == READERS
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)) == read
