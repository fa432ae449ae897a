"""What every test folder may use."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Generator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# How long an example takes says something of the machine's load only.
settings.register_profile("no deadlines", deadline=None)
settings.load_profile("no deadlines")

# What a user has fetched must not change what a test sees; before anything is imported, for child processes too.
os.environ["SCDATALOADER_CACHE"] = tempfile.mkdtemp(prefix="scdataloader-tests-")


@pytest.fixture(scope="module")
def browser() -> Generator[Any]:
    """Chromium, in which pages are looked at; the test is skipped where there is none."""
    where = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if where is None:
        pytest.skip("there is no Chromium on this machine (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=where, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def watched(browser: Any) -> Generator[Callable[..., Any]]:
    """Function that opens a page; afterwards nothing was requested and nothing went wrong."""
    pages: list[tuple[Any, str, list[str], list[str]]] = []

    def watch(path: Path, width: int = 1280, scheme: str = "light", fragment: str = "") -> Any:
        opened = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        requests: list[str] = []
        problems: list[str] = []
        opened.on("request", lambda request: requests.append(request.url))
        opened.on("console", lambda message: problems.append(message.text))
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.on("dialog", lambda dialog: problems.append(dialog.message))
        opened.goto(path.as_uri() + fragment)
        pages.append((opened, path.as_uri(), requests, problems))
        return opened

    yield watch
    for opened, address, requests, problems in pages:
        assert [url.partition("#")[0] for url in requests if url != "data:,"] == [address]
        assert problems == []
        opened.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Tell pytest of the switch that pages are written anew by."""
    told = "write into the documentation what its examples give now, instead of comparing it"
    parser.addoption("--rewrite-pages", action="store_true", help=told)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the reference data and fixtures, beside the checkout; the test is skipped where it is absent."""
    candidates = [os.environ.get("SCPRINT_SHARED", ""), str(Path(__file__).parents[2] / "shared")]
    for candidate in candidates:
        if candidate and (Path(candidate) / "design").is_dir():
            return Path(candidate)
    pytest.skip("the reference folder ../shared is not on this machine (set SCPRINT_SHARED to point to it)")


# Tests of what a package's extras bring are skipped where these are not installed. In the development environment
# nothing is; `make test-packages FULL=1` runs each package's tests where only that package is installed.

ROOT = Path(__file__).parents[1]
PACKAGES = ("bengrn", "grnndata", "scdataloader", "scprint-model")
# distributions whose modules have other names
MODULES = {
    "flash-attn": "flash_attn",
    "pytest-xdist": "xdist",
    "scikit-learn": "sklearn",
    "scprint-model": "scprint_model",
    "scvi-tools": "scvi",
    # what comes with them
    "lamindb": "lamindb_setup",
    "playwright": "yaml",
}


@cache
def optional_modules() -> frozenset[str]:
    """The modules that a package alone need not have: those of extras, of the development group, and the sisters."""
    root = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = [line for group in root["dependency-groups"].values() for line in group] + list(PACKAGES)
    for package in PACKAGES:
        project = tomllib.loads((ROOT / "packages" / package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        lines += [line for extra in project.get("optional-dependencies", {}).values() for line in extra]
    names = {re.split(r"[\s\[<>=!;~]", line)[0] for line in lines}
    return frozenset(names | {MODULES[name] for name in names if name in MODULES})


def missing(name: str) -> bool:
    """Whether the module is one that a package alone need not have, and is not installed."""
    top = name.partition(".")[0]
    return top in optional_modules() and find_spec(top) is None


def cause(error: BaseException | None) -> str | None:
    """Name of the optional module whose absence ended in this error."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name and missing(error.name):
            return error.name
        error = error.__cause__ or error.__context__
    return None


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Skip a file of tests that imports what is not installed."""
    report = yield
    if report.failed:
        names = re.findall(r"No module named '([\w.]+)'", str(report.longrepr))
        if names and missing(names[-1]):
            report.outcome = "skipped"
            report.longrepr = (str(collector.path), 0, f"Skipped: {names[-1]} is not installed")
    return report


def _skip_where_missing() -> Generator[None, object, object]:
    try:
        return (yield)
    except Exception as error:
        if name := cause(error):
            pytest.skip(f"{name} is not installed")
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Skip a test whose fixtures need what is not installed."""
    return (yield from _skip_where_missing())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Skip a test that needs what is not installed."""
    return (yield from _skip_where_missing())
