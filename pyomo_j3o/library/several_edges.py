"""Hierarchical inference in which a client may use several edge servers, annotated.

The paper leaves this case open: there, and in `pyomo_j3o.library.build_model`, a client has one edge
server, and a system falls apart into one independent part for each. Here edge servers that share clients
hang together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo

from pyomo_j3o.core.checks import check_counts
from pyomo_j3o.library.building import weighted
from pyomo_j3o.library.data import CLOUD, InferenceData
from pyomo_j3o.library.taskonomy_figures import taskonomy_data
from pyomo_j3o.modeling.annotate import OffloadingBlock, OnloadingBlock

Option = tuple[str, str, str, str]


def build_multi_edge(
    data: InferenceData, reaches: Mapping[str, Sequence[str]], droppable: bool = False
) -> pyo.ConcreteModel:
    """Write the model of one system in which every client may use several edge servers.

    ::

        max  Σ_it (λ_it/Λ) Σ_h a_h y_ith
        s.t. Σ_h y_ith = 1   (≤ 1 if droppable)              demand[client, task]
             y_ith ≤ x_nm                                     link[client, task, node, model]
             Σ_m r_m x_nm ≤ μ_n                               memory[node]
             Σ λ_it τ_nm y_ith ≤ β_n                          compute[node]
             Σ λ_it b_t y_ith ≤ κ_i   (h not on i)            client_uplink[client]
             Σ λ_it b_t y_ith ≤ κ_e   (h in the cloud, by e)  edge_uplink[edge]

    The options h of a client and task are the models on the client, those on each edge server in its reach,
    and the cloud by way of each of these. With one edge server each it is the model of
    `pyomo_j3o.library.build_model`.

    Parameters
    ----------
    data
        The system, without windows. Its ``edge_of`` is not used.
    reaches
        Per client the edge servers that it may use; one or more.
    droppable
        Whether queries may be dropped, at an accuracy of 0.

    Returns
    -------
    pyomo.environ.ConcreteModel
        Holds ``place.x[node, model]``, ``route.y[client, task, node, model]`` (for the cloud, node is
        ``"cloud"`` and the last index the edge server on the way), the rows above, the objective
        ``mean_accuracy`` (maximised), `data` as ``system`` and a copy of `reaches` as ``reaches``.

    Raises
    ------
    ValueError
        If the data have windows, a client has no edge server in reach or an unknown one, or a demand that
        must not be dropped has no option.
    """
    if data.window is not None:
        raise ValueError("data: has windows; this model has none, so give data whose window is None")
    reach = {client: _known_edges(data, client, reaches.get(client, ())) for client in data.clients}
    held = _models_worth_onloading(data, reach)
    options = _options(data, reach, held)

    m = pyo.ConcreteModel(name=f"{data.name}, several edge servers")
    # Not as "data": the tables and the simulation take a model that has it for one edge server per client.
    m.system, m.reaches = data, reach
    m.place = OnloadingBlock()
    m.place.x = pyo.Var([(node, k) for node, models in held.items() for k in models], domain=pyo.Binary)
    m.route = OffloadingBlock()
    m.route.y = pyo.Var(options, bounds=(0, 1))
    x, y = m.place.x, m.route.y

    m.link = pyo.Constraint([h for h in options if h[2] != CLOUD])
    for h in m.link.index_set():
        m.link[h] = weighted([(1.0, y[h]), (-1.0, x[h[2:]])]) <= 0
    footprint = dict(zip(data.models, data.memory.tolist(), strict=True))
    m.memory = pyo.Constraint(data.nodes)
    for node, budget in zip(data.nodes, data.memory_budget.tolist(), strict=True):
        if held[node] and math.isfinite(budget):
            m.memory[node] = weighted((footprint[k], x[node, k]) for k in held[node]) <= budget

    terms = _terms_by_row(data, options)
    m.demand = pyo.Constraint(pyo.Any)
    for i, client in enumerate(data.clients):
        for t, task in enumerate(data.tasks):
            row = terms["demand"].get((client, task))
            if row is None and data.load[i, t] > 0 and not droppable:
                raise ValueError(
                    f"load[{client!r}, {task!r}]: no model that fits the client or an edge server in its "
                    "reach can do this task, and the cloud does not; give an accuracy or a larger memory "
                    "budget, or build the model with droppable=True"
                )
            if row is not None:
                total = weighted((c, y[h]) for c, h in row)
                m.demand[client, task] = total <= 1 if droppable else total == 1
    for name, budgets in (
        ("compute", data.compute_budget),
        ("client_uplink", data.uplink_budget),
        ("edge_uplink", data.uplink_budget),
    ):
        rows = pyo.Constraint(pyo.Any)
        m.add_component(name, rows)
        for node, budget in zip(data.nodes, budgets.tolist(), strict=True):
            if node in terms[name] and math.isfinite(budget):
                rows[node] = weighted((c, y[h]) for c, h in terms[name][node]) <= budget
    m.mean_accuracy = pyo.Objective(
        expr=weighted((c, y[h]) for c, h in terms["objective"][None]), sense=pyo.maximize
    )
    return m


def _known_edges(data: InferenceData, client: str, edges: Sequence[str]) -> tuple[str, ...]:
    """Return the client's edge servers without repetition, or say what is wrong with them."""
    reach = tuple(dict.fromkeys(edges))
    if not reach or any(e not in data.edges for e in reach):
        raise ValueError(
            f"reaches[{client!r}]={edges!r}: give one or more of the edge servers {', '.join(data.edges)}"
        )
    return reach


def _models_worth_onloading(data: InferenceData, reach: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Models per node that fit its memory alone, run there, and do a task asked for there."""
    asked = {client: data.load[i] > 0 for i, client in enumerate(data.clients)}
    for edge in data.edges:
        asked[edge] = np.zeros(len(data.tasks), dtype=bool)
        for client in data.clients:
            if edge in reach[client]:
                asked[edge] = asked[edge] | asked[client]
    can = ~np.isnan(data.accuracy)
    held = {}
    for n, node in enumerate(data.nodes):
        useful = (can & asked[node]).any(axis=1) & (data.memory <= data.memory_budget[n])
        useful &= ~np.isnan(data.service_time[n])
        held[node] = [k for k, good in zip(data.models, useful, strict=True) if good]
    return held


def _options(
    data: InferenceData, reach: Mapping[str, Sequence[str]], held: Mapping[str, Sequence[str]]
) -> list[Option]:
    """All (client, task, node, model), and (client, task, cloud, edge server on the way)."""
    can = {
        k: {data.tasks[t] for t in np.flatnonzero(~np.isnan(row))}
        for k, row in zip(data.models, data.accuracy, strict=True)
    }
    options = []
    for i, client in enumerate(data.clients):
        for t, task in enumerate(data.tasks):
            if not data.load[i, t] > 0:
                continue
            for node in (client, *reach[client]):
                options += [(client, task, node, k) for k in held[node] if task in can[k]]
            if not math.isnan(data.cloud_accuracy[t]):
                options += [(client, task, CLOUD, edge) for edge in reach[client]]
    return options


def _terms_by_row(
    data: InferenceData, options: list[Option]
) -> dict[str, dict[Any, list[tuple[float, Option]]]]:
    """Return coefficients and options by family of rows and, within it, by row."""
    client_at = {name: i for i, name in enumerate(data.clients)}
    node_at = {name: n for n, name in enumerate(data.nodes)}
    model_at = {name: k for k, name in enumerate(data.models)}
    task_at = {name: t for t, name in enumerate(data.tasks)}
    load, accuracy, cloud = data.load.tolist(), data.accuracy.tolist(), data.cloud_accuracy.tolist()
    seconds, size, all_load = data.service_time.tolist(), data.query_size.tolist(), float(data.total_load)
    terms: dict[str, dict[Any, list[tuple[float, Option]]]] = {
        family: {} for family in ("demand", "compute", "client_uplink", "edge_uplink", "objective")
    }
    for h in options:
        client, task, node, model = h
        i, t = client_at[client], task_at[task]
        rate = load[i][t]
        worth = cloud[t] if node == CLOUD else accuracy[model_at[model]][t]
        terms["demand"].setdefault((client, task), []).append((1.0, h))
        terms["objective"].setdefault(None, []).append((rate / all_load * worth, h))
        if node == CLOUD:
            terms["edge_uplink"].setdefault(model, []).append((rate * size[t], h))
        else:
            terms["compute"].setdefault(node, []).append((rate * seconds[node_at[node]][model_at[model]], h))
        if node != client:
            terms["client_uplink"].setdefault(client, []).append((rate * size[t], h))
    return terms


def multi_edge(
    clients: int = 8,
    edges: int = 3,
    seed: int = 0,
    reach: int = 2,
    droppable: bool = False,
    memory: float = 1.0,
    compute: float = 1.0,
    uplink: float = 1.0,
) -> pyo.ConcreteModel:
    """Build a Taskonomy instance in which every client may use several edge servers.

    The system is that of `pyomo_j3o.library.taskonomy_data`; each client reaches its own edge server and the
    next ones in the order of their names, round again after the last. With more reach nothing is lost, so the
    best accuracy cannot fall.

    Parameters
    ----------
    clients, edges, seed, memory, compute, uplink
        As for `pyomo_j3o.library.taskonomy_data`.
    reach
        How many edge servers a client may use, at most `edges`; with 1 the optimum is that of
        `pyomo_j3o.library.taskonomy`.
    droppable
        As for `build_multi_edge`.

    Returns
    -------
    pyomo.environ.ConcreteModel
        See `build_multi_edge`.

    Raises
    ------
    ValueError
        If `reach` is out of range, or as `pyomo_j3o.library.taskonomy_data`.
    """
    check_counts(reach=reach)
    data = taskonomy_data(clients, edges, seed, memory=memory, compute=compute, uplink=uplink)
    if reach > edges:
        raise ValueError(f"reach={reach!r}: there are {edges} edge servers; give at most that many")
    reaches = {}
    for client, own in zip(data.clients, data.edge_of, strict=True):
        first = data.edges.index(own)
        reaches[client] = [data.edges[(first + r) % edges] for r in range(reach)]
    return build_multi_edge(data, reaches, droppable=droppable)
