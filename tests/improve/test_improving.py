"""Improving a part: never worse, a bound that holds, reports as promised; idle models leave without loss."""

from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from one_part import OnePart
from random_problems import SHAPES, by_placement, random_problem
from small_problems import (
    BOTH_SEARCHES,
    INF,
    Looks,
    highs_first,
    linear_problems,
    location_problems,
    problem_of,
    searched_problems,
    tight_knapsacks,
)

from pyomo_j3o.alternate.offloading import OffloadingStep
from pyomo_j3o.certify.cutting import relax
from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.core.log import Log
from pyomo_j3o.core.problem import evaluate, violations
from pyomo_j3o.core.results import Timings
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.improve import branching, part_search
from pyomo_j3o.improve.idle import drop_idle
from pyomo_j3o.improve.improving import improve
from pyomo_j3o.improve.task import Task
from pyomo_j3o.lp import HighsBackend
from pyomo_j3o.methods.parts_driver import PartsDriver
from pyomo_j3o.methods.progress import Progress
from pyomo_j3o.methods.settings import Context, Settings

LINEAR = [shape for shape in SHAPES if shape not in ("products", "y only")]


def without_constant(problem):
    """Return the problem as improvement gets it: a part has no constant."""
    return replace(problem, objective_constant=0.0)


class Listener:
    """What `improve` yields while it is at work, and what is counted; it may raise at a report."""

    def __init__(self, raise_at=None):
        self.reports, self.steps = [], []
        self._raise_at = raise_at

    def heard(self, search):
        """Note better routings and the ends of steps, and hand everything on."""
        for found in search:
            if not found.begins:
                self.reports.append((found.step, found.routing, found.bound))
            yield found
            if not found.begins and len(self.reports) - 1 == self._raise_at:
                raise InterruptedError


def run(
    problem,
    x,
    listener,
    deadline=NEVER,
    with_relaxation=True,
    backend=None,
    rel_gap=1e-4,
    prices=None,
    mip_solvers=highs_first,
):
    """Improve from `x` as the one part of a solve; return the placement and the bound that are left."""
    structure, backend = analyse(problem), backend or HighsBackend()
    tightened = relax(structure, backend, True, NEVER).tightened if with_relaxation else None
    step = OffloadingStep(structure, backend)
    start = step(x)
    step.close()
    parts = OnePart(problem.n_onloading)
    context = Context(backend, deadline, Timings(), Log([]))
    progress = Progress(1.0, Settings(lambda trace: None, rel_gap, 0.0, 1), context)
    driver = PartsDriver(parts, start, -INF, progress, False)
    task = Task(structure, backend, rel_gap, deadline, mip_solvers)
    listener.steps = progress.steps
    with closing(improve(task, x, prices or [np.zeros(problem.n_rows)], tightened)) as search:
        driver.follow(0, listener.heard(search))
    return SimpleNamespace(x=driver.x, bound=parts.bounds[0])


def check(problem, rng, deadline=NEVER, mip_solvers=highs_first, **given):
    """Assert the laws of `improve` from a random placement that the rows over x admit.

    Return the optimum, the value of the plan, and the bound; None if there was nothing to assert.
    """
    problem = without_constant(problem)
    structure = analyse(problem)
    every, values = by_placement(problem)
    starts = [p for p, x in enumerate(every) if structure.placeable(x)]
    if not starts or values.max() == INF:
        return None
    p = int(rng.choice(starts))
    table = {x.tobytes(): value for x, value in zip(every, values, strict=True)}
    listener = Listener()
    improved = run(problem, every[p], listener, deadline, mip_solvers=mip_solvers, **given)
    names = {"swaps", "kernel"} | ({"milp"} if mip_solvers else set())
    optimum = values.max()
    slack = 1e-6 * max(1.0, abs(optimum)) if np.isfinite(optimum) else 0.0
    after = table[improved.x.tobytes()]
    assert structure.placeable(improved.x)
    assert after >= values[p] - slack
    # Within the gap asked for, the bound may leave out what is no better than that (see test_branching).
    assert improved.bound >= optimum - 1e-4 * max(1.0, abs(optimum)) or optimum == -INF
    if not listener.reports:
        return None
    name, first, bound = listener.reports[0]
    assert (name, bound) == ("", INF)
    assert np.array_equal(first.x, every[p])
    assert {name for name, _, _ in listener.reports} <= {"", *names}
    for (_, earlier, loose), (_, later, tight) in zip(listener.reports, listener.reports[1:], strict=False):
        assert later.better_than(earlier) or later is earlier
        assert tight <= loose
        assert tight >= optimum - 1e-4 * max(1.0, abs(optimum)) or optimum == -INF
    for _, routing, _ in listener.reports:
        if routing.feasible:
            assert routing.objective == pytest.approx(table[routing.x.tobytes()], abs=1e-6)
    last = listener.reports[-1][1]
    assert np.array_equal(last.x, improved.x)
    assert {step.name for step in listener.steps} <= names
    assert {name for name, _, _ in listener.reports if name} <= {step.name for step in listener.steps}
    assert all(step.gained >= 0 and step.lowered >= 0 and step.seconds >= 0 for step in listener.steps)
    if first.feasible:
        gained = sum(step.gained for step in listener.steps)
        assert gained == pytest.approx(last.objective - first.objective, abs=1e-6)
    elif last.feasible:
        assert INF in [step.gained for step in listener.steps]
    return optimum, after, improved.bound


@BOTH_SEARCHES
@settings(deadline=None, max_examples=50)
@given(
    problem=st.one_of(linear_problems(), location_problems("any"), searched_problems()),
    seed=st.integers(0, 2**16),
)
def test_never_worse_and_a_bound_that_holds(problem, seed, mip_solvers):
    """From any placement: the result is at least as good, what is reported is true, and so is the bound."""
    assume(check(problem, np.random.default_rng(seed), mip_solvers=mip_solvers) is not None)


def test_the_problems_reach_branching_dives_and_proposals(monkeypatch):
    """Without a MILP solver most of the problems drawn for it are branched on; some dives offer a plan."""
    nodes, dives, offered = [], [], []

    class CountedTree(branching.Tree):
        def search(self):
            yield from super().search()
            nodes.append(self.nodes)

    def counted_dive(*arguments):
        found = dive(*arguments)
        dives.append(found is not None)
        return found

    dive = branching.dive
    monkeypatch.setattr(part_search, "Tree", CountedTree)
    monkeypatch.setattr(branching, "dive", counted_dive)
    for seed in range(20):
        listener = Listener()
        problem = without_constant(tight_knapsacks(seed))
        run(problem, np.zeros(problem.n_onloading, dtype=bool), listener, mip_solvers=None)
        offered += [name for name, _, _ in listener.reports]
    assert sum(count > 0 for count in nodes) >= 10
    assert sum(nodes) >= 30
    assert len(dives) >= 10
    assert any(dives)
    assert offered.count("kernel") > len(nodes)  # one report ends the step; the others are better plans


@BOTH_SEARCHES
@pytest.mark.parametrize("shape", LINEAR)
def test_larger_problems_reach_the_optimum_mostly(shape, mip_solvers):
    """The same laws with more columns; nearly all of them end at the optimum, and say so."""
    optimal = proven = total = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        found = check(random_problem(rng, shape, n_x=7, n_y=9), rng, mip_solvers=mip_solvers)
        if found is not None and np.isfinite(found[0]):
            optimum, after, bound = found
            total += 1
            optimal += after >= optimum - 1e-3
            proven += bound <= optimum + 1e-3 * max(1.0, abs(optimum))
    assert total >= 3
    assert optimal >= 0.8 * total
    assert proven >= 0.8 * total


@BOTH_SEARCHES
def test_every_lp_solver(backend, mip_solvers):
    """The same on each LP solver."""
    checked = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        problem = random_problem(rng, "capacity", n_x=6, n_y=8)
        checked += check(problem, rng, backend=backend, mip_solvers=mip_solvers) is not None
    assert checked > 0


def test_without_a_relaxation_there_is_no_bound():
    """Where the relaxation could not be solved, the descent is all there is."""
    bounds = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        found = check(random_problem(rng, "gated"), rng, with_relaxation=False)
        bounds += [] if found is None else [found[2]]
    assert len(bounds) >= 3
    assert set(bounds) == {INF}


@BOTH_SEARCHES
@pytest.mark.parametrize("calls", [0, 1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("kind", ["capacity", "tight knapsacks"])
def test_time_may_run_out_at_any_moment(kind, calls, mip_solvers):
    """Whenever the clock says so, what was found so far comes back, with a bound that holds."""
    checked = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        problem = tight_knapsacks(seed)
        if kind == "capacity":
            problem = random_problem(rng, "capacity", n_x=6, n_y=8)
        found = check(problem, rng, Looks(calls), mip_solvers=mip_solvers)
        checked += found is not None
    # Without any time there is no routing to report.
    assert (checked > 0) == (calls > 0)


@BOTH_SEARCHES
def test_no_time_leaves_the_start_as_it_is(mip_solvers):
    """Without any time nothing is reported, and nothing proven."""
    listener = Listener()
    problem = without_constant(random_problem(np.random.default_rng(0), "gated"))
    start = np.zeros(problem.n_onloading, dtype=bool)
    improved = run(problem, start, listener, Deadline(0.0), mip_solvers=mip_solvers)
    assert np.array_equal(improved.x, start)
    assert improved.bound == INF
    assert listener.reports == []
    assert listener.steps == []


@pytest.mark.parametrize(("mip_solvers", "last_step"), [(highs_first, "milp"), (None, "kernel")])
def test_a_step_that_is_interrupted_is_counted(mip_solvers, last_step):
    """An error after a report ends the improvement; the step at work is counted with what it gained."""
    interrupted = set()
    for seed in range(16):
        rng = np.random.default_rng(seed)
        problem = random_problem(rng, "capacity", n_x=7, n_y=9) if seed < 12 else tight_knapsacks(seed)
        problem = without_constant(problem)
        start = np.zeros(problem.n_onloading, dtype=bool)
        if not analyse(problem).placeable(start):
            continue
        whole = Listener()
        run(problem, start, whole, mip_solvers=mip_solvers)
        for number in range(1, len(whole.reports)):
            listener = Listener(raise_at=number)
            with pytest.raises(InterruptedError):
                run(problem, start, listener, mip_solvers=mip_solvers)
            assert listener.steps
            first, last = listener.reports[0][1], listener.reports[-1][1]
            if first.feasible:
                gained = sum(step.gained for step in listener.steps)
                assert gained == pytest.approx(last.objective - first.objective, abs=1e-6)
            interrupted.add(listener.reports[-1][0])
    assert "swaps" in interrupted
    assert last_step in interrupted


@BOTH_SEARCHES
def test_a_start_without_a_routing_is_left_for_one(mip_solvers):
    """From a placement that cannot be routed, the step that finds the first plan gains without end."""
    # The demand can be met from b alone; a is in its way, and pays for it.
    rows = [({"a": 1, "b": 1}, -INF, 1), ({"y": 1, "b": -1}, -INF, 0), ({"y": 1, "z": 1}, 1, 1)]
    problem = problem_of({"a": 1, "b": -1}, {"y": 1, "z": (0, 0, 0.5)}, rows)
    listener = Listener()
    improved = run(problem, np.array([True, False]), listener, mip_solvers=mip_solvers)
    assert improved.x.tolist() == [False, True]
    assert improved.bound >= -1e-9
    assert INF in [step.gained for step in listener.steps]


def drop(problem, x):
    """Route `x` at its best and drop what is idle; None without a routing."""
    structure = analyse(problem)
    step = OffloadingStep(structure, HighsBackend())
    routing = step(x)
    step.close()
    return (routing, drop_idle(problem, routing)) if routing.feasible else (None, None)


def check_drop(problem):
    """Assert the laws of `drop_idle` at every placement; return how many variables left."""
    left = 0
    every, values = by_placement(problem)
    for x in every[np.isfinite(values)]:
        before, after = drop(problem, x)
        if before is None:
            continue
        assert np.all(after.x <= before.x)
        assert np.all(after.x >= problem.onloading_lower)
        assert np.array_equal(after.y, before.y)
        point = after.x.astype(float)
        missed = violations(problem, point, after.y)
        assert np.all(missed <= violations(problem, x.astype(float), before.y) + 1e-8)
        assert after.objective == pytest.approx(evaluate(problem, point, after.y), abs=1e-7)
        assert after.objective >= before.objective
        left += int(np.sum(before.x & ~after.x))
    return left


@settings(deadline=None, max_examples=40)
@given(problem=st.one_of(linear_problems(), location_problems("any")))
def test_dropping_keeps_the_plan(problem):
    """Without what is idle a plan is as feasible and at least as good, at the same routing."""
    check_drop(problem)


def test_dropping_drops_something():
    """Models that answer nothing leave; those that answer, are required, or pay, stay."""
    rows = [
        ({"y": 1, "serves": -1}, -INF, 0),
        ({"z": 1, "idle": -1}, -INF, 0),
        ({"y": 1, "z": 1}, -INF, 1),
        ({"needed": 1}, 1, INF),
    ]
    problem = problem_of(
        {"serves": -1, "idle": -2, "free": 0, "pays": 3, "needed": -1, "fixed": (-1, 1, 1)},
        {"y": 5, "z": 1},
        rows,
    )
    _, after = drop(problem, np.ones(6, dtype=bool))
    assert after.x.tolist() == [True, False, False, True, True, True]
    assert after.objective == pytest.approx(5 - 1 + 3 - 1 - 1)
    assert sum(check_drop(random_problem(np.random.default_rng(seed), "gated")) for seed in range(5)) > 20


def test_of_two_that_do_the_same_one_stays():
    """One after the other: the second is needed once the first has left."""
    problem = problem_of({"a": 0, "b": 0}, {"y": 1}, [({"y": 1, "a": -1, "b": -1}, -INF, 0)])
    _, after = drop(problem, np.array([True, True]))
    assert after.x.sum() == 1
