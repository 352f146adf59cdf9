"""Plan edge servers that share a cloud: each is a model of its own, solved by a process of its own.

python examples/fleet.py [PARTS] [CLIENTS]
"""

import sys
from functools import partial

from pyomo_j3o import library, solve_parts


def main(parts: int = 6, clients: int = 2) -> None:
    build = partial(library.edge_server, clients=clients)
    # Half of what they would use: about 0.4 queries/s for each client.
    shared = {"cloud": 0.2 * parts * clients}
    result = solve_parts(build, range(parts), shared, workers=2, tee=True)
    print(result)
    print(result.table)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
