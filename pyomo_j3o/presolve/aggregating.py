"""Rows over x alone that the rows imply together: what is open has to hold what must be routed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.matrices import entry_rows
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Problem
from pyomo_j3o.core.tolerances import rounding_of
from pyomo_j3o.lp.base import Backend, LinearModel, LPStatus
from pyomo_j3o.lp.duality import dual_bound
from pyomo_j3o.presolve.decomposing import components
from pyomo_j3o.presolve.params import PresolveParams
from pyomo_j3o.presolve.reduction import SameColumns
from pyomo_j3o.presolve.tightening import implied_bounds, row_ends


def aggregate_capacities(
    problem: Problem, backend: Backend, deadline: Deadline, params: PresolveParams = PresolveParams()
) -> SameColumns:
    """Add a row ``sum(b x) <= c - V`` for each family of rows ``a'y + b x <= c``.

    V is the least that all rows of the family hold together, in any routing that the rows over y alone
    admit. In facility location these rows say that open capacity covers total demand. They follow from the
    model, so no plan is lost; but no single row of it says so, and neither greedy nor a cover cut could know.
    A family is made of rows that play the same part: all plants, say, or all satellites.

    Parameters
    ----------
    problem
        Linear.
    backend
        The LP solver.
    deadline
        When to end.
    params
        Which families are looked at.

    Returns
    -------
    SameColumns
        With the new rows last. Its problem is the same object if there are none.
    """
    rows, sign = _candidates(problem)
    over_y = np.flatnonzero(
        (np.diff(problem.onloading_rows.indptr) == 0) & (np.diff(problem.offloading_rows.indptr) > 0)
    )
    if len(rows) < 2 or _nothing_must_be_routed(problem, over_y):
        return SameColumns(problem, problem.n_rows)
    loads, uses, limits = [], [], []
    for members in _families(problem, rows, sign, params):
        part = sparse.csr_array(sparse.diags_array(sign[members]) @ problem.onloading_rows[rows[members]])
        load = np.asarray(sign[members] @ problem.offloading_rows[rows[members]]).ravel()
        side = np.where(
            sign[members] > 0, problem.row_upper[rows[members]], -problem.row_lower[rows[members]]
        )
        loads.append(load)
        uses.append(np.asarray(part.sum(axis=0)).ravel())
        limits.append(float(side.sum()))
    # A family without a proven least load gets no row.
    ends = implied_bounds(problem)
    least = [_least(problem, over_y, load, ends, backend, deadline) for load in loads]
    upper = np.array(limits) - np.array(least)
    # Both may be large, and their difference small.
    sizes = np.abs(limits) + np.where(np.isfinite(least), np.abs(least), 0.0)
    upper += rounding_of(upper) + 1e-12 * sizes
    matrix = sparse.csr_array(np.array(uses).reshape(len(uses), problem.n_onloading))
    _, largest = row_ends(matrix, (problem.onloading_lower, problem.onloading_upper))
    new = np.flatnonzero(largest > upper)
    if not len(new):
        return SameColumns(problem, problem.n_rows)
    nothing = sparse.csr_array((len(new), problem.n_offloading))
    extended = replace(
        problem,
        onloading_rows=sparse.csr_array(sparse.vstack([problem.onloading_rows, matrix[new]], format="csr")),
        offloading_rows=sparse.csr_array(sparse.vstack([problem.offloading_rows, nothing], format="csr")),
        row_lower=np.concatenate([problem.row_lower, np.full(len(new), -np.inf)]),
        row_upper=np.concatenate([problem.row_upper, upper[new]]),
    )
    return SameColumns(extended, problem.n_rows)


def _candidates(problem: Problem) -> tuple[IntArray, FloatArray]:
    """Return the rows with x, two or more y and one side, and the sign that makes each an upper side."""
    mixed = (np.diff(problem.onloading_rows.indptr) > 0) & (np.diff(problem.offloading_rows.indptr) > 1)
    above, below = np.isfinite(problem.row_upper), np.isfinite(problem.row_lower)
    rows = np.flatnonzero(mixed & (above != below))
    return rows, np.where(above[rows], 1.0, -1.0)


def _nothing_must_be_routed(problem: Problem, over_y: IntArray) -> bool:
    """Return whether y = 0 is a routing: no family then has to hold anything."""
    inside = (problem.offloading_lower <= 0) & (problem.offloading_upper >= 0)
    return bool(
        np.all(problem.row_lower[over_y] <= 0) and np.all(problem.row_upper[over_y] >= 0) and np.all(inside)
    )


def _families(problem: Problem, rows: IntArray, sign: FloatArray, params: PresolveParams) -> list[IntArray]:
    """Return positions in `rows` that belong together, of the largest families, largest first.

    Rows are told apart by the kinds of rows that their y meet in, again and again (colour refinement), and by
    the independent part that they lie in.
    """
    matrix = problem.offloading_rows
    n = matrix.shape[1]
    row = entry_rows(matrix)
    positive = matrix.data > 0
    x_entries = np.diff(problem.onloading_rows.indptr)
    kind = np.minimum(np.diff(matrix.indptr), 2)
    for told in (
        x_entries > 0,
        np.isfinite(problem.row_lower),
        np.isfinite(problem.row_upper),
        problem.row_lower == problem.row_upper,
    ):
        kind = 2 * kind + told
    row_colour = np.unique(kind, return_inverse=True)[1]
    for _ in range(params.refinements):
        column_colour = _refined(matrix.indices, row_colour[row], positive, np.zeros(n, dtype=np.int64))
        row_colour = _refined(row, column_colour[matrix.indices], positive, row_colour)
    part = components(problem)[1]
    names = 2 * (row_colour[rows] * (int(part.max(initial=0)) + 1) + part[rows]) + (sign > 0)
    _, number, size = np.unique(names, return_inverse=True, return_counts=True)
    largest = np.argsort(-size, kind="stable")[: params.families]
    return [np.flatnonzero(number == k) for k in largest if size[k] > 1]


def _refined(of: IntArray, met: IntArray, positive: BoolArray, before: IntArray) -> IntArray:
    """Return a colour of each item by its colour before and the set of those that its entries meet."""
    colours = 2 * (int(met.max(initial=0)) + 1)
    entry = np.unique(of.astype(np.int64) * colours + 2 * met + positive)
    # A set is told by the sum of one random number per member, and the colour before is one more.
    value = np.random.default_rng(0).integers(1, 2**40, colours + int(before.max(initial=0)) + 1)
    total = value[colours + before]
    np.add.at(total, entry // colours, value[entry % colours])
    return np.unique(total, return_inverse=True)[1]


def _least(
    problem: Problem,
    over_y: IntArray,
    load: FloatArray,
    ends: tuple[FloatArray, FloatArray],
    backend: Backend,
    deadline: Deadline,
) -> float:
    """Return a proven lower bound of ``load @ y`` over all routings within `ends`; -inf if none in time."""
    if deadline.over:
        return -np.inf
    matrix = sparse.csc_array(problem.offloading_rows[over_y])
    columns, upper, far_upper = _cheapest(problem, matrix, load, ends[1])
    model = LinearModel(
        -load[columns],
        matrix[:, columns],
        problem.row_lower[over_y],
        problem.row_upper[over_y],
        problem.offloading_lower[columns],
        upper,
        far_lower=ends[0][columns],
        far_upper=far_upper,
    )
    program = backend.open(model)
    try:
        found = program.solve(deadline.left())
    finally:
        program.close()
    if found.status is not LPStatus.OPTIMAL:
        return -np.inf
    return -dual_bound(model, found.row_duals, model.lower, model.upper)


def _cheapest(
    problem: Problem, matrix: sparse.csc_array, load: FloatArray, far: FloatArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return the columns that a least load needs, and upper bounds for them: given ones, and those of `far`.

    Of columns with the same one entry, those of a demand row, say, the one that weighs least stands for all,
    and takes what all may take: that loads no less only by chance, and never more.
    """
    entries = np.diff(matrix.indptr)
    lone = np.flatnonzero((entries == 1) & (problem.offloading_lower == 0))
    row, value = matrix.indices[matrix.indptr[lone]], matrix.data[matrix.indptr[lone]]
    order = np.lexsort((load[lone], value, row))
    first = np.ones(len(lone), dtype=bool)
    first[1:] = (np.diff(row[order]) != 0) | (np.diff(value[order]) != 0)
    keep = (entries > 0) | (load != 0)
    keep[lone] = False
    chosen = lone[order[first]]
    keep[chosen] = True
    columns = np.flatnonzero(keep)
    uppers = []
    for one in (problem.offloading_upper, far):
        together = one.copy()
        if len(lone):
            together[chosen] = np.add.reduceat(one[lone[order]], np.flatnonzero(first))
        uppers.append(together[columns])
    return columns, uppers[0], uppers[1]
