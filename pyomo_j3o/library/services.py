"""Content and services at the edge, annotated: what to store where, and who is served from where.

Both models are drawn from a seed. Users are in reach of several caches or servers, so a model does not fall
apart into one part for each of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyomo.environ as pyo

from pyomo_j3o.core.checks import check_counts, check_names, check_positive, check_seed, check_share
from pyomo_j3o.library.building import distances, times, weighted
from pyomo_j3o.modeling.annotate import OffloadingBlock, OnloadingBlock

#: A way to answer: (region, cache, film) or (user, service, server).
Route = tuple[int, int, int]

_ZIPF = 0.8
_ORIGIN_DELAY = 90.0
_REQUESTS_PER_USER = 3


def content_placement(
    regions: int = 12,
    caches: int = 4,
    films: int = 60,
    seed: int = 0,
    reach: int = 3,
    room: float = 0.18,
    uplink: float = 0.25,
) -> pyo.ConcreteModel:
    """Build a caching model with request routing: which films to keep where so that delays are least.

    ::

        min  Σ (λ_rf/Λ) (Σ_c t_rc y_rcf + t_0 o_rf)
        s.t. Σ_c y_rcf + o_rf = 1             demand[r, f]
             y_rcf ≤ x_cf                     link[r, c, f]
             Σ_f b_f x_cf ≤ room of c         room[c]
             Σ_rf λ_rf b_f y_rcf ≤ uplink     uplink[c]

    A region's requests for a film go to the caches in its reach and to the origin, in shares; FemtoCaching
    (Shanmugam et al. 2013) is of this kind. Films have 1 to 6 GB and every region its own order of
    popularity, with frequencies in proportion to 1/rank^0.8; delays are 5 to 60 ms to a cache and 90 ms to
    the origin.

    Parameters
    ----------
    regions, caches, films
        Their numbers.
    seed
        Seed of the one random generator used.
    reach
        How many caches serve each region: the nearest ones in delay, or all if there are fewer.
    room
        Each cache's room, as a share of the size of all films, above 0 and below 1.
    uplink
        What all caches together can send per hour, as a share of what is asked for, positive.

    Returns
    -------
    pyomo.environ.ConcreteModel
        Holds ``place.x[cache, film]``, ``route.y[region, cache, film]``, ``route.origin[region, film]``, the
        rows above and the objective ``mean_delay`` (ms, minimised).

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    K. Shanmugam, N. Golrezaei, A. G. Dimakis, A. F. Molisch, G. Caire. FemtoCaching: wireless content
    delivery through distributed caching helpers. IEEE Transactions on Information Theory 59(12), 2013.
    """
    check_counts(regions=regions, caches=caches, films=films, reach=reach)
    reach = min(reach, caches)
    check_share("room", room)
    check_positive("uplink", uplink)
    check_seed(seed)
    rng = np.random.default_rng(seed)
    size = rng.uniform(1, 6, films)
    popularity = 1 / np.arange(1, films + 1) ** _ZIPF
    requests = np.array([rng.permutation(popularity) * rng.uniform(5, 20) for _ in range(regions)])
    delay = rng.uniform(5, 60, (regions, caches))
    nearest = np.argsort(delay, axis=1)[:, :reach].tolist()
    share, load = (requests / requests.sum()).tolist(), (requests * size).tolist()
    sizes, delays = size.tolist(), delay.tolist()

    m = pyo.ConcreteModel(name="content placement")
    m.place = OnloadingBlock()
    m.place.x = pyo.Var(range(caches), range(films), domain=pyo.Binary)
    m.route = OffloadingBlock()
    routes = [(r, c, f) for r in range(regions) for c in sorted(nearest[r]) for f in range(films)]
    m.route.y = pyo.Var(routes, bounds=(0, 1))
    m.route.origin = pyo.Var(range(regions), range(films), bounds=(0, 1))
    x, y, origin = m.place.x, m.route.y, m.route.origin
    m.demand = pyo.Constraint(range(regions), range(films))
    for r, f in origin:
        answers = [y[r, c, f] for c in nearest[r]] + [origin[r, f]]
        m.demand[r, f] = weighted(times(1.0, answers)) == 1
    m.link = pyo.Constraint(routes)
    for r, c, f in routes:
        m.link[r, c, f] = weighted([(1.0, y[r, c, f]), (-1.0, x[c, f])]) <= 0
    m.room = pyo.Constraint(range(caches))
    m.uplink = pyo.Constraint(range(caches))
    sent = _grouped(routes, 1)
    for c in range(caches):
        m.room[c] = weighted((b, x[c, f]) for f, b in enumerate(sizes)) <= room * sum(sizes)
        if c in sent:
            limit = uplink * float((requests * size).sum()) / caches
            m.uplink[c] = weighted((load[r][f], y[r, c, f]) for r, c, f in sent[c]) <= limit
    m.mean_delay = pyo.Objective(
        expr=weighted(
            [
                *((share[r][f] * delays[r][c], y[r, c, f]) for r, c, f in routes),
                *((share[r][f] * _ORIGIN_DELAY, origin[r, f]) for r, f in origin),
            ]
        )
    )
    return m


def service_placement(
    servers: int = 6,
    services: int = 12,
    users: int = 40,
    seed: int = 0,
    reach: int = 3,
    resources: Sequence[str] = ("storage", "memory"),
    compute: float = 0.5,
) -> pyo.ConcreteModel:
    """Build a service-placement model with several budgets per server: which services to run where.

    ::

        max  Σ_us λ_us Σ_n y_usn / Λ
        s.t. Σ_n y_usn ≤ 1                       demand[u, s]
             y_usn ≤ x_ns                        link[u, s, n]
             Σ_s r_ks x_ns ≤ R_kn                budget[k, n]      one row for each resource k
             Σ_us λ_us τ_s y_usn ≤ T_n           compute[n]
             Σ_us λ_us b_s y_usn ≤ B_n           bandwidth[n]

    A user asks for three services and is in reach of several servers; what no server answers goes to the
    cloud, and the share of requests that the servers answer is maximised. Poularakis et al. (2019) study this
    problem. Every x stands in one knapsack for each resource.

    Parameters
    ----------
    servers, services, users
        Their numbers; at least 3 services.
    seed
        Seed of the one random generator used.
    reach
        How many servers each user can use: the nearest ones, or all if there are fewer.
    resources
        Names of the resources that a placed service takes. A server has room for about a third of all
        services.
    compute
        What all servers together can compute, as a share of what is asked for, positive; bandwidth is a tenth
        more than that share.

    Returns
    -------
    pyomo.environ.ConcreteModel
        Holds ``place.x[server, service]``, ``route.y[user, service, server]``, the rows above and the
        objective ``answered`` (maximised).

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    K. Poularakis, J. Llorca, A. M. Tulino, I. Taylor, L. Tassiulas. Joint service placement and
    request routing in multi-cell mobile edge computing networks. IEEE INFOCOM 2019.
    """
    check_counts(servers=servers, services=services, users=users, reach=reach)
    reach = min(reach, servers)
    if services < _REQUESTS_PER_USER:
        raise ValueError(
            f"services={services!r}: a user asks for {_REQUESTS_PER_USER}; give at least that many"
        )
    check_names("resources", resources)
    check_positive("compute", compute)
    check_seed(seed)
    drawn = _draw_services(np.random.default_rng(seed), servers, services, users, resources)
    in_reach = np.argsort(drawn.away, axis=1)[:, :reach].tolist()
    asked = drawn.asked

    m = pyo.ConcreteModel(name="service placement")
    m.place = OnloadingBlock()
    m.place.x = pyo.Var(range(servers), range(services), domain=pyo.Binary)
    m.route = OffloadingBlock()
    routes = [(u, s, n) for u, s in asked for n in sorted(in_reach[u])]
    m.route.y = pyo.Var(routes, bounds=(0, 1))
    x, y = m.place.x, m.route.y
    m.demand = pyo.Constraint(list(asked))
    for u, s in asked:
        m.demand[u, s] = weighted((1.0, y[u, s, n]) for n in in_reach[u]) <= 1
    m.link = pyo.Constraint(routes)
    for u, s, n in routes:
        m.link[u, s, n] = weighted([(1.0, y[u, s, n]), (-1.0, x[n, s])]) <= 0
    m.budget = pyo.Constraint(list(resources), range(servers))
    for k in resources:
        for n in range(servers):
            m.budget[k, n] = (
                weighted((need, x[n, s]) for s, need in enumerate(drawn.needs[k])) <= drawn.room[k][n]
            )
    _add_work(m, drawn, routes, compute)
    total = sum(asked.values())
    m.answered = pyo.Objective(
        expr=weighted((asked[u, s] / total, y[u, s, n]) for u, s, n in routes), sense=pyo.maximize
    )
    return m


class _Services(NamedTuple):
    """What a service-placement model is written from.

    Attributes
    ----------
    away
        (U, N) distances of users and servers.
    asked
        Rate of requests, by user and service.
    seconds, payload
        Per service, of one request.
    needs
        Per resource: what each service takes.
    room
        Per resource: what each server has.
    power
        Each server's share of the compute and bandwidth of all.
    """

    away: np.ndarray
    asked: dict[tuple[int, int], float]
    seconds: list[float]
    payload: list[float]
    needs: dict[str, list[float]]
    room: dict[str, list[float]]
    power: list[float]


def _draw_services(
    rng: np.random.Generator, servers: int, services: int, users: int, resources: Sequence[str]
) -> _Services:
    away = distances(rng.random((users, 2)), rng.random((servers, 2)))
    popularity = 1 / np.arange(1, services + 1) ** _ZIPF
    asked = {
        (u, int(s)): float(rate)
        for u in range(users)
        for s, rate in zip(
            rng.choice(services, _REQUESTS_PER_USER, replace=False, p=popularity / popularity.sum()),
            rng.uniform(1, 5, _REQUESTS_PER_USER),
            strict=True,
        )
    }
    seconds, payload = rng.uniform(0.01, 0.1, services), rng.uniform(0.1, 2, services)
    needs = {k: rng.uniform(1, 10, services) for k in resources}
    room = {k: (needs[k].sum() * rng.uniform(0.25, 0.4, servers)).tolist() for k in resources}
    power = rng.dirichlet(np.full(servers, 20.0)).tolist()
    return _Services(
        away=away,
        asked=asked,
        seconds=seconds.tolist(),
        payload=payload.tolist(),
        needs={k: need.tolist() for k, need in needs.items()},
        room=room,
        power=power,
    )


def _add_work(m: Any, drawn: _Services, routes: Sequence[Route], compute: float) -> None:
    """Add the rows of each server's compute and bandwidth."""
    y, asked, power = m.route.y, drawn.asked, drawn.power
    work = sum(rate * drawn.seconds[s] for (_, s), rate in asked.items())
    traffic = sum(rate * drawn.payload[s] for (_, s), rate in asked.items())
    m.compute = pyo.Constraint(range(len(power)))
    m.bandwidth = pyo.Constraint(range(len(power)))
    for n, own in _grouped(routes, 2).items():
        m.compute[n] = (
            weighted((asked[u, s] * drawn.seconds[s], y[u, s, n]) for u, s, _ in own)
            <= compute * work * power[n]
        )
        m.bandwidth[n] = (
            weighted((asked[u, s] * drawn.payload[s], y[u, s, n]) for u, s, _ in own)
            <= 1.1 * compute * traffic * power[n]
        )


def _grouped(routes: Sequence[Route], position: int) -> dict[int, list[Route]]:
    """Return the routes that have the same number at a position, by that number."""
    groups: dict[int, list[Route]] = {}
    for route in routes:
        groups.setdefault(route[position], []).append(route)
    return groups
