"""The price of moves on arrays: which variables have which, and the model with it."""

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.common.collections import ComponentMap
from solver_models import two_servers

from pyomo_j3o import library
from pyomo_j3o.core.problem import evaluate
from pyomo_j3o.errors import OptionError
from pyomo_j3o.modeling.compiler import compile_model
from pyomo_j3o.modeling.move_cost import moves_of


def held_model():
    """Return the two servers with a placement in the variables: models 1 and 2 on a, none on b."""
    m = two_servers()
    for key, variable in m.x.items():
        variable.set_value(int(key in {("a", 1), ("a", 2)}))
    return m


def prices(m, option, placement=None):
    """Return the price of every onloading variable, by name; None without any."""
    problem, inverse = compile_model(m)
    moves = moves_of(option, problem, inverse, placement)
    if moves is None:
        return None
    return {v.name: p for v, p in zip(inverse.onloading, moves.price, strict=True)}


def test_nothing_said_costs_nothing():
    """Without option and Suffix there is no price, and a component of that name is the user's own."""
    m = held_model()
    assert prices(m, None) is None
    m.move_cost = pyo.Param(initialize=3)
    assert prices(m, None) is None


def test_the_objective_falls_by_the_price_of_what_changes():
    """At every placement the objective with the price is the one without it minus Σ price·|x - held|."""
    problem, inverse = compile_model(held_model())
    moves = moves_of(0.5, problem, inverse)
    y = np.zeros(problem.n_offloading)
    for number in range(2**problem.n_onloading):
        x = np.array([number >> k & 1 for k in range(problem.n_onloading)], dtype=bool)
        changed = int(np.sum(x != (moves.held == 1)))
        assert moves.number(x) == changed
        assert moves.cost(x) == pytest.approx(0.5 * changed)
        with_price = evaluate(moves.problem, x.astype(float), y)
        assert with_price == pytest.approx(moves.own_objective(x, y) - 0.5 * changed)


def test_the_narrower_price_counts():
    """The option counts before the Suffix, a member before its Var; a number leaves nothing to the Suffix."""
    m = held_model()
    m.move_cost = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    m.move_cost[m.x] = 1.0
    m.move_cost[m.x["a", 1]] = 2.0
    by_suffix = prices(m, None)
    assert by_suffix["x[a,1]"] == 2.0
    assert by_suffix["x[b,3]"] == 1.0
    mixed = prices(m, ComponentMap([(m.x["b", 3], 5)]))
    assert mixed["x[b,3]"] == 5.0
    assert mixed["x[a,1]"] == 2.0
    assert mixed["x[a,2]"] == 1.0
    over_all = prices(m, ComponentMap([(m.x["b", 3], 7.0), (m.x, 5.0)]))
    assert over_all["x[b,3]"] == 7.0
    assert over_all["x[a,1]"] == 5.0
    assert set(prices(m, 0).values()) == {0.0}


def test_a_suffix_of_a_block_counts_in_the_whole_model():
    """A model with prices that is nested as a block keeps them."""
    outer = pyo.ConcreteModel()
    outer.inner = held_model()
    outer.inner.move_cost = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    outer.inner.move_cost[outer.inner.x] = 0.25
    assert set(prices(outer, None).values()) == {0.25}


def test_prices_may_be_params():
    """A mutable Param is taken at its value."""
    m = held_model()
    m.toll = pyo.Param(initialize=0.5, mutable=True)
    m.toll.set_value(0.75)
    assert prices(m, {m.x: m.toll})["x[a,1]"] == 0.75
    assert prices(m, {m.x: 2 * m.toll})["x[a,1]"] == 1.5


def test_without_a_value_there_is_nothing_to_move_from():
    """A variable without a value has no price; half and more counts as placed."""
    m = held_model()
    m.x["b", 1].set_value(None)
    m.x["b", 2].set_value(0.5, skip_validation=True)
    problem, inverse = compile_model(m)
    moves = moves_of(1.0, problem, inverse)
    place = {v.name: k for k, v in enumerate(inverse.onloading)}
    assert moves.unknown == 1
    assert moves.price[place["x[b,1]"]] == 0.0
    assert moves.held[place["x[b,2]"]] == 1.0
    x = moves.held == 1.0
    x[place["x[b,1]"]] = True
    assert moves.number(x) == 0


def test_a_placement_that_is_given_replaces_the_values():
    """Moves are counted from the placement handed in, NaN for a variable that is new."""
    m = held_model()
    problem, inverse = compile_model(m)
    given = np.array([np.nan, *np.ones(problem.n_onloading - 1)])
    moves = moves_of(1.0, problem, inverse, given)
    assert moves.unknown == 1
    assert moves.number(np.zeros(problem.n_onloading, dtype=bool)) == problem.n_onloading - 1


def test_fixed_and_idle_variables_are_ignored():
    """A price of what cannot move, or occurs nowhere, changes nothing."""
    m = held_model()
    m.x["a", 1].fix(1)
    m.y[1, "a", 1].fix(0)
    m.unused = pyo.Var(domain=pyo.Binary)
    m.j3o_role[m.unused] = "onloading"
    found = prices(m, ComponentMap([(m.x, 1.0), (m.unused, 4.0), (m.y[1, "a", 1], 3.0)]))
    assert len(found) == 5
    assert set(found.values()) == {1.0}


def test_the_indicator_of_a_batch_is_no_model():
    """A number prices placements alone; named, an indicator has its price."""
    m = library.taskonomy(clients=2, edges=1, seed=1, window=0.5)
    for variable in m.component_data_objects(pyo.Var):
        variable.set_value(0)
    found = prices(m, 1.0)
    indicators = {name for name in found if name.startswith("batch")}
    assert indicators
    assert {found[name] for name in indicators} == {0.0}
    assert {found[name] for name in found if name not in indicators} == {1.0}
    used = next(iter(m.batch.values())).used
    assert prices(m, {used: 2.0})[next(iter(used.values())).name] == 2.0


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (lambda m: {m.x: -1}, r"gives 'x' -1, which is no price"),
        (lambda m: ComponentMap([(m.x["a", 1], float("nan"))]), r"gives 'x\[a,1\]' nan"),
        (lambda m: {m.x: float("inf")}, r"gives 'x' inf"),
        (lambda m: {m.x: "dear"}, r"gives 'x' dear"),
        (lambda m: {m.x: True}, r"gives 'x' True"),
        (lambda m: {m.x: m.y[1, "a", 1]}, r"gives 'x' y\[1,a,1\]"),
        (lambda m: {m.y: 1.0}, r"'y\[1,a,1\]', which is no onloading variable"),
        (lambda m: {two_servers().x: 1.0}, r"'x\[a,1\]', which is no onloading variable of the model"),
        (lambda m: {"x": 1.0}, r"names 'x', which is no variable"),
        (lambda m: {m.memory: 1.0}, r"names memory, which is no variable"),
        (lambda m: -2.0, r"move_cost=-2.0 is no price"),
    ],
)
def test_what_is_no_price_is_named(option, message):
    """One sentence says which price of which component is wrong."""
    m = held_model()
    problem, inverse = compile_model(m)
    with pytest.raises(OptionError, match=message):
        moves_of(option(m), problem, inverse)


def test_a_suffix_with_a_wrong_price_is_named():
    """The sentence names the Suffix."""
    m = held_model()
    m.move_cost = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    m.move_cost[m.x["b", 1]] = -3
    problem, inverse = compile_model(m)
    with pytest.raises(OptionError, match=r"Suffix 'move_cost' gives 'x\[b,1\]' -3"):
        moves_of(None, problem, inverse)
