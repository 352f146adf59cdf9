"""Products become rows: the same value at every placement, and a way back to y."""

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.optimize import linprog
from small_problems import (
    INF,
    at_placement,
    best_routing,
    linear_problems,
    placements,
    problem_of,
    product_problems,
)

from pyomo_j3o.core.problem import OBJECTIVE, evaluate, violations
from pyomo_j3o.presolve.linearize import UnboundedProductError, linearize


def best_columns(problem, x):
    """Return an optimal y of the linear problem at `x`, or None."""
    _, c, matrix, lower, upper = at_placement(problem, x)
    if not np.isfinite(best_routing(problem, x)):
        return None
    over, under = np.isfinite(upper), np.isfinite(lower)
    return linprog(
        -c,
        np.vstack([matrix[over], -matrix[under]]),
        np.concatenate([upper[over], -lower[under]]),
        bounds=np.column_stack([problem.offloading_lower, problem.offloading_upper]),
    ).x


def test_a_linear_problem_is_passed_on(two_servers_three_models):
    """Without products nothing changes, and recovering is the identity."""
    linearized = linearize(two_servers_three_models)
    assert linearized.problem is two_servers_three_models
    y = np.arange(9.0)
    assert linearized.recover(np.zeros(6, dtype=bool), y).tolist() == y.tolist()


def test_a_column_of_one_product_becomes_the_linear_form():
    """A y that only occurs in x·y is replaced by z <= u x: one row, no column."""
    problem = problem_of({"a": -1}, {"y": (0, 0, 3)}, products=[(OBJECTIVE, "a", "y", 5)])
    linearized = linearize(problem)
    linear = linearized.problem
    assert (linear.n_offloading, linear.n_rows) == (1, 1)
    assert linear.offloading_objective.tolist() == [5]
    assert linear.onloading_rows.toarray().tolist() == [[-3]]
    assert linear.offloading_rows.toarray().tolist() == [[1]]
    assert linearized.gate.tolist() == [0]


def test_a_column_that_also_stands_alone_gets_mccormick_rows():
    """A y outside its products too keeps its column; x·y gets one of its own and up to four rows."""
    problem = problem_of({"a": -1}, {"y": (1, 0, 3)}, products=[(OBJECTIVE, "a", "y", 5)])
    linearized = linearize(problem)
    assert linearized.problem.n_offloading == 2
    assert linearized.problem.n_rows == 4
    assert linearized.gate.tolist() == [-1]


def test_a_column_that_only_takes_elsewhere_becomes_the_linear_form(bits):
    """A y >= 0 that alone only fills a budget and costs something becomes x·y; one that serves does not."""
    fills = ({"y": 2, "w": 1}, -INF, 4)
    serves = ({"y": 1}, 1, INF)
    products = [(OBJECTIVE, "a", "y", 5)]
    columns = {"y": (-1, 0, 3), "w": (1, 0, 9)}
    for rows, gate in (([fills], 0), ([fills, serves], -1)):
        problem = problem_of({"a": -1}, columns, rows, products)
        linearized = linearize(problem)
        assert linearized.gate.tolist() == [gate, -1]
        for x in ("0", "1"):
            assert best_routing(linearized.problem, bits(x)) == pytest.approx(best_routing(problem, bits(x)))


def test_a_closed_column_recovers_the_value_next_to_zero(bits):
    """Behind a closed x a y with bounds 2..3 is put at 2: its product is 0 wherever it is."""
    problem = problem_of({"a": 0}, {"y": (0, 2, 3)}, products=[(OBJECTIVE, "a", "y", 5)])
    linearized = linearize(problem)
    assert linearized.recover(bits("0"), np.zeros(1)).tolist() == [2]
    assert linearized.recover(bits("1"), np.array([2.5])).tolist() == [2.5]


def test_an_unbounded_factor_is_named():
    """A y without an upper bound, and none from the rows, is an error that names it."""
    problem = problem_of({"a": 0}, {"p": 1, "q": (0, 0, INF)}, products=[(OBJECTIVE, "a", "q", 1)])
    with pytest.raises(UnboundedProductError) as error:
        linearize(problem)
    assert error.value.offloading == 1
    assert error.value.side == "upper"


def test_a_bound_that_the_rows_imply_is_enough(bits):
    """P + q <= 4 bounds an open-ended q in a product."""
    rows = [({"p": 1, "q": 1}, -INF, 4)]
    problem = problem_of({"a": 0}, {"p": 1, "q": (0, 0, INF)}, rows, [(OBJECTIVE, "a", "q", 2)])
    linear = linearize(problem).problem
    for x in ("0", "1"):
        assert best_routing(linear, bits(x)) == pytest.approx(best_routing(problem, bits(x)))


def test_a_bound_implied_by_a_row_that_products_weaken_is_not_used(bits):
    """In p + a·q <= 4 a closed a leaves q free, but its product is 0 all the same."""
    problem = problem_of(
        {"a": -1},
        {"p": 1, "q": (0, 0, INF)},
        [({"p": 1}, -INF, 4)],
        [(0, "a", "q", 1), (OBJECTIVE, "a", "q", 2)],
    )
    linear = linearize(problem).problem
    for x in ("0", "1"):
        assert best_routing(linear, bits(x)) == pytest.approx(best_routing(problem, bits(x)))


@settings(deadline=None, max_examples=70)
@given(problem=product_problems())
def test_exact_at_every_placement(problem):
    """At every binary x the linear problem's LP has the value of the LP with x put into the products."""
    linear = linearize(problem).problem
    assert len(linear.products) == 0
    for x in placements(problem):
        expected = best_routing(problem, x)
        found = best_routing(linear, x)
        assert found == expected or found == pytest.approx(expected, abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(problem=product_problems())
def test_what_is_recovered_is_feasible_and_worth_the_same(problem):
    """The y recovered from an optimal point misses no row or bound of the original and has its value."""
    linearized = linearize(problem)
    for x in placements(problem):
        columns = best_columns(linearized.problem, x)
        if columns is None:
            continue
        y = linearized.recover(x, columns)
        point = x.astype(float)
        assert violations(problem, point, y).max(initial=0.0) <= 1e-6
        assert evaluate(problem, point, y) == pytest.approx(best_routing(problem, x), abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(problem=product_problems())
def test_open_ends_are_implied_or_refused(problem):
    """With its bounds taken off, a product's y is either bounded by the rows, exactly, or refused."""
    from dataclasses import replace

    top = problem.offloading_upper.copy()
    top[problem.products.offloading] = INF
    problem = replace(problem, offloading_upper=top)
    try:
        linear = linearize(problem).problem
    except UnboundedProductError:
        return
    for x in placements(problem):
        expected, found = best_routing(problem, x), best_routing(linear, x)
        assert found == expected or found == pytest.approx(expected, abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(problem=linear_problems())
def test_rows_keep_the_container_clean(problem):
    """No stored zeros, no duplicates, and the old rows come first, unchanged."""
    from dataclasses import replace

    from pyomo_j3o.core.problem import Products

    one = np.zeros(1, dtype=np.int64)
    bounded = replace(problem, offloading_upper=np.minimum(problem.offloading_upper, 2.0))
    linear = linearize(replace(bounded, products=Products(one - 1, one, one, np.ones(1)))).problem
    for matrix in (linear.onloading_rows, linear.offloading_rows):
        assert np.all(matrix.data != 0)
        assert matrix.has_canonical_format or len(matrix.data) == len(np.unique(_keys(matrix)))
    m = problem.n_rows
    assert np.array_equal(
        linear.offloading_rows.toarray()[:m, : problem.n_offloading], problem.offloading_rows.toarray()
    )


def _keys(matrix):
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return row * matrix.shape[1] + matrix.indices
