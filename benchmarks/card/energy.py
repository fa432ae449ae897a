"""What a training used, from hours and assumptions that are told with it."""

from __future__ import annotations


def energy(hours: float, cores: int, watts: float, carbon: float) -> str:
    """Return a sentence on the energy and carbon dioxide of a training.

    Parameters
    ----------
    hours
        Wall-clock hours.
    cores
        Number of cores that were busy.
    watts
        Watts a core, with its share of memory, power supply and cooling.
    carbon
        Grams of CO2 equivalent a kWh.
    """
    used = hours * cores * watts / 1000
    return (
        f"{hours:g} h on {cores} cores at an assumed {watts:g} W each: about {used:.3g} kWh, and at {carbon:g} g a kWh "
        f"about {used * carbon:.3g} g of CO2 equivalent; estimated, not measured."
    )
