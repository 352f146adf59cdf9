"""How long should an edge server collect queries? Accuracy, places and latency against the window T_b.

An edge server with a batching window runs the queries that arrive within T_b as one batch per network in the
next window, so an answer takes at most 2·T_b if batches are as large as planned. Each batch costs a set-up:
the shorter the window, the fewer networks and queries fit, and the more queries stay on the clients. (On the
whole: a little more time may also go to a better network in place of more queries.)

One annotated model per T_b is solved in three ways: by BAJ3O, by J3O, which charges every onloaded network
for a batch, and exactly by HiGHS, to a gap of 0.1 %. Then BAJ3O's plan is played query by query, with Poisson
arrivals: once as it is, and once with the smallest headroom (a part of each window that the plan keeps free)
that leaves at most 1 % of the batched queries later than 2·T_b.

The question is that of Fig. 7 in arXiv 2508.13380. The system is ours, 8 clients and 1 edge server drawn from
a seed around the published Taskonomy networks; no figure of the paper is reproduced.

    python examples/batching_window.py [picture.png]

The picture is saved as batching_window.png in the current directory unless another path is given. It needs
matplotlib and SimPy: pip install ".[plot,sim]". The run takes about a minute.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pyomo.environ as pyo
from matplotlib.figure import Figure
from pyomo.contrib.solver.common.factory import SolverFactory

from pyomo_j3o import library
from pyomo_j3o.simulation.headroom import find_headroom

WINDOWS = (0.02, 0.04, 0.07, 0.1, 0.2, 0.5, 2.0)  # T_b, s
# BAJ3O comes last: its plan is the one that the model then holds.
WAYS = {
    "exact": {"algorithm": "exact", "mip_solver": "highs", "rel_gap": 1e-3},
    "J3O": {"algorithm": "j3o"},
    "BAJ3O": {"algorithm": "baj3o"},
}
PLACES = {"client": "#0072B2", "edge": "#E69F00", "cloud": "#56B4E9", "dropped": "#D9D9D9"}


def system(window, headroom=0.0):
    """Build the model. Queries may be dropped, so that every window has a plan."""
    return library.taskonomy(clients=8, edges=1, seed=5, droppable=True, window=window, headroom=headroom)


def solve_in_every_way(m):
    """Return per way a row: accuracy, the same by alternation alone, shares by place, and time."""
    rows = {}
    for way, options in WAYS.items():
        alone = np.nan
        if way != "exact":
            alone = SolverFactory("j3o").solve(m, improve=False, **options).incumbent_objective
        start = time.perf_counter()
        SolverFactory("j3o").solve(m, **options)
        seconds = time.perf_counter() - start
        rows[way] = {**library.routing_table(m).rows[-1], "alone": alone, "seconds": seconds}
    return rows


def play(m, window):
    """Play the plan that `m` holds and one with headroom; return both simulations by headroom."""

    def solve(headroom):
        if headroom == 0:
            return m
        other = system(window, headroom)
        pyo.SolverFactory("j3o").solve(other, algorithm="baj3o")
        return other

    found = find_headroom(solve, target=0.01, step=0.05, horizon=600)
    return {headroom: found.simulations[headroom] for headroom in sorted({0.0, found.headroom})}


def edge_quantile(run, q):
    """Return a quantile of the edge servers' latency, s; NaN where they answer nothing."""
    seconds = run.latencies(level="edge")
    return np.quantile(seconds, q) if len(seconds) else np.nan


def print_plans(plans):
    print("=== Plans: accuracy, and where queries are answered\n")
    print(f"{'T_b, s':>6} {'':6}{'accuracy':>9}{'alternation':>12}", end="")
    print("".join(f"{place:>9}" for place in PLACES) + f"{'time, s':>9}")
    for window, rows in plans.items():
        for way, row in rows.items():
            alone = "" if way == "exact" else f"{row['alone']:.4f}"
            shares = "".join(f"{row[place]:9.1%}" for place in PLACES)
            label = f"{window:g}" if way == "exact" else ""
            print(f"{label:>6} {way:6}{row['accuracy']:9.4f}{alone:>12}{shares}{row['seconds']:9.2f}")


def print_runs(runs):
    print("\n=== BAJ3O's plans, played for ten minutes: latency of the edge server's answers\n")
    print(f"{'T_b, s':>6}{'2·T_b, s':>10}{'headroom':>10}{'planned':>9}", end="")
    print(f"{'on edge':>9}{'median, s':>11}{'99 %, s':>9}{'late':>8}")
    for window, by_headroom in runs.items():
        for headroom, run in by_headroom.items():
            print(f"{window:6g}{2 * window:10g}{headroom:10.2f}{run.planned_accuracy:9.4f}", end="")
            print(f"{np.mean(run.queries.batched):9.1%}", end="")
            if run.queries.batched.any():
                print(f"{edge_quantile(run, 0.5):11.3f}{edge_quantile(run, 0.99):9.3f}{run.share_late:8.1%}")
            else:
                print(f"{'-':>11}{'-':>9}{'-':>8}")


def draw_accuracy(ax, plans):
    lines = (
        ("exact", "accuracy", "exact (HiGHS)", {"color": "#000000", "linewidth": 1}),
        ("J3O", "accuracy", "J3O", {"color": "#D55E00", "marker": "s", "mfc": "none", "ms": 9, "ls": ""}),
        ("BAJ3O", "accuracy", "BAJ3O", {"color": "#0072B2", "marker": "o", "ms": 4, "ls": ""}),
        ("J3O", "alone", "J3O, alternation alone", {"color": "#D55E00", "ls": ":"}),
        ("BAJ3O", "alone", "BAJ3O, alternation alone", {"color": "#0072B2", "ls": "--"}),
    )
    for way, key, label, style in lines:
        ax.plot(list(plans), [rows[way][key] for rows in plans.values()], label=label, **style)
    ax.set_ylabel("mean accuracy (dropped queries count as 0)")
    ax.set_title("Accuracy", loc="left", pad=22)
    ax.legend(frameon=False, fontsize=8, loc="lower right")


def draw_places(ax, plans):
    shares = [[100 * rows["BAJ3O"][place] for rows in plans.values()] for place in PLACES]
    ax.stackplot(list(plans), shares, colors=PLACES.values(), labels=PLACES, edgecolor="white", linewidth=0.5)
    ax.set_ylim(0, 100)
    ax.set_xlim(min(plans), max(plans))
    ax.set_ylabel("share of the queries (%)")
    ax.set_title("Where queries are answered (BAJ3O)", loc="left", pad=22)
    ax.legend(frameon=False, fontsize=8, ncols=4, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)


def draw_latency(ax, runs):
    without = [by_headroom[0.0] for by_headroom in runs.values()]
    with_headroom = [by_headroom[max(by_headroom)] for by_headroom in runs.values()]
    for label, plans, q, style in (
        ("99 %, no headroom", without, 0.99, {"color": "#D55E00", "marker": "v"}),
        ("99 %, with headroom", with_headroom, 0.99, {"color": "#0072B2", "marker": "^"}),
        ("median, no headroom", without, 0.5, {"color": "#D55E00", "marker": "v", "ls": ":", "mfc": "none"}),
        ("median, with headroom", with_headroom, 0.5, {"color": "#0072B2", "marker": "^", "ls": ":"}),
    ):
        ax.plot(list(runs), [edge_quantile(run, q) for run in plans], label=label, ms=5, **style)
    ax.plot(list(runs), [2 * window for window in runs], color="#555555", ls="--", lw=1, label="2·T_b")
    ax.set_yscale("log")
    ax.set_yticks([0.05, 0.1, 0.2, 0.5, 1, 2, 4], ["0.05", "0.1", "0.2", "0.5", "1", "2", "4"], minor=False)
    ax.set_ylabel("latency of the edge server's answers (s)")
    ax.set_title("Latency, simulated", loc="left", pad=22)
    ax.legend(frameon=False, fontsize=8, loc="upper left")


def draw(plans, runs, picture):
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    axes = figure.subplots(1, 3)
    panels = ((draw_accuracy, plans), (draw_places, plans), (draw_latency, runs))
    for ax, (fill, content) in zip(axes, panels, strict=True):
        ax.set_xscale("log")
        fill(ax, content)
        ax.set_xticks(WINDOWS, [f"{window:g}" for window in WINDOWS])
        ax.tick_params(axis="x", labelsize=8)
        ax.minorticks_off()
        ax.set_xlabel("batching window T_b (s)")
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
        if fill is not draw_places:
            ax.grid(color="#E5E5E5", linewidth=0.6)
            ax.set_axisbelow(True)
    figure.savefig(picture, dpi=110)


def main(picture: Path):
    """Sweep the window, print two tables, and draw."""
    plans, runs = {}, {}
    for window in WINDOWS:
        m = system(window)
        plans[window] = solve_in_every_way(m)
        runs[window] = play(m, window)
        print(f"T_b = {window:g} s: solved and played", flush=True)
    print()
    print_plans(plans)
    print_runs(runs)
    draw(plans, runs, picture)
    print(f"\nThe same as a picture: {picture.resolve()}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "batching_window.png"))
