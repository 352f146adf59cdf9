"""The proven bound: the LP relaxation, whose duals are also the first prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.decomposing import Part
from pyomo_j3o.lp.base import Backend, LinearModel, LPSolution, LPStatus
from pyomo_j3o.problem import FloatArray, Problem
from pyomo_j3o.tightening import finite_bounds, implied_bounds, tighten_links

#: An implied bound farther out than this would do an LP solver more harm than good.
_FARTHEST = 1e7


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
    tightened : Tightened or None
        The LP itself with the cuts that bind; None unless `status` is ``OPTIMAL``.
    """

    status: LPStatus
    bound: float
    x: FloatArray
    y: FloatArray
    duals: FloatArray
    tightened: Tightened | None = None


@dataclass(frozen=True, slots=True)
class Tightened:
    """An LP relaxation with cuts.

    Attributes
    ----------
    model : LinearModel
        Over (x, y), without the problem's constant.
    solution : LPSolution
        Its optimum.
    bound : float
        Proven: no plan is better.
    iterations : int
        Simplex iterations of all its LPs.
    """

    model: LinearModel
    solution: LPSolution
    bound: float
    iterations: int


def whole_model(problem: Problem) -> LinearModel:
    """Return the linear part of a problem over (x, y) as one `LinearModel`, x marked integer."""
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


def relaxation_model(problem: Problem) -> LinearModel:
    """Return the linear problem over (x, y) as one `LinearModel`, x marked integer.

    Links are tightened, and y gets the ends that the rows imply: what duals prove of a column without an end
    is nothing.
    """
    implied = implied_bounds(problem)
    problem = tighten_links(problem, implied)
    y_lower, y_upper = finite_bounds(problem, implied)
    y_lower = np.where(y_lower < -_FARTHEST, problem.offloading_lower, y_lower)
    y_upper = np.where(y_upper > _FARTHEST, problem.offloading_upper, y_upper)
    return whole_model(replace(problem, offloading_lower=y_lower, offloading_upper=y_upper))


def together(problem: Problem, parts: Sequence[Part], relaxations: Sequence[Relaxation]) -> Relaxation:
    """Return the relaxations of independent parts as one of the whole `problem`.

    The bounds add up. One infeasible part proves the whole infeasible; otherwise the worst status counts.
    """
    x, y = np.zeros(problem.n_onloading), np.zeros(problem.n_offloading)
    duals = np.zeros(problem.n_rows)
    for part, relaxation in zip(parts, relaxations, strict=True):
        x[part.onloading], y[part.offloading] = relaxation.x, relaxation.y
        duals[part.rows] = relaxation.duals
    statuses = {relaxation.status for relaxation in relaxations}
    for status in (LPStatus.INFEASIBLE, LPStatus.TIME_LIMIT, LPStatus.UNBOUNDED):
        if status in statuses:
            return Relaxation(status, -np.inf if status is LPStatus.INFEASIBLE else np.inf, x, y, duals)
    bound = problem.objective_constant + sum(relaxation.bound for relaxation in relaxations)
    return Relaxation(LPStatus.OPTIMAL, bound, x, y, duals)


def unbounded_columns(problem: Problem, backend: Backend, time_limit: float = np.inf) -> tuple[int, ...]:
    """Return the columns of y along which the LP relaxation improves without end.

    The ray is found by an LP over directions: finite sides become 0, infinite ones a box. None are returned
    if that takes longer than `time_limit` seconds.
    """
    model = relaxation_model(problem)

    def side(bound: FloatArray, box: float) -> FloatArray:
        return np.where(np.isfinite(bound), 0.0, box)

    program = backend.open(
        LinearModel(
            model.objective,
            model.matrix,
            side(model.row_lower, -np.inf),
            side(model.row_upper, np.inf),
            side(model.lower, -1.0),
            side(model.upper, 1.0),
        )
    )
    try:
        solution = program.solve(time_limit)
    finally:
        program.close()
    if solution.status is not LPStatus.OPTIMAL:
        return ()
    ray = solution.values[problem.n_onloading :]
    return tuple(np.flatnonzero(np.abs(ray) > 1e-6).tolist())


def proven_bound(model: LinearModel, solution: LPSolution) -> float:
    """Return an upper bound of a maximised LP that holds whatever the LP solver's tolerances.

    Any row duals of the right sign give one (weak duality; Neumaier and Shcherbina 2004, DOI
    10.1007/s10107-003-0433-3): what they pay for the rows, and for each column the better of its bounds at
    its reduced cost. Where an open column has a reduced cost that is not 0 by rounding alone, the LP's own
    value stands, with a margin for its tolerance.
    """
    paid = dual_bound(model, solution.row_duals, model.lower, model.upper)
    margin = 1e-7 * max(1.0, abs(solution.objective))
    if not np.isfinite(paid) or paid > solution.objective + 100 * margin:
        return solution.objective + margin
    return max(paid, solution.objective)


def dual_bound(model: LinearModel, duals: FloatArray, lower: FloatArray, upper: FloatArray) -> float:
    """Return what `duals` prove (weak duality): no point of `model` within the column bounds is better.

    Parameters
    ----------
    model
        Maximised.
    duals
        (m,), of any origin; those on an open side of their row count as 0.
    lower, upper
        (n,) each, in place of the bounds of `model`.
    """
    duals = usable_duals(model, duals)
    return bound_at(model, duals, model.objective - model.matrix.T @ duals, lower, upper)


def usable_duals(model: LinearModel, duals: FloatArray) -> FloatArray:
    """Return the duals, 0 on an open side of their row."""
    return np.where(np.isfinite(np.where(duals > 0, model.row_upper, model.row_lower)), duals, 0.0)


def bound_at(
    model: LinearModel, duals: FloatArray, costs: FloatArray, lower: FloatArray, upper: FloatArray
) -> float:
    """Return what usable `duals`, with the reduced `costs` that they leave, prove within column bounds."""
    sides = np.where(duals > 0, model.row_upper, model.row_lower)
    ends = np.where(costs > 0, upper, lower)
    return float(np.sum(duals[duals != 0] * sides[duals != 0]) + np.sum(costs[costs != 0] * ends[costs != 0]))
