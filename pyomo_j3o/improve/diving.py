"""Diving: round the relaxation a few variables at a time, re-solving in between, down to a placement."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pyomo_j3o.certify.kernel import Kernel, Point
from pyomo_j3o.core.problem import FloatArray
from pyomo_j3o.core.structure import Structure
from pyomo_j3o.improve.propagation import propagate

#: A value this close to 0 or 1 is integral.
INTEGRAL = 1e-6

#: Values above this are rounded up together.
_SURE = 0.8

#: A dive ends after so many LPs and one for every second fractional x.
_LPS = 30


def dive(
    structure: Structure,
    kernel: Kernel,
    start: Point,
    lower: FloatArray,
    upper: FloatArray,
    cutoff: float,
    remaining: Callable[[], float],
) -> tuple[Point, FloatArray, FloatArray] | None:
    """Fix x upwards until the relaxation is integral; where that fails, fewer at a time, then one downwards.

    Parameters
    ----------
    structure
        Of a linear problem.
    kernel
        Its tightened relaxation.
    start
        The optimum of the kernel at `lower`, `upper`.
    lower, upper
        Bounds of x, (N,) each.
    cutoff
        The dive ends where nothing better than this can be reached.
    remaining
        Returns the seconds left.

    Returns
    -------
    (Point, FloatArray, FloatArray) or None
        The last optimum and its bounds; x is fractional still if the LPs ran out. None if the dive died.
    """
    point, together = start, structure.problem.n_onloading
    x = start.values[: len(lower)]
    most = _LPS + int(np.sum((x > INTEGRAL) & (x < 1.0 - INTEGRAL))) // 2
    for _ in range(most):
        x = point.values[: len(lower)]
        positive = (lower < upper) & (x > INTEGRAL)
        fractional = np.flatnonzero(positive & (x < 1.0 - INTEGRAL))
        if not len(fractional) or remaining() <= 0:
            break
        order = fractional[np.argsort(-x[fractional], kind="stable")]
        batch = order[: max(1, min(together, int(np.sum(x[order] >= _SURE))))]
        up = lower.copy()
        up[batch] = 1.0
        if together == len(lower):
            up[positive & (x >= 1.0 - INTEGRAL)] = 1.0
        found = _solve(structure, kernel, point, up, upper.copy(), cutoff, remaining)
        if found is not None:
            point, lower, upper = found
            together = max(2 * together, 4)
            continue
        if len(batch) > 1:
            together = max(len(batch) // 2, 1)
            continue
        down = upper.copy()
        down[batch] = 0.0
        found = _solve(structure, kernel, point, lower.copy(), down, cutoff, remaining)
        if found is None:
            return None
        point, lower, upper = found
    return point, lower, upper


def _solve(
    structure: Structure,
    kernel: Kernel,
    before: Point,
    lower: FloatArray,
    upper: FloatArray,
    cutoff: float,
    remaining: Callable[[], float],
) -> tuple[Point, FloatArray, FloatArray] | None:
    """Propagate and solve; None if nothing better than `cutoff` is left."""
    if not propagate(structure, lower, upper):
        return None
    point = kernel.solve(lower, upper, before.basis, np.inf, cutoff, remaining)
    if not point.solved or point.bound <= cutoff:
        return None
    return point, lower, upper
