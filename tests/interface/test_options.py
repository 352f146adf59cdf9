"""Options: where they may be given, how long they hold, and whom they reach."""

import io
import math

import pytest
from pyomo.contrib.solver.common.results import SolutionStatus, TerminationCondition
from pyomo.contrib.solver.common.util import NoOptimalSolutionError
from solver_models import (
    BACKENDS,
    infeasible,
    new,
    objective_value,
    two_servers,
    worst_violation,
)

from pyomo_j3o.errors import OptionError
from pyomo_j3o.library import taskonomy


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("algorithm", "j3o"),
        ("lp_solver", "highs"),
        ("max_iterations", 3),
        ("rel_gap", 0.1),
        ("time_limit", 60.0),
        ("threads", 2),
        ("seed", 4),
        ("tee", False),
        ("load_solutions", False),
        ("raise_exception_on_nonoptimal_result", False),
        ("improve", False),
        ("bound", "lp"),
        ("warm_start", True),
        ("strict", True),
        ("onloading_step", None),
        ("stop", None),
        ("callback", None),
        ("solver_options", {}),
    ],
)
def test_every_option_can_be_given_in_every_place(name, good):
    """The constructor, the config and the call each take every option."""
    model = two_servers()
    expected = new().solve(model).incumbent_objective
    opt = new(**{name: good})
    assert opt.solve(model).incumbent_objective == pytest.approx(expected, rel=0.1)
    opt = new()
    if name != "solver_options":
        setattr(opt.config, name, good)
        assert opt.solve(model).incumbent_objective == pytest.approx(expected, rel=0.1)
    assert new().solve(model, **{name: good}).incumbent_objective == pytest.approx(expected, rel=0.1)


def test_the_options_of_a_call_end_with_that_call():
    """Neither an option nor its absence reaches the next call."""
    opt = new(max_iterations=7)
    before = {name: opt.config[name] for name in opt.config if name != "solver_options"}
    results = opt.solve(
        two_servers(),
        max_iterations=1,
        time_limit=30,
        tee=io.StringIO(),
        rel_gap=0.5,
        improve=False,
        bound="none",
        seed=9,
        lp_solver="highs",
        load_solutions=False,
        solver_options={"primal_feasibility_tolerance": 1e-8},
        callback=print,
        raise_exception_on_nonoptimal_result=False,
    )
    assert results.solver_config.max_iterations == 1
    assert {name: opt.config[name] for name in before} == before
    assert dict(opt.config.solver_options.value()) == {}
    after = opt.solve(two_servers(), raise_exception_on_nonoptimal_result=False)
    assert after.solver_config.max_iterations == 7
    assert after.solver_config.time_limit is None
    assert after.extra_info.relative_gap < math.inf


def test_the_options_of_a_call_end_with_it_even_if_it_fails():
    """An error inside the call leaves no option behind."""
    opt = new()
    with pytest.raises(OptionError):
        opt.solve(two_servers(), max_iterations=2, solver_options={"no_such_option": 1})
    with pytest.raises(NoOptimalSolutionError):
        opt.solve(infeasible(), max_iterations=2)
    assert opt.config.max_iterations == new().config.max_iterations
    assert dict(opt.config.solver_options.value()) == {}


def test_options_do_not_reach_another_solver():
    """Nothing is shared between solver objects, nor kept on the class."""
    one = new()
    one.config.max_iterations = 3
    one.config.solver_options["presolve"] = "off"
    assert new().config.max_iterations != 3
    assert dict(new().config.solver_options.value()) == {}


@pytest.mark.parametrize("quiet", [True, False])
def test_iteration_limit(quiet):
    """One iteration is one record; the plan is kept, the condition says iterationLimit."""
    m = taskonomy(3, 1)
    options = {"max_iterations": 1, "improve": False}
    if not quiet:
        with pytest.raises(NoOptimalSolutionError, match="raise_exception_on_nonoptimal_result"):
            new().solve(m, **options)
        assert all(v.value is None for v in m.place.x.values())
        return
    results = new().solve(m, **options, raise_exception_on_nonoptimal_result=False)
    assert len(results.extra_info.trace) == 1
    assert results.termination_condition == TerminationCondition.iterationLimit
    assert worst_violation(m) <= 1e-6
    assert results.solution_status == SolutionStatus.feasible


@BACKENDS
def test_solver_options_reach_the_lp_solver(lp_solver):
    """A known option is taken, an unknown one an error that names it."""
    known = {"highs": {"simplex_strategy": 4}, "gurobi": {"Method": 0}}[lp_solver]
    expected = new(lp_solver=lp_solver).solve(two_servers()).incumbent_objective
    results = new(lp_solver=lp_solver).solve(two_servers(), solver_options=known)
    assert results.incumbent_objective == pytest.approx(expected)
    with pytest.raises(OptionError, match="no_such_option"):
        new(lp_solver=lp_solver, solver_options={"no_such_option": 3}).solve(two_servers())


def crawling(trace):
    """Return no reason to stop: what ends the alternation then is its number of iterations."""


def test_only_a_limit_that_was_asked_for_is_a_limit(monkeypatch):
    """The default number of iterations ends the alternation like a stall; given, it is a limit."""
    monkeypatch.setattr("pyomo_j3o.alternate.stopping.usual", lambda **given: crawling)
    opt = new()
    opt.config.get("max_iterations").set_default_value(2)
    opt.config.get("max_iterations").reset()
    m = two_servers()
    results = opt.solve(m, improve=False, rel_gap=0.0, bound="lp")
    assert len(results.extra_info.trace) == 2
    assert results.termination_condition == TerminationCondition.convergenceCriteriaSatisfied
    assert results.incumbent_objective == pytest.approx(objective_value(m))
    for given in ({"max_iterations": 2}, {}):
        if not given:
            opt.config.max_iterations = 2
        found = opt.solve(
            two_servers(),
            improve=False,
            rel_gap=0.0,
            bound="lp",
            raise_exception_on_nonoptimal_result=False,
            **given,
        )
        assert found.termination_condition == TerminationCondition.iterationLimit
