"""The kernel: whatever columns are left out, its bound holds for the whole LP and all plans in the box."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_problems import SHAPES, boxes, by_placement, random_problem, tighten
from small_problems import INF, linear_problems, location_problems, problem_of

from pyomo_j3o.certify.kernel import Kernel, kernel_columns
from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.lp import GurobiBackend, HighsBackend, LPStatus, gurobi

LINEAR = [shape for shape in SHAPES if shape not in ("products", "y only")]
FIXTURE_ONCE = [HealthCheck.function_scoped_fixture]
TOLERANCE = 1e-6


def best_in(every, values, lower, upper):
    """Return the best objective over the placements within a box."""
    inside = np.all((every >= lower) & (every <= upper), axis=1)
    return values[inside].max(initial=-INF)


def whole_in(tightened, n_x, lower, upper):
    """Return the optimum of the whole LP within a box of x: -inf if it is infeasible."""
    low, high = tightened.model.lower.copy(), tightened.model.upper.copy()
    low[:n_x], high[:n_x] = lower, upper
    program = HighsBackend().open(replace(tightened.model, lower=low, upper=high))
    try:
        return program.solve().objective
    finally:
        program.close()


def slack_of(value):
    """Return what LP solvers may miss a number by."""
    return TOLERANCE * max(1.0, abs(value)) if np.isfinite(value) else 0.0


def check(problem, backend, rng, columns=None, rounds=5):
    """Assert the laws of `probe` and `solve` in random boxes, from random bases, with random limits.

    Return in how many boxes the LP has an optimum, which is then met; 0 without a relaxation or rows.
    """
    structure, tightened = tighten(problem, cuts=bool(rng.integers(2)))
    if tightened is None:
        return 0
    every, values = by_placement(problem)
    values = values - problem.objective_constant
    n = structure.problem.n_onloading
    mask = rng.random(tightened.model.n_columns) < rng.random() if columns is None else columns
    kernel = Kernel(tightened.model, backend, n, mask)
    bases, n_met = [None], 0
    if len(np.unique(kernel.links.row)) == tightened.model.n_rows:
        kernel.close()  # see test_a_kernel_without_rows_is_solved
        return 0
    try:
        for lower, upper in boxes(rng, n, rounds):
            plan, whole = best_in(every, values, lower, upper), whole_in(tightened, n, lower, upper)
            assert whole >= plan - slack_of(plan)
            around = whole if np.isfinite(whole) else 0.0
            cutoff = float(rng.choice([-INF, around - 3.0, around, around + 0.5, around + 100.0]))
            basis = bases[rng.integers(len(bases))]
            probed = kernel.probe(lower, upper, basis, int(rng.choice([1, 2, 5, 40])), cutoff, INF)
            slack = float(rng.choice([0.0, 0.5, INF]))
            solved = kernel.solve(lower, upper, basis, slack, cutoff, NEVER)
            for point in (probed, solved):
                assert point.bound >= whole - slack_of(whole)
                assert point.bound >= plan - slack_of(plan)
                if point.status is LPStatus.INFEASIBLE and point.bound == -INF:
                    assert whole == -INF
                if point.solved:
                    assert np.all(point.values[:n] >= lower - 1e-7)
                    assert np.all(point.values[:n] <= upper + 1e-7)
                    assert point.costs.shape == (tightened.model.n_columns,)
                    assert point.duals.shape == (tightened.model.n_rows,)
                if point.basis is not None:
                    bases.append(point.basis)
            if solved.bound > cutoff:
                # Nothing but the optimum ends it there.
                assert solved.solved
                assert solved.bound <= whole + slack + slack_of(whole) or slack == INF
            exact = kernel.solve(lower, upper, basis, 0.0, -INF, NEVER)
            assert exact.bound == pytest.approx(whole, abs=1e-5, rel=1e-6) or exact.bound == whole
            assert exact.solved == np.isfinite(whole)
            n_met += exact.solved
    finally:
        kernel.close()
    return n_met


@settings(deadline=None, max_examples=60)
@given(problem=st.one_of(linear_problems(), location_problems("any")), seed=st.integers(0, 2**16))
def test_bounds_of_a_box(problem, seed):
    """Bounds of probes and solves are never below the whole LP's or any plan's; with slack 0 they meet it.

    From any basis, with any columns, cutoffs and iteration limits; infeasible is said of no box that is not.
    """
    assume(check(problem, HighsBackend(), np.random.default_rng(seed), rounds=3) > 0)


@pytest.mark.parametrize("shape", LINEAR)
def test_bounds_of_a_box_of_larger_problems(backend, shape):
    """The same laws with more columns, on every LP solver."""
    n_met = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        n_met += check(random_problem(rng, shape, n_x=6, n_y=9), backend, rng)
    assert n_met > 5


@pytest.mark.parametrize("backend_class", [HighsBackend, GurobiBackend])
def test_all_columns_give_the_whole_lp(backend_class):
    """With every column inside, the bound is that of the whole LP, and duals and costs are its own."""
    if backend_class is GurobiBackend and gurobi.unavailable(10, 10):
        pytest.skip("no Gurobi")
    backend, n_compared = backend_class(), 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        problem = random_problem(rng, "gated", n_x=6, n_y=9)
        structure, tightened = tighten(problem)
        if tightened is None:
            continue
        n = structure.problem.n_onloading
        kernel = Kernel(tightened.model, backend, n, np.ones(tightened.model.n_columns, dtype=bool))
        assert kernel.size == tightened.model.n_columns
        point = kernel.solve(np.zeros(n), np.ones(n), None, 0.0, -INF, NEVER)
        assert point.bound == pytest.approx(tightened.solution.objective, abs=1e-6)
        costs = tightened.model.objective - tightened.model.matrix.T @ point.duals
        assert point.costs[:n] == pytest.approx(costs[:n], abs=1e-7)
        kernel.close()
        n_compared += 1
    backend.close()
    assert n_compared > 3


def test_columns_in_use_are_in_the_first_kernel():
    """`kernel_columns` names every column that is not 0 at the optimum, and more the wider the gap is."""
    n_compared = 0
    for seed in range(30):
        _, tightened = tighten(random_problem(np.random.default_rng(seed), "capacity", n_x=6, n_y=9))
        if tightened is None:
            continue
        narrow, wide = (kernel_columns(tightened, gap) for gap in (0.01, 3.0))
        assert np.all(narrow[np.abs(tightened.solution.values) > 1e-9])
        assert np.all(wide[narrow])
        assert np.all(kernel_columns(tightened, INF))
        n_compared += 1
    assert n_compared > 10


def test_a_kernel_without_rows_is_solved():
    """Where every row is a link of an absent y, the kernel starts without rows; it is an LP all the same."""
    rows = [({"y": 1, "a": -1}, -INF, 0), ({"y": 1, "b": -1}, -INF, 0)]
    _, tightened = tighten(problem_of({"a": -1, "b": -1}, {"y": 3}, rows))
    kernel = Kernel(tightened.model, HighsBackend(), 2, np.array([True, True, False]))
    point = kernel.solve(np.zeros(2), np.ones(2), None, 0.0, -INF, NEVER)
    kernel.close()
    assert point.bound == pytest.approx(1.0)


def test_an_infeasible_box_is_found_and_left_again():
    """A box that admits nothing is said to be infeasible; the next one is solved as if nothing had been."""
    problem = random_problem(np.random.default_rng(3), "budget", n_x=6)
    structure, tightened = tighten(problem)
    n = structure.problem.n_onloading
    none = np.zeros(tightened.model.n_columns, dtype=bool)
    kernel = Kernel(tightened.model, HighsBackend(), n, none)
    point = kernel.solve(np.ones(n), np.ones(n), None, 0.0, -INF, NEVER)
    assert (point.status, point.bound) == (LPStatus.INFEASIBLE, -INF)
    assert not point.solved
    point = kernel.solve(np.zeros(n), np.ones(n), None, 0.0, -INF, NEVER)
    assert point.bound == pytest.approx(tightened.solution.objective, abs=1e-6)
    kernel.close()


def test_no_time():
    """Without time there is no bound, and no claim."""
    structure, tightened = tighten(random_problem(np.random.default_rng(0), "gated"))
    n = structure.problem.n_onloading
    kernel = Kernel(tightened.model, HighsBackend(), n, np.zeros(tightened.model.n_columns, dtype=bool))
    for point in (
        kernel.solve(np.zeros(n), np.ones(n), None, 0.0, -INF, Deadline(0.0)),
        kernel.probe(np.zeros(n), np.ones(n), None, 5, -INF, 0.0),
    ):
        assert point.status is LPStatus.TIME_LIMIT
        assert point.bound == INF
    kernel.close()


def test_it_counts_its_iterations():
    """Iterations add up, and a probe makes no more than it may."""
    structure, tightened = tighten(random_problem(np.random.default_rng(5), "capacity", n_x=7, n_y=12))
    n = structure.problem.n_onloading
    kernel = Kernel(tightened.model, HighsBackend(), n, np.ones(tightened.model.n_columns, dtype=bool))
    kernel.probe(np.zeros(n), np.ones(n), None, 2, -INF, INF)
    assert kernel.iterations <= 2
    before = kernel.iterations
    kernel.solve(np.zeros(n), np.ones(n), None, 0.0, -INF, NEVER)
    assert kernel.iterations > before
    kernel.close()
