"""Seeded random annotated Pyomo models in every style of modelling.

A model is drawn as arrays first, so that its optimum is known without j3o's compiler.
`random_judge` judges what j3o says of it.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyomo.environ as pyo
from random_problems import SHAPES, random_problem
from small_problems import INF

from pyomo_j3o import BatchingWindow, OffloadingBlock, OnloadingBlock, annotate
from pyomo_j3o.core.problem import OBJECTIVE

WINDOWS = "windows"

#: Successive seeds go through all shapes, windows included.
N_SHAPES = len(SHAPES) + 1

#: Numbers of onloading and offloading variables; how often each is drawn.
SIZES = {"tiny": (3, 5), "small": (6, 12), "medium": (14, 50), "large": (50, 400)}
_SHARES = (0.3, 0.4, 0.2, 0.1)

_NAMES = ("x", "a b", "Δ", "1st", "a.b", "x[1]", "lambda", "it's", "name", "__", "e+1", "$")


@dataclass
class Case:
    """A random model, and the arrays that it was made from (None with windows).

    `places` holds the numbers of the arrays' onloading variables among the model's variables.
    """

    seed: int
    shape: str
    size: str
    style: str
    model: pyo.ConcreteModel
    problem: object = None
    places: tuple = ()


def places_of(model, variables):
    """Return the number of each variable among all of a model, which its clones share."""
    number = {id(v): k for k, v in enumerate(model.component_data_objects(pyo.Var))}
    return tuple(number[id(v)] for v in variables)


def random_case(seed):
    """Return the case of a seed, always the same."""
    rng = np.random.default_rng(seed)
    shapes = (*SHAPES, WINDOWS)
    shape, size = shapes[seed % len(shapes)], str(rng.choice(list(SIZES), p=_SHARES))
    n_x, n_y = (int(rng.integers(max(1, n // 2), n + 1)) for n in SIZES[size])
    writer = _Writer(rng, seed)
    if shape == WINDOWS:
        writer.write_windows(n_x, n_y)
        return Case(seed, shape, size, writer.style, writer.model)
    problem = random_problem(rng, shape, n_x, n_y, sense=int(rng.choice([-1, 1])))
    problem = writer.write(problem)
    return Case(seed, shape, size, writer.style, writer.model, problem, places_of(writer.model, writer.xs))


class _Writer:
    """Writes arrays as a Pyomo model in one style, drawn at random."""

    def __init__(self, rng, seed):
        self.rng = rng
        self.model = pyo.ConcreteModel(f"random {seed}")
        self.xs = []
        self.n_components = 0
        self.place = str(
            rng.choice(["flat", "named", "block", "indexed block", "nested", "pairs", "by rule"])
        )
        self.route = str(
            rng.choice(["flat", "named", "block", "indexed block", "nested", "pairs", "by rule"])
        )
        plain = {"flat", "named", "pairs"}
        self.unmarked = self.place in plain and self.route in plain and rng.random() < 0.4
        self.numbers = str(rng.choice(["floats", "Params", "Expressions", "mixed"]))

    @property
    def style(self):
        """Name the style."""
        marks = ", nothing marked" if self.unmarked else ""
        return f"{self.place} / {self.route}, {self.numbers}{marks}"

    def write(self, problem):
        """Write a problem, with some of its variables fixed; return it with these."""
        m, rng = self.model, self.rng
        xs = self._variables(self.place, problem.onloading_lower, problem.onloading_upper, True)
        ys = self._variables(self.route, problem.offloading_lower, problem.offloading_upper, False)
        self.xs = xs
        problem = self._fix_some(problem, xs, ys)
        everything = [*xs, *ys]
        matrix = np.hstack([problem.onloading_rows.toarray(), problem.offloading_rows.toarray()])
        products = {}
        terms = problem.products
        for row, i, j, value in zip(
            terms.row, terms.onloading, terms.offloading, terms.coefficient, strict=True
        ):
            products.setdefault(int(row), []).append((float(value), xs[i], ys[j]))
        sites = pyo.Block(range(2))
        m.sites = sites
        for row in rng.permutation(problem.n_rows):
            low, high = float(problem.row_lower[row]), float(problem.row_upper[row])
            held = [(float(matrix[row, k]), everything[k]) for k in np.flatnonzero(matrix[row])]
            body = self._row(held, products.get(int(row), []), low, high)
            if body is None:
                continue
            where = m if rng.random() < 0.7 else sites[int(rng.integers(2))]
            where.add_component(self._name("row"), pyo.Constraint(expr=body))
        costs = np.concatenate([problem.onloading_objective, problem.offloading_objective]) * problem.sense
        held = [(float(costs[k]), everything[k]) for k in np.flatnonzero(costs)]
        pairs = [(problem.sense * c, x, y) for c, x, y in products.get(OBJECTIVE, [])]
        worth = self._sum(held, pairs) + problem.sense * problem.objective_constant
        m.worth = pyo.Objective(expr=worth, sense=pyo.maximize if problem.sense > 0 else pyo.minimize)
        self._add_what_does_not_count(xs)
        self._mark(xs, ys)
        return problem

    def write_windows(self, n_x, n_y):
        """Write sources that send queries to models on edge servers, with one or two windows each."""
        m, rng = self.model, self.rng
        n_models, n_edges = max(2, n_x // 2), max(1, n_x // 6)
        n_sources = max(2, n_y // n_models)
        pairs, options = n_edges * n_models, n_sources * n_models
        xs = self._variables(self.place, np.zeros(pairs), np.ones(pairs), True)
        ys = self._variables(self.route, np.zeros(options), np.ones(options), False)
        home = rng.integers(0, n_edges, n_sources)
        window = rng.integers(0, 2, n_sources)
        load = rng.uniform(1, 10, n_sources)
        worth = load[:, None] * rng.uniform(0.3, 1, (n_sources, n_models))
        size, room = rng.integers(1, 6, n_models), rng.integers(4, 12, n_edges)
        m.rows = pyo.ConstraintList()
        for i in range(n_sources):
            mine = ys[i * n_models : (i + 1) * n_models]
            for k, y in enumerate(mine):
                m.rows.add(y <= xs[home[i] * n_models + k])
            m.rows.add(self._sum([(1.0, y) for y in mine], []) <= 1)
        for e in range(n_edges):
            m.rows.add(
                self._sum([(float(size[k]), xs[e * n_models + k]) for k in range(n_models)], [])
                <= int(room[e])
            )
        m.worth = pyo.Objective(
            expr=self._sum([(float(w), y) for w, y in zip(worth.flat, ys, strict=True)], []),
            sense=pyo.maximize,
        )
        m.batch = BatchingWindow(range(n_edges), range(2))
        for e, w in m.batch:
            here = [i for i in range(n_sources) if home[i] == e and window[i] == w]
            if here:
                m.batch[e, w].set_batches(
                    float(rng.choice([0.05, 0.1, 0.3, 1.0])),
                    {
                        k: self._sum([(float(load[i]), ys[i * n_models + k]) for i in here], [])
                        for k in range(n_models)
                    },
                    {k: float(rng.uniform(0.005, 0.06)) for k in range(n_models)},
                    {k: float(rng.uniform(0.01, 0.08)) for k in range(n_models)},
                )
        self.unmarked = False
        self._mark(xs, ys)

    # --- variables ------------------------------------------------------------------------------------------

    def _variables(self, layout, lower, upper, onloading):
        """Return one variable per bound, declared in a layout."""
        m, n = self.model, len(lower)
        name = "x" if onloading else "y"
        block = OnloadingBlock if onloading else OffloadingBlock
        if not n:
            return []

        def var(*sets):
            domain = pyo.Reals
            if onloading:
                domain = self.rng.choice(["Binary", "Boolean", "Integers", "NonNegativeIntegers"])
                domain = getattr(pyo, str(domain))
            return pyo.Var(*sets, domain=domain, bounds=(0, 1) if onloading else (None, None))

        if layout == "flat":
            m.add_component(name, var(range(n)))
            made = list(m.component(name).values())
        elif layout == "pairs":
            m.add_component(name, var([("n", str(k)) for k in range(n)]))
            made = list(m.component(name).values())
        elif layout == "named":
            made = []
            for k in range(n):
                m.add_component(f"{name}{_NAMES[k % len(_NAMES)]}{k}", one := var())
                made.append(one)
        elif layout == "block":
            m.add_component(f"{name}_block", part := block())
            part.v = var(range(n))
            made = list(part.v.values())
        elif layout == "by rule":

            def rule(part, k):
                part.v = var()

            m.add_component(f"{name}_block", part := block(range(n), rule=rule))
            made = [part[k].v for k in range(n)]
        elif layout == "indexed block":
            m.add_component(f"{name}_block", part := block(range(2)))
            part[0].v, part[1].v = var(range(0, n, 2)), var(range(1, n, 2))
            made = [part[k % 2].v[k] for k in range(n)]
        else:
            m.add_component(f"{name}_site", site := pyo.Block(range(2)))
            for part in site.values():
                part.inner = block()
                part.inner.deep = pyo.Block()
            site[0].inner.deep.v, site[1].inner.deep.v = var(range(0, n, 2)), var(range(1, n, 2))
            made = [site[k % 2].inner.deep.v[k] for k in range(n)]
        for one, low, high in zip(made, lower, upper, strict=True):
            for number, put in ((float(low), one.setlb), (float(high), one.setub)):
                if np.isfinite(number):
                    put(self._param(number) if self.rng.random() < 0.1 else number)
                elif self.rng.random() < 0.3:
                    put(number)
        return made

    def _fix_some(self, problem, xs, ys):
        if self.rng.random() < 0.7:
            return problem
        bounds = {
            name: getattr(problem, name).copy()
            for name in ("onloading_lower", "onloading_upper", "offloading_lower", "offloading_upper")
        }
        for kind, variables in (("onloading", xs), ("offloading", ys)):
            for k, variable in enumerate(variables):
                low, high = bounds[f"{kind}_lower"][k], bounds[f"{kind}_upper"][k]
                if self.rng.random() < 0.15 and np.isfinite(low):
                    value = float(self.rng.choice([low, high if np.isfinite(high) else low + 1]))
                    variable.fix(value)
                    bounds[f"{kind}_lower"][k] = bounds[f"{kind}_upper"][k] = value
        return replace(problem, **bounds)

    def _mark(self, xs, ys):
        if self.unmarked:
            return
        for variables, layout, kind in ((xs, self.place, "onloading"), (ys, self.route, "offloading")):
            if layout in ("flat", "pairs") and variables:
                annotate(self.model, **{kind: [variables[0].parent_component()]})
            elif layout == "named" and variables:
                annotate(self.model, **{kind: variables})

    # --- expressions ----------------------------------------------------------------------------------------

    def _name(self, stem):
        self.n_components += 1
        return f"{stem} {self.n_components}" if self.rng.random() < 0.2 else f"{stem}{self.n_components}"

    def _param(self, value):
        one = pyo.Param(initialize=value, mutable=True)
        self.model.add_component(self._name("p"), one)
        return one

    def _number(self, value):
        how = self.rng.random()
        if self.numbers == "floats" or how < 0.5:
            return value if how < 0.8 or value != int(value) else int(value)
        if self.numbers == "Params" or how < 0.75:
            return self._param(value)
        return self._param(2 * value) / 2

    def _term(self, value, variable):
        number, how = self._number(value), self.rng.random()
        if how < 0.6:
            return number * variable
        if how < 0.8:
            return variable * number
        return -(number * (-variable)) if how < 0.9 else variable / (1 / value)

    def _product(self, value, x, y):
        number = self._number(value)
        return [
            lambda: number * x * y,
            lambda: number * (y * x),
            lambda: (number * y) * x,
            lambda: x * (number * y + 0),
            lambda: (x + 1) * (number * y) - number * y,
            lambda: y * number * (2 * x - x),
        ][self.rng.integers(6)]()

    def _sum(self, terms, products):
        """Return the sum of linear terms and products, written at random."""
        rng, m = self.rng, self.model
        parts = [self._term(*term) for term in terms] + [self._product(*product) for product in products]
        how = rng.random()
        if how < 0.4 or not parts:
            expression = sum(parts)
        elif how < 0.6:
            expression = pyo.quicksum(parts)
        elif how < 0.7:
            middle = len(parts) // 2
            expression = 0.5 * (2 * sum(parts[:middle]) - 2 * (-pyo.quicksum(parts[middle:])))
        elif how < 0.8 and terms and not products:
            value = {k: value for k, (value, _) in enumerate(terms)}
            expression = pyo.sum_product(value, {k: v for k, (_, v) in enumerate(terms)}, index=list(value))
        else:
            expression = sum(reversed(parts))
        if self.numbers in ("Expressions", "mixed") and rng.random() < 0.5:
            m.add_component(self._name("e"), named := pyo.Expression(expr=expression))
            return named
        return expression

    def _row(self, terms, products, low, high):
        """Return the relation of one row; None if it has no bounds."""
        if low == -INF and high == INF:
            return None
        rng = self.rng
        if not terms and not products:
            zero = pyo.Var(initialize=0)
            self.model.add_component(self._name("zero"), zero)
            zero.fix()
            terms = [(1.0, zero)]
        if low == high:
            left = int(rng.integers(0, len(terms) + 1))
            if rng.random() < 0.4:
                return self._sum(terms[:left], products) == self._number(high) - self._sum(terms[left:], [])
            return self._sum(terms, products) == self._number(high)
        body = self._sum(terms, products)
        if low > -INF and high < INF:
            return pyo.inequality(low, body, high) if rng.random() < 0.5 else (low, body, high)
        if high < INF:
            left, side = int(rng.integers(0, len(terms) + 1)), self._number(high)
            how = rng.random()
            if how < 0.4:
                return body <= side
            if how < 0.6:
                return side >= body
            if how < 0.8:
                return self._sum(terms[:left], products) <= side - self._sum(terms[left:], [])
            return (None, body, side)
        return body >= self._number(low) if rng.random() < 0.5 else -1 * body <= -low

    def _add_what_does_not_count(self, xs):
        m, rng = self.model, self.rng
        if rng.random() < 0.3:
            m.other = pyo.Objective(expr=sum(xs) ** 2 if xs else 0)
            m.other.deactivate()
        if rng.random() < 0.3:
            m.never = pyo.Constraint(pyo.Any)
            for k, x in enumerate(xs):
                m.never[k] = x >= 2
            m.never.deactivate()
        if rng.random() < 0.3:
            m.asleep = pyo.Block()
            m.asleep.z = pyo.Var(domain=pyo.Integers)
            m.asleep.row = pyo.Constraint(expr=pyo.sin(m.asleep.z) == 2)
            m.asleep.deactivate()
        if rng.random() < 0.3:
            m.stray = pyo.Var(initialize=3.0)
            m.stray.fix()
            m.holds = pyo.Constraint(expr=m.stray * 2 <= 7)
        if rng.random() < 0.2:
            m.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)
