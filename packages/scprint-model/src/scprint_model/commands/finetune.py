"""``scprint finetune``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from scprint_model.commands.call import call, say


def finetune_files(
    model: str,
    data: str | list[str],
    out: Path,
    *,
    labels: str | list[str] = "",
    batch_key: str | None = None,
    train: Literal["heads", "lora", "all"] = "lora",
    genes: Path | None = None,
    organisms: str | list[str] = "",
    gene_embeddings: Path | None = None,
    rank: int = 8,
    alpha: float = 16.0,
    projections: str | list[str] = "qkv,q,kv,out",
    held_out: float = 0.2,
    held_out_by: str | None = None,
    epochs: int = 10,
    patience: int = 3,
    batch_size: int = 32,
    learning_rate: float | None = None,
    batch_weight: float = 10.0,
    denoising: float | None = None,
    context: int | None = None,
    save: Literal["adapter", "model"] | None = None,
    device: str | None = None,
    seed: int = 0,
) -> str:
    """Adapt a trained model to labels, genes, organisms or batches of one's own.

    Parameters
    ----------
    model
        What is adapted: bundled, a model folder, a published .ckpt, or a hub repository.
    data
        Files of raw counts: one, several joined by commas, or a list.
    out
        New folder for the result.
    labels
        Columns of obs to learn, joined by commas.
    batch_key
        Column of obs whose values the cell embedding shall not tell.
    train
        The class heads only, also low-rank parts of the transformer, or all weights.
    genes
        File of a gene vocabulary to add.
    organisms
        Organisms whose protein-coding genes are added, joined by commas.
    gene_embeddings
        Table of scprint gene-embeddings, from which new genes start.
    rank
        Of the low-rank parts.
    alpha
        Scale of the low-rank parts.
    projections
        Projections with low-rank parts: of qkv, q, kv, out, fc1, fc2.
    held_out
        Share of the cells, or of the groups of held_out_by, to score on.
    held_out_by
        Column of obs, such as donor_id, or dataset, whose groups are held out as a whole.
    epochs
        Of the network, at most.
    patience
        Epochs without a better validation loss before it stops.
    batch_size
        Cells a step.
    learning_rate
        Of the network; by default 0.001 for lora and 0.0001 for all.
    batch_weight
        Of the distance between batches.
    denoising
        Weight of the denoising task; by default 1 with a batch_key or new genes, else 0.
    context
        Genes per cell; by default as many as the model saw in training.
    save
        What was changed, or a whole model; by default the first, and for train=all the second.
    device
        Such as cuda; by default a GPU where there is one.
    seed
        The same gives the same result.
    """
    from scprint_model.finetuning import finetune

    made = finetune(
        model,
        _words(data),
        labels=_words(labels),
        batch_key=batch_key,
        train=train,
        genes=genes,
        organisms=_words(organisms),
        gene_embeddings=gene_embeddings,
        rank=rank,
        alpha=alpha,
        projections=_words(projections),
        held_out=held_out,
        held_out_by=held_out_by,
        epochs=epochs,
        patience=patience,
        batch_size=batch_size,
        learning_rate=learning_rate,
        batch_weight=batch_weight,
        denoising=denoising,
        context=context,
        out=out,
        save=save,
        device=device,
        seed=seed,
    )
    return _summary(made.card["finetuned"], out)


def run(arguments: list[str]) -> int:
    """Fine-tune, and say how well it went."""
    return say(call(finetune_files, arguments, "finetune", as_positional=False))


def _words(values: str | list[str]) -> list[str]:
    return values if isinstance(values, list) else [word for word in values.split(",") if word]


def _summary(report: dict[str, dict[str, object]], out: Path) -> str:
    size = sum(file.stat().st_size for file in out.iterdir())
    lines = [f"{out}: {size / 1e3:,.0f} kB; on held-out cells, before → after:"]
    for name, after in report["after"].items():
        before = report["before"][name]
        if isinstance(after, dict) and isinstance(before, dict):
            scores = ", ".join(f"{key} {before[key]:.3f} → {after[key]:.3f}" for key in ("accuracy", "macro_f1"))
            lines.append(f"{name}: {scores} ({after['n_cells']} cells)")
        else:
            lines.append(f"{name}: {before:.3f} → {after:.3f}")
    return "\n".join(lines)
