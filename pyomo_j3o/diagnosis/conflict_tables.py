"""The rows of a conflict as a table: values in few digits, none of them short of what is enough."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pyomo_j3o.core.table import aligned

if TYPE_CHECKING:
    from pyomo_j3o.diagnosis.explanation import ConflictingRow

#: In the cheapest change of all rows a relative change below this is rounding.
_NOISE = 1e-5

#: In sums of whole numbers a smaller relative change is rounding, and none below this size is.
_ROUNDING, _EXACT = 1e-15, 2.0**53


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
    head, lines, counts = cells_of(rows)
    text = ["  " + line for line in aligned([head, *lines[:most]])]
    more = 0 if most is None else sum(counts[most:])
    return [*text, f"  and {more} more"] if more else text


def cells_of(rows: Sequence[ConflictingRow]) -> tuple[list[str], list[list[str]], list[int]]:
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


def lines_on_ties(ties: Sequence[str]) -> list[str]:
    """Return a line that names what ties the rows together, by component."""
    if not ties:
        return []
    families = Counter(name.split("[")[0] if "[" in name else name for name in ties)
    named = ", ".join(
        next(name for name in ties if name.startswith(family)) if n == 1 else f"{family} ({n} of them)"
        for family, n in families.items()
    )
    return [f"  Along with {named}."]
