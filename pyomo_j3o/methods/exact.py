"""To proven optimality: J3O's plan as a MIP start, then a MIP solver on every independent part."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.alternate.stopping import first_of, gap_closed
from pyomo_j3o.certify.relaxation import (
    bound_of_columns,
    relaxation_model,
    unbounded_columns,
    whole_model,
    with_ends,
)
from pyomo_j3o.core.deadline import GRACE, Remaining, forever, require_time
from pyomo_j3o.core.log import Log
from pyomo_j3o.core.parallel import share
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Plan, Problem, evaluate
from pyomo_j3o.core.results import Cuts, Ending, Outcome, Record, Timings, relative_gap, rounding
from pyomo_j3o.errors import BackendError
from pyomo_j3o.improve.feasibility import first_plan
from pyomo_j3o.lp import Backend, LinearModel, LPStatus
from pyomo_j3o.lp.duality import dual_bound, summed
from pyomo_j3o.methods import baj3o
from pyomo_j3o.methods import j3o as method
from pyomo_j3o.methods.vetting import OwnRows, Routed, routing_model
from pyomo_j3o.mip import Limits, MIPModel, MIPSolution, MIPSolver, Start, solve_checked
from pyomo_j3o.mip.base import Write
from pyomo_j3o.presolve.decomposing import Part, split
from pyomo_j3o.presolve.linearize import Linearized, linearize
from pyomo_j3o.presolve.scaling import scale_rows
from pyomo_j3o.presolve.tightening import shrink_big_m

#: A start within the second gap of its bound leaves a MIP solver nothing to look for but the proof. Within
#: the first, the bound is nearly met, and what is missing for a smaller gap is a better plan.
_NEAR = (0.001, 0.02)

#: With no more offloading variables than so many times the onloading ones, the placement is most of a model,
#: and J3O, which prices placements by what they route, is no help.
_FLOWS_PER_ONLOADING = 3.0

#: Relative gaps of the alternation's plan. Below the first, the relaxation is nearly integral, and a MIP
#: solver ends at its root. Above the second, the relaxation says little, and J3O would search for long.
_WORTH_IMPROVING = (0.0025, 0.25)

#: An absolute gap below this is rounding.
_LEAST_GAP = 1e-9

#: What a MIP solver's bound may miss, relative, and still count as met.
_TOLERANCE = 1e-6

#: What a MIP solver gains by its tolerances is less than this part of the objective.
_BEYOND_TOLERANCES = 1e-4

#: Part of a time limit that the search for a start may take, and where the limit is short for the size.
_SHARE_OF_START, _SHARE_IF_SHORT = 0.5, 0.9

#: A limit is short for a model of more nonzeros per second: presolve and the first LP of a MIP solver may
#: take all of it.
_NONZEROS_PER_SECOND = 20_000

#: Routing and checking the last plan take this part of the seconds of compilation, on whatever machine: the
#: MIP solver's limit is so much earlier, by the second part of the whole limit at most.
_LAST_CHECK, _LARGEST_PART_OF_CHECK = 0.3, 0.1


@dataclass(frozen=True, slots=True)
class Instance:
    """One problem in the forms that the solvers take.

    Attributes
    ----------
    problem : Problem
        As it is, with its products.
    linearized : Linearized or None
        Without; None if that cannot be done.
    linear : Problem or None
        The problem of `linearized`, scaled; None if that cannot be done.
    row_factors : (M',)
        By which the rows of `linear` are scaled.
    met : (at most N + K,)
        Columns of (x, y) in the order in which the user's rows first name them; see `Inverse`.
    own : OwnRows or None
        The rows as the user wrote them, which every plan is held against; None if it is not.
    """

    problem: Problem
    linearized: Linearized | None = None
    linear: Problem | None = None
    row_factors: FloatArray = field(default_factory=lambda: np.zeros(0))
    met: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    own: OwnRows | None = None

    @staticmethod
    def of(
        problem: Problem,
        met: IntArray,
        own: OwnRows | None = None,
        remaining: Remaining = forever,
    ) -> Instance:
        """Return the instance of a scaled problem; see the attributes for `met` and `own`.

        Raises
        ------
        UnboundedProductError
            The products cannot be linearised.
        OutOfTime
            The time is over.
        """
        linearized = linearize(problem)
        require_time(remaining)
        smaller = shrink_big_m(linearized.problem)
        require_time(remaining)
        return Instance(problem, linearized, *scale_rows(smaller), met, own)

    def accepts(self, x: BoolArray, y: FloatArray) -> bool:
        """Return whether the user's own rows take a plan of `problem`."""
        return self.own is None or self.own.accepts(x, y)

    def in_own_columns(self, outcome: Outcome) -> Outcome:
        """Return an outcome of `linear` in the columns and rows of `problem`."""
        plan, duals = outcome.plan, outcome.duals
        if plan is not None:
            assert self.linearized is not None
            plan = replace(plan, y=self.linearized.recover(plan.x, plan.y))
        if duals is not None:
            duals = (duals * self.row_factors)[: self.problem.n_rows]
        return replace(outcome, plan=plan, duals=duals)


@dataclass(frozen=True, slots=True)
class Proof:
    """What the MIP solver did.

    Attributes
    ----------
    solver, description : str
        Short name; name, version, and why it was taken.
    nodes : int
        Of all search trees.
    start : float
        Objective of the MIP start; -inf without one.
    """

    solver: str
    description: str
    nodes: int
    start: float


def solve(
    instance: Instance,
    solvers: Iterator[MIPSolver],
    backend: Backend,
    settings: method.Settings,
    given: BoolArray | None,
    mip_start: str,
    timings: Timings,
    log: Log,
) -> tuple[Outcome, list[Record], Proof]:
    """Solve a problem to proven optimality.

    Parameters
    ----------
    instance
        Maximised.
    solvers
        MIP solvers, best first; the next is taken if a licence turns out too small.
    backend
        The LP solver, for the start and for the last LP.
    settings
        Of the start; gaps, time limit and threads also are those of the MIP solver.
    given
        The placement to start from instead of J3O's, (N,) bool; None for J3O's.
    mip_start
        "j3o" to start from J3O's plan, "none" from nothing, "auto" from J3O's unless the model is small.
    timings, log
        As in `method.solve`.

    Returns
    -------
    Outcome
        With the plan in the columns of ``instance.problem``.
    list of Record
        Those of the start, and one more.
    Proof
    """
    run = _Run(instance, backend, settings, timings, log)
    if instance.linear is not None:
        run.bound = bound_of_columns(instance.linear)
    solver = next(solvers)
    proof = Proof(solver.name, solver.description, 0, -np.inf)
    if settings.time_limit <= timings.elapsed():
        return Outcome(None, np.inf, Ending.TIME), [], proof
    log.line(f"MIP solver: {solver.description}")
    begun: float | None = None
    try:
        if given is not None:
            run.start_from(given)
            without = "the placement that the variables hold cannot be routed"
        elif mip_start == "none":
            without = "mip_start='none'"
        elif mip_start == "auto" and instance.problem.n_nonzeros <= solver.small:
            without = f"no more than {solver.small} nonzeros: {solver.title} is done before one is found"
        elif mip_start == "auto" and _mostly_placement(instance.problem):
            without = f"mostly onloading variables: {solver.title} is left to itself"
            if run.short:
                run.keep_first_plan(_SHARE_OF_START)
        elif instance.linear is None:
            without = "products that cannot be linearised"
        else:
            without = "j3o found none in its share of the time"
            log.header()
            try:
                ending = run.start_from_j3o(insist=mip_start == "j3o")
            except BackendError as error:
                log.line(f"J3O's start is left out: {error}")
                ending = None
            if run.alone:
                without = f"its gap tells that {solver.title} is better left to itself"
            if ending is not None:
                return run.outcome(ending), run.trace, replace(proof, start=run.objective)
        begun = -np.inf if run.alone else run.objective
        unit = abs(instance.problem.sense)
        if unit != 1.0:
            log.line(f"In the log of {solver.title}, the objective is divided by {unit:g}")
        log.line()
        log.line(run.described_start(without))
        while True:
            try:
                with timings.phase("exact"):
                    ending = run.prove(solver)
                break
            except BackendError as error:
                following = next(solvers, None)
                if following is None:
                    raise
                solver = following
                log.line(f"{error}")
                log.line(f"MIP solver: {solver.description}")
        log.line(run.described_end(solver))
    except KeyboardInterrupt:
        ending = Ending.INTERRUPTED
    started = run.objective if begun is None else begun
    proof = Proof(solver.name, solver.description, run.nodes, started)
    return run.outcome(ending), run.trace, proof


def allowance(objective: float) -> float:
    """Return by how much a MIP solver's bound may miss an objective and still count as met."""
    return max(_TOLERANCE * abs(objective), rounding(objective))


def _mostly_placement(problem: Problem) -> bool:
    """Return whether the problem has few offloading variables for its onloading ones and no window."""
    return problem.batches is None and problem.n_offloading <= _FLOWS_PER_ONLOADING * problem.n_onloading


def mip_model(problem: Problem) -> MIPModel:
    """Return the problem over (x, y), products and all, as a `MIPModel`.

    The solver gets the rows as they are, and searches as it would without J3O.
    """
    terms = problem.products
    if not len(terms):
        return MIPModel(whole_model(problem), maximise=problem.sense > 0)
    return MIPModel(
        whole_model(problem),
        replace(terms, offloading=terms.offloading + problem.n_onloading),
        problem.sense > 0,
    )


@dataclass(slots=True)
class _PartState:
    """What is known of one independent part."""

    number: int
    part: Part
    model: MIPModel
    start: FloatArray | None
    #: What the solver gets: `model`, and its columns in their order there.
    handed_over: MIPModel
    order: IntArray
    status: LPStatus = LPStatus.TIME_LIMIT
    seconds: float = 0.0
    bound: float = np.inf
    nodes: int = 0

    @property
    def objective(self) -> float:
        """The best so far; -inf without a point."""
        return -np.inf if self.start is None else self.model.objective_at(self.start)

    def solve(self, solver: MIPSolver, limits: Limits, near: bool, write: Write) -> MIPSolution:
        """Hand model and start over in the columns' order, and return what was found in that of `model`."""
        start = None if self.start is None else Start(self.start[self.order], near)
        found = solve_checked(solver, self.handed_over, limits, start, write)
        if not found.found:
            return found
        values = np.empty_like(found.values)
        values[self.order] = found.values
        return replace(found, values=values)


def _reordered(model: MIPModel, order: IntArray) -> MIPModel:
    """Return the model with its columns in another order; one with products keeps its own."""
    linear = model.linear
    if np.array_equal(order, np.arange(linear.n_columns)):
        return model
    return replace(
        model,
        linear=LinearModel(
            linear.objective[order],
            sparse.csr_array(sparse.csr_array(linear.matrix)[:, order]),
            linear.row_lower,
            linear.row_upper,
            linear.lower[order],
            linear.upper[order],
            None if linear.integer is None else linear.integer[order],
        ),
    )


def _with_cuts(linear: LinearModel, cuts: Cuts, columns: IntArray) -> LinearModel:
    """Return the model of some columns of the whole with the cuts over them."""
    within = cuts.matrix[:, columns]
    mine = np.flatnonzero(np.diff(within.indptr))
    return replace(
        linear,
        matrix=sparse.csr_array(sparse.vstack([linear.matrix, within[mine]], format="csr")),
        row_lower=np.concatenate([linear.row_lower, cuts.lower[mine]]),
        row_upper=np.concatenate([linear.row_upper, cuts.upper[mine]]),
    )


@dataclass(slots=True)
class _Run:
    """The state of one solve: nothing of it outlives the call."""

    instance: Instance
    backend: Backend
    settings: method.Settings
    timings: Timings
    log: Log
    trace: list[Record] = field(default_factory=list)
    bound: float = np.inf
    nodes: int = 0
    #: The best plan, in the columns of the problem as it is, and that which it came from.
    plan: Plan | None = None
    duals: FloatArray | None = None
    ray: tuple[int, ...] = ()
    #: Whether the MIP solver gets no start although there is a plan.
    alone: bool = False
    outcome_of_start: Outcome | None = None
    _linear_plan: Plan | None = None

    @property
    def objective(self) -> float:
        """That of the best plan."""
        return -np.inf if self.plan is None else self.plan.objective

    # --- the start ----------------------------------------------------------------------------------------

    def start_from(self, x: BoolArray) -> None:
        """Route the placement that the user gave."""
        with self.timings.phase("offload"):
            self.plan, self.duals = self._routed(x)

    @property
    def short(self) -> bool:
        """Whether the time left is short for the size of the model."""
        left = self.settings.time_limit - self.timings.elapsed()
        return self.instance.problem.n_nonzeros > _NONZEROS_PER_SECOND * left

    def keep_first_plan(self, share: float) -> None:
        """Keep J3O's first plan in case the solver finds none; it may take this share of the time."""
        instance, now = self.instance, self.timings.elapsed()
        if instance.linear is None or self.settings.time_limit <= now:
            return
        limit = now + share * (self.settings.time_limit - now)
        quick = replace(
            self.settings, improve=False, bound="none", max_iterations=1, callback=None, time_limit=limit
        )
        try:
            found, _ = baj3o.solve(instance.linear, self.backend, quick, self.timings, Log([]), True)
        except BackendError:
            return  # the MIP solver may find one
        self._keep_plan_of(found)
        self.alone = self.plan is not None

    def start_from_j3o(self, insist: bool) -> Ending | None:
        """Take over J3O's plan and bound, and return why the search ends with it, or None if it goes on.

        Parameters
        ----------
        insist
            Whether J3O is to improve the plan, and the solver to get it, even where that is of no use.
        """
        settings = self.settings
        left = settings.time_limit - self.timings.elapsed()
        limit = self.timings.elapsed() + (_SHARE_IF_SHORT if self.short else _SHARE_OF_START) * left
        instance = self.instance
        assert instance.linear is not None
        settings = replace(settings, time_limit=limit)
        low, high = _WORTH_IMPROVING
        if not insist:
            close = gap_closed(low, 0.0)
            settings = replace(
                settings, stop=first_of(settings.stop, close), worth_improving=_WORTH_IMPROVING
            )
        found, self.trace = baj3o.solve(instance.linear, self.backend, settings, self.timings, self.log, True)
        self.outcome_of_start = found
        self.bound, self.ray = min(self.bound, found.bound), found.ray
        if found.plan is not None:
            self._linear_plan = found.plan
            own = instance.in_own_columns(found)
            assert own.plan is not None
            if instance.accepts(own.plan.x, own.plan.y):
                self.plan, self.duals = own.plan, own.duals
            else:
                # A huge M has let a fraction of an x through that counts as 0.
                self._linear_plan = None
                self.plan, self.duals = self._routed(own.plan.x)
        gap = relative_gap(self.objective, self.bound)
        left_out = gap > high or (gap < low and not found.steps)
        self.alone = self.plan is not None and not insist and left_out
        over = found.ending in (Ending.INFEASIBLE, Ending.UNBOUNDED, Ending.INTERRUPTED)
        if self.plan is not None and self.settings.closed(self.objective, self.bound):
            return Ending.GAP
        return found.ending if over else None

    def described_start(self, without: str) -> str:
        """Say what the MIP solver starts from, or why from nothing."""
        if self.plan is None or self.alone:
            return f"MIP start: none ({without})"
        gap = relative_gap(self.objective, self.bound)
        known = f", gap {100 * gap:.2f}%" if np.isfinite(gap) else ""
        return f"MIP start: objective {self.instance.problem.sense * self.objective + 0.0:.8g}{known}"

    def described_end(self, solver: MIPSolver) -> str:
        """Say where the MIP solver left off."""
        sense, bound = self.instance.problem.sense, max(self.bound, self.objective)
        incumbent, proven = (
            f"{sense * value + 0.0:.8g}" if np.isfinite(value) else "-" for value in (self.objective, bound)
        )
        return (
            f"{solver.title} ended: incumbent {incumbent}, bound {proven}, {self.nodes} nodes, "
            f"{self.timings.elapsed():.2f}s"
        )

    # --- the proof ----------------------------------------------------------------------------------------

    def prove(self, solver: MIPSolver) -> Ending:
        """Solve every part, and go on with those that are not proven well enough while there is time."""
        problem = self.instance.problem if solver.takes_products else self.instance.linear
        assert problem is not None
        if self.outcome_of_start is None and self._is_unbounded():
            return Ending.UNBOUNDED
        states = self._states(problem)
        interrupted = threading.Event()
        todo, rel_gap, abs_gap = states, self.settings.rel_gap, self.settings.abs_gap
        ending, again = Ending.GAP, False
        try:
            while todo:
                each = max(abs_gap / len(states), _LEAST_GAP)
                self._solve_parts(solver, todo, len(states), rel_gap, each, interrupted)
                ending = self._ending(states)
                if ending is Ending.TIME:
                    # Once more with what other parts left over of their share of the time. Without a limit
                    # there are no shares: it is a limit in solver_options that ended them.
                    todo = [state for state in todo if state.status is LPStatus.TIME_LIMIT]
                    left = self.settings.time_limit - self.timings.elapsed()
                    if again or not max(state.seconds for state in todo) < left < np.inf:
                        break
                    again = True
                elif ending is Ending.GAP and rel_gap > 0 and not self._closed(states, problem):
                    # Each part is within the gap of its own objective, the whole is not of its own, which
                    # has a constant, and where parts may cancel: together they may miss so much.
                    rel_gap, abs_gap = 0.0, self._allowed(states, problem)
                    todo = [
                        state
                        for state in states
                        if abs_gap / len(states) < state.bound - state.objective < np.inf
                    ]
                else:
                    break
        except KeyboardInterrupt:
            ending = Ending.INTERRUPTED
        self._take_over(states, problem)
        if ending is Ending.GAP and self.outcome_of_start is None and problem.n_nonzeros <= solver.small:
            self._try_to_refute()
        if ending is Ending.GAP and not self._proven():
            ending = self._search_on()
        if ending is Ending.GAP and not self._proven():
            ending = self._place_one_by_one()
        if ending in (Ending.TIME, Ending.LIMIT, Ending.GAP):
            # What counts is the plan at hand, checked, and what is proven of it; not what the solver said.
            ending = Ending.GAP if self._proven() else Ending.TOLERANCES if ending is Ending.GAP else ending
        if ending is Ending.TOLERANCES and self.plan is None:
            ending = Ending.REFUSED
        self._note()
        if self.settings.callback is not None:
            try:
                self.settings.callback(self.trace[-1])
            except KeyboardInterrupt:
                ending = Ending.INTERRUPTED
        if ending is Ending.UNBOUNDED and self.instance.linear is not None and not self.ray:
            self.ray = unbounded_columns(self.instance.linear, self.backend)
        return ending

    def _is_unbounded(self) -> bool:
        """Return whether there is a plan, and the objective improves without end along open columns."""
        linear = self.instance.linear
        if linear is None or not np.any(
            np.isinf(linear.offloading_lower) | np.isinf(linear.offloading_upper)
        ):
            return False
        left = self.settings.time_limit - self.timings.elapsed()
        self.ray = unbounded_columns(linear, self.backend, left)
        return bool(self.ray) and first_plan(linear, left)[1] is not None

    def _try_to_refute(self) -> None:
        """Compare a MIP solver's optimum of a small model, which had no start, with a plan of our own.

        Solvers have been seen to call a plan optimal that the first greedy placement beats.
        """
        before = self.objective
        self.keep_first_plan(1.0)
        if self.objective > before + allowance(before):
            self.log.line("The MIP solver's proof is wrong: a plan of j3o beats it")
            self.bound = np.inf

    def _keep_plan_of(self, found: Outcome) -> None:
        """Take over the plan of a search on the linear form, if it has one that is better."""
        if found.plan is not None:
            plan = self.instance.in_own_columns(found).plan
            assert plan is not None
            self._keep(plan.x, plan.y, self.instance.problem, _TOLERANCE)

    def _search_on(self) -> Ending:
        """Let J3O prove what the MIP solver cannot: its bounds hold whatever the tolerances of a solver."""
        instance, settings = self.instance, self.settings
        if instance.linear is None or settings.time_limit <= self.timings.elapsed():
            return Ending.GAP
        self.log.line("The MIP solver's answer is not beyond its tolerances; j3o goes on by itself")
        if self.plan is not None:
            settings = replace(settings, start=self.plan.x)
        try:
            found, _ = baj3o.solve(instance.linear, self.backend, settings, self.timings, self.log, True)
        except BackendError as error:
            self.log.line(f"j3o ended early: {error}")
            return Ending.GAP
        self.bound = min(self.bound, found.bound)
        self._keep_plan_of(found)
        if found.ending is Ending.INFEASIBLE and self.plan is None:
            return Ending.INFEASIBLE
        return found.ending if found.ending in (Ending.TIME, Ending.INTERRUPTED) else Ending.GAP

    def _place_one_by_one(self) -> Ending:
        """Route placements in the user's rows: all if they are few, others until one has a plan."""
        instance, settings = self.instance, self.settings
        if instance.own is None:
            return Ending.GAP

        def remaining() -> float:
            return settings.time_limit - self.timings.elapsed()

        if self.plan is not None and instance.own.missed is None:
            return Ending.GAP  # nothing was refused: the solvers' plans are as good as they look
        self.log.line("Once more, placement by placement, in the rows as written")
        known = Routed(self.plan, self.duals)
        found = instance.own.search(instance.linear, known, settings.rel_gap, remaining)
        self.bound = min(self.bound, found.bound)
        if found.plan is not None and found.plan.objective > self.objective:
            self.plan, self.duals = found.plan, found.duals
        if self.plan is None and found.bound == -np.inf:
            return Ending.INFEASIBLE
        return Ending.GAP if remaining() > 0 else Ending.TIME

    @property
    def _near(self) -> bool:
        """Whether J3O's plan is so good that only the proof is left."""
        start = self.outcome_of_start
        if start is None or start.ending is Ending.TIME or self.alone:
            return False
        return _NEAR[0] <= relative_gap(self.objective, self.bound) <= _NEAR[1]

    def _states(self, problem: Problem) -> list[_PartState]:
        plan = self.plan if problem is self.instance.problem else self._linear_start()
        plan = None if self.alone else plan
        cuts = None
        if problem is self.instance.linear and self.outcome_of_start is not None and self._near:
            cuts = self.outcome_of_start.cuts
        place = self._places(problem)
        states: list[_PartState] = []
        for part in split(problem):
            if not len(part.onloading) + len(part.offloading):
                continue  # rows of constants, which the compiler has checked
            columns = np.concatenate([part.onloading, problem.n_onloading + part.offloading])
            model = mip_model(part.problem)
            if cuts is not None:
                model = replace(model, linear=_with_cuts(model.linear, cuts, columns))
            start = None
            if plan is not None:
                start = np.concatenate([plan.x[part.onloading].astype(float), plan.y[part.offloading]])
            order = np.argsort(place[columns], kind="stable")
            handed_over = _reordered(model, order)
            states.append(_PartState(len(states) + 1, part, model, start, handed_over, order))
        return states

    def _places(self, problem: Problem) -> IntArray:
        """Return the place of every column of (x, y) in the order that the solver gets.

        It is the order that Pyomo's own interfaces have: HiGHS's search depends on it.
        """
        n = problem.n_onloading + problem.n_offloading
        if len(self.instance.problem.products):
            return np.arange(n)
        place = np.full(n, n)
        place[self.instance.met] = np.arange(len(self.instance.met))
        return place

    def _linear_start(self) -> Plan | None:
        """Return the start in the columns of the linear form."""
        if self._linear_plan is not None or self.plan is None:
            return self._linear_plan
        assert self.instance.linearized is not None
        return replace(self.plan, y=self.instance.linearized.columns(self.plan.x, self.plan.y))

    def _solve_parts(
        self,
        solver: MIPSolver,
        states: Sequence[_PartState],
        n_parts: int,
        rel_gap: float,
        abs_gap: float,
        interrupted: threading.Event,
    ) -> None:
        settings = self.settings
        near = self._near
        side_by_side = min(settings.threads or 1, len(states)) if solver.name == "highs" else 1
        threads = settings.threads if side_by_side == 1 else max(1, (settings.threads or 1) // side_by_side)

        def work(k: int, left: Callable[[], float]) -> None:
            state = states[k]
            if left() <= 0 or interrupted.is_set():
                return
            linear = state.model.linear
            which = f" on part {state.number} of {n_parts}" if n_parts > 1 else ""
            self.log.line(
                f"{solver.title}{which}: {linear.n_rows} rows, {linear.n_columns} columns, "
                f"{linear.matrix.nnz} nonzeros"
                + (f", {len(state.model.products)} products" if len(state.model.products) else "")
            )
            prefix = f"{state.number:>3} | " if side_by_side > 1 else "    "
            begin = self.timings.elapsed()
            found = state.solve(
                solver,
                Limits(
                    left(),
                    rel_gap=rel_gap,
                    abs_gap=abs_gap,
                    stop=lambda: left() <= 0 or interrupted.is_set(),
                    threads=threads,
                ),
                near,
                lambda line: self.log.line(prefix + line),
            )
            if found.status is LPStatus.INTERRUPTED and left() <= 0:
                found = replace(found, status=LPStatus.TIME_LIMIT)
            if found.status is LPStatus.INFEASIBLE and (state.start is not None or self.alone):
                # The plan at hand says otherwise: nothing is proven.
                found = MIPSolution.without_values(LPStatus.OPTIMAL, nodes=found.nodes)
            state.status = found.status
            state.seconds = self.timings.elapsed() - begin
            state.nodes += found.nodes
            state.bound = min(state.bound, found.bound)
            if found.found and found.objective > state.objective:
                state.start = found.values
            if found.status is LPStatus.INTERRUPTED:
                interrupted.set()

        end = settings.time_limit
        if np.isfinite(end):
            end -= min(_LAST_CHECK * self.timings.seconds["compile"], _LARGEST_PART_OF_CHECK * end)
        share(
            work,
            [1.0 + state.part.problem.n_nonzeros for state in states],
            lambda: end - self.timings.elapsed(),
            side_by_side,
        )

    def _ending(self, states: Sequence[_PartState]) -> Ending:
        """Return how the worst of the parts ended."""
        statuses = {state.status for state in states}
        for status, ending in (
            (LPStatus.INFEASIBLE, Ending.INFEASIBLE),
            (LPStatus.INTERRUPTED, Ending.INTERRUPTED),
            (LPStatus.TIME_LIMIT, Ending.TIME),
            (LPStatus.STOPPED, Ending.LIMIT),
            (LPStatus.UNBOUNDED, Ending.UNBOUNDED),
        ):
            if status in statuses:
                return ending
        return Ending.GAP

    def _allowed(self, states: Sequence[_PartState], problem: Problem) -> float:
        """Return by how much the whole plan may fall short of the bound."""
        total = sum(state.objective for state in states) + problem.objective_constant
        relative = self.settings.rel_gap * abs(total) if np.isfinite(total) else 0.0
        return max(self.settings.abs_gap, relative)

    def _closed(self, states: Sequence[_PartState], problem: Problem) -> bool:
        gap = sum(state.bound - state.objective for state in states)
        total = sum(state.objective for state in states) + problem.objective_constant
        if not np.isfinite(gap):
            return False
        return bool(gap <= max(self._allowed(states, problem), allowance(total)))

    def _proven(self) -> bool:
        """Return whether the best plan is within the gap of the bound, or within a proof's tolerances."""
        if self.plan is None:
            return False
        gap, value = self.bound - self.objective, self.objective
        return self.settings.closed(value, max(self.bound, value)) or gap <= allowance(value)

    def _take_over(self, states: Sequence[_PartState], problem: Problem) -> None:
        """Keep the better plan and the better bound."""
        self.nodes += sum(state.nodes for state in states)
        bounds = [state.bound for state in states]
        if not np.isnan(sum(bounds)):
            self.bound = min(self.bound, sum(bounds) + problem.objective_constant)
        if all(state.start is not None for state in states):
            values, y = np.zeros(problem.n_onloading), np.zeros(problem.n_offloading)
            for state in states:
                n = len(state.part.onloading)
                assert state.start is not None
                values[state.part.onloading] = state.start[:n]
                y[state.part.offloading] = state.start[n:]
            x = values > 0.5
            self._keep(x, y, problem)
            # Behind a huge M, a fraction of an x that counts as 0 may open all that is needed.
            opened = (values > 0.0) & (problem.onloading_upper > 0.5)
            if not self._proven() and not np.array_equal(x, opened):
                self._keep(opened, y, problem)
        if not self.instance.problem.n_onloading and self.duals is not None:
            # An LP: the duals of the plan prove more than a MIP solver says.
            self.bound = min(self.bound, self._bound_of_lp(self.duals))

    def _note(self) -> None:
        """Note plan and bound in the trace."""
        sense = self.instance.problem.sense
        record = Record(
            len(self.trace) + 1,
            sense * self.objective,
            sense * self.objective,
            sense * max(self.bound, self.objective),
            relative_gap(self.objective, self.bound),
            0 if self.plan is None else int(self.plan.x.sum()),
            False,
            self.timings.elapsed(),
        )
        self.trace.append(record)

    def _bound_of_lp(self, duals: FloatArray) -> float:
        """Return what the duals prove of a problem without onloading variables."""
        problem = self.instance.problem
        model = with_ends(relaxation_model(problem), self.objective - problem.objective_constant)
        return summed([dual_bound(model, duals, model.lower, model.upper), problem.objective_constant])

    def _keep(
        self, x: BoolArray, y: FloatArray, problem: Problem, better: float = _BEYOND_TOLERANCES
    ) -> None:
        """Take over placement `x`, with its best routing, or else with `y` in the columns of `problem`.

        `y` counts if there is no other routing, or if it is better by this part of the objective.
        """
        plan, duals = self.plan, self.duals
        if plan is None or not np.array_equal(x, plan.x):
            try:
                plan, duals = self._routed(x)
            except KeyboardInterrupt:
                plan, duals = None, None
        given = self._as_given(x, y, problem)
        if given is not None and (
            plan is None or given.objective > plan.objective + better * abs(plan.objective)
        ):
            # Interrupted, or the MIP solver was content with an x that is not quite whole, or the LP with a
            # routing whose costs are small beside the largest.
            plan = given
        if plan is not None and (self.plan is None or plan.objective > self.plan.objective):
            self.plan, self.duals = plan, duals

    def _as_given(self, x: BoolArray, y: FloatArray, problem: Problem) -> Plan | None:
        """Return the plan of `x` and of `y` in the columns of `problem`, if the user's rows take it."""
        own = self.instance.problem
        if problem is not own and self.instance.linearized is not None:
            y = self.instance.linearized.recover(x, y)
        y = np.clip(y, own.offloading_lower, own.offloading_upper)
        if not self.instance.accepts(x, y):
            return None
        return Plan(x, y, evaluate(own, x.astype(float), y))

    def _routed(self, x: BoolArray) -> tuple[Plan | None, FloatArray | None]:
        """Return the best plan of a placement that the user's rows take, and its duals; None without one."""
        plan, duals = self._route(x)
        own = self.instance.own
        if own is None or (plan is not None and own.accepts(plan.x, plan.y)):
            return plan, duals
        routed = own.route(x, max(self.settings.time_limit - self.timings.elapsed(), GRACE))
        return routed.plan, routed.duals

    def _route(self, x: BoolArray) -> tuple[Plan | None, FloatArray | None]:
        """Return the best plan of a placement and its duals; None if it has none."""
        problem = self.instance.problem
        model = routing_model(problem, x)
        program = self.backend.open(model)
        try:
            found = program.solve(max(self.settings.time_limit - self.timings.elapsed(), GRACE))
        finally:
            program.close()
        at = x.astype(float)
        inside = np.all(at >= problem.onloading_lower) and np.all(at <= problem.onloading_upper)
        if found.status is not LPStatus.OPTIMAL or not inside:
            return None, None
        y = found.values
        if problem.batches is not None:
            # Of a query that is a trace of rounding, a batch would cost its set-up all the same.
            y = problem.batches.without_traces(x, y, _TOLERANCE)
        y = np.clip(y, problem.offloading_lower, problem.offloading_upper)
        return Plan(x, y, evaluate(problem, at, y)), found.row_duals

    def outcome(self, ending: Ending) -> Outcome:
        """Return what was found in all."""
        steps = () if self.outcome_of_start is None else self.outcome_of_start.steps
        if ending is Ending.INFEASIBLE:
            return Outcome(None, -np.inf, ending, steps=steps)
        if ending is Ending.UNBOUNDED:
            return Outcome(None, np.inf, ending, ray=self.ray, steps=steps)
        bound = max(self.bound, self.objective)
        return Outcome(self.plan, bound, ending, self.duals, steps=steps)
