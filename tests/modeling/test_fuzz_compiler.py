"""Random expression trees through the compiler: the polynomial that they stand for, or a refusal that is due.

Every tree is built twice: as a Pyomo expression, and as a polynomial by arithmetic of our own. What the
compiler takes has to be that polynomial, exactly; where it refuses, Pyomo's own expansion into quadratic
terms has to find one that j3o does not take.
"""

import itertools
import math

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from pyomo.common.collections import ComponentSet
from pyomo.core.expr.numeric_expr import LinearExpression
from pyomo.core.expr.visitor import identify_variables
from pyomo.repn.quadratic import QuadraticRepnVisitor
from pyomo.repn.util import OrderedVarRecorder

from pyomo_j3o import annotate
from pyomo_j3o.core.problem import OBJECTIVE
from pyomo_j3o.errors import UnsupportedTermError
from pyomo_j3o.modeling.compiler import compile_model
from pyomo_j3o.modeling.expressions import Terms

# Multiples of 1/4 of few digits: no sum or product of them is rounded.
_numbers = st.sampled_from([0, 1, -1, 2, 3, 0.5, -0.25, 1.5, np.float64(2.5), np.int64(-2)])
_divisors = st.sampled_from([1, -1, 2, 4, -0.5, 0.25])

_leaves = st.one_of(
    st.tuples(st.just("var"), st.sampled_from(["x0", "x1", "x2", "y0", "y1", "y2"])),
    st.tuples(st.just("var"), st.sampled_from(["x0", "y0", "y1", "fixed", "fixed_x", "fixed_0"])),
    st.tuples(st.just("var"), st.sampled_from(["reference"])),
    st.tuples(st.just("number"), _numbers),
    st.tuples(st.just("param"), _numbers),
    st.tuples(st.just("constant"), st.sampled_from(["abs", "if", "floor", "power", "immutable", "named"])),
)


def _extend(children):
    pairs = st.tuples(children, children)
    several = st.lists(children, min_size=2, max_size=4)
    return st.one_of(
        st.tuples(st.sampled_from(["+", "-", "*", "*", "*"]), pairs),
        st.tuples(st.sampled_from(["sum", "quicksum", "in place"]), several),
        st.tuples(st.sampled_from(["negated", "named", "again", "if true", "no units", "sin"]), children),
        st.tuples(st.just("divided"), st.tuples(children, _divisors)),
        st.tuples(st.just("power"), st.tuples(children, st.sampled_from([0, 1, 1, 2]))),
        st.tuples(st.just("linear"), st.lists(st.tuples(_numbers, st.sampled_from("01")), max_size=3)),
    )


#: How an expression is written, before there is a model.
trees = st.recursive(_leaves, _extend, max_leaves=14)


_FIXED = {"fixed": 1.5, "fixed_x": 1.0, "fixed_0": 0.0}


class Builder:
    """Builds trees in one model: pairs of a Pyomo expression and its polynomial, {monomial: coefficient}."""

    def __init__(self):
        m = self.model = pyo.ConcreteModel()
        m.x = pyo.Var([0, 1, 2], domain=pyo.Binary)
        m.y = pyo.Var([0, 1, 2])
        m.anchor = pyo.Var()
        m.fixed, m.fixed_0 = pyo.Var(initialize=1.5), pyo.Var(initialize=0.0)
        m.fixed_x = pyo.Var(initialize=1, domain=pyo.Binary)
        for variable in (m.fixed, m.fixed_0, m.fixed_x):
            variable.fix()
        m.reference = pyo.Reference(m.y[:])
        m.params, m.names, m.rows = pyo.Block(), pyo.Block(), pyo.Block()
        m.immutable = pyo.Param(initialize=3)
        m.worth = pyo.Objective(expr=m.anchor)
        annotate(m, onloading=[m.x, m.fixed_x], offloading=[m.y, m.anchor, m.fixed, m.fixed_0])
        self.count = itertools.count()
        self.last_named = None

    def build(self, tree):
        """Return the expression and the polynomial of a tree."""
        kind, rest = tree
        return getattr(self, "_" + _METHODS.get(kind, kind))(kind, rest)

    def _param_of(self, value):
        one = pyo.Param(initialize=value, mutable=True, domain=pyo.Reals)
        self.model.params.add_component(f"p{next(self.count)}", one)
        return one

    def _var(self, _, name):
        m = self.model
        if name in _FIXED:
            return m.component(name), _constant(_FIXED[name])
        if name == "reference":
            return m.reference[1], {("y1",): 1.0}
        return m.component(name[0])[int(name[1])], {(name,): 1.0}

    def _number(self, _, value):
        return value, _constant(value)

    def _param(self, _, value):
        return self._param_of(value), _constant(value)

    def _constant(self, _, which):
        p = self._param_of(2.0)
        if which == "named":
            self.model.names.add_component(f"e{next(self.count)}", named := pyo.Expression(expr=p + 1))
            return named, _constant(3.0)
        return {
            "abs": lambda: (abs(-1 * p), _constant(2.0)),
            "if": lambda: (pyo.Expr_if(p >= 1, 4.0, 5.0), _constant(4.0)),
            "floor": lambda: (pyo.floor(p + 0.25), _constant(2.0)),
            "power": lambda: (p**3, _constant(8.0)),
            "immutable": lambda: (self.model.immutable, _constant(3.0)),
        }[which]()

    def _pair(self, kind, pair):
        (a, of_a), (b, of_b) = (self.build(child) for child in pair)
        if kind == "+":
            return a + b, _added(of_a, of_b)
        if kind == "-":
            return a - b, _added(of_a, _times(of_b, _constant(-1)))
        return a * b, _times(of_a, of_b)

    def _several(self, kind, children):
        parts = [self.build(child) for child in children]
        polynomial = _added(*(of for _, of in parts))
        if kind == "sum":
            return sum(part for part, _ in parts), polynomial
        if kind == "quicksum":
            return pyo.quicksum(part for part, _ in parts), polynomial
        total = 0
        for part, _ in parts:
            total += part
        return total, polynomial

    def _wrapped(self, kind, child):
        expression, polynomial = self.build(child)
        if kind == "negated":
            return -expression, _times(polynomial, _constant(-1))
        if kind == "sin":
            # A variable of no kind that j3o takes, unless nothing but constants is in it.
            if set(polynomial) <= {()}:
                return pyo.sin(0 * expression), _constant(0)
            return pyo.sin(expression), {("sin",): 1.0}
        if kind == "if true":
            return pyo.Expr_if(self._param_of(1.0) >= 0, expression, 7.0), polynomial
        if kind == "again" and self.last_named is not None:
            # The same named expression a second time, beside the new one.
            named, of_named = self.last_named
            return expression + named, _added(polynomial, of_named)
        self.model.names.add_component(f"e{next(self.count)}", named := pyo.Expression(expr=expression))
        self.last_named = named, polynomial
        return named, polynomial

    def _divided(self, _, pair):
        child, divisor = pair
        expression, polynomial = self.build(child)
        by = self._param_of(divisor) if isinstance(divisor, float) else divisor
        return expression / by, _times(polynomial, _constant(1 / divisor))

    def _power(self, _, pair):
        child, exponent = pair
        expression, polynomial = self.build(child)
        power = _constant(1)
        for _ in range(exponent):
            power = _times(power, polynomial)
        return expression ** (self._param_of(exponent) if exponent == 1 else exponent), power

    def _linear(self, _, terms):
        m = self.model
        expression = LinearExpression(
            constant=2.0,
            linear_coefs=[float(value) for value, _ in terms],
            linear_vars=[m.y[int(k)] for _, k in terms],
        )
        return expression, _added(_constant(2.0), *({(f"y{k}",): float(value)} for value, k in terms))


_METHODS = dict.fromkeys("+-*", "pair")
_METHODS |= dict.fromkeys(["sum", "quicksum", "in place"], "several")
_METHODS |= dict.fromkeys(["negated", "named", "again", "if true", "no units", "sin"], "wrapped")


def _constant(value):
    return {(): float(value)} if value else {}


def _added(*polynomials):
    total = {}
    for polynomial in polynomials:
        for monomial, value in polynomial.items():
            total[monomial] = total.get(monomial, 0.0) + value
    return {monomial: value for monomial, value in total.items() if value}


def _times(one, other):
    return _added(*({tuple(sorted(a + b)): v * w} for a, v in one.items() for b, w in other.items()))


def _is_taken(monomial):
    kinds = "".join(name[0] for name in monomial)
    return kinds in ("", "x", "y", "a", "xy") and "sin" not in monomial


def _pyomo_takes(expression, onloading):
    """Return whether Pyomo's expansion holds nothing but linear terms and products of x and y."""
    variables = {}
    visitor = QuadraticRepnVisitor({}, var_recorder=OrderedVarRecorder(variables, {}, None))
    visitor.expand_nonlinear_products = True
    try:
        found = visitor.walk_expression(expression)
    except AttributeError:  # at the first relation of constants in a process, and at no other
        found = visitor.walk_expression(expression)
    if found.nonlinear is not None:
        return False
    pairs = [pair for pair, value in (found.quadratic or {}).items() if value]
    return all(sum(variables[key] in onloading for key in pair) == 1 for pair in pairs)


def _compiled(builder):
    """Return the polynomials of row 0 and of the objective, as compiled, and the bounds of the row."""
    problem, inverse = compile_model(builder.model)
    name = {"x": [_short(v) for v in inverse.onloading], "y": [_short(v) for v in inverse.offloading]}
    row, goal = {}, {(): problem.objective_constant}
    for polynomial, x, y in (
        (row, problem.onloading_rows.toarray()[0], problem.offloading_rows.toarray()[0]),
        (goal, problem.onloading_objective, problem.offloading_objective),
    ):
        for names, values in ((name["x"], x), (name["y"], y)):
            polynomial.update({(one,): float(v) for one, v in zip(names, values, strict=True) if v})
    terms = problem.products
    for r, i, j, value in zip(terms.row, terms.onloading, terms.offloading, terms.coefficient, strict=True):
        polynomial = goal if r == OBJECTIVE else row
        polynomial[name["x"][i], name["y"][j]] = float(value)
    return row, _added(goal), float(problem.row_lower[0]), float(problem.row_upper[0])


def _short(variable):
    return variable.name.replace("[", "").replace("]", "")


def _check(builder, expressions, expected):
    """Assert that the model's row and objective are compiled to `expected`, or refused where that is due."""
    m = builder.model
    onloading = ComponentSet(m.x.values())
    try:
        got = _compiled(builder)
    except UnsupportedTermError:
        fine = all(_pyomo_takes(one, onloading) for one in expressions)
        assert not fine, "refused, although Pyomo finds nothing but linear terms and products of x and y"
        return
    row, goal, low, high = expected
    if any("".join(name[0] for name in monomial) == "xx" for monomial in [*row, *goal]):
        return  # the product is a new column; `test_sets_and_products` is about these
    assert all(map(_is_taken, [*row, *goal])), "taken, although there are other terms in it"
    constant = row.pop((), 0.0)
    either = [(row, goal, low - constant, high - constant)]
    if low == high:
        # Which side of == comes first is Python's to say.
        either.append((_times(row, _constant(-1)), goal, constant - high, constant - low))
    assert got in either


@settings(deadline=None, max_examples=90, suppress_health_check=[HealthCheck.too_slow])
@given(tree=trees, form=st.sampled_from(["<=", ">=", "==", "range", "tuple", "param"]))
def test_a_body_is_the_polynomial_that_it_stands_for(tree, form):
    """In a constraint with constant sides, whatever the relation."""
    builder = Builder()
    m = builder.model
    expression, polynomial = builder.build(tree)
    body = expression + m.anchor
    side = builder._param_of(3.0) if form == "param" else 3
    relation, low, high = {
        "<=": lambda: (body <= 3, -math.inf, 3),
        ">=": lambda: (body >= 3, 3, math.inf),
        "==": lambda: (body == 3, 3, 3),
        "range": lambda: (pyo.inequality(-2, body, 3), -2, 3),
        "tuple": lambda: ((-2, body, 3), -2, 3),
        "param": lambda: (side >= body, -math.inf, 3),
    }[form]()
    m.rows.c = pyo.Constraint(expr=relation)
    row = _added(polynomial, {("anchor",): 1.0})
    _check(builder, [body], (row, {("anchor",): -1.0}, low, high))


@example(
    left=("var", "x0"),
    right=("*", (("sin", ("var", "x0")), ("*", (("var", "x0"), ("number", 0))))),
    equal=False,
)
@settings(deadline=None, max_examples=70, suppress_health_check=[HealthCheck.too_slow])
@given(left=trees, right=trees, equal=st.booleans())
def test_both_sides_of_a_relation_count(left, right, equal):
    """Left <= right and left == right, with variables on either side or on both."""
    builder = Builder()
    m = builder.model
    (left, of_left), (right, of_right) = builder.build(left), builder.build(right)
    left = left + m.anchor
    # Sides in which nothing varies become the row's bounds: what is left of them then has another sign.
    m.rows.c = pyo.Constraint(expr=left == right if equal else left <= right)
    row = _added(of_left, {("anchor",): 1.0}, _times(of_right, _constant(-1)))
    _check(builder, [left, right], (row, {("anchor",): -1.0}, 0.0 if equal else -math.inf, 0.0))


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(tree=trees, sense=st.sampled_from([pyo.minimize, pyo.maximize]))
def test_an_objective_is_the_polynomial_that_it_stands_for(tree, sense):
    """Maximised as it is, minimised with the other sign."""
    builder = Builder()
    m = builder.model
    expression, polynomial = builder.build(tree)
    goal = expression + m.anchor
    m.rows.c = pyo.Constraint(expr=m.anchor <= 1)
    m.worth.set_value(goal)
    m.worth.sense = sense
    total = _times(_added(polynomial, {("anchor",): 1.0}), _constant(1 if sense == pyo.maximize else -1))
    _check(builder, [goal], ({("anchor",): 1.0}, total, -math.inf, 1))


_nested_sums = st.recursive(
    st.sampled_from(range(8)), lambda terms: st.lists(terms, min_size=1, max_size=4), max_leaves=14
)


@given(nested=_nested_sums, written=st.sampled_from(["negated", "named", "plain", "times 2"]))
def test_linear_terms_keep_the_order_in_which_they_are_written(nested, written):
    """However sums hold sums: the path of a MIP solver depends on the order of its columns."""
    m = pyo.ConcreteModel()
    m.y, m.named = pyo.Var(range(8)), pyo.Expression(pyo.Any)

    def build(part):
        if isinstance(part, int):
            return m.y[part]
        terms = sum(build(term) for term in part)
        if written == "named":
            m.named[len(m.named)] = terms
            return m.named[len(m.named) - 1]
        return {"negated": -terms, "plain": terms, "times 2": 2 * terms}[written]

    expression = build(nested)
    terms = Terms()
    terms.add(expression, 1.0)
    order = list(dict.fromkeys(v.name for v in terms.variable))
    assert order == [v.name for v in identify_variables(expression)]


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(tree=trees, change=st.sampled_from(["unfix", "fix", "param"]))
def test_what_is_compiled_again_is_compiled_anew(tree, change):
    """After a variable is fixed or freed or a Param changes, the compilation is that of a fresh copy."""
    builder = Builder()
    m = builder.model
    expression, _ = builder.build(tree)
    m.rows.c = pyo.Constraint(expr=expression + m.anchor <= 3)

    def compiled(model):
        builder.model = model
        try:
            return _compiled(builder)
        except UnsupportedTermError as error:
            return str(error)

    compiled(m)
    if change == "unfix":
        m.fixed.unfix()
    elif change == "fix":
        m.y[1].fix(0.5)
    else:
        params = list(m.params.component_objects(pyo.Param))
        assume(params)
        for one in params:
            one.set_value(one.value + 1)
        assume(all(p.value for p in params))
    try:
        assert compiled(m) == compiled(m.clone())
    except (ZeroDivisionError, ValueError):
        pytest.skip("a Param in a denominator became 0")
