"""Cover cuts: no placement that fits is cut off, and points that are cut off were fractional."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from small_problems import INF, problem_of

from pyomo_j3o.certify.covers import Knapsacks, separate
from pyomo_j3o.core.structure import analyse


def knapsacks_of(rows, n):
    """Return the `Knapsacks` of ({item: weight}, budget) rows over n variables."""
    return Knapsacks.of(
        analyse(
            problem_of(
                {f"x{i}": 0 for i in range(n)},
                {},
                [({f"x{i}": w for i, w in weights.items()}, -INF, budget) for weights, budget in rows],
            )
        )
    )


def test_a_cover_of_two_worked_out_by_hand():
    """Of two items of size 2 in a budget of 3, one fits: x = (3/4, 3/4) is cut off by x1 + x2 <= 1."""
    cuts, limit = separate(knapsacks_of([({0: 2, 1: 2}, 3)], 2), np.array([0.75, 0.75]))
    assert cuts.toarray().tolist() == [[1, 1]]
    assert limit.tolist() == [1]


def test_an_item_outside_the_cover_is_lifted():
    """Sizes 2, 2, 2, 3 in a budget of 5: {1, 2, 3} is a cover, and item 4 lifts to 1."""
    weights = {0: 2, 1: 2, 2: 2, 3: 3}
    cuts, limit = separate(knapsacks_of([(weights, 5)], 4), np.array([0.85, 0.85, 0.8, 0.0]))
    assert [1, 1, 1, 1] in cuts.toarray().tolist()
    assert set(limit.tolist()) == {2}


def test_what_may_stay_closed_is_a_knapsack():
    """Of capacities 4, 4, 4 for a demand of 7, at most one may stay closed: x = (7/8, 7/8, 0) is cut off."""
    rows = [({0: -4, 1: -4, 2: -4}, -7)]
    cuts, limit = separate(knapsacks_of(rows, 3), np.array([0.875, 0.875, 0.0]))
    assert cuts.toarray().tolist() == [[-1, -1, -1]]
    assert limit.tolist() == [-2]
    below = Knapsacks.of(
        analyse(problem_of({"a": 0, "b": 0, "c": 0}, {}, [({"a": 4, "b": 4, "c": 4}, 7, INF)]))
    )
    again, same = separate(below, np.array([0.875, 0.875, 0.0]))
    assert (again.toarray().tolist(), same.tolist()) == (cuts.toarray().tolist(), limit.tolist())


def test_integer_points_are_not_cut_off():
    """A placement that fits violates nothing, so that no cut comes back."""
    cuts, limit = separate(knapsacks_of([({0: 2, 1: 2, 2: 1}, 3)], 3), np.array([1.0, 0.0, 1.0]))
    assert cuts.shape == (0, 3)
    assert len(limit) == 0


@pytest.mark.parametrize(
    "row",
    [({0: 1, 1: 1}, 2), ({0: 1, 1: -1}, 0), ({0: 1}, INF), ({0: -1, 1: -1, 2: -1}, -1)],
    ids=["admits everything", "precedence", "no side", "covering"],
)
def test_rows_that_are_no_knapsacks_are_left_out(row):
    """Where no set but all of a row is too heavy, or none, there is nothing to separate."""
    assert knapsacks_of([row], 3).n_cells == 0


weights = st.one_of(st.integers(1, 9).map(float), st.floats(0.01, 10.0))
knapsack = st.dictionaries(st.integers(0, 5), weights, min_size=1).flatmap(
    lambda w: st.tuples(st.just(w), st.floats(0.0, 1.1).map(lambda f: f * sum(w.values())))
)


@settings(deadline=None, max_examples=150)
@given(
    rows=st.lists(knapsack, min_size=1, max_size=3),
    x=st.lists(st.floats(0, 1), min_size=6, max_size=6),
    exact=st.booleans(),
    complemented=st.sets(st.integers(0, 5)),
)
def test_no_placement_that_fits_is_cut_off(rows, x, exact, complemented):
    """Every 0/1 point of all knapsacks satisfies every cut, and every cut separates the point given.

    Also where a sum of weights is the budget, up to rounding, and where some x count when they are 0.
    """
    if exact:
        rows = [(w, sum(list(w.values())[: len(w) // 2 + 1])) for w, _ in rows]
    rows = [
        (
            {i: -weight if i in complemented else weight for i, weight in w.items()},
            budget - sum(weight for i, weight in w.items() if i in complemented),
        )
        for w, budget in rows
    ]
    cuts, limit = separate(knapsacks_of(rows, 6), np.array(x))
    assert np.all(cuts @ np.array(x) > limit)
    for point in itertools.product([0.0, 1.0], repeat=6):
        if all(sum(w * point[i] for i, w in row.items()) <= budget for row, budget in rows):
            assert np.all(cuts @ np.array(point) <= limit + 1e-9)


@settings(deadline=None, max_examples=50)
@given(knapsack, st.lists(st.floats(0, 1), min_size=6, max_size=6))
def test_cuts_hold_whole_numbers(row, x):
    """Lifted coefficients are whole and between 0 and the number of members that fit; so is the limit."""
    cuts, limit = separate(knapsacks_of([row], 6), np.array(x))
    assert sparse.issparse(cuts)
    assert np.array_equal(cuts.data, np.round(cuts.data))
    assert np.array_equal(limit, np.round(limit))
    for number in range(len(limit)):
        assert np.all(cuts[[number]].data >= 1)
