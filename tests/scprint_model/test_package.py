"""What importing the package does not do."""

import subprocess
import sys

import pytest

HEAVY = {
    "scprint_model": {"torch", "lightning", "anndata", "bengrn"},
    "bengrn": {"torch", "lightning", "sklearn", "scprint_model"},
    "grnndata": {"torch", "matplotlib", "scprint_model", "scdataloader"},
}


@pytest.mark.parametrize("package", HEAVY)
def test_importing_a_package_is_light(package):
    code = f"import sys, {package}; print(sorted({HEAVY[package]!r} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_listing_methods_imports_no_torch():
    code = "import sys, bengrn; names = bengrn.list_methods(); print('scprint' in names, 'torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["True", "False"]


@pytest.mark.slow
@pytest.mark.parametrize("first", ["networks", "tasks"])
def test_functions_are_not_hidden_by_the_modules_of_their_name(first):
    """Whichever part is imported first: in a cycle of imports, `from networks import infer` finds the module infer."""
    code = f"""
import sys
from importlib import import_module
from types import ModuleType
import_module("scprint_model.{first}")
import_module("scprint_model.tasks")
import_module("scprint_model.networks")
loaded = {{name: module for name, module in sys.modules.items() if name.startswith("scprint_model.")}}
for name, module in loaded.items():
    for attribute, value in vars(module).items():
        if isinstance(value, ModuleType) and value.__name__ in loaded:
            package, _, last = value.__name__.rpartition(".")
            if last in getattr(sys.modules[package], "__all__", ()):
                print(name, attribute)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == []
