"""The numbers of the rows of a Pyomo model as arrays, before variables that are fixed become constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
from pyomo.core.expr.visitor import identify_mutable_parameters, identify_variables

from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Products
from pyomo_j3o.errors import ModelError
from pyomo_j3o.modeling.columns import Columns, Positions
from pyomo_j3o.modeling.naming import called, float_or_nan, require_number
from pyomo_j3o.modeling.param_values import param_without_number
from pyomo_j3o.modeling.rows import Rows

#: Rows are computed with where their figures are within these: what is divided by the smallest, and the
#: product of three of the largest, are numbers still.
_SMALLEST_FIGURE, _LARGEST_FIGURE = 1e-300, 1e100


@dataclass(frozen=True, slots=True)
class Linear:
    """Terms ``coefficient * variable[column]`` of a row; all arrays of one length."""

    row: IntArray
    column: IntArray
    coefficient: FloatArray

    def where(self, mask: BoolArray) -> Linear:
        """Return the terms of a mask."""
        return Linear(self.row[mask], self.column[mask], self.coefficient[mask])

    def and_also(self, row: IntArray, column: IntArray, coefficient: FloatArray) -> Linear:
        """Return these terms and some more, in the order of the rows."""
        row = np.concatenate([self.row, row])
        order = np.argsort(row, kind="stable")
        return Linear(
            row[order],
            np.concatenate([self.column, column])[order],
            np.concatenate([self.coefficient, coefficient])[order],
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers of the R rows and, as the last owner of terms, of the objective.

    Attributes
    ----------
    constant : (R + 1,)
    linear, products
        Terms in positions of `Columns.variables`, in the order of the rows.
    lower, upper : (R,)
        Sides of the rows.
    """

    constant: FloatArray
    linear: Linear
    products: Products
    lower: FloatArray
    upper: FloatArray

    @classmethod
    def of(cls, rows: Rows, positions: Positions) -> Figures:
        """Return the terms of the rows as arrays; fixed variables are among them still.

        Parameters
        ----------
        rows
            Their terms are forgotten: the arrays say the same in less memory.
        positions
            Of the variables of the terms.
        """
        terms = rows.terms
        constant = _floats(terms.constant)
        linear = Linear(_owners(terms.linear_end), positions.linear, _floats(terms.coefficient))
        products = Products(
            _owners(terms.product_end),
            positions.first,
            positions.second,
            _floats(terms.product_coefficient),
        )
        lower, upper = np.array(rows.lower, dtype=float), np.array(rows.upper, dtype=float)
        terms.clear()
        return cls(constant, linear, products, lower, upper)

    def replaced(self, owners: IntArray, new: Figures) -> Figures:
        """Return the figures in which some owners of terms, rows or the objective, have others.

        Parameters
        ----------
        owners
            Numbers of the owners, ascending.
        new
            Their figures, in this order.
        """
        constant, lower, upper = self.constant.copy(), self.lower.copy(), self.upper.copy()
        constant[owners] = new.constant
        rows = owners[: len(new.lower)]
        lower[rows], upper[rows] = new.lower, new.upper
        stay = np.ones(len(constant), dtype=bool)
        stay[owners] = False
        kept, also = self.linear.where(stay[self.linear.row]), new.linear
        row = np.concatenate([kept.row, owners[also.row]])
        order = np.argsort(row, kind="stable")
        linear = Linear(
            row[order],
            np.concatenate([kept.column, also.column])[order],
            np.concatenate([kept.coefficient, also.coefficient])[order],
        )
        mine = stay[self.products.row]
        row = np.concatenate([self.products.row[mine], owners[new.products.row]])
        order = np.argsort(row, kind="stable")
        products = Products(
            row[order],
            np.concatenate([self.products.onloading[mine], new.products.onloading])[order],
            np.concatenate([self.products.offloading[mine], new.products.offloading])[order],
            np.concatenate([self.products.coefficient[mine], new.products.coefficient])[order],
        )
        return Figures(constant, linear, products, lower, upper)

    @property
    def positions(self) -> Positions:
        """The positions of the variables of the terms."""
        return Positions(self.linear.column, self.products.onloading, self.products.offloading)

    def require_usable(self, rows: Rows) -> None:
        """Raise a `ModelError` if a number is NaN, infinite, or of a size that cannot be computed with."""
        _require_finite(rows, self)
        _require_sizes(rows, self)

    def without_fixed(self, columns: Columns) -> Figures:
        """Return the figures with the values of fixed variables put in."""
        if not columns.fixed.any():
            return self
        constant, linear, products = _without_fixed(self.constant, self.linear, self.products, columns)
        return replace(self, constant=constant, linear=linear, products=products)


def _owners(end: Sequence[int]) -> IntArray:
    """Return the owner of every term, given where the terms of each owner end."""
    ends: IntArray = np.array(end, dtype=np.int64)
    return np.repeat(np.arange(len(end)), ends - np.append(0, ends[:-1]))


def _without_fixed(
    constant: FloatArray, linear: Linear, products: Products, columns: Columns
) -> tuple[FloatArray, Linear, Products]:
    """Put in the values of fixed variables: products become linear terms, and these constants."""
    if len(products):
        swap = columns.fixed[products.offloading] & ~columns.fixed[products.onloading]
        first = np.where(swap, products.offloading, products.onloading)
        second = np.where(swap, products.onloading, products.offloading)
        held = columns.fixed[first]
        linear = Linear(
            np.concatenate([linear.row, products.row[held]]),
            np.concatenate([linear.column, second[held]]),
            np.concatenate([linear.coefficient, products.coefficient[held] * columns.value[first[held]]]),
        )
        products = Products(products.row[~held], first[~held], second[~held], products.coefficient[~held])
    held = columns.fixed[linear.column]
    known = linear.where(held)
    sums = np.bincount(known.row, known.coefficient * columns.value[known.column], minlength=len(constant))
    return constant + sums, linear.where(~held), products


def _require_finite(rows: Rows, figures: Figures) -> None:
    """Raise if a number of the rows is NaN or infinite; open bounds may be."""
    linear, products, lower, upper = figures.linear, figures.products, figures.lower, figures.upper
    strange = np.concatenate(
        [
            np.flatnonzero(~np.isfinite(figures.constant)),
            linear.row[~np.isfinite(linear.coefficient)],
            products.row[~np.isfinite(products.coefficient)],
            np.flatnonzero(np.isnan(lower) | np.isnan(upper) | (lower == inf) | (upper == -inf)),
        ]
    )
    if not len(strange):
        return
    owner = rows.owner(strange.min())
    expression = owner.expr if hasattr(owner, "expr") else owner.body
    for variable in identify_variables(expression, include_fixed=True):
        if variable.fixed:
            require_number(variable, "is fixed at", "fix it at a number")
    cause = param_without_number(expression)
    if cause is not None:
        raise ModelError(f"{called(owner)} cannot be evaluated: {cause}")
    for parameter in identify_mutable_parameters(expression):
        require_number(parameter, "is", "give it a finite value")
    raise ModelError(
        f"{called(owner)} holds a coefficient, a constant or a bound that is not finite; "
        "look for nan and inf in it"
    )


def _require_sizes(rows: Rows, figures: Figures) -> None:
    """Raise if a figure of a constraint is too large or too small to compute with."""
    linear, products, n_rows = figures.linear, figures.products, len(figures.lower)
    row = np.concatenate([linear.row, products.row, np.tile(np.arange(n_rows), 3)])
    sides = [figures.lower, figures.upper, figures.constant[:n_rows]]
    figure = np.abs(np.concatenate([linear.coefficient, products.coefficient, *sides]))
    known = np.isfinite(figure) & (figure > 0) & (row < n_rows)
    strange = np.flatnonzero(known & ((figure > _LARGEST_FIGURE) | (figure < _SMALLEST_FIGURE)))
    if len(strange):
        raise ModelError(
            f"{called(rows.owner(row[strange[0]]))} holds a figure of {figure[strange[0]]:.3g}, outside of "
            f"{_SMALLEST_FIGURE:g} to {_LARGEST_FIGURE:g}, within which rows are computed; write it in other "
            "units, or leave it out if it limits nothing"
        )


def _floats(numbers: Sequence[Any]) -> FloatArray:
    """Return `numbers` as an array, NaN in place of what is too large or no real number."""
    try:
        return np.array(numbers, dtype=float)
    except (TypeError, ValueError, OverflowError):
        return np.array([float_or_nan(number) for number in numbers])
