"""How far named rows have to move: what is told to be enough is, what is told not to be is not."""

import math
import pickle
import time
from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.contrib.solver.common.factory import SolverFactory as NewSolverFactory

from pyomo_j3o import annotate, explain_infeasibility, library
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.diagnosis import relaxing
from pyomo_j3o.diagnosis.movable import Sides
from pyomo_j3o.diagnosis.params import RelaxingParams
from pyomo_j3o.diagnosis.patience import Patience
from pyomo_j3o.diagnosis.relaxing import least_move
from pyomo_j3o.diagnosis.rounding import dive
from pyomo_j3o.errors import ModelError, OptionError
from pyomo_j3o.modeling.compiler import compile_model


def has_plan(model):
    """Whether HiGHS, behind Pyomo, finds a point that satisfies the model, products made linear."""
    copy = model.clone()
    pyo.TransformationFactory("j3o.linearize_products").apply_to(copy)
    found = NewSolverFactory("highs").solve(
        copy, load_solutions=False, raise_exception_on_nonoptimal_result=False
    )
    return found.incumbent_objective is not None


def with_sides(model, sides):
    """Return a copy of the model whose rows have the sides {(name, relation): value}."""
    copy = model.clone()
    names = {name for name, _ in sides}
    for name in names:
        row = copy.find_component(name)
        low, high = (sides.get((name, relation), side) for relation, side in ((">=", row.lb), ("<=", row.ub)))
        row.set_value((low, row.body, high))
    return copy


def moved_by(model, answer, share):
    """Return a copy of the model in which every side of the answer has moved outwards by one share."""
    return with_sides(
        model,
        {
            (row.name, row.relation): row.now + (1 if row.relation == "<=" else -1) * share * abs(row.now)
            for row in answer.rows
        },
    )


@st.composite
def systems(draw):
    """Draw a small model that may have no plan.

    It has budgets, minima, an equation, constants, products, counts of any least value, and fixed variables.
    """
    m = pyo.ConcreteModel("system")
    n, whole = draw(st.integers(1, 3)), st.integers(1, 5)
    least = draw(st.sampled_from([None, None, 0, 1, 2, -3]))
    m.x = pyo.Var(range(n), domain=pyo.Binary)
    if least is not None:
        m.x.domain = pyo.Integers
        m.x.setlb(least)
        m.x.setub(least + draw(st.integers(1, 40)))
    m.y = pyo.Var(range(n), bounds=(0, draw(st.sampled_from([1, 4]))))
    served = {i: m.x[i] * m.y[i] if draw(st.booleans()) else m.y[i] for i in range(n)}
    m.memory = pyo.Constraint(expr=sum(draw(whole) * m.x[i] for i in range(n)) <= draw(st.integers(1, 6)))
    m.uplink = pyo.Constraint(
        expr=sum(draw(whole) * m.y[i] for i in range(n)) - draw(st.integers(0, 2)) <= draw(st.integers(1, 4))
    )
    m.least = pyo.Constraint(expr=sum(served.values()) >= draw(st.integers(1, 6)))
    m.debt = pyo.Constraint(expr=-sum(m.y[i] for i in range(n)) <= -draw(st.sampled_from([0.5, 2])))
    if draw(st.booleans()):
        m.exact = pyo.Constraint(expr=m.y[0] + m.x[0] == draw(st.sampled_from([0.5, 3])))
    m.link = pyo.Constraint(range(n), rule=lambda m, i: m.y[i] <= 4 * m.x[i])
    m.cost = pyo.Objective(expr=sum(m.x[i] for i in range(n)))
    annotate(m, onloading=m.x, offloading=m.y)
    if n > 1 and draw(st.booleans()):
        m.x[0].fix(m.x[0].ub)
    if n > 2 and draw(st.booleans()):
        m.y[1].fix(draw(st.sampled_from([0, 1])))
    return m


@settings(deadline=None, max_examples=20)
@given(model=systems(), data=st.data())
def test_the_factor_is_enough_and_less_is_not(model, data):
    """Scaled by it the model has a plan; scaled by a little less than what is proven it has none."""
    names = [
        row for row in ("memory", "uplink", "least", "debt", "exact") if model.component(row) is not None
    ]
    chosen = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    rows = [model.component(name) for name in chosen]
    answer = explain_infeasibility(model, relax=rows, together=True)
    assert answer.proven
    if answer.feasible:
        assert has_plan(model)
        assert answer.factor == 1.0
        return
    assert not has_plan(model)
    if not answer.possible:
        assert math.isnan(answer.factor)
        assert answer.rest.feasible is False
        return
    assert has_plan(with_sides(model, {(row.name, row.relation): row.enough for row in answer.rows}))
    assert has_plan(moved_by(model, answer, answer.share))
    assert not has_plan(moved_by(model, answer, answer.at_least - 1e-4 * (1 + answer.at_least)))
    for row in answer.rows:
        assert row.share == pytest.approx(answer.share)
        assert row.used <= row.enough + 1e-9 if row.relation == "<=" else row.used >= row.enough - 1e-9


@settings(deadline=None, max_examples=8)
@given(model=systems())
def test_each_by_itself_is_no_dearer_than_all_together(model):
    """The sum of shares is at most that of one share for all, and the sides that move leave a plan."""
    rows = [model.memory, model.uplink, model.least]
    one, each = (explain_infeasibility(model, relax=rows, together=together) for together in (True, False))
    assert one.possible == each.possible
    if each.possible and not each.feasible:
        assert each.share <= sum(row.share for row in one.rows) * (1 + 1e-6) + 1e-6
        assert has_plan(with_sides(model, {(row.name, row.relation): row.enough for row in each.rows}))


def short_of_uplink():
    """Return the small example with a phone that can neither compute nor send enough."""
    data = library.small_example_data()
    return library.build_model(replace(data, compute_budget=[0.2, 1, 0.2], uplink_budget=[2.5, 1, 2]))


def test_the_factor_of_the_small_example_reads_well():
    """The phone has to send 4 of 2.5: what is printed is the factor 1.6, and what it says holds."""
    m = short_of_uplink()
    answer = explain_infeasibility(m, relax=m.client_uplink, together=True)
    assert answer.factor == pytest.approx(1.6, abs=1e-5)
    assert str(answer).startswith(
        "Model 'small example' has a plan once the sides of client_uplink (2 rows) are 1.6 times what they "
        "are. That is proven: less is not enough.\n\nrow "
    )
    assert [row.component for row in answer.rows] == list(m.client_uplink.values())
    assert answer.table["used"] == pytest.approx([4, 1], abs=1e-5)
    assert str(pickle.loads(pickle.dumps(answer))) == str(answer)


def test_the_plan_that_the_move_leaves_starts_the_next_solve():
    """Loaded, it satisfies the model with the new sides, and a warm start begins with it."""
    m = short_of_uplink()
    answer = explain_infeasibility(m, relax=m.client_uplink, together=True)
    assert all(variable.value is None for variable in m.place.x.values())
    answer.load_plan()
    for row in answer.rows:
        row.component.set_value(row.component.body <= row.enough)
    loaded = pyo.value(m.mean_accuracy)
    for row in m.component_data_objects(pyo.Constraint, active=True):
        assert row.slack() >= -1e-6
    results = pyo.SolverFactory("j3o").solve(m, warm_start=True)
    assert results.j3o.incumbent_objective >= loaded - 1e-6
    short = short_of_uplink()
    impossible = explain_infeasibility(short, relax=short.memory)
    with pytest.raises(ModelError, match="no plan of model 'small example' is known"):
        impossible.load_plan()


def test_rows_are_named_in_every_way():
    """One, indexed, member, slice, or lists of these: the same rows, each once."""
    m = short_of_uplink()
    whole = explain_infeasibility(m, relax=[m.client_uplink], together=True)
    for named in (
        m.client_uplink,
        m.client_uplink[:],
        [m.client_uplink["phone"], m.client_uplink],
        (m.client_uplink["robot"], [m.client_uplink["phone"]]),
    ):
        assert explain_infeasibility(m, relax=named, together=True) == whole
    alone = explain_infeasibility(m, relax=m.client_uplink["phone"], together=True)
    assert [row.name for row in alone.rows] == ["client_uplink[phone]"]
    assert alone.share == pytest.approx(whole.share)


def test_where_other_rows_conflict_they_are_named():
    """Memory cannot make up for an uplink: the answer says so, and explains the rest."""
    m = short_of_uplink()
    answer = explain_infeasibility(m, relax=m.memory, together=True)
    assert answer.possible is False
    assert answer.proven
    assert "however far these rows move" in str(answer)
    assert "client_uplink[phone]" in str(answer.rest)
    m.never = pyo.Constraint(expr=sum(m.place.x.values()) * 0 >= 1)
    assert "never" in str(explain_infeasibility(m, relax=m.memory, together=True).rest)


def test_a_model_with_a_plan_says_so():
    """No row has to move."""
    m = library.small_example()
    answer = explain_infeasibility(m, relax=m.client_uplink)
    assert answer.feasible
    assert answer.factor == 1.0
    assert str(answer) == "Model 'small example' has a plan as it is: no row has to move."


def test_sides_of_0_stay_and_are_counted():
    """A factor changes no 0: rows with another side move, and if there is none, that is an error."""
    m = short_of_uplink()
    m.client_uplink["robot"].set_value(m.client_uplink["robot"].body <= 0)
    answer = explain_infeasibility(m, relax=m.client_uplink, together=True)
    assert answer.notes == ("1 side of 0 stayed as it is.",)
    assert [row.name for row in answer.rows] == ["client_uplink[phone]"]
    with pytest.raises(ModelError, match="only rows with a side of 0"):
        explain_infeasibility(m, relax=m.link, together=True)


def test_sides_that_come_down_are_told_in_percent():
    """A minimum of 3 that 2 servers can do moves outwards by a third."""
    m = pyo.ConcreteModel("few")
    m.x = pyo.Var(range(2), domain=pyo.Binary)
    m.least = pyo.Constraint(expr=m.x[0] + m.x[1] >= 3)
    m.cost = pyo.Objective(expr=m.x[0])
    annotate(m, onloading=m.x)
    answer = explain_infeasibility(m, relax=m.least, together=True)
    assert "the sides of least have moved outwards by 33.3334 %" in str(answer)
    (row,) = answer.rows
    assert (row.relation, row.now) == (">=", 3)
    assert row.enough == pytest.approx(2, abs=1e-5)


def test_wrong_use_is_told():
    """Each message says what to give."""
    m = short_of_uplink()
    with pytest.raises(OptionError, match=r"together=True is given without relax"):
        explain_infeasibility(m, together=True)
    with pytest.raises(ModelError, match=r"relax names 'client_uplink', of type str; pass the component"):
        explain_infeasibility(m, relax="client_uplink")
    with pytest.raises(ModelError, match=r"relax names 'place.x', of type IndexedVar, and that is"):
        explain_infeasibility(m, relax=m.place.x)
    with pytest.raises(ModelError, match="no active row of model 'small example'"):
        explain_infeasibility(m, relax=library.small_example().memory)
    with pytest.raises(ModelError, match="only rows with a side of 0"):
        explain_infeasibility(m, relax=[])


def whole_rows(model, name):
    """Return the compiled model and the upper sides of one component."""
    problem, inverse = compile_model(model)
    rows = np.flatnonzero([row.parent_component().name == name for row in inverse.rows])
    return problem, Sides(rows, np.ones(len(rows), dtype=bool), np.abs(problem.row_upper[rows]))


def test_without_time_nothing_is_claimed():
    """No LP, no bound: the answer is that nothing is known."""
    problem, sides = whole_rows(short_of_uplink(), "client_uplink")
    moved = least_move(problem, sides, True, Deadline(0.0))
    assert (len(moved.share), moved.least, moved.interrupted) == (0, 0.0, False)


@pytest.mark.parametrize(("at", "point"), [(1, False), (2, False), (2, True)])
def test_ctrl_c_keeps_the_bound_and_the_point(monkeypatch, at, point):
    """Interrupted in the LP nothing is known; in the MILP the bound is, and its point if it has one."""
    problem, sides = whole_rows(short_of_uplink(), "client_uplink")
    solve, calls = relaxing.solve_checked, []

    def interrupted(*args):
        calls.append(args)
        found = solve(*args)
        if len(calls) != at:
            return found
        if point:
            return replace(found, status=relaxing.LPStatus.INTERRUPTED)
        raise KeyboardInterrupt

    monkeypatch.setattr(relaxing, "solve_checked", interrupted)
    monkeypatch.setattr(relaxing, "split", _in_one_part)
    moved = least_move(problem, sides, True, Deadline(60.0))
    assert moved.interrupted
    assert moved.least == pytest.approx(0.6 if at > 1 else 0.0, abs=1e-5)
    assert len(moved.share) == (2 if point else 0)


def _in_one_part(problem):
    """Stand in for the split of a problem: one part that holds everything."""
    from pyomo_j3o.presolve.decomposing import Part, Split

    everything = (np.arange(k) for k in (problem.n_onloading, problem.n_offloading, problem.n_rows))
    return Split(problem, (Part(problem, *everything),))


def test_parts_share_one_factor():
    """Independent parts need different factors: that of the neediest counts, and each is solved by itself."""
    m = pyo.ConcreteModel("parts")
    need = [1.0, 3.0, 2.0]
    m.x = pyo.Var(range(3), domain=pyo.Binary)
    m.y = pyo.Var(range(3), bounds=(0, 10))
    m.demand = pyo.Constraint(range(3), rule=lambda m, i: m.y[i] >= need[i])
    m.link = pyo.Constraint(range(3), rule=lambda m, i: m.y[i] <= 10 * m.x[i])
    m.budget = pyo.Constraint(range(3), rule=lambda m, i: m.y[i] <= 1)
    m.cost = pyo.Objective(expr=sum(m.x[i] for i in range(3)))
    annotate(m, onloading=m.x, offloading=m.y)
    one = explain_infeasibility(m, relax=m.budget, together=True)
    each = explain_infeasibility(m, relax=m.budget)
    assert [row.enough for row in one.rows] == pytest.approx([3, 3, 3], abs=1e-4)
    assert [row.enough for row in each.rows] == pytest.approx(need, abs=1e-4)
    assert each.share == pytest.approx(3.0, abs=1e-4)
    assert one.proven
    assert each.proven


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("least", [0, 1, 2, -3])
def test_the_least_value_of_a_count_does_not_change_the_answer(least, together):
    """6 GPUs of 2 are needed and 5 are there: 12, whatever the count begins with."""
    m = pyo.ConcreteModel("gpus")
    m.n = pyo.Var(domain=pyo.Integers, bounds=(least, 6))
    m.y = pyo.Var(bounds=(0, 100))
    m.gpus = pyo.Constraint(expr=2 * m.n <= 5)
    m.rate = pyo.Constraint(expr=m.y <= 2 * m.n)
    m.demand = pyo.Constraint(expr=m.y >= 12)
    m.cost = pyo.Objective(expr=m.n)
    annotate(m, onloading=m.n, offloading=m.y)
    answer = explain_infeasibility(m, relax=m.gpus, together=together)
    (row,) = answer.rows
    assert (row.now, row.used) == (5, pytest.approx(12))
    assert row.enough == pytest.approx(12, abs=1e-4)
    assert answer.factor == pytest.approx(2.4, abs=1e-4)
    assert answer.proven


def test_a_fixed_variable_stays_in_the_body():
    """Of 5, a fixed 4 takes its part: 7 are needed, and the recipe of the docs with them leaves a plan."""
    m = pyo.ConcreteModel("fixed")
    m.x = pyo.Var(range(2), domain=pyo.Binary)
    m.uplink = pyo.Constraint(expr=4 * m.x[0] + 3 * m.x[1] <= 5)
    m.both = pyo.Constraint(expr=m.x[0] + m.x[1] >= 2)
    m.cost = pyo.Objective(expr=m.x[1])
    annotate(m, onloading=m.x)
    m.x[0].fix(1)
    answer = explain_infeasibility(m, relax=m.uplink, together=True)
    (row,) = answer.rows
    assert (row.now, row.used) == (5, pytest.approx(7))
    assert row.enough == pytest.approx(7, abs=1e-4)
    assert answer.factor == pytest.approx(1.4, abs=1e-5)
    row.component.set_value(row.component.body <= row.enough)
    assert has_plan(m)


def test_a_named_row_of_fixed_variables_alone_is_told():
    """No factor of other rows mends it, and it could move itself: the error says how far."""
    m = short_of_uplink()
    m.z = pyo.Var(domain=pyo.Binary)
    annotate(m, onloading=m.z)
    m.z.fix(1)
    m.least = pyo.Constraint(expr=2 * m.z >= 3)
    with pytest.raises(ModelError, match=r"'least', which holds no free variable .* would have to be 2;"):
        explain_infeasibility(m, relax=[m.least, m.client_uplink], together=True)


def caches_short_of_uplink(caches=6, titles=40):
    """Return a content placement in which what a cache misses comes through an uplink that is too small."""
    random = np.random.default_rng(1)
    size, demand = random.integers(1, 9, titles), random.uniform(0.5, 4.0, (caches, titles)).round(2)
    m = pyo.ConcreteModel("caches")
    m.store = pyo.Var(range(caches), range(titles), domain=pyo.Binary)
    near = [[c, (c + 1) % caches, (c + 2) % caches] for c in range(caches)]
    routes = [(c, t, d) for c in range(caches) for t in range(titles) for d in near[c]]
    m.send = pyo.Var(routes, bounds=(0, 1))
    m.miss = pyo.Var(range(caches), range(titles), bounds=(0, 1))
    m.storage = pyo.Constraint(
        range(caches), rule=lambda m, c: sum(int(size[t]) * m.store[c, t] for t in range(titles)) <= 30
    )
    m.link = pyo.Constraint(routes, rule=lambda m, c, t, d: m.send[c, t, d] <= m.store[d, t])
    m.served = pyo.Constraint(
        range(caches),
        range(titles),
        rule=lambda m, c, t: sum(m.send[c, t, d] for d in near[c]) + m.miss[c, t] == 1,
    )
    m.uplink = pyo.Constraint(
        range(caches), rule=lambda m, c: sum(demand[c, t] * m.miss[c, t] for t in range(titles)) <= 5
    )
    m.cost = pyo.Objective(expr=sum(m.miss.values()))
    annotate(m, onloading=m.store, offloading=[m.send, m.miss])
    return m


def test_a_large_model_gets_a_true_factor_by_rounding(monkeypatch):
    """Rounding alone gives a plan that satisfies every row with the new sides, and no bound is above it."""
    dives = []
    monkeypatch.setattr(relaxing, "dive", lambda *args: dives.append(dive(*args)) or dives[-1])
    m = caches_short_of_uplink()
    answer = explain_infeasibility(m, relax=m.uplink, together=True)
    (rounded,) = dives
    assert 1 + rounded[-1] >= answer.factor - 1e-6 >= answer.least_factor - 2e-6
    assert answer.factor <= 1.1 * answer.least_factor
    answer.load_plan()
    for row in answer.rows:
        row.component.set_value(row.component.body <= row.enough)
    assert all(row.slack() >= -1e-6 for row in m.component_data_objects(pyo.Constraint))
    assert all(abs(v.value - round(v.value)) < 1e-9 for v in m.store.values())


def test_rounding_gives_up_where_there_is_no_point(monkeypatch):
    """Without a rounded point the MILP is searched from nothing, and what it finds is enough."""
    asked = []
    monkeypatch.setattr(relaxing, "dive", lambda *args: asked.append(args))
    m = caches_short_of_uplink(caches=5)
    answer = explain_infeasibility(m, relax=m.uplink, together=True)
    assert len(asked) == 1
    answer.load_plan()
    for row in answer.rows:
        row.component.set_value(row.component.body <= row.enough)
    assert all(row.slack() >= -1e-6 for row in m.component_data_objects(pyo.Constraint))


def test_time_that_others_use_is_not_counted():
    """The time for a part is process time: while this program waits, a search may go on."""
    patience = Patience(RelaxingParams(), 0.05, np.array([-1.0]), -1.0, np.array([2.0]), lambda share: None)
    assert patience.has_point
    time.sleep(0.3)
    assert not patience.over()
    until = time.process_time() + 0.5
    while time.process_time() < until:
        pass
    assert patience.over()
