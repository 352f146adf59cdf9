"""Which variables become which columns, by mark and domain, and with which bounds."""

import logging
import math

import pyomo.environ as pyo
import pytest
from compiled_models import compiled_row, tiny

from pyomo_j3o import PersistentJ3O
from pyomo_j3o.errors import AnnotationError, ModelError, TriviallyInfeasibleError
from pyomo_j3o.interface.solver import J3O
from pyomo_j3o.modeling.annotate import OffloadingBlock, annotate
from pyomo_j3o.modeling.compiler import compile_model


@pytest.fixture
def m():
    """Return the model of `tiny`."""
    return tiny()


def test_variables_over_sets_without_end(m):
    """A sparse Var over Any has the members that were asked for."""
    m.v = pyo.Var(pyo.Any, dense=False)
    annotate(m, offloading=m.v)
    m.gain.expr = m.v["a"] + m.x[1] * m.v["b"]
    assert compile_model(m)[1].offloading == [m.v["a"], m.v["b"]]


def test_the_columns_stand_in_the_order_of_declaration(m):
    """Whatever the order of use; a variable with the coefficient 0 keeps its column."""
    m.p.value = 0
    m.gain.expr = m.y[3] + m.y[1] + m.p * m.y[2] + m.x[2]
    _, inverse = compile_model(m)
    assert [v.name for v in inverse.offloading] == ["y[1]", "y[2]", "y[3]"]
    assert [v.name for v in inverse.onloading] == ["x[2]"]


def test_references_count_once(m):
    """A Reference to variables or constraints adds nothing of its own."""
    m.ry = pyo.Reference(m.y)
    m.c = pyo.Constraint([1, 2], rule=lambda m, i: m.ry[i] <= m.x[i])
    m.rc = pyo.Reference(m.c)
    problem, inverse = compile_model(m)
    assert problem.n_rows == 2
    assert inverse.offloading == [m.y[1], m.y[2]]


def test_variables_of_another_model(m):
    """Pyomo allows them, and their own model says what they are."""
    other = pyo.ConcreteModel()
    other.route = OffloadingBlock()
    other.route.y = pyo.Var()
    assert compiled_row(m, m.x[1] * other.route.y)[0] == {("x[1]", "route.y"): 1}


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


def test_an_integer_without_marks_is_onloading(caplog):
    """The notice says that there is one; without an upper bound it is refused by name."""
    m = unmarked()
    m.y.domain = pyo.NonNegativeIntegers
    m.y.setub(5)
    problem, inverse = compile_model(m)
    assert (len(inverse.onloading), problem.n_onloading) == (2, 6)
    assert "2 binary and integer ones as onloading" in caplog.text
    m.y.setub(None)
    with pytest.raises(
        AnnotationError, match="'y' is an integer without upper bound; give it one with setub"
    ):
        compile_model(m)
    m.y.domain = pyo.RangeSet(0, 4, 2)
    with pytest.raises(AnnotationError, match="variable 'y' is neither continuous nor of all whole numbers"):
        compile_model(m)


@pytest.mark.parametrize(
    ("domain", "bounds", "range_of"),
    [
        (pyo.Binary, (None, None), (0, 1)),
        (pyo.Boolean, (0, 1), (0, 1)),
        (pyo.Integers, (0, 1), (0, 1)),
        (pyo.NonNegativeIntegers, (None, 1), (0, 1)),
        (pyo.Set(initialize=[0, 1]), (None, None), (0, 1)),
        (pyo.Integers, (-2, 2), (-2, 2)),
        (pyo.PositiveIntegers, (None, 3.5), (1, 3)),
        (pyo.NonNegativeIntegers, (0, 5), (0, 5)),
        (pyo.NegativeIntegers, (-1, 5), (-1, -1)),
        (pyo.RangeSet(2, 4), (None, None), (2, 4)),
    ],
)
def test_onloading_is_whole(m, domain, bounds, range_of):
    """By whatever means: columns that are 0 give the least value, columns that are 1 the largest."""
    m.z = pyo.Var(bounds=bounds)
    if isinstance(domain, pyo.Set):
        domain.construct()
    m.z.domain = domain
    annotate(m, onloading=m.z)
    m.gain.expr = m.z
    problem, inverse = compile_model(m)
    ends = [inverse.values_of_onloading(x) for x in (problem.onloading_lower, problem.onloading_upper)]
    assert [end.tolist() for end in ends] == [[number] for number in range_of]


@pytest.mark.parametrize(
    ("domain", "bounds", "said"),
    [
        (pyo.Integers, (None, 4), "is an integer without lower bound; give it one with setlb"),
        (pyo.Integers, (0, None), "is an integer without upper bound; give it one with setub"),
        (pyo.Integers, (0, 1e20), "is an integer without upper bound"),
        (pyo.Integers, (0, 1e7), "is an integer from 0 to 10000000, but a range may hold 1,000,000 steps"),
        (pyo.Reals, (0, 1), "is continuous, but only binary and integer variables are onloading"),
        (pyo.UnitInterval, (None, None), "is continuous"),
        (
            pyo.RangeSet(0, 4, 2),
            (None, None),
            "does not take all whole numbers between two bounds; give every",
        ),
        (pyo.Set(initialize=[0, 2, 5]), (None, None), "does not take all whole numbers"),
    ],
)
def test_what_is_not_onloading(m, domain, bounds, said):
    """The variable and the remedy are named."""
    m.z = pyo.Var(bounds=bounds)
    if isinstance(domain, pyo.Set):
        domain.construct()
    m.z.domain = domain
    annotate(m, onloading=m.z)
    m.gain.expr = m.z
    with pytest.raises(AnnotationError, match=f"onloading variable 'z' {said}"):
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


@pytest.mark.parametrize("make", [J3O, PersistentJ3O])
@pytest.mark.parametrize("side", ["lb", "ub"])
def test_a_bound_without_a_value_is_named(m, make, side):
    """A Param that held a number and holds none now: variable, Param and remedy, and the values stay."""
    m.bound = pyo.Param(initialize=0.5, mutable=True, within=pyo.Any)
    getattr(m.y[1], f"set{side}")(m.bound)
    opt = make()
    opt.solve(m)
    before = m.y[1].value
    m.bound = None
    words = rf"^a bound of variable 'y\[1\]' cannot be .* Param 'bound' has no value; .* set{side}\(None\)$"
    with pytest.raises(ModelError, match=words):
        opt.solve(m)
    assert m.y[1].value == before
    getattr(m.y[1], f"set{side}")(None)
    opt.solve(m)


def test_bounds_that_are_no_bounds(m):
    """A lower bound of infinity, a NaN, a Param that holds an expression."""
    m.gain.expr = m.y[1]
    m.any = pyo.Param(initialize=0.0, mutable=True, within=pyo.Any)
    m.any.set_value(m.p + 1)
    m.y[1].setub(m.any)
    with pytest.raises(ModelError, match=r"a bound of variable 'y\[1\]' .*: Param 'any' holds p \+ 1, which"):
        compile_model(m)
    m.y[1].setub(1)
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
