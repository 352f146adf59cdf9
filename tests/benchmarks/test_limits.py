"""How limits and memory bind on large models; not part of the default run, for it takes half an hour."""

import gc
import logging
import multiprocessing
import resource
import time
import tracemalloc
from concurrent.futures import ProcessPoolExecutor

import pytest
from large_models import KINDS
from pyomo.contrib.solver.common.factory import SolverFactory

from pyomo_j3o import library
from pyomo_j3o.modeling.compiler import compile_model

#: Of memory that a solve may take besides its arrays, whatever the model, in bytes.
_ANYWAY = 30e6

_OPTIONS = {
    "lp_solver": "highs",
    "mip_solver": "highs",
    "load_solutions": False,
    "raise_exception_on_nonoptimal_result": False,
}


def array_bytes(problem):
    """Return the size of a compiled problem's arrays."""
    matrices = (problem.onloading_rows, problem.offloading_rows)
    arrays = [part for matrix in matrices for part in (matrix.data, matrix.indices, matrix.indptr)]
    for name in ("objective", "lower", "upper"):
        arrays += [getattr(problem, f"{kind}_{name}") for kind in ("onloading", "offloading")]
    return sum(array.nbytes for array in (*arrays, problem.row_lower, problem.row_upper))


def took(solver, kind, limit):
    """Return the seconds of a solve."""
    logging.getLogger("pyomo_j3o").setLevel(logging.ERROR)
    SolverFactory(solver).solve(library.small_example(), lp_solver="highs", mip_solver="highs")
    model = KINDS[kind][0]()
    start = time.perf_counter()
    SolverFactory(solver).solve(model, time_limit=limit, **_OPTIONS)
    return time.perf_counter() - start


def peak(kind, limit):
    """Return the peak of a solve's memory beyond the model, without HiGHS's own, and of the arrays."""
    logging.getLogger("pyomo_j3o").setLevel(logging.ERROR)
    model = KINDS[kind][0]()
    size = array_bytes(compile_model(model)[0])
    gc.collect()
    tracemalloc.start()
    SolverFactory("j3o").solve(model, time_limit=limit, **_OPTIONS)
    return tracemalloc.get_traced_memory()[1], size


def grown(solver, kind, limit):
    """Return by how much the whole process grows in a solve, HiGHS's memory included, in bytes."""
    logging.getLogger("pyomo_j3o").setLevel(logging.ERROR)
    build, small = KINDS[kind]
    options = {name: value for name, value in _OPTIONS.items() if solver != "highs" or "solver" not in name}
    SolverFactory(solver).solve(build(**small), time_limit=limit, **options)
    model = build()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    SolverFactory(solver).solve(model, time_limit=limit, **options)
    return 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def apart(function, *arguments):
    """Return what the function returns in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


@pytest.mark.parametrize("limit", [0.1, 0.5, 2.0, 10.0])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["j3o", "j3o.exact"])
def test_a_limit_is_kept_within_a_tenth_or_half_a_second(solver, kind, limit):
    """Whatever the size: in the middle of compilation as well as of an LP or a MIP."""
    seconds = apart(took, solver, kind, limit)
    print(f"{solver}, {kind}: time_limit={limit:g} took {seconds:.2f} s")
    assert seconds <= limit + max(0.1 * limit, 0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_a_multiple_of_the_arrays(kind):
    """Beyond the model and without HiGHS's own, at most 8 times the arrays, and what any solve takes."""
    most, size = apart(peak, kind, 20.0)
    print(f"{kind}: {most / 1e6:.0f} MB at most, {size / 1e6:.1f} MB of arrays: {most / size:.1f}")
    assert most <= 8 * size + _ANYWAY


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "products"])
@pytest.mark.parametrize("solver", ["j3o", "j3o.exact"])
def test_the_process_grows_no_more_than_by_plain_highs(solver, kind):
    """What counts is HiGHS's memory: j3o's comes on top of no more than half of it, and of what any takes."""
    mine, plain = (apart(grown, name, kind, 20.0) for name in (solver, "highs"))
    print(f"{solver}, {kind}: {mine / 1e6:.0f} MB, plain HiGHS {plain / 1e6:.0f} MB")
    assert mine <= 1.5 * plain + _ANYWAY
