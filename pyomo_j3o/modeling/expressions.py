"""How a Pyomo expression is taken apart into constants, linear terms and products of two variables."""

from __future__ import annotations

from array import array
from math import nan
from typing import Any

from pyomo.core.base.param import ParamData
from pyomo.core.base.var import ScalarVar, VarData
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
from pyomo.repn.quadratic import QuadraticRepnVisitor

from pyomo_j3o.errors import ModelError
from pyomo_j3o.modeling.fixed_values import fixed_value

# What an expression node is to us; SUM and MONOMIAL first, for they are most of a model.
_SUM, _MONOMIAL, _VARIABLE, _CONSTANT, _PRODUCT, _NEGATION, _DIVISION, _NAMED, _OTHER = range(9)

_LIST_ITERATOR: type = type(iter([]))

_KINDS = {
    SumExpression: _SUM,
    LinearExpression: _SUM,
    MonomialTermExpression: _MONOMIAL,
    VarData: _VARIABLE,
    ScalarVar: _VARIABLE,
    ProductExpression: _PRODUCT,
    NegationExpression: _NEGATION,
    DivisionExpression: _DIVISION,
    int: _CONSTANT,
    float: _CONSTANT,
    # The terms of a sum that are still to be read.
    _LIST_ITERATOR: _SUM,
}


class NonlinearTerm(Exception):
    """An expression holds a term of higher degree than a product of two variables.

    Attributes
    ----------
    term
        The Pyomo expression of the term.
    """

    def __init__(self, term: Any) -> None:
        super().__init__(str(term))
        self.term = term


class Terms:
    """The terms of many expressions, row after row, in flat lists.

    Linear terms are ``coefficient[i] * variable[i]``, products
    ``product_coefficient[i] * first[i] * second[i]``. Row ``r`` owns the linear terms below
    ``linear_end[r]`` and the products below ``product_end[r]`` that no earlier row owns, and
    ``constant[r]``. Duplicates, zeros and fixed variables are left in: arrays deal with those faster.

    Sums, products and quotients by constants are read off their arguments directly; everything
    else goes to Pyomo's own expansion into linear and quadratic terms.
    """

    def __init__(self) -> None:
        self.variable: list[VarData] = []
        # A list would keep an object of 24 bytes for every number.
        self.coefficient: array[float] = array("d")
        self.first: list[VarData] = []
        self.second: list[VarData] = []
        self.product_coefficient: list[float] = []
        self.constant: list[float] = []
        self.linear_end: list[int] = []
        self.product_end: list[int] = []
        self._row_constant = 0.0
        # Copied, so that what one compilation learns about a class is never seen by another thread.
        self._kinds = dict(_KINDS)
        self._names_met: set[int] = set()
        self._recorder = _Recorder()
        self._expansion = QuadraticRepnVisitor({}, var_recorder=self._recorder)
        self._expansion.expand_nonlinear_products = True

    def clear(self) -> None:
        """Forget the terms."""
        self.variable, self.coefficient = [], array("d")
        self.first, self.second, self.product_coefficient = [], [], []
        self.constant, self.linear_end, self.product_end = [], [], []

    def end_row(self) -> None:
        """Close the row that `add` has been filling, and begin the next."""
        self.linear_end.append(len(self.variable))
        self.product_end.append(len(self.first))
        self.constant.append(self._row_constant)
        self._row_constant = 0.0

    def add(self, expression: Any, scale: float) -> None:
        """Add ``scale * expression`` to the row that is open.

        Raises
        ------
        NonlinearTerm
            If the expression is not a sum of constants, linear terms and products of two variables.
        ModelError
            If a fixed variable or a named expression in it holds nothing.
        """
        # One function, however long: a call per term would cost more than the term. Any change has to be
        # measured by tests/benchmarks/test_compile_speed.py.
        kinds = self._kinds
        numbers = native_numeric_types
        variable, coefficient = self.variable.append, self.coefficient.append
        first, second, product = self.first.append, self.second.append, self.product_coefficient.append

        # An explicit stack, since sums built in a loop can be nested deeper than Python recurses.
        # An entry is a summand: factor * scale * node, where the factor is a variable or None.
        # `_args_` is what `args` returns a copy of; copying it would double the time of a compilation.
        pending = [(expression, scale, None)]
        while pending:
            node, scale, factor = pending.pop()
            cls = node.__class__
            kind = kinds[cls] if cls in kinds else self._kind(node)

            if kind == _SUM:
                # What cannot be read off at once goes first, and the rest waits: variables keep the order in
                # which the expression names them.
                terms = node if cls is _LIST_ITERATOR else iter(node.args)
                if factor is None:
                    for term in terms:
                        cls = term.__class__
                        if cls is MonomialTermExpression:
                            number, v = term._args_
                            if number.__class__ not in numbers:
                                number = fixed_value(number)
                            variable(v)
                            coefficient(scale * number)
                        elif cls is ProductExpression:
                            a, b = term._args_
                            number = scale
                            if a.__class__ in numbers and b.__class__ is ProductExpression:
                                number = scale * a
                                a, b = b._args_
                            if kinds.get(b.__class__) == _VARIABLE:
                                cls = a.__class__
                                if cls is MonomialTermExpression:
                                    inner, a = a._args_
                                    if inner.__class__ not in numbers:
                                        inner = fixed_value(inner)
                                    number *= inner
                                    cls = a.__class__
                                if kinds.get(cls) == _VARIABLE:
                                    first(a)
                                    second(b)
                                    product(number)
                                    continue
                            pending += (terms, scale, None), (term, scale, None)
                            break
                        elif kinds.get(cls) == _VARIABLE:
                            variable(term)
                            coefficient(scale)
                        else:
                            pending += (terms, scale, None), (term, scale, None)
                            break
                else:
                    for term in terms:
                        cls = term.__class__
                        if cls is MonomialTermExpression:
                            number, v = term._args_
                            if number.__class__ not in numbers:
                                number = fixed_value(number)
                            first(factor)
                            second(v)
                            product(scale * number)
                        elif kinds.get(cls) == _VARIABLE:
                            first(factor)
                            second(term)
                            product(scale)
                        else:
                            pending += (terms, scale, factor), (term, scale, factor)
                            break

            elif kind == _VARIABLE:
                if factor is None:
                    variable(node)
                    coefficient(scale)
                else:
                    first(factor)
                    second(node)
                    product(scale)

            elif kind == _MONOMIAL:
                number, v = node._args_
                pending.append((v, scale * fixed_value(number), factor))

            elif kind == _CONSTANT:
                if factor is None:
                    self._row_constant += scale * fixed_value(node)
                else:
                    variable(factor)
                    coefficient(scale * fixed_value(node))

            elif kind == _PRODUCT:
                self._multiply(node, scale, factor, pending)

            elif kind == _NEGATION:
                pending.append((node._args_[0], -scale, factor))

            elif kind == _DIVISION:
                numerator, denominator = node._args_
                if self._kind(denominator) == _CONSTANT:
                    pending.append((numerator, scale / fixed_value(denominator), factor))
                else:
                    self._expand(node, scale, factor)

            elif kind == _NAMED and id(node) not in self._names_met:
                self._names_met.add(id(node))
                inner = node.expr
                if inner is None:
                    raise ModelError(f"Expression '{node.name}' is empty; fill it or take it out")
                pending.append((inner, scale, factor))

            else:
                # A named expression met again comes here as well: the visitor keeps its expansion, so
                # that names that hold names cost what they hold, not two to the power of their depth.
                self._expand(node, scale, factor)

    def _kind(self, node: Any) -> int:
        """Return what `node` is, and remember it for its class where the class decides."""
        cls = node.__class__
        kind = self._kinds.get(cls)
        if kind is not None:
            return kind
        if cls in native_numeric_types:
            kind = _CONSTANT
        elif not hasattr(node, "is_potentially_variable"):
            return _CONSTANT
        elif not node.is_potentially_variable():
            if not isinstance(node, (NPV_Mixin, ParamData)):
                return _CONSTANT
            kind = _CONSTANT
        elif node.is_variable_type():
            kind = _VARIABLE
        elif node.is_named_expression_type():
            kind = _NAMED
        else:
            kind = _OTHER
        self._kinds[cls] = kind
        return kind

    def _multiply(
        self, node: ProductExpression, scale: float, factor: VarData | None, pending: list[Any]
    ) -> None:
        """Put what ``factor * scale * node`` amounts to on the stack, or expand it."""
        left, right = node._args_
        if factor is None and self._kind(left) == _VARIABLE and self._kind(right) == _VARIABLE:
            self.first.append(left)
            self.second.append(right)
            self.product_coefficient.append(scale)
            return
        for one, other in ((left, right), (right, left)):
            kind = self._kind(one)
            coefficient = scale
            if kind == _MONOMIAL:
                number, one = one._args_
                coefficient = scale * fixed_value(number)
                if coefficient == 0:
                    return
                kind = _VARIABLE
            if kind == _CONSTANT:
                coefficient = scale * fixed_value(one)
            elif kind == _VARIABLE and one.fixed:
                coefficient *= value_of_fixed(one)
            elif kind == _VARIABLE and factor is None:
                pending.append((other, coefficient, one))
                return
            else:
                continue
            # Nothing is left of a term that a constant wipes out, whatever its other factors are.
            if coefficient != 0:
                pending.append((other, coefficient, factor))
            return
        self._expand(node, scale, factor)

    def _expand(self, node: Any, scale: float, factor: VarData | None) -> None:
        """Let Pyomo expand ``factor * scale * node``, and add the result to the open row."""
        whole = node if factor is None else factor * node
        try:
            expansion = self._expansion.walk_expression(whole)
        except AttributeError:
            # Pyomo 6.10.1 fails at the first relation without variables that a process expands, in an
            # Expr_if, say, and at no other.
            expansion = self._expansion.walk_expression(whole)
        if expansion.nonlinear is not None:
            raise NonlinearTerm(expansion.nonlinear)
        by_id = self._recorder.var_map
        self._row_constant += scale * _number(expansion.constant)
        for key, number in expansion.linear.items():
            self.variable.append(by_id[key])
            self.coefficient.append(scale * _number(number))
        for (one, other), number in (expansion.quadratic or {}).items():
            self.first.append(by_id[one])
            self.second.append(by_id[other])
            self.product_coefficient.append(scale * _number(number))


def value_of_fixed(variable: VarData) -> float:
    """Return the value of a fixed variable.

    Raises
    ------
    ModelError
        If it has none.
    """
    if variable.value is None:
        raise ModelError(
            f"variable '{variable.name}' is fixed but has no value; give it one with .fix(value), "
            "or call .unfix()"
        )
    return variable.value


class _Recorder:
    """The variables that Pyomo's expansion met, by id and in the order of their first use."""

    def __init__(self) -> None:
        self.var_map: dict[int, VarData] = {}
        self.var_order: dict[int, int] = {}

    def add(self, variable: VarData) -> None:
        self.var_map[id(variable)] = variable
        self.var_order[id(variable)] = len(self.var_order)


def _number(number: Any) -> float:
    # Pyomo hands on what is not a number as an object of its own; NaN is found and reported later.
    return number if number.__class__ in native_numeric_types else nan
