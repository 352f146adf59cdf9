"""What the variables hold, as a start: the search begins at its placement, and its plan is never lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pyomo_j3o.core.problem import BoolArray, FloatArray, Plan, Problem, evaluate, missed
from pyomo_j3o.core.results import Ending, Outcome
from pyomo_j3o.core.tolerances import INTEGRAL
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
    return Plan(whole > 0.5, y, evaluate(problem, whole, y))


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
