"""How fast models are compiled; not part of the default run: ``pytest tests/benchmarks``."""

import statistics
import time

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

from pyomo_j3o.modeling.annotate import annotate
from pyomo_j3o.modeling.compiler import compile_model

N_MODELS, N_ROUTES = 5_000, 9


def variables():
    """Return 5,000 onloading and 45,000 offloading variables, marked."""
    m = pyo.ConcreteModel()
    m.I, m.J = pyo.RangeSet(N_MODELS), pyo.RangeSet(N_ROUTES)
    m.x = pyo.Var(m.I, domain=pyo.Binary)
    m.y = pyo.Var(m.I, m.J, bounds=(0, 1))
    annotate(m, onloading=m.x, offloading=m.y)
    return m


def linear(mutable=False):
    """Return links y <= w*x, a sum per demand, a knapsack, an objective: 185,000 nonzeros."""
    m = variables()
    m.w = pyo.Param(m.I, initialize=lambda m, i: 1 + i % 7, mutable=mutable)
    m.link = pyo.Constraint(m.I, m.J, rule=lambda m, i, j: m.y[i, j] <= m.w[i] * m.x[i])
    m.demand = pyo.Constraint(m.I, rule=lambda m, i: sum(m.y[i, j] for j in m.J) == 1)
    m.memory = pyo.Constraint(expr=sum(m.w[i] * m.x[i] for i in m.I) <= N_MODELS)
    m.gain = pyo.Objective(
        expr=sum((m.w[i] + j / 10) * m.y[i, j] for i in m.I for j in m.J), sense=pyo.maximize
    )
    return m


SHAPES = {
    "w*x*y": lambda m, i, w: sum(w * j * m.x[i] * m.y[i, j] for j in m.J),
    "w*(x*y)": lambda m, i, w: sum(w * j * (m.x[i] * m.y[i, j]) for j in m.J),
    "x*sum(w*y)": lambda m, i, w: m.x[i] * sum(w * j * m.y[i, j] for j in m.J),
}


def bilinear(shape):
    """Return a model with 45,000 products in rows and as many in the objective."""
    m = variables()
    m.compute = pyo.Constraint(m.I, rule=lambda m, i: SHAPES[shape](m, i, 0.5) <= 1)
    m.gain = pyo.Objective(expr=sum(SHAPES[shape](m, i, 2) for i in m.I), sense=pyo.maximize)
    return m


def nonzeros(problem):
    """Return the number of coefficients, those of the objective included."""
    linear_ones = np.count_nonzero(problem.onloading_objective)
    linear_ones += np.count_nonzero(problem.offloading_objective)
    return problem.n_nonzeros + linear_ones


def times(action, rounds):
    """Return how long `action` took each time, in seconds."""
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        found.append(time.perf_counter() - start)
    return found


@pytest.mark.parametrize("mutable", [False, True])
def test_linear(benchmark, mutable):
    """The time to compile a linear model, with and without mutable Params."""
    m = linear(mutable)
    problem, _ = benchmark(compile_model, m)
    benchmark.extra_info["us_per_nonzero"] = 1e6 * benchmark.stats.stats.min / nonzeros(problem)


@pytest.mark.parametrize("shape", SHAPES)
def test_bilinear(benchmark, shape):
    """At most 2 µs for each product, in every shape, on a quiet machine."""
    m = bilinear(shape)
    problem, _ = benchmark(compile_model, m)
    assert len(problem.products) == 2 * N_MODELS * N_ROUTES
    benchmark.extra_info["us_per_nonzero"] = 1e6 * benchmark.stats.stats.min / nonzeros(problem)


@pytest.mark.parametrize("mutable", [False, True])
def test_ratio_to_pyomos_standard_form(mutable):
    """No slower than Pyomo's own compiler, which knows no products, roles or variable bounds."""
    m = linear(mutable)
    ours, theirs = [], []
    # In turns, so that other load on the machine hits both.
    for _ in range(7):
        ours += times(lambda: compile_model(m), 1)
        theirs += times(lambda: LinearStandardFormCompiler().write(m, mixed_form=True), 1)
    per_nonzero = 1e6 / nonzeros(compile_model(m)[0])
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(
        f"\nmutable={mutable}: ours {min(ours) * per_nonzero:.2f}, theirs {min(theirs) * per_nonzero:.2f} "
        f"µs per nonzero (best of 7); ratio of the medians {ratio:.2f}"
    )
    assert ratio <= 1
