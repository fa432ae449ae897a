"""The command `grnndata`: look into network files, convert, compare, test and draw them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ActionYesNo, Namespace

from ._command_line import Command, Program, check_output, with_folder
from ._command_options import Parser
from ._command_record import place_beside, record_of, told_beside
from ._reading_options import add_reading, read_file
from ._wording import counted

# The help has to come at once: what reads files is imported where it is used.
if TYPE_CHECKING:
    import pandas as pd

    from .core import GRNAnnData

_FILE = (
    "h5ad or zarr with a network, edge table or matrix (csv, tsv, txt, gz, parquet, npy), SCENIC loom, gmt, sif, "
    "graphml, Open Problems h5ad"
)
_PICTURES = (".png", ".svg", ".pdf")
_TABLES = {".csv": ",", ".tsv": "\t"}


def _inspect_options(parser: Parser) -> None:
    _add_files(parser, "file")


def _convert_options(parser: Parser) -> None:
    _add_files(parser, "source")
    parser.add_out("h5ad, zarr, edge table (csv, tsv, txt, gz, parquet), graphml or sif")
    parser.add_argument("--threshold", type=float, help="keep edges of at least this absolute weight")
    parser.add_argument("--top-k", type=int, help="keep this many edges, those of largest absolute weight")
    _add_network(parser)


def _hubs_options(parser: Parser) -> None:
    _add_files(parser, "file")
    parser.add_argument("--top-k", type=int, default=10, help="how many genes")
    _add_direction(parser)
    _add_network(parser)


def _compare_options(parser: Parser) -> None:
    _add_files(parser, "a", "b")
    parser.add_argument("--top-k", type=int, default=20, help="edges out of every gene that are compared")


def _differential_options(parser: Parser) -> None:
    for side in "ab":
        parser.add_argument(f"--{side}", type=list[str], required=True, metavar="FILES", help=f"one group: {_FILE}")
        named = f"those of one file --{side} that holds several; all when not given"
        parser.add_argument(f"--network-{side}", type=list[str], metavar="NAMES", help=named)
        parser.add_argument(f"--blocks-{side}", type=list[str], metavar="LABELS", help="block of each network")
    kinds, statistics = ["hubs", "edges", "overlap"], ["difference", "rank", "welch"]
    parser.add_argument("--of", choices=kinds, default="hubs", help="what may differ: hubs, edges, or all together")
    paired = "whether networks come in pairs, in the order given"
    parser.add_argument("--paired", action=ActionYesNo(no_prefix="no_"), nargs="?", default=False, help=paired)
    parser.add_argument("--statistic", choices=statistics, default="difference", help="what is compared")
    add_reading(parser)
    _add_direction(parser)
    parser.add_argument("--permutations", type=int, default=10_000, help="exchanges of labels, where there are more")
    _add_table(parser)


def _enrich_options(parser: Parser) -> None:
    _add_files(parser, "file")
    parser.add_argument("--gene-sets", type=str, required=True, metavar="GMT", help="gene sets: gmt or gmt.gz")
    parser.add_argument(
        "--ranking",
        choices=["out_strength", "in_strength", "eigenvector"],
        default="out_strength",
        help="what hubs are",
    )
    parser.add_argument(
        "--test",
        choices=["camera", "prerank"],
        default="camera",
        help="camera allows for genes that are correlated; prerank (needs gseapy) compares with random genes",
    )
    _add_network(parser)
    _add_table(parser)


def _draw_options(parser: Parser) -> None:
    _add_files(parser, "file")
    parser.add_out(f"html (interactive page), or {', '.join(_PICTURES)}")
    parser.add_argument("--genes", type=list[str], help="names of the genes to draw; html may do without")
    parser.add_argument("--neighbours", type=int, help="strongest neighbours of each gene to add")
    parser.add_argument("--top-k", type=int, help="how many edges to draw, the strongest")
    _add_network(parser)


def _add_files(parser: Parser, *files: str) -> None:
    for name in files:
        parser.add_argument(name, metavar=name.upper(), type=str, help=_FILE)
        if len(files) > 1:
            parser.add_argument(f"--network-{name}", type=str, metavar="NAME", help=f"the network of {name.upper()}")
    add_reading(parser)


def _add_network(parser: Parser) -> None:
    parser.add_argument("--network", type=str, metavar="NAME", help="which one, in a file with several networks")


def _add_direction(parser: Parser) -> None:
    parser.add_argument("--direction", choices=["out", "in"], default="out", help="genes as regulators, or as targets")


def _add_table(parser: Parser) -> None:
    parser.add_argument("-o", "--out", type=str, metavar="TABLE", help="write the whole table here: csv or tsv")
    parser.add_argument("--top-k", type=int, default=20, help="rows to print when there is no --out")
    parser.add_argument("--seed", type=int, default=0, help="seed of the permutations")


def _inspect(args: Namespace) -> str:
    from ._provenance import read, text
    from .read import reading_notes
    from .schema import UNS_KEY, check_description
    from .tools import hubs

    if Path(args.file).suffix in (".html", ".json", *_PICTURES) and Path(args.file).is_file():
        return text(read(args.file))
    grn = _reading(args.file, args)
    lines = [f"{args.file}: {counted(grn.n_vars, 'gene')}, {counted(grn.n_obs, 'cell')}"]
    if _has_one(grn):
        told = check_description(grn.uns.get(UNS_KEY))
        form = "directed" if told["directed"] else "undirected"
        given = {key: value for key, value in told["parameters"].items() if key != "notes"}
        parameters = ", ".join(f"{key}={_brief(value)}" for key, value in given.items())
        lines += [
            f"network: {counted(grn.n_edges, 'edge')} (density {grn.density:.3g}), {form}, "
            f"{counted(len(grn.regulators), 'regulator')}, {counted(len(grn.targets), 'target')}",
            f"method: {told['method']} ({parameters or 'no parameters given'}), normalisation {told['normalisation']}",
            *(f"note: {note}" for note in reading_notes(grn)),
            *(f"step: {step}" for step in told["steps"]),
        ]
    for name, network in grn.networks.items():
        told = check_description(network.uns.get(UNS_KEY))
        lines.append(f"network {name!r}: {network.n_edges:,} edges, method: {told['method']}")
    lines += ["", "what made it", text(read(args.file))]
    if _has_one(grn):
        lines += ["", "strongest regulators", _text(hubs(grn, 10))]
    return "\n".join(lines)


def _brief(value: Any) -> str:
    """Return a value, or of a long list, such as that of the regulators, its beginning and length."""
    import numpy as np

    listed = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(listed, list) or len(listed) <= 5:
        return str(value)
    return f"[{', '.join(map(str, listed[:3]))}, ... {len(listed):,} in all]"


def _convert(args: Namespace) -> str:
    from ._provenance import in_uns
    from .edge_files import is_edge_file, write_edges
    from .graph_files import write_graphml, write_sif
    from .tools import threshold, top_k
    from .write import write_h5ad, write_zarr

    kind = Path(args.out).suffix.lower()
    writers: dict[str, Any] = {".h5ad": write_h5ad, ".zarr": write_zarr, ".graphml": write_graphml, ".sif": write_sif}
    if kind not in writers and not is_edge_file(args.out):
        kinds = ", ".join([*writers, ".csv", ".tsv"])
        raise ValueError(f"cannot tell what to write to {args.out}: end it with {kinds} or .parquet")
    check_output(args.out, args.source, is_folder=kind == ".zarr")
    record = None if kind in (".h5ad", ".zarr") else place_beside(args.out)
    grn = _reading(args.source, args)
    is_whole = args.threshold is None and args.top_k is None and args.network is None
    if not is_whole or kind not in (".h5ad", ".zarr"):
        grn = _one(grn, args.network)
    if args.threshold is not None:
        grn = threshold(grn, args.threshold)
    if args.top_k is not None:
        grn = top_k(grn, args.top_k, per="all", self_edges=True)
    _say(f"writing {args.out}")
    steps = record_of("convert", args, [args.source], grn)
    grn.uns.update(in_uns(steps))
    writers.get(kind, write_edges)(grn, with_folder(args.out))
    held = counted(grn.n_edges, "edge") if _has_one(grn) else counted(len(grn.networks), "network")
    return f"{args.out}: {held}{told_beside(record, steps)}"


def _hubs(args: Namespace) -> str:
    from .tools import hubs

    return _text(hubs(_one(_reading(args.file, args), args.network), args.top_k, direction=args.direction))


def _compare(args: Namespace) -> str:
    from .tools import compare

    result = compare(*_both(args), top_k=args.top_k).to_series()
    shown = {key: f"{value:,}" if isinstance(value, int) else f"{value:.4g}" for key, value in result.items()}
    return "\n".join(f"{key:<24}{value:>12}" for key, value in shown.items())


def _differential(args: Namespace) -> str:
    from .read import networks_of_files
    from .tools import differential_edges, differential_hubs, differential_overlap

    files = [*args.a, *args.b]
    _check_table(args.out, *files)

    def reader(path: str) -> GRNAnnData:
        return _reading(path, args, of=len(files))

    a, b = (networks_of_files(args[s], args[f"network_{s}"], option=f"--network-{s}", reader=reader) for s in "ab")
    if (args.blocks_a is None) != (args.blocks_b is None):
        raise ValueError("blocks take both --blocks-a and --blocks-b, a label for each network")
    blocks = None if args.blocks_a is None else (args.blocks_a, args.blocks_b)
    shared: Any = {"paired": args.paired, "blocks": blocks, "permutations": args.permutations, "seed": args.seed}
    if args.of == "overlap":
        found = differential_overlap(a, b, **shared)
        table = found.to_frame().T
        table.attrs = found.attrs
    elif args.of == "edges":
        table = differential_edges(a, b, statistic=args.statistic, **shared)
    else:
        table = differential_hubs(a, b, statistic=args.statistic, direction=args.direction, **shared)
    # A file of several networks has one reading, of which they all tell.
    told = [*a[: len(args.a)], *b[: len(args.b)]]
    return f"{_table(table, args, 'differential', files, *told)}\ntest: {table.attrs['test']}"


def _enrich(args: Namespace) -> str:
    from .tools import camera, prerank

    _check_table(args.out, args.file)
    grn = _one(_reading(args.file, args), args.network)
    if args.test == "camera":
        table = camera(grn, args.gene_sets, ranking=args.ranking)
    else:
        _say("comparing with permutations")
        table = prerank(grn, args.gene_sets, ranking=args.ranking, seed=args.seed)
    return f"{_table(table, args, 'enrich', [args.file, args.gene_sets], grn)}\ntest: {table.attrs['test']}"


def _draw(args: Namespace) -> str:
    from . import plotting
    from ._atomic import atomic_path
    from ._provenance import in_uns

    kind = Path(args.out).suffix.lower()
    if kind != ".html" and kind not in _PICTURES:
        raise ValueError(f"cannot tell how to draw {args.out}: end it with .html, {', '.join(_PICTURES)}")
    if kind != ".html" and not args.genes:
        raise ValueError(
            f"choose what to draw on {args.out} with --genes, for example the strongest of `grnndata hubs`"
        )
    check_output(args.out, args.file)
    record = place_beside(args.out) if kind != ".html" else None
    grn = _one(_reading(args.file, args), args.network)
    with_folder(args.out)
    steps = record_of("draw", args, [args.file], grn)
    given = {"neighbours": args.neighbours, "top_edges": args.top_k}
    options = {key: value for key, value in given.items() if value is not None}
    if kind == ".html":
        grn.uns.update(in_uns(steps))
        plotting.network_html(grn, args.out, genes=args.genes, **options)
    else:
        figure: Any = plotting.subnetwork(grn, args.genes, **options).figure
        with atomic_path(args.out) as temporary:
            figure.savefig(temporary)
    return f"{args.out}: written{told_beside(record, steps)}"


def _both(args: Namespace) -> tuple[GRNAnnData, GRNAnnData]:
    a = _one(_reading(args.a, args, of=2), args.network_a, "--network-a")
    return a, _one(_reading(args.b, args, of=2), args.network_b, "--network-b")


def _reading(path: str, args: Namespace, *, of: int = 1) -> GRNAnnData:
    _say(f"reading {path}")
    return read_file(path, args, of=of)


def _has_one(grn: GRNAnnData) -> bool:
    from .schema import GRN_KEY

    return GRN_KEY in grn.varp and grn.varp[GRN_KEY].ndim == 2


def _one(grn: GRNAnnData, name: str | None, option: str = "--network") -> GRNAnnData:
    from .read import choose_network

    return choose_network(grn, name, option=option)


def _check_table(path: str | None, *inputs: str) -> None:
    """Raise an error, before anything is computed, when a table could not be written there."""
    if path is None:
        return
    if Path(path).suffix.lower() not in _TABLES:
        raise ValueError(f"cannot tell what to write to {path}: end it with {' or '.join(_TABLES)}")
    check_output(path, *inputs)
    place_beside(path)


def _table(table: pd.DataFrame, args: Namespace, command: str, inputs: list[str], *networks: GRNAnnData) -> str:
    """Write a table to a file, and what made it beside it; or return its first rows as text."""
    from ._atomic import atomic_path

    if args.out is None:
        return _text(table.head(args.top_k))
    with atomic_path(with_folder(args.out)) as temporary:
        table.to_csv(temporary, sep=_TABLES[Path(args.out).suffix.lower()], index=False)
    steps = record_of(command, args, inputs, *networks)
    return f"{args.out}: {counted(len(table), 'row')}{told_beside(place_beside(args.out), steps)}"


def _text(table: pd.DataFrame) -> str:
    return table.to_string(index=False, float_format=lambda value: f"{value:.4g}")


def _say(text: str) -> None:
    """Tell a person who waits what is going on."""
    if sys.stderr.isatty():
        sys.stderr.write(f"grnndata: {text} ...\n")


main = Program(
    "grnndata",
    "Gene networks in files: look, convert, compare, draw.",
    {
        "inspect": Command(
            "Say what a file holds, and what made it.",
            ("inspect network.h5ad", "inspect edges.csv"),
            _inspect_options,
            _inspect,
        ),
        "convert": Command(
            "Convert a network file.",
            (
                "convert network.h5ad edges.csv --top-k 10000",
                "convert links.csv network.graphml --columns TF,gene,score",
            ),
            _convert_options,
            _convert,
        ),
        "hubs": Command(
            "List the genes of largest strength.",
            ("hubs network.h5ad", "hubs network.h5ad --direction in --top-k 30"),
            _hubs_options,
            _hubs,
        ),
        "compare": Command(
            "Say how much two networks agree.",
            ("compare a.h5ad b.csv", "compare all.h5ad all.h5ad --network-a rods --network-b cones"),
            _compare_options,
            _compare,
        ),
        "differential": Command(
            "Find hubs or edges that differ between two groups of replicate networks.",
            (
                "differential --a d1.h5ad d2.h5ad d3.h5ad --b d4.h5ad d5.h5ad d6.h5ad --out hubs.csv",
                "differential --a rods.h5ad --b cones.h5ad --paired --of edges",
            ),
            _differential_options,
            _differential,
        ),
        "enrich": Command(
            "Find gene sets among the hubs.",
            ("enrich network.h5ad --gene-sets hallmarks.gmt --out enriched.csv",),
            _enrich_options,
            _enrich,
        ),
        "draw": Command(
            "Draw a part of a network.",
            ("draw network.h5ad network.html", "draw network.h5ad network.png --genes RHO,NRL --neighbours 5"),
            _draw_options,
            _draw,
        ),
    },
)


if __name__ == "__main__":
    raise SystemExit(main())
