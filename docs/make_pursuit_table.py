"""Write docs/pursuit_table.md: the time to a gap that is asked for, j3o beside HiGHS through Pyomo.

Run it from the root of the repository; it takes up to an hour. Both solvers get the same Pyomo models, one
thread, the same gap, and the same limit; they take turns at being first. Times are of the processor, so that
other work on the machine does not count. Rows that are in docs/pursuit.csv are kept: delete the file to begin
anew, or name what is to be measured again.

    python docs/make_pursuit_table.py [--limit SECONDS] [--only PART ...] [--tuning]
"""

from __future__ import annotations

import argparse
import csv
import math
import platform
import sys
import time
from pathlib import Path
from typing import Any

import highspy
import numpy as np
import pyomo.environ as pyo
from pursuit_models import MODELS
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.version import version as pyomo_version

import pyomo_j3o
from pyomo_j3o import library

HERE = Path(__file__).parent
GAP = 1e-3

#: Fraction of the objective by which a plan and a bound may contradict one another: tolerances of solvers.
_TOLERANCE = 1e-6

_FIELDS = (
    "name",
    "limit",
    "sense",
    "columns",
    *(f"{who}_{what}" for who in ("j3o", "highs") for what in ("seconds", "objective", "bound")),
)


def timed(solver: str, m: pyo.ConcreteModel, limit: float) -> dict[str, float]:
    """Solve a model; return processor seconds, objective and bound, NaN where there is none."""
    own = {"lp_solver": "highs", "mip_solver": "highs"} if solver == "j3o" else {}
    opt = SolverFactory(solver)
    begin = time.process_time()
    results = opt.solve(
        m,
        rel_gap=GAP,
        threads=1,
        time_limit=limit,
        load_solutions=False,
        raise_exception_on_nonoptimal_result=False,
        **own,
    )
    seconds = time.process_time() - begin
    found = results.incumbent_objective, results.objective_bound
    objective, bound = (math.nan if one is None or not math.isfinite(one) else one for one in found)
    return {"seconds": seconds, "objective": objective, "bound": bound}


def measure(name: str, build: Any, limit: float, first: str) -> dict[str, Any]:
    """Return the row of one model."""
    m = build()
    objective = next(m.component_data_objects(pyo.Objective, active=True))
    row = {
        "name": name,
        "limit": limit,
        "sense": 1 if objective.sense == pyo.minimize else -1,
        "columns": sum(1 for _ in m.component_data_objects(pyo.Var, active=True)),
    }
    for solver in ("j3o", "highs") if first == "j3o" else ("highs", "j3o"):
        row |= {f"{solver}_{key}": value for key, value in timed(solver, build(), limit).items()}
    return row


def best_of(row: dict[str, Any]) -> float:
    """Return the objective of the better plan: the reference of all gaps of a row."""
    plans = [row[f"{who}_objective"] for who in ("j3o", "highs")]
    return row["sense"] * np.nanmin(row["sense"] * np.array(plans))


def gap_of(row: dict[str, Any], who: str) -> float:
    """Return the gap that a solver has proven of its own plan, relative to the better plan."""
    left = row["sense"] * (row[f"{who}_objective"] - row[f"{who}_bound"])
    return math.inf if math.isnan(left) else max(left, 0.0) / max(abs(best_of(row)), 1e-9)


def is_closed(row: dict[str, Any], who: str) -> bool:
    """Return whether a solver reached the gap."""
    return gap_of(row, who) <= 1.01 * GAP


def contradicts(row: dict[str, Any]) -> bool:
    """Return whether a bound is better than a plan of either solver."""
    slack = _TOLERANCE * max(1.0, abs(best_of(row)))
    return any(row["sense"] * (row[f"{who}_bound"] - best_of(row)) > slack for who in ("j3o", "highs"))


def ratio(row: dict[str, Any]) -> float:
    """Return j3o's time over HiGHS's."""
    return row["j3o_seconds"] / row["highs_seconds"]


def line(row: dict[str, Any]) -> str:
    """Return one line of the table."""
    cells = [row["name"], f"{row['columns']:,.0f}"]
    for who in ("j3o", "highs"):
        mark = "" if is_closed(row, who) else ">"
        gap = gap_of(row, who)
        cells += [f"{mark}{row[f'{who}_seconds']:.2f}", f"{100 * gap:z.2f} %" if gap < math.inf else "none"]
    return f"| {' | '.join(cells)} | {ratio(row):.2f} |"


def summary(rows: list[dict[str, Any]]) -> str:
    """Return what the rows say together."""
    ratios = np.array([ratio(row) for row in rows])
    worst = rows[int(np.argmax(ratios))]
    closed = {who: sum(is_closed(row, who) for row in rows) for who in ("j3o", "highs")}
    return (
        f"{len(rows)} models: j3o's time over HiGHS's is {np.exp(np.log(ratios).mean()):.2f} in the "
        f"geometric mean, {np.median(ratios):.2f} in the median, and {ratios.max():.2f} at most "
        f"({worst['name']}). "
        f"{closed['j3o']} are closed by j3o, {closed['highs']} by HiGHS."
    )


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Return the rows that are measured already."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{k: v if k == "name" else float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    return {row["name"]: row for row in rows}


def write(path: Path, rows: dict[str, dict[str, Any]], names: list[str]) -> None:
    """Write the rows, in the order of the names."""
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.DictWriter(file, _FIELDS, lineterminator="\n")
        out.writeheader()
        for name in names:
            if name in rows:
                of_row = rows[name]
                out.writerow({k: f"{v:.10g}" if isinstance(v, float) else v for k, v in of_row.items()})


def table(rows: list[dict[str, Any]]) -> str:
    """Return the page."""
    limits = sorted({row["limit"] for row in rows})
    return "\n".join(
        [
            "| model | columns | j3o, s | gap | HiGHS, s | gap | ratio |",
            f"|---|{'---:|' * 6}",
            *map(line, rows),
            "",
            summary(rows),
            "",
            f"Limit {' or '.join(f'{limit:g}' for limit in limits)} s of wall time. j3o "
            f"{pyomo_j3o.__version__}, HiGHS {highspy.Highs().version()}, Pyomo {pyomo_version}, "
            f"Python {platform.python_version()}, {platform.machine()}; seconds of "
            "the processor, one thread.",
            "",
        ]
    )


def main() -> None:
    """Measure what is missing, print as it goes, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--limit", type=float, default=60.0, help="time limit of every solve, s")
    parser.add_argument("--only", nargs="*", help="parts of names, which are measured again")
    parser.add_argument("--tuning", action="store_true", help="the tuning set, to choose constants; no table")
    options = parser.parse_args()
    models, path = MODELS, HERE / "pursuit.csv"
    if options.tuning:
        sys.path.insert(0, str(HERE.parent / "tests"))
        from tuning_set import MODELS as models

        path = Path("pursuit_tuning.csv")
    rows = read(path)
    for solver in ("j3o", "highs"):
        timed(solver, library.small_example(), options.limit)  # imports are nobody's time
    for number, (name, build) in enumerate(models.items()):
        chosen = options.only and any(part in name for part in options.only)
        if (name in rows and not chosen) or (options.only and not chosen):
            continue
        rows[name] = measure(name, build, options.limit, ("j3o", "highs")[number % 2])
        print(line(rows[name]), "CONTRADICTION" if contradicts(rows[name]) else "", flush=True)
        write(path, rows, list(models))
    done = [rows[name] for name in models if name in rows]
    print(summary(done))
    wrong = [row["name"] for row in done if contradicts(row)]
    if wrong:
        print(f"CONTRADICTION between a plan and a bound: {', '.join(wrong)}", file=sys.stderr)
    if len(done) == len(models) and not options.tuning:
        (HERE / "pursuit_table.md").write_text(table(done), encoding="utf-8")


if __name__ == "__main__":
    main()
