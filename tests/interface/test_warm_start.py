"""The plan that the variables hold: when it is one, and that it is never lost."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.factory import SolverFactory
from small_problems import INF, problem_of

from pyomo_j3o import annotate
from pyomo_j3o.core.problem import Plan
from pyomo_j3o.core.results import Ending, Outcome
from pyomo_j3o.interface.warm_start import no_worse, placement_held, plan_held, plan_of

HELD = Plan(np.array([True]), np.array([0.5]), 5.0)


def outcome(objective, bound, ending=Ending.TIME):
    """Return an outcome with a plan of this objective; without one if it is None."""
    plan = None if objective is None else Plan(np.array([False]), np.zeros(1), objective)
    return Outcome(plan, bound, ending)


@pytest.mark.parametrize("objective", [None, 4.0])
def test_no_plan_and_a_worse_one_give_way(objective):
    """The plan that was held is the outcome's, and its bound is no better than it."""
    found = no_worse(outcome(objective, 4.5), HELD)
    assert found.plan is HELD
    assert found.bound == 5.0
    assert found.ending is Ending.TIME
    assert no_worse(outcome(objective, 9.0), HELD).bound == 9.0


def test_a_plan_that_is_as_good_stays():
    """Nothing is changed where the search is no worse, where nothing was held, or where all is unbounded."""
    for one in (outcome(5.0, 6.0), outcome(7.0, 7.0), outcome(None, INF, Ending.UNBOUNDED)):
        assert no_worse(one, HELD) is one
    without = outcome(None, 3.0)
    assert no_worse(without, None) is without


def test_a_plan_refutes_that_there_is_none():
    """What is called infeasible, and is not, ends as a matter of tolerances."""
    found = no_worse(outcome(None, -INF, Ending.INFEASIBLE), HELD)
    assert found.plan is HELD
    assert found.ending is Ending.TOLERANCES
    assert found.bound >= 5.0


@pytest.mark.parametrize(
    ("x", "y", "objective"),
    [
        ([1.0], [0.5], 2.0),
        ([1.0 - 1e-9], [0.5], 2.0),
        ([0.0], [0.5], None),  # y is closed
        ([1.0], [0.9], None),  # more than the row takes
        ([0.5], [0.5], None),  # half a model
        ([np.nan], [0.5], None),
        ([1.0], [np.nan], None),
        (None, [0.5], None),
        ([1.0], None, None),
    ],
)
def test_only_a_plan_of_the_model_is_held(x, y, objective):
    """All values are there, x is whole, and every row and bound holds."""
    problem = problem_of({"x": -1.0}, {"y": 6.0}, [({"y": 1, "x": -1}, -INF, 0.0), ({"y": 1}, -INF, 0.6)])
    inverse = SimpleNamespace(
        warm_start=lambda: (None if x is None else np.array(x), None if y is None else np.array(y))
    )
    held = plan_held(problem, inverse)
    assert (held is None) is (objective is None)
    if held is not None:
        assert held.objective == pytest.approx(objective)
    placement = placement_held(inverse)
    assert (placement is None) is (x is None)


def two_options(unit):
    """Return a model whose flows, room and links are all of the size of a unit."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var([1, 2], domain=pyo.Binary)
    m.y = pyo.Var([1, 2], bounds=(0, unit))
    m.cap = pyo.Param(initialize=1.5 * unit, mutable=True)
    m.most = pyo.Param(initialize=unit, mutable=True)
    m.link = pyo.Constraint([1, 2], rule=lambda m, i: m.y[i] <= m.most * m.x[i])
    m.room = pyo.Constraint(expr=m.y[1] + m.y[2] <= m.cap)
    m.least = pyo.Param(initialize=0.0, mutable=True)
    m.need = pyo.Constraint(expr=m.y[1] >= m.least)
    m.gain = pyo.Objective(
        expr=(m.y[1] + 2 * m.y[2]) / unit - 0.1 * m.x[1] - 0.1 * m.x[2], sense=pyo.maximize
    )
    annotate(m, onloading=m.x, offloading=m.y)
    return m


#: Changes after which the plan before is none, and by how much of the unit something changes.
TIGHTENED = {
    "side": lambda m, unit: m.cap.set_value(0.5 * unit),
    "no room": lambda m, unit: m.cap.set_value(0.0),
    "link": lambda m, unit: m.most.set_value(0.25 * unit),
    "need": lambda m, unit: m.least.set_value(0.75 * unit),
    "bound": lambda m, unit: m.y[2].setub(0),
    "both bounds": lambda m, unit: (m.y[2].setlb(0.25 * unit), m.y[2].setub(0.25 * unit)),
    "closed": lambda m, unit: m.x[2].setub(0),
}


@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e-6, 4e-7, 1e-8])
@pytest.mark.parametrize("change", sorted(TIGHTENED))
@pytest.mark.parametrize("options", [{"warm_start": True}, {}], ids=["warm start", "last plan"])
def test_a_plan_that_breaks_a_small_row_is_not_kept(unit, change, options):
    """In any unit: the plan before is no plan of the model as it is, whatever tolerance it hides behind."""
    m = two_options(unit)
    opt = SolverFactory("j3o" if options else "j3o_persistent")
    opt.solve(m)
    TIGHTENED[change](m, unit)
    results = opt.solve(m, **options)
    expected = SolverFactory("j3o").solve(m.clone())
    assert results.incumbent_objective == pytest.approx(expected.incumbent_objective, abs=1e-3)
    assert results.objective_bound == pytest.approx(expected.objective_bound, abs=1e-3)
    for variable in m.y.values():
        assert variable.lb <= variable.value <= variable.ub
    for row in m.component_data_objects(pyo.Constraint):
        assert row.slack() >= -1e-3 * unit, row.name


@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e-9])
def test_a_plan_that_holds_is_kept_in_any_unit(unit):
    """Rounding breaks no row, in whatever unit, nor does a variable that a closed link leaves near 0."""
    rows = [
        ({"y": 1, "x": -unit}, -INF, 0.0),
        ({"z": 1, "w": -unit}, -INF, 0.0),
        ({"y": 1, "z": -1}, unit * (1 - 1e-10), INF),
    ]
    problem = problem_of({"x": -1.0, "w": -1.0}, {"y": 6.0 / unit, "z": 1.0}, rows)
    problem = replace(problem, offloading_upper=np.full(2, unit))
    held = plan_of(problem, np.array([1.0, 0.0]), unit * np.array([1 + 1e-9, 1e-10]))
    assert held is not None
    assert (held.y <= problem.offloading_upper).all()
