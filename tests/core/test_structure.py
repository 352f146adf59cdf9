"""What the rows of a problem are taken for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import INF, at_placement, linear_problems, placements, problem_of

from pyomo_j3o.core.problem import OBJECTIVE
from pyomo_j3o.core.structure import Index, PlacementRows, analyse


def openers(structure):
    """Return {(x, y): cap}."""
    return {
        (int(x), int(y)): float(cap)
        for x, y, cap in zip(structure.opener_x, structure.opener_column, structure.opener_cap, strict=True)
    }


def test_every_kind_of_row_is_told_apart(two_servers_three_models):
    """Budgets are placement rows, y <= x are links, the cloud's share too, and sums of y are demand."""
    structure = analyse(two_servers_three_models)
    assert structure.placement_rows.tolist() == [0, 1]
    assert sorted(structure.demand_rows) == structure.routing_rows.tolist() == [2, 3, 4, 5]
    assert structure.link_rows.tolist() == list(range(6, 15))
    assert len(structure.priced_rows) == 0
    assert np.all(structure.group >= 0)
    assert np.all(structure.group_required)
    # Eight columns have one gate, the cloud's none.
    assert structure.n_links.tolist() == [1] * 8 + [0]


def test_a_capacity_row_opens_its_columns_and_is_priced(two_depots_two_shops):
    """Σ d y <= s x implies y <= (s/d) x; the row itself is priced, the demand rows are not."""
    structure = analyse(two_depots_two_shops)
    assert openers(structure) == {(0, 0): 10 / 3, (0, 2): 2.0, (1, 1): 4 / 3, (1, 3): 0.8}
    assert structure.priced_rows.tolist() == [2, 3]
    assert structure.demand_rows.tolist() == [0, 1]
    assert not np.any(structure.group_required)
    # Depot b can serve 4/5 of shop 2 at most.
    assert structure.share.tolist() == [1.0, 1.0, 1.0, 0.8]


def test_a_gate_written_the_other_way_round_is_a_gate():
    """0 <= 2x - 2y and y - x <= 0 say the same."""
    y = {"p": 1, "q": 1}
    structure = analyse(problem_of({"a": 0}, y, [({"p": 1, "a": -1}, -INF, 0), ({"q": -2, "a": 2}, 0, INF)]))
    assert openers(structure) == {(0, 0): 1.0, (0, 1): 1.0}
    assert structure.n_links.tolist() == [1, 1]


def test_an_or_gate_is_one_link_and_two_gates_are_two():
    """Y <= a + b is opened by either; y <= a with y <= b needs both."""
    rows = [({"p": 1, "a": -1, "b": -1}, -INF, 0), ({"q": 1, "a": -1}, -INF, 0), ({"q": 1, "b": -1}, -INF, 0)]
    structure = analyse(problem_of({"a": 0, "b": 0}, {"p": 1, "q": 1}, rows))
    assert structure.n_links.tolist() == [1, 2]


def test_an_or_gate_beside_a_plain_gate_keeps_both_links_openable():
    """With y <= a and y <= a + b, a alone opens y: no link is left that a does not open."""
    rows = [({"p": 1, "a": -1}, -INF, 0), ({"p": 1, "a": -1, "b": -1}, -INF, 0)]
    structure = analyse(problem_of({"a": 0, "b": 0}, {"p": 1}, rows))
    links_of_a = set(structure.opener_link[structure.opener_x == 0].tolist())
    assert links_of_a == set(structure.opener_link.tolist())


def test_an_implied_gate_beside_the_same_explicit_one_counts_once():
    """Σ d y <= s x with y <= x has one link for each y, not two."""
    rows = [({"p": 2, "q": 3, "a": -4}, -INF, 0), ({"p": 1, "a": -1}, -INF, 0)]
    assert analyse(problem_of({"a": 0}, {"p": 1, "q": 1}, rows)).n_links.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("row", "required"),
    [
        (({"p": 1, "q": 1}, 1, 1), True),
        (({"p": 1, "q": 1}, 0.5, INF), True),
        (({"p": 1, "q": 1}, -INF, 2), False),
        (({"p": 1, "q": 1}, 0, 2), False),
    ],
)
def test_demand_rows(row, required):
    """Positive sums bounded by b > 0 are demand; required unless they only limit from above."""
    structure = analyse(problem_of({"a": 0}, {"p": 1, "q": 1}, [row]))
    assert structure.demand_rows.tolist() == [0]
    assert structure.group_required.tolist() == [required]
    assert structure.group_demand.tolist() == [row[1] if required else row[2]]


@pytest.mark.parametrize(
    ("terms", "lower", "upper"),
    [
        ({"p": 1, "q": -1}, 0, 0),
        ({"p": 1, "q": 1}, -INF, 0),
        ({"p": 1, "q": 1, "a": 1}, -INF, 1),
        ({"p": 1, "r": 1}, -INF, 1),
    ],
    ids=["flow", "b = 0", "holds x", "y below 0"],
)
def test_rows_that_are_no_demand(terms, lower, upper):
    """Conservation rows, empty budgets, mixed rows and rows over negative y are priced."""
    structure = analyse(problem_of({"a": 0}, {"p": 1, "q": 1, "r": (1, -1, 1)}, [(terms, lower, upper)]))
    assert structure.demand_rows.tolist() == []
    assert structure.priced_rows.tolist() == [0]


def test_products_are_refused():
    """`analyse` takes linear problems only and says what to call."""
    with pytest.raises(ValueError, match="linearize"):
        analyse(problem_of({"a": 0}, {"y": 1}, products=[(OBJECTIVE, "a", "y", 1)]))


def test_placeable_forgives_rounding_only(bits):
    """0.1 + 0.2 fits into 0.3; a millionth too much does not."""
    x = {"a": 0, "b": 0}
    assert analyse(problem_of(x, {}, [({"a": 0.1, "b": 0.2}, -INF, 0.3)])).placeable(bits("11"))
    assert not analyse(problem_of(x, {}, [({"a": 0.1, "b": 0.2}, -INF, 0.299999)])).placeable(bits("11"))
    assert not analyse(problem_of({"a": (0, 0, 0)}, {})).placeable(bits("1"))
    assert not analyse(problem_of({"a": (0, 1, 1)}, {})).placeable(bits("0"))


@settings(deadline=None, max_examples=50)
@given(keys=st.lists(st.integers(-1, 4), max_size=12), wanted=st.lists(st.integers(0, 4), unique=True))
def test_index_returns_the_positions_of_keys(keys, wanted):
    """`Index.of_keys` returns the positions of each key, negative keys left out."""
    index = Index.of(np.array(keys, dtype=np.int64), 5)
    expected = [i for k in wanted for i, key in enumerate(keys) if key == k]
    assert index.of_keys(np.array(wanted, dtype=np.int64)).tolist() == expected


@settings(deadline=None, max_examples=50)
@given(problem=linear_problems())
def test_rows_are_divided_without_rest(problem):
    """Each row that holds a variable is a placement, link, demand or priced row, and only one of them."""
    structure = analyse(problem)
    kinds = [structure.placement_rows, structure.link_rows, structure.demand_rows, structure.priced_rows]
    assert sorted(np.concatenate(kinds).tolist()) == list(range(problem.n_rows))
    matrix = problem.offloading_rows.toarray()
    assert np.all(structure.share > 0)
    assert np.all(structure.share <= 1)
    for g, row in enumerate(structure.demand_rows):
        assert set(np.flatnonzero(matrix[row])) == set(np.flatnonzero(structure.group == g))
        assert np.array_equal(matrix[row][matrix[row] > 0], structure.group_weight[structure.group == g])


@settings(deadline=None, max_examples=50)
@given(problem=linear_problems())
def test_link_rows_become_bounds(problem):
    """At any placement, the bounds of y are the tightest of its own and those of the rows it is alone in."""
    structure = analyse(problem)
    for x in placements(problem):
        _, _, matrix, row_lower, row_upper = at_placement(problem, x)
        lower, upper = structure.column_bounds(x)
        for j in range(problem.n_offloading):
            low, high = [problem.offloading_lower[j]], [problem.offloading_upper[j]]
            for i in range(problem.n_rows):
                if np.count_nonzero(matrix[i]) == 1 and matrix[i, j]:
                    sides = row_lower[i] / matrix[i, j], row_upper[i] / matrix[i, j]
                    low.append(min(sides))
                    high.append(max(sides))
            assert lower[j] == pytest.approx(max(low))
            assert upper[j] == pytest.approx(min(high))


@settings(deadline=None, max_examples=50)
@given(problem=linear_problems())
def test_a_column_with_a_closed_gate_is_closed(problem):
    """Where a link has an opener, none is placed and its row has no constant, y cannot exceed 0."""
    structure = analyse(problem)
    for x in placements(problem):
        _, upper = structure.column_bounds(x)
        for link in np.unique(structure.opener_link):
            mine = structure.opener_link == link
            column = structure.opener_column[mine][0]
            if link < len(structure.link_rows):
                row = structure.link_rows[link]
                # The side that holds the column down; the other one may be anything.
                side = problem.row_upper[row] if structure.link_scale[link] > 0 else problem.row_lower[row]
                if side == 0.0 and len(problem.onloading_rows[[row]].data) == mine.sum():
                    assert x[structure.opener_x[mine]].any() or upper[column] <= 0


@settings(deadline=None)
@given(problem=linear_problems())
def test_placement_rows_alone_judge_a_placement_as_the_structure_does(problem):
    """What the whole of a model in parts knows of its placements is what `analyse` would say."""
    rows, structure = PlacementRows.of(problem), analyse(problem)
    assert rows.placement_rows.tolist() == structure.placement_rows.tolist()
    assert [rows.placeable(x) for x in placements(problem)] == [
        structure.placeable(x) for x in placements(problem)
    ]
