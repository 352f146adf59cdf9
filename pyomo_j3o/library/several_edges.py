"""Hierarchical inference in which a client may use several edge servers, annotated.

The paper leaves this case open: there, a client has one edge server, and a system falls apart into one
independent part for each. Here edge servers that share clients hang together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyomo.environ as pyo

from pyomo_j3o.core.checks import check_counts
from pyomo_j3o.library.data import InferenceData
from pyomo_j3o.library.hierarchical import build_model
from pyomo_j3o.library.latency_rows import LatencyLimit
from pyomo_j3o.library.taskonomy_figures import taskonomy_data


def build_multi_edge(
    data: InferenceData,
    reaches: Mapping[str, Sequence[str]],
    droppable: bool = False,
    mutable: bool = False,
    form: str = "linear",
    headroom: float = 0.0,
    compute_headroom: float = 0.0,
    latency_limit: LatencyLimit | None = None,
) -> pyo.ConcreteModel:
    """Write the model of one system in which every client may use several edge servers.

    ::

        max  Σ_it (λ_it/Λ) Σ_h a_h y_ith
        s.t. Σ_h y_ith = 1   (≤ 1 if droppable)              demand[client, task]
             y_ith ≤ x_nm                                     link[client, task, node, model]
             Σ_m r_m x_nm ≤ μ_n                               memory[node]
             Σ λ_it τ_nm y_ith ≤ (1 − compute_headroom) β_n   compute[node]
             Σ λ_it b_t y_ith ≤ κ_i   (h not on i)            client_uplink[client]
             Σ λ_it b_t y_ith ≤ κ_e   (h in the cloud, by e)  edge_uplink[edge]

    The options h of a client and task are the models on the client, those on each edge server in its reach,
    and the cloud by way of each of these. Windows and latency limits give the rows of
    `pyomo_j3o.library.build_model`; with one edge server each it is the model of that builder, which is also
    the one called here, with `reaches` put into the data.

    Parameters
    ----------
    data
        The system. Its ``edge_of`` is not used.
    reaches
        Per client the edge servers that it may use; one or more.
    droppable, mutable, form, headroom, compute_headroom, latency_limit
        As for `pyomo_j3o.library.build_model`.

    Returns
    -------
    pyomo.environ.ConcreteModel
        See `pyomo_j3o.library.build_model`. Of ``route.y[client, task, node, model]`` in the cloud, node is
        ``"cloud"`` and the last index the edge server on the way. The attribute ``data`` is `data` with
        `reaches`.

    Raises
    ------
    ValueError
        If a client has no edge server in reach or an unknown one, or a demand that must not be dropped has no
        option; or as `pyomo_j3o.library.build_model`.
    """
    return build_model(
        replace(data, reaches=reaches),
        droppable=droppable,
        form=form,
        headroom=headroom,
        mutable=mutable,
        compute_headroom=compute_headroom,
        latency_limit=latency_limit,
    )


# Eleven keyword parameters: those of `pyomo_j3o.library.taskonomy` and the reach.
def multi_edge(
    clients: int = 8,
    edges: int = 3,
    seed: int = 0,
    reach: int = 2,
    droppable: bool = False,
    memory: float = 1.0,
    compute: float = 1.0,
    uplink: float = 1.0,
    form: str = "linear",
    window: float | Sequence[float] | None = None,
    headroom: float = 0.0,
) -> pyo.ConcreteModel:
    """Build a Taskonomy instance in which every client may use several edge servers.

    The system is that of `pyomo_j3o.library.taskonomy_data`; each client reaches its own edge server and the
    next ones in the order of their names, round again after the last. With more reach nothing is lost, so the
    best accuracy cannot fall.

    Parameters
    ----------
    clients, edges, seed, memory, compute, uplink, window
        As for `pyomo_j3o.library.taskonomy_data`.
    reach
        How many edge servers a client may use, at most `edges`; with 1 the optimum is that of
        `pyomo_j3o.library.taskonomy`.
    droppable, form, headroom
        As for `build_multi_edge`.

    Returns
    -------
    pyomo.environ.ConcreteModel
        See `build_multi_edge`.

    Raises
    ------
    ValueError
        If `reach` is out of range, or as `pyomo_j3o.library.taskonomy_data` and `build_multi_edge`.
    """
    check_counts(reach=reach)
    data = taskonomy_data(clients, edges, seed, memory=memory, compute=compute, uplink=uplink, window=window)
    if reach > edges:
        raise ValueError(f"reach={reach!r}: there are {edges} edge servers; give at most that many")
    reaches = {}
    for client, own in zip(data.clients, data.edge_of, strict=True):
        first = data.edges.index(own)
        reaches[client] = [data.edges[(first + r) % edges] for r in range(reach)]
    return build_multi_edge(data, reaches, droppable=droppable, form=form, headroom=headroom)
