"""The command `bengrn`: score and compare network files, list and fetch truths."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from bengrn import embed_command, infer_command, list_commands
from bengrn._command_line import Command, Program, check_output, with_folder
from bengrn._command_options import Parser
from bengrn._wording import counted, percent
from bengrn.benchmarking import run_command
from bengrn.benchmarking.report import report_command
from bengrn.simulate import simulate_command

if TYPE_CHECKING:
    from bengrn.scoring import Scores
    from bengrn.truths import GroundTruth

_NETWORK = (
    "h5ad or zarr with varp['GRN'], an edge table or matrix (csv, tsv, txt, parquet, gz, npy), a loom of SCENIC, gmt, "
    "sif or graphml"
)


@contextmanager
def _without_repeating_notes() -> Iterator[None]:
    # What scoring warns of, and what was guessed when files were read, stands among the notes of the output.
    names = ("bengrn.scoring", "grnndata.edge_files", "grnndata.pairs", "grnndata.read")
    levels = {logging.getLogger(name): logging.getLogger(name).level for name in names}
    for logger in levels:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


def _score_options(parser: Parser) -> None:
    parser.add_argument("network_file", metavar="NETWORK", type=str, help=_NETWORK)
    _add_scoring_options(parser)
    parser.add_argument("--compat", choices=["paper", "bengrn-1.3.2", "beeline"], help="follow a publication")
    parser.add_argument("--bootstrap", type=int, default=0, help="replicates for intervals over regulators")
    parser.add_argument("--permutations", type=int, default=0, help="rewired truths to test degrees against")
    parser.add_argument("--no-baselines", action="store_true", help="leave out the table of baselines")
    parser.add_argument("--json", action="store_true", help="print every score and count as JSON")


def _compare_options(parser: Parser) -> None:
    parser.add_argument("networks", metavar="NETWORK", type=str, nargs="+", help=_NETWORK)
    _add_scoring_options(parser)
    parser.add_argument("--metric", choices=["ap", "auroc", "epr"], default="ap", help="what to compare by")
    parser.add_argument("--bootstrap", type=int, default=1000, help="replicates for the intervals of differences")
    parser.add_argument("--json", action="store_true", help="print the tables as JSON")


def _enrich_options(parser: Parser) -> None:
    parser.add_argument("network_file", metavar="NETWORK", type=str, help=_NETWORK)
    _add_reading_options(parser)
    parser.add_argument("--organism", type=str, default="human", help="organism of the lists")
    parser.add_argument("--seed", type=int, default=0, help="seed of the permutations")
    parser.add_argument("-o", "--out", type=str, metavar="TABLE", help="write the whole table here: csv")


def _inspect_options(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", type=str, help="JSON of --json, a table of --out, a network, a page")


def _add_scoring_options(parser: Parser) -> None:
    parser.add_argument(
        "--truth", type=str, required=True, help="a ground truth (see `bengrn truths`), or a file of true edges"
    )
    parser.add_argument("--organism", type=str, default="human", help="organism of the truth")
    parser.add_argument(
        "--options", type=dict[str, Any], default={}, help='options of the truth, as JSON: \'{"cell": "hESC"}\''
    )
    parser.add_argument("--direct-only", action="store_true", help="leave out edges known only for complexes")
    parser.add_argument("--transpose", action="store_true", help="take the network's columns as regulators")
    parser.add_argument("--absolute", action="store_true", help="rank by absolute weight")
    parser.add_argument(
        "--regulators",
        type=str,
        default="truth",
        help="rows: 'truth' (with a true edge), 'assayed' (all sources of the truth), 'tf' (factors with a true edge), "
        "'all', or a file with one gene a line",
    )
    parser.add_argument(
        "--truth-columns",
        type=list[str],
        help="columns of a file of true edges with source and target, by name or by position from 0",
    )
    _add_reading_options(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed of the random baseline and of replicates")


def _add_reading_options(parser: Parser) -> None:
    parser.add_argument("--network", type=str, metavar="NAME", help="which one, in a file with several networks")
    parser.add_argument(
        "--columns",
        type=list[str],
        help="columns of an edge table with source, target and weight (two: every weight is 1), by name or by "
        "position from 0",
    )
    parser.add_argument(
        "--duplicates", choices=["error", "sum", "max"], default="error", help="edges that a table lists twice"
    )
    parser.add_argument(
        "--missing", choices=["error", "drop"], default="error", help="rows of a table without a name or a number"
    )


@_without_repeating_notes()
def _score(args: Namespace) -> str:
    from bengrn.scoring import score
    from bengrn.table import MEASURED, score_table
    from bengrn.uncertainty.score_intervals import REPLICATES, with_intervals

    options, truth = _options(args), _truth(args)  # what costs least is checked first
    network = _read(args.network_file, args)
    scores = score(network, truth, compat=args.compat, **options)
    intervals = scores.bootstrap(n_replicates=args.bootstrap, seed=args.seed) if args.bootstrap else None
    n = args.permutations
    null = scores.degree_preserving(n_permutations=n, seed=args.seed) if n else None
    n = args.bootstrap or REPLICATES
    baselines = None if args.no_baselines else score_table(network, truth, seed=args.seed, n_replicates=n, **options)
    if args.json:
        plain = scores.to_dict()
        if intervals is not None:
            plain["intervals"] = intervals.table.to_dict("index")
            plain["interval_notes"] = "; ".join(intervals.notes)
        if null is not None:
            plain["degree_preserving"] = {"p_value": null.p_value, "null_mean": null.null_mean, "z": null.z}
        if baselines is not None:
            plain["baselines"] = baselines.to_dict("records")
        return json.dumps(plain | _record("score", args, options, args.network_file), indent=2)
    parts = [_table(scores)]
    if intervals is not None:
        drawn = f"{counted(intervals.n_regulators, 'regulator')} drawn with replacement"
        title = f"{percent(intervals.level)} intervals, {drawn}"
        parts.append("\n".join([title, *intervals.notes, intervals.table.map("{:.4g}".format).to_string()]))
    if null is not None:
        parts.append(
            f"AP against truths rewired at the same degrees: {null.observed:.4g}, null mean {null.null_mean:.4g}, "
            f"p = {null.p_value:.3g}"
        )
    if baselines is not None:
        parts.append(with_intervals(baselines, MEASURED).to_string(index=False))
    return "\n\n".join(parts)


@_without_repeating_notes()
def _compare(args: Namespace) -> str:
    from bengrn.comparison import MEASURED, compare
    from bengrn.uncertainty.score_intervals import with_intervals

    names = [path if args.networks.count(path) == 1 else f"{path} ({i + 1})" for i, path in enumerate(args.networks)]
    options, truth = _options(args), _truth(args)
    networks = {name: _read(path, args) for name, path in zip(names, args.networks, strict=True)}
    result = compare(networks, truth, metric=args.metric, n_replicates=args.bootstrap, seed=args.seed, **options)
    if args.json:
        said = {key: getattr(result, key) for key in ("truth", "truth_version", "truth_part")}
        tables = {"scores": result.scores.to_dict("records"), "pairs": result.pairs.to_dict("records")}
        record = _record("compare", args, options, *args.networks)
        return json.dumps({**said, **tables, "notes": "; ".join(result.notes), **record}, indent=2)
    form: dict[str, Any] = {"index": False, "float_format": "{:.4g}".format}
    universe = f"{result.n_regulators:,} regulators × {result.n_targets:,} targets, {result.n_positives:,} true edges"
    against = f"{universe}, of {result.truth}" + (f" ({result.truth_version})" if result.truth_version else "")
    head = "\n".join([against, *[f"note: {note}" for note in result.notes]])
    form_of_scores = with_intervals(result.scores, MEASURED).to_string(index=False)
    return "\n\n".join([head, form_of_scores, result.pairs.to_string(**form)])


def _enrich(args: Namespace) -> str:
    from bengrn._provenance import KEY, beside, write
    from bengrn.enrichment import enrich

    if args.out:
        check_output(args.out, args.network_file)
        beside(args.out)
    result = enrich(_read(args.network_file, args), organism=args.organism, seed=args.seed)
    if args.out:
        from grnndata import atomic_path

        with atomic_path(with_folder(args.out)) as temporary:
            result.table.to_csv(temporary, index=False)
        place = beside(args.out)
        write(place, _record("enrich", args, {}, args.network_file)[KEY])
        return f"{result}\n\n{args.out}: {len(result.table):,} rows; what made it: {place}"
    return str(result)


def _inspect(args: Namespace) -> str:
    from bengrn._provenance import read, text

    return text(read(args.file))


def _record(command: str, args: Namespace, options: dict[str, Any], *networks: str) -> dict[str, Any]:
    """Return what made an output, as an entry of its JSON: the options as they were used, networks and truth."""
    from pathlib import Path

    from bengrn._provenance import KEY, from_files

    files = [*networks, *([args.truth] if "truth" in args and Path(args.truth).is_file() else [])]
    skip = ("network_file", "networks", "json", "out")
    return {KEY: from_files(f"bengrn {command}", args.as_dict() | options, files, skip=skip)}


def _read(path: str, args: Namespace) -> Any:
    import grnndata

    columns = None if args.columns is None else tuple(args.columns)
    # Of several networks only the tables have columns.
    if columns is not None and len(args.get("networks", [])) > 1 and path.endswith((".h5ad", ".zarr", ".loom")):
        columns = None
    options: dict[str, Any] = {"columns": columns, "duplicates": args.duplicates, "missing": args.missing}
    return grnndata.read_network(path, name=args.network, with_cells=False, **options)


def _truth(args: Namespace) -> GroundTruth:
    from pathlib import Path

    from bengrn.truths import load_truth
    from bengrn.truths.ground_truth import GroundTruth
    from bengrn.truths.omnipath import is_interactions

    if args.truth_columns is not None and not Path(args.truth).is_file():
        raise ValueError(f"--truth-columns names columns of a file of true edges, and {args.truth!r} is no file")
    options = dict(args.options) | ({"complexes": False} if args.direct_only else {})
    if Path(args.truth).is_file():
        columns = None if args.truth_columns is None else tuple(args.truth_columns)
        if columns is None and is_interactions(Path(args.truth)):  # its accessions are to be mapped to genes
            return load_truth("omnipath", organism=args.organism, path=args.truth, **options)
        return GroundTruth.read(args.truth, organism=args.organism, columns=columns)
    return load_truth(args.truth, organism=args.organism, **options)


def _options(args: Namespace) -> dict[str, Any]:
    regulators: Any = args.regulators
    if regulators not in ("truth", "assayed", "tf", "all"):
        regulators = infer_command.names_in(regulators, "--regulators is 'truth', 'assayed', 'tf', 'all' or")
    return {"transpose": args.transpose, "absolute": args.absolute, "regulators": regulators}


def _table(scores: Scores) -> str:
    chance = scores.random_expectation
    measured = [
        ("AP (average precision)", scores.ap, chance["ap"]),
        ("AP / prevalence", scores.ap_ratio, chance["ap_ratio"]),
        ("AUPRC (trapezoid)", scores.auprc, chance["auprc"]),
        ("AUPRC (paper, above prevalence)", scores.auprc_paper, chance["auprc_paper"]),
        ("AUROC", scores.auroc, chance["auroc"]),
        ("AUROC up to FPR 0.1, scaled", scores.auroc_partial, chance["auroc_partial"]),
        ("EPR (early precision / prevalence)", scores.epr, chance["epr"]),
        ("EPR (paper, odds ratio)", scores.odds_ratio, chance["odds_ratio"]),
    ]
    lost = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in scores.lost.items() if count)
    orientation = "transposed: columns are regulators" if scores.transposed else "as stored: rows are regulators"
    return "\n".join(
        [
            f"{scores.method} against {scores.truth} ({orientation})",
            *([f"truth: {scores.truth_version}"] if scores.truth_version else []),
            f"{scores.n_matched:,} of {scores.n_genes:,} genes matched by {scores.matched_by}; scored "
            f"{scores.n_regulators:,} regulators × {scores.n_targets:,} targets = {scores.n_pairs:,} pairs",
            f"{scores.n_positives:,} of {scores.n_true_edges:,} true edges among them (lost: {lost or 'none'})",
            "",
            f"{'score':<36}{'network':>10}{'random':>10}",
            *[f"{name:<36}{value:>10.4g}{random:>10.4g}" for name, value, random in measured],
            *[f"note: {note}" for note in scores.notes],
            *[f"{scores.compat}: {name} = {value:.6g}" for name, value in scores.published.items()],
        ]
    )


main = Program(
    "bengrn",
    "Score any gene network against real ground truths.",
    {
        "score": Command(
            "Score a network against a ground truth, beside baselines.",
            ("score network.h5ad --truth omnipath-demo", "score edges.csv --truth my_edges.csv --bootstrap 200 --json"),
            _score_options,
            _score,
        ),
        "infer": Command(
            "Infer networks from cells with any method.",
            (
                "infer cells.h5ad --method clr --regulators tf -o network.h5ad",
                "infer cells.h5ad --method aracne --set tolerance=0.15 --groupby cell_type -o 'net_{group}.tsv'",
            ),
            infer_command.options,
            infer_command.command,
        ),
        "report": Command(
            "Write the leaderboard of a benchmark as one page.",
            ("report results -o leaderboard.html", "report results --add theirs.csv -o leaderboard.html"),
            report_command.options,
            report_command.command,
        ),
        "simulate": Command(
            "Simulate cells of a known network, and write its true edges beside them.",
            (
                "simulate sergio edges.csv -o cells.h5ad",
                "simulate boolode rules.txt -o cells.h5ad --initial UGR --n-cells 2000",
            ),
            simulate_command.options,
            simulate_command.command,
        ),
        "run": Command(
            "Run a benchmark: methods × data sets × truths, into one table.",
            ("run --preset quick --out results", "run benchmark.yaml --workers 4 --memory-limit 8GB"),
            run_command.options,
            run_command.command,
        ),
        "embed": Command(
            "Embed cells with weights of scGPT or Geneformer.",
            ("embed cells.h5ad --method scgpt --set folder=scGPT_human -o embedded.h5ad",),
            embed_command.options,
            embed_command.command,
        ),
        "compare": Command(
            "Score several networks on the same pairs, with paired intervals.",
            ("compare mine.csv theirs.csv --truth omnipath-demo",),
            _compare_options,
            _compare,
        ),
        "enrich": Command(
            "Test hubs for transcription factors, cell-type markers and ENCODE targets.",
            ("enrich network.h5ad --out enriched.csv",),
            _enrich_options,
            _enrich,
        ),
        "inspect": Command(
            "Say what made a file.", ("inspect scores.json", "inspect enriched.csv"), _inspect_options, _inspect
        ),
        "truths": Command(
            "List the ground truths, or describe one.",
            ("truths", "truths omnipath-demo"),
            list_commands.truths_options,
            list_commands.truths,
        ),
        "fetch": Command(
            "Fetch ground truths into the cache.",
            ("fetch collectri trrust --organism human",),
            list_commands.fetch_options,
            list_commands.fetch,
        ),
        "methods": Command(
            "List the installed methods, or describe one.",
            ("methods", "methods pearson"),
            list_commands.methods_options,
            list_commands.methods,
        ),
    },
)


if __name__ == "__main__":
    raise SystemExit(main())
