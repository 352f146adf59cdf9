"""What the rows of a Pyomo model depend on besides their expressions: Params, named Expressions, fixings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from pyomo.core.base.expression import NamedExpressionData
from pyomo.core.base.param import ParamData
from pyomo.core.base.var import VarData
from pyomo.core.expr.base import NPV_Mixin
from pyomo.core.expr.numeric_expr import (
    DivisionExpression,
    LinearExpression,
    MonomialTermExpression,
    NegationExpression,
    ProductExpression,
    SumExpression,
)
from pyomo.core.expr.numvalue import native_numeric_types
from pyomo.core.expr.relational_expr import EqualityExpression, InequalityExpression, RangedExpression

from pyomo_j3o.core.problem import BoolArray, IntArray

#: The row of what is in no row: bounds of variables, and windows.
NO_ROW = -1

#: The row of a constraint without sides, which is none; it may get sides by a Param.
NO_SIDES = -2

# What a node of an expression is to us.
_LEAF, _SUM, _MONOMIAL, _PASSED, _PARAMETER, _NAMED, _PRODUCT, _DIVISION, _RANGE, _OTHER = range(10)

_KINDS: dict[type, int] = {
    SumExpression: _SUM,
    LinearExpression: _SUM,
    MonomialTermExpression: _MONOMIAL,
    NegationExpression: _PASSED,
    EqualityExpression: _PASSED,
    InequalityExpression: _PASSED,
    RangedExpression: _RANGE,
    ProductExpression: _PRODUCT,
    DivisionExpression: _DIVISION,
}


class Dependencies:
    """Params, named Expressions and rows that are read in the light of others.

    Attributes
    ----------
    parameters
        The mutable Params.
    named
        The named Expressions.
    together : (R + 1,) bool
        Rows that hold a named Expression, or that Pyomo may have to expand. How one of them is read may
        depend on those before it, and on what is fixed.
    whole
        Whether that is all; otherwise there are rows whose changes cannot be seen.
    """

    def __init__(self, n_owners: int) -> None:
        self.parameters: list[ParamData] = []
        self.named: list[NamedExpressionData] = []
        self.together: BoolArray = np.zeros(n_owners, dtype=bool)
        self.whole = True
        self._number: dict[int, int] = {}
        self._named_met: set[int] = set()
        self._held: list[int] = []
        self._holder: list[int] = []
        # Params in named Expressions count for all rows that are read together.
        self._shared = n_owners
        self._kinds = dict(_KINDS)

    def rows_of(self, parameters: Iterable[int]) -> BoolArray | None:
        """Return the mask, (R + 1,), of the rows that hold one of some parameters.

        None is returned if one of these is in a constraint without sides.
        """
        changed = np.zeros(len(self.parameters), dtype=bool)
        changed[list(parameters)] = True
        holder: IntArray = np.array(self._holder, dtype=np.int64)[changed[self._held]]
        if (holder == NO_SIDES).any():
            return None
        rows = np.zeros(len(self.together), dtype=bool)
        rows[holder[(holder >= 0) & (holder < self._shared)]] = True
        return rows | self.together if (holder == self._shared).any() else rows

    def add(self, expression: Any, row: int) -> None:
        """Enter what an expression depends on.

        Parameters
        ----------
        expression
            Of Pyomo, or a number.
        row
            The row that holds it; `NO_ROW` or `NO_SIDES` for none.
        """
        numbers, kinds = native_numeric_types, self._kinds
        pending = [expression]
        while pending:
            node = pending.pop()
            cls = node.__class__
            if cls in numbers:
                continue
            kind = kinds[cls] if cls in kinds else self._kind(node)
            # What is met first is taken last from the list, so all that has an order goes in backwards.
            if kind == _SUM:
                for term in reversed(node.args):
                    cls = term.__class__
                    if cls is MonomialTermExpression:
                        number = term._args_[0]
                        if number.__class__ not in numbers:
                            pending.append(number)
                    elif cls not in numbers and kinds.get(cls) != _LEAF:
                        pending.append(term)
            elif kind == _MONOMIAL:
                pending.append(node._args_[0])
            elif kind == _PASSED:
                pending += reversed(node.args)
            elif kind == _PARAMETER:
                self._add_parameter(node, row)
                pending.append(node._value)
            elif kind == _NAMED:
                self._add_named(node, row)
            elif kind != _LEAF:
                self._add_rest(kind, node, row, pending)

    def _add_rest(self, kind: int, node: Any, row: int, pending: list[Any]) -> None:
        """Enter a node that Pyomo may have to expand."""
        args = list(node.args)
        numbers = native_numeric_types
        constant = [arg.__class__ in numbers or not _may_vary(arg) for arg in args]
        plain = (
            (kind == _PRODUCT and (any(constant) or all(isinstance(arg, VarData) for arg in args)))
            or (kind == _DIVISION and constant[1])
            or (kind == _RANGE and constant[0] and constant[2])
        )
        if not plain and 0 <= row < self._shared:
            self.together[row] = True
        pending += reversed(args)

    def _add_parameter(self, parameter: ParamData, row: int) -> None:
        number = self._number.setdefault(id(parameter), len(self.parameters))
        if number == len(self.parameters):
            self.parameters.append(parameter)
        elif self._held and self._held[-1] == number and self._holder[-1] == row:
            return
        self._held.append(number)
        self._holder.append(row)

    def _add_named(self, named: NamedExpressionData, row: int) -> None:
        if row == NO_SIDES:
            self.whole = False
        elif 0 <= row < self._shared:
            self.together[row] = True
        if id(named) not in self._named_met:
            self._named_met.add(id(named))
            self.named.append(named)
            self.add(named._args_[0], self._shared)

    def _kind(self, node: Any) -> int:
        """Return what a node is, and remember it for its class."""
        cls = node.__class__
        if isinstance(node, ParamData):
            kind = _PARAMETER
        elif isinstance(node, VarData):
            kind = _LEAF
        elif isinstance(node, NamedExpressionData):
            kind = _NAMED
        elif isinstance(node, NPV_Mixin):
            kind = _PASSED
        else:
            kind = _OTHER if hasattr(node, "args") else _LEAF
        self._kinds[cls] = kind
        return kind


def _may_vary(node: Any) -> bool:
    return bool(node.is_potentially_variable()) if hasattr(node, "is_potentially_variable") else False
