"""Why a problem has no plan: irreducible sets of rows and bounds that conflict, and what relieves them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from pyomo_j3o.certify.relaxation import whole_model
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Problem, largest_coefficients
from pyomo_j3o.core.whole_numbers import in_whole_numbers
from pyomo_j3o.lp import HighsBackend, LinearModel, LPStatus
from pyomo_j3o.mip import HighsMIP, Limits, MIPModel, MIPSolution, solve_checked
from pyomo_j3o.presolve.decomposing import split
from pyomo_j3o.presolve.linearize import Linearized, linearize
from pyomo_j3o.presolve.scaling import scale_rows

#: Violations below this, relative to the size of a row, are rounding.
_TOLERANCE = 1e-7

#: A dual below this part of the largest one says nothing.
_NO_DUAL = 1e-7

#: What it costs to move a row that is not in the conflict, against one that is.
_DEAR = 1e3

#: So many weightings of the elastic LP are tried for a small set of rows.
_WEIGHTINGS = 6

#: So many sets of rows are made irreducible; the smallest is kept.
_TRIED = 4

#: Parts of the time that is left: for one set of rows, and for the rows and bounds that tie it together.
_SHARE_OF_ROWS, _SHARE_OF_TIES = 0.5, 0.25


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
class Growth:
    """By how much one side has to give way.

    Attributes
    ----------
    amount : float
        So much is enough, upwards for an upper side and downwards for a lower one; inf if no amount is.
    least : float
        No less is enough. Below `amount`, or 0, where time ended the search.
    """

    amount: float
    least: float

    @property
    def proven(self) -> bool:
        """Whether no smaller amount is enough, up to rounding."""
        return self.amount <= self.least or self.amount - self.least <= 1e-5 * self.amount


@dataclass(frozen=True, slots=True)
class Conflict:
    """Rows and bounds that no plan satisfies together.

    Attributes
    ----------
    sides : tuple of Side
        The set; irreducible if `irreducible` says so: without any one of them there is a plan for the others.
    ties : tuple of Side
        Rows that tie one y to x (``y <= u x``) and bounds, without which `sides` would not conflict.
    irreducible : bool
        Whether it is proven of `sides`.
    ties_irreducible : bool
        Whether it is proven of `ties`.
    alone : tuple of Growth
        Per side: what makes it enough to change this one only, all other conflicts relieved. None if it was
        not looked for, or not found in time.
    together : tuple of float
        Per side: the change of all that is cheapest, relative to what each side is now. Empty if unknown.
    """

    sides: tuple[Side, ...]
    ties: tuple[Side, ...]
    irreducible: bool
    ties_irreducible: bool
    alone: tuple[Growth | None, ...] = ()
    together: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of the conflicts of a problem.

    Attributes
    ----------
    feasible : bool or None
        None if time ended before a plan or a conflict was found.
    conflicts : tuple of Conflict
        Each in the problem in which those before it are relieved.
    complete : bool
        Whether the problem has a plan once these are relieved.
    bounds_given : bool
        Whether bounds that rows imply of a y in a product count as given, as it has none of its own.
    """

    feasible: bool | None
    conflicts: tuple[Conflict, ...] = ()
    complete: bool = True
    bounds_given: bool = False


def find_conflicts(
    problem: Problem,
    time_limit: float = np.inf,
    most: int = 5,
    details: bool = True,
    families: IntArray | None = None,
) -> Finding:
    """Find out why a problem has no plan.

    Of each independent part, an elastic LP says whether the relaxation is infeasible, and the rows with a
    dual in it are a first set (Chinneck and Dravnieks 1991, DOI 10.1287/ijoc.3.2.157). If only the integers
    make it infeasible, rows are added to a MILP as long as its points violate some. Deletion, row by row,
    makes the set irreducible. That x is 0 or 1, that y is not negative, and what ties a product to its
    factors counts as given.

    Parameters
    ----------
    problem
        With or without products.
    time_limit
        In seconds.
    most
        So many conflicts at most.
    details
        Whether to look for ties, too, and among several sets of rows for the smallest.
    families
        (M + N + K,): of rows, x and y, the number of the component that each is of. What is alone of its own
        in a conflict is asked first what it would have to be.

    Raises
    ------
    UnboundedProductError
        If the products cannot be linearised.
    """
    clock = _Clock(time_limit)
    crossed = _crossed_bounds(problem)
    if crossed:
        return Finding(False, tuple(crossed[:most]), complete=False)
    linearized = linearize(problem)
    counted, into_counts, inwards = _counted(linearized.problem)
    linear, factors = scale_rows(counted)
    factors = into_counts * factors
    given = _given_bounds(linearized)
    conflicts: list[Conflict] = []
    unknown, complete = False, True
    for part in split(linear):
        columns = np.concatenate([part.onloading, problem.n_onloading + part.offloading])
        in_problem = part.rows < problem.n_rows
        system = _System.of(part.problem, ~in_problem, given[columns])
        if not system.n_columns and not len(part.rows):
            continue
        if len(conflicts) >= most:
            # Whether there are more is one question: not for the details.
            complete = complete and system.plan(system.everything(), clock.share(0.5)) is LPStatus.OPTIMAL
            continue
        search = _Search(system, clock, details, system.everything())
        if families is not None:
            of_rows, of_columns = families[: problem.n_rows], families[problem.n_rows :]
            bound = system.kind == _BOUND
            search.family = np.zeros(len(bound), dtype=np.int64)
            search.family[bound] = of_columns[columns[system.index[bound]]]
            search.family[~bound] = of_rows[part.rows[system.index[~bound]]]
        search.run(most - len(conflicts))
        unknown = unknown or search.unknown
        complete = complete and search.complete
        conflicts += [
            _in_whole(conflict, part.rows, columns, factors, inwards) for conflict in search.conflicts
        ]
    own = problem.offloading_lower, problem.offloading_upper
    in_products = np.zeros(problem.n_offloading, dtype=bool)
    in_products[problem.products.offloading] = True
    implied = bool(np.any(in_products & ~(np.isfinite(own[0]) & np.isfinite(own[1]))))
    feasible = False if conflicts else True if complete and not unknown else None
    return Finding(feasible, tuple(conflicts), complete, implied and bool(conflicts))


def _crossed_bounds(problem: Problem) -> list[Conflict]:
    """Return one conflict per row or variable whose sides leave no value between them."""
    lower = np.concatenate([problem.row_lower, problem.onloading_lower, problem.offloading_lower])
    upper = np.concatenate([problem.row_upper, problem.onloading_upper, problem.offloading_upper])
    found = []
    for i in np.flatnonzero(lower > upper):
        row, column = (int(i), -1) if i < problem.n_rows else (-1, int(i) - problem.n_rows)
        sides = tuple(Side(row, column, up) for up in (False, True))
        growth = Growth(float(lower[i] - upper[i]), float(lower[i] - upper[i]))
        found.append(Conflict(sides, (), True, True, (growth, growth), (0.0, growth.amount)))
    return found


def _counted(problem: Problem) -> tuple[Problem, FloatArray, FloatArray]:
    """Return the problem with rows in whole numbers counted in their units, and the way back.

    Where no multiple lies between the sides of a row, they stay where they are.

    Returns
    -------
    Problem
    factors : (M,)
        Counted row = factor times the row.
    moved : (2, M)
        By how much the lower and the upper side of each row moved inwards, in the user's numbers.
    """
    counted, factors, crossed = in_whole_numbers(problem)
    lower, upper = counted.row_lower.copy(), counted.row_upper.copy()
    lower[crossed] = (problem.row_lower * factors)[crossed]
    upper[crossed] = (problem.row_upper * factors)[crossed]
    with np.errstate(invalid="ignore"):
        moved = np.stack([lower / factors - problem.row_lower, problem.row_upper - upper / factors])
    moved = np.where(np.isfinite(moved), np.maximum(moved, 0.0), 0.0)
    return replace(counted, row_lower=lower, row_upper=upper), factors, moved


def _given_bounds(linearized: Linearized) -> BoolArray:
    """Return which columns of the linear problem have bounds that products rest on, (N + K',)."""
    original, n_x = linearized.original, linearized.original.n_onloading
    given = np.zeros(n_x + linearized.problem.n_offloading, dtype=bool)
    given[n_x : n_x + original.n_offloading] = linearized.gate >= 0
    given[n_x + linearized.pair_y] = True
    given[n_x + original.n_offloading :] = True
    return given


def _in_whole(
    conflict: Conflict, rows: IntArray, columns: IntArray, factors: FloatArray, inwards: FloatArray
) -> Conflict:
    """Return a conflict of a part in the numbers and units of the whole problem."""

    def whole(side: Side) -> Side:
        if side.row >= 0:
            return replace(side, row=int(rows[side.row]))
        return replace(side, column=int(columns[side.column]))

    sides = tuple(whole(side) for side in conflict.sides)
    unit = [1.0 / factors[side.row] if side.row >= 0 else 1.0 for side in sides]
    # The side had moved inwards by so much before it was asked how far it has to give way.
    before = [inwards[int(side.upper), side.row] if side.row >= 0 else 0.0 for side in sides]

    def own(amount: float, u: float, ahead: float) -> float:
        return max(amount * u - ahead, 0.0)

    return replace(
        conflict,
        sides=sides,
        ties=tuple(whole(side) for side in conflict.ties),
        alone=tuple(
            None if growth is None else Growth(own(growth.amount, u, ahead), own(growth.least, u, ahead))
            for growth, u, ahead in zip(conflict.alone, unit, before, strict=True)
        ),
        together=tuple(
            own(slack, u, ahead) for slack, u, ahead in zip(conflict.together, unit, before, strict=False)
        ),
    )


class _Clock:
    """The time that is left."""

    def __init__(self, time_limit: float) -> None:
        self._end = time.perf_counter() + time_limit

    def left(self) -> float:
        return max(self._end - time.perf_counter(), 0.0)

    def share(self, part: float) -> Callable[[], float]:
        """Return what tells how much is left of a part of what is left now."""
        end = time.perf_counter() + part * self.left()
        return lambda: max(end - time.perf_counter(), 0.0)


#: What a member of a system is.
_ROW, _TIE, _BOUND = 0, 1, 2


@dataclass(slots=True)
class _System:
    """Rows and bounds as members that can be taken out one by one.

    Attributes
    ----------
    model : LinearModel
        The whole, x marked integer.
    kind, index, upper : (S,)
        Of each member: row, tie or bound; its number among the rows or columns; whether it is an upper side.
    side : (S,)
        What it is now; moved where a conflict has been relieved.
    size : (S,)
        By which a violation is measured.
    base_row_lower, base_row_upper, base_lower, base_upper
        The model's sides without any member.
    """

    model: LinearModel
    kind: IntArray
    index: IntArray
    upper: BoolArray
    side: FloatArray
    size: FloatArray
    base_row_lower: FloatArray
    base_row_upper: FloatArray
    base_lower: FloatArray
    base_upper: FloatArray

    @staticmethod
    def of(problem: Problem, given_rows: BoolArray, given_columns: BoolArray) -> _System:
        model = whole_model(problem)
        n_x = problem.n_onloading
        of_x, of_y = np.diff(problem.onloading_rows.indptr), np.diff(problem.offloading_rows.indptr)
        sides = np.where(np.isfinite(problem.row_lower), problem.row_lower, 0.0)
        sides = np.abs(sides) + np.abs(np.where(np.isfinite(problem.row_upper), problem.row_upper, 0.0))
        tie = (of_y == 1) & (of_x >= 1) & (sides == 0)
        given_lower, given_upper = given_columns | (model.lower == 0.0), given_columns.copy()
        integer = np.arange(model.n_columns) < n_x
        given_upper |= integer & (model.upper == 1.0)
        kind, index, upper, side = [], [], [], []
        for up, row_side, bound, given in (
            (False, problem.row_lower, model.lower, given_lower),
            (True, problem.row_upper, model.upper, given_upper),
        ):
            rows = np.flatnonzero(np.isfinite(row_side) & ~given_rows)
            bounds = np.flatnonzero(np.isfinite(bound) & ~given)
            kind += [np.where(tie[rows], _TIE, _ROW), np.full(len(bounds), _BOUND)]
            index += [rows, bounds]
            upper.append(np.full(len(rows) + len(bounds), up))
            side += [row_side[rows], bound[bounds]]
        kinds, numbers, values = np.concatenate(kind), np.concatenate(index), np.concatenate(side)
        largest = largest_coefficients(problem)
        own, of_row = np.ones(len(kinds)), kinds != _BOUND
        own[of_row] = np.where(largest > 0, largest, 1.0)[numbers[of_row]]
        n_given = given_rows
        return _System(
            model,
            kinds,
            numbers,
            np.concatenate(upper),
            values,
            np.where(values != 0, np.abs(values), own),
            np.where(n_given, model.row_lower, -np.inf),
            np.where(n_given, model.row_upper, np.inf),
            np.where(given_lower, model.lower, np.where(integer, 0.0, -np.inf)),
            np.where(given_upper, model.upper, np.where(integer, 1.0, np.inf)),
        )

    @property
    def n_columns(self) -> int:
        return self.model.n_columns

    def everything(self) -> IntArray:
        return np.arange(len(self.kind))

    def side_of(self, member: int) -> Side:
        number, bound = int(self.index[member]), self.kind[member] == _BOUND
        return Side(-1 if bound else number, number if bound else -1, bool(self.upper[member]))

    def apart(self, members: IntArray, duals: FloatArray) -> list[IntArray]:
        """Split rows into those that share no column, also not over other rows with a dual, (M,)."""
        bearing = np.flatnonzero(
            np.abs(duals[: self.model.n_rows]) > _NO_DUAL * np.abs(duals).max(initial=0.0)
        )
        bearing = np.union1d(bearing, self.index[members])
        links = sparse.csr_array(self.model.matrix)[bearing]
        graph = sparse.block_array([[None, links], [links.T, None]], format="csr")
        _, label = connected_components(graph, directed=False)
        mine = label[np.searchsorted(bearing, self.index[members])]
        return [members[mine == number] for number in np.unique(mine)]

    def with_members(self, members: IntArray) -> LinearModel:
        """Return the model with these members only, and no objective."""
        bounds = [self.base_row_lower, self.base_row_upper, self.base_lower, self.base_upper]
        bounds = [bound.copy() for bound in bounds]
        for of_bounds in (False, True):
            for up in (False, True):
                mine = members[((self.kind[members] == _BOUND) == of_bounds) & (self.upper[members] == up)]
                bounds[2 * of_bounds + up][self.index[mine]] = self.side[mine]
        return replace(
            self.model,
            objective=np.zeros(self.n_columns),
            row_lower=bounds[0],
            row_upper=bounds[1],
            lower=bounds[2],
            upper=bounds[3],
        )

    def point(self, members: IntArray, left: Callable[[], float]) -> tuple[LPStatus, FloatArray]:
        """Return a point that satisfies these members, or ``INFEASIBLE`` if it is proven that none does."""
        if left() <= 0:
            return LPStatus.TIME_LIMIT, np.zeros(0)
        model = self.with_members(members)
        rows = np.flatnonzero(np.isfinite(model.row_lower) | np.isfinite(model.row_upper))
        matrix = sparse.csr_array(model.matrix)[rows]
        used = np.zeros(self.n_columns, dtype=bool)
        used[matrix.indices] = True
        columns = np.flatnonzero(used)
        values = np.clip(0.0, model.lower, model.upper)
        empty = np.diff(matrix.indptr) == 0
        if np.any(model.row_lower[rows][empty] > _TOLERANCE) or np.any(
            model.row_upper[rows][empty] < -_TOLERANCE
        ):
            return LPStatus.INFEASIBLE, values
        if not len(columns):
            return LPStatus.OPTIMAL, values
        assert model.integer is not None
        small = LinearModel(
            np.zeros(len(columns)),
            sparse.csr_array(matrix[:, columns]),
            model.row_lower[rows],
            model.row_upper[rows],
            model.lower[columns],
            model.upper[columns],
            model.integer[columns],
        )
        found = _solve(small, Limits(left(), first_incumbent=True))
        if found.found:
            values[columns] = found.values
            return LPStatus.OPTIMAL, values
        return (LPStatus.INFEASIBLE if found.status is LPStatus.INFEASIBLE else LPStatus.TIME_LIMIT), values

    def plan(self, members: IntArray, left: Callable[[], float]) -> LPStatus:
        return self.point(members, left)[0]

    def violated(self, values: FloatArray) -> BoolArray:
        """Return which members a point violates, by more than rounding."""
        body = self.model.matrix @ values
        bound = self.kind == _BOUND
        at = np.where(bound, values[np.where(bound, self.index, 0)], 0.0)
        if len(body):
            at = np.where(bound, at, body[np.where(bound, 0, self.index)])
        over = np.where(self.upper, at - self.side, self.side - at)
        return over > _TOLERANCE * np.maximum(1.0, self.size)

    def elastic(self, members: IntArray, soft: IntArray, weight: FloatArray) -> LinearModel:
        """Return the model with these members, in which those in `soft` give way, at a price per unit.

        The slacks are the last columns, in the order of `soft`.
        """
        model = self.with_members(np.union1d(members, soft))
        rows_of_bounds = soft[self.kind[soft] == _BOUND]
        lower, upper = model.lower.copy(), model.upper.copy()
        # A bound that gives way becomes a row.
        for member in rows_of_bounds:
            (upper if self.upper[member] else lower)[self.index[member]] = (
                np.inf if self.upper[member] else -np.inf
            )
        integer = np.asarray(model.integer)
        lower[integer], upper[integer] = np.maximum(lower[integer], 0.0), np.minimum(upper[integer], 1.0)
        k, n = len(rows_of_bounds), self.n_columns
        extra = sparse.csr_array((np.ones(k), (np.arange(k), self.index[rows_of_bounds])), shape=(k, n))
        row = np.where(self.kind[soft] == _BOUND, 0, self.index[soft])
        row[self.kind[soft] == _BOUND] = model.n_rows + np.arange(k)
        slack = sparse.csr_array(
            (np.where(self.upper[soft], -1.0, 1.0), (row, np.arange(len(soft)))),
            shape=(model.n_rows + k, len(soft)),
        )
        above = self.upper[rows_of_bounds]
        return LinearModel(
            np.concatenate([model.objective, -weight]),
            sparse.csr_array(
                sparse.hstack([sparse.vstack([model.matrix, extra]), slack], format="csr"),
            ),
            np.concatenate([model.row_lower, np.where(above, -np.inf, self.side[rows_of_bounds])]),
            np.concatenate([model.row_upper, np.where(above, self.side[rows_of_bounds], np.inf)]),
            np.concatenate([lower, np.zeros(len(soft))]),
            np.concatenate([upper, np.full(len(soft), np.inf)]),
            np.concatenate([integer, np.zeros(len(soft), dtype=bool)]),
        )

    def relieve(
        self, members: IntArray, soft: IntArray, left: float, dear: IntArray | None = None
    ) -> tuple[LPStatus, FloatArray, float]:
        """Let `soft` give way as little as possible, in all, relative to their size.

        Those of `dear` may give way, too, where nothing else helps.

        Returns
        -------
        LPStatus
            ``INFEASIBLE`` if that does not help, ``TIME_LIMIT`` if nothing was found.
        (len(soft),)
            Slacks, in the unit of each side.
        float
            What is proven that the sum of slacks over sizes is at least.
        """
        if left <= 0:
            return LPStatus.TIME_LIMIT, np.zeros(0), 0.0
        n = len(soft)
        weight = 1.0 / self.size[soft]
        if dear is not None:
            soft = np.concatenate([soft, dear])
            weight = np.concatenate([weight, _DEAR / self.size[dear]])
        model = self.elastic(members, soft, weight)
        found = _solve(model, Limits(left, rel_gap=1e-7, abs_gap=1e-9))
        if not found.found:
            status = LPStatus.INFEASIBLE if found.status is LPStatus.INFEASIBLE else LPStatus.TIME_LIMIT
            return status, np.zeros(0), np.inf if status is LPStatus.INFEASIBLE else max(0.0, -found.bound)
        # The point is one of a tolerance on x: what the placement itself needs is an LP.
        integer = np.asarray(model.integer)
        x = np.rint(found.values[integer])
        lower, upper = model.lower.copy(), model.upper.copy()
        lower[integer] = upper[integer] = x
        exact = _solve(replace(model, lower=lower, upper=upper), Limits(max(left, 1.0)))
        values = exact.values if exact.found else found.values
        slack = np.maximum(values[self.n_columns :], 0.0)
        least = -found.bound if np.isfinite(found.bound) else 0.0
        if found.status is LPStatus.OPTIMAL:
            least = float(weight @ slack)
        return LPStatus.OPTIMAL, slack[:n], max(least, 0.0)


def _solve(model: LinearModel, limits: Limits) -> MIPSolution:
    """Solve by HiGHS in one thread, without Gurobi's licence or SCIP."""
    if limits.time <= 0:
        return MIPSolution.without_values(LPStatus.TIME_LIMIT)
    found = solve_checked(HighsMIP(), MIPModel(model), replace(limits, threads=1))
    if found.status is LPStatus.INTERRUPTED:
        raise KeyboardInterrupt
    return found


@dataclass(slots=True)
class _Search:
    """The conflicts of one independent part, one after another."""

    system: _System
    clock: _Clock
    details: bool
    #: Of each member, the number of the component that it is of.
    family: IntArray
    conflicts: list[Conflict] = field(default_factory=list)
    unknown: bool = False
    complete: bool = True

    def run(self, most: int) -> None:
        """Find up to `most` conflicts; relieve each before the next."""
        system = self.system
        sets: list[tuple[IntArray, IntArray, bool, bool]] = []
        reliefs: list[FloatArray] = []
        everything = system.everything()
        original = system.side.copy()
        while True:
            members = self._core()
            if members is None:
                self.complete = not self.unknown
                break
            if len(sets) >= most:
                self.complete = False
                # What one row would have to be is asked with all other conflicts relieved, also these.
                rows = np.flatnonzero(system.kind == _ROW)
                status, slack, _ = system.relieve(everything, rows, self.clock.share(0.25)())
                if status is LPStatus.OPTIMAL:
                    system.side[rows] += np.where(system.upper[rows], slack, -slack)
                break
            core, ties, irreducible, ties_irreducible = self._reduce(members)
            sets.append((core, ties, irreducible, ties_irreducible))
            status, slack, _ = system.relieve(everything, core, self.clock.share(0.25)())
            solved = status is LPStatus.OPTIMAL
            if not solved:
                # There are others: as much as these rows can do, whatever it takes elsewhere.
                others = np.setdiff1d(np.flatnonzero(system.kind == _ROW), core)
                status, slack, _ = system.relieve(everything, core, self.clock.share(0.25)(), others)
            if status is not LPStatus.OPTIMAL:
                # Or by itself.
                around = np.concatenate([core, ties]) if self.details else self._background(core)
                status, slack, _ = system.relieve(around, core, self.clock.share(0.25)())
            if status is not LPStatus.OPTIMAL:
                reliefs.append(np.zeros(0))
                self.complete = False
                break
            reliefs.append(slack)
            system.side[core] += np.where(system.upper[core], slack, -slack)
            if solved:
                break
        relieved = system.side.copy()
        parts_left = [len(np.unique(self.family[core])) for core, *_ in sets]
        for number, (found, slack) in enumerate(zip(sets, reliefs, strict=True)):
            core, ties, irreducible, ties_irreducible = found
            alone: list[Growth | None] = [None] * len(core)
            if len(slack):
                # The others relieved, this one not.
                system.side = relieved.copy()
                system.side[core] -= np.where(system.upper[core], slack, -slack)
                # What is alone of its component first: that is where a remedy is looked for.
                _, own, count = np.unique(self.family[core], return_inverse=True, return_counts=True)
                left_of = count.copy()
                for k in np.lexsort((own, count[own])):
                    share = 1.0 / (left_of[own[k]] * max(sum(parts_left[number:]), 1))
                    alone[k] = self._alone(int(core[k]), self.clock.share(share)())
                    left_of[own[k]] -= 1
                    parts_left[number] -= int(left_of[own[k]] == 0)
            self.conflicts.append(
                Conflict(
                    tuple(system.side_of(member) for member in core),
                    tuple(system.side_of(member) for member in ties),
                    irreducible,
                    ties_irreducible,
                    tuple(alone),
                    tuple(slack.tolist()),
                )
            )
        system.side = original

    def _alone(self, member: int, left: float) -> Growth | None:
        system = self.system
        status, slack, least = system.relieve(system.everything(), np.array([member]), left)
        if status is LPStatus.INFEASIBLE:
            return Growth(np.inf, np.inf)
        least *= float(system.size[member])
        return None if status is not LPStatus.OPTIMAL else Growth(float(slack[0]), least)

    def _background(self, core: IntArray) -> IntArray:
        """Return the ties and bounds, if `core` is one of rows; nothing else if it is one of them."""
        system = self.system
        around = np.flatnonzero(system.kind != _ROW)
        return np.union1d(core, around) if np.any(system.kind[core] == _ROW) else core

    def _core(self) -> list[IntArray] | None:
        """Return sets of rows that conflict together with ties and bounds, or None if there is a plan.

        Without rows, the ties and bounds conflict by themselves.
        """
        system = self.system
        rows = np.flatnonzero(system.kind == _ROW)
        supports = self._elastic_supports(rows)
        if supports is not None:
            return supports
        left = self.clock.share(_SHARE_OF_ROWS)
        status = system.plan(system.everything(), left)
        if status is LPStatus.OPTIMAL:
            return None
        if status is not LPStatus.INFEASIBLE:
            self.unknown = True
            return None
        around = np.flatnonzero(system.kind != _ROW)
        grown = self._grow(rows, around, left)
        return [grown if grown is not None else rows]

    def _elastic_supports(self, rows: IntArray) -> list[IntArray] | None:
        """Return sets of rows that duals of elastic LPs name, smallest first; None if there is no slack."""
        system = self.system
        left = self.clock.share(_SHARE_OF_ROWS)
        if left() <= 0:
            return None
        everything = system.everything()
        weight = 1.0 / system.size[rows]
        rng = np.random.default_rng(0)
        program = HighsBackend().open(system.elastic(everything, rows, weight))
        found: dict[bytes, IntArray] = {}
        try:
            for trial in range(_WEIGHTINGS):
                if trial:
                    price = weight * np.exp(rng.normal(0.0, 1.0, len(weight)))
                    program.set_objective(np.concatenate([np.zeros(system.n_columns), -price]))
                solution = program.solve(left())
                if solution.status is LPStatus.INFEASIBLE and not trial:
                    return [np.zeros(0, dtype=np.int64)]
                if solution.status is not LPStatus.OPTIMAL:
                    break
                slack = solution.values[system.n_columns :]
                if not trial and np.max(slack * weight, initial=0.0) <= _TOLERANCE:
                    return None
                bearing = np.where(system.upper[rows], 1.0, -1.0) * solution.row_duals[system.index[rows]]
                bearing *= system.size[rows]
                least = _NO_DUAL * max(float(bearing.max(initial=0.0)), 1e-300)
                support = rows[bearing > least]
                for part in system.apart(support, solution.row_duals):
                    if np.any(slack[np.isin(rows, part)] * weight[np.isin(rows, part)] > _TOLERANCE):
                        found[part.tobytes()] = part
        finally:
            program.close()
        return sorted(found.values(), key=len) or None

    def _grow(self, rows: IntArray, around: IntArray, left: Callable[[], float]) -> IntArray | None:
        """Add rows that points violate until no point is left; None if time ends first."""
        system = self.system
        chosen = np.zeros(len(system.kind), dtype=bool)
        of_rows = np.zeros(len(system.kind), dtype=bool)
        of_rows[rows] = True
        while True:
            status, values = system.point(np.union1d(np.flatnonzero(chosen), around), left)
            if status is LPStatus.INFEASIBLE:
                return np.flatnonzero(chosen)
            if status is not LPStatus.OPTIMAL:
                return None
            missed = system.violated(values) & of_rows & ~chosen
            if not missed.any():
                return None
            chosen |= missed

    def _reduce(self, supports: list[IntArray]) -> tuple[IntArray, IntArray, bool, bool]:
        """Return the smallest irreducible set of rows made of `supports`, its ties, and what is proven."""
        system = self.system
        around = np.flatnonzero(system.kind != _ROW)
        rows = np.flatnonzero(system.kind == _ROW)
        left = self.clock.share(_SHARE_OF_ROWS)
        best: IntArray | None = None
        proven = False
        tried = 0
        for support in [*supports, rows]:
            if best is not None and (tried >= _TRIED or not self.details or left() <= 0):
                break
            # A dual that counted as rounding may have been none.
            if system.plan(np.union1d(support, around), left) is LPStatus.INFEASIBLE or (
                best is None and support is rows
            ):
                kept, sure = self._delete(support, around, left)
                tried += 1
                if best is None or (sure, -len(kept)) > (proven, -len(best)):
                    best, proven = kept, sure
        assert best is not None
        nothing = np.zeros(0, dtype=np.int64)
        both = self._of_one_equality(best, left)
        if both is not None:
            return both, nothing, True, True
        if not len(best):
            # Ties and bounds by themselves, and those of the bounds last.
            members = around[np.argsort(-system.kind[around], kind="stable")]
            grown = self._grow(members, nothing, left)
            members = members if grown is None else grown[np.argsort(-system.kind[grown], kind="stable")]
            kept, sure = self._delete(members, nothing, left)
            return np.sort(kept), nothing, sure, True
        if not self.details:
            return best, around, proven, False
        left = self.clock.share(_SHARE_OF_TIES)
        grown = self._grow(around, best, left)
        ties = around if grown is None else grown
        kept, sure = self._delete(ties[np.argsort(-system.kind[ties], kind="stable")], best, left)
        return best, np.sort(kept), proven, sure

    def _of_one_equality(self, core: IntArray, left: Callable[[], float]) -> IntArray | None:
        """Return the sides of an equality over x in `core` that conflict by themselves, as 2 a = 1 does."""
        system = self.system
        nothing = np.zeros(0, dtype=np.int64)
        integer, matrix = np.asarray(system.model.integer), sparse.csr_array(system.model.matrix)
        for row in dict.fromkeys(system.index[core[system.kind[core] == _ROW]].tolist()):
            sides = np.flatnonzero((system.index == row) & (system.kind == _ROW))
            of_row = matrix[[row]].indices
            if len(sides) < 2 or len(core) == 1 or not np.all(integer[of_row]):
                continue
            if np.all(np.isin(core, sides)):
                return None
            if system.plan(sides, left) is LPStatus.INFEASIBLE:
                kept, sure = self._delete(sides, nothing, left)
                return kept if sure else None
        return None

    def _delete(
        self, members: Iterable[int], around: IntArray, left: Callable[[], float]
    ) -> tuple[IntArray, bool]:
        """Take out members, in ever smaller groups, as long as the rest has no plan; the first ones first."""
        kept = np.fromiter(members, dtype=np.int64)
        sure = True
        size = max(len(kept) // 2, 1)
        while len(kept):
            first = 0
            while first < len(kept):
                if left() <= 0:
                    return kept, False
                rest = np.concatenate([kept[:first], kept[first + size :]])
                status = self.system.plan(np.union1d(rest, around), left)
                if status is LPStatus.INFEASIBLE:
                    kept = rest
                    continue
                sure = sure and (size > 1 or status is LPStatus.OPTIMAL)
                first += size
            if size == 1:
                break
            size = max(size // 2, 1)
        return kept, sure
