"""What controllers delivered: accuracy of the policies over time, and how it falls with forecast errors."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pyomo_j3o.plotting.axes import GREY, LINE_COLOURS, axes_or_new, finish_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pyomo_j3o.control.records import Controlled

#: So that policies also differ without colour.
_STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
_MARKERS = ("o", "s", "^", "D", "v", "P")


def plot_control(controlled: Controlled, policies: Sequence[str] | None = None) -> Figure:
    """Draw the accuracy that policies delivered over time, and the load below.

    Parameters
    ----------
    controlled
        What `pyomo_j3o.control.control` returned.
    policies
        Names of those to draw; all if not given.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with its ``savefig``.

    Raises
    ------
    ValueError
        If no minute was played, or there is no such policy.
    """
    import matplotlib.pyplot as plt

    names = _known(controlled, policies)
    figure, (above, below) = plt.subplots(
        2, 1, sharex=True, figsize=(8.0, 5.0), layout="constrained", height_ratios=(3, 1)
    )
    minutes = np.arange(len(controlled))
    looks = zip(itertools.cycle(LINE_COLOURS), itertools.cycle(_STYLES), strict=False)
    for name, (colour, style) in zip(names, looks, strict=False):
        mark = name == controlled.clairvoyant
        above.plot(
            minutes,
            controlled.runs[name].accuracy,
            color="black" if mark else colour,
            linestyle="-" if mark else style,
            linewidth=0.9 if mark else 1.3,
            zorder=1.5 if mark else 2,
            label=f"{name}: {controlled.accuracy(name):.3f}, {sum(controlled.runs[name].moves)} moves",
        )
    above.set_ylabel("mean accuracy delivered")
    finish_lines(above, f"{controlled.name}: what policies deliver")
    above.legend(frameon=False, fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.02))
    below.fill_between(minutes, controlled.load, step="mid", color=GREY, alpha=0.35, linewidth=0)
    below.set_ylim(0, None)
    below.set_ylabel("load (queries/s)")
    below.set_xlabel("time (min)")
    for side in ("top", "right"):
        below.spines[side].set_visible(False)
    return figure


def plot_forecast_errors(
    by_error: Mapping[float, Controlled], policies: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how the accuracy of policies falls with the error of the forecast.

    Parameters
    ----------
    by_error
        By relative error, 0.5 for 50 %, what `pyomo_j3o.control.control` returned with a variance of its
        square.
    policies
        Names of those to draw; all but the clairvoyant if not given.
    ax
        Where to draw; a new figure if not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no error to draw, or no such policy.
    """
    if not by_error:
        raise ValueError("there is no error to draw; give a result for one error or more")
    errors = sorted(by_error)
    first = by_error[errors[0]]
    names = [name for name in _known(first, policies) if policies or name != first.clairvoyant]
    ax = axes_or_new(ax, width=6.5, height=4.0)
    looks = zip(itertools.cycle(LINE_COLOURS), itertools.cycle(_MARKERS), strict=False)
    for name, (colour, marker) in zip(names, looks, strict=False):
        kept = [
            100 * by_error[error].accuracy(name) / by_error[error].accuracy(by_error[error].clairvoyant)
            for error in errors
        ]
        moves = f"{sum(first.runs[name].moves)} to {sum(by_error[errors[-1]].runs[name].moves)} moves"
        at = [100 * error for error in errors]
        ax.plot(at, kept, color=colour, marker=marker, markersize=5, label=f"{name}, {moves}")
    ax.axhline(100, color="black", linewidth=0.9, label="clairvoyant")
    ax.set_xlabel("relative error of the forecast of each load (%)")
    ax.set_ylabel("accuracy delivered (% of the clairvoyant's)")
    finish_lines(ax, f"{first.name}: forecasts with errors")
    return ax


def _known(controlled: Controlled, policies: Sequence[str] | None) -> list[str]:
    """Return the names to draw; raise if there is nothing to draw."""
    if not len(controlled):
        raise ValueError("there is nothing to draw: no minute was played")
    names = list(controlled.runs) if policies is None else list(policies)
    for name in names:
        if name not in controlled.runs:
            raise ValueError(f"policies: {name!r} was not played; there are {', '.join(controlled.runs)}")
    return names
