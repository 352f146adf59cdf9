"""How full each row is: what it uses, its limit, and whether it binds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyomo_j3o.core.problem import TOLERANCE, BoolArray, FloatArray, IntArray
from pyomo_j3o.reporting.held_plan import HeldPlan
from pyomo_j3o.reporting.params import ReportParams

#: Relations of what a row uses to its limit.
AT_MOST, AT_LEAST, EQUAL = 0, 1, 2
RELATIONS = ("<=", ">=", "=")

#: What rounding leaves of a sum, per unit of its terms' sizes together.
_ROUNDING = 8 * 2.0**-52


@dataclass(frozen=True, slots=True)
class Signs:
    """Which signs the terms of each row have, once the row is turned; all arrays (R,).

    Attributes
    ----------
    turned
        +1, or -1 where the row is read with all signs changed: ``cap x - sum(y) >= 0`` as
        ``sum(y) - cap x <= 0``.
    routed, routed_negative
        Numbers of the offloading terms and products, and of the negative ones.
    placed, placed_negative
        Numbers of the onloading terms.
    """

    turned: IntArray
    routed: IntArray
    routed_negative: IntArray
    placed: IntArray
    placed_negative: IntArray

    @classmethod
    def of(cls, plan: HeldPlan) -> Signs:
        """Return the signs of the rows of a plan."""
        terms, n_rows = plan.entries, plan.n_rows
        inside = terms.row < n_rows
        row, negative = terms.row[inside], terms.coefficient[inside] < 0
        placed = plan.onloading[terms.column[inside]] & ~terms.product[inside]

        def count(mask: BoolArray) -> IntArray:
            return np.bincount(row[mask], minlength=n_rows)

        y, y_negative = count(~placed), count(~placed & negative)
        x, x_negative = count(placed), count(placed & negative)
        mixed = (y_negative > 0) & (y_negative < y)
        turn = np.where(y > 0, y_negative == y, (x > 0) & (x_negative == x))
        turn |= mixed & (x > 0) & (x_negative == 0) & np.isinf(plan.upper)
        return cls(
            np.where(turn, -1, 1),
            y,
            np.where(turn, y - y_negative, y_negative),
            x,
            np.where(turn, x - x_negative, x_negative),
        )


@dataclass(frozen=True, slots=True)
class Fullness:
    """What each row uses of its limit; all arrays (R,).

    Negative onloading terms count as a part of the limit: of ``sum(y) - cap x <= 0`` the use is ``sum(y)``
    and the limit ``cap x``.

    Attributes
    ----------
    used, limit
        Both sides of the row.
    own_limit
        The limit without its onloading terms.
    relation
        `AT_MOST`, `AT_LEAST` or `EQUAL`: of `used` to `limit`.
    slack
        Distance to the limit, negative where it is missed.
    fullness
        Use over limit, of a row `AT_LEAST` limit over use; above 1 where the row is missed, NaN where there
        is no such ratio.
    binds, missed
        Whether the row has no slack, and whether the plan misses it; up to rounding.
    closed
        Whether the limit is nothing because nothing is placed, and nothing is used.
    """

    used: FloatArray
    limit: FloatArray
    own_limit: FloatArray
    relation: IntArray
    slack: FloatArray
    fullness: FloatArray
    binds: BoolArray
    missed: BoolArray
    closed: BoolArray


def fullness_of(plan: HeldPlan, signs: Signs, params: ReportParams) -> Fullness:
    """Return how full the rows of a plan are.

    Parameters
    ----------
    plan
        With a value for each variable that occurs.
    signs
        Of its rows.
    params
        How close to its limit a row binds.
    """
    n_rows, terms = plan.n_rows, plan.entries
    turned = signs.turned
    total = turned * (plan.bodies[:n_rows] - plan.constant[:n_rows])
    lower = np.where(turned > 0, plan.lower, -plan.upper) - turned * plan.constant[:n_rows]
    upper = np.where(turned > 0, plan.upper, -plan.lower) - turned * plan.constant[:n_rows]
    inside = terms.row < n_rows
    row, column, coefficient = terms.row[inside], terms.column[inside], terms.coefficient[inside]
    gives = plan.onloading[column] & ~terms.product[inside] & (turned[row] * coefficient < 0)
    given = -np.bincount(
        row[gives], (turned[row] * coefficient * plan.value[column])[gives], minlength=n_rows
    )
    used = total + given
    over, under = used - (upper + given), (lower + given) - used
    above = over >= under  # nearer to its upper side
    own_limit = np.where(above, upper, lower)
    limit = own_limit + given
    relation = np.where(lower == upper, EQUAL, np.where(above, AT_MOST, AT_LEAST))
    miss = np.maximum(over, under)
    sides = np.maximum(_finite(lower), _finite(upper))
    size = np.maximum(np.minimum(1.0, _largest(plan)), np.maximum(np.abs(total), sides))
    allowed = np.maximum(TOLERANCE * size, _ROUNDING * plan.sizes[:n_rows])
    missed = miss > allowed
    scale = np.maximum(np.abs(limit), np.abs(used))
    closed = (signs.placed_negative > 0) & (np.abs(limit) <= allowed) & (np.abs(used) <= allowed)
    whole, part = np.where(relation == AT_LEAST, used, limit), np.where(relation == AT_LEAST, limit, used)
    ratio = (whole > allowed) & (part >= -allowed)
    return Fullness(
        used=used + 0.0,
        limit=np.asarray(limit + 0.0, dtype=float),
        own_limit=own_limit + 0.0,
        relation=relation,
        slack=-miss + 0.0,
        fullness=np.divide(np.maximum(part, 0.0), whole, out=np.full(n_rows, np.nan), where=ratio),
        binds=~missed & ~closed & (-miss <= np.maximum(allowed, params.binding * scale)),
        missed=missed,
        closed=closed,
    )


def _finite(side: FloatArray) -> FloatArray:
    return np.where(np.isfinite(side), np.abs(side), 0.0)


def _largest(plan: HeldPlan) -> FloatArray:
    """Return the largest absolute coefficient of each row, (R,)."""
    largest = np.zeros(plan.n_rows + 1)
    terms = plan.entries
    np.maximum.at(largest, terms.row, np.abs(terms.coefficient))
    return largest[:-1]
