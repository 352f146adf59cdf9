"""Rows over x in whole numbers: their unit is found, and they hold exactly or not at all."""

from fractions import Fraction

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyomo.contrib.solver.common.factory import SolverFactory
from scipy import sparse
from small_problems import INF, placements, problem_of

from pyomo_j3o import annotate, explain_infeasibility
from pyomo_j3o.core.problem import activities
from pyomo_j3o.core.whole_numbers import (
    broken_rows,
    in_whole_numbers,
    rounded_bound,
    unit_of_objective,
    units_of,
)


@pytest.mark.parametrize(
    ("entries", "unit"),
    [
        ([4, 6, -10], 2.0),
        ([1.5, 0.5, 2.0], 0.5),
        ([0.1, 0.2, 0.7], 0.1),
        ([512_311e4, 874_203e4], 1e4),
        ([3 * 2.0**-40, 2.0**-38], 2.0**-40),
        ([np.pi, 1.0], 0.0),
        ([2.0**60, 1.0], 0.0),
    ],
)
def test_the_unit_of_a_row(entries, unit):
    """It is the largest number of which all entries are whole multiples; 0 if sums would not be exact."""
    found = units_of(sparse.csr_array(np.array([entries])), decimals=True)
    assert found[0] == pytest.approx(unit, rel=1e-12)


def test_decimals_are_whole_only_where_asked_for():
    """In binary digits 0.1 and 0.2 have a unit so small that their sums are not exact."""
    assert units_of(sparse.csr_array(np.array([[0.1, 0.2, 0.7]])))[0] == 0.0


def test_decimals_add_up():
    """0.1 + 0.2 <= 0.3 holds, though the sum of the floats is above 0.3; 0.1 + 0.3 does not."""
    problem = problem_of({"a": 1, "b": 1, "c": 1}, {}, [({"a": 0.1, "b": 0.2, "c": 0.3}, -INF, 0.3)])
    assert not len(broken_rows(problem, np.array([1.0, 1.0, 0.0])))
    assert list(broken_rows(problem, np.array([1.0, 0.0, 1.0]))) == [0]


_DECIMALS = st.integers(-40, 40).filter(bool)


@given(
    st.lists(_DECIMALS, min_size=1, max_size=5),
    st.integers(-90, 90),
    st.integers(-90, 90),
    st.sampled_from([1, 10, 1000, 2, 8]),
)
def test_counting_keeps_exactly_the_plans(weights, one, other, divisor):
    """In whole numbers a row admits the placements that it admits in rational arithmetic."""
    low, high = sorted((one, other))
    names = {f"x{k}": 0 for k in range(len(weights))}
    row = {f"x{k}": w / divisor for k, w in enumerate(weights)}
    problem = problem_of(names, {}, [(row, low / divisor, high / divisor)])
    counted, factors, crossed = in_whole_numbers(problem)
    for x in placements(problem):
        body = sum((Fraction(w) for w, on in zip(weights, x, strict=True) if on), Fraction(0))
        holds = low <= body <= high
        assert (len(broken_rows(problem, x.astype(float))) == 0) == holds
        value = activities(counted, x.astype(float), np.zeros(0))[0]
        assert (counted.row_lower[0] <= value <= counted.row_upper[0]) == holds
        assert not (holds and len(crossed))
    assert factors[0] > 0


def parity_model():
    """All weights are even, their sum is asked to be odd."""
    m = pyo.ConcreteModel("parity")
    m.x = pyo.Var(range(4), domain=pyo.Binary)
    m.sum = pyo.Constraint(expr=sum(2 * (k + 3) * m.x[k] for k in range(4)) == 11)
    m.count = pyo.Objective(expr=sum(m.x.values()))
    annotate(m, onloading=m.x)
    return m


@pytest.mark.parametrize("name", ["j3o", "j3o.exact"])
def test_a_parity_that_cannot_be_met_is_proven_infeasible(name):
    """No tolerance lets an odd sum of even numbers through; the message names the row and the unit."""
    results = SolverFactory(name).solve(
        parity_model(), load_solutions=False, raise_exception_on_nonoptimal_result=False
    )
    assert results.termination_condition.name == "provenInfeasible"
    assert "'sum'" in results.extra_info.message
    assert "multiples of 2" in results.extra_info.message


def test_the_explanation_names_the_row():
    """What is infeasible by parity alone has a conflict of one row."""
    text = str(explain_infeasibility(parity_model()))
    assert "one row cannot be satisfied" in text
    assert "sum" in text


@pytest.mark.parametrize("mip_solver", ["highs", "gurobi", "scip"])
@pytest.mark.parametrize("name", ["j3o", "j3o.exact"])
@pytest.mark.parametrize("seed", range(4))
def test_a_capacity_is_not_overfilled_by_one_unit(name, mip_solver, seed):
    """In bytes: one filling misses the capacity by one byte of 30 GB; the best that fits is found."""
    rng = np.random.default_rng(seed)
    weights = [int(w) for w in rng.integers(10**9, 8 * 10**9, 9)]
    sums = sorted({sum(w for k, w in enumerate(weights) if choice >> k & 1) for choice in range(2**9)})
    capacity = sums[len(sums) // 2] - 1
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(9), domain=pyo.Binary)
    load = sum(w * m.x[k] for k, w in enumerate(weights))
    m.room = pyo.Constraint(expr=load <= capacity)
    m.used = pyo.Objective(expr=load, sense=pyo.maximize)
    annotate(m, onloading=m.x)
    results = SolverFactory(name).solve(m, mip_solver=mip_solver, lp_solver="highs", rel_gap=1e-6)
    used = sum(w * round(m.x[k].value) for k, w in enumerate(weights))
    best = max(total for total in sums if total <= capacity)
    assert used <= capacity
    assert results.objective_bound >= best
    proven = results.solution_status.name == "optimal"
    assert proven or name == "j3o"
    assert used >= best * (1 - (1.1e-6 if proven else 1e-2))


@pytest.mark.parametrize("base", [10, 1000, 1e6, 1e8])
@pytest.mark.parametrize("name", ["j3o", "j3o.exact"])
def test_a_constant_in_a_row_of_decimals_is_no_noise(name, base):
    """Base + 0.1 a + 0.2 b >= base + 0.3: the side that is left is 0.3, whatever the floats say."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(2), domain=pyo.Binary)
    m.row = pyo.Constraint(expr=base + 0.1 * m.x[0] + 0.2 * m.x[1] >= base + 0.3)
    m.cost = pyo.Objective(expr=m.x[0] + m.x[1])
    annotate(m, onloading=m.x)
    assert SolverFactory(name).solve(m, lp_solver="highs").incumbent_objective == pytest.approx(2)


def test_a_sum_of_many_decimals_is_what_it_looks_like():
    """Python's sum of a thousand tenths is 1.4e-12 below 100, and a hundred is what is meant."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(1000), domain=pyo.Binary)
    m.row = pyo.Constraint(expr=sum(0.1 * m.x[k] for k in range(1000)) == sum([0.1] * 1000))
    m.cost = pyo.Objective(expr=sum(m.x.values()))
    annotate(m, onloading=m.x)
    assert SolverFactory("j3o").solve(m, lp_solver="highs").incumbent_objective == pytest.approx(1000)


@pytest.mark.parametrize(
    ("costs", "constant", "bound", "rounded"),
    [
        ([4, 6, -10], 1.0, 8.9, 7.0),
        ([4, 6, -10], 1.0, 9.0, 9.0),
        ([3, 3], 0.0, 5.999_999, 3.0),
        ([0.1, 0.2], 0.0, 0.25, 0.2),
        ([0.1, 0.2], 0.0, 0.1 + 0.2, 0.3),
        ([np.pi, 1.0], 0.0, 2.5, 2.5),
        ([1, 2], 0.0, INF, INF),
        ([1, 2], 0.0, -INF, -INF),
    ],
)
def test_a_bound_is_lowered_to_the_next_multiple(costs, constant, bound, rounded):
    """Of the unit of the objective, counted from its constant; one that is a multiple stays."""
    problem = problem_of({f"x{i}": cost for i, cost in enumerate(costs)}, {}, constant=constant)
    assert rounded_bound(problem, unit_of_objective(problem), bound) == pytest.approx(rounded, abs=1e-12)


def test_an_objective_over_offloading_variables_has_no_unit():
    """Whatever its coefficients: y is not whole."""
    assert unit_of_objective(problem_of({"x": 2}, {"y": 4})) == 0.0
    assert unit_of_objective(problem_of({"x": 2}, {"y": 0})) == 2.0
    assert unit_of_objective(problem_of({"x": 2}, {"y": 0}, products=[(-1, "x", "y", 1.0)])) == 0.0


@given(
    st.lists(st.integers(-200, 200), min_size=1, max_size=6),
    st.sampled_from([1.0, 0.1, 0.01, 0.25, 7.0, 1e6]),
    st.integers(-30, 30),
    st.floats(0, 3),
    st.integers(0, 63),
)
def test_no_plan_below_a_bound_is_above_the_rounded_one(costs, unit, constant, above, placement):
    """The exact objective of a plan within the bound is within the rounded one, whatever its digits."""
    costs = [cost * unit for cost in costs]
    problem = problem_of({f"x{i}": cost for i, cost in enumerate(costs)}, {}, constant=constant * unit)
    chosen = [cost for i, cost in enumerate(costs) if placement >> i & 1]
    truth = sum(map(Fraction, chosen), Fraction(constant * unit))
    for extra in (0.0, above * unit):
        bound = float(truth) + extra
        bound = np.nextafter(bound, INF) if Fraction(bound) < truth else bound
        rounded = rounded_bound(problem, unit_of_objective(problem), bound)
        assert rounded <= bound
        assert Fraction(rounded) >= truth
