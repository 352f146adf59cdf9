"""How fast the exact solver is; not part of the default run: ``pytest tests/benchmarks``."""

import time

import highspy
import pyomo.environ  # noqa: F401  (registers HiGHS)
import pytest
from pyomo.contrib.solver.common.factory import SolverFactory

from pyomo_j3o import library

QUIET = {"raise_exception_on_nonoptimal_result": False, "load_solutions": False, "threads": 1}


def seconds(name, model, **options):
    """Return the seconds from `solve` to loaded values, and those of them outside of HiGHS."""
    run, inside = highspy.Highs.run, [0.0]

    def counted(self):
        start = time.perf_counter()
        try:
            return run(self)
        finally:
            inside[0] += time.perf_counter() - start

    highspy.Highs.run = counted
    try:
        start = time.perf_counter()
        results = SolverFactory(name).solve(model, **QUIET, **options)
        if results.incumbent_objective is not None:
            results.solution_loader.load_vars()
        whole = time.perf_counter() - start
    finally:
        highspy.Highs.run = run
    return whole, whole - inside[0]


def test_all_but_the_optimisation_is_three_times_faster_than_pyomo_s_highs():
    """At 100 clients, compiling, handing over, checking and loading take a third of the time or less."""
    model = library.taskonomy(clients=100, edges=10, seed=7)
    _, theirs = seconds("highs", model, time_limit=10)
    ours = {"mip_solver": "highs", "lp_solver": "highs", "mip_start": "none"}
    _, own = seconds("j3o.exact", model, time_limit=10, **ours)
    assert theirs >= 3 * own


@pytest.mark.parametrize("clients", [3, 10])
def test_never_slower_than_pyomo_s_highs(clients):
    """From `solve` to loaded values, on the same linear model, to the same gap."""
    model = library.taskonomy(clients=clients, edges=1, seed=7)
    theirs, _ = seconds("highs", model, rel_gap=1e-3)
    own, _ = seconds("j3o.exact", model, rel_gap=1e-3, mip_solver="highs", lp_solver="highs")
    assert own <= theirs


@pytest.mark.parametrize("mip_start", ["none", "j3o"])
def test_exact(benchmark, mip_start):
    """To a gap of 0.1 %, with the start and without."""
    model = library.taskonomy(clients=10, edges=1, seed=7)
    options = {"mip_solver": "highs", "lp_solver": "highs", "mip_start": mip_start, "rel_gap": 1e-3}
    benchmark.pedantic(lambda: SolverFactory("j3o.exact").solve(model, **QUIET, **options), rounds=1)
