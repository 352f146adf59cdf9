"""Baselines: lower marks that are plans of the model, with bounds of the whole model."""

import copy
import math
import pickle

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.contrib.solver.common.results import SolutionStatus, TerminationCondition
from solver_models import (
    QUIET,
    SENSES,
    objective_value,
    optimum,
    snapshot,
    two_servers,
    with_marks,
    worst_violation,
)

from pyomo_j3o import annotate, library
from pyomo_j3o.errors import ModelError, OptionError

#: The baselines that use options on one level alone, and that level's nodes in the tiny systems.
LEVELS = {"j3o.all_local": ("phone", "robot"), "j3o.all_edge": ("server",), "j3o.all_cloud": ("cloud",)}
BY_STEP = ("j3o.most_accurate_first", "j3o.random", "j3o.apart")
EVERY = (*LEVELS, *BY_STEP)


def tiny_system(seed, droppable=True, form="linear", several=False, window=None):
    """Return the model of two clients, one or two edge servers, three models and two tasks, drawn anew."""
    rng = np.random.default_rng(seed)
    edges = ("server", "second") if several else ("server",)
    n = 2 + len(edges)
    accuracy = rng.uniform(0.3, 1.0, (3, 2))
    accuracy[rng.random((3, 2)) < 0.3] = math.nan
    data = library.InferenceData(
        models=("a", "b", "c"),
        memory=rng.integers(1, 4, 3),
        tasks=("edges", "depth"),
        query_size=rng.uniform(0.5, 2, 2),
        accuracy=accuracy,
        cloud_accuracy=rng.uniform(0.5, 1.0, 2),
        clients=("phone", "robot"),
        edges=edges,
        edge_of=("server", edges[-1]),
        load=rng.uniform(1, 4, (2, 2)),
        service_time=rng.uniform(0.05, 0.4, (n, 3)),
        memory_budget=rng.integers(2, 6, n),
        compute_budget=rng.uniform(0.3, 1.0, n),
        uplink_budget=rng.uniform(1, 8, n),
        window=window,
        setup_time=None if window is None else rng.uniform(0.0, 0.1, (len(edges), 3)),
    )
    if several:
        reaches = {"phone": edges, "robot": edges[1:]}
        return library.build_multi_edge(data, reaches, droppable=droppable)
    return library.build_model(data, droppable=droppable, form=form)


def at_level(model, nodes):
    """Return a copy of a library model in which queries are answered on these nodes alone."""
    restricted = model.clone()
    for option, variable in restricted.route.y.items():
        if option[2] not in nodes:
            variable.fix(0.0)
    return restricted


def nodes_of(name, model):
    """Return the nodes that a baseline may use."""
    return {*LEVELS[name], *(("second",) if name == "j3o.all_edge" else ())}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("form", ["linear", "product"])
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_plan_of_the_model_within_its_optimum_and_bound(name, form, seed):
    """The plan satisfies every row; it is no better than the optimum, and the bound is no lower than that."""
    model = tiny_system(seed, form=form)
    results = SolverFactory(name).solve(model)
    best = optimum(tiny_system(seed))
    assert worst_violation(model) <= 1e-6
    assert objective_value(model) == pytest.approx(results.incumbent_objective, abs=1e-7)
    assert results.incumbent_objective <= best + 1e-6
    assert results.objective_bound >= best - 1e-6
    proven = results.objective_bound <= results.incumbent_objective * (1 + 1e-4) + 1e-9
    assert (results.solution_status == SolutionStatus.optimal) == proven
    assert results.termination_condition == TerminationCondition.convergenceCriteriaSatisfied
    for record in results.extra_info.trace:
        assert record.bound >= best - 1e-6


@pytest.mark.parametrize("name", LEVELS)
@pytest.mark.parametrize("kind", [{}, {"several": True}, {"form": "product"}, {"window": 0.5}], ids=str)
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_one_level_alone_is_as_good_as_it_can_be(name, kind, seed):
    """On tiny systems the plan is the optimum of the model whose other options are fixed at 0."""
    model = tiny_system(seed, **kind)
    linear = {key: given for key, given in kind.items() if key != "form"}
    best = optimum(at_level(tiny_system(seed, **linear), nodes_of(name, model)))
    results = SolverFactory(name).solve(model)
    assert results.incumbent_objective == pytest.approx(best, rel=2e-4, abs=1e-7)
    assert worst_violation(model) <= 1e-6
    used = {option[2] for option, variable in model.route.y.items() if variable.value > 1e-6}
    assert used <= nodes_of(name, model)


@pytest.mark.parametrize("name", EVERY)
def test_both_factories_agree(name):
    """One solver behind two interfaces: the same plan, and the same results."""
    model, other = tiny_system(3), tiny_system(3)
    results, classic = SolverFactory(name).solve(model), pyo.SolverFactory(name).solve(other)
    assert classic.j3o.incumbent_objective == results.incumbent_objective
    assert classic.j3o.objective_bound == results.objective_bound
    assert classic.j3o.extra_info.message == results.extra_info.message
    assert [v.value for v in model.component_data_objects(pyo.Var)] == [
        v.value for v in other.component_data_objects(pyo.Var)
    ]
    assert results.solver_name == name
    again = pickle.loads(pickle.dumps(results))
    assert again.incumbent_objective == results.incumbent_objective
    assert copy.deepcopy(pyo.SolverFactory(name)).solve(tiny_system(3)).j3o.objective_bound == pytest.approx(
        results.objective_bound
    )
    pickle.loads(pickle.dumps(SolverFactory(name)))


@SENSES
@pytest.mark.parametrize("form", ["linear", "product"])
@pytest.mark.parametrize("name", BY_STEP)
def test_any_annotated_model(name, form, sense):
    """The generic ones take models that are not of the library, in both senses and both forms."""
    model = two_servers(sense, form)
    results = SolverFactory(name).solve(model)
    best, sign = optimum(two_servers(sense)), 1 if sense == pyo.maximize else -1
    assert worst_violation(model) <= 1e-6
    assert sign * results.incumbent_objective <= sign * best + 1e-6 <= sign * results.objective_bound + 2e-6


@pytest.mark.parametrize("name", LEVELS)
def test_other_models_are_refused_and_left_alone(name):
    """Where a variable runs is known of library models alone."""
    model = with_marks(two_servers())
    before = snapshot(model)
    with pytest.raises(ModelError, match=rf"{name} cannot know where .* of model 'two servers' run; build"):
        SolverFactory(name).solve(model)
    assert snapshot(model) == before


@pytest.mark.parametrize("name", LEVELS)
def test_no_plan_is_no_proof_of_the_model(name):
    """If one level cannot serve what must be served, that is said, and the model is not called infeasible."""
    model = library.small_example()
    model.compute["phone"].set_value(model.compute["phone"].body <= 0.25)  # 2.5 of its 6 queries/s
    assert optimum(at_level(model, LEVELS[name])) is None
    assert optimum(model) is not None
    before = snapshot(with_marks(model))
    results = SolverFactory(name).solve(model, **QUIET)
    assert results.termination_condition == TerminationCondition.unknown
    assert results.solution_status == SolutionStatus.noSolution
    assert math.isfinite(results.objective_bound)
    assert "cannot serve all queries within their budgets" in results.extra_info.message
    assert [v[1] for v in snapshot(model)[0]] == [v[1] for v in before[0]]
    assert snapshot(model)[2:] == before[2:]


def test_a_model_without_any_plan_is_proven_infeasible():
    """What is proven of the whole model is said of it."""
    model = library.small_example()
    for row in model.compute.values():
        row.set_value(row.body <= 0)
    for row in model.edge_uplink.values():
        row.set_value(row.body <= 0)
    for name in EVERY:
        results = SolverFactory(name).solve(model, **QUIET)
        assert results.termination_condition == TerminationCondition.provenInfeasible, name


def test_a_placement_that_cannot_be_routed_is_no_plan():
    """With one model too many demands compete; the step's placement is taken as it is, and not repaired."""
    model = pyo.ConcreteModel("one of two")
    model.x, model.y = pyo.Var([1, 2], domain=pyo.Binary), pyo.Var([1, 2], bounds=(0, 1))
    model.one = pyo.Constraint(expr=model.x[1] + model.x[2] <= 1)
    model.link = pyo.Constraint([1, 2], rule=lambda m, k: m.y[k] <= m.x[k])
    model.served = pyo.Constraint(expr=model.y[1] + model.y[2] == 1)
    model.slow = pyo.Constraint(expr=3 * model.y[1] + model.y[2] <= 2)
    model.worth = pyo.Objective(expr=2 * model.y[1] + model.y[2], sense=pyo.maximize)
    annotate(model, onloading=model.x, offloading=model.y)
    for name in ("j3o.most_accurate_first", "j3o.apart"):
        results = SolverFactory(name).solve(model, **QUIET)
        assert results.termination_condition == TerminationCondition.unknown
        assert results.extra_info.message.startswith(
            f"{name} has no plan for model 'one of two': its placement cannot"
        )
    # Another draw places the slower one's rival.
    for seed in range(4):
        assert SolverFactory("j3o.random").solve(model, seed=seed).incumbent_objective == pytest.approx(1.0)


def test_the_same_seed_gives_the_same_plan():
    """And another seed another one, sooner or later."""

    def plan(seed):
        model = library.taskonomy(clients=3, edges=1, droppable=True)
        SolverFactory("j3o.random").solve(model, seed=seed, bound="none")
        return tuple(round(x.value) for x in model.place.x.values())

    plans = [plan(seed) for seed in (0, 0, 1, 2)]
    assert plans[0] == plans[1]
    assert len(set(plans)) == 3


@pytest.mark.parametrize("name", BY_STEP)
def test_what_a_baseline_sets_itself_is_refused(name):
    """Another step, a search or a repaired plan would no longer be the baseline."""
    for option, value in {
        "algorithm": "exact",
        "effort": "full",
        "improve": True,
        "onloading_step": lambda structure, prices: None,
        "stop": bool,
        "warm_start": True,
    }.items():
        with pytest.raises(OptionError, match=f"{option}=.*: {name} is a baseline"):
            SolverFactory(name).solve(two_servers(), **{option: value})
    results = SolverFactory(name).solve(two_servers(), effort="alternation", rel_gap=0.5)
    assert results.solution_status == SolutionStatus.optimal  # within the gap that was asked for
    assert results.solver_config.effort == "alternation"


@pytest.mark.parametrize("name", ["j3o.all_local", "j3o.all_edge"])
def test_the_alternation_alone_places_on_one_level(name):
    """The cloud and what runs elsewhere are closed, and keep no model of this level away."""
    model = library.taskonomy(clients=2, edges=1, seed=4, droppable=True)
    quick = SolverFactory(name).solve(model, effort="alternation").incumbent_objective
    whole = SolverFactory(name).solve(model).incumbent_objective
    assert quick >= 0.9 * whole > 0


def test_the_bound_is_as_hard_as_asked_for():
    """By default that of the LP relaxation; with cuts a better one, and none if none is wanted."""
    lp, cuts, none = (
        SolverFactory("j3o.all_local", **({} if bound is None else {"bound": bound}))
        .solve(library.taskonomy(clients=2, edges=1, droppable=True))
        .objective_bound
        for bound in (None, "cuts", "none")
    )
    assert cuts < lp < none == math.inf
    plain = SolverFactory("j3o", bound="lp", effort="alternation", improve=False)
    found = plain.solve(library.taskonomy(clients=2, edges=1, droppable=True)).objective_bound
    assert lp == pytest.approx(found)


def test_optimal_where_one_level_is_all_that_there_is():
    """Without links the clients do what they can, and the bound of the whole model says so."""
    data = library.small_example_data()
    model = library.build_model(data, droppable=True)
    for family in (model.client_uplink, model.edge_uplink):
        for row in family.values():
            row.set_value(row.body <= 0)
    local = SolverFactory("j3o.all_local", bound="cuts").solve(model)
    assert local.solution_status == SolutionStatus.optimal
    assert local.incumbent_objective == pytest.approx(optimum(model))
    assert SolverFactory("j3o.all_edge").solve(model).incumbent_objective == pytest.approx(0.0)
