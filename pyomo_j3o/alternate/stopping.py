"""When to stop alternating: pure functions of the trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pyomo_j3o.alternate.params import LoopParams
from pyomo_j3o.core.results import Ending, Record
from pyomo_j3o.errors import OptionError

#: Looks at the records so far and says why to stop, or None to go on.
Stop = Callable[[Sequence[Record]], Ending | None]


def gap_closed(rel_gap: float, abs_gap: float = 0.0) -> Stop:
    """Stop when the gap is at most `rel_gap` of the incumbent, or at most `abs_gap`."""

    def stop(trace: Sequence[Record]) -> Ending | None:
        last = trace[-1]
        if not np.isfinite(last.relative_gap):
            return None
        closed = last.relative_gap <= rel_gap or abs(last.bound - last.incumbent) <= abs_gap
        return Ending.GAP if closed else None

    return stop


def placement_repeated(thrashes: int = 3) -> Stop:
    """Stop at a fixed point, a placement that comes twice in a row, or where damping does not end a cycle.

    Parameters
    ----------
    thrashes
        How often a placement may come again after others.
    """

    def stop(trace: Sequence[Record]) -> Ending | None:
        if trace[-1].cycle == 1:
            return Ending.FIXED_POINT
        if trace[-1].cycle > 1 and sum(record.cycle > 1 for record in trace) > thrashes:
            return Ending.THRASHING
        return None

    return stop


def stalled(patience: int, share: float = 0.0) -> Stop:
    """Stop when the last `patience` iterations closed no more than this share of the gap."""

    def stop(trace: Sequence[Record]) -> Ending | None:
        if len(trace) <= patience:
            return None
        last, before = trace[-1], trace[-1 - patience]
        if not np.isfinite(before.incumbent):
            return None
        gained = abs(last.incumbent - before.incumbent)
        gap = abs(last.bound - before.incumbent)
        return Ending.STALLED if gained <= (share * gap if np.isfinite(gap) else 0.0) else None

    return stop


def iteration_limit(limit: int) -> Stop:
    """Stop after `limit` iterations."""
    return lambda trace: Ending.ITERATIONS if len(trace) >= limit else None


def time_limit(seconds: float) -> Stop:
    """Stop when `seconds` have passed since the call of solve()."""
    return lambda trace: Ending.TIME if trace[-1].time >= seconds else None


def user_rule(rule: Callable[[Sequence[Record]], bool]) -> Stop:
    """Stop when the user's own rule returns a true value."""

    def stop(trace: Sequence[Record]) -> Ending | None:
        answer = rule(trace)
        if np.ndim(answer):
            raise OptionError("stop returned an array; return True to stop, or False")
        return Ending.USER if answer else None

    return stop


def usual(
    rel_gap: float,
    abs_gap: float,
    seconds: float,
    iterations: int,
    improve: bool = True,
    rule: Callable[[Sequence[Record]], bool] | None = None,
    params: LoopParams = LoopParams(),
) -> Stop:
    """Stop as a solve does: at a limit, a fixed point, or where iterations bring hardly anything.

    Parameters
    ----------
    rel_gap, abs_gap, seconds, iterations
        The limits.
    improve
        Whether a search follows: what it closes, it closes in less time.
    rule
        The user's own, or None.
    params
        Which progress is hardly any.
    """
    return first_of(
        gap_closed(rel_gap, abs_gap),
        time_limit(seconds),
        *([user_rule(rule)] if rule is not None else []),
        placement_repeated(params.thrashes),
        iteration_limit(iterations),
        stalled(params.patience, params.least_progress) if improve else stalled(params.patience_alone),
    )


def first_of(*stops: Stop) -> Stop:
    """Stop as soon as one of `stops` does; the first named gives the reason."""

    def stop(trace: Sequence[Record]) -> Ending | None:
        return next((ending for rule in stops if (ending := rule(trace)) is not None), None)

    return stop
