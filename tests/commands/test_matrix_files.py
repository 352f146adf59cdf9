"""Models of MPS and LP files: the plan and the bound of the Pyomo model, under the names of the file."""

from __future__ import annotations

import gzip
import pickle

import pyomo.environ as pyo
import pytest
from pyomo.repn.plugins.lp_writer import LPWriter

from pyomo_j3o import budget_worth, library, report
from pyomo_j3o.commands import read_model
from pyomo_j3o.errors import FileError
from pyomo_j3o.interface.solver import J3O
from pyomo_j3o.plotting.reports import plot_flows, plot_fullness, plot_grid

#: x is free, z a count, x1 binary; `limit` has two sides, and `idle` none.
MIXED = """NAME mixed
OBJSENSE
    MAX
ROWS
 N obj
 N idle
 L cap
 L limit
 E both
 G open
COLUMNS
 x obj 2 cap 1
 x limit 1
 y obj 1 cap 1
 y limit 1 both 1
 M1 'MARKER' 'INTORG'
 z obj 1 both 1
 x1 limit -1 open 1
 M2 'MARKER' 'INTEND'
RHS
 r obj -3 cap 1
 r limit 3 both 2
RANGES
 r limit 7
BOUNDS
 FR b x
 UP b z 3
 BV b x1
ENDATA
"""


def matrix_text(columns, rows=("row",)):
    """Return an MPS file: minimise the sum of the columns, which is at least 1 in every row."""
    body = [f" {column} obj 1" for column in columns]
    body += [f" {column} {row} 1" for column in columns for row in rows]
    body.sort(key=lambda line: columns.index(line.split()[0]))
    lines = ["NAME odd", "ROWS", " N obj", *(f" G {row}" for row in rows), "COLUMNS", *body, "RHS"]
    return "\n".join([*lines, *(f" r {row} 1" for row in rows), "ENDATA", ""])


@pytest.fixture
def mixed(tmp_path):
    """Return a file with a model of all kinds of columns and rows."""
    path = tmp_path / "mixed.mps"
    path.write_text(MIXED)
    return path


def names(model, kind):
    """Return the names of the variables or constraints of a model, in order."""
    return [one.name for one in model.component_data_objects(kind)]


@pytest.mark.parametrize("ending", ["lp", "mps"])
@pytest.mark.parametrize(
    "build",
    [
        library.small_example,
        lambda: library.content_placement(4, 3, 10, seed=1),
        lambda: library.facility_location(5, 8, seed=0),
        lambda: library.fixed_charge_network(6, seed=2),
        lambda: library.taskonomy(clients=2, edges=1, seed=3),
    ],
    ids=["small", "content", "location", "network", "taskonomy"],
)
def test_plan_and_bound_are_those_of_the_pyomo_model(tmp_path, build, ending):
    """Solved from its file, a model has the same plan and bound, and the names that its writer gave."""
    model = build()
    path = tmp_path / f"model.{ending}"
    _, symbols = model.write(str(path), io_options={"symbolic_solver_labels": True})
    labels = model.solutions.symbol_map[symbols]
    read = read_model(path)
    written = {
        labels.getSymbol(v): v for v in model.component_data_objects(pyo.Var) if id(v) in labels.byObject
    }
    there = {v.name: v for v in read.component_data_objects(pyo.Var) if v.name != "ONE_VAR_CONSTANT"}
    assert there.keys() == written.keys()
    options = {"rel_gap": 1e-7, "lp_solver": "highs", "mip_solver": "highs"}
    ours, theirs = J3O().solve(model, **options), J3O().solve(read, **options)
    assert theirs.incumbent_objective == pytest.approx(ours.incumbent_objective, rel=1e-6)
    assert theirs.objective_bound == pytest.approx(ours.objective_bound, rel=1e-6)
    # The plan of the file is one of the model, of the same worth.
    for name, variable in written.items():
        variable.set_value(there[name].value, skip_validation=True)
    objective = next(model.component_data_objects(pyo.Objective, active=True))
    assert pyo.value(objective) == pytest.approx(theirs.incumbent_objective, rel=1e-7)
    for row in model.component_data_objects(pyo.Constraint, active=True):
        assert row.slack() >= -1e-6 * max(1.0, abs(pyo.value(row.body)))


def test_every_kind_of_column_and_row(mixed):
    """Bounds, domains, sides, sense and constant are those of the file, and so are the names."""
    model = read_model(mixed)
    variables = {v.name: (v.domain.name, v.bounds) for v in model.component_data_objects(pyo.Var)}
    assert variables == {
        "x": ("Reals", (None, None)),
        "y": ("Reals", (0, None)),
        "z": ("Integers", (0, 3)),
        "x1": ("Binary", (0, 1)),
    }
    rows = {row.name: (row.lb, row.ub, row.equality) for row in model.component_data_objects(pyo.Constraint)}
    assert rows == {
        "cap": (None, 1, False),
        "limit": (-4, 3, False),
        "both": (2, 2, True),
        "open": (0, None, False),
    }
    assert model.objective.sense == pyo.maximize
    for variable, value in zip(model.component_data_objects(pyo.Var), (1, 0, 2, 1), strict=True):
        variable.value = value
    assert pyo.value(model.objective) == 7


def test_names_stay_through_copies_and_clashes(tmp_path):
    """Names are kept whatever they hold, be they reserved or those of rows, too; in copies and in blocks."""
    columns = ["x[1]", "x[1,2]", "x[01]", "x(1)", "clone", "name[a]", "a.b", "rows", "objective", "y_3"]
    rows = ["x[1]", "rows", "clone", "columns"]
    path = tmp_path / "odd.mps"
    path.write_text(matrix_text(columns, rows))
    model = read_model(path)
    for copy in (model, model.clone(), pickle.loads(pickle.dumps(model))):
        assert sorted(names(copy, pyo.Var)) == sorted(columns)
        assert sorted(names(copy, pyo.Constraint)) == sorted(rows)
    assert J3O().solve(model).incumbent_objective == pytest.approx(1)
    outer = pyo.ConcreteModel()
    outer.inner = model
    assert "inner.x[1,2]" in names(outer, pyo.Var)


def test_indexed_names_become_components(tmp_path):
    """Names of one form are members of one component, whole numbers of an index as numbers."""
    path = tmp_path / "indexed.mps"
    path.write_text(matrix_text(["x[1,a]", "x[2,b]", "y(n_1)"], ["c(1)"]))
    model = read_model(path)
    assert list(model.x) == [(1, "a"), (2, "b")]
    assert list(model.y) == ["n_1"]
    assert list(model.c) == [1]


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ("q*", "the onloading pattern 'q*' matches no column; the binary and integer columns are 'z', 'x1'"),
        ("x*", "the onloading pattern 'x*' matches 'x', which is continuous"),
        ("z", "no onloading pattern matches 'x1', binary in the file"),
        (["x1"], "no onloading pattern matches 'z', integer in the file"),
        ([], "no onloading pattern matches 'z', 'x1', integer in the file"),
    ],
)
def test_patterns_that_do_not_fit_are_refused(mixed, patterns, message):
    """A pattern has to match, and binary or integer columns alone; and all of these have to be matched."""
    with pytest.raises(FileError) as error:
        read_model(mixed, patterns)
    assert message in str(error.value)


def test_patterns_mark_columns(mixed, tmp_path):
    """What a pattern matches is onloading, all else offloading; a bracket in a name is no set of letters."""
    model = read_model(mixed, ["z", "x?"])
    roles = {name: model.j3o_role.get(v) for name, v in ((v.name, v) for v in model.columns.values())}
    assert roles == {"x": "offloading", "y": "offloading", "z": "onloading", "x1": "onloading"}
    path = tmp_path / "brackets.mps"
    marker = " M1 'MARKER' 'INTORG'\n"
    text = matrix_text(["y", "x[1]"]).replace(" x[1]", marker + " x[1]", 1)
    path.write_text(text.replace("ENDATA", "BOUNDS\n BV b x[1]\nENDATA"))
    for pattern in ("x[1]", "x[[]1]", "x*"):
        read = read_model(path, pattern)
        assert read.j3o_role[read.x] == "onloading"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("bad.lp", "max\n obj: 2 x + y  z <\nst\n x + y <= 1\n", "(line 2)"),
        ("bad.mps", "what is this\n", "line 1: the file does not begin with a section such as NAME or ROWS"),
        ("square.lp", "min\n obj: 2 x + [ x^2 ] / 2\nst\n c: x >= 1\nend\n", "the objective is quadratic"),
        (
            "semi.lp",
            "min\n obj: x\nst\n c: x >= 0\nbounds\n 1 <= x <= inf\nsemi-continuous\n x\nend\n",
            "column 'x' is semi-continuous and has no upper bound; give it one",
        ),
        (
            "sets.lp",
            "min\n obj: x + y\nst\n c: x + y >= 0\nsos\n s: S1:: x:1 y:2\nend\n",
            "write each set with binary columns, or solve the model in Pyomo",
        ),
        ("empty.lp", "", "the model has no columns"),
        ("model.txt", "", "give a file whose name ends in .mps"),
    ],
)
def test_files_that_hold_no_linear_model_are_refused(tmp_path, name, text, message):
    """One sentence that names the file, and where it is known the line."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(FileError) as error:
        read_model(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_tiny_and_large_coefficients_stay(tmp_path):
    """HiGHS would drop coefficients below 1e-9; a bound of 1e30 is none."""
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(0, 1e30))
    model.y = pyo.Var(bounds=(0, 1))
    model.row = pyo.Constraint(expr=1e-10 * model.x + 1e12 * model.y <= 1)
    model.goal = pyo.Objective(expr=-model.x)
    path = tmp_path / "wide.lp"
    with open(path, "w", encoding="utf-8") as file:
        LPWriter().write(model, file, symbolic_solver_labels=True)
    read = read_model(path)
    (row,) = read.component_data_objects(pyo.Constraint)
    assert sorted(row.body.linear_coefs) == [1e-10, 1e12]
    assert [v.ub for v in read.component_data_objects(pyo.Var) if v.name == "x"] == [None]


#: One integer column with bounds, one continuous one, and a line number for each line.
WHOLE = """NAME t
ROWS
 N cost
 L cap
 G need
COLUMNS
 M1 'MARKER' 'INTORG'
 x cost 1 cap 1
 x need 2
 M2 'MARKER' 'INTEND'
 y cost 3 need 1
RHS
 r cap 4 need 1
BOUNDS
 UP b x 3
ENDATA
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (" UP b x 3\n", "", "integer column 'x' has no bounds"),
        (" UP b x 3\n", " UP b x 3\n UP b x 2\n", "line 16: column 'x' has an upper bound already"),
        (" UP b x 3\n", " UP b x three\n", "line 15: 'three' is no number"),
        (" UP b x 3\n", " UP b z 3\n", "line 15: column 'z' in BOUNDS is not in COLUMNS"),
        (" UP b x 3\n", " XX b x 3\n", "line 15: 'XX' is no kind of bound"),
        (" x need 2\n", " x cap 2\n", "line 9: a second entry of column 'x' for row 'cap'"),
        (" x need 2\n", " x other 2\n", "line 9: row 'other' of column 'x' is not in ROWS"),
        (" x need 2\n", " x need two\n", "line 9: 'two' is no number"),
        (" x need 2\n", " x need\n", "line 9: an entry of column 'x' is not complete"),
        (" y cost 3 need 1\n", " y cost 3 need 1\n x need 2\n", "line 12: column 'x' is there twice"),
        (" G need\n", " G cap\n", "line 5: row 'cap' is there twice"),
        (" r cap 4 need 1\n", " r cap 4 cap 1\n", "line 13: a second entry in RHS for row 'cap'"),
        ("ENDATA\n", "", "line 15: the file ends without ENDATA"),
        (WHOLE, "", "the file is empty"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_readers_take_in_different_ways_is_refused(tmp_path, old, new, message, packed):
    """HiGHS guesses, or leaves out what it does not understand: the file is refused, with the line."""
    text = WHOLE.replace(old, new)
    path = tmp_path / ("odd.mps.gz" if packed else "odd.mps")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    with pytest.raises(FileError) as error:
        read_model(path)
    assert str(error.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    "bound", ["UP b x 3", "UP x 3", "LO b x 1", "FX b x 2", "BV b x", "BV x", "BV b x 1", "MI b x", "PL b x"]
)
def test_every_kind_of_bound_is_understood(tmp_path, bound):
    """With or without the name of the set, and with a number where none is needed."""
    path = tmp_path / "bounds.mps"
    path.write_text(WHOLE.replace("UP b x 3", bound))
    assert names(read_model(path), pyo.Var) == ["x", "y"]


def test_blanks_in_names_of_fixed_mps_are_read(tmp_path):
    """Names of fixed MPS may hold blanks; such a file is left to HiGHS."""
    path = tmp_path / "fixed.mps"
    lines = ["NAME          t", "ROWS", " N  cost", " L  my cap", "COLUMNS"]
    lines += ["    my x      cost               1.0   my cap             2.0", "RHS"]
    path.write_text("\n".join([*lines, "    r         my cap             4.0", "ENDATA", ""]))
    model = read_model(path)
    assert (names(model, pyo.Var), names(model, pyo.Constraint)) == (["my x"], ["my cap"])


#: By ending, a file whose names are not those that Pyomo would write.
ODD_NAMES = {
    "mps": (
        "NAME t\nROWS\n N my.cost(1)\n L cap(1,2)\n L c_u_transit_\nCOLUMNS\n M 'MARKER' 'INTORG'\n"
        " x(1) my.cost(1) -6 cap(1,2) 1\n x(1) c_u_transit_ 1\n M 'MARKER' 'INTEND'\n"
        " y(1,2) my.cost(1) -2 cap(1,2) 1\n z my.cost(1) -1 c_u_transit_ 1\n"
        "RHS\n r cap(1,2) 1.5 c_u_transit_ 2\nBOUNDS\n BV b x(1)\nENDATA\n"
    ),
    "lp": (
        "\\ a comment: min\nmin\n my.cost(1): -6 x(1) - 2 y(1,2) - z\nst\n cap(1,2): x(1) + y(1,2) <= 1.5\n"
        " c_u_transit_: x(1) + z <= 2\nbinary\n x(1)\nend\n"
    ),
}


@pytest.mark.parametrize("ending", ["mps", "lp"])
def test_names_of_the_file_stay_in_reports_pictures_and_worth(tmp_path, ending):
    """Rows, columns and objective are printed as the file calls them, wherever that is."""
    path = tmp_path / f"odd.{ending}"
    path.write_text(ODD_NAMES[ending])
    model = read_model(path)
    results = pyo.SolverFactory("j3o").solve(model)
    found = report(model, results)
    text = str(found)
    words = set(text.replace(")", ") ").split())
    assert {"x(1)", "y(1,2)", "z", "cap(1,2)", "c_u_transit_"} <= words
    assert "(minimize my.cost(1))" in text
    assert "rows[" not in text
    assert found.to_json().count('"my.cost(1)"') == 1
    assert set(budget_worth(model, results)["row"]) == {"cap(1,2)", "c_u_transit_"}
    assert pickle.loads(pickle.dumps(model)).objective.name == "my.cost(1)"
    ax = plot_fullness(found)
    assert {label.get_text() for label in ax.get_yticklabels()} == {"cap(1,2)", "c_u_transit_"}
    ax = plot_flows(found, component="y")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["1"]
    ax = plot_grid(found)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["x(1)"]


SEMI = """max
 obj: 2 f(1) - f(2) + k - 1.5 on_f(1) + g
st
 c: f(1) + f(2) + on_f(1) >= 0.5
 d: f(1) + k + g <= 4.5
bounds
 1 <= f(1) <= 3
 2 <= f(2) <= 5
 2 <= k <= 4
 0 <= g <= 1
general
 k
semi-continuous
 f(1) f(2) k g
end
"""


@pytest.mark.parametrize("patterns", [None, ["k"]])
def test_semi_continuous_columns_get_a_switch(tmp_path, patterns):
    """0 or within the bounds, as HiGHS has it itself; a name that is taken gets another."""
    import highspy

    path = tmp_path / "semi.lp"
    path.write_text(SEMI)
    model = read_model(path, patterns)
    names = {variable.name for variable in model.component_data_objects(pyo.Var)}
    # A column from 0 on needs none.
    assert names == {"f(1)", "f(2)", "k", "g", "on_f(1)", "_on_f(1)", "on_f(2)", "on_k"}
    assert {c.name for c in model.component_data_objects(pyo.Constraint)} >= {"least_f(1)", "most_k"}
    results = J3O().solve(model, rel_gap=1e-7)
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.readModel(str(path))
    highs.run()
    assert results.incumbent_objective == pytest.approx(highs.getInfo().objective_function_value)
    for variable, least in ((model.f[1], 1), (model.f[2], 2)):
        assert variable.value == 0 or variable.value >= least - 1e-6
