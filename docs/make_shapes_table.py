"""Write docs/shapes_table.md and docs/shapes_larger_table.md: j3o's plan beside the optimum, shape by shape.

Run it from the root of the repository; it takes some minutes. HiGHS solves the same Pyomo models to a gap of
1e-6 (1e-4 for the larger ones), with one thread. Times are of the processor, so that other work on the
machine does not count.

    python docs/make_shapes_table.py [--larger] [--seeds N] [--limit SECONDS] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path

import highspy
import pyomo.environ as pyo
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.version import version as pyomo_version

import pyomo_j3o
from pyomo_j3o import library

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples"))

import row_kinds  # noqa: E402  (an example, found by the line above)

SHAPES = {
    "facility location, capacitated": lambda s: library.facility_location(16, 50, s),
    "facility location, equal sites": lambda s: library.facility_location(25, 50, s, style="equal"),
    "facility location, uncapacitated": lambda s: library.facility_location(50, 50, s, capacitated=False),
    "p-median": lambda s: library.p_median(50, 100, 8, s),
    "two-stage location": lambda s: library.two_stage(8, 16, 32, s),
    "maximal covering": lambda s: library.maximal_covering(100, 400, p=8, seed=s),
    "maximal covering, by cost": lambda s: library.maximal_covering(100, 400, budget=8.0, seed=s),
    "content placement": lambda s: library.content_placement(8, 4, 40, s),
    "service placement": lambda s: library.service_placement(6, 12, 40, s),
    "several edge servers": lambda s: library.multi_edge(8, 3, s),
    "network functions": lambda s: library.virtual_functions(6, 4, 5, s),
    "network design": lambda s: library.fixed_charge_network(12, s),
} | {f"{build.__name__.replace('_', ' ')} (rows)": build for build in row_kinds.BUILDERS}

#: As large as published sets of these problems, one model each.
LARGER = {
    "facility location, capacitated": lambda s: library.facility_location(
        100, 1000, s, style="equal", tightness=0.07
    ),
    "facility location, uncapacitated": lambda s: library.facility_location(
        100, 1000, s, capacitated=False, style="equal"
    ),
    "p-median": lambda s: library.p_median(300, 300, 30, s),
    "two-stage location": lambda s: library.two_stage(50, 100, 200, s),
    "maximal covering": lambda s: library.maximal_covering(500, 2000, p=20, seed=s, radius=0.08),
    "content placement": lambda s: library.content_placement(30, 10, 100, s),
    "service placement": lambda s: library.service_placement(20, 30, 200, s),
    "several edge servers": lambda s: library.multi_edge(30, 6, s),
}


def measure(build, seed: int, limit: float, gap: float) -> dict:
    """Solve one model by both; return sizes, what the plan lost, the gap, and processor seconds."""
    m = build(seed)
    objective = next(m.component_data_objects(pyo.Objective, active=True))
    start = time.process_time()
    ours = SolverFactory("j3o").solve(m, lp_solver="highs", mip_solver="highs")
    middle = time.process_time()
    theirs = SolverFactory("highs").solve(
        m, rel_gap=gap, threads=1, time_limit=limit, raise_exception_on_nonoptimal_result=False
    )
    end = time.process_time()
    sign = 1 if objective.sense == pyo.minimize else -1
    best = theirs.incumbent_objective
    return {
        "sense": "min" if sign == 1 else "max",
        "x": len(list(m.place.component_data_objects(pyo.Var))),
        "y": len(list(m.route.component_data_objects(pyo.Var))),
        "lost": sign * (ours.incumbent_objective - best) / abs(best),
        "gap": ours.extra_info.relative_gap,
        "wrong": sign * (ours.objective_bound - best) > 1e-6 * abs(best),
        "proven": abs(theirs.objective_bound - best) <= 2 * gap * abs(best),
        "ours": middle - start,
        "theirs": end - middle,
    }


def line(name: str, rows: list[dict]) -> str:
    """Return one line of the table."""

    def mean(key: str) -> float:
        return sum(row[key] for row in rows) / len(rows)

    worst = f" | {100 * max(row['lost'] for row in rows):z.2f} %" if len(rows) > 1 else ""
    lost = f"| {100 * mean('lost'):z.2f} %{worst}"
    unproven = sum(not row["proven"] for row in rows)
    note = f" ({unproven} not proven)" if unproven else ""
    return (
        f"| {name} | {rows[0]['sense']} | {mean('x'):,.0f} | {mean('y'):,.0f} "
        f"{lost} | {100 * mean('gap'):.2f} % | {mean('ours'):.2f} | {mean('theirs'):.2f}{note} |"
    )


def main() -> None:
    """Measure, print as it goes, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--larger", action="store_true", help="the larger models, seed 0, HiGHS to a gap of 1e-4"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=120.0, help="time limit of HiGHS, s")
    parser.add_argument("--only", nargs="*", help="names of shapes")
    options = parser.parse_args()
    shapes, seeds, gap = (LARGER, 1, 1e-4) if options.larger else (SHAPES, options.seeds, 1e-6)
    lost = "lost, mean | lost, worst" if seeds > 1 else "lost"
    lines = [
        f"| shape | sense | x | y | {lost} | gap | j3o, s | HiGHS, s |",
        f"|---|---|{'---:|' * (7 if seeds > 1 else 6)}",
    ]
    for name, build in shapes.items():
        if options.only and name not in options.only:
            continue
        rows = [measure(build, seed, options.limit, gap) for seed in range(seeds)]
        lines.append(line(name, rows))
        print(lines[-1], "WRONG BOUND" if any(row["wrong"] for row in rows) else "", flush=True)
    drawn = "Seed 0" if options.larger else f"Means over the seeds 0 to {seeds - 1}"
    lines += [
        "",
        f"{drawn}. j3o {pyomo_j3o.__version__}, HiGHS {highspy.Highs().version()}, Pyomo {pyomo_version}, "
        f"Python {platform.python_version()}, {platform.machine()}; seconds of the processor, one thread.",
    ]
    if not options.only:
        name = "shapes_larger_table.md" if options.larger else "shapes_table.md"
        (HERE / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
