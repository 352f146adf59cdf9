"""What is shown of rows that have to move: the factor, each side and its new place, and what is proven."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pyomo.core.base.constraint import ConstraintData

from pyomo_j3o.core.html import html_paragraphs
from pyomo_j3o.core.problem import FloatArray
from pyomo_j3o.core.table import Table
from pyomo_j3o.diagnosis.explanation import Explanation
from pyomo_j3o.errors import ModelError
from pyomo_j3o.modeling.inverse import Inverse
from pyomo_j3o.modeling.naming import beginning, of_name

#: A factor is proven if no smaller one by more than this part of it is enough.
_PROVEN = 1e-4

#: What is enough is enlarged by this part of the factor, as solvers hold rows within tolerances; what is
#: proven is lowered by as much.
MARGIN = 1e-6

#: Printed numbers have this number of digits, without that margin, rounded to the side that is enough. This
#: part of the last digit is rounding of the LP.
_DIGITS, _ROUNDING = 6, 0.01


@dataclass(frozen=True)
class RelaxedRow:
    """One side of a row that was named.

    Attributes
    ----------
    name : str
        Of the constraint.
    component : ConstraintData
        Itself.
    relation : str
        ``"<="`` or ``">="``; an equation has a row for each.
    now : float
        The side as the model has it. Constants of the body and fixed variables stay in the body.
    enough : float
        Where it has to move: ``component.set_value(component.body <= enough)``.
    used : float
        What the body is in a plan that this leaves: short of `enough`, the row could move less.
    """

    name: str
    component: ConstraintData = field(repr=False, compare=False)
    relation: str
    now: float
    enough: float
    used: float

    @property
    def share(self) -> float:
        """By what share of its size the side moves outwards."""
        return abs(self.enough - self.now) / abs(self.now)


@dataclass(frozen=True)
class RelaxedRows:
    """By how much rows that were named have to move to leave a plan. Printing it gives a table.

    A side moves outwards by a share t of its size: a side b of ``<=`` becomes b + t abs(b), and a side b of
    ``>=`` becomes b - t abs(b). An equation moves to both sides, and becomes a range.

    Attributes
    ----------
    model : str
        Its name.
    together : bool
        Whether all sides move by one share.
    feasible : bool or None
        True if the model has a plan as it is; None if time ended before that was known.
    possible : bool or None
        Whether any move of these rows is enough; None if time ended first.
    rows : tuple of RelaxedRow
        In the order of the model. Empty if nothing is known to be enough.
    share : float
        Together, the share that is enough, else the sum of the shares. NaN without one.
    at_least : float
        Proven: no smaller share, or sum of shares, is enough. Infinite if none is.
    interrupted : bool
        Whether Ctrl-C ended the search.
    rest : Explanation or None
        Where no move is enough, why the model without these rows has no plan.
    notes : tuple of str
        What else there is to know.
    plan : tuple or None
        The plan that the move leaves: the way back to the model, x and y. `load_plan` loads it.
    """

    model: str
    together: bool
    feasible: bool | None
    possible: bool | None
    rows: tuple[RelaxedRow, ...] = ()
    share: float = math.nan
    at_least: float = 0.0
    interrupted: bool = False
    rest: Explanation | None = None
    notes: tuple[str, ...] = ()
    plan: tuple[Inverse, FloatArray, FloatArray] | None = field(default=None, repr=False, compare=False)

    def load_plan(self) -> None:
        """Give the model's variables the plan that the move leaves: a start for a solve with the new sides.

        Near the least move plans are rare. With ``warm_start=True`` the solve begins with this one.

        Raises
        ------
        ModelError
            No move is known that is enough.
        """
        if self.plan is None:
            raise ModelError(f"no plan of {of_name(self.model)} is known with these rows moved; see message")
        inverse, x, y = self.plan
        inverse.load(x, y)

    @property
    def factor(self) -> float:
        """1 plus the share: together, what sides that grow have to be multiplied by. NaN if none is known."""
        return 1.0 + self.share

    @property
    def least_factor(self) -> float:
        """1 plus the share that is proven: no smaller factor is enough."""
        return 1.0 + self.at_least

    @property
    def proven(self) -> bool:
        """Whether no smaller factor is enough, up to 0.01 % of it, or none is at all."""
        return self.possible is False or self.factor - self.least_factor <= _PROVEN * self.factor

    @property
    def table(self) -> Table:
        """One row per side: ``row``, ``relation``, ``now``, ``enough``, ``used`` at the plan found."""
        columns = ("row", "relation", "now", "enough", "used")
        cells = [(row.name, row.relation, row.now, row.enough, row.used) for row in self.rows]
        return Table(columns, [dict(zip(columns, line, strict=True)) for line in cells])

    @property
    def message(self) -> str:
        """One or two sentences."""
        name = beginning(of_name(self.model))
        if self.feasible:
            return f"{name} has a plan as it is: no row has to move."
        if self.possible is False:
            return f"{name} has no plan, however far these rows move: the others conflict by themselves."
        if self.possible is None:
            cause = "before Ctrl-C" if self.interrupted else "in time; raise time_limit"
            return f"{name}: no move of these rows that is enough was found {cause}. {self._of_bound()}."
        return f"{name} has a plan once {self._what()}. {self._of_proof()}"

    def _what(self) -> str:
        """Return what has to happen to the rows."""
        if not self.together:
            return "sides have moved as below"
        grow = all((row.relation == "<=") == (row.now > 0) for row in self.rows)
        if grow:
            return f"the sides of {_families(self.rows)} are {_up(self.factor)} times what they are"
        return f"the sides of {_families(self.rows)} have moved outwards by {_percent(self.factor)}"

    def _of_proof(self) -> str:
        if self.proven:
            return "That is proven: less is not enough."
        cause = "Ctrl-C came before a proof" if self.interrupted else "That is not proven to be the least"
        return f"{cause}. {self._of_bound()}."

    def _of_bound(self) -> str:
        if not self.together:
            return f"It is proven that less than {100 * self.at_least:.4g} % in all is not enough"
        return f"It is proven that a factor below {_down(self.least_factor)} is not enough"

    def __str__(self) -> str:
        lines = [self.message]
        if self.rows and not self.feasible:
            lines += ["", str(self.table)]
        if self.rest is not None:
            lines += ["", str(self.rest)]
        return "\n".join([*lines, *self.notes])

    def _repr_html_(self) -> str:
        table = self.table._repr_html_() if self.rows and not self.feasible else ""
        rest = "" if self.rest is None else self.rest._repr_html_()
        return html_paragraphs(self.message) + table + rest + html_paragraphs(*self.notes)


def _families(rows: Sequence[RelaxedRow]) -> str:
    """Return the rows by component: "ingress (12 rows) and peering[3]"."""
    families = {row.name: row.component.parent_component().name for row in rows}
    count = Counter(families.values())
    name_in = {family: name for name, family in families.items()}
    parts = [name_in[family] if n == 1 else f"{family} ({n} rows)" for family, n in count.items()]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _up(value: float) -> str:
    """Return a factor that is enough in few digits, rounded up."""
    return _in_digits(value / (1 + MARGIN), lambda scaled: math.ceil(scaled - _ROUNDING))


def _down(value: float) -> str:
    """Return a factor that is proven in few digits, rounded down."""
    return _in_digits(value / (1 - MARGIN), lambda scaled: math.floor(scaled + _ROUNDING))


def _percent(factor: float) -> str:
    """Return the share of a factor that is enough in percent, rounded up."""
    share = 100 * (factor / (1 + MARGIN) - 1)
    return f"{_in_digits(share, lambda scaled: math.ceil(scaled - _ROUNDING))} %"


def _in_digits(value: float, rounded: Callable[[float], int]) -> str:
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    unit = 10.0 ** (math.floor(math.log10(abs(value))) + 1 - _DIGITS)
    return f"{rounded(value / unit) * unit:.{_DIGITS}g}"
