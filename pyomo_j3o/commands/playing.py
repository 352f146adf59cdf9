"""``pyomo-j3o simulate``: the plan of a library folder, played query by query."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from typing import Any

from pyomo.core.base.block import BlockData

from pyomo_j3o.commands import arguments
from pyomo_j3o.commands.answers import Answer, Terminal
from pyomo_j3o.commands.pages import csv_of, json_of
from pyomo_j3o.commands.pictures import picture
from pyomo_j3o.commands.solving import solve, solver_of, without_plan
from pyomo_j3o.commands.subjects import model_of
from pyomo_j3o.core.html_page import page
from pyomo_j3o.errors import FileError, OptionError
from pyomo_j3o.library.data import InferenceData
from pyomo_j3o.simulation import Simulation, simulate

_SIMULATE = """\
Solve a model of the library by j3o, and play its plan: queries arrive at random, in batches and queues.

The exit status is 0 with a plan, 1 without, 2 if the command cannot be carried out, and 130 after Ctrl-C.
"""

_EXAMPLES = """\
examples:
  pyomo-j3o simulate my_folder/ --quiet
  pyomo-j3o simulate my_folder/ --headroom 0.2 --horizon 3600 --warm-up 60 --plot latency.png
"""


def add_parsers(commands: Any) -> None:
    """Add `simulate` to the commands."""
    parser = arguments.new_command(commands, "simulate", "play a plan query by query", _SIMULATE, _EXAMPLES)
    arguments.add_model(parser, of_library=True)
    group = parser.add_argument_group("simulation")
    for name, default, text in (
        ("--horizon", 600.0, "queries arrive until then (600)"),
        ("--warm-up", 0.0, "queries before this time do not count (0)"),
    ):
        group.add_argument(name, type=float, default=default, metavar="SECONDS", help=text)
    group.add_argument(
        "--setup-error", type=float, default=0.0, metavar="PART", help="set-ups take this part longer (0)"
    )
    group.add_argument("--arrivals-seed", type=int, default=0, metavar="N", help="of the arrivals (0)")
    arguments.add_solver(parser)
    arguments.add_outputs(parser, "per task, edge server and node", "latency and backlog")
    parser.set_defaults(run=run_simulate)


def run_simulate(options: argparse.Namespace) -> int:
    """Carry out `simulate`, and return the exit status."""
    if importlib.util.find_spec("simpy") is None:
        raise OptionError('simulate needs SimPy: pip install "pyomo-j3o[sim]"')
    solver = solver_of(options)
    files = arguments.output_files(options)
    model = model_of(options)
    if not isinstance(getattr(model, "data", None), InferenceData):
        raise FileError(
            f"{options.model}: its model is not one of pyomo_j3o.library.build_model, so no queries "
            "can be played; give a library folder"
        )
    terminal = Terminal()
    solution = solve(model, solver, terminal, options.quiet)
    if not solution.has_plan:
        return terminal.deliver(without_plan(solution, options), files)
    played = _played(model, options)
    return terminal.deliver(Answer(str(played), solution.status, _forms(played)), files)


def _played(model: BlockData, options: argparse.Namespace) -> Simulation:
    try:
        return simulate(
            model,
            setup_error=options.setup_error,
            horizon=options.horizon,
            warm_up=options.warm_up,
            seed=options.arrivals_seed,
        )
    except ValueError as error:
        raise OptionError(str(error)) from error


def _forms(played: Simulation) -> dict[str, Callable[[str], bytes]]:
    from pyomo_j3o.plotting import plot_simulation

    tables = {"tasks": played.task_table(), "edges": played.edge_table(), "nodes": played.node_table()}
    summary = {
        name: getattr(played, name)
        for name in (
            *("horizon", "warm_up", "planned_accuracy", "accuracy", "timely_accuracy"),
            *("timely_accuracy_all", "share_late", "share_late_all"),
        )
    }
    name = played.data.name
    return {
        "csv": lambda _: csv_of(tables),
        "json": lambda _: json_of({"system": name, "queries": len(played.queries)} | summary, tables),
        "html": lambda _: page(f"Simulation of {name}", played).encode(),
        "plot": lambda suffix: picture(lambda: plot_simulation(played), suffix),
    }
