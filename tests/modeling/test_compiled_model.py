"""A model that stays compiled: after any edits its arrays are those of a compilation from scratch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutable_models import EDITS, NODES, mutable_model
from pyomo.repn.beta.matrix import compile_block_linear_constraints

from pyomo_j3o import BatchingWindow, OffloadingBlock, annotate, library
from pyomo_j3o.core.problem import Problem
from pyomo_j3o.errors import J3OError, RebuildError
from pyomo_j3o.modeling.changes import Checks
from pyomo_j3o.modeling.compiled_model import COMPILED, NOTHING, PATCHED, CompiledModel
from pyomo_j3o.modeling.compiler import compile_model
from pyomo_j3o.modeling.inverse import Inverse


def assert_same(ours: Problem, theirs: Problem) -> None:
    """All arrays are equal bit by bit."""
    for part in dataclasses.fields(Problem):
        one, other = getattr(ours, part.name), getattr(theirs, part.name)
        for a, b in zip(_arrays(one), _arrays(other), strict=True):
            assert a.dtype == b.dtype, part.name
            assert a.tobytes() == b.tobytes(), part.name


def _arrays(part) -> list[np.ndarray]:
    if part is None:
        return []
    if hasattr(part, "indptr"):
        return [part.indptr, part.indices, part.data, np.array(part.shape)]
    if dataclasses.is_dataclass(part):
        return [array for f in dataclasses.fields(part) for array in _arrays(getattr(part, f.name))]
    return [np.asarray(part)]


def assert_same_way_back(ours: Inverse, theirs: Inverse) -> None:
    """Both lead to the same components, in the same order."""
    for name in ("onloading", "offloading", "rows", "constant_rows", "idle"):
        assert list(map(id, getattr(ours, name))) == list(map(id, getattr(theirs, name))), name
    assert ours.idle_values == theirs.idle_values
    assert ours.met.tolist() == theirs.met.tolist()
    assert (ours.model, ours.sense) == (theirs.model, theirs.sense)


def refreshed_as_cold(compiled: CompiledModel):
    """Refresh, and hold the result against a compilation from scratch; errors are the same, too."""
    model = compiled.read.model
    error = None
    try:
        problem, inverse = compile_model(model)
    except J3OError as raised:
        error = raised
    if error is not None:
        with pytest.raises(type(error)) as caught:
            compiled.refreshed()
        assert str(caught.value) == str(error)
        return compiled, None
    again, update = compiled.refreshed()
    assert_same(again.problem, problem)
    assert_same_way_back(again.inverse, inverse)
    return again, update


_figures = st.sampled_from([0.0, 0.1, 1.0, 1.0 / 3.0, 2.0, 1e-3, 7.7])
_nodes = st.sampled_from(NODES)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(EDITS)), _nodes, _figures), min_size=1, max_size=8))
def test_a_refreshed_model_is_one_compiled_from_scratch(edits):
    """Whatever is edited, several edits at once included, and after errors as well."""
    m = mutable_model()
    compiled = CompiledModel.of(m)
    for number, (edit, i, a) in enumerate(edits):
        EDITS[edit](m, i, a)
        if number % 3 != 1:
            compiled, _ = refreshed_as_cold(compiled)
    compiled, update = refreshed_as_cold(compiled)
    if update is not None and compiled.depends.whole:
        again, update = compiled.refreshed()
        assert again is compiled
        assert update.outcome == NOTHING


#: What each edit is called in the report, and what is done.
KINDS = {
    "parameter": ("parameters", PATCHED),
    "side": ("parameters", PATCHED),
    "bound by Param": ("parameters", PATCHED),
    "fix x": ("fixed", PATCHED),
    "bounds": ("bounds", PATCHED),
    "domain": ("domains", PATCHED),
    "sense": ("sense", PATCHED),
    "objective swapped": ("objective", PATCHED),
    "objective expression": ("objective expression", PATCHED),
    "named expression": ("named expressions", PATCHED),
    "named, other variables": ("named expressions", COMPILED),
    "row deactivated": ("constraints removed", COMPILED),
    "row's expression": ("constraint expressions", PATCHED),
    "row's variables": ("constraint expressions", COMPILED),
    "row added": ("constraints added", COMPILED),
    "variable added": ("variables added", COMPILED),
    "block": ("constraints removed", COMPILED),
    "side infinite": ("parameters", COMPILED),
}


@pytest.mark.parametrize("edit", sorted(KINDS))
def test_what_changed_is_told(edit):
    """Each edit is one kind of change, patched where the structure stays; the first names are given."""
    m = mutable_model()
    compiled = CompiledModel.of(m)
    EDITS[edit](m, 2, 0.7)
    kind, outcome = KINDS[edit]
    _, update = refreshed_as_cold(compiled)
    summary = update.summary()
    assert summary["outcome"] == outcome
    assert summary["changes"][kind]["count"] >= 1
    assert all(isinstance(name, str) for name in summary["changes"][kind]["first"])
    assert bool(summary["reason"]) == (outcome == COMPILED)


@pytest.mark.parametrize("edit", sorted(name for name, (_, outcome) in KINDS.items() if outcome == COMPILED))
def test_a_rebuild_can_be_refused(edit):
    """The error names what changed, says it in data, and comes again until the model is as it was."""
    m = mutable_model()
    compiled = CompiledModel.of(m)
    EDITS[edit](m, 2, 0.7)
    for _ in range(2):
        with pytest.raises(
            RebuildError, match=r"^allow_rebuild=False, but the structure of model 'mutable'"
        ) as e:
            compiled.refreshed(allow_rebuild=False)
        assert e.value.reason["outcome"] == COMPILED
        assert KINDS[edit][0] in e.value.reason["changes"]
        assert e.value.reason["reason"] in str(e.value)


def test_values_are_patched_where_a_rebuild_is_refused():
    """A change of numbers is none of the structure."""
    m = mutable_model()
    compiled = CompiledModel.of(m)
    m.p[1] = 5.0
    again, update = compiled.refreshed(allow_rebuild=False)
    assert update.outcome == PATCHED
    assert_same(again.problem, compile_model(m)[0])


#: An edit, and the check that looks for it.
LOOKED_FOR_BY = {
    "parameter": "update_parameters",
    "fix x": "update_vars",
    "bounds": "update_vars",
    "sense": "update_objectives",
    "objective expression": "update_objectives",
    "objective swapped": "check_for_new_or_removed_objectives",
    "named expression": "update_named_expressions",
    "row's expression": "update_constraints",
    "row deactivated": "check_for_new_or_removed_constraints",
}


@pytest.mark.parametrize("edit", sorted(LOOKED_FOR_BY))
def test_a_check_that_is_off_does_not_look(edit):
    """The change is found by the next look that has the check on."""
    m = mutable_model()
    compiled = CompiledModel.of(m)
    EDITS[edit](m, 2, 0.7)
    again, update = compiled.refreshed(checks=Checks(**{LOOKED_FOR_BY[edit]: False}))
    assert again is compiled
    assert update.outcome == NOTHING
    assert compiled.refreshed()[1].outcome != NOTHING


#: Edits that make the model depend on Param ``spare``, which nothing has held before.
NEW_DEPENDENCIES = {
    "upper bound": lambda m: m.y[1].setub(m.spare),
    "lower bound": lambda m: m.y[1].setlb(-m.spare),
    "bound by an expression": lambda m: m.z.setub(5 + m.spare),
    "bound of an onloading variable": lambda m: m.x[1].setub(m.spare + 0.25),
    "bound of an idle variable": lambda m: m.idle.setlb(m.spare),
    "row": lambda m: m.link[1].set_value(m.y[1] <= m.spare * m.x[1]),
    "side": lambda m: m.memory.set_value(sum(m.p[i] * m.x[i] for i in NODES) <= m.spare),
    "named Expression": lambda m: m.work[1].set_value(m.spare * m.y[1] + 0.1 * m.z),
    "objective": lambda m: m.gain.set_value(m.spare * m.y[1]),
    "fixed and in a bound": lambda m: (m.y[1].fix(0.1), m.z.setub(4 + m.spare)),
}


@pytest.mark.parametrize("edit", NEW_DEPENDENCIES.values(), ids=list(NEW_DEPENDENCIES))
def test_what_an_edit_brings_in_is_watched(edit):
    """A Param that a bound or an expression has got in an edit is looked at from then on."""
    m = mutable_model()
    compiled = CompiledModel.of(m)
    edit(m)
    compiled, _ = refreshed_as_cold(compiled)
    for number in (0.75, 0.25):
        m.spare = number
        compiled, update = refreshed_as_cold(compiled)
        assert "parameters" in update.changes.found


def test_members_of_a_domain_are_watched():
    """A Set that is a domain is another domain once its members are others."""
    m = mutable_model()
    m.allowed = pyo.Set(initialize=[0, 1])
    m.x[1].domain = m.allowed
    compiled = CompiledModel.of(m)
    m.allowed.remove(1)
    refreshed_as_cold(compiled)
    m.allowed.add(1)
    assert refreshed_as_cold(compiled)[1].outcome == NOTHING


def test_the_first_names_are_those_that_the_model_names_first():
    """Params are told in the order in which rows hold them, and rows stand in the user's order."""
    m = pyo.ConcreteModel()
    m.need = pyo.Param(range(6), initialize=1.0, mutable=True)
    m.x = pyo.Var(range(6), domain=pyo.Binary)
    m.y = pyo.Var(range(6), bounds=(0, 1))
    m.room = pyo.Constraint(expr=sum(m.need[i] * m.y[i] for i in range(6)) <= 3)
    m.link = pyo.Constraint(range(6), rule=lambda m, i: m.y[i] <= m.x[i])
    m.gain = pyo.Objective(expr=sum(m.y[i] - 0.1 * m.x[i] for i in range(6)), sense=pyo.maximize)
    annotate(m, onloading=m.x, offloading=m.y)
    compiled = CompiledModel.of(m)
    m.need[:] = 2.0
    _, update = compiled.refreshed()
    assert update.summary()["changes"]["parameters"]["first"] == ["need[0]", "need[1]", "need[2]"]


def window_model() -> pyo.ConcreteModel:
    """Return an edge server with a window, of which all figures are Params."""
    m = pyo.ConcreteModel()
    m.rate = pyo.Param(["a", "b"], initialize={"a": 3.0, "b": 5.0}, mutable=True)
    m.length = pyo.Param(initialize=0.5, mutable=True)
    m.setup = pyo.Param(initialize=0.05, mutable=True)
    m.route = OffloadingBlock()
    m.route.y = pyo.Var(["a", "b"], bounds=(0, 1))
    m.batch = BatchingWindow(["edge"])
    set_batches(m)
    m.gain = pyo.Objective(expr=m.route.y["a"] + 2 * m.route.y["b"], sense=pyo.maximize)
    return m


def set_batches(m: pyo.ConcreteModel) -> None:
    """Fill the window of `window_model`."""
    m.batch["edge"].set_batches(
        length=m.length,
        arrivals={"vit": sum(m.rate[k] * m.route.y[k] for k in ("a", "b"))},
        setup={"vit": m.setup},
        per_query={"vit": 0.1},
    )


@pytest.mark.parametrize(
    ("edit", "outcome"),
    [
        (lambda m: m.rate["a"].set_value(4.0), PATCHED),
        (lambda m: m.length.set_value(0.25), PATCHED),
        (lambda m: m.length.set_value(-1.0), None),
        (lambda m: m.route.y["a"].fix(0.5), PATCHED),
        (lambda m: m.route.y["a"].setub(0.5), PATCHED),
        (lambda m: m.route.y["a"].setub(2.0), None),
        (lambda m: m.batch["edge"].used["vit"].fix(1), PATCHED),
        (set_batches, COMPILED),
        (lambda m: m.batch["edge"].deactivate(), COMPILED),
    ],
)
def test_windows_are_read_again(edit, outcome):
    """Arrivals follow Params and bounds; a window that is filled again is another structure."""
    m = window_model()
    compiled = CompiledModel.of(m)
    assert compiled.problem.batches is not None
    edit(m)
    _, update = refreshed_as_cold(compiled)
    assert (None if update is None else update.outcome) == outcome


@pytest.mark.parametrize(
    ("form", "window"),
    [("linear", None), ("product", None), ("linear", 0.2)],
    ids=["linear", "product", "windows"],
)
def test_library_models_are_patched(form, window):
    """Loads that move, placements that are fixed and freed, and both at once."""
    data = library.taskonomy_data(4, 2, window=window)
    m = library.build_model(data, form=form, mutable=True)
    compiled = CompiledModel.of(m)
    generator = np.random.default_rng(3)
    for number in range(4):
        for key in m.loads if number != 2 else list(m.loads)[:1]:
            m.loads[key] = pyo.value(m.loads[key]) * generator.uniform(0.9, 1.1)
        for x in m.place.x.values():
            if number == 1 and generator.random() < 0.3:
                x.fix(0)
            elif number == 3:
                x.unfix()
        compiled, update = refreshed_as_cold(compiled)
        assert update.outcome == PATCHED


def test_rows_of_a_matrix_are_compiled_each_time():
    """What cannot be watched is read anew, and that is no change of the structure."""
    m = mutable_model()
    for row in (m.memory, m.compute, m.products, m.bilinear, m.range, m.sub.row):
        row.deactivate()
    compile_block_linear_constraints(m, "matrix")
    compiled, update = refreshed_as_cold(CompiledModel.of(m))
    assert update.outcome == COMPILED
    assert "cannot be watched" in update.reason
    assert compiled.refreshed(allow_rebuild=False)[1].outcome == COMPILED


def test_a_row_gets_sides_by_a_param():
    """A row whose sides are infinite is none; it comes back when its Param is a number again."""
    m = mutable_model()
    EDITS["side infinite"](m, 1, 0.0)
    compiled = CompiledModel.of(m)
    m.p[1] = 0.5
    compiled, update = refreshed_as_cold(compiled)
    m.cap.set_value(3.0)
    compiled, update = refreshed_as_cold(compiled)
    assert update.outcome == COMPILED
    assert m.memory in compiled.inverse.rows


def test_variables_outside_of_the_block_are_watched():
    """A block is compiled by itself; its rows hold variables of the model around it."""
    m = pyo.ConcreteModel()
    m.out = pyo.Var([1, 2], bounds=(0, 1))
    m.b = pyo.Block()
    m.b.x = pyo.Var(domain=pyo.Binary)
    m.b.p = pyo.Param(initialize=1.0, mutable=True)
    m.b.row = pyo.Constraint(expr=m.b.p * m.out[2] + m.out[1] <= m.b.x)
    m.b.gain = pyo.Objective(expr=m.out[1] + m.out[2], sense=pyo.maximize)
    annotate(m, onloading=m.b.x, offloading=m.out)
    compiled = CompiledModel.of(m.b)
    for edit in (
        lambda: m.b.p.set_value(2.0),
        lambda: m.out[1].fix(0.5),
        lambda: m.out[2].setub(0.25),
        lambda: m.out[1].unfix(),
        lambda: m.j3o_role.__setitem__(m.out[1], "offloading"),
    ):
        edit()
        compiled, update = refreshed_as_cold(compiled)
        assert update.outcome != NOTHING
