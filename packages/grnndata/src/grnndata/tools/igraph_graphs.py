"""Graphs for igraph's algorithms, and random numbers for them that leave the caller's alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray


def import_igraph() -> Any:
    """Return the module igraph.

    Raises
    ------
    ImportError
        When it is not installed.
    """
    try:
        import igraph
    except ImportError as error:
        raise ImportError("this needs igraph: pip install grnndata[igraph]") from error
    return igraph


def build_graph(n: int, sources: NDArray[Any], targets: NDArray[Any], *, directed: bool) -> Any:
    """Return an igraph graph of `n` vertices and the edges between numbered ones, in the order given."""
    # igraph takes a list of pairs faster than an array.
    pairs = np.column_stack([sources, targets]).tolist()
    return import_igraph().Graph(n=n, edges=pairs, directed=directed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let igraph draw its random numbers from a generator of its own."""
    igraph = import_igraph()
    igraph.set_random_number_generator(random.Random(seed))  # noqa: S311
    try:
        yield
    finally:
        # Python's own generator, which igraph uses unless told otherwise.
        igraph.set_random_number_generator(random)
