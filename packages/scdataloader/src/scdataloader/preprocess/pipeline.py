"""The preprocessing of one data set: its settings, and the two ways to run it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import anndata
from anndata.io import write_elem

from scdataloader._atomic import atomic_path
from scdataloader._provenance import in_uns, step, steps_of
from scdataloader.expression.counts_choice import CountsChoice, place_of_counts
from scdataloader.hdf5_writing import hdf5_for_writing
from scdataloader.preprocess.doublets import Doublets
from scdataloader.preprocess.embedding import Embedding
from scdataloader.preprocess.report import Report
from scdataloader.preprocess.sinks import H5adSink, MemorySink, Sink
from scdataloader.preprocess.steps import run_steps
from scdataloader.sources import Source, open_source


@dataclass(frozen=True, kw_only=True)
class Preprocessor:
    """Check and clean a data set: raw counts in, clean counts and a report out. The input is never changed.

    The defaults are those of the paper, for training data; see `preset` for others.

    Parameters
    ----------
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
    gene_release
        Release of the organism's gene table; see `scdataloader.gene_table`.
    undo_log
        Whether to undo log1p and scaling per cell, where no matrix has raw counts and that gives whole numbers
        throughout.
    primary_only
        Whether to drop cells that CELLxGENE marks as copies from another data set.
    drop_spatial
        Whether to drop cells of spatial assays.
    drop_assays
        EFO terms of further assays to drop, each with all below it.
    labels
        Label classes that the data must have, such as ``"cell_type"``. Whatever classes they have, labels that are not
        ontology terms are looked up by name, and a column ``<class>_ontology_term_id`` is added.
    duplicates
        Treatment of several columns of one gene: ``"sum"`` them, or keep the ``"first"``.
    all_genes
        Whether to give every gene of the organism a column, those that were not measured without counts.
    min_genes
        Number of genes that a cell must express; cells with fewer are dropped.
    min_cells
        Number of cells that a data set must have, before and after filtering; smaller ones are refused.
    min_dataset_genes
        Number of known genes that a data set must measure, or it is refused; lower it for targeted panels.
    max_lost
        Largest share of its cells that a data set may lose; beyond, it is refused.
    mads, max_mt
        Bounds beyond which a cell is flagged as an outlier, in median absolute deviations, and by its mitochondrial
        counts in per cent; see `scdataloader.preprocess.quality.outliers`. Flagged cells stay.
    n_variable, n_components, umap, leiden
        Highly variable genes, principal components, a UMAP and Leiden clusters (at this resolution) to compute with
        scanpy (extra ``[scanpy]``); see `scdataloader.preprocess.embedding.Embedding`.
    doublets, doublets_by
        Whether to flag doublets with scanpy's Scrublet (extra ``[scanpy]``), and the column of ``obs`` that names the
        sample of each cell, if there are several; see `scdataloader.preprocess.doublets.Doublets`. Flagged cells stay.
    keep_embeddings
        Whether to keep the input's ``obsm``.
    compression
        Compression of written files.
    seed
        Seed for the embeddings and the doublets.

    Raises
    ------
    ValueError
        When a setting makes no sense.

    Examples
    --------
    >>> from scdataloader import Preprocessor, datasets
    >>> clean, report = Preprocessor(min_genes=1000)(datasets.retina_1k())
    >>> clean.shape[0] < 1000
    True

    References
    ----------
    Kalfon et al. 2025, Methods, "scDataloader": primary cells, no spatial assays, 200 genes a cell, 100 cells, 10,000
    genes, 95 % lost.
    """

    layer: str | None = None
    counts: str | None = "auto"
    round: bool = False
    drop_bad_cells: bool = False
    unique_names: bool = False
    organism: str | None = None
    genome: str | None = None
    gene_release: int | str | None = None
    undo_log: bool = True
    primary_only: bool = True
    drop_spatial: bool = True
    drop_assays: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    duplicates: Literal["sum", "first"] = "sum"
    all_genes: bool = False
    min_genes: int = 200
    min_cells: int = 100
    min_dataset_genes: int = 10_000
    max_lost: float = 0.95
    mads: float = 5.0
    max_mt: float = 8.0
    n_variable: int | None = None
    n_components: int | None = None
    umap: bool = False
    leiden: float | None = None
    doublets: bool = False
    doublets_by: str | None = None
    keep_embeddings: bool = False
    compression: Literal["gzip", "lzf"] | None = "gzip"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("min_genes", "min_cells", "min_dataset_genes", "mads", "max_mt"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} must not be negative")
        if not 0 <= self.max_lost <= 1:
            raise ValueError(f"max_lost={self.max_lost} must lie between 0 and 1")
        if self.duplicates not in ("sum", "first"):
            raise ValueError(f"duplicates={self.duplicates!r} must be 'sum' or 'first'")
        if self.doublets_by is not None and not self.doublets:
            raise ValueError(f"doublets_by={self.doublets_by!r} says where doublets are looked for: pass doublets=True")
        _ = self.embedding, self.choice  # they check their own settings

    @property
    def choice(self) -> CountsChoice:
        """The counts that are taken, and of which cells and genes."""
        return CountsChoice(
            counts=place_of_counts(self.layer, self.counts, usual="auto") or "auto",
            round=self.round,
            drop_bad_cells=self.drop_bad_cells,
            unique_names=self.unique_names,
            organism=self.organism,
            genome=self.genome,
        )

    @property
    def embedding(self) -> Embedding | None:
        """Settings of what scanpy computes, None if nothing."""
        if self.n_variable is None and self.n_components is None and not self.umap and self.leiden is None:
            return None
        return Embedding(
            n_variable=self.n_variable,
            n_components=self.n_components,
            umap=self.umap,
            leiden=self.leiden,
            seed=self.seed,
        )

    @classmethod
    def preset(cls, name: Literal["paper", "published", "inference"] = "paper", **changes: Any) -> Self:
        """Return a named set of settings, some of them changed.

        Parameters
        ----------
        name
            ``"paper"``: the numbers of the paper's Methods, the defaults. ``"published"``: what the published package
            does (scdataloader 2.1.3): copies from other data sets are kept, as are spatial assays; of several columns
            of a gene the first counts; all genes of the organism get a column; data sets are refused when they
            lose more than 98 % of their cells. ``"inference"``: cells to be embedded rather than trained on: nothing is
            dropped or refused for being small.
        **changes
            Settings to change.
        """
        presets: dict[str, dict[str, Any]] = {
            "paper": {},
            "published": {
                "primary_only": False,
                "drop_spatial": False,
                "duplicates": "first",
                "all_genes": True,
                "max_lost": 0.98,
                "undo_log": False,
            },
            "inference": {
                "primary_only": False,
                "drop_spatial": False,
                "min_genes": 0,
                "min_cells": 1,
                "min_dataset_genes": 0,
                "max_lost": 1.0,
            },
        }
        if name not in presets:
            raise ValueError(f"preset={name!r} is not one of {list(presets)}")
        return cls(**(presets[name] | changes))

    def __call__(self, data: anndata.AnnData | Source | Path | str) -> tuple[anndata.AnnData, Report]:
        """Run all steps, the result in memory.

        Parameters
        ----------
        data
            An AnnData, a path or an address; see `scdataloader.sources.open_source`.

        Returns
        -------
        tuple
            A new AnnData: ``X`` CSR float32 raw counts over Ensembl ids, sorted; ``var["symbol"]``, ``["biotype"]``;
            ``obs`` as given plus ``total_counts`` (over all the genes given, before mapping), ``n_genes`` and the
            quality columns of `scdataloader.preprocess.quality`; and the `Report`.

        Raises
        ------
        FileNotFoundError, ValueError
            For input that cannot be used; the message says why and what to do.
        """
        sink = MemorySink()
        with open_source(data, genome=self.genome) as source:
            report = run_steps(self, self._recorded(source, data), lambda _: sink)
        self._add_more(sink.adata, report)
        return sink.adata, report

    @property
    def _adds_more(self) -> bool:
        """Whether something is computed that needs all clean cells at a time."""
        return self.doublets or self.embedding is not None

    def _add_more(self, adata: anndata.AnnData, report: Report) -> None:
        if self.doublets:
            found = Doublets(sample=self.doublets_by, seed=self.seed).add_to(adata)
            report.add("doublets", adata.shape, adata.shape, found)
            report.facts["doublets"] = int(adata.obs["predicted_doublet"].sum())
        if self.embedding is not None:
            self.embedding.add_to(adata)

    def _recorded(self, source: Source, data: object) -> Source:
        """Return the source with what makes the result among its texts, which the result keeps."""
        given = {"address": source.uri} if isinstance(data, Source) else data
        made = step(Preprocessor, asdict(self), inputs=[given])
        return replace(source, uns={**source.uns, **in_uns([*steps_of(source.uns), made])})

    def write(self, data: anndata.AnnData | Source | Path | str, out: Path | str) -> Report:
        """Run all steps, the result straight into an h5ad file: memory does not grow with the number of cells.

        With embeddings or doublets asked for, the clean cells are read into memory once.

        Parameters
        ----------
        data
            Data as for calling the object.
        out
            File to write; whole or not at all.

        Raises
        ------
        FileNotFoundError, ValueError
            As for calling it; and ValueError when `out` is the input.
        OSError
            When it cannot be written.
        """
        if isinstance(data, Path | str) and Path(out).exists() and Path(data).exists() and Path(out).samefile(data):
            raise ValueError(f"{out} is the input file: choose another, input is never overwritten")
        with atomic_path(out) as temporary, open_source(data, genome=self.genome) as source:
            sinks: list[H5adSink] = []

            def sink(n_genes: int) -> Sink:
                sinks.append(H5adSink(temporary, n_genes, compression=self.compression))
                return sinks[0]

            try:
                report = run_steps(self, self._recorded(source, data), sink)
            finally:
                for opened in sinks:
                    opened.close()
            if self._adds_more:
                adata = anndata.read_h5ad(temporary)
                self._add_more(adata, report)
                with hdf5_for_writing(temporary) as file:
                    write_elem(file, "/", adata, dataset_kwargs={"compression": self.compression})
        return report
