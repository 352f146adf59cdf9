"""A problem over whole variables as one over binary columns: same rows, same plans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from pyomo_j3o.core.counts import Counts
from pyomo_j3o.core.problem import OBJECTIVE, FloatArray, Problem, Products


def in_columns(problem: Problem, counts: Counts) -> Problem:
    """Return a problem over whole variables, (V,), as one over the binary columns of `counts`, (N,).

    It has the same rows in the same order, and the same plans.

    Parameters
    ----------
    problem
        Its onloading variables are whole, within `onloading_lower` and `onloading_upper`.
    counts
        As `Counts.of` returns them for these bounds.
    """
    variable, weight, base = counts.variable, counts.weight, counts.base
    rows = sparse.csc_array(problem.onloading_rows)
    apart = sparse.csc_array(rows[:, variable])
    apart.data = apart.data * np.repeat(weight, np.diff(apart.indptr))
    onloading = sparse.csr_array(apart)
    onloading.sort_indices()
    shift = problem.onloading_rows @ base
    binary = (problem.onloading_lower >= 0.0) & (problem.onloading_upper <= 1.0)
    fixed = problem.onloading_lower == problem.onloading_upper
    lower = np.where(binary, problem.onloading_lower, 0.0)
    upper = np.where(binary, problem.onloading_upper, np.where(fixed, 0.0, 1.0))
    linear = replace(
        problem,
        onloading_objective=problem.onloading_objective[variable] * weight,
        objective_constant=problem.objective_constant + float(problem.onloading_objective @ base),
        onloading_rows=onloading,
        row_lower=_less(problem.row_lower, shift),
        row_upper=_less(problem.row_upper, shift),
        onloading_lower=lower[variable],
        onloading_upper=upper[variable],
        products=Products.none(),
        counts=counts,
    )
    return _with_products(linear, problem.products, counts)


def _with_products(problem: Problem, terms: Products, counts: Counts) -> Problem:
    """Return the problem with products n·y, whose n are whole variables, as products of columns and y."""
    if not len(terms):
        return problem
    size = np.bincount(counts.variable, minlength=len(counts.base))
    of_term = np.repeat(np.arange(len(terms)), size[terms.onloading])
    start = np.cumsum(size[terms.onloading]) - size[terms.onloading]
    column = counts.first[terms.onloading][of_term] + np.arange(len(of_term)) - start[of_term]
    products = Products(
        terms.row[of_term],
        column,
        terms.offloading[of_term],
        terms.coefficient[of_term] * counts.weight[column],
    )
    at_base = terms.coefficient * counts.base[terms.onloading]
    in_row, has = terms.row != OBJECTIVE, at_base != 0.0
    objective = problem.offloading_objective.copy()
    mine = has & ~in_row
    np.add.at(objective, terms.offloading[mine], at_base[mine])
    mine = has & in_row
    added = sparse.csr_array(
        (at_base[mine], (terms.row[mine], terms.offloading[mine])), shape=problem.offloading_rows.shape
    )
    rows = sparse.csr_array(problem.offloading_rows + added) if mine.any() else problem.offloading_rows
    rows.eliminate_zeros()
    rows.sort_indices()
    return replace(problem, offloading_objective=objective, offloading_rows=rows, products=products)


def _less(side: FloatArray, shift: FloatArray) -> FloatArray:
    return side if not shift.any() else side - shift
