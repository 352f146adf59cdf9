"""Write docs/exact_table.md and a picture: how long MIP solvers need, with J3O's plan as a start and without.

The figures behind both are in docs/exact.csv. With --only, the other instances keep what stands there.

Run it from the root of the repository, on a quiet machine; it takes about half an hour. Instances are those
of the library (Taskonomy), solved to a gap of 0.1 % in one thread, one after the other in one process. All
times are from the call of `solve` to loaded values, the search for the start included.

    python docs/make_exact_table.py [--limit SECONDS] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import csv
import platform
import threading
import time
from pathlib import Path

import highspy
import matplotlib
import pyomo.environ  # noqa: F401  (registers HiGHS)
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.version import version as pyomo_version

import pyomo_j3o
from pyomo_j3o import library
from pyomo_j3o.modeling.compiler import compile_model

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
GAP = 1e-3
#: HiGHS through Pyomo's own interface, and j3o.exact without a start and with J3O's.
TIMES = ("plain", "none", "j3o")
#: SCIP is slower by so much that it gets the smaller instances only; Gurobi gets what its free licence takes.
MOST_FOR_SCIP = 13_000
FOR_GUROBI = [
    (f"5-1-drop, seed {seed}", {"clients": 5, "edges": 1, "seed": seed, "droppable": True})
    for seed in range(1, 7)
]


def timed(name: str, arguments: dict, limit: float, **options) -> tuple[float, bool]:
    """Return the seconds from the call of `solve` to loaded values, and whether the gap was closed."""
    model = library.taskonomy(**arguments)
    begin = time.perf_counter()
    results = SolverFactory(name).solve(
        model,
        time_limit=limit,
        rel_gap=GAP,
        threads=1,
        raise_exception_on_nonoptimal_result=False,
        load_solutions=False,
        **options,
    )
    if results.incumbent_objective is not None:
        results.solution_loader.load_vars()
    seconds = time.perf_counter() - begin
    return seconds, results.termination_condition.name == "convergenceCriteriaSatisfied"


def pair(arguments: dict, limit: float, mip_solver: str) -> dict:
    """Return the times of one MIP solver without and with the start."""
    row = {}
    for start in ("none", "j3o"):
        row[start], row[f"{start}_closed"] = timed(
            "j3o.exact", arguments, limit, mip_solver=mip_solver, mip_start=start, lp_solver="highs"
        )
    return row


def shown(seconds: float, closed: bool) -> str:
    """Return seconds, or that they were not enough."""
    return f"{seconds:.1f}" if closed else f">{seconds:.0f}"


def table(rows: list[dict], plain: bool) -> list[str]:
    """Return rows as Markdown."""
    head = [
        "instance",
        "nonzeros",
        *(["HiGHS through Pyomo, s"] if plain else []),
        "without a start, s",
        "with J3O's start, s",
        "time",
    ]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for row in rows:
        cells = [row["name"].removeprefix("taskonomy-"), f"{row['nonzeros']:,}"]
        if plain:
            cells.append(shown(row["plain"], row["plain_closed"]))
        cells += [shown(row[start], row[f"{start}_closed"]) for start in ("none", "j3o")]
        cells.append(f"{100 * row['j3o'] / row['none']:.0f} %")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def verdict(rows: list[dict], which: str = "", of: str = "none", longer_than: float = 0.0) -> str:
    """Return in how many of those that take long the start, its own time included, saved time."""
    long = [row for row in rows if row[of] > longer_than]
    if not long:
        return ""
    won = sum(row["j3o"] < row["none"] for row in long)
    total = sum(row["j3o"] for row in long) / sum(row["none"] for row in long)
    return (
        f"Of the {len(long)} instances{which}, the start makes {won} faster; over them all, the time with "
        f"it is {100 * total:.0f} % of that without."
    )


def overhead(clients: int, limit: float) -> str:
    """Return what both ways to HiGHS spend outside of it, on one model."""
    model = library.taskonomy(clients=clients, edges=10, seed=7)
    run, inside, lock = highspy.Highs.run, [0.0], threading.Lock()

    def counted(self):
        begin = time.perf_counter()
        try:
            return run(self)
        finally:
            with lock:
                inside[0] += time.perf_counter() - begin

    spent = {}
    highspy.Highs.run = counted
    try:
        for name, options in (
            ("highs", {}),
            ("j3o.exact", {"mip_solver": "highs", "lp_solver": "highs", "mip_start": "none"}),
        ):
            inside[0], begin = 0.0, time.perf_counter()
            results = SolverFactory(name).solve(
                model,
                time_limit=limit,
                threads=1,
                raise_exception_on_nonoptimal_result=False,
                load_solutions=False,
                **options,
            )
            if results.incumbent_objective is not None:
                results.solution_loader.load_vars()
            spent[name] = time.perf_counter() - begin - inside[0]
    finally:
        highspy.Highs.run = run
    ours, theirs = spent["j3o.exact"], spent["highs"]
    return (
        "Everything but the optimisation itself (from `solve` to loaded values, less the time inside HiGHS), "
        f"{clients} clients: {theirs:.2f} s through Pyomo's `highs`, {ours:.2f} s through `j3o.exact`, "
        f"{theirs / ours:.1f} times less."
    )


def draw(rows: list[dict]) -> None:
    """Draw the three times of every instance, side by side."""
    figure, ax = plt.subplots(figsize=(8, 7.5), layout="constrained")
    looks = (
        ("plain", "HiGHS through Pyomo", "s", "#6b7076"),
        ("none", "j3o.exact, no start", "o", "#4c78a8"),
        ("j3o", "j3o.exact, J3O's plan as start", "D", "#e45756"),
    )
    times = [[row[key] for key in TIMES] for row in rows]
    ax.hlines(range(len(rows)), [min(row) for row in times], [max(row) for row in times], "#d0d3d6", zorder=1)
    for key, label, marker, colour in looks:
        ax.plot([row[key] for row in rows], range(len(rows)), marker, color=colour, label=label, ms=6, ls="")
        for y, row in enumerate(rows):
            if not row[f"{key}_closed"]:
                ax.annotate("stopped", (row[key], y), (5, -2), textcoords="offset points", fontsize=6.5)
    ax.set_yticks(range(len(rows)), [row["name"].removeprefix("taskonomy-") for row in rows])
    ax.invert_yaxis()
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xscale("log")
    ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50, 100) if tick < 2 * max(row["plain"] for row in rows)]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlabel("time to a gap of 0.1 %, s (logarithmic)")
    ax.set_ylabel("instance: clients, edge servers, whether queries may be dropped")
    ax.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(HERE / "_static" / "exact_start.png", dpi=130)


def kept() -> list[dict]:
    """Return the rows of docs/exact.csv."""
    path = HERE / "exact.csv"
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["nonzeros"] = int(row["nonzeros"])
        for key in TIMES:
            row[key] = float(row[key]) if row[key] else 0.0
            row[f"{key}_closed"] = row[f"{key}_closed"] == "True"
    return rows


def write(rows: list[dict], beside: str) -> None:
    """Write figures, table and picture."""
    with open(HERE / "exact.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(
            file, ["solver", "name", "nonzeros", *TIMES, *(f"{key}_closed" for key in TIMES)]
        )
        writer.writeheader()
        writer.writerows(rows)
    by = {solver: [row for row in rows if row["solver"] == solver] for solver in ("HiGHS", "SCIP", "Gurobi")}
    highs = by["HiGHS"]
    lines = ["### HiGHS", "", *table(highs, True), ""]
    lines += [verdict(highs, " for which HiGHS through Pyomo needs more than 10 s", "plain", 10)]
    lines += [verdict(highs, " for which `j3o.exact` without a start needs more than 10 s", "none", 10), ""]
    for solver in ("SCIP", "Gurobi"):
        lines += [f"### {solver}", "", *table(by[solver], False), "", verdict(by[solver]), ""]
    lines += ["### Outside of the solver", "", beside, ""]
    lines += [
        '"\\>" marks where the gap was still open at the time limit; that time then counts. '
        f"j3o {pyomo_j3o.__version__}, HiGHS {highspy.Highs().version()}, Pyomo {pyomo_version}, Python "
        f"{platform.python_version()}, {platform.machine()}, a shared machine with 2 cores.",
    ]
    (HERE / "exact_table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    draw(highs)


def main() -> None:
    """Measure, print as it goes, and write table and picture."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--limit", type=float, default=60.0, help="time limit of every solve, s")
    parser.add_argument("--only", nargs="*", help="names of instances")
    options = parser.parse_args()
    rows = {(row["solver"], row["name"]): row for row in kept()}

    def measure(solver: str, name: str, arguments: dict) -> None:
        if options.only and name not in options.only:
            return
        nonzeros = compile_model(library.taskonomy(**arguments))[0].n_nonzeros
        if solver == "SCIP" and nonzeros > MOST_FOR_SCIP:
            return
        row = {"solver": solver, "name": name, "nonzeros": nonzeros, "plain": 0.0, "plain_closed": True}
        if solver == "HiGHS":
            row["plain"], row["plain_closed"] = timed("highs", arguments, options.limit)
        row |= pair(arguments, options.limit, solver.lower())
        rows[solver, name] = row
        print(
            f"{solver:6} {name:22} plain {row['plain']:6.2f} none {row['none']:6.2f} start {row['j3o']:6.2f}",
            flush=True,
        )

    for solver in ("HiGHS", "SCIP"):
        for name, arguments in library.instances():
            measure(solver, name, arguments)
    for name, arguments in FOR_GUROBI:
        measure("Gurobi", name, arguments)
    write(list(rows.values()), overhead(100, 20.0))


if __name__ == "__main__":
    main()
