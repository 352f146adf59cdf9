"""One part of a problem as a MILP in which named sides of rows move outwards at a price."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.certify.relaxation import whole_model
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Problem
from pyomo_j3o.core.structure import PlacementRows
from pyomo_j3o.lp import LinearModel
from pyomo_j3o.presolve.decomposing import Part


@dataclass(frozen=True, slots=True)
class Sides:
    """S sides of rows that may move outwards.

    Attributes
    ----------
    row : (S,)
        Numbers of rows.
    upper : (S,)
        Whether it is the upper side.
    size : (S,)
        How large the side is as the user wrote it, above 0: what it moves by for a share of 1.
    """

    row: IntArray
    upper: BoolArray
    size: FloatArray

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True)
class Movable:
    """One part as a MILP in which its named sides move at a price.

    Attributes
    ----------
    model : LinearModel
        The shares are the last columns: one if all sides move together, else one for each.
    sides : IntArray
        The positions, among all sides, of those in this part.
    n_x, n_plan : int
        Number of columns of x, and of x and y.
    problem : Problem
        The part without the sides that may move.
    """

    model: LinearModel
    sides: IntArray
    n_x: int
    n_plan: int
    problem: Problem

    @staticmethod
    def of(part: Part, sides: Sides, steps: FloatArray, together: bool) -> Movable:
        """Return a part whose sides move by these steps, (S,), for a share of 1."""
        mine = np.flatnonzero(np.isin(sides.row, part.rows))
        row, upper = np.searchsorted(part.rows, sides.row[mine]), sides.upper[mine]
        plain = whole_model(part.problem)
        side = np.where(upper, plain.row_upper[row], plain.row_lower[row])
        n_shares = min(1, len(mine)) if together else len(mine)
        # Each named side becomes a row of its own, a'v - s t <= b or a'v + s t >= b with the step s.
        number = np.zeros(len(mine), dtype=np.int64) if together else np.arange(len(mine))
        step = sparse.csr_array(
            (np.where(upper, -1.0, 1.0) * steps[mine], (np.arange(len(mine)), number)),
            shape=(len(mine), n_shares),
        )
        matrix = sparse.csr_array(plain.matrix)
        lower, upper_side = plain.row_lower.copy(), plain.row_upper.copy()
        lower[row[~upper]], upper_side[row[upper]] = -np.inf, np.inf
        model = LinearModel(
            objective=np.concatenate([np.zeros(plain.n_columns), -np.ones(n_shares)]),
            matrix=sparse.csr_array(
                sparse.block_array([[matrix, None], [matrix[row], step]], format="csr")
                if len(mine)
                else matrix
            ),
            row_lower=np.concatenate([lower, np.where(upper, -np.inf, side)]),
            row_upper=np.concatenate([upper_side, np.where(upper, side, np.inf)]),
            lower=np.concatenate([plain.lower, np.zeros(n_shares)]),
            upper=np.concatenate([plain.upper, np.full(n_shares, np.inf)]),
            integer=np.concatenate([np.asarray(plain.integer), np.zeros(n_shares, dtype=bool)]),
        )
        free = replace(part.problem, row_lower=lower, row_upper=upper_side)
        return Movable(model, mine, part.problem.n_onloading, plain.n_columns, free)

    def placement(self) -> PlacementRows:
        """Return the rows over x alone, without the sides that may move."""
        return PlacementRows.of(self.problem)

    def not_below(self, share: float) -> LinearModel:
        """Return the model with a common share that is not below this one."""
        lower = self.model.lower.copy()
        lower[self.n_plan :] = share
        return replace(self.model, lower=lower)

    def shares(self, values: FloatArray) -> FloatArray:
        """Return the share of each of the sides at a point."""
        return np.maximum(np.broadcast_to(values[self.n_plan :], len(self.sides)), 0.0)
