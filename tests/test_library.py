"""The ready-made models: their data, the model they become, and the plan read back as tables."""

from __future__ import annotations

import dataclasses
import itertools
import pickle

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.factory import SolverFactory

from pyomo_j3o.inference import CLOUD, InferenceData
from pyomo_j3o.library import (
    accuracy_from_loss,
    budget_table,
    build_model,
    domainnet,
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
    write_folder,
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


@pytest.mark.parametrize("data", [small_example_data(), taskonomy_data(3, 2, seed=5)], ids=lambda d: d.name)
def test_a_folder_reads_back_as_it_was_written(data, tmp_path):
    """Not a digit is lost."""
    write_folder(data, tmp_path / "system")
    assert read_folder(tmp_path / "system") == data


def test_infinite_budgets_and_missing_cloud_survive_a_folder(tmp_path):
    """Inf is written as such, and a task that the cloud does not do as an empty cell."""
    data = changed(uplink_budget=[np.inf, 1, 2], cloud_accuracy=[0.9, np.nan])
    write_folder(data, tmp_path)
    assert read_folder(tmp_path) == data


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


def test_tables_need_a_solved_library_model():
    """The message says what to do."""
    with pytest.raises(ValueError, match="solve the model first"):
        placement_table(small_example())
    with pytest.raises(ValueError, match="build_model"):
        routing_table(pyo.ConcreteModel())
