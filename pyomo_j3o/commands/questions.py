"""``pyomo-j3o explain`` and ``pyomo-j3o worth``: why there is no plan; what more of a budget brings."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import pyomo.environ as pyo
from pyomo.core.base.block import BlockData

from pyomo_j3o.commands import arguments
from pyomo_j3o.commands.answers import NO_PLAN, Answer, Terminal
from pyomo_j3o.commands.pages import csv_of, json_of
from pyomo_j3o.commands.pictures import bars, picture
from pyomo_j3o.commands.solving import solve, solver_of, without_plan
from pyomo_j3o.commands.subjects import model_of
from pyomo_j3o.compare.cli import FINE, INTERRUPTED
from pyomo_j3o.core.html_page import page
from pyomo_j3o.core.table import Table
from pyomo_j3o.diagnosis.explanation import Explanation
from pyomo_j3o.diagnosis.infeasibility import explain_infeasibility
from pyomo_j3o.diagnosis.sensitivity import budget_worth
from pyomo_j3o.errors import OptionError

#: How many rows of a table the terminal shows.
_MOST_ROWS = 40

_EXPLAIN = """\
Say which rows and bounds of a model conflict, so that it has no plan, and what would do instead.

The exit status is 0 if the model has a plan, 1 if it has none or that was not found out in time, 2 if the
command cannot be carried out, and 130 after Ctrl-C.
"""

_WORTH = """\
Solve a model by j3o, and say what one more unit of each budget is worth, the most valuable first.

The exit status is 0 with a plan, 1 without, 2 if the command cannot be carried out, and 130 after Ctrl-C.
"""

_EXPLAIN_EXAMPLES = """\
examples:
  pyomo-j3o explain my_model.py
  pyomo-j3o explain my_model.mps --onloading 'x*' --most 1 --csv conflict.csv
"""

_WORTH_EXAMPLES = """\
examples:
  pyomo-j3o worth my_model.py
  pyomo-j3o worth my_model.py --rows memory uplink --step 5 --csv worth.csv --plot worth.png
"""

_CONFLICT_COLUMNS = (
    *("conflict", "name", "kind", "relation", "now", "enough", "possible", "proven", "together"),
    "percent",
)


def add_parsers(commands: Any) -> None:
    """Add `explain` and `worth` to the commands."""
    parser = arguments.new_command(
        commands, "explain", "say why a model has no plan", _EXPLAIN, _EXPLAIN_EXAMPLES
    )
    arguments.add_model(parser)
    group = parser.add_argument_group("search")
    group.add_argument("--time-limit", type=float, default=60.0, metavar="SECONDS", help="when to stop (60)")
    group.add_argument("--most", type=int, default=3, metavar="N", help="conflicts to name at most (3)")
    arguments.add_outputs(parser, "one line per row in conflict", "by how much each row would have to grow")
    parser.set_defaults(run=run_explain)

    parser = arguments.new_command(
        commands, "worth", "say what more of a budget brings", _WORTH, _WORTH_EXAMPLES
    )
    arguments.add_model(parser)
    group = parser.add_argument_group("budgets")
    group.add_argument(
        *("--rows",),
        nargs="+",
        metavar="PATTERN",
        help="names of constraints, or of components of them, as memory or 'memory[[]edge*' (all)",
    )
    group.add_argument("--step", type=float, default=1.0, metavar="UNITS", help="how much more to try (1)")
    group.add_argument(
        *("--worth-limit",),
        type=float,
        metavar="SECONDS",
        help="for all that is solved again (3 times the first solve, which has --time-limit)",
    )
    arguments.add_solver(parser)
    arguments.add_outputs(parser, "one line per budget", "a bar per budget")
    parser.set_defaults(run=run_worth)


# --- explain --------------------------------------------------------------------------------------------


def run_explain(options: argparse.Namespace) -> int:
    """Carry out `explain`, and return the exit status."""
    files = arguments.output_files(options)
    model = model_of(options)
    explanation = explain_infeasibility(model, options.time_limit, options.most)
    status = FINE if explanation.feasible else NO_PLAN
    if getattr(explanation, "interrupted", False):
        status = INTERRUPTED
    table = conflict_table(explanation)
    summary = {
        "model": explanation.model,
        "message": explanation.message,
        "feasible": explanation.feasible,
        "complete": explanation.complete,
        "proven": explanation.proven,
        "notes": list(explanation.notes),
    }
    forms: dict[str, Callable[[str], bytes]] = {
        "csv": lambda _: csv_of({"rows": table}),
        "json": lambda _: json_of(summary, {"rows": table}),
        "html": lambda _: page(f"Why {explanation.model} has no plan", explanation).encode(),
    }
    grows = [row for row in table if row["percent"] is not None]
    if grows:
        forms["plot"] = lambda suffix: picture(partial(_draw_conflict, grows, explanation.message), suffix)
    return Terminal().deliver(Answer(str(explanation), status, forms), files)


def conflict_table(explanation: Explanation) -> Table:
    """Return one row for each row or bound in a conflict."""
    rows = []
    for number, conflict in enumerate(explanation.conflicts, 1):
        for row in conflict.rows:
            found = (
                *(number, row.name, row.kind, row.relation, row.now, row.enough, row.possible, row.proven),
                row.together,
                row.percent,
            )
            rows.append(dict(zip(_CONFLICT_COLUMNS, found, strict=True)))
    return Table(_CONFLICT_COLUMNS, rows)


def _draw_conflict(rows: Sequence[Any], message: str) -> Any:
    return bars(
        [row["name"] for row in rows],
        [row["percent"] for row in rows],
        message,
        "change that is enough by itself (% of what it is)",
    )


# --- worth ----------------------------------------------------------------------------------------------


def run_worth(options: argparse.Namespace) -> int:
    """Carry out `worth`, and return the exit status."""
    solver = solver_of(options)
    files = arguments.output_files(options)
    model = model_of(options)
    rows = None if options.rows is None else rows_named(model, options.rows)
    terminal = Terminal()
    solution = solve(model, solver, terminal, options.quiet)
    if not solution.has_plan:
        return terminal.deliver(without_plan(solution, options), files)
    if solution.status == INTERRUPTED:
        return terminal.deliver(Answer("Interrupted before any budget was looked at.", INTERRUPTED), {})
    table = budget_worth(model, solution.results, options.step, rows, options.worth_limit)
    forms: dict[str, Callable[[str], bytes]] = {
        "csv": lambda _: csv_of({"budgets": table}),
        "json": lambda _: json_of(
            {"model": model.name, "message": solution.message, "step": options.step}, {"budgets": table}
        ),
        "html": lambda _: page(f"Worth of the budgets of {model.name}", solution.message, table).encode(),
        "plot": lambda suffix: picture(partial(_draw_worth, table, model.name), suffix),
    }
    status = INTERRUPTED if getattr(table, "interrupted", False) else solution.status
    return terminal.deliver(Answer(_shortened(table), status, forms), files)


def rows_named(model: BlockData, patterns: Sequence[str]) -> list[Any]:
    """Return the constraints whose names, or whose components' names, patterns match.

    Raises
    ------
    OptionError
        A pattern matches none.
    """
    found: dict[int, Any] = {}
    components = [component.name for component in model.component_objects(pyo.Constraint, active=True)]
    for pattern in patterns:
        mine = [
            row
            for row in model.component_data_objects(pyo.Constraint, active=True)
            if any(
                name == pattern or fnmatchcase(name, pattern)
                for name in (row.name, row.parent_component().name)
            )
        ]
        if not mine:
            raise OptionError(
                f"--rows '{pattern}' matches no constraint of '{model.name}'; it has {', '.join(components)}"
            )
        found.update((id(row), row) for row in mine)
    return list(found.values())


def _draw_worth(table: Table, name: str) -> Any:
    return bars(table["row"], table["worth"], f"Worth of budgets: {name}", "objective per unit more")


def _shortened(table: Table) -> str:
    """Return the first rows of a table, and the number of the others."""
    if not len(table):
        return "The model has no budgets: no inequality that is no link."
    more = len(table) - _MOST_ROWS
    return str(Table(table.columns, table.rows[:_MOST_ROWS])) + (f"\n... and {more} more" if more > 0 else "")
