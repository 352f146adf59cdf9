"""Random annotated models in every style: what j3o says of them is true, and its plans are near the optimum.

docs/make_fuzz_table.py does the same with a thousand seeds; these here are a few of each shape.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from random_judge import judge, optimum
from random_models import random_case

from pyomo_j3o.interface import solver as solver_module
from pyomo_j3o.presolve.scaling import Scaling

SEEDS = range(26)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_said_of_a_random_model_is_true(seed):
    """No crash, no invalid bound, no plan that misses a row; the exact solver finds the optimum."""
    verdict = judge(seed)
    assert not verdict.wrong, verdict
    assert max(verdict.distance or 0, verdict.search or 0) <= 0.01, verdict


def test_a_seed_is_one_model():
    """What a table lists by its seed can be built again."""
    for seed in (3, 12):
        one, other = random_case(seed).model, random_case(seed).model
        assert [v.name for v in one.component_data_objects()] == [
            v.name for v in other.component_data_objects()
        ]


def worse_plan(outcome):
    """Return another routing: it misses a row, or is worth something else than is said."""
    return replace(outcome, plan=replace(outcome.plan, y=outcome.plan.y + 0.01))


def closed_bound(outcome):
    """Return the plan's own value as the bound, as of a solver that believes in itself."""
    return replace(outcome, bound=outcome.plan.objective)


def no_plan(outcome):
    """Return that there is none, and no reason."""
    return replace(outcome, plan=None)


@pytest.mark.parametrize("spoil", [worse_plan, closed_bound, no_plan])
def test_the_judge_sees_what_is_wrong(spoil, monkeypatch):
    """A solver that is broken in one of these ways does not pass the seeds."""
    restored = Scaling.restore

    def broken(scaling, outcome):
        outcome = restored(scaling, outcome)
        return spoil(outcome) if outcome.plan is not None else outcome

    monkeypatch.setattr(Scaling, "restore", broken)
    if spoil is closed_bound:
        # Greedy alone, and no proof: a plan that is not the best.
        for method in (solver_module.j3o, solver_module.baj3o):
            monkeypatch.setattr(method, "solve", partial(_first_iteration, method.solve))
    # From the end, where the first seed tells already.
    assert any(judge(seed).wrong for seed in reversed(SEEDS))


def _first_iteration(solve, problem, settings, *others):
    settings = replace(settings, improve=False, bound="none", max_iterations=1)
    return solve(problem, settings, *others)


def test_the_oracle_agrees_with_enumeration():
    """The optimum of the arrays is that found placement by placement."""
    from small_problems import brute_force

    for seed in SEEDS:
        case = random_case(seed)
        if case.problem is not None and case.problem.n_onloading <= 7:
            expected = case.problem.sense * brute_force(case.problem)
            found = optimum(case)
            assert found == expected or np.isclose(found, expected, rtol=1e-6, atol=1e-6), seed
