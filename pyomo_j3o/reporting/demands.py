"""What is routed: the demand that an offloading variable serves, its share of it, and who carries it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.reporting.fullness import AT_LEAST, AT_MOST, EQUAL, Fullness, Signs
from pyomo_j3o.reporting.held_plan import HeldPlan

#: How much two coefficients may differ and count as equal.
_EQUAL = 1e-9


@dataclass(frozen=True, slots=True)
class Demands:
    """Who serves which demand.

    Attributes
    ----------
    row : (V,)
        The demand row of each variable, -1 without one.
    share : (V,)
        What the variable adds to that row, over the row's limit; NaN without one.
    whole : (V,)
        The value of the variable that would serve all of its demand; infinite without one.
    is_demand : (R,)
        Whether a row is the demand row of a variable.
    """

    row: IntArray
    share: FloatArray
    whole: FloatArray
    is_demand: BoolArray


def demands_of(plan: HeldPlan, signs: Signs, rows: Fullness, component: IntArray) -> Demands:
    """Return the demand row of each offloading variable.

    A demand row has offloading variables alone, all with the sign of its right-hand side, and is an equation
    or a least amount. A row ``sum(y) <= 1``, in which all coefficients are the limit, says the same of a
    demand that may stay unserved. A component with a row of mixed signs keeps a balance: none of its rows is
    a demand. If a variable is in several demand rows, an equation comes before a least amount, and the
    component that covers most variables before the others.

    Parameters
    ----------
    plan, signs, rows
        The rows, and how full they are.
    component : (R,)
        Number of the component of each row.
    """
    terms, n_rows = plan.entries, plan.n_rows
    inside = terms.row < n_rows
    row, column = terms.row[inside], terms.column[inside]
    coefficient = signs.turned[row] * terms.coefficient[inside]
    pure = (signs.routed > 0) & (signs.routed_negative == 0) & (signs.placed == 0) & (rows.own_limit > 0)
    balance = (signs.routed_negative > 0) & (signs.routed_negative < signs.routed)
    pure &= ~np.isin(component, component[balance])
    unlike = np.zeros(n_rows, dtype=bool)
    # A product whose onloading variable is 0 has no coefficient now.
    differs = np.abs(coefficient - rows.limit[row]) > _EQUAL * rows.limit[row]
    unlike[row[differs & (coefficient != 0)]] = True
    packs = (rows.relation == AT_MOST) & ~unlike & (signs.routed > 1)
    rank = np.where(rows.relation == EQUAL, 0, np.where(rows.relation == AT_LEAST, 1, 2))
    candidate = pure & ((rows.relation != AT_MOST) | packs)

    mine = candidate[row]
    row, column, coefficient = row[mine], column[mine], coefficient[mine]
    covers = np.bincount(component[row], minlength=int(component.max(initial=-1)) + 1)
    order = np.lexsort((row, -covers[component[row]], rank[row], column))
    chosen = order[np.flatnonzero(np.diff(column[order], prepend=-1))]
    demand = np.full(len(plan.variables), -1, dtype=np.int64)
    demand[column[chosen]] = row[chosen]
    share = np.full(len(plan.variables), np.nan)
    # A variable may be in its row with several products.
    own = demand[column] == row
    added = np.bincount(
        column[own], (coefficient * plan.value[column] / rows.limit[row])[own], minlength=len(share)
    )
    share[demand >= 0] = added[demand >= 0] + 0.0
    whole = np.full(len(plan.variables), np.inf)
    own &= coefficient > 0
    whole[column[own]] = (rows.limit[row] / np.where(own, coefficient, 1.0))[own]
    is_demand = np.zeros(n_rows, dtype=bool)
    is_demand[demand[demand >= 0]] = True
    return Demands(demand, share, whole, is_demand)


def links_of(plan: HeldPlan, signs: Signs, rows: Fullness, demands: Demands) -> BoolArray:
    """Return which rows are links, (R,): they tie a variable to an onloading one, and limit nothing else.

    Such a row is ``y <= u x`` in which u is no less than all of y's demand, or than y's upper bound; or a
    precedence ``x_a <= x_b``. With a smaller u it is a limit.
    """
    gives = (signs.placed_negative == 1) & (rows.own_limit == 0) & (rows.relation != EQUAL)
    opens = gives & (signs.placed == 1) & (signs.routed == 1) & (signs.routed_negative == 0)
    terms, n_rows = plan.entries, plan.n_rows
    mine = np.append(opens, False)[terms.row]
    row, column = terms.row[mine], terms.column[mine]
    coefficient = np.abs(terms.coefficient[mine])
    is_x = plan.onloading[column] & ~terms.product[mine]
    room = np.zeros(n_rows)
    room[row[is_x]] = coefficient[is_x]
    row, column, coefficient = row[~is_x], column[~is_x], coefficient[~is_x]
    most = demands.whole[column]
    bounds = [plan.variables[i].ub for i in column.tolist()]
    most = np.minimum(most, np.array([np.inf if ub is None else ub for ub in bounds], dtype=float))
    link: BoolArray = gives & (signs.placed == 2) & (signs.routed == 0)
    link[row[coefficient * most <= room[row] * (1 + _EQUAL)]] = True
    return link


@dataclass(frozen=True, slots=True)
class Carried:
    """What goes through each onloading variable.

    Attributes
    ----------
    possible, serves : (V,)
        Numbers of the offloading variables that it opens, and of those that are routed.
    amount : (V,)
        Sum of the values of these.
    """

    possible: IntArray
    serves: IntArray
    amount: FloatArray


def carried(plan: HeldPlan, signs: Signs, rows: Fullness, routed: BoolArray) -> Carried:
    """Return what goes through each onloading variable.

    It opens an offloading variable by a row in which it alone gives room, ``y <= x`` or
    ``sum(y) <= cap x``, or by a product with it.

    Parameters
    ----------
    plan, signs, rows
        The rows, and how full they are.
    routed : (V,)
        Which offloading variables are not 0.
    """
    terms, n_rows, n = plan.entries, plan.n_rows, len(plan.variables)
    opens = (signs.placed == 1) & (signs.placed_negative == 1) & (signs.routed > 0)
    opens &= (signs.routed_negative == 0) & (rows.relation != AT_LEAST) & (rows.own_limit == 0)
    in_link = np.append(opens, False)[np.minimum(terms.row, n_rows)] & ~terms.product
    row, column = terms.row[in_link], terms.column[in_link]
    is_x = plan.onloading[column]
    opener = np.full(n_rows + 1, -1, dtype=np.int64)
    opener[row[is_x]] = column[is_x]
    products = plan.products
    x = np.concatenate([opener[row[~is_x]], products.onloading])
    y = np.concatenate([column[~is_x], products.offloading])
    pairs = np.unique(x * n + y)
    x, y = pairs // n, pairs % n
    kept = ~plan.onloading[y]
    x, y = x[kept], y[kept]
    live = routed[y] & (plan.value[x] > 0.5)
    return Carried(
        np.bincount(x, minlength=n),
        np.bincount(x[live], minlength=n),
        np.bincount(x[live], plan.value[y[live]], minlength=n).astype(float),
    )


def routed_variables(plan: HeldPlan, component: IntArray, trace: float) -> BoolArray:
    """Return which offloading variables route something, (V,).

    Parameters
    ----------
    plan
        With its values.
    component : (V,)
        Number of the component of each variable.
    trace
        Fraction of 1, or of the largest value of a component where that is smaller, that counts as 0.
    """
    size = np.where(np.isfinite(plan.value), np.abs(plan.value), 0.0)
    candidates = plan.occurs & ~plan.onloading
    largest = np.zeros(int(component.max(initial=-1)) + 1)
    np.maximum.at(largest, component[candidates], size[candidates])
    routed = candidates & (size > trace * np.minimum(1.0, largest[component]))
    # In products alone, a variable whose onloading factors are 0 does nothing, whatever its value is.
    terms = plan.entries
    acts = np.zeros(len(routed), dtype=bool)
    acts[terms.column[terms.coefficient != 0]] = True
    return routed & acts
