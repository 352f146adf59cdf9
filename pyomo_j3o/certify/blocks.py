"""Blocks: columns that hang together once the rows that join most of them are priced out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from pyomo_j3o.certify.params import BlockParams
from pyomo_j3o.core.matrices import entry_rows
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.core.tolerances import INTEGRAL
from pyomo_j3o.lp.base import LinearModel


@dataclass(frozen=True, slots=True)
class Blocks:
    """A part of a problem in blocks, what couples them, and what they share.

    A client with its own budgets is a block, or a cache, or a warehouse with its customers.

    Attributes
    ----------
    of_column : (n,)
        The block of each column (x, y); -1 for a column that is outside of all blocks.
    numbers : (blocks,)
        Of the blocks that have onloading variables.
    n_onloading : int
        N.
    """

    of_column: IntArray
    numbers: IntArray
    n_onloading: int

    @property
    def shared(self) -> BoolArray:
        """Which onloading variables are outside of all blocks, (N,): they open columns of several ones."""
        return np.asarray(self.of_column[: self.n_onloading] < 0)

    def of_rows(self, matrix: sparse.csr_array) -> IntArray:
        """Return the block that all columns of each row are in, (m,); -1 for a coupling row."""
        row, block = entry_rows(matrix), self.of_column[matrix.indices]
        first = np.full(matrix.shape[0], len(self.of_column))
        last = np.full(matrix.shape[0], -1)
        np.minimum.at(first, row, block)
        np.maximum.at(last, row, block)
        return np.where(first == last, last, -1)


def find_blocks(
    model: LinearModel, n_onloading: int, n_rows: int, x: FloatArray, params: BlockParams = BlockParams()
) -> Blocks | None:
    """Return the blocks of a relaxation, found from its arrays alone; None if none of them promises a bound.

    Rows are ranked by how many columns they touch, by themselves or through the links of their x. Those that
    touch a large share of all couple; of the others, the ranks from the smallest on, or from the largest on,
    are taken while no block gets larger than that share. An x that opens columns of several blocks is shared.
    Among such divisions that one counts which has most fractional x inside of blocks.

    Parameters
    ----------
    model
        The relaxation over (x, y).
    n_onloading
        N.
    n_rows
        Of the problem; rows of `model` beyond them are cuts.
    x
        (N,) of the relaxation.
    params
        How large a block may be.
    """
    fractional = (x > INTEGRAL) & (x < 1.0 - INTEGRAL)
    if not fractional.any():
        return None
    graph = _Graph(sparse.csr_array(model.matrix)[:n_rows], n_onloading)
    best, best_score = None, (0, 0.0)
    for share in params.shares:
        for label in graph.divisions(share):
            of_fractional = label[:n_onloading][fractional]
            inside = of_fractional[of_fractional >= 0]
            size = np.bincount(label[label >= 0], minlength=1)
            # Larger blocks hold more of what the relaxation misses.
            score = len(inside), float(size[inside].mean()) if len(inside) else 0.0
            if score > best_score and len(np.unique(inside)) > 1:
                best, best_score = label, score
    if best is None:
        return None
    numbers = np.unique(best[:n_onloading])
    return Blocks(best, numbers[numbers >= 0], n_onloading)


class _Graph:
    """Which columns hang together by which rows."""

    def __init__(self, matrix: sparse.csr_array, n_onloading: int) -> None:
        n = matrix.shape[1]
        self._n, self._n_x = n, n_onloading
        ones = np.ones(matrix.nnz, dtype=np.int32)
        self._pattern = sparse.csr_array((ones, matrix.indices, matrix.indptr), shape=matrix.shape)
        entries = np.diff(matrix.indptr)
        two = np.flatnonzero(entries == 2)
        first = matrix.indptr[two]
        pair = np.sort(np.stack([matrix.indices[first], matrix.indices[first + 1]]), axis=0)
        is_link = (pair[0] < n_onloading) & (pair[1] >= n_onloading)
        self._link_x, self._link_y = pair[:, is_link]
        others = np.ones(matrix.shape[0], dtype=bool)
        others[two[is_link]] = False
        others &= entries >= 2
        self._rows = np.flatnonzero(others)
        every = np.arange(n)
        through_links = sparse.csr_array(
            (
                np.ones(n + len(self._link_x), dtype=np.int32),
                (np.concatenate([every, self._link_x]), np.concatenate([every, self._link_y])),
            ),
            shape=(n, n),
        )
        self._touched = np.diff((self._pattern[self._rows] @ through_links).indptr)

    def divisions(self, share: float) -> Iterator[IntArray]:
        """Yield the block of each column, -1 for none, with no block above a share of the columns."""
        most = share * self._n
        small = self._touched <= most
        rows, touched = self._rows[small], self._touched[small]
        levels = np.unique(touched)
        for ascending in (True, False):
            found, low, high = None, 0, len(levels) - 1
            while low <= high:
                middle = (low + high) // 2
                level = levels[middle] if ascending else levels[len(levels) - 1 - middle]
                label = self._label(rows[touched <= level] if ascending else rows[touched >= level])
                if np.bincount(label[label >= 0], minlength=1).max() <= most:
                    found, low = label, middle + 1
                else:
                    high = middle - 1
            if found is not None:
                yield found

    def _label(self, rows: IntArray) -> IntArray:
        """Return the block of each column if these rows are kept; the links say where x belong."""
        kept = self._pattern[rows]
        graph = sparse.block_array([[None, kept], [kept.T, None]], format="csr")
        n_clusters, label = connected_components(graph, directed=False)
        label = label[len(rows) :].astype(np.int64)
        # An x without y in its cluster belongs where the y are that it opens, if that is one place.
        has_y = np.zeros(n_clusters, dtype=bool)
        has_y[label[self._n_x :]] = True
        homeless = ~has_y[label[: self._n_x]]
        shape = self._n_x, n_clusters
        opened = sparse.csr_array(
            (np.ones(len(self._link_x)), (self._link_x, label[self._link_y])), shape=shape
        )
        opened.sum_duplicates()
        places = np.diff(opened.indptr)
        # A cluster of x, by a budget of theirs, moves as a whole, or falls apart.
        cluster = label[: self._n_x][homeless]
        first, last = np.full(n_clusters, n_clusters), np.full(n_clusters, -1)
        entry_x = entry_rows(opened)
        np.minimum.at(first, label[entry_x], opened.indices)
        np.maximum.at(last, label[entry_x], opened.indices)
        as_a_whole = first[cluster] >= last[cluster]
        alone = np.full(self._n_x, -1, dtype=np.int64)
        single = np.flatnonzero(places == 1)
        alone[single] = opened.indices[opened.indptr[single]]
        moved = np.where(
            as_a_whole, np.where(last[cluster] >= 0, last[cluster], cluster), alone[homeless.nonzero()[0]]
        )
        label[np.flatnonzero(homeless)] = moved
        return label
