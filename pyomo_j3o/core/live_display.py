"""How progress is drawn: one line of rich on a terminal, one line of HTML in a notebook."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Display(Protocol):
    """A place where what a call does is drawn, and drawn over by what it does next."""

    def show(self, text: str, done: int, total: int) -> None:
        """Draw a text, and a bar where `total` is not 0."""

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Make room for what is printed meanwhile."""

    def close(self) -> None:
        """Draw nothing from here on."""


def new_display(name: str, counts: bool = False) -> Display | None:
    """Return where a call can draw; None where it can only print.

    Parameters
    ----------
    name
        Of the call; it stands before every text.
    counts
        Whether there will be a bar.
    """
    if in_notebook():
        return NotebookLine(name)
    return TerminalLine.started(name, counts) if on_terminal() else None


def on_terminal() -> bool:
    """Return whether what stderr gets is seen at once.

    A command that a notebook runs, by ``!``, believes that it writes to a terminal. It does not: what it
    prints is kept, and nothing can be drawn over.
    """
    return sys.stderr is not None and sys.stderr.isatty() and "JPY_PARENT_PID" not in os.environ


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook: Jupyter, VS Code or Colab."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    return getattr(running, "kernel", None) is not None


class TerminalLine:
    """A line of rich on stderr with a spinner and the seconds; it is gone at the end."""

    def __init__(self, name: str, drawn: Progress) -> None:
        self._name, self._drawn = name, drawn
        self._task: TaskID = drawn.add_task(name, total=None)

    @classmethod
    def started(cls, name: str, counts: bool) -> TerminalLine | None:
        """Return a line that is drawn by now; None without rich, or where rich draws something else."""
        try:
            from rich.console import Console
            from rich.errors import LiveError
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
            from rich.progress import TimeElapsedColumn as Elapsed
        except ImportError:
            return None
        bar = (BarColumn(), MofNCompleteColumn()) if counts else ()
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), *bar, Elapsed())
        drawn = Progress(*columns, console=Console(stderr=True), transient=True)
        try:
            drawn.start()
        except LiveError:  # the caller draws already
            return None
        return cls(name, drawn)

    def show(self, text: str, done: int, total: int) -> None:
        """Draw a text, and a bar where `total` is not 0."""
        description = f"{self._name}: {text}" if text else self._name
        self._drawn.update(self._task, description=description, completed=done, total=total or None)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the line away while something else is printed."""
        self._drawn.stop()
        try:
            yield
        finally:
            self._drawn.start()

    def close(self) -> None:
        """Take the line away."""
        self._drawn.stop()


class NotebookLine:
    """A line of HTML in the output of the cell, which says at the end how long the call took.

    Rich draws in notebooks, too, but by a widget. The widget leaves an empty output behind, and what is
    printed meanwhile comes out of order. This is IPython's own way to draw over an output.
    """

    def __init__(self, name: str) -> None:
        from IPython.display import display

        self._name, self._begin = name, time.perf_counter()
        self._drawn = -math.inf
        self._handle = display(_Line(name, 0, 0), display_id=True)

    def show(self, text: str, done: int, total: int) -> None:
        """Draw a text, and a bar where `total` is not 0; five times a second at most."""
        now = time.perf_counter()
        if now - self._drawn >= 0.2:
            self._drawn = now
            self._draw(text, done, total)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Do nothing: other outputs have places of their own."""
        yield

    def close(self) -> None:
        """Say how long it took: an output cannot be taken away."""
        self._draw("", 0, 0)

    def _draw(self, text: str, done: int, total: int) -> None:
        seconds = f"{time.perf_counter() - self._begin:.0f} s"
        said = f"{self._name}: {text} ({seconds})" if text else f"{self._name}: {seconds}"
        self._handle.update(_Line(said, done, total))


class _Line:
    """A line that IPython displays, with a bar where there is a total."""

    def __init__(self, text: str, done: int, total: int) -> None:
        self._text, self._done, self._total = text, done, total

    def __repr__(self) -> str:
        return f"{self._text}, {self._done} of {self._total}" if self._total else self._text

    def _repr_html_(self) -> str:
        bar = f'<progress value="{self._done}" max="{self._total}"></progress> ' if self._total else ""
        return f'<div style="opacity:0.7">{bar}{escape(repr(self))}</div>'
