"""Write docs/again_table.md: what solving again takes, beside a solve from nothing and Pyomo's own HiGHS.

Run it from the root of the repository; it takes some minutes. Loads move by up to 10 % each, one load moves
by 10 %, nothing changes, or all loads move and the placement is fixed. Each time `j3o_persistent` solves the
model that it holds, `j3o` a clone of it, and Pyomo's `highs`, which is persistent, the model that it holds,
to the gap of `j3o`. All start from the same figures. Times are of the processor, from the call to the loaded
values.

    python docs/make_again_table.py [--limit SECONDS] [--repeat N]
"""

from __future__ import annotations

import argparse
import gc
import math
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highspy
import numpy as np
import pyomo.environ as pyo
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.contrib.solver.common.util import NoFeasibleSolutionError
from pyomo.version import version as pyomo_version

import pyomo_j3o
from pyomo_j3o import library

HERE = Path(__file__).parent
OWN = {"lp_solver": "highs", "mip_solver": "highs"}

MODELS: dict[str, Callable[[], pyo.ConcreteModel]] = {
    f"Taskonomy, {clients} clients": lambda c=clients, e=edges: library.build_model(
        library.taskonomy_data(c, e, 0), mutable=True
    )
    for clients, edges in ((5, 1), (10, 2), (30, 3), (60, 4))
} | {
    f"DomainNet, {clients} clients": lambda c=clients, e=edges: library.build_model(
        library.domainnet_data(c, e, 0), mutable=True
    )
    for clients, edges in ((10, 2), (30, 3))
}

EDITS = ("all loads", "one load", "nothing", "all loads, placement fixed")


def edit(m: pyo.ConcreteModel, name: str, base: dict[Any, float], rng: np.random.Generator) -> None:
    """Change a model."""
    keys = list(base)
    if name == "one load":
        key = keys[int(rng.integers(len(keys)))]
        m.loads[key] = 1.1 * m.loads[key].value
    elif name != "nothing":
        for key in keys:
            m.loads[key] = base[key] * rng.uniform(0.9, 1.1)
    for x in m.place.x.values():
        x.unfix()
        if name.endswith("fixed"):
            x.fix(round(x.value))


def timed(opt: Any, m: pyo.ConcreteModel, limit: float, **given: Any) -> tuple[float, float, float]:
    """Solve a model; return processor seconds, objective and relative gap."""
    gc.collect()
    begin = time.process_time()
    try:
        results = opt.solve(
            m, threads=1, time_limit=limit, raise_exception_on_nonoptimal_result=False, **given
        )
    except NoFeasibleSolutionError:
        return time.process_time() - begin, math.nan, math.nan
    seconds = time.process_time() - begin
    objective, bound = results.incumbent_objective, results.objective_bound
    if objective is None:
        return seconds, math.nan, math.nan
    return seconds, objective, abs(bound - objective) / abs(objective)


def percent(gap: float) -> str:
    """Return a mean gap as text; solves that ended without a plan are not in it."""
    return f"{100 * gap:.2f} %" if math.isfinite(gap) else "no plan"


def measure(build: Callable[[], pyo.ConcreteModel], limit: float, repeat: int) -> dict[str, np.ndarray]:
    """Return per edit the mean times, objectives and gaps of the three, (3, 3)."""
    held, m = SolverFactory("j3o_persistent"), build()
    highs, for_highs = SolverFactory("highs"), build()
    base = {key: m.loads[key].value for key in m.loads}
    _, _, gap = timed(held, m, limit, **OWN)
    timed(highs, for_highs, limit, rel_gap=gap)
    found: dict[str, list[Any]] = {name: [] for name in EDITS}
    for turn in range(repeat):
        for name in EDITS:
            for model in (m, for_highs):
                edit(model, name, base, np.random.default_rng([turn, EDITS.index(name)]))
            again = timed(held, m, limit, **OWN)
            if name == "nothing" and turn == 0:
                again = timed(held, m, limit, **OWN)  # the unfixing before was a change
            cold = timed(SolverFactory("j3o"), m.clone(), limit, **OWN)
            beside = timed(highs, for_highs, limit, rel_gap=max(cold[2], 1e-6))
            found[name].append((again, cold, beside))
    return {name: np.nanmean(rows, axis=0) for name, rows in found.items()}


def main() -> None:
    """Measure, print as it goes, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--limit", type=float, default=60.0, help="time limit of every solve, s")
    parser.add_argument("--repeat", type=int, default=3, help="how often each edit is made")
    options = parser.parse_args()
    timed(SolverFactory("j3o_persistent"), library.small_example(), 60.0, **OWN)  # imports are nobody's time
    lines = [
        "| model | changed | again, s | from nothing, s | ratio | gaps | HiGHS again, s | gap |",
        f"|---|---|{'---:|' * 6}",
    ]
    ratios: dict[str, list[float]] = {name: [] for name in EDITS}
    for model, build in MODELS.items():
        found = measure(build, options.limit, options.repeat)
        # What a fixed placement saves is time against a solve that chooses one.
        found["all loads, placement fixed"][1] = found["all loads"][1]
        for name, rows in found.items():
            (again, _, gap), (cold, _, cold_gap), (beside, _, gap_beside) = rows
            ratios[name].append(again / cold)
            lines.append(
                f"| {model} | {name} | {again:.3f} | {cold:.2f} | {100 * again / cold:.1f} % "
                f"| {percent(gap)} / {percent(cold_gap)} | {beside:.2f} | {percent(gap_beside)} |"
            )
            print(lines[-1], flush=True)
    means = [f"{name} {100 * math.exp(np.mean(np.log(values))):.1f} %" for name, values in ratios.items()]
    lines += [
        "",
        f"Geometric means of the ratios: {', '.join(means)}.",
        "",
        f"Means of {options.repeat} changes; limit {options.limit:g} s. j3o {pyomo_j3o.__version__}, HiGHS "
        f"{highspy.Highs().version()}, Pyomo {pyomo_version}, Python {platform.python_version()}, "
        f"{platform.machine()}; seconds of the processor, one thread. HiGHS is asked for the gap of j3o from "
        "nothing.",
        "",
    ]
    (HERE / "again_table.md").write_text("\n".join(lines), encoding="utf-8")
    print(lines[-5])


if __name__ == "__main__":
    main()
