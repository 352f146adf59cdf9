"""What cannot be exported is refused in one sentence, and nothing is lost by an export."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyomo.environ as pyo
import pytest
from deployed import STREAM, SYSTEM, by_hand, solved, system
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyomo_j3o import library
from pyomo_j3o.deploy import Components, read_deployment, to_json, to_kserve, to_mlserver, to_triton
from pyomo_j3o.deploy.weights import whole_weights
from pyomo_j3o.errors import DeployError

NO_FOLDERS = ("a/b", "..", "", "CON", "nul.txt", "x ", ".x", "a\\b", "a:b", "x" * 300, "a\ud800")
EXPORTS = (to_json, to_triton, to_mlserver, to_kserve)


@pytest.fixture(scope="module")
def plan():
    """Return a solved model and its results."""
    return solved(system())


def of(**changes):
    """Return components of a plan by hand: "rack" and "shelf" load "vit" for one stream."""
    given = {
        "placed": {("rack", "vit"): 1, ("shelf", "vit"): 1},
        "routed": {(*STREAM, "rack", "vit"): 0.5, (*STREAM, "shelf", "vit"): 0.5},
        "rates": {STREAM: 10},
    }
    return Components(**(given | changes))


@example([0.9, 0.9000000000000001, 0.43], 100)
@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=30), st.sampled_from([100, 10_000]))
def test_weights_are_shares_by_largest_remainder(shares, total):
    """Weights add up to the total, are less than one off, and a larger share never weighs less."""
    weights = whole_weights(shares, total)
    assert sum(weights) == total
    exact = total * np.array(shares) / sum(shares)
    assert (abs(weights - exact) < 1).all()
    order = np.argsort(shares, kind="stable")
    assert (np.diff(np.array(weights)[order])[np.diff(np.array(shares)[order]) > 0] >= 0).all()


@pytest.mark.parametrize("export", EXPORTS)
@pytest.mark.parametrize("results", [None, "optimal", 3])
def test_a_plan_without_a_solve_is_refused(export, results, tmp_path):
    """What no solve returned is refused, and nothing is written."""
    with pytest.raises(DeployError, match="is not what a solve returns"):
        export(system(), results, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_results_without_a_plan_are_refused(plan):
    """An infeasible solve, a solve that was not loaded, and another model's results are each told apart."""
    model = by_hand()
    model.never = pyo.Constraint(expr=model.place.x["vit"] + model.place.x["resnet"] >= 2)
    results = pyo.SolverFactory("j3o").solve(model, load_solutions=False)
    with pytest.raises(DeployError, match="without finding a plan"):
        read_deployment(model, results)
    with pytest.raises(DeployError, match="without a value"):
        read_deployment(system(), plan[1])
    other = library.build_model(replace(SYSTEM, accuracy=SYSTEM.accuracy / 2), droppable=True, headroom=0.1)
    pyo.SolverFactory("j3o").solve(other)
    with pytest.raises(DeployError, match="does not hold the plan of the results"):
        read_deployment(other, plan[1])


def test_a_model_of_another_kind_needs_components():
    """For a model that the library did not build, the message says what to give."""
    model = by_hand()
    results = pyo.SolverFactory("j3o").solve(model)
    with pytest.raises(DeployError, match="give components="):
        read_deployment(model, results)


@pytest.mark.parametrize("name", NO_FOLDERS)
@pytest.mark.parametrize("export", [to_triton, to_mlserver])
def test_names_that_are_no_folder_names_are_refused(plan, export, name, tmp_path):
    """A node's name that is no folder name somewhere is refused, as is one given by names=."""
    components = of(placed={(name, "vit"): 1}, routed={(*STREAM, name, "vit"): 1})
    with pytest.raises(DeployError, match="no valid folder name"):
        export(*plan, tmp_path / "out", components=components)
    with pytest.raises(DeployError, match="no valid folder name"):
        export(*plan, tmp_path / "out", components=of(), names={"rack": name})
    assert export(*plan, tmp_path / "out", components=components, names={name: "good"})[0].is_file()


def test_two_names_that_become_one_are_refused(plan, tmp_path):
    """Names that differ in case only are one folder on some systems, and one service to Kubernetes."""
    components = of(
        placed={("rack", "vit"): 1, ("Rack", "vit"): 1},
        routed={(*STREAM, "rack", "vit"): 0.5, (*STREAM, "Rack", "vit"): 0.5},
    )
    for export in (to_triton, to_mlserver, to_kserve):
        with pytest.raises(DeployError, match="Two names become one"):
            export(*plan, tmp_path / "out", components=components)
        assert export(*plan, tmp_path / export.__name__, components=components, names={"Rack": "rack2"})


def test_names_of_services_are_those_that_kubernetes_takes(plan, tmp_path):
    """Any name becomes lower-case letters, digits and "-", from a letter on, 63 at most."""
    nodes = ("7 Racks_A", "手机", "x" * 100)
    components = Components(
        placed={(node, "ViT/16"): 1 for node in nodes},
        routed={(*STREAM, node, "ViT/16"): 1 / 3 for node in nodes},
        rates={STREAM: 10},
    )
    path = next(p for p in to_kserve(*plan, tmp_path, components=components) if p.name == "phone-label.json")
    steps = json.loads(path.read_text(encoding="utf-8"))["spec"]["nodes"]["root"]["steps"]
    services = [step["serviceName"] for step in steps]
    assert services[0] == "vit-16-7-racks-a"
    assert len(set(services)) == 3
    for name in services:
        assert name[0].isalpha()
        assert len(name) <= 63
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_a_share_that_rounds_to_0_is_named(plan, tmp_path, caplog):
    """A share too small for a whole weight stays in the graph at 0, in a warning, and in the file's notes."""
    components = of(routed={(*STREAM, "rack", "vit"): 0.998, (*STREAM, "shelf", "vit"): 0.002})
    with caplog.at_level(logging.WARNING, logger="pyomo_j3o"):
        paths = to_kserve(*plan, tmp_path / "k", components=components)
    assert "has the weight 0 of 100" in caplog.text
    assert "'shelf'" in caplog.text
    graph, route = (json.loads(path.read_text(encoding="utf-8")) for path in paths[:2])
    assert [step["weight"] for step in graph["spec"]["nodes"]["root"]["steps"]] == [100, 0]
    assert [ref["weight"] for ref in route["spec"]["rules"][0]["backendRefs"]] == [9980, 20]
    (path,) = to_json(*plan, tmp_path / "j", components=components)
    (note,) = json.loads(path.read_text(encoding="utf-8"))["notes"]
    assert "'shelf'" in note


def test_a_window_of_0_is_refused(plan, tmp_path):
    """A window of 0 s is none; one below a microsecond is none to Triton."""
    for window in (0, -1, float("nan"), float("inf")):
        with pytest.raises(DeployError, match="is no window"):
            read_deployment(*plan, of(windows={"rack": window}))
    with pytest.raises(DeployError, match="is no window; give a filled"):
        read_deployment(*plan, of(windows={"rack": "0.5"}))
    with pytest.raises(DeployError, match="microsecond"):
        to_triton(*plan, tmp_path, components=of(windows={"rack": 1e-7}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"placed": {"rack": 1}}, "tuple of 2 names"),
        ({"rates": {}}, "rates: no entry"),
        ({"rates": {STREAM: -1}}, "at least 0"),
        ({"windows": {"shed": 1}}, "no entry in placed"),
        ({"gpus": ["shed"]}, "gpus: 'shed' has no entry in placed"),
        ({"gpus": "rack"}, "is one text"),
        ({"batches": {("shed", "vit"): (8, 0.1, 0.1)}}, "no such entry in placed"),
        ({"batches": {("rack", "vit"): (0, 0.1, 0.1)}}, "is no batch; give PlannedBatch"),
        ({"batches": {("rack", "vit"): 8}}, "is no batch; give PlannedBatch"),
        ({"batches": {("rack", "vit"): (8, float("nan"), 0.1)}}, "is no batch; give PlannedBatch"),
        (
            {"batches": {("rack", "vit"): (8, 0.1, 0.1)}, "windows": {"rack": 1}},
            "the node has a window, which gives its batches",
        ),
        ({"placed": {("rack", "vit"): 1, ("shelf", "bert"): 1}}, "placed: no entry"),
        ({"placed": {("rack", "vit"): 0.5, ("shelf", "vit"): 1}}, "no number of copies"),
        ({"placed": {("rack", "vit"): 0, ("shelf", "vit"): 1}}, "does not load 'vit'"),
        ({"placed": {("rack", "vit"): "yes", ("shelf", "vit"): 1}}, "is no number"),
        ({"routed": {(*STREAM, "rack", "vit"): 1.5}}, "no share"),
        ({"routed": {(*STREAM, "rack", "vit"): 1, (*STREAM, "shelf", "vit"): 0.5}}, "add up to 1.5"),
    ],
)
def test_components_that_are_no_plan_are_refused(plan, changes, said):
    """Keys, numbers and shares that are no plan are refused, each by name."""
    with pytest.raises(DeployError, match=said):
        read_deployment(*plan, of(**changes))


def test_nodes_and_options_that_do_not_exist_are_refused(plan, tmp_path):
    """Unknown nodes, names, kinds and classes are refused by name."""
    for export, options in (
        (to_triton, {"nodes": ["shed"]}),
        (to_triton, {"nodes": "hall"}),
        (to_triton, {"names": {"shed": "x"}}),
        (to_triton, {"kind": "GPU"}),
        (to_triton, {"backend": ""}),
        (to_mlserver, {"implementation": "Model"}),
        (to_mlserver, {"nodes": []}),
        (to_kserve, {"names": {"hall": 3}}),
    ):
        with pytest.raises(DeployError, match=r"\w+"):
            export(*plan, tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())


def test_only_an_export_that_nobody_touched_is_replaced(plan, tmp_path):
    """An untouched export is replaced as a whole; anything of someone else's stays, with an error."""
    out = tmp_path / "out"
    to_triton(*plan, out)
    paths = to_triton(*plan, out, nodes=["hall"])
    assert {path.name for path in out.iterdir() if path.is_dir()} == {"hall"}
    with pytest.raises(DeployError, match="holds an export for triton"):
        to_mlserver(*plan, out)
    weights = paths[0].parent / "1" / "model.onnx"
    weights.write_bytes(b"weights")
    with pytest.raises(DeployError, match=r"model.onnx', which was added"):
        to_triton(*plan, out)
    assert weights.read_bytes() == b"weights"
    weights.unlink()
    paths[0].write_text("by hand", encoding="utf-8")
    with pytest.raises(DeployError, match="was changed after the export"):
        to_triton(*plan, out)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work", encoding="utf-8")
    with pytest.raises(DeployError, match=r"holds other files, such as 'thesis\.tex'"):
        to_json(*plan, other)
    with pytest.raises(DeployError, match="works in"):
        to_json(*plan, Path.cwd())
    with pytest.raises(DeployError, match="is a file"):
        to_json(*plan, other / "thesis.tex")
    assert (other / "thesis.tex").read_text(encoding="utf-8") == "years of work"


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("at", ["write_bytes", "rename"])
def test_an_export_that_fails_leaves_what_was_there(plan, tmp_path, monkeypatch, error, at):
    """If the disk is full, or Ctrl-C comes, the last export stands and nothing else is left behind."""
    out = tmp_path / "out"
    to_json(*plan, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    real, calls = getattr(Path, at), []

    def fails(self, *args, **kwds):
        calls.append(self)
        # Of the two renames, the second: the old folder is out of the way by then.
        if at == "write_bytes" or len(calls) == 2:
            raise error
        return real(self, *args, **kwds)

    monkeypatch.setattr(Path, at, fails)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else DeployError):
        to_json(*plan, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
