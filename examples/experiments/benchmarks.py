"""How near the optimum is j3o, in what share of an exact solver's time, and how far are simple rules?

Systems are ours, drawn from seeds around figures of Taskonomy, DomainNet, NYUD-v2, PASCAL-Context and
Cityscapes-3D networks; what is made up about the last three is said by `library.dense_prediction_models`.
Queries may be dropped, so that every rule has a plan. HiGHS solves the same Pyomo model as a MILP to a gap of
0.01 %, on one thread; so does Gurobi, and as a MINLP with the products x·y, as far as its licence reaches:
that of PyPI takes 2,000 variables, and 200 if there are products. The rules are the baselines that
`pyomo_j3o` registers by name.

    python examples/experiments/benchmarks.py [FOLDER] [--full]
"""

import time
from functools import partial

import numpy as np
from pyomo.contrib.solver.common.factory import SolverFactory
from recording import (
    BASELINES,
    BLACK,
    BLUE,
    GREEN,
    OPEN_SOURCE,
    PINK,
    SKY,
    axes_of,
    baselines,
    draw_baselines,
    legend,
    main,
    means,
)

from pyomo_j3o import library

BUILD = {
    "Taskonomy": library.taskonomy,
    "DomainNet": library.domainnet,
    "NYUD-v2": partial(library.dense_prediction, "nyud"),
    "PASCAL-Context": partial(library.dense_prediction, "pascal_context"),
    "Cityscapes-3D": partial(library.dense_prediction, "cityscapes3d"),
}
#: Pyomo's names of Gurobi's interfaces, and the form of the model that each is given.
GUROBI = {
    "Gurobi MILP": ("gurobi_direct", "linear"),
    "Gurobi MINLP": ("gurobi_direct_minlp", "product"),
}
#: How each solver is drawn.
SOLVERS = {
    "j3o": (BLUE, "o"),
    "alternation": (GREEN, "s"),
    "Gurobi MILP": (PINK, ""),
    "Gurobi MINLP": (SKY, ""),
}
EXACTLY = {"rel_gap": 1e-4, "time_limit": 100.0, "threads": 1}
#: Gurobi's number of the error that a model is too large for the licence.
TOO_LARGE = 10010


def cases(full):
    """Four sizes and five seeds of each benchmark; one small system of two in small."""
    sizes = [(2, 1), (5, 1), (10, 2), (20, 3)] if full else [(3, 1)]
    return [
        {"benchmark": name, "clients": clients, "edges": edges, "seed": seed}
        for name in (BUILD if full else ["Taskonomy", "NYUD-v2"])
        for clients, edges in sizes
        for seed in range(5 if full else 1)
    ]


def measure(case):
    """Solve by HiGHS, by Gurobi, by j3o, by its alternation alone, and by each rule."""
    build = partial(
        BUILD[case["benchmark"]], case["clients"], case["edges"], seed=case["seed"], droppable=True
    )

    def solved(name, form="linear", **options):
        m = build(form=form)
        begin = time.process_time()
        results = SolverFactory(name).solve(m, raise_exception_on_nonoptimal_result=False, **options)
        return results, time.process_time() - begin

    runs = {
        "HiGHS": solved("highs", **EXACTLY),
        "j3o": solved("j3o", **OPEN_SOURCE),
        "alternation": solved("j3o", effort="alternation", **OPEN_SOURCE),
    }
    found = {}
    for label, (name, form) in GUROBI.items():
        found[f"{label} says"] = reason = _cannot(name, build(form=form))
        if not reason:
            runs[label] = solved(name, form, **EXACTLY)
    plans = {label: results.incumbent_objective for label, (results, _) in runs.items()}
    best = max(plan for plan in plans.values() if plan is not None)
    found["best"] = best
    found["proven"] = min(results.objective_bound for results, _ in runs.values())
    found["HiGHS, s"] = runs["HiGHS"][1]
    for label in SOLVERS:
        plan = plans.get(label)
        found[label] = None if plan is None else plan / best
        found[f"{label}'s time"] = runs[label][1] / runs["HiGHS"][1] if label in runs else None
    return found | {rule: None if v is None else v / best for rule, v in baselines(build).items()}


def _cannot(name, m):
    """Return why Gurobi cannot solve a model, or "" if it can: it reads the model, and stops at once."""
    if not SolverFactory(name).available():
        return "-"
    import gurobipy

    try:
        options = {"load_solutions": False, "raise_exception_on_nonoptimal_result": False}
        SolverFactory(name).solve(m, time_limit=0, **options)
    except gurobipy.GurobiError as error:
        if error.errno != TOO_LARGE:
            raise
        return "too large for the licence"
    return ""


def _means(rows):
    figures = [key for key, value in rows[0].items() if not isinstance(value, str)]
    with_gap = [row | {"open": max(0.0, row["proven"] / row["best"] - 1)} for row in rows]
    return means(with_gap, ("benchmark", "clients"), [*figures, "open"])


def table(rows):
    """Return a line for each benchmark and size, in the mean over seeds.

    A solver has two figures: its plan as a share of the best plan, and its time as a share of HiGHS's.
    """
    heads = ["benchmark", "clients", "open gap", *(f"{label}: plan, time" for label in SOLVERS), "HiGHS, s"]
    said = {
        (row["benchmark"], row["clients"], label): row[f"{label} says"] for row in rows for label in GUROBI
    }
    lines = []
    for (name, clients), mean in _means(rows).items():
        cells = []
        for label in SOLVERS:
            plan, seconds = 100 * mean[label], 100 * mean[f"{label}'s time"]
            both = f"{plan:.1f} %, {seconds:.1f} %"
            cells.append(said[name, clients, label] if np.isnan(seconds) else both)
        lines.append(
            [name, str(clients), f"{100 * mean['open']:.2f} %", *cells, f"{mean['HiGHS, s']:.1f}"]
            + [f"{100 * mean[rule]:.0f} %" for rule in BASELINES]
        )
    return [*heads, *BASELINES], lines


def draw(rows, figure):
    """Share of the best plan, and share of HiGHS's time."""
    quality, seconds = axes_of(figure, 2, height=4.6)
    found = _means(rows)
    at, groups = np.arange(len(found)), list(found.values())
    width = 0.8 / len(SOLVERS)
    for k, (label, (colour, marker)) in enumerate(SOLVERS.items()):
        if marker:
            shares = [100 * mean[label] for mean in groups]
            quality.plot(at, shares, color=colour, marker=marker, label=label, ls="")
        times = [100 * mean[f"{label}'s time"] for mean in groups]
        if not np.isnan(times).all():
            seconds.bar(at + (k - (len(SOLVERS) - 1) / 2) * width, times, width, color=colour, label=label)
    draw_baselines(quality, at, groups, 100)
    quality.set_ylabel("mean accuracy (% of the best plan known)")
    quality.set_ylim(bottom=0)
    seconds.set_ylabel("process time (% of HiGHS's)")
    seconds.axhline(100, color=BLACK, lw=0.8, label="HiGHS")
    seconds.set_yscale("log")
    seconds.yaxis.set_major_formatter("{x:g}")
    for ax in (quality, seconds):
        _name_groups(ax, list(found))
        legend(ax, 4)


def _name_groups(ax, groups):
    """Write the clients below every group, and the benchmark below its groups, with lines between."""
    ax.set_xticks(range(len(groups)), [str(clients) for _, clients in groups], fontsize=8)
    ax.set_xlabel("clients, by benchmark", labelpad=18)
    ax.set_xlim(-0.6, len(groups) - 0.4)
    names = [name for name, _ in groups]
    for name in dict.fromkeys(names):
        first, last = names.index(name), len(names) - 1 - names[::-1].index(name)
        place = {"transform": ax.get_xaxis_transform(), "ha": "center", "va": "top", "fontsize": 7}
        ax.text((first + last) / 2, -0.07, name, **place)
        if first:
            ax.axvline(first - 0.5, color="#B0B0B0", lw=0.6)


if __name__ == "__main__":
    main(__file__)
