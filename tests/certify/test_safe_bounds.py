"""A bound holds in rational arithmetic, whatever duals it comes from, and in any units."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from exact_lp import exact_maximum
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from small_problems import INF, placements, problem_of

from pyomo_j3o.certify.cutting import relax
from pyomo_j3o.certify.relaxation import relaxation_model, with_ends
from pyomo_j3o.core.deadline import NEVER
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.lp import HighsBackend
from pyomo_j3o.lp.base import LinearModel
from pyomo_j3o.lp.duality import dual_bound
from pyomo_j3o.presolve.scaling import scale
from pyomo_j3o.presolve.tightening import implied_bounds, needed_bounds, shrink_big_m


def exact_optimum(model, costs=None):
    """Return the exact maximum of a `LinearModel` whose columns have ends, as a Fraction."""
    rows = []
    for a, low, high in zip(model.matrix.toarray(), model.row_lower, model.row_upper, strict=True):
        rows += [(a, high)] if np.isfinite(high) else []
        rows += [(-a, -low)] if np.isfinite(low) else []
    return exact_maximum(model.objective if costs is None else costs, rows, model.lower, model.upper)


def random_model(seed, n=4, m=3):
    """Return a feasible LP with figures over many orders of magnitude."""
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-9, 10, (m, n)) * 10.0 ** rng.integers(-6, 7, (m, n))
    upper = rng.uniform(0.5, 2, n) * 10.0 ** rng.integers(-6, 7, n)
    inside = upper * rng.uniform(0, 1, n)
    side = matrix @ inside + np.abs(matrix) @ upper * rng.uniform(0, 0.3, m)
    return LinearModel(
        rng.normal(size=n) * 10.0 ** rng.integers(-6, 7, n),
        sparse.csr_array(matrix),
        np.full(m, -INF),
        side,
        np.zeros(n),
        upper,
    )


@pytest.mark.parametrize("seed", range(60))
def test_any_duals_give_a_bound(seed):
    """From the LP solver's duals, from rounded and from arbitrary ones: the exact optimum is not above."""
    model = random_model(seed)
    truth = exact_optimum(model)
    program = HighsBackend().open(model)
    found = program.solve()
    program.close()
    rng = np.random.default_rng(seed)
    choices = [rng.exponential(size=model.n_rows), np.zeros(model.n_rows)]
    if len(found.row_duals):
        choices += [found.row_duals, np.round(found.row_duals, 3), np.nextafter(found.row_duals, -INF)]
    for duals in choices:
        assert Fraction(dual_bound(model, duals, model.lower, model.upper)) >= truth


def test_rounding_alone_would_give_a_bound_that_is_too_low():
    """Beside 1e16 the floats' sum loses what 0.1, 0.2 and 0.3 are worth; the bound does not."""
    worth = np.array([0.1, 0.2, 0.3, 1e16, -1e16, 0.7])
    model = LinearModel(worth, sparse.csr_array((0, 6)), np.zeros(0), np.zeros(0), np.ones(6), np.ones(6))
    truth = sum(map(Fraction, worth))
    assert Fraction(dual_bound(model, np.zeros(0), model.lower, model.upper)) >= truth


def test_an_open_column_with_a_reduced_cost_that_may_be_wrong_proves_nothing():
    """A reduced cost of -1e-18 beside terms of 1 is 0 up to rounding, and the column has no end."""
    model = LinearModel(
        np.array([1.0]),
        sparse.csr_array([[1.0]]),
        np.array([-INF]),
        np.array([1.0]),
        np.zeros(1),
        np.array([INF]),
    )
    assert dual_bound(model, np.ones(1), model.lower, model.upper) == INF
    # What costs something has an end: the row says so here.
    assert dual_bound(
        replace(model, far_upper=np.ones(1)), np.ones(1), model.lower, model.upper
    ) == pytest.approx(1)


def test_what_costs_something_has_an_end_for_proofs():
    """Min y + 2 z, y + z >= 3, neither with an upper bound: plans above some floor have both below it."""
    model = LinearModel(
        np.array([-1.0, -2.0]),
        sparse.csr_array([[1.0, 1.0]]),
        np.array([3.0]),
        np.array([INF]),
        np.zeros(2),
        np.full(2, INF),
    )
    ended = with_ends(model, -3.0)
    assert np.all(np.isfinite(ended.far_upper))
    assert -3.0 <= dual_bound(ended, np.array([-1.0]), model.lower, model.upper) <= -3.0 + 1e-9


_COEFFICIENTS = st.integers(-3, 3)


@st.composite
def flows(draw):
    """Draw a problem whose y have no upper bounds but what rows with a huge M say."""
    n = draw(st.integers(1, 3))
    big = draw(st.sampled_from([1e3, 1e6, 1e9]))
    x = {f"x{k}": (-draw(st.integers(0, 9)), 0, 1) for k in range(n)}
    y = {f"y{k}": (-draw(st.integers(0, 5)), 0, INF) for k in range(n)}
    rows = [({f"y{k}": 1, f"x{k}": -big}, -INF, 0.0) for k in range(n)]
    for _ in range(draw(st.integers(1, 2))):
        row = {f"y{k}": draw(_COEFFICIENTS) for k in range(n)}
        rows.append((row, draw(st.integers(0, 6)), INF))
    return problem_of(x, y, rows)


def best(problem):
    """Return the exact maximum over all placements, y within 1e12; None if there is no plan."""
    found = []
    for x in placements(problem):
        at = problem.onloading_rows @ x.astype(float)
        model = LinearModel(
            problem.offloading_objective,
            problem.offloading_rows,
            problem.row_lower - at,
            problem.row_upper - at,
            problem.offloading_lower,
            np.minimum(problem.offloading_upper, 1e12),
        )
        value = exact_optimum(model)
        if value is not None:
            found.append(value + sum(map(Fraction, problem.onloading_objective[x])))
    return max(found, default=None)


@settings(deadline=None, max_examples=40)
@given(flows())
def test_nobody_needs_more_than_the_rows_ask_for(problem):
    """Needed bounds and a smaller M keep the optimum, up to the last binary digits of a bound."""
    low, high = needed_bounds(problem, implied_bounds(problem))
    truth = best(problem)
    boxed = replace(problem, offloading_lower=low, offloading_upper=np.minimum(high, 1e12))
    for found in (best(boxed), best(shrink_big_m(problem).problem)):
        assert (found is None) == (truth is None)
        assert truth is None or abs(found - truth) <= Fraction(1, 10**12) * max(1, abs(truth))


@settings(deadline=None, max_examples=40)
@given(flows(), st.integers(-6, 9), st.integers(-6, 6), st.sampled_from([True, False]))
def test_the_relaxation_bounds_the_exact_optimum_in_any_unit(problem, money, amount, cuts):
    """Costs in other money and amounts in other units: the bound holds in rational arithmetic."""
    unit, price = 10.0**amount, 10.0**money
    problem = replace(
        problem,
        onloading_objective=problem.onloading_objective * price,
        offloading_objective=problem.offloading_objective * price,
        row_lower=problem.row_lower * unit,
        row_upper=problem.row_upper * unit,
        onloading_rows=problem.onloading_rows * unit,
    )
    truth = best(problem)
    scaling = scale(problem)
    scaled = scaling.problem
    bound = relax(analyse(scaled), HighsBackend(), cuts, NEVER).bound / scaling.objective
    if truth is None:
        return
    assert bound == INF or Fraction(bound) >= truth


def test_an_m_of_a_billion_becomes_what_the_row_needs():
    """Flow <= 1e9 use, flow + bought >= 50: nobody needs a flow above 50."""
    problem = problem_of(
        {"use": -100},
        {"flow": (0, 0, INF), "bought": (-5, 0, INF)},
        [({"flow": 1, "use": -1e9}, -INF, 0), ({"flow": 1, "bought": 1}, 50, INF)],
    )
    assert shrink_big_m(problem).problem.onloading_rows.toarray()[0, 0] == pytest.approx(-50, rel=1e-4)
    assert relaxation_model(problem).upper[1] <= 102


def test_a_far_unit_does_not_loosen_the_bound():
    """Opening a site costs millions, serving a unit a fraction of one, of which there are a million."""
    rng = np.random.default_rng(5)
    n, k = 4, 6
    demand = rng.uniform(0.2, 1, k) * 1e6
    x = {f"x{i}": -float(rng.uniform(2e6, 3e6)) for i in range(n)}
    y = {f"y{i},{j}": (-float(rng.uniform(0.2, 0.9)), 0, INF) for i in range(n) for j in range(k)}
    rows = [({f"y{i},{j}": 1 for i in range(n)}, demand[j], demand[j]) for j in range(k)]
    rows += [({f"y{i},{j}": 1 for j in range(k)} | {f"x{i}": -0.6 * demand.sum()}, -INF, 0) for i in range(n)]
    problem = problem_of(x, y, rows)
    scaling = scale(problem)
    scaled = scaling.problem
    relaxation = relax(analyse(scaled), HighsBackend(), False, NEVER)
    value = scaled.onloading_objective @ relaxation.x + scaled.offloading_objective @ relaxation.y
    assert value <= relaxation.bound <= value + 1e-8 * abs(value)
    assert np.all(np.log2(scaling.column) == np.rint(np.log2(scaling.column)))
