"""Hierarchical inference in which a client may use several edge servers, annotated.

The paper leaves this case open: there, and in `pyomo_j3o.library.build_model`, a client has one edge
server, and a system falls apart into one independent part for each. Here edge servers that share clients
hang together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyomo.environ as pyo

from pyomo_j3o.core.checks import check_counts
from pyomo_j3o.library.building import weighted
from pyomo_j3o.library.data import CLOUD, InferenceData
from pyomo_j3o.library.inference_rows import (
    add_budgets,
    add_demand,
    add_loads,
    add_variables,
    fill_memory,
    linear_sum,
    mean_accuracy,
    models_worth_onloading,
    options_of,
    terms_by_row,
)
from pyomo_j3o.library.taskonomy_figures import taskonomy_data


def build_multi_edge(
    data: InferenceData,
    reaches: Mapping[str, Sequence[str]],
    droppable: bool = False,
    mutable: bool = False,
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
    mutable
        Whether the loads are a mutable Param ``loads[client, task]``, as in
        `pyomo_j3o.library.build_model`.

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
    held = models_worth_onloading(data, reach)
    # An option in the cloud names the edge server on the way.
    options = options_of(data, held, reach, in_cloud=reach)

    m = pyo.ConcreteModel(name=f"{data.name}, several edge servers")
    m.system, m.reaches = data, reach
    loads = add_loads(m, data) if mutable else None
    terms = terms_by_row(data, options, loads).in_order_of(data.nodes)
    add_variables(m, held, options)
    x, y = m.place.x, m.route.y
    m.link = pyo.Constraint([h for h in options if h[2] != CLOUD])
    for h in m.link.index_set():
        m.link[h] = weighted([(1.0, y[h]), (-1.0, x[h[2:]])]) <= 0
    m.memory = pyo.Constraint(data.nodes)
    fill_memory(m, data, held)
    total = linear_sum(y)
    add_demand(
        *(m, data, terms, total, droppable),
        where="an edge server in its reach",
        remedy="an accuracy or a larger memory budget",
    )
    add_budgets(m, data, terms, total)
    m.mean_accuracy = pyo.Objective(expr=mean_accuracy(total, terms, loads), sense=pyo.maximize)
    return m


def _known_edges(data: InferenceData, client: str, edges: Sequence[str]) -> tuple[str, ...]:
    """Return the client's edge servers without repetition, or say what is wrong with them."""
    reach = tuple(dict.fromkeys(edges))
    if not reach or any(e not in data.edges for e in reach):
        raise ValueError(
            f"reaches[{client!r}]={edges!r}: give one or more of the edge servers {', '.join(data.edges)}"
        )
    return reach


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
