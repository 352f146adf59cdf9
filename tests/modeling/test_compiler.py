"""What becomes of a Pyomo model: every accepted shape, every refusal, and the way back."""

import math
import threading

import numpy as np
import pyomo.environ as pyo
import pytest
from compiled_models import compiled_row, objective, row, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler
from pyomo.repn.quadratic import QuadraticRepnVisitor
from pyomo.repn.util import OrderedVarRecorder

from pyomo_j3o.core.problem import activities, evaluate
from pyomo_j3o.errors import ModelError, TriviallyInfeasibleError
from pyomo_j3o.modeling.annotate import OnloadingBlock, annotate
from pyomo_j3o.modeling.compiler import compile_model


@pytest.fixture
def m():
    """Return the model of `tiny`."""
    return tiny()


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
        (m.b, "of type IndexedBlock"),
        (pyo.AbstractModel(), r"create_instance\(\)"),
        (3, "of type int"),
    ):
        with pytest.raises(ModelError, match=named):
            compile_model(wrong)


def test_duplicates_are_summed_and_zeros_dropped(m):
    """On linear terms as on products; a row of which nothing is left is no row."""
    terms, _ = compiled_row(m, m.y[1] + 2 * m.y[1] + m.x[1] - m.x[1] + m.x[2])
    assert terms == {"y[1]": 3, "x[2]": 1}
    m.nothing = pyo.Constraint(expr=m.x[1] * m.y[1] + m.y[2] - m.y[1] * m.x[1] - m.y[2] <= 0)
    problem, inverse = compile_model(m)
    assert [c.name for c in inverse.rows] == ["c"]
    assert problem.n_nonzeros == 2


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


def test_compiling_leaves_the_model_alone(m):
    """Values, stale flags and expressions stay; compiling twice gives the same."""
    m.y[1].value = 0.5
    m.c = pyo.Constraint(expr=(m.x[1] + 1) * (m.y[1] + 2) <= 5)
    before = (m.y[1].stale, m.x[1].stale, str(m.c.expr), m.y[1].value, m.x[1].value)
    one, _ = compile_model(m)
    other, _ = compile_model(m)
    assert before == (m.y[1].stale, m.x[1].stale, str(m.c.expr), m.y[1].value, m.x[1].value)
    assert one.products.coefficient.tolist() == other.products.coefficient.tolist()


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


@settings(max_examples=70, deadline=None)
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
