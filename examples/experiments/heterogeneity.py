"""What does it cost if clients are unequal?

Memory and processors of clients are spread: each client's budgets are multiplied by a lognormal factor of
mean 1, one factor for both, so that the fleet as a whole owns what it owned before. Systems are ours, drawn
from seeds around the published Taskonomy networks; queries may be dropped.

    python examples/experiments/heterogeneity.py [FOLDER] [--full]
"""

from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
from recording import (
    BASELINES,
    BLUE,
    OPEN_SOURCE,
    ORANGE,
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

SPREADS = (0.0, 0.25, 0.5, 1.0, 1.5)


def cases(full):
    """Each spread, for ten seeds; two spreads of one small system in small."""
    size = {"clients": 20, "edges": 2} if full else {"clients": 3, "edges": 1}
    return [
        {**size, "seed": seed, "spread": spread}
        for seed in range(10 if full else 1)
        for spread in (SPREADS if full else (1.0,))
    ]


def measure(case):
    """Solve, also by each baseline, and say where queries are answered."""
    spread = case["spread"]
    data = library.taskonomy_data(case["clients"], case["edges"], case["seed"])
    n = len(data.clients)
    drawn = np.exp(spread * np.random.default_rng(case["seed"]).standard_normal(n))
    factors = np.concatenate([drawn / drawn.mean(), np.ones(len(data.edges))])
    spread_out = replace(
        data, memory_budget=factors * data.memory_budget, compute_budget=factors * data.compute_budget
    )
    m = library.build_model(spread_out, droppable=True)
    results = pyo.SolverFactory("j3o").solve(m, **OPEN_SOURCE)
    shares = library.routing_table(m).rows[-1]
    return {
        "accuracy": pyo.value(m.mean_accuracy),
        "bound": results.problem.upper_bound,
        **{place: shares[place] for place in PLACES},
        **baselines(lambda: library.build_model(spread_out, droppable=True)),
    }


def _means(rows):
    return means(rows, "spread", ("accuracy", "bound", *PLACES, *BASELINES))


def table(rows):
    """Return a line for each spread, in the mean over seeds."""
    heads = ["spread σ", "accuracy", "proven bound", *PLACES, *BASELINES]
    return heads, [
        [f"{spread:g}", f"{mean['accuracy']:.4f}", f"{mean['bound']:.4f}"]
        + [f"{100 * mean[place]:.1f} %" for place in PLACES]
        + [f"{mean[name]:.3f}" for name in BASELINES]
        for spread, mean in _means(rows).items()
    ]


def draw(rows, figure):
    """Accuracy and places against the spread."""
    found = _means(rows)
    accuracy, places = axes_of(figure, 2, height=4.3)
    spreads = list(found)
    for key, colour, marker, label in (
        ("bound", ORANGE, "v", "proven bound"),
        ("accuracy", BLUE, "o", "j3o"),
    ):
        accuracy.plot(
            spreads, [mean[key] for mean in found.values()], color=colour, marker=marker, label=label
        )
    draw_baselines(accuracy, spreads, found.values())
    accuracy.set_ylabel("mean accuracy\n(dropped queries count as 0)")
    legend(accuracy, 4)
    draw_places(places, spreads, found.values())
    for ax in (accuracy, places):
        ax.set_xlabel("spread of clients' budgets, σ of the logarithm")


if __name__ == "__main__":
    main(__file__)
