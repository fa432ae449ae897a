"""Configurations whose errors say where: the line of a YAML file, or the place in a Python mapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from bengrn._wording import listed

type Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Section:
    """A mapping of a configuration, and where it stands.

    Attributes
    ----------
    values
        What the mapping holds.
    place
        Names and numbers that lead to it from the top.
    file
        Name of the YAML file; "" for a mapping that Python made.
    lines
        Line of each place in that file, from 1.
    """

    values: Mapping[str, Any]
    place: Place = ()
    file: str = ""
    lines: Mapping[Place, int] = field(default_factory=dict)

    def known(self, *names: str) -> None:
        """Refuse names that are none of these, and offer near ones."""
        for name in self.values:
            if name not in names:
                self.refuse(f"there is no {name!r}{near(str(name), names)}", name)

    def refuse(self, why: str, *below: str | int) -> NoReturn:
        """Raise ValueError that says where and why.

        Parameters
        ----------
        why
            Reason.
        *below
            Names and numbers that lead from here to what is refused.
        """
        place = self.place + below
        if self.file:
            at = next((self.lines[place[:n]] for n in range(len(place), -1, -1) if place[:n] in self.lines), 1)
            raise ValueError(f"{self.file}, line {at}: {why}")
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")
        raise ValueError(f"{where}: {why}" if where else why)

    def section(self, *below: str | int, values: Any = None) -> Section:
        """Return a mapping further down; anything else is refused."""
        if values is None:
            values = self.values
            for part in below:
                values = values[part]
        if not isinstance(values, Mapping):
            self.refuse(f"{values!r} is not a list of names with values", *below)
        return Section(values, self.place + below, self.file, self.lines)

    def path(self, given: str) -> Path:
        """Return a path that is relative to the folder of the file."""
        place = Path(given).expanduser()
        return place if place.is_absolute() or not self.file else Path(self.file).parent / place

    def text(self, name: str, default: str | None = None) -> str | None:
        """Return a text; numbers count as such, as in ``group: 3``."""
        value = self.values.get(name, default)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(f"{name} is a text, and not {value!r}", name)
        return str(value)

    def whole(self, name: str, default: int | None = None, *, least: int = 1) -> int | None:
        """Return a whole number, at least so large."""
        value = self.values.get(name, default)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.refuse(f"{name} is a whole number from {least}, and not {value!r}", name)
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self.values.get(name, default)
        if not isinstance(value, bool):
            self.refuse(f"{name} is true or false, and not {value!r}", name)
        return value

    def names(self, name: str) -> list[str] | None:
        """Return a list of texts; one text is a list of it."""
        value = self.values.get(name)
        if value is None:
            return None
        given = [value] if isinstance(value, str | int | float) else value
        if not isinstance(given, Sequence) or not given or any(isinstance(one, Mapping | list) for one in given):
            self.refuse(f"{name} is a list of names, and not {value!r}", name)
        return [str(one) for one in given]

    def entries(self, name: str, key: str) -> list[Section]:
        """Return the entries of a list as mappings; what is none stands for ``{key: itself}``."""
        given = self.values.get(name)
        if given is None:
            return []
        if isinstance(given, str | Mapping) or not isinstance(given, Sequence):
            given = [given]
        return [
            self.section(name, i, values=one if isinstance(one, Mapping) else {key: one}) for i, one in enumerate(given)
        ]

    def choice(self, name: str, default: str, choices: Sequence[str]) -> str:
        """Return one of several texts."""
        value = str(self.text(name, default))
        if value not in choices:
            self.refuse(f"{name} is one of {listed(choices)}, and not {value!r}{near(value, choices)}", name)
        return value


def near(name: str, names: Sequence[str]) -> str:
    """Offer the names near one that is not known, or all where none is near."""
    found = get_close_matches(name, list(names), n=3, cutoff=0.5)
    return f"; near ones: {listed(found)}" if found else f"; there are: {listed(names, 40)}"


def read_yaml(path: Path) -> Section:
    """Read a YAML file that holds a mapping.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If it is not YAML, holds something else than a mapping, or has a name twice; the message has the line.
    """
    import yaml

    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        text = path.read_text(encoding="utf-8-sig")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: a configuration is YAML") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f", line {mark.line + 1}" if mark is not None else ""
        raise ValueError(f"{path}{at}: this is no YAML: {getattr(error, 'problem', None) or error}") from error
    lines: dict[Place, int] = {}
    _note_lines(root, (), lines, str(path))
    if not isinstance(values, Mapping):
        raise ValueError(f"{path}: a configuration is a list of names with values, such as 'methods: [pearson]'")
    return Section(values, (), str(path), lines)


def _note_lines(node: Any, place: Place, lines: dict[Place, int], file: str) -> None:
    import yaml

    if node is None:
        return
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for i, one in enumerate(node.value):
            _note_lines(one, (*place, i), lines, file)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*place, key.value)
            if below in lines:
                raise ValueError(f"{file}, line {key.start_mark.line + 1}: {key.value!r} stands here twice")
            lines[below] = key.start_mark.line + 1
            _note_lines(value, below, lines, file)
