"""The proven bound: the LP relaxation, whose duals are also the first prices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.covers import Knapsacks, separate
from pyomo_j3o.decomposing import Part
from pyomo_j3o.errors import BackendError
from pyomo_j3o.lp.base import Backend, LinearModel, LinearProgram, LPSolution, LPStatus
from pyomo_j3o.problem import FloatArray, Problem
from pyomo_j3o.rounding import BaseRows, separate_rounding
from pyomo_j3o.structure import Structure
from pyomo_j3o.tightening import finite_bounds, implied_bounds, tighten_links

#: A round of cuts that lowers the bound by less than this part of what all rounds did is the last one.
_WORTH = 5e-3

#: Cuts whose coefficients are further apart than this are left to nobody's tolerances.
_WIDEST = 1e6

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
    n_x, n_y = problem.n_onloading, problem.n_offloading
    return LinearModel(
        np.concatenate([problem.onloading_objective, problem.offloading_objective]),
        sparse.csr_array(sparse.hstack([problem.onloading_rows, problem.offloading_rows], format="csr")),
        problem.row_lower,
        problem.row_upper,
        np.concatenate([problem.onloading_lower, y_lower]),
        np.concatenate([problem.onloading_upper, y_upper]),
        np.concatenate([np.ones(n_x, dtype=bool), np.zeros(n_y, dtype=bool)]),
    )


def relax(
    structure: Structure,
    backend: Backend,
    cuts: bool,
    remaining: Callable[[], float],
    rounds: int = 20,
) -> Relaxation:
    """Solve the LP relaxation, and tighten it by cuts while that pays.

    Parameters
    ----------
    structure
        Of a linear problem.
    backend
        The LP solver.
    cuts
        Whether to add lifted cover cuts and mixed-integer rounding cuts; without them, the bound is that of
        the plain LP relaxation.
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
        tightened = Tightened(model, solution, np.inf, solution.iterations)
        if cuts and problem.n_onloading and solution.status is LPStatus.OPTIMAL:
            tightened = _tighten(structure, program, tightened, remaining, rounds)
    finally:
        program.close()
    model, solution = tightened.model, tightened.solution
    n_x = problem.n_onloading
    if solution.status is not LPStatus.OPTIMAL:
        bound = -np.inf if solution.status is LPStatus.INFEASIBLE else np.inf
        zeros = np.zeros(n_x), np.zeros(problem.n_offloading), np.zeros(problem.n_rows)
        return Relaxation(solution.status, bound, *zeros)
    tightened = replace(tightened, bound=proven_bound(model, solution))
    return Relaxation(
        LPStatus.OPTIMAL,
        tightened.bound + problem.objective_constant,
        solution.values[:n_x],
        solution.values[n_x:],
        solution.row_duals[: problem.n_rows],
        tightened,
    )


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
    duals = np.where(np.isfinite(np.where(duals > 0, model.row_upper, model.row_lower)), duals, 0.0)
    costs = model.objective - model.matrix.T @ duals
    sides = np.where(duals > 0, model.row_upper, model.row_lower)
    ends = np.where(costs > 0, upper, lower)
    return float(np.sum(duals[duals != 0] * sides[duals != 0]) + np.sum(costs[costs != 0] * ends[costs != 0]))


def _tighten(
    structure: Structure,
    program: LinearProgram,
    start: Tightened,
    remaining: Callable[[], float],
    rounds: int,
) -> Tightened:
    """Add violated cuts round by round; return the LP with those that bind at its last optimum."""
    knapsacks, base = Knapsacks.of(structure), BaseRows.of(structure)
    n_x, n_rows = structure.problem.n_onloading, structure.problem.n_rows
    model, solution, iterations = start.model, start.solution, start.iterations
    for _ in range(rounds):
        cuts, limit = _separate(knapsacks, base, solution.values[:n_x], solution.values[n_x:])
        if not len(limit) or remaining() <= 0:
            break
        try:
            program.add_rows(cuts, np.full(len(limit), -np.inf), limit)
            tighter = program.solve(remaining())
        except BackendError:
            # More rows than its licence takes, or more than its numerics: what is proven stays proven.
            break
        iterations += tighter.iterations
        if tighter.status is LPStatus.INFEASIBLE:
            return Tightened(model, tighter, -np.inf, iterations)
        if tighter.status is not LPStatus.OPTIMAL:
            break
        gained = solution.objective - tighter.objective
        solution = tighter
        model = replace(
            model,
            matrix=sparse.csr_array(sparse.vstack([model.matrix, cuts], format="csr")),
            row_lower=np.concatenate([model.row_lower, np.full(len(limit), -np.inf)]),
            row_upper=np.concatenate([model.row_upper, limit]),
        )
        if gained < _WORTH * (start.solution.objective - solution.objective):
            break
    return _binding(Tightened(model, solution, np.inf, iterations), n_rows)


def _separate(
    knapsacks: Knapsacks, base: BaseRows, x: FloatArray, y: FloatArray
) -> tuple[sparse.csr_array, FloatArray]:
    """Return all cuts of one round over the columns (x, y)."""
    covers, cover_limit = separate(knapsacks, x)
    rounded, rounded_limit = separate_rounding(base, x, y)
    wide = sparse.csr_array(
        (covers.data, covers.indices, covers.indptr), shape=(len(cover_limit), len(x) + len(y))
    )
    cuts = sparse.csr_array(sparse.vstack([wide, rounded], format="csr"))
    row = np.repeat(np.arange(cuts.shape[0]), np.diff(cuts.indptr))
    largest = np.zeros(cuts.shape[0])
    np.maximum.at(largest, row, np.abs(cuts.data))
    smallest = np.full(cuts.shape[0], np.inf)
    np.minimum.at(smallest, row, np.abs(cuts.data))
    fine = np.flatnonzero((largest <= _WIDEST * smallest) & (largest <= _WIDEST))
    return cuts[fine], np.concatenate([cover_limit, rounded_limit])[fine]


def _binding(tightened: Tightened, n_rows: int) -> Tightened:
    """Return the LP without the cuts, rows from `n_rows` on, that have slack at its optimum."""
    model, solution = tightened.model, tightened.solution
    side = model.row_upper[n_rows:]
    slack = side - (model.matrix @ solution.values)[n_rows:]
    binds = np.ones(model.n_rows, dtype=bool)
    binds[n_rows:] = (slack <= 1e-7 * np.maximum(1.0, np.abs(side))) | (solution.row_duals[n_rows:] != 0.0)
    keep = np.flatnonzero(binds)
    model = replace(
        model, matrix=model.matrix[keep], row_lower=model.row_lower[keep], row_upper=model.row_upper[keep]
    )
    return replace(tightened, model=model, solution=replace(solution, row_duals=solution.row_duals[keep]))
