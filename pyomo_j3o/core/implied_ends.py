"""What the rows leave of each column: bounds that follow from bounds (activity-based propagation)."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from pyomo_j3o.core.matrices import BoolArray, FloatArray, IntArray, entry_rows

#: What a sum of terms may be off by, per unit of their sizes; many times the unit of rounding.
GRAIN = 1e-13


def implied_ends(
    matrix: sparse.csr_array,
    row_lower: FloatArray,
    row_upper: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    rounds: int = 3,
    chain: int = 60,
) -> None:
    """Tighten, in place, bounds of columns to what follows from the rows.

    Parameters
    ----------
    matrix, row_lower, row_upper
        The rows.
    lower, upper
        Of its columns.
    rounds, chain
        As in `PropagationParams`.
    """
    for _ in range(rounds):
        propagate(matrix, row_lower, row_upper, lower, upper)
    for _ in range(chain):
        without = np.isinf(lower) | np.isinf(upper)
        rows = np.flatnonzero(
            np.bincount(entry_rows(matrix)[without[matrix.indices]], minlength=matrix.shape[0])
        )
        if not len(rows):
            break
        propagate(matrix[rows], row_lower[rows], row_upper[rows], lower, upper)
        if np.count_nonzero(np.isinf(lower) | np.isinf(upper)) == np.count_nonzero(without):
            break


def propagate(
    matrix: sparse.csr_array,
    row_lower: FloatArray,
    row_upper: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
) -> None:
    """Tighten, in place, bounds of columns by what each row leaves them when the others are at their ends."""
    row, column, value = entry_rows(matrix), matrix.indices, matrix.data
    rest_low, rest_high, grain = rests(matrix, lower, upper)
    with np.errstate(invalid="ignore", over="ignore"):
        at_most = left_by(row_upper[row], rest_low, grain, value)
        at_least = left_by(row_lower[row], rest_high, -grain, value)
    new_upper = np.where(value > 0, at_most, at_least)
    new_lower = np.where(value > 0, at_least, at_most)
    np.minimum.at(upper, column, np.where(np.isnan(new_upper), np.inf, new_upper))
    np.maximum.at(lower, column, np.where(np.isnan(new_lower), -np.inf, new_lower))


def left_by(side: FloatArray, rest: FloatArray, grain: FloatArray, value: FloatArray) -> FloatArray:
    """Return what a row leaves each of its columns, ``(side - rest) / value``.

    It is moved outwards by what rounding may have taken, the signed `grain`, unless that is no more than the
    rounding of the result itself. Of a tiny `value`, the smallest grain is large.
    """
    left = side - rest
    counts = np.abs(grain) > 1e-12 * np.maximum(np.abs(value), np.abs(left))
    return (left + np.where(counts, grain, 0.0)) / value


def _sum_of_sizes(row: IntArray, term: FloatArray, n_rows: int) -> FloatArray:
    """Return the sum of the sizes of all finite terms of every row."""
    return np.bincount(row, np.where(np.isfinite(term), np.abs(term), 0.0), minlength=n_rows).astype(float)


def rests(
    matrix: sparse.csr_array, lower: FloatArray, upper: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return per entry the least and the most that the others of its row make, and what these may be off by.

    A bound that rounding made too tight would cut off plans. Where a row has one entry, nothing is off.
    """
    m = matrix.shape[0]
    row, column, value = entry_rows(matrix), matrix.indices, matrix.data
    low = np.where(value > 0, value * lower[column], value * upper[column])
    high = np.where(value > 0, value * upper[column], value * lower[column])
    sizes = _sum_of_sizes(row, low, m) + _sum_of_sizes(row, high, m)
    grain = np.where(np.bincount(row, minlength=m) > 1, GRAIN * sizes, 0.0)
    return _without_self(row, low, -np.inf, m), _without_self(row, high, np.inf, m), grain[row]


def _without_self(row: IntArray, term: FloatArray, infinite: float, n_rows: int) -> FloatArray:
    """Return per entry the sum of its row's other terms; `infinite` if one of those is infinite."""
    is_infinite: BoolArray = ~np.isfinite(term)
    finite = np.where(is_infinite, 0.0, term)
    total = np.bincount(row, finite, minlength=n_rows)
    n_infinite = np.bincount(row, is_infinite, minlength=n_rows)
    others_infinite = n_infinite[row] - is_infinite
    return np.where(others_infinite > 0, infinite, total[row] - finite)
