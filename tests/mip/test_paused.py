"""A search that is paused goes on where it was, tells what it has, and ends when it is closed."""

import threading
import time

import numpy as np
import pytest
from scipy import sparse

from pyomo_j3o.lp import gurobi
from pyomo_j3o.lp.base import LinearModel, LPStatus
from pyomo_j3o.mip import GurobiMIP, HighsMIP, Limits, MIPModel, PausedSearch, solve_checked


def knapsacks(seed=3, n=60, m=12):
    """Return a multi-dimensional knapsack that takes HiGHS some hundred nodes."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(20, 100, (m, n)).astype(float)
    worth = weight.sum(axis=0) / m + rng.integers(0, 20, n)
    room = np.floor(0.5 * weight.sum(axis=1))
    ends = np.zeros(n), np.ones(n)
    return MIPModel(
        LinearModel(
            worth, sparse.csr_array(weight), np.full(m, -np.inf), room, *ends, integer=np.ones(n, dtype=bool)
        )
    )


def paused(model, nodes=2000, solver=HighsMIP):
    """Return a paused search of a model."""

    def work(search):
        limits = Limits(nodes=nodes, stop=search.stopped, threads=1, rel_gap=0.0, watch=search)
        return solve_checked(solver(), model, limits)

    return PausedSearch(work)


def test_slices_end_where_one_run_does():
    """In slices of three looks, the search returns what it returns in one go."""
    model = knapsacks(n=30, m=5)
    alone = solve_checked(HighsMIP(), model, Limits(rel_gap=0.0, threads=1))
    search, bounds, slices = paused(model, None), [], 0
    try:
        while not search.advance(3):
            bounds.append(search.bound)
            slices += 1
    finally:
        search.close()
    assert search.solution.status is LPStatus.OPTIMAL is alone.status
    assert search.solution.objective == pytest.approx(alone.objective)
    assert search.solution.nodes == alone.nodes
    assert bounds == sorted(bounds, reverse=True)
    assert all(bound >= alone.objective - 1e-6 for bound in bounds)


def test_gurobi_is_paused_as_well():
    """Its callback tells bounds and points, and holds it up."""
    pytest.importorskip("gurobipy")
    if gurobi.unavailable(100, 100):
        pytest.skip("no licence of Gurobi")
    model = knapsacks()
    alone = solve_checked(GurobiMIP(), model, Limits(rel_gap=0.0, threads=1))
    search, slices = paused(model, None, GurobiMIP), 0
    try:
        while not search.advance(2):
            slices += 1
            assert search.bound >= alone.objective - 1e-6
    finally:
        search.close()
    assert slices > 0
    assert search.solution.objective == pytest.approx(alone.objective)
    assert len(search.point) == model.linear.n_columns


def test_nothing_is_done_between_slices():
    """While it is paused, neither bound nor point changes, and its thread waits."""
    search = paused(knapsacks(), None)
    try:
        assert not search.advance(20)
        before = search.bound, search.point.copy()
        busy = time.thread_time(), time.process_time()
        time.sleep(0.3)
        assert time.process_time() - busy[1] < 0.15
        assert search.bound == before[0]
        assert np.array_equal(search.point, before[1])
    finally:
        search.close()
    assert search.solution is None or search.solution.status is LPStatus.TIME_LIMIT


def test_points_are_told_before_the_end():
    """A better point is there as soon as the solver has it, and it satisfies the rows."""
    model = knapsacks()
    search = paused(model, None)
    try:
        for _ in range(50):
            if search.advance(20) or len(search.point):
                break
        assert len(search.point) == model.linear.n_columns
        assert np.all(model.linear.matrix @ search.point <= model.linear.row_upper + 1e-6)
    finally:
        search.close()


def test_closing_ends_the_thread():
    """Whether it has begun, is paused, or is over, closing leaves no thread behind."""
    before = threading.active_count()
    for slices in (0, 1, 2):
        search = paused(knapsacks(), 5 if slices == 2 else None)
        for _ in range(slices):
            search.advance(3)
        search.close()
    assert threading.active_count() == before


def test_an_error_of_the_call_reaches_the_caller():
    """What the call raises is raised by `advance`."""

    def work(search):
        raise ValueError("not this one")

    search = PausedSearch(work)
    with pytest.raises(ValueError, match="not this one"):
        search.advance(1.0)
    search.close()
