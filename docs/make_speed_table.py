"""Write docs/speed_table.md: how long the steps of a solve take, as multiples of one LP relaxation.

Run it from the root of the repository, on a quiet machine; it takes about ten minutes. Every ratio is taken
within one process on one instance of the library (Taskonomy, `seed` 7, queries not droppable).

    python docs/make_speed_table.py [--clients 10 100 1000] [--beside 100 200]
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import resource
import time
from pathlib import Path

import highspy
import pyomo.environ  # noqa: F401  (registers HiGHS)
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.version import version as pyomo_version

import pyomo_j3o
from pyomo_j3o import library
from pyomo_j3o.certify.relaxation import relaxation_model
from pyomo_j3o.core.problem import Problem
from pyomo_j3o.lp import HighsBackend
from pyomo_j3o.modeling.compiler import compile_model
from pyomo_j3o.presolve.linearize import linearize

HERE = Path(__file__).parent
SEED = 7


def array_bytes(problem: Problem) -> int:
    """Return how much memory the arrays of a compiled problem take."""
    matrices = (problem.onloading_rows, problem.offloading_rows)
    vectors = (
        problem.row_lower,
        problem.row_upper,
        problem.onloading_objective,
        problem.offloading_objective,
    )
    bounds = (
        problem.onloading_lower,
        problem.onloading_upper,
        problem.offloading_lower,
        problem.offloading_upper,
    )
    total = sum(vector.nbytes for vector in (*vectors, *bounds))
    return total + sum(m.data.nbytes + m.indices.nbytes + m.indptr.nbytes for m in matrices)


def steps(clients: int, edges: int) -> dict:
    """Measure one instance, in a process of its own: its peak of memory is the solve's."""
    model = library.taskonomy(clients=clients, edges=edges, seed=SEED)
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    begin = time.perf_counter()
    results = SolverFactory("j3o").solve(
        model, lp_solver="highs", raise_exception_on_nonoptimal_result=False, load_solutions=False
    )
    whole = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    begin = time.perf_counter()
    problem = linearize(compile_model(model)[0]).problem
    compiled = time.perf_counter() - begin
    program = HighsBackend().open(relaxation_model(problem))
    begin = time.perf_counter()
    program.solve()
    relaxed = time.perf_counter() - begin
    program.close()
    timing = results.timing_info
    iterations = len(results.extra_info.trace)
    return {
        "clients": clients,
        "edges": edges,
        "nonzeros": problem.n_nonzeros,
        "unit": compiled + relaxed,
        "compile": compiled,
        "certify": timing.certify,
        "onload": timing.onload / iterations,
        "offload": timing.offload / iterations,
        "improve": timing.improve,
        "whole": whole,
        "gap": results.extra_info.relative_gap,
        "memory": (peak - before) / array_bytes(problem),
    }


def beside(clients: int, edges: int, droppable: bool) -> dict:
    """Solve one instance by j3o, then by HiGHS for the time that j3o took."""
    arguments = {"clients": clients, "edges": edges, "seed": SEED, "droppable": droppable}
    model = library.taskonomy(**arguments)
    begin = time.perf_counter()
    ours = SolverFactory("j3o").solve(model, lp_solver="highs", raise_exception_on_nonoptimal_result=False)
    seconds = time.perf_counter() - begin
    theirs = SolverFactory("highs").solve(
        library.taskonomy(**arguments),
        time_limit=seconds,
        rel_gap=1e-4,
        threads=1,
        raise_exception_on_nonoptimal_result=False,
        load_solutions=False,
    )
    return {
        "name": f"{clients} clients, {edges} edges, {'drop' if droppable else 'serve'}",
        "seconds": seconds,
        "ours": ours.incumbent_objective,
        "our_gap": ours.extra_info.relative_gap,
        "theirs": theirs.incumbent_objective,
        "their_bound": theirs.objective_bound,
    }


def alone(function, *arguments) -> dict:
    """Call a function in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def table(rows: list[dict], pairs: list[dict]) -> str:
    """Return both tables as Markdown."""
    lines = [
        "| clients | edges | nonzeros | compile | certify | one onloading step | one LP step | improve "
        "| whole solve | gap | memory |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        parts = " | ".join(
            f"{row[step] / row['unit']:.2f}"
            for step in ("compile", "certify", "onload", "offload", "improve")
        )
        lines.append(
            f"| {row['clients']} | {row['edges']} | {row['nonzeros']:,} | {parts} "
            f"| {row['whole'] / row['unit']:.1f} | {100 * row['gap']:.2f} % | {row['memory']:.1f} |"
        )
    by_clients = {row["clients"]: row for row in rows if row["clients"] == 10 * row["edges"]}
    if {100, 1000} <= set(by_clients):
        growth = by_clients[1000]["whole"] / by_clients[100]["whole"]
        lines += [
            "",
            f"From 100 to 1,000 clients, ten to an edge server, a solve takes {growth:.1f} times as long.",
        ]
    if pairs:
        lines += [
            "",
            "| instance | j3o | its gap | HiGHS, in j3o's time | its gap |",
            "|---|---:|---:|---:|---:|",
        ]
    for pair in pairs:
        theirs, bound = pair["theirs"], pair["their_bound"]
        known = theirs is not None and bound is not None and abs(bound) < 1e20
        gap = f"{100 * abs(bound - theirs) / max(abs(theirs), 1e-10):.2f} %" if known else "–"
        plan = f"{theirs:.5f}" if theirs is not None else "no plan"
        lines.append(
            f"| {pair['name']} | {pair['ours']:.5f} | {100 * pair['our_gap']:.2f} % | {plan} | {gap} |"
        )
    lines += [
        "",
        f"j3o {pyomo_j3o.__version__}, HiGHS {highspy.Highs().version()}, Pyomo {pyomo_version}, "
        f"Python {platform.python_version()}, {platform.machine()}, a shared machine with 2 cores.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write the page's tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clients", type=int, nargs="*", default=[10, 100, 1000])
    parser.add_argument("--beside", type=int, nargs="*", default=[100, 200])
    options = parser.parse_args()
    sizes = [(clients, max(clients // 10, 1)) for clients in options.clients]
    if 100 in options.clients:
        sizes.insert(options.clients.index(100) + 1, (100, 2))
    rows = []
    for size in sizes:
        rows.append(alone(steps, *size))
        print(rows[-1], flush=True)
    pairs = []
    for clients in options.beside:
        for edges in (clients // 50, clients // 10):
            for droppable in (False, True):
                pairs.append(alone(beside, clients, edges, droppable))
                print(pairs[-1], flush=True)
    text = table(rows, pairs)
    print(text)
    (HERE / "speed_table.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
