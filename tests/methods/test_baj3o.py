"""Tests of J3O and BAJ3O on models with batching windows: laws, limits, and the parts they are made of."""

import itertools
import logging

import numpy as np
import pyomo.environ as pyo
import pytest
from batching_models import Drawn, missed
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.contrib.solver.common.results import SolutionStatus, TerminationCondition
from small_problems import best_routing

from pyomo_j3o import BatchingWindow, OffloadingBlock, OnloadingBlock
from pyomo_j3o.alternate.batch_surrogate import linearised, surrogate
from pyomo_j3o.core.problem import activities
from pyomo_j3o.library import build_model, taskonomy, taskonomy_data
from pyomo_j3o.modeling.compiler import compile_model
from pyomo_j3o.presolve.linearize import linearize
from pyomo_j3o.presolve.setup_payers import charge_when_onloaded, charge_when_used

kinds = st.fixed_dictionaries({name: st.booleans() for name in ("shared", "ungated", "costs", "forced")})


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Set-ups longer than their window are told of; these tests do not want to hear it."""
    caplog.set_level(logging.ERROR, logger="pyomo_j3o")


def solve(m, **options):
    """Solve a model and leave the plan in it, if there is one."""
    results = SolverFactory("j3o").solve(
        m, load_solutions=False, raise_exception_on_nonoptimal_result=False, **options
    )
    if results.incumbent_objective is not None:
        results.solution_loader.load_vars()
    return results


def value_of(results):
    """Return the objective of the plan, -inf without one."""
    return -np.inf if results.incumbent_objective is None else results.incumbent_objective


# --- laws -------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), kind=kinds, form=st.sampled_from(["linear", "product"]))
def test_heuristic_exact_and_bound_stand_in_order_around_the_true_optimum(seed, kind, form):
    """J3O <= BAJ3O <= the optimum by enumeration <= every bound; exact finds it, or that there is none."""
    drawn = Drawn(seed, **kind)
    best = drawn.optimum()
    j3o, baj3o, exact = (solve(drawn.model(form), algorithm=a) for a in ("j3o", "baj3o", "exact"))
    for results in (j3o, baj3o, exact):
        infeasible = results.termination_condition == TerminationCondition.provenInfeasible
        assert infeasible == (best == -np.inf)
        if not infeasible:
            assert results.objective_bound >= best - 1e-6 * max(1, abs(best))
    if np.isfinite(best):
        assert value_of(j3o) <= value_of(baj3o) + 1e-7 * max(1, abs(value_of(j3o)))
        assert value_of(baj3o) <= best + 1e-6 * max(1, abs(best))
        assert value_of(exact) == pytest.approx(best, rel=2e-4, abs=1e-6)
        if baj3o.solution_status == SolutionStatus.optimal:
            assert value_of(baj3o) == pytest.approx(best, rel=2e-4, abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), kind=kinds, algorithm=st.sampled_from(["j3o", "baj3o", "exact"]))
def test_every_plan_keeps_the_true_window_and_every_row(seed, kind, algorithm):
    """By the definition, not by the solver's arrays: set-up in full for every batch that is not empty."""
    m = Drawn(seed, **kind).model()
    results = solve(m, algorithm=algorithm)
    if results.incumbent_objective is None:
        return
    assert missed(m) <= 1e-6
    for row in m.component_data_objects(pyo.Constraint, active=True):
        assert row.uslack() >= -1e-6
        assert row.lslack() >= -1e-6
    assert pyo.value(m.value) == pytest.approx(results.incumbent_objective, abs=1e-7)
    for window in m.batch.values():
        for k in window.models:
            if pyo.value(window.arrivals[k]) > 1e-6:
                assert window.used[k].value == 1


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), kind=kinds)
def test_j3o_charges_every_onloaded_model(seed, kind):
    """With j3o the windows have room for the set-ups of all models that are onloaded, used or not."""
    drawn = Drawn(seed, **kind)
    m = drawn.model()
    results = solve(m, algorithm="j3o")
    if results.incumbent_objective is None or "charges every onloaded model" in results.solver_log:
        return
    for w, window in m.batch.items():
        busy = 0.0
        for k in window.models:
            placed = drawn.always[k] or m.place.x[k].value > 0.5
            fits = drawn.setup[k] <= (1 - drawn.headroom) * drawn.length[w]
            busy += drawn.setup[k] * (placed and fits)
            busy += drawn.per_query[k] * drawn.length[w] * pyo.value(window.arrivals[k])
        assert busy <= (1 - drawn.headroom) * drawn.length[w] + 1e-6


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), kind=kinds)
def test_the_order_of_windows_and_models_does_not_matter(seed, kind):
    """The same system declared backwards has a plan of the same value, where the optimum is proven."""
    drawn = Drawn(seed, **kind)
    one = solve(drawn.model())
    two = solve(backwards(drawn))
    proven = SolutionStatus.optimal
    if one.solution_status == two.solution_status == proven:
        assert value_of(one) == pytest.approx(value_of(two), rel=3e-4, abs=1e-6)
    assert (one.incumbent_objective is None) == (two.incumbent_objective is None)


def backwards(drawn):
    """Return the model of a drawn system with its windows' models in the opposite order."""
    m = drawn.model()
    for window in m.batch.values():
        keys = list(window.models)[::-1]
        window.set_batches(
            pyo.value(window.length),
            {k: window.arrivals[k].expr for k in keys},
            {k: pyo.value(window.setup[k]) for k in keys},
            {k: pyo.value(window.per_query[k]) for k in keys},
            pyo.value(window.headroom),
        )
    return m


def test_same_seed_same_answer():
    """Two solves of one model give the same plan and the same bound."""
    found = [solve(taskonomy(6, 2, 3, droppable=True, window=0.1)) for _ in range(2)]
    assert found[0].incumbent_objective == found[1].incumbent_objective
    assert found[0].objective_bound == found[1].objective_bound


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), kind=kinds, form=st.sampled_from(["linear", "product"]))
def test_charging_who_uses_a_model_changes_no_optimum(seed, kind, form):
    """Without the indicators that x can stand for, the best plan over all placements has the same value."""
    problem = linearize(compile_model(Drawn(seed, **kind).model(form))[0]).problem
    charged = charge_when_used(problem, negligible=False)

    def best(problem):
        placements = itertools.product([False, True], repeat=problem.n_onloading)
        inside = [
            x
            for x in map(np.array, placements)
            if np.all(x >= problem.onloading_lower) and np.all(x <= problem.onloading_upper)
        ]
        return max((best_routing(problem, x) for x in inside), default=-np.inf)

    assert best(charged.problem) == pytest.approx(best(problem), abs=1e-7)
    tied = charge_when_onloaded(problem, negligible=False)
    assert best(tied.problem) <= best(problem) + 1e-7


# --- limits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0.05, 0.5])
def test_without_set_up_j3o_and_baj3o_are_one(length):
    """With ν = 0 there is nothing to be aware of: the same plan at any window."""
    data = taskonomy_data(5, 1, 2, window=length)
    object.__setattr__(data, "setup_time", 0 * data.setup_time)
    models = [build_model(data, droppable=True) for _ in range(2)]
    for m, algorithm in zip(models, ("j3o", "baj3o"), strict=True):
        solve(m, algorithm=algorithm)
    for one, two in zip(*(m.component_data_objects(pyo.Var) for m in models), strict=True):
        assert one.value == two.value


def two_models(length, setup=0.1, plain=False):
    """Two models with room for both in memory: `fine` answers better, `fast` is cheap to set up."""
    m = pyo.ConcreteModel("two")
    m.place, m.route = OnloadingBlock(), OffloadingBlock()
    m.place.x = pyo.Var(["fine", "fast"], domain=pyo.Binary)
    m.route.y = pyo.Var(["cat", "dog"], ["fine", "fast"], bounds=(0, 1))
    x, y = m.place.x, m.route.y
    m.link = pyo.ConstraintList()
    m.serve = pyo.ConstraintList()
    for task, k in y:
        m.link.add(y[task, k] <= x[k])
    for task in ("cat", "dog"):
        m.serve.add(y[task, "fine"] + y[task, "fast"] <= 1)
    arrivals = {k: 4 * y["cat", k] + 2 * y["dog", k] for k in x}
    per_query = {"fine": 0.12, "fast": 0.04}
    if plain:
        m.compute = pyo.Constraint(expr=sum(per_query[k] * arrivals[k] for k in x) <= 1)
    else:
        m.batch = BatchingWindow()
        m.batch.set_batches(length, arrivals, {"fine": setup, "fast": setup / 2}, per_query)
    m.value = pyo.Objective(
        expr=4 * (0.9 * y["cat", "fine"] + 0.6 * y["cat", "fast"])
        + 2 * (0.8 * y["dog", "fine"] + 0.7 * y["dog", "fast"]),
        sense=pyo.maximize,
    )
    return m


@pytest.mark.parametrize("length", [1e3, 1e6, 1e12])
def test_a_long_window_is_a_compute_budget(length):
    """As T_b grows, set-up counts for nothing: BAJ3O has J3O's plan on the same capacity."""
    m, plain = two_models(length), two_models(length, plain=True)
    solve(m, algorithm="baj3o")
    solve(plain, algorithm="j3o")
    assert pyo.value(m.value) == pytest.approx(pyo.value(plain.value), rel=1e-3)
    for k in m.place.x:
        assert m.place.x[k].value == plain.place.x[k].value


def test_a_shorter_window_never_serves_better():
    """Accuracy falls with T_b, from all queries at 10 s to none where no set-up fits."""
    values = [pyo.value(m.value) for m in map(two_models, (10, 0.3, 0.12, 0.06, 0.04)) if solve(m)]
    assert values == sorted(values, reverse=True)
    assert values[-1] == 0.0


def test_set_ups_that_hardly_count_are_paid_all_the_same():
    """In a window full to the brim room is made for a tiny set-up; where there is none there is no plan."""
    for required in (False, True):
        m = two_models(1.0)
        y, length = m.route.y, 2e4
        m.batch.set_batches(length, {"fine": 4 * y["cat", "fine"]}, {"fine": 0.1}, {"fine": 0.25})
        for task, k in y:
            if (task, k) != ("cat", "fine"):
                y[task, k].fix(0)
        if required:
            m.all = pyo.Constraint(expr=y["cat", "fine"] == 1)
        results = solve(m)
        if required:
            assert results.termination_condition == TerminationCondition.provenInfeasible
        else:
            busy = 0.1 + 0.25 * length * 4 * y["cat", "fine"].value
            assert busy == pytest.approx(length, rel=1e-8)
            assert busy <= length * (1 + 1e-9)


# --- the surrogate ----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    q=st.floats(0, 1),
    other=st.floats(0, 1),
    largest=st.floats(1e-3, 1e3),
    delta=st.floats(1e-4, 10),
)
def test_phi_is_concave_and_between_0_and_1(q, other, largest, delta):
    """0 at an empty batch, 1 at the largest, and every tangent lies above it."""
    points = np.array([0.0, 1.0, q, other]) * largest
    height, slope = surrogate(points, np.full(4, largest), delta)
    assert height[0] == 0
    assert height[1] == pytest.approx(1)
    assert np.all(slope > 0)
    assert height[3] <= height[2] + slope[2] * (points[3] - points[2]) + 1e-9


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), kind=kinds, delta=st.sampled_from([1.0, 0.1, 1e-3]))
def test_the_linearised_rows_charge_phi_at_the_point_and_a_tangent_elsewhere(seed, kind, delta):
    """In place of what x and z pay, a window's row has φ at the current batches, and no less elsewhere."""
    problem = compile_model(Drawn(seed, **kind).model())[0]
    charged = charge_when_used(problem, negligible=False)
    if not len(charged.batch):
        return
    rng = np.random.default_rng(seed)
    largest = charged.largest_rates()
    y, other = (rng.uniform(0, 0.3, problem.n_offloading) for _ in range(2))
    y[rng.random(len(y)) < 0.3] = 0.0
    rows = linearised(charged, charged.rates(y), largest, delta)
    nobody = np.zeros(charged.problem.n_onloading)

    def paid(at):
        """Return what set-ups take of every row at a routing, beside the time of the queries."""
        body = activities(rows, nobody, at) - rows.row_upper
        plain = activities(charged.problem, nobody, at) - charged.problem.row_upper
        return (body - plain)[charged.row]

    def by_phi(at):
        height, _ = surrogate(charged.rates(at), largest, delta)
        total = np.bincount(charged.row, charged.setup * height, minlength=charged.problem.n_rows)
        return total[charged.row]

    assert paid(y) == pytest.approx(by_phi(y), abs=1e-9)
    assert np.all(paid(other) >= by_phi(other) - 1e-9)
    # No indicator and no x pays any more, and none of them opens a batch.
    assert abs(rows.onloading_rows[charged.row][:, charged.payer]).sum() == 0


def test_phi_becomes_the_step():
    """As δ shrinks, a batch of any size is charged in full."""
    values = [surrogate(np.array([0.1]), np.array([1.0]), delta)[0][0] for delta in (1, 1e-3, 1e-9, 1e-30)]
    assert values == sorted(values)
    assert values[-1] > 0.96


# --- what a user sees -------------------------------------------------------------------------------------


def test_auto_takes_baj3o_where_there_is_a_window():
    """`auto` is baj3o with a window and j3o without; the alias asks for baj3o by name."""
    assert solve(two_models(0.3)).extra_info.algorithm == "baj3o"
    assert solve(two_models(0.3, plain=True)).extra_info.algorithm == "j3o"
    assert solve(two_models(0.3), algorithm="j3o").extra_info.algorithm == "j3o"
    assert SolverFactory("j3o.baj3o").solve(two_models(0.3)).extra_info.algorithm == "baj3o"
    assert pyo.SolverFactory("j3o.baj3o").solve(two_models(0.3)).j3o.extra_info.algorithm == "baj3o"
    assert SolverFactory("j3o.baj3o").solve(two_models(0.3, plain=True)).incumbent_objective == pytest.approx(
        SolverFactory("j3o").solve(two_models(0.3, plain=True)).incumbent_objective
    )


def test_baj3o_beats_j3o_where_a_model_need_not_run_in_every_window():
    """A model onloaded for one window is charged in the other by j3o, and not by baj3o."""
    m = pyo.ConcreteModel("interactive and background")
    m.place, m.route = OnloadingBlock(), OffloadingBlock()
    m.place.x = pyo.Var(["a", "b"], domain=pyo.Binary)
    m.route.y = pyo.Var(["now", "later"], ["a", "b"], bounds=(0, 1))
    x, y = m.place.x, m.route.y
    m.link = pyo.ConstraintList()
    for i, k in y:
        m.link.add(y[i, k] <= x[k])
    m.once = pyo.ConstraintList()
    for i in ("now", "later"):
        m.once.add(y[i, "a"] + y[i, "b"] <= 1)
    m.batch = BatchingWindow(["now", "later"])
    for i, length in (("now", 0.1), ("later", 1.0)):
        m.batch[i].set_batches(
            length, {k: 5 * y[i, k] for k in x}, {"a": 0.06, "b": 0.08}, {"a": 0.05, "b": 0.05}
        )
    m.value = pyo.Objective(
        expr=y["now", "a"] + 0.1 * y["now", "b"] + 0.1 * y["later", "a"] + y["later", "b"], sense=pyo.maximize
    )
    j3o, baj3o = (value_of(solve(m, algorithm=a)) for a in ("j3o", "baj3o"))
    assert baj3o == pytest.approx(2.0)
    assert j3o < 1.9
    assert solve(m, algorithm="j3o").objective_bound >= 2.0 - 1e-6


def test_the_log_tells_of_windows_and_of_the_second_alternation():
    """How many windows there are, and where BAJ3O's iterations begin; the incumbent never falls."""
    results = solve(taskonomy(6, 1, 105, droppable=True, window=0.05))
    assert "Batching windows: 1, with" in results.solver_log
    assert "BAJ3O: alternation with the surrogate" in results.solver_log
    incumbents = [record.incumbent for record in results.extra_info.trace]
    assert incumbents == sorted(incumbents)
    numbers = [record.iteration for record in results.extra_info.trace]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("most", [1, 2, 5])
def test_max_iterations_counts_both_alternations(most):
    """No more iterations than asked for, whichever alternation they belong to."""
    for m in (taskonomy(6, 1, 105, droppable=True, window=0.05), Drawn(5, shared=True).model()):
        results = solve(m, max_iterations=most, improve=False)
        assert len(results.extra_info.trace) <= most


@pytest.mark.parametrize("bound", ["cuts", "lp", "none"])
@pytest.mark.parametrize("improve", [True, False])
@pytest.mark.parametrize("kind", [{}, {"shared": True, "ungated": True}])
def test_every_option_gives_a_plan_and_a_bound(bound, improve, kind):
    """With and without improvement and certificate the plan keeps its windows; the bound is none too good."""
    drawn = Drawn(11, **kind)
    best = drawn.optimum()
    for algorithm in ("j3o", "baj3o"):
        m = drawn.model()
        results = solve(m, bound=bound, improve=improve, algorithm=algorithm)
        assert results.objective_bound >= best - 1e-6
        assert (results.objective_bound == np.inf) == (bound == "none")
        assert missed(m) <= 1e-6
        assert value_of(results) <= best + 1e-6


def test_a_warm_start_is_where_the_search_begins():
    """The first iteration takes the placement that the variables hold."""
    for kind in ({}, {"shared": True}):
        m = Drawn(7, **kind).model()
        best = value_of(solve(m))
        results = solve(m, warm_start=True)
        assert results.extra_info.trace[0].objective == pytest.approx(best, abs=1e-6)


def test_an_onloading_step_of_ones_own_sees_the_columns_that_are_left():
    """With windows the step gets a structure without the indicators that x stands for."""
    seen = []

    def nothing(structure, prices):
        seen.append(structure.problem.n_onloading)
        return np.zeros(structure.problem.n_onloading, dtype=bool)

    m = two_models(0.3)
    solve(m, onloading_step=nothing)
    assert set(seen) == {2}


def test_the_last_record_is_the_plan():
    """Whatever the last LP gains is in the last record of the trace, with and without improvement."""
    for seed, improve in itertools.product(range(6), (True, False)):
        results = solve(Drawn(seed, shared=True).model(), improve=improve)
        if results.incumbent_objective is not None:
            last = results.extra_info.trace[-1]
            assert last.incumbent == pytest.approx(results.incumbent_objective, abs=1e-9)
            assert last.relative_gap == pytest.approx(results.extra_info.relative_gap, abs=1e-9)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("sense", [pyo.maximize, pyo.minimize])
def test_the_unit_and_the_sense_of_the_objective_do_not_matter(unit, sense):
    """Plan, bound and trace come in the user's own unit and sense."""
    m = Drawn(5, shared=True).model()
    best = value_of(solve(m))
    m.value.deactivate()
    sign = 1 if sense == pyo.maximize else -1
    m.other = pyo.Objective(expr=sign * unit * m.value.expr, sense=sense)
    results = solve(m, rel_gap=1e-6)
    assert results.incumbent_objective == pytest.approx(sign * unit * best, rel=1e-6)
    assert results.extra_info.trace[-1].incumbent == pytest.approx(results.incumbent_objective, rel=1e-9)
    assert sign * results.objective_bound >= sign * results.incumbent_objective - 1e-9 * unit


def test_duals_belong_to_the_rows_of_the_model():
    """The last LP is one of the model itself: its duals have the windows' rows among them."""
    m = two_models(0.3)
    results = SolverFactory("j3o").solve(m)
    duals = results.solution_loader.get_duals()
    assert duals[m.batch.capacity] >= 0
    assert len(duals) == sum(1 for _ in m.component_data_objects(pyo.Constraint, active=True))


def test_traces_of_queries_make_no_batch():
    """What rounding leaves in the columns of a closed batch is taken out; what is more stays."""
    problem, _ = compile_model(two_models(0.3))
    x = np.zeros(problem.n_onloading, dtype=bool)
    y = np.full(problem.n_offloading, 1e-8)
    y[0] = 0.1
    assert problem.batches.without_traces(x, y, 1e-6).tolist() == [0.1, 0, 0, 0]
    open_all = ~x
    assert problem.batches.without_traces(open_all, y, 1e-6).tolist() == y.tolist()
