"""The LP relaxation, tightened by cuts round by round on its kernel."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
from scipy import sparse

from pyomo_j3o.certify.ascent import Ascent, ascend
from pyomo_j3o.certify.covers import Knapsacks, separate
from pyomo_j3o.certify.kernel import Kernel, kernel_columns
from pyomo_j3o.certify.mir import BaseRows, separate_rounding
from pyomo_j3o.certify.params import CutParams
from pyomo_j3o.certify.relaxation import (
    Relaxation,
    TightRelaxation,
    improving_ray,
    relaxation_model,
    with_ends,
)
from pyomo_j3o.certify.setup_cuts import setup_cuts
from pyomo_j3o.certify.sifting import cheapest_columns, first_optimum, sift
from pyomo_j3o.certify.trail import Trail
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.matrices import entry_rows
from pyomo_j3o.core.problem import FloatArray
from pyomo_j3o.core.structure import Structure
from pyomo_j3o.errors import BackendError
from pyomo_j3o.lp.base import Backend, LinearModel, LPSolution, LPStatus, Statuses
from pyomo_j3o.lp.duality import dual_bound, summed

logger = logging.getLogger("pyomo_j3o")


def relax(
    structure: Structure,
    backend: Backend,
    cuts: bool,
    deadline: Deadline,
    params: CutParams = CutParams(),
    trail: Trail | None = None,
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
    deadline
        When to end.
    params
        Which cuts, and how many rounds of them.
    trail
        Of a relaxation of nearly the same problem: this one begins with its columns and its basis.
    """
    problem = structure.problem
    model = relaxation_model(problem)
    n_x = problem.n_onloading
    tightens = cuts and n_x > 0
    ascent, again = None, None
    if trail is not None and tightens and trail.fits(model.n_columns, model.n_rows):
        again = first_optimum(model, n_x, trail.columns, trail.basis, backend, deadline, params)
    if again is None:
        ascent = _ascent(structure, model, deadline, params)
        again = None if ascent is None else sift(structure, model, ascent, backend, deadline, params)
        trail = None
    kernel, tightened = (None, _at_once(model, ascent, backend, deadline)) if again is None else again
    try:
        if tightened.solution.status is LPStatus.OPTIMAL and tightens and not deadline.over:
            separator = Separator(structure, params)
            tightened = _tighten(separator, backend, tightened, kernel, deadline, trail)
    finally:
        if kernel is not None:
            kernel.close()
    solution = tightened.solution
    if solution.status is not LPStatus.OPTIMAL:
        bound = -np.inf if solution.status is LPStatus.INFEASIBLE else tightened.bound
        bound = summed([bound, problem.objective_constant])
        zeros = np.zeros(n_x), np.zeros(problem.n_offloading)
        timed_out = solution.status is LPStatus.TIME_LIMIT and ascent is not None
        prices = ascent.duals if ascent is not None and timed_out else np.zeros(problem.n_rows)
        return Relaxation(solution.status, bound, *zeros, prices)
    return Relaxation(
        LPStatus.OPTIMAL,
        summed([tightened.bound, problem.objective_constant]),
        solution.values[:n_x],
        solution.values[n_x:],
        solution.row_duals[: problem.n_rows],
        tightened,
    )


def _ascent(structure: Structure, model: LinearModel, deadline: Deadline, params: CutParams) -> Ascent | None:
    """Return prices that prove a bound, where the LP is so large that they are worth their time."""
    if model.matrix.nnz < params.ascent.large:
        return None
    columns = cheapest_columns(structure, params.ascent)
    ended = with_ends(model, -np.inf)
    return ascend(ended, structure.problem.n_onloading, columns, deadline, params.ascent)


def _at_once(
    model: LinearModel, ascent: Ascent | None, backend: Backend, deadline: Deadline
) -> TightRelaxation:
    """Return the optimum of the whole LP, or what is proven when the time is over."""
    if deadline.over:
        nothing = LPSolution.without_values(LPStatus.TIME_LIMIT)
        return TightRelaxation(model, nothing, _bound_in_time(model, nothing, ascent), 0)
    program = backend.open(model)
    try:
        solution = program.solve(deadline.left())
    finally:
        program.close()
    bound = np.inf
    if solution.status is LPStatus.OPTIMAL and improving_ray(model, backend, deadline.left()) is not None:
        solution = LPSolution.without_values(LPStatus.UNBOUNDED, solution.iterations)
    if solution.status is LPStatus.OPTIMAL:
        model = with_ends(model, solution.objective)
        bound = dual_bound(model, solution.row_duals, model.lower, model.upper)
    elif solution.status is LPStatus.TIME_LIMIT:
        bound = _bound_in_time(model, solution, ascent)
    return TightRelaxation(model, solution, bound, solution.iterations)


def _bound_in_time(model: LinearModel, solution: LPSolution, ascent: Ascent | None) -> float:
    """Return what is proven where time ends in the LP: by its duals, an ascent, or the columns' ends."""
    candidates = [np.zeros(model.n_rows), solution.row_duals]
    candidates += [] if ascent is None else [ascent.duals]
    best = np.inf
    for duals in candidates:
        if len(duals) != model.n_rows:
            continue
        # What the duals prove within far ends gives the columns nearer ends, and these prove more.
        ended = with_ends(model, best if np.isfinite(best) else -np.inf)
        best = min(best, dual_bound(ended, duals, ended.lower, ended.upper))
    return best


def _tighten(
    separator: Separator,
    backend: Backend,
    start: TightRelaxation,
    kernel: Kernel | None,
    deadline: Deadline,
    trail: Trail | None,
) -> TightRelaxation:
    """Add violated cuts round by round; return the LP with those that bind at its last optimum.

    A kernel that is given stays open. From a trail on, few rounds do.
    """
    params, n_x, n_rows = separator.params, separator.n_x, separator.n_rows
    scale = abs(start.bound)
    lower, upper = start.model.lower[:n_x], start.model.upper[:n_x]
    best, given = start, kernel
    columns, basis = start.solution.values > 0.0, None
    before = 0 if kernel is None else kernel.iterations
    try:
        for _ in range(params.rounds if trail is None else params.rounds_again):
            cuts, limit = separator.cuts(best.solution.values, deadline)
            if not len(limit) or deadline.over:
                break
            if kernel is None:
                columns = kernel_columns(start, params.kernel * scale)
                kernel = Kernel(start.model, backend, n_x, columns, params.lp)
            kernel.add_rows(cuts, limit)
            point = kernel.solve(lower, upper, None, params.slack * scale, -np.inf, deadline)
            iterations = start.iterations + kernel.iterations - before
            if point.status is LPStatus.INFEASIBLE and point.bound == -np.inf:
                empty = LPSolution.without_values(LPStatus.INFEASIBLE)
                return TightRelaxation(kernel.model, empty, -np.inf, iterations)
            if not point.solved:
                break
            solution = point.solution(kernel.model, iterations)
            gained = best.bound - point.bound
            # By rounding, duals may prove less than those before; the last LP is the tightest all the same.
            best = TightRelaxation(kernel.model, solution, min(point.bound, best.bound), iterations)
            if gained < params.worth * (start.bound - best.bound):
                break
        if kernel is not None:
            columns, basis = kernel.inside, kernel.statuses()
    except BackendError as error:
        # More rows than its licence takes, or more than its numerics: what is proven stays proven.
        logger.debug("Cuts end early: %s", error)
    finally:
        if kernel is not None and kernel is not given:
            kernel.close()
    without_cuts = None if basis is None else Statuses(basis.columns, basis.rows[:n_rows])
    best = replace(best, trail=Trail(columns, without_cuts))
    if basis is not None and len(basis.rows) == best.model.n_rows:
        best = replace(best, basis=basis)
    return _binding(best, n_rows)


class Separator:
    """Finds cuts that a point violates, of all families.

    Parameters
    ----------
    structure
        Of a linear problem with onloading variables.
    params
        Which cuts.
    """

    def __init__(self, structure: Structure, params: CutParams) -> None:
        self.params = params
        self.n_x, self.n_rows = structure.problem.n_onloading, structure.problem.n_rows
        self._knapsacks = Knapsacks.of(structure)
        self._base = BaseRows.of(structure, params.rounding)
        self._setups = setup_cuts(self._base, structure.problem.offloading_upper)

    def cuts(self, point: FloatArray, deadline: Deadline) -> tuple[sparse.csr_array, FloatArray]:
        """Return all cuts of one round at a point (x, y), or those that are found in time."""
        params, x, y = self.params, point[: self.n_x], point[self.n_x :]
        of_setups = self._setups[np.flatnonzero(self._setups @ point > params.setup_violation)]
        covers, cover_limit = separate(self._knapsacks, x, deadline, params.covers)
        rounded, rounded_limit = separate_rounding(self._base, x, y, deadline, params.rounding)
        wide = sparse.csr_array(
            (covers.data, covers.indices, covers.indptr), shape=(len(cover_limit), len(point))
        )
        cuts = sparse.csr_array(sparse.vstack([wide, rounded, of_setups], format="csr"))
        row = entry_rows(cuts)
        largest = np.zeros(cuts.shape[0])
        np.maximum.at(largest, row, np.abs(cuts.data))
        smallest = np.full(cuts.shape[0], np.inf)
        np.minimum.at(smallest, row, np.abs(cuts.data))
        # Cuts whose coefficients are farther apart are left to nobody's tolerances.
        fine = np.flatnonzero((largest <= params.widest * smallest) & (largest <= params.widest))
        limit = np.concatenate([cover_limit, rounded_limit, np.zeros(of_setups.shape[0])])
        return cuts[fine], limit[fine]


def _binding(tightened: TightRelaxation, n_rows: int) -> TightRelaxation:
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
    basis = tightened.basis
    if basis is not None:
        basis = Statuses(basis.columns, basis.rows[keep])
    solution = replace(solution, row_duals=solution.row_duals[keep])
    return replace(tightened, model=model, solution=solution, basis=basis)
