"""A plan that leaves the solver: exported for a server, served by it, and measured.

Two edge servers get a plan with windows. Each becomes a server process on this machine, started from the
exported settings. Its models are stand-ins that take ν + τ·b seconds for a batch of b queries. The very
queries that the simulation plays are then sent to the servers in real time, at loads that fill 70 % and 95 %
of each window. Measured latency stands beside the simulation's and the promise of 2·T_b.

    pip install mlserver simpy
    python examples/deployment.py [--minutes 5] [--picture deployment.png]

Triton's own server does the same, from the package nvidia-pytriton in an environment of its own:

    pip install nvidia-pytriton simpy aiohttp
    python examples/deployment.py --server Triton
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyomo.environ as pyo

from pyomo_j3o import library
from pyomo_j3o.deploy import Deployment, read_deployment, to_mlserver, to_triton

#: The package that brings each server.
NEEDED = {"MLServer": "mlserver", "Triton": "pytriton"}
#: What the loads fill of each window.
FILLED = (0.70, 0.95)
#: Models that take their planned time, and compute nothing.
STAND_INS = Path(__file__).parent / "stand_ins"


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
def served(model: pyo.ConcreteModel, results: object, server: str) -> Iterator[dict[str, str]]:
    """Export the plan, start a server for each node, and yield their addresses."""
    processes, address = [], {}
    with tempfile.TemporaryDirectory() as kept, contextlib.ExitStack() as stack:
        folder = Path(kept)
        command = (_mlserver if server == "MLServer" else _triton)(model, results, folder)
        try:
            for node in read_deployment(model, results).servers:
                port = _free_port()
                log = stack.enter_context((folder / f"{node}.log").open("w"))
                arguments, environment = command(node, port)
                environment = {**os.environ, **environment}
                processes.append(subprocess.Popen(arguments, stdout=log, stderr=log, env=environment))
                address[node] = f"http://127.0.0.1:{port}/v2"
            yield address
        except RuntimeError:
            for log in folder.glob("*.log"):
                print(log.read_text(encoding="utf-8")[-2000:], file=sys.stderr)
            raise
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=20)
                process.kill()


#: Returns command and environment of the server of a node, at a port.
Command = Callable[[str, int], tuple[list[str], dict[str, str]]]


def _mlserver(model: pyo.ConcreteModel, results: object, folder: Path) -> Command:
    to_mlserver(model, results, folder / "plan", implementation="mlserver_model.StandIn")

    def command(node: str, port: int) -> tuple[list[str], dict[str, str]]:
        settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": _free_port(), "debug": False}
        settings |= {"metrics_endpoint": None, "parallel_workers": 0}
        (folder / "plan" / node / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        program = str(Path(sys.executable).with_name("mlserver"))
        return [program, "start", str(folder / "plan" / node)], {"PYTHONPATH": str(STAND_INS)}

    return command


def _triton(model: pyo.ConcreteModel, results: object, folder: Path) -> Command:
    """Use the server that the package nvidia-pytriton brings."""
    for path in to_triton(model, results, folder / "plan", backend="python", kind="KIND_CPU"):
        shutil.copy(STAND_INS / "triton_model.py", path.parent / "1" / "model.py")
    home = Path(importlib.util.find_spec("pytriton").origin).parent / "tritonserver"
    shutil.copytree(home / "backends", folder / "backends")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copy(
        home / f"python_backend_stubs/{version}/triton_python_backend_stub", folder / "backends/python"
    )

    def command(node: str, port: int) -> tuple[list[str], dict[str, str]]:
        options = [
            f"--model-repository={folder / 'plan' / node}",
            f"--backend-directory={folder / 'backends'}",
        ]
        options += ["--rate-limit=execution_count", "--http-address=127.0.0.1", f"--http-port={port}"]
        options += ["--allow-grpc=false", "--allow-metrics=false"]
        options += [f"--backend-config=python,shm-region-prefix-name={folder.name}-{node}"]
        # The copied program of the backend looks for its libraries, and for Python's packages, there.
        environment = {"LD_LIBRARY_PATH": str(home.parents[1] / "nvidia_pytriton.libs")}
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return [str(home / "bin/tritonserver"), *options], environment

    return command


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def replayed(address: dict[str, str], queries: list[tuple[float, str, str]]) -> np.ndarray:
    """Send queries, by arrival in s, node and model, at their times; return their latencies in s."""
    import aiohttp

    latency = np.full(len(queries), np.nan)
    body = {"inputs": [{"name": "query", "shape": [1, 1], "datatype": "FP32", "data": [0.0]}]}
    # MLServer closes a connection that was idle for 5 s; a query sent just then would be lost.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
    async with aiohttp.ClientSession(connector=connector) as session:
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
    raise RuntimeError(f"{base}: the server did not get ready within a minute")


def measured(
    model: pyo.ConcreteModel,
    results: object,
    seconds: float,
    server: str = "MLServer",
    arrivals: tuple[str, ...] = ("Poisson", "recorded"),
) -> list[Measured]:
    """Export a plan, serve it, and play every load on it, simulated and for real."""
    from pyomo_j3o.simulation import Poisson, Recorded, simulate

    counts = library.request_traces().counts[:, 1]
    processes = {"Poisson": Poisson(), "recorded": Recorded(counts, interval=seconds / len(counts))}
    plan, data = read_deployment(model, results), model.data
    found = []
    with served(model, results, server) as address:
        for name in arrivals:
            for filled in FILLED:
                model.data = loaded(data, plan, filled)
                run = simulate(model, processes[name], horizon=seconds, seed=3)
                found += _compared(name, filled, run, address)
    model.data = data
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
    parser.add_argument("--server", choices=sorted(NEEDED), default="MLServer")
    parser.add_argument("--picture", help="file of the picture")
    given = parser.parse_args()
    needed = ("simpy", "aiohttp", NEEDED[given.server])
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        print(f"This example needs {', '.join(missing)}; its first lines say how to install it.")
        return
    found = measured(*planned(), seconds=60 * given.minutes, server=given.server)
    print(library.Table(tuple(found[0].row()), [m.row() for m in found]))
    if given.picture:
        draw(found, given.picture)


if __name__ == "__main__":
    main()
