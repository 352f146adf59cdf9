"""Write docs/batching_table.md: BAJ3O, J3O and HiGHS's MILP on thirty instances with batching windows.

Run it from the root of the repository; it takes about half an hour. Each instance is solved in the same
process by ``baj3o``, by ``j3o``, which charges every onloaded model, and by HiGHS through plain Pyomo (gap
1e-4, one thread, with a time limit). Where HiGHS does not finish, the optimum is proven part by part: clients
and edge servers that share no row are solved apart, to the same gap.

    python docs/make_batching_table.py [--limit SECONDS] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import platform
import time

import highspy
import pyomo.environ as pyo
from make_quality_table import GAP, optimum_by_parts, save
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.version import version as pyomo_version

import pyomo_j3o
from pyomo_j3o import library
from pyomo_j3o.modeling.compiler import compile_model

COLUMNS = [
    "instance",
    "window",
    "batches",
    "nonzeros",
    "optimum",
    "optimum_bound",
    "j3o_objective",
    "j3o_seconds",
    "baj3o_objective",
    "baj3o_bound",
    "baj3o_seconds",
    "baj3o_iterations",
    "batches_in_use",
    "fill",
    "exceeded",
    "highs_objective",
    "highs_seconds",
]


def busy(window) -> float:
    """Return the seconds at work per window of a solved model, by the definition and not by its rows."""
    length, total = pyo.value(window.length), 0.0
    for k in window.models:
        q = length * pyo.value(window.arrivals[k])
        total += pyo.value(window.per_query[k]) * q + (pyo.value(window.setup[k]) if q > 0 else 0.0)
    return total


def measure(name: str, arguments: dict, limit: float) -> dict:
    """Solve one instance by all three and return a row of the table."""
    row = {"instance": name, "window": arguments["window"]}
    for algorithm in ("j3o", "baj3o"):
        model = library.taskonomy(**arguments)
        begin = time.perf_counter()
        found = SolverFactory("j3o").solve(model, algorithm=algorithm, lp_solver="highs")
        row[f"{algorithm}_seconds"] = time.perf_counter() - begin
        row[f"{algorithm}_objective"] = found.incumbent_objective
    windows = [model.batch[e] for e in model.batch]
    row["baj3o_bound"], row["baj3o_iterations"] = found.objective_bound, len(found.extra_info.trace)
    row["batches_in_use"] = sum(w.used[k].value > 0.5 for w in windows for k in w.models)
    row["fill"] = sum(busy(w) / pyo.value(w.length) for w in windows) / len(windows)
    row["exceeded"] = max(busy(w) - pyo.value(w.length) for w in windows)

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
    row["highs_seconds"] = time.perf_counter() - begin
    row["highs_objective"] = theirs.incumbent_objective
    problem, _ = compile_model(model)
    row["batches"], row["nonzeros"] = len(problem.batches), problem.n_nonzeros
    row["optimum"], row["optimum_bound"] = theirs.incumbent_objective, theirs.objective_bound
    if row["optimum"] is None or row["optimum_bound"] > row["optimum"] * (1 + 1.01 * GAP):
        row["optimum"], row["optimum_bound"] = optimum_by_parts(problem, 5 * limit)
    return row


def table(rows: list[dict], limit: float) -> str:
    """Return the rows as Markdown, with means below."""
    lines = [
        "| instance | T_b, s | optimum | J3O | BAJ3O | gap | batches in use | window filled | J3O, s "
        "| BAJ3O, s | HiGHS, s | time |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        stopped = ">" if row["highs_seconds"] > limit else ""
        lines.append(
            f"| {row['instance'].removeprefix('taskonomy-')} | {row['window']:g} | {row['optimum']:.4f} "
            f"| {100 * row['j3o_objective'] / row['optimum']:.2f} % "
            f"| {100 * row['baj3o_objective'] / row['optimum']:.2f} % "
            f"| {100 * (row['baj3o_bound'] / row['baj3o_objective'] - 1):.2f} % "
            f"| {row['batches_in_use']} of {row['batches']} | {100 * row['fill']:.0f} % "
            f"| {row['j3o_seconds']:.2f} | {row['baj3o_seconds']:.2f} | {stopped}{row['highs_seconds']:.1f} "
            f"| {100 * row['baj3o_seconds'] / row['highs_seconds']:.1f} % |"
        )

    def ratios(who: str) -> str:
        ratio = [row[f"{who}_objective"] / row["optimum"] for row in rows]
        return f"mean {100 * sum(ratio) / len(ratio):.2f} %, worst {100 * min(ratio):.2f} %"

    gaps = [row["baj3o_bound"] / row["baj3o_objective"] - 1 for row in rows]
    hard = [row for row in rows if row["highs_seconds"] > 10]
    ours, theirs = (sum(row[f"{who}_seconds"] for row in hard) for who in ("baj3o", "highs"))
    above = sum(row["baj3o_objective"] > row["j3o_objective"] + 1e-9 for row in rows)
    below = sum(row["baj3o_objective"] < row["j3o_objective"] - 1e-9 for row in rows)
    stopped = sum(row["highs_seconds"] > limit for row in rows)
    exceeded = max(0.0, max(row["exceeded"] for row in rows))
    lines += [
        "",
        f"Ratio to the proven optimum: BAJ3O {ratios('baj3o')}; J3O {ratios('j3o')}. BAJ3O is above J3O on "
        f"{above} of {len(rows)}, below on {below}. Certified gap: mean {100 * sum(gaps) / len(gaps):.2f} %, "
        f"worst {100 * max(gaps):.2f} %. No window is exceeded by more than {exceeded:.0e} s. Time over the "
        f"{len(hard)} where HiGHS needs more than 10 s: {ours:.0f} s against {theirs:.0f} s, "
        f"{100 * ours / theirs if hard else float('nan'):.1f} %. HiGHS was stopped after {limit:.0f} s on "
        f"{stopped} of them; its time counts as that limit.",
        "",
        f"pyomo_j3o {pyomo_j3o.__version__}, HiGHS {highspy.Highs().version()}, Pyomo {pyomo_version}, "
        f"Python {platform.python_version()}, {platform.machine()}, a shared machine with 2 cores.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print as it goes, and write the table and the figures behind it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--limit", type=float, default=120.0, help="time limit of HiGHS, s")
    parser.add_argument("--only", nargs="*", help="names of instances")
    options = parser.parse_args()
    rows = []
    for name, arguments in library.windowed_instances():
        if options.only and name not in options.only:
            continue
        rows.append(measure(name, arguments, options.limit))
        row = rows[-1]
        print(
            f"{name:28} J3O {100 * row['j3o_objective'] / row['optimum']:7.2f} %   "
            f"BAJ3O {100 * row['baj3o_objective'] / row['optimum']:7.2f} %   "
            f"bound {100 * row['baj3o_bound'] / row['optimum']:7.2f} %   exceeded {row['exceeded']:8.1e} s   "
            f"{row['j3o_seconds']:5.2f} s   {row['baj3o_seconds']:5.2f} s   "
            f"HiGHS {row['highs_seconds']:7.2f} s",
            flush=True,
        )
    text = table(rows, options.limit)
    print(text)
    if not options.only:
        save("batching", text, COLUMNS, rows)


if __name__ == "__main__":
    main()
