"""Write docs/location_table.md: location models of the sizes of published sets, j3o beside HiGHS.

Run it from the root of the repository; it takes about a quarter of an hour. HiGHS gets the compiled arrays,
so that none of its time is Pyomo's; j3o's time is that of the whole call. Times are of the processor, so that
other work on the machine does not count.

    python docs/make_location_table.py [--limit SECONDS] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import io
import math
import platform
import time
from pathlib import Path

import highspy
import numpy as np
from pyomo.contrib.solver.common.factory import SolverFactory

import pyomo_j3o
from pyomo_j3o import library
from pyomo_j3o.certify.relaxation import whole_model
from pyomo_j3o.lp.highs import QuietHighs, pass_model
from pyomo_j3o.modeling.compiler import compile_model
from pyomo_j3o.presolve.linearize import linearize

HERE = Path(__file__).parent


def _equal(sites: int, customers: int, seed: int):
    return lambda: library.facility_location(sites, customers, seed, style="equal")


def _spread(sites: int, customers: int, seed: int, tightness: float):
    return lambda: library.facility_location(sites, customers, seed, tightness=tightness)


#: Name → builder, and how near the optimum a plan has to be.
MODELS = (
    {
        f"capacitated, equal sites, {i}×{j}, seed {seed}": (_equal(i, j, seed), 0.005)
        for i, j, seed in ((16, 50, 0), (25, 50, 1), (50, 50, 2), (50, 50, 3), (100, 1000, 4))
    }
    | {
        f"capacitated, {i}×{j}, seed {seed}": (_spread(i, j, seed, tightness), 0.005)
        for i, j, seed, tightness in (
            (16, 50, 0, 0.3),
            (25, 100, 1, 0.5),
            (50, 100, 2, 0.3),
            (50, 200, 3, 0.15),
            (100, 200, 4, 0.2),
            (100, 500, 5, 0.1),
            (100, 1000, 6, 0.2),
        )
    }
    | {
        f"two-stage, {i}/{k}/{j}, seed {seed}": (
            lambda i=i, k=k, j=j, s=seed: library.two_stage(i, k, j, s),
            0.01,
        )
        for i, k, j, seed in ((20, 40, 80, 1), (50, 100, 200, 2), (50, 100, 200, 3))
    }
    | {
        f"p-median, {n} of {n}, p={p}, seed {seed}": (
            lambda n=n, p=p, s=seed: library.p_median(n, n, p, s),
            0.005,
        )
        for n, p, seed in ((100, 10, 0), (200, 20, 1), (300, 30, 2))
    }
    | {
        f"maximal covering, {i}×{j}, seed {seed}": (
            lambda i=i, j=j, s=seed: library.maximal_covering(i, j, p=i // 25, seed=s, radius=0.08),
            0.005,
        )
        for i, j, seed in ((100, 500, 0), (250, 1000, 1), (500, 2000, 2))
    }
)


def highs(model, limit: float) -> dict:
    """Return objective, bound and processor seconds of HiGHS to a gap of 1e-4, and its plans on the way."""
    problem = linearize(compile_model(model)[0]).problem
    solver = QuietHighs()
    for name, value in (("output_flag", False), ("threads", 1), ("mip_rel_gap", 1e-4)):
        solver.setOptionValue(name, value)
    start, plans, states = time.process_time(), [], []

    def improved(event) -> None:
        plans.append((time.process_time() - start, event.data_out.objective_function_value))

    def watched(event) -> None:
        seconds = time.process_time() - start
        states.append((seconds, event.data_out.mip_primal_bound, event.data_out.mip_dual_bound))
        if seconds > limit:
            event.interrupt()

    solver.cbMipImprovingSolution.subscribe(improved)
    solver.cbMipInterrupt.subscribe(watched)
    pass_model(solver, whole_model(problem), integer=True)
    solver.run()
    total, info = time.process_time() - start, solver.getInfo()
    states.append((total, info.objective_function_value, info.mip_dual_bound))
    return {
        "objective": -problem.sense * info.objective_function_value,
        "bound": -problem.sense * info.mip_dual_bound,
        "plans": [(seconds, -problem.sense * value) for seconds, value in plans],
        "closed": lambda gap: next(
            (seconds for seconds, a, b in states if math.isfinite(a) and abs(a - b) <= gap * abs(a)), math.inf
        ),
        "total": total,
        "proven": total <= limit,
        "sense": problem.sense,
    }


class Incumbents(io.StringIO):
    """Reads the log while it is written, and notes the processor's time of each incumbent in it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[float, float]] = []

    def write(self, text: str) -> int:
        """Take over one line; those of the table end in incumbent, bound, gap and time."""
        cells = text.split()
        if len(cells) >= 4 and cells[-2].endswith("%") and cells[-1].endswith("s"):
            self.seen.append((time.process_time(), float(cells[-4])))
        return len(text)


def measure(name: str, limit: float) -> dict:
    """Solve one model by both."""
    build, near = MODELS[name]
    m, log = build(), Incumbents()
    start = time.process_time()
    ours = SolverFactory("j3o").solve(m, lp_solver="highs", mip_solver="highs", tee=log)
    seconds = time.process_time() - start
    theirs = highs(m, limit)
    best = theirs["objective"]
    if not theirs["proven"] and theirs["sense"] * (ours.incumbent_objective - best) > 0:
        best = ours.incumbent_objective
    reached = theirs["sense"] * best - near * abs(best)
    first = next((s for s, v in theirs["plans"] if theirs["sense"] * v >= reached), math.inf)
    if not theirs["proven"]:
        first = min(first, theirs["total"])
    found = next((at - start for at, value in log.seen if theirs["sense"] * value >= reached), seconds)
    bound = ours.objective_bound
    assert theirs["sense"] * (bound - best) >= -1e-6 * abs(best), f"{name}: the bound {bound} is wrong"
    return {
        "name": name,
        "near": near,
        "lost": theirs["sense"] * (best - ours.incumbent_objective) / abs(best),
        "gap": ours.extra_info.relative_gap,
        "ours": seconds,
        "found": found,
        "first": first,
        "closed": min(theirs["closed"](near), theirs["total"]),
        "total": theirs["total"],
        "proven": theirs["proven"],
    }


def line(row: dict) -> str:
    """Return a line of the table."""
    total = f"{row['total']:.2f}" if row["proven"] else f"> {row['total']:.0f}"
    return (
        f"| {row['name']} | {100 * row['lost']:z.2f} % | {100 * row['gap']:.2f} % | {row['found']:.2f} | "
        f"{row['ours']:.2f} | {row['first']:.2f} | {row['closed']:.2f} | {total} "
        f"| {100 * row['found'] / row['first']:.0f} % | {100 * row['ours'] / row['closed']:.0f} % |"
    )


def summary(rows: list[dict], which: str) -> str:
    """Return what the rows of one kind say together."""
    of = [row for row in rows if row["name"].startswith(which)]
    if not of:
        return ""
    near = of[0]["near"]
    inside = sum(row["lost"] <= near for row in of)
    text = (
        f"- **{which}**: {inside} of {len(of)} plans within {100 * near:g} %, "
        f"{100 * max(row['lost'] for row in of):z.2f} % at worst."
    )
    for what, mine, theirs in (
        ("First near plan", "found", "first"),
        ("The whole call, over HiGHS's proof", "ours", "closed"),
    ):
        shares = np.array([row[mine] / row[theirs] for row in of])
        total = sum(row[mine] for row in of), sum(row[theirs] for row in of)
        long = shares[[row[theirs] > 1 for row in of]]
        after = ""
        if 0 < len(long) < len(of):
            after = f", {100 * long.mean():.0f} % over the {len(long)} where HiGHS needs more than a second"
        text += (
            f" {what}: {100 * shares.mean():.0f} % of its time on average, "
            f"{100 * np.median(shares):.0f} % in the median"
            f"{after}; in sum {total[0]:.1f} s against {total[1]:.1f} s."
        )
    return text


def main() -> None:
    """Measure, print as it goes, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--limit", type=float, default=200.0, help="processor seconds for HiGHS")
    parser.add_argument("--only", nargs="*", help="parts of names")
    options = parser.parse_args()
    lines = [
        "| model | lost | gap | j3o, near plan, s | j3o, whole, s | HiGHS, near plan, s | its proof, s "
        "| gap of 0.01 %, s | near plans | whole over proof |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    rows = []
    for name in MODELS:
        if options.only and not any(part in name for part in options.only):
            continue
        rows.append(measure(name, options.limit))
        lines.append(line(rows[-1]))
        print(lines[-1], flush=True)
    lines.append("")
    kinds = ("capacitated", "two-stage", "p-median", "maximal covering")
    lines += [text for kind in kinds if (text := summary(rows, kind))]
    lines += [
        "",
        f"j3o {pyomo_j3o.__version__}, HiGHS {highspy.Highs().version()}, "
        f"Python {platform.python_version()}, {platform.machine()}; seconds of the processor, one thread.",
    ]
    print("\n".join(lines))
    if not options.only:
        (HERE / "location_table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
