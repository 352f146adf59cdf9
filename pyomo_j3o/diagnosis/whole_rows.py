"""Rows over x in whole multiples of a unit, in conflicts: what is known of them beyond tolerances."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import IntArray
from pyomo_j3o.core.whole_numbers import counted_side
from pyomo_j3o.diagnosis.system import System
from pyomo_j3o.lp import LPStatus

_NOTHING = np.zeros(0, dtype=np.int64)


def row_that_never_holds(system: System) -> IntArray:
    """Return the sides of the first row without a multiple of its unit between them; nothing without one.

    If one of the sides alone is out of reach of all sums of the row, it is returned alone.
    """
    for sides in _whole_rows(system):
        if len(sides) < 2:
            continue
        upper, unit, side = system.upper[sides], system.grain[sides], system.side[sides]
        low, high = counted_side(side, unit, np.ceil)[~upper], counted_side(side, unit, np.floor)[upper]
        if low[0] <= high[0]:
            continue
        entries = sparse.csr_array(system.model.matrix)[[int(system.index[sides[0]])]].data
        most, least = entries[entries > 0].sum(), entries[entries < 0].sum()
        out_of_reach = np.where(upper, least > side, most < side)
        return sides[out_of_reach] if out_of_reach.any() else sides
    return _NOTHING


def impossible_row(system: System, deadline: Deadline) -> IntArray:
    """Return the sides of a row in whole numbers that is impossible alone; nothing if none is known."""
    rows = _whole_rows(system)
    for number, sides in enumerate(rows):
        if system.status(sides, deadline.share(1.0 / (len(rows) - number))) is LPStatus.INFEASIBLE:
            return sides
    return _NOTHING


def least_in_units(system: System, member: int, amount: float, deadline: Deadline) -> tuple[float, float]:
    """Return how far one side has to give way, down to the last unit of its row.

    A MIP solver does not see units that are small beside the side. Whether one unit less is enough, too, is
    asked in a model in which that side is a row, which is counted exactly.

    Parameters
    ----------
    system
        It has no plan.
    member
        The side; it has a grain.
    amount
        Enough.
    deadline
        When to end.

    Returns
    -------
    amount, least : float
        Enough; and no less is. The latter is 0 if time ended first.
    """
    grain, side, itself = float(system.grain[member]), float(system.side[member]), np.array([member])
    while amount > grain:
        system.move(itself, np.array([amount - grain]))
        status, values = system.point(system.everything(), deadline)
        system.side[member] = side
        if status is LPStatus.INFEASIBLE:
            break
        smaller = float(system.overfill(itself, values)[0]) if status is LPStatus.OPTIMAL else 0.0
        if not 0.0 < smaller < amount:
            return amount, 0.0
        amount = smaller
    return amount, amount


def _whole_rows(system: System) -> list[IntArray]:
    """Return the sides of each row that has a grain."""
    sides = np.flatnonzero(system.grain > 0)
    sides = sides[np.argsort(system.index[sides], kind="stable")]
    _, first = np.unique(system.index[sides], return_index=True)
    return np.split(sides, first[1:]) if len(sides) else []
