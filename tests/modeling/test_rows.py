"""What the rows and the objective say, and which components are refused."""

import math

import pyomo.environ as pyo
import pytest
from compiled_models import objective, row, tiny
from pyomo.gdp import Disjunct, Disjunction
from pyomo.mpec import Complementarity, complements

from pyomo_j3o.errors import ModelError
from pyomo_j3o.modeling.compiler import compile_model


@pytest.fixture
def m():
    """Return the model of `tiny`."""
    return tiny()


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


def test_an_objective_without_an_expression(m):
    """It is an error, not a 0."""
    m.del_component(m.gain)
    m.gain = pyo.Objective()
    with pytest.raises(ModelError, match=r"objective|Objective"):
        compile_model(m)


def test_two_objectives_are_both_named(m):
    """Also when one is in a sub-block; a deactivated one does not count."""
    m.b = pyo.Block()
    m.b.cost = pyo.Objective(expr=m.y[1])
    with pytest.raises(ModelError, match=r"'gain', 'b\.cost'; deactivate all but one"):
        compile_model(m)
    m.gain.deactivate()
    problem, inverse = compile_model(m)
    assert objective(problem, inverse) == {"y[1]": -1}


def test_constraint_lists_and_list_objectives(m):
    """A ConstraintList is an indexed constraint."""
    m.c = pyo.ConstraintList()
    m.c.add(m.y[1] <= m.x[1])
    m.c.add((0, m.y[2], 0.5))
    assert compile_model(m)[0].n_rows == 2


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


@pytest.mark.parametrize("make", [logical, complementary, disjunct, disjunction])
def test_components_that_are_not_understood(m, make):
    """Nothing active is ignored: the component and a remedy are named."""
    make(m)
    with pytest.raises(
        ModelError, match=r"strange.* is active, but j3o does not know it; .*(deactivate|first)"
    ):
        compile_model(m)


def test_what_is_not_understood_may_be_inactive(m):
    """Switched off, it does not matter."""
    m.small = pyo.SOSConstraint(var=m.y, sos=3)
    m.small.deactivate()
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


@pytest.mark.parametrize(
    "body",
    [
        lambda m: m.y[1] <= m.q,
        lambda m: m.q * m.y[1] <= 1,
        lambda m: m.y[1] - m.q <= 1,
        lambda m: m.y[1] + 2 * m.q * m.y[1] <= 1,
    ],
    ids=["side", "coefficient", "constant", "both"],
)
@pytest.mark.parametrize(
    ("held", "words"),
    [
        (None, "has no value; give it one"),
        ("much", "holds much, which is no number; give it one"),
        ("2*p", r"holds 2\*p, which is no number; give it pyomo.environ.value of that"),
    ],
)
def test_a_param_that_holds_no_number_is_named(m, body, held, words):
    """One sentence says which Param of which constraint it is, and what to give it."""
    m.q = pyo.Param(mutable=True, within=pyo.Any, initialize=1.0)
    m.p = pyo.Param(mutable=True, initialize=1.0)
    m.c = pyo.Constraint(expr=body(m))
    compile_model(m)
    m.q.set_value(2 * m.p if held == "2*p" else held)
    with pytest.raises(ModelError, match=f"^Constraint 'c' cannot be evaluated: Param 'q' {words}$"):
        compile_model(m)


def test_a_range_with_a_free_bound(m):
    """Pyomo cannot tell what is meant either."""
    m.c = pyo.Constraint(expr=pyo.inequality(m.y[2], m.y[1], 1))
    with pytest.raises(ModelError, match=r"'c' .*variable lower bound"):
        compile_model(m)
    m.y[2].fix(0.5)
    problem, _ = compile_model(m)
    assert (problem.row_lower[0], problem.row_upper[0]) == (0.5, 1)
