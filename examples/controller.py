"""Loads that change every minute: what moving models is worth, and when routing anew is enough.

Four clients and an edge server choose among 72 published networks. Their loads follow two recorded services.

    python examples/controller.py [picture.png]
"""

from __future__ import annotations

import sys

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

MINUTES = 5


def main() -> None:
    """Compare policies, first with the coming minute known, then with the last minute as the forecast."""
    data = library.taskonomy_data(clients=4, edges=1, seed=7)
    loads = client_loads(data, library.request_traces(), seed=7)[:MINUTES]
    policies = [SolveOnce(), RerouteOnly(), ReplaceWhenItPays(price=0.02), ReplaceAlways()]

    known = control(data, loads, policies, forecast=TrueLoads())
    print("The coming minute's loads are known:")
    print(known)

    guessed = control(data, loads, policies)
    print("\nThe last minute's loads are expected:")
    print(guessed)

    if len(sys.argv) > 1:
        from pyomo_j3o.plotting import plot_control

        plot_control(known).savefig(sys.argv[1], dpi=100)


if __name__ == "__main__":
    main()
