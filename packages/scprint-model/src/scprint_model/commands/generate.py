"""``scprint generate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from scprint_model.commands.call import call, say

if TYPE_CHECKING:
    from anndata import AnnData


def generate(
    input: Path,  # noqa: A002  (the name on the command line)
    output: Path,
    *,
    genes: Path,
    take: dict[str, str] | None = None,
    cells: str | None = None,
    total_counts: float | None = None,
    model: str = "bundled",
    sample: bool = False,
    uncertainty: bool = False,
    context: int | None = None,
    batch_size: int = 32,
    device: Literal["cpu", "cuda"] = "cpu",
    seed: int = 0,
) -> str:
    """Predict the counts of cells from their embeddings, in which facets of other cells may be mixed.

    Parameters
    ----------
    input
        h5ad file of raw counts.
    output
        h5ad file to write: the expected counts in X.
    genes
        File with one gene a line, ids or symbols that the model knows; any, also such as the input does not have.
    take
        Facets to take from other cells of the input, their mean: '{"disease": "disease=influenza"}' is the token
        disease of the cells with the value influenza in the column disease.
    cells
        Generate these cells only: column=value.
    total_counts
        What the counts of a cell sum to over the genes; None: its own total count in the input.
    model
        bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    sample
        Draw counts from the predicted distribution.
    uncertainty
        Also a layer standard_deviation.
    context
        Most expressed genes that the model sees of a cell to embed it.
    batch_size
        Cells at a time.
    device
        Where the model runs.
    seed
        Of the draws.
    """
    from scdataloader.counts import total_counts as counted
    from scprint_model.commands.lines import lines
    from scprint_model.commands.where import cells_where
    from scprint_model.model import ScPrint
    from scprint_model.tasks import EncodedCells, encode, mix
    from scprint_model.tasks import generate as generate_cells
    from scprint_model.tasks.files import check_output, open_cells
    from scprint_model.tasks.generate import find_genes

    check_output(input, output)
    names = lines(genes, "genes")
    adata = open_cells(input)
    chosen = adata if cells is None else adata[cells_where(adata, cells)]
    sources = {token: adata[cells_where(adata, where)] for token, where in (take or {}).items()}
    network = ScPrint.from_pretrained(model).to(device)
    if network.vocabulary is not None:
        find_genes(network.vocabulary, names)  # before the work

    def embedded(data: AnnData) -> EncodedCells:
        return encode(network, data, context=context, batch_size=batch_size, seed=seed, classes=())

    mixed = mix(embedded(chosen), {token: embedded(source) for token, source in sources.items()})
    found = generate_cells(
        network,
        mixed,
        genes=names,
        total_counts=np.maximum(counted(chosen), 1) if total_counts is None else total_counts,
        names=chosen.obs_names.tolist(),
        sample=sample,
        uncertainty=uncertainty,
        batch_size=batch_size,
        seed=seed,
        out=output,
    )
    facets = "".join(f", {token} of {source.n_obs:,} cells" for token, source in sources.items())
    return f"{output}: {found.n_obs:,} cells, {found.n_vars:,} genes{facets}"


def run(arguments: list[str]) -> int:
    """Generate, write, and say what was made."""
    return say(call(generate, arguments, "generate"))
