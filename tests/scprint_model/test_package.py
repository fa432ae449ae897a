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
