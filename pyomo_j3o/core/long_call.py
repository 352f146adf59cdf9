"""What a call of some seconds is doing: a live line on a terminal where rich is there, else plain lines."""

from __future__ import annotations

import logging
import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

logger = logging.getLogger("pyomo_j3o")

#: A call that takes less says nothing unless it is asked to, s.
_QUIET = 3.0

#: Plain lines come no faster, s.
_BETWEEN = 2.0

#: Where lines are printed, one comes this often at least, s.
_BEAT = 4.0


class LongCall:
    """Tells what a call is doing once it takes more than a few seconds; a context manager.

    On a terminal, rich draws one line that is gone at the end. Without rich, and in a notebook, plain lines
    go to stderr. Where nobody looks, such as in a pipe, lines go to the log, at level INFO. If a step takes
    long, what was said last is printed again every few seconds.

    Parameters
    ----------
    name
        Of the call, such as "explain".
    tee
        True: every line is printed to stdout, from the beginning. False: nothing is told. None: as above.
    quiet
        Seconds before the first line.
    beat
        Seconds after which a line is printed again.
    """

    def __init__(
        self, name: str, tee: bool | None = None, quiet: float = _QUIET, beat: float = _BEAT
    ) -> None:
        self._name, self._tee, self._quiet, self._beat = name, tee, quiet, beat
        self._begin = time.perf_counter()
        self._told = 0.0 if tee else -_BETWEEN
        self._text = "at work"
        self._drawn: Progress | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()

    def __enter__(self) -> LongCall:
        if self._tee or (self._tee is None and _is_watched()):
            threading.Thread(target=self._repeat, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        with self._lock:
            if self._drawn is not None:
                self._drawn.stop()
                self._drawn = None

    @property
    def seconds(self) -> float:
        """Seconds since the call began."""
        return time.perf_counter() - self._begin

    def say(self, text: str) -> None:
        """Say in one line what is done now, or what is known by now."""
        if self._tee is False:
            return
        self._text = text
        if self._tee:
            with self._lock:
                self._print(text)
            return
        if self.seconds >= self._quiet:
            self._show()

    def _print(self, text: str) -> None:
        print(f"{text} ({self.seconds:.1f} s)", flush=True)
        self._told = self.seconds

    def _repeat(self) -> None:
        """Show the text of now until the call is over; in a thread of its own."""
        wait = self._beat if self._tee else self._quiet
        while not self._over.wait(wait):
            if not self._tee:
                self._show()
                wait = self._beat
                continue
            with self._lock:
                silent = self.seconds - self._told
                if silent >= self._beat and not self._over.is_set():
                    self._print(f"{self._text}, still at work")
                    silent = 0.0
            wait = max(self._beat - silent, 0.01)

    def _show(self) -> None:
        """Draw the text of now; called by the thread, too."""
        with self._lock:
            if self._over.is_set():
                return
            if self._drawn is None and _on_terminal():
                self._drawn = _drawn_line()
                if self._drawn is not None:
                    self._drawn.add_task(self._name)
            if self._drawn is not None:
                self._drawn.update(self._drawn.task_ids[0], description=f"{self._name}: {self._text}")
            elif self.seconds - self._told >= _BETWEEN:
                self._told = self.seconds
                line = f"{self._name}: {self._text} ({self.seconds:.0f} s)"
                if _is_watched():
                    print(line, file=sys.stderr, flush=True)
                else:
                    logger.info("%s", line)


def _is_watched() -> bool:
    """Return whether somebody sees what stderr gets: on a terminal, or in a notebook."""
    return _on_terminal() or _in_notebook()


def _on_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    return running is not None and type(running).__name__ == "ZMQInteractiveShell"


def _drawn_line() -> Progress | None:
    """Return a started line of rich on stderr with a spinner and the seconds; None without rich."""
    try:
        from rich.console import Console
        from rich.errors import LiveError
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    except ImportError:
        return None
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    line = Progress(*columns, console=Console(stderr=True), transient=True)
    try:
        line.start()
    except LiveError:  # the caller draws already
        return None
    return line
