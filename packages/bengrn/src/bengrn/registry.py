"""Find methods that infer networks, wherever they are installed from."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grnndata import GRNMethod

GROUP = "bengrn.methods"


def list_methods() -> dict[str, str]:
    """List the installed methods: name → where it is defined, by name.

    A package offers one with an entry point of the group "bengrn.methods". Nothing is imported.
    """
    return {name: point.value for name, point in sorted(_points().items())}


def get_method(name: str) -> GRNMethod:
    """Load a method and make one with its default settings.

    Raises
    ------
    ValueError
        If no method has that name.
    TypeError
        If what the entry point names is no method.
    """
    points = _points()
    if name not in points:
        raise ValueError(f"no method {name!r}; installed are: {', '.join(sorted(points))}")
    method = points[name].load()()
    if not (hasattr(method, "name") and callable(getattr(method, "infer", None))):
        raise TypeError(f"{points[name].value} is no method: it needs a name and infer(adata, *, regulators, rng)")
    return method


def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
