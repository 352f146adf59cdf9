"""The LP relaxation as a model, and the relaxations of independent parts as one of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pyomo_j3o.certify.trail import Trail
from pyomo_j3o.core.matrices import side_by_side
from pyomo_j3o.core.problem import FloatArray, Problem
from pyomo_j3o.lp.base import Backend, LinearModel, LPSolution, LPStatus, Statuses
from pyomo_j3o.lp.duality import dual_bound, summed
from pyomo_j3o.presolve.decomposing import Split
from pyomo_j3o.presolve.tightening import (
    ends_of_better_plans,
    finite_bounds,
    implied_bounds,
    needed_bounds,
    tighten_links,
)

#: A direction gains something if it gains so much per unit of the largest gain of any column.
_IMPROVES = 1e-6

#: An implied bound farther out than this would do an LP solver more harm than good.
_FAR = 1e7


#: What one part says of the whole.
_WORST_FIRST = (LPStatus.INFEASIBLE, LPStatus.TIME_LIMIT, LPStatus.UNBOUNDED)


@dataclass(frozen=True, slots=True)
class Relaxation:
    """The LP relaxation of a linear problem.

    Attributes
    ----------
    status : LPStatus
        ``INFEASIBLE`` proves that the problem is; ``UNBOUNDED`` that its relaxation is.
    bound : float
        Upper bound of the maximum: -inf if infeasible, +inf if unbounded. If it was not solved in time, what
        its duals prove as they were then.
    x : (N,), fractional
    y : (K,)
    duals : (M,)
    tightened : TightRelaxation or None
        The LP itself with the cuts that bind; None unless `status` is ``OPTIMAL``.
    """

    status: LPStatus
    bound: float
    x: FloatArray
    y: FloatArray
    duals: FloatArray
    tightened: TightRelaxation | None = None


@dataclass(frozen=True, slots=True)
class TightRelaxation:
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
    trail : Trail or None
        What it leaves to a relaxation of nearly the same problem; None if it was not tightened.
    basis : Statuses or None
        Of its optimum, over all columns and rows; None if it is not known.
    """

    model: LinearModel
    solution: LPSolution
    bound: float
    iterations: int
    trail: Trail | None = None
    basis: Statuses | None = None


def whole_model(problem: Problem) -> LinearModel:
    """Return the linear part of a problem over (x, y) as one `LinearModel`, x marked integer."""
    n_x, n_y = problem.n_onloading, problem.n_offloading
    return LinearModel(
        np.concatenate([problem.onloading_objective, problem.offloading_objective]),
        side_by_side(problem.onloading_rows, problem.offloading_rows),
        problem.row_lower,
        problem.row_upper,
        np.concatenate([problem.onloading_lower, problem.offloading_lower]),
        np.concatenate([problem.onloading_upper, problem.offloading_upper]),
        np.concatenate([np.ones(n_x, dtype=bool), np.zeros(n_y, dtype=bool)]),
    )


def relaxation_model(problem: Problem) -> LinearModel:
    """Return the linear problem over (x, y) as one `LinearModel`, x marked integer.

    Links are tightened, and y gets the ends that the rows imply, or that some best plan keeps: what duals
    prove of a column without an end is nothing.
    """
    implied = implied_bounds(problem)
    bounds = needed_bounds(problem, implied)
    problem = tighten_links(problem, bounds)
    far = finite_bounds(problem, bounds)
    n_x = problem.n_onloading
    lower = np.where(far[0] < -_FAR, problem.offloading_lower, far[0])
    upper = np.where(far[1] > _FAR, problem.offloading_upper, far[1])
    model = whole_model(replace(problem, offloading_lower=lower, offloading_upper=upper))
    if np.all(np.isfinite(lower)) and np.all(np.isfinite(upper)):
        return model
    return replace(
        model,
        far_lower=np.concatenate([model.lower[:n_x], far[0]]),
        far_upper=np.concatenate([model.upper[:n_x], far[1]]),
    )


def together(whole: Split, relaxations: Sequence[Relaxation]) -> Relaxation:
    """Return the relaxations of independent parts as one of the whole.

    The bounds add up. One infeasible part proves the whole infeasible; otherwise the worst status counts.
    """
    x = whole.onloading(relaxation.x for relaxation in relaxations)
    y = whole.offloading(relaxation.y for relaxation in relaxations)
    duals = whole.rows(relaxation.duals for relaxation in relaxations)
    statuses = {relaxation.status for relaxation in relaxations}
    status = next((one for one in _WORST_FIRST if one in statuses), LPStatus.OPTIMAL)
    bound = -np.inf
    if status is not LPStatus.INFEASIBLE:
        bound = summed([whole.original.objective_constant, *(relaxation.bound for relaxation in relaxations)])
    return Relaxation(status, bound, x, y, duals)


def unbounded_columns(problem: Problem, backend: Backend, time_limit: float = np.inf) -> tuple[int, ...]:
    """Return the columns of y along which the LP relaxation improves without end; none if it does not.

    None are returned, too, if that is not known within `time_limit` seconds.
    """
    ray = improving_ray(relaxation_model(problem), backend, time_limit)
    return () if ray is None else tuple(np.flatnonzero(np.abs(ray[problem.n_onloading :]) > 1e-6).tolist())


def improving_ray(model: LinearModel, backend: Backend, time_limit: float = np.inf) -> FloatArray | None:
    """Return a direction, (n,), along which an LP stays feasible and improves without end; None without one.

    The ray is found by an LP over directions: finite sides become 0, infinite ones a box. Its objective is in
    the unit of its own largest coefficient: beside large costs of other columns, an LP solver takes a small
    gain of an open one for rounding.
    """
    lower, upper = model.ends(model.lower, model.upper)
    gain = np.where(np.isinf(lower) | np.isinf(upper), model.objective, 0.0)
    largest = float(np.abs(gain).max(initial=0.0))
    if largest == 0.0:
        return None

    def side(bound: FloatArray, box: float) -> FloatArray:
        return np.where(np.isfinite(bound), 0.0, box)

    program = backend.open(
        LinearModel(
            gain / largest,
            model.matrix,
            side(model.row_lower, -np.inf),
            side(model.row_upper, np.inf),
            side(lower, -1.0),
            side(upper, 1.0),
        )
    )
    try:
        solution = program.solve(time_limit)
    finally:
        program.close()
    improves = solution.status is LPStatus.OPTIMAL and solution.objective > _IMPROVES
    return solution.values if improves else None


def bound_of_columns(problem: Problem) -> float:
    """Return what the bounds of the columns alone prove of a linear problem: every column at its better end.

    It is infinite if the objective improves along a column without an end there.
    """
    model = whole_model(problem)
    alone = dual_bound(model, np.zeros(model.n_rows), model.lower, model.upper)
    return summed([alone, problem.objective_constant])


#: Plans that are worse than the relaxation by more than this multiple of its size do not matter to a proof.
_BELOW = 4.0


#: In proofs, no column is farther from 0 than this if neither its bounds, nor the rows, nor its cost say so.
FARTHEST = 1e10


def with_ends(model: LinearModel, objective: float) -> LinearModel:
    """Return the model with an end, for proofs, to every column.

    Points that are much worse than the LP's optimum are of no interest, so that a column that costs something
    has an end. A column that has none even so counts as no farther from 0 than `FARTHEST`.

    Parameters
    ----------
    model
        Maximised.
    objective
        Of its optimum, or near it; -inf if nothing is known of it.
    """
    lower, upper = model.ends(model.lower, model.upper)
    if np.all(np.isfinite(lower)) and np.all(np.isfinite(upper)):
        return model
    scale = max(abs(objective), float(np.abs(model.objective).max(initial=0.0)))
    floor = objective - _BELOW * scale if np.isfinite(objective) else -np.inf
    lower, upper = ends_of_better_plans(model, floor)
    return replace(
        model,
        far_lower=np.where(np.isinf(lower), np.minimum(-FARTHEST, upper), lower),
        far_upper=np.where(np.isinf(upper), np.maximum(FARTHEST, lower), upper),
        floor=floor,
    )
