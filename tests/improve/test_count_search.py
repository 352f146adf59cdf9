"""The search over counts: whole points that keep every row, and that never get worse."""

import numpy as np
import pyomo.environ as pyo
import pytest
from solver_models import new, worst_violation

from pyomo_j3o import library
from pyomo_j3o.certify.relaxation import whole_model
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.improve.count_search import CountSearch
from pyomo_j3o.improve.params import CountParams
from pyomo_j3o.lp.highs import HighsBackend
from pyomo_j3o.mip import HighsMIP, Limits, MIPModel, solve_checked
from pyomo_j3o.mip.merging import merged
from pyomo_j3o.modeling.compiler import compile_model


@pytest.fixture
def search():
    """Return a search on a model of 4 sites."""
    problem, _ = compile_model(library.replicas(4, 3, 8, 3, seed=1, reach=2))
    model = merged(MIPModel(whole_model(problem)), problem.counts).model.linear
    search = CountSearch(
        model,
        HighsBackend(),
        lambda part, start, limits: solve_checked(HighsMIP(), part, limits, start),
        Deadline(),
        CountParams(first=6, largest=12),
    )
    yield search
    search.close()


def require_point(search):
    """Assert that the best point is whole, within bounds and rows, and worth what is said."""
    model, point = search.model, search.best
    whole = point[model.integer]
    assert np.array_equal(whole, np.rint(whole))
    assert np.all((point >= model.lower - 1e-7) & (point <= model.upper + 1e-7))
    body = model.matrix @ point
    assert np.all((body >= model.row_lower - 1e-6) & (body <= model.row_upper + 1e-6))
    assert search.objective == pytest.approx(float(model.objective @ point))


def test_points_are_plans_and_get_better(search):
    """After the dives and after each small MIP; the relaxation bounds all, and the last is near the best."""
    root = search.relax()
    search.dive(root)
    require_point(search)
    found = [search.objective]
    for objective in search.improve(lambda _: False, root.objective):
        found.append(objective)
        require_point(search)
    assert found == sorted(found)
    best = solve_checked(HighsMIP(), MIPModel(search.model), Limits(60.0, rel_gap=1e-6, threads=1))
    assert 0.995 * best.objective <= found[-1] <= best.objective + 1e-6 <= root.objective + 2e-6


def test_given_counts_are_filled_or_refused(search):
    """Nothing placed is a plan worth 0; more than the GPUs of a site is none."""
    n = int(search.model.integer.sum())
    assert search.fill(np.zeros(n))
    assert search.objective == pytest.approx(0.0)
    assert not search.fill(search.model.upper[search.model.integer])
    require_point(search)


def test_a_closed_gap_ends_it(search):
    """No small MIP is solved once an objective is good enough."""
    root = search.relax()
    search.dive(root)
    assert list(search.improve(lambda _: True, root.objective)) == []


def test_the_solver_begins_with_it():
    """A model too large for the quick look: the step is told, the plan is one, and the bound holds."""
    m = library.replicas(6, 5, 14, 4, seed=2)
    found = new(lp_solver="highs", mip_solver="highs").solve(m)
    assert [step.name for step in found.extra_info.improvement][:1] == ["counts"]
    assert worst_violation(m) <= 1e-6
    assert found.incumbent_objective == pytest.approx(pyo.value(m.net_accuracy))
    assert found.incumbent_objective <= found.objective_bound
    assert found.extra_info.relative_gap <= 0.02
