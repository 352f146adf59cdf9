"""How does the batching window shape a plan, and what do errors of the set-up times cost?

The question of Fig. 7 in arXiv 2508.13380, and its open question on errors of ν. A short window leaves an
edge server little time for set-ups and drives queries to the clients; windows go to extremes here. Every plan
is then played query by query, with true set-up times from half to one and a half times the planned ones.
Systems are ours, drawn from seeds around the published Taskonomy networks.

    python examples/experiments/window.py [FOLDER] [--full]
"""

import numpy as np
import pyomo.environ as pyo
from recording import BLUE, GREEN, OPEN_SOURCE, ORANGE, PLACES, axes_of, draw_places, legend, main, means

from pyomo_j3o import library
from pyomo_j3o.simulation import simulate

WINDOWS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 20.0)
ERRORS = (-0.5, -0.25, 0.0, 0.25, 0.5)
HEADROOM = 0.15


def cases(full):
    """Each window, for five seeds; two windows of one small system in small."""
    size = {"clients": 8, "edges": 1} if full else {"clients": 3, "edges": 1}
    windows = WINDOWS if full else (0.02, 0.5)
    return [{**size, "seed": s, "window": w} for s in range(5 if full else 1) for w in windows]


def measure(case):
    """Solve by BAJ3O, and play the plan with every error, without headroom and with some."""
    found = {}
    for headroom in (0.0, HEADROOM):
        m = library.taskonomy(droppable=True, headroom=headroom, **case)
        pyo.SolverFactory("j3o.baj3o").solve(m, **OPEN_SOURCE)
        if headroom == 0:
            shares = library.routing_table(m).rows[-1]
            found = {"accuracy": pyo.value(m.mean_accuracy), **{place: shares[place] for place in PLACES}}
        horizon = max(120.0, 20 * case["window"])
        for error in ERRORS:
            run = simulate(m, setup_error=error, horizon=horizon, tee=False)
            key = f"late {headroom:g} {error:g}"
            found[key] = float(run.share_late) if run.queries.batched.any() else None
    return found


def _means(rows):
    late = [key for key in rows[0] if key.startswith("late ")]
    return means(rows, "window", ("accuracy", *PLACES, *late))


def _said(error):
    return f"{error:+.0%}".replace("%", " %") if error else "as planned"


def table(rows):
    """Return a line for each window, in the mean over seeds."""
    heads = ["T_b, s", "accuracy", *PLACES]
    heads += [f"late, ν {_said(error)}" for error in ERRORS]
    lines = []
    for window, mean in _means(rows).items():
        late = [mean[f"late {HEADROOM:g} {error:g}"] for error in ERRORS]
        lines.append(
            [f"{window:g}", f"{mean['accuracy']:.4f}"]
            + [f"{100 * mean[place]:.1f} %" for place in PLACES]
            + ["-" if np.isnan(share) else f"{100 * share:.1f} %" for share in late]
        )
    return heads, lines


def draw(rows, figure):
    """Accuracy, places, and late answers against the window."""
    found = _means(rows)
    accuracy, places, late = axes_of(figure, 3)
    windows = list(found)
    accuracy.plot(windows, [mean["accuracy"] for mean in found.values()], color=BLUE, marker="o")
    accuracy.set_ylabel("mean accuracy\n(dropped queries count as 0)")
    draw_places(places, windows, found.values())
    styles = {-0.5: (GREEN, ":"), 0.0: (BLUE, "-"), 0.5: (ORANGE, "-")}
    for error, (colour, style) in styles.items():
        for headroom, marker in ((0.0, "v"), (HEADROOM, "^")):
            shares = [100 * mean[f"late {headroom:g} {error:g}"] for mean in found.values()]
            label = f"true ν {_said(error)}, headroom {headroom:.0%}"
            fill = colour if headroom else "none"
            late.plot(windows, shares, color=colour, ls=style, marker=marker, mfc=fill, label=label)
    late.set_ylabel("batched queries later than 2·T_b (%)")
    legend(late, 2)
    for ax in (accuracy, places, late):
        ax.set_xscale("log")
        ax.set_xticks(windows, [f"{window:g}" for window in windows], fontsize=7)
        ax.minorticks_off()
        ax.set_xlabel("batching window T_b (s)")


if __name__ == "__main__":
    main(__file__)
