"""Special ordered sets (`SOSConstraint`) in a linear form that is exact.

With ``l <= y <= u`` for each member, and indicators z that are binary and onloading (Beale and Tomlin 1970;
Vielma and Nemhauser 2011, DOI 10.1007/s10107-009-0295-4)::

    level 1:  l_k z_k <= y_k <= u_k z_k,                            sum of z <= 1
    level 2:  l_k (z_(k-1) + z_k) <= y_k <= u_k (z_(k-1) + z_k),    sum of z <= 1

In a set of level 2, z_k stands for the neighbours k and k + 1. A binary member of a set of level 1 is its own
indicator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.block import Block, BlockData
from pyomo.core.base.sos import SOSConstraint, SOSConstraintData
from pyomo.core.base.var import VarData
from pyomo.core.expr.numvalue import value
from scipy import sparse

from pyomo_j3o.core.implied_ends import implied_ends
from pyomo_j3o.core.problem import BoolArray, FloatArray, IntArray
from pyomo_j3o.errors import ModelError
from pyomo_j3o.modeling.auxiliary import SETS, ZERO, new_block, sum_of
from pyomo_j3o.modeling.columns import Columns
from pyomo_j3o.modeling.expressions import value_of_fixed
from pyomo_j3o.modeling.figures import Figures
from pyomo_j3o.modeling.naming import called, float_or_nan

#: A bound of this size is none.
_INFINITE = 1e20


def special_sets(model: BlockData) -> list[SOSConstraintData]:
    """Return the active special ordered sets of a model."""
    return list(model.component_data_objects(SOSConstraint, active=True))


def members_of(one: SOSConstraintData) -> list[VarData]:
    """Return the members of a set in the order of their weights.

    Raises
    ------
    ModelError
        If a weight is no number, or the level is neither 1 nor 2.
    """
    items = [(float_or_nan(value(weight, exception=False)), variable) for variable, weight in one.get_items()]
    for weight, variable in items:
        if np.isnan(weight):
            raise ModelError(
                f"{called(one)} gives '{variable.name}' a weight that is no number; give it one, or leave "
                "the weights out"
            )
    if one.level not in (1, 2):
        raise ModelError(
            f"{called(one)} is of level {one.level}, and j3o takes levels 1 and 2; write it with an "
            "onloading Binary variable per member, y <= bound * x, that says where it may be other than 0"
        )
    return [variable for _, variable in sorted(items, key=lambda item: item[0])]


#: What opens each member, or each pair of neighbours; None for a member that is its own indicator.
Opened = list[VarData | None]


class Ranges(NamedTuple):
    """What is known of the members: bounds, and whether one takes 0 and 1 alone."""

    lower: FloatArray
    upper: FloatArray
    binary: BoolArray


def ranges_of(positions: IntArray, figures: Figures, columns: Columns) -> Ranges:
    """Return the ranges of variables, those of other variables are open; (V,) each.

    Parameters
    ----------
    positions
        Of the variables.
    figures
        The rows. Those without a product imply bounds of variables that have none.
    columns
        The variables.
    """
    size = len(columns.variables)
    known = np.union1d(positions, figures.linear.column)
    lower, upper, binary = np.full(size, -np.inf), np.full(size, np.inf), np.zeros(size, dtype=bool)
    _, low, high = columns.domains(known)
    lower[known] = np.where(low <= -_INFINITE, -np.inf, low)
    upper[known] = np.where(high >= _INFINITE, np.inf, high)
    for i in known:
        variable = columns.variables[i]
        if variable.fixed:
            held = value_of_fixed(variable)
            lower[i] = upper[i] = 0.0 if abs(held) <= ZERO else held
    whole = np.array([columns.variables[i].is_integer() for i in positions], dtype=bool)
    binary[positions] = whole & (lower[positions] >= 0.0) & (upper[positions] <= 1.0)
    if not (np.isfinite(lower[positions]).all() and np.isfinite(upper[positions]).all()):
        _tighten(figures, lower, upper)
    return Ranges(lower, upper, binary)


def _tighten(figures: Figures, lower: FloatArray, upper: FloatArray) -> None:
    """Tighten bounds, in place, to what the linear rows imply."""
    n_rows = len(figures.lower)
    linear = figures.linear
    entries = sparse.csr_array(
        (linear.coefficient, (linear.row, linear.column)), shape=(n_rows + 1, len(lower))
    )
    entries.sum_duplicates()
    entries.eliminate_zeros()
    plain = np.setdiff1d(np.arange(n_rows), figures.products.row)
    constant = figures.constant[plain]
    implied_ends(
        entries[plain], figures.lower[plain] - constant, figures.upper[plain] - constant, lower, upper
    )


def block_of(
    sets: Sequence[SOSConstraintData], members: Sequence[IntArray], ranges: Ranges, columns: Columns
) -> tuple[Block, list[tuple[int, IntArray, Opened]]]:
    """Return the block with the indicators and rows, and for each set that needs them what they open.

    Parameters
    ----------
    sets
        The sets.
    members
        Of each set, the positions of its members in their order.
    ranges
        Of all variables.
    columns
        The variables.

    Returns
    -------
    Block
    list of tuple
        Level, positions of the members, and the indicators as `MembersOfSet` has them.

    Raises
    ------
    ModelError
        If a member has no bound, or stands in a set twice.
    """
    block = new_block(SETS, "indicators of special ordered sets")
    block.indicator = pyo.Var(pyo.Any, domain=pyo.Binary, dense=False)
    block.upper = pyo.Constraint(pyo.Any)
    block.lower = pyo.Constraint(pyo.Any)
    block.at_most_one = pyo.Constraint(pyo.Any)
    opened = []
    for one, of_set in zip(sets, members, strict=True):
        if one.level == 1:
            never = (ranges.lower[of_set] == 0.0) & (ranges.upper[of_set] == 0.0)
            of_set = of_set[~never]
        if len(of_set) <= one.level:
            continue  # all of its members may be other than 0
        _require_members(one, of_set, ranges, columns)
        names = [columns.variables[i].name for i in of_set]
        met = Counter(names)
        # Variables of several models may have one name.
        keys = [(one.name, name, *((k,) if met[name] > 1 else ())) for k, name in enumerate(names)]
        write = _level_1 if one.level == 1 else _level_2
        opened.append((one.level, of_set, write(block, one.name, keys, of_set, ranges, columns)))
    return block, opened


def _require_members(one: SOSConstraintData, of_set: IntArray, ranges: Ranges, columns: Columns) -> None:
    for side, bounds, remedy in (("lower", ranges.lower, "setlb"), ("upper", ranges.upper, "setub")):
        for i in of_set[~np.isfinite(bounds[of_set])][:1]:
            raise ModelError(
                f"{called(one)} holds '{columns.variables[i].name}', which has no {side} bound; give it one "
                f"with {remedy}"
            )
    numbers, times = np.unique(of_set, return_counts=True)
    for i in numbers[times > 1][:1]:
        raise ModelError(
            f"{called(one)} holds '{columns.variables[i].name}' more than once; name each member once"
        )


def _level_1(
    block: Block, name: str, keys: list[Any], of_set: Any, ranges: Ranges, columns: Columns
) -> Opened:
    indicators: Opened = []
    chosen = []
    for key, i in zip(keys, of_set, strict=True):
        variable = columns.variables[i]
        if ranges.binary[i] and not variable.fixed:
            indicators.append(None)
            chosen.append((1.0, variable))
            continue
        indicator = block.indicator[key]
        _open(block, key, variable, [indicator], ranges.lower[i], ranges.upper[i])
        indicators.append(indicator)
        chosen.append((1.0, indicator))
    block.at_most_one[name] = (None, sum_of(*chosen), 1.0)
    return indicators


def _level_2(
    block: Block, name: str, keys: list[Any], of_set: Any, ranges: Ranges, columns: Columns
) -> Opened:
    pairs = [block.indicator[name, k] for k in range(1, len(of_set))]
    for k, (key, i) in enumerate(zip(keys, of_set, strict=True)):
        mine = pairs[max(k - 1, 0) : k + 1]
        _open(block, key, columns.variables[i], mine, ranges.lower[i], ranges.upper[i])
    block.at_most_one[name] = (None, sum_of(*((1.0, pair) for pair in pairs)), 1.0)
    return list(pairs)


def _open(
    block: Block, key: Any, variable: VarData, indicators: list[VarData], lower: float, upper: float
) -> None:
    """Let a member be other than 0 where one of some indicators is 1."""
    if upper > 0.0:
        body = sum_of((1.0, variable), *((-float(upper), one) for one in indicators))
        block.upper[key] = (None, body, 0.0)
    if lower < 0.0:
        body = sum_of((1.0, variable), *((-float(lower), one) for one in indicators))
        block.lower[key] = (0.0, body, None)
