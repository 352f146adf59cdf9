"""A plan that leaves the solver: exported for MLServer, served by it, and measured.

Two edge servers get a plan with windows. Each becomes an MLServer process on this machine, started from the
exported settings. Its models are stand-ins that take ν + τ·b seconds for a batch of b queries. The very
queries that the simulation plays are then sent to the servers in real time, at loads that fill 70 % and 95 %
of each window. Measured latency stands beside the simulation's and the promise of 2·T_b.

    pip install mlserver simpy
    python examples/deployment.py [--minutes 5] [--picture deployment.png]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyomo.environ as pyo

from pyomo_j3o import library
from pyomo_j3o.deploy import Deployment, read_deployment, to_mlserver

#: What the loads fill of each window.
FILLED = (0.70, 0.95)
ARRIVALS = ("Poisson", "recorded")


@dataclass
class Measured:
    """Latencies in s of the queries that one edge server answered in a batch, and those forecast."""

    arrivals: str
    filled: float
    node: str
    window: float
    latency: np.ndarray
    forecast: np.ndarray

    def row(self) -> dict:
        """Return a row of the table: shares later than two windows, and quantiles in s."""
        row = {"arrivals": self.arrivals, "filled": self.filled, "node": self.node}
        row["queries"] = len(self.latency)
        for name, latency in (("forecast", self.forecast), ("measured", self.latency)):
            row[f"{name} late"] = float((latency > 2 * self.window).mean())
            row |= {f"{name} p{p}": float(np.percentile(latency, p)) for p in (50, 99)}
        return row


def planned() -> tuple[pyo.ConcreteModel, object]:
    """Return a system of twelve clients and two edge servers that fill their windows, solved."""
    model = library.taskonomy(
        clients=12, edges=2, seed=1, window=0.4, headroom=0.05, uplink=2.0, droppable=True
    )
    return model, pyo.SolverFactory("j3o").solve(model, rel_gap=0.05)


def loaded(data: library.InferenceData, plan: Deployment, filled: float) -> library.InferenceData:
    """Return the system with the loads that fill so much of each edge server's window under the plan."""
    load = data.load.copy()
    for node in plan.nodes:
        if node.window is not None:
            setup = sum(m.setup for m in node.models)
            queries = sum(m.per_query * m.mean_batch for m in node.models)
            load[data.clients_of(node.name)] *= (filled * node.window - setup) / queries
    return replace(data, load=load)


@contextlib.contextmanager
def served(folder: Path, nodes: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Start an MLServer for each exported node, and yield their addresses."""
    processes, address = [], {}
    try:
        for node in nodes:
            http, grpc = _free_port(), _free_port()
            settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_endpoint": None}
            settings |= {"parallel_workers": 0, "debug": False}
            (folder / node / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
            command = [str(Path(sys.executable).with_name("mlserver")), "start", str(folder / node)]
            path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
            with (folder / f"{node}.log").open("w") as log:
                processes.append(
                    subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": path})
                )
            address[node] = f"http://127.0.0.1:{http}/v2"
        yield address
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def replayed(address: dict[str, str], queries: list[tuple[float, str, str]]) -> np.ndarray:
    """Send queries, by arrival in s, node and model, at their times; return their latencies in s."""
    import aiohttp

    latency = np.full(len(queries), np.nan)
    body = {"inputs": [{"name": "query", "shape": [1, 1], "datatype": "FP32", "data": [0.0]}]}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        for base in address.values():
            await _ready(session, base)
        for base, model in {(address[node], model) for _, node, model in queries}:
            await session.post(f"{base}/models/{model}/infer", json=body)
        start = time.perf_counter() + 0.5

        async def ask(k: int, arrival: float, url: str) -> None:
            await asyncio.sleep(start + arrival - time.perf_counter())
            async with session.post(url, json=body) as response:
                response.raise_for_status()
                await response.read()
            # From when the query was due, so that a late start of this script counts, too.
            latency[k] = time.perf_counter() - start - arrival

        await asyncio.gather(
            *(
                ask(k, arrival, f"{address[node]}/models/{model}/infer")
                for k, (arrival, node, model) in enumerate(queries)
            )
        )
    return latency


async def _ready(session: object, base: str) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError):
            async with session.get(f"{base}/health/ready") as response:
                if response.status == 200:
                    return
        await asyncio.sleep(0.1)
    raise RuntimeError(f"{base}: MLServer did not get ready within a minute")


def measured(
    model: pyo.ConcreteModel, results: object, seconds: float, arrivals: tuple[str, ...] = ARRIVALS
) -> list[Measured]:
    """Export a plan, serve it, and play every load on it, simulated and for real."""
    from pyomo_j3o.simulation import Poisson, Recorded, simulate

    counts = library.request_traces().counts[:, 1]
    processes = {"Poisson": Poisson(), "recorded": Recorded(counts, interval=seconds / len(counts))}
    plan, data = read_deployment(model, results), model.data
    found = []
    with tempfile.TemporaryDirectory() as folder:
        to_mlserver(model, results, Path(folder) / "plan", implementation="stand_in.StandIn")
        with served(Path(folder) / "plan", plan.servers) as address:
            for name in arrivals:
                for filled in FILLED:
                    model.data = loaded(data, plan, filled)
                    run = simulate(model, processes[name], horizon=seconds, seed=3)
                    found += _compared(name, filled, run, address)
    return found


def _compared(name: str, filled: float, run: object, address: dict[str, str]) -> list[Measured]:
    """Send the queries of a simulation that run in batches to the servers."""
    data, queries = run.data, run.queries
    batched = np.flatnonzero(queries.batched)
    node = np.array([data.nodes[n] for n in queries.node[batched]])
    sent = [
        (arrival, where, data.models[m])
        for arrival, where, m in zip(
            queries.arrival[batched].tolist(), node.tolist(), queries.model[batched].tolist(), strict=True
        )
    ]
    latency = asyncio.run(replayed(address, sent))
    forecast = queries.latency[batched]
    return [
        Measured(name, filled, one, data.windows[one], latency[node == one], forecast[node == one])
        for one in data.windows
    ]


def draw(found: list[Measured], path: str | Path) -> None:
    """Draw the share of queries that take longer than a time: a row of panels per kind of arrivals."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = list(dict.fromkeys((m.arrivals, m.node) for m in found))
    rows = len({arrivals for arrivals, _ in panels})
    columns = len(panels) // rows
    size = (5 * columns, 3.3 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    colours = dict(zip(FILLED, ("tab:blue", "tab:orange"), strict=True))
    for (arrivals, node), ax in zip(panels, axes.flat, strict=True):
        for m in (m for m in found if (m.arrivals, m.node) == (arrivals, node)):
            for latency, style, what in ((m.latency, "-", "measured"), (m.forecast, "--", "simulated")):
                share = 1 - np.arange(1, len(latency) + 1) / len(latency)
                label = f"{100 * m.filled:.0f} % filled, {what}"
                ax.step(np.sort(latency), share, style, color=colours[m.filled], where="post", label=label)
        ax.axvline(2 * m.window, color="black", linewidth=1, linestyle=":", label="2 T_b")
        ax.set(title=f"{node}, {arrivals} arrivals", yscale="log", ylim=(1e-3, 1.2), xlim=(0, None))
        ax.set(xlabel="latency, s", ylabel="share that takes longer")
    axes[0, 0].legend(fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=0.05, help="of each load (default: 3 s)")
    parser.add_argument("--picture", help="file of the picture")
    given = parser.parse_args()
    missing = [name for name in ("mlserver", "simpy") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"This example needs {' and '.join(missing)}: pip install {' '.join(missing)}")
        return
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    found = measured(*planned(), seconds=60 * given.minutes)
    print(library.Table(tuple(found[0].row()), [m.row() for m in found]))
    if given.picture:
        draw(found, given.picture)


if __name__ == "__main__":
    main()
