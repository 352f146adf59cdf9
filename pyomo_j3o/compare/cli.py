"""The command ``pyomo-j3o``, also ``python -m pyomo_j3o``: reads arguments, and hands on what they ask."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyomo_j3o.core.version import __version__

if TYPE_CHECKING:
    from pyomo_j3o.compare.sources import Source

#: Exit statuses: all well; a wrong plan or bound, or a solver that failed; wrong use; Ctrl-C.
FINE, FAULTY, MISUSED, INTERRUPTED = 0, 1, 2, 130

_COMPARE = """\
Run solvers side by side on the same models, and check what they say.

Every run gets a copy of the model. Every plan is checked on another one, and every bound against the plans
of all solvers. The exit status is 1 if a plan or a bound is wrong or a solver fails, 2 if the command cannot
be carried out, 130 after Ctrl-C, else 0; a solver that is not there, or whose licence is too small, is shown
and counts for nothing.
"""

_EXAMPLES = """\
examples:
  pyomo-j3o compare --suite taskonomy --clients 10 20 --edges 2 --seeds 0 1
  pyomo-j3o compare my_model.py --solvers j3o highs gurobi scip --time-limit 120 --csv runs.csv
  pyomo-j3o compare --clients 5 --solvers highs j3o exact
  pyomo-j3o compare --solvers j3o fast=j3o:improve=False highs:presolve=off --plot runs.png
  pyomo-j3o compare --clients 10 20 --seeds 0 1 2 3 --workers 4
"""

_PICTURES = (".pdf", ".png", ".svg")


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command and return its exit status.

    Parameters
    ----------
    arguments
        Those of the process if not given.
    """
    if sys.stdout is None:  # closed by who called: the next file opened must not take its place
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
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
    if not (sys.argv[1:] if arguments is None else arguments):
        parser.print_help()
        return MISUSED
    options = parser.parse_args(arguments)
    missing = [package for package in ("rich", "matplotlib") if importlib.util.find_spec(package) is None]
    if missing:
        return _misused(f'compare needs {" and ".join(missing)}: pip install "pyomo-j3o[compare]"')
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
    models.add_argument(
        "--suite",
        choices=("taskonomy", "domainnet", "quality", "windows"),
        help="of pyomo_j3o.library.hierarchical; quality, windows: thirty instances each, of the docs pages",
    )
    models.add_argument("--clients", nargs="+", type=_positive, default=[], metavar="N", help="sizes")
    models.add_argument(
        "--edges", nargs="+", type=_positive, default=[], metavar="N", help="edge servers (2)"
    )
    models.add_argument("--droppable", action="store_true", help="let queries be dropped")
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
        help="names that Pyomo knows, with options of their own; one may come several times. exact: j3o's "
        "exact solver with HiGHS, with Gurobi and with SCIP; exact:highs: with one of them (j3o highs)",
    )
    solvers.add_argument("--time-limit", type=_amount, default=60.0, metavar="SECONDS", help="per run (60)")
    solvers.add_argument("--gap", type=_amount, default=1e-4, metavar="GAP", help="relative (1e-4)")
    solvers.add_argument("--threads", type=_positive, default=1, metavar="N", help="per solver (1)")
    engine = parser.add_argument_group("where runs go on (by default: here, one after the other)")
    where = engine.add_mutually_exclusive_group()
    where.add_argument("--workers", type=_positive, metavar="N", help="processes, one run in each at a time")
    where.add_argument("--dask", metavar="ADDRESS", help="of the scheduler of a Dask cluster")
    output = parser.add_argument_group("output")
    output.add_argument("--csv", type=Path, metavar="FILE", help="one line per run")
    output.add_argument("--json", type=Path, metavar="FILE", help="settings, versions, runs, summary, faults")
    output.add_argument(
        "--plot", type=Path, metavar="FILE.png", help="quality against time, and boxes per size"
    )


def _compare(options: argparse.Namespace) -> int:
    # Rich and matplotlib are an extra, and Pyomo takes a second: no help text needs them.
    from pyomo_j3o.compare import race, report
    from pyomo_j3o.compare.grammar import contestants_of
    from pyomo_j3o.compare.plot import write_plot
    from pyomo_j3o.compare.records import Settings
    from pyomo_j3o.compare.side_by_side import compare_side_by_side, opened

    sources = _sources(options)
    _require_writable(options)
    # A model file may change the folder.
    csv, json, picture = (path and path.absolute() for path in (options.csv, options.json, options.plot))

    def save(comparison: race.Comparison) -> None:
        if csv is not None:
            _write(csv, lambda: report.write_csv(comparison, csv))
        if json is not None:
            _write(json, lambda: report.write_json(comparison, json))

    contestants = [contestant for text in options.solvers for contestant in contestants_of(text)]
    settings = Settings(options.time_limit, options.gap, options.threads, side_by_side=_where(options))
    with report.TerminalReport(save=save) as terminal:
        if settings.side_by_side:
            with opened(options.workers, options.dask) as engine:
                comparison = compare_side_by_side(sources, contestants, settings, terminal, engine)
        else:
            comparison = race.compare(sources, contestants, settings, terminal)
        terminal.end(comparison)
    save(comparison)
    if picture is not None and comparison.blocks:
        _write(picture, lambda: write_plot(comparison, picture))
    if comparison.faults():
        return FAULTY
    if terminal.failure:
        return _misused(f"the table could not be written: {terminal.failure}")
    return INTERRUPTED if comparison.interrupted else FINE


def _where(options: argparse.Namespace) -> str:
    """Return where runs go on side by side; empty if they do not."""
    if options.dask:
        return f"the Dask cluster at {options.dask}"
    return f"{options.workers} worker processes" if options.workers else ""


def _sources(options: argparse.Namespace) -> list[Source]:
    """Return the models to compare on: those of the files, and those of the suite."""
    from pyomo_j3o.compare.records import CompareError
    from pyomo_j3o.compare.sources import from_file, from_suite

    of_suites = [name for name in ("clients", "edges", "droppable") if getattr(options, name)]
    if of_suites and options.files and not options.suite:
        given = " and ".join(f"--{name}" for name in of_suites)
        raise CompareError(f"{given}: of a suite, not of a file; leave it out, or name the suite by --suite")
    sources = [source for file in options.files for source in from_file(file, options.seeds)]
    if options.suite or not options.files:
        sources += from_suite(
            options.suite or "taskonomy", options.clients, options.edges, options.droppable, options.seeds
        )
    return sources


def _require_writable(options: argparse.Namespace) -> None:
    """Say so now, and not after an hour of solving, if a file cannot be written."""
    from pyomo_j3o.compare.records import CompareError

    if options.plot is not None and options.plot.suffix not in _PICTURES:
        raise CompareError(
            f"{options.plot}: no picture is written so; use a name that ends in {', '.join(_PICTURES)}"
        )
    places: dict[str, str] = {os.path.realpath(file): "the model file" for file in options.files}
    for option in ("csv", "json", "plot"):
        path = getattr(options, option)
        if path is None:
            continue
        new = not path.exists()
        place = os.path.realpath(path)
        if new or path.is_file():
            if place in places:
                raise CompareError(f"{path}: --{option} would overwrite {places[place]}; give another name")
            places[place] = f"the file of --{option}"
        try:
            path.open("a").close()
            if new:
                path.unlink()
        except OSError as cause:
            raise _unwritable(path, cause) from cause
        if path.is_file() and path.stat().st_size:
            print(f"pyomo-j3o: {path} is replaced", file=sys.stderr)


def _write(path: Path, write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as cause:
        raise _unwritable(path, cause) from cause


def _unwritable(path: Path, cause: OSError) -> Exception:
    from pyomo_j3o.compare.records import CompareError

    return CompareError(f"{path}: {cause.strerror}; give a file that can be written")


def _misused(text: str) -> int:
    print(f"pyomo-j3o: {text}", file=sys.stderr)
    return MISUSED


def _positive(text: str) -> int:
    return _at_least(_number(int, text, "a whole number"), 1)


def _whole(text: str) -> int:
    return _at_least(_number(int, text, "a whole number"), 0)


def _amount(text: str) -> float:
    return _at_least(_number(float, text, "a number"), 0.0)


def _number(kind: Callable[[str], Any], text: str, what: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}") from None


def _at_least(number: Any, least: float) -> Any:
    if not number >= least:
        raise argparse.ArgumentTypeError(f"{number} is less than {least}")
    return number
