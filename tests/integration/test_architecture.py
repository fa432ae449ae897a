"""What docs/explain/architecture.md states of the four packages is so.

The lists in capitals name what is not so yet. They shrink: an entry that is no longer needed fails a test, too.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explain/architecture.md"
SOURCES = {path.name: path for path in sorted(ROOT.glob("packages/*/src/*")) if path.is_dir()}
PACKAGES = list(SOURCES)
MOST_LINES = 400
MOST_BY_PLACE = 7

#: Inner modules that another package imports: (importing package, module).
CROSSINGS: set[tuple[str, str]] = set()
#: Modules that import each other in a circle.
CIRCLES: set[str] = set()
#: Files of more than 400 lines.
LONG_FILES: set[str] = set()
#: Folders of one kind, whose files are named by what they are about, by package.
ONE_KIND: dict[str, list[set[str]]] = {
    "bengrn": [{"truths", "benchmarking/presets"}],
    "grnndata": [{"tools", "plotting"}],
}
#: File names that a package has twice.
REPEATED_FILES: set[tuple[str, str]] = set()
#: Rooms of a package that are public with all that their own ``__all__`` names, and where each is.
ROOMS: dict[str, dict[str, str]] = {
    "bengrn": {"pl": "pl", "simulate": "simulate"},
    "grnndata": {"tl": "tools", "pl": "plotting"},
    "scdataloader": {
        room: room
        for room in ("collate", "counts", "datasets", "expression", "genes", "labels", "sampling", "sources", "store")
    },
}
#: Names of ``__all__`` that the reference does not show.
UNDOCUMENTED: set[str] = set()
#: Files and folders at the top of a package that the page does not list.
UNLISTED: set[str] = set()


def test_packages_take_only_public_names_of_each_other():
    found = defaultdict(list)
    for package in PACKAGES:
        for path in SOURCES[package].rglob("*.py"):
            for other, module, line in _crossings(path, package):
                found[package, module].append(f"{path.relative_to(ROOT)}:{line} ({other})")
    _check_exceptions(set(found), CROSSINGS, {key: places for key, places in found.items() if key not in CROSSINGS})


def test_private_modules_that_stand_in_several_packages_are_one_text():
    texts = defaultdict(dict)
    for package in PACKAGES:
        for path in SOURCES[package].glob("_[a-z]*.py"):
            texts[path.name][package] = path.read_text()
    assert set(texts["_content.py"]) == {"bengrn", "grnndata"}
    assert set(texts["_cache.py"]) == set(PACKAGES)
    apart = {name: sorted(copies) for name, copies in texts.items() if len(set(copies.values())) > 1}
    assert not apart, f"files of the same name in several packages are copies of one another: {apart}"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_circle_of_imports(package):
    circles = _circles(_import_graph(package))
    allowed = {module for module in CIRCLES if module.split(".")[0] == package}
    _check_exceptions(set().union(*circles), allowed, circles)


@pytest.mark.parametrize("package", PACKAGES)
def test_files_are_short(package):
    lines = {
        path.relative_to(SOURCES[package].parent).as_posix(): len(path.read_text().splitlines())
        for path in SOURCES[package].rglob("*.py")
    }
    long = {name: n for name, n in lines.items() if n > MOST_LINES}
    _check_exceptions(set(long), {name for name in LONG_FILES if name.split("/")[0] == package}, long)


@pytest.mark.parametrize("package", PACKAGES)
def test_functions_take_few_arguments_by_place(package):
    """Compiled functions are left out, which take arrays by place, and commands, whose options have names."""
    many = {}
    for path in SOURCES[package].rglob("*.py"):
        if "commands" in path.relative_to(SOURCES[package]).as_posix():
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and "jit" not in " ".join(map(ast.unparse, node.decorator_list)):
                names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
                if len(set(names) - {"self", "cls"}) > MOST_BY_PLACE:
                    many[f"{path.relative_to(ROOT)}:{node.lineno}"] = (node.name, names)
    assert not many, f"more than {MOST_BY_PLACE} arguments by place: give the others by name, behind a *: {many}"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_file_name_twice(package):
    places = defaultdict(set)
    for path in SOURCES[package].rglob("*.py"):
        if path.name != "__init__.py":
            places[path.name].add(path.parent.relative_to(SOURCES[package]).as_posix())
    repeated = {
        (package, name): sorted(folders)
        for name, folders in places.items()
        if len(folders) > 1 and not any(folders <= kind for kind in ONE_KIND.get(package, []))
    }
    _check_exceptions(set(repeated), {entry for entry in REPEATED_FILES if entry[0] == package}, repeated)


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_in_the_reference(package):
    shown = (ROOT / f"docs/api/{package}.md").read_text()
    rooms = ROOMS.get(package, {})
    public = _public(SOURCES[package] / "__init__.py")
    assert set(rooms) <= public
    names = {f"{package}.{name}" for name in public - {"__version__", *rooms}}
    for room in rooms.values():
        # what is public in the package, too, is shown there
        names |= {f"{package}.{room}.{name}" for name in _public(_file(package, room)) - public}
    documented = set(re.findall(rf"^\.\. (?:auto\w+|py:data):: ({package}[\w.]*)", shown, re.MULTILINE))
    missing = {name for name in names if name not in documented}
    _check_exceptions(missing, {name for name in UNDOCUMENTED if name.split(".")[0] == package}, missing)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_page_lists_the_files_that_there_are(package):
    listed = _listed(package)
    there = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in SOURCES[package].iterdir()
        if path.name[0] not in "_." and (path.suffix == ".py" or (path.is_dir() and any(path.glob("*.*"))))
    }
    unlisted = {f"{package}/{name}" for name in there - listed}
    _check_exceptions(unlisted, {name for name in UNLISTED if name.split("/")[0] == package}, unlisted)
    gone = {name for name in listed - there if not (SOURCES[package] / name).exists()}
    assert not gone, f"the page lists what is not there: {sorted(gone)}"


def test_words_of_the_page_are_explained_once():
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", PAGE.read_text(), re.MULTILINE)
    assert 10 <= len(words) <= 30
    assert len(words) == len(set(words))


def _check_exceptions(found: set, allowed: set, shown: object) -> None:
    new = found - allowed
    assert not new, f"not as the architecture page says: {sorted(new)}; in full: {shown}"
    done = allowed - found
    assert not done, f"as the architecture page says by now, so take them off the list in this file: {sorted(done)}"


def _crossings(path: Path, package: str) -> list[tuple[str, str, int]]:
    """Return name, module and line of whatever a file takes of another package that is not public there."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            other = node.module.split(".")[0]
            if other not in PACKAGES or other == package:
                continue
            public = _public_at(node.module)
            found += [(alias.name, node.module, node.lineno) for alias in node.names if alias.name not in public]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                other = alias.name.split(".")[0]
                if other in PACKAGES and other not in (package, alias.name):
                    found.append((alias.name, alias.name, node.lineno))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            other = node.value.id
            if other in PACKAGES and other != package and node.attr not in _public(SOURCES[other] / "__init__.py"):
                found.append((node.attr, other, node.lineno))
    return found


def _public_at(module: str) -> frozenset[str]:
    """Return the public names of a package or of one of its public rooms; none for what is inside."""
    package, _, room = module.partition(".")
    if not room:
        return _public(SOURCES[package] / "__init__.py")
    return _public(_file(package, room)) if room in ROOMS.get(package, {}).values() else frozenset()


def _file(package: str, room: str) -> Path:
    folder = SOURCES[package] / room
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


@cache
def _public(path: Path) -> frozenset[str]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return frozenset(ast.literal_eval(node.value))
    raise AssertionError(f"{path} has no __all__")


def _import_graph(package: str) -> dict[str, set[str]]:
    """Return the modules of a package that each of its modules imports, also when called, but not for types alone."""
    root = SOURCES[package].parent
    modules = {}
    for path in SOURCES[package].rglob("*.py"):
        dotted = path.relative_to(root).with_suffix("").as_posix().replace("/", ".")
        modules[dotted.removesuffix(".__init__")] = path
    graph = {}
    for name, path in modules.items():
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
                node.body = [ast.Pass()]
        graph[name] = {
            target for node in ast.walk(tree) for target in _targets(node, name, path, modules) if target != name
        }
    return graph


def _targets(node: ast.AST, name: str, path: Path, modules: dict[str, Path]) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names if alias.name in modules}
    if not isinstance(node, ast.ImportFrom):
        return set()
    base = node.module or ""
    if node.level:
        parts = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
        base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
    found = set()
    for alias in node.names:
        inner = f"{base}.{alias.name}"
        if inner in modules:
            found.add(inner)
        elif base in modules:
            found.add(base)
    return found


def _circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Return the sets of modules that reach each other, by following all imports."""
    reach = {name: _reachable(graph, name) for name in graph}
    circles = {frozenset({name} | {other for other in reach[name] if name in reach[other]}) for name in graph}
    return [set(circle) for circle in circles if len(circle) > 1]


def _reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for other in graph[waiting.pop()] - seen:
            seen.add(other)
            waiting.append(other)
    return seen


def _listed(package: str) -> set[str]:
    """Return the files and folders that the page's layout lists at the top of a package."""
    block = re.search(rf"^{package}/ .*?(?=\n\n|\n```)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert block, f"the page has no layout of {package}"
    lines = block.group().splitlines()[1:]
    names = set()
    for line in lines:
        head = re.match(r"  ((?:[\w./]+ )+) ?", f"{line} ")
        assert head, line
        names |= {name for name in head.group(1).split() if name.endswith((".py", "/"))}
    return names
