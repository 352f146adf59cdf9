"""Rows and bounds of a problem as members that can be taken out one by one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from pyomo_j3o.certify.relaxation import whole_model
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Problem, largest_coefficients
from pyomo_j3o.core.whole_numbers import rows_over_x, units_of
from pyomo_j3o.lp import LinearModel, LPStatus
from pyomo_j3o.mip import HighsMIP, Limits, MIPModel, MIPSolution, solve_checked

#: Violations below this, relative to the size of a row, are rounding.
TOLERANCE = 1e-7

#: A dual below this fraction of the largest one is rounding.
NO_DUAL = 1e-7

#: The price of moving a side outside the conflict, as a multiple of the price of moving one inside.
_PRICE_OUTSIDE = 1e3

#: What a member of a system is: a side of a row, a side of a row that ties one y to x, or a bound.
ROW, TIE, BOUND = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a row, or of the bounds of a variable.

    Attributes
    ----------
    row : int
        Number of the row; -1 for a bound.
    column : int
        Number of the variable, first those of x, then those of y; -1 for a row.
    upper : bool
        Whether it is the upper side.
    """

    row: int
    column: int
    upper: bool


@dataclass(frozen=True, slots=True)
class Relief:
    """The cheapest change of some sides that leaves a plan.

    Attributes
    ----------
    status : LPStatus
        ``OPTIMAL`` if a change was found, ``INFEASIBLE`` if none helps, ``TIME_LIMIT`` if time ended first.
    slack : (n,)
        By how much each side gives way, in its unit; empty without a change.
    least : float
        Proven lower bound on the sum of slacks, each divided by the size of its side; inf if none helps.
    """

    status: LPStatus
    slack: FloatArray
    least: float

    @property
    def found(self) -> bool:
        """Whether there is a change."""
        return self.status is LPStatus.OPTIMAL


@dataclass(slots=True)
class System:
    """Rows and bounds as members that can be taken out one by one.

    Attributes
    ----------
    model : LinearModel
        The whole, x marked integer.
    kind, index, upper : (S,)
        Of each member: row, tie or bound; its number among the rows or columns; whether it is an upper side.
    side : (S,)
        The number on that side; moved where a conflict has been relieved.
    size : (S,)
        A violation is divided by the size of the side that it violates.
    grain : (S,)
        Unit of the row, if it holds x alone in whole multiples of it: sums are exact. Else 0.
    base_row_lower, base_row_upper, base_lower, base_upper
        The model's sides without any member.
    """

    model: LinearModel
    kind: IntArray
    index: IntArray
    upper: BoolArray
    side: FloatArray
    size: FloatArray
    grain: FloatArray
    base_row_lower: FloatArray
    base_row_upper: FloatArray
    base_lower: FloatArray
    base_upper: FloatArray

    @staticmethod
    def of(problem: Problem, given_rows: BoolArray, given_columns: BoolArray) -> System:
        """Return a linear problem as a system; what is given is no member.

        Parameters
        ----------
        problem
            Without products.
        given_rows
            (M,): rows that are no members.
        given_columns
            (N + K,): columns whose bounds are no members. Bounds of 0 from below, and those that make x
            binary, never are.
        """
        model = whole_model(problem)
        tie = _ties(problem)
        integer = np.arange(model.n_columns) < problem.n_onloading
        given_lower = given_columns | (model.lower == 0.0)
        given_upper = given_columns | (integer & (model.upper == 1.0))
        kind, index, upper, side = [], [], [], []
        for up, row_side, bound, given in (
            (False, problem.row_lower, model.lower, given_lower),
            (True, problem.row_upper, model.upper, given_upper),
        ):
            rows = np.flatnonzero(np.isfinite(row_side) & ~given_rows)
            bounds = np.flatnonzero(np.isfinite(bound) & ~given)
            kind += [np.where(tie[rows], TIE, ROW), np.full(len(bounds), BOUND)]
            index += [rows, bounds]
            upper.append(np.full(len(rows) + len(bounds), up))
            side += [row_side[rows], bound[bounds]]
        kinds, numbers, values = np.concatenate(kind), np.concatenate(index), np.concatenate(side)
        # A side of 0 is measured by the largest coefficient of its row.
        largest = largest_coefficients(problem)
        scale, of_row = np.ones(len(kinds)), kinds != BOUND
        scale[of_row] = np.where(largest > 0, largest, 1.0)[numbers[of_row]]
        return System(
            model=model,
            kind=kinds,
            index=numbers,
            upper=np.concatenate(upper),
            side=values,
            size=np.where(values != 0, np.abs(values), scale),
            grain=np.where(of_row, _grains(problem)[np.where(of_row, numbers, 0)], 0.0)
            if problem.n_rows
            else np.zeros(len(kinds)),
            base_row_lower=np.where(given_rows, model.row_lower, -np.inf),
            base_row_upper=np.where(given_rows, model.row_upper, np.inf),
            base_lower=np.where(given_lower, model.lower, np.where(integer, 0.0, -np.inf)),
            base_upper=np.where(given_upper, model.upper, np.where(integer, 1.0, np.inf)),
        )

    @property
    def n_columns(self) -> int:
        """Number of columns, N + K."""
        return self.model.n_columns

    def everything(self) -> IntArray:
        """Return all members."""
        return np.arange(len(self.kind))

    def rows(self) -> IntArray:
        """Return the members that are sides of rows, without ties."""
        return np.flatnonzero(self.kind == ROW)

    def beyond_bounds(self) -> IntArray:
        """Return the side of a row that bounds alone leave farthest out of reach, if there is one.

        Such a row conflicts by itself.
        """
        rows = self.rows()
        if not len(rows):
            return rows
        model = self.with_members(self.everything())
        matrix = sparse.csr_array(model.matrix)[self.index[rows]]
        sign = np.where(self.upper[rows], 1.0, -1.0)
        matrix.data = matrix.data * np.repeat(sign, np.diff(matrix.indptr))
        # Of a side a'v <= b, the least that a'v can be.
        least_terms = np.where(matrix.data > 0, model.lower[matrix.indices], model.upper[matrix.indices])
        with np.errstate(invalid="ignore"):
            least_terms = matrix.data * least_terms
        number = np.repeat(np.arange(len(rows)), np.diff(matrix.indptr))
        least = np.bincount(number, np.maximum(least_terms, -1e300), minlength=len(rows))
        over = (least - sign * self.side[rows]) / self.size[rows]
        worst = int(np.argmax(over))
        return rows[[worst]] if over[worst] > TOLERANCE else rows[:0]

    def surroundings(self) -> IntArray:
        """Return the ties and the bounds."""
        return np.flatnonzero(self.kind != ROW)

    def bounds_first(self, members: IntArray) -> IntArray:
        """Return ties and bounds in the order in which they are taken out: the bounds first."""
        return members[np.argsort(-self.kind[members], kind="stable")]

    def side_of(self, member: int) -> Side:
        """Return which side of the model a member is."""
        number, bound = int(self.index[member]), self.kind[member] == BOUND
        return Side(-1 if bound else number, number if bound else -1, bool(self.upper[member]))

    def move(self, members: IntArray, slack: FloatArray) -> None:
        """Move the sides of members outwards by their slack; inwards where it is negative."""
        self.side[members] += np.where(self.upper[members], slack, -slack)

    def independent_groups(self, members: IntArray, duals: FloatArray) -> list[IntArray]:
        """Split rows into groups that share no column.

        Two rows share one also where a chain of other rows with a dual, duals (M,), leads from one to the
        other.
        """
        bearing = np.flatnonzero(
            np.abs(duals[: self.model.n_rows]) > NO_DUAL * np.abs(duals).max(initial=0.0)
        )
        bearing = np.union1d(bearing, self.index[members])
        links = sparse.csr_array(self.model.matrix)[bearing]
        graph = sparse.block_array([[None, links], [links.T, None]], format="csr")
        _, label = connected_components(graph, directed=False)
        label_of_member = label[np.searchsorted(bearing, self.index[members])]
        return [members[label_of_member == number] for number in np.unique(label_of_member)]

    def with_members(self, members: IntArray) -> LinearModel:
        """Return the model with these members alone, and no objective."""
        sides = [self.base_row_lower, self.base_row_upper, self.base_lower, self.base_upper]
        sides = [side.copy() for side in sides]
        for of_bounds in (False, True):
            for up in (False, True):
                mine = members[((self.kind[members] == BOUND) == of_bounds) & (self.upper[members] == up)]
                sides[2 * of_bounds + up][self.index[mine]] = self.side[mine]
        return replace(
            self.model,
            objective=np.zeros(self.n_columns),
            row_lower=sides[0],
            row_upper=sides[1],
            lower=sides[2],
            upper=sides[3],
        )

    def overfill(self, members: IntArray, values: FloatArray) -> FloatArray:
        """Return by how much the rounded x of a point exceeds sides of rows over x, exactly, at least 0.

        Parameters
        ----------
        members
            With a grain.
        values
            (N + K,) or longer.
        """
        matrix = sparse.csr_array(self.model.matrix)[self.index[members]]
        body = matrix @ np.rint(values[: self.n_columns])
        beyond = np.where(self.upper[members], body - self.side[members], self.side[members] - body)
        return np.maximum(beyond, 0.0)

    def point(self, members: IntArray, deadline: Deadline) -> tuple[LPStatus, FloatArray]:
        """Return a point that satisfies these members, or ``INFEASIBLE`` if it is proven that none does."""
        if deadline.over:
            return LPStatus.TIME_LIMIT, np.zeros(0)
        model = self.with_members(members)
        rows = np.flatnonzero(np.isfinite(model.row_lower) | np.isfinite(model.row_upper))
        matrix = sparse.csr_array(model.matrix)[rows]
        used = np.zeros(self.n_columns, dtype=bool)
        used[matrix.indices] = True
        columns = np.flatnonzero(used)
        values = np.clip(0.0, model.lower, model.upper)
        empty = np.diff(matrix.indptr) == 0
        if np.any(model.row_lower[rows][empty] > TOLERANCE) or np.any(
            model.row_upper[rows][empty] < -TOLERANCE
        ):
            return LPStatus.INFEASIBLE, values
        if not len(columns):
            return LPStatus.OPTIMAL, values
        assert model.integer is not None
        small = LinearModel(
            objective=np.zeros(len(columns)),
            matrix=sparse.csr_array(matrix[:, columns]),
            row_lower=model.row_lower[rows],
            row_upper=model.row_upper[rows],
            lower=model.lower[columns],
            upper=model.upper[columns],
            integer=model.integer[columns],
        )
        found = _solve(small, Limits(deadline.left(), first_incumbent=True))
        if found.found:
            values[columns] = found.values
            return LPStatus.OPTIMAL, values
        return (LPStatus.INFEASIBLE if found.status is LPStatus.INFEASIBLE else LPStatus.TIME_LIMIT), values

    def status(self, members: IntArray, deadline: Deadline) -> LPStatus:
        """Return ``OPTIMAL`` if a point satisfies these members, ``INFEASIBLE`` if none does."""
        return self.point(members, deadline)[0]

    def violated(self, values: FloatArray) -> BoolArray:
        """Return which members a point violates, by more than rounding, (S,)."""
        body = self.model.matrix @ values
        bound = self.kind == BOUND
        at = np.where(bound, values[np.where(bound, self.index, 0)], 0.0)
        if len(body):
            at = np.where(bound, at, body[np.where(bound, 0, self.index)])
        over = np.where(self.upper, at - self.side, self.side - at)
        return over > TOLERANCE * np.maximum(1.0, self.size)

    def elastic(self, members: IntArray, soft: IntArray, weight: FloatArray) -> LinearModel:
        """Return the model with these members, in which those in `soft` give way, at a price per unit.

        The slacks are the last columns, in the order of `soft`.
        """
        model = self.with_members(np.union1d(members, soft))
        rows_of_bounds = soft[self.kind[soft] == BOUND]
        lower, upper = model.lower.copy(), model.upper.copy()
        # A bound that gives way becomes a row.
        above = self.upper[rows_of_bounds]
        upper[self.index[rows_of_bounds[above]]] = np.inf
        lower[self.index[rows_of_bounds[~above]]] = -np.inf
        integer = np.asarray(model.integer)
        lower[integer], upper[integer] = np.maximum(lower[integer], 0.0), np.minimum(upper[integer], 1.0)
        k, n = len(rows_of_bounds), self.n_columns
        extra = sparse.csr_array((np.ones(k), (np.arange(k), self.index[rows_of_bounds])), shape=(k, n))
        row = np.where(self.kind[soft] == BOUND, 0, self.index[soft])
        row[self.kind[soft] == BOUND] = model.n_rows + np.arange(k)
        slack = sparse.csr_array(
            (np.where(self.upper[soft], -1.0, 1.0), (row, np.arange(len(soft)))),
            shape=(model.n_rows + k, len(soft)),
        )
        rows = sparse.vstack([model.matrix, extra])
        return LinearModel(
            objective=np.concatenate([model.objective, -weight]),
            matrix=sparse.csr_array(sparse.hstack([rows, slack], format="csr")),
            row_lower=np.concatenate([model.row_lower, np.where(above, -np.inf, self.side[rows_of_bounds])]),
            row_upper=np.concatenate([model.row_upper, np.where(above, self.side[rows_of_bounds], np.inf)]),
            lower=np.concatenate([lower, np.zeros(len(soft))]),
            upper=np.concatenate([upper, np.full(len(soft), np.inf)]),
            integer=np.concatenate([integer, np.zeros(len(soft), dtype=bool)]),
        )

    def relieve(
        self, members: IntArray, soft: IntArray, seconds: float, others: IntArray | None = None
    ) -> Relief:
        """Let members give way as little as possible, in all, relative to their size.

        Parameters
        ----------
        members
            These are in the model.
        soft
            These give way; their slacks are returned.
        seconds
            Time limit.
        others
            These give way, too, where nothing else helps.
        """
        if seconds <= 0:
            return Relief(LPStatus.TIME_LIMIT, np.zeros(0), 0.0)
        n = len(soft)
        weight = 1.0 / self.size[soft]
        if others is not None:
            soft = np.concatenate([soft, others])
            weight = np.concatenate([weight, _PRICE_OUTSIDE / self.size[others]])
        model = self.elastic(members, soft, weight)
        found = _solve(model, Limits(seconds, rel_gap=1e-7, abs_gap=1e-9))
        if found.status is LPStatus.INFEASIBLE and not found.found:
            return Relief(LPStatus.INFEASIBLE, np.zeros(0), np.inf)
        if not found.found:
            return Relief(LPStatus.TIME_LIMIT, np.zeros(0), max(0.0, -found.bound))
        # The MILP's x is within a tolerance of 0 and 1. An LP says what the placement itself needs.
        integer = np.asarray(model.integer)
        lower, upper = model.lower.copy(), model.upper.copy()
        lower[integer] = upper[integer] = np.rint(found.values[integer])
        exact = _solve(replace(model, lower=lower, upper=upper), Limits(max(seconds, 1.0)))
        values = exact.values if exact.found else found.values
        slack = np.maximum(values[self.n_columns :], 0.0)
        exactly = self.grain[soft] > 0
        slack[exactly] = self.overfill(soft[exactly], found.values)
        least = -found.bound if np.isfinite(found.bound) else 0.0
        if found.status is LPStatus.OPTIMAL:
            least = float(weight @ slack)
        return Relief(LPStatus.OPTIMAL, slack[:n], max(least, 0.0))


def _ties(problem: Problem) -> BoolArray:
    """Return which rows tie one y to x (``y <= u x``), (M,)."""
    of_x, of_y = np.diff(problem.onloading_rows.indptr), np.diff(problem.offloading_rows.indptr)
    sides = np.where(np.isfinite(problem.row_lower), problem.row_lower, 0.0)
    sides = np.abs(sides) + np.abs(np.where(np.isfinite(problem.row_upper), problem.row_upper, 0.0))
    return (of_y == 1) & (of_x >= 1) & (sides == 0)


def _grains(problem: Problem) -> FloatArray:
    """Return the units of rows over x alone, (M,); 0 for other rows, and where there is none."""
    rows = rows_over_x(problem)
    grain = np.zeros(problem.n_rows)
    grain[rows] = units_of(problem.onloading_rows[rows])
    return grain


def _solve(model: LinearModel, limits: Limits) -> MIPSolution:
    """Solve by HiGHS in one thread, without Gurobi's licence or SCIP."""
    if limits.time <= 0:
        return MIPSolution.without_values(LPStatus.TIME_LIMIT)
    found = solve_checked(HighsMIP(), MIPModel(model), replace(limits, threads=1))
    if found.status is LPStatus.INTERRUPTED:
        raise KeyboardInterrupt
    return found
