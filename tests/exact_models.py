"""Forty models of many shapes on which the exact solver is compared with the MIP solver that it wraps.

Half come from `pyomo_j3o.library`, half are written here after textbook formulations. Sizes are such that
HiGHS alone needs between a fifth of a second and half a minute for a gap of 0.01 %.
"""

import numpy as np
import pyomo.environ as pyo

from pyomo_j3o import annotate, library


def _marked(m, onloading, offloading):
    annotate(m, onloading=onloading, offloading=offloading)
    return m


def lot_sizing(products=4, periods=15, seed=0, carry_over=False):
    """Set up machines, produce and stock; with `carry_over`, one set-up per period may be kept overnight."""
    rng = np.random.default_rng(seed)
    demand = np.where(rng.random((products, periods)) < 0.25, 0, rng.integers(20, 100, (products, periods)))
    setup_cost = rng.integers(200, 700, products).tolist()
    holding = rng.uniform(0.5, 2.5, products).round(2).tolist()
    setup_time = rng.integers(5, 25, products).tolist()
    capacity = float(round(1.25 * (demand.sum() / periods + 0.4 * sum(setup_time))))
    demand = demand.tolist()
    m = pyo.ConcreteModel()
    m.P, m.T = pyo.RangeSet(0, products - 1), pyo.RangeSet(0, periods - 1)
    m.setup = pyo.Var(m.P, m.T, domain=pyo.Binary)
    m.make = pyo.Var(m.P, m.T, domain=pyo.NonNegativeReals)
    m.stock = pyo.Var(m.P, m.T, domain=pyo.NonNegativeReals)
    m.late = pyo.Var(m.P, m.T, domain=pyo.NonNegativeReals)
    onloading = [m.setup]

    def balance(m, p, t):
        before = m.stock[p, t - 1] - m.late[p, t - 1] if t else 0
        return before + m.make[p, t] == demand[p][t] + m.stock[p, t] - m.late[p, t]

    m.balance = pyo.Constraint(m.P, m.T, rule=balance)
    if carry_over:
        m.kept = pyo.Var(m.P, m.T, domain=pyo.Binary)
        onloading.append(m.kept)
        m.one = pyo.Constraint(m.T, rule=lambda m, t: sum(m.kept[p, t] for p in m.P) <= 1)
        m.source = pyo.Constraint(
            m.P,
            m.T,
            rule=lambda m, p, t: (
                m.kept[p, t] <= m.setup[p, t - 1] + m.kept[p, t - 1] if t else m.kept[p, t] == 0
            ),
        )

    def ready(p, t):
        return m.setup[p, t] + m.kept[p, t] if carry_over else m.setup[p, t]

    m.link = pyo.Constraint(
        m.P, m.T, rule=lambda m, p, t: m.make[p, t] <= min(capacity, sum(demand[p])) * ready(p, t)
    )
    m.capacity = pyo.Constraint(
        m.T,
        rule=lambda m, t: (
            sum(m.make[p, t] for p in m.P) + sum(setup_time[p] * m.setup[p, t] for p in m.P) <= capacity
        ),
    )
    m.cost = pyo.Objective(
        expr=sum(
            setup_cost[p] * m.setup[p, t] + holding[p] * (m.stock[p, t] + 8 * m.late[p, t])
            for p in m.P
            for t in m.T
        )
    )
    return _marked(m, onloading, [m.make, m.stock, m.late])


def unit_commitment(units=10, periods=24, seed=0):
    """Switch units on and off to meet a daily load: minimum output, ramps, start-ups, reserve, slack."""
    rng = np.random.default_rng(seed)
    most = rng.integers(50, 300, units)
    least = (most * rng.uniform(0.3, 0.5, units)).round().tolist()
    ramp = (most * rng.uniform(0.3, 0.6, units)).round().tolist()
    price = rng.uniform(15, 40, units).round(2).tolist()
    idle = (most * rng.uniform(1.5, 5.0, units)).round().tolist()
    start = (most * rng.uniform(4, 20, units)).round().tolist()
    up = rng.integers(2, 7, units).tolist()
    hours = np.arange(periods)
    shape = 0.55 + 0.2 * np.sin((hours - 8) * 2 * np.pi / 24) + 0.06 * np.sin(hours * 4 * np.pi / 24)
    load = (most.sum() * (shape + rng.normal(0, 0.015, periods))).round().tolist()
    most = most.tolist()
    m = pyo.ConcreteModel()
    m.G, m.T = pyo.RangeSet(0, units - 1), pyo.RangeSet(0, periods - 1)
    m.on = pyo.Var(m.G, m.T, domain=pyo.Binary)
    m.start = pyo.Var(m.G, m.T, domain=pyo.Binary)
    m.stop = pyo.Var(m.G, m.T, domain=pyo.Binary)
    m.power = pyo.Var(m.G, m.T, domain=pyo.NonNegativeReals)
    m.shed = pyo.Var(m.T, domain=pyo.NonNegativeReals)
    m.state = pyo.Constraint(
        m.G,
        m.T,
        rule=lambda m, g, t: m.on[g, t] - (m.on[g, t - 1] if t else 0) == m.start[g, t] - m.stop[g, t],
    )
    m.least = pyo.Constraint(m.G, m.T, rule=lambda m, g, t: m.power[g, t] >= least[g] * m.on[g, t])
    m.most = pyo.Constraint(m.G, m.T, rule=lambda m, g, t: m.power[g, t] <= most[g] * m.on[g, t])
    m.up = pyo.Constraint(
        m.G,
        m.T,
        rule=lambda m, g, t: sum(m.start[g, s] for s in range(max(0, t - up[g] + 1), t + 1)) <= m.on[g, t],
    )
    m.down = pyo.Constraint(
        m.G,
        m.T,
        rule=lambda m, g, t: sum(m.stop[g, s] for s in range(max(0, t - up[g] + 1), t + 1)) <= 1 - m.on[g, t],
    )
    m.rise = pyo.Constraint(
        m.G,
        pyo.RangeSet(1, periods - 1),
        rule=lambda m, g, t: (
            m.power[g, t] - m.power[g, t - 1] <= ramp[g] * m.on[g, t - 1] + least[g] * m.start[g, t]
        ),
    )
    m.fall = pyo.Constraint(
        m.G,
        pyo.RangeSet(1, periods - 1),
        rule=lambda m, g, t: (
            m.power[g, t - 1] - m.power[g, t] <= ramp[g] * m.on[g, t] + least[g] * m.stop[g, t]
        ),
    )
    m.met = pyo.Constraint(m.T, rule=lambda m, t: sum(m.power[g, t] for g in m.G) + m.shed[t] == load[t])
    m.reserve = pyo.Constraint(
        m.T, rule=lambda m, t: sum(most[g] * m.on[g, t] for g in m.G) + m.shed[t] >= 1.08 * load[t]
    )
    m.cost = pyo.Objective(
        expr=sum(
            price[g] * m.power[g, t] + idle[g] * m.on[g, t] + start[g] * m.start[g, t]
            for g in m.G
            for t in m.T
        )
        + 500 * sum(m.shed[t] for t in m.T)
    )
    return _marked(m, [m.on, m.start, m.stop], [m.power, m.shed])


def bin_packing(items=18, bins=9, seed=0):
    """Assign items to bins of several sizes; what a bin is overfilled by costs."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(15, 60, items).tolist()
    size = rng.integers(90, 150, bins).tolist()
    cost = [s + int(rng.integers(-10, 11)) for s in size]
    m = pyo.ConcreteModel()
    m.I, m.B = pyo.RangeSet(0, items - 1), pyo.RangeSet(0, bins - 1)
    m.used = pyo.Var(m.B, domain=pyo.Binary)
    m.into = pyo.Var(m.I, m.B, domain=pyo.Binary)
    m.over = pyo.Var(m.B, bounds=(0, 20))
    m.all = pyo.Constraint(m.I, rule=lambda m, i: sum(m.into[i, b] for b in m.B) == 1)
    m.room = pyo.Constraint(
        m.B, rule=lambda m, b: sum(weight[i] * m.into[i, b] for i in m.I) - m.over[b] <= size[b] * m.used[b]
    )
    m.cost = pyo.Objective(expr=sum(cost[b] * m.used[b] + 2.5 * m.over[b] for b in m.B))
    return _marked(m, [m.used, m.into], [m.over])


def multicommodity(nodes=10, commodities=6, seed=0, neighbours=3):
    """Design a network of arcs with fixed charges that several commodities share."""
    rng = np.random.default_rng(seed)
    at = rng.random((nodes, 2)) * 100
    away = np.hypot(*(at[:, None] - at[None]).T)
    arcs = sorted(
        {(i, int(j)) for i in range(nodes) for j in np.argsort(away[i])[1 : neighbours + 1]}
        | {(i, (i + 1) % nodes) for i in range(nodes)}
    )
    arcs = sorted(set(arcs) | {(j, i) for i, j in arcs})
    pairs = [tuple(rng.choice(nodes, 2, replace=False).tolist()) for _ in range(commodities)]
    amount = rng.integers(5, 25, commodities).tolist()
    fixed = {a: float(round(6 * away[a] + rng.uniform(20, 120))) for a in arcs}
    unit = {a: float(round(0.1 * away[a] + rng.uniform(0, 3), 2)) for a in arcs}
    capacity = float(round(0.5 * sum(amount)))
    m = pyo.ConcreteModel()
    m.A = pyo.Set(initialize=arcs, dimen=2)
    m.K, m.N = pyo.RangeSet(0, commodities - 1), pyo.RangeSet(0, nodes - 1)
    m.open = pyo.Var(m.A, domain=pyo.Binary)
    m.flow = pyo.Var(m.A, m.K, domain=pyo.NonNegativeReals)

    def balance(m, n, k):
        net = amount[k] * ((n == pairs[k][0]) - (n == pairs[k][1]))
        out = sum(m.flow[i, j, k] for i, j in arcs if i == n)
        return out - sum(m.flow[i, j, k] for i, j in arcs if j == n) == net

    m.balance = pyo.Constraint(m.N, m.K, rule=balance)
    m.capacity = pyo.Constraint(
        m.A, rule=lambda m, i, j: sum(m.flow[i, j, k] for k in m.K) <= capacity * m.open[i, j]
    )
    m.link = pyo.Constraint(m.A, m.K, rule=lambda m, i, j, k: m.flow[i, j, k] <= amount[k] * m.open[i, j])
    m.cost = pyo.Objective(
        expr=sum(fixed[a] * m.open[a] for a in arcs)
        + sum(unit[i, j] * m.flow[i, j, k] for i, j in arcs for k in m.K)
    )
    return _marked(m, [m.open], [m.flow])


def single_source(sites=12, customers=30, seed=0):
    """Serve each customer from one site alone; what a site's size leaves is bought."""
    rng = np.random.default_rng(seed)
    site, customer = rng.random((sites, 2)), rng.random((customers, 2))
    away = np.hypot(*(customer[:, None] - site[None]).T).round(3).tolist()
    demand = rng.integers(10, 50, customers).tolist()
    size = rng.integers(100, 250, sites).tolist()
    opening = rng.integers(300, 700, sites).tolist()
    m = pyo.ConcreteModel()
    m.I, m.J = pyo.RangeSet(0, sites - 1), pyo.RangeSet(0, customers - 1)
    m.open = pyo.Var(m.I, domain=pyo.Binary)
    m.serves = pyo.Var(m.I, m.J, domain=pyo.Binary)
    m.bought = pyo.Var(m.I, bounds=(0, 100))
    m.one = pyo.Constraint(m.J, rule=lambda m, j: sum(m.serves[i, j] for i in m.I) == 1)
    m.room = pyo.Constraint(
        m.I,
        rule=lambda m, i: sum(demand[j] * m.serves[i, j] for j in m.J) <= size[i] * m.open[i] + m.bought[i],
    )
    m.link = pyo.Constraint(m.I, m.J, rule=lambda m, i, j: m.serves[i, j] <= m.open[i])
    m.cost = pyo.Objective(
        expr=sum(opening[i] * m.open[i] + 15 * m.bought[i] for i in m.I)
        + sum(10 * demand[j] * away[i][j] * m.serves[i, j] for i in m.I for j in m.J)
    )
    return _marked(m, [m.open, m.serves], [m.bought])


def set_covering(rows=120, columns=300, seed=0, density=0.05):
    """Choose sets that cover every element, or pay for what is left uncovered."""
    rng = np.random.default_rng(seed)
    covers = rng.random((rows, columns)) < density
    cost = rng.integers(10, 100, columns).tolist()
    penalty = rng.integers(80, 200, rows).tolist()
    m = pyo.ConcreteModel()
    m.R, m.C = pyo.RangeSet(0, rows - 1), pyo.RangeSet(0, columns - 1)
    m.take = pyo.Var(m.C, domain=pyo.Binary)
    m.missed = pyo.Var(m.R, bounds=(0, 1))
    m.cover = pyo.Constraint(
        m.R,
        rule=lambda m, r: sum(m.take[c] for c in np.flatnonzero(covers[r]).tolist()) + m.missed[r] >= 1,
    )
    m.cost = pyo.Objective(
        expr=sum(cost[c] * m.take[c] for c in m.C) + sum(penalty[r] * m.missed[r] for r in m.R)
    )
    return _marked(m, [m.take], [m.missed])


def assignment_with_overflow(agents=6, jobs=40, seed=0):
    """Assign each job to an agent (generalised assignment); overtime is dear."""
    rng = np.random.default_rng(seed)
    hours = rng.integers(5, 26, (agents, jobs))
    cost = (111 - hours + rng.integers(-10, 11, (agents, jobs))).tolist()
    room = (0.8 * hours.sum(axis=1) / agents).round().tolist()
    hours = hours.tolist()
    m = pyo.ConcreteModel()
    m.A, m.J = pyo.RangeSet(0, agents - 1), pyo.RangeSet(0, jobs - 1)
    m.does = pyo.Var(m.A, m.J, domain=pyo.Binary)
    m.overtime = pyo.Var(m.A, domain=pyo.NonNegativeReals)
    m.once = pyo.Constraint(m.J, rule=lambda m, j: sum(m.does[a, j] for a in m.A) == 1)
    m.room = pyo.Constraint(
        m.A, rule=lambda m, a: sum(hours[a][j] * m.does[a, j] for j in m.J) - m.overtime[a] <= room[a]
    )
    m.cost = pyo.Objective(
        expr=sum(cost[a][j] * m.does[a, j] for a in m.A for j in m.J) + 20 * sum(m.overtime[a] for a in m.A)
    )
    return _marked(m, [m.does], [m.overtime])


def portfolio(assets=60, scenarios=80, most=8, seed=0):
    """Hold a few assets of a least share each; the mean absolute deviation is weighed against the return."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(0, 0.04, (scenarios, 4)) @ rng.normal(0, 1, (4, assets))
    returns = rng.normal(0.01, 0.01, assets) + factor + rng.normal(0, 0.05, (scenarios, assets))
    mean = returns.mean(axis=0)
    off = (returns - mean).round(5).tolist()
    mean = mean.round(5).tolist()
    m = pyo.ConcreteModel()
    m.A, m.S = pyo.RangeSet(0, assets - 1), pyo.RangeSet(0, scenarios - 1)
    m.held = pyo.Var(m.A, domain=pyo.Binary)
    m.share = pyo.Var(m.A, bounds=(0, 1))
    m.below = pyo.Var(m.S, domain=pyo.NonNegativeReals)
    m.all = pyo.Constraint(expr=sum(m.share[a] for a in m.A) == 1)
    m.few = pyo.Constraint(expr=sum(m.held[a] for a in m.A) <= most)
    m.upper = pyo.Constraint(m.A, rule=lambda m, a: m.share[a] <= 0.3 * m.held[a])
    m.lower = pyo.Constraint(m.A, rule=lambda m, a: m.share[a] >= 0.05 * m.held[a])
    m.short = pyo.Constraint(
        m.S, rule=lambda m, s: m.below[s] + sum(off[s][a] * m.share[a] for a in m.A) >= 0
    )
    m.worth = pyo.Objective(
        expr=sum(mean[a] * m.share[a] for a in m.A) - 2 / scenarios * sum(m.below[s] for s in m.S),
        sense=pyo.maximize,
    )
    return _marked(m, [m.held], [m.share, m.below])


def piecewise_transport(sources=6, sinks=10, pieces=4, seed=0):
    """Transport at concave piecewise linear costs, each piece behind a binary (multiple choice)."""
    rng = np.random.default_rng(seed)
    demand = rng.integers(10, 40, sinks)
    supply = (1.3 * demand.sum() * rng.dirichlet(np.full(sources, 6.0))).round().tolist()
    demand = demand.tolist()
    ends = {
        (i, j): [float(round(min(supply[i], demand[j]) * (k / pieces))) for k in range(pieces + 1)]
        for i in range(sources)
        for j in range(sinks)
    }
    slope = {key: np.sort(rng.uniform(1, 12, pieces))[::-1].round(2).tolist() for key in ends}
    base = {}
    for key, breaks in ends.items():
        at = float(rng.integers(5, 30))
        for k in range(pieces):
            base[*key, k] = at
            if k + 1 < pieces:
                at += breaks[k + 1] * (slope[key][k] - slope[key][k + 1])
    m = pyo.ConcreteModel()
    m.I, m.J, m.K = (pyo.RangeSet(0, n - 1) for n in (sources, sinks, pieces))
    m.on = pyo.Var(m.I, m.J, m.K, domain=pyo.Binary)
    m.flow = pyo.Var(m.I, m.J, m.K, domain=pyo.NonNegativeReals)
    m.least = pyo.Constraint(
        m.I, m.J, m.K, rule=lambda m, i, j, k: m.flow[i, j, k] >= ends[i, j][k] * m.on[i, j, k]
    )
    m.most = pyo.Constraint(
        m.I, m.J, m.K, rule=lambda m, i, j, k: m.flow[i, j, k] <= ends[i, j][k + 1] * m.on[i, j, k]
    )
    m.one = pyo.Constraint(m.I, m.J, rule=lambda m, i, j: sum(m.on[i, j, k] for k in m.K) <= 1)
    m.demand = pyo.Constraint(
        m.J, rule=lambda m, j: sum(m.flow[i, j, k] for i in m.I for k in m.K) == demand[j]
    )
    m.supply = pyo.Constraint(
        m.I, rule=lambda m, i: sum(m.flow[i, j, k] for j in m.J for k in m.K) <= supply[i]
    )
    m.cost = pyo.Objective(
        expr=sum(
            base[i, j, k] * m.on[i, j, k] + slope[i, j][k] * m.flow[i, j, k]
            for i in m.I
            for j in m.J
            for k in m.K
        )
    )
    return _marked(m, [m.on], [m.flow])


def strip_packing(boxes=6, seed=0):
    """Pack boxes into a strip of least height: who is left of whom, with big M."""
    rng = np.random.default_rng(seed)
    wide, high = rng.integers(2, 8, boxes).tolist(), rng.integers(2, 8, boxes).tolist()
    strip, tall = 12, sum(high)
    m = pyo.ConcreteModel()
    m.B = pyo.RangeSet(0, boxes - 1)
    m.pairs = pyo.Set(initialize=[(i, j) for i in m.B for j in m.B if i != j], dimen=2)
    m.left = pyo.Var(m.pairs, domain=pyo.Binary)
    m.under = pyo.Var(m.pairs, domain=pyo.Binary)
    m.x = pyo.Var(m.B, bounds=lambda m, b: (0, strip - wide[b]))
    m.y = pyo.Var(m.B, bounds=lambda m, b: (0, tall - high[b]))
    m.height = pyo.Var(bounds=(0, tall))
    m.top = pyo.Constraint(m.B, rule=lambda m, b: m.y[b] + high[b] <= m.height)
    m.beside = pyo.Constraint(
        m.pairs, rule=lambda m, i, j: m.x[i] + wide[i] <= m.x[j] + strip * (1 - m.left[i, j])
    )
    m.below = pyo.Constraint(
        m.pairs, rule=lambda m, i, j: m.y[i] + high[i] <= m.y[j] + tall * (1 - m.under[i, j])
    )
    m.apart = pyo.Constraint(
        m.pairs,
        rule=lambda m, i, j: (
            m.left[i, j] + m.left[j, i] + m.under[i, j] + m.under[j, i] >= 1 if i < j else pyo.Constraint.Skip
        ),
    )
    m.goal = pyo.Objective(expr=m.height)
    return _marked(m, [m.left, m.under], [m.x, m.y, m.height])


def scheduling(jobs=8, machines=2, seed=0):
    """Order jobs on machines with release times, by big M: least weighted tardiness."""
    rng = np.random.default_rng(seed)
    takes = rng.integers(2, 10, jobs).tolist()
    weight = rng.integers(1, 6, jobs).tolist()
    release = rng.integers(0, 8, jobs).tolist()
    due = [r + t + int(rng.integers(0, 8)) for r, t in zip(release, takes, strict=True)]
    horizon = max(release) + sum(takes)
    m = pyo.ConcreteModel()
    m.J, m.M = pyo.RangeSet(0, jobs - 1), pyo.RangeSet(0, machines - 1)
    m.pairs = pyo.Set(initialize=[(i, j) for i in m.J for j in m.J if i < j], dimen=2)
    m.on = pyo.Var(m.J, m.M, domain=pyo.Binary)
    m.first = pyo.Var(m.pairs, domain=pyo.Binary)
    m.start = pyo.Var(m.J, bounds=lambda m, j: (release[j], horizon))
    m.late = pyo.Var(m.J, domain=pyo.NonNegativeReals)
    m.one = pyo.Constraint(m.J, rule=lambda m, j: sum(m.on[j, k] for k in m.M) == 1)

    def before(m, i, j, k):
        apart = 3 - m.first[i, j] - m.on[i, k] - m.on[j, k]
        return m.start[i] + takes[i] <= m.start[j] + horizon * apart

    def after(m, i, j, k):
        apart = 2 + m.first[i, j] - m.on[i, k] - m.on[j, k]
        return m.start[j] + takes[j] <= m.start[i] + horizon * apart

    m.before = pyo.Constraint(m.pairs, m.M, rule=before)
    m.after = pyo.Constraint(m.pairs, m.M, rule=after)
    m.lateness = pyo.Constraint(m.J, rule=lambda m, j: m.late[j] >= m.start[j] + takes[j] - due[j])
    m.cost = pyo.Objective(expr=sum(weight[j] * m.late[j] for j in m.J) + 0.01 * sum(m.start[j] for j in m.J))
    return _marked(m, [m.on, m.first], [m.start, m.late])


def semi_continuous_blend(materials=25, products=12, seed=0):
    """Blend products from a few materials each, none below a least share, within quality limits."""
    rng = np.random.default_rng(seed)
    cost = rng.uniform(2, 12, materials).round(2)
    quality = (0.1 * cost[:, None] * rng.uniform(0.5, 1.5, (materials, 3))).round(3).tolist()
    cost = cost.tolist()
    need = rng.uniform(0.5, 0.9, (products, 3)).round(3).tolist()
    demand = rng.integers(20, 80, products).tolist()
    supply = rng.integers(40, 120, materials).tolist()
    charge = rng.integers(10, 60, (materials, products)).tolist()
    m = pyo.ConcreteModel()
    m.I, m.P = pyo.RangeSet(0, materials - 1), pyo.RangeSet(0, products - 1)
    m.used = pyo.Var(m.I, m.P, domain=pyo.Binary)
    m.amount = pyo.Var(m.I, m.P, domain=pyo.NonNegativeReals)
    m.demand = pyo.Constraint(m.P, rule=lambda m, p: sum(m.amount[i, p] for i in m.I) == demand[p])
    m.supply = pyo.Constraint(m.I, rule=lambda m, i: sum(m.amount[i, p] for p in m.P) <= supply[i])
    m.quality = pyo.Constraint(
        m.P,
        pyo.RangeSet(0, 2),
        rule=lambda m, p, q: sum(quality[i][q] * m.amount[i, p] for i in m.I) >= need[p][q] * demand[p],
    )
    m.few = pyo.Constraint(m.P, rule=lambda m, p: sum(m.used[i, p] for i in m.I) <= 4)
    m.most = pyo.Constraint(
        m.I, m.P, rule=lambda m, i, p: m.amount[i, p] <= min(supply[i], demand[p]) * m.used[i, p]
    )
    m.least = pyo.Constraint(m.I, m.P, rule=lambda m, i, p: m.amount[i, p] >= 0.15 * demand[p] * m.used[i, p])
    m.cost = pyo.Objective(
        expr=sum(cost[i] * m.amount[i, p] + charge[i][p] * m.used[i, p] for i in m.I for p in m.P)
    )
    return _marked(m, [m.used], [m.amount])


def _thirty(name):
    return lambda: library.taskonomy(**dict(library.instances())[f"taskonomy-{name}"])


#: Name -> builder.
MODELS = {
    # Of the library.
    "facility location, equal, 25x50, s1": lambda: library.facility_location(25, 50, 1, style="equal"),
    "facility location, equal, 50x50, s3": lambda: library.facility_location(50, 50, 3, style="equal"),
    "facility location, 16x50, s0": lambda: library.facility_location(16, 50, 0),
    "facility location, 25x100, s1": lambda: library.facility_location(25, 100, 1, tightness=0.5),
    "p-median, 60x60, p=6, s0": lambda: library.p_median(60, 60, 6, 0),
    "p-median, 100x100, p=5, s1": lambda: library.p_median(100, 100, 5, 1),
    "two-stage, 8/16/40, s0": lambda: library.two_stage(8, 16, 40, 0),
    "two-stage, 10/20/40, s1": lambda: library.two_stage(10, 20, 40, 1),
    "maximal covering, 500x2000, s0": lambda: library.maximal_covering(500, 2000, seed=0),
    "maximal covering, 250x1500, s1": lambda: library.maximal_covering(250, 1500, seed=1, radius=0.15),
    "content, 12/8/60, s0": lambda: library.content_placement(12, 8, 60, reach=4, seed=0),
    "content, 12/8/60, s1": lambda: library.content_placement(12, 8, 60, reach=4, seed=1),
    "services, 10/20/80, s0": lambda: library.service_placement(10, 20, 80, 0),
    "services, 12/20/100, s1": lambda: library.service_placement(12, 20, 100, 1),
    "network functions, 8/4/10, s2": lambda: library.virtual_functions(8, 4, 10, 2),
    "network functions, 8/6/10, s1": lambda: library.virtual_functions(8, 6, 10, 1),
    "fixed charge network, 40, s0": lambda: library.fixed_charge_network(40, 0),
    "fixed charge network, 50, s1": lambda: library.fixed_charge_network(50, 1),
    "several edges, 10/3, s0": lambda: library.multi_edge(10, 3, 0, reach=2),
    "several edges, 8/3, drop, s1": lambda: library.multi_edge(8, 3, 1, reach=2, droppable=True),
    "inference, 5/1, drop": _thirty("5-1-drop"),
    "inference, 10/2, drop": _thirty("10-2-drop"),
    "inference, 20/2, drop": _thirty("20-2-drop"),
    "inference, 10/1, serve": _thirty("10-1-serve"),
    "inference, 12/2, serve": _thirty("12-2-serve"),
    "inference, DomainNet, 8/2, drop": lambda: library.domainnet(8, 2, seed=3, droppable=True),
    # Of textbooks.
    "lot sizes, 4x15, s0": lambda: lot_sizing(4, 15, 0),
    "lot sizes, carry-over, 4x10, s1": lambda: lot_sizing(4, 10, 1, carry_over=True),
    "lot sizes, carry-over, 3x12, s2": lambda: lot_sizing(3, 12, 2, carry_over=True),
    "lot sizes, 6x12, s3": lambda: lot_sizing(6, 12, 3),
    "unit commitment, 10x24, s0": lambda: unit_commitment(10, 24, 0),
    "unit commitment, 20x24, s1": lambda: unit_commitment(20, 24, 1),
    "bin packing, 18, s0": lambda: bin_packing(18, 9, 0),
    "multicommodity, 16/20, s0": lambda: multicommodity(16, 20, 0),
    "multicommodity, 20/30, s1": lambda: multicommodity(20, 30, 1),
    "single source, 12x30, s0": lambda: single_source(12, 30, 0),
    "single source, 15x40, s1": lambda: single_source(15, 40, 1),
    "set covering, 120x300, s0": lambda: set_covering(120, 300, 0),
    "assignment, 6x40, s0": lambda: assignment_with_overflow(6, 40, 0),
    "portfolio, 60/80, s0": lambda: portfolio(60, 80, 8, 0),
    "piecewise, 12x20x5, s0": lambda: piecewise_transport(12, 20, 5, 0),
    "strip packing, 8, s0": lambda: strip_packing(8, 0),
    "scheduling, 10x2, s0": lambda: scheduling(10, 2, 0),
    "blend, 18x8, s0": lambda: semi_continuous_blend(18, 8, 0),
}
