"""What more of a budget over placements is worth: independent parts solved again, from the plan at hand."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pyomo_j3o.alternate import stopping
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.log import Log
from pyomo_j3o.core.matrices import rows_of
from pyomo_j3o.core.problem import BoolArray, FloatArray, Plan, Problem, activities, evaluate
from pyomo_j3o.core.results import Ending, Timings
from pyomo_j3o.core.whole_numbers import counted_side, units_of
from pyomo_j3o.diagnosis.beyond import bounds_beyond
from pyomo_j3o.lp import choose_backend
from pyomo_j3o.methods import exact
from pyomo_j3o.methods.instance import Instance
from pyomo_j3o.methods.settings import Context, Settings
from pyomo_j3o.mip import MIPSolver, Size
from pyomo_j3o.mip import mip_solvers as choose_mip_solvers
from pyomo_j3o.presolve.decomposing import Part, split
from pyomo_j3o.presolve.forms import forms_of
from pyomo_j3o.presolve.scaling import scale

#: A gain below this fraction of the objective is rounding.
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Budget:
    """One side of an inequality row; side and slack in the user's units, which are those of the arrays.

    Attributes
    ----------
    number : int
        Among all budgets.
    name : str
        Of the constraint.
    row : int
        Its number.
    upper : bool
        Whether it is the upper side.
    side, slack : float
        What the budget is, and what of it is left at the plan.
    placement : bool
        Whether the row is over onloading variables alone.
    """

    number: int
    name: str
    row: int
    upper: bool
    side: float
    slack: float
    placement: bool


@dataclass(frozen=True, slots=True)
class Worth:
    """What one more unit of a budget is worth, the most that it can be, how that is known, and if proven."""

    worth: float
    at_most: float
    how: str
    proven: bool


def worth_nothing(problem: Problem, budgets: Sequence[Budget], step: float) -> dict[int, Worth]:
    """Return the budgets over placements of which no placement can use `step` more, without a solve.

    A row that no placement fills is one, and so is a row of whole numbers if `step` does not reach the next
    multiple of its unit.

    Parameters
    ----------
    problem
        As compiled.
    budgets
        Over onloading variables alone.
    step
        In the units of the rows.

    Returns
    -------
    dict
        By the number of the budget.
    """
    rows = np.array([budget.row for budget in budgets], dtype=np.int64)
    if not len(rows):
        return {}
    matrix = rows_of(problem.onloading_rows, rows)
    highest = matrix.maximum(0.0) @ problem.onloading_upper + matrix.minimum(0.0) @ problem.onloading_lower
    lowest = matrix.minimum(0.0) @ problem.onloading_upper + matrix.maximum(0.0) @ problem.onloading_lower
    upper = np.array([budget.upper for budget in budgets])
    sign = np.where(upper, 1.0, -1.0)
    side = sign * np.where(upper, problem.row_upper[rows], problem.row_lower[rows])
    idle = np.where(upper, highest, -lowest) <= side
    # The side counts in multiples of the unit, rounded inwards.
    unit = units_of(matrix, decimals=True)
    known = unit > 0
    counts = [counted_side(sides[known], unit[known], np.floor) for sides in (side, side + step)]
    idle[known] |= counts[0] == counts[1]
    nothing = Worth(0.0, 0.0, "no limit", True)
    return {budget.number: nothing for budget, free in zip(budgets, idle, strict=True) if free}


@dataclass(frozen=True, slots=True)
class _Best:
    """What is known of one problem: a placement, its objective, and a bound that nothing exceeds."""

    x: BoolArray
    y: FloatArray
    objective: float
    bound: float


class Again:
    """Solves independent parts again, from the plan at hand, with one side of a row moved.

    Parameters
    ----------
    problem
        As compiled.
    x, y
        The plan at hand.
    rel_gap
        At which a solve ends.
    deadline
        Of all solves together.
    say
        Takes a line after each solve.
    """

    def __init__(
        self,
        problem: Problem,
        x: FloatArray,
        y: FloatArray,
        rel_gap: float,
        deadline: Deadline,
        say: Callable[[str], None],
    ) -> None:
        self._problem, self._rel_gap = problem, rel_gap
        self._plan = Plan(x > 0.5, y, evaluate(problem, x, y))
        # What counts as 1 in the objective, if all its coefficients are tiny.
        unit = min(1.0, 1.0 / scale(problem).objective)
        self._total = max(abs(self._plan.objective), unit)
        self._deadline = deadline
        self._say = say
        #: What was found, {number: worth}, and whether Ctrl-C ended the search.
        self.found: dict[int, Worth] = {}
        self.interrupted = False

    def run(self, budgets: Sequence[Budget], step: float) -> None:
        """Find what `step` more of each budget brings per unit; small parts and full rows come first."""
        if not budgets:
            return
        parts = list(split(self._problem).parts)
        if len(parts) == 1:
            # The whole knows its batching windows.
            parts = [replace(parts[0], problem=replace(self._problem, objective_constant=0.0))]
        parts.sort(key=lambda part: part.problem.n_nonzeros)
        fullest = sorted(budgets, key=lambda budget: budget.slack / step)
        mine = [[b for b in fullest if b.row in set(part.rows.tolist())] for part in parts]
        left = len(budgets) + sum(bool(some) for some in mine)
        try:
            for part, some in zip(parts, mine, strict=True):
                if some:
                    self._run_part(part, some, step, left)
                    left -= 1 + len(some)
        except KeyboardInterrupt:
            self.interrupted = True

    def _run_part(self, part: Part, budgets: Sequence[Budget], step: float, left: int) -> None:
        """Solve one part as it is, and with more of each of its budgets; `left` solves share the time."""
        plan = part.reduce(self._plan)
        beyond = self._beyond(part, budgets, step, left)
        budgets = self._settle(budgets, beyond, plan)
        if not budgets:
            return
        raised: dict[int, _Best] = {}
        base = _Best(plan.x, plan.y, plan.objective, math.inf)
        try:
            base = self._solve(part.problem, base, left)
            for done, budget in enumerate(budgets, 1):
                row = int(np.searchsorted(part.rows, budget.row))
                begin = time.perf_counter()
                more = _moved(part.problem, row, budget.upper, step)
                raised[budget.number] = best = self._solve(more, base, left - done)
                # What bounds more of a budget bounds less of it.
                base = replace(base, bound=min(base.bound, best.bound))
                if best.objective > base.objective and _fits(part.problem, row, best):
                    # It needs no more of the budget: a better plan than the one that was at hand.
                    base = replace(best, bound=base.bound)
                worth = self._compare(base, best, beyond[budget.number], step)
                self._say(self._told(budget, worth, left - done - 1, begin))
        finally:
            self.found |= {
                number: self._compare(base, best, beyond[number], step) for number, best in raised.items()
            }

    def _beyond(self, part: Part, budgets: Sequence[Budget], step: float, left: int) -> dict[int, float]:
        """Return the bound of the plans that need more of each budget, {number: bound}, by LPs."""
        seconds = max(self._deadline.left(), 0.0) * len(budgets) / max(left, 1) / 2
        rows = np.searchsorted(part.rows, [budget.row for budget in budgets])
        upper = np.array([budget.upper for budget in budgets], dtype=bool)
        bounds = bounds_beyond(part.problem, rows, upper, step, Deadline(seconds))
        return {budget.number: bound for budget, bound in zip(budgets, bounds.tolist(), strict=True)}

    def _settle(self, budgets: Sequence[Budget], beyond: dict[int, float], plan: Plan) -> list[Budget]:
        """Note the budgets of which no plan that needs more is better, and return the others."""
        enough = plan.objective + ROUNDING * max(self._total, abs(plan.objective))
        settled = [budget for budget in budgets if beyond[budget.number] <= enough]
        for budget in settled:
            self.found[budget.number] = Worth(0.0, 0.0, "no gain", True)
        if settled:
            self._say(f"{len(settled)} of {len(budgets)} budgets are worth nothing, by LPs")
        return [budget for budget in budgets if beyond[budget.number] > enough]

    def _compare(self, base: _Best, best: _Best, beyond: float, step: float) -> Worth:
        """Return what a budget is worth: plans that need more of it are no better than `beyond`."""
        # Tolerances are relative to what is proven: the re-solve may be worth more than the plan at hand.
        rounding = ROUNDING * max(self._total, abs(base.objective), abs(best.objective))
        gain = best.objective - base.objective
        most = max(min(best.bound, beyond) - base.objective, gain, 0.0)
        # A MIP solver's proof is worth its tolerances, of which either solve may use one.
        allowed = max(2 * rounding, self._rel_gap * self._total)
        # What is worth 0 at most is worth 0, whether or not the plan at hand is the best one.
        proven = most - gain <= allowed and (gain <= rounding or base.bound - base.objective <= allowed)
        gain = gain if gain > rounding else 0.0
        return Worth(gain / step, most / step if most > rounding else 0.0, "re-solved", proven)

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

    def _told(self, budget: Budget, worth: Worth, left: int, begin: float) -> str:
        known = "proven" if worth.proven else f"at most {worth.at_most:.4g}"
        seconds = time.perf_counter() - begin
        return f"{budget.name}: {worth.worth:.4g} per unit, {known}; {left} to go, {seconds:.1f} s"


def _moved(problem: Problem, row: int, upper: bool, step: float) -> Problem:
    """Return the problem with one side of a row relaxed by `step`."""
    name = "row_upper" if upper else "row_lower"
    side = getattr(problem, name).copy()
    side[row] += step if upper else -step
    return replace(problem, **{name: side})


def _fits(problem: Problem, row: int, best: _Best) -> bool:
    body = activities(problem, best.x.astype(float), best.y)[row]
    return bool(problem.row_lower[row] <= body <= problem.row_upper[row])
