"""F_α against its definition, written out in loops, and against the LP that it is to bound."""

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from small_problems import INF, best_routing, linear_problems, location_problems, placements, problem_of

from pyomo_j3o.alternate.lagrangian import marginals, missing_links, price
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.improve.neighbourhood import Neighbourhood


def gates(problem):
    """Return per y the sets of x that must each hold a placed one: from rows a·y <= Σ b·x, all b > 0."""
    found = [set() for _ in range(problem.n_offloading)]
    routing, placing = problem.offloading_rows.toarray(), problem.onloading_rows.toarray()
    for i in range(problem.n_rows):
        openers = frozenset(np.flatnonzero(placing[i] < 0).tolist())
        if problem.row_upper[i] == 0 and openers and np.all(placing[i] <= 0) and np.all(routing[i] >= 0):
            for j in np.flatnonzero(routing[i]):
                found[j].add(openers)
    return found


def value_by_definition(problem, structure, prices, x):
    """Return Σ_k (d_k - Σ_r α_r B_rk) + Σ_g max(base_g, best open c_h - Σ_r α_r A_rh) for 0/1 demands."""
    routing, placing = problem.offloading_rows.toarray(), problem.onloading_rows.toarray()
    charged = [r for r in range(problem.n_rows) if r in set(structure.priced_rows.tolist())]
    total = 0.0
    for k in np.flatnonzero(x):
        total += problem.onloading_objective[k] - sum(prices[r] * placing[r, k] for r in charged)
    for g, row in enumerate(structure.demand_rows):
        candidates = [-structure.group_penalty[g] if problem.row_lower[row] > 0 else 0.0]
        for h in np.flatnonzero(routing[row]):
            if all(any(x[k] for k in opener) for opener in gates(problem)[h]):
                paid = sum(prices[r] * routing[r, h] for r in charged)
                candidates += [problem.offloading_objective[h] - paid]
        total += max(candidates)
    return total


def draw_prices(data, problem):
    """Prices of the right sign: >= 0 on upper sides, <= 0 on lower sides."""
    prices = np.zeros(problem.n_rows)
    for r in range(problem.n_rows):
        choices = [0.0]
        if np.isfinite(problem.row_upper[r]):
            choices += [0.5, 2.0]
        if np.isfinite(problem.row_lower[r]):
            choices += [-1.0]
        prices[r] = data.draw(st.sampled_from(choices))
    return prices


def test_value_worked_out_by_hand(two_servers_three_models, bits):
    """Model 2 everywhere: 0.9 four times, and the cloud's 1.0 instead where it may be used whole."""
    surrogate = price(analyse(two_servers_three_models), np.zeros(15))
    # Without prices the cloud's own bound (half of A0) is not seen: an ungated column sets the base.
    assert surrogate.value(bits("001001")) == pytest.approx(1.0 + 3 * 0.9)
    assert surrogate.value(bits("110001")) == pytest.approx(1.0 + 0.8 + 2 * 0.9)


def test_prices_of_a_capacity_row_are_charged_and_paid_back(two_depots_two_shops, bits):
    """At α = 1 on depot a: serving shop 1 costs 3 more, opening a pays 10."""
    problem = two_depots_two_shops
    surrogate = price(analyse(problem), np.array([9.0, 9.0, 1.0, 0.0]))  # demand rows are not charged
    assert surrogate.value(bits("10")) == pytest.approx(-3 + 10 + (6 - 3) + (8 - 5))
    assert surrogate.bound(bits("10")) >= best_routing(problem, bits("10")) - 1e-9
    # Depot b serves 4/5 of shop 2 at most.
    assert surrogate.value(bits("01")) == pytest.approx(-2 + 7 + 0.8 * 9)


@settings(deadline=None, max_examples=50)
@given(problem=location_problems("any"), data=st.data())
def test_value_follows_the_definition(problem, data):
    """F_α(S) is what formulation section 3 says, gates of every kind included.

    For demand rows Σ y = 1 or <= 1 whose columns can serve their whole group.
    """
    structure = analyse(problem)
    assume(np.all(structure.share == 1.0))
    prices = draw_prices(data, problem)
    surrogate = price(structure, prices)
    for x in placements(problem):
        assert surrogate.value(x) == pytest.approx(
            value_by_definition(problem, structure, prices, x), abs=1e-7
        )


@settings(deadline=None, max_examples=50)
@given(problem=location_problems("one"), data=st.data())
def test_marginals_are_the_differences_of_f(problem, data):
    """Additions, removals and exchanges are exact where each y has one gate, an x one y per group."""
    structure = analyse(problem)
    n = problem.n_onloading
    lagrangians = [price(structure, draw_prices(data, problem)) for _ in range(2)]
    x = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    change = marginals(lagrangians, x)
    for b, surrogate in enumerate(lagrangians):

        def difference(*flipped, surrogate=surrogate):
            other = x.copy()
            other[list(flipped)] ^= True
            return surrogate.value(other) - surrogate.value(x)

        assert change.bound[b] == pytest.approx(surrogate.bound(x))
        for k in range(n):
            claimed = (change.removal if x[k] else change.addition)[b, k]
            assert claimed == pytest.approx(difference(k), abs=1e-9)
        for j, k in itertools.product(np.flatnonzero(x), np.flatnonzero(~x)):
            mine = (change.which == b) & (change.out == j) & (change.into == k)
            claimed = change.removal[b, j] + change.addition[b, k] + change.interaction[mine].sum()
            assert claimed == pytest.approx(difference(j, k), abs=1e-9)


@settings(deadline=None, max_examples=50)
@given(problem=location_problems("one"), data=st.data())
def test_f_is_submodular(problem, data):
    """With one gate per y, what k adds shrinks as the set grows."""
    n = problem.n_onloading
    surrogate = price(analyse(problem), draw_prices(data, problem))
    large = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    small = large & np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    for k in np.flatnonzero(~large):
        with_k = [s | (np.arange(n) == k) for s in (small, large)]
        gains = [
            surrogate.value(more) - surrogate.value(s) for more, s in zip(with_k, (small, large), strict=True)
        ]
        assert gains[0] >= gains[1] - 1e-9


@settings(deadline=None, max_examples=50)
@given(problem=location_problems("any"), data=st.data())
def test_bound_is_never_below_the_lp(problem, data):
    """F_α(S) plus what the prices pay bounds the LP at S, for any α of the right signs.

    Holds where every y >= 0 is in a row Σ y = b or <= b, whatever its gates.
    """
    structure = analyse(problem)
    surrogate = price(structure, draw_prices(data, problem))
    for x in placements(problem):
        assert surrogate.bound(x) >= best_routing(problem, x) - 1e-7


@settings(deadline=None, max_examples=70, suppress_health_check=[HealthCheck.filter_too_much])
@given(problem=linear_problems(most_y=4, most_rows=6), data=st.data())
def test_bound_is_never_below_the_lp_where_the_structure_is_exact(problem, data):
    """The same on any problem whose structure says `exact`: only then are moves left out for their bound."""
    structure = analyse(problem)
    assume(structure.exact)
    surrogate = price(structure, draw_prices(data, problem))
    for x in placements(problem):
        assert surrogate.bound(x) >= best_routing(problem, x) - 1e-7


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("kind", ["one", "any", "linear"])
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data())
def test_no_move_reaches_more_than_its_bound(kind, double, data):
    """The bound by which a neighbourhood leaves moves out is never below what the move's LP reaches."""
    problem = data.draw(linear_problems() if kind == "linear" else location_problems(kind))
    structure = analyse(problem)
    assume(structure.exact)
    n = problem.n_onloading
    x = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    x = (x & (problem.onloading_upper > 0.5)) | (problem.onloading_lower > 0.5)
    lagrangians = [price(structure, draw_prices(data, problem)) for _ in range(2)]
    moves = Neighbourhood(structure, lagrangians, x, double).moves
    for out, into, reach in zip(moves.out, moves.into, moves.reach, strict=True):
        other = x.copy()
        other[out[out >= 0]] = False
        other[into[into >= 0]] = True
        assert reach >= best_routing(problem, other) - 1e-7


def test_missing_links_count_gates_not_openers(bits):
    """An OR-gate is missing once, until any of its x is placed; two gates are missing twice."""
    rows = [({"p": 1, "a": -1, "b": -1}, -INF, 0), ({"q": 1, "a": -1}, -INF, 0), ({"q": 1, "b": -1}, -INF, 0)]
    structure = analyse(problem_of({"a": 0, "b": 0}, {"p": 1, "q": 1}, rows))
    assert missing_links(structure, bits("00")).tolist() == [1, 2]
    assert missing_links(structure, bits("10")).tolist() == [0, 1]
    assert missing_links(structure, bits("11")).tolist() == [0, 0]
