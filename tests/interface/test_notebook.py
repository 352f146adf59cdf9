"""Results and options in a notebook and in `help`: every fact and every option, nothing unescaped."""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import replace

import pyomo.environ as pyo
import pytest
import textbook_models
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.contrib.solver.common.results import Results
from pyomo.opt.results.results_ import SolverResults

from pyomo_j3o import budget_worth, explain_infeasibility, library
from pyomo_j3o.core.html import html_paragraphs
from pyomo_j3o.fleet.sweeping import Case, Sweep

SOLVERS = ("j3o", "j3o.baj3o", "j3o.exact", "j3o_persistent")


@pytest.mark.parametrize("name", SOLVERS)
def test_results_show_as_a_table_and_stay_results(name):
    """Objective, bound, gap and message; and they pickle and copy as before."""
    results = SolverFactory(name).solve(textbook_models.lot_sizing())
    assert isinstance(results, Results)
    for shown in (results._repr_html_(), str(results)):
        assert f"{results.incumbent_objective:.8g}" in shown
        assert "proven optimal" in shown
        assert "objective 2380, gap 0.00%" in shown
    assert repr(results) == f"<Results of {name}: proven optimal, objective 2380>"
    again = pickle.loads(pickle.dumps(results))
    assert again._repr_html_() == results._repr_html_()
    assert copy.deepcopy(again).incumbent_objective == results.incumbent_objective


def test_results_without_a_plan_show_why():
    """And escape what the user has named."""
    model = pyo.ConcreteModel("<b>")
    model.x = pyo.Var([1, 2], domain=pyo.Binary)
    model.all = pyo.Constraint(expr=model.x[1] + model.x[2] >= 3)
    model.none = pyo.Constraint(expr=model.x[1] + model.x[2] <= 1)
    model.cost = pyo.Objective(expr=model.x[1] + model.x[2])
    options = {"load_solutions": False, "raise_exception_on_nonoptimal_result": False}
    results = SolverFactory("j3o").solve(model, **options)
    assert "no plan" in repr(results)
    assert "provenInfeasible" in results._repr_html_()
    assert "<b>" not in results._repr_html_()
    html = explain_infeasibility(model)._repr_html_()
    assert "<table" in html
    assert "<b>" not in html
    assert "&gt;= 3" in html


@pytest.mark.parametrize("name", SOLVERS)
def test_classic_results_show_the_same(name):
    """They are Pyomo's class still, with its own text."""
    results = pyo.SolverFactory(name).solve(textbook_models.lot_sizing())
    assert isinstance(results, SolverResults)
    assert results._repr_html_() == results.j3o._repr_html_()
    assert "Upper bound" in str(results)
    again = pickle.loads(pickle.dumps(results))
    assert again._repr_html_() == results._repr_html_()


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("factory", [SolverFactory, pyo.SolverFactory], ids=["new", "classic"])
def test_help_lists_every_option_with_its_meaning(name, factory):
    """Of the object (`opt?`) and of its `solve`, as sections that numpydoc reads."""
    solver = factory(name)
    for text in (type(solver).__doc__, inspect.getdoc(solver.solve)):
        lines = text.splitlines()
        options = lines[lines.index("Other Parameters") + 2 :]
        for option in set(solver.config) - {"working_dir", "symbolic_solver_labels", "timer"}:
            at = next(k for k, line in enumerate(options) if line.startswith(f"{option} : "))
            assert len(options[at + 1].strip()) > 10
    assert "{'default', 'alternation', 'full'}" in inspect.getdoc(solver.solve)


def test_options_show_as_a_table():
    """With the values as they are now."""
    solver = pyo.SolverFactory("j3o")
    solver.options["max_iterations"] = 7
    html = solver.options._repr_html_()
    assert html == solver.config._repr_html_()
    assert html.count("<tr>") == 1 + len(solver.options) - 3
    assert ">7<" in html


def test_tables_show_as_tables():
    """Not as a line of thousands of characters; long ones are cut with a count."""
    model = library.small_example()
    SolverFactory("highs").solve(model)
    table = library.placement_table(model)
    assert repr(table) == f"<Table of {len(table)} rows: node, level, model, memory, queries>"
    assert table._repr_html_().count("<tr>") == len(table) + 1
    long = library.Table(("a",), [{"a": k} for k in range(100)])
    assert "<p>and 40 more</p>" in long._repr_html_()
    assert len(str(long).splitlines()) == 101


def test_searches_show_as_tables_with_what_they_print():
    """What ended a search early is said below its table; what moved rows need is said above theirs."""
    model = textbook_models.lot_sizing()
    table = budget_worth(model, SolverFactory("j3o").solve(model))
    assert "Ctrl-C" not in table._repr_html_()
    assert "Ctrl-C ended the search" in replace(table, interrupted=True)._repr_html_()
    data = library.small_example_data()
    tight = library.build_model(replace(data, compute_budget=[0.2, 1, 0.2], uplink_budget=[2.5, 1, 2]))
    moved = explain_infeasibility(tight, relax=[tight.client_uplink, tight.compute], together=True)
    html = moved._repr_html_()
    assert html_paragraphs(moved.message) in html
    assert moved.table._repr_html_() in html
    cases = Sweep({"<a>": Case("optimal", 1.0, 1.0, 0.0, 0.1)})
    assert "<td" in cases._repr_html_()
    assert "<a>" not in cases._repr_html_()
