"""Random models with batching windows, and their optimum by enumeration from the definition alone."""

import itertools

import numpy as np
import pyomo.environ as pyo
import pytest
from reference_lp import lp_maximum

from pyomo_j3o import BatchingWindow, OffloadingBlock, OnloadingBlock


class Drawn:
    """A small random system with windows, as data, as a Pyomo model, and its optimum by enumeration.

    Sources send queries to models; model k of edge e answers if it is onloaded (some always are), and its
    queries wait in one window or, with `shared`, in one of two windows by source.
    """

    def __init__(self, seed, shared=False, ungated=False, costs=False, forced=False):
        rng = np.random.default_rng(seed)
        self.n_sources, self.n_models = int(rng.integers(2, 4)), int(rng.integers(2, 4))
        self.worth = rng.uniform(0.2, 1.0, (self.n_sources, self.n_models))
        self.load = rng.uniform(1.0, 6.0, self.n_sources)
        self.size = rng.integers(1, 4, self.n_models).astype(float)
        self.memory = float(rng.integers(2, int(self.size.sum()) + 1))
        self.setup = np.where(rng.random(self.n_models) < 0.2, 0.0, rng.uniform(0.01, 0.25, self.n_models))
        self.per_query = rng.uniform(0.02, 0.2, self.n_models)
        self.window_of = rng.integers(0, 2, self.n_sources) if shared else np.zeros(self.n_sources, dtype=int)
        self.length = rng.choice([0.1, 0.2, 0.5, 1.0], 2)
        self.always = (rng.random(self.n_models) < 0.4) & ungated
        self.cost = rng.uniform(0.0, 0.5, self.n_models) * costs
        self.forced = (rng.random(self.n_models) < 0.3) & (self.size <= self.memory / self.n_models) & forced
        self.headroom = float(rng.choice([0.0, 0.1]))
        self.required = bool(rng.random() < 0.2)
        self.windows = sorted(set(self.window_of.tolist()))

    def model(self, form="linear"):
        """Return the annotated Pyomo model."""
        sources, models = range(self.n_sources), range(self.n_models)
        gated = [k for k in models if not self.always[k]]
        m = pyo.ConcreteModel("batched")
        m.place, m.route = OnloadingBlock(), OffloadingBlock()
        m.place.x = pyo.Var(gated, domain=pyo.Binary)
        m.route.y = pyo.Var(sources, models, bounds=(0, 1))
        x, y = m.place.x, m.route.y

        def share(i, k):
            return x[k] * y[i, k] if form == "product" and k in gated else y[i, k]

        m.rows = pyo.ConstraintList()
        if form == "linear":
            for i, k in itertools.product(sources, gated):
                m.rows.add(y[i, k] <= x[k])
        for i in sources:
            total = sum(share(i, k) for k in models)
            m.rows.add(total == 1 if self.required else total <= 1)
        if gated:
            m.rows.add(sum(self.size[k] * x[k] for k in gated) <= self.memory)
        for k in gated:
            if self.forced[k]:
                m.rows.add(x[k] >= 1)
        m.value = pyo.Objective(
            expr=sum(self.load[i] * self.worth[i, k] * share(i, k) for i in sources for k in models)
            - sum(self.cost[k] * x[k] for k in gated),
            sense=pyo.maximize,
        )
        m.batch = BatchingWindow(self.windows)
        for w in self.windows:
            mine = [i for i in sources if self.window_of[i] == w]
            m.batch[w].set_batches(
                length=float(self.length[w]),
                arrivals={k: sum(self.load[i] * y[i, k] for i in mine) for k in models},
                setup={k: float(self.setup[k]) for k in models},
                per_query={k: float(self.per_query[k]) for k in models},
                headroom=self.headroom,
            )
        return m

    def optimum(self):
        """Return the largest value over all placements and sets of batches in use; -inf if none serves."""
        models, best = range(self.n_models), -np.inf
        pairs = list(itertools.product(range(self.n_sources), models))
        batches = list(itertools.product(self.windows, models))
        for placed in itertools.product([0, 1], repeat=self.n_models):
            x = np.array(placed)
            if np.any(x[self.always] == 0) or np.any(x[self.forced & ~self.always] == 0):
                continue
            if self.size[~self.always] @ x[~self.always] > self.memory + 1e-9:
                continue
            for used in itertools.product([0, 1], repeat=len(batches)):
                best = max(best, self._value(x, dict(zip(batches, used, strict=True)), pairs))
        return best

    def _value(self, x, used, pairs):
        upper = [min(x[k], used[self.window_of[i], k]) for i, k in pairs]
        rows, sides = [], []
        for w in self.windows:
            room = (1 - self.headroom) * self.length[w] - sum(
                self.setup[k] * used[w, k] for k in range(self.n_models)
            )
            if room < -1e-12:
                return -np.inf
            rows.append(
                [
                    self.per_query[k] * self.length[w] * self.load[i] * (self.window_of[i] == w)
                    for i, k in pairs
                ]
            )
            sides.append(max(room, 0.0))
        demand = [[float(i == j) for i, _ in pairs] for j in range(self.n_sources)]
        worth = np.array([self.load[i] * self.worth[i, k] for i, k in pairs])
        lowest = [-np.inf] * len(rows) + [1.0 if self.required else -np.inf] * self.n_sources
        highest = [*sides, *[1.0] * self.n_sources]
        found = lp_maximum(worth, rows + demand, lowest, highest, np.zeros(len(pairs)), upper)
        cost = sum(self.cost[k] * x[k] for k in range(self.n_models) if not self.always[k])
        return found - cost


def missed(m):
    """Return by how many seconds the worst window of a solved model is exceeded, by the definition."""
    worst = 0.0
    for w in m.batch:
        window = m.batch[w]
        length, busy = pyo.value(window.length), 0.0
        for k in window.models:
            q = length * pyo.value(window.arrivals[k])
            busy += pyo.value(window.per_query[k]) * q + (pyo.value(window.setup[k]) if q > 1e-9 else 0.0)
        worst = max(worst, busy - (1 - pyo.value(window.headroom)) * length)
    return worst


def unfilled():
    """Two sources choose among a small and a large model; a window that holds nothing yet."""
    m = pyo.ConcreteModel("camera and phone")
    m.place, m.route = OnloadingBlock(), OffloadingBlock()
    m.place.x = pyo.Var(["small", "large"], domain=pyo.Binary)
    m.route.y = pyo.Var(["camera", "phone"], ["small", "large"], bounds=(0, 1))
    m.rate = pyo.Param(
        ["camera", "phone"], initialize={"camera": 3, "phone": 5}, mutable=True, within=pyo.Any
    )
    m.number = pyo.Param(mutable=True, initialize=0.5, within=pyo.Any)
    m.rows = pyo.ConstraintList()
    for source in m.rate:
        m.rows.add(sum(m.route.y[source, :]) <= 1)
        for k in m.place.x:
            m.rows.add(m.route.y[source, k] <= m.place.x[k])
    worth = {"small": 0.6, "large": 0.9}
    m.gain = pyo.Objective(
        expr=sum(m.rate[i] * worth[k] * m.route.y[i, k] for i, k in m.route.y), sense=pyo.maximize
    )
    m.batch = BatchingWindow()
    return m


def arguments(m, **changed):
    """Return what fills the window of `unfilled`; entries can be replaced, by functions of the model, too."""
    given = {
        "length": 0.5,
        "arrivals": {k: sum(m.rate[i] * m.route.y[i, k] for i in m.rate) for k in m.place.x},
        "setup": {"small": 0.02, "large": 0.1},
        "per_query": {"small": 0.1, "large": 0.12},
    }
    return given | {name: value(m) if callable(value) else value for name, value in changed.items()}


def filled(**changed):
    """Return the model of `unfilled`, its window filled."""
    m = unfilled()
    m.batch.set_batches(**arguments(m, **changed))
    return m


def best(m, solver="j3o", **options):
    """Solve, check the windows by their definition, and return the objective."""
    pyo.SolverFactory(solver, **options).solve(m)
    return pyo.value(next(m.component_data_objects(pyo.Objective, active=True)))


# Both models: 0.02 + 0.1 s of set-up leave 0.38 s of 0.5 s. Large alone: 0.4 s are 20/3 queries/s of 8.
OPTIMUM = 0.9 * 20 / 3

#: Solvers to which a window is a block of ordinary rows.
OTHERS = [
    pytest.param(
        name, marks=pytest.mark.skipif(not pyo.SolverFactory(name).available(False), reason=f"no {name}")
    )
    for name in ("highs", "gurobi", "scip_direct")
]
