"""Coefficients are evaluated as Pyomo evaluates them, bit by bit, whatever they are made of."""

import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyomo_j3o.modeling.fixed_values import fixed_value

M = pyo.ConcreteModel()
M.p = pyo.Param([0, 1, 2], initialize={0: 0.1, 1: -7.3, 2: 3.0}, mutable=True)
M.q = pyo.Param(initialize=1e-3, mutable=True)
M.e = pyo.Expression(expr=2 * M.q)
M.empty = pyo.Param(mutable=True)

NUMBERS = st.one_of(st.floats(-9, 9), st.integers(-5, 5), st.sampled_from([M.p[0], M.p[1], M.p[2], M.q, M.e]))
EXPRESSIONS = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda ab: ab[0] + ab[1]),
        st.tuples(inner, inner).map(lambda ab: ab[0] * ab[1]),
        st.tuples(inner, NUMBERS).map(lambda ab: ab[0] / (ab[1] + 20)),
        inner.map(lambda a: -a),
        inner.map(lambda a: pyo.exp(a / 1e6) if hasattr(a, "is_fixed") else a),
        inner.map(lambda a: abs(a)),
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=200)
@given(expression=EXPRESSIONS)
def test_the_value_is_that_of_pyomo(expression):
    """Sums, products, quotients, and what is left to Pyomo, inside one another."""
    try:
        expected = pyo.value(expression)
    except OverflowError:
        return
    assert fixed_value(expression) == expected


def test_nesting_has_no_end():
    """A product that a loop has built is evaluated, too."""
    expression = M.q
    for _ in range(5000):
        expression = expression * M.p[2] / 3
    assert fixed_value(expression) == pytest.approx(1e-3)


def test_a_param_without_a_value_is_named():
    """The message is Pyomo's."""
    with pytest.raises(ValueError, match="empty"):
        fixed_value(2 * M.empty)
