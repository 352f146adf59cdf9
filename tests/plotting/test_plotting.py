"""The pictures: they draw what the tables say, label it with units, and load matplotlib only when called."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.factory import SolverFactory as NewFactory

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402 - the backend has to be chosen first

from pyomo_j3o.errors import OptionError  # noqa: E402
from pyomo_j3o.library import (  # noqa: E402
    build_model,
    placement_table,
    routing_table,
    small_example,
    small_example_data,
    taskonomy,
)
from pyomo_j3o.plotting import (  # noqa: E402
    plot_backlog,
    plot_latency,
    plot_placement,
    plot_plan,
    plot_routing,
    plot_simulation,
    plot_trace,
)
from pyomo_j3o.simulation import simulate  # noqa: E402

RECORDS = [
    {"iteration": 1, "incumbent": 0.7, "bound": float("inf"), "time": 0.1},
    {"iteration": 2, "incumbent": 0.78, "bound": 0.83, "time": 0.3},
    {"iteration": 3, "incumbent": 0.8, "bound": 0.82, "time": 0.4},
]


@pytest.fixture(autouse=True)
def close_figures():
    """Close what a test has drawn."""
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def solved():
    """Return the small example, solved."""
    model = small_example()
    pyo.SolverFactory("highs").solve(model)
    return model


@pytest.fixture(scope="module")
def many_nodes():
    """40 clients and 4 edge servers, each with the first three models that fit; nothing is solved."""
    model = taskonomy(40, 4, droppable=True)
    for variable in model.component_data_objects(pyo.Var):
        variable.set_value(0)
    for node in model.data.nodes:
        for k in [index for index in model.place.x if index[0] == node][:3]:
            model.place.x[k].set_value(1)
    return model


@pytest.fixture(scope="module")
def simulated():
    """Return two minutes of the small example, with windows of 0.5 s, without a set-up time."""
    model = build_model(replace(small_example_data(), window=0.5))
    pyo.SolverFactory("highs").solve(model)
    return simulate(model, horizon=120)


def overlaps(ax) -> list[tuple[str, str]]:
    """Pairs of texts inside `ax` or along its vertical axis that lie over each other."""
    ax.figure.draw_without_rendering()
    texts = [t for t in list(ax.texts) + ax.get_yticklabels() if t.get_text()]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts]
    return [
        (a, b)
        for k, (a, first) in enumerate(boxes)
        for b, second in boxes[k + 1 :]
        if min(first.x1, second.x1) - max(first.x0, second.x0) > 1
        and min(first.y1, second.y1) - max(first.y0, second.y0) > 1
    ]


def test_placement_has_one_segment_per_onloaded_model(solved):
    """And it draws on the axes that it is given."""
    _, ax = plt.subplots()
    assert plot_placement(solved, ax) is ax
    assert len(ax.patches) == len(placement_table(solved))
    assert "GB" in ax.get_ylabel()
    assert "%" in ax.get_xlabel()


def test_routing_bars_are_the_shares_of_the_table(solved):
    """One bar per task and level, as wide as its share."""
    ax = plot_routing(solved)
    table = routing_table(solved)
    widths = [patch.get_width() for patch in ax.patches]
    shares = [100 * s for level in ("client", "edge", "cloud", "dropped") for s in table[level]]
    assert widths == pytest.approx(shares)
    assert "queries/s" in ax.get_yticklabels()[0].get_text()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["client", "edge", "cloud"]


def test_plan_has_both_pictures(solved):
    """Onloading beside offloading, with the mean accuracy above."""
    figure = plot_plan(solved)
    assert len(figure.axes) == 2
    assert "0.8400" in figure.get_suptitle()


@pytest.mark.parametrize("plot", [plot_placement, plot_routing])
def test_texts_do_not_lie_over_each_other(plot, solved, many_nodes):
    """Neither with three nodes nor with 44."""
    for model in (solved, many_nodes):
        assert overlaps(plot(model)) == []


def test_trace_leaves_out_what_is_not_finite():
    """Records may be dicts or objects, alone or inside results."""
    as_objects = [SimpleNamespace(**record) for record in RECORDS]
    for trace in (RECORDS, as_objects, SimpleNamespace(extra_info=SimpleNamespace(trace=as_objects))):
        incumbent, bound = plot_trace(trace).get_lines()
        assert list(incumbent.get_xdata()) == [1, 2, 3]
        assert list(bound.get_xdata()) == [2, 3]
        assert list(bound.get_ydata()) == [0.83, 0.82]
        assert "gap 2.50 %" in incumbent.axes.get_title(loc="left")


def test_trace_without_incumbent_or_bound_is_drawn_all_the_same():
    """A run without a bound shows the incumbent, and one without a plan shows the bound."""
    for missing in ("incumbent", "bound"):
        assert len(plot_trace([{**record, missing: None} for record in RECORDS]).get_lines()) == 1


def test_an_empty_trace_is_an_error():
    """There is nothing to draw."""
    with pytest.raises(ValueError, match="the trace is empty"):
        plot_trace([])


def test_results_of_either_interface_have_one_trace():
    """The classic results draw the picture of the new ones that they carry."""
    results = pyo.SolverFactory("j3o").solve(small_example())
    for ours, other in zip(plot_trace(results).get_lines(), plot_trace(results.j3o).get_lines(), strict=True):
        assert len(ours.get_xdata()) > 0
        assert ours.get_xydata().tolist() == other.get_xydata().tolist()


@pytest.mark.parametrize("nothing", ["nonsense", [1, 2], None, 5, {}, SimpleNamespace(), object()])
def test_what_has_no_trace_is_refused(nothing):
    """By one sentence that says what to give, as are the results of another solver."""
    with pytest.raises(OptionError, match=r"have no trace to draw; give what solve\(\) of j3o returned"):
        plot_trace(nothing)


def test_results_of_another_solver_have_no_trace():
    """Be they classic or new."""
    for factory in (pyo.SolverFactory, NewFactory):
        results = factory("highs").solve(small_example())
        with pytest.raises(OptionError, match="no trace to draw"):
            plot_trace(results)


def test_near_an_objective_of_0_the_trace_gives_the_distance():
    """A gap of 1000 % of nothing says nothing."""
    ax = plot_trace([{"iteration": 1, "incumbent": 0.0, "bound": -1e-3}])
    assert "at most 0.001 from the best" in ax.get_title(loc="left")


def test_latency_rises_to_all_answers_and_shows_two_windows(simulated):
    """One curve per task that is answered there, in seconds and per cent, and a line at 1 s."""
    ax = plot_latency(simulated)
    *curves, deadline = ax.get_lines()
    assert [line.get_label() for line in curves] == ["edges", "depth"]
    for line in curves:
        latencies = simulated.latencies(line.get_label())
        assert list(line.get_xdata()) == sorted(latencies)
        assert line.get_ydata()[-1] == 100
    assert list(deadline.get_xdata()) == [1.0, 1.0]
    assert "(s)" in ax.get_xlabel()
    assert "%" in ax.get_ylabel()
    # The edge server answers one of the two tasks.
    assert len(plot_latency(simulated, level="edge").get_lines()) == 2


def test_backlog_is_that_of_every_window(simulated):
    """One line per edge server, whose label says whether the queue is stable."""
    (line,) = plot_backlog(simulated).get_lines()
    windows = simulated.windows["server"]
    assert list(line.get_xdata()) == list(windows.end)
    assert list(line.get_ydata()) == list(windows.backlog)
    assert line.get_label() == f"server: {windows.verdict}"


def test_a_simulation_has_its_pictures_and_without_windows_one(simulated, solved):
    """Edge servers, clients, backlog; the title says how accurate the answers were, and how many late."""
    figure = plot_simulation(simulated)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["Latency on edge servers", "Latency on clients", "Backlog of edge servers"]
    assert f"{simulated.accuracy:.4f}" in figure.get_suptitle()
    assert "later than two windows" in figure.get_suptitle()
    without = simulate(solved, horizon=60)
    assert len(plot_simulation(without).axes) == 1
    with pytest.raises(ValueError, match="no edge server has a batching window"):
        plot_backlog(without)


def test_a_simulation_without_latencies_cannot_be_drawn(simulated):
    """As when the cloud answers everything."""
    none = replace(simulated, queries=replace(simulated.queries, latency=simulated.queries.latency * np.nan))
    with pytest.raises(ValueError, match="no client or edge server answered"):
        plot_latency(none)


def test_importing_the_module_does_not_load_matplotlib():
    """It is optional."""
    code = "import sys, pyomo_j3o.plotting, pyomo_j3o.library; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
