"""J3O's loop: onload for the prices, offload for the placement, move the prices towards the duals."""

from __future__ import annotations

from collections.abc import Callable

from pyomo_j3o.lp.base import LPStatus
from pyomo_j3o.offloading import Routing
from pyomo_j3o.problem import BoolArray, FloatArray
from pyomo_j3o.results import Ending

#: Gets an iteration's routing, the best so far, and whether the placement came again; says whether to stop.
Observe = Callable[[Routing, Routing, bool], Ending | None]


def alternate(
    onload: Callable[[FloatArray], BoolArray],
    offload: Callable[[BoolArray, float], Routing],
    prices: FloatArray,
    observe: Observe,
) -> tuple[Routing, Ending]:
    """Alternate onloading and offloading; the incumbent never gets worse.

    ::

        repeat
            S        <- greedy for F_α              onload
            y, duals <- LP with x = S               offload
            keep (S, y) if it is the best so far
            α        <- (1 - θ_k) α + θ_k duals     θ_k = 1 / (k + 1)
        until S was seen before | gap | iterations | time

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

    Returns
    -------
    Routing
        The best one; if no placement could be routed, the one that the elastic LP likes best.
    Ending
    """
    best: Routing | None = None
    seen: set[bytes] = set()
    for k in range(1, 1_000_000):
        x = onload(prices)
        routing = offload(x, best.merit if best is not None and best.feasible else -float("inf"))
        if best is None or routing.better_than(best):
            best = routing
        ending = observe(routing, best, x.tobytes() in seen)
        if routing.status is LPStatus.TIME_LIMIT:
            ending = Ending.TIME
        if routing.status is LPStatus.UNBOUNDED:
            ending = Ending.UNBOUNDED
        if ending is not None:
            return best, ending
        seen.add(x.tobytes())
        step = 1.0 / (k + 1)
        prices = (1.0 - step) * prices + step * routing.duals
    raise AssertionError("the iteration limit is far below this")
