"""What the rows of a linear problem say: placement rows, opening links, demand groups, priced rows."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy import sparse

from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.core.demand_groups import demand_groups
from pyomo_j3o.core.matrices import among, distinct, entries_of
from pyomo_j3o.core.openers import implied_openers, largest_caps, merge_openers, stated_openers
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Problem, larger_end
from pyomo_j3o.core.tolerances import rounding_of
from pyomo_j3o.core.whole_numbers import units_of

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
class PlacementRows:
    """The rows of a problem that hold x only, and what a placement may miss them by.

    Attributes
    ----------
    problem : Problem
        Linear: its `products` are empty.
    placement_rows : row numbers
    placement_matrix : (placement rows, N) CSR
    placement_tolerance : (placement rows,)
        The rounding that is forgiven in each placement row: of whole numbers none, so that less than one
        unit is enough.
    """

    problem: Problem
    placement_rows: IntArray
    placement_matrix: sparse.csr_array
    placement_tolerance: FloatArray

    @staticmethod
    def of(problem: Problem) -> PlacementRows:
        """Return the placement rows of a linear problem: all that the whole of a model in parts needs."""
        entries, x_entries = np.diff(problem.offloading_rows.indptr), np.diff(problem.onloading_rows.indptr)
        rows = np.flatnonzero((entries == 0) & (x_entries > 0))
        return PlacementRows(problem, rows, problem.onloading_rows[rows], _placement_tolerance(problem, rows))

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


@dataclass(frozen=True, slots=True)
class Structure(PlacementRows):
    """The roles of rows and columns, found from the arrays alone.

    Every row has one of three kinds. *Placement rows* hold x only (budgets, cardinality, precedence,
    covering). *Link rows* hold one y: with x fixed they are bounds of that y. *Routing rows* hold two or
    more y; among them, disjoint *demand rows* (sum of y = b, <= b or >= b with nonnegative entries)
    define the demand groups, and the rest are *priced* into the objective by the onloading step.

    Attributes
    ----------
    problem, placement_rows, placement_matrix, placement_tolerance
        See `PlacementRows`.
    link_rows, routing_rows : row numbers
    placement_columns : (placement rows, N) CSC
        `placement_matrix` by columns.
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
    closed : (K,) bool
        The column is 0 at every placement: by its bounds, or by a row over it alone. It serves nothing.
    share : (K,)
        The largest part of its group's demand that the column can serve, in (0, 1]; 1 for a closed one,
        which `price` leaves out.
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

    link_rows: IntArray
    routing_rows: IntArray
    placement_columns: sparse.csc_array
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
    closed: BoolArray
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
            crossed = (lower > upper) & (lower <= upper + rounding_of(upper))
            lower[crossed] = upper[crossed]
        return lower, upper

    def routing_bounds(self, x: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Return the bounds of the routing rows at placement `x`, (routing rows,) each."""
        problem, rows = self.problem, self.routing_rows
        rest = self.mixed_matrix @ x.astype(float)
        return problem.row_lower[rows] - rest, problem.row_upper[rows] - rest


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
    placement = PlacementRows.of(problem)
    link_rows = np.flatnonzero(entries == 1)
    routing_rows = np.flatnonzero(entries >= 2)
    deadline.require()
    links = _links(problem, link_rows, routing_rows)
    deadline.require()
    closed = _closed(problem, link_rows)
    groups = _groups(problem, routing_rows, links, closed)
    deadline.require()
    demand_rows = groups.rows
    penalty = _penalties(problem, routing_rows, demand_rows, links.opener_x, links.opener_column, closed)
    deadline.require()
    group_penalty = np.zeros(len(groups.demand))
    group_penalty[: len(demand_rows)] = (
        penalty[np.searchsorted(routing_rows, demand_rows)] * groups.demand[: len(demand_rows)]
    )
    return Structure(
        problem=problem,
        placement_rows=placement.placement_rows,
        placement_matrix=placement.placement_matrix,
        placement_tolerance=placement.placement_tolerance,
        link_rows=link_rows,
        routing_rows=routing_rows,
        placement_columns=sparse.csc_array(placement.placement_matrix),
        link_matrix=problem.onloading_rows[link_rows],
        mixed_matrix=problem.onloading_rows[routing_rows],
        routing_matrix=problem.offloading_rows[routing_rows],
        link_column=links.column,
        link_scale=links.scale,
        opener_x=links.opener_x,
        opener_column=links.opener_column,
        opener_link=links.opener_link,
        opener_cap=links.opener_cap,
        n_links=links.per_column,
        group=groups.of_column,
        group_demand=groups.demand,
        group_weight=groups.weight,
        group_required=groups.required,
        group_is_row=groups.is_row,
        group_open_ended=groups.open_ended,
        exact=_is_exact(problem, links, groups),
        demand_rows=demand_rows,
        priced_rows=routing_rows[~among(routing_rows, demand_rows)],
        closed=closed,
        share=groups.share,
        penalty=penalty,
        group_penalty=group_penalty,
        opener_start=np.searchsorted(links.opener_x, np.arange(problem.n_onloading + 1)),
        by_column=Index.of(links.opener_column, problem.n_offloading),
        by_group=Index.of(groups.of_column, len(groups.demand)),
    )


@dataclass(frozen=True, slots=True)
class _Links:
    """Which x opens which y: see `Structure`."""

    rows: IntArray
    column: IntArray
    scale: FloatArray
    opener_x: IntArray
    opener_column: IntArray
    opener_link: IntArray
    opener_cap: FloatArray
    per_column: IntArray


def _links(problem: Problem, link_rows: IntArray, routing_rows: IntArray) -> _Links:
    """Find the links, stated by rows over one y or implied by rows over several."""
    matrix, n_columns = problem.offloading_rows, problem.n_offloading
    column = matrix.indices[matrix.indptr[link_rows]].astype(np.int64)
    scale = matrix.data[matrix.indptr[link_rows]]
    stated = stated_openers(problem, link_rows, column, scale)
    implied = implied_openers(problem, routing_rows, len(link_rows))
    opener_x, opener_column, opener_link, opener_cap = merge_openers(stated, implied, n_columns)
    pairs = distinct(opener_link * n_columns + opener_column)
    per_column = np.bincount(pairs % n_columns if n_columns else opener_column, minlength=n_columns)
    return _Links(link_rows, column, scale, opener_x, opener_column, opener_link, opener_cap, per_column)


@dataclass(frozen=True, slots=True)
class _Groups:
    """Who is served by what: see `Structure`.

    `cap` is what its links let through of a column at most, (K,); `alone` are the gated columns that are
    groups of their own.
    """

    of_column: IntArray
    demand: FloatArray
    weight: FloatArray
    required: BoolArray
    is_row: BoolArray
    open_ended: BoolArray
    share: FloatArray
    rows: IntArray
    cap: FloatArray
    alone: IntArray


def _closed(problem: Problem, link_rows: IntArray) -> BoolArray:
    """Return which columns are 0 at every placement, by their bounds or by rows over them alone, (K,)."""
    rows = link_rows[np.diff(problem.onloading_rows.indptr)[link_rows] == 0]
    lower, upper = problem.offloading_lower.copy(), problem.offloading_upper.copy()
    first = problem.offloading_rows.indptr[rows]
    column, scale = problem.offloading_rows.indices[first], problem.offloading_rows.data[first]
    high, low = problem.row_upper[rows] / scale, problem.row_lower[rows] / scale
    np.minimum.at(upper, column, np.where(scale > 0, high, low))
    np.maximum.at(lower, column, np.where(scale > 0, low, high))
    return np.asarray((lower == 0.0) & (upper == 0.0))


def _groups(problem: Problem, routing_rows: IntArray, links: _Links, closed: BoolArray) -> _Groups:
    """Find the demand groups, and a group for every gated column outside all of them."""
    n_columns = problem.n_offloading
    group, demand, weight, required, is_row, demand_rows = demand_groups(problem, routing_rows)
    # A gated column outside all demand rows is worth what its own reduced cost says.
    alone = np.flatnonzero((group < 0) & (links.per_column > 0))
    group[alone] = len(demand) + np.arange(len(alone))
    cap = largest_caps(links.opener_column, links.opener_link, links.opener_cap, n_columns)
    cap = np.minimum(cap, problem.offloading_upper)
    finite_caps = cap[np.isfinite(cap) & (cap > 0)]
    cap = np.where(np.isfinite(cap), cap, np.median(finite_caps) if len(finite_caps) else 1.0)
    no = np.zeros(len(alone), dtype=bool)
    demand, required = np.concatenate([demand, np.ones(len(alone))]), np.concatenate([required, no])
    is_row = np.concatenate([is_row, no])
    share = np.ones(n_columns)
    in_row = np.flatnonzero((group >= 0) & np.append(is_row, False)[group])
    share[in_row] = np.clip(cap[in_row] * weight[in_row] / demand[group[in_row]], 1e-12, 1.0)
    share[closed] = 1.0  # they serve nothing, and leave F as exact as it is without them
    # Outside demand rows "the demand" is what the column can carry at most.
    demand[group[alone]] = np.maximum(cap[alone], 0.0)
    open_ended = np.zeros(len(demand), dtype=bool)
    open_ended[: len(demand_rows)] = problem.row_upper[demand_rows] > demand[: len(demand_rows)]
    return _Groups(group, demand, weight, required, is_row, open_ended, share, demand_rows, cap, alone)


def _is_exact(problem: Problem, links: _Links, groups: _Groups) -> bool:
    """Return whether F_α bounds the objective at every placement from above."""
    side = np.where(links.scale > 0, problem.row_upper[links.rows], -problem.row_lower[links.rows])
    gates = distinct(links.opener_link[links.opener_link < len(links.rows)])
    # Where several x open one link, each in part, the largest part is not all.
    _, number, size = np.unique(links.opener_link, return_inverse=True, return_counts=True)
    in_part = np.zeros(problem.n_offloading, dtype=bool)
    in_part[links.opener_column[size[number] > 1]] = True
    in_part &= groups.cap < problem.offloading_upper
    return bool(
        np.all(groups.share >= 1.0)
        and not np.any(in_part[groups.alone])
        and np.all(problem.offloading_lower[groups.of_column >= 0] >= 0.0)
        and np.all(side[gates] <= 0.0)
    )


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
    return np.where(whole, 0.25 * unit, rounding_of(sides))


def _penalties(
    problem: Problem,
    routing_rows: IntArray,
    demand_rows: IntArray,
    opener_x: IntArray,
    opener_column: IntArray,
    closed: BoolArray,
) -> FloatArray:
    """Return per routing row a price per unit of violation above what serving it can be worth.

    A demand row pays as much again as its best column is worth, and what it costs to open its dearest
    column; the prices of the shared rows then stay within a small multiple of what they are where the
    placement is feasible. Other rows cost so much more that they give way only where unserved demand does
    not help.
    """
    cost_of_opening = np.zeros(problem.n_offloading)
    np.maximum.at(cost_of_opening, opener_column, np.maximum(-problem.onloading_objective[opener_x], 0.0))
    position, column, value = entries_of(problem.offloading_rows, routing_rows)
    worth = np.abs(problem.offloading_objective[column]) / np.abs(value)
    # What is fixed at 0 serves nothing, whatever it would be worth.
    worth = np.where(closed[column], 0.0, worth)
    highest = np.zeros(len(routing_rows))
    np.maximum.at(highest, position, worth)
    demand_price = np.zeros(len(routing_rows))
    np.maximum.at(demand_price, position, worth + 2.0 * cost_of_opening[column] / np.abs(value))
    typical = max(float(highest.max(initial=0.0)), 1e-6)
    demand = among(routing_rows, demand_rows)
    typical = max(typical, float(demand_price[demand].max(initial=0.0)))
    penalty = np.where(demand, np.maximum(demand_price, 1e-3 * typical), 100.0 * typical)
    return np.minimum(penalty, _LARGEST_PENALTY)
