"""What is fixed at a node was settled: no placement that counts is lost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_problems import SHAPES, boxes, by_placement, random_problem, tighten
from small_problems import INF, linear_problems, placements, problem_of

from pyomo_j3o.certify.kernel import Kernel
from pyomo_j3o.core.deadline import NEVER
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.improve.propagation import fix_by_reduced_cost, propagate
from pyomo_j3o.lp import HighsBackend


def inside(every, lower, upper):
    """Return which placements are within a box."""
    return np.all((every >= lower) & (every <= upper), axis=1)


def check_propagation(problem, lower, upper, rounds=5):
    """Assert that no placement that meets the rows over x alone leaves the box, and that False is true."""
    structure = analyse(problem)
    every = np.array(placements(problem)).reshape(-1, problem.n_onloading)
    good = np.array([structure.placeable(x) for x in every], dtype=bool) & inside(every, lower, upper)
    low, high = lower.copy(), upper.copy()
    possible = propagate(structure, low, high, rounds)
    if possible:
        assert np.all(low >= lower)
        assert np.all(high <= upper)
        assert np.all(np.isin(low, (0, 1)))
        assert np.all(np.isin(high, (0, 1)))
        assert np.array_equal(inside(every, low, high) & good, good)
    else:
        assert not good.any()
    return possible, low, high


@settings(deadline=None, max_examples=90)
@given(problem=linear_problems(most_x=6, most_y=2), seed=st.integers(0, 2**16), rounds=st.integers(0, 5))
def test_propagation_loses_no_placement(problem, seed, rounds):
    """Every placement of the box that satisfies the placement rows is still there; False if there is none."""
    for lower, upper in boxes(np.random.default_rng(seed), problem.n_onloading, 4):
        lower = np.maximum(lower, problem.onloading_lower)
        upper = np.minimum(upper, problem.onloading_upper)
        if np.all(lower <= upper):
            check_propagation(problem, lower, upper, rounds)


def test_propagation_loses_no_placement_of_rows_of_every_sign():
    """The same over 7 x in rows with coefficients of each sign, fractions, ranges, and sums that just fit."""
    fixed = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        names = [f"x{i}" for i in range(7)]
        rows = []
        for _ in range(3):
            body = {k: float(rng.choice([0.1, 0.3, 0.7, 1, 2.5]) * rng.choice([-1, 1, 1])) for k in names}
            some = rng.random(7) < 0.4
            side = sum(v for v, taken in zip(body.values(), some, strict=True) if taken)
            rows.append((body, *[(-INF, side), (side, INF), (side, side), (side - 0.5, side)][seed % 4]))
        problem = problem_of(dict.fromkeys(names, 0), {}, rows)
        for lower, upper in boxes(rng, 7, 3):
            possible, low, high = check_propagation(problem, lower, upper)
            fixed += possible and np.any((low != lower) | (high != upper))
    assert fixed > 20


def test_a_chain_is_followed():
    """Placing a forces b, b forces c, and c leaves no room for d."""
    rows = [
        ({"a": 1, "b": -1}, -INF, 0),
        ({"b": 1, "c": -1}, -INF, 0),
        ({"c": 2, "d": 2}, -INF, 3),
    ]
    structure = analyse(problem_of(dict.fromkeys("abcd", 0), {}, rows))
    lower, upper = np.array([1.0, 0, 0, 0]), np.ones(4)
    assert propagate(structure, lower, upper)
    assert lower.tolist() == [1, 1, 1, 0]
    assert upper.tolist() == [1, 1, 1, 0]


def test_a_contradiction_is_found():
    """Two that exclude each other and are both needed: False."""
    rows = [({"a": 1, "b": 1}, -INF, 1), ({"a": 1, "b": 1}, 2, INF)]
    assert not propagate(analyse(problem_of({"a": 0, "b": 0}, {}, rows)), np.zeros(2), np.ones(2))


def test_nothing_to_propagate():
    """Without placement rows nothing is fixed."""
    lower, upper = np.zeros(1), np.ones(1)
    assert propagate(analyse(problem_of({"a": 0}, {"y": 0}, [({"a": 1, "y": 1}, -INF, 1)])), lower, upper)
    assert (lower[0], upper[0]) == (0, 1)


@pytest.mark.parametrize("shape", [s for s in SHAPES if s not in ("products", "y only")])
def test_reduced_costs_cut_off_no_plan_that_is_better(shape):
    """At any box, from kernels of any columns: what is better than the cutoff stays in the box."""
    fixed = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        problem = random_problem(rng, shape, n_x=6, n_y=8)
        _, tightened = tighten(problem)
        every, values = by_placement(problem)
        if tightened is None or not np.isfinite(values.max(initial=-INF)):
            continue
        values = values - problem.objective_constant
        kernel = Kernel(tightened.model, HighsBackend(), 6, rng.random(tightened.model.n_columns) < 0.5)
        for lower, upper in boxes(rng, 6, 4):
            point = kernel.solve(lower, upper, None, float(rng.choice([0.0, INF])), -INF, NEVER)
            if not point.solved:
                continue
            for cutoff in (values.max(), np.quantile(values[np.isfinite(values)], 0.8), point.bound - 0.5):
                low, high = lower.copy(), upper.copy()
                fix_by_reduced_cost(low, high, point.costs[:6], point.bound, cutoff)
                better = inside(every, lower, upper) & (values > cutoff + 1e-7 * max(1.0, abs(cutoff)))
                assert np.all(inside(every, low, high)[better])
                assert np.all(low <= high)
                fixed += np.any((low != lower) | (high != upper))
        kernel.close()
    assert fixed > 5


def test_without_a_cutoff_nothing_is_fixed():
    """Where no plan is known, every reduced cost leaves both values open."""
    lower, upper = np.zeros(2), np.ones(2)
    fix_by_reduced_cost(lower, upper, np.array([-1e9, 1e9]), 5.0, -INF)
    assert lower.tolist() == [0, 0]
    assert upper.tolist() == [1, 1]
