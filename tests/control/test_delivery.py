"""What a plan delivers on other loads: never more than a budget holds, and all of it where there is room."""

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyomo_j3o.control import Delivery
from pyomo_j3o.library import build_model, small_example_data, taskonomy_data

SYSTEMS = {
    "small": small_example_data(),
    "taskonomy": taskonomy_data(clients=4, edges=2, seed=2),
    "windows": taskonomy_data(clients=3, edges=1, seed=2, window=0.5),
}


def solved(data):
    """Return the model of a system, solved for its own loads, its shares, and how they are played."""
    m = build_model(data, droppable=True, mutable=True)
    pyo.SolverFactory("j3o").solve(m)
    shares = np.array([v.value for v in m.route.y.values()])
    return m, shares, Delivery(data, list(m.route.y))


@pytest.fixture(scope="module", params=SYSTEMS)
def case(request):
    """Return one solved system."""
    data = SYSTEMS[request.param]
    return data, *solved(data)


def test_as_planned_everything_is_delivered(case):
    """At the loads that a plan was made for, it delivers its objective, and loses what it drops alone."""
    data, m, shares, delivery = case
    found = delivery.of(data.load, shares)
    assert found.accuracy == pytest.approx(pyo.value(m.mean_accuracy), rel=1e-6)
    served = sum(
        data.load[data.clients.index(h[0]), data.tasks.index(h[1])] * v.value for h, v in m.route.y.items()
    )
    assert found.lost == pytest.approx(1 - served / data.total_load, abs=1e-9)


def test_fewer_queries_are_all_answered(case):
    """A plan that fits its loads fits half of them."""
    data, _, shares, delivery = case
    full, half = delivery.of(data.load, shares), delivery.of(data.load / 2, shares)
    assert half.lost == pytest.approx(full.lost, abs=1e-9)
    assert half.accuracy == pytest.approx(full.accuracy, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(list(SYSTEMS)), seed=st.integers(0, 10_000), spread=st.floats(0, 2))
def test_no_budget_is_exceeded_whatever_the_loads(name, seed, spread):
    """What is answered is a plan for the true loads: every row of the model holds, nothing is made up."""
    data = SYSTEMS[name]
    rng = np.random.default_rng(seed)
    m = build_model(data, droppable=True, mutable=True)
    options = list(m.route.y)
    shares = rng.random(len(options))
    total = {}
    for h, share in zip(options, shares, strict=True):
        total[h[:2]] = total.get(h[:2], 0.0) + share
    shares = np.array([share / total[h[:2]] for h, share in zip(options, shares, strict=True)])
    loads = data.load * rng.lognormal(0, spread, data.load.shape)
    answered = Delivery(data, options).answered(loads, shares)
    for key in m.loads:
        m.loads[key] = loads[data.clients.index(key[0]), data.tasks.index(key[1])]
    for (h, v), number, share in zip(m.route.y.items(), answered, shares, strict=True):
        load = loads[data.clients.index(h[0]), data.tasks.index(h[1])]
        assert 0 <= number <= load * share + 1e-9
        v.set_value(number / load)
    for batch in m.batch.values() if hasattr(m, "batch") else ():
        for key, used in batch.used.items():
            used.set_value(int(pyo.value(batch.arrivals[key]) > 0))
    families = ["demand", "compute", "client_uplink", "edge_uplink"]
    rows = [row for name in families for row in getattr(m, name).values()]
    rows += [batch.capacity for batch in m.batch.values()] if hasattr(m, "batch") else []
    assert rows
    for row in rows:
        assert pyo.value(row.body) <= pyo.value(row.upper) * (1 + 1e-9) + 1e-9, row.name


def test_a_full_budget_cuts_all_that_use_it_alike():
    """Twice the load of a full server: half of its queries are lost, and those elsewhere are not."""
    data = small_example_data()
    m = build_model(data, droppable=True)
    options = list(m.route.y)
    shares = np.zeros(len(options))
    at = {h: k for k, h in enumerate(options)}
    shares[at["robot", "depth", "server", "deep"]] = 1.0  # 3 queries/s of 0.05 s: 0.15 of 0.2
    shares[at["phone", "edges", "phone", "both"]] = 1.0
    loads = data.load.copy()
    loads[1, 1] *= 8 / 3  # 8 queries/s need 0.4
    answered = Delivery(data, options).answered(loads, shares)
    uplink = 1 / 8  # the robot's uplink takes 1 query/s
    assert answered[at["robot", "depth", "server", "deep"]] == pytest.approx(8 * min(0.5, uplink))
    assert answered[at["phone", "edges", "phone", "both"]] == pytest.approx(4)
