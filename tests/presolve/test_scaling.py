"""Rows in odd units are brought near 1, and the problem stays the same."""

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.factory import SolverFactory
from small_problems import INF, problem_of

from pyomo_j3o import annotate
from pyomo_j3o.core.problem import missed, violations
from pyomo_j3o.presolve.scaling import scale_rows


def test_only_odd_rows_are_scaled_and_exactly():
    """The factor is a power of two; bounds and entries move together; other rows stay."""
    problem = problem_of(
        {"a": 0}, {"y": 1, "z": 1}, [({"y": 3e-10, "a": -1e-10}, -INF, 2e-10), ({"y": 1, "z": 5}, 1, 1)]
    )
    reduction = scale_rows(problem)
    scaled, factors = reduction.problem, reduction.row
    assert factors[1] == 1.0
    assert np.log2(factors[0]) == np.rint(np.log2(factors[0]))
    assert 0.5 < scaled.offloading_rows.toarray()[0].max() < 2
    x, y = np.array([1.0]), np.array([1.5, 0.0])
    assert np.allclose(violations(scaled, x, y)[:2], violations(problem, x, y)[:2] * factors)


@pytest.mark.parametrize("lp_solver", ["highs", "gurobi"])
@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e-8, 1e-10, 1e9])
def test_the_unit_of_the_rows_does_not_matter(unit, lp_solver):
    """The same model in a unit 1e10 times larger has the same optimum, and the plan holds in it."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var([0, 1], domain=pyo.Binary)
    m.y = pyo.Var([0, 1, 2], bounds=(0, 1))
    m.shared = pyo.Constraint(expr=unit * (m.y[0] + m.y[1] + m.y[2]) <= unit * 1.5)
    m.link = pyo.Constraint([0, 1], rule=lambda m, i: unit * m.y[i] <= unit * m.x[i])
    m.room = pyo.Constraint(expr=unit * m.x[0] + unit * m.x[1] <= unit)
    m.worth = pyo.Objective(expr=3 * m.y[0] + 2 * m.y[1] + m.y[2], sense=pyo.maximize)
    annotate(m, onloading=m.x, offloading=m.y)
    m.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)
    results = SolverFactory("j3o").solve(m, lp_solver=lp_solver)
    assert results.incumbent_objective == pytest.approx(3.5)
    assert results.objective_bound >= 3.5 - 1e-9
    assert m.x[1].value == 0
    assert m.dual[m.shared] == pytest.approx(1.0 / unit)


def test_a_tiny_coefficient_of_a_large_variable_counts():
    """1e-10 times a variable of 1e10 is 1, not nothing."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(domain=pyo.Binary)
    m.y = pyo.Var(bounds=(0, 1e10))
    m.z = pyo.Var(bounds=(0, 5))
    m.through = pyo.Constraint(expr=m.z <= 1e-10 * m.y)
    m.opens = pyo.Constraint(expr=m.z <= 5 * m.x)
    m.worth = pyo.Objective(expr=m.z - 0.1 * m.x, sense=pyo.maximize)
    annotate(m, onloading=m.x, offloading=[m.y, m.z])
    results = SolverFactory("j3o").solve(m, lp_solver="highs")
    assert results.incumbent_objective == pytest.approx(0.9)
    assert results.objective_bound >= 0.9 - 1e-9


def test_what_rounding_leaves_of_large_terms_is_no_miss():
    """A y one unit in its last place too large moves a row of 2e13 by 4e-3; a thousand units count."""
    size = 23540708.02000016
    problem = problem_of({"a": 0}, {"y": (1, 0, INF)}, [({"y": 1e6, "a": -1e6 * size}, -INF, 0)])
    x = np.ones(1)
    just, more = np.array([np.nextafter(size, INF)]), np.array([size * (1 + 1e-12)])
    assert violations(problem, x, just)[0] > 1e-3
    assert not missed(problem, x, just)
    assert missed(problem, x, more)
