"""What the rows imply: bounds of y, and links y <= M x with an M no larger than it must be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from pyomo_j3o.problem import BoolArray, FloatArray, IntArray, Problem

#: A tightened coefficient of x is no smaller than this part of the largest one of y in the row.
_LEAST = 1e-5


def tighten_links(problem: Problem, bounds: tuple[FloatArray, FloatArray]) -> Problem:
    """Return the problem with a smaller coefficient of x in rows of one x and any y that need less.

    In ``a'y - b x <= c``, b > 0, a binary x at 1 lets a'y rise to c + b. If it cannot rise that far, by the
    bounds of y, b is lowered to what it can reach; in ``a'y + b x <= c`` the row at x = 0 is lowered alike.
    Every plan stays, and the LP relaxation gets tighter (coefficient tightening; Savelsbergh 1994, DOI
    10.1287/ijoc.6.4.445). A huge M would also drown in the LP solver's tolerances.

    Parameters
    ----------
    problem
        Linear.
    bounds
        Of y, (K,) each, as `implied_bounds` returns them.
    """
    x_rows = problem.onloading_rows
    single = np.flatnonzero((np.diff(x_rows.indptr) == 1) & (np.diff(problem.offloading_rows.indptr) >= 1))
    if not len(single):
        return problem
    entry = x_rows.indptr[single]
    low, high = row_ends(problem.offloading_rows, bounds)
    least = _LEAST * largest_entries(problem.offloading_rows)[single]
    data, row_lower, row_upper = x_rows.data.copy(), problem.row_lower.copy(), problem.row_upper.copy()
    for side, other, sign, reach in (
        (row_upper, problem.row_lower, 1.0, high[single]),
        (row_lower, problem.row_upper, -1.0, -low[single]),
    ):
        # Only rows with one side: the other side of a range would move too.
        one_sided = np.isfinite(side[single]) & ~np.isfinite(other[single])
        # As a row that is below its side.
        coefficient, limit = sign * x_rows.data[entry], sign * np.where(one_sided, side[single], 0.0)
        # A grain more than needed, so that rounding takes no plan away.
        needed = reach + 1e-9 * np.maximum(1.0, np.abs(reach))
        # y <= 1e-9 x, where y can only be 0, is a row that presolve of a MILP solver takes for another.
        needed = np.where(coefficient < 0, np.maximum(needed, limit + least), needed)
        excess = limit + np.maximum(-coefficient, 0.0) - needed
        looser = one_sided & (excess > 0) & (excess < np.abs(coefficient))
        opens, closes = looser & (coefficient < 0), looser & (coefficient > 0)
        data[entry[opens]] += sign * excess[opens]
        data[entry[closes]] -= sign * excess[closes]
        side[single[closes]] -= sign * excess[closes]
    return replace(
        problem,
        onloading_rows=sparse.csr_array((data, x_rows.indices, x_rows.indptr), shape=x_rows.shape),
        row_lower=row_lower,
        row_upper=row_upper,
    )


def row_ends(
    matrix: sparse.csr_array, bounds: tuple[FloatArray, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Return the least and the largest value of every row of `matrix` within the column bounds."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    lower, upper = bounds
    at_lower, at_upper = matrix.data * lower[matrix.indices], matrix.data * upper[matrix.indices]
    ends = np.minimum(at_lower, at_upper), np.maximum(at_lower, at_upper)
    low, high = (np.bincount(row, end, minlength=matrix.shape[0]).astype(float) for end in ends)
    return low, high


def largest_entries(matrix: sparse.csr_array) -> FloatArray:
    """Return the largest absolute value of every row of `matrix`, 0 for an empty one."""
    largest = np.zeros(matrix.shape[0])
    np.maximum.at(largest, np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), np.abs(matrix.data))
    return largest


def implied_bounds(problem: Problem, rounds: int = 3) -> tuple[FloatArray, FloatArray]:
    """Return bounds of y that follow from the rows (activity-based propagation), never looser than given."""
    matrix = sparse.csr_array(sparse.hstack([problem.onloading_rows, problem.offloading_rows], format="csr"))
    n_x = problem.n_onloading
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    column, value = matrix.indices, matrix.data
    lower = np.concatenate([problem.onloading_lower, problem.offloading_lower])
    upper = np.concatenate([problem.onloading_upper, problem.offloading_upper])
    m = matrix.shape[0]
    for _ in range(rounds):
        low = np.where(value > 0, value * lower[column], value * upper[column])
        high = np.where(value > 0, value * upper[column], value * lower[column])
        rest_low, rest_high = _without_self(row, low, -np.inf, m), _without_self(row, high, np.inf, m)
        with np.errstate(invalid="ignore"):
            at_most = (problem.row_upper[row] - rest_low) / value
            at_least = (problem.row_lower[row] - rest_high) / value
        new_upper = np.where(value > 0, at_most, at_least)
        new_lower = np.where(value > 0, at_least, at_most)
        np.minimum.at(upper, column, np.where(np.isnan(new_upper), np.inf, new_upper))
        np.maximum.at(lower, column, np.where(np.isnan(new_lower), -np.inf, new_lower))
    return lower[n_x:], upper[n_x:]


def finite_bounds(problem: Problem, bounds: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return the bounds of y, with what the rows imply where none is given, at twice its distance.

    A column at such a bound would hide that it is the row that holds it, and take its dual.

    Parameters
    ----------
    problem
        Its own bounds stay as they are.
    bounds
        Of y, (K,) each, as `implied_bounds` returns them.
    """
    low, high = bounds
    lower, upper = problem.offloading_lower, problem.offloading_upper
    # Where the rows contradict a bound that is given, it is for them to say so.
    low = np.minimum(low - 1.0 - np.abs(low), upper)
    high = np.maximum(high + 1.0 + np.abs(high), lower)
    return np.where(np.isfinite(lower), lower, low), np.where(np.isfinite(upper), upper, high)


def _without_self(row: IntArray, term: FloatArray, infinite: float, n_rows: int) -> FloatArray:
    """Return per entry the sum of its row's other terms; `infinite` if one of those is infinite."""
    is_infinite: BoolArray = ~np.isfinite(term)
    finite = np.where(is_infinite, 0.0, term)
    total = np.bincount(row, finite, minlength=n_rows)
    n_infinite = np.bincount(row, is_infinite, minlength=n_rows)
    others_infinite = n_infinite[row] - is_infinite
    return np.where(others_infinite > 0, infinite, total[row] - finite)
