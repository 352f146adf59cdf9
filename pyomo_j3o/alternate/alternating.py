"""J3O's loop: onload for the prices, offload for the placement, move the prices towards the duals."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from pyomo_j3o.alternate.offloading import Routing
from pyomo_j3o.alternate.params import LoopParams
from pyomo_j3o.core.problem import BoolArray, FloatArray
from pyomo_j3o.core.results import Ending
from pyomo_j3o.lp.base import LPStatus

#: Gets an iteration's routing, the best so far, and how many iterations ago the placement was met last, 0 if
#: never; says whether to stop.
Observe = Callable[[Routing, Routing, int], Ending | None]


def alternate(
    onload: Callable[[FloatArray], BoolArray],
    offload: Callable[[BoolArray, float], Routing],
    prices: FloatArray,
    observe: Observe,
    params: LoopParams = LoopParams(),
) -> tuple[Routing, Ending]:
    """Alternate onloading and offloading; the incumbent never gets worse.

    ::

        repeat
            S        <- greedy for F_α              onload
            y, duals <- LP with x = S               offload
            keep (S, y) if it is the best so far
            α        <- (1 - θ_k) α + θ_k duals     θ_k = 1 / (k + 1)
        until S was the last one, too | gap | iterations | time

    Where S came before, but is not the last one, the loop thrashes: the prices swing between some placements.
    They then move towards the mean of the duals of that cycle, and from there on by half as much as before.

    The two steps are those of J3O (arXiv 2508.13380); the damping and the stopping rules are ours.

    Parameters
    ----------
    onload
        Prices (M,) → placement (N,).
    offload
        Placement and the value that a routing has to exceed to be of use → its best routing.
    prices
        α to begin with, (M,): the duals of the LP relaxation, or zeros.
    observe
        Called once per iteration.
    params
        How prices are damped.

    Returns
    -------
    Routing
        The best one; if no placement could be routed, the one that the elastic LP likes best.
    Ending
    """
    best: Routing | None = None
    seen: dict[bytes, int] = {}
    recent: deque[FloatArray] = deque(maxlen=params.longest_cycle)
    damping = 1.0
    for k in range(1, 1_000_000):
        x = onload(prices)
        routing = offload(x, best.merit if best is not None and best.feasible else -float("inf"))
        if best is None or routing.better_than(best):
            best = routing
        cycle = k - seen.get(x.tobytes(), k)
        ending = observe(routing, best, cycle)
        if routing.status is LPStatus.TIME_LIMIT:
            ending = Ending.TIME
        if routing.status is LPStatus.UNBOUNDED:
            ending = Ending.UNBOUNDED
        if ending is not None:
            return best, ending
        seen[x.tobytes()] = k
        recent.append(routing.duals)
        towards = routing.duals
        if cycle > 1:
            damping *= params.damping
            towards = np.mean(list(recent)[-cycle:], axis=0)
        step = damping / (k + 1)
        prices = (1.0 - step) * prices + step * towards
    raise AssertionError("the iteration limit is far below this")
