"""Reports say what Pyomo says of the same values, on models of every shape, and hide no missed row."""

from __future__ import annotations

import csv
import json
import pickle
from collections import Counter

import pyomo.environ as pyo
import pytest
import textbook_models
from pyomo.contrib.solver.common.factory import SolverFactory

from pyomo_j3o import annotate, library, report
from pyomo_j3o.errors import FileError, ModelError, OptionError
from pyomo_j3o.interface.pyomo_command import line_of
from pyomo_j3o.reporting import PlanReport, json_schema


@pytest.fixture(scope="module", params=textbook_models.TEXTBOOK, ids=lambda build: build.__name__)
def solved(request):
    """Each textbook model with the plan of j3o, its results and its report."""
    model = request.param()
    results = SolverFactory("j3o").solve(model)
    return model, results, report(model, results)


def by_name(table):
    """Return the rows of a table by their name."""
    return {row["name"]: row for row in table}


# --- what Pyomo says of the same values ------------------------------------------------------------------


def test_slack_of_every_row_is_that_of_pyomo(solved):
    """However the row was written, and whichever side it is nearer to."""
    model, _, found = solved
    rows = by_name(found.rows)
    assert len(rows) == len(found.rows) == found.summary.rows
    for constraint in model.component_data_objects(pyo.Constraint, active=True):
        row = rows[constraint.name]
        assert row["slack"] == pytest.approx(constraint.slack(), abs=1e-9)
        gap = row["limit"] - row["used"] if row["relation"] == "<=" else row["used"] - row["limit"]
        assert row["slack"] == pytest.approx(-abs(gap) if row["relation"] == "=" else gap, abs=1e-9)


def test_objective_is_that_of_pyomo_and_the_sum_of_its_parts(solved):
    """What is placed and routed adds up to it, but for its constant."""
    model, results, found = solved
    objective = next(model.component_data_objects(pyo.Objective, active=True))
    assert found.summary.objective == pytest.approx(pyo.value(objective))
    assert found.summary.objective == pytest.approx(results.incumbent_objective)
    parts = sum(row["objective"] for table in (found.placed, found.routed) for row in table)
    constant = 7 if model.name == "two plants" else 0
    assert parts + constant == pytest.approx(found.summary.objective, abs=1e-5)


def test_every_value_that_is_not_0_is_listed_under_the_users_name(solved):
    """With the value that the variable of this name holds; of products those whose model is placed."""
    model, _, found = solved
    held = {v.name: v.value for v in model.component_data_objects(pyo.Var) if abs(v.value) > 1e-6}
    if model.name == "products":
        held = {name: value for name, value in held.items() if "b" in name}
        assert found.summary.placed == 1
    placed, routed = by_name(found.placed), by_name(found.routed)
    assert placed.keys() | routed.keys() == held.keys()
    for name, row in placed.items():
        assert row["value"] == round(held[name])
    for name, row in routed.items():
        assert row["amount"] == held[name]
    for row in (*found.placed, *found.routed, *found.rows):
        assert model.find_component(row["name"]).name == row["name"]


def test_bound_and_gap_are_those_of_the_results(solved):
    """And the plan misses nothing."""
    _, results, found = solved
    one = found.summary
    assert (one.bound, one.status, one.missed) == (results.objective_bound, results.solution_status.name, 0)
    assert one.gap == pytest.approx(results.extra_info.relative_gap, abs=1e-12)
    assert one.message == results.extra_info.message
    assert not one.notes


def test_fullness_is_1_where_a_row_binds_and_below_elsewhere(solved):
    """For least amounts as for limits."""
    for row in solved[2].budgets:
        if row["fullness"] is not None:
            assert row["fullness"] <= 1 + 1e-6
            assert (row["status"] == "binds") == (row["slack"] <= 1e-6 * max(1, abs(row["limit"])))


def test_report_pickles_without_its_model(solved):
    """It holds numbers and names."""
    again = pickle.loads(pickle.dumps(solved[2]))
    assert str(again) == str(solved[2])


# --- what is read from the rows --------------------------------------------------------------------------


def shares_of(found: PlanReport) -> Counter:
    """Return the sum of the shares of each demand row."""
    total: Counter = Counter()
    for row in found.routed:
        if row["demand"] is not None:
            total[row["demand"]] += row["share"]
    return total


@pytest.mark.parametrize(
    ("build", "family"), [("p_median", "single"), ("transport", "demand"), ("three_indices", "demand")]
)
def test_shares_of_a_demand_sum_to_1(build, family):
    """Be the variables shares or amounts, and the rows equations or least amounts."""
    model = getattr(textbook_models, build)()
    SolverFactory("highs").solve(model)
    found = report(model)
    shares = shares_of(found)
    assert shares.keys() == {row.name for row in model.component(family).values()}
    assert list(shares.values()) == pytest.approx([1.0] * len(shares))
    assert {row["kind"] for row in found.rows if row["component"] == family} == {"demand"}


def test_balances_of_flows_are_no_demands():
    """Nor are those at the end of a path, which have one sign."""
    model = textbook_models.network_design()
    SolverFactory("highs").solve(model)
    found = report(model)
    assert all(row["demand"] is None and row["share"] is None for row in found.routed)
    assert {row["kind"] for row in found.rows if row["component"] == "balance"} == {"equation"}


def test_what_is_opened_counts_with_what_opens_it():
    """A capacity is the limit of its row, however its sides are written, and 0 where nothing is placed."""
    model = textbook_models.network_design()
    SolverFactory("highs").solve(model)
    found = report(model)
    rows = by_name(found.rows)
    for arc, x in model.open.items():
        row = rows[model.capacity[arc].name]
        used = sum(model.flow[(*arc, k)].value for k in model.K)
        assert (row["kind"], row["relation"]) == ("limit", "<=")
        assert row["limit"] == pytest.approx(10 * round(x.value))
        assert row["used"] == pytest.approx(used)
        assert (row["status"] == "closed") == (round(x.value) == 0)
    for row in found.placed:
        used = rows[f"capacity[{','.join(row['index'])}]"]["used"]
        assert row["amount"] == pytest.approx(used)
        assert row["serves"] == sum(model.flow[(*row["index"], k)].value > 1e-6 for k in model.K)


def test_a_link_that_can_limit_is_a_limit():
    """Y <= x of a share is a link; y <= 250 x of an amount without a bound is a capacity."""
    for build, family, kind in (("p_median", "bound", "link"), ("lot_sizing", "lot", "limit")):
        model = getattr(textbook_models, build)()
        SolverFactory("highs").solve(model)
        assert {row["kind"] for row in report(model).rows if row["component"] == family} == {kind}


def test_members_of_indexed_blocks_are_one_component():
    """Its index begins with that of the blocks, and its dimensions are called as their sets."""
    model = textbook_models.nested_blocks()
    SolverFactory("highs").solve(model)
    found = report(model)
    assert {row["component"] for row in found.placed} == {"node[:].x"}
    assert found.dimensions["node[:].x"] == ("NODES", "MODELS")
    assert {row["index"] for row in found.placed} <= {(n, k) for n in model.NODES for k in model.MODELS}
    assert len(found.candidates["node[:].x"]) == 6


def test_a_fixed_placement_is_a_placement():
    """Whether it carries a mark or not: a user who fixes x and routes again sees it."""
    for mark in (True, False):
        model = textbook_models.p_median()
        if mark:
            annotate(model, onloading=model.y, offloading=model.x)
        for i, y in model.y.items():
            y.fix(int(i <= 3))
        SolverFactory("highs").solve(model)
        assert sorted(row["name"] for row in report(model).placed) == ["y[1]", "y[2]", "y[3]"]


def test_duals_are_those_of_the_results_or_of_the_suffix():
    """The results come first; without either there is no column of them."""
    model = library.taskonomy(clients=2, edges=1, seed=0)
    results = SolverFactory("j3o").solve(model)
    duals = results.solution_loader.get_duals()
    of_results = by_name(report(model, results).rows)
    for constraint, dual in duals.items():
        assert of_results[constraint.name]["dual"] == pytest.approx(dual, abs=1e-12)
    assert all(row["dual"] is None for row in report(model).rows)
    model.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)
    results.solution_loader.load_import_suffixes()
    assert [row["dual"] for row in report(model).rows] == [row["dual"] for row in report(model, results).rows]


# --- whose values, whose bound ---------------------------------------------------------------------------


def test_without_values_there_is_one_clear_error():
    """It says what to do, and what the results say."""
    model = textbook_models.p_median()
    with pytest.raises(ModelError, match=r"to report: 'x\[1,1\]', .* and 32 more hold no values; solve"):
        report(model)
    model.impossible = pyo.Constraint(expr=model.y[1] + model.y[2] >= 3)
    options = {"load_solutions": False, "raise_exception_on_nonoptimal_result": False}
    results = SolverFactory("j3o").solve(model, **options)
    with pytest.raises(ModelError, match=r"the results say: .*infeasible"):
        report(model, results)
    with pytest.raises(ModelError, match="give what solve"):
        report(textbook_models.scalars(), 5)


def test_values_that_were_not_loaded_are_read_from_the_results():
    """The model stays as it is, and the report says so."""
    model = textbook_models.p_median()
    results = SolverFactory("j3o").solve(model, load_solutions=False)
    found = report(model, results)
    assert found.summary.objective == pytest.approx(results.incumbent_objective)
    assert "results" in found.summary.notes[0]
    assert model.y[1].value is None


@pytest.mark.parametrize("solver", ["highs", "j3o", "j3o.exact"])
@pytest.mark.parametrize("factory", [SolverFactory, pyo.SolverFactory], ids=["new", "classic"])
def test_results_of_any_solver_and_interface(solver, factory):
    """The bound is on the right side of the objective, minimised or maximised."""
    for build in (textbook_models.knapsack, textbook_models.transport):
        model = build()
        one = report(model, factory(solver).solve(model)).summary
        assert one.status == "optimal"
        assert one.gap == pytest.approx(0.0, abs=2e-4)


def test_pickled_results_and_values_loaded_elsewhere():
    """As a process pool returns them: they know the values by name."""
    model = textbook_models.p_median()
    results = pickle.loads(pickle.dumps(SolverFactory("j3o").solve(model)))
    other = textbook_models.p_median()
    assert report(other, results).summary.objective == pytest.approx(results.incumbent_objective)


def test_a_plan_that_misses_rows_is_no_plan():
    """What is missed, by how much, and no gap is claimed of it."""
    model = textbook_models.p_median()
    results = SolverFactory("j3o").solve(model)
    opened = next(y for y in model.y.values() if y.value == 1)
    opened.set_value(0)
    found = report(model, results)
    missed = {c.name for c in model.component_data_objects(pyo.Constraint) if c.slack() < -1e-6}
    assert {row["name"] for row in found.rows if row["status"] == "missed"} == missed
    assert found.summary.missed == len(missed) > 0
    assert (found.summary.status, found.summary.gap) == ("no plan", None)
    assert "This is no plan" in str(found)
    assert "This is no plan" in found._repr_html_()
    assert [row["status"] for row in found.rows][: len(missed)] == ["missed"] * len(missed)


def test_values_outside_of_bounds_and_fractions_are_no_plan():
    """Although every row holds."""
    model = textbook_models.knapsack()
    for x in model.x.values():
        x.set_value(0.5)
    assert (report(model).summary.missed, report(model).summary.status) == (4, "no plan")
    for x in model.x.values():
        x.set_value(-1, skip_validation=True)
    found = report(model).summary
    assert found.missed == 4
    assert "bounds" in found.notes[0]


def test_a_model_that_changed_since_the_solve_keeps_no_bound():
    """The bound is that of another model."""
    model = textbook_models.lot_sizing()
    results = SolverFactory("j3o").solve(model)
    model.cost.expr += 10
    one = report(model, results).summary
    assert (one.bound, one.gap, one.status) == (None, None, "unknown")
    assert one.objective == pytest.approx(results.incumbent_objective + 10)
    assert "changed since" in one.notes[0]


# --- text, HTML, files -----------------------------------------------------------------------------------


def test_long_tables_are_cut_with_a_count():
    """The text has few lines; the frame has all."""
    model = library.facility_location(10, 40, seed=0)
    for x in model.place.x.values():
        x.set_value(1)
    for (i, j), y in model.route.y.items():
        y.set_value(float(i == j % 10))
    found = report(model)
    assert len(found.routed) == 40
    assert "  and 30 more" in str(found).splitlines()
    assert "<p>and 20 more</p>" in found._repr_html_()
    assert max(map(len, str(found).splitlines())) < 160


def test_html_escapes_the_users_names():
    """A name is text, whatever is in it."""
    model = pyo.ConcreteModel("<b>bold</b>")
    model.x = pyo.Var(["<script>"], domain=pyo.Binary, initialize=1)
    model.fits = pyo.Constraint(expr=model.x["<script>"] <= 1)
    model.worth = pyo.Objective(expr=model.x["<script>"], sense=pyo.maximize)
    html = report(model)._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;" in html


def test_json_follows_its_schema(solved, tmp_path):
    """And holds every row of the tables."""
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(json_schema())
    found = solved[2]
    content = json.loads(found.to_json())
    jsonschema.validate(content, json_schema())
    for table in ("placed", "routed", "rows"):
        assert [row["name"] for row in content[table]] == found.table(table)["name"]
    found.to_json(tmp_path / "plan.json")
    assert json.loads((tmp_path / "plan.json").read_text()) == content
    content["rows"][0]["kind"] = "another"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, json_schema())


def test_csv_as_a_folder_and_as_one_file(solved, tmp_path):
    """All rows and columns, numbers in full."""
    found = solved[2]
    found.to_csv(tmp_path / "plan")
    for table in ("placed", "routed", "rows"):
        with open(tmp_path / "plan" / f"{table}.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["name"] for row in rows] == found.table(table)["name"]
        assert [float(row["objective"]) for row in rows if "objective" in row] == [
            row["objective"] for row in found.table(table) if "objective" in row
        ]
    found.to_csv(tmp_path / "all.csv")
    with open(tmp_path / "all.csv", newline="") as file:
        counts = Counter(row["table"] for row in csv.DictReader(file))
    assert counts == {t: len(found.table(t)) for t in ("placed", "routed", "rows") if len(found.table(t))}
    found.to_csv(tmp_path / "binding.csv", table="binding")
    with open(tmp_path / "binding.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(found.binding)


def test_frames_hold_all_of_each_table(solved):
    """By name; an unknown one is an error that lists them."""
    pytest.importorskip("pandas")
    found = solved[2]
    assert len(found.to_frame()) == found.summary.placed
    for table in ("summary", "placed", "routed", "rows", "components", "budgets", "binding"):
        assert list(found.to_frame(table).columns) == list(found.table(table).columns)
    with pytest.raises(OptionError, match="choose one of 'summary', 'placed'"):
        found.to_frame("plans")


def test_components_count_all_rows_once(solved):
    """In the order of the model, those without an index together."""
    model, _, found = solved
    assert sum(found.components["rows"]) == found.summary.rows
    order = [c.local_name for c in model.component_objects(pyo.Constraint) if c.is_indexed()]
    shown = [name.removeprefix("node[:].") for name in found.components["component"]]
    assert [name for name in shown if name in order] == order or model.name == "nested blocks"


# --- models and values that changed since the solve --------------------------------------------------------


def two_members():
    """Two blocks that do not know each other; the second one adds nothing to the objective at its best."""
    m = pyo.ConcreteModel("two members")
    m.b = pyo.Block([1, 2])
    for k, b in m.b.items():
        b.x, b.y = pyo.Var(domain=pyo.Binary), pyo.Var(bounds=(0, 5))
        annotate(m, onloading=b.x, offloading=b.y)
        b.link = pyo.Constraint(expr=b.y <= 4 * b.x)
        if k == 1:
            b.demand = pyo.Constraint(expr=b.y >= 1)
    m.p = pyo.Param(initialize=3, mutable=True)
    m.cost = pyo.Objective(expr=sum(m.p * b.x + b.y for b in m.b.values()))
    return m


def deactivate(m):
    """Take a block out of the model and of its objective."""
    m.b[2].deactivate()
    m.cost.set_value(m.p * m.b[1].x + m.b[1].y)


CHANGES = {
    "objective elsewhere": lambda m: m.cost.set_value(m.cost.expr - 7 * m.b[2].x),
    "block": deactivate,
    "side": lambda m: m.b[1].link.set_value(m.b[1].y <= 4 * m.b[1].x + 1),
    "coefficient": lambda m: m.b[2].link.set_value(m.b[2].y <= 9 * m.b[2].x),
    "new row": lambda m: m.add_component("more", pyo.Constraint(expr=m.b[1].y + m.b[2].y <= 3)),
    "row": lambda m: m.b[2].link.deactivate(),
    "bound": lambda m: m.b[2].y.setub(7),
    "fixed": lambda m: m.b[2].x.fix(0),
    "product": lambda m: m.add_component("more", pyo.Constraint(expr=m.b[1].x * m.b[2].y <= 3)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("solver", ["j3o", "j3o_persistent", "j3o.exact"])
def test_no_proof_is_said_of_a_model_that_changed(change, solver):
    """Although the values and the objective are those of the results."""
    model = two_members()
    with SolverFactory(solver) as opt:
        results = opt.solve(model)
    if solver == "j3o_persistent":  # its results end with the solver
        opt = SolverFactory(solver)
        results = opt.solve(model)
    assert report(model, results).summary.status == "optimal"
    change(model)
    one = report(model, results).summary
    assert one.objective == pytest.approx(results.incumbent_objective)
    assert (one.bound, one.gap, one.status) == (None, None, "unknown")
    assert "The model has changed since the solve" in one.notes[-1]
    assert "optimal" not in str(report(model, results))


def test_a_model_read_again_is_the_same():
    """Counts, products and windows included: a report right after the solve has its bound."""
    for build in (
        lambda: library.replicas(2, 2, 3, 2),
        lambda: library.taskonomy(3, 1, window=0.5, droppable=True),
    ):
        model = build()
        results = pyo.SolverFactory("j3o").solve(model, effort="alternation")
        assert report(model, results).summary.bound is not None


def test_values_set_by_hand_are_those_reported():
    """Also where they have the objective of the results; nothing is proven of them."""
    m = pyo.ConcreteModel("either")
    m.x = pyo.Var("ab", domain=pyo.Binary)
    m.one = pyo.Constraint(expr=m.x["a"] + m.x["b"] == 1)
    m.cost = pyo.Objective(expr=m.x["a"] + m.x["b"])
    annotate(m, onloading=m.x)
    results = SolverFactory("j3o").solve(m)
    placed = next(k for k in m.x if m.x[k].value == 1)
    other = "b" if placed == "a" else "a"
    m.x[placed].set_value(0)
    one = report(m, results).summary
    assert (one.placed, one.status, one.missed) == (0, "no plan", 1)
    m.x[other].set_value(1)
    found = report(m, results)
    assert [row["index"] for row in found.placed] == [(other,)]
    assert (found.summary.status, found.summary.bound) == ("unknown", None)
    assert "not those of the results" in found.summary.notes[0]


def test_values_of_an_earlier_solve_give_way_to_results_that_were_not_loaded():
    """They are older than the results, and Pyomo marks them so."""
    model = two_members()
    SolverFactory("j3o").solve(model)
    model.p.set_value(1)
    model.b[1].demand.set_value(model.b[1].y >= 2)
    results = SolverFactory("j3o").solve(model, load_solutions=False)
    one = report(model, results).summary
    assert (one.objective, one.status) == (pytest.approx(3.0), "optimal")
    assert "model does not hold them" in one.notes[0]


# --- what cannot be printed or written as it is ------------------------------------------------------------


def test_a_line_break_in_an_index_stays_in_its_line():
    """In text, it is written as two characters; no table is torn."""
    m = pyo.ConcreteModel("torn\nname")
    m.x = pyo.Var(["a\nb", "c\u2028d", "e"], domain=pyo.Binary, initialize=1)
    m.room = pyo.Constraint(m.x.index_set(), rule=lambda m, k: m.x[k] <= 1.5)
    m.cost = pyo.Objective(expr=sum(m.x.values()))
    text = str(report(m))
    assert "a\\nb" in text
    assert "c\\u2028d" in text
    assert "Plan of 'torn\\nname'" in text
    assert len([line for line in text.splitlines() if "\\n" in line or "\\u2028" in line]) == 5
    assert "\n" not in str(report(m).placed).replace("\n", "|", 3)


def test_near_an_objective_of_0_the_distance_is_told():
    """A gap of 1000 % of an objective of 0 says nothing."""
    m = pyo.ConcreteModel("nothing")
    m.x = pyo.Var(domain=pyo.Binary)
    m.cost = pyo.Objective(expr=m.x)
    annotate(m, onloading=m.x)
    results = SolverFactory("j3o").solve(m)
    for text in (str(report(m, results)), results.extra_info.message, str(results), line_of(results)):
        assert "from the best" in text or "gap 0.00" in text
        assert "1000.00" not in text


def test_files_that_cannot_be_written_are_one_error_of_the_package(solved, tmp_path):
    """It names the file and says what to give."""
    _, _, found = solved
    (tmp_path / "file").write_text("mine")
    for write, path in (
        (found.to_json, tmp_path),
        (found.to_html, tmp_path),
        (found.to_json, tmp_path / "none" / "plan.json"),
        (found.to_csv, tmp_path / "file"),
        (found.to_csv, tmp_path / "file" / "plan.csv"),
        (found.placed.to_csv, tmp_path),
    ):
        with pytest.raises(FileError, match=r": .*; give a (file|folder) that can be written") as error:
            write(path)
        assert str(tmp_path) in str(error.value)
    assert (tmp_path / "file").read_text() == "mine"


def test_html_is_a_whole_page(tmp_path):
    """With its character set, as the command writes it."""
    model = textbook_models.knapsack()
    found = report(model, SolverFactory("j3o").solve(model))
    page = found.to_html()
    assert page.startswith("<!doctype html>")
    assert '<meta charset="utf-8">' in page
    assert found._repr_html_() in page
    assert found.to_html(tmp_path / "plan.html") is None
    assert (tmp_path / "plan.html").read_text(encoding="utf-8") == page
