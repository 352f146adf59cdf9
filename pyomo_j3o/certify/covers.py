"""Lifted cover cuts on every knapsack over x, separated for all rows of one width at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pyomo_j3o.certify.params import CoverParams
from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.core.matrices import entry_rows
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.core.structure import Structure
from pyomo_j3o.core.tolerances import rounding_of

#: A block holds at most this number of cells, or one row: what is computed of a block at a time stays small.
_CELLS = 50_000


@dataclass(frozen=True, slots=True)
class Block:
    """Rows ``weight @ z <= budget`` with positive weights, padded to one width; z is x or 1 - x.

    A row fills more than half of the width, so that padding at most doubles what is stored.

    Attributes
    ----------
    number : (knapsacks,)
        Tells the rows of all blocks apart, in the order of the model.
    item : (knapsacks, width)
        Indices of x; padding repeats index 0.
    complemented : (knapsacks, width) bool
        z is 1 - x: in a row sum(s x) >= d, say, that is what may stay closed.
    weight : (knapsacks, width)
        Padding weighs inf.
    budget : (knapsacks,)
        With the rounding that the placement check forgives.
    """

    number: IntArray
    item: IntArray
    complemented: BoolArray
    weight: FloatArray
    budget: FloatArray


@dataclass(frozen=True, slots=True)
class Knapsacks:
    """The knapsacks over the N variables x, in blocks of rows of similar width."""

    blocks: tuple[Block, ...]
    n_onloading: int

    @property
    def n_cells(self) -> int:
        """Number of cells stored, padding included."""
        return sum(block.item.size for block in self.blocks)

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
        row = entry_rows(part)
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
        blocks: list[Block] = []
        # Widths 2, 3 to 4, 5 to 8, ...
        width_class = np.ceil(np.log2(np.maximum(n_items[chosen], 1))).astype(np.int64)
        for k in np.unique(width_class):
            alike = chosen[width_class == k]
            at_a_time = max(_CELLS >> int(k), 1)
            blocks += [
                _block(part, alike[first : first + at_a_time], budget)
                for first in range(0, len(alike), at_a_time)
            ]
        return Knapsacks(tuple(blocks), structure.problem.n_onloading)


def _block(part: sparse.csr_array, rows: IntArray, budget: FloatArray) -> Block:
    """Return `rows` of `part`, padded to the widest of them."""
    entries = part[rows]
    n_items = np.diff(entries.indptr)
    filled = np.arange(int(n_items.max())) < n_items[:, None]
    item = np.zeros(filled.shape, dtype=np.int64)
    weight = np.full(filled.shape, np.inf)
    complemented = np.zeros(filled.shape, dtype=bool)
    item[filled] = entries.indices
    weight[filled] = np.abs(entries.data)
    complemented[filled] = entries.data < 0
    return Block(rows, item, complemented, weight, budget[rows])


def separate(
    knapsacks: Knapsacks, x: FloatArray, deadline: Deadline = NEVER, params: CoverParams = CoverParams()
) -> tuple[sparse.csr_array, FloatArray]:
    """Return lifted cover cuts ``cuts @ x <= limit`` that the fractional `x` violates.

    For a cover C (a set too heavy for its budget) at most ``|C| - 1`` of its members can be placed
    (Balas 1975, DOI 10.1007/BF01580440). Covers are found greedily from `x`, made minimal, and every
    other item is lifted in sequence with its exact coefficient (Zemel 1989, DOI 10.1287/moor.14.4.760).
    In very wide rows, and when the time is over, some items are not lifted: the cut holds without them.

    Parameters
    ----------
    knapsacks
        Rows to separate.
    x
        (N,), in [0, 1].
    deadline
        When to end.
    params
        Which cuts are worth it.

    Returns
    -------
    cuts : (cuts, N) CSR
    limit : (cuts,)
    """
    x = np.clip(x, 0.0, 1.0)
    matrices = [sparse.csr_array((0, knapsacks.n_onloading))]
    limits, places = [np.zeros(0)], [np.zeros((2, 0), dtype=np.int64)]
    for block in knapsacks.blocks:
        if deadline.over:
            break
        cuts, limit, key, row = _separate_block(block, knapsacks.n_onloading, x, deadline, params)
        matrices.append(cuts)
        limits.append(limit)
        places.append(np.stack([block.number[row], key]))
    order = np.lexsort(np.concatenate(places, axis=1))
    together = sparse.csr_array(sparse.vstack(matrices, format="csr"))
    return together[order], np.concatenate(limits)[order]


def _separate_block(
    block: Block, n_onloading: int, x: FloatArray, deadline: Deadline, params: CoverParams
) -> tuple[sparse.csr_array, FloatArray, IntArray, IntArray]:
    """Return the cuts of one block: matrix, limits, and the order and the row that each comes from."""
    value = x[block.item]
    value = np.where(block.complemented, 1.0 - value, value)
    padding = np.isinf(block.weight)
    value[padding] = 0.0
    with np.errstate(invalid="ignore"):
        by_slack = np.where(padding, np.inf, (1.0 - value) / block.weight)
    by_value = np.where(padding, np.inf, -value)
    # A heavy item taken first is in every cover; lifted into a cover of lighter ones it may count for two.
    heavy = np.where(block.weight > params.heavy * block.budget[:, None], 1e9, 0.0)
    keys = (by_slack, by_value, by_slack + heavy, by_value + heavy)
    covers = np.concatenate([_minimal_cover(block, value, key) for key in keys])
    key = np.repeat(np.arange(len(keys)), len(value))
    row = np.tile(np.arange(len(value)), len(keys))
    # The orders often find the same cover.
    some = np.flatnonzero(covers.any(axis=1))
    packed = np.concatenate([row[some, None], np.packbits(covers[some], axis=1)], axis=1)
    chosen = some[np.sort(_first_of_each(packed))]
    cuts, limit, violated = _lift(block, n_onloading, value, covers[chosen], row[chosen], deadline, params)
    return cuts, limit, key[chosen][violated], row[chosen][violated]


def _first_of_each(rows: IntArray) -> IntArray:
    """Return where each distinct row of a matrix stands first.

    `numpy.unique` compares rows as records, and turns a Ctrl-C in the middle of that into a TypeError.
    """
    order = np.lexsort(rows.T)
    differs = np.any(rows[order[1:]] != rows[order[:-1]], axis=1)
    return np.asarray(order[np.concatenate([np.ones(min(len(order), 1), dtype=bool), differs])])


def _minimal_cover(block: Block, value: FloatArray, key: FloatArray) -> BoolArray:
    """Return a minimal cover of each knapsack, (knapsacks, width), greedily in the order of `key`."""
    order = np.argsort(key, axis=1, kind="stable")
    finite = np.where(np.isinf(block.weight), 0.0, block.weight)
    in_order = np.take_along_axis(finite, order, axis=1)
    filled = np.cumsum(in_order, axis=1)
    is_cover = filled > block.budget[:, None]
    length = np.where(is_cover.any(axis=1), is_cover.argmax(axis=1) + 1, 0)
    chosen = np.arange(order.shape[1]) < length[:, None]
    cover = np.zeros_like(chosen)
    np.put_along_axis(cover, order, chosen, axis=1)
    total = np.where(cover, finite, 0.0).sum(axis=1)
    lightest = np.where(cover, finite, np.inf).min(axis=1, initial=np.inf)
    # The member with the least value leaves first, as long as the rest is still too heavy.
    drop_order = np.argsort(np.where(cover, value, np.inf), axis=1, kind="stable")
    rows = np.arange(len(cover))
    for position in range(int(length.max(initial=0))):
        if not np.any(total - lightest > block.budget):
            break
        member = drop_order[:, position]
        inside = cover[rows, member]
        after = total - finite[rows, member]
        leaves = inside & (after > block.budget * (1 + 1e-12))
        cover[rows[leaves], member[leaves]] = False
        total[leaves] = after[leaves]
    return cover


def _lift(
    block: Block,
    n_onloading: int,
    value: FloatArray,
    cover: BoolArray,
    rows: IntArray,
    deadline: Deadline,
    params: CoverParams,
) -> tuple[sparse.csr_array, FloatArray, IntArray]:
    """Lift each cover inequality, of the knapsacks `rows`; return the violated ones, and which they are."""
    item, weight, budget = block.item[rows], block.weight[rows], block.budget[rows]
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
    rounding = rounding_of(budget)
    # The items of most value come first; an item that is not lifted has coefficient 0.
    for position in range(min(int(to_lift.max(initial=0)), params.lifting // levels)):
        if deadline.over:
            break
        j = order[:, position]
        live = position < to_lift
        load = np.where(live, weight[row, j], np.inf)
        fits = lightest <= (budget - load + rounding)[:, None]
        reach = np.where(fits, level, 0).max(axis=1)
        pi = np.where(live, limit - reach, 0.0)
        coefficient[row[live], j[live]] = pi[live]
        source = level - pi[:, None].astype(np.int64)
        shifted = np.take_along_axis(lightest, np.maximum(source, 0), axis=1) + load[:, None]
        # More than the level asks for is as good: an item worth pi also reaches every lower level.
        lightest = np.minimum(lightest, shifted)
    violated = (coefficient * value).sum(axis=1) > limit + params.violation
    complemented = block.complemented[rows]
    limit = limit - np.where(complemented, coefficient, 0.0).sum(axis=1)
    coefficient = np.where(complemented, -coefficient, coefficient)
    kept = np.flatnonzero(violated)
    number, place = np.nonzero(coefficient[kept])
    cuts = sparse.csr_array(
        (coefficient[kept[number], place], (number, item[kept[number], place])),
        shape=(len(kept), n_onloading),
    )
    return cuts, limit[kept], kept
