"""Which onloading variables open which offloading variables: link rows, stated and implied."""

from __future__ import annotations

import numpy as np

from pyomo_j3o.core.matrices import among, entries_of
from pyomo_j3o.core.problem import FloatArray, IntArray, Problem

Openers = tuple[IntArray, IntArray, IntArray, FloatArray]


def stated_openers(
    problem: Problem, link_rows: IntArray, link_column: IntArray, link_scale: FloatArray
) -> Openers:
    """Return the pairs (x, y) in which setting x raises the upper bound that a link row puts on y."""
    position, x, value = entries_of(problem.onloading_rows, link_rows)
    scale = link_scale[position]
    raises = -value / scale
    side = np.where(scale > 0, problem.row_upper[link_rows][position], problem.row_lower[link_rows][position])
    useful = (raises > 0) & np.isfinite(side) & (problem.onloading_upper[x] > 0)
    return x[useful], link_column[position[useful]], position[useful], raises[useful]


def implied_openers(problem: Problem, routing_rows: IntArray, first_link: int) -> Openers:
    """Return the pairs that a mixed row sum(a y) <= sum(b x), a, b, y >= 0, implies: y <= (b/a) x.

    Such a row closes each of its y while all of its x are 0 (capacity of a facility, for instance).
    """
    empty = np.zeros(0, dtype=np.int64)
    found: list[Openers] = []
    n_links = first_link
    mixed = routing_rows[np.diff(problem.onloading_rows.indptr)[routing_rows] > 0]
    for sign, side in ((1.0, problem.row_upper), (-1.0, -problem.row_lower)):
        rows = mixed[side[mixed] == 0.0]
        if not len(rows):
            continue
        y_position, y, a = entries_of(problem.offloading_rows, rows)
        x_position, x, b = entries_of(problem.onloading_rows, rows)
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


def merge_openers(explicit: Openers, implied: Openers, n_columns: int) -> Openers:
    """Return both sets sorted by x, without implied links that are open whenever an explicit one is."""
    x, column, link, _ = explicit
    _, number, size = np.unique(link, return_inverse=True, return_counts=True)
    alone = size[number] == 1
    follows = among(implied[0] * n_columns + implied[1], x[alone] * n_columns + column[alone])
    keep = ~among(implied[2], implied[2][follows])
    parts = [np.concatenate([a, b[keep]]) for a, b in zip(explicit, implied, strict=True)]
    order = np.lexsort((parts[2], parts[1], parts[0]))
    return parts[0][order], parts[1][order], parts[2][order], parts[3][order]


def largest_caps(column: IntArray, link: IntArray, cap: FloatArray, n_columns: int) -> FloatArray:
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
