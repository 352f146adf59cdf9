"""The user's own rows: plans are checked there, and routed and placed there where tolerances decide."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.certify.relaxation import relaxation_model
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.matrices import entry_rows
from pyomo_j3o.core.problem import (
    OBJECTIVE,
    TOLERANCE,
    BoolArray,
    FloatArray,
    IntArray,
    Plan,
    Problem,
    activities,
    allowed_violations,
    evaluate,
    larger_end,
    largest_coefficients,
    largest_entries,
    violations,
)
from pyomo_j3o.core.tolerances import TRACE
from pyomo_j3o.core.whole_numbers import broken_rows
from pyomo_j3o.errors import BackendError
from pyomo_j3o.lp import LinearModel, LPStatus
from pyomo_j3o.lp.duality import dual_bound
from pyomo_j3o.lp.highs import HighsProgram
from pyomo_j3o.methods.params import OwnRowsParams
from pyomo_j3o.mip import HighsMIP, Limits, MIPModel, solve_checked
from pyomo_j3o.presolve.scaling import Scaling

logger = logging.getLogger("pyomo_j3o")

#: As tight as HiGHS goes. Its presolve keeps to itself why an LP is infeasible.
TIGHT = {
    "primal_feasibility_tolerance": 1e-10,
    "dual_feasibility_tolerance": 1e-10,
    "presolve": "off",
}


#: Where rows contradict one another by less than they may be missed by, a plan may use this fraction of it.
_WIDER = 0.9


#: What rounding may take from a side less the terms of x, per unit of their sizes.
_GRAIN = 1e-15


@dataclass(frozen=True, slots=True)
class Routed:
    """What is known of one placement, or of all, in the units of the scaled problem.

    Attributes
    ----------
    plan : Plan or None
        One that the user's rows take.
    duals : (M,) or None
        Of its LP.
    bound : float
        Proven: no routing is worth more. -inf if there is none, +inf if nothing is proven.
    """

    plan: Plan | None = None
    duals: FloatArray | None = None
    bound: float = np.inf


@dataclass(frozen=True, slots=True)
class _Form:
    """An LP over y, and by what its rows, its columns' values and its objective are multiplied."""

    model: LinearModel
    row: FloatArray
    column: FloatArray
    objective: float


@dataclass(slots=True)
class OwnRows:
    """The rows as the user wrote them.

    The scaled rows have a y in units of its range. If that is a million, what passes for rounding there is a
    tenth here, and a product of y with an x that is 0 lets it through. With x fixed, a product is a
    coefficient of y, and the LP of what is left can be solved in the user's units.

    Attributes
    ----------
    problem : Problem
        As compiled, products and all.
    scaling : Scaling
        To units that suit solvers.
    missed : tuple of (int, float) or None
        The row or bound that the last plan refused misses most, and by how much; see `first_missed`.
    params : OwnRowsParams
        How long a search may take.
    settle : callable or None
        From x, (N,), and y, (K,), in the user's units to a y without what tolerances leave of it; None if
        nothing has to be settled.
    """

    problem: Problem
    scaling: Scaling
    missed: tuple[int, float] | None = None
    params: OwnRowsParams = field(default_factory=OwnRowsParams)
    settle: Callable[[BoolArray, FloatArray], FloatArray] | None = None
    _units: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        """Note what counts as 1 in each row, (M,): a row in a tiny unit is measured in that."""
        self._units = np.minimum(1.0, largest_coefficients(self.problem))

    @property
    def scaled(self) -> Problem:
        """The problem in units that suit solvers."""
        return self.scaling.problem

    def accepts(self, x: BoolArray, y: FloatArray) -> bool:
        """Return whether the user's rows take a plan of `scaled`; note the worst one if they do not."""
        own = self.in_own_units(y)
        missed = first_missed(self.problem, x, own if self.settle is None else self.settle(x, own))
        if missed is not None:
            self.missed = missed
        return missed is None

    def in_own_units(self, y: FloatArray) -> FloatArray:
        """Return the values of the user's offloading variables, within their bounds."""
        problem = self.problem
        return np.clip(y * self.scaling.column, problem.offloading_lower, problem.offloading_upper)

    def route(self, x: BoolArray, deadline: Deadline) -> Routed:
        """Return the best routing of a placement, (N,), by a tight LP over y in the user's units.

        Where that LP's plan misses a row, too, the scaled LP gets its turn, and then one with wider rows.
        """
        model = routing_model(self.problem, x)
        if self._breaks_placement_rows(x, model):
            return Routed(bound=-np.inf)
        constant = evaluate(self.problem, x.astype(float), np.zeros(self.problem.n_offloading))
        bound = np.inf
        for form in self._forms(x, model):
            program = HighsProgram(form.model, TIGHT)
            try:
                found = program.solve(deadline.left())
                ray = program.farkas() if found.status is LPStatus.INFEASIBLE else None
            except BackendError as error:  # the other form may do
                logger.debug("A placement is routed in another form: %s", error)
                continue
            finally:
                program.close()
            if ray is not None and self._proves_impossible(model, ray * form.row):
                return Routed(bound=-np.inf)
            if found.status is not LPStatus.OPTIMAL:
                continue
            duals = found.row_duals * form.row / form.objective
            proven = dual_bound(self._with_grain(model, x), duals, model.lower, model.upper) + constant
            bound = min(bound, proven * self.scaling.objective)
            y = found.values * form.column / self.scaling.column
            if self.scaled.batches is not None:
                y = self.scaled.batches.without_traces(x, y, TRACE)
            y = np.clip(y, self.scaled.offloading_lower, self.scaled.offloading_upper)
            if self.accepts(x, y):
                plan = Plan(x, y, evaluate(self.scaled, x.astype(float), y))
                return Routed(plan, duals * self.scaling.objective / self.scaling.row, bound)
        return Routed(bound=bound)

    def _with_grain(self, model: LinearModel, x: BoolArray) -> LinearModel:
        """Return the LP at a placement with rows wider by what rounding may have taken from their sides."""
        problem = self.problem
        sides = larger_end(problem.row_lower, problem.row_upper)
        grain = _GRAIN * (abs(problem.onloading_rows) @ x.astype(float) + sides)
        return replace(model, row_lower=model.row_lower - grain, row_upper=model.row_upper + grain)

    def search(self, linear: Problem | None, start: Routed, rel_gap: float, deadline: Deadline) -> Routed:
        """Return the best plan of all placements if they are few, else a good one.

        Parameters
        ----------
        linear
            The linear form of `scaled`; None if there is none.
        start
            The best plan known.
        rel_gap
            Of a plan that is good.
        deadline
            When to end.
        """
        few = self.params.few_to_find if start.plan is None else self.params.few_to_prove
        if len(free_variables(self.problem)) <= few:
            return self._best_of_all(deadline)
        if start.plan is not None:
            return self.descend(start, deadline)
        return Routed() if linear is None else self._best_of_allowed(linear, rel_gap, deadline)

    def _best_of_all(self, deadline: Deadline) -> Routed:
        """Route every placement."""
        best, bound = Routed(), -np.inf
        for x in _placements(self.problem):
            if deadline.over:
                return replace(best, bound=np.inf)
            routed = self.route(x, deadline)
            bound = max(bound, routed.bound)
            plan = routed.plan
            if plan is not None and (best.plan is None or plan.objective > best.plan.objective):
                best = routed
        return replace(best, bound=bound)

    def _best_of_allowed(self, linear: Problem, rel_gap: float, deadline: Deadline) -> Routed:
        """Take the best placements of the linear form in turn, and exclude those that cannot be routed."""
        # Where nothing forbids it, everything open can be routed whatever a huge M lets slip.
        best = self.route(self.problem.onloading_upper > 0.5, deadline)
        model, n = relaxation_model(linear), linear.n_onloading
        for _ in range(self.params.excluded):
            left = min(deadline.left(), self.params.seconds_of_milp)
            if left <= 0:
                break
            limits = Limits(left, rel_gap=rel_gap, threads=1)
            found = solve_checked(HighsMIP(), MIPModel(model), limits)
            if found.status is LPStatus.INTERRUPTED:
                raise KeyboardInterrupt
            if not found.found:
                break
            x = found.values[:n] > 0.5
            y = found.values[n : n + self.problem.n_offloading] * self.scaling.column
            routed = self.route_or_open(x, y, deadline)
            if routed.plan is not None:
                if best.plan is None or routed.plan.objective > best.plan.objective:
                    best = routed
                break
            model = _without(model, x)
        return self.descend(best, deadline)

    def route_or_open(self, x: BoolArray, y: FloatArray, deadline: Deadline) -> Routed:
        """Return the best routing of a placement, or, without one, of what suits a routing `y`, (K,), of it.

        Behind a huge M, an x of 0 lets through all that is needed. Where a row as written is missed, the x
        that mends most of it changes.
        """
        routed = self.route(x, deadline)
        changed = self._mended(x, y)
        if routed.plan is not None or np.array_equal(changed, x) or deadline.over:
            return routed
        return self.route(changed, deadline)

    def _mended(self, x: BoolArray, y: FloatArray) -> BoolArray:
        """Return the placement with the x changed that mend most of what (x, y) misses of a row."""
        problem = self.problem
        terms, m = problem.products, problem.n_rows
        inside = terms.row != OBJECTIVE
        opening = sparse.csr_array(
            (
                (terms.coefficient * y[terms.offloading])[inside],
                (terms.row[inside], terms.onloading[inside]),
            ),
            shape=problem.onloading_rows.shape,
        )
        per_x = sparse.csr_array(problem.onloading_rows + opening)
        row = entry_rows(per_x)
        fixed = problem.onloading_lower == problem.onloading_upper
        for _ in range(self.params.mending):
            at = x.astype(float)
            body = activities(problem, at, y)
            missed = violations(problem, at, y)[:m] > allowed_violations(problem, at, y)[:m]
            over = np.where(missed, np.maximum(body - problem.row_upper, 0.0), 0.0)
            under = np.where(missed, np.maximum(problem.row_lower - body, 0.0), 0.0)
            change = per_x.data * np.where(x[per_x.indices], -1.0, 1.0)
            gain = np.minimum(over[row], -change) + np.minimum(under[row], change)
            gain = np.where(missed[row] & ~fixed[per_x.indices], gain, 0.0)
            order = np.lexsort((-gain, row))
            first = order[np.unique(row[order], return_index=True)[1]]
            chosen = per_x.indices[first[gain[first] > 0.0]]
            if not len(chosen):
                break
            x = x.copy()
            x[chosen] = ~x[chosen]
        return x

    def descend(self, start: Routed, deadline: Deadline) -> Routed:
        """Return the best plan that changes of one x at a time lead to, as far as a short time allows."""
        best, last = start, None
        deadline = deadline.within(self.params.seconds_of_descent)
        for i in itertools.cycle(free_variables(self.problem).tolist()):
            if best.plan is None or i == last or deadline.over:
                break  # after a round without a better plan, or none to begin with
            x = best.plan.x.copy()
            x[i] = not x[i]
            found = self.route(x, deadline)
            if found.plan is not None and found.plan.objective > best.plan.objective:
                best, last = found, i
            elif last is None:
                last = i
        return replace(best, bound=np.inf)

    def _breaks_placement_rows(self, x: BoolArray, model: LinearModel) -> bool:
        """Return whether a placement breaks a bound of x, or a row that holds no y."""
        problem, at = self.problem, x.astype(float)
        if np.any(at < problem.onloading_lower) or np.any(at > problem.onloading_upper):
            return True
        if len(broken_rows(problem, at)):
            return True
        rows = largest_entries(sparse.csr_array(model.matrix)) == 0.0
        allowed = self._allowed()
        return bool(np.any(rows & ((model.row_lower > allowed) | (model.row_upper < -allowed))))

    def _allowed(self) -> FloatArray:
        """Return by how much each row may be missed where its body is near its side, (M,)."""
        sides = larger_end(self.problem.row_lower, self.problem.row_upper)
        return TOLERANCE * np.maximum(self._units, sides)

    def _forms(self, x: BoolArray, model: LinearModel) -> Iterator[_Form]:
        """Yield the LP over y at a placement in units of the user, of the solvers, and with wider rows."""
        scaling = self.scaling
        yield self._in_own_units(model)
        yield _Form(routing_model(self.scaled, x), scaling.row, scaling.column, scaling.objective)
        slack = _WIDER * self._allowed()
        wider = replace(model, row_lower=model.row_lower - slack, row_upper=model.row_upper + slack)
        yield self._in_own_units(wider)

    def _in_own_units(self, model: LinearModel) -> _Form:
        """Return an LP in the user's units; rows in tiny units are lifted to 1."""
        row = 1.0 / np.where(self._units > 0, self._units, 1.0)
        most = float(np.abs(model.objective).max(initial=0.0))
        factor = 1.0 / most if most > 1e-300 else 1.0
        lift = sparse.dia_array((row[None, :], [0]), shape=(len(row), len(row)))
        model = replace(
            model,
            objective=model.objective * factor,
            matrix=sparse.csr_array(lift @ model.matrix),
            row_lower=model.row_lower * row,
            row_upper=model.row_upper * row,
        )
        return _Form(model, row, np.ones(model.n_columns), factor)

    def _proves_impossible(self, model: LinearModel, multipliers: FloatArray) -> bool:
        """Return whether multipliers of rows show that no routing within its bounds is near every row."""
        allowed = self._allowed()
        wider = replace(
            model,
            objective=np.zeros(model.n_columns),
            row_lower=model.row_lower - allowed,
            row_upper=model.row_upper + allowed,
        )
        return dual_bound(wider, multipliers, model.lower, model.upper) < 0.0


def first_missed(problem: Problem, x: BoolArray, y: FloatArray) -> tuple[int, float] | None:
    """Return the row or bound of the user's model that a plan misses most, and by how much; None if none.

    Rows are numbered first, then the bounds of x, then those of y.
    """
    point = x.astype(float)
    missed = violations(problem, point, y)
    allowed = allowed_violations(problem, point, y)
    # Whole numbers hold exactly, or not at all.
    allowed[broken_rows(problem, point)] = -1.0
    worst = int(np.argmax(missed - allowed)) if len(missed) else 0
    return (worst, float(missed[worst])) if len(missed) and missed[worst] > allowed[worst] else None


def routing_model(problem: Problem, x: BoolArray) -> LinearModel:
    """Return the LP over y that is left of a problem, products and all, at placement `x`."""
    terms, at = problem.products, x.astype(float)
    objective = problem.offloading_objective.copy()
    rows = problem.offloading_rows
    if len(terms):
        value = terms.coefficient * at[terms.onloading]
        mine = terms.row == OBJECTIVE
        np.add.at(objective, terms.offloading[mine], value[mine])
        inside = ~mine
        rows = sparse.csr_array(
            rows
            + sparse.csr_array(
                (value[inside], (terms.row[inside], terms.offloading[inside])), shape=rows.shape
            )
        )
    fixed = problem.onloading_rows @ at
    return LinearModel(
        objective,
        rows,
        problem.row_lower - fixed,
        problem.row_upper - fixed,
        problem.offloading_lower,
        problem.offloading_upper,
    )


def free_variables(problem: Problem) -> IntArray:
    """Return the onloading variables that are not fixed by their bounds."""
    return np.flatnonzero(problem.onloading_lower < problem.onloading_upper)


def _placements(problem: Problem) -> Iterator[BoolArray]:
    """Yield every placement within the bounds of x; of those with the same counts, one."""
    free, counts = free_variables(problem), problem.counts
    for values in itertools.product((False, True), repeat=len(free)):
        x = problem.onloading_lower > 0.5
        x[free] = values
        if counts is None or np.array_equal(counts.canonical(x), x):
            yield x


def _without(model: LinearModel, x: BoolArray) -> LinearModel:
    """Return the model with a row that excludes one placement: some x is another."""
    row = np.zeros((1, model.n_columns))
    row[0, : len(x)] = np.where(x, -1.0, 1.0)
    return replace(
        model,
        matrix=sparse.csr_array(sparse.vstack([model.matrix, sparse.csr_array(row)], format="csr")),
        row_lower=np.append(model.row_lower, 1.0 - x.sum()),
        row_upper=np.append(model.row_upper, np.inf),
    )
