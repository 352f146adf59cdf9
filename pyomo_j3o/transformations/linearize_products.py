"""The exact linear form of a model with products x·y, as a Pyomo model for any solver and any reader."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pyomo.common.modeling import unique_component_name
from pyomo.core.base.block import Block, BlockData
from pyomo.core.base.componentuid import ComponentUID
from pyomo.core.base.constraint import Constraint, ConstraintData
from pyomo.core.base.objective import Objective
from pyomo.core.base.set import Any as AnyIndex
from pyomo.core.base.set import Binary
from pyomo.core.base.transformation import Transformation, TransformationFactory
from pyomo.core.base.var import Var, VarData
from pyomo.core.expr.numeric_expr import LinearExpression
from pyomo.gdp import Disjunct
from pyomo.repn import generate_standard_repn
from scipy import sparse

from pyomo_j3o.core.problem import FloatArray, IntArray, Problem
from pyomo_j3o.errors import ModelError
from pyomo_j3o.modeling.annotate import OFFLOADING, ONLOADING, Roles, annotate, annotated
from pyomo_j3o.modeling.auxiliary import leave_home
from pyomo_j3o.modeling.compiler import assemble, read_model
from pyomo_j3o.modeling.inverse import Inverse
from pyomo_j3o.modeling.rewriting import Rewriting
from pyomo_j3o.presolve.linearize import Linearized, UnboundedProductError, sole_gates, substitute
from pyomo_j3o.presolve.tightening import implied_bounds
from pyomo_j3o.transformations.counted_products import (
    column_names,
    in_variables,
    integers_in_products,
    require_short,
)

#: What the new block is called, or the like if the model has a component of that name.
BLOCK = "j3o_linearized"


@TransformationFactory.register(
    "j3o.linearize_products",
    doc="Put linear rows in place of products of a binary and another variable; exact.",
)
class LinearizeProducts(Transformation):
    """Put linear rows in place of products x·y of a binary onloading variable and another variable; exact.

    ``apply_to(model)`` changes the model, ``create_using(model)`` a clone of it. Active constraints and the
    objective that hold a product are deactivated. What takes their place stands in one new block,
    `j3o_linearized`:

    ``constraints``, ``objective``
        Indexed by the name of the original.
    ``product``
        A new variable, indexed by the names of x and y, with the bounds of x·y; of a y that occurs only in
        products with one and the same x, and may be 0, y itself is the product.
    ``link_upper``, ``link_lower``
        ``product <= u x`` and ``product >= l x``, where l and u are the bounds of y, or what the rows imply
        if that is tighter. A side at 0 is a bound of the product already.
    ``mccormick_upper``, ``mccormick_lower``
        ``product <= y - l (1 - x)`` and ``product >= y - u (1 - x)``, of a new variable.
    ``unit``, ``count``
        An integer n in products is its least value and a sum of binary variables: of one for every step, if
        there are 32 steps at most between its bounds, and else with weights 1, 2, 4 and so on. The products
        are then those of y and of each of these, which are named n#1, n#2 and so on.
    ``onloading``
        A block with the same five for products of two onloading variables, one of them binary: its `product`
        is a new offloading variable, and the other factor has the place of y.

    These rows hold at a binary x exactly where the product has its value (McCormick 1976, DOI
    10.1007/BF01580665). So the values that any solver leaves in the variables of the original are a plan of
    the original, with the same objective. Everything else is left as it is, and a model without products
    altogether. Fixed variables and mutable Params count with the value that they have now.

    Raises
    ------
    ModelError
        As from the solver: the model does not compile, or a y in a product has no bound. Or an integer in a
        product has more than 1,000 steps between its bounds. The model is left as it was.

    Examples
    --------
    >>> import pyomo.environ as pyo
    >>> import pyomo_j3o
    >>> m = pyo.ConcreteModel()
    >>> m.x = pyo.Var(domain=pyo.Binary)
    >>> m.y = pyo.Var(bounds=(0, 3))
    >>> m.worth = pyo.Objective(expr=5 * m.x * m.y - m.x, sense=pyo.maximize)
    >>> pyo.TransformationFactory("j3o.linearize_products").apply_to(m)
    >>> print(m.j3o_linearized.objective["worth"].expr)
    - x + 5.0*y
    >>> print(m.j3o_linearized.link_upper["x", "y"].expr)
    y - 3.0*x  <=  0.0
    """

    def propagate_solution(self, linear_model: BlockData, original_model: BlockData) -> None:
        """Copy the values of the variables of `linear_model` to those of the model that it was made from.

        Parameters
        ----------
        linear_model
            What ``create_using(original_model)`` returned.
        original_model
            Its variables get the values and the stale flags.

        Raises
        ------
        ModelError
            If `linear_model` lacks one of the variables; no value is copied then.
        """
        copy_values(linear_model, original_model)

    def _apply_to(self, model: BlockData) -> None:
        read = read_model(model)
        rewriting = Rewriting(model, read.rows, read.columns, read.figures, strict=False)
        rewriting.products(both_sides=True)
        read = replace(read, rows=rewriting.rows, columns=rewriting.columns, figures=rewriting.figures)
        problem, inverse = assemble(read)
        nonlinear = [
            constraint
            for constraint in model.component_data_objects(Constraint, active=True)
            if not _is_linear(constraint.body)
        ]
        objective = next(model.component_data_objects(Objective, active=True))
        replaces_objective = not _is_linear(objective.expr)
        if not nonlinear and not replaces_objective:
            return
        require_short(problem, inverse)
        try:
            form, products = _linear_form(problem)
        except UnboundedProductError as error:
            raise error.named(inverse.offloading[error.offloading].name) from None
        names = column_names(problem, inverse)
        keys = _keys(products, names, inverse)

        block = Block(doc="the linear form of products x·y")
        model.add_component(unique_component_name(model, BLOCK), block)
        attach(block, "onloading", rewriting.auxiliary.blocks)
        columns = _add_products(block, keys, form, products, inverse)
        opened = _add_units(block, names, problem, inverse)
        _add_ties(block, keys, products, opened, columns, inverse)
        variables = [*inverse.onloading, *columns]
        linear = form.problem if inverse.counts is None else in_variables(form.problem, inverse.counts)
        if nonlinear:
            block.constraints = Constraint(
                AnyIndex,
                rule=_linear_rows(linear, nonlinear, inverse, variables),
                doc="in place of the constraint of that name",
            )
            for constraint in nonlinear:
                constraint.deactivate()
        if replaces_objective:
            costs = np.concatenate([linear.onloading_objective, linear.offloading_objective])
            constant = problem.sense * linear.objective_constant
            block.objective = Objective(
                AnyIndex,
                rule={objective.name: _sum(problem.sense * costs, variables, constant)},
                sense=objective.sense,
                doc="in place of the objective of that name",
            )
            objective.deactivate()

    def _create_using(self, model: BlockData) -> BlockData:
        linear = model.clone()
        self._apply_to(linear)
        return linear


def attach(parent: BlockData, name: str, blocks: Iterable[Block]) -> None:
    """Move the one block of some, if there is one, from a model of its own into another, marks and all.

    Parameters
    ----------
    parent
        In the model of the user; it gets the block under this name.
    name
        Of the new component.
    blocks
        As in `Auxiliary`.
    """
    for block in blocks:
        roles = Roles(block)
        by_role: dict[str | None, list[VarData]] = {}
        for variable in block.component_data_objects(Var):
            by_role.setdefault(roles.of(variable), []).append(variable)
        leave_home(block)
        parent.add_component(name, block)
        annotate(parent, by_role.get(ONLOADING, ()), by_role.get(OFFLOADING, ()))


def copy_values(changed_model: BlockData, original_model: BlockData) -> None:
    """Copy values and stale flags of variables from a model that a transformation made to the original.

    Parameters
    ----------
    changed_model
        What ``create_using(original_model)`` returned.
    original_model
        Its variables get the values.

    Raises
    ------
    ModelError
        If `changed_model` lacks one of the variables; no value is copied then.
    """
    pairs = []
    for original in _own_variables(original_model):
        changed = ComponentUID(original, context=original_model).find_component_on(changed_model)
        if changed is None or not set(original) <= set(changed):
            raise ModelError(
                f"variable '{original.name}' is not in model '{changed_model.name}'; pass what "
                "create_using() returned, and the model that was given to it"
            )
        pairs += [(changed[index], variable) for index, variable in original.items()]
    for source, target in pairs:
        target.set_value(source.value, skip_validation=True)
        target.stale = source.stale


def _own_variables(model: BlockData) -> Iterable[Var]:
    """Return the Vars of a model, without those that only refer to others."""
    containers = model.component_objects(Var, descend_into=(Block, Disjunct))
    return (container for container in containers if not container.is_reference())


def _is_linear(expression: Any) -> bool:
    """Return whether any solver takes the expression for linear.

    That is asked without the values of Params: HiGHS does not take ``p * x * y`` at p = 0 for linear, either.
    """
    return bool(generate_standard_repn(expression, compute_values=False, quadratic=False).is_linear())


@dataclass(frozen=True, slots=True)
class _Products:
    """Every product x·y with the column that holds it, and the bounds that it needs; all arrays (P,).

    Attributes
    ----------
    onloading, offloading, column
        Indices of x, y and of the column of the linear form: y itself, or a new one.
    lower, upper
        Of the product where x is 1.
    own_lower, own_upper
        Of y.
    """

    onloading: IntArray
    offloading: IntArray
    column: IntArray
    lower: FloatArray
    upper: FloatArray
    own_lower: FloatArray
    own_upper: FloatArray


def _linear_form(problem: Problem) -> tuple[Linearized, _Products]:
    """Return the problem with a column per product, and what ties these to x as tightly as the rows allow."""
    # Behind a closed x a column is 0. As it is the user's own variable here, that has to be a value of it.
    may_be_0 = (problem.offloading_lower <= 0) & (problem.offloading_upper >= 0)
    form = substitute(problem, np.where(may_be_0, sole_gates(problem), -1))
    gated = np.flatnonzero(form.gate >= 0)
    x = np.concatenate([form.gate[gated], form.pair_x])
    y = np.concatenate([gated, form.pair_y])
    column = np.concatenate([gated, problem.n_offloading + np.arange(len(form.pair_y))])
    lower, upper = implied_bounds(form.problem)
    for side, bound in (("lower", lower), ("upper", upper)):
        missing = y[~np.isfinite(bound[y])]
        if len(missing):
            raise UnboundedProductError(int(missing.min()), side)
    # At x = 1 product and y are the same, and so are their bounds.
    low, high = np.maximum(lower[column], lower[y]), np.minimum(upper[column], upper[y])
    return form, _Products(x, y, column, low, high, lower[y], upper[y])


def _add_units(block: Block, names: list[str], problem: Problem, inverse: Inverse) -> list[VarData]:
    """Add the binary variables of the integers in products; return the variable of every column of x."""
    opened = list(inverse.variable_of_column)
    counts = inverse.counts
    wanted = np.zeros(0, dtype=np.int64) if counts is None else integers_in_products(problem, counts)
    if counts is None or not len(wanted):
        return opened
    columns = np.flatnonzero(np.isin(counts.variable, wanted))
    block.unit = Var([names[i] for i in columns], domain=Binary, doc="what integers in products are made of")
    if annotated(block):
        annotate(block, onloading=block.unit)
    for i in columns:
        opened[i] = block.unit[names[i]]
    rows = {}
    for v in wanted:
        mine = np.flatnonzero(counts.variable == v)
        body = _sum([1, *-counts.weight[mine]], [inverse.onloading[v], *(opened[i] for i in mine)])
        rows[inverse.onloading[v].name] = _within(body, counts.base[v], counts.base[v])
    block.count = Constraint(AnyIndex, rule=rows, doc="the integer is its least value and its units")
    return opened


def _keys(products: _Products, names: list[str], inverse: Inverse) -> list[tuple[str, str]]:
    """Return the index of every product in the new block."""
    keys = [
        (names[i], inverse.offloading[j].name)
        for i, j in zip(products.onloading, products.offloading, strict=True)
    ]
    if len(set(keys)) < len(keys):
        raise ModelError(
            "variables of several models have the same name; make these models blocks of the one to transform"
        )
    return keys


def _add_products(
    block: Block, keys: list[tuple[str, str]], form: Linearized, products: _Products, inverse: Inverse
) -> list[VarData]:
    """Add a variable for every product that needs one, and return the variable of every column."""
    n_gated = len(keys) - len(form.pair_x)
    new = keys[n_gated:]
    if not new:
        return inverse.offloading
    lower = np.minimum(products.lower[n_gated:], 0.0).tolist()
    upper = np.maximum(products.upper[n_gated:], 0.0).tolist()
    bounds = dict(zip(new, zip(lower, upper, strict=True), strict=True))
    block.product = Var(new, bounds=bounds, doc="x·y, by the names of x and y")
    # A mark on a model that has none would make its other variables unmarked ones.
    if annotated(block):
        annotate(block, offloading=block.product)
    return [*inverse.offloading, *(block.product[key] for key in new)]


#: The rows that tie a product to its factors.
_TIES = {
    "link_upper": "x·y <= u x",
    "link_lower": "x·y >= l x",
    "mccormick_upper": "x·y <= y - l (1 - x)",
    "mccormick_lower": "x·y >= y - u (1 - x)",
}


def _add_ties(
    block: Block,
    keys: list[tuple[str, str]],
    products: _Products,
    opened: list[VarData],
    columns: list[VarData],
    inverse: Inverse,
) -> None:
    """Add the rows that tie every product to its x and, if it has a variable of its own, to its y."""
    ties: dict[str, dict[tuple[str, str], tuple[Any, ...]]] = {name: {} for name in _TIES}
    numbers = (products.lower, products.upper, products.own_lower, products.own_upper)
    for key, i, j, k, lower, upper, own_lower, own_upper in zip(
        keys, products.onloading, products.offloading, products.column, *numbers, strict=True
    ):
        x, y, product = opened[i], inverse.offloading[j], columns[k]
        if upper != 0:
            ties["link_upper"][key] = _within(_sum([1, -upper], [product, x]), -np.inf, 0)
        if lower != 0:
            ties["link_lower"][key] = _within(_sum([1, -lower], [product, x]), 0, np.inf)
        if product is not y:
            three = [product, y, x]
            ties["mccormick_upper"][key] = _within(_sum([1, -1, -own_lower], three), -np.inf, -own_lower)
            ties["mccormick_lower"][key] = _within(_sum([1, -1, -own_upper], three), -own_upper, np.inf)
    for name, rows in ties.items():
        if rows:
            block.add_component(name, Constraint(AnyIndex, rule=rows, doc=_TIES[name]))


def _linear_rows(
    linear: Problem, constraints: list[ConstraintData], inverse: Inverse, variables: list[VarData]
) -> dict[str, tuple[Any, ...]]:
    """Return what takes the place of `constraints`, by name: nothing for one whose terms all cancel."""
    matrix = sparse.csr_array(sparse.hstack([linear.onloading_rows, linear.offloading_rows], format="csr"))
    number = {id(constraint): row for row, constraint in enumerate(inverse.rows)}
    rows = {}
    for constraint in constraints:
        row = number.get(id(constraint))
        if row is not None:
            here = slice(matrix.indptr[row], matrix.indptr[row + 1])
            body = _sum(matrix.data[here], [variables[column] for column in matrix.indices[here]])
            rows[constraint.name] = _within(body, linear.row_lower[row], linear.row_upper[row])
    return rows


def _sum(
    coefficients: Iterable[float], variables: Iterable[VarData], constant: float = 0.0
) -> LinearExpression:
    """Return ``constant + coefficients @ variables`` without the terms that are 0."""
    terms = [
        (float(coefficient), variable)
        for coefficient, variable in zip(coefficients, variables, strict=True)
        if coefficient
    ]
    return LinearExpression(
        constant=constant + 0.0,  # turns -0.0 into 0.0
        linear_coefs=[coefficient for coefficient, _ in terms],
        linear_vars=[variable for _, variable in terms],
    )


def _within(body: LinearExpression, lower: float, upper: float) -> tuple[Any, ...]:
    """Return the row ``lower <= body <= upper`` as Pyomo takes it."""
    if lower == upper:
        return (body, float(upper))
    sides = [float(side) + 0.0 if np.isfinite(side) else None for side in (lower, upper)]
    return (sides[0], body, sides[1])
