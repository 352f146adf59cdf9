"""Small problems in blocks: clients with budgets of their own, and an edge that they share."""

import numpy as np
from small_problems import INF, problem_of


def clients(rng, n_clients=3, n_x=2, n_shared=1, serve=False):
    """Return a problem of clients that run models themselves or at a shared edge, and each client's columns.

    Each client has a memory, a compute and a demand row; the edge has a memory and a compute row.
    """
    x, y, rows, of_client = {}, {}, [], []
    shared = [f"e{k}" for k in range(n_shared)]
    x |= {name: (-float(rng.integers(0, 3)) / 4, 0, 1) for name in shared}
    edge_load = {}
    for c in range(n_clients):
        own = [f"x{c}_{k}" for k in range(n_x)]
        x |= {name: (-float(rng.integers(0, 4)) / 8, 0, 1) for name in own}
        here = {f"h{c}_{k}": own[k] for k in range(n_x)}
        there = {f"t{c}_{k}": shared[k] for k in range(n_shared)}
        for name, opener in (here | there).items():
            y[name] = float(rng.integers(1, 12)) / 2
            rows.append(({name: 1.0, opener: -1.0}, -INF, 0.0))
        size = {name: float(rng.integers(2, 7)) for name in own}
        rows.append((size, -INF, float(np.floor(rng.uniform(0.4, 0.9) * sum(size.values())))))
        work = {name: float(rng.integers(1, 6)) for name in here}
        rows.append((work, -INF, float(rng.uniform(0.3, 0.8) * sum(work.values()))))
        served = dict.fromkeys(here | there, 1.0)
        rows.append((served, 0.5 if serve else -INF, 1.0))
        edge_load |= {name: float(rng.integers(1, 6)) for name in there}
        of_client.append([*own, *here, *there])
    rows.append((edge_load, -INF, float(rng.uniform(0.2, 0.7) * sum(edge_load.values()))))
    if n_shared > 1:
        rows.append((dict.fromkeys(shared, 1.0), -INF, float(n_shared - 1)))
    names = [*x, *y]
    return problem_of(x, y, rows), [np.array([names.index(name) for name in own]) for own in of_client]
