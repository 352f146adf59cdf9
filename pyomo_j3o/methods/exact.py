"""To proven optimality: J3O's plan as a MIP start, then a MIP solver on every independent part."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pyomo_j3o.alternate.stopping import first_of, gap_closed
from pyomo_j3o.certify.relaxation import bound_of_columns, relaxation_model, unbounded_columns, with_ends
from pyomo_j3o.core.log import Log, counted
from pyomo_j3o.core.problem import BoolArray, FloatArray, Plan, Problem
from pyomo_j3o.core.results import Ending, Outcome, Record, relative_gap
from pyomo_j3o.errors import BackendError
from pyomo_j3o.improve.feasibility import first_plan
from pyomo_j3o.lp.duality import dual_bound, summed
from pyomo_j3o.methods import baj3o
from pyomo_j3o.methods.incumbent import Incumbent
from pyomo_j3o.methods.instance import Instance
from pyomo_j3o.methods.mip_parts import TOLERANCE, MIPParts, PartStart, Proof, allowance
from pyomo_j3o.methods.own_rows import Routed
from pyomo_j3o.methods.progress import Progress
from pyomo_j3o.methods.settings import Context, Settings
from pyomo_j3o.mip import MIPSolver

logger = logging.getLogger("pyomo_j3o")


def solve(
    instance: Instance,
    solvers: Iterator[MIPSolver],
    settings: Settings,
    context: Context,
    given: BoolArray | None = None,
    mip_start: str = "auto",
) -> tuple[Outcome, list[Record], Proof]:
    """Solve a problem to proven optimality.

    Parameters
    ----------
    instance
        Maximised.
    solvers
        MIP solvers, best first; the next is taken if a licence turns out too small.
    settings
        Of the start; gaps and threads also are those of the MIP solver.
    context
        As for `j3o.solve`; its LP solver is for the start and for the last LP.
    given
        The placement to start from instead of J3O's, (N,) bool; None for J3O's.
    mip_start
        "j3o" to start from J3O's plan, "none" from nothing, "auto" from J3O's unless the model is small.

    Returns
    -------
    Outcome
        With the plan in the columns of ``instance.problem``.
    list of Record
        Those of the start, and one more.
    Proof
    """
    run = _Run(instance, replace(settings, memory=None), context)
    solver = next(solvers)
    if context.deadline.over:
        return Outcome(None, np.inf, Ending.TIME), [], Proof(solver.name, solver.description, 0, -np.inf)
    context.log.line(f"MIP solver: {solver.description}")
    handed_over: float | None = None
    try:
        ending = run.find_start(solver, given, mip_start)
        if ending is None:
            handed_over = -np.inf if run.alone else run.incumbent.objective
            run.tell_start(solver)
            ending, solver = run.prove_with(solver, solvers)
            run.tell_end(solver)
    except KeyboardInterrupt:
        ending = Ending.INTERRUPTED
    start = run.incumbent.objective if handed_over is None else handed_over
    return run.outcome(ending), run.progress.trace, Proof(solver.name, solver.description, run.nodes, start)


class _Run:
    """The state of one solve: nothing of it outlives the call."""

    def __init__(self, instance: Instance, settings: Settings, context: Context) -> None:
        self.instance = instance
        self.settings = settings
        self.context = context
        self.params = settings.params.exact.start
        self.progress = Progress(instance.problem.sense, settings, context)
        self.incumbent = Incumbent(instance, context)
        if instance.linear is not None:
            self.progress.prove(bound_of_columns(instance.linear))
        self.nodes = 0
        self.ray: tuple[int, ...] = ()
        #: Whether the MIP solver gets no start although there is a plan.
        self.alone = False
        self._start: Outcome | None = None
        #: Why there is no start.
        self._without = ""

    # --- the start ----------------------------------------------------------------------------------------

    def find_start(self, solver: MIPSolver, given: BoolArray | None, mip_start: str) -> Ending | None:
        """Look for a plan to start from; return why the search ends with it, or None if it goes on."""
        instance, problem = self.instance, self.instance.problem
        if given is not None:
            self.incumbent.start_from(given)
            self._without = "the placement that the variables hold cannot be routed"
        elif mip_start == "none":
            self._without = "mip_start='none'"
        elif mip_start == "auto" and problem.n_nonzeros <= solver.small:
            self._without = (
                f"no more than {solver.small} nonzeros: {solver.title} is done before one is found"
            )
        elif mip_start == "auto" and self._is_mostly_placement():
            self._without = f"mostly onloading variables: {solver.title} is left to itself"
            if self.short:
                self.keep_first_plan(self.params.share)
        elif instance.linear is None:
            self._without = "products that cannot be linearised"
        else:
            return self._start_from_j3o(solver, insist=mip_start == "j3o")
        return None

    @property
    def short(self) -> bool:
        """Whether the time left is short for the size of the model."""
        return (
            self.instance.problem.n_nonzeros > self.params.nonzeros_per_second * self.context.deadline.left()
        )

    def _is_mostly_placement(self) -> bool:
        """Return whether the problem has few offloading variables for its onloading ones and no window."""
        problem = self.instance.problem
        most = self.params.flows_per_onloading * problem.n_onloading
        return problem.batches is None and problem.n_offloading <= most

    def keep_first_plan(self, share: float) -> None:
        """Keep J3O's first plan in case the solver finds none; it may take this share of the time."""
        linear, context = self.instance.linear, self.context
        if linear is None or context.deadline.over:
            return
        quick = replace(
            self.settings, improve=False, bound="none", max_iterations=1, callback=None, start=None
        )
        hurried = replace(context, log=Log([]), deadline=context.deadline.share(share))
        try:
            found, _ = baj3o.solve(linear, quick, hurried, True)
        except BackendError as error:
            logger.debug("There is no first plan, the MIP solver may find one: %s", error)
            return
        self.incumbent.keep_found(found, TOLERANCE)
        self.alone = self.incumbent.plan is not None

    def _start_from_j3o(self, solver: MIPSolver, insist: bool) -> Ending | None:
        """Take over J3O's plan and bound.

        Parameters
        ----------
        solver
            That is asked next.
        insist
            Whether J3O is to improve the plan, and the solver to get it, even where that is of no use.
        """
        self._without = "j3o found none in its share of the time"
        context, instance, low = self.context, self.instance, self.params.worth_improving[0]
        assert instance.linear is not None
        settings = self.settings
        if not insist:
            settings = replace(
                settings,
                stop=first_of(settings.stop, gap_closed(low, 0.0)),
                worth_improving=self.params.worth_improving,
            )
        share = self.params.share_if_short if self.short else self.params.share
        context.log.header()
        try:
            found, self.progress.trace = baj3o.solve(
                instance.linear, settings, replace(context, deadline=context.deadline.share(share)), True
            )
        except BackendError as error:
            context.log.line(f"J3O's start is left out: {error}")
            return None
        self._start = found
        self.progress.prove(found.bound)
        self.ray = found.ray
        self._take_start(found)
        if not insist and self._is_left_alone(found):
            self.alone = True
            self._without = self._why_left_alone(solver)
        plan = self.incumbent.plan
        if plan is not None and self.settings.closed(plan.objective, self.progress.bound):
            return Ending.GAP
        over = found.ending in (Ending.INFEASIBLE, Ending.UNBOUNDED, Ending.INTERRUPTED)
        return found.ending if over else None

    def _take_start(self, found: Outcome) -> None:
        """Take over J3O's plan, routed anew if the user's rows do not take it."""
        if found.plan is None:
            return
        own = self.instance.to_linear.restore(found)
        assert own.plan is not None
        if self.instance.accepts(own.plan.x, own.plan.y):
            self.incumbent.take(own.plan, own.duals)
        else:
            # A huge M has let a fraction of an x through that counts as 0.
            self._start = replace(found, plan=None)
            self.incumbent.take(*self.incumbent.routed(own.plan.x))

    def _is_left_alone(self, found: Outcome) -> bool:
        """Return whether J3O's plan is no help to the MIP solver."""
        if self.incumbent.plan is None:
            return False
        low, high = self.params.worth_improving
        gap = relative_gap(self.incumbent.objective, self.progress.bound)
        return gap > high or (gap < low and not found.steps)

    def _why_left_alone(self, solver: MIPSolver) -> str:
        """Return the gap of J3O's plan, and the limit that it is beyond."""
        low, high = self.params.worth_improving
        gap = relative_gap(self.incumbent.objective, self.progress.bound)
        if gap > high:
            size = f"gap of {100 * gap:.3g}%" if np.isfinite(gap) else "plan has no bound: its gap"
            return f"J3O's {size} is above {100 * high:g}%: the relaxation says little"
        return f"J3O's gap of {100 * gap:.3g}% is below {100 * low:g}%: {solver.title} is faster alone"

    def tell_start(self, solver: MIPSolver) -> None:
        """Log what the MIP solver starts from, or why from nothing."""
        log, problem = self.context.log, self.instance.problem
        unit = abs(problem.sense)
        if unit != 1.0:
            log.line(f"In the log of {solver.title}, the objective is divided by {unit:g}")
        log.line()
        if self.incumbent.plan is None or self.alone:
            log.line(f"MIP start: none ({self._without})")
            return
        gap = relative_gap(self.incumbent.objective, self.progress.bound)
        known = f", gap {100 * gap:.2f}%" if np.isfinite(gap) else ""
        log.line(f"MIP start: objective {problem.sense * self.incumbent.objective + 0.0:.8g}{known}")

    def tell_end(self, solver: MIPSolver) -> None:
        """Log where the MIP solver left off."""
        sense, objective = self.instance.problem.sense, self.incumbent.objective
        incumbent, proven = (
            f"{sense * value + 0.0:.8g}" if np.isfinite(value) else "-"
            for value in (objective, max(self.progress.bound, objective))
        )
        self.context.log.line(
            f"{solver.title} ended: incumbent {incumbent}, bound {proven}, {counted(self.nodes, 'node')}, "
            f"{self.context.timings.elapsed():.2f}s"
        )

    # --- the proof ----------------------------------------------------------------------------------------

    def prove_with(self, solver: MIPSolver, others: Iterator[MIPSolver]) -> tuple[Ending, MIPSolver]:
        """Prove by this solver, or by the next if a licence turns out too small; return the one that did."""
        while True:
            try:
                with self.context.timings.phase("exact"):
                    return self._prove(solver), solver
            except BackendError as error:
                following = next(others, None)
                if following is None:
                    raise
                solver = following
                self.context.log.line(f"{error}")
                self.context.log.line(f"MIP solver: {solver.description}")

    def _prove(self, solver: MIPSolver) -> Ending:
        """Solve every part, and look for a proof elsewhere where the solver's is not one."""
        instance = self.instance
        problem = instance.problem if solver.takes_products else instance.linear
        assert problem is not None
        if self._start is None and self._is_unbounded():
            return Ending.UNBOUNDED
        parts = MIPParts(problem, instance, self._part_start(problem), self.settings, self.context)
        try:
            ending = parts.solve(solver)
        except KeyboardInterrupt:
            ending = Ending.INTERRUPTED
        self._take_over(parts)
        if ending is Ending.GAP:
            if self._start is None and problem.n_nonzeros <= solver.small:
                self._try_to_refute()
            ending = self._prove_otherwise()
        ending = self._derived(ending)
        best, plan = self.incumbent.objective, self.incumbent.plan
        record = self.progress.note(best, best, 0 if plan is None else int(plan.x.sum()))
        try:
            self.progress.show(record)
        except KeyboardInterrupt:
            ending = Ending.INTERRUPTED
        if ending is Ending.UNBOUNDED and instance.linear is not None and not self.ray:
            self.ray = unbounded_columns(instance.linear, self.context.backend)
        return ending

    def _prove_otherwise(self) -> Ending:
        """Where the solver's answer is no proof: search on by J3O, then placement by placement."""
        ending = Ending.GAP
        if not self._proven():
            ending = self._search_on()
        if ending is Ending.GAP and not self._proven():
            ending = self._place_one_by_one()
        return ending

    def _derived(self, ending: Ending) -> Ending:
        """Return how it ended by the checked plan and what is proven of it, whatever solvers said."""
        if ending in (Ending.TIME, Ending.LIMIT, Ending.GAP):
            open_gap = Ending.TOLERANCES if ending is Ending.GAP else ending
            ending = Ending.GAP if self._proven() else open_gap
        if ending is Ending.TOLERANCES and self.incumbent.plan is None:
            return Ending.REFUSED
        return ending

    def _part_start(self, problem: Problem) -> PartStart:
        """Return what the parts of a form of the problem start from."""
        if self.alone:
            return PartStart(infeasible_is_false=True)
        near = self._is_near()
        linear = problem is self.instance.linear
        cuts = self._start.cuts if linear and near and self._start is not None else None
        plan = self.incumbent.plan if problem is self.instance.problem else self._linear_start()
        return PartStart(plan, False, near, cuts)

    def _is_near(self) -> bool:
        """Return whether J3O's plan is so good that only the proof is left."""
        start, (low, high) = self._start, self.params.near
        if start is None or start.ending is Ending.TIME:
            return False
        return low <= relative_gap(self.incumbent.objective, self.progress.bound) <= high

    def _linear_start(self) -> Plan | None:
        """Return the start in the columns of the linear form."""
        plan = self.incumbent.plan
        if self._start is not None and self._start.plan is not None:
            return self._start.plan
        return None if plan is None else self.instance.to_linear.reduce(plan)

    def _is_unbounded(self) -> bool:
        """Return whether there is a plan, and the objective improves without end along open columns."""
        linear = self.instance.linear
        if linear is None or not np.any(
            np.isinf(linear.offloading_lower) | np.isinf(linear.offloading_upper)
        ):
            return False
        left = self.context.deadline.left()
        self.ray = unbounded_columns(linear, self.context.backend, left)
        return bool(self.ray) and first_plan(linear, left)[1] is not None

    def _try_to_refute(self) -> None:
        """Compare a MIP solver's optimum of a small model, which had no start, with a plan of our own.

        Solvers have been seen to call a plan optimal that the first greedy placement beats.
        """
        before = self.incumbent.objective
        self.keep_first_plan(1.0)
        if self.incumbent.objective > before + allowance(before):
            self.context.log.line("The MIP solver's proof is wrong: a plan of j3o beats it")
            self.progress.bound = np.inf

    def _search_on(self) -> Ending:
        """Let J3O prove what the MIP solver cannot: its bounds hold whatever the tolerances of a solver."""
        instance, settings, log = self.instance, self.settings, self.context.log
        if instance.linear is None or self.context.deadline.over:
            return Ending.GAP
        log.line(
            "The MIP solver's gap is within its tolerances and proves nothing; "
            "j3o continues with its own branch and bound."
        )
        if self.incumbent.plan is not None:
            settings = replace(settings, start=self.incumbent.plan.x)
        try:
            found, _ = baj3o.solve(instance.linear, settings, self.context, True)
        except BackendError as error:
            log.line(f"j3o ended early: {error}")
            return Ending.GAP
        self.progress.prove(found.bound)
        self.incumbent.keep_found(found, TOLERANCE)
        if found.ending is Ending.INFEASIBLE and self.incumbent.plan is None:
            return Ending.INFEASIBLE
        return found.ending if found.ending in (Ending.TIME, Ending.INTERRUPTED) else Ending.GAP

    def _place_one_by_one(self) -> Ending:
        """Route placements in the user's rows: all if they are few, others until one has a plan."""
        own, incumbent, deadline = self.instance.own, self.incumbent, self.context.deadline
        if own is None or (incumbent.plan is not None and own.missed is None):
            return Ending.GAP  # nothing was refused: the solvers' plans are as good as they look
        self.context.log.line("Once more, placement by placement, in the rows as written")
        known = Routed(incumbent.plan, incumbent.duals)
        found = own.search(self.instance.linear, known, self.settings.rel_gap, deadline)
        self.progress.prove(found.bound)
        if found.plan is not None and found.plan.objective > incumbent.objective:
            incumbent.take(found.plan, found.duals)
        if incumbent.plan is None and found.bound == -np.inf:
            return Ending.INFEASIBLE
        return Ending.TIME if deadline.over else Ending.GAP

    def _proven(self) -> bool:
        """Return whether the best plan is within the gap of the bound, or within a proof's tolerances."""
        if self.incumbent.plan is None:
            return False
        value = self.incumbent.objective
        return self.progress.is_closed(value) or self.progress.bound - value <= allowance(value)

    def _take_over(self, parts: MIPParts) -> None:
        """Keep the better plan and the better bound."""
        self.nodes += parts.nodes
        self.progress.prove(parts.bound)
        problem, incumbent, found = parts.problem, self.incumbent, parts.point()
        if found is not None:
            values, y = found
            x = values > 0.5
            incumbent.keep(x, y, problem)
            # Behind a huge M, a fraction of an x that counts as 0 may open all that is needed.
            opened = (values > 0.0) & (problem.onloading_upper > 0.5)
            if not self._proven() and not np.array_equal(x, opened):
                incumbent.keep(opened, y, problem)
        if not self.instance.problem.n_onloading and incumbent.duals is not None:
            # An LP: the duals of the plan prove more than a MIP solver says.
            self.progress.prove(self._bound_of_lp(incumbent.duals))

    def _bound_of_lp(self, duals: FloatArray) -> float:
        """Return what the duals prove of a problem without onloading variables."""
        problem = self.instance.problem
        model = with_ends(relaxation_model(problem), self.incumbent.objective - problem.objective_constant)
        return summed([dual_bound(model, duals, model.lower, model.upper), problem.objective_constant])

    def outcome(self, ending: Ending) -> Outcome:
        """Return what was found in all."""
        steps = () if self._start is None else self._start.steps
        if ending is Ending.INFEASIBLE:
            return Outcome(None, -np.inf, ending, steps=steps)
        if ending is Ending.UNBOUNDED:
            outcome = Outcome(None, np.inf, ending, ray=self.ray, steps=steps)
            return outcome if self.instance.linear is None else self.instance.to_linear.restore(outcome)
        bound = max(self.progress.bound, self.incumbent.objective)
        return Outcome(self.incumbent.plan, bound, ending, self.incumbent.duals, steps=steps)
