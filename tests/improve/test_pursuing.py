"""A part is searched on until its gap is closed: the bound is one at every moment, and no step is lost."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyomo.environ as pyo
import pytest
from block_problems import clients
from hypothesis import given, settings
from hypothesis import strategies as st
from random_problems import by_placement, tighten
from small_problems import (
    best_routing,
    brute_force,
    highs_first,
    linear_problems,
    placements,
    tight_knapsacks,
)

import pyomo_j3o
from pyomo_j3o.alternate.offloading import OffloadingStep
from pyomo_j3o.certify.kernel import Point
from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.improve.branching import Tree, TreeLimits
from pyomo_j3o.improve.params import TreeParams
from pyomo_j3o.improve.proving import search_within_gap, shrunk_around
from pyomo_j3o.improve.pursuing import Pursuit, _PausedMIP
from pyomo_j3o.improve.task import Task
from pyomo_j3o.lp import HighsBackend, LPStatus
from pyomo_j3o.mip import HighsMIP, Limits, solve_checked
from pyomo_j3o.modeling.compiler import compile_model


def pursuit_of(problem, rel_gap=1e-6, mip_solvers=highs_first, deadline=NEVER):
    """Return the pursuit of a problem from its worst feasible placement, and its optimum; or None twice."""
    structure, tightened = tighten(problem)
    values = [(best_routing(problem, x), x) for x in placements(problem)]
    feasible = [(value, x) for value, x in values if np.isfinite(value)]
    if tightened is None or not feasible or len(feasible) < sum(v > -np.inf for v, _ in values):
        return None, None
    worst = min(feasible, key=lambda one: one[0])[1]
    task = Task(structure, HighsBackend(), rel_gap, deadline, mip_solvers)
    prices = [np.zeros(problem.n_rows)]
    optimum = max(value for value, _ in feasible) - problem.objective_constant
    return Pursuit(task, worst, prices, tightened, tightened.bound, 0), optimum


def run_to_the_end(pursuit, optimum, most=60):
    """Advance until it is over; check each moment."""
    slack = 1e-6 * max(1.0, abs(optimum))
    try:
        before = -np.inf
        for _ in range(most):
            if pursuit.is_over:
                break
            for found in pursuit.advance(0.0):
                assert found.bound >= optimum - slack
                assert found.routing.objective <= optimum + slack
                assert found.routing.objective >= before - slack
                before = found.routing.objective
        assert pursuit.is_over
        return pursuit.best.objective, pursuit.bound
    finally:
        pursuit.close()


@pytest.mark.parametrize("mip_solvers", [highs_first, None], ids=["all steps", "own steps"])
@settings(max_examples=25, deadline=None)
@given(problem=linear_problems(most_x=4, most_y=4, bounded=True))
def test_any_problem_is_solved(problem, mip_solvers):
    """The pursuit ends, at the optimum, with a bound that meets it."""
    problem = type(problem)(
        **{**{f: getattr(problem, f) for f in problem.__slots__}, "objective_constant": 0.0}
    )
    pursuit, optimum = pursuit_of(problem, mip_solvers=mip_solvers)
    if pursuit is None:
        return
    best, bound = run_to_the_end(pursuit, optimum)
    size = max(1.0, abs(optimum))
    assert best == pytest.approx(optimum, abs=2e-5 * size)
    assert bound == pytest.approx(optimum, abs=3e-5 * size)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), serve=st.booleans())
def test_blocks_are_solved(seed, serve):
    """The same on problems in blocks, whose cuts the MILP solver gets."""
    problem, _ = clients(np.random.default_rng(seed), serve=serve)
    pursuit, optimum = pursuit_of(problem)
    if pursuit is None:
        return
    assert optimum == pytest.approx(brute_force(problem))
    best, _ = run_to_the_end(pursuit, optimum)
    assert best == pytest.approx(optimum, abs=1e-5 * max(1.0, abs(optimum)))


def test_a_deadline_that_is_over_leaves_what_is_known():
    """No step works without time, and the bound stays what it was."""
    problem, _ = clients(np.random.default_rng(11), 4, 3, 2)
    deadline = Deadline(3600.0)
    pursuit, _ = pursuit_of(problem, deadline=deadline)
    bound, best = pursuit.bound, pursuit.best
    deadline.stop()
    try:
        for _ in pursuit.advance(0.0):
            pass
        assert pursuit.bound <= bound
        assert pursuit.best.objective >= best.objective
    finally:
        pursuit.close()


@pytest.mark.parametrize("seed", range(4))
def test_the_paused_solver_proves_no_more_than_there_is(seed):
    """From a poor plan, its bound is one after every slice, and meets the optimum in the end."""
    problem = tight_knapsacks(seed, n_x=10, n_y=6)
    problem = replace(problem, objective_constant=0.0)
    structure, tightened = tighten(problem)
    model, duals = tightened.model, tightened.solution.row_duals
    costs = model.objective - model.matrix.T @ duals
    point = Point(LPStatus.OPTIMAL, tightened.bound, tightened.solution.values, duals, costs, None)
    step = OffloadingStep(structure, HighsBackend())
    poor = step(np.zeros(problem.n_onloading, dtype=bool))
    step.close()
    assert poor.feasible
    optimum = by_placement(problem)[1].max()
    assert poor.objective < optimum - 1e-3
    task = Task(structure, HighsBackend(), 0.0, NEVER, highs_first)
    search, is_over = _PausedMIP(task, SimpleNamespace(root=(model, point)), poor), False
    try:
        while not is_over:
            is_over = search.advance(1)
            assert search.bound >= optimum - 1e-6 * max(1.0, abs(optimum))
    finally:
        search.close()
    assert search.bound == pytest.approx(optimum, rel=1e-5)


def location_with_a_must(seed, n_sites=8, n_customers=6):
    """Return a location problem whose first site a row over the sites demands, though it is the dearest."""
    rng = np.random.default_rng(seed)
    m = pyo.ConcreteModel()
    m.open = pyo.Var(range(n_sites), domain=pyo.Binary)
    m.serve = pyo.Var(range(n_sites), range(n_customers), bounds=(0, 1))
    cost = rng.integers(1, 200, (n_sites, n_customers))
    cost[0] = 200
    rent = np.concatenate([[20_000], rng.integers(60, 120, n_sites - 1)])
    m.demand = pyo.Constraint(range(n_customers), rule=lambda m, j: sum(m.serve[:, j]) == 1)
    m.link = pyo.Constraint(
        range(n_sites), range(n_customers), rule=lambda m, i, j: m.serve[i, j] <= m.open[i]
    )
    others = sum(m.open[i] for i in range(1, n_sites))
    m.must = pyo.Constraint(expr=2 * n_sites * m.open[0] + others >= 2 * n_sites)
    m.rent = pyo.Objective(
        expr=sum(int(rent[i]) * m.open[i] for i in range(n_sites))
        + sum(int(cost[i, j]) * m.serve[i, j] for i in range(n_sites) for j in range(n_customers))
    )
    pyomo_j3o.annotate(m, onloading=[m.open], offloading=[m.serve])
    return replace(compile_model(m)[0], objective_constant=0.0)


# Seeds whose relaxation is fractional: the root of others is not branched on.
@pytest.mark.parametrize("seed", [1, 2, 10])
def test_what_rows_settle_at_the_root_is_not_ruled_out(seed):
    """A root whose box propagation has narrowed rules out no plan, and proves no more than there is."""
    problem = location_with_a_must(seed)
    structure, tightened = tighten(problem)
    # The box of the relaxation is the whole one: what the row settles, propagation finds at the root.
    model = replace(tightened.model, lower=np.zeros(tightened.model.n_columns))
    values = by_placement(problem)[1]
    optimum = values.max()
    step = OffloadingStep(structure, HighsBackend())
    poor = step(np.ones(problem.n_onloading, dtype=bool))
    step.close()
    assert poor.feasible
    assert poor.objective < optimum - 1.0
    limits = TreeLimits(NEVER, 0.0, TreeParams())
    tree = Tree(structure, HighsBackend(), replace(tightened, model=model), poor, limits)
    candidates = tree.search()
    while tree.root is None:
        next(candidates)
    shrunk, start = shrunk_around(*tree.root, poor)
    assert start is not None
    assert len(shrunk.free) < model.n_columns  # the box is used: the site that must open is no choice
    task = Task(structure, HighsBackend(), 0.0, NEVER, highs_first)
    search = _PausedMIP(task, tree, poor)
    try:
        while not search.advance(1):
            assert search.bound >= optimum - 1e-6 * abs(optimum)
        assert search.bound == pytest.approx(optimum, rel=1e-5)
    finally:
        search.close()
        tree.close()
    found = search_within_gap(*tree.root, poor, lambda *of: solve_checked(HighsMIP(), of[0], Limits(), of[1]))
    assert found.objective == pytest.approx(optimum, rel=1e-5)
    assert found.bound == pytest.approx(optimum, rel=1e-5)


def test_a_root_that_is_not_solved_leaves_nothing_to_do(monkeypatch):
    """Where the tree ends without a root, the pursuit ends too: no step waits for it forever."""
    problem, _ = clients(np.random.default_rng(12), 4, 3, 2)
    pursuit, _ = pursuit_of(problem)
    monkeypatch.setattr(Tree, "search", lambda self: iter(()))
    try:
        for _ in range(4):
            for _ in pursuit.advance(0.0):
                pass
        assert pursuit.is_over
    finally:
        pursuit.close()
