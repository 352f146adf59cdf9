"""Links get the smallest M, and no plan is lost."""

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyomo.contrib.solver.common.factory import SolverFactory
from random_models import random_case
from small_problems import INF, brute_force, linear_problems, problem_of

from pyomo_j3o import annotate
from pyomo_j3o.certify.relaxation import relaxation_model
from pyomo_j3o.core.problem import violations
from pyomo_j3o.mip import HighsMIP, Limits, MIPModel
from pyomo_j3o.presolve.scaling import scale
from pyomo_j3o.presolve.tightening import implied_bounds, tighten_links


def test_the_coefficient_falls_to_what_the_variable_can_reach():
    """Y <= 100 x with y <= 3 by its bound, or by another row, becomes y <= 3 x."""
    problem = problem_of(
        {"a": 0, "b": 0},
        {"y": (1, 0, 3), "z": (1, 0, INF)},
        [
            ({"y": 1, "a": -100}, -INF, 0),
            ({"z": -2, "b": 100}, 0, INF),
            ({"y": 1, "z": 1}, -INF, 7),
        ],
    )
    rows = tighten_links(problem, implied_bounds(problem)).onloading_rows.toarray()
    assert rows[0, 0] == pytest.approx(-3)
    assert rows[1, 1] == pytest.approx(14)


def test_a_variable_that_can_only_be_0_leaves_no_tiny_coefficient():
    """Y <= 2 x with y <= 0 does not become y <= 1e-9 x, which HiGHS 1.16's presolve takes for another row."""
    problem = problem_of({"a": 0}, {"y": (1, 0, 0)}, [({"y": 1, "a": -2}, -INF, 0)])
    assert tighten_links(problem, implied_bounds(problem)).onloading_rows.toarray()[0, 0] <= -1e-6


@pytest.mark.parametrize("seed", [700189])
def test_a_model_that_presolve_got_wrong_is_proven_right(seed):
    """A drawn model whose optimum HiGHS missed by 10 % while a link had a coefficient of 1e-9."""
    case = random_case(seed)
    results = SolverFactory("j3o.exact").solve(case.model, mip_solver="highs", rel_gap=1e-6)
    assert results.incumbent_objective == pytest.approx(-20.5)
    assert results.objective_bound == pytest.approx(-20.5)


@settings(max_examples=40, deadline=None)
@given(problem=linear_problems())
def test_no_plan_is_lost_and_none_is_won(problem):
    """At every placement a point satisfies the tightened rows exactly where it satisfies the others."""
    tight = tighten_links(problem, implied_bounds(problem))
    rng = np.random.default_rng(0)
    low = np.maximum(problem.offloading_lower, -5.0)
    high = np.minimum(problem.offloading_upper, 5.0)
    for _ in range(50):
        x = (rng.random(problem.n_onloading) < 0.5).astype(float)
        y = np.where(rng.random(len(low)) < 0.3, high, low + rng.random(len(low)) * (high - low))
        if np.all(violations(problem, x, y) <= 1e-9):
            assert np.all(violations(tight, x, y) <= 1e-7)
        if np.all(violations(tight, x, y) <= 1e-9):
            assert np.all(violations(problem, x, y) <= 1e-7)


@pytest.mark.parametrize("lp_solver", ["highs", "gurobi"])
@pytest.mark.parametrize("bound", ["cuts", "lp", "none"])
@pytest.mark.parametrize("big", [1e3, 1e7, 1e9])
def test_a_huge_big_m_makes_nothing_infeasible(big, bound, lp_solver):
    """Y <= 1e9 x and y0 + y1 = 5 has the plan it has with y <= 5 x."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var([0, 1], domain=pyo.Binary)
    m.y = pyo.Var([0, 1], bounds=(0, None))
    m.opens = pyo.Constraint([0, 1], rule=lambda m, i: m.y[i] <= big * m.x[i])
    m.all = pyo.Constraint(expr=m.y[0] + m.y[1] == 5)
    m.cost = pyo.Objective(expr=10 * m.x[0] + 50 * m.x[1] + 10 * m.y[0] + 2 * m.y[1])
    annotate(m, onloading=m.x, offloading=m.y)
    results = SolverFactory("j3o").solve(m, lp_solver=lp_solver, bound=bound)
    assert results.incumbent_objective == pytest.approx(60)
    assert results.objective_bound <= 60 + 1e-6


@pytest.mark.parametrize("unit", [1.0, 1e-8, 1e-11, 1e9])
def test_the_unit_of_the_objective_does_not_matter(unit):
    """Results, trace and duals come back in the unit of the user's objective."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(domain=pyo.Binary)
    m.y = pyo.Var(bounds=(0, 1))
    m.opens = pyo.Constraint(expr=m.y <= 0.5 * m.x)
    m.also = pyo.Constraint(expr=m.y + m.x <= 1.4)
    m.gain = pyo.Objective(expr=unit * (3 * m.y - m.x), sense=pyo.maximize)
    annotate(m, onloading=m.x, offloading=m.y)
    m.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)
    results = SolverFactory("j3o").solve(m)
    assert results.incumbent_objective / unit == pytest.approx(0.2)
    assert results.extra_info.trace[-1].incumbent / unit == pytest.approx(0.2)
    assert m.dual[m.also] / unit == pytest.approx(3)


def test_a_tiny_coefficient_implies_no_bound_beyond_rounding():
    """In a row of 1e18, what rounding leaves is a hundred times an entry of 1: the x behind it stays free."""
    problem = problem_of(
        {"a": 0, "b": 0},
        {"y": (1, 0, 1e9), "w": (1, 0, 1e9)},
        [({"a": -2, "b": 1, "y": -1e9}, -INF, -1e18), ({"w": 1, "b": -1e9}, -INF, 0.0)],
    )
    scaled = scale(problem).problem
    assert implied_bounds(scaled)[1][1] == pytest.approx(scaled.offloading_upper[1])


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6))
@example(seed=8)
@example(seed=87)
@example(seed=118)
def test_a_mip_solver_finds_the_optimum_of_the_tightened_problem(seed):
    """Links whose M another row implies, to many digits: presolve of HiGHS leaves no plan out."""
    rng = np.random.default_rng(seed)
    x = {name: -rng.integers(0, 5) / 8 for name in "ab"}
    y = {name: (rng.uniform(0.1, 2.0), 0, 1) for name in "cd"}
    links = [({of: 1, opens: -1}, -INF, 0) for opens, of in ("ac", "bd")]
    memory = ({"a": rng.integers(1, 7), "b": rng.integers(1, 7)}, -INF, rng.integers(3, 9))
    load = rng.integers(1, 6, 2)
    compute = ({"c": load[0], "d": load[1]}, -INF, load.max() * rng.uniform(0.3, 1.0))
    problem = problem_of(x, y, [*links, memory, compute])
    tight = tighten_links(problem, implied_bounds(problem))
    solution = HighsMIP().solve(MIPModel(relaxation_model(tight)), Limits(rel_gap=0.0))
    assert solution.objective == pytest.approx(brute_force(problem), abs=1e-6)
