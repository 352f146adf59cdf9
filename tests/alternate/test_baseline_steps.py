"""The placements of the baselines: what fits, in the order that their names say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import INF, linear_problems, location_problems, placements, problem_of

from pyomo_j3o.alternate.baselines import AtRandom, apart, most_accurate_first
from pyomo_j3o.core.structure import analyse

STEPS = {
    "most_accurate_first": lambda: most_accurate_first,
    "apart": lambda: apart,
    "random": lambda: AtRandom(0),
}


def placed(step, problem):
    """Return the names' places of what a step places."""
    structure = analyse(problem)
    structure.freeze()  # as a solve hands it over
    return np.flatnonzero(step(structure, np.zeros(problem.n_rows))).tolist()


@pytest.mark.parametrize("name", STEPS)
@settings(max_examples=30, deadline=None)
@given(problem=linear_problems() | location_problems(gates="any"))
def test_bounds_are_kept(name, problem):
    """What must be placed is, and what must not be is not, whatever the rows are."""
    structure = analyse(problem)
    x = STEPS[name]()(structure, np.zeros(problem.n_rows))
    assert x.dtype == bool
    assert np.all(x >= problem.onloading_lower)
    assert np.all(x <= problem.onloading_upper)


@pytest.mark.parametrize("name", STEPS)
@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=2, max_size=6),
    budget=st.integers(0, 12),
    data=st.data(),
)
def test_budgets_are_filled(name, sizes, budget, data):
    """Under budgets the placement is feasible, and nothing that costs nothing would still fit."""
    xs = {f"x{k}": 0 for k in range(len(sizes))}
    worth = data.draw(st.lists(st.integers(1, 9), min_size=len(sizes), max_size=len(sizes)))
    ys = {f"y{k}": w for k, w in enumerate(worth)}
    rows = [({f"x{k}": s for k, s in enumerate(sizes)}, -INF, budget), (dict.fromkeys(ys, 1), -INF, 1)]
    rows += [({f"y{k}": 1, f"x{k}": -1}, -INF, 0) for k in range(len(sizes))]
    x = STEPS[name]()(analyse(problem_of(xs, ys, rows)), np.zeros(len(rows)))
    used = sum(s for s, one in zip(sizes, x, strict=True) if one)
    assert used <= budget
    assert all(one or used + s > budget for s, one in zip(sizes, x, strict=True))


def test_the_best_option_of_every_demand_comes_first():
    """Demand 1 wants a, demand 2 wants b, and both come before c, the second choice of demand 1."""
    xs = {"c": 0, "a": 0, "b": 0}
    ys = {"1c": 8, "1a": 9, "2b": 2, "2c": 1}
    rows = [({"c": 2, "a": 2, "b": 2}, -INF, 4)]
    rows += [({"1c": 1, "1a": 1}, -INF, 1), ({"2b": 1, "2c": 1}, -INF, 1)]
    rows += [({y: 1, y[1]: -1}, -INF, 0) for y in ys]
    assert placed(most_accurate_first, problem_of(xs, ys, rows)) == [1, 2]
    # Together c is worth more beside a than b is: 9 + 1 against 9 + 2; with room for one, c serves both.
    rows[0] = ({"c": 2, "a": 2, "b": 2}, -INF, 2)
    assert placed(most_accurate_first, problem_of(xs, ys, rows)) == [1]
    assert placed(apart, problem_of(xs, ys, rows)) in ([0], [1])


def test_what_costs_is_placed_for_first_choices_and_rows_alone():
    """The depot a is nearest to all: b, which costs, stays closed unless a row asks for two."""
    xs, ys = {"a": -5, "b": -1}, {"1a": -1, "1b": -3, "2a": -1, "2b": -3}
    rows = [({"1a": 1, "1b": 1}, 1, 1), ({"2a": 1, "2b": 1}, 1, 1)]
    rows += [({y: 1, y[1]: -1}, -INF, 0) for y in ys]
    assert placed(most_accurate_first, problem_of(xs, ys, rows, sense=-1)) == [0]
    assert placed(most_accurate_first, problem_of(xs, ys, [*rows, ({"a": 1, "b": 1}, 2, INF)], sense=-1)) == [
        0,
        1,
    ]


def test_apart_sees_no_capacity_and_no_cloud():
    """The cloud would serve all better, and b has all the capacity: a is placed for what it is worth."""
    xs, ys = {"a": 0, "b": 0}, {"ya": 9, "yb": 8, "cloud": 10}
    rows = [({"a": 1, "b": 1}, -INF, 1), (dict.fromkeys(ys, 1), 1, 1)]
    rows += [({"ya": 1, "a": -1}, -INF, 0), ({"yb": 1, "b": -1}, -INF, 0)]
    rows += [({"ya": 9, "cloud": 5}, -INF, 1)]
    assert placed(apart, problem_of(xs, ys, rows)) == [0]


def test_a_row_of_whole_numbers_is_reached():
    """Two of four, no more and no fewer, where a fifth has to come before the first: x0 <= x4."""
    xs = {f"x{k}": 0 for k in range(5)}
    rows = [({f"x{k}": 1 for k in range(4)}, 2, 2), ({"x0": 1, "x4": -1}, -INF, 0)]
    problem = problem_of(xs, {}, rows)
    for name, step in STEPS.items():
        assert analyse(problem).placeable(step()(analyse(problem), np.zeros(2))), name


def test_random_placements_differ_as_long_as_there_are_others():
    """Three of four with equal sizes: four placements, all of them in the first four draws."""
    problem = problem_of({f"x{k}": 0 for k in range(4)}, {}, [({f"x{k}": 1 for k in range(4)}, -INF, 3)])
    step, structure = AtRandom(5), analyse(problem)
    drawn = {step(structure, np.zeros(1)).tobytes() for _ in range(4)}
    assert len(drawn) == 4 == sum(x.sum() == 3 for x in placements(problem))
    assert step(structure, np.zeros(1)).sum() == 3
