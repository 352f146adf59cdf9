"""What tightening one relaxation leaves to the next one, whose figures may differ."""

from __future__ import annotations

from dataclasses import dataclass

from pyomo_j3o.core.problem import BoolArray
from pyomo_j3o.lp.base import Statuses


@dataclass(frozen=True, slots=True)
class Trail:
    """The columns that mattered, and the last optimum.

    From there on, few rounds of cuts prove what many do from nothing. The cuts themselves are not kept: they
    need not hold with other figures.

    Attributes
    ----------
    columns : (n,) bool
        Those in the kernel at the end.
    basis : Statuses or None
        Of the last optimum, over the columns and the rows that are no cuts.
    """

    columns: BoolArray
    basis: Statuses | None

    def fits(self, n_columns: int, n_rows: int) -> bool:
        """Return whether it is of a relaxation of this size, before cuts."""
        same_rows = self.basis is None or len(self.basis.rows) == n_rows
        return len(self.columns) == n_columns and same_rows
