"""Independent parts: nothing lost, nothing shared, and the sum of the optima is the optimum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import INF, beside, brute_force, linear_problems, permuted, problem_of

from pyomo_j3o.certify.cutting import relax
from pyomo_j3o.certify.relaxation import together
from pyomo_j3o.core.deadline import NEVER
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.lp import HighsBackend, LPStatus
from pyomo_j3o.presolve.decomposing import split


def test_servers_without_a_common_row_are_apart(two_servers_three_models):
    """Two servers that share nothing are two parts; the first has the same numbers as in the whole."""
    parts = split(two_servers_three_models, smallest=0).parts
    assert [part.onloading.tolist() for part in parts] == [[0, 1, 2], [3, 4, 5]]
    assert [len(part.rows) for part in parts] == [8, 7]
    first = parts[0].problem
    assert first.onloading_rows.shape == (8, 3)
    assert first.offloading_objective.tolist() == [0.6, 0.8, 0.9, 0.9, 1.0]


def test_the_largest_part_comes_first():
    """Parts are sorted by the number of onloading variables."""
    rows = [({"b": 1, "c": 1}, -INF, 1), ({"a": -1, "y": 1}, -INF, 0)]
    parts = split(problem_of({"a": 0, "b": 0, "c": 0}, {"y": 1}, rows), smallest=1).parts
    assert [p.onloading.tolist() for p in parts] == [[1, 2], [0]]


def test_what_no_x_reaches_is_the_last_part():
    """Columns and rows without any x in their component are one part, the last, without x."""
    rows = [({"p": 1, "q": 1}, -INF, 1), ({"r": 1}, -INF, 1), ({"a": 1, "s": 1}, -INF, 1)]
    problem = problem_of({"a": 1}, {"p": 1, "q": 1, "r": 1, "s": 1}, rows)
    assert len(split(problem).parts) == 1  # too small to be worth it
    for smallest in (0, 1, 5):
        mine, rest = split(problem, smallest).parts
        assert (mine.onloading.tolist(), mine.offloading.tolist(), mine.rows.tolist()) == ([0], [3], [2])
        assert (rest.onloading.tolist(), rest.offloading.tolist(), rest.rows.tolist()) == (
            [],
            [0, 1, 2],
            [0, 1],
        )


def test_a_row_without_columns_is_in_the_last_part():
    """A row that holds nothing may still be impossible: it is not lost."""
    _, rest = split(problem_of({"a": 1}, {}, [({}, 1, 2)]), smallest=0).parts
    assert rest.rows.tolist() == [0]
    assert brute_force(rest.problem) == -INF


def test_nothing_to_place_is_the_rest_alone():
    """Without onloading variables everything is one part; its objective has no constant."""
    (part,) = split(problem_of({}, {"y": 1}, [({"y": 2}, -INF, 1)], constant=7.0)).parts
    assert part.onloading.tolist() == []
    assert part.offloading.tolist() == [0]
    assert part.rows.tolist() == [0]
    assert part.problem.objective_constant == 0.0


def test_one_part_is_the_problem_itself():
    """What is in one piece stays as it is, but for the constant."""
    problem = problem_of({"a": 1}, {"y": 1}, [({"a": -1, "y": 2}, -INF, 1)], constant=7.0)
    (part,) = split(problem, smallest=0).parts
    assert part.problem.onloading_rows is problem.onloading_rows
    assert part.problem.objective_constant == 0.0
    assert split(problem_of({}, {})).parts == ()


def islands(n, size=1):
    """Return `n` components of one x and `size` y each."""
    x, y, rows = {}, {}, []
    for k in range(n):
        x[f"x{k}"] = 1
        y |= {f"y{k}.{j}": 1 for j in range(size)}
        rows.append(({f"x{k}": -1} | {f"y{k}.{j}": 1 for j in range(size)}, -INF, 0))
    return problem_of(x, y, rows)


@pytest.mark.parametrize(
    ("smallest", "most"), [(0, 30), (1, 30), (2, 30), (4, 30), (20, 4), (60, 2), (61, 1), (200, 1)]
)
def test_small_components_share_a_part(smallest, most):
    """30 components of 2 columns each: no part is cut short, and there are no more than asked for."""
    parts = split(islands(30), smallest).parts
    assert len(parts) <= most
    assert sorted(np.concatenate([p.onloading for p in parts])) == list(range(30))
    sizes = [len(p.onloading) + len(p.offloading) for p in parts]
    assert sizes == sorted(sizes, reverse=True)
    if smallest <= 2:
        assert len(parts) == 30
    # All but the first and the last bin have as many columns as asked for.
    assert sum(size < smallest for size in sizes) <= 2


def test_large_components_stay_by_themselves():
    """A component of enough columns shares its part with none, whatever lies between small ones."""
    problem = beside(beside(islands(3), islands(1, 9)), beside(islands(2), islands(1, 12)))
    parts = split(problem, smallest=10).parts
    together = [(len(p.onloading), len(p.offloading)) for p in parts]
    assert (1, 9) in together
    assert (1, 12) in together
    assert sum(x for x, _ in together) == 7


@settings(deadline=None, max_examples=40)
@given(
    one=linear_problems(3, 3, 4),
    other=linear_problems(2, 2, 3),
    smallest=st.sampled_from([0, 1, 3, 5, 200]),
    data=st.data(),
)
def test_the_parts_optima_and_bounds_add_up(one, other, smallest, data):
    """Each x, y and row is in one part, no row crosses parts, and the optima add up to that of the whole.

    So do bounds: their sum is none below the optimum, nor above the relaxation of the whole without cuts.
    """
    whole = beside(one, other)
    orders = [
        np.array(data.draw(st.permutations(range(n))), dtype=np.int64)
        for n in (whole.n_onloading, whole.n_offloading, whole.n_rows)
    ]
    whole = permuted(whole, *orders)
    apart = split(whole, smallest)
    parts = apart.parts
    for name, n in (
        ("onloading", whole.n_onloading),
        ("offloading", whole.n_offloading),
        ("rows", whole.n_rows),
    ):
        assert sorted(np.concatenate([getattr(part, name) for part in parts])) == list(range(n))
    assert len(parts) >= (2 if smallest <= 1 else 1)
    assert all(len(part.onloading) for part in parts[:-1])
    for part in parts:
        for matrix, mine in (
            (whole.onloading_rows.toarray(), part.onloading),
            (whole.offloading_rows.toarray(), part.offloading),
        ):
            others = np.setdiff1d(np.arange(matrix.shape[1]), mine)
            assert not matrix[np.ix_(part.rows, others)].any()
            assert part.problem.objective_constant == 0.0
    values = [brute_force(part.problem) for part in parts]
    total = brute_force(whole)
    if -INF in values:
        assert total == -INF
    elif INF in values:
        assert total == INF
    else:
        assert total == pytest.approx(whole.objective_constant + sum(values), abs=1e-6)
    relaxations = [relax(analyse(part.problem), HighsBackend(), True, NEVER) for part in parts]
    merged = together(apart, relaxations)
    plain = relax(analyse(whole), HighsBackend(), False, NEVER)
    if merged.status is LPStatus.INFEASIBLE:
        assert total == -INF
    elif merged.status is LPStatus.OPTIMAL:
        assert merged.bound == pytest.approx(
            whole.objective_constant + sum(relaxation.bound for relaxation in relaxations)
        )
        assert merged.bound >= total - 1e-6 * max(1.0, abs(total)) or total == -INF
        assert plain.status is LPStatus.OPTIMAL
        assert merged.bound <= plain.bound + 1e-6 * max(1.0, abs(plain.bound))
