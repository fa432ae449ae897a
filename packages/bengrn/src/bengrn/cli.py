"""The command `bengrn`: score a network file, list truths and methods."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentError, ArgumentParser, Namespace

if TYPE_CHECKING:
    from bengrn.scoring import Scores

_TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", ".csv.gz", ".tsv.gz")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 2 after one line on stderr for input that cannot be used."""
    parser = _parser()
    try:
        args = parser.parse_args(None if argv is None else list(argv))
        output = _COMMANDS[args.subcommand](args[args.subcommand])
    except (ArgumentError, ValueError, TypeError, OSError) as error:
        sys.stderr.write(f"bengrn: {' '.join(str(error).split())}\n")
        return 2
    sys.stdout.write(output + "\n")
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="bengrn", description="Score any gene network against real ground truths.", exit_on_error=False
    )
    commands = parser.add_subcommands(required=True)

    scoring = ArgumentParser(description="Score a network against a ground truth.", exit_on_error=False)
    scoring.add_argument(
        "network",
        metavar="NETWORK",
        type=str,
        help="h5ad with varp['GRN'], or an edge table (csv, tsv, parquet, gz)",
    )
    scoring.add_argument("--truth", type=str, required=True, help="name of a ground truth: see `bengrn truths`")
    scoring.add_argument("--organism", type=str, default="human", help="organism of the truth")
    scoring.add_argument("--transpose", action="store_true", help="take the network's columns as regulators")
    scoring.add_argument(
        "--regulators",
        choices=["truth", "all"],
        default="truth",
        help="rows: with a true edge, or every gene",
    )
    scoring.add_argument("--direct-only", action="store_true", help="leave out edges known only for complexes")
    scoring.add_argument("--json", action="store_true", help="print every score and count as JSON")
    commands.add_subcommand("score", scoring)
    commands.add_subcommand("truths", ArgumentParser(description="List the ground truths.", exit_on_error=False))
    commands.add_subcommand("methods", ArgumentParser(description="List the installed methods.", exit_on_error=False))
    return parser


def _score(args: Namespace) -> str:
    from bengrn.scoring import score
    from bengrn.truths import load_truth

    options = {"complexes": False} if args.direct_only else {}
    truth = load_truth(args.truth, organism=args.organism, **options)
    scores = score(_read(args.network), truth, transpose=args.transpose, regulators=args.regulators)
    if args.json:
        return json.dumps(scores.to_dict(), indent=2)
    return _table(scores)


def _read(path: str) -> Any:
    import grnndata

    if path.lower().endswith(_TABLE_SUFFIXES):
        return grnndata.from_edges(grnndata.read_edges(path), method=path)
    if path.lower().endswith(".h5ad"):
        return grnndata.read_h5ad(path)
    raise ValueError(f"cannot tell what {path} is: name it .h5ad, or one of {', '.join(_TABLE_SUFFIXES)}")


def _table(scores: Scores) -> str:
    chance = scores.prevalence
    measured = [
        ("AP (average precision)", scores.ap, chance),
        ("AP / prevalence", scores.ap_ratio, 1.0),
        ("AUPRC (trapezoid)", scores.auprc, chance),
        ("AUPRC (paper, above prevalence)", scores.auprc_paper, 0.0),
        ("AUROC", scores.auroc, 0.5),
        ("EPR (early precision / prevalence)", scores.epr, 1.0),
        ("EPR (paper, odds ratio)", scores.odds_ratio, 1.0),
    ]
    lost = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in scores.lost.items() if count)
    orientation = "transposed: columns are regulators" if scores.transposed else "as stored: rows are regulators"
    return "\n".join(
        [
            f"{scores.method} against {scores.truth} ({orientation})",
            f"{scores.n_matched:,} of {scores.n_genes:,} genes matched by {scores.matched_by}; scored "
            f"{scores.n_regulators:,} regulators × {scores.n_targets:,} targets = {scores.n_pairs:,} pairs",
            f"{scores.n_positives:,} of {scores.n_true_edges:,} true edges among them (lost: {lost or 'none'})",
            "",
            f"{'score':<36}{'network':>10}{'random':>10}",
            *[f"{name:<36}{value:>10.4g}{random:>10.4g}" for name, value, random in measured],
        ]
    )


def _truths(_: Namespace) -> str:
    from bengrn.truths import list_truths

    return "\n\n".join(
        f"{row['name']} ({row['organism']}): {row['edges']:,} edges, {row['genes']:,} genes, "
        f"{row['version']}\n"
        f"  cite: {row['citation']}\n  licence: {row['licence']}"
        for row in list_truths().to_dict("records")
    )


def _methods(_: Namespace) -> str:
    from bengrn.registry import list_methods

    return "\n".join(f"{name:<12}{value}" for name, value in list_methods().items())


_COMMANDS = {"score": _score, "truths": _truths, "methods": _methods}


if __name__ == "__main__":
    raise SystemExit(main())
