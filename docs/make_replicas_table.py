"""Write docs/replicas_table.md: models with replicas of the default size, beside HiGHS on the same models.

Run it from the root of the repository; it takes some minutes. `j3o` solves each model, and Pyomo's `highs`
solves it to the gap that `j3o` has proven, directly after it. `highs` gets a multiple of the time that `j3o`
took by the clock, and more until it has used three times as much of the processor. Times are of the
processor, from the call to the loaded values.

    python docs/make_replicas_table.py [--times FACTOR] [--seeds FIRST LAST]

Constants were chosen on seeds 100 to 119; the table is of seeds 0 to 19.
"""

from __future__ import annotations

import argparse
import gc
import math
import platform
import time
from dataclasses import dataclass
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

#: Relative gap that the plans are to have, and the share of HiGHS's time in which.
CLOSE, SHARE = 0.005, 1 / 3


@dataclass(frozen=True)
class Solved:
    """What one solver did to one model.

    Attributes
    ----------
    seconds, clock
        Of the processor, and by the clock.
    objective, bound
        Maximised.
    """

    seconds: float
    clock: float
    objective: float
    bound: float

    @property
    def gap(self) -> float:
        """Return the relative gap; inf without a plan."""
        return abs(self.bound - self.objective) / abs(self.objective) if self.objective else math.inf


def solved(name: str, m: pyo.ConcreteModel, **options: Any) -> Solved:
    """Solve a model by a solver."""
    gc.collect()
    clock, begin = time.perf_counter(), time.process_time()
    try:
        found = SolverFactory(name).solve(m, threads=1, raise_exception_on_nonoptimal_result=False, **options)
        objective, bound = found.incumbent_objective, found.objective_bound
    except NoFeasibleSolutionError:
        objective, bound = 0.0, math.inf
    return Solved(time.process_time() - begin, time.perf_counter() - clock, objective, bound)


def measured(seed: int, times: float) -> tuple[Solved, Solved]:
    """Return what `j3o` and HiGHS did to one model."""
    own = solved("j3o", library.replicas(seed=seed), **OWN)
    rel_gap = max(own.gap, 1e-6)
    limit = times * own.clock
    beside = solved("highs", library.replicas(seed=seed), rel_gap=rel_gap, time_limit=limit)
    # By the clock, the solver may have had less of the processor than others on the machine.
    while not reached(own, beside) and beside.seconds * SHARE < own.seconds:
        limit *= 2.0
        beside = solved("highs", library.replicas(seed=seed), rel_gap=rel_gap, time_limit=limit)
    return own, beside


def reached(own: Solved, beside: Solved) -> bool:
    """Return whether HiGHS has come to the gap of `j3o`."""
    return beside.gap <= own.gap * (1 + 1e-6) + 1e-6


def line(seed: int, own: Solved, beside: Solved) -> str:
    """Return a row of the table."""
    done = reached(own, beside)
    best_bound, best_plan = min(own.bound, beside.bound), max(own.objective, beside.objective)
    ratio = f"{own.seconds / beside.seconds:.2f}" if done else f"< {own.seconds / beside.seconds:.2f}"
    return (
        f"| {seed} | {own.seconds:.2f} | {100 * own.gap:.2f} % "
        f"| {100 * (best_plan - own.objective) / best_plan:.2f} to "
        f"{100 * (best_bound - own.objective) / best_bound:.2f} % "
        f"| {'' if done else '> '}{beside.seconds:.1f} | {100 * beside.gap:.2f} % "
        f"| {100 * (beside.objective - own.objective) / own.objective:+.2f} % | {ratio} |"
    )


def summary(rows: list[tuple[Solved, Solved]]) -> str:
    """Return what the table says in all."""
    gaps = np.array([own.gap for own, _ in rows])
    away = np.array([1 - own.objective / min(own.bound, beside.bound) for own, beside in rows])
    ratio = np.array([own.seconds / beside.seconds for own, beside in rows])
    seconds = np.array([own.seconds for own, _ in rows])
    close = f"{100 * CLOSE:g} %"
    return (
        f"`j3o` took {seconds.min():.1f} to {seconds.max():.1f} s, {seconds.mean():.1f} s on average. It "
        f"proved a gap of {close} or less on {np.sum(gaps <= CLOSE)} of {len(rows)} models; the gap is "
        f"{100 * gaps.mean():.2f} % on average and {100 * gaps.max():.2f} % at most. By the better one of "
        f"both bounds, its plan is within {close} of the best one on {np.sum(away <= CLOSE)}. It took at "
        f"most a third of the time that HiGHS needs to the same gap on {np.sum(ratio <= SHARE)}."
    )


def main() -> None:
    """Measure, print as it goes, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=float, default=4.0, help="clock time of HiGHS, in that of j3o")
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 19), help="of the models, first and last")
    options = parser.parse_args()
    for name in ("j3o", "highs"):
        solved(name, library.small_example())  # imports are nobody's time
    lines = [
        "| seed | j3o, s | its gap | best plan is better by | HiGHS to that gap, s | gap then | its plan "
        "| ratio |",
        f"|{'---:|' * 8}",
    ]
    rows = []
    for seed in range(options.seeds[0], options.seeds[1] + 1):
        rows.append(measured(seed, options.times))
        lines.append(line(seed, *rows[-1]))
        print(lines[-1], flush=True)
    lines += [
        "",
        summary(rows),
        "",
        f"HiGHS ended after {options.times:g} times the clock time of `j3o` or more: that is marked `>`. j3o "
        f"{pyomo_j3o.__version__}, HiGHS {highspy.Highs().version()}, Pyomo {pyomo_version}, Python "
        f"{platform.python_version()}, {platform.machine()}; seconds of the processor, one thread.",
        "",
    ]
    (HERE / "replicas_table.md").write_text("\n".join(lines), encoding="utf-8")
    print(lines[-4])


if __name__ == "__main__":
    main()
