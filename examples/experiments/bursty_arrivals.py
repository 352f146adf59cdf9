"""How much headroom do bursts need?

A plan is made from mean rates. Here it is played with Poisson arrivals and with bursts of 5 s at two, three
and five times the mean rate, of the same mean. Systems are ours, drawn from seeds around the published
Taskonomy networks, with a window of 0.2 s.

    python examples/experiments/bursty_arrivals.py [FOLDER] [--full]
"""

import pyomo.environ as pyo
from recording import LINES, OPEN_SOURCE, axes_of, legend, main, means

from pyomo_j3o import library
from pyomo_j3o.simulation import MMPP, Poisson, simulate

PEAKS = (1, 2, 3, 5)
HEADROOM = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6)


def cases(full):
    """Each headroom, for five seeds; two of one small system in small."""
    size = {"clients": 8, "edges": 1} if full else {"clients": 3, "edges": 1}
    return [
        {**size, "seed": seed, "headroom": headroom, "horizon": 600 if full else 60}
        for seed in range(5 if full else 1)
        for headroom in (HEADROOM if full else (0.0, 0.3))
    ]


def measure(case):
    """Solve, and play the plan with each kind of arrivals."""
    system = {key: case[key] for key in ("clients", "edges", "seed", "headroom")}
    m = library.taskonomy(droppable=True, window=0.2, **system)
    pyo.SolverFactory("j3o").solve(m, **OPEN_SOURCE)
    found = {"planned": pyo.value(m.mean_accuracy)}
    for peak in PEAKS:
        arrivals = Poisson() if peak == 1 else MMPP(peak=peak, burst=5, calm=5 * (peak + 2))
        run = simulate(m, arrivals, horizon=case["horizon"], tee=False)
        found[f"late {peak}"] = float(run.share_late)
        found[f"timely {peak}"] = float(run.timely_accuracy)
    return found


def _means(rows):
    figures = [key for key in rows[0] if key.startswith(("planned", "late", "timely"))]
    return means(rows, "headroom", figures)


def _name(peak):
    return "Poisson" if peak == 1 else f"bursts ×{peak}"


def table(rows):
    """Return a line for each headroom: late queries, and the accuracy if late answers count as 0."""
    heads = ["headroom", "planned", *(f"late, {_name(p)}" for p in PEAKS)]
    heads += [f"in time, {_name(p)}" for p in PEAKS]
    return heads, [
        [f"{headroom:.0%}".replace("%", " %"), f"{mean['planned']:.4f}"]
        + [f"{100 * mean[f'late {p}']:.1f} %" for p in PEAKS]
        + [f"{mean[f'timely {p}']:.4f}" for p in PEAKS]
        for headroom, mean in _means(rows).items()
    ]


def draw(rows, figure):
    """Late queries and timely accuracy against headroom, a line for each kind of arrivals."""
    found = _means(rows)
    late, timely = axes_of(figure, 2)
    headroom = [100 * h for h in found]
    for peak, colour, marker in zip(PEAKS, LINES, "osv^", strict=False):
        for ax, kind, factor in ((late, "late", 100), (timely, "timely", 1)):
            values = [factor * mean[f"{kind} {peak}"] for mean in found.values()]
            ax.plot(headroom, values, color=colour, marker=marker, ms=5, label=_name(peak))
    late.set_ylabel("batched queries later than 2·T_b (%)")
    timely.set_ylabel("mean accuracy\n(late answers count as 0)")
    for ax in (late, timely):
        ax.set_xlabel("headroom: share of each window kept free (%)")
        legend(ax, 4)


if __name__ == "__main__":
    main(__file__)
