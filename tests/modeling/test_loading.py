"""What is loaded when, and the duals and reduced costs of a plan."""

import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.factory import SolverFactory as NewSolverFactory
from pyomo.contrib.solver.common.util import NoFeasibleSolutionError, NoOptimalSolutionError
from solver_models import (
    BACKENDS,
    QUIET,
    SENSES,
    infeasible,
    new,
    objective_value,
    require_kkt,
    snapshot,
    two_servers,
    with_marks,
    worst_violation,
)

from pyomo_j3o.library import taskonomy


def test_nothing_is_loaded_unless_asked_for():
    """load_solutions=False leaves values and suffixes; the loader has them all.

    Stale flags are another matter: like Pyomo's own solvers, j3o makes values stale that a plan exists for.
    """
    m = with_marks(two_servers())
    before = snapshot(m, stale=False)
    results = new().solve(m, load_solutions=False)
    assert snapshot(m, stale=False) == before
    loader = results.solution_loader
    assert loader.get_number_of_solutions() == 1
    assert loader.get_solution_ids() == [None]
    values, duals, costs = loader.get_vars(), loader.get_duals(), loader.get_reduced_costs()
    assert snapshot(m, stale=False) == before
    assert set(map(id, values)) == set(map(id, (v for v in m.component_data_objects(pyo.Var))))
    loader.load_vars()
    assert all(v.value == values[v] and not v.stale for v in values)
    assert m.dual.get(m.demand[1]) == before_dual(before, "demand[1]")
    assert objective_value(m) == pytest.approx(results.incumbent_objective)
    loader.load_import_suffixes()
    assert dict(m.dual.items()) == duals
    assert all(m.rc[v] == cost for v, cost in costs.items())
    loader.load_solution()
    assert worst_violation(m) <= 1e-6


def before_dual(before, name):
    """Return the dual that a snapshot holds for a constraint."""
    return dict(next(entries for suffix, entries, _ in before[1] if suffix == "dual"))[name]


def test_parts_of_the_solution_can_be_asked_for():
    """get_vars, get_duals, get_reduced_costs and load_vars take a selection."""
    m = two_servers()
    loader = new().solve(m, load_solutions=False).solution_loader
    some = [m.x["a", 1], m.y[1, "b", 2]]
    values = loader.get_vars(vars_to_load=some)
    assert [id(v) for v in values] == [id(v) for v in some]
    loader.load_vars(vars_to_load=some)
    assert all(v.value == values[v] for v in some)
    assert m.x["b", 1].value is None
    duals = loader.get_duals(cons_to_load=[m.demand[1], m.compute["a"]])
    assert list(duals) == [m.demand[1], m.compute["a"]]
    costs = loader.get_reduced_costs(vars_to_load=some)
    assert [id(v) for v in costs] == [id(v) for v in some]


def test_loading_takes_the_plan_of_its_own_solve():
    """Two results of one model each load their own plan, in any order."""
    m = two_servers()
    one = new().solve(m, load_solutions=False)
    m.speed = 0.5
    other = new().solve(m, load_solutions=False)
    assert one.incumbent_objective > other.incumbent_objective + 0.1
    for results in (one, other, one):
        results.solution_loader.load_vars()
        assert objective_value(m) == pytest.approx(results.incumbent_objective)


def test_infeasible_and_load_solutions_follow_pyomo():
    """As in Pyomo's own solvers: an exception unless told otherwise, and one if there is nothing to load."""
    m = with_marks(infeasible())
    before = snapshot(m)
    with pytest.raises(NoOptimalSolutionError):
        new().solve(m)
    with pytest.raises(NoOptimalSolutionError):
        new().solve(m, load_solutions=False)
    with pytest.raises(NoFeasibleSolutionError):
        new().solve(m, raise_exception_on_nonoptimal_result=False)
    new().solve(m, **QUIET)
    assert snapshot(m) == before


def relaxed_at_plan(model):
    """Return a copy as a plain LP: the onloading variables held at their values by bounds."""
    copy = model.clone()
    for variable in list(copy.component_data_objects(pyo.Var)):
        if variable.is_binary():
            held = round(variable.value)
            variable.domain = pyo.Reals
            variable.setlb(held)
            variable.setub(held)
    for name in ("dual", "rc"):
        if copy.component(name) is not None:
            copy.del_component(name)
        copy.add_component(name, pyo.Suffix(direction=pyo.Suffix.IMPORT))
    return copy


@SENSES
@BACKENDS
@pytest.mark.parametrize("judge", ["highs", "gurobi_direct"])
def test_duals_and_reduced_costs_are_those_of_an_lp_solver(sense, lp_solver, judge):
    """Loaded into Suffixes, in both senses, with the sign of HiGHS and Gurobi on the LP with x held."""
    if not NewSolverFactory(judge).available():
        pytest.skip(f"{judge} is not available")
    m = two_servers(sense)
    m.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)
    m.rc = pyo.Suffix(direction=pyo.Suffix.IMPORT)
    results = new(lp_solver=lp_solver).solve(m)
    lp = relaxed_at_plan(m)
    other = NewSolverFactory(judge).solve(lp)
    assert other.incumbent_objective == pytest.approx(results.incumbent_objective)
    compared = 0
    for constraint in m.component_data_objects(pyo.Constraint):
        twin = lp.find_component(constraint.name)
        assert m.dual[constraint] == pytest.approx(lp.dual[twin], abs=1e-6), constraint.name
        compared += abs(lp.dual[twin]) > 1e-6
    for variable in m.component_data_objects(pyo.Var):
        twin = lp.find_component(variable.name)
        assert m.rc[variable] == pytest.approx(lp.rc[twin], abs=1e-6), variable.name
        compared += abs(lp.rc[twin]) > 1e-6
    assert compared >= 8


@BACKENDS
@pytest.mark.parametrize("droppable", [False, True])
def test_duals_prove_the_routing_of_library_models(lp_solver, droppable):
    """Stationarity, signs and complementary slackness hold on a real model, whichever LP solver."""
    m = taskonomy(3, 1, droppable=droppable)
    results = new(lp_solver=lp_solver).solve(m)
    duals, _ = require_kkt(m, results)
    assert sum(abs(dual) > 1e-6 for dual in duals.values()) > 10
    assert all(abs(duals[row]) == 0 for row in m.memory.values() if row in duals)


def test_duals_are_of_the_plan_that_is_loaded():
    """Also where the improvement replaced the plan of the alternation, or a first plan was searched for."""
    for options in ({"improve": True}, {"improve": False}, {"max_iterations": 1}):
        m = taskonomy(4, 1)
        results = new().solve(m, raise_exception_on_nonoptimal_result=False, **options)
        require_kkt(m, results)


def test_duals_of_products_are_those_with_x_put_in():
    """With x fixed, the product form is an LP whose duals j3o returns."""
    m = two_servers(form="product")
    results = new().solve(m)
    lp = m.clone()
    for variable in lp.x.values():
        variable.fix(round(variable.value))
    other = NewSolverFactory("highs").solve(lp)
    assert other.incumbent_objective == pytest.approx(results.incumbent_objective)
    duals = results.solution_loader.get_duals()
    strength = sum(duals[row] * pyo.value(row.upper) for row in m.compute.values())
    strength += sum(duals[row] for row in m.demand.values())
    costs = results.solution_loader.get_reduced_costs(list(m.y.values()))
    strength += sum(cost * v.ub for v, cost in costs.items() if cost > 0)
    assert strength == pytest.approx(results.incumbent_objective)


def test_a_suffix_on_the_sub_block_and_other_directions():
    """Only suffixes that import are written to."""
    m = two_servers()
    m.dual = pyo.Suffix(direction=pyo.Suffix.EXPORT)
    m.rc = pyo.Suffix(direction=pyo.Suffix.IMPORT_EXPORT)
    m.dual[m.demand[1]] = 99
    new().solve(m)
    assert dict(m.dual.items()) == {m.demand[1]: 99}
    assert len(m.rc) == len(list(m.component_data_objects(pyo.Var)))
