"""Independent parts of a problem: connected components of variables over rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from pyomo_j3o.core.matrices import side_by_side
from pyomo_j3o.core.problem import (
    OBJECTIVE,
    BoolArray,
    FloatArray,
    IntArray,
    Plan,
    Problem,
    Products,
    evaluate,
)
from pyomo_j3o.presolve.params import PresolveParams


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a problem that shares no row and no product with the rest.

    Attributes
    ----------
    problem : Problem
        The part alone; its objective has no constant, and it does not tell which rows are batching windows.
    onloading, offloading, rows
        The numbers of its columns and rows in the whole problem.
    """

    problem: Problem
    onloading: IntArray
    offloading: IntArray
    rows: IntArray

    def reduce(self, plan: Plan) -> Plan:
        """Return a plan of the whole problem in the columns of the part."""
        x, y = plan.x[self.onloading], plan.y[self.offloading]
        return Plan(x, y, evaluate(self.problem, x.astype(float), y))


@dataclass(frozen=True, slots=True)
class Split:
    """A reduction to several problems, and the way back from a vector per part to one of the whole.

    Objectives, bounds and `original.objective_constant` add up to those of the whole.

    Attributes
    ----------
    original : Problem
        The whole.
    parts : tuple of Part
        Its independent parts.
    """

    original: Problem
    parts: tuple[Part, ...]

    def placement(self, pieces: Iterable[BoolArray]) -> BoolArray:
        """Return x of the whole, (N,) bool, from that of every part."""
        return self.onloading(pieces) > 0.5

    def onloading(self, pieces: Iterable[FloatArray | BoolArray]) -> FloatArray:
        """Return one number per onloading variable of the whole, (N,), from those of every part."""
        return _put(self.original.n_onloading, (part.onloading for part in self.parts), pieces)

    def offloading(self, pieces: Iterable[FloatArray]) -> FloatArray:
        """Return one number per offloading variable of the whole, (K,), from those of every part."""
        return _put(self.original.n_offloading, (part.offloading for part in self.parts), pieces)

    def rows(self, pieces: Iterable[FloatArray]) -> FloatArray:
        """Return one number per row of the whole, (M,), from those of every part."""
        return _put(self.original.n_rows, (part.rows for part in self.parts), pieces)

    def columns(self, part: Part) -> IntArray:
        """Return the numbers of a part's columns (x, y) among those of the whole."""
        return np.concatenate([part.onloading, self.original.n_onloading + part.offloading])


def _put(n: int, places: Iterable[IntArray], pieces: Iterable[FloatArray | BoolArray]) -> FloatArray:
    """Return n numbers, each piece at its places."""
    values = np.zeros(n)
    for where, piece in zip(places, pieces, strict=True):
        values[where] = piece
    return values


def split(problem: Problem, smallest: int = PresolveParams().smallest_part) -> Split:
    """Split a problem into its independent parts, the largest first.

    Columns and rows without any onloading variable in their component are the last part.

    Parameters
    ----------
    problem
        With or without products.
    smallest
        Components of fewer columns share a part until it has this number. A model of thousands of them does
        not become thousands of LPs, and a whole with fewer columns is one part.
    """
    m, n_x = problem.n_rows, problem.n_onloading
    if n_x and n_x + problem.n_offloading < smallest:
        return Split(problem, (_everything(problem),))
    n_components, label = components(problem)
    of_component, n_parts = _parts_of(label, m, n_x, n_components, smallest)
    label = of_component[label]
    row_label, x_label, y_label = label[:m], label[m : m + n_x], label[m + n_x :]
    if n_parts == 1:
        return Split(problem, (_everything(problem),))
    by_row, by_x, by_y = (_members(labels, n_parts) for labels in (row_label, x_label, y_label))
    parts = (
        Part(take(problem, by_x[k], by_y[k], by_row[k]), by_x[k], by_y[k], by_row[k]) for k in range(n_parts)
    )
    return Split(problem, tuple(parts))


def components(problem: Problem) -> tuple[int, IntArray]:
    """Return how many connected components there are, and that of each row, x and y, (M + N + K,).

    Parameters
    ----------
    problem
        With or without products.
    """
    links = _links(problem)
    graph = sparse.block_array([[None, links], [links.T, None]], format="csr")
    number, label = connected_components(graph, directed=False)
    # What stands for products is no row.
    return number, np.concatenate([label[: problem.n_rows], label[links.shape[0] :]])


def _parts_of(label: IntArray, m: int, n_x: int, n_components: int, smallest: int) -> tuple[IntArray, int]:
    """Return the part that each component belongs to, parts by their number of x, and how many there are."""
    n_columns = np.bincount(label[m:], minlength=n_components)
    of_x = np.bincount(label[m : m + n_x], minlength=n_components)
    part = np.full(n_components, -1, dtype=np.int64)
    small = np.flatnonzero((of_x > 0) & (n_columns < smallest))
    together = np.cumsum(n_columns[small]) // max(smallest, 1)
    large = np.flatnonzero((of_x > 0) & (n_columns >= smallest))
    part[small] = len(large) + together
    part[large] = np.arange(len(large))
    has_x = part >= 0
    names, numbers = np.unique(part[has_x], return_inverse=True)
    size = np.bincount(numbers, of_x[has_x], minlength=len(names))
    rank = np.empty(len(names), dtype=np.int64)
    rank[np.argsort(-size, kind="stable")] = np.arange(len(names))
    part[has_x] = rank[numbers]
    part[~has_x] = len(names)
    return part, len(names) + int(not has_x.all())


def _links(problem: Problem) -> sparse.csr_array:
    """Return which columns (x, y) each row links; each product in the objective is one more row."""
    matrix = side_by_side(problem.onloading_rows, problem.offloading_rows)
    links = sparse.csr_array(
        (np.ones(matrix.nnz, dtype=np.int8), matrix.indices, matrix.indptr), shape=matrix.shape
    )
    terms = problem.products
    if not len(terms):
        return links
    links = links.tocoo()
    row = np.where(terms.row == OBJECTIVE, problem.n_rows + np.arange(len(terms)), terms.row)
    row = np.concatenate([links.row, row, row])
    column = np.concatenate([links.col, terms.onloading, terms.offloading + problem.n_onloading])
    return sparse.csr_array(
        (np.ones(len(row)), (row, column)), shape=(problem.n_rows + len(terms), matrix.shape[1])
    )


def _everything(problem: Problem) -> Part:
    return Part(
        replace(problem, objective_constant=0.0, batches=None),
        np.arange(problem.n_onloading),
        np.arange(problem.n_offloading),
        np.arange(problem.n_rows),
    )


def _members(labels: IntArray, n_parts: int) -> list[IntArray]:
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(1, n_parts)))


def take(problem: Problem, xs: IntArray, ys: IntArray, rows: IntArray) -> Problem:
    """Return the problem over some columns and rows, which share no entry with the others.

    Parameters
    ----------
    problem
        With or without products.
    xs, ys, rows
        What to take, ascending.
    """
    terms = problem.products
    if len(terms):
        mine = np.isin(terms.onloading, xs)
        terms = Products(
            np.where(terms.row[mine] == OBJECTIVE, OBJECTIVE, np.searchsorted(rows, terms.row[mine])),
            np.searchsorted(xs, terms.onloading[mine]),
            np.searchsorted(ys, terms.offloading[mine]),
            terms.coefficient[mine],
        )
    return replace(
        problem,
        onloading_objective=problem.onloading_objective[xs],
        offloading_objective=problem.offloading_objective[ys],
        objective_constant=0.0,
        onloading_rows=problem.onloading_rows[rows][:, xs],
        offloading_rows=problem.offloading_rows[rows][:, ys],
        row_lower=problem.row_lower[rows],
        row_upper=problem.row_upper[rows],
        onloading_lower=problem.onloading_lower[xs],
        onloading_upper=problem.onloading_upper[xs],
        offloading_lower=problem.offloading_lower[ys],
        offloading_upper=problem.offloading_upper[ys],
        products=terms,
        batches=None,
        counts=None if problem.counts is None else problem.counts.of_columns(xs),
    )
