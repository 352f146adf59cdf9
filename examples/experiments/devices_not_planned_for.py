"""What happens if devices arrive that the plan does not know?

A system is planned. Then more clients join its edge servers, with nothing placed on them. Three answers are
compared: the placement stays, and queries are routed anew; the newcomers alone get models, while the others
keep theirs; or everything is planned anew. Systems are ours, drawn from seeds around the published Taskonomy
networks; budgets of edge servers stay those of the planned system, and queries may be dropped.

    python examples/experiments/devices_not_planned_for.py [FOLDER] [--full]
"""

from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
from recording import BLACK, BLUE, OPEN_SOURCE, ORANGE, axes_of, legend, main, means

from pyomo_j3o import library

ANSWERS = {"routed anew": ORANGE, "newcomers placed": BLUE, "planned anew": BLACK}


def cases(full):
    """Numbers of newcomers, for ten seeds; one small system in small."""
    size = {"clients": 10, "edges": 2} if full else {"clients": 3, "edges": 1}
    return [
        {**size, "seed": seed, "newcomers": n}
        for seed in range(10 if full else 1)
        for n in ((0, 2, 4, 6, 10) if full else (2,))
    ]


def _first(data, n, edges):
    """Return the system of the first clients, with the edge servers' budgets of `data`."""
    nodes = np.r_[:n, len(data.clients) : len(data.clients) + edges]
    return replace(
        data,
        clients=data.clients[:n],
        edge_of=data.edge_of[:n],
        load=data.load[:n],
        service_time=data.service_time[nodes],
        memory_budget=data.memory_budget[nodes],
        compute_budget=data.compute_budget[nodes],
        uplink_budget=data.uplink_budget[nodes],
    )


def measure(case):
    """Plan the known clients, add the newcomers, and answer in three ways."""
    n, edges = case["clients"], case["edges"]
    everybody = library.taskonomy_data(n + case["newcomers"], edges, case["seed"])
    # Edge servers have what the known clients alone would give them.
    share = everybody.load[:n].sum() / everybody.load.sum()
    of_edges = np.r_[np.ones(len(everybody.clients)), np.full(edges, share)]
    everybody = replace(
        everybody,
        compute_budget=of_edges * everybody.compute_budget,
        uplink_budget=of_edges * everybody.uplink_budget,
    )
    known = library.build_model(_first(everybody, n, edges), droppable=True)
    opt = pyo.SolverFactory("j3o", **OPEN_SOURCE)
    opt.solve(known)
    placed = {key: round(x.value) for key, x in known.place.x.items()}
    newcomers = set(everybody.clients[n:])
    found = {"before": pyo.value(known.mean_accuracy)}
    for answer in ANSWERS:
        m = library.build_model(everybody, droppable=True)
        if answer != "planned anew":
            for (node, model), x in m.place.x.items():
                if node not in newcomers:
                    x.fix(placed.get((node, model), 0))
                elif answer == "routed anew":
                    x.fix(0)
        opt.solve(m)
        found[answer] = pyo.value(m.mean_accuracy)
        moved = [
            round(x.value) != placed.get(key, 0) for key, x in m.place.x.items() if key[0] not in newcomers
        ]
        found[f"moved, {answer}"] = int(sum(moved))
    return found


def _means(rows):
    return means(rows, "newcomers", (*ANSWERS, "moved, planned anew"))


def table(rows):
    """Return a line for each number of newcomers, in the mean over seeds."""
    heads = ["newcomers", *ANSWERS, "models moved if planned anew"]
    return heads, [
        [str(n), *(f"{mean[answer]:.4f}" for answer in ANSWERS), f"{mean['moved, planned anew']:.0f}"]
        for n, mean in _means(rows).items()
    ]


def draw(rows, figure):
    """Accuracy against newcomers, a line for each answer."""
    found = _means(rows)
    (ax,) = axes_of(figure)
    for (answer, colour), marker in zip(ANSWERS.items(), "so^", strict=True):
        ax.plot(list(found), [m[answer] for m in found.values()], color=colour, marker=marker, label=answer)
    ax.set_xlabel(f"clients that the plan of {rows[0]['clients']} does not know")
    ax.set_ylabel("mean accuracy\n(dropped queries count as 0)")
    legend(ax, 3)


if __name__ == "__main__":
    main(__file__)
