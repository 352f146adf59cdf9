"""Tests of the cuts that set-ups in capacity rows imply."""

import itertools

import numpy as np
import pytest
from batching_models import Drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_lp import lp_maximum
from small_problems import linear_problems, location_problems, problem_of

from pyomo_j3o.certify.mir import BaseRows
from pyomo_j3o.certify.setup_cuts import setup_cuts
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.modeling.compiler import compile_model
from pyomo_j3o.presolve.setup_payers import charge_when_used

INF = float("inf")


def cuts_of(problem):
    """Return the cuts of a linear problem as a dense array over (x, y)."""
    return setup_cuts(BaseRows.of(analyse(problem)), problem.offloading_upper).toarray()


def highest(problem, x, row):
    """Return the largest value of a row over (x, y) among all routings of a placement; -inf without one."""
    n = problem.n_onloading
    body = problem.onloading_rows @ x.astype(float)
    sides = problem.row_lower - body, problem.row_upper - body
    columns = problem.offloading_lower, problem.offloading_upper
    return row[:n] @ x + lp_maximum(row[n:], problem.offloading_rows.toarray(), *sides, *columns)


@settings(deadline=None, max_examples=40)
@given(problem=st.one_of(linear_problems(), location_problems("any")))
def test_no_plan_is_cut_off(problem):
    """At every placement, and whatever the routing, every cut holds."""
    for row in cuts_of(problem):
        for x in itertools.product([False, True], repeat=problem.n_onloading):
            placed = np.array(x)
            if np.all(placed >= problem.onloading_lower) and np.all(placed <= problem.onloading_upper):
                assert highest(problem, placed, row) <= 1e-6


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_no_plan_of_windows_is_cut_off(seed):
    """The same on random systems with batching windows, where the cuts are many."""
    problem = charge_when_used(compile_model(Drawn(seed).model())[0], negligible=False).problem
    for row in cuts_of(problem):
        for x in itertools.product([False, True], repeat=problem.n_onloading):
            assert highest(problem, np.array(x), row) <= 1e-6


def test_what_a_set_up_leaves():
    """In 3 a + 4 b + p + 2 q <= 10 there are 7 at most for p <= 20 a, and 6 for 2 q, q <= 2 b."""
    rows = [
        ({"a": 3, "b": 4, "p": 1, "q": 2}, -INF, 10),
        ({"p": 1, "a": -20}, -INF, 0),
        ({"q": 1, "b": -2}, -INF, 0),
    ]
    problem = problem_of({"a": 0, "b": 0}, {"p": (1, 0, 20), "q": (1, 0, 2)}, rows)
    # What q can be at most is less than what is left for it: the link says so already.
    assert cuts_of(problem).tolist() == [pytest.approx([-7, 0, 1, 0])]


def test_without_set_ups_there_is_nothing_to_say():
    """A capacity row over y alone, or with a term that frees capacity, gives no cut."""
    link = ({"p": 1, "a": -9}, -INF, 0)
    for row in ({"p": 1, "q": 2}, {"a": 3, "b": -1, "p": 1}):
        problem = problem_of({"a": 0, "b": 0}, {"p": (1, 0, 9), "q": (1, 0, 9)}, [(row, -INF, 5), link])
        assert len(cuts_of(problem)) == 0
