"""A first point of a part whose sides move: its LP relaxation rounded step by step; a search around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pyomo_j3o.core.problem import FloatArray
from pyomo_j3o.core.tolerances import INTEGRAL
from pyomo_j3o.diagnosis.movable import Movable
from pyomo_j3o.diagnosis.params import RelaxingParams
from pyomo_j3o.improve.propagation import propagate
from pyomo_j3o.lp import LinearModel, LinearProgram, LPStatus


def dive(
    program: LinearProgram,
    part: Movable,
    relaxed: FloatArray,
    over: Callable[[], bool],
    params: RelaxingParams,
) -> FloatArray | None:
    """Round the x of an LP relaxation upwards, the largest first, with an LP after each few.

    Where that leaves no point, fewer x are rounded up. Where not even one can be, it is closed.

    Parameters
    ----------
    program
        The LP relaxation of the part, solved.
    part
        Whose sides move.
    relaxed
        (n,), the optimum of the LP.
    over
        Whether the time is over.
    params
        How many x are rounded at a time.

    Returns
    -------
    (n,) or None
        A point of the LP whose x are integral, up to rounding. None if the dive ended without one.
    """
    n, placement = part.n_x, part.placement()
    lower, upper = part.model.lower.copy(), part.model.upper.copy()
    values, most = relaxed, n
    while not over():
        x = values[:n]
        free = lower[:n] < upper[:n]
        fractional = np.flatnonzero(free & (x > INTEGRAL) & (x < 1.0 - INTEGRAL))
        if not len(fractional):
            return values
        order = fractional[np.argsort(-x[fractional], kind="stable")]
        wanted = max(int(np.sum(x[order] >= params.sure)), int(params.rounded * len(order)), 1)
        batch = order[: min(wanted, most)]
        up = lower.copy()
        up[batch] = 1.0
        up[:n][free & (x >= 1.0 - INTEGRAL)] = 1.0
        box = up, upper.copy()
        found = _solved(program, box) if propagate(placement, up[:n], box[1][:n]) else None
        if found is None and len(batch) > 1:
            most = len(batch) // 2
            continue
        if found is None:
            box = lower.copy(), upper.copy()
            box[1][batch] = 0.0
            found = _solved(program, box) if propagate(placement, box[0][:n], box[1][:n]) else None
            if found is None:
                return None
        else:
            most += 1
        (lower, upper), values = box, found
    return None


def _solved(program: LinearProgram, box: tuple[FloatArray, FloatArray]) -> FloatArray | None:
    """Return the optimum within column bounds; None if there is no point, or none is found."""
    program.set_column_bounds(*box)
    found = program.solve()
    return found.values if found.status is LPStatus.OPTIMAL else None


def around(model: LinearModel, relaxed: FloatArray, point: FloatArray) -> LinearModel:
    """Return the model with every x fixed in which the LP relaxation and a point agree.

    What is left is a small MILP that often holds better points: relaxation induced neighbourhood search
    (Danna, Rothberg and Le Pape 2005, DOI 10.1007/s10107-004-0518-7).

    Parameters
    ----------
    model
        A MILP.
    relaxed
        (n,), the optimum of its LP relaxation.
    point
        (n,), one of its points.
    """
    agree = np.asarray(model.integer) & (np.abs(relaxed - np.rint(point)) <= INTEGRAL)
    lower, upper = model.lower.copy(), model.upper.copy()
    lower[agree] = upper[agree] = np.rint(point[agree])
    return replace(model, lower=lower, upper=upper)
