"""A quick look at a small model: a MIP solver gets it for a few nodes, before anything is certified."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.alternate.offloading import Routing
from pyomo_j3o.certify.relaxation import whole_model
from pyomo_j3o.core.demand_groups import demand_groups
from pyomo_j3o.core.problem import BoolArray, Plan, Problem
from pyomo_j3o.core.results import Ending, Outcome, Record, Step
from pyomo_j3o.errors import BackendError
from pyomo_j3o.improve.idle import drop_idle
from pyomo_j3o.lp import LinearModel, LPStatus
from pyomo_j3o.methods.mip_parts import allowance
from pyomo_j3o.methods.own_rows import routing_model
from pyomo_j3o.methods.progress import Progress
from pyomo_j3o.methods.settings import Context, Settings
from pyomo_j3o.mip import Limits, MIPModel, MIPSolution, MIPSolver, first_able, solve_checked
from pyomo_j3o.mip.merging import merged

logger = logging.getLogger("pyomo_j3o")


@dataclass(frozen=True, slots=True)
class Look:
    """What a quick look saw.

    Attributes
    ----------
    best : Routing or None
        The best plan; None without one.
    near : bool
        It is near the bound: the search may start from its placement.
    bound : float
        Proven: no plan is better. +inf without one.
    outcome : Outcome or None
        That of the whole solve; None if the search has to go on.
    trace : list of Record
        What goes with `outcome`: one iteration if there is a plan.
    thorough : bool
        The look was a search of its own: where it left a gap, the search after the loop would not close it.
    steps : tuple of Step
        What it has done, if the search goes on.
    """

    best: Routing | None = None
    near: bool = False
    bound: float = np.inf
    outcome: Outcome | None = None
    trace: list[Record] = field(default_factory=list)
    thorough: bool = False
    steps: tuple[Step, ...] = ()


def no_worse(outcome: Outcome, trace: list[Record], look: Look, sense: float) -> Outcome:
    """Return the outcome of the search after a look, with the plan of the look if that is better.

    The last record of the trace then tells of it.
    """
    best, plan = look.best, outcome.plan
    if best is None or outcome.ending in (Ending.INFEASIBLE, Ending.UNBOUNDED):
        return outcome
    if plan is not None and plan.objective >= best.objective:
        return outcome
    bound = max(outcome.bound, best.objective)
    if trace:
        trace[-1] = trace[-1].with_plan(best.objective, bound, sense)
    plan = Plan(best.x, best.y, best.objective)
    return replace(outcome, plan=plan, bound=bound, duals=best.duals)


def is_for_look(problem: Problem, settings: Settings) -> bool:
    """Return whether a model is small or strange, and the settings leave the choice of steps to us."""
    if not settings.quick_look or settings.mip_solvers is None or not problem.n_onloading:
        return False
    if settings.memory is not None and settings.memory.parts:
        return False  # the solve before left more than a look would find
    return problem.n_nonzeros <= settings.params.look.nonzeros or is_strange(problem, settings)


def is_strange(problem: Problem, settings: Settings) -> bool:
    """Return whether a model is not too large for a MIP solver, and its structure promises little.

    That is one that is mostly placement; where a gap is pursued, also one whose flows serve no demand.
    """
    params = settings.params.look
    if problem.n_nonzeros > params.strange_nonzeros:
        return False
    variables = problem.n_onloading if problem.counts is None else len(problem.counts.base)
    few_flows = problem.n_offloading <= params.flows_per_onloading * variables
    return few_flows or (settings.pursues and _share_that_serves(problem) < params.least_serving)


def _share_that_serves(problem: Problem) -> float:
    """Return the share of the offloading variables that are in demand groups."""
    rows = np.flatnonzero(np.diff(problem.onloading_rows.indptr) == 0)
    group = demand_groups(problem, rows)[0]
    return float(np.mean(group >= 0)) if len(group) else 0.0


def _is_thorough(problem: Problem, settings: Settings) -> bool:
    """Return whether the look is a search of its own: so it is where a gap is pursued."""
    return settings.pursues or is_strange(problem, settings)


def take_look(problem: Problem, settings: Settings, context: Context) -> Look:
    """Hand a small model to a MIP solver for a few nodes, and a strange one for many.

    On a small model this costs less than the relaxation with its cuts. If it closes the gap, the solve is
    over: the placement that was found, routed by an LP, is its one iteration. If not, the placement is where
    the search starts, and the bound counts.

    Parameters
    ----------
    problem, settings, context
        As for `j3o.solve`.

    Raises
    ------
    OutOfTime
        The time is over before the solver has begun.
    """
    context.deadline.require()
    begin = context.timings.elapsed()
    try:
        with context.timings.phase("improve"):
            found = _ask(problem, settings, context)
        if found.status is LPStatus.INFEASIBLE:
            return Look(outcome=Outcome(None, -np.inf, Ending.INFEASIBLE))
        routing = _routed(problem, found, context)
    except BackendError as error:
        logger.debug("The quick look is left out: %s", error)
        return Look()
    interrupted = found.status is LPStatus.INTERRUPTED
    if routing is None:
        stopped = Outcome(None, found.bound, Ending.INTERRUPTED) if interrupted else None
        return Look(bound=found.bound, outcome=stopped)
    progress = Progress(problem.sense, settings, context)
    progress.prove(found.bound)
    # A gap that the solver has closed but for its tolerances is as good as closed.
    all_but_tolerances = found.bound - routing.objective <= allowance(routing.objective)
    proven = found.status is LPStatus.OPTIMAL and all_but_tolerances
    if not (interrupted or proven or progress.is_closed(routing.objective)):
        params = settings.params.look
        near = progress.gap(routing.objective) <= params.near
        thorough = found.status is not LPStatus.TIME_LIMIT and _is_thorough(problem, settings)
        return Look(routing, near, found.bound, thorough=thorough)
    progress.add(Step("milp", np.inf, 0.0, context.timings.elapsed() - begin))
    routing = drop_idle(problem, routing, context.deadline.with_grace())
    _tell(routing, progress, context)
    plan = Plan(routing.x, routing.y, routing.objective)
    ending = Ending.INTERRUPTED if interrupted else Ending.GAP
    bound = max(found.bound, plan.objective)
    outcome = Outcome(plan, bound, ending, routing.duals, steps=tuple(progress.steps))
    return Look(routing, True, bound, outcome, progress.trace)


def _ask(problem: Problem, settings: Settings, context: Context) -> MIPSolution:
    """Let a MIP solver look at the model for a few nodes."""
    params = settings.params.look
    thorough = _is_thorough(problem, settings)
    effort, share = params.effort, 1.0 - settings.params.run.reserved
    if thorough:
        effort = params.pursued_effort if settings.pursues else params.strange_effort
        share = params.strange_share
    size = max(problem.n_nonzeros, 1)
    limits = Limits(
        context.deadline.share(share).left(),
        params.within * settings.rel_gap,
        params.within * settings.abs_gap,
        max(1, effort // size),
        None if thorough else max(1, params.checks // size),
        threads=1,
        lean=thorough,
    )
    whole = merged(MIPModel(_with_constant(problem)), problem.counts)

    def use(solver: MIPSolver) -> MIPSolution:
        return solve_checked(solver, whole.model, limits)

    assert settings.mip_solvers is not None
    found = first_able(settings.mip_solvers(), use)
    return replace(found, values=whole.restore(found.values)) if found.found else found


def _with_constant(problem: Problem) -> LinearModel:
    """Return the problem over (x, y, 1): the last column is fixed, and costs the constant of the objective.

    A relative gap is then one of the whole objective.
    """
    model = whole_model(problem)
    if problem.objective_constant == 0.0:
        return model
    of_rows = model.matrix
    shape = (model.n_rows, model.n_columns + 1)
    return replace(
        model,
        objective=np.append(model.objective, problem.objective_constant),
        matrix=sparse.csr_array((of_rows.data, of_rows.indices, of_rows.indptr), shape=shape),
        lower=np.append(model.lower, 1.0),
        upper=np.append(model.upper, 1.0),
        integer=np.append(np.arange(model.n_columns) < problem.n_onloading, False),
    )


def _routed(problem: Problem, found: MIPSolution, context: Context) -> Routing | None:
    """Return the best routing of the placement that was found, with its duals; None without one."""
    if not found.found:
        return None
    return routed(problem, found.values[: problem.n_onloading] > 0.5, context)


def routed(problem: Problem, x: BoolArray, context: Context) -> Routing | None:
    """Return the best routing of a placement, (N,), with its duals; None without one."""
    with context.timings.phase("offload"):
        program = context.backend.open(routing_model(problem, x))
        try:
            of_y = program.solve(context.deadline.last_work())
        finally:
            program.close()
    if of_y.status is not LPStatus.OPTIMAL:
        return None
    y = np.clip(of_y.values, problem.offloading_lower, problem.offloading_upper)
    of_x = float(problem.onloading_objective @ x) + problem.objective_constant
    objective = of_x + float(problem.offloading_objective @ y)
    return Routing(x, of_y.status, objective, y, of_y.row_duals, of_y.reduced_costs, objective)


def _tell(routing: Routing, progress: Progress, context: Context) -> None:
    """Log the bound and the one iteration, and note it in the trace."""
    progress.tell_bound()
    record = progress.note(routing.objective, routing.objective, int(routing.x.sum()))
    context.log.iteration(record)
