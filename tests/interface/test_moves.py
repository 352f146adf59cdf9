"""Plans that stay near the last one: the best of f minus the price, and what is said of the moves."""

import io
import pickle

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_problems import as_pyomo, by_placement
from small_problems import INF, linear_problems, problems
from solver_models import QUIET, SENSES, classic, knapsack, new, two_servers

from pyomo_j3o import annotate, budget_worth, library
from pyomo_j3o.errors import OptionError

TOLERANCE = 1e-6


def placed(m, rng):
    """Give the onloading variables a random placement, and return it."""
    held = rng.integers(0, 2, len(m.x))
    for variable, number in zip(m.x.values(), held, strict=True):
        variable.set_value(int(number), skip_validation=True)
    return held.astype(bool)


def best_with_price(problem, held, price):
    """Return the maximum of the objective minus the price of changed variables, by enumeration."""
    every, values = by_placement(problem)
    return float(np.max(values - price * (every != held).sum(axis=1)))


@settings(max_examples=25, deadline=None)
@given(problem=problems(), seed=st.integers(0, 99), price=st.sampled_from([0.0, 0.3, 1.0, 7.5]))
def test_the_plan_is_the_best_with_the_price(problem, seed, price):
    """With a gap of 0 it is the best of f - price; in any case the bound is no better than the truth."""
    m = as_pyomo(problem)
    held = placed(m, np.random.default_rng(seed))
    best = best_with_price(problem, held, price)
    for options in ({"rel_gap": 0.0}, {"effort": "alternation"}, {"algorithm": "exact"}):
        found = new().solve(m, move_cost=price, **QUIET, **options)
        if not np.isfinite(best):
            assert found.incumbent_objective is None
            continue
        allowed = TOLERANCE * max(1.0, abs(best))
        assert problem.sense * found.objective_bound >= best - allowed
        if found.incumbent_objective is None:
            assert "effort" in options
            continue
        value = problem.sense * found.incumbent_objective
        assert value <= best + allowed
        if "effort" not in options:
            assert value >= best - 2e-4 * max(1.0, abs(best))
        info = found.extra_info
        own = problem.sense * info.objective_without_moves
        assert value == pytest.approx(own - info.move_cost, abs=allowed)
        assert info.move_cost == pytest.approx(price * info.moves)


@settings(max_examples=25, deadline=None)
@given(
    problem=problems(),
    seed=st.integers(0, 99),
    exponent=st.integers(-9, 15),
    algorithm=st.sampled_from(["j3o", "exact"]),
)
def test_any_price_is_in_objective_and_bound(problem, seed, exponent, algorithm):
    """From 1e-9 to 1e15: objective and moves agree, and no plan beats the bound."""
    m, price = as_pyomo(problem), 10.0**exponent
    held = placed(m, np.random.default_rng(seed))
    every, values = by_placement(problem)
    moves = (every != held).sum(axis=1)
    found = new().solve(m, move_cost=price, algorithm=algorithm, **QUIET)
    if not np.isfinite(values.max(initial=-INF)):
        assert found.incumbent_objective is None
        return
    info = found.extra_info
    own = problem.sense * info.objective_without_moves
    assert found.incumbent_objective == problem.sense * (own - info.move_cost)
    assert info.move_cost == pytest.approx(price * info.moves)
    best = int((values - price * moves).argmax())
    bound = problem.sense * found.objective_bound
    # In the sum, the digits of the own objective are lost.
    assert bound + price * moves[best] >= values[best] - TOLERANCE - 1e-15 * price * moves[best]
    if found.solution_status.name == "optimal":
        assert bound - (own - info.move_cost) <= 1.1e-4 * max(1.0, abs(bound))
    if price >= 1e6:
        assert info.moves == moves[values > -INF].min()
        assert own >= values[moves == info.moves].max() - 2e-3 * max(1.0, abs(values[best]))


@pytest.mark.parametrize("price", [1e-9, 0.3, 1e6, 1e11, 1e15])
@pytest.mark.parametrize("algorithm", ["j3o", "exact"])
@SENSES
def test_any_price_of_counts(price, algorithm, sense):
    """Counts that have to move: by how many units is what the price is of, however large it is."""
    m = pyo.ConcreteModel()
    m.n = pyo.Var(["a", "b"], domain=pyo.NonNegativeIntegers, bounds=(0, 60), initialize=60)
    m.y = pyo.Var(["a", "b"], bounds=(0, 10))
    annotate(m, onloading=m.n, offloading=m.y)
    m.room = pyo.Constraint(expr=m.n["a"] + 2 * m.n["b"] <= 150)
    m.rate = pyo.Constraint(["a", "b"], rule=lambda m, k: m.y[k] <= 0.5 * m.n[k])
    worth = m.y["a"] + 2 * m.y["b"] - 0.1 * m.n["a"] - 0.11 * m.n["b"]
    m.gain = pyo.Objective(expr=worth if sense == pyo.maximize else -worth, sense=sense)
    sign = 1 if sense == pyo.maximize else -1
    best = max(
        (min(10, a / 2) + 2 * min(10, b / 2) - 0.1 * a - 0.11 * b - price * (120 - a - b), a + b)
        for a in range(61)
        for b in range(61)
        if a + 2 * b <= 150
    )
    found = new().solve(m, move_cost=price, algorithm=algorithm, rel_gap=0.0, **QUIET)
    info = found.extra_info
    assert info.moves == 120 - best[1]
    assert sign * found.incumbent_objective == pytest.approx(best[0], rel=1e-6)
    assert sign * found.objective_bound >= best[0] - 1e-6 - 1e-15 * price
    assert sign * info.objective_without_moves == pytest.approx(
        best[0] + price * info.moves, abs=1e-5 + 1e-14 * price
    )


def test_a_price_of_1e15_forbids_moves():
    """Plan, objective, bound and words are those of the model with the placement fixed."""
    m = two_servers()
    placed(m, np.random.default_rng(4))
    for variable in m.x.values():
        variable.set_value(0)
    m.x["a", 1].set_value(1)
    fixed = m.clone()
    for variable in fixed.x.values():
        variable.fix()
    best = new().solve(fixed, **QUIET)
    stream = io.StringIO()
    found = new().solve(m, move_cost=1e15, tee=stream, **QUIET)
    if best.incumbent_objective is not None:
        assert found.extra_info.moves == 0
        assert found.incumbent_objective == pytest.approx(best.incumbent_objective)
        assert found.objective_bound == pytest.approx(best.incumbent_objective, rel=1e-3)
    assert found.extra_info.message.startswith("Optimal: ")
    assert "Prices of moves are lowered to " in stream.getvalue()


@settings(max_examples=15, deadline=None)
@given(problem=linear_problems(bounded=True), seed=st.integers(0, 99))
def test_a_higher_price_means_no_more_moves(problem, seed):
    """Of optimal plans: the dearer a move, the fewer; nothing moves in the end where the old plan stands."""
    m = as_pyomo(problem)
    held = placed(m, np.random.default_rng(seed))
    every, values = by_placement(problem)
    if not np.isfinite(values.max()):
        return
    moves = (every != held).sum(axis=1)
    fewest = int(moves[values > -INF].min())
    last = len(m.x)
    for price in (0.0, 0.01, 0.7, 3.1, 1e5):
        found = new().solve(m, move_cost=price, rel_gap=0.0, **QUIET)
        worth = values - price * moves
        ties = moves[worth >= worth.max() - 1e-6 * max(1.0, abs(worth.max()))]
        assert ties.min() <= found.extra_info.moves <= ties.max()
        assert ties.min() <= last
        last = int(ties.max())
    assert found.extra_info.moves == fewest


@SENSES
@pytest.mark.parametrize("algorithm", ["j3o", "baj3o", "exact"])
def test_linear_and_product_forms_agree(sense, algorithm):
    """Both forms of one model end with the same objective, for every algorithm."""
    for price in (0.0, 0.2, 2.0):
        found = []
        for form in ("linear", "product"):
            m = two_servers(sense, form)
            placed(m, np.random.default_rng(5))
            results = new().solve(m, move_cost=price, algorithm=algorithm, rel_gap=0.0)
            found.append(results.incumbent_objective)
        assert found[0] == pytest.approx(found[1], rel=1e-6)


@pytest.mark.parametrize("price", [0.001, 0.05])
def test_windows_have_prices_too(price):
    """Of a model with batches, plan and bound of every algorithm are on their sides of the exact optimum."""
    m = library.taskonomy(clients=2, edges=1, seed=4, window=0.5, droppable=True)
    rng = np.random.default_rng(3)
    for variable in m.place.x.values():
        variable.set_value(int(rng.random() < 0.05))
    exact = new().solve(m, move_cost=price, algorithm="exact", **QUIET)
    assert exact.solution_status.name == "optimal"
    for algorithm in ("baj3o", "j3o"):
        found = new().solve(m, move_cost=price, algorithm=algorithm, **QUIET)
        assert found.incumbent_objective <= exact.objective_bound + 1e-6
        if algorithm == "baj3o":
            assert found.objective_bound >= exact.incumbent_objective - 1e-6
            assert found.incumbent_objective >= exact.incumbent_objective - 0.01


def test_a_budget_is_worth_what_it_brings_with_the_price():
    """What more of a budget is worth is that of the model with the price of moves."""
    m = two_servers()
    placed(m, np.random.default_rng(7))
    results = new().solve(m, move_cost=50.0)
    worth = {row["row"]: row for row in budget_worth(m, results, step=0.1)}
    assert worth
    assert all(row["worth"] >= 0 for row in worth.values())


@SENSES
def test_price_zero_is_the_plain_solve(sense):
    """A price of 0 changes nothing, and the moves are counted all the same."""
    m = two_servers(sense)
    placed(m, np.random.default_rng(1))
    plain = new().solve(m, **QUIET)
    free = new().solve(m, move_cost=0, **QUIET)
    assert free.incumbent_objective == pytest.approx(plain.incumbent_objective)
    assert plain.extra_info.moves is None
    assert free.extra_info.moves > 0
    assert free.extra_info.move_cost == 0.0


@SENSES
def test_a_huge_price_keeps_a_plan_that_stands(sense):
    """Nothing moves, and the objective of the model is what the results say."""
    m = two_servers(sense)
    new().solve(m)
    kept = {key: v.value for key, v in m.x.items()}
    m.room["b"] = 9.0
    results = new().solve(m, move_cost=1e6)
    assert {key: v.value for key, v in m.x.items()} == kept
    assert results.extra_info.moves == 0
    assert results.incumbent_objective == pytest.approx(pyo.value(m.gain))


def test_a_fractional_price_ends_whole_objectives():
    """Of an objective in whole numbers the bound is rounded to these, but not once a price is fractional."""
    m = knapsack(8)
    for variable in m.x.values():
        variable.set_value(0)
    worth = [pyo.value(m.worth.expr)]
    for variable in m.x.values():
        variable.set_value(1)
        worth.append(pyo.value(m.worth.expr))
        variable.set_value(0)
    results = new().solve(m, move_cost=0.3, rel_gap=0.0)
    chosen = sum(v.value for v in m.x.values())
    own = pyo.value(m.worth)
    assert results.incumbent_objective == pytest.approx(own - 0.3 * chosen)
    assert results.objective_bound >= results.incumbent_objective - 1e-9
    exact = new().solve(m, move_cost=0.0, algorithm="exact", rel_gap=0.0)
    assert results.incumbent_objective <= exact.incumbent_objective


def test_log_message_and_classic_results_name_the_moves():
    """One line says what has a price, one sentence how many move and for how much."""
    m = two_servers()
    placed(m, np.random.default_rng(2))
    m.x["a", 1].set_value(None)
    stream = io.StringIO()
    results = new().solve(m, move_cost=0.25, tee=stream)
    log = stream.getvalue()
    assert log.count("Moves have a price: 5 onloading variables; 1 hold no value to move from") == 1
    moves = results.extra_info.moves
    said = f"{moves} move{'' if moves == 1 else 's'} cost {0.25 * moves:.6g}"
    assert said in log
    assert said in results.extra_info.message
    assert results.extra_info.objective_without_moves == pytest.approx(pyo.value(m.gain))
    legacy = classic().solve(m, move_cost=0.25)
    assert "moves cost 0, counted from the values held;" in legacy.solver.message
    assert results.extra_info.moves_from == "the values held, 1 without a value not counted"
    assert f", counted from {results.extra_info.moves_from};" in results.extra_info.message


def test_a_suffix_alone_prices_moves():
    """The prices of the Suffix count without any option, and in any order of solves."""
    m = two_servers()
    new().solve(m)
    m.move_cost = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    m.move_cost[m.x] = 100.0
    m.room["b"] = 9.0
    assert new().solve(m).extra_info.moves == 0
    assert new().solve(m, move_cost=0.0).extra_info.moves > 0


def test_results_and_solver_pickle():
    """A mapping of prices does not bring its model into the pickle of the results."""
    m = two_servers()
    placed(m, np.random.default_rng(2))
    results = new().solve(m, move_cost={m.x: 0.5})
    again = pickle.loads(pickle.dumps(results))
    assert again.extra_info.moves == results.extra_info.moves
    assert again.solver_config.move_cost is None
    assert pickle.loads(pickle.dumps(new(move_cost=0.5))).config.move_cost == 0.5


@pytest.mark.parametrize("make", [new, classic], ids=["new", "classic"])
@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), "dear", True, [1.0], object()])
def test_what_is_no_price_is_refused_where_it_is_given(make, wrong):
    """The line that sets the option raises, and the model is left alone."""
    opt = make()
    with pytest.raises(OptionError, match="no price of a move"):
        opt.config.move_cost = wrong
    with pytest.raises(OptionError, match="no price of a move"):
        opt.solve(two_servers(), move_cost=wrong)


def test_the_command_gives_prices_as_text():
    """A number as text is a number."""
    opt = classic()
    opt.options["move_cost"] = "0.5"
    assert opt.options["move_cost"] == 0.5
