"""Lifted cover cuts on every knapsack over x, separated for all of them at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pyomo_j3o.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.structure import Structure


@dataclass(frozen=True, slots=True)
class Knapsacks:
    """Rows ``weight @ z <= budget`` with positive weights, padded to one width; z is x or 1 - x.

    Attributes
    ----------
    item : (knapsacks, width)
        Indices of x; padding repeats index 0.
    complemented : (knapsacks, width) bool
        z is 1 - x: in a row sum(s x) >= d, say, that is what may stay closed.
    weight : (knapsacks, width)
        Padding weighs inf.
    budget : (knapsacks,)
        With the rounding that the placement check forgives.
    n_onloading : int
        N.
    """

    item: IntArray
    complemented: BoolArray
    weight: FloatArray
    budget: FloatArray
    n_onloading: int

    @staticmethod
    def of(structure: Structure) -> Knapsacks:
        """Find the knapsacks among the placement rows; rows that admit everything are left out."""
        rows, tolerance = structure.placement_rows, structure.placement_tolerance
        matrix = structure.placement_matrix
        part = sparse.csr_array(sparse.vstack([matrix, -matrix], format="csr"))
        upper = np.concatenate(
            [
                structure.problem.row_upper[rows] + tolerance,
                -structure.problem.row_lower[rows] + tolerance,
            ]
        )
        row = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
        total = np.bincount(row, np.abs(part.data), minlength=part.shape[0])
        negative = np.bincount(row, np.minimum(part.data, 0.0), minlength=part.shape[0])
        budget: FloatArray = upper - negative
        n_items = np.diff(part.indptr)
        plain = np.bincount(row, part.data < 0, minlength=part.shape[0]) == 0
        lightest = np.full(part.shape[0], np.inf)
        np.minimum.at(lightest, row, np.abs(part.data))
        # Of precedences and of rows sum(x) >= 1, the one cover there is says what the row says.
        plain |= total - lightest > budget
        useful = plain & np.isfinite(budget) & (budget >= 0) & (total > budget)
        chosen = np.flatnonzero(useful)
        width = int(n_items[chosen].max(initial=0))
        item = np.zeros((len(chosen), width), dtype=np.int64)
        weight = np.full((len(chosen), width), np.inf)
        complemented = np.zeros((len(chosen), width), dtype=bool)
        filled = np.arange(width) < n_items[chosen, None]
        item[filled] = part[chosen].indices
        weight[filled] = np.abs(part[chosen].data)
        complemented[filled] = part[chosen].data < 0
        return Knapsacks(item, complemented, weight, budget[chosen], structure.problem.n_onloading)


def separate(
    knapsacks: Knapsacks, x: FloatArray, violation: float = 1e-4
) -> tuple[sparse.csr_array, FloatArray]:
    """Return lifted cover cuts ``cuts @ x <= limit`` that the fractional `x` violates.

    For a cover C (a set too heavy for its budget) at most ``|C| - 1`` of its members can be placed
    (Balas 1975, DOI 10.1007/BF01580440). Covers are found greedily from `x`, made minimal, and every
    other item is lifted in sequence with its exact coefficient (Zemel 1989, DOI 10.1287/moor.14.4.760).

    Parameters
    ----------
    knapsacks
        Rows to separate.
    x
        (N,), in [0, 1].
    violation
        Cuts that `x` violates by less are left out.

    Returns
    -------
    cuts : (cuts, N) CSR
    limit : (cuts,)
    """
    if not knapsacks.item.size:
        return sparse.csr_array((0, knapsacks.n_onloading)), np.zeros(0)
    value = np.clip(x, 0.0, 1.0)[knapsacks.item]
    value = np.where(knapsacks.complemented, 1.0 - value, value)
    value[np.isinf(knapsacks.weight)] = 0.0
    with np.errstate(invalid="ignore"):
        by_slack = np.where(np.isinf(knapsacks.weight), np.inf, (1.0 - value) / knapsacks.weight)
    by_value = np.where(np.isinf(knapsacks.weight), np.inf, -value)
    # A heavy item taken first is in every cover; lifted into a cover of lighter ones it may count for two.
    heavy = np.where(knapsacks.weight > 0.5 * knapsacks.budget[:, None], 1e9, 0.0)
    keys = (by_slack, by_value, by_slack + heavy, by_value + heavy)
    covers = np.concatenate([_minimal_cover(knapsacks, value, key) for key in keys])
    row = np.tile(np.arange(len(value)), len(keys))
    # The orders often find the same cover.
    some = np.flatnonzero(covers.any(axis=1))
    packed = np.concatenate([row[some, None], np.packbits(covers[some], axis=1)], axis=1)
    _, first = np.unique(packed, axis=0, return_index=True)
    chosen = some[np.sort(first)]
    return _lift(knapsacks, value, covers[chosen], row[chosen], violation)


def _minimal_cover(knapsacks: Knapsacks, value: FloatArray, key: FloatArray) -> BoolArray:
    """Return a minimal cover of each knapsack, (knapsacks, width), greedily in the order of `key`."""
    order = np.argsort(key, axis=1, kind="stable")
    finite = np.where(np.isinf(knapsacks.weight), 0.0, knapsacks.weight)
    in_order = np.take_along_axis(finite, order, axis=1)
    filled = np.cumsum(in_order, axis=1)
    is_cover = filled > knapsacks.budget[:, None]
    length = np.where(is_cover.any(axis=1), is_cover.argmax(axis=1) + 1, 0)
    chosen = np.arange(order.shape[1]) < length[:, None]
    cover = np.zeros_like(chosen)
    np.put_along_axis(cover, order, chosen, axis=1)
    total = np.where(cover, finite, 0.0).sum(axis=1)
    # The member with the least value leaves first, as long as the rest is still too heavy.
    drop_order = np.argsort(np.where(cover, value, np.inf), axis=1, kind="stable")
    rows = np.arange(len(cover))
    for position in range(int(length.max(initial=0))):
        member = drop_order[:, position]
        inside = cover[rows, member]
        after = total - finite[rows, member]
        leaves = inside & (after > knapsacks.budget * (1 + 1e-12))
        cover[rows[leaves], member[leaves]] = False
        total[leaves] = after[leaves]
    return cover


def _lift(
    knapsacks: Knapsacks, value: FloatArray, cover: BoolArray, rows: IntArray, violation: float
) -> tuple[sparse.csr_array, FloatArray]:
    """Lift each cover inequality, of the knapsacks `rows`, over all its items; keep the violated ones."""
    item, weight, budget = knapsacks.item[rows], knapsacks.weight[rows], knapsacks.budget[rows]
    value = value[rows]
    n_rows = len(weight)
    size = cover.sum(axis=1)
    limit = size - 1.0
    levels = int(size.max(initial=1))
    # lightest[r, v]: least weight with which the items lifted so far reach v on the left-hand side.
    ascending = np.sort(np.where(cover, weight, np.inf), axis=1)[:, : max(levels - 1, 0)]
    lightest = np.concatenate([np.zeros((n_rows, 1)), np.cumsum(ascending, axis=1)], axis=1)
    lightest[np.arange(lightest.shape[1]) >= size[:, None]] = np.inf
    coefficient = cover.astype(float)
    order = np.argsort(np.where(cover | np.isinf(weight), np.inf, -value), axis=1, kind="stable")
    to_lift = (~cover & ~np.isinf(weight)).sum(axis=1)
    row = np.arange(n_rows)
    level = np.arange(lightest.shape[1])
    slack = 1e-9 * np.maximum(1.0, budget)
    for position in range(int(to_lift.max(initial=0))):
        j = order[:, position]
        live = position < to_lift
        load = np.where(live, weight[row, j], np.inf)
        fits = lightest <= (budget - load + slack)[:, None]
        reach = np.where(fits, level, 0).max(axis=1)
        pi = np.where(live, limit - reach, 0.0)
        coefficient[row[live], j[live]] = pi[live]
        source = level - pi[:, None].astype(np.int64)
        shifted = np.take_along_axis(lightest, np.maximum(source, 0), axis=1) + load[:, None]
        # More than the level asks for is as good: an item worth pi also reaches every lower level.
        lightest = np.minimum(lightest, shifted)
    violated = (coefficient * value).sum(axis=1) > limit + violation
    complemented = knapsacks.complemented[rows]
    limit = limit - np.where(complemented, coefficient, 0.0).sum(axis=1)
    coefficient = np.where(complemented, -coefficient, coefficient)
    number, place = np.nonzero(coefficient * violated[:, None])
    keep = np.cumsum(violated) - 1
    cuts = sparse.csr_array(
        (coefficient[number, place], (keep[number], item[violated.nonzero()[0][keep[number]], place])),
        shape=(int(violated.sum()), knapsacks.n_onloading),
    )
    return cuts, limit[violated]
