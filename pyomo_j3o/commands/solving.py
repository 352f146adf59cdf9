"""``pyomo-j3o solve`` and ``pyomo-j3o report``: the plan of a model, in short and in full."""

from __future__ import annotations

import argparse
import importlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from pyomo.contrib.solver.common.results import Results, TerminationCondition
from pyomo.core.base.block import BlockData

from pyomo_j3o.commands import arguments
from pyomo_j3o.commands.answers import NO_PLAN, Answer, Terminal
from pyomo_j3o.commands.pictures import picture
from pyomo_j3o.commands.subjects import model_of
from pyomo_j3o.compare.cli import FINE, INTERRUPTED
from pyomo_j3o.interface.remedies import CommandLineRemedies
from pyomo_j3o.interface.solver import J3O

#: How many placed variables the last line of `solve` names.
_MOST_NAMES = 8

_STATUSES = """\
The exit status is 0 with a plan, 1 without, 2 if the command cannot be carried out, and 130 after Ctrl-C,
which ends the search and keeps the best plan.
"""

_SOLVE = f"""\
Solve a model by j3o, and show the log.

{_STATUSES}"""

_SOLVE_EXAMPLES = """\
examples:
  pyomo-j3o solve my_model.py
  pyomo-j3o solve my_model.py --time-limit 60 --rel-gap 1e-3 --json plan.json
  pyomo-j3o solve my_model.mps --onloading 'x*' 'open*' --csv plan.csv
  pyomo-j3o solve my_folder/ --plot plan.png --option lp_solver=highs --quiet
"""

_REPORT = f"""\
Solve a model by j3o, and say what the plan does: what is placed and routed, and how full each row is.

{_STATUSES}"""

_REPORT_EXAMPLES = """\
examples:
  pyomo-j3o report my_model.py --quiet
  pyomo-j3o report my_model.py --html plan.html --plot plan.png
"""


@dataclass(frozen=True)
class Solution:
    """A model after its solve.

    Attributes
    ----------
    model
        With the plan in its variables, if there is one.
    results
        Of the solve.
    """

    model: BlockData
    results: Results

    @property
    def has_plan(self) -> bool:
        """Whether there is a plan."""
        return bool(self.results.solution_loader.get_number_of_solutions())

    @property
    def status(self) -> int:
        """The exit status."""
        if self.results.termination_condition == TerminationCondition.interrupted:
            return INTERRUPTED
        return FINE if self.has_plan else NO_PLAN

    @property
    def message(self) -> str:
        """One sentence on how the solve ended."""
        return str(self.results.extra_info.message)


def add_parsers(commands: Any) -> None:
    """Add `solve` and `report` to the commands."""
    for name, run, summary, description, examples in (
        ("solve", run_solve, "find a plan of a model", _SOLVE, _SOLVE_EXAMPLES),
        ("report", run_report, "find a plan, and say what it does", _REPORT, _REPORT_EXAMPLES),
    ):
        parser = arguments.new_command(commands, name, summary, description, examples)
        arguments.add_model(parser)
        arguments.add_solver(parser)
        arguments.add_outputs(
            parser, "what is placed and routed, and how full each row is", "the plan as a picture"
        )
        parser.set_defaults(run=run)


def run_solve(options: argparse.Namespace) -> int:
    """Carry out `solve`, and return the exit status."""
    return _run(options, lambda _: "")


def run_report(options: argparse.Namespace) -> int:
    """Carry out `report`, and return the exit status."""
    return _run(options, lambda solution: str(report_of(solution)))


def _run(options: argparse.Namespace, text_of: Callable[[Solution], str]) -> int:
    solver = solver_of(options)
    files = arguments.output_files(options)
    model = model_of(options)
    terminal = Terminal()
    solution = solve(model, solver, terminal, options.quiet)
    if not solution.has_plan:
        return terminal.deliver(without_plan(solution, options), files)
    failures: tuple[str, ...] = ()
    try:
        text = text_of(solution) or ("" if options.quiet else _placed(solution))
    except Exception as error:  # the plan is not lost with what is said of it
        text = _placed(solution)
        failures = (f"the plan could not be reported: {type(error).__name__}: {error}",)
    return terminal.deliver(Answer(text, solution.status, forms_of(solution), failures), files)


def solver_of(options: argparse.Namespace) -> J3O:
    """Return j3o with the options that the command line gives.

    Raises
    ------
    OptionError
        An option or its value is unknown.
    """
    solver = J3O()
    solver.remedies = CommandLineRemedies()
    for name, given in arguments.solver_options(options).items():
        setattr(solver.config, name, given)
    return solver


def solve(model: BlockData, solver: J3O, terminal: Terminal, quiet: bool) -> Solution:
    """Solve a model, and load its plan.

    Parameters
    ----------
    model, solver
        What, and by whom.
    terminal
        Gets the log, or its last sentence.
    quiet
        Whether that sentence is enough.
    """
    results = solver.solve(
        model,
        tee=[] if quiet else [terminal.stream],
        load_solutions=False,
        raise_exception_on_nonoptimal_result=False,
    )
    solution = Solution(model, results)
    if solution.has_plan:
        results.solution_loader.load_solution()
    if quiet:
        terminal.line(solution.message)
    return solution


def without_plan(solution: Solution, options: argparse.Namespace) -> Answer:
    """Return what is said of a model without a plan."""
    proven = solution.results.termination_condition == TerminationCondition.provenInfeasible
    text = f"pyomo-j3o explain {options.model} names the rows that conflict." if proven else ""
    return Answer(text, solution.status)


def report_of(solution: Solution) -> Any:
    """Return the report of the plan."""
    return importlib.import_module("pyomo_j3o.reporting").report(solution.model, solution.results)


def forms_of(solution: Solution) -> dict[str, Callable[[str], bytes]]:
    """Return the files that the report of a plan can be written to."""
    report = cache(partial(report_of, solution))
    return {
        "csv": lambda _: _csv(report()),
        "json": lambda _: report().to_json().encode(),
        "html": lambda _: report().to_html().encode(),
        "plot": lambda suffix: picture(partial(_drawn, solution.model), suffix),
    }


def _csv(report: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "plan.csv")
        report.to_csv(path)
        return path.read_bytes()


def _drawn(model: BlockData) -> Any:
    from pyomo_j3o.plotting import plot_plan

    return plot_plan(model)


def _placed(solution: Solution) -> str:
    """Return one line that names what is placed."""
    _, inverse, x, _, _ = solution.results.solution_loader.compiled
    own = [pair for pair in zip(inverse.onloading, x, strict=True) if not inverse.is_added(pair[0])]
    names = [v.name if n == 1 else f"{v.name} = {n:g}" for v, n in own if n]
    more = len(names) - _MOST_NAMES
    shown = ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    return f"Placed, {len(names)} of {len(own)}: {shown or 'nothing'}"
