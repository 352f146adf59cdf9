"""Instances of ours on published figures: 72 Taskonomy networks on clients, edge servers and a cloud."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

from pyomo_j3o.inference import InferenceData


class TaskonomyModels(NamedTuple):
    """The published networks, as arrays.

    Attributes
    ----------
    names
        The M = 72 model ids.
    tasks
        The T = 5 task names.
    loss
        Test loss, shape (M, T), lower is better; NaN where the model was not trained for the task.
    parameters
        Shape (M,), million parameters.
    gmacs
        Shape (M,), billion multiply-adds per query (one 256×256 image).
    """

    names: tuple[str, ...]
    tasks: tuple[str, ...]
    loss: np.ndarray
    parameters: np.ndarray
    gmacs: np.ndarray


@cache
def taskonomy_models() -> TaskonomyModels:
    """Read the published figures that come with the package.

    Returns
    -------
    TaskonomyModels
        Settings 1 (small networks) and 2 (large networks), 36 models each.

    References
    ----------
    T. Standley et al., "Which Tasks Should Be Learned Together in Multi-task Learning?", ICML 2020;
    github.com/tstandley/taskgrouping, commit bb1496e42ff442b7ac69e6f227060b8023325d07 (MIT).
    """
    text = files("pyomo_j3o").joinpath("data/taskonomy_models.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    names = tuple(dict.fromkeys(row["model_id"] for row in rows))
    tasks = tuple(dict.fromkeys(row["task"] for row in rows))
    loss = np.full((len(names), len(tasks)), np.nan)
    parameters, gmacs = np.zeros(len(names)), np.zeros(len(names))
    for row in rows:
        k = names.index(row["model_id"])
        loss[k, tasks.index(row["task"])] = float(row["loss_test"])
        parameters[k] = int(row["params"]) / 1e6
        gmacs[k] = int(row["macs"]) / 1e9
    for array in (loss, parameters, gmacs):
        array.setflags(write=False)
    return TaskonomyModels(names, tasks, loss, parameters, gmacs)


def accuracy_from_loss(loss: np.ndarray) -> np.ndarray:
    """Map losses to accuracies, our way: the best published loss of the task over the loss.

    Per task it is decreasing in the loss and lies in (0, 1], with 1 for the best published model. The five
    losses have different units; a ratio to the best of the task has none. It is a relative quality, no hit
    rate: 0.5 says twice the loss of the best model. One 2-D keypoints network has about half the loss of the
    next best, so all other keypoints networks lie near 0.5.

    Parameters
    ----------
    loss
        Shape (M, T), NaN where a model cannot do a task.

    Returns
    -------
    numpy.ndarray
        Shape (M, T), NaN in the same places.
    """
    return np.nanmin(loss, axis=0) / loss


# Effective throughput, GMAC/s. Client: batch 1 on a laptop's Intel i7-12700H, 25th to 75th percentile of
# GMACs / latency over the 104 networks of 1 to 12 GMACs in
# github.com/huggingface/pytorch-image-models, commit aa4b5850c1543fa488abf260f18390eda46cf85d,
# results/benchmark-infer-fp32-nchw-pt240-cpu-i7_12700h-dynamo.csv (Apache-2.0).
_CLIENT_GMACS_PER_SECOND = (79.0, 123.0)
# Edge server: large batches on an RTX 3090, same networks, 25th to 75th percentile of GMACs × images/s in
# results/benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv of the same repository.
_EDGE_GMACS_PER_SECOND = (6300.0, 14300.0)
# One uncompressed 8-bit RGB image of 256×256 pixels, the networks' input.
_QUERY_MBIT = 256 * 256 * 3 * 8 / 1e6

# The rest is ours, set so that all four kinds of budget bind (see `taskonomy_data`).
_QUERIES_PER_SECOND = (4.0, 12.0)
_TASK_CONCENTRATION = 1.0
_CLIENT_MEMORY = (5.0, 14.0)
_EDGE_MEMORY = (20.0, 45.0)
_CLIENT_COMPUTE = (0.1, 0.35)
_EDGE_COMPUTE_SHARE = 0.35
_CLIENT_UPLINK_SHARE = (0.2, 0.6)
_EDGE_UPLINK_SHARE = 0.05


def taskonomy_data(
    clients: int = 10,
    edges: int = 2,
    seed: int = 0,
    memory: float = 1.0,
    compute: float = 1.0,
    uplink: float = 1.0,
) -> InferenceData:
    """Draw a system of clients and edge servers that choose among the 72 published Taskonomy networks.

    Networks, losses, parameters and multiply-adds are published; the system around them is ours, drawn from
    `seed`. It is not an instance of arXiv 2508.13380, and reproduces no figure of it.

    - Accuracy is `accuracy_from_loss`; the cloud runs the best published model of each task: accuracy 1.
    - Load: 4–12 queries/s per client, split over the tasks by a flat Dirichlet draw.
    - Service time: multiply-adds over a node's throughput, drawn for clients from the middle half of what
      published networks reach on a laptop's CPU, for edge servers on a desktop GPU.
    - Memory, in million parameters: 5–14 on a client, one to three small networks or a half-size large one;
      20–45 on an edge server, one or two large networks or up to ten small ones.
    - Compute: 0.1–0.35 of a processor on a client; on an edge server the slice of the GPU that runs 35 % of
      its clients' queries on an average network.
    - Uplinks: 20–60 % of a client's queries, 5 % of an edge server's; more where that does not serve all.

    With the three multipliers at 1 or above a plan without drops exists by construction: each client and edge
    server holds the small five-task network, the client runs what its compute budget allows, the edge server
    then what its own allows, and the cloud the rest; the uplinks are never drawn smaller than this needs.

    Parameters
    ----------
    clients, edges
        Numbers of clients and edge servers; clients are spread evenly over the edge servers.
    seed
        Seed of the one random generator used. The same arguments give the same data on every machine.
    memory, compute, uplink
        Multipliers of the default budgets of that kind. Below 1 a model without drops may be infeasible.

    Returns
    -------
    InferenceData
        Memory in million parameters, payload in Mbit.

    Raises
    ------
    ValueError
        If there is no client or edge server, or a multiplier is negative.
    """
    _check_sizes(clients, edges, memory, compute, uplink)
    rng = np.random.default_rng(seed)
    nets = taskonomy_models()
    n_tasks = len(nets.tasks)
    home = np.arange(clients) % edges

    rates = rng.uniform(*_QUERIES_PER_SECOND, clients)
    load = rates[:, None] * rng.dirichlet(np.full(n_tasks, _TASK_CONCENTRATION), clients)
    throughput = np.concatenate(
        [rng.uniform(*_CLIENT_GMACS_PER_SECOND, clients), rng.uniform(*_EDGE_GMACS_PER_SECOND, edges)]
    )
    service_time = nets.gmacs[None, :] / throughput[:, None]
    memory_budget = np.concatenate([rng.uniform(*_CLIENT_MEMORY, clients), rng.uniform(*_EDGE_MEMORY, edges)])
    client_compute = rng.uniform(*_CLIENT_COMPUTE, clients)
    client_share = rng.uniform(*_CLIENT_UPLINK_SHARE, clients)

    rate_at_edge = np.bincount(home, rates, minlength=edges)
    mean_edge_time = service_time[clients:].mean(axis=1)
    edge_compute = _EDGE_COMPUTE_SHARE * rate_at_edge * mean_edge_time

    # The witness of feasibility, in queries/s: what is left once the small five-task network did its share.
    small = nets.names.index("s1_full_12345")
    left = np.maximum(0.0, rates - client_compute / service_time[:clients, small])
    left_at_edge = np.bincount(home, left, minlength=edges)
    left_for_cloud = np.maximum(0.0, left_at_edge - edge_compute / service_time[clients:, small])
    slack = 1.01
    client_uplink = _QUERY_MBIT * np.maximum(client_share * rates, slack * left)
    edge_uplink = _QUERY_MBIT * np.maximum(_EDGE_UPLINK_SHARE * rate_at_edge, slack * left_for_cloud)

    return InferenceData(
        name=f"taskonomy-{clients}-{edges}-{seed}",
        models=nets.names,
        memory=nets.parameters,
        tasks=nets.tasks,
        query_size=np.full(n_tasks, _QUERY_MBIT),
        accuracy=accuracy_from_loss(nets.loss),
        cloud_accuracy=np.ones(n_tasks),
        clients=tuple(f"client{i + 1}" for i in range(clients)),
        edges=tuple(f"edge{e + 1}" for e in range(edges)),
        edge_of=tuple(f"edge{e + 1}" for e in home),
        load=load,
        service_time=service_time,
        memory_budget=memory * memory_budget,
        compute_budget=compute * np.concatenate([client_compute, edge_compute]),
        uplink_budget=uplink * np.concatenate([client_uplink, edge_uplink]),
        memory_unit="million parameters",
        payload_unit="Mbit",
    )


def _check_sizes(clients: int, edges: int, memory: float, compute: float, uplink: float) -> None:
    for name, number in (("clients", clients), ("edges", edges)):
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 1:
            raise ValueError(f"{name}={number!r}: give a whole number of at least 1")
    for name, factor in (("memory", memory), ("compute", compute), ("uplink", uplink)):
        if not factor >= 0:
            raise ValueError(f"{name}={factor!r}: give a multiplier of at least 0 (1: the default budgets)")


def instances() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name the thirty instances of comparisons: 5–40 clients, 1–4 edge servers, with drops and without.

    Yields
    ------
    tuple
        A name and the keyword arguments of `pyomo_j3o.library.taskonomy`.
    """
    sizes = (
        (5, 1),
        (8, 1),
        (10, 1),
        (10, 2),
        (12, 2),
        (15, 2),
        (16, 2),
        (20, 2),
        (20, 3),
        (24, 3),
        (25, 2),
        (30, 3),
        (32, 4),
        (36, 4),
        (40, 4),
    )
    for k, (clients, edges) in enumerate(sizes):
        for droppable in (False, True):
            seed = 2 * k + droppable
            kind = "drop" if droppable else "serve"
            yield (
                f"taskonomy-{clients}-{edges}-{kind}",
                {"clients": clients, "edges": edges, "seed": seed, "droppable": droppable},
            )
