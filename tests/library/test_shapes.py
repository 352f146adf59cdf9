"""Models of many shapes: what is drawn, what the models hold, and j3o's plan beside the exact optimum."""

import importlib.util
import inspect
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.factory import SolverFactory as NewSolverFactory
from solver_models import brute_force, objective_value, optimum, worst_violation

from pyomo_j3o import library, report
from pyomo_j3o.library.building import weighted
from pyomo_j3o.simulation import simulate


def _row_kinds():
    path = Path(__file__).parents[2] / "examples" / "row_kinds.py"
    spec = importlib.util.spec_from_file_location("row_kinds", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


#: Small models of every shape, by the seed that draws them.
FROM_LIBRARY = {
    "capacitated": lambda seed: library.facility_location(8, 16, seed),
    "nearly all sites needed": lambda seed: library.facility_location(8, 16, seed, tightness=0.85),
    "equal sites": lambda seed: library.facility_location(8, 16, seed, style="equal"),
    "uncapacitated": lambda seed: library.facility_location(10, 20, seed, capacitated=False),
    "p-median": lambda seed: library.p_median(10, 20, 3, seed),
    "two-stage": lambda seed: library.two_stage(3, 5, 10, seed),
    "maximal covering": lambda seed: library.maximal_covering(15, 50, p=3, seed=seed, radius=0.2),
    "covering by cost": lambda seed: library.maximal_covering(15, 50, budget=3.0, seed=seed, radius=0.2),
    "content": lambda seed: library.content_placement(4, 3, 12, seed, reach=2),
    "services": lambda seed: library.service_placement(4, 6, 12, seed, reach=2),
    "network design": lambda seed: library.fixed_charge_network(7, seed),
    "network functions": lambda seed: library.virtual_functions(4, 2, 3, seed),
    "several edge servers": lambda seed: library.multi_edge(2, 2, seed),
    "replicas": lambda seed: library.replicas(3, 3, 5, 2, seed, reach=2),
    "NYUD-v2": lambda seed: library.dense_prediction("nyud", 3, 1, seed),
    "PASCAL-Context": lambda seed: library.dense_prediction("pascal_context", 2, 1, seed),
    "Cityscapes-3D": lambda seed: library.dense_prediction("cityscapes3d", 2, 1, seed),
}
SHAPES = FROM_LIBRARY | {f"{build.__name__} rows": build for build in _row_kinds().BUILDERS}


@pytest.mark.parametrize("seed", [0])
@pytest.mark.parametrize("shape", SHAPES)
def test_plan_is_feasible_near_the_optimum_and_the_bound_holds(shape, seed):
    """Pyomo's own rows hold; the plan is within 1 % of the optimum, which lies between it and the bound."""
    m = SHAPES[shape](seed)
    best = optimum(m)
    results = NewSolverFactory("j3o").solve(m)
    sign = 1 if next(m.component_data_objects(pyo.Objective, active=True)).sense == pyo.maximize else -1
    slack = 1e-6 * abs(best)
    assert worst_violation(m) <= 1e-5
    assert results.incumbent_objective == pytest.approx(objective_value(m), rel=1e-7)
    assert sign * results.incumbent_objective <= sign * best + slack
    assert sign * results.incumbent_objective >= sign * best - 0.01 * abs(best)
    assert sign * results.objective_bound >= sign * best - slack


@pytest.mark.parametrize("shape", FROM_LIBRARY)
def test_one_seed_draws_one_model(shape):
    """The same seed gives the same model, another seed another one; and a model can be pickled."""

    def coefficients(m):
        rows = m.component_data_objects((pyo.Constraint, pyo.Objective))
        found = [pyo.value(v) for row in rows for v in getattr(row.expr, "linear_coefs", ())]
        found += [row.upper for row in m.component_data_objects(pyo.Constraint) if row.upper is not None]
        return found + [c for row in m.component_data_objects(pyo.Objective) for c in row.expr.linear_coefs]

    build = FROM_LIBRARY[shape]
    assert coefficients(build(5)) == coefficients(pickle.loads(pickle.dumps(build(5))))
    assert coefficients(build(5)) != coefficients(build(6))


def test_every_builder_marks_every_variable():
    """With strict=True j3o takes the models, so no variable is left without a mark."""
    for build in SHAPES.values():
        opt = NewSolverFactory("j3o", strict=True, raise_exception_on_nonoptimal_result=False)
        results = opt.solve(build(2), max_iterations=1, improve=False, bound="none")
        assert results.incumbent_objective is not None


# Location


def test_tightness_is_demand_over_capacity():
    """Total demand is that share of the total capacity, in both styles; sites are alike in one of them."""
    for style, alike in (("spread", False), ("equal", True)):
        data = library.facility_data(12, 30, seed=4, tightness=0.4, style=style)
        assert data.demand.sum() == pytest.approx(0.4 * data.capacity.sum())
        assert bool(np.ptp(data.capacity) < 1e-9) is alike
        assert bool(np.ptp(data.opening) < 1e-9) is alike
        assert data.cost.shape == (12, 30)


def test_without_capacities_there_are_no_capacity_rows():
    """Nothing else differs, and an infinite capacity has no row either."""
    capped, free = (library.facility_location(5, 8, 1, capacitated=c) for c in (True, False))
    assert len(capped.capacity) == 5
    assert free.component("capacity") is None
    assert len(capped.link) == len(free.link) == 40
    assert optimum(free) <= optimum(capped)
    data = library.FacilityData([1, 1], [np.inf, 3], [2, 2], [[1, 1], [1, 1]])
    assert list(library.build_facility_location(data).capacity) == [1]


def test_facility_location_agrees_with_trying_every_placement():
    """HiGHS's optimum, which the other tests go by, is the best over all sets of open sites."""
    m = library.facility_location(4, 6, 3, tightness=0.5)
    assert optimum(m) == pytest.approx(brute_force(m, m.place.x.values()))


def test_data_are_checked():
    """Shapes that do not agree and negative entries are errors that name the field."""
    with pytest.raises(ValueError, match=r"^cost: has the shape \(1, 2\)"):
        library.FacilityData([1, 1], [1, 1], [1, 1], [[1, 1]])
    with pytest.raises(ValueError, match=r"^demand: has an entry that is negative"):
        library.FacilityData([1], [1], [-1], [[1]])


def test_p_median_opens_p_sites():
    """Exactly p, and every customer goes to the nearest of them."""
    m = library.p_median(10, 20, 3, seed=2)
    pyo.SolverFactory("j3o").solve(m)
    assert sum(x.value for x in m.place.x.values()) == pytest.approx(3)


def test_what_enters_a_satellite_leaves_it():
    """No satellite keeps goods, and all that customers ask for comes out of plants."""
    m = library.two_stage(3, 4, 6, seed=1)
    pyo.SolverFactory("j3o").solve(m)
    for k in range(4):
        entering = sum(m.route.first[i, k].value for i in range(3))
        assert entering == pytest.approx(sum(m.route.second[k, j].value for j in range(6)), abs=1e-5)
    assert sum(v.value for v in m.route.first.values()) == pytest.approx(
        sum(r.lower for r in m.demand.values())
    )


def test_covering_counts_customers_near_an_open_site():
    """Each y is 1 where a site of its row is open and 0 elsewhere; no row is without a site."""
    m = library.maximal_covering(12, 40, p=3, seed=0, radius=0.2)
    pyo.SolverFactory("j3o").solve(m)
    for j, row in m.covers.items():
        sites = [v for v in row.body.linear_vars if v is not m.route.y[j]]
        assert sites
        assert m.route.y[j].value == pytest.approx(float(any(x.value > 0.5 for x in sites)), abs=1e-6)


# Services, networks, several edge servers


def test_a_service_stands_in_one_budget_per_resource():
    """Three resources make three knapsacks for every x."""
    m = library.service_placement(3, 5, 6, reach=2, resources=("disk", "memory", "licences"))
    x = m.place.x[0, 0]
    assert sum(any(v is x for v in row.body.linear_vars) for row in m.budget.values()) == 3
    assert {n for _, _, n in m.route.y} <= {0, 1, 2}


def test_content_is_sent_by_caches_in_reach_only():
    """Every region has the origin and as many caches as `reach` says."""
    m = library.content_placement(4, 3, 5, reach=2)
    assert all(len({c for r, c, _ in m.route.y if r == region}) == 2 for region in range(4))


@pytest.mark.parametrize("seed", range(8))
def test_a_drawn_network_can_carry_its_goods(seed):
    """Supplies and demands cancel, and with every arc open there is a flow."""
    m = library.fixed_charge_network(9, seed)
    assert sum(row.lower for row in m.balance.values()) == pytest.approx(0, abs=1e-9)
    m.place.x.fix(1)
    assert optimum(m) is not None


def test_traffic_passes_its_functions_in_order():
    """What is served of a demand has been done once by each function of its chain, where one is installed."""
    m = library.virtual_functions(4, 2, 3, seed=0)
    pyo.SolverFactory("j3o").solve(m)
    assert sum(v.value for v in m.route.served.values()) > 0.5
    for d, (_, _, chain, _) in enumerate(m.demands):
        for s, f in enumerate(chain):
            done = {n: m.route.done[d, s, n].value for n in range(4)}
            assert sum(done.values()) == pytest.approx(m.route.served[d].value, abs=1e-5)
            assert all(m.place.x[n, f].value > 0.5 for n, share in done.items() if share > 1e-6)


def test_one_edge_server_each_is_the_model_of_the_library():
    """With reach 1 every family has the rows of `library.taskonomy`, with the same coefficients and sides."""

    def rows(component):
        return sorted(
            (sorted(row.body.linear_coefs), pyo.value(row.lower), pyo.value(row.upper))
            for row in component.values()
            if len(row.body.linear_vars) > 2
        )

    alone, library_s = library.multi_edge(5, 2, seed=3, reach=1), library.taskonomy(5, 2, seed=3)
    assert set(alone.place.x) == set(library_s.place.x)
    assert len(alone.route.y) == len(library_s.route.y)
    for family in ("demand", "memory", "compute", "client_uplink", "edge_uplink"):
        assert str(rows(alone.component(family))) == str(rows(library_s.component(family)))


@pytest.fixture(scope="module")
def several_edges():
    """Return a solved model in which every client may use both edge servers."""
    model = library.multi_edge(3, 2, seed=0)
    pyo.SolverFactory("j3o").solve(model, time_limit=5)
    return model


def test_tables_of_several_edge_servers_say_what_the_rows_say(several_edges):
    """What goes to the cloud counts at the edge server on the way, not at the client's own."""
    families = {"memory": ("memory",), "compute": ("compute",), "uplink": ("client_uplink", "edge_uplink")}
    rows = 0
    for row in library.budget_table(several_edges):
        for family in families[row["kind"]]:
            component = several_edges.component(family)
            if row["node"] in component:
                rows += 1
                assert row["used"] == pytest.approx(pyo.value(component[row["node"]].body), abs=1e-9)
    assert rows == sum(len(several_edges.component(f)) for fs in families.values() for f in fs)
    last = library.routing_table(several_edges).rows[-1]
    assert last["accuracy"] == pytest.approx(pyo.value(several_edges.mean_accuracy))
    placed = [(row["node"], row["model"]) for row in library.placement_table(several_edges)]
    assert placed == [k for k, x in several_edges.place.x.items() if x.value > 0.5]


def test_several_edge_servers_can_be_simulated(several_edges):
    """The accuracy that is delivered is that of the plan, up to chance."""
    pytest.importorskip("simpy")
    played = simulate(several_edges, horizon=200.0, seed=1)
    assert played.planned_accuracy == pytest.approx(pyo.value(several_edges.mean_accuracy))
    assert played.accuracy == pytest.approx(played.planned_accuracy, abs=0.02)


@pytest.mark.parametrize(
    "build",
    [
        lambda: library.facility_location(4, 6, seed=0),
        lambda: library.content_placement(4, 2, 8, seed=0, reach=2),
        lambda: library.fixed_charge_network(nodes=6, seed=0),
    ],
    ids=["facility_location", "content_placement", "fixed_charge_network"],
)
def test_tables_of_other_shapes_are_those_of_the_report(build):
    """Whatever is placed, routed and limited."""
    model = build()
    with pytest.raises(ValueError, match="solve it first"):
        library.placement_table(model)
    pyo.SolverFactory("highs").solve(model)
    found = report(model)
    assert library.placement_table(model).rows == found.placed.rows
    assert library.routing_table(model).rows == found.routed.rows
    assert library.budget_table(model).rows == found.budgets.rows
    assert {row["name"] for row in found.placed} == {x.name for x in model.place.x.values() if x.value > 0.5}


def test_more_edge_servers_in_reach_only_add_options():
    """Every option with one edge server is one with two, and a client then has options on both."""
    one, two = (library.multi_edge(4, 2, seed=0, reach=r) for r in (1, 2))
    assert {h for h in one.route.y if h[2] != "cloud"} < set(two.route.y)
    assert {h[2] for h in two.route.y if h[0] == "client1"} == {"client1", "edge1", "edge2", "cloud"}


# Arguments


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        ("facility_location", {"sites": 0}, "sites=0: give a whole number of at least 1"),
        ("facility_location", {"customers": 2.5}, "customers=2.5: give a whole number"),
        ("facility_location", {"tightness": 1}, "tightness=1: give a number above 0 and below 1"),
        ("facility_location", {"style": "flat"}, "style='flat': unknown; use 'spread' or 'equal'"),
        ("p_median", {"sites": 4, "p": 5}, "p=5: there are 4 sites; give at most that many"),
        ("two_stage", {"plants": True}, "plants=True: give a whole number"),
        ("two_stage", {"satellite_tightness": 0}, "satellite_tightness=0: give a number above 0"),
        ("maximal_covering", {"p": 2, "budget": 3}, "budget=3: p=2 is given as well; give one of the two"),
        ("maximal_covering", {"radius": -1}, "radius=-1: give a positive number"),
        ("maximal_covering", {"radius": 1e-9}, "no site covers any customer; give a larger one"),
        ("content_placement", {"room": 1.5}, "room=1.5: give a number above 0 and below 1"),
        ("service_placement", {"services": 2}, "services=2: a user asks for 3"),
        ("service_placement", {"resources": "disk"}, "resources='disk': give one or more names"),
        ("fixed_charge_network", {"nodes": 1}, "nodes=1: goods need somewhere to go"),
        ("virtual_functions", {"functions": 2, "chain": 3}, "chain=3: there are 2 functions"),
        ("virtual_functions", {"nodes": 1}, "nodes=1: traffic needs somewhere to go"),
        ("multi_edge", {"edges": 2, "reach": 3}, "reach=3: there are 2 edge servers"),
        ("dense_prediction", {"benchmark": "nyu"}, "benchmark='nyu': give one of 'nyud', 'pascal_context', "),
        ("replicas", {"load": 0}, "load=0: give a positive number"),
        ("replicas", {"price": -1.0}, "price=-1.0: give a multiplier of at least 0"),
    ],
)
def test_arguments_are_checked(build, arguments, message):
    """An argument out of range is an error in one sentence, which names it and says what to give."""
    with pytest.raises(ValueError, match=re.escape(message)):
        getattr(library, build)(**arguments)


#: Arguments of the builders that are numbers, by name, and what none of them may be.
NUMBERS = ("tightness", "plant_tightness", "satellite_tightness", "radius", "budget", "room", "memory")
NUMBERS += ("compute", "uplink", "link_share", "cores")
NO_NUMBERS = ("3", [0.3], None, True, float("nan"), float("inf"))
BUILDERS = ("facility_data", "facility_location", "p_median", "two_stage", "maximal_covering")
BUILDERS += ("content_placement", "service_placement", "fixed_charge_network", "virtual_functions")
BUILDERS += ("replicas", "multi_edge", "taskonomy_data", "domainnet_data", "taskonomy", "domainnet")
BUILDERS += ("dense_prediction_data", "dense_prediction")


def _no_arguments():
    for build in BUILDERS:
        parameters = inspect.signature(getattr(library, build)).parameters
        yield from ((build, "seed", seed) for seed in (1.5, "3", [3], None, True, -1, np.nan, np.inf))
        for name in parameters.keys() & set(NUMBERS):
            yield from ((build, name, bad) for bad in NO_NUMBERS if bad is not parameters[name].default)
        whole = [name for name, p in parameters.items() if isinstance(p.default, int) and name != "seed"]
        whole = [name for name in whole if not isinstance(parameters[name].default, bool)]
        yield from ((build, name, bad) for name in whole for bad in ("3", [3], None, 2.5))
    yield from (("service_placement", "resources", bad) for bad in (5, None, [1, 2], [["a"]], []))


@pytest.mark.parametrize(("build", "name", "bad"), sorted(_no_arguments(), key=str))
def test_arguments_of_another_type_are_errors_that_name_them(build, name, bad):
    """What is no number, or no whole number, or no names, is refused as what is out of range is."""
    with pytest.raises(ValueError, match=re.escape(f"{name}={bad!r}: give ")):
        getattr(library, build)(**{name: bad})


def test_numbers_of_numpy_are_taken():
    """They draw the data that numbers of Python draw."""
    own, other = (
        library.facility_data(seed=3, tightness=0.5),
        library.facility_data(seed=np.int64(3), tightness=np.float64(0.5)),
    )
    assert (own.cost == other.cost).all()
    assert (own.capacity == other.capacity).all()


def test_reaches_are_checked():
    """A client without a known edge server is named, and so is an unknown client."""
    data = library.taskonomy_data(2, 2, seed=0)
    with pytest.raises(
        ValueError, match=r"^reaches\['client2'\]=\('edge9',\): give one or more of .*edge1, edge2"
    ):
        library.build_multi_edge(data, {"client1": ["edge1"], "client2": ("edge9",)})
    with pytest.raises(ValueError, match=r"^reaches\['client1'\]=\(\)"):
        library.build_multi_edge(data, {})
    with pytest.raises(ValueError, match=r"^reaches\['phone'\]: unknown client; known are 'client1'"):
        library.build_multi_edge(data, {"client1": ["edge1"], "client2": ["edge1"], "phone": ["edge1"]})


def test_a_demand_without_an_option_is_an_error_unless_dropped():
    """The small example without a cloud and with no room on any node."""
    data = library.small_example_data()
    bare = replace(data, cloud_accuracy=np.full(2, np.nan), memory_budget=np.zeros(3))
    reaches = dict.fromkeys(data.clients, data.edges)
    with pytest.raises(ValueError, match="build the model with droppable=True"):
        library.build_multi_edge(bare, reaches)
    assert not library.build_multi_edge(replace(data, memory_budget=np.zeros(3)), reaches).place.x
    assert not library.build_multi_edge(bare, reaches, droppable=True).route.y


def test_weighted_is_the_sum():
    """The fast form has the value of the written-out sum."""
    m = pyo.ConcreteModel()
    m.v = pyo.Var([1, 2], initialize={1: 3.0, 2: 5.0})
    assert pyo.value(weighted([(2.0, m.v[1]), (-1.0, m.v[2])], constant=4.0)) == 2 * 3 - 5 + 4


@pytest.mark.parametrize(
    ("build", "few"),
    [
        (library.replicas, {"sites": 2, "tasks": 2, "clients": 3, "variants": 2}),
        (library.content_placement, {"regions": 3, "caches": 2, "films": 4}),
        (library.service_placement, {"servers": 2, "services": 4, "users": 3}),
    ],
)
def test_all_are_in_reach_where_there_are_few(build, few):
    """The default reach suits a model of any size, and a larger one is that of all."""
    usual, whole, larger = build(**few), build(**few, reach=2), build(**few, reach=9)
    assert list(usual.route.y) == list(whole.route.y) == list(larger.route.y)
