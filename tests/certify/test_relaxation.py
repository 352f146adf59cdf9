"""The proven bound: never below the optimum, never looser with cuts; what it says of hopeless problems."""

import numpy as np
import pytest
from hypothesis import given, settings
from small_problems import INF, Looks, brute_force, linear_problems, problem_of

from pyomo_j3o.certify.cutting import relax
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.lp import HighsBackend, LPStatus


def relaxed(problem, backend=None, cuts=True, seconds=INF):
    """Relax with no clock."""
    return relax(analyse(problem), backend or HighsBackend(), cuts, Deadline(seconds))


def test_a_cover_cut_closes_the_gap(backend):
    """Two models of size 2 in a memory of 3: the LP places 1.5 of them, the cut one; that is the optimum."""
    problem = problem_of({"a": 1, "b": 1}, {}, [({"a": 2, "b": 2}, -INF, 3)])
    assert relaxed(problem, backend, cuts=False).bound == pytest.approx(1.5)
    assert relaxed(problem, backend).bound == pytest.approx(1.0)


def test_duals_are_those_of_the_problems_own_rows(backend):
    """Rows of cuts are left out of the duals: one entry per row of the problem."""
    problem = problem_of({"a": 1, "b": 1}, {}, [({"a": 2, "b": 2}, -INF, 3), ({"a": 1}, -INF, 1)])
    relaxation = relaxed(problem, backend)
    assert relaxation.duals.shape == (2,)
    assert relaxation.x.shape == (2,)


def test_infeasible(backend):
    """An infeasible relaxation proves it, with a bound of -inf."""
    relaxation = relaxed(problem_of({"a": 1}, {}, [({"a": 1}, 2, INF)]), backend)
    assert relaxation.status is LPStatus.INFEASIBLE
    assert relaxation.bound == -INF


def test_cuts_alone_may_prove_infeasible(backend):
    """A + b >= 1.2 in a budget that holds one: the LP is feasible, the cover cut shows that nothing is."""
    rows = [({"a": 2, "b": 2}, -INF, 3), ({"a": 1, "b": 1}, 1.2, INF)]
    problem = problem_of({"a": -1, "b": -1}, {}, rows)
    assert relaxed(problem, backend, cuts=False).status is LPStatus.OPTIMAL
    relaxation = relaxed(problem, backend)
    assert relaxation.status is LPStatus.INFEASIBLE
    assert relaxation.bound == -INF
    assert relaxation.duals.shape == (2,)


def test_unbounded(backend):
    """An unbounded relaxation bounds nothing."""
    relaxation = relaxed(problem_of({"a": 1}, {"y": (1, 0, INF)}), backend)
    assert relaxation.status is LPStatus.UNBOUNDED
    assert relaxation.bound == INF


def test_no_time(backend):
    """Without time, the bound is that of the columns' ends."""
    relaxation = relaxed(problem_of({"a": 1}, {"y": 1}), backend, seconds=0.0)
    assert relaxation.status is LPStatus.TIME_LIMIT
    assert relaxation.bound == pytest.approx(2.0)
    assert relaxation.bound >= 2.0


def test_the_bound_survives_a_time_limit_in_the_cut_loop():
    """If time runs out between cuts, the bound is that of the last LP that was solved."""
    problem = problem_of({"a": 1, "b": 1}, {}, [({"a": 2, "b": 2}, -INF, 3)])
    relaxation = relax(analyse(problem), HighsBackend(), True, Looks(2))
    assert relaxation.status is LPStatus.OPTIMAL
    assert relaxation.bound == pytest.approx(1.5)


@settings(deadline=None, max_examples=50)
@given(problem=linear_problems())
def test_bounds_are_valid_and_cuts_only_tighten(problem):
    """Optimum <= bound with cuts <= bound of the LP; infeasible only where no placement can be routed."""
    optimum = brute_force(problem)
    plain, cut = relaxed(problem, cuts=False), relaxed(problem)
    slack = 1e-6 * max(1.0, abs(optimum)) if np.isfinite(optimum) else 0.0
    assert plain.bound >= cut.bound - 1e-6 * max(1.0, abs(cut.bound)) or plain.bound == cut.bound
    assert cut.bound >= optimum - slack
    if cut.status is LPStatus.OPTIMAL and plain.status is LPStatus.OPTIMAL:
        assert np.all(np.isfinite(cut.duals))
