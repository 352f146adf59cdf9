"""Columns of one count that are alike in every row, handed to a MIP solver as one whole column."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.core.counts import Counts
from pyomo_j3o.core.matrices import entry_rows
from pyomo_j3o.core.problem import OBJECTIVE, BoolArray, FloatArray, IntArray
from pyomo_j3o.mip.base import MIPModel

#: Two coefficients per unit are the same if they differ by no more than this part: a product and a quotient.
_SAME = 4e-16


@dataclass(frozen=True, slots=True)
class Merging:
    """A MIP model in which columns that are alike are one, and the way of points there and back.

    Attributes
    ----------
    model : MIPModel
        With g columns.
    group : (n,)
        The column of `model` that each column of the original is part of.
    weight : (n,)
        What it adds there.
    first : (g,)
        The first of the columns that are one.
    """

    model: MIPModel
    group: IntArray
    weight: FloatArray
    first: IntArray

    def reduce(self, values: FloatArray) -> FloatArray:
        """Return a point of the original, (n,), in the columns of `model`, (g,)."""
        return np.bincount(self.group, self.weight * values, minlength=len(self.first)).astype(float)

    def restore(self, values: FloatArray) -> FloatArray:
        """Return a point of `model`, (g,), in the columns of the original, (n,)."""
        size = np.bincount(self.group, minlength=len(self.first))
        restored = values[self.group]
        merged = np.flatnonzero(size > 1)
        if not len(merged):
            return restored
        mine = np.flatnonzero(size[self.group] > 1)
        _, variable = np.unique(self.group[mine], return_inverse=True)
        counts = Counts(variable, self.weight[mine], np.zeros(len(merged)))
        restored[mine] = counts.columns(np.rint(values[merged]))
        return restored


def merged(model: MIPModel, counts: Counts | None) -> Merging:
    """Return the model with the columns of one count as one column, where they are alike.

    They are alike if every row, every product and the objective holds them with the same coefficient per
    unit. So it is unless products are linearised, a cut tells them apart, or a move of some has a price.

    Parameters
    ----------
    model
        Its first columns are those of `counts`.
    counts
        Which columns belong to one variable; None if there are none.
    """
    n = model.linear.n_columns
    if counts is None:
        return Merging(model, np.arange(n), np.ones(n), np.arange(n))
    same, weight = _same_as_before(model, counts), np.ones(n)
    weight[: len(counts.weight)] = counts.weight
    for _ in range(2):
        group = np.cumsum(~same) - 1
        first = np.flatnonzero(~same)
        # Of weights 4 and 8 alone, no sum is 1: only with all lighter columns are they one whole column.
        lone = same & (weight > 1.0) & (weight[first[group]] > 1.0)
        same = same & ~lone
    weight[np.bincount(group)[group] == 1] = 1.0
    linear = model.linear
    integer = np.zeros(n, dtype=bool) if linear.integer is None else linear.integer
    together = np.bincount(group) > 1
    lower, upper = linear.lower[first], linear.upper[first]
    whole = together[group]
    for bound, given in ((lower, linear.lower), (upper, linear.upper)):
        total = np.bincount(group[whole], (weight * given)[whole], minlength=len(first))
        bound[together] = total[together]
    smaller = replace(
        linear,
        objective=linear.objective[first],
        matrix=sparse.csr_array(sparse.csc_array(linear.matrix)[:, first]),
        lower=lower,
        upper=upper,
        integer=integer[first],
    )
    terms = model.products
    if len(terms):
        mine = np.isin(terms.onloading, first)
        terms = replace(
            terms,
            row=terms.row[mine],
            onloading=group[terms.onloading[mine]],
            offloading=group[terms.offloading[mine]],
            coefficient=terms.coefficient[mine],
        )
    return Merging(replace(model, linear=smaller, products=terms), group, weight, first)


def _same_as_before(model: MIPModel, counts: Counts) -> BoolArray:
    """Return which columns are of the same variable as the one before them, and the same per unit, (n,)."""
    linear = model.linear
    n, n_x = linear.n_columns, len(counts.weight)
    weight = np.ones(n)
    weight[:n_x] = counts.weight
    matrix = sparse.csr_array(sparse.vstack([linear.matrix, _products_as_rows(model)], format="csr"))
    columns = sparse.csc_array(matrix)
    columns.sort_indices()
    size, owner = np.diff(columns.indptr), entry_rows(columns)
    value = columns.data / weight[owner]
    same = np.zeros(n, dtype=bool)
    same[1:n_x] = (counts.variable[1:] == counts.variable[:-1]) & (size[1:n_x] == size[: n_x - 1])
    cost = linear.objective / weight
    same[1:] &= _is_same(cost[1:], cost[:-1])
    entry = np.flatnonzero(same[owner])
    before = entry - size[owner[entry]]
    differs = columns.indices[entry] != columns.indices[before]
    differs |= ~_is_same(value[entry], value[before])
    same[owner[entry[differs]]] = False
    return same


def _is_same(one: FloatArray, other: FloatArray) -> BoolArray:
    return np.asarray(np.abs(one - other) <= _SAME * np.maximum(np.abs(one), np.abs(other)))


def _products_as_rows(model: MIPModel) -> sparse.csr_array:
    """Return a row for each pair of a row and a y that are in products, over the columns of x."""
    terms, n = model.products, model.linear.n_columns
    if not len(terms):
        return sparse.csr_array((0, n))
    where = np.where(terms.row == OBJECTIVE, model.linear.n_rows, terms.row)
    pairs, row = np.unique(where * n + terms.offloading, return_inverse=True)
    return sparse.csr_array((terms.coefficient, (row, terms.onloading)), shape=(len(pairs), n))
