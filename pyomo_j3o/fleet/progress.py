"""What a run shows while it goes on: a line for every round, and a bar where there is a terminal."""

from __future__ import annotations

import importlib.util
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from pyomo_j3o.core.log import Log
from pyomo_j3o.fleet.results import Round

_HEADER = f"{'Round':>6} {'Solves':>8} {'Plan':>14} {'Bound':>14} {'Gap':>8} {'Use':>8} {'Time':>9}"

#: Seconds without a line, after which one says how many parts are done where there is no bar.
_SILENT = 30.0


class Progress:
    """Tells how a run goes.

    Parameters
    ----------
    streams
        Where lines are written; none for silence.
    """

    def __init__(self, streams: Sequence[TextIO]) -> None:
        self._log = Log(streams)
        self._bar = bool(streams) and _has_terminal() and importlib.util.find_spec("rich") is not None
        self._last_line = time.monotonic()

    def line(self, text: str) -> None:
        """Write one line."""
        self._last_line = time.monotonic()
        self._log.line(text)

    def header(self) -> None:
        """Write the heads of the columns."""
        self.line(_HEADER)

    def round(self, found: Round) -> None:
        """Write what is known after one round."""
        self.line(
            f"{found.round:>6} {found.solved:>8} {_number(found.objective)} {_number(found.bound)} "
            f"{_percent(found.gap)} {_percent(found.share)} {found.time:>8.1f}s"
        )

    @contextmanager
    def of(self, total: int, what: str) -> Iterator[Callable[[], None]]:
        """Show a bar for a number of parts, or a line now and then; the function is called after each."""
        if not self._bar or total == 0:
            yield self._counter(total, what)
            return
        from rich.console import Console
        from rich.progress import Progress as Bar

        with Bar(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda: bar.advance(task)

    def _counter(self, total: int, what: str) -> Callable[[], None]:
        """Return a function that counts parts, and writes a line where none was written for a while."""
        done, begin = 0, time.monotonic()

        def count() -> None:
            nonlocal done
            done += 1
            now = time.monotonic()
            if now - self._last_line >= _SILENT:
                self.line(f"{what}: {done:,} of {total:,}, {now - begin:.0f} s")

        return count


def _has_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _number(value: float) -> str:
    return f"{value + 0.0:>#14.8g}" if math.isfinite(value) else f"{'-':>14}"


def _percent(part: float) -> str:
    return f"{100 * part:>7.2f}%" if math.isfinite(part) else f"{'-':>8}"
