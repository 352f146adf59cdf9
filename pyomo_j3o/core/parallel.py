"""Work on independent parts, one after the other or side by side, each within its share of the time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

import numpy as np

Result = TypeVar("Result")


def share(
    work: Callable[[int, Callable[[], float]], Result],
    weights: Sequence[float],
    remaining: Callable[[], float],
    threads: int = 1,
) -> list[Result]:
    """Return ``work(k, remaining)`` for every part k.

    One after the other, a part gets time by its weight, and what it leaves over serves those after it; side
    by side, all get the whole of it.

    Parameters
    ----------
    work
        Gets the number of the part and what returns the seconds left to it.
    weights
        Of the parts, > 0.
    remaining
        Returns the seconds left to all.
    threads
        So many parts at a time.

    Raises
    ------
    Exception
        The first that `work` raised; the parts at work then have no time left, and are waited for.
    """
    if threads <= 1 or len(weights) <= 1:
        return [work(k, _less(remaining, weights, k)) for k in range(len(weights))]
    stopped = threading.Event()

    def left() -> float:
        return 0.0 if stopped.is_set() else remaining()

    with ThreadPoolExecutor(min(threads, len(weights)), thread_name_prefix="j3o-part") as pool:
        futures: list[Future[Result]] = [pool.submit(work, k, left) for k in range(len(weights))]
        try:
            pending: set[Future[Result]] = set(futures)
            while pending:
                # Waking now and then lets Ctrl-C through.
                done, pending = wait(pending, timeout=0.2)
                for future in done:
                    future.result()
        except BaseException:
            stopped.set()
            for future in futures:
                future.cancel()
            raise
    return [future.result() for future in futures]


def _less(remaining: Callable[[], float], weights: Sequence[float], k: int) -> Callable[[], float]:
    """Return what leaves the parts after `k` their share."""
    now = remaining()
    reserved = now * sum(weights[k + 1 :]) / sum(weights[k:]) if np.isfinite(now) else 0.0
    return lambda: remaining() - reserved
