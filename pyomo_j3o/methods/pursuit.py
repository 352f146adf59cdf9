"""A gap that is asked for is pursued: the parts get time by what they last brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.improve.pursuing import Pursuit
from pyomo_j3o.improve.task import Found
from pyomo_j3o.methods.parts_driver import PartsDriver

#: A part that last closed less than this fraction of what the best one closed per second waits.
_WORTH = 0.1

#: In every such round, none waits.
_ALL = 4


def pursue(
    pursuits: Mapping[int, Pursuit], driver: PartsDriver, deadline: Deadline, seconds: float, threads: int = 1
) -> None:
    """Search the parts on, until the gap is closed, all of them are solved, or the time is over.

    They get slices of time round by round. What the parts of a round find counts in their order: it does not
    depend on the number of threads.

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
    number = 0
    with ThreadPoolExecutor(max(threads, 1), thread_name_prefix="j3o-pursuit") as pool:
        while not deadline.over:
            number += 1
            chosen = _chosen(pursuits, everyone=number % _ALL == 0)
            if not chosen:
                return
            found: dict[int, Future[list[Found]]] = {}
            try:
                if threads > 1 and len(chosen) > 1:
                    found = {k: pool.submit(_all_of, pursuits[k], seconds) for k in chosen}
                for k in chosen:
                    ready = found[k].result() if k in found else pursuits[k].advance(seconds)
                    if driver.follow(k, iter(ready)):
                        deadline.stop()
                        return
            except BaseException:
                deadline.stop()
                raise


def _all_of(pursuit: Pursuit, seconds: float) -> list[Found]:
    return list(pursuit.advance(seconds))


def _chosen(pursuits: Mapping[int, Pursuit], everyone: bool) -> Sequence[int]:
    """Return the parts of the next round: those that are worth it, or all that are not solved."""
    left = [k for k, one in pursuits.items() if not one.is_over]
    best = max((pursuits[k].rate for k in left), default=0.0)
    if everyone or not np.isfinite(best) or best <= 0.0:
        return left
    return [k for k in left if pursuits[k].rate >= _WORTH * best]
