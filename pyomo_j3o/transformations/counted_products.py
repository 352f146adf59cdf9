"""Integers in products, for the transformation: which there are, their columns, and rows over them again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from pyomo_j3o.core.counts import Counts
from pyomo_j3o.core.problem import IntArray, Problem
from pyomo_j3o.errors import ModelError
from pyomo_j3o.modeling.inverse import Inverse

#: The longest range of an integer in products: weights farther apart are too far for solvers' tolerances.
LONGEST_IN_PRODUCT = 1_000


def integers_in_products(problem: Problem, counts: Counts) -> IntArray:
    """Return the integer variables, (V,), that are in products and are no binary ones."""
    in_products = np.unique(counts.variable[problem.products.onloading])
    size = np.bincount(counts.variable, minlength=len(counts.base))
    return in_products[(size[in_products] > 1) | (counts.base[in_products] != 0.0)]


def require_short(problem: Problem, inverse: Inverse) -> None:
    """Raise a `ModelError` if the range of an integer in a product is too long for this transformation."""
    counts = inverse.counts
    if counts is None:
        return
    span = np.bincount(counts.variable, counts.weight, minlength=len(counts.base))
    for v in integers_in_products(problem, counts):
        if span[v] > LONGEST_IN_PRODUCT:
            raise ModelError(
                f"integer '{inverse.onloading[v].name}' is in a product and has {span[v]:,.0f} steps between "
                f"its bounds, but this transformation takes {LONGEST_IN_PRODUCT:,} at most; tighten its "
                "bounds, or solve by j3o or j3o.exact, which take such products as they are"
            )


def column_names(problem: Problem, inverse: Inverse) -> list[str]:
    """Return what every column of x is called: the variable, or the variable and a number, ``n#1``."""
    names = [variable.name for variable in inverse.variable_of_column]
    counts = inverse.counts
    if counts is not None:
        apart = np.isin(counts.variable, integers_in_products(problem, counts))
        for i in np.flatnonzero(apart):
            names[i] += f"#{counts.rank[i] + 1}"
    return names


def in_variables(linear: Problem, counts: Counts) -> Problem:
    """Return a linear problem over the columns of `counts`, (N,), as one over the variables, (V,).

    In rows without products, all columns of a variable have the same coefficient per unit, and the first has
    weight 1.
    """
    rows = sparse.csr_array(sparse.csc_array(linear.onloading_rows)[:, counts.first])
    costs = linear.onloading_objective[counts.first]
    shift = rows @ counts.base
    return replace(
        linear,
        onloading_rows=rows,
        onloading_objective=costs,
        objective_constant=linear.objective_constant - float(costs @ counts.base),
        row_lower=linear.row_lower + shift,
        row_upper=linear.row_upper + shift,
        onloading_lower=counts.base,
        onloading_upper=counts.values(np.ones(len(counts.variable))),
        counts=None,
    )
