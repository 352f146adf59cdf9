"""What is left when uplinks to the cloud shrink, and where does the plan collapse to the devices?

The stress test of arXiv 2508.13380: the uplink budgets κ shrink until only local execution is left. Systems
are ours, drawn from seeds around the published Taskonomy networks; queries may be dropped, so that every
budget has a plan. Beside the plans stand "full local", which is what is left without any uplink, and the
baselines.

    python examples/experiments/communication.py [FOLDER] [--full]
"""

import pyomo.environ as pyo
from recording import (
    BASELINES,
    BLACK,
    BLUE,
    OPEN_SOURCE,
    PLACES,
    axes_of,
    baselines,
    draw_baselines,
    draw_places,
    legend,
    main,
    means,
)

from pyomo_j3o import library

FACTORS = (2.0, 1.0, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.0)


def cases(full):
    """Each factor of the uplinks, for ten seeds; for one small system in small."""
    size = {"clients": 10, "edges": 2} if full else {"clients": 3, "edges": 1}
    factors = FACTORS if full else (1.0, 0.0)
    return [{**size, "seed": s, "uplink": f} for s in range(10 if full else 1) for f in factors]


def measure(case):
    """Solve, also by each baseline, and say where queries are answered."""
    m = library.taskonomy(droppable=True, **case)
    pyo.SolverFactory("j3o").solve(m, **OPEN_SOURCE)
    shares = library.routing_table(m).rows[-1]
    found = {"accuracy": pyo.value(m.mean_accuracy), **{place: shares[place] for place in PLACES}}
    return found | baselines(lambda: library.taskonomy(droppable=True, **case))


def _means(rows):
    return means(rows, "uplink", ("accuracy", *PLACES, *BASELINES))


def table(rows):
    """Return a line for each factor, in the mean over seeds."""
    found = _means(rows)
    heads = ["uplinks", "accuracy", *PLACES, *BASELINES]
    return heads, [
        [f"{f:g}", f"{mean['accuracy']:.4f}"]
        + [f"{100 * mean[place]:.1f} %" for place in PLACES]
        + [f"{mean[name]:.3f}" for name in BASELINES]
        for f, mean in found.items()
    ]


def draw(rows, figure):
    """Accuracy and places against the factor."""
    found = _means(rows)
    accuracy, places = axes_of(figure, 2, height=4.3)
    factors = list(found)
    at = range(len(factors))
    accuracy.plot(at, [mean["accuracy"] for mean in found.values()], color=BLUE, marker="o", label="j3o")
    local = found[min(factors)]["accuracy"]
    accuracy.axhline(local, color=BLACK, ls="--", label="full local")
    draw_baselines(accuracy, at, found.values())
    accuracy.set_ylabel("mean accuracy\n(dropped queries count as 0)")
    legend(accuracy, 4)
    draw_places(places, at, found.values())
    for ax in (accuracy, places):
        ax.set_xticks(at, [f"{factor:g}" for factor in factors], fontsize=8)
        ax.set_xlabel("uplink budgets, as a factor of the drawn ones")


if __name__ == "__main__":
    main(__file__)
