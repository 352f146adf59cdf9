"""`j3o.linearize_products`: the same optimum for any solver, and a plan of the original in its variables."""

import io
import pickle
from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from count_models import random_count_model
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.contrib.solver.common.results import TerminationCondition
from random_problems import as_pyomo, by_placement, random_problem
from scipy import sparse
from solver_models import objective_value, snapshot, two_servers, worst_violation

from pyomo_j3o import LinearizeProducts, OffloadingBlock, OnloadingBlock, annotate
from pyomo_j3o.core.problem import OBJECTIVE, Products
from pyomo_j3o.errors import AnnotationError, ModelError, UnsupportedTermError

SEEDS = range(24)


def transformation():
    """Return the transformation as a user gets it."""
    return pyo.TransformationFactory("j3o.linearize_products")


def random_model(seed):
    """Return a random model with products, of either sense, and its optimum by enumeration.

    Some y may be negative, some have to be, some may not be 0, and some have an end that only a row gives.
    Some occur only in products with one x.
    """
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, "products", sense=1 if seed % 2 else -1)
    lower = rng.choice([0.0, 0.0, 0.0, -1.0, 0.25, -2.0], problem.n_offloading)
    upper = np.where(lower == -2.0, -0.5, problem.offloading_upper)
    problem = behind_one_x(replace(problem, offloading_lower=lower, offloading_upper=upper), rng)
    model = as_pyomo(problem)
    best = problem.sense * by_placement(problem)[1].max()
    for j in np.flatnonzero(rng.random(problem.n_offloading) < 0.3):
        high = model.y[j].ub
        model.y[j].setub(None)
        model.rows.add(2 * model.y[j] <= 2 * high)
    return model, best


def behind_one_x(problem, rng):
    """Return the problem with some y multiplied by one x each, wherever they occur."""
    alone = rng.random(problem.n_offloading) < 0.4
    objective = np.where(alone, 0.0, problem.offloading_objective)
    dense = np.vstack([problem.offloading_rows.toarray(), problem.offloading_objective])
    row, y = np.nonzero(dense * alone)
    x = rng.integers(0, problem.n_onloading, problem.n_offloading)
    kept = ~alone[problem.products.offloading]
    old = problem.products
    products = Products(
        np.concatenate([old.row[kept], np.where(row == problem.n_rows, OBJECTIVE, row)]),
        np.concatenate([old.onloading[kept], x[y]]),
        np.concatenate([old.offloading[kept], y]),
        np.concatenate([old.coefficient[kept], dense[row, y]]),
    )
    rows = sparse.csr_array(problem.offloading_rows.toarray() * ~alone)
    return replace(problem, offloading_objective=objective, offloading_rows=rows, products=products)


def solve(model, solver="highs", **options):
    """Solve to proven optimality by a solver of Pyomo's new interface; return its results."""
    return SolverFactory(solver).solve(
        model, rel_gap=0, load_solutions=False, raise_exception_on_nonoptimal_result=False, **options
    )


def printed(model):
    """Return all that there is to see of a model."""
    stream = io.StringIO()
    model.pprint(ostream=stream)
    return stream.getvalue()


def one_product(**bounds):
    """Return max 5 x y - x, y in [0, 3] unless told."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(domain=pyo.Binary)
    m.y = pyo.Var(**({"bounds": (0, 3)} | bounds))
    m.worth = pyo.Objective(expr=5 * m.x * m.y - m.x, sense=pyo.maximize)
    annotate(m, onloading=m.x, offloading=m.y)
    return m


# --- laws ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_highs_finds_the_optimum_and_a_plan_of_the_original(seed):
    """The linear model has the optimum of enumeration; its x and y are feasible in the original worth that.

    That holds through `propagate_solution` as well as for the variables of a model changed in place.
    """
    model, best = random_model(seed)
    linear = transformation().create_using(model)
    results = solve(linear)
    if np.isinf(best):
        assert results.termination_condition == TerminationCondition.provenInfeasible
        return
    assert results.incumbent_objective == pytest.approx(best, abs=1e-6, rel=1e-6)
    results.solution_loader.load_vars()
    assert objective_value(linear) == pytest.approx(best, abs=1e-5, rel=1e-5)
    transformation().propagate_solution(linear, model)
    assert worst_violation(model) <= 1e-6
    assert objective_value(model) == pytest.approx(best, abs=1e-5, rel=1e-5)

    changed, _ = random_model(seed)
    worth = changed.worth
    own_rows = [(row, row.active) for row in changed.rows.values()]
    transformation().apply_to(changed)
    solve(changed).solution_loader.load_vars()
    for row, active in own_rows:
        row.activate() if active else row.deactivate()
    assert worst_violation(changed) <= 1e-6
    assert pyo.value(worth) == pytest.approx(best, abs=1e-5, rel=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_in_place_and_on_a_clone_are_the_same(seed):
    """`apply_to` makes of a model what `create_using` returns, which leaves the model itself untouched."""
    model, _ = random_model(seed)
    before, shown = snapshot(model), printed(model)
    linear = transformation().create_using(model)
    assert snapshot(model) == before
    assert printed(model) == shown
    transformation().apply_to(model)
    assert printed(model) == printed(linear)


@pytest.mark.parametrize("seed", SEEDS)
def test_j3o_solves_what_comes_out(seed):
    """The linear model is still annotated: j3o finds a plan of the original, and proves the optimum."""
    model, best = random_model(seed)
    linear = transformation().create_using(model)
    results = solve(linear, "j3o.exact", mip_solver="highs", strict=True)
    if np.isinf(best):
        assert results.termination_condition == TerminationCondition.provenInfeasible
        return
    assert results.incumbent_objective == pytest.approx(best, abs=1e-6, rel=1e-6)
    results = solve(linear, "j3o", strict=True)
    results.solution_loader.load_vars()
    transformation().propagate_solution(linear, model)
    assert worst_violation(model) <= 1e-6
    assert objective_value(model) == pytest.approx(results.incumbent_objective, abs=1e-5)


@pytest.mark.parametrize("seed", SEEDS[:8])
def test_only_rows_with_products_are_replaced(seed):
    """A row is deactivated if and only if it holds a product, and one of its name takes its place."""
    model, _ = random_model(seed)
    held = {row.name for row in model.rows.values() if row.body.polynomial_degree() == 2}
    transformation().apply_to(model)
    assert {row.name for row in model.rows.values() if not row.active} == held
    linear = model.j3o_linearized.component("constraints")
    assert set(linear or ()) == held
    for expression in model.component_data_objects((pyo.Constraint, pyo.Objective), active=True):
        expression = expression.expr if expression.ctype is pyo.Objective else expression.body
        assert expression.polynomial_degree() <= 1


@pytest.mark.parametrize("solver", ["highs", "gurobi", "scip"])
@pytest.mark.parametrize("sense", [pyo.maximize, pyo.minimize])
def test_every_solver_agrees(solver, sense):
    """The product form of a placement model is worth the same to every solver, once linear."""
    form = {"highs": "highs", "gurobi": "gurobi_direct", "scip": "scip_direct"}[solver]
    if not SolverFactory(form).available():
        pytest.skip(f"{solver} is not there")
    linear = transformation().create_using(two_servers(sense, form="product"))
    expected = solve(two_servers(sense)).incumbent_objective
    assert solve(linear, form).incumbent_objective == pytest.approx(expected, rel=1e-6)


# --- the rows ------------------------------------------------------------------------------------------


def test_a_y_of_one_product_needs_no_new_variable():
    """A y only in x·y is the product itself, with one row: its side at 0 is its bound."""
    m = one_product()
    transformation().apply_to(m)
    block = m.j3o_linearized
    assert not m.worth.active
    assert [c.local_name for c in block.component_objects(active=True)] == ["link_upper", "objective"]
    assert str(block.link_upper["x", "y"].expr) == "y - 3.0*x  <=  0.0"
    assert str(block.objective["worth"].expr) == "- x + 5.0*y"
    assert block.objective["worth"].sense == pyo.maximize


def test_both_sides_are_tied_to_x_where_y_may_be_negative():
    """A y in [-2, 3] gets a link on either side."""
    m = one_product(bounds=(-2, 3))
    transformation().apply_to(m)
    assert str(m.j3o_linearized.link_upper["x", "y"].expr) == "y - 3.0*x  <=  0.0"
    assert str(m.j3o_linearized.link_lower["x", "y"].expr) == "0.0  <=  y + 2.0*x"


def test_a_product_is_shared_by_all_rows():
    """A y that also stands alone gets one variable and McCormick's rows for all rows that hold x·y."""
    m = one_product(bounds=(-2, 3))
    m.total = pyo.Constraint(expr=(0, m.x * m.y + m.y, 4))
    m.half = pyo.Constraint(expr=2 * m.x * m.y == m.x)
    transformation().apply_to(m)
    block = m.j3o_linearized
    product = "j3o_linearized.product[x,y]"
    assert list(block.product) == [("x", "y")]
    assert block.product["x", "y"].bounds == (0, 0.5)
    assert str(block.constraints["total"].expr) == f"0.0  <=  y + {product}  <=  4.0"
    assert str(block.constraints["half"].expr) == f"- x + 2.0*{product}  ==  0.0"
    assert str(block.link_upper["x", "y"].expr) == f"{product} - 0.5*x  <=  0.0"
    assert str(block.mccormick_upper["x", "y"].expr) == f"{product} - y + 0.5*x  <=  0.5"
    assert str(block.mccormick_lower["x", "y"].expr) == f"-3.0  <=  {product} - y - 3.0*x"


def test_a_y_that_may_not_be_0_keeps_its_bounds():
    """Behind a closed x a y in [2, 3] is still between 2 and 3: the product has a variable of its own."""
    m = one_product(bounds=(2, 3))
    m.closed = pyo.Constraint(expr=m.x == 0)
    transformation().apply_to(m)
    SolverFactory("highs").solve(m)
    assert m.j3o_linearized.product["x", "y"].value == pytest.approx(0)
    assert 2 - 1e-9 <= m.y.value <= 3 + 1e-9


def test_a_y_that_has_to_be_negative_is_tied_from_above_as_well():
    """Of y in [-3, -1] the product is between -3 x and -x."""
    m = one_product(bounds=(-3, -1))
    transformation().apply_to(m)
    product = "j3o_linearized.product[x,y]"
    assert m.j3o_linearized.product["x", "y"].bounds == (-3, 0)
    assert str(m.j3o_linearized.link_upper["x", "y"].expr) == f"{product} + x  <=  0.0"
    assert str(m.j3o_linearized.link_lower["x", "y"].expr) == f"0.0  <=  {product} + 3.0*x"


def test_a_y_in_products_with_two_x_gets_two_variables():
    """Products of one y with two x are two columns."""
    m = one_product()
    m.other = pyo.Var(domain=pyo.Binary)
    m.cap = pyo.Constraint(expr=m.other * m.y <= 2)
    annotate(m, onloading=m.other)
    transformation().apply_to(m)
    assert list(m.j3o_linearized.product) == [("x", "y"), ("other", "y")]
    # At other = 1 y is 2 at most, but not at x = 1.
    assert str(m.j3o_linearized.link_upper["other", "y"].expr).endswith("- 2.0*other  <=  0.0")
    assert str(m.j3o_linearized.link_upper["x", "y"].expr).endswith("- 3.0*x  <=  0.0")


def test_big_m_is_what_the_rows_leave():
    """Of a bound of 1000 and rows that imply 1.5 for the product, the link takes 1.5."""
    m = one_product(bounds=(0, 1000))
    m.room = pyo.Constraint(expr=2 * m.x * m.y + m.x <= 4)
    m.more = pyo.Constraint(expr=m.x >= 1)
    transformation().apply_to(m)
    assert str(m.j3o_linearized.link_upper["x", "y"].expr) == "y - 1.5*x  <=  0.0"


def test_big_m_of_a_new_variable_is_what_either_factor_leaves():
    """A row on y bounds the product, too, and so does one on the product where x is 1."""
    m = one_product(bounds=(-1000, 1000))
    m.own = pyo.Constraint(expr=(-4, 2 * m.y, 6))
    m.of_product = pyo.Constraint(expr=m.x * m.y <= 1)
    transformation().apply_to(m)
    block = m.j3o_linearized
    product = "j3o_linearized.product[x,y]"
    assert block.product["x", "y"].bounds == (-2, 1)
    assert str(block.link_upper["x", "y"].expr) == f"{product} - x  <=  0.0"
    assert str(block.link_lower["x", "y"].expr) == f"0.0  <=  {product} + 2.0*x"
    assert str(block.mccormick_upper["x", "y"].expr) == f"{product} - y + 2.0*x  <=  2.0"
    assert str(block.mccormick_lower["x", "y"].expr) == f"-3.0  <=  {product} - y - 3.0*x"


def test_rows_take_the_place_of_a_missing_bound():
    """A y without an upper bound is bounded by a linear row, and keeps no bound of its own."""
    m = one_product(bounds=(0, None))
    m.room = pyo.Constraint(expr=4 * m.y <= 10)
    m.least = pyo.Constraint(expr=m.y >= 0.5)  # so that y and x·y are two things
    transformation().apply_to(m)
    assert str(m.j3o_linearized.mccormick_lower["x", "y"].expr).startswith("-2.5  <=")
    assert m.y.ub is None
    assert SolverFactory("highs").solve(m).incumbent_objective == pytest.approx(11.5)


# --- what counts as it is now ---------------------------------------------------------------------------


def test_fixed_variables_and_params_count_with_their_value():
    """A product with a fixed x is linear and stays; a Param has its value of the time in the new rows."""
    m = one_product()
    m.price = pyo.Param(initialize=2, mutable=True)
    m.z = pyo.Var(domain=pyo.Binary)
    m.w = pyo.Var(bounds=(0, 1))
    annotate(m, onloading=m.z, offloading=m.w)
    m.z.fix(1)
    m.stays = pyo.Constraint(expr=m.z * m.w + m.w <= 1)
    m.goes = pyo.Constraint(expr=m.price * m.x * m.y <= m.price + 1)
    transformation().apply_to(m)
    assert m.stays.active
    assert str(m.j3o_linearized.constraints["goes"].expr) == "2.0*y  <=  3.0"
    m.price.value = 1
    assert str(m.j3o_linearized.constraints["goes"].expr) == "2.0*y  <=  3.0"


def test_a_product_at_price_0_goes_too():
    """A product whose Param is 0, or that cancels, leaves a row that HiGHS does not take for linear."""
    m = one_product()
    m.price = pyo.Param(initialize=0, mutable=True)
    m.free = pyo.Constraint(expr=m.price * m.x * m.y + m.y <= 2)
    m.gone = pyo.Constraint(expr=m.x * m.y - m.x * m.y <= 1)
    transformation().apply_to(m)
    assert list(m.j3o_linearized.constraints) == ["free"]
    assert not m.gone.active
    assert SolverFactory("highs").solve(m).incumbent_objective == pytest.approx(9)


def test_only_active_parts_count():
    """Deactivated constraints, objectives and blocks stay as they are."""
    m = one_product()
    m.other = pyo.Objective(expr=m.x * m.y)
    m.other.deactivate()
    m.off = pyo.Constraint(expr=m.x * m.y <= 1)
    m.off.deactivate()
    m.part = pyo.Block()
    m.part.row = pyo.Constraint(expr=m.x * m.y <= 1)
    m.part.deactivate()
    transformation().apply_to(m)
    assert m.j3o_linearized.component("constraints") is None
    assert list(m.j3o_linearized.objective) == ["worth"]
    assert m.part.row.active


# --- models of all kinds --------------------------------------------------------------------------------


def nested():
    """Return a model of indexed blocks with marks by class, whose best plan opens b alone: worth 2·2 - 1."""
    m = pyo.ConcreteModel()
    m.place = OnloadingBlock()
    m.place.x = pyo.Var(["a", "b"], domain=pyo.Binary)
    m.site = OffloadingBlock(["a", "b"])
    for name, block in m.site.items():
        block.y = pyo.Var([1, "1"], bounds=(0, 1))
        block.room = pyo.Constraint([1], rule={1: sum(m.place.x[name] * y for y in block.y.values()) <= 2})
    m.once = pyo.Constraint(expr=m.place.x["a"] + m.place.x["b"] <= 1)
    m.worth = pyo.Objective(
        expr=sum(
            {"a": 1, "b": 2}[name] * m.place.x[name] * y
            for name, block in m.site.items()
            for y in block.y.values()
        )
        - m.place.x["a"]
        - m.place.x["b"],
        sense=pyo.maximize,
    )
    return m


def test_nested_and_indexed_components_are_found_by_name():
    """A row in a member of an indexed block is replaced under its full name, and found by that of the new."""
    m = nested()
    transformation().apply_to(m)
    assert set(m.j3o_linearized.constraints) == {"site[a].room[1]", "site[b].room[1]"}
    row = m.j3o_linearized.constraints["site[a].room[1]"]
    assert str(row.expr) == "site[a].y[1] + site[a].y['1']  <=  2.0"
    assert m.find_component(row.name) is row
    assert not m.site["a"].room[1].active
    assert SolverFactory("highs").solve(m).incumbent_objective == pytest.approx(3)
    assert [y.value for y in m.site["b"].y.values()] == pytest.approx([1, 1])
    assert SolverFactory("j3o").solve(m).incumbent_objective == pytest.approx(3)


def test_a_block_of_a_model_can_be_transformed():
    """Given a block, only that is transformed; marks and variables may be outside of it."""
    m = pyo.ConcreteModel()
    m.one, m.two = pyo.Block(), pyo.Block()
    m.x = pyo.Var(domain=pyo.Binary)
    m.y = pyo.Var(bounds=(0, 1))
    for block in (m.one, m.two):
        block.worth = pyo.Objective(expr=m.x * m.y + m.y, sense=pyo.maximize)
    annotate(m, onloading=m.x, offloading=m.y)
    transformation().apply_to(m.one)
    assert list(m.one.j3o_linearized.product) == [("x", "y")]
    assert m.component("j3o_linearized") is None
    assert m.two.worth.active
    assert SolverFactory("highs").solve(m.one).incumbent_objective == pytest.approx(2)


def test_the_block_takes_a_name_that_is_free():
    """A component of the user's may be called j3o_linearized already."""
    m = one_product()
    m.j3o_linearized = pyo.Param(initialize=1)
    transformation().apply_to(m)
    assert pyo.value(m.j3o_linearized) == 1
    (block,) = m.component_objects(pyo.Block)
    assert block.local_name.startswith("j3o_linearized")
    assert block.objective["worth"].active


@pytest.mark.parametrize("model", [two_servers, lambda: transformation().create_using(one_product())])
def test_without_products_nothing_changes(model):
    """A linear model stays as it is, without an empty block: so does one that is transformed already."""
    m = model()
    before = printed(m)
    transformation().apply_to(m)
    assert printed(m) == before
    assert printed(transformation().create_using(m)) == before


def test_the_result_pickles_and_clones():
    """What comes out is an ordinary model: copies of it are the same and solve the same."""
    linear = transformation().create_using(nested())
    for copy in (pickle.loads(pickle.dumps(linear)), linear.clone()):
        assert printed(copy) == printed(linear)
        assert solve(copy).incumbent_objective == pytest.approx(3)


def test_the_result_can_be_written(tmp_path):
    """The writers take the names of the new components."""
    linear = transformation().create_using(nested())
    for name in ("model.lp", "model.mps", "model.nl"):
        linear.write(str(tmp_path / name), io_options={"symbolic_solver_labels": True})
    assert "link_upper" in (tmp_path / "model.lp").read_text()


def test_a_model_without_marks_stays_without(caplog):
    """Unmarked, a model is read as the solver reads it, with its notice, and so is what comes out."""
    m = one_product()
    del m.j3o_role
    m.total = pyo.Constraint(expr=m.x * m.y + m.y <= 4)
    transformation().apply_to(m)
    assert "No variable is marked for j3o" in caplog.text
    assert m.component("j3o_role") is None
    assert SolverFactory("j3o").solve(m).incumbent_objective == pytest.approx(9)


# --- the way back ---------------------------------------------------------------------------------------


def test_values_and_stale_flags_are_copied_and_nothing_else():
    """The original gets the plan and tells old values from new; bounds, marks and what is fixed stay."""
    m = one_product()
    m.idle = pyo.Var(initialize=7)
    linear = transformation().create_using(m)
    SolverFactory("highs").solve(linear)
    bounds = m.y.bounds
    transformation().propagate_solution(linear, m)
    assert (m.x.value, m.y.value, m.idle.value) == pytest.approx((1, 3, 7))
    assert [v.stale for v in (m.x, m.y, m.idle)] == [v.stale for v in (linear.x, linear.y, linear.idle)]
    assert m.y.bounds == bounds
    assert m.component("j3o_linearized") is None


def test_values_of_another_model_are_refused():
    """A model that lacks a variable of the original is named, and no value is copied."""
    m, other = nested(), one_product()
    with pytest.raises(ModelError, match=r"'place\.x' is not in model .* create_using"):
        transformation().propagate_solution(other, m)
    assert all(v.value is None for v in m.component_data_objects(pyo.Var))


# --- errors ----------------------------------------------------------------------------------------------


def unbounded():
    """Return a model with a y in a product that nothing bounds."""
    return one_product(bounds=(0, None))


def squared():
    """Return a model with a term that is no product of x and y."""
    m = one_product()
    m.square = pyo.Constraint(expr=m.y * m.y * m.x <= 2)
    return m


def unmarked():
    """Return a model with a variable that carries no mark."""
    m = one_product()
    m.z = pyo.Var(bounds=(0, 1))
    m.row = pyo.Constraint(expr=m.z + m.x * m.y <= 2)
    return m


def without_objective():
    """Return a model without an objective."""
    m = one_product()
    m.worth.deactivate()
    return m


def of_two_models():
    """Return a model with products of variables of two others that have the same names."""
    one, other = one_product(), one_product()
    m = pyo.ConcreteModel()
    m.worth = pyo.Objective(expr=one.x * one.y + one.y + other.x * other.y + other.y)
    return m


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (unbounded, ModelError),
        (squared, UnsupportedTermError),
        (unmarked, AnnotationError),
        (without_objective, ModelError),
    ],
)
def test_an_error_is_that_of_the_solver_and_leaves_the_model(model, error):
    """A model that the solver refuses is refused in the same words, and stays as it was."""
    m = model()
    before = printed(m)
    with pytest.raises(error) as solver:
        SolverFactory("j3o").solve(m)
    for call in (transformation().apply_to, transformation().create_using):
        with pytest.raises(error) as raised:
            call(m)
        # The solver may know one more remedy.
        assert str(solver.value).startswith(str(raised.value))
        assert printed(m) == before


def test_a_missing_bound_is_named_with_the_remedy():
    """The error says which variable lacks which bound, and what to call."""
    with pytest.raises(ModelError, match=r"'y' is in a product but has no finite upper bound.*setub"):
        transformation().apply_to(unbounded())


def test_variables_that_share_a_name_are_refused():
    """Two variables of two models with one name would share a row."""
    m = of_two_models()
    before = printed(m)
    with pytest.raises(ModelError, match="same name"):
        transformation().apply_to(m)
    assert printed(m) == before


def test_it_is_registered_by_the_import():
    """Pyomo knows the transformation by name, and has a line on it."""
    assert isinstance(transformation(), LinearizeProducts)
    assert "exact" in pyo.TransformationFactory.doc("j3o.linearize_products")


@pytest.mark.parametrize("seed", range(12))
def test_products_of_counts_are_exact(seed):
    """HiGHS finds the optimum of J3O's exact method, which linearises on its own; the plan is one of it."""
    model = random_count_model(seed, products=True)
    exact = pyo.SolverFactory("j3o.exact").solve(model.clone(), load_solutions=False, rel_gap=1e-9)
    linear = transformation().create_using(model)
    found = SolverFactory("highs").solve(linear, rel_gap=0, raise_exception_on_nonoptimal_result=False)
    best = exact.problem.upper_bound if model.gain.is_minimizing() else exact.problem.lower_bound
    assert found.incumbent_objective == pytest.approx(best, rel=1e-6, abs=1e-6)
    transformation().propagate_solution(linear, model)
    assert objective_value(model) == pytest.approx(best, rel=1e-5, abs=1e-5)
    assert worst_violation(model) <= 1e-5


@pytest.mark.parametrize(("least", "most"), [(0, 3), (-2, 2), (5, 6), (0, 100), (3, 3)])
def test_a_count_times_a_flow_has_its_value_at_every_point(least, most):
    """With n and y fixed after the transformation, the linear objective is n·y."""
    m = pyo.ConcreteModel()
    m.n = pyo.Var(domain=pyo.Integers, bounds=(least, most))
    m.y = pyo.Var(bounds=(-1, 2))
    annotate(m, onloading=m.n, offloading=m.y)
    m.worth = pyo.Objective(expr=m.n * m.y + m.n + 0.5 * m.y + 1, sense=pyo.maximize)
    linear = transformation().create_using(m)
    for n in sorted({least, most, (least + most) // 2}):
        for y in (-1.0, 0.3, 2.0):
            for sense in (pyo.maximize, pyo.minimize):
                linear.n.fix(n)
                linear.y.fix(y)
                linear.j3o_linearized.objective["worth"].sense = sense
                found = SolverFactory("highs").solve(linear).incumbent_objective
                assert found == pytest.approx(n * y + n + 0.5 * y + 1, abs=1e-6)


def test_products_of_long_counts_are_refused():
    """The integer is named, and the model left as it was."""
    m = pyo.ConcreteModel("counted")
    m.n = pyo.Var(domain=pyo.NonNegativeIntegers, bounds=(0, 1001))
    m.y = pyo.Var(bounds=(0, 2))
    annotate(m, onloading=m.n, offloading=m.y)
    m.worth = pyo.Objective(expr=m.n * m.y, sense=pyo.maximize)
    before = printed(m)
    with pytest.raises(ModelError, match="integer 'n' is in a product and has 1,001 steps between"):
        pyo.TransformationFactory("j3o.linearize_products").apply_to(m)
    assert printed(m) == before
    for solver in ("j3o", "j3o.exact"):
        pyo.SolverFactory(solver).solve(m)
        assert m.n.value * m.y.value == pytest.approx(2002)
