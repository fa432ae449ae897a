"""``scprint invariance``: what a model says of the same cells, thinned or with fewer genes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grnndata import atomic_path
from scdataloader.expression import CountsChoice
from scprint_model import tasks
from scprint_model._command_line import with_folder
from scprint_model._provenance import step, steps_of
from scprint_model.checkpoints.identity import identity
from scprint_model.commands.options import Device, TaskCommand, check_before, told_beside
from scprint_model.model import ScPrint
from scprint_model.tasks.files import read_cells


def invariance(
    input: Path,  # noqa: A002  (the name on the command line)
    out: Path,
    *,
    model: str = "bundled",
    device: Device = "cpu",
    choice: CountsChoice = CountsChoice(),  # noqa: B008 (frozen)
    **options: Any,
) -> str:
    """Measure how many labels and neighbours a model keeps when cells are thinned or genes are missing.

    Cells are thinned 8 times, half of their genes are left out, and a panel of 500 genes is kept. No true labels are
    needed.

    Parameters
    ----------
    input
        File of raw counts: h5ad, zarr, loom, 10x h5, or a 10x matrix folder.
    out
        Table to write (csv): a row a change and measure, with intervals.
    model
        Model to use: bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    device
        Device on which the model runs.
    choice
        Raw counts of the input that are meant.
    """
    check_before(device, input, out)
    opened = read_cells(input, choice)
    network = ScPrint.from_pretrained(model).to(device)
    table = tasks.invariance(network, opened.cells, **options)
    with atomic_path(with_folder(out)) as temporary:
        table.to_csv(temporary, index=False)
    made = step(invariance, {"options": options}, model=identity(network), inputs=[opened.cells])
    said = table.to_string(index=False, float_format="{:.3f}".format)
    return f"{said}\n{out}; {told_beside([*steps_of(opened.cells.uns), made], out)}{opened.notes}"


COMMANDS = {"invariance": TaskCommand(invariance, tasks.invariance, filled=("changes",), reads_cells=True)}
