"""Find methods that infer networks, wherever they are installed from."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from bengrn.methods.settings import Setting, check_settings, read_settings, settings_of, takes_others

if TYPE_CHECKING:
    import pandas as pd

    from grnndata import GRNMethod

GROUP = "bengrn.methods"


def list_methods() -> dict[str, str]:
    """List the installed methods: name → where it is defined, by name.

    A package offers one with an entry point of the group "bengrn.methods". Nothing is imported. A name that two
    packages offer has both places; such a method cannot be used.
    """
    places: dict[str, set[str]] = {}
    for point in entry_points(group=GROUP):
        places.setdefault(point.name, set()).add(point.value)
    return {name: " and ".join(sorted(found)) for name, found in sorted(places.items())}


def method_table() -> pd.DataFrame:
    """Load each installed method and tell what it says of itself.

    Returns
    -------
    pandas.DataFrame
        One row a method, by name: ``name, takes, directed, deterministic, needs, summary, reference, licence, package,
        defined_in, trouble``. ``takes`` is the form of expression (:class:`bengrn.methods.method.Method`). A method of
        another package may not say all of this: "" or missing. ``trouble`` says why a method cannot be used: its
        package cannot be imported, it is not a method, or two packages offer the name.
    """
    import pandas as pd

    columns = ["name", "takes", "directed", "deterministic", "needs", "summary", "reference", "licence", "package"]
    rows = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, _package(point))):
        row: dict[str, Any] = {"name": point.name, "package": _package(point), "defined_in": point.value}
        row["trouble"] = ""
        try:
            found = _load(point)
            _only(point.name)
        except (ValueError, TypeError, ImportError) as error:  # one broken package hides no other method
            row["trouble"] = str(error)
        else:
            row |= {key: getattr(found, key, "") for key in ("takes", "needs", "reference", "licence")}
            row |= {key: getattr(found, key, pd.NA) for key in ("directed", "deterministic")}
            row["summary"] = _summary(found)
        rows.append(row)
    return pd.DataFrame(rows, columns=[*columns, "defined_in", "trouble"])


def get_method(name: str, **settings: Any) -> GRNMethod:
    """Load a method.

    Parameters
    ----------
    name
        Name from :func:`list_methods`; capitals and "_" for "-" do not matter.
    **settings
        Settings of the method by name; :func:`describe_method` tells what there is.

    Raises
    ------
    ValueError
        If no method has that name, or two packages offer it.
    TypeError
        If what the entry point names is not a method, or a setting does not exist.
    ImportError
        If the package that offers the method cannot be imported.
    """
    from bengrn.methods.method import Method

    point = _only(name)
    found = _load(point)
    if isinstance(found, Method):
        return found.with_settings(**settings)
    if not takes_others(found):
        known = _settings(found)
        check_settings(name, settings, [one.name for one in known])
        missing = [one for one in known if one.is_needed and one.name not in settings]
        if missing:
            told = "; ".join(f"{one.name} ({one.text.rstrip('.')})" for one in missing)
            raise TypeError(f"{name} needs a setting: {told}")
    method: GRNMethod = found(**settings)
    if not (hasattr(method, "name") and callable(getattr(method, "infer", None))):
        raise TypeError(f"{point.value} is no method: it needs a name and infer(adata, *, regulators, rng)")
    return method


def installed_name(name: str) -> str:
    """Return the one spelling of a method's name, under which it is installed: capitals and "_" for "-" do not matter.

    Raises
    ------
    ValueError
        If no method has that name, or two packages offer it.
    """
    return _only(name).name


def parse_settings(name: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Read settings of a method that are written as text, such as those of ``--set n_trees=100``.

    Parameters
    ----------
    name
        Name from :func:`list_methods`.
    given
        Text of each setting, by its name.

    Returns
    -------
    dict
        Settings, with the types that the method states.

    Raises
    ------
    ValueError
        If no method has that name, or a text is not a value of its setting's type.
    TypeError
        If the method has no such setting.
    """
    found = _load(_only(name))
    settings = _settings(found)
    if not _takes_others(found):
        check_settings(name, given, [one.name for one in settings])
    return read_settings(name, settings, given)


def setting_names(name: str) -> list[str]:
    """Return the names of a method's settings.

    Raises
    ------
    ValueError, TypeError, ImportError
        As :func:`get_method`.
    """
    return [one.name for one in _settings(_load(_only(name)))]


def describe_method(name: str) -> str:
    """Say in words what a method is, what it takes, and what its settings are.

    Raises
    ------
    ValueError, TypeError, ImportError
        As :func:`get_method`.
    """
    point = _only(name)
    found = _load(point)
    takes = {
        "counts": "raw counts",
        "log": "raw counts, which are brought to log(1 + counts per 10,000), or other values as they are",
        "any": "any values, as they are",
        "genes": "the genes alone",
    }
    of_seed: dict[Any, str] = {True: "the same without a seed", False: "changes with the seed"}
    told = {
        "takes": takes.get(getattr(found, "takes", ""), ""),
        "result": of_seed.get(getattr(found, "deterministic", None), ""),
        "needs": getattr(found, "needs", ""),
        "reference": getattr(found, "reference", ""),
        "licence": getattr(found, "licence", ""),
        "defined in": f"{point.value} ({_package(point)})",
    }
    lines = [name, f"  {_summary(found)}", *[f"  {key + ':':<12}{text}" for key, text in told.items() if text]]
    settings = _settings(found)
    lines.append("  settings:" if settings else "  settings:   none")
    for one in settings:
        default = "" if one.is_needed else f" = {one.default}"
        lines += [
            f"    {one.name}{default}",
            *textwrap.wrap(one.text, 110, initial_indent=" " * 8, subsequent_indent=" " * 8),
        ]
    if _takes_others(found):
        lines.append("    and others, which it hands on")
    return "\n".join(lines)


def _settings(found: Any) -> list[Setting]:
    from bengrn.methods.method import Method

    return (
        settings_of(found.function, by_place=False) if isinstance(found, Method) else settings_of(found, by_place=True)
    )


def _takes_others(found: Any) -> bool:
    from bengrn.methods.method import Method

    return not isinstance(found, Method) and takes_others(found)


def _summary(found: Any) -> str:
    from bengrn.methods.method import Method

    return found.summary if isinstance(found, Method) else (found.__doc__ or "").strip().partition("\n")[0]


def _load(point: EntryPoint) -> Any:
    from bengrn.methods.method import Method

    try:
        found = point.load()
    except Exception as error:  # whatever goes wrong in the other package, the user has to learn which it was
        raise ImportError(
            f"method {point.name!r} of the package {_package(point)!r} cannot be loaded from {point.value}: "
            f"{type(error).__name__}: {error}"
        ) from error
    if isinstance(found, Method):
        if found.name != point.name:
            raise TypeError(f"{point.value} calls itself {found.name!r}, and its entry point {point.name!r}")
        return found
    if not callable(found):
        raise TypeError(f"{point.value} is no method: it needs a name and infer(adata, *, regulators, rng)")
    return found


def _only(name: str) -> EntryPoint:
    points = entry_points(group=GROUP)
    wanted = name.strip().lower().replace("_", "-")
    found = {point.value: point for point in points if wanted == point.name.lower().replace("_", "-")}
    if not found:
        raise ValueError(f"no method {name!r}; installed are: {', '.join(list_methods())}")
    if len(found) > 1:
        offered = " and ".join(f"{_package(point)} ({value})" for value, point in sorted(found.items()))
        raise ValueError(f"the method {name!r} is offered twice, by {offered}: uninstall one of them")
    return next(iter(found.values()))


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value.partition(".")[0]
