"""Rules that the command lines of bengrn and grnndata share; the same file stands in both, and a test compares them."""

from __future__ import annotations

import errno
import inspect
import json
import os
import re
import sys
import traceback
from argparse import Action
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from jsonargparse import ActionYesNo, ArgumentError, ArgumentParser, DefaultHelpFormatter, Namespace

FAILED, UNUSABLE, INTERRUPTED, UNREAD = 1, 2, 130, 141
_STATUS = "exit status: 0 done, 1 the work failed, 2 unusable arguments, input or output, 130 interrupted, 141 unread"
_PLAIN = {str, int, float, Path}
_LISTS = (list, tuple, set, frozenset, Sequence, Iterable, Collection)
_NO_GPU = re.compile(
    r"no NVIDIA|NVIDIA driver|not compiled with CUDA|CUDA driver|no CUDA|CUDA-capable|Invalid device id"
)
_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|Unable to allocate|Cannot allocate memory")


@dataclass(frozen=True)
class Command:
    """A subcommand: its line of help, examples, what adds its options, and what they run.

    The examples leave the name of the program out. `run` returns the text to print, or the exit status.
    """

    summary: str
    examples: tuple[str, ...]
    options: Callable[[Parser], None]
    run: Callable[[Namespace], str | int]


@dataclass(frozen=True)
class Program:
    """A command line of subcommands. A call runs it and returns its exit status."""

    name: str
    about: str
    commands: Mapping[str, Command]

    def __call__(self, argv: Sequence[str] | None = None) -> int:
        """Run the words of a command line, by default those the process was started with.

        The exit status that it returns is 0 when done, 1 when the work failed, 2 for unusable arguments, input or
        output, 130 when interrupted, 141 when nobody reads the output any more. An error is one line on stderr.
        """
        words = list(sys.argv[1:] if argv is None else argv)
        debug = "--debug" in words
        try:
            answer = self._answer([word for word in words if word != "--debug"])
            if isinstance(answer, str):
                sys.stdout.write(answer + "\n")
            sys.stdout.flush()
        except SystemExit as stop:  # after the help of a subcommand
            return stop.code if isinstance(stop.code, int) else UNUSABLE
        except (KeyboardInterrupt, Exception) as error:
            if debug:
                traceback.print_exc()
            status, text = ending(error)
            sys.stderr.write(f"{self.name}: {' '.join(text.split())}\n")
            _drop_output()
            return status
        return answer if isinstance(answer, int) else 0

    def parser(self, name: str) -> Parser:
        """Return the parser of a subcommand."""
        command = self.commands[name]
        examples = tuple(f"{self.name} {example}" for example in command.examples)
        parser = Parser(prog=f"{self.name} {name}", summary=command.summary, examples=examples)
        command.options(parser)
        return parser

    def _answer(self, words: list[str]) -> str | int:
        if not words or words[0] in ("-h", "--help"):
            return self._help()
        if words[0] == "--version":
            return f"{self.name} {version(__name__.partition('.')[0])}"
        if words[0] not in self.commands:
            raise ValueError(f"there is no command {words[0]!r}: there are {', '.join(self.commands)}")
        return self.commands[words[0]].run(self.parser(words[0]).read(words[1:]))

    def _help(self) -> str:
        width = max(map(len, self.commands))
        lines = [f"  {name:<{width}}  {command.summary}" for name, command in self.commands.items()]
        options = [
            ("COMMAND --help", "examples and options of a command"),
            ("--version", "name and version"),
            ("--debug", "where something fails, also show where in the code"),
        ]
        lines += ["", *(f"  {name:<{max(width, 14)}}  {text}" for name, text in options), "", _STATUS]
        return "\n".join([self.about, "", f"usage: {self.name} COMMAND [options]", "", *lines])


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
            if (
                action.dest == "out_place"
            ):  # needed where there is no option; as "?" it would not be found behind others
                action.nargs = "?" if any(re.match("-o|--out(=|$)", word) for word in spelled) else None
                action.required = action.nargs is None
        try:
            args: Namespace = self.parse_args(spelled)
        except ArgumentError as error:
            raise ValueError(self._told(str(error))) from error
        for action in self._actions:
            if action.nargs == "+" and not action.option_strings:
                args[action.dest] = [part for word in args[action.dest] for part in _parts(word)]
        if "out_place" in args:
            place = args.pop("out_place")
            if place is not None and args.out is not None:
                raise ValueError(f"the output is given twice, as {place} and {args.out}")
            args["out"] = place if args.out is None else args.out
        return args

    def spelled(self, words: Sequence[str]) -> list[str]:
        """Return the words as jsonargparse expects them: options as they were added, lists as JSON."""
        left, out = list(words), []
        while left:
            word = left.pop(0)
            if not word.startswith("--") or word == "--":
                out.append(word)
                continue
            name, equals, value = word.partition("=")
            name = self._known(name)
            entries = _entries(getattr(self._option_string_actions.get(name), "_typehint", None))
            if entries is None:
                out.append(name + equals + value)
                continue
            values = [value] if equals else []
            while not equals and left and not re.match(r"--?[A-Za-z]", left[0]):
                values.append(left.pop(0))
            if len(values) != 1 or not values[0].startswith("["):
                parts = [part for text in values for part in _parts(text)]
                values = [json.dumps(parts if str in entries else list(map(_value, parts)), ensure_ascii=False)]
            out.append(f"{name}={values[0]}")
        return out

    def add_options(
        self, what: Callable[..., object], *, skip: Collection[str] = (), places: Collection[str] = ()
    ) -> None:
        """Add the parameters of a function or class as options, with the help of its docstring.

        Parameters
        ----------
        what
            Function or class with types and a docstring in numpy style.
        skip
            Names of parameters to leave out.
        places
            Names of parameters that are told by their place, without an option.
        """
        texts = _parameter_texts(inspect.getdoc(what) or "")
        for name, parameter in inspect.signature(what, eval_str=True).parameters.items():
            if name in skip:
                continue
            kind: Any = parameter.annotation
            given: dict[str, Any] = {"help": texts.get(name, "")}
            is_needed = parameter.default is inspect.Parameter.empty
            given |= {} if is_needed else {"default": parameter.default}
            if name in places:
                given |= {"nargs": "+"} if get_origin(kind) is list else {} if is_needed else {"nargs": "?"}
                self.add_argument(name, metavar=name.upper(), type=str if get_origin(kind) is list else kind, **given)
            elif kind is bool:
                self.add_argument(f"--{name}", action=ActionYesNo(no_prefix="no_"), nargs="?", **given)
            else:
                self.add_argument(*_flags(name), type=kind, **given | ({"required": True} if is_needed else {}))

    def add_out(self, text: str) -> None:
        """Add the output, which is told by its place or by ``-o`` or ``--out``."""
        self.add_argument("out_place", metavar="OUT", nargs="?", type=str, help=text)
        self.add_argument(*_flags("out"), type=str, help="the output, instead of by its place")

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
            metavar = action.metavar or self._get_default_metavar_for_optional(action)
            if action.required or not action.option_strings:
                name = [_shown(action.option_strings[-1])] if action.option_strings else []
                words += [*name, self._format_args(action, str(metavar))]
        return " ".join(["usage:", self._prog, "[options]", *words]) + "\n\n"

    def _format_action_invocation(self, action: Action) -> str:
        if not action.option_strings:
            return super()._format_action_invocation(action)
        names = ", ".join(_shown(name) for name in action.option_strings if not name.endswith("+"))
        if action.nargs == 0 or isinstance(action, ActionYesNo):
            return names
        return f"{names} {self._format_args(action, self._get_default_metavar_for_optional(action))}"

    def _get_default_metavar_for_optional(self, action: Action) -> str:
        kind = getattr(action, "_typehint", action.type)
        plain = {one for one in get_args(kind) or (kind,) if one is not type(None)}
        word = {int: "N", float: "X", Path: "PATH"}.get(next(iter(plain))) if len(plain) == 1 else None
        return word or action.dest.rpartition(".")[2].upper()

    def _get_help_string(self, action: Action) -> str:
        text = (action.help or "").replace("``", "").replace("`", "").rstrip()
        if action.option_strings and action.required:
            return f"{text} (required)"
        default = action.default
        if default is None or default is False or default in ("", (), [], {}, "==SUPPRESS=="):
            return text
        if default is True:
            default = "yes"
        elif isinstance(default, list | tuple):
            default = ",".join(map(str, default))
        return f"{text} (default: {str(default).replace('%', '%%')})"


def ending(error: BaseException) -> tuple[int, str]:
    """Return the exit status and the one line for an error."""
    text = str(error) or type(error).__name__
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "interrupted"
    if isinstance(error, BrokenPipeError):
        return UNREAD, "what reads the output has stopped (broken pipe)"
    for cause in _causes(error):
        told = str(cause)
        name = type(cause).__name__
        if isinstance(cause, MemoryError) or name == "OutOfMemoryError" or _NO_MEMORY.search(told):
            return FAILED, f"out of memory: {told or 'the machine has no more'}"
        if getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in told:
            return FAILED, f"the disk is full: {told}"
        if isinstance(cause, RuntimeError | AssertionError) and _NO_GPU.search(told):
            return UNUSABLE, f"there is no GPU that can be used; --device cpu does without: {told.splitlines()[0]}"
    if isinstance(error, ValueError | TypeError | OSError | ImportError):
        return UNUSABLE, text
    if isinstance(error, RuntimeError | FloatingPointError):
        return FAILED, text
    return FAILED, f"{type(error).__name__}: {text} (not expected; --debug shows where)"


def check_output(path: Path | str, *inputs: Path | str, is_folder: bool = False) -> Path:
    """Raise, before any work, where a result could not be written; return the path.

    Parameters
    ----------
    path
        File or folder to write. Folders around it that are missing can be made by `with_folder`.
    inputs
        Files that are read, which are not overwritten.
    is_folder
        Whether a folder is written.

    Raises
    ------
    ValueError
        When it is one of the inputs, or a folder where a file is written, or the other way round.
    PermissionError
        When it is read-only, or stands in a folder that is.
    """
    final = Path(path)
    if final.exists():
        if any(Path(one).exists() and final.samefile(one) for one in inputs):
            raise ValueError(f"{final} is the input, which is not overwritten: choose another output")
        if final.is_dir() != is_folder:
            what = ("a folder", "name the file to write") if final.is_dir() else ("a file", "name a folder")
            raise ValueError(f"{final} is {what[0]}: {what[1]}")
        if not final.stat().st_mode & 0o222:
            raise PermissionError(f"{final} is read-only: make it writable, or choose another output")
    around = next(folder for folder in (final.absolute().parent, *final.absolute().parents) if folder.exists())
    if not around.is_dir():
        raise NotADirectoryError(f"cannot write {final}: {around} is no folder")
    if not os.access(around, os.W_OK | os.X_OK):
        raise PermissionError(f"cannot write {final}: the folder {around} is read-only")
    return final


def with_folder(path: Path | str) -> Path:
    """Make the folders around a file that is about to be written, and return its path."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return Path(path)


def _drop_output() -> None:
    """Send to nowhere what is still to be written, or it would fail again, with a traceback, when Python ends."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _entries(kind: Any) -> set[Any] | None:
    """Return the types of the entries where `kind` is a list of plain values, else None."""
    choices = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    lists = [one for one in choices if get_origin(one) in _LISTS or one in (list, tuple)]
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


def _parameter_texts(doc: str) -> dict[str, str]:
    """Return the text of each parameter of a docstring in numpy style."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w.*\n-+\n|\Z)", doc, re.MULTILINE | re.DOTALL)
    found = re.findall(r"^(\w[\w, ]*)\n((?:^[ ].*\n?|^\n)+)", section[1] + "\n" if section else "", re.MULTILINE)
    return {name: " ".join(text.split()) for names, text in found for name in names.split(", ")}


def _examples(lines: Sequence[str]) -> list[str]:
    return ["examples:", *(f"  {line}" for line in lines), "", ""] if lines else [""]


def _flags(name: str) -> tuple[str, ...]:
    return ("-o", "--out") if name == "out" else (f"--{name}",)


def _place(action: Action) -> str:
    return action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest)


def _shown(name: str) -> str:
    return name.replace("_", "-")
