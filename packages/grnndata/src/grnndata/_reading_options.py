"""The options of the command line that say how a table is read, and the reading itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from ._command_options import Parser

if TYPE_CHECKING:
    from .core import GRNAnnData


def add_reading(parser: Parser) -> None:
    """Add the options that say how a table is read."""
    parser.add_argument(
        "--columns",
        type=list[str],
        help="columns of an edge table with source, target and weight (two: every weight is 1), by name or by "
        "position from 0",
    )
    parser.add_argument(
        "--duplicates", choices=["error", "sum", "max"], default="error", help="pairs that an edge table lists twice"
    )
    parser.add_argument(
        "--missing", choices=["error", "drop"], default="error", help="rows of a table without a name or a number"
    )
    parser.add_argument(
        "--orientation",
        choices=["regulator_target", "target_regulator"],
        default="regulator_target",
        help="what the rows and columns of a matrix are",
    )


def read_file(path: str, args: Namespace, *, of: int = 1) -> GRNAnnData:
    """Read a network, with the options of tables; of several files they are meant for those that are tables."""
    from .edge_files import is_edge_file
    from .read import read_network

    options: dict[str, Any] = {"duplicates": args.duplicates, "missing": args.missing}
    if of == 1 or is_edge_file(path):
        options["columns"] = None if args.columns is None else tuple(args.columns)
        options["orientation"] = args.orientation
    return read_network(path, **options)
