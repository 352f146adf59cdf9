"""Mixed-integer rounding cuts on single rows, y replaced by the links that open it; all rows at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pyomo_j3o.problem import BoolArray, FloatArray, IntArray, Problem
from pyomo_j3o.structure import Structure
from pyomo_j3o.tightening import implied_bounds

#: So many of the most fractional x of each row serve as divisors, and are tried complemented.
_TRIALS = 8

#: A fractional right-hand side closer to an integer than this gives coefficients too large to trust.
_NEAR_INTEGER = 0.01


@dataclass(frozen=True, slots=True)
class BaseRows:
    """Rows ``a x + d y <= b`` with y >= 0 that can be rounded, as flat entries sorted by row.

    Attributes
    ----------
    budget : (rows,)
        b, with the rounding that a plan is forgiven.
    pair_row, pair_x : (pairs,)
        The (row, x) that occur, directly or through a link of one of the row's y.
    pair_value : (pairs,)
        a, 0 where x comes in through links only.
    y_row, y_column, y_value : (entries,)
        d.
    y_pair : (entries,)
        The pair of the x that opens y; -1 for a y that no single x opens.
    y_cap : (entries,)
        u of the link y <= u x; inf without one.
    n_onloading, n_offloading : int
        N, K.
    """

    budget: FloatArray
    pair_row: IntArray
    pair_x: IntArray
    pair_value: FloatArray
    y_row: IntArray
    y_column: IntArray
    y_value: FloatArray
    y_pair: IntArray
    y_cap: FloatArray
    n_onloading: int
    n_offloading: int

    @staticmethod
    def of(structure: Structure) -> BaseRows:
        """Collect both sides of every placement and routing row, and priced rows less their demand rows."""
        problem = structure.problem
        n_x = problem.n_onloading
        opener, cap = _single_openers(structure)
        x_rows, y_rows, budget = _stacked(
            [*_both_sides(structure), *_without_ungated(structure, opener)], problem
        )
        row, column = _positions(y_rows)
        n_rows = len(budget)
        negative = np.bincount(row, problem.offloading_lower[column] < 0, minlength=n_rows) > 0
        gated = np.bincount(row, opener[column] >= 0, minlength=n_rows) > 0
        keep = np.flatnonzero(~negative & (gated | (np.diff(x_rows.indptr) > 0)))
        x_rows, y_rows, budget = x_rows[keep], y_rows[keep], budget[keep]
        x_row, x_column = _positions(x_rows)
        y_row, y_column = _positions(y_rows)
        opened = np.flatnonzero(opener[y_column] >= 0)
        key = np.concatenate([x_row * n_x + x_column, y_row[opened] * n_x + opener[y_column[opened]]])
        pairs, pair = np.unique(key, return_inverse=True)
        value = np.zeros(len(pairs))
        value[pair[: x_rows.nnz]] = x_rows.data
        y_pair = np.full(len(y_row), -1, dtype=np.int64)
        y_pair[opened] = pair[x_rows.nnz :]
        return BaseRows(
            budget + 1e-9 * np.maximum(1.0, np.abs(budget)),
            pairs // max(n_x, 1),
            pairs % max(n_x, 1),
            value,
            y_row,
            y_column,
            y_rows.data,
            y_pair,
            cap[y_column],
            n_x,
            problem.n_offloading,
        )


def separate_rounding(
    base: BaseRows, x: FloatArray, y: FloatArray, violation: float = 1e-3
) -> tuple[sparse.csr_array, FloatArray]:
    """Return mixed-integer rounding cuts ``cuts @ (x, y) <= limit`` that the fractional (x, y) violates.

    Each row is rounded by itself (Nemhauser and Wolsey 1990, DOI 10.1007/BF01585752), with the usual
    choices (Marchand and Wolsey 2001, DOI 10.1287/opre.49.3.363.11211): a y near its link ``y <= u x`` is
    replaced by ``u x`` less the room that is left, x above one half are complemented, and the divisor and
    single complements are those that give the deepest cut.

    Parameters
    ----------
    base
        Rows to round.
    x
        (N,), in [0, 1].
    y
        (K,).
    violation
        Cuts that (x, y) misses by a smaller distance are left out.

    Returns
    -------
    cuts : (cuts, N + K) CSR
    limit : (cuts,)
    """
    if not len(base.budget):
        return sparse.csr_array((0, base.n_onloading + base.n_offloading)), np.zeros(0)
    rows = _Rounded(base, np.clip(x, 0.0, 1.0), np.maximum(y, 0.0))
    return rows.cuts(*rows.choose(), violation)


class _Rounded:
    """The rows with some y replaced at one point, and what rounding makes of them.

    What is left of y after the substitution is a continuous term >= 0 of its own: y itself, or the room
    ``u x - y``. Only the negative ones stay in a cut.
    """

    def __init__(self, base: BaseRows, x: FloatArray, y: FloatArray) -> None:
        self.base = base
        self.n_rows = len(base.budget)
        self.x = x[base.pair_x]
        y_value = y[base.y_column]
        gated = base.y_pair >= 0
        room = np.full(len(y_value), np.inf)
        room[gated] = np.maximum(base.y_cap[gated] * self.x[base.y_pair[gated]] - y_value[gated], 0.0)
        self.by_link = gated & (room <= y_value)
        into = np.flatnonzero(self.by_link)
        self.value = base.pair_value + np.bincount(
            base.y_pair[into], base.y_value[into] * base.y_cap[into], minlength=len(base.pair_row)
        )
        rest = np.where(self.by_link, -base.y_value, base.y_value)
        self.negative = np.flatnonzero(rest < 0)
        self.rest = rest[self.negative]
        rest_row = base.y_row[self.negative]
        self._rest_row = rest_row
        amount = np.where(self.by_link, np.where(gated, room, 0.0), y_value)[self.negative]
        self._rest_amount = np.bincount(rest_row, self.rest * amount, minlength=self.n_rows)
        self._rest_norm = np.bincount(rest_row, self.rest**2, minlength=self.n_rows)

    def round(
        self, flip: BoolArray, divisor: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return depth (-inf where there is no cut), coefficients, factor of the rest, and limit, by row."""
        row = self.base.pair_row
        value = np.where(flip, -self.value, self.value) / divisor[row]
        x = np.where(flip, 1.0 - self.x, self.x)
        moved = np.bincount(row, np.where(flip, self.value, 0.0), minlength=self.n_rows)
        budget = (self.base.budget - moved) / divisor
        limit = np.floor(budget)
        part = budget - limit
        useful = (part > _NEAR_INTEGER) & (part < 1.0 - _NEAR_INTEGER)
        stretch = 1.0 / np.where(useful, 1.0 - part, 1.0)
        whole = np.floor(value)
        coefficient = whole + np.maximum(value - whole - part[row], 0.0) * stretch[row]
        factor = stretch / divisor
        left = np.bincount(row, coefficient * x, minlength=self.n_rows) + self._rest_amount * factor
        counts = (x > 0) | (coefficient > 0)
        norm = np.bincount(row, coefficient**2 * counts, minlength=self.n_rows) + self._rest_norm * factor**2
        depth = np.where(useful, (left - limit) / np.sqrt(np.maximum(norm, 1e-12)), -np.inf)
        return depth, coefficient, factor, limit

    def choose(self) -> tuple[BoolArray, FloatArray]:
        """Return which x to complement, (pairs,), and the divisors, (rows,), of the deepest cuts found."""
        trials = self._trials()
        flip = self.x > 0.5
        deepest = np.full(self.n_rows, -np.inf)
        divisor = np.ones(self.n_rows)

        def keep_better(flips: BoolArray, divisors: FloatArray, where: BoolArray) -> BoolArray:
            nonlocal deepest
            depth = np.where(where, self.round(flips, divisors)[0], -np.inf)
            better = depth > deepest
            deepest = np.where(better, depth, deepest)
            return np.asarray(better)

        for pair in trials:
            has = pair >= 0
            other = np.where(has, np.abs(self.value[pair]), 1.0)
            divisor = np.where(keep_better(flip, other, has), other, divisor)
        everywhere = np.ones(self.n_rows, dtype=bool)
        first = divisor
        for part in (2.0, 4.0, 8.0):
            divisor = np.where(keep_better(flip, first / part, everywhere), first / part, divisor)
        for pair in trials:
            has = pair >= 0
            other_flip = flip.copy()
            other_flip[pair[has]] ^= True
            better = keep_better(other_flip, divisor, has)
            flip[pair[better]] ^= True
        return flip, divisor

    def _trials(self) -> list[IntArray]:
        """Return the most fractional x of every row, the second most, ...; (rows,) each, -1 for none."""
        row = self.base.pair_row
        fractional = (self.x > 1e-6) & (self.x < 1 - 1e-6) & (np.abs(self.value) > 1e-9)
        order = np.flatnonzero(fractional)
        order = order[np.lexsort((np.abs(self.x[order] - 0.5), row[order]))]
        rank = np.arange(len(order)) - np.searchsorted(row[order], row[order])
        trials = []
        for k in range(min(_TRIALS, int(rank.max(initial=-1)) + 1)):
            pair = np.full(self.n_rows, -1, dtype=np.int64)
            mine = order[rank == k]
            pair[row[mine]] = mine
            trials.append(pair)
        return trials

    def cuts(
        self, flip: BoolArray, divisor: FloatArray, violation: float
    ) -> tuple[sparse.csr_array, FloatArray]:
        """Return the rounded rows that are deep enough, in the columns (x, y)."""
        base = self.base
        depth, coefficient, factor, limit = self.round(flip, divisor)
        deep = np.flatnonzero(depth > violation)
        number = np.full(self.n_rows, -1, dtype=np.int64)
        number[deep] = np.arange(len(deep))
        limit = limit - np.bincount(base.pair_row, np.where(flip, coefficient, 0.0), minlength=self.n_rows)
        on_x = np.where(flip, -coefficient, coefficient)
        on_rest = self.rest * factor[self._rest_row]
        room = self.by_link[self.negative]
        column, pair = base.y_column[self.negative], base.y_pair[self.negative]
        on_x = on_x + np.bincount(
            pair[room], on_rest[room] * base.y_cap[self.negative][room], minlength=len(on_x)
        )
        of_x = np.flatnonzero((number[base.pair_row] >= 0) & (np.abs(on_x) > 1e-12))
        of_y = np.flatnonzero(number[self._rest_row] >= 0)
        matrix = sparse.csr_array(
            (
                np.concatenate([on_x[of_x], np.where(room, -on_rest, on_rest)[of_y]]),
                (
                    np.concatenate([number[base.pair_row[of_x]], number[self._rest_row[of_y]]]),
                    np.concatenate([base.pair_x[of_x], base.n_onloading + column[of_y]]),
                ),
            ),
            shape=(len(deep), base.n_onloading + base.n_offloading),
        )
        side = limit[deep]
        return matrix, side + 1e-9 * np.maximum(1.0, np.abs(side))


_Rows = tuple[sparse.csr_array, sparse.csr_array, FloatArray]


def _positions(matrix: sparse.csr_array) -> tuple[IntArray, IntArray]:
    """Return row and column of every entry."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return row, matrix.indices.astype(np.int64)


def _stacked(blocks: list[_Rows], problem: Problem) -> _Rows:
    if not blocks:
        return (
            sparse.csr_array((0, problem.n_onloading)),
            sparse.csr_array((0, problem.n_offloading)),
            np.zeros(0),
        )
    return (
        sparse.csr_array(sparse.vstack([x for x, _, _ in blocks], format="csr")),
        sparse.csr_array(sparse.vstack([y for _, y, _ in blocks], format="csr")),
        np.concatenate([budget for _, _, budget in blocks]),
    )


def _both_sides(structure: Structure) -> list[_Rows]:
    """Return the finite sides of placement and routing rows, each as a row <= b."""
    problem = structure.problem
    rows = np.concatenate([structure.routing_rows, structure.placement_rows])
    found = []
    for sign, side in ((1.0, problem.row_upper[rows]), (-1.0, -problem.row_lower[rows])):
        finite = np.flatnonzero(np.isfinite(side))
        x_part = sparse.csr_array(sign * problem.onloading_rows[rows[finite]])
        y_part = sparse.csr_array(sign * problem.offloading_rows[rows[finite]])
        found.append((x_part, y_part, side[finite]))
    return found


def _single_openers(structure: Structure) -> tuple[IntArray, FloatArray]:
    """Return per y the x whose link y <= u x bounds it tightest, and u; -1 and inf without one."""
    problem = structure.problem
    opener = np.full(problem.n_offloading, -1, dtype=np.int64)
    cap = np.full(problem.n_offloading, np.inf)
    link = structure.opener_link
    if not len(link):
        return opener, cap
    alone = np.bincount(link)[link] == 1
    n_links = len(structure.link_rows)
    side = np.where(
        structure.link_scale > 0,
        problem.row_upper[structure.link_rows],
        -problem.row_lower[structure.link_rows],
    )
    explicit = link < n_links
    alone[explicit] &= side[link[explicit]] == 0.0
    found = np.flatnonzero(alone)
    # The last one written stays: the tightest.
    found = found[np.argsort(-structure.opener_cap[found], kind="stable")]
    column = structure.opener_column[found]
    opener[column] = structure.opener_x[found]
    cap[column] = structure.opener_cap[found]
    # At x = 1, y still has the bounds that it has anyway.
    upper = implied_bounds(problem)[1]
    upper = np.maximum(upper, 0.0) + 1e-9 * np.maximum(1.0, np.abs(upper))
    return opener, np.where(opener >= 0, np.minimum(cap, upper), cap)


def _without_ungated(structure: Structure, opener: IntArray) -> list[_Rows]:
    """Return priced rows less multiples of demand rows, so that y that nothing opens leaves them.

    A budget shared by placed models and by the cloud says little of the placed ones alone; with the cloud's
    share written as demand less what is served elsewhere, it does.
    """
    problem = structure.problem
    rows = structure.priced_rows[np.isfinite(problem.row_upper[structure.priced_rows])]
    demand = structure.demand_rows
    if not len(rows) or not len(demand):
        return []
    body = sparse.csr_array(problem.offloading_rows[rows])
    row, column = _positions(body)
    equality = np.zeros(len(structure.group_demand) + 1, dtype=bool)
    equality[: len(demand)] = problem.row_lower[demand] == problem.row_upper[demand]
    group = structure.group[column]
    use = np.flatnonzero((opener[column] < 0) & equality[group])
    # Of several such y in one group, the first.
    _, first = np.unique(row[use] * len(demand) + group[use], return_index=True)
    use = use[first]
    if not len(use):
        return []
    multiple = sparse.csr_array(
        (body.data[use] / structure.group_weight[column[use]], (row[use], group[use])),
        shape=(len(rows), len(demand)),
    )
    touched = np.flatnonzero(np.diff(multiple.indptr))
    multiple, rows = multiple[touched], rows[touched]
    y_part = sparse.csr_array(body[touched] - multiple @ problem.offloading_rows[demand])
    y_part.data[np.abs(y_part.data) < 1e-12] = 0.0
    y_part.eliminate_zeros()
    x_part = sparse.csr_array(problem.onloading_rows[rows] - multiple @ problem.onloading_rows[demand])
    return [(x_part, y_part, problem.row_upper[rows] - multiple @ problem.row_upper[demand])]
