"""What the waiting thread does while a MIP solver works: it passes on the log, and sees whether to stop."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue

from pyomo_j3o.core.deadline import OutOfTime
from pyomo_j3o.mip.base import Write


class Monitor:
    """Takes the log in the solver's thread; called by the thread that waits, it passes it on line by line.

    What a user's stream raises then reaches the user, not the solver.

    Parameters
    ----------
    write
        Takes a line; None if nobody wants them.
    stop
        Says whether the solver should stop.
    """

    def __init__(self, write: Write | None, stop: Callable[[], bool] | None) -> None:
        self._write = write
        self._stop = stop
        self._texts: SimpleQueue[str] = SimpleQueue()
        self._unfinished = ""

    @property
    def listens(self) -> bool:
        """Whether anybody wants the log."""
        return self._write is not None

    def put(self, text: str) -> None:
        """Take text: a line, several, or part of one."""
        self._texts.put(text)

    def flush(self) -> None:
        """Pass on all whole lines."""
        while self._write is not None:
            try:
                text = self._unfinished + self._texts.get_nowait()
            except Empty:
                return
            *whole, self._unfinished = text.split("\n")
            for line in whole:
                self._write(line.rstrip())

    def __call__(self) -> None:
        """Pass on all whole lines.

        Raises
        ------
        OutOfTime
            If the solver should stop.
        """
        self.flush()
        if self._stop is not None and self._stop():
            raise OutOfTime
