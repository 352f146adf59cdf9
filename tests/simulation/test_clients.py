"""Clients' own queues: in closed form, in the headline, and the headroom that keeps them short."""

import math

import numpy as np
import pytest
from test_discrete_events import LARGE, SMALL, one_edge, planned

from pyomo_j3o import library
from pyomo_j3o.library.plan_tables import checked_shares, read_plan
from pyomo_j3o.simulation import discrete_events, simulate
from pyomo_j3o.simulation.headroom import find_headroom, guess_headroom
from pyomo_j3o.simulation.in_turn import in_turn_work
from pyomo_j3o.simulation.serving import InBatches, InTurn


def phones(compute_headroom=0.0, load=100.0):
    """Return a solved model of one phone that drops what its processor has no time for; 2·T_b is 0.2 s."""
    import pyomo.environ as pyo

    data = library.InferenceData(
        name="phones",
        models=["one"],
        memory=[1],
        tasks=["look"],
        query_size=[1],
        accuracy=[[0.8]],
        cloud_accuracy=[math.nan],
        clients=["phone"],
        edges=["edge"],
        edge_of=["edge"],
        load=[[load]],
        service_time=[[0.02], [math.nan]],
        memory_budget=[1, 1],
        compute_budget=[1, 1],
        uplink_budget=[math.inf, math.inf],
        window=[0.1],
    )
    m = library.build_model(data, droppable=True, compute_headroom=compute_headroom)
    pyo.SolverFactory("j3o").solve(m)
    return m


def work_of(model):
    """Return what the phone has to do, in closed form."""
    data, shares = read_plan(model)
    (work,) = in_turn_work(data, checked_shares(shares)).values()
    return work


def test_the_mean_wait_in_closed_form_is_what_is_simulated():
    """Pollaczek and Khinchine; the guess of late queries is near what is seen."""
    model = phones(0.2)
    work = work_of(model)
    assert work.utilisation == pytest.approx(0.8)
    run = simulate(model, horizon=3000)
    assert run.latencies().mean() - 0.02 == pytest.approx(work.mean_wait, rel=0.05)
    assert run.share_late_clients == pytest.approx(work.late() / work.rate.sum(), abs=0.01)
    assert run.share_late == 0  # no query was in a batch
    assert run.share_late_clients == run.share_late_all


def test_headroom_for_clients_is_the_smallest_that_meets_the_target():
    """Without, the phone's queue grows and grows; a step less than what is found is not enough."""
    found = find_headroom(phones, target=0.02, step=0.02, where="clients", horizon=1000)
    assert found.simulation.share_late_clients <= 0.02
    below = round(found.headroom - 0.02, 10)
    assert below in found.simulations
    assert found.simulations[below].share_late_clients > 0.02
    assert found.headroom == pytest.approx(guess_headroom(phones(), 0.02, "clients"), abs=0.05)
    assert "% of the queries on clients late (target 2 %)" in str(found)
    assert guess_headroom(phones(), 0.02) == 0.0  # there is no batch
    assert guess_headroom(phones(), 0.02, "all") == guess_headroom(phones(), 0.02, "clients")
    with pytest.raises(ValueError, match="where='phones': unknown; use 'batches', 'clients', 'all'"):
        find_headroom(phones, where="phones")


def test_the_headline_tells_of_phones_too():
    """Of batches and of clients with windows; without, how long clients take."""
    run = simulate(phones(), horizon=200)
    assert run.headline == f"{100 * run.share_late_clients:.2f} % of those on clients later than two windows"
    assert run.headline in str(run)
    assert run.headline in repr(run)
    batches = simulate(planned(one_edge(), {SMALL: 1}), horizon=20)
    assert "of the queries in batches later" in batches.headline
    no_window = simulate(planned(one_edge(window=None), {SMALL: 1}), horizon=20)
    assert no_window.headline == "no latency of clients"


class StopAt:
    """Ctrl-C when the simulated time has come this far."""

    def __init__(self, seconds):
        self.seconds = seconds

    def say(self, text):
        """Hear how far the simulation is."""
        if text.split()[0][0].isdigit() and float(text.split()[0]) >= self.seconds:
            raise KeyboardInterrupt

    def __enter__(self):
        return self

    def __exit__(self, *error):
        """Let everything pass."""


@pytest.mark.parametrize("model", [lambda: planned(one_edge(), {SMALL: 0.5, LARGE: 0.5}), phones])
def test_ctrl_c_leaves_the_time_that_was_simulated(monkeypatch, model):
    """Every query that counts is answered as it would have been: nothing is left out for being slow."""
    model = model()
    whole = simulate(model, horizon=100, warm_up=5)
    monkeypatch.setattr(discrete_events, "LongCall", lambda name, tee: StopAt(50))
    cut = simulate(model, horizon=100, warm_up=5)
    assert cut.interrupted
    assert 5 < cut.horizon <= 50
    before = whole.queries.arrival < cut.horizon
    assert np.array_equal(cut.queries.arrival, whole.queries.arrival[before])
    assert np.array_equal(cut.queries.latency, whole.queries.latency[before], equal_nan=True)
    for edge, windows in cut.windows.items():
        n = len(windows.end)
        assert np.array_equal(windows.backlog, whole.windows[edge].backlog[:n])
        assert np.array_equal(windows.work, whole.windows[edge].work[:n])
    assert "Ctrl-C ended the simulation there" in str(cut)
    assert not whole.interrupted
    with pytest.raises(KeyboardInterrupt):
        simulate(model, horizon=100, warm_up=60)


def test_answered_until_is_before_the_first_query_without_an_answer():
    """Whatever serves, and wherever it stops."""
    import simpy

    from pyomo_j3o.simulation.serving import Batches

    arrival = np.sort(np.random.default_rng(0).uniform(0, 10, 40))
    for at in (0.0, 3.3, 7.0, 100.0):
        env = simpy.Environment()
        batches = Batches.of(arrival, np.zeros(40, dtype=int), 0.5, 10.0)
        servers = [
            InTurn(arrival, np.full(40, 0.3), 1.0),
            InBatches(batches, np.full(len(batches.size), 0.7)),
        ]
        for server in servers:
            env.process(server.serve(env))
        if at:
            env.run(until=at)
        for server in servers:
            counted = arrival < min(server.answered_until, at)
            assert np.all(server.answered[counted] <= at)
            assert np.all(server.answered[counted] > arrival[counted])
