"""Diving: round the relaxation a few variables at a time, re-solving in between, down to a placement."""

from __future__ import annotations

import numpy as np

from pyomo_j3o.certify.kernel import Kernel, Point
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import FloatArray
from pyomo_j3o.core.structure import Structure
from pyomo_j3o.core.tolerances import INTEGRAL
from pyomo_j3o.improve.boxes import fractional_in
from pyomo_j3o.improve.params import DiveParams
from pyomo_j3o.improve.propagation import propagate


def dive(
    structure: Structure,
    kernel: Kernel,
    start: Point,
    box: tuple[FloatArray, FloatArray],
    cutoff: float,
    deadline: Deadline,
    params: DiveParams,
) -> tuple[Point, FloatArray, FloatArray] | None:
    """Fix x upwards until the relaxation is integral; where that fails, fewer at a time, then one downwards.

    Parameters
    ----------
    structure
        Of a linear problem.
    kernel
        Its tightened relaxation.
    start
        The optimum of the kernel in `box`.
    box
        Lower and upper bounds of x, (N,) each.
    cutoff
        The dive ends where nothing better than this can be reached.
    deadline
        When to end.
    params
        When to round, and how often.

    Returns
    -------
    (Point, FloatArray, FloatArray) or None
        The last optimum and its bounds; x is fractional still if the LPs ran out. None if the dive died.
    """
    (lower, upper), point, together = box, start, structure.problem.n_onloading
    x = start.values[: len(lower)]
    most = params.lps + int(np.sum(fractional_in(x))) // 2
    for _ in range(most):
        x = point.values[: len(lower)]
        positive = (lower < upper) & (x > INTEGRAL)
        fractional = np.flatnonzero(positive & (x < 1.0 - INTEGRAL))
        if not len(fractional) or deadline.over:
            break
        order = fractional[np.argsort(-x[fractional], kind="stable")]
        batch = order[: max(1, min(together, int(np.sum(x[order] >= params.sure))))]
        up = lower.copy()
        up[batch] = 1.0
        if together == len(lower):
            up[positive & (x >= 1.0 - INTEGRAL)] = 1.0
        found = _solve(structure, kernel, point, up, upper.copy(), cutoff, deadline)
        if found is not None:
            point, lower, upper = found
            together = max(2 * together, 4)
            continue
        if len(batch) > 1:
            together = max(len(batch) // 2, 1)
            continue
        down = upper.copy()
        down[batch] = 0.0
        found = _solve(structure, kernel, point, lower.copy(), down, cutoff, deadline)
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
    deadline: Deadline,
) -> tuple[Point, FloatArray, FloatArray] | None:
    """Propagate and solve; None if nothing better than `cutoff` is left."""
    if not propagate(structure, lower, upper):
        return None
    point = kernel.solve(lower, upper, before.basis, np.inf, cutoff, deadline)
    if not point.solved or point.bound <= cutoff:
        return None
    return point, lower, upper
