"""``scprint denoise``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from scprint_model.commands.call import call, say


def denoise(
    input: Path,  # noqa: A002  (the name on the command line)
    output: Path,
    *,
    model: str = "bundled",
    genes: str = "variable",
    n_genes: int = 2000,
    depth_multiplier: float | None = None,
    target_depth: float | None = None,
    sample: bool = False,
    uncertainty: bool = False,
    batch_size: int = 16,
    device: Literal["cpu", "cuda"] = "cpu",
    seed: int = 0,
) -> str:
    """Predict the counts of a deeper sequencing, a part of the cells at a time; the input is not changed.

    Parameters
    ----------
    input
        h5ad file of raw counts.
    output
        h5ad file to write: the expected counts in X, the input's in the layer counts.
    model
        bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    genes
        variable, all, or a file with one gene a line.
    n_genes
        How many variable ones.
    depth_multiplier
        How many times deeper; 2 by default.
    target_depth
        Instead of it: the total count that every cell is brought to.
    sample
        Draw counts from the predicted distribution.
    uncertainty
        Also a layer standard_deviation.
    batch_size
        Cells at a time.
    device
        Where the model runs.
    seed
        Of the draws.
    """
    from scprint_model.commands.lines import lines
    from scprint_model.genes import match_genes, most_variable
    from scprint_model.model import ScPrint
    from scprint_model.tables import tables
    from scprint_model.tasks import denoise as denoise_cells
    from scprint_model.tasks.files import check_output, open_cells

    check_output(input, output)
    network = ScPrint.from_pretrained(model).to(device)
    adata = open_cells(input)
    chosen = None
    if genes == "variable":
        known = match_genes(tables(network)[0], adata).columns
        some = adata[:: max(1, adata.n_obs // 5000)]  # enough to rank genes by
        chosen = most_variable(some[:, known].to_memory(), n_genes).tolist()
    elif genes != "all":
        chosen = lines(Path(genes), "genes")
    found = denoise_cells(
        network,
        adata,
        genes=chosen,
        depth_multiplier=depth_multiplier,
        target_depth=target_depth,
        sample=sample,
        uncertainty=uncertainty,
        batch_size=batch_size,
        seed=seed,
        out=output,
    )
    return f"{output}: {found.n_obs:,} cells, {found.n_vars:,} genes"


def run(arguments: list[str]) -> int:
    """Denoise, write, and say what was made."""
    return say(call(denoise, arguments, "denoise"))
