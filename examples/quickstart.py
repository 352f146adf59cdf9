"""Place models on 10 clients and 2 edge servers, route the queries, and compare with a MILP solver.

The networks are the 72 published ones of Taskonomy, five vision tasks in all; the clients, the edge servers
and their budgets are drawn from a seed. Both solvers get the same Pyomo model, one thread, and a gap of
1e-4 to close; both times run from the Pyomo model to the loaded plan.

    python examples/quickstart.py [picture.png]

The picture is saved as quickstart.png in the current directory unless another path is given. It needs
matplotlib: pip install ".[plot]".
"""

import sys
import time
from pathlib import Path

import pyomo.environ as pyo

from pyomo_j3o import library
from pyomo_j3o.plotting import plot_plan

HIGHS_TIME_LIMIT = 120  # s


def timed(solve):
    """Call solve() and return its results with the seconds that it took."""
    start = time.perf_counter()
    results = solve()
    return results, time.perf_counter() - start


def main(picture: Path):
    """Solve, show the plan, and compare."""
    # 1. A model, ready annotated: place.x says which network sits where, route.y where each query runs.
    m = library.taskonomy(clients=10, edges=2, seed=0)

    # 2. Solve it by J3O. Each line of the log is one iteration.
    print("=== j3o\n", flush=True)
    j3o, j3o_seconds = timed(lambda: pyo.SolverFactory("j3o").solve(m, tee=True))
    j3o_accuracy = pyo.value(m.mean_accuracy)

    # 3. Read the plan: in tables, and in a picture.
    print("=== Which networks sit where (memory in million parameters, queries per second)\n")
    print(library.placement_table(m))
    print("\n=== Where each task's queries are answered (shares of its queries per second)\n")
    print(library.routing_table(m))
    print("\n=== How full each budget is\n")
    print(library.budget_table(m))
    plot_plan(m).savefig(picture, dpi=150)
    print(f"\nThe same as a picture: {picture.resolve()}\n")

    # 4. The same model is plain Pyomo, so any MILP solver takes it as it is. HiGHS's log follows.
    print(f"=== HiGHS, at most {HIGHS_TIME_LIMIT} s\n", flush=True)
    options = {"mip_rel_gap": 1e-4, "threads": 1}
    highs, highs_seconds = timed(
        lambda: pyo.SolverFactory("highs").solve(m, tee=True, timelimit=HIGHS_TIME_LIMIT, options=options)
    )
    highs_accuracy = pyo.value(m.mean_accuracy)

    # 5. Side by side. A bound says that no plan is better; the accuracy is maximised.
    print("\n=== Side by side\n")
    print(f"{'':8}{'mean accuracy':>15}{'proven bound':>15}{'time, s':>10}")
    for name, accuracy, results, seconds in (
        ("j3o", j3o_accuracy, j3o, j3o_seconds),
        ("HiGHS", highs_accuracy, highs, highs_seconds),
    ):
        print(f"{name:8}{accuracy:15.4f}{results.problem.upper_bound:15.4f}{seconds:10.2f}")
    print(f"{'ratio':8}{j3o_accuracy / highs_accuracy:15.2%}{'':15}{j3o_seconds / highs_seconds:10.1%}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "quickstart.png"))
