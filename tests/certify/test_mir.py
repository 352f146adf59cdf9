"""Mixed-integer rounding cuts: no plan is cut off, the fractional point is, and known sets are tightened."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_problems import by_placement, random_problem
from small_problems import INF, linear_problems, location_problems, problem_of

from pyomo_j3o.certify.mir import BaseRows, separate_rounding
from pyomo_j3o.certify.relaxation import relaxation_model
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.lp import HighsBackend, LPStatus


def cut_at(problem, x, y):
    """Return the cuts that (x, y) violates, dense, and their sides."""
    cuts, limit = separate_rounding(BaseRows.of(analyse(problem)), np.array(x, float), np.array(y, float))
    return cuts.toarray(), limit


def relaxed_point(problem):
    """Return x and y at an optimum of the LP relaxation; None without one."""
    program = HighsBackend().open(relaxation_model(problem))
    found = program.solve()
    program.close()
    if found.status is not LPStatus.OPTIMAL:
        return None
    return found.values[: problem.n_onloading], found.values[problem.n_onloading :]


def worst_miss(problem, cut, limit):
    """Return by how much a plan of `problem` misses the cut at most, in units of its largest coefficient."""
    n = problem.n_onloading
    pushed = replace(
        problem, onloading_objective=cut[:n], offloading_objective=cut[n:], objective_constant=0.0
    )
    return (by_placement(pushed)[1].max(initial=-INF) - limit) / max(1.0, np.abs(cut).max())


def check(problem, x, y):
    """Assert that every cut at (x, y) holds for every plan and not for (x, y); return how many there are."""
    cuts, limit = cut_at(problem, x, y)
    assert cuts.shape == (len(limit), problem.n_onloading + problem.n_offloading)
    point = np.concatenate([np.clip(x, 0, 1), np.maximum(y, 0.0)])
    for cut, side in zip(cuts, limit, strict=True):
        assert cut @ point > side
        assert worst_miss(problem, cut, side) <= 1e-7
    return len(limit)


def test_a_single_node_flow_set():
    """Two arcs of capacity 5 carry a demand of 7 only if both are open: x1 + x2 >= 2 is found."""
    rows = [
        ({"y1": 1, "y2": 1}, 7, INF),
        ({"y1": 1, "x1": -5}, -INF, 0),
        ({"y2": 1, "x2": -5}, -INF, 0),
    ]
    problem = problem_of({"x1": -1, "x2": -1}, {"y1": (0, 0, INF), "y2": (0, 0, INF)}, rows)
    cuts, limit = cut_at(problem, [1.0, 0.4], [5.0, 2.0])
    assert check(problem, [1.0, 0.4], [5.0, 2.0])
    assert cuts.tolist() == [[-1, -1, 0, 0]]
    assert limit == pytest.approx([-2])


def test_a_knapsack_with_one_continuous_term():
    """2x1 + 2x2 <= 3 + s: the rounding x1 + x2 <= 1 + s holds, and (3/4, 3/4, 0) misses it."""
    problem = problem_of(
        {"x1": 1, "x2": 1}, {"s": (-1, 0, 5), "t": 0}, [({"x1": 2, "x2": 2, "s": -1, "t": -1e-3}, -INF, 3)]
    )
    cuts, limit = cut_at(problem, [0.75, 0.75], [0.0, 0.0])
    assert check(problem, [0.75, 0.75], [0.0, 0.0])
    assert cuts[0, :2] / limit[0] == pytest.approx([1, 1], rel=1e-6)


@pytest.mark.parametrize("rows", [[], [({"y": 1}, -INF, 1)], [({"x": 1}, -INF, INF)]])
def test_nothing_to_round(rows):
    """Without rows, or with rows that hold no x, there is no cut, in the shape that is promised."""
    cuts, limit = cut_at(problem_of({"x": 1}, {"y": 1}, rows), [0.5], [0.5])
    assert cuts.shape == (0, 2)
    assert limit.shape == (0,)


def test_a_y_that_may_be_negative_is_left_alone():
    """A y >= -5 makes up for anything: a cut that took it for y >= 0 would be wrong."""
    rows = [({"x1": 2, "x2": 2, "y": 1, "z": 1}, -INF, 3)]
    problem = problem_of({"x1": 1, "x2": 1}, {"y": (0, -5, 1), "z": 0}, rows)
    assert check(problem, [0.75, 0.75], [0.0, 0.0]) == 0


@settings(deadline=None, max_examples=60)
@given(problem=st.one_of(linear_problems(), location_problems("any")), data=st.data())
def test_no_plan_is_cut_off(problem, data):
    """Every cut holds at every placement with every routing of it, and separates the point it is for.

    At any point, and at the optimum of the relaxation.
    """
    unit = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 0.5]))
    x = np.array(data.draw(st.lists(unit, min_size=problem.n_onloading, max_size=problem.n_onloading)))
    y = np.array(data.draw(st.lists(unit, min_size=problem.n_offloading, max_size=problem.n_offloading)))
    check(problem, x, y)
    optimum = relaxed_point(problem)
    if optimum is not None:
        check(problem, *optimum)


@pytest.mark.parametrize("shape", ["gated", "capacity", "mixed", "equality", "signed", "x only"])
def test_no_plan_is_cut_off_by_the_cuts_of_larger_problems(shape):
    """The same with fractions in the rows, on optima of the relaxation, which are cut off often enough."""
    found = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        problem = random_problem(rng, shape, n_x=6)
        factor = rng.uniform(0.5, 2.0, problem.n_rows)
        problem = replace(
            problem,
            onloading_objective=problem.onloading_objective + rng.uniform(0, 3, problem.n_onloading),
            onloading_rows=problem.onloading_rows.multiply(factor[:, None]).tocsr(),
            offloading_rows=problem.offloading_rows.multiply(factor[:, None]).tocsr(),
            row_lower=problem.row_lower * factor,
            row_upper=problem.row_upper * factor,
        )
        optimum = relaxed_point(problem)
        if optimum is not None:
            found += check(problem, *optimum)
    assert found > 10


def test_a_plan_is_never_separated():
    """At a plan, integer x and a routing of it, there is no cut."""
    for seed in range(40):
        problem = random_problem(np.random.default_rng(seed), "gated")
        every, values = by_placement(problem)
        for p in np.flatnonzero(np.isfinite(values))[::5]:
            x = every[p].astype(float)
            fixed = replace(problem, onloading_lower=x, onloading_upper=x)
            assert not len(cut_at(problem, *relaxed_point(fixed))[1])
