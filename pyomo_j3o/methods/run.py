"""The state of one solve by J3O, and its steps."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace

import numpy as np

from pyomo_j3o.alternate.offloading import OffloadingByParts, Routing
from pyomo_j3o.certify.relaxation import Relaxation, bound_of_columns, unbounded_columns
from pyomo_j3o.core.deadline import GRACE, Deadline, OutOfTime
from pyomo_j3o.core.parallel import in_parts
from pyomo_j3o.core.problem import BoolArray, FloatArray, Plan, Problem, missed
from pyomo_j3o.core.results import Ending, Outcome, Step
from pyomo_j3o.core.structure import PlacementRows, Structure, analyse
from pyomo_j3o.core.tolerances import INTEGRAL
from pyomo_j3o.errors import BackendError, OptionError
from pyomo_j3o.improve.feasibility import first_plan, nearest_placement
from pyomo_j3o.improve.idle import drop_idle
from pyomo_j3o.improve.pursuing import Pursuit
from pyomo_j3o.improve.task import Found, Task
from pyomo_j3o.lp import LPStatus
from pyomo_j3o.methods.mip_parts import allowance
from pyomo_j3o.methods.part_work import Start
from pyomo_j3o.methods.parts import Parts
from pyomo_j3o.methods.parts_driver import PartsDriver
from pyomo_j3o.methods.progress import Progress
from pyomo_j3o.methods.pursuit import pursue
from pyomo_j3o.methods.settings import Context, Settings
from pyomo_j3o.presolve.aggregating import aggregate_capacities
from pyomo_j3o.presolve.reduction import SameColumns

#: What it means that a solver stopped in this way without a plan.
_WITHOUT_PLAN = {
    LPStatus.INFEASIBLE: Ending.INFEASIBLE,
    LPStatus.TIME_LIMIT: Ending.TIME,
}

#: What closing idle variables gains is told if it is more than this fraction of the objective.
_NOTED = 1e-6


class NoPlacement(Exception):
    """Leaves the loop: it is proven that no placement satisfies the rows over onloading variables."""


class Run:
    """The state of one solve: nothing of it outlives the call."""

    def __init__(
        self, placement: PlacementRows, settings: Settings, context: Context, reduction: SameColumns
    ) -> None:
        self.reduction = reduction
        self.structure = placement
        self.settings = settings
        self.context = context
        self.params = settings.params
        self.progress = Progress(placement.problem.sense, settings, context)
        context.deadline.require()
        if settings.proven is not None:
            self.progress.prove(settings.proven)
        elif settings.bound != "none":
            self.progress.prove(bound_of_columns(placement.problem))
        self.parts = Parts(placement.problem, settings, context)
        self.prices: list[FloatArray] = [np.zeros(placement.problem.n_rows)]
        self.best: Routing | None = None
        self._step: OffloadingByParts | None = None
        self._onload_at_start = settings.start
        # Where no budget forbids it, closing from everything open is a descent of its own.
        self._starts = [placement.problem.onloading_upper > 0.5]

    @classmethod
    def of(cls, problem: Problem, settings: Settings, context: Context) -> Run:
        """Return the run of a problem, with what its capacities imply together.

        Raises
        ------
        OutOfTime
            The time is over.
        """
        context.deadline.require()
        reduction = SameColumns(problem, problem.n_rows)
        if settings.charged is None:  # whose rows are numbered already
            with context.timings.phase("compile"):
                presolve = settings.params.presolve
                reduction = aggregate_capacities(problem, context.backend, context.deadline, presolve)
                context.deadline.require()
        if settings.onloading_step is None:
            return cls(PlacementRows.of(reduction.problem), settings, context, reduction)
        # Only a step of the user's own needs to know more of the whole than its placement rows.
        structure = analyse(reduction.problem, context.deadline)
        structure.freeze()
        return cls(structure, settings, context, reduction)

    def close(self) -> None:
        """Free the LPs, and end the processes."""
        self.parts.close()
        if self._step is not None:
            self._step.close()

    @property
    def step(self) -> OffloadingByParts:
        """The offloading step."""
        if self._step is None:
            parts = self.parts
            self._step = OffloadingByParts(parts.whole, parts.structures, self.context.backend)
        return self._step

    @property
    def has_plan(self) -> bool:
        """Whether a plan is known."""
        return self.best is not None and self.best.feasible

    # --- what it ends with ---------------------------------------------------------------------------------

    def outcome(self, ending: Ending) -> Outcome:
        """Return what the search that ended so has found, in the columns and rows of the problem given."""
        found = self._found(ending)
        if found.plan is not None:
            self.parts.remember(found.plan.x, found.plan.objective)
        cuts = None if self.settings.charged is not None else self.parts.cuts(self.reduction.n_rows)
        return self.reduction.restore(replace(found, steps=tuple(self.progress.steps), cuts=cuts))

    def _found(self, ending: Ending) -> Outcome:
        bound, best = self.progress.bound, self.best
        if ending is Ending.INFEASIBLE:
            return Outcome(None, -np.inf, ending)
        if ending is Ending.UNBOUNDED:
            deadline, backend = self.context.deadline, self.context.backend
            ray = unbounded_columns(self.structure.problem, backend, deadline.last_work())
            return Outcome(None, np.inf, ending, ray=ray)
        if best is None or not best.feasible:
            return Outcome(None, bound, ending)
        if self.settings.improve:
            best = self._close_idle(best)
        bound = max(bound, best.objective)
        if ending is not Ending.INTERRUPTED and self.progress.is_closed(best.objective):
            ending = Ending.GAP
        return Outcome(Plan(best.x, best.y, best.objective), bound, ending, best.duals)

    @contextmanager
    def dispensable(self, step: str) -> Iterator[None]:
        """Leave a step out where a solver fails in it: what was found and proven stands."""
        try:
            yield
        except BackendError as error:
            self.context.log.line(f"{step} ended early: {error}")

    # --- the bound ----------------------------------------------------------------------------------------

    def certify(self) -> Ending | None:
        """Prove a bound, and keep the first prices; return why there is nothing to search, if so."""
        deadline = self.context.deadline
        with self.context.timings.phase("certify"):
            # A part of a short time limit stays for the search: a plan without a bound beats none.
            limited = deadline.share(1.0 - self.params.run.reserved) if deadline.limited else deadline
            relaxation = self.parts.relax(self.settings.bound == "cuts", limited)
        self.prices = [relaxation.duals]
        if relaxation.status is LPStatus.UNBOUNDED:
            return self.tell_unbounded()
        self._collect_starts(relaxation)
        if self.settings.proven is None:
            self.progress.prove(relaxation.bound)
            self.progress.tell_bound()
        return Ending.INFEASIBLE if relaxation.status is LPStatus.INFEASIBLE else None

    def _collect_starts(self, relaxation: Relaxation) -> None:
        """Note the placements that the relaxation suggests."""
        positive, rounded = relaxation.x > INTEGRAL, relaxation.x > 0.5
        self._starts.append(positive)
        most = self.params.run.most_fractional * np.sum(positive)
        if np.sum(positive & (relaxation.x < 1 - INTEGRAL)) <= most:
            # Where most of it is fractional, rounding says little.
            self._starts.append(rounded)
        free = self._onload_at_start is None and self.settings.onloading_step is None
        whole = np.all(np.abs(relaxation.x - rounded) <= INTEGRAL)
        integral = relaxation.status is LPStatus.OPTIMAL and whole
        if free and integral and self.structure.placeable(rounded):
            # The relaxation is integral: it is the optimal placement already.
            self._onload_at_start = rounded

    def tell_unbounded(self) -> Ending:
        """Tell an unbounded problem from an infeasible one whose relaxation is unbounded."""
        status, plan = first_plan(self.structure.problem, self.context.deadline.left())
        return Ending.UNBOUNDED if plan is not None else _WITHOUT_PLAN.get(status, Ending.TIME)

    # --- the loop -----------------------------------------------------------------------------------------

    def onload(self, prices: FloatArray) -> BoolArray:
        """Return the placement for prices (M,), (N,) bool."""
        with self.context.timings.phase("onload"):
            if self._onload_at_start is not None:
                x, self._onload_at_start = self._onload_at_start, None
                if self.settings.branches and x is self.settings.start and self.structure.placeable(x):
                    x = self.parts.repair(x, prices, self.context.deadline)
            elif self.settings.onloading_step is None:
                x = self.parts.onload(prices, self.context.deadline)
            else:
                assert isinstance(self.structure, Structure)
                found = self.settings.onloading_step(self.structure, prices.copy())
                x = _as_placement(found, self.structure.problem.n_onloading)
            if self.structure.placeable(x) or not self.settings.branches:
                return x
            return self._nearest(x)

    def _nearest(self, x: BoolArray) -> BoolArray:
        """Return the nearest placement that satisfies every row over x."""
        self.context.deadline.require()
        status, repaired = nearest_placement(self.structure, x, self.context.deadline.left())
        if repaired is not None:
            return repaired
        if status is LPStatus.INFEASIBLE:
            raise NoPlacement
        raise OutOfTime

    def offload(self, x: BoolArray, at_least: float) -> Routing:
        """Return the routing of a placement; one that is not worth more than `at_least` is of no use."""
        if not self.settings.branches and not self.structure.placeable(x):
            return Routing.impossible(x, self.structure)
        with self.context.timings.phase("offload"):
            routing = self.step(x, self.context.deadline.left(), at_least)
        if routing.solved:
            self.prices.append(routing.duals)
            del self.prices[: -self.params.search.descent.memory]  # no step looks back farther
        return routing

    def observe(self, routing: Routing, best: Routing, cycle: int, since: int = 0) -> Ending | None:
        """Keep and tell an iteration, and return why the loop ends, or None."""
        self.keep(best)
        trace = self.progress.trace
        record = self.progress.note(routing.objective, self.known.objective, int(routing.x.sum()), cycle)
        self.context.log.iteration(record, routing.status is not LPStatus.TIME_LIMIT)
        self.progress.show(record)
        ending = self.settings.stop(tuple(trace[since:]))
        if ending is None and len(trace) >= self.settings.max_iterations:
            return Ending.ITERATIONS
        if ending is None and len(trace) - since >= self.params.run.iterations_again:
            return Ending.STALLED if self.parts.is_near_again(best.objective) else None
        return ending

    @property
    def known(self) -> Routing:
        """The best routing, which the first iteration has set."""
        assert self.best is not None
        return self.best

    def keep(self, routing: Routing) -> None:
        """Keep the better of this routing and the best ones of all parts, each from whatever iteration."""
        for found in (routing, self.step.best):
            if found is not None and (self.best is None or found.better_than(self.best)):
                self.best = found

    def other_starts(self, start: Routing) -> list[BoolArray]:
        """Return placements, besides what the loop ended with, that are worth a look."""
        return []

    # --- after the loop -----------------------------------------------------------------------------------

    def worth_improving(self) -> bool:
        """Return whether the gap is one that the search after the loop is for."""
        low, high = self.settings.worth_improving
        return low <= self.progress.gap(self.known.objective) <= high

    def improve(self, ending: Ending, start: Routing, others: Sequence[BoolArray] = ()) -> Ending:
        """Search every part by itself, and take over what that finds and proves."""
        if not (start.solved and self.structure.placeable(start.x)):
            return ending
        context, params, numbers = self.context, self.params.run, self.parts.with_x
        self.step.rest()
        # Without a plan, the MILP solver waits with the rest of the time.
        allowed = max(params.without * context.timings.elapsed(), params.least_without)
        deadline = context.deadline.within(np.inf if start.feasible else allowed)
        incumbent = self.known.objective if self.has_plan else -np.inf
        proves = self.settings.bound == "cuts" and self.settings.proven is None
        driver = PartsDriver(self.parts, start, incumbent, self.progress, proves)

        def work(number: int, deadline_of_part: Deadline) -> bool:
            k = numbers[number]
            x = start.x[self.parts.parts[k].onloading]
            settled = self.parts.settle(k)
            if not (deadline_of_part.over or (settled is not None and np.array_equal(x, settled))):
                x = x if settled is None else settled
                with closing(self._search_part(k, x, others, deadline_of_part)) as search:
                    if driver.follow(k, search):
                        deadline.stop()
            return deadline_of_part.over

        try:
            with context.timings.phase("improve"):
                weights, threads = self.parts.weights(numbers), self.parts.threads(context.backend)
                out_of_time = in_parts(work, weights, deadline, threads)
            if any(out_of_time) and context.deadline.over:
                ending = Ending.TIME
        except KeyboardInterrupt:
            ending = Ending.INTERRUPTED
        except OutOfTime:
            ending = Ending.TIME
        return self._take_over(driver, ending)

    def pursue(self, ending: Ending) -> Ending:
        """Search on until the gap that was asked for is closed, or the time is over."""
        context, params, settings = self.context, self.params, self.settings
        deadline = context.deadline.within(np.inf)
        start, pursuits = self.known, {}
        driver = PartsDriver(self.parts, start, start.objective, self.progress, True)
        numbers = self.parts.with_x
        allowed = max(settings.abs_gap, settings.rel_gap * abs(start.objective)) / max(len(numbers), 1)
        try:
            with ExitStack() as stack, context.timings.phase("improve"):
                for k in numbers:
                    part, tightened = self.parts.parts[k], self.parts.tightened(k)
                    if tightened is None or deadline.over:
                        continue
                    x = start.x[part.onloading]
                    of_part = abs(part.reduce(Plan(start.x, start.y, start.objective)).objective)
                    task = Task(
                        self.parts.structures[k],
                        context.backend,
                        allowed / max(of_part, 1e-300),
                        deadline,
                        settings.mip_solvers,
                        params.search,
                        params.loop.greedy,
                    )
                    prices = [vector[part.rows] for vector in self.prices]
                    pursuits[k] = Pursuit(task, x, prices, tightened, float(self.parts.bounds[k]), k)
                    stack.callback(pursuits[k].close)
                pursue(pursuits, driver, deadline, params.run.slice, self.parts.threads(context.backend))
                if len(pursuits) == len(numbers) and not deadline.over:
                    ending = Ending.TOLERANCES  # unless the gap is closed
        except KeyboardInterrupt:
            ending = Ending.INTERRUPTED
        except OutOfTime:
            ending = Ending.TIME
        if context.deadline.over:
            ending = Ending.TIME
        ending = self._take_over(driver, ending)
        left = self.progress.bound - self.known.objective
        all_but_tolerances = left <= allowance(self.known.objective)
        return Ending.GAP if ending is Ending.TOLERANCES and all_but_tolerances else ending

    def _search_part(
        self, k: int, x: BoolArray, others: Sequence[BoolArray], deadline: Deadline
    ) -> Generator[Found, None, None]:
        """Search part k by itself, from a placement of its own."""
        part, tightened = self.parts.parts[k], self.parts.tightened(k)
        begin = Start(
            x,
            [vector[part.rows] for vector in self.prices],
            tightened,
            [x[part.onloading] for x in others],
            relaxes=tightened is None and self.settings.bound != "cuts",
            explored=self.parts.explored_before(k),
            keeps=self.settings.memory is not None,
        )
        yield from self.parts.search(k, begin, deadline)

    def _take_over(self, driver: PartsDriver, ending: Ending) -> Ending:
        """Keep the plan and the bound that the search of the parts has found; return how it ended."""
        if driver.closed and ending is not Ending.INTERRUPTED:
            ending = Ending.GAP
        self.context.log.flush()
        driver.prove()
        if driver.changed:
            if self.context.deadline.left() > GRACE:
                self.keep(self.step(driver.x, self.context.deadline.left()))
            for k, found in driver.found.items():
                self.step.adopt(k, found)
            if self.step.best is not None:
                self.keep(self.step.best)
        self._amend_trace()
        return ending

    def _close_idle(self, best: Routing) -> Routing:
        """Return the plan without what costs and serves nobody, and note what that gains."""
        timings, deadline = self.context.timings, self.context.deadline
        begin = timings.elapsed()
        leaner = drop_idle(self.structure.problem, best, Deadline(deadline.left() + GRACE))
        gained = leaner.objective - best.objective
        if gained > _NOTED * abs(best.objective):
            self.progress.tell_improvement("idle", leaner.objective)
            self.context.log.flush()
            self.progress.add(Step("idle", gained, 0.0, timings.elapsed() - begin))
        self.best = leaner
        self._amend_trace()
        return leaner

    # --- a first plan -------------------------------------------------------------------------------------

    def try_starts(self) -> None:
        """Route the placements that need no search, if no iteration found a plan."""
        for x in self._starts:
            if self.structure.placeable(x) and not self.context.deadline.over:
                self.keep(self.offload(x, -np.inf))
        self._amend_trace()

    def ask_early(self) -> LPStatus:
        """Ask a MILP solver where the loop found no plan; it gets as long as the loop took.

        Its presolve refutes in no time what a search by LPs refutes in thousands of nodes.
        """
        seconds = max(self.params.run.first_plan, self.context.timings.elapsed())
        return self._first_plan(min(self.context.deadline.left(), seconds))

    def find_first(self, ending: Ending) -> Ending:
        """Fall back on branch and bound if no plan was found by the heuristic."""
        if self.has_plan or ending is Ending.INTERRUPTED:
            return ending
        if self.context.deadline.over:
            return Ending.TIME
        status = self._first_plan(self.context.deadline.left())
        if status is LPStatus.UNBOUNDED:
            return Ending.UNBOUNDED
        return ending if self.has_plan else _WITHOUT_PLAN.get(status, Ending.TIME)

    def _first_plan(self, seconds: float) -> LPStatus:
        """Look for a plan by branch and bound, keep it, and return how that ended."""
        problem = self.structure.problem
        with self.context.timings.phase("improve"):
            status, plan = first_plan(problem, seconds)
            if plan is None:
                return status
            routing = self.step(plan.x, self.context.deadline.last_work())
        if routing.status is LPStatus.UNBOUNDED:
            return LPStatus.UNBOUNDED
        if routing.feasible:
            self.keep(routing)
        elif not missed(problem, plan.x.astype(float), plan.y):
            self.keep(Routing.of_plan(plan, self.structure))
        else:
            return LPStatus.STOPPED
        self._amend_trace()
        return status

    def _amend_trace(self) -> None:
        if self.has_plan:
            self.progress.amend(self.known.objective)


def _as_placement(x: object, n: int) -> BoolArray:
    array = np.asarray(x)
    if array.shape != (n,):
        raise OptionError(
            f"onloading_step returned an array of shape {array.shape}; return one entry per onloading "
            f"variable, shape ({n},)"
        )
    if array.dtype.kind not in "biuf" or not np.all(np.isfinite(array)):
        raise OptionError("onloading_step returned entries that are neither 0 nor 1; return booleans")
    return array > 0.5
