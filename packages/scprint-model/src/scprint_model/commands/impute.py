"""``scprint impute``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from scprint_model.commands.call import call, say
from scprint_model.tasks.impute import Method


def impute(
    input: Path,  # noqa: A002  (the name on the command line)
    output: Path,
    *,
    genes: Path,
    model: str = "bundled",
    method: Method = "masked",
    context: int | None = None,
    batch_size: int = 16,
    device: Literal["cpu", "cuda"] = "cpu",
    seed: int = 0,
) -> str:
    """Predict the counts of genes that the data did not measure; the input is not changed.

    Parameters
    ----------
    input
        h5ad file of raw counts.
    output
        h5ad file to write: the expected counts in X.
    genes
        File with one gene a line, ids or symbols that the model knows.
    model
        bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    method
        masked: beside the measured genes; embeddings: from the cell's embeddings alone.
    context
        Measured genes of a cell that the model sees.
    batch_size
        Cells at a time.
    device
        Where the model runs.
    seed
        Decides between genes with equal counts.
    """
    from scprint_model.commands.lines import lines
    from scprint_model.model import ScPrint
    from scprint_model.tasks import impute as impute_genes
    from scprint_model.tasks.files import check_output, open_cells

    check_output(input, output)
    names = lines(genes, "genes")
    found = impute_genes(
        ScPrint.from_pretrained(model).to(device),
        open_cells(input),
        genes=names,
        method=method,
        context=context,
        batch_size=batch_size,
        seed=seed,
        out=output,
    )
    return f"{output}: {found.n_obs:,} cells, {found.n_vars:,} genes"


def run(arguments: list[str]) -> int:
    """Impute, write, and say what was made."""
    return say(call(impute, arguments, "impute"))
