"""What changed between two runs beyond noise: ``python -m benchmarks.compare BASE [NOW]``.

BASE is a folder of results, a file ``measures.csv``, or a commit whose ``benchmarks/results/measures.csv`` is read.
"""

from __future__ import annotations

import argparse
import io
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd

KEY = ["section", "suite", "row", "measure"]
RESULTS = Path(__file__).parent / "results"


def changes(base: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """Return a line for each number that both runs have: its change, the noise, and the verdict.

    The noise is half the width of the interval of the difference, from the intervals of both numbers taken as
    independent. The verdict is "better", "worse" or "changed" (of a measure that has no better end) where the change is
    beyond it, "within noise", or "noise unknown" where a number has no interval.
    """
    both = base.merge(now, on=KEY, suffixes=("_base", ""))
    both["change"] = both["value"] - both["value_base"]
    before, after = ((both[f"high{end}"] - both[f"low{end}"]) / 2 for end in ("_base", ""))
    both["noise"] = np.hypot(before, after)
    better = both["better"].fillna("").map({"higher": 1, "lower": -1, "": 0})
    verdicts = np.select(
        [both["noise"].isna(), both["change"].abs() <= both["noise"], better * both["change"] > 0, better != 0],
        ["noise unknown", "within noise", "better", "worse"],
        "changed",
    )
    both.loc[both["noise"].isna() & (both["change"] == 0), "noise"] = 0.0
    both["verdict"] = np.where(both["change"] == 0, "within noise", verdicts)
    return both[[*KEY, "value_base", "value", "change", "noise", "verdict"]]


def told(base: pd.DataFrame, now: pd.DataFrame) -> str:
    """Return the changes beyond noise as text, with the counts of all others."""
    found = changes(base, now)
    beyond = found[found["verdict"].isin(["better", "worse", "changed"])]
    columns = ["suite", "row", "measure", "value_base", "value", "noise", "verdict"]
    shown = beyond[columns].rename(columns={"value_base": "before", "value": "now"})
    keys = [set(table[KEY].itertuples(index=False, name=None)) for table in (base, now)]
    counts = [
        f"{len(beyond)} of {len(found)} numbers changed beyond noise",
        f"{(found['verdict'] == 'noise unknown').sum()} have no interval and are not judged",
        f"{len(keys[0] - keys[1])} are gone, {len(keys[1] - keys[0])} are new",
    ]
    table = shown.to_string(index=False, float_format="%.4g") + "\n\n" if len(shown) else ""
    return table + "; ".join(counts) + "."


def read(place: str) -> pd.DataFrame:
    """Return the numbers of a run: of a folder, of a file, or of a commit.

    Raises
    ------
    FileNotFoundError
        If there are none.
    """
    path = Path(place)
    if path.is_dir():
        path = path / "measures.csv"
    if path.exists():
        return pd.read_csv(path)
    command = ["git", "show", f"{place}:benchmarks/results/measures.csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=RESULTS)
    if done.returncode:
        raise FileNotFoundError(f"{place} is no folder with measures.csv, no file, and no commit that has one")
    return pd.read_csv(io.StringIO(done.stdout))


def main() -> None:
    """Compare two runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", help="folder, measures.csv or commit to compare with")
    parser.add_argument(
        "now", nargs="?", default="runs/bench/bench", help="folder, measures.csv or commit of the new run"
    )
    given = parser.parse_args()
    try:
        base, now = read(given.base), read(given.now)
    except FileNotFoundError as error:
        parser.error(str(error))
    print(told(base, now))


if __name__ == "__main__":
    main()
