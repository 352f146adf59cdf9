"""The proven bound: the LP relaxation, whose duals are also the first prices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pyomo_j3o.lp.base import Backend, LinearModel, LPStatus
from pyomo_j3o.problem import FloatArray, Problem


@dataclass(frozen=True, slots=True)
class Relaxation:
    """The LP relaxation of a linear problem.

    Attributes
    ----------
    status : LPStatus
        ``INFEASIBLE`` proves that the problem is; ``UNBOUNDED`` that its relaxation is.
    bound : float
        Upper bound of the maximum: -inf if infeasible, +inf if unbounded or not solved in time.
    x : (N,), fractional
    y : (K,)
    duals : (M,)
    """

    status: LPStatus
    bound: float
    x: FloatArray
    y: FloatArray
    duals: FloatArray


def relaxation_model(problem: Problem) -> LinearModel:
    """Return the linear problem over (x, y) as one `LinearModel`, x marked integer."""
    n_x, n_y = problem.n_onloading, problem.n_offloading
    return LinearModel(
        np.concatenate([problem.onloading_objective, problem.offloading_objective]),
        sparse.csr_array(sparse.hstack([problem.onloading_rows, problem.offloading_rows], format="csr")),
        problem.row_lower,
        problem.row_upper,
        np.concatenate([problem.onloading_lower, problem.offloading_lower]),
        np.concatenate([problem.onloading_upper, problem.offloading_upper]),
        np.concatenate([np.ones(n_x, dtype=bool), np.zeros(n_y, dtype=bool)]),
    )


def lp_relaxation(problem: Problem, backend: Backend, time_limit: float = np.inf) -> Relaxation:
    """Solve the LP relaxation.

    Parameters
    ----------
    problem
        Linear.
    backend
        The LP solver.
    time_limit
        In seconds.
    """
    program = backend.open(relaxation_model(problem))
    try:
        solution = program.solve(time_limit)
    finally:
        program.close()
    n_x = problem.n_onloading
    if solution.status is not LPStatus.OPTIMAL:
        bound = -np.inf if solution.status is LPStatus.INFEASIBLE else np.inf
        return Relaxation(
            solution.status, bound, np.zeros(n_x), np.zeros(problem.n_offloading), np.zeros(problem.n_rows)
        )
    return Relaxation(
        solution.status,
        solution.objective + problem.objective_constant,
        solution.values[:n_x],
        solution.values[n_x:],
        solution.row_duals,
    )
