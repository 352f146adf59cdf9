"""A limit of the mean latency: it binds where Pollaczek and Khinchine say so, and simulated plans keep it."""

import math
from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyomo_j3o import library
from pyomo_j3o.library.plan_tables import checked_shares, read_plan
from pyomo_j3o.simulation import simulate
from pyomo_j3o.simulation.in_turn import in_turn_work


def phone(load=60.0, **fields):
    """Return a phone with two models for one task, and an edge server that can do nothing."""
    data = library.InferenceData(
        name="phone",
        models=["small", "large"],
        memory=[1, 1],
        tasks=["look"],
        query_size=[1],
        accuracy=[[0.6], [0.9]],
        cloud_accuracy=[math.nan],
        clients=["phone"],
        edges=["edge"],
        edge_of=["edge"],
        load=[[load]],
        service_time=[[0.01, 0.04], [math.nan, math.nan]],
        memory_budget=[2, 0],
        compute_budget=[1, 1],
        uplink_budget=[math.inf, math.inf],
    )
    return replace(data, **fields)


def solved(data, **options):
    """Return the solved model."""
    m = library.build_model(data, **options)
    pyo.SolverFactory("j3o").solve(m, rel_gap=1e-6)
    return m


@pytest.mark.parametrize("form", ["linear", "product"])
@pytest.mark.parametrize("compute", [1.0, 0.5])
def test_one_model_is_an_m_d_1_queue(form, compute):
    """As many queries are answered as let a query wait for L - s: λ (s + s²/(2 w)) = 1."""
    data = phone(load=200.0, memory_budget=[1, 0], accuracy=[[0.9], [0.0]], compute_budget=[compute, 1])
    m = solved(data, droppable=True, latency_limit=0.05, form=form)
    s = 0.01 / compute
    rate = 1 / (s + s * s / (2 * (0.05 - s)))
    assert pyo.value(m.mean_accuracy) == pytest.approx(0.9 * rate / 200, rel=1e-5)
    _, shares = read_plan(m)
    assert in_turn_work(data, checked_shares(shares))["phone"].mean_wait == pytest.approx(0.05 - s, rel=1e-4)


@st.composite
def systems(draw):
    """Draw two clients with two tasks, and models of which some do both."""
    times = st.sampled_from([0.01, 0.02, 0.05, 0.1])
    models = 4
    return library.InferenceData(
        name="drawn",
        models=[f"m{k}" for k in range(models)],
        memory=[draw(st.integers(1, 3)) for _ in range(models)],
        tasks=["a", "b"],
        query_size=[1, 1],
        accuracy=[
            [0.5, draw(st.sampled_from([math.nan, 0.6]))],
            [0.7, math.nan],
            [math.nan, 0.8],
            [0.9, 0.9],
        ],
        cloud_accuracy=[draw(st.sampled_from([math.nan, 0.4])), math.nan],
        clients=["one", "two"],
        edges=["edge"],
        edge_of=["edge", "edge"],
        load=[[draw(st.sampled_from([2.0, 8.0, 20.0])) for _ in range(2)] for _ in range(2)],
        service_time=[[draw(times) for _ in range(models)] for _ in range(3)],
        memory_budget=[3, 4, 5],
        compute_budget=[1.0, 0.5, 2.0],
        uplink_budget=[draw(st.sampled_from([5.0, 30.0])), 10.0, 5.0],
    )


@settings(deadline=None, max_examples=12)
@given(
    data=systems(),
    limit=st.sampled_from([0.06, 0.15, {"a": 0.08}, {"a": 0.12, "b": 0.4}]),
    form=st.sampled_from(["linear", "product"]),
)
def test_every_option_in_use_keeps_its_limit(data, limit, form):
    """The wait of its node and its own time together; a looser limit never costs accuracy."""
    m = solved(data, droppable=True, latency_limit=limit, form=form)
    _, shares = read_plan(m)
    shares = checked_shares(shares)
    work = in_turn_work(data, shares)
    beta = dict(zip(data.nodes, data.compute_budget, strict=True))
    limits = limit if isinstance(limit, dict) else dict.fromkeys(data.tasks, limit)
    for (_, task, node, model), share in shares.items():
        if node != "cloud" and task in limits and share > 1e-5:
            n, k = data.nodes.index(node), data.models.index(model)
            own = data.service_time[n, k] / beta[node]
            assert work[node].mean_wait + own <= limits[task] * (1 + 1e-4)
    looser = {task: 2 * seconds for task, seconds in limits.items()}
    free = solved(data, droppable=True, latency_limit=looser)
    assert pyo.value(free.mean_accuracy) >= pyo.value(m.mean_accuracy) - 1e-5


def test_the_simulated_mean_keeps_the_limit_on_every_seed():
    """Two models on one phone, M/G/1, and the limit binds: the mean of each is within it."""
    data = phone(load=45.0)
    m = solved(data, droppable=True, latency_limit=0.1)
    _, shares = read_plan(m)
    (work,) = in_turn_work(data, checked_shares(shares)).values()
    assert len(work.rate) == 2
    assert work.mean_wait == pytest.approx(0.06, rel=1e-3)
    means = []
    for seed in range(5):
        run = simulate(m, horizon=1500, seed=seed)
        for model, seconds in enumerate((0.01, 0.04)):
            latency = run.queries.latency[run.queries.model == model]
            assert latency.mean() <= 0.1 * 1.1
            means.append(latency.mean() - seconds)
    # Both models wait alike: arrivals see what the time average is.
    assert np.mean(means) == pytest.approx(0.06, rel=0.05)


def test_models_that_are_too_slow_by_themselves_are_left_out():
    """The large model takes 40 ms: with a limit of 30 ms there is no variable for it."""
    m = library.build_model(phone(), droppable=True, latency_limit=0.03)
    assert set(m.place.x) == {("phone", "small")}
    assert set(m.latency) == {("phone", "small", "look")}
    with pytest.raises(ValueError, match="or a longer window or latency_limit"):
        library.build_model(phone(), latency_limit=0.005)


def test_a_window_promises_two_windows():
    """A task with a shorter limit does not run there; other tasks do, and there is no row."""
    data = phone(
        service_time=[[math.nan, math.nan], [0.001, 0.002]],
        memory_budget=[0, 2],
        window=[0.1],
        setup_time=[[0.005, 0.01]],
    )
    held = library.build_model(data, droppable=True, latency_limit=0.2)
    assert len(held.place.x) == 2
    assert not len(held.latency)
    assert not len(library.build_model(data, droppable=True, latency_limit=0.19).place.x)


def test_limits_are_checked():
    """Seconds above 0 for tasks that there are; inf is no limit."""
    data = phone()
    for limit in (0, -1.0, math.nan, True, "soon"):
        with pytest.raises(ValueError, match=r"latency_limit\['look'\]: .*; give seconds above 0"):
            library.build_model(data, droppable=True, latency_limit=limit)
    with pytest.raises(ValueError, match=r"latency_limit\['smell'\]: unknown task; the tasks are 'look'"):
        library.build_model(data, droppable=True, latency_limit={"smell": 1.0})
    assert library.build_model(data, droppable=True, latency_limit=math.inf).component("latency") is None


def test_mutable_loads_stand_in_the_rows():
    """Other loads, solved again, are another model's plan."""
    data = phone(load=45.0)
    m = library.build_model(data, droppable=True, latency_limit=0.1, mutable=True)
    m.loads["phone", "look"] = 30.0
    pyo.SolverFactory("j3o").solve(m, rel_gap=1e-6)
    fresh = solved(phone(load=30.0), droppable=True, latency_limit=0.1)
    assert pyo.value(m.mean_accuracy) == pytest.approx(pyo.value(fresh.mean_accuracy), rel=1e-5)


def test_compute_headroom_keeps_a_part_of_processors_free():
    """Of clients and of edge servers that run queries one by one, not of windows."""
    m = solved(phone(load=200.0, memory_budget=[1, 0]), droppable=True, compute_headroom=0.25)
    assert pyo.value(m.compute["phone"].body) == pytest.approx(0.75)
    assert m.compute["phone"].ub == 0.75
    for wrong in (-0.1, 1.0, math.nan, True):
        with pytest.raises(ValueError, match=r"compute_headroom=.*from 0 to below 1"):
            library.build_model(phone(), droppable=True, compute_headroom=wrong)


@pytest.mark.parametrize("limit", [1e10, 1e300, math.inf])
def test_a_limit_of_ages_is_none(limit):
    """It adds no row, and the model is the one without."""
    m = library.build_model(phone(), droppable=True, latency_limit=limit)
    assert m.component("latency") is None or not len(m.latency)
    results = pyo.SolverFactory("j3o").solve(m)
    free = library.build_model(phone(), droppable=True)
    without = pyo.SolverFactory("j3o").solve(free)
    assert results.j3o.incumbent_objective == pytest.approx(without.j3o.incumbent_objective)
