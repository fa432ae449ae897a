"""Public names that are imported on first use. The same file stands in each package that does so."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import version


def lazy_names(package: str, home: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the functions ``__getattr__`` and ``__dir__`` of a package whose public names are imported on first use.

    The name ``__version__`` is always known: it is the version of the installed distribution.

    Parameters
    ----------
    package
        Import name of the package, its ``__name__``.
    home
        Name of the module inside the package that defines each public name. A name that is its own home is a module:
        importing it would hide anything else of that name.

    Examples
    --------
    In the ``__init__.py`` of a package, below ``__all__``:

    >>> __getattr__, __dir__ = lazy_names(__name__, {"Fruit": "garden", "garden": "garden"})
    """

    def load(name: str) -> object:
        if name == "__version__":
            return version(package.partition(".")[0])
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(f"{package}.{home[name]}")
        return module if home[name] == name else getattr(module, name)

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home, "__version__"})

    return load, names
