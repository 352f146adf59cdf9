"""J3O and BAJ3O on a problem with batching windows: who pays for set-ups, search, and the last LP."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pyomo_j3o.alternate.alternating import alternate
from pyomo_j3o.alternate.batch_surrogate import BatchSurrogate
from pyomo_j3o.alternate.offloading import OffloadingStep, Routing
from pyomo_j3o.core.problem import BoolArray, FloatArray, Plan, Problem, violations
from pyomo_j3o.core.results import Ending, Outcome, Record
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.methods import j3o
from pyomo_j3o.methods.run import Run
from pyomo_j3o.methods.settings import Context, Settings
from pyomo_j3o.presolve.charged import Charged
from pyomo_j3o.presolve.setup_payers import charge_when_onloaded, charge_when_used

#: What a row may be missed by, and still count as met.
_TOLERANCE = 1e-7


def solve(
    problem: Problem, settings: Settings, context: Context, batching_aware: bool
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
    settings, context
        As for `j3o.solve`.
    batching_aware
        Whether to solve by BAJ3O.

    Returns
    -------
    Outcome
    list of Record
    """
    if problem.batches is None or context.deadline.over:
        return j3o.solve(problem, settings, context)
    # What is left of one of its alternations is of no use to the other.
    settings = replace(settings, memory=None)
    # Who asks for a tiny gap wants the set-ups that hardly count, too.
    negligible = settings.params.presolve.negligible
    if settings.rel_gap < negligible:
        negligible = 0.0
    while True:
        charged = charge_when_used(problem, negligible, charge_all=not batching_aware)
        if charged.indicators_left and not (batching_aware and settings.max_iterations == 1):
            outcome, trace = _solve_in_two(charged, negligible, settings, context, batching_aware)
        else:
            start = None if settings.start is None else charged.reduce_placement(settings.start)
            aware = replace(settings, start=start, charged=charged if batching_aware else None)
            outcome, trace = j3o.solve(charged.problem, aware, context, BatchedRun)
        outcome, safe = _restored(charged, outcome, settings, context)
        if safe or not negligible:
            if trace and outcome.plan is not None:
                trace[-1] = _at_the_end(trace[-1], outcome.plan.objective, problem.sense)
            return outcome, trace
        # There was no room for set-ups that seemed not to count.
        negligible = 0.0


class BatchedRun(Run):
    """The steps of J3O, and BAJ3O's alternation with the surrogate of the set-ups."""

    def other_starts(self, start: Routing) -> list[BoolArray]:
        """Alternate once more, with BAJ3O's surrogate, and return what that found if it is worth a look.

        It begins where J3O ended. J3O's own search then goes on as if there were no surrogate: what it finds
        is never missed.
        """
        charged, deadline = self.settings.charged, self.context.deadline
        left = self.settings.max_iterations - len(self.progress.trace)
        if charged is None or not len(charged.batch) or left <= 0 or deadline.over:
            return []
        known, before = list(self.prices), len(self.progress.trace)
        y = start.y if start.feasible else np.zeros(self.structure.problem.n_offloading)
        with self.context.timings.phase("onload"):
            steps = BatchSurrogate(charged, self.parts.whole, self.context.backend, y, self.params.loop)
        found: list[Routing] = []

        def onload(prices: FloatArray) -> BoolArray:
            with self.context.timings.phase("onload"):
                return steps.onload(prices, deadline)

        def offload(x: BoolArray, at_least: float) -> Routing:
            with self.context.timings.phase("offload"):
                x, relaxed = steps.offload(x, deadline.left())
            if not self.structure.placeable(x):
                # The prices say more than nothing.
                return replace(Routing.impossible(x, self.structure), duals=relaxed.duals)
            routing = self.offload(x, at_least)
            found.append(routing)
            return replace(routing, duals=relaxed.duals)

        def observe(routing: Routing, best: Routing, cycle: int) -> Ending | None:
            ending = self.observe(routing, best, cycle if steps.settled else 0, since=before)
            return None if ending is Ending.STALLED and not steps.settled else ending

        self.context.log.line("BAJ3O: alternation with the surrogate of the set-ups")
        alternate(onload, offload, start.duals, observe, self.params.loop)
        self.prices = known
        good = [routing for routing in found if routing.feasible]
        return [max(good, key=lambda routing: routing.merit).x] if good else []


def _solve_in_two(
    charged: Charged,
    negligible: float,
    settings: Settings,
    context: Context,
    batching_aware: bool,
) -> tuple[Outcome, list[Record]]:
    """Solve where charging every onloaded model is a restriction: J3O first, then with all that is left."""
    tied = charge_when_onloaded(charged.original, negligible)
    given = settings.start
    settings = replace(settings, start=None)
    bound = np.inf
    if not batching_aware:
        # The bound comes from the exact windows, without the restriction.
        ending, bound = j3o.certify(charged.problem, settings, context)
        if ending in (Ending.INFEASIBLE, Ending.UNBOUNDED, Ending.INTERRUPTED):
            return Outcome(None, bound, ending), []
    share = settings.params.run.share_of_j3o
    deadline = context.deadline.share(share) if batching_aware else context.deadline
    context.log.line("J3O: every onloaded model charged for its batches")
    first, trace = j3o.solve(
        tied.problem,
        replace(
            settings,
            start=None if given is None else tied.reduce_placement(given),
            proven=bound,
            # One is left for the search that follows.
            max_iterations=settings.max_iterations - (1 if batching_aware else 0),
        ),
        replace(context, deadline=deadline),
    )
    start = None if given is None else charged.reduce_placement(given)
    if first.plan is not None:
        plan = charged.reduce(tied.restore_plan(first.plan))
        first, start = replace(first, plan=plan), plan.x
    if first.ending is Ending.INFEASIBLE:
        context.log.line("No plan charges every onloaded model for its batches; going on with those in use.")
    elif not batching_aware or first.ending in (Ending.INTERRUPTED, Ending.UNBOUNDED):
        return first, trace
    if batching_aware:
        context.log.line("BAJ3O: with a choice of its own for every batch")
    second, more = j3o.solve(
        charged.problem,
        replace(
            settings,
            start=start,
            charged=charged if batching_aware else None,
            max_iterations=max(settings.max_iterations - len(trace), 1),
            iterations_before=len(trace),
        ),
        context,
        BatchedRun,
    )
    trace += more
    return _better_of(first, second), trace


def _better_of(first: Outcome, second: Outcome) -> Outcome:
    """Return the outcome of the second search, with the plan of the first if that is better.

    The first is a restriction of the second: its bound says nothing.
    """
    best = first.plan
    if second.ending is Ending.INFEASIBLE and best is not None:
        second = replace(second, bound=np.inf)  # by rounding: there is a plan
    if best is not None and (second.plan is None or best.objective > second.plan.objective):
        ending = Ending.TIME if second.ending is Ending.INFEASIBLE else second.ending
        return replace(
            first,
            bound=max(second.bound, best.objective),
            ending=ending,
            steps=first.steps + second.steps,
        )
    return replace(second, steps=first.steps + second.steps)


def _at_the_end(record: Record, objective: float, sense: float) -> Record:
    """Return the last record with what the last LP has gained."""
    if objective <= record.incumbent / sense:
        return record
    return record.with_plan(objective, max(record.bound / sense, objective), sense)


def _restored(
    charged: Charged, outcome: Outcome, settings: Settings, context: Context
) -> tuple[Outcome, bool]:
    """Return the outcome in the original columns, after the last LP: support fixed, and charged in full.

    Also whether its plan is one of the original.
    """
    outcome = charged.restore(outcome)
    original, plan = charged.original, outcome.plan
    if plan is None:
        return outcome, True
    x = plan.x
    safe = bool(violations(original, x.astype(float), plan.y).max(initial=0.0) <= _TOLERANCE)
    found, duals, ending = plan, None, outcome.ending
    with context.timings.phase("offload"):
        step = OffloadingStep(analyse(original), context.backend)
        try:
            routing = step(x, context.deadline.last_work())
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
        ending = Ending.REDUCED_GAP
    return replace(outcome, plan=found, bound=bound, ending=ending, duals=duals), safe
