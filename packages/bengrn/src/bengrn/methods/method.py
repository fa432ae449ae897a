"""A method that infers networks: a function on arrays, and a record that says what it is."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from bengrn.methods.expression import Takes, expression
from bengrn.methods.settings import check_settings

if TYPE_CHECKING:
    from anndata import AnnData

    from grnndata import GRNAnnData

logger = logging.getLogger(__name__)

#: Settings that tell where and how fast a network is made, and change nothing of it.
ELSEWHERE = ("threads", "work", "scheduler")
#: Rows of weights that are checked at a time.
_ROWS = 1024


class Infer(Protocol):
    """A function that infers the weights of a network from expression."""

    def __call__(
        self,
        values: NDArray[np.float64],
        regulators: NDArray[np.int64] | None,
        rng: np.random.Generator,
        /,
        **settings: Any,
    ) -> Any:
        """Return weights, row = regulator.

        Parameters
        ----------
        values
            Expression as the record's `takes` says, (cells, genes).
        regulators
            Places of the genes that may have outgoing edges, rising, (regulators,); all genes when None.
        rng
            Generator for everything random.
        **settings
            Settings of the method.

        Returns
        -------
        array or sparse matrix
            (genes, genes), or (regulators, genes) where there are `regulators`.
        """


@dataclass(kw_only=True)
class Method:
    """A way to infer a network from cells, as a :class:`grnndata.GRNMethod`.

    Attributes
    ----------
    name
        Name by which the method is called, the same in entry point, tables and files.
    function
        Function on arrays, see :class:`Infer`. Parameters that only have a name are the method's settings. Its
        docstring says in the first line what the method does, and what each setting is.
    reference
        Publication, with its DOI; "" where there is none.
    licence
        Licence of the code that runs.
    takes
        Form of the expression that the function gets: "counts" (raw; anything else is refused), "log" (counts are
        brought to log(1 + counts per 10,000), other values are taken as they are), "any" (values as they are), "genes"
        (none: X may be missing).
    directed
        False where the weights of all genes are symmetric.
    deterministic
        False where the seed matters.
    needs
        Extra or device that the method needs, such as "bengrn[trees]"; "" for none.
    imports
        Modules that the function imports when it runs, such as "torch": a benchmark imports them before it measures
        time, on Linux once for all networks.
    growth
        Power of the number of genes with which the time grows, for estimates.
    settings
        Settings that differ from their defaults.
    """

    name: str
    function: Callable[..., Any]
    reference: str
    takes: Takes
    directed: bool
    deterministic: bool
    licence: str = "BSD-3-Clause"
    needs: str = ""
    imports: tuple[str, ...] = ()
    growth: float = 2.0
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """First line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def defaults(self) -> dict[str, Any]:
        """Settings of the method and their defaults."""
        parameters = inspect.signature(self.function).parameters.values()
        return {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}

    def with_settings(self, **settings: Any) -> Method:
        """Return the method with other settings.

        Raises
        ------
        TypeError
            If the method has no such setting.
        """
        check_settings(self.name, settings, list(self.defaults))
        return replace(self, settings=dict(self.settings) | settings)

    def infer(
        self,
        adata: AnnData,
        *,
        regulators: Sequence[str] | None = None,
        rng: np.random.Generator | int | None = None,
    ) -> GRNAnnData:
        """Infer a network over the genes of `adata`; see :class:`grnndata.GRNMethod`.

        Parameters
        ----------
        adata
            Cells × genes, with expression in X as `takes` says; not changed.
        regulators
            Names of the genes that may have outgoing edges, ids or symbols; all genes when None.
        rng
            Generator or seed for everything random; the same seed gives the same network.

        Returns
        -------
        GRNAnnData
            Network with row = regulator: dense over all genes, or CSR in which only regulators have edges.

        Raises
        ------
        ValueError
            If X is lacking, its values are not such as the method takes, or a regulator is not among the genes.
        """
        from grnndata import GRNAnnData

        places = places_of_regulators(adata, regulators)
        if self.takes == "genes":
            transform = "none"
        elif adata.X is None:
            raise ValueError(f"this AnnData has no X: {self.name} needs expression there")
        else:
            values, transform = expression(adata.X, self.takes)
        if self.takes == "log" and transform.startswith("values as given"):
            logger.warning("%s takes the %s", self.name, transform)
        settings = self.defaults | dict(self.settings)
        if self.takes == "genes":
            weights = self._by_name(adata.var_names, places, np.random.default_rng(rng), settings)
        else:
            weights = self.function(values, places, np.random.default_rng(rng), **settings)
        grn = checked_weights(weights, adata.n_vars, places, self.name)
        return GRNAnnData(
            adata,
            grn=grn,
            method=self.name,
            parameters={"transform": transform}
            | {key: value for key, value in settings.items() if value is not None and key not in ELSEWHERE},
            directed=self.directed or places is not None,
        )

    def _by_name(
        self, names: Any, places: NDArray[np.int64] | None, rng: np.random.Generator, settings: Mapping[str, Any]
    ) -> Any:
        """Return the weights of a method that knows nothing of genes but their names: those decide, not their order."""
        n_genes = len(names)
        order = np.argsort(np.asarray(names, dtype=str), kind="stable")
        rank = np.empty(n_genes, dtype=np.int64)
        rank[order] = np.arange(n_genes)
        rising = None if places is None else np.sort(rank[places])
        weights = self.function(np.empty((0, n_genes)), rising, rng, **settings)
        rows = rank if rising is None or len(weights) == n_genes else np.searchsorted(rising, rank[places])
        return weights[np.ix_(rows, rank)]


def places_of_regulators(adata: AnnData, regulators: Sequence[str] | None) -> NDArray[np.int64] | None:
    """Return the rising places of regulators among the genes, None for all genes.

    Raises
    ------
    ValueError
        If a regulator is not among the genes, or there is none.
    """
    from bengrn.network import find_in

    if regulators is None:
        return None
    asked = find_in(adata, regulators, "regulators")
    if asked.missing:
        raise ValueError(
            f"{len(asked.missing):,} of {len(asked):,} regulators are not in var_names (first: "
            f"{asked.missing[0]!r}): pass names from var_names{asked.hint()}"
        )
    if not len(asked):
        raise ValueError("regulators names no gene: name at least one, or pass None for all genes")
    return np.unique(asked.places)


def checked_weights(weights: Any, n_genes: int, regulators: NDArray[np.int64] | None, method: str) -> Any:
    """Return weights as a network over all genes, after checks that hold for the result of any method.

    Parameters
    ----------
    weights
        Array or sparse matrix, (genes, genes) or (regulators, genes).
    n_genes
        Number of genes.
    regulators
        Places of the regulators, rising; None for all genes.
    method
        Name of the method, for messages.

    Returns
    -------
    numpy.ndarray or scipy.sparse.csr_matrix
        (genes, genes) float32 without self edges: dense for all genes, else CSR with empty rows for the other genes.

    Raises
    ------
    ValueError
        If the shape is another, or a weight is NaN or infinite.
    """
    is_sparse: bool = sp.issparse(weights)
    found: Any = weights if is_sparse else np.asarray(weights)
    rows = n_genes if regulators is None else len(regulators)
    if found.shape == (n_genes, n_genes) and regulators is not None:
        found = (found.tocsr() if is_sparse else found)[regulators]
    elif found.shape != (rows, n_genes):
        turned = ": it looks transposed" if found.shape == (n_genes, rows) else ""
        raise ValueError(f"{method} returned weights of shape {found.shape}, and not ({rows}, {n_genes}){turned}")
    values = found.data if is_sparse else found
    n_bad = sum(int(np.count_nonzero(~np.isfinite(part))) for part in _parts(values))
    if n_bad:
        raise ValueError(f"{method} returned {n_bad:,} weights that are NaN or infinite")
    if regulators is None and not is_sparse:
        dense = np.asarray(found, dtype=np.float32)
        if dense.diagonal().any():
            dense = dense.copy() if dense is found else dense  # it may be the method's own
            np.fill_diagonal(dense, 0.0)
        return dense
    table = sp.coo_array(found)
    at = np.arange(n_genes) if regulators is None else regulators
    source, target = at[table.coords[0]], table.coords[1]
    other = (source != target) & (table.data != 0)
    data = table.data[other].astype(np.float32)
    return sp.csr_matrix((data, (source[other], target[other])), shape=(n_genes, n_genes))


def _parts(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield some rows at a time, so that checks take no memory of the whole's size."""
    yield from (values[start : start + _ROWS] for start in range(0, len(values), _ROWS))
