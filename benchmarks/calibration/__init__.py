"""Whether numbers of uncertainty mean what they say, on simulated data whose answer is known.

One module for each number; each has a function ``calibrate(quick)`` that returns a table as `shares.table` makes it.
``python -m benchmarks.calibration NAME`` writes it to ``benchmarks/results/`` and draws it for the page
``docs/explain/uncertainties.md``. The quick versions are run by the tests.
"""
