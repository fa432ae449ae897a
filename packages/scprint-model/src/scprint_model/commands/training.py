"""``scprint fit``, ``finetune`` and ``gene-embeddings``: models, adapted models, and what their genes start from."""

from __future__ import annotations

import warnings
from importlib.resources import files
from pathlib import Path
from typing import Any

from grnndata import atomic_path
from scprint_model.commands.options import call, lines, words_of
from scprint_model.finetuning import finetune as adapt
from scprint_model.gene_embeddings import build_table
from scprint_model.model import ScPrint
from scprint_model.tasks import gene_embeddings


def run(command: str, words: list[str]) -> str | int:
    """Run a subcommand on its words, and return what to say of it, or the exit status."""
    if command == "fit":
        return fit(words)
    if command == "finetune":
        return str(call(finetune, words, command, as_positional=False))
    has_model = any(word.partition("=")[0] in ("--from_model", "--from-model") for word in words)
    return str(call(of_model if has_model else build_table, words, command))


def fit(words: list[str]) -> int:
    """Train with Lightning's options.

    ``--config`` takes files, and the names of the configurations that come with the package (``small``, ``medium``, …).
    """
    from lightning.pytorch.cli import LightningCLI

    from scdataloader import CellDataModule
    from scprint_model.training.module import PretrainingModule

    # meant for callers who forget sys.argv; here it was cut on purpose
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter is intended")
    LightningCLI(
        PretrainingModule,
        CellDataModule,
        args=["fit", *packaged_configs(words)],
        save_config_callback=None,  # it would write into the working directory where there is no logger
        trainer_defaults={
            "plugins": {"class_path": "scprint_model.training.saving.AtomicCheckpointIO"},
            "use_distributed_sampler": False,  # the data module gives each process its share
        },
        parser_kwargs={"prog": "scprint"},
    )
    return 0


def packaged_configs(words: list[str]) -> list[str]:
    """Replace the names of packaged configurations by their paths: ``--config small``, also ``configs/small.yaml``.

    A file of that name comes first.
    """
    folder = files("scprint_model") / "configs"
    known = {Path(entry.name).stem: str(entry) for entry in folder.iterdir() if entry.name.endswith(".yaml")}
    told = []
    for i, word in enumerate(words):
        option, equals, value = word.partition("=")
        is_value = i > 0 and words[i - 1] in ("--config", "-c")
        if option in ("--config", "-c") and equals:
            told.append(f"{option}={_config(value, known)}")
        else:
            told.append(_config(word, known) if is_value else word)
    return told


def _config(name: str, known: dict[str, str]) -> str:
    path = Path(name)
    if path.exists() or str(path.parent) not in (".", "configs"):
        return name
    if path.stem in known and path.suffix in ("", ".yaml"):
        return known[path.stem]
    if not path.suffix:
        raise ValueError(f"there is no file {name!r}, and no configuration of that name: there are {sorted(known)}")
    return name


def finetune(
    model: str,
    data: str | list[str],
    out: Path,
    *,
    labels: str | list[str] = "",
    genes: Path | None = None,
    organisms: str | list[str] = "",
    projections: str | list[str] = "qkv,q,kv,out",
    **options: Any,
) -> str:
    """Adapt a trained model to labels, genes, organisms or batches of one's own.

    Parameters
    ----------
    model
        Model to adapt: bundled, a model folder, a published .ckpt, or a hub repository.
    data
        Files of raw counts: one, several joined by commas, or a list.
    out
        Folder for the result, which must be new or empty.
    labels
        Columns of obs to learn, joined by commas.
    genes
        File of a vocabulary of genes to add.
    organisms
        Organisms whose protein-coding genes are added, joined by commas.
    projections
        Projections with low-rank parts: of qkv, q, kv, out, fc1, fc2.
    """
    made = adapt(
        model,
        words_of(data),
        labels=words_of(labels),
        genes=genes,
        organisms=words_of(organisms),
        projections=words_of(projections),
        merge=True,
        out=out,
        **options,
    )
    return _summary(made.card["finetuned"], out)


def _summary(report: dict[str, dict[str, object]], out: Path) -> str:
    size = sum(file.stat().st_size for file in out.iterdir())
    said = [f"{out}: {size / 1e3:,.0f} kB; on held-out cells, before → after:"]
    for name, after in report["after"].items():
        before = report["before"][name]
        if isinstance(after, dict) and isinstance(before, dict):
            scores = ", ".join(f"{key} {before[key]:.3f} → {after[key]:.3f}" for key in ("accuracy", "macro_f1"))
            said.append(f"{name}: {scores} ({after['n_cells']} cells)")
        else:
            said.append(f"{name}: {before:.3f} → {after:.3f}")
    return "\n".join(said)


def of_model(out: Path, *, from_model: str, genes: Path | None = None) -> Path:
    """Write the gene embeddings of a model as a table (parquet).

    Parameters
    ----------
    out
        File to write.
    from_model
        Model to use: bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    genes
        File with one gene a line, ids or symbols; all of the model's by default.
    """
    names = None if genes is None else lines(genes, "genes")
    table = gene_embeddings(ScPrint.from_pretrained(from_model), names)
    with atomic_path(out) as temporary:
        table.to_parquet(temporary)
    return out
