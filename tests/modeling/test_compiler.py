"""What becomes of a Pyomo model: every accepted shape, every refusal, and the way back."""

import logging
import math
import threading

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.contrib.solver.common.factory import SolverFactory as NewSolverFactory
from pyomo.gdp import Disjunct, Disjunction
from pyomo.mpec import Complementarity, complements
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler
from pyomo.repn.quadratic import QuadraticRepnVisitor
from pyomo.repn.util import OrderedVarRecorder

from pyomo_j3o.core.problem import OBJECTIVE, activities, evaluate
from pyomo_j3o.errors import AnnotationError, ModelError, TriviallyInfeasibleError, UnsupportedTermError
from pyomo_j3o.modeling.annotate import OffloadingBlock, OnloadingBlock, annotate
from pyomo_j3o.modeling.compiler import compile_model


@pytest.fixture
def m():
    """Return two onloading and three offloading variables, marked; an empty objective."""
    m = pyo.ConcreteModel("tiny")
    m.x = pyo.Var([1, 2], domain=pyo.Binary)
    m.y = pyo.Var([1, 2, 3], bounds=(0, 1))
    m.p = pyo.Param(initialize=5.0, mutable=True)
    annotate(m, onloading=m.x, offloading=m.y)
    m.gain = pyo.Objective(expr=0, sense=pyo.maximize)
    return m


def row(problem, inverse, constraint):
    """Return what one constraint became: {variable or (x, y) names: coefficient}."""
    return _terms(problem, inverse, inverse.rows.index(constraint))


def objective(problem, inverse):
    """Return what the objective became, without its constant."""
    return _terms(problem, inverse, OBJECTIVE)


def _terms(problem, inverse, number):
    found = {}
    for variables, rows, costs in (
        (inverse.onloading, problem.onloading_rows, problem.onloading_objective),
        (inverse.offloading, problem.offloading_rows, problem.offloading_objective),
    ):
        numbers = costs if number == OBJECTIVE else rows[[number]].toarray()[0]
        found |= {v.name: c for v, c in zip(variables, numbers, strict=True) if c}
    products = problem.products
    for i in np.flatnonzero(products.row == number):
        x, y = inverse.onloading[products.onloading[i]], inverse.offloading[products.offloading[i]]
        assert (x.name, y.name) not in found
        found[x.name, y.name] = products.coefficient[i]
    return found


def compiled_row(m, expression):
    """Return the terms of ``expression <= 100`` and the bound that its constant leaves."""
    m.c = pyo.Constraint(expr=expression <= 100)
    problem, inverse = compile_model(m)
    return row(problem, inverse, m.c), problem.row_upper[0]


# --- rows, bounds, sense --------------------------------------------------------------------------


def test_rows_stand_in_the_users_order(m):
    """One row per constraint, ranges and equalities too, with both bounds."""
    m.link = pyo.Constraint([1, 2], rule=lambda m, i: m.y[i] <= m.x[i])
    m.range = pyo.Constraint(expr=(1, m.y[1] + m.y[2], 2))
    m.one = pyo.Constraint(expr=m.y[1] + m.y[3] == 1)
    m.cover = pyo.Constraint(expr=m.x[1] + m.x[2] >= 1)
    problem, inverse = compile_model(m)
    assert [c.name for c in inverse.rows] == ["link[1]", "link[2]", "range", "one", "cover"]
    assert problem.row_lower.tolist() == [-math.inf, -math.inf, 1, 1, 1]
    assert problem.row_upper.tolist() == [0, 0, 2, 1, math.inf]
    assert row(problem, inverse, m.link[1]) == {"y[1]": 1, "x[1]": -1}
    assert problem.n_nonzeros == 10


@pytest.mark.parametrize(
    ("build", "lower", "upper", "terms"),
    [
        (lambda m: m.y[1] <= 3, -math.inf, 3, {"y[1]": 1}),
        (lambda m: m.y[1] >= 3, 3, math.inf, {"y[1]": 1}),
        (lambda m: m.y[1] >= m.y[2], -math.inf, 0, {"y[2]": 1, "y[1]": -1}),
        (lambda m: m.p <= 2 * m.y[1] + 1, 4, math.inf, {"y[1]": 2}),
        (lambda m: m.p == m.y[1] - m.p, 10, 10, {"y[1]": 1}),
        (lambda m: m.y[1] + 1 == m.x[1] + 3, 2, 2, {"y[1]": 1, "x[1]": -1}),
        (lambda m: pyo.inequality(m.p, m.y[1] + 1, m.p + 2), 4, 6, {"y[1]": 1}),
        (lambda m: m.y[1] <= m.p * m.x[1], -math.inf, 0, {"y[1]": 1, "x[1]": -5}),
        (lambda m: (None, m.y[1], math.inf), None, None, None),
        (lambda m: (-math.inf, m.y[1], 4), -math.inf, 4, {"y[1]": 1}),
        (lambda m: m.y[1] <= math.inf, None, None, None),
        (lambda m: m.y[1] + m.x[1] <= m.y[1] + 1, -math.inf, 1, {"x[1]": 1}),
    ],
)
def test_bounds(m, build, lower, upper, terms):
    """Variables and constants may be on either side; a constraint without a bound is no row."""
    m.c = pyo.Constraint(expr=build(m))
    problem, inverse = compile_model(m)
    if terms is None:
        assert problem.n_rows == 0
        return
    assert (problem.row_lower[0], problem.row_upper[0]) == (lower, upper)
    assert row(problem, inverse, m.c) == terms


def test_a_minimised_objective_is_negated_and_rows_are_not(m):
    """The Problem is maximised; `sense` says what the user does."""
    m.gain.expr = 3 * m.y[1] - m.x[1] + 2 * m.x[1] * m.y[2] + 7
    m.c = pyo.Constraint(expr=m.y[1] + m.x[1] * m.y[1] <= 1)
    best, _ = compile_model(m)
    m.gain.sense = pyo.minimize
    problem, inverse = compile_model(m)
    assert (best.sense, problem.sense) == (1, -1)
    assert objective(problem, inverse) == {"y[1]": -3, "x[1]": 1, ("x[1]", "y[2]"): -2}
    assert (best.objective_constant, problem.objective_constant) == (7, -7)
    assert row(problem, inverse, m.c) == {"y[1]": 1, ("x[1]", "y[1]"): 1}


def test_the_empty_model():
    """Without variables there is still the constant; without an objective there is nothing."""
    m = pyo.ConcreteModel()
    with pytest.raises(ModelError, match="no active objective; add one"):
        compile_model(m)
    m.cost = pyo.Objective(expr=3)
    problem, inverse = compile_model(m)
    assert (problem.n_rows, problem.n_onloading, problem.n_offloading) == (0, 0, 0)
    assert (problem.objective_constant, problem.sense) == (-3, -1)
    assert problem.onloading_rows.shape == (0, 0)
    inverse.load(np.zeros(0), np.zeros(0))
    assert len(inverse.values(np.zeros(0), np.zeros(0))) == 0


def test_what_is_not_a_model(m):
    """An indexed block, an abstract model, a number."""
    m.b = pyo.Block([1])
    for wrong, named in (
        (m.b, "a IndexedBlock"),
        (pyo.AbstractModel(), r"create_instance\(\)"),
        (3, "a int"),
    ):
        with pytest.raises(ModelError, match=named):
            compile_model(wrong)


def test_an_objective_without_an_expression(m):
    """It is an error, not a 0."""
    m.del_component(m.gain)
    m.gain = pyo.Objective()
    with pytest.raises(ModelError, match=r"objective|Objective"):
        compile_model(m)


def test_variables_over_sets_without_end(m):
    """A sparse Var over Any has the members that were asked for."""
    m.v = pyo.Var(pyo.Any, dense=False)
    annotate(m, offloading=m.v)
    m.gain.expr = m.v["a"] + m.x[1] * m.v["b"]
    assert compile_model(m)[1].offloading == [m.v["a"], m.v["b"]]


def test_two_objectives_are_both_named(m):
    """Also when one is in a sub-block; a deactivated one does not count."""
    m.b = pyo.Block()
    m.b.cost = pyo.Objective(expr=m.y[1])
    with pytest.raises(ModelError, match=r"'gain', 'b\.cost'; deactivate all but one"):
        compile_model(m)
    m.gain.deactivate()
    problem, inverse = compile_model(m)
    assert objective(problem, inverse) == {"y[1]": -1}


def test_the_columns_stand_in_the_order_of_declaration(m):
    """Whatever the order of use; a variable with the coefficient 0 keeps its column."""
    m.p.value = 0
    m.gain.expr = m.y[3] + m.y[1] + m.p * m.y[2] + m.x[2]
    _, inverse = compile_model(m)
    assert [v.name for v in inverse.offloading] == ["y[1]", "y[2]", "y[3]"]
    assert [v.name for v in inverse.onloading] == ["x[2]"]


# --- terms ----------------------------------------------------------------------------------------

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


def test_duplicates_are_summed_and_zeros_dropped(m):
    """On linear terms as on products; a row of which nothing is left is no row."""
    terms, _ = compiled_row(m, m.y[1] + 2 * m.y[1] + m.x[1] - m.x[1] + m.x[2])
    assert terms == {"y[1]": 3, "x[2]": 1}
    m.nothing = pyo.Constraint(expr=m.x[1] * m.y[1] + m.y[2] - m.y[1] * m.x[1] - m.y[2] <= 0)
    problem, inverse = compile_model(m)
    assert [c.name for c in inverse.rows] == ["c"]
    assert problem.n_nonzeros == 2


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


def test_fixed_variables_are_constants(m):
    """In linear terms, in either place of a product, without a mark, and y*y with one fixed."""
    m.free = pyo.Var()
    m.free.fix(2)
    m.x[1].fix(1)
    m.y[3].fix(4)
    terms, bound = compiled_row(
        m,
        m.x[1] * m.y[1] + m.y[3] * m.y[2] + m.x[2] * m.y[3] + 3 * m.free + m.x[1] * m.y[3] + m.free * m.y[1],
    )
    assert terms == {"y[1]": 3, "y[2]": 4, "x[2]": 4}
    assert bound == 90


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


def test_references_count_once(m):
    """A Reference to variables or constraints adds nothing of its own."""
    m.ry = pyo.Reference(m.y)
    m.c = pyo.Constraint([1, 2], rule=lambda m, i: m.ry[i] <= m.x[i])
    m.rc = pyo.Reference(m.c)
    problem, inverse = compile_model(m)
    assert problem.n_rows == 2
    assert inverse.offloading == [m.y[1], m.y[2]]


def test_inactive_parts_are_skipped(m):
    """Constraints, whole blocks; their variables may still be used elsewhere."""
    m.c = pyo.Constraint([1, 2], rule=lambda m, i: m.y[i] <= m.x[i])
    m.c[1].deactivate()
    m.b = pyo.Block()
    m.b.y = pyo.Var()
    m.b.nonsense = pyo.Constraint(expr=pyo.sin(m.b.y) <= m.y[1])
    annotate(m, offloading=m.b)
    m.b.deactivate()
    m.d = pyo.Constraint(expr=m.b.y <= 3)
    problem, inverse = compile_model(m)
    assert [c.name for c in inverse.rows] == ["c[2]", "d"]
    assert inverse.offloading[-1] is m.b.y
    assert problem.offloading_lower[-1] == -math.inf


def test_a_sub_block_is_compiled_alone(m):
    """Its variables may live outside of it, and marks above it count."""
    m.c = pyo.Constraint(expr=m.y[1] <= m.x[1])
    m.b = pyo.Block()
    m.b.c = pyo.Constraint(expr=m.y[2] <= m.x[2])
    m.b.cost = pyo.Objective(expr=m.y[2])
    problem, inverse = compile_model(m.b)
    assert [c.name for c in inverse.rows] == ["b.c"]
    assert (inverse.onloading, inverse.offloading, inverse.idle) == ([m.x[2]], [m.y[2]], [])
    assert problem.sense == -1


def test_variables_of_another_model(m):
    """Pyomo allows them, and their own model says what they are."""
    other = pyo.ConcreteModel()
    other.route = OffloadingBlock()
    other.route.y = pyo.Var()
    assert compiled_row(m, m.x[1] * other.route.y)[0] == {("x[1]", "route.y"): 1}


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


def test_constraint_lists_and_list_objectives(m):
    """A ConstraintList is an indexed constraint."""
    m.c = pyo.ConstraintList()
    m.c.add(m.y[1] <= m.x[1])
    m.c.add((0, m.y[2], 0.5))
    assert compile_model(m)[0].n_rows == 2


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("term", "named"),
    [
        (lambda m: m.y[1] * m.y[2], r"y\[1\]\*y\[2\]"),
        (lambda m: m.y[2] * m.y[1] + m.x[1], r"y\[1\]\*y\[2\]"),
        (lambda m: m.x[1] * m.x[2], r"x\[1\]\*x\[2\], a product of two onloading"),
        (lambda m: m.x[1] ** 2, r"x\[1\]\*x\[1\]"),
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


def sos(m):
    """Add a special ordered set."""
    m.strange = pyo.SOSConstraint(var=m.y, sos=1)


def logical(m):
    """Add a logical constraint."""
    m.b = pyo.BooleanVar([1, 2])
    m.strange = pyo.LogicalConstraint(expr=m.b[1].implies(m.b[2]))


def complementary(m):
    """Add a complementarity condition."""
    m.strange = Complementarity(expr=complements(m.y[1] >= 0, m.y[2] >= 0))


def disjunct(m):
    """Add a Disjunct of no Disjunction."""
    m.strange = Disjunct()


def disjunction(m):
    """Add a Disjunction in a sub-block."""
    m.block = pyo.Block()
    m.block.strange = Disjunction(expr=[[m.y[1] >= 1], [m.y[2] >= 1]])


def piecewise(m):
    """Add a piecewise linear function stated with special ordered sets."""
    m.f = pyo.Var()
    annotate(m, offloading=m.f)
    m.strange = pyo.Piecewise(
        m.f, m.y[1], pw_pts=[0, 0.5, 1], f_rule=[0, 1, 0], pw_constr_type="EQ", pw_repn="SOS2"
    )


@pytest.mark.parametrize("make", [sos, logical, complementary, disjunct, disjunction, piecewise])
def test_components_that_are_not_understood(m, make):
    """Nothing active is ignored: the component and a remedy are named."""
    make(m)
    with pytest.raises(
        ModelError, match=r"strange.* is active, but j3o does not know it; .*(deactivate|first)"
    ):
        compile_model(m)


def test_what_is_not_understood_may_be_inactive(m):
    """Switched off, it does not matter."""
    sos(m)
    m.strange.deactivate()
    disjunction(m)
    m.block.strange.deactivate()
    for alternative in m.component_data_objects(Disjunct):
        alternative.deactivate()
    compile_model(m)


def test_other_components_have_no_say(m):
    """Sets, Params, Suffixes, BooleanVars, checks and actions may be around."""
    m.S = pyo.Set(initialize=[1])
    m.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)
    m.bool = pyo.BooleanVar()
    m.check = pyo.BuildCheck(rule=lambda m: True)
    m.action = pyo.BuildAction(rule=lambda m: None)
    compile_model(m)


# --- marks ----------------------------------------------------------------------------------------


def test_a_free_variable_without_a_mark(m):
    """It is named, with what to call; idle or fixed it does not matter."""
    m.z = pyo.Var([1, 2])
    compile_model(m)
    m.c = pyo.Constraint(expr=m.y[1] + m.z[1] <= 1)
    with pytest.raises(AnnotationError, match=r"'z\[1\]': free .* call pyomo_j3o\.annotate"):
        compile_model(m)
    m.z[1].fix(1)
    compile_model(m)
    m.gain.expr = m.z[2]
    with pytest.raises(AnnotationError, match=r"'z\[2\]'"):
        compile_model(m)


def unmarked():
    """Return a model with a binary and a continuous variable and no mark."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(domain=pyo.Binary)
    m.y = pyo.Var(bounds=(0, 1))
    m.u = pyo.Var()
    m.c = pyo.Constraint(expr=m.y <= m.x)
    m.gain = pyo.Objective(expr=m.y, sense=pyo.maximize)
    return m


def test_nothing_marked(caplog):
    """Binaries are onloading, continuous ones offloading, and one notice says so."""
    m = unmarked()
    with caplog.at_level(logging.WARNING, logger="pyomo_j3o"):
        _, inverse = compile_model(m)
    assert (inverse.onloading, inverse.offloading, inverse.idle) == ([m.x], [m.y], [])
    assert len(caplog.records) == 1
    assert "annotate" in caplog.text


def test_nothing_marked_but_strict(caplog):
    """The guess is refused; nothing to guess is no error and no notice."""
    m = unmarked()
    with pytest.raises(AnnotationError, match="strict=True"):
        compile_model(m, strict=True)
    m.x.fix(1)
    m.y.fix(1)
    compile_model(m, strict=True)
    assert not caplog.records
    annotate(m, onloading=m.x, offloading=m.y)
    m.x.unfix()
    compile_model(m, strict=True)


def test_a_general_integer_cannot_be_guessed():
    """It is neither onloading nor offloading."""
    m = unmarked()
    m.y.domain = pyo.NonNegativeIntegers
    m.y.setub(5)
    with pytest.raises(AnnotationError, match="variable 'y' is neither binary nor continuous"):
        compile_model(m)
    m.y.setub(1)
    assert compile_model(m)[0].n_onloading == 2


@pytest.mark.parametrize(
    ("domain", "bounds", "fine"),
    [
        (pyo.Binary, (None, None), True),
        (pyo.Boolean, (0, 1), True),
        (pyo.Integers, (0, 1), True),
        (pyo.NonNegativeIntegers, (None, 1), True),
        (pyo.Set(initialize=[0, 1]), (None, None), True),
        (pyo.Integers, (0, 2), False),
        (pyo.Integers, (None, None), False),
        (pyo.Reals, (0, 1), False),
        (pyo.UnitInterval, (None, None), False),
    ],
)
def test_onloading_is_binary(m, domain, bounds, fine):
    """By whatever means; otherwise the variable and the remedy are named."""
    m.z = pyo.Var(bounds=bounds)
    if isinstance(domain, pyo.Set):
        domain.construct()
    m.z.domain = domain
    annotate(m, onloading=m.z)
    m.gain.expr = m.z
    if fine:
        problem, _ = compile_model(m)
        assert (problem.onloading_lower.tolist(), problem.onloading_upper.tolist()) == ([0], [1])
    else:
        with pytest.raises(
            AnnotationError, match="onloading variable 'z' is not binary; make its domain Binary"
        ):
            compile_model(m)


@pytest.mark.parametrize(
    ("domain", "fine"),
    [(pyo.Reals, True), (pyo.NonNegativeReals, True), (pyo.Binary, False), (pyo.Integers, False)],
)
def test_offloading_is_continuous(m, domain, fine):
    """Otherwise the variable and the remedy are named."""
    m.z = pyo.Var(domain=domain)
    annotate(m, offloading=m.z)
    m.gain.expr = m.z
    if fine:
        compile_model(m)
    else:
        with pytest.raises(
            AnnotationError, match="offloading variable 'z' is not continuous; make its domain"
        ):
            compile_model(m)


def test_members_may_have_roles_of_their_own():
    """One Var can hold both kinds, marked one by one, also from outside of the block compiled."""
    m = pyo.ConcreteModel()
    m.v = pyo.Var([1, 2, 3])
    m.v[1].domain = pyo.Binary
    annotate(m, onloading=m.v[1], offloading=[m.v[2]])
    m.gain = pyo.Objective(expr=m.v[1] + m.v[2])
    _, inverse = compile_model(m)
    assert (inverse.onloading, inverse.offloading, inverse.idle) == ([m.v[1]], [m.v[2]], [])
    m.b = pyo.Block()
    m.b.cost = pyo.Objective(expr=m.v[1] * m.v[2])
    assert len(compile_model(m.b)[0].products) == 1


# --- numbers --------------------------------------------------------------------------------------


def test_bounds_of_variables(m):
    """Open ones are infinite, domains count, expressions are evaluated, a fixed 0 stays."""
    m.z = pyo.Var([1, 2, 3, 4, 5], domain=pyo.NonNegativeReals)
    m.z[1].setub(m.p + 1)
    m.z[2].setlb(-3)
    m.z[3].setub(0)
    m.z[4].domain = pyo.Reals
    m.z[5].setub(math.inf)
    annotate(m, offloading=m.z)
    m.gain.expr = sum(m.z.values())
    problem, _ = compile_model(m)
    assert problem.offloading_lower.tolist() == [0, 0, 0, -math.inf, 0]
    assert problem.offloading_upper.tolist() == [6, math.inf, 0, math.inf, math.inf]


def test_fractional_bounds_of_a_binary_are_rounded_inwards(m):
    """(0.2, 1) leaves 1, (0, 0.7) leaves 0."""
    m.x[1].setlb(0.2)
    m.x[2].setub(0.7)
    m.gain.expr = m.x[1] + m.x[2]
    problem, _ = compile_model(m)
    assert problem.onloading_lower.tolist() == [1, 0]
    assert problem.onloading_upper.tolist() == [1, 0]
    m.x[1].setub(0.8)
    with pytest.raises(TriviallyInfeasibleError, match=r"'x\[1\]' has no value between its bounds"):
        compile_model(m)


def test_bounds_that_cross(m):
    """The variable is named; crossing by rounding alone is forgiven."""
    m.gain.expr = m.y[1]
    m.y[1].setlb(1 + 1e-12)
    problem, _ = compile_model(m)
    assert problem.offloading_lower[0] == problem.offloading_upper[0] == 1
    m.y[1].setlb(2)
    with pytest.raises(
        TriviallyInfeasibleError, match=r"variable 'y\[1\]' has no value between its bounds 2.0 and 1.0"
    ):
        compile_model(m)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda m, n: setattr(m, "c", pyo.Constraint(expr=n * m.y[1] + m.y[2] <= 1)), "Constraint 'c'"),
        (lambda m, n: setattr(m, "c", pyo.Constraint(expr=n * m.y[1] * m.x[1] <= 1)), "Constraint 'c'"),
        (lambda m, n: setattr(m, "c", pyo.Constraint(expr=m.y[1] + m.y[2] + n <= 1)), "Constraint 'c'"),
        (lambda m, n: setattr(m, "c", pyo.Constraint(expr=m.y[1] + n == m.y[2])), "Constraint 'c'"),
        (
            lambda m, n: setattr(m, "c", pyo.Constraint(expr=(m.y[1] + n) * (m.x[1] + 1) <= 2)),
            "Constraint 'c'",
        ),
        (lambda m, n: setattr(m.gain, "expr", m.y[1] + n), "Objective 'gain'"),
        (lambda m, n: setattr(m.gain, "expr", n * m.x[1]), "Objective 'gain'"),
        (lambda m, n: (m.p.set_value(n), setattr(m.gain, "expr", m.p * m.x[1])), "Param 'p'"),
        (
            lambda m, n: (m.y[1].fix(n, skip_validation=True), setattr(m.gain, "expr", m.y[1])),
            r"Var 'y\[1\]'",
        ),
        (
            lambda m, n: (
                m.y[1].fix(n, skip_validation=True),
                setattr(m.gain, "expr", (m.y[1] + 1) * m.x[1]),
            ),
            r"Var 'y\[1\]'",
        ),
    ],
)
def test_numbers_that_are_not_finite(m, number, spoil, named):
    """NaN and infinities are found wherever they are, and what holds them is named."""
    spoil(m, number)
    with pytest.raises(ModelError, match=named):
        compile_model(m)


def test_bounds_that_are_no_bounds(m):
    """A lower bound of infinity, a NaN."""
    m.gain.expr = m.y[1]
    for bad in (math.nan, math.inf):
        m.y[1].setlb(bad)
        with pytest.raises(ModelError, match=r"variable 'y\[1\]'"):
            compile_model(m)
    m.y[1].setlb(0)
    m.c = pyo.Constraint(expr=m.y[1] >= m.p)
    for bad in (math.nan, math.inf):
        m.p = bad
        with pytest.raises(ModelError, match="Param 'p'"):
            compile_model(m)


def test_a_fixed_variable_without_a_value(m):
    """It is named, in whatever kind of term it is."""
    m.z = pyo.Var()
    m.z.fix()
    for expression in (m.z, m.z * m.y[1], m.z * (m.y[1] + 1), (m.z + 1) * (m.y[1] + 1), m.y[1] / m.z):
        m.gain.expr = expression
        with pytest.raises(ModelError, match=r"'z' is (fixed but has no value|fixed at None)"):
            compile_model(m)


def test_what_cannot_be_evaluated(m):
    """A Param without a value and a division by zero are errors that name the constraint."""
    m.q = pyo.Param(mutable=True)
    m.c = pyo.Constraint(expr=m.q * m.y[1] <= 1)
    with pytest.raises(ModelError, match=r"Constraint 'c' cannot be evaluated.*'?q"):
        compile_model(m)
    m.q = 0
    m.c.set_value(m.y[1] / m.q <= 1)
    with pytest.raises(ModelError, match="Constraint 'c' cannot be evaluated"):
        compile_model(m)


def test_a_range_with_a_free_bound(m):
    """Pyomo cannot tell what is meant either."""
    m.c = pyo.Constraint(expr=pyo.inequality(m.y[2], m.y[1], 1))
    with pytest.raises(ModelError, match=r"'c' .*variable lower bound"):
        compile_model(m)
    m.y[2].fix(0.5)
    problem, _ = compile_model(m)
    assert (problem.row_lower[0], problem.row_upper[0]) == (0.5, 1)


def test_rows_without_free_variables(m):
    """Satisfied they are dropped, violated they are named; rounding is forgiven."""
    m.y[1].fix(0.1 + 0.2)
    m.c = pyo.Constraint(expr=m.y[1] == 0.3)
    m.d = pyo.Constraint(expr=m.x[1] <= 1)
    _, inverse = compile_model(m)
    assert [c.name for c in inverse.rows] == ["d"]
    m.y[1].fix(0.4)
    with pytest.raises(TriviallyInfeasibleError, match="Constraint 'c' has no free variable left"):
        compile_model(m)
    m.c.deactivate()
    m.infeasible = pyo.Constraint(expr=pyo.inequality(m.p, m.y[2], 2))
    with pytest.raises(TriviallyInfeasibleError, match="Constraint 'infeasible' has bounds that cross"):
        compile_model(m)


# --- the way back ---------------------------------------------------------------------------------


def test_load(m):
    """Binaries get 0.0 or 1.0 exactly, idle variables the allowed value nearest to 0."""
    m.idle = pyo.Var([1, 2, 3], domain=pyo.Reals, bounds=(2, 3))
    m.idle[2].setlb(None)
    m.idle[2].setub(-1)
    m.idle[3].fix(7, skip_validation=True)
    m.box = pyo.Var(domain=pyo.Binary, bounds=(0.5, 1))
    m.stranger = pyo.Var(initialize=5)
    annotate(m, offloading=m.idle, onloading=m.box)
    m.gain.expr = sum(m.x.values()) + m.y[1] + m.y[2]
    _, inverse = compile_model(m)
    inverse.load(np.array([1 - 1e-7, -1e-9]), np.array([0.25, 0.75]))
    assert [repr(m.x[i].value) for i in (1, 2)] == ["1.0", "0.0"]
    assert [m.y[i].value for i in (1, 2, 3)] == [0.25, 0.75, 0]
    assert [m.idle[i].value for i in (1, 2, 3)] == [2, -1, 7]
    assert (m.box.value, m.stranger.value) == (1, 5)
    inverse.load(np.array([True, False]), np.array([0, 0]))
    assert repr(m.x[1].value) == "1.0"
    assert inverse.values(np.array([True, False]), np.array([0.5, 1]))[m.y[2]] == 1


def test_stale_flags(m):
    """Loaded variables are fresh, all others stale, as after any Pyomo solver."""
    m.stranger = pyo.Var(initialize=5)
    m.gain.expr = m.x[1] + m.y[1]
    m.y[2].fix(1)
    _, inverse = compile_model(m)
    inverse.load(np.array([1]), np.array([0.5]))
    assert not m.x[1].stale
    assert not m.y[1].stale
    assert m.stranger.stale
    assert m.y[2].stale
    m.y[1].value = 0.25
    assert m.x[1].stale


def test_compiling_leaves_the_model_alone(m):
    """Values, stale flags and expressions stay; compiling twice gives the same."""
    m.y[1].value = 0.5
    m.c = pyo.Constraint(expr=(m.x[1] + 1) * (m.y[1] + 2) <= 5)
    before = (m.y[1].stale, m.x[1].stale, str(m.c.expr), m.y[1].value, m.x[1].value)
    one, _ = compile_model(m)
    other, _ = compile_model(m)
    assert before == (m.y[1].stale, m.x[1].stale, str(m.c.expr), m.y[1].value, m.x[1].value)
    assert one.products.coefficient.tolist() == other.products.coefficient.tolist()


def test_warm_start(m):
    """The values now held, NaN where there is none, None where there are none at all."""
    m.gain.expr = sum(m.x.values()) + sum(m.y.values())
    _, inverse = compile_model(m)
    assert inverse.warm_start() == (None, None)
    m.x[2].value = 1
    m.y[1].value = 0.5
    x, y = inverse.warm_start()
    np.testing.assert_array_equal(x, [np.nan, 1])
    np.testing.assert_array_equal(y, [0.5, np.nan, np.nan])


@pytest.mark.parametrize("sense", [pyo.minimize, pyo.maximize])
def test_duals_have_pyomos_signs(m, sense):
    """Those of the maximised LP become what Pyomo's own HiGHS interface gives for the user's LP."""
    solver = NewSolverFactory("highs")
    if not solver.available():
        pytest.skip("HiGHS is not there")
    sign = 1 if sense == pyo.maximize else -1
    m.x.fix(1)
    m.y[2].setub(0.3)
    m.one = pyo.Constraint(expr=m.y[1] + m.y[2] + m.y[3] <= 1.5)
    m.least = pyo.Constraint(expr=m.y[1] - 2 * m.y[2] + m.y[3] >= -1)
    m.tie = pyo.Constraint(expr=m.y[1] == m.y[3] * 0.5 + 0.1)
    m.gain.sense = sense
    m.gain.expr = sign * (3 * m.y[1] + 4 * m.y[2] + m.x[1] * m.y[3])
    problem, inverse = compile_model(m)

    from scipy.optimize import linprog

    rows, low, high = problem.offloading_rows.toarray(), problem.row_lower, problem.row_upper
    equal = low == high
    below, above = ~equal & np.isfinite(high), ~equal & np.isfinite(low)
    lp = linprog(
        -problem.offloading_objective,
        A_ub=np.vstack([rows[below], -rows[above]]),
        b_ub=np.concatenate([high[below], -low[above]]),
        A_eq=rows[equal],
        b_eq=high[equal],
        bounds=list(zip(problem.offloading_lower, problem.offloading_upper, strict=True)),
    )
    # linprog minimises the negative: its marginals are minus the change of the maximised objective.
    duals = np.zeros(problem.n_rows)
    duals[below] = -lp.ineqlin.marginals[: below.sum()]
    duals[above] = lp.ineqlin.marginals[below.sum() :]
    duals[equal] = -lp.eqlin.marginals
    costs = -(lp.lower.marginals + lp.upper.marginals)

    # HiGHS has no duals for a model with a binary variable in it, be it fixed.
    m.x.domain = pyo.Reals
    results = solver.solve(m)
    theirs, ours = results.solution_loader.get_duals(), inverse.duals(duals)
    for constraint in (m.one, m.least, m.tie):
        assert ours[constraint] == pytest.approx(theirs[constraint])
    theirs, ours = results.solution_loader.get_reduced_costs(), inverse.reduced_costs(None, costs)
    assert len(ours) == 3
    for variable in m.y.values():
        assert ours[variable] == pytest.approx(theirs[variable])
    assert any(ours.values())
    assert duals.any()


# --- laws -----------------------------------------------------------------------------------------


def test_threads():
    """Eight models compile at once, each as if it were alone."""
    models, found = [], [None] * 8
    for k in range(8):
        m = pyo.ConcreteModel()
        m.place = OnloadingBlock()
        m.place.x = pyo.Var(range(40), domain=pyo.Binary)
        m.y = pyo.Var(range(40), bounds=(0, 1))
        annotate(m, offloading=m.y)
        m.c = pyo.Constraint(range(40), rule=lambda m, i, k=k: (m.place.x[i] + k) * (m.y[i] + 1) <= k + 2)
        m.gain = pyo.Objective(expr=sum(m.y.values()))
        models.append(m)

    def work(k):
        for _ in range(5):
            found[k] = compile_model(models[k])[0]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, problem in enumerate(found):
        assert len(problem.products) == 40
        assert problem.offloading_rows.data.tolist() == [k] * 40 if k else problem.offloading_rows.nnz == 0


def _model_of_variables():
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(3), domain=pyo.Binary)
    m.y = pyo.Var(range(3))
    m.z = pyo.Var(range(3))
    m.p = pyo.Param(range(3), mutable=True, initialize=1.0)
    for i, number in enumerate((0.0, 2.0, -1.5)):
        m.z[i].fix(number)
        m.p[i] = number + 1
    m.e = pyo.Expression(range(3), initialize=0.0)
    annotate(m, onloading=m.x, offloading=m.y)
    return m


SMALL = st.sampled_from([-2, -1.5, -1, 0, 0.5, 1, 3])
INDEX = st.integers(0, 2)


def _trees(kind):
    """Return a strategy for builders of expressions that are constant, linear in x, or in y, or bilinear."""
    constant = st.one_of(
        SMALL.map(lambda c: lambda m: c),
        INDEX.map(lambda i: lambda m: m.p[i]),
        INDEX.map(lambda i: lambda m: m.z[i]),
        INDEX.map(lambda i: lambda m: m.p[i] * m.z[i] + 2),
        INDEX.map(lambda i: lambda m: pyo.sin(m.z[i])),
    )
    if kind == "constant":
        return constant

    def closed(leaf):
        """Close a family of expressions under sums, scaling, negation, division, naming."""

        def grow(inner):
            return st.one_of(
                st.tuples(inner, inner).map(lambda t: lambda m: t[0](m) + t[1](m)),
                st.tuples(inner, inner).map(lambda t: lambda m: t[0](m) - t[1](m)),
                st.tuples(inner, constant).map(lambda t: lambda m: t[0](m) * t[1](m)),
                st.tuples(constant, inner).map(lambda t: lambda m: t[0](m) * t[1](m)),
                st.tuples(constant, inner).map(lambda t: lambda m: t[0](m) + t[1](m)),
                inner.map(lambda f: lambda m: -f(m)),
                inner.map(lambda f: lambda m: f(m) / 4),
                inner.map(lambda f: lambda m: f(m) / m.z[1]),
                st.lists(inner, max_size=4).map(lambda fs: lambda m: pyo.quicksum(f(m) for f in fs)),
                st.tuples(INDEX, inner).map(lambda t: lambda m: _named(m, *t)),
            )

        return st.recursive(leaf, grow, max_leaves=6)

    in_x = closed(st.one_of(INDEX.map(lambda i: lambda m: m.x[i]), constant))
    in_y = closed(st.one_of(INDEX.map(lambda i: lambda m: m.y[i]), constant))
    product = st.one_of(
        st.tuples(in_x, in_y).map(lambda t: lambda m: t[0](m) * t[1](m)),
        st.tuples(in_y, in_x).map(lambda t: lambda m: t[0](m) * t[1](m)),
    )
    return closed(st.one_of(product, in_x, in_y))


def _named(m, i, build):
    """Put an expression under a name and use it twice."""
    name = pyo.Expression(expr=build(m))
    m.add_component(f"named_{len(m.component_map(pyo.Expression))}", name)
    return name + i * name


@settings(max_examples=150, deadline=None)
@given(
    bodies=st.lists(_trees("bilinear"), min_size=1, max_size=3),
    goal=_trees("bilinear"),
    sense=st.sampled_from([pyo.minimize, pyo.maximize]),
    x=st.lists(st.integers(0, 1), min_size=3, max_size=3),
    y=st.lists(st.integers(-8, 8).map(lambda k: k / 4), min_size=3, max_size=3),
)
def test_the_arrays_say_what_the_model_says(bodies, goal, sense, x, y):
    """At every point, rows and objective have the values that Pyomo computes."""
    m = _model_of_variables()
    m.c = pyo.ConstraintList()
    for body in bodies:
        m.c.add((-1e9, body(m) + 0 * m.x[0], 1e9))
    m.gain = pyo.Objective(expr=goal(m), sense=sense)
    problem, inverse = compile_model(m)
    for i in range(3):
        m.x[i].value, m.y[i].value = x[i], y[i]
    xs = np.array([v.value for v in inverse.onloading], dtype=float)
    ys = np.array([v.value for v in inverse.offloading], dtype=float)
    body = activities(problem, xs, ys)
    kept = {id(c): i for i, c in enumerate(inverse.rows)}
    for constraint in m.c.values():
        theirs = pyo.value(constraint.body)
        if id(constraint) in kept:
            i = kept[id(constraint)]
            constant = -1e9 - problem.row_lower[i]
            assert body[i] + constant == pytest.approx(theirs, abs=1e-5)
    assert problem.sense * evaluate(problem, xs, ys) == pytest.approx(pyo.value(m.gain), abs=1e-9)
    assert not np.any(problem.products.coefficient == 0)
    assert not np.any(problem.offloading_rows.data == 0)


@pytest.mark.parametrize("seed", range(5))
def test_linear_models_agree_with_pyomos_standard_form(seed):
    """The same matrix, on random linear models with duplicates, zeros and fixed variables."""
    rng = np.random.default_rng(seed)
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(8), domain=pyo.Binary)
    m.y = pyo.Var(range(12), bounds=(0, 3))
    annotate(m, onloading=m.x, offloading=m.y)
    pool = [*m.x.values(), *m.y.values()]

    def some():
        picks = rng.integers(0, len(pool), 7)
        return sum(int(c) * pool[i] for i, c in zip(picks, rng.integers(-3, 4, 7), strict=True))

    m.c = pyo.Constraint(range(20), rule=lambda m, i: some() + 1 <= some() + 50)
    m.d = pyo.Constraint(range(10), rule=lambda m, i: some() + m.x[0] + 4 * m.y[0] == 5)
    m.gain = pyo.Objective(expr=some() + m.y[3])
    m.x[2].fix(1)
    m.y[5].fix(2)
    problem, inverse = compile_model(m)
    theirs = LinearStandardFormCompiler().write(m, mixed_form=True)
    matrix = theirs.A.toarray()
    order = {id(r.constraint): i for i, r in enumerate(theirs.rows)}
    for i, constraint in enumerate(inverse.rows):
        ours = row(problem, inverse, constraint)
        expected = {theirs.columns[j].name: c for j, c in enumerate(matrix[order[id(constraint)]]) if c}
        assert ours == expected
        assert problem.row_upper[i] == theirs.rhs[order[id(constraint)]]
    assert problem.n_rows == len(theirs.rows)


@pytest.mark.parametrize("seed", range(5))
def test_products_agree_with_pyomos_quadratic_form(seed):
    """The same coefficients as Pyomo's QuadraticRepn, on random sums of products."""
    rng = np.random.default_rng(seed)
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(4), domain=pyo.Binary)
    m.y = pyo.Var(range(4), bounds=(0, 3))
    annotate(m, onloading=m.x, offloading=m.y)

    def some(variables):
        return sum(int(c) * v for v, c in zip(variables.values(), rng.integers(-3, 4, 4), strict=True))

    expression = sum(some(m.x) * some(m.y) for _ in range(5)) + (some(m.x) + 2) * (some(m.y) - 1)
    m.gain = pyo.Objective(expr=expression, sense=pyo.maximize)
    visitor = QuadraticRepnVisitor({}, var_recorder=OrderedVarRecorder({}, {}, None))
    visitor.expand_nonlinear_products = True
    theirs = visitor.walk_expression(expression)
    names = {id(v): v.name for v in m.component_data_objects(pyo.Var)}
    expected = {names[k]: c for k, c in theirs.linear.items() if c}
    expected |= {
        tuple(sorted((names[a], names[b]))): c for (a, b), c in (theirs.quadratic or {}).items() if c
    }
    assert objective(*compile_model(m)) == expected


def test_the_notice_of_missing_marks_comes_once_per_model(caplog):
    """A loop that solves one model again hears it once; another model has one of its own."""

    def unmarked():
        m = pyo.ConcreteModel()
        m.x, m.y = pyo.Var(domain=pyo.Binary), pyo.Var(bounds=(0, 1))
        m.open = pyo.Constraint(expr=m.y <= m.x)
        m.gain = pyo.Objective(expr=m.y, sense=pyo.maximize)
        return m

    m, other = unmarked(), unmarked()
    for _ in range(3):
        compile_model(m)
    assert caplog.text.count("No variable is marked") == 1
    compile_model(other)
    assert caplog.text.count("No variable is marked") == 2
