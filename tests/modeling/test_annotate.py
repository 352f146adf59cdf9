"""What a mark says, what it survives, and that no writer notices it."""

import pickle

import pyomo.environ as pyo
import pytest
from pyomo.gdp import Disjunct, Disjunction
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

from pyomo_j3o.errors import AnnotationError
from pyomo_j3o.modeling.annotate import OffloadingBlock, OnloadingBlock, Roles, annotate, annotated
from pyomo_j3o.modeling.compiler import compile_model


def add_routes(block, *index):
    """Build a block of two routes."""
    block.y = pyo.Var([1, 2], bounds=(0, 1))


def plain():
    """Return two models and two routes that each need one of them, without marks."""
    m = pyo.ConcreteModel("plain")
    m.x = pyo.Var([1, 2], domain=pyo.Binary)
    m.y = pyo.Var([1, 2], bounds=(0, 1))
    m.open = pyo.Constraint([1, 2], rule=lambda m, i: m.y[i] <= m.x[i])
    m.one = pyo.Constraint(expr=sum(m.y.values()) == 1)
    m.memory = pyo.Constraint(expr=2 * m.x[1] + 3 * m.x[2] <= 4)
    m.gain = pyo.Objective(expr=3 * m.y[1] + 4 * m.y[2], sense=pyo.maximize)
    # Rules keep a model from being pickled.
    m.open._rule = None
    return m


def marked():
    """Return the model of `plain`, its variables marked."""
    m = plain()
    annotate(m, onloading=m.x, offloading=[m.y])
    return m


def blocked():
    """Return the model of `plain`, its variables in marked blocks."""
    m = pyo.ConcreteModel()
    m.place = OnloadingBlock()
    m.place.x = pyo.Var([1, 2], domain=pyo.Binary)
    m.route = OffloadingBlock(rule=add_routes)
    m.one = pyo.Constraint(expr=sum(m.route.y.values()) == 1)
    m.memory = pyo.Constraint(expr=2 * m.place.x[1] + 3 * m.place.x[2] <= 4)
    m.gain = pyo.Objective(expr=3 * m.route.y[1] + 4 * m.route.y[2], sense=pyo.maximize)
    return m


def role(variable):
    """Return the role of a variable."""
    return Roles(variable.model()).of(variable)


# --- blocks --------------------------------------------------------------------------------------


def test_a_block_marks_itself_in_one_local_suffix_on_the_model():
    """``m.j3o_role[m.place]`` holds as soon as the block is there, and nothing is exported."""
    m = blocked()
    assert m.j3o_role[m.place] == "onloading"
    assert m.j3o_role[m.route] == "offloading"
    assert m.j3o_role.direction is pyo.Suffix.LOCAL
    assert len(m.j3o_role) == 2
    assert [s.name for s in m.component_objects(pyo.Suffix)] == ["j3o_role"]


def test_a_block_is_an_ordinary_block():
    """Its ctype is Block, so everything in Pyomo that walks blocks walks it."""
    m = blocked()
    assert m.place.ctype is pyo.Block
    assert {b.name for b in m.component_objects(pyo.Block)} == {"place", "route"}


def test_blocks_are_indexed_and_built_by_rule():
    """An indexed block is one entry, and every member has its role."""
    m = pyo.ConcreteModel()
    m.route = OffloadingBlock([1, 2], rule=add_routes)
    assert m.j3o_role[m.route] == "offloading"
    assert len(m.j3o_role) == 1
    assert role(m.route[2].y[1]) == "offloading"


def test_the_nearest_marked_block_decides():
    """An offloading block in an onloading block is offloading; a plain one inherits."""
    m = pyo.ConcreteModel()
    m.place = OnloadingBlock()
    m.place.plain = pyo.Block()
    m.place.plain.x = pyo.Var()
    m.place.route = OffloadingBlock(rule=add_routes)
    assert role(m.place.plain.x) == "onloading"
    assert role(m.place.route.y[1]) == "offloading"


def test_a_block_below_an_unattached_parent_keeps_its_role():
    """The mark is written on the parent, and counts when that is nested."""
    b = pyo.Block(concrete=True)
    b.place = OnloadingBlock()
    b.place.x = pyo.Var()
    assert b.j3o_role[b.place] == "onloading"
    m = pyo.ConcreteModel()
    m.b = b
    assert role(m.b.place.x) == "onloading"


def test_the_class_speaks_for_a_block_constructed_on_its_own():
    """Pyomo does not tell a constructed block that it was attached; its class gives its role."""
    b = OnloadingBlock(concrete=True)
    b.x = pyo.Var()
    m = pyo.ConcreteModel()
    m.place = b
    assert annotated(m)
    assert role(m.place.x) == "onloading"


def test_the_class_speaks_for_a_block_without_a_model():
    """A clone of the block alone has no Suffix, and still its role."""
    b = blocked().place.clone()
    assert role(b.x[1]) == "onloading"
    assert annotated(b)


def test_the_name_of_the_suffix_is_taken():
    """A component called j3o_role that is no Suffix is named."""
    m = pyo.ConcreteModel()
    m.j3o_role = pyo.Var()
    with pytest.raises(AnnotationError, match="'j3o_role' is a Var"):
        m.place = OnloadingBlock()


# --- annotate ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pick",
    [
        lambda m: m.x,
        lambda m: [m.x],
        lambda m: (m.x[i] for i in (1, 2)),
        lambda m: pyo.Reference(m.x[:]),
        lambda m: m.x[:],
        lambda m: m.b,
        lambda m: [m.c[1], m.x],
        lambda m: m.c,
        lambda m: pyo.Reference(m.c[:]),
        lambda m: {m.x},
        lambda m: m.c[1].x,
    ],
)
def test_what_can_be_marked(pick):
    """Single components as well as iterables; Vars, members, Blocks, References, slices."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var([1, 2])
    m.b = pyo.Block()
    m.b.x = pyo.Var()
    m.c = pyo.Block([1])
    m.c[1].x = pyo.Var()
    annotate(m, onloading=pick(m))
    roles = Roles(m)
    assert any(roles.of(v) == "onloading" for v in m.component_data_objects(pyo.Var))


def test_a_container_is_one_entry():
    """Marking an indexed Var does not unroll it."""
    m = marked()
    assert len(m.j3o_role) == 2
    assert role(m.x[1]) == "onloading"


def test_a_reference_marks_what_it_refers_to():
    """Each referenced variable carries the mark, the Reference does not."""
    m = plain()
    m.r = pyo.Reference(m.x[:])
    annotate(m, onloading=m.r)
    assert m.r not in m.j3o_role
    assert m.j3o_role[m.x[1]] == m.j3o_role[m.x[2]] == "onloading"


def test_marks_add_up():
    """Calls to annotate add marks; the same mark twice is no contradiction."""
    m = plain()
    annotate(m, onloading=m.x)
    annotate(m, onloading=m.x, offloading=m.y)
    assert role(m.x[1]) == "onloading"
    assert role(m.y[1]) == "offloading"


def test_annotated_says_whether_there_is_any_mark():
    """No mark, no annotation."""
    assert not annotated(plain())
    assert annotated(marked())


def test_a_sub_block_is_marked_on_the_root():
    """annotate(m.b, ...) writes to the one Suffix of the model."""
    m = pyo.ConcreteModel()
    m.b = pyo.Block()
    m.b.x = pyo.Var()
    annotate(m.b, onloading=m.b.x)
    assert m.j3o_role[m.b.x] == "onloading"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda m: m.p, "the Param 'p'"),
        (lambda m: m.open, "the Constraint 'open'"),
        (lambda m: m.one, "the Constraint 'one'"),
        (lambda m: [m.x, m.gain], "the Objective 'gain'"),
        (lambda m: 3, "the int 3"),
        (lambda m: "x", "the str 'x'"),
        (lambda m: [m.x, "y"], "the str 'y'"),
        (lambda m: [None], "the NoneType None"),
        (lambda m: None, "the NoneType None"),
        (lambda m: m.x[1] + m.x[2], "x.1. . x.2."),
        (lambda m: pyo.Reference(m.open[:]), "the Constraint 'open.1.'"),
    ],
)
def test_what_cannot_be_marked_is_named(wrong, named):
    """The error names the culprit, and the model is untouched."""
    m = plain()
    m.p = pyo.Param(initialize=1, mutable=True)
    with pytest.raises(AnnotationError, match=named):
        annotate(m, onloading=wrong(m))
    assert not annotated(m)
    assert m.component("j3o_role") is None


def test_a_component_of_another_model_is_refused():
    """So is one that belongs to no model, and one outside of the block given."""
    m, other = plain(), plain()
    m.b = pyo.Block()
    loose = pyo.Var()
    for block, variable in ((m, other.x), (m, other.x[1]), (m, loose), (m.b, m.x)):
        with pytest.raises(AnnotationError, match=r"not a component of (the )?model"):
            annotate(block, onloading=variable)
    assert m.component("j3o_role") is None


def test_what_is_not_a_model_is_refused():
    """annotate() names what it was given instead of a model."""
    with pytest.raises(AnnotationError, match="as the model"):
        annotate(plain().x)


def test_both_lists():
    """A component in both lists is named, and the model untouched."""
    m = plain()
    with pytest.raises(AnnotationError, match="'x' is in both lists"):
        annotate(m, onloading=[m.x], offloading=[m.y, m.x])
    assert m.component("j3o_role") is None


def test_a_member_in_one_list_and_its_container_in_the_other():
    """A member cannot be told apart from its container."""
    m = plain()
    with pytest.raises(
        AnnotationError, match=r"'x\[1\]' is marked both offloading .* and onloading through 'x'"
    ):
        annotate(m, onloading=[m.x], offloading=[m.y, m.x[1]])
    assert m.component("j3o_role") is None


def test_marked_already_with_the_other_role():
    """The first mark stays in force."""
    m = marked()
    with pytest.raises(AnnotationError, match=r"'x' is marked onloading already .by Suffix 'j3o_role'."):
        annotate(m, offloading=m.x)
    assert m.j3o_role[m.x] == "onloading"


@pytest.mark.parametrize("later", [lambda m: m.place, lambda m: m.place.x, lambda m: m.place.x[1]])
def test_a_mark_against_a_marked_block_is_refused(later):
    """Neither the block nor a variable in it can be given the other role."""
    m = blocked()
    with pytest.raises(AnnotationError, match="place"):
        annotate(m, offloading=later(m))
    assert len(m.j3o_role) == 2


def test_a_block_mark_against_a_variable_in_it_is_refused():
    """The order of the calls does not matter."""
    m = pyo.ConcreteModel()
    m.b = pyo.Block()
    m.b.x = pyo.Var()
    annotate(m, onloading=m.b.x)
    with pytest.raises(
        AnnotationError, match=r"'b\.x' is marked both onloading .* and offloading through 'b'"
    ):
        annotate(m, offloading=m.b)
    assert m.b not in m.j3o_role


# --- contradictions written by hand --------------------------------------------------------------


def test_a_member_that_contradicts_its_container():
    """It is named, with the Suffix to mend."""
    m = marked()
    m.j3o_role[m.x[1]] = "offloading"
    with pytest.raises(AnnotationError, match=r"'x\[1\]' is marked both .*Suffix 'j3o_role'") as error:
        role(m.x[1])
    assert "del model.j3o_role[model.x[1]], or del model.j3o_role[model.x]" in str(error.value)
    assert role(m.x[2]) == "onloading"


def test_two_suffixes_that_contradict_each_other():
    """Both Suffixes are named."""
    m = pyo.ConcreteModel()
    m.sub = marked()
    m.j3o_role = pyo.Suffix(direction=pyo.Suffix.LOCAL, datatype=None)
    m.j3o_role[m.sub.x] = "offloading"
    with pytest.raises(AnnotationError, match=r"'sub\.x' .*Suffix 'j3o_role'.*Suffix 'sub\.j3o_role'"):
        Roles(m)


def test_a_mark_that_contradicts_the_class_of_a_block():
    """The class counts as a mark."""
    m = blocked()
    m.j3o_role[m.place] = "offloading"
    with pytest.raises(AnnotationError, match="'place' is marked both"):
        role(m.place.x[1])


def test_an_unknown_role():
    """A misspelt value is named, with the two that there are."""
    m = marked()
    m.j3o_role[m.x] = "onload"
    with pytest.raises(AnnotationError, match="the role 'onload'; write 'onloading' or 'offloading'"):
        Roles(m)


def test_marks_by_hand_count():
    """A user may write the Suffix directly; set_value unrolls containers."""
    m = plain()
    m.j3o_role = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    m.j3o_role.set_value(m.x, "onloading")
    m.j3o_role[m.y] = "offloading"
    m.r = pyo.Reference(m.y)
    m.j3o_role[m.r] = "offloading"
    assert role(m.x[1]) == "onloading"
    assert role(m.y[1]) == "offloading"


# --- what marks survive --------------------------------------------------------------------------


@pytest.mark.parametrize("make", [marked, blocked])
@pytest.mark.parametrize("copy", [lambda m: m.clone(), lambda m: pickle.loads(pickle.dumps(m))])
def test_clone_and_pickle(make, copy):
    """A copy compiles to the same problem, and its marks sit on its own components."""
    m = make()
    twin = copy(m)
    assert all(component.model() is twin for component in twin.j3o_role)
    one, other = compile_model(m)[0], compile_model(twin)[0]
    assert (one.onloading_rows != other.onloading_rows).nnz == 0
    assert (one.offloading_rows != other.offloading_rows).nnz == 0


def test_create_instance():
    """Marks on an AbstractModel, by block and by annotate, are those of every instance."""
    a = pyo.AbstractModel()
    a.I = pyo.Set()
    a.place = OnloadingBlock()
    a.place.x = pyo.Var(a.I, domain=pyo.Binary)
    a.route = OffloadingBlock(a.I, rule=add_routes)
    a.z = pyo.Var(a.I)
    a.u = pyo.Var()
    annotate(a, offloading=[a.z, a.u])
    a.gain = pyo.Objective(rule=lambda m: sum(m.z[i] + m.place.x[i] + m.route[i].y[1] for i in m.I) + m.u)
    for members in ([1], [1, 2, 3]):
        m = a.create_instance({None: {"I": {None: members}}})
        problem, _ = compile_model(m)
        assert (problem.n_onloading, problem.n_offloading) == (len(members), 2 * len(members) + 1)


def test_nesting():
    """The marks of a model count when it is a block of another, and after that one is cloned."""
    m = pyo.ConcreteModel()
    m.left, m.right = marked(), blocked()
    m.left.gain.deactivate()
    m.y = pyo.Var()
    annotate(m, offloading=m.y)
    for twin in (m, m.clone()):
        assert role(twin.left.x[1]) == "onloading"
        assert role(twin.right.route.y[1]) == "offloading"
        assert role(twin.y) == "offloading"
        problem, _ = compile_model(twin)
        assert (problem.n_onloading, problem.n_offloading) == (4, 4)


def disjunctive():
    """Return a model with a choice between two blocks, one of which has variables of its own."""
    m = marked()
    m.d = Disjunct([0, 1])
    m.d[0].route = OffloadingBlock(rule=add_routes)
    m.d[0].c = pyo.Constraint(expr=m.y[1] + m.d[0].route.y[1] >= 1)
    m.d[1].c = pyo.Constraint(expr=m.y[2] >= 1)
    m.either = Disjunction(expr=[m.d[0], m.d[1]])
    return m


@pytest.mark.parametrize("method", ["gdp.bigm", "gdp.hull", "gdp.mbigm"])
def test_disjunctions(method):
    """Marks inside a Disjunct count after a transformation; its new variables have to be marked."""
    m = disjunctive()
    if method == "gdp.mbigm":
        pyo.TransformationFactory(method).apply_to(m, bigM=10)
    else:
        pyo.TransformationFactory(method).apply_to(m)
    assert role(m.d[0].route.y[1]) == "offloading"
    with pytest.raises(AnnotationError, match=r"call pyomo_j3o\.annotate"):
        compile_model(m)
    new = [
        v for v in m.component_data_objects(pyo.Var, descend_into=(pyo.Block, Disjunct)) if role(v) is None
    ]
    annotate(m, onloading=[v for v in new if v.is_binary()], offloading=[v for v in new if v.is_continuous()])
    compile_model(m)


@pytest.mark.parametrize(
    "name",
    [
        "core.add_slack_variables",
        "contrib.deactivate_trivial_constraints",
        "contrib.detect_fixed_vars",
        "contrib.init_vars_midpoint",
        "contrib.init_vars_zero",
        "contrib.remove_zero_terms",
        "contrib.propagate_fixed_vars",
        "contrib.propagate_eq_var_bounds",
        "contrib.strip_var_bounds",
        "contrib.propagate_zero_sum",
        "contrib.constraints_to_var_bounds",
        "core.tighten_constraints_from_vars",
        "contrib.aggregate_vars",
        "contrib.integer_to_binary",
    ],
)
@pytest.mark.parametrize("make", [marked, blocked])
def test_transformations_in_place(name, make):
    """Whatever a transformation does to a model, the variables it had keep their roles."""
    m = make()
    before = {v.name: role(v) for v in m.component_data_objects(pyo.Var)}
    pyo.TransformationFactory(name).apply_to(m)
    assert before == {v.name: role(v) for v in m.component_data_objects(pyo.Var) if v.name in before}


def test_scaling():
    """A scaled model is a copy in which the variables have new names and their old roles."""
    m = marked()
    m.scaling_factor = pyo.Suffix(direction=pyo.Suffix.EXPORT)
    m.scaling_factor[m.y] = 10
    m.scaling_factor[m.one] = 2
    scaled = pyo.TransformationFactory("core.scale_model").create_using(m)
    problem, _ = compile_model(scaled)
    assert (problem.n_onloading, problem.n_offloading) == (2, 2)
    assert problem.offloading_objective.tolist() == pytest.approx([0.3, 0.4])


def test_relaxing_and_taking_it_back():
    """A relaxed onloading variable is an error; the model compiles again when it is binary again."""
    m = marked()
    relax = pyo.TransformationFactory("core.relax_integer_vars")
    relax.apply_to(m)
    with pytest.raises(AnnotationError, match=r"onloading variable 'x\[1\]' is continuous"):
        compile_model(m)
    relax.apply_to(m, undo=True)
    compile_model(m)


@pytest.mark.parametrize("form", ["cpxlp", "nl", "mps", "gams", "bar"])
def test_files_do_not_change(form, tmp_path, caplog):
    """Every file format gives the same file as without marks, and no warning."""
    caplog.set_level("WARNING")
    texts = []
    for m in (plain(), marked()):
        path = tmp_path / f"model.{form.removeprefix('cpx')}"
        m.write(str(path), format=form)
        texts.append(path.read_text())
    assert texts[0] == texts[1]
    assert not caplog.records


@pytest.mark.parametrize("form", ["cpxlp", "nl", "mps", "gams", "bar"])
def test_blocks_are_written(form, tmp_path, caplog):
    """Every writer takes a model made of marked blocks, without a warning."""
    caplog.set_level("WARNING")
    path = tmp_path / f"model.{form.removeprefix('cpx')}"
    blocked().write(str(path), format=form)
    assert path.stat().st_size > 0
    assert not caplog.records


def test_the_standard_form_does_not_change(caplog):
    """Nor does the matrix form that direct solver interfaces use."""
    caplog.set_level("WARNING")
    one, other = (LinearStandardFormCompiler().write(m, mixed_form=True) for m in (plain(), marked()))
    assert (one.A != other.A).nnz == 0
    assert (one.c != other.c).nnz == 0
    assert not caplog.records
