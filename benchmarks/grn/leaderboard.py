"""Networks of cell types through ``bengrn run``: a configuration of this folder, and its table's main columns."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmarks.peer import NOT_RUN
from benchmarks.work import ROOT, USUAL, data_folder
from bengrn import benchmark
from scdataloader import datasets

HERE = Path(__file__).parent
#: Networks that are there already are not made again.
WORK = ROOT / "runs" / "bench" / "networks"
#: Files of truths beside a checkout; without them truths are fetched.
TRUTHS = USUAL.parent / "networks"
SCORES = ("ap", "ap_ratio", "epr", "auprc_paper", "gain")
NAMES = ("dataset", "group", "truth", "regulators", "orientation", "label")
COST = ("wall_s", "cpu_s", "peak_memory_mb")


def network_scores(config: str) -> pd.DataFrame:
    """Run a configuration of this folder, and return its scores with their intervals.

    A data set without a path is a file of the folder of data by its name, or the bundled retina.

    Raises
    ------
    RuntimeError
        If no network has a score.
    """
    told: dict[str, Any] = yaml.safe_load((HERE / f"{config}.yaml").read_text(encoding="utf-8"))
    told.pop("title", None)
    NOT_RUN.update(told.pop("not_run", {}))
    if TRUTHS.is_dir():
        os.environ.setdefault("BENGRN_DATA", str(TRUTHS))
    limits = {f"{name}_limit": value for name, value in told.pop("limits", {}).items()}
    with tempfile.TemporaryDirectory() as folder:
        for one in told["datasets"]:
            if one["name"] == "retina":
                one["path"] = str(Path(folder) / "retina.h5ad")
                datasets.retina_1k().write_h5ad(one["path"])
            elif "path" not in one:
                one["path"] = str(data_folder() / f"{one['name']}.h5ad")
        table = benchmark(**{"workers": 1, **told}, **limits, out=WORK / config)
    if not (table["status"] == "ok").any():
        first = table.iloc[0]
        raise RuntimeError(
            f"no network has a score; the first, {first['label']}, {first['status']}: {first['message']}"
        )
    kept = [name for score in SCORES for name in (score, f"{score}_low", f"{score}_high")]
    return table[[*NAMES, *(name for name in kept if name in table), *COST, "status", "message"]]
