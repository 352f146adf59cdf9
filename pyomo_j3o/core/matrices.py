"""Sparse matrices: rows of entries, and sorted numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: Entries of a matrix for which SciPy's checks of its arguments take longer than its work.
_SMALL = 20_000


def read_only(array: Any) -> Any:
    """Return a view of an array that cannot be written through."""
    view = np.asarray(array).view()
    view.setflags(write=False)
    return view


def entry_rows(matrix: sparse.csr_array | sparse.csc_array) -> IntArray:
    """Return the row of every entry of a CSR matrix, or the column of every entry of a CSC one."""
    return np.repeat(np.arange(len(matrix.indptr) - 1), np.diff(matrix.indptr))


def rows_of(matrix: sparse.csr_array, rows: IntArray) -> sparse.csr_array:
    """Return ``matrix[rows]``; of a small matrix sooner than SciPy does."""
    if matrix.nnz > _SMALL:
        return matrix[rows]
    size = np.diff(matrix.indptr)[rows]
    start = np.concatenate([np.zeros(1, dtype=matrix.indptr.dtype), np.cumsum(size)])
    place = np.arange(start[-1]) + np.repeat(matrix.indptr[rows] - start[:-1], size)
    shape = (len(rows), matrix.shape[1])
    return sparse.csr_array((matrix.data[place], matrix.indices[place], start), shape=shape)


def side_by_side(left: sparse.csr_array, right: sparse.csr_array) -> sparse.csr_array:
    """Return the matrix of the columns of both; of small ones sooner than SciPy does."""
    if left.nnz + right.nnz > _SMALL:
        return sparse.csr_array(sparse.hstack([left, right], format="csr"))
    place_left = np.arange(left.nnz) + np.repeat(right.indptr[:-1], np.diff(left.indptr))
    place_right = np.arange(right.nnz) + np.repeat(left.indptr[1:], np.diff(right.indptr))
    n = left.nnz + right.nnz
    data, indices = np.empty(n), np.empty(n, dtype=np.result_type(left.indices, right.indices))
    data[place_left], data[place_right] = left.data, right.data
    indices[place_left], indices[place_right] = left.indices, right.indices + left.shape[1]
    shape = (left.shape[0], left.shape[1] + right.shape[1])
    return sparse.csr_array((data, indices, left.indptr + right.indptr), shape=shape)


def distinct(values: IntArray) -> IntArray:
    """Return the values, sorted, each once: where most are different, sooner than `np.unique`."""
    values = np.sort(values)
    return values[np.flatnonzero(np.diff(values, prepend=values[:1] - 1))]


def entries_of(matrix: sparse.csr_array, rows: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Return (position in `rows`, column, value) of the entries of `rows`."""
    part = rows_of(matrix, rows)
    position = entry_rows(part)
    return position, part.indices.astype(np.int64), part.data


def among(values: IntArray, known: IntArray) -> BoolArray:
    """Return which of the values are known."""
    if not len(known):
        return np.zeros(len(values), dtype=bool)
    known = np.sort(known)
    return known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values


def same_matrix(one: sparse.csr_array, other: sparse.csr_array) -> bool:
    """Return whether two matrices have the same entries, in the same order."""
    return (
        one.shape == other.shape
        and np.array_equal(one.indptr, other.indptr)
        and np.array_equal(one.indices, other.indices)
        and np.array_equal(one.data, other.data)
    )
