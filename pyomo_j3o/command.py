"""The command ``pyomo-j3o``, also ``python -m pyomo_j3o``: it reads arguments, and hands on what they ask for."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyomo_j3o.version import __version__

#: Exit statuses: all well; a wrong plan or bound, or a solver that failed; wrong use; Ctrl-C.
FINE, FAULTY, MISUSED, INTERRUPTED = 0, 1, 2, 130

_COMPARE = """\
Run solvers side by side on the same models, and check what they say.

Every run gets a model of its own. Every plan is checked on another one, and every bound against the plans of all
solvers. The exit status is 1 if a plan or a bound is wrong or a solver fails, 2 if the command cannot be carried
out, 130 after Ctrl-C, else 0; a solver that is not there, or whose licence is too small, is shown and counts for
nothing.
"""

_EXAMPLES = """\
examples:
  pyomo-j3o compare --suite taskonomy --clients 10 20 --edges 2 --seeds 0 1
  pyomo-j3o compare my_model.py --solvers j3o highs gurobi scip --time-limit 120 --csv runs.csv
  pyomo-j3o compare --solvers j3o fast=j3o:improve=False highs:presolve=off --plot runs.png
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command and return its exit status.

    Parameters
    ----------
    arguments
        Those of the process if not given.
    """
    parser = argparse.ArgumentParser(prog="pyomo-j3o", description="Tools beside the Pyomo solver j3o.")
    parser.add_argument("--version", action="version", version=f"pyomo_j3o {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_compare(
        commands.add_parser(
            "compare",
            help="run solvers side by side, and check what they say",
            description=_COMPARE,
            epilog=_EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    options = parser.parse_args(arguments)
    missing = [
        package
        for package, wanted in (("rich", True), ("matplotlib", options.plot is not None))
        if wanted and importlib.util.find_spec(package) is None
    ]
    if missing:
        return _misused(
            f"compare needs {' and '.join(missing)}; install with: python -m pip install 'pyomo-j3o[compare]'"
        )
    from pyomo_j3o.compare.records import CompareError

    try:
        return _compare(options)
    except CompareError as error:
        return _misused(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED


def _add_compare(parser: argparse.ArgumentParser) -> None:
    models = parser.add_argument_group("models (by default: --suite taskonomy --clients 10 20)")
    models.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="MODEL.py",
        help="a file with create_model(), pyomo_create_model() or a model, as the pyomo command reads it",
    )
    models.add_argument("--data", type=Path, metavar="FILE", help="the data of an abstract model")
    models.add_argument(
        "--suite",
        choices=("taskonomy", "domainnet", "quality"),
        help="a suite of pyomo_j3o.library; quality: the thirty instances of the page on quality",
    )
    models.add_argument("--clients", nargs="+", type=_positive, default=[], metavar="N", help="sizes")
    models.add_argument(
        "--edges", nargs="+", type=_positive, default=[], metavar="N", help="edge servers (2)"
    )
    models.add_argument(
        "--drop", choices=("no", "yes", "both"), default="no", help="whether queries may be dropped (no)"
    )
    models.add_argument(
        "--form",
        choices=("linear", "product"),
        default="linear",
        help="rows y <= x, or products x*y (linear)",
    )
    for budget in ("memory", "compute", "uplink"):
        models.add_argument(
            f"--{budget}",
            type=_amount,
            default=1.0,
            metavar="FACTOR",
            help=f"multiplies the {budget} budgets (1)",
        )
    models.add_argument(
        "--seeds",
        nargs="+",
        type=_whole,
        default=[0],
        metavar="N",
        help="each draws an instance, and is the random seed of every solver on it (0)",
    )
    solvers = parser.add_argument_group("solvers")
    solvers.add_argument(
        "--solvers",
        nargs="+",
        default=["j3o", "highs"],
        metavar="[LABEL=]NAME[:OPTION=VALUE,...]",
        help="names that Pyomo knows, with options of their own; one may come several times (j3o highs)",
    )
    solvers.add_argument("--time-limit", type=_amount, default=60.0, metavar="SECONDS", help="per run (60)")
    solvers.add_argument("--gap", type=_amount, default=1e-4, metavar="GAP", help="relative (1e-4)")
    solvers.add_argument("--threads", type=_positive, default=1, metavar="N", help="per solver (1)")
    solvers.add_argument(
        "--reference",
        default="",
        metavar="LABEL",
        help="whose time the shares refer to (the first beside j3o)",
    )
    solvers.add_argument(
        "--tolerance",
        type=_amount,
        default=1e-5,
        metavar="T",
        help="by how much a plan may miss a side, relative to max(1, |side|) (1e-5)",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--csv", type=Path, metavar="FILE", help="one line per run")
    output.add_argument("--json", type=Path, metavar="FILE", help="settings, versions, runs, summary, faults")
    output.add_argument(
        "--plot", type=Path, metavar="FILE.png", help="quality against time, and boxes per size"
    )


def _compare(options: argparse.Namespace) -> int:
    # Rich is an extra, and Pyomo takes a second: neither is needed to print a help text.
    from pyomo_j3o.compare import race, report
    from pyomo_j3o.compare.contestants import Contestant
    from pyomo_j3o.compare.records import CompareError, Settings
    from pyomo_j3o.compare.sources import Source, from_file, from_suite

    sources: list[Source] = []
    for file in options.files:
        sources += from_file(file, options.data, options.seeds)
    if options.suite or not options.files:
        sources += from_suite(
            options.suite or "taskonomy",
            options.clients,
            options.edges,
            {"no": (False,), "yes": (True,), "both": (False, True)}[options.drop],
            options.seeds,
            form=options.form,
            memory=options.memory,
            compute=options.compute,
            uplink=options.uplink,
        )
    for path in (options.csv, options.json, options.plot):
        _require_writable(path, CompareError)

    def save(comparison: race.Comparison) -> None:
        if options.csv is not None:
            report.write_csv(comparison, options.csv)
        if options.json is not None:
            report.write_json(comparison, options.json)

    terminal = report.TerminalReport(save=save)
    try:
        with terminal:
            comparison = race.compare(
                sources,
                [Contestant(text) for text in options.solvers],
                Settings(options.time_limit, options.gap, options.threads, options.tolerance),
                options.reference,
                terminal,
            )
        terminal.end(comparison)
    finally:
        terminal.close()
    save(comparison)
    if options.plot is not None and comparison.blocks:
        from pyomo_j3o.compare.plot import write_plot

        write_plot(comparison, options.plot)
    if comparison.faults():
        return FAULTY
    return INTERRUPTED if comparison.interrupted else FINE


def _require_writable(path: Path | None, error: type[Exception]) -> None:
    """Say so now, and not after an hour of solving, if a file cannot be written."""
    if path is None:
        return
    try:
        with open(path, "a", encoding="utf-8"):
            pass
    except OSError as cause:
        raise error(f"{path}: {cause.strerror}; give a file that can be written") from cause


def _misused(text: str) -> int:
    print(f"pyomo-j3o: {text}", file=sys.stderr)
    return MISUSED


def _positive(text: str) -> int:
    return _at_least(int(text), 1)


def _whole(text: str) -> int:
    return _at_least(int(text), 0)


def _amount(text: str) -> float:
    return _at_least(float(text), 0.0)


def _at_least(number: Any, least: float) -> Any:
    if not number >= least:
        raise argparse.ArgumentTypeError(f"{number} is less than {least}")
    return number
