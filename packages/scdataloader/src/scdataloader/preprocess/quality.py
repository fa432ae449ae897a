"""Quality of each cell: mitochondrial, ribosomal and haemoglobin counts, and outliers. Flags, removes nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

#: Genes of cytosolic ribosomal proteins; kinases (RPS6KA1) and binding proteins (RPS19BP1) are not among them.
_RIBOSOMAL = r"RP(?:SA|LP[0-2]|[SL]\d+(?:A|X|Y\d?|L\d?|AL)?)"
#: Human and mouse haemoglobin subunits; not HBEGF, HBP1 or HBS1L.
_HAEMOGLOBIN = r"HB(?:A\d|[ABDMZ]|E1|G\d|Q1[AB]?|A-(?:A\d|X)|B-(?:B\w+|Y))"
#: Kinds of genes whose share of a cell's counts is measured.
KINDS = ("mt", "ribo", "hb")


def gene_kinds(table: pd.DataFrame) -> pd.DataFrame:
    """Say which genes are mitochondrial (``mt``), ribosomal (``ribo``) and of haemoglobin (``hb``).

    Mitochondrial by chromosome, the others by the symbols of protein-coding genes in any case (*RPL3* and *Rpl3*).

    Parameters
    ----------
    table
        Columns ``symbol, biotype, chromosome``; see `scdataloader.gene_table`.

    Returns
    -------
    pandas.DataFrame
        bool, same index.
    """
    symbol = table["symbol"].astype(str).str.upper()
    coding = table["biotype"].astype(str) == "protein_coding"
    return pd.DataFrame(
        {
            "mt": table["chromosome"].astype(str).isin(["MT", "M", "chrM"]),
            "ribo": coding & symbol.str.fullmatch(_RIBOSOMAL),
            "hb": coding & symbol.str.fullmatch(_HAEMOGLOBIN),
        }
    )


def cell_metrics(counts: sparse.csr_matrix, kinds: np.ndarray) -> pd.DataFrame:
    """Return the quality metrics of each cell.

    Parameters
    ----------
    counts
        Raw counts, shape (n_cells, n_genes).
    kinds
        bool, shape (n_genes, 3), in the order of `KINDS`.

    Returns
    -------
    pandas.DataFrame
        One row a cell: ``n_genes`` (expressed), ``pct_counts_mt``, ``pct_counts_ribo``, ``pct_counts_hb`` and
        ``pct_counts_in_top_20_genes``, in per cent of the counts of these genes (0 for an empty cell); float32.
    """
    total = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    per_kind = np.asarray(counts.astype(np.float64) @ kinds.astype(np.float64))
    share = 100 / np.maximum(total, 1)
    out = {"n_genes": np.asarray(counts.count_nonzero(axis=1)).astype(np.int32)}
    out |= {f"pct_counts_{kind}": (per_kind[:, i] * share).astype(np.float32) for i, kind in enumerate(KINDS)}
    out["pct_counts_in_top_20_genes"] = (_top_sum(counts, 20) * share).astype(np.float32)
    return pd.DataFrame(out)


def _top_sum(counts: sparse.csr_matrix, n: int) -> np.ndarray:
    """Return the sum of the n largest counts of each cell."""
    out = np.empty(counts.shape[0])
    for row, (begin, end) in enumerate(zip(counts.indptr[:-1], counts.indptr[1:], strict=True)):
        values = counts.data[begin:end]
        out[row] = values.sum() if len(values) <= n else np.partition(values, len(values) - n)[-n:].sum()
    return out


def outliers(metrics: pd.DataFrame, total_counts: np.ndarray, *, mads: float, max_mt: float) -> pd.DataFrame:
    """Flag cells whose quality is far from the others'.

    Parameters
    ----------
    metrics
        See `cell_metrics`.
    total_counts
        Counts of each cell, shape (n_cells,).
    mads
        A cell is an ``outlier`` when log(1 + total counts), log(1 + expressed genes) or the share of its top 20 genes
        is more than this many median absolute deviations from the median.
    max_mt
        A cell is an ``mt_outlier`` when more than this per cent of its counts are mitochondrial, or when its share
        is more than `mads` deviations above the median.

    Returns
    -------
    pandas.DataFrame
        bool, columns ``outlier`` and ``mt_outlier``, one row a cell. A metric whose deviation is 0 flags nothing.

    References
    ----------
    Heumos et al. 2023, Best practices for single-cell analysis across modalities, Nat. Rev. Genet. 24:550.
    """
    logs = (np.log1p(total_counts), np.log1p(metrics["n_genes"].to_numpy()))
    far = [np.abs(_deviations(values)) > mads for values in (*logs, metrics["pct_counts_in_top_20_genes"].to_numpy())]
    mt = metrics["pct_counts_mt"].to_numpy()
    flags = {"outlier": np.any(far, axis=0), "mt_outlier": (_deviations(mt) > mads) | (mt > max_mt)}
    return pd.DataFrame(flags, index=metrics.index)


def _deviations(values: np.ndarray) -> np.ndarray:
    """Return the distance from the median in median absolute deviations; 0 where that deviation is 0."""
    values = np.asarray(values, dtype=np.float64)
    from_median = values - np.median(values)
    mad = np.median(np.abs(from_median))
    return from_median / mad if mad > 0 else np.zeros_like(values)
