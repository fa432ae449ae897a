"""The model of DeepSEM, its loss and its training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding, linear

_DECAY = 0.95
#: Of three epochs the first trains the small networks, the others the matrix.
_PERIOD = 3


def rates(epoch: int, rate: float, rate_of_matrix: float) -> tuple[float, float]:
    """Return the learning rates of the networks and of the coefficients in an epoch, of which one is 0.

    The rate of the networks is multiplied by 0.95 after each epoch, also after those that train the coefficients.

    Parameters
    ----------
    epoch
        Number of the epoch, from 0.
    rate, rate_of_matrix
        Rates in the first epoch.
    """
    return (0.0, rate_of_matrix) if epoch % _PERIOD else (rate * _DECAY**epoch, 0.0)


def first_weights(n: int, hidden: int, generator: Any) -> dict[str, Tensor]:
    """Draw the weights of a model of `n` genes, by name; "A" are the coefficients, (targets, regulators)."""

    def drawn(into: int, out: int) -> Tensor:
        return torch.nn.init.xavier_normal_(torch.empty(out, into), generator=generator)

    shapes = {
        "encoder.0": (2, hidden),  # a gene's value and its class, of which there is one
        "encoder.1": (hidden, hidden),
        "encoder.mean": (hidden, 1),
        "encoder.variance": (hidden, 1),
        "decoder.0": (1, hidden),
        "decoder.1": (hidden, hidden),
        "decoder.2": (hidden, 1),
        "prior.mean.0": (1, hidden),
        "prior.mean.1": (hidden, n),
        "prior.variance.0": (1, hidden),
        "prior.variance.1": (hidden, n),
    }
    weights = {name + ".weight": drawn(*shape) for name, shape in shapes.items()}
    weights |= {name + ".bias": torch.zeros(shape[1]) for name, shape in shapes.items()}
    weights["A"] = 1.0 / max(n - 1, 1) + 2e-4 * torch.rand(n, n, generator=generator)
    return weights


def losses(weights: dict[str, Tensor], X: Tensor, counted: Tensor, noise: Tensor) -> dict[str, Tensor]:
    """Return the terms of the loss on some cells.

    Parameters
    ----------
    weights
        Weights of :func:`first_weights`.
    X, counted
        Standardised expression and which entries count, (cells, genes).
    noise
        Draws of the standard normal distribution, (cells, genes).

    Returns
    -------
    dict
        "reconstruction": mean squared error over the entries that count. "divergence": mean over cells and genes of
        log q(z) - log p(z). "sparsity": mean absolute coefficient.
    """

    def layer(name: str, x: Tensor) -> Tensor:
        return linear(x, weights[name + ".weight"], weights[name + ".bias"])

    n = X.shape[1]
    A = weights["A"] * (1.0 - torch.eye(n, device=X.device))
    back = torch.eye(n, device=X.device) - A.T  # X = Z back⁻¹
    one_class = torch.ones(1, 1, device=X.device)
    # Most counts are 0, the same number in all cells of a gene: each number is encoded once.
    numbers, which = torch.unique(X, return_inverse=True)
    x = torch.stack([numbers, torch.ones_like(numbers)], dim=-1)
    x = torch.tanh(layer("encoder.1", torch.tanh(layer("encoder.0", x))))
    encoded = torch.cat([layer("encoder." + part, x) for part in ("mean", "variance")], dim=-1)
    mean, log_variance = (one @ back for one in embedding(which, encoded).unbind(-1))
    prior_mean, prior_log_variance = (
        layer(f"prior.{part}.1", torch.tanh(layer(f"prior.{part}.0", one_class))) @ back
        for part in ("mean", "variance")
    )
    z = mean + noise * torch.exp(log_variance / 2)
    inner = torch.linalg.solve(back, z, left=False).unsqueeze(-1)
    inner = torch.tanh(layer("decoder.1", torch.tanh(layer("decoder.0", inner))))
    error = (layer("decoder.2", inner).squeeze(-1) - X) ** 2
    divergence = _log_density(z, mean, log_variance) - _log_density(z, prior_mean, prior_log_variance)
    return {
        "reconstruction": (error * counted).sum() / counted.sum().clamp(min=1),
        "divergence": divergence.mean(),
        "sparsity": A.abs().mean(),
    }


def _log_density(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    # The constant of the density is that of both and is left out.
    variance = log_variance.exp() + 1e-8
    return -(variance.log() + (z - mean) ** 2 / variance) / 2


def trained(
    data: tuple[Tensor, Tensor],
    generator: Any,
    terms: dict[str, float],
    sizes: tuple[int, int, int],
    first_rates: tuple[float, float],
) -> Tensor:
    """Train one model.

    Parameters
    ----------
    data
        Standardised expression and which entries count, (cells, genes) each.
    generator
        Generator of weights, order of cells and noise.
    terms
        Weight of each term of :func:`losses`.
    sizes
        Numbers of epochs, of hidden units and of cells a step.
    first_rates
        Learning rates of the networks and of the coefficients in the first epoch.

    Returns
    -------
    torch.Tensor
        Coefficients, (targets, regulators), with an empty diagonal.

    Raises
    ------
    ValueError
        If the loss is not finite.
    """
    (X, counted), (epochs, hidden, batch) = data, sizes
    n_cells, n = X.shape
    weights = {name: one.to(X.device).requires_grad_() for name, one in first_weights(n, hidden, generator).items()}
    of_networks = torch.optim.RMSprop([one for name, one in weights.items() if name != "A"], lr=first_rates[0])
    of_matrix = torch.optim.RMSprop([weights["A"]], lr=first_rates[1])
    for epoch in range(epochs):
        rate, rate_of_matrix = rates(epoch, *first_rates)
        step = of_matrix if rate_of_matrix else of_networks
        step.param_groups[0]["lr"] = rate_of_matrix or rate
        for name, one in weights.items():
            one.requires_grad_((name == "A") == (step is of_matrix))
        order = torch.randperm(n_cells, generator=generator).to(X.device)
        for start in range(0, n_cells, batch):
            at = order[start : start + batch]
            noise = torch.randn((len(at), n), generator=generator).to(X.device)
            found = losses(weights, X[at], counted[at], noise)
            loss = torch.stack([weight * found[name] for name, weight in terms.items()]).sum()
            if not torch.isfinite(loss):
                raise ValueError(f"the loss is {float(loss)} in epoch {epoch + 1}: the values may be too large for it")
            step.zero_grad()
            torch.autograd.backward(loss)
            step.step()
    return weights["A"].detach() * (1.0 - torch.eye(n, device=X.device))
