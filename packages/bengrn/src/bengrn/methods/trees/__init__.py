"""Trees that predict each gene from the regulators: GENIE3, GRNBoost2, and one forest for all genes."""


def need_numba() -> None:
    """Raise ImportError, with the way out, where the compiler of the trees is not installed."""
    try:
        import numba  # noqa: F401
    except ImportError as error:
        raise ImportError("trees are compiled by numba: pip install bengrn[trees]") from error
