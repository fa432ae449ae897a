"""The suites of benchmarks, by section: what each runs at each size, how its table is read, which peers it has."""

from __future__ import annotations

from typing import Any

from benchmarks.suite import Suite
from benchmarks.weights import given

ONE: tuple[dict, ...] = ({},)
_BENGRN, _GRNNDATA = "packages/bengrn/src", "packages/grnndata/src"
_MODEL, _LOADER = "packages/scprint-model/src", "packages/scdataloader/src"

#: Folders of weights that the user has are part of what a unit of work depends on.
_WEIGHTS = {"weights": given()} if given() else {}
#: Methods of the tables of networks, by the label that shows they ran.
_NETWORK_METHODS = {
    "correlation": "pearson",
    "Spearman correlation": "spearman",
    "partial correlation": "partial-correlation",
    "CLR": "clr",
    "GENIE3-TF": "GENIE3-TF",
    "GRNBoost2": "GRNBoost2",
    "shared forest": "shared forest",
    "RegDiffusion": "RegDiffusion",
    "DeepSEM": "DeepSEM",
    "scGPT": "scGPT",
    "Geneformer": "Geneformer",
    "degrees of the truth alone": "degrees of the truth",
    "random": "random",
}


def _networks(
    name: str,
    title: str,
    config: str,
    *sizes: str,
    methods: tuple[tuple[str, ...], ...] = (),
    datasets: tuple[str, ...] = (),
    whole: bool = True,
    **more: Any,
) -> Suite:
    """Return a suite of a configuration: a unit for each data set and each group of methods, or one for all."""
    told = {"peers": _NETWORK_METHODS, "minutes": 60, "alone": True} | more
    of_size = {"full": _WEIGHTS | {"whole": whole}}
    of_sets: list[dict] = [{"dataset": one} for one in datasets] or [{}]
    of_methods: list[dict] = [{"methods": list(group)} for group in methods] or [{}]
    return Suite(
        name=name,
        section="networks",
        title=title,
        function="benchmarks.grn.leaderboard:network_scores",
        sizes={
            size: tuple(
                {"config": one} | of_size.get(size, _WEIGHTS) | group | of_set
                for one in (["quick"] if size == "quick" else config.split())
                for of_set in of_sets
                for group in of_methods
            )
            for size in sizes
        },
        names=("dataset", "group", "truth", "regulators", "orientation", "label"),
        method="label",
        higher=("ap", "ap_ratio", "epr", "auprc_paper", "odds_ratio", "auroc", "gain", "tf", "markers", "encode"),
        lower=("wall_s", "cpu_s", "peak_memory_mb"),
        code=("benchmarks/grn", _BENGRN, _GRNNDATA, _MODEL, _LOADER),
        figures="benchmarks.grn.figures:parts",
        **told,
    )


_DAY = {"minutes": 24 * 60, "gigabytes": 32.0}
#: What is run on 5,000 genes in minutes a network, what takes hours, and on which data sets.
_LARGE = (
    *("scPRINT, mean of heads", "scPRINT, OmniPath heads", "scPRINT, CollecTRI heads", "scPRINT, ChEA3 heads"),
    *("scPRINT, true mean", "scPRINT, gene embeddings", "GENIE3, 100 trees", "GENIE3-TF, 100 trees", "GRNBoost2"),
    *("shared forest", "pearson", "spearman", "partial-correlation", "clr", "random"),
)
_SLOW = (
    *("GENIE3, 1,000 trees", "GENIE3-TF, 1,000 trees", "RegDiffusion", "DeepSEM"),
    *("scPRINT, true mean of all cells", "scPRINT, Jacobian of 100 cells"),
)
_NETWORK_METHODS_LARGE = {
    name: label for name, label in _NETWORK_METHODS.items() if label in (*_LARGE, "degrees of the truth")
} | {"GENIE3": "GENIE3, 100 trees", "GENIE3-TF": "GENIE3-TF, 100 trees"}
_LARGE_SETS = ("human_pbmc_kang_ifnb", "human_pancreas_baron_h1", "retina")
NETWORKS = (
    _networks(
        *("networks", "Networks of cell types against truths of regulation, with intervals over regulators"),
        *("cell_types", "quick", "bench", "full"),
    ),
    _networks(
        *("networks_stem_cells", "Embryonic stem cells of McCalla et al. against ChIP and perturbations"),
        *("stem_cells", "bench", "full"),
    ),
    _networks(
        *("networks_simulated", "Simulated cells: SERGIO on RegNetwork, and BEELINE's example by BoolODE"),
        *("simulated beeline_example", "bench", "full"),
    ),
    _networks(
        *("networks_large", "1,024 cells and 5,000 genes, as in the paper, with GENIE3 over all genes"),
        *("full_cell_types", "full"),
        methods=(_LARGE,),
        datasets=_LARGE_SETS,
        whole=False,
        **_DAY | {"peers": _NETWORK_METHODS_LARGE},
    ),
    _networks(
        *(
            "networks_slow",
            "The same cells by methods that take hours a network: 1,000 trees, long trainings, derivatives",
        ),
        *("full_cell_types", "full"),
        methods=(("pearson", "random"), *((name,) for name in _SLOW)),
        datasets=_LARGE_SETS,
        **_DAY | {"peers": {name: name for name in (*_SLOW, "random") if not name.startswith("scPRINT")}},
    ),
    _networks(
        *("networks_genome", "Networks of the whole genome"),
        *("genome", "full"),
        **_DAY | {"peers": {"random": "random"}},
    ),
    _networks(
        *("networks_omnipath_26", "The paper's cell types of kidney, retina and colon against OmniPath"),
        *("omnipath_26", "full"),
        **_DAY | {"data": ("kidney.h5ad", "retina.h5ad", "colon.h5ad")},
    ),
    _networks(
        *("networks_k562", "K562 cells against ChIP and genome-wide perturb-seq"),
        *("k562", "full"),
        **_DAY | {"data": ("K562_gwps_raw_singlecell_01.h5ad",)},
    ),
    _networks(
        *("networks_beeline", "BEELINE's seven experiments against its four kinds of networks"),
        *("beeline", "full"),
        **_DAY | {"data": ("BEELINE-data/inputs/scRNA-Seq/hESC/ExpressionData.csv",)},
    ),
    _networks(
        *(
            "networks_forests",
            "One forest for all genes, and a forest for each: shared-forest beside GENIE3-TF",
        ),
        *("cell_types stem_cells simulated beeline_example", "full"),
        methods=(("GENIE3-TF", "shared forest", "pearson", "random"),),
        peers={name: name for name in ("GENIE3-TF", "shared forest", "random")},
    ),
    _networks(
        *("networks_retina", "The bundled cells: retinal types against the bundled OmniPath edges, 1,000 genes"),
        *("retina", "full"),
        peers={"correlation (retina)": "pearson", "random": "random"},
    ),
)
_DENOISED = ("human_pbmc_kang_ifnb", "human_pancreas_baron_h1")
_BOTH = ("paper", "binomial")
_MOST = {"n_cells": 250, "n_drawn": 3000, "epochs": 200}
DENOISING = (
    Suite(
        name="denoising",
        section="denoising",
        title="Counts that were taken away: Spearman correlation, or likelihood in nats a count, over cells",
        function="benchmarks.denoising.scores:denoising_scores",
        sizes={
            "quick": tuple(
                {"protocol": protocol, "n_cells": 12, "n_drawn": 300, "n_genes": 380, "peers": False}
                for protocol in _BOTH
            ),
            "bench": tuple({"dataset": name, "protocol": protocol} for name in _DENOISED for protocol in _BOTH),
            "full": tuple(
                {"dataset": name, "protocol": protocol, **_MOST} for name in (*_DENOISED, "") for protocol in _BOTH
            ),
        },
        names=("set", "types", "protocol", "method"),
        method="method",
        higher=("spearman", "gain_spearman", "log_likelihood", "gain_log_likelihood"),
        peers={name: name for name in ("MAGIC", "kNN-smoothing 2", "scVI", "ALRA", "mean profile")},
        code=("benchmarks/denoising", _MODEL, _LOADER, _GRNNDATA),
        environments=("magic", "scvi", "alra"),
        minutes=60,
    ),
)


def _finetuning(train: str) -> Suite:
    return Suite(
        name="finetuning" if train == "heads" else f"finetuning_{train}",
        section="annotation",
        title=f"Fine-tuned ({train}) on a donor, laboratory or condition that the model never saw: 95 % intervals",
        function="benchmarks.calibration.finetuning:scores",
        sizes={"full": tuple({"train": [train], "cases": [case]} for case in _CASES)},
        names=("case", "seed", "train", "method"),
        method="method",
        higher=("accuracy", "macro_f1"),
        peers={
            "commonest label": "commonest label",
            "logistic regression": "principal components + logistic regression",
        },
        code=("benchmarks/calibration", _MODEL, _LOADER),
        minutes=60,
    )


_CASES = ("pancreas, other file", "lung, third donor", "blood, stimulated")
_SPLITS = ("lung, other donor", "blood, stimulated", "kidney immune, other donors", "pancreas, other laboratory")
ANNOTATION = (
    Suite(
        name="annotation",
        section="annotation",
        title="Cell types of batches that were held out: 95 % intervals over their cells",
        function="benchmarks.annotation.scores:annotation_scores",
        sizes={
            "quick": ({"case": "retina", "n_train": 120, "n_test": 120, "peers": False},),
            "bench": tuple({"case": case, "n_train": 300, "n_test": 250} for case in _SPLITS[:2]),
            "full": tuple(
                {"case": case, "n_train": 5000, "n_test": 5000, "train": ["heads", "lora"], "seed": seed}
                for case in _SPLITS
                for seed in range(3)
            ),
        },
        names=("case", "method"),
        method="method",
        lower=("calibration_error",),
        higher=("accuracy", "f1", "macro_f1", "related_accuracy", "coarse_accuracy"),
        peers={
            "commonest label": "commonest label",
            "logistic regression": "PCA + logistic regression",
            "kNN": "PCA + kNN",
            "XGBoost": "XGBoost",
            "CellTypist": "CellTypist",
        },
        code=("benchmarks/annotation", _MODEL, _LOADER),
        environments=("xgboost", "celltypist"),
        minutes=60,
    ),
    _finetuning("heads"),
    _finetuning("lora"),
)
_SETS = (
    "cell lines by chemistry",
    "kidney immune by donor",
    "lung tumour by patient",
    "lung by donor and chemistry",
)
INTEGRATION = (
    Suite(
        name="integration",
        section="integration",
        title="Cells of several batches in one space: scores of scib-metrics, 95 % intervals over cells",
        function="benchmarks.integration.scores:integration_scores",
        sizes={
            "bench": tuple({"dataset": name, "n_cells": 400, "epochs": 250} | _WEIGHTS for name in _SETS[:2]),
            "full": tuple(
                {"dataset": name, "n_cells": 10_000, "epochs": 400, "n_halves": 10, "kbet": True} | _WEIGHTS
                for name in _SETS
            ),
        },
        names=("set", "method"),
        method="method",
        higher=("total", "bio_conservation", "batch_correction"),
        peers={
            name: name
            for name in ("PCA", "Harmony", "scVI", "scANVI", "Scanorama", "BBKNN", "scGen", "scGPT", "Geneformer")
        },
        code=("benchmarks/integration", _MODEL, _LOADER),
        environments=("scib", "harmony", "scvi", "scanorama", "bbknn", "scgen"),
        minutes=60,
    ),
    Suite(
        name="integration_scvi",
        section="integration",
        title="One epoch of scVI on 15,000 cells of three sets: read from a store beside one AnnData in memory",
        function="benchmarks.integration.scvi_stream:scvi_losses",
        sizes={"full": ONE},
        names=("read from",),
        method="read from",
        lower=("held-out loss", "seconds", "at the end (MB)"),
        peers={"scVI": "AnnData in memory"},
        code=("packages/scdataloader/src",),
        minutes=20,
        alone=True,
    ),
)
_ABLATION = {
    "section": "ablations",
    "sizes": {"full": tuple({"steps": 300, "seed": seed} for seed in range(3))},
    "names": ("method", "data"),
    "method": "method",
    "higher": (
        *("knn", "neighbours_kept", "nameable", "right", "strictly_right", "macro_f1", "labels_kept"),
        *("denoised", "above_noised"),
    ),
    "lower": ("depth_share", "cpu_s"),
    "figures": "benchmarks.ablation.summary:parts",
    "code": ("benchmarks/ablation", _MODEL, _LOADER),
    "minutes": 24 * 60,
}
ABLATIONS = (
    Suite(
        name="ablation",
        title="The small model with one part changed, 300 steps, three seeds",
        function="benchmarks.ablation.table:ablation_scores",
        peers={"components + logistic regression": "corpus PCs + logistic regression"},
        **_ABLATION,
    ),
    Suite(
        name="ablation_paper",
        title="The paper's ablations: one part of its own recipe changed, 300 steps, three seeds",
        function="benchmarks.ablation.paper:paper_scores",
        peers={
            "components + logistic regression": "corpus PCs + logistic regression",
            "mean profile": "mean profile",
        },
        **_ABLATION,
    ),
)


def _speed(name: str, function: str, title: str, names: tuple[str, ...], **more: Any) -> Suite:
    told = {"sizes": {"full": ONE}, "minutes": 60, "alone": True} | more
    return Suite(
        name=f"speed_{name}", section="speed", title=title, function=f"benchmarks.speed.{function}", names=names, **told
    )


_SCPRINT = {"peers": {"scprint 2.3.8": "scprint 2.3.8 (CPU s)"}, "environments": ("scprint",), "gigabytes": 24.0}
_OURS = {"lower": ("ours (CPU s)", "ours (s)", "ours (MB)", "of its memory"), "higher": ("times faster",)}
SPEED = (
    _speed(
        *("imports", "imports:import_times"),
        "Importing the packages beside anndata: medians of processes (3, or 5 in the full size), files cached",
        ("statement",),
        sizes={"bench": ({"repeats": 3},), "full": ONE},
        lower=("seconds", "CPU s", "to anndata", "to anndata (CPU)"),
        code=(_BENGRN, _GRNNDATA, _MODEL, _LOADER),
        repeats={"full": 3},
    ),
    _speed(
        *("kernels", "kernels:kernel_times"),
        "Kernels in plain torch on the CPU: seconds, median of 5 runs, one thread, float32",
        ("work",),
        sizes={"bench": ONE, "full": ONE},
        lower=("seconds",),
        code=(_MODEL,),
        repeats={"bench": 2, "full": 3},
    ),
    _speed(
        *("networks", "networks:network_times"),
        "A network of 20,000 genes and 2 million edges: seconds, median of 3 runs (1 for networkx)",
        ("operation",),
        sizes={"bench": ONE, "full": ONE},
        lower=("ours (s)",),
        higher=("against networkx", "against grnndata 1.3.2"),
        peers={"networkx": "networkx (s)", "grnndata 1.3.2": "grnndata 1.3.2 (s)"},
        environments=("grnndata",),
        code=(_GRNNDATA,),
    ),
    _speed(
        *("model", "model:model_times"),
        "The network beside scprint 2.3.8, same weights: medians, one thread, float32; MB: what the work added",
        ("work",),
        code=(_MODEL, "benchmarks/speed"),
        **(_SCPRINT | _OURS),
    ),
    _speed(
        *("infer_networks", "infer_networks:infer_network_times"),
        "Networks from attention beside scprint 2.3.8, same weights: medians, one thread, float32",
        ("work",),
        code=(_MODEL, "benchmarks/speed"),
        **(_SCPRINT | _OURS),
    ),
    _speed(
        *("products", "products:product_times"),
        "Where the time of a network of 100 cells × 1,000 genes goes: best of 5 runs, one thread, float32",
        ("work",),
        lower=("CPU s",),
        higher=("share of the best",),
        code=(_MODEL, "benchmarks/speed"),
    ),
    _speed(
        *("jacobian", "jacobian:jacobian_times"),
        "A network of derivatives of the bundled model, one thread, float32, one run; MB: what the work added",
        ("work",),
        lower=("CPU s", "MB added"),
        code=(_MODEL, "benchmarks/speed"),
    ),
    _speed(
        *("checkpoints", "checkpoints:checkpoint_times"),
        "Opening a checkpoint of 78 million weights: seconds, best of 5 processes; memory beyond the imports",
        ("work",),
        lower=("seconds", "peak memory / weights"),
        code=(_MODEL,),
    ),
    _speed(
        *("trees", "trees.benchmark:tree_times"),
        "GENIE3 and GRNBoost2, 5,000 genes × 1,000 cells, 307 factors, one thread: CPU ms a target",
        ("work", "tool"),
        method="tool",
        lower=("CPU ms a target", "peak MB"),
        peers={name: name for name in ("arboreto", "rustscenic", "bengrn 1.3.2", "scikit-learn")},
        environments=("arboreto", "rustscenic", "bengrn"),
        code=(_BENGRN, "benchmarks/speed/trees"),
    ),
    _speed(
        *("trees_growth", "trees.growth:growth_times"),
        "GRNBoost2 over cells and regulators, one thread: CPU ms a target, and fitted exponents",
        ("cells", "regulators"),
        lower=("CPU ms a target",),
        code=(_BENGRN, "benchmarks/speed/trees"),
    ),
    _speed(
        *("trees_whole", "trees.whole:whole_times"),
        "Whole networks at the sizes that people run, two threads, one run each",
        ("work",),
        lower=("CPU s", "peak MB"),
        code=(_BENGRN, "benchmarks/speed/trees"),
        gigabytes=8.0,
    ),
    _speed(
        *("deep", "deep:deep_times"),
        "Deep methods, CPU, two threads, one run; scGPT's published sizes with random weights",
        ("work",),
        method="work",
        code=(_BENGRN,),
        gigabytes=12.0,
    ),
    _speed(
        *("preprocess", "preprocess:preprocess_times"),
        "Preprocessing a file of 500,000 cells: one run, one process",
        ("compression of the output",),
        lower=("seconds", "peak memory (GB)"),
        higher=("cells/s",),
        code=(_LOADER,),
    ),
    _speed(
        *("sampler", "loader.sampler:sampler_times"),
        "Weighted draws from up to 100 million cells: median of 3 runs",
        ("cells", "groups", "method"),
        method="method",
        higher=("million draws/s",),
        code=(_LOADER,),
        gigabytes=12.0,
    ),
    _speed(
        *("loader", "loader.benchmark:loader_times"),
        "Reading cells: cells/s, one core where not said, median of 3 windows (see `speed_loader_notes.md`)",
        ("loader", "draws"),
        method="loader",
        higher=("in order", "uniform", "weighted"),
        code=(_LOADER, "benchmarks/speed/loader"),
        minutes=240,
    ),
    Suite(
        name="speed_scoring",
        section="speed",
        title="Scoring a dense network: seconds, median of 5 runs (1 for scikit-learn and bengrn 1.3.2)",
        function="benchmarks.speed.scoring:scoring_times",
        sizes={"quick": ({"n_sizes": 1, "peers": False},), "bench": ({"n_sizes": 2},), "full": ONE},
        names=("regulators × targets", "true edges"),
        lower=("metrics / sort", "replicates / sort", "bengrn, 12 metrics"),
        higher=("times faster than scikit-learn",),
        peers={"scikit-learn": "scikit-learn, AP and AUROC", "bengrn 1.3.2, scores": "bengrn 1.3.2, its metrics"},
        code=(_BENGRN, "benchmarks/timing.py"),
        environments=("bengrn",),
        repeats={"bench": 2, "full": 3},
        alone=True,
    ),
)

SUITES = (*NETWORKS, *DENOISING, *ANNOTATION, *INTEGRATION, *ABLATIONS, *SPEED)
