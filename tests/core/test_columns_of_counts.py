"""Integer variables as sums of binary columns."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_problems import INF, problem_of

from pyomo_j3o.core.counting import in_columns
from pyomo_j3o.core.counts import LONGEST, LONGEST_UNARY, Counts
from pyomo_j3o.core.problem import OBJECTIVE, activities, evaluate

RANGES = st.lists(
    st.tuples(st.integers(-50, 50), st.one_of(st.integers(0, 5), st.integers(0, 200), st.just(LONGEST))),
    min_size=1,
    max_size=6,
)


def counts_of(ranges):
    """Return counts of variables with these least values and spans, and of one from 0 to 2 before them."""
    lower = np.array([0.0, *(float(low) for low, _ in ranges)])
    return Counts.of(lower, lower + np.array([2.0, *(float(span) for _, span in ranges)]))


@given(RANGES, st.randoms(use_true_random=False))
def test_every_value_has_its_columns(ranges, random):
    """Values come back as they were, from columns that are all 0 or 1."""
    counts = counts_of(ranges)
    values = np.array([1.0, *(float(low + random.randint(0, span)) for low, span in ranges)])
    x = counts.columns(values)
    assert np.all((x == 0.0) | (x == 1.0))
    assert np.array_equal(counts.values(x), values)


@given(RANGES)
def test_no_columns_leave_the_range(ranges):
    """All columns at 0 are the least value, all at 1 the largest: no row has to cap their sum."""
    counts = counts_of(ranges)
    n = len(counts.variable)
    lower = np.array([0.0, *(low for low, _ in ranges)])
    span = np.array([2.0, *(span for _, span in ranges)])
    binary = (lower >= 0) & (lower + span <= 1)
    assert np.array_equal(counts.values(np.zeros(n)), np.where(binary, 0.0, lower))
    wide = np.maximum(span, 1.0)  # a fixed one keeps a column, which is 0
    assert np.array_equal(counts.values(np.ones(n)), np.where(binary, 1.0, lower + wide))


@pytest.mark.parametrize(("value", "seen"), [(2.4, 2.4), (-1.0, -1.0), (9.0, 9.0), (np.nan, np.nan)])
@pytest.mark.parametrize("span", [5, LONGEST_UNARY + 1])
def test_a_value_that_is_none_is_seen(value, seen, span):
    """It is not rounded in silence: some column is neither 0 nor 1."""
    counts = Counts.of(np.zeros(2), np.array([1.0, float(span)]))
    value = value if value < 9 or np.isnan(value) else span + 4.0
    x = counts.columns(np.array([1.0, value]))
    assert x[0] == 1.0
    assert not np.all((x == 0.0) | (x == 1.0))
    assert counts.values(x)[1] == pytest.approx(value, nan_ok=True)


def test_alike_columns_are_used_from_the_first():
    """Of three replicas in any columns, the first three columns remain."""
    counts = Counts.of(np.array([0.0, 2.0]), np.array([1.0, 7.0]))
    x = np.array([True, False, True, False, True, True])
    assert counts.canonical(x).tolist() == [True, True, True, True, False, False]


def test_rows_objective_and_products_stay():
    """At every placement, body and objective are those of the whole variables."""
    rng = np.random.default_rng(3)
    whole = problem_of(
        x={"a": (1.0, 0, 1), "n": (2.0, -2, 1), "three": (-1.0, 3, 3), "one": (0.5, 1, 1)},
        y={"u": (1.0, 0, 4), "v": (-2.0, 0, 4)},
        rows=[
            ({"a": 2.0, "n": 1.5, "three": 1.0, "one": 4.0, "u": 1.0}, -INF, 5.0),
            ({"n": -1.0, "v": 1.0}, 1.0, INF),
        ],
        products=[(0, "n", "u", 2.0), (OBJECTIVE, "three", "v", 3.0), (1, "a", "u", -1.0)],
    )
    counts = Counts.of(whole.onloading_lower, whole.onloading_upper)
    problem = in_columns(whole, counts)
    shift = whole.onloading_rows @ counts.base
    ends = zip(problem.onloading_lower, problem.onloading_upper, strict=True)
    for x in itertools.product(*(sorted(set(end)) for end in ends)):
        at, y = np.array(x), rng.uniform(0.0, 4.0, 2)
        values = counts.values(at)
        assert np.all((values >= whole.onloading_lower) & (values <= whole.onloading_upper))
        assert evaluate(problem, at, y) == pytest.approx(evaluate(whole, values, y))
        assert activities(problem, at, y) + shift == pytest.approx(activities(whole, values, y))
    assert problem.row_upper.tolist() == [5.0 - shift[0], INF]
