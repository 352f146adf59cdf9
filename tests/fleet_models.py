"""Small fleets for tests: parts that are built in any process, some of which fail in a way."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pyomo.environ as pyo

from pyomo_j3o import OffloadingBlock, OnloadingBlock


def shop(seed, sense=pyo.maximize, budgets=1):
    """Build a shop: it opens counters, serves customers, and uses what all shops share.

    A customer at a counter earns, and uses of each budget. Minimised, everybody has to be served, at a cost,
    and use saves cost. The uses are the named Expressions ``van0``, ``van1``, ...
    """
    rng = np.random.default_rng(seed)
    counters, customers = range(3), range(4)
    m = pyo.ConcreteModel(name=f"shop {seed}")
    m.place = OnloadingBlock()
    m.place.x = pyo.Var(counters, domain=pyo.Binary)
    m.route = OffloadingBlock()
    m.route.y = pyo.Var(customers, counters, bounds=(0, 1))
    x, y = m.place.x, m.route.y
    m.link = pyo.Constraint(pyo.Any)
    m.served = pyo.Constraint(pyo.Any)
    for i in customers:
        for j in counters:
            m.link[i, j] = y[i, j] <= x[j]
        total = sum(y[i, j] for j in counters)
        m.served[i] = total <= 1 if sense == pyo.maximize else total == 1
    m.room = pyo.Constraint(expr=sum(x[j] for j in counters) <= 2)
    worth = rng.uniform(1, 5, (4, 3))
    cost = rng.uniform(0.5, 2, 3)
    use = rng.uniform(0.2, 2, (budgets, 4, 3))
    for b in range(budgets):
        spent = sum(float(use[b, i, j]) * y[i, j] for i in customers for j in counters)
        m.add_component(f"van{b}", pyo.Expression(expr=spent))
    earned = sum(float(worth[i, j]) * y[i, j] for i in customers for j in counters)
    opened = sum(float(cost[j]) * x[j] for j in counters)
    if sense == pyo.maximize:
        m.profit = pyo.Objective(expr=earned - opened, sense=pyo.maximize)
    else:
        dear = sum(float(6 - use[:, i, j].sum() / budgets) * y[i, j] for i in customers for j in counters)
        m.cost = pyo.Objective(expr=dear + opened, sense=pyo.minimize)
    return m


def cheap_shop(seed):
    """Build a shop whose cost is minimised."""
    return shop(seed, pyo.minimize)


def shop_of_two(seed):
    """Build a shop that uses two budgets."""
    return shop(seed, budgets=2)


def cheap_shop_of_two(seed):
    """Build a shop whose cost is minimised, and that uses two budgets."""
    return shop(seed, pyo.minimize, budgets=2)


def either(seed):
    """Build shops of two senses."""
    return shop(seed, pyo.maximize if seed % 2 else pyo.minimize)


def broken_at_two(seed):
    """Raise for one of the parts."""
    if seed == 2:
        return 1 / (seed - 2)
    return shop(seed)


def counted(argument):
    """Build a shop, and leave a trace of every build in a folder; `argument` is (seed, folder)."""
    seed, folder = argument
    (Path(folder) / f"{seed}-{time.time_ns()}").touch()
    return shop(seed)


def dies_once(argument):
    """End the process on the first visit to part 1; `argument` is (seed, folder)."""
    seed, folder = argument
    mark = Path(folder) / "died"
    if seed == 1 and not mark.exists():
        mark.touch()
        os._exit(7)
    return shop(seed)


def always_dies(seed):
    """End the process on every visit to part 1."""
    if seed == 1:
        os._exit(7)
    return shop(seed)


def interrupts(seed):
    """Press Ctrl-C in the process that plans, at part 3: a thread of it builds."""
    if seed == 3:
        os.kill(os.getpid(), signal.SIGINT)
    return shop(seed)


def whole(build, parts, limits):
    """Return one model of all parts, with the shared rows."""
    m = pyo.ConcreteModel()
    m.part = pyo.Block(pyo.Any)
    models = [build(part) for part in parts]
    m.rows = pyo.Constraint(pyo.Any)
    objectives = []
    for k, model in enumerate(models):
        m.add_component(f"part{k}", model)
        objective = next(model.component_data_objects(pyo.Objective, active=True))
        objectives.append((objective.expr, objective.sense))
        objective.deactivate()
    for name, limit in limits.items():
        m.rows[name] = sum(model.find_component(name) for model in models) <= limit
    m.all = pyo.Objective(expr=sum(e for e, _ in objectives), sense=objectives[0][1])
    return m
