"""Clients with several edge servers: the optimum by brute force, and all that models with one have."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from reference_lp import lp_maximum

import pyomo_j3o
from pyomo_j3o import library
from pyomo_j3o.commands.cli import main
from pyomo_j3o.control import ReplaceAlways, RerouteOnly, control
from pyomo_j3o.deploy import to_json
from pyomo_j3o.library.plan_tables import checked_shares, read_plan
from pyomo_j3o.simulation import simulate
from pyomo_j3o.simulation.headroom import find_headroom, guess_headroom
from pyomo_j3o.simulation.in_turn import in_turn_work

BOTH = ("e1", "e2")


def system(seed, reaches=None):
    """Return two clients, two edge servers with windows, two models and two tasks, drawn from a seed."""
    rng = np.random.default_rng(seed)
    accuracy = rng.uniform(0.5, 1.0, (2, 2))
    accuracy[0, 1] = np.nan
    return library.InferenceData(
        models=("m1", "m2"),
        memory=rng.uniform(1, 2, 2),
        tasks=("t1", "t2"),
        query_size=rng.uniform(0.5, 2, 2),
        accuracy=accuracy,
        cloud_accuracy=rng.uniform(0.8, 1.0, 2),
        clients=("c1", "c2"),
        edges=BOTH,
        edge_of=("e1", "e2"),
        load=rng.uniform(5, 20, (2, 2)),
        service_time=np.vstack([rng.uniform(0.03, 0.1, (2, 2)), rng.uniform(0.005, 0.03, (2, 2))]),
        memory_budget=np.concatenate([rng.uniform(1, 2.5, 2), rng.uniform(1, 4, 2)]),
        compute_budget=np.array([1.0, 0.7, 1.0, 0.6]),
        uplink_budget=np.concatenate([rng.uniform(10, 30, 2), rng.uniform(2, 10, 2)]),
        window=np.array([0.2, 0.5]),
        setup_time=rng.uniform(0.01, 0.1, (2, 2)),
        reaches=reaches,
    )


REACHES = {"c1": BOTH, "c2": BOTH}
OWN = {"c1": ("e1",), "c2": ("e2",)}


def solved(model, **options):
    """Solve a model to a gap of 1e-6, and return it."""
    results = pyo.SolverFactory("j3o").solve(model, rel_gap=1e-6, time_limit=20, **options)
    assert results.j3o.solution_status.name == "optimal"
    return model


def best_accuracy(data, headroom, compute_headroom):
    """Return the optimum by an LP for every placement, written from the arrays alone."""
    accuracy = {
        k: dict(zip(data.tasks, row, strict=True)) for k, row in zip(data.models, data.accuracy, strict=True)
    }
    load = {(i, t): data.load[a, b] for a, i in enumerate(data.clients) for b, t in enumerate(data.tasks)}
    size = dict(zip(data.tasks, data.query_size, strict=True))
    cloud = dict(zip(data.tasks, data.cloud_accuracy, strict=True))
    options = [
        (i, t, n, k)
        for i, t in load
        for n in (i, *data.reaches[i])
        for k in data.models
        if not np.isnan(accuracy[k][t])
    ]
    options += [(i, t, "cloud", e) for i, t in load for e in data.reaches[i]]
    at = {node: n for n, node in enumerate(data.nodes)}
    pairs = [(n, k) for n in data.nodes for k in data.models]
    rate = np.array([load[h[:2]] for h in options])
    sent = rate * [size[h[1]] for h in options]
    seconds = rate * [
        0 if h[2] == "cloud" else data.service_time[at[h[2]], data.models.index(h[3])] for h in options
    ]
    worth = rate * [cloud[h[1]] if h[2] == "cloud" else accuracy[h[3]][h[1]] for h in options]
    rows, sides = [], []
    for demand in load:
        rows.append([h[:2] == demand for h in options])
        sides.append(1)
    for i in data.clients:
        rows += [sent * [h[0] == i != h[2] for h in options], seconds * [h[2] == i for h in options]]
        sides += [data.uplink_budget[at[i]], (1 - compute_headroom) * data.compute_budget[at[i]]]
    for e in data.edges:
        rows += [sent * [h[2:] == ("cloud", e) for h in options], seconds * [h[2] == e for h in options]]
        sides += [data.uplink_budget[at[e]], np.nan]
    rows, best = np.array(rows, dtype=float), 0.0
    for x in itertools.product((0, 1), repeat=len(pairs)):
        placed = dict(zip(pairs, x, strict=True))
        used = [sum(data.memory[m] * placed[n, k] for m, k in enumerate(data.models)) for n in data.nodes]
        limit = np.array(sides, dtype=float)
        setups = [
            sum(data.setup_time[e, m] * placed[edge, k] for m, k in enumerate(data.models))
            for e, edge in enumerate(data.edges)
        ]
        room = (1 - headroom) * data.compute_budget[2:] - np.array(setups) / data.window
        if (np.array(used) > data.memory_budget).any() or (room < 0).any():
            continue
        limit[np.isnan(limit)] = room
        upper = [1 if h[2] == "cloud" else placed[h[2:]] for h in options]
        found = lp_maximum(worth, rows, np.full(len(rows), -np.inf), limit, np.zeros(len(upper)), upper)
        best = max(best, found / data.total_load)
    return best


@pytest.mark.parametrize("seed", range(3))
def test_the_optimum_with_windows_is_that_of_brute_force(seed):
    """An LP for each of the 256 placements, in both forms of the model."""
    data = system(seed, REACHES)
    best = best_accuracy(data, 0.1, 0.2)
    for form in ("linear", "product"):
        model = solved(
            library.build_multi_edge(
                replace(data, reaches=None), REACHES, True, form=form, headroom=0.1, compute_headroom=0.2
            )
        )
        assert pyo.value(model.mean_accuracy) == pytest.approx(best, rel=2e-6)
    assert best > best_accuracy(replace(data, reaches=OWN), 0.1, 0.2) - 1e-9


@pytest.mark.parametrize(
    "options",
    [
        {"headroom": 0.1},
        {"form": "product"},
        {"compute_headroom": 0.3},
        {"latency_limit": {"t1": 0.5, "t2": 1.5}},
        {"mutable": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_with_one_edge_server_each_all_is_as_without_reaches(options):
    """Optimum, tables, simulation and guess are those of `build_model`, whatever is asked for."""
    pytest.importorskip("simpy")
    one = solved(library.build_model(system(1), droppable=True, **options))
    several = solved(library.build_multi_edge(system(1), OWN, droppable=True, **options))
    assert pyo.value(several.mean_accuracy) == pytest.approx(pyo.value(one.mean_accuracy), rel=2e-6)
    for key, x in one.place.x.items():
        several.place.x[key].set_value(x.value)
    home = dict(zip(one.data.clients, one.data.edge_of, strict=True))
    for h, y in one.route.y.items():
        there = (*h[:3], home[h[0]]) if h[2] == library.CLOUD else h
        several.route.y[there].set_value(y.value, skip_validation=True)
    for table in (library.placement_table, library.routing_table, library.budget_table):
        assert table(several).rows == table(one).rows
    plays = [simulate(m, horizon=60.0, seed=1) for m in (one, several)]
    assert str(plays[0]) == str(plays[1])
    assert (plays[0].queries.deadline == plays[1].queries.deadline).all()
    for where in ("batches", "clients"):
        assert guess_headroom(one, 0.01, where) == guess_headroom(several, 0.01, where)


@pytest.fixture(scope="module")
def crossed():
    """Return a solved model in which both clients may use both edge servers."""
    return solved(library.build_model(system(0, REACHES), droppable=True))


def test_each_edge_server_keeps_its_own_promise(crossed):
    """Late is what takes more than two windows of the server that answered; on a client, of the shortest."""
    pytest.importorskip("simpy")
    played = simulate(crossed, horizon=100.0, seed=1)
    queries, client = played.queries, len(crossed.data.clients)
    for e, window in enumerate(crossed.data.window):
        here = queries.node == client + e
        assert len(set(queries.client[here])) == 2  # the plan sends queries of both clients
        assert (queries.deadline[here] == 2 * window).all()
    own = (queries.node >= 0) & (queries.node < client)
    assert own.any()
    assert (queries.deadline[own] == 0.4).all()
    work = in_turn_work(crossed.data, checked_shares(read_plan(crossed)[1]))
    assert work
    assert all((one.deadline == 0.4).all() for one in work.values())
    assert played.accuracy == pytest.approx(pyo.value(crossed.mean_accuracy), abs=0.02)


def test_a_headroom_is_found_for_servers_that_clients_share():
    """`find_headroom` meets the target, which the plan without headroom misses."""
    pytest.importorskip("simpy")

    data = system(2, REACHES)
    busy = replace(data, load=2 * data.load, cloud_accuracy=[0.3, 0.3], uplink_budget=4 * data.uplink_budget)

    def solve(headroom):
        return solved(library.build_model(busy, droppable=True, headroom=headroom))

    found = find_headroom(solve, 0.05, step=0.1, horizon=60.0, seed=1)
    assert found.headroom > 0
    assert found.simulation.share_late <= 0.05 < found.simulations[0.0].share_late


def test_limits_of_the_mean_latency_hold():
    """By Pollaczek and Khinchine, on clients and on edge servers without a window."""
    data = replace(system(2, REACHES), window=np.array([0.2, np.inf]))
    limit = {"t1": 0.15, "t2": 0.5}
    free = solved(library.build_model(data, droppable=True))
    model = solved(library.build_model(data, droppable=True, latency_limit=limit))

    def longest(model):
        shares = checked_shares(read_plan(model)[1])
        work = in_turn_work(data, shares)
        beta, at = dict(zip(data.nodes, data.compute_budget, strict=True)), data.nodes.index
        return max(
            work[n].mean_wait + data.service_time[at(n), data.models.index(k)] / beta[n] - limit[t]
            for _, t, n, k in shares
            if n in work
        )

    assert longest(free) > 1e-3
    assert longest(model) <= 1e-6
    assert not [h for h in model.route.y if h[1] == "t1" and h[2] == "e1"]


def test_the_plan_is_drawn_and_reported(crossed):
    """A bar for each placed model; the windows of both servers stand in table and report."""
    plt = pytest.importorskip("matplotlib.pyplot")
    from pyomo_j3o.plotting import plot_placement, plot_plan

    axes = plot_placement(crossed)
    assert len(axes.patches) == len(library.placement_table(crossed)) > 0
    assert plot_plan(crossed).axes
    plt.close("all")
    windows = {row["node"]: row for row in library.budget_table(crossed) if row["kind"] == "window"}
    for edge in BOTH:
        row = crossed.batch[edge]
        assert windows[edge]["used"] == pytest.approx(pyo.value(row.utilisation * row.length), abs=1e-6)
    rows = {row["name"] for row in pyomo_j3o.report(crossed).rows}
    assert {f"batch[{edge}].capacity" for edge in BOTH} < rows


def test_batches_are_exported(crossed, tmp_path):
    """The mean batch of a model is what both clients send it in a window."""
    results = pyo.SolverFactory("j3o").solve(crossed, warm_start=True)
    (path,) = to_json(crossed, results, tmp_path)
    plan = json.loads(path.read_text(encoding="utf-8"))
    held = {(node["name"], model["name"]): model for node in plan["nodes"] for model in node["models"]}
    for edge in BOTH:
        for k in crossed.batch[edge].batch_size:
            if crossed.batch[edge].used[k].value > 0.5:
                size = pyo.value(crossed.batch[edge].batch_size[k])
                assert held[edge, k]["mean_batch_size"] == pytest.approx(size, abs=1e-6)


def test_the_controller_uses_all_edge_servers():
    """With one each, a controlled run is that without reaches; with two, more is delivered."""
    data = replace(system(3), window=None, setup_time=None)
    loads = np.array([data.load, 1.5 * data.load, 0.7 * data.load])
    policies = (RerouteOnly(), ReplaceAlways())
    runs = [
        control(one, loads, policies, options={"rel_gap": 1e-6})
        for one in (data, replace(data, reaches=OWN), replace(data, reaches=REACHES))
    ]
    for policy in policies:
        mine, same, more = (run.runs[policy.name].accuracy for run in runs)
        assert mine == pytest.approx(same, rel=1e-5)
    assert sum(runs[2].runs["clairvoyant"].accuracy) > sum(runs[0].runs["clairvoyant"].accuracy)
    assert more


def test_a_folder_says_who_may_use_which_edge_server(tmp_path, monkeypatch, capsys):
    """It is read as it was written; a client that is not listed uses its own; commands take it."""
    pytest.importorskip("simpy")
    monkeypatch.chdir(tmp_path)
    data = system(0, REACHES)
    library.write_folder(data, "mine")
    assert library.read_folder("mine") == data
    assert main(["solve", "mine", "--droppable"]) == 0
    best = pyo.value(solved(library.build_model(data, droppable=True)).mean_accuracy)
    assert f"{best:.4f}"[:5] in capsys.readouterr().out
    assert main(["simulate", "mine", "--droppable", "--horizon", "20", "--quiet"]) == 0
    (tmp_path / "mine" / "reaches.csv").write_text("edge,client\ne2,c1\ne1,c1\n")
    assert library.read_folder("mine").reaches == {"c1": ("e2", "e1"), "c2": ("e2",)}
    library.write_folder(system(0), "mine")
    assert not (tmp_path / "mine" / "reaches.csv").exists()
    assert library.read_folder("mine") == system(0)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("client,edge\nc1,e3\n", "reaches.csv, line 2, column 'edge': unknown name 'e3'; known are e1, e2"),
        ("client,edge\nc3,e1\n", "reaches.csv, line 2, column 'client': unknown name 'c3'"),
        ("client,edge\nc1,e1\nc1,e1\n", r"line 3: \('c1', 'e1'\) was listed before; list each pair once"),
        ("client\nc1\n", "line 1: the column 'edge' is missing"),
    ],
)
def test_tables_of_reaches_are_checked(tmp_path, table, message):
    """A line that means nothing is named."""
    library.write_folder(system(0), tmp_path)
    (tmp_path / "reaches.csv").write_text(table)
    with pytest.raises(ValueError, match=message):
        library.read_folder(tmp_path)


def test_frames_hold_reaches():
    """The table is that of the folder."""
    pd = pytest.importorskip("pandas")
    from pyomo_j3o.library.folders import _COLUMNS, _tables

    data = replace(system(0, {"c1": BOTH, "c2": ("e2",)}), window=None, setup_time=None)
    frames = {name: pd.DataFrame(rows, columns=_COLUMNS.get(name)) for name, rows in _tables(data).items()}
    frames["reaches"].columns = ["client", "edge"]
    assert library.from_frames(frames, name=data.name) == data


def test_the_drawn_system_takes_windows():
    """With reach 1 it has the optimum of `library.taskonomy` with the same window."""
    window = {"clients": 3, "edges": 2, "seed": 1, "window": 0.1, "headroom": 0.1, "droppable": True}
    one, several = library.taskonomy(**window), library.multi_edge(**window, reach=1)
    values = []
    for model in (one, several):
        results = pyo.SolverFactory("j3o").solve(model, time_limit=20)
        values.append((pyo.value(model.mean_accuracy), results.problem.upper_bound))
    assert values[0][0] <= values[1][1] + 1e-9
    assert values[1][0] <= values[0][1] + 1e-9
    assert values[0][0] == pytest.approx(values[1][0], rel=5e-3)
