"""Which expressions are read, term by term, and which are refused."""

import pyomo.environ as pyo
import pytest
from compiled_models import compiled_row, objective, row, tiny

from pyomo_j3o.errors import ModelError, UnsupportedTermError
from pyomo_j3o.modeling.compiler import compile_model


@pytest.fixture
def m():
    """Return the model of `tiny`."""
    return tiny()


SHAPES = {
    "w*x*y": lambda m: 2 * m.x[1] * m.y[1] + 3 * m.x[1] * m.y[2],
    "w*(x*y)": lambda m: 2 * (m.x[1] * m.y[1]) + 3 * (m.x[1] * m.y[2]),
    "(x*y)*w": lambda m: (m.x[1] * m.y[1]) * 2 + (m.x[1] * m.y[2]) * 3,
    "y*x": lambda m: m.y[1] * m.x[1] * 2 + 3 * m.y[2] * m.x[1],
    "x*sum": lambda m: m.x[1] * (2 * m.y[1] + 3 * m.y[2]),
    "sum*x": lambda m: (2 * m.y[1] + 3 * m.y[2]) * m.x[1],
    "w*x*sum": lambda m: 2 * m.x[1] * (m.y[1] + 1.5 * m.y[2]),
    "x*w*sum": lambda m: m.x[1] * (2 * (m.y[1] + 1.5 * m.y[2])),
    "x*y/p": lambda m: m.x[1] * m.y[1] / m.p * 10 + 15 * (m.x[1] * m.y[2]) / m.p,
    "-(x*y)": lambda m: 2 * (-1) * (-(m.x[1] * m.y[1])) - (-3 * m.x[1] * m.y[2]),
    "p*x*y": lambda m: m.p * m.x[1] * m.y[1] - (m.p - 2) * (m.x[1] * m.y[1]) + 3 * m.x[1] * m.y[2],
    "repeated": lambda m: m.x[1] * m.y[1] + m.y[1] * m.x[1] + m.x[1] * m.y[2] * 3,
    "cancelled": lambda m: m.x[1] * (2 * m.y[1] + 3 * m.y[2] + m.y[3]) - m.y[3] * m.x[1],
    "power": lambda m: 2 * m.x[1] ** 1 * m.y[1] + 3 * m.x[1] * m.y[2] ** m.z,
    "fixed": lambda m: 2 * m.z * m.x[1] * m.y[1] + 3 * m.x[1] * (m.z * m.y[2]),
    "z*sum": lambda m: m.z * (m.x[1] * (2 * m.y[1] + 3 * m.y[2])),
    "sin(0)": lambda m: m.x[1] * (2 * m.y[1] + 3 * m.y[2]) + pyo.sin(m.z - 1) * m.y[3] * m.y[3],
    "/z": lambda m: m.x[1] * (2 * m.y[1] + 3 * m.y[2]) / m.z,
    "Expr_if": lambda m: m.x[1] * pyo.Expr_if(m.z >= 0, 2 * m.y[1] + 3 * m.y[2], m.y[1] ** 2),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("where", ["row", "objective"])
def test_products(m, shape, where):
    """However a product is written, it is one entry with the sum of its coefficients."""
    m.z = pyo.Var(initialize=1)
    m.z.fix()
    expression = SHAPES[shape](m)
    if where == "row":
        found, _ = compiled_row(m, expression)
    else:
        m.gain.expr = expression
        found = objective(*compile_model(m))
    assert found == pytest.approx({("x[1]", "y[1]"): 2, ("x[1]", "y[2]"): 3})


def test_a_product_with_constants_leaves_linear_terms(m):
    """``x*(y1 + 2*y2 + 3)`` has a linear part in x, ``(x + c)*(y + d)`` all four parts."""
    assert compiled_row(m, m.x[1] * (m.y[1] + 2 * m.y[2] + 3))[0] == {
        ("x[1]", "y[1]"): 1,
        ("x[1]", "y[2]"): 2,
        "x[1]": 3,
    }
    m.del_component(m.c)
    terms, bound = compiled_row(m, (m.x[1] + 2) * (m.y[1] + m.p))
    assert terms == {("x[1]", "y[1]"): 1, "x[1]": 5, "y[1]": 2}
    assert bound == 90


def test_sums_of_both_kinds_multiply(m):
    """Every onloading variable meets every offloading one."""
    terms, _ = compiled_row(m, sum(m.x.values()) * sum(m.y.values()))
    assert terms == {(f"x[{i}]", f"y[{j}]"): 1 for i in (1, 2) for j in (1, 2, 3)}


def test_mutable_params_have_their_current_value(m):
    """Coefficients, bounds of rows, bounds of variables."""
    m.q = pyo.Param(initialize=0.5, mutable=True)
    m.y[1].setub(m.q)
    m.c = pyo.Constraint(expr=m.p * m.y[1] + m.p * m.x[1] * m.y[2] + 2 * m.p <= 3 * m.p)
    for p, q in ((5, 0.5), (7, 0.25)):
        m.p, m.q = p, q
        problem, inverse = compile_model(m)
        assert row(problem, inverse, m.c) == {"y[1]": p, ("x[1]", "y[2]"): p}
        assert problem.row_upper[0] == p
        assert problem.offloading_upper[0] == q


def test_named_expressions_are_looked_into(m):
    """Nested, shared between rows, and holding products."""
    m.inner = pyo.Expression(expr=m.y[1] + 2 * m.y[2])
    m.outer = pyo.Expression(expr=m.x[1] * m.inner + m.inner + 1)
    m.c = pyo.Constraint([1, 2, 3], rule=lambda m, i: i * m.outer + m.inner <= 10)
    m.gain.expr = m.outer
    problem, inverse = compile_model(m)
    for i in (1, 2, 3):
        assert row(problem, inverse, m.c[i]) == {
            ("x[1]", "y[1]"): i,
            ("x[1]", "y[2]"): 2 * i,
            "y[1]": i + 1,
            "y[2]": 2 * i + 2,
        }
        assert problem.row_upper[i - 1] == 10 - i
    assert problem.objective_constant == 1


def test_names_that_hold_names_do_not_explode(m):
    """Thirty levels, each of which holds the one below twice."""
    m.e = pyo.Expression(range(31))
    m.e[0] = m.y[1] + m.x[1]
    for i in range(30):
        m.e[i + 1] = 0.5 * m.e[i] + m.e[i] / 2
    assert compiled_row(m, m.e[30])[0] == pytest.approx({"y[1]": 1, "x[1]": 1})


def test_an_empty_named_expression_is_named(m):
    """It has no value that could be taken."""
    m.e = pyo.Expression()
    m.c = pyo.Constraint(expr=m.y[1] + m.e <= 1)
    with pytest.raises(ModelError, match="Constraint 'c': Expression 'e' is empty"):
        compile_model(m)


def test_deep_expressions(m):
    """Chains far deeper than Python recurses, of sums, negations, products and quotients."""
    total, chain, product = 0, m.y[1], m.y[2] + m.x[1] * m.y[1]
    for i in range(20_000):
        total = total + m.y[1 + i % 3]
        chain = -(chain + m.x[1])
        product = (product + m.y[3]) * 2 / 2
    m.c = pyo.Constraint(pyo.RangeSet(3), rule=lambda m, i: [total, chain, product][i - 1] <= 1)
    problem, inverse = compile_model(m)
    assert row(problem, inverse, m.c[1]) == {"y[1]": 6667, "y[2]": 6667, "y[3]": 6666}
    assert row(problem, inverse, m.c[2]) == {"y[1]": 1}
    assert row(problem, inverse, m.c[3]) == {"y[2]": 1, "y[3]": 20_000, ("x[1]", "y[1]"): 1}


def test_templates(m, monkeypatch):
    """Constraints that Pyomo keeps as a template are read like others."""
    monkeypatch.setattr("pyomo.core.base.constraint.TEMPLATIZE_CONSTRAINTS", True)
    m.I = pyo.RangeSet(2)
    m.w = pyo.Param(m.I, initialize={1: 3, 2: 4})
    m.c = pyo.Constraint(m.I, rule=lambda m, i: m.w[i] * m.y[i] <= m.x[i] + m.p)
    assert hasattr(m.c[1], "template_expr")
    problem, inverse = compile_model(m)
    assert row(problem, inverse, m.c[2]) == {"y[2]": 4, "x[2]": -1}
    assert problem.row_upper.tolist() == [5, 5]


@pytest.mark.parametrize(
    ("term", "named"),
    [
        (lambda m: m.y[1] * m.y[2], r"y\[1\]\*y\[2\]"),
        (lambda m: m.y[2] * m.y[1] + m.x[1], r"y\[1\]\*y\[2\]"),
        (lambda m: m.y[1] ** 2, r"y\[1\]\*y\[1\], a product of two offloading"),
        (lambda m: (m.y[1] + m.x[1]) * (m.y[2] + 1), r"y\[1\]\*y\[2\]"),
        (lambda m: m.x[1] * m.x[2] * m.y[1], r"y\[1\]\*\(x\[1\]\*x\[2\]\)"),
        (lambda m: m.x[1] * m.y[1] * m.y[2], r"y\[2\]\*\(x\[1\]\*y\[1\]\)"),
        (lambda m: m.x[1] * m.y[1] ** 2, r"y\[1\]\*\*2"),
        (lambda m: pyo.sin(m.y[1]), r"sin\(y\[1\]\)"),
        (lambda m: abs(m.y[1]), r"abs\(y\[1\]\)"),
        (lambda m: m.y[1] / m.x[1], r"y\[1\]/x\[1\]"),
        (lambda m: 1 / m.y[1], r"y\[1\]"),
        (lambda m: 2 ** m.y[1], r"2\*\*y\[1\]"),
        (lambda m: m.x[1] * pyo.exp(m.y[1]), r"exp\(y\[1\]\)"),
        (lambda m: pyo.Expr_if(m.x[1] >= 1, m.y[1], m.y[2]), r"x\[1\]"),
    ],
)
@pytest.mark.parametrize("where", ["row", "objective"])
def test_other_terms_are_refused(m, term, named, where):
    """The owner and the offending term are named, and what is allowed instead."""
    owner = "Objective 'gain'" if where == "objective" else "Constraint 'c'"
    if where == "objective":
        m.gain.expr = term(m)
    else:
        m.c = pyo.Constraint(expr=m.y[3] + term(m) <= 1)
    with pytest.raises(UnsupportedTermError, match=rf"{owner} holds the term .*{named}") as error:
        compile_model(m)
    assert "linear in the offloading variables once the onloading ones are fixed" in str(error.value)


def test_a_square_that_cancels_is_no_square(m):
    """Only what is left counts."""
    terms, _ = compiled_row(
        m, m.y[1] * m.y[2] - m.y[2] * m.y[1] + m.p * m.x[1] ** 2 - 5 * m.x[1] * m.x[1] + m.x[2]
    )
    assert terms == {"x[2]": 1}


def test_a_long_term_is_cut_short(m):
    """The message stays readable."""
    m.c = pyo.Constraint(expr=pyo.sin(sum(m.y[1 + i % 3] for i in range(500))) <= 1)
    with pytest.raises(UnsupportedTermError) as error:
        compile_model(m)
    assert len(str(error.value)) < 400
