"""Last resorts: a placement that satisfies all x-rows, and a first plan, both by a MILP in HiGHS."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pyomo_j3o.certify.relaxation import relaxation_model
from pyomo_j3o.core.problem import BoolArray, Plan, Problem, evaluate
from pyomo_j3o.core.structure import PlacementRows
from pyomo_j3o.lp import LinearModel, LPStatus
from pyomo_j3o.mip import HighsMIP, Limits, MIPModel, MIPSolution, solve_checked


def nearest_placement(
    structure: PlacementRows, x: BoolArray, time_limit: float
) -> tuple[LPStatus, BoolArray | None]:
    """Return the placement that satisfies every row over x alone and differs least from `x`.

    Greedy can miss rows like an equality of several sizes; so can a user's own step.

    Returns
    -------
    LPStatus
        ``INFEASIBLE`` if it is proven that no placement exists.
    (N,) bool or None
    """
    problem = structure.problem
    n = problem.n_onloading
    rows = structure.placement_rows
    found = _solve(
        LinearModel(
            np.where(x, 1.0, -1.0),
            structure.placement_matrix,
            problem.row_lower[rows],
            problem.row_upper[rows],
            problem.onloading_lower,
            problem.onloading_upper,
            np.ones(n, dtype=bool),
        ),
        Limits(time_limit),
    )
    return found.status, (found.values > 0.5 if found.found else None)


def first_plan(problem: Problem, time_limit: float) -> tuple[LPStatus, Plan | None]:
    """Return any plan of a linear problem, by branch and bound up to the first feasible point.

    Returns
    -------
    LPStatus
        ``INFEASIBLE`` if it is proven that no plan exists.
    Plan or None
    """
    model = relaxation_model(problem)
    limits = Limits(time_limit, first_incumbent=True)
    found = _solve(model, limits)
    if found.status is LPStatus.UNBOUNDED:
        # A ray says nothing about a feasible point; without an objective there is none.
        found = _solve(replace(model, objective=np.zeros(model.n_columns)), limits)
    if not found.found:
        return found.status, None
    n = problem.n_onloading
    x, y = found.values[:n] > 0.5, found.values[n:]
    return found.status, Plan(x, y, evaluate(problem, x.astype(float), y))


def _solve(model: LinearModel, limits: Limits) -> MIPSolution:
    """Solve by HiGHS in one thread, without Gurobi's licence or SCIP."""
    found = solve_checked(HighsMIP(), MIPModel(model), replace(limits, threads=1))
    if found.status is LPStatus.INTERRUPTED:
        raise KeyboardInterrupt
    return found
