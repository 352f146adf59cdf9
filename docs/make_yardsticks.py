"""Write docs/yardsticks_table.md and a picture: gap against time, j3o beside other solvers.

Run it from the root of the repository; with --quick it takes about half an hour. Each solve has a process of
its own and one thread, and is kept in docs/yardsticks.jsonl as soon as it is over: another run goes on where
the first one was stopped. Delete the file to measure everything anew.

All times are seconds of the processor since the call of `solve`, so that other work on the machine does not
count. The limit is one of the processor's time, too. `yardstick_runs.py` has the models and the solvers.

    python docs/make_yardsticks.py [--quick | --limit SECONDS] [--only SOLVER ...] [--models NAME ...]
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import highspy
import matplotlib
import numpy as np
from pyomo.version import version as pyomo_version
from yardstick_runs import GOAL, MODELS, SOLVERS, Point, gap_at, run

import pyomo_j3o
from pyomo_j3o.plotting.axes import GREY, LINE_COLOURS

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
KEPT = HERE / "yardsticks.jsonl"
#: A gap of 1 is so many decades above the goal; no gap counts as more.
DECADES = -math.log10(GOAL)
#: Relative: by so much a bound may miss a plan.
TOLERANCE = 1e-6
#: Of the curve that runs close to another one.
DASHED = (0, (3.5, 1.2))
#: What j3o is held against.
OTHERS = [name for name in SOLVERS if not name.startswith("j3o")]

#: Row of a solver, by its name: that of one model.
Rows = dict[str, dict[str, Any]]


# --- what a curve says -------------------------------------------------------------------------------------


def points_of(row: dict[str, Any]) -> list[Point]:
    """Return the curve up to the limit."""
    return [(*point,) for point in row["curve"] if point[0] <= row["limit"]]


def time_to(row: dict[str, Any], gap: float) -> float:
    """Return the seconds to a certified gap, inf if it is not reached within the limit."""
    return next((point[0] for point in points_of(row) if gap_at(point) <= gap * (1.0 + 1e-9)), math.inf)


def final_gap(row: dict[str, Any]) -> float:
    """Return the gap at the end."""
    points = points_of(row)
    return gap_at(points[-1]) if points else math.inf


def integral(row: dict[str, Any], height: Callable[[Point], float]) -> float:
    """Return the area under a step function of the curve up to the limit; before its first point it is 1."""
    points = points_of(row)
    times = np.array([0.0, *(point[0] for point in points), row["limit"]])
    heights = np.array([1.0, *map(height, points)])
    return float(np.diff(times) @ heights)


def primal_integral(row: dict[str, Any], best: float) -> float:
    """Return the primal integral of Berthold (2013, DOI 10.1016/j.orl.2013.08.007), in seconds."""

    def height(point: Point) -> float:
        plan = point[1]
        if plan is None or plan * best < 0:
            return 1.0
        return abs(plan - best) / max(abs(plan), abs(best), 1e-10)

    return integral(row, height)


def gap_integral(row: dict[str, Any]) -> float:
    """Return the area under the gap on a log scale, from 0 at the goal to 1 at a gap of 1, in seconds."""

    def height(point: Point) -> float:
        gap = max(gap_at(point), GOAL)
        return min(math.log10(gap / GOAL) / DECADES, 1.0)

    return integral(row, height)


def best_plan(rows: Rows) -> float:
    """Return the objective of the best plan that any solver found."""
    sense = next(iter(rows.values()))["sense"]
    plans = (points_of(row)[-1][1] for row in rows.values() if points_of(row))
    return sense * max(sense * plan for plan in plans if plan is not None)


def complaints(name: str, rows: Rows) -> list[str]:
    """Return what is wrong with plans and bounds of one model."""
    best, found = best_plan(rows), []
    for solver, row in rows.items():
        found += [f"{name}, {solver}: {text}" for text in row["wrong"]]
        points = points_of(row)
        bound = points[-1][2] if points else None
        if bound is not None and row["sense"] * (best - bound) > TOLERANCE * abs(best):
            found.append(f"{name}, {solver}: its bound {bound:.9g} is beaten by a plan of {best:.9g}")
    return found


# --- tables ------------------------------------------------------------------------------------------------


def shown(seconds: float, limit: float) -> str:
    """Return seconds, or that they were not enough."""
    if seconds > limit:
        return f"\\>{limit:g}"
    return f"{seconds:.1f}" if seconds >= 9.95 else f"{seconds:.2f}"


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of positive numbers."""
    return float(np.exp(np.mean(np.log(values))))


def table(lines: Sequence[tuple[str, str | None, dict[str, float]]], first: str, limit: float) -> list[str]:
    """Return seconds by model and solver as Markdown, the least of each row in bold, ratios at the foot."""
    names = ["j3o", *OTHERS]
    extra = any(text is not None for _, text, _ in lines)
    head = ["model", *([first] if extra else []), *(f"{name}, s" for name in names)]
    text = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    ratios: dict[str, list[tuple[float, str]]] = {name: [] for name in OTHERS}
    for model, beside, of in lines:
        least = min(of.values())
        cells = [model, *([beside or ""] if extra else [])]
        for name in names:
            if name not in of:
                cells.append("–")
                continue
            cell = shown(of[name], limit)
            cells.append(f"**{cell}**" if of[name] == least <= limit else cell)
            if name in OTHERS:
                ratios[name].append((min(of["j3o"], limit) / min(of[name], limit), model))
        text.append("| " + " | ".join(cells) + " |")
    for what, of_ratios in (("geometric mean", geometric_mean), ("worst", max)):
        foot = [f"{of_ratios([r for r, _ in ratios[name]]):.2f}" if ratios[name] else "–" for name in OTHERS]
        text.append("| " + " | ".join([f"*j3o over it, {what}*", *([""] if extra else []), "", *foot]) + " |")
    text.append("")
    for name in OTHERS:
        lost = [f"{model} ({ratio:.2f})" for ratio, model in sorted(ratios[name], reverse=True) if ratio > 1]
        if ratios[name]:
            where = f": {', '.join(lost)}" if lost else ""
            text.append(
                f"- j3o's figure is above that of {name} on {len(lost)} of {len(ratios[name])}{where}."
            )
    return text


def to_default_gap(rows: Rows, limit: float) -> tuple[str, dict[str, float]]:
    """Return the gap with which j3o ends as it comes, and the seconds of each solver to it."""
    ours = rows["j3o, default"]
    gap = max(final_gap(ours), GOAL)
    # j3o's time is that of the whole call: it is not known earlier that no better gap will come.
    seconds = {"j3o": ours["seconds"] if ours["seconds"] <= limit else math.inf}
    return f"{100 * gap:.2f} %", seconds | {name: time_to(rows[name], gap) for name in OTHERS if name in rows}


def tables(results: dict[str, Rows], limit: float) -> list[str]:
    """Return all tables as Markdown."""

    def of_each(rows: Rows, value: Callable[[dict[str, Any]], float]) -> dict[str, float]:
        return {name: value(rows[name]) for name in ("j3o", *OTHERS) if name in rows}

    default = [(model, *to_default_gap(rows, limit)) for model, rows in results.items()]
    goal = [(m, None, of_each(rows, lambda row: time_to(row, GOAL))) for m, rows in results.items()]
    gaps = [(model, None, of_each(rows, gap_integral)) for model, rows in results.items()]
    primal = []
    for model, rows in results.items():
        best = best_plan(rows)
        primal.append(
            (model, f"{best:.6g}", of_each(rows, lambda row, best=best: primal_integral(row, best)))
        )
    percent = f"{100 * GOAL:g} %"
    return [
        "### Time to the gap with which j3o ends by default",
        "",
        *table(default, "gap", limit),
        "",
        f"### Time to a gap of {percent}, asked of every solver",
        "",
        *table(goal, "", limit),
        "",
        "### Primal integral",
        "",
        *table(primal, "best plan", limit),
        "",
        "### Gap integral",
        "",
        *table(gaps, "", limit),
    ]


# --- picture -----------------------------------------------------------------------------------------------


def draw_curve(ax: Any, row: dict[str, Any], colour: str, limit: float) -> None:
    """Draw one curve, with a dot where the gap that was asked for is reached."""
    points = [point for point in points_of(row) if math.isfinite(gap_at(point))]
    if not points:
        return
    times = [max(point[0], 0.01) for point in points]
    gaps = [100 * min(max(gap_at(point), GOAL), 1.0) for point in points]
    closed = gap_at(points[-1]) <= GOAL * (1.0 + 1e-9)
    ours = row["solver"] == "j3o"
    after = ([], []) if closed else ([limit], [gaps[-1]])
    line = {"color": colour, "lw": 2.0 if ours else 1.2, "zorder": 3 if ours else 2}
    line["ls"] = DASHED if row["solver"] == "HiGHS on parts" else "-"
    ax.step([*times, *after[0]], [*gaps, *after[1]], where="post", **line)
    if closed:
        ax.plot(times[-1], gaps[-1], "o", color=colour, ms=5, clip_on=False, zorder=4)


def draw(results: dict[str, Rows], limit: float) -> None:
    """Draw gap against time, one panel a model and one curve a solver."""
    names = ["j3o", *OTHERS]
    colours = dict(zip(names, (*LINE_COLOURS[:4], LINE_COLOURS[6]), strict=True))
    columns = 4
    n_rows = -(-(len(results)) // columns)
    size = (11, 2.15 * n_rows + 0.7)
    figure, axes = plt.subplots(
        n_rows, columns, figsize=size, sharex=True, sharey=True, layout="constrained", squeeze=False
    )
    for ax in axes.flat[len(results) :]:
        ax.set_axis_off()
    for ax, (model, rows) in zip(axes.flat, results.items(), strict=False):
        for name in reversed(names):
            if name in rows:
                draw_curve(ax, rows[name], colours[name], limit)
        default = rows["j3o, default"]
        gap = 100 * max(final_gap(default), GOAL)
        if math.isfinite(gap):
            look = {"mfc": "white", "mec": colours["j3o"], "ms": 5, "clip_on": False, "zorder": 5}
            ax.plot(default["seconds"], gap, "D", **look)
        ax.set_title(model, loc="left", fontsize=9)
        ax.grid(color="#E5E5E5", linewidth=0.6)
        ax.set_axisbelow(True)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
    ax = axes.flat[0]
    ax.set(xscale="log", yscale="log", xlim=(0.01, limit), ylim=(100 * GOAL * 0.93, 100))
    ax.set_xticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
    ax.set_yticks([0.1, 1, 10, 100], ["0.1 %", "1 %", "10 %", "100 %"])
    for ax in axes.flat[: len(results)]:
        ax.tick_params(labelsize=8)
        ax.minorticks_off()
    for column in range(columns):
        below = [ax for ax in axes[:, column] if ax.axison]
        if below:
            below[-1].tick_params(labelbottom=True)
    figure.supxlabel("processor time since the call of solve, s (logarithmic)", fontsize=9)
    figure.supylabel("certified gap (logarithmic)", fontsize=9)
    lines = [
        plt.Line2D([], [], color=colours[name], lw=2, ls=DASHED if name == "HiGHS on parts" else "-")
        for name in names
    ]
    lines += [
        plt.Line2D([], [], marker="o", color=GREY, ls=""),
        plt.Line2D([], [], marker="D", mfc="white", mec=colours["j3o"], ls=""),
    ]
    labels = [*names, f"gap of {100 * GOAL:g} % reached", "j3o ends by default"]
    figure.legend(lines, labels, loc="outside upper center", ncols=len(lines), frameon=False, fontsize=9)
    figure.savefig(HERE / "_static" / "yardsticks.png", dpi=110)


# --- all of it ---------------------------------------------------------------------------------------------


def kept() -> list[dict[str, Any]]:
    """Return the solves of earlier runs."""
    return (
        [json.loads(line) for line in KEPT.read_text(encoding="utf-8").splitlines()] if KEPT.exists() else []
    )


def solve_apart(model: str, solver: str, limit: float) -> dict[str, Any] | None:
    """Solve in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(run, model, solver, limit).result()


def measure(models: Sequence[str], solvers: Sequence[str], limit: float) -> list[dict[str, Any]]:
    """Return all solves with this limit; do those that are missing, and keep each."""
    rows = [row for row in kept() if row["limit"] == limit]
    known = {(row["model"], row["solver"]) for row in rows}
    todo = [(model, solver) for model in models for solver in solvers if (model, solver) not in known]
    for number, (model, solver) in enumerate(todo, start=1):
        try:
            row = solve_apart(model, solver, limit)
        except BrokenProcessPool:
            print(f"{model}, {solver}: its process died", file=sys.stderr, flush=True)
            continue
        told = "not for this one"
        if row is not None:
            rows.append(row)
            with open(KEPT, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            told = f"{row['seconds']:6.2f} s, gap {100 * final_gap(row):.3f} % {' '.join(row['wrong'])}"
        print(f"{number:3}/{len(todo)} {model:32} {solver:15} {told}", file=sys.stderr, flush=True)
    return rows


def main() -> None:
    """Measure what is missing, and write table and picture."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--limit", type=float, default=60.0, help="processor seconds of every solve")
    parser.add_argument("--quick", action="store_true", help="a limit of 20 s")
    parser.add_argument("--only", nargs="*", choices=list(SOLVERS), metavar="NAME", help="solvers; no table")
    parser.add_argument("--models", nargs="*", metavar="NAME", help="parts of names of models; no table")
    options = parser.parse_args()
    limit = 20.0 if options.quick else options.limit
    models = [name for name in MODELS if any(part in name for part in options.models or [""])]
    rows = measure(models, options.only or list(SOLVERS), limit)
    if options.only or options.models:
        return
    write(rows, limit)


def write(rows: Sequence[dict[str, Any]], limit: float) -> None:
    """Write table and picture of the models that every solver has tried."""
    of: dict[str, Rows] = {name: {} for name in MODELS}
    for row in rows:
        of[row["model"]][row["solver"]] = row
    # Some models are not for these two.
    whole = {
        name for name, of_one in of.items() if set(SOLVERS) - set(of_one) <= {"Gurobi", "HiGHS on parts"}
    }
    results = {name: of[name] for name in MODELS if name in whole}
    notes = [f"- {text}" for name, of_one in results.items() for text in complaints(name, of_one)]
    missing = "; ".join(name for name in MODELS if name not in whole)
    notes += [f"- Not measured yet: {missing}."] if missing else []
    notes += [
        "",
        f"The limit is {limit:g} s. j3o {pyomo_j3o.__version__}, HiGHS {highspy.Highs().version()}, SCIP "
        f"{scip_version()}, Gurobi {gurobi_version()}, Pyomo {pyomo_version}, Python "
        f"{platform.python_version()}, {platform.machine()}, a shared machine with 2 cores; one thread.",
    ]
    text = "\n".join([*tables(results, limit), "", *notes])
    (HERE / "yardsticks_table.md").write_text(text + "\n", encoding="utf-8")
    draw(results, limit)


def scip_version() -> str:
    """Return SCIP's version."""
    from pyscipopt import Model

    scip = Model()
    return ".".join(map(str, (scip.getMajorVersion(), scip.getMinorVersion(), scip.getTechVersion())))


def gurobi_version() -> str:
    """Return Gurobi's version."""
    import gurobipy

    return ".".join(map(str, gurobipy.gurobi.version()))


if __name__ == "__main__":
    main()
