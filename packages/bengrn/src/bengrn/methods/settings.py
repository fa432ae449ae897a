"""Settings of a method: what there is, and reading them from text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from bengrn._command_options import Parser, parameter_texts, unaliased


@dataclass(frozen=True)
class Setting:
    """One setting of a method.

    Attributes
    ----------
    name
        Name of the parameter.
    kind
        Its type.
    default
        Default; ``inspect.Parameter.empty`` where it has to be given.
    text
        Help, from the docstring.
    """

    name: str
    kind: Any
    default: Any
    text: str

    @property
    def is_needed(self) -> bool:
        """Whether the setting has no default."""
        return self.default is inspect.Parameter.empty


def settings_of(what: Callable[..., Any], *, by_place: bool) -> list[Setting]:
    """Return the settings that a function or class takes, with their help.

    Parameters
    ----------
    what
        Function or class with types and a docstring in numpy style.
    by_place
        Whether parameters that may be given by their place are settings as well.
    """
    parameters = _parameters(what)
    texts = parameter_texts(inspect.getdoc(what) or "")
    kinds = [inspect.Parameter.KEYWORD_ONLY, *([inspect.Parameter.POSITIONAL_OR_KEYWORD] if by_place else [])]
    return [
        Setting(one.name, _kind(one.annotation), one.default, texts.get(one.name, ""))
        for one in parameters
        if one.kind in kinds
    ]


def takes_others(what: Callable[..., Any]) -> bool:
    """Say whether a function or class hands on settings that its signature does not name."""
    return any(one.kind is one.VAR_KEYWORD for one in _parameters(what))


def check_settings(method: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise TypeError where a setting is not known, and name the one near it.

    Parameters
    ----------
    method
        Name of the method.
    given
        Settings by name.
    known
        Names of the settings that there are.
    """
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise TypeError(f"{method} has no setting {name!r}{hint}; it has: {', '.join(known) or 'none'}")


def read_settings(method: str, settings: Sequence[Setting], given: Mapping[str, str]) -> dict[str, Any]:
    """Read settings that are written as text.

    Parameters
    ----------
    method
        Name of the method, for messages.
    settings
        Settings with their types; the text of others is read as JSON, or as it stands.
    given
        Text of each setting, by its name.

    Raises
    ------
    ValueError
        If a text is not a value of its setting's type.
    """
    parser = Parser(prog=method)
    kinds = {one.name: one.kind for one in settings}
    for name in given:
        parser.add_argument(f"--{name}", type=kinds.get(name, Any))
    try:
        read = parser.read([f"--{name}={text}" for name, text in given.items()])
    except ValueError as error:
        raise ValueError(f"settings of {method}: {error}") from error
    return {name: read[name] for name in given}


def _parameters(what: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(what, eval_str=True).parameters.values())
    except NameError:  # types that are imported for a type checker only
        return list(inspect.signature(what).parameters.values())
    except ValueError:  # of some classes that are not written in Python nobody knows
        return []


def _kind(annotation: Any) -> Any:
    if annotation is inspect.Parameter.empty or isinstance(annotation, str):
        return Any
    return unaliased(annotation)
