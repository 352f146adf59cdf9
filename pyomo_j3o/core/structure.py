"""What the rows of a linear problem say: placement rows, opening links, demand groups, priced rows."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy import sparse

from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Problem, larger_end
from pyomo_j3o.core.whole_numbers import units_of

#: Disjoint rows are chosen all at once in so many rounds, and the rest one after the other.
_ROUNDS = 10

#: LP solvers take a cost of 1e20 and more for an infinite one.
_LARGEST_PENALTY = 1e15


@dataclass(frozen=True, slots=True)
class Index:
    """Items sorted by a key: those of key k are ``items[start[k]:start[k + 1]]``."""

    start: IntArray
    items: IntArray

    @staticmethod
    def of(keys: IntArray, n_keys: int) -> Index:
        """Index the positions of `keys`, each in 0..n_keys-1; negative keys are left out."""
        items = np.argsort(keys, kind="stable")
        items = items[np.searchsorted(keys[items], 0) :]
        return Index(np.searchsorted(keys[items], np.arange(n_keys + 1)), items)

    def of_keys(self, keys: IntArray) -> IntArray:
        """Return the items of all `keys`, one after the other."""
        if len(keys) == 1:
            return self.items[self.start[keys[0]] : self.start[keys[0] + 1]]
        first = self.start[keys]
        count = self.start[keys + 1] - first
        offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        return self.items[np.repeat(first, count) + offset]


@dataclass(frozen=True, slots=True)
class Structure:
    """The roles of rows and columns, found from the arrays alone.

    Every row has one of three kinds. *Placement rows* hold x only (budgets, cardinality, precedence,
    covering). *Link rows* hold one y: with x fixed they are bounds of that y. *Routing rows* hold two or
    more y; among them, disjoint *demand rows* (sum of y = b, <= b or >= b with nonnegative entries)
    define the demand groups, and the rest are *priced* into the objective by the onloading step.

    Attributes
    ----------
    problem : Problem
        Linear: its `products` are empty.
    placement_rows, link_rows, routing_rows : row numbers
    placement_matrix : (placement rows, N) CSR
    placement_columns : (placement rows, N) CSC
        The same by columns.
    placement_tolerance : (placement rows,)
        The rounding that is forgiven in each placement row: of whole numbers none, so that less than one
        unit is enough.
    link_matrix : (link rows, N) CSR
        The x part of the link rows.
    mixed_matrix : (routing rows, N) CSR
        The x part of the routing rows.
    routing_matrix : (routing rows, K) CSR
    link_column, link_scale : (link rows,)
        The one y of each link row and its coefficient.
    opener_x, opener_column, opener_link, opener_cap : (pairs,)
        x opens the column by raising the bound in that link by so much; sorted by x.
    n_links : (K,)
        Number of links that must be opened before the column can be used; 0 for an ungated one.
    group : (K,)
        Demand group of each column; a gated column outside all demand rows is a group of its own, and
        an ungated one has -1.
    group_demand : (groups,)
        b; 1 for a group without a demand row.
    group_weight : (K,)
        Coefficient of the column in its demand row; 1 outside.
    group_required : (groups,) bool
        The demand must be met (= b or >= b).
    group_is_row : (groups,) bool
        The group stems from a demand row.
    group_open_ended : (groups,) bool
        The demand must be met and may be exceeded.
    exact : bool
        F_α bounds the objective at every placement from above: every column can serve its whole group, is
        nonnegative, and is 0 while one of its links is closed. Otherwise F_α is an estimate.
    demand_rows, priced_rows : row numbers
        The demand rows, in the order of their groups; the other routing rows.
    share : (K,)
        The largest part of its group's demand that the column can serve, in (0, 1].
    penalty : (routing rows,)
        Price per unit by which the elastic LP may miss the row.
    group_penalty : (groups,)
        What it costs to leave the whole demand of a group unserved; 0 outside demand rows.
    opener_start : (N + 1,)
        The openers of x = k are the entries ``opener_start[k]:opener_start[k + 1]``.
    by_column : Index
        Openers sorted by column.
    by_group : Index
        Columns sorted by group.
    """

    problem: Problem
    placement_rows: IntArray
    link_rows: IntArray
    routing_rows: IntArray
    placement_matrix: sparse.csr_array
    placement_columns: sparse.csc_array
    placement_tolerance: FloatArray
    link_matrix: sparse.csr_array
    mixed_matrix: sparse.csr_array
    routing_matrix: sparse.csr_array
    link_column: IntArray
    link_scale: FloatArray
    opener_x: IntArray
    opener_column: IntArray
    opener_link: IntArray
    opener_cap: FloatArray
    n_links: IntArray
    group: IntArray
    group_demand: FloatArray
    group_weight: FloatArray
    group_required: BoolArray
    group_is_row: BoolArray
    group_open_ended: BoolArray
    exact: bool
    demand_rows: IntArray
    priced_rows: IntArray
    share: FloatArray
    penalty: FloatArray
    group_penalty: FloatArray
    opener_start: IntArray
    by_column: Index
    by_group: Index

    def freeze(self) -> None:
        """Make every array read-only, before code of the user's sees them."""
        for owner in (self, self.problem):
            for item in fields(owner):
                value = getattr(owner, item.name)
                parts = (value.data, value.indices, value.indptr) if sparse.issparse(value) else (value,)
                for part in parts:
                    if isinstance(part, np.ndarray):
                        part.setflags(write=False)

    def column_bounds(self, x: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Return the bounds of y at placement `x`, link rows included, (K,) each."""
        problem = self.problem
        lower, upper = problem.offloading_lower.copy(), problem.offloading_upper.copy()
        if len(self.link_rows):
            rest = self.link_matrix @ x.astype(float)
            high = (problem.row_upper[self.link_rows] - rest) / self.link_scale
            low = (problem.row_lower[self.link_rows] - rest) / self.link_scale
            positive = self.link_scale > 0
            np.minimum.at(upper, self.link_column, np.where(positive, high, low))
            np.maximum.at(lower, self.link_column, np.where(positive, low, high))
            # 1e-16 too little room is rounding, not infeasibility.
            crossed = (lower > upper) & (lower <= upper + 1e-9 * np.maximum(1.0, np.abs(upper)))
            lower[crossed] = upper[crossed]
        return lower, upper

    def routing_bounds(self, x: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Return the bounds of the routing rows at placement `x`, (routing rows,) each."""
        problem, rows = self.problem, self.routing_rows
        rest = self.mixed_matrix @ x.astype(float)
        return problem.row_lower[rows] - rest, problem.row_upper[rows] - rest

    def placement_violation(self, x: BoolArray) -> FloatArray:
        """Return by how much `x` misses each placement row, >= 0."""
        rows = self.placement_rows
        body = self.placement_matrix @ x.astype(float)
        lower, upper = self.problem.row_lower[rows], self.problem.row_upper[rows]
        return np.maximum(0.0, np.maximum(lower - body, body - upper))

    def placeable(self, x: BoolArray) -> bool:
        """Return whether `x` satisfies every placement row and its own bounds."""
        problem = self.problem
        inside = np.all(x >= problem.onloading_lower) and np.all(x <= problem.onloading_upper)
        return bool(inside and np.all(self.placement_violation(x) <= self.placement_tolerance))


def analyse(problem: Problem, deadline: Deadline = NEVER) -> Structure:
    """Return the `Structure` of a linear problem.

    Parameters
    ----------
    problem
        Without products.
    deadline
        When to end.

    Raises
    ------
    OutOfTime
        The time is over.
    ValueError
        The problem still holds products; see `linearize`.
    """
    if len(problem.products):
        raise ValueError("analyse() takes a linear problem; call linearize() first")
    entries = np.diff(problem.offloading_rows.indptr)
    x_entries = np.diff(problem.onloading_rows.indptr)
    placement_rows = np.flatnonzero((entries == 0) & (x_entries > 0))
    link_rows = np.flatnonzero(entries == 1)
    routing_rows = np.flatnonzero(entries >= 2)

    matrix = problem.offloading_rows
    link_column = matrix.indices[matrix.indptr[link_rows]].astype(np.int64)
    link_scale = matrix.data[matrix.indptr[link_rows]]
    openers = _openers(problem, link_rows, link_column, link_scale)
    implied = _implied_openers(problem, routing_rows, len(link_rows))
    deadline.require()
    opener_x, opener_column, opener_link, opener_cap = _merge(openers, implied, problem.n_offloading)
    deadline.require()

    n_columns = problem.n_offloading
    n_links = np.bincount(
        distinct(opener_link * n_columns + opener_column) % n_columns if n_columns else opener_column,
        minlength=n_columns,
    )
    deadline.require()
    group, demand, weight, required, is_row, demand_rows = _demand_groups(problem, routing_rows)
    deadline.require()
    priced_rows = routing_rows[~_among(routing_rows, demand_rows)]
    # A gated column outside all demand rows is worth what its own reduced cost says.
    alone = np.flatnonzero((group < 0) & (n_links > 0))
    group[alone] = len(demand) + np.arange(len(alone))
    cap = _largest_caps(opener_column, opener_link, opener_cap, n_columns)
    cap = np.minimum(cap, problem.offloading_upper)
    finite_caps = cap[np.isfinite(cap) & (cap > 0)]
    cap = np.where(np.isfinite(cap), cap, np.median(finite_caps) if len(finite_caps) else 1.0)
    demand = np.concatenate([demand, np.ones(len(alone))])
    required = np.concatenate([required, np.zeros(len(alone), dtype=bool)])
    is_row = np.concatenate([is_row, np.zeros(len(alone), dtype=bool)])
    share = np.ones(n_columns)
    in_row = np.flatnonzero((group >= 0) & np.append(is_row, False)[group])
    share[in_row] = np.clip(cap[in_row] * weight[in_row] / demand[group[in_row]], 1e-12, 1.0)
    # Outside demand rows "the demand" is what the column can carry at most.
    demand[group[alone]] = np.maximum(cap[alone], 0.0)
    open_ended = np.zeros(len(demand), dtype=bool)
    open_ended[: len(demand_rows)] = problem.row_upper[demand_rows] > demand[: len(demand_rows)]
    side = np.where(link_scale > 0, problem.row_upper[link_rows], -problem.row_lower[link_rows])
    gates = distinct(opener_link[opener_link < len(link_rows)])
    # Where several x open one link, each in part, the largest part is not all.
    _, number, size = np.unique(opener_link, return_inverse=True, return_counts=True)
    in_part = np.zeros(n_columns, dtype=bool)
    in_part[opener_column[size[number] > 1]] = True
    in_part &= cap < problem.offloading_upper
    exact = bool(
        np.all(share >= 1.0)
        and not np.any(in_part[alone])
        and np.all(problem.offloading_lower[group >= 0] >= 0.0)
        and np.all(side[gates] <= 0.0)
    )
    deadline.require()
    penalty = _penalties(problem, routing_rows, demand_rows, opener_x, opener_column)
    deadline.require()
    group_penalty = np.zeros(len(demand))
    group_penalty[: len(demand_rows)] = (
        penalty[np.searchsorted(routing_rows, demand_rows)] * demand[: len(demand_rows)]
    )
    return Structure(
        problem=problem,
        placement_rows=placement_rows,
        link_rows=link_rows,
        routing_rows=routing_rows,
        placement_matrix=problem.onloading_rows[placement_rows],
        placement_columns=sparse.csc_array(problem.onloading_rows[placement_rows]),
        placement_tolerance=_placement_tolerance(problem, placement_rows),
        link_matrix=problem.onloading_rows[link_rows],
        mixed_matrix=problem.onloading_rows[routing_rows],
        routing_matrix=problem.offloading_rows[routing_rows],
        link_column=link_column,
        link_scale=link_scale,
        opener_x=opener_x,
        opener_column=opener_column,
        opener_link=opener_link,
        opener_cap=opener_cap,
        n_links=n_links,
        group=group,
        group_demand=demand,
        group_weight=weight,
        group_required=required,
        group_is_row=is_row,
        group_open_ended=open_ended,
        exact=exact,
        demand_rows=demand_rows,
        priced_rows=priced_rows,
        share=share,
        penalty=penalty,
        group_penalty=group_penalty,
        opener_start=np.searchsorted(opener_x, np.arange(problem.n_onloading + 1)),
        by_column=Index.of(opener_column, n_columns),
        by_group=Index.of(group, len(demand)),
    )


def distinct(values: IntArray) -> IntArray:
    """Return the values, sorted, each once: where most are different, sooner than `np.unique`."""
    values = np.sort(values)
    return values[np.flatnonzero(np.diff(values, prepend=values[:1] - 1))]


def _among(values: IntArray, known: IntArray) -> BoolArray:
    """Return which of the values are known."""
    if not len(known):
        return np.zeros(len(values), dtype=bool)
    known = np.sort(known)
    return known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values


def _placement_tolerance(problem: Problem, rows: IntArray) -> FloatArray:
    """Return the rounding that is forgiven in each of these rows over x alone."""
    lower, upper = problem.row_lower[rows], problem.row_upper[rows]
    sides = larger_end(lower, upper)
    unit = units_of(problem.onloading_rows[rows])
    counted = np.where(unit > 0, unit, 1.0)
    whole = unit > 0
    for side in (lower, upper):
        # Between two multiples a side says what it says.
        whole &= ~np.isfinite(side) | (np.where(np.isfinite(side), side, 0.0) % counted == 0)
    return np.where(whole, 0.25 * unit, 1e-9 * np.maximum(1.0, sides))


_Openers = tuple[IntArray, IntArray, IntArray, FloatArray]


def _entries(matrix: sparse.csr_array, rows: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Return (position in `rows`, column, value) of the entries of `rows`."""
    part = matrix[rows]
    position = np.repeat(np.arange(len(rows)), np.diff(part.indptr))
    return position, part.indices.astype(np.int64), part.data


def _openers(
    problem: Problem, link_rows: IntArray, link_column: IntArray, link_scale: FloatArray
) -> _Openers:
    """Return the pairs (x, y) in which setting x raises the upper bound that a link row puts on y."""
    position, x, value = _entries(problem.onloading_rows, link_rows)
    scale = link_scale[position]
    raises = -value / scale
    side = np.where(scale > 0, problem.row_upper[link_rows][position], problem.row_lower[link_rows][position])
    useful = (raises > 0) & np.isfinite(side) & (problem.onloading_upper[x] > 0)
    return x[useful], link_column[position[useful]], position[useful], raises[useful]


def _implied_openers(problem: Problem, routing_rows: IntArray, first_link: int) -> _Openers:
    """Return the pairs that a mixed row sum(a y) <= sum(b x), a, b, y >= 0, implies: y <= (b/a) x.

    Such a row closes each of its y while all of its x are 0 (capacity of a facility, for instance).
    """
    empty = np.zeros(0, dtype=np.int64)
    found: list[_Openers] = []
    n_links = first_link
    mixed = routing_rows[np.diff(problem.onloading_rows.indptr)[routing_rows] > 0]
    for sign, side in ((1.0, problem.row_upper), (-1.0, -problem.row_lower)):
        rows = mixed[side[mixed] == 0.0]
        if not len(rows):
            continue
        y_position, y, a = _entries(problem.offloading_rows, rows)
        x_position, x, b = _entries(problem.onloading_rows, rows)
        # A pair for each y and each x of a row: fine for capacities, too many for rows wide in both.
        wrong = np.bincount(
            y_position, (sign * a < 0) | (problem.offloading_lower[y] < 0), minlength=len(rows)
        ) + np.bincount(x_position, sign * b > 0, minlength=len(rows))
        n_x = np.bincount(x_position, minlength=len(rows))
        fine = (wrong == 0) & (n_x <= 16)
        keep = fine[y_position]
        y_position, y, a = y_position[keep], y[keep], sign * a[keep]
        start = np.concatenate([[0], np.cumsum(n_x)])
        repeats = n_x[y_position]
        entry = np.repeat(np.arange(len(y)), repeats)
        offset = np.arange(len(entry)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        which = start[y_position[entry]] + offset
        link = n_links + entry
        n_links += len(y)
        found.append((x[which], y[entry], link, -sign * b[which] / a[entry]))
    if not found:
        return empty, empty, empty, np.zeros(0)
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))  # type: ignore[return-value]


def _merge(explicit: _Openers, implied: _Openers, n_columns: int) -> _Openers:
    """Return both sets sorted by x, without implied links that are open whenever an explicit one is."""
    x, column, link, _ = explicit
    _, number, size = np.unique(link, return_inverse=True, return_counts=True)
    alone = size[number] == 1
    follows = _among(implied[0] * n_columns + implied[1], x[alone] * n_columns + column[alone])
    keep = ~_among(implied[2], implied[2][follows])
    parts = [np.concatenate([a, b[keep]]) for a, b in zip(explicit, implied, strict=True)]
    order = np.lexsort((parts[2], parts[1], parts[0]))
    return parts[0][order], parts[1][order], parts[2][order], parts[3][order]


def _demand_groups(
    problem: Problem, routing_rows: IntArray
) -> tuple[IntArray, FloatArray, FloatArray, BoolArray, BoolArray, IntArray]:
    """Choose disjoint rows over y alone, positive, bounded by b > 0: the demand rows.

    Where rows overlap (a demand row and a capacity row share columns), rows that must hold with
    equality or from below come first, then rows whose coefficients are all alike, then short ones.
    """
    n = problem.n_offloading
    group = np.full(n, -1, dtype=np.int64)
    weight = np.ones(n)
    position, column, value = _entries(problem.offloading_rows, routing_rows)
    lower, upper = problem.row_lower[routing_rows], problem.row_upper[routing_rows]
    n_rows = len(routing_rows)
    pure = np.diff(problem.onloading_rows.indptr)[routing_rows] == 0
    bad_entry = (value <= 0) | (problem.offloading_lower[column] < 0)
    pure &= np.bincount(position, bad_entry, minlength=n_rows) == 0
    required = lower > 0
    demand = np.where(required, lower, upper)
    pure &= np.isfinite(demand) & (demand > 0)
    size = np.bincount(position, minlength=n_rows)
    highest = np.zeros(n_rows)
    np.maximum.at(highest, position, value)
    lowest = np.full(n_rows, np.inf)
    np.minimum.at(lowest, position, value)
    uneven = highest > lowest * (1 + 1e-9)
    order = np.lexsort((np.arange(n_rows), size, uneven, ~required))
    order = order[pure[order]]
    picked = order[_disjoint(order, position, column, n)]
    number = np.full(n_rows, -1, dtype=np.int64)
    number[picked] = np.arange(len(picked))
    mine = np.flatnonzero(number[position] >= 0)
    group[column[mine]] = number[position[mine]]
    weight[column[mine]] = value[mine]
    return (
        group,
        demand[picked],
        weight,
        required[picked],
        np.ones(len(picked), dtype=bool),
        routing_rows[picked],
    )


def _disjoint(order: IntArray, position: IntArray, column: IntArray, n_columns: int) -> BoolArray:
    """Return which rows, in `order`, share no column with a row before them that is chosen.

    Parameters
    ----------
    order
        Row numbers.
    position, column
        Row number and column of every entry, sorted by row.
    n_columns
        Number of columns.
    """
    chosen = np.zeros(len(order), dtype=bool)
    rank = np.full(int(max(order.max(initial=-1), position.max(initial=-1))) + 1, -1, dtype=np.int64)
    rank[order] = np.arange(len(order))
    entry = np.flatnonzero(rank[position] >= 0)
    rank, column = rank[position[entry]], column[entry]
    # A row that comes first at all of its columns is chosen, whatever the others do.
    for _ in range(_ROUNDS):
        if not len(rank):
            return chosen
        first = np.full(n_columns, len(order))
        np.minimum.at(first, column, rank)
        beaten = np.zeros(len(order), dtype=bool)
        beaten[rank[first[column] < rank]] = True
        wins = ~beaten[rank]
        chosen[rank[wins]] = True
        taken = np.zeros(n_columns, dtype=bool)
        taken[column[wins]] = True
        out = np.zeros(len(order), dtype=bool)
        out[rank[taken[column]]] = True
        left = ~out[rank]
        rank, column = rank[left], column[left]
    # Few are left: one after the other.
    by_rank = np.argsort(rank, kind="stable")
    rank, column = rank[by_rank], column[by_rank]
    start = np.flatnonzero(np.diff(rank, prepend=-1))
    taken = np.zeros(n_columns, dtype=bool)
    for columns, number in zip(np.split(column, start)[1:], rank[start].tolist(), strict=True):
        if not taken[columns].any():
            chosen[number] = True
            taken[columns] = True
    return chosen


def _largest_caps(column: IntArray, link: IntArray, cap: FloatArray, n_columns: int) -> FloatArray:
    """Return per column the tightest of its links, each opened as far as one x can; inf without links."""
    caps = np.full(n_columns, np.inf)
    if not len(link):
        return caps
    order = np.lexsort((column, link))
    first = np.ones(len(order), dtype=bool)
    first[1:] = (link[order[1:]] != link[order[:-1]]) | (column[order[1:]] != column[order[:-1]])
    start = np.flatnonzero(first)
    np.minimum.at(caps, column[order[start]], np.maximum.reduceat(cap[order], start))
    return caps


def _penalties(
    problem: Problem,
    routing_rows: IntArray,
    demand_rows: IntArray,
    opener_x: IntArray,
    opener_column: IntArray,
) -> FloatArray:
    """Return per routing row a price per unit of violation above what serving it can be worth.

    A demand row pays as much again as its best column is worth, and what it costs to open its dearest
    column; the prices of the shared rows then stay within a small multiple of what they are where the
    placement is feasible. Other rows cost so much more that they give way only where unserved demand does
    not help.
    """
    cost_of_opening = np.zeros(problem.n_offloading)
    np.maximum.at(cost_of_opening, opener_column, np.maximum(-problem.onloading_objective[opener_x], 0.0))
    position, column, value = _entries(problem.offloading_rows, routing_rows)
    worth = np.abs(problem.offloading_objective[column]) / np.abs(value)
    highest = np.zeros(len(routing_rows))
    np.maximum.at(highest, position, worth)
    demand_price = np.zeros(len(routing_rows))
    np.maximum.at(demand_price, position, worth + 2.0 * cost_of_opening[column] / np.abs(value))
    typical = max(float(highest.max(initial=0.0)), 1e-6)
    demand = _among(routing_rows, demand_rows)
    typical = max(typical, float(demand_price[demand].max(initial=0.0)))
    penalty = np.where(demand, np.maximum(demand_price, 1e-3 * typical), 100.0 * typical)
    return np.minimum(penalty, _LARGEST_PENALTY)
