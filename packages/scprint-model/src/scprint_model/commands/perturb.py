"""``scprint perturb``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from scprint_model.commands.call import call, say


def perturb(
    input: Path,  # noqa: A002  (the name on the command line)
    output: Path,
    *,
    genes: list[str],
    to: float | None = None,
    fold: float | None = None,
    cells: str | None = None,
    n_genes: int = 300,
    n_edges: int = 1000,
    model: str = "bundled",
    batch_size: int = 16,
    device: Literal["cpu", "cuda"] = "cpu",
    seed: int = 0,
) -> str:
    """Silence genes, or change their counts, and compare what the model expects of the others: profile and network.

    Associations that the model has learned, which a real experiment need not show.

    Parameters
    ----------
    input
        h5ad file of raw counts.
    output
        csv file to write: a row for each other gene. Beside it, as .edges.csv, the edges that changed most.
    genes
        Those to change, as '["ENSG00000106631"]', or one name.
    to
        Their count in every cell; 0 by default.
    fold
        Instead of it: multiply their counts.
    cells
        Take these cells only: column=value.
    n_genes
        Other genes that the model sees: the most variable ones.
    n_edges
        How many edges; 0: no network.
    model
        bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    batch_size
        Cells at a time.
    device
        Where the model runs.
    seed
        Of the networks.
    """
    from grnndata import atomic_path
    from scprint_model.commands.where import cells_where
    from scprint_model.model import ScPrint
    from scprint_model.tasks import perturb as perturb_cells
    from scprint_model.tasks.files import check_output, open_cells

    check_output(input, output)
    adata = open_cells(input)
    if cells is not None:
        adata = adata[cells_where(adata, cells)]
    found = perturb_cells(
        ScPrint.from_pretrained(model).to(device),
        adata,
        genes=genes,
        to=to,
        fold=fold,
        n_genes=n_genes,
        n_edges=n_edges,
        batch_size=batch_size,
        seed=seed,
    )
    written = [str(output)]
    with atomic_path(output) as temporary:
        found.profile.to_csv(temporary, index_label="gene")
    if found.edges is not None:
        beside = output.with_suffix(".edges.csv")
        with atomic_path(beside) as temporary:
            found.edges.to_csv(temporary, index=False)
        written.append(str(beside))
    return f"{', '.join(written)}: {', '.join(genes)} changed in {adata.n_obs:,} cells, {len(found.profile):,} others"


def run(arguments: list[str]) -> int:
    """Perturb, write, and say what was made."""
    words = list(arguments)
    for i, word in enumerate(words):  # one name need not be written as a list
        option, equals, value = word.partition("=")
        if option == "--genes" and equals and not value.startswith("["):
            words[i] = f'--genes=["{value}"]'
        elif i and words[i - 1] == "--genes" and not word.startswith("["):
            words[i] = f'["{word}"]'
    return say(call(perturb, words, "perturb"))
