"""The proven bound: the LP relaxation, whose duals are also the first prices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.covers import Knapsacks, separate
from pyomo_j3o.lp.base import Backend, LinearModel, LinearProgram, LPSolution, LPStatus
from pyomo_j3o.problem import FloatArray, Problem
from pyomo_j3o.structure import Structure
from pyomo_j3o.tightening import tighten_links


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
    """Return the linear problem over (x, y) as one `LinearModel`, links tightened and x marked integer."""
    problem = tighten_links(problem)
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


def relax(
    structure: Structure,
    backend: Backend,
    cuts: bool,
    remaining: Callable[[], float],
    rounds: int = 20,
) -> Relaxation:
    """Solve the LP relaxation, and tighten it by lifted cover cuts while that pays.

    Parameters
    ----------
    structure
        Of a linear problem.
    backend
        The LP solver.
    cuts
        Whether to add cuts; without them, the bound is that of the plain LP relaxation.
    remaining
        Returns the seconds left.
    rounds
        The largest number of rounds of cuts.
    """
    problem = structure.problem
    model = relaxation_model(problem)
    program = backend.open(model)
    try:
        solution = program.solve(remaining())
        if cuts and solution.status is LPStatus.OPTIMAL:
            model, solution = _tighten(structure, model, program, solution, remaining, rounds)
        if solution.status is not LPStatus.OPTIMAL:
            bound = -np.inf if solution.status is LPStatus.INFEASIBLE else np.inf
            n_x, n_y, m = problem.n_onloading, problem.n_offloading, problem.n_rows
            return Relaxation(solution.status, bound, np.zeros(n_x), np.zeros(n_y), np.zeros(m))
    finally:
        program.close()
    n_x = problem.n_onloading
    return Relaxation(
        LPStatus.OPTIMAL,
        proven_bound(model, solution) + problem.objective_constant,
        solution.values[:n_x],
        solution.values[n_x:],
        solution.row_duals[: problem.n_rows],
    )


def unbounded_columns(problem: Problem, backend: Backend) -> tuple[int, ...]:
    """Return the columns of y along which the LP relaxation improves without end.

    The ray is found by an LP over directions: finite sides become 0, infinite ones a box.
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
        solution = program.solve()
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
    duals = solution.row_duals.copy()
    duals[(duals > 0) & ~np.isfinite(model.row_upper)] = 0.0
    duals[(duals < 0) & ~np.isfinite(model.row_lower)] = 0.0
    costs = model.objective - model.matrix.T @ duals
    sides = np.where(duals > 0, model.row_upper, model.row_lower)
    ends = np.where(costs > 0, model.upper, model.lower)
    paid = float(np.sum(duals[duals != 0] * sides[duals != 0]) + np.sum(costs[costs != 0] * ends[costs != 0]))
    margin = 1e-7 * max(1.0, abs(solution.objective))
    if not np.isfinite(paid) or paid > solution.objective + 100 * margin:
        return solution.objective + margin
    return max(paid, solution.objective)


def _tighten(
    structure: Structure,
    model: LinearModel,
    program: LinearProgram,
    solution: LPSolution,
    remaining: Callable[[], float],
    rounds: int,
) -> tuple[LinearModel, LPSolution]:
    """Add violated cover cuts round by round; return the LP with the cuts that `solution` belongs to."""
    knapsacks = Knapsacks.of(structure)
    n_x, n_y = structure.problem.n_onloading, structure.problem.n_offloading
    first = solution.objective
    for _ in range(rounds):
        cuts, limit = separate(knapsacks, solution.values[:n_x])
        if not len(limit) or remaining() <= 0:
            break
        wide = sparse.csr_array((cuts.data, cuts.indices, cuts.indptr), shape=(len(limit), n_x + n_y))
        program.add_rows(wide, np.full(len(limit), -np.inf), limit)
        tighter = program.solve(remaining())
        if tighter.status is LPStatus.INFEASIBLE:
            return model, tighter
        if tighter.status is not LPStatus.OPTIMAL:
            break
        gained = solution.objective - tighter.objective
        solution = tighter
        model = replace(
            model,
            matrix=sparse.csr_array(sparse.vstack([model.matrix, wide], format="csr")),
            row_lower=np.concatenate([model.row_lower, np.full(len(limit), -np.inf)]),
            row_upper=np.concatenate([model.row_upper, limit]),
        )
        if gained < 1e-3 * (first - solution.objective):
            break
    return model, solution
