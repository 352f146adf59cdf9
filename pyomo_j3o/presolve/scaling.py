"""Columns, rows and objective in any units, brought near 1 for the tolerances of the solvers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.core.matrices import rows_of
from pyomo_j3o.core.problem import (
    OBJECTIVE,
    FloatArray,
    Plan,
    Problem,
    Products,
    larger_end,
    largest_coefficients,
    largest_over_y,
)
from pyomo_j3o.core.results import Outcome
from pyomo_j3o.core.whole_numbers import in_whole_numbers, rows_over_x, units_of
from pyomo_j3o.presolve.tightening import implied_bounds, needed_bounds

#: Ranges of columns, and largest coefficients of rows, in between are left as they are.
_SMALL, _LARGE = 1e-3, 1e4

#: A column that gets no farther from 0 than this counts as one that stays there.
_NOTHING = 1e-11

#: An implied bound below this fraction of the given one is rounding.
_GRAIN = 1e-12

#: A bound of this size says nothing of how far a column gets.
_NO_BOUND = 1e9

#: What a variable contributes to the objective: the geometric mean may lie in between, the largest below.
_LEAST_MEAN, _LARGEST_MEAN, _LARGEST = 1e-3, 1e5, 1e7

#: A row of whole numbers keeps a unit of at least this: below it the unit would drown in tolerances.
_LEAST_UNIT = 1e-3

#: A row whose largest coefficient is near 1 is multiplied by so much at most for the sake of its unit: from
#: coefficients of millions Gurobi has been seen to prove what is wrong.
_MOST_FOR_UNIT = 1e2


@dataclass(frozen=True, slots=True)
class Scaling:
    """A problem in other units. Factors are powers of two, so that the way back is exact.

    Only rows over x alone may have another factor; they have no duals.

    Attributes
    ----------
    problem : Problem
        In the new units. Its `sense` takes objectives back to the user's unit and sense.
    row : (M,)
        Factors of the rows.
    column : (K,)
        Units of y: y = unit times scaled y.
    objective : float
        Factor of the objective.
    crossed : tuple of (int, float)
        Rows in whole numbers that can never hold, and their units; see `in_whole_numbers`.
    needed : pair of (K,) or None
        Bounds of y that some best plan keeps, as `needed_bounds` returns them; None if nobody has computed
        them, or if there are products.
    """

    problem: Problem
    row: FloatArray
    column: FloatArray
    objective: float = 1.0
    crossed: tuple[tuple[int, float], ...] = ()
    needed: tuple[FloatArray, FloatArray] | None = None

    def reduce(self, plan: Plan) -> Plan:
        """Return a plan of the original in the units of `problem`."""
        return replace(plan, y=plan.y / self.column, objective=plan.objective * self.objective)

    def restore_plan(self, plan: Plan) -> Plan:
        """Return a plan of `problem` in the units of the original."""
        return replace(plan, y=plan.y * self.column, objective=plan.objective / self.objective)

    def restore(self, outcome: Outcome) -> Outcome:
        """Return an outcome of `problem` in the units of the original."""
        plan, duals = outcome.plan, outcome.duals
        return replace(
            outcome,
            plan=None if plan is None else self.restore_plan(plan),
            bound=outcome.bound / self.objective,
            duals=None if duals is None else duals * self.row / self.objective,
            steps=tuple(
                replace(step, gained=step.gained / self.objective, lowered=step.lowered / self.objective)
                for step in outcome.steps
            ),
            cuts=None,
        )


def scale(problem: Problem) -> Scaling:
    """Return the same problem in units that suit the absolute tolerances of LP and MIP solvers.

    What a tolerance does to the objective is the tolerance times a cost times the range of the variable. So
    every y with an odd range gets a unit that brings its range near 1, then rows with odd coefficients are
    multiplied so that their largest one is near 1, and then the objective.

    Parameters
    ----------
    problem
        With or without products.
    """
    problem, counted, crossed = in_whole_numbers(problem)
    reach, (low, high) = _reach(problem)
    unit = _near(reach)
    rows = scale_rows(_in_units(problem, unit))
    needed = None if len(problem.products) else (low / unit, high / unit)
    problem, factor = _scale_objective(rows.problem, reach / unit)
    never = tuple((int(k), float(1.0 / counted[k])) for k in crossed)
    return Scaling(problem, counted * rows.row, unit, factor, never, needed)


def _reach(problem: Problem) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
    """Return how far from 0 each y gets, (K,), as far as that is known, 1 where it is not; and its bounds.

    What a best plan needs counts first, then what the rows imply, then the bounds that are given. Products
    are left out: a unit is no more than a guess.
    """
    held = problem.products.row[problem.products.row != OBJECTIVE]
    lower, upper = problem.row_lower.copy(), problem.row_upper.copy()
    lower[held], upper[held] = -np.inf, np.inf  # what the other terms of such a row say is not all
    linear = replace(problem, row_lower=lower, row_upper=upper, products=Products.none())
    implied = implied_bounds(linear)
    kept = needed_bounds(linear, implied)
    given, follows, needed = (
        larger_end(*bounds)
        for bounds in ((problem.offloading_lower, problem.offloading_upper), implied, kept)
    )
    # What can hardly move at all, as in rows that contradict one another, says nothing of its unit.
    # A bound as far out as this stands for none.
    given, follows = (np.where(end < _NO_BOUND, end, 0.0) for end in (given, follows))
    least = _NOTHING * np.where(given > 0, np.minimum(given, 1.0), 1.0)
    # Sums with terms as large as the given bound are not more exact than this.
    least = np.maximum(least, _GRAIN * given)
    reach = np.where(follows > least, follows, given)
    reach = np.where(needed > _NOTHING * np.maximum(reach, 1.0), needed, reach)
    return np.where(reach > 0, reach, 1.0), kept


def _near(size: FloatArray) -> FloatArray:
    """Return the powers of two nearest to `size`, 1 where it is neither small nor large."""
    factors = np.ones(len(size))
    odd = (size > 0) & ((size < _SMALL) | (size > _LARGE))
    factors[odd] = np.exp2(np.rint(np.log2(size[odd])))
    return factors


def _in_units(problem: Problem, unit: FloatArray) -> Problem:
    """Return the problem with y counted in other units, (K,)."""
    if np.all(unit == 1.0):
        return problem
    terms, batches = problem.products, problem.batches
    if batches is not None:
        batches = replace(batches, arrivals=_times(batches.arrivals, unit))
    return replace(
        problem,
        offloading_objective=problem.offloading_objective * unit,
        offloading_rows=_times(problem.offloading_rows, unit),
        offloading_lower=problem.offloading_lower / unit,
        offloading_upper=problem.offloading_upper / unit,
        products=replace(terms, coefficient=terms.coefficient * unit[terms.offloading]),
        batches=batches,
    )


def _times(matrix: sparse.csr_array, unit: FloatArray) -> sparse.csr_array:
    """Return the matrix with every column multiplied by its unit."""
    data = matrix.data * unit[matrix.indices]
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def _rows_times(matrix: sparse.csr_array, factors: FloatArray) -> sparse.csr_array:
    """Return the matrix with every row multiplied by its factor."""
    # A product of sparse matrices would leave the indices of a row unsorted. As other matrices share them,
    # sorting one matrix would then spoil another.
    data = matrix.data * np.repeat(factors, np.diff(matrix.indptr))
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def scale_rows(problem: Problem) -> Scaling:
    """Multiply rows by powers of two, exactly, so that their largest coefficient is near 1.

    LP solvers drop entries below about 1e-9 and measure feasibility in absolute terms: a row that is written
    in a tiny unit would count for nothing. A row of whole numbers over x alone keeps a unit that counts.

    Parameters
    ----------
    problem
        With or without products.
    """
    # Where a row holds y, x is fixed in the routing LP: what counts there is how y is written.
    over_y, largest = largest_over_y(problem), largest_coefficients(problem)
    factors = 1.0 / _near(np.where(over_y > 0, over_y, largest))
    rows = rows_over_x(problem)
    unit = units_of(rows_of(problem.onloading_rows, rows)) * factors[rows]
    lost = (unit > 0) & (unit < _LEAST_UNIT)
    lift = np.minimum(_LEAST_UNIT / unit[lost], _MOST_FOR_UNIT)
    factors[rows[lost]] *= np.exp2(np.ceil(np.log2(lift)))
    unit_of_y = np.ones(problem.n_offloading)
    if np.all(factors == 1.0):
        return Scaling(problem, factors, unit_of_y)
    scaled = replace(
        problem,
        onloading_rows=_rows_times(problem.onloading_rows, factors),
        offloading_rows=_rows_times(problem.offloading_rows, factors),
        row_lower=problem.row_lower * factors,
        row_upper=problem.row_upper * factors,
        products=_scaled_products(problem.products, np.append(factors, 1.0)),
    )
    return Scaling(scaled, factors, unit_of_y)


def _scale_objective(problem: Problem, reach: FloatArray) -> tuple[Problem, float]:
    """Multiply the objective by a power of two if what variables contribute is far from 1.

    Parameters
    ----------
    problem
        With or without products.
    reach
        (K,), how far from 0 each y gets.

    Returns
    -------
    Problem
        With the same plans; its `sense` takes objectives back to the user's unit and sense.
    float
        The factor.
    """
    terms = problem.products
    mine = terms.row == OBJECTIVE
    contributions = np.abs(
        np.concatenate(
            [
                problem.onloading_objective,
                problem.offloading_objective * reach,
                (terms.coefficient * reach[terms.offloading])[mine],
            ]
        )
    )
    contributions = contributions[(contributions > 0) & np.isfinite(contributions)]
    if not len(contributions):
        return problem, 1.0
    mean, largest = float(np.exp2(np.mean(np.log2(contributions)))), float(contributions.max())
    if _LEAST_MEAN <= mean <= _LARGEST_MEAN and largest <= _LARGEST:
        return problem, 1.0
    factor = float(np.exp2(np.clip(-np.rint(np.log2(max(mean, largest / _LARGEST))), -1000.0, 1000.0)))
    return (
        replace(
            problem,
            onloading_objective=problem.onloading_objective * factor,
            offloading_objective=problem.offloading_objective * factor,
            objective_constant=problem.objective_constant * factor,
            products=_scaled_products(terms, np.append(np.ones(problem.n_rows), factor)),
            sense=problem.sense / factor,
        ),
        factor,
    )


def _scaled_products(terms: Products, factors: FloatArray) -> Products:
    """Return the products times the factor of their row; the last of `factors` is the objective's."""
    return replace(terms, coefficient=terms.coefficient * factors[terms.row])
