"""Replicas of classifiers on the GPUs of several sites: how many of which variant, and who uses them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyomo.environ as pyo

from pyomo_j3o.core.checks import check_counts, check_multipliers, check_positive, check_seed
from pyomo_j3o.library.batch_latency import v100_classifiers
from pyomo_j3o.library.building import distances, times, weighted
from pyomo_j3o.modeling.annotate import OffloadingBlock, OnloadingBlock

#: A way to answer: (client, task, site, variant of the task).
Route = tuple[int, int, int, int]

#: A replica serves batches of at most this number of queries.
_LARGEST_BATCH = 32

#: Least and largest time in which a query is to be answered, s; the most that the network takes of it.
_LATENCY, _NETWORK = (0.08, 0.3), 0.03

#: Tasks that one client has; least and largest number of GPUs of a site.
_TASKS_PER_CLIENT, _GPUS = 3, (4, 12)


@dataclass(frozen=True)
class ReplicaData:
    """What a model of `replicas` is written from; E sites, T tasks, C clients and V variants of each task.

    Attributes
    ----------
    sites, clients, tasks : (E,), (C,), (T,)
        Their names, in the order of the model's indices.
    networks : (T, V)
        Names of the variants of each task: the task and the published classifier.
    asked
        Queries/s, by client and task, as numbers.
    in_reach : (C, ...)
        The sites of each client, as numbers.
    gpus : (E,)
        Number of GPUs of each site. Every replica has one of them.
    batch : (T, V)
        Queries in the batch that the rate of a replica counts on.
    setup, per_query : (T, V)
        ν and τ of a batch, s.
    rate : (T, V)
        Queries/s of a replica, ``b / (ν + τ b)``.
    accuracy : (T, V)
    """

    sites: tuple[str, ...]
    clients: tuple[str, ...]
    tasks: tuple[str, ...]
    networks: list[list[str]]
    asked: dict[tuple[int, int], float]
    in_reach: list[list[int]]
    gpus: list[int]
    batch: list[list[int]]
    setup: list[list[float]]
    per_query: list[list[float]]
    rate: list[list[float]]
    accuracy: list[list[float]]


def replicas(
    sites: int = 8,
    tasks: int = 6,
    clients: int = 24,
    variants: int = 4,
    seed: int = 0,
    reach: int = 3,
    load: float = 0.8,
    price: float = 0.1,
) -> pyo.ConcreteModel:
    r"""Build a serving model with replicas: how many copies of which network run on the GPUs of each site.

    ::

        max  Σ (λ_ct/Λ) Σ_ev a_tv y_ctev - p Σ_etv n_etv / G
        s.t. Σ_ev y_ctev ≤ 1                         demand[c, t]
             Σ_c λ_ct y_ctev ≤ r_tv n_etv            rate[e, t, v]
             y_ctev ≤ n_etv                          link[c, t, e, v]
             Σ_tv n_etv ≤ G_e                        gpus[e]
             n_etv whole, from 0 to G_e

    A replica occupies one GPU, as in Loki (Ahmad et al. 2024) and INFaaS (Romero et al. 2021). It answers
    batches as large as the latency limit of its task allows: a query waits for one batch and is served in the
    next, so that ``2 (ν + τ b)`` is what remains of the limit beside the network, and ``r = b / (ν + τ b)``.
    ν and τ are fitted to the published latencies of classifiers on a V100 (`v100_classifiers`). All else is
    drawn: which classifiers are the variants of a task, latency limits of 80 to 300 ms, loads, places, and
    accuracies, which grow with the logarithm of the multiply-adds.

    Parameters
    ----------
    sites, tasks, clients
        Their numbers. A client has three tasks, or all if there are fewer.
    variants
        Number of networks to choose from for each task.
    seed
        Seed of the one random generator used.
    reach
        How many sites each client can use: the nearest ones, or all if there are fewer.
    load
        Queries/s of all clients, as a share of what all GPUs answer with networks of middle size; positive.
    price
        What all GPUs together cost, in units of the mean accuracy; 0 or more.

    Returns
    -------
    pyomo.environ.ConcreteModel
        Holds the counts ``place.n[site, task, variant]``, ``route.y[client, task, site, variant]``, the rows
        above and the objective ``net_accuracy`` (maximised). Its attribute ``data`` is a
        `ReplicaData`: from it `pyomo_j3o.deploy` knows names, rates, batches and GPUs.

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    S. Ahmad, H. Guan, R. K. Sitaraman. Loki: a system for serving ML inference pipelines with hardware and
    accuracy scaling. HPDC 2024.

    F. Romero, Q. Li, N. J. Yadwadkar, C. Kozyrakis. INFaaS: automated model-less inference serving. USENIX
    ATC 2021.
    """
    check_counts(sites=sites, tasks=tasks, clients=clients, variants=variants, reach=reach)
    reach = min(reach, sites)
    check_positive("load", load)
    check_multipliers(price=price)
    check_seed(seed)
    drawn = _draw(np.random.default_rng(seed), (sites, tasks, clients, variants, reach), load)
    asked, total, n_gpus = drawn.asked, sum(drawn.asked.values()), sum(drawn.gpus)

    m = pyo.ConcreteModel(name="replicas")
    m.data = drawn
    m.place = OnloadingBlock()
    kinds = [(t, v) for t in range(tasks) for v in range(variants)]
    m.place.n = pyo.Var(
        range(sites),
        range(tasks),
        range(variants),
        domain=pyo.NonNegativeIntegers,
    )
    for (e, _, _), number in m.place.n.items():
        number.setub(drawn.gpus[e])
    m.route = OffloadingBlock()
    routes = [(c, t, e, v) for c, t in asked for e in drawn.in_reach[c] for v in range(variants)]
    m.route.y = pyo.Var(routes, bounds=(0, 1))
    n, y = m.place.n, m.route.y
    m.demand = pyo.Constraint(list(asked))
    for c, t in asked:
        ways = [y[c, t, e, v] for e in drawn.in_reach[c] for v in range(variants)]
        m.demand[c, t] = weighted(times(1.0, ways)) <= 1
    m.rate = pyo.Constraint(range(sites), kinds)
    for (e, t, v), own in _by_replica(routes).items():
        served = [(asked[c, t], y[c, t, e, v]) for c in own]
        m.rate[e, t, v] = weighted([*served, (-drawn.rate[t][v], n[e, t, v])]) <= 0
    m.link = pyo.Constraint(routes)
    for c, t, e, v in routes:
        m.link[c, t, e, v] = weighted([(1.0, y[c, t, e, v]), (-1.0, n[e, t, v])]) <= 0
    m.gpus = pyo.Constraint(range(sites))
    for e in range(sites):
        m.gpus[e] = weighted((1.0, n[e, t, v]) for t, v in kinds) <= drawn.gpus[e]
    worth = [(asked[c, t] / total * drawn.accuracy[t][v], y[c, t, e, v]) for c, t, e, v in routes]
    costs = times(-price / n_gpus, n.values())
    m.net_accuracy = pyo.Objective(expr=weighted([*worth, *costs]), sense=pyo.maximize)
    return m


def _draw(rng: np.random.Generator, size: tuple[int, int, int, int, int], load: float) -> ReplicaData:
    sites, tasks, clients, variants, reach = size
    away = distances(rng.random((clients, 2)), rng.random((sites, 2)))
    in_reach = [sorted(near) for near in np.argsort(away, axis=1)[:, :reach].tolist()]
    gpus = rng.integers(_GPUS[0], _GPUS[1] + 1, sites).tolist()
    known = v100_classifiers()
    by_size = np.argsort(known.gmacs, kind="stable")
    networks, batches, setups, times_per_query, rate, accuracy = [], [], [], [], [], []
    for t in range(tasks):
        # One of each range of sizes, so that small ones are fast and large ones accurate.
        strata = np.array_split(by_size, variants)
        chosen = np.array([rng.choice(stratum) for stratum in strata])
        left = rng.uniform(*_LATENCY) - _NETWORK
        setup, per_query = known.setup[chosen], known.per_query[chosen]
        batch = np.clip(np.floor((left / 2 - setup) / per_query), 1, _LARGEST_BATCH)
        networks.append([f"task{t}-{known.names[k]}" for k in chosen.tolist()])
        batches.append(batch.astype(int).tolist())
        setups.append(setup.tolist())
        times_per_query.append(per_query.tolist())
        rate.append((batch / (setup + per_query * batch)).tolist())
        points = 0.6 + 0.06 * np.log2(known.gmacs[chosen] + 0.5) + rng.normal(0, 0.01, variants)
        accuracy.append(np.clip(points, 0.3, 0.98).tolist())
    asked = {
        (c, int(t)): float(rng.uniform(1, 5))
        for c in range(clients)
        for t in rng.choice(tasks, min(_TASKS_PER_CLIENT, tasks), replace=False)
    }
    middle = [sorted(of_task)[len(of_task) // 2] for of_task in rate]
    gpus_needed = sum(number / middle[t] for (_, t), number in asked.items())
    unit = load * sum(gpus) / gpus_needed
    return ReplicaData(
        sites=tuple(f"site{e}" for e in range(sites)),
        clients=tuple(f"client{c}" for c in range(clients)),
        tasks=tuple(f"task{t}" for t in range(tasks)),
        networks=networks,
        asked={key: unit * number for key, number in asked.items()},
        in_reach=in_reach,
        gpus=gpus,
        batch=batches,
        setup=setups,
        per_query=times_per_query,
        rate=rate,
        accuracy=accuracy,
    )


def _by_replica(routes: list[Route]) -> dict[tuple[int, int, int], list[int]]:
    """Return the clients that each site, task and variant can serve."""
    groups: dict[tuple[int, int, int], list[int]] = {}
    for c, t, e, v in routes:
        groups.setdefault((e, t, v), []).append(c)
    return groups
