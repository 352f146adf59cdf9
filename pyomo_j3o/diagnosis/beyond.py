"""Budgets that are far from full: an LP proves that no placement which needs more of them is better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pyomo_j3o.certify.relaxation import whole_model
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.matrices import rows_of
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Problem, larger_end
from pyomo_j3o.core.whole_numbers import counted_side, units_of
from pyomo_j3o.lp import HighsBackend, LinearModel, LPStatus
from pyomo_j3o.lp.duality import dual_bound
from pyomo_j3o.presolve.linearize import UnboundedProductError, linearize
from pyomo_j3o.presolve.scaling import scale_rows
from pyomo_j3o.presolve.tightening import finite_bounds, implied_bounds, tighten_links


def bounds_beyond(
    problem: Problem, row: IntArray, upper: BoolArray, step: float, deadline: Deadline
) -> FloatArray:
    """Return a bound on the plans that need more of each of S budgets, by `step` at most, (S,).

    Such a plan holds the row beyond its side. The duals of the LP relaxation over these plans prove the
    bound. If it is no better than the plan at hand, more of the budget is worth nothing. That this plan does
    not fill the row proves nothing: a larger model may fit in only with the step.

    Parameters
    ----------
    problem
        With or without products.
    row, upper
        (S,), rows over onloading variables alone, and whether it is the upper side.
    step
        In the units of the rows.
    deadline
        When to end: nothing is known of the budgets that are left.

    Returns
    -------
    FloatArray
        Of the maximised objective; -inf where there are no such plans, +inf where nothing is known.

    Raises
    ------
    BackendError
        HiGHS failed.
    """
    bound = np.full(len(row), np.inf)
    near, far = _beyond(problem, row, upper, step)
    moved = _with_sides(problem, row, upper, far)
    try:
        linear = linearize(moved).problem
    except UnboundedProductError:
        return bound
    scaled = scale_rows(linear)
    factor = scaled.row[row]
    model = _relaxation(scaled.problem)
    # An LP that is solved again keeps which sides it has: rows get a second one, which no plan reaches.
    size = (abs(problem.onloading_rows) @ larger_end(problem.onloading_lower, problem.onloading_upper))[row]
    end = (size + np.abs(far) + 1.0) * factor
    model.row_lower[row] = np.maximum(model.row_lower[row], -end)
    model.row_upper[row] = np.minimum(model.row_upper[row], end)
    low, high = model.row_lower.copy(), model.row_upper.copy()
    low[row[~upper]], high[row[upper]] = (
        problem.row_lower[row[~upper]] * factor[~upper],
        problem.row_upper[row[upper]] * factor[upper],
    )
    program = HighsBackend().open(model)
    try:
        for k in range(len(row)):
            left = deadline.left()
            if left <= 0:
                break
            here = replace(model, row_lower=low.copy(), row_upper=high.copy())
            ends = sorted((near[k] * factor[k], far[k] * factor[k]))
            here.row_lower[row[k]], here.row_upper[row[k]] = ends
            program.set_row_bounds(here.row_lower, here.row_upper)
            found = program.solve(time_limit=left)
            if found.status is LPStatus.INFEASIBLE:
                bound[k] = -np.inf
            elif found.status is LPStatus.OPTIMAL:
                proven = dual_bound(here, found.row_duals, here.lower, here.upper)
                bound[k] = proven + linear.objective_constant
    finally:
        program.close()
    return bound


def _with_sides(problem: Problem, row: IntArray, upper: BoolArray, side: FloatArray) -> Problem:
    """Return the problem with other sides of rows, (S,)."""
    low, high = problem.row_lower.copy(), problem.row_upper.copy()
    low[row[~upper]], high[row[upper]] = side[~upper], side[upper]
    return replace(problem, row_lower=low, row_upper=high)


def _beyond(problem: Problem, row: IntArray, upper: BoolArray, step: float) -> tuple[FloatArray, FloatArray]:
    """Return where a plan that needs more holds these rows at least, and at most, (S,) each."""
    sign = np.where(upper, 1.0, -1.0)
    side = sign * np.where(upper, problem.row_upper[row], problem.row_lower[row])
    near = side.copy()
    unit = units_of(rows_of(problem.onloading_rows, row), decimals=True)
    known = unit > 0
    # What is held is a multiple of the unit, and so the next one at least.
    near[known] = (counted_side(side[known], unit[known], np.floor) + 1.0) * unit[known]
    return sign * np.minimum(near, side + step), sign * (side + step)


def _relaxation(problem: Problem) -> LinearModel:
    """Return a linear problem as a `LinearModel`, links tightened by what all its plans keep."""
    implied = implied_bounds(problem)
    least, most = finite_bounds(problem, implied)
    model = whole_model(tighten_links(problem, implied))
    return replace(
        model,
        row_lower=model.row_lower.copy(),
        row_upper=model.row_upper.copy(),
        far_lower=np.concatenate([problem.onloading_lower, least]),
        far_upper=np.concatenate([problem.onloading_upper, most]),
    )
