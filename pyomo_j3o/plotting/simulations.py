"""What a simulated plan delivered: how long answers took, and what was left of earlier windows."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from pyomo_j3o.plotting.axes import (
    GREY,
    LINE_COLOURS,
    axes_or_new,
    finish_lines,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pyomo_j3o.simulation.delivery import Simulation


def plot_latency(simulation: Simulation, ax: Axes | None = None, level: str | None = None) -> Axes:
    """Draw how long answers took: per task, the share answered within a given time, and the line at 2·T_b.

    The cloud's latency is not known, so its answers are not drawn.

    Parameters
    ----------
    simulation
        What `pyomo_j3o.simulation.simulate` returned.
    ax
        Where to draw; a new figure if not given.
    level
        Only answers of ``"client"`` or ``"edge"``; both if not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no such level, or no answer to draw.
    """
    latencies = {task: simulation.latencies(task, level) for task in simulation.data.tasks}
    latencies = {task: seconds for task, seconds in latencies.items() if len(seconds)}
    if not latencies:
        raise ValueError(
            f"the simulation has no latency to draw: no {level or 'client or edge server'} answered a query"
        )
    ax = axes_or_new(ax, width=7.0, height=4.0)
    colours = dict(zip(simulation.data.tasks, itertools.cycle(LINE_COLOURS), strict=False))
    for task, seconds in latencies.items():
        shares = 100 * (np.arange(len(seconds)) + 1) / len(seconds)
        ax.step(np.sort(seconds), shares, where="post", color=colours[task], label=task)
    deadlines = sorted({2 * w.length for w in simulation.windows.values()})
    for k, deadline in enumerate(deadlines):
        label = "two windows" if k == 0 else None
        ax.axvline(deadline, color=GREY, linestyle="--", linewidth=1, label=label)
    # A few answers that take very long would squeeze the rest; they are what the last per cent says.
    longest = max(float(np.percentile(seconds, 99.5)) for seconds in latencies.values())
    ax.set_xlim(0, 1.05 * max([longest, *deadlines]))
    ax.set_ylim(0, 100)
    ax.set_xlabel("time from arrival to answer (s)")
    ax.set_ylabel("answered within that time (%)")
    where = {None: "clients and edge servers", "client": "clients", "edge": "edge servers"}
    finish_lines(ax, f"Latency on {where[level]}")
    return ax


def plot_backlog(simulation: Simulation, ax: Axes | None = None) -> Axes:
    """Draw the work of earlier windows that is left at each window's end, per edge server.

    Parameters
    ----------
    simulation
        What `pyomo_j3o.simulation.simulate` returned.
    ax
        Where to draw; a new figure if not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If no edge server has a window.
    """
    if not simulation.windows:
        raise ValueError("the simulation has no backlog: no edge server has a batching window")
    ax = axes_or_new(ax, width=7.0, height=4.0)
    for (edge, w), colour in zip(simulation.windows.items(), itertools.cycle(LINE_COLOURS), strict=False):
        ax.plot(w.end, w.backlog, color=colour, linewidth=0.9, label=f"{edge}: {w.verdict}")
    ax.set_xlim(simulation.warm_up, simulation.horizon)
    # Queues that are empty all the time are drawn on the scale of a window.
    highest = max(w.backlog.max(initial=0.0) for w in simulation.windows.values())
    ax.set_ylim(0, 1.05 * max(highest, min(w.length for w in simulation.windows.values())))
    ax.set_xlabel("time (s)")
    ax.set_ylabel("backlog at the window's end (s)")
    finish_lines(ax, "Backlog of edge servers")
    return ax


def plot_simulation(simulation: Simulation) -> Figure:
    """Draw what a simulated plan delivered: latency of edge servers and of clients, and backlog.

    With windows there is a panel for the latency of edge servers, one for that of clients, if these answered
    any query, and one for the backlog. Without windows, one panel has the latency of both.

    Parameters
    ----------
    simulation
        What `pyomo_j3o.simulation.simulate` returned.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with its ``savefig``.

    Raises
    ------
    ValueError
        If there is no latency to draw.
    """
    import matplotlib.pyplot as plt

    levels: list[str | None] = [None]
    if simulation.windows:
        levels = [level for level in ("edge", "client") if len(simulation.latencies(level=level))] or [None]
    panels = len(levels) + bool(simulation.windows)
    figure, axes = plt.subplots(1, panels, figsize=(5.25 * panels, 3.9), layout="constrained", squeeze=False)
    for level, ax in zip(levels, axes[0], strict=False):
        plot_latency(simulation, ax, level)
    if simulation.windows:
        plot_backlog(simulation, axes[0, -1])
    figure.suptitle(
        f"{simulation.data.name}: accuracy {simulation.accuracy:.4f}; {simulation.headline}",
        x=0.01,
        ha="left",
    )
    return figure
