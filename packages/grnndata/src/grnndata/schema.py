"""The place of a network inside an AnnData, its description, and what makes it valid."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any
from urllib.parse import unquote

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

#: Key of the network in ``varp``.
GRN_KEY = "GRN"
#: Key of the network's description in ``uns``.
UNS_KEY = "grn"
#: The one orientation, written into every file.
ORIENTATION = "row = regulator (source), column = target"

#: Prefix of the keys in ``varp`` of named networks.
NAMED_PREFIX = "GRN."

#: A network: square, float32, entry (i, j) = weight of the edge i → j, 0 = no edge.
type Network = sp.csr_matrix | NDArray[np.float32]
#: Several networks over the same genes: float32, shape (genes, genes, planes).
type Stack = NDArray[np.float32]

# Characters that HDF5, or a file system under a zarr folder, would not take as part of a name.
_QUOTED = str.maketrans({c: f"%{ord(c):02X}" for c in '%/\\:*?"<>|'})

# 2**24 entries: 64 MB of float32, so that checks on a dense network never make a second one.
_BLOCK = 2**24


def check_network(network: Any, n_genes: int) -> Network | Stack:
    """Return a network in its stored form, or say what is wrong with it.

    Parameters
    ----------
    network
        Square array, or scipy sparse matrix of any format, shape (genes, genes); row = regulator. Or a stack
        of networks: an array of shape (genes, genes, planes). Never changed.
    n_genes
        Number of genes it must hold.

    Returns
    -------
    scipy.sparse.csr_matrix or numpy.ndarray
        float32. Sparse input gives CSR with sorted indices, duplicates summed and explicit zeros removed.
        Input which already has this form is returned without a copy.

    Raises
    ------
    TypeError
        When the values are not real numbers.
    ValueError
        When the network is not a square matrix of `n_genes` genes, or holds NaN or infinite weights.
    """
    stored = _as_csr(network) if sp.issparse(network) else _as_dense(network)
    if stored.shape[:2] != (n_genes, n_genes):
        square = stored.shape[0] == stored.shape[1]
        reason = f"the genes are {n_genes:,}" if square else "a network is square"
        raise ValueError(
            f"the network has shape {stored.shape}, but {reason}: pass one row and one column for every "
            "gene in var_names, in that order (from_edges takes a table for a part of the genes)"
        )
    values = stored.data if sp.issparse(stored) else stored
    n_bad = count_not_finite(values)
    if n_bad:
        raise ValueError(
            f"the network holds {n_bad:,} weights that are NaN, infinite or beyond float32: "
            f"{_name_bad(stored)}; replace them, for example with numpy.nan_to_num"
        )
    return stored


def compact(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description without the keys of objects with several networks, where those are empty."""
    return {key: value for key, value in info.items() if key not in _SEVERAL or value}


def own_description(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of one network, without what it says of others beside it."""
    return {key: value for key, value in info.items() if key not in _SEVERAL}


def check_symmetric(network: Any) -> None:
    """Raise ValueError when weights differ between i → j and j → i."""
    if not network.shape[0]:
        return
    if network.ndim == 3:
        for plane in range(network.shape[2]):
            check_symmetric(network[:, :, plane])
        return
    scale = max(float(network.max()), -float(network.min()))
    step = max(1, _BLOCK // max(1, network.shape[0]))
    transposed = network.T.tocsr() if is_sparse(network) else network.T
    for start in range(0, network.shape[0], step):
        rows = slice(start, start + step)
        gap = abs(network[rows] - transposed[rows]).max()
        # Correlations and products of matrices agree with their transpose up to rounding only.
        if gap > 1e-5 * scale:
            raise ValueError(
                f"directed=False, but weights differ by {gap:.3g} or more between i → j and j → i: pass "
                "directed=True, or symmetrise the network first, for example (W + W.T) / 2"
            )


def network_key(name: str) -> str:
    """Return the key in ``varp`` of a named network; characters that files do not take are percent-quoted.

    Raises
    ------
    ValueError
        When the name is not text, or empty.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"a network's name must be text, got {name!r}")
    return NAMED_PREFIX + name.translate(_QUOTED)


def network_name(key: str) -> str | None:
    """Return the name of the network that a key in ``varp`` holds; None when it is not a named network."""
    return unquote(key.removeprefix(NAMED_PREFIX)) if key.startswith(NAMED_PREFIX) and key != NAMED_PREFIX else None


def check_planes(planes: Any, n_planes: int) -> list[str]:
    """Return the names of a stack's planes, ``"0", "1", ...`` when None.

    Raises
    ------
    ValueError
        When their number is not that of the planes, or a name is empty or repeats.
    """
    names = [str(i) for i in range(n_planes)] if planes is None else [str(name) for name in planes]
    if len(names) != n_planes or len(set(names)) != n_planes or "" in names:
        raise ValueError(f"the stack has {n_planes} planes: planes must hold as many different names, got {names}")
    return names


def describe(
    *,
    method: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    directed: bool = True,
    normalisation: str | None = None,
) -> dict[str, Any]:
    """Build the description that ``uns["grn"]`` holds.

    Parameters
    ----------
    method
        Name of what made the network; ``"unknown"`` when None.
    parameters
        Its parameters. Numbers, strings, booleans, None, flat lists and nested dicts are kept; anything else
        is kept as its ``str``, because a file could not hold it.
    directed
        Whether i → j and j → i are different edges.
    normalisation
        Name of what was done to the weights; ``"none"`` when None.

    Returns
    -------
    dict
        Keys ``method, parameters, version, directed, normalisation, orientation, steps``, and for objects with
        several networks ``planes`` (names of a stack's planes), ``names`` and ``networks`` (the named ones:
        their order and their descriptions). `version` is this package's; `steps` lists what tools did to the
        network later on.

    Raises
    ------
    ValueError
        When a parameter's name contains ``/``, which HDF5 reads as a folder.
    """
    return {
        "method": "unknown" if method is None else str(method),
        "parameters": _plain(dict(parameters or {})),
        "version": version("grnndata"),
        "directed": bool(directed),
        "normalisation": "none" if normalisation is None else str(normalisation),
        "orientation": ORIENTATION,
        "steps": [],
    }


# Of objects with several networks only: most files need not show them.
_SEVERAL: dict[str, Any] = {"planes": [], "names": [], "networks": {}}


def check_description(found: Any) -> dict[str, Any]:
    """Return a description that came with a network as plain Python values, its missing keys filled in.

    Raises
    ------
    ValueError
        When it is not a dict, or says that rows are something else than regulators.
    """
    if found is None:
        return describe() | _SEVERAL
    if not isinstance(found, Mapping):
        raise ValueError(f"uns[{UNS_KEY!r}] must be a dict that describes the network, not {type(found).__name__}")
    info = describe() | _SEVERAL | _plain(dict(found))
    for key in ("planes", "names"):
        info[key] = [str(name) for name in info[key]]
    if info["orientation"] != ORIENTATION:
        raise ValueError(
            f"uns[{UNS_KEY!r}]['orientation'] is {info['orientation']!r}, but networks here are stored with "
            f"{ORIENTATION!r}: transpose the matrix and correct that string"
        )
    return info


def is_sparse(network: Any) -> bool:
    """Say whether a network is sparse, without telling a type checker that it is nothing else."""
    return bool(sp.issparse(network))


def nonzero_entries(network: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float32]]:
    """Return rows, columns and weights of the edges, each shape (edges,), in row-major order."""
    if is_sparse(network):
        # Slicing by a permutation leaves columns unsorted, and the order of entries decides ties.
        csr = sp.csr_array(network)
        coo = (csr if csr.has_sorted_indices else csr.sorted_indices()).tocoo(copy=False)
        if coo.data.all():
            return coo.row, coo.col, coo.data
        kept = coo.data != 0
        return coo.row[kept], coo.col[kept], coo.data[kept]
    dense = np.asarray(network)
    rows, columns = np.nonzero(dense)
    return rows, columns, dense[rows, columns]


def count_not_finite(values: NDArray[Any]) -> int:
    """Count NaN and infinite entries without a mask as large as the array."""
    # A sum is finite only if every term is, and float64 cannot overflow on float32 terms: one cheap pass when
    # all is well.
    if np.isfinite(values.sum(dtype=np.float64)):
        return 0
    flat = values.reshape(-1)
    return sum(int((~np.isfinite(flat[i : i + _BLOCK])).sum()) for i in range(0, flat.size, _BLOCK))


def _as_csr(network: Any) -> sp.csr_matrix:
    if network.ndim != 2:
        raise ValueError(
            f"a sparse network has two dimensions, this one {network.ndim}: pass the planes of a sparse stack by "
            "name, networks={'name': matrix, ...}"
        )
    _check_kind(network.dtype)
    with np.errstate(over="ignore"):  # a weight beyond float32 becomes infinite, and is reported as that
        stored = sp.csr_matrix(network, dtype=np.float32)
    if not (stored.has_canonical_format and stored.data.all()):
        stored = stored.copy()  # it may share memory with the caller's matrix
        stored.sum_duplicates()
        stored.eliminate_zeros()
    return stored


def _as_dense(network: Any) -> NDArray[np.float32]:
    if hasattr(network, "columns"):
        raise TypeError(
            "a data frame of weights carries its own gene names: pass from_matrix(frame.to_numpy(), frame.index)"
        )
    values = np.asarray(network)
    if values.ndim not in (2, 3):
        raise ValueError(
            f"the network has shape {values.shape}: one network has two dimensions, regulators × targets, "
            "and a stack of them three, regulators × targets × planes"
        )
    _check_kind(values.dtype)
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)


def _check_kind(dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "fiub":
        raise TypeError(f"the network has dtype {dtype}: weights must be real numbers")


def _name_bad(network: Network, n: int = 3) -> str:
    if sp.issparse(network):
        coo = network.tocoo()
        at = np.flatnonzero(~np.isfinite(coo.data))[:n]
        pairs = zip(coo.row[at], coo.col[at], strict=True)
    else:
        sums = network.reshape(len(network), -1).sum(axis=1, dtype=np.float64)
        bad_rows = np.flatnonzero(~np.isfinite(sums))[:n]
        first = [int(np.argwhere(~np.isfinite(network[row]))[0][0]) for row in bad_rows]
        pairs = zip(bad_rows, first, strict=True)
    return "first at (row, column) " + ", ".join(f"({i}, {j})" for i, j in pairs)


def _plain(value: Any) -> Any:
    """Turn a value into what an h5ad file gives back unchanged."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, Mapping):
        names = [str(name) for name in value]
        with_slash = [name for name in names if "/" in name]
        if with_slash:
            raise ValueError(f"parameter names may not contain '/': rename {with_slash}")
        return dict(zip(names, map(_plain, value.values()), strict=True))
    if isinstance(value, (list, tuple, np.ndarray)) and np.ndim(np.asarray(value, dtype=object)) <= 1:
        items = [_plain(item) for item in (value.tolist() if isinstance(value, np.ndarray) else value)]
        is_numeric = all(isinstance(item, (bool, int, float)) for item in items)
        return items if is_numeric else [str(item) for item in items]
    return str(value)
