"""A relaxation without what its reduced costs rule out: it keeps every point that is better than a plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pyomo_j3o.certify.kernel import Links
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.lp.base import LinearModel


@dataclass(frozen=True, slots=True)
class Shrunk:
    """A model over the columns that are left a choice.

    Attributes
    ----------
    model : LinearModel
        Over the free columns; rows without any of them are left out.
    free : (k,)
        Their numbers in the model before.
    rest : (n,)
        Values of the other columns; 0 where a column is free.
    constant : float
        What the other columns add to the objective.
    """

    model: LinearModel
    free: IntArray
    rest: FloatArray
    constant: float

    def restore(self, values: FloatArray) -> FloatArray:
        """Return the values (n,) of all columns, from those of the free ones."""
        whole = self.rest.copy()
        whole[self.free] = values
        return whole

    def reduce(self, values: FloatArray) -> FloatArray | None:
        """Return the values of the free columns; None if the point is outside of the bounds."""
        known = values[self.free]
        inside = np.all((known >= self.model.lower) & (known <= self.model.upper))
        fixed = np.ones(len(values), dtype=bool)
        fixed[self.free] = False
        same = np.all(np.abs(values - self.rest)[fixed] <= 1e-9 * np.maximum(1.0, np.abs(self.rest[fixed])))
        return known if inside and same else None


def shrink(model: LinearModel, reduced: FloatArray, gap: float, rows: BoolArray | None = None) -> Shrunk:
    """Return the model within the bounds that all points keep that are better than a known one.

    Parameters
    ----------
    model
        With `integer` set; its integer columns come first.
    reduced
        (n,) reduced costs of the relaxation's optimum, at the duals that prove its bound within the bounds of
        `model`: those of a narrower box say nothing here.
    gap
        Of that bound to the known point. Whatever costs more is ruled out.
    rows
        (m,) which of the rows to keep; None for all.
    """
    lower, upper = _within_gap(model, reduced, gap)
    is_free = upper > lower
    free = np.flatnonzero(is_free)
    rest = np.where(is_free, 0.0, lower)
    matrix = sparse.csr_array(model.matrix)
    kept = np.ones(model.n_rows, dtype=bool) if rows is None else rows
    inside = sparse.csr_array(matrix[:, free])
    kept = np.flatnonzero(kept & (np.diff(inside.indptr) > 0))
    used = matrix @ rest
    assert model.integer is not None
    smaller = LinearModel(
        model.objective[free],
        inside[kept],
        (model.row_lower - used)[kept],
        (model.row_upper - used)[kept],
        lower[free],
        upper[free],
        model.integer[free],
    )
    return Shrunk(smaller, free, rest, float(model.objective @ rest))


def _within_gap(model: LinearModel, reduced: FloatArray, gap: float) -> tuple[FloatArray, FloatArray]:
    """Return the bounds: a reduced cost says what each unit off the better end costs.

    An x that can only be 0 closes the columns that it opens.
    """
    lower, upper = model.lower.copy(), model.upper.copy()
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        reach = gap * (1.0 + 1e-9) / np.abs(reduced)
        upper = np.where(
            (reduced < 0) & np.isfinite(model.lower), np.minimum(upper, model.lower + reach), upper
        )
        lower = np.where(
            (reduced > 0) & np.isfinite(model.upper), np.maximum(lower, model.upper - reach), lower
        )
    integer = model.integer
    assert integer is not None
    upper[integer] = np.floor(upper[integer] + 1e-9)
    lower[integer] = np.ceil(lower[integer] - 1e-9)
    Links.of(model, int(integer.sum())).close(upper, model.row_upper)
    return np.minimum(lower, upper), upper
