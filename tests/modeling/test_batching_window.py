"""What a BatchingWindow holds, what it survives, who else can solve it, and what it refuses."""

import logging
import pickle
import re

import numpy as np
import pyomo.environ as pyo
import pytest
from batching_models import Drawn, missed
from pyomo.gdp import Disjunct, Disjunction

from pyomo_j3o import BatchingWindow, OffloadingBlock, OnloadingBlock, annotate
from pyomo_j3o.errors import AnnotationError, ModelError, UnsupportedTermError
from pyomo_j3o.modeling.annotate import Roles, annotated
from pyomo_j3o.modeling.compiler import compile_model

HELD = {
    *("models", "length", "headroom", "setup", "per_query", "arrivals", "used", "batch_size"),
    *("opens", "utilisation", "capacity"),
}


def unfilled():
    """Two sources choose among a small and a large model; a window that holds nothing yet."""
    m = pyo.ConcreteModel("camera and phone")
    m.place, m.route = OnloadingBlock(), OffloadingBlock()
    m.place.x = pyo.Var(["small", "large"], domain=pyo.Binary)
    m.route.y = pyo.Var(["camera", "phone"], ["small", "large"], bounds=(0, 1))
    m.rate = pyo.Param(
        ["camera", "phone"], initialize={"camera": 3, "phone": 5}, mutable=True, within=pyo.Any
    )
    m.number = pyo.Param(mutable=True, initialize=0.5, within=pyo.Any)
    m.rows = pyo.ConstraintList()
    for source in m.rate:
        m.rows.add(sum(m.route.y[source, :]) <= 1)
        for k in m.place.x:
            m.rows.add(m.route.y[source, k] <= m.place.x[k])
    worth = {"small": 0.6, "large": 0.9}
    m.gain = pyo.Objective(
        expr=sum(m.rate[i] * worth[k] * m.route.y[i, k] for i, k in m.route.y), sense=pyo.maximize
    )
    m.batch = BatchingWindow()
    return m


def arguments(m, **changed):
    """Return what fills the window of `unfilled`; entries can be replaced, by functions of the model, too."""
    given = {
        "length": 0.5,
        "arrivals": {k: sum(m.rate[i] * m.route.y[i, k] for i in m.rate) for k in m.place.x},
        "setup": {"small": 0.02, "large": 0.1},
        "per_query": {"small": 0.1, "large": 0.12},
    }
    return given | {name: value(m) if callable(value) else value for name, value in changed.items()}


def filled(**changed):
    """Return the model of `unfilled`, its window filled."""
    m = unfilled()
    m.batch.set_batches(**arguments(m, **changed))
    return m


def best(m, solver="j3o", **options):
    """Solve, check the windows by their definition, and return the objective."""
    pyo.SolverFactory(solver, **options).solve(m)
    return pyo.value(next(m.component_data_objects(pyo.Objective, active=True)))


# Both models: 0.02 + 0.1 s of set-up leave 0.38 s of 0.5 s. Large alone: 0.4 s are 20/3 queries/s of 8.
OPTIMUM = 0.9 * 20 / 3


# --- what it holds ---------------------------------------------------------------------------------------


def test_what_a_filled_window_holds():
    """Indicators, rows, and as expressions what was given and what follows from it."""
    m = filled(headroom=0.1)
    best(m)
    window = m.batch
    assert {c.local_name for c in window.component_objects()} == HELD
    assert list(window.models) == ["small", "large"]
    assert all(v.is_binary() for v in window.used.values())
    assert pyo.value(window.length) == 0.5
    assert pyo.value(window.headroom) == 0.1
    assert [pyo.value(window.setup[k]) for k in window.models] == [0.02, 0.1]
    assert [pyo.value(window.per_query[k]) for k in window.models] == [0.1, 0.12]
    assert pyo.value(window.batch_size["large"]) == 0.5 * pyo.value(window.arrivals["large"]) > 0
    assert pyo.value(window.utilisation) == pytest.approx(0.9)
    assert pyo.value(window.capacity.body) == pytest.approx(pyo.value(window.utilisation))


def test_an_optimum_worked_out_by_hand():
    """The large model alone, its batch as large as the window allows: who is not used pays nothing."""
    m = filled()
    m.place.x["small"].fix(1)
    assert best(m) == pytest.approx(OPTIMUM)
    assert m.batch.used["small"].value == 0
    assert m.batch.used["large"].value == 1
    assert missed(m) <= 1e-9


def test_a_window_without_batches_constrains_nothing():
    """Neither one that was never filled, nor one filled with no models."""
    m = unfilled()
    assert compile_model(m)[0].batches is None
    assert best(m) == pytest.approx(0.9 * 8)
    m.batch.set_batches(0.5, {}, {}, {})
    assert compile_model(m)[0].batches is None
    assert best(m) == pytest.approx(0.9 * 8)


def test_a_deactivated_window_constrains_nothing():
    """It is a block like any."""
    m = filled()
    m.batch.deactivate()
    assert best(m) == pytest.approx(0.9 * 8)


def test_a_fixed_indicator_is_a_constant():
    """A model that is forbidden in a window gets no query; one charged in any case takes its room."""
    m = filled()
    m.batch.used["large"].fix(0)
    assert best(m) == pytest.approx(0.6 * 8)
    m = filled()
    m.batch.used["small"].fix(1)
    assert best(m) == pytest.approx(best(m, "j3o.exact")) == pytest.approx(best(m, "highs"))
    assert missed(m) <= 1e-9


# --- ways to build it ------------------------------------------------------------------------------------


def by_index(m):
    """Fill two members of an indexed window one by one."""
    m.edge = BatchingWindow(["a", "b"])
    for e in m.edge:
        m.edge[e].set_batches(**arguments(m))
    return m.edge["a"], m.edge["b"]


def by_rule(m):
    """Fill them in a rule."""
    m.edge = BatchingWindow(["a", "b"], rule=lambda block, e: block.set_batches(**arguments(block.model())))
    return m.edge["a"], m.edge["b"]


def scalar_by_rule(m):
    """Fill a scalar one in a rule."""
    m.edge = BatchingWindow(rule=lambda block: block.set_batches(**arguments(block.model())))
    return (m.edge,)


def in_a_block(m):
    """Fill one in a block in an indexed block."""
    m.site = pyo.Block(["a"])
    m.site["a"].inner = pyo.Block()
    m.site["a"].inner.edge = BatchingWindow()
    m.site["a"].inner.edge.set_batches(**arguments(m))
    return (m.site["a"].inner.edge,)


def on_its_own(m):
    """Fill one that is attached later."""
    window = BatchingWindow(concrete=True)
    window.set_batches(**arguments(m))
    m.edge = window
    return (m.edge,)


@pytest.mark.parametrize("build", [by_index, by_rule, scalar_by_rule, in_a_block, on_its_own])
def test_ways_to_build_a_window(build):
    """Indexed, by rule, nested or on its own, it is the same window; several share their sources."""
    m = unfilled()
    windows = build(m)
    assert all(Roles(m).of(v) == "onloading" for window in windows for v in window.used.values())
    problem, _ = compile_model(m)
    assert len(problem.batches) == 2 * len(windows)
    for algorithm in ("baj3o", "j3o", "exact"):
        assert best(m, algorithm=algorithm) == pytest.approx(OPTIMUM)
    assert all(pyo.value(window.utilisation) <= 1 + 1e-6 for window in windows)


@pytest.mark.parametrize(
    "keys",
    [[("vit", 16), ("vit", 32)], [1, 2], ["a", 3], ["a", ("a", 0)], [("a", 0), ("a", 0, 0)], [(), None]],
)
def test_keys_are_whatever_a_set_takes(keys):
    """Also tuples, and of several kinds."""
    m = unfilled()
    rates = dict(zip(keys, arguments(m)["arrivals"].values(), strict=True))
    m.batch.set_batches(0.5, rates, dict.fromkeys(keys, 0.1), dict.fromkeys(keys, 0.12))
    assert set(m.batch.used) == set(keys)
    assert best(m) == pytest.approx(OPTIMUM)


def test_pyomo_reads_a_tuple_of_one_as_what_it_holds():
    """And a tuple in a tuple as part of it; the window says the key as Pyomo does."""
    m = unfilled()
    keys = [("a",), (("a", 0), 1)]
    rates = dict(zip(keys, arguments(m)["arrivals"].values(), strict=True))
    m.batch.set_batches(0.5, rates, dict.fromkeys(keys, 0.1), dict.fromkeys(keys, 0.12))
    assert list(m.batch.used) == list(m.batch.models) == ["a", ("a", 0, 1)]
    assert best(m) == pytest.approx(OPTIMUM) == pytest.approx(best(m, "highs"))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ([1, (1,)], r"the keys 1 and \(1,\) are one index to Pyomo; give one of the models another name"),
        ([((1, 2), 3), (1, 2, 3)], r"the keys \(\(1, 2\), 3\) and \(1, 2, 3\) are one index"),
        (["a", ...], r"the key Ellipsis stands for many to Pyomo; take names without '\.\.\.'"),
        (["a", ("a", ...)], r"the key \('a', Ellipsis\) stands for many"),
    ],
)
def test_keys_that_are_one_to_pyomo(keys, said):
    """They are refused, for two models would be charged as one, or none; the window is as it was."""
    m = filled()
    before = str(m.batch.capacity.expr)
    rates = dict(zip(keys, arguments(m)["arrivals"].values(), strict=True))
    with pytest.raises(ModelError, match=rf"^BatchingWindow 'batch': {said}"):
        m.batch.set_batches(0.5, rates, dict.fromkeys(keys, 0.1), dict.fromkeys(keys, 0.12))
    assert str(m.batch.capacity.expr) == before


@pytest.mark.parametrize("number", [np.array, np.float64, lambda x: np.array(x, dtype=object)])
def test_numbers_of_numpy_are_numbers(number):
    """Scalars and arrays without a dimension, wherever a number may stand."""
    given = {
        "length": number(0.5),
        "headroom": number(0.1),
        "setup": {"small": number(0.02), "large": number(0.1)},
        "per_query": {"small": number(0.1), "large": number(0.12)},
        "arrivals": lambda m: {"small": number(0.0), "large": number(8 * m.route.y["phone", "large"])},
    }
    if number is np.float64:
        given["arrivals"] = lambda m: {"small": number(0.0), "large": 8 * m.route.y["phone", "large"]}
    m = filled(**given)
    assert all(type(pyo.value(part)) is float for part in (m.batch.length, *m.batch.setup.values()))
    plain = filled(headroom=0.1, arrivals=lambda m: {"small": 0, "large": 8 * m.route.y["phone", "large"]})
    assert str(m.batch.capacity.expr) == str(plain.batch.capacity.expr)
    assert (
        best(m) == pytest.approx(best(plain)) == pytest.approx(best(pickle.loads(pickle.dumps(m)), "highs"))
    )


def test_tables_of_pandas_are_mappings():
    """A series counts by its index."""
    pd = pytest.importorskip("pandas")
    m = unfilled()
    given = {k: pd.Series(v) for k, v in arguments(m).items() if k in ("setup", "per_query")}
    m.batch.set_batches(0.5, arguments(m)["arrivals"], **given)
    assert str(m.batch.capacity.expr) == str(filled().batch.capacity.expr)


def test_params_and_expressions_as_mappings():
    """An indexed component is a mapping, with a default, too."""
    m = unfilled()
    m.K = pyo.Set(initialize=["small", "large"])
    m.nu = pyo.Param(m.K, default=0.1, mutable=True)
    m.tau = pyo.Param(m.K, initialize=0.12)
    m.arriving = pyo.Expression(m.K, rule=lambda m, k: sum(m.rate[i] * m.route.y[i, k] for i in m.rate))
    m.batch.set_batches(0.5, m.arriving, m.nu, m.tau)
    assert best(m) == pytest.approx(OPTIMUM) == pytest.approx(best(m, "highs"))


def test_a_second_call_replaces_the_first():
    """Other keys, other numbers, and nothing of the old left; what the user added stays."""
    m = filled()
    m.batch.note = pyo.Param(initialize=3)
    m.batch.set_batches(1.0, {"vit": 8 * m.route.y["phone", "large"]}, {"vit": 0.2}, {"vit": 0.1})
    assert list(m.batch.used) == ["vit"]
    assert {c.local_name for c in m.batch.component_objects()} == HELD | {"note"}
    assert len(m.batch.opens) == 1
    assert best(m) == pytest.approx(best(m.clone(), "highs")) == pytest.approx(0.9 * 8)


def test_a_second_call_may_take_up_the_first():
    """What the window holds can be given again, with another length."""
    m = filled()
    window = m.batch
    window.set_batches(1.0, window.arrivals, window.setup, window.per_query, window.headroom)
    window.set_batches(window.length, window.arrivals, window.setup, window.per_query)
    fresh = filled(length=1.0)
    assert str(window.capacity.expr) == str(fresh.batch.capacity.expr)
    assert best(pickle.loads(pickle.dumps(m))) == pytest.approx(best(fresh))


def test_a_call_that_fails_changes_nothing():
    """Be it for a number or for a rate: the window holds what it held, and a new one holds nothing."""
    m = filled()
    before = str(m.batch.capacity.expr)
    wrong = (
        *({"length": 0}, {"arrivals": {"small": -1, "large": 0}}, {"setup": {}}, {"length": np.ones(1)}),
        *({"length": 10**400}, {"setup": {"small": 0, "large": 10**400}}, {"headroom": np.True_}),
        *({"arrivals": {"small": 0, "large": bad}} for bad in (True, 10**400, m.rows[1], m.route.y)),
    )
    for changed in wrong:
        with pytest.raises(ModelError):
            m.batch.set_batches(**arguments(m, **changed))
        assert str(m.batch.capacity.expr) == before
        fresh = unfilled()
        with pytest.raises(ModelError):
            fresh.batch.set_batches(**arguments(fresh, **changed))
        assert not list(fresh.batch.component_objects())


@pytest.mark.parametrize("start", [unfilled, filled])
def test_a_call_that_breaks_off_is_not_forgotten(start, monkeypatch):
    """Should a component fail, no solve takes the window for an empty one, and another call heals it."""
    m = start()
    with monkeypatch.context() as patch:
        patch.setattr(pyo, "quicksum", lambda terms: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            m.batch.set_batches(**arguments(m))
    said = "BatchingWindow 'batch' has lost its 'utilisation', or was never filled.*call set_batches again"
    with pytest.raises(ModelError, match=said):
        best(m)
    with pytest.raises(ModelError, match=said):
        pyo.TransformationFactory("j3o.batching_surrogate").create_using(m)
    m.batch.set_batches(**arguments(m))
    assert best(m) == pytest.approx(OPTIMUM)


def test_a_part_that_is_deleted_is_missed():
    """Without its rows a window would be none."""
    m = filled()
    m.batch.del_component(m.batch.capacity)
    with pytest.raises(ModelError, match=r"has lost its 'capacity'.*call set_batches again"):
        best(m)


@pytest.mark.parametrize("taken", [lambda: pyo.Param(initialize=1), lambda: 1.0])
def test_a_name_that_the_user_has_taken(taken):
    """It is an error, and nothing of the user's is overwritten."""
    m = unfilled()
    m.batch.length = taken()
    with pytest.raises(ModelError, match=r"BatchingWindow 'batch' has a 'length' already.*rename it"):
        m.batch.set_batches(**arguments(m))
    assert pyo.value(m.batch.length) == 1


# --- what it survives ------------------------------------------------------------------------------------


@pytest.mark.parametrize("copy", [lambda m: m.clone(), lambda m: pickle.loads(pickle.dumps(m))])
def test_clone_and_pickle(copy):
    """A copy is solved alike, has windows of its own, and is checked like the original."""
    m = filled(length=lambda m: m.number)
    twin = copy(m)
    assert best(twin) == pytest.approx(best(m))
    twin.number.set_value(1)
    assert best(twin) > best(m) + 0.1
    twin.route.y["phone", "large"].setub(2)
    with pytest.raises(ModelError, match="call set_batches again"):
        compile_model(twin)
    compile_model(m)


def abstract(by_rule):
    """Return an AbstractModel with windows, filled by their rule or by a BuildAction."""

    def fill(window, edge):
        m = window.model()
        window.set_batches(0.5, {k: 5 * m.route.y[edge, k] for k in m.K}, m.nu, dict.fromkeys(m.K, 0.1))

    a = pyo.AbstractModel()
    a.E, a.K = pyo.Set(), pyo.Set()
    a.nu = pyo.Param(a.K, mutable=True)
    a.route = OffloadingBlock()
    a.route.y = pyo.Var(a.E, a.K, bounds=(0, 1))
    if by_rule:
        a.batch = BatchingWindow(a.E, rule=fill)
    else:
        a.batch = BatchingWindow(a.E)
        a.fill = pyo.BuildAction(rule=lambda m: [fill(m.batch[e], e) for e in m.E])
    a.gain = pyo.Objective(rule=lambda m: sum(m.route.y.values()), sense=pyo.maximize)
    return a


@pytest.mark.parametrize("by_rule", [True, False])
def test_create_instance(by_rule):
    """The windows of an AbstractModel are filled in each instance, by their rule or by a BuildAction."""
    for edges in (["a"], ["a", "b"]):
        data = {"E": {None: edges}, "K": {None: ["r", "v"]}, "nu": {"r": 0.2, "v": 0.1}}
        m = abstract(by_rule).create_instance({None: data})
        assert len(compile_model(m)[0].batches) == 2 * len(edges)
        # 0.1 s + 0.1 s · 2.5 for v, and no room for r.
        assert best(m) == pytest.approx(len(edges)) == pytest.approx(best(m, "highs"))
        assert missed(m) <= 1e-9


def test_a_window_of_an_abstract_model_cannot_be_filled():
    """The error says where to call set_batches instead."""
    a = pyo.AbstractModel()
    a.batch = BatchingWindow()
    with pytest.raises(
        ModelError, match="'batch' is abstract; call set_batches in its rule, or in a BuildAction"
    ):
        a.batch.set_batches(0.5, {}, {}, {})


def test_nesting():
    """A model with windows is a block of another, twice, also after that one is cloned."""
    m = pyo.ConcreteModel()
    m.left, m.right = filled(), filled(length=1.0)
    alone = best(m.left) + best(m.right)
    m.gain = pyo.Objective(expr=m.left.gain.expr + m.right.gain.expr, sense=pyo.maximize)
    m.left.gain.deactivate()
    m.right.gain.deactivate()
    for twin in (m, m.clone()):
        assert len(compile_model(twin)[0].batches) == 4
        assert best(twin) == pytest.approx(alone)


def test_relaxing_and_taking_it_back():
    """Indicators are relaxed like any binary, which gives a bound; restored, the model is what it was."""
    m = filled()
    relax = pyo.TransformationFactory("core.relax_integer_vars")
    relax.apply_to(m)
    assert best(m, "highs") > OPTIMUM + 0.1
    with pytest.raises(AnnotationError, match="is not binary"):
        compile_model(m)
    relax.apply_to(m, undo=True)
    assert best(m) == pytest.approx(OPTIMUM)


@pytest.mark.parametrize("factor", [10, 0.1])
def test_scaling(factor):
    """A scaled model is solved to the same objective."""
    m = filled()
    m.scaling_factor = pyo.Suffix(direction=pyo.Suffix.EXPORT)
    m.scaling_factor[m.route.y] = factor
    m.scaling_factor[m.batch.capacity] = 3
    scaled = pyo.TransformationFactory("core.scale_model").create_using(m)
    pyo.SolverFactory("j3o").solve(scaled)
    assert pyo.value(scaled.component("scaled_gain")) == pytest.approx(OPTIMUM)


def test_a_window_in_a_disjunct():
    """After gdp.bigm it is a choice whether the window holds; j3o solves what comes out."""
    m = unfilled()
    m.place.d = Disjunct([0, 1])
    m.place.d[0].batch = BatchingWindow()
    m.place.d[0].batch.set_batches(**arguments(m))
    m.place.d[1].little = pyo.Constraint(expr=sum(m.route.y[...]) <= 0.5)
    m.place.either = Disjunction(expr=[m.place.d[0], m.place.d[1]])
    pyo.TransformationFactory("gdp.bigm").apply_to(m)
    assert best(m) == pytest.approx(OPTIMUM) == pytest.approx(best(m, "highs"))


@pytest.mark.parametrize(
    "name",
    [
        "contrib.deactivate_trivial_constraints",
        "contrib.detect_fixed_vars",
        "contrib.init_vars_zero",
        "contrib.propagate_fixed_vars",
        "contrib.propagate_eq_var_bounds",
        "contrib.propagate_zero_sum",
        "contrib.constraints_to_var_bounds",
        "contrib.aggregate_vars",
        "j3o.linearize_products",
    ],
)
def test_transformations_in_place(name):
    """Transformations that keep the optimum keep the windows."""
    m = filled()
    pyo.TransformationFactory(name).apply_to(m)
    assert best(m) == pytest.approx(OPTIMUM)
    assert missed(m) <= 1e-9


@pytest.mark.parametrize("form", ["cpxlp", "nl", "mps", "gams", "bar"])
def test_writers_take_it(form, tmp_path, caplog):
    """Every file format, with numbers and with mutable Params, without a warning."""
    caplog.set_level("WARNING")
    path = tmp_path / f"model.{form.removeprefix('cpx')}"
    filled(length=lambda m: m.number).write(str(path), format=form)
    assert path.stat().st_size > 0
    assert not caplog.records


def test_a_window_does_not_make_a_model_annotated(caplog):
    """A model without marks stays one without marks: its variables are told apart by their domains."""
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(domain=pyo.Binary), pyo.Var(bounds=(0, 1))
    m.open = pyo.Constraint(expr=m.y <= m.x)
    m.gain = pyo.Objective(expr=m.y - 0.1 * m.x, sense=pyo.maximize)
    m.batch = BatchingWindow()
    m.batch.set_batches(0.5, {"vit": 20 * m.y}, {"vit": 0.1}, {"vit": 0.1})
    assert not annotated(m)
    assert not annotated(m.clone())
    assert best(m) == pytest.approx(0.3)
    assert "No variable is marked" in caplog.text
    with pytest.raises(AnnotationError, match="strict=True"):
        compile_model(m, strict=True)


# --- who else solves it ----------------------------------------------------------------------------------


OTHERS = [
    pytest.param(
        name, marks=pytest.mark.skipif(not pyo.SolverFactory(name).available(False), reason=f"no {name}")
    )
    for name in ("highs", "gurobi", "scip_direct")
]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("seed", [1, 2, 5, 8])
def test_another_solver_sees_the_true_row(other, seed, caplog):
    """It finds what algorithm="exact" finds, and its plan keeps every window by the definition."""
    caplog.set_level(logging.ERROR, logger="pyomo_j3o")
    drawn = Drawn(seed, shared=seed % 2 == 0)
    drawn.required = False
    exact = best(drawn.model(), algorithm="exact", rel_gap=0)
    m = drawn.model()
    assert best(m, other) == pytest.approx(exact, rel=1e-4)
    assert missed(m) <= 1e-6


# --- mutable Params --------------------------------------------------------------------------------------


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


# --- arrivals of other shapes ----------------------------------------------------------------------------


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


# --- bad input -------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("setup", "named"),
    [
        ({"small": 0.02, "large": 0.6}, "of 'large' .*that model"),
        ({"small": 0.7, "large": 0.6}, "of 'small', 'large'.*these models"),
    ],
)
def test_a_set_up_longer_than_the_window(setup, named, caplog):
    """One warning when it is stated; the solve goes on, and what cannot run there is not used there."""
    m = filled(setup=setup)
    assert len(caplog.records) == 1
    assert re.search(named, caplog.text)
    assert "'batch'" in caplog.text
    caplog.clear()
    for solver in ("j3o", "j3o.exact", "highs"):
        best(m, solver)
        assert all(m.batch.used[k].value < 0.5 for k in setup if setup[k] > 0.5)
        assert missed(m) <= 1e-6
    assert not caplog.records


# --- what is said once -------------------------------------------------------------------------------------


def test_a_window_that_nobody_filled_is_told_of(caplog):
    """It constrains nothing, which is hardly meant; a deactivated one is left alone."""
    m = pyo.ConcreteModel()
    m.y = pyo.Var(bounds=(0, 1))
    m.gain = pyo.Objective(expr=m.y, sense=pyo.maximize)
    annotate(m, offloading=[m.y])
    m.batch = BatchingWindow(["here", "there"])
    compile_model(m)
    assert "'batch[here]', 'batch[there]' constrains nothing" in caplog.text
    caplog.clear()
    m.batch.deactivate()
    compile_model(m)
    assert "constrains nothing" not in caplog.text


def test_an_indexed_window_is_filled_member_by_member():
    """Asked as a whole it says so."""
    m = pyo.ConcreteModel()
    m.batch = BatchingWindow(["here"])
    with pytest.raises(ModelError, match=r"'batch' is indexed.*batch\[\.\.\.\]"):
        m.batch.set_batches(0.5, {}, {}, {})


def test_a_param_that_makes_a_set_up_too_long_is_told_of(caplog):
    """A solve says what set_batches would have said, once."""
    m = pyo.ConcreteModel()
    m.length = pyo.Param(initialize=0.5, mutable=True)
    m.y = pyo.Var(bounds=(0, 1))
    m.gain = pyo.Objective(expr=m.y, sense=pyo.maximize)
    annotate(m, offloading=[m.y])
    m.batch = BatchingWindow()
    m.batch.set_batches(m.length, {"vit": m.y}, {"vit": 0.1}, {"vit": 0.01})
    m.length.set_value(0.05)
    for _ in range(2):
        compile_model(m)
    assert caplog.text.count("the set-up of 'vit' takes longer than the 0.05 s") == 1
