"""Rows and objectives in tiny or huge units, brought near 1 for the LP solvers' tolerances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from pyomo_j3o.lp.base import LinearModel
from pyomo_j3o.problem import OBJECTIVE, FloatArray, Problem, Products
from pyomo_j3o.tightening import largest_entries

#: Rows whose largest coefficient lies in between are left as they are.
_SMALL, _LARGE = 1e-3, 1e6


def scale_rows(problem: Problem) -> tuple[Problem, FloatArray]:
    """Multiply rows by powers of two, exactly, so that their largest coefficient is near 1.

    LP solvers drop entries below about 1e-9 and measure feasibility in absolute terms: a row that is written
    in a tiny unit would count for nothing.

    Parameters
    ----------
    problem
        With or without products.

    Returns
    -------
    Problem
        With the same plans.
    factors : (M,)
        Dual of the original row = factor times dual of the scaled one.
    """
    factors = _factors(largest_coefficients(problem))
    if np.all(factors == 1.0):
        return problem, factors
    scale = sparse.dia_array((factors[None, :], [0]), shape=(len(factors), len(factors)))
    return (
        replace(
            problem,
            onloading_rows=sparse.csr_array(scale @ problem.onloading_rows),
            offloading_rows=sparse.csr_array(scale @ problem.offloading_rows),
            row_lower=problem.row_lower * factors,
            row_upper=problem.row_upper * factors,
            products=_scaled_products(problem.products, np.append(factors, 1.0)),
        ),
        factors,
    )


def _factors(largest: FloatArray) -> FloatArray:
    """Return the power of two that brings each row's largest coefficient near 1, or 1 where that is near."""
    factors = np.ones(len(largest))
    odd = (largest > 0) & ((largest < _SMALL) | (largest > _LARGE))
    factors[odd] = np.exp2(-np.rint(np.log2(largest[odd])))
    return factors


def scale_model_rows(model: LinearModel) -> LinearModel:
    """Return the model with rows multiplied by powers of two like those of `scale_rows`."""
    matrix = sparse.csr_array(model.matrix)
    largest = np.zeros(model.n_rows)
    np.maximum.at(largest, np.repeat(np.arange(model.n_rows), np.diff(matrix.indptr)), np.abs(matrix.data))
    factors = _factors(largest)
    if np.all(factors == 1.0):
        return model
    scale = sparse.dia_array((factors[None, :], [0]), shape=(len(factors), len(factors)))
    return replace(
        model,
        matrix=sparse.csr_array(scale @ matrix),
        row_lower=model.row_lower * factors,
        row_upper=model.row_upper * factors,
    )


def scale_objective(problem: Problem) -> tuple[Problem, float]:
    """Multiply the objective by a power of two if the most that a variable contributes is far from 1.

    Returns
    -------
    Problem
        With the same plans; its `sense` takes objectives back to the user's unit and sense.
    float
        The factor.
    """
    terms = problem.products
    mine = terms.row == OBJECTIVE
    # What a variable with a tiny range can contribute is small, whatever its coefficient.
    span = np.minimum(1.0, problem.offloading_upper - problem.offloading_lower)
    largest = max(
        float(np.abs(problem.onloading_objective).max(initial=0.0)),
        float(np.abs(problem.offloading_objective * span).max(initial=0.0)),
        float(np.abs(terms.coefficient * span[terms.offloading])[mine].max(initial=0.0)),
    )
    if not largest > 0 or 1e-4 <= largest <= _LARGE:
        return problem, 1.0
    factor = float(np.exp2(-np.rint(np.log2(largest))))
    return (
        replace(
            problem,
            onloading_objective=problem.onloading_objective * factor,
            offloading_objective=problem.offloading_objective * factor,
            objective_constant=problem.objective_constant * factor,
            products=_scaled_products(terms, np.append(np.ones(problem.n_rows), factor)),
            sense=problem.sense / factor,
        ),
        factor,
    )


def _scaled_products(terms: Products, factors: FloatArray) -> Products:
    """Return the products times the factor of their row; the last of `factors` is the objective's."""
    return replace(terms, coefficient=terms.coefficient * factors[terms.row])


def largest_coefficients(problem: Problem) -> FloatArray:
    """Return the largest absolute coefficient of each row, products included, (M,); 0 for an empty row."""
    largest = np.maximum(largest_entries(problem.onloading_rows), largest_entries(problem.offloading_rows))
    terms = problem.products
    inside = terms.row >= 0
    np.maximum.at(largest, terms.row[inside], np.abs(terms.coefficient[inside]))
    return largest
