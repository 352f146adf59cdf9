"""One annotated model, solved by the heuristic and by every exact solver at hand.

The model is the product form of joint onloading and offloading: what a client gets out of a route is
multiplied by whether the model behind it is onloaded, x·y. Gurobi and SCIP take these products as they are,
for HiGHS they are linearised exactly, and j3o works on the same linear form. Gurobi's free licence stops at
200 columns where there are products; a solver that cannot take the model says why.

    python examples/exact_beside_j3o.py [picture.png]
"""

import sys

import pyomo.environ as pyo
from pyomo.contrib.solver.common.factory import SolverFactory

from pyomo_j3o import library
from pyomo_j3o.errors import BackendError

WAYS = {
    "j3o": {"algorithm": "j3o"},
    "exact, HiGHS": {"algorithm": "exact", "mip_solver": "highs"},
    "exact, SCIP": {"algorithm": "exact", "mip_solver": "scip"},
    "exact, Gurobi": {"algorithm": "exact", "mip_solver": "gurobi"},
}


def draw(times: dict[str, float], gaps: dict[str, float], picture: str) -> None:
    """Draw time and gap of every way, side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2.6), layout="constrained")
    for ax, values, label in zip(
        figure.subplots(1, 2, sharey=True), (times, gaps), ("time (s)", "proven gap (%)"), strict=True
    ):
        bars = ax.barh(list(values), list(values.values()), color=["#D55E00"] + ["#0072B2"] * len(values))
        ax.bar_label(bars, fmt="%.2f", padding=3, fontsize=9)
        ax.margins(x=0.15)
        ax.set_xlabel(label)
        ax.invert_yaxis()
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(picture, dpi=110)


def main(picture: str | None = None) -> None:
    """Solve in every way, print a table, and the optimum of the linear form."""
    times, gaps = {}, {}
    m = library.taskonomy(clients=3, edges=1, seed=1, form="product")
    print(f"{'':14} {'objective':>10} {'bound':>10} {'gap':>8} {'start':>10} {'nodes':>6} {'time':>8}")
    for name, options in WAYS.items():
        try:
            results = SolverFactory("j3o").solve(m, rel_gap=1e-3, **options)
        except BackendError as error:
            print(f"{name:14} {str(error).partition(';')[0]}")
            continue
        info = results.extra_info
        times[name], gaps[name] = results.timing_info.wall_time, 100 * info.relative_gap
        exact = info.algorithm == "exact"
        start = f"{info.mip_start_objective:10.6f} {info.nodes:6}" if exact else f"{'':17}"
        print(
            f"{name:14} {results.incumbent_objective:10.6f} {results.objective_bound:10.6f} "
            f"{100 * info.relative_gap:7.3f}% {start} {results.timing_info.wall_time:7.2f}s"
        )

    if picture:
        draw(times, gaps, picture)

    linear = pyo.TransformationFactory("j3o.linearize_products").create_using(m)
    plain = SolverFactory("highs").solve(linear, rel_gap=1e-3)
    print(f"\nPyomo's own HiGHS on the linearised model: {plain.incumbent_objective:.6f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
