"""j3o behind Pyomo's new interface: options, results, what is loaded, and when it stops."""

import io
import logging
import pickle
import re
import signal
import sys
import threading
import time

import highspy
import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.common.errors import ApplicationError
from pyomo.contrib.solver.common.factory import SolverFactory as NewSolverFactory
from pyomo.contrib.solver.common.results import SolutionStatus, TerminationCondition
from pyomo.contrib.solver.common.util import NoOptimalSolutionError
from solver_models import (
    BACKENDS,
    QUIET,
    classic,
    hard_to_place,
    knapsack,
    new,
    objective_value,
    optimum,
    require_kkt,
    snapshot,
    transport,
    two_servers,
    with_marks,
    worst_violation,
)

import pyomo_j3o
from pyomo_j3o import annotate, report
from pyomo_j3o.core.log import Log
from pyomo_j3o.errors import BackendError, ModelError, OptionError
from pyomo_j3o.library import small_example, taskonomy

# ---------------------------------------------------------------------------------------------
# The solver as an object
# ---------------------------------------------------------------------------------------------


def test_both_factories_know_j3o():
    """Importing the package registers one solver for both interfaces."""
    assert isinstance(new(), pyomo_j3o.J3O)
    assert isinstance(classic(), pyomo_j3o.J3O)
    assert new().available()
    assert new().version() == (0, 1, 0)
    assert not new().is_persistent()
    assert new().name == "j3o"
    with new() as opt:
        assert opt.solve(two_servers()).incumbent_objective > 0


def test_a_keyboard_interrupt_in_a_callback_keeps_the_incumbent():
    """Ctrl-C between iterations ends the solve as interrupted; the plan found so far is loaded."""

    def stop_at_two(record):
        if record.iteration == 2:
            raise KeyboardInterrupt

    m = two_servers()
    results = new(bound="lp").solve(m, callback=stop_at_two, raise_exception_on_nonoptimal_result=False)
    assert results.termination_condition == TerminationCondition.interrupted
    assert len(results.extra_info.trace) == 2
    assert results.incumbent_objective == pytest.approx(objective_value(m))
    assert results.solution_status == SolutionStatus.feasible
    assert worst_violation(m) <= 1e-6
    with pytest.raises(NoOptimalSolutionError, match=r"(?i)interrupted"):
        new(bound="lp").solve(two_servers(), callback=stop_at_two)


def stop_at_once(record):
    """End the solve after its first iteration, as Ctrl-C does."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("held", [False, True], ids=["no values", "values of an earlier solve"])
def test_an_error_says_where_the_plan_is(held):
    """As with Pyomo's own solvers nothing is loaded; what the message says can be done, and works."""
    m = two_servers()
    if held:
        for variable in m.component_data_objects(pyo.Var):
            variable.set_value(0)
    before = [variable.value for variable in m.component_data_objects(pyo.Var)]
    with pytest.raises(
        NoOptimalSolutionError, match=r"error\.results\.solution_loader\.load_solution\(\)"
    ) as caught:
        new(bound="lp").solve(m, callback=stop_at_once)
    assert [variable.value for variable in m.component_data_objects(pyo.Var)] == before
    message, results = str(caught.value), caught.value.results
    assert "not in the model's variables" in message
    assert "load it, and solve again with warm_start=True" in message
    assert results.termination_condition == TerminationCondition.interrupted
    assert results.timing_info.wall_time > 0
    assert report(m, results).summary.objective == pytest.approx(results.incumbent_objective)
    results.solution_loader.load_solution()
    assert objective_value(m) == pytest.approx(results.incumbent_objective)
    assert worst_violation(m) <= 1e-6
    again = new(bound="lp").solve(m, warm_start=True)
    assert again.incumbent_objective >= results.incumbent_objective - 1e-9
    pickle.loads(pickle.dumps(caught.value.results))


def test_with_the_plan_loaded_the_message_asks_for_no_more():
    """As the classic interface does, and the new one without the error."""
    m = two_servers()
    results = new(bound="lp").solve(m, callback=stop_at_once, raise_exception_on_nonoptimal_result=False)
    assert "from this plan, solve again with warm_start=True" in results.extra_info.message
    results = new(bound="lp").solve(
        m, callback=stop_at_once, raise_exception_on_nonoptimal_result=False, load_solutions=False
    )
    assert "from this plan, load it, and solve again with warm_start=True" in results.extra_info.message


def test_an_error_without_a_plan_speaks_of_none():
    """There is nothing to load, and the results say why."""
    m = two_servers()
    m.hopeless = pyo.Constraint(expr=sum(m.y.values()) >= 1e4)
    with pytest.raises(NoOptimalSolutionError, match="load_solutions=False to get the results") as caught:
        new().solve(m)
    assert "not in the model's variables" not in str(caught.value)
    assert caught.value.results.incumbent_objective is None


def ctrl_c():
    """Do what Ctrl-C does: send SIGINT to the main thread."""
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


@pytest.mark.timed
def test_a_real_interrupt_keeps_the_incumbent(listening):
    """Ctrl-C at any time, inside an LP as well, ends the solve as interrupted, and soon."""
    m = taskonomy(40, 4)
    opt = new()
    timer = threading.Timer(1.2, ctrl_c)
    timer.start()
    start = time.perf_counter()
    try:
        results = opt.solve(m, raise_exception_on_nonoptimal_result=False, load_solutions=False)
    finally:
        timer.cancel()
    assert results.termination_condition == TerminationCondition.interrupted
    assert time.perf_counter() - start < 4
    if results.incumbent_objective is not None:
        results.solution_loader.load_vars()
        assert worst_violation(m) <= 1e-6


@pytest.mark.timed
def test_an_interrupt_while_a_first_plan_is_sought(listening):
    """Without any plan yet, Ctrl-C is still reported as such, not as a time limit."""
    timer = threading.Timer(1.0, ctrl_c)
    timer.start()
    start = time.perf_counter()
    try:
        results = new().solve(
            hard_to_place(), time_limit=6, **QUIET
        )  # for the case that Ctrl-C has no effect
    finally:
        timer.cancel()
    assert time.perf_counter() - start < 4
    assert results.termination_condition == TerminationCondition.interrupted
    assert results.solution_status == SolutionStatus.noSolution


@pytest.mark.timed
def test_the_time_limit_binds_while_a_first_plan_is_sought():
    """Branch and bound for a first plan stops at the limit too, and says that nothing was found."""
    start = time.perf_counter()
    results = new().solve(hard_to_place(), time_limit=1.0, **QUIET)
    assert time.perf_counter() - start < 2.5
    assert results.termination_condition == TerminationCondition.maxTimeLimit
    assert results.solution_status == SolutionStatus.noSolution
    assert "time_limit" in results.extra_info.message


# ---------------------------------------------------------------------------------------------
# Feasibility on library models
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("droppable", [False, True])
@pytest.mark.parametrize("form", ["linear", "product"])
@BACKENDS
@pytest.mark.parametrize(("clients", "edges", "seed"), [(3, 1, 1), (5, 2, 2)])
def test_every_plan_satisfies_the_pyomo_model(droppable, form, lp_solver, clients, edges, seed):
    """Constraints evaluated at the loaded values hold within 1e-6; the objective is what was reported."""
    m = taskonomy(clients, edges, seed, droppable=droppable, form=form)
    if lp_solver == "gurobi" and len(list(m.component_data_objects(pyo.Var))) > 1900:
        pytest.skip("beyond the free licence of Gurobi")
    results = new(lp_solver=lp_solver).solve(m, improve=False)
    assert worst_violation(m) <= 1e-6
    assert objective_value(m) == pytest.approx(results.incumbent_objective, abs=1e-9)
    assert all(v.value is not None and not v.stale for v in m.place.x.values())
    assert all(v.value in (0.0, 1.0) for v in m.place.x.values())


@pytest.mark.parametrize("droppable", [False, True])
def test_the_linear_and_the_product_form_have_one_answer(droppable):
    """Same objective, and bounds on the right side of both."""
    linear = new(lp_solver="highs").solve(taskonomy(2, 1, droppable=droppable))
    product = new(lp_solver="highs").solve(taskonomy(2, 1, droppable=droppable, form="product"))
    assert linear.incumbent_objective == pytest.approx(product.incumbent_objective, abs=1e-6)
    assert linear.objective_bound >= product.incumbent_objective - 1e-9
    assert product.objective_bound >= linear.incumbent_objective - 1e-9


def test_the_small_example_by_hand():
    """The optimum of the library's example is found and proven."""
    for droppable in (False, True):
        for form in ("linear", "product"):
            m = small_example(droppable, form)
            results = new().solve(m)
            best = optimum(small_example(droppable))
            assert results.incumbent_objective == pytest.approx(best)
            assert worst_violation(m) <= 1e-6


# ---------------------------------------------------------------------------------------------
# Unusual models
# ---------------------------------------------------------------------------------------------


@BACKENDS
@pytest.mark.parametrize("improve", [True, False])
@pytest.mark.parametrize("bound", ["cuts", "lp", "none"])
def test_a_model_without_onloading_variables_is_an_lp(lp_solver, improve, bound):
    """A plain LP is solved to optimality, duals and all."""
    m = transport()
    results = new().solve(m, lp_solver=lp_solver, improve=improve, bound=bound)
    assert results.incumbent_objective == pytest.approx(optimum(m))
    assert worst_violation(m) <= 1e-6
    if bound != "none":
        assert results.solution_status == SolutionStatus.optimal
    require_kkt(m, results)


@BACKENDS
@pytest.mark.parametrize("bound", ["cuts", "lp", "none"])
def test_a_model_without_offloading_variables_is_a_binary_program(lp_solver, bound):
    """A pure knapsack gets a feasible plan near the optimum, and a bound beyond it."""
    for seed in range(4):
        m = knapsack(seed=seed)
        results = new().solve(m, lp_solver=lp_solver, bound=bound)
        best = optimum(m)
        assert 0.95 * best <= results.incumbent_objective <= best + 1e-9 <= results.objective_bound + 2e-9
        assert worst_violation(m) <= 1e-6
        assert results.solution_loader.get_duals() == {m.room: 0}
        assert results.solution_loader.get_reduced_costs()[m.x[0]] > 0


def test_a_constant_objective_and_no_variables():
    """An objective without variables is what it is; a variable nobody mentions is left as it was."""
    m = pyo.ConcreteModel()
    m.unused = pyo.Var(initialize=7)
    m.value = pyo.Objective(expr=3.0)
    results = new().solve(m)
    assert (results.incumbent_objective, results.objective_bound) == (3.0, 3.0)
    assert results.solution_status == SolutionStatus.optimal
    assert m.unused.value == 7


def test_everything_fixed():
    """With every variable fixed the objective is evaluated and nothing is moved."""
    m = two_servers()
    new().solve(m)
    expected = objective_value(m)
    for variable in m.component_data_objects(pyo.Var):
        variable.fix()
    before = [v.value for v in m.component_data_objects(pyo.Var)]
    results = new().solve(m)
    assert results.incumbent_objective == pytest.approx(expected)
    assert results.solution_status == SolutionStatus.optimal
    assert [v.value for v in m.component_data_objects(pyo.Var)] == before


@pytest.mark.parametrize("form", ["linear", "product"])
def test_all_onloading_variables_fixed(form):
    """Only the routing is left: the answer is that of the LP, proven."""
    m = two_servers(form=form)
    for index, variable in m.x.items():
        variable.fix(int(index in (("a", 2), ("b", 1))))
    expected = NewSolverFactory("highs").solve(m, load_solutions=False).incumbent_objective
    results = new().solve(m)
    assert results.incumbent_objective == pytest.approx(expected)
    assert results.solution_status == SolutionStatus.optimal


def test_a_sub_block_is_solved_by_itself():
    """Only the block's rows and objective count, and only its variables are loaded."""
    m = pyo.ConcreteModel()
    for name in ("one", "two"):
        m.add_component(name, pyo.Block())
        part = two_servers(form="linear")
        part.del_component("j3o_role")
        m.component(name).transfer_attributes_from(part)
        annotate(m, onloading=m.component(name).x, offloading=m.component(name).y)
    m.coupling = pyo.Constraint(expr=m.one.x["a", 1] + m.two.x["a", 1] >= 3)
    results = new().solve(m.one)
    assert results.incumbent_objective == pytest.approx(new().solve(two_servers()).incumbent_objective)
    assert worst_violation(m.one) <= 1e-6
    assert all(v.value is None for v in m.two.component_data_objects(pyo.Var))
    m.two.room["a"] = 1.8
    other = new().solve(m.two)
    assert other.incumbent_objective <= results.incumbent_objective
    m.one.gain.deactivate()
    m.two.gain.deactivate()
    m.coupling.deactivate()
    m.both = pyo.Objective(expr=m.one.gain.expr + m.two.gain.expr, sense=pyo.maximize)
    together = new().solve(m)
    assert together.incumbent_objective >= 0.975 * (results.incumbent_objective + other.incumbent_objective)


def test_variables_that_live_elsewhere():
    """A constraint may use variables of another model, and these are loaded."""
    m = two_servers()
    outer = pyo.ConcreteModel()
    outer.gain = pyo.Objective(expr=pyo.quicksum(m.x.values()) + m.y[1, "a", 1], sense=pyo.maximize)
    outer.few = pyo.Constraint(expr=pyo.quicksum(m.x.values()) <= 2)
    outer.link = pyo.Constraint(expr=m.y[1, "a", 1] <= 0.5 * m.x["a", 1])
    results = new().solve(outer)
    assert results.incumbent_objective == pytest.approx(2.5)
    assert m.x["a", 1].value == 1
    assert m.x["b", 1].value is not None


# ---------------------------------------------------------------------------------------------
# Solving again
# ---------------------------------------------------------------------------------------------


def near_optimum(opt, m):
    """Solve, require what holds of any plan and bound, and return the objective."""
    results = opt.solve(m)
    best = optimum(m)
    assert 0.97 * best <= results.incumbent_objective <= best + 1e-7 <= results.objective_bound + 2e-7
    assert worst_violation(m) <= 1e-6
    assert objective_value(m) == pytest.approx(results.incumbent_objective)
    return results.incumbent_objective


def test_solving_again_sees_every_change():
    """Fixing, unfixing, Params, deactivation, bounds, sense: each next answer is that of the new model."""
    opt, m = new(), two_servers()
    first = near_optimum(opt, m)
    used = next(v for v in m.x.values() if v.value == 1)
    used.fix(0)
    assert near_optimum(opt, m) < first
    assert used.value == 0
    used.unfix()
    assert near_optimum(opt, m) == pytest.approx(first)
    m.speed = 0.6
    slower = near_optimum(opt, m)
    assert slower < first
    m.compute.deactivate()
    assert near_optimum(opt, m) > first
    m.compute.activate()
    assert near_optimum(opt, m) == pytest.approx(slower)
    m.speed = 1.3
    m.y.setub(0.25)
    assert near_optimum(opt, m) < first
    m.y.setub(None)
    m.y[1, "a", 1].fix(0.4)
    near_optimum(opt, m)
    assert m.y[1, "a", 1].value == 0.4
    m.y[1, "a", 1].unfix()
    m.extra = pyo.Constraint(expr=m.x["a", 1] + m.x["b", 1] >= 1)
    near_optimum(opt, m)
    m.del_component("extra")
    assert near_optimum(opt, m) == pytest.approx(first)


def test_the_answer_does_not_depend_on_what_was_solved_before():
    """A solver object that solved other models gives the answer of a fresh one."""
    opt = new()
    fresh = [new().solve(m).incumbent_objective for m in (two_servers(), taskonomy(2, 1), knapsack())]
    again = [opt.solve(m).incumbent_objective for m in (two_servers(), taskonomy(2, 1), knapsack())]
    assert again == fresh
    assert [opt.solve(m).incumbent_objective for m in (two_servers(), taskonomy(2, 1), knapsack())] == fresh


def test_the_same_seed_gives_the_same_plan():
    """Two solves of one model agree to the last bit, in values and trace."""
    one, other = taskonomy(3, 1), taskonomy(3, 1)
    results = [new(seed=5, lp_solver="highs").solve(m) for m in (one, other)]
    assert results[0].incumbent_objective == results[1].incumbent_objective
    assert [r.objective for r in results[0].extra_info.trace] == [
        r.objective for r in results[1].extra_info.trace
    ]
    values = [[v.value for v in m.component_data_objects(pyo.Var)] for m in (one, other)]
    assert values[0] == values[1]


# ---------------------------------------------------------------------------------------------
# Warm start, steps, stops, callbacks
# ---------------------------------------------------------------------------------------------


def test_warm_start_begins_at_the_values_held():
    """The first iteration routes the placement that the variables hold."""
    m = two_servers()
    for index, variable in m.x.items():
        variable.set_value(int(index == ("b", 1)))
    cold = new().solve(m, load_solutions=False)
    warm = new().solve(m, warm_start=True, load_solutions=False)
    held = {("b", 1): 1}
    for index, variable in m.x.items():
        variable.fix(held.get(index, 0))
    expected = NewSolverFactory("highs").solve(m, load_solutions=False).incumbent_objective
    assert warm.extra_info.trace[0].objective == pytest.approx(expected)
    assert warm.extra_info.trace[0].onloaded == 1
    assert cold.extra_info.trace[0].onloaded > 1


def test_a_warm_start_is_never_worse_than_where_it_started():
    """From the optimum of branch and bound, j3o returns the optimum."""
    m = taskonomy(2, 1)
    best = NewSolverFactory("highs").solve(m, rel_gap=0.002).incumbent_objective
    results = new().solve(m, warm_start=True)
    assert results.incumbent_objective >= best - 1e-7
    # A placement that breaks a budget, and one without values, do no harm.
    for value in (1, None, 0.3):
        for variable in m.place.x.values():
            variable.set_value(value, skip_validation=True)
        new().solve(m, warm_start=True, improve=False)
        assert worst_violation(m) <= 1e-6


def test_a_step_of_the_readers_own():
    """onloading_step gets the structure and the prices, and its placement is routed."""
    seen = []

    def only_one(structure, prices):
        seen.append((structure.problem.n_onloading, len(prices)))
        x = np.zeros(structure.problem.n_onloading, dtype=bool)
        x[len(seen) % 3] = True
        return x

    results = new().solve(two_servers(), onloading_step=only_one, improve=False)
    assert seen[0] == (6, results_rows(two_servers()))
    assert len(seen) >= 3
    assert all(record.onloaded == 1 for record in results.extra_info.trace)
    with pytest.raises(OptionError, match="shape"):
        new().solve(two_servers(), onloading_step=lambda structure, prices: [1.0])


def results_rows(model):
    """Return the number of rows of a model."""
    return len(list(model.component_data_objects(pyo.Constraint)))


def test_a_stopping_rule_of_the_readers_own():
    """Stop sees the trace and ends the loop by returning True."""
    lengths = []

    def after_two(trace):
        lengths.append(len(trace))
        return len(trace) == 2

    results = new().solve(two_servers(), stop=after_two, improve=False, bound="lp")
    assert lengths == [1, 2]
    assert len(results.extra_info.trace) == 2
    assert results.termination_condition == TerminationCondition.convergenceCriteriaSatisfied


def test_a_callback_sees_every_record():
    """Callback is called with each record of the alternation; what it raises comes out."""
    records = []
    results = new().solve(two_servers(), callback=records.append, improve=False)
    assert records == results.extra_info.trace

    def broken(record):
        raise RuntimeError("mine")

    m = with_marks(two_servers())
    before = snapshot(m)
    with pytest.raises(RuntimeError, match="mine"):
        new().solve(m, callback=broken)
    assert snapshot(m) == before


# ---------------------------------------------------------------------------------------------
# The log
# ---------------------------------------------------------------------------------------------


def check_log(text, lp_solver):
    """Require the parts of a log."""
    assert {"highs": "HiGHS", "gurobi": "Gurobi"}[lp_solver] in text
    for head in ("Iter", "Objective", "Incumbent", "Bound", "Gap", "Time"):
        assert head in text
    assert "two servers" in text


@BACKENDS
def test_tee_to_every_kind_of_stream(lp_solver, capfd, tmp_path, caplog):
    """Standard output, a stream, a file, a logger, several at once: each gets the whole log."""
    opt = new(lp_solver=lp_solver)
    opt.solve(two_servers())
    assert capfd.readouterr().out == ""
    opt.solve(two_servers(), tee=True)
    check_log(capfd.readouterr().out, lp_solver)
    stream = io.StringIO()
    with open(tmp_path / "log", "w") as file:
        results = opt.solve(two_servers(), tee=[stream, file])
    check_log(stream.getvalue(), lp_solver)
    assert (tmp_path / "log").read_text() == stream.getvalue() == results.solver_log
    assert capfd.readouterr().out == ""
    logger = logging.getLogger("test_tee")
    with caplog.at_level(logging.INFO, logger="test_tee"):
        opt.solve(two_servers(), tee=logger)
    check_log("\n".join(record.getMessage() for record in caplog.records), lp_solver)
    opt.solve(two_servers(), tee=False)
    assert capfd.readouterr().out == ""


def test_the_log_says_how_many_rows_the_trace_has():
    """One line per iteration, with the incumbent of its record."""
    placements = iter([[1, 0, 0, 0, 1, 0], [0] * 6, [1, 0, 0, 0, 0, 0], [0] * 6])
    results = new().solve(
        two_servers(), improve=False, onloading_step=lambda structure, prices: next(placements)
    )
    assert any(record.incumbent > record.objective for record in results.extra_info.trace)
    lines = [line for line in results.solver_log.splitlines() if line[:6].strip().isdigit()]
    lines = [line for line in lines if re.search(r"s(  cycle of \d+: damped)?$", line.rstrip())]
    assert len(lines) == len(results.extra_info.trace)
    for line, record in zip(lines, results.extra_info.trace, strict=True):
        assert int(line.split()[0]) == record.iteration
        assert float(line.split()[3]) == pytest.approx(record.incumbent, rel=1e-6)


# ---------------------------------------------------------------------------------------------
# LP solvers
# ---------------------------------------------------------------------------------------------


def test_auto_takes_gurobi_if_its_licence_covers_the_size():
    """A small model goes to Gurobi; one beyond 2,000 columns to HiGHS, and the log says why."""
    pytest.importorskip("gurobipy")
    assert new().solve(two_servers()).extra_info.lp_solver == "gurobi"
    m = knapsack(2100)
    results = new().solve(m, improve=False)
    assert results.extra_info.lp_solver == "highs"
    assert "HiGHS" in results.solver_log
    assert "licence" in results.solver_log
    with pytest.raises(BackendError, match=r"lp_solver='gurobi'.*2000.*lp_solver='highs'"):
        new().solve(m, lp_solver="gurobi")


def test_without_gurobipy(monkeypatch):
    """Auto takes HiGHS and says why; "gurobi" is an error that says what to do; values stay."""
    monkeypatch.setitem(sys.modules, "gurobipy", None)
    results = new().solve(two_servers())
    assert results.extra_info.lp_solver == "highs"
    assert "gurobipy is not installed" in results.solver_log
    m = with_marks(two_servers())
    before = snapshot(m)
    with pytest.raises(BackendError, match="pip install"):
        new().solve(m, lp_solver="gurobi")
    assert snapshot(m) == before


@pytest.mark.parametrize("threads", [None, 1, 2, 4])
def test_highs_of_the_user_before_and_after(threads):
    """HiGHS run by the user in this thread, whatever its threads, neither breaks j3o nor is broken by it."""
    expected = new(lp_solver="highs").solve(two_servers()).incumbent_objective

    def by_the_user(number):
        highs = highspy.Highs()
        highs.setOptionValue("output_flag", False)
        highs.setOptionValue("threads", number)
        highs.addVars(2, np.zeros(2), np.ones(2))
        highs.changeColCost(0, -1.0)
        highs.run()
        return highs.getModelStatus() == highspy.HighsModelStatus.kOptimal

    outcome = []

    def work():
        outcome.append(by_the_user(2))
        outcome.append(new(lp_solver="highs", threads=threads).solve(two_servers()).incumbent_objective)
        outcome.append(by_the_user(2))
        outcome.append(new(lp_solver="highs", threads=threads).solve(two_servers()).incumbent_objective)

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert outcome == [True, expected, True, expected]


@BACKENDS
def test_both_lp_solvers_agree(lp_solver):
    """The bound of the relaxation does not depend on who solved it."""
    results = new(lp_solver=lp_solver, bound="lp", improve=False).solve(taskonomy(3, 1))
    other = new(lp_solver="highs", bound="lp", improve=False).solve(taskonomy(3, 1))
    assert results.objective_bound == pytest.approx(other.objective_bound, rel=1e-6)


# ---------------------------------------------------------------------------------------------
# Time limit
# ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def forty_clients():
    """Return an instance that takes several seconds."""
    return taskonomy(40, 4)


@pytest.mark.timed
@pytest.mark.parametrize("limit", [0.01, 0.3, 1.5])
def test_the_time_limit_binds(forty_clients, limit):
    """However small, the solve ends soon after it, with whatever plan and bound there are."""
    start = time.perf_counter()
    results = new().solve(forty_clients, time_limit=limit, **QUIET)
    assert time.perf_counter() - start < limit + 1.0
    if results.extra_info.relative_gap > 1e-4:
        assert results.termination_condition == TerminationCondition.maxTimeLimit
    if results.incumbent_objective is None:
        assert results.solution_status == SolutionStatus.noSolution
    else:
        results.solution_loader.load_vars()
        assert worst_violation(forty_clients) <= 1e-6


def test_a_limit_that_is_not_reached_is_not_reported():
    """A generous limit changes nothing."""
    one, other = new().solve(two_servers()), new().solve(two_servers(), time_limit=100)
    assert one.incumbent_objective == other.incumbent_objective
    assert one.termination_condition == other.termination_condition


# ---------------------------------------------------------------------------------------------
# Annotation and other solvers
# ---------------------------------------------------------------------------------------------


def test_a_model_without_marks_is_solved_with_one_notice(caplog):
    """Binaries are onloading, continuous variables offloading; strict=True forbids it."""
    m = two_servers()
    expected = new().solve(m).incumbent_objective
    m.del_component("j3o_role")
    with caplog.at_level(logging.INFO, logger="pyomo_j3o"):
        results = new().solve(m)
    assert results.incumbent_objective == expected
    notices = [r for r in caplog.records if r.name.startswith("pyomo_j3o")]
    assert len(notices) == 1
    assert "annotate" in notices[0].getMessage()
    with pytest.raises(ModelError, match="annotate"):
        new().solve(m, strict=True)


@pytest.mark.parametrize(
    "name", ["highs", "appsi_highs", "gurobi_direct", "gurobi_persistent", "scip_direct"]
)
def test_every_other_solver_still_takes_the_annotated_model(name):
    """The marks and a plan of j3o are no obstacle to any other solver."""
    m = two_servers()
    results = new().solve(m)
    try:
        opt = pyo.SolverFactory(name) if name == "appsi_highs" else NewSolverFactory(name)
        available = opt is not None and opt.available()
    except ApplicationError:
        available = False
    if not available:
        pytest.skip(f"{name} is not available")
    opt.solve(m)
    best = objective_value(m)
    assert best >= results.incumbent_objective - 1e-6
    assert best <= results.objective_bound + 1e-6
    assert new().solve(m, warm_start=True).incumbent_objective == pytest.approx(best)


def test_a_plan_that_only_the_improvement_finds_has_a_line_in_the_log():
    """No iteration had a plan: the line of the first one says when there was one, and how good."""
    out = io.StringIO()
    results = new().solve(
        taskonomy(clients=3, edges=1, seed=0),
        max_iterations=1,
        tee=out,
        raise_exception_on_nonoptimal_result=False,
    )
    (line,) = [line for line in out.getvalue().splitlines() if line.startswith(" first")]
    assert float(line.split()[1]) <= results.incumbent_objective * (1 + 1e-7)
    assert "infeasible" in out.getvalue()


def test_numbers_of_the_log_keep_their_zeros():
    """All have eight digits, so that the columns do not look ragged."""
    out = io.StringIO()
    Log([out]).bound(0.25, 1.0)
    assert "0.25000000" in out.getvalue()


def test_the_log_counts_one_in_the_singular():
    """A model of one row and one offloading variable is not one of "1 rows"."""
    m, log = pyo.ConcreteModel(), io.StringIO()
    m.x, m.y = pyo.Var(domain=pyo.Binary), pyo.Var(bounds=(0, 1))
    m.link = pyo.Constraint(expr=m.y <= m.x)
    m.gain = pyo.Objective(expr=m.y, sense=pyo.maximize)
    annotate(m, onloading=m.x, offloading=m.y)
    new(tee=log).solve(m)
    assert "\n1 onloading and 1 offloading variable, 1 row, 2 nonzeros\n" in log.getvalue()
