"""A solver that keeps its model: what it finds of changes, what users of such solvers have reported.

A number in a docstring is that of a report in the project that is named.
"""

from __future__ import annotations

import copy
import gc
import io
import logging
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pyomo.environ as pyo
import pytest
from mutable_models import EDITS, mutable_model
from pyomo.contrib.solver.common.factory import SolverFactory as NewSolverFactory
from pyomo.contrib.solver.common.results import SolutionStatus, TerminationCondition
from pyomo.contrib.solver.common.util import NoFeasibleSolutionError
from pyomo.solvers.plugins.solvers.persistent_solver import PersistentSolver

from pyomo_j3o import OffloadingBlock, OnloadingBlock, PersistentJ3O, annotate
from pyomo_j3o.errors import ModelError, OptionError, RebuildError

EXPIRED = r"^The results in the solver are no longer valid\.$"


def new(**options) -> PersistentJ3O:
    """Return the solver behind Pyomo's new interface."""
    return NewSolverFactory("j3o_persistent", **options)


def classic(**options):
    """Return the solver behind Pyomo's classic interface."""
    return pyo.SolverFactory("j3o_persistent", **options)


def cold(m, **options):
    """Return the results of a solver that has never seen the model."""
    return NewSolverFactory("j3o").solve(m, raise_exception_on_nonoptimal_result=False, **options)


def update_of(results) -> str:
    """Return what was done about the changes."""
    return results.extra_info.update["outcome"]


def kinds_of(results) -> set[str]:
    """Return the kinds of changes that were found."""
    return set(results.extra_info.update["changes"])


def served() -> pyo.ConcreteModel:
    """Return two models for one server of memory 3; the best plan onloads the large one, worth 9."""
    m = pyo.ConcreteModel("served")
    m.place = OnloadingBlock()
    m.place.x = pyo.Var(["small", "large"], domain=pyo.Binary)
    m.route = OffloadingBlock()
    m.route.y = pyo.Var(["small", "large"], bounds=(0, 1))
    m.worth = pyo.Param(["small", "large"], initialize={"small": 6.0, "large": 9.0}, mutable=True)
    m.size = pyo.Param(["small", "large"], initialize={"small": 2.0, "large": 3.0}, mutable=True)
    m.memory = pyo.Param(initialize=3.0, mutable=True, within=pyo.Any)
    m.top = pyo.Param(initialize=1.0, mutable=True)
    for k in m.route.y:
        m.route.y[k].setub(m.top)
    m.link = pyo.Constraint(["small", "large"])
    for k in m.link.index_set():
        m.link[k] = m.route.y[k] <= m.place.x[k]
    m.room = pyo.Constraint(expr=sum(m.size[k] * m.place.x[k] for k in m.size) <= m.memory)
    m.value = pyo.Expression(expr=sum(m.worth[k] * m.route.y[k] for k in m.worth))
    m.gain = pyo.Objective(expr=m.value, sense=pyo.maximize)
    return m


@pytest.fixture(params=["new", "classic"])
def resolve(request):
    """Return a function that solves a model with one solver of either interface, and returns new results."""
    opt = new() if request.param == "new" else classic()

    def solve(m, **options):
        results = opt.solve(m, **options)
        return results if request.param == "new" else results.j3o

    solve.opt = opt
    return solve


# --- what users of persistent solvers have reported -----------------------------------------------------


def test_fixings_may_take_turns(resolve):
    """Fix y, solve, unfix y, fix x, solve: no fixing is left of the first solve (Pyomo 3127)."""
    m = served()
    m.route.y["large"].fix(0)
    assert resolve(m).incumbent_objective == pytest.approx(6)
    m.route.y["large"].unfix()
    m.place.x["small"].fix(0)
    results = resolve(m)
    assert results.incumbent_objective == pytest.approx(9)
    assert kinds_of(results) >= {"fixed", "unfixed"}
    m.place.x["small"].fix(1)
    assert resolve(m).incumbent_objective == pytest.approx(6)
    assert update_of(resolve(m)) == "nothing"


def test_a_variable_vanishes_with_its_row(resolve):
    """A row goes, and with it a variable; then the Param of another row changes (Pyomo 3531)."""
    m = served()
    m.spare = pyo.Var(bounds=(0, 1))
    annotate(m, offloading=m.spare)
    m.extra = pyo.Constraint(expr=m.spare + m.route.y["large"] <= 1.5)
    resolve(m)
    m.del_component(m.extra)
    assert "constraints removed" in kinds_of(resolve(m))
    m.memory = 5.0
    results = resolve(m)
    assert results.incumbent_objective == pytest.approx(15)
    assert update_of(results) == "patched"
    m.del_component(m.spare)
    assert "variables removed" in kinds_of(resolve(m))


def test_a_fixed_variable_keeps_its_value(resolve):
    """A fixing that the solver does not look for is none of its own: loading leaves it alone."""
    m = served()
    resolve(m)
    unseen = {"update_vars": False}
    m.place.x["large"].fix(0)
    m.route.y["large"].fix(0.25)
    results = resolve(m, auto_updates=unseen)
    assert update_of(results) == "nothing"
    assert (m.place.x["large"].value, m.route.y["large"].value) == (0, 0.25)
    m.memory = 2.5
    m.route.y["large"].fix(0)
    resolve.opt.update_variables([m.place.x["large"]])
    results = resolve(m)
    assert m.place.x["large"].value == 0
    assert results.incumbent_objective == pytest.approx(cold(m.clone()).incumbent_objective)


@pytest.mark.parametrize("named", [False, True])
def test_values_are_loaded_into_free_variables_alone(named):
    """Also where results are loaded after a variable has been fixed, by name or not, pickled or not."""
    m = served()
    results = cold(m)
    pickled = pickle.loads(pickle.dumps(results))
    x = m.place.x["large"]
    for loader in (results.solution_loader, pickled.solution_loader):
        x.fix(0)
        m.place.x["small"].set_value(1)
        loader.load_vars([*m.place.x.values()] if named or loader is pickled.solution_loader else None)
        assert [v.value for v in m.place.x.values()] == [0, 0]
        x.unfix()


@pytest.mark.parametrize(
    ("change", "objective"),
    [
        (lambda m: m.size["large"].set_value(4.0), 6),  # a coefficient
        (lambda m: m.memory.set_value(5.0), 15),  # a side
        (lambda m: m.top.set_value(0.5), 4.5),  # a bound
        (lambda m: m.worth["small"].set_value(20.0), 20),  # the objective
    ],
    ids=["coefficient", "side", "bound", "objective"],
)
def test_params_are_found_wherever_they_stand(resolve, change, objective):
    """A mutable Param in a coefficient, a side, a bound or the objective (Pyomo 2656, powergama 9)."""
    m = served()
    assert resolve(m).incumbent_objective == pytest.approx(9)
    change(m)
    results = resolve(m)
    assert results.incumbent_objective == pytest.approx(objective)
    assert results.solution_status == SolutionStatus.optimal
    assert update_of(results) == "patched"
    assert results.extra_info.update["changes"]["parameters"]["count"] == 1


def test_objectives_change_in_every_way(resolve):
    """A named Expression behind it, another one in its place, another sense (calliope 797)."""
    m = served()
    resolve(m)
    m.value.set_value(m.route.y["small"] * 2)
    assert resolve(m).incumbent_objective == pytest.approx(2)
    m.other = pyo.Objective(expr=m.route.y["small"] + 5 * m.route.y["large"] + 1, sense=pyo.maximize)
    m.gain.deactivate()
    results = resolve(m)
    assert results.incumbent_objective == pytest.approx(6)
    assert "objective" in kinds_of(results)
    m.other.sense = pyo.minimize
    assert resolve(m).incumbent_objective == pytest.approx(1)
    m.gain.activate()
    with pytest.raises(ModelError, match="2 objectives are active"):
        resolve(m)
    m.other.deactivate()
    assert resolve(m).incumbent_objective == pytest.approx(2)


def test_trivial_rows_flip(resolve):
    """A row of constants becomes infeasible and feasible again (Pyomo 3703)."""
    m = served()
    m.floor = pyo.Param(initialize=0.0, mutable=True)
    m.trivial = pyo.Constraint(expr=m.floor * m.route.y["small"] + m.floor <= 1)
    m.route.y["small"].fix(0.5)
    options = {"load_solutions": False, "raise_exception_on_nonoptimal_result": False}
    for floor, condition in (
        (0.0, TerminationCondition.convergenceCriteriaSatisfied),
        (5.0, TerminationCondition.provenInfeasible),
        (0.5, TerminationCondition.convergenceCriteriaSatisfied),
        (5.0, TerminationCondition.provenInfeasible),
    ):
        m.floor = floor
        assert resolve(m, **options).termination_condition == condition


def test_memory_is_flat():
    """What a solve leaves takes the place of what the one before has left (Pyomo 3915)."""
    m, opt = served(), classic()
    counts = []
    for i in range(100):
        m.memory = 2.0 + (i % 7) / 2
        if i % 3 == 0:
            m.place.x["small"].fix(i % 2)
        elif i % 3 == 1:
            m.place.x["small"].unfix()
        if i % 25 == 0:
            m.route.y["small"].setub(m.top + i)
        opt.solve(m, effort="alternation", bound="lp")
        if i in (39, 99):
            gc.collect()
            counts.append(len(gc.get_objects()))
    assert counts[1] < counts[0] + 50, counts


def _solve_twice(number: int) -> float:
    m, stream = served(), io.StringIO()
    opt = classic()
    opt.solve(m, tee=stream)
    m.worth["large"] = float(number)
    opt.solve(m, tee=stream)
    assert "J3O " in stream.getvalue()
    return pyo.value(m.gain)


def test_processes_and_threads_solve_side_by_side():
    """A process, and eight threads, each with its own solver and log (Pyomo 3908, 3456)."""
    worth = [7.0, 8.0, 9.0, 10.0] * 4
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(_solve_twice, worth)) == pytest.approx(worth)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        assert list(processes.map(_solve_twice, worth[:4])) == pytest.approx(worth[:4])


def test_a_log_to_stdout_beside_tee(resolve, capsys):
    """`logging` on stdout and ``tee=True`` write side by side, and nothing hangs (Pyomo 3520)."""
    handler = logging.StreamHandler(sys.stdout)
    logging.getLogger().addHandler(handler)
    try:
        m = served()
        resolve(m, tee=True)
        m.memory = 5.0
        resolve(m, tee=True)
    finally:
        logging.getLogger().removeHandler(handler)
    assert "The model was patched (parameters: 1)" in capsys.readouterr().out


def test_log_file_and_threads_are_taken(tmp_path):
    """``logfile=``, and ``threads=`` wherever it can be given (mpi-sppy 861, Pyomo 3557)."""
    m, path = served(), tmp_path / "j3o.log"
    classic().solve(m, logfile=str(path))
    assert "J3O" in path.read_text()
    assert new(threads=1).solve(m, threads=2).incumbent_objective == pytest.approx(9)
    opt = classic(threads=1)
    opt.options["threads"] = 2
    assert opt.solve(m, options={"threads": 1}).j3o.incumbent_objective == pytest.approx(9)


def test_duals_and_reduced_costs_load_from_results():
    """`rc` and `dual` arrive through ``model.solutions.load_from``, after each solve anew (Pyomo 3978)."""
    m, opt = served(), classic()
    m.dual, m.rc = pyo.Suffix(direction=pyo.Suffix.IMPORT), pyo.Suffix(direction=pyo.Suffix.IMPORT)
    for worth in (9.0, 12.0):
        m.worth["large"] = worth
        results = opt.solve(m, load_solutions=False)
        m.solutions.load_from(results)
        assert pyo.value(m.gain) == pytest.approx(worth)
        total = m.dual[m.link["large"]] + m.rc[m.route.y["large"]]
        assert total == pytest.approx(worth)


def test_solution_ids_can_be_asked_for(resolve):
    """There is one plan, and its id can be asked for (Pyomo 3513)."""
    m = served()
    loader = resolve(m, load_solutions=False).solution_loader
    assert len(loader.get_solution_ids()) == loader.get_number_of_solutions() == 1


@pytest.mark.parametrize("name", ["warm_start", "warmstart"])
def test_a_warm_start_says_what_to_start_from(name):
    """Partial and infeasible starts are taken, and no plan is worse than a start that holds (Pyomo 3774)."""
    m, opt = served(), classic(effort="alternation", bound="lp")
    opt.solve(m)
    for small, large, y in ((1, None, 0.5), (1, 1, 1.0), (0, 1, 1.0)):
        m.place.x["small"], m.place.x["large"] = small, large
        m.route.y["small"], m.route.y["large"] = 0.0, y
        opt.solve(m, **{name: True})
    assert pyo.value(m.gain) == pytest.approx(9)


def test_a_solve_starts_from_the_last_plan_whatever_the_variables_hold(resolve):
    """The alternation alone would lose the plan that a longer search has found; the last plan is not lost."""
    m = served()
    best = resolve(m).incumbent_objective
    for variable in (*m.place.x.values(), *m.route.y.values()):
        variable.set_value(None)
    m.memory = 3.25
    options = {"improve": False, "bound": "none", "max_iterations": 1}
    results = resolve(m, **options, raise_exception_on_nonoptimal_result=False)
    assert results.incumbent_objective >= best


def move_model() -> pyo.ConcreteModel:
    """Return three models worth about the same, of which one has room."""
    m = pyo.ConcreteModel("moves")
    m.worth = pyo.Param([1, 2, 3], initialize={1: 1.0, 2: 1.2, 3: 1.1}, mutable=True)
    m.x = pyo.Var([1, 2, 3], domain=pyo.Binary)
    m.y = pyo.Var([1, 2, 3], bounds=(0, 1))
    m.link = pyo.Constraint([1, 2, 3], rule=lambda m, i: m.y[i] <= m.x[i])
    m.room = pyo.Constraint(expr=m.x[1] + m.x[2] + m.x[3] <= 1)
    m.gain = pyo.Objective(expr=sum(m.worth[i] * m.y[i] for i in m.x), sense=pyo.maximize)
    annotate(m, onloading=m.x, offloading=m.y)
    return m


def _hold(m, *values):
    for variable, number in zip(m.x.values(), values, strict=True):
        variable.set_value(number)


#: What is done to the model before moves have a price.
BEFORE_MOVES = {
    "nothing": lambda m: None,
    "patched": lambda m: m.worth[1].set_value(0.9),
    "compiled again": lambda m: m.add_component("extra", pyo.Constraint(expr=m.y[1] + m.y[2] <= 1.5)),
}


@pytest.mark.parametrize("by_suffix", [False, True], ids=["option", "suffix"])
@pytest.mark.parametrize("outcome", sorted(BEFORE_MOVES))
@pytest.mark.parametrize("held", [(1, 0, 0), (0, 0, 1), (1, 1, 0), (0, 0, 0)])
def test_moves_are_counted_from_what_the_variables_hold(resolve, outcome, by_suffix, held):
    """Whatever the solver has found before, loaded or not: as a solver that has never seen the model."""
    m = move_model()
    resolve(m, load_solutions=False)
    BEFORE_MOVES[outcome](m)
    options = {"move_cost": 0.4}
    if by_suffix:
        options = {}
        m.move_cost = pyo.Suffix(direction=pyo.Suffix.LOCAL)
        m.move_cost[m.x] = 0.4
    for values in (held, (0, 1, 0), held):
        _hold(m, *values)
        expected = cold(m.clone(), **options)
        results = resolve(m, load_solutions=False, **options)
        assert results.incumbent_objective == pytest.approx(expected.incumbent_objective)
        assert results.objective_bound == pytest.approx(expected.objective_bound, rel=1e-4)
        assert results.extra_info.moves == expected.extra_info.moves
        assert results.extra_info.move_cost == pytest.approx(expected.extra_info.move_cost)
        assert [v.value for v in m.x.values()] == list(values)


def test_moves_of_variables_without_a_value_are_counted_from_the_last_plan(resolve):
    """Where a variable holds a value, this counts; a price of 0 is one that counts moves, too."""
    m = move_model()
    resolve(m, load_solutions=False)  # model 2
    results = resolve(m, load_solutions=False, move_cost=0.4)
    assert (results.extra_info.moves, results.incumbent_objective) == (0, pytest.approx(1.2))
    m.x[3].set_value(1)
    assert resolve(m, load_solutions=False, move_cost=0.0).extra_info.moves == 1
    m.x[3].set_value(0)
    assert resolve(m, load_solutions=False, move_cost=0.0).extra_info.moves == 0


def test_results_say_what_moves_were_counted_from(resolve):
    """Of three variables one holds a value: the others are counted from the plan of the solver."""
    m = move_model()
    first = resolve(m, load_solutions=False, move_cost=0.0)
    assert first.extra_info.moves_from == "the values held, 3 without a value not counted"
    m.x[3].set_value(1)
    again = resolve(m, load_solutions=False, move_cost=0.0).extra_info
    assert again.moves_from == "the values held, 2 without a value from the solver's last plan"
    assert f"counted from {again.moves_from}" in again.message
    assert resolve(m, load_solutions=False).extra_info.moves_from is None


def test_another_price_of_moves_is_a_change():
    """By option or by Suffix, it is listed; the same price again is none, and `update` asks for no price."""
    m, opt = move_model(), new()
    opt.solve(m)

    def found(**options):
        opt.update()
        return opt.solve(m, **options).extra_info.update

    listed = {"move_cost": {"count": 1, "first": ["move_cost"]}}
    for options in ({"move_cost": 0.1}, {"move_cost": 0.2}, {"move_cost": {m.x: 0.2}}, {}):
        changed = found(**options)
        assert (changed["outcome"], changed["changes"]) == ("patched", listed)
        assert found(**options)["outcome"] == "nothing"
    m.move_cost = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    for price in (0.3, 0.4):
        m.move_cost[m.x] = price
        assert found()["changes"] == listed
        assert found()["outcome"] == "nothing"


def test_what_was_deleted_keeps_its_name():
    """Rows and variables of a deleted member, Constraint or Block are listed as they were called."""
    m, opt = move_model(), new()
    m.more = pyo.Constraint([1, 2], rule=lambda m, i: m.y[i] <= 5)
    m.sub = pyo.Block()
    m.sub.z = pyo.Var(["a"], bounds=(0, 1))
    m.sub.row = pyo.Constraint(expr=m.y[3] <= 4)
    opt.solve(m)

    def removed():
        return {k: one["first"] for k, one in opt.solve(m).extra_info.update["changes"].items()}

    del m.more[1]
    assert removed() == {"constraints removed": ["more[1]"]}
    m.del_component(m.more)
    assert removed() == {"constraints removed": ["more[2]"]}
    m.del_component(m.sub)
    assert removed() == {"constraints removed": ["sub.row"], "variables removed": ["sub.z[a]"]}


def test_the_block_that_is_switched_is_named():
    """Not the Vars in it, and not the blocks within."""
    m, opt = move_model(), new()
    m.sub = pyo.Block()
    m.sub.z = pyo.Var(bounds=(0, 1))
    m.sub.inner = pyo.Block()
    m.sub.inner.z = pyo.Var(bounds=(0, 1))
    opt.solve(m)
    for switch in (m.sub.deactivate, m.sub.activate):
        switch()
        changed = opt.solve(m).extra_info.update["changes"]
        assert changed == {"blocks switched": {"count": 1, "first": ["sub"]}}


def test_the_switches_print():
    """Printing shows every switch and how it is set, not an address."""
    opt = new()
    opt.config.auto_updates.update_vars = False
    for shown in (str(opt.config.auto_updates), repr(opt.config.auto_updates)):
        assert "update_vars=False" in shown
        assert "update_parameters=True" in shown


def test_the_last_plan_survives_fixing_and_compilation():
    """It is remembered by variable: through a fixing, another row, and a structure that is compiled again."""
    m, opt = served(), new()
    opt.solve(m)
    m.place.x["large"].fix(1)
    m.more = pyo.Constraint(expr=m.route.y["small"] <= 0.9)
    assert update_of(opt.solve(m)) == "compiled again"
    m.place.x["large"].unfix()
    m.route.y["large"].setub(0.9)
    held = opt._held
    opt.update()
    placement, _ = held.start(held.compiled.problem)
    names = [variable.name for variable in held.inverse.onloading]
    assert dict(zip(names, placement.tolist(), strict=True)) == {
        "place.x[small]": False,
        "place.x[large]": True,
    }


def test_an_error_loses_no_change(resolve, monkeypatch):
    """What a look has found when it fails, or is interrupted, is found by the next one again."""
    m = served()
    resolve(m)
    m.worth["small"], m.memory = 20.0, float("nan")
    with pytest.raises(ModelError, match="'memory' is nan"):
        resolve(m)
    m.memory = 5.0

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("pyomo_j3o.modeling.compiled_model.assemble", interrupt)
        with pytest.raises(KeyboardInterrupt):
            resolve(m)
    results = resolve(m)
    assert results.incumbent_objective == pytest.approx(29)
    assert results.extra_info.update["changes"]["parameters"]["count"] == 2


def test_a_variable_that_was_deleted_but_is_in_a_row(resolve):
    """The error is that of a solver that sees the model for the first time."""
    m = served()
    m.spare = pyo.Var(bounds=(0, 1))
    annotate(m, offloading=m.spare)
    m.extra = pyo.Constraint(expr=m.spare + m.route.y["large"] <= 1.5)
    resolve(m)
    del m.j3o_role[m.spare]
    m.del_component(m.spare)
    for solve in (cold, resolve):
        with pytest.raises(ModelError, match=r"^'spare': free in an active constraint"):
            solve(m)
    m.del_component(m.extra)
    assert resolve(m).incumbent_objective == pytest.approx(9)


# --- nothing has changed --------------------------------------------------------------------------------


def test_the_same_question_has_the_same_answer(resolve, monkeypatch):
    """The plan is loaded anew, and no search is made; another option, or a limit, is another question."""
    m = served()
    first = resolve(m)
    values = (first.incumbent_objective, first.objective_bound, first.solution_status)
    searches = []
    searched = PersistentJ3O.__mro__[1]._solve
    monkeypatch.setattr(
        PersistentJ3O.__mro__[1], "_solve", lambda *args: searches.append(1) or searched(*args)
    )
    m.route.y["large"].set_value(0.25)
    again = resolve(m, tee=True, time_limit=100)
    assert not searches
    assert update_of(again) == "nothing"
    assert (again.incumbent_objective, again.objective_bound, again.solution_status) == values
    assert m.route.y["large"].value == pytest.approx(1)
    resolve(m, seed=3)
    assert len(searches) == 1
    resolve(m, callback=lambda record: None)
    resolve(m, callback=lambda record: None)
    assert len(searches) == 3
    limited = {"max_iterations": 1, "improve": False, "bound": "none"}
    for _ in range(2):  # a limit may be passed by going on
        resolve(m, **limited, raise_exception_on_nonoptimal_result=False)
    assert len(searches) == 5


def test_the_last_plan_stands_without_time_to_search(resolve):
    """Where nothing has changed it is loaded again, with its bound; what has changed needs time."""
    m = served()
    first = resolve(m)
    m.route.y["large"].set_value(0.25)
    again = resolve(m, time_limit=0)
    assert (again.incumbent_objective, again.objective_bound) == (
        first.incumbent_objective,
        first.objective_bound,
    )
    assert again.solution_status == first.solution_status
    assert m.route.y["large"].value == pytest.approx(1)
    m.route.y["large"].set_value(0.25)
    other = resolve(
        m, time_limit=0, seed=7
    )  # another question: the plan is as good an answer as the time allows
    assert other.incumbent_objective == first.incumbent_objective
    assert m.route.y["large"].value == pytest.approx(1)
    m.route.y["large"].fix(0.5)
    with pytest.raises(NoFeasibleSolutionError):
        resolve(m, time_limit=0, raise_exception_on_nonoptimal_result=False)
    assert m.route.y["large"].value == 0.5


# --- conventions ------------------------------------------------------------------------------------------


def test_registered_in_both_factories():
    """Existing code asks for the class, the name, or the method."""
    assert isinstance(classic(), PersistentSolver)
    assert classic().name == new().name == "j3o_persistent"
    assert new().is_persistent()
    assert classic().available()
    assert new().available()


def test_calls_before_an_instance_are_errors():
    """Each says what to call, in Pyomo's own words."""
    m, opt = served(), new()
    with pytest.raises(RuntimeError, match=r"^must call set_instance or solve before update$"):
        opt.update()
    for call in (
        lambda: opt.add_constraints([m.room]),
        lambda: opt.remove_constraints([m.room]),
        lambda: opt.set_objective(m.gain),
        lambda: opt.update_variables([m.place.x["small"]]),
        lambda: opt.update_parameters([m.memory]),
        lambda: opt.add_block(m.place),
        lambda: opt.remove_block(m.place),
    ):
        with pytest.raises(RuntimeError, match=r"^call set_instance first$"):
            call()
    opt = classic()
    assert not opt.has_instance()
    with pytest.raises(
        RuntimeError, match=r"^Please use set_instance to set the instance before calling solve"
    ):
        opt.solve()
    x = m.place.x["small"]
    for name, arguments in (
        ("add_block", [m]),
        ("remove_block", [m]),
        ("set_objective", [m.gain]),
        ("add_constraint", [m.room]),
        ("remove_constraint", [m.room]),
        ("add_var", [x]),
        ("remove_var", [x]),
        ("update_var", [x]),
        ("add_column", [m, x, 1.0, [], []]),
    ):
        with pytest.raises(RuntimeError, match=f"^You must call set_instance before calling {name}"):
            getattr(opt, name)(*arguments)


def test_another_model():
    """The new interface takes it as the instance, the classic one refuses it."""
    one, other = served(), served()
    opt = new()
    opt.solve(one)
    assert update_of(opt.solve(other)) == "compiled"
    opt = classic()
    opt.set_instance(one)
    assert opt.has_instance()
    with pytest.raises(
        ValueError, match=r"^The problem instance provided to the solve method is not the same"
    ):
        opt.solve(other)
    assert opt.solve().j3o.incumbent_objective == pytest.approx(9)


@pytest.mark.parametrize(
    "change",
    [
        lambda opt, m: opt.solve(m),
        lambda opt, m: opt.set_instance(m),
        lambda opt, m: opt.close(),
        lambda opt, m: opt.add_constraints([m.room]),
        lambda opt, m: opt.remove_constraints([m.room]),
        lambda opt, m: opt.set_objective(m.gain),
        lambda opt, m: opt.update_variables([m.place.x["small"]]),
        lambda opt, m: opt.update_parameters([m.memory]),
        lambda opt, m: (m.memory.set_value(4.0), opt.update()),
    ],
)
def test_old_results_end(change):
    """Any change, and any solve, ends the loader before; an update that finds nothing does not."""
    m, opt = served(), new()
    results = opt.solve(m)
    opt.update()
    assert results.solution_loader.get_vars()[m.place.x["large"]] == 1
    change(opt, m)
    loader = results.solution_loader
    for call in (
        loader.load_vars,
        loader.load_solution,
        loader.get_vars,
        loader.get_duals,
        loader.get_reduced_costs,
        loader.get_number_of_solutions,
        loader.get_solution_ids,
        loader.load_import_suffixes,
    ):
        with pytest.raises(RuntimeError, match=EXPIRED):
            call()


def test_results_without_a_plan_end_too():
    """And say until then why there is none."""
    m, opt = served(), new(load_solutions=False, raise_exception_on_nonoptimal_result=False)
    m.memory = -1.0
    results = opt.solve(m)
    assert results.solution_loader.get_number_of_solutions() == 0
    m.memory = 3.0
    assert opt.solve(m).incumbent_objective == pytest.approx(9)
    with pytest.raises(RuntimeError, match=EXPIRED):
        results.solution_loader.get_vars()


def test_what_update_found_is_told_by_the_next_solve():
    """Changes between two solves are told together."""
    m, opt = served(), new()
    opt.set_instance(m)
    assert update_of(opt.solve(m)) == "compiled"
    m.memory = 4.0
    opt.update()
    m.place.x["small"].fix(0)
    results = opt.solve(m)
    assert kinds_of(results) == {"parameters", "fixed"}
    assert "reason" in results.extra_info.update


@pytest.mark.parametrize(
    "spelling", ["update_parameters", "update_params"], ids=["the observer's", "the older one"]
)
def test_checks_can_be_switched_off(spelling):
    """A Param is then not looked for until the user tells of it; per call as well, in both spellings."""
    m, opt = served(), new()
    opt.config.auto_updates[spelling] = False
    opt.solve(m)
    m.memory = 5.0
    assert opt.solve(m).incumbent_objective == pytest.approx(9)
    opt.update_parameters([m.memory])
    assert opt.solve(m).incumbent_objective == pytest.approx(15)
    m.memory = 3.0
    assert update_of(opt.solve(m)) == "nothing"
    assert opt.solve(m, auto_updates={spelling: True}).incumbent_objective == pytest.approx(9)
    assert not opt.config.auto_updates.update_parameters


def test_unknown_checks_are_errors():
    """The message has the names that there are."""
    m, opt = served(), new()
    with pytest.raises(
        OptionError, match=r"^auto_updates has no 'update_param'; did you mean 'update_params'"
    ):
        opt.solve(m, auto_updates={"update_param": False})
    with pytest.raises(OptionError, match=r"^auto_updates has no 'nonsense'"):
        opt.config.auto_updates.nonsense = True
    with pytest.raises(OptionError, match="is neither True nor False"):
        opt.config.auto_updates.update_vars = 3
    with pytest.raises(OptionError, match="is no dictionary"):
        opt.solve(m, auto_updates=True)


@pytest.mark.parametrize("edit", ["row added", "row's variables", "variable added", "marks"])
def test_a_rebuild_can_be_forbidden(edit):
    """One error, before anything is solved, with the reason as data; values are patched all the same."""
    m, opt = mutable_model(), new(allow_rebuild=False)
    before = opt.solve(m).incumbent_objective
    m.p[1] = 1.25
    assert update_of(opt.solve(m)) == "patched"
    EDITS[edit](m, 2, 0.7)
    with pytest.raises(
        RebuildError, match=r"^allow_rebuild=False, but the structure of model 'mutable'"
    ) as e:
        opt.solve(m)
    assert e.value.reason["outcome"] == "compiled again"
    assert pickle.loads(pickle.dumps(e.value)).reason == e.value.reason
    if edit != "marks":
        assert update_of(opt.solve(m, allow_rebuild=True)) == "compiled again"
    assert before is not None


@pytest.mark.parametrize("algorithm", ["auto", "j3o", "baj3o", "exact"])
def test_every_algorithm_solves_again(algorithm):
    """Patched numbers reach each of them."""
    m, opt = served(), new(algorithm=algorithm)
    assert opt.solve(m).incumbent_objective == pytest.approx(9)
    m.worth["small"] = 10.0
    results = opt.solve(m)
    assert results.incumbent_objective == pytest.approx(10)
    assert results.solution_status == SolutionStatus.optimal


def test_copies_have_no_instance():
    """Pickled or deep-copied, a solver is as after construction, with its options."""
    m = served()
    for opt in (new(seed=4), classic(seed=4)):
        opt.solve(m)
        for other in (pickle.loads(pickle.dumps(opt)), copy.deepcopy(opt)):
            assert other.config.seed == 4
            with pytest.raises(RuntimeError):
                other.update()
            assert other.solve(served()) is not None


def test_other_solvers_know_of_no_update():
    """The entry is None there, in both interfaces, with a plan and without, and after a pickle."""
    m = served()
    infeasible = served()
    infeasible.never = pyo.Constraint(expr=infeasible.top >= 2)
    classic_results = pyo.SolverFactory("j3o").solve(m).j3o
    pickled = pickle.loads(pickle.dumps(classic_results))
    for results in (cold(m), classic_results, pickled, cold(infeasible, load_solutions=False)):
        assert results.extra_info.update is None
        assert results.extra_info["update"] is None
        assert "update" in list(results.extra_info)


def test_results_pickle():
    """What has changed is in them still."""
    m, opt = served(), new()
    opt.solve(m)
    m.memory = 5.0
    results = pickle.loads(pickle.dumps(opt.solve(m)))
    assert results.extra_info.update["changes"]["parameters"] == {"count": 1, "first": ["memory"]}
    assert results.incumbent_objective == pytest.approx(15)


@pytest.mark.parametrize("make", [new, classic])
def test_with_closes(make):
    """After the block there is no instance, and nothing that was kept of it."""
    m = served()
    with make() as opt:
        opt.solve(m)
    assert opt._held is None
    with pytest.raises(RuntimeError, match=r"must call set_instance"):
        opt.update()
    opt.solve(m)


# --- the classic interface for persistent solvers ---------------------------------------------------------


def test_constraints_that_are_taken_out_stay_out():
    """As always there; until they are added again, or have been out of the model."""
    m, opt = served(), classic()
    opt.set_instance(m, symbolic_solver_labels=True)
    opt.remove_constraint(m.room)
    assert opt.solve().j3o.incumbent_objective == pytest.approx(15)
    opt.add_constraint(m.room)
    assert opt.solve().j3o.incumbent_objective == pytest.approx(9)
    opt.remove_constraint(m.room)
    m.room.deactivate()
    assert opt.solve().j3o.incumbent_objective == pytest.approx(15)
    m.room.activate()
    assert opt.solve().j3o.incumbent_objective == pytest.approx(9)


def test_a_constraint_of_the_model_comes_back_in_the_new_interface():
    """Unless new constraints are not looked for."""
    m, opt = served(), new()
    opt.set_instance(m)
    opt.remove_constraints([m.room])
    assert opt.solve(m).incumbent_objective == pytest.approx(9)
    opt.config.auto_updates.check_for_new_or_removed_constraints = False
    opt.remove_constraints([m.room])
    assert opt.solve(m).incumbent_objective == pytest.approx(15)
    opt.add_constraints([m.room])
    assert opt.solve(m).incumbent_objective == pytest.approx(9)
    with pytest.raises(ModelError, match="is not in model 'served'; add it to the model first"):
        opt.add_constraints([served().room])


def test_blocks_and_variables_come_and_go():
    """A variable that is still in a row stays; a block takes its rows and variables along."""
    m, opt = served(), classic()
    opt.set_instance(m)
    with pytest.raises(
        ValueError, match=r"^Cannot remove Var place.x\[small\] because it is still referenced"
    ):
        opt.remove_var(m.place.x["small"])
    m.sub = OffloadingBlock()
    m.sub.z = pyo.Var(bounds=(0, 4))
    m.sub.most = pyo.Constraint(expr=m.sub.z + m.route.y["large"] <= 1)
    m.gain.set_value(m.value + 0.1 * m.sub.z)
    opt.add_block(m.sub)
    opt.add_var(m.sub.z)
    assert opt.solve().j3o.incumbent_objective == pytest.approx(9)
    m.gain.set_value(m.value)
    opt.set_objective(m.gain)
    opt.remove_block(m.sub)
    m.del_component(m.sub)
    assert opt.solve().j3o.incumbent_objective == pytest.approx(9)
    m.place.x["large"].fix(0)
    opt.update_var(m.place.x["large"])
    assert opt.solve().j3o.incumbent_objective == pytest.approx(6)


def test_add_column():
    """The new variable enters the objective and the rows of Pyomo's model."""
    m, opt = served(), classic()
    opt.set_instance(m)
    m.late = pyo.Var(bounds=(0, 1))
    annotate(m, offloading=m.late)
    opt.add_column(m, m.late, 2.0, [m.room], [1.0])
    results = opt.solve()
    assert results.j3o.incumbent_objective == pytest.approx(9)
    m.memory = 4.0
    assert opt.solve().j3o.incumbent_objective == pytest.approx(11)
    with pytest.raises(RuntimeError, match="must not have been already added"):
        opt.add_column(m, m.late, 2.0, [], [])
    with pytest.raises(RuntimeError, match="must be attached to the solver model"):
        opt.add_var(served().place.x["small"])


SERVED = served()


def _texts(*models):
    """Return the objective and all rows of models as text."""
    components = (c for m in models for c in m.component_data_objects((pyo.Objective, pyo.Constraint)))
    return [str(component.expr) for component in components]


@pytest.mark.parametrize(
    ("constraints", "coefficients", "worth", "message"),
    [
        (lambda m, other: [m.room, None], [1.0, 1.0], 1.0, "add_column: None is no single constraint"),
        (lambda m, other: [m.room, m.link], [1.0, 1.0], 1.0, "add_column: link is no single constraint"),
        (lambda m, other: [m.room, m.gain], [1.0, 1.0], 1.0, "add_column: gain is no single constraint"),
        (lambda m, other: [m.room, other.room], [1.0, 1.0], 1.0, "'room' is not in model 'served'; add it"),
        (lambda m, other: [m.room], ["much"], 1.0, "the coefficient much of 'late' is no number"),
        (lambda m, other: [m.room], [1.0], None, "the coefficient None of 'late' is no number"),
        (
            lambda m, other: [m.room],
            [SERVED.route.y["small"]],
            1.0,
            r"route.y\[small\] of 'late' is no number",
        ),
    ],
)
def test_a_column_that_cannot_be_added_changes_nothing(constraints, coefficients, worth, message):
    """The error says why; neither the model nor another one is edited."""
    m, other, opt = served(), served(), classic()
    opt.set_instance(m)
    m.late = pyo.Var(bounds=(0, 1))
    annotate(m, offloading=m.late)
    before = _texts(m, other)
    with pytest.raises(ModelError, match=message):
        opt.add_column(m, m.late, worth, constraints(m, other), coefficients)
    assert _texts(m, other) == before
    opt.add_column(m, m.late, m.top, [m.room], [m.top])
    assert opt.solve().j3o.incumbent_objective == pytest.approx(9)


def test_a_column_is_added_whole_or_not_at_all(monkeypatch):
    """Whatever happens in the middle, Ctrl-C included."""
    m, opt = served(), classic()
    opt.set_instance(m)
    m.late = pyo.Var(bounds=(0, 1))
    annotate(m, offloading=m.late)
    before = _texts(m)
    as_it_is = type(m.link["small"]).to_bounded_expression

    def interrupted(constraint):
        if constraint is not m.room:
            raise KeyboardInterrupt
        return as_it_is(constraint)

    monkeypatch.setattr(type(m.link["small"]), "to_bounded_expression", interrupted)
    with pytest.raises(KeyboardInterrupt):
        opt.add_column(m, m.late, 2.0, [m.room, m.link["small"]], [1.0, 1.0])
    assert _texts(m) == before


@pytest.mark.parametrize("make", [new, classic])
def test_constraints_of_another_model_cannot_be_told_of(make):
    """Neither added nor removed; what the model has lost already may be told of, and nothing else counts."""
    m, other, opt = served(), served(), make()
    opt.set_instance(m)
    tell = [opt.add_constraints, opt.remove_constraints]
    if make is classic:
        tell += [lambda cons: opt.add_constraint(cons[-1]), lambda cons: opt.remove_constraint(cons[-1])]
    for method in tell:
        with pytest.raises(ModelError, match=r"'room' is not in model 'served'; add it to the model first"):
            method([m.room, other.room])
        for wrong in (None, m.gain, m.memory):
            with pytest.raises(ModelError, match="is no constraint; give Constraints or members of them"):
                method([m.room, wrong])
    assert not opt._held.without
    gone = m.room
    m.del_component(gone)
    opt.remove_constraints([gone])
    results = opt.solve(m)
    assert (results if make is new else results.j3o).incumbent_objective == pytest.approx(15)


def test_an_objective_that_is_set_counts_beside_another():
    """And not once it is switched off."""
    m, opt = served(), classic()
    opt.set_instance(m)
    m.other = pyo.Objective(expr=m.route.y["small"], sense=pyo.maximize)
    opt.set_objective(m.other)
    assert opt.solve().j3o.incumbent_objective == pytest.approx(1)
    m.other.deactivate()
    assert opt.solve().j3o.incumbent_objective == pytest.approx(9)
    with pytest.raises(ValueError, match="is not active; activate it"):
        opt.set_objective(m.other)


@pytest.mark.parametrize("sense", [pyo.maximize, pyo.minimize])
def test_classic_bounds_are_of_the_objective_that_is_set(sense):
    """Though another one is active, of the other sense."""
    m, opt = served(), classic()
    opt.set_instance(m)
    sign = 1 if sense == pyo.maximize else -1
    m.gain.set_value(-sign * m.gain.expr)
    m.gain.sense = pyo.minimize if sense == pyo.maximize else pyo.maximize
    m.other = pyo.Objective(expr=sign * m.route.y["small"], sense=sense)
    opt.set_objective(m.other)
    results = opt.solve()
    found = results.j3o
    assert found.incumbent_objective == pytest.approx(sign)
    ends = found.incumbent_objective, found.objective_bound
    assert (results.problem.lower_bound, results.problem.upper_bound) == ends[::sign]
    assert results.problem.sense == sense


def test_values_load_later():
    """`load_vars`, `load_duals` and `load_rc` take from the last solve, and from no older one."""
    m, opt = served(), classic()
    m.dual, m.rc = pyo.Suffix(direction=pyo.Suffix.IMPORT), pyo.Suffix(direction=pyo.Suffix.IMPORT)
    opt.set_instance(m)
    with pytest.raises(RuntimeError, match="call solve first"):
        opt.load_vars()
    opt.solve(load_solutions=False, save_results=False)
    assert m.route.y["large"].value is None
    opt.load_vars()
    opt.load_duals()
    opt.load_rc([m.route.y["large"]])
    assert m.route.y["large"].value == pytest.approx(1)
    assert m.dual[m.link["large"]] + m.rc[m.route.y["large"]] == pytest.approx(9)
    m.memory = 5.0
    opt.update()
    with pytest.raises(RuntimeError, match="call solve first"):
        opt.load_vars()
