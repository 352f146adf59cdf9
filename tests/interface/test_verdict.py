"""What is said of a solve: status, bound, gap, trace, and the message."""

import io
import itertools
import math
import re

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyomo.contrib.solver.common.results import Results, SolutionStatus, TerminationCondition
from pyomo.contrib.solver.common.util import NoOptimalSolutionError, NoSolutionError
from solver_models import (
    BACKENDS,
    PHASES,
    QUIET,
    SENSES,
    brute_force,
    infeasible,
    new,
    objective_value,
    optimum,
    snapshot,
    two_servers,
    worst_violation,
)

from pyomo_j3o import annotate, explain_infeasibility
from pyomo_j3o.core.problem import Plan
from pyomo_j3o.core.results import Ending, Outcome, at_most_from_the_best, gap_in_words
from pyomo_j3o.errors import ModelError
from pyomo_j3o.interface.options import J3OConfig
from pyomo_j3o.interface.remedies import CommandLineRemedies, Remedies
from pyomo_j3o.interface.verdict import Ended, Solved, explanation
from pyomo_j3o.library import small_example, taskonomy
from pyomo_j3o.modeling.compiler import compile_model


@pytest.fixture(scope="module")
def best_of_two_servers():
    """Return the optimum of the maximised model, by one LP per placement."""
    m = two_servers()
    return brute_force(m, m.x.values())


@SENSES
@BACKENDS
@pytest.mark.parametrize("form", ["linear", "product"])
def test_the_plan_is_feasible_near_the_optimum_and_the_bound_beyond_it(
    sense, lp_solver, form, best_of_two_servers
):
    """In both senses and forms: plan ≤ brute force ≤ bound."""
    m = two_servers(sense, form)
    best = (1 if sense == pyo.maximize else -1) * best_of_two_servers
    results = new(lp_solver=lp_solver).solve(m)
    sign = 1 if sense == pyo.maximize else -1
    assert sign * results.incumbent_objective <= sign * best + 1e-7
    assert sign * results.incumbent_objective >= 0.975 * sign * best
    assert sign * results.objective_bound >= sign * best - 1e-7
    assert results.incumbent_objective == pytest.approx(objective_value(m), abs=1e-7)
    assert worst_violation(m) <= 1e-6
    assert results.extra_info.lp_solver == lp_solver


@pytest.mark.parametrize("bound", ["cuts", "lp", "none"])
def test_minimising_the_negative_gives_the_mirrored_results(bound):
    """Objective, bound, trace, duals and reduced costs change sign with the sense; the plan stays."""
    up, down = two_servers(pyo.maximize), two_servers(pyo.minimize)
    one, other = (new(lp_solver="highs").solve(m, bound=bound) for m in (up, down))
    assert one.incumbent_objective == pytest.approx(-other.incumbent_objective)
    assert one.objective_bound == pytest.approx(-other.objective_bound)
    assert one.solution_status == other.solution_status
    assert one.termination_condition == other.termination_condition
    for a, b in zip(up.component_data_objects(pyo.Var), down.component_data_objects(pyo.Var), strict=True):
        assert a.value == pytest.approx(b.value, abs=1e-9)
    assert len(one.extra_info.trace) == len(other.extra_info.trace)
    for a, b in zip(one.extra_info.trace, other.extra_info.trace, strict=True):
        assert (a.objective, a.incumbent, a.bound) == pytest.approx((-b.objective, -b.incumbent, -b.bound))
        assert a.relative_gap == pytest.approx(b.relative_gap)
    duals, mirrored = one.solution_loader.get_duals(), other.solution_loader.get_duals()
    by_name = {constraint.name: dual for constraint, dual in mirrored.items()}
    for constraint, dual in duals.items():
        assert dual == pytest.approx(-by_name[constraint.name], abs=1e-9)
    costs, mirrored = one.solution_loader.get_reduced_costs(), other.solution_loader.get_reduced_costs()
    by_name = {variable.name: cost for variable, cost in mirrored.items()}
    for variable, cost in costs.items():
        assert cost == pytest.approx(-by_name[variable.name], abs=1e-9)


def test_results_name_everything_the_interface_promises():
    """Each field of interface.md is there, with its type."""
    results = new().solve(two_servers())
    assert isinstance(results, Results)
    assert isinstance(results.incumbent_objective, float)
    assert isinstance(results.objective_bound, float)
    assert isinstance(results.solution_status, SolutionStatus)
    assert isinstance(results.termination_condition, TerminationCondition)
    assert results.solver_name == "j3o"
    assert results.solver_version == new().version()
    assert results.extra_info.algorithm == "j3o"
    assert results.extra_info.lp_solver in ("gurobi", "highs")
    assert "J3O" in results.solver_log
    expected = abs(results.objective_bound - results.incumbent_objective) / abs(results.incumbent_objective)
    assert results.extra_info.relative_gap == pytest.approx(expected)
    results.display(ostream=io.StringIO())


@pytest.mark.timed
def test_timing_is_told_by_phase():
    """Every phase is there, none is negative, and together they are no longer than the whole."""
    results = new().solve(taskonomy(3, 1))
    seconds = [results.timing_info[phase] for phase in PHASES]
    assert all(s >= 0 for s in seconds)
    assert 0.5 * results.timing_info.wall_time < sum(seconds) <= results.timing_info.wall_time + 1e-3
    assert results.timing_info.start_timestamp.tzinfo is not None
    assert results.timing_info.improve > 0
    off = new().solve(taskonomy(3, 1), improve=False, bound="none", load_solutions=False)
    assert off.timing_info.improve == off.timing_info.certify == off.timing_info.load == 0


@SENSES
def test_the_trace_tells_every_iteration_and_never_gets_worse(sense):
    """Iterations count from 1, the incumbent never falls, time never runs back, the bound stays beyond."""
    m = taskonomy(4, 1)
    if sense == pyo.minimize:
        m.mean_accuracy.deactivate()
        m.loss = pyo.Objective(expr=1 - m.mean_accuracy.expr)
    results = new().solve(m)
    trace = results.extra_info.trace
    sign = 1 if sense == pyo.maximize else -1
    assert [record.iteration for record in trace] == list(range(1, len(trace) + 1))
    assert len(trace) >= 2
    for record in trace:
        assert sign * record.objective <= sign * record.incumbent + 1e-9
        assert sign * record.incumbent <= sign * record.bound + 1e-9
        assert record["incumbent"] == record.incumbent
        assert record["time"] == record.time
    for former, later in itertools.pairwise(trace):
        assert sign * later.incumbent >= sign * former.incumbent
        assert later.time >= former.time
        assert sign * later.bound <= sign * former.bound
    assert trace[-1].incumbent == pytest.approx(results.incumbent_objective)
    assert trace[-1].bound == pytest.approx(results.objective_bound)
    assert trace[-1].relative_gap == pytest.approx(results.extra_info.relative_gap)
    assert trace[-1].time <= results.timing_info.wall_time


def test_optimal_is_said_only_of_what_is_proven():
    """solution_status is optimal if and only if the gap is at most rel_gap."""
    m = two_servers()
    plain = new(bound="lp", improve=False)
    results = plain.solve(m)
    gap = results.extra_info.relative_gap
    assert gap > 1e-4  # else this model shows nothing
    assert results.solution_status == SolutionStatus.feasible
    assert plain.solve(m, rel_gap=2 * gap).solution_status == SolutionStatus.optimal
    assert plain.solve(m, rel_gap=gap / 2).solution_status == SolutionStatus.feasible
    assert new().solve(m).solution_status == SolutionStatus.optimal
    assert new().solve(small_example()).solution_status == SolutionStatus.optimal


def test_without_a_bound_nothing_is_called_optimal():
    """With bound="none" the bound is infinite, on the right side, and so is the gap."""
    for sense, sign in ((pyo.maximize, 1), (pyo.minimize, -1)):
        results = new().solve(two_servers(sense), bound="none", rel_gap=1e6)
        assert results.objective_bound == sign * math.inf
        assert results.extra_info.relative_gap == math.inf
        assert results.solution_status == SolutionStatus.feasible
        assert results.termination_condition == TerminationCondition.convergenceCriteriaSatisfied


def test_more_work_on_the_bound_never_loosens_it():
    """Cuts ≤ lp ≤ none, and cuts is worth its while on an instance with memory budgets."""
    m = taskonomy(3, 1, memory=0.7)
    bounds = [new().solve(m, bound=bound, improve=False).objective_bound for bound in ("cuts", "lp", "none")]
    assert bounds[0] <= bounds[1] + 1e-9
    assert bounds[2] == math.inf
    assert bounds[0] < bounds[1] - 1e-4
    assert bounds[0] >= optimum(m) - 1e-6


def test_improving_never_hurts():
    """improve=True is at least as good as the alternation that it starts from, and better here."""
    m = taskonomy(4, 1)
    without = new().solve(m, improve=False)
    with_it = new().solve(m, improve=True)
    assert with_it.incumbent_objective > without.incumbent_objective
    assert without.timing_info.improve == 0


def test_an_infeasible_model_is_proven_so():
    """Rows over x alone or over y: provenInfeasible, no solution, a bound of the hopeless infinity."""
    for x_alone in (True, False):
        m = infeasible(x_alone)
        before = snapshot(m)
        for bound in ("cuts", "lp", "none"):
            results = new().solve(m, bound=bound, **QUIET)
            assert results.termination_condition == TerminationCondition.provenInfeasible
            assert results.solution_status == SolutionStatus.noSolution
            assert results.incumbent_objective is None
            assert results.objective_bound in (None, -math.inf)
            assert results.extra_info.relative_gap == math.inf
            with pytest.raises(NoSolutionError):
                results.solution_loader.get_vars()
        assert snapshot(m) == before


def test_infeasible_only_with_integers():
    """A model whose relaxation is feasible and whose integers are not is proven infeasible as well."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(6), domain=pyo.Binary)
    m.y = pyo.Var(bounds=(0, 1))
    m.even = pyo.Constraint(expr=2 * pyo.quicksum(m.x.values()) == 5)
    m.gain = pyo.Objective(expr=m.y + m.x[0], sense=pyo.maximize)
    annotate(m, onloading=m.x, offloading=m.y)
    results = new().solve(m, **QUIET)
    assert results.termination_condition == TerminationCondition.provenInfeasible


@SENSES
def test_an_unbounded_model_is_said_to_be(sense):
    """The condition is unbounded and the bound the infinity of that sense."""
    m = two_servers(sense)
    m.z = pyo.Var(bounds=(0, None))
    annotate(m, offloading=m.z)
    sign = 1 if sense == pyo.maximize else -1
    m.gain.set_value(m.gain.expr + sign * m.z)
    for bound in ("cuts", "lp", "none"):
        results = new().solve(m, bound=bound, **QUIET)
        assert results.termination_condition == TerminationCondition.unbounded
        assert results.objective_bound == sign * math.inf
        assert results.incumbent_objective is None
    with pytest.raises(NoOptimalSolutionError):
        new().solve(m)


@pytest.mark.parametrize("algorithm", ["j3o", "exact"])
def test_an_objective_of_nothing_is_printed_as_0(algorithm):
    """Minimised, the best is to do nothing: 0, not -0, in the log, in the message, and in the results."""
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(domain=pyo.Binary), pyo.Var(bounds=(0, 5))
    m.link = pyo.Constraint(expr=m.y <= 4 * m.x)
    m.cost = pyo.Objective(expr=m.y + m.x)
    annotate(m, onloading=m.x, offloading=m.y)
    log = io.StringIO()
    results = new(algorithm=algorithm, mip_solver="highs", lp_solver="highs").solve(m, tee=log)
    assert "objective 0," in results.extra_info.message
    assert math.copysign(1, results.incumbent_objective) == 1
    assert not re.search(r"-0\.?0*(?![\d.e])", log.getvalue())


@pytest.mark.parametrize("sense", [pyo.maximize, pyo.minimize])
def test_near_an_objective_of_0_the_message_gives_the_distance(sense):
    """Where terms of millions cancel to 0, a bound of 4.04e-7 is no gap of 40,000 %."""
    sign = 1 if sense == pyo.maximize else -1
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(domain=pyo.Binary), pyo.Var(bounds=(0, 5))
    m.link = pyo.Constraint(expr=m.y <= m.x)
    m.gain = pyo.Objective(expr=sign * (1e6 * m.x + m.y - 1e6 - 1), sense=sense)
    annotate(m, onloading=m.x, offloading=m.y)
    problem, inverse = compile_model(m)

    def message(objective, bound, ending, **options):
        plan = Plan(np.array([True]), np.array([1.0]), objective)
        solved = Solved(
            algorithm="j3o",
            sense=float(sign),
            outcome=Outcome(plan, bound, ending),
            problem=problem,
            inverse=inverse,
            unit=1.0,
        )
        return explanation(solved, J3OConfig()(value=options), m)

    feasible = message(0.0, 4.04e-7, Ending.FIXED_POINT)
    assert feasible.startswith("Feasible plan: objective 0, at most 4.1e-07 from the best; ended by:")
    within = message(0.0, 4.04e-7, Ending.GAP, abs_gap=1)
    assert within == "Optimal within abs_gap=1: objective 0, at most 4.1e-07 from the best."
    # Rounding of such sums is no objective.
    assert "objective 0, at most 4.1e-07" in message(-2e-10, 4.04e-7, Ending.FIXED_POINT)
    assert "at most 13 from the best" in message(-1.0, 11.5, Ending.FIXED_POINT)
    # The terms are small, too, beside this distance: then the gap is one.
    assert "gap 250000100.00%" in message(-1.0, 2.5e6, Ending.FIXED_POINT)
    assert message(100.0, 101.0, Ending.GAP, abs_gap=1) == (
        f"Optimal within abs_gap=1: objective {100 * sign}, gap 1.00%, proven."
    )
    # A bound that the plan beats by rounding is met.
    assert "gap 0.00%" in message(0.0, -1e-9, Ending.GAP)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_an_objective_of_0_has_a_distance_and_no_percentage(scale):
    """In the log, in the message, and wherever results are printed: no gap of 1000 % of nothing."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(domain=pyo.Binary)
    m.cost = pyo.Objective(expr=scale * m.x)
    annotate(m, onloading=m.x)
    log = io.StringIO()
    results = new().solve(m, tee=log)
    assert results.solution_status == SolutionStatus.optimal
    assert results.incumbent_objective == 0
    for text in (log.getvalue(), results.extra_info.message, str(results)):
        percentages = [float(found) for found in re.findall(r"([\d.]+) ?%", text)]
        assert all(found <= 0.01 for found in percentages), text


@pytest.mark.parametrize(
    ("objective", "bound", "words"),
    [
        (100.0, 101.0, "gap 1.00 %"),
        (0.0, 0.0, "gap 0.00 %"),
        (0.0, -1e-3, "at most 0.001 from the best"),
        (0.0, 1e-9, "at most 1.0e-09 from the best"),
        (1e-12, 3.14159, "at most 3.2 from the best"),
        (1.0, 8.0, "gap 700.00 %"),
        (1.0, 1e6, "at most 1000000 from the best"),
    ],
)
def test_gaps_in_words(objective, bound, words):
    """Per cent of the objective where that says something, else the distance, rounded up."""
    assert gap_in_words(objective, bound) == words
    assert gap_in_words(-objective, -bound) == words


@given(st.floats(1e-300, 1e300))
def test_a_distance_in_words_is_never_less_than_the_distance(distance):
    """It says 'at most'."""
    told = float(at_most_from_the_best(distance).split()[2])
    assert distance * (1 - 1e-8) <= told <= 1.11 * distance


@pytest.mark.parametrize(
    ("remedies", "limit", "conflict"),
    [
        (Remedies(), "raise time_limit.", "explain_infeasibility(model) names"),
        (CommandLineRemedies(), "raise --time-limit.", "satisfies all constraints."),
    ],
    ids=["Python", "command line"],
)
def test_advice_is_given_in_the_words_of_the_interface(remedies, limit, conflict):
    """Of an end by time, and of a proof that there is no plan."""
    m = two_servers()
    for ending, said in ((Ending.TIME, limit), (Ending.INFEASIBLE, conflict)):
        ended = Ended(algorithm="j3o", sense=1.0, outcome=Outcome(None, np.inf, ending))
        assert said in explanation(ended, J3OConfig(), m, remedies)


def test_a_model_without_a_name_is_the_model():
    """Pyomo calls it 'unknown'; no message does. One with a name is called by it."""
    for name, called in ((None, "the model"), ("mine", "model 'mine'")):
        m = pyo.ConcreteModel() if name is None else pyo.ConcreteModel(name)
        m.x, m.y = pyo.Var(domain=pyo.Binary), pyo.Var(bounds=(0, 1))
        annotate(m, onloading=m.x, offloading=m.y)
        m.row = pyo.Constraint(expr=m.x + m.y >= 3)
        with pytest.raises(ModelError, match=f"^{called} has no active objective"):
            new().solve(m)
        m.gain = pyo.Objective(expr=m.y)
        message = new().solve(m, **QUIET).extra_info.message
        assert message.lower().startswith(f"{called} is proven infeasible")
        assert str(explain_infeasibility(m)).lower().startswith(f"{called} has no plan")
