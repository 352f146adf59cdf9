"""Pictures of the plan of any model: they draw what the report says, and no name leaves the picture."""

from __future__ import annotations

import pyomo.environ as pyo
import pytest
import textbook_models
from pyomo.contrib.solver.common.factory import SolverFactory

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402 - the backend has to be chosen first

from pyomo_j3o import library, report  # noqa: E402
from pyomo_j3o.errors import OptionError  # noqa: E402
from pyomo_j3o.plotting import (  # noqa: E402
    plot_flows,
    plot_fullness,
    plot_placement,
    plot_plan,
    plot_routing,
)


@pytest.fixture(autouse=True)
def close_figures():
    """Close what a test has drawn."""
    yield
    plt.close("all")


def solved(build):
    """Return a model with its plan."""
    model = build()
    SolverFactory("highs").solve(model)
    return model


def require_inside(figure):
    """All that is drawn lies within the figure."""
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert box.x0 > -0.02
    assert box.y0 > -0.02
    assert box.x1 < width + 0.02
    assert box.y1 < height + 0.02


def many_names():
    """200 sites and 60 shops with long names; half of the sites are placed."""
    sites = [f"warehouse-{i:03d}-in-a-city-whose-name-is-long" for i in range(200)]
    shops = [f"a shop with a long name, too, {j}" for j in range(60)]
    m = pyo.ConcreteModel("200 names that are long, in a model whose name is longer than any title can be")
    m.open = pyo.Var(sites, domain=pyo.Binary)
    m.serve = pyo.Var(
        [(sites[i], shops[j]) for i in range(200) for j in {i % 60, (i + 7) % 60}], bounds=(0, 1)
    )
    m.room = pyo.Constraint(
        sites, rule=lambda m, s: sum(y for k, y in m.serve.items() if k[0] == s) <= 2 * m.open[s]
    )
    m.cost = pyo.Objective(expr=sum(m.open.values()))
    for i, site in enumerate(sites):
        m.open[site].set_value(i % 2)
    for n, (k, y) in enumerate(m.serve.items()):
        y.set_value((n % 10) / 10 * m.open[k[0]].value)
    return m


@pytest.mark.parametrize("name", ["knapsack", "network_design", "nested_blocks", "scalars", "three_indices"])
def test_plan_of_any_model_can_be_drawn(name):
    """As a whole, from the model or from its report, and every text stays inside."""
    model = getattr(textbook_models, name)()
    results = SolverFactory("j3o").solve(model)
    figure = plot_plan(report(model, results))
    assert model.name in figure.get_suptitle()
    assert "gap 0.0" in figure.get_suptitle()
    require_inside(figure)


def test_long_and_many_names_stay_inside():
    """They are shortened, and what is left out is counted."""
    model = many_names()
    figure = plot_plan(model)
    require_inside(figure)
    texts = " ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))
    assert "75 more not drawn" in texts
    assert "more rows" in texts
    assert "more columns" in texts


def test_grid_shows_what_is_placed_and_what_might_have_been():
    """A cell for each candidate, and nothing where there is none."""
    model = solved(textbook_models.network_design)
    ax = plt.figure().subplots()
    assert plot_placement(model, ax) is ax
    cells = ax.images[0].get_array()
    found = report(model)
    assert cells.sum() == found.summary.placed
    assert cells.count() == len(model.open)
    rows = [label.get_text() for label in ax.get_yticklabels()]
    columns = [label.get_text() for label in ax.get_xticklabels()]
    for (i, j), x in model.open.items():
        assert cells[rows.index(i), columns.index(j)] == round(x.value)


def test_heat_map_sums_over_the_other_indices():
    """Of two indices that the user may choose."""
    model = solved(textbook_models.three_indices)
    for dimensions, row, column in ((None, 0, 2), ((1, 0), 1, 0)):
        ax = plot_flows(model, dimensions=dimensions)
        cells = ax.images[0].get_array().filled(0.0)
        first = list(dict.fromkeys(k[row] for k in model.send))
        second = list(dict.fromkeys(k[column] for k in model.send))
        total = {}
        for k, y in model.send.items():
            total[k[row], k[column]] = total.get((k[row], k[column]), 0.0) + y.value
        kept = [a for a in first if any(total[a, b] > 1e-6 for b in second)]
        kept_columns = [b for b in second if any(total[a, b] > 1e-6 for a in first)]
        assert cells.shape == (len(kept), len(kept_columns))
        for i, a in enumerate(kept):
            assert list(cells[i]) == pytest.approx([total[a, b] for b in kept_columns], abs=1e-6)
        assert "summed over 1 more index" in ax.get_title(loc="left")


def test_bars_of_fullness_are_those_of_the_report():
    """The fullest on top, with the limit line at 100 %."""
    model = solved(textbook_models.transport)
    found = report(model)
    ax = plot_fullness(found, most=2)
    widths = [patch.get_width() for patch in ax.patches]
    assert widths == pytest.approx([100 * row["fullness"] for row in found.budgets.rows[:2]])
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        row["name"] for row in found.budgets.rows[:2]
    ]
    assert any(list(line.get_xdata()) == [100, 100] for line in ax.lines)


def test_periods_keep_their_order_and_others_are_sorted():
    """Whole numbers are an order that readers expect."""
    model = solved(textbook_models.lot_sizing)
    labels = [int(label.get_text()) for label in plot_placement(model).get_yticklabels()]
    assert labels == sorted(labels)
    model = solved(textbook_models.knapsack)
    widths = [patch.get_width() for patch in plot_placement(model).patches]
    assert widths == sorted(widths, reverse=True)


def test_library_models_keep_their_picture_and_can_have_the_other():
    """One bar of each node from the model; a grid from its report."""
    model = library.small_example()
    SolverFactory("highs").solve(model)
    assert not plot_placement(model).images
    assert plot_placement(report(model)).images
    assert plot_placement(model, component="place.x").images
    assert plot_routing(report(model)).images


def test_what_cannot_be_drawn_is_said():
    """By an error with the components that there are."""
    model = solved(textbook_models.cutting)
    with pytest.raises(ValueError, match="nothing is routed"):
        plot_flows(model)
    with pytest.raises(ValueError, match=r"component='x': .*there is use"):
        plot_placement(model, component="x")
    with pytest.raises(ValueError, match="no limit or requirement"):
        plot_fullness(solved(textbook_models.p_median))


def test_a_component_may_be_given_itself():
    """As its name in the report; blocks and variables without an index, too."""
    model = solved(textbook_models.three_indices)
    by_name, given = plot_flows(model, component="send"), plot_flows(model, component=model.send)
    assert by_name.get_title(loc="left") == given.get_title(loc="left")
    assert (by_name.images[0].get_array() == given.images[0].get_array()).all()
    nested = solved(textbook_models.nested_blocks)
    found = report(nested)
    for row in found.placed:
        ax = plot_placement(found, component=nested.find_component(row["name"]).parent_component())
        assert ax.get_title(loc="left").startswith(f"Placed: {row['component']}")
    with pytest.raises(ValueError, match="component=5 is no component; give one of the model"):
        plot_flows(model, component=5)


@pytest.mark.parametrize(
    "given", [("C", "R"), (0,), (0, 0), (0, 3), (-1, 0), 1, "01", (0, 1.5), (0, 1, 2), ()]
)
def test_dimensions_of_another_kind_are_one_clear_error(given):
    """It names what was given, and the positions that there are."""
    model = solved(textbook_models.three_indices)
    with pytest.raises(
        OptionError, match=r"dimensions=.*: give two different positions in the index of send, of 0"
    ):
        plot_flows(model, dimensions=given)


def test_titles_say_what_is_not_drawn():
    """Each picture draws one component; the others are named, with their numbers."""
    m = pyo.ConcreteModel("two flows")
    m.send = pyo.Var("ab", "cd", bounds=(0, 1), initialize=1)
    m.origin = pyo.Var("abc", "xyz", bounds=(0, 1), initialize=1)
    m.open, m.keep = (pyo.Var("abc", "cd", domain=pyo.Binary, initialize=k) for k in (1, 0))
    m.keep["a", "c"].set_value(1)
    terms = [v for part in (m.send, m.origin, m.open, m.keep) for v in part.values()]
    m.cost = pyo.Objective(expr=sum(terms))
    flows, placed = plot_flows(m), plot_placement(m)
    assert flows.get_title(loc="left") == "Routed: origin; not drawn: send (4)"
    assert placed.get_title(loc="left") == "Placed: open, 6 of 6; not drawn: keep (1)"
    assert "not drawn" not in plot_flows(m, component=m.send).get_title(loc="left")
    for k in range(9):
        m.add_component(f"another{k}", pyo.Var("ab", bounds=(0, 1), initialize=1))
        m.cost.expr += sum(m.component(f"another{k}").values())
    assert plot_flows(m).get_title(loc="left").endswith("; not drawn: 10 more components")
