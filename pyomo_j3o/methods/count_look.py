"""A plan of a model with counts before the alternation, which cannot tell one replica from the next."""

from __future__ import annotations

import logging

import numpy as np

from pyomo_j3o.certify.relaxation import whole_model
from pyomo_j3o.core.problem import Problem
from pyomo_j3o.core.results import Step
from pyomo_j3o.errors import BackendError
from pyomo_j3o.improve.count_search import CountSearch
from pyomo_j3o.lp import LPStatus
from pyomo_j3o.lp.duality import dual_bound, summed
from pyomo_j3o.methods.progress import Progress
from pyomo_j3o.methods.quick_look import Look, routed
from pyomo_j3o.methods.settings import Context, Settings
from pyomo_j3o.mip import Limits, MIPModel, MIPSolution, Start, first_able, solve_checked
from pyomo_j3o.mip.merging import Merging, merged

logger = logging.getLogger("pyomo_j3o")


def is_for_counts(problem: Problem, settings: Settings) -> bool:
    """Return whether a model has counts, and the settings leave the choice of steps to us."""
    free = settings.improve and settings.branches and settings.onloading_step is None
    alone = settings.charged is None and settings.proven is None and settings.callback is None
    return problem.counts is not None and free and alone and settings.mip_solvers is not None


def look_at_counts(problem: Problem, settings: Settings, context: Context) -> Look:
    """Search over the counts as whole columns, and return the best plan.

    Parameters
    ----------
    problem, settings, context
        As for `j3o.solve`; linear, with counts.

    Raises
    ------
    KeyboardInterrupt
        Before there is a plan; later, the look has it.
    """
    progress = Progress(problem.sense, settings, context)
    begin = context.timings.elapsed()
    model = merged(MIPModel(whole_model(problem)), problem.counts)
    share = context.deadline.share(1.0 - settings.params.run.reserved)
    deadline = share if context.deadline.limited else context.deadline

    def solve(part: MIPModel, start: Start | None, limits: Limits) -> MIPSolution:
        assert settings.mip_solvers is not None
        return first_able(settings.mip_solvers(), lambda solver: solve_checked(solver, part, limits, start))

    try:
        with context.timings.phase("improve"):
            search = CountSearch(
                model.model.linear, context.backend, solve, deadline, settings.params.search.counts
            )
            try:
                _search(search, model, problem, settings, progress)
            finally:
                search.close()
    except BackendError as error:
        logger.debug("The search of counts is left out: %s", error)
        return Look(bound=progress.bound)
    if search.best is None:
        return Look(bound=progress.bound)
    values = model.restore(search.best)
    routing = routed(problem, values[: problem.n_onloading] > 0.5, context)
    if routing is None:
        return Look(bound=progress.bound)
    seconds = context.timings.elapsed() - begin
    context.log.flush()
    return Look(
        routing,
        True,
        progress.bound,
        thorough=not settings.pursues,
        steps=(Step("counts", np.inf, 0.0, seconds),),
    )


def _search(
    search: CountSearch, model: Merging, problem: Problem, settings: Settings, progress: Progress
) -> None:
    """Relax, dive, search near whole sums and around the best point.

    Ctrl-C ends it with the best point, if there is one.
    """
    constant = problem.objective_constant
    root = search.relax()
    if root.status is not LPStatus.OPTIMAL:
        return
    linear = model.model.linear
    bound = dual_bound(linear, root.row_duals, linear.lower, linear.upper)
    if settings.bound != "none":
        progress.prove(summed([bound, constant]))
    try:
        search.dive(root)
        if settings.start is not None:
            whole = model.reduce(np.append(settings.start, np.zeros(problem.n_offloading)).astype(float))
            search.fill(whole[linear.integer])
        if search.best is not None:
            progress.tell_improvement("counts", search.objective + constant)

        def closed(objective: float) -> bool:
            return settings.closed(objective + constant, progress.bound)

        if not closed(search.objective):
            better = search.relax_to_sums(bound)
            if better < bound and settings.bound != "none":
                progress.prove(summed([better, constant]))
            bound = better
            search.search_near_sums()
            if search.best is not None:
                progress.tell_improvement("counts", search.objective + constant)
        for objective in search.improve(closed, bound):
            progress.tell_improvement("counts", objective + constant)
    except KeyboardInterrupt:
        if search.best is None:
            raise
