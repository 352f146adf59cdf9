"""Write docs/exact_shapes_table.md: j3o.exact with HiGHS beside HiGHS alone, on models of many shapes.

The models are those of tests/exact_models.py. Both get the same model, a gap of 0.01 % and one thread; HiGHS
alone is Pyomo's own interface. Times are of the processor, from the call of `solve` to its results, so that
other work on the machine does not count; the two take turns at being first. Run it from the root of the
repository; it takes about ten minutes.

    python docs/make_exact_shapes_table.py [--limit SECONDS] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path

import highspy
import numpy as np
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.version import version as pyomo_version

import pyomo_j3o

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from exact_models import MODELS  # noqa: E402

GAP = 1e-4


def timed(solver: str, name: str, limit: float) -> dict:
    """Solve a fresh model, and return seconds, nodes, and what was found."""
    model = MODELS[name]()
    options = {} if solver == "highs" else {"mip_solver": "highs", "lp_solver": "highs"}
    opt = SolverFactory(solver)
    begin = time.process_time()
    results = opt.solve(
        model,
        rel_gap=GAP,
        threads=1,
        time_limit=limit,
        raise_exception_on_nonoptimal_result=False,
        load_solutions=False,
        **options,
    )
    seconds = time.process_time() - begin
    alone = solver == "highs"
    nodes = opt._solver_model.getInfo().mip_node_count if alone else results.extra_info.nodes
    return {
        "seconds": seconds,
        "nodes": nodes,
        "objective": results.incumbent_objective,
        "bound": results.objective_bound,
        "closed": results.termination_condition.name == "convergenceCriteriaSatisfied",
    }


def measure(name: str, limit: float, first: bool) -> dict:
    """Return what both need for one model."""
    order = ("highs", "j3o.exact") if first else ("j3o.exact", "highs")
    found = {solver: timed(solver, name, limit) for solver in order}
    theirs, ours = found["highs"], found["j3o.exact"]
    row = {"name": name, "theirs": theirs, "ours": ours}
    if theirs["closed"] and ours["closed"]:
        worth = theirs["objective"], ours["objective"]
        assert abs(worth[0] - worth[1]) <= 2.1 * GAP * abs(worth[0]), f"{name}: the optima differ, {worth}"
    return row


def ratio(row: dict) -> float:
    """Return our time over theirs."""
    return row["ours"]["seconds"] / row["theirs"]["seconds"]


def allowed(row: dict) -> float:
    """Return our time, less a tenth of a second, over theirs."""
    return (row["ours"]["seconds"] - 0.1) / row["theirs"]["seconds"]


def line(row: dict) -> str:
    """Return a line of the table."""
    cells = [row["name"]]
    for which in ("theirs", "ours"):
        mark = "" if row[which]["closed"] else ">"
        cells += [f"{mark}{row[which]['seconds']:.2f}", f"{row[which]['nodes']}"]
    return f"| {' | '.join(cells)} | {100 * ratio(row):.0f} % |"


def verdict(rows: list[dict], which: str) -> str:
    """Return what the rows say together."""
    if not rows:
        return ""
    shares = np.array([ratio(row) for row in rows])
    worst = max(rows, key=allowed)
    total = sum(row["ours"]["seconds"] for row in rows) / sum(row["theirs"]["seconds"] for row in rows)
    mean = np.exp(np.log(shares).mean())
    return (
        f"- {which}, {len(rows)} models: geometric mean of the share {100 * mean:.0f} %, share of the sums "
        f"{100 * total:.0f} %, largest share {100 * shares.max():.0f} %; with 0.1 s granted, "
        f"{100 * allowed(worst):.0f} % ({worst['name']})."
    )


def main() -> None:
    """Measure, print as it goes, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--limit", type=float, default=120.0, help="time limit of every solve, s")
    parser.add_argument("--only", nargs="*", help="parts of names")
    options = parser.parse_args()
    lines = [
        "| model | HiGHS, s | nodes | j3o.exact, s | nodes | share of the time |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    print("\n".join(lines))
    rows = {}
    for k, name in enumerate(MODELS):
        if options.only and not any(part in name for part in options.only):
            continue
        rows[k] = measure(name, options.limit, first=k % 4 < 2)
        lines.append(line(rows[k]))
        print(lines[-1], flush=True)
    lines += [
        "",
        verdict(list(rows.values()), "All"),
        verdict([row for k, row in rows.items() if k % 2], "At odd places of the list"),
        verdict([row for k, row in rows.items() if k % 2 == 0], "At even places"),
        "",
        f"A number after > marks a gap that was open at {options.limit:g} s. "
        f"j3o {pyomo_j3o.__version__}, HiGHS "
        f"{highspy.Highs().version()}, Pyomo {pyomo_version}, Python {platform.python_version()}, "
        f"{platform.machine()}; seconds of the processor, one thread.",
    ]
    print("\n".join(lines[-5:]))
    if not options.only:
        (HERE / "exact_shapes_table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
