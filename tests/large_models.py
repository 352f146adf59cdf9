"""Large models of many kinds, by name and size, for the tests of limits."""

import math
from collections.abc import Callable

import numpy as np
import pyomo.environ as pyo

from pyomo_j3o import annotate, library


def unit_commitment(
    units: int = 40, periods: int = 48, wide: bool = False, seed: int = 1
) -> pyo.ConcreteModel:
    """Units with minimal up and down times and ramps; `wide` limits all starts together in one row."""
    r = np.random.default_rng(seed)
    low = r.uniform(10, 60, units)
    high = low * r.uniform(1.3, 4, units)
    m = pyo.ConcreteModel()
    m.G, m.T = pyo.RangeSet(0, units - 1), pyo.RangeSet(0, periods - 1)
    m.on, m.starts = pyo.Var(m.G, m.T, domain=pyo.Binary), pyo.Var(m.G, m.T, domain=pyo.Binary)
    m.p = pyo.Var(m.G, m.T, domain=pyo.NonNegativeReals)
    m.rows = pyo.ConstraintList()
    for g in m.G:
        up, down = int(r.integers(1, 5)), int(r.integers(1, 5))
        for t in m.T:
            m.rows.add(m.p[g, t] <= float(high[g]) * m.on[g, t])
            m.rows.add(m.p[g, t] >= float(low[g]) * m.on[g, t])
            m.rows.add(m.on[g, t] - (m.on[g, t - 1] if t else 0) <= m.starts[g, t])
            if t:
                ramp = float(0.8 * high[g])
                m.rows.add(pyo.inequality(-ramp, m.p[g, t] - m.p[g, t - 1], ramp))
            m.rows.add(sum(m.starts[g, k] for k in range(max(0, t - up + 1), t + 1)) <= m.on[g, t])
            if t >= down:
                m.rows.add(sum(m.starts[g, k] for k in range(t - down + 1, t + 1)) + m.on[g, t - down] <= 1)
    for t in m.T:
        demand = float(0.6 * high.sum() * (1 + 0.3 * math.sin(t)))
        m.rows.add(sum(m.p[g, t] for g in m.G) == demand)
    if wide:
        m.few = pyo.Constraint(
            expr=sum(int(r.integers(2, 9)) * m.starts[g, t] for g in m.G for t in m.T)
            <= 2 * units * periods // 5
        )
    c, b, s = r.uniform(5, 50, units), r.uniform(0.1, 2, units), r.uniform(10, 200, units)
    m.cost = pyo.Objective(
        expr=sum(
            float(c[g]) * m.on[g, t] + float(b[g]) * m.p[g, t] + float(s[g]) * m.starts[g, t]
            for g in m.G
            for t in m.T
        )
    )
    annotate(m, onloading=[m.on, m.starts], offloading=[m.p])
    return m


def location(sites: int = 200, customers: int = 1000, seed: int = 5) -> pyo.ConcreteModel:
    """Uncapacitated facility location in its strong form."""
    r = np.random.default_rng(seed)
    m = pyo.ConcreteModel()
    m.I, m.J = pyo.RangeSet(0, sites - 1), pyo.RangeSet(0, customers - 1)
    m.x, m.y = pyo.Var(m.I, domain=pyo.Binary), pyo.Var(m.I, m.J, bounds=(0, 1))
    m.met = pyo.Constraint(m.J, rule=lambda m, j: sum(m.y[i, j] for i in m.I) == 1)
    m.link = pyo.Constraint(m.I, m.J, rule=lambda m, i, j: m.y[i, j] <= m.x[i])
    c, f = r.uniform(1, 30, (sites, customers)), r.uniform(50, 200, sites)
    m.cost = pyo.Objective(
        expr=sum(float(f[i]) * m.x[i] for i in m.I)
        + sum(float(c[i, j]) * m.y[i, j] for i in m.I for j in m.J)
    )
    annotate(m, onloading=[m.x], offloading=[m.y])
    return m


def wide_knapsack(items: int = 2200, rows: int = 6, seed: int = 4) -> pyo.ConcreteModel:
    """One budget over all binaries, and `rows` rows of three for each of them."""
    r = np.random.default_rng(seed)
    n = items
    m = pyo.ConcreteModel()
    m.I = pyo.RangeSet(0, n - 1)
    m.x, m.y = pyo.Var(m.I, domain=pyo.Binary), pyo.Var(m.I, bounds=(0, 10))
    m.link = pyo.Constraint(m.I, rule=lambda m, i: m.y[i] <= 7.5 * m.x[i])
    m.total = pyo.Constraint(expr=sum(m.y[:]) >= 1.4 * n)
    m.near = pyo.Constraint(
        pyo.RangeSet(0, rows * n - 1),
        rule=lambda m, k: m.x[k % n] + m.x[(k + 1 + k // n) % n] + m.x[(k + 9 + k // n) % n] <= 2,
    )
    weight = r.integers(20, 41, n)
    m.wide = pyo.Constraint(expr=sum(int(weight[i]) * m.x[i] for i in m.I) <= 16.5 * n)
    f, c = r.uniform(5, 9, n), r.uniform(1, 2, n)
    m.cost = pyo.Objective(expr=sum(float(f[i]) * m.x[i] + float(c[i]) * m.y[i] for i in m.I))
    annotate(m, onloading=[m.x], offloading=[m.y])
    return m


def content_placement(caches: int = 60, items: int = 1000, seed: int = 2) -> pyo.ConcreteModel:
    """Items of several sizes in caches of limited size; a cache serves its own users and the next cache's."""
    r = np.random.default_rng(seed)
    size, popular = r.integers(1, 9, items), 1.0 / (1 + r.permutation(items))
    m = pyo.ConcreteModel()
    m.C, m.K = pyo.RangeSet(0, caches - 1), pyo.RangeSet(0, items - 1)
    m.x = pyo.Var(m.C, m.K, domain=pyo.Binary)
    m.y, m.z = pyo.Var(m.C, m.K, bounds=(0, 1)), pyo.Var(m.C, m.K, bounds=(0, 1))
    m.own = pyo.Constraint(m.C, m.K, rule=lambda m, c, k: m.y[c, k] <= m.x[c, k])
    m.other = pyo.Constraint(m.C, m.K, rule=lambda m, c, k: m.z[c, k] <= m.x[(c + 1) % caches, k])
    m.once = pyo.Constraint(m.C, m.K, rule=lambda m, c, k: m.y[c, k] + m.z[c, k] <= 1)
    m.room = pyo.Constraint(m.C, rule=lambda m, c: sum(int(size[k]) * m.x[c, k] for k in m.K) <= items // 5)
    m.lines = pyo.Constraint(m.C, rule=lambda m, c: sum(float(popular[k]) * m.z[c, k] for k in m.K) <= 0.5)
    m.hits = pyo.Objective(
        expr=sum(float(popular[k]) * (m.y[c, k] + 0.6 * m.z[c, k]) for c in m.C for k in m.K),
        sense=pyo.maximize,
    )
    annotate(m, onloading=[m.x], offloading=[m.y, m.z])
    return m


def _flows(
    m: pyo.ConcreteModel, nodes: int, arcs: int, commodities: int, r: np.random.Generator
) -> tuple[list[tuple[int, int]], np.ndarray]:
    ends = {(i, (i + 1) % nodes) for i in range(nodes)} | {((i + 1) % nodes, i) for i in range(nodes)}
    while len(ends) < arcs:
        i, j = (int(k) for k in r.integers(0, nodes, 2))
        if i != j:
            ends.add((i, j))
    listed = sorted(ends)
    m.A, m.K = pyo.RangeSet(0, len(listed) - 1), pyo.RangeSet(0, commodities - 1)
    m.x = pyo.Var(m.A, domain=pyo.Binary)
    m.f = pyo.Var(m.A, m.K, domain=pyo.NonNegativeReals)
    demand = r.integers(5, 25, commodities)
    pairs = [r.choice(nodes, 2, replace=False) for _ in range(commodities)]
    leaving = [[a for a, (i, _) in enumerate(listed) if i == n] for n in range(nodes)]
    arriving = [[a for a, (_, j) in enumerate(listed) if j == n] for n in range(nodes)]

    def balance(m, n, k):
        source, sink = pairs[k]
        side = int(demand[k]) * ((n == source) - int(n == sink))
        return sum(m.f[a, k] for a in leaving[n]) - sum(m.f[a, k] for a in arriving[n]) == side

    m.balance = pyo.Constraint(pyo.RangeSet(0, nodes - 1), m.K, rule=balance)
    return listed, demand


def network_design(
    nodes: int = 40, arcs: int = 300, commodities: int = 60, seed: int = 3
) -> pyo.ConcreteModel:
    """Arcs of limited capacity are opened for flows; each flow alone is linked to its arc, too."""
    r = np.random.default_rng(seed)
    m = pyo.ConcreteModel()
    listed, demand = _flows(m, nodes, arcs, commodities, r)
    capacity = r.integers(60, 200, len(listed))
    m.room = pyo.Constraint(m.A, rule=lambda m, a: sum(m.f[a, :]) <= int(capacity[a]) * m.x[a])
    m.link = pyo.Constraint(m.A, m.K, rule=lambda m, a, k: m.f[a, k] <= int(demand[k]) * m.x[a])
    c, f = r.uniform(1, 10, len(listed)), r.uniform(100, 500, len(listed))
    m.cost = pyo.Objective(
        expr=sum(float(f[a]) * m.x[a] for a in m.A) + sum(float(c[a]) * m.f[a, k] for a in m.A for k in m.K)
    )
    annotate(m, onloading=[m.x], offloading=[m.f])
    return m


def multicommodity(
    nodes: int = 30, arcs: int = 228, commodities: int = 200, seed: int = 8
) -> pyo.ConcreteModel:
    """Arcs that carry a little for nothing, and more once they are opened; no single flow is linked."""
    r = np.random.default_rng(seed)
    m = pyo.ConcreteModel()
    listed, _ = _flows(m, nodes, arcs, commodities, r)
    capacity = r.integers(400, 900, len(listed))
    m.room = pyo.Constraint(m.A, rule=lambda m, a: sum(m.f[a, :]) <= 20 + int(capacity[a]) * m.x[a])
    c, f = r.uniform(1, 10, len(listed)), r.uniform(100, 500, len(listed))
    m.cost = pyo.Objective(
        expr=sum(float(f[a]) * m.x[a] for a in m.A) + sum(float(c[a]) * m.f[a, k] for a in m.A for k in m.K)
    )
    annotate(m, onloading=[m.x], offloading=[m.f])
    return m


def lot_sizes(products: int = 60, periods: int = 60, seed: int = 6) -> pyo.ConcreteModel:
    """Lots on one machine with stock, and set-ups that are carried over from one period to the next."""
    r = np.random.default_rng(seed)
    m = pyo.ConcreteModel()
    m.P, m.T = pyo.RangeSet(0, products - 1), pyo.RangeSet(0, periods - 1)
    m.setup, m.carry = pyo.Var(m.P, m.T, domain=pyo.Binary), pyo.Var(m.P, m.T, domain=pyo.Binary)
    m.made, m.stock = pyo.Var(m.P, m.T, bounds=(0, None)), pyo.Var(m.P, m.T, bounds=(0, None))
    need = r.integers(0, 60, (products, periods)) * (r.random((products, periods)) < 0.7)
    room = 1.6 * float(need.sum()) / periods + 40
    m.balance = pyo.Constraint(
        m.P,
        m.T,
        rule=lambda m, p, t: (
            (m.stock[p, t - 1] if t else 30) + m.made[p, t] == int(need[p, t]) + m.stock[p, t]
        ),
    )
    m.ready = pyo.Constraint(
        m.P,
        m.T,
        rule=lambda m, p, t: (
            m.made[p, t] <= float(min(room, need[p, t:].sum() + 1)) * (m.setup[p, t] + m.carry[p, t])
        ),
    )
    m.machine = pyo.Constraint(
        m.T, rule=lambda m, t: sum(m.made[p, t] + 4 * m.setup[p, t] for p in m.P) <= room
    )
    m.one = pyo.Constraint(m.T, rule=lambda m, t: sum(m.carry[p, t] for p in m.P) <= 1)
    m.before = pyo.Constraint(
        m.P,
        m.T,
        rule=lambda m, p, t: (
            m.carry[p, t] <= m.setup[p, t - 1] + m.carry[p, t - 1] if t else m.carry[p, t] <= 0
        ),
    )
    s, h = r.uniform(50, 150, products), r.uniform(0.5, 2, products)
    m.cost = pyo.Objective(
        expr=sum(float(s[p]) * m.setup[p, t] + float(h[p]) * m.stock[p, t] for p in m.P for t in m.T)
    )
    annotate(m, onloading=[m.setup, m.carry], offloading=[m.made, m.stock])
    return m


def p_median(points: int = 300, medians: int = 30, seed: int = 7) -> pyo.ConcreteModel:
    """Exactly so many of the points serve all."""
    r = np.random.default_rng(seed)
    at = r.uniform(0, 100, (points, 2))
    far = np.hypot(*(at[:, None, :] - at[None, :, :]).transpose(2, 0, 1))
    m = pyo.ConcreteModel()
    m.I = pyo.RangeSet(0, points - 1)
    m.x, m.y = pyo.Var(m.I, domain=pyo.Binary), pyo.Var(m.I, m.I, bounds=(0, 1))
    m.met = pyo.Constraint(m.I, rule=lambda m, j: sum(m.y[i, j] for i in m.I) == 1)
    m.link = pyo.Constraint(m.I, m.I, rule=lambda m, i, j: m.y[i, j] <= m.x[i])
    m.number = pyo.Constraint(expr=sum(m.x[:]) == medians)
    m.cost = pyo.Objective(expr=sum(float(far[i, j]) * m.y[i, j] for i in m.I for j in m.I))
    annotate(m, onloading=[m.x], offloading=[m.y])
    return m


def covering(sets: int = 8000, rows: int = 12000, in_row: int = 12, seed: int = 9) -> pyo.ConcreteModel:
    """Every row needs one or two of its sets; who is not content pays."""
    r = np.random.default_rng(seed)
    m = pyo.ConcreteModel()
    m.S, m.R = pyo.RangeSet(0, sets - 1), pyo.RangeSet(0, rows - 1)
    m.x, m.y = pyo.Var(m.S, domain=pyo.Binary), pyo.Var(m.R, bounds=(0, 1))
    members = r.integers(0, sets, (rows, in_row))
    m.cover = pyo.Constraint(m.R, rule=lambda m, j: sum(m.x[int(i)] for i in set(members[j])) >= 1)
    m.twice = pyo.Constraint(m.R, rule=lambda m, j: sum(m.x[int(i)] for i in set(members[j])) + m.y[j] >= 2)
    c, p = r.uniform(1, 10, sets), r.uniform(0.1, 3, rows)
    m.cost = pyo.Objective(
        expr=sum(float(c[i]) * m.x[i] for i in m.S) + sum(float(p[j]) * m.y[j] for j in m.R)
    )
    annotate(m, onloading=[m.x], offloading=[m.y])
    return m


def partition(crews: int = 6000, flights: int = 400, seed: int = 10) -> pyo.ConcreteModel:
    """Every flight is in exactly one of the pairings chosen, or is bought elsewhere."""
    r = np.random.default_rng(seed)
    m = pyo.ConcreteModel()
    m.S, m.F = pyo.RangeSet(0, crews - 1), pyo.RangeSet(0, flights - 1)
    m.x, m.y = pyo.Var(m.S, domain=pyo.Binary), pyo.Var(m.F, bounds=(0, 1))
    holds = [[] for _ in range(flights)]
    cost = np.zeros(crews)
    for s in range(crews):
        flown = r.choice(flights, int(r.integers(3, 9)), replace=False)
        cost[s] = 10 + len(flown) * r.uniform(2, 5)
        for j in flown:
            holds[j].append(s)
    m.flown = pyo.Constraint(m.F, rule=lambda m, j: sum(m.x[s] for s in holds[j]) + m.y[j] == 1)
    m.bought = pyo.Constraint(expr=sum(m.y[:]) <= flights / 2)
    m.cost = pyo.Objective(expr=sum(float(cost[s]) * m.x[s] for s in m.S) + 40 * sum(m.y[j] for j in m.F))
    annotate(m, onloading=[m.x], offloading=[m.y])
    return m


def inference(clients: int = 120, edges: int = 12, seed: int = 1) -> pyo.ConcreteModel:
    """Models on edge servers."""
    return library.taskonomy(clients=clients, edges=edges, seed=seed)


def products(sites: int = 50, customers: int = 2000, seed: int = 12) -> pyo.ConcreteModel:
    """Sites serve where they are open; of a tenth of the customers, the next site keeps a part, if open."""
    r = np.random.default_rng(seed)
    m = pyo.ConcreteModel()
    m.S, m.C = pyo.RangeSet(0, sites - 1), pyo.RangeSet(0, customers - 1)
    m.x, m.y = pyo.Var(m.S, domain=pyo.Binary), pyo.Var(m.S, m.C, bounds=(0, 1))
    weight = r.integers(1, 9, customers)
    m.once = pyo.Constraint(m.C, rule=lambda m, j: sum(m.x[s] * m.y[s, j] for s in m.S) <= 1)
    m.room = pyo.Constraint(
        m.S,
        rule=lambda m, s: sum(int(weight[j]) * m.x[s] * m.y[s, j] for j in m.C) <= float(weight.sum()) / 5,
    )
    m.both = pyo.Constraint(
        m.S,
        rule=lambda m, s: sum(m.x[(s + 1) % sites] * m.y[s, j] for j in m.C if j % 10 == 0) <= customers / 20,
    )
    v, f = r.uniform(1, 9, (sites, customers)), r.uniform(0.02, 0.1, sites) * 9 * customers
    m.worth = pyo.Objective(
        expr=sum(float(v[s, j]) * m.x[s] * m.y[s, j] for s in m.S for j in m.C)
        - sum(float(f[s]) * m.x[s] for s in m.S),
        sense=pyo.maximize,
    )
    annotate(m, onloading=[m.x], offloading=[m.y])
    return m


def million(sites: int = 330, customers: int = 1000, seed: int = 11) -> pyo.ConcreteModel:
    """Location of about a million nonzeros."""
    return location(sites, customers, seed)


#: Each with the arguments of a small version.
KINDS: dict[str, tuple[Callable[..., pyo.ConcreteModel], dict[str, int]]] = {
    "unit commitment": (unit_commitment, {"units": 4, "periods": 6}),
    "unit commitment, wide": (
        lambda units=40, periods=48: unit_commitment(units, periods, wide=True),
        {"units": 4, "periods": 6},
    ),
    "location": (location, {"sites": 6, "customers": 10}),
    "wide knapsack": (wide_knapsack, {"items": 30}),
    "content placement": (content_placement, {"caches": 4, "items": 10}),
    "network design": (network_design, {"nodes": 6, "arcs": 14, "commodities": 4}),
    "lot sizes": (lot_sizes, {"products": 3, "periods": 5}),
    "p-median": (p_median, {"points": 12, "medians": 3}),
    "covering": (covering, {"sets": 20, "rows": 20, "in_row": 4}),
    "multicommodity": (multicommodity, {"nodes": 6, "arcs": 14, "commodities": 5}),
    "partition": (partition, {"crews": 60, "flights": 10}),
    "inference": (inference, {"clients": 3, "edges": 1}),
    "products": (products, {"sites": 4, "customers": 20}),
    "a million nonzeros": (million, {"sites": 6, "customers": 12}),
}
