"""What the pages show runs as it is written there, and gives what they say.

Of a page, the ``python`` blocks run in order in one namespace (as a doctest where they start with ``>>>``), the
``console`` blocks' commands are called and their output compared (``...`` stands for anything), and a ``yaml`` or
``toml`` block is the file that its first line names. Any other block has to be marked as not meant to run.

``pytest tests/integration/test_documentation.py --rewrite-pages`` writes into the pages what their examples give now,
where that is something else: for a new model, whose numbers are its own. Read the difference before you commit it.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import json
import re
import shlex
import sys
import tomllib
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    "README.md",
    "packages/grnndata/README.md",
    "packages/scdataloader/README.md",
    "packages/scprint-model/README.md",
    "docs/faq.md",
    "docs/explain/cell_store.md",
    "docs/explain/gene_choice.md",
    "docs/explain/presets.md",
    "docs/explain/scores.md",
    "docs/explain/what_a_result_depends_on.md",
    "docs/how_to/add_a_method.md",
    "docs/how_to/add_a_truth.md",
    "docs/how_to/benchmark_your_method.md",
    "docs/how_to/choose_the_counts.md",
    "docs/how_to/deep_methods.md",
    "docs/how_to/denoise_and_generate.md",
    "docs/how_to/embed_and_annotate.md",
    "docs/how_to/feed_a_gpu.md",
    "docs/how_to/finetune.md",
    "docs/how_to/gene_embeddings.md",
    "docs/how_to/grnboost2_in_minutes.md",
    "docs/how_to/impute_and_perturb.md",
    "docs/how_to/infer_networks.md",
    "docs/how_to/infer_with_any_method.md",
    "docs/how_to/make_a_leaderboard.md",
    "docs/how_to/network_files.md",
    "docs/how_to/open_a_checkpoint.md",
    "docs/how_to/score_my_network.md",
    "docs/how_to/several_networks.md",
    "docs/how_to/simulate_cells.md",
    "docs/how_to/train_on_my_data.md",
    "docs/how_to/train_scvi_from_a_store.md",
    "docs/how_to/what_made_this_file.md",
    "docs/how_to/write_an_objective.md",
    "docs/tutorials/case_study.md",
    "docs/tutorials/compare_networks.md",
    "docs/tutorials/corpus.md",
    "docs/tutorials/network_from_cells.md",
]
SLOW = {
    "docs/how_to/benchmark_your_method.md",
    "docs/how_to/score_my_network.md",
    "docs/how_to/train_on_my_data.md",
    "docs/tutorials/case_study.md",
    "docs/tutorials/corpus.md",
    "docs/tutorials/network_from_cells.md",
}
NOTEBOOK_CELL = "{code-cell} ipython3"
RUN = {"python", "console", "yaml", "toml", NOTEBOOK_CELL}
NOT_RUN = {"text", "bash", "{toctree}", "{warning}", "{eval-rst}"}
FENCE = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
OUTPUT = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    kind: str
    body: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    assert len(re.findall("^```", text, re.MULTILINE)) % 2 == 0, f"{page} has a block that does not end"
    return [
        Block(match["kind"].strip(), match["body"], text.count("\n", 0, match.start()) + 1)
        for match in FENCE.finditer(text)
    ]


def commands(body: str) -> list[tuple[str, str]]:
    """Each command of a console block, and the output shown for it."""
    parts = re.split(r"^\$ ", body, flags=re.MULTILINE)
    assert parts[0] == "", "a console block starts with '$ '"
    return [(head, rest) for head, _, rest in (part.partition("\n") for part in parts[1:])]


class Page:
    """Runs the blocks of a page in the current folder."""

    def __init__(self, page: Path, capsys: pytest.CaptureFixture[str], *, rewrite: bool = False) -> None:
        self.page = page
        self.capsys = capsys
        self.rewrite = rewrite
        #: What the page shows, and what came: to be put in its place, the first one after the place before.
        self.other: list[tuple[str, str]] = []
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.ran = 0

    def run(self) -> None:
        for block in blocks(self.page):
            where = f"{self.page}:{block.line}"
            if block.kind in {"python", NOTEBOOK_CELL}:
                self._python(block.body, where)
            elif block.kind == "console":
                for command, shown in commands(block.body):
                    self._command(command, shown, where)
            elif block.kind in {"yaml", "toml"}:
                self._file(block.body, where)
            else:
                assert block.kind in NOT_RUN, f"{where}: blocks of kind {block.kind!r} are neither run nor excused"
                continue
            self.ran += 1
        if self.other:
            self.page.write_text(rewritten(self.page.read_text(encoding="utf-8"), self.other), encoding="utf-8")

    def _python(self, body: str, where: str) -> None:
        if not body.startswith(">>>"):
            if body.startswith("# my_method.py"):
                self._file(body, where)
            # no `from __future__` of this file's in the page's code
            code = compile(re.sub(r"^:tags:.*\n", "", body), where, "exec", dont_inherit=True)
            exec(code, self.names)  # noqa: S102 (the project's own pages)
            return
        test = doctest.DocTestParser().get_doctest(body, self.names, where, where, 0)
        report: list[str] = []
        runner = Rewriting(optionflags=OUTPUT) if self.rewrite else doctest.DocTestRunner(optionflags=OUTPUT)
        result = runner.run(test, out=report.append, clear_globs=False)
        self.names.update(test.globs)
        assert result.attempted
        if isinstance(runner, Rewriting):
            self.other += runner.other
            return
        assert result.failed == 0, "".join(report)

    def _command(self, command: str, shown: str, where: str) -> None:
        program, *arguments = shlex.split(command)
        (script,) = entry_points(group="console_scripts", name=program)
        self.capsys.readouterr()
        status = script.load()(arguments)
        output, errors = self.capsys.readouterr()
        assert status == 0, f"{where}: {command}: {errors}"
        if shown:
            same = doctest.OutputChecker().check_output(shown, output, OUTPUT)
            if self.rewrite and not same:
                self.other.append((f"$ {command}\n{shown}", f"$ {command}\n{output.rstrip()}\n"))
                return
            assert same, f"{where}: {command} printed\n{output}\nand the page shows\n{shown}"

    def _file(self, body: str, where: str) -> None:
        first, _, content = body.partition("\n")
        assert first.startswith("# "), f"{where}: the first line must name the file, as in '# my_model.yaml'"
        Path(first[2:]).write_text(content, encoding="utf-8")
        if first == "# pyproject.toml":
            _pretend_installed(tomllib.loads(content)["project"])


class Rewriting(doctest.DocTestRunner):
    """Keeps what examples gave where the page shows something else."""

    other: list[tuple[str, str]]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.other = []

    def report_failure(self, out: Any, test: doctest.DocTest, example: doctest.Example, got: str) -> None:  # noqa: ARG002
        source = ">>> " + example.source.rstrip().replace("\n", "\n... ") + "\n"
        self.other.append((source + example.want, source + got))


def rewritten(text: str, other: list[tuple[str, str]]) -> str:
    """The page with each of these replaced, in their order."""
    done = 0
    for shown, came in other:
        at = text.index(shown, done)
        text = text[:at] + came + text[at + len(shown) :]
        done = at + len(came)
    return text


def _pretend_installed(project: dict[str, Any]) -> None:
    """Give the current folder the metadata that pip would write for a package with these entry points."""
    folder = Path(f"{project['name'].replace('-', '_')}-{project['version']}.dist-info")
    folder.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (folder / "METADATA").write_text(metadata, encoding="utf-8")
    lines = [
        f"[{group}]\n{name} = {value}"
        for group, found in project["entry-points"].items()
        for name, value in found.items()
    ]
    (folder / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")


@pytest.mark.parametrize("name", [pytest.param(p, marks=[pytest.mark.slow] * (p in SLOW)) for p in PAGES])
def test_page_runs(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pytestconfig: pytest.Config,
) -> None:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    page = Page(ROOT / name, capsys, rewrite=pytestconfig.getoption("--rewrite-pages"))
    try:
        page.run()
    finally:
        sys.modules.pop("my_method", None)
    assert page.ran


def test_rewriting_puts_what_came_in_the_place_of_what_was_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    text = "```python\n>>> 1 + 1\n2\n>>> for i in range(2):\n...     print(i)\n7\n>>> 3\n3\n```\n"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(AssertionError, match="Expected"):
        Page(page, capsys).run()
    Page(page, capsys, rewrite=True).run()
    assert page.read_text(encoding="utf-8") == text.replace("7\n", "0\n1\n")
    assert rewritten("a a b", [("a", "c"), ("a", "d"), ("b", "a")]) == "c d a"


def test_no_page_with_examples_is_left_out() -> None:
    with_examples = {
        str(page.relative_to(ROOT))
        for page in [ROOT / "README.md", *DOCS.rglob("*.md"), *(ROOT / "packages").glob("*/README.md")]
        if "_build" not in page.parts and any(block.kind in RUN for block in blocks(page))
    }
    elsewhere = {"packages/bengrn/README.md", "docs/how_to/use_lamindb.md"}  # have tests of their own
    assert with_examples - elsewhere == set(PAGES)


@pytest.mark.parametrize("package", ["scdataloader", "scprint_model", "grnndata", "bengrn"])
def test_public_names_are_in_the_api_page(package: str) -> None:
    page = (DOCS / "api" / f"{package}.md").read_text(encoding="utf-8")
    listed = re.findall(rf"(?:auto(?:class|function)|py:data):: ({package}\.[\w.]+)", page)
    assert len(listed) == len(set(listed))
    documented = [_resolve(name) for name in listed]  # a name that is gone raises
    module = importlib.import_module(package)
    for name in module.__all__:
        value = getattr(module, name)
        if name == "__version__":
            continue
        public = [getattr(value, n) for n in getattr(value, "__all__", [])] if _is_module(value) else [value]
        assert all(one in documented for one in public), f"{package}.{name} is not in docs/api/{package}.md"


def _resolve(name: str) -> Any:
    parts = name.split(".")
    value: Any = importlib.import_module(parts[0])
    for i, part in enumerate(parts[1:], start=2):
        try:
            value = getattr(value, part)
        except AttributeError:
            value = importlib.import_module(".".join(parts[:i]))
    return value


def _is_module(value: Any) -> bool:
    return isinstance(value, type(sys))


def test_internal_links_point_to_pages() -> None:
    for page in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+\.md)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).is_file(), f"{page} links to {target}"


def test_model_page_says_what_the_training_config_says() -> None:
    package = ROOT / "packages/scprint-model"
    config = yaml.safe_load((package / "src/scprint_model/configs/bundled.yaml").read_text(encoding="utf-8"))
    page = (DOCS / "explain/bundled_model.md").read_text(encoding="utf-8")
    script = (package / "scripts/build_corpus.py").read_text(encoding="utf-8")
    built = ast.literal_eval(script.partition("DATA_SETS = ")[2].partition("\n)")[0] + ")")
    carried = (package / "src/scprint_model/pretrained/README.md").read_text(encoding="utf-8")
    for text in (page, carried):
        assert sorted(re.findall(r"^\| ((?:human|mouse)_\w+) \|", text, re.MULTILINE)) == sorted(built)
    card = json.loads((package / "src/scprint_model/pretrained/bundled/card.json").read_text(encoding="utf-8"))
    assert sorted(card["data_sets"]) == sorted(built)
    settings = re.findall(r"^\| `([\w.]+)`[^|]* \| (\S+) \|$", page, re.MULTILINE)
    assert len(settings) >= 10
    for name, value in settings:
        found = config
        for key in name.split("."):
            found = found[key]
        assert str(found) == value, name
    sizes = [config["model"][name] for name in ("d_model", "n_layers", "n_heads")]
    assert f"| width, layers, heads | {', '.join(map(str, sizes))} |" in page
    assert card["steps"] == config["trainer"]["max_epochs"] * config["data"]["drawing"]["cells_per_epoch"] // (
        config["trainer"]["devices"] * config["data"]["batch_size"]
    )


def test_citation_and_changelog_speak_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert citation["cff-version"] == "1.2.0"
    assert {"title", "message", "authors"} <= set(citation)
    assert citation["references"][0]["doi"] == "10.1038/s41467-025-58699-1"
    for package in ("scdataloader", "scprint-model", "grnndata", "bengrn"):
        assert str(citation["version"]) == version(package)
    assert version("scprint-model") in changelog
