"""Files of a benchmark's folder: what is done is found again by its content, and written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from bengrn._provenance import content
from bengrn.network import is_sparse
from grnndata import atomic_path

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from bengrn.truths.ground_truth import GroundTruth

#: Digits of a checksum in names of folders and files.
DIGITS = 24
#: Seconds after which nobody writes a temporary file any more.
_OLD = 3600


@dataclass(frozen=True)
class WorkFiles:
    """Places within the folder of a benchmark's results."""

    results: Path

    @property
    def work(self) -> Path:
        """Folder of everything from which the table can be made again."""
        return self.results / "work"

    def network(self, key: str) -> Path:
        """Return the folder of one network: how it was inferred, its weights, its scores."""
        return self.work / key

    def inference(self, key: str) -> Path:
        """Record of how a network was inferred."""
        return self.network(key) / "inference.json"

    def scores(self, key: str, score: str) -> Path:
        """Return the rows of one network against one truth."""
        return self.network(key) / f"{score}.json"

    def cells(self, name: str) -> Path:
        """Return cells of one group, with the genes and regulators that were chosen."""
        return self.work / "cells" / f"{name}.h5ad"

    def plan(self, name: str) -> Path:
        """List of the groups of one data set."""
        return self.work / "plans" / f"{name}.json"

    def truth(self, sha256: str) -> Path:
        """Return the edges of a truth, as they are scored."""
        return self.work / "truths" / f"{sha256[:DIGITS]}.parquet"

    def details(self, name: str) -> Path:
        """Return the file of details."""
        return self.results / "details" / name


def remove_leftovers(results: Path) -> None:
    """Remove temporary files that a killed run has left, of an hour ago and older."""
    for path in results.rglob(".*"):
        try:
            if path.is_file() and time.time() - path.stat().st_mtime > _OLD:
                path.unlink()
        except FileNotFoundError:  # another run was faster
            continue


def digest(what: Any) -> str:
    """Return the sha256 of something that JSON holds."""
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()


def write_json(path: Path, values: Any) -> None:
    """Write JSON, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1, default=_plain) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read JSON; None where the file does not exist or cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table, whole or not at all."""
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False)


def write_weights(folder: Path, weights: Any) -> str:
    """Write the weights of a network, (genes, genes), and return their checksum."""
    if is_sparse(weights):
        table: Any = sp.csr_matrix(weights.astype(np.float32))
        table.sum_duplicates()
        with atomic_path(folder / "weights.npz") as temporary, temporary.open("wb") as file:
            sp.save_npz(file, table, compressed=False)
        return _checksum(table.indptr.astype("<i8"), table.indices.astype("<i8"), table.data)
    dense = np.ascontiguousarray(weights, dtype=np.float32)
    with atomic_path(folder / "weights.npy") as temporary, temporary.open("wb") as file:
        np.save(file, dense)
    return _checksum(dense)


def read_weights(folder: Path) -> Any:
    """Read the weights of a network; None where there are none."""
    path = weights_file(folder)
    if path is None:
        return None
    if path.suffix == ".npy":
        return np.load(path, mmap_mode="r")
    table: Any = sp.load_npz(path)
    return sp.csr_matrix(table)


def weights_file(folder: Path) -> Path | None:
    """Return the file of a network's weights, dense or sparse; None where there is none."""
    return next((folder / name for name in ("weights.npy", "weights.npz") if (folder / name).is_file()), None)


def sha256_of_cells(cells: AnnData) -> str:
    """Return a checksum of the counts, the cells' and genes' names, and what else methods and scores see of genes."""
    of_counts = content(cells)["sha256_of_counts"]
    return digest(
        [of_counts, {name: cells.var[name].astype(str).tolist() for name in ("symbol", REGULATOR) if name in cells.var}]
    )


#: Column of var that says which genes may have outgoing edges; all may where there is none.
REGULATOR = "may_regulate"


def sha256_of_truth(truth: GroundTruth) -> str:
    """Return a checksum of what is scored: edges, genes, directions."""
    columns = [one for one in ("source", "target", "source_id", "target_id", "sign") if one in truth.edges]
    found = hashlib.sha256()
    for column in columns:
        values = truth.edges[column].astype(str).to_numpy(dtype=object)  # Arrow's strings take long one by one
        found.update("".join(f"{value}\n" for value in values).encode() + b"\0")
    return digest([found.hexdigest(), columns, _sorted(truth.genes), _sorted(truth.gene_ids), truth.directed])


def write_truth(path: Path, truth: GroundTruth) -> None:
    """Write a truth as it is scored: its edges, and beside them what else is known of it."""
    told = {
        key: getattr(truth, key) for key in ("name", "organism", "directed", "citation", "licence", "version", "part")
    }
    genes = {"genes": _sorted(truth.genes), "gene_ids": _sorted(truth.gene_ids)}
    columns = [one for one in ("source", "target", "source_id", "target_id", "sign") if one in truth.edges]
    write_parquet(path, truth.edges[columns])
    write_json(path.with_suffix(".json"), told | genes)


def read_truth(path: Path) -> GroundTruth:
    """Read a truth that :func:`write_truth` wrote."""
    import pandas as pd

    from bengrn.truths.ground_truth import GroundTruth

    told: Mapping[str, Any] = read_json(path.with_suffix(".json"))
    return GroundTruth.from_edges(pd.read_parquet(path), **told)


@lru_cache(maxsize=1)  # every scoring of a network asks for them; the file is named by its content
def read_genes(cells: Path) -> AnnData:
    """Read the genes of prepared cells, as an AnnData without cells; it is shared, and not to be changed."""
    import h5py
    from anndata import AnnData
    from anndata.io import read_elem

    with h5py.File(cells) as file:
        var: Any = read_elem(file["var"])
    return AnnData(var=var)


def _sorted(names: Iterable[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)


def _checksum(*arrays: Any) -> str:
    found = hashlib.sha256()
    for one in arrays:
        found.update(np.ascontiguousarray(one).tobytes())
    return found.hexdigest()


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)
