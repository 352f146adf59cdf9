"""The way back: values, stale flags, duals in the user's sense, and a warm start."""

import numpy as np
import pyomo.environ as pyo
import pytest
from compiled_models import tiny
from pyomo.contrib.solver.common.factory import SolverFactory as NewSolverFactory

from pyomo_j3o.modeling.annotate import annotate
from pyomo_j3o.modeling.compiler import compile_model


@pytest.fixture
def m():
    """Return the model of `tiny`."""
    return tiny()


def test_load(m):
    """Binaries get 0.0 or 1.0 exactly, idle variables the allowed value nearest to 0."""
    m.idle = pyo.Var([1, 2, 3], domain=pyo.Reals, bounds=(2, 3))
    m.idle[2].setlb(None)
    m.idle[2].setub(-1)
    m.idle[3].fix(7, skip_validation=True)
    m.box = pyo.Var(domain=pyo.Binary, bounds=(0.5, 1))
    m.stranger = pyo.Var(initialize=5)
    annotate(m, offloading=m.idle, onloading=m.box)
    m.gain.expr = sum(m.x.values()) + m.y[1] + m.y[2]
    _, inverse = compile_model(m)
    inverse.load(np.array([1 - 1e-7, -1e-9]), np.array([0.25, 0.75]))
    assert [repr(m.x[i].value) for i in (1, 2)] == ["1.0", "0.0"]
    assert [m.y[i].value for i in (1, 2, 3)] == [0.25, 0.75, 0]
    assert [m.idle[i].value for i in (1, 2, 3)] == [2, -1, 7]
    assert (m.box.value, m.stranger.value) == (1, 5)
    inverse.load(np.array([True, False]), np.array([0, 0]))
    assert repr(m.x[1].value) == "1.0"
    assert inverse.values(np.array([True, False]), np.array([0.5, 1]))[m.y[2]] == 1


def test_stale_flags(m):
    """Loaded variables are fresh, all others stale, as after any Pyomo solver."""
    m.stranger = pyo.Var(initialize=5)
    m.gain.expr = m.x[1] + m.y[1]
    m.y[2].fix(1)
    _, inverse = compile_model(m)
    inverse.load(np.array([1]), np.array([0.5]))
    assert not m.x[1].stale
    assert not m.y[1].stale
    assert m.stranger.stale
    assert m.y[2].stale
    m.y[1].value = 0.25
    assert m.x[1].stale


def test_warm_start(m):
    """The values now held, NaN where there is none, None where there are none at all."""
    m.gain.expr = sum(m.x.values()) + sum(m.y.values())
    _, inverse = compile_model(m)
    assert inverse.warm_start() == (None, None)
    m.x[2].value = 1
    m.y[1].value = 0.5
    x, y = inverse.warm_start()
    np.testing.assert_array_equal(x, [np.nan, 1])
    np.testing.assert_array_equal(y, [0.5, np.nan, np.nan])


@pytest.mark.parametrize("sense", [pyo.minimize, pyo.maximize])
def test_duals_have_pyomos_signs(m, sense):
    """Those of the maximised LP become what Pyomo's own HiGHS interface gives for the user's LP."""
    solver = NewSolverFactory("highs")
    if not solver.available():
        pytest.skip("HiGHS is not there")
    sign = 1 if sense == pyo.maximize else -1
    m.x.fix(1)
    m.y[2].setub(0.3)
    m.one = pyo.Constraint(expr=m.y[1] + m.y[2] + m.y[3] <= 1.5)
    m.least = pyo.Constraint(expr=m.y[1] - 2 * m.y[2] + m.y[3] >= -1)
    m.tie = pyo.Constraint(expr=m.y[1] == m.y[3] * 0.5 + 0.1)
    m.gain.sense = sense
    m.gain.expr = sign * (3 * m.y[1] + 4 * m.y[2] + m.x[1] * m.y[3])
    problem, inverse = compile_model(m)

    from scipy.optimize import linprog

    rows, low, high = problem.offloading_rows.toarray(), problem.row_lower, problem.row_upper
    equal = low == high
    below, above = ~equal & np.isfinite(high), ~equal & np.isfinite(low)
    lp = linprog(
        -problem.offloading_objective,
        A_ub=np.vstack([rows[below], -rows[above]]),
        b_ub=np.concatenate([high[below], -low[above]]),
        A_eq=rows[equal],
        b_eq=high[equal],
        bounds=list(zip(problem.offloading_lower, problem.offloading_upper, strict=True)),
    )
    # linprog minimises the negative: its marginals are minus the change of the maximised objective.
    duals = np.zeros(problem.n_rows)
    duals[below] = -lp.ineqlin.marginals[: below.sum()]
    duals[above] = lp.ineqlin.marginals[below.sum() :]
    duals[equal] = -lp.eqlin.marginals
    costs = -(lp.lower.marginals + lp.upper.marginals)

    # HiGHS has no duals for a model with a binary variable in it, be it fixed.
    m.x.domain = pyo.Reals
    results = solver.solve(m)
    theirs, ours = results.solution_loader.get_duals(), inverse.duals(duals)
    for constraint in (m.one, m.least, m.tie):
        assert ours[constraint] == pytest.approx(theirs[constraint])
    theirs, ours = results.solution_loader.get_reduced_costs(), inverse.reduced_costs(None, costs)
    assert len(ours) == 3
    for variable in m.y.values():
        assert ours[variable] == pytest.approx(theirs[variable])
    assert any(ours.values())
    assert duals.any()
