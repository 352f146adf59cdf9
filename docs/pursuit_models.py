"""The forty models of docs/pursuit_table.md: of the library, of textbooks, and of other packages' kinds.

Those of textbooks that are not in tests/exact_models.py are written here, after the usual formulations. None
is in the tuning set, whose seeds begin at 900.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyomo.environ as pyo
from make_shapes_table import LARGER, SHAPES

from pyomo_j3o import annotate, library

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import exact_models


def cutting_stock(orders: int = 8, rolls: int = 14, seed: int = 0) -> pyo.ConcreteModel:
    """Cut ordered widths from rolls of several sizes: one unit of an order at most once from a roll.

    What an order lacks is bought, what a roll leaves is waste that is paid by the width.
    """
    rng = np.random.default_rng(seed)
    width = rng.integers(15, 60, orders).tolist()
    wanted = rng.integers(2, 6, orders).tolist()
    size = rng.integers(100, 180, rolls).tolist()
    m = pyo.ConcreteModel()
    m.O, m.R = pyo.RangeSet(0, orders - 1), pyo.RangeSet(0, rolls - 1)
    m.used = pyo.Var(m.R, domain=pyo.Binary)
    m.cut = pyo.Var(m.O, m.R, domain=pyo.Binary)
    m.bought = pyo.Var(m.O, domain=pyo.NonNegativeReals)
    m.waste = pyo.Var(m.R, domain=pyo.NonNegativeReals)
    m.met = pyo.Constraint(m.O, rule=lambda m, o: sum(m.cut[o, r] for r in m.R) + m.bought[o] == wanted[o])
    m.room = pyo.Constraint(
        m.R, rule=lambda m, r: sum(width[o] * m.cut[o, r] for o in m.O) + m.waste[r] == size[r] * m.used[r]
    )
    m.cost = pyo.Objective(
        expr=sum(size[r] * m.used[r] + 0.2 * m.waste[r] for r in m.R)
        + sum(1.6 * width[o] * m.bought[o] for o in m.O)
    )
    annotate(m, onloading=[m.used, m.cut], offloading=[m.bought, m.waste])
    return m


def multi_knapsack(items: int = 100, resources: int = 5, seed: int = 0) -> pyo.ConcreteModel:
    """Choose projects within several budgets; a budget may be exceeded by a tenth, at a price."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(1, 100, (resources, items))
    value = (weight.mean(axis=0) + rng.integers(0, 50, items)).round().tolist()
    budget = (weight.sum(axis=1) / 2).round().tolist()
    weight = weight.tolist()
    m = pyo.ConcreteModel()
    m.I, m.R = pyo.RangeSet(0, items - 1), pyo.RangeSet(0, resources - 1)
    m.take = pyo.Var(m.I, domain=pyo.Binary)
    m.over = pyo.Var(m.R, bounds=lambda m, r: (0, 0.1 * budget[r]))
    m.within = pyo.Constraint(
        m.R, rule=lambda m, r: sum(weight[r][i] * m.take[i] for i in m.I) - m.over[r] <= budget[r]
    )
    m.worth = pyo.Objective(
        expr=sum(value[i] * m.take[i] for i in m.I) - 2 * sum(m.over.values()), sense=pyo.maximize
    )
    annotate(m, onloading=[m.take], offloading=[m.over])
    return m


def fixed_charge_transport(sources: int = 12, sinks: int = 18, seed: int = 0) -> pyo.ConcreteModel:
    """Transport goods at least cost, where each connection that is used has a fixed charge."""
    rng = np.random.default_rng(seed)
    demand = rng.integers(10, 50, sinks)
    supply = np.ceil(1.15 * demand.sum() * rng.dirichlet(np.full(sources, 8.0))).tolist()
    demand = demand.tolist()
    charge = rng.integers(50, 250, (sources, sinks)).tolist()
    unit = rng.integers(2, 12, (sources, sinks)).tolist()
    m = pyo.ConcreteModel()
    m.I, m.J = pyo.RangeSet(0, sources - 1), pyo.RangeSet(0, sinks - 1)
    m.on = pyo.Var(m.I, m.J, domain=pyo.Binary)
    m.flow = pyo.Var(m.I, m.J, domain=pyo.NonNegativeReals)
    m.supply = pyo.Constraint(m.I, rule=lambda m, i: sum(m.flow[i, j] for j in m.J) <= supply[i])
    m.demand = pyo.Constraint(m.J, rule=lambda m, j: sum(m.flow[i, j] for i in m.I) == demand[j])
    m.link = pyo.Constraint(
        m.I, m.J, rule=lambda m, i, j: m.flow[i, j] <= min(supply[i], demand[j]) * m.on[i, j]
    )
    m.cost = pyo.Objective(
        expr=sum(charge[i][j] * m.on[i, j] + unit[i][j] * m.flow[i, j] for i in m.I for j in m.J)
    )
    annotate(m, onloading=[m.on], offloading=[m.flow])
    return m


def energy_system(units: int = 8, hours: int = 72, seed: int = 0) -> pyo.ConcreteModel:
    """Build power and heat plants, run them above their least load, and store power: an energy hub."""
    rng = np.random.default_rng(seed)
    at = np.arange(hours)
    power = (60 + 25 * np.sin((at - 8) * np.pi / 12) + rng.normal(0, 4, hours)).clip(20).round(1).tolist()
    heat = (50 - 20 * np.sin((at - 4) * np.pi / 12) + rng.normal(0, 4, hours)).clip(15).round(1).tolist()
    tariff = (55 + 25 * np.sin((at - 9) * np.pi / 12) + rng.normal(0, 5, hours)).round(1).tolist()
    most = rng.integers(12, 40, units).tolist()
    ratio = rng.uniform(0.6, 1.6, units).round(2).tolist()  # heat per power
    fuel = rng.uniform(40, 75, units).round(1).tolist()
    build = (rng.uniform(6, 14, units) * most * hours / 24).round().tolist()
    begin = rng.integers(40, 160, units).tolist()
    m = pyo.ConcreteModel()
    m.G, m.T = pyo.RangeSet(0, units - 1), pyo.RangeSet(0, hours - 1)
    m.built = pyo.Var(m.G, domain=pyo.Binary)
    m.on = pyo.Var(m.G, m.T, domain=pyo.Binary)
    m.starts = pyo.Var(m.G, m.T, bounds=(0, 1))
    m.power = pyo.Var(m.G, m.T, domain=pyo.NonNegativeReals)
    m.bought = pyo.Var(m.T, domain=pyo.NonNegativeReals)
    m.boiler = pyo.Var(m.T, domain=pyo.NonNegativeReals)
    m.charged = pyo.Var(m.T, bounds=(0, 15))
    m.drawn = pyo.Var(m.T, bounds=(0, 15))
    m.level = pyo.Var(m.T, bounds=(0, 60))
    m.exists = pyo.Constraint(m.G, m.T, rule=lambda m, g, t: m.on[g, t] <= m.built[g])
    m.most = pyo.Constraint(m.G, m.T, rule=lambda m, g, t: m.power[g, t] <= most[g] * m.on[g, t])
    m.least = pyo.Constraint(m.G, m.T, rule=lambda m, g, t: m.power[g, t] >= 0.4 * most[g] * m.on[g, t])
    m.start = pyo.Constraint(
        m.G, m.T, rule=lambda m, g, t: m.starts[g, t] >= m.on[g, t] - (m.on[g, t - 1] if t else 0)
    )
    m.store = pyo.Constraint(
        m.T,
        rule=lambda m, t: (
            m.level[t] == (m.level[t - 1] if t else 0) + 0.95 * m.charged[t] - 1.05 * m.drawn[t]
        ),
    )
    m.power_met = pyo.Constraint(
        m.T,
        rule=lambda m, t: (
            sum(m.power[g, t] for g in m.G) + m.bought[t] + m.drawn[t] >= power[t] + m.charged[t]
        ),
    )
    m.heat_met = pyo.Constraint(
        m.T, rule=lambda m, t: sum(ratio[g] * m.power[g, t] for g in m.G) + m.boiler[t] >= heat[t]
    )
    m.cost = pyo.Objective(
        expr=sum(build[g] * m.built[g] for g in m.G)
        + sum(fuel[g] * m.power[g, t] + begin[g] * m.starts[g, t] for g in m.G for t in m.T)
        + sum(1.4 * tariff[t] * m.bought[t] + 45 * m.boiler[t] for t in m.T)
    )
    annotate(
        m,
        onloading=[m.built, m.on],
        offloading=[m.starts, m.power, m.bought, m.boiler, m.charged, m.drawn, m.level],
    )
    return m


def _of_library(name: str) -> Callable[[], pyo.ConcreteModel]:
    arguments = dict(library.instances())[f"taskonomy-{name}"]
    return partial(library.taskonomy, **arguments)


#: Name → builder, in the order of the table.
MODELS: dict[str, Callable[[], pyo.ConcreteModel]] = (
    {
        f"inference, {name.replace('-', '/', 1).replace('-', ', ')}": _of_library(name)
        for name in ("5-1-drop", "8-1-serve", "12-2-serve", "20-2-drop", "30-3-serve", "40-4-drop")
    }
    | {name: partial(build, 0) for name, build in SHAPES.items() if "(rows)" not in name}
    | {f"{name}, larger": partial(build, 0) for name, build in LARGER.items()}
    | {
        "lot sizes, 4x15": partial(exact_models.lot_sizing, 4, 15, 0),
        "unit commitment, 10x24": partial(exact_models.unit_commitment, 10, 24, 0),
        "multicommodity, 16/20": partial(exact_models.multicommodity, 16, 20, 0),
        "single source, 12x30": partial(exact_models.single_source, 12, 30, 0),
        "set covering, 120x300": partial(exact_models.set_covering, 120, 300, 0),
        "assignment, 6x40": partial(exact_models.assignment_with_overflow, 6, 40, 0),
        "portfolio, 60/80": partial(exact_models.portfolio, 60, 80, 8, 0),
        "piecewise transport, 12x20x5": partial(exact_models.piecewise_transport, 12, 20, 5, 0),
        "scheduling, 10x2": partial(exact_models.scheduling, 10, 2, 0),
        "blend, 18x8": partial(exact_models.semi_continuous_blend, 18, 8, 0),
        "cutting stock, 8x14": cutting_stock,
        "multi-knapsack, 100x5": multi_knapsack,
        "fixed-charge transport, 12x18": fixed_charge_transport,
        "energy system, 8x72": energy_system,
    }
)
