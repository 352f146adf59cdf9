"""Plan edge servers that share a cloud: each is a model of its own, solved by a process of its own.

    python examples/fleet.py [PARTS] [CLIENTS] [picture.png]

The picture shows how plan and bound of the whole fleet come together, round by round.
"""

import sys
from functools import partial

from pyomo_j3o import library, solve_parts


def draw(rounds, picture: str) -> None:
    """Draw the best plan and the bound of the fleet by round."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    ax = figure.add_subplot()
    numbers = [one.round for one in rounds]
    ax.plot(numbers, [one.bound for one in rounds], marker="v", color="#D55E00", label="proven bound")
    ax.plot(numbers, [one.objective for one in rounds], marker="^", color="#0072B2", label="best plan")
    ax.set_xticks(numbers)
    ax.set_xlabel("round")
    ax.set_ylabel("objective of the fleet")
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(picture, dpi=110)


def main(parts: int = 6, clients: int = 2, picture: str | None = None) -> None:
    build = partial(library.edge_server, clients=clients)
    # Half of what they would use: about 0.4 queries/s for each client.
    shared = {"cloud": 0.2 * parts * clients}
    result = solve_parts(build, range(parts), shared, workers=2, tee=True)
    print(result)
    print(result.table)
    if picture:
        draw(result.rounds, picture)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]), *sys.argv[3:])
