"""The ordered steps, over blocks of cells, so that a source of any size goes through in the same memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader._wording import counted, percent
from scdataloader.count_evidence import CountEvidence
from scdataloader.counts import check_cell_names, check_size
from scdataloader.expression.find_counts import Counts
from scdataloader.expression.take import TakenCounts, take_counts
from scdataloader.genes.columns import GeneColumns, all_names, gene_columns
from scdataloader.genes.identifiers import find_organism
from scdataloader.genes.tables import gene_table
from scdataloader.labels.space import class_scope
from scdataloader.labels.terms import with_terms
from scdataloader.preprocess import filters, quality
from scdataloader.preprocess.report import Report
from scdataloader.preprocess.sinks import Sink
from scdataloader.sources import Matrix, Source

if TYPE_CHECKING:
    from scdataloader.preprocess.pipeline import Preprocessor

#: Stored values worked on at a time; with all temporary arrays this takes about 1 GB.
_BLOCK_VALUES = 20_000_000
#: Labels of one column that are counted in a report; columns such as donor names may have many more.
_LABELS = 1000
#: Whole numbers above this are not all float32 numbers.
_EXACT_IN_FLOAT32 = 1 << 24


class RefusedError(ValueError):
    """Data that cannot be used: the message says why, `report` holds the steps up to then."""

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report

    def __reduce__(self) -> tuple[type[RefusedError], tuple[str, Report]]:
        return type(self), (str(self), self.report)  # else it could not come back from another process


def run_steps(settings: Preprocessor, source: Source, open_sink: Callable[[int], Sink]) -> Report:
    """Run all steps over a source.

    Parameters
    ----------
    settings
        Settings of the steps.
    source
        The cells.
    open_sink
        Called once, with the number of genes, when it is clear that there is something to write.

    Raises
    ------
    RefusedError
        When the data cannot be used.
    """
    report = Report(source.uri)
    try:
        _run(settings, source, open_sink, report)
    except RefusedError:
        raise
    except ValueError as error:
        raise RefusedError(str(error), report) from error
    return report


def _run(settings: Preprocessor, source: Source, open_sink: Callable[[int], Sink], report: Report) -> None:
    n_cells = len(source.obs)
    widest = max((matrix.shape[1] for matrix in source.matrices.values()), default=0)
    check_size(n_cells, widest, min_cells=settings.min_cells)
    if not settings.unique_names:
        check_cell_names(source.obs.index)
    for name in settings.labels:
        class_scope([source.obs], name)  # a wrong label column is told before the slow part
    taken = take_counts(source, settings.choice, undo_log=settings.undo_log)
    counts, n_genes = taken.counts, taken.counts.matrix.shape[1]
    organism = find_organism(taken.obs, all_names(counts.matrix.var), settings.organism)
    report.add("raw counts", (n_cells, n_genes), (len(taken.obs), n_genes), f"{taken}; {organism}")
    source = taken.of(source)
    genes = map_genes(settings, counts.matrix, organism, report)
    keep = filter_labels(settings, source.obs, len(genes.ids), report)
    table = gene_table(organism, release=settings.gene_release).loc[list(genes.ids)]
    sink = open_sink(len(genes.ids))
    metrics, keep = _stream(settings, counts, genes, table, keep, sink, report)
    obs = _label(tidy(source.obs[keep]), len(genes.ids), report)
    obs["organism_ontology_term_id"] = pd.Categorical([organism] * len(obs))
    metrics.index = obs.index
    obs = obs.drop(columns=[name for name in metrics if name in obs])
    obs = pd.concat([obs, metrics], axis=1)
    var = table[["symbol", "biotype"]].copy()
    var["biotype"] = var["biotype"].astype("category").cat.remove_unused_categories()
    if settings.all_genes:
        var["measured"] = var.index.isin([gene for gene in genes.mapping.ids if gene is not None])
    obsm = {name: read()[keep] for name, read in source.embeddings.items()} if settings.keep_embeddings else {}
    report.facts |= _facts(counts, organism, genes, obs) | {"taken": taken.facts}
    if quality.gene_kinds(table)["mt"].any():
        mt = obs["pct_counts_mt"]
        report.facts["median_mt_percent"] = float(mt.median())
        report.facts["cells_over_max_mt"] = int((mt > settings.max_mt).sum())
    sink.finish(obs, var, _uns(settings, source, taken), obsm)


def map_genes(settings: Preprocessor, matrix: Matrix, organism: str, report: Report) -> GeneColumns:
    """Return what the genes of a matrix are; ValueError where too few are known."""
    n_cells, n_names = matrix.shape
    genes = gene_columns(
        matrix.var,
        gene_table(organism, release=settings.gene_release),
        organism=organism,
        duplicates=settings.duplicates,
        all_genes=settings.all_genes,
    )
    detail = str(genes.mapping) + (f" (in var[{genes.column!r}])" if genes.column != "var_names" else "")
    if genes.n_merged:
        done = "summed" if settings.duplicates == "sum" else "of which the first counts"
        detail += f"; {genes.n_merged:,} names of one gene {done}"
    report.add("gene ids", (n_cells, n_names), (n_cells, len(genes.ids)), detail)
    n_known = len(set(genes.mapping.ids) - {None})
    if n_known < settings.min_dataset_genes:
        raise ValueError(
            f"{n_known:,} known genes are measured, {settings.min_dataset_genes:,} are needed: lower min_dataset_genes "
            "for a targeted panel"
        )
    return genes


def filter_labels(settings: Preprocessor, obs: pd.DataFrame, n_genes: int, report: Report) -> np.ndarray:
    """Return the cells that stay by their labels, before a count is read."""
    if settings.primary_only and (warning := filters.unclear_primary(obs)):
        report.warnings.append(warning)
    keep = np.ones(len(obs), dtype=bool)
    masks = [
        ("primary", settings.primary_only, filters.primary, "copies from another data set dropped"),
        ("spatial", settings.drop_spatial, lambda obs: ~filters.spatial(obs), "cells of spatial assays dropped"),
        (
            "assays",
            bool(settings.drop_assays),
            lambda obs: ~filters.of_assays(obs, settings.drop_assays),
            f"cells of {', '.join(settings.drop_assays)} and below dropped",
        ),
    ]
    for name, wanted, mask, detail in masks:
        if not wanted:
            continue
        stays = mask(obs)
        before = int(keep.sum())
        keep = keep & stays
        if not stays.all():
            report.add(name, (before, n_genes), (int(keep.sum()), n_genes), detail)
    _check_left(settings, keep, "by their labels")
    return keep


def _check_left(settings: Preprocessor, keep: np.ndarray, why: str) -> None:
    left, n_cells = int(keep.sum()), len(keep)
    if left < settings.min_cells:
        raise ValueError(f"{left:,} of {n_cells:,} cells are left {why}, {settings.min_cells} are needed (min_cells)")
    if n_cells - left > settings.max_lost * n_cells:
        lost = 1 - left / n_cells
        raise ValueError(
            f"{left:,} of {n_cells:,} cells are left {why}: {percent(lost, 2)} lost, more than "
            f"max_lost={percent(settings.max_lost)}"
        )


def _stream(
    settings: Preprocessor,
    counts: Counts,
    genes: GeneColumns,
    table: pd.DataFrame,
    keep: np.ndarray,
    sink: Sink,
    report: Report,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Send the cells that stay to the sink, a block at a time; return their metrics and which they are."""
    kinds = quality.gene_kinds(table)[list(quality.KINDS)].to_numpy()
    kept = keep.copy()
    parts: list[pd.DataFrame] = []
    n_expressed: list[np.ndarray] = []
    evidence = CountEvidence()
    for begin, end, block in counts.blocks(_BLOCK_VALUES):
        if not keep[begin:end].any():
            continue
        chosen = np.flatnonzero(keep[begin:end])
        raw = block if len(chosen) == end - begin else sparse.csr_matrix(block[chosen])
        if raw.nnz and raw.data.max() > _EXACT_IN_FLOAT32:
            raise ValueError(
                f"cells {begin:,} to {end:,} hold a count of {raw.data.max():,.0f}: whole numbers above "
                f"{_EXACT_IN_FLOAT32:,} cannot be kept exactly"
            )
        evidence.add(raw)
        clean = genes.apply(raw)
        metrics = quality.cell_metrics(clean, kinds)
        metrics.insert(0, "total_counts", np.asarray(raw.sum(axis=1, dtype=np.float64)).ravel())
        n_expressed.append(metrics["n_genes"].to_numpy())
        rich = n_expressed[-1] >= settings.min_genes
        kept[begin + chosen[~rich]] = False
        sink.add(clean if rich.all() else sparse.csr_matrix(clean[rich]))
        parts.append(metrics[rich])
    report.facts["doubts"] = [f"{counts.name}: {warning}" for warning in evidence.warnings()]
    report.warnings += report.facts["doubts"]
    n_genes = len(genes.ids)
    detail = f"at least {settings.min_genes} expressed genes asked"
    report.add("cells", (int(keep.sum()), n_genes), (int(kept.sum()), n_genes), detail)
    metrics = pd.concat(parts, ignore_index=True)
    if not metrics["total_counts"].any() and settings.min_genes == 0:
        raise ValueError("every count is zero")
    median = np.median(np.concatenate(n_expressed))
    why = (
        f"after filtering (median {median:.0f} expressed genes; min_genes={settings.min_genes}: lower it for targeted "
        "panels)"
    )
    _check_left(settings, kept, why)
    _flag(settings, metrics, n_genes, report)
    return metrics, kept


def _flag(settings: Preprocessor, metrics: pd.DataFrame, n_genes: int, report: Report) -> None:
    flags = quality.outliers(metrics, metrics["total_counts"].to_numpy(), mads=settings.mads, max_mt=settings.max_mt)
    for name in flags:
        metrics[name] = flags[name]
    shape = (len(metrics), n_genes)
    n_outliers, n_mt = int(flags["outlier"].sum()), int(flags["mt_outlier"].sum())
    detail = f"{counted(n_outliers, 'outlier')} and {n_mt:,} of high mitochondrial share flagged, kept"
    report.add("quality", shape, shape, detail)


def _label(obs: pd.DataFrame, n_genes: int, report: Report) -> pd.DataFrame:
    obs, added, warnings = with_terms(obs)
    report.warnings += warnings
    if added:
        report.add("labels", (len(obs), n_genes), (len(obs), n_genes), f"{', '.join(added)} added from names")
    return obs


def tidy(obs: pd.DataFrame) -> pd.DataFrame:
    """Return a copy of a table that can be written: text as categories, without unused ones."""
    out = obs.copy()
    for name in out:
        column = out[name]
        if column.dtype == object or isinstance(column.dtype, pd.StringDtype):
            text = column.where(column.isna(), column.astype(str))
            out[name] = pd.Categorical(text)
        elif isinstance(column.dtype, pd.CategoricalDtype):
            out[name] = column.cat.remove_unused_categories()
    return out


def _facts(counts: Counts, organism: str, genes: GeneColumns, obs: pd.DataFrame) -> dict[str, Any]:
    known = sum(gene is not None for gene in genes.mapping.ids)
    labels = {
        str(name): obs[name].value_counts().head(_LABELS).to_dict()
        for name in obs
        if isinstance(obs[name].dtype, pd.CategoricalDtype) and not str(name).endswith("_ontology_term_id")
    }
    return {
        "organism": organism,
        "counts": str(counts),
        "genes_measured": len(set(genes.mapping.ids) - {None}),
        "share_of_names_known": known / len(genes.mapping.ids),
        "median_genes": float(obs["n_genes"].median()),
        "median_counts": float(obs["total_counts"].median()),
        "outliers": int(obs["outlier"].sum()),
        "mt_outliers": int(obs["mt_outlier"].sum()),
        "labels": {name: values for name, values in labels.items() if values},
        "histograms": {
            "expressed genes": _histogram(obs["n_genes"]),
            "log10(1 + counts)": _histogram(np.log10(1 + obs["total_counts"])),
            "mitochondrial %": _histogram(obs["pct_counts_mt"]),
        },
    }


def _histogram(values: pd.Series) -> dict[str, list[float]]:
    counts, edges = np.histogram(values.to_numpy(np.float64), bins=30)
    return {"edges": [float(edge) for edge in edges], "counts": [int(n) for n in counts]}


def _uns(settings: Preprocessor, source: Source, taken: TakenCounts) -> Mapping[str, Any]:
    """Short texts of the source (title, citation, schema version), and how the data were made."""
    kept = {key: value for key, value in taken.told_in(source.uns).items() if isinstance(value, str)}
    made = {
        "preprocessed_by": f"scdataloader {version('scdataloader')}",
        "settings": json.dumps(asdict(settings)),
        "source": source.uri,
        "counts": str(taken.counts),
    }
    return kept | {"scdataloader": made}
