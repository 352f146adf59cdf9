"""What one solve leaves to the next one: laws hold however figures move, and nothing is searched twice."""

from dataclasses import replace

import numpy as np
import pytest
from block_problems import clients
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from small_problems import (
    INF,
    beside,
    brute_force,
    linear_problems,
    searched_problems,
    solve,
    tight_knapsacks,
)
from test_laws import agrees_with_enumeration

from pyomo_j3o.core.results import Ending
from pyomo_j3o.improve import branching
from pyomo_j3o.improve.boxes import Explored, box_of
from pyomo_j3o.improve.part_search import PartSearch
from pyomo_j3o.improve.pseudo_costs import PseudoCosts
from pyomo_j3o.methods import parts
from pyomo_j3o.methods.memory import Memory
from pyomo_j3o.methods.params import Params
from pyomo_j3o.presolve.params import PresolveParams

PROBLEMS = st.one_of(
    linear_problems(),
    searched_problems(),
    st.integers(0, 10**6).map(lambda seed: clients(np.random.default_rng(seed))[0]),
)


def with_figures(problem, rng, part=1.0, spread=0.3):
    """Return the problem with a part of its figures moved, where they are not 0; the shape stays."""

    def moved(figures):
        factor = np.where(
            rng.random(len(figures)) < part, rng.uniform(1 - spread, 1 + spread, len(figures)), 1.0
        )
        return np.where(np.isfinite(figures), figures * factor, figures)

    def moved_matrix(matrix):
        return sparse.csr_array((moved(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)

    return replace(
        problem,
        onloading_objective=moved(problem.onloading_objective),
        offloading_objective=moved(problem.offloading_objective),
        onloading_rows=moved_matrix(problem.onloading_rows),
        offloading_rows=moved_matrix(problem.offloading_rows),
    )


def fixed(problem, rng):
    """Return the problem with an onloading variable held at one of its values."""
    k = int(rng.integers(problem.n_onloading))
    lower, upper = problem.onloading_lower.copy(), problem.onloading_upper.copy()
    lower[k] = upper[k] = rng.choice([lower[k], upper[k]])
    return replace(problem, onloading_lower=lower, onloading_upper=upper)


def scaled(problem, factor):
    """Return the problem with an objective in another unit."""
    return replace(
        problem,
        onloading_objective=factor * problem.onloading_objective,
        offloading_objective=factor * problem.offloading_objective,
    )


@settings(deadline=None, max_examples=40)
@given(problem=PROBLEMS, seed=st.integers(0, 10**6), by_milp=st.booleans())
def test_every_solve_keeps_the_laws_whatever_is_left_of_the_one_before(problem, seed, by_milp):
    """Bounds are bounds and plans are plans after figures, units and bounds of x have moved."""
    rng = np.random.default_rng(seed)
    memory, given_solvers = Memory(), {} if by_milp else {"mip_solvers": None}
    now = problem
    for _ in range(5):
        agrees_with_enumeration(now, brute_force(now), solve(now, memory=memory, **given_solvers))
        kind = rng.integers(4)
        if kind == 0:
            now = with_figures(problem, rng)
        elif kind == 1:
            now = with_figures(now, rng, part=0.1)
        elif kind == 2:
            now = scaled(now, float(rng.uniform(0.2, 5.0)))
        elif problem.n_onloading:
            now = fixed(problem, rng)


def test_the_search_goes_on_at_the_leaves_of_the_one_before(monkeypatch):
    """Where the first search branched, the second one starts at its leaves, and branches less."""
    begun = []

    class Counted(branching.Tree):
        def _go_on(self, root):
            begun.append(len(self._leaves))
            super()._go_on(root)

    monkeypatch.setattr("pyomo_j3o.improve.part_search.Tree", Counted)
    for seed in range(12):
        problem, memory = tight_knapsacks(seed), Memory()
        for k in range(3):
            now = with_figures(problem, np.random.default_rng([seed, k]), spread=0.05)
            solved = solve(now, memory=memory, mip_solvers=None)
            agrees_with_enumeration(now, brute_force(now), solved)
    assert len(begun) >= 8
    assert max(begun) >= 4


@pytest.mark.parametrize("proved", [True, False])
def test_a_search_that_needed_no_proof_before_first_goes_on_by_itself(proved, monkeypatch):
    """The leaves get more effort before a MILP solver is asked, unless it was asked the first time, too."""
    wanted, done = [proved], []
    monkeypatch.setattr(PartSearch, "_is_for_proof", lambda search, tree: wanted[0])
    monkeypatch.setattr(PartSearch, "_prove", lambda search, tree: iter(done.append("proof") or ()))
    extend = branching.Tree.extend
    monkeypatch.setattr(branching.Tree, "extend", lambda tree: done.append("extended") or extend(tree))
    problem, memory = tight_knapsacks(2), Memory()
    solve(problem, memory=memory, mip_solvers=None)
    assert done == ["proof"] * proved
    wanted[0] = True
    now = with_figures(problem, np.random.default_rng(0), spread=0.05)
    agrees_with_enumeration(now, brute_force(now), solve(now, memory=memory, mip_solvers=None))
    assert done[proved:] == (["proof"] if proved else ["extended", "proof"])


@pytest.mark.parametrize("factor", [1.0, 3.0, 1e-3, 1.0 / 7.0])
def test_a_part_that_stays_is_not_searched_again(factor, monkeypatch):
    """If one of two parts changes, only that one is relaxed and searched, whatever the unit."""
    one, other = tight_knapsacks(3), tight_knapsacks(5)
    memory, searched = Memory(), []
    apart = {"params": Params(presolve=PresolveParams(smallest_part=1)), "mip_solvers": None}
    first = solve(beside(one, other), memory=memory, **apart)
    relax_part = parts.relax_part
    monkeypatch.setattr(
        parts, "relax_part", lambda *given: searched.append(given[2].problem) or relax_part(*given)
    )
    moved = with_figures(other, np.random.default_rng(1), spread=0.1)
    now = scaled(beside(one, moved), factor)
    second = solve(now, memory=memory, **apart)
    agrees_with_enumeration(now, brute_force(now), second)
    assert first.ending is Ending.GAP
    assert len(searched) == 1
    assert searched[0].n_onloading == moved.n_onloading
    assert solve(now, memory=memory, **apart).value == second.value
    assert len(searched) == 1


def test_what_was_asked_for_with_another_gap_is_no_answer():
    """A solve to another gap searches anew: what was good enough before need not be."""
    problem, memory = tight_knapsacks(3), Memory()
    solve(problem, memory=memory, mip_solvers=None, rel_gap=0.5)
    assert memory.parts
    exact = solve(problem, memory=memory, mip_solvers=None)
    agrees_with_enumeration(problem, brute_force(problem), exact)
    assert exact.ending is Ending.GAP


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 5), most=st.integers(1, 12))
def test_the_leaves_of_a_tree_are_everything(seed, n, most):
    """Whatever was branched on, each placement is in one leaf, if leaves are left out or not."""
    rng = np.random.default_rng(seed)
    branched, leaves = {}, [()]
    for _ in range(int(rng.integers(0, 8))):
        path = leaves.pop(int(rng.integers(len(leaves))))
        left = sorted(set(range(n)) - {k for k, _ in path})
        if not left:
            leaves.append(path)
            continue
        branched[path] = k = int(rng.choice(left))
        leaves += [(*path, (k, 0.0)), (*path, (k, 1.0))]
    explored = Explored(branched, PseudoCosts(n), np.zeros(n, dtype=bool), 0.0, None, INF)
    found = explored.leaves(most)
    assert len(found) <= max(most, 1)
    if len(branched) < most:
        assert sorted(found) == sorted(leaves)
    boxes = [box_of(path, np.zeros(n), np.ones(n)) for path in found]
    for number in range(2**n):
        x = np.array([number >> k & 1 for k in range(n)], dtype=float)
        assert sum(np.all((lower <= x) & (x <= upper)) for lower, upper in boxes) == 1
