"""Public names that are imported on first use: seen by tab completion, and the same objects as at their homes."""

import importlib
import importlib.metadata
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

LAZY = [
    "bengrn",
    "bengrn.simulate",
    "scdataloader",
    "scdataloader.collate",
    "scdataloader.preprocess",
    "scdataloader.store",
    "scprint_model",
]
PACKAGES = ["bengrn", "grnndata", "scdataloader", "scprint_model"]


def test_the_copies_are_one_text():
    copies = {
        name: Path(importlib.import_module(f"{name}._lazy").__file__).read_bytes()
        for name in ("bengrn", "scdataloader", "scprint_model")
    }
    assert copies["bengrn"] == copies["scdataloader"] == copies["scprint_model"]


@pytest.mark.parametrize("name", [*LAZY, "grnndata"])
def test_tab_completion_shows_every_public_name(name):
    # in a fresh process: what was used already would be seen anyway
    code = f"import {name} as package; print(sorted(set(package.__all__) - set(dir(package))), len(package.__all__))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert said[0] == "[]"
    assert int(said[1]) >= 5


@pytest.mark.parametrize("name", LAZY)
def test_every_public_name_is_the_object_of_its_home(name):
    package = importlib.import_module(name)
    for public in package.__all__:
        found = getattr(package, public)
        home = getattr(found, "__module__", None)
        if f"{name}.{public}" in sys.modules or public == "__version__":
            assert public == "__version__" or found is sys.modules[f"{name}.{public}"]
        elif home is None or not home.startswith(f"{name}."):  # a constant, or the name of a type
            stated = package._HOME[public]
            assert getattr(sys.modules[stated if stated.startswith(name) else f"{name}.{stated}"], public) is found
        else:
            assert getattr(sys.modules[home], public) is found


@pytest.mark.parametrize("name", LAZY)
def test_star_imports_every_public_name(name):
    space = {}
    exec(f"from {name} import *", space)  # noqa: S102
    package = importlib.import_module(name)
    assert {public for public in package.__all__ if public not in space} == set()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "public"), [("bengrn", "score"), ("scdataloader", "Preprocessor")])
def test_pickles_load_where_nothing_was_imported(name, public):
    pickled = pickle.dumps(getattr(importlib.import_module(name), public))
    code = f"import pickle; print(pickle.loads({pickled!r}).__name__)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == public


@pytest.mark.parametrize("name", LAZY)
def test_unknown_names_are_attribute_errors(name):
    package = importlib.import_module(name)
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nothing_of_the_kind'"):
        _ = package.nothing_of_the_kind


@pytest.mark.parametrize("name", PACKAGES)
def test_the_version_is_that_of_the_distribution(name):
    assert importlib.import_module(name).__version__ == importlib.metadata.version(name)


def test_importing_loads_nothing_heavy():
    code = (
        "import bengrn, scdataloader, scdataloader.store, scprint_model, sys; "
        "dir(bengrn), dir(scdataloader), dir(scprint_model); "
        "print({'torch', 'lightning', 'anndata', 'pandas', 'numpy', 'scipy'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "set()"
