"""The ready-made models: their data, the model they become, and the plan read back as tables."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import pickle
import re
from functools import partial
from importlib.resources import files

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.factory import SolverFactory

from pyomo_j3o.library import (
    accuracy_from_loss,
    budget_table,
    build_model,
    dense_prediction,
    dense_prediction_data,
    dense_prediction_models,
    domainnet,
    domainnet_data,
    domainnet_models,
    from_frames,
    instances,
    placement_table,
    read_folder,
    routing_table,
    small_example,
    small_example_data,
    taskonomy,
    taskonomy_data,
    taskonomy_models,
    v100_batch_latency,
    windowed_instances,
    write_folder,
)
from pyomo_j3o.library.data import CLOUD, InferenceData

NYUD, PASCAL, CITYSCAPES = (
    partial(dense_prediction, benchmark) for benchmark in ("nyud", "pascal_context", "cityscapes3d")
)


def solve(model, mip_rel_gap=1e-9):
    """Solve with HiGHS, and return the mean accuracy of the plan."""
    SolverFactory("highs").solve(model, solver_options={"mip_rel_gap": mip_rel_gap})
    return pyo.value(model.mean_accuracy)


def changed(**fields) -> InferenceData:
    """Return the small example with other fields."""
    return dataclasses.replace(small_example_data(), **fields)


@pytest.fixture(scope="module")
def solved():
    """Return the small example, solved."""
    model = small_example()
    solve(model)
    return model


# --- the model ---------------------------------------------------------------------------------------


def test_small_example_has_the_optimum_found_by_hand():
    """Two of the phone's edge queries must stay (0.7); its depth goes to the cloud; the rest at its best.

    (2·0.7 + 2·0.9) + 2·0.95 + 1·0.9 + 3·0.8 = 8.4 of 10 queries/s.
    """
    assert solve(small_example()) == pytest.approx(0.84)


@pytest.mark.parametrize("droppable", [False, True])
def test_both_forms_have_the_same_optimum(droppable):
    """The best placement of the product form, by trying every one, is worth what the linear form says."""
    tight = changed(load=[[4, 6], [1, 3]]) if droppable else small_example_data()
    linear = build_model(tight, droppable=droppable)
    product = build_model(tight, droppable=droppable, form="product")
    best = best_by_enumeration(product)
    assert solve(linear) == pytest.approx(best)


def best_by_enumeration(model) -> float:
    """Try every placement in the product form, where what is left is an LP."""
    opt = SolverFactory("highs")
    best = -np.inf
    for placement in itertools.product((0, 1), repeat=len(model.place.x)):
        for x, value in zip(model.place.x.values(), placement, strict=True):
            x.fix(value)
        if any(pyo.value(row.body) > row.ub + 1e-9 for row in model.memory.values()):
            continue
        results = opt.solve(model, load_solutions=False, raise_exception_on_nonoptimal_result=False)
        if results.incumbent_objective is not None:
            best = max(best, results.incumbent_objective)
    return best


def test_forms_differ_in_the_link_rows_only():
    """The linear form has one link row per option on a node, the product form products instead."""
    linear, product = small_example(), small_example(form="product")
    on_nodes = [h for h in linear.route.y if h[2] != CLOUD]
    assert list(linear.link) == on_nodes
    assert product.component("link") is None
    for form, degree in ((linear, 1), (product, 2)):
        assert form.mean_accuracy.expr.polynomial_degree() == degree
        assert (
            max(row.body.polynomial_degree() for row in form.component_data_objects(pyo.Constraint)) == degree
        )


def test_variables_exist_only_where_they_can_be_of_use():
    """No x for a model that does not fit or does no task asked for; no y where there is no load."""
    data = changed(load=[[4, 0], [0, 3]])
    model = build_model(data)
    assert set(model.place.x) == {
        ("phone", "both"),
        ("robot", "both"),
        ("robot", "deep"),
        ("server", "both"),
        ("server", "sharp"),
        ("server", "deep"),
    }
    assert {h[:2] for h in model.route.y} == {("phone", "edges"), ("robot", "depth")}


def test_a_node_that_cannot_run_a_model_does_not_get_it():
    """NaN in the service time keeps the model off the node."""
    seconds = small_example_data().service_time.copy()
    seconds[1, 2] = np.nan
    assert ("robot", "deep") not in build_model(changed(service_time=seconds)).place.x


def test_an_infinite_budget_has_no_row():
    """Inf means no limit."""
    data = small_example_data()
    model = build_model(dataclasses.replace(data, memory_budget=[np.inf, 3, 6], compute_budget=[np.inf] * 3))
    assert list(model.memory) == ["robot", "server"]
    assert len(model.compute) == 0


def test_a_demand_without_any_option_is_an_error_that_names_it():
    """Without drops every demand needs an option; with drops the demand is left out."""
    data = changed(memory_budget=[1, 1, 1], cloud_accuracy=[0.9, np.nan])
    with pytest.raises(ValueError, match=r"load\['phone', 'depth'\].*droppable=True"):
        build_model(data)
    assert len(build_model(data, droppable=True).place.x) == 0


def test_an_unknown_form_is_an_error():
    """The message says which forms there are."""
    with pytest.raises(ValueError, match="'linear' or 'product'"):
        small_example(form="bilinear")


def test_blocks_are_marked():
    """The blocks say which variables are onloading and which offloading."""
    model = small_example()
    assert model.j3o_role[model.place] == "onloading"
    assert model.j3o_role[model.route] == "offloading"


@pytest.mark.parametrize("form", ["linear", "product"])
def test_models_clone_and_pickle_with_their_data(form):
    """A copy still knows the system that it describes."""
    model = small_example(form=form)
    for copy in (model.clone(), pickle.loads(pickle.dumps(model))):
        assert copy.data == model.data


# --- batching windows --------------------------------------------------------------------------------


def batched(**fields) -> InferenceData:
    """Return the small example with a window of 1 s, of which β leaves 0.2 s; a batch costs 0.02 s of it."""
    return changed(**{"window": 1, "setup_time": np.full((1, 3), 0.02), **fields})


def test_a_window_has_the_optimum_found_by_hand():
    """A batch of ``sharp`` costs 0.1 of the 0.2 s that β leaves, so it answers 2 queries/s instead of 3.

    One more of the phone's edge queries stays at 0.7 instead of 0.9, which costs 0.2 of 8.4.
    """
    assert solve(build_model(batched(setup_time=np.full((1, 3), 0.1)))) == pytest.approx(0.82)


@pytest.mark.parametrize("length", [0.15, 0.4, 1.0])
@pytest.mark.parametrize("droppable", [False, True])
def test_both_forms_have_the_same_optimum_with_a_window(length, droppable):
    """The window's row is in y in both: an optimal y of the product form may be 0 wherever x is."""
    data = batched(window=length)
    best = best_by_enumeration(build_model(data, droppable=droppable, form="product"))
    assert solve(build_model(data, droppable=droppable)) == pytest.approx(best)


def test_a_window_takes_the_place_of_the_compute_row():
    """Only on edge servers whose window is finite, and only where the compute budget is neither 0 nor inf."""
    data = taskonomy_data(6, 3, window=[0.2, np.inf, 0.2])
    model = build_model(data)
    assert list(model.batch) == ["edge1", "edge3"]
    assert set(model.compute) == {*data.clients, "edge2"}
    for budget, rows in ((0.0, ["edge2", "edge3"]), (np.inf, ["edge2"])):
        compute = data.compute_budget.copy()
        compute[-1] = budget
        free = np.zeros_like(data.setup_time)  # with a set-up and no compute there is nothing to be limited
        other = build_model(dataclasses.replace(data, compute_budget=compute, setup_time=free))
        assert list(other.batch) == ["edge1"]
        assert sorted(set(other.compute) - set(data.clients)) == rows
    assert build_model(taskonomy_data(6, 3)).component("batch") is None


def test_a_model_whose_set_up_does_not_fit_the_window_is_not_offered():
    """Of 0.5 s β = 0.2 leaves 0.1 s, or 0.09 s with a headroom of a tenth; with β = 0 nothing is left."""
    data = batched(window=0.5, setup_time=[[0.02, 0.095, 0.2]])

    def on_server(data, headroom=0.0):
        return {k for n, k in build_model(data, droppable=True, headroom=headroom).place.x if n == "server"}

    assert on_server(data) == {"both", "sharp"}
    assert on_server(data, headroom=0.1) == {"both"}
    assert on_server(dataclasses.replace(data, compute_budget=[1, 1, 0])) == set()
    assert on_server(dataclasses.replace(data, compute_budget=[1, 1, np.inf])) == {"both", "sharp", "deep"}


def test_a_long_window_is_worth_what_the_compute_row_allows():
    """Set-ups fade as T_b grows: at 1e5 s, at inf and without a window the optimum is the same."""
    plain = solve(small_example())
    assert solve(build_model(batched(window=1e5))) == pytest.approx(plain, abs=1e-5)
    assert solve(build_model(batched(window=np.inf))) == pytest.approx(plain)


def test_accuracy_rises_with_the_window_and_falls_with_headroom():
    """A longer window allows all that a shorter one does; keeping some of it free allows less."""
    by_length = [solve(build_model(batched(window=length))) for length in (0.11, 0.2, 0.4, 1, 10)]
    assert by_length == sorted(by_length)
    assert by_length[0] < by_length[-1] - 0.01
    by_headroom = [solve(build_model(batched(window=0.4), headroom=part)) for part in (0, 0.2, 0.4)]
    assert by_headroom == sorted(by_headroom, reverse=True)
    assert by_headroom[0] > by_headroom[-1]


@pytest.mark.parametrize(
    ("data", "headroom", "message"),
    [
        (batched(), -0.1, "headroom=-0.1: give the part"),
        (batched(), 1.0, "headroom=1.0: give the part"),
        (batched(), float("nan"), "headroom=nan"),
        (small_example_data(), 0.1, "no edge server has a window"),
    ],
)
def test_a_wrong_headroom_is_named(data, headroom, message):
    """It is a part of a window, and without windows there is none."""
    with pytest.raises(ValueError, match=message):
        build_model(data, headroom=headroom)


def test_batch_times_belong_to_a_window():
    """Both are divided by the share of the processor; an edge server without a window has none."""
    setup, per_query = batched().batch_times("server")
    assert setup == pytest.approx({"both": 0.1, "sharp": 0.1, "deep": 0.1})
    assert per_query == pytest.approx({"both": 0.1, "sharp": 0.25, "deep": 0.25})
    with pytest.raises(ValueError, match="'server': no edge server with a window"):
        small_example_data().batch_times("server")
    with pytest.raises(ValueError, match="'phone': no edge server with a window; those are server"):
        batched().batch_times("phone")


def test_a_windowed_model_clones_and_pickles():
    """A copy has the window's rows and the data."""
    model = build_model(batched())
    for copy in (model.clone(), pickle.loads(pickle.dumps(model))):
        assert copy.data == model.data
        assert str(copy.batch["server"].capacity.expr) == str(model.batch["server"].capacity.expr)


# --- Taskonomy ---------------------------------------------------------------------------------------


def test_published_table_has_72_models_with_known_rows():
    """36 models per setting: per setting 5 half-size ones and one per task subset, so each task has 17."""
    nets = taskonomy_models()
    assert len(nets.names) == len(set(nets.names)) == 72
    assert nets.tasks == ("semantic_segmentation", "depth", "normals", "keypoints2d", "edges2d")
    assert (~np.isnan(nets.loss)).sum(axis=0).tolist() == [34] * 5
    half = nets.names.index("s1_half_1")
    assert nets.loss[half, 0] == 0.07742
    assert nets.parameters[half] == 2.168256
    assert nets.gmacs[half] == 1.533806592
    assert np.isnan(nets.loss[half, 1:]).all()


def test_accuracy_falls_with_the_loss_and_is_one_for_the_best():
    """The map from loss to accuracy is decreasing per task, in (0, 1]."""
    loss = taskonomy_models().loss
    accuracy = accuracy_from_loss(loss)
    assert np.array_equal(np.isnan(accuracy), np.isnan(loss))
    assert np.nanmax(accuracy, axis=0).tolist() == [1.0] * 5
    assert np.nanmin(accuracy) > 0
    for t in range(5):
        have = ~np.isnan(loss[:, t])
        by_loss = accuracy[have, t][np.argsort(loss[have, t])]
        assert (np.diff(by_loss) <= 0).all()


def test_the_seed_decides_everything():
    """The same arguments give the same data, another seed other data; numpy's global state is left alone."""
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - that state is what the claim is about
    assert taskonomy_data(6, 2, seed=3) == taskonomy_data(6, 2, seed=3)
    assert taskonomy_data(6, 2, seed=3) != taskonomy_data(6, 2, seed=4)
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize(
    ("build", "witness", "clients", "edges", "seeds"),
    [
        (taskonomy, "s1_full_12345", 1, 1, 5),
        (taskonomy, "s1_full_12345", 12, 2, 2),
        (taskonomy, "s1_full_12345", 40, 4, 1),
        (domainnet, "clip_RN50", 6, 2, 3),
        (NYUD, "M2H-small", 12, 2, 3),
        (PASCAL, "multi_task", 6, 2, 3),
        (CITYSCAPES, "made_up_small_all", 12, 2, 3),
    ],
)
def test_everything_can_be_served_with_the_default_budgets(build, witness, clients, edges, seeds):
    """The smallest network that does all tasks on every node, and the cloud for the rest, can serve all."""
    for seed in range(seeds):
        model = build(clients, edges, seed=seed)
        for (_, name), x in model.place.x.items():
            x.fix(float(name == witness))
        model.mean_accuracy.set_value(0)
        SolverFactory("highs").solve(model)  # raises if it is infeasible


@pytest.mark.parametrize(
    ("build", "witness", "clients", "edges", "seed"),
    [
        (taskonomy, "s1_full_12345", 5, 1, 100),
        (taskonomy, "s1_full_12345", 30, 3, 1),
        (domainnet, "clip_RN50", 6, 2, 3),
        (NYUD, "M2H-small", 6, 2, 3),
        (PASCAL, "multi_task", 6, 2, 3),
        (CITYSCAPES, "made_up_small_all", 6, 2, 3),
    ],
)
@pytest.mark.parametrize("window", [0.05, 0.08, 0.5, np.inf])
def test_everything_can_be_served_with_windows_of_50_ms_and_more(
    build, witness, clients, edges, seed, window
):
    """The same plan serves all, with one batch per window on each edge server."""
    model = build(clients, edges, seed=seed, window=window)
    for (_, name), x in model.place.x.items():
        x.fix(float(name == witness))
    model.mean_accuracy.set_value(0)
    SolverFactory("highs").solve(model)  # raises if it is infeasible


@pytest.mark.parametrize(
    ("data", "fingerprint"),
    [
        (
            taskonomy_data(7, 2, seed=3),
            (
                -4.122148811907197,
                0.035460489462457494,
                25.752242403898553,
                0.07183660101172515,
                2.317911949747496,
            ),
        ),
        (
            domainnet_data(7, 2, seed=3),
            (
                -5.720119434181674,
                -1.2483804020371707,
                175.46077922882006,
                0.12265815007907424,
                1.2129769293449801,
            ),
        ),
        (
            dense_prediction_data("nyud", 7, 2, seed=3),
            (
                -1.048064032404204,
                6.220739073965224,
                131.24005407309886,
                0.3122524752532261,
                0.4396533633441039,
            ),
        ),
    ],
    ids=lambda d: getattr(d, "name", ""),
)
def test_drawn_data_stay_what_they_were(data, fingerprint):
    """Without a window, the load, the service times and the budgets of a seed are those of every version."""
    assert data.window is None
    assert data.setup_time is None
    arrays = (data.load, data.service_time, data.memory_budget, data.compute_budget, data.uplink_budget)
    weighed = [np.nansum(a * np.cos(np.arange(a.size).reshape(a.shape))) for a in arrays]
    assert weighed == pytest.approx(fingerprint, rel=1e-11)


@pytest.mark.parametrize(
    "draw", [taskonomy_data, domainnet_data, partial(dense_prediction_data, "pascal_context")]
)
def test_a_sweep_over_windows_changes_nothing_but_the_window(draw):
    """Systems of one seed differ in ``window`` alone; a number stands for the same window everywhere."""
    base = draw(6, 2, seed=1, window=0.05)
    for window in (0.1, 1.0, np.inf, [0.2, 0.7]):
        assert dataclasses.replace(base, window=window) == draw(6, 2, seed=1, window=window)


def test_a_system_with_windows_is_none_without():
    """Comparison takes a missing window for a difference, in either order."""
    plain, windowed = small_example_data(), changed(window=np.inf)
    assert plain != windowed
    assert windowed != plain
    several = taskonomy_data(4, 2, window=0.1)
    assert dataclasses.replace(several, window=None, setup_time=None) != several


def test_a_window_leaves_clients_loads_and_memory_alone():
    """Of the same seed without a window, only the edge servers' times and budgets differ, and uplinks."""
    plain, windowed = taskonomy_data(7, 2, seed=3), taskonomy_data(7, 2, seed=3, window=0.1)
    assert np.array_equal(plain.load, windowed.load)
    assert np.array_equal(plain.memory_budget, windowed.memory_budget)
    assert np.array_equal(plain.service_time[:7], windowed.service_time[:7])
    assert np.array_equal(plain.compute_budget[:7], windowed.compute_budget[:7])


def test_edge_servers_keep_their_drawn_speeds():
    """Between two edge servers, set-ups and queries differ by the factor that queries differ by without."""
    plain, windowed = taskonomy_data(7, 2, seed=3), taskonomy_data(7, 2, seed=3, window=0.1)
    factor = plain.service_time[7] / plain.service_time[8]
    assert windowed.service_time[7] / windowed.service_time[8] == pytest.approx(factor)
    assert windowed.setup_time[0] / windowed.setup_time[1] == pytest.approx(factor)
    setup, per_query = v100_batch_latency(taskonomy_models().gmacs)
    assert windowed.setup_time / windowed.service_time[7:] == pytest.approx(
        np.broadcast_to(setup / per_query, (2, 72))
    )


def test_windows_bind_on_drawn_systems():
    """At 0.05 s one set-up takes half of the window or more; four times as long, more models are worth it."""
    accuracy, fill = {}, {}
    for window in (0.05, 0.2):
        model = taskonomy(4, 1, seed=100, window=window)
        accuracy[window] = solve(model, mip_rel_gap=0.01)
        fill[window] = {row["kind"]: row for row in budget_table(model) if row["node"] == "edge1"}
    assert fill[0.05]["set-up"]["share"] > 0.5
    assert fill[0.2]["set-up"]["used"] > 1.5 * fill[0.05]["set-up"]["used"]
    assert accuracy[0.2] > accuracy[0.05] + 0.03


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (0, r"window\['edge1'\]: 0.0 is no window"),
        (-1, r"window\['edge1'\]: -1.0 is negative"),
        (float("nan"), r"window\['edge1'\]: nan is NaN"),
        ([0.1], r"window: shape \(1,\) where \(2,\) is expected"),
        ("long", "window: not an array of numbers"),
    ],
)
def test_a_wrong_window_is_named(window, message):
    """The message names the edge server."""
    with pytest.raises(ValueError, match=message):
        taskonomy_data(4, 2, window=window)


def test_domainnet_has_53_classifiers_with_known_rows():
    """Six domains; a network trained for one domain knows no other, a zero-shot one knows all."""
    nets = domainnet_models()
    assert len(nets.names) == len(set(nets.names)) == 53
    assert nets.tasks == ("clipart", "infograph", "painting", "quickdraw", "real", "sketch")
    assert (~np.isnan(nets.accuracy)).sum() == 158
    single = nets.names.index("resnet101_STL_clipart")
    assert nets.accuracy[single, 0] == pytest.approx(0.776)
    assert np.isnan(nets.accuracy[single, 1:]).all()
    assert not np.isnan(nets.accuracy[nets.names.index("clip_RN50")]).any()


@pytest.mark.parametrize(
    ("suite", "networks", "tasks", "values"),
    [
        ("nyud", 13, ("semseg", "depth", "normals", "boundary"), 38),
        ("pascal_context", 12, ("semseg", "parts", "saliency", "normals", "boundary"), 40),
        ("cityscapes3d", 16, ("det3d", "semseg", "depth"), 26),
    ],
)
def test_dense_prediction_has_its_networks_and_accuracy_follows_the_value(suite, networks, tasks, values):
    """Accuracies are in (0, 1], and in every task a better value has a higher accuracy."""
    nets = dense_prediction_models(suite)
    assert len(nets.names) == len(set(nets.names)) == networks
    assert nets.tasks == tasks
    assert (~np.isnan(nets.accuracy)).sum() == values
    assert np.nanmin(nets.accuracy) > 0
    assert np.nanmax(nets.accuracy) <= 1
    for task in tasks:
        rows = [row for row in dense_rows() if (row["benchmark"], row["task"]) == (suite, task)]
        order = sorted(rows, key=lambda r: float(r["value"]) * (-1 if r["better"] == "lower" else 1))
        at = [nets.names.index(row["model_id"]) for row in order]
        assert (np.diff(nets.accuracy[at, tasks.index(task)]) >= 0).all()


def dense_rows():
    """Return the lines of the file that comes with the package."""
    path = files("pyomo_j3o").joinpath("library/published/dense_prediction_models.csv")
    return list(csv.DictReader(line for line in path.read_text("utf-8").splitlines() if line[0] != "#"))


def test_dense_prediction_has_known_rows():
    """A published percentage over 100; the lowest error over the error; a size that is published."""
    nets = dense_prediction_models("nyud")
    small, best, single = map(nets.names.index, ("M2H-small", "M2H", "single_task_depth"))
    assert nets.accuracy[small].tolist() == pytest.approx([0.5805, 0.4196 / 0.4396, 13.81 / 14.04, 0.7444])
    assert nets.accuracy[best, 1] == 1
    assert np.isnan(nets.accuracy[single]).tolist() == [True, False, True, True]
    assert (nets.parameters[small], nets.gmacs[small]) == (33.7, 59)


def test_what_is_made_up_about_dense_prediction_is_marked():
    """Only Cityscapes-3D has networks that are made up, and their names say so; NYUD-v2 has known sizes."""
    for row in dense_rows():
        assert (row["source"] == "made_up") is row["model_id"].startswith("made_up_")
        assert row["source"] != "made_up" or row["benchmark"] == "cityscapes3d"
        known = row["model_id"] in ("MTMamba++", "M2H-small", "M2H", "SwinMTL")
        assert (row["size_source"] == "made_up") is not known


@pytest.mark.parametrize("build", [NYUD, PASCAL, CITYSCAPES], ids=["nyud", "pascal", "cityscapes"])
def test_every_kind_of_budget_binds_on_dense_prediction(build):
    """Half of any kind leaves less accuracy; nodes hold different models, and every place answers some."""
    solve = partial(SolverFactory("j3o").solve, lp_solver="highs", mip_solver="highs")
    m = build(4, 1, seed=0, droppable=True)
    accuracy = solve(m).incumbent_objective
    shares = routing_table(m).rows[-1]
    assert min(shares[place] for place in ("client", "edge", "cloud")) > 0.02
    assert len({model for (_, model), x in m.place.x.items() if x.value > 0.5}) >= 2
    for kind in ("memory", "compute", "uplink"):
        half = solve(build(4, 1, seed=0, droppable=True, **{kind: 0.5}))
        assert half.objective_bound < accuracy - 0.005


def test_multipliers_scale_the_budgets():
    """Each of the three scales its own kind, on every node."""
    base, other = taskonomy_data(4, 1), taskonomy_data(4, 1, memory=2, compute=3, uplink=0.5)
    assert np.allclose(other.memory_budget, 2 * base.memory_budget)
    assert np.allclose(other.compute_budget, 3 * base.compute_budget)
    assert np.allclose(other.uplink_budget, 0.5 * base.uplink_budget)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clients": 0}, "clients=0"),
        ({"edges": 1.5}, "edges=1.5"),
        ({"memory": -1}, "memory=-1"),
        ({"uplink": float("nan")}, "uplink=nan"),
    ],
)
def test_wrong_sizes_are_named(arguments, message):
    """The message names the argument."""
    with pytest.raises(ValueError, match=message):
        taskonomy_data(**arguments)


def test_thirty_named_instances():
    """Names and seeds differ; 5 to 60 clients, 1 to 6 edge servers, half of them with drops."""
    named = dict(instances())
    assert len(named) == 30
    assert len({kwargs["seed"] for kwargs in named.values()}) == 30
    assert {kwargs["clients"] for kwargs in named.values()} >= {5, 60}
    assert {kwargs["edges"] for kwargs in named.values()} == {1, 2, 3, 4, 5, 6}
    assert sum(kwargs["droppable"] for kwargs in named.values()) == 15
    build_model(taskonomy_data(**{k: v for k, v in named["taskonomy-5-1-drop"].items() if k != "droppable"}))


def test_thirty_named_instances_with_windows():
    """The sizes are those without windows; each length of window occurs six times, three with drops."""
    plain, named = list(instances()), dict(windowed_instances())
    assert len(named) == 30
    assert not {kwargs["seed"] for kwargs in named.values()} & {kwargs["seed"] for _, kwargs in plain}
    assert len({kwargs["seed"] for kwargs in named.values()}) == 30
    for (_, one), other in zip(plain, named.values(), strict=True):
        assert all(one[key] == other[key] for key in ("clients", "edges", "droppable"))
    for window in (0.05, 0.1, 0.2, 0.5, 1.0):
        assert (
            sorted(kw["droppable"] for kw in named.values() if kw["window"] == window)
            == [False] * 3 + [True] * 3
        )
    assert taskonomy(**named["taskonomy-5-1-serve-0.05s"]).data.windows == {"edge1": 0.05}


# --- checking the data -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"models": ()}, r"models: empty"),
        ({"models": "both"}, r"models: one text 'both'"),
        ({"models": ("a", "", "b")}, r"models\[1\]"),
        ({"models": ("a", "b", "a")}, r"models: the name 'a' occurs twice"),
        ({"clients": ("server", "robot")}, r"'server' occurs twice"),
        ({"clients": ("cloud", "robot")}, r"'cloud' is kept for the cloud"),
        ({"edge_of": ("server",)}, r"edge_of: 1 entries for 2 clients"),
        (
            {"edge_of": ("server", "serber")},
            r"edge_of\['robot'\]: unknown edge server 'serber'; known are 'server'",
        ),
        ({"memory": [2, 3]}, r"memory: shape \(2,\) where \(3,\) is expected, one entry per models"),
        ({"memory": [2, np.nan, 3]}, r"memory\['sharp'\]: nan is NaN"),
        ({"memory": ["a", 1, 2]}, r"memory: not an array of numbers"),
        ({"load": [[4, -2], [1, 3]]}, r"load\['phone', 'depth'\]: -2.0 is negative"),
        ({"load": [[4, np.inf], [1, 3]]}, r"load\['phone', 'depth'\]: inf is not finite"),
        ({"load": [[0, 0], [0, 0]]}, r"load: no client sends any query"),
        ({"compute_budget": [1, 1, -0.2]}, r"compute_budget\['server'\]: -0.2 is negative"),
        ({"uplink_budget": [1, np.nan, 2]}, r"uplink_budget\['robot'\]: nan is NaN"),
        ({"service_time": np.full((3, 3), -1.0)}, r"service_time\['phone', 'both'\]: -1.0 is negative"),
        ({"setup_time": np.zeros((1, 3))}, r"setup_time: given without a window"),
        ({"window": 0.0}, r"window\['server'\]: 0.0 is no window; give a length in seconds, or None"),
        ({"window": [1, 1]}, r"window: shape \(2,\) where \(1,\) is expected, one entry per edges"),
        ({"window": 1, "setup_time": [[0, -1, 0]]}, r"setup_time\['server', 'sharp'\]: -1.0 is negative"),
        ({"window": 1, "setup_time": [[0, np.nan, 0]]}, r"setup_time\['server', 'sharp'\]: nan is NaN"),
        (
            {"window": 1, "setup_time": [[0, np.inf, 0]]},
            r"setup_time\['server', 'sharp'\]: inf is not finite",
        ),
    ],
)
def test_bad_data_is_named(fields, message):
    """The message names field and index, in the user's own names."""
    with pytest.raises(ValueError, match=message):
        changed(**fields)


def test_arrays_are_copies_that_nobody_can_change():
    """What was checked stays as it was checked."""
    load = np.array([[4.0, 2.0], [1.0, 3.0]])
    data = changed(load=load)
    load[0, 0] = -1
    assert data.load[0, 0] == 4
    with pytest.raises(ValueError, match="read-only"):
        data.load[0, 0] = -1


# --- folders and frames ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        small_example_data(),
        taskonomy_data(3, 2, seed=5),
        taskonomy_data(3, 2, seed=5, window=[0.1, np.inf]),
        changed(window=0.3, setup_time=[[0.01, 0, 0.02]]),
        changed(window=0.3),
    ],
    ids=["small", "taskonomy", "taskonomy with windows", "small with a window", "no set-up"],
)
def test_a_folder_reads_back_as_it_was_written(data, tmp_path):
    """Not a digit is lost."""
    write_folder(data, tmp_path / "system")
    assert read_folder(tmp_path / "system") == data


def test_infinite_budgets_and_missing_cloud_survive_a_folder(tmp_path):
    """Inf is written as such, and a task that the cloud does not do as an empty cell."""
    data = changed(uplink_budget=[np.inf, 1, 2], cloud_accuracy=[0.9, np.nan])
    write_folder(data, tmp_path)
    assert read_folder(tmp_path) == data


@pytest.mark.parametrize("kind", ["clients", "models"])
def test_a_name_that_looks_like_a_comment_survives_a_folder(kind, tmp_path):
    """A line may begin with # if it is quoted, and write_folder quotes it."""
    data = renamed(kind, "#a,b")
    write_folder(data, tmp_path)
    assert read_folder(tmp_path) == data


@pytest.mark.parametrize("name", [" phone", "phone ", "a\nb", "a\u2028b", "nan"])
@pytest.mark.parametrize("kind", ["clients", "models"])
def test_a_name_that_no_table_gives_back_is_refused(kind, name, tmp_path):
    """write_folder names it, and has written nothing."""
    with pytest.raises(ValueError, match=re.escape(repr(name))):
        write_folder(renamed(kind, name), tmp_path / "system")
    assert not (tmp_path / "system").exists()


def renamed(kind, name):
    """Return the small example with another first name."""
    data = small_example_data()
    return dataclasses.replace(data, **{kind: [name, *getattr(data, kind)[1:]]})


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("models.csv", b"model,memory\ncaf\xe9,1\n", "line 2: not UTF-8"),
        ("models.csv", "model,memory\n".encode("utf-16"), "line 1: not UTF-8"),
        ("load.csv", b"client,task,load\n" + b"x" * 200_000, "line 2: not a line of a CSV table"),
        ("models.csv", b"model,memory,memory\nboth,2,99\n", "'memory' is there twice"),
        ("models.csv", b"model,memory\nboth,1_000\n", "'1_000' is not a number"),
        ("tasks.csv", b"task,query_size,cloud_accuracy\n{task},1,2\n", "2 is above 1"),
        ("system.json", b'{"name": "caf\xe9"}', "line 1: not UTF-8"),
        ("system.json", b"[" * 100_000, "nested too deep"),
    ],
    ids=[
        "latin-1",
        "utf-16",
        "long cell",
        "column twice",
        "1_000",
        "accuracy of 2",
        "latin-1 json",
        "deep json",
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(file, content, message, tmp_path):
    """Every error of a folder is a ValueError that begins with the file."""
    write_folder(small_example_data(), tmp_path)
    if b"{task}" in content:
        text = (tmp_path / file).read_text().splitlines()
        content = "\n".join([text[0], *(",".join([*line.split(",")[:2], "2"]) for line in text[1:])]).encode()
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_folder(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / file))


@pytest.mark.parametrize("frame", [None, [1, 2], {"model": ["a"]}], ids=["None", "list", "dict"])
def test_a_frame_that_is_none_is_named(frame, tmp_path):
    """What is no DataFrame is an error that names the table."""
    pd = pytest.importorskip("pandas")
    write_folder(small_example_data(), tmp_path)
    names = ("models", "tasks", "accuracy", "clients", "edges", "load", "service_time")
    frames = {name: pd.read_csv(tmp_path / f"{name}.csv") for name in names}
    with pytest.raises(ValueError, match=r"frames\['models'\]"):
        from_frames({**frames, "models": frame})


def test_a_folder_keeps_its_table_where_writing_fails(tmp_path, monkeypatch):
    """A table is replaced as a whole, or stays as it was; nothing else is left behind."""
    write_folder(small_example_data(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyomo_j3o.core.whole_files.os.replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_folder(renamed("clients", "other"), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_writing_over_a_folder_leaves_no_windows_behind(tmp_path):
    """A system without windows takes the former one's set-up times out."""
    write_folder(changed(window=0.3, setup_time=np.ones((1, 3))), tmp_path)
    write_folder(small_example_data(), tmp_path)
    assert read_folder(tmp_path) == small_example_data()


def test_the_table_of_set_ups_is_optional_but_needs_a_window(tmp_path):
    """Without the table set-ups are 0; with it and no window the message says what is missing."""
    data = changed(window=0.3, setup_time=np.ones((1, 3)))
    write_folder(data, tmp_path)
    table = (tmp_path / "setup_time.csv").read_text()
    (tmp_path / "setup_time.csv").unlink()
    assert read_folder(tmp_path) == changed(window=0.3)
    write_folder(small_example_data(), tmp_path)
    (tmp_path / "setup_time.csv").write_text(table)
    with pytest.raises(ValueError, match="setup_time: the table is there, but edges has no column 'window'"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        ("edges", "2.0,0.3", "2.0,soon", r"edges.csv, line 2, column 'window': 'soon' is not a number"),
        ("edges", "2.0,0.3", "2.0,", r"edges.csv, line 2, column 'window': '' is not a number"),
        ("setup_time", "server,both", "phone,both", r"setup_time.csv, line 2, .*unknown name 'phone'"),
        ("setup_time", "both,1.0", "both,inf", r"setup_time.csv, line 2, column 'setup_time': .*not finite"),
    ],
)
def test_a_bad_window_is_named_with_line_and_column(table, old, new, message, tmp_path):
    """As for the other tables."""
    write_folder(changed(window=0.3, setup_time=np.ones((1, 3))), tmp_path)
    path = tmp_path / f"{table}.csv"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        (
            "models",
            "sharp,3.0",
            "sharp,heavy",
            r"models.csv, line 3, column 'memory': 'heavy' is not a number",
        ),
        ("models", "sharp,3.0", "both,3.0", r"models.csv, line 3, column 'model': 'both' was listed before"),
        (
            "models",
            "model,memory",
            "model,size",
            r"models.csv, line 1: the column 'memory' is missing; found model, size",
        ),
        (
            "accuracy",
            "sharp,edges",
            "shrap,edges",
            r"accuracy.csv, line 4, column 'model': unknown name 'shrap'",
        ),
        (
            "clients",
            "robot,server",
            "robot,sever",
            r"clients.csv, line 3, column 'edge': unknown name 'sever'",
        ),
        ("clients", "robot,server,", "robot,server,,", r"clients.csv, line 3: 6 cells for 5 columns"),
        ("edges", "server,6.0", "server,-6.0", r"edges.csv, line 2, column 'memory_budget': -6 is negative"),
        (
            "edges",
            "server,6.0",
            "phone,6.0",
            r"edges.csv, line 2, column 'edge': 'phone' is a client already",
        ),
        (
            "load",
            "phone,depth",
            "phone,edges",
            r"load.csv, line 3, columns 'client' and 'task'.*listed before",
        ),
        ("load", "phone,depth,2.0", "phone,depth,nan", r"load.csv, line 3, column 'load': NaN"),
        ("service_time", "phone,both,0.1", "phone,both,inf", r"service_time.csv, line 2, .*not finite"),
    ],
)
def test_a_bad_table_is_named_with_line_and_column(table, old, new, message, tmp_path):
    """The message says where to look."""
    write_folder(small_example_data(), tmp_path)
    path = tmp_path / f"{table}.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read_folder(tmp_path)


def test_comments_and_blank_lines_do_not_shift_the_line_numbers(tmp_path):
    """Line numbers are those that an editor shows."""
    write_folder(small_example_data(), tmp_path)
    path = tmp_path / "models.csv"
    path.write_text("# by hand\n\n" + path.read_text().replace("sharp,3.0", "sharp,x"))
    with pytest.raises(ValueError, match=r"models.csv, line 5"):
        read_folder(tmp_path)


def test_missing_files_are_named(tmp_path):
    """A missing folder and a missing table are different messages; system.json may be missing."""
    with pytest.raises(FileNotFoundError, match="no such folder"):
        read_folder(tmp_path / "nowhere")
    write_folder(small_example_data(), tmp_path)
    (tmp_path / "system.json").unlink()
    assert read_folder(tmp_path).name == tmp_path.name
    (tmp_path / "load.csv").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"load.csv: missing; write a table with the columns client, task, load"
    ):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1, column"),
        ("[]", "write an object"),
        ('{"nmae": "x"}', "unknown entry 'nmae'"),
        ('{"name": 3}', "3"),
    ],
)
def test_a_bad_system_file_is_named(text, message, tmp_path):
    """system.json is checked as the tables are."""
    write_folder(small_example_data(), tmp_path)
    (tmp_path / "system.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_folder(tmp_path)


def test_frames_give_the_same_data_as_a_folder(tmp_path):
    """The tables of a folder, read by pandas, are what from_frames takes."""
    pd = pytest.importorskip("pandas")
    data = small_example_data()
    write_folder(data, tmp_path)
    frames = {path.stem: pd.read_csv(path) for path in tmp_path.glob("*.csv")}
    assert from_frames(frames, name=data.name) == data
    write_folder(changed(window=0.3, setup_time=np.ones((1, 3))), tmp_path / "windows")
    windowed = {path.stem: pd.read_csv(path) for path in (tmp_path / "windows").glob("*.csv")}
    assert from_frames(windowed, name=data.name) == changed(window=0.3, setup_time=np.ones((1, 3)))
    frames["load"].loc[1, "load"] = -1
    with pytest.raises(ValueError, match=r"frames\['load'\], row 1, column 'load': -1 is negative"):
        from_frames(frames)
    del frames["load"]
    with pytest.raises(ValueError, match="the table 'load' is missing"):
        from_frames(frames)


# --- tables ------------------------------------------------------------------------------------------


def test_placement_table_by_hand(solved):
    """Which models sit where, with the queries per second that each answers."""
    rows = {(row["node"], row["model"]): row for row in placement_table(solved)}
    assert rows["phone", "both"]["queries"] == pytest.approx(2)
    assert rows["robot", "deep"]["queries"] == pytest.approx(3)
    assert rows["server", "sharp"]["queries"] == pytest.approx(3)
    assert rows["server", "sharp"]["level"] == "edge"
    assert rows["server", "sharp"]["memory"] == 3


def test_routing_table_by_hand(solved):
    """Shares of each task's load and of all, and the accuracy that they give."""
    edges, depth, everything = routing_table(solved)
    expected = {
        "load": 5,
        "client": 0.4,
        "edge": 0.6,
        "cloud": 0,
        "dropped": 0,
        "accuracy": (2 * 0.7 + 3 * 0.9) / 5,
    }
    assert {key: edges[key] for key in expected} == pytest.approx(expected)
    expected = {
        "load": 5,
        "client": 0.6,
        "edge": 0,
        "cloud": 0.4,
        "dropped": 0,
        "accuracy": (3 * 0.8 + 2 * 0.95) / 5,
    }
    assert {key: depth[key] for key in expected} == pytest.approx(expected)
    assert everything["task"] == "all"
    assert everything["accuracy"] == pytest.approx(pyo.value(solved.mean_accuracy))


def test_budget_table_by_hand(solved):
    """Seconds of compute and payload follow from the queries; shares are used over budget."""
    rows = {(row["node"], row["kind"]): row for row in budget_table(solved)}
    assert rows["phone", "memory"]["share"] == pytest.approx(1)
    assert rows["phone", "compute"]["used"] == pytest.approx(2 * 0.1)
    assert rows["phone", "uplink"]["used"] == pytest.approx(4)
    assert rows["robot", "uplink"]["used"] == pytest.approx(1)
    assert rows["server", "compute"]["share"] == pytest.approx(3 * 0.05 / 0.2)
    assert rows["server", "uplink"]["used"] == pytest.approx(2)
    assert rows["server", "uplink"]["unit"] == "Mbit/s"


def test_budget_table_of_a_window_by_hand():
    """On a fifth of a processor, set-up of ``sharp`` takes 0.5 s, and each of 2 queries 0.25 s."""
    model = build_model(batched(setup_time=np.full((1, 3), 0.1)))
    solve(model)
    rows = {row["kind"]: row for row in budget_table(model) if row["node"] == "server"}
    assert rows["set-up"]["used"] == pytest.approx(0.5)
    assert rows["queries"]["used"] == pytest.approx(0.5)
    assert rows["queries"]["share"] == pytest.approx(rows["compute"]["share"])
    assert rows["window"]["share"] == pytest.approx(1)
    assert rows["window"]["budget"] == 1
    assert rows["window"]["unit"] == "s"


def test_in_the_product_form_a_route_to_an_absent_model_counts_as_dropped():
    """There y may be 1 where x is 0; such queries are answered by nobody."""
    model = small_example(form="product", droppable=True)
    for variable in model.component_data_objects(pyo.Var):
        variable.set_value(0)
    model.route.y["phone", "edges", "phone", "both"].set_value(1)
    assert routing_table(model)["dropped"] == [1, 1, 1]
    model.place.x["phone", "both"].set_value(1)
    assert routing_table(model)["dropped"] == pytest.approx([0.2, 1, 0.6])
    assert routing_table(model)["accuracy"][-1] == pytest.approx(pyo.value(model.mean_accuracy))


def test_tables_agree_with_the_rows_of_the_model():
    """On a larger instance what a table says is used is the value of the model's own row."""
    model = taskonomy(4, 1, seed=2, droppable=True)
    solve(model, mip_rel_gap=0.01)
    rows = {(row["node"], row["kind"]): row for row in budget_table(model)}
    for node in model.data.nodes:
        uplink = model.edge_uplink if node in model.data.edges else model.client_uplink
        for kind, row in (("memory", model.memory), ("compute", model.compute), ("uplink", uplink)):
            assert rows[node, kind]["used"] == pytest.approx(pyo.value(row[node].body), abs=1e-9)
    everything = routing_table(model).rows[-1]
    assert everything["accuracy"] == pytest.approx(pyo.value(model.mean_accuracy))
    assert sum(everything[k] for k in ("client", "edge", "cloud", "dropped")) == pytest.approx(1)


def test_tables_print_aligned_and_become_frames(solved):
    """Text has one line per row and a header; a frame has the same columns."""
    table = budget_table(solved)
    lines = str(table).splitlines()
    assert len(lines) == 1 + len(table) == 10
    assert lines[0].split() == list(table.columns)
    assert len({line.index(unit) for line, unit in zip(lines, ["unit"] + table["unit"], strict=True)}) == 1
    with pytest.raises(KeyError, match="the columns are node"):
        table["nodes"]
    pytest.importorskip("pandas")
    assert table.to_frame().columns.tolist() == list(table.columns)


def test_tables_need_a_solved_model():
    """The message says what to do."""
    with pytest.raises(ValueError, match="solve the model first"):
        placement_table(small_example())
    with pytest.raises(ValueError, match="no active objective"):
        routing_table(pyo.ConcreteModel())
    with pytest.raises(ValueError, match="pass a ConcreteModel"):
        budget_table(None)
