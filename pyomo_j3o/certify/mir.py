"""Mixed-integer rounding cuts on single rows, y replaced by the links that open it; all rows at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.certify.params import RoundingParams
from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.core.matrices import entry_rows
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Problem
from pyomo_j3o.core.structure import Structure
from pyomo_j3o.core.tolerances import INTEGRAL, rounding_of
from pyomo_j3o.presolve.tightening import implied_bounds


@dataclass(frozen=True, slots=True)
class BaseRows:
    """Rows ``x_rows @ x + y_rows @ y <= budget`` with y >= 0 that can be rounded.

    Attributes
    ----------
    x_rows : (rows, N) CSR
    y_rows : (rows, K) CSR
    budget : (rows,)
    opener : (K,)
        The x of the link y <= u x; -1 for a y that no single x opens.
    cap : (K,)
        u; inf without a link.
    """

    x_rows: sparse.csr_array
    y_rows: sparse.csr_array
    budget: FloatArray
    opener: IntArray
    cap: FloatArray

    @staticmethod
    def of(structure: Structure, params: RoundingParams = RoundingParams()) -> BaseRows:
        """Collect both sides of every placement and routing row, and priced rows less their demand rows."""
        problem = structure.problem
        opener, cap = _single_openers(structure)
        x_rows, y_rows, budget = _stacked(
            [*_both_sides(structure), *_without_ungated(structure, opener, params)], problem
        )
        row, column = _positions(y_rows)
        n_rows = len(budget)
        negative = np.bincount(row, problem.offloading_lower[column] < 0, minlength=n_rows) > 0
        gated = np.bincount(row, opener[column] >= 0, minlength=n_rows) > 0
        keep = np.flatnonzero(~negative & (gated | (np.diff(x_rows.indptr) > 0)))
        return BaseRows(x_rows, y_rows, budget, opener, cap).take(keep)

    def take(self, rows: IntArray) -> BaseRows:
        """Return the rows numbered `rows`."""
        return replace(self, x_rows=self.x_rows[rows], y_rows=self.y_rows[rows], budget=self.budget[rows])


def separate_rounding(
    base: BaseRows,
    x: FloatArray,
    y: FloatArray,
    deadline: Deadline = NEVER,
    params: RoundingParams = RoundingParams(),
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
    deadline
        When to end; the best choice so far then stands.
    params
        Which cuts are tried, and worth it.

    Returns
    -------
    cuts : (cuts, N + K) CSR
    limit : (cuts,)
    """
    x, y = np.clip(x, 0.0, 1.0), np.maximum(y, 0.0)
    # What is 0 takes no part in the choice of complements and divisors: they are chosen without it.
    near = replace(
        base, x_rows=_columns_where(base.x_rows, x > 0.0), y_rows=_columns_where(base.y_rows, y > 0.0)
    )
    rows = _RoundedRows(_Entries.of(near), x, y, params)
    flip, divisor = rows.choose(deadline)
    deep = np.flatnonzero(rows.round(flip, divisor)[0] > params.violation)
    place = np.full(len(divisor), -1, dtype=np.int64)
    place[deep] = np.arange(len(deep))
    whole = _RoundedRows(_Entries.of(base.take(deep)), x, y, params)
    width = max(len(x), 1)
    flipped = place[rows.entries.pair_row[flip]] * width + rows.entries.pair_x[flip]
    key = whole.entries.pair_row * width + whole.entries.pair_x
    return whole.cuts(np.isin(key, flipped), divisor[deep])


def _columns_where(matrix: sparse.csr_array, columns: BoolArray) -> sparse.csr_array:
    """Return the matrix with the entries of these columns only, (columns,) bool; its shape stays."""
    keep = columns[matrix.indices]
    start = np.concatenate([[0], np.cumsum(keep)])[matrix.indptr]
    return sparse.csr_array((matrix.data[keep], matrix.indices[keep], start), shape=matrix.shape)


@dataclass(frozen=True, slots=True)
class _Entries:
    """Some rows over some columns, as flat entries sorted by row.

    Attributes
    ----------
    budget : (rows,)
        With the rounding that a plan is forgiven.
    pair_row, pair_x : (pairs,)
        The (row, x) that occur, directly or through a link of one of the row's y.
    pair_value : (pairs,)
        0 where x comes in through links only.
    y_row, y_column, y_value : (entries,)
    y_pair : (entries,)
        The pair of the x that opens y; -1 for a y that no single x opens.
    y_cap : (entries,)
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

    @staticmethod
    def of(base: BaseRows) -> _Entries:
        (x_row, x_column), (y_row, y_column) = _positions(base.x_rows), _positions(base.y_rows)
        n_x = max(base.x_rows.shape[1], 1)
        opener = base.opener[y_column]
        opened = np.flatnonzero(opener >= 0)
        key = np.concatenate([x_row * n_x + x_column, y_row[opened] * n_x + opener[opened]])
        pairs, pair = np.unique(key, return_inverse=True)
        value = np.zeros(len(pairs))
        value[pair[: len(x_row)]] = base.x_rows.data
        y_pair = np.full(len(y_row), -1, dtype=np.int64)
        y_pair[opened] = pair[len(x_row) :]
        return _Entries(
            base.budget + rounding_of(base.budget),
            pairs // n_x,
            pairs % n_x,
            value,
            y_row,
            y_column,
            base.y_rows.data,
            y_pair,
            base.cap[y_column],
        )


class _RoundedRows:
    """The rows with some y replaced at one point, and what rounding makes of them.

    What is left of y after the substitution is a continuous term >= 0 of its own: y itself, or the room
    ``u x - y``. Only the negative ones stay in a cut.
    """

    def __init__(self, entries: _Entries, x: FloatArray, y: FloatArray, params: RoundingParams) -> None:
        self._params = params
        self.entries = entries
        self.n_columns = len(x), len(y)
        self.n_rows = len(entries.budget)
        self.x = x[entries.pair_x]
        y_value = y[entries.y_column]
        gated = entries.y_pair >= 0
        room = np.full(len(y_value), np.inf)
        room[gated] = np.maximum(entries.y_cap[gated] * self.x[entries.y_pair[gated]] - y_value[gated], 0.0)
        # Where both ends are as near (mostly y and x are 0), the one that leaves nothing in the cut.
        tie = np.abs(room - y_value) <= 1e-9
        self.by_link = gated & np.where(tie, entries.y_value < 0, room < y_value)
        into = np.flatnonzero(self.by_link)
        self.value = entries.pair_value + np.bincount(
            entries.y_pair[into], entries.y_value[into] * entries.y_cap[into], minlength=len(entries.pair_row)
        )
        rest = np.where(self.by_link, -entries.y_value, entries.y_value)
        self.negative = np.flatnonzero(rest < 0)
        self.rest = rest[self.negative]
        rest_row = entries.y_row[self.negative]
        self._rest_row = rest_row
        amount = np.where(self.by_link, np.where(gated, room, 0.0), y_value)[self.negative]
        self._rest_amount = np.bincount(rest_row, self.rest * amount, minlength=self.n_rows)
        self._rest_norm = np.bincount(rest_row, self.rest**2, minlength=self.n_rows)

    def round(
        self, flip: BoolArray, divisor: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return depth (-inf where there is no cut), coefficients, factor of the rest, and limit, by row."""
        row = self.entries.pair_row
        value = np.where(flip, -self.value, self.value) / divisor[row]
        x = np.where(flip, 1.0 - self.x, self.x)
        moved = np.bincount(row, np.where(flip, self.value, 0.0), minlength=self.n_rows)
        budget = (self.entries.budget - moved) / divisor
        limit = np.floor(budget)
        part = budget - limit
        least = self._params.near_integer
        useful = (part > least) & (part < 1.0 - least)
        stretch = 1.0 / np.where(useful, 1.0 - part, 1.0)
        whole = np.floor(value)
        coefficient = whole + np.maximum(value - whole - part[row], 0.0) * stretch[row]
        factor = stretch / divisor
        left = np.bincount(row, coefficient * x, minlength=self.n_rows) + self._rest_amount * factor
        counts = (x > 0) | (coefficient > 0)
        norm = np.bincount(row, coefficient**2 * counts, minlength=self.n_rows) + self._rest_norm * factor**2
        depth = np.where(useful, (left - limit) / np.sqrt(np.maximum(norm, 1e-12)), -np.inf)
        return depth, coefficient, factor, limit

    def choose(self, deadline: Deadline) -> tuple[BoolArray, FloatArray]:
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
            if deadline.over:
                break
            has = pair >= 0
            other = np.where(has, np.abs(self.value[pair]), 1.0)
            divisor = np.where(keep_better(flip, other, has), other, divisor)
        everywhere = np.ones(self.n_rows, dtype=bool)
        first = divisor
        for part in self._params.divided_by:
            if deadline.over:
                break
            divisor = np.where(keep_better(flip, first / part, everywhere), first / part, divisor)
        for pair in trials:
            if deadline.over:
                break
            has = pair >= 0
            other_flip = flip.copy()
            other_flip[pair[has]] ^= True
            better = keep_better(other_flip, divisor, has)
            flip[pair[better]] ^= True
        return flip, divisor

    def _trials(self) -> list[IntArray]:
        """Return the most fractional x of every row, the second most, ...; (rows,) each, -1 for none."""
        row = self.entries.pair_row
        fractional = (self.x > INTEGRAL) & (self.x < 1 - INTEGRAL) & (np.abs(self.value) > 1e-9)
        order = np.flatnonzero(fractional)
        order = order[np.lexsort((np.abs(self.x[order] - 0.5), row[order]))]
        rank = np.arange(len(order)) - np.searchsorted(row[order], row[order])
        trials = []
        for k in range(min(self._params.trials, int(rank.max(initial=-1)) + 1)):
            pair = np.full(self.n_rows, -1, dtype=np.int64)
            mine = order[rank == k]
            pair[row[mine]] = mine
            trials.append(pair)
        return trials

    def cuts(self, flip: BoolArray, divisor: FloatArray) -> tuple[sparse.csr_array, FloatArray]:
        """Return the rounded rows that are deep enough, in the columns (x, y)."""
        entries, (n_x, n_y) = self.entries, self.n_columns
        depth, coefficient, factor, limit = self.round(flip, divisor)
        deep = np.flatnonzero(depth > self._params.violation)
        number = np.full(self.n_rows, -1, dtype=np.int64)
        number[deep] = np.arange(len(deep))
        limit = limit - np.bincount(entries.pair_row, np.where(flip, coefficient, 0.0), minlength=self.n_rows)
        on_x = np.where(flip, -coefficient, coefficient)
        on_rest = self.rest * factor[self._rest_row]
        room = self.by_link[self.negative]
        column, pair = entries.y_column[self.negative], entries.y_pair[self.negative]
        on_x = on_x + np.bincount(
            pair[room], on_rest[room] * entries.y_cap[self.negative][room], minlength=len(on_x)
        )
        of_x = np.flatnonzero((number[entries.pair_row] >= 0) & (np.abs(on_x) > 1e-12))
        of_y = np.flatnonzero(number[self._rest_row] >= 0)
        matrix = sparse.csr_array(
            (
                np.concatenate([on_x[of_x], np.where(room, -on_rest, on_rest)[of_y]]),
                (
                    np.concatenate([number[entries.pair_row[of_x]], number[self._rest_row[of_y]]]),
                    np.concatenate([entries.pair_x[of_x], n_x + column[of_y]]),
                ),
            ),
            shape=(len(deep), n_x + n_y),
        )
        side = limit[deep]
        return matrix, side + rounding_of(side)


_Rows = tuple[sparse.csr_array, sparse.csr_array, FloatArray]


def _positions(matrix: sparse.csr_array) -> tuple[IntArray, IntArray]:
    """Return row and column of every entry."""
    row = entry_rows(matrix)
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
    upper = np.maximum(upper, 0.0) + rounding_of(upper)
    return opener, np.where(opener >= 0, np.minimum(cap, upper), cap)


def _without_ungated(structure: Structure, opener: IntArray, params: RoundingParams) -> list[_Rows]:
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
    # A row takes in all that its demand rows hold.
    size = np.diff(problem.offloading_rows.indptr)[demand]
    fill = np.bincount(row[use], size[group[use]], minlength=len(rows))
    order = np.argsort(fill, kind="stable")
    most = max(params.fill, params.fill_per_entry * problem.offloading_rows.nnz)
    small = np.zeros(len(rows), dtype=bool)
    small[order] = np.cumsum(fill[order]) <= most
    use = use[small[row[use]]]
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
