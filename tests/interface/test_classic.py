"""j3o behind Pyomo's classic interface: options that end with their call, classic results, loading."""

import io
import math
import pickle

import pyomo.environ as pyo
import pytest
from pyomo.common.errors import ApplicationError
from pyomo.contrib.solver.common.factory import SolverFactory as new_of
from pyomo.contrib.solver.common.util import NoFeasibleSolutionError, NoOptimalSolutionError
from pyomo.opt import SolverStatus, TerminationCondition, check_optimal_termination
from solver_models import (
    classic,
    infeasible,
    knapsack,
    new,
    objective_value,
    snapshot,
    transport,
    two_servers,
    with_marks,
    worst_violation,
)

from pyomo_j3o.errors import BackendError, ModelError, OptionError
from pyomo_j3o.library import small_example, taskonomy

SENSES = pytest.mark.parametrize("sense", [pyo.maximize, pyo.minimize], ids=["max", "min"])


def test_the_solver_answers_what_classic_callers_ask():
    """Availability, licence, version, warm start: what `pyomo help --solvers` and others call."""
    opt = classic()
    assert opt.available() is True
    assert opt.available(exception_flag=False) is True
    assert opt.available(False) is True
    assert opt.license_is_valid() is True
    assert opt.version() == new().version()
    assert opt.warm_start_capable()
    assert opt.default_variable_value() is None
    assert opt.name == "j3o"
    with classic() as again:
        again.solve(two_servers())
    assert pyo.SolverFactory.doc("j3o")


@SENSES
def test_classic_results_say_what_the_new_ones_say(sense):
    """Objective and bound are the two sides of problem, by sense; status, message and time are set."""
    m, twin = two_servers(sense), two_servers(sense)
    results, expected = classic().solve(m), new().solve(twin)
    low, high = expected.incumbent_objective, expected.objective_bound
    if sense == pyo.minimize:
        low, high = high, low
    assert results.problem.lower_bound == pytest.approx(low)
    assert results.problem.upper_bound == pytest.approx(high)
    assert results.problem.sense == sense
    assert results.solver.status == SolverStatus.ok
    assert results.solver.termination_condition == TerminationCondition.optimal
    assert results.solver.message == expected.extra_info.message.replace(": ", ", ")
    assert results.solver.wallclock_time > 0
    assert results.timing_info["compile"] > 0
    assert objective_value(m) == pytest.approx(expected.incumbent_objective)
    for one, other in zip(
        m.component_data_objects(pyo.Var), twin.component_data_objects(pyo.Var), strict=True
    ):
        assert one.value == other.value
    assert worst_violation(m) <= 1e-6
    assert str(results)
    results.write(ostream=io.StringIO())


def test_the_new_results_are_within_reach():
    """`.j3o` of classic results holds the new ones, trace and all, as its docstring says."""
    results = classic().solve(two_servers())
    assert results.j3o.extra_info.trace[-1].incumbent == pytest.approx(results.problem.lower_bound)


@pytest.mark.parametrize(
    "how", ["constructor", "options dict", "item", "attribute", "config", "call", "call options"]
)
def test_every_place_that_takes_options(how):
    """An option has the same effect wherever a classic solver lets it be given."""
    call = {}
    opt = classic()
    if how == "constructor":
        opt = classic(max_iterations=1, improve=False, bound="lp")
    elif how == "options dict":
        opt = classic(options={"max_iterations": 1, "improve": False, "bound": "lp"})
    elif how == "item":
        opt.options["max_iterations"] = 1
        opt.options["improve"] = False
        opt.options["bound"] = "lp"
    elif how == "attribute":
        opt.options.max_iterations = 1
        opt.options.improve = False
        opt.options.bound = "lp"
    elif how == "config":
        opt.config.max_iterations = 1
        opt.config.improve = False
        opt.config.bound = "lp"
    elif how == "call":
        call = {"max_iterations": 1, "improve": False, "bound": "lp"}
    else:
        call = {"options": {"max_iterations": 1, "improve": False, "bound": "lp"}}
    results = opt.solve(two_servers(), **call)
    assert results.solver.termination_condition == TerminationCondition.maxIterations
    assert results.timing_info["improve"] == 0
    if not call:
        assert opt.options["max_iterations"] == opt.options.max_iterations == opt.config.max_iterations == 1


def test_the_options_read_like_a_mapping():
    """Options can be listed, updated, deleted and assigned as a whole."""
    opt = classic()
    default = opt.options["max_iterations"]
    assert "seed" in opt.options
    assert "timelimit" not in list(opt.options)
    opt.options.update({"seed": 4, "max_iterations": 2})
    assert dict(opt.options)["seed"] == 4
    del opt.options["max_iterations"]
    assert opt.options["max_iterations"] == default
    opt.options = {"seed": 6}
    assert opt.config.seed == 6
    opt.options["timelimit"] = 8
    assert opt.config.time_limit == 8
    opt.options["solver_options"] = {"presolve": "off"}
    assert dict(opt.config.solver_options.value()) == {"presolve": "off"}
    assert "'solver_options': {'presolve': 'off'}" in repr(opt.options)


def test_the_options_of_a_call_end_with_it():
    """timelimit, options, solver_options, tee and the rest leave nothing behind for the next call."""
    opt = classic(max_iterations=7)
    before = {name: opt.config[name] for name in opt.config if name != "solver_options"}
    out = io.StringIO()
    opt.solve(
        two_servers(),
        timelimit=50,
        options={"max_iterations": 2, "seed": 3},
        solver_options={"primal_feasibility_tolerance": 1e-8},
        lp_solver="highs",
        tee=out,
        load_solutions=False,
        warmstart=True,
        symbolic_solver_labels=True,
    )
    assert out.getvalue()
    assert {name: opt.config[name] for name in before} == before
    assert dict(opt.config.solver_options.value()) == {}
    written = out.getvalue()
    m = two_servers()
    opt.solve(m)
    assert out.getvalue() == written
    assert objective_value(m) > 0
    with pytest.raises(OptionError):
        opt.solve(two_servers(), timelimit=1, solver_options={"no_such_option": 1})
    assert {name: opt.config[name] for name in before} == before
    assert opt.config.time_limit is None


def test_the_time_limit_of_a_call_binds_only_it():
    """timelimit=0 finds nothing and says so; the same solver then solves as ever."""
    opt, m = classic(), two_servers()
    results = opt.solve(m, timelimit=0, load_solutions=False)
    assert results.solver.termination_condition == TerminationCondition.maxTimeLimit
    assert results.solver.status == SolverStatus.aborted
    assert all(v.value is None for v in m.x.values())
    assert check_optimal_termination(opt.solve(m))
    assert check_optimal_termination(opt.solve(m, timelimit=None))


@pytest.mark.parametrize(
    "keywords",
    [
        {"keepfiles": False},
        {"symbolic_solver_labels": True},
        {"suffixes": []},
        {"solver_io": None},
        {"report_timing": False},
        {"warmstart": True},
        {"solnfile": None},
        {"options": None},
        {"solver_options": None},
        {"timelimit": None},
        {"logfile": None},
        {"tee": False},
    ],
    ids=lambda keywords: next(iter(keywords)),
)
def test_the_keywords_of_classic_solvers_are_taken(keywords):
    """What callers of classic solvers pass along does no harm."""
    m = two_servers()
    assert check_optimal_termination(classic().solve(m, **keywords))
    assert worst_violation(m) <= 1e-6


@pytest.mark.parametrize("name", ["lp", "nl", "mps", "python", "direct"])
def test_any_solver_io_is_taken(name, caplog):
    """Code that serves many solvers names a file format: the debug log says that j3o needs none."""
    with caplog.at_level("DEBUG", logger="pyomo_j3o"):
        for opt, call in ((pyo.SolverFactory("j3o", solver_io=name), {}), (classic(), {"solver_io": name})):
            m = two_servers()
            opt.solve(m, **call)
            assert objective_value(m) == pytest.approx(new().solve(two_servers()).incumbent_objective)
    assert caplog.text.count(f"solver_io='{name}'") == 2
    assert "WARNING" not in caplog.text


def test_options_that_are_not_set_read_as_in_any_mapping():
    """get() and pop() give their default, `in` is False; without a default a KeyError names the option."""
    options = classic().options
    for name in ("threads_per_node", "mipgap"):
        assert options.get(name) is None
        assert options.get(name, 0.01) == 0.01
        assert name not in options
        assert options.pop(name, 7) == 7
        assert not hasattr(options, name)
        with pytest.raises(KeyError, match=name):
            options[name]
        with pytest.raises(KeyError, match=name):
            options.pop(name)
        with pytest.raises(OptionError, match=name):
            options[name] = 1
        with pytest.raises(OptionError, match=name):
            options.setdefault(name, 1)
    options["seed"] = 4
    assert options.pop("seed") == 4
    assert options["seed"] == 0
    assert "'max_iterations': 50" in repr(options)


def test_a_log_file_gets_the_log(tmp_path):
    """logfile= writes the log there, with or without tee, also given as a pathlib.Path."""
    classic().solve(two_servers(), logfile=str(tmp_path / "one"))
    assert "Incumbent" in (tmp_path / "one").read_text()
    out = io.StringIO()
    classic().solve(two_servers(), logfile=tmp_path / "two", tee=out)
    assert out.getvalue() == (tmp_path / "two").read_text()


def test_tee_prints_the_log(capfd):
    """tee=True prints the table to standard output; without it nothing is printed."""
    classic().solve(two_servers())
    assert capfd.readouterr().out == ""
    classic().solve(two_servers(), tee=True)
    assert "Incumbent" in capfd.readouterr().out
    classic(tee=True).solve(two_servers())
    assert "Incumbent" in capfd.readouterr().out


def test_report_timing_prints_the_phases(capfd):
    """report_timing=True prints how long each phase took."""
    classic().solve(two_servers(), report_timing=True)
    printed = capfd.readouterr().out
    assert all(phase in printed for phase in ("compile", "onload", "offload", "improve", "certify", "load"))


@SENSES
def test_solutions_can_be_loaded_later(sense):
    """load_solutions=False leaves the model alone; model.solutions.load_from(results) loads it, duals too."""
    m = with_marks(two_servers(sense))
    before = snapshot(m, stale=False)
    results = classic().solve(m, load_solutions=False)
    assert snapshot(m, stale=False) == before
    m.solutions.load_from(results)
    expected = results.problem.lower_bound if sense == pyo.maximize else results.problem.upper_bound
    assert objective_value(m) == pytest.approx(expected)
    assert worst_violation(m) <= 1e-6
    twin = with_marks(two_servers(sense))
    classic().solve(twin)
    for row in m.component_data_objects(pyo.Constraint):
        assert m.dual.get(row, 0.0) == pytest.approx(twin.dual[twin.find_component(row.name)], abs=1e-9)
    for variable in m.component_data_objects(pyo.Var):
        assert variable.value == pytest.approx(twin.find_component(variable.name).value, abs=1e-9)
        assert m.rc.get(variable, 0.0) == pytest.approx(twin.rc[twin.find_component(variable.name)], abs=1e-9)


def test_fixed_variables_survive_loading_later():
    """A fixed variable keeps its value through load_from."""
    m = two_servers()
    m.x["a", 1].fix(0)
    results = classic().solve(m, load_solutions=False)
    m.solutions.load_from(results)
    assert m.x["a", 1].value == 0
    assert m.x["a", 1].fixed
    assert worst_violation(m) <= 1e-6


def test_infeasible_models_follow_pyomo():
    """By default the lack of anything to load is an error; load_solutions=False gives honest results."""
    m = with_marks(infeasible())
    before = snapshot(m)
    with pytest.raises(NoFeasibleSolutionError):
        classic().solve(m)
    with pytest.raises(NoOptimalSolutionError):
        classic().solve(m, raise_exception_on_nonoptimal_result=True)
    results = classic().solve(m, load_solutions=False)
    assert results.solver.termination_condition == TerminationCondition.infeasible
    assert not check_optimal_termination(results)
    assert len(results.solution) == 0
    assert snapshot(m) == before
    assert pickle.loads(pickle.dumps(results)).solver.termination_condition == TerminationCondition.infeasible


def test_an_unbounded_model():
    """Reported as unbounded, with infinite bound."""
    m = two_servers()
    m.gain.set_value(m.gain.expr - 0 * m.x["a", 1])
    m.compute.deactivate()
    m.demand.deactivate()
    m.link.deactivate()
    results = classic().solve(m, load_solutions=False)
    assert results.solver.termination_condition == TerminationCondition.unbounded
    assert results.problem.upper_bound == math.inf


def test_an_interrupt_is_reported():
    """Ctrl-C in a callback: the incumbent is loaded, the condition says what happened."""

    def interrupt(record):
        raise KeyboardInterrupt

    m = two_servers()
    results = classic().solve(m, callback=interrupt)
    assert results.solver.termination_condition == TerminationCondition.resourceInterrupt
    assert worst_violation(m) <= 1e-6
    assert objective_value(m) > 0


@pytest.mark.parametrize(("name", "value"), [("bogus", 1), ("algorithm", "magic"), ("max_iterations", 0)])
def test_an_unknown_option_or_value_is_an_error_where_it_is_given(name, value, caplog):
    """Everywhere it raises OptionError; after Pyomo's classic factory, any use of the solver does."""
    opt, m = classic(), with_marks(two_servers())
    before = snapshot(m)
    with pytest.raises(OptionError, match=name):
        opt.solve(m, **{name: value})
    with pytest.raises(OptionError, match=name):
        opt.solve(m, options={name: value})
    with pytest.raises(OptionError, match=name):
        opt.options[name] = value
    with pytest.raises(OptionError, match=name):
        setattr(opt.options, name, value)
    with pytest.raises(OptionError, match=name):
        opt.options.update({name: value})
    with pytest.raises(OptionError, match=name):
        type(opt)(**{name: value})
    with pytest.raises(OptionError, match=name):
        type(opt)(options={name: value})
    assert snapshot(m) == before
    refused = pyo.SolverFactory("j3o", **{name: value})
    assert name in caplog.text
    assert "Traceback" not in caplog.text
    uses = [
        lambda: refused.solve(m),
        lambda: refused.available(exception_flag=False),
        lambda: refused.options,
        lambda: setattr(refused, "options", {}),
        lambda: bool(refused),
        refused.__enter__,
    ]
    for use in uses:
        with pytest.raises(OptionError, match=name):
            use()


@pytest.mark.parametrize("name", ["j3o", "j3o.baj3o", "j3o.exact"])
def test_options_by_other_names_are_told_in_the_line_that_gives_them(name, caplog):
    """In `config`, in `options` and in the classic factory, with the name that may be meant."""
    meant = "did you mean 'max_iterations'"
    for opt in (new_of(name), pyo.SolverFactory(name)):
        with pytest.raises(OptionError, match=meant):
            opt.config.max_iter = 3
        with pytest.raises(OptionError, match=meant):
            opt.config["max_iter"] = 3
        with pytest.raises(OptionError, match=meant):
            opt.config.set_value({"max_iter": 3})
        with pytest.raises(OptionError, match="working_dir"):
            opt.config.working_dir = 3
        opt.config.max_iterations = 7
        assert opt.config.max_iterations == 7
    with pytest.raises(OptionError, match="options=5 cannot be read"):
        opt.options = 5
    with pytest.raises(OptionError, match=meant):
        pyo.SolverFactory(name, max_iter=3).solve(two_servers())
    assert meant in caplog.text


@pytest.mark.parametrize("value", [5, "off", [1]])
def test_solver_options_that_are_no_dictionary_are_told_with_a_remedy(value):
    """Wherever they are given."""
    opt, m = classic(), with_marks(two_servers())
    uses = [
        lambda: opt.solve(m, solver_options=value),
        lambda: setattr(opt.config, "solver_options", value),
        lambda: setattr(opt.options, "solver_options", value),
        lambda: type(opt)(solver_options=value),
        lambda: new_of("j3o", solver_options=value),
        lambda: new_of("j3o").solve(m, solver_options=value),
    ]
    for use in uses:
        with pytest.raises(OptionError, match=r"solver_options=.* is not a dictionary .*; give one"):
            use()
    opt.config.solver_options = {"presolve": "off"}
    opt.config.solver_options["simplex_strategy"] = 4
    assert opt.config.solver_options.value() == {"presolve": "off", "simplex_strategy": 4}


def test_errors_of_the_model_come_out_as_they_are():
    """The classic wrapper does not swallow or rename errors."""
    m = two_servers()
    m.gain.deactivate()
    with pytest.raises(ModelError, match="objective"):
        classic().solve(m)
    with pytest.raises((BackendError, ApplicationError)):
        classic().solve(knapsack(2100), lp_solver="gurobi")


def test_other_models():
    """Knapsack, LP and library models are solved as by the new interface."""
    for make in (knapsack, transport, small_example, lambda: taskonomy(2, 1)):
        m, twin = make(), make()
        classic().solve(m)
        assert objective_value(m) == pytest.approx(new().solve(twin).incumbent_objective)
        assert worst_violation(m) <= 1e-6


def test_solving_again_after_a_change():
    """Fixing, unfixing and a Param: each answer is that of a fresh solver on a fresh model."""
    opt, m = classic(), two_servers()
    opt.solve(m)
    first = objective_value(m)
    m.speed = 0.5
    opt.solve(m)
    twin = two_servers()
    twin.speed = 0.5
    assert objective_value(m) == pytest.approx(new().solve(twin).incumbent_objective)
    m.speed = 1.3
    used = next(v for v in m.x.values() if v.value == 1)
    used.fix(0)
    opt.solve(m)
    assert objective_value(m) < first
    used.unfix()
    opt.solve(m)
    assert objective_value(m) == pytest.approx(first)


def test_assert_optimal_termination_accepts_a_converged_plan():
    """Code written for exact solvers goes on with a plan that converged."""
    pyo.assert_optimal_termination(classic().solve(two_servers()))


def test_the_message_says_what_is_not_proven():
    """Pyomo's classic condition is `optimal` for every converged plan; the message says whether it is."""
    proven = classic().solve(two_servers())
    assert proven.solver.message.startswith("Optimal")
    open_gap = classic().solve(two_servers(), bound="none", improve=False)
    assert open_gap.solver.termination_condition == TerminationCondition.optimal
    assert open_gap.solver.message.startswith("NOT proven optimal. Feasible plan")
    assert open_gap.solver.termination_message == open_gap.solver.message
