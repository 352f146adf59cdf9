"""The queries/s that reach one model in a batching window, and the rows that tie them to its indicator."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyomo.environ as pyo
from pyomo.common.errors import PyomoException
from pyomo.core.base.var import VarData
from pyomo.core.expr.calculus.derivatives import Modes, differentiate
from pyomo.core.expr.numvalue import native_numeric_types
from pyomo.core.expr.visitor import identify_mutable_parameters, identify_variables
from pyomo.core.pyomoobject import PyomoObject

from pyomo_j3o.errors import AnnotationError, ModelError, UnsupportedTermError
from pyomo_j3o.modeling.annotate import ONLOADING, Roles
from pyomo_j3o.modeling.expressions import NonlinearTerm, Terms
from pyomo_j3o.modeling.naming import in_one_line, shortened

#: Queries/s that are as good as none.
_NOTHING = 1e-12

#: What may be given for a constant, and what for a rate.
IN_PARAMS = "give a number, or an expression in Params"
LINEAR = "give a number or an expression that is linear in offloading variables, with Params that have values"


class Assumed(NamedTuple):
    """What the rows of a rate assume of its variables and coefficients."""

    #: Whether there is a row per variable.
    plain: bool
    #: The least rate.
    lowest: float
    #: The largest of each variable where there is a row for each, else that of the rate.
    most: list[float]
    variables: list[VarData]


class Rate:
    """The queries/s of one model, and the rows that tie it to the indicator of its batch.

    Parameters
    ----------
    window, key
        Name of the window, and the model.
    expression
        Pyomo expression of the queries/s.
    terms
        Gets the terms of the expression as one more row.

    Attributes
    ----------
    variables, coefficients, constant
        The expression as a linear function; fixed variables are among the variables.
    """

    def __init__(self, window: str, key: Any, expression: Any, terms: Terms) -> None:
        self._where = f"BatchingWindow '{window}': arrivals[{key!r}]"
        self._expression = expression
        start, first_product = len(terms.variable), len(terms.first)
        try:
            terms.add(expression, 1.0)
        except NonlinearTerm as error:
            raise self._nonlinear(error.term) from None
        except (PyomoException, ModelError, ValueError, TypeError, ArithmeticError) as error:
            raise ModelError(
                f"{self._where} cannot be read: {in_one_line(error)}; give a number or an expression that is "
                "linear in offloading variables, with Params that have values"
            ) from None
        terms.end_row()
        if len(terms.first) > first_product:
            raise self._nonlinear(terms.first[-1] * terms.second[-1])
        self.constant = terms.constant[-1]
        coefficients: dict[int, float] = {}
        variables: dict[int, VarData] = {}
        for variable, coefficient in zip(terms.variable[start:], terms.coefficient[start:], strict=True):
            variables[id(variable)] = variable
            coefficients[id(variable)] = coefficients.get(id(variable), 0.0) + coefficient
        kept = [i for i in variables if coefficients[i] != 0.0 or self._mutable]
        self.variables = [variables[i] for i in kept]
        self.coefficients = [coefficients[i] for i in kept]
        for number in (self.constant, *self.coefficients):
            if not math.isfinite(number):
                raise ModelError(
                    f"{self._where} holds a number that is not finite; look for nan and inf in it"
                )

    @cached_property
    def _mutable(self) -> bool:
        return any(True for _ in identify_mutable_parameters(self._expression))

    @property
    def plain(self) -> bool:
        """Whether it is a sum of positive multiples of variables that are not negative, and no more."""
        return self.constant == 0 and all(
            coefficient >= 0 and number_of(_bound(variable, "lower")) >= 0
            for variable, coefficient in zip(self.variables, self.coefficients, strict=True)
        )

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest rate that the bounds of its variables allow."""
        ends = [self.constant, self.constant]
        for variable, coefficient in zip(self.variables, self.coefficients, strict=True):
            sides = ("lower", "upper") if coefficient > 0 else ("upper", "lower")
            for end, side in enumerate(sides):
                if coefficient != 0.0:
                    ends[end] += coefficient * number_of(_bound(variable, side))
        return ends[0], ends[1]

    @property
    def assumed(self) -> Assumed:
        """What the rows assume."""
        lowest, highest = self.range
        if not self.plain:
            return Assumed(False, lowest, [highest], self.variables)
        bounds = [_bound(variable, "upper") for variable in self.variables]
        # A row follows a bound that is an expression.
        most = [b if b.__class__ in native_numeric_types else math.inf for b in bounds]
        return Assumed(True, lowest, most, self.variables)

    def within(self, assumed: Assumed) -> bool:
        """Return whether rows that were written under these assumptions still say the same."""
        if len(self.variables) != len(assumed.variables) or any(
            now is not then for now, then in zip(self.variables, assumed.variables, strict=True)
        ):
            return False
        if assumed.plain:
            bounds = [number_of(_bound(variable, "upper")) for variable in self.variables]
            return self.plain and all(a <= b for a, b in zip(bounds, assumed.most, strict=True))
        lowest, highest = self.range
        return (lowest >= 0 or assumed.lowest < 0) and highest <= assumed.most[0] * (1 + 1e-12)

    def require_bounded(self) -> None:
        """Raise if the rate has no upper bound, or is always negative."""
        highest = self.range[1]
        # A rate of 0 now may be another one after a change of Params.
        most = [number_of(_bound(variable, "upper")) for variable in self.variables]
        if highest == math.inf or (self.plain and math.inf in most):
            raise self._unbounded()
        if highest < 0:
            raise ModelError(
                f"{self._where} is at most {highest:g}, whatever the routing; give queries/s that are not "
                "negative"
            )

    def rows(self, used: VarData) -> list[Any]:
        """Return rows that hold exactly if the rate is not negative, and is 0 while `used` is 0."""
        lowest, highest = self.range
        if self.plain:
            # One row per variable is tighter than one for their sum.
            bounds = [_bound(variable, "upper") for variable in self.variables]
            return [
                counts * variable <= counts * bound * used
                for variable, counts, bound in zip(self.variables, self._counts(), bounds, strict=True)
            ]
        if not self.variables:
            return [used >= 1] if self.constant > 0 else []
        rows = [self._expression <= highest * used]
        if lowest < 0:
            rows.append(self._expression >= 0)
        return rows

    def _counts(self) -> list[Any]:
        """Return per variable 1 if it adds to the rate and 0 if not, in Params where these say so."""
        if not self._mutable:
            return [1] * len(self.variables)
        slopes = differentiate(self._expression, wrt_list=self.variables, mode=Modes.reverse_symbolic)
        # A quotient is 0 at 0 and 1 elsewhere for every writer; Expr_if is for few.
        return [1 if s.__class__ in native_numeric_types else s / (s + _NOTHING) for s in slopes]

    def require_offloading(self, roles: Roles) -> None:
        """Raise if one of the variables is not continuous, or marked onloading."""
        for variable in self.variables:
            onloading = roles.of(variable) == ONLOADING
            if onloading or not variable.is_continuous():
                kind = "onloading" if onloading else "binary" if variable.is_binary() else "integer"
                raise AnnotationError(
                    f"{self._where} holds the {kind} variable '{variable.name}'; write the queries/s in "
                    "offloading variables, and tie these to the placement by rows y <= x"
                )

    def _nonlinear(self, term: Any) -> UnsupportedTermError:
        return UnsupportedTermError(
            f"{self._where} holds the term {shortened(term)}; write it "
            "linear in offloading variables, and tie these to the placement by rows y <= x"
        )

    def _unbounded(self) -> ModelError:
        for variable, coefficient in zip(self.variables, self.coefficients, strict=True):
            side = "upper" if coefficient >= 0 else "lower"
            if math.isinf(number_of(_bound(variable, side))):
                return ModelError(
                    f"{self._where} has no upper bound, as '{variable.name}' has no {side} bound; give it "
                    f"one by set{side[0]}b"
                )
        raise AssertionError("a rate without an infinite term is bounded")


def _bound(variable: VarData, side: str) -> Any:
    """Return a bound, a number or an expression in Params, as the variable holds it; infinite for none."""
    bound = variable.lower if side == "lower" else variable.upper
    if bound is not None:
        return bound
    if variable.fixed and variable.value is not None:
        return variable.value
    return -math.inf if side == "lower" else math.inf


def number_of(given: Any, what: str = "a bound", remedy: str = IN_PARAMS) -> float:
    """Return the value of a number or of an expression in Params; `what` says what it is if it is neither."""
    if given.__class__ is float:
        return given
    if isinstance(given, PyomoObject):
        for variable in identify_variables(given, include_fixed=True):
            raise ModelError(f"{what} holds the variable '{variable.name}'; {remedy}")
    try:
        number = pyo.value(given)
        if isinstance(number, (str, bytes, bool, np.bool_)):
            raise ModelError(f"{what} is {number!r}; {remedy}")
        return float(number)
    except (PyomoException, ValueError, TypeError, ArithmeticError) as error:
        if isinstance(error, ModelError):
            raise
        having = "" if remedy is LINEAR else " that have values"
        raise ModelError(f"{what} has no value: {in_one_line(error)}; {remedy}{having}") from None
