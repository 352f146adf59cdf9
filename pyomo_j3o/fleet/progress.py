"""What a run shows while it goes on: a line for every round, and how many parts of it are done."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from pyomo_j3o.core.log import Log
from pyomo_j3o.core.long_call import LongCall
from pyomo_j3o.fleet.results import Round
from pyomo_j3o.interface.options import option_errors
from pyomo_j3o.interface.solver import J3O

_HEADER = f"{'Round':>6} {'Solves':>8} {'Plan':>14} {'Bound':>14} {'Gap':>8} {'Use':>8} {'Time':>9}"


class Progress:
    """Tells how a run goes; a context manager.

    Parameters
    ----------
    name
        Of the run.
    tee
        True, a text stream, or several: lines are written there, and progress is drawn from the beginning.
        None: no lines, but progress as of any `LongCall`. False: silence.
    """

    def __init__(self, name: str, tee: Any) -> None:
        with option_errors():
            streams = [] if tee is None else list(J3O(tee=tee).config.tee)
        self._log, self._is_silent = Log(streams), not streams
        if streams:
            # What is drawn comes first, so that the lines below it stay together.
            self._call = LongCall(name, quiet=0.0, counts=True, plain=self.line)
        else:
            self._call = LongCall(name, None if tee is None else False, counts=True)

    def __enter__(self) -> Progress:
        self._call.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call.__exit__(kind, error, trace)

    def line(self, text: str) -> None:
        """Write one line."""
        if not self._is_silent:
            with self._call.aside():
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
        """Show what is done to a number of parts; the function is called after each."""
        done = 0

        def step() -> None:
            nonlocal done
            done += 1
            self._call.say(what, done, total)

        if total:
            self._call.say(what, 0, total)
        yield step


def _number(value: float) -> str:
    return f"{value + 0.0:>#14.8g}" if math.isfinite(value) else f"{'-':>14}"


def _percent(part: float) -> str:
    return f"{100 * part:>7.2f}%" if math.isfinite(part) else f"{'-':>8}"
