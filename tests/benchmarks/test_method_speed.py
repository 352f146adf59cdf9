"""How long the steps of the method take on Taskonomy instances; not part of the default run."""

import pytest
from pyomo.contrib.solver.common.factory import SolverFactory

from pyomo_j3o import library
from pyomo_j3o.alternate.offloading import OffloadingStep
from pyomo_j3o.alternate.onloading import greedy_onloading
from pyomo_j3o.certify.cutting import relax
from pyomo_j3o.core.deadline import NEVER
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.improve.improving import improve
from pyomo_j3o.improve.task import Task
from pyomo_j3o.lp import HighsBackend
from pyomo_j3o.modeling.compiler import compile_model
from pyomo_j3o.presolve.decomposing import split
from pyomo_j3o.presolve.linearize import linearize


@pytest.fixture(params=[10, 100, 1000], scope="module")
def instance(request):
    """Return a model of ten clients to an edge server, its structure, and its relaxation with cuts."""
    model = library.taskonomy(clients=request.param, edges=request.param // 10, seed=1)
    structure = analyse(linearize(compile_model(model)[0]).problem)
    return model, structure, relax(structure, HighsBackend(), cuts=True, deadline=NEVER)


def test_compile(benchmark, instance):
    """From the Pyomo model to arrays."""
    benchmark.pedantic(compile_model, (instance[0],), rounds=3, iterations=1)


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


def test_certify(benchmark, instance):
    """The LP relaxation with its cuts."""
    _, structure, _ = instance
    benchmark.pedantic(relax, (structure, HighsBackend(), True, NEVER), rounds=3, iterations=1)


def test_improve(benchmark, instance):
    """Swaps, and branch and bound on the kernel, of all independent parts after one another."""
    _, structure, _ = instance
    backend = HighsBackend()
    starts = []
    for part in split(structure.problem).parts:
        of_part = analyse(part.problem)
        relaxation = relax(of_part, backend, True, NEVER)
        starts.append((of_part, relaxation, greedy_onloading(of_part, relaxation.duals)))

    def every():
        for of_part, relaxation, x in starts:
            for _ in improve(Task(of_part, backend, 1e-4), x, [relaxation.duals], relaxation.tightened):
                pass

    benchmark.pedantic(every, rounds=1, iterations=1)


def test_whole_solve(benchmark, instance):
    """From the Pyomo model to loaded values."""
    model, _, _ = instance
    benchmark.pedantic(SolverFactory("j3o").solve, (model,), {"lp_solver": "highs"}, rounds=1, iterations=1)
