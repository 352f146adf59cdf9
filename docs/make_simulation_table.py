"""Write docs/simulation_table.md and a picture: plans for several windows, played as planned and otherwise.

Run it from the root of the repository; it takes about three minutes.

    python docs/make_simulation_table.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pyomo.environ as pyo

from pyomo_j3o import library
from pyomo_j3o.plotting import plot_backlog, plot_latency
from pyomo_j3o.simulation import MMPP, Recorded, Simulation, simulate
from pyomo_j3o.simulation.headroom import find_headroom

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
WINDOWS = (0.05, 0.1, 0.2, 0.5, 1.0)
HORIZON = 1200.0
#: The window, s, whose plans the picture shows.
SHOWN = 0.2
#: Forward latency in ms of VGG16 on a TITAN X (Pascal) by batch size, and the least-squares line through all
#: published batch sizes up to 32: github.com/uwsampl/nexus, tests/data/model_db/profiles, commit
#: b436191c2f006e59ec523d5e5a575a128294345e (BSD-style licence of the University of Washington).
VGG16 = {1: 6.277, 2: 14.499, 3: 18.180, 4: 20.551, 5: 20.461, 6: 22.774, 8: 28.768, 12: 42.767, 16: 54.158}
VGG16 |= {24: 81.421, 32: 106.978, 44: 148.737}
VGG16_LINE = (4.864, 3.188)
#: Requests per minute of a conversation service, without the last minute, which is incomplete: counted from
#: AzureLLMInferenceTrace_conv.csv of github.com/Azure/AzurePublicDataset, commit
#: b469a113cedca53ddc3bdea71a143dc4b7d8700c (CC-BY 4.0; Patel et al., "Splitwise", ISCA 2024).
CONVERSATIONS = [
    *(191, 265, 329, 353, 307, 273, 268, 261, 322, 298, 301, 302, 345, 326, 283, 279, 280, 308, 343, 351),
    *(351, 343, 408, 396, 386, 398, 432, 480, 476, 453, 448, 507, 438, 413, 423, 418, 465, 311, 329, 316),
    *(333, 355, 319, 360, 334, 375, 330, 249, 221, 249, 265, 280, 256, 254, 242, 260, 246, 225),
]


def solved(window: float, headroom: float) -> pyo.ConcreteModel:
    """Return the system with this window and headroom, solved."""
    model = library.taskonomy(20, 2, seed=115, droppable=True, window=window, headroom=headroom)
    pyo.SolverFactory("j3o").solve(model, time_limit=20)
    return model


def curved(data: library.InferenceData):
    """Return a latency that strays from each model's line as VGG16's measurements stray from theirs."""
    times = {edge: data.batch_times(edge) for edge in data.windows}
    budget = dict(zip(data.nodes, data.compute_budget, strict=True))
    sizes, measured = np.array(list(VGG16)), np.array(list(VGG16.values()))

    def latency(edge: str, model: str, batch: int) -> float:
        setup, per_query = times[edge]
        factor = np.interp(batch, sizes, measured / (VGG16_LINE[0] + VGG16_LINE[1] * sizes))
        # The simulation divides by the compute budget, which batch_times has done already.
        return float(factor * (setup[model] + per_query[model] * batch) * budget[edge])

    return latency


def row(window: float, headroom: float, model: pyo.ConcreteModel) -> str:
    """Return a line of the table: late shares of one plan under each condition."""
    data = model.data
    recording = Recorded(CONVERSATIONS, interval=60)
    conditions = (
        {},
        {"setup_error": -0.5},
        {"setup_error": 0.5},
        {"latency": curved(data)},
        {"arrivals": MMPP(peak=3, burst=5, calm=15)},
        {"arrivals": recording, "horizon": recording.duration},
    )
    runs = [simulate(model, **{"horizon": HORIZON, **condition}) for condition in conditions]
    first = runs[0]
    filled = " / ".join(f"{w.planned / w.length:.2f}" for w in first.windows.values())
    worked = " / ".join(f"{w.utilisation:.2f}" for w in first.windows.values())
    late = " | ".join(f"{100 * run.share_late:.1f} %" for run in runs)
    accuracies = f"{first.planned_accuracy:.4f} | {first.timely_accuracy:.4f}"
    return f"| {window:g} | {headroom:.2f} | {filled} | {worked} | {accuracies} | {late} |"


def draw(runs: dict[float, Simulation]) -> None:
    """Draw latency and backlog with each headroom, one above the other."""
    figure, axes = plt.subplots(len(runs), 2, figsize=(10.5, 3.6 * len(runs)), layout="constrained")
    longest = max(np.percentile(run.latencies(level="edge"), 99.5) for run in runs.values())
    for (headroom, run), (left, right) in zip(sorted(runs.items()), axes, strict=True):
        plot_latency(run, left, level="edge")
        left.set_xlim(0, longest)
        left.set_title(f"headroom {headroom:g}: {100 * run.share_late:.1f} % late", loc="left")
        plot_backlog(run, right)
    figure.savefig(HERE / "_static" / "simulation.png", dpi=110)


def main() -> None:
    """Solve, play, write."""
    header = [
        "| $T_b$, s | headroom | row | utilisation | planned | in time | late, as planned "
        "| ν −50 % | ν +50 % | VGG16's curve | bursts | recorded |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    without, with_headroom = [], []
    for window in WINDOWS:
        kept = {}

        def solve(headroom: float, window: float = window, kept: dict = kept) -> pyo.ConcreteModel:
            kept[headroom] = solved(window, headroom)
            return kept[headroom]

        found = find_headroom(solve, target=0.01, horizon=HORIZON)
        print(f"window {window:g} s\n{found}\n", flush=True)
        without.append(row(window, 0.0, kept[0.0]))
        with_headroom.append(row(window, found.headroom, kept[found.headroom]))
        if window == SHOWN:
            draw({headroom: found.simulations[headroom] for headroom in (0.0, found.headroom)})
    text = [
        *("Without headroom:", "", *header, *without, ""),
        *("With the smallest headroom that keeps 99 % of the batched queries in time as planned:", ""),
        *(*header, *with_headroom, ""),
    ]
    (HERE / "simulation_table.md").write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
