"""The rules of the command lines; the same file stands in all four packages, and a test compares them."""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ._command_options import Parser

FAILED, UNUSABLE, INTERRUPTED, UNREAD = 1, 2, 130, 141
_STATUS = "exit status: 0 done, 1 the work failed, 2 unusable arguments, input or output, 130 interrupted, 141 unread"
_NO_GPU = re.compile(
    r"no NVIDIA|NVIDIA driver|not compiled with CUDA|CUDA driver|no CUDA|CUDA-capable|Invalid device id"
)
_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|Unable to allocate|Cannot allocate memory")


@dataclass(frozen=True)
class Command:
    """A subcommand: its line of help, examples, what adds its options, and what they run.

    The examples leave the name of the program out. `run` takes the options and returns the text to print, or the exit
    status. Without `options` it takes the words and the head of the help, for a parser of its own.
    """

    summary: str
    examples: tuple[str, ...]
    options: Callable[[Parser], None] | None
    run: Callable[..., str | int]


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
        parser = Parser(prog=f"{self.name} {name}", **self._head(name))
        if command.options is not None:
            command.options(parser)
        return parser

    def _head(self, name: str) -> dict[str, Any]:
        command = self.commands[name]
        examples = tuple(f"{self.name} {example}" for example in command.examples)
        return {"summary": command.summary, "examples": examples}

    def _answer(self, words: list[str]) -> str | int:
        if not words or words[0] in ("-h", "--help"):
            return self._help()
        if words[0] == "--version":
            return f"{self.name} {version(__name__.partition('.')[0])}"
        if words[0] not in self.commands:
            raise ValueError(f"there is no command {words[0]!r}: there are {', '.join(self.commands)}")
        command = self.commands[words[0]]
        if command.options is None:
            return command.run(words[1:], **self._head(words[0]))
        return command.run(self.parser(words[0]).read(words[1:]))

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
