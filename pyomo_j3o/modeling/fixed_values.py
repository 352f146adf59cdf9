"""The value of an expression without variables, by a shorter way than Pyomo's for what most of them are."""

from __future__ import annotations

from typing import Any

from pyomo.core.base.param import ParamData, ScalarParam
from pyomo.core.expr.numeric_expr import (
    NPV_DivisionExpression,
    NPV_NegationExpression,
    NPV_ProductExpression,
    NPV_SumExpression,
)
from pyomo.core.expr.numvalue import native_numeric_types, value


def fixed_value(node: Any) -> Any:
    """Return the value of a number, a Param, or an expression of these.

    A coefficient like ``load[c] * time[m]`` is evaluated in a tenth of the time that Pyomo's walker takes to
    set itself up. What is no sum, product, quotient or negation is left to it, and so is what is nested
    deeper than Python recurses.

    Parameters
    ----------
    node
        Whatever `pyomo.environ.value` takes.

    Raises
    ------
    ValueError
        If a Param holds nothing.
    """
    try:
        return _evaluated(node)
    except RecursionError:
        return value(node)


def _evaluated(node: Any) -> Any:
    cls = node.__class__
    if cls in native_numeric_types:
        return node
    if cls is ParamData or cls is ScalarParam:
        return node()
    if cls is NPV_ProductExpression:
        left, right = node._args_
        return _evaluated(left) * _evaluated(right)
    if cls is NPV_DivisionExpression:
        numerator, denominator = node._args_
        return _evaluated(numerator) / _evaluated(denominator)
    if cls is NPV_NegationExpression:
        return -_evaluated(node._args_[0])
    if cls is NPV_SumExpression:
        return sum(_evaluated(term) for term in node.args)
    return value(node)
