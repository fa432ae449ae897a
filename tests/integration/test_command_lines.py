"""The rules that the command lines of all packages follow; every subcommand is found by itself."""

import errno
import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

PACKAGES = ["grnndata", "bengrn"]
PROGRAMS = {name: importlib.import_module(f"{name}.cli").main for name in PACKAGES}
COMMANDS = [(name, command) for name, program in PROGRAMS.items() for command in program.commands]
LISTS = [("grnndata", "draw", "--genes")]
TYPES = re.compile(r"<class|type:|\b(str|int|float|bool|Path|None|null|list\[|dict\[|Union|Optional|Literal)\b")
CODE = importlib.import_module("grnndata._command_line")


def helped(name, command, capsys):
    assert PROGRAMS[name]([command, "--help"]) == 0
    return capsys.readouterr().out


def test_the_copies_are_one_text():
    texts = {Path(importlib.import_module(f"{name}._command_line").__file__).read_bytes() for name in PACKAGES}
    assert len(texts) == 1


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_argument_is_a_question_for_help(name, capsys):
    program = PROGRAMS[name]
    assert program([]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "exit status: 0 done" in out
    for command, told in program.commands.items():
        assert re.search(rf"^  {command} +{re.escape(told.summary)}$", out, re.MULTILINE)
        assert 10 <= len(told.summary) <= 100
    assert program(["--help"]) == 0
    assert capsys.readouterr().out == out


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_version_is_printed_with_the_name(name, capsys):
    assert PROGRAMS[name](["--version"]) == 0
    assert capsys.readouterr().out == f"{PROGRAMS[name].name} {importlib.metadata.version(name)}\n"


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_help_starts_with_examples_and_knows_no_python(name, command, capsys):
    out = helped(name, command, capsys)
    program = PROGRAMS[name]
    summary, _, rest = out.partition("\n\nexamples:\n")
    assert " ".join(summary.split()) == program.commands[command].summary
    assert rest.startswith(f"  {program.name} {command}")
    assert rest.index(f"usage: {program.name} {command} [options]") > 0
    assert not TYPES.search(out.replace("Path.csv", "")), TYPES.search(out)
    assert not re.search(r"--[a-z.]+_", out)


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_examples_can_be_parsed(name, command):
    program = PROGRAMS[name]
    for example in program.commands[command].examples:
        first, *words = example.split()
        assert first == command
        program.parser(command).read(words)


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_every_option_is_known_with_hyphens_and_underscores(name, command, capsys):
    parser = PROGRAMS[name].parser(command)
    shown = set(re.findall(r"^  (?:-\w, )?(--[\w.-]+)", helped(name, command, capsys), re.MULTILINE))
    options = {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
    assert {option.replace("_", "-") for option in shown} <= {option.replace("_", "-") for option in options}
    for option in options:
        if not option.endswith("+"):
            hyphens = f"--{option[2:].replace('_', '-')}"
            underscores = f"--{option[2:].replace('-', '_')}"
            assert parser.spelled([f"{hyphens}=1"]) == parser.spelled([f"{underscores}=1"])
            assert parser.spelled([f"{hyphens}=1"])[0].partition("=")[0] == option


@pytest.mark.parametrize(("name", "command", "option"), LISTS)
def test_lists_are_words_or_joined_by_commas(name, command, option):
    parser = PROGRAMS[name].parser(command)
    found = [
        parser.spelled([*words, "--out", "x"])
        for words in ([option, "a", "b"], [option, "a,b"], [f"{option}=a,b"], [option, '["a", "b"]'])
    ]
    assert found == [[f'{option}=["a", "b"]', "--out", "x"]] * 4
    # names of the Cell Ontology keep their commas
    named = parser.spelled([option, "CD4-positive, alpha-beta T cell,B cell"])
    assert named == [f'{option}=["CD4-positive, alpha-beta T cell", "B cell"]']


def test_lists_are_all_found():
    found = {
        (name, command, option)
        for name, command in COMMANDS
        for action in PROGRAMS[name].parser(command)._actions
        if CODE._entries(getattr(action, "_typehint", None)) is not None
        for option in action.option_strings
        if not option.endswith("+")
    }
    assert {one for one in found if one[2] in {"--genes", "--classes", "--group"}} <= set(LISTS)


def test_positional_lists_split_too():
    parser = PROGRAMS["bengrn"].parser("fetch")
    assert parser.read(["a,b", "c"]).names == parser.read(["a", "b", "c"]).names == ["a", "b", "c"]


@pytest.mark.parametrize("words", [["n", "o.csv"], ["n", "-o", "o.csv"], ["--top_k", "3", "n", "--out=o.csv"],
                                   ["n", "--top-k", "3", "o.csv"]])  # fmt: skip
def test_the_output_has_a_place_and_an_option(words):
    read = PROGRAMS["grnndata"].parser("convert").read(words)
    assert (read.source, read.out) == ("n", "o.csv")


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ValueError("no\nsuch gene"), 2, "no such gene"),
        (PermissionError(13, "Permission denied", "o.csv"), 2, "Permission denied"),
        (ModuleNotFoundError("install gseapy"), 2, "install gseapy"),
        (RuntimeError("did not converge"), 1, "did not converge"),
        (KeyError("gene"), 1, "KeyError: 'gene' (not expected; --debug shows where)"),
        (MemoryError(), 1, "out of memory"),
        (OutOfMemoryError("CUDA: tried to allocate 20 GiB"), 1, "out of memory: CUDA"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 1, "out of memory"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "the disk is full"),
        (RuntimeError("Found no NVIDIA driver on your system."), 2, "there is no GPU that can be used; --device cpu"),
        (AssertionError("Torch not compiled with CUDA enabled"), 2, "there is no GPU that can be used"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (BrokenPipeError(), 141, "broken pipe"),
    ],
)
def test_every_end_is_one_line_and_a_status(name, error, status, message, capsys):
    program = PROGRAMS[name]

    def fail(_):
        raise error

    command = next(iter(program.commands))
    broken = replace(program.commands[command], run=fail, options=str)
    failing = replace(program, commands={command: broken})
    assert failing([command]) == status
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"{program.name}: ")
    assert message in err
    assert failing([command, "--debug"]) == status
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_behind_the_output():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "grnndata.cli"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith("grnndata: the disk is full")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_reader_that_stops():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "grnndata.cli"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert done.returncode == 141
    assert done.stderr == "grnndata: what reads the output has stopped (broken pipe)\n"


def test_outputs_are_checked_before_the_work(tmp_path, monkeypatch):
    given = tmp_path / "in.csv"
    given.write_text("")
    check = CODE.check_output
    assert check(tmp_path / "new" / "deep" / "o.csv", given) == tmp_path / "new" / "deep" / "o.csv"
    assert not (tmp_path / "new").exists()
    (tmp_path / "link.csv").symlink_to(given)
    with pytest.raises(ValueError, match="is the input, which is not overwritten"):
        check(tmp_path / "link.csv", given)
    with pytest.raises(ValueError, match="is a folder: name the file"):
        check(tmp_path, given)
    with pytest.raises(ValueError, match="is a file: name a folder"):
        check(given, is_folder=True)
    with pytest.raises(NotADirectoryError, match=r"in\.csv is no folder"):
        check(given / "o.csv")
    kept = tmp_path / "kept.csv"
    kept.write_text("")
    kept.chmod(0o444)
    with pytest.raises(PermissionError, match="is read-only: make it writable"):
        check(kept, given)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError, match=r"cannot write .*o\.csv: the folder .* is read-only"):
        check(tmp_path / "o.csv")
    assert CODE.with_folder(tmp_path / "new" / "o.csv").parent.is_dir()
