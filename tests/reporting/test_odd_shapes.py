"""Reports and pictures of models of odd shapes: they are right, and can be read without further code."""

from __future__ import annotations

import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.gdp import Disjunction

from pyomo_j3o import annotate, report

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402 - the backend has to be chosen first

from pyomo_j3o.plotting import plot_fullness, plot_placement, plot_plan  # noqa: E402


@pytest.fixture(autouse=True)
def close_figures():
    """Close what a test has drawn."""
    yield
    plt.close("all")


def bakery():
    """Three cakes share one oven, one after the other: a model without a name, with disjunctions."""
    minutes = {"crème brûlée": 30, "apple pie": 45, "Käsekuchen, groß": 60}
    m = pyo.ConcreteModel()
    m.start = pyo.Var(list(minutes), bounds=(0, 200))
    m.end = pyo.Var(bounds=(0, 200))
    m.all_done = pyo.Constraint(list(minutes), rule=lambda m, k: m.start[k] + minutes[k] <= m.end)
    pairs = [(a, b) for a in minutes for b in minutes if a < b]
    m.one_oven = Disjunction(
        pairs,
        rule=lambda m, a, b: [m.start[a] + minutes[a] <= m.start[b], m.start[b] + minutes[b] <= m.start[a]],
    )
    m.last = pyo.Objective(expr=m.end)
    pyo.TransformationFactory("gdp.bigm").apply_to(m)
    return m


def vans():
    """Numbers of vans by depot, kind and day; one scalar row, negative costs, an inactive block."""
    m = pyo.ConcreteModel("vans")
    m.A_SET_OF_DEPOTS_WHOSE_NAME_IS_MUCH_LONGER_THAN_ITS_PICTURE_IS_HIGH = pyo.Set(initialize=["n", "s"])
    m.KINDS, m.DAYS = pyo.Set(initialize=["big", "small"]), pyo.RangeSet(3)
    depots = m.A_SET_OF_DEPOTS_WHOSE_NAME_IS_MUCH_LONGER_THAN_ITS_PICTURE_IS_HIGH
    m.vans = pyo.Var(depots, m.KINDS, m.DAYS, domain=pyo.Integers, bounds=(0, 3))
    m.fleet = pyo.Constraint(expr=pyo.quicksum(m.vans.values()) <= 10)
    m.yard = pyo.Constraint(depots, m.DAYS, rule=lambda m, d, t: m.vans[d, "big", t] <= 1)
    m.spare = pyo.Block()
    m.spare.none = pyo.Constraint(expr=pyo.quicksum(m.vans.values()) == 0)
    m.spare.deactivate()
    pay = {"big": -5, "small": -2}
    m.cost = pyo.Objective(expr=sum(pay[k] * v for (d, k, t), v in m.vans.items()))
    annotate(m, onloading=m.vans)
    return m


def solved(build):
    """Return a model with its plan, and its report."""
    model = build()
    return model, report(model, SolverFactory("j3o").solve(model))


def labels_of(ax):
    """Return the names beside the rows of a picture."""
    return [label.get_text() for label in ax.get_yticklabels()]


def test_rows_that_a_transformation_made_are_told_apart():
    """Their names begin and end alike; in the picture and in the text no two are the same."""
    _, found = solved(bakery)
    labels = labels_of(plot_fullness(found))
    assert len(labels) == len(set(labels)) == 6
    lines = str(found).split("Fullest rows")[1].splitlines()[2:]
    names = [line[:50] for line in lines if line.lstrip().startswith("_")]
    assert len(names) == len(set(names)) > 1


def test_a_picture_is_never_empty():
    """Disjuncts carry nothing and cost nothing: their bars are their values."""
    model, found = solved(bakery)
    ax = plot_placement(found)
    assert [bar.get_width() for bar in ax.patches] == [1.0] * len(model.one_oven)
    assert ax.get_xlabel() == "value"


def test_the_users_components_come_before_those_of_a_transformation():
    """In the lines of rows as in those of variables."""
    _, found = solved(bakery)
    text = str(found)
    assert text.index("  all_done") < text.index("  _pyomo_gdp")


def test_a_model_without_a_name_is_not_called_unknown():
    """That is what Pyomo calls it."""
    model, found = solved(bakery)
    assert str(found).startswith("Plan of the model\n")
    assert "unknown" not in str(found) + found._repr_html_()
    assert plot_plan(found).get_suptitle().startswith("objective 135")
    assert pyo.value(model.last) == pytest.approx(135)


def test_counts_of_a_grid_are_all_written():
    """A 1 among larger numbers, too; the sum is that of the model."""
    model, found = solved(vans)
    ax = plot_placement(found)
    written = [int(text.get_text()) for text in ax.texts]
    assert sorted(written) == sorted(round(v.value) for v in model.vans.values() if v.value > 0.5)
    assert sum(written) == 10
    assert found.summary.objective == pytest.approx(pyo.value(model.cost)) == pytest.approx(-38)


def test_long_names_of_sets_stay_inside():
    """However low the picture is."""
    _, found = solved(vans)
    figure = plot_placement(found).figure
    figure.draw_without_rendering()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 > -0.02
    assert box.y0 > -0.02
    assert box.x1 < width + 0.02
    assert box.y1 < height + 0.02


def test_one_row_without_an_index_has_its_name_and_inactive_ones_are_left_out():
    """So that a reader finds it in the model; and nothing is said of what there is none of."""
    _, found = solved(vans)
    assert list(found.components["component"]) == ["yard", "fleet"]
    assert found.summary.rows == 7
    assert "offloading" not in str(found)
