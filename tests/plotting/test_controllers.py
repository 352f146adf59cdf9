"""Pictures of controllers: they show what the records hold, with units on the axes."""

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402 - the backend has to be chosen first

from pyomo_j3o.control import Controlled, Run  # noqa: E402
from pyomo_j3o.plotting import plot_control, plot_forecast_errors  # noqa: E402


@pytest.fixture(autouse=True)
def close_figures():
    """Close what a test has drawn."""
    yield
    plt.close("all")


def controlled(accuracy):
    """Return what one policy and the clairvoyant delivered in three minutes."""
    loads = np.array([1.0, 2.0, 3.0]).reshape(3, 1, 1)
    run = Run(accuracy, [0.0] * 3, [0, 2, 1], [0.1] * 3, [0.9] * 3)
    best = Run([0.8] * 3, [0.0] * 3, [0, 5, 5], [0.1] * 3, [0.8] * 3)
    return Controlled("a system", loads, {"mine": run, "clairvoyant": best}, "clairvoyant")


def test_accuracy_is_drawn_over_the_load():
    """A line per policy with its total and moves; the load is below, in queries/s."""
    figure = plot_control(controlled([0.5, 0.6, 0.7]))
    above, below = figure.axes
    assert above.lines[0].get_ydata() == pytest.approx([0.5, 0.6, 0.7])
    labels = [text.get_text() for text in above.get_legend().get_texts()]
    assert labels == ["mine: 0.633, 3 moves", "clairvoyant: 0.800, 10 moves"]
    assert "queries/s" in below.get_ylabel()
    assert "min" in below.get_xlabel()
    assert len(plot_control(controlled([0.5] * 3), ["mine"]).axes[0].lines) == 1


def test_errors_are_drawn_in_per_cent_of_the_clairvoyant():
    """A line per policy, in the order of the errors."""
    axes = plot_forecast_errors({0.5: controlled([0.4] * 3), 0.0: controlled([0.8] * 3)})
    assert axes.lines[0].get_xdata() == pytest.approx([0, 50])
    assert axes.lines[0].get_ydata() == pytest.approx([100, 50])
    assert "%" in axes.get_xlabel()
    assert "%" in axes.get_ylabel()


def test_what_cannot_be_drawn_is_named():
    """No minute, no error, and policies that were not played."""
    one = controlled([0.5] * 3)
    nothing = Controlled("a system", np.zeros((0, 1, 1)), {"clairvoyant": Run()}, "clairvoyant")
    with pytest.raises(ValueError, match="no minute was played"):
        plot_control(nothing)
    with pytest.raises(ValueError, match="'yours' was not played; there are mine, clairvoyant"):
        plot_control(one, ["yours"])
    with pytest.raises(ValueError, match="no error to draw"):
        plot_forecast_errors({})
