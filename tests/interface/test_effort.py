"""How long a solve searches on: alternation alone, as usual, until the gap is closed, or a multiple."""

import time
from dataclasses import replace
from random import Random

import exact_models
import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.contrib.solver.common.results import TerminationCondition

from pyomo_j3o import annotate, library
from pyomo_j3o.errors import OptionError
from pyomo_j3o.improve import feasibility
from pyomo_j3o.mip import HighsMIP

QUIET = {
    "lp_solver": "highs",
    "mip_solver": "highs",
    "load_solutions": False,
    "raise_exception_on_nonoptimal_result": False,
}


def hard(seed=901):
    """Return a model that the usual effort leaves a gap of."""
    return library.taskonomy(6, 2, seed, droppable=True)


def solve(model, **options):
    """Solve it by j3o on HiGHS."""
    return SolverFactory("j3o").solve(model, **QUIET | options)


@pytest.fixture(scope="module")
def usual():
    """Return the results of the usual effort."""
    return solve(hard())


def gap(results):
    """Return the relative gap."""
    return results.extra_info.relative_gap


@pytest.mark.parametrize(
    "options", [{"rel_gap": 1e-3}, {"abs_gap": 7e-4}, {"effort": "full", "rel_gap": 1e-3}]
)
def test_a_gap_that_is_asked_for_is_reached(usual, options):
    """An explicit gap, smaller than the usual one, is pursued until it is proven."""
    found = solve(hard(), **options)
    assert gap(usual) > 1e-3 >= gap(found)
    assert found.solution_status.name == "optimal"
    assert found.incumbent_objective >= usual.incumbent_objective - 1e-9
    assert found.objective_bound <= usual.objective_bound + 1e-9


def test_the_options_of_the_solver_ask_for_a_gap_too(usual):
    """A gap that is set on the solver counts as one that is given to the call; its default does not."""
    solver = SolverFactory("j3o")
    solver.config.rel_gap = 1e-3
    assert gap(solver.solve(hard(), **QUIET)) <= 1e-3
    assert gap(solve(hard(), effort="default", rel_gap=1e-3)) == pytest.approx(gap(usual))


def location_with_a_must(seed, sites=30, customers=60):
    """Return a location model with a row that no plan satisfies without the first site, the dearest."""
    random, m = Random(seed), pyo.ConcreteModel()
    m.open = pyo.Var(range(sites), domain=pyo.Binary)
    m.serve = pyo.Var(range(sites), range(customers), bounds=(0, 1))
    rent = [2000] + [random.randint(300, 400) for _ in range(1, sites)]
    cost = {(i, j): random.randint(1, 200) if i else 200 for i in range(sites) for j in range(customers)}
    m.demand = pyo.Constraint(range(customers), rule=lambda m, j: sum(m.serve[:, j]) == 1)
    m.link = pyo.Constraint(range(sites), range(customers), rule=lambda m, i, j: m.serve[i, j] <= m.open[i])
    others = sum(m.open[i] for i in range(1, sites))
    m.must = pyo.Constraint(expr=2 * sites * m.open[0] + others >= 2 * sites)
    rents = sum(rent[i] * m.open[i] for i in range(sites))
    m.cost = pyo.Objective(expr=rents + sum(cost[k] * m.serve[k] for k in cost))
    annotate(m, onloading=[m.open], offloading=[m.serve])
    return m


def test_what_a_row_settles_is_not_ruled_out():
    """The bound of a pursued gap is no better than the optimum with the site that a row demands fixed."""
    pursued = solve(location_with_a_must(50), rel_gap=1e-4)
    same = location_with_a_must(50)
    same.open[0].fix(1)
    optimum = solve(same, algorithm="exact", rel_gap=1e-6).incumbent_objective
    assert pursued.objective_bound <= optimum + 1e-3
    assert pursued.incumbent_objective == pytest.approx(optimum, rel=1e-4)
    assert pursued.solution_status.name == "optimal"


def test_an_absolute_gap_alone_is_pursued_past_the_usual_relative_one():
    """The relative gap that j3o has by default does not end a search for an absolute one."""
    found = solve(hard(), abs_gap=1e-5)
    assert found.objective_bound - found.incumbent_objective <= 1e-5


@pytest.mark.parametrize(
    "build",
    [
        lambda: exact_models.unit_commitment(4, 8, 951),
        lambda: exact_models.lot_sizing(3, 6, 951),
        lambda: exact_models.assignment_with_overflow(4, 12, 951),
        lambda: library.fixed_charge_network(10, 951),
        lambda: library.facility_location(16, 50, 951),
    ],
    ids=["commitment", "lots", "assignment", "network", "parts"],
)
def test_no_gap_at_all_is_optimal_as_it_is_for_highs(build):
    """With rel_gap=0 a plan is optimal if only tolerances are left; it is as good as that of HiGHS."""
    found = solve(build(), rel_gap=0.0)
    assert found.solution_status.name == "optimal"
    assert found.extra_info.message.startswith("Optimal")
    best = SolverFactory("highs").solve(build(), rel_gap=0.0, load_solutions=False)
    assert best.solution_status.name == "optimal"
    assert found.incumbent_objective == pytest.approx(best.incumbent_objective, rel=2e-6)
    assert found.objective_bound == pytest.approx(best.incumbent_objective, rel=2e-6)


def test_a_gap_beyond_tolerances_is_never_optimal(monkeypatch):
    """What a MIP solver leaves between its plan and its bound is not called optimal by its word alone."""
    solve_mip = HighsMIP.solve

    def loose(self, model, *rest):
        found = solve_mip(self, model, *rest)
        return replace(found, bound=found.bound + 1e-4 * abs(found.bound))

    monkeypatch.setattr(HighsMIP, "solve", loose)
    m = exact_models.lot_sizing(3, 6, 951)
    found = solve(m, rel_gap=0.0, time_limit=5)
    closed = gap(found) <= 2e-6
    assert (found.solution_status.name == "optimal") == closed


def test_the_time_limit_ends_the_pursuit():
    """A gap that cannot be reached in time ends at the limit, with what is known, and the message says so."""
    begin = time.perf_counter()
    found = solve(library.taskonomy(30, 2, 953, droppable=True), rel_gap=0.0, time_limit=3)
    assert time.perf_counter() - begin < 9
    assert found.termination_condition.name == "maxTimeLimit"
    assert np.isfinite(found.objective_bound)
    assert "raise time_limit" in found.extra_info.message


def test_alternation_alone_never_branches(monkeypatch):
    """No MIP solver is called, and no step but the loop leaves a trace."""

    def fail(*_, **__):
        raise AssertionError("a MIP solver was called")

    monkeypatch.setattr(HighsMIP, "solve", fail)
    monkeypatch.setattr(feasibility, "first_plan", fail)
    monkeypatch.setattr("pyomo_j3o.methods.run.first_plan", fail)
    monkeypatch.setattr("pyomo_j3o.methods.run.nearest_placement", fail)
    found = solve(hard(), effort="alternation")
    assert found.incumbent_objective is not None
    assert not found.extra_info.improvement
    assert found.extra_info.trace[-1].incumbent == pytest.approx(found.incumbent_objective)
    assert "leave out effort='alternation'" in found.extra_info.message


def test_alternation_alone_may_find_nothing(monkeypatch):
    """Where no placement of the alternation has a routing, there is no plan: no MIP solver looks for one."""

    def fail(*_, **__):
        raise AssertionError("a MIP solver was called")

    m = exact_models.MODELS["single source, 12x30, s0"]()
    monkeypatch.setattr("pyomo_j3o.methods.run.first_plan", fail)
    monkeypatch.setattr("pyomo_j3o.methods.run.nearest_placement", fail)
    monkeypatch.setattr("pyomo_j3o.methods.own_rows.OwnRows.search", fail)
    found = solve(m, effort="alternation")
    assert found.incumbent_objective is None
    assert found.termination_condition is TerminationCondition.unknown
    assert "leave out effort='alternation'" in found.extra_info.message


def test_more_effort_brings_more_here(usual):
    """Four times the effort brings a smaller gap of this model, a tenth a wider one."""
    more, less = solve(hard(), effort=4), solve(hard(), effort=0.1)
    assert gap(more) <= gap(usual) <= gap(less) + 1e-9
    assert more.objective_bound <= usual.objective_bound + 1e-9


@pytest.mark.parametrize("effort", ["much", 0, -1, float("inf"), float("nan"), True, None, [1]])
def test_an_effort_that_is_none_is_an_error_where_it_is_given(effort):
    """The error names the option and what it takes."""
    with pytest.raises(
        OptionError, match=r"effort=.*choose one of 'default', 'alternation', 'full', or a number"
    ):
        solve(hard(), effort=effort)
    solver = SolverFactory("j3o")
    with pytest.raises(OptionError, match="effort"):
        solver.config.effort = effort


def test_two_threads_close_the_same_gap():
    """Parts that are pursued side by side end within the gap as well."""
    assert gap(solve(hard(), rel_gap=1e-3, threads=2)) <= 1e-3


def test_the_closing_line_says_what_would_go_on(usual):
    """A plan that is not proven optimal comes with the option that searches on."""
    assert usual.extra_info.message.endswith("To search on, set effort='full', or the rel_gap you need.")


@pytest.mark.parametrize("time_limit", [None, 0.5])
def test_a_warm_start_is_never_worse_than_its_plan(time_limit):
    """The plan that the variables hold is kept where nothing better is found in time."""
    m = hard()
    best = SolverFactory("j3o").solve(m, lp_solver="highs", mip_solver="highs", rel_gap=1e-3)
    found = solve(m, warm_start=True, time_limit=time_limit)
    assert found.incumbent_objective >= best.incumbent_objective - 1e-9
    assert found.objective_bound >= best.incumbent_objective - 1e-9
    found = solve(m, warm_start=True, effort="alternation", time_limit=time_limit)
    assert found.incumbent_objective >= best.incumbent_objective - 1e-9


def test_a_warm_start_that_misses_a_row_is_not_a_plan():
    """Values that break a row are where the search starts, and nothing more."""
    m = hard()
    SolverFactory("j3o").solve(
        m, lp_solver="highs", mip_solver="highs", raise_exception_on_nonoptimal_result=False
    )
    for variable in m.component_data_objects(pyo.Var):
        if not variable.fixed:
            variable.set_value(1.0, skip_validation=True)
    usual = solve(hard())
    assert solve(m, warm_start=True).incumbent_objective <= usual.objective_bound + 1e-9
