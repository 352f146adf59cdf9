"""Arrivals of every shape: what their rows say, what may change after set_batches, and what is refused."""

import numpy as np
import pyomo.environ as pyo
import pytest
from batching_models import OPTIMUM, OTHERS, arguments, best, filled, missed, unfilled

from pyomo_j3o import BatchingWindow, OffloadingBlock
from pyomo_j3o.errors import AnnotationError, ModelError, UnsupportedTermError
from pyomo_j3o.modeling.compiler import compile_model

PLACES = {
    "length": lambda m: {"length": m.number},
    "length in an expression": lambda m: {"length": 0.2 + m.number**2},
    "headroom": lambda m: {"headroom": m.number / 2},
    "setup": lambda m: {"setup": {"small": 0.02, "large": m.number / 2}},
    "per_query": lambda m: {"per_query": {"small": 0.1 * m.number, "large": 0.12}},
    "a rate": lambda m: {
        "arrivals": {
            "small": m.number * m.rate["phone"] * m.route.y["phone", "small"] + m.route.y["camera", "small"],
            "large": 10 * m.number * sum(m.route.y[:, "large"]),
        }
    },
    "a named expression": lambda m: {"length": m.named, "setup": {"small": 0.02, "large": m.named**2 / 5}},
}


@pytest.mark.parametrize("solver", ["j3o", "j3o.exact", "highs"])
@pytest.mark.parametrize("place", PLACES)
def test_a_changed_param_counts_at_the_next_solve(place, solver):
    """Solving again gives what a model built with the new value gives."""

    def build(value):
        m = unfilled()
        m.number.set_value(value)
        m.named = pyo.Expression(expr=m.number)
        m.batch.set_batches(**(arguments(m) | PLACES[place](m)))
        return m

    m = build(0.5)
    found = set()
    for value in (0.5, 0.9, 0.1, 0.7):
        m.number.set_value(value)
        found.add(round(best(m, solver), 6))
        assert best(m, solver) == pytest.approx(best(build(value), "j3o.exact"), rel=1e-4)
        assert missed(m) <= 1e-6
    assert len(found) > 1


@pytest.mark.parametrize("solver", ["j3o", "j3o.exact", *OTHERS])
def test_a_rate_that_a_param_sets_to_0_costs_nothing(solver):
    """What sends no queries opens no batch; when it sends some again, it does."""
    m = unfilled()
    for source in m.rate:
        # All has to go somewhere, and the window has room for one set-up.
        m.rows.add(sum(m.route.y[source, :]) == 1)
    m.route.y["phone", "large"].fix(0)
    m.route.y["camera", "small"].fix(0)
    m.batch.set_batches(
        **arguments(m, setup={"small": 0.3, "large": 0.3}, per_query={"small": 0, "large": 0})
    )
    m.rate["camera"] = 0
    assert best(m, solver) == pytest.approx(0.6 * 5)
    assert m.batch.used["small"].value > 0.5
    m.rate["camera"], m.rate["phone"] = 3, 0
    assert best(m, solver) == pytest.approx(0.9 * 3)
    m.batch.capacity.deactivate()
    m.rate["phone"] = 5
    best(m, solver)
    assert m.batch.used["small"].value > 0.5
    assert m.batch.used["large"].value > 0.5


def test_bounds_in_params():
    """A row follows a bound of a variable that is an expression in Params."""
    m = unfilled()
    m.route.y["phone", "large"].setub(2 * m.number)
    m.batch.set_batches(**arguments(m))
    m.rate["camera"] = 0
    m.route.y[:, "small"].fix(0)
    m.rows.deactivate()
    for value in (0.5, 0.6, 0.2):
        m.number.set_value(value)
        assert best(m) == pytest.approx(0.9 * min(20 / 3, 5 * 2 * value)) == pytest.approx(best(m, "highs"))


def both_ways(m):
    """Solve by BAJ3O, exactly and by HiGHS; check that they agree and keep the windows."""
    values = []
    for solver in ("j3o", "j3o.exact", "highs"):
        values.append(best(m, solver))
        assert missed(m) <= 1e-6
        for window in m.batch.values():
            assert all(pyo.value(rate) >= -1e-6 for rate in window.arrivals.values())
    assert values[1:] == pytest.approx([values[0]] * 2, rel=1e-4)
    return values[0]


def test_a_difference_of_flows():
    """What comes in less what is passed on: the rate is kept from being negative."""
    m = unfilled()
    m.route.passed = pyo.Var(bounds=(0, 6))
    m.batch.set_batches(
        length=0.5,
        arrivals={"large": sum(m.rate[i] * m.route.y[i, "large"] for i in m.rate) - m.route.passed},
        setup={"large": 0.1},
        per_query={"large": 0.12},
    )
    # The window runs 20/3 queries/s; the rest is passed on, at 0.2 each.
    m.gain.set_value(m.gain.expr - 0.2 * m.route.passed)
    assert both_ways(m) == pytest.approx(0.9 * 8 - 0.2 * (8 - 20 / 3))
    m.gain.set_value(m.gain.expr + m.route.passed)
    m.route.y["phone", "large"].fix(0)
    assert both_ways(m) == pytest.approx(0.9 * 3 + 0.6 * 5 + 0.8 * 3)


def test_a_constant_part():
    """Queries that come anyway open the batch; a negative constant is a threshold that has to be met."""
    m = unfilled()
    y = m.route.y["phone", "large"]
    m.rate["camera"] = 0
    m.batch.set_batches(0.5, {"large": 5 * y + 2}, {"large": 0.1}, {"large": 0.12})
    m.route.y["phone", "small"].fix(0)
    # 0.2 s + 0.12 s · (5 y + 2) <= 1 s per second.
    assert both_ways(m) == pytest.approx(0.9 * min(5, 0.8 / 0.12 - 2))
    m.batch.set_batches(0.5, {"large": 5 * y - 2}, {"large": 0.1}, {"large": 0.12})
    m.gain.set_value(-m.gain.expr)
    assert both_ways(m) == pytest.approx(-0.9 * 2)
    m.batch.set_batches(0.5, {"large": 2}, {"large": 0.1}, {"large": 0.12})
    assert both_ways(m) == pytest.approx(0)
    assert m.batch.used["large"].value == 1
    m.batch.set_batches(0.5, {"large": 0}, {"large": 9}, {"large": 9})
    assert both_ways(m) == pytest.approx(0)


def test_fixed_variables():
    """A fixed variable is a constant, one without bounds too; freed, it counts again."""
    m = filled()
    m.route.y["camera", "small"].fix(0.5)
    # Both batches: 0.76 s per second, of which 0.15 go to the camera's small.
    assert both_ways(m) == pytest.approx(0.6 * 1.5 + 0.9 * (0.76 - 0.15) / 0.12)
    m.route.y["camera", "small"].unfix()
    assert both_ways(m) == pytest.approx(OPTIMUM)
    m.route.other = pyo.Var()
    m.route.other.fix(3)
    m.batch.set_batches(0.5, {"a": m.route.other}, {"a": 0.1}, {"a": 0.12})
    both_ways(m)
    assert m.batch.used["a"].value == 1
    m.route.other.fix(4)
    with pytest.raises(ModelError, match="call set_batches again"):
        compile_model(m)


def test_lower_bounds_above_0():
    """A variable that cannot be 0 opens its batch in any plan."""
    m = unfilled()
    m.route.y["camera", "small"].setlb(0.5)
    m.batch.set_batches(**arguments(m))
    assert both_ways(m) == pytest.approx(0.6 * 1.5 + 0.9 * (0.76 - 0.15) / 0.12)
    assert m.batch.used["small"].value == 1


def test_negative_lower_bounds():
    """A flow that can go both ways is kept from bringing less than nothing."""
    m = unfilled()
    m.route.flow = pyo.Var(bounds=(-4, 4))
    m.batch.set_batches(0.5, {"a": 2 * m.route.flow}, {"a": 0.1}, {"a": 0.12})
    m.gain.set_value(-m.route.flow)
    assert both_ways(m) == pytest.approx(0)


def test_a_variable_in_the_arrivals_of_two_models():
    """A query that needs two models, as a backbone and its head, opens both batches."""
    m = unfilled()
    total = sum(m.rate[i] * m.route.y[i, "large"] for i in m.rate)
    m.batch.set_batches(
        0.5, {"trunk": total, "head": total}, {"trunk": 0.1, "head": 0.05}, {"trunk": 0.1, "head": 0.02}
    )
    m.route.y[:, "small"].fix(0)
    assert both_ways(m) == pytest.approx(0.9 * (1 - 0.3) / 0.12)
    assert all(v.value == 1 for v in m.batch.used.values())


def test_the_bounds_need_not_be_1():
    """Rates may be variables themselves, in queries/s."""
    m = pyo.ConcreteModel()
    m.route = OffloadingBlock()
    m.route.rate = pyo.Var(["a", "b"], bounds=(0, 40))
    m.batch = BatchingWindow()
    m.batch.set_batches(0.1, m.route.rate, {"a": 0.05, "b": 0.06}, {"a": 0.02, "b": 0.01})
    m.gain = pyo.Objective(expr=2 * m.route.rate["a"] + m.route.rate["b"], sense=pyo.maximize)
    assert both_ways(m) == pytest.approx(max(2 * 0.5 / 0.02, 0.4 / 0.01))


def rate_of(expression):
    """Return arrivals in which that of the large model is what `expression` makes of the model."""
    return {"arrivals": lambda m: {"small": m.route.y["phone", "small"], "large": expression(m)}}


def unmarked(domain, **bounds):
    """Return a function that adds a variable without a mark to a model and returns it."""

    def add(m):
        m.z = pyo.Var(domain=domain, **bounds)
        return 2 * m.z

    return add


def unbounded(m):
    """Return a rate with a variable that has no upper bound."""
    m.route.z = pyo.Var(domain=pyo.NonNegativeReals)
    return 2 * m.route.z + m.route.y["phone", "large"]


def unbounded_below(m):
    """Return a rate less a variable that has no lower bound."""
    m.route.z = pyo.Var(bounds=(None, 3))
    return m.route.y["phone", "large"] - m.route.z


def valueless(m):
    """Return a Param without a value."""
    m.none = pyo.Param(mutable=True)
    return m.none


WRONG = [
    *(
        ({"length": n}, ModelError, rf"length={n:g} is no window; give a finite number")
        for n in (0, -1, 1e999)
    ),
    ({"length": float("nan")}, ModelError, "length=nan is no window"),
    ({"length": None}, ModelError, "length has no value.*give a number, or an expression in Params"),
    ({"length": "0.5"}, ModelError, "length is '0.5'; give a number"),
    ({"length": True}, ModelError, "length is True; give a number"),
    (
        {"length": lambda m: m.route.y["phone", "large"]},
        ModelError,
        r"length holds the variable 'route.y\[phone",
    ),
    ({"length": valueless}, ModelError, "length has no value: .*Params that have values"),
    *(({"headroom": h}, ModelError, rf"headroom={h:g} is no part of a window") for h in (-0.1, 1, 1.5)),
    (
        {"headroom": float("nan")},
        ModelError,
        "headroom=nan is no part of a window; give a number from 0 to below 1",
    ),
    ({"setup": {"small": -1, "large": 0}}, ModelError, r"setup\['small'\]=-1 is no time; give a finite"),
    ({"setup": {"small": "x", "large": 0}}, ModelError, r"setup\['small'\] is 'x'; give a number"),
    (
        {"setup": lambda m: {"small": m.place.x["small"], "large": 0}},
        ModelError,
        "holds the variable 'place.x",
    ),
    ({"setup": lambda m: {"small": valueless(m), "large": 0}}, ModelError, r"setup\['small'\] has no value"),
    ({"per_query": {"small": 1, "large": -0.1}}, ModelError, r"per_query\['large'\]=-0.1 is no time"),
    ({"per_query": {"small": 1, "large": 1e999}}, ModelError, r"per_query\['large'\]=inf is no time"),
    ({"arrivals": 3}, ModelError, "arrivals=3 is not a mapping; give one number or expression per model"),
    ({"setup": [1, 2]}, ModelError, r"setup=\[1, 2\] is not a mapping"),
    ({"per_query": None}, ModelError, "per_query=None is not a mapping"),
    (
        {"arrivals": {"small": 0}},
        ModelError,
        "arrivals has no entry for 'large', but setup has; give all three",
    ),
    ({"setup": {"small": 0}}, ModelError, "setup has no entry for 'large', but arrivals has"),
    (
        {"setup": {"small": 0, "large": 0, "vit": 0}},
        ModelError,
        "arrivals has no entry for 'vit', but setup has",
    ),
    ({"per_query": {}}, ModelError, "per_query has no entry for 'small', but arrivals has"),
    (
        rate_of(lambda m: m.place.x["large"]),
        AnnotationError,
        r"holds the onloading variable 'place.x\[large\]'; write the queries/s in offloading variables",
    ),
    (rate_of(unmarked(pyo.Binary)), AnnotationError, "holds the binary variable 'z'; write"),
    (
        rate_of(unmarked(pyo.Integers, bounds=(0, 3))),
        AnnotationError,
        "holds the integer variable 'z'; write",
    ),
    (
        rate_of(lambda m: m.place.x["large"] * m.route.y["phone", "large"]),
        UnsupportedTermError,
        r"holds the term place.x\[large\]\*route.y\[phone,large\]; write it linear",
    ),
    (rate_of(lambda m: m.route.y["phone", "large"] ** 2), UnsupportedTermError, "write it linear"),
    (rate_of(lambda m: pyo.exp(m.route.y["phone", "large"])), UnsupportedTermError, r"holds the term exp\("),
    (rate_of(lambda m: m.route.y["phone", "large"] <= 1), UnsupportedTermError, "holds the term"),
    (rate_of(lambda m: "often"), ModelError, "is 'often'; give a number or an expression that is linear"),
    (rate_of(lambda m: None), ModelError, "has no value: .*give a number or an expression that is linear"),
    (rate_of(lambda m: True), ModelError, r"arrivals\['large'\] is True; give a number or an expression"),
    (rate_of(lambda m: np.array(True)), ModelError, r"arrivals\['large'\] is True"),
    (rate_of(lambda m: 10**400), ModelError, r"has no value: int too large .*; give a number"),
    (rate_of(lambda m: 10**400 * m.route.y["phone", "large"]), ModelError, "cannot be read: int too large"),
    (rate_of(lambda m: m.rows[1]), ModelError, r"is 'rows\[1\]' \(ConstraintData\), which is no number"),
    (rate_of(lambda m: m.route.y), ModelError, r"is 'route.y' \(IndexedVar\), which is no number"),
    ({"length": 10**400}, ModelError, "length has no value: int too large .*; give a number"),
    ({"length": np.array(True)}, ModelError, "length is True; give a number"),
    ({"length": np.True_}, ModelError, "length is .*True.*; give a number"),
    ({"length": np.ones(1)}, ModelError, "length has no value"),
    ({"length": b"1"}, ModelError, "length is b'1'; give a number"),
    ({"length": lambda m: m.number <= 1}, ModelError, "length is .*, which is no number; give a number"),
    ({"length": lambda m: m.rows}, ModelError, r"length is 'rows' \(ConstraintList\), which is no number"),
    ({"headroom": np.array("0.1")}, ModelError, "headroom is '0.1'; give a number"),
    ({"setup": lambda m: {"small": m.rate, "large": 0}}, ModelError, "is 'rate' .*, which is no number"),
    ({"per_query": lambda m: dict}, ModelError, "per_query=<class 'dict'> is not a mapping"),
    (
        {"setup": lambda m: (setattr(m, "nu", pyo.Param(["small", "large"])), m.nu)[1]},
        ModelError,
        "setup has no entry for 'small'",
    ),
    (rate_of(lambda m: float("nan") * m.route.y["phone", "large"]), ModelError, "not finite; look for nan"),
    (rate_of(lambda m: float("inf")), ModelError, "holds a number that is not finite"),
    (
        rate_of(lambda m: valueless(m) * m.route.y["phone", "large"]),
        ModelError,
        "cannot be read.*have values",
    ),
    (rate_of(unbounded), ModelError, "no upper bound, as 'route.z' has no upper bound; give it one by setub"),
    (rate_of(unbounded_below), ModelError, "as 'route.z' has no lower bound; give it one by setlb"),
    (rate_of(lambda m: -1 - m.route.y["phone", "large"]), ModelError, "is at most -1, whatever the routing"),
    (
        rate_of(lambda m: -2),
        ModelError,
        r"arrivals\['large'\] is at most -2.*give queries/s that are not negative",
    ),
]


@pytest.mark.parametrize(("changed", "kind", "said"), WRONG)
def test_what_is_refused(changed, kind, said):
    """The error names the window and the argument, and says what to do; nothing is built."""
    m = unfilled()
    with pytest.raises(kind, match=said) as error:
        m.batch.set_batches(**arguments(m, **changed))
    assert str(error.value).startswith("BatchingWindow 'batch'")
    assert not list(m.batch.component_objects())


def test_a_mutable_rate_of_0_needs_bounds_too():
    """It may not stay 0."""
    m = unfilled()
    m.route.z = pyo.Var(domain=pyo.NonNegativeReals)
    m.number.set_value(0)
    with pytest.raises(ModelError, match=r"'route\.z' has no upper bound"):
        m.batch.set_batches(**arguments(m, **rate_of(lambda m: m.number * m.route.z)))


def less(m):
    """Return a rate that a Param in it makes larger or smaller at will."""
    return m.number * m.route.y["phone", "large"] - 0.1 * m.route.y["camera", "large"]


CHANGED = [
    ({"length": lambda m: m.number}, lambda m: m.number.set_value(0), "length=0 is no window"),
    ({"length": lambda m: m.number}, lambda m: m.number.set_value(-1), "length=-1 is no window"),
    ({"length": lambda m: m.number}, lambda m: m.number.set_value(float("nan")), "length=nan is no window"),
    ({"headroom": lambda m: m.number}, lambda m: m.number.set_value(1), "headroom=1 is no part"),
    (
        {"setup": lambda m: {"small": m.number, "large": 0}},
        lambda m: m.number.set_value(-1),
        r"setup\['small'\]=-1 is no time",
    ),
    ({}, lambda m: m.rate["phone"].set_value(-1), "call set_batches again"),
    (
        {},
        lambda m: m.rate["phone"].set_value(float("nan")),
        r"arrivals\['small'\] holds a number that is not",
    ),
    (
        {},
        lambda m: m.route.y["phone", "large"].setub(2),
        r"arrivals\['large'\] can be; call set_batches again",
    ),
    ({}, lambda m: m.route.y["phone", "large"].setub(None), "call set_batches again"),
    ({}, lambda m: m.route.y["phone", "large"].setlb(-1), "call set_batches again"),
    (rate_of(less), lambda m: m.number.set_value(0.9), r"arrivals\['large'\] can be; call set_batches again"),
    (
        {"arrivals": lambda m: {"small": m.named, "large": 0}},
        lambda m: m.named.set_value(m.route.y["phone", "large"]),
        "call set_batches again",
    ),
]


@pytest.mark.parametrize("solver", ["j3o", "j3o.exact"])
@pytest.mark.parametrize(("given", "change", "said"), CHANGED)
def test_what_has_changed_since_is_checked_at_the_solve(given, change, said, solver):
    """Where the rows no longer say what the arrivals are, the solve is refused, and names the window."""
    m = unfilled()
    m.named = pyo.Expression(expr=m.route.y["phone", "small"])
    m.batch.set_batches(**arguments(m, **given))
    best(m, solver)
    change(m)
    with pytest.raises(ModelError, match=said) as error:
        best(m, solver)
    assert str(error.value).startswith("BatchingWindow 'batch'")


def test_changes_that_the_rows_can_bear():
    """Smaller bounds and smaller rates are no error, and the rows stay exact."""
    m = filled(**rate_of(less))
    m.number.set_value(0.3)
    m.route.y["phone", "large"].setub(0.5)
    m.route.y["camera", "large"].setlb(0.2)
    both_ways(m)
