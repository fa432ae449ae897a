"""The rules that the command lines of all packages follow; every subcommand is found by itself."""

import dataclasses
import errno
import importlib
import importlib.metadata
import inspect
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

PACKAGES = ["grnndata", "bengrn", "scdataloader", "scprint_model"]
PROGRAMS = {name: importlib.import_module(f"{name}.cli").main for name in PACKAGES}
COMMANDS = [(name, command) for name, program in PROGRAMS.items() for command in program.commands]
TYPES = re.compile(r"<class '|type:|\b(str|int|float|bool|Path|None|null|list\[|dict\[|Union|Optional|Literal)\b")
#: Lightning tells its own options in its own words.
LIGHTNING = re.compile(r"<class '|\(type:|typing|\b(Union|Optional|Literal|Namespace|list|dict|tuple)[\[(]")
MODULES = ["demo", "file_tasks", "measure", "models", "network", "training"]
CODE = importlib.import_module("grnndata._command_line")
OPTIONS = importlib.import_module("grnndata._command_options")
INSTALL = Path(__file__).parents[2] / "docs/install.md"
#: Words for what has another name.
SYNONYMS = {
    "--from-model", "--group-by", "--jobs", "--n-permutations", "--num-workers", "--output", "--random-state",
    "--sparsify", "--species", "--threads",
}  # fmt: skip


def helped(name, command, capsys):
    assert PROGRAMS[name]([command, "--help"]) == 0
    return capsys.readouterr().out


@cache
def parser_of(name, command):
    """Return the parser of a subcommand, which is Lightning's for the training."""
    if PROGRAMS[name].commands[command].options is not None:
        return PROGRAMS[name].parser(command)
    found = []

    def stop(cli, *_):
        found.append(cli.fit_parser)
        raise SystemExit(0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scprint_model.commands.fit.FitCLI.parse_arguments", stop)
        assert PROGRAMS[name]([command, "--anything"]) == 0
    return found[0]


def options_of(name, command):
    """Return the options of a subcommand as its help spells them."""
    strings = (option for action in parser_of(name, command)._actions for option in action.option_strings)
    return {option.replace("_", "-") for option in strings if option.startswith("--") and not option.endswith("+")}


def test_the_copies_are_one_text():
    for module in ("_command_line", "_command_options"):
        texts = {Path(importlib.import_module(f"{name}.{module}").__file__).read_bytes() for name in PACKAGES}
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
    types = LIGHTNING if program.commands[command].options is None else TYPES
    named = out.replace("--null ", "")  # the null of a p-value
    assert not types.search(named), types.search(named)
    assert not re.search(r"^  (-\w, )?--[a-z.-]+_", out, re.MULTILINE)


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_examples_can_be_parsed(name, command, capsys):
    program = PROGRAMS[name]
    for example in program.commands[command].examples:
        first, *words = example.split()
        assert first == command
        if program.commands[command].options is None:
            assert program([command, *words, "--print-config"]) == 0
        else:
            program.parser(command).read(words)


@pytest.mark.parametrize("command", [one for one in PROGRAMS["scprint_model"].commands if one != "fit"])
def test_the_line_of_help_is_that_of_the_function(command):
    modules = [importlib.import_module(f"scprint_model.commands.{name}") for name in MODULES]
    (found,) = [module.COMMANDS[command] for module in modules if command in module.COMMANDS]
    assert PROGRAMS["scprint_model"].commands[command].summary == found.function.__doc__.partition("\n")[0]


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_every_option_is_known_with_hyphens_and_underscores(name, command, capsys):
    parser = parser_of(name, command)
    shown = set(re.findall(r"^  (?:-\w, )?(--[\w.-]+)", helped(name, command, capsys), re.MULTILINE))
    assert shown <= options_of(name, command)
    options = {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
    for option in options:
        if not option.endswith("+"):
            hyphens = f"--{option[2:].replace('_', '-')}"
            underscores = f"--{option[2:].replace('-', '_')}"
            assert parser.spelled([f"{hyphens}=1"]) == parser.spelled([f"{underscores}=1"])
            assert parser.spelled([f"{hyphens}=1"])[0].partition("=")[0] == option


@pytest.mark.parametrize("name", PROGRAMS)
def test_lists_are_words_or_joined_by_commas(name):
    n_lists = 0
    for command in PROGRAMS[name].commands:
        parser = parser_of(name, command)
        for action in parser._actions:
            entries = OPTIONS._entries(getattr(action, "_typehint", None))
            if entries is None or not action.option_strings:
                continue
            option = action.option_strings[0]
            found = [
                parser.spelled([*words, "--debug", "x"])
                for words in ([option, "1", "2"], [option, "1,2"], [f"{option}=1,2"])
            ]
            values = '["1", "2"]' if str in entries else "[1, 2]"
            assert found == [[f"{option}={values}", "--debug", "x"]] * 3
            assert parser.spelled([option, values]) == [f"{option}={values}"]
            n_lists += 1
    assert n_lists >= {"grnndata": 1, "bengrn": 0, "scdataloader": 3, "scprint_model": 15}[name]


def test_a_list_that_is_given_several_times_is_one_list():
    parser = parser_of("grnndata", "draw")
    words = ["--genes", "RHO", "--debug", "--genes=[]", "--genes", "NRL,CRX", "--genes", '["PAX6"]']
    assert parser.spelled(words) == ['--genes=["RHO", "NRL", "CRX", "PAX6"]', "--debug"]


def test_names_with_commas_stay_whole():
    parser = parser_of("grnndata", "draw")  # names of the Cell Ontology have commas
    named = parser.spelled(["--genes", "CD4-positive, alpha-beta T cell,B cell"])
    assert named == ['--genes=["CD4-positive, alpha-beta T cell", "B cell"]']


def test_one_word_stays_one_where_that_means_something_else():
    parser = parser_of("scprint_model", "fit")  # 4 devices, and the device with the number 4
    assert parser.spelled(["--trainer.devices", "4"]) == ["--trainer.devices=4"]
    assert parser.spelled(["--trainer.devices", "4", "5"]) == ["--trainer.devices=[4, 5]"]


def test_the_same_thing_has_one_name_and_the_page_lists_them():
    section = INSTALL.read_text().partition("| option | names |")[2].partition("\n\n")[0]
    listed = set(re.findall(r"`(--[a-z-]+)`", section))
    programs = {}
    for name, command in COMMANDS:
        if PROGRAMS[name].commands[command].options is not None:
            for option in options_of(name, command):
                programs.setdefault(option, []).append(name)
    shared = {option for option, names in programs.items() if len(set(names)) > 1 or len(names) > 3} - {"--help"}
    shared -= {f"--no-{option[2:]}" for option in programs}  # of a yes or no, the no
    assert shared <= listed, sorted(shared - listed)
    assert listed <= set(programs), sorted(listed - set(programs))
    assert not SYNONYMS & set(programs)


def test_options_of_counts_have_one_help_everywhere():
    from scdataloader import Preprocessor
    from scdataloader.expression import CountsChoice, with_counts
    from scprint_model import infer, run_demo, tasks

    def texts(what):
        found = OPTIONS.parameter_texts(inspect.getdoc(what))
        return {name: found[name] for name in told if name in inspect.signature(what).parameters and name in found}

    told = OPTIONS.parameter_texts(inspect.getdoc(CountsChoice))
    assert list(told) == [field.name for field in dataclasses.fields(CountsChoice)]
    for whole in (Preprocessor, run_demo):
        assert texts(whole) == told
    for task in (tasks.encode, tasks.embed, tasks.annotate, tasks.denoise, tasks.impute, tasks.perturb, infer):
        assert texts(task) == {name: told[name] for name in ("layer", "counts", "round")}
    assert set(inspect.signature(with_counts).parameters) == {"adata", "layer", "counts", "round"}
    # the commands that read cells have them all
    names = {f"--{name.replace('_', '-')}" for name in told}
    reading = [
        ("scprint_model", one) for one in ("demo", "embed", "annotate", "denoise", "generate", "impute", "perturb")
    ]
    reading += [("scprint_model", "network"), ("scprint_model", "finetune"), ("scdataloader", "check")]
    for name, command in [*reading, ("scdataloader", "preprocess"), ("scdataloader", "build")]:
        assert names <= options_of(name, command), command


def test_the_page_tells_every_exit_status():
    listed = re.findall(r"^\| (\d+) \|", INSTALL.read_text(), re.MULTILINE)
    told = re.findall(r"\d+", CODE._STATUS)
    assert listed == told == [str(status) for status in (0, CODE.FAILED, CODE.UNUSABLE, CODE.INTERRUPTED, CODE.UNREAD)]


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_what_is_no_option_is_told_in_one_line(name, command, capsys):
    assert PROGRAMS[name]([command, "--no-such-option", "3"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"{PROGRAMS[name].name}: ")


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_an_output_that_cannot_be_written_is_refused_before_the_input_is_opened(
    name, command, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("blocked").write_text("a file, where a folder would have to be")
    if command == "fit":
        words = ["fit", "--config", "tiny", "--data.files", "in.h5ad", "--trainer.default-root-dir", "blocked/o"]
    elif "--out" in options_of(name, command):
        parser = parser_of(name, command)
        examples = [example.split() for example in PROGRAMS[name].commands[command].examples]
        (words, *_) = [words for words in examples if str(parser.read(words[1:]).out) in words[1:]]
        out = words.index(str(parser.read(words[1:]).out), 1)
        words[out] = f"blocked/{words[out]}"
    else:
        return
    before = sorted(tmp_path.rglob("*"))
    assert PROGRAMS[name](words) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert re.search(rf"^{PROGRAMS[name].name}: cannot write blocked/.*blocked is no folder$", error)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "words",
    [
        ["scdataloader", "check", "in.h5ad", "--lost", "blocked/o.csv"],
        ["scdataloader", "labels", "in.h5ad", "--plot", "blocked/o.png"],
        ["scprint_model", "annotate", "in.h5ad", "out.h5ad", "--report", "blocked/o.json"],
        ["scprint_model", "network", "in.h5ad", "blocked/out.h5ad", "--edges", "5"],
    ],
)
def test_outputs_beside_the_main_one_are_checked_too(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("blocked").write_text("a file, where a folder would have to be")
    name, *rest = words
    assert PROGRAMS[name](rest) == 2
    assert "cannot write blocked/o" in capsys.readouterr().err


@pytest.mark.parametrize("command", [one for one in PROGRAMS["scprint_model"].commands if one != "demo"])
def test_a_gpu_that_is_not_there_is_told_before_the_input_is_opened(command, capsys, tmp_path, monkeypatch):
    import torch

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    program = PROGRAMS["scprint_model"]
    words = program.commands[command].examples[0].split()
    if command == "fit":
        assert program([*words, "--trainer.accelerator", "gpu"]) == 2
        assert "--trainer.accelerator cpu does without" in capsys.readouterr().err
    elif "--device" in options_of("scprint_model", command):
        assert program([*words, "--device", "cuda"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("scprint: there is no GPU that can be used; --device cpu does without: PyTorch ")
        assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


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
