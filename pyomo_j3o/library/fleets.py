"""One part of a fleet: an edge server with its clients, and what it sends to the cloud that all share."""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo

from pyomo_j3o.library.building import weighted
from pyomo_j3o.library.data import CLOUD
from pyomo_j3o.library.hierarchical import build_model
from pyomo_j3o.library.taskonomy_figures import taskonomy_data


def edge_server(part: int, clients: int = 20, droppable: bool = False) -> pyo.ConcreteModel:
    """Build an edge server with its clients, as a part for `pyomo_j3o.solve_parts`.

    It is an instance of ours on the published Taskonomy figures, drawn anew for every number.

    Parameters
    ----------
    part
        Its number, which is the seed of the draw.
    clients
        How many clients it has.
    droppable
        Whether queries may be dropped.

    Returns
    -------
    pyomo.environ.ConcreteModel
        That of `build_model`. In the place of ``mean_accuracy``, ``right_answers`` is maximised, queries/s
        that are answered rightly, so that parts add up. The named Expression ``cloud`` is the rate at which
        queries go to the cloud, queries/s.
    """
    data = taskonomy_data(clients, 1, part)
    m: Any = build_model(data, droppable=droppable)
    load = {
        (client, task): rate
        for client, rates in zip(data.clients, data.load.tolist(), strict=True)
        for task, rate in zip(data.tasks, rates, strict=True)
    }
    m.cloud = pyo.Expression(expr=weighted((load[h[:2]], y) for h, y in m.route.y.items() if h[2] == CLOUD))
    m.mean_accuracy.deactivate()
    m.right_answers = pyo.Objective(expr=data.total_load * m.mean_accuracy.expr, sense=pyo.maximize)
    return m
