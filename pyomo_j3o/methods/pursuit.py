"""A gap that is asked for is pursued: the parts get time by what they last brought."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.improve.pursuing import Pursuit
from pyomo_j3o.methods.parts_driver import PartsDriver

#: Every such slice goes to the part that had least time.
_BY_TIME = 4

#: Seconds between two looks for a part that is free.
_WAKE = 0.05


def pursue(
    pursuits: Mapping[int, Pursuit], driver: PartsDriver, deadline: Deadline, seconds: float, threads: int = 1
) -> None:
    """Search the parts on, until the gap is closed, all of them are solved, or the time is over.

    Parameters
    ----------
    pursuits
        By the number of their part.
    driver
        Takes what they find.
    deadline
        When to end; it is stopped once the gap is closed.
    seconds
        Of the first slice of each part.
    threads
        Number of parts that are worked on at a time.
    """
    turns = _Turns(pursuits)

    def work() -> None:
        while not deadline.over:
            k = turns.next()
            if k is None:
                return
            try:
                if k >= 0 and driver.follow(k, pursuits[k].advance(seconds)):
                    deadline.stop()
            finally:
                turns.give_back(k)
            if k < 0:
                time.sleep(_WAKE)

    if threads <= 1 or len(pursuits) <= 1:
        work()
        return
    with ThreadPoolExecutor(min(threads, len(pursuits)), thread_name_prefix="j3o-pursuit") as pool:
        futures = [pool.submit(work) for _ in range(min(threads, len(pursuits)))]
        try:
            while not all(future.done() for future in futures):
                time.sleep(_WAKE)
        except BaseException:
            deadline.stop()
            raise
        for future in futures:
            future.result()


class _Turns:
    """Says which part is next: the one that last closed most of the gap per second."""

    def __init__(self, pursuits: Mapping[int, Pursuit]) -> None:
        self._pursuits = pursuits
        self._busy: set[int] = set()
        self._number = 0
        self._lock = threading.Lock()

    def next(self) -> int | None:
        """Return a part, -1 if all that are left are being worked on, and None if all are solved."""
        with self._lock:
            left = [k for k, one in self._pursuits.items() if k in self._busy or not one.is_over]
            if not left:
                return None
            free = [k for k in left if k not in self._busy]
            if not free:
                return -1
            self._number += 1
            by_time = self._number % _BY_TIME == 0
            k = min(
                free,
                key=lambda k: (0.0 if by_time else -self._pursuits[k].rate, self._pursuits[k].seconds),
            )
            self._busy.add(k)
            return k

    def give_back(self, k: int) -> None:
        """Say that nobody works on a part any more."""
        with self._lock:
            self._busy.discard(k)
