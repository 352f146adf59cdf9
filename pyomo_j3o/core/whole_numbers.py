"""Whole multiples of one unit: rows over x alone hold exactly, or not at all; bounds are rounded to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from pyomo_j3o.core.matrices import entry_rows, rows_of
from pyomo_j3o.core.problem import OBJECTIVE, BoolArray, FloatArray, IntArray, Problem

#: A number counts as a multiple of a power of ten if it is one up to this number of units in its last place.
_PLACES = 4.0

#: What sums of decimals are off by, relative.
_OF_DECIMALS = 1e-12

#: Units of at least this number of binary places are binary, not decimal.
_BINARY = 40

#: Number of decimals that are looked at.
_DECIMALS = 9

#: Sums of whole numbers below this are exact.
_EXACT = 2.0**52


def units_of(matrix: sparse.csr_array, decimals: bool = False) -> FloatArray:
    """Return per row the largest unit of which all its entries are whole multiples, (rows,); 0 for none.

    Parameters
    ----------
    matrix
        Any.
    decimals
        Whether 0.1 and 0.3 count as multiples of 0.1, which they are not in binary digits.
    """
    n_rows = matrix.shape[0]
    row = entry_rows(matrix)
    size = np.abs(matrix.data)
    # The last binary digit of an entry is its own unit; the smallest of a row is the row's.
    mantissa, exponent = np.frexp(size)
    digits = np.ldexp(mantissa, 53).astype(np.int64)
    last = np.full(n_rows, np.inf)
    np.minimum.at(last, row, np.ldexp((digits & -digits).astype(float), exponent - 53))
    unit = _common(row, size, last, np.diff(matrix.indptr) > 0)
    if decimals:
        for places in range(1, _DECIMALS + 1):
            left = (unit == 0) & (np.diff(matrix.indptr) > 0)
            if not left.any():
                break
            count = size * 10.0**places
            ragged = np.abs(count - np.rint(count)) > _PLACES * np.spacing(count)
            left &= np.bincount(row, ragged, minlength=n_rows) == 0
            unit = np.where(left, _common(row, size, np.full(n_rows, 10.0**-places), left), unit)
    return unit


def _common(row: IntArray, size: FloatArray, grain: FloatArray, wanted: BoolArray) -> FloatArray:
    """Return the greatest common unit of rows of multiples of `grain`; 0 where their sums are not exact."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        count = np.rint(size / grain[row])
    fine = wanted & (np.bincount(row, count, minlength=len(grain)) < _EXACT)
    entries = fine[row]
    common = np.zeros(len(grain), dtype=np.int64)
    np.gcd.at(common, row[entries], count[entries].astype(np.int64))
    return np.where(fine & (common > 0), common * np.where(fine, grain, 0.0), 0.0)


def rows_over_x(problem: Problem) -> IntArray:
    """Return the rows that hold onloading variables alone, and no product."""
    over_x = (np.diff(problem.onloading_rows.indptr) > 0) & (np.diff(problem.offloading_rows.indptr) == 0)
    over_x[problem.products.row[problem.products.row >= 0]] = False
    return np.flatnonzero(over_x)


def is_whole(problem: Problem, row: int) -> bool:
    """Return whether a row, -1 for none, holds onloading variables alone, in whole multiples of one unit."""
    if row < 0:
        return False
    of_x = problem.onloading_rows[[row]]
    alone = of_x.nnz > 0 and not problem.offloading_rows[[row]].nnz
    alone = alone and not bool(np.any(problem.products.row == row))
    return alone and bool(units_of(of_x, decimals=True)[0] > 0)


def in_whole_numbers(problem: Problem) -> tuple[Problem, FloatArray, IntArray]:
    """Return the problem with every row over x that has a common unit counted in it, sides moved inwards.

    Plans are the same: 1.5 x + 0.5 z <= 1.8 becomes 3 x + z <= 3.

    Parameters
    ----------
    problem
        With or without products.

    Returns
    -------
    Problem
    factors : (M,)
        New row = factor times the old one; 1 for other rows.
    crossed : row numbers
        Rows with no multiple of their unit between their sides: they can never hold.
    """
    factors = np.ones(problem.n_rows)
    rows = rows_over_x(problem)
    if not len(rows):
        return problem, factors, rows
    unit = units_of(rows_of(problem.onloading_rows, rows), decimals=True)
    rows, unit = rows[unit > 0], unit[unit > 0]
    if not len(rows):
        return problem, factors, rows
    factors[rows] = 1.0 / unit
    matrix = problem.onloading_rows
    entry_row = entry_rows(matrix)
    data = matrix.data.copy()
    whole = np.zeros(problem.n_rows, dtype=bool)
    whole[rows] = True
    entries = whole[entry_row]
    data[entries] = np.rint(data[entries] * factors[entry_row[entries]])
    lower, upper = problem.row_lower.copy(), problem.row_upper.copy()
    lower[rows], upper[rows] = (
        counted_side(lower[rows], unit, np.ceil),
        counted_side(upper[rows], unit, np.floor),
    )
    counted = replace(
        problem,
        onloading_rows=sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape),
        row_lower=lower,
        row_upper=upper,
    )
    return counted, factors, rows[lower[rows] > upper[rows]]


def counted_side(side: FloatArray, unit: FloatArray, inwards: np.ufunc) -> FloatArray:
    """Return sides in units, moved inwards to a whole number unless they are one."""
    count = side / unit
    nearest = np.rint(count)
    # 0.1 + 0.2 <= 0.3 holds: the side is three tenths, whatever its last binary digits say. A sum of many
    # decimals is off by more; a side in binary units is what it is.
    binary = np.ldexp(unit, _BINARY) % 1.0 == 0.0
    with np.errstate(invalid="ignore"):
        noise = np.where(binary, _PLACES * np.spacing(np.abs(count)), _OF_DECIMALS * np.abs(count))
        whole = np.abs(count - nearest) <= noise
        return np.where(np.isfinite(side), np.where(whole, nearest, inwards(count)), side)


def unit_of_objective(problem: Problem) -> float:
    """Return the unit of the objective: without its constant, every plan is a multiple of it; 0 for none.

    It has one where only onloading variables cost, or gain, something.
    """
    if np.any(problem.offloading_objective) or np.any(problem.products.row == OBJECTIVE):
        return 0.0
    return float(units_of(sparse.csr_array(problem.onloading_objective[None, :]), decimals=True)[0])


def rounded_bound(problem: Problem, unit: float, bound: float) -> float:
    """Return an upper bound of the objective, lowered to the next multiple of its unit.

    Parameters
    ----------
    problem
        Maximised.
    unit
        Of its objective; 0 for none.
    bound
        Proven.
    """
    if unit == 0.0 or not np.isfinite(bound):
        return bound
    constant = problem.objective_constant
    size = float(np.abs(problem.onloading_objective).sum()) + abs(constant)
    # A bound that rounding may have put below a multiple does not exclude it.
    noise = _OF_DECIMALS * (abs(bound) + size)
    count = np.floor((bound - constant + noise) / unit)
    # Sums of decimals are multiples up to rounding.
    error = np.spacing(size) * (problem.n_onloading + 4.0)
    return min(bound, float(count * unit + constant + error))


def broken_rows(problem: Problem, x: FloatArray) -> IntArray:
    """Return the rows over x, counted exactly in their units, that a placement (N,) breaks."""
    rows = rows_over_x(problem)
    if not len(rows):
        return rows
    part = rows_of(problem.onloading_rows, rows)
    unit = units_of(part, decimals=True)
    known = np.flatnonzero(unit > 0)
    if len(known) < len(rows):
        rows, part, unit = rows[known], rows_of(part, known), unit[known]
    row = entry_rows(part)
    body = np.bincount(row, np.rint(part.data / unit[row]) * np.rint(x[part.indices]), minlength=len(rows))
    low = counted_side(problem.row_lower[rows], unit, np.ceil)
    high = counted_side(problem.row_upper[rows], unit, np.floor)
    return rows[(body < low) | (body > high)]
