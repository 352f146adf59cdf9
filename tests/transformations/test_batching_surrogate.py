"""Tests of the transformation j3o.batching_surrogate."""

import math

import numpy as np
import pyomo.environ as pyo
import pytest
from batching_models import Drawn, missed
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.contrib.solver.common.factory import SolverFactory

from pyomo_j3o.errors import ModelError, OptionError

surrogate_rows = pyo.TransformationFactory("j3o.batching_surrogate")


def phi(q, largest, delta):
    """φ_δ by its definition, δ as part of the largest."""
    return math.log(1 + q / (delta * largest)) / math.log(1 + 1 / delta)


def solved(seed, **options):
    """Return a drawn model with the plan of j3o in it; a seed for which there is one."""
    m = Drawn(seed, **options).model()
    SolverFactory("j3o").solve(m)
    return m


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 40), delta=st.sampled_from([1.0, 0.1, 1e-3]))
def test_the_row_is_the_tangent_of_phi(seed, delta):
    """At the current point set-ups count as φ_δ(q̄); elsewhere the row is linear and above φ_δ."""
    drawn = Drawn(seed)
    m = drawn.model()
    rng = np.random.default_rng(seed)
    for y in m.route.y.values():
        y.set_value(float(rng.choice([0.0, rng.uniform(0, 0.4)])))
    row = surrogate_rows.create_using(m, delta=delta)

    def gap(point):
        """Return the body of the row less φ_δ and the time of the queries, at some values of y."""
        for index, value in point.items():
            row.route.y[index].set_value(value)
        window, total = row.batch[0], 0.0
        for k in window.models:
            largest = sum(drawn.load)
            q = pyo.value(window.arrivals[k])
            total += drawn.per_query[k] * q
            if drawn.setup[k] <= (1 - drawn.headroom) * drawn.length[0]:  # else it never runs
                total += drawn.setup[k] / drawn.length[0] * phi(q, largest, delta)
        constraint = row.j3o_batching_surrogate.capacity["batch[0]"]
        return pyo.value(constraint.body) - pyo.value(constraint.upper) - total + 1 - drawn.headroom

    here = {index: y.value for index, y in m.route.y.items()}
    assert gap(here) == pytest.approx(0, abs=1e-9)
    for _ in range(3):
        assert gap({index: float(rng.uniform(0, 0.4)) for index in here}) >= -1e-9


def test_the_model_has_no_indicators_left():
    """Every indicator is fixed, no row of the windows is active, and the rest of the model is as it was."""
    m = solved(3)
    row = surrogate_rows.create_using(m)
    assert all(z.fixed for window in row.batch.values() for z in window.used.values())
    active = {c.name for c in row.component_data_objects(pyo.Constraint, active=True)}
    before = {c.name for c in m.component_data_objects(pyo.Constraint, active=True)}
    assert active - before == {"j3o_batching_surrogate.capacity['batch[0]']"}
    assert all(name.startswith("batch[0].") for name in before - active)
    assert not any(z.fixed for window in m.batch.values() for z in window.used.values())


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 60), shared=st.booleans())
def test_a_round_by_hand_gives_a_plan_of_the_windows(seed, shared):
    """Tangent rows, HiGHS, the routing taken back, used fixed, solved once more: a plan, or none is said."""
    m = Drawn(seed, shared=shared).model()
    if (
        SolverFactory("j3o")
        .solve(m, load_solutions=False, raise_exception_on_nonoptimal_result=False)
        .incumbent_objective
        is None
    ):
        return
    for y in m.route.y.values():
        y.set_value(1.0 / len(m.place.x))
    row = surrogate_rows.create_using(m, delta=1e-3)
    results = SolverFactory("highs").solve(
        row, load_solutions=False, raise_exception_on_nonoptimal_result=False
    )
    if results.incumbent_objective is None:
        return
    results.solution_loader.load_vars()
    surrogate_rows.propagate_solution(row, m)
    for window in m.batch.values():
        for k in window.models:
            assert window.used[k].value <= (pyo.value(window.arrivals[k]) > 1e-8)
            window.used[k].fix()
        charged = sum(pyo.value(window.setup[k]) * window.used[k].value for k in window.models)
        assert charged <= (1 - pyo.value(window.headroom)) * pyo.value(window.length) * (1 + 1e-9)
    results = SolverFactory("highs").solve(
        m, load_solutions=False, raise_exception_on_nonoptimal_result=False
    )
    if results.incumbent_objective is not None:
        results.solution_loader.load_vars()
        assert missed(m) <= 1e-6


def test_it_solves_as_plain_j3o():
    """With its windows gone a model is one for J3O; auto knows."""
    row = surrogate_rows.create_using(solved(5))
    assert SolverFactory("j3o").solve(row).extra_info.algorithm == "j3o"


def test_a_fixed_indicator_keeps_its_say():
    """Fixed at 1 the set-up is charged in full; fixed at 0 the model stays closed."""
    m = solved(5)
    window = m.batch[0]
    keys = [k for k in window.models if pyo.value(window.setup[k]) > 0][:2]
    window.used[keys[0]].fix(1)
    window.used[keys[1]].fix(0)
    surrogate_rows.apply_to(m)
    charge = m.j3o_batching_surrogate.charge
    assert pyo.value(charge["batch[0]", keys[0]]) == 1
    assert pyo.value(charge["batch[0]", keys[1]]) == 0
    assert all(row.active for (k, _), row in window.opens.items() if k == keys[1])


def test_a_model_without_windows_is_left_alone():
    """There is nothing to replace, so nothing is added."""
    m = pyo.ConcreteModel()
    m.y = pyo.Var()
    surrogate_rows.apply_to(m)
    assert m.component("j3o_batching_surrogate") is None


@pytest.mark.parametrize("options", [{"delta": 0}, {"delta": "small"}, {"delta": math.nan}, {"epsilon": 1}])
def test_bad_options_are_named(options):
    """A delta that is no positive number, and an unknown option, are errors before the model changes."""
    m = Drawn(1).model()
    with pytest.raises(OptionError, match=next(iter(options))):
        surrogate_rows.apply_to(m, **options)
    assert m.component("j3o_batching_surrogate") is None


def test_a_second_call_changes_nothing():
    """The windows are gone by then: rows at another point come from the original."""
    m = solved(3)
    surrogate_rows.apply_to(m)
    before = [c.name for c in m.component_data_objects(pyo.Constraint, active=True)]
    surrogate_rows.apply_to(m)
    assert [c.name for c in m.component_data_objects(pyo.Constraint, active=True)] == before


def test_a_set_up_longer_than_its_window_stays_closed():
    """No tangent lets queries through to a model that can never run there."""
    m = solved(5)
    window = m.batch[0]
    key = next(iter(window.models))
    window.setup[key] = 10.0 * pyo.value(window.length)
    surrogate_rows.apply_to(m)
    assert any(row.active for (k, _), row in window.opens.items() if k == key)
    results = SolverFactory("highs").solve(m, load_solutions=False)
    results.solution_loader.load_vars()
    assert pyo.value(window.arrivals[key]) == pytest.approx(0, abs=1e-7)


def test_values_that_say_nothing_are_named():
    """A variable at nan is an error; a value outside its bounds counts as the nearest inside."""
    m = Drawn(5).model()
    m.route.y[0, 0].set_value(7.0, skip_validation=True)
    assert pyo.value(surrogate_rows.create_using(m).j3o_batching_surrogate.charge["batch[0]", 0]) <= 1
    m.route.y[0, 0].set_value(math.nan, skip_validation=True)
    with pytest.raises(ModelError, match=r"route.y\[0,0\]"):
        surrogate_rows.apply_to(m)
    with pytest.raises(ModelError, match="constructed"):
        surrogate_rows.apply_to(pyo.AbstractModel())
