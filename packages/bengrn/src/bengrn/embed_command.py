"""``bengrn embed``: embeddings of the cells in a file, by scGPT or Geneformer."""

from __future__ import annotations

from jsonargparse import Namespace

from bengrn._command_line import check_output, with_folder
from bengrn._command_options import Parser
from bengrn.infer_command import add_reading_options, meant_counts, read_cells, settings_in


def options(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument("input", metavar="CELLS", type=str, help="file of expression, as for `bengrn infer`")
    parser.add_out("file to write, h5ad: the cells with their embedding in obsm")
    parser.add_argument("--method", type=str, default="scgpt", help="method with a model: scgpt or geneformer")
    parser.add_argument(
        "--set", type=list[str], default=[], metavar="NAME=VALUE", help="settings of the method, such as folder=MODEL"
    )
    add_reading_options(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed for what the method draws")
    parser.add_argument("--key", type=str, help="name in obsm; X_METHOD by default")


def command(args: Namespace) -> str:
    """Embed cells and write them; return what to print."""
    import numpy as np

    from bengrn._provenance import from_files, in_uns, steps_of
    from bengrn.embedding import embed
    from bengrn.inference import with_expression
    from grnndata import atomic_path

    if not args.out.endswith(".h5ad"):
        raise ValueError(f"{args.out}: cells are written as h5ad")
    check_output(args.out, args.input)
    settings = settings_in(args.method, args.set)
    adata = read_cells(args.input, **meant_counts(args))
    vectors = embed(with_expression(adata, args.layer), args.method, settings=settings, seed=args.seed)
    key = args.key or f"X_{args.method}"
    if key in adata.obsm:
        raise ValueError(f"obsm has {key!r} already: choose another name with --key")
    adata.obsm[key] = vectors
    told = args.as_dict() | {"settings": settings}
    steps = from_files("bengrn embed", told, [args.input], skip=("input", "out", "set"))
    adata.uns.update(in_uns([*steps_of(adata.uns), *steps]))
    with atomic_path(with_folder(args.out)) as temporary:
        adata.write_h5ad(temporary)
    empty = int(np.isnan(vectors).any(axis=1).sum())
    left = f"; {empty:,} cells express no gene that the model knows: their rows are NaN" if empty else ""
    return f"{len(vectors):,} cells × {vectors.shape[1]} numbers in obsm[{key!r}]{left}\nwritten to {args.out}"
