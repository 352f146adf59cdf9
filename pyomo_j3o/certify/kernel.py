"""The kernel: an LP over the columns that matter, the others priced out, and its bound of the whole LP."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from pyomo_j3o.certify.params import KernelParams
from pyomo_j3o.certify.relaxation import TightRelaxation
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.lp.base import Backend, LinearModel, LinearProgram, LPSolution, LPStatus, Statuses
from pyomo_j3o.lp.duality import bound_at, usable_duals


@dataclass(frozen=True, slots=True)
class Point:
    """What the kernel's LP says at bounds of x.

    Attributes
    ----------
    status : LPStatus
        ``STOPPED`` if it was cut off, or an iteration limit ended it: the arrays are empty then.
    bound : float
        No plan within the bounds is better, whatever column of the whole LP it uses.
    values : (n,), fractional
    duals : (m,)
    costs : (n,)
        Reduced costs that `bound` comes from.
    basis : Any
        To start related LPs from; None if there is none.
    """

    status: LPStatus
    bound: float
    values: FloatArray
    duals: FloatArray
    costs: FloatArray
    basis: Any

    @property
    def solved(self) -> bool:
        """Whether the LP was solved to its optimum."""
        return self.status is LPStatus.OPTIMAL and len(self.values) > 0

    def solution(self, model: LinearModel, iterations: int) -> LPSolution:
        """Return this optimum as one of the whole LP, after `iterations` simplex iterations."""
        objective = float(model.objective @ self.values)
        return LPSolution(self.status, objective, self.values, self.duals, self.costs, iterations)


class Kernel:
    """The tightened relaxation over a part of its columns, solved for one box of x after the other.

    A column that is left out is 0, and so is the need for the row that links it to its x. The duals of the
    smaller LP, completed by those of the absent links, still bound the whole LP (weak duality): what absent
    columns would add to that bound is known at each solve, and those that add too much are let in.

    Parameters
    ----------
    model
        The whole LP over (x, y).
    backend
        The LP solver.
    n_onloading
        N.
    columns
        (n,) bool, those to begin with.
    params
        How fast it grows, and what its work costs.
    near
        A basis of the whole LP, or of its first rows, near the optimum.
    """

    def __init__(
        self,
        model: LinearModel,
        backend: Backend,
        n_onloading: int,
        columns: BoolArray,
        params: KernelParams = KernelParams(),
        near: Statuses | None = None,
    ) -> None:
        self.model = model
        self._near = near
        self._params = params
        self.n_onloading = n_onloading
        #: Simplex iterations so far, and the work in units of one in a large LP.
        self.iterations, self.work = 0, 0.0
        self._backend = backend
        self._rows = sparse.csr_array(self.model.matrix)
        self._transpose()
        self.links = Links.of(self.model, n_onloading)
        self._reach = reach(self.model)
        self._columns = np.zeros(0, dtype=np.int64)
        self._row_numbers = np.zeros(0, dtype=np.int64)
        self._inside = np.zeros(self.model.n_columns, dtype=bool)
        self._row_inside = np.zeros(self.model.n_rows, dtype=bool)
        self._program: LinearProgram | None = None
        self._basis: Any = None
        self._whole: LinearProgram | None = None
        # Only a column that may be 0, and whose worth has an end, can be left out.
        linked = np.zeros(self.model.n_columns, dtype=bool)
        linked[self.links.y] = True
        must = (model.lower != 0.0) | ~(np.isfinite(model.upper) | linked)
        columns = columns | must
        # A y behind an x that is left out would be 0 all the same.
        shut = np.zeros(len(columns), dtype=bool)
        shut[self.links.y[~columns[self.links.x]]] = True
        self._grow((columns & ~shut) | must)

    def close(self) -> None:
        """Free the LPs."""
        for program in (self._program, self._whole):
            if program is not None:
                program.close()

    def influence(self, point: Point) -> FloatArray:
        """Return per x what its links are worth at the LP's prices, (N,): how much hangs on it."""
        worth = np.maximum(point.duals[self.links.row], 0.0) * self.links.opening
        return np.bincount(self.links.x, worth, minlength=self.n_onloading).astype(float)

    @property
    def size(self) -> int:
        """Number of columns inside."""
        return len(self._columns)

    @property
    def inside(self) -> BoolArray:
        """Which columns are inside, (n,)."""
        return self._inside.copy()

    def statuses(self) -> Statuses | None:
        """Return the basis of the last LP as one of the whole; None if it is not known."""
        assert self._program is not None
        found = self._program.statuses()
        if found is None or (len(found.columns), len(found.rows)) != (self.size, len(self._row_numbers)):
            return None  # not after an LP that was not solved
        columns = np.full(self.model.n_columns, Statuses.LOWER)
        rows = np.full(self.model.n_rows, Statuses.BASIC)
        columns[self._columns], rows[self._row_numbers] = found.columns, found.rows
        return Statuses(columns, rows)

    def add_rows(self, rows: sparse.csr_array, upper: FloatArray) -> None:
        """Append rows ``rows @ (x, y) <= upper`` to the whole LP, (k, n) and (k,)."""
        nothing = np.full(len(upper), -np.inf)
        first = self.model.n_rows
        self._rows = sparse.csr_array(sparse.vstack([self._rows, rows], format="csr"))
        self._transpose()
        self.model = replace(
            self.model,
            matrix=self._rows,
            row_lower=np.concatenate([self.model.row_lower, nothing]),
            row_upper=np.concatenate([self.model.row_upper, upper]),
        )
        self._row_numbers = np.concatenate([self._row_numbers, first + np.arange(len(upper))])
        self._row_inside = np.concatenate([self._row_inside, np.ones(len(upper), dtype=bool)])
        if self._whole is not None:
            self._whole.close()
            self._whole = None
        assert self._program is not None
        self._program.add_rows(sparse.csr_array(rows[:, self._columns]), nothing, upper)

    def _transpose(self) -> None:
        """Keep the transposed matrix and its sizes, which every solve needs."""
        self._columns_by_rows = self._rows.T
        self._sizes = abs(self._rows).T

    def probe(
        self,
        lower: FloatArray,
        upper: FloatArray,
        basis: Any,
        iterations: int,
        cutoff: float,
        time_limit: float,
    ) -> Point:
        """Run a few simplex iterations from `basis`; return the bound reached, valid but not the best."""
        low, high = self._box(lower, upper)
        return self._once(low, high, basis, cutoff, iterations, time_limit)[0]

    def solve(
        self,
        lower: FloatArray,
        upper: FloatArray,
        basis: Any,
        slack: float,
        cutoff: float,
        deadline: Deadline,
    ) -> Point:
        """Solve at the bounds (N,) of x, and let columns in until they add less than `slack` to the bound.

        Parameters
        ----------
        lower, upper
            (N,) each.
        basis
            To start from, or None for the last one.
        slack
            In units of the objective.
        cutoff
            A bound that is not above this is as good as any: the solve ends there.
        deadline
            When to end.
        """
        low, high = self._box(lower, upper)
        while True:
            point, added, raises = self._once(low, high, basis, cutoff, None, deadline.left())
            if point.status is LPStatus.TIME_LIMIT or point.bound <= cutoff:
                return point
            if point.status is LPStatus.INFEASIBLE:
                if self._inside.all():
                    return point
                possible, grown = self._make_possible(low, high, deadline.left())
                if not possible:
                    return _without(LPStatus.INFEASIBLE, -np.inf, basis)
                if not grown:
                    return _without(LPStatus.STOPPED, point.bound, basis)
            elif point.status is LPStatus.STOPPED:
                # The kernel's LP fell below the cutoff, the whole one has not.
                if not self._grow(raises):
                    cutoff = -np.inf
            elif point.status is not LPStatus.OPTIMAL or added <= slack or not self._grow(raises):
                return point
            basis = point.basis if point.basis is not None else basis

    def _box(self, lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
        low, high = self.model.lower.copy(), self.model.upper.copy()
        low[: self.n_onloading], high[: self.n_onloading] = lower, upper
        self._grow(low != 0.0)  # an x that has to be placed cannot be left out
        return low, high

    def _once(
        self,
        lower: FloatArray,
        upper: FloatArray,
        basis: Any,
        cutoff: float,
        iterations: int | None,
        time_limit: float,
    ) -> tuple[Point, float, BoolArray]:
        """Solve once; return also what absent columns add to the bound, and which of them do."""
        program = self._program
        assert program is not None
        program.set_column_bounds(lower[self._columns], upper[self._columns])
        if basis is not None and basis is not self._basis:
            program.set_basis(basis)
        self._basis = None
        found = program.solve(time_limit, cutoff, iterations)
        self.iterations += found.iterations
        params = self._params
        of_unit = min(max(self.size / params.unit, params.least_size), 1.0)
        self.work += (found.iterations + params.per_lp) * of_unit
        nobody = np.zeros(0, dtype=bool)
        usable = found.status in (LPStatus.OPTIMAL, LPStatus.STOPPED, LPStatus.INFEASIBLE)
        if not usable or len(found.row_duals) != len(self._row_numbers):
            proven = found.status is LPStatus.INFEASIBLE and self._inside.all()
            return _without(found.status, -np.inf if proven else np.inf, basis), 0.0, nobody
        duals = np.zeros(self.model.n_rows)
        duals[self._row_numbers] = found.row_duals
        duals = usable_duals(self.model, duals)
        costs, raises = self._complete(self.model.objective, duals, lower, upper)
        bound = bound_at(self.model, duals, costs, lower, upper, self._sizes)
        if found.status is LPStatus.INFEASIBLE and self._inside.all():
            bound = -np.inf
        # The program goes on from it by itself.
        self._basis = program.basis()
        if found.status is not LPStatus.OPTIMAL:
            return _without(found.status, bound, self._basis), 0.0, raises
        values = np.zeros(self.model.n_columns)
        values[self._columns] = found.values
        point = Point(found.status, bound, values, duals, costs, self._basis)
        return point, bound - found.objective, raises

    def _complete(
        self, objective: FloatArray, duals: FloatArray, lower: FloatArray, upper: FloatArray
    ) -> tuple[FloatArray, BoolArray]:
        """Give absent links the duals that suit the bound best; return reduced costs, and what raises it."""
        links, inside = self.links, self._inside
        costs = objective - self._columns_by_rows @ duals
        worth = costs * self._reach
        absent = np.flatnonzero(~self._row_inside[links.row] & (costs[links.y] > 0))
        # One link per y carries its worth over to the x.
        _, first = np.unique(links.y[absent], return_index=True)
        absent = absent[first]
        row, y, x = links.row[absent], links.y[absent], links.x[absent]
        duals[row] = costs[y] / links.scale[absent]
        np.add.at(costs, x, duals[row] * links.opening[absent])
        costs[y] = 0.0
        raises = (costs > 0) & ~inside & (upper > 0)
        # With an x come the y that pay for it; so do those of an x inside that is paid for or placed.
        raises[y[(raises[x] | inside[x] & ((costs[x] > 0) | (lower[x] > 0))) & (upper[x] > 0)]] = True
        # So does a y whose link lets some of it through without x.
        raises[y[(duals[row] * self.model.row_upper[row] > 0) & (upper[y] > 0)]] = True
        return costs, self._best_of(raises & ~inside, np.maximum(worth, costs))

    def _best_of(self, columns: BoolArray, worth: FloatArray) -> BoolArray:
        """Return those of the columns that are worth most: the next duals will not want all of the others."""
        most = max(self._params.growth, int(self._params.growth_of_size * self.size))
        wanted = np.flatnonzero(columns)
        if len(wanted) <= most:
            return columns
        best = np.zeros(len(columns), dtype=bool)
        best[wanted[np.argpartition(-worth[wanted], most)[:most]]] = True
        return best

    def _make_possible(self, lower: FloatArray, upper: FloatArray, time_limit: float) -> tuple[bool, bool]:
        """Return whether the box may be feasible for the whole LP, and whether columns were let in for it."""
        assert self._program is not None
        ray = self._program.farkas()
        if ray is not None:
            duals = np.zeros(self.model.n_rows)
            duals[self._row_numbers] = ray / np.abs(ray).max(initial=1e-300)
            duals = usable_duals(self.model, duals)
            costs, raises = self._complete(np.zeros(self.model.n_columns), duals, lower, upper)
            if bound_at(self._without_objective(), duals, costs, lower, upper, self._sizes) < 0.0:
                return False, False
            if self._grow(raises):
                return True, True
        needed = self._needed(lower, upper, time_limit)
        return needed is not None, needed is not None and self._grow(needed)

    def _without_objective(self) -> LinearModel:
        """Return the whole LP with an objective of 0; what only better plans keep is no bound there."""
        nothing = replace(self.model, objective=np.zeros(self.model.n_columns), floor=-np.inf)
        return nothing if self.model.floor == -np.inf else replace(nothing, far_lower=None, far_upper=None)

    def _needed(self, lower: FloatArray, upper: FloatArray, time_limit: float) -> BoolArray | None:
        """Return the columns that make the box feasible; None if no column does."""
        if self._whole is None:
            self._whole = self._backend.open(self.model)
        self._whole.set_column_bounds(lower, upper)
        found = self._whole.solve(time_limit)
        self.iterations += found.iterations
        if found.status is LPStatus.INFEASIBLE:
            return None
        if found.status is not LPStatus.OPTIMAL:
            return np.zeros(len(lower), dtype=bool)
        return np.asarray(np.abs(found.values) > 1e-9)

    def _grow(self, columns: BoolArray) -> bool:
        """Let columns and their links in; return whether there were any.

        They are appended, so that bases taken before can be extended.
        """
        new = np.flatnonzero(columns & ~self._inside)
        if not len(new) and self._program is not None:
            return False
        self._inside[new] = True
        wanted = np.ones(self.model.n_rows, dtype=bool)
        wanted[self.links.row] = self._inside[self.links.y]
        rows = np.flatnonzero(wanted & ~self._row_inside)
        self._row_inside[rows] = True
        self._columns = np.concatenate([self._columns, new])
        self._row_numbers = np.concatenate([self._row_numbers, rows])
        if self._program is not None:
            self._program.close()
        model = self.model
        self._basis = None
        self._program = self._backend.open(
            LinearModel(
                model.objective[self._columns],
                sparse.csr_array(self._rows[self._row_numbers][:, self._columns]),
                model.row_lower[self._row_numbers],
                model.row_upper[self._row_numbers],
                model.lower[self._columns],
                model.upper[self._columns],
            )
        )
        if self._near is not None:
            # Of the first LP alone: the next ones start from its basis.
            near, self._near = self._near, None
            rows = np.full(self.model.n_rows, Statuses.BASIC)
            rows[: len(near.rows)] = near.rows
            self._program.start_from(Statuses(near.columns[self._columns], rows[self._row_numbers]))
        return True


def kernel_columns(tightened: TightRelaxation, gap: float) -> BoolArray:
    """Return the columns in use at the relaxation's optimum, or that cost at most `gap` to use fully.

    Parameters
    ----------
    tightened
        The LP and its optimum.
    gap
        In units of the objective.
    """
    solution, model = tightened.solution, tightened.model
    return np.asarray((solution.reduced_costs * reach(model) > -gap) | (np.abs(solution.values) > 1e-9))


def reach(model: LinearModel) -> FloatArray:
    """Return by how much each column can move, (n,); 1 where that has no end.

    A reduced cost per unit of a flow says less than one per share of a demand, and means as much.
    """
    width = np.maximum(model.upper - model.lower, 1e-9)
    return np.where(np.isfinite(width), width, 1.0)


@dataclass(frozen=True, slots=True)
class Links:
    """Rows ``scale y - opening x <= c`` with c >= 0, which nothing needs while their y is 0; all (links,)."""

    row: IntArray
    x: IntArray
    y: IntArray
    scale: FloatArray
    opening: FloatArray

    def close(self, upper: FloatArray, row_upper: FloatArray) -> None:
        """Lower the bounds `upper`, (n,) in place, of y behind an x that can only be 0.

        `row_upper` are the sides, (m,), of all rows.
        """
        shut = upper[self.x] <= 0.0
        np.minimum.at(upper, self.y[shut], row_upper[self.row[shut]] / self.scale[shut])

    @staticmethod
    def of(model: LinearModel, n_onloading: int) -> Links:
        """Find the links of a model over (x, y)."""
        rows = sparse.csr_array(model.matrix)
        two = np.flatnonzero(np.diff(rows.indptr) == 2)
        first = rows.indptr[two]
        columns = np.stack([rows.indices[first], rows.indices[first + 1]])
        values = np.stack([rows.data[first], rows.data[first + 1]])
        order = np.argsort(columns, axis=0)
        columns = np.take_along_axis(columns, order, axis=0)
        values = np.take_along_axis(values, order, axis=0)
        (x, y), (on_x, on_y) = columns, values
        fits = (x < n_onloading) & (y >= n_onloading) & (on_y > 0) & (on_x < 0)
        fits &= (model.row_upper[two] >= 0) & np.isfinite(model.row_upper[two])
        fits &= np.isneginf(model.row_lower[two])
        return Links(
            two[fits],
            x[fits].astype(np.int64),
            y[fits].astype(np.int64),
            on_y[fits],
            -on_x[fits],
        )


def _without(status: LPStatus, bound: float, basis: Any) -> Point:
    empty = np.zeros(0)
    return Point(status, bound, empty, empty, empty, basis)
