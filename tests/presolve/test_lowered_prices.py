"""Prices that are lowered for the search: the same moves are forbidden, and bounds hold at full price."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_problems import by_placement
from small_problems import problem_of, problems

from pyomo_j3o.presolve.lowered_prices import lowered_prices

PRICES = st.lists(st.sampled_from([0.0, 1e-9, 0.3, 2.0, 1e4, 1e7, 1.1e7, 3e11, 1e15, 1e15, 1e60]), min_size=4)


@settings(max_examples=150, deadline=None)
@given(problem=problems(), seed=st.integers(0, 99), prices=PRICES, above=st.sampled_from([0.0, 1e-4, 0.5]))
def test_a_bound_at_lowered_prices_is_one_at_full_price(problem, seed, prices, above):
    """No plan is better than what follows from any bound of the problem with lowered prices."""
    price = np.array((prices * 4)[: problem.n_onloading])
    lowered = lowered_prices(problem, price)
    assert np.all(lowered.price <= price)
    assert np.array_equal(lowered.price > 0, price > 0)
    every, worth = by_placement(problem)
    changed = every != np.random.default_rng(seed).integers(0, 2, problem.n_onloading)
    at_lowered, at_full = worth - changed @ lowered.price, worth - changed @ price
    best = float(at_full.max(initial=-np.inf))
    if not np.isfinite(best):
        return
    bound = float(at_lowered.max()) + above * abs(float(at_lowered.max()))
    assert lowered.bound(bound) >= best - 1e-6 * max(1.0, abs(float(worth[worth > -np.inf].max())))


@settings(max_examples=100, deadline=None)
@given(problem=problems(), seed=st.integers(0, 99), price=st.sampled_from([1e5, 1e9, 1e15, 1e60]))
def test_one_price_loses_nothing(problem, seed, price):
    """Of one price for all, the best plan stays the best one, and the bound is near: by a factor of 2^14."""
    lowered = lowered_prices(problem, np.full(problem.n_onloading, price))
    every, worth = by_placement(problem)
    changed = every != np.random.default_rng(seed).integers(0, 2, problem.n_onloading)
    at_lowered = worth - changed @ lowered.price
    if not lowered.any or not np.isfinite(at_lowered.max(initial=-np.inf)):
        return
    best = int(at_lowered.argmax())
    moves = int(changed[best].sum())
    assert moves == changed.sum(axis=1)[worth > -np.inf].min()
    assert lowered.bound(float(at_lowered[best])) == pytest.approx(
        worth[best] - price * moves, rel=2.0**-14, abs=1e-6
    )


def test_prices_far_apart_keep_their_order():
    """A dear move costs more than all cheaper ones together; like prices keep their ratio."""
    problem = problem_of(dict.fromkeys("abcde", 1.0), {"y": 2.0})
    price = np.array([0.5, 1e9, 3e9, 1e30, 0.0])
    lowered = lowered_prices(problem, price).price
    assert lowered[0] == 0.5
    assert lowered[4] == 0.0
    assert lowered[2] == 3 * lowered[1]
    assert 7.5 < lowered[1] < 1e7
    assert lowered[:3].sum() < lowered[3] < 1e13


def test_a_range_that_is_not_known_lowers_nothing():
    """Without bounds of y, no price is known to be enough."""
    problem = problem_of({"a": 1.0}, {"y": (1.0, 0.0, np.inf)})
    lowered = lowered_prices(problem, np.array([1e12]))
    assert not lowered.any
    assert lowered.bound(3.0) >= 3.0
