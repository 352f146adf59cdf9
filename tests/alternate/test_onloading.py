"""Greedy on F_α: respects every budget, follows the plain greedy, and keeps its ratio."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from small_problems import INF, linear_problems, location_problems, placements, problem_of

from pyomo_j3o.alternate.greedy_state import GreedyState
from pyomo_j3o.alternate.lagrangian import price
from pyomo_j3o.alternate.onloading import greedy, greedy_onloading
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.improve.feasibility import nearest_placement
from pyomo_j3o.lp import LPStatus


def greedy_in_loops(surrogate, sizes=None):
    """Return the greedy placement, recomputing F for every candidate; knapsacks only."""
    structure = surrogate.structure
    n = structure.problem.n_onloading
    sizes = np.ones(n) if sizes is None else sizes
    x = np.zeros(n, dtype=bool)
    while True:
        gains = {}
        for k in np.flatnonzero(~x):
            more = x | (np.arange(n) == k)
            if structure.placeable(more):
                gains[k] = (surrogate.value(more) - surrogate.value(x)) / sizes[k]
        if not gains or max(gains.values()) <= 1e-9:
            return x
        x[max(gains, key=gains.get)] = True


def test_by_hand(two_servers_three_models, bits):
    """Models of sizes 1, 1, 2 in a memory of 2: both servers take the model of size 2, worth 0.9 twice."""
    problem = two_servers_three_models
    x = greedy_onloading(analyse(problem), np.zeros(problem.n_rows))
    # On server 0 task A is in the cloud's hands: model 1 (0.8 per unit) goes first by density, then model 0
    # would add nothing; plainly model 2 adds 0.9.
    assert np.array_equal(x[3:], bits("001"))
    assert np.array_equal(x[:3], bits("001"))


def test_prices_of_capacity_open_what_has_capacity(two_depots_two_shops, bits):
    """At α = 0 the cheap depot b seems to serve all; at α = 3 the capacity of both is worth its cost."""
    structure = analyse(two_depots_two_shops)
    assert np.array_equal(greedy_onloading(structure, np.zeros(4)), bits("01"))
    assert np.array_equal(greedy_onloading(structure, np.array([0.0, 0.0, 3.0, 3.0])), bits("11"))


def test_a_variable_that_must_be_placed_is_placed(bits):
    """Lower bounds of x are kept, upper ones too, whatever they are worth."""
    problem = problem_of({"a": (-9, 1, 1), "b": (9, 0, 0), "c": 1}, {})
    assert np.array_equal(greedy_onloading(analyse(problem), np.zeros(0)), bits("101"))


@pytest.mark.parametrize("how", ["bound", "row", "row from below"])
def test_a_cloud_that_is_closed_keeps_no_model_away(bits, how):
    """The cloud would be worth 9, but takes nothing: the model is placed, however it is closed."""
    y = {"a": 5, "cloud": (9, 0, 0 if how == "bound" else 1)}
    rows = [({"a": 1, "cloud": 1}, -INF, 1), ({"a": 1, "x": -1}, -INF, 0)]
    rows += {"bound": [], "row": [({"cloud": 2}, -INF, 0)], "row from below": [({"cloud": -1}, 0, INF)]}[how]
    problem = problem_of({"x": -1}, y, rows)
    assert np.array_equal(greedy_onloading(analyse(problem), np.zeros(problem.n_rows)), bits("1"))


@given(location_problems(gates="any"), st.data())
@settings(deadline=None, max_examples=60)
def test_a_column_fixed_at_0_does_not_change_what_greedy_places(problem, data):
    """One more option for every demand, worth more than all others and fixed at 0, is as good as none."""
    n, n_groups = problem.n_onloading, len(analyse(problem).demand_rows)
    more = np.zeros((problem.n_rows, n_groups))
    more[analyse(problem).demand_rows, np.arange(n_groups)] = 1.0
    opener = data.draw(st.lists(st.integers(-1, n - 1), min_size=n_groups, max_size=n_groups))
    links = [g for g in range(n_groups) if opener[g] >= 0]
    opened, closed = np.zeros((len(links), n)), np.zeros((len(links), n_groups))
    opened[np.arange(len(links)), [opener[g] for g in links]] = -1.0
    closed[np.arange(len(links)), links] = 1.0
    before = sparse.hstack([problem.offloading_rows, sparse.csr_array(more)])
    after = np.hstack([np.zeros((len(links), problem.n_offloading)), closed])
    zeros = np.zeros(n_groups)
    wider = replace(
        problem,
        offloading_objective=np.concatenate([problem.offloading_objective, np.full(n_groups, 100.0)]),
        offloading_lower=np.concatenate([problem.offloading_lower, zeros]),
        offloading_upper=np.concatenate([problem.offloading_upper, zeros]),
        onloading_rows=sparse.csr_array(np.vstack([problem.onloading_rows.toarray(), opened])),
        offloading_rows=sparse.csr_array(np.vstack([before.toarray(), after])),
        row_lower=np.concatenate([problem.row_lower, np.full(len(links), -INF)]),
        row_upper=np.concatenate([problem.row_upper, np.zeros(len(links))]),
    )
    prices = np.array([data.draw(st.sampled_from([0.0, 0.5, 2.0])) for _ in range(problem.n_rows)])
    structure = analyse(wider)
    assert structure.exact == analyse(problem).exact
    longer = np.concatenate([prices, np.zeros(len(links))])
    assert np.array_equal(greedy_onloading(structure, longer), greedy_onloading(analyse(problem), prices))


def test_a_covering_row_is_filled_with_what_costs_least(bits):
    """A + b + c >= 2 takes the two that lose least."""
    rows = [({"a": 1, "b": 1, "c": 1}, 2, INF)]
    problem = problem_of({"a": -5, "b": -1, "c": -2}, {}, rows)
    assert np.array_equal(greedy_onloading(analyse(problem), np.zeros(1)), bits("011"))


def test_a_bundle_is_placed_where_only_its_whole_pays(bits):
    """With a <= b, b costs 1 and a earns 3: neither is taken alone, both together are."""
    problem = problem_of({"a": 3, "b": -1}, {}, [({"a": 1, "b": -1}, -INF, 0)])
    assert np.array_equal(greedy_onloading(analyse(problem), np.zeros(1)), bits("11"))


def test_a_chain_of_requirements_is_placed_whole(bits):
    """A <= b <= c: the closure counts, not only the next requirement."""
    rows = [({"a": 1, "b": -1}, -INF, 0), ({"b": 1, "c": -1}, -INF, 0)]
    problem = problem_of({"a": 5, "b": -1, "c": -2}, {}, rows)
    assert np.array_equal(greedy_onloading(analyse(problem), np.zeros(2)), bits("111"))
    dear = problem_of({"a": 5, "b": -1, "c": -7}, {}, rows)
    assert np.array_equal(greedy_onloading(analyse(dear), np.zeros(2)), bits("000"))


@settings(deadline=None, max_examples=70)
@given(problem=linear_problems(), data=st.data())
def test_greedy_never_leaves_a_row_it_began_in(problem, data):
    """Rows that the empty placement satisfies from above stay satisfied from above, by either order.

    So do the bounds of x.
    """
    structure = analyse(problem)
    prices = np.array([data.draw(st.sampled_from([0.0, 1.0, -1.0])) for _ in range(problem.n_rows)])
    begin = problem.onloading_lower > 0.5
    rows = structure.placement_rows
    upper = problem.row_upper[rows]
    inside = structure.placement_matrix @ begin.astype(float) <= upper + 1e-9
    for by_density in (True, False):
        x = greedy(price(structure, prices), by_density)
        assert np.all(x >= begin)
        assert np.all(x <= problem.onloading_upper)
        assert np.all((structure.placement_matrix @ x.astype(float))[inside] <= upper[inside] + 1e-8)


@settings(deadline=None, max_examples=70)
@given(problem=linear_problems(), data=st.data())
def test_after_the_repair_a_placement_is_placeable_if_any_is(problem, data):
    """Whatever greedy or a reader's step misses, the nearest placement satisfies, with the fewest changes.

    None is returned only where no placement exists.
    """
    structure = analyse(problem)
    n = problem.n_onloading
    candidates = [z for z in placements(problem) if structure.placeable(z)]
    for x in (
        greedy_onloading(structure, np.zeros(problem.n_rows)),
        np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n))),
    ):
        status, nearest = nearest_placement(structure, x, INF)
        if nearest is None:
            assert status is LPStatus.INFEASIBLE
            assert not candidates
        else:
            assert structure.placeable(nearest)
            assert np.sum(nearest != x) == min(np.sum(z != x) for z in candidates)


@settings(deadline=None, max_examples=50)
@given(problem=location_problems("one", placement=False), data=st.data())
def test_gains_are_kept_exact(problem, data):
    """From any start, after any additions, `gain` is F(S + k) - F(S) to the last one: no gain goes stale.

    Where no x opens two columns of one group and each has one gate.
    """
    surrogate = price(analyse(problem), np.zeros(problem.n_rows))
    n = problem.n_onloading
    state = GreedyState(surrogate, np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n))))
    for k in data.draw(st.permutations(np.flatnonzero(~state.x).tolist())):
        for j in np.flatnonzero(~state.x):
            more = state.x | (np.arange(n) == j)
            assert state.gain[j] == pytest.approx(surrogate.value(more) - surrogate.value(state.x), abs=1e-9)
        state.add(k)


sizes_and_budget = st.tuples(st.lists(st.integers(1, 6), min_size=5, max_size=5), st.integers(2, 12))


def under_a_budget(problem, sizes, budget, monotone=True):
    """Return `problem` with one knapsack over all x; costs of x dropped for a monotone F."""
    n = problem.n_onloading
    x = {f"x{i}": 0 if monotone else float(problem.onloading_objective[i]) for i in range(n)}
    y = {f"y{j}": float(c) for j, c in enumerate(problem.offloading_objective)}
    names = [*x, *y]
    both = np.hstack([problem.onloading_rows.toarray(), problem.offloading_rows.toarray()])
    rows = [
        ({name: v for name, v in zip(names, row, strict=True) if v}, low, high)
        for row, low, high in zip(both, problem.row_lower, problem.row_upper, strict=True)
    ]
    rows.append(({f"x{i}": sizes[i] for i in range(n)}, -INF, budget))
    return problem_of(x, y, rows)


@settings(deadline=None, max_examples=50)
@given(
    problem=location_problems("one", most_x=5, placement=False),
    knapsack=sizes_and_budget,
    by_density=st.booleans(),
)
def test_greedy_is_the_textbook_greedy(problem, knapsack, by_density):
    """Kept gains lead to the same F as greedy that computes every gain anew, by gain and by density."""
    sizes, budget = knapsack
    problem = under_a_budget(problem, sizes, budget, monotone=False)
    surrogate = price(analyse(problem), np.zeros(problem.n_rows))
    n = problem.n_onloading
    # Distinct gains, so that ties do not decide.
    values = surrogate.modular + 1e-3 * np.arange(n) ** 2
    surrogate = type(surrogate)(
        surrogate.structure, values, surrogate.worth, surrogate.base, surrogate.constant
    )
    expected = greedy_in_loops(surrogate, np.array(sizes[:n]) / budget if by_density else None)
    assert surrogate.value(greedy(surrogate, by_density)) == pytest.approx(
        surrogate.value(expected), abs=1e-6
    )


@settings(deadline=None, max_examples=50)
@given(problem=location_problems("one", most_x=5, placement=False), knapsack=sizes_and_budget)
def test_ratio_with_one_knapsack(problem, knapsack):
    """F monotone and one knapsack: the better of both greedy placements reaches ½(1 - 1/e) of the best."""
    problem = under_a_budget(problem, *knapsack)
    structure = analyse(problem)
    surrogate = price(structure, np.zeros(problem.n_rows))
    nothing = surrogate.value(np.zeros(problem.n_onloading, dtype=bool))
    best = max(surrogate.value(x) for x in placements(problem) if structure.placeable(x))
    found = surrogate.value(greedy_onloading(structure, np.zeros(problem.n_rows)))
    assert found - nothing >= 0.5 * (1 - math.exp(-1)) * (best - nothing) - 1e-9


@settings(deadline=None, max_examples=50)
@given(
    problem=location_problems("one", most_x=5, placement=False),
    limits=st.tuples(st.integers(1, 2), st.integers(1, 2)),
)
def test_ratio_over_a_partition(problem, limits):
    """F monotone and a limit on the number in each of two classes: plain greedy reaches half of the best."""
    partition = under_a_budget(problem, [1] * 5, 9)
    n = partition.n_onloading
    classes = np.array([[float(i % 2 == part) for i in range(n)] for part in (0, 1)])
    # The two classes replace the knapsack, which is the last row.
    partition = replace(
        partition,
        onloading_rows=sparse.csr_array(np.vstack([partition.onloading_rows.toarray()[:-1], classes])),
        offloading_rows=sparse.csr_array(
            np.vstack([partition.offloading_rows.toarray()[:-1], np.zeros((2, partition.n_offloading))])
        ),
        row_lower=np.append(partition.row_lower, -INF),
        row_upper=np.concatenate([partition.row_upper[:-1], limits]),
    )
    structure = analyse(partition)
    surrogate = price(structure, np.zeros(partition.n_rows))
    nothing = surrogate.value(np.zeros(n, dtype=bool))
    best = max(surrogate.value(x) for x in placements(partition) if structure.placeable(x))
    found = surrogate.value(greedy(surrogate, by_density=False))
    assert found - nothing >= 0.5 * (best - nothing) - 1e-9


def test_start_is_kept(bits):
    """Greedy that begins with a placement only adds to it."""
    problem = problem_of({"a": -5, "b": 1, "c": 1}, {}, [({"a": 1, "b": 1, "c": 1}, -INF, 2)])
    x = greedy(price(analyse(problem), np.zeros(1)), by_density=False, start=bits("100"))
    assert x[0]
    assert x.sum() == 2


def test_combinations_of_kinds_do_not_crash():
    """No x, no y, no rows: each combination returns an array of the right shape."""
    for n, k in itertools.product((0, 2), (0, 2)):
        problem = problem_of({f"x{i}": 1 for i in range(n)}, {f"y{j}": 1 for j in range(k)})
        assert greedy_onloading(analyse(problem), np.zeros(0)).tolist() == [True] * n
