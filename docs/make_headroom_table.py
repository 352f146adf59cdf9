"""Write docs/headroom_table.md and docs/headroom.csv: late queries and headroom, instance by instance.

Run it from the root of the repository; it takes about ten minutes. Each of the thirty instances of
``windowed_instances`` is solved by ``j3o`` without headroom, its plan is played for ten minutes of Poisson
arrivals, and the smallest headroom on a grid is searched for that leaves at most 1 % of the batched queries
later than two windows. A solve is stopped at a gap of 0.5 % or after 10 s.

    python docs/make_headroom_table.py [--only NAME ...]
"""

from __future__ import annotations

import argparse
import math
import time

from make_quality_table import save
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.contrib.solver.common.results import TerminationCondition

from pyomo_j3o import library
from pyomo_j3o.simulation import Simulation, simulate
from pyomo_j3o.simulation.headroom import find_headroom

TARGET = 0.01
STEP = 0.05
HIGHEST = 0.95
HORIZON = 600.0
COLUMNS = [
    "instance",
    "window",
    "batched_per_second",
    "queries_per_window",
    "row",
    "utilisation",
    "late",
    "planned",
    "timely",
    "headroom",
    "late_with_headroom",
    "planned_with_headroom",
    "timely_with_headroom",
    "no_plan_from",
    "proven",
    "seconds",
]


class NoPlan(Exception):
    """There is no plan with this headroom, or none was found in time."""


class Plans:
    """Solved models of one instance by headroom, each solved once."""

    def __init__(self, arguments: dict):
        self.arguments = arguments
        self.models: dict[float, object] = {}
        self.without: dict[float, bool] = {}  # headroom without a plan: whether that is proven

    def __call__(self, headroom: float):
        """Return the model solved with this headroom."""
        # A plan with more headroom is one with less, too.
        if any(headroom >= h for h in self.without):
            raise NoPlan
        if headroom not in self.models:
            try:
                model = library.taskonomy(**self.arguments, headroom=headroom)
            except ValueError:  # No option is left for some demand.
                self.without[headroom] = True
                raise NoPlan from None
            results = SolverFactory("j3o").solve(
                model,
                rel_gap=0.005,
                time_limit=10,
                raise_exception_on_nonoptimal_result=False,
                load_solutions=False,
            )
            if results.incumbent_objective is None:
                infeasible = results.termination_condition is TerminationCondition.provenInfeasible
                self.without[headroom] = infeasible
                raise NoPlan
            results.solution_loader.load_vars()
            self.models[headroom] = model
        return self.models[headroom]

    def highest(self) -> float:
        """Return the largest headroom of the grid that has a plan, given that some has none."""
        low = round(max(self.models) / STEP)
        while (high := round(min(self.without) / STEP)) - low > 1:
            middle = (low + high) // 2
            try:
                self(round(middle * STEP, 10))
                low = middle
            except NoPlan:
                pass
        return round(low * STEP, 10)


def search(plans: Plans) -> tuple[Simulation, float, Simulation | None]:
    """Return the run without headroom, the headroom found (NaN if none is enough), and the run with it."""
    highest = HIGHEST
    while highest > 0:
        try:
            found = find_headroom(plans, TARGET, step=STEP, highest=highest, horizon=HORIZON)
            return found.simulations[0.0], found.headroom, found.simulation
        except NoPlan:
            highest = plans.highest()
        except ValueError:  # Still late at the highest headroom that has a plan.
            break
    return simulate(plans(0.0), horizon=HORIZON), math.nan, None


def measure(name: str, arguments: dict) -> dict:
    """Return a row of the table."""
    begin = time.perf_counter()
    plans = Plans(arguments)
    without, headroom, found = search(plans)
    fullest = max(without.windows.values(), key=lambda w: w.planned / w.length)
    batched = float(without.queries.batched.sum()) / HORIZON
    row = {
        "instance": name,
        "window": arguments["window"],
        "batched_per_second": batched,
        "queries_per_window": batched * arguments["window"] / arguments["edges"],
        "row": fullest.planned / fullest.length,
        "utilisation": fullest.utilisation,
        "late": without.share_late,
        "planned": without.planned_accuracy,
        "timely": without.timely_accuracy,
        "headroom": headroom,
    }
    if found is not None:
        row |= {
            "late_with_headroom": found.share_late,
            "planned_with_headroom": found.planned_accuracy,
            "timely_with_headroom": found.timely_accuracy,
        }
    if plans.without:
        row |= {"no_plan_from": min(plans.without), "proven": plans.without[min(plans.without)]}
    return row | {"seconds": time.perf_counter() - begin}


def line(row: dict) -> str:
    """Return a row as Markdown."""
    text = (
        f"| {row['instance'].removeprefix('taskonomy-')} | {row['window']:g} "
        f"| {row['queries_per_window']:.1f} "
        f"| {100 * row['row']:.0f} % | {100 * row['utilisation']:.0f} % | {100 * row['late']:.1f} % "
        f"| {row['planned']:.4f} "
    )
    if "late_with_headroom" not in row:
        what = "no plan" if row.get("proven", True) else "none found"
        return text + f"| {what} from {row.get('no_plan_from', HIGHEST):.2f} | | | |"
    cost = 100 * (row["planned"] - row["planned_with_headroom"])
    return text + (
        f"| {row['headroom']:.2f} | {100 * row['late_with_headroom']:.1f} % "
        f"| {row['planned_with_headroom']:.4f} | {cost:.1f} |"
    )


def table(rows: list[dict]) -> str:
    """Return the rows as Markdown, with a summary by length of the window."""
    lines = [
        "| instance | T_b, s | queries per window | row | utilisation | late | accuracy | headroom "
        "| late with it | accuracy with it | cost, points |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        *map(line, rows),
        "",
        "| T_b, s | instances | late, mean | late, worst | without need of headroom | headroom, median "
        "| cost, points, mean | no plan with enough headroom |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for window in sorted({row["window"] for row in rows}):
        here = [row for row in rows if row["window"] == window]
        late = [100 * row["late"] for row in here]
        met = [row for row in here if "late_with_headroom" in row]
        needed = sorted(row["headroom"] for row in met)
        costs = [100 * (row["planned"] - row["planned_with_headroom"]) for row in met]
        lines.append(
            f"| {window:g} | {len(here)} | {sum(late) / len(late):.1f} % | {max(late):.1f} % "
            f"| {sum(row['headroom'] == 0 for row in met)} | {_median(needed):.2f} "
            f"| {sum(costs) / max(len(costs), 1):.1f} | {len(here) - len(met)} |"
        )
    return "\n".join(lines) + "\n"


def _median(values: list[float]) -> float:
    half = len(values) // 2
    if not values:
        return math.nan
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2


def main() -> None:
    """Measure, print as it goes, and write the table and the figures behind it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="*", help="names of instances")
    options = parser.parse_args()
    rows = []
    for name, arguments in library.windowed_instances():
        if options.only and name not in options.only:
            continue
        rows.append(measure(name, arguments))
        print(f"{line(rows[-1])}   {rows[-1]['seconds']:.0f} s", flush=True)
    text = table(rows)
    print(text)
    if not options.only:
        save("headroom", text, COLUMNS, rows)


if __name__ == "__main__":
    main()
