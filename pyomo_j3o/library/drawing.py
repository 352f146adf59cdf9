"""A system of clients and edge servers drawn around published networks, from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pyomo_j3o.core.checks import check_counts, check_multipliers, check_seed
from pyomo_j3o.library.batch_latency import v100_batch_latency
from pyomo_j3o.library.data import InferenceData

# Effective throughput, GMAC/s. Client: batch 1 on a laptop's Intel i7-12700H, 25th to 75th percentile of
# GMACs / latency over the 104 networks of 1 to 12 GMACs in
# github.com/huggingface/pytorch-image-models, commit aa4b5850c1543fa488abf260f18390eda46cf85d,
# results/benchmark-infer-fp32-nchw-pt240-cpu-i7_12700h-dynamo.csv (Apache-2.0).
_CLIENT_GMACS_PER_SECOND = (79.0, 123.0)
# Edge server: large batches on an RTX 3090, same networks, 25th to 75th percentile of GMACs × images/s in
# results/benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv of the same repository.
_EDGE_GMACS_PER_SECOND = (6300.0, 14300.0)

# Ours, as are all budgets and loads.
_TASK_CONCENTRATION = 1.0

# The window that a plan without drops exists for, as for all longer ones, s.
_SHORTEST_WINDOW = 0.05

# Uplinks carry at least this multiple of what that plan sends.
_UPLINK_SLACK = 1.01


class Networks(NamedTuple):
    """What is published about the models of an instance.

    Attributes
    ----------
    names, tasks
        Names of the M models and the T tasks.
    accuracy
        Shape (M, T), in (0, 1]; NaN where a model cannot do a task. At least one model does all tasks.
    parameters
        Shape (M,), million parameters.
    gmacs
        Shape (M,), billion multiply-adds per query.
    query_mbit
        Payload of one query, Mbit.
    """

    names: tuple[str, ...]
    tasks: tuple[str, ...]
    accuracy: np.ndarray
    parameters: np.ndarray
    gmacs: np.ndarray
    query_mbit: float


class BudgetRanges(NamedTuple):
    """Ranges that budgets and loads are drawn from, uniformly; shares are the same for all edge servers.

    Attributes
    ----------
    client_memory, edge_memory
        Million parameters.
    client_compute
        Seconds of compute per second.
    edge_compute_share
        Share of its clients' queries that an edge server can run on a network of mean cost.
    client_uplink_share
        Share of its queries that a client can send to its edge server.
    edge_uplink_share
        Share of its clients' queries that an edge server can send to the cloud.
    edge_setups_per_second
        With a window: set-ups of a network of mean cost that an edge server has time for besides queries.
    queries_per_second
        What a client sends.
    """

    client_memory: tuple[float, float]
    edge_memory: tuple[float, float]
    client_compute: tuple[float, float]
    edge_compute_share: float
    client_uplink_share: tuple[float, float]
    edge_uplink_share: float
    edge_setups_per_second: float = 20.0
    queries_per_second: tuple[float, float] = (4.0, 12.0)


# Ten parameters: the first six say what is drawn, the others are those of `taskonomy` and `domainnet`.
def draw_system(
    name: str,
    networks: Networks,
    ranges: BudgetRanges,
    clients: int,
    edges: int,
    seed: int,
    memory: float = 1.0,
    compute: float = 1.0,
    uplink: float = 1.0,
    window: float | Sequence[float] | None = None,
) -> InferenceData:
    """Draw loads, throughputs and budgets around published networks.

    - Load: by default 4–12 queries/s per client, split over the tasks by a flat Dirichlet draw.
    - Service time: multiply-adds over a node's throughput, drawn for clients from the middle half of what
      published networks reach on a laptop's CPU, for edge servers on a desktop GPU.
    - The cloud is as good as the best network of each task.
    - Budgets are drawn from `ranges`; those on compute and uplinks grow with the load, so that they bind at
      any size.

    With the three multipliers at 1 or above a plan without drops exists by construction: each client and edge
    server holds the smallest network that does all tasks, the client runs what its compute budget allows, the
    edge server then what its own allows, and the cloud the rest; no uplink is smaller than this needs.

    With a window, edge servers run queries in batches:

    - A batch costs a set-up and a time per query: `pyomo_j3o.library.v100_batch_latency` of the
      multiply-adds, times the mean of the range of throughputs over the one drawn for the edge server.
    - The compute budget of an edge server is drawn as without a window, and has time for set-ups in addition.
      It is the share of a processor that these models get, so of each window T_b it leaves β T_b seconds.
    - The plan without drops exists for every window of 0.05 s and more: for the cloud it leaves what an edge
      server cannot run at 0.05 s. Nothing but ``window`` itself depends on the length, so one system can be
      looked at over a range of windows, up to inf, which is none.

    Loads, client budgets, memory and throughputs are those of the same seed without a window.

    Parameters
    ----------
    name
        Name of the instance.
    networks
        The models to choose among.
    ranges
        What budgets and loads are drawn from.
    clients, edges
        Numbers of clients and edge servers; clients are spread evenly over the edge servers.
    seed
        Seed of the one random generator used. The same arguments give the same data on every machine.
    memory, compute, uplink
        Multipliers of the budgets of that kind. Below 1 a model without drops may be infeasible.
    window
        T_b, s, one for all edge servers or one for each; None if they do not batch.

    Returns
    -------
    InferenceData
        Memory in million parameters, payload in Mbit.

    Raises
    ------
    ValueError
        If there is no client or edge server, the seed is no whole number of at least 0, a multiplier is
        negative, or a window is no positive length.
    """
    check_counts(clients=clients, edges=edges)
    check_multipliers(memory=memory, compute=compute, uplink=uplink)
    check_seed(seed)
    rng = np.random.default_rng(seed)
    home = np.arange(clients) % edges

    rates = rng.uniform(*ranges.queries_per_second, clients)
    load = rates[:, None] * rng.dirichlet(np.full(len(networks.tasks), _TASK_CONCENTRATION), clients)
    client_speed = rng.uniform(*_CLIENT_GMACS_PER_SECOND, clients)
    edge_speed = rng.uniform(*_EDGE_GMACS_PER_SECOND, edges)
    client_time = networks.gmacs / client_speed[:, None]
    edge_time, setup_time = _edge_times(networks.gmacs, edge_speed, batched=window is not None)
    client_memory = rng.uniform(*ranges.client_memory, clients)
    edge_memory = rng.uniform(*ranges.edge_memory, edges)
    client_compute = rng.uniform(*ranges.client_compute, clients)
    client_share = rng.uniform(*ranges.client_uplink_share, clients)

    rate_at_edge = np.bincount(home, rates, minlength=edges)
    edge_compute = ranges.edge_compute_share * rate_at_edge * edge_time.mean(axis=1)
    edge_compute += ranges.edge_setups_per_second * setup_time.mean(axis=1)

    left, left_for_cloud = _left_by_smallest(
        networks, home, rates, client_compute / client_time.T, edge_compute, edge_time, setup_time
    )
    to_edge = np.maximum(client_share * rates, _UPLINK_SLACK * left)
    to_cloud = np.maximum(ranges.edge_uplink_share * rate_at_edge, _UPLINK_SLACK * left_for_cloud)

    return InferenceData(
        name=name,
        models=networks.names,
        memory=networks.parameters,
        tasks=networks.tasks,
        query_size=np.full(len(networks.tasks), networks.query_mbit),
        accuracy=networks.accuracy,
        cloud_accuracy=np.nanmax(networks.accuracy, axis=0),
        clients=tuple(f"client{i + 1}" for i in range(clients)),
        edges=tuple(f"edge{e + 1}" for e in range(edges)),
        edge_of=tuple(f"edge{e + 1}" for e in home),
        load=load,
        service_time=np.vstack([client_time, edge_time]),
        memory_budget=memory * np.concatenate([client_memory, edge_memory]),
        compute_budget=compute * np.concatenate([client_compute, edge_compute]),
        uplink_budget=uplink * (networks.query_mbit * np.concatenate([to_edge, to_cloud])),
        window=None if window is None else np.asarray(window),
        setup_time=None if window is None else setup_time,
        memory_unit="million parameters",
        payload_unit="Mbit",
    )


def _left_by_smallest(
    networks: Networks,
    home: np.ndarray,
    rates: np.ndarray,
    client_capacity: np.ndarray,
    edge_compute: np.ndarray,
    edge_time: np.ndarray,
    setup_time: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the queries/s that clients and edge servers leave, if each holds the smallest network for all.

    This plan is the witness that one without drops exists: what is left has to fit the uplinks.

    Parameters
    ----------
    networks
        The smallest that does all tasks is held everywhere.
    home, rates
        (I,): number of each client's edge server, and its queries/s.
    client_capacity
        (M, I): queries/s that a client can run on each network.
    edge_compute
        (E,): seconds of compute per second.
    edge_time, setup_time
        (E, M): time per query and set-up time.

    Returns
    -------
    tuple of numpy.ndarray
        Per client, and per edge server.
    """
    does_all = ~np.isnan(networks.accuracy).any(axis=1)
    small = int(np.argmin(np.where(does_all, networks.parameters, np.inf)))
    left = np.maximum(0.0, rates - client_capacity[small])
    left_at_edge = np.bincount(home, left, minlength=len(edge_compute))
    for_queries = np.maximum(0.0, edge_compute - setup_time[:, small] / _SHORTEST_WINDOW)
    return left, np.maximum(0.0, left_at_edge - for_queries / edge_time[:, small])


def _edge_times(gmacs: np.ndarray, speed: np.ndarray, batched: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return time per query and set-up time (0 if not batched) of each network on each edge server."""
    if not batched:
        per_query = gmacs / speed[:, None]
        return per_query, np.zeros_like(per_query)
    setup, per_query = v100_batch_latency(gmacs)
    slowdown = np.mean(_EDGE_GMACS_PER_SECOND) / speed[:, None]
    return slowdown * per_query, slowdown * setup
