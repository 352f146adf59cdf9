"""How progress is drawn: one line of rich on a terminal, one line of HTML in a notebook."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Display(Protocol):
    """A place where what a call does is drawn, and drawn over by what it does next."""

    def show(self, line: str, done: int, total: int) -> None:
        """Draw a line, with a bar where `total` is not 0."""

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Make room for what is printed meanwhile."""

    def close(self, line: str) -> None:
        """Leave this line where something has to be left."""


def new_display(counts: bool) -> Display | None:
    """Return where a call can draw; None where it can only print.

    Parameters
    ----------
    counts
        Whether there will be a bar.
    """
    if in_notebook():
        return NotebookLine()
    return TerminalLine.started(counts) if on_terminal() and not below_notebook() else None


def on_terminal() -> bool:
    """Return whether what stderr gets is seen at once."""
    return sys.stderr is not None and sys.stderr.isatty()


def below_notebook() -> bool:
    """Return whether a notebook runs this process as a command, by ``!``.

    Such a command sees a terminal, but nothing can be drawn over in the output of the cell.
    """
    return "JPY_PARENT_PID" in os.environ and not in_notebook()


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook: Jupyter, VS Code or Colab."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    return getattr(running, "kernel", None) is not None


class TerminalLine:
    """A line of rich on stderr with a spinner; it is gone at the end."""

    def __init__(self, drawn: Progress) -> None:
        self._drawn = drawn
        self._task: TaskID = drawn.add_task("", total=None)

    @classmethod
    def started(cls, counts: bool) -> TerminalLine | None:
        """Return a line that is drawn by now; None without rich, or where rich draws something else."""
        try:
            from rich.console import Console
            from rich.errors import LiveError
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
        except ImportError:
            return None
        bar = (BarColumn(),) if counts else ()
        columns = (SpinnerColumn(), *bar, TextColumn("{task.description}", markup=False))
        drawn = Progress(*columns, console=Console(stderr=True), transient=True)
        try:
            drawn.start()
        except LiveError:  # the caller draws already
            return None
        return cls(drawn)

    def show(self, line: str, done: int, total: int) -> None:
        """Draw a line, with a bar where `total` is not 0."""
        self._drawn.update(self._task, description=line, completed=done, total=total or None)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the line away while something else is printed."""
        self._drawn.stop()
        try:
            yield
        finally:
            self._drawn.start()

    def close(self, line: str) -> None:
        """Take the line away, and leave nothing."""
        self._drawn.stop()


class NotebookLine:
    """A line of HTML in the output of the cell; the last one stays, since an output cannot be taken away.

    Rich draws in notebooks, too, but by a widget. The widget leaves an empty output behind, and what is
    printed meanwhile comes out of order. This is IPython's own way to draw over an output.
    """

    def __init__(self) -> None:
        self._drawn = -math.inf
        self._handle: Any = None

    def show(self, line: str, done: int, total: int) -> None:
        """Draw a line, with a bar where `total` is not 0; five times a second at most."""
        now = time.perf_counter()
        if now - self._drawn >= 0.2:
            self._drawn = now
            self._draw(_Line(line, done, total))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Do nothing: other outputs have places of their own."""
        yield

    def close(self, line: str) -> None:
        """Leave this line."""
        self._draw(_Line(line, 0, 0))

    def _draw(self, line: _Line) -> None:
        from IPython.display import display

        if self._handle is None:
            self._handle = display(line, display_id=True)
        else:
            self._handle.update(line)


class _Line:
    """A line that IPython displays, with a bar where there is a total."""

    def __init__(self, line: str, done: int, total: int) -> None:
        self._line, self._done, self._total = line, done, total

    def __repr__(self) -> str:
        return self._line

    def _repr_html_(self) -> str:
        bar = f'<progress value="{self._done}" max="{self._total}"></progress> ' if self._total else ""
        return f'<div style="opacity:0.7">{bar}{escape(self._line)}</div>'
