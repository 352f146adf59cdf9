"""What a call of some seconds is doing: drawn where that is possible, else in a plain line now and then."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from pyomo_j3o.core.live_display import Display, in_notebook, new_display, on_terminal

logger = logging.getLogger("pyomo_j3o")

#: A call that takes less says nothing unless it is asked to, s.
_QUIET = 3.0

#: Plain lines come no faster, s.
_BETWEEN = 30.0

#: Where every line is printed, one comes this often at least, s.
_BEAT = 4.0

#: What is drawn is drawn anew as often, for its seconds, s.
_TICK = 1.0


class LongCall:
    """Tells what a call is doing once it takes more than a few seconds; a context manager.

    On a terminal with rich, and in a notebook, one line is drawn, see `pyomo_j3o.core.live_display`. A
    terminal without rich gets a plain line every half minute. Where nobody looks, such as in a pipe, these
    lines go to the log, at level INFO.

    Parameters
    ----------
    name
        Of the call, such as "explain".
    tee
        True: every line is printed to stdout, from the beginning, and the last one again if a step takes
        long. False: nothing is told. None: as above.
    quiet
        Seconds before the first line.
    counts
        Whether the call counts what is done, for a bar.
    plain
        Takes the lines of a call that does not draw, which has other lines, too. If not given, they go to
        stderr or to the log.
    beat
        Seconds after which a printed line is printed again.
    """

    def __init__(
        self,
        name: str,
        tee: bool | None = None,
        quiet: float = _QUIET,
        counts: bool = False,
        plain: Callable[[str], None] | None = None,
        beat: float = _BEAT,
    ) -> None:
        self._name, self._tee, self._quiet, self._counts = name, tee, quiet, counts
        self._beat, self._printed = beat, 0.0
        self._plain = _print_plainly if plain is None else plain
        self._ticks = plain is not None or on_terminal() or in_notebook()
        self._begin = time.perf_counter()
        self._next = quiet if plain is None else _BETWEEN  # when a plain line is due, s
        self._text, self._done, self._total = "", 0, 0
        self._display: Display | None = None
        self._lock = threading.RLock()
        self._over = threading.Event()

    def __enter__(self) -> LongCall:
        if self._tee is None and self._quiet <= 0.0:
            self._show()
        if self._tee or (self._tee is None and self._ticks):
            threading.Thread(target=self._repeat if self._tee else self._tick, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._over.set()
            if self._display is not None:
                self._display.close(f"{self._name}: {self.seconds:.0f} s")
                self._display = None

    @property
    def seconds(self) -> float:
        """Seconds since the call began."""
        return time.perf_counter() - self._begin

    def say(self, text: str, done: int = 0, total: int = 0) -> None:
        """Say in one line what is done now, or what is known by now.

        Parameters
        ----------
        text
            The line.
        done, total
            How much of it is done, and how much there is; 0 where that is not known.
        """
        if self._tee is False:
            return
        self._text, self._done, self._total = text, done, total
        if self._tee:
            with self._lock:
                self._print(_counted(text, done, total))
            return
        if self.seconds >= self._quiet:
            self._show()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Make room for a line that is printed meanwhile; the next plain line is not due soon after it."""
        with self._lock:
            self._next = max(self._next, self.seconds + _BETWEEN)
            if self._display is None:
                yield
            else:
                with self._display.aside():
                    yield

    def _print(self, text: str) -> None:
        print(f"{text} ({self.seconds:.1f} s)", flush=True)
        self._printed = self.seconds

    def _repeat(self) -> None:
        """Print what was said last again wherever nothing was printed for long; the work of a thread."""
        wait = self._beat
        while not self._over.wait(wait):
            with self._lock:
                silent = self.seconds - self._printed
                if silent >= self._beat and not self._over.is_set():
                    text = _counted(self._text, self._done, self._total)
                    self._print(f"{text}, still at work" if text else "at work")
                    silent = 0.0
            wait = max(self._beat - silent, 0.01)

    def _tick(self) -> None:
        """Show what is done, again and again; the work of a thread."""
        wait = self._quiet - self.seconds
        while not self._over.wait(max(wait, 0.0)):
            self._show()
            wait = _TICK

    def _show(self) -> None:
        """Draw the text of now, or print it if a plain line is due."""
        with self._lock:
            if self._over.is_set():
                return
            if self._display is None:
                self._display = new_display(self._counts)
            if self._display is not None:
                self._display.show(self._line(), self._done, self._total)
            elif self._text and self.seconds >= self._next:
                self._next = self.seconds + _BETWEEN
                self._plain(self._line())

    def _line(self) -> str:
        text = _counted(self._text, self._done, self._total)
        return (
            f"{self._name}: {text} ({self.seconds:.0f} s)" if text else f"{self._name}: {self.seconds:.0f} s"
        )


def _counted(text: str, done: int, total: int) -> str:
    return f"{text}, {done:,} of {total:,}" if total else text


def _print_plainly(line: str) -> None:
    """Print a line where somebody looks, else log it."""
    if on_terminal():
        print(line, file=sys.stderr, flush=True)
    else:
        logger.info("%s", line)
