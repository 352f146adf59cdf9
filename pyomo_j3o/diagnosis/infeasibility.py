"""`explain_infeasibility`: which rows and bounds of a model conflict, by name, and what would do instead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.block import BlockData
from pyomo.core.base.constraint import ConstraintData
from pyomo.core.expr.visitor import identify_variables

from pyomo_j3o.core.checks import is_number
from pyomo_j3o.core.problem import IntArray, Problem
from pyomo_j3o.diagnosis.conflicts import Finding, find_conflicts
from pyomo_j3o.diagnosis.explanation import (
    Conflict,
    ConflictingRow,
    Explanation,
    beyond_onloading_lines,
    component_of,
    named_conflict,
    table_lines,
)
from pyomo_j3o.errors import BackendError, ModelError, OptionError, TriviallyInfeasibleError
from pyomo_j3o.modeling.annotate import Roles
from pyomo_j3o.modeling.columns import TOLERANCE
from pyomo_j3o.modeling.compiler import compile_model
from pyomo_j3o.modeling.inverse import Inverse
from pyomo_j3o.presolve.linearize import UnboundedProductError

#: The log names this number of rows of a conflict.
_MOST_IN_LOG = 12


def explain_infeasibility(model: BlockData, time_limit: float = 60.0, most: int = 3) -> Explanation:
    """Name the rows and bounds that leave a model without a plan, and what each would have to be.

    Parameters
    ----------
    model
        Annotated like one that is solved; nothing of it is changed, values included.
    time_limit
        In seconds. What was found by then is returned, and says what it does not prove.
    most
        The largest number of conflicts to name.

    Returns
    -------
    Explanation
        `print` it.

    Raises
    ------
    ModelError
        The model is not one that j3o accepts.
    OptionError
        `time_limit` is not a finite number above 0, or `most` no whole number from 1.
    BackendError
        HiGHS failed on the rows.

    Notes
    -----
    A conflict is an irreducible infeasible subsystem (IIS): without any one of its rows the others can be
    satisfied, by binary onloading variables. That variables with a lower bound of 0 are not negative counts
    as given, and so do the bounds of variables in products.
    """
    require_component(model)
    if not is_number(time_limit) or not 0 < time_limit < math.inf:
        raise OptionError(f"time_limit={time_limit!r} is not a finite number above 0; give seconds")
    if not is_number(most) or not 1 <= most < math.inf or most != int(most):
        raise OptionError(f"most={most!r} is not a whole number above 0; give one")
    try:
        problem, inverse = compile_model(model)
    except TriviallyInfeasibleError as error:
        note = "The rest of the model was not looked at."
        found = tuple(_conflicts_of_constants(model))
        rows = [row.component for conflict in found for row in conflict.rows]
        notes = (note, *_note_on_fixed(model, rows)) if found else (f"{error}.", note)
        return Explanation(model.name, False, found or (Conflict(()),), False, True, notes)
    try:
        finding = find_conflicts(problem, float(time_limit), int(most), families=_families(inverse))
    except UnboundedProductError as error:
        raise error.named(inverse.offloading[error.offloading].name) from None
    return _explanation(problem, inverse, finding)


def require_component(model: object) -> None:
    """Raise `ModelError` for what is no model or block."""
    if not isinstance(model, BlockData):
        raise ModelError(f"a {type(model).__name__} is no Pyomo model or block; pass the model first")


def lines_for_log(problem: Problem, inverse: Inverse, seconds: float) -> list[str]:
    """Return lines that name one conflict of a compiled model that has no plan; none if time does not do.

    If a solver fails on the way, one line says so: the result of the solve stands without this explanation.

    Parameters
    ----------
    problem, inverse
        As compiled.
    seconds
        That it may take.
    """
    try:
        finding = find_conflicts(problem, seconds, most=1, details=False, families=_families(inverse))
    except (ModelError, KeyboardInterrupt):
        return []
    except BackendError as error:
        return [f"Rows in conflict were not found: {error}"]
    if not finding.conflicts:
        return []
    rows = _explanation(problem, inverse, finding).conflicts[0].rows
    doubt_of_values = []
    if not finding.complete and any(row.possible is False for row in rows):
        # None of these values is one, as other conflicts stand: that would read as if nothing helped.
        rows = tuple(replace(row, possible=None) if row.possible is False else row for row in rows)
        doubt_of_values = ["  What else would be enough was not found, as other rows conflict, too."]
    shown = [*table_lines(rows, _MOST_IN_LOG), *beyond_onloading_lines(rows), *doubt_of_values]
    doubts = [] if finding.conflicts[0].irreducible else ["not all may be needed"]
    doubts += [] if finding.complete else ["there may be more"]
    doubt = f" ({'; '.join(doubts)})" if doubts else ""
    head = "Rows in conflict" if len(rows) > 1 else "A row that cannot be satisfied"
    return [f"{head}{doubt}:", *shown]


def _explanation(problem: Problem, inverse: Inverse, finding: Finding) -> Explanation:
    """Return what was found on arrays in the user's components and units."""
    conflicts = tuple(named_conflict(problem, inverse, conflict) for conflict in finding.conflicts)
    notes = []
    if finding.bounds_given:
        notes.append("Bounds that rows imply of variables in products count as given; rows may be missing.")
    proven = finding.complete and finding.feasible is not None and not notes
    for conflict in conflicts:
        proven = proven and conflict.proven and all(row.proven for row in conflict.rows)
    involved = [
        component_of(inverse, side)
        for conflict in finding.conflicts
        for side in (*conflict.sides, *(conflict.ties if conflict.ties_irreducible else ()))
    ]
    notes += _note_on_fixed(inverse.model, involved)
    return Explanation(
        inverse.model.name, finding.feasible, conflicts, finding.complete, proven, tuple(notes)
    )


def _note_on_fixed(model: BlockData, components: Sequence[Any]) -> list[str]:
    """Return a note if onloading variables that the user has fixed are in these constraints."""
    roles = Roles(model)
    fixed: dict[int, str] = {}
    for component in components:
        if isinstance(component, ConstraintData):
            for variable in identify_variables(component.expr, include_fixed=True):
                if variable.fixed and id(variable) not in fixed and roles.of(variable) == "onloading":
                    fixed[id(variable)] = variable.name
    if not fixed:
        return []
    name = next(iter(fixed.values()))
    if len(fixed) == 1:
        return [f"{name} is fixed: freeing it may be enough."]
    return [f"{len(fixed)} variables are fixed, {name} for one: freeing them may be enough."]


def _families(inverse: Inverse) -> IntArray:
    """Return the number of the component that each row, x and y is of, (M + N + K,)."""
    parents = [
        id(member.parent_component())
        for members in (inverse.rows, inverse.variable_of_column, inverse.offloading)
        for member in members
    ]
    return np.unique(np.array(parents, dtype=np.int64), return_inverse=True)[1].astype(np.int64)


def _conflicts_of_constants(model: BlockData) -> list[Conflict]:
    """Return the rows that constants alone violate and the variables whose bounds cross, each by itself."""
    found = []
    for constraint in model.component_data_objects(pyo.Constraint, active=True):
        if next(identify_variables(constraint.expr, include_fixed=False), None) is None:
            body = float(pyo.value(constraint.body))
            sides = (("<=", constraint.ub, 1.0), (">=", constraint.lb, -1.0))
            for relation, side, sign in sides:
                if side is not None and sign * (body - side) > TOLERANCE * max(1.0, abs(side), abs(body)):
                    relation = "=" if constraint.equality else relation
                    found.append(_conflict_of_constants(constraint, "row", relation, side, body))
        elif None not in (constraint.lb, constraint.ub) and constraint.lb > constraint.ub:
            found.append(_conflict_of_constants(constraint, "row", "<=", constraint.ub, constraint.lb))
    return found + [
        _conflict_of_constants(variable, "upper bound", "<=", variable.ub, variable.lb)
        for variable in model.component_data_objects(pyo.Var)
        if not variable.fixed and None not in variable.bounds and variable.lb > variable.ub
    ]


def _conflict_of_constants(component: Any, kind: str, relation: str, now: float, enough: float) -> Conflict:
    """Return the conflict of one row or bound by itself, which this value on its side would end."""
    row = ConflictingRow(component.name, component, kind, relation, now, enough, True, True, enough)
    return Conflict((row,))
