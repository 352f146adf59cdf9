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
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.block import Block

from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray, Products
from pyomo_j3o.errors import UnsupportedTermError
from pyomo_j3o.modeling.auxiliary import PRODUCTS, new_block, sum_of
from pyomo_j3o.modeling.columns import Columns
from pyomo_j3o.modeling.figures import Figures
from pyomo_j3o.modeling.naming import called
from pyomo_j3o.modeling.rows import Rows


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


class Terms(NamedTuple):
    """Where products stand: coefficient times the pair of a number in a row; all arrays of one length."""

    row: IntArray
    pair: IntArray
    coefficient: FloatArray


def in_question(figures: Figures, columns: Columns) -> BoolArray:
    """Return which products have two free onloading variables as their factors."""
    terms = figures.products
    free = columns.is_onloading & ~columns.fixed
    return free[terms.onloading] & free[terms.offloading] & (terms.coefficient != 0.0)


def pairs_of(
    rows: Rows, figures: Figures, columns: Columns, mine: BoolArray, both_sides: bool
) -> tuple[Pairs, Terms, Figures]:
    """Return the products that need a variable of their own, where they stand, and the figures without them.

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
    Terms
    Figures
        Squares of binary variables are linear terms in them.

    Raises
    ------
    UnsupportedTermError
        If no factor is binary.
    """
    terms, size = figures.products, len(columns.variables)
    factors = np.sort(np.stack([terms.onloading[mine], terms.offloading[mine]]), axis=0)
    # Products that cancel are none, whatever their factors.
    place = (terms.row[mine] * size + factors[0]) * size + factors[1]
    place, found = np.unique(place, return_inverse=True)
    coefficient = np.bincount(found, terms.coefficient[mine], minlength=len(place))
    place, coefficient = place[coefficient != 0.0], coefficient[coefficient != 0.0]
    row, first, second = place // size**2, place // size % size, place % size
    known = np.unique(np.concatenate([first, second]))
    low, high = np.zeros(size), np.zeros(size)
    low[known], high[known] = columns.onloading_bounds(known)
    binary = (low >= 0.0) & (high <= 1.0)
    for k in np.flatnonzero(~binary[first] & ~binary[second])[:1]:
        names = f"{columns.variables[first[k]].name}*{columns.variables[second[k]].name}"
        raise UnsupportedTermError(
            f"{called(rows.owner(int(row[k])))} holds the term {names}, and neither factor is binary; write "
            "one of them as a weighted sum of Binary variables, onloading"
        )
    square, stay = first == second, ~mine
    rest = replace(
        figures,
        linear=figures.linear.and_also(row[square], first[square], coefficient[square]),
        products=Products(
            terms.row[stay], terms.onloading[stay], terms.offloading[stay], terms.coefficient[stay]
        ),
    )
    first, second, row, coefficient = (part[~square] for part in (first, second, row, coefficient))
    pair, number = np.unique(first * size + second, return_inverse=True)
    first, second = pair // size, pair % size
    gate, other = np.where(binary[first], first, second), np.where(binary[first], second, first)
    where = Terms(row, number, coefficient)
    above, below = _sides_needed(figures, where, len(pair))
    if both_sides:
        above[:], below[:] = True, True
    return Pairs(gate, other, low[other], high[other], above, below), where, rest


def _sides_needed(figures: Figures, where: Terms, n_pairs: int) -> tuple[BoolArray, BoolArray]:
    """Return whether a plan could gain by a product that is too large, and by one that is too small."""
    # The objective is maximised: it gains like a row that has to be at least something.
    at_least = np.append(np.isfinite(figures.lower), True)[where.row]
    at_most = np.append(np.isfinite(figures.upper), False)[where.row]
    positive = where.coefficient > 0.0
    above, below = np.zeros(n_pairs, dtype=bool), np.zeros(n_pairs, dtype=bool)
    above[where.pair[np.where(positive, at_least, at_most)]] = True
    below[where.pair[np.where(positive, at_most, at_least)]] = True
    return above, below


def block_of(pairs: Pairs, columns: Columns) -> Block:
    """Return the block with a variable, and its rows, for every pair."""
    variables = columns.variables
    names = [(variables[i].name, variables[j].name) for i, j in zip(pairs.gate, pairs.other, strict=True)]
    met = Counter(names)
    # Variables of several models may have one name.
    keys = [(*name, k) if met[name] > 1 else name for k, name in enumerate(names)]
    block = new_block(PRODUCTS, "products of two onloading variables")
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
