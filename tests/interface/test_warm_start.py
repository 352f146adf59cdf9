"""The plan that the variables hold: when it is one, and that it is never lost."""

from types import SimpleNamespace

import numpy as np
import pytest
from small_problems import INF, problem_of

from pyomo_j3o.core.problem import Plan
from pyomo_j3o.core.results import Ending, Outcome
from pyomo_j3o.interface.warm_start import no_worse, placement_held, plan_held

HELD = Plan(np.array([True]), np.array([0.5]), 5.0)


def outcome(objective, bound, ending=Ending.TIME):
    """Return an outcome with a plan of this objective; without one if it is None."""
    plan = None if objective is None else Plan(np.array([False]), np.zeros(1), objective)
    return Outcome(plan, bound, ending)


@pytest.mark.parametrize("objective", [None, 4.0])
def test_no_plan_and_a_worse_one_give_way(objective):
    """The plan that was held is the outcome's, and its bound is no better than it."""
    found = no_worse(outcome(objective, 4.5), HELD)
    assert found.plan is HELD
    assert found.bound == 5.0
    assert found.ending is Ending.TIME
    assert no_worse(outcome(objective, 9.0), HELD).bound == 9.0


def test_a_plan_that_is_as_good_stays():
    """Nothing is changed where the search is no worse, where nothing was held, or where all is unbounded."""
    for one in (outcome(5.0, 6.0), outcome(7.0, 7.0), outcome(None, INF, Ending.UNBOUNDED)):
        assert no_worse(one, HELD) is one
    without = outcome(None, 3.0)
    assert no_worse(without, None) is without


def test_a_plan_refutes_that_there_is_none():
    """What is called infeasible, and is not, ends as a matter of tolerances."""
    found = no_worse(outcome(None, -INF, Ending.INFEASIBLE), HELD)
    assert found.plan is HELD
    assert found.ending is Ending.TOLERANCES
    assert found.bound >= 5.0


@pytest.mark.parametrize(
    ("x", "y", "objective"),
    [
        ([1.0], [0.5], 2.0),
        ([1.0 - 1e-9], [0.5], 2.0),
        ([0.0], [0.5], None),  # y is closed
        ([1.0], [0.9], None),  # more than the row takes
        ([0.5], [0.5], None),  # half a model
        ([np.nan], [0.5], None),
        ([1.0], [np.nan], None),
        (None, [0.5], None),
        ([1.0], None, None),
    ],
)
def test_only_a_plan_of_the_model_is_held(x, y, objective):
    """All values are there, x is whole, and every row and bound holds."""
    problem = problem_of({"x": -1.0}, {"y": 6.0}, [({"y": 1, "x": -1}, -INF, 0.0), ({"y": 1}, -INF, 0.6)])
    inverse = SimpleNamespace(
        warm_start=lambda: (None if x is None else np.array(x), None if y is None else np.array(y))
    )
    held = plan_held(problem, inverse)
    assert (held is None) is (objective is None)
    if held is not None:
        assert held.objective == pytest.approx(objective)
    placement = placement_held(inverse)
    assert (placement is None) is (x is None)
