"""J3O and BAJ3O on a problem with batching windows: who pays for set-ups, search, and the last LP."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pyomo_j3o.alternate.offloading import OffloadingStep
from pyomo_j3o.core.deadline import GRACE
from pyomo_j3o.core.log import Log
from pyomo_j3o.core.problem import Plan, Problem, violations
from pyomo_j3o.core.results import Ending, Outcome, Record, Timings, relative_gap
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.lp import Backend
from pyomo_j3o.methods import j3o as method
from pyomo_j3o.presolve.setup_payers import NEGLIGIBLE, Charged, charge_when_onloaded, charge_when_used

#: Where J3O's search is one of its own, the part of a time limit that it gets within BAJ3O's.
_SHARE_OF_J3O = 0.5

#: What a row may be missed by, and still count as met.
_TOLERANCE = 1e-7


def solve(
    problem: Problem,
    backend: Backend,
    settings: method.Settings,
    timings: Timings,
    log: Log,
    batching_aware: bool,
) -> tuple[Outcome, list[Record]]:
    """Solve a linear problem with batching windows, or one without, by BAJ3O or J3O.

    ::

        J3O     charges every onloaded model for its batches: the plan is safe, and set-up a part of its size
        BAJ3O   goes on from there: φ_δ linearised at the last batch sizes in place of the set-ups, δ -> 0;
                what is not in use is not charged, and what is, is charged in full

    The bound is that of the exact windows in both cases. BAJ3O's search holds J3O's: its plan is never worse
    if both come to their end.

    Parameters
    ----------
    problem
        Linear, maximised.
    backend, settings, timings, log
        As for `method.solve`.
    batching_aware
        Whether to solve by BAJ3O.

    Returns
    -------
    Outcome
    list of Record
    """
    if problem.batches is None or settings.time_limit <= timings.elapsed():
        return method.solve(problem, backend, settings, timings, log)
    # Who asks for a tiny gap wants the set-ups that hardly count, too.
    negligible = settings.rel_gap >= NEGLIGIBLE
    while True:
        charged = charge_when_used(problem, negligible)
        if charged.indicators_left and not (batching_aware and settings.max_iterations == 1):
            outcome, trace = _solve_in_two(
                charged, negligible, backend, settings, timings, log, batching_aware
            )
        else:
            start = None if settings.start is None else charged.reduce(settings.start)
            aware = replace(settings, start=start, charged=charged if batching_aware else None)
            outcome, trace = method.solve(charged.problem, backend, aware, timings, log)
        outcome, safe = _restored(charged, outcome, backend, settings, timings, not batching_aware)
        if safe or not negligible:
            if trace and outcome.plan is not None:
                trace[-1] = _at_the_end(trace[-1], outcome.plan.objective, problem.sense)
            return outcome, trace
        # There was no room for set-ups that seemed not to count.
        negligible = False


def _solve_in_two(
    charged: Charged,
    negligible: bool,
    backend: Backend,
    settings: method.Settings,
    timings: Timings,
    log: Log,
    batching_aware: bool,
) -> tuple[Outcome, list[Record]]:
    """Solve where charging every onloaded model is a restriction: J3O first, then with all that is left."""
    tied = charge_when_onloaded(charged.original, negligible)
    given = settings.start
    settings = replace(settings, start=None)
    bound = np.inf
    if not batching_aware:
        # The bound comes from the exact windows, without the restriction.
        certificate = method.certify(charged.problem, backend, settings, timings, log)
        if certificate.ending in (Ending.INFEASIBLE, Ending.UNBOUNDED, Ending.INTERRUPTED):
            return certificate, []
        bound = certificate.bound
    limit = settings.time_limit
    if batching_aware and np.isfinite(limit):
        limit = timings.elapsed() + _SHARE_OF_J3O * (limit - timings.elapsed())
    log.line("J3O: every onloaded model charged for its batches")
    first, trace = method.solve(
        tied.problem,
        backend,
        replace(
            settings,
            start=None if given is None else tied.reduce(given),
            proven=bound,
            time_limit=limit,
            # One is left for the search that follows.
            max_iterations=settings.max_iterations - batching_aware,
        ),
        timings,
        log,
    )
    start = None if given is None else charged.reduce(given)
    if first.plan is not None:
        start = charged.reduce(tied.restore(first.plan.x, first.plan.y, charge_all=True))
        first = replace(first, plan=replace(first.plan, x=start))
    if first.ending is Ending.INFEASIBLE:
        log.line("No plan charges every onloaded model for its batches; going on with those in use.")
    elif not batching_aware or first.ending in (Ending.INTERRUPTED, Ending.UNBOUNDED):
        return first, trace
    if batching_aware:
        log.line("BAJ3O: with a choice of its own for every batch")
    second, more = method.solve(
        charged.problem,
        backend,
        replace(
            settings,
            start=start,
            charged=charged if batching_aware else None,
            max_iterations=max(settings.max_iterations - len(trace), 1),
            iterations_before=len(trace),
        ),
        timings,
        log,
    )
    trace += more
    if second.ending is Ending.INFEASIBLE and first.plan is not None:
        second = replace(second, bound=np.inf)  # by rounding: there is a plan
    best = first.plan
    if best is not None and (second.plan is None or best.objective > second.plan.objective):
        ending = Ending.TIME if second.ending is Ending.INFEASIBLE else second.ending
        second = replace(first, bound=max(second.bound, best.objective), ending=ending)
    return replace(second, steps=first.steps + second.steps), trace


def _at_the_end(record: Record, objective: float, sense: float) -> Record:
    """Return the last record with what the last LP has gained."""
    if objective <= record.incumbent / sense:
        return record
    bound = max(record.bound / sense, objective)
    gap = relative_gap(objective, bound)
    return replace(record, incumbent=sense * objective, bound=sense * bound, relative_gap=gap)


def _restored(
    charged: Charged,
    outcome: Outcome,
    backend: Backend,
    settings: method.Settings,
    timings: Timings,
    charge_all: bool,
) -> tuple[Outcome, bool]:
    """Return the outcome in the original columns, after the last LP: support fixed, and charged in full.

    Also whether its plan is one of the original.
    """
    outcome, plan = replace(outcome, cuts=None), outcome.plan  # those are in other columns
    if plan is None:
        return replace(outcome, duals=None), True
    original = charged.original
    x = charged.restore(plan.x, plan.y, charge_all)
    safe = bool(violations(original, x.astype(float), plan.y).max(initial=0.0) <= _TOLERANCE)
    found, duals, ending = Plan(x, plan.y, plan.objective), None, outcome.ending
    with timings.phase("offload"):
        step = OffloadingStep(analyse(original), backend)
        try:
            routing = step(x, max(settings.time_limit - timings.elapsed(), GRACE))
            if routing.feasible:
                duals = routing.duals
                if not safe or routing.objective >= plan.objective:
                    found, safe = Plan(x, routing.y, routing.objective), True
        except KeyboardInterrupt:
            ending = Ending.INTERRUPTED
        finally:
            step.close()
    bound = max(outcome.bound, found.objective)
    if ending is Ending.GAP and not settings.closed(found.objective, bound):
        ending = Ending.STALLED
    return replace(outcome, plan=found, bound=bound, ending=ending, duals=duals), safe
