"""How far a controller is: a bar on a terminal where rich is there, else lines of the log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

logger = logging.getLogger("pyomo_j3o")

#: How many lines the log gets.
_LINES = 10


def minutes_of(total: int, name: str) -> Iterator[int]:
    """Yield the numbers of the minutes, `total` in all, and tell how many of them are done."""
    watched = sys.stderr is not None and sys.stderr.isatty()
    bar = _bar(name, total) if watched else None
    if bar is not None:
        yield from bar
        return
    told = 0
    for minute in range(total):
        yield minute
        done = (minute + 1) * _LINES // total
        if done > told:
            told = done
            logger.info("%s: %d of %d minutes controlled.", name, minute + 1, total)


def _bar(name: str, total: int) -> Iterator[int] | None:
    """Return an iterator that draws a bar on stderr; None without rich."""
    try:
        from rich.console import Console
        from rich.progress import track
    except ImportError:
        return None
    return iter(track(range(total), description=name, console=Console(stderr=True)))
