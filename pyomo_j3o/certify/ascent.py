"""A bound without an LP: prices of the rows that raise what they prove step by step (Lagrangian ascent)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pyomo_j3o.certify.kernel import Links
from pyomo_j3o.certify.params import AscentParams
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.matrices import entry_rows
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.lp.base import LinearModel
from pyomo_j3o.lp.duality import bound_at, usable_duals


@dataclass(frozen=True, slots=True)
class Ascent:
    """Prices of all rows of an LP, and what they prove.

    Attributes
    ----------
    bound : float
        Proven: no point of the LP is better.
    duals : (m,)
        Of all rows, links included.
    worth : (n,)
        Of each column at the prices of all rows but its link's: what it earns before its x is paid for.
    """

    bound: float
    duals: FloatArray
    worth: FloatArray


def ascend(
    model: LinearModel,
    n_onloading: int,
    columns: BoolArray,
    deadline: Deadline,
    params: AscentParams = AscentParams(),
) -> Ascent:
    """Return prices of the rows of an LP that prove a good bound, found without solving it.

    Any prices prove a bound (weak duality). The price of a link ``y <= c x`` has a best value when all others
    are known: what y earns goes to its x, so that an x counts with all that its y are worth together, or not
    at all. The other prices follow the sides that the best columns miss (subgradient), averaged over the
    steps as in the volume algorithm (Barahona and Anbil 2000, DOI 10.1007/s101070050002). Each row moves in
    units of its own price and of its own misses, so that rows in any unit move alike.

    Parameters
    ----------
    model
        Maximised, with an end for every column: see `with_ends`.
    n_onloading
        N.
    columns
        (n,) bool: the steps look at these alone. The bound counts all; the columns that it lacks come in.
    deadline
        When to end. The prices are 0 if that is now.
    params
        How many steps, and how far they go.
    """
    whole = _Inner(model, n_onloading)
    must = ~((model.lower == 0.0) & whole.linked)
    columns = columns | must
    prices = np.zeros(model.n_rows)
    best = whole.proves(prices)
    pace = params.pace
    for _ in range(params.rounds):
        inner = whole if columns.all() else _Inner(model, n_onloading, np.flatnonzero(columns))
        prices, steered = _steps(inner, prices, pace, deadline, params)
        found = whole.proves(prices)
        if found.bound < best.bound:
            best = found
        lacks = ~columns & (found.worth > 0.0)
        if not lacks.any() or deadline.over:
            break
        if found.bound - steered <= params.worth * abs(found.bound):
            break
        columns |= lacks
        pace *= params.slower
    return best


def _steps(
    inner: _Inner, prices: FloatArray, pace: float, deadline: Deadline, params: AscentParams
) -> tuple[FloatArray, float]:
    """Return the best prices (m,) on the way from these, and their value over the columns of `inner`."""
    at = prices[inner.rows]
    unit = inner.typical_prices()
    best_value, best, failed = np.inf, at, 0
    direction = square = np.zeros(0)
    for _ in range(params.steps):
        value, misses = inner.value(at)
        failed = 0 if value < best_value - params.gain * abs(best_value) or best_value == np.inf else failed + 1
        if value < best_value:
            best_value, best = value, at
        if failed >= params.patience:
            pace, failed, at = params.slower * pace, 0, best
        if not len(direction):
            direction, square = misses, misses**2
        direction = (1.0 - params.weight) * direction + params.weight * misses
        square = params.memory * square + (1.0 - params.memory) * misses**2
        largest = float(square.max(initial=0.0))
        if not 0.0 < largest < np.inf or pace < params.slowest or deadline.over:
            break
        step = pace * unit * direction / np.sqrt(np.maximum(square, params.least_square * largest))
        at = np.clip(at - step, inner.least_price, inner.most_price)
    found = prices.copy()
    found[inner.rows] = best
    return found, best_value


class _Inner:
    """The inner problem: the best columns at given prices of all rows but one link for each column.

    Parameters
    ----------
    model, n_onloading
        As for `ascend`.
    columns
        Numbers of the columns that count; all if None.

    Attributes
    ----------
    rows
        Numbers of the priced rows.
    linked : (n,) bool
        Columns of the model whose link has a price in closed form.
    """

    def __init__(self, model: LinearModel, n_onloading: int, columns: IntArray | None = None) -> None:
        matrix = sparse.csr_array(model.matrix)
        links = Links.of(model, n_onloading)
        _, first = np.unique(links.y, return_index=True)
        self._link_row, self._link_y, self._link_x = links.row[first], links.y[first], links.x[first]
        self._opened = links.opening[first] / links.scale[first]
        self._rest = model.row_upper[self._link_row] / links.scale[first]
        self._scale = links.scale[first]
        self.linked = np.zeros(model.n_columns, dtype=bool)
        self.linked[self._link_y] = True
        priced = np.ones(model.n_rows, dtype=bool)
        priced[self._link_row] = False
        self.lower, self.upper = model.ends(model.lower, model.upper)
        self._objective = model.objective
        if columns is not None:
            matrix = self._narrow(matrix, columns, priced)
        self.rows = np.flatnonzero(priced)
        self._model, self._n_x = model, n_onloading
        self._matrix = matrix[self.rows]
        self._transposed = sparse.csr_array(self._matrix.T)
        self._row_lower, self._row_upper = model.row_lower[self.rows], model.row_upper[self.rows]
        self.least_price = np.where(np.isfinite(self._row_lower), -np.inf, 0.0)
        self.most_price = np.where(np.isfinite(self._row_upper), np.inf, 0.0)

    def _narrow(self, matrix: sparse.csr_array, columns: IntArray, priced: BoolArray) -> sparse.csr_array:
        """Leave out the other columns, their links, and the rows that are empty without them."""
        place = np.full(matrix.shape[1], -1)
        place[columns] = np.arange(len(columns))
        inside = np.flatnonzero((place[self._link_y] >= 0) & (place[self._link_x] >= 0))
        self._link_y, self._link_x = place[self._link_y[inside]], place[self._link_x[inside]]
        self._opened, self._rest = self._opened[inside], self._rest[inside]
        self._link_row, self._scale = self._link_row[inside], self._scale[inside]
        self.lower, self.upper = self.lower[columns], self.upper[columns]
        self._objective = self._objective[columns]
        narrow = matrix[:, columns]
        # The second link of a column that is out: without it, no price is needed.
        priced &= np.diff(narrow.indptr) > np.where(np.diff(matrix.indptr) == 2, 1, 0)
        return narrow

    def value(self, prices: FloatArray) -> tuple[float, FloatArray]:
        """Return what prices of the priced rows prove, rounding apart, and what the best columns leave.

        What they leave of each row's side is the subgradient.
        """
        costs = self._objective - self._transposed @ prices
        earned = np.maximum(costs[self._link_y], 0.0)
        paid_for = earned > 0.0
        costs[self._link_y] -= earned
        costs[: self._n_x] += np.bincount(self._link_x, earned * self._opened, minlength=self._n_x)
        values = np.where(costs > 0.0, self.upper, self.lower)
        value = float(np.sum(costs * values) + np.sum(earned * self._rest))
        opened = self._opened * values[self._link_x] + self._rest
        values[self._link_y] = np.where(paid_for, opened, values[self._link_y])
        side = np.where(prices > 0.0, self._row_upper, np.where(prices < 0.0, self._row_lower, 0.0))
        value += float(np.sum(prices * side))
        body = self._matrix @ values
        # Without a price, a body between its sides misses nothing.
        nearest = np.minimum(np.maximum(body, self._row_lower), self._row_upper)
        return value, np.where(prices == 0.0, nearest, side) - body

    def typical_prices(self) -> FloatArray:
        """Return in what unit each priced row's price is, > 0: what its columns are worth per entry.

        An x is worth what its columns are; a column that nothing says the worth of, what its rows are.
        """
        worth = np.abs(self._objective)
        through = np.maximum(self._objective[self._link_y], 0.0) * self._opened
        worth[: self._n_x] += np.bincount(self._link_x, through, minlength=self._n_x)
        row, column, size = entry_rows(self._matrix), self._matrix.indices, np.abs(self._matrix.data)
        n_rows = len(self.rows)
        unit = np.zeros(n_rows)
        for _ in range(3):
            known = np.bincount(row, worth[column] > 0.0, minlength=n_rows)
            mean = np.bincount(row, worth[column] / size, minlength=n_rows) / np.maximum(known, 1.0)
            unit = np.where(unit > 0.0, unit, mean)
            if np.all(unit > 0.0):
                return unit
            of_rows = np.bincount(column, unit[row] * size, minlength=len(worth))
            worth = np.where(worth > 0.0, worth, of_rows)
        known_units = unit[unit > 0.0]
        return np.where(unit > 0.0, unit, np.median(known_units) if len(known_units) else 1.0)

    def proves(self, prices: FloatArray) -> Ascent:
        """Return what prices (m,) of the priced rows prove of all columns, with the best prices of links."""
        model = self._model
        duals = np.zeros(model.n_rows)
        duals[self.rows] = prices[self.rows]
        duals = usable_duals(model, duals)
        worth = model.objective - model.matrix.T @ duals
        earned = np.maximum(worth[self._link_y], 0.0)
        duals[self._link_row] = earned / self._scale
        costs = model.objective - model.matrix.T @ duals
        return Ascent(bound_at(model, duals, costs, model.lower, model.upper), duals, worth)
