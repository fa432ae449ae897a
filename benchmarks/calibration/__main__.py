"""Simulate, and say how often each number of uncertainty is right: ``python -m benchmarks.calibration NAME ...``."""

from __future__ import annotations

import argparse
import time
from importlib import import_module
from pathlib import Path

from benchmarks.calibration.shares import draw, holds

RESULTS = Path(__file__).parents[1] / "results"
IMAGES = Path(__file__).parents[2] / "docs/images"
#: Numbers of uncertainty; each is a module of this folder.
NUMBERS = ("attention", "edges", "enrichment", "hubs", "scores", "small_p")


def main() -> None:
    """Run the named calibrations, or all; quick ones are printed and not written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"any of {', '.join(NUMBERS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="few simulations, as in the tests; writes nothing")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(NUMBERS))
    if unknown:
        parser.error(f"unknown names {unknown}; there are {', '.join(NUMBERS)}")
    for name in arguments.names or NUMBERS:
        started = time.process_time()
        table = import_module(f"benchmarks.calibration.{name}").calibrate(quick=arguments.quick)
        table["holds"] = holds(table)
        print(table.to_string(index=False, float_format="%.4g"))
        print(f"{name}: {time.process_time() - started:.0f} CPU seconds")
        if not arguments.quick:
            table.to_csv(RESULTS / f"calibration_{name}.csv", index=False, float_format="%.5g")
            draw(table, IMAGES / f"calibration_{name}.png")


if __name__ == "__main__":
    main()
