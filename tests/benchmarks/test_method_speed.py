"""How long the steps of the method take on Taskonomy instances; not part of the default run."""

import pytest
from pyomo.contrib.solver.common.factory import SolverFactory

from pyomo_j3o import library
from pyomo_j3o.compiler import compile_model
from pyomo_j3o.cutting import relax
from pyomo_j3o.linearize import linearize
from pyomo_j3o.lp import HighsBackend
from pyomo_j3o.offloading import OffloadingStep
from pyomo_j3o.onloading import greedy_onloading
from pyomo_j3o.structure import analyse


@pytest.fixture(params=[10, 40])
def instance(request):
    """Return a model, its structure, and its relaxation with cuts."""
    model = library.taskonomy(clients=request.param, edges=2, seed=1)
    structure = analyse(linearize(compile_model(model)[0]).problem)
    return model, structure, relax(structure, HighsBackend(), cuts=True, remaining=lambda: float("inf"))


def test_onloading_step(benchmark, instance):
    """Greedy on F_α at the prices of the relaxation."""
    _, structure, relaxation = instance
    benchmark(greedy_onloading, structure, relaxation.duals)


def test_offloading_step(benchmark, instance):
    """The routing LP of two placements in turn, warm."""
    _, structure, relaxation = instance
    step = OffloadingStep(structure, HighsBackend())
    placements = [greedy_onloading(structure, factor * relaxation.duals) for factor in (1.0, 2.0)]

    def both():
        for x in placements:
            step(x)

    benchmark(both)
    step.close()


def test_bound(benchmark, instance):
    """The LP relaxation with its cuts."""
    _, structure, _ = instance
    benchmark.pedantic(relax, (structure, HighsBackend(), True, lambda: float("inf")), rounds=3, iterations=1)


def test_whole_solve(benchmark, instance):
    """From the Pyomo model to loaded values."""
    model, _, _ = instance
    benchmark.pedantic(SolverFactory("j3o").solve, (model,), {"lp_solver": "highs"}, rounds=1, iterations=1)
