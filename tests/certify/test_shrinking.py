"""A shrunk model keeps every point that is better than the known one."""

from dataclasses import replace

import numpy as np
import pytest
from block_problems import clients
from hypothesis import given, settings
from hypothesis import strategies as st
from random_problems import tighten
from small_problems import brute_force, linear_problems

from pyomo_j3o.certify.shrinking import shrink
from pyomo_j3o.mip import Limits, MIPModel, solve_checked
from pyomo_j3o.mip.highs import HighsMIP


def optimum_of(model):
    """Return the optimum of a model by HiGHS; -inf if it is infeasible."""
    return solve_checked(HighsMIP(), MIPModel(model), Limits(rel_gap=0.0)).objective


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


@settings(max_examples=60, deadline=None)
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
