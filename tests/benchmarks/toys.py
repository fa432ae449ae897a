"""Functions of suites that the tests of the frame run."""

import time

import pandas as pd


def scores(*, value: float = 0.5) -> pd.DataFrame:
    return pd.DataFrame(
        {"method": ["ours", "peer"], "score": [value, 0.4], "low": [value - 0.1, 0.3], "high": [value + 0.1, 0.5]}
    )


def raises() -> pd.DataFrame:
    raise ValueError("no cells of type 7")


def sleeps() -> pd.DataFrame:
    time.sleep(600)
    return pd.DataFrame()
