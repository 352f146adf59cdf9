"""Write docs/shapes_table.md: j3o's plan beside the proven optimum, on five drawn models of every shape.

Run it from the root of the repository; it takes some minutes. HiGHS solves the same Pyomo models to
a gap of 1e-6, with one thread. Times are of the processor, so that other work on the machine does not count.

    python docs/make_shapes_table.py [--seeds N] [--limit SECONDS] [--only NAME ...]
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


def measure(build, seed: int, limit: float) -> dict:
    """Solve one model by both; return sizes, what the plan lost, the gap, and processor seconds."""
    m = build(seed)
    objective = next(m.component_data_objects(pyo.Objective, active=True))
    start = time.process_time()
    ours = SolverFactory("j3o").solve(m, lp_solver="highs", mip_solver="highs")
    middle = time.process_time()
    theirs = SolverFactory("highs").solve(
        m, rel_gap=1e-6, threads=1, time_limit=limit, raise_exception_on_nonoptimal_result=False
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
        "wrong": sign * (ours.objective_bound - best) > 1e-5 * abs(best),
        "proven": abs(theirs.objective_bound - best) <= 2e-6 * abs(best),
        "ours": middle - start,
        "theirs": end - middle,
    }


def line(name: str, rows: list[dict]) -> str:
    """Return one line of the table."""

    def mean(key: str) -> float:
        return sum(row[key] for row in rows) / len(rows)

    unproven = sum(not row["proven"] for row in rows)
    note = f" ({unproven} not proven)" if unproven else ""
    return (
        f"| {name} | {rows[0]['sense']} | {mean('x'):,.0f} | {mean('y'):,.0f} "
        f"| {100 * abs(mean('lost')):.2f} % | {100 * abs(max(row['lost'] for row in rows)):.2f} % "
        f"| {100 * mean('gap'):.2f} % | {mean('ours'):.2f} | {mean('theirs'):.2f}{note} |"
    )


def main() -> None:
    """Measure, print as it goes, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=120.0, help="time limit of HiGHS, s")
    parser.add_argument("--only", nargs="*", help="names of shapes")
    options = parser.parse_args()
    lines = [
        "| shape | sense | x | y | lost, mean | lost, worst | gap | j3o, s | HiGHS, s |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, build in SHAPES.items():
        if options.only and name not in options.only:
            continue
        rows = [measure(build, seed, options.limit) for seed in range(options.seeds)]
        lines.append(line(name, rows))
        print(lines[-1], "WRONG BOUND" if any(row["wrong"] for row in rows) else "", flush=True)
    lines += [
        "",
        f"Means over the seeds 0 to {options.seeds - 1}. j3o {pyomo_j3o.__version__}, HiGHS "
        f"{highspy.Highs().version()}, Pyomo {pyomo_version}, Python {platform.python_version()}, "
        f"{platform.machine()}; seconds of the processor, one thread.",
    ]
    if not options.only:
        (HERE / "shapes_table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
