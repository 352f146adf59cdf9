"""Independent parts: nothing lost, nothing shared, and the sum of the optima is the optimum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import INF, brute_force, linear_problems, permuted, problem_of

from pyomo_j3o.decomposing import split


def beside(one, other):
    """Return both problems side by side as one, with no row in common."""
    from dataclasses import fields, replace

    from scipy import sparse

    merged = {}
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if sparse.issparse(a):
            merged[field.name] = sparse.csr_array(sparse.block_diag([a, b], format="csr"))
        elif isinstance(a, np.ndarray):
            merged[field.name] = np.concatenate([a, b])
    return replace(one, objective_constant=one.objective_constant + other.objective_constant, **merged)


def test_servers_without_a_common_row_are_apart(two_servers_three_models):
    """Two servers that share nothing are two parts; the first has the same numbers as in the whole."""
    parts = split(two_servers_three_models)
    assert [part.onloading.tolist() for part in parts] == [[0, 1, 2], [3, 4, 5]]
    assert [len(part.rows) for part in parts] == [8, 7]
    first = parts[0].problem
    assert first.onloading_rows.shape == (8, 3)
    assert first.offloading_objective.tolist() == [0.6, 0.8, 0.9, 0.9, 1.0]


def test_the_largest_part_comes_first():
    """Parts are sorted by the number of onloading variables."""
    rows = [({"b": 1, "c": 1}, -INF, 1), ({"a": -1, "y": 1}, -INF, 0)]
    assert [p.onloading.tolist() for p in split(problem_of({"a": 0, "b": 0, "c": 0}, {"y": 1}, rows))] == [
        [1, 2],
        [0],
    ]


def test_a_routing_row_of_its_own_is_left_out():
    """Columns and rows that no x reaches are in no part."""
    (part,) = split(problem_of({"a": 1}, {"p": 1, "q": 1}, [({"p": 1, "q": 1}, -INF, 1)]))
    assert part.offloading.tolist() == []
    assert part.rows.tolist() == []


def test_nothing_to_place_has_no_parts():
    """Without onloading variables there is nothing to search."""
    assert split(problem_of({}, {"y": 1}, [({"y": 2}, -INF, 1)])) == []


@settings(deadline=None, max_examples=60)
@given(one=linear_problems(3, 3, 4), other=linear_problems(2, 2, 3), data=st.data())
def test_the_parts_optima_add_up(one, other, data):
    """Each x is in one part, no row crosses parts, and the best values add up to the best of the whole."""
    whole = beside(one, other)
    orders = [
        np.array(data.draw(st.permutations(range(n))), dtype=np.int64)
        for n in (whole.n_onloading, whole.n_offloading, whole.n_rows)
    ]
    whole = permuted(whole, *orders)
    parts = split(whole)
    assert sorted(np.concatenate([part.onloading for part in parts])) == list(range(whole.n_onloading))
    assert len(parts) >= 2
    for part in parts:
        for matrix, mine in (
            (whole.onloading_rows.toarray(), part.onloading),
            (whole.offloading_rows.toarray(), part.offloading),
        ):
            others = np.setdiff1d(np.arange(matrix.shape[1]), mine)
            assert not matrix[np.ix_(part.rows, others)].any()
    # What no x reaches is the same at every placement: it is a part, too, of an all-routing problem.
    left_y = np.setdiff1d(np.arange(whole.n_offloading), np.concatenate([p.offloading for p in parts]))
    left_rows = np.setdiff1d(np.arange(whole.n_rows), np.concatenate([p.rows for p in parts]))
    rest = _only_routing(whole, left_y, left_rows)
    values = [brute_force(part.problem) for part in parts] + [brute_force(rest)]
    total = brute_force(whole)
    if -INF in values:
        assert total == -INF
    elif INF in values:
        assert total == INF
    else:
        assert total == pytest.approx(whole.objective_constant + sum(values), abs=1e-6)


def _only_routing(problem, ys, rows):
    from pyomo_j3o.decomposing import _part

    return _part(problem, np.zeros(0, dtype=np.int64), ys, rows).problem
