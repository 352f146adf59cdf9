"""Location models, annotated: which sites to open (onloading), and who is served from where (offloading).

Capacitated and uncapacitated facility location, p-median, two-stage location and maximal covering, on data
drawn from a seed. No figure is copied from a published set; the docstrings say after which ones the draws
are modelled.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyomo.environ as pyo

from pyomo_j3o.core.checks import check_counts, check_positive, check_seed, check_share
from pyomo_j3o.library.building import distances, times, weighted
from pyomo_j3o.library.data import FacilityData
from pyomo_j3o.modeling.annotate import OffloadingBlock, OnloadingBlock

_DEMAND = (5, 35)
_CAPACITY = (10, 160)
_OPENING = (0, 90)
_OPENING_PER_ROOT = (100, 110)
_COST_PER_DISTANCE = 10.0

#: Rough sizes of the OR-Library sets: total demand, opening costs, cost per unit of demand and side length.
_TOTAL_DEMAND = 58_268.0
_EQUAL_OPENING = (7_500.0, 12_500.0, 17_500.0, 25_000.0)
_COST_PER_SIDE = 40.0


def facility_data(
    sites: int = 16, customers: int = 50, seed: int = 0, tightness: float = 0.3, style: str = "spread"
) -> FacilityData:
    """Draw sites and customers in a square, with costs in proportion to distances.

    Parameters
    ----------
    sites, customers
        Their numbers.
    seed
        Seed of the one random generator used. The same arguments give the same data on every machine.
    tightness
        Total demand as a share of the total capacity, above 0 and below 1: at 0.2 a fifth of the sites could
        serve everyone. All sites together always can.
    style
        ``"spread"``: sites differ in size and cost, after the generator of Cornuéjols, Sridharan and Thizy
        (1991). Unit square; demands from 5 to 35; capacities s from 10 to 160, then scaled to `tightness`;
        opening costs from 0 to 90 plus 100 to 110 times √s; ten times the distance per unit of demand.
        ``"equal"``: all sites have one capacity and one of four opening costs from 7,500 to 25,000, and the
        demands, which differ widely, add up to about 58,268, like the capacitated warehouse sets of
        OR-Library (Beasley 1988), which have 16, 25 or 50 sites for 50 customers and 100 sites for 1,000
        customers.

    Returns
    -------
    FacilityData
        The system drawn.

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    G. Cornuéjols, R. Sridharan, J.-M. Thizy. A comparison of heuristics and relaxations for the
    capacitated plant location problem. European Journal of Operational Research 50(3), 280–297, 1991.

    J. E. Beasley. An algorithm for solving large capacitated warehouse location problems. European
    Journal of Operational Research 33(3), 314–325, 1988.
    """
    check_counts(sites=sites, customers=customers)
    check_share("tightness", tightness)
    check_seed(seed)
    if style not in ("spread", "equal"):
        raise ValueError(f"style={style!r}: unknown; use 'spread' or 'equal'")
    rng = np.random.default_rng(seed)
    site, customer = rng.random((sites, 2)), rng.random((customers, 2))
    if style == "spread":
        demand = rng.uniform(*_DEMAND, customers)
        opening, capacity = _sized_sites(rng, sites, demand.sum() / tightness)
        per_distance = _COST_PER_DISTANCE
    else:
        demand = rng.lognormal(0.0, 1.2, customers)
        demand *= _TOTAL_DEMAND / demand.sum()
        opening = np.full(sites, rng.choice(_EQUAL_OPENING))
        capacity = np.full(sites, demand.sum() / tightness / sites)
        per_distance = _COST_PER_SIDE
    return FacilityData(opening, capacity, demand, per_distance * distances(site, customer))


def _sized_sites(rng: np.random.Generator, sites: int, total: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw sites of different sizes: opening costs, and capacities that add up to `total`."""
    capacity = rng.uniform(*_CAPACITY, sites)
    opening = rng.uniform(*_OPENING, sites) + rng.uniform(*_OPENING_PER_ROOT, sites) * np.sqrt(capacity)
    return opening, capacity * total / capacity.sum()


def build_facility_location(data: FacilityData, capacitated: bool = True) -> pyo.ConcreteModel:
    """Write the facility-location model of given data.

    ::

        min  Σ_i f_i x_i + Σ_ij d_j c_ij y_ij
        s.t. Σ_i y_ij = 1              demand[j]
             Σ_j d_j y_ij ≤ s_i x_i    capacity[i]    (if capacitated, and s_i is finite)
             y_ij ≤ x_i                link[i, j]

    Parameters
    ----------
    data
        Sites and customers.
    capacitated
        Whether sites have capacities.

    Returns
    -------
    pyomo.environ.ConcreteModel
        Holds ``place.x[site]`` (binary), ``route.y[site, customer]`` (share of the customer's demand), the
        rows above, the objective ``cost`` (minimised), and `data` as the attribute ``data``. Both are
        numbered from 0.
    """
    sites, customers = range(data.opening.size), range(data.demand.size)
    demand, capacity = data.demand.tolist(), data.capacity.tolist()
    m = _assignment("facility location", sites, customers)
    m.data = data
    x, y = m.place.x, m.route.y
    if capacitated:
        m.capacity = pyo.Constraint(sites)
        for i in sites:
            if np.isfinite(capacity[i]):
                served = ((demand[j], y[i, j]) for j in customers)
                m.capacity[i] = weighted([*served, (-capacity[i], x[i])]) <= 0
    _add_links(m)
    opening, cost = data.opening.tolist(), (data.cost * data.demand).tolist()
    m.cost = pyo.Objective(
        expr=weighted([*((opening[i], x[i]) for i in sites), *((cost[i][j], y[i, j]) for i, j in y)])
    )
    return m


def _assignment(name: str, sites: range, customers: range) -> pyo.ConcreteModel:
    """Return a model with ``place.x`` and ``route.y``, in which each customer's shares add up to 1."""
    m = pyo.ConcreteModel(name=name)
    m.place = OnloadingBlock()
    m.place.x = pyo.Var(sites, domain=pyo.Binary)
    m.route = OffloadingBlock()
    m.route.y = pyo.Var(sites, customers, bounds=(0, 1))
    m.demand = pyo.Constraint(customers)
    for j in customers:
        m.demand[j] = weighted((1.0, m.route.y[i, j]) for i in sites) == 1
    return m


def _add_links(m: pyo.ConcreteModel) -> None:
    """Add the rows ``link``: nobody is served from a site that is not open."""
    m.link = pyo.Constraint(m.place.x.index_set(), m.demand.index_set())
    for i, j in m.route.y:
        m.link[i, j] = weighted([(1.0, m.route.y[i, j]), (-1.0, m.place.x[i])]) <= 0


def facility_location(
    sites: int = 16,
    customers: int = 50,
    seed: int = 0,
    capacitated: bool = True,
    tightness: float = 0.3,
    style: str = "spread",
) -> pyo.ConcreteModel:
    """Build a drawn facility-location model: which sites to open so that opening and serving cost least.

    Parameters
    ----------
    sites, customers, seed, tightness, style
        As for `facility_data`.
    capacitated
        Whether sites have capacities. Costs and demands of the same seed are the same either way.

    Returns
    -------
    pyomo.environ.ConcreteModel
        See `build_facility_location`.

    Raises
    ------
    ValueError
        As `facility_data`.
    """
    return build_facility_location(facility_data(sites, customers, seed, tightness, style), capacitated)


def p_median(sites: int = 30, customers: int = 60, p: int = 5, seed: int = 0) -> pyo.ConcreteModel:
    """Build a p-median model: which p sites to open so that the weighted distances are least.

    ::

        min  Σ_ij w_j d_ij y_ij
        s.t. Σ_i y_ij = 1     demand[j]
             y_ij ≤ x_i       link[i, j]
             Σ_i x_i = p      number

    Points lie in a square of side 100, weights are from 5 to 35.

    Parameters
    ----------
    sites, customers
        Their numbers.
    p
        How many sites are opened.
    seed
        Seed of the one random generator used.

    Returns
    -------
    pyomo.environ.ConcreteModel
        Holds ``place.x[site]``, ``route.y[site, customer]``, the rows above and the objective ``distance``.

    Raises
    ------
    ValueError
        If an argument is out of range; `p` must not be above the number of sites.
    """
    check_counts(sites=sites, customers=customers, p=p)
    if p > sites:
        raise ValueError(f"p={p!r}: there are {sites} sites; give at most that many")
    check_seed(seed)
    rng = np.random.default_rng(seed)
    away = distances(100 * rng.random((sites, 2)), 100 * rng.random((customers, 2)))
    weighted_distance = (rng.uniform(*_DEMAND, customers) * away).tolist()

    m = _assignment("p-median", range(sites), range(customers))
    _add_links(m)
    x, y = m.place.x, m.route.y
    m.number = pyo.Constraint(expr=weighted((1.0, x[i]) for i in x) == p)
    m.distance = pyo.Objective(expr=weighted((weighted_distance[i][j], y[i, j]) for i, j in y))
    return m


def two_stage(
    plants: int = 5,
    satellites: int = 10,
    customers: int = 20,
    seed: int = 0,
    plant_tightness: float = 0.4,
    satellite_tightness: float = 0.3,
) -> pyo.ConcreteModel:
    """Build a two-stage location model: goods flow from open plants through open satellites to customers.

    ::

        min  Σ_i f_i z_i + Σ_k g_k x_k + Σ_ik c_ik v_ik + Σ_kj e_kj w_kj
        s.t. Σ_k w_kj = d_j              demand[j]
             Σ_i v_ik = Σ_j w_kj         conservation[k]
             Σ_k v_ik ≤ S_i z_i          plant_capacity[i]
             Σ_j w_kj ≤ s_k x_k          satellite_capacity[k]
             w_kj ≤ d_j x_k              link[k, j]

    The two-stage capacitated facility location problem, as in Fernandes et al. (2014). Sizes, costs and
    demands are drawn as in `facility_data`'s ``"spread"`` style at both stages; the first one costs half as
    much per distance and unit.

    Parameters
    ----------
    plants, satellites, customers
        Their numbers.
    seed
        Seed of the one random generator used.
    plant_tightness, satellite_tightness
        Total demand as a share of the total capacity of that stage, above 0 and below 1.

    Returns
    -------
    pyomo.environ.ConcreteModel
        Holds ``place.plant[i]`` (z) and ``place.satellite[k]`` (x), ``route.first[i, k]`` (v) and
        ``route.second[k, j]`` (w), flows in units of demand, the rows above and the objective ``cost``.

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    D. R. M. Fernandes, C. Rocha, D. Aloise, G. M. Ribeiro, E. M. Santos, A. Silva. A simple and
    effective genetic algorithm for the two-stage capacitated facility location problem. Computers &
    Industrial Engineering 75, 200–208, 2014.
    """
    check_counts(plants=plants, satellites=satellites, customers=customers)
    check_share("plant_tightness", plant_tightness)
    check_share("satellite_tightness", satellite_tightness)
    check_seed(seed)
    drawn = _draw_two_stages(
        np.random.default_rng(seed), (plants, satellites, customers), (plant_tightness, satellite_tightness)
    )

    m = pyo.ConcreteModel(name="two-stage location")
    m.place = OnloadingBlock()
    m.place.plant = pyo.Var(range(plants), domain=pyo.Binary)
    m.place.satellite = pyo.Var(range(satellites), domain=pyo.Binary)
    m.route = OffloadingBlock()
    m.route.first = pyo.Var(range(plants), range(satellites), bounds=(0, None))
    m.route.second = pyo.Var(range(satellites), range(customers), bounds=(0, None))
    z, x, v, w = m.place.plant, m.place.satellite, m.route.first, m.route.second
    m.demand = pyo.Constraint(range(customers))
    for j in range(customers):
        m.demand[j] = weighted((1.0, w[k, j]) for k in range(satellites)) == drawn.demand[j]
    m.conservation = pyo.Constraint(range(satellites))
    m.satellite_capacity = pyo.Constraint(range(satellites))
    for k in range(satellites):
        into, out = [v[i, k] for i in range(plants)], [w[k, j] for j in range(customers)]
        m.conservation[k] = weighted([*times(1.0, into), *times(-1.0, out)]) == 0
        m.satellite_capacity[k] = weighted([*times(1.0, out), (-drawn.capacity[k], x[k])]) <= 0
    m.plant_capacity = pyo.Constraint(range(plants))
    for i in range(plants):
        sent = times(1.0, (v[i, k] for k in range(satellites)))
        m.plant_capacity[i] = weighted([*sent, (-drawn.plant_capacity[i], z[i])]) <= 0
    m.link = pyo.Constraint(range(satellites), range(customers))
    for k, j in w:
        m.link[k, j] = weighted([(1.0, w[k, j]), (-drawn.demand[j], x[k])]) <= 0
    m.cost = pyo.Objective(
        expr=weighted(
            [
                *((drawn.plant_opening[i], z[i]) for i in z),
                *((drawn.opening[k], x[k]) for k in x),
                *((drawn.first_cost[i][k], v[i, k]) for i, k in v),
                *((drawn.second_cost[k][j], w[k, j]) for k, j in w),
            ]
        )
    )
    return m


class _TwoStages(NamedTuple):
    """What a two-stage location model is written from.

    Attributes
    ----------
    plant_opening, plant_capacity, opening, capacity
        Per plant, and per satellite.
    demand
        Per customer.
    first_cost, second_cost
        Per unit, by plant and satellite, and by satellite and customer.
    """

    plant_opening: list[float]
    plant_capacity: list[float]
    opening: list[float]
    capacity: list[float]
    demand: list[float]
    first_cost: list[list[float]]
    second_cost: list[list[float]]


def _draw_two_stages(
    rng: np.random.Generator, numbers: tuple[int, int, int], tightness: tuple[float, float]
) -> _TwoStages:
    """Draw n plants, satellites and customers; demand over capacity is given for the first two."""
    plant, satellite, customer = (rng.random((n, 2)) for n in numbers)
    demand = rng.uniform(*_DEMAND, numbers[2])
    drawn = (
        *_sized_sites(rng, numbers[0], demand.sum() / tightness[0]),
        *_sized_sites(rng, numbers[1], demand.sum() / tightness[1]),
        demand,
        0.5 * _COST_PER_DISTANCE * distances(plant, satellite),
        _COST_PER_DISTANCE * distances(satellite, customer),
    )
    return _TwoStages(*(array.tolist() for array in drawn))


def maximal_covering(
    sites: int = 40,
    customers: int = 200,
    p: int | None = None,
    budget: float | None = None,
    seed: int = 0,
    radius: float = 0.12,
) -> pyo.ConcreteModel:
    """Build a maximal-covering model: which sites to open so that most weight lies near an open one.

    ::

        max  Σ_j w_j y_j
        s.t. y_j ≤ Σ_{i within the radius of j} x_i    covers[j]
             Σ_i x_i ≤ p    or    Σ_i a_i x_i ≤ budget  budget

    After Church and ReVelle (1974). With the sites fixed each y_j is 0 or 1 by itself, so it is continuous
    here. Points lie in the unit square, weights are from 5 to 35, the costs a_i from 0.5 to 1.5.

    Parameters
    ----------
    sites, customers
        Their numbers.
    p
        How many sites are opened at most; 5 if there is no `budget` either.
    budget
        What the open sites may cost together, in place of `p`; a site costs 1 on average.
    seed
        Seed of the one random generator used. The points and weights do not depend on `p` or `budget`.
    radius
        How near a site has to be, positive.

    Returns
    -------
    pyomo.environ.ConcreteModel
        Holds ``place.x[site]``, ``route.y[customer]`` for every customer that some site covers, the rows
        above and the objective ``covered`` (maximised).

    Raises
    ------
    ValueError
        If an argument is out of range, `p` and `budget` are both given, or no site covers any customer.

    References
    ----------
    R. Church, C. ReVelle. The maximal covering location problem. Papers of the Regional Science
    Association 32, 101–118, 1974.
    """
    check_counts(sites=sites, customers=customers)
    check_positive("radius", radius)
    if p is not None and budget is not None:
        raise ValueError(f"budget={budget!r}: p={p!r} is given as well; give one of the two")
    if p is not None:
        check_counts(p=p)
    if budget is not None:
        check_positive("budget", budget)
    check_seed(seed)
    rng = np.random.default_rng(seed)
    near = distances(rng.random((sites, 2)), rng.random((customers, 2))) <= radius
    if not near.any():
        raise ValueError(f"radius={radius!r}: no site covers any customer; give a larger one")
    weight, site_cost = rng.uniform(*_DEMAND, customers).tolist(), rng.uniform(0.5, 1.5, sites).tolist()

    m = pyo.ConcreteModel(name="maximal covering")
    m.place = OnloadingBlock()
    m.place.x = pyo.Var(range(sites), domain=pyo.Binary)
    m.route = OffloadingBlock()
    m.route.y = pyo.Var(np.flatnonzero(near.any(axis=0)).tolist(), bounds=(0, 1))
    x, y = m.place.x, m.route.y
    m.covers = pyo.Constraint(list(y))
    for j in y:
        by = np.flatnonzero(near[:, j]).tolist()
        m.covers[j] = weighted([(1.0, y[j]), *((-1.0, x[i]) for i in by)]) <= 0
    if budget is None:
        m.budget = pyo.Constraint(expr=weighted((1.0, x[i]) for i in x) <= (5 if p is None else p))
    else:
        m.budget = pyo.Constraint(expr=weighted((site_cost[i], x[i]) for i in x) <= budget)
    m.covered = pyo.Objective(expr=weighted((weight[j], y[j]) for j in y), sense=pyo.maximize)
    return m
