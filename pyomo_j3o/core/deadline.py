"""The moment at which a step has to end: every loop asks for it."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

#: Seconds for the last work on a plan that is found when the time is over.
GRACE = 0.2


class OutOfTime(Exception):
    """Leaves a step that has no result until it is complete."""


class Deadline:
    """The moment at which a step has to end, or no such moment.

    Parameters
    ----------
    seconds
        From now on; inf for no limit.
    of
        The deadline of the step that this one is part of: it ends no later.
    clock
        Returns the time in seconds; that of `of` if there is one.
    """

    __slots__ = ("_clock", "_end", "_of", "_stopped")

    def __init__(
        self,
        seconds: float = np.inf,
        of: Deadline | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._clock: Callable[[], float] = clock if of is None else of._clock
        self._end = self._clock() + seconds
        self._of = of
        self._stopped = False

    def left(self) -> float:
        """Return the seconds left; 0 or less when the time is over."""
        if self._stopped:
            return 0.0
        left = self._end - self._clock()
        return left if self._of is None else min(left, self._of.left())

    @property
    def over(self) -> bool:
        """Whether the time is over."""
        return self.left() <= 0.0

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return bool(np.isfinite(self.left()))

    def stop(self) -> None:
        """End the step now, whatever time is left."""
        assert self is not NEVER
        self._stopped = True

    def within(self, seconds: float) -> Deadline:
        """Return the deadline of a part of this step that may take n seconds."""
        return Deadline(seconds, self)

    def share(self, fraction: float) -> Deadline:
        """Return the deadline of a part of this step that may take a fraction of what is left."""
        return Deadline(fraction * self.left(), self) if self.limited else Deadline(of=self)

    def last_work(self) -> float:
        """Return the seconds for the last work on a plan: what is left, and `GRACE` at least."""
        return max(self.left(), GRACE)

    def with_grace(self) -> Deadline:
        """Return a deadline for the last work on a plan, `GRACE` from now or later."""
        return Deadline(self.last_work(), clock=self._clock)

    def require(self) -> None:
        """Raise `OutOfTime` if the time is over."""
        if self.over:
            raise OutOfTime


#: For a step without a limit.
NEVER = Deadline()
