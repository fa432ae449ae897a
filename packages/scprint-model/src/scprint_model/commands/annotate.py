"""``scprint annotate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from grnndata import atomic_path
from scprint_model.commands.call import call, say


def annotate(
    input: Path,  # noqa: A002  (the name on the command line)
    output: Path,
    *,
    model: str = "bundled",
    classes: str | None = None,
    top_k: int = 1,
    probabilities: bool = False,
    coarsen: dict[str, list[str]] | None = None,
    abstain: float | None = None,
    vote: str | None = None,
    report: Path | None = None,
    context: int | None = None,
    batch_size: int = 32,
    device: Literal["cpu", "cuda"] = "cpu",
    seed: int = 0,
) -> str:
    """Predict labels of the cells of a file, which are read a part at a time; the input is not changed.

    Where the file has true labels of a class (<class>_ontology_term_id or <class> in obs), it is said how right the
    predictions are, and what their confidence is worth.

    Parameters
    ----------
    input
        h5ad file of raw counts.
    output
        h5ad file to write: the input with predicted_<class> columns in obs.
    model
        bundled, a folder, a checkpoint or a hub repository; see scprint inspect.
    classes
        Those to predict, such as cell_type,tissue; all by default.
    top_k
        Also the next best labels.
    probabilities
        Also the probability of every label, in obsm, with the labels in uns.
    coarsen
        Class to coarser labels, as in {"cell_type": ["T cell", "B cell"]}: also which of them it is.
    abstain
        Labels with a lower confidence become unknown.
    vote
        Column of obs, such as clusters: also one label for all cells of each.
    report
        Also write the scores here, as JSON; needs true labels.
    context
        Most expressed genes that the model sees of a cell.
    batch_size
        Cells at a time.
    device
        Where the model runs.
    seed
        Decides between genes with equal counts.
    """
    from scdataloader.counts import obs_table
    from scdataloader.labels import SUFFIX, label_column
    from scprint_model.model import ScPrint
    from scprint_model.tasks import annotate as annotate_cells
    from scprint_model.tasks.calibration import calibration
    from scprint_model.tasks.encode import class_names
    from scprint_model.tasks.files import check_output, open_cells, write_with

    check_output(input, output)
    if report is not None and not report.parent.is_dir():
        raise FileNotFoundError(f"cannot write {report}: there is no folder {report.parent.resolve()}")
    network = ScPrint.from_pretrained(model).to(device)
    adata = open_cells(input)
    truth = obs_table(adata).copy()
    chosen = class_names(network, None if classes is None else classes.split(","))
    names = [name.removesuffix(SUFFIX) for name in chosen]
    if report is not None and all(label_column(truth.columns, name) is None for name in names):
        raise ValueError(f"--report: obs of {input} has no true labels of {names}, only {list(truth.columns)}")
    predicted = annotate_cells(
        network,
        adata,
        classes=chosen,
        top_k=top_k,
        probabilities=probabilities,
        coarsen=coarsen,
        abstain=abstain,
        vote=vote,
        context=context,
        batch_size=batch_size,
        seed=seed,
    )
    scores = calibration(predicted, truth, labels=network.label_space)
    write_with(input, output, obs=predicted, obsm={**adata.obsm}, uns={**adata.uns})
    lines = [f"{output}: {adata.n_obs:,} cells, {len(predicted.columns)} columns predicted_... in obs"]
    for name, one in scores.items():
        lines += [f"{name}: {one}"]
        table = one.reliability.to_string(index=False, float_format="{:.3f}".format)
        lines += [f"  {line}" for line in table.splitlines() if len(one.reliability)]
    if report is not None:
        with atomic_path(report) as temporary:
            content = {name: one.as_dict() for name, one in scores.items()}
            temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        lines.append(f"{report}: these scores")
    return "\n".join(lines)


def run(arguments: list[str]) -> int:
    """Annotate, write, and say what was made and how right it is."""
    return say(call(annotate, arguments, "annotate"))
