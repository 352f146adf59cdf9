"""`explain_infeasibility`: which rows and bounds of a model conflict, by name, and what would do instead."""

from __future__ import annotations

import math
import numbers
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.block import BlockData
from pyomo.core.base.constraint import ConstraintData
from pyomo.core.base.var import VarData
from pyomo.core.expr.visitor import identify_variables

from pyomo_j3o.core.problem import IntArray, Problem
from pyomo_j3o.diagnosis.iis import Conflict as ArrayConflict
from pyomo_j3o.diagnosis.iis import Finding, Side, find_conflicts
from pyomo_j3o.errors import BackendError, ModelError, OptionError, TriviallyInfeasibleError
from pyomo_j3o.modeling.annotate import Roles
from pyomo_j3o.modeling.columns import TOLERANCE
from pyomo_j3o.modeling.compiler import compile_model
from pyomo_j3o.modeling.inverse import Inverse
from pyomo_j3o.presolve.linearize import UnboundedProductError

#: So many rows of a conflict the log names.
_MOST_IN_LOG = 12

#: In the cheapest change of all rows a relative change below this is rounding.
_NOISE = 1e-5


@dataclass(frozen=True)
class ConflictingRow:
    """One row, or one bound of a variable, in a conflict.

    Attributes
    ----------
    name : str
        Of the constraint or variable.
    component : ConstraintData or VarData
        Itself.
    kind : str
        ``"row"``, ``"lower bound"`` or ``"upper bound"``.
    relation : str
        ``"<="``, ``">="`` or ``"="``.
    now : float
        The side that is in conflict, as the model has it.
    enough : float or None
        The nearest value that makes it enough to change this side alone, with all other conflicts relieved;
        None if no value does, or none was found in time.
    possible : bool or None
        Whether there is such a value; None if time ended first.
    proven : bool
        Whether no value in between is enough, too.
    together : float or None
        Its value in the cheapest change of all rows of the conflict, each measured by what it is now.
    beyond_onloading : bool
        Whether onloading variables stand on the other side, as in ``sum(flow) <= cap * open``: a change is
        one beyond what these give.
    """

    name: str
    component: ConstraintData | VarData = field(repr=False, compare=False)
    kind: str
    relation: str
    now: float
    enough: float | None
    possible: bool | None
    proven: bool
    together: float | None
    beyond_onloading: bool = False

    @property
    def growth(self) -> float | None:
        """By how much `enough` is more than `now`; negative where the side has to come down."""
        return None if self.enough is None else self.enough - self.now

    @property
    def percent(self) -> float | None:
        """The growth in percent of `now`; None without one, where `now` is 0, and beside onloading ones."""
        if self.growth is None or self.now == 0 or self.beyond_onloading:
            return None
        return 100.0 * self.growth / abs(self.now)


@dataclass(frozen=True)
class Conflict:
    """Rows that no plan satisfies together.

    Attributes
    ----------
    rows : tuple of ConflictingRow
        In the order of the model, bounds last.
    ties : tuple of str
        Names of rows that tie one offloading variable to onloading ones (``y <= u x``), and of variables
        with bounds, without which the rows would not conflict.
    proven : bool
        Whether it is proven that none of the rows can be left out.
    """

    rows: tuple[ConflictingRow, ...]
    ties: tuple[str, ...] = ()
    proven: bool = True

    def __str__(self) -> str:
        return "\n".join([*_table(self.rows), *_beyond(self.rows), *_through(self.ties)])


@dataclass(frozen=True)
class Explanation:
    """Why a model has no plan. Printing it gives a table per conflict.

    Attributes
    ----------
    model : str
        Its name.
    feasible : bool or None
        True if it has a plan, and so nothing conflicts; None if time ended before that was known.
    conflicts : tuple of Conflict
        Each found with those before it relieved; empty if there is a plan.
    complete : bool
        Whether the model has a plan once these conflicts are relieved; if not, there may be more.
    proven : bool
        Whether all is proven: feasible or not, that no row of a conflict can be left out, and that no smaller
        change of one row is enough.
    notes : tuple of str
        What else there is to know.
    """

    model: str
    feasible: bool | None
    conflicts: tuple[Conflict, ...] = ()
    complete: bool = True
    proven: bool = True
    notes: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """One sentence."""
        if self.feasible:
            return f"Model '{self.model}' has a plan: nothing conflicts."
        if self.feasible is None:
            return (
                f"Neither a plan nor a conflict of model '{self.model}' was found in time; raise time_limit."
            )
        n = len(self.conflicts)
        more = "" if self.complete else ", and there may be more"
        if n > 1:
            return f"Model '{self.model}' has no plan, for {n} reasons{more}."
        rows = len(self.conflicts[0].rows)
        alone = "one row cannot be satisfied" if rows == 1 else f"{rows} rows conflict"
        return f"Model '{self.model}' has no plan: {alone}{more}."

    def __str__(self) -> str:
        lines = [self.message]
        for number, conflict in enumerate(self.conflicts, 1):
            after = " Once that is relieved:" if number > 1 else ""
            head = f"{number}.{after}" if len(self.conflicts) > 1 else ""
            lines += ["", *([head] if head else []), str(conflict)]
            if not conflict.proven:
                lines.append("It is not proven that all of these rows are needed; raise time_limit.")
        return "\n".join([*lines, *self.notes])


def explain_infeasibility(model: BlockData, time_limit: float = 60.0, most: int = 3) -> Explanation:
    """Name the rows and bounds that leave a model without a plan, and what each would have to be.

    Parameters
    ----------
    model
        Annotated like one that is solved; nothing of it is changed, values included.
    time_limit
        In seconds. What was found by then is returned, and says what it does not prove.
    most
        So many conflicts at most.

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
    A conflict is irreducible: without any one of its rows the others can be satisfied, by binary onloading
    variables. That variables with a lower bound of 0 are not negative counts as given, and so do the bounds
    of variables in products.
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
        notes = (note, *_fixed(model, rows)) if found else (f"{error}.", note)
        return Explanation(model.name, False, found or (Conflict(()),), False, True, notes)
    try:
        finding = find_conflicts(problem, float(time_limit), int(most), families=_families(inverse))
    except UnboundedProductError as error:
        raise error.named(inverse.offloading[error.offloading].name) from None
    return _explanation(problem, inverse, finding)


def is_number(value: object) -> bool:
    """Whether a value is a real number, of Python or numpy, and not a truth value."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


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
    shown = [*_table(rows, _MOST_IN_LOG), *_beyond(rows), *doubt_of_values]
    doubts = [] if finding.conflicts[0].irreducible else ["not all may be needed"]
    doubts += [] if finding.complete else ["there may be more"]
    doubt = f" ({'; '.join(doubts)})" if doubts else ""
    head = "Rows in conflict" if len(rows) > 1 else "A row that cannot be satisfied"
    return [f"{head}{doubt}:", *shown]


def _explanation(problem: Problem, inverse: Inverse, finding: Finding) -> Explanation:
    conflicts = tuple(_named(problem, inverse, conflict) for conflict in finding.conflicts)
    notes = []
    if finding.bounds_given:
        notes.append("Bounds that rows imply of variables in products count as given; rows may be missing.")
    proven = finding.complete and finding.feasible is not None and not notes
    notes += _fixed(
        inverse.model,
        [
            _told(problem, inverse, side)[0]
            for conflict in finding.conflicts
            for side in (*conflict.sides, *(conflict.ties if conflict.ties_irreducible else ()))
        ],
    )
    for conflict in conflicts:
        proven = proven and conflict.proven and all(row.proven for row in conflict.rows)
    return Explanation(
        inverse.model.name, finding.feasible, conflicts, finding.complete, proven, tuple(notes)
    )


def _named(problem: Problem, inverse: Inverse, conflict: ArrayConflict) -> Conflict:
    """Return a conflict in the user's components and units."""
    rows = []
    for k, side in enumerate(conflict.sides):
        component, relation, now = _told(problem, inverse, side)
        growth = conflict.alone[k] if conflict.alone else None
        sign = 1.0 if side.upper else -1.0
        possible = None if growth is None else math.isfinite(growth.amount)
        rows.append(
            ConflictingRow(
                component.name,
                component,
                "row" if side.row >= 0 else "upper bound" if side.upper else "lower bound",
                relation,
                now,
                now + sign * float(growth.amount) if growth is not None and possible else None,
                possible,
                growth is not None and (not possible or bool(growth.proven)),
                now + sign * float(conflict.together[k]) if conflict.together else None,
                side.row >= 0 and _onloading_opposite(problem, side.row),
            )
        )
    order = sorted(range(len(rows)), key=lambda k: (conflict.sides[k].row < 0, conflict.sides[k].row))
    ordered: list[ConflictingRow] = []
    for k in order:
        if rows[k].relation == "=" and ordered and ordered[-1].component is rows[k].component:
            ordered[-1] = _either(ordered[-1], rows[k])
        else:
            ordered.append(rows[k])
    ties = dict.fromkeys(_told(problem, inverse, side)[0].name for side in conflict.ties)
    names = tuple(ties) if conflict.ties_irreducible else ()
    return Conflict(tuple(ordered), names, conflict.irreducible)


def _families(inverse: Inverse) -> IntArray:
    """Return the number of the component that each row, x and y is of, (M + N + K,)."""
    parents = [
        id(member.parent_component())
        for members in (inverse.rows, inverse.onloading, inverse.offloading)
        for member in members
    ]
    return np.unique(np.array(parents, dtype=np.int64), return_inverse=True)[1].astype(np.int64)


def _onloading_opposite(problem: Problem, row: int) -> bool:
    """Whether onloading variables of a row have another sign than all offloading ones."""
    of_x, of_y = (
        matrix.data[matrix.indptr[row] : matrix.indptr[row + 1]]
        for matrix in (problem.onloading_rows, problem.offloading_rows)
    )
    of_y = np.concatenate([of_y, problem.products.coefficient[problem.products.row == row]])
    if not len(of_y) or not len(of_x):
        return False
    return bool((np.all(of_y > 0) and np.any(of_x < 0)) or (np.all(of_y < 0) and np.any(of_x > 0)))


def _fixed(model: BlockData, components: Sequence[Any]) -> list[str]:
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


def _either(one: ConflictingRow, other: ConflictingRow) -> ConflictingRow:
    """Return as one row an equality both sides of which are in conflict: it may give way to either."""
    found = [row.enough for row in (one, other) if row.enough is not None]
    possible = None if None in (one.possible, other.possible) and not found else bool(found)
    together = None
    if one.together is not None and other.together is not None:
        together = one.together + other.together - one.now
    return replace(
        one,
        enough=min(found, key=lambda value: abs(value - one.now)) if found else None,
        possible=possible,
        proven=one.proven and other.proven,
        together=together,
    )


def _told(problem: Problem, inverse: Inverse, side: Side) -> tuple[Any, str, float]:
    """Return the component behind a side, its relation, and the number on that side as the user wrote it."""
    if side.row >= 0:
        constraint = inverse.rows[side.row]
        equality = problem.row_lower[side.row] == problem.row_upper[side.row]
        number = constraint.ub if side.upper else constraint.lb
        component: Any = constraint
    else:
        component = [*inverse.onloading, *inverse.offloading][side.column]
        equality = False
        number = component.ub if side.upper else component.lb
    return component, "=" if equality else "<=" if side.upper else ">=", float(number)


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
                    found.append(_constant(constraint, "row", relation, side, body))
        elif None not in (constraint.lb, constraint.ub) and constraint.lb > constraint.ub:
            found.append(_constant(constraint, "row", "<=", constraint.ub, constraint.lb))
    return found + [
        _constant(variable, "upper bound", "<=", variable.ub, variable.lb)
        for variable in model.component_data_objects(pyo.Var)
        if not variable.fixed and None not in variable.bounds and variable.lb > variable.ub
    ]


def _constant(component: Any, kind: str, relation: str, now: float, enough: float) -> Conflict:
    row = ConflictingRow(component.name, component, kind, relation, now, enough, True, True, enough)
    return Conflict((row,))


def _table(rows: Sequence[ConflictingRow], most: int | None = None) -> list[str]:
    """Return the rows of a conflict as aligned lines, those with a value first, others by component.

    Parameters
    ----------
    rows
        Of one conflict.
    most
        So many lines of rows at most; None for all.
    """
    if not rows:
        return []
    looked_for = any(row.possible is not None for row in rows)
    # A change of several rows says something only where there are several.
    several = not looked_for or sum(_moves(row) for row in rows) > 1
    head = ["row", "now"]
    head += ["enough by itself"] if looked_for else []
    head += ["cheapest together"] if several else []
    groups: dict[tuple[Any, ...], list[ConflictingRow]] = {}
    for number, row in enumerate(sorted(rows, key=_cheapest_first)):
        cells = []
        if looked_for:
            if row.possible is None:
                cells.append("not found in time")
            elif row.enough is None:
                cells.append("no value")
            else:
                cells.append(_changed(row, row.enough) + ("" if row.proven else ", maybe less"))
        if several:
            moves = _moves(row)
            cells.append(
                "?" if row.together is None else _changed(row, row.together) if moves else "as it is"
            )
        alike = row.enough is None and not (several and _moves(row))
        family = id(row.component.parent_component()) if alike else -1 - number
        groups.setdefault((family, row.kind, row.relation, *cells), []).append(row)
    lines = [head]
    for (_, kind, relation, *cells), members in groups.items():
        own = "" if kind == "row" else f" ({kind})"
        # Of whole numbers every digit may be the one that counts.
        now = {f"{row.now:.12g}" if float(row.now).is_integer() else f"{row.now:.4g}" for row in members}
        name = members[0].name
        if len(members) > 1:
            name = f"{members[0].component.parent_component().name} ({len(members)} of them)"
        lines.append([name + own, f"{relation} {now.pop()}" if len(now) == 1 else relation, *cells])
    shown = lines if most is None else lines[: most + 1]
    width = [max(len(line[k]) for line in shown) for k in range(len(head))]
    text = [
        "  " + "  ".join(cell.ljust(w) for cell, w in zip(line, width, strict=True)).rstrip()
        for line in shown
    ]
    if len(shown) < len(lines):
        text.append(f"  and {sum(len(members) for members in list(groups.values())[most:])} more")
    return text


def _cheapest_first(row: ConflictingRow) -> tuple[int, float]:
    """Order rows by the relative change that is enough, those without a percentage and a value after them."""
    if row.growth is None:
        return (2 if row.possible is None else 3) - int(_moves(row)), 0.0
    place, size = (1, row.growth) if row.percent is None else (0, row.percent)
    # Up to rounding, those of one component stay in the order of the model.
    return place, float(f"{abs(size):.4g}")


def _moves(row: ConflictingRow) -> bool:
    """Whether the cheapest change of all rows changes this one, by more than rounding."""
    size = max(abs(row.now), abs(row.growth or 0.0)) or 1e-4
    return row.together is not None and abs(row.together - row.now) > _NOISE * size


def _beyond(rows: Sequence[ConflictingRow]) -> list[str]:
    """Return a line on the rows whose change is one beyond what their onloading variables give."""
    names = dict.fromkeys(
        row.component.parent_component().name
        for row in rows
        if row.beyond_onloading and (row.enough is not None or _moves(row))
    )
    if not names:
        return []
    return [f"  A change of {', '.join(names)} is so much beyond what its onloading variables give."]


def _changed(row: ConflictingRow, then: float) -> str:
    """Return a new value, and how far it is from that of now."""
    now = row.now
    change = then - now
    if abs(change) <= 1e-13 * (abs(now) or 1.0):
        return "as it is"
    # So many decimals that four digits of the change are right, and rounded away from what is not enough.
    decimals = max(0, 3 - math.floor(math.log10(abs(change))))
    step = 10.0**-decimals
    beyond = math.ceil if change > 0 else math.floor
    safe = beyond(then / step - math.copysign(1e-6, change)) * step
    share = f", {100 * change / abs(now):+.3g} %" if now and not row.beyond_onloading else ""
    return f"{safe:.12g} ({change:+.4g}{share})"


def _through(ties: Sequence[str]) -> list[str]:
    """Return a line that names what ties the rows together, by component."""
    if not ties:
        return []
    families = Counter(name.split("[")[0] if "[" in name else name for name in ties)
    named = ", ".join(
        next(name for name in ties if name.startswith(family)) if n == 1 else f"{family} ({n} of them)"
        for family, n in families.items()
    )
    return [f"  Along with {named}."]
