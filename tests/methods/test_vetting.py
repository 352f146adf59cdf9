"""Plans are held against the rows as written, and routed in them where tolerances let rows slip."""

from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from exact_rational import exact_optimum
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.contrib.solver.common.results import SolutionStatus, TerminationCondition
from random_families import family_case
from random_judge import judge
from small_problems import INF, brute_force, problem_of

from pyomo_j3o import annotate
from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.methods.own_rows import OwnRows, Routed
from pyomo_j3o.methods.params import OwnRowsParams
from pyomo_j3o.presolve.scaling import scale


def own_rows(problem):
    """Return the rows of a problem and its scaled form."""
    return OwnRows(problem, scale(problem))


def far(n=1):
    """Return a problem with products of a far y: 6300·y where x1 is on, -4·y where x0 is, and 40 are needed.

    Each plan costs its y; the cheaper x0 alone leaves no plan.
    """
    xs = {f"x{i}": (-1 - 4 * i, 0, 1) for i in range(2)} | {f"z{i}": (-1, 0, 1) for i in range(n)}
    return problem_of(
        xs,
        {"y": (-1, 0, 1e6)},
        [({}, 40, INF), ({"x0": 1, "x1": 1}, 1, INF)],
        [(0, "x1", "y", 6300.0), (0, "x0", "y", -4.0)],
    )


def test_a_placement_is_routed_in_the_units_of_the_user():
    """The least y that serves is some 1/160, which in the unit of its range is less than any tolerance."""
    own, problem = own_rows(far()), far()
    routed = own.route(np.array([False, True, False]), NEVER)
    assert routed.plan.y * own.scaling.column == pytest.approx(40 / 6300, rel=1e-9)
    value = routed.plan.objective / own.scaling.objective
    assert value == pytest.approx(-5 - 40 / 6300)
    assert value <= routed.bound / own.scaling.objective <= value + 1e-6
    assert value == pytest.approx(brute_force(problem))


@pytest.mark.parametrize(("seconds", "reached"), [(9.0, 8.0), (0.0, 5.0)])
def test_a_descent_ends_with_its_time(seconds, reached):
    """Of two sites that gain 5 and 3, the second is opened only if there is time for it."""
    problem = problem_of({"a": 5, "b": 3}, {"y": (0, 0, 1)}, [({"a": 1, "b": 1, "y": 1}, -INF, 3)])
    scaling = scale(problem)
    own = OwnRows(problem, scaling, params=OwnRowsParams(seconds_of_descent=seconds))
    start = own.route(np.array([True, False]), NEVER)
    found = own.descend(start, NEVER)
    assert found.plan.objective / scaling.objective == pytest.approx(reached)


@pytest.mark.parametrize("x", [(True, False, False), (False, False, True)])
def test_that_a_placement_cannot_be_routed_is_proven(x):
    """By the rows over y together, and by one over x alone."""
    routed = own_rows(far()).route(np.array(x), NEVER)
    assert routed == Routed(bound=-np.inf)


def test_rows_that_differ_by_less_than_their_tolerance_have_a_plan():
    """Every solver takes y = 1 and y = 1 + 1e-7 for rounding, and so does the check of a plan."""
    problem = problem_of({"x": -1}, {"y": (-1, 0, 9)}, [({"y": 1}, 1, 1), ({"y": 1}, 1 + 1e-7, 1 + 1e-7)])
    assert own_rows(problem).route(np.array([False]), NEVER).plan is not None
    apart = problem_of({"x": -1}, {"y": (-1, 0, 9)}, [({"y": 1}, 1, 1), ({"y": 1}, 1.001, 1.001)])
    assert own_rows(apart).route(np.array([False]), NEVER).bound == -np.inf


def test_few_placements_are_all_routed():
    """The best of them is found and proven; without time, nothing is."""
    own = own_rows(far())
    found = own.search(None, Routed(), 0.0, NEVER)
    assert found.plan.x.tolist() == [False, True, False]
    assert found.bound == pytest.approx(found.plan.objective, rel=1e-6)
    assert own.search(None, Routed(), 0.0, Deadline(0.0)) == Routed()


def test_of_many_placements_those_that_cannot_be_routed_are_excluded(monkeypatch):
    """A MIP solver offers x0, whose y is rounding to it, until that is excluded; x alone then descends."""
    linear = problem_of({"x0": -1, "x1": -5, "z0": 1}, {"y": (-1, 0, 1e6)}, [({"x0": 1, "x1": 1}, 1, INF)])
    own, tried = own_rows(far()), []
    own.params = OwnRowsParams(few_to_find=0, few_to_prove=0)
    route = OwnRows.route
    monkeypatch.setattr(OwnRows, "route", lambda *a: tried.append(a[1].tolist()) or route(*a))
    found = own.search(linear, Routed(), 0.0, NEVER)
    assert tried[:2] == [[True, True, True], [True, False, True]]
    assert found.plan.x.tolist() == [False, True, False]
    assert found.bound == np.inf


def model(needed):
    """Return a model of bilinear rows with ends of a million; nothing serves where more is needed."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(2), domain=pyo.Binary)
    m.y = pyo.Var(bounds=(0, 1e6))
    m.need = pyo.Constraint(expr=6300 * m.x[1] * m.y - 4 * m.x[0] * m.y >= needed)
    m.one = pyo.Constraint(expr=m.x[0] + m.x[1] == 1)
    m.cost = pyo.Objective(expr=m.y + 5 * m.x[1] + m.x[0])
    annotate(m, onloading=m.x, offloading=m.y)
    return m


@pytest.mark.parametrize("name", ["j3o", "j3o.exact"])
def test_a_far_end_costs_no_plan(name):
    """Both solvers end at the plan, and prove it."""
    results = SolverFactory(name).solve(model(40), lp_solver="highs", mip_solver="highs")
    assert results.solution_status == SolutionStatus.optimal
    assert results.incumbent_objective == pytest.approx(5 + 40 / 6300)


@pytest.mark.parametrize("name", ["j3o", "j3o.exact"])
def test_without_a_plan_in_the_rows_as_written_the_row_is_named(name, monkeypatch):
    """Neither time nor a limit ended it, and none is to be raised: a row and a variable are named."""
    monkeypatch.setattr(OwnRows, "route", lambda *arguments: Routed())

    def refused(own, x, y):
        own.missed = (0, 17.0)
        return False

    monkeypatch.setattr(OwnRows, "accepts", refused)
    results = SolverFactory(name).solve(
        model(40),
        lp_solver="highs",
        mip_solver="highs",
        load_solutions=False,
        raise_exception_on_nonoptimal_result=False,
    )
    message = results.extra_info.message
    assert results.termination_condition == TerminationCondition.unknown
    assert results.incumbent_objective is None
    assert "misses constraint 'need' by 1.7e+01" in message
    assert "tighten the bounds of 'y'" in message
    assert "time_limit" not in message


def lots(most):
    """Return lot sizes over five periods, whose capacity is far beyond any demand."""
    m, demand = pyo.ConcreteModel(), [37, 92, 14, 55, 71]
    m.t = pyo.RangeSet(0, 4)
    m.setup = pyo.Var(m.t, domain=pyo.Binary)
    m.made, m.stock = pyo.Var(m.t, bounds=(0, most)), pyo.Var(m.t, domain=pyo.NonNegativeReals)

    @m.Constraint(m.t)
    def balance(m, t):
        return (m.stock[t - 1] if t else 0) + m.made[t] - m.stock[t] == demand[t]

    @m.Constraint(m.t)
    def capacity(m, t):
        return m.made[t] <= most * m.setup[t]

    m.cost = pyo.Objective(expr=sum(90 * m.setup[t] + 0.3 * m.made[t] + m.stock[t] for t in m.t))
    annotate(m, onloading=m.setup, offloading=[m.made, m.stock])
    return m


@pytest.mark.parametrize("mip_solver", ["highs", "gurobi"])
@pytest.mark.parametrize("name", ["j3o", "j3o.exact"])
@pytest.mark.parametrize("most", [1e7, 1e9, 1e10])
def test_a_capacity_without_meaning_costs_no_plan(most, name, mip_solver):
    """Behind an M of 1e10, a set-up of 0 makes lots of 100; the plan that comes back pays for each."""
    if mip_solver == "gurobi":
        pytest.importorskip("gurobipy")
    expected = SolverFactory("highs").solve(lots(300), rel_gap=0, load_solutions=False).incumbent_objective
    results = SolverFactory(name).solve(lots(most), lp_solver="highs", mip_solver=mip_solver, rel_gap=0)
    assert results.incumbent_objective == pytest.approx(expected, rel=1e-6)
    assert results.objective_bound <= expected * (1 + 1e-6)


def test_the_gap_of_few_placements_is_closed_one_by_one():
    """Beside a penalty of 1e12, gains of 1 are lost in the relaxation, and not at one placement."""
    verdict = judge(13, "penalties")
    assert not verdict.wrong
    assert verdict.distance < 1e-6


def test_the_bound_at_a_placement_has_room_for_the_rounding_of_sides():
    """A side of -9999999.9 less 0.1 - 1e7 is 0 up to rounding, and a gain of 1e9 makes 4 of that."""
    problem = family_case(243, "mixed sizes").problem
    x = np.array([True, True, True, False])
    fixed = replace(problem, onloading_lower=x.astype(float), onloading_upper=x.astype(float))
    own = own_rows(problem)
    bound = own.route(x, NEVER).bound / own.scaling.objective
    assert bound >= float(exact_optimum(fixed)[0])


def test_infeasible_by_a_solver_s_word_alone_is_looked_into():
    """An x that counts 1 beside a y that counts 1e7 and gets to 1e7: x = 1, y = 0 is a plan, to the digit."""
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(domain=pyo.Binary), pyo.Var(bounds=(0, 1e7))
    m.row = pyo.Constraint(expr=m.x - 1e7 * m.y + m.x * m.y >= 1)
    m.worth = pyo.Objective(expr=0.1 * m.x + 3 * m.y, sense=pyo.maximize)
    annotate(m, onloading=m.x, offloading=m.y)
    for name in ("j3o", "j3o.exact"):
        results = SolverFactory(name).solve(m, lp_solver="highs", mip_solver="highs")
        assert results.incumbent_objective == pytest.approx(0.1), name


@pytest.mark.parametrize("name", ["j3o", "j3o.exact"])
def test_a_solver_s_word_is_enough_where_the_conflict_is_elsewhere(name):
    """What contradicts itself in rows of ordinary figures is infeasible, whatever another row holds."""
    m = pyo.ConcreteModel()
    m.k = pyo.RangeSet(14)
    m.x, m.y = pyo.Var(m.k, domain=pyo.Binary), pyo.Var(m.k, bounds=(0, 1e7))
    m.far = pyo.Constraint(expr=m.x[1] - 1e9 * m.y[1] <= 5)
    m.worth = pyo.Objective(expr=sum(m.x[k] + m.y[k] for k in m.k), sense=pyo.maximize)
    annotate(m, onloading=m.x, offloading=m.y)
    m.half = pyo.Constraint(expr=sum(m.x[k] for k in m.k) + 0.25 * m.y[2] == 3.5)
    m.shut = pyo.Constraint(expr=m.y[2] <= 1)
    results = SolverFactory(name).solve(m, raise_exception_on_nonoptimal_result=False, load_solutions=False)
    assert results.termination_condition == TerminationCondition.provenInfeasible
