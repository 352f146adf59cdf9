"""Explanations by name: what is told holds in the model itself, reads well, and changes nothing."""

import io
import math
import pickle
import re
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
import solver_models as models
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pyomo.contrib.iis import mis
from pyomo.contrib.solver.common.factory import SolverFactory as NewSolverFactory

from pyomo_j3o import BatchingWindow, annotate, explain_infeasibility, library
from pyomo_j3o.diagnosis import infeasibility as explaining
from pyomo_j3o.diagnosis import system
from pyomo_j3o.diagnosis.explanation import Conflict
from pyomo_j3o.diagnosis.params import ConflictParams
from pyomo_j3o.errors import BackendError, ModelError, OptionError


def has_plan(model):
    """Whether HiGHS, behind Pyomo, finds a point that satisfies the model, products made linear."""
    copy = model.clone()
    pyo.TransformationFactory("j3o.linearize_products").apply_to(copy)
    found = NewSolverFactory("highs").solve(
        copy, load_solutions=False, raise_exception_on_nonoptimal_result=False
    )
    return found.incumbent_objective is not None


def moved(model, row, value):
    """Return a copy of the model in which a row or bound has another side."""
    copy = model.clone()
    component = copy.find_component(row.name)
    if row.kind == "row":
        body = component.body
        component.set_value(
            body == value if row.relation == "=" else body <= value if row.relation == "<=" else body >= value
        )
    elif row.kind == "upper bound":
        component.setub(value)
    else:
        component.setlb(value)
    return copy


def check(model):
    """Assert what an explanation with one conflict claims, in the model itself; return it."""
    explanation = explain_infeasibility(model)
    assert explanation.feasible is has_plan(model)
    if explanation.feasible or len(explanation.conflicts) != 1:
        return explanation
    for row in explanation.conflicts[0].rows:
        assert row.proven
        if row.enough is None:
            assert not row.possible
            assert row.growth is None
            continue
        beyond = 0.0 if row.relation == "=" else math.copysign(1e-6, row.growth)
        assert has_plan(moved(model, row, row.enough + beyond))
        assert not has_plan(moved(model, row, row.now + (1 - 1e-3) * row.growth))
    together = model
    for row in explanation.conflicts[0].rows:
        beyond = math.copysign(1e-6, row.together - row.now) if row.together != row.now else 0.0
        together = moved(together, row, row.together + (0.0 if row.relation == "=" else beyond))
    assert has_plan(together)
    return explanation


def short_of_uplink(form="linear"):
    """Return the library's small example with an uplink that is too small for the volume."""
    data = library.small_example_data()
    data = replace(
        data,
        compute_budget=np.array([0.2, 1, 0.2]),
        uplink_budget=np.array([2.5, 1, 2]),
        name="short of uplink",
    )
    return library.build_model(data, form=form)


@settings(deadline=None, max_examples=8)
@given(
    uplink=st.lists(st.integers(0, 8), min_size=3, max_size=3),
    compute=st.lists(st.integers(0, 4), min_size=3, max_size=3),
    form=st.sampled_from(["linear", "product"]),
)
def test_what_is_told_holds_in_the_model(uplink, compute, form):
    """On systems with random budgets, a budget at its new value gives a plan, and a little less does not."""
    data = library.small_example_data()
    data = replace(data, uplink_budget=np.array(uplink) / 2, compute_budget=np.array(compute) / 8)
    explanation = check(library.build_model(data, form=form))
    assume(len(explanation.conflicts) == 1)


@pytest.mark.parametrize("form", ["linear", "product"])
def test_an_uplink_too_small_for_the_volume(form):
    """The paper's case: uplink, demand and the compute budget behind are named, and no link row."""
    explanation = check(short_of_uplink(form))
    (conflict,) = explanation.conflicts
    names = [row.name for row in conflict.rows]
    assert "client_uplink[phone]" in names
    assert {name.split("[")[0] for name in names} <= {"client_uplink", "demand", "compute", "memory"}
    assert explanation.proven
    assert explanation.complete
    uplink = conflict.rows[names.index("client_uplink[phone]")]
    assert uplink.percent == pytest.approx(100 * uplink.growth / 2.5)
    text = str(explanation)
    assert "client_uplink[phone]" in text
    assert f"{len(names)} rows conflict" in text


def test_numbers_printed_are_enough_when_typed_in():
    """A printed value is rounded away from what is not enough."""
    model = short_of_uplink()
    model.client_uplink["phone"].set_value(model.client_uplink["phone"].body <= 2.51234567)
    model.compute["phone"].set_value(model.compute["phone"].body <= 0.2123456)
    explanation = explain_infeasibility(model)
    typed_in = 0
    for line in str(explanation).splitlines():
        printed = re.match(r"  (\S+) +[<>=]+ \S+ +(\S+) \(", line)
        if printed:
            row = next(row for row in explanation.conflicts[0].rows if row.name == printed[1])
            assert has_plan(moved(model, row, float(printed[2])))
            typed_in += 1
    assert typed_in >= 2


def test_a_model_with_a_plan_has_nothing_to_explain():
    """Feasible and unbounded models get a plain answer."""
    explanation = explain_infeasibility(models.two_servers())
    assert explanation.feasible
    assert explanation.conflicts == ()
    assert str(explanation) == "Model 'two servers' has a plan: nothing conflicts."
    m = pyo.ConcreteModel("endless")
    m.y = pyo.Var(bounds=(0, None))
    m.gain = pyo.Objective(expr=m.y, sense=pyo.maximize)
    annotate(m, offloading=m.y)
    assert explain_infeasibility(m).feasible


@pytest.mark.parametrize("x_alone", [True, False])
def test_the_model_is_left_alone(x_alone):
    """Values, stale flags, bounds, suffixes and what is active stay as they were."""
    m = models.with_marks(models.infeasible(x_alone))
    before = models.snapshot(m)
    assert explain_infeasibility(m).feasible is False
    assert models.snapshot(m) == before
    assert len(check(m).conflicts) == 1


def test_a_row_of_a_window_is_named():
    """A batching window that is too short for the queries is named as the user's block, not its parts."""
    m = pyo.ConcreteModel("window")
    m.x = pyo.Var(domain=pyo.Binary)
    m.y = pyo.Var(bounds=(0, 1))
    m.link = pyo.Constraint(expr=m.y <= m.x)
    m.demand = pyo.Constraint(expr=m.y == 1)
    m.batch = BatchingWindow(["edge"])
    m.batch["edge"].set_batches(
        length=0.5, arrivals={"net": 30 * m.y}, setup={"net": 0.1}, per_query={"net": 0.05}
    )
    m.gain = pyo.Objective(expr=m.y, sense=pyo.maximize)
    annotate(m, onloading=m.x, offloading=m.y)
    rows = {row.name: row for row in check(m).conflicts[0].rows}
    assert set(rows) == {"demand", "batch[edge].capacity"}
    assert rows["batch[edge].capacity"].enough == pytest.approx(1.7)


def test_an_equality_of_integers_is_one_row():
    """2a + 2b = 3: one row, not two, and the nearest values that have a plan are 2 and 4."""
    m = pyo.ConcreteModel("sizes")
    m.x = pyo.Var([1, 2], domain=pyo.Binary)
    m.sizes = pyo.Constraint(expr=2 * m.x[1] + 2 * m.x[2] == 3)
    m.gain = pyo.Objective(expr=m.x[1])
    annotate(m, onloading=m.x)
    (row,) = check(m).conflicts[0].rows
    assert row.enough in (pytest.approx(2), pytest.approx(4))


def test_bounds_are_named_where_they_conflict():
    """A lower bound against a link of a variable that is fixed at 0."""
    m = pyo.ConcreteModel("bounds")
    m.x = pyo.Var(domain=pyo.Binary)
    m.y = pyo.Var(bounds=(0.5, 1))
    m.link = pyo.Constraint(expr=m.y <= 0.2 * m.x)
    m.gain = pyo.Objective(expr=m.y)
    annotate(m, onloading=m.x, offloading=m.y)
    rows = check(m).conflicts[0].rows
    assert [(row.name, row.kind) for row in rows] == [("link", "row"), ("y", "lower bound")]


def test_rows_of_constants_and_crossed_bounds():
    """What the compiler refuses is explained as well, each by itself, and the rest is not claimed."""
    m = models.two_servers()
    m.alone = pyo.Constraint(expr=m.x["a", 1] + m.x["a", 2] <= 1)
    m.x["a", 1].fix(1)
    m.x["a", 2].fix(1)
    m.y[1, "a", 1].setlb(0.9)
    m.y[1, "a", 1].setub(0.5)
    explanation = explain_infeasibility(m)
    rows = [conflict.rows[0] for conflict in explanation.conflicts]
    assert [(row.name, row.now, row.enough) for row in rows] == [("alone", 1, 2), ("y[1,a,1]", 0.5, 0.9)]
    assert not explanation.complete
    assert "was not looked at" in str(explanation)
    assert "2 variables are fixed, x[a,1] for one" in str(explanation)


def test_several_reasons_are_named_one_after_another():
    """Two clients that cannot be served are two conflicts; `most` limits how many are looked for."""
    data = library.small_example_data()
    data = replace(data, compute_budget=np.array([0, 0, 0.2]), uplink_budget=np.array([1, 1, 9]))
    m = library.build_model(data)
    explanation = explain_infeasibility(m)
    names = [{row.name for row in conflict.rows} for conflict in explanation.conflicts]
    assert len(names) == 2
    assert any("client_uplink[phone]" in some for some in names)
    assert any("client_uplink[robot]" in some for some in names)
    assert explanation.complete
    assert "for 2 reasons." in explanation.message
    first = explain_infeasibility(m, most=1)
    assert len(first.conflicts) == 1
    assert not first.complete
    assert "there may be more" in first.message


def test_out_of_time_is_no_claim():
    """What was not found in time is not called feasible, nor infeasible."""
    explanation = explain_infeasibility(models.hard_to_place(), time_limit=0.2)
    assert explanation.feasible is None
    assert not explanation.proven
    assert "raise time_limit" in str(explanation)


def test_wrong_models_and_arguments_are_errors():
    """NaN and limits that are none are errors that name what is wrong."""
    m = models.two_servers()
    m.speed.set_value(math.nan)
    with pytest.raises(ModelError, match="speed"):
        explain_infeasibility(m)
    wrongs = [("time_limit", value) for value in (0, "long", None, True, math.inf, math.nan)]
    wrongs += [("most", value) for value in (0, 0.5, 1.5, -1, True, math.inf, math.nan, "1", None)]
    for name, value in wrongs:
        with pytest.raises(OptionError, match="above 0"):
            explain_infeasibility(models.infeasible(), **{name: value})
    few = explain_infeasibility(models.infeasible(), most=np.int64(1), time_limit=np.float64(9))
    assert few.feasible is False
    with pytest.raises(ModelError, match="pass the model first"):
        explain_infeasibility(3)


def test_a_solve_names_the_conflict_in_its_log_and_the_remedy_in_its_message():
    """With tee an infeasible solve names rows; without it nothing is looked for, and the message says how."""
    stream = io.StringIO()
    m = short_of_uplink()
    results = models.classic().solve(m, tee=stream, load_solutions=False)
    assert "Rows in conflict" in stream.getvalue()
    assert "client_uplink[phone]" in stream.getvalue()
    assert "explain_infeasibility" in results.solver.message
    quiet = models.classic().solve(m, load_solutions=False)
    assert "Rows in conflict" not in quiet.j3o.solver_log
    fine = io.StringIO()
    models.classic().solve(models.two_servers(), tee=fine)
    assert "conflict" not in fine.getvalue()


def test_a_solver_that_fails_on_the_explanation_leaves_the_result(monkeypatch):
    """The solve says infeasible with tee as without; one line of the log says what failed, and why."""

    def fail(*arguments, **keywords):
        raise BackendError("HiGHS refused the arrays")

    monkeypatch.setattr(explaining, "find_conflicts", fail)
    stream, m = io.StringIO(), short_of_uplink()
    results = models.classic().solve(m, tee=stream, load_solutions=False)
    assert results.solver.termination_condition == "infeasible"
    assert stream.getvalue().count("Rows in conflict were not found: HiGHS refused the arrays\n") == 1
    with pytest.raises(BackendError, match="HiGHS refused"):
        explain_infeasibility(m)


def test_an_explanation_pickles():
    """Explanations go to other processes with the model that they are about."""
    explanation = explain_infeasibility(models.infeasible())
    assert str(pickle.loads(pickle.dumps(explanation))) == str(explanation)


def test_pyomo_agrees_where_the_relaxation_is_infeasible(caplog):
    """Pyomo's own explanation, which relaxes the binaries, names the same rows and the same amounts."""
    pytest.importorskip("gurobipy")  # of the solvers here, the one that does not raise where there is no plan
    m = short_of_uplink()
    ours = {row.name: abs(row.growth) for row in explain_infeasibility(m).conflicts[0].rows}
    with caplog.at_level("INFO", logger="pyomo.contrib.iis"):
        mis.compute_infeasibility_explanation(m, solver=pyo.SolverFactory("gurobi_direct"))
    amounts = dict(re.findall(r"constraint: (\S+) by (\S+)", caplog.text))
    assert {name: float(amount) for name, amount in amounts.items()} == pytest.approx(ours)
    named = caplog.text[caplog.text.index("Constraints / bounds in MIS") :]
    assert set(re.findall(r"constraint: (\S+)", named)) == set(ours)


def test_pyomo_has_no_answer_where_only_the_integers_conflict():
    """Without its binaries the model is feasible: here the rows are named all the same."""
    pytest.importorskip("gurobipy")
    m = models.infeasible()
    m.too_much.deactivate()
    m.half = pyo.Constraint(expr=2 * m.x["a", 1] + 2 * m.x["b", 1] == 3)
    with pytest.raises(Exception, match="feasible"):
        mis.compute_infeasibility_explanation(m, solver=pyo.SolverFactory("gurobi_direct"))
    assert [row.name for row in check(m).conflicts[0].rows] == ["half"]


@pytest.mark.timed
def test_the_time_limit_holds_where_many_rows_conflict():
    """Taking out rows ends when time does; what is left is named, and not called irreducible."""
    m = library.facility_location(sites=50, customers=120, seed=1)
    data = library.facility_data(sites=50, customers=120, seed=1)
    open_ = sum(data.capacity[i] * m.place.x[i] for i in m.place.x)
    m.short = pyo.Constraint(expr=open_ <= 0.9 * float(np.sum(data.demand)))
    begin = time.perf_counter()
    explanation = explain_infeasibility(m, time_limit=1)
    assert time.perf_counter() - begin < 5
    assert not explanation.proven


def sites_and_customers(sites=6, customers=12):
    """Return a location model that may open one site less than it takes."""
    demand = [5 + (7 * j) % 11 for j in range(customers)]
    capacity = sum(demand) / 4.5
    m = pyo.ConcreteModel("sites")
    m.open = pyo.Var(range(sites), domain=pyo.Binary)
    m.flow = pyo.Var(range(sites), range(customers), bounds=(0, 1))
    m.demand = pyo.Constraint(range(customers), rule=lambda m, j: sum(m.flow[:, j]) == 1)
    m.capacity = pyo.Constraint(
        range(sites),
        rule=lambda m, i: sum(demand[j] * m.flow[i, j] for j in range(customers)) <= capacity * m.open[i],
    )
    m.few = pyo.Constraint(expr=sum(m.open.values()) <= 3)
    m.cost = pyo.Objective(expr=sum(m.open.values()))
    annotate(m, onloading=m.open, offloading=m.flow)
    return m


def test_the_remedy_comes_first_and_rows_without_one_are_folded():
    """Of a location model the one useful row heads the table, and many demands are one line."""
    m = sites_and_customers()
    explanation = explain_infeasibility(m)
    lines = str(explanation).splitlines()
    assert lines[3].split()[:4] == ["few", "<=", "3", "5"]
    assert len(explanation.conflicts[0].rows) > 12
    assert sum(line.startswith("  demand") for line in lines) == 1
    assert re.search(r"demand \(\d+ of them\) +(= 1)? +no value", str(explanation))
    stream = io.StringIO()
    models.classic().solve(m, tee=stream, load_solutions=False)
    log = stream.getvalue().split("Rows in conflict")[1].splitlines()
    assert log[2].split()[0] == "few"


def test_a_change_beside_onloading_variables_is_told_as_what_it_is():
    """Of sum(flow) <= cap open, the growth is one beyond what the open sites give, and has no percentage."""
    explanation = explain_infeasibility(sites_and_customers())
    rows = [row for row in explanation.conflicts[0].rows if row.name.startswith("capacity")]
    assert rows
    assert all(row.beyond_onloading and row.growth > 0 and row.percent is None for row in rows)
    assert "A change of capacity is so much beyond what its onloading variables give." in str(explanation)
    (few,) = (row for row in explanation.conflicts[0].rows if row.name == "few")
    assert not few.beyond_onloading


def test_fixed_onloading_variables_in_the_conflict_are_noted():
    """Sites that the user has closed are a remedy that no row names."""
    m = sites_and_customers()
    m.few.set_value(sum(m.open.values()) <= 6)
    assert explain_infeasibility(m).feasible
    m.open[1].fix(0)
    m.open[4].fix(0)
    explanation = explain_infeasibility(m)
    assert explanation.notes == ("2 variables are fixed, open[1] for one: freeing them may be enough.",)
    assert explanation.proven
    m.open[1].unfix()
    assert explain_infeasibility(m).feasible
    m.few.set_value(sum(m.open.values()) <= 4)
    (note,) = explain_infeasibility(m).notes
    assert note == "open[4] is fixed: freeing it may be enough."


def test_rounding_is_no_cheapest_change():
    """A relative change below 1e-5 is shown as none, and where one row moves, the column is left out."""
    explanation = explain_infeasibility(short_of_uplink())
    one, other = explanation.conflicts[0].rows[:2]
    rows = (replace(one, together=one.now * (1 - 1e-6)), replace(other, together=other.enough))
    assert "cheapest together" not in str(Conflict(rows))
    moving = (replace(one, together=one.enough), replace(other, together=other.enough))
    assert "cheapest together" in str(Conflict((*moving, replace(one, together=one.now * (1 - 1e-6)))))
    assert "as it is" in str(Conflict((*moving, replace(one, together=one.now * (1 - 1e-6)))))


def test_the_log_does_not_call_hopeless_what_other_reasons_block():
    """With several reasons the short version says no value of none of them."""
    data = library.small_example_data()
    data = replace(data, compute_budget=np.array([0, 0, 0.2]), uplink_budget=np.array([1, 1, 9]))
    stream = io.StringIO()
    models.classic().solve(library.build_model(data), tee=stream, load_solutions=False)
    log = stream.getvalue()
    assert "there may be more" in log
    assert "no value" not in log


def test_an_equality_that_conflicts_by_itself_is_named_alone():
    """x0 + x1 = 0.5 needs no other row, although half of it conflicts with one, too."""
    m = pyo.ConcreteModel("half")
    m.x = pyo.Var([0, 1], domain=pyo.Binary)
    m.y = pyo.Var([0, 1, 2], bounds=(0, 1))
    m.link = pyo.Constraint([0, 1, 2], rule=lambda m, i: m.y[i] <= m.x[i % 2])
    m.half = pyo.Constraint(expr=m.x[0] + m.x[1] == 0.5)
    m.much = pyo.Constraint(expr=sum(m.y.values()) >= 2.5)
    m.gain = pyo.Objective(expr=sum(m.y.values()))
    annotate(m, onloading=m.x, offloading=m.y)
    explanation = explain_infeasibility(m)
    assert [row.name for row in explanation.conflicts[0].rows] == ["half"]
    assert explanation.conflicts[0].proven


def bytes_on_a_disk(side, sizes=(4000000000001, 3000000000002), sense=1):
    """Return a model of two files, both of which are wanted, on a disk."""
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var([0, 1], domain=pyo.Binary), pyo.Var(bounds=(0, 1))
    body = sum(sense * size * m.x[i] for i, size in enumerate(sizes))
    m.disk = pyo.Constraint(expr=body <= side if sense > 0 else body >= -side)
    m.need = pyo.Constraint(expr=m.x[0] + m.x[1] >= 2)
    m.link = pyo.Constraint(expr=m.y <= m.x[0])
    m.gain = pyo.Objective(expr=m.y, sense=pyo.maximize)
    annotate(m, onloading=m.x, offloading=m.y)
    return m


@pytest.mark.parametrize("sense", [1, -1])
@pytest.mark.parametrize(
    ("now", "enough", "sizes"),
    [
        (7000000000002, 7000000000003, (4000000000001, 3000000000002)),
        (7000000000002.5, 7000000000003, (4000000000001, 3000000000002)),
        (7000000000001, 7000000000003, (4000000000001, 3000000000002)),
        (7000000.2, 7000000.3, (4000000.1, 3000000.2)),
        (6000000, 7000000000003, (4000000000001, 3000000000002)),
    ],
)
def test_what_is_enough_in_whole_numbers_is_enough_to_the_last_digit(now, enough, sizes, sense):
    """A disk that is one byte short is told so, in all digits, and one byte less is not enough."""
    model = bytes_on_a_disk(now, sizes, sense)
    explanation = explain_infeasibility(model)
    disk, _ = explanation.conflicts[0].rows
    assert disk.enough == sense * enough
    assert disk.proven
    assert disk.whole
    line = next(line for line in str(explanation).splitlines() if "disk" in line)
    cells = line.replace("as it is", "").split()
    assert float(cells[2]) == disk.now
    assert float(cells[3]) == disk.enough
    assert explain_infeasibility(bytes_on_a_disk(enough, sizes, sense)).feasible


def test_a_row_that_never_holds_is_explained_as_the_solve_explains_it():
    """30 even sizes are no odd number: the solve and the explanation name the same row, at once."""
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(range(30), domain=pyo.Binary), pyo.Var(bounds=(0, 1))
    sizes = (2 * np.random.default_rng(1).integers(10**8, 10**9, 30)).tolist()
    m.full = pyo.Constraint(expr=sum(sizes[i] * m.x[i] for i in range(30)) == sum(sizes) // 4 * 2 + 1)
    m.link = pyo.Constraint(expr=m.y <= m.x[0])
    m.gain = pyo.Objective(expr=m.y, sense=pyo.maximize)
    annotate(m, onloading=m.x, offloading=m.y)
    solved = models.new(raise_exception_on_nonoptimal_result=False, load_solutions=False).solve(m)
    assert "'full' can never hold" in solved.extra_info.message
    begin = time.perf_counter()
    explanation = explain_infeasibility(m)
    assert time.perf_counter() - begin < 20
    (conflict,) = explanation.conflicts
    assert [row.name for row in conflict.rows] == ["full"]
    assert conflict.proven
    assert explanation.feasible is False
    assert "one row cannot be satisfied" in explanation.message


@pytest.mark.parametrize("at", [1, 2, 4, 7, 12, 16, 20])
def test_ctrl_c_leaves_rows_that_conflict(monkeypatch, at):
    """Wherever it comes, the answer is marked, and what it names has no plan, with links and bounds."""
    m = short_of_uplink()
    solve, calls = system._solve, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == at:
            raise KeyboardInterrupt
        return solve(*args)

    monkeypatch.setattr(system, "_solve", interrupted)
    explanation = explain_infeasibility(m)
    assert len(calls) == at
    assert explanation.interrupted
    assert not explanation.complete
    assert not explanation.proven
    if not explanation.conflicts:
        assert explanation.feasible is None
        assert "was found before Ctrl-C" in str(explanation)
        return
    assert explanation.feasible is False
    assert "Ctrl-C ended the search: this is what was found by then." in str(explanation)
    for conflict in explanation.conflicts:
        copy = m.clone()
        named = {row.name for row in conflict.rows}
        for row in copy.component_data_objects(pyo.Constraint, active=True):
            if row.name not in named and row.parent_component().name != "link":
                row.deactivate()
        assert not has_plan(copy)


def test_a_row_that_bounds_rule_out_comes_first(capsys):
    """Of several conflicts the one of a single row is told at once, and named first."""
    m = short_of_uplink()
    m.too_much = pyo.Constraint(expr=m.route.y["robot", "edges", "server", "sharp"] >= 1.5)
    explanation = explain_infeasibility(m, tee=True)
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("a conflict of")]
    assert told[0].startswith("a conflict of 1 row: too_much (")
    (row,) = explanation.conflicts[0].rows
    assert (row.name, row.enough) == ("too_much", pytest.approx(1.0))
    assert len(explanation.conflicts) == 2


def test_sides_without_an_answer_in_time_are_not_all_waited_for(monkeypatch):
    """After a few sides of one component in a row that found no answer, the others are not asked."""
    m = pyo.ConcreteModel("many")
    m.x = pyo.Var(range(6), domain=pyo.Binary)
    m.y = pyo.Var(range(6), bounds=(0, 10))
    m.demand = pyo.Constraint(range(6), rule=lambda m, i: m.y[i] >= 2)
    m.room = pyo.Constraint(expr=sum(m.y.values()) <= 5)
    m.link = pyo.Constraint(range(6), rule=lambda m, i: m.y[i] <= 10 * m.x[i])
    m.cost = pyo.Objective(expr=sum(m.x.values()))
    annotate(m, onloading=m.x, offloading=m.y)
    asked = []

    def unanswered(search, member, seconds):
        asked.append(member)

    monkeypatch.setattr("pyomo_j3o.diagnosis.iis.Search._growth", unanswered)
    (conflict,) = explain_infeasibility(m).conflicts
    by_component = Counter(row.component.parent_component().name for row in conflict.rows)
    assert len(asked) == 1 + min(by_component["demand"], ConflictParams().unanswered)


def test_where_no_row_alone_is_enough_the_other_question_is_named(monkeypatch):
    """The note gives the call that asks for a factor, and that call works."""
    m = short_of_uplink()
    monkeypatch.setattr("pyomo_j3o.diagnosis.iis.Search._growth", lambda *args: None)
    monkeypatch.setattr("pyomo_j3o.diagnosis.iis.Search._cheapest_alone", lambda *args: None)
    (note,) = explain_infeasibility(m).notes
    assert "explain_infeasibility(model, relax=[model." in note
    name = re.search(r"model\.(\w+)\]", note)[1]
    assert explain_infeasibility(m, relax=[m.component(name)], together=True).possible


def test_values_that_are_not_proven_come_with_the_question_that_is_cheaper():
    """A note names `relax` with the component of such a row, and none where a value is proven."""
    m = pyo.ConcreteModel("note")
    m.y = pyo.Var(range(2), bounds=(0, 9))
    m.x = pyo.Var(domain=pyo.Binary)
    m.transit = pyo.Constraint(expr=m.y[0] + m.x <= 3)
    m.demand = pyo.Constraint(expr=m.y[0] - m.x >= 5)
    m.cost = pyo.Objective(expr=m.y[1])
    annotate(m, onloading=m.x, offloading=m.y)
    explanation = explain_infeasibility(m)
    assert explanation.notes == ()
    (conflict,) = explanation.conflicts
    transit, demand = conflict.rows
    doubtful = replace(
        conflict, rows=(replace(transit, proven=False), replace(demand, enough=None, proven=False))
    )
    (note,) = explaining._note_on_growth([doubtful])
    assert "relax=[model.transit], together=True" in note
