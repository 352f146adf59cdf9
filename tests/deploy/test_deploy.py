"""A plan is exported as it is: the same models, shares, windows and batches, in what each system reads."""

import importlib.util
import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyomo.environ as pyo
import pytest
from deployed import STREAM, SYSTEM, by_hand, solved, system

from pyomo_j3o import library
from pyomo_j3o.deploy import (
    Components,
    PlannedBatch,
    read_deployment,
    schema,
    to_json,
    to_kserve,
    to_mlserver,
    to_triton,
)
from pyomo_j3o.errors import DeployError
from pyomo_j3o.simulation.window_work import window_work


@pytest.fixture(scope="module")
def plan():
    """Return a solved model of two edge servers with windows, and its results."""
    return solved(system())


def read_by(system, package, paths):
    """Return what a system's own package reads in files, by path; skip the test if it is not installed."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"checked by the package {package}, which is not installed")
    command = [sys.executable, str(Path(__file__).with_name("schema_checks.py")), system, *map(str, paths)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return {Path(name): held for name, held in json.loads(ran.stdout.splitlines()[-1]).items()}


def read(paths):
    """Return what JSON files hold, by name."""
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def test_the_file_says_what_the_variables_say(plan, tmp_path):
    """Models are those with x = 1, shares those of y, and mean batches those of the window's row."""
    model, results = plan
    (path,) = to_json(model, results, tmp_path / "out")
    written = json.loads(path.read_text(encoding="utf-8"))
    placed = {(node["name"], m["name"]): m for node in written["nodes"] for m in node["models"]}
    assert set(placed) == {key for key, x in model.place.x.items() if x.value > 0.5}
    shares = {
        (route["client"], route["task"], to["node"], to["model"]): to["share"]
        for route in written["routes"]
        for to in route["destinations"]
    }
    expected = {h: y.value for h, y in model.route.y.items() if y.value > 1e-6}
    assert shares == pytest.approx(expected)
    works = window_work(model.data, expected)
    assert len(works) == 2
    for edge, work in works.items():
        here = [m for (node, _), m in placed.items() if node == edge]
        q = [m["mean_batch_size"] for m in here]
        assert sorted(q) == pytest.approx(sorted(work.queries))
        busy = sum(m["setup_seconds"] + m["seconds_per_query"] * m["mean_batch_size"] for m in here)
        assert busy == pytest.approx(work.planned)
        assert [m["max_batch_size"] for m in here] == [math.ceil(1.1 * mean) for mean in q]
    for route in written["routes"]:
        assert sum(to["share"] for to in route["destinations"]) + route["dropped"] == pytest.approx(1)
        sent = [to["weight"] for to in route["destinations"] if to["node"] != route["client"]]
        assert sum(sent) == (100 if sent else 0)


def test_the_file_follows_its_schema(plan, tmp_path):
    """The published schema takes the file, and refuses one with a field more or a share above 1."""
    jsonschema = pytest.importorskip("jsonschema", reason="the schema is checked by jsonschema")
    (path,) = to_json(*plan, tmp_path)
    written = json.loads(path.read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema())
    validator.check_schema(schema())
    validator.validate(written)
    written["routes"][0]["destinations"][0]["share"] = 1.5
    assert not validator.is_valid(written)
    written["routes"][0]["destinations"][0]["share"] = 0.5
    assert validator.is_valid(written)
    written["more"] = 1
    assert not validator.is_valid(written)


def test_triton_reads_the_plan(plan, tmp_path):
    """Triton's own schema takes every configuration; delay, batch and copies are the plan's."""
    found = read_by("triton", "tritonclient", to_triton(*plan, tmp_path, backend="python", kind="KIND_CPU"))
    expected = {(n.name, m.name): (n, m) for n in read_deployment(*plan).nodes for m in n.models}
    assert {(path.parent.parent.name, path.parent.name) for path in found} == set(expected)
    for path, one in found.items():
        node, model = expected[path.parent.parent.name, path.parent.name]
        assert [p.name for p in path.parent.iterdir() if p.is_dir()] == ["1"]
        assert (one["name"], one["backend"]) == (model.name, "python")
        assert one["max_batch_size"] == model.max_batch
        batching = one.get("dynamic_batching")
        assert (batching is None) == (node.window is None)
        assert batching is None or int(batching["max_queue_delay_microseconds"]) == round(1e6 * node.window)
        assert [(g["count"], g["kind"]) for g in one["instance_group"]] == [(1, "KIND_CPU")]


def test_triton_gets_this_text(plan, tmp_path):
    """The configuration of a model is this text; a node without a window has no batcher."""
    path = next(p for p in to_triton(*plan, tmp_path / "out") if p.parent.name == "sharp")
    limiter = 'rate_limiter { resources [ { name: "processor" count: 1 } ] }'
    group = f"  {{\n    count: 1\n    kind: KIND_AUTO\n    {limiter}\n"
    assert path.read_text(encoding="utf-8") == (
        f'name: "sharp"\nmax_batch_size: 7\ninstance_group [\n{group}  }}\n]\n'
        "dynamic_batching { max_queue_delay_microseconds: 500000 }\n"
        'parameters { key: "setup_seconds" value { string_value: "0.02" } }\n'
        'parameters { key: "seconds_per_query" value { string_value: "0.05" } }\n'
    )
    (path,) = to_triton(*plan, tmp_path / "phones", nodes=["phone"])
    assert "max_batch_size: 1\n" in path.read_text(encoding="utf-8")
    assert "dynamic" not in path.read_text(encoding="utf-8")


def test_mlserver_reads_the_plan(plan, tmp_path):
    """MLServer's own settings take every file; time and batch are the plan's."""
    found = read_by("mlserver", "mlserver", to_mlserver(*plan, tmp_path, implementation="mlserver.MLModel"))
    expected = {(n.name, m.name): (n, m) for n in read_deployment(*plan).nodes for m in n.models}
    assert {(path.parent.parent.name, path.parent.name) for path in found} == set(expected)
    for path, one in found.items():
        node, model = expected[path.parent.parent.name, path.parent.name]
        assert one["name"] == model.name
        batching = (one.get("max_batch_size"), one.get("max_batch_time"))
        assert batching == ((model.max_batch, 0.5) if node.window else (None, None))
        assert one["parameters"]["extra"]["seconds_per_query"] == model.per_query


def test_mlserver_gets_these_settings(plan, tmp_path):
    """Without MLServer's package: the settings of a model are these."""
    path = next(p for p in to_mlserver(*plan, tmp_path) if p.parent.name == "sharp")
    one = json.loads(path.read_text(encoding="utf-8"))
    assert one.pop("parameters")["extra"]["setup_seconds"] == pytest.approx(0.02)
    assert one == {
        "name": "sharp",
        "implementation": "model.Model",
        "max_batch_size": 7,
        "max_batch_time": 0.5,
    }


def test_graphs_and_routes_split_what_leaves_the_client(plan, tmp_path):
    """Weights add up to 100 in graphs and to 10,000 in routes, and each is off its share by less than one."""
    model, results = plan
    paths = to_kserve(model, results, tmp_path)
    graphs = read(p for p in paths if p.parent.name == "inference-graphs")
    routes = read(p for p in paths if p.parent.name == "http-routes")
    deployment = read_deployment(model, results)
    leaving = [route for route in deployment.routes if route.sent]
    assert len(graphs) == len(routes) == len(leaving) > 0
    for route in leaving:
        file = f"{route.client}-{route.task}.json"
        total = sum(to.share for to in route.sent)
        spec = graphs[file]["spec"]["nodes"]["root"]
        assert spec["routerType"] == "Splitter"
        rules = routes[file]["spec"]["rules"]
        for steps, name, whole in (
            (spec["steps"], "serviceName", 100),
            (rules[0]["backendRefs"], "name", 10_000),
        ):
            assert sum(step["weight"] for step in steps) == whole
            for to, step in zip(route.sent, steps, strict=True):
                assert step[name] == ("cloud" if to.node == "cloud" else f"{to.model}-{to.node}")
                assert abs(step["weight"] - whole * to.share / total) < 1
    (envoy,) = (v for k, v in read(paths).items() if k == "envoy-routes.json")
    for route, written in zip(leaving, envoy["virtual_hosts"][0]["routes"], strict=True):
        refs = routes[f"{route.client}-{route.task}.json"]["spec"]["rules"][0]["backendRefs"]
        clusters = written["route"]["weighted_clusters"]["clusters"]
        assert clusters == [{"name": ref["name"], "weight": ref["weight"]} for ref in refs]


def test_kserve_reads_the_graphs(plan, tmp_path):
    """KServe's own models take every graph, and know every field."""
    graphs = [p for p in to_kserve(*plan, tmp_path) if p.parent.name == "inference-graphs"]
    for graph in read_by("kserve", "kserve", graphs).values():
        root = graph["spec"]["nodes"]["root"]
        assert root["router_type"] == "Splitter"
        assert sum(step["weight"] for step in root["steps"]) == 100


def test_envoy_reads_the_routes(plan, tmp_path):
    """Envoy's own messages take the routes, and hold every weight."""
    path = to_kserve(*plan, tmp_path)[-1]
    (found,) = read_by("envoy", "envoy", [path]).values()
    written = json.loads(path.read_text(encoding="utf-8"))["virtual_hosts"][0]["routes"]
    assert len(found["virtual_hosts"][0]["routes"]) == len(written) > 0
    for one, other in zip(found["virtual_hosts"][0]["routes"], written, strict=True):
        clusters = one["route"]["weighted_clusters"]["clusters"]
        assert clusters == other["route"]["weighted_clusters"]["clusters"]


@pytest.mark.parametrize("form", ["linear", "product"])
def test_both_forms_and_classic_results_give_one_plan(form):
    """The product form exports x·y; classic and new results export the same."""
    model = library.small_example(form=form)
    results = pyo.SolverFactory("j3o").solve(model)
    deployment = read_deployment(model, results)
    assert read_deployment(model, results.j3o) == deployment
    assert deployment.servers == ("server",)
    served = sum(to.share * route.rate for route in deployment.routes for to in route.destinations)
    assert served == pytest.approx(model.data.total_load)


def test_a_model_of_ones_own_is_exported_by_components():
    """Components of a model written by hand give what the library gives, window and headroom included."""
    model = by_hand()
    results = pyo.SolverFactory("j3o").solve(model)
    components = Components(
        placed={("rack", k): x for k, x in model.x.items()},
        routed={(*STREAM, "rack", k): y for k, y in model.y.items()},
        rates={STREAM: 20},
        windows={"rack": model.window},
    )
    (node,) = read_deployment(model, results, components).nodes
    (only,) = node.models
    assert (node.window, node.headroom, node.is_client) == (0.5, 0.2, False)
    assert (only.name, only.setup, only.per_query) == ("vit", 0.1, 0.02)
    assert only.mean_batch == pytest.approx(10 * model.y["vit"].value)
    assert only.max_batch == math.ceil(1.2 * only.mean_batch)
    shorter = replace(components, windows={"rack": 0.25})
    assert read_deployment(model, results, shorter).nodes[0].models[0].mean_batch == only.mean_batch / 2


def test_copies_become_instances(tmp_path):
    """A count of 3 is three instances, each with a third of the batch; MLServer, which has none, refuses."""
    model, results = solved(system())
    components = Components(
        placed={("server", "vit"): 3}, routed={("a", "t", "server", "vit"): 1.0}, rates={("a", "t"): 30}
    )
    components = replace(components, windows={"server": 0.2})
    ((only,),) = (node.models for node in read_deployment(model, results, components).nodes)
    assert (only.instances, only.mean_batch, only.max_batch) == (3, pytest.approx(2), 2)
    (path,) = to_triton(model, results, tmp_path, components=components)
    assert "count: 3\n" in path.read_text(encoding="utf-8")
    with pytest.raises(DeployError, match="holds 3 copies of 'vit'"):
        to_mlserver(model, results, tmp_path / "ml", components=components)


def test_several_edge_servers_are_split(tmp_path):
    """In a model with several edge servers per client, weights split over servers and ways to the cloud."""
    model = library.multi_edge(clients=4, edges=2, seed=0, reach=2, droppable=True)
    results = pyo.SolverFactory("j3o").solve(model, effort="alternation")
    deployment = read_deployment(model, results)
    expected = {h for h, y in model.route.y.items() if y.value > 1e-6}
    assert expected == {
        (r.client, r.task, to.node, to.model) for r in deployment.routes for to in r.destinations
    }
    assert to_kserve(model, results, tmp_path)


def test_loads_that_have_changed_are_those_exported():
    """With loads in Params, rates are those of the Params, once the model is solved again."""
    model = library.build_model(SYSTEM, mutable=True, droppable=True)
    model.loads["phone", "edges"] = 1.5
    results = pyo.SolverFactory("j3o").solve(model)
    assert {(r.client, r.task): r.rate for r in read_deployment(model, results).routes}[
        "phone", "edges"
    ] == 1.5
    model.loads["phone", "edges"] = 9
    with pytest.raises(DeployError, match="does not hold the plan"):
        read_deployment(model, results)


def test_the_example_says_what_it_needs(monkeypatch, capsys):
    """Without the server's package, the example ends with one sentence."""
    path = Path(__file__).parents[2] / "examples" / "deployment.py"
    spec = importlib.util.spec_from_file_location("deployment", path)
    example = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "deployment", example)
    spec.loader.exec_module(example)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", [str(path)])
    example.main()
    assert capsys.readouterr().out.startswith("This example needs simpy, aiohttp, mlserver;")


@pytest.fixture(scope="module")
def replicas():
    """Return a solved model of replicas, some of which are several, and its results."""
    model, results = solved(library.replicas(sites=2, tasks=3, clients=4, variants=2, seed=0))
    assert max(n.value for n in model.place.n.values()) > 1
    return model, results


def test_replicas_say_what_they_are(replicas):
    """Counts, rates and batches are those of the variables and of the published latencies."""
    model, results = replicas
    data = model.data
    deployment = read_deployment(model, results)
    assert deployment.notes == ()
    found = {(node.name, m.name): m for node in deployment.nodes for m in node.models}
    for (e, t, v), n in model.place.n.items():
        one = found.pop((data.sites[e], data.networks[t][v]), None)
        assert (0 if one is None else one.instances) == round(n.value)
        if one is None:
            continue
        served = sum(rate * model.route.y[c, k, e, v].value for (c, k), rate in data.asked.items() if k == t)
        assert one.queries_per_second == pytest.approx(served, abs=1e-6)
        batch, seconds = data.batch[t][v], data.setup[t][v] + data.per_query[t][v] * data.batch[t][v]
        assert batch / seconds == pytest.approx(data.rate[t][v])
        assert (one.max_batch, one.wait) == (batch, pytest.approx(seconds))
        # What comes while a batch runs is the next one, and the row of the rate says that it fits.
        assert one.mean_batch <= batch * (1 + 1e-6)
    assert not found
    assert {(route.client, route.task) for route in deployment.routes} == {
        (data.clients[c], data.tasks[t]) for c, t in data.asked
    }


def test_each_replica_has_a_gpu_of_its_own_in_triton(replicas, tmp_path):
    """One instance on each GPU, none of which two models share; nothing makes them take turns."""
    model, results = replicas
    paths = to_triton(model, results, tmp_path / "out")
    taken = {node.name: [] for node in read_deployment(model, results).nodes}
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert "rate_limiter" not in text
        assert "    count: 1\n    kind: KIND_GPU\n" in text
        taken[path.parent.parent.name] += json.loads(re.search(r"gpus: (\[.*\])", text)[1])
    for e, site in enumerate(model.data.sites):
        count = sum(round(n.value) for (k, _, _), n in model.place.n.items() if k == e)
        assert sorted(taken[site]) == list(range(count))
        assert count <= model.data.gpus[e]
    for kind in ("KIND_CPU", "KIND_MODEL"):
        with pytest.raises(DeployError, match=rf"kind='{kind}': every copy of .* has a GPU"):
            to_triton(model, results, tmp_path / "cpu", kind=kind)
    parsed = read_by("triton", "tritonclient", paths)
    assert all(g["kind"] == "KIND_GPU" for one in parsed.values() for g in one["instance_group"])


def test_the_file_of_replicas_follows_its_schema(replicas, tmp_path):
    """With the GPUs of each model, and how long a batch may wait."""
    jsonschema = pytest.importorskip("jsonschema", reason="the schema is checked by jsonschema")
    (path,) = to_json(*replicas, tmp_path)
    written = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema()).validate(written)
    models = [m for node in written["nodes"] for m in node["models"]]
    assert all(len(m["gpus"]) == m["instances"] and m["wait_seconds"] > 0 for m in models)


def test_what_a_server_would_do_otherwise_is_noted(tmp_path, caplog):
    """Copies on one processor, and no batches: in the file, and as a warning."""
    model, results = solved(system())
    components = Components(
        placed={("server", "vit"): 3}, routed={("a", "t", "server", "vit"): 1.0}, rates={("a", "t"): 30}
    )
    (path,) = to_json(model, results, tmp_path / "json", components=components)
    shared, single = json.loads(path.read_text(encoding="utf-8"))["notes"]
    assert "copies of 'vit' on 'server' take turns on one processor" in shared
    assert "'vit' will answer one query at a time" in single
    to_triton(model, results, tmp_path / "triton", components=components)
    assert shared in caplog.text
    told = replace(components, gpus=["server"], batches={("server", "vit"): PlannedBatch(8, 0.01, 0.02)})
    deployment = read_deployment(model, results, told)
    (only,) = deployment.nodes[0].models
    assert deployment.notes == ()
    assert (only.max_batch, only.wait, only.gpus) == (8, pytest.approx(0.17), (0, 1, 2))
