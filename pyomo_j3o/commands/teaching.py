"""``pyomo-j3o exercise``: a folder of exercises for a course, and how far their solutions are."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyomo_j3o.commands.answers import Answer, Terminal
from pyomo_j3o.commands.arguments import new_command
from pyomo_j3o.commands.exercise_tests import EXERCISES, tests_of, text_of
from pyomo_j3o.commands.pages import csv_of
from pyomo_j3o.compare.cli import FINE, say
from pyomo_j3o.core.output_files import require_writable
from pyomo_j3o.core.table import Table
from pyomo_j3o.core.whole_files import write_whole
from pyomo_j3o.errors import FileError, OptionError

#: Exit status of `check` if a test fails.
_FAILED = 1

_EXERCISE = """\
Write three exercises of 45 minutes each, with their tests, or check solutions of them.
"""

_NEW = """\
Write a folder with three exercises: an onloading step, a stopping rule, and an observer.

Each is a Python file with TODOs, and tests beside it that fail until these are done. The exit status is 0, or
2 if the folder cannot be written. Nothing is overwritten.
"""

_NEW_EXAMPLES = """\
examples:
  pyomo-j3o exercise new homework && cd homework && python -m unittest test_onloading_step
"""

_CHECK = """\
Run the tests of the exercises on the code in folders, and show how many pass.

The tests are those of this installation, whatever the folders' own say. Every exercise runs in a process of
its own, which is ended after the time limit. The code is run as it is: check what you
trust, or in a container.

The exit status is 0 if all tests pass, 1 if one fails, 2 if the command cannot be carried out.
"""

_CHECK_EXAMPLES = """\
examples:
  pyomo-j3o exercise check homework
  pyomo-j3o exercise check submissions/* --csv points.csv
"""

_COLUMNS = ("folder", "exercise", "tests", "passed", "first_failure")


def add_parsers(commands: Any) -> None:
    """Add `exercise` to the commands."""
    parser = new_command(commands, "exercise", "exercises for a course", _EXERCISE, _NEW_EXAMPLES)
    actions = parser.add_subparsers(dest="action", required=True, metavar="new|check")
    new = new_command(actions, "new", "write the exercises", _NEW, _NEW_EXAMPLES)
    new.add_argument("name", type=Path, metavar="NAME", help="of the folder")
    new.set_defaults(run=run_new)
    check = new_command(actions, "check", "check solutions", _CHECK, _CHECK_EXAMPLES)
    check.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="with solutions")
    check.add_argument("--csv", type=Path, metavar="FILE", help="one line per folder and exercise")
    check.add_argument(
        "--time-limit", type=float, default=120.0, metavar="SECONDS", help="per exercise and folder (120)"
    )
    check.set_defaults(run=run_check)


def run_new(options: argparse.Namespace) -> int:
    """Carry out `exercise new`, and return the exit status.

    Raises
    ------
    FileError
        There is such a file or folder, or it cannot be written.
    """
    folder: Path = options.name
    if folder.exists() or folder.is_symlink():
        raise FileError(f"{folder}: it is there already; give another name")
    names = [f"{test}{exercise}.py" for exercise in EXERCISES for test in ("", "test_")]
    try:
        folder.mkdir()
        for name in ("README.md", *names):
            write_whole(folder / name, text_of(name).encode())
    except OSError as error:
        raise FileError(
            f"{folder}: {error.strerror or error}; give a name in a folder that is there"
        ) from error
    text = f"{folder} is written; begin with {folder / 'README.md'}, then: pyomo-j3o exercise check {folder}"
    return Terminal().deliver(Answer(text), {})


def run_check(options: argparse.Namespace) -> int:
    """Carry out `exercise check`, and return the exit status.

    Raises
    ------
    FileError
        There is no such folder, or the table cannot be written.
    OptionError
        The time limit is not above 0.
    """
    if not options.time_limit > 0:
        raise OptionError(f"--time-limit {options.time_limit:g}: give seconds above 0")
    for folder in options.folders:
        if not folder.is_dir():
            raise FileError(f"{folder}: there is no such folder; 'pyomo-j3o exercise new' writes one")
    for path in require_writable({"csv": options.csv}, {}):
        say(f"{path} is replaced")
    rows = [row for folder in options.folders for row in _checked(folder, options.time_limit)]
    table = Table(_COLUMNS, rows)
    passed, tests = sum(table["passed"]), sum(table["tests"])
    text = f"{table}\n{passed} of {tests} tests pass."
    files = {} if options.csv is None else {"csv": options.csv.absolute()}
    answer = Answer(text, FINE if passed == tests else _FAILED, {"csv": lambda _: csv_of({"": table})})
    return Terminal().deliver(answer, files)


def _checked(folder: Path, time_limit: float) -> Iterator[dict[str, Any]]:
    """Yield a row of the table for each exercise in a folder."""
    for exercise in EXERCISES:
        found = _run(folder.absolute(), exercise, time_limit)
        failed = [f"{one['test']}: {one['reason']}" for one in found if not one["passed"]]
        yield {
            "folder": str(folder),
            "exercise": exercise,
            "tests": len(found),
            "passed": len(found) - len(failed),
            "first_failure": failed[0] if failed else "",
        }


def _run(folder: Path, exercise: str, time_limit: float) -> list[dict[str, Any]]:
    """Run the tests of an exercise in a process, and return their outcomes."""
    with tempfile.TemporaryDirectory() as place:
        answer = Path(place, "outcomes.json")
        command = [sys.executable, "-B", "-m", "pyomo_j3o.commands.exercise_tests", str(folder), exercise]
        try:
            subprocess.run([*command, str(answer)], capture_output=True, timeout=time_limit, check=False)
            why = "the code ended the process"
        except subprocess.TimeoutExpired:
            why = f"not over after {time_limit:g} s"
        if answer.exists():
            return json.loads(answer.read_text(encoding="utf-8"))
    return [{"test": name, "passed": False, "reason": why} for name in tests_of(exercise)]
