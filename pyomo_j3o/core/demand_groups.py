"""Demand groups: disjoint rows that say how much is to be served."""

from __future__ import annotations

import numpy as np

from pyomo_j3o.core.matrices import entries_of
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Problem

#: Number of rounds in which disjoint rows are chosen all at once; the rest is chosen one after the other.
_ROUNDS = 10


def demand_groups(
    problem: Problem, routing_rows: IntArray
) -> tuple[IntArray, FloatArray, FloatArray, BoolArray, BoolArray, IntArray]:
    """Choose disjoint rows over y alone, positive, bounded by b > 0: the demand rows.

    Where rows overlap (a demand row and a capacity row share columns), rows that must hold with
    equality or from below come first, then rows whose coefficients are all alike, then short ones.
    """
    n = problem.n_offloading
    group = np.full(n, -1, dtype=np.int64)
    weight = np.ones(n)
    position, column, value = entries_of(problem.offloading_rows, routing_rows)
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
