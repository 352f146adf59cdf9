"""Branch and bound on the kernel: the bound is one at every moment, and meets the optimum in the end."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_problems import SHAPES, by_placement, random_problem, tighten
from small_problems import INF, Looks, linear_problems, location_problems, problem_of

from pyomo_j3o.core.deadline import NEVER
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.improve.branching import Tree, TreeLimits
from pyomo_j3o.improve.params import TreeParams
from pyomo_j3o.lp import HighsBackend

LINEAR = [shape for shape in SHAPES if shape not in ("products", "y only")]


class Watched:
    """A tree over a problem whose plans are known, and what it said whenever it asked for a plan.

    It is offered the plan of the rounded relaxation, looked up in the table of all plans; `blind`, none.
    """

    def __init__(
        self,
        problem,
        backend=None,
        start=-INF,
        rel_gap=1e-6,
        effort=10**9,
        cuts=True,
        blind=False,
        deadline=NEVER,
    ):
        self.every, values = by_placement(problem)
        self.values = values - problem.objective_constant
        self.optimum = self.values.max(initial=-INF)
        self.asked = []
        structure, tightened = tighten(problem, backend, cuts)
        self.tree = None
        if tightened is None or not np.isfinite(self.optimum):
            return
        self.best = self.optimum - 7.5 if start is None else start
        self.blind = blind
        self.tree = Tree(
            structure,
            backend or HighsBackend(),
            replace(tightened, iterations=effort),
            self.routing(self.best),
            TreeLimits(deadline, rel_gap, TreeParams()),
        )

    def routing(self, objective):
        """Return a routing of which only the objective is known."""
        return SimpleNamespace(
            objective=objective, feasible=False, x=np.zeros(len(self.every[0]), dtype=bool)
        )

    def propose(self, candidate):
        """Look up the plan of the rounded x."""
        assert np.all(candidate.lower <= candidate.upper)
        rounded = (candidate.x > 0.5) & (candidate.upper > 0.5) | (candidate.lower > 0.5)
        found = self.values[np.all(self.every == rounded, axis=1)]
        if not self.blind:
            self.best = max(self.best, found.max(initial=-INF))
        self.asked.append((self.tree.bound, self.tree.incumbent))
        return self.best

    def search(self):
        """Search, and close the tree whatever happens."""
        try:
            for candidate in self.tree.search():
                self.tree.best = self.routing(self.propose(candidate))
        finally:
            self.tree.close()
        return self.tree


def slack(value, tolerance=1e-6):
    """Return what LP solvers may miss a number by."""
    return tolerance * max(1.0, abs(value))


def check(problem, tolerance=1e-6, **given):
    """Assert the laws of one search; return it."""
    watched = Watched(problem, **given)
    if watched.tree is None:
        return watched
    first = watched.tree.bound
    tree = watched.search()
    optimum, incumbents = watched.optimum, [incumbent for _, incumbent in watched.asked]
    assert first + slack(first) >= tree.bound >= optimum - slack(optimum, tolerance)
    assert tree.bound >= tree.incumbent
    assert watched.best == tree.incumbent or not watched.asked
    assert incumbents == sorted(incumbents)
    assert tree.incumbent <= max(optimum, given.get("start") or -INF) + slack(optimum)
    return watched


@settings(deadline=None, max_examples=50)
@given(
    problem=st.one_of(linear_problems(), location_problems("any")),
    blind=st.booleans(),
    effort=st.sampled_from([0, 10**9]),
)
def test_the_bound_is_one_and_the_incumbent_never_falls(problem, blind, effort):
    """Where the search ends, no plan is better than the bound, with good plans offered or none."""
    watched = check(problem, tolerance=1e-4, start=None, blind=blind, effort=effort, rel_gap=1e-4)
    assume(watched.tree is not None)


@pytest.mark.parametrize("shape", LINEAR)
def test_the_gap_is_closed_on_small_problems(shape):
    """With effort to spare and the plan of each integral relaxation, bound and incumbent meet the optimum."""
    searched = 0
    for seed in range(12):
        problem = random_problem(np.random.default_rng(seed), shape, n_x=7, n_y=8)
        watched = check(problem, start=None, cuts=bool(seed % 2))
        if watched.tree is not None:
            assert watched.tree.incumbent == pytest.approx(watched.optimum, abs=1e-5)
            assert watched.tree.bound == pytest.approx(watched.optimum, rel=2e-6, abs=1e-5)
            searched += 1
    assert searched > 3


def test_the_gap_is_closed_on_every_lp_solver(backend):
    """The same on each LP solver."""
    searched = 0
    for seed in range(8):
        watched = check(
            random_problem(np.random.default_rng(seed), "capacity", n_x=7, n_y=8), backend=backend, start=None
        )
        if watched.tree is not None:
            assert watched.tree.bound == pytest.approx(watched.optimum, abs=1e-5)
            searched += 1
    assert searched > 3


def tight_knapsack(seed, n=9):
    """Return a knapsack whose best plans are worth nearly the same."""
    rng = np.random.default_rng(seed)
    size = rng.integers(50, 300, n)
    worth = {f"x{i}": float(w + rng.integers(0, 3)) for i, w in enumerate(size)}
    return problem_of(
        worth, {}, [({f"x{i}": float(w) for i, w in enumerate(size)}, -INF, float(size.sum() // 2))]
    )


@pytest.mark.parametrize("rel_gap", [1e-3, 1e-4])
def test_the_bound_also_counts_what_is_within_the_gap(rel_gap):
    """Where the search ends within the gap, a plan between incumbent and bound is still below the bound."""
    searched = 0
    for seed in range(60):
        problem = tight_knapsack(seed)
        optimum = by_placement(problem)[1].max()
        start = optimum * (1 - 0.3 * min(rel_gap, 1e-3))
        watched = check(problem, start=start, rel_gap=rel_gap, blind=True, cuts=False)
        searched += len(watched.asked) > 0
    assert searched > 30


def test_a_gap_of_nothing_is_searched_to_the_end():
    """With rel_gap 0 the search ends by itself, its bound at the optimum."""
    for seed in range(20):
        watched = check(tight_knapsack(seed), start=None, rel_gap=0.0, cuts=False)
        assert watched.tree.bound == pytest.approx(watched.optimum, rel=1e-9)


def test_the_search_goes_on_without_a_plan():
    """Where no plan is known, branching looks for one."""
    for seed in range(10):
        watched = check(tight_knapsack(seed), start=-INF, rel_gap=1e-4, cuts=False)
        assert watched.tree.incumbent == pytest.approx(watched.optimum, rel=1e-4)


def test_the_bound_is_one_whenever_a_plan_is_asked_for():
    """At every candidate, where the search may be ended, the bound is one, and never rises."""
    for seed in range(20):
        watched = check(tight_knapsack(seed), start=None, cuts=False)
        bounds = [bound for bound, _ in watched.asked]
        assert min(bounds) >= watched.optimum - slack(watched.optimum)
        assert bounds == sorted(bounds, reverse=True)


def test_a_search_without_time_proves_what_it_did():
    """Whenever time runs out, the bound is one of all plans, and no later than the relaxation's."""
    for seed in range(10):
        for calls in (0, 1, 2, 5, 10, 30):
            watched = check(tight_knapsack(seed), start=None, cuts=False, deadline=Looks(calls))
            assert watched.tree is not None


def test_more_effort_never_loosens_the_bound():
    """The bound falls with the number of iterations that are allowed, and nothing else is asked of them."""
    compared = tightened = 0
    for seed in range(10):
        problem = random_problem(np.random.default_rng(seed), "capacity", n_x=8, n_y=10)
        bounds = []
        for calls in (1, 4, 16, 64, 10**6):
            watched = check(problem, start=None, deadline=Looks(calls))
            if watched.tree is not None:
                bounds.append(watched.tree.bound)
        for before, after in itertools.pairwise(bounds):
            assert after <= before + 1e-7
            compared += 1
            tightened += after < before - 1e-7
    assert compared > 20
    assert tightened > 3


def test_placements_that_cannot_be_are_never_proposed_bounds():
    """Bounds of x that come with a candidate are what propagation left: each row over x can still be met."""
    proposed = 0
    for seed in range(10):
        problem = random_problem(np.random.default_rng(seed), "equality", n_x=7)
        structure = analyse(problem)
        watched = Watched(problem, start=None)
        if watched.tree is None:
            continue
        inner = watched.propose

        def propose(candidate, inner=inner, structure=structure, every=watched.every):
            inside = every[np.all((every >= candidate.lower) & (every <= candidate.upper), axis=1)]
            assert any(structure.placeable(one) for one in inside)
            return inner(candidate)

        watched.propose = propose
        watched.search()
        proposed += len(watched.asked)
    assert proposed > 3
