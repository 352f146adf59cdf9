"""Plan edge servers that share a cloud: each is a model of its own, solved by a process of its own.

    python examples/fleet.py [PARTS] [CLIENTS] [picture.png]

The picture shows what every edge server gains, and what it takes of the shared cloud.
"""

import sys
from functools import partial

from pyomo_j3o import library, solve_parts


def draw(result, picture: str) -> None:
    """Draw what every part adds to the objective, and what it takes of the shared cloud."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    names = [str(name) for name in result.parts]
    panels = (
        ("objective", [part.objective or 0 for part in result.parts.values()], "#0072B2"),
        ("queries/s to the cloud", [part.uses.get("cloud", 0) for part in result.parts.values()], "#56B4E9"),
    )
    for ax, (label, values, colour) in zip(figure.subplots(1, 2), panels, strict=True):
        ax.bar(names, values, color=colour)
        ax.set_xlabel("edge server")
        ax.set_ylabel(label)
        ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(f"{result.uses['cloud']:.2f} of {result.limits['cloud']:g} used", fontsize=10)
    figure.savefig(picture, dpi=110)


def main(parts: int = 6, clients: int = 2, picture: str | None = None) -> None:
    build = partial(library.edge_server, clients=clients)
    # Half of what they would use: about 0.4 queries/s for each client.
    shared = {"cloud": 0.2 * parts * clients}
    result = solve_parts(build, range(parts), shared, workers=2, tee=True)
    print(result)
    print(result.table)
    if picture and result.uses:
        draw(result, picture)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]), *sys.argv[3:])
