"""A bound without an LP: prices of the rows that raise what they prove step by step (Lagrangian ascent)."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    params: AscentParams,
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
    whole = _Inner.of(model, n_onloading)
    # Only a column that may be 0 can be left out, and only with its link the bound knows what it lacks.
    columns = columns | (model.lower != 0.0)
    columns[:n_onloading] = True
    outside = np.ones(model.n_columns, dtype=bool)
    outside[whole.link_y] = False
    columns |= outside
    prices, pace, best = np.zeros(model.n_rows), params.pace, None
    for _ in range(params.rounds):
        prices, value = _steps(whole.over(columns), prices, pace, deadline, params)
        found = whole.proves(prices)
        if best is None or found.bound < best.bound:
            best = found
        absent = found.bound - value
        lacks = ~columns & (found.worth > 0.0)
        if not lacks.any() or absent <= params.worth * abs(found.bound) or deadline.over:
            break
        columns |= lacks
        pace *= params.again
    assert best is not None
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
        failed = (
            0 if value < best_value - params.gain * abs(best_value) or best_value == np.inf else failed + 1
        )
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


@dataclass(frozen=True, slots=True)
class _Inner:
    """The inner problem: the best columns at given prices of all rows but one link for each column.

    Attributes
    ----------
    model
        The whole LP.
    n_x
        N.
    rows
        Numbers of the priced rows.
    matrix, transposed
        Their entries: by rows, and by columns.
    link_row, link_x, link_y, opened, rest, scale : (links,)
        The links whose price has a closed form: ``scale y <= scale (opened x + rest)``.
    objective, lower, upper
        Of its columns: all of the LP, or some.
    least_price, most_price
        Of the priced rows: 0 where the row has no such side.
    """

    model: LinearModel
    n_x: int
    rows: IntArray
    matrix: sparse.csr_array
    transposed: sparse.csr_array
    link_row: IntArray
    link_x: IntArray
    link_y: IntArray
    opened: FloatArray
    rest: FloatArray
    scale: FloatArray
    objective: FloatArray
    lower: FloatArray
    upper: FloatArray
    least_price: FloatArray
    most_price: FloatArray

    @staticmethod
    def of(model: LinearModel, n_onloading: int) -> _Inner:
        """Return the inner problem over all columns of a model."""
        links = Links.of(model, n_onloading)
        _, first = np.unique(links.y, return_index=True)
        row, scale = links.row[first], links.scale[first]
        priced = np.ones(model.n_rows, dtype=bool)
        priced[row] = False
        rows = np.flatnonzero(priced)
        matrix = sparse.csr_array(model.matrix)[rows]
        return _Inner(
            model,
            n_onloading,
            rows,
            matrix,
            sparse.csr_array(matrix.T),
            row,
            links.x[first],
            links.y[first],
            links.opening[first] / scale,
            model.row_upper[row] / scale,
            scale,
            model.objective,
            *model.ends(model.lower, model.upper),
            np.where(np.isfinite(model.row_lower[rows]), -np.inf, 0.0),
            np.where(np.isfinite(model.row_upper[rows]), np.inf, 0.0),
        )

    def over(self, columns: BoolArray) -> _Inner:
        """Return the same over some columns, all x among them; rows that say nothing of them are left out."""
        if columns.all():
            return self
        place = np.cumsum(columns) - 1
        links = np.flatnonzero(columns[self.link_y])
        chosen = np.flatnonzero(columns)
        transposed = self.transposed[chosen]
        matrix = sparse.csr_array(transposed.T)
        # Of a second link whose y is out, the x is left.
        wanted = np.diff(matrix.indptr) > np.where(np.diff(self.matrix.indptr) == 2, 1, 0)
        wanted |= np.diff(matrix.indptr) == np.diff(self.matrix.indptr)
        if not wanted.all():
            matrix = matrix[np.flatnonzero(wanted)]
            transposed = sparse.csr_array(matrix.T)
        return replace(
            self,
            rows=self.rows[wanted],
            matrix=matrix,
            transposed=transposed,
            link_row=self.link_row[links],
            link_x=self.link_x[links],
            link_y=place[self.link_y[links]],
            opened=self.opened[links],
            rest=self.rest[links],
            scale=self.scale[links],
            objective=self.objective[chosen],
            lower=self.lower[chosen],
            upper=self.upper[chosen],
            least_price=self.least_price[wanted],
            most_price=self.most_price[wanted],
        )

    def value(self, prices: FloatArray) -> tuple[float, FloatArray]:
        """Return what prices of the priced rows prove, rounding apart, and what the best columns leave.

        What they leave of each row's side is the subgradient.
        """
        costs = self.objective - self.transposed @ prices
        earned = np.maximum(costs[self.link_y], 0.0)
        paid_for = earned > 0.0
        costs[self.link_y] -= earned
        costs[: self.n_x] += np.bincount(self.link_x, earned * self.opened, minlength=self.n_x)
        values = np.where(costs > 0.0, self.upper, self.lower)
        value = float(np.sum(costs * values) + np.sum(earned * self.rest))
        opened = self.opened * values[self.link_x] + self.rest
        values[self.link_y] = np.where(paid_for, opened, values[self.link_y])
        row_lower, row_upper = self.model.row_lower[self.rows], self.model.row_upper[self.rows]
        side = np.where(prices > 0.0, row_upper, np.where(prices < 0.0, row_lower, 0.0))
        value += float(np.sum(prices * side))
        body = self.matrix @ values
        # Without a price, a body between its sides misses nothing.
        nearest = np.minimum(np.maximum(body, row_lower), row_upper)
        return value, np.where(prices == 0.0, nearest, side) - body

    def typical_prices(self) -> FloatArray:
        """Return in what unit each priced row's price is, > 0: what its columns are worth per entry.

        An x is worth what its columns are; a column that nothing says the worth of, what its rows are.
        """
        worth = np.abs(self.objective)
        through = np.maximum(self.objective[self.link_y], 0.0) * self.opened
        worth[: self.n_x] += np.bincount(self.link_x, through, minlength=self.n_x)
        row, column, size = entry_rows(self.matrix), self.matrix.indices, np.abs(self.matrix.data)
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
        model = self.model
        duals = np.zeros(model.n_rows)
        duals[self.rows] = prices[self.rows]
        duals = usable_duals(model, duals)
        worth = model.objective - model.matrix.T @ duals
        duals[self.link_row] = np.maximum(worth[self.link_y], 0.0) / self.scale
        costs = model.objective - model.matrix.T @ duals
        return Ascent(bound_at(model, duals, costs, model.lower, model.upper), duals, worth)
