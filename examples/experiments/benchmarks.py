"""How near the optimum is j3o, in what share of an exact solver's time, and how far are simple rules?

Systems are ours, drawn from seeds around published figures of Taskonomy and DomainNet networks; queries may
be dropped, so that every rule has a plan. HiGHS solves the same Pyomo model as a MILP to a gap of 0.01 %, on
one thread. The rules are the baselines that `pyomo_j3o` registers by name.

    python examples/experiments/benchmarks.py [FOLDER] [--full]
"""

import time

import numpy as np
from pyomo.contrib.solver.common.factory import SolverFactory
from recording import BLACK, BLUE, GREEN, LINES, OPEN_SOURCE, axes_of, legend, main, means

from pyomo_j3o import library

BUILD = {"Taskonomy": library.taskonomy, "DomainNet": library.domainnet}
RULES = ("all_local", "all_edge", "all_cloud", "most_accurate_first", "random", "apart")
LIMIT = 100.0


def cases(full):
    """Three sizes and five seeds of each benchmark; one small system of one in small."""
    sizes = [(5, 1), (10, 2), (20, 3)] if full else [(3, 1)]
    return [
        {"benchmark": name, "clients": clients, "edges": edges, "seed": seed}
        for name in (BUILD if full else ["Taskonomy"])
        for clients, edges in sizes
        for seed in range(5 if full else 1)
    ]


def measure(case):
    """Solve by HiGHS, by j3o, by its alternation alone, and by each rule."""

    def solved(name, **options):
        m = BUILD[case["benchmark"]](case["clients"], case["edges"], case["seed"], droppable=True)
        begin = time.process_time()
        results = SolverFactory(name).solve(m, raise_exception_on_nonoptimal_result=False, **options)
        return results, time.process_time() - begin

    exact, exact_seconds = solved("highs", rel_gap=1e-4, time_limit=LIMIT, threads=1)
    ours, seconds = solved("j3o", **OPEN_SOURCE)
    alone, alone_seconds = solved("j3o", effort="alternation", **OPEN_SOURCE)
    best = max(exact.incumbent_objective or 0.0, ours.incumbent_objective)
    found = {
        "best": best,
        "proven": min(exact.objective_bound, ours.objective_bound),
        "j3o": ours.incumbent_objective / best,
        "j3o's time": seconds / exact_seconds,
        "alternation": alone.incumbent_objective / best,
        "alternation's time": alone_seconds / exact_seconds,
        "HiGHS, s": exact_seconds,
    }
    for rule in RULES:
        results, _ = solved(f"j3o.{rule}", **OPEN_SOURCE)
        plan = results.incumbent_objective
        found[rule] = None if plan is None else plan / best
    return found


def _means(rows):
    figures = [key for key, value in rows[0].items() if not isinstance(value, str)]
    with_gap = [row | {"open": row["proven"] / row["best"] - 1} for row in rows]
    return means(with_gap, ("benchmark", "clients"), [*figures, "open"])


def table(rows):
    """Return a line for each benchmark and size, in the mean over seeds."""
    columns = ["j3o", "j3o's time", "alternation", "alternation's time"]
    heads = ["benchmark", "clients", "open gap", *columns, "HiGHS, s", *RULES]
    lines = []
    for (name, clients), mean in _means(rows).items():
        lines.append(
            [name, str(clients), f"{100 * mean['open']:.2f} %"]
            + [f"{100 * mean[key]:.1f} %" for key in columns]
            + [f"{mean['HiGHS, s']:.1f}"]
            + [f"{100 * mean[rule]:.0f} %" for rule in RULES]
        )
    return heads, lines


def draw(rows, figure):
    """Share of the best plan, and share of HiGHS's time."""
    quality, seconds = axes_of(figure, 2)
    found = _means(rows)
    at = np.arange(len(found))
    names = [f"{name}\n{clients} clients" for name, clients in found]
    for key, colour, marker in (("j3o", BLUE, "o"), ("alternation", GREEN, "s")):
        quality.plot(
            at, [100 * mean[key] for mean in found.values()], color=colour, marker=marker, label=key, ls=""
        )
        times = [100 * mean[f"{key}'s time"] for mean in found.values()]
        seconds.bar(at + (0.2 if key == "alternation" else -0.2), times, 0.4, color=colour, label=key)
    for rule, colour, marker in zip(RULES, LINES[::-1], "v^<>xd", strict=False):
        shares = [100 * mean[rule] for mean in found.values()]
        label = rule.replace("_", " ")
        quality.plot(at, shares, color=colour, marker=marker, label=label, ls="", mfc="none")
    quality.set_ylabel("mean accuracy (% of the best plan known)")
    seconds.set_ylabel("process time (% of HiGHS's)")
    seconds.axhline(100, color=BLACK, lw=0.8)
    seconds.set_yscale("log")
    for ax in (quality, seconds):
        ax.set_xticks(at, names, fontsize=8)
        legend(ax, 4)


if __name__ == "__main__":
    main(__file__)
