"""What the variables hold, as a start: the search begins at its placement, and its plan is never lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pyomo_j3o.core.problem import (
    TOLERANCE,
    BoolArray,
    FloatArray,
    Plan,
    Problem,
    evaluate,
    larger_end,
    missed,
    sizes_of_terms,
    violations,
)
from pyomo_j3o.core.results import Ending, Outcome
from pyomo_j3o.core.tolerances import INTEGRAL, ROUNDING
from pyomo_j3o.modeling.inverse import Inverse


def placement_held(inverse: Inverse) -> BoolArray | None:
    """Return the placement that the variables hold, (N,) bool; None without any value."""
    x, _ = inverse.warm_start()
    return None if x is None else np.nan_to_num(x, nan=0.0) > 0.5


def plan_held(problem: Problem, inverse: Inverse) -> Plan | None:
    """Return the plan that the variables hold; None if a value is missing, or a row or bound is missed.

    Parameters
    ----------
    problem
        In the user's units.
    inverse
        Of its variables.
    """
    x, y = inverse.warm_start()
    x = np.zeros(0) if x is None and not problem.n_onloading else x
    y = np.zeros(0) if y is None and not problem.n_offloading else y
    return None if x is None or y is None else plan_of(problem, x, y)


def plan_of(problem: Problem, x: FloatArray, y: FloatArray) -> Plan | None:
    """Return the plan of some values; None if one is missing or broken, or a row or bound is missed.

    What misses a bound by a tolerance gets the bound.

    Parameters
    ----------
    problem
        In the user's units.
    x, y
        (N,) and (K,), NaN for a missing value.
    """
    if np.isnan(x).any() or np.isnan(y).any():
        return None
    whole = np.round(x)
    if np.any(np.abs(x - whole) > INTEGRAL) or missed(problem, whole, y):
        return None
    y = np.clip(y, problem.offloading_lower, problem.offloading_upper)
    if _breaks_a_small_row(problem, whole, y):
        return None
    return Plan(whole > 0.5, y, evaluate(problem, whole, y))


def _breaks_a_small_row(problem: Problem, x: FloatArray, y: FloatArray) -> bool:
    """Return whether (x, y) misses a row by more than a fraction of its terms, however small these are.

    A search finds its plans in units that suit tolerances. A plan that was held has no units but the user's,
    where all of a row may be smaller than a tolerance. So a row may be missed by `TOLERANCE` of its terms or
    sides, or by the rounding of what its variables could contribute.
    """
    size = np.maximum(sizes_of_terms(problem, x, y), larger_end(problem.row_lower, problem.row_upper))
    ends = np.abs(problem.offloading_lower), np.abs(problem.offloading_upper)
    largest = min(1.0, float(np.abs(y).max(initial=0.0)))
    reach = np.where(np.isfinite(np.maximum(*ends)), np.maximum(*ends), largest)
    grain = ROUNDING * sizes_of_terms(problem, np.ones(len(x)), reach)
    allowed = np.maximum(TOLERANCE * size, grain)
    return bool(np.any(violations(problem, x, y)[: problem.n_rows] > allowed))


def no_worse(outcome: Outcome, held: Plan | None) -> Outcome:
    """Return the outcome with the plan that was held at the start, if none is better.

    Parameters
    ----------
    outcome
        In the user's units.
    held
        The plan; None without one.
    """
    if held is None or outcome.ending is Ending.UNBOUNDED:
        return outcome
    if outcome.plan is not None and outcome.plan.objective >= held.objective:
        return outcome
    ending = Ending.TOLERANCES if outcome.ending is Ending.INFEASIBLE else outcome.ending
    bound = max(outcome.bound, held.objective)
    return replace(outcome, plan=held, bound=bound, duals=None, ending=ending)
