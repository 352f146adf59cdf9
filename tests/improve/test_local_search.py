"""Improvement: never worse, never beyond the rows, and done only where no single move helps."""

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from small_problems import INF, best_routing, linear_problems, location_problems, problem_of

from pyomo_j3o.alternate.lagrangian import price
from pyomo_j3o.alternate.offloading import OffloadingStep
from pyomo_j3o.certify.cutting import relax
from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.improve.idle import drop_idle
from pyomo_j3o.improve.improving import improve
from pyomo_j3o.improve.local_search import Descent, descend
from pyomo_j3o.improve.neighbourhood import Moves, Neighbourhood, keeps_rows
from pyomo_j3o.improve.params import DescentParams
from pyomo_j3o.improve.task import Task
from pyomo_j3o.lp import HighsBackend


def improved(problem, x, deadline=NEVER):
    """Return what `improve` makes of placement `x`."""
    structure, backend = analyse(problem), HighsBackend()
    tightened = relax(structure, backend, True, deadline).tightened
    task = Task(structure, backend, 1e-6, deadline)
    for found in improve(task, x, [np.zeros(problem.n_rows)], tightened):
        x = found.routing.x
    return x


def end_of_descent(step, start, lagrangians, double=True, deadline=NEVER):
    """Return the routing at which a descent ends."""
    descent = Descent(DescentParams(), DescentParams().patience, double=double)
    for found in descend(step, start, lagrangians, descent, deadline):
        assert found.better_than(start)
        start = found
    return start


def descended(problem, x):
    """Return the routing at which `descend` from `x` ends."""
    structure = analyse(problem)
    step = OffloadingStep(structure, HighsBackend())
    found = end_of_descent(step, step(x), [price(structure, np.zeros(problem.n_rows))])
    step.close()
    return found


def neighbours(structure, x, surrogate, double=False):
    """Return every placement one listed move away that keeps the rows."""
    moves = Neighbourhood(structure, [surrogate], x, double).moves
    for out, into in zip(moves.out, moves.into, strict=True):
        other = x.copy()
        other[[k for k in (*out, *into) if k >= 0]] ^= True
        yield other


def test_an_exchange_by_hand(two_servers_three_models, bits):
    """From the small models, 1.0·½ + ..., to model 2 on both servers: the optimum 3.65."""
    x = improved(two_servers_three_models, bits("110110"))
    assert best_routing(two_servers_three_models, x) == pytest.approx(3.65)


def test_a_facility_that_does_not_pay_is_closed(two_depots_two_shops, bits):
    """With both depots open, closing b gains: 11 instead of what both earn."""
    x = improved(two_depots_two_shops, bits("11"))
    assert np.array_equal(x, bits("10"))


def test_a_redundant_opener_is_dropped(bits):
    """With y <= a + c either will do: of two that cost 1 and 2, the cheaper stays."""
    rows = [({"p": 1, "a": -1, "c": -1}, -INF, 0), ({"p": 1, "q": 1}, -INF, 1)]
    problem = problem_of({"a": -2, "c": -1}, {"p": 9, "q": 1}, rows)
    assert np.array_equal(descended(problem, bits("11")).x, bits("01"))
    assert np.array_equal(descended(problem, bits("10")).x, bits("01")) or np.array_equal(
        improved(problem, bits("10")), bits("01")
    )


def test_income_that_no_placement_touches_hides_no_move(bits):
    """A y that is always open and worth 100 does not make moves look worthless."""
    rows = [
        ({"p": 1, "a": -1}, -INF, 0),
        ({"q": 1, "b": -1}, -INF, 0),
        ({"a": 1, "b": 1}, -INF, 1),
        ({"p": 1, "q": 1, "u": 1}, -INF, 3),
    ]
    problem = problem_of({"a": 0, "b": 0}, {"p": 1, "q": 2, "u": 100}, rows)
    assert np.array_equal(descended(problem, bits("10")).x, bits("01"))


def test_without_time_nothing_changes(two_servers_three_models, bits):
    """No time left: the placement comes back as it was."""
    x = bits("110110")
    assert np.array_equal(improved(two_servers_three_models, x, Deadline(0.0)), x)


def test_two_small_ones_for_a_large_one_and_back(bits):
    """A full budget is left by no single move; two leave for one, or one for two, where that is better."""

    def knapsack(large):
        rows = [({"y" + k: 1, k: -1}, -INF, 0) for k in "abc"]
        rows += [({"a": 2, "b": 2, "c": 4}, -INF, 4), ({"ya": 1, "yb": 1, "yc": 1}, -INF, 9)]
        return problem_of({"a": 0, "b": 0, "c": 0}, {"ya": 3, "yb": 3, "yc": large}, rows)

    for large, start, end in ((7, "110", "001"), (5, "001", "110")):
        problem = knapsack(large)
        structure = analyse(problem)
        step = OffloadingStep(structure, HighsBackend())
        lagrangians = [price(structure, np.zeros(problem.n_rows))]
        single = end_of_descent(step, step(bits(start)), list(lagrangians), double=False)
        double = end_of_descent(step, step(bits(start)), list(lagrangians))
        step.close()
        assert np.array_equal(single.x, bits(start))
        assert np.array_equal(double.x, bits(end))


def test_fixed_variables_stay(bits):
    """An x that must be 1 is never taken out, one that must be 0 never put in."""
    problem = problem_of({"a": (-5, 1, 1), "b": (5, 0, 0), "c": 1}, {}, [])
    assert np.array_equal(improved(problem, bits("100")), bits("101"))


@settings(deadline=None, max_examples=40)
@given(problem=linear_problems(bounded=True), data=st.data())
def test_never_worse_and_never_beyond_a_row(problem, data):
    """From any placeable start the result is placeable and at least as good; feasible stays feasible."""
    structure = analyse(problem)
    bits = st.lists(st.booleans(), min_size=problem.n_onloading, max_size=problem.n_onloading)
    x = np.array(data.draw(bits))
    assume(structure.placeable(x))
    found = improved(problem, x)
    assert structure.placeable(found)
    before, after = best_routing(problem, x), best_routing(problem, found)
    assert after >= before - 1e-6 * max(1.0, abs(before))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.filter_too_much])
@given(problem=location_problems("any"), data=st.data())
def test_where_a_descent_ends_no_move_helps(problem, data):
    """Where F_α is a bound, a descent ends where no single move and no double one is better."""
    structure = analyse(problem)
    assume(structure.exact)
    bits = st.lists(st.booleans(), min_size=problem.n_onloading, max_size=problem.n_onloading)
    x = np.array(data.draw(bits))
    assume(structure.placeable(x))
    found = descended(problem, x)
    assert structure.placeable(found.x)
    surrogate = price(structure, found.duals)
    if found.feasible:
        for other in itertools.chain(
            neighbours(structure, found.x, surrogate), neighbours(structure, found.x, surrogate, double=True)
        ):
            assert best_routing(problem, other) <= found.objective + 1e-6 * max(1.0, abs(found.objective))


@settings(deadline=None, max_examples=50)
@given(problem=linear_problems(), data=st.data())
def test_moves_keep_the_rows(problem, data):
    """From a placeable x a move is kept if and only if what it leads to is placeable."""
    structure = analyse(problem)
    n = problem.n_onloading
    x = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    assume(structure.placeable(x))
    out, into = np.append(np.flatnonzero(x), -1), np.append(np.flatnonzero(~x), -1)
    leave, enter = (list(itertools.combinations([*side, -1], 2)) for side in (out, into))
    pairs = [(j, k) for j in leave for k in enter if max(*j, *k) >= 0]
    assume(pairs)
    moves = Moves(
        *(np.array(side, dtype=np.int64) for side in zip(*pairs, strict=True)), np.zeros(len(pairs))
    )
    kept = keeps_rows(structure, x, moves)
    rows = structure.placement_rows
    for (j, k), keeps in zip(pairs, kept, strict=True):
        other = x.copy()
        other[[v for v in (*j, *k) if v >= 0]] ^= True
        within = np.all(structure.placement_violation(other) <= structure.placement_tolerance)
        assert keeps == (within or not len(rows))


def test_what_nothing_needs_is_not_placed(bits):
    """A placed variable that opens only unused columns goes; one that a row or its own gain needs stays."""
    problem = problem_of(
        {"a": 0, "b": 0, "c": 0.5, "d": 0, "e": 0},
        {"p": 2, "q": 1, "r": 1},
        [
            ({"p": 1, "q": 1, "r": 1}, -INF, 1),
            ({"p": 1, "a": -1}, -INF, 0),
            ({"q": 1, "b": -1}, -INF, 0),
            ({"r": 1, "c": -1}, -INF, 0),
            ({"d": 1, "e": 1}, 1, INF),
        ],
    )
    with_step = OffloadingStep(analyse(problem), HighsBackend())
    routing = with_step(np.array([True, True, True, True, False]))
    with_step.close()
    lean = drop_idle(problem, routing)
    assert lean.x.tolist() == [True, False, True, True, False]
    assert lean.objective == routing.objective == pytest.approx(2.5)
    assert np.all(lean.y == routing.y)
