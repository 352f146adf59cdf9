"""Write docs/fleet_table.md: fleets of several sizes, what they cost, and what is proven.

Run it from the root of the repository on a quiet machine; 1,000 parts take about an hour on two cores.

    python docs/make_fleet_table.py [--parts 50 100 1000] [--engine processes dask] [--workers 2]
                                    [--folder FOLDER]

A run that was ended goes on where it was, if it has a folder: its times are then of its last start.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pyomo_j3o import library, solve_parts

HERE = Path(__file__).parent
CLIENTS = 20
#: Queries/s to the cloud for each part; without a limit, a part sends about 8.
CLOUD = 4.0
HEADS = ("parts", "engine", "solves", "rounds", "gap", "use", "CPU h", "s", "s per part", "master MB")


@contextmanager
def executor_of(engine: str, workers: int) -> Iterator[Executor | None]:
    """Open an engine; None stands for processes of the run's own."""
    if engine == "processes":
        yield None
        return
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
        client.get_executor(pure=False) as executor,
    ):
        yield executor


def row(parts: int, engine: str, workers: int, kept: Path | None = None) -> tuple[str, ...]:
    """Plan one fleet, and return its row."""
    build = partial(library.edge_server, clients=CLIENTS)
    begin = time.perf_counter()
    with executor_of(engine, workers) as executor:
        of_own = workers if executor is None else None
        result = solve_parts(
            build,
            range(parts),
            {"cloud": CLOUD * parts},
            executor,
            workers=of_own,
            folder=None if kept is None else kept / f"{engine}-{parts}",
            tee=True,
        )
    seconds = time.perf_counter() - begin
    used = result.uses.get("cloud", float("nan")) / (CLOUD * parts)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"{parts:,}",
        engine,
        f"{result.rounds[-1].solved:,}",
        f"{len(result.rounds)}",
        f"{100 * result.gap:.2f} %",
        f"{100 * used:.1f} %",
        f"{result.seconds / 3600:.2f}",
        f"{seconds:,.0f}",
        f"{result.seconds / parts:.2f}",
        f"{memory:.0f}",
    )


def main() -> None:
    """Plan all fleets, and write the table after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", type=int, default=[50, 100, 1000])
    parser.add_argument("--engine", nargs="+", default=["processes", "dask"], choices=("processes", "dask"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keeps what is finished")
    options = parser.parse_args()
    lines = [f"| {' | '.join(HEADS)} |", f"|{'---|' * len(HEADS)}"]
    for parts in options.parts:
        for engine in options.engine:
            lines.append(f"| {' | '.join(row(parts, engine, options.workers, options.folder))} |")
            (HERE / "fleet_table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
