"""``scprint embed``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from scprint_model.commands.call import call, say


def embed(
    input: Path,  # noqa: A002  (the name on the command line)
    output: Path,
    *,
    model: str = "bundled",
    token: str = "mean",
    logits: str | None = None,
    key: str = "X_scprint",
    context: int | None = None,
    batch_size: int = 32,
    device: Literal["cpu", "cuda"] = "cpu",
    seed: int = 0,
) -> str:
    """Embed the cells of a file, which are read a part at a time; the input is not changed.

    Parameters
    ----------
    input
        h5ad file of raw counts.
    output
        h5ad file to write: the input with the embedding in obsm.
    model
        bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    token
        mean of all cell tokens, the name of one (such as cell_type), or all of them apart.
    logits
        Take the logits of this class as the embedding, which removes more of the batch effects.
    key
        Name in obsm; with all tokens its start.
    context
        Most expressed genes that the model sees of a cell.
    batch_size
        Cells at a time.
    device
        Where the model runs.
    seed
        Decides between genes with equal counts.
    """
    from scprint_model.model import ScPrint
    from scprint_model.tasks import embed as embed_cells
    from scprint_model.tasks.files import check_output, open_cells, write_with

    check_output(input, output)
    network = ScPrint.from_pretrained(model).to(device)
    adata = open_cells(input)
    embed_cells(network, adata, token=token, logits=logits, key=key, context=context, batch_size=batch_size, seed=seed)
    found = {**adata.obsm}
    write_with(input, output, obsm=found)
    shapes = ", ".join(f"obsm[{name!r}] {value.shape[1]} wide" for name, value in found.items())
    return f"{output}: {adata.n_obs:,} cells, {shapes}"


def run(arguments: list[str]) -> int:
    """Embed, write, and say what was made."""
    return say(call(embed, arguments, "embed"))
