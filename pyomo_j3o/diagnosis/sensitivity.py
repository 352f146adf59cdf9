"""`budget_worth`: what one more unit of each budget is worth, by duals and by re-solving."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyomo.contrib.solver.common.results import Results
from pyomo.core.base.block import BlockData
from pyomo.core.base.constraint import ConstraintData

from pyomo_j3o.core.checks import is_number
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.html import html_paragraphs
from pyomo_j3o.core.long_call import LongCall
from pyomo_j3o.core.problem import BoolArray, FloatArray, Problem, activities, largest_coefficients
from pyomo_j3o.core.table import Table
from pyomo_j3o.diagnosis.infeasibility import require_component
from pyomo_j3o.diagnosis.members import constraints_named
from pyomo_j3o.diagnosis.resolving import ROUNDING, Again, Budget, Worth, worth_nothing
from pyomo_j3o.errors import ModelError, OptionError
from pyomo_j3o.lp import HighsBackend, LPStatus
from pyomo_j3o.methods.own_rows import routing_model
from pyomo_j3o.modeling.inverse import Inverse
from pyomo_j3o.modeling.loading import J3OSolutionLoader
from pyomo_j3o.modeling.naming import the_model

#: A dual is tried out with this fraction more of the budget.
_TRIED = 1e-3

#: A gain of an LP below this fraction of the objective is rounding.
_ROUNDING_OF_LP = 1e-9

#: Without a limit, all re-solves together may take this number of times as long as the solve took,
_TIMES_THE_SOLVE = 3.0

#: and this number of seconds at least and at most.
_LEAST_SECONDS, _MOST_SECONDS = 3.0, 60.0

_COLUMNS = ("row", "relation", "used", "budget", "slack", "worth", "at_most", "how", "proven")

#: Stands below a table that is not finished.
_INTERRUPTED = "Ctrl-C ended the search: this is what was found by then."


@dataclass(frozen=True)
class BudgetTable(Table):
    """What more of each budget is worth, the most valuable first.

    Attributes
    ----------
    columns, rows
        As of every `Table`.
    interrupted : bool
        Whether Ctrl-C ended the search: budgets that it did not reach have ``how="interrupted"``, and nothing
        is known of them.
    notes : tuple of str
        What is not proven, and what would help.
    """

    interrupted: bool = False
    notes: tuple[str, ...] = ()

    @property
    def _below(self) -> list[str]:
        """What stands below the table."""
        ended = [_INTERRUPTED] if self.interrupted else []
        return [*self.notes, *ended]

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *self._below])

    def _repr_html_(self) -> str:
        return super()._repr_html_() + html_paragraphs(*self._below)


def budget_worth(
    model: BlockData,
    results: Any,
    step: float = 1.0,
    rows: Any = None,
    time_limit: float | None = None,
    rel_gap: float = 1e-6,
    tee: bool | None = None,
) -> BudgetTable:
    """Say what one more unit of each budget is worth, the most valuable first.

    A budget is an active inequality row, but no link (``y <= x``) and no precedence (``x_a <= x_b``).
    What is cheap comes first. A row over offloading variables is priced by the LP that routed the plan, in
    milliseconds. What a row over onloading variables alone is worth no dual tells: the model is solved again,
    from the plan at hand, with `step` more of it, unless no placement can use that. Name in `rows` what you
    would buy, and the others cost no time.

    Parameters
    ----------
    model
        As it was solved; nothing of it is changed.
    results
        What ``SolverFactory("j3o").solve(model)`` returned, by either interface, with a plan.
    step
        How much more of a budget the model is solved with again, in the unit of the row.
    rows
        Constraints, indexed ones, members, slices, or a list of them, to look at; None for all.
    time_limit
        Seconds for all that is solved again together. None for three times as long as the solve took, 3 s at
        least and 60 s at most.
    rel_gap
        Gap, relative to the objective, at which the solves end.
    tee
        True prints a line for each solve; False says nothing. None says it on a terminal or in a notebook,
        once the call takes more than three seconds.

    Returns
    -------
    BudgetTable
        One row per side of a row, in the units of the row and of the objective: ``row`` (name), ``relation``,
        ``used``, ``budget``, ``slack``; ``worth``, by how much the objective gets better, in its own sense,
        per unit by which the budget is relaxed (raised if ``<=``, lowered if ``>=``), never negative;
        ``at_most``, which it is proven not to exceed (of a dual: with this placement); ``how`` and
        ``proven``.

        ``how`` is ``"re-solved"``; ``"no limit"`` where no placement can use more, so that it is worth 0;
        ``"no gain"`` where an LP proves that no placement which uses more is better than the plan at hand;
        ``"dual"`` for a price that holds for at least 0.1 % more of the budget (of what the row holds at the
        plan, where that is more, as in ``sum(y) <= 5 x``); or ``"LP"`` where the dual does not hold so far,
        and ``worth`` is what these 0.1 % bring per unit. The last two are about the best routing of the
        placement as it is; so is their proof.

        After Ctrl-C the table holds what was found, and is marked as ``interrupted``.

    Raises
    ------
    ModelError
        `results` hold no plan of j3o for this model, or `rows` something that is no inequality of it.
    OptionError
        A number is out of range.
    """
    numbers = [("step", step, math.inf), ("time_limit", time_limit, None)]
    for name, number, most in numbers if time_limit is not None else numbers[:1]:
        if not is_number(number) or not number > 0 or number == most:
            raise OptionError(f"{name}={number!r} is not a number above 0; give one")
    if not is_number(rel_gap) or not 0 <= rel_gap < 1:
        raise OptionError(f"rel_gap={rel_gap!r} is not a number from 0 to below 1; give one, such as 1e-6")
    require_component(model)
    loader = _plan_of(model, results)
    seconds = _seconds(results) if time_limit is None else float(time_limit)
    problem, inverse, x, y, duals = loader.compiled
    wanted = None if rows is None else constraints_named(rows, "rows")
    budgets = _budgets(problem, inverse, x, y, wanted)
    with LongCall("worth", tee) as call:
        again = Again(problem, x, y, float(rel_gap), Deadline(seconds), call.say)
        worth = dict.fromkeys(range(len(budgets)), _UNKNOWN)
        try:
            worth.update(_by_duals(problem, x, y, [b for b in budgets if not b.placement], duals))
            placement = [budget for budget in budgets if budget.placement]
            worth.update(worth_nothing(problem, placement, float(step)))
            call.say(f"{len(budgets) - len(placement)} budgets by duals; {len(placement)} of placements")
            again.run([budget for budget in placement if worth[budget.number] is _UNKNOWN], float(step))
        except KeyboardInterrupt:
            again.interrupted = True
        worth.update(again.found)
    found = [_table_row(budget, worth[budget.number]) for budget in budgets]
    found.sort(key=lambda row: (-row["worth"], -row["at_most"]))
    return BudgetTable(_COLUMNS, found, again.interrupted, _notes(found, seconds))


#: Of a budget that the search did not reach.
_UNKNOWN = Worth(0.0, math.inf, "interrupted", False)


def _seconds(results: Any) -> float:
    """Return the seconds that re-solves may take together, from what the solve took."""
    took = getattr(results, "j3o", results).timing_info.wall_time or 0.0
    return float(min(max(_TIMES_THE_SOLVE * took, _LEAST_SECONDS), _MOST_SECONDS))


def _notes(rows: Sequence[dict[str, Any]], seconds: float) -> tuple[str, ...]:
    """Return what is not proven in words."""
    open_ones = [row for row in rows if row["how"] == "re-solved" and not row["proven"]]
    if not open_ones:
        return ()
    who = f"{len(open_ones)} budgets" if len(open_ones) > 1 else open_ones[0]["row"]
    return (
        f"The worth of {who} is not proven. A unit brings at most `at_most`. It may bring less than `worth`, "
        f"if the plan at hand is not the best one. The solves shared {seconds:.3g} s: a larger "
        "time_limit, or fewer rows, gives each of them more.",
    )


def _table_row(budget: Budget, worth: Worth) -> dict[str, Any]:
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
            f"the results hold no plan of j3o for {the_model(model)}; pass what "
            "SolverFactory('j3o').solve(model) returned when it found one, not a pickle of it"
        )
    if loader.compiled[1].model is not model:
        raise ModelError(
            f"the results are those of {the_model(loader.compiled[1].model)}, not of {the_model(model)}; "
            "pass both of one solve"
        )
    return loader


def _budgets(
    problem: Problem, inverse: Inverse, x: FloatArray, y: FloatArray, wanted: Sequence[ConstraintData] | None
) -> list[Budget]:
    """Return the sides of rows that are budgets, or those of the rows asked for."""
    numbers = None if wanted is None else {id(constraint) for constraint in wanted}
    logic, placement = _kinds_of_rows(problem)
    body = activities(problem, x, y)
    inequality = problem.row_lower != problem.row_upper
    asked_for = [
        not inverse.is_added(constraint) if numbers is None else id(constraint) in numbers
        for constraint in inverse.rows
    ]
    budgets: list[Budget] = []
    for r in np.flatnonzero(inequality & np.array(asked_for, dtype=bool)).tolist():
        constraint = inverse.rows[r]
        for upper in (True, False):
            limit = problem.row_upper[r] if upper else problem.row_lower[r]
            side = constraint.ub if upper else constraint.lb
            if not np.isfinite(limit) or (wanted is None and logic[r] and side == 0):
                continue
            slack = float(limit - body[r] if upper else body[r] - limit)
            slack = 0.0 if abs(slack) <= ROUNDING * max(1.0, abs(side)) else slack
            name, number = constraint.name, len(budgets)
            budgets.append(Budget(number, name, r, upper, float(side), slack, bool(placement[r])))
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
    wanted: Sequence[ConstraintData], budgets: Sequence[Budget], problem: Problem, inverse: Inverse
) -> None:
    """Raise `ModelError` if a constraint asked for is no inequality row of the model."""
    priced = {id(inverse.rows[budget.row]) for budget in budgets}
    missing = {id(row): row.name for row in wanted if id(row) not in priced}
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
        f"'{next(iter(missing.values()))}' is no active inequality row of the model; name constraints like "
        "rows=[model.memory]"
    )


# --- the routing rows ----------------------------------------------------------------------------------


def _by_duals(
    problem: Problem, x: FloatArray, y: FloatArray, budgets: Sequence[Budget], duals: FloatArray | None
) -> Iterator[tuple[int, Worth]]:
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
                yield budget.number, Worth(0.0, math.inf, "dual", False)
                continue
            sign = 1.0 if budget.upper else -1.0
            price = max(sign * float(known[budget.row]), 0.0) + 0.0
            if price == 0.0 or not solved:
                yield budget.number, Worth(price, price, "dual", solved)
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
            yield budget.number, Worth(price if holds else brought, price, "dual" if holds else "LP", tried)
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
    scale = np.where(scale > ROUNDING * largest, scale, largest)
    return np.where(scale > 0, scale, 1.0)
