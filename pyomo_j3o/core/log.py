"""The table that ``tee`` prints while a solve runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TextIO

import numpy as np

from pyomo_j3o.core.results import Record, is_nothing, relative_gap

logger = logging.getLogger("pyomo_j3o")

_HEADER = (
    f"{'Iter':>6} {'Onloaded':>9} {'Objective':>14} {'Incumbent':>14} {'Bound':>14} {'Gap':>8} {'Time':>8}"
)


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: "1 row", "2 rows"."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


class Log:
    """Writes to every stream; a log without streams does nothing.

    A stream that cannot be written to, on a full disk, say, is left out from there on, with one warning: the
    solve goes on.

    Parameters
    ----------
    streams
        Open text streams.
    """

    def __init__(self, streams: Sequence[TextIO]) -> None:
        self._streams = list(streams)
        self._last_improvement = -np.inf
        self._pending = ""

    def line(self, text: str = "") -> None:
        """Write one line."""
        for stream in tuple(self._streams):
            try:
                stream.write(text + "\n")
                stream.flush()
            except OSError as error:
                self._streams.remove(stream)
                logger.warning("The log is not written any further: %s.", error)

    def header(self) -> None:
        """Write the heads of the columns."""
        self.line()
        self.line(_HEADER)

    def bound(self, bound: float, time: float) -> None:
        """Write the bound that is known before the first iteration."""
        self.line(f"{'':>6} {'':>9} {'-':>14} {'-':>14} {_number(bound)} {'-':>8} {time:>7.2f}s")

    def iteration(self, record: Record, in_time: bool = True) -> None:
        """Write one iteration; `in_time` tells whether its routing was solved to the end."""
        without = "infeasible" if in_time else "no time"
        objective = _number(record.objective) if np.isfinite(record.objective) else f"{without:>14}"
        self.line(
            f"{record.iteration:>6} {record.onloaded:>9} {objective} {_number(record.incumbent)} "
            f"{_number(record.bound)} {_percent(record.incumbent, record.bound)} {record.time:>7.2f}s"
            + (f"  cycle of {record.cycle}: damped" if record.cycle > 1 else "")
        )

    def improvement(self, step: str, incumbent: float, bound: float, time: float) -> None:
        """Write a better incumbent or bound found after the loop, at most ten a second; `flush` the last."""
        gap = _percent(incumbent, bound)
        self._pending = f"{step:>6} {'':>24} {_number(incumbent)} {_number(bound)} {gap} {time:>7.2f}s"
        if time - self._last_improvement >= 0.1:
            self._last_improvement = time
            self.flush()

    def flush(self) -> None:
        """Write the improvement that was held back, if any."""
        if self._pending:
            self.line(self._pending)
            self._pending = ""


def _number(value: float) -> str:
    # Adding 0.0 turns -0.0 into 0.0.
    return f"{value + 0.0:>#14.8g}" if np.isfinite(value) else f"{'-':>14}"


def _percent(incumbent: float, bound: float) -> str:
    gap = relative_gap(incumbent, bound)
    # Of an objective of 0, no distance is a percentage.
    told = np.isfinite(gap) and (gap <= 1e-4 or not is_nothing(incumbent))
    return f"{100 * gap:>7.2f}%" if told else f"{'-':>8}"
