"""Every option has its effect in every place where it can be given, and none where it is not given."""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import highspy
import pytest
from pyomo.contrib.solver.common.results import SolutionStatus, TerminationCondition
from pyomo.contrib.solver.common.util import NoOptimalSolutionError
from solver_models import infeasible, new, two_servers

from pyomo_j3o import library
from pyomo_j3o.errors import BackendError, ModelError

#: What keeps a solve short, silent about its ending, and in HiGHS.
PLAIN = {
    "lp_solver": "highs",
    "improve": False,
    "bound": "lp",
    "raise_exception_on_nonoptimal_result": False,
}

#: Options of Pyomo itself that j3o takes and has no use for.
WITHOUT_EFFECT = {"symbolic_solver_labels", "timer", "working_dir"}


@dataclass
class Run:
    """What one solve left behind."""

    model: Any
    results: Any = None
    error: Exception | None = None
    highs_options: list = field(default_factory=list)


@dataclass
class Case:
    """An option, a value of it, and how its effect is seen.

    `beside` replaces options of `PLAIN`; None leaves one out. Values that note what reaches them are made
    anew for each solve, so that `effect` is asked about its own solve only.
    """

    name: str
    value: Callable[[], Any]
    effect: Callable[[Run, Any], bool]
    model: Callable[[], Any] = two_servers
    beside: dict = field(default_factory=dict)


class Notes(list):
    """A function that notes its arguments, and returns None."""

    def __call__(self, *arguments):
        """Note the arguments."""
        self.append(arguments)


class OwnStep(Notes):
    """An onloading step that places nothing."""

    def __call__(self, structure, prices):
        """Return the empty placement."""
        super().__call__(prices)
        return [False] * structure.problem.n_onloading


def stop_at_once(trace):
    """Stop after the first iteration."""
    return True


def without_marks():
    """Return a model whose variables have no role."""
    m = two_servers()
    m.del_component("j3o_role")
    return m


def with_a_start():
    """Return a model whose variables hold the placement of nothing."""
    m = two_servers()
    for x in m.x.values():
        x.value = 0
    return m


def first_objective(run):
    """Return the objective of the first iteration."""
    return run.results.extra_info.trace[0].objective


def set_in_highs(name, value):
    """Return the effect that HiGHS gets an option."""
    return lambda run, _: (name, value) in run.highs_options


#: The LP solver that "auto" does not choose here.
OTHER = "highs" if new().solve(two_servers()).extra_info.lp_solver == "gurobi" else "gurobi"

EXACT = {"algorithm": "exact", "mip_solver": "highs"}
CASES = [
    Case(
        "move_cost",
        lambda: 1e6,
        lambda run, _: run.results.extra_info.moves == 0,
        model=with_a_start,
    ),
    Case("algorithm", lambda: "exact", lambda run, _: run.results.extra_info.algorithm == "exact"),
    Case(
        "lp_solver",
        lambda: OTHER,
        lambda run, _: isinstance(run.error, BackendError) or run.results.extra_info.lp_solver == OTHER,
        beside={"lp_solver": None},
    ),
    Case(
        "mip_solver",
        lambda: "scip",
        lambda run, _: isinstance(run.error, BackendError) or run.results.extra_info.mip_solver == "scip",
        beside={"algorithm": "exact"},
    ),
    Case(
        "mip_start",
        lambda: "j3o",
        lambda run, _: run.results.extra_info.mip_start_objective is not None,
        beside=EXACT,
    ),
    Case(
        "effort",
        lambda: "alternation",
        lambda run, _: not run.results.extra_info.improvement,
        model=lambda: library.taskonomy(5, 1, 1, droppable=True),
        beside={"improve": None, "bound": None},
    ),
    Case("max_iterations", lambda: 1, lambda run, _: len(run.results.extra_info.trace) == 1),
    Case("seed", lambda: 4, set_in_highs("random_seed", 4)),
    Case("threads", lambda: 2, set_in_highs("threads", 2), beside=EXACT),
    Case("solver_options", lambda: {"simplex_strategy": 4}, set_in_highs("simplex_strategy", 4)),
    Case("rel_gap", lambda: 0.5, lambda run, _: run.results.solution_status == SolutionStatus.optimal),
    Case("abs_gap", lambda: 5.0, lambda run, _: run.results.solution_status == SolutionStatus.optimal),
    Case(
        "time_limit",
        lambda: 0.0,
        lambda run, _: run.results.termination_condition == TerminationCondition.maxTimeLimit,
        beside={"load_solutions": False},
    ),
    Case("tee", io.StringIO, lambda run, stream: "J3O" in stream.getvalue()),
    Case(
        "load_solutions",
        lambda: False,
        lambda run, _: all(x.value is None for x in run.model.x.values()),
    ),
    Case(
        "raise_exception_on_nonoptimal_result",
        lambda: False,
        lambda run, _: run.error is None,
        model=infeasible,
        beside={"raise_exception_on_nonoptimal_result": None, "load_solutions": False},
    ),
    Case(
        "improve",
        lambda: False,
        lambda run, _: run.results.extra_info.improvement == [],
        beside={"improve": None},
    ),
    Case(
        "bound",
        lambda: "none",
        lambda run, _: run.results.objective_bound == math.inf,
        beside={"bound": None},
    ),
    Case("warm_start", lambda: True, lambda run, _: first_objective(run) == pytest.approx(0), with_a_start),
    Case("strict", lambda: True, lambda run, _: isinstance(run.error, ModelError), without_marks),
    Case("onloading_step", OwnStep, lambda run, calls: len(calls) > 0),
    Case("stop", lambda: stop_at_once, lambda run, _: len(run.results.extra_info.trace) == 1),
    Case("callback", Notes, lambda run, calls: len(calls) > 0),
]


def in_constructor(case, value, fixed):
    """Solve with the option given to the constructor."""
    return new(**fixed, **{case.name: value}), {}


def in_config(case, value, fixed):
    """Solve with the option set in the configuration."""
    opt = new(**fixed)
    if case.name == "solver_options":
        opt.config.solver_options.update(value)
    else:
        setattr(opt.config, case.name, value)
    return opt, {}


def in_call(case, value, fixed):
    """Solve with the option given to the call."""
    return new(**fixed), {case.name: value}


def nowhere(case, value, fixed):
    """Solve without the option."""
    return new(**fixed), {}


def solved(case, place, value, monkeypatch):
    """Solve the case's model with its option given at a place."""
    run = Run(case.model())
    set_option = highspy.Highs.setOptionValue

    def noted(highs, name, given):
        run.highs_options.append((name, given))
        return set_option(highs, name, given)

    fixed = {name: given for name, given in (PLAIN | case.beside).items() if given is not None}
    opt, call = place(case, value, fixed)
    with monkeypatch.context() as patch:
        patch.setattr(highspy.Highs, "setOptionValue", noted)
        try:
            run.results = opt.solve(run.model, **call)
        except (BackendError, ModelError, NoOptimalSolutionError) as error:
            run.error = error
    return run


@pytest.mark.parametrize("place", [in_constructor, in_config, in_call])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_option_has_its_effect_wherever_it_is_given(case, place, monkeypatch):
    """The constructor, the configuration and the call each take every option, and do as it says."""
    value = case.value()
    assert case.effect(solved(case, place, value, monkeypatch), value)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_option_that_is_not_given_has_no_effect(case, monkeypatch):
    """What is taken for the effect of an option is not there without it."""
    value = case.value()
    run = solved(case, nowhere, value, monkeypatch)
    assert run.results is not None or case.name == "raise_exception_on_nonoptimal_result"
    assert not case.effect(run, value)


def test_no_option_is_left_out():
    """Each option that the configuration declares is tried above, or is Pyomo's own and without effect."""
    assert {case.name for case in CASES} | WITHOUT_EFFECT == set(new().config)
