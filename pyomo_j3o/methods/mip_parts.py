"""A MIP solver on every independent part, and what its answers add up to."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.log import counted
from pyomo_j3o.core.parallel import in_parts
from pyomo_j3o.core.problem import FloatArray, IntArray, Plan, Problem
from pyomo_j3o.core.results import Cuts, Ending, rounding
from pyomo_j3o.lp import LinearModel, LPStatus
from pyomo_j3o.methods.instance import Instance, mip_model
from pyomo_j3o.methods.settings import Context, Settings
from pyomo_j3o.mip import Limits, MIPModel, MIPSolution, MIPSolver, Start, solve_checked
from pyomo_j3o.mip.base import Write
from pyomo_j3o.mip.merging import Merging, merged
from pyomo_j3o.presolve.decomposing import Part, Split, split

#: How the whole ended, by the worst of its parts.
_WORST_FIRST = (
    (LPStatus.INFEASIBLE, Ending.INFEASIBLE),
    (LPStatus.INTERRUPTED, Ending.INTERRUPTED),
    (LPStatus.TIME_LIMIT, Ending.TIME),
    (LPStatus.STOPPED, Ending.LIMIT),
    (LPStatus.UNBOUNDED, Ending.UNBOUNDED),
)

#: What a MIP solver's bound may miss, relative, and still count as met.
TOLERANCE = 1e-6

#: An absolute gap below this is rounding.
_LEAST_GAP = 1e-9


@dataclass(slots=True)
class PartState:
    """What is known of one independent part."""

    number: int
    part: Part
    model: MIPModel
    start: FloatArray | None
    #: `model` with every count as one column, where its columns are alike.
    merging: Merging
    #: What the solver gets: that model, and its columns in their order there.
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
        start = None if self.start is None else Start(self.merging.reduce(self.start)[self.order], near)
        found = solve_checked(solver, self.handed_over, limits, start, write)
        if not found.found:
            return found
        values = np.empty_like(found.values)
        values[self.order] = found.values
        return replace(found, values=self.merging.restore(values))


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


@dataclass(frozen=True, slots=True)
class PartStart:
    """What the parts start from.

    Attributes
    ----------
    plan : Plan or None
        In the columns of the problem that is split; None to start from nothing.
    infeasible_is_false : bool
        A plan is known, though it is not handed over: that a part is infeasible is then not believed.
    near : bool
        The plan is so good that only the proof is left.
    cuts : Cuts or None
        What goes with such a plan.
    """

    plan: Plan | None = None
    infeasible_is_false: bool = False
    near: bool = False
    cuts: Cuts | None = None


class MIPParts:
    """The independent parts of a problem, solved by a MIP solver.

    Parameters
    ----------
    problem
        As it is, or its linear form.
    instance
        The problem in all its forms.
    start
        What the parts start from.
    settings, context
        Of the solve.
    """

    def __init__(
        self, problem: Problem, instance: Instance, start: PartStart, settings: Settings, context: Context
    ) -> None:
        self.problem = problem
        self._start = start
        self._settings = settings
        self._context = context
        self._interrupted = threading.Event()
        place = _places(problem, instance)
        self.states: list[PartState] = []
        found = split(problem, settings.params.presolve.smallest_part)
        # A part without columns has rows of constants, which the compiler has checked.
        parts = (part for part in found.parts if len(part.onloading) + len(part.offloading))
        self._whole = Split(problem, tuple(parts))
        for part in self._whole.parts:
            self.states.append(self._state_of(part, place))

    def _state_of(self, part: Part, place: IntArray) -> PartState:
        columns = self._whole.columns(part)
        model, plan, cuts = mip_model(part.problem), self._start.plan, self._start.cuts
        if cuts is not None:
            model = replace(model, linear=_with_cuts(model.linear, cuts, columns))
        start = None
        if plan is not None:
            start = np.concatenate([plan.x[part.onloading].astype(float), plan.y[part.offloading]])
        merging = merged(model, part.problem.counts)
        order = np.argsort(place[columns[merging.first]], kind="stable")
        handed_over = _reordered(merging.model, order)
        return PartState(len(self.states) + 1, part, model, start, merging, handed_over, order)

    def solve(self, solver: MIPSolver) -> Ending:
        """Solve every part, and go on with those that are not proven well enough while there is time."""
        settings, deadline = self._settings, self._context.deadline
        todo, rel_gap, abs_gap, again = self.states, settings.rel_gap, settings.abs_gap, False
        while todo:
            self._solve_all(solver, todo, rel_gap, max(abs_gap / len(self.states), _LEAST_GAP))
            ending = self._ending()
            if ending is Ending.TIME:
                # Once more with what other parts left over of their share of the time. Without a limit
                # there are no shares: it is a limit in solver_options that ended them.
                todo = [state for state in todo if state.status is LPStatus.TIME_LIMIT]
                if again or not max(state.seconds for state in todo) < deadline.left() < np.inf:
                    return ending
                again = True
            elif ending is Ending.GAP and rel_gap > 0 and not self._is_closed():
                # Each part is within the gap of its own objective, the whole is not of its own, which
                # has a constant, and where parts may cancel: together they may miss so much.
                rel_gap, abs_gap = 0.0, self._allowed()
                least = abs_gap / len(self.states)
                todo = [one for one in self.states if least < one.bound - one.objective < np.inf]
            else:
                return ending
        return Ending.GAP

    @property
    def nodes(self) -> int:
        """Of all search trees."""
        return sum(state.nodes for state in self.states)

    @property
    def bound(self) -> float:
        """Proven of the whole: +inf if a part has none."""
        total = sum(state.bound for state in self.states)
        return np.inf if np.isnan(total) else total + self.problem.objective_constant

    def point(self) -> tuple[FloatArray, FloatArray] | None:
        """Return x and y of the best points of all parts, x as the solver has it; None if a part has none."""
        points = [
            np.split(state.start, [len(state.part.onloading)])
            for state in self.states
            if state.start is not None
        ]
        if len(points) < len(self.states):
            return None
        return self._whole.onloading(x for x, _ in points), self._whole.offloading(y for _, y in points)

    def _solve_all(
        self, solver: MIPSolver, states: Sequence[PartState], rel_gap: float, abs_gap: float
    ) -> None:
        """Solve parts to these gaps, side by side if the solver can."""
        context, all_threads = self._context, self._settings.threads
        side_by_side = min(all_threads or 1, len(states)) if solver.parallel else 1
        threads = all_threads if side_by_side == 1 else max(1, (all_threads or 1) // side_by_side)

        def work(k: int, deadline: Deadline) -> None:
            state = states[k]
            if deadline.over or self._interrupted.is_set():
                return
            self._tell(state, solver)
            prefix = f"{state.number:>3} | " if side_by_side > 1 else "    "
            limits = Limits(
                deadline.left(),
                rel_gap=rel_gap,
                abs_gap=abs_gap,
                stop=lambda: deadline.over or self._interrupted.is_set(),
                threads=threads,
            )
            begin = context.timings.elapsed()
            found = state.solve(
                solver, limits, self._start.near, lambda line: context.log.line(prefix + line)
            )
            state.seconds = context.timings.elapsed() - begin
            self._take(state, found)

        in_parts(
            work,
            [1.0 + state.part.problem.n_nonzeros for state in states],
            self._before_the_last_check(),
            side_by_side,
        )

    def _before_the_last_check(self) -> Deadline:
        deadline = self._context.deadline
        if not deadline.limited:
            return deadline
        left, timings, params = deadline.left(), self._context.timings, self._settings.params.exact
        check = params.last_check * timings.seconds["compile"]
        return deadline.within(left - min(check, params.largest_check * (left + timings.elapsed())))

    def _tell(self, state: PartState, solver: MIPSolver) -> None:
        """Log what the solver gets."""
        linear, products = state.handed_over.linear, len(state.handed_over.products)
        which = f" on part {state.number} of {len(self.states)}" if len(self.states) > 1 else ""
        sizes = [counted(linear.n_rows, "row"), counted(linear.n_columns, "column")]
        sizes += [counted(linear.matrix.nnz, "nonzero")]
        sizes += [counted(products, "product")] if products else []
        self._context.log.line(f"{solver.title}{which}: {', '.join(sizes)}")

    def _take(self, state: PartState, found: MIPSolution) -> None:
        """Take over what the solver found of a part."""
        if found.status is LPStatus.INFEASIBLE and (
            state.start is not None or self._start.infeasible_is_false
        ):
            # The plan at hand says otherwise: nothing is proven.
            found = MIPSolution.without_values(LPStatus.OPTIMAL, nodes=found.nodes)
        state.status = found.status
        state.nodes += found.nodes
        state.bound = min(state.bound, found.bound)
        if found.found and found.objective > state.objective:
            state.start = found.values
        if found.status is LPStatus.INTERRUPTED:
            self._interrupted.set()

    def _ending(self) -> Ending:
        """Return how the worst of the parts ended."""
        statuses = {state.status for state in self.states}
        return next((ending for status, ending in _WORST_FIRST if status in statuses), Ending.GAP)

    def _allowed(self) -> float:
        """Return by how much the whole plan may fall short of the bound."""
        total = sum(state.objective for state in self.states) + self.problem.objective_constant
        relative = self._settings.rel_gap * abs(total) if np.isfinite(total) else 0.0
        return max(self._settings.abs_gap, relative)

    def _is_closed(self) -> bool:
        gap = sum(state.bound - state.objective for state in self.states)
        total = sum(state.objective for state in self.states) + self.problem.objective_constant
        return bool(np.isfinite(gap) and gap <= max(self._allowed(), allowance(total)))


def allowance(objective: float) -> float:
    """Return by how much a MIP solver's bound may miss an objective and still count as met."""
    return max(TOLERANCE * abs(objective), rounding(objective))


def _places(problem: Problem, instance: Instance) -> IntArray:
    """Return the place of every column of (x, y) in the order that the solver gets.

    It is the order that Pyomo's own interfaces have: HiGHS's search depends on it.
    """
    n = problem.n_onloading + problem.n_offloading
    if len(instance.problem.products):
        return np.arange(n)
    place = np.full(n, n)
    place[instance.met] = np.arange(len(instance.met))
    return place


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
