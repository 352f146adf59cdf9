"""Write docs/controller_table.md and the pictures of docs/controller.md: policies over the recorded traces.

Run it from the root of the repository; it takes about fifteen minutes of one core.

    python docs/make_controller_pictures.py
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib

from pyomo_j3o import library
from pyomo_j3o.control import (
    POLICIES,
    Controlled,
    LastValue,
    ReplaceAlways,
    ReplaceWhenItPays,
    RerouteOnly,
    TrueLoads,
    control,
)
from pyomo_j3o.plotting import plot_control, plot_forecast_errors

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
#: Seeds of systems, none of which any constant was chosen on.
SEEDS = (902, 903)
ERRORS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
#: How many minutes are played with each of them.
MINUTES = 20
#: Where the coming minute is known, re-placing always is what the clairvoyant does.
KNOWING = tuple(policy for policy in POLICIES if not isinstance(policy, ReplaceAlways))
#: The policies that the errors are about; re-routing alone is what both have to beat.
BOTH = (RerouteOnly(), ReplaceWhenItPays(), ReplaceAlways())
TRACE = library.request_traces()


def system(seed: int) -> library.InferenceData:
    """Return the system of a seed: 10 clients, 2 edge servers."""
    return library.taskonomy_data(clients=10, edges=2, seed=seed)


def section(title: str, runs: list[Controlled]) -> list[str]:
    """Return a table of totals, a row per system and policy."""
    columns = ("accuracy", "of the clairvoyant's, %", "regret", "lost, %", "moves", "decisions, s/min")
    head = ("system", "policy", *columns)
    rows = [
        f"| {run.name} | {row['policy']} | {row['accuracy']:.4f} | {row['of clairvoyant %']:.2f} "
        f"| {row['regret']:.4f} | {row['lost %']:.2f} | {row['moves']} | {row['decide s'] / len(run):.2f} |"
        for run in runs
        for row in run.totals()
    ]
    return [f"### {title}", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows, ""]


def by_error(seed: int, known: Controlled) -> dict[float, Controlled]:
    """Return what policies deliver in the first minutes with forecasts of every error; the first is known."""
    loads = known.loads[:MINUTES]
    known.runs[ReplaceAlways().name] = known.runs[known.clairvoyant]
    names = [*(policy.name for policy in BOTH), known.clairvoyant]
    runs = {name: known.runs[name].until(MINUTES) for name in names}
    found = {0.0: replace(known, loads=loads, runs=runs)}
    for error in ERRORS[1:]:
        found[error] = control(system(seed), loads, BOTH, TrueLoads(), variance=error**2, seed=seed)
    return found


def main() -> None:
    """Write the table and the pictures."""
    exact = [control(system(seed), TRACE, KNOWING, TrueLoads(), seed=seed) for seed in SEEDS]
    lines = section("The coming minute's loads are known", exact)
    shown = [name for name in exact[0].runs if not name.startswith("solve every")]
    plot_control(exact[0], shown).savefig(HERE / "_static" / "controller.png", dpi=100)
    naive = [control(system(SEEDS[0]), exact[0].loads[:MINUTES], BOTH, LastValue())]
    lines += section(f"The first {MINUTES} minutes, the last minute's loads are expected", naive)
    errors = by_error(SEEDS[0], exact[0])
    for error in ERRORS:
        title = f"The first {MINUTES} minutes, forecasts with errors of {100 * error:.0f} %"
        lines += section(title, [errors[error]])
    axes = plot_forecast_errors(errors, [policy.name for policy in BOTH])
    axes.figure.savefig(HERE / "_static" / "controller_errors.png", dpi=100)
    plt.close("all")
    (HERE / "controller_table.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
