"""The ascent: a bound that is finite, never below the optimum, and near that of the LP, without an LP."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from exact_lp import exact_maximum
from hypothesis import given, settings
from hypothesis import strategies as st
from random_problems import SHAPES, by_placement, random_problem
from small_problems import INF, Looks, brute_force, linear_problems, location_problems, problem_of

from pyomo_j3o import library
from pyomo_j3o.certify.ascent import ascend
from pyomo_j3o.certify.cutting import relax
from pyomo_j3o.certify.params import AscentParams, CutParams
from pyomo_j3o.certify.relaxation import relaxation_model, with_ends
from pyomo_j3o.certify.sifting import cheapest_columns
from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.lp import HighsBackend
from pyomo_j3o.lp.base import LPStatus
from pyomo_j3o.modeling.compiler import compile_model
from pyomo_j3o.presolve.linearize import linearize

#: For problems of any size, from two columns per group on.
SMALL = AscentParams(large=0, first=2, first_of_group=0.0)


def ascent_of(problem, deadline=NEVER, **given):
    """Return the ascent of a linear problem, and the LP that it is of."""
    params = replace(SMALL, **given)
    structure = analyse(problem)
    model = with_ends(relaxation_model(problem), -INF)
    return ascend(model, problem.n_onloading, cheapest_columns(structure, params), deadline, params), model


def check(problem, optimum, steps, rounds=2):
    """Assert that the bound is finite, and not below the optimum where there is one."""
    found, model = ascent_of(problem, steps=steps, rounds=rounds)
    assert np.isfinite(found.bound)
    assert found.duals.shape == (model.n_rows,)
    if np.isfinite(optimum):
        bound = found.bound + problem.objective_constant
        assert bound >= optimum - 1e-6 * max(1.0, abs(optimum))  # that of an LP solver


@settings(max_examples=70, deadline=None)
@given(linear_problems(), st.integers(0, 60), st.integers(1, 3))
def test_no_plan_is_better(problem, steps, rounds):
    """Whatever the rows, the ends and the number of steps: the bound is finite, and no plan beats it."""
    check(problem, brute_force(problem), steps, rounds)


@settings(max_examples=50, deadline=None)
@given(location_problems(gates="any"), st.integers(0, 60))
def test_no_plan_of_a_location_is_better(problem, steps):
    """The same where demand groups stand behind gates of every kind."""
    check(problem, brute_force(problem), steps)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "products"])
@pytest.mark.parametrize("seed", range(8))
def test_no_plan_of_any_shape_is_better(shape, seed):
    """The same for every shape of random problem."""
    problem = random_problem(np.random.default_rng(seed), shape)
    check(problem, by_placement(problem)[1].max(initial=-INF), 40)


@settings(max_examples=40, deadline=None)
@given(linear_problems(bounded=True), st.integers(-9, 9), st.integers(0, 30))
def test_the_bound_holds_in_rational_arithmetic(problem, exponent, steps):
    """In any unit of the objective, the exact maximum of the LP is not above the bound."""
    scaled = replace(
        problem,
        onloading_objective=problem.onloading_objective * 10.0**exponent / 3.0,
        offloading_objective=problem.offloading_objective * 10.0**exponent / 3.0,
    )
    found, model = ascent_of(scaled, steps=steps)
    rows = []
    for a, low, high in zip(model.matrix.toarray(), model.row_lower, model.row_upper, strict=True):
        rows += [(a, high)] if np.isfinite(high) else []
        rows += [(-a, -low)] if np.isfinite(low) else []
    truth = exact_maximum(model.objective, rows, model.lower, model.upper)
    assert truth is None or Fraction(found.bound) >= truth


@pytest.mark.parametrize(
    "build",
    [
        lambda: library.facility_location(25, 100, 907, tightness=0.4),
        lambda: library.p_median(50, 100, 8, 910),
        lambda: library.two_stage(8, 16, 40, 911),
        lambda: library.taskonomy(5, 1, 900, droppable=True),
        lambda: library.service_placement(10, 20, 80, 914),
        lambda: library.maximal_covering(100, 500, p=5, seed=912, radius=0.15),
        lambda: library.multi_edge(10, 3, 906, reach=2),
    ],
    ids=["facility location", "p-median", "two-stage", "inference", "services", "covering", "several edges"],
)
def test_the_bound_is_near_that_of_the_lp(build):
    """Within 3 % of the LP relaxation, on models of the library."""
    problem = linearize(compile_model(build())[0]).problem
    found, model = ascent_of(problem, first=20, first_of_group=0.2)
    program = HighsBackend().open(relaxation_model(problem))
    optimum = program.solve().objective
    program.close()
    assert optimum - 1e-7 * abs(optimum) <= found.bound <= optimum + 0.03 * abs(optimum)
    assert model.n_rows == len(found.duals)


def capacitated():
    """Return a small facility location with capacities, compiled."""
    return linearize(compile_model(library.facility_location(8, 20, 901))[0]).problem


def test_a_price_of_zero_is_where_it_starts():
    """Without time, and without steps, what is proven is what links and ends prove together."""
    problem = capacitated()
    over, _ = ascent_of(problem, deadline=Deadline(0.0))
    none, _ = ascent_of(problem, steps=0)
    assert over.bound == none.bound
    assert over.bound == pytest.approx(0.0, abs=1e-6)  # all costs, and nothing has to be served


@pytest.mark.parametrize("looks", [1, 3, 10])
def test_every_step_asks_the_deadline(looks):
    """An ascent whose deadline is over takes no step more; its bound holds."""
    problem = capacitated()
    deadline = Looks(looks)
    found, _ = ascent_of(problem, deadline=deadline, rounds=3)
    assert deadline.asked <= looks + 2
    assert np.isfinite(found.bound)


def test_the_bound_counts_where_the_time_ends_in_the_lp():
    """The relaxation that has no time for its LP has the bound of the ascent, and its prices."""
    structure = analyse(capacitated())
    params = CutParams(ascent=AscentParams(large=0))
    solved = relax(structure, HighsBackend(), False, NEVER, params)
    # One look for each step, until the ascent has none left.
    out_of_time = relax(structure, HighsBackend(), False, Looks(60), params)
    assert out_of_time.status is LPStatus.TIME_LIMIT
    assert solved.bound <= out_of_time.bound <= solved.bound + 0.1 * abs(solved.bound)
    assert np.any(out_of_time.duals)


def test_an_unbounded_problem_has_no_bound():
    """The ends that proofs count with do not hide that an LP is unbounded."""
    problem = problem_of({"x": 1}, {"y": (1, 0, INF), "z": (-1, 0, INF)}, [({"y": 1, "z": -2}, -INF, 0)])
    assert brute_force(replace(problem, offloading_objective=np.array([3.0, -1.0]))) == INF
    unbounded = replace(problem, offloading_objective=np.array([3.0, -1.0]))
    found = relax(analyse(unbounded), HighsBackend(), True, NEVER, CutParams(ascent=SMALL))
    assert found.status is LPStatus.UNBOUNDED
    assert found.bound == INF
