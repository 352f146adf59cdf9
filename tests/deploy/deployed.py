"""Small systems whose plans are exported."""

import math

import numpy as np
import pyomo.environ as pyo

from pyomo_j3o import BatchingWindow, OffloadingBlock, OnloadingBlock, library

STREAM = ("phone", "label")

#: Two edge servers with windows of 0.5 s, each with a client that may keep one small model.
SYSTEM = library.InferenceData(
    name="two servers",
    models=("both", "sharp", "deep"),
    memory=np.array([2, 3, 3]),
    tasks=("edges", "depth"),
    query_size=np.array([1, 1]),
    accuracy=np.array([[0.70, 0.60], [0.90, math.nan], [math.nan, 0.80]]),
    cloud_accuracy=np.array([0.95, 0.95]),
    clients=("phone", "robot"),
    edges=("hall", "yard"),
    edge_of=("hall", "yard"),
    load=np.array([[14, 8], [5, 9]]),
    service_time=np.array([[0.1, 0.2, 0.2], [0.1, 0.2, 0.2], [0.02, 0.05, 0.05], [0.02, 0.05, 0.05]]),
    memory_budget=np.array([2, 3, 6, 3]),
    compute_budget=np.array([0.3, 0.3, 1, 1]),
    uplink_budget=np.array([20, 15, 2, 1.3]),
    window=0.5,
    setup_time=np.full((2, 3), 0.02),
)


def system():
    """Return the model of the two servers, with a headroom of a tenth."""
    return library.build_model(SYSTEM, droppable=True, headroom=0.1)


def solved(model):
    """Return a model, solved, and its results."""
    return model, pyo.SolverFactory("j3o").solve(model)


def by_hand():
    """Return a model that the library did not build: one rack, one stream of 20 queries/s, two networks."""
    m = pyo.ConcreteModel("by hand")
    m.place, m.route = OnloadingBlock(), OffloadingBlock()
    m.place.x = pyo.Var(["vit", "resnet"], domain=pyo.Binary)
    m.route.y = pyo.Var(["vit", "resnet"], bounds=(0, 1))
    m.x, m.y = pyo.Reference(m.place.x), pyo.Reference(m.route.y)
    m.one = pyo.Constraint(expr=m.place.x["vit"] + m.place.x["resnet"] <= 1)
    m.link = pyo.Constraint(["vit", "resnet"], rule=lambda m, k: m.route.y[k] <= m.place.x[k])
    m.all = pyo.Constraint(expr=m.route.y["vit"] + m.route.y["resnet"] <= 1)
    m.window = BatchingWindow()
    m.window.set_batches(
        length=0.5,
        arrivals={k: 20 * m.route.y[k] for k in ("vit", "resnet")},
        setup={"vit": 0.1, "resnet": 0.05},
        per_query={"vit": 0.02, "resnet": 0.03},
        headroom=0.2,
    )
    m.worth = pyo.Objective(expr=0.9 * m.route.y["vit"] + 0.5 * m.route.y["resnet"], sense=pyo.maximize)
    return m
