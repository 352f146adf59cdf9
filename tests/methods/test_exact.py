"""The exact solver: Gurobi, HiGHS and SCIP agree with one another and with enumeration."""

import functools
import io
import pickle
import re
import subprocess
import sys
import time
from dataclasses import replace

import exact_models
import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.contrib.solver.common.results import SolutionStatus, TerminationCondition
from pyomo.contrib.solver.common.util import NoOptimalSolutionError
from pyomo.gdp import Disjunct, Disjunction
from random_families import family_case
from random_problems import SHAPES, as_pyomo, by_placement, random_problem
from scipy import sparse
from solver_models import (
    change_params,
    hard_to_place,
    infeasible,
    knapsack,
    objective_value,
    snapshot,
    start_params,
    two_servers,
    worst_violation,
)

from pyomo_j3o import annotate, library, mip
from pyomo_j3o.errors import BackendError, ModelError, OptionError
from pyomo_j3o.lp import LPStatus
from pyomo_j3o.lp import gurobi as gurobi_lp
from pyomo_j3o.methods import exact as exact_module
from pyomo_j3o.methods.incumbent import Incumbent
from pyomo_j3o.methods.instance import Instance, mip_model
from pyomo_j3o.methods.mip_parts import MIPParts
from pyomo_j3o.mip import GurobiMIP, LicenceError
from pyomo_j3o.modeling.compiler import compile_model
from pyomo_j3o.presolve.forms import forms_of

MIP_SOLVERS = ("gurobi", "highs", "scip")


def exact(**options):
    """Return the exact solver behind Pyomo's new interface, told not to raise."""
    return SolverFactory(
        "j3o.exact", raise_exception_on_nonoptimal_result=False, load_solutions=False, **options
    )


@functools.cache
def drawn(seed):
    """Return a random problem, of either sense, and its optimum by enumeration."""
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, SHAPES[seed % len(SHAPES)], sense=1 if rng.random() < 0.5 else -1)
    return problem, problem.sense * by_placement(problem)[1].max()


@pytest.mark.parametrize("mip_solver", MIP_SOLVERS)
@pytest.mark.parametrize("seed", range(72))
def test_all_solvers_agree_with_enumeration(seed, mip_solver):
    """On random models of every shape, with products or not, of either sense: the optimum, and its proof."""
    problem, best = drawn(seed)
    model = as_pyomo(problem)
    start = ("auto", "j3o", "none")[seed // len(SHAPES) % 3]
    results = exact(mip_solver=mip_solver, mip_start=start, rel_gap=0).solve(model)
    if np.isinf(best):
        expected = problem.sense * best < 0
        assert results.termination_condition == (
            TerminationCondition.provenInfeasible if expected else TerminationCondition.unbounded
        )
        assert results.incumbent_objective is None
        return
    assert results.solution_status == SolutionStatus.optimal
    slack = 1e-6 * max(1.0, abs(best))
    assert results.incumbent_objective == pytest.approx(best, abs=slack)
    assert results.objective_bound == pytest.approx(best, abs=slack)
    results.solution_loader.load_vars()
    assert worst_violation(model) <= 1e-6


# --- the start --------------------------------------------------------------------------------------------


def taskonomy(clients=3, edges=1, seed=1, **options):
    """Return a model of the library: small, but too large to be solved without a start."""
    return library.taskonomy(clients=clients, edges=edges, seed=seed, **options)


@pytest.mark.parametrize("mip_solver", ["highs", "scip"])
def test_j3o_s_plan_is_the_start(mip_solver):
    """By default the plan that j3o finds is handed over: log and results say so, and its steps are there."""
    model, log = taskonomy(), io.StringIO()
    alone = SolverFactory("j3o").solve(model, lp_solver="highs", load_solutions=False)
    results = exact(mip_solver=mip_solver, lp_solver="highs", tee=log).solve(model)
    info = results.extra_info
    assert info.mip_start_objective == pytest.approx(alone.incumbent_objective, rel=1e-6)
    assert f"MIP start: objective {info.mip_start_objective:.8g}" in log.getvalue()
    assert [step.name for step in info.improvement]
    assert info.trace[0].iteration == 1
    assert info.trace[-1].incumbent == pytest.approx(results.incumbent_objective)
    incumbents = [record.incumbent for record in info.trace]
    assert incumbents == sorted(incumbents)
    if mip_solver == "highs":
        assert "MIP start solution is feasible" in log.getvalue()
    else:
        assert "given by solution candidate storage" in log.getvalue()


def test_a_small_model_is_solved_without_a_start_unless_asked():
    """`mip_start` is "auto", "j3o" or "none"."""
    model = two_servers()
    for mip_start, expected in (("auto", False), ("none", False), ("j3o", True)):
        results = exact(mip_start=mip_start).solve(model)
        assert (results.extra_info.mip_start_objective is not None) == expected
        assert results.solution_status == SolutionStatus.optimal
    large = exact(mip_start="none", mip_solver="highs").solve(taskonomy())
    assert large.extra_info.mip_start_objective is None
    assert len(large.extra_info.trace) == 1


def test_warm_start_hands_over_what_the_variables_hold():
    """The placement held is the start, whatever its worth; one that cannot be routed is none."""
    model = taskonomy(droppable=True)
    for variable in model.component_data_objects(pyo.Var):
        if variable.is_binary():
            variable.set_value(0)
    results = exact(mip_solver="highs").solve(model, warm_start=True)
    fixed = taskonomy(droppable=True)
    for variable in fixed.component_data_objects(pyo.Var):
        if variable.is_binary():
            variable.fix(0)
    of_nothing = SolverFactory("highs").solve(fixed, load_solutions=False).incumbent_objective
    assert results.extra_info.mip_start_objective == pytest.approx(of_nothing)
    assert results.solution_status == SolutionStatus.optimal
    for variable in model.component_data_objects(pyo.Var):
        if variable.is_binary():
            variable.set_value(1)
    results = exact(mip_solver="highs").solve(model, warm_start=True)
    assert results.extra_info.mip_start_objective is None
    assert results.solution_status == SolutionStatus.optimal


def test_without_values_a_warm_start_is_that_of_j3o():
    """As in the heuristic, there is nothing to warm-start from."""
    results = exact(mip_solver="highs").solve(taskonomy(), warm_start=True)
    assert results.extra_info.mip_start_objective is not None


# --- independent parts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["linear", "product"])
@pytest.mark.parametrize("threads", [None, 1, 2])
def test_parts_are_solved_apart(form, threads):
    """What shares no row and no product is solved apart; the whole is what a MIP solver says of the whole."""
    model, log = taskonomy(clients=4, edges=2, form=form), io.StringIO()
    results = exact(mip_solver="highs", threads=threads, tee=log, rel_gap=1e-6).solve(model)
    assert "HiGHS on part 2 of 2" in log.getvalue()
    whole = SolverFactory("highs").solve(taskonomy(clients=4, edges=2), rel_gap=1e-6, load_solutions=False)
    assert results.incumbent_objective == pytest.approx(whole.incumbent_objective, rel=2e-6)
    assert results.objective_bound == pytest.approx(whole.objective_bound, rel=2e-6)
    assert results.extra_info.relative_gap <= 1e-6


def test_the_gap_is_that_of_the_whole():
    """Parts whose objectives nearly cancel are each within the gap, the whole is not: they are solved on."""
    one, other = knapsack(45, seed=1), knapsack(45, seed=2)
    far = 0.9999 * SolverFactory("highs").solve(one, load_solutions=False).incumbent_objective
    both = pyo.ConcreteModel()
    both.one, both.other = one, other
    values = [next(part.component_data_objects(pyo.Objective)) for part in (one, other)]
    for value in values:
        value.deactivate()
    both.worth = pyo.Objective(expr=values[0].expr + values[1].expr - 2 * far, sense=pyo.maximize)
    both.pad = pyo.Var(range(400), bounds=(0, 1))  # beyond the size at which parts are put together
    both.rows = pyo.Constraint(range(400), rule=lambda m, i: m.pad[i] <= one.x[i % 45])
    both.also = pyo.Var(range(400), bounds=(0, 1))
    both.more = pyo.Constraint(range(400), rule=lambda m, i: m.also[i] <= other.x[i % 45])
    annotate(both, offloading=[both.pad, both.also])
    results = exact(mip_solver="highs", rel_gap=0.02, mip_start="none").solve(both)
    assert results.extra_info.relative_gap <= 0.02
    best = exact(mip_solver="highs", rel_gap=0).solve(both).incumbent_objective
    assert results.objective_bound >= best - 1e-6 >= results.incumbent_objective - 2e-6


def test_time_left_over_goes_to_the_part_that_needs_it(monkeypatch):
    """A part that ran out of its share of the time goes on with what the others did not need."""
    solve, calls = mip.HighsMIP.solve, []

    def out_of_time_at_first(self, model, *arguments):
        calls.append(model)
        if len(calls) == 1:
            return mip.MIPSolution.without_values(LPStatus.TIME_LIMIT)
        return solve(self, model, *arguments)

    monkeypatch.setattr(mip.HighsMIP, "solve", out_of_time_at_first)
    model = taskonomy(clients=4, edges=2)
    results = exact(mip_solver="highs", mip_start="none", time_limit=120).solve(model)
    assert results.solution_status == SolutionStatus.optimal
    assert len(calls) == 3
    assert calls[2] is calls[0]


# --- who solves it ----------------------------------------------------------------------------------------


def unbounded_product(n=1):
    """Products of x with y that have no upper bound: max x y - x - y/10 with x y <= 3."""
    m = pyo.ConcreteModel("odd")
    m.x = pyo.Var(range(n), domain=pyo.Binary)
    m.y = pyo.Var(range(n), bounds=(0, None))
    m.budget = pyo.Constraint(expr=sum(m.x[i] * m.y[i] for i in m.x) <= 3)
    m.least = pyo.Constraint(expr=sum(m.y[i] for i in m.x) >= 0)
    m.worth = pyo.Objective(expr=sum(m.x[i] * (m.y[i] - 1) - 0.1 * m.y[i] for i in m.x), sense=pyo.maximize)
    annotate(m, onloading=m.x, offloading=m.y)
    return m


def test_a_product_without_bound_goes_to_those_who_take_it(monkeypatch):
    """HiGHS names the variable; SCIP and Gurobi solve it; auto finds one of them, and says why."""
    with pytest.raises(ModelError, match=r"'y\[0\]'.*upper.*scip"):
        exact(mip_solver="highs").solve(unbounded_product())
    for mip_solver in ("gurobi", "scip"):
        results = exact(mip_solver=mip_solver).solve(unbounded_product())
        assert results.incumbent_objective == pytest.approx(1.7, abs=1e-5)
        assert results.extra_info.mip_solver == mip_solver
    monkeypatch.setattr(gurobi_lp, "unavailable", lambda *size: "no licence")
    results = exact().solve(unbounded_product())
    assert results.extra_info.mip_solver == "scip"
    assert "no licence" in results.extra_info.mip_solver_choice
    assert "'y[0]'" in results.extra_info.mip_solver_choice
    monkeypatch.setattr(mip.scip, "unavailable", lambda: "pyscipopt is not installed")
    with pytest.raises(BackendError, match=r"'y\[0\]'.*no licence.*pyscipopt"):
        exact().solve(unbounded_product())


def test_a_licence_that_ends_in_the_middle(monkeypatch):
    """Under auto the next solver takes over, as log and results say; asked for by name, it is an error."""

    def refuse(self, *arguments, **keywords):
        raise LicenceError("Model too large for size-limited license")

    monkeypatch.setattr(GurobiMIP, "solve", refuse)
    for model in (two_servers(), two_servers(form="product")):
        log = io.StringIO()
        results = exact(tee=log).solve(model)
        assert results.solution_status == SolutionStatus.optimal
        assert results.extra_info.mip_solver == "highs"
        assert "its licence turned out too small" in results.extra_info.mip_solver_choice
        assert "Model too large" in log.getvalue()
        before = snapshot(model)
        with pytest.raises(BackendError, match="license"):
            exact(mip_solver="gurobi").solve(model)
        assert snapshot(model) == before


def test_a_start_that_an_lp_solver_fails_on_is_left_out(monkeypatch):
    """The MIP solver needs none: it proves the same optimum, and the log says what failed."""

    def fail(*arguments, **keywords):
        raise BackendError("HiGHS stopped with status 'Unknown'")

    expected = exact().solve(two_servers()).incumbent_objective
    monkeypatch.setattr(exact_module.baj3o, "solve", fail)
    results = exact(mip_start="j3o").solve(two_servers())
    assert results.solution_status == SolutionStatus.optimal
    assert results.incumbent_objective == pytest.approx(expected)
    assert "J3O's start is left out: HiGHS stopped" in results.solver_log


def test_a_solver_that_is_not_there(monkeypatch):
    """Misspelt, not installed, out of licence: one clear sentence each, and the model is left alone."""
    model = two_servers()
    before = snapshot(model)
    with pytest.raises(OptionError, match=r"mip_solver='hihgs'.*'highs'"):
        exact(mip_solver="hihgs")
    monkeypatch.setattr(mip.scip, "unavailable", lambda: "pyscipopt is not installed")
    with pytest.raises(BackendError, match="pip install"):
        exact(mip_solver="scip").solve(model)
    with pytest.raises(BackendError, match="pip install"):
        SolverFactory("j3o", mip_solver="scip").solve(model)
    monkeypatch.setattr(gurobi_lp, "unavailable", lambda *size: "the licence stops at 2000 columns")
    with pytest.raises(BackendError, match="licence stops"):
        exact(mip_solver="gurobi").solve(model)
    assert snapshot(model) == before


@pytest.mark.parametrize(
    ("mip_solver", "options"),
    [("gurobi", {"NodeLimit": 0}), ("highs", {"mip_max_nodes": 0}), ("scip", {"limits/totalnodes": 1})],
)
def test_options_reach_the_mip_solver(mip_solver, options):
    """A limit in `solver_options` ends it, with a valid bound; an unknown one is an error."""
    model = knapsack(40, seed=5)
    model.second = pyo.Constraint(expr=sum((7 * i % 23 + 5) * model.x[i] for i in model.x) <= 150)
    results = exact(mip_solver=mip_solver, rel_gap=0).solve(model, solver_options=options)
    assert results.termination_condition in (
        TerminationCondition.iterationLimit,
        TerminationCondition.convergenceCriteriaSatisfied,  # the root was enough
    )
    best = SolverFactory("highs").solve(model, rel_gap=0, load_solutions=False).incumbent_objective
    assert results.objective_bound >= best - 1e-6
    with pytest.raises(OptionError, match="nonsense"):
        exact(mip_solver=mip_solver).solve(model, solver_options={"nonsense": 1})


@pytest.mark.timed
@pytest.mark.parametrize(("mip_solver", "option"), [("highs", "time_limit"), ("scip", "limits/time")])
def test_a_time_limit_of_the_mip_solver_s_own_ends_the_solve(mip_solver, option):
    """It ends after that time, also where the solve as a whole has no limit."""
    start = time.perf_counter()
    results = exact(mip_solver=mip_solver, mip_start="none").solve(
        hard_to_place(), solver_options={option: 0.5}
    )
    assert time.perf_counter() - start < 4.0
    assert results.termination_condition == TerminationCondition.maxTimeLimit


# --- how it ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mip_solver", MIP_SOLVERS)
@pytest.mark.parametrize("mip_start", ["j3o", "none"])
def test_infeasible_and_unbounded_models(mip_solver, mip_start):
    """Both are said in one sentence with the model's name, and change nothing."""
    solver = SolverFactory("j3o.exact", mip_solver=mip_solver, mip_start=mip_start)
    for x_alone in (True, False):
        model = infeasible(x_alone)
        before = snapshot(model)
        with pytest.raises(NoOptimalSolutionError, match="infeasible"):
            solver.solve(model)
        assert snapshot(model) == before
    model = two_servers()
    model.ray = pyo.Var(bounds=(0, None))
    annotate(model, offloading=model.ray)
    objective = next(model.component_data_objects(pyo.Objective, active=True))
    objective.set_value(objective.expr + model.ray)
    with pytest.raises(NoOptimalSolutionError, match=r"unbounded.*'ray'"):
        solver.solve(model)


@pytest.mark.timed
@pytest.mark.parametrize("mip_solver", ["highs", "scip"])
def test_time_limit_before_the_first_plan(mip_solver):
    """It says that no plan was found, not that there is none, keeps to its time, and loads nothing."""
    model = hard_to_place()
    before = snapshot(model)
    start = time.perf_counter()
    with pytest.raises(NoOptimalSolutionError, match=r"No plan.*nor proven.*time_limit"):
        SolverFactory("j3o.exact").solve(model, time_limit=1.0, mip_solver=mip_solver)
    assert time.perf_counter() - start < 4.0
    assert snapshot(model) == before


@pytest.mark.timed
@pytest.mark.parametrize("mip_solver", ["highs", "scip"])
@pytest.mark.parametrize("seconds", [0.0, 0.3, 1.5])
def test_time_limit_holds_with_a_plan(mip_solver, seconds):
    """The time limit binds in the start and in the MIP solver; plan and bound are valid."""
    model = taskonomy(clients=10)
    start = time.perf_counter()
    results = exact(mip_solver=mip_solver).solve(model, time_limit=seconds, rel_gap=0)
    assert time.perf_counter() - start < seconds + 2.0
    assert results.termination_condition == TerminationCondition.maxTimeLimit
    if results.incumbent_objective is not None:
        assert results.incumbent_objective <= results.objective_bound + 1e-9
        results.solution_loader.load_vars()
        assert worst_violation(model) <= 1e-6


@pytest.mark.timed
@pytest.mark.parametrize(
    ("mip_solver", "threads", "edges"), [("highs", 1, 1), ("highs", 2, 2), ("scip", 1, 1)]
)
def test_ctrl_c_returns_the_best_plan(mip_solver, threads, edges):
    """SIGINT ends the exact solver soon, with the best plan, its bound, and the word interrupted."""
    code = f"""
import os, signal, threading, time
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo_j3o import library
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs this in the background ignores it
model = library.taskonomy(clients=20, edges={edges}, seed=1)
solver = SolverFactory("j3o.exact", mip_solver={mip_solver!r}, threads={threads}, mip_start="none")
def interrupt():
    time.sleep(3)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
start = time.time()
results = solver.solve(model, rel_gap=0, raise_exception_on_nonoptimal_result=False)
print(results.termination_condition.name, results.incumbent_objective <= results.objective_bound < 2,
      time.time() - start < 7)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.stdout.split() == ["interrupted", "True", "True"], done.stdout + done.stderr


def test_log_streams_in_the_sense_of_the_user():
    """The MIP solver's own lines stand in the log, a maximised objective with its own sign."""
    for sense, sign in ((pyo.maximize, ""), (pyo.minimize, "-")):
        log = io.StringIO()
        model = two_servers(sense=sense)
        results = exact(mip_solver="highs", tee=log).solve(model)
        assert "Solving report" in log.getvalue()
        assert f"Primal bound      {sign}" in log.getvalue()
        value = next(line for line in log.getvalue().split("\n") if "Primal bound" in line).split()[-1]
        assert float(value) == pytest.approx(results.incumbent_objective)
        assert (float(value) < 0) == (sense == pyo.minimize)
        assert results.solver_log in log.getvalue()


# --- the interface ----------------------------------------------------------------------------------------


def test_three_ways_to_ask_for_it():
    """Alias, option at construction, option of one call; other calls stay as they were."""
    model = two_servers()
    solvers = pyo.SolverFactory("j3o.exact"), pyo.SolverFactory("j3o", algorithm="exact")
    for solver in solvers:
        assert solver.solve(model).j3o.extra_info.algorithm == "exact"
    plain = pyo.SolverFactory("j3o")
    assert plain.solve(model, algorithm="exact").j3o.extra_info.algorithm == "exact"
    assert plain.solve(model).j3o.extra_info.algorithm == "j3o"
    assert pyo.SolverFactory("j3o.exact").solve(model, algorithm="j3o").j3o.extra_info.algorithm == "j3o"
    assert solvers[0].name == "j3o.exact"
    assert solvers[0].available()


def test_results_options_and_solver_pickle():
    """As with the heuristic."""
    solver = SolverFactory("j3o.exact", mip_solver="highs")
    results = solver.solve(two_servers())
    again = pickle.loads(pickle.dumps(solver))
    assert again.config.algorithm == "exact"
    assert again.config.mip_solver == "highs"
    kept = pickle.loads(pickle.dumps(results))
    assert kept.extra_info.mip_solver == "highs"
    assert kept.extra_info.nodes >= 0
    assert kept.timing_info.exact > 0
    assert again.solve(two_servers()).incumbent_objective == results.incumbent_objective


@pytest.mark.parametrize("mip_solver", MIP_SOLVERS)
@pytest.mark.parametrize("form", ["linear", "product"])
@pytest.mark.parametrize("sense", [pyo.maximize, pyo.minimize])
def test_duals_are_those_of_the_lp_with_x_fixed(form, sense, mip_solver):
    """Shadow prices and reduced costs of y are those that Pyomo's HiGHS gives with the placement fixed."""
    model = two_servers(sense=sense, form=form)
    model.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)
    SolverFactory("j3o.exact", mip_solver=mip_solver).solve(model)
    fixed = two_servers(sense=sense, form="linear")
    for mine, other in zip(
        model.component_data_objects(pyo.Var), fixed.component_data_objects(pyo.Var), strict=True
    ):
        if mine.is_binary():
            other.fix(round(mine.value))
    theirs = SolverFactory("highs").solve(fixed)
    assert theirs.incumbent_objective == pytest.approx(objective_value(model))
    sign = 1 if sense == pyo.maximize else -1
    for constraint, dual in model.dual.items():
        if constraint.upper is not None and constraint.lower is None:
            assert sign * dual >= -1e-9  # more room never hurts


@pytest.mark.parametrize("command", ["j3o.exact", "j3o"])
def test_the_pyomo_command(command, tmp_path):
    """`pyomo solve --solver=j3o.exact` works as `--solver=j3o` does."""
    path = tmp_path / "model.py"
    path.write_text(
        "from pyomo_j3o import library\n\n"
        "def pyomo_create_model(options=None, model_options=None):\n    return library.small_example()\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pyomo.scripting.pyomo_main", "solve", f"--solver={command}", str(path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "optimal" in (tmp_path / "results.yml").read_text().lower() or "0.84" in done.stdout


def test_gdpopt_takes_it_as_its_mip_solver():
    """Logic-based outer approximation on an annotated disjunctive model, linear, finds its optimum."""
    m = pyo.ConcreteModel()
    m.sites = pyo.RangeSet(3)
    m.y = pyo.Var(m.sites, bounds=(0, 10))
    m.cost = pyo.Var(m.sites, bounds=(0, 10))
    m.open, m.shut = Disjunct(m.sites), Disjunct(m.sites)
    for i, capacity, charge in ((1, 4, 5), (2, 7, 8), (3, 3, 3)):
        m.open[i].capacity = pyo.Constraint(expr=m.y[i] <= capacity)
        m.open[i].charge = pyo.Constraint(expr=m.cost[i] >= charge)
        m.shut[i].nothing = pyo.Constraint(expr=m.y[i] == 0)
    m.either = Disjunction(m.sites, rule=lambda m, i: [m.open[i], m.shut[i]])
    m.demand = pyo.Constraint(expr=sum(m.y.values()) >= 8)
    m.worth = pyo.Objective(expr=sum(m.cost.values()) + 0.1 * sum(m.y.values()))
    indicators = [d.binary_indicator_var for d in (*m.open.values(), *m.shut.values())]
    annotate(m, onloading=indicators, offloading=[m.y, m.cost])
    for strategy in ("gdpopt.loa", "gdpopt.enumerate"):
        results = pyo.SolverFactory(strategy).solve(m, mip_solver="j3o.exact")
        assert str(results.solver.termination_condition) == "optimal"
        assert pyo.value(m.worth) == pytest.approx(11.8)  # sites 2 and 3


# --- what may be said of a gap ----------------------------------------------------------------------------


@pytest.mark.parametrize("mip_solver", MIP_SOLVERS)
def test_the_constant_of_the_objective_counts(mip_solver):
    """A gap of 1 % of 27,549 is not one of 1 % of -1: the solve goes on until it is."""
    model = knapsack(30, seed=3)
    objective = next(model.component_data_objects(pyo.Objective))
    best = SolverFactory("highs").solve(model, rel_gap=0, load_solutions=False).incumbent_objective
    objective.set_value(objective.expr - best - 0.5)
    results = exact(mip_solver=mip_solver, mip_start="none", rel_gap=0.05).solve(model)
    assert results.incumbent_objective == pytest.approx(-0.5)
    assert results.extra_info.relative_gap <= 0.05
    assert results.solution_status == SolutionStatus.optimal


@pytest.mark.parametrize(
    ("mip_solver", "options"),
    [
        ("gurobi", {"MIPGap": 0.9, "Heuristics": 0}),
        ("highs", {"mip_rel_gap": 0.9}),
        ("scip", {"limits/gap": 0.9}),
    ],
)
def test_a_gap_of_the_user_s_own_is_not_called_optimal(mip_solver, options):
    """What `solver_options` lets pass counts as optimal only if it is within `rel_gap`."""
    model = knapsack(40, seed=5)
    for i, variable in enumerate(model.component_data_objects(pyo.Var)):
        model.add_component(f"row{i}", pyo.Constraint(expr=variable + variable <= 2))
    model.second = pyo.Constraint(expr=sum((7 * i % 23 + 5) * model.x[i] for i in model.x) <= 150)
    results = exact(mip_solver=mip_solver, mip_start="none", solver_options=options).solve(model)
    closed = results.extra_info.relative_gap <= 1e-4
    assert (results.solution_status == SolutionStatus.optimal) == closed
    assert ("Optimal" in results.extra_info.message) == closed


@pytest.mark.parametrize("mip_solver", ["gurobi", "scip", "auto"])
def test_an_unbounded_product_is_said_to_be(mip_solver):
    """A product may grow without end where no row holds it: no plan at infinity is returned."""
    model = pyo.ConcreteModel("ray")
    model.x, model.y = pyo.Var(domain=pyo.Binary), pyo.Var(bounds=(0, None))
    model.z = pyo.Var(bounds=(0, 1))
    model.row = pyo.Constraint(expr=3 * model.x * model.z - 2 * model.x * model.y + 6 * model.x <= 4)
    model.worth = pyo.Objective(
        expr=8 * model.y + 2 * model.z + 2 * model.x - 2 * model.x * model.z, sense=pyo.maximize
    )
    annotate(model, onloading=model.x, offloading=[model.y, model.z])
    results = exact(mip_solver=mip_solver).solve(model)
    assert results.termination_condition == TerminationCondition.unbounded
    assert results.incumbent_objective is None


@pytest.mark.parametrize("mip_solver", MIP_SOLVERS)
def test_models_of_nothing(mip_solver):
    """No variable, or none that is free, is an optimum, too."""
    model = pyo.ConcreteModel()
    model.worth = pyo.Objective(expr=3.0)
    assert exact(mip_solver=mip_solver).solve(model).incumbent_objective == 3.0
    model = two_servers()
    for variable in model.component_data_objects(pyo.Var):
        variable.fix(0)
    results = exact(mip_solver=mip_solver).solve(model)
    assert results.termination_condition in (
        TerminationCondition.convergenceCriteriaSatisfied,
        TerminationCondition.provenInfeasible,
    )


@pytest.mark.parametrize("mip_solver", MIP_SOLVERS)
def test_a_huge_big_m(mip_solver):
    """A fraction of x that an M of 1e7 would let through is not taken for a plan."""
    model = pyo.ConcreteModel("big")
    model.x = pyo.Var(range(3), domain=pyo.Binary)
    model.y = pyo.Var(range(3), bounds=(0, 2))
    model.y[1].setub(None)
    model.opens = pyo.Constraint(range(3), rule=lambda m, i: m.y[i] <= 2 * m.x[i])
    model.count = pyo.Constraint(expr=sum(model.x.values()) <= 2)
    model.loose = pyo.Constraint(range(3), rule=lambda m, i: m.y[i] <= 1e7 * m.x[i])
    model.first = pyo.Constraint(expr=sum(model.y.values()) <= 1e7 * model.x[0])
    model.worth = pyo.Objective(
        expr=sum((i + 1) * model.y[i] for i in range(3)) - 2 * sum(model.x.values()), sense=pyo.maximize
    )
    annotate(model, onloading=model.x, offloading=model.y)
    results = exact(mip_solver=mip_solver, mip_start="none").solve(model)
    assert results.incumbent_objective == pytest.approx(4)  # x0 and x2 open, y0 = y2 = 2
    assert results.objective_bound == pytest.approx(4)


def test_available_says_whether_the_solver_that_is_asked_for_is_there(monkeypatch):
    """With a solver named that is missing, `available()` is false, in both interfaces."""
    assert exact(mip_solver="scip").available()
    monkeypatch.setattr(mip.scip, "unavailable", lambda: "pyscipopt is not installed")
    assert not exact(mip_solver="scip").available()
    assert not pyo.SolverFactory("j3o.exact", mip_solver="scip").available(exception_flag=False)
    assert exact().available()
    monkeypatch.setattr(gurobi_lp, "unavailable", lambda *size: "gurobipy is not installed")
    assert not exact(mip_solver="gurobi").available()


def test_an_option_of_another_name_is_recognised():
    """A typing mistake, or what the option is called elsewhere, leads to the right name."""
    for given, meant in (("mipgap", "rel_gap"), ("mip_slover", "mip_solver"), ("time_limt", "time_limit")):
        with pytest.raises(OptionError, match=f"'{given}'.*did you mean '{meant}'"):
            exact(**{given: 1})


@pytest.mark.parametrize(("owner", "at"), [(MIPParts, "_state_of"), (Incumbent, "_route")])
def test_an_interrupt_after_the_start_keeps_its_plan(monkeypatch, owner, at):
    """Ctrl-C between the start and the MIP solver, or after it, loses nothing."""

    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, at, interrupt)
    results = exact(mip_solver="highs", mip_start="j3o").solve(taskonomy())
    assert results.incumbent_objective is not None
    assert results.incumbent_objective <= results.objective_bound + 1e-9
    if owner is MIPParts:
        assert results.termination_condition == TerminationCondition.interrupted


def test_a_start_that_contradicts_infeasible_wins(monkeypatch):
    """If a MIP solver calls a model infeasible that has a plan, nothing counts as proven."""
    monkeypatch.setattr(
        mip.HighsMIP, "solve", lambda *given, **named: mip.MIPSolution.without_values(LPStatus.INFEASIBLE)
    )
    results = exact(mip_solver="highs", mip_start="j3o", bound="none").solve(two_servers())
    assert results.incumbent_objective is not None
    assert results.solution_status == SolutionStatus.feasible


# --- what the solver gets ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "build",
    [
        lambda: library.facility_location(5, 9, 0),
        lambda: exact_models.unit_commitment(2, 5, 0),
        lambda: exact_models.multicommodity(5, 3, 1),
    ],
    ids=["flows", "mostly placement", "sums in sums"],
)
def test_highs_gets_the_model_that_pyomo_s_own_interface_would_hand_over(monkeypatch, build):
    """Without a start, rows, columns, their order and their bounds are those of Pyomo's `highs`."""
    handed_over, solve = [], mip.HighsMIP.solve

    def keep(self, model, limits, start, write):
        handed_over.append((model, start))
        return solve(self, model, limits, start, write)

    monkeypatch.setattr(mip.HighsMIP, "solve", keep)
    model = build()
    exact(mip_solver="highs", mip_start="none").solve(model)
    plain = SolverFactory("highs")
    plain.solve(model, load_solutions=False)
    theirs = plain._solver_model.getLp()
    ours, start = handed_over[0]  # small LPs and MIPs of j3o's own may follow
    assert start is None
    assert np.array_equal(ours.sign * ours.linear.objective, theirs.col_cost_)
    assert np.array_equal(ours.linear.lower, theirs.col_lower_)
    assert np.array_equal(ours.linear.upper, theirs.col_upper_)
    assert np.array_equal(ours.linear.row_lower, theirs.row_lower_)
    assert np.array_equal(ours.linear.row_upper, theirs.row_upper_)
    assert np.array_equal(ours.linear.integer, [int(kind) == 1 for kind in theirs.integrality_])
    matrix = theirs.a_matrix_
    kind = sparse.csc_array if "Colwise" in str(matrix.format_) else sparse.csr_array
    shape = ours.linear.n_rows, ours.linear.n_columns
    rows = kind((matrix.value_, matrix.index_, matrix.start_), shape=shape)
    assert np.array_equal(ours.linear.matrix.toarray(), rows.toarray())


def test_a_huge_m_is_tightened_before_a_solver_sees_it():
    """An M that nothing needs lets a fraction of x pass for 0; any other is handed over as written."""

    def coefficient(big):
        model = pyo.ConcreteModel()
        model.x, model.y = pyo.Var(domain=pyo.Binary), pyo.Var(bounds=(0, 10))
        model.link = pyo.Constraint(expr=model.y <= big * model.x)
        model.worth = pyo.Objective(expr=model.y - model.x, sense=pyo.maximize)
        problem, _ = compile_model(annotate(model, onloading=model.x, offloading=model.y) or model)
        instance = Instance(forms_of(problem))
        return np.abs(mip_model(instance.linear).linear.matrix.data).max()

    assert coefficient(1e9) == pytest.approx(10)
    assert coefficient(50) == 50


def test_a_model_that_is_mostly_placement_gets_no_start_unless_asked(monkeypatch):
    """Where few variables flow, the solver is left to itself; `mip_start="j3o"` insists on a start."""
    monkeypatch.setattr(mip.HighsMIP, "small", 0)
    model, log = exact_models.unit_commitment(3, 6, 0), io.StringIO()
    alone = exact(mip_solver="highs", tee=log).solve(model)
    assert "mostly onloading variables" in log.getvalue()
    assert alone.extra_info.mip_start_objective is None
    asked = exact(mip_solver="highs", mip_start="j3o").solve(model)
    assert asked.extra_info.mip_start_objective is not None
    for results in (alone, asked):
        assert results.solution_status == SolutionStatus.optimal
    assert alone.incumbent_objective == pytest.approx(asked.incumbent_objective, rel=2e-4)


@pytest.mark.parametrize(
    ("range_", "why"),
    [
        ((0.5, 1.0), r"J3O's gap of [\d.]+% is below 50%: HiGHS is faster alone"),
        ((0.0, 1e-9), r"J3O's gap of [\d.]+% is above 1e-07%: the relaxation says little"),
    ],
    ids=["nearly integral", "says little"],
)
def test_a_plan_that_is_no_help_is_kept_but_not_handed_over(monkeypatch, range_, why):
    """J3O's plan stays the fallback where its gap says that the solver does better without it."""
    change_params(monkeypatch, start_params(worth_improving=range_))
    handed_over, solve = [], mip.HighsMIP.solve

    def nothing(self, model, limits, start, write):
        handed_over.append(start)
        return mip.MIPSolution.without_values(LPStatus.TIME_LIMIT)

    monkeypatch.setattr(mip.HighsMIP, "solve", nothing)
    log = io.StringIO()
    results = exact(mip_solver="highs", tee=log).solve(taskonomy())
    assert handed_over == [None]
    assert re.search(rf"^MIP start: none \({why}\)$", log.getvalue(), re.MULTILINE)
    assert results.incumbent_objective is not None
    assert results.extra_info.mip_start_objective is None
    assert results.solution_status == SolutionStatus.feasible
    assert not results.extra_info.improvement
    monkeypatch.setattr(mip.HighsMIP, "solve", solve)
    results = exact(mip_solver="highs").solve(taskonomy())
    assert results.solution_status == SolutionStatus.optimal


def test_the_log_says_that_a_gap_within_tolerances_proves_nothing(monkeypatch):
    """Where the MIP solver's bound is none, the log says who continues, and proves a bound."""
    solve, log = mip.HighsMIP.solve, io.StringIO()
    monkeypatch.setattr(mip.HighsMIP, "solve", lambda *given: replace(solve(*given), bound=np.inf, nodes=1))
    results = exact(mip_solver="highs", tee=log).solve(two_servers())
    text = log.getvalue()
    assert (
        "The MIP solver's gap is within its tolerances and proves nothing; "
        "j3o continues with its own branch and bound.\n"
    ) in text
    assert ", 1 node, " in text
    assert results.solution_status == SolutionStatus.optimal


@pytest.mark.parametrize("edges", [1, 2])
def test_j3o_s_cuts_go_with_a_near_start(monkeypatch, edges):
    """With a start that leaves only the proof, the solver gets the cuts, which the optimum keeps."""
    handed_over, solve = [], mip.HighsMIP.solve

    def keep(self, model, limits, start, write):
        handed_over.append((model, solve(self, model, limits, start, write)))
        return handed_over[-1][1]

    change_params(monkeypatch, start_params(near=(0.0, np.inf)))
    plain = exact(mip_solver="highs", mip_start="none").solve(taskonomy(6, edges))
    monkeypatch.setattr(mip.HighsMIP, "solve", keep)
    model = taskonomy(6, edges)
    results = exact(mip_solver="highs", mip_start="j3o").solve(model)
    assert results.incumbent_objective == pytest.approx(plain.incumbent_objective, rel=2.1e-4)
    n_rows = sum(1 for _ in model.component_data_objects(pyo.Constraint, active=True))
    with_start = [(given, found) for given, found in handed_over if found.found][-edges:]
    assert len(with_start) == edges
    assert sum(given.linear.n_rows for given, _ in with_start) > n_rows
    for given, found in with_start:
        body = given.linear.matrix @ found.values
        size = np.maximum(1.0, np.abs(body))
        assert np.all(body <= given.linear.row_upper + 1e-6 * size)
        assert np.all(body >= given.linear.row_lower - 1e-6 * size)


def test_a_better_routing_of_the_same_placement_is_kept():
    """Costs of 1e-10 of the largest: the MIP solver routes the start's placement better than the LP did."""
    case = family_case(121, "scaled twins")
    found = [exact(mip_start=start, mip_solver="highs").solve(case.model) for start in ("none", "j3o")]
    assert found[1].incumbent_objective == pytest.approx(found[0].incumbent_objective, rel=1e-4)


def test_a_start_within_the_gap_ends_the_solve(monkeypatch):
    """What J3O has proven to be within the gap asked for, no MIP solver is asked about."""
    monkeypatch.setattr(mip.HighsMIP, "solve", lambda *given: pytest.fail("HiGHS was asked"))
    results = exact(mip_solver="highs", mip_start="j3o", rel_gap=0.5).solve(taskonomy())
    assert results.solution_status == SolutionStatus.optimal
    assert results.extra_info.nodes == 0
    assert results.extra_info.relative_gap <= 0.5


@pytest.mark.parametrize("per_second", [10, 20_000], ids=["short", "long"])
def test_where_time_is_short_for_the_size_there_is_a_plan_all_the_same(monkeypatch, per_second):
    """Also of a model that is left to the MIP solver, if that finds nothing in time."""

    def nothing(self, model, limits, start, write):
        return mip.MIPSolution.without_values(LPStatus.TIME_LIMIT)

    monkeypatch.setattr(mip.HighsMIP, "solve", nothing)
    change_params(monkeypatch, start_params(nonzeros_per_second=per_second))
    results = exact(mip_solver="highs").solve(
        exact_models.assignment_with_overflow(12, 100, 0),
        time_limit=20,
        load_solutions=False,
        raise_exception_on_nonoptimal_result=False,
    )
    assert (results.incumbent_objective is not None) == (per_second == 10)
