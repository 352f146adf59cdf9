"""The records that `explain_infeasibility` returns: what is shown of a conflict, by the user's names.

From top to bottom: the records, and how they are made of what was found on arrays. `conflict_tables` prints
them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pyomo.core.base.constraint import ConstraintData
from pyomo.core.base.var import VarData

from pyomo_j3o.core.html import html_paragraphs, html_table
from pyomo_j3o.core.problem import Problem
from pyomo_j3o.core.whole_numbers import is_whole
from pyomo_j3o.diagnosis.conflict_tables import beyond_onloading_lines, cells_of, lines_on_ties, table_lines
from pyomo_j3o.diagnosis.subsystems import Growth, InfeasibleSubsystem
from pyomo_j3o.diagnosis.system import Side
from pyomo_j3o.modeling.inverse import Inverse
from pyomo_j3o.modeling.naming import beginning, of_name


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
    whole : bool
        Whether the row holds onloading variables alone, in whole multiples of a unit: its figures are exact.
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
    whole: bool = False

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
        Names of rows that tie one offloading variable to onloading ones (``y <= u x``), of variables with
        bounds, and of special ordered sets, without which the rows would not conflict.
    proven : bool
        Whether it is proven that none of the rows can be left out.
    """

    rows: tuple[ConflictingRow, ...]
    ties: tuple[str, ...] = ()
    proven: bool = True

    def __str__(self) -> str:
        return "\n".join(
            [*table_lines(self.rows), *beyond_onloading_lines(self.rows), *lines_on_ties(self.ties)]
        )

    def _repr_html_(self) -> str:
        table = html_table(*cells_of(self.rows)[:2]) if self.rows else ""
        return table + html_paragraphs(*beyond_onloading_lines(self.rows), *lines_on_ties(self.ties))


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
    interrupted : bool
        Whether Ctrl-C ended the search.
    """

    model: str
    feasible: bool | None
    conflicts: tuple[Conflict, ...] = ()
    complete: bool = True
    proven: bool = True
    notes: tuple[str, ...] = ()
    interrupted: bool = False

    @property
    def message(self) -> str:
        """One sentence."""
        if self.feasible:
            return f"{beginning(of_name(self.model))} has a plan: nothing conflicts."
        if self.feasible is None:
            cause = "before Ctrl-C" if self.interrupted else "in time; raise time_limit"
            return f"Neither a plan nor a conflict of {of_name(self.model)} was found {cause}."
        n = len(self.conflicts)
        more = "" if self.complete else ", and there may be more"
        if n > 1:
            return f"{beginning(of_name(self.model))} has no plan, for {n} reasons{more}."
        rows = len(self.conflicts[0].rows)
        alone = "one row cannot be satisfied" if rows == 1 else f"{rows} rows conflict"
        return f"{beginning(of_name(self.model))} has no plan: {alone}{more}."

    def __str__(self) -> str:
        lines = [self.message]
        for head, conflict, doubt in self._numbered():
            lines += ["", *([head] if head else []), str(conflict), *([doubt] if doubt else [])]
        lines += self._end
        return "\n".join([*lines, *self.notes])

    def _repr_html_(self) -> str:
        parts = [html_paragraphs(self.message)]
        for head, conflict, doubt in self._numbered():
            parts += [html_paragraphs(head), conflict._repr_html_(), html_paragraphs(doubt)]
        return "".join(parts) + html_paragraphs(*self._end, *self.notes)

    @property
    def _end(self) -> list[str]:
        interrupted = self.interrupted and self.conflicts
        return ["Ctrl-C ended the search: this is what was found by then."] if interrupted else []

    def _numbered(self) -> Iterator[tuple[str, Conflict, str]]:
        """Yield each conflict with what is said before and after it."""
        for number, conflict in enumerate(self.conflicts, 1):
            head = f"{number}." if len(self.conflicts) > 1 else ""
            head += " Once that is relieved:" if number > 1 else ""
            remedy = "" if self.interrupted else "; raise time_limit"
            doubt = f"It is not proven that all of these rows are needed{remedy}."
            yield head, conflict, "" if conflict.proven else doubt


# --- names ---------------------------------------------------------------------------------------------


def named_conflict(problem: Problem, inverse: Inverse, conflict: InfeasibleSubsystem) -> Conflict:
    """Return a conflict in the user's components and units.

    Parameters
    ----------
    problem, inverse
        As compiled.
    conflict
        Of `problem`.
    """
    n = len(conflict.sides)
    rows = [
        _named_row(problem, inverse, side, growth, together)
        for side, growth, together in zip(
            conflict.sides, conflict.alone or (None,) * n, conflict.together or (None,) * n, strict=True
        )
    ]
    order = sorted(range(n), key=lambda k: (conflict.sides[k].row < 0, conflict.sides[k].row))
    ordered: list[ConflictingRow] = []
    for k in order:
        if rows[k].relation == "=" and ordered and ordered[-1].component is rows[k].component:
            ordered[-1] = _both_sides(ordered[-1], rows[k])
        else:
            ordered.append(rows[k])
    # Rows that were written for a special ordered set, or for a product, are not what one changes.
    own = [row for row in ordered if not inverse.is_added(row.component)]
    written = [row.name for row in ordered if inverse.is_added(row.component)] if own else []
    sides = conflict.ties if conflict.ties_irreducible else ()
    ties = [*written, *(inverse.name_of(component_of(inverse, side)) for side in sides)]
    return Conflict(tuple(own or ordered), tuple(dict.fromkeys(ties)), conflict.irreducible)


def component_of(inverse: Inverse, side: Side) -> Any:
    """Return the constraint or variable that a side belongs to."""
    if side.row >= 0:
        return inverse.rows[side.row]
    return [*inverse.variable_of_column, *inverse.offloading][side.column]


def _named_row(
    problem: Problem, inverse: Inverse, side: Side, growth: Growth | None, together: float | None
) -> ConflictingRow:
    """Return one side of a conflict in the user's component and units.

    Parameters
    ----------
    problem, inverse
        As compiled.
    side
        Of `problem`.
    growth
        By how much it has to give way alone; None if that is not known.
    together
        By how much it gives way in the cheapest change of all; None if that is not known.
    """
    component = component_of(inverse, side)
    now = float(component.ub if side.upper else component.lb)
    outwards = 1.0 if side.upper else -1.0
    of_row = side.row >= 0
    equality = of_row and problem.row_lower[side.row] == problem.row_upper[side.row]
    possible = None if growth is None else math.isfinite(growth.amount)
    return ConflictingRow(
        name=inverse.name_of(component),
        component=component,
        kind="row" if of_row else "upper bound" if side.upper else "lower bound",
        relation="=" if equality else "<=" if side.upper else ">=",
        now=now,
        enough=now + outwards * float(growth.amount) if growth is not None and possible else None,
        possible=possible,
        proven=growth is not None and (not possible or bool(growth.proven)),
        together=None if together is None else now + outwards * float(together),
        beyond_onloading=of_row and _onloading_opposite(problem, side.row),
        whole=is_whole(problem, side.row),
    )


def _both_sides(one: ConflictingRow, other: ConflictingRow) -> ConflictingRow:
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
