"""What tightening one relaxation leaves to the next one, whose figures may differ."""

from __future__ import annotations

from dataclasses import dataclass

from pyomo_j3o.core.problem import BoolArray, FloatArray


@dataclass(frozen=True, slots=True)
class Trail:
    """The columns that mattered, and the last optimum.

    From there on, two rounds of cuts prove what twelve do from nothing, as measured. The cuts themselves need
    not hold with other figures.

    Attributes
    ----------
    columns : (n,) bool
        Those in the kernel at the end.
    values : (n,)
    duals : (m,)
        Of the rows that are no cuts.
    """

    columns: BoolArray
    values: FloatArray
    duals: FloatArray

    def fits(self, n_columns: int, n_rows: int) -> bool:
        """Return whether it is of a relaxation of this size, before cuts."""
        return (len(self.columns), len(self.duals)) == (n_columns, n_rows)
