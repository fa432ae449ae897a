"""Column-major matrices in blocks of cells, and matrices of more values than 32 bits can count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from scdataloader.sources import Matrix, elements


@given(
    data=st.data(),
    shape=st.tuples(st.integers(1, 12), st.integers(1, 8)),
    piece=st.integers(1, 9),
)
def test_blocks_of_a_column_major_matrix_are_those_of_scipy(data: Any, shape: tuple[int, int], piece: int) -> None:
    seed = data.draw(st.integers(0, 2**32 - 1))
    density = data.draw(st.sampled_from([0, 0.2, 1]))
    expected = sparse.random(*shape, density=density, format="csc", rng=np.random.default_rng(seed))
    begin = data.draw(st.integers(0, shape[0] - 1))
    end = data.draw(st.integers(begin, shape[0]))
    element = FakeElement(expected.data, expected.indices, expected.indptr)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(elements, "PIECE", piece)
        matrix = elements.column_major(element, pd.DataFrame(index=range(shape[1])), shape[0])
        assert (matrix.rows(begin, end) != expected.tocsr()[begin:end]).nnz == 0
        assert matrix.row_ends is not None
        assert matrix.row_ends.tolist() == expected.tocsr().indptr[1:].tolist()
    assert max(element["data"].longest, element["indices"].longest) <= piece  # it never reads more at a time


class FakeArray:
    """An array that remembers how much of it was read at a time."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.longest, self.shape, self.dtype = values, 0, values.shape, values.dtype

    def __getitem__(self, part: slice) -> np.ndarray:
        read = self.values[part]
        self.longest = max(self.longest, len(read))
        return read


class FakeElement(dict[str, FakeArray]):
    name = "/X"

    def __init__(self, data: np.ndarray, indices: np.ndarray, indptr: np.ndarray) -> None:
        super().__init__(data=FakeArray(data), indices=FakeArray(indices), indptr=FakeArray(indptr))


class Endless:
    """An array that computes its values when they are read: `n` of them need no memory."""

    def __init__(self, n: int, dtype: Any, value: Callable[[np.ndarray], np.ndarray]) -> None:
        self.shape, self.dtype, self.value = (n,), np.dtype(dtype), value

    def __getitem__(self, part: slice) -> np.ndarray:
        begin, end, _ = part.indices(self.shape[0])
        return self.value(np.arange(begin, end, dtype=np.int64)).astype(self.dtype)


def test_more_than_2_to_the_31_values_are_read_in_place() -> None:
    n_cells, per_cell = 3_000_000, 1000  # 3e9 values: beyond int32
    n_values = n_cells * per_cell
    element: Any = type("Element", (dict,), {"name": "/X"})(
        data=Endless(n_values, np.float32, lambda i: i // per_cell % 1000),
        indices=Endless(n_values, np.int32, lambda i: i % per_cell),
        indptr=Endless(n_cells + 1, np.int64, lambda i: i * per_cell),
    )
    matrix = elements.row_major(element, pd.DataFrame(index=range(per_cell)), n_cells)
    assert matrix.row_ends is not None
    assert matrix.row_ends[-1] == n_values > 2**31
    block = matrix.rows(2_999_998, 3_000_000)
    np.testing.assert_array_equal(block.toarray(), np.repeat([[998.0], [999.0]], per_cell, axis=1))
    assert block.indices.dtype == block.indptr.dtype == np.int32
    # the walk goes over the boundary in blocks of the size asked for
    sizes = [end - begin for begin, end in zip(*_edges(matrix, 500_000_000), strict=True)]
    assert sizes == [500_000] * 6


def _edges(matrix: Matrix, values: int) -> tuple[list[int], list[int]]:
    empty = Matrix(matrix.shape, matrix.var, lambda begin, end: sparse.csr_matrix((end - begin, 1)), matrix.row_ends)
    walk = [(begin, end) for begin, end, _ in empty.blocks(values)]
    return [begin for begin, _ in walk], [end for _, end in walk]
