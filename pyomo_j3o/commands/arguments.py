"""The arguments that commands share: the model, the options of the solver, and the files to write."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any

from pyomo_j3o.compare.cli import say
from pyomo_j3o.core.output_files import require_writable
from pyomo_j3o.errors import OptionError

#: Options of j3o that have an argument of their own.
_SPELT_OUT = (
    ("time_limit", "SECONDS", "when to stop"),
    ("rel_gap", "GAP", "relative gap to reach, such as 1e-3; it is pursued until the time limit or Ctrl-C"),
    ("effort", "EFFORT", "how long to search on: alternation, default, full, or a factor such as 3"),
    ("algorithm", "NAME", "auto, j3o, baj3o or exact"),
    ("seed", "N", "random seed of the solver, and of create_model(seed) if it has that parameter"),
    ("threads", "N", "for LPs and MIPs"),
)

#: Options of j3o that the commands set by themselves.
_OURS = ("tee", "load_solutions", "raise_exception_on_nonoptimal_result")

#: What files hold, in the order in which they are written.
FORMS = ("csv", "json", "html", "plot")

_MODEL = "a Python file with a model, an MPS or LP file, or a library folder"
_MODEL_OF_LIBRARY = "a library folder, or a Python file with a model of pyomo_j3o.library.build_model"


def new_command(commands: Any, name: str, summary: str, description: str, examples: str) -> Any:
    """Add a command to those of ``pyomo-j3o``, and return its parser.

    Parameters
    ----------
    commands
        What `ArgumentParser.add_subparsers` returned.
    name, summary
        Its first word, and what it does in a few words.
    description, examples
        Of its own help.
    """
    return commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_model(parser: argparse.ArgumentParser, of_library: bool = False) -> None:
    """Add the arguments that name a model.

    Parameters
    ----------
    parser
        Of the command.
    of_library
        Whether the command takes models of the library alone, and no MPS and LP files.
    """
    group = parser.add_argument_group("model")
    named = _MODEL_OF_LIBRARY if of_library else _MODEL
    group.add_argument("model", nargs="?", type=Path, metavar="MODEL", help=named)
    if of_library:
        parser.set_defaults(onloading=None)
    else:
        group.add_argument(
            "--onloading",
            action="extend",
            nargs="+",
            metavar="PATTERN",
            help="names of the onloading columns of an MPS or LP file, as 'x*' (all binary and integer ones)",
        )
    group.add_argument("--droppable", action="store_true", help="of a folder: queries may be dropped")
    group.add_argument(
        "--headroom", type=float, metavar="PART", help="of a folder: part of every window to keep free"
    )


def add_solver(parser: argparse.ArgumentParser) -> None:
    """Add the options of j3o."""
    group = parser.add_argument_group("solver")
    for name, metavar, text in _SPELT_OUT:
        group.add_argument("--" + name.replace("_", "-"), metavar=metavar, help=text)
    group.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other option of j3o, such as lp_solver=highs; it may come several times",
    )
    group.add_argument("--quiet", "-q", action="store_true", help="no log")


def add_outputs(parser: argparse.ArgumentParser, table: str, picture: str) -> None:
    """Add the files that can be written.

    Parameters
    ----------
    parser
        Of the command.
    table, picture
        What the CSV file and the picture show.
    """
    group = parser.add_argument_group("files")
    group.add_argument("--csv", type=Path, metavar="FILE", help=table)
    group.add_argument("--json", type=Path, metavar="FILE", help="the same, for programs")
    group.add_argument("--html", type=Path, metavar="FILE", help="the same, as a page for a browser")
    group.add_argument("--plot", type=Path, metavar="FILE.png", help=picture)


def solver_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of j3o that the command line gives.

    Raises
    ------
    OptionError
        One is given twice, is no ``NAME=VALUE``, or is set by the command itself.
    """
    from pyomo_j3o.compare.grammar import value_of

    given = {name: getattr(options, name) for name, _, _ in _SPELT_OUT if getattr(options, name) is not None}
    for word in options.option:
        name, equals, text = word.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            raise OptionError(f"--option {word}: it is no option; write --option NAME=VALUE")
        if name in _OURS:
            raise OptionError(f"--option {word}: the command sets it; leave it out (--quiet: no log)")
        if name in given:
            raise OptionError(f"--option {word}: {name} is given twice; leave one out")
        given[name] = value_of(text.strip())
    return given


def output_files(options: argparse.Namespace) -> dict[str, Path]:
    """Return the files to write by `FORMS`, absolute: a model file may change the folder.

    Raises
    ------
    FileError
        One of them cannot be written, or would overwrite the model.
    OptionError
        Pictures need matplotlib, which is not there.
    """
    outputs = {name: getattr(options, name) for name in FORMS}
    if outputs["plot"] is not None and importlib.util.find_spec("matplotlib") is None:
        raise OptionError('--plot needs matplotlib: pip install "pyomo-j3o[plot]"')
    for path in require_writable(outputs, _inputs(options.model)):
        say(f"{path} is replaced")
    return {name: path.absolute() for name, path in outputs.items() if path is not None}


def _inputs(model: Path | None) -> dict[Path, str]:
    """Return the files that are read."""
    if model is None:
        return {}
    if model.is_dir():
        return dict.fromkeys(model.iterdir(), "a table of the model")
    return {model: "the model file"}
