"""Annotate a model that has nothing to do with inference: which films to keep in which caches.

A video service has a few caches near its viewers and one origin server far away. Each cache holds a limited
number of gigabytes and streams a limited number of gigabytes per hour. A request is served from a cache
that the viewer's region reaches and that holds the film, or from the origin; the nearer, the lower the
delay. Which films to store is binary, who is served from where is continuous.

The model is written in plain Pyomo first. Two lines then make it a model that j3o understands: the import
of annotate and its call. The same model, marks and all, goes to HiGHS for comparison, with one thread and
the same gap of 1e-4 to close; both times run from the Pyomo model to the loaded plan.

    python examples/annotate_your_own.py [picture.png]
"""

import sys
import time

import numpy as np
import pyomo.environ as pyo

from pyomo_j3o import annotate

REGIONS, CACHES, FILMS = 12, 4, 60
ORIGIN_DELAY = 90.0  # ms


def content_placement(seed: int = 0) -> pyo.ConcreteModel:
    """Build the model in plain Pyomo; nothing in it knows about j3o."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(1, 6, FILMS)  # GB
    popularity = 1 / np.arange(1, FILMS + 1) ** 0.8  # Zipf; every region has its own order of films
    requests = np.array([rng.permutation(popularity) * rng.uniform(5, 20) for _ in range(REGIONS)])  # 1/h
    delay = rng.uniform(5, 60, (REGIONS, CACHES))  # ms
    reaches = delay < 45
    room = 0.18 * size.sum()  # GB per cache
    uplink = 0.25 * float((requests @ size).sum()) / CACHES  # GB per hour and cache

    m = pyo.ConcreteModel("content placement")
    m.regions = pyo.RangeSet(0, REGIONS - 1)
    m.caches = pyo.RangeSet(0, CACHES - 1)
    m.films = pyo.RangeSet(0, FILMS - 1)
    m.stored = pyo.Var(m.caches, m.films, domain=pyo.Binary)
    routes = [(r, c, f) for r in m.regions for c in m.caches if reaches[r, c] for f in m.films]
    m.share = pyo.Var(routes, bounds=(0, 1))
    m.from_origin = pyo.Var(m.regions, m.films, bounds=(0, 1))

    @m.Constraint(m.caches)
    def fits(m, c):
        return sum(size[f] * m.stored[c, f] for f in m.films) <= room

    @m.Constraint(routes)
    def held(m, r, c, f):
        return m.share[r, c, f] <= m.stored[c, f]

    @m.Constraint(m.regions, m.films)
    def served(m, r, f):
        return sum(m.share[r, c, f] for c in m.caches if reaches[r, c]) + m.from_origin[r, f] == 1

    @m.Constraint(m.caches)
    def streams(m, c):
        return sum(requests[r, f] * size[f] * m.share[r, c, f] for r, k, f in routes if k == c) <= uplink

    total = float(requests.sum())
    m.mean_delay = pyo.Objective(
        expr=sum(requests[r, f] / total * delay[r, c] * m.share[r, c, f] for r, c, f in routes)
        + sum(requests[r, f] / total * ORIGIN_DELAY * m.from_origin[r, f] for r in m.regions for f in m.films)
    )
    return m


def main(picture: str | None = None):
    """Solve with j3o, then with HiGHS, print the two side by side, and draw what is stored where."""
    m = content_placement()
    annotate(m, onloading=[m.stored], offloading=[m.share, m.from_origin])

    start = time.perf_counter()
    j3o = pyo.SolverFactory("j3o").solve(m, tee=True)
    j3o_seconds, j3o_delay = time.perf_counter() - start, pyo.value(m.mean_delay)

    for c in m.caches:
        films = [f for f in m.films if m.stored[c, f].value > 0.5]
        print(f"cache {c} keeps {len(films):2d} of {FILMS} films: {', '.join(map(str, films))}")

    if picture:
        from matplotlib.figure import Figure

        from pyomo_j3o.plotting import plot_placement

        figure = Figure(figsize=(8, 3.4), layout="constrained")
        plot_placement(m, figure.add_subplot(), component="stored")
        figure.savefig(picture, dpi=110)

    print("\nHiGHS solves the same model (at most 120 s) ...", flush=True)
    start = time.perf_counter()
    options = {"mip_rel_gap": 1e-4, "threads": 1}
    highs = pyo.SolverFactory("highs").solve(m, timelimit=120, options=options)
    highs_seconds, highs_delay = time.perf_counter() - start, pyo.value(m.mean_delay)

    # The delay is minimised, so a bound is a number that no plan gets below.
    print(f"\n{'':8}{'mean delay, ms':>16}{'proven bound, ms':>18}{'time, s':>10}")
    print(f"{'j3o':8}{j3o_delay:16.3f}{j3o.problem.lower_bound:18.3f}{j3o_seconds:10.2f}")
    print(f"{'HiGHS':8}{highs_delay:16.3f}{highs.problem.lower_bound:18.3f}{highs_seconds:10.2f}")
    print(f"\nj3o's mean delay differs from that of HiGHS's plan by {j3o_delay / highs_delay - 1:+.2%}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
