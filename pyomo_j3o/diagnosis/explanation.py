"""What is shown of a conflict: the user's names and units, and the text with a table per conflict.

From top to bottom: the records that `explain_infeasibility` returns, how they are made of what was found on
arrays, and how they are printed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pyomo.core.base.constraint import ConstraintData
from pyomo.core.base.var import VarData

from pyomo_j3o.core.html import html_paragraphs, html_table
from pyomo_j3o.core.problem import Problem
from pyomo_j3o.core.table import aligned
from pyomo_j3o.core.whole_numbers import is_whole
from pyomo_j3o.diagnosis.subsystems import Growth, InfeasibleSubsystem
from pyomo_j3o.diagnosis.system import Side
from pyomo_j3o.modeling.inverse import Inverse

#: In the cheapest change of all rows a relative change below this is rounding.
_NOISE = 1e-5

#: In sums of whole numbers a smaller relative change is rounding, and none below this size is.
_ROUNDING, _EXACT = 1e-15, 2.0**53


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
        Names of rows that tie one offloading variable to onloading ones (``y <= u x``), and of variables
        with bounds, without which the rows would not conflict.
    proven : bool
        Whether it is proven that none of the rows can be left out.
    """

    rows: tuple[ConflictingRow, ...]
    ties: tuple[str, ...] = ()
    proven: bool = True

    def __str__(self) -> str:
        return "\n".join(
            [*table_lines(self.rows), *beyond_onloading_lines(self.rows), *_lines_on_ties(self.ties)]
        )

    def _repr_html_(self) -> str:
        table = html_table(*_cells(self.rows)[:2]) if self.rows else ""
        return table + html_paragraphs(*beyond_onloading_lines(self.rows), *_lines_on_ties(self.ties))


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
            return f"Model '{self.model}' has a plan: nothing conflicts."
        if self.feasible is None:
            cause = "before Ctrl-C" if self.interrupted else "in time; raise time_limit"
            return f"Neither a plan nor a conflict of model '{self.model}' was found {cause}."
        n = len(self.conflicts)
        more = "" if self.complete else ", and there may be more"
        if n > 1:
            return f"Model '{self.model}' has no plan, for {n} reasons{more}."
        rows = len(self.conflicts[0].rows)
        alone = "one row cannot be satisfied" if rows == 1 else f"{rows} rows conflict"
        return f"Model '{self.model}' has no plan: {alone}{more}."

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
    ties = dict.fromkeys(component_of(inverse, side).name for side in conflict.ties)
    names = tuple(ties) if conflict.ties_irreducible else ()
    return Conflict(tuple(ordered), names, conflict.irreducible)


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
        name=component.name,
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


# --- text ----------------------------------------------------------------------------------------------


def table_lines(rows: Sequence[ConflictingRow], most: int | None = None) -> list[str]:
    """Return the rows of a conflict as aligned lines, those with a value first, others by component.

    Parameters
    ----------
    rows
        Of one conflict.
    most
        The largest number of lines of rows; None for all.
    """
    if not rows:
        return []
    head, lines, counts = _cells(rows)
    text = ["  " + line for line in aligned([head, *lines[:most]])]
    more = 0 if most is None else sum(counts[most:])
    return [*text, f"  and {more} more"] if more else text


def _cells(rows: Sequence[ConflictingRow]) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the head of the table of a conflict, its lines, and how many rows each line stands for."""
    with_enough = any(row.possible is not None for row in rows)
    # A change of several rows says something only where there are several.
    with_together = not with_enough or sum(_moves(row) for row in rows) > 1
    head = ["row", "now"]
    head += ["enough by itself"] if with_enough else []
    head += ["cheapest together"] if with_together else []
    groups = _alike(rows, with_enough, with_together)
    lines = [[*_name_and_now(members), *cells] for (_, _, _, *cells), members in groups.items()]
    return head, lines, [len(members) for members in groups.values()]


def _alike(
    rows: Sequence[ConflictingRow], with_enough: bool, with_together: bool
) -> dict[tuple[Any, ...], list[ConflictingRow]]:
    """Group the rows that fill one line of the table: those of a component that have no value to show.

    Returns
    -------
    dict
        The keys begin with three entries that tell the lines apart; the cells of the line follow.
    """
    groups: dict[tuple[Any, ...], list[ConflictingRow]] = {}
    for number, row in enumerate(sorted(rows, key=_cheapest_first)):
        cells = [_enough_cell(row)] if with_enough else []
        cells += [_together_cell(row)] if with_together else []
        without_value = row.enough is None and not (with_together and _moves(row))
        family = id(row.component.parent_component()) if without_value else -1 - number
        groups.setdefault((family, row.kind, row.relation, *cells), []).append(row)
    return groups


def _enough_cell(row: ConflictingRow) -> str:
    """Return the text on the value that is enough by itself."""
    if row.possible is None:
        return "not found in time"
    if row.enough is None:
        return "no value"
    return _changed(row, row.enough) + ("" if row.proven else ", maybe less")


def _together_cell(row: ConflictingRow) -> str:
    """Return the text on the value in the cheapest change of all rows."""
    if row.together is None:
        return "?"
    return _changed(row, row.together) if _moves(row) else "as it is"


def _name_and_now(rows: Sequence[ConflictingRow]) -> list[str]:
    """Return the first two cells of rows that are alike: their name, and the number that they have now."""
    first = rows[0]
    name = first.name
    if len(rows) > 1:
        name = f"{first.component.parent_component().name} ({len(rows)} of them)"
    name += "" if first.kind == "row" else f" ({first.kind})"
    now = {_side_now(row) for row in rows}
    return [name, f"{first.relation} {now.pop()}" if len(now) == 1 else first.relation]


def _side_now(row: ConflictingRow) -> str:
    """Return the side of now, with the digits that tell it from what is enough."""
    if float(row.now).is_integer() and abs(row.now) < _EXACT:
        return f"{row.now:.0f}"
    changes = [abs(then - row.now) for then in (row.enough, row.together) if then is not None]
    changes = [change for change in changes if change > _ROUNDING * abs(row.now)]
    most = 0.1 * min(changes, default=math.inf)
    return _shortest(row.now, 4, lambda shown: abs(shown - row.now) <= most)


def _shortest(value: float, digits: int, good: Callable[[float], bool]) -> str:
    """Return a number in the fewest digits, `digits` or more, that make it good."""
    texts = (f"{value:.{places}g}" for places in range(digits, 17))
    return next((text for text in texts if good(float(text))), repr(value))


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
    if row.whole and row.together is not None:
        return abs(row.together - row.now) > _ROUNDING * size
    return row.together is not None and abs(row.together - row.now) > _NOISE * size


def beyond_onloading_lines(rows: Sequence[ConflictingRow]) -> list[str]:
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
    if abs(change) <= (_ROUNDING if row.whole else 1e-13) * (abs(now) or 1.0):
        return "as it is"
    share = f", {100 * change / abs(now):+.3g} %" if now and not row.beyond_onloading else ""
    return f"{_safe(row, then)} ({change:+.4g}{share})"


def _safe(row: ConflictingRow, then: float) -> str:
    """Return a new value in few digits, rounded away from what is not enough."""
    change = then - row.now
    if then.is_integer() and abs(then) < _EXACT:
        return f"{then:.0f}"
    # Four digits of the change are shown. The value is rounded away from what is not enough.
    decimals = max(0, 3 - math.floor(math.log10(abs(change))))
    step = 10.0**-decimals
    beyond = math.ceil if change > 0 else math.floor
    safe = beyond(then / step - math.copysign(1e-6, change)) * step
    if row.whole and abs(safe - then) > 1e-6 * step:
        safe = then
    return _shortest(safe, 12, lambda shown: abs(shown - safe) <= 1e-2 * step)


def _lines_on_ties(ties: Sequence[str]) -> list[str]:
    """Return a line that names what ties the rows together, by component."""
    if not ties:
        return []
    families = Counter(name.split("[")[0] if "[" in name else name for name in ties)
    named = ", ".join(
        next(name for name in ties if name.startswith(family)) if n == 1 else f"{family} ({n} of them)"
        for family, n in families.items()
    )
    return [f"  Along with {named}."]
