"""``bengrn simulate``: cells of a known network, and that network, as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from bengrn._command_line import check_output, with_folder
from bengrn._command_options import Parser
from bengrn._wording import counted, listed

if TYPE_CHECKING:
    from bengrn.simulate.simulated import Simulation
    from bengrn.simulate.technical import TechnicalNoise

#: Options that one model alone takes.
_OF_SERGIO = ("rates", "differentiation", "n_types", "spacing", "cycles", "duplicates")
_OF_BOTH = ("n_cells", "duration", "hill", "noise", "knock_out")
_FILES = ("rates", "differentiation", "beside")


def options(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument("model", metavar="MODEL", choices=["sergio", "boolode"], help="sergio or boolode")
    parser.add_argument(
        "input",
        metavar="NETWORK",
        type=str,
        help="file of edges, SERGIO's file of interactions, for boolode also Boolean rules; or the name of a truth",
    )
    parser.add_out("file of cells to write: h5ad or zarr; the true edges go beside it, as NAME.truth.csv")
    parser.add_argument("--n-cells", type=int, help="number of cells (1,000 when left out)")
    parser.add_argument("--n-types", type=int, help="number of cell types (sergio; 9 when left out)")
    parser.add_argument("--rates", type=str, help="file of production rates, master regulators × cell types (sergio)")
    parser.add_argument(
        "--differentiation", type=str, help="file of the differentiation graph, cell types × cell types (sergio)"
    )
    parser.add_argument("--initial", type=list[str], help="genes that are on at the start (boolode)")
    parser.add_argument("--knock-out", type=list[str], help="genes that are not produced")
    parser.add_argument("--duration", type=float, help="time over which cells are spread that differentiate")
    parser.add_argument("--spacing", type=int, help="time steps of a steady state for each cell (sergio)")
    parser.add_argument("--hill", type=float, help="Hill exponent")
    parser.add_argument("--noise", type=float, help="amplitude of the noise of production and decay")
    parser.add_argument("--cycles", choices=["error", "break", "keep"], help="what becomes of feedback (sergio)")
    parser.add_argument("--duplicates", choices=["error", "first"], help="edges that a table lists twice (sergio)")
    parser.add_argument(
        "--technical", choices=["sergio", "none"], help="technical noise (left out: sergio for sergio, else none)"
    )
    parser.add_argument(
        "--set",
        type=list[str],
        default=[],
        metavar="NAME=VALUE",
        help="numbers of the technical noise, such as dropout_percentile=50",
    )
    parser.add_argument("--organism", type=str, default="human", help="organism of the truth")
    parser.add_argument("--options", type=dict[str, Any], default={}, help="options of the truth, as JSON")
    parser.add_argument("--beside", type=str, metavar="CELLS", help="real cells, h5ad or zarr, to compare with")
    parser.add_argument("--plot", type=str, help="picture of that comparison: png, pdf or svg")
    parser.add_argument("--seed", type=int, default=0, help="seed of all that is random")


def command(args: Namespace) -> str:
    """Simulate cells and write them and their network; return what to print."""
    from bengrn._provenance import beside, from_files, in_uns, write

    _check(args)
    out = Path(args.out)
    place = truth_place(out)
    beside(place)
    cells, truth = _simulated(args)
    files = [path for path in (args.input, *(args[name] for name in _FILES[:2])) if path and Path(path).is_file()]
    told = {name: value for name, value in args.as_dict().items() if value is not None}
    skip = ("input", "out", *_FILES, "plot")
    record = {"truth": args.input} if not Path(args.input).is_file() else {}
    if files:
        steps = from_files(f"bengrn simulate {args.model}", told | record, files, skip=skip)
        cells.uns.update(in_uns(steps))
    else:
        from bengrn._provenance import steps_of

        steps = steps_of(cells.uns)
    with_folder(out)
    from grnndata import atomic_path

    if out.suffix == ".zarr":
        with atomic_path(out) as temporary:
            cells.write_zarr(temporary)
    else:
        with atomic_path(out) as temporary:
            cells.write_h5ad(temporary)
    with atomic_path(place) as temporary:
        truth.edges.to_csv(temporary, index=False)
    write(beside(place), steps)
    lines = [f"{cells.n_obs:,} cells × {cells.n_vars:,} genes written to {out}"]
    lines += [f"{counted(len(truth), 'true edge')} written to {place}"]
    lines += [f"note: {note}" for note in cells.uns["simulation"]["notes"]]
    return "\n\n".join(["\n".join(lines), *_compared(args, cells)])


def truth_place(out: Path) -> Path:
    """Return where the true edges of cells lie: ``cells.truth.csv`` beside ``cells.h5ad``."""
    return out.with_suffix(".truth.csv")


def _check(args: Namespace) -> None:
    """Check what costs nothing, before anything is simulated."""
    if not args.out.endswith((".h5ad", ".zarr")):
        raise ValueError(f"{args.out}: cells are written as h5ad or zarr")
    inputs = [one for one in (args.input, *(args[name] for name in _FILES)) if one is not None]
    check_output(args.out, *inputs, is_folder=args.out.endswith(".zarr") and Path(args.out).is_dir())
    check_output(truth_place(Path(args.out)), *inputs)
    if args.plot is not None:
        if args.beside is None:
            raise ValueError("--plot draws simulated cells beside real ones: name these with --beside")
        check_output(args.plot, *inputs)
    if args.model == "boolode":
        alien = [name for name in _OF_SERGIO if args[name] is not None]
        if alien:
            raise ValueError(f"{_options(alien)} {'are' if len(alien) > 1 else 'is'} of sergio, not of boolode")
    elif args.initial is not None:
        raise ValueError("--initial is of boolode, not of sergio: cells of sergio start in the steady state")
    if args.set and _technical_name(args) == "none":
        raise ValueError("--set takes numbers of the technical noise, and there is none: give --technical sergio")
    if args.options and Path(args.input).is_file():
        raise ValueError(f"--options are those of a truth by name, and {args.input} is a file")


def _options(names: list[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def _technical_name(args: Namespace) -> str:
    return args.technical or ("sergio" if args.model == "sergio" else "none")


def _technical(args: Namespace) -> TechnicalNoise | None:
    from dataclasses import fields

    from bengrn.simulate.technical import TechnicalNoise

    if _technical_name(args) == "none":
        return None
    known = {field.name: field for field in fields(TechnicalNoise)}
    words = {"none": None, "yes": True, "no": False, "true": True, "false": False}
    given: dict[str, Any] = {}
    for text in args.set:
        name, equals, value = (part.strip() for part in text.partition("="))
        name = name.replace("-", "_")
        if not equals:
            raise ValueError(f"--set takes NAME=VALUE, and not {text!r}")
        if name not in known:
            raise ValueError(f"the technical noise has no {name!r}; it has {listed(known)}")
        try:
            given[name] = words[value.lower()] if value.lower() in words else float(value)
        except ValueError as error:
            raise ValueError(f"{name} of the technical noise is a number, and not {value!r}") from error
    return TechnicalNoise(**given)


def _simulated(args: Namespace) -> Simulation:
    from bengrn.simulate import boolode, sergio

    names = [*_OF_BOTH, *(_OF_SERGIO if args.model == "sergio" else ("initial",))]
    given = {name: args[name] for name in names if args[name] is not None}
    network: Any = args.input
    if not Path(args.input).is_file():
        network = _truth(args)
    given |= {"technical": _technical(args), "organism": args.organism, "seed": args.seed}
    return (sergio if args.model == "sergio" else boolode)(network, **given)


def _truth(args: Namespace) -> Any:
    from bengrn.truths import list_truths, load_truth

    if args.input not in set(list_truths()["name"]):
        raise FileNotFoundError(f"there is no file {args.input}, and no truth of that name (see `bengrn truths`)")
    return load_truth(args.input, organism=args.organism, **args.options)


def _compared(args: Namespace, cells: Any) -> list[str]:
    if args.beside is None:
        return []
    from bengrn.infer_command import read_cells
    from bengrn.simulate.realism_report import plot_realism, realism

    real = read_cells(args.beside)
    told = [realism(cells, real).to_string(float_format="{:.4g}".format)]
    if args.plot is not None:
        plot_realism(cells, real, with_folder(args.plot))
        told.append(f"picture: {args.plot}")
    return told
