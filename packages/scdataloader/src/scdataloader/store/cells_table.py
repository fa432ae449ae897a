"""The table of a shard's cells, one row a cell, as an Arrow file: labels as codes with a dictionary, ready to map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from scdataloader.labels.space import SUFFIX

#: Columns of the table that are not from obs.
BEGIN, INDEX, TOTAL, N_GENES = "_begin", "_index", "total_counts", "n_genes"


def to_arrow(obs: pd.DataFrame, begin: np.ndarray, n_genes: np.ndarray, total: np.ndarray) -> pa.Table:
    """Return the table.

    Parameters
    ----------
    obs
        One row a cell. Categories and labels (``*_ontology_term_id``) become dictionary columns, as does text that
        repeats; other columns keep their type.
    begin
        Unit at which each cell's record begins, shape (n_cells,).
    n_genes, total
        Expressed genes and total count of each cell.

    Raises
    ------
    ValueError
        When obs has a column of a reserved name.
    """
    return arrow_obs(
        obs,
        {
            BEGIN: pa.array(begin.astype(np.uint32)),
            TOTAL: pa.array(total.astype(np.float32)),
            N_GENES: pa.array(n_genes.astype(np.int32)),
        },
    )


def arrow_obs(obs: pd.DataFrame, own: Mapping[str, pa.Array] | None = None) -> pa.Table:
    """Return the table of a data set's cells, as `to_arrow`, with the given columns of the store's own."""
    reserved = {BEGIN, INDEX} & set(obs.columns)
    if reserved:
        raise ValueError(f"obs has columns named {sorted(reserved)}, which the store needs: rename them")
    arrays = dict(own or {}) | {INDEX: pa.array([str(name) for name in obs.index.tolist()], type=pa.string())}
    for name in obs.columns:
        if str(name) not in arrays:
            arrays[str(name)] = _column(str(name), obs[name])
    return pa.table(arrays)


def _column(name: str, values: pd.Series) -> pa.Array:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return _dictionary(values)
    if pd.api.types.is_numeric_dtype(values) and not name.endswith(SUFFIX):
        return pa.array(values.to_numpy(), from_pandas=True)
    text = values.astype(object).where(values.notna(), None)
    text = text.map(lambda value: None if value is None else str(value))
    if name.endswith(SUFFIX) or text.nunique() <= len(text) // 2:
        return _dictionary(text.astype("category"))
    return pa.array(text.tolist(), type=pa.string())


def _dictionary(values: pd.Series) -> pa.Array:
    kept = values.cat.remove_unused_categories()
    codes = kept.cat.codes.to_numpy()  # int8, int16 or int32, as few bytes as the labels need
    categories = pa.array(kept.cat.categories.tolist())
    indices = pa.array(codes, mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, categories, ordered=bool(kept.cat.ordered))


def to_pandas(tables: Sequence[pa.Table], columns: Sequence[str] | None = None, *, named: bool = True) -> pd.DataFrame:
    """Return the rows of several shards' tables as one data frame with the cells' names as index.

    Parameters
    ----------
    columns
        Only these; by default all that any shard has. What a shard lacks is missing in its rows.
    named
        Whether the index holds the cells' names; else it counts them.

    Raises
    ------
    KeyError
        When no shard has one of the columns.
    """
    present = list(dict.fromkeys(name for table in tables for name in table.column_names))
    wanted = [name for name in present if name not in (BEGIN, INDEX)] if columns is None else list(columns)
    absent = [name for name in wanted if name not in present]
    if absent:
        raise KeyError(f"no shard has the columns {absent}; there are {present}")
    parts = []
    for table in tables:
        here = [name for name in wanted if name in table.column_names]
        part = table.select([INDEX, *here] if named else here).to_pandas()
        if not named:
            part.index = pd.RangeIndex(table.num_rows)
        parts.append((part.set_index(INDEX) if named else part).reindex(columns=wanted))
    out = pd.DataFrame(
        {name: _joined([part[name] for part in parts if len(part)]) for name in wanted},
        index=pd.Index([name for part in parts for name in part.index.tolist()], dtype=object)
        if named
        else pd.RangeIndex(sum(map(len, parts))),
    )
    return out.rename_axis(None)


def _joined(columns: list[pd.Series]) -> pd.api.extensions.ExtensionArray:
    if not columns:
        return pd.array([], dtype=object)
    if not any(isinstance(column.dtype, pd.CategoricalDtype) for column in columns):
        return pd.concat(columns, ignore_index=True).array  # without the index, which would be aligned
    named = [column.astype("category") for column in columns]
    categories = sorted({str(value) for column in named for value in column.cat.categories.tolist()})
    place = {category: code for code, category in enumerate(categories)}
    codes = []
    for column in named:
        lookup = np.array([*(place[str(value)] for value in column.cat.categories.tolist()), -1], dtype=np.int32)
        codes.append(lookup[column.cat.codes.to_numpy()])
    return pd.Categorical.from_codes(np.concatenate(codes), categories=pd.Index(categories))


def write_table(table: pa.Table, path: str) -> None:
    """Write an uncompressed Arrow file of one record batch: columns are read in place from the mapped file."""
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
