"""A shrunk model keeps every point that is better than the known one."""

from dataclasses import replace

import numpy as np
import pytest
from block_problems import clients
from hypothesis import given, settings
from hypothesis import strategies as st
from random_problems import tighten
from scipy import sparse
from small_problems import INF, brute_force, linear_problems

from pyomo_j3o.certify.shrinking import shrink
from pyomo_j3o.lp import LinearModel
from pyomo_j3o.mip import Limits, MIPModel, solve_checked
from pyomo_j3o.mip.highs import HighsMIP


def optimum_of(model):
    """Return the optimum of a model by HiGHS; -inf if it is infeasible."""
    return solve_checked(HighsMIP(), MIPModel(model), Limits(rel_gap=0.0)).objective


def either_of(first, second, integer):
    """Return a model of two columns between 0 and 1 that share one unit, with these objectives."""
    return LinearModel(
        np.array([first, second]),
        sparse.csr_array([[1.0, 1.0]]),
        np.array([-INF]),
        np.array([1.0]),
        np.zeros(2),
        np.ones(2),
        np.array([integer, integer]),
    )


def check(problem, below):
    """Shrink at a known value that is `below` the optimum, and compare the optima."""
    _, tightened = tighten(problem)
    best = brute_force(problem) - problem.objective_constant
    if tightened is None or not np.isfinite(best):
        return None
    model, duals = tightened.model, tightened.solution.row_duals
    reduced = model.objective - model.matrix.T @ duals
    shrunk = shrink(model, reduced, tightened.bound - (best - below))
    found = optimum_of(shrunk.model) + shrunk.constant if len(shrunk.free) else shrunk.constant
    assert found == pytest.approx(best, abs=1e-5 * max(1.0, abs(best)))
    return shrunk


@settings(max_examples=40, deadline=None)
@given(problem=linear_problems(most_x=4, most_y=3), below=st.sampled_from([1e-3, 0.1, 1.0, 10.0]))
def test_the_optimum_survives(problem, below):
    """Reduced costs rule out only what is no better than the known value."""
    check(problem, below)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_optimum_survives_in_blocks(seed):
    """The same with links, which close the columns of an x that is ruled out."""
    check(clients(np.random.default_rng(seed))[0], 1e-3)


def test_what_costs_more_than_the_gap_is_fixed():
    """A narrow gap leaves fewer columns than a wide one, and points go there and back."""
    problem, _ = clients(np.random.default_rng(5), 4, 4)
    narrow, wide = check(problem, 1e-3), check(problem, 100.0)
    assert len(narrow.free) < len(wide.free)
    values = narrow.restore(narrow.model.lower)
    assert np.array_equal(narrow.reduce(values), narrow.model.lower)
    outside = values.copy()
    fixed = np.setdiff1d(np.arange(len(values)), narrow.free)
    outside[fixed[0]] += 1.0
    assert narrow.reduce(outside) is None


def test_rows_that_are_not_kept_are_left_out():
    """The caller says which rows count."""
    problem, _ = clients(np.random.default_rng(6))
    _, tightened = tighten(problem)
    model = replace(tightened.model)
    none = np.zeros(model.n_rows, dtype=bool)
    assert shrink(model, np.zeros(model.n_columns), 1.0, none).model.n_rows == 0


@pytest.mark.parametrize(("gap", "stays"), [(1.5, True), (1.01, True), (0.99, False)])
def test_a_column_stays_as_long_as_its_cost_is_within_the_gap(gap, stays):
    """The second of two binaries costs 1 more than the first: it goes once the gap is smaller."""
    ones = np.ones(2)
    binary = np.array([True, True])
    model = LinearModel(
        np.array([10.0, 9.0]),
        sparse.csr_array([[1.0, 1.0]]),
        -INF * ones[:1],
        ones[:1],
        0 * ones,
        ones,
        binary,
    )
    shrunk = shrink(model, np.array([0.0, -1.0]), gap)
    assert (1 in shrunk.free) is stays


def test_a_flow_keeps_what_the_gap_pays_for():
    """A continuous column at a cost of 2 per unit keeps half a unit of a gap of 1."""
    shrunk = shrink(either_of(10.0, 8.0, integer=False), np.array([0.0, -2.0]), 1.0)
    assert shrunk.model.upper.tolist() == [1.0, pytest.approx(0.5)]
