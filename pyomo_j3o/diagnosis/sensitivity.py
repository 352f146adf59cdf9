"""`budget_worth`: what one more unit of each budget is worth, by duals and by re-solving."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pyomo.contrib.solver.common.results import Results
from pyomo.core.base.block import BlockData

from pyomo_j3o.alternate import stopping
from pyomo_j3o.core.checks import is_number
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.log import Log
from pyomo_j3o.core.problem import (
    BoolArray,
    FloatArray,
    Plan,
    Problem,
    activities,
    evaluate,
    largest_coefficients,
)
from pyomo_j3o.core.results import Ending, Timings
from pyomo_j3o.core.table import Table
from pyomo_j3o.diagnosis.infeasibility import require_component
from pyomo_j3o.errors import ModelError, OptionError
from pyomo_j3o.lp import HighsBackend, LPStatus, choose_backend
from pyomo_j3o.methods import exact
from pyomo_j3o.methods.instance import Instance
from pyomo_j3o.methods.own_rows import routing_model
from pyomo_j3o.methods.settings import Context, Settings
from pyomo_j3o.mip import MIPSolver, Size
from pyomo_j3o.mip import mip_solvers as choose_mip_solvers
from pyomo_j3o.modeling.inverse import Inverse
from pyomo_j3o.modeling.loading import J3OSolutionLoader
from pyomo_j3o.presolve.decomposing import split
from pyomo_j3o.presolve.forms import forms_of
from pyomo_j3o.presolve.scaling import scale

#: A dual is tried out with this fraction more of the budget.
_TRIED = 1e-3

#: A gain below this fraction of the objective is rounding.
_ROUNDING = 1e-6

#: The same of an LP.
_ROUNDING_OF_LP = 1e-9

_COLUMNS = ("row", "relation", "used", "budget", "slack", "worth", "at_most", "how", "proven")


def budget_worth(
    model: BlockData,
    results: Any,
    step: float = 1.0,
    rows: Sequence[Any] | None = None,
    time_limit: float = 60.0,
    rel_gap: float = 1e-6,
    tee: bool = False,
) -> Table:
    """Say what one more unit of each budget is worth, the most valuable first.

    A budget is an active inequality row, but no link (``y <= x``) and no precedence (``x_a <= x_b``).
    What a row over onloading variables alone is worth no dual tells: the model is solved again, from the plan
    at hand, with `step` more of it. Any other row is priced by the LP that routed the plan.

    Parameters
    ----------
    model
        As it was solved; nothing of it is changed.
    results
        What ``SolverFactory("j3o").solve(model)`` returned, by either interface, with a plan.
    step
        How much more of a budget the model is solved with again, in the unit of the row.
    rows
        Constraints, indexed or members, to look at; None for all.
    time_limit
        Seconds for all that is solved again together.
    rel_gap
        Gap, relative to the objective, at which the solves end.
    tee
        Whether to print a line for each one.

    Returns
    -------
    Table
        One row per side of a row, in the units of the row and of the objective: ``row`` (name), ``relation``,
        ``used``, ``budget``, ``slack``; ``worth``, by how much the objective gets better, in its own sense,
        per unit by which the budget is relaxed (raised if ``<=``, lowered if ``>=``), never negative;
        ``at_most``, which it is proven not to exceed (of a dual: with this placement); ``how`` and
        ``proven``.

        ``how`` is ``"re-solved"``, or ``"dual"`` for a price that holds for at least 0.1 % more of the
        budget (of what the row holds at the plan, where that is more, as in ``sum(y) <= 5 x``), or ``"LP"``
        where the dual does not hold so far, and ``worth`` is what these 0.1 % bring per unit. The last two
        are about the best routing of the placement as it is; so is their proof.

    Raises
    ------
    ModelError
        `results` hold no plan of j3o for this model, or `rows` something that is no inequality of it.
    OptionError
        A number is out of range.
    """
    for name, number, most in (("step", step, math.inf), ("time_limit", time_limit, None)):
        if not is_number(number) or not number > 0 or number == most:
            raise OptionError(f"{name}={number!r} is not a number above 0; give one")
    if not is_number(rel_gap) or not 0 <= rel_gap < 1:
        raise OptionError(f"rel_gap={rel_gap!r} is not a number from 0 to below 1; give one, such as 1e-6")
    require_component(model)
    loader = _plan_of(model, results)
    problem, inverse, x, y, duals = loader.compiled
    budgets = _budgets(problem, inverse, x, y, rows)
    routing = [budget for budget in budgets if not budget.placement]
    worth = dict(_by_duals(problem, x, y, routing, duals))
    again = _Again(problem, x, y, float(rel_gap), float(time_limit), tee)
    worth.update(again.worth([budget for budget in budgets if budget.placement], float(step)))
    found = [_table_row(budget, worth[budget.number]) for budget in budgets]
    found.sort(key=lambda row: (-row["worth"], -row["at_most"]))
    return Table(_COLUMNS, found)


def _table_row(budget: _Budget, worth: _Worth) -> dict[str, Any]:
    used = budget.side - budget.slack if budget.upper else budget.side + budget.slack
    relation = "<=" if budget.upper else ">="
    of_budget = (budget.name, relation, used, budget.side, budget.slack)
    of_worth = (worth.worth, worth.at_most, worth.how, worth.proven)
    return dict(zip(_COLUMNS, of_budget + of_worth, strict=True))


def _plan_of(model: BlockData, results: Any) -> J3OSolutionLoader:
    """Return what holds the plan of these results."""
    results = getattr(results, "j3o", results)
    loader = results.solution_loader if isinstance(results, Results) else None
    if not isinstance(loader, J3OSolutionLoader):
        raise ModelError(
            f"the results hold no plan of j3o for model '{model.name}'; pass what "
            "SolverFactory('j3o').solve(model) returned when it found one, not a pickle of it"
        )
    if loader.compiled[1].model is not model:
        raise ModelError(
            f"the results are those of model '{loader.compiled[1].model.name}', not of '{model.name}'; pass "
            "both of one solve"
        )
    return loader


@dataclass(frozen=True, slots=True)
class _Budget:
    """One side of an inequality row; side and slack in the user's units, which are those of the arrays."""

    number: int
    name: str
    row: int
    upper: bool
    side: float
    slack: float
    placement: bool


@dataclass(frozen=True, slots=True)
class _Worth:
    worth: float
    at_most: float
    how: str
    proven: bool


def _budgets(
    problem: Problem, inverse: Inverse, x: FloatArray, y: FloatArray, rows: Sequence[Any] | None
) -> list[_Budget]:
    """Return the sides of rows that are budgets, or those of the rows asked for."""
    wanted = None if rows is None else _members(rows)
    logic, placement = _kinds_of_rows(problem)
    body = activities(problem, x, y)
    inequality = problem.row_lower != problem.row_upper
    asked_for = [wanted is None or id(constraint) in wanted for constraint in inverse.rows]
    budgets: list[_Budget] = []
    for r in np.flatnonzero(inequality & np.array(asked_for, dtype=bool)).tolist():
        constraint = inverse.rows[r]
        for upper in (True, False):
            limit = problem.row_upper[r] if upper else problem.row_lower[r]
            side = constraint.ub if upper else constraint.lb
            if not np.isfinite(limit) or (wanted is None and logic[r] and side == 0):
                continue
            slack = float(limit - body[r] if upper else body[r] - limit)
            slack = 0.0 if abs(slack) <= _ROUNDING * max(1.0, abs(side)) else slack
            name, number = constraint.name, len(budgets)
            budgets.append(_Budget(number, name, r, upper, float(side), slack, bool(placement[r])))
    if wanted is not None:
        _require_all(wanted, budgets, problem, inverse)
    return budgets


def _kinds_of_rows(problem: Problem) -> tuple[BoolArray, BoolArray]:
    """Return which rows are links or precedences if their side is 0, and which are over x alone, (M,) each.

    A link ties one y to x (``y <= x``). A precedence is over x alone, with coefficients of both signs
    (``x_a <= x_b``).
    """
    of_x = np.diff(problem.onloading_rows.indptr).astype(np.int64)
    of_y = np.diff(problem.offloading_rows.indptr).astype(np.int64)
    terms = problem.products
    inside = terms.row >= 0
    of_y += np.bincount(terms.row[inside], minlength=problem.n_rows)[: problem.n_rows]
    rows_of_x = problem.onloading_rows
    mixed = (rows_of_x.minimum(0.0).sum(axis=1) < 0) & (rows_of_x.maximum(0.0).sum(axis=1) > 0)
    placement = of_y == 0
    return np.where(placement, mixed, (of_y == 1) & (of_x > 0)), placement


def _require_all(
    wanted: dict[int, str], budgets: Sequence[_Budget], problem: Problem, inverse: Inverse
) -> None:
    """Raise `ModelError` if a constraint asked for is no inequality row of the model."""
    missing = set(wanted) - {id(inverse.rows[budget.row]) for budget in budgets}
    if not missing:
        return
    equations = problem.row_lower == problem.row_upper
    for constraint, equation in zip(inverse.rows, equations, strict=True):
        if equation and id(constraint) in missing:
            raise ModelError(
                f"'{constraint.name}' is an equation, and equations have no worth here; "
                "name inequalities, like rows=[model.memory]"
            )
    raise ModelError(
        f"'{wanted[missing.pop()]}' is no active inequality row of the model; name constraints like "
        "rows=[model.memory]"
    )


def _members(rows: Any) -> dict[int, str]:
    """Return the constraints named, {id: name}."""
    members: dict[int, str] = {}
    for component in rows if isinstance(rows, (list, tuple, set)) else [rows]:
        if isinstance(component, str):
            raise ModelError(f"rows names {component!r}, a str; pass the component, rows=[model.{component}]")
        indexed = getattr(component, "is_indexed", lambda: False)()
        for member in component.values() if indexed else [component]:
            members[id(member)] = getattr(member, "name", str(member))
    return members


# --- the routing rows ----------------------------------------------------------------------------------


def _by_duals(
    problem: Problem, x: FloatArray, y: FloatArray, budgets: Sequence[_Budget], duals: FloatArray | None
) -> Iterator[tuple[int, _Worth]]:
    """Yield what the LP of this placement says of each budget, {number: worth}."""
    if not budgets:
        return
    model = routing_model(problem, x > 0.5)
    scale = _scales(problem, x, y)
    program = HighsBackend().open(model)
    try:
        optimum = program.solve()
        solved = optimum.status is LPStatus.OPTIMAL
        known = duals if duals is not None else optimum.row_duals if solved else None
        for budget in budgets:
            if known is None:
                yield budget.number, _Worth(0.0, math.inf, "dual", False)
                continue
            sign = 1.0 if budget.upper else -1.0
            price = max(sign * float(known[budget.row]), 0.0) + 0.0
            if price == 0.0 or not solved:
                yield budget.number, _Worth(price, price, "dual", solved)
                continue
            # Where several duals are optimal, the dual need not be what more of the budget brings.
            more = _TRIED * max(abs(budget.side), float(scale[budget.row]))
            lower, upper = model.row_lower.copy(), model.row_upper.copy()
            (upper if budget.upper else lower)[budget.row] += sign * more
            program.set_row_bounds(lower, upper)
            raised = program.solve()
            brought = price
            if raised.status is LPStatus.OPTIMAL:
                brought = max((raised.objective - optimum.objective) / more, 0.0)
            rounding = _ROUNDING_OF_LP * abs(optimum.objective) / more
            holds = brought >= price * (1 - 1e-3) - rounding
            # Where rounding is as large as what the dual promises, nothing was tried.
            tried = rounding < price and raised.status is LPStatus.OPTIMAL
            yield budget.number, _Worth(price if holds else brought, price, "dual" if holds else "LP", tried)
    finally:
        program.close()


def _scales(problem: Problem, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return how large each row is: its terms at the plan, or else its coefficients, (M,)."""
    terms = problem.products
    inside = terms.row >= 0
    rows, values = terms.row[inside], np.abs(terms.coefficient[inside])
    at = np.abs(x[terms.onloading[inside]] * y[terms.offloading[inside]])
    of_y = abs(problem.offloading_rows) @ np.abs(y)
    of_y += np.bincount(rows, values * at, minlength=problem.n_rows)
    scale = np.maximum(abs(problem.onloading_rows) @ np.abs(x), of_y)
    largest = largest_coefficients(problem)
    scale = np.where(scale > _ROUNDING * largest, scale, largest)
    return np.where(scale > 0, scale, 1.0)


# --- the placement rows --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Best:
    """What is known of one problem: a placement, its objective, and a bound that nothing exceeds."""

    x: BoolArray
    y: FloatArray
    objective: float
    bound: float


class _Again:
    """Solves independent parts again, from the plan at hand, with one side of a row moved."""

    def __init__(
        self, problem: Problem, x: FloatArray, y: FloatArray, rel_gap: float, time_limit: float, tee: bool
    ) -> None:
        self._problem, self._rel_gap = problem, rel_gap
        self._plan = Plan(x > 0.5, y, evaluate(problem, x, y))
        # What counts as 1 in the objective, if all its coefficients are tiny.
        unit = min(1.0, 1.0 / scale(problem).objective)
        self._total = max(abs(self._plan.objective), unit)
        self._deadline = Deadline(time_limit)
        self._tee = tee

    def worth(self, budgets: Sequence[_Budget], step: float) -> dict[int, _Worth]:
        """Return what `step` more of each budget brings per unit, {number: worth}."""
        if not budgets:
            return {}
        parts = list(split(self._problem).parts)
        if len(parts) == 1:
            # The whole knows its batching windows.
            parts = [replace(parts[0], problem=replace(self._problem, objective_constant=0.0))]
        mine = [[b for b in budgets if b.row in set(part.rows.tolist())] for part in parts]
        left = len(budgets) + sum(bool(some) for some in mine)
        found: dict[int, _Worth] = {}
        for part, some in zip(parts, mine, strict=True):
            if not some:
                continue
            plan = part.reduce(self._plan)
            base = self._solve(part.problem, _Best(plan.x, plan.y, plan.objective, math.inf), left)
            left -= 1
            raised: dict[int, _Best] = {}
            for budget in some:
                row = int(np.searchsorted(part.rows, budget.row))
                begin = time.perf_counter()
                raised[budget.number] = best = self._solve(
                    _moved(part.problem, row, budget.upper, step), base, left
                )
                left -= 1
                # What bounds more of a budget bounds less of it.
                base = replace(base, bound=min(base.bound, best.bound))
                if best.objective > base.objective and _fits(part.problem, row, best):
                    # It needs no more of the budget: a better plan than the one that was at hand.
                    base = replace(best, bound=base.bound)
                self._tell(budget, base, best, step, len(budgets) - len(found) - len(raised), begin)
            found |= {number: self._compare(base, best, step) for number, best in raised.items()}
        return found

    def _compare(self, base: _Best, best: _Best, step: float) -> _Worth:
        # Tolerances are relative to what is proven: the re-solve may be worth more than the plan at hand.
        rounding = _ROUNDING * max(self._total, abs(base.objective), abs(best.objective))
        gain = best.objective - base.objective
        most = max(best.bound - base.objective, gain, 0.0)
        # A MIP solver's proof is worth its tolerances, of which either solve may use one.
        allowed = max(2 * rounding, self._rel_gap * self._total)
        # What is worth 0 at most is worth 0, whether or not the plan at hand is the best one.
        proven = most - gain <= allowed and (gain <= rounding or base.bound - base.objective <= allowed)
        gain = gain if gain > rounding else 0.0
        return _Worth(gain / step, most / step if most > rounding else 0.0, "re-solved", proven)

    def _solve(self, problem: Problem, start: _Best, left: int) -> _Best:
        """Return the best plan found from `start` on in this solve's share of the time."""
        seconds = max(self._deadline.left(), 0.0) / max(left, 1)
        if seconds <= 0:
            return replace(start, bound=math.inf)
        forms = forms_of(problem)
        if forms.scaling.crossed:
            return replace(start, bound=math.inf)
        missing = forms.not_linear
        not_linear = "" if missing is None else missing.reason(f"y {missing.offloading}")

        def solvers() -> Iterator[MIPSolver]:
            n_columns, products = problem.n_onloading + problem.n_offloading, bool(len(problem.products))
            return choose_mip_solvers("auto", Size(n_columns, problem.n_rows, products, not_linear), {})

        linear = forms.last
        backend = choose_backend("auto", linear.n_onloading + linear.n_offloading, linear.n_rows)
        allowed = self._rel_gap * self._total
        settings = Settings(
            stop=stopping.usual(self._rel_gap, allowed, seconds, 50),
            rel_gap=self._rel_gap,
            abs_gap=allowed * forms.scaling.objective,
            max_iterations=50,
            start=start.x,
        )
        context = Context(backend, Deadline(seconds), Timings(), Log([]))
        small = forms.linear is None or problem.n_nonzeros <= next(solvers()).small
        try:
            outcome, _, _ = exact.solve(
                Instance(forms), solvers(), settings, context, start.x if small else None, "j3o"
            )
        finally:
            backend.close()
        if outcome.ending is Ending.INTERRUPTED:
            raise KeyboardInterrupt
        outcome = forms.scaling.restore(outcome)
        bound = outcome.bound
        if outcome.plan is None or outcome.plan.objective < start.objective:
            return replace(start, bound=max(bound, start.objective))
        x, y = outcome.plan.x, outcome.plan.y
        value = evaluate(problem, x.astype(float), y)
        return _Best(x, y, value, max(bound, value))

    def _tell(self, budget: _Budget, base: _Best, best: _Best, step: float, left: int, begin: float) -> None:
        if self._tee:
            worth = self._compare(base, best, step)
            known = "proven" if worth.proven else f"at most {worth.at_most:.4g}"
            print(
                f"{budget.name}: {worth.worth:.4g} per unit, {known}; {left} to go, "
                f"{time.perf_counter() - begin:.1f} s",
                flush=True,
            )


def _moved(problem: Problem, row: int, upper: bool, step: float) -> Problem:
    """Return the problem with one side of a row relaxed by `step`."""
    name = "row_upper" if upper else "row_lower"
    side = getattr(problem, name).copy()
    side[row] += step if upper else -step
    return replace(problem, **{name: side})


def _fits(problem: Problem, row: int, best: _Best) -> bool:
    body = activities(problem, best.x.astype(float), best.y)[row]
    return bool(problem.row_lower[row] <= body <= problem.row_upper[row])
