"""Laws that hold on every problem: feasible, never above the optimum, bound never below, order irrelevant."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import (
    BOTH_SEARCHES,
    INF,
    brute_force,
    highs_first,
    linear_problems,
    permuted,
    placements,
    problem_of,
    problems,
    searched_problems,
    solve,
    tight_knapsacks,
)

from pyomo_j3o.certify.cutting import relax
from pyomo_j3o.core.deadline import NEVER
from pyomo_j3o.core.results import Ending
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.lp import HighsBackend
from pyomo_j3o.presolve.linearize import linearize

TOLERANCE = 1e-6

#: Problems of every kind of row; on a third of them the search has to branch.
EVERY_KIND = st.one_of(problems(), searched_problems())
LINEAR = st.one_of(linear_problems(), searched_problems())

#: With `improve`, by either search; without it, neither is asked.
IMPROVED_OR_NOT = pytest.mark.parametrize(
    ("improve", "mip_solvers"),
    [(True, highs_first), (True, None), (False, None)],
    ids=["MILP solver", "own search", "not improved"],
)


def close(a, b):
    """Whether two objectives are the same up to what LP solvers round."""
    return a == b or abs(a - b) <= TOLERANCE * max(1.0, abs(a), abs(b))


def agrees_with_enumeration(problem, optimum, solved):
    """Assert what a solve may say of a problem whose optimum is known."""
    if optimum == INF:
        assert solved.ending is Ending.UNBOUNDED
        return
    if optimum == -INF:
        assert solved.ending is Ending.INFEASIBLE
        assert solved.x is None
        assert solved.bound == -INF
        return
    assert solved.ending not in (Ending.INFEASIBLE, Ending.UNBOUNDED, Ending.TIME)
    assert solved.x is not None
    slack = TOLERANCE * max(1.0, abs(optimum))
    assert solved.worst_violation <= TOLERANCE
    assert solved.value <= optimum + slack
    assert solved.bound >= optimum - slack
    assert close(solved.value, solved.outcome.plan.objective)
    if solved.ending is Ending.GAP:
        assert solved.value >= optimum - slack


@pytest.mark.parametrize(("mip_solvers", "step"), [(highs_first, "milp"), (None, "kernel")])
def test_the_problems_reach_both_searches(mip_solvers, step):
    """On most of the problems that are drawn for it, each search lowers the bound and improves some plans."""
    lowered = gained = 0
    for seed in range(20):
        solved = solve(tight_knapsacks(seed), mip_solvers=mip_solvers)
        steps = {one.name: one for one in solved.outcome.steps}
        if mip_solvers is None:
            assert "milp" not in steps
        lowered += step in steps and steps[step].lowered > 0
        gained += step in steps and steps[step].gained > 0
    assert lowered >= 10
    assert gained >= 3


@IMPROVED_OR_NOT
@pytest.mark.parametrize("bound", ["cuts", "lp", "none"])
@settings(deadline=None, max_examples=50)
@given(problem=EVERY_KIND)
def test_plan_is_feasible_and_between_nothing_and_the_proven_bound(problem, bound, improve, mip_solvers):
    """A plan misses no row, is never better than enumeration, and the bound never worse than it.

    Infeasible is reported exactly where no placement can be routed, unbounded where one is.
    """
    solved = solve(problem, bound=bound, improve=improve, mip_solvers=mip_solvers)
    agrees_with_enumeration(problem, brute_force(problem), solved)


@BOTH_SEARCHES
@settings(deadline=None, max_examples=40)
@given(problem=EVERY_KIND, data=st.data())
def test_any_start_and_any_onloading_step_are_safe(problem, data, mip_solvers):
    """Whatever the user's own step returns and wherever a solve starts, the laws hold."""
    linear = linearize(problem).problem
    bits = st.lists(st.booleans(), min_size=linear.n_onloading, max_size=linear.n_onloading)
    answers = data.draw(st.lists(bits, min_size=1, max_size=4))

    def step(structure, prices):
        answers.append(answers.pop(0))
        return np.array(answers[-1])

    optimum = brute_force(problem)
    start = np.array(data.draw(bits))
    solved = solve(problem, onloading_step=step, start=start, mip_solvers=mip_solvers)
    agrees_with_enumeration(problem, optimum, solved)
    agrees_with_enumeration(problem, optimum, solve(problem, start=start, improve=False, bound="none"))


@BOTH_SEARCHES
@settings(deadline=None, max_examples=50)
@given(problem=EVERY_KIND, bound=st.sampled_from(["cuts", "lp", "none"]))
def test_incumbent_never_falls_and_the_bound_is_never_below_it(problem, bound, mip_solvers):
    """Along the trace the incumbent only improves, in the user's sense, and never passes the bound."""
    solved = solve(problem, bound=bound, mip_solvers=mip_solvers)
    incumbents = problem.sense * np.array([record.incumbent for record in solved.trace])
    bounds = problem.sense * np.array([record.bound for record in solved.trace])
    assert np.all(incumbents[1:] >= incumbents[:-1])
    assert np.all(bounds >= incumbents - TOLERANCE * np.maximum(1.0, np.abs(bounds)))
    assert [record.iteration for record in solved.trace] == list(range(1, len(solved.trace) + 1))
    if solved.x is not None and solved.trace:
        assert incumbents[-1] == solved.outcome.plan.objective


@BOTH_SEARCHES
@settings(deadline=None, max_examples=50)
@given(problem=EVERY_KIND, seed=st.integers(0, 99))
def test_same_seed_same_answer(problem, seed, mip_solvers):
    """Two runs with the same seed return the same plan to the last bit."""
    first, second = (
        solve(problem, backend=HighsBackend(seed=seed), mip_solvers=mip_solvers) for _ in range(2)
    )
    assert first.ending is second.ending
    assert first.bound == second.bound
    if first.x is not None:
        assert np.array_equal(first.x, second.x)
        assert np.array_equal(first.y, second.y)


@BOTH_SEARCHES
@settings(deadline=None, max_examples=40)
@given(problem=EVERY_KIND, data=st.data())
def test_the_order_of_variables_and_rows_does_not_matter(problem, data, mip_solvers):
    """After shuffling, the plan is as feasible, the bound as valid, the LP bound equal.

    Where both solves prove optimality, they agree on the objective.
    """
    orders = [
        np.array(data.draw(st.permutations(range(n))), dtype=np.int64)
        for n in (problem.n_onloading, problem.n_offloading, problem.n_rows)
    ]
    shuffled = permuted(problem, *orders)
    relaxations = [
        relax(analyse(linearize(one).problem), HighsBackend(), cuts=False, deadline=NEVER)
        for one in (problem, shuffled)
    ]
    assert relaxations[0].status is relaxations[1].status
    assert close(relaxations[0].bound, relaxations[1].bound)
    one, other = (solve(each, mip_solvers=mip_solvers) for each in (problem, shuffled))
    agrees_with_enumeration(shuffled, brute_force(problem), other)
    if one.ending is Ending.GAP and other.ending is Ending.GAP:
        assert close(one.value, other.value)


@BOTH_SEARCHES
@settings(deadline=None, max_examples=40)
@given(problem=LINEAR, factor=st.sampled_from([0.5, 2.0, 8.0]))
def test_the_unit_of_the_objective_does_not_matter(problem, factor, mip_solvers):
    """With the objective in another unit the LP bound scales with it and every law still holds."""
    scaled = replace(
        problem,
        onloading_objective=factor * problem.onloading_objective,
        offloading_objective=factor * problem.offloading_objective,
        objective_constant=factor * problem.objective_constant,
    )
    solved = solve(scaled, mip_solvers=mip_solvers)
    agrees_with_enumeration(scaled, factor * brute_force(problem), solved)


@BOTH_SEARCHES
@settings(deadline=None, max_examples=40)
@given(problem=EVERY_KIND)
def test_improve_never_makes_a_plan_worse(problem, mip_solvers):
    """With `improve` the objective is at least that without."""
    with_it, without = (solve(problem, improve=improve, mip_solvers=mip_solvers) for improve in (True, False))
    if without.x is not None:
        assert with_it.value >= without.value - TOLERANCE * max(1.0, abs(without.value))


@BOTH_SEARCHES
@settings(deadline=None, max_examples=40)
@given(problem=EVERY_KIND)
def test_a_fixed_placement_is_solved_exactly(problem, mip_solvers):
    """With every x fixed there is nothing left to choose: the plan is the LP optimum, or none exists."""
    optimum = {tuple(x): None for x in placements(problem)}
    if not optimum:
        return
    x = np.array(next(iter(optimum)), dtype=float)
    fixed = replace(problem, onloading_lower=x, onloading_upper=x)
    best = brute_force(fixed)
    solved = solve(fixed, mip_solvers=mip_solvers)
    agrees_with_enumeration(fixed, best, solved)
    if np.isfinite(best):
        assert close(solved.value, best)


@IMPROVED_OR_NOT
@pytest.mark.parametrize("bound", ["cuts", "lp", "none"])
@pytest.mark.parametrize(
    "row", [{"a": 1, "b": -1, "c": 3, "d": 3}, {"a": 1, "b": 1}], ids=["HiGHS undecided", "plan unbounded"]
)
def test_unbounded_also_where_greedy_finds_no_plan(row, bound, improve, mip_solvers):
    """If the first plan that branch and bound finds has no end, the problem is unbounded, not fixed."""
    rows = [
        ({"b": -0.5, "y": 1}, 0, INF),
        ({"a": 1, "b": -1}, -INF, 0),
        ({"a": -1, "y": 1, "z": 1}, -INF, 0),
        (row, 1, INF if len(row) == 2 else 2),
    ]
    problem = problem_of(dict.fromkeys("abcd", 0), {"free": (1, 0, INF), "y": 0, "z": 0}, rows)
    solved = solve(problem, bound=bound, improve=improve, mip_solvers=mip_solvers)
    agrees_with_enumeration(problem, brute_force(problem), solved)
