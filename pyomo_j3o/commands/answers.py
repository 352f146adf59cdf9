"""What a command found, and how it reaches the user: files first, then the text on standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pyomo_j3o.commands.arguments import FORMS
from pyomo_j3o.compare.cli import FINE, MISUSED, say
from pyomo_j3o.core.lasting_stream import LastingStream
from pyomo_j3o.core.output_files import write_somewhere
from pyomo_j3o.errors import FileError

#: Exit status of a command whose model has no plan, or none that was found.
NO_PLAN = 1


@dataclass(frozen=True)
class Answer:
    """What a command found.

    Attributes
    ----------
    text
        For the terminal.
    status
        The exit status, if nothing goes wrong with the files.
    forms
        By ``"csv"``, ``"json"``, ``"html"`` and ``"plot"``, what returns the content of such a file, given
        the ending of its name. Those that there is nothing for are left out.
    """

    text: str
    status: int = FINE
    forms: Mapping[str, Callable[[str], bytes]] = field(default_factory=dict)
    failures: tuple[str, ...] = ()


class Terminal:
    """Standard output as long as one command lasts: nothing is lost if it cannot be written."""

    def __init__(self) -> None:
        self.stream = LastingStream(sys.stdout)

    def deliver(self, answer: Answer, files: Mapping[str, Path]) -> int:
        """Write the files, print the text, and return the exit status.

        Parameters
        ----------
        answer
            What was found.
        files
            Where to write what, by the names of forms.
        """
        for name in files.keys() - answer.forms.keys():
            say(f"{files[name]}: it was not written, as there is nothing to write")
        failures = [*answer.failures, *_write(answer, files)]
        self.line(answer.text)
        if self.stream.failure:
            failures.append(f"standard output: {self.stream.failure}")
        for failure in failures:
            say(failure)
        self._leave()
        # What became of the plan says more than what became of its files.
        return MISUSED if failures and answer.status == FINE else answer.status

    def line(self, text: str) -> None:
        """Print a line; nothing if the text is empty."""
        if text:
            self.stream.write(text.rstrip("\n") + "\n")
            self.stream.flush()

    def _leave(self) -> None:
        """Keep Python from failing at its end on what cannot be written."""
        try:
            sys.stdout.flush()
        except OSError:
            with suppress(OSError, ValueError, AttributeError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(answer: Answer, files: Mapping[str, Path]) -> Iterator[str]:
    """Write the files, and yield what went wrong with each."""
    for name in FORMS:
        if name not in files or name not in answer.forms:
            continue
        path = files[name]
        try:
            write_somewhere(path, answer.forms[name](path.suffix))
        except FileError as error:
            yield str(error)
        except Exception as error:  # whatever fails at a file, the plan and the other files are not lost
            yield f"{path}: it was not written: {type(error).__name__}: {' '.join(str(error).split())}"
