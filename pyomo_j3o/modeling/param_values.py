"""Which Param of an expression holds no number, in words."""

from __future__ import annotations

from typing import Any

from pyomo.core.base.param import Param
from pyomo.core.expr.numvalue import native_numeric_types
from pyomo.core.expr.visitor import identify_mutable_parameters

from pyomo_j3o.modeling.naming import shortened


def param_without_number(expression: Any) -> str | None:
    """Return what is wrong with the first mutable Param of an expression that holds no number.

    The sentence ends with the remedy. None is returned if each of them holds one.
    """
    if expression.__class__ in native_numeric_types or not hasattr(expression, "is_expression_type"):
        return None
    for parameter in identify_mutable_parameters(expression):
        held = parameter._value
        if held is None or held is Param.NoValue:
            return f"Param '{parameter.name}' has no value; give it one"
        if held.__class__ not in native_numeric_types:
            is_expression = hasattr(held, "is_expression_type")
            remedy = "give it pyomo.environ.value of that" if is_expression else "give it one"
            return f"Param '{parameter.name}' holds {shortened(held)}, which is no number; {remedy}"
    return None
