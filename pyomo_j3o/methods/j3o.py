"""J3O on arrays: prices and bound, alternation, improvement, and the check of what comes out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.alternate.alternating import alternate
from pyomo_j3o.alternate.batch_surrogate import BatchSurrogate
from pyomo_j3o.alternate.offloading import OffloadingByParts, Routing
from pyomo_j3o.alternate.onloading import OnloadingStep, greedy_onloading
from pyomo_j3o.alternate.stopping import Stop
from pyomo_j3o.certify.cutting import relax
from pyomo_j3o.certify.relaxation import Relaxation, Tightened, bound_of_columns, together, unbounded_columns
from pyomo_j3o.core.deadline import GRACE, OutOfTime, require_time
from pyomo_j3o.core.log import Log
from pyomo_j3o.core.parallel import share
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Plan, Problem, missed
from pyomo_j3o.core.results import Cuts, Ending, Outcome, Record, Step, Timings, relative_gap, rounding
from pyomo_j3o.core.structure import Structure, analyse
from pyomo_j3o.errors import BackendError, OptionError
from pyomo_j3o.improve.feasibility import first_plan, nearest_placement
from pyomo_j3o.improve.improving import drop_idle, improve
from pyomo_j3o.improve.local_search import MEMORY
from pyomo_j3o.lp import Backend, LPStatus
from pyomo_j3o.mip import MIPSolver
from pyomo_j3o.presolve.aggregating import aggregate_capacities
from pyomo_j3o.presolve.decomposing import split
from pyomo_j3o.presolve.setup_payers import Charged

#: What it means that a solver stopped in this way without a plan.
_WITHOUT_PLAN = {
    LPStatus.INFEASIBLE: Ending.INFEASIBLE,
    LPStatus.TIME_LIMIT: Ending.TIME,
}


#: What closing idle variables gains is told if it is more than this part of the objective.
_NOTED = 1e-6

#: A MILP solver's word is waited for so many seconds at least, where no plan is known.
_LEAST_WORD = 0.5

#: Without a plan, the search after the loop may take so many times what came before, in seconds at least.
_WITHOUT, _LEAST_WITHOUT = 4.0, 2.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How to solve.

    Attributes
    ----------
    stop
        Ends the alternation.
    rel_gap, abs_gap
        A plan this close to the bound is optimal.
    time_limit
        Seconds since the call of solve().
    improve
        Search on after the alternation.
    bound
        "cuts", "lp" or "none".
    onloading_step
        The reader's own, or None for the greedy one.
    callback
        Called with each record.
    start
        A placement to begin with, (N,) bool, or None.
    max_iterations
        Of all alternations together.
    threads
        So many independent parts are worked on at a time; None for one.
    mip_solvers
        Returns the MIP solvers that may finish the improvement, best first; None for none.
    charged
        Who pays for batches, for a second alternation with BAJ3O's surrogate; None for none.
    proven
        A bound that counts in place of what is proven of this problem, which is a restriction of another.
    iterations_before
        Where the numbers of the iterations begin.
    worth_improving
        Lowest and highest relative gap after the alternation at which the improvement is worth its time.
    """

    stop: Stop
    rel_gap: float
    abs_gap: float
    time_limit: float
    improve: bool
    bound: str
    onloading_step: OnloadingStep | None
    callback: Callable[[Record], None] | None
    start: BoolArray | None
    max_iterations: int
    threads: int | None = None
    mip_solvers: Callable[[], Iterable[MIPSolver]] | None = None
    charged: Charged | None = None
    proven: float | None = None
    iterations_before: int = 0
    worth_improving: tuple[float, float] = (0.0, np.inf)

    def closed(self, objective: float, bound: float) -> bool:
        """Return whether a plan of this objective is within the gap asked for."""
        close = bound - objective <= max(self.abs_gap, rounding(objective))
        return close or relative_gap(objective, bound) <= self.rel_gap


def solve(
    problem: Problem, backend: Backend, settings: Settings, timings: Timings, log: Log
) -> tuple[Outcome, list[Record]]:
    """Solve a linear problem by J3O.

    Parameters
    ----------
    problem
        Linear, maximised.
    backend
        The LP solver.
    settings
        See `Settings`.
    timings
        Extended by the phases.
    log
        Prints the table.

    Returns
    -------
    Outcome
    list of Record
        One per iteration; the last also counts what the improvement gained.
    """

    def remaining() -> float:
        return settings.time_limit - timings.elapsed()

    if remaining() <= 0:
        return Outcome(None, np.inf, Ending.TIME), []
    try:
        structure = analyse(_aggregated(problem, backend, settings, timings), remaining)
        if settings.onloading_step is not None:
            structure.freeze()
        run = _Run(structure, backend, settings, timings, log)
    except OutOfTime:
        return Outcome(None, np.inf, Ending.TIME), []
    try:
        outcome = run.outcome()
    finally:
        run.close()
    duals = None if outcome.duals is None else outcome.duals[: problem.n_rows]
    cuts = None if settings.charged is not None else run.cuts(problem.n_rows)
    return replace(outcome, duals=duals, steps=tuple(run.steps), cuts=cuts), run.trace


def certify(problem: Problem, backend: Backend, settings: Settings, timings: Timings, log: Log) -> Outcome:
    """Return a bound, or that there is no plan, or none that is best; never a plan.

    Parameters
    ----------
    problem, backend, settings, timings, log
        As for `solve`.
    """

    def remaining() -> float:
        return settings.time_limit - timings.elapsed()

    if settings.bound == "none" or remaining() <= 0:
        return Outcome(None, np.inf, Ending.TIME)
    try:
        structure = analyse(_aggregated(problem, backend, settings, timings), remaining)
        run = _Run(structure, backend, settings, timings, log)
    except OutOfTime:
        return Outcome(None, np.inf, Ending.TIME)
    try:
        ending = run.certify()[0]
        return Outcome(None, -np.inf if ending is Ending.INFEASIBLE else run.bound, ending or Ending.STALLED)
    except KeyboardInterrupt:
        return Outcome(None, run.bound, Ending.INTERRUPTED)
    finally:
        run.close()


def _aggregated(problem: Problem, backend: Backend, settings: Settings, timings: Timings) -> Problem:
    """Return the problem with what its capacities imply together."""
    if settings.charged is not None:
        return problem  # whose rows are numbered already
    with timings.phase("compile"):

        def remaining() -> float:
            return settings.time_limit - timings.elapsed()

        problem = aggregate_capacities(problem, backend, remaining)
        require_time(remaining)
        return problem


class _Ended(Exception):
    """Leaves the search from inside a step."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.value)
        self.ending = ending


class _Run:
    """The state of one solve: nothing of it outlives the call."""

    def __init__(
        self, structure: Structure, backend: Backend, settings: Settings, timings: Timings, log: Log
    ) -> None:
        self.structure = structure
        self.backend = backend
        self.settings = settings
        self.timings = timings
        self.log = log
        self.trace: list[Record] = []
        self.steps: list[Step] = []
        require_time(self.remaining)
        self.bound = np.inf
        if settings.proven is not None:
            self.bound = settings.proven
        elif settings.bound != "none":
            self.bound = bound_of_columns(structure.problem)
        self.parts = split(structure.problem)
        if len(self.parts) == 1:
            self.part_structures = [replace(structure, problem=self.parts[0].problem)]
        else:
            self.part_structures = []
            for part in self.parts:
                require_time(self.remaining)
                self.part_structures.append(analyse(part.problem, self.remaining))
        self.part_bounds = np.full(len(self.parts), np.inf)
        self.tightened: list[Tightened | None] = [None] * len(self.parts)
        self.prices: list[FloatArray] = []
        self.best: Routing | None = None
        self._step: OffloadingByParts | None = None
        self._onload_at_start = settings.start
        # Where no budget forbids it, closing from everything open is a descent of its own.
        self._starts = [structure.problem.onloading_upper > 0.5]

    def close(self) -> None:
        if self._step is not None:
            self._step.close()

    def cuts(self, n_rows: int) -> Cuts | None:
        """Return the rows of the tightened relaxation beyond the first `n_rows` of the problem."""
        problem, found = self.structure.problem, []
        for part, tightened in zip(self.parts, self.tightened, strict=True):
            if tightened is None:
                continue
            model = tightened.model
            own = np.concatenate([part.rows >= n_rows, np.ones(model.n_rows - len(part.rows), dtype=bool)])
            rows = sparse.coo_array(sparse.csr_array(model.matrix)[np.flatnonzero(own)])
            columns = np.concatenate([part.onloading, problem.n_onloading + part.offloading])
            shape = rows.shape[0], problem.n_onloading + problem.n_offloading
            wide = sparse.csr_array((rows.data, (rows.row, columns[rows.col])), shape=shape)
            found.append((wide, model.row_lower[own], model.row_upper[own]))
        if not found:
            return None
        matrices, lower, upper = zip(*found, strict=True)
        return Cuts(sparse.csr_array(sparse.vstack(matrices)), np.concatenate(lower), np.concatenate(upper))

    def remaining(self) -> float:
        return self.settings.time_limit - self.timings.elapsed()

    def outcome(self) -> Outcome:
        """Certify, alternate, improve; a first plan by branch and bound if all that found none."""
        try:
            ending = self._search()
        except KeyboardInterrupt:
            ending = Ending.INTERRUPTED
        except _Ended as reason:
            ending = reason.ending
        best = self.best
        if ending is Ending.UNBOUNDED or ending is Ending.INFEASIBLE:
            ray: tuple[int, ...] = ()
            if ending is Ending.UNBOUNDED:
                ray = unbounded_columns(self.structure.problem, self.backend, max(self.remaining(), GRACE))
            return Outcome(None, -np.inf if ending is Ending.INFEASIBLE else np.inf, ending, ray=ray)
        if best is None or not best.feasible:
            return Outcome(None, self.bound, ending)
        if self.settings.improve:
            self.best = best = self._without_idle(best)
        bound = max(self.bound, best.objective)
        if ending is not Ending.INTERRUPTED and self._closed(best.objective):
            ending = Ending.GAP
        return Outcome(Plan(best.x, best.y, best.objective), bound, ending, best.duals)

    def _without_idle(self, best: Routing) -> Routing:
        """Return the plan without what costs and serves nobody, and note what that gains."""
        begin = self.timings.elapsed()
        leaner = drop_idle(self.structure.problem, best, lambda: self.remaining() + GRACE)
        gained, end = leaner.objective - best.objective, self.timings.elapsed()
        if gained > _NOTED * abs(best.objective):
            sense = self.structure.problem.sense
            self.log.improvement("idle", sense * leaner.objective, sense * self.bound, end)
            self.log.flush()
            self.steps.append(Step("idle", gained, 0.0, end - begin))
        self.best = leaner
        self._count_improvement()
        return leaner

    def _closed(self, objective: float) -> bool:
        """Return whether a plan of this objective is within the gap asked for."""
        return self.settings.closed(objective, max(self.bound, objective))

    def _worth_improving(self) -> bool:
        assert self.best is not None
        low, high = self.settings.worth_improving
        return low <= relative_gap(self.best.objective, max(self.bound, self.best.objective)) <= high

    def _search(self) -> Ending:
        if self.remaining() <= 0:
            return Ending.TIME
        prices = np.zeros(self.structure.problem.n_rows)
        if self.settings.bound != "none":
            ending, prices = self.certify()
            if ending is not None:
                return ending
        self.prices.append(prices)
        self._step = OffloadingByParts(self.structure.problem, self.parts, self.part_structures, self.backend)
        routing, ending = alternate(self._onload, self._offload, prices, self._observe)
        self._keep(routing)
        assert self.best is not None
        if ending is Ending.UNBOUNDED:
            return self._unbounded()
        if ending in (Ending.GAP, Ending.TIME):
            return self._find_first(ending)
        if not routing.feasible:
            with self._dispensable("The first descents"):
                self._try_starts()
        if not self.best.feasible:
            word = self._ask_early()
            if word is not None:
                return word
        start = self.best
        others: list[BoolArray] = []
        with self._dispensable("The alternation with the surrogate"):
            others = self._alternate_batched()
        if (self.settings.improve and self._worth_improving()) or not self.best.feasible:
            with self._dispensable("The search after the loop"):
                ending = self._improve(ending, start if start.feasible else self.best, others)
        if self.best.feasible or ending in (Ending.TIME, Ending.INTERRUPTED):
            return self._find_first(ending)
        # Branch and bound stops at its first plan: there is everything left to improve.
        ending = self._find_first(ending)
        if self.settings.improve and self.best.feasible:
            with self._dispensable("The search after the loop"):
                ending = self._improve(ending, self.best)
        return ending

    @contextmanager
    def _dispensable(self, step: str) -> Iterator[None]:
        """Leave a step out where a solver fails in it: what was found and proven stands."""
        try:
            yield
        except BackendError as error:
            self.log.line(f"{step} ended early: {error}")

    def _ask_early(self) -> Ending | None:
        """Ask a MILP solver where the loop found no plan; return `INFEASIBLE` if it proves that.

        Its presolve refutes in no time what a search by LPs refutes in thousands of nodes. It gets as long as
        the loop took.
        """
        assert self.best is not None
        seconds = min(self.remaining(), max(_LEAST_WORD, self.timings.elapsed()))
        status = self._first_plan(seconds)
        return Ending.INFEASIBLE if status is LPStatus.INFEASIBLE else None

    def _alternate_batched(self) -> list[BoolArray]:
        """Alternate once more, with BAJ3O's surrogate, and return what that found if it is worth a look.

        It begins where J3O ended. J3O's own search then goes on as if there were no surrogate: what it finds
        is never missed.
        """
        charged, start = self.settings.charged, self.best
        assert start is not None
        left = self.settings.max_iterations - len(self.trace)
        if charged is None or not len(charged.batch) or left <= 0 or self.remaining() <= 0:
            return []
        prices, known, before = start.duals, list(self.prices), len(self.trace)
        y = start.y if start.feasible else np.zeros(self.structure.problem.n_offloading)
        with self.timings.phase("onload"):
            steps = BatchSurrogate(charged, self.parts, self.backend, y)
        found: list[Routing] = []

        def onload(prices: FloatArray) -> BoolArray:
            with self.timings.phase("onload"):
                return steps.onload(prices, self.remaining)

        def offload(x: BoolArray, at_least: float) -> Routing:
            with self.timings.phase("offload"):
                x, relaxed = steps.offload(x, self.remaining())
            if not self.structure.placeable(x):
                # The prices say more than nothing.
                return replace(Routing.impossible(x, self.structure), duals=relaxed.duals)
            routing = self._offload(x, at_least)
            found.append(routing)
            return replace(routing, duals=relaxed.duals)

        def observe(routing: Routing, best: Routing, cycle: int) -> Ending | None:
            ending = self._observe(routing, best, cycle if steps.settled else 0, since=before)
            return None if ending is Ending.STALLED and not steps.settled else ending

        self.log.line("BAJ3O: alternation with the surrogate of the set-ups")
        alternate(onload, offload, prices, observe)
        self.prices = known
        good = [routing for routing in found if routing.feasible]
        return [max(good, key=lambda routing: routing.merit).x] if good else []

    def certify(self) -> tuple[Ending | None, FloatArray]:
        """Prove a bound; return why there is nothing to search, if so, and the prices to begin with."""
        with self.timings.phase("certify"):
            # Half of a short time limit stays for the search: a plan without a bound beats none.
            reserved = 0.5 * self.remaining() if np.isfinite(self.settings.time_limit) else 0.0
            relaxation = self._relax(lambda: self.remaining() - reserved)
        return self._read(relaxation), relaxation.duals

    def _relax(self, remaining: Callable[[], float]) -> Relaxation:
        """Relax every part by itself, and note what is known of each."""
        cuts = self.settings.bound == "cuts"

        def work(k: int, left: Callable[[], float]) -> Relaxation:
            try:
                return relax(self.part_structures[k], self.backend, cuts, left)
            except BackendError as error:
                self.log.line(f"The relaxation proves no bound: {error}")
                return relax(self.part_structures[k], self.backend, cuts, lambda: 0.0)

        relaxations = share(work, self._weights(range(len(self.parts))), remaining, self._threads())
        self.part_bounds = np.array([relaxation.bound for relaxation in relaxations])
        if cuts:
            self.tightened = [relaxation.tightened for relaxation in relaxations]
        return together(self.structure.problem, self.parts, relaxations)

    def _weights(self, numbers: Sequence[int]) -> list[float]:
        return [1.0 + self.parts[k].problem.n_nonzeros for k in numbers]

    def _threads(self) -> int:
        # Gurobi's environment serves one thread at a time.
        return (self.settings.threads or 1) if self.backend.name == "highs" else 1

    def _read(self, relaxation: Relaxation) -> Ending | None:
        """Take over the bound, or say why there is nothing to search."""
        if relaxation.status is LPStatus.UNBOUNDED:
            return self._unbounded()
        if self.settings.proven is None:
            self.bound = min(self.bound, relaxation.bound)
        positive, rounded = relaxation.x > 1e-6, relaxation.x > 0.5
        self._starts.append(positive)
        if np.sum(positive & (relaxation.x < 1 - 1e-6)) <= 0.5 * np.sum(positive):
            # Where most of it is fractional, rounding says little.
            self._starts.append(rounded)
        if (
            self._onload_at_start is None
            and self.settings.onloading_step is None
            and relaxation.status is LPStatus.OPTIMAL
            and np.all(np.abs(relaxation.x - rounded) <= 1e-6)
            and self.structure.placeable(rounded)
        ):
            # The relaxation is integral: it is the optimal placement already.
            self._onload_at_start = rounded
        if self.settings.proven is None:
            self.log.bound(self.structure.problem.sense * self.bound, self.timings.elapsed())
        return Ending.INFEASIBLE if relaxation.status is LPStatus.INFEASIBLE else None

    def _unbounded(self) -> Ending:
        """Tell an unbounded problem from an infeasible one whose relaxation is unbounded."""
        status, plan = first_plan(self.structure.problem, self.remaining())
        return Ending.UNBOUNDED if plan is not None else _WITHOUT_PLAN.get(status, Ending.TIME)

    def _onload(self, prices: FloatArray) -> BoolArray:
        with self.timings.phase("onload"):
            if self._onload_at_start is not None:
                x, self._onload_at_start = self._onload_at_start, None
            elif self.settings.onloading_step is None:
                x = np.zeros(self.structure.problem.n_onloading, dtype=bool)
                for part, structure in zip(self.parts, self.part_structures, strict=True):
                    if len(part.onloading):
                        x[part.onloading] = greedy_onloading(structure, prices[part.rows], self.remaining)
            else:
                x = _as_placement(
                    self.settings.onloading_step(self.structure, prices.copy()),
                    self.structure.problem.n_onloading,
                )
            if not self.structure.placeable(x):
                if self.remaining() <= 0:
                    raise _Ended(Ending.TIME)
                status, repaired = nearest_placement(self.structure, x, self.remaining())
                if repaired is None:
                    raise _Ended(_WITHOUT_PLAN.get(status, Ending.TIME))
                x = repaired
            return x

    def _offload(self, x: BoolArray, at_least: float) -> Routing:
        assert self._step is not None
        with self.timings.phase("offload"):
            routing = self._step(x, self.remaining(), at_least)
        if routing.solved:
            self.prices.append(routing.duals)
            del self.prices[:-MEMORY]  # no step looks back farther
        return routing

    def _observe(self, routing: Routing, best: Routing, cycle: int, since: int = 0) -> Ending | None:
        self._keep(best)
        assert self.best is not None
        best = self.best
        sense = self.structure.problem.sense
        record = Record(
            self.settings.iterations_before + len(self.trace) + 1,
            sense * routing.objective,
            sense * best.objective,
            sense * self.bound,
            relative_gap(best.objective, self.bound),
            int(routing.x.sum()),
            cycle > 0,
            self.timings.elapsed(),
            cycle,
        )
        self.trace.append(record)
        self.log.iteration(record)
        if self.settings.callback is not None:
            self.settings.callback(record)
        ending = self.settings.stop(tuple(self.trace[since:]))
        if ending is None and len(self.trace) >= self.settings.max_iterations:
            return Ending.ITERATIONS
        return ending

    def _keep(self, routing: Routing) -> None:
        """Keep the better of this routing and the best ones of all parts, each from whatever iteration."""
        assert self._step is not None
        for found in (routing, self._step.best):
            if found is not None and (self.best is None or found.better_than(self.best)):
                self.best = found

    def _improve(self, ending: Ending, start: Routing, others: Sequence[BoolArray] = ()) -> Ending:
        """Improve every part by itself, and take over what that found and proved."""
        assert self.best is not None
        assert self._step is not None
        if not (start.solved and self.structure.placeable(start.x)):
            return ending
        progress = _Progress(self, start)
        numbers = [k for k, part in enumerate(self.parts) if part.problem.n_onloading]

        # Without a plan, the MILP solver waits with the rest of the time.
        allowed = np.inf if start.feasible else max(_WITHOUT * self.timings.elapsed(), _LEAST_WITHOUT)
        end = self.timings.elapsed() + allowed

        def remaining() -> float:
            return min(self.remaining(), end - self.timings.elapsed())

        def work(number: int, left: Callable[[], float]) -> bool:
            self._improve_part(numbers[number], left, progress, others)
            return left() <= 0

        try:
            with self.timings.phase("improve"):
                out_of_time = share(work, self._weights(numbers), remaining, self._threads())
            if any(out_of_time) and self.remaining() <= 0:
                ending = Ending.TIME
        except KeyboardInterrupt:
            ending = Ending.INTERRUPTED
        except _Ended as reason:
            ending = reason.ending
        self.log.flush()
        self.steps = progress.steps
        self.prove(self._summed_bound())
        if not np.array_equal(progress.x, start.x):
            # The plan found is kept even if time is up by now.
            if self.remaining() > GRACE:
                self._keep(self._step(progress.x, self.remaining()))
            for k, found in progress.found.items():
                self._step.adopt(k, found)
            if self._step.best is not None:
                self._keep(self._step.best)
        self._count_improvement()
        return ending

    def prove(self, bound: float) -> None:
        """Lower the bound, if what is proven of this problem counts."""
        if self.settings.bound == "cuts" and self.settings.proven is None:
            self.bound = min(self.bound, bound)

    def _improve_part(
        self, k: int, left: Callable[[], float], progress: _Progress, others: Sequence[BoolArray]
    ) -> None:
        part, structure = self.parts[k], self.part_structures[k]
        if left() <= 0:
            return

        def relaxation() -> Tightened | None:
            # With bound="cuts" it is there unless it could not be solved in time.
            if self.settings.bound == "cuts" or self.tightened[k] is not None:
                return self.tightened[k]
            return relax(structure, self.backend, True, left).tightened

        start = progress.start.x[part.onloading]

        def report(name: str, routing: Routing, bound: float) -> None:
            self.part_bounds[k] = min(self.part_bounds[k], bound)
            progress.report(name, part.onloading, k, routing)

        improve(
            structure,
            self.backend,
            start,
            [vector[part.rows] for vector in self.prices],
            relaxation,
            left,
            report,
            progress.add,
            self.settings.rel_gap,
            self.settings.mip_solvers,
            [x[part.onloading] for x in others],
        )

    def _summed_bound(self) -> float:
        """Return what the bounds of the parts add up to."""
        return float(np.sum(self.part_bounds)) + self.structure.problem.objective_constant

    def _try_starts(self) -> None:
        """Route the placements that need no search, if no iteration found a plan."""
        assert self.best is not None
        for x in self._starts:
            if self.structure.placeable(x) and self.remaining() > 0:
                self._keep(self._offload(x, -np.inf))
        self._count_improvement()

    def _find_first(self, ending: Ending) -> Ending:
        """Fall back on branch and bound if no plan was found by the heuristic."""
        assert self.best is not None
        assert self._step is not None
        if self.best.feasible or ending is Ending.INTERRUPTED:
            return ending
        if self.remaining() <= 0:
            return Ending.TIME
        status = self._first_plan(self.remaining())
        if status is LPStatus.UNBOUNDED:
            return Ending.UNBOUNDED
        return ending if self.best.feasible else _WITHOUT_PLAN.get(status, Ending.TIME)

    def _first_plan(self, seconds: float) -> LPStatus:
        """Look for a plan by branch and bound, keep it, and return how that ended."""
        assert self._step is not None
        problem = self.structure.problem
        with self.timings.phase("improve"):
            status, plan = first_plan(problem, seconds)
            if plan is None:
                return status
            routing = self._step(plan.x, max(self.remaining(), GRACE))
        if routing.status is LPStatus.UNBOUNDED:
            return LPStatus.UNBOUNDED
        if routing.feasible:
            self._keep(routing)
        elif not missed(problem, plan.x.astype(float), plan.y):
            self._keep(Routing.of_plan(plan, self.structure))
        else:
            return LPStatus.STOPPED
        self._count_improvement()
        return status

    def _count_improvement(self) -> None:
        """Let the last record of the trace tell the incumbent that the improvement reached."""
        assert self.best is not None
        sense = self.structure.problem.sense
        if self.trace and self.best.feasible:
            if not np.isfinite(self.trace[-1].incumbent):
                # No iteration had a plan, so none stands in the log.
                self.log.improvement(
                    "first", sense * self.best.objective, sense * self.bound, self.timings.elapsed()
                )
                self.log.flush()
            self.trace[-1] = replace(
                self.trace[-1],
                incumbent=sense * self.best.objective,
                bound=sense * max(self.bound, self.best.objective),
                relative_gap=relative_gap(self.best.objective, self.bound),
                time=self.timings.elapsed(),
            )


class _Progress:
    """What the improvement of the parts adds up to; several parts may report at a time."""

    def __init__(self, run: _Run, start: Routing) -> None:
        self.start = start
        self.x = start.x.copy()
        #: The last routing reported, by part.
        self.found: dict[int, Routing] = {}
        self.steps: list[Step] = []
        self._run = run
        self._first: dict[int, float] = {}
        self._gained: dict[int, float] = {}
        self._lock = threading.Lock()

    def report(self, name: str, onloading: IntArray, k: int, routing: Routing) -> None:
        """Take over part `k`'s placement; end the search if that closes the gap.

        The first report of a part has no name: it is what the part starts from.
        """
        run = self._run
        with self._lock:
            self.x[onloading] = routing.x
            self.found[k] = routing
            self._gained[k] = routing.merit - self._first.setdefault(k, routing.merit)
            if not self.start.feasible or not name:
                return
            objective = self.start.objective + sum(self._gained.values())
            if run.best is not None and run.best.feasible:
                # BAJ3O may have found a better plan than the one that the parts start from.
                objective = max(objective, run.best.objective)
            run.prove(run._summed_bound())
            sense = run.structure.problem.sense
            run.log.improvement(name, sense * objective, sense * run.bound, run.timings.elapsed())
            if run._closed(objective):
                raise _Ended(Ending.GAP)

    def add(self, step: Step) -> None:
        """Add a step to those of the same name."""
        with self._lock:
            for place, known in enumerate(self.steps):
                if known.name == step.name:
                    self.steps[place] = Step(
                        step.name,
                        known.gained + step.gained,
                        known.lowered + step.lowered,
                        known.seconds + step.seconds,
                    )
                    return
            self.steps.append(step)


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
