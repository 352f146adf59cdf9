"""What is it worth if a client may use several edge servers, and how long does the plan take?

The paper's open question on clients that are tied to several edge servers. Systems are ours, drawn from seeds
around the published Taskonomy networks; each client reaches its own edge server and the next ones.

    python examples/experiments/several_edge_servers.py [FOLDER] [--full]
"""

import time

from pyomo.contrib.solver.common.factory import SolverFactory
from recording import BLUE, OPEN_SOURCE, ORANGE, axes_of, legend, main, means

from pyomo_j3o import library


def cases(full):
    """Each reach, for ten seeds; one small system in small."""
    size = {"clients": 12, "edges": 4} if full else {"clients": 3, "edges": 2}
    return [
        {**size, "seed": seed, "reach": reach}
        for seed in range(10 if full else 1)
        for reach in range(1, size["edges"] + 1)
    ]


def measure(case):
    """Solve, with queries that may be dropped."""
    m = library.multi_edge(droppable=True, **case)
    begin = time.process_time()
    results = SolverFactory("j3o").solve(m, **OPEN_SOURCE)
    return {
        "accuracy": results.incumbent_objective,
        "bound": results.objective_bound,
        "seconds of the processor": time.process_time() - begin,
    }


def _means(rows):
    return means(rows, "reach", ("accuracy", "bound", "seconds of the processor"))


def table(rows):
    """Return a line for each reach, in the mean over seeds."""
    heads = ["edge servers per client", "accuracy", "proven bound", "process time, s"]
    return heads, [
        [str(reach), f"{m['accuracy']:.4f}", f"{m['bound']:.4f}", f"{m['seconds of the processor']:.1f}"]
        for reach, m in _means(rows).items()
    ]


def draw(rows, figure):
    """Accuracy and time against reach."""
    found = _means(rows)
    accuracy, seconds = axes_of(figure, 2)
    reach = list(found)
    accuracy.plot(reach, [m["bound"] for m in found.values()], color=ORANGE, marker="v", label="proven bound")
    accuracy.plot(reach, [m["accuracy"] for m in found.values()], color=BLUE, marker="o", label="j3o")
    accuracy.set_ylabel("mean accuracy\n(dropped queries count as 0)")
    legend(accuracy)
    seconds.bar(reach, [m["seconds of the processor"] for m in found.values()], color=BLUE)
    seconds.set_ylabel("process time of a solve (s)")
    for ax in (accuracy, seconds):
        ax.set_xticks(reach)
        ax.set_xlabel("edge servers that a client may use")


if __name__ == "__main__":
    main(__file__)
