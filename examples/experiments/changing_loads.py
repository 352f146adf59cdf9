"""Loads change every minute: which policy delivers what, and how many models does it move?

The paper's open question on loads that change or are misjudged. Systems are ours, drawn from seeds around the
published Taskonomy networks; loads follow the recorded minutes of two production services.

    python examples/experiments/changing_loads.py [FOLDER] [--full]
"""

from recording import LINES, axes_of, legend, main, means

from pyomo_j3o import library
from pyomo_j3o.control import (
    ReplaceAlways,
    ReplaceWhenItPays,
    RerouteOnly,
    SolveOnce,
    TrueLoads,
    client_loads,
    control,
)

ERRORS = (0.0, 0.1, 0.25, 0.5)


def cases(full):
    """Errors of the forecast, for three seeds; two minutes of one small system in small."""
    size = {"clients": 5, "edges": 1} if full else {"clients": 2, "edges": 1}
    return [
        {**size, "seed": seed, "error": error, "minutes": 30 if full else 2}
        for seed in range(3 if full else 1)
        for error in (ERRORS if full else (0.25,))
    ]


def measure(case):
    """Play all policies; the forecast is the truth times a random error."""
    data = library.taskonomy_data(case["clients"], case["edges"], case["seed"])
    loads = client_loads(data, library.request_traces(), seed=case["seed"])[: case["minutes"]]
    policies = [SolveOnce(), RerouteOnly(), ReplaceWhenItPays(price=0.02), ReplaceAlways()]
    variance = case["error"] ** 2
    played = control(data, loads, policies, forecast=TrueLoads(), variance=variance, seed=case["seed"])
    return {row["policy"]: [row["of clairvoyant %"], row["moves"]] for row in played.totals().rows}


def _means(rows):
    policies = [key for key, value in rows[0].items() if isinstance(value, list)]
    return means(rows, "error", policies)


def table(rows):
    """Return a line for each error: share of the clairvoyant's accuracy, and models moved in brackets."""
    found = _means(rows)
    names = list(next(iter(found.values())))
    return ["error of the forecast", *names], [
        [f"{error:.0%}".replace("%", " %"), *(f"{mean[n][0]:.1f} % ({mean[n][1]:.0f})" for n in names)]
        for error, mean in found.items()
    ]


def draw(rows, figure):
    """Accuracy and moves against the error, a line for each policy."""
    found = _means(rows)
    accuracy, moves = axes_of(figure, 2)
    errors = [100 * error for error in found]
    for name, colour, marker in zip(next(iter(found.values())), LINES, "osv^D", strict=False):
        for ax, place in ((accuracy, 0), (moves, 1)):
            values = [mean[name][place] for mean in found.values()]
            ax.plot(errors, values, color=colour, marker=marker, ms=5, label=name)
    accuracy.set_ylabel("accuracy delivered\n(% of the clairvoyant's)")
    moves.set_ylabel(f"models moved in {rows[0]['minutes']} minutes")
    for ax in (accuracy, moves):
        ax.set_xlabel("standard error of the forecast (%)")
    legend(accuracy, 3)


if __name__ == "__main__":
    main(__file__)
