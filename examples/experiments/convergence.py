"""How many iterations does the alternation take, and what does the search after it add?

The question of Fig. 3 in arXiv 2508.13380. Systems are ours, drawn from seeds around the published Taskonomy
networks. Each is solved twice: by the alternation alone, the paper's J3O, and by default, with the search
that is ours. Queries may be dropped, so that every iteration has a plan. The bound is that of the default
solve. The baselines do not iterate; their plans are held against the same bound.

    python examples/experiments/convergence.py [FOLDER] [--full]
"""

import numpy as np
from pyomo.contrib.solver.common.factory import SolverFactory
from recording import (
    BASELINES,
    BLACK,
    BLUE,
    GREEN,
    OPEN_SOURCE,
    ORANGE,
    axes_of,
    baselines,
    legend,
    main,
)

from pyomo_j3o import library


def cases(full):
    """Return a hundred seeds of one size; two in small."""
    size = {"clients": 10, "edges": 2} if full else {"clients": 3, "edges": 1}
    return [{**size, "seed": seed} for seed in range(100 if full else 2)]


def measure(case):
    """Solve twice, and by each baseline; keep the incumbents, relative to the proven bound."""
    m = library.taskonomy(droppable=True, **case)
    alone = SolverFactory("j3o").solve(m, effort="alternation", **OPEN_SOURCE)
    default = SolverFactory("j3o").solve(m, **OPEN_SOURCE)
    bound = default.objective_bound
    share = [None if r.incumbent is None else r.incumbent / bound for r in alone.extra_info.trace]
    rules = baselines(lambda: library.taskonomy(droppable=True, **case))
    return {
        **{name: None if plan is None else plan / bound for name, plan in rules.items()},
        "iterations": len(share),
        "trace": [s if s is not None and np.isfinite(s) else None for s in share],
        "alone": alone.incumbent_objective / bound,
        "default": default.incumbent_objective / bound,
    }


def table(rows):
    """Means and extremes over the seeds."""
    lines = []
    for label, key, form in (
        ("iterations of the alternation", "iterations", "{:.1f}"),
        ("alternation alone, of the bound", "alone", "{:.2%}"),
        ("with the search after it, of the bound", "default", "{:.2%}"),
        *((f"{name}, of the bound", name, "{:.1%}") for name in BASELINES),
    ):
        figures = [row[key] for row in rows if row[key] is not None] or [np.nan]
        low, mean, high = min(figures), float(np.mean(figures)), max(figures)
        lines.append([label, *(form.format(figure).replace("%", " %") for figure in (mean, low, high))])
    return ["", "mean", "least", "most"], lines


def draw(rows, figure):
    """Objective by iteration, how many iterations there are, and the plans beside those of the baselines."""
    by_iteration, counts, plans = axes_of(figure, 3)
    longest = max(row["iterations"] for row in rows)
    reached = np.full((len(rows), longest), np.nan)
    for k, row in enumerate(rows):
        known = [np.nan if s is None else s for s in row["trace"]]
        reached[k, : len(known)] = known
        reached[k, len(known) :] = known[-1]
        by_iteration.plot(range(1, len(known) + 1), 100 * np.array(known), color=BLUE, alpha=0.15, lw=0.8)
    steps = range(1, longest + 1)
    with np.errstate(all="ignore"):
        by_iteration.plot(steps, 100 * np.nanmean(reached, axis=0), color=BLUE, label="alternation, mean")
    mark = 100 * np.mean([row["default"] for row in rows])
    by_iteration.axhline(mark, color=GREEN, ls="--", label="with the search after it, mean")
    by_iteration.axhline(100, color=ORANGE, label="proven bound")
    by_iteration.set_xlabel("iteration")
    by_iteration.set_ylabel("incumbent (% of the proven bound)")
    legend(by_iteration, 3)
    counts.hist(
        [row["iterations"] for row in rows], bins=np.arange(0.5, longest + 1.5), color=BLUE, edgecolor="white"
    )
    counts.axvline(10, color=ORANGE, ls="--", label="10 iterations")
    counts.set_xlabel("iterations until the alternation ends")
    counts.set_ylabel("systems")
    for axis in (by_iteration.xaxis, counts.xaxis, counts.yaxis):
        axis.get_major_locator().set_params(integer=True)
    legend(counts)
    _draw_plans(rows, plans)


def _draw_plans(rows, ax):
    """Draw the mean of each method as a bar, with a line from its least to its most."""
    names = {"default": "with the search after it", "alone": "alternation alone"}
    names |= {name: name.replace("_", " ") for name in BASELINES}
    colours = {"default": GREEN, "alone": BLUE}
    for k, key in enumerate(names):
        shares = [100 * row[key] for row in rows if row[key] is not None]
        if shares:
            ax.barh(k, np.mean(shares), color=colours.get(key, "#B0B0B0"))
            ax.plot([min(shares), max(shares)], [k, k], color=BLACK, lw=1.5, marker="|")
    ax.set_yticks(range(len(names)), names.values(), fontsize=8)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("plan (% of the proven bound): mean, least, most")


if __name__ == "__main__":
    main(__file__)
