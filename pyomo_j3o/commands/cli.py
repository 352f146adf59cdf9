"""The command ``pyomo-j3o``, also ``python -m pyomo_j3o``: reads its first word, and hands on the others."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches

from pyomo_j3o.commands import playing, questions, solving, starting, teaching
from pyomo_j3o.compare import cli as comparing
from pyomo_j3o.compare.cli import INTERRUPTED, MISUSED, say
from pyomo_j3o.core.version import __version__
from pyomo_j3o.errors import J3OError

_DESCRIPTION = """\
Solve models by the Pyomo solver j3o, ask about their plans, and compare solvers.

'pyomo-j3o COMMAND --help' lists the options of a command.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command and return its exit status.

    Parameters
    ----------
    arguments
        Those of the process if not given.
    """
    if sys.stdout is None:  # closed by who called: the next file opened must not take its place
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _Parser(
        prog="pyomo-j3o",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pyomo_j3o {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for room in (starting, solving, questions, playing):
        room.add_parsers(commands)
    comparing.add_parser(commands)
    teaching.add_parsers(commands)
    if not given:
        parser.print_help()
        return MISUSED
    if not given[0].startswith("-") and given[0] not in commands.choices:
        near = get_close_matches(given[0], commands.choices, 1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(commands.choices)}"
        say(f"there is no command {given[0]!r}; {hint}")
        return MISUSED
    options, unknown = parser.parse_known_args(given)
    if unknown:
        say(_unknown(unknown[0], commands.choices[options.command]))
        return MISUSED
    try:
        status: int = options.run(options)
        return status
    except J3OError as error:
        say(str(error))
        return MISUSED
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except ImportError as error:
        if not _was_ctrl_c(error):
            raise
        say("interrupted")
        return INTERRUPTED


def _was_ctrl_c(error: BaseException | None) -> bool:
    """Return whether Ctrl-C lies behind an error: modules written in C make another one of it."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _unknown(word: str, parser: argparse.ArgumentParser) -> str:
    """Say that a command has no such argument, and which one may be meant."""
    options = [option for action in parser._actions for option in action.option_strings]
    near = get_close_matches(word.partition("=")[0], options, 1)
    hint = f"did you mean {near[0]}?" if near else f"'{parser.prog} --help' lists what there is"
    return f"{parser.prog.split()[-1]} has no argument {word!r}; {hint}"


class _Parser(argparse.ArgumentParser):
    """A parser whose commands say what is wrong in one sentence, below a short usage."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Write the sentence to standard error, and end with status 2."""
        self.exit(MISUSED, f"pyomo-j3o: {message}\n'{self.prog} --help' lists what there is\n")
