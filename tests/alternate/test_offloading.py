"""The routing LP at a fixed placement: its value, its duals, and its elastic form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import INF, at_placement, beside, best_routing, linear_problems, placements, problem_of

from pyomo_j3o.alternate.offloading import OffloadingByParts, OffloadingStep, Routing
from pyomo_j3o.core.problem import violations
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.lp import HighsBackend, LPStatus
from pyomo_j3o.presolve.decomposing import split


@pytest.fixture
def step_of(backend):
    """Return a function that opens the offloading step of a problem."""
    opened = []

    def of(problem):
        opened.append(OffloadingStep(analyse(problem), backend))
        return opened[-1]

    yield of
    for step in opened:
        step.close()


def test_by_hand(step_of, two_servers_three_models, bits):
    """Model 2 on both servers: 0.9 four times, and half of A0 in the cloud gains 0.05."""
    routing = step_of(two_servers_three_models)(bits("001001"))
    assert routing.status is LPStatus.OPTIMAL
    assert routing.objective == pytest.approx(3.65)
    assert routing.merit == routing.objective
    assert routing.y[8] == pytest.approx(0.5)


def test_a_link_rows_dual_is_what_its_x_would_gain(step_of, two_servers_three_models, bits):
    """The cloud row of A0 (2 y <= 1) is worth 0.05 per unit; closed gates are worth what they would add."""
    routing = step_of(two_servers_three_models)(bits("001001"))
    assert routing.duals[14] == pytest.approx((1.0 - 0.9) / 2)
    assert routing.duals[:2].tolist() == [0, 0]


def test_without_a_model_there_is_no_routing_but_prices(step_of, two_servers_three_models, bits):
    """Where demand cannot be served the elastic LP says so and returns a finite merit and prices."""
    routing = step_of(two_servers_three_models)(bits("000001"))
    assert routing.status is LPStatus.INFEASIBLE
    assert not routing.feasible
    assert routing.solved
    assert routing.objective == -INF
    assert np.isfinite(routing.merit)
    assert np.any(routing.duals != 0)


def test_unserved_demand_always_costs_more_than_serving_it(step_of, two_servers_three_models, bits):
    """The merit of a placement that leaves demand unserved is below that with the demand served."""
    step = step_of(two_servers_three_models)
    assert step(bits("000001")).merit < step(bits("010001")).merit


def test_a_basis_from_an_infeasible_placement_does_no_harm(step_of, two_servers_three_models, bits):
    """Feasible, infeasible, feasible again: the same answer as at first."""
    step = step_of(two_servers_three_models)
    first = step(bits("001001")).objective
    step(bits("000000"))
    assert step(bits("001001")).objective == pytest.approx(first)


def test_links_that_contradict_are_infeasible(step_of, bits):
    """Y >= x and y <= 1 - x cannot both hold at x = 1; the elastic form still answers."""
    rows = [({"y": 1, "a": -1}, 0, INF), ({"y": 1, "a": 1}, -INF, 1), ({"y": 1, "z": 1}, -INF, 1)]
    step = step_of(problem_of({"a": 0}, {"y": 1, "z": 1}, rows))
    assert step(bits("0")).objective == pytest.approx(1)
    routing = step(bits("1"))
    assert routing.status is LPStatus.INFEASIBLE
    assert routing.solved


def test_a_bounded_routing_is_not_called_unbounded(step_of, bits):
    """Although its elastic form has a ray: the penalties are finite, the rows themselves are not crossed."""
    y = {"p": (0, 0, INF), "q": (1, 0, INF), "r": (1, 0, 1)}
    rows = [({"p": 1, "r": 1}, -INF, 1), ({"q": 1, "p": -1000}, 0, 0), ({"r": 1, "a": -1}, -INF, 0)]
    routing = step_of(problem_of({"a": -1}, y, rows))(bits("0"))
    assert routing.status is LPStatus.OPTIMAL
    assert routing.objective == pytest.approx(1000)


def test_unbounded_is_said(step_of, bits):
    """A routing without end is UNBOUNDED."""
    rows = [({"p": 1, "q": -1}, 0, 0)]
    step = step_of(problem_of({"a": 0}, {"p": (1, 0, INF), "q": (0, 0, INF)}, rows))
    assert step(bits("0")).status is LPStatus.UNBOUNDED


def test_no_time_no_routing(step_of, two_servers_three_models, bits):
    """With no time left the status says so."""
    assert step_of(two_servers_three_models)(bits("001001"), 0.0).status is LPStatus.TIME_LIMIT


def test_better_than():
    """Feasible beats infeasible whatever the merits; among equals the merit decides, beyond rounding."""
    x, none = np.zeros(1, dtype=bool), np.zeros(0)

    def routing(status, merit):
        return Routing(x, status, merit, none, none, none, merit)

    good, bad = routing(LPStatus.OPTIMAL, 1.0), routing(LPStatus.INFEASIBLE, 9.0)
    assert good.better_than(bad)
    assert not bad.better_than(good)
    assert routing(LPStatus.OPTIMAL, 1.1).better_than(good)
    assert not routing(LPStatus.OPTIMAL, 1.0 + 1e-12).better_than(good)


@settings(deadline=None, max_examples=60)
@given(problem=linear_problems())
def test_every_placement_has_the_value_of_its_lp(problem):
    """One step called at all placements in turn: value and status are those of the LP solved anew.

    Duals and reduced costs fit together, link rows included, and weak duality holds with equality.
    """
    structure = analyse(problem)
    step = OffloadingStep(structure, HighsBackend())
    for x in placements(problem):
        if not structure.placeable(x):
            continue
        routing, expected = step(x), best_routing(problem, x)
        if routing.status is LPStatus.UNBOUNDED:
            assert expected == INF
        elif routing.status is LPStatus.INFEASIBLE:
            assert expected == -INF
        else:
            assert routing.objective == pytest.approx(expected, abs=1e-6)
            assert violations(problem, x.astype(float), routing.y).max(initial=0.0) <= 1e-7
            assert_dual(problem, x, routing)
    step.close()


def assert_dual(problem, x, routing):
    """Assert that duals and reduced costs prove the routing optimal: Σ price · binding side = value."""
    constant, c, matrix, lower, upper = at_placement(problem, x)
    assert routing.reduced_costs == pytest.approx(c - matrix.T @ routing.duals, abs=1e-6)
    total = constant
    for price, low, high in [
        *zip(routing.duals, lower, upper, strict=True),
        *zip(routing.reduced_costs, problem.offloading_lower, problem.offloading_upper, strict=True),
    ]:
        if abs(price) > 1e-9:
            total += price * (high if price > 0 else low)
    assert total == pytest.approx(routing.objective, abs=1e-5)


@settings(deadline=None, max_examples=40)
@given(problem=linear_problems(bounded=True), data=st.data())
def test_at_least_only_hides_what_is_no_better(problem, data):
    """With a value to exceed, a better routing is still found; otherwise it may be called infeasible."""
    structure = analyse(problem)
    step = OffloadingStep(structure, HighsBackend())
    for x in placements(problem):
        expected = best_routing(problem, x)
        if not (structure.placeable(x) and np.isfinite(expected)):
            continue
        below = step(x, at_least=expected - 0.5)
        assert below.status is LPStatus.OPTIMAL
        assert below.objective == pytest.approx(expected, abs=1e-6)
        above = step(x, at_least=expected + 0.5)
        assert above.status in (LPStatus.OPTIMAL, LPStatus.INFEASIBLE)
        assert above.merit >= expected - 1e-6
    step.close()


@settings(deadline=None, max_examples=40)
@given(problem=linear_problems(bounded=True))
def test_the_elastic_merit_is_never_below_the_routing(problem):
    """`merit` is that of a relaxation: at least the routing's own value, at every placement."""
    structure = analyse(problem)
    step = OffloadingStep(structure, HighsBackend())
    for x in placements(problem):
        if structure.placeable(x):
            assert step(x).merit >= best_routing(problem, x) - 1e-6
    step.close()


@settings(deadline=None, max_examples=40)
@given(
    one=linear_problems(most_x=3, bounded=True), other=linear_problems(most_x=3, bounded=True), data=st.data()
)
def test_parts_keep_their_best(one, other, data):
    """Routed apart, a placement has its value; the best of all parts is a plan no worse than any of them."""
    problem = beside(one, other)
    structure, whole = analyse(problem), split(problem, smallest=0)
    step = OffloadingByParts(whole, [analyse(part.problem) for part in whole.parts], HighsBackend())
    assert step.best is None
    every = [x for x in placements(problem) if structure.placeable(x)]
    best = -INF
    for x in data.draw(st.permutations(every))[:12]:
        routing, value = step(x), best_routing(problem, x)
        best = max(best, value)
        if routing.feasible:
            assert routing.objective == pytest.approx(value, abs=1e-6)
            assert np.array_equal(routing.x, x)
    if np.isfinite(best):
        together = step.best
        assert together.feasible
        assert together.objective >= best - 1e-6
        assert together.objective == pytest.approx(best_routing(problem, together.x), abs=1e-6)
        assert violations(problem, together.x.astype(float), together.y).max(initial=0.0) <= 1e-6
    step.close()


def test_columns_come_in_when_they_are_opened(two_servers_three_models, bits):
    """Whatever was routed before, or announced, a placement has the value of its LP."""
    structure = analyse(two_servers_three_models)
    order = [x for x in placements(two_servers_three_models) if structure.placeable(x)]
    order += order[::-1]
    expected = [best_routing(two_servers_three_models, x) for x in order]
    for announced in (None, "111111", "000000"):
        step = OffloadingStep(structure, HighsBackend())
        if announced is not None:
            step.expect(bits(announced))
        assert [step(x).objective for x in order] == pytest.approx(expected)
        step.close()


def test_a_step_that_is_closed_opens_again(two_servers_three_models):
    """Freed between two placements, alone or as a part, it has the value of every LP all the same."""
    structure, backend = analyse(two_servers_three_models), HighsBackend()
    whole = split(two_servers_three_models, smallest=0)
    step = OffloadingStep(structure, backend)
    parts = OffloadingByParts(whole, [analyse(part.problem) for part in whole.parts], backend)
    for x in placements(two_servers_three_models):
        if structure.placeable(x):
            expected = pytest.approx(best_routing(two_servers_three_models, x))
            assert step(x).objective == expected
            assert parts(x).objective == expected
            step.close()
            parts.rest()
    backend.close()
