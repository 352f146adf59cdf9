"""What is settled about x at a node of branch and bound: by the placement rows, and by reduced costs."""

from __future__ import annotations

import numpy as np

from pyomo_j3o.core.matrices import entry_rows
from pyomo_j3o.core.problem import FloatArray
from pyomo_j3o.core.structure import PlacementRows


def propagate(structure: PlacementRows, lower: FloatArray, upper: FloatArray, rounds: int = 5) -> bool:
    """Fix, in place, every x that the placement rows leave no choice.

    Parameters
    ----------
    structure
        The placement rows of a linear problem.
    lower, upper
        Bounds of x, (N,) each, 0 or 1; tightened in place.
    rounds
        The largest number of passes over the rows.

    Returns
    -------
    bool
        False if a row cannot be met, or a variable's bounds crossed.
    """
    part = structure.placement_matrix
    if not part.nnz:
        return True
    rows = structure.placement_rows
    tolerance = structure.placement_tolerance
    row_upper = structure.problem.row_upper[rows] + tolerance
    row_lower = structure.problem.row_lower[rows] - tolerance
    row = entry_rows(part)
    value, column = part.data, part.indices
    size = np.abs(value)
    for _ in range(rounds):
        at_lower, at_upper = value * lower[column], value * upper[column]
        least = np.bincount(row, np.minimum(at_lower, at_upper), minlength=len(rows))
        most = np.bincount(row, np.maximum(at_lower, at_upper), minlength=len(rows))
        if np.any(least > row_upper) or np.any(most < row_lower):
            return False
        free = lower[column] < upper[column]
        too_high = free & (least[row] + size > row_upper[row])
        too_low = free & (most[row] - size < row_lower[row])
        to_zero = (too_high & (value > 0)) | (too_low & (value < 0))
        to_one = (too_high & (value < 0)) | (too_low & (value > 0))
        if not to_zero.any() and not to_one.any():
            return True
        upper[column[to_zero]] = 0.0
        lower[column[to_one]] = 1.0
        if np.any(lower > upper):
            return False
    return True


def fix_by_reduced_cost(
    lower: FloatArray, upper: FloatArray, costs: FloatArray, bound: float, cutoff: float
) -> bool:
    """Fix, in place, every x whose other value brings the bound down to `cutoff` or below; return if any.

    Parameters
    ----------
    lower, upper
        Bounds of x, (N,) each.
    costs
        Reduced costs of the relaxation that `bound` comes from, (N,).
    bound
        Of the maximum.
    cutoff
        Plans that are not better are not looked for.
    """
    free = lower < upper
    zero = free & (costs < 0) & (bound + costs <= cutoff)
    one = free & (costs > 0) & (bound - costs <= cutoff)
    upper[zero] = 0.0
    lower[one] = 1.0
    return bool(zero.any() or one.any())
