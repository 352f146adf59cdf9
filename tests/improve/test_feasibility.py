"""Fall-backs by a MILP solver: the nearest placement and a first plan, beside enumeration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import INF, brute_force, linear_problems, placements, problem_of

from pyomo_j3o.core.problem import evaluate, violations
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.improve.feasibility import first_plan, nearest_placement
from pyomo_j3o.lp import LPStatus


@settings(deadline=None, max_examples=40)
@given(problem=linear_problems(most_x=5, most_y=2), data=st.data())
def test_the_nearest_placement_differs_least(problem, data):
    """It meets the rows over x alone, and no other that does differs in fewer variables; or there is none."""
    structure = analyse(problem)
    size = problem.n_onloading
    x = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    distances = [int(np.sum(x != other)) for other in placements(problem) if structure.placeable(other)]
    status, found = nearest_placement(structure, x, INF)
    if not distances:
        assert status is LPStatus.INFEASIBLE
        assert found is None
        return
    assert status is LPStatus.OPTIMAL
    assert structure.placeable(found)
    assert np.sum(x != found) == min(distances)


def test_the_nearest_placement_to_an_equality_of_sizes():
    """2a + 3b + 5c = 5 is met by c alone or by a and b: from a alone, b is what is missing."""
    problem = problem_of({"a": 0, "b": 0, "c": 0}, {}, [({"a": 2, "b": 3, "c": 5}, 5, 5)])
    status, found = nearest_placement(analyse(problem), np.array([True, False, False]), INF)
    assert status is LPStatus.OPTIMAL
    assert found.tolist() == [True, True, False]


@settings(deadline=None, max_examples=40)
@given(problem=linear_problems())
def test_a_first_plan_is_one(problem):
    """A plan that misses no row, at its own objective, exactly where some placement can be routed."""
    status, plan = first_plan(problem, INF)
    optimum = brute_force(problem)
    if optimum == -INF:
        assert status is LPStatus.INFEASIBLE
        assert plan is None
        return
    point = plan.x.astype(float)
    assert violations(problem, point, plan.y).max(initial=0.0) <= 1e-6
    assert plan.objective == pytest.approx(evaluate(problem, point, plan.y))
    assert plan.objective <= optimum + 1e-6 * max(1.0, abs(optimum))


def test_a_first_plan_of_an_unbounded_problem():
    """Where the objective has no end there is a plan all the same."""
    problem = problem_of({"a": -1}, {"y": (1, 0, INF)}, [({"y": 1, "a": 2}, 2, INF)])
    status, plan = first_plan(problem, INF)
    assert status in (LPStatus.OPTIMAL, LPStatus.STOPPED)
    assert violations(problem, plan.x.astype(float), plan.y).max() <= 1e-6
