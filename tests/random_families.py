"""Seeded random models of the families that people write: each a short function that draws one.

`family_case(seed, family)` is to a family what `random_case(seed)` of `random_models` is to a shape: a seed
is one model, with the arrays that it is written from. Figures are those of practice: money beside pieces, a
big M, bytes. They have 16 binary digits each, so that exact arithmetic with them is quick.
"""

import itertools
import math
import zlib
from dataclasses import replace

import numpy as np
from random_models import Case, places_of
from random_problems import as_pyomo
from scipy import sparse
from small_problems import INF, problem_of

from pyomo_j3o.core.problem import OBJECTIVE


class Draft:
    """Collects variables, rows and products of one model, and draws its numbers.

    Costs and gains are in the user's sense: minimised unless `sense` is set to 1.
    """

    def __init__(self, rng):
        self.rng = rng
        self.sense = -1
        self.constant = 0.0
        self.xs, self.ys, self.rows, self.products = {}, {}, [], []

    # --- numbers --------------------------------------------------------------------------------------------

    def between(self, low, high):
        """Draw a number."""
        return _short(self.rng.uniform(low, high))

    def power(self, low, high):
        """Draw a number between two powers of ten, all orders of magnitude alike."""
        return _short(10.0 ** self.rng.uniform(low, high))

    def whole(self, low, high):
        """Draw a whole number, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, share):
        """Return True in a share of the cases."""
        return bool(self.rng.random() < share)

    # --- the model ------------------------------------------------------------------------------------------

    def x(self, cost=0.0):
        """Add an onloading variable; return its name."""
        name = f"x{len(self.xs)}"
        self.xs[name] = (float(cost), 0, 1)
        return name

    def y(self, cost=0.0, lower=0.0, upper=INF):
        """Add an offloading variable; return its name."""
        name = f"y{len(self.ys)}"
        self.ys[name] = (float(cost), float(lower), float(upper))
        return name

    def row(self, terms, lower=-INF, upper=INF):
        """Add a row over {name: coefficient}; return its number."""
        self.rows.append(({k: float(v) for k, v in terms.items()}, float(lower), float(upper)))
        return len(self.rows) - 1

    def product(self, x, y, coefficient, row=OBJECTIVE):
        """Add a product to a row, or to the objective."""
        self.products.append((row, x, y, float(coefficient)))

    def problem(self):
        """Return the arrays, which are maximised."""
        s = self.sense
        return problem_of(
            {k: (s * c, low, high) for k, (c, low, high) in self.xs.items()},
            {k: (s * c, low, high) for k, (c, low, high) in self.ys.items()},
            self.rows,
            [(r, x, y, s * v if r == OBJECTIVE else v) for r, x, y, v in self.products],
            constant=s * self.constant,
            sense=s,
        )


def _short(value):
    """Return the nearest number of 16 binary digits; an infinite one as it is."""
    if math.isinf(value):
        return float(value)
    mantissa, exponent = math.frexp(value)
    return math.ldexp(round(mantissa * 2**16), exponent - 16)


def family_case(seed, family):
    """Return the case of a seed in a family, always the same."""
    problem = family_problem(np.random.default_rng([zlib.crc32(family.encode()), seed]), family)
    model = as_pyomo(problem)
    return Case(seed, family, "small", "plain", model, problem, places_of(model, model.x.values()))


def family_problem(rng, family):
    """Draw the arrays of a model of a family."""
    draft = Draft(rng)
    drawn = FAMILIES[family](draft)
    return draft.problem() if drawn is None else drawn


# --- places, plants, lots -------------------------------------------------------------------------------


def money(d):
    """Draw a location model in plain money: sites for 1e5 to 1e8, units for 0.01 to 10."""
    n, k = d.whole(3, 8), d.whole(3, 10)
    opening, size, unit = d.power(5, 8), d.power(2, 6), d.power(-2, 1)
    demand = [d.between(0.2, 1) * size for _ in range(k)]
    bounded, exactly = d.chance(0.5), d.chance(0.6)
    sites = [d.x(d.between(0.5, 3) * opening) for _ in range(n)]
    ways = [
        [d.y(d.between(0.2, 3) * unit, upper=demand[j] if bounded else INF) for j in range(k)] for _ in sites
    ]
    for j in range(k):
        d.row({way[j]: 1 for way in ways}, demand[j], demand[j] if exactly else INF)
    for site, way in zip(sites, ways, strict=True):
        d.row(dict.fromkeys(way, 1) | {site: -d.between(0.3, 0.9) * sum(demand)}, upper=0)
    if d.chance(0.3):
        for site, way in zip(sites, ways, strict=True):
            for j in range(k):
                d.row({way[j]: 1, site: -demand[j]}, upper=0)


def big_m(d):
    """Draw a model of flows without bounds that a big M of 1e3 to 1e9 switches."""
    n, k, m = d.whole(1, 7), d.whole(1, 8), 10.0 ** d.whole(3, 9)
    m *= d.between(1, 9) if d.chance(0.5) else 1
    demand = [d.between(1, 20) for _ in range(k)]
    sites = [d.x(d.between(1, 200)) for _ in range(n)]
    ways = [[d.y(d.between(0.1, 5) if d.chance(0.9) else 0) for _ in demand] for _ in sites]
    bought = [d.y(d.between(3, 15)) for _ in demand] if d.chance(0.5) else []
    for j, need in enumerate(demand):
        d.row({way[j]: 1 for way in ways} | ({bought[j]: 1} if bought else {}), need)
    each = d.chance(0.3)
    for site, way in zip(sites, ways, strict=True):
        for part in [[one] for one in way] if each else [way]:
            d.row(dict.fromkeys(part, 1) | {site: -m}, upper=0)


def unit_commitment(d):
    """Draw plants that run, start, ramp and rest, against a load by the hour."""
    plants, hours = d.whole(2, 4), d.whole(3, 6)
    top = [d.between(50, 300) for _ in range(plants)]
    least = [d.between(0.2, 0.6) * v for v in top]
    load = [d.between(0.3, 0.9) * sum(top) for _ in range(hours)]
    on, start, power = ([[None] * hours for _ in range(plants)] for _ in range(3))
    for g in range(plants):
        running, starting, fuel = d.between(100, 3000), d.between(100, 9000), d.between(5, 60)
        ramp, rest = d.between(0.4, 1) * top[g], d.whole(1, 3)
        for t in range(hours):
            on[g][t], start[g][t] = d.x(running), d.x(starting)
            power[g][t] = d.y(fuel * d.between(0.9, 1.1))
            d.row({power[g][t]: 1, on[g][t]: -top[g]}, upper=0)
            d.row({power[g][t]: 1, on[g][t]: -least[g]}, lower=0)
            if t:
                d.row({start[g][t]: 1, on[g][t]: -1, on[g][t - 1]: 1}, lower=0)
                d.row({power[g][t]: 1, power[g][t - 1]: -1, start[g][t]: -top[g]}, upper=ramp)
            else:
                d.row({start[g][t]: 1, on[g][t]: -1}, lower=0)
            if rest > 1:
                d.row({start[g][s]: 1 for s in range(max(0, t - rest + 1), t + 1)} | {on[g][t]: -1}, upper=0)
    shed = d.chance(0.7)
    reserve = d.between(0, 0.15)
    for t in range(hours):
        missing = {d.y(d.between(500, 5000)): 1} if shed else {}
        d.row({power[g][t]: 1 for g in range(plants)} | missing, load[t], load[t])
        d.row({on[g][t]: top[g] for g in range(plants)}, lower=(1 + reserve) * load[t] if not shed else 0)


def lots(d):
    """Draw lot sizes with set-ups that may be carried over to the next period; many have no plan."""
    products, periods = d.whole(2, 4), d.whole(3, 6)
    demand = [[d.whole(0, 30) if d.chance(0.8) else 0 for _ in range(periods)] for _ in range(products)]
    room = d.between(1.0, 1.9) * sum(map(sum, demand)) / periods + 5
    late = d.chance(0.4)
    load = [{} for _ in range(periods)]
    kept = [{} for _ in range(periods)]
    for i in range(products):
        setting = d.between(0, 8)
        before = None
        for t in range(periods):
            made = d.y(d.between(0, 2))
            stock = d.y(0 if late else d.between(0.2, 3), lower=-40 if late else 0)
            setup, carried = d.x(d.between(10, 100)), d.x()
            d.row({made: 1, stock: -1} | ({before[0]: 1} if before else {}), *[demand[i][t]] * 2)
            d.row({made: 1, setup: -room, carried: -room}, upper=0)
            if before:
                d.row({carried: 1, before[1]: -1, before[2]: -1}, upper=0)
            else:
                d.row({carried: 1}, upper=d.whole(0, 1))
            if late:
                held = d.y(d.between(0.5, 3))
                d.row({held: 1, stock: -1}, lower=0)
                d.row({held: 1, stock: 3}, lower=0)
            load[t] |= {made: 1, setup: setting}
            kept[t][carried] = 1
            before = stock, setup, carried
        if late:
            d.row({before[0]: 1}, lower=0)
    for t in range(periods):
        d.row(kept[t], upper=1)
        d.row(load[t], upper=room)


def network(d):
    """Draw flows on arcs that have to be paid for before they carry anything."""
    nodes = d.whole(4, 7)
    supply = [d.between(-30, 30) for _ in range(nodes - 1)]
    supply.append(-sum(supply))
    most = sum(map(abs, supply)) / 2
    balance = [{} for _ in range(nodes)]
    for a in range(nodes):
        for b in range(nodes):
            if a == b or (d.chance(0.5) and b != (a + 1) % nodes):
                continue
            arc, flow = d.x(d.between(10, 300)), d.y(d.between(0.5, 6))
            d.row({flow: 1, arc: -d.between(0.4, 1.2) * most}, upper=0)
            balance[a][flow], balance[b][flow] = 1, -1
    for a in range(nodes):
        d.row(balance[a], supply[a], supply[a])


# --- flows and quantities -------------------------------------------------------------------------------


def pooling(d):
    """Draw flows that are mixed; what is done to a flow, a binary, changes its quality: products x·y."""
    sources, sinks = d.whole(2, 3), d.whole(1, 3)
    flow = [[d.y(d.between(1, 9), 0, d.between(20, 60)) for _ in range(sinks)] for _ in range(sources)]
    cleaned = [d.x(d.between(5, 40)) for _ in range(sources)]
    opened = [d.x(d.between(5, 60)) for _ in range(sources)]
    quality = [d.between(1, 6) for _ in range(sources)]
    for i in range(sources):
        d.row(dict.fromkeys(flow[i], 1) | {opened[i]: -d.between(30, 90)}, upper=0)
    for j in range(sinks):
        need = d.between(5, 30)
        d.row({flow[i][j]: 1 for i in range(sources)}, need, need if d.chance(0.5) else INF)
        wanted = d.between(2, 4)
        row = d.row({flow[i][j]: quality[i] - wanted for i in range(sources)}, upper=0)
        for i in range(sources):
            d.product(cleaned[i], flow[i][j], -d.between(0.3, 0.9) * quality[i], row)
            if d.chance(0.5):
                d.product(cleaned[i], flow[i][j], d.between(0.1, 2))


def portfolio(d):
    """Draw shares of a sum of money: few titles, a least purchase, some in whole lots, limits by sector."""
    d.sense = 1
    n, total = d.whole(4, 12), d.power(3, 7)
    chosen, amount = [], []
    for _ in range(n):
        x, gain = d.x(-d.between(0, 1e-3) * total), d.between(0.01, 0.12)
        y = d.y(gain)
        d.row({y: 1, x: -d.between(0.2, 0.5) * total}, upper=0)
        d.row({y: 1, x: -d.between(0.02, 0.1) * total}, lower=0)
        if d.chance(0.3):
            lot = round(total * d.between(0.02, 0.08), 2)
            bits = [d.x() for _ in range(3)]
            d.row({y: 1} | {b: -lot * 2**k for k, b in enumerate(bits)}, 0, 0)
        chosen.append(x)
        amount.append(y)
    d.row(dict.fromkeys(amount, 1), 0 if d.chance(0.7) else total, total)
    d.row(dict.fromkeys(chosen, 1), d.whole(0, 2), d.whole(2, 6))
    for _ in range(d.whole(1, 3)):
        d.row({y: d.between(0, 1) for y in amount}, upper=d.between(0.2, 0.6) * total)


def piecewise(d):
    """Draw costs that are linear in pieces, with jumps; a binary for each piece."""
    parts, needed = d.whole(2, 5), {}
    size = d.power(0, 4)
    for _ in range(parts):
        ends = np.cumsum([0.0, *(d.between(1, 10) * size for _ in range(d.whole(2, 4)))])
        pieces = []
        for low, high in itertools.pairwise(ends):
            piece = d.x(d.between(0, 30) * size)
            quantity = d.y(d.between(0.5, 6))
            d.row({quantity: 1, piece: -high}, upper=0)
            d.row({quantity: 1, piece: -low}, lower=0)
            needed[quantity] = d.between(0.8, 1.2)
            pieces.append(piece)
        d.row(dict.fromkeys(pieces, 1), 0 if d.chance(0.5) else 1, 1)
    d.row(needed, lower=d.between(2, 8) * parts * size)


def semicontinuous(d):
    """Draw quantities that are nothing or within a range, blended to a recipe."""
    n = d.whole(3, 10)
    total = {}
    recipe = [{} for _ in range(d.whole(1, 3))]
    for _ in range(n):
        x, y = d.x(d.between(0, 20)), d.y(d.between(1, 9))
        low = d.between(2, 15)
        d.row({y: 1, x: -low * d.between(1.2, 4)}, upper=0)
        d.row({y: 1, x: -low}, lower=0)
        total[y] = 1
        for part in recipe:
            part[y] = d.between(-1, 1)
    need = d.between(5, 12) * n * 0.5
    d.row(total, need, need * d.between(1, 1.2))
    for part in recipe:
        d.row(part, -0.3 * need if d.chance(0.5) else -INF, 0.3 * need)


def one_sided(d):
    """Draw products x·y that stand on one side only: in the objective, in <= rows, or in >= rows."""
    d.sense = d.whole(0, 1) * 2 - 1
    n, k = d.whole(2, 6), d.whole(2, 5)
    xs = [d.x(d.between(-4, 8)) for _ in range(n)]
    ys = [d.y(d.between(-3, 3), -d.between(0, 5) if d.chance(0.4) else 0, d.between(1, 20)) for _ in range(k)]
    where = d.whole(0, 2)
    rows = [d.row({ys[j]: d.between(0, 1) for j in range(k)}, upper=d.between(5, 30)) for _ in range(2)]
    if where == 2:
        rows.append(d.row({}, lower=d.between(1, 10)))
    side = d.whole(0, 1) * 2 - 1
    for x in xs:
        for y in ys:
            if d.chance(0.5):
                if where == 0:
                    d.product(x, y, side * d.between(0.5, 4))
                else:
                    d.product(x, y, d.between(0.5, 4), rows[-1] if where == 2 else rows[d.whole(0, 1)])
    d.row(dict.fromkeys(xs, 1), lower=d.whole(0, 1), upper=d.whole(1, n))


def bilinear(d):
    """Draw products x·y in all rows, with ends of y anywhere up to 1e7, and a plan far from those ends.

    Sides are drawn around what the rows are at a plan; a few are drawn at random, and may leave none.
    """
    d.sense = d.whole(0, 1) * 2 - 1
    n, k = d.whole(1, 5), d.whole(1, 4)
    xs = [d.x(d.between(-9, 9)) for _ in range(n)]
    at = {x: d.whole(0, 1) for x in xs}
    ys = []
    for _ in range(k):
        end = d.power(0, 7)
        low = float(d.rng.choice([0.0, 0.0, -end, d.between(-5, 5)]))
        ys.append(d.y(d.between(-9, 9) * d.chance(0.6), low, _short(low + end)))
        at[ys[-1]] = min(max(d.power(-2, 1), low), low + end)
    pairs = [(x, y) for x in xs for y in ys]
    for _ in range(d.whole(1, 6)):
        unit = d.power(-3, 3) if d.chance(0.4) else 1.0

        def drawn(names, share, unit=unit):
            return {name: _short(d.between(-9, 9) * unit) for name in names if d.chance(share)}

        terms, products = drawn(ys, 0.5) | drawn(xs, 0.5), drawn(pairs, 0.3)
        if d.chance(0.3):
            # A few entries in a unit of their own: kilometres beside millimetres.
            products = {pair: _short(v * 10.0 ** d.whole(-3, 3)) for pair, v in products.items()}
        if not any(y in terms for y in ys) and not products:
            continue
        body = sum(v * at[name] for name, v in terms.items())
        body += sum(v * at[x] * at[y] for (x, y), v in products.items())
        middle = _short(d.between(-20, 20) * unit if d.chance(0.15) else body)
        slack = _short((abs(middle) + unit) * d.power(-3, 0))
        sides = [(-slack, INF), (-INF, slack), (-slack, slack), (0.0, 0.0)]
        low, high = d.rng.choice(sides, p=[0.4, 0.4, 0.1, 0.1])
        row = d.row(terms, _short(middle + low), _short(middle + high))
        for (x, y), v in products.items():
            d.product(x, y, v, row)
    for x, y in pairs:
        if d.chance(0.3):
            d.product(x, y, d.between(-9, 9))


def mixed_sizes(d):
    """Draw small rows in which entries of 0.1 to 3 stand beside some of 1e6 to 1e9, at a corner or between.

    A side is what the row makes of a random plan, without room: what is lost of a small entry counts.
    """

    def size():
        return float(d.rng.choice([-1, 1]) * d.rng.choice([1, 1, 1, 2, 3, 1e6, 1e7, 1e9, 0.1]))

    d.sense = d.whole(0, 1) * 2 - 1
    xs = [d.x(size() * d.chance(0.8)) for _ in range(d.whole(1, 5))]
    at = {x: d.whole(0, 1) for x in xs}
    ys = []
    for _ in range(d.whole(1, 2)):
        low = float(d.rng.choice([0, 0, 0, -abs(size()), 0.1 * abs(size())]))
        ys.append(d.y(size() * d.chance(0.8), low, low + abs(size())))
        _, low, high = d.ys[ys[-1]]
        at[ys[-1]] = float(d.rng.choice([low, high, (low + high) / 2]))
    pairs = [(x, y) for x in xs for y in ys]
    for _ in range(d.whole(1, 4)):
        terms = {name: size() for name in (*xs, *ys) if d.chance(0.6)}
        products = {pair: size() for pair in pairs if d.chance(0.12)}
        if not any(name in ys for name in terms) and not products:
            continue
        body = sum(v * at[name] for name, v in terms.items())
        body += sum(v * at[x] * at[y] for (x, y), v in products.items())
        sides = [(-INF, body), (body, INF), (body, body), (body - abs(size()), body)]
        row = d.row(terms, *sides[int(d.rng.choice(4, p=[0.45, 0.35, 0.1, 0.1]))])
        for (x, y), v in products.items():
            d.product(x, y, v, row)
    for x, y in pairs:
        if d.chance(0.12):
            d.product(x, y, size())


def penalties(d):
    """Draw pairs of x and y with gains of 1 to 100 beside penalties of 1e4 to 1e12, with y up to 1e6."""
    d.sense = d.whole(0, 1) * 2 - 1
    n, most = d.whole(1, 6), d.power(0, 6)
    penalty = d.power(4, 12)
    xs = [d.x(-d.sense * penalty * d.chance(0.2)) for _ in range(n)]
    ys = [d.y(d.sense * d.power(0, 2), upper=_short(most * d.between(0.5, 1))) for _ in range(n)]
    for x, y in zip(xs, ys, strict=True):
        if d.chance(0.8):
            d.product(x, y, -d.sense * penalty * (d.between(0.5, 1) if d.chance(0.5) else 1))
    if d.chance(0.5):  # each y is of use with its x open or without, and some of the x have to open
        d.row(dict.fromkeys(xs, 1), lower=d.whole(0, n))
    if d.chance(0.3):
        d.row(dict.fromkeys(ys, 1), upper=d.between(0.3, 0.9) * n * most)
    if d.chance(0.3):
        d.row({ys[0]: 1, xs[-1]: -most}, upper=0)
    if d.chance(0.2):
        short = d.y(-d.sense * penalty)
        d.row(dict.fromkeys(ys, 1) | {short: 1}, lower=d.between(0.1, 0.9) * n * most)


# --- rows of binaries -----------------------------------------------------------------------------------


def wide(d):
    """Draw a model with one row over all binaries, and many over three."""
    n = d.whole(15, 50)
    xs = [d.x(d.between(5, 9)) for _ in range(n)]
    ys = [d.y(d.between(1, 2), upper=10) for _ in xs]
    for x, y in zip(xs, ys, strict=True):
        d.row({y: 1, x: -7.5}, upper=0)
    d.row(dict.fromkeys(ys, 1), lower=d.between(0.5, 1.8) * n)
    for _ in range(2 * n):
        d.row({str(x): 1 for x in d.rng.choice(xs, 3, replace=False)}, upper=2)
    d.row({x: d.whole(20, 40) for x in xs}, upper=round(30 * d.between(0.3, 0.7) * n))


def whole_rows(d):
    """Draw rows of whole numbers or decimals, which hold exactly or not at all."""
    kind, n = d.whole(0, 5), d.whole(4, 9)
    unit = d.power(0, 10)
    weights = [max(1, round(d.between(0.2, 1) * unit)) for _ in range(n)]
    some = [w for w in weights if d.chance(0.5)] or weights[:1]
    if kind == 0:  # the best filling misses by one
        d.sense = 1
        xs = [d.x(w) for w in weights]
        d.row(dict(zip(xs, weights, strict=True)), upper=sum(some) - 1)
    elif kind == 1:  # a parity that cannot be met
        xs = [d.x(1) for _ in weights]
        d.row({x: 2 * w for x, w in zip(xs, weights, strict=True)}, *[2 * sum(some) + 1] * 2)
    elif kind == 2:  # a sum that can be met
        xs = [d.x(d.between(0.5, 2)) for _ in weights]
        d.row(dict(zip(xs, weights, strict=True)), sum(some), sum(some))
    elif kind == 3:  # decimals: 0.1 + 0.2 <= 0.3, or a tenth of a tenth too little
        d.sense = 1
        digits = d.whole(1, 3)
        tenths = [d.whole(1, 9 * 10 ** (digits - 1)) for _ in weights]
        xs = [d.x(t + d.between(0, 0.1)) for t in tenths]
        side = sum(t for t in tenths if d.chance(0.5)) - d.whole(0, 1)
        d.row(
            {x: float(f"{t}e-{digits}") for x, t in zip(xs, tenths, strict=True)},
            upper=float(f"{side}e-{digits}"),
        )
    elif kind == 4:  # two capacities, both missed by one
        d.sense = 1
        xs = [d.x(w + d.whole(0, 3)) for w in weights]
        d.row(dict(zip(xs, weights, strict=True)), upper=sum(some) - 1)
        d.row(
            {x: sum(weights) - w for x, w in zip(xs, weights, strict=True)},
            upper=len(some) * sum(weights) - sum(some) - 1,
        )
    else:  # a least filling, one more than some have
        xs = [d.x(w) for w in weights]
        d.row(dict(zip(xs, weights, strict=True)), lower=min(sum(some) + 1, sum(weights)))
    if d.chance(0.5):
        for x in xs[: n // 2]:
            y = d.y(d.sense * d.between(0, 0.5), upper=d.between(0.1, 1))
            d.row({y: 1, x: -1}, upper=0)


# --- figures of all sizes -------------------------------------------------------------------------------


def figures(d):
    """Draw sites, flows and budgets with every figure anywhere between 1e-6 and 1e9."""
    n, k = d.whole(1, 4), d.whole(1, 5)
    d.sense = d.whole(0, 1) * 2 - 1
    xs = [d.x(-d.sense * d.power(-6, 9)) for _ in range(n)]
    ys = [
        d.y(d.sense * (1 if d.chance(0.5) else -1) * d.power(-6, 9), upper=d.power(-6, 9)) for _ in range(k)
    ]
    for y in ys:
        d.row({y: d.power(-6, 6), xs[d.whole(0, n - 1)]: -d.power(-6, 9)}, upper=0)
    for _ in range(d.whole(1, 3)):
        # The terms of a row are of like size. What they add to in the middle is a limit from one side or two.
        size = d.power(-3, 9)
        terms = {
            y: _short(min(max(size / d.ys[y][2] * d.power(-1, 1), 1e-6), 1e9))
            for y in ys
            if d.chance(0.8) or y == ys[0]
        }
        middle = _short(sum(v * d.ys[y][2] for y, v in terms.items()) * d.power(-3, 0))
        d.row(terms, -INF if d.chance(0.6) else _short(middle * d.power(-3, -1)), middle)
    if d.chance(0.5):
        d.row({x: d.whole(1, 9) for x in xs}, upper=d.whole(3, 6 * n))


# --- no optimum, several parts, other units -------------------------------------------------------------


def infeasible(d):
    """Draw a model without a plan: by the integers alone, by the LP, or by rows together."""
    kind, n = d.whole(0, 4), d.whole(2, 6)
    big = d.power(0, 7)
    if kind == 0:  # a ring of odd length, each neighbour other than the next
        xs = [d.x(d.between(0, 9)) for _ in range(2 * d.whole(1, 5) + 1)]
        for a, b in zip(xs, xs[1:] + xs[:1], strict=True):
            d.row({a: 1, b: 1}, 1, 1)
    elif kind == 1:  # more demand than there is room
        xs = [d.x(d.between(1, 9)) for _ in range(n)]
        ys = [d.y(d.between(1, 3)) for _ in range(n)]
        room = [d.between(0.5, 1) * big for _ in range(n)]
        for x, y, r in zip(xs, ys, room, strict=True):
            d.row({y: 1, x: -r}, upper=0)
        d.row(dict.fromkeys(ys, 1), lower=sum(room) * 1.01)
    elif kind == 2:  # all sites are needed, and not all may open
        xs = [d.x(d.between(1, 9)) for _ in range(n)]
        ys = [d.y(d.between(1, 3), upper=big) for _ in range(n)]
        for x, y in zip(xs, ys, strict=True):
            d.row({y: 1, x: -big}, upper=0)
        d.row(dict.fromkeys(ys, 1), lower=(n - 0.5) * big)
        d.row(dict.fromkeys(xs, 1), upper=n - 1)
    elif kind == 3:  # a quantity between two steps
        xs = [d.x(d.between(1, 9)) for _ in range(n)]
        y = d.y(1.0, upper=n * big)
        d.row({y: 1} | dict.fromkeys(xs, -3 * big), 0, 0)
        d.row({y: 1}, 1.2 * big, 2.8 * big)
    else:  # an equation of products of 2 that is odd
        xs = [d.x(d.between(1, 9)) for _ in range(2 * n)]
        d.row({x: 2 * d.whole(1, 40) for x in xs}, *[2 * d.whole(1, 40 * n) + 1] * 2)
    for x in list(d.xs)[: d.whole(0, 3)]:
        d.row({d.y(-d.between(0, 3), upper=d.between(1, 5)): 1, x: -d.between(1, 5)}, upper=0)


def unbounded(d):
    """Draw a model whose worth grows without end, often only behind a site; some have no plan at all."""
    n = d.whole(2, 6)
    money(d) if d.chance(0.5) else semicontinuous(d)
    xs = list(d.xs)
    free, back = d.y(-d.power(-3, 3), lower=-INF if d.chance(0.3) else 0), d.y(d.power(-4, -3))
    d.row({free: 1, back: -d.between(0.5, 2) if d.chance(0.5) else 0.0}, lower=-d.between(0, 9))
    if d.chance(0.4):
        # Closed for good, or open with any of these.
        gate = dict.fromkeys(xs[:n], 1)
        d.row(gate, lower=1)
    if d.chance(0.25):
        d.row(dict.fromkeys(xs, 1), lower=len(xs) + 1)


def parts(d):
    """Draw two to four models of other families that share nothing but the objective."""
    names = [
        name
        for name in FAMILIES
        if name not in ("parts", "scaled twins", "unbounded", "wide rows", "infeasible", *_LATER)
    ]
    drawn = [family_problem(d.rng, str(d.rng.choice(names))) for _ in range(d.whole(2, 3))]
    return _side_by_side(drawn)


def _side_by_side(problems):
    """Return one problem of several, the worth of all of them maximised."""
    join = {
        name: np.concatenate([getattr(p, name) for p in problems])
        for name in (
            "onloading_objective",
            "offloading_objective",
            "row_lower",
            "row_upper",
            "onloading_lower",
            "onloading_upper",
            "offloading_lower",
            "offloading_upper",
        )
    }
    at = np.cumsum([[0, 0, 0]] + [[p.n_rows, p.n_onloading, p.n_offloading] for p in problems], axis=0)
    terms = [p.products for p in problems]
    return replace(
        problems[0],
        **join,
        onloading_rows=sparse.csr_array(sparse.block_diag([p.onloading_rows for p in problems])),
        offloading_rows=sparse.csr_array(sparse.block_diag([p.offloading_rows for p in problems])),
        products=replace(
            terms[0],
            row=np.concatenate(
                [
                    np.where(t.row == OBJECTIVE, OBJECTIVE, t.row + k[0])
                    for t, k in zip(terms, at, strict=False)
                ]
            ),
            onloading=np.concatenate([t.onloading + k[1] for t, k in zip(terms, at, strict=False)]),
            offloading=np.concatenate([t.offloading + k[2] for t, k in zip(terms, at, strict=False)]),
            coefficient=np.concatenate([t.coefficient for t in terms]),
        ),
        objective_constant=sum(p.objective_constant for p in problems),
    )


def twins(d):
    """Draw a model of another family in other units: rows, columns and objective times powers of ten."""
    left_out = ("parts", "scaled twins", "wide rows", *_LATER)
    names = [name for name in FAMILIES if name not in left_out]
    name = str(d.rng.choice(names))
    problem = family_problem(d.rng, name)
    # Flows in a network balance to the last digit: a factor must not round.
    return in_other_units(
        problem, d.rng, (-6, 9) if d.chance(0.3) else (-3, 4), name == "network" or d.chance(0.3)
    )


def in_other_units(problem, rng, powers, rounded=False):
    """Return a problem with rows, columns and objective times powers of ten between these, drawn at random.

    Rows of onloading variables alone keep their numbers: whole numbers stay whole. If `rounded`, the factors
    are the nearest powers of two, and the optimum is the same plan exactly.
    """

    def factors(n):
        chosen = 10.0 ** rng.integers(powers[0], powers[1] + 1, n)
        return 2.0 ** np.round(np.log2(chosen)) if rounded else chosen

    m, k = problem.n_rows, problem.n_offloading
    row = factors(m) if rng.random() < 0.6 else np.ones(m)
    column = factors(k) if rng.random() < 0.4 else np.full(k, float(factors(1)[0]))
    worth = float(factors(1)[0])
    terms = problem.products
    mixed = problem.offloading_rows.toarray().any(axis=1)
    mixed[terms.row[terms.row != OBJECTIVE]] = True
    row[~mixed] = 1.0
    of_term = np.append(row, worth)[terms.row] / column[terms.offloading]
    return replace(
        problem,
        onloading_objective=worth * problem.onloading_objective,
        offloading_objective=worth * problem.offloading_objective / column,
        objective_constant=worth * problem.objective_constant,
        onloading_rows=sparse.csr_array(sparse.diags_array(row) @ problem.onloading_rows),
        offloading_rows=sparse.csr_array(
            sparse.diags_array(row) @ problem.offloading_rows @ sparse.diags_array(1 / column)
        ),
        row_lower=row * problem.row_lower,
        row_upper=row * problem.row_upper,
        offloading_lower=column * problem.offloading_lower,
        offloading_upper=column * problem.offloading_upper,
        products=replace(terms, coefficient=terms.coefficient * of_term),
    )


#: The families that the bounds are tried on: small ones, half of them in other units.
SMALL = (
    "figures",
    "money",
    "big M",
    "network",
    "portfolio",
    "piecewise",
    "semi-continuous",
    "one-sided",
    "pooling",
)


def small_case(seed):
    """Return a case with figures of 1e-6 to 1e9, always the same; its exact optimum is soon known."""
    family = SMALL[seed % len(SMALL)]
    rng = np.random.default_rng([zlib.crc32(b"bounds"), seed])
    problem = family_problem(rng, family)
    if family != "figures" and rng.random() < 0.5:
        problem = in_other_units(problem, rng, (-6, 9), family == "network")
    model = as_pyomo(problem)
    return Case(seed, family, "small", "plain", model, problem, places_of(model, model.x.values()))


#: Left out where families are drawn from, so that a seed stays the model that it was.
_LATER = ("bilinear", "mixed sizes", "penalties")

#: All families by name.
FAMILIES = {
    "money": money,
    "big M": big_m,
    "unit commitment": unit_commitment,
    "lots": lots,
    "network": network,
    "pooling": pooling,
    "portfolio": portfolio,
    "piecewise": piecewise,
    "semi-continuous": semicontinuous,
    "one-sided": one_sided,
    "bilinear": bilinear,
    "mixed sizes": mixed_sizes,
    "penalties": penalties,
    "wide rows": wide,
    "whole numbers": whole_rows,
    "figures": figures,
    "infeasible": infeasible,
    "unbounded": unbounded,
    "parts": parts,
    "scaled twins": twins,
}
