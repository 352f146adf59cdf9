"""Budgets that are far from full: an LP proves that no placement which needs more of them is better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyomo_j3o.certify.relaxation import relaxation_model
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import IntArray, Problem
from pyomo_j3o.lp import HighsBackend, LPStatus
from pyomo_j3o.lp.duality import dual_bound
from pyomo_j3o.presolve.linearize import UnboundedProductError, linearize
from pyomo_j3o.presolve.scaling import scale_rows


def not_worth_going_beyond(
    problem: Problem,
    rows: IntArray,
    upper: Sequence[bool],
    step: float,
    objective: float,
    deadline: Deadline,
) -> list[bool]:
    """Return of each side of a row whether it is proven that `step` more of it gains nothing.

    A plan that needs more of a budget holds the row between its side and `step` beyond it. The duals of the
    LP relaxation over these plans prove a bound, and a plan at hand may be as good. That no plan at hand
    fills the row does not prove it: a larger model may fit in only with the step.

    Parameters
    ----------
    problem
        With or without products.
    rows, upper
        The row of each side, and whether it is the upper one.
    step
        In the units of the rows.
    objective
        Of a plan at hand, with what counts as rounding.
    deadline
        When to end: nothing is said of the sides that are left.

    Raises
    ------
    BackendError
        HiGHS failed.
    """
    settled = [False] * len(rows)
    try:
        scaled = scale_rows(linearize(problem).problem)
    except UnboundedProductError:
        return settled
    model = relaxation_model(scaled.problem)
    program = HighsBackend().open(model)
    try:
        for k, (row, is_upper) in enumerate(zip(rows.tolist(), upper, strict=True)):
            left = deadline.left()
            if left <= 0:
                break
            more = step * float(scaled.row[row])
            low, high = model.row_lower.copy(), model.row_upper.copy()
            side = float(high[row] if is_upper else low[row])
            low[row], high[row] = (side, side + more) if is_upper else (side - more, side)
            program.set_row_bounds(low, high)
            found = program.solve(time_limit=left)
            if found.status is LPStatus.INFEASIBLE:
                settled[k] = True
            elif found.status is LPStatus.OPTIMAL:
                proven = dual_bound(
                    _between(model, low, high), found.row_duals, np.asarray(model.lower), np.asarray(model.upper)
                )
                settled[k] = proven + scaled.problem.objective_constant <= objective
    finally:
        program.close()
    return settled
