"""Options of the command lines and their help; the same file stands in all four packages, and a test compares them."""

from __future__ import annotations

import inspect
import json
import re
from argparse import Action
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeAliasType, Union, get_args, get_origin

from jsonargparse import ActionYesNo, ArgumentError, ArgumentParser, DefaultHelpFormatter, Namespace

_PLAIN = {str, int, float, Path}
_LISTS = (list, tuple, set, frozenset, Sequence, Iterable, Collection)


class Parser(ArgumentParser):
    """Parser that takes hyphens for underscores in options, and lists as ``a b``, ``a,b`` or JSON.

    Parameters
    ----------
    summary
        Text above the options.
    examples
        Command lines to show first.
    """

    def __init__(self, *args: Any, summary: str = "", examples: Sequence[str] = (), **kwargs: Any) -> None:
        given: dict[str, Any] = {"formatter_class": _Help, "exit_on_error": False, **kwargs}
        super().__init__(*args, **given)
        self._head = "\n".join([*([summary, ""] if summary else []), *_examples(examples)])

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        """Return the help: what the command does, examples, options."""
        return f"{self._head}{super().format_help(*args, **kwargs)}"

    def read(self, words: Sequence[str]) -> Namespace:
        """Return the options that are given by the words of a command line."""
        spelled = self.spelled(words)
        for action in self._actions:
            # needed where there is no option; as "?" it would not be found behind others
            if action.dest == "out_place":
                action.nargs = "?" if any(re.match("-o|--out(=|$)", word) for word in spelled) else None
                action.required = action.nargs is None
        args = self.parsed(spelled)
        for action in self._actions:
            if action.nargs == "+" and not action.option_strings:
                args[action.dest] = [part for word in args[action.dest] for part in _parts(word)]
        if "out_place" in args:
            place = args.pop("out_place")
            if place is not None and args.out is not None:
                raise ValueError(f"the output is given twice, as {place} and {args.out}")
            args["out"] = place if args.out is None else args.out
        return args

    def parsed(self, spelled: Sequence[str]) -> Namespace:
        """Return what jsonargparse makes of words; its errors in the words of a user."""
        try:
            args: Namespace = self.parse_args(list(spelled))
        except ArgumentError as error:
            raise ValueError(self._told(str(error))) from error
        return args

    def spelled(self, words: Sequence[str]) -> list[str]:
        """Return the words as jsonargparse expects them: options as they were added, lists as JSON.

        A list that is given several times is one list: nothing of it is lost.
        """
        left: list[str] = list(words)
        out: list[str] = []
        lists: dict[str, int] = {}
        while left:
            word = left.pop(0)
            if not word.startswith("--") or word == "--":
                out.append(word)
                continue
            name, equals, value = word.partition("=")
            name = self._known(name)
            kind = getattr(self._option_string_actions.get(name), "_typehint", None)
            entries = _entries(kind)
            if entries is None:
                out.append(name + equals + value)
                continue
            values = [value] if equals else []
            while not equals and left and not re.match(r"--?[A-Za-z]", left[0]):
                values.append(left.pop(0))
            parts = [part for text in values for part in _parts(text)]
            is_one = len(values) == len(parts) == 1 and not _PLAIN.isdisjoint(_choices(kind))  # as in trainer.devices
            if not is_one and (len(values) != 1 or not values[0].startswith("[")):
                values = [json.dumps(parts if str in entries else list(map(_value, parts)), ensure_ascii=False)]
            if values[0].startswith("["):
                if name in lists:
                    inner = [text.strip()[1:-1] for text in (out[lists[name]].partition("=")[2], values[0])]
                    out[lists[name]] = f"{name}=[{', '.join(text for text in inner if text.strip())}]"
                    continue
                lists[name] = len(out)
            out.append(f"{name}={values[0]}")
        return out

    def add_options(self, what: Callable[..., object], *, skip: Collection[str] = ()) -> None:
        """Add the parameters of a function or class as options, with the help of its docstring.

        Those that can be given by their place are told by their place; the ones that only have a name are options.

        Parameters
        ----------
        what
            Function or class with types and a docstring in numpy style.
        skip
            Names of parameters to leave out.
        """
        texts = parameter_texts(inspect.getdoc(what) or "")
        for name, parameter in inspect.signature(what, eval_str=True).parameters.items():
            if name in skip or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                continue
            kind, text = unaliased(parameter.annotation), _plain(texts.get(name, ""))
            is_needed = parameter.default is parameter.empty
            given: dict[str, Any] = {"help": text} | ({} if is_needed else {"default": parameter.default})
            if parameter.kind is not parameter.KEYWORD_ONLY:
                if name == "out":
                    self.add_out(text, kind)
                    continue
                given |= {"nargs": "+"} if get_origin(kind) is list else {} if is_needed else {"nargs": "?"}
                self.add_argument(name, metavar=name.upper(), type=str if get_origin(kind) is list else kind, **given)
            elif kind in (bool, bool | None):
                self.add_argument(f"--{name}", action=ActionYesNo(no_prefix="no_"), nargs="?", **given)
            else:
                self.add_argument(*_flags(name), type=kind, **given | ({"required": True} if is_needed else {}))

    def add_out(self, text: str, kind: type = str) -> None:
        """Add the output, which is told by its place or by ``-o`` or ``--out``."""
        self.add_argument("out_place", metavar="OUT", nargs="?", type=kind, help=text)
        self.add_argument(*_flags("out"), type=kind, help="the output, instead of by its place")

    def _told(self, text: str) -> str:
        """Return the error of a parser in the words of a user."""
        head, required, names = text.partition("required: ")
        if required:
            names = ", ".join(
                next((_place(one) for one in self._actions if name in (one.dest, *one.option_strings)), name)
                for name in names.split(", ")
            )
        text = re.sub(r'Parser key "([\w.]+)"', r"--\1", head + required + names)
        text = re.sub(r"Does not validate.*?Errors:\s*- (.*?)\n.*", r"\1", text, flags=re.DOTALL)
        text = text.replace("a <class 'int'>", "a whole number").replace("a <class 'float'>", "a number")
        text = re.sub(r"a typing\.Literal\[(.*?)\]", r"one of \1", text)
        return re.sub(r"--[\w.]+", lambda match: _shown(match[0]), text)

    def _known(self, name: str) -> str:
        spellings = (name, name.replace("-", "_").replace("__", "--", 1), f"--{name[2:].replace('_', '-')}")
        return next((one for one in spellings if one in self._option_string_actions), spellings[1])


class _Help(DefaultHelpFormatter):
    """Help in the words of a user: hyphens, and no Python types."""

    def _format_usage(self, _: Any, actions: Iterable[Action], *__: Any) -> str:
        words = []
        for action in actions:
            if action.required or not action.option_strings:
                name = [_shown(action.option_strings[-1])] if action.option_strings else []
                words += [*name, self._format_args(action, _word(action))]
        return " ".join(["usage:", self._prog, "[options]", *words]) + "\n\n"

    def _format_action_invocation(self, action: Action) -> str:
        if not action.option_strings:
            return super()._format_action_invocation(action)
        names = [_shown(name) for name in action.option_strings if not name.endswith("+")]
        if isinstance(action, ActionYesNo) and action.default is False:  # that it is off needs no word
            names = [name for name in names if not name.startswith("--no-")]
        if action.nargs == 0 or isinstance(action, ActionYesNo):
            return ", ".join(names)
        return f"{', '.join(names)} {self._format_args(action, _word(action))}"

    def _format_args(self, action: Action, default_metavar: str) -> str:
        is_known = getattr(action, "_typehint", None) is not None
        return default_metavar if is_known and action.nargs is None else super()._format_args(action, default_metavar)

    def _get_help_string(self, action: Action) -> str:
        text = _plain(action.help or "")
        if action.option_strings and action.required:
            return f"{text} (required)"
        default = action.default
        is_told = isinstance(default, str | int | float | list | tuple | Path)
        if not is_told or default is False or default in ("", (), [], "==SUPPRESS=="):
            return text
        if default is True:
            default = "yes"
        elif isinstance(default, list | tuple):
            default = ",".join(map(str, default))
        return f"{text} (default: {str(default).replace('%', '%%')})"


def unaliased(kind: Any) -> Any:
    """Return the type that a ``type`` statement names, which older versions of jsonargparse do not know."""
    return kind.__value__ if isinstance(kind, TypeAliasType) else kind


def _choices(kind: Any) -> tuple[Any, ...]:
    """Return the types of which a value may be one."""
    if get_origin(kind) in (Union, UnionType):
        return tuple(one for part in get_args(kind) for one in _choices(part))
    return (kind,)


def _entries(kind: Any) -> set[Any] | None:
    """Return the types of the entries where `kind` is a list of plain values, else None."""
    lists = [one for one in _choices(kind) if get_origin(one) in _LISTS or one in (list, tuple)]
    entries = {leaf for one in lists for leaf in _leaves(get_args(one) or (str,))}
    return entries if lists and entries <= _PLAIN else None


def _leaves(kinds: Iterable[Any]) -> Iterator[Any]:
    for kind in kinds:
        if get_origin(kind) is Literal:
            yield str
        elif get_origin(kind) in (Union, UnionType):
            yield from _leaves(get_args(kind))
        elif kind not in (Ellipsis, type(None)):
            yield kind


def _parts(word: str) -> list[str]:
    """Return the entries that commas separate; a comma before a space belongs to a name, as does that of a file."""
    return [word] if Path(word).exists() else [part for part in re.split(r",(?! )", word) if part]


def _value(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        return word


def parameter_texts(doc: str) -> dict[str, str]:
    """Return the text of each parameter of a docstring in numpy style."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", doc, re.MULTILINE | re.DOTALL)
    found = re.findall(r"^(\w[\w, ]*)\n((?:^[ ].*\n?|^\n)+)", section[1] + "\n" if section else "", re.MULTILINE)
    return {name: " ".join(text.split()) for names, text in found for name in names.split(", ")}


def _plain(text: str) -> str:
    """Return the text of a docstring as one tells it on a command line: without marks, None, and names of modules."""
    text = re.sub(r"[;,]? see `+\w+\.[\w.]+`+[^.;]*", "", text)
    text = re.sub(r"(^|[.] )None: ", r"\1By default ", text).replace("None: ", "by default ")
    return re.sub(r"`+", "", text).rstrip()


def _word(action: Action) -> str:
    """Return what stands for the value of an option."""
    kinds = [kind for kind in _choices(getattr(action, "_typehint", None) or action.type) if kind is not type(None)]
    is_list = _entries(getattr(action, "_typehint", None)) is not None
    if kinds and all(get_origin(kind) is Literal for kind in kinds):
        return f"{{{','.join(map(str, (value for kind in kinds for value in get_args(kind))))}}}"
    if isinstance(action.metavar, str) and action.metavar.isalpha():
        return action.metavar
    word = {int: "N", float: "X", Path: "PATH"}.get(kinds[0]) if len(kinds) == 1 else None
    word = word or action.dest.rpartition(".")[2].upper()
    return f"{word} ..." if is_list else word


def _examples(lines: Sequence[str]) -> list[str]:
    return ["examples:", *(f"  {line}" for line in lines), "", ""] if lines else [""]


def _flags(name: str) -> tuple[str, ...]:
    return ("-o", "--out") if name == "out" else (f"--{name}",)


def _place(action: Action) -> str:
    return action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest)


def _shown(name: str) -> str:
    return name.replace("_", "-")
