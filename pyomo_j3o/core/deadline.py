"""How long a step may still take: every loop asks a function for the seconds that are left."""

from __future__ import annotations

from collections.abc import Callable

#: Returns the seconds left; 0 or less when the time is over.
Remaining = Callable[[], float]

#: Seconds for the last work on a plan that is found when the time is over.
GRACE = 0.2


class OutOfTime(Exception):
    """Leaves a step that has no result until it is complete."""


def forever() -> float:
    """Return that there is no limit."""
    return float("inf")


def require_time(remaining: Remaining) -> None:
    """Raise `OutOfTime` if the time is over."""
    if remaining() <= 0:
        raise OutOfTime
