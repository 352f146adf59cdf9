"""Independent parts of a problem: connected components of variables over rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from pyomo_j3o.problem import IntArray, Problem


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a linear problem that shares no row with the rest.

    Attributes
    ----------
    problem : Problem
        The part alone; its objective has no constant.
    onloading, offloading, rows
        The numbers of its columns and rows in the whole problem.
    """

    problem: Problem
    onloading: IntArray
    offloading: IntArray
    rows: IntArray


def split(problem: Problem) -> list[Part]:
    """Return the independent parts that hold an onloading variable, the largest first.

    Parameters
    ----------
    problem
        Linear. Columns and rows without any onloading variable in their part are left out.
    """
    matrix = sparse.csr_array(sparse.hstack([problem.onloading_rows, problem.offloading_rows], format="csr"))
    m, n_x = problem.n_rows, problem.n_onloading
    links = sparse.csr_array(
        (np.ones(matrix.nnz, dtype=np.int8), matrix.indices, matrix.indptr), shape=matrix.shape
    )
    graph = sparse.block_array([[None, links], [links.T, None]], format="csr")
    _, label = connected_components(graph, directed=False)
    row_label, x_label, y_label = label[:m], label[m : m + n_x], label[m + n_x :]
    names, sizes = np.unique(x_label, return_counts=True)
    if len(names) == 1 and np.all(label == names[0]):
        everything = replace(problem, objective_constant=0.0)
        return [Part(everything, np.arange(n_x), np.arange(problem.n_offloading), np.arange(m))]
    return [
        _part(
            problem,
            np.flatnonzero(x_label == name),
            np.flatnonzero(y_label == name),
            np.flatnonzero(row_label == name),
        )
        for name in names[np.argsort(-sizes, kind="stable")]
    ]


def _part(problem: Problem, xs: IntArray, ys: IntArray, rows: IntArray) -> Part:
    part = replace(
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
    )
    return Part(part, xs, ys, rows)
