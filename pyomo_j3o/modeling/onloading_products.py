"""Products of two onloading variables, as co-location has them, in a linear form that is exact.

A product of a binary x and another onloading variable n within ``l <= n <= u`` becomes a new offloading
variable z. These rows make it the product at any binary x (McCormick 1976, DOI 10.1007/BF01580665; for two
binaries Fortet 1960)::

    l x <= z <= u x
    n - u (1 - x) <= z <= n - l (1 - x)

Of a product that only helps where it is large, the rows that keep it from being too small are left out, and
the other way round: no best plan needs them.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.block import Block

from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Products
from pyomo_j3o.errors import UnsupportedTermError
from pyomo_j3o.modeling.auxiliary import new_block, sum_of
from pyomo_j3o.modeling.columns import Columns
from pyomo_j3o.modeling.figures import Figures, Linear
from pyomo_j3o.modeling.naming import called
from pyomo_j3o.modeling.rows import Rows

#: What the block with the new variables and rows is called.
BLOCK = "j3o_products"


class Pairs(NamedTuple):
    """Products of two different onloading variables; all arrays (P,).

    Attributes
    ----------
    gate, other
        Positions of a binary factor, and of the other one.
    lower, upper
        Of the other factor.
    above, below
        Whether the product has to be kept from being too large, and from being too small.
    """

    gate: IntArray
    other: IntArray
    lower: FloatArray
    upper: FloatArray
    above: BoolArray
    below: BoolArray


def in_question(figures: Figures, columns: Columns) -> BoolArray:
    """Return which products have two free onloading variables as their factors."""
    first, second = figures.products.onloading, figures.products.offloading
    free = columns.is_onloading & ~columns.fixed
    return free[first] & free[second]


def pairs_of(
    rows: Rows, figures: Figures, columns: Columns, mine: BoolArray, both_sides: bool
) -> tuple[Pairs, Figures, IntArray]:
    """Return the products that need a variable of their own, and the figures without them.

    Parameters
    ----------
    rows, figures, columns
        As read.
    mine
        Which products of the figures have two onloading factors.
    both_sides
        Whether all rows are to be kept, those that no best plan needs, too.

    Returns
    -------
    Pairs
    Figures
        Squares of binary variables are linear terms in them.
    IntArray
        The product, among the pairs, of each of the products in question that is none of these squares.

    Raises
    ------
    UnsupportedTermError
        If no factor is binary.
    """
    terms = figures.products
    first, second = terms.onloading[mine], terms.offloading[mine]
    row, coefficient = terms.row[mine], terms.coefficient[mine]
    known = np.unique(np.concatenate([first, second]))
    low, high = np.zeros(len(columns.variables)), np.zeros(len(columns.variables))
    low[known], high[known] = columns.onloading_bounds(known)
    binary = (low >= 0.0) & (high <= 1.0)
    for k in np.flatnonzero(~binary[first] & ~binary[second])[:1]:
        names = f"{columns.variables[first[k]].name}*{columns.variables[second[k]].name}"
        raise UnsupportedTermError(
            f"{called(rows.owner(int(row[k])))} holds the term {names}, and neither factor is binary; write "
            "one of them as a weighted sum of Binary variables, onloading"
        )
    square = first == second
    linear = Linear(
        np.concatenate([figures.linear.row, row[square]]),
        np.concatenate([figures.linear.column, first[square]]),
        np.concatenate([figures.linear.coefficient, coefficient[square]]),
    )
    rest = Products(
        terms.row[~mine], terms.onloading[~mine], terms.offloading[~mine], terms.coefficient[~mine]
    )
    first, second, row, coefficient = (part[~square] for part in (first, second, row, coefficient))
    swap = ~binary[first] | (binary[second] & (second < first))
    gate, other = np.where(swap, second, first), np.where(swap, first, second)
    _, place, number = np.unique(
        gate * len(columns.variables) + other, return_index=True, return_inverse=True
    )
    above, below = _sides_needed(figures, row, coefficient, number, len(place))
    if both_sides:
        above[:], below[:] = True, True
    gate, other = gate[place], other[place]
    pairs = Pairs(gate, other, low[other], high[other], above, below)
    return pairs, Figures(figures.constant, linear, rest, figures.lower, figures.upper), number


def _sides_needed(
    figures: Figures, row: IntArray, coefficient: FloatArray, number: IntArray, n_pairs: int
) -> tuple[BoolArray, BoolArray]:
    """Return whether a plan could gain by a product that is too large, and by one that is too small."""
    # The objective is maximised: it gains like a row that has to be at least something.
    at_least = np.append(np.isfinite(figures.lower), True)[row]
    at_most = np.append(np.isfinite(figures.upper), False)[row]
    positive = coefficient > 0
    above, below = np.zeros(n_pairs, dtype=bool), np.zeros(n_pairs, dtype=bool)
    above[number[np.where(positive, at_least, at_most)]] = True
    below[number[np.where(positive, at_most, at_least)]] = True
    return above, below


def block_of(pairs: Pairs, columns: Columns) -> Block:
    """Return the block with a variable, and its rows, for every pair."""
    variables = columns.variables
    names = [(variables[i].name, variables[j].name) for i, j in zip(pairs.gate, pairs.other, strict=True)]
    met = Counter(names)
    # Variables of several models may have one name.
    keys = [(*name, k) if met[name] > 1 else name for k, name in enumerate(names)]
    block = new_block(BLOCK, "products of two onloading variables")
    lower, upper = np.minimum(pairs.lower, 0.0).tolist(), np.maximum(pairs.upper, 0.0).tolist()
    block.product = pyo.Var(keys, bounds=dict(zip(keys, zip(lower, upper, strict=True), strict=True)))
    ties: dict[str, dict[Any, Any]] = {
        "link_upper": {},
        "mccormick_upper": {},
        "link_lower": {},
        "mccormick_lower": {},
    }
    for key, i, j, low, high, above, below in zip(keys, *pairs, strict=True):
        x, n, z, low, high = variables[i], variables[j], block.product[key], float(low), float(high)
        if above:
            if high:
                ties["link_upper"][key] = (None, sum_of((1.0, z), (-high, x)), 0.0)
            three = ((1.0, z), (-1.0, n), *(((-low, x),) if low else ()))
            ties["mccormick_upper"][key] = (None, sum_of(*three), -low + 0.0)
        if below:
            if low:
                ties["link_lower"][key] = (0.0, sum_of((1.0, z), (-low, x)), None)
            three = ((1.0, z), (-1.0, n), *(((-high, x),) if high else ()))
            ties["mccormick_lower"][key] = (-high + 0.0, sum_of(*three), None)
    for name, rows in ties.items():
        if rows:
            block.add_component(name, pyo.Constraint(pyo.Any, rule=rows))
    return block
