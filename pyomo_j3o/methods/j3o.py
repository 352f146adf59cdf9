"""J3O on arrays: prices and bound, alternation, and the search after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pyomo_j3o.alternate.alternating import alternate
from pyomo_j3o.core.deadline import OutOfTime
from pyomo_j3o.core.problem import Problem
from pyomo_j3o.core.results import Ending, Outcome, Record
from pyomo_j3o.lp import LPStatus
from pyomo_j3o.methods.count_look import is_for_counts, look_at_counts
from pyomo_j3o.methods.quick_look import Look, is_for_look, no_worse, take_look
from pyomo_j3o.methods.run import NoPlacement, Run
from pyomo_j3o.methods.settings import Context, Settings

#: Gaps at which the search after the loop is worth its time: none.
_NEVER = (np.inf, -np.inf)


def solve(
    problem: Problem, settings: Settings, context: Context, kind: type[Run] = Run
) -> tuple[Outcome, list[Record]]:
    """Solve a linear problem by J3O.

    Parameters
    ----------
    problem
        Linear, maximised.
    settings
        How to solve.
    context
        What with, and until when.
    kind
        Its steps; BAJ3O has one more.

    Returns
    -------
    Outcome
    list of Record
        One per iteration; the last also counts what the improvement gained.
    """
    look = Look()
    try:
        if is_for_look(problem, settings):
            try:
                look = take_look(problem, settings, context)
            except KeyboardInterrupt:
                return Outcome(None, np.inf, Ending.INTERRUPTED), []
            if look.outcome is not None:
                return look.outcome, look.trace
            if look.best is not None and look.near:
                settings = replace(settings, start=look.best.x)
            if look.thorough:
                settings = replace(settings, worth_improving=_NEVER)
        elif is_for_counts(problem, settings):
            look, settings = _looked_at_counts(problem, settings, context)
        run = kind.of(problem, settings, context)
    except OutOfTime:
        return no_worse(Outcome(None, look.bound, Ending.TIME), [], look, problem.sense), []
    try:
        try:
            run.progress.prove(look.bound)
            for step in look.steps:
                run.progress.add(step)
            ending = search(run)
        except KeyboardInterrupt:
            ending = Ending.INTERRUPTED
        except OutOfTime:
            ending = Ending.TIME
        except NoPlacement:
            ending = Ending.INFEASIBLE
        outcome = run.outcome(ending)
    finally:
        run.close()
    return no_worse(outcome, run.progress.trace, look, problem.sense), run.progress.trace


def _looked_at_counts(problem: Problem, settings: Settings, context: Context) -> tuple[Look, Settings]:
    """Return what a search over the counts has found, and the settings with it."""
    look = look_at_counts(problem, settings, context)
    if look.best is not None:
        settings = replace(settings, start=look.best.x)
        if look.thorough:
            settings = replace(settings, worth_improving=_NEVER)
    return look, settings


def certify(problem: Problem, settings: Settings, context: Context) -> tuple[Ending | None, float]:
    """Return whether there is no plan, or none that is best, and a bound; never a plan.

    Parameters
    ----------
    problem, settings, context
        As for `solve`.

    Returns
    -------
    Ending or None
        ``INFEASIBLE``, ``UNBOUNDED`` or ``INTERRUPTED``; None if there is a search to be done.
    float
        +inf if nothing is proven.
    """
    if settings.bound == "none":
        return None, np.inf
    try:
        run = Run.of(problem, settings, context)
    except OutOfTime:
        return None, np.inf
    try:
        ending = run.certify()
        return ending, -np.inf if ending is Ending.INFEASIBLE else run.progress.bound
    except KeyboardInterrupt:
        return Ending.INTERRUPTED, run.progress.bound
    finally:
        run.close()


def search(run: Run) -> Ending:
    """Go through the steps, and on from there until the gap is closed, if that was asked for."""
    ending = _usual_steps(run)
    over = ending in (Ending.TIME, Ending.INTERRUPTED, Ending.GAP)
    if run.settings.pursues and run.settings.proven is None and run.has_plan and not over:
        with run.dispensable("The search for a smaller gap"):
            ending = run.pursue(ending)
    return ending


def _usual_steps(run: Run) -> Ending:
    """Certify, alternate, search on; a first plan by a MILP solver if all that found none."""
    if run.settings.bound != "none":
        ending = run.certify()
        if ending is not None:
            return ending
    routing, ending = alternate(run.onload, run.offload, run.prices[-1], run.observe, run.params.loop)
    run.keep(routing)
    if ending is Ending.UNBOUNDED:
        return run.tell_unbounded()
    if ending in (Ending.GAP, Ending.TIME):
        return run.find_first(ending) if run.settings.branches else ending
    if not run.settings.branches:
        run.other_starts(run.known)
        return ending
    if not routing.feasible:
        with run.dispensable("The first descents"):
            run.try_starts()
    if not run.has_plan and run.ask_early() is LPStatus.INFEASIBLE:
        return Ending.INFEASIBLE
    start, others = run.known, []
    with run.dispensable("The alternation with the surrogate"):
        others = run.other_starts(start)
    if (run.settings.improve and run.worth_improving()) or not run.has_plan:
        with run.dispensable("The search after the loop"):
            ending = run.improve(ending, start if start.feasible else run.known, others)
    if run.has_plan or ending in (Ending.TIME, Ending.INTERRUPTED):
        return run.find_first(ending)
    # Branch and bound stops at its first plan: there is everything left to improve.
    ending = run.find_first(ending)
    if run.settings.improve and run.has_plan:
        with run.dispensable("The search after the loop"):
            ending = run.improve(ending, run.known)
    return ending
