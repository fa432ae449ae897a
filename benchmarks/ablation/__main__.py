"""Train the rows of the ablation and score them: ``python -m benchmarks.ablation STORE FEATURES FILE ...``.

A row and seed that the table holds already is not trained again, so a run that broke off goes on. The networks are
saved beside their loss curves. The corpus and the
features are made by the scripts of packages/scprint-model; the files are cells that the corpus does not hold.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pandas as pd
import torch

from benchmarks.ablation.evaluation import opened
from benchmarks.ablation.recipes import FINISHED, ROWS, data_of, finish, train
from benchmarks.ablation.scores import CorpusComponents, rival_scores
from scprint_model.checkpoints.folder import save_folder

RESULTS = Path(__file__).parents[1] / "results" / "ablation.csv"


def add(table: Path, method: str, seed: int, steps: int, seconds: float, scores: dict[str, dict[str, float]]) -> None:
    """Append the scores of a method to the table."""
    rows = [
        {"method": method, "seed": seed, "steps": steps, "cpu_s": round(seconds), "data": name, **values}
        for name, values in scores.items()
    ]
    before = pd.read_csv(table) if table.exists() else pd.DataFrame()
    table.parent.mkdir(parents=True, exist_ok=True)
    pd.concat([before, pd.DataFrame(rows)]).to_csv(table, index=False, float_format="%.4g")
    print(pd.DataFrame(rows).round(3).to_string(index=False), flush=True)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="store of the training cells")
    parser.add_argument("features", type=Path, help="table of gene features")
    parser.add_argument("files", type=Path, nargs="+", help="cells to score on")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS), help="rows to train")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds to train with")
    parser.add_argument("--steps", type=int, default=300, help="steps of each training")
    parser.add_argument("--batch-size", type=int, default=48, help="cells a step")
    parser.add_argument("--d-model", type=int, default=64, help="width")
    parser.add_argument("--layers", type=int, default=2, help="blocks")
    parser.add_argument("--table", type=Path, default=RESULTS, help="table to write")
    parser.add_argument("--runs", type=Path, default=Path("runs/ablation"), help="folder of loss curves and networks")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cells = opened(given.store, given.files)
    done = set()
    if given.table.exists():
        done = set(pd.read_csv(given.table)[["method", "seed"]].itertuples(index=False, name=None))
    if ("corpus PCs + kNN", 0) not in done:
        started = time.process_time()
        found = rival_scores(CorpusComponents(cells.store, cells.vocabulary), cells.sets, cells.reference)
        for method, scores in found.items():
            add(given.table, method, 0, 0, time.process_time() - started, scores)
    sizes = {"d_model": given.d_model, "n_layers": given.layers, "n_heads": 2}
    for seed in given.seeds:
        for name in given.rows:
            names = (name, name + FINISHED) if ROWS[name].finished else (name,)
            if all((one, seed) in done for one in names):
                continue
            started, row = time.process_time(), ROWS[name]
            n_cells = given.steps * given.batch_size
            data = data_of(row, given.store, n_cells=n_cells, batch_size=given.batch_size, seed=seed)
            folder = given.runs / f"{name.replace(' ', '_')}-{seed}"
            module = train(row, data, given.features, folder, steps=given.steps, seed=seed, sizes=sizes)
            for one in names:
                if one != name:
                    finish(module, data)
                seconds = time.process_time() - started
                save_folder(module.network, folder / one.replace(" ", "_"), card={})
                space = data.label_space.classes["cell_type"]
                scores = cells.scores(module.network, space)
                if (one, seed) not in done:
                    add(given.table, one, seed, given.steps if row.trained else 0, seconds, scores)


if __name__ == "__main__":
    main()
