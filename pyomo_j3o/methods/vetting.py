"""The last check of what a search returns: a plan holds in the user's rows, or another is looked for."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from pyomo_j3o.certify.relaxation import relaxation_model
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.matrices import side_by_side
from pyomo_j3o.core.problem import (
    FARTHEST_APART,
    Problem,
    ratios_of_entries,
)
from pyomo_j3o.core.results import Ending, Outcome
from pyomo_j3o.errors import BackendError
from pyomo_j3o.improve.feasibility import first_plan
from pyomo_j3o.lp import LPStatus
from pyomo_j3o.lp.duality import dual_bound
from pyomo_j3o.lp.highs import HighsProgram
from pyomo_j3o.methods.own_rows import TIGHT, OwnRows, Routed, free_variables
from pyomo_j3o.methods.settings import Context, Settings
from pyomo_j3o.presolve.decomposing import take

logger = logging.getLogger("pyomo_j3o")


def vetted(
    outcome: Outcome,
    own: OwnRows,
    linear: Problem | None,
    settings: Settings,
    context: Context,
) -> Outcome:
    """Return the outcome of a search with a plan that the user's rows take, or without one.

    Parameters
    ----------
    outcome
        In the columns of ``own.scaled``.
    own
        What every plan is held against.
    linear
        The linear form that the outcome comes from; None if there is none, and no plan to be vetted.
    settings, context
        As in `j3o.solve`.
    """
    plan, duals, bound, ending = outcome.plan, outcome.duals, outcome.bound, outcome.ending
    deadline = context.deadline

    if ending is Ending.INFEASIBLE and not _is_proven_infeasible(linear or own.scaled, deadline.with_grace()):
        return _not_by_a_word(outcome, own, linear, settings, context)
    if ending in (Ending.INFEASIBLE, Ending.UNBOUNDED, Ending.INTERRUPTED) and plan is None:
        return outcome
    if plan is not None and own.accepts(plan.x, plan.y):
        return _best_of_few(outcome, own, settings, context)
    assert linear is not None
    if plan is None and (deadline.over or not settings.branches):
        return outcome
    with context.timings.phase("offload"):
        routed = Routed()
        if plan is not None:
            routed = own.route_or_open(plan.x, plan.y * own.scaling.column, deadline.with_grace())
        closed = routed.plan is not None and settings.closed(routed.plan.objective, bound)
        if not closed and not deadline.over and ending is not Ending.INTERRUPTED:
            why = "No plan was found" if plan is None else "What passes for a plan misses a row as written"
            context.log.line(f"{why}; once more, placement by placement")
            found = own.search(linear, routed, settings.rel_gap, deadline)
            bound = min(bound, found.bound)
            routed = found if found.plan is not None else routed
    plan, duals = routed.plan, routed.duals
    if plan is not None:
        bound = max(bound, plan.objective)
        if settings.closed(plan.objective, bound):
            ending = Ending.GAP
        elif ending is Ending.GAP:
            ending = Ending.TOLERANCES
    elif bound == -np.inf:
        ending = Ending.INFEASIBLE
    elif ending is not Ending.INTERRUPTED:
        ending = Ending.REFUSED if not deadline.over else Ending.TIME
    return replace(outcome, plan=plan, duals=duals, bound=bound, ending=ending)


def _best_of_few(outcome: Outcome, own: OwnRows, settings: Settings, context: Context) -> Outcome:
    """Look at every placement where they are few, and the whole search has left the gap open.

    Figures far apart do that: a gain of 1 is lost in the tolerances beside a penalty of 1e12.
    """
    plan, problem = outcome.plan, own.problem
    assert plan is not None
    if problem.batches is not None or len(free_variables(problem)) > own.params.few_to_prove:
        return outcome
    given_up = outcome.ending in (Ending.FIXED_POINT, Ending.THRASHING, Ending.STALLED)
    searched = settings.improve and settings.bound != "none" and settings.onloading_step is None
    if not (given_up and searched) or settings.closed(plan.objective, outcome.bound):
        return outcome
    context.log.line("The gap is open, and placements are few: once more, placement by placement")
    found = _searched(own, None, Routed(plan, outcome.duals), settings, context)
    bound = min(outcome.bound, found.bound)
    if found.plan is not None and found.plan.objective > plan.objective:
        plan, outcome = found.plan, replace(outcome, plan=found.plan, duals=found.duals)
    bound = max(bound, plan.objective)
    closed = settings.closed(plan.objective, bound)
    return replace(outcome, bound=bound, ending=Ending.GAP if closed else outcome.ending)


def _not_by_a_word(
    outcome: Outcome,
    own: OwnRows,
    linear: Problem | None,
    settings: Settings,
    context: Context,
) -> Outcome:
    """Look for a plan, or for a proof that there is none, where solvers' word for that is not enough."""
    context.log.line(
        "Infeasible by a solver's word, for figures of a row far apart; once more, placement by placement"
    )
    found = _searched(own, linear, Routed(), settings, context)
    if found.plan is None and found.bound == -np.inf:
        return outcome
    ending = Ending.REFUSED
    if found.plan is not None:
        ending = Ending.GAP if settings.closed(found.plan.objective, found.bound) else Ending.TOLERANCES
    return replace(outcome, plan=found.plan, duals=found.duals, bound=found.bound, ending=ending)


def _searched(
    own: OwnRows, linear: Problem | None, start: Routed, settings: Settings, context: Context
) -> Routed:
    """Return what a search of the placements finds and proves in a few seconds."""
    with context.timings.phase("offload"):
        deadline = context.deadline.within(own.params.seconds_of_proof)
        return own.search(linear, start, settings.rel_gap, deadline)


def _is_proven_infeasible(problem: Problem, deadline: Deadline) -> bool:
    """Return whether a solver's word that a problem has no plan is enough, or its relaxation a proof.

    The word is enough where the rows without figures far apart have no plan by themselves.
    """
    rows = side_by_side(problem.onloading_rows, problem.offloading_rows)
    near = np.flatnonzero(ratios_of_entries(rows) <= FARTHEST_APART)
    if len(problem.products) or len(near) == problem.n_rows:
        return True
    model = relaxation_model(problem)
    model = replace(model, objective=np.zeros(model.n_columns))
    program = HighsProgram(model, TIGHT)
    try:
        found = program.solve(deadline.left())
        ray = program.farkas() if found.status is LPStatus.INFEASIBLE else None
    except BackendError as error:
        logger.debug("The relaxation proves nothing: %s", error)
        ray = None
    finally:
        program.close()
    if ray is not None and dual_bound(model, ray, model.lower, model.upper) < 0.0:
        return True
    every = np.arange(problem.n_onloading), np.arange(problem.n_offloading)
    try:
        status, _ = first_plan(take(problem, *every, near), deadline.last_work())
    except BackendError as error:
        logger.debug("The rows of ordinary figures prove nothing: %s", error)
        return False
    return status is LPStatus.INFEASIBLE
