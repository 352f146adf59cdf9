"""``pyomo-j3o compare``: reads its arguments, and hands on what they ask."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyomo_j3o.compare.records import CompareError
from pyomo_j3o.core.output_files import require_writable, write_somewhere
from pyomo_j3o.core.whole_files import write_whole
from pyomo_j3o.errors import FileError

if TYPE_CHECKING:
    from pyomo_j3o.compare.contestants import Contestant
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
  pyomo-j3o compare --onloading mymodule:my_step --plot scoreboard.png
"""


def add_parser(commands: Any) -> None:
    """Add the command to those of ``pyomo-j3o``.

    Parameters
    ----------
    commands
        What `ArgumentParser.add_subparsers` returned.
    """
    parser = commands.add_parser(
        "compare",
        help="run solvers side by side, and check what they say",
        description=_COMPARE,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    _add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Compare as the options say, and return the exit status.

    Parameters
    ----------
    options
        Of the parser that `add_parser` adds.

    Raises
    ------
    CompareError, FileError
        The comparison cannot be made as it was asked for.
    """
    missing = [package for package in ("rich", "matplotlib") if importlib.util.find_spec(package) is None]
    if missing:
        raise CompareError(f'compare needs {" and ".join(missing)}: pip install "pyomo-j3o[compare]"')
    return _compare(options)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
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
        choices=(
            "taskonomy",
            "domainnet",
            "nyud",
            "pascal_context",
            "cityscapes3d",
            "quality",
            "windows",
            "course",
        ),
        help="of pyomo_j3o.library.hierarchical; quality, windows: thirty instances each, of the docs pages; "
        "course: the six of a scoreboard",
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
        default=[],
        metavar="N",
        help="each draws an instance, and is the random seed of every solver on it (0)",
    )
    solvers = parser.add_argument_group("solvers")
    solvers.add_argument(
        "--solvers",
        nargs="+",
        default=[],
        metavar="[LABEL=]NAME[:OPTION=VALUE,...]",
        help="names that Pyomo knows, with options of their own; one may come several times. exact: j3o's "
        "exact solver with HiGHS, with Gurobi and with SCIP; exact:highs: with one of them (j3o highs)",
    )
    solvers.add_argument(
        "--onloading",
        nargs="+",
        default=[],
        metavar="MODULE:FUNCTION",
        help="onloading steps of your own, of modules or files: the alternation with each beside "
        "that with the greedy step, j3o and the baselines (or --solvers), on --suite course (or others)",
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
    # Rich and matplotlib are an extra: no help text needs them.
    from pyomo_j3o.compare import race, report
    from pyomo_j3o.compare.plot import as_picture
    from pyomo_j3o.compare.records import Settings
    from pyomo_j3o.compare.side_by_side import compare_side_by_side, opened

    sources = _sources(options)
    contestants = _contestants(options)
    for contestant in contestants:
        contestant.require_known()
    outputs = {name: getattr(options, name) for name in ("csv", "json", "plot")}
    for path in require_writable(outputs, dict.fromkeys(options.files, "the model file")):
        say(f"{path} is replaced")
    # A model file may change the folder.
    files = {name: path.absolute() for name, path in outputs.items() if path is not None}
    forms: dict[str, Callable[[race.Comparison], bytes]] = {"csv": report.as_csv, "json": report.as_json}

    def save(comparison: race.Comparison) -> None:
        for name in forms.keys() & files.keys():
            with suppress(OSError):  # the last time tells
                write_whole(files[name], forms[name](comparison))

    settings = Settings(options.time_limit, options.gap, options.threads, side_by_side=_where(options))
    with report.TerminalReport(save=save) as terminal:
        if settings.side_by_side:
            with opened(options.workers, options.dask) as engine:
                comparison = compare_side_by_side(sources, contestants, settings, terminal, engine)
        else:
            comparison = race.compare(sources, contestants, settings, terminal)
        terminal.end(comparison)
    if "plot" in files and comparison.blocks:
        forms["plot"] = lambda found: as_picture(found, files["plot"].suffix)
    failures = list(_failures(comparison, files, forms))
    if terminal.failure:
        failures.append(f"the table could not be written: {terminal.failure}")
    for failure in failures:
        say(failure)
    if comparison.faults():
        return FAULTY
    if failures:
        return MISUSED
    return INTERRUPTED if comparison.interrupted else FINE


def _failures(
    comparison: Any, files: Mapping[str, Path], forms: Mapping[str, Callable[[Any], bytes]]
) -> Iterator[str]:
    """Write every file, and yield what went wrong."""
    for name, form in forms.items():
        if name in files:
            try:
                write_somewhere(files[name], form(comparison))
            except FileError as error:
                yield str(error)


def _where(options: argparse.Namespace) -> str:
    """Return where runs go on side by side; empty if they do not."""
    if options.dask:
        return f"the Dask cluster at {options.dask}"
    return f"{options.workers} worker processes" if options.workers else ""


def _contestants(options: argparse.Namespace) -> list[Contestant]:
    """Return who takes part: the solvers and steps that are named, or who is usual."""
    from pyomo_j3o.compare.grammar import contestants_of
    from pyomo_j3o.compare.steps import scoreboard, steps_of

    steps = steps_of(options.onloading)
    if steps and not options.solvers:
        return scoreboard(steps)
    named = options.solvers or ["j3o", "highs"]
    return [*steps, *(contestant for text in named for contestant in contestants_of(text))]


def _sources(options: argparse.Namespace) -> list[Source]:
    """Return the models to compare on: those of the files, and those of the suite."""
    from pyomo_j3o.compare.sources import from_file, from_suite

    of_suites = [name for name in ("clients", "edges", "droppable") if getattr(options, name)]
    if of_suites and options.files and not options.suite:
        given = " and ".join(f"--{name}" for name in of_suites)
        raise CompareError(f"{given}: of a suite, not of a file; leave it out, or name the suite by --suite")
    seeds = options.seeds or [0]
    sources = [source for file in options.files for source in from_file(file, options.seeds)]
    if options.suite or not options.files:
        usual = "course" if options.onloading and not (of_suites or options.seeds) else "taskonomy"
        sources += from_suite(
            options.suite or usual, options.clients, options.edges, options.droppable, seeds
        )
    return sources


def say(text: str) -> None:
    """Write one line to standard error, with the name of the command."""
    print(f"pyomo-j3o: {text}", file=sys.stderr)


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
