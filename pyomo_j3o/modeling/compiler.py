"""From a Pyomo model to the arrays of a `Problem`; `inverse` is the way back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pyomo.common.gc_manager import PauseGC
from pyomo.core.base.block import BlockData
from pyomo.core.kernel.block import IBlock
from scipy import sparse

from pyomo_j3o.core.counting import in_columns
from pyomo_j3o.core.counts import Counts
from pyomo_j3o.core.deadline import NEVER, Deadline
from pyomo_j3o.core.problem import (
    OBJECTIVE,
    Batches,
    BoolArray,
    FloatArray,
    IntArray,
    Problem,
    Products,
    larger_end,
)
from pyomo_j3o.errors import ModelError, TriviallyInfeasibleError, UnsupportedTermError
from pyomo_j3o.modeling.annotate import OFFLOADING, ONLOADING, Roles
from pyomo_j3o.modeling.auxiliary import Auxiliary
from pyomo_j3o.modeling.batching_window import BatchingWindowData, filled_windows
from pyomo_j3o.modeling.columns import Columns, slack
from pyomo_j3o.modeling.expressions import value_of_fixed
from pyomo_j3o.modeling.figures import Figures, Linear
from pyomo_j3o.modeling.inverse import Inverse
from pyomo_j3o.modeling.naming import called, the_model
from pyomo_j3o.modeling.rates import Rate
from pyomo_j3o.modeling.rewriting import Rewriting, needs_rewriting
from pyomo_j3o.modeling.rows import (
    LINEARITY,
    WHOLE,
    Rows,
    Selection,
    active_objective,
    read_rows,
    require_understood,
)

#: An objective that can be larger than this leaves no room for what is computed with it.
_LARGEST_SUM = 1e305


def compile_model(
    model: BlockData, strict: bool = False, deadline: Deadline = NEVER
) -> tuple[Problem, Inverse]:
    """Turn a Pyomo model into arrays; the model is left as it is.

    Parameters
    ----------
    model
        The model or block. Variables may live outside of it.
    strict
        Whether a model without any annotation is an error. Otherwise its binary variables are
        taken as onloading, the continuous ones as offloading, and a notice is logged.
    deadline
        When to end.

    Returns
    -------
    Problem
        Maximised, one row per active constraint in the order of the model. Variables appear in the
        order of their declaration.
    Inverse
        Takes values, duals and reduced costs back to the model.

    Raises
    ------
    AnnotationError
        If a free variable is not marked, or its domain does not go with its mark.
    UnsupportedTermError
        If an expression is not linear in the offloading variables once the onloading ones are fixed.
    TriviallyInfeasibleError
        If constants alone violate a constraint, or the bounds of a variable cross.
    ModelError
        If there is not exactly one active objective, an active component is of a kind that j3o does
        not know, or a number is missing or not finite.
    OutOfTime
        If the time is over before the arrays are complete.
    """
    if not isinstance(model, BlockData):
        kind = type(model).__name__ + (" of pyomo.kernel" if isinstance(model, IBlock) else "")
        raise ModelError(
            f"an object of type {kind} cannot be solved; pass a ConcreteModel or a member of a Block"
        )
    if not model.is_constructed():
        raise ModelError(
            f"{the_model(model)} is abstract; call create_instance() and solve what that returns"
        )
    with PauseGC():
        read = rewritten(read_model(model, strict, deadline), strict)
        deadline.require()
        return assemble(read)


@dataclass(frozen=True, slots=True)
class Read:
    """A Pyomo model, read: what its arrays are made from.

    Attributes
    ----------
    model
        The model or block.
    rows
        Its rows; their terms are in `figures`.
    columns
        Its variables.
    figures
        The numbers of the rows, fixed variables still in.
    windows
        Each batching window, and the rates of its arrivals.
    auxiliary
        What was added to the model; None if nothing was, or not yet.
    """

    model: BlockData
    rows: Rows
    columns: Columns
    figures: Figures
    windows: list[tuple[BatchingWindowData, dict[Any, Rate]]]
    auxiliary: Auxiliary | None = None


def read_model(
    model: BlockData, strict: bool = False, deadline: Deadline = NEVER, selection: Selection = WHOLE
) -> Read:
    """Read a Pyomo model as it is; parameters and errors are those of `compile_model`.

    Parameters
    ----------
    selection
        Which rows, and which objective.
    """
    require_model(model)
    require_understood(model)
    objective = active_objective(model, selection.objective)
    # Before their rows are read: what is wrong with them is best said of the window.
    windows = rates_of_windows(model)
    rows = read_rows(selection.constraints(model), objective, deadline)
    columns = Columns(model, rows.terms, strict, deadline)
    return Read(model, rows, columns, Figures.of(rows, columns.positions), windows)


def rewritten(read: Read, strict: bool = False) -> Read:
    """Return a model with its products of two onloading variables, and its sets, in a linear form.

    What is added lives outside of the user's model, which stays as it is.
    """
    if not needs_rewriting(read.model, read.columns, read.figures):
        return read
    rewriting = Rewriting(read.model, read.rows, read.columns, read.figures, strict)
    rewriting.products()
    rewriting.sets()
    rewriting.hold_values()
    return replace(
        read,
        rows=rewriting.rows,
        columns=rewriting.columns,
        figures=rewriting.figures,
        auxiliary=rewriting.auxiliary if rewriting.auxiliary.blocks else None,
    )


def require_model(model: Any) -> None:
    """Raise a `ModelError` unless it is a model, or a block, of numbers."""
    if not isinstance(model, BlockData):
        kind = type(model).__name__ + (" of pyomo.kernel" if isinstance(model, IBlock) else "")
        raise ModelError(
            f"an object of type {kind} cannot be solved; pass a ConcreteModel or a member of a Block"
        )
    if not model.is_constructed():
        raise ModelError(
            f"{the_model(model)} is abstract; call create_instance() and solve what that returns"
        )


def rates_of_windows(model: BlockData) -> list[tuple[BatchingWindowData, dict[Any, Rate]]]:
    """Return each batching window of the model with the rates of its arrivals."""
    return [(window, window.current_rates()) for window in filled_windows(model, warn_of_empty=True)]


def assemble(read: Read) -> tuple[Problem, Inverse]:
    """Make the Problem, and the way back, from a model that was read.

    Parameters
    ----------
    read
        The model.
    """
    model, rows, columns = read.model, read.rows, read.columns
    read.figures.require_usable(rows)
    figures = read.figures.without_fixed(columns)
    figures = replace(figures, products=_as_onloading_times_offloading(figures.products, rows, columns))
    constant, linear, products = figures.constant, figures.linear, figures.products
    n_owners = len(constant)
    objective = n_owners - 1
    onloading = _matrix(linear, columns.onloading, n_owners, columns)
    offloading = _matrix(linear, columns.offloading, n_owners, columns)
    entries = np.diff(onloading.indptr) + np.diff(offloading.indptr)
    entries += np.bincount(products.row, minlength=n_owners)
    keep = np.flatnonzero(entries[:objective])
    lower, upper = _bounds_without_constants(rows, figures, entries[:objective])

    # The last entry is the objective's new row number, and so OBJECTIVE.
    new_row = np.full(n_owners, OBJECTIVE, dtype=np.int64)
    new_row[keep] = np.arange(len(keep))
    onloading_lower, onloading_upper = columns.onloading_bounds(columns.onloading)
    offloading_lower, offloading_upper = columns.offloading_bounds(columns.offloading)
    problem = Problem(
        onloading_objective=onloading[[objective]].toarray()[0],
        offloading_objective=offloading[[objective]].toarray()[0],
        objective_constant=float(constant[objective]),
        onloading_rows=onloading[keep],
        offloading_rows=offloading[keep],
        row_lower=lower[keep],
        row_upper=upper[keep],
        onloading_lower=onloading_lower,
        onloading_upper=onloading_upper,
        offloading_lower=offloading_lower,
        offloading_upper=offloading_upper,
        products=Products(
            new_row[products.row],
            _numbered(columns.onloading, columns)[products.onloading],
            _numbered(columns.offloading, columns)[products.offloading],
            products.coefficient,
        ),
        sense=rows.sense,
    )
    _require_sums(problem, rows.owner(objective))
    inverse = _inverse(model, rows, columns, entries[:objective])
    if read.auxiliary is not None:
        inverse = inverse.with_auxiliary(read.auxiliary, columns)
    counts = Counts.of(onloading_lower, onloading_upper)
    if counts is not None:
        problem, inverse = in_columns(problem, counts), inverse.in_columns(counts)
    return (_with_batches(problem, inverse, read.windows) if read.windows else problem), inverse


def _inverse(model: BlockData, rows: Rows, columns: Columns, entries: IntArray) -> Inverse:
    """Return the way back to the model, given the number of entries of each constraint, (R,)."""
    return Inverse(
        model=model,
        onloading=[columns.variables[i] for i in columns.onloading],
        offloading=[columns.variables[i] for i in columns.offloading],
        rows=[rows.constraints[i] for i in np.flatnonzero(entries)],
        constant_rows=[rows.constraints[i] for i in np.flatnonzero(entries == 0)],
        idle=[columns.variables[i] for i in columns.idle],
        idle_values=columns.idle_values(),
        sense=rows.sense,
        met=_in_order_of_rows(columns),
    )


def _in_order_of_rows(columns: Columns) -> IntArray:
    """Return the columns of (x, y) in the order of their first linear term."""
    place = _numbered(np.concatenate([columns.onloading, columns.offloading]), columns)
    positions, first = np.unique(columns.positions.linear, return_index=True)
    met = place[positions[np.argsort(first)]]
    return met[met >= 0]


def _with_batches(
    problem: Problem, inverse: Inverse, windows: list[tuple[BatchingWindowData, dict[Any, Rate]]]
) -> Problem:
    """Return the problem that knows which of its columns and rows are batches."""
    row_of = {id(constraint): i for i, constraint in enumerate(inverse.rows)}
    x_of = {id(variable): i for i, variable in enumerate(inverse.variable_of_column)}
    y_of = {id(variable): i for i, variable in enumerate(inverse.offloading)}
    indicator: list[int] = []
    row: list[int] = []
    constant: list[float] = []
    entries: tuple[list[int], list[int], list[float]] = ([], [], [])
    for window, rates in windows:
        capacity = row_of.get(id(window.capacity))
        for key, rate in rates.items():
            z = x_of.get(id(window.used[key]))
            if z is None or capacity is None:
                continue  # fixed or deactivated: an ordinary row
            arriving = rate.constant
            for variable, coefficient in zip(rate.variables, rate.coefficients, strict=True):
                if variable.fixed:
                    arriving += coefficient * value_of_fixed(variable)
                elif coefficient != 0.0:
                    y = y_of.get(id(variable))
                    if y is None:
                        rate.require_offloading(Roles(inverse.model))
                        continue  # it is in no other row, so nothing opens or closes it
                    entries[0].append(len(indicator))
                    entries[1].append(y)
                    entries[2].append(coefficient)
            indicator.append(z)
            row.append(capacity)
            constant.append(arriving)
    if not indicator:
        return problem
    arrivals = sparse.csr_array(
        (entries[2], (entries[0], entries[1])), shape=(len(indicator), problem.n_offloading), dtype=float
    )
    return replace(
        problem,
        batches=Batches(np.array(indicator), np.array(row), arrivals, np.array(constant, dtype=float)),
    )


def _as_onloading_times_offloading(products: Products, rows: Rows, columns: Columns) -> Products:
    """Order the factors of every product, sum those that are alike, and raise if one has another shape."""
    if not len(products):
        return products
    first, second = products.onloading, products.offloading
    swap = columns.is_onloading[second] & ~columns.is_onloading[first]
    # Of two factors of one kind either may come first; which one must not depend on how it was written.
    swap |= (columns.is_onloading[second] == columns.is_onloading[first]) & (second < first)
    products = _merged(
        products.row, np.where(swap, second, first), np.where(swap, first, second), products.coefficient
    )
    wrong = columns.is_onloading[products.onloading] == columns.is_onloading[products.offloading]
    for i in np.flatnonzero(wrong)[:1]:
        one, other = products.onloading[i], products.offloading[i]
        kind = ONLOADING if columns.is_onloading[one] else OFFLOADING
        names = f"{columns.variables[one].name}*{columns.variables[other].name}"
        raise UnsupportedTermError(
            f"{called(rows.owner(products.row[i]))} holds the term {names}, "
            f"a product of two {kind} variables; {LINEARITY}"
        )
    return products


def _merged(row: IntArray, first: IntArray, second: IntArray, coefficient: FloatArray) -> Products:
    """Sum the coefficients of equal triples, and drop the zeros."""
    pair = row * (first.max() + 1) + first

    def is_new() -> BoolArray:
        return (pair[1:] != pair[:-1]) | (second[1:] != second[:-1])

    if not np.all((pair[1:] > pair[:-1]) | ((pair[1:] == pair[:-1]) & (second[1:] > second[:-1]))):
        order = np.lexsort((second, pair))
        row, first, second, coefficient = row[order], first[order], second[order], coefficient[order]
        pair = pair[order]
        start = np.flatnonzero(np.concatenate([[True], is_new()]))
        row, first, second = row[start], first[start], second[start]
        coefficient = np.add.reduceat(coefficient, start)
    there = coefficient != 0
    return Products(row[there], first[there], second[there], coefficient[there])


def _numbered(positions: IntArray, columns: Columns) -> IntArray:
    """Return the place of each variable among `positions`, -1 for the others."""
    place = np.full(len(columns.variables), -1, dtype=np.int64)
    place[positions] = np.arange(len(positions))
    return place


def _matrix(linear: Linear, positions: IntArray, n_rows: int, columns: Columns) -> sparse.csr_array:
    """Return the terms in the variables at `positions` as a matrix without duplicates and zeros."""
    column = _numbered(positions, columns)[linear.column]
    mine = column >= 0
    small = np.int32 if max(n_rows, len(column)) < 2**31 else np.int64
    coordinates = linear.row[mine].astype(small), column[mine].astype(small)
    matrix = sparse.coo_array((linear.coefficient[mine], coordinates), shape=(n_rows, len(positions))).tocsr()
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def _bounds_without_constants(
    rows: Rows, figures: Figures, entries: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Move the constants from the bodies to the bounds; raise for a row that nothing can satisfy."""
    lower, upper, constant = figures.lower, figures.upper, figures.constant[:-1]
    for i in np.flatnonzero(lower > upper + slack(lower, upper))[:1]:
        raise TriviallyInfeasibleError(
            f"{called(rows.constraints[i])} has bounds that cross, {lower[i]} and {upper[i]}; mend them"
        )
    missed = (constant < lower - slack(lower, constant)) | (constant > upper + slack(upper, constant))
    for i in np.flatnonzero(missed & (entries == 0))[:1]:
        raise TriviallyInfeasibleError(
            f"{called(rows.constraints[i])} has no free variable left, and its body, {constant[i]}, is not "
            f"between {lower[i]} and {upper[i]}; unfix a variable or change a Param"
        )
    return _minus_constant(np.minimum(lower, upper), constant), _minus_constant(upper, constant)


def _minus_constant(side: FloatArray, constant: FloatArray) -> FloatArray:
    """Return ``side - constant`` without the noise of that difference: 10.3 - 10 is 0.3."""
    left = side - constant
    noise = 4.0 * np.spacing(np.maximum(np.abs(np.where(np.isfinite(side), side, 0.0)), np.abs(constant)))
    clean = left.copy()
    open_still = np.isfinite(left) & (constant != 0.0)
    if not open_still.any():
        return left
    left = np.where(open_still, left, 0.0)
    for decimals in range(13):
        rounded = np.round(left, decimals)
        near = open_still & (np.abs(rounded - left) <= noise)
        clean[near] = rounded[near]
        open_still &= ~near
    return clean


def _require_sums(problem: Problem, owner: Any) -> None:
    """Raise if the objective of some plan is larger than floating-point numbers are."""
    terms = problem.products
    mine = terms.row == OBJECTIVE
    reach = np.maximum(1.0, larger_end(problem.offloading_lower, problem.offloading_upper))
    with np.errstate(over="ignore"):
        total = np.abs(problem.onloading_objective).sum()
        total += np.abs(problem.offloading_objective) @ reach
        total += np.abs(terms.coefficient[mine]) @ reach[terms.offloading[mine]]
    if total > _LARGEST_SUM:
        raise ModelError(
            f"{called(owner)} can grow beyond what floating-point numbers hold; give its coefficients in a "
            "larger unit"
        )
