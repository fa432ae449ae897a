"""``bengrn truths``, ``bengrn fetch`` and ``bengrn methods``: what there is, and bringing truths here."""

from __future__ import annotations

from jsonargparse import Namespace

from bengrn._command_options import Parser


def truths_options(parser: Parser) -> None:
    """Add the option of ``bengrn truths``."""
    parser.add_argument("name", metavar="NAME", type=str, nargs="?", help="a truth to describe")


def fetch_options(parser: Parser) -> None:
    """Add the options of ``bengrn fetch``."""
    parser.add_argument("names", metavar="NAME", type=str, nargs="+", help="see `bengrn truths`")
    parser.add_argument("--organism", type=str, help="of truths that exist for several; all when left out")


def methods_options(parser: Parser) -> None:
    """Add the option of ``bengrn methods``."""
    parser.add_argument("name", metavar="NAME", type=str, nargs="?", help="a method to describe")


def truths(args: Namespace) -> str:
    """Return the table of ground truths, or the description of one."""
    from bengrn.truths import describe_truth, list_truths

    if args.name:
        return describe_truth(args.name)
    table = list_truths().astype(object)
    shown = table[["name", "organism", "options", "edges", "regulators", "available", "licence"]]
    return (
        shown.fillna("").to_string(index=False) + "\n\n`bengrn truths NAME` tells more: citation, orientation, options"
    )


def fetch(args: Namespace) -> str:
    """Fetch ground truths; return what lies where."""
    from bengrn.truths import fetch_truths

    return fetch_truths(args.names, args.organism).to_string(index=False)


def methods(args: Namespace) -> str:
    """Return the table of methods, or the description of one."""
    from bengrn.registry import describe_method, method_table

    if args.name:
        return describe_method(args.name)
    table = method_table()
    words = {True: "yes", False: "no"}
    shown = table[["name", "takes", "directed", "deterministic", "needs", "package"]].astype(object)
    for column in ("directed", "deterministic"):
        shown[column] = shown[column].map(words)
    broken = [f"{name} cannot be used: {why}" for name, why in zip(table["name"], table["trouble"], strict=True) if why]
    return "\n\n".join([shown.fillna("").to_string(index=False), *broken, "`bengrn methods NAME` tells more"])
