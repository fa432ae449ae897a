"""``bengrn infer``: networks of any method from a file of cells."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from bengrn._command_line import check_output, with_folder
from bengrn._command_options import Parser
from bengrn._wording import listed

if TYPE_CHECKING:
    from grnndata import GRNAnnData

#: Entry points of packages that read other formats.
READERS = "bengrn.readers"
_TABLES = (".csv", ".tsv", ".txt", ".parquet", ".gz")
#: Stands in the name of a table for the group.
_GROUP = "{group}"
#: Columns of edge tables by format: as ours, and as pySCENIC's next step takes them.
_FORMATS = {"edges": ["source", "target", "weight"], "scenic": ["TF", "target", "importance"]}


def options(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "input",
        metavar="CELLS",
        type=str,
        help="file of expression: h5ad or zarr; with scdataloader installed also 10x and loom",
    )
    parser.add_out("file to write: h5ad or zarr (cells and networks), or csv, tsv, parquet (edges)")
    parser.add_argument("--method", type=str, default="pearson", help="method, see `bengrn methods`")
    parser.add_argument(
        "--set", type=list[str], default=[], metavar="NAME=VALUE", help="settings of the method, such as bins=5"
    )
    parser.add_argument(
        "--work", type=str, metavar="FOLDER", help="folder that keeps what is done, so that an ended run goes on there"
    )
    parser.add_argument(
        "--scheduler", type=str, metavar="ADDRESS", help="Dask scheduler, or its file, whose workers do the targets"
    )
    parser.add_argument("--groupby", type=str, help="column of obs: one network for each of its values")
    parser.add_argument("--group", type=list[str], help="values of that column whose cells are taken; all by default")
    parser.add_argument("--genes", type=str, help="file with one gene a line: the genes of the network; all by default")
    parser.add_argument("--n-genes", type=int, help="number of the most variable genes, instead of all")
    parser.add_argument(
        "--regulators", type=str, default="all", help="genes with outgoing edges: all, tf, or a file with one a line"
    )
    parser.add_argument("--organism", type=str, default="human", help="organism of the transcription factors")
    parser.add_argument("--n-cells", type=int, help="number of cells of a group at most, drawn at random")
    add_reading_options(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed for the method and the draw of cells")
    parser.add_argument(
        "--format", choices=list(_FORMATS), default="edges", help="columns of a table; scenic: TF, target, importance"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what the networks will take, without making them")


def add_reading_options(parser: Parser) -> None:
    """Add the options that say which values of a file of cells are taken."""
    parser.add_argument("--layer", type=str, help="layer that holds the expression, or raw; X by default")
    parser.add_argument(
        "--counts",
        type=str,
        default="X",
        help="place of the raw counts: X, raw, a layer, or auto for the first that holds whole numbers",
    )
    parser.add_argument("--round", action="store_true", help="round fractional counts")
    parser.add_argument("--drop-bad-cells", action="store_true", help="leave out cells with values that are no counts")
    parser.add_argument("--unique-names", action="store_true", help="number repeated names of cells")
    parser.add_argument("--genome", type=str, help="genome whose genes are taken, where the data hold several")


def command(args: Namespace) -> str:
    """Infer networks and write them; return what to print."""
    import grnndata
    from bengrn._provenance import beside, from_files, in_uns, write
    from bengrn.effort import estimate, is_long
    from bengrn.inference import carried_out, plan

    is_table = str(args.out).lower().endswith(_TABLES)
    _check(args, is_table=is_table)
    choice = _choice(args)
    work = plan(read_cells(args.input, **meant_counts(args)), args.method, **choice)
    if args.dry_run:
        return str(estimate(work))
    is_watched = sys.stderr.isatty()
    if is_watched and is_long(work):
        sys.stderr.write(f"{estimate(work)}\n")
    result = carried_out(work, seed=args.seed, progress=_tell if is_watched else None)
    settings = {name: value for name, value in choice["settings"].items() if name not in ("work", "scheduler")}
    told = args.as_dict() | {"settings": settings}
    steps = from_files("bengrn infer", told, _files(args), skip=("input", "out", "dry_run", "set", "work", "scheduler"))
    if not is_table:
        out = with_folder(args.out)
        result.uns.update(in_uns(steps))
        (grnndata.write_zarr if out.suffix == ".zarr" else grnndata.write_h5ad)(result, out)
        return _told(result, [out])
    networks = _networks(result)
    paths = {name: with_folder(place_of(args.out, name)) for name in networks}
    if len(set(paths.values())) < len(paths):
        raise ValueError(f"groups {listed(paths)} would be written to the same file: write an h5ad")
    for name, path in paths.items():
        grnndata.write_edges(networks[name], path, columns=_FORMATS[args.format])
        write(beside(path), steps)
    return _told(result, list(paths.values()))


def read_cells(path: str, **options: Any) -> Any:
    """Read a file of expression.

    Parameters
    ----------
    path
        File or folder: h5ad or zarr, or, with scdataloader installed, what it reads (10x, loom).
    **options
        Options of scdataloader's `CountsChoice`; without them X is taken as it is.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ImportError
        If it takes scdataloader, and that is not installed.
    ValueError
        If it is not a file of cells, or does not hold the counts that are meant.
    """
    import anndata

    place = Path(path)
    if not place.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if not options and place.suffix == ".h5ad":
        return anndata.read_h5ad(place)
    if not options and place.suffix == ".zarr":
        return anndata.read_zarr(place)
    for reader in entry_points(group=READERS):
        return reader.load()(place, **options)
    asked = ", ".join(f"--{name.replace('_', '-')}" for name in options) or f"reading {path}"
    raise ImportError(f"{asked} needs the package scdataloader (h5ad and zarr, X or a layer, are read without)")


def _check(args: Namespace, *, is_table: bool) -> None:
    """Check what costs nothing, before anything is read."""
    from bengrn._provenance import beside

    if args.layer is not None and args.counts != "X":
        raise ValueError(f"--layer {args.layer} and --counts {args.counts} are two places of the expression: give one")
    if args.dry_run:
        return
    check_output(place_of(args.out, "group"), *_files(args))
    if is_table:
        beside(place_of(args.out, "group"))
        one = args.group is not None and len(args.group) == 1
        if args.groupby is not None and not one and _GROUP not in args.out:
            raise ValueError(
                f"a table holds one network, and --groupby makes several: name them by their group, as in "
                f"-o net_{_GROUP}.tsv, or write an h5ad"
            )
    elif not args.out.endswith((".h5ad", ".zarr")):
        raise ValueError(f"{args.out}: networks are written as h5ad or zarr, their edges as csv, tsv or parquet")
    elif args.format != "edges":
        raise ValueError(f"--format {args.format} is one of tables: write csv, tsv or parquet")


def _choice(args: Namespace) -> dict[str, Any]:
    own = [f"{name}={args[name]}" for name in ("work", "scheduler") if args[name] is not None]
    if own:
        from bengrn.registry import setting_names

        lacking = [
            f"--{one.partition('=')[0]}" for one in own if one.partition("=")[0] not in setting_names(args.method)
        ]
        if lacking:
            raise ValueError(f"{args.method} cannot use {' and '.join(lacking)}: methods of trees can")
    regulators: Any = args.regulators
    if regulators != "tf":
        regulators = None if regulators == "all" else names_in(regulators, "--regulators is 'all', 'tf' or")
    keys = ("groupby", "group", "n_genes", "organism", "n_cells", "layer", "seed")
    return {
        "settings": settings_in(args.method, [*args.set, *own]),
        "genes": None if args.genes is None else names_in(args.genes, "--genes is"),
        "regulators": regulators,
    } | {key: args[key] for key in keys}


def settings_in(method: str, texts: list[str]) -> dict[str, Any]:
    """Return the settings of a method that ``--set`` gives.

    Parameters
    ----------
    method
        Name of the method.
    texts
        Settings, each as ``NAME=VALUE``.

    Raises
    ------
    ValueError
        If a text has another form, or its value is not of the setting's type.
    TypeError
        If the method has no such setting.
    """
    from bengrn.registry import parse_settings

    given = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set takes NAME=VALUE, and not {text!r}")
        given[name.strip().replace("-", "_")] = value.strip()
    return parse_settings(method, given)


def meant_counts(args: Namespace) -> dict[str, Any]:
    """Return the options of the raw counts that were given."""
    usual = {"counts": "X", "round": False, "drop_bad_cells": False, "unique_names": False, "genome": None}
    return {name: args[name] for name, value in usual.items() if args[name] != value}


def names_in(path: str, what: str) -> list[str]:
    """Return the genes of a file with one name a line; names may hold blanks, as "CRX (27g)".

    Parameters
    ----------
    path
        Name of the file.
    what
        Beginning of the message where the file does not exist.

    Raises
    ------
    ValueError
        If the file does not exist.
    """
    if not Path(path).is_file():
        raise ValueError(f"{what} a file with one gene a line, and not {path!r}")
    return [line.strip() for line in Path(path).read_text(encoding="utf-8-sig").splitlines() if line.strip()]


def _files(args: Namespace) -> list[str]:
    return [args.input, *[path for path in (args.genes, args.regulators) if path is not None and Path(path).is_file()]]


def _networks(result: GRNAnnData) -> dict[str, Any]:
    return {"": result} if "GRN" in result.varp else {name: result.networks[name] for name in result.networks}


def place_of(out: str, group: str) -> str:
    """Return the name of a group's file, where ``{group}`` stands in the name of all."""
    return out.replace(_GROUP, "".join(one if one.isalnum() or one in "-_.+" else "_" for one in group))


def _told(result: GRNAnnData, paths: list[Path]) -> str:
    networks = _networks(result)
    lines = [f"{f'{name}: ' if name else ''}{network.n_edges:,} edges" for name, network in networks.items()]
    return "\n".join([*lines, *[f"written to {path}" for path in paths]])


def _tell(name: str, at: int, n: int) -> None:
    sys.stderr.write(f"network {at + 1} of {n}{f': {name}' if name else ''}\n")
