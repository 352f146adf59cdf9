"""What a BatchingWindow holds, what it survives, who else can solve it, and what it refuses."""

import logging
import pickle
import re

import numpy as np
import pyomo.environ as pyo
import pytest
from batching_models import OPTIMUM, OTHERS, Drawn, arguments, best, filled, missed, unfilled
from pyomo.gdp import Disjunct, Disjunction

from pyomo_j3o import BatchingWindow, OffloadingBlock, annotate
from pyomo_j3o.errors import AnnotationError, ModelError
from pyomo_j3o.modeling.annotate import Roles, annotated
from pyomo_j3o.modeling.compiler import compile_model

HELD = {
    *("models", "length", "headroom", "setup", "per_query", "arrivals", "used", "batch_size"),
    *("opens", "utilisation", "capacity"),
}


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
    with pytest.raises(AnnotationError, match="is continuous, but only binary"):
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
