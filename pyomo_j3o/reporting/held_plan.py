"""The plan that a model holds, as arrays: its rows, and the values of its variables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from pyomo.common.gc_manager import PauseGC
from pyomo.core.base.block import BlockData
from pyomo.core.base.constraint import ConstraintData
from pyomo.core.base.objective import ObjectiveData
from pyomo.core.base.var import VarData
from scipy import sparse

from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Products
from pyomo_j3o.modeling.columns import Columns
from pyomo_j3o.modeling.compiler import Read, read_model


@dataclass(frozen=True, slots=True)
class Entries:
    """Terms of rows: coefficient times variable, without duplicates; all arrays of one length.

    Attributes
    ----------
    row, column
        Numbers of a row, R for the objective, and of a variable.
    coefficient
        Of the user's row. In a product it holds the value of the onloading factor.
    product
        Whether the term is a product with an onloading variable; `column` is the other factor.
    """

    row: IntArray
    column: IntArray
    coefficient: FloatArray
    product: BoolArray


@dataclass(frozen=True)
class HeldPlan:
    """The R rows and V variables of a model with their values.

    Attributes
    ----------
    constraints : (R,)
    objective
    sense
        +1 if it is maximised, -1 if it is minimised.
    variables : (V,)
    onloading, occurs : (V,)
        Whether a variable is onloading, and whether it is in a row or in the objective.
    value : (V,)
        NaN where there is none.
    constant : (R + 1,)
        Of the rows and the objective.
    matrix : (R + 1, V)
        Linear terms.
    products
        Products, their first factor the onloading one; row R is the objective.
    lower, upper : (R,)
        Sides of the rows.
    read
        The model, read: what its arrays are made from.
    """

    constraints: list[ConstraintData]
    objective: ObjectiveData
    sense: int
    variables: list[VarData]
    onloading: BoolArray
    occurs: BoolArray
    value: FloatArray
    constant: FloatArray
    matrix: sparse.csr_array
    products: Products
    lower: FloatArray
    upper: FloatArray
    read: Read

    @property
    def n_rows(self) -> int:
        """Number of rows, R."""
        return len(self.constraints)

    @property
    def missing(self) -> IntArray:
        """The variables that a row or the objective needs, and that hold no number."""
        return np.flatnonzero(self.occurs & np.isnan(self.value))

    @property
    def is_stale(self) -> bool:
        """Whether Pyomo says of every value that it is older than the last solve of any model."""
        return all(v.stale for i, v in enumerate(self.variables) if self.occurs[i] and not v.fixed)

    def holding(self, value: FloatArray) -> HeldPlan:
        """Return the same rows with other values, (V,)."""
        return replace(self, value=value)

    @cached_property
    def entries(self) -> Entries:
        """All terms of the rows and of the objective, products after the others."""
        linear, terms = self.matrix.tocoo(), self.products
        n_linear, n_products = len(linear.data), len(terms)
        return Entries(
            np.concatenate([linear.coords[0], terms.row]),
            np.concatenate([linear.coords[1], terms.offloading]),
            np.concatenate([linear.data, terms.coefficient * self.value[terms.onloading]]),
            np.arange(n_linear + n_products) >= n_linear,
        )

    @cached_property
    def bodies(self) -> FloatArray:
        """The value of every row's body and, last, of the objective, constants included; (R + 1,)."""
        terms = self.entries
        sums = np.bincount(terms.row, terms.coefficient * self.value[terms.column], minlength=self.n_rows + 1)
        return self.constant + sums

    @cached_property
    def sizes(self) -> FloatArray:
        """The sum of the absolute terms of every row, (R + 1,): what rounding of its body is measured by."""
        terms = self.entries
        size = np.abs(terms.coefficient * self.value[terms.column])
        return np.bincount(terms.row, size, minlength=self.n_rows + 1).astype(float)

    @property
    def objective_value(self) -> float:
        """The objective at these values, in the user's sense."""
        return float(self.bodies[-1]) + 0.0

    @cached_property
    def objective_terms(self) -> FloatArray:
        """What each variable adds to the objective, (V,); a product counts for its offloading factor."""
        terms = self.entries
        mine = terms.row == self.n_rows
        column = terms.column[mine]
        added = terms.coefficient[mine] * self.value[column]
        return np.bincount(column, added, minlength=len(self.variables)).astype(float)


def held_plan(model: BlockData) -> HeldPlan:
    """Read a model and the values that its variables hold; errors are those of `compile_model`."""
    with PauseGC():
        read = read_model(model)
        rows, columns, figures = read.rows, read.columns, read.figures
        figures.require_usable(rows)
        n_owners, n_variables = len(figures.constant), len(columns.variables)
        linear, products = figures.linear, figures.products
        # The objective is read for maximisation.
        sign = np.ones(n_owners)
        sign[-1] = rows.sense
        matrix = sparse.coo_array(
            (linear.coefficient * sign[linear.row], (linear.row, linear.column)),
            shape=(n_owners, n_variables),
        ).tocsr()
        matrix.eliminate_zeros()
        occurs = np.zeros(n_variables, dtype=bool)
        for positions in columns.positions:
            occurs[positions] = True
        onloading = _onloading(columns, occurs)
        swap = onloading[products.offloading] & ~onloading[products.onloading]
        return HeldPlan(
            constraints=rows.constraints,
            objective=rows.owner(n_owners - 1),
            sense=rows.sense,
            variables=columns.variables,
            onloading=onloading,
            occurs=occurs,
            value=values_held(columns.variables),
            constant=figures.constant * sign,
            matrix=matrix,
            products=Products(
                products.row,
                np.where(swap, products.offloading, products.onloading),
                np.where(swap, products.onloading, products.offloading),
                products.coefficient * sign[products.row],
            ),
            lower=figures.lower,
            upper=figures.upper,
            read=read,
        )


def _onloading(columns: Columns, occurs: BoolArray) -> BoolArray:
    """Return which variables are onloading; of one that is fixed and carries no mark, its domain says so."""
    onloading = np.asarray(columns.is_onloading).copy()
    held = np.flatnonzero(occurs & columns.fixed & ~onloading)
    onloading[held] = [not columns.variables[i].is_continuous() for i in held]
    return onloading


def values_held(variables: list[VarData]) -> FloatArray:
    """Return the values of variables, NaN where there is none."""
    values = [variable.value for variable in variables]
    try:
        return np.array(values, dtype=float)
    except (TypeError, ValueError):
        return np.array([np.nan if value is None else float(value) for value in values])
