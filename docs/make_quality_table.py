"""Write docs/quality_table.md: j3o beside HiGHS's MILP on the thirty Taskonomy instances of the library.

Run it from the root of the repository; it takes about half an hour. Each instance is solved by j3o and, from
the same Pyomo model and in the same process, by HiGHS through plain Pyomo (gap 1e-4, one thread, with a time
limit). Where HiGHS does not finish, the optimum is proven part by part: clients and edge servers that share
no row are solved apart, to the same gap. With --again only j3o solves, and the figures of HiGHS stand as they
were measured before, in docs/quality.csv.

    python docs/make_quality_table.py [--limit SECONDS] [--only NAME ...] [--again]
"""

from __future__ import annotations

import argparse
import csv
import platform
import time
from pathlib import Path

import highspy
import pyomo.environ  # noqa: F401  (registers HiGHS)
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.version import version as pyomo_version

import pyomo_j3o
from pyomo_j3o import library
from pyomo_j3o.certify.cutting import relax
from pyomo_j3o.core.deadline import NEVER
from pyomo_j3o.core.structure import analyse
from pyomo_j3o.lp import HighsBackend
from pyomo_j3o.methods.instance import mip_model
from pyomo_j3o.mip import HighsMIP, Limits
from pyomo_j3o.modeling.compiler import compile_model
from pyomo_j3o.presolve.decomposing import split

HERE = Path(__file__).parent
GAP = 1e-4
COLUMNS = [
    "instance",
    "nonzeros",
    "optimum",
    "optimum_bound",
    "lp_bound",
    "j3o_objective",
    "j3o_bound",
    "j3o_seconds",
    "j3o_iterations",
    "highs_objective",
    "highs_bound",
    "highs_seconds",
]


def optimum_by_parts(problem, limit: float) -> tuple[float, float]:
    """Return the best objective and the proven bound, each part of the problem solved apart."""
    objective, bound = problem.objective_constant, problem.objective_constant
    for part in split(problem).parts:
        found = HighsMIP().solve(mip_model(part.problem), Limits(limit, rel_gap=GAP, threads=1))
        objective, bound = objective + found.objective, bound + found.bound
    return objective, bound


def by_j3o(arguments: dict) -> dict:
    """Return what j3o makes of one instance, and its seconds."""
    model = library.taskonomy(**arguments)
    begin = time.perf_counter()
    ours = SolverFactory("j3o").solve(model, lp_solver="highs", mip_solver="highs")
    return {
        "j3o_objective": ours.incumbent_objective,
        "j3o_bound": ours.objective_bound,
        "j3o_seconds": time.perf_counter() - begin,
        "j3o_iterations": len(ours.extra_info.trace),
    }


def measured_before() -> dict[str, dict]:
    """Return the rows of docs/quality.csv by their instance."""
    with open(HERE / "quality.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {row["instance"]: {k: float(v) for k, v in row.items() if k != "instance"} for row in rows}


def measure(name: str, arguments: dict, limit: float) -> dict:
    """Solve one instance by both and return a row of the table."""
    ours = by_j3o(arguments)
    model = library.taskonomy(**arguments)
    begin = time.perf_counter()
    theirs = SolverFactory("highs").solve(
        model,
        time_limit=limit,
        rel_gap=GAP,
        threads=1,
        raise_exception_on_nonoptimal_result=False,
        load_solutions=False,
    )
    theirs_seconds = time.perf_counter() - begin

    problem, _ = compile_model(model)
    optimum, optimum_bound = theirs.incumbent_objective, theirs.objective_bound
    if optimum is None or optimum_bound > optimum * (1 + 1.01 * GAP):
        optimum, optimum_bound = optimum_by_parts(problem, limit)
    structure = analyse(problem)
    plain = relax(structure, HighsBackend(), cuts=False, deadline=NEVER)
    return {
        "instance": name,
        "nonzeros": problem.n_nonzeros,
        "optimum": optimum,
        "optimum_bound": optimum_bound,
        "lp_bound": plain.bound,
        **ours,
        "highs_objective": theirs.incumbent_objective,
        "highs_bound": theirs.objective_bound,
        "highs_seconds": theirs_seconds,
    }


def table(rows: list[dict], limit: float) -> str:
    """Return the rows as Markdown, with means below."""
    lines = [
        "| instance | nonzeros | optimum | ratio | j3o's bound | LP bound | iterations "
        "| j3o, s | HiGHS, s | time |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        stopped = ">" if row["highs_seconds"] > limit else ""
        lines.append(
            f"| {row['instance'].removeprefix('taskonomy-')} | {row['nonzeros']:,.0f} | {row['optimum']:.4f} "
            f"| {100 * row['j3o_objective'] / row['optimum']:.2f} % "
            f"| {100 * row['j3o_bound'] / row['optimum']:.2f} % "
            f"| {100 * row['lp_bound'] / row['optimum']:.2f} % | {row['j3o_iterations']} "
            f"| {row['j3o_seconds']:.2f} | {stopped}{row['highs_seconds']:.1f} "
            f"| {100 * row['j3o_seconds'] / row['highs_seconds']:.1f} % |"
        )
    ratio = [row["j3o_objective"] / row["optimum"] for row in rows]
    stopped = sum(row["highs_seconds"] > limit for row in rows)
    gaps = [row["j3o_bound"] / row["j3o_objective"] - 1 for row in rows]

    def share(longer_than: float) -> str:
        hard = [row for row in rows if row["highs_seconds"] > longer_than]
        ours, theirs = (sum(row[f"{who}_seconds"] for row in hard) for who in ("j3o", "highs"))
        percent = 100 * ours / theirs if hard else float("nan")
        return (
            f"over the {len(hard)} where HiGHS needs more than {longer_than:.0f} s, {ours:.0f} s against "
            f"{theirs:.0f} s, {percent:.1f} %"
        )

    lines += [
        "",
        f"Ratio to the proven optimum: mean {100 * sum(ratio) / len(ratio):.2f} %, "
        f"worst {100 * min(ratio):.2f} %. Certified gap: mean {100 * sum(gaps) / len(gaps):.2f} %, worst "
        f"{100 * max(gaps):.2f} %. Time: {share(5)}; {share(60)}. HiGHS was stopped after {limit:.0f} s on "
        f"{stopped} of them; its time counts as that limit. Mean number of iterations: "
        f"{sum(row['j3o_iterations'] for row in rows) / len(rows):.1f}.",
        "",
        f"j3o {pyomo_j3o.__version__}, HiGHS {highspy.Highs().version()}, Pyomo {pyomo_version}, "
        f"Python {platform.python_version()}, {platform.machine()}, a shared machine with 2 cores.",
    ]
    return "\n".join(lines) + "\n"


def save(name: str, text: str, columns: list[str], rows: list[dict]) -> None:
    """Write a table of the docs, and the figures behind it as CSV."""
    (HERE / f"{name}_table.md").write_text(text, encoding="utf-8")
    with open(HERE / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Measure, print as it goes, and write the table and the figures behind it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--limit", type=float, default=300.0, help="time limit of HiGHS, s")
    parser.add_argument("--only", nargs="*", help="names of instances")
    parser.add_argument("--again", action="store_true", help="keep the figures of HiGHS")
    options = parser.parse_args()
    before = measured_before() if options.again else {}
    rows = []
    for name, arguments in library.instances():
        if options.only and name not in options.only:
            continue
        kept = {**before[name], "instance": name, **by_j3o(arguments)} if options.again else None
        rows.append(kept or measure(name, arguments, options.limit))
        row = rows[-1]
        print(
            f"{name:24} ratio {100 * row['j3o_objective'] / row['optimum']:7.2f} %   "
            f"bound {100 * row['j3o_bound'] / row['optimum']:7.2f} %   "
            f"j3o {row['j3o_seconds']:6.2f} s   HiGHS {row['highs_seconds']:7.2f} s",
            flush=True,
        )
    text = table(rows, options.limit)
    print(text)
    if not options.only:
        save("quality", text, COLUMNS, rows)


if __name__ == "__main__":
    main()
