"""Models whose loads are Params: with other loads they are the models of other data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest

from pyomo_j3o import library
from pyomo_j3o.core.problem import Problem
from pyomo_j3o.modeling.compiler import compile_model


def build_multi_edge(data, **options):
    """Build a model in which every client may use every edge server."""
    return library.build_multi_edge(data, dict.fromkeys(data.clients, data.edges), **options)


def arrays_of(problem: Problem) -> list[np.ndarray]:
    """Return rows, sides and objective as dense arrays."""
    rows = [rows.toarray() for rows in (problem.onloading_rows, problem.offloading_rows)]
    terms = problem.products
    sides = [problem.row_lower, problem.row_upper, problem.onloading_objective, problem.offloading_objective]
    return [*rows, *sides, terms.row, terms.onloading, terms.offloading, terms.coefficient]


@pytest.mark.parametrize(
    ("build", "options", "window"),
    [
        (library.build_model, {}, None),
        (library.build_model, {"form": "product", "droppable": True}, None),
        (library.build_model, {"headroom": 0.1}, 0.2),
        (build_multi_edge, {}, None),
        (build_multi_edge, {"headroom": 0.1}, 0.2),
    ],
    ids=["linear", "product", "windows", "several-edges", "several-edges-windows"],
)
def test_other_loads_give_the_model_of_other_data(build, options, window):
    """Rows and objective follow the Param together, and the objective stays a mean."""
    data = library.taskonomy_data(4, 2, window=window)
    scales = np.random.default_rng(1).uniform(0.5, 2.0, data.load.shape)
    other = replace(data, load=data.load * scales)
    model = build(data, **options, mutable=True)
    for now in (data, other):
        for i, client in enumerate(now.clients):
            for t, task in enumerate(now.tasks):
                if now.load[i, t] > 0:
                    model.loads[client, task] = float(now.load[i, t])
        mutable, plain = compile_model(model)[0], compile_model(build(now, **options))[0]
        for ours, theirs in zip(arrays_of(mutable), arrays_of(plain), strict=True):
            # Rows of a window hold λ / (λ + 1e-12) where those of numbers hold 1.
            np.testing.assert_allclose(ours, theirs, rtol=1e-8 if window else 1e-12)


def test_loads_are_those_that_are_asked_for():
    """What the data say nobody asks for has no Param, as it has no variables; a load is not negative."""
    data = library.small_example_data()
    load = data.load.copy()
    load[0, 1] = 0.0
    model = library.build_model(replace(data, load=load), mutable=True)
    assert list(model.loads) == [("phone", "edges"), ("robot", "edges"), ("robot", "depth")]
    with pytest.raises(ValueError, match="not in parameter domain NonNegativeReals"):
        model.loads["phone", "edges"] = -1.0
    assert library.build_model(data).component("loads") is None
    assert pyo.value(library.build_model(data, mutable=True).loads["phone", "edges"]) == 4
