"""The proven bound: the LP relaxation, whose duals are also the first prices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pyomo_j3o.covers import Knapsacks, separate
from pyomo_j3o.lp.base import Backend, LinearModel, LinearProgram, LPSolution, LPStatus
from pyomo_j3o.problem import FloatArray, Problem
from pyomo_j3o.structure import Structure


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
    program = backend.open(relaxation_model(problem))
    try:
        solution = program.solve(remaining())
        if cuts and solution.status is LPStatus.OPTIMAL:
            solution = _tighten(structure, program, solution, remaining, rounds)
        if solution.status is not LPStatus.OPTIMAL:
            bound = -np.inf if solution.status is LPStatus.INFEASIBLE else np.inf
            n_x, n_y, m = problem.n_onloading, problem.n_offloading, problem.n_rows
            return Relaxation(solution.status, bound, np.zeros(n_x), np.zeros(n_y), np.zeros(m))
    finally:
        program.close()
    n_x = problem.n_onloading
    return Relaxation(
        LPStatus.OPTIMAL,
        solution.objective + problem.objective_constant,
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


def _tighten(
    structure: Structure,
    program: LinearProgram,
    solution: LPSolution,
    remaining: Callable[[], float],
    rounds: int,
) -> LPSolution:
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
            return LPSolution.without_values(LPStatus.INFEASIBLE)
        if tighter.status is not LPStatus.OPTIMAL:
            break
        gained = solution.objective - tighter.objective
        solution = tighter
        if gained < 1e-3 * (first - solution.objective):
            break
    return solution
