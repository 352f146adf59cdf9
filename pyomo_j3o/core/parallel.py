"""Work on independent parts, one after the other or side by side, each within its share of the time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from pyomo_j3o.core.deadline import Deadline

Result = TypeVar("Result")


def in_parts(
    work: Callable[[int, Deadline], Result],
    weights: Sequence[float],
    deadline: Deadline,
    threads: int = 1,
) -> list[Result]:
    """Return ``work(k, deadline)`` for every part k.

    One after the other, a part gets time by its weight, and what it leaves over serves those after it. Side
    by side, all get the whole of it.

    Parameters
    ----------
    work
        Gets the number of the part and its deadline.
    weights
        Of the parts, > 0.
    deadline
        When all have to end.
    threads
        Number of parts that are worked on at a time.

    Raises
    ------
    Exception
        The first that `work` raised; the parts at work then have no time left, and are waited for.
    """
    if threads <= 1 or len(weights) <= 1:
        return [work(k, deadline.share(weights[k] / sum(weights[k:]))) for k in range(len(weights))]
    together = Deadline(of=deadline)
    with ThreadPoolExecutor(min(threads, len(weights)), thread_name_prefix="j3o-part") as pool:
        futures: list[Future[Result]] = [pool.submit(work, k, together) for k in range(len(weights))]
        try:
            pending: set[Future[Result]] = set(futures)
            while pending:
                # Waking now and then lets Ctrl-C through.
                done, pending = wait(pending, timeout=0.2)
                for future in done:
                    future.result()
        except BaseException:
            together.stop()
            for future in futures:
                future.cancel()
            raise
    return [future.result() for future in futures]
