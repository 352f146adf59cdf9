"""Sums of counts: which ones there are, and that what they prove is true."""

import numpy as np
import pyomo.environ as pyo
import pytest
from count_models import random_count_model

from pyomo_j3o import annotate, library
from pyomo_j3o.certify.relaxation import whole_model
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.improve.count_search import CountSearch
from pyomo_j3o.improve.count_sums import sums_of, with_sums
from pyomo_j3o.improve.params import CountParams
from pyomo_j3o.lp import LPStatus
from pyomo_j3o.lp.highs import HighsBackend
from pyomo_j3o.mip import HighsMIP, Limits, MIPModel, solve_checked
from pyomo_j3o.mip.merging import merged
from pyomo_j3o.modeling.compiler import compile_model


def as_arrays(m):
    """Return a model with every count as one column, maximised."""
    problem, _ = compile_model(m)
    return merged(MIPModel(whole_model(problem)), problem.counts).model.linear


def best_of(model):
    """Return the optimum; None without a point."""
    found = solve_checked(HighsMIP(), MIPModel(model), Limits(60.0, rel_gap=1e-9, threads=1))
    return found.objective if found.found else None


def opened(model):
    """Return a search on a model."""

    def solve(part, start, limits):
        return solve_checked(HighsMIP(), part, limits, start)

    return CountSearch(model, HighsBackend(), solve, Deadline(), CountParams())


def test_a_sum_for_each_kind_and_each_area():
    """Two tasks on three sites, two kinds of replicas each: four sums of a kind, two of a task."""
    m = pyo.ConcreteModel()
    m.n = pyo.Var(range(3), range(2), range(2), domain=pyo.NonNegativeIntegers, bounds=(0, 4))
    m.y = pyo.Var(range(3), range(2), range(2), bounds=(0, 1))
    annotate(m, onloading=m.n, offloading=m.y)
    m.room = pyo.Constraint(range(3), rule=lambda m, e: pyo.quicksum(m.n[e, :, :]) <= 4)
    m.demand = pyo.Constraint(range(2), rule=lambda m, t: pyo.quicksum(m.y[:, t, :]) <= 1)
    m.rate = pyo.Constraint(
        m.n.index_set(), rule=lambda m, e, t, v: 5 * m.y[e, t, v] <= (1 + v) * m.n[e, t, v]
    )
    m.gain = pyo.Objective(
        expr=pyo.quicksum(m.y.values()) - 0.1 * pyo.quicksum(m.n.values()), sense=pyo.maximize
    )
    model = as_arrays(m)
    keys = list(m.n)
    members = {frozenset(keys[j] for j in row.indices) for row in (sums_of(model)[[i]] for i in range(6))}
    kinds = {frozenset((e, t, v) for e in range(3)) for t in range(2) for v in range(2)}
    assert members == kinds | {frozenset(key for key in keys if key[1] == t) for t in range(2)}


def test_counts_that_share_nothing_have_no_sum():
    """Two counts, each with flows of its own, and a budget that does not tie them."""
    m = pyo.ConcreteModel()
    m.n = pyo.Var(range(2), domain=pyo.NonNegativeIntegers, bounds=(0, 3))
    m.y = pyo.Var(range(2), bounds=(0, 5))
    annotate(m, onloading=m.n, offloading=m.y)
    m.rate = pyo.Constraint(range(2), rule=lambda m, i: m.y[i] <= 2 * m.n[i])
    m.room = pyo.Constraint(expr=m.n[0] + m.n[1] <= 4)
    m.gain = pyo.Objective(expr=m.y[0] + m.y[1], sense=pyo.maximize)
    assert sums_of(as_arrays(m)) is None


def test_every_plan_has_whole_sums():
    """The model with its sums has the same optimum; with the sums alone, a bound no worse than the LP's."""
    model = as_arrays(library.replicas(3, 2, 6, 2, seed=3, reach=2))
    sums, best = sums_of(model), best_of(model)
    assert best_of(with_sums(model, sums, apart=True)) == pytest.approx(best, abs=1e-6)
    search = opened(model)
    lp = search.relax().objective
    search.close()
    assert best - 1e-6 <= best_of(with_sums(model, sums, apart=False)) <= lp + 1e-6


@pytest.mark.parametrize("seed", range(0, 200, 9))
def test_bounds_and_points_are_true(seed):
    """On random models: after each step, point ≤ optimum ≤ bound, and the point keeps all rows."""
    model = as_arrays(random_count_model(seed))
    best = best_of(model)
    search = opened(model)
    try:
        root = search.relax()
        if root.status is not LPStatus.OPTIMAL:
            assert best is None
            return
        bound = search.relax_to_sums(root.objective)
        search.search_near_sums()
    finally:
        search.close()
    if best is None:
        assert search.best is None
        return
    allowed = 1e-6 * max(1.0, abs(best))
    assert root.objective + allowed >= bound >= best - allowed
    if search.best is not None:
        point, body = search.best, model.matrix @ search.best
        assert search.objective <= best + allowed
        assert np.array_equal(point[model.integer], np.rint(point[model.integer]))
        assert np.all((body >= model.row_lower - 1e-6) & (body <= model.row_upper + 1e-6))


def test_sums_prove_more_than_the_relaxation():
    """On a model of the library, the bound falls by more than a fifth of the gap to the best plan."""
    model = as_arrays(library.replicas(4, 3, 8, 2, seed=1, reach=2))
    best = best_of(model)
    search = opened(model)
    try:
        lp = search.relax().objective
        bound = search.relax_to_sums(lp)
        search.search_near_sums()
    finally:
        search.close()
    assert best - 1e-6 <= bound <= lp - 0.2 * (lp - best)
    assert search.objective >= 0.97 * best
