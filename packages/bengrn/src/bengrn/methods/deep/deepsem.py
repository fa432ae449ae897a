"""DeepSEM: a variational autoencoder whose genes regulate each other by one matrix, which is the network."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bengrn.methods.deep import device_of, need
from bengrn.methods.method import Method

logger = logging.getLogger(__name__)

#: "all": every value counts in the loss. "expressed": values above 0 only, by which genes are also standardised.
type Entries = Literal["all", "expressed"]
#: Weights of sparsity and of the divergence that go with each, as published.
WEIGHTS: dict[str, tuple[float, float]] = {"all": (100.0, 1.0), "expressed": (1.0, 0.01)}
_CLIP = 10.0


def deepsem(
    values: NDArray[np.float64],
    regulators: NDArray[np.int64] | None,
    rng: np.random.Generator,
    *,
    entries: Entries = "all",
    sparsity: float | None = None,
    divergence: float | None = None,
    epochs: int = 120,
    hidden: int = 128,
    batch: int = 64,
    rate: float = 1e-4,
    rate_of_matrix: float = 2e-5,
    runs: int = 1,
    device: str = "auto",
) -> NDArray[np.float32]:
    """Train a variational autoencoder with a linear structural equation between genes; a weight is its coefficient.

    The expression of a cell is X = f(Z (I - Aᵀ)⁻¹), with one small network f for all genes; A[i, j], of which the
    absolute value is returned, is the effect of gene j on gene i.

    Parameters
    ----------
    values
        log(1 + counts per 10,000), (cells, genes); standardised here.
    regulators
        Places of the regulators, (regulators,); all genes when None. All genes explain each other in any case.
    rng
        Generator of the first weights, the order of cells and the noise.
    entries
        Values that the loss looks at: "all", with genes standardised over all cells; or "expressed" for the
        publication's cell-type-specific task, with genes standardised by the cells that express them and limited to
        ±10.
    sparsity
        Weight of the mean absolute coefficient; None for the published one, 100 for "all" and 1 for "expressed".
    divergence
        Weight of the divergence between posterior and prior; None for the published one, 1 and 0.01.
    epochs
        Number of passes over the cells; of three, one trains the networks and two the coefficients.
    hidden
        Width of the networks.
    batch
        Number of cells a step.
    rate
        Learning rate of the networks in the first epoch; it is multiplied by 0.95 after each.
    rate_of_matrix
        Learning rate of the coefficients, the same in all epochs. Each moves by about this much a step: few genes with
        strong effects need a larger one.
    runs
        Number of trainings, over which coefficients are averaged; the publication advises 10.
    device
        Device of PyTorch, such as "cpu" or "cuda"; "auto" takes a GPU where there is one.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    ValueError
        If a number is below its least value, a word is not known, or the device cannot be used.
    """
    (torch,) = need("torch")
    from bengrn.methods.deep.deepsem_model import trained
    from bengrn.methods.trees.order import own_order

    if entries not in WEIGHTS:
        raise ValueError(f"entries is 'all' or 'expressed', not {entries!r}")
    for name, number in {"epochs": epochs, "hidden": hidden, "batch": batch, "runs": runs}.items():
        if number < 1:
            raise ValueError(f"{name} is at least 1, got {number}")
    for name, value in {"rate": rate, "rate_of_matrix": rate_of_matrix}.items():
        if not value > 0:
            raise ValueError(f"{name} is above 0, got {value:g}")
    place = device_of(device)
    alpha = WEIGHTS[entries][0] if sparsity is None else sparsity
    beta = WEIGHTS[entries][1] if divergence is None else divergence
    # The result belongs to the cells and genes, and not to their places in a file.
    cells, genes, _ = own_order(values)
    X, counted = standardised(values[cells][:, genes], entries)
    n = X.shape[1]
    total = np.zeros((n, n), dtype=np.float64)
    for _ in range(runs):
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        data = torch.as_tensor(X, device=place), torch.as_tensor(counted, device=place)
        terms = {"reconstruction": 1.0, "divergence": beta, "sparsity": alpha}
        matrix = trained(data, generator, terms, (epochs, hidden, batch), (rate, rate_of_matrix))
        total += matrix.abs().double().cpu().numpy()
    network = np.empty((n, n), dtype=np.float32)
    network[np.ix_(genes, genes)] = total.T / runs
    return network if regulators is None else network[regulators]


def standardised(values: NDArray[np.float64], entries: Entries) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return expression of which each gene has mean 0 and variance 1, and the entries that count.

    Parameters
    ----------
    values
        Expression, (cells, genes).
    entries
        "all": mean and variance of a gene over all cells. "expressed": over the cells in which it is above 0, applied
        to all, and limited to ±10.

    Returns
    -------
    X, counted : numpy.ndarray
        float32, (cells, genes); `counted` is 1 where the loss looks. A gene without variance is 0 everywhere.
    """
    seen = np.ones(values.shape, dtype=bool) if entries == "all" else values > 0
    number = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, values, 0.0).sum(axis=0) / number
    spread = np.sqrt((np.where(seen, values - mean, 0.0) ** 2).sum(axis=0) / number)
    flat = spread <= 1e-12 * np.maximum(np.abs(mean), 1.0)
    if flat.any():
        logger.warning(
            "%s of %s genes have the same value in all cells: nothing is learnt of them", flat.sum(), len(flat)
        )
    X = np.where(flat, 0.0, (values - mean) / np.where(flat, 1.0, spread))
    if entries == "expressed":
        X = X.clip(-_CLIP, _CLIP)
    return X.astype(np.float32), seen.astype(np.float32)


DEEPSEM = Method(
    name="deepsem",
    function=deepsem,
    reference="Shu et al., Nat. Comput. Sci. 1:491-501 (2021), doi 10.1038/s43588-021-00099-8",
    takes="log",
    directed=True,
    deterministic=False,
    needs="bengrn[deep]",
    imports=("torch",),
    growth=3.0,
)
