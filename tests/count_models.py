"""Seeded random small models with counts: what general integers meet in one model."""

import numpy as np
import pyomo.environ as pyo

from pyomo_j3o import annotate


def random_count_model(seed, products=False):
    """Return a model of replicas, binaries and flows; every seed of another shape.

    Parameters
    ----------
    seed
        What decides all of it.
    products
        Whether rows and objective hold terms n·y, which plain MIP solvers do not take.
    """
    rng = np.random.default_rng(seed)
    m = pyo.ConcreteModel()
    n, k, clients = int(rng.integers(1, 5)), int(rng.integers(0, 4)), int(rng.integers(1, 4))
    least = rng.integers(-3, 2, n) if seed % 3 == 0 else np.zeros(n, dtype=int)
    span = rng.integers(0, 7, n)
    if seed % 5 == 0:
        span[0] = int(rng.integers(33, 90))
    m.n = pyo.Var(range(n), domain=pyo.Integers, bounds=lambda _, i: (int(least[i]), int(least[i] + span[i])))
    m.x = pyo.Var(range(k), domain=pyo.Binary)
    places = n + k
    m.y = pyo.Var(range(clients), range(places), bounds=(0, 4))
    annotate(m, onloading=[m.n, m.x], offloading=m.y)
    opened = [*m.n.values(), *m.x.values()]
    size = rng.choice([1.0, 2.0, 2.5, 3.7, 5.0], places)
    most = float(size[:n] @ (least + span)) + float(size[n:].sum())
    lowest = float(size[:n] @ least)
    m.room = pyo.Constraint(
        expr=pyo.quicksum(size[i] * opened[i] for i in range(places))
        <= lowest + rng.uniform(0.2, 0.8) * (most - lowest)
    )
    rate = rng.uniform(0.3, 3.0, places)
    m.capacity = pyo.Constraint(
        range(places),
        rule=lambda m, i: (
            pyo.quicksum(m.y[c, i] for c in range(clients))
            <= rate[i] * opened[i] + 1.0 * (i < n and least[i] < 0) * rate[i] * -least[min(i, n - 1)]
        ),
    )
    demand = rng.uniform(0.5, 4.0, clients)
    m.served = pyo.Constraint(range(clients), rule=lambda m, c: pyo.quicksum(m.y[c, :]) <= demand[c])
    if seed % 4 == 1:
        m.floor = pyo.Constraint(expr=pyo.quicksum(opened) >= float(least.sum()) + 1.0)
    if seed % 4 == 2 and n > 1:
        m.order = pyo.Constraint(expr=m.n[0] - 2 * m.n[1] <= 3)
    if seed % 7 == 3:
        m.exact = pyo.Constraint(
            expr=pyo.quicksum(m.n[i] for i in range(n)) == int((least + span // 2).sum())
        )
    worth, cost = rng.uniform(0.5, 4.0, (clients, places)), rng.uniform(0.0, 1.0, places)
    gain = pyo.quicksum(worth[c, i] * m.y[c, i] for c in range(clients) for i in range(places))
    gain -= pyo.quicksum(cost[i] * opened[i] for i in range(places))
    if products:
        gain += pyo.quicksum(rng.uniform(-0.3, 0.3) * m.n[i] * m.y[0, i] for i in range(n))
        m.together = pyo.Constraint(expr=m.n[0] * m.y[0, 0] + m.y[0, 0] <= 6.0)
    sign = -1 if seed % 2 else 1
    m.gain = pyo.Objective(expr=sign * gain, sense=pyo.maximize if sign > 0 else pyo.minimize)
    return m
