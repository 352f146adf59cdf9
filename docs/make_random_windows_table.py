"""Write docs/random_windows_table.md: J3O and BAJ3O on random systems, one or two windows per edge server.

Run it from the root of the repository; it takes about a minute. A model that is onloaded need not run in
every window of its server: there, to charge every onloaded model, as ``algorithm="j3o"`` does, has its price.

    python docs/make_random_windows_table.py [--seeds N]
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import pyomo.environ as pyo
from pyomo.contrib.solver.common.factory import SolverFactory

from pyomo_j3o import BatchingWindow, OffloadingBlock, OnloadingBlock

HERE = Path(__file__).parent


def draw(seed: int, n_windows: int) -> pyo.ConcreteModel:
    """Return a system of 5 to 11 sources, 1 to 3 edge servers and 3 to 8 models; queries may be dropped."""
    rng = np.random.default_rng(seed)
    sources, edges, models = (range(int(rng.integers(*ends))) for ends in ((5, 12), (1, 4), (3, 9)))
    home, window_of = rng.integers(0, len(edges), len(sources)), rng.integers(0, n_windows, len(sources))
    load = rng.uniform(1, 10, len(sources))
    accuracy = rng.uniform(0.3, 1, (len(sources), len(models)))
    memory, room = rng.integers(1, 6, len(models)), rng.integers(4, 12, len(edges))
    m = pyo.ConcreteModel(f"random windows {seed}")
    m.place, m.route = OnloadingBlock(), OffloadingBlock()
    m.place.x = pyo.Var(edges, models, domain=pyo.Binary)
    m.route.y = pyo.Var(sources, models, bounds=(0, 1))
    x, y = m.place.x, m.route.y
    m.link, m.once, m.memory = pyo.ConstraintList(), pyo.ConstraintList(), pyo.ConstraintList()
    for i in sources:
        for k in models:
            m.link.add(y[i, k] <= x[int(home[i]), k])
        m.once.add(sum(y[i, k] for k in models) <= 1)
    for e in edges:
        m.memory.add(sum(int(memory[k]) * x[e, k] for k in models) <= int(room[e]))
    m.value = pyo.Objective(
        expr=sum(float(load[i] * accuracy[i, k]) * y[i, k] for i, k in y), sense=pyo.maximize
    )
    m.batch = BatchingWindow(edges, range(n_windows))
    for e, w in m.batch:
        here = [i for i in sources if home[i] == e and window_of[i] == w]
        if here:
            m.batch[e, w].set_batches(
                float(rng.choice([0.05, 0.1, 0.3, 1.0])),
                {k: sum(float(load[i]) * y[i, k] for i in here) for k in models},
                {k: float(rng.uniform(0.005, 0.06)) for k in models},
                {k: float(rng.uniform(0.01, 0.08)) for k in models},
            )
    return m


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=60)
    options = parser.parse_args()
    logging.getLogger("pyomo_j3o").setLevel(logging.ERROR)  # set-ups longer than their window
    lines = [
        "| windows per server | systems | J3O, mean | J3O, worst | BAJ3O, mean | BAJ3O, worst "
        "| BAJ3O better |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for n_windows in (1, 2):
        ratio: dict[str, list[float]] = {"j3o": [], "baj3o": []}
        for seed in range(options.seeds):
            m = draw(seed, n_windows)
            optimum = SolverFactory("highs").solve(m, rel_gap=1e-6, load_solutions=False).incumbent_objective
            for algorithm, values in ratio.items():
                found = SolverFactory("j3o").solve(draw(seed, n_windows), algorithm=algorithm)
                values.append(found.incumbent_objective / optimum)
        pairs = list(zip(ratio["j3o"], ratio["baj3o"], strict=True))
        assert all(baj3o >= j3o - 1e-9 for j3o, baj3o in pairs)
        better = sum(baj3o > j3o + 1e-6 for j3o, baj3o in pairs)
        shares = [f"{100 * f(v):.2f} %" for v in ratio.values() for f in (np.mean, np.min)]
        lines.append(f"| {n_windows} | {len(pairs)} | {' | '.join(shares)} | {better} |")
        print(lines[-1], flush=True)
    (HERE / "random_windows_table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
