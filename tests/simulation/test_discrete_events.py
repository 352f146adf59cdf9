"""Simulated plans: every query is accounted for, queues obey queueing theory, and full windows are late."""

from __future__ import annotations

import contextlib
import math
import signal
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pyomo_j3o.library import InferenceData, build_model, small_example
from pyomo_j3o.simulation import MMPP, Poisson, Recorded, simulate
from pyomo_j3o.simulation.headroom import _mean_backlog, _share_late, _smallest, find_headroom, guess_headroom
from pyomo_j3o.simulation.window_work import window_work

nan = math.nan

#: Requests per minute of a code completion service: minutes 3 to 11 of AzureLLMInferenceTrace_code.csv,
#: github.com/Azure/AzurePublicDataset, commit b469a113cedca53ddc3bdea71a143dc4b7d8700c (CC-BY 4.0).
REQUESTS_PER_MINUTE = (531, 187, 130, 15, 42, 38, 476, 421, 63)


def one_edge(window: float | None = 0.5, **fields) -> InferenceData:
    """Return one camera on one edge server, which holds ``small`` and ``large``; 40 queries/s of one task.

    A batch of b queries of ``small`` takes 0.02 + 0.01 b s.
    """
    values = {
        "name": "one edge",
        "models": ("small", "large"),
        "memory": [1, 2],
        "tasks": ("classify",),
        "query_size": [1],
        "accuracy": [[0.7], [0.9]],
        "cloud_accuracy": [0.95],
        "clients": ("camera",),
        "edges": ("server",),
        "edge_of": ("server",),
        "load": [[40.0]],
        "service_time": [[0.02, nan], [0.01, 0.03]],
        "memory_budget": [1, 3],
        "compute_budget": [1, 1],
        "uplink_budget": [100, 100],
        "window": window,
        "setup_time": None if window is None else [[0.02, 0.05]],
    }
    return InferenceData(**(values | fields))


SMALL = ("camera", "classify", "server", "small")
LARGE = ("camera", "classify", "server", "large")
LOCAL = ("camera", "classify", "camera", "small")
CLOUD = ("camera", "classify", "cloud", "cloud")


def planned(data: InferenceData, shares: dict):
    """Return the library's model with these shares as the values of y, and 0 elsewhere."""
    model = build_model(data, droppable=True)
    for variable in (*model.place.x.values(), *model.route.y.values()):
        variable.set_value(0)
    for option, share in shares.items():
        model.route.y[option].set_value(share)
    return model


def at(*times):
    """Return an arrival process whose queries come at these times, whatever the rate."""
    return lambda rate, horizon, rng: np.array(times, dtype=float)


def evenly(rate, horizon, rng):
    """Return times at equal distances: an arrival process without randomness."""
    return np.arange(0.5, rate * horizon) / rate


# Arrival processes


@pytest.mark.parametrize(
    "arrivals",
    [Poisson(), MMPP(peak=3, burst=2, calm=6), Recorded(REQUESTS_PER_MINUTE, interval=10)],
    ids=lambda p: type(p).__name__,
)
def test_arrivals_have_the_planned_mean_rate(arrivals):
    """In ascending order, within the horizon, at 20 queries/s on the average of a long time."""
    horizon = 9000
    times = arrivals(20.0, horizon, np.random.default_rng(1))
    assert len(times) == pytest.approx(20 * horizon, rel=0.02)
    assert (np.diff(times) >= 0).all()
    assert times[0] >= 0
    assert times[-1] < horizon


def test_bursts_spread_the_counts():
    """The variance of counts per second is their mean for a Poisson process, and far more with bursts."""

    def dispersion(arrivals):
        times = arrivals(20.0, 5000, np.random.default_rng(2))
        counts = np.bincount(times.astype(int), minlength=5000)
        return counts.var() / counts.mean()

    assert dispersion(Poisson()) == pytest.approx(1, abs=0.1)
    assert dispersion(MMPP(peak=3, burst=5, calm=15)) > 10


def test_a_burst_at_its_highest_leaves_silence():
    """With peak = 1 + calm/burst no query comes in between."""
    times = MMPP(peak=4, burst=5, calm=15)(20.0, 5000, np.random.default_rng(3))
    assert len(times) == pytest.approx(100_000, rel=0.1)
    assert np.diff(times).max() > 10


def test_recorded_follows_its_counts():
    """Each interval has its share of the queries; an interval without any stays empty; then it repeats."""
    times = Recorded([3, 0, 1], interval=100)(50.0, 600, np.random.default_rng(4))
    counts = np.histogram(times, bins=np.arange(0, 601, 100))[0]
    assert counts[[1, 4]].tolist() == [0, 0]
    # 50 queries/s · 100 s · 3 / mean(3, 0, 1)
    assert counts[[0, 3]] == pytest.approx([11_250, 11_250], rel=0.05)
    assert counts[[2, 5]] == pytest.approx([3750, 3750], rel=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MMPP(burst=0), "burst=0: give a mean duration"),
        (lambda: MMPP(peak=5, burst=5, calm=15), "give a factor from 1 to 4"),
        (lambda: Recorded([]), "counts: give one number"),
        (lambda: Recorded([0, 0]), "nothing but zeros"),
        (lambda: Recorded([1, -1]), "negative"),
        (lambda: Recorded([1], interval=0), "interval=0: give a length"),
        (lambda: Recorded([1], interval="a"), "interval='a': give a length"),
        (lambda: Recorded(["a"]), "counts: no numbers .*give one number"),
        (lambda: MMPP(peak="a"), "peak='a'.*give a factor"),
        (lambda: MMPP(calm=None), "calm=None: give a mean duration"),
    ],
)
def test_arrival_processes_refuse_what_they_cannot_be(make, message):
    """The message says what to give instead."""
    with pytest.raises(ValueError, match=message):
        make()


# What happens to queries


def test_every_query_is_accounted_for():
    """Client, edge, cloud and drops share the arrivals as planned, and the accuracy is what they give."""
    model = planned(one_edge(), {SMALL: 0.2, LARGE: 0.1, LOCAL: 0.3, CLOUD: 0.25})
    run = simulate(model, horizon=500, seed=5)
    (row,) = [row for row in run.task_table() if row["task"] == "all"]
    assert row["queries"] == len(run.queries) == pytest.approx(20_000, rel=0.03)
    for level, share in (("client", 0.3), ("edge", 0.3), ("cloud", 0.25), ("dropped", 0.15)):
        assert row[level] == pytest.approx(share, abs=0.02)
    assert sum(row[level] for level in ("client", "edge", "cloud", "dropped")) == pytest.approx(1)
    assert run.planned_accuracy == pytest.approx(0.2 * 0.7 + 0.1 * 0.9 + 0.3 * 0.7 + 0.25 * 0.95)
    assert run.accuracy == pytest.approx(run.planned_accuracy, abs=0.01)
    has_latency = np.isfinite(run.queries.latency)
    assert has_latency.mean() == pytest.approx(row["client"] + row["edge"])
    assert len(run.latencies()) == len(run.latencies(level="client")) + len(run.latencies(level="edge"))


def test_a_lone_query_waits_for_its_window_and_its_batch():
    """It comes at 0.7 s, runs from 1.0 s on, and half a processor needs (0.02 + 0.01)/0.5 s."""
    run = simulate(planned(one_edge(compute_budget=[1, 0.5]), {SMALL: 1}), at(0.7), horizon=2)
    assert run.latencies() == pytest.approx([0.3 + 0.06])


def test_batches_of_a_window_run_one_after_another():
    """Two models have a batch each; the second starts when the first is done."""
    # The stream's random numbers decide which of the many queries takes which model.
    run = simulate(planned(one_edge(), {SMALL: 0.5, LARGE: 0.5}), at(*[0.1] * 20), horizon=1)
    small, large = ((run.queries.model == m).sum() for m in (0, 1))
    assert small + large == 20
    done = 0.4 + 0.02 + 0.01 * small
    assert run.queries.latency[run.queries.model == 0] == pytest.approx(done)
    assert run.queries.latency[run.queries.model == 1] == pytest.approx(done + 0.05 + 0.03 * large)


def test_work_that_is_left_delays_the_next_window():
    """98 queries take 1 s: two windows. A query of the next window waits for what is left of them."""
    run = simulate(planned(one_edge(), {SMALL: 1}), at(*[0.1] * 98, 0.6), horizon=2)
    assert run.windows["server"].work == pytest.approx([1, 0.03, 0, 0])
    assert run.windows["server"].backlog == pytest.approx([0, 0.5, 0.03, 0])
    assert run.latencies()[-1] == pytest.approx(0.4 + 0.5 + 0.03)
    assert run.windows["server"].share_over == 0.25


def test_light_load_is_never_late():
    """Evenly spaced queries that fill half of each window are answered within two windows, all of them."""
    run = simulate(planned(one_edge(), {SMALL: 1}), evenly, horizon=100)
    assert run.windows["server"].work == pytest.approx(0.02 + 0.01 * 20)
    assert run.latencies().max() <= 1.0
    assert run.share_late == run.share_late_all == 0
    assert run.timely_accuracy == run.timely_accuracy_all == run.accuracy == pytest.approx(0.7)
    assert run.windows["server"].verdict == "stable"


def test_overload_grows_and_is_said_to():
    """At utilisation 1.24 each second adds 0.24 s of backlog, and in the end every answer is late."""
    run = simulate(planned(one_edge(load=[[120]]), {SMALL: 1}), horizon=200, seed=1)
    windows = run.windows["server"]
    assert windows.utilisation == pytest.approx(1.24, abs=0.02)
    assert windows.slope == pytest.approx(0.24, abs=0.02)
    assert windows.verdict == "grows"
    assert "grows" in str(run)
    assert f"{len(run.queries)} queries" in repr(run)
    assert run.share_late > 0.95
    assert run.timely_accuracy < 0.05


def test_a_window_filled_exactly_is_critical_and_few_windows_say_nothing():
    """Without randomness the backlog stays 0, but there is no room for any."""
    model = planned(one_edge(load=[[96]]), {SMALL: 1})
    assert simulate(model, evenly, horizon=100).windows["server"].verdict == "critical"
    assert simulate(model, evenly, horizon=9).windows["server"].verdict == "too short"


def test_backlog_of_a_full_window_grows_like_the_square_root_of_time():
    """A random walk with steps of standard deviation τ·√q, reflected at 0, is at √(2n/π) of them after n."""
    data = one_edge(load=[[8]], service_time=[[0.02, nan], [0.125, nan]], setup_time=[[0, 0]])
    model = planned(data, {SMALL: 1})
    for n in (100, 400):
        last = [simulate(model, horizon=0.5 * n, seed=s).windows["server"].backlog[-1] for s in range(100)]
        assert np.mean(last) == pytest.approx(0.125 * 2 * math.sqrt(2 * n / math.pi), rel=0.25)


def test_a_client_is_an_m_d_1_queue():
    """Mean wait ρ·s/(2(1-ρ)) for service times of s (Pollaczek and Khinchine)."""
    data = one_edge(load=[[10]], service_time=[[0.02, nan], [0.01, 0.03]], compute_budget=[0.25, 1])
    run = simulate(planned(data, {LOCAL: 1}), horizon=12_000, warm_up=100, seed=6)
    service, rho = 0.08, 0.8
    (row,) = run.node_table()
    assert row["mean"] == pytest.approx(service + rho * service / (2 * (1 - rho)), rel=0.05)


def test_an_edge_server_without_window_serves_in_turn():
    """A window of inf is none: no deadline, and no window to report."""
    for window in (None, math.inf):
        run = simulate(planned(one_edge(window), {LARGE: 1}), at(0.0, 0.01), horizon=1)
        assert run.latencies() == pytest.approx([0.03, 0.05])
        assert run.windows == {}
        assert run.share_late == 0


def test_without_a_compute_limit_nobody_waits():
    """Every query takes its service time."""
    data = one_edge(compute_budget=[math.inf, 1])
    run = simulate(planned(data, {LOCAL: 1}), at(0, 0, 0), horizon=1)
    assert run.latencies() == pytest.approx([0.02] * 3)


def test_uncounted_time_is_simulated():
    """Queries and windows before the warm-up ends are left out; what they leave behind is not."""
    run = simulate(planned(one_edge(), {SMALL: 1}), at(*[0.1] * 98, 0.6), horizon=2, warm_up=0.5)
    assert len(run.queries) == 1
    assert run.windows["server"].backlog == pytest.approx([0.5, 0.03, 0])
    assert run.latencies() == pytest.approx([0.93])


# Errors of the plan


@pytest.mark.parametrize("error", [0.5, -0.5])
def test_a_wrong_set_up_time_moves_the_work_of_each_batch_by_as_much(error):
    """On half a processor by ν·error/0.5, in every window that has a batch."""
    model = planned(one_edge(load=[[4]], compute_budget=[1, 0.5]), {SMALL: 1})
    right, wrong = (simulate(model, horizon=100, setup_error=e).windows["server"] for e in (0, error))
    busy = right.work > 0
    assert 0 < busy.sum() < len(busy)
    assert (wrong.work - right.work)[busy] == pytest.approx(0.02 * error / 0.5)
    assert (wrong.work[~busy] == 0).all()
    assert right.planned == wrong.planned == pytest.approx((0.02 + 0.01 * 2) / 0.5)


def test_measured_latencies_replace_the_line():
    """Points are interpolated, level below the first and on the last line beyond; a function is called."""
    model = planned(one_edge(compute_budget=[1, 0.5]), {SMALL: 1})
    points = {2: 0.0145, 4: 0.0205, 8: 0.0287}
    for size, seconds in ((1, 0.0145), (2, 0.0145), (3, 0.0175), (8, 0.0287), (10, 0.0328)):
        for latency in ({"small": points}, {"small": lambda b, s=seconds: s}, lambda e, m, b, s=seconds: s):
            run = simulate(model, at(*[0.0] * size), horizon=1, latency=latency)
            assert run.windows["server"].work[0] == pytest.approx(seconds / 0.5)
    # A model without measurements keeps its line.
    run = simulate(planned(one_edge(), {LARGE: 1}), at(0.0), horizon=1, latency={"small": points})
    assert run.windows["server"].work[0] == pytest.approx(0.08)


# Seeds and order


def test_the_same_seed_gives_the_same_answer():
    """And another seed another one."""
    model = planned(one_edge(), {SMALL: 0.5, LOCAL: 0.5})
    for arrivals in (Poisson(), MMPP(), Recorded(REQUESTS_PER_MINUTE)):
        first, again, other = (simulate(model, arrivals, horizon=60, seed=s) for s in (7, 7, 8))
        assert str(first) == str(again) != str(other)
        np.testing.assert_array_equal(first.queries.latency, again.queries.latency)


def test_the_order_of_the_plan_does_not_matter():
    """A plan is read in the order of the data."""
    shares = {SMALL: 0.3, LARGE: 0.1, LOCAL: 0.3, CLOUD: 0.2}
    runs = []
    for items in (list(shares.items()), list(shares.items())[::-1]):
        variables = {option: SimpleNamespace(value=share) for option, share in items}
        model = SimpleNamespace(
            name="plan",
            data=one_edge(),
            place=SimpleNamespace(x={}),
            route=SimpleNamespace(y=variables),
            component=lambda name: name,
        )
        runs.append(simulate(model, horizon=60))
    assert str(runs[0]) == str(runs[1])


def test_plans_of_one_system_see_the_same_queries():
    """So that what differs between two plans is the plans."""
    one, other = (simulate(planned(one_edge(), {h: 0.5}), horizon=60) for h in (SMALL, LOCAL))
    np.testing.assert_array_equal(one.queries.arrival, other.queries.arrival)


# Headroom


def fill(headroom: float):
    """Return the best plan for 120 queries/s: as many as the window has room for, the rest dropped."""
    room = (0.5 * (1 - headroom) - 0.02) / 0.01
    return planned(one_edge(load=[[120]]), {SMALL: min(1, room / 60)})


def test_work_in_closed_form_is_what_is_simulated():
    """Mean and standard deviation, also where batches are often empty."""
    for rate in (1, 4, 40):
        data = one_edge(load=[[rate]], compute_budget=[1, 0.8])
        model = planned(data, {SMALL: 0.7, LARGE: 0.3})
        work = window_work(data, {h: v.value for h, v in model.route.y.items()})["server"]
        windows = simulate(model, horizon=8000, seed=9).windows["server"]
        assert work.planned == windows.planned
        assert work.mean == pytest.approx(windows.work.mean(), rel=0.02)
        assert work.sd == pytest.approx(windows.work.std(), rel=0.03)


def test_mean_backlog_in_closed_form_is_what_is_simulated():
    """Spitzer's sum, with 45 queries in a batch; where it would be long its limit joins on."""
    data = one_edge(load=[[90]])
    work = window_work(data, {SMALL: 1.0})["server"]
    backlog = simulate(planned(data, {SMALL: 1}), horizon=8000, seed=2).windows["server"].backlog
    assert _mean_backlog(work.mean, work.sd, work.length) == pytest.approx(backlog.mean(), rel=0.1)
    series, limit = (_mean_backlog(1 - slack, 1.0, 1.0) for slack in (0.0101, 0.0099))
    assert limit == pytest.approx(series, rel=0.05)
    assert _mean_backlog(1.0, 0.1, 1.0) == math.inf
    assert _mean_backlog(0.5, 0.0, 1.0) == 0


def test_headroom_is_the_smallest_that_meets_the_target():
    """Without it most queries of a full window are late; a step less than found is not enough."""
    found = find_headroom(fill, target=0.01, horizon=300, seed=3)
    late = {row["headroom"]: row["late"] for row in found.table}
    assert late[0.0] > 0.3
    assert late[found.headroom] <= 0.01 < late[round(found.headroom - 0.01, 10)]
    assert found.simulation.share_late == late[found.headroom]
    assert len(late) <= 9
    assert found.headroom == pytest.approx(guess_headroom(fill(0.0)), abs=0.1)
    costs = {row["headroom"]: row["cost"] for row in found.table}
    # Each part of the window that is kept free drops 0.5/0.01 of the 60 queries, at an accuracy of 0.7.
    assert costs[found.headroom] == pytest.approx(0.7 * found.headroom * 50 / 60)
    assert f"headroom {found.headroom:g}" in str(found)


def test_a_plan_with_room_needs_no_headroom():
    """One solve is enough."""
    model = planned(one_edge(), {SMALL: 1})
    assert guess_headroom(model) == 0
    found = find_headroom(lambda headroom: model, horizon=60)
    assert found.headroom == 0
    assert len(found.table) == 1


def test_the_search_finds_the_threshold_from_any_guess():
    """In 2·log₂(last) + 2 probes at most, none of them twice."""
    for last in (1, 2, 13, 60):
        for threshold in range(1, last + 2):
            for guess in range(1, last + 1):
                probes: list[int] = []

                def meets(k, probes=probes, threshold=threshold):
                    probes.append(k)
                    return k >= threshold

                assert _smallest(meets, guess, last) == threshold
                assert len(set(probes)) == len(probes) <= 2 * math.log2(last) + 2


def test_a_target_out_of_reach_is_an_error():
    """It says what the share is, and what could help."""
    overloaded = planned(one_edge(load=[[120]]), {SMALL: 1})
    with pytest.raises(ValueError, match=r"highest=0.6: even with this headroom .* % .* more compute"):
        find_headroom(lambda headroom: overloaded, horizon=30)


@pytest.mark.parametrize("name", ["target", "step", "highest"])
@pytest.mark.parametrize("number", [0, -1, 1, 2, nan, math.inf, "a", None])
def test_headroom_refuses_numbers_out_of_range(name, number):
    """Before anything is solved."""
    with pytest.raises(ValueError, match=f"{name}={number!r}"):
        find_headroom(lambda headroom: pytest.fail("solved"), **{name: number})
    if name == "target":
        with pytest.raises(ValueError, match=f"target={number!r}"):
            guess_headroom(planned(one_edge(), {SMALL: 1}), number)


@pytest.mark.parametrize(
    ("load", "setup", "per_query", "shares", "above"),
    [
        (90, [0.02, 0.02], [0.01, 0.03], {SMALL: 1}, 0.02),  # batches of 45
        (6, [0.1, 0.1], [0.05, 0.1], {SMALL: 0.5, LARGE: 0.5}, 0.07),  # of 1.5, of two models
        (0.4, [0.3, 0.1], [0.25, 0.1], {SMALL: 1}, 0.02),  # of 0.2; one query takes longer than the window
    ],
)
def test_the_share_late_in_closed_form_is_what_is_simulated(load, setup, per_query, shares, above):
    """Also where a query is late for its own work; of two models it is too large, as one is done sooner."""
    times = [[0.02, nan], per_query]
    model = planned(one_edge(load=[[load]], setup_time=[setup], service_time=times), shares)
    work = window_work(model.data, shares)["server"]
    late = simulate(model, horizon=200_000 / load, seed=4).share_late
    assert late > 0.1
    assert late - 0.02 < _share_late(work, 1 - work.planned / work.length) < late + above


def test_a_set_up_that_fills_the_window_leaves_no_room_for_a_query():
    """The guess says how much headroom takes such a model out; without a set-up none will do."""
    data = one_edge(load=[[0.2]], setup_time=[[0.475, 0.05]], service_time=[[0.02, nan], [0.2, 0.6]])
    model = planned(data, {SMALL: 1})
    assert simulate(model, horizon=5000).share_late > 0.3
    assert guess_headroom(model) == pytest.approx(0.05, abs=1e-3)
    data = one_edge(load=[[0.2]], setup_time=[[0, 0]], service_time=[[0.02, nan], [0.7, 0.6]])
    assert guess_headroom(planned(data, {SMALL: 1})) == 1


# Bad input


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"horizon": 0}, "horizon=0: give the simulated time"),
        ({"horizon": -1}, "horizon=-1"),
        ({"horizon": math.inf}, "horizon=inf"),
        ({"warm_up": 600}, "warm_up=600: give seconds from 0 to below the horizon of 600 s"),
        ({"setup_error": -2}, "setup_error=-2: give the relative error"),
        ({"latency": {"smal": {1: 1, 2: 2}}}, r"latency\['smal'\]: unknown model; known are small, large"),
        ({"latency": {"small": {1: 1}}}, r"latency\['small'\]: give the seconds"),
        ({"latency": {"small": {1: 1, 2: -1}}}, r"latency\['small'\]: give the seconds"),
        ({"latency": {"small": lambda b: nan}}, "latency of 'small' on 'server': nan"),
        ({"latency": {}, "setup_error": 0.5}, "give one of the two"),
        ({"arrivals": at(1000)}, "arrivals: a query at 1000 s"),
        *(({"horizon": h}, f"horizon={h!r}: give the simulated time") for h in ("a", None, True)),
        ({"warm_up": "a"}, "warm_up='a': give seconds"),
        ({"setup_error": None}, "setup_error=None: give the relative error"),
        *(({"seed": s}, f"seed={s!r}: give a whole number") for s in (-1, 1.5, None, "a", True)),
        ({"latency": 5}, "latency=5: give for some models, by name, measured points"),
        *(
            ({"latency": {"small": table}}, r"latency\['small'\]: give the seconds")
            for table in ({}, None, 5, {"a": 1, "b": 2}, {1: "a", 2: 1}, {1: 1, math.inf: 2})
        ),
        *(
            ({"latency": {"small": lambda b, s=s: s}}, f"latency of 'small' on 'server': {s!r} for a batch")
            for s in (None, "a", math.inf)
        ),
        *(
            (
                {"arrivals": lambda *_, drawn=drawn: drawn},
                r"arrivals: what was returned \(.*\) is no flat list.*return an array",
            )
            for drawn in (None, 3.0, ["a"], np.ones((2, 2)))
        ),
        *(
            ({"arrivals": a}, "arrivals=.*: no arrival process; give one like Poisson")
            for a in (Poisson, 5, [])
        ),
    ],
)
def test_bad_numbers_are_named(settings, message):
    """With what to give instead."""
    with pytest.raises(ValueError, match=message):
        simulate(planned(one_edge(), {SMALL: 1}), **settings)


def test_a_model_without_a_plan_is_refused():
    """It has to be solved, and to be one of the library's."""
    with pytest.raises(ValueError, match="solve the model first"):
        simulate(small_example())
    with pytest.raises(ValueError, match=r"build it with pyomo_j3o\.library\.build_model"):
        simulate(SimpleNamespace(name="no model"))
    with pytest.raises(ValueError, match=r"None: not a model.*build it with"):
        simulate(None)


@pytest.mark.parametrize("look", [simulate, guess_headroom])
@pytest.mark.parametrize(
    ("shares", "message"),
    [
        (
            {SMALL: -0.1},
            r"route.y\[camera,classify,server,small\]: -0.1 is no share of queries.*solve",
        ),
        ({SMALL: nan}, "nan is no share"),
        ({SMALL: 1.1}, "1.1 is no share"),
        (
            {SMALL: 0.6, LARGE: 0.4001},
            r"route.y\[camera,classify,:,:\]: shares add up to 1.0001.*solve",
        ),
    ],
)
def test_values_that_are_no_plan_are_refused(look, shares, message):
    """Queries cannot be answered twice, or less than never."""
    model = planned(one_edge(), {})
    for option, share in shares.items():
        model.route.y[option].set_value(share, skip_validation=True)
    with pytest.raises(ValueError, match=message):
        look(model)


def test_a_solvers_tolerance_is_no_mistake():
    """Shares may add up to a little more than 1, and lie a little below 0."""
    model = planned(one_edge(), {SMALL: 0.6, LARGE: 0.4 + 5e-7})
    model.route.y[LOCAL].set_value(-1e-7, skip_validation=True)
    assert not (simulate(model, horizon=20).queries.level == 3).any()


def test_a_node_without_compute_cannot_be_sent_queries():
    """A plan for other budgets is one way to get there."""
    model = planned(one_edge(), {LOCAL: 1})
    model.data = replace(model.data, compute_budget=np.array([0, 1]))
    with pytest.raises(ValueError, match=r"compute_budget\['camera'\]: 0, but the plan sends queries there"):
        simulate(model)


def test_latencies_are_asked_for_by_known_names():
    """The cloud has none."""
    run = simulate(planned(one_edge(), {SMALL: 1}), horizon=5)
    for given in ({"task": "fly"}, {"level": "cloud"}):
        with pytest.raises(ValueError, match=r"unknown|has no latencies"):
            run.latencies(**given)


def test_without_simpy_the_extra_is_named(monkeypatch):
    """Importing the module needs none."""
    monkeypatch.setitem(sys.modules, "simpy", None)
    with pytest.raises(ImportError, match="pip install simpy"):
        simulate(planned(one_edge(), {SMALL: 1}))


@pytest.fixture
def python_s_ctrl_c():
    """Give Ctrl-C what it does in a program of one's own: a test run in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, signal.default_int_handler if before is None else before)


def test_ctrl_c_in_a_solve_ends_the_search_for_a_headroom(python_s_ctrl_c):
    """Also where the solver takes Ctrl-C and returns what it has; afterwards Ctrl-C is what it was."""
    calls = []

    def solve(headroom):
        calls.append(headroom)
        if len(calls) == 2:
            with contextlib.suppress(KeyboardInterrupt):  # as j3o does
                signal.raise_signal(signal.SIGINT)
        return fill(headroom)

    found = find_headroom(solve, target=0.01, horizon=300, seed=3)
    assert len(calls) == 2
    assert found.interrupted
    assert math.isnan(found.headroom)
    assert list(found.simulations) == [0.0]
    assert str(found).startswith("Ctrl-C ended the search: no headroom tried by then meets the target 1 %")
    with pytest.raises(ValueError, match="see `simulations`"):
        assert found.simulation
    calls[:] = [0.0]
    with pytest.raises(KeyboardInterrupt):  # nothing was found by then
        find_headroom(solve, target=0.01, horizon=300, seed=3)
    assert signal.getsignal(signal.SIGINT) is python_s_ctrl_c


def test_a_window_that_is_far_too_short_is_told(caplog):
    """More than a million windows take long: a warning names the edge server."""
    simulate(fill(0.0), horizon=1)
    assert not caplog.records
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyomo_j3o.simulation.discrete_events._MANY_WINDOWS", 1)
        simulate(fill(0.0), horizon=1)
    assert "'server' has" in caplog.text
    assert "give windows in seconds" in caplog.text
