"""Is a library of few multi-task models better than one of many single-task models?

Three libraries of published Taskonomy networks serve the same systems: networks for one task only, networks
for two or more only, and all. The memory of clients and edge servers goes from scarce to ample. The baselines
choose among all. Systems are ours, drawn from seeds; queries may be dropped.

    python examples/experiments/library_design.py [FOLDER] [--full]
"""

from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
from recording import (
    BASELINES,
    BLACK,
    BLUE,
    OPEN_SOURCE,
    ORANGE,
    axes_of,
    baselines,
    draw_baselines,
    legend,
    main,
    means,
)

from pyomo_j3o import library

LIBRARIES = ("single-task", "multi-task", "all")
MEMORY = (0.25, 0.5, 1.0, 2.0, 4.0)


def cases(full):
    """Each library and memory, for ten seeds; one small system in small."""
    size = {"clients": 10, "edges": 2} if full else {"clients": 3, "edges": 1}
    return [
        {**size, "seed": seed, "memory": memory, "library": name}
        for seed in range(10 if full else 1)
        for memory in (MEMORY if full else (0.5,))
        for name in LIBRARIES
    ]


def measure(case):
    """Solve with the models of one library; with all of them, by each baseline, too."""
    data = library.taskonomy_data(case["clients"], case["edges"], case["seed"], memory=case["memory"])
    tasks = (~np.isnan(data.accuracy)).sum(axis=1)
    kept = {"single-task": tasks == 1, "multi-task": tasks > 1, "all": tasks > 0}[case["library"]]
    chosen = replace(
        data,
        models=[name for name, keep in zip(data.models, kept, strict=True) if keep],
        memory=data.memory[kept],
        accuracy=data.accuracy[kept],
        service_time=data.service_time[:, kept],
    )
    m = library.build_model(chosen, droppable=True)
    pyo.SolverFactory("j3o").solve(m, **OPEN_SOURCE)
    placed = [x for x in m.place.x.values() if x.value is not None and x.value > 0.5]
    found = {"accuracy": pyo.value(m.mean_accuracy), "placed": len(placed), "models": int(kept.sum())}
    if case["library"] != "all":
        return found | dict.fromkeys(BASELINES)
    return found | baselines(lambda: library.build_model(data, droppable=True))


def _means(rows):
    return means(rows, ("memory", "library"), ("accuracy", "placed", *BASELINES))


def table(rows):
    """Return a line for each memory: accuracy, in brackets how many models are placed; the baselines'."""
    found = _means(rows)
    sizes = {row["library"]: row["models"] for row in rows}
    heads = ["memory", *(f"{name} ({sizes[name]} models)" for name in LIBRARIES), *BASELINES]
    lines = []
    for memory in sorted({memory for memory, _ in found}):
        cells = [found[memory, name] for name in LIBRARIES]
        lines.append(
            [f"{memory:g}", *(f"{cell['accuracy']:.4f} ({cell['placed']:.0f})" for cell in cells)]
            + [f"{found[memory, 'all'][name]:.3f}" for name in BASELINES]
        )
    return heads, lines


def draw(rows, figure):
    """Accuracy against memory, a line for each library."""
    found = _means(rows)
    (ax,) = axes_of(figure, height=4.5)
    memory = sorted({memory for memory, _ in found})
    for name, colour, marker in zip(LIBRARIES, (ORANGE, BLUE, BLACK), "s^o", strict=True):
        ax.plot(
            memory,
            [found[m, name]["accuracy"] for m in memory],
            color=colour,
            marker=marker,
            label=name,
            ms=5,
        )
    draw_baselines(ax, memory, [found[m, "all"] for m in memory])
    ax.set_xscale("log")
    ax.set_xticks(memory, [f"{m:g}" for m in memory])
    ax.minorticks_off()
    ax.set_xlabel("memory budgets, as a factor of the drawn ones")
    ax.set_ylabel("mean accuracy\n(dropped queries count as 0)")
    legend(ax, 3)


if __name__ == "__main__":
    main(__file__)
