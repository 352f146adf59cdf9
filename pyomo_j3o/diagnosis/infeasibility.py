"""`explain_infeasibility`: which rows and bounds of a model conflict, by name, and what would do instead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.block import BlockData
from pyomo.core.base.constraint import ConstraintData
from pyomo.core.expr.visitor import identify_variables

from pyomo_j3o.core.checks import is_number
from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.log import counted
from pyomo_j3o.core.long_call import LongCall
from pyomo_j3o.core.problem import IntArray, Problem
from pyomo_j3o.diagnosis.asked_rows import relax_rows, sides_of
from pyomo_j3o.diagnosis.conflict_tables import beyond_onloading_lines, table_lines
from pyomo_j3o.diagnosis.conflicts import Finding, find_conflicts
from pyomo_j3o.diagnosis.explanation import (
    Conflict,
    ConflictingRow,
    Explanation,
    component_of,
    named_conflict,
)
from pyomo_j3o.diagnosis.members import constraints_named
from pyomo_j3o.diagnosis.movable import Sides
from pyomo_j3o.diagnosis.relaxed_rows import RelaxedRows
from pyomo_j3o.diagnosis.subsystems import Telling
from pyomo_j3o.diagnosis.system import Side
from pyomo_j3o.errors import BackendError, ModelError, OptionError, TriviallyInfeasibleError
from pyomo_j3o.modeling.annotate import Roles
from pyomo_j3o.modeling.columns import TOLERANCE
from pyomo_j3o.modeling.compiler import compile_model
from pyomo_j3o.modeling.inverse import Inverse
from pyomo_j3o.presolve.linearize import UnboundedProductError

#: The log names this number of rows of a conflict.
_MOST_IN_LOG = 12

#: A line on a conflict names this number of rows.
_MOST_TOLD = 4


@overload
def explain_infeasibility(
    model: BlockData,
    time_limit: float = ...,
    most: int = ...,
    relax: None = ...,
    together: bool = ...,
    tee: bool | None = ...,
) -> Explanation: ...


@overload
def explain_infeasibility(
    model: BlockData,
    time_limit: float = ...,
    most: int = ...,
    *,
    relax: Any,
    together: bool = ...,
    tee: bool | None = ...,
) -> RelaxedRows: ...


def explain_infeasibility(
    model: BlockData,
    time_limit: float = 60.0,
    most: int = 3,
    relax: Any = None,
    together: bool = False,
    tee: bool | None = None,
) -> Explanation | RelaxedRows:
    """Name the rows and bounds that leave a model without a plan, and what each would have to be.

    With `relax`, say how far the rows named there have to move, all else unchanged: by one factor for all, or
    each by its own change. That takes one LP, which bounds the factor, and one MILP, which finds it.

    Parameters
    ----------
    model
        Annotated like one that is solved; nothing of it is changed, values included.
    time_limit
        In seconds. What was found by then is returned, and says what it does not prove. A search that does
        not gain any more ends before.
    most
        The largest number of conflicts to name.
    relax
        Constraints, indexed ones, members, slices, or a list of them: the rows that may move.
    together
        Whether all rows of `relax` move by one share of their sides. If not, the sum of their shares is as
        small as possible.
    tee
        True prints what is known by now, line by line; False says nothing. None says it on a terminal or in
        a notebook, once the call takes more than three seconds.

    Returns
    -------
    Explanation or RelaxedRows
        `RelaxedRows` with `relax`. `print` it. After Ctrl-C it holds what was found, and is marked as
        ``interrupted``.

    Raises
    ------
    ModelError
        The model is not one that j3o accepts, or `relax` names something that is no row of it, or only sides
        of 0, or a row that holds no free variable and is not satisfied.
    OptionError
        `time_limit` is not a finite number above 0, or `most` no whole number from 1, or `together` is given
        without `relax`.
    BackendError
        HiGHS failed on the rows.

    Notes
    -----
    A conflict is an irreducible infeasible subsystem (IIS): without any one of its rows the others can be
    satisfied, by binary onloading variables. That variables with a lower bound of 0 are not negative counts
    as given, and so do the bounds of variables in products.

    A side of a row in `relax` moves outwards by a share t of its size: a side b of ``<=`` becomes b + t
    abs(b), and a side b of ``>=`` becomes b - t abs(b). So a positive side of ``<=`` is multiplied by 1
    + t, the factor, a positive side of ``>=`` by 1 - t, and negative sides the other way round. An
    equation moves to both sides. A side of 0 stays 0. Sides are those of the rows as written: what is
    constant in a body stays there.
    """
    require_component(model)
    _check_options(time_limit, most, relax, together)
    with LongCall("explain", tee) as call:
        if relax is not None:
            return _relaxed(model, constraints_named(relax, "relax"), together, float(time_limit), call)
        return _explained(model, float(time_limit), int(most), call)


def _check_options(time_limit: float, most: int, relax: Any, together: bool) -> None:
    if not is_number(time_limit) or not 0 < time_limit < math.inf:
        raise OptionError(f"time_limit={time_limit!r} is not a finite number above 0; give seconds")
    if not is_number(most) or not 1 <= most < math.inf or most != int(most):
        raise OptionError(f"most={most!r} is not a whole number above 0; give one")
    if together and relax is None:
        raise OptionError(
            "together=True is given without relax; name the rows that grow, relax=[model.uplink]"
        )


def _explained(model: BlockData, time_limit: float, most: int, call: LongCall) -> Explanation:
    """Return the conflicts of a model."""
    try:
        problem, inverse = compile_model(model)
    except TriviallyInfeasibleError as error:
        return _of_constants(model, error)

    def tell(sides: Sequence[Side]) -> None:
        call.say(f"a conflict of {counted(len(sides), 'row')}: {_listed(inverse, sides)}")

    try:
        finding = find_conflicts(
            problem, time_limit, most, families=_families(inverse), tell=Telling(call.say, tell)
        )
    except UnboundedProductError as error:
        raise error.named(inverse.offloading[error.offloading].name) from None
    return _explanation(problem, inverse, finding)


def _of_constants(model: BlockData, error: TriviallyInfeasibleError) -> Explanation:
    """Return what constants alone violate."""
    note = "The rest of the model was not looked at."
    found = tuple(_conflicts_of_constants(model))
    rows = [row.component for conflict in found for row in conflict.rows]
    notes = (note, *_note_on_fixed(model, rows)) if found else (f"{error}.", note)
    return Explanation(model.name, False, found or (Conflict(()),), False, True, notes)


def _relaxed(
    model: BlockData, wanted: Sequence[ConstraintData], together: bool, time_limit: float, call: LongCall
) -> RelaxedRows:
    """Return how far the named rows have to move; where that does not help, why the others have no plan."""
    deadline = Deadline(time_limit)
    try:
        problem, inverse = compile_model(model)
    except TriviallyInfeasibleError as error:
        rest = _of_constants(model, error)
        named = {id(constraint) for constraint in wanted}
        for row in (row for conflict in rest.conflicts for row in conflict.rows):
            if id(row.component) in named:
                raise ModelError(
                    f"relax names '{row.name}', which holds no free variable and is not satisfied: its side "
                    f"would have to be {row.enough:.6g}; set that, or unfix a variable"
                ) from None
        return RelaxedRows(model.name, together, False, False, at_least=math.inf, rest=rest)
    try:
        answer = relax_rows(problem, inverse, wanted, together, deadline, call.say)
        if answer.possible is not False:
            return answer
        call.say("no move of these rows is enough: looking for what conflicts without them")
        finding = find_conflicts(
            _without_sides(problem, sides_of(problem, inverse, wanted)[0]),
            deadline.left(),
            most=1,
            families=_families(inverse),
            tell=Telling(call.say),
        )
    except UnboundedProductError as error:
        raise error.named(inverse.offloading[error.offloading].name) from None
    return replace(answer, rest=_explanation(problem, inverse, finding), interrupted=finding.interrupted)


def _without_sides(problem: Problem, sides: Sides) -> Problem:
    """Return the problem without these sides."""
    lower, upper = problem.row_lower.copy(), problem.row_upper.copy()
    lower[sides.row[~sides.upper]], upper[sides.row[sides.upper]] = -np.inf, np.inf
    return replace(problem, row_lower=lower, row_upper=upper)


def _listed(inverse: Inverse, sides: Sequence[Side]) -> str:
    """Return the first names of a conflict."""
    names = list(dict.fromkeys(inverse.name_of(component_of(inverse, side)) for side in sides))
    more = f" and {len(names) - _MOST_TOLD} more" if len(names) > _MOST_TOLD else ""
    return ", ".join(names[:_MOST_TOLD]) + more


def require_component(model: object) -> None:
    """Raise `ModelError` for what is no model or block."""
    if not isinstance(model, BlockData):
        raise ModelError(
            f"an object of type {type(model).__name__} is no Pyomo model or block; pass the model first"
        )


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
    if finding.interrupted or not finding.conflicts:
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
    notes += _note_on_growth(conflicts)
    return Explanation(
        inverse.model.name,
        finding.feasible,
        conflicts,
        finding.complete,
        proven,
        tuple(notes),
        finding.interrupted,
    )


def _note_on_growth(conflicts: Sequence[Conflict]) -> list[str]:
    """Return a note on the question that several rows can answer, where no row alone is proven to do so."""
    rows = [row for conflict in conflicts for row in conflict.rows]
    if any(row.enough is not None and row.proven for row in rows):
        return []
    # Where a value is known that may be too large, the question is about its row.
    rows = [row for row in rows if row.enough is not None and row.kind == "row" and row.now] or rows
    # The component that changes most in the cheapest change of all.
    change: dict[str, float] = {}
    for row in rows:
        if row.kind == "row" and row.relation != "=" and row.now:
            name = row.component.parent_component().name
            moved = 0.0 if row.together is None else abs(row.together / row.now - 1.0)
            change[name] = change.get(name, 0.0) + moved
    if not change:
        return []
    most = max(change, key=lambda family: change[family])
    return [
        "By what factor rows have to grow, in one search: explain_infeasibility(model, "
        f"relax=[model.{most}], together=True)."
    ]


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
