"""What a solve claims, through the public interface: plan <= optimum <= bound on models of every shape."""

import functools
import itertools
import math

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.contrib.solver.common.results import SolutionStatus, TerminationCondition
from random_problems import SHAPES, as_pyomo, by_placement, random_problem
from small_problems import INF, beside, permuted, problem_of
from solver_models import (
    change_params,
    classic,
    hard_to_place,
    milp_params,
    new,
    objective_value,
    optimum,
    own_search_first,
    without_look,
    worst_violation,
)

from pyomo_j3o import annotate
from pyomo_j3o.errors import BackendError
from pyomo_j3o.library import fixed_charge_network, taskonomy
from pyomo_j3o.methods import part_work, parts
from pyomo_j3o.mip import HighsMIP
from pyomo_j3o.presolve.decomposing import split
from pyomo_j3o.presolve.linearize import linearize

QUIET = {"load_solutions": False, "raise_exception_on_nonoptimal_result": False}
CONVERGED = (TerminationCondition.convergenceCriteriaSatisfied,)
LINEAR = [shape for shape in SHAPES if shape != "products"]


@pytest.fixture(params=["quick look", "MILP solver first", "own search"])
def closes_small_parts(request, monkeypatch):
    """Small models are closed by a look, small parts by a MILP solver, or both by our own search."""
    if request.param == "MILP solver first":
        change_params(monkeypatch, without_look)
    elif request.param == "own search":
        change_params(monkeypatch, own_search_first)


@pytest.fixture
def no_look(monkeypatch):
    """Small models are certified and searched as large ones are."""
    change_params(monkeypatch, without_look)


def EVERY_SHAPE(test):
    """Run a test on every shape, by every search."""
    return pytest.mark.usefixtures("closes_small_parts")(pytest.mark.parametrize("shape", SHAPES)(test))


def slack(value, relative=1e-6):
    """Return what LP solvers may miss an objective by."""
    return relative * max(1.0, abs(value))


@functools.cache
def drawn(shape, seed, n_x=6, n_y=8):
    """Return a random problem and its optimum, maximised; every other one is minimised in its Pyomo model."""
    problem = random_problem(np.random.default_rng(seed), shape, n_x, n_y, sense=1 - 2 * (seed % 2))
    return problem, by_placement(problem)[1].max(initial=-INF)


def certified(model, best, conditions=CONVERGED, **options):
    """Solve, assert what holds of every answer, load the plan, and return the results.

    Parameters
    ----------
    model
        With one objective.
    best
        Its optimum in its own sense; the hopeless infinity if it is infeasible, the other if unbounded.
    conditions
        Where there is an optimum: the ways in which the solve may end.
    """
    objective = next(model.component_data_objects(pyo.Objective, active=True))
    sense = 1 if objective.sense == pyo.maximize else -1
    results = new(lp_solver="highs").solve(model, **QUIET | options)
    condition, status = results.termination_condition, results.solution_status
    if sense * best == -INF:
        assert condition == TerminationCondition.provenInfeasible
        assert status in (SolutionStatus.noSolution, SolutionStatus.infeasible)
        assert results.incumbent_objective is None
        return results
    if sense * best == INF:
        assert condition == TerminationCondition.unbounded
        assert results.incumbent_objective is None
        assert results.objective_bound == best
        return results
    assert condition in conditions
    value, bound = results.incumbent_objective, results.objective_bound
    assert sense * bound >= sense * best - slack(best)
    if value is None:
        assert condition == TerminationCondition.maxTimeLimit
        assert status == SolutionStatus.noSolution
        return results
    results.solution_loader.load_vars()
    assert worst_violation(model) <= 1e-6
    assert objective_value(model) == pytest.approx(value, rel=1e-7, abs=1e-7)
    assert sense * value <= sense * best + slack(best)
    assert sense * bound >= sense * value
    gap = abs(bound - value) / max(abs(value), 1e-10) if math.isfinite(bound) else INF
    assert results.extra_info.relative_gap == pytest.approx(gap)
    nothing = 1e-9 if abs(value) <= 1e-9 else 0.0  # relative to 0, rounding is infinitely much
    closed = gap <= options.get("rel_gap", 1e-4)
    closed = closed or abs(bound - value) <= max(options.get("abs_gap", 0.0), nothing)
    assert status == (SolutionStatus.optimal if closed else SolutionStatus.feasible)
    assert results.extra_info.message.startswith("Optimal" if closed else "Feasible")
    last = results.extra_info.trace[-1]
    assert (last.incumbent, last.bound) == pytest.approx((value, bound))
    return results


def told(results):
    """Return all that a solve says, but for times."""
    trace = [
        (r.iteration, r.objective, r.incumbent, r.bound, r.onloaded, r.repeated)
        for r in results.extra_info.trace
    ]
    steps = [(step.name, step.gained, step.lowered) for step in results.extra_info.improvement]
    values = list(results.solution_loader.get_vars().values())
    return results.incumbent_objective, results.objective_bound, results.solution_status, trace, steps, values


# --- the laws ---------------------------------------------------------------------------------------------


@EVERY_SHAPE
def test_the_optimum_lies_between_plan_and_bound(shape):
    """Against all placements one by one; nearly all plans are optimal, most are proven so."""
    finite = reached = proven = 0
    for seed in range(16):
        problem, best = drawn(shape, seed)
        results = certified(as_pyomo(problem), problem.sense * best)
        if math.isfinite(best):
            finite += 1
            reached += abs(results.incumbent_objective - problem.sense * best) <= slack(best, 1e-4)
            proven += results.solution_status == SolutionStatus.optimal
    assert finite >= 5
    assert reached >= 0.9 * finite
    assert proven >= 0.8 * finite


@EVERY_SHAPE
@pytest.mark.parametrize("options", [{"rel_gap": 1e-6}, {"rel_gap": 0.05}, {"abs_gap": 2.0, "rel_gap": 1e-6}])
def test_the_bound_holds_at_every_gap_asked_for(shape, options):
    """However early the search ends, no plan is better than the bound, and optimal means within the gap."""
    for seed in range(100, 105):
        problem, best = drawn(shape, seed)
        certified(as_pyomo(problem), problem.sense * best, **options)


@pytest.mark.parametrize("shape", SHAPES)
def test_beside_a_milp_solver(shape):
    """On larger models HiGHS's branch and bound finds no plan beyond the bound, and none worse than ours."""
    agreed = total = 0
    for seed in range(200, 205):
        problem = random_problem(np.random.default_rng(seed), shape, n_x=14, n_y=24, sense=1 - 2 * (seed % 2))
        model = as_pyomo(problem)
        best = optimum(as_pyomo(linearize(problem).problem))
        if best is None:
            # Infeasible or unbounded: which of them, the small models tell.
            assert new(lp_solver="highs").solve(model, **QUIET).incumbent_objective is None
            continue
        results = certified(model, best)
        total += 1
        agreed += abs(results.incumbent_objective - best) <= slack(best, 1e-2)
    assert total >= 2
    assert agreed >= 0.75 * total


def test_more_work_on_the_bound_never_loosens_it():
    """None, lp, cuts, improvement: each bound as tight as the one before, none below the optimum."""
    tighter = np.zeros(2, dtype=int)
    for shape in SHAPES:
        for seed in range(300, 306):
            problem, best = drawn(shape, seed)
            if not math.isfinite(best):
                continue
            found = [
                problem.sense
                * certified(
                    as_pyomo(problem),
                    problem.sense * best,
                    bound=bound,
                    improve=improve,
                ).objective_bound
                for bound, improve in (("none", False), ("lp", False), ("cuts", False), ("cuts", True))
            ]
            assert found[0] == INF
            for loose, tight in itertools.pairwise(found):
                assert tight <= loose + slack(best)
            tighter += [found[2] < found[1] - 1e-3, found[3] < found[2] - 1e-3]
    assert np.all(tighter >= 5)


@EVERY_SHAPE
def test_the_same_model_gets_the_same_answer(shape):
    """Two solves agree to the last bit in all they say but times."""
    n_compared = 0
    for seed in range(400, 405):
        problem, best = drawn(shape, seed)
        if math.isfinite(best):
            one, other = (told(certified(as_pyomo(problem), problem.sense * best)) for _ in range(2))
            assert one == other
            n_compared += 1
    assert n_compared > 0


@EVERY_SHAPE
def test_the_order_of_variables_does_not_matter(shape):
    """Shuffled, the certificate is as valid; what both prove optimal is the same."""
    n_compared = 0
    for seed in range(500, 504):
        problem, best = drawn(shape, seed)
        rng = np.random.default_rng(seed)
        sizes = problem.n_onloading, problem.n_offloading, problem.n_rows
        shuffled = permuted(problem, *[rng.permutation(n) for n in sizes])
        one, other = (certified(as_pyomo(p), problem.sense * best) for p in (problem, shuffled))
        if one.solution_status == other.solution_status == SolutionStatus.optimal:
            assert one.incumbent_objective == pytest.approx(other.incumbent_objective, rel=3e-4)
            n_compared += 1
    assert n_compared > 0


@pytest.mark.usefixtures("no_look")
def test_the_certificate_holds_whenever_time_is_up():
    """Stopped at any moment: no plan at all, or one below the optimum, and a bound above it."""
    model = taskonomy(4, 1)
    best = optimum(model)
    ways = *CONVERGED, TerminationCondition.maxTimeLimit
    limits = np.linspace(0.01, 0.4, 16)
    ended = {certified(model, best, ways, time_limit=limit).termination_condition for limit in limits}
    assert ways[1] in ended


def test_both_interfaces_say_the_same():
    """The classic results hold the new ones, bound by bound, in either sense."""
    n_compared = 0
    for seed, shape in enumerate(SHAPES, 600):
        problem, best = drawn(shape, seed)
        if not math.isfinite(best):
            continue
        model = as_pyomo(problem)
        results = certified(model, problem.sense * best)
        old = classic(lp_solver="highs").solve(model)
        assert told(old.j3o) == told(results)
        low, high = old.problem.lower_bound, old.problem.upper_bound
        plan, bound = results.incumbent_objective, results.objective_bound
        assert (low, high) == ((plan, bound) if problem.sense > 0 else (bound, plan))
        n_compared += 1
    assert n_compared > len(SHAPES) / 2


# --- parts and threads ------------------------------------------------------------------------------------


def several_parts(seed, n=4):
    """Return independent problems as one, and its optimum."""
    rng = np.random.default_rng(seed)
    whole, best = None, 0.0
    while n:
        part = random_problem(rng, str(rng.choice(LINEAR[:5])), n_x=5, n_y=6)
        optimum = by_placement(part)[1].max(initial=-INF)
        if math.isfinite(optimum):
            whole = part if whole is None else beside(whole, part)
            best += optimum
            n -= 1
    return whole, best


@pytest.mark.usefixtures("no_look")
def test_parts_apart_or_together(monkeypatch):
    """Independent parts, each by itself or all as one, prove the same optimum."""
    counts, proven = [], 0
    for seed in range(10):
        problem, best = several_parts(seed)
        answers = []
        for smallest in (0, 10**6):

            def parted(problem, usual, smallest=smallest):
                found = split(problem, smallest)
                counts.append(len(found.parts))
                return found

            monkeypatch.setattr(parts, "split", parted)
            answers.append(certified(as_pyomo(problem), best))
        if {a.solution_status for a in answers} == {SolutionStatus.optimal}:
            proven += 1
            assert answers[0].incumbent_objective == pytest.approx(answers[1].incumbent_objective, rel=3e-4)
    assert min(counts[::2]) >= 4
    assert max(counts[1::2]) <= 2
    assert proven >= 7


@pytest.mark.usefixtures("no_look")
def test_threads_do_not_change_the_answer(monkeypatch):
    """Parts side by side are worth what they are one after the other, and proven as far."""
    monkeypatch.setattr(parts, "split", lambda problem, usual: split(problem, 0))
    for seed in range(20, 28):
        problem, best = several_parts(seed)
        answers = [certified(as_pyomo(problem), best, threads=n, rel_gap=1e-7) for n in (1, 2, 3)]
        for other in answers[1:]:
            assert other.incumbent_objective == pytest.approx(answers[0].incumbent_objective, rel=1e-6)
            assert other.objective_bound == pytest.approx(answers[0].objective_bound, rel=1e-6)


# --- what the improvement reports -------------------------------------------------------------------------


def hasty(shape, seed, unit=1.0):
    """Return what the steps gained, and by how much the incumbent rose meanwhile, after one iteration.

    After more of them there is little left to improve. None without a plan; inf for what began without one.
    """
    problem = random_problem(np.random.default_rng(seed), shape, 8, 10, sense=1 - 2 * (seed % 2))
    model, seen = as_pyomo(problem), []
    if unit != 1.0:
        model.worth.set_value(unit * model.worth.expr)
    results = new(lp_solver="highs").solve(model, callback=seen.append, max_iterations=1, **QUIET)
    steps, trace = results.extra_info.improvement, results.extra_info.trace
    assert {step.name for step in steps} <= {"swaps", "kernel", "milp"}
    assert len({step.name for step in steps}) == len(steps)
    assert all(step.gained >= 0 and step.lowered >= 0 and step.seconds >= 0 for step in steps)
    assert sum(step.seconds for step in steps) <= results.timing_info.improve + 1e-3
    if results.incumbent_objective is None or not seen:
        return None
    assert len(trace) == len(seen) == 1
    rose = INF
    if math.isfinite(seen[0].incumbent):
        rose = problem.sense * (trace[0].incumbent - seen[0].incumbent)
    return sum(step.gained for step in steps), rose, abs(results.incumbent_objective)


def test_the_steps_gains_are_what_the_incumbent_rose_by():
    """The last iteration's incumbent before the improvement, and after it, differ by the steps' gains."""
    gains = []
    for shape, seed in itertools.product(SHAPES, range(700, 720)):
        found = hasty(shape, seed)
        if found is not None and math.isfinite(found[1]):
            gained, rose, size = found
            assert gained == pytest.approx(rose, abs=slack(size))
            gains.append(gained)
    assert sum(gain > 1e-3 for gain in gains) >= 20


def test_without_improvement_there_are_no_steps():
    """improve=False leaves nothing to report."""
    results = new(lp_solver="highs").solve(as_pyomo(drawn("charges", 0)[0]), improve=False, **QUIET)
    assert results.extra_info.improvement == []


# --- hard cases -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_look")
@pytest.mark.parametrize("demand", ["droppable", "equal", "covering"])
def test_budgets_that_admit_nothing(demand):
    """Without any room the empty plan is optimal where demand may be dropped; else nothing is feasible."""
    rows = [({"a": 2, "b": 3}, -INF, 0), ({"y": 1, "a": -1}, -INF, 0), ({"z": 1, "b": -1}, -INF, 0)]
    rows.append(({"y": 1, "z": 1}, 1 if demand == "equal" else -INF, 1))
    if demand == "covering":
        rows.append(({"a": 1, "b": 1}, 1, INF))
    model = as_pyomo(problem_of({"a": -1, "b": -1}, {"y": 5, "z": 7}, rows))
    results = certified(model, 0.0 if demand == "droppable" else -INF)
    if demand == "droppable":
        assert results.solution_status == SolutionStatus.optimal
        assert results.objective_bound == pytest.approx(0.0, abs=1e-9)


def five_hundred(rng, related):
    """Return weights and worths of 500 candidates; related ones are the harder."""
    weight = rng.integers(50, 1000, 500)
    return weight, weight + rng.integers(1, 60, 500) if related else rng.integers(50, 1000, 500)


def knapsack_optimum(weight, worth, room):
    """Return the optimum by dynamic programming."""
    best = np.zeros(room + 1, dtype=np.int64)
    for w, v in zip(weight, worth, strict=True):
        best[w:] = np.maximum(best[w:], best[:-w] + v)
    return float(best[-1])


@pytest.mark.usefixtures("no_look")
@pytest.mark.parametrize("related", [False, True])
def test_one_knapsack_with_500_candidates(related):
    """The optimum by dynamic programming lies in the certificate, which is narrow."""
    weight, worth = five_hundred(np.random.default_rng(5), related)
    room = int(weight.sum() // 3)
    m = pyo.ConcreteModel("knapsack")
    m.x = pyo.Var(range(500), domain=pyo.Binary)
    m.room = pyo.Constraint(expr=pyo.quicksum(int(w) * m.x[i] for i, w in enumerate(weight)) <= room)
    m.worth = pyo.Objective(
        expr=pyo.quicksum(int(v) * m.x[i] for i, v in enumerate(worth)), sense=pyo.maximize
    )
    results = certified(m, knapsack_optimum(weight, worth, room), time_limit=20)
    assert results.extra_info.relative_gap < 2e-3


def servers(accuracy, load, size, room, droppable=False, n_clients=3):
    """Return a model of some clients, each with a server of `room`, that share one uplink to a cloud."""
    m = pyo.ConcreteModel("servers")
    clients, kinds = range(n_clients), range(len(accuracy))
    m.x = pyo.Var(clients, kinds, domain=pyo.Binary)
    m.y = pyo.Var(clients, kinds, bounds=(0, 1))
    m.cloud = pyo.Var(clients, bounds=(0, 1))
    m.memory = pyo.Constraint(clients, rule=lambda m, c: sum(size * m.x[c, k] for k in kinds) <= room)
    m.link = pyo.Constraint(clients, kinds, rule=lambda m, c, k: m.y[c, k] <= m.x[c, k])
    m.demand = pyo.Constraint(
        clients,
        rule=lambda m, c: (0 if droppable else 1, m.cloud[c] + sum(m.y[c, k] for k in kinds), 1),
    )
    m.uplink = pyo.Constraint(expr=sum(load * m.cloud[c] for c in clients) <= 0.5 * n_clients)
    m.gain = pyo.Objective(
        expr=sum(
            load * (0.95 * m.cloud[c] + sum(a * m.y[c, k] for k, a in enumerate(accuracy))) for c in clients
        ),
        sense=pyo.maximize,
    )
    return m


@pytest.mark.parametrize("droppable", [False, True])
def test_all_loads_zero(droppable):
    """Nothing is worth anything, and that is proven."""
    results = certified(servers([0.5, 0.7, 0.9], 0.0, 1, 2, droppable), 0.0)
    assert results.solution_status == SolutionStatus.optimal
    assert results.objective_bound == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("room", "best"), [(2, 3 * 0.825), (1, 1.5 * 0.95)])
def test_all_accuracies_equal(room, best):
    """Twelve models alike: one of them in place, or none, half of the queries in the cloud; proven."""
    results = certified(servers([0.7] * 12, 1.0, 2, room, droppable=True), best)
    assert results.solution_status == SolutionStatus.optimal
    assert results.incumbent_objective == pytest.approx(best, rel=1e-4)


@pytest.mark.usefixtures("no_look")
@pytest.mark.parametrize("seed", range(8))
def test_coefficients_over_nine_orders_of_magnitude(seed):
    """Capacities, demands and charges from 1e-4 to 1e5 in one model: plan and bound hold, and meet."""
    rng = np.random.default_rng(seed)
    n, k = 6, 5
    capacity, size = 10.0 ** rng.uniform(-4, 5, n), 10.0 ** rng.uniform(-4, 5, n)
    demand, charge = 10.0 ** rng.uniform(-4, 5, k), 10.0 ** rng.uniform(-4, 5, n)
    x = {f"x{i}": -float(charge[i]) for i in range(n)}
    y = {f"y{i}{j}": float(10.0 ** rng.uniform(-4, 5)) for i in range(n) for j in range(k)}
    rows = [({f"x{i}": float(size[i]) for i in range(n)}, -INF, float(0.6 * size.sum()))]
    for i in range(n):
        served = {f"y{i}{j}": float(demand[j]) for j in range(k)}
        rows.append((served | {f"x{i}": -float(capacity[i])}, -INF, 0.0))
        rows += [({f"y{i}{j}": 1.0, f"x{i}": -1.0}, -INF, 0.0) for j in range(k)]
    rows += [({f"y{i}{j}": 1.0 for i in range(n)}, -INF, 1.0) for j in range(k)]
    problem = problem_of(x, y, rows)
    results = certified(as_pyomo(problem), float(by_placement(problem)[1].max()))
    assert results.extra_info.relative_gap < 0.05


@pytest.mark.usefixtures("no_look")
@pytest.mark.parametrize("target", [1, 341, 600, 1023])
def test_an_equality_that_one_placement_meets(target):
    """Sizes are powers of two and all of the room is to be used: there is one placement, and it is proven."""
    bits = [target >> i & 1 for i in range(10)]
    x = {f"x{i}": float((7 * i) % 5 - 2) for i in range(10)}
    rows = [({f"x{i}": float(2**i) for i in range(10)}, float(target), float(target))]
    rows += [({f"y{i}": 1.0, f"x{i}": -1.0}, -INF, 0.0) for i in range(10)]
    rows.append(({f"y{i}": 1.0 for i in range(10)}, 1.0, 1.0))
    worth = {f"y{i}": float((3 * i) % 7) for i in range(10)}
    problem = problem_of(x, worth, rows)
    best = sum((7 * i) % 5 - 2 for i in range(10) if bits[i])
    best += max((3 * i) % 7 for i in range(10) if bits[i])
    model = as_pyomo(problem)
    results = certified(model, float(best))
    assert results.solution_status == SolutionStatus.optimal
    assert [round(model.x[i].value) for i in range(10)] == bits


@pytest.mark.usefixtures("no_look")
def test_demand_that_one_placement_meets():
    """Nine queries, each of which several models answer, and three servers that must be chosen just so."""
    answers = {"a": "123", "b": "456", "c": "789", "d": "147", "e": "2589", "f": "138", "g": "34", "h": "67"}
    covers = [
        set(chosen)
        for chosen in itertools.combinations(answers, 3)
        if set("123456789") <= set("".join(answers[k] for k in chosen))
    ]
    assert covers == [{"a", "b", "c"}]
    y = {f"{k}{q}": 1.0 + 0.1 * (k > "c") for k in answers for q in answers[k]}
    rows = [(dict.fromkeys(answers, 1.0), -INF, 3.0)]
    rows += [({f"{k}{q}": 1.0 for k in answers if q in answers[k]}, 1.0, 1.0) for q in "123456789"]
    rows += [({f"{k}{q}": 1.0, k: -1.0}, -INF, 0.0) for k in answers for q in answers[k]]
    model = as_pyomo(problem_of(dict.fromkeys(answers, 0.0), y, rows))
    results = certified(model, 9.0)
    assert results.solution_status == SolutionStatus.optimal
    assert [round(v.value) for v in model.x.values()] == [1, 1, 1, 0, 0, 0, 0, 0]


@pytest.mark.usefixtures("no_look")
def test_a_first_plan_that_is_hard_to_find():
    """Market splits: the one plan there is, is found; without any, that is proven."""
    for seed, planted in itertools.product(range(3), (True, False)):
        rng = np.random.default_rng(seed)
        weight = rng.integers(0, 100, (4, 12))
        side = weight @ rng.integers(0, 2, 12) if planted else weight.sum(axis=1) // 2
        x, rows = {f"x{i}": float(rng.integers(-3, 4)) for i in range(12)}, []
        for row, total in zip(weight, side, strict=True):
            rows.append(({f"x{i}": float(w) for i, w in enumerate(row)}, float(total), float(total)))
        problem = problem_of(x, {"y": 1.0}, rows)
        values = by_placement(problem)[1]
        assert np.isfinite(values).sum() == planted
        certified(as_pyomo(problem), float(values.max()))


@pytest.mark.usefixtures("no_look")
def test_a_plan_that_is_too_hard_to_find_in_time():
    """Out of time without a plan: that is what is said, no plan is loaded, and the bound is still one."""
    model = hard_to_place(40, 5)
    results = new(lp_solver="highs").solve(model, time_limit=0.7, **QUIET)
    assert results.termination_condition == TerminationCondition.maxTimeLimit
    assert results.solution_status == SolutionStatus.noSolution
    assert results.incumbent_objective is None
    assert 1.0 <= results.objective_bound <= 2.0 + 1e-6
    assert all(v.value is None for v in model.x.values())


@pytest.mark.usefixtures("no_look")
@pytest.mark.parametrize("seed", range(4))
def test_a_small_part_is_closed_by_a_milp_solver(seed, monkeypatch):
    """Flows of some hundred nonzeros: the optimum, and proven, without a search of our own."""
    results = new(lp_solver="highs").solve(fixed_charge_network(12, seed), **QUIET)
    assert [step.name for step in results.extra_info.improvement if step.name != "swaps"] == ["milp"]
    assert results.solution_status == SolutionStatus.optimal
    exact = SolverFactory("highs").solve(fixed_charge_network(12, seed), rel_gap=1e-6)
    assert results.incumbent_objective == pytest.approx(exact.incumbent_objective, rel=1e-4)
    assert results.objective_bound <= exact.incumbent_objective * (1 + 1e-6)

    # From what its root alone finds, the descent goes on.
    change_params(monkeypatch, milp_params(first_effort=0))
    results = new(lp_solver="highs").solve(fixed_charge_network(12, seed), **QUIET)
    assert "milp" in [step.name for step in results.extra_info.improvement]
    assert results.incumbent_objective <= exact.incumbent_objective * 1.02
    assert results.objective_bound <= exact.incumbent_objective * (1 + 1e-6)


def test_a_milp_solver_that_fails_leaves_the_part_to_the_search(monkeypatch):
    """It was to help only: the plan and the bound are there without it."""
    optimum = (
        new(lp_solver="highs", mip_solver="highs")
        .solve(fixed_charge_network(12, 1), **QUIET)
        .incumbent_objective
    )

    def fail(*_):
        raise BackendError("HiGHS stopped with status 'Unknown'")

    monkeypatch.setattr(HighsMIP, "solve", fail)
    results = new(lp_solver="highs", mip_solver="highs").solve(fixed_charge_network(12, 1), **QUIET)
    assert "kernel" in [step.name for step in results.extra_info.improvement]
    assert optimum * (1 - 1e-6) <= results.incumbent_objective <= optimum * 1.01
    assert results.objective_bound <= optimum * (1 + 1e-6)


@pytest.mark.usefixtures("no_look")
@pytest.mark.parametrize("step", ["relax", "improve"])
def test_an_lp_that_fails_in_a_step_that_helps_only_leaves_the_plan(monkeypatch, step):
    """Without the relaxation there is a plan without a proof, without the search the plan of the loop."""
    whole = getattr(part_work, step)

    def fail(*arguments, **keywords):
        if step == "relax" and arguments[3].over:  # the deadline
            return whole(*arguments, **keywords)
        raise BackendError("HiGHS stopped with status 'Unknown'")

    best = new(lp_solver="highs").solve(fixed_charge_network(12, 1), **QUIET).incumbent_objective
    monkeypatch.setattr(part_work, step, fail)
    m = fixed_charge_network(12, 1)
    results = new(lp_solver="highs").solve(m)
    assert worst_violation(m) <= 1e-6
    assert results.incumbent_objective >= best * (1 - 0.01)
    assert results.objective_bound <= best * (1 + 1e-6)
    assert results.solver_log.count("HiGHS stopped with status 'Unknown'") >= 1


@pytest.mark.parametrize("closes_small_parts", ["MILP solver first", "own search"], indirect=True)
@pytest.mark.usefixtures("closes_small_parts")
def test_what_the_other_steps_cannot_close_goes_to_a_milp_solver():
    """Lot sizing, whose relaxation says little: plan and bound meet, by the step named for it."""
    rng = np.random.default_rng(0)
    demand = rng.integers(0, 20, (3, 20))
    m = pyo.ConcreteModel()
    m.made, m.kept = (pyo.Var(range(3), range(20), bounds=(0, None)) for _ in range(2))
    m.setup = pyo.Var(range(3), range(20), domain=pyo.Binary)
    m.stock = pyo.Constraint(
        range(3),
        range(20),
        rule=lambda m, i, t: (
            (m.kept[i, t - 1] if t else 0) + m.made[i, t] - m.kept[i, t] == int(demand[i, t])
        ),
    )
    m.opens = pyo.Constraint(
        range(3), range(20), rule=lambda m, i, t: m.made[i, t] <= int(demand[i, t:].sum()) * m.setup[i, t]
    )
    m.room = pyo.Constraint(range(20), rule=lambda m, t: sum(m.made[:, t]) <= 60)
    m.cost = pyo.Objective(expr=50 * sum(m.setup[...]) + sum(m.kept[...]) + 2 * sum(m.made[...]))
    annotate(m, onloading=[m.setup], offloading=[m.made, m.kept])
    results = new(lp_solver="highs").solve(m, **QUIET)
    steps = {step.name: step for step in results.extra_info.improvement}
    assert results.extra_info.relative_gap <= 2e-3
    assert steps["milp"].lowered > 0.01 * results.objective_bound
    exact = SolverFactory("highs").solve(m, rel_gap=1e-6, load_solutions=False)
    slack = 1e-6 * exact.incumbent_objective
    assert results.objective_bound - slack <= exact.incumbent_objective <= results.incumbent_objective + slack
