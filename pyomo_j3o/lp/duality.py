"""What row duals prove of an LP (weak duality), whatever solver and tolerances they come from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from pyomo_j3o.core.problem import FloatArray
from pyomo_j3o.lp.base import LinearModel

#: The unit of rounding: no sum or product is off by more than this fraction of it.
UNIT = 2.0**-52


def summed(bounds: Sequence[float]) -> float:
    """Return the sum of upper bounds, no less than it is whatever rounding did."""
    if not np.all(np.isfinite(bounds)):
        return sum(bounds)
    total = math.fsum(bounds)
    return total if np.count_nonzero(bounds) <= 1 else total + UNIT * abs(total)


def dual_bound(model: LinearModel, duals: FloatArray, lower: FloatArray, upper: FloatArray) -> float:
    """Return what `duals` prove (weak duality): no point of `model` within the column bounds is better.

    Parameters
    ----------
    model
        Maximised.
    duals
        (m,), of any origin; those on an open side of their row count as 0.
    lower, upper
        (n,) each, in place of the bounds of `model`.
    """
    duals = usable_duals(model, duals)
    return bound_at(model, duals, model.objective - model.matrix.T @ duals, lower, upper)


def usable_duals(model: LinearModel, duals: FloatArray) -> FloatArray:
    """Return the duals, 0 on an open side of their row."""
    return np.where(np.isfinite(np.where(duals > 0, model.row_upper, model.row_lower)), duals, 0.0)


def bound_at(
    model: LinearModel,
    duals: FloatArray,
    costs: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    sizes: sparse.csc_array | None = None,
) -> float:
    """Return what usable `duals`, with the reduced `costs` that they leave, prove within column bounds.

    Any row duals of the right sign give a bound (weak duality): what they pay for the rows, and for each
    column the better of its ends at its reduced cost. It holds whatever the tolerances of the solver that the
    duals come from, and whatever rounding did (Neumaier and Shcherbina 2004, DOI 10.1007/s10107-003-0433-3):
    each reduced cost counts with an interval that holds it. If a column has no end, and its reduced cost may
    lie on the wrong side of 0, nothing is proven.

    Parameters
    ----------
    model
        Maximised.
    duals
        (m,), as `usable_duals` returns them.
    costs
        (n,), ``objective - matrix.T @ duals`` up to rounding.
    lower, upper
        (n,) each, in place of the bounds of `model`; where they have no end, its bounds for proofs count.
    sizes
        ``abs(model.matrix).T``, if it is at hand.

    Returns
    -------
    float
        +inf if nothing is proven.
    """
    lower, upper = model.ends(lower, upper)
    sizes = abs(model.matrix).T if sizes is None else sizes
    used = np.flatnonzero(duals)
    paid = duals[used] * np.where(duals > 0, model.row_upper, model.row_lower)[used]
    # Each reduced cost is a sum of at most m + 1 terms, and each of its terms a product.
    error = UNIT * (len(used) + 4.0) * (sizes @ np.abs(duals) + np.abs(model.objective))
    with np.errstate(invalid="ignore"):
        worth = np.maximum(costs * lower + error * np.abs(lower), costs * upper + error * np.abs(upper))
    open_below, open_above = np.isinf(lower), np.isinf(upper)
    if open_below.any() or open_above.any():
        if np.any(open_below & (costs - error < 0)) or np.any(open_above & (costs + error > 0)):
            return np.inf
        # The open end is the worse one: the other counts, or nothing where there is none.
        end = np.where(open_below, np.where(open_above, 0.0, upper), lower)
        one_sided = open_below | open_above
        worth[one_sided] = (costs * end + error * np.abs(end))[one_sided]
    total = float(paid.sum() + worth.sum())
    total += UNIT * (len(paid) + len(worth) + 4.0) * float(np.abs(paid).sum() + np.abs(worth).sum())
    return max(total, model.floor)
