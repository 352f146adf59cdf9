"""Sparse matrices: rows of entries, and sorted numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def entry_rows(matrix: sparse.csr_array | sparse.csc_array) -> IntArray:
    """Return the row of every entry of a CSR matrix, or the column of every entry of a CSC one."""
    return np.repeat(np.arange(len(matrix.indptr) - 1), np.diff(matrix.indptr))


def distinct(values: IntArray) -> IntArray:
    """Return the values, sorted, each once: where most are different, sooner than `np.unique`."""
    values = np.sort(values)
    return values[np.flatnonzero(np.diff(values, prepend=values[:1] - 1))]


def entries_of(matrix: sparse.csr_array, rows: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Return (position in `rows`, column, value) of the entries of `rows`."""
    part = matrix[rows]
    position = entry_rows(part)
    return position, part.indices.astype(np.int64), part.data


def among(values: IntArray, known: IntArray) -> BoolArray:
    """Return which of the values are known."""
    if not len(known):
        return np.zeros(len(values), dtype=bool)
    known = np.sort(known)
    return known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values
