"""Rows of every kind that a placement-and-routing model may have, each in a small model of its own.

j3o is made for budgets on x, links y <= x, and shares that add up to 1, but it takes any linear row. Ten
builders each add one kind to a model from the library, or build a small one; the page "Rows of every kind" of
the docs explains them. The table compares j3o's plan and bound with the optimum, which HiGHS proves.

    python examples/row_kinds.py [picture.png]
"""

import sys
import time

import numpy as np
import pyomo.environ as pyo

from pyomo_j3o import OffloadingBlock, OnloadingBlock, library

SERVERS, SERVICES, USERS = 4, 9, 20


def servers_and_services(seed: int, **changed) -> pyo.ConcreteModel:
    """Build the model that the rows on x are added to: which services to run on which servers."""
    return library.service_placement(
        SERVERS, SERVICES, **{"users": USERS, "seed": seed, "reach": 2, **changed}
    )


def several_knapsacks(seed: int = 0) -> pyo.ConcreteModel:
    """Let a service take storage, memory and licences wherever it is placed: three budgets for each x."""
    return servers_and_services(seed, resources=("storage", "memory", "licences"))


def precedence(seed: int = 0) -> pyo.ConcreteModel:
    """Run a service only where its platform runs: x[n, s] <= x[n, platform], and platforms take room, too."""
    m = servers_and_services(seed)
    m.needs = pyo.Constraint(range(SERVERS), range(3, SERVICES))
    for n, s in m.needs.index_set():
        m.needs[n, s] = m.place.x[n, s] <= m.place.x[n, s % 3]
    return m


def incompatibility(seed: int = 0) -> pyo.ConcreteModel:
    """Run one at most of two services that disturb each other on a server, and one of four rivals."""
    m = servers_and_services(seed)
    x = m.place.x
    m.pairs = pyo.Constraint(range(SERVERS), range(0, SERVICES - 1, 2))
    m.rivals = pyo.Constraint(range(SERVERS))
    for n in range(SERVERS):
        for s in range(0, SERVICES - 1, 2):
            m.pairs[n, s] = x[n, s] + x[n, s + 1] <= 1
        m.rivals[n] = sum(x[n, s] for s in (0, 3, 5, 6)) <= 1
    return m


def covering(seed: int = 0) -> pyo.ConcreteModel:
    """Let each of the first three services run on two servers at least, so that one of them may fail."""
    m = servers_and_services(seed)
    m.twice = pyo.Constraint(range(3))
    for s in range(3):
        m.twice[s] = sum(m.place.x[n, s] for n in range(SERVERS)) >= 2
    return m


def equality(seed: int = 0) -> pyo.ConcreteModel:
    """Run the first three services on two servers each; on every server, sizes of 1 and 2 add up to 3."""
    m = servers_and_services(seed)
    x = m.place.x
    m.twice = pyo.Constraint(range(3))
    for s in range(3):
        m.twice[s] = sum(x[n, s] for n in range(SERVERS)) == 2
    m.sizes = pyo.Constraint(range(SERVERS))
    for n in range(SERVERS):
        m.sizes[n] = sum((1 + s % 2) * x[n, s] for s in range(SERVICES)) == 3
    return m


def fixed_charges(seed: int = 0) -> pyo.ConcreteModel:
    """Size lots: producing anything in a period has a fixed cost, stock costs, and a machine is shared."""
    rng = np.random.default_rng(seed)
    products, periods = range(3), range(8)
    demand = rng.integers(10, 60, (3, 8)).tolist()
    setup, holding = rng.integers(100, 300, 3).tolist(), rng.integers(1, 4, 3).tolist()
    # A tenth above the largest mean demand of the first periods: enough in every period for all before it.
    capacity = 1.1 * max(np.cumsum(np.sum(demand, axis=0)) / np.arange(1, 9))

    m = pyo.ConcreteModel("lot sizing")
    m.place = OnloadingBlock()
    m.place.x = pyo.Var(products, periods, domain=pyo.Binary)
    m.route = OffloadingBlock()
    m.route.y = pyo.Var(products, periods, domain=pyo.NonNegativeReals)
    m.route.stock = pyo.Var(products, periods, domain=pyo.NonNegativeReals)
    x, y, stock = m.place.x, m.route.y, m.route.stock
    m.balance = pyo.Constraint(products, periods)
    m.opens = pyo.Constraint(products, periods)
    m.machine = pyo.Constraint(periods)
    for t in periods:
        for p in products:
            before = stock[p, t - 1] if t else 0
            m.balance[p, t] = before + y[p, t] - stock[p, t] == demand[p][t]
            m.opens[p, t] = y[p, t] <= min(capacity, sum(demand[p][t:])) * x[p, t]
        m.machine[t] = sum(y[p, t] for p in products) <= capacity
    m.cost = pyo.Objective(
        expr=sum(setup[p] * x[p, t] + holding[p] * stock[p, t] for p in products for t in periods)
    )
    return m


def mixed_signs(seed: int = 0) -> pyo.ConcreteModel:
    """Let each district come near breaking even, and large sites have staff that small ones train."""
    data = library.facility_data(sites=12, customers=30, seed=seed, tightness=0.4)
    m = library.build_facility_location(data)
    x, y = m.place.x, m.route.y
    opening, demand, cost = data.opening.tolist(), data.demand.tolist(), data.cost.tolist()
    m.result = pyo.Constraint(range(3))
    for district in range(3):
        own = range(district, 12, 3)
        earned = sum(demand[j] * (12 - cost[i][j]) * y[i, j] for i in own for j in range(30))
        m.result[district] = earned - sum(opening[i] * x[i] for i in own) >= -500
    large = [i for i in range(12) if data.capacity[i] > np.median(data.capacity)]
    m.staff = pyo.Constraint(expr=sum((1 if i in large else -2) * x[i] for i in range(12)) <= 1)
    return m


def free_and_negative(seed: int = 0) -> pyo.ConcreteModel:
    """Build wind parks and trade: what a region sells is free in sign, what it sheds is at most 0."""
    rng = np.random.default_rng(seed)
    regions, parks = range(5), range(15)
    demand = rng.uniform(20, 60, 5).tolist()
    power, price = rng.uniform(15, 60, 15).tolist(), rng.uniform(150, 400, 15).tolist()

    m = pyo.ConcreteModel("parks and trade")
    m.place = OnloadingBlock()
    m.place.x = pyo.Var(parks, domain=pyo.Binary)
    m.route = OffloadingBlock()
    m.route.wind = pyo.Var(parks, domain=pyo.NonNegativeReals)
    m.route.sold = pyo.Var(regions)  # free: negative where a region buys
    m.route.shed = pyo.Var(regions, bounds=(-10, 0))
    m.route.gas = pyo.Var(regions, domain=pyo.NonNegativeReals)
    x, wind, sold, shed, gas = m.place.x, m.route.wind, m.route.sold, m.route.shed, m.route.gas
    m.output = pyo.Constraint(parks)
    for k in parks:
        m.output[k] = wind[k] <= power[k] * x[k]
    m.balance = pyo.Constraint(regions)
    m.line = pyo.Constraint(regions)
    for r in regions:
        m.balance[r] = sum(wind[k] for k in parks if k % 5 == r) + gas[r] - sold[r] - shed[r] == demand[r]
        m.line[r] = (-25, sold[r] + 0.2 * sold[(r + 1) % 5], 25)
    m.trade = pyo.Constraint(expr=sum(sold[r] for r in regions) == 0)
    m.cost = pyo.Objective(
        expr=sum(price[k] * x[k] for k in parks) + sum(15 * gas[r] - 40 * shed[r] for r in regions)
    )
    return m


def ranges(seed: int = 0) -> pyo.ConcreteModel:
    """Open four to six sites, none less than half full, and have the first six serve 30 to 50 %."""
    data = library.facility_data(sites=12, customers=30, seed=seed)
    m = library.build_facility_location(data)
    x, y = m.place.x, m.route.y
    demand, capacity = data.demand.tolist(), data.capacity.tolist()
    m.number = pyo.Constraint(expr=(4, sum(x.values()), 6))
    m.half_full = pyo.Constraint(range(12))
    for i in range(12):
        m.half_full[i] = sum(demand[j] * y[i, j] for j in range(30)) >= 0.5 * capacity[i] * x[i]
    first_six = sum(demand[j] * y[i, j] for i in range(6) for j in range(30))
    m.first_six = pyo.Constraint(expr=(0.3 * sum(demand), first_six, 0.5 * sum(demand)))
    return m


def closed_directions(seed: int = 0) -> pyo.ConcreteModel:
    """Serve the worst-off user as well as can be: the level to maximise has no bound but the users' rows."""
    m = servers_and_services(seed, users=10, compute=1.0)
    y = m.route.y
    m.route.level = pyo.Var()
    m.fair = pyo.Constraint(range(10))
    for u in range(10):
        m.fair[u] = m.route.level <= sum(y[h] for h in y if h[0] == u)
    m.answered.deactivate()
    m.worst = pyo.Objective(expr=m.route.level + 0.1 * m.answered.expr, sense=pyo.maximize)
    return m


BUILDERS = (
    several_knapsacks,
    precedence,
    incompatibility,
    covering,
    equality,
    fixed_charges,
    mixed_signs,
    free_and_negative,
    ranges,
    closed_directions,
)


def draw(picture: str) -> None:
    """Draw the coefficients of one model of each kind: onloading columns first, then offloading ones."""
    from matplotlib.figure import Figure
    from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

    figure = Figure(figsize=(11, 5), layout="constrained")
    for ax, build in zip(figure.subplots(2, 5).flat, BUILDERS, strict=True):
        form = LinearStandardFormCompiler().write(build(), mixed_form=True)
        binary = np.array([column.is_binary() for column in form.columns])
        place = np.empty(len(binary), dtype=int)
        place[np.argsort(~binary, kind="stable")] = np.arange(len(binary))
        entries = form.A.tocoo()
        colour = np.where(binary[entries.col], "#0072B2", "#D55E00")
        ax.scatter(place[entries.col], entries.row, s=1, c=colour, linewidths=0)
        ax.axvline(binary.sum() - 0.5, color="#999999", linewidth=0.6)
        ax.invert_yaxis()
        ax.set_title(build.__name__.replace("_", " "), fontsize=10)
        ax.tick_params(labelsize=7)
    figure.supxlabel("column (blue: onloading, orange: offloading)", fontsize=10)
    figure.supylabel("row", fontsize=10)
    figure.savefig(picture, dpi=110)


def main(picture: str | None = None):
    """Solve one model of each kind with j3o and with HiGHS, and print plan, bound and optimum."""
    print(
        f"{'kind of row':19}{'sense':>9}{'j3o':>12}{'its bound':>12}{'optimum':>12}{'lost':>8}{'time, s':>9}"
    )
    for build in BUILDERS:
        m = build()
        objective = next(m.component_data_objects(pyo.Objective, active=True))
        start = time.perf_counter()
        results = pyo.SolverFactory("j3o").solve(m)
        seconds = time.perf_counter() - start
        found = pyo.value(objective)
        least = objective.sense == pyo.minimize
        bound = results.problem.lower_bound if least else results.problem.upper_bound
        pyo.SolverFactory("highs").solve(m, options={"mip_rel_gap": 1e-6, "threads": 1}, timelimit=60)
        best = pyo.value(objective)
        lost = abs(found - best) / abs(best)
        kind, sense = build.__name__.replace("_", " "), "minimise" if least else "maximise"
        print(f"{kind:19}{sense:>9}{found:12.4f}{bound:12.4f}{best:12.4f}{lost:8.2%}{seconds:9.2f}")
    print("\nlost: how far the plan of j3o is from the optimum. The bound is what no plan can beat.")

    if picture:
        draw(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
