"""What a budget is worth: against the difference that enumeration finds, in both senses."""

from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
import solver_models as models
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import best_routing
from small_problems import brute_force as enumerated

from pyomo_j3o import annotate, budget_worth, library
from pyomo_j3o.diagnosis import resolving
from pyomo_j3o.errors import ModelError, OptionError
from pyomo_j3o.modeling.compiler import compile_model


@st.composite
def systems(draw):
    """Draw a small model with budgets of both kinds, in either sense, linear or with products."""
    m = pyo.ConcreteModel("system")
    n, size = draw(st.integers(1, 3)), st.integers(1, 5)
    m.x = pyo.Var(range(n), domain=pyo.Binary)
    m.y = pyo.Var(range(n), range(2), bounds=(0, 1))
    product = draw(st.booleans())
    share = {key: m.x[key[0]] * m.y[key] if product else m.y[key] for key in m.y}
    m.memory = pyo.Constraint(expr=sum(draw(size) * m.x[i] for i in range(n)) <= draw(st.integers(0, 9)))
    m.few = pyo.Constraint(expr=sum(m.x[i] for i in range(n)) <= draw(st.integers(1, 3)))
    m.compute = pyo.Constraint(
        expr=sum(draw(size) * share[key] for key in m.y) <= draw(st.integers(1, 12)) / 2
    )
    m.demand = pyo.Constraint(range(2))
    for t in range(2):
        m.demand[t] = sum(share[i, t] for i in range(n)) <= 1
    if draw(st.booleans()):
        m.least = pyo.Constraint(expr=sum(m.x[i] for i in range(n)) >= 1)
    if not product:
        m.link = pyo.Constraint(m.y.index_set(), rule=lambda m, i, t: m.y[i, t] <= m.x[i])
    sign = draw(st.sampled_from([1, -1]))
    gain = sum(draw(st.integers(1, 9)) * share[key] for key in m.y) - sum(
        draw(st.integers(0, 2)) * m.x[i] for i in range(n)
    )
    m.gain = pyo.Objective(expr=sign * gain, sense=pyo.maximize if sign > 0 else pyo.minimize)
    annotate(m, onloading=m.x, offloading=m.y)
    return m


def relaxed(problem, row, upper, step):
    """Return the problem with one side of a row moved."""
    name = "row_upper" if upper else "row_lower"
    side = getattr(problem, name).copy()
    side[row] += step if upper else -step
    return replace(problem, **{name: side})


@settings(deadline=None, max_examples=25)
@given(model=systems(), step=st.sampled_from([1, 2, 0.5]))
def test_worth_is_the_difference_that_enumeration_finds(model, step):
    """Re-solved: what `step` more brings, per unit; the others: the slope of this placement's routing."""
    results = pyo.SolverFactory("j3o").solve(model, load_solutions=False)
    if results.j3o.incumbent_objective is None:
        return
    problem, inverse = compile_model(model)
    before = enumerated(problem)
    _, _, x, _, _ = results.j3o.solution_loader.compiled
    routed = best_routing(problem, x > 0.5)
    table = budget_worth(model, results, step=step)
    number = {constraint.name: r for r, constraint in enumerate(inverse.rows)}
    assert len(table) >= 5
    assert sorted(table["worth"], reverse=True) == table["worth"]
    for row in table:
        assert row["proven"], str(table)
        upper = row["relation"] == "<="
        if row["how"] in ("re-solved", "no gain", "no limit"):
            after = enumerated(relaxed(problem, number[row["row"]], upper, step))
            assert row["worth"] == pytest.approx((after - before) / step, abs=1e-4)
            assert row["at_most"] == pytest.approx(row["worth"], abs=1e-4)
        else:
            small = 1e-3 * row["budget"]
            after = best_routing(relaxed(problem, number[row["row"]], upper, small), x > 0.5)
            assert row["worth"] == pytest.approx((after - routed) / small, abs=1e-3)
            assert row["at_most"] >= row["worth"] - 1e-9


def test_both_senses_and_both_interfaces_agree():
    """Minimised, a model has the worths of the same one maximised; classic and new results serve alike."""
    one, other = models.two_servers(), models.two_servers(sense=pyo.minimize)
    first = budget_worth(one, models.classic().solve(one))
    second = budget_worth(other, models.new().solve(other))
    for row, same in zip(sorted(first, key=lambda r: r["row"]), sorted(second, key=lambda r: r["row"]),
                         strict=True):  # fmt: skip
        assert row["row"] == same["row"]
        assert row["worth"] == pytest.approx(same["worth"], abs=1e-5)
    assert max(first["worth"]) > 0


def test_links_are_no_budgets_and_rows_can_be_chosen():
    """Rows that tie y to x are left out; `rows` names what is wanted, and nothing else is solved."""
    m = library.small_example()
    results = models.classic().solve(m)
    names = {row["row"].split("[")[0] for row in budget_worth(m, results)}
    assert names == {"memory", "compute", "client_uplink", "edge_uplink"}
    table = budget_worth(m, results, rows=[m.memory["phone"], m.compute])
    assert set(table["row"]) == {"memory[phone]", "compute[phone]", "compute[robot]", "compute[server]"}
    with pytest.raises(ModelError, match=r"'demand\[.*equations have no worth here"):
        budget_worth(m, results, rows=m.demand)
    with pytest.raises(ModelError, match="pass the component"):
        budget_worth(m, results, rows="memory")
    with pytest.raises(ModelError, match="no active inequality row"):
        budget_worth(m, results, rows=[library.small_example().memory])


def test_the_model_is_left_alone():
    """Values, stale flags and suffixes are what they were."""
    m = models.two_servers()
    results = models.classic().solve(m)
    models.with_marks(m)
    before = models.snapshot(m)
    budget_worth(m, results)
    assert models.snapshot(m) == before


def test_in_no_time_nothing_is_claimed():
    """Out of time, a budget that has to be re-solved is worth 0 at least, and nothing is proven."""
    m = models.two_servers()
    table = budget_worth(m, models.classic().solve(m), time_limit=1e-9)
    memory = [row for row in table if row["how"] == "re-solved"]
    assert memory
    assert all(row["worth"] == 0 and not row["proven"] and row["at_most"] == np.inf for row in memory)


def test_progress_is_told(capsys):
    """With tee one line per solve says what it found and how many are to go."""
    m = models.two_servers()
    budget_worth(m, models.classic().solve(m), tee=True)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("memory[")]
    assert len(lines) == 2
    assert "0 to go" in lines[-1]


def test_independent_parts_are_solved_apart():
    """Budgets of parts that share nothing are worth what they are worth in the whole."""
    m = pyo.ConcreteModel("apart")
    m.x = pyo.Var(range(2), range(220), domain=pyo.Binary)
    m.room = pyo.Constraint(
        range(2), rule=lambda m, k: sum((1 + i % 7) * m.x[k, i] for i in range(220)) <= 40 + 7 * k
    )
    m.gain = pyo.Objective(
        expr=sum((3 + i % 7 + k) * m.x[k, i] for k in range(2) for i in range(220)), sense=pyo.maximize
    )
    annotate(m, onloading=m.x)
    results = models.classic().solve(m)
    problem, _ = compile_model(m)
    table = budget_worth(m, results)
    for row in table:
        assert row["proven"]
        m.room[0].set_value(m.room[0].body <= 40 + (row["row"] == "room[0]"))
        m.room[1].set_value(m.room[1].body <= 47 + (row["row"] == "room[1]"))
        assert models.optimum(m) - results.j3o.incumbent_objective == pytest.approx(row["worth"], abs=1e-4)
    assert problem.n_rows == 2


def test_what_is_given_is_checked():
    """Results without a plan, of another model or solver, and steps that are none are errors that say so."""
    m, other = models.two_servers(), models.two_servers()
    results = models.classic().solve(m)
    with pytest.raises(ModelError, match="not of"):
        budget_worth(other, results)
    bad = models.infeasible()
    none = models.classic().solve(bad, load_solutions=False)
    for wrong in (none, None, pyo.SolverFactory("appsi_highs").solve(m)):
        with pytest.raises(ModelError, match="no plan of j3o"):
            budget_worth(bad, wrong)
    for given_ in ({"step": 0}, {"time_limit": "long"}, {"step": True}, {"step": np.inf}, {"step": np.nan}):
        with pytest.raises(OptionError, match="above 0"):
            budget_worth(m, results, **given_)
    for gap in (None, "5", -1, np.nan, np.inf, 1e12, True):
        with pytest.raises(OptionError, match="from 0 to below 1"):
            budget_worth(m, results, rel_gap=gap)
    with pytest.raises(ModelError, match="pass the model first"):
        budget_worth(results, m)
    assert budget_worth(m, results, rows=[m.memory], step=np.int64(1), rel_gap=np.float64(0))


def test_a_dual_of_a_row_whose_constant_is_0_is_tried_out():
    """Capacity of a closed site, sum(y) <= s x, brings nothing, whatever its dual."""
    m = library.facility_location(sites=10, customers=30, seed=1)
    results = models.classic().solve(m)
    problem, inverse, x, _, _ = results.j3o.solution_loader.compiled
    number = {constraint.name: r for r, constraint in enumerate(inverse.rows)}
    table = budget_worth(m, results)
    routed = best_routing(problem, x > 0.5)
    assert len(table) == 10
    keys = [(row["worth"], row["at_most"]) for row in table]
    assert keys == sorted(keys, reverse=True)
    for row in table:
        after = best_routing(relaxed(problem, number[row["row"]], True, 0.01), x > 0.5)
        assert row["worth"] == pytest.approx((after - routed) / 0.01, abs=1e-3), str(table)
        assert row["proven"]


def test_what_no_placement_can_use_costs_no_solve(monkeypatch):
    """A row that is never full, and half a server more of a number of servers: worth 0, and proven."""
    m = models.two_servers()
    m.wide = pyo.Constraint(expr=sum(m.x.values()) <= 99)
    m.few = pyo.Constraint(expr=sum(m.x.values()) <= 2)
    results = models.classic().solve(m)
    monkeypatch.setattr(resolving.exact, "solve", None)  # it is not called
    table = budget_worth(m, results, rows=[m.wide, m.few], step=0.5)
    assert [(row["how"], row["worth"], row["at_most"], row["proven"]) for row in table] == [
        ("no limit", 0.0, 0.0, True)
    ] * 2


@pytest.mark.parametrize("at", [1, 2, 3])
def test_ctrl_c_keeps_what_is_cheap_and_what_is_solved(monkeypatch, at):
    """Duals stand, so does each solve that had ended; what was not reached says so."""
    m = models.two_servers()
    results = models.classic().solve(m)
    whole = {row["row"]: row for row in budget_worth(m, results)}
    solve, calls = resolving.exact.solve, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == at:
            raise KeyboardInterrupt
        return solve(*args)

    monkeypatch.setattr(resolving.exact, "solve", interrupted)
    table = budget_worth(m, results)
    assert table.interrupted
    assert str(table).endswith("Ctrl-C ended the search: this is what was found by then.")
    unknown = [row for row in table if row["how"] == "interrupted"]
    # The first solve is of the plan as it is, the others are of one memory each.
    assert len(unknown) == {1: 2, 2: 2, 3: 1}[at]
    assert all(row["at_most"] == np.inf and not row["proven"] for row in unknown)
    for row in table:
        if row["how"] == "dual":
            assert row == whole[row["row"]]


def test_a_budget_that_is_far_from_full_needs_no_solve():
    """To fill the 8 free units costs more than it brings: an LP says so."""
    m = pyo.ConcreteModel("room")
    m.x = pyo.Var(range(12), domain=pyo.Binary)
    m.y = pyo.Var(range(12), bounds=(0, 1))
    m.room = pyo.Constraint(expr=sum(m.x.values()) <= 10)
    m.link = pyo.Constraint(range(12), rule=lambda m, i: m.y[i] <= m.x[i])
    m.gain = pyo.Objective(
        expr=sum((3 if i < 2 else 1) * m.y[i] - 2 * m.x[i] for i in range(12)), sense=pyo.maximize
    )
    annotate(m, onloading=m.x, offloading=m.y)
    results = models.new().solve(m)
    (row,) = budget_worth(m, results, rows=m.room)
    assert (row["how"], row["worth"], row["at_most"], row["proven"]) == ("no gain", 0.0, 0.0, True)


def test_a_budget_that_is_not_full_may_be_worth_something():
    """2 of 5 units are free, and one more lets the large model in: a slack above the step proves nothing."""
    m = pyo.ConcreteModel("knapsack")
    m.x = pyo.Var(range(2), domain=pyo.Binary)
    m.room = pyo.Constraint(expr=3 * m.x[0] + 6 * m.x[1] <= 5)
    m.gain = pyo.Objective(expr=3 * m.x[0] + 10 * m.x[1], sense=pyo.maximize)
    annotate(m, onloading=m.x)
    (row,) = budget_worth(m, models.new().solve(m))
    assert (row["slack"], row["worth"], row["proven"]) == (2, pytest.approx(7), True)
