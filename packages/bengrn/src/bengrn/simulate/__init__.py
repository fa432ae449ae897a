"""Simulate cells whose gene network is known: expression, the true edges, and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bengrn._lazy import lazy_names

if TYPE_CHECKING:
    from bengrn.simulate.boolode_model import boolode
    from bengrn.simulate.realism_report import plot_realism, realism
    from bengrn.simulate.sergio_model import sergio
    from bengrn.simulate.simulated import Simulation
    from bengrn.simulate.technical import TechnicalNoise

__all__ = ["Simulation", "TechnicalNoise", "boolode", "plot_realism", "realism", "sergio"]

_HOME = {
    "Simulation": "simulated",
    "TechnicalNoise": "technical",
    "boolode": "boolode_model",
    "plot_realism": "realism_report",
    "realism": "realism_report",
    "sergio": "sergio_model",
}

__getattr__, __dir__ = lazy_names(__name__, _HOME)


def need_numba() -> None:
    """Raise ImportError, with the way out, where the compiler of the simulations is not installed."""
    try:
        import numba  # noqa: F401
    except ImportError as error:
        raise ImportError("simulations are compiled by numba: pip install bengrn[simulate]") from error
