"""A MIP search that can be paused: it does a piece of work, waits, and goes on where it was."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from pyomo_j3o.core.problem import FloatArray
from pyomo_j3o.mip.base import MIPSolution

#: Seconds between two looks at whether the search is paused; Ctrl-C passes in between.
_WAKE = 0.05


class PausedSearch:
    """One call of a MIP solver, in a thread of its own, that runs only while it is told to.

    The solver is held up in its callback. No node is solved twice, as it would be if the search were stopped
    and started anew. A solver without such callbacks runs on.

    Parameters
    ----------
    work
        Makes the call, with this object as its `Limits.watch`. Its `Limits.stop` has to ask `stopped`.

    Attributes
    ----------
    bound : float
        What the solver has told so far, unchecked; +inf before it tells any.
    point : (n,)
        The best point so far; empty before there is one.
    solution : MIPSolution or None
        What the call returned; None while it is not over.
    """

    def __init__(self, work: Callable[[PausedSearch], MIPSolution]) -> None:
        self.bound = np.inf
        self.point: FloatArray = np.zeros(0)
        self.solution: MIPSolution | None = None
        self._work = work
        self._error: BaseException | None = None
        self._left = 0
        self._may_go = threading.Event()
        self._waits = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def stopped(self) -> bool:
        """Return whether the search has to end."""
        return self._stopped.is_set()

    def look(self, bound: float) -> None:
        """Take the bound, and hold the search up if its piece of work is done; see `Watch`."""
        self.bound = min(self.bound, bound)
        self._left -= 1
        while self._left < 0 and not self.stopped():
            self._may_go.clear()
            self._waits.set()
            self._may_go.wait()

    def take(self, values: FloatArray) -> None:
        """Take a better point; see `Watch`."""
        self.point = values

    def advance(self, looks: int) -> bool:
        """Let the search run for a piece of work; return whether it is over.

        Parameters
        ----------
        looks
            Number of times that the solver comes by: a measure that does not depend on the machine, unlike
            seconds.

        Raises
        ------
        Exception
            What the call raised.
        """
        self._left = looks
        self._waits.clear()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="j3o-paused", daemon=True)
            self._thread.start()
        self._may_go.set()
        while not self._waits.wait(_WAKE):
            pass
        if self._error is not None:
            raise self._error
        return self.solution is not None

    def close(self) -> None:
        """End the search."""
        self._stopped.set()
        self._may_go.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self.solution = self._work(self)
        except BaseException as error:  # raised by `advance`
            self._error = error
        self._waits.set()
