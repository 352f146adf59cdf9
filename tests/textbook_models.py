"""Small models as textbooks and other packages have them: none is of the library, most carry no marks."""

from __future__ import annotations

import itertools

import numpy as np
import pyomo.environ as pyo

from pyomo_j3o import annotate


def knapsack() -> pyo.ConcreteModel:
    """Placement alone, with one index."""
    value = {"hammer": 8, "wrench": 3, "screwdriver": 6, "towel": 11}
    weight = {"hammer": 5, "wrench": 7, "screwdriver": 4, "towel": 3}
    m = pyo.ConcreteModel("knapsack")
    m.ITEMS = pyo.Set(initialize=list(value))
    m.x = pyo.Var(m.ITEMS, domain=pyo.Binary)
    m.weight = pyo.Constraint(expr=sum(weight[i] * m.x[i] for i in value) <= 14)
    m.value = pyo.Objective(expr=sum(value[i] * m.x[i] for i in value), sense=pyo.maximize)
    return m


def p_median() -> pyo.ConcreteModel:
    """Shares, strong links, and a number of facilities that is given."""
    rng = np.random.default_rng(1)
    m = pyo.ConcreteModel("p-median")
    m.Locations, m.Customers = pyo.RangeSet(5), pyo.RangeSet(6)
    m.x = pyo.Var(m.Locations, m.Customers, bounds=(0, 1))
    m.y = pyo.Var(m.Locations, domain=pyo.Binary)
    cost = {k: float(rng.uniform(1, 2)) for k in m.x}
    m.single = pyo.Constraint(m.Customers, rule=lambda m, j: sum(m.x[i, j] for i in m.Locations) == 1)
    m.bound = pyo.Constraint(m.Locations, m.Customers, rule=lambda m, i, j: m.x[i, j] <= m.y[i])
    m.facility = pyo.Constraint(expr=sum(m.y.values()) == 3)
    m.cost = pyo.Objective(expr=sum(cost[k] * m.x[k] for k in m.x))
    return m


def network_design() -> pyo.ConcreteModel:
    """Flows of three commodities: balances, capacities that are opened, and demand that may stay unserved."""
    rng = np.random.default_rng(2)
    nodes = [f"n{i}" for i in range(6)]
    arcs = [a for a in itertools.permutations(nodes, 2) if a[0] == "n0" or rng.random() < 0.4]
    trips = {"k1": ("n0", "n5", 8), "k2": ("n1", "n4", 5), "k3": ("n2", "n3", 4)}
    m = pyo.ConcreteModel("network design")
    m.ARCS, m.K = pyo.Set(initialize=arcs, dimen=2), pyo.Set(initialize=list(trips))
    m.flow = pyo.Var(m.ARCS, m.K, domain=pyo.NonNegativeReals)
    m.open = pyo.Var(m.ARCS, domain=pyo.Binary)
    m.unserved = pyo.Var(m.K, domain=pyo.NonNegativeReals)

    def balance(m, node, k):
        start, end, size = trips[k]
        out = sum(m.flow[a, k] for a in arcs if a[0] == node) - sum(
            m.flow[a, k] for a in arcs if a[1] == node
        )
        sign = (node == start) - (node == end)
        return out == sign * (size - m.unserved[k])

    m.balance = pyo.Constraint(nodes, m.K, rule=balance)
    m.capacity = pyo.Constraint(
        m.ARCS, rule=lambda m, i, j: 10 * m.open[i, j] - sum(m.flow[i, j, k] for k in m.K) >= 0
    )
    m.cost = pyo.Objective(
        expr=sum(float(rng.uniform(1, 4)) * m.flow[k] for k in m.flow)
        + 12 * sum(m.open.values())
        + 100 * sum(m.unserved.values())
    )
    annotate(m, onloading=m.open, offloading=[m.flow, m.unserved])
    return m


def lot_sizing() -> pyo.ConcreteModel:
    """Periods with a set-up, a capacity that is a mutable Param, and stock."""
    demand = dict(enumerate([60, 100, 140, 200, 120, 80], 1))
    m = pyo.ConcreteModel("lot sizing")
    m.T = pyo.Set(initialize=list(demand))
    m.make = pyo.Var(m.T, domain=pyo.NonNegativeReals)
    m.store = pyo.Var(m.T, domain=pyo.NonNegativeReals)
    m.setup = pyo.Var(m.T, domain=pyo.Binary)
    m.capacity = pyo.Param(initialize=250, mutable=True)
    m.stock = pyo.Constraint(
        m.T, rule=lambda m, t: (m.store[t - 1] if t > 1 else 0) + m.make[t] == demand[t] + m.store[t]
    )
    m.lot = pyo.Constraint(m.T, rule=lambda m, t: m.make[t] <= m.capacity * m.setup[t])
    m.cost = pyo.Objective(expr=sum(200 * m.setup[t] + m.store[t] + 2 * m.make[t] for t in demand))
    return m


def transport() -> pyo.ConcreteModel:
    """Transport with a fixed charge for each route, names with blanks, demands as least amounts."""
    supply = {"Seattle": 350, "San Diego": 600, "Topeka": 300}
    demand = {"New York": 325, "Chicago": 300, "Boston": 175, "Denver": 150}
    rng = np.random.default_rng(3)
    m = pyo.ConcreteModel("transport with fixed charges")
    m.plants, m.markets = pyo.Set(initialize=list(supply)), pyo.Set(initialize=list(demand))
    m.ship = pyo.Var(m.plants, m.markets, domain=pyo.NonNegativeReals)
    m.use = pyo.Var(m.plants, m.markets, domain=pyo.Binary)
    m.supply = pyo.Constraint(m.plants, rule=lambda m, i: sum(m.ship[i, j] for j in demand) <= supply[i])
    m.demand = pyo.Constraint(m.markets, rule=lambda m, j: sum(m.ship[i, j] for i in supply) >= demand[j])
    m.link = pyo.Constraint(
        m.plants, m.markets, rule=lambda m, i, j: m.ship[i, j] <= min(supply[i], demand[j]) * m.use[i, j]
    )
    m.cost = pyo.Objective(expr=sum(float(rng.uniform(0.1, 0.4)) * m.ship[k] + 40 * m.use[k] for k in m.ship))
    return m


def cutting() -> pyo.ConcreteModel:
    """Placement alone, with two indices."""
    patterns = {"p1": (2, 0, 1), "p2": (1, 2, 0), "p3": (0, 1, 2), "p4": (3, 0, 0)}
    m = pyo.ConcreteModel("cutting patterns")
    m.use = pyo.Var(list(patterns), range(4), domain=pyo.Binary)
    m.one = pyo.Constraint(range(4), rule=lambda m, k: sum(m.use[p, k] for p in patterns) <= 1)
    m.need = pyo.Constraint(
        range(3), rule=lambda m, s: sum(patterns[p][s] * m.use[p, k] for p, k in m.use) >= (4, 2, 3)[s]
    )
    m.rolls = pyo.Objective(expr=sum(m.use.values()))
    return m


def nested_blocks() -> pyo.ConcreteModel:
    """Variables in blocks of an indexed block."""
    size = {"small": 1, "large": 3}

    def node(b, n):
        b.x = pyo.Var(m.MODELS, domain=pyo.Binary)
        b.inner = pyo.Block()
        b.inner.y = pyo.Var(m.MODELS, ["t1", "t2"], bounds=(0, 1))
        b.memory = pyo.Constraint(expr=sum(size[k] * b.x[k] for k in size) <= 3)
        b.link = pyo.Constraint(m.MODELS, ["t1", "t2"], rule=lambda b, k, t: b.inner.y[k, t] <= b.x[k])

    m = pyo.ConcreteModel("nested blocks")
    m.MODELS = pyo.Set(initialize=list(size))
    m.NODES = pyo.Set(initialize=["a", "b", "c"])
    m.node = pyo.Block(m.NODES, rule=node)
    m.dropped = pyo.Var(bounds=(0, 1))
    y = {(n, k, t): m.node[n].inner.y[k, t] for n in m.NODES for k in size for t in ("t1", "t2")}
    m.need = pyo.Constraint(
        ["t1", "t2"], rule=lambda m, t: sum(y[h] for h in y if h[2] == t) + m.dropped == 2
    )
    m.worth = pyo.Objective(
        expr=sum((1 + 0.2 * (h[1] == "large") + 0.01 * (h[0] == "b")) * y[h] for h in y) - m.dropped,
        sense=pyo.maximize,
    )
    annotate(
        m,
        onloading=[m.node[n].x for n in m.NODES],
        offloading=[*(m.node[n].inner for n in m.NODES), m.dropped],
    )
    return m


def scalars() -> pyo.ConcreteModel:
    """Variables without an index, and a row with two sides."""
    m = pyo.ConcreteModel("two plants")
    m.build_a, m.build_b = pyo.Var(domain=pyo.Binary), pyo.Var(domain=pyo.Binary)
    m.make_a, m.make_b = pyo.Var(domain=pyo.NonNegativeReals), pyo.Var(domain=pyo.NonNegativeReals)
    m.room_a = pyo.Constraint(expr=m.make_a <= 40 * m.build_a)
    m.room_b = pyo.Constraint(expr=m.make_b <= 70 * m.build_b)
    m.labour = pyo.Constraint(expr=2 * m.make_a + m.make_b <= 90)
    m.least = pyo.Constraint(expr=(20, m.make_a + m.make_b, 80))
    m.profit = pyo.Objective(
        expr=5 * m.make_a + 3 * m.make_b - 60 * m.build_a - 50 * m.build_b + 7, sense=pyo.maximize
    )
    return m


def three_indices() -> pyo.ConcreteModel:
    """Flows with three indices and long names."""
    rng = np.random.default_rng(7)
    depots, kinds = [f"depot {i}" for i in range(4)], ["fresh", "frozen", "dry"]
    customers = [f"customer with a rather long name {i}" for i in range(8)]
    size = {(p, c): float(rng.integers(1, 9)) for p in kinds for c in customers}
    m = pyo.ConcreteModel("three indices")
    m.stock = pyo.Var(depots, kinds, domain=pyo.Binary)
    m.send = pyo.Var(depots, kinds, customers, domain=pyo.NonNegativeReals)
    m.demand = pyo.Constraint(
        kinds, customers, rule=lambda m, p, c: sum(m.send[d, p, c] for d in depots) == size[p, c]
    )
    m.link = pyo.Constraint(
        depots, kinds, customers, rule=lambda m, d, p, c: m.send[d, p, c] <= size[p, c] * m.stock[d, p]
    )
    m.space = pyo.Constraint(
        depots, rule=lambda m, d: sum(m.send[d, p, c] for p in kinds for c in customers) <= 50
    )
    m.cost = pyo.Objective(
        expr=sum(float(rng.uniform(1, 9)) * m.send[k] for k in m.send) + 30 * sum(m.stock.values())
    )
    return m


def products() -> pyo.ConcreteModel:
    """Products of placement and routing, in rows and in the objective."""
    m = pyo.ConcreteModel("products")
    m.x = pyo.Var(["a", "b"], domain=pyo.Binary)
    m.y = pyo.Var(["a", "b"], [1, 2], bounds=(0, 1))
    m.serve = pyo.Constraint([1, 2], rule=lambda m, t: sum(m.x[n] * m.y[n, t] for n in m.x) <= 1)
    m.room = pyo.Constraint(expr=2 * m.x["a"] + 3 * m.x["b"] <= 3)
    m.worth = pyo.Objective(
        expr=sum((2 if n == "a" else 3) * m.x[n] * m.y[n, t] for n, t in m.y), sense=pyo.maximize
    )
    return m


#: All of them.
TEXTBOOK = (
    *(knapsack, p_median, network_design, lot_sizing, transport),
    *(cutting, nested_blocks, scalars, three_indices, products),
)
